//! Text files of rows and named columns.

use std::path::Path;

use super::error::Error;

/// What recorders write where there is no number, in any case.
const NOTHING: [&str; 7] = ["", "-", "na", "n/a", "nan", "null", "none"];

/// The number in a cell, NaN where it says that there is none; `None` where it is neither.
pub(super) fn number(cell: &str) -> Option<f64> {
    if NOTHING.iter().any(|nothing| cell.eq_ignore_ascii_case(nothing)) {
        return Some(f64::NAN);
    }
    cell.parse().ok()
}

/// The header of a file: where each named column is.
pub(super) struct Header<'a> {
    file: &'a Path,
    separator: char,
    names: Vec<String>,
}

impl<'a> Header<'a> {
    /// Reads the first line of `text`.
    pub(super) fn read(file: &'a Path, text: &str, separator: char) -> Result<Self, Error> {
        let first = text.lines().next().unwrap_or_default().trim_start_matches('\u{feff}');
        let names = cells(first, separator);
        if names.is_empty() {
            return Err(Error::in_file(file, "is empty: its first line must name the columns"));
        }
        Ok(Header { file, separator, names })
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Result<usize, Error> {
        self.names.iter().position(|known| known == name).ok_or_else(|| {
            let message = format!("has no column `{name}`; there are {}", self.names.join(", "));
            Error::in_line(self.file, 1, message)
        })
    }

    /// The rows below the header, with their line numbers.
    pub(super) fn rows<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Row<'t>> {
        let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(index, line)| Row {
            file: self.file,
            line: index + 1,
            cells: cells(line, self.separator),
        })
    }
}

/// One row.
pub(super) struct Row<'a> {
    pub(super) file: &'a Path,
    pub(super) line: usize,
    cells: Vec<String>,
}

impl Row<'_> {
    /// The text in one column.
    pub(super) fn text(&self, column: usize) -> Result<&str, Error> {
        self.cells.get(column).map(String::as_str).ok_or_else(|| {
            let message = format!("has {} columns, and column {} is needed", self.cells.len(), column + 1);
            Error::in_line(self.file, self.line, message)
        })
    }

    /// The number in one column; NaN where the cell is empty or says that there is none.
    pub(super) fn number(&self, column: usize, name: &str) -> Result<f64, Error> {
        let text = self.text(column)?;
        self::number(text).ok_or_else(|| {
            let message = format!(
                "`{text}` in column `{name}` is no number: correct it, or write NA where there is none"
            );
            Error::in_line(self.file, self.line, message)
        })
    }
}

/// The cells of one line; a cell in double quotes may hold the separator (RFC 4180 without line breaks in cells).
fn cells(line: &str, separator: char) -> Vec<String> {
    if line.is_empty() {
        return Vec::new();
    }
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = cells.len() - 1;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cells[last].push('"');
            }
            '"' if quoted || cells[last].is_empty() => quoted = !quoted,
            _ if letter == separator && !quoted => cells.push(String::new()),
            _ => cells[last].push(letter),
        }
    }
    for cell in &mut cells {
        let trimmed = cell.trim();
        if trimmed.len() != cell.len() {
            *cell = trimmed.to_owned();
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_may_say_that_there_is_no_number() {
        for nothing in ["", "-", "NA", "n/a", "N/A", "NaN", "nan", "null", "NULL", "None"] {
            assert!(number(nothing).is_some_and(f64::is_nan), "{nothing}");
        }
        assert_eq!((number("-1.5e3"), number("many"), number("--")), (Some(-1500.0), None, None));
    }

    #[test]
    fn quotes_hold_separators_together() {
        assert_eq!(cells("a, \"b\",c", ','), ["a", "\"b\"", "c"]);
        assert_eq!(cells("\"a,b\",\"c\"\"d\",", ','), ["a,b", "c\"d", ""]);
        assert!(cells("", ';').is_empty());
    }
}
