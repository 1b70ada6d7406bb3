use std::fmt;

use cedar_policy::PolicyId;
use miette::Diagnostic;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The text is not used.
    Error,
    /// The text is used, but does not say what its author thinks.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// Something wrong with a policy text, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Name of the text, as its owner gave it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// How bad.
    pub severity: Severity,
    /// What is wrong and, where it can be guessed, what was meant. One line.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity, self.message)
    }
}

/// Why policy texts cannot be used; the configuration is to blame. At least one finding, each an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct PolicyErrors(pub Vec<Finding>);

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}

/// One policy text and its name, for turning byte offsets into lines.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    /// Line and column, both from 1, of the byte at `offset`; those of the end when it lies beyond.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
    }

    pub(crate) fn finding(&self, offset: usize, severity: Severity, message: String) -> Finding {
        let (line, column) = self.position(offset);
        Finding { file: self.name.to_owned(), line, column, severity, message }
    }

    /// A finding from one of Cedar's diagnostics, which stands at `fallback` where Cedar does not say where.
    pub(crate) fn diagnostic(
        &self,
        diagnostic: &dyn Diagnostic,
        policy: Option<&PolicyId>,
        fallback: usize,
        severity: Severity,
    ) -> Finding {
        let offset = diagnostic.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
        let mut message = diagnostic.to_string();
        if let Some(policy) = policy
            && let Some(rest) = message.strip_prefix(&format!("for policy `{policy}`, "))
        {
            message = rest.to_owned();
        }
        // There are too few names for Cedar's guess, by likeness, to be a good one.
        let help = match &message {
            text if text.starts_with("unrecognized action") => {
                Some("the actions are `connect` and `relay`".to_owned())
            }
            text if text.starts_with("unrecognized entity type") => {
                Some("the types are `App` and `Node`".to_owned())
            }
            _ => diagnostic.help().map(|help| help.to_string()),
        };
        if let Some(help) = help {
            message = format!("{message} ({help})");
        }
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        self.finding(offset.unwrap_or(fallback), severity, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = Text { name: "f", text: "ab\näöx\n" };
        assert_eq!(text.position(0), (1, 1));
        assert_eq!(text.position(1), (1, 2));
        assert_eq!(text.position(3), (2, 1));
        assert_eq!(text.position(7), (2, 3));
        assert_eq!(text.position(8), (2, 4));
        assert_eq!(text.position(9), (3, 1));
        assert_eq!(text.position(1000), (3, 1));
    }
}
