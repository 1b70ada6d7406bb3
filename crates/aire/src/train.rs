//! `aire train`.

use std::process::ExitCode;

use aire_train::learn::{self, Plan, Request, Settings, Trained};

use crate::args::Train;
use crate::failure::Failure;
use crate::output::say;

/// Trains, and says what came of it and what an agent needs to take the model.
pub(crate) fn execute(asked: &Train) -> Result<ExitCode, Failure> {
    let without = learn::columns(&asked.without).map_err(Failure::usage)?;
    if asked.traces.is_empty() && asked.from.is_empty() && asked.synthetic == 0 {
        return Err(Failure::usage(
            "there is nothing to train on: give --from DIR, --traces DIR, or --synthetic 1 or more",
        ));
    }
    let seed = asked.seed;
    let request = Request {
        traces: asked.traces.clone(),
        histories: asked.from.clone(),
        out: asked.out.clone(),
        key: asked.key.clone(),
        resume: asked.resume.clone(),
        plan: Plan {
            seed,
            until: asked.until,
            questions: asked.questions,
            synthetic: asked.synthetic,
            ..Plan::default()
        },
        settings: Settings { seed, epochs: asked.epochs, without, ..Settings::default() },
    };
    let trained = learn::train(&request).map_err(Failure::because)?;
    say(&told(asked, &trained))?;
    Ok(ExitCode::SUCCESS)
}

fn told(asked: &Train, trained: &Trained) -> String {
    let Trained { name, report, key, public_key, rows, losses, chosen } = trained;
    let percent = |value: f64| format!("{:.1} %", value * 100.0);
    let made = if key.1 { "a new key, keep it" } else { "kept key" };
    format!(
        "model {name} in {}, report in {}\n\
         rows: {} to fit, {} to validate; loss {:.4}, {:.4} untrained\n\
         in-sample, as the margin was chosen on the same questions: saves {} of direct's round trips, harms {} (rule: {}, {})\n\
         signed with {} ({made}); agents that trust this public key take it:\n{public_key}\n",
        asked.out.display(),
        report.display(),
        rows[0],
        rows[1],
        losses[1],
        losses[0],
        percent(chosen.model.saved),
        percent(chosen.model.harmed),
        percent(chosen.rule.saved),
        percent(chosen.rule.harmed),
        key.0.display(),
    )
}
