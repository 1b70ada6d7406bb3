//! What is told of a training run.

use std::fmt::Write as _;

use aire_brain::model::NAMES;

use super::calibration::Calibration;
use super::dataset::{Dataset, Plan};
use super::margin::{Chosen, Verdict};
use super::trainer::{Fitted, Settings};

/// All that a report is made of.
#[derive(Debug)]
pub struct Account<'a> {
    /// What was looked at.
    pub dataset: &'a Dataset,
    /// How that was drawn.
    pub plan: &'a Plan,
    /// How it was learned from.
    pub settings: &'a Settings,
    /// What came out.
    pub fitted: &'a Fitted,
    /// Shifts of the quantiles.
    pub calibration: &'a Calibration,
    /// Shares of gains below each quantile on the validation part, before and after the shift.
    pub coverage: [Vec<(f32, f32)>; 2],
    /// Where the margin comes from.
    pub chosen: &'a Chosen,
    /// Loss on the validation part where one feature's values are exchanged between rows.
    pub importance: &'a [(&'static str, f64)],
    /// Names the artefact.
    pub name: &'a str,
    /// Seconds that all took.
    pub took_s: f64,
}

impl Account<'_> {
    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# Training report: {}\n\n", self.name);
        self.data(&mut text);
        self.learning(&mut text);
        self.calibration(&mut text);
        self.margin(&mut text);
        self.importance(&mut text);
        text
    }

    fn data(&self, text: &mut String) {
        text.push_str("## Data\n");
        let Plan { seed, until, .. } = self.plan;
        let _ = write!(
            text,
            "Probers with 1.5 and 4 probes per destination and round went through each set; every candidate of a noted question is a row, \
             labelled with its gain over direct on the frame that a decision would have met. Weights are fitted on early frames of some nodes; \
             validation has later frames of ways from or to other nodes. Of each recorded set the first {:.0} % of the frames were seen, and no \
             node that is a newcomer in the first five folds of `aire eval` where enough others are left; of a mesh's own history all. \
             Seed {seed}.\n\n",
            until * 100.0
        );
        text.push_str("| set | nodes | known | fitted on | frames | seen | fitted on | rows fitted | rows validating |\n");
        text.push_str("|---|---|---|---|---|---|---|---|---|\n");
        for share in &self.dataset.shares {
            let ([all, known, fitted], [frames, seen, split]) = (share.nodes, share.frames);
            let _ = writeln!(
                text,
                "| {} | {all} | {known} | {fitted} | {frames} | {seen} | {split} | {} | {} |",
                share.name, share.rows[0], share.rows[1]
            );
        }
        for (name, why) in &self.dataset.left_out {
            let _ = writeln!(text, "\n{name} was left out: {why}.");
        }
        text.push_str("\nEach set counts the same, whatever its rows.\n\n");
    }

    fn learning(&self, text: &mut String) {
        let Settings { seed, hidden, epochs, patience, batch, rate, decay, clip, without } = self.settings;
        let _ = write!(
            text,
            "## Learning\nPinball loss of five quantiles and Huber loss of the mean, on top of the rule's figures; Adam, rate {rate} falling on a \
             cosine, decay {decay}, {batch} rows a step, hidden layers {hidden:?}, at most {epochs} epochs, patience {patience}, gains cut at ±{clip}, \
             seed {seed}."
        );
        if !without.is_empty() {
            let names: Vec<&str> = without.iter().map(|&column| NAMES[column]).collect();
            let _ = write!(text, " The network does not see: {}.", names.join(", "));
        }
        let _ = write!(
            text,
            "\nThe weights are those of epoch {} of {}; {:.0} s in all.\n\n",
            self.fitted.best_epoch,
            self.fitted.history.len(),
            self.took_s
        );
        text.push_str("| epoch | loss fitting | loss validating |\n|---|---|---|\n");
        let _ = writeln!(text, "| untrained | | {:.5} |", self.fitted.untrained_loss);
        for (number, epoch) in self.fitted.history.iter().enumerate() {
            let _ = writeln!(
                text,
                "| {} | {:.5} | {:.5} |",
                number + 1,
                epoch.training_loss,
                epoch.validation_loss
            );
        }
        text.push('\n');
    }

    fn calibration(&self, text: &mut String) {
        text.push_str(
            "## Calibration\nShare of the gains of the validation part at or below each quantile. The shift was chosen on the same rows, \
             so the last column is in-sample.\n\n",
        );
        text.push_str("| quantile | as learned | shift | as shipped (in-sample) |\n|---|---|---|---|\n");
        let [before, after] = &self.coverage;
        for ((before, after), shift) in before.iter().zip(after).zip(self.calibration.shift) {
            let _ = writeln!(text, "| {} | {:.3} | {shift:+.4} | {:.3} |", before.0, before.1, after.1);
        }
        text.push('\n');
    }

    fn margin(&self, text: &mut String) {
        let Chosen { margin, model, rule, untrained } = self.chosen;
        text.push_str("## Margin\nChosen on the questions of the validation part: most saved with at most 2 % harmed, or no more than the rule; all figures are \
             of these same questions (in-sample).\n\n");
        text.push_str("| policy | saved of direct | harmed > 10 % | relayed | errors | least | share | proof |\n|---|---|---|---|---|---|---|---|\n");
        let mut row = |name: &str, verdict: &Verdict, margin: &aire_brain::Margin| {
            let Verdict { saved, harmed, relayed } = verdict;
            let _ = writeln!(
                text,
                "| {name} | {:.2} % | {:.2} % | {:.1} % | {} | {} | {} | {} |",
                saved * 100.0,
                harmed * 100.0,
                relayed * 100.0,
                margin.errors,
                margin.least,
                margin.share,
                margin.proof
            );
        };
        row("rule", rule, &aire_brain::Margin::default());
        row("the rule's figures, best margin", &untrained.0, &untrained.1);
        row("model", model, margin);
        text.push('\n');
    }

    fn importance(&self, text: &mut String) {
        if self.importance.is_empty() {
            return;
        }
        text.push_str("## Features\nLoss on the validation part with the values of one feature exchanged between rows.\n\n");
        text.push_str("| feature | loss added |\n|---|---|\n");
        for (name, added) in self.importance {
            let _ = writeln!(text, "| {name} | {added:+.5} |");
        }
    }
}
