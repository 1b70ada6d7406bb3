use std::fmt;

use aire_types::NodeName;
use serde::{Deserialize, Serialize};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It could not be known; `says` has why.
    NotChecked,
    /// It works, and will not for ever or not for everybody.
    Warn,
    /// Something does not work.
    Fail,
}

impl Verdict {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NotChecked => "not checked",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

/// One check of `aire doctor` or `aire run --check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked, such as `policy`, `seed` or `clock`; there may be several of a kind.
    pub check: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was seen.
    pub says: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &str, says: impl Into<String>) -> Self {
        Finding { check: check.to_owned(), verdict: Verdict::Ok, says: says.into(), advice: None }
    }

    /// Nothing is known.
    pub fn not_checked(check: &str, why: impl Into<String>) -> Self {
        Finding { verdict: Verdict::NotChecked, ..Self::ok(check, why) }
    }

    /// Something to look after.
    pub fn warn(check: &str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Warn, advice: Some(advice.into()), ..Self::ok(check, says) }
    }

    /// Something is broken; `advice` may be part of `says` already.
    pub fn fail(check: &str, says: impl Into<String>, advice: Option<String>) -> Self {
        Finding { verdict: Verdict::Fail, advice, ..Self::ok(check, says) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<11}  {:<11}  {}", self.verdict.as_str(), self.check, self.says)?;
        self.advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
    }
}

/// `doctor`: what the checks of a node came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Which node.
    pub node: NodeName,
    /// Whether its agent runs and was asked; else its configuration was tried without it.
    pub running: bool,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// The worst of the findings.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }
}
