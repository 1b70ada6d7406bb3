#!/bin/sh
# Stands before rustc for the crates of this workspace: lets libFuzzer see which edges an input reaches and what it
# is compared with. The same flags as cargo-fuzz gives with `--sanitizer none`.
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
