//! libFuzzer around one target, which the variable `AIRE_FUZZ` names; without it the names of all targets are printed.
//! `cargo xtask fuzz` builds and starts it.
//!
//! Beside panics it finds inputs that take more than a second of CPU, hold more memory than the target allows, or
//! leave memory behind.
#![no_main]

use std::alloc::System;
use std::path::PathBuf;
use std::sync::OnceLock;

use aire_fuzz::Target;
use cap::Cap;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

static TARGET: OnceLock<&'static Target> = OnceLock::new();
/// Seconds of CPU that one input may take.
const PATIENCE_S: f64 = 1.0;

fn begin() {
    let name = std::env::var("AIRE_FUZZ").unwrap_or_default();
    let Some(target) = aire_fuzz::target_named(&name) else {
        aire_fuzz::TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(i32::from(!name.is_empty()));
    };
    if let Some(folder) = std::env::var_os("AIRE_FUZZ_SEEDS").map(PathBuf::from) {
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).expect("the folder for the seeds");
        }
    }
    TARGET.get_or_init(|| target);
}

/// Seconds of CPU that this thread has used.
fn used_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs an input; bytes that it left allocated.
fn run(target: &Target, input: &[u8]) -> usize {
    let (held, began) = (MEMORY.allocated(), used_s());
    MEMORY.set_limit(held + target.memory).expect("invariant: a limit above what is held");
    (target.run)(input);
    MEMORY.set_limit(usize::MAX).expect("invariant: no limit");
    let took = used_s() - began;
    assert!(took < PATIENCE_S, "timeout: the input took {took:.1} s of CPU");
    MEMORY.allocated().saturating_sub(held)
}

libfuzzer_sys::fuzz_target!(init: begin(), |input: &[u8]| {
    let target = TARGET.get().expect("invariant: set before the first input");
    // What is built once and kept is no leak; what grows with every run is.
    let left = run(target, input) > 0 && run(target, input) > 0;
    let left = if left { run(target, input) } else { 0 };
    assert_eq!(left, 0, "leak: every run of the input leaves so many bytes behind");
});
