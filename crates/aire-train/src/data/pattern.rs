//! Which files of a folder belong to a recording.

use std::path::{Path, PathBuf};

use super::description::FILE;
use super::error::Error;

/// The deepest folder that is looked into.
const DEEPEST: usize = 16;

/// The files below `dir` whose paths match `pattern`, by the number in place of `{n}` and then by name.
///
/// `*` stands for any part of one name, `**` for any folders, `{n}` for a number. Descriptions, licences and
/// Markdown files are no recordings.
pub(super) fn files(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let found = matching(dir, pattern)?;
    if found.is_empty() {
        let message = format!("no file matches `files = \"{pattern}\"`: correct the pattern in {FILE}");
        return Err(Error::in_file(dir, message));
    }
    Ok(found)
}

/// The same, where there may be none.
pub(super) fn matching(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = Vec::new();
    walk(dir, &parts, 0, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn walk(dir: &Path, parts: &[&str], depth: usize, found: &mut Vec<(u64, PathBuf)>) -> Result<(), Error> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    let unreadable = |error: std::io::Error| Error::in_file(dir, format!("cannot be read: {error}"));
    if *part == "**" {
        walk(dir, rest, depth, found)?;
    }
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            if *part == "**" && depth < DEEPEST {
                walk(&path, parts, depth + 1, found)?;
            } else if !rest.is_empty() && matches(part, name).is_some() {
                walk(&path, rest, depth + 1, found)?;
            }
        } else if rest.is_empty()
            && *part != "**"
            && is_recording(name)
            && let Some(number) = matches(part, name)
        {
            found.push((number, path));
        }
    }
    Ok(())
}

fn is_recording(name: &str) -> bool {
    name != FILE && !name.starts_with("LICENSE") && !name.ends_with(".md") && !name.starts_with('.')
}

/// Does `name` match one part of a pattern? The number in place of `{n}` then, else 0.
fn matches(part: &str, name: &str) -> Option<u64> {
    if let Some(rest) = part.strip_prefix("{n}") {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        let number = name[..digits].parse().ok()?;
        return matches(rest, &name[digits..]).map(|_| number);
    }
    if let Some(rest) = part.strip_prefix('*') {
        let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        return ends.into_iter().find_map(|at| matches(rest, &name[at..]));
    }
    let Some(first) = part.chars().next() else { return name.is_empty().then_some(0) };
    name.strip_prefix(first).and_then(|name| matches(&part[first.len_utf8()..], name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_their_parts() {
        assert_eq!(matches("F_{n}", "F_12"), Some(12));
        assert_eq!(matches("F_{n}.csv", "F_12.csv"), Some(12));
        assert_eq!(matches("F_{n}", "F_12b"), None);
        assert_eq!((matches("*.csv", "é.csv"), matches("*.csv", "a.txt")), (Some(0), None));
        assert_eq!((matches("*", ""), matches("a*b*", "axxbyy")), (Some(0), Some(0)));
    }

    #[test]
    fn frames_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["F_10", "F_9", "F_1", "LICENSE", "trace.toml"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("deep/x"), "").unwrap();
        let names = |pattern| {
            let found = files(dir.path(), pattern).unwrap();
            found
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("F_{n}"), ["F_1", "F_9", "F_10"]);
        assert_eq!(names("**/*").len(), 4);
        assert!(files(dir.path(), "G_{n}").unwrap_err().message.contains("G_{n}"));
    }
}
