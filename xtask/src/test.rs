//! Everything that CI runs.

use crate::steps::Steps;
use crate::workspace::{Workspace, cargo};
use crate::{Failure, check, docs, faults, fuzz, lab, packages};

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.iter().find(|flag| !["--no-install", "--no-lab"].contains(flag)) {
        return Err(format!("test does not know '{unknown}'"));
    }
    let given = |flag: &str| arguments.contains(&flag);
    let mut steps = Steps::default();
    let result = all(&mut steps, !given("--no-install"), !given("--no-lab"));
    if !steps.skipped.is_empty() {
        eprintln!("\n!!! {} WERE SKIPPED:", steps.skipped.len());
        for skipped in &steps.skipped {
            eprintln!("!!!   {skipped}");
        }
    }
    let tally = steps.tally;
    println!();
    if let Err(failure) = &result {
        println!("{failure}");
    }
    println!(
        "{} passed, {} failed, {} ignored, {} skipped",
        tally.passed,
        tally.failed.max(u64::from(result.is_err())),
        tally.ignored,
        steps.skipped.len()
    );
    result
}

fn all(steps: &mut Steps, install: bool, with_lab: bool) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    steps.step("packages", |steps| {
        steps.skipped.extend(packages::install(install));
        Ok(())
    })?;
    steps.step("format", |steps| steps.command(cargo().args(["fmt", "--all", "--check"])))?;
    steps.step("architecture", |_| check::run())?;
    steps.step("clippy", |steps| {
        let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps.command(cargo().args(arguments))
    })?;
    steps.step("tests", |steps| {
        // All of them, so that one failure does not hide another.
        steps.command(cargo().args(["test", "--quiet", "--workspace", "--no-fail-fast"]))
    })?;
    steps.step("documentation", |_| docs::run())?;
    steps.step("fuzzing", |steps| match fuzz::available() {
        Ok(()) => fuzz::smoke(&workspace),
        Err(missing) => {
            steps.skipped.push(format!("the fuzz targets: {missing}"));
            Ok(())
        }
    })?;
    steps.step("lab", |steps| {
        if !with_lab {
            steps.skipped.push("the lab's scenarios: --no-lab was given".to_owned());
            return Ok(());
        }
        if let Err(error) = aire_lab::wan::available() {
            steps.skipped.push(format!("the lab's scenarios: {error}"));
            return Ok(());
        }
        let binary = workspace.build("aire", false)?;
        // Both, so that one failure does not hide another.
        let scenarios = lab::all(&workspace, &binary, &mut steps.tally);
        let faults = faults::brief(&workspace, &binary, &mut steps.tally);
        scenarios.and(faults)
    })
}
