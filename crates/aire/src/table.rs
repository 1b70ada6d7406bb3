//! Aligned columns for people.

/// Rows under a head; columns are as wide as their widest cell.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a `>` before a name puts its cells to the right.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        let right = columns.iter().map(|name| name.starts_with('>')).collect();
        let head = columns.iter().map(|name| name.trim_start_matches('>')).collect();
        Table { head, right, rows: Vec::new() }
    }

    /// Adds a row; cells beyond the columns are not shown.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// The table as text, each line with its end; `empty` when there are no rows.
    pub(crate) fn text(&self, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([self.head[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let head: Vec<String> = self.head.iter().map(|&name| name.to_owned()).collect();
        std::iter::once(&head).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).zip(&self.right).map(|((cell, &width), &right)| {
            if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    }
}

/// Names and values below each other; rows without a value are left out.
pub(crate) fn fields(rows: &[(&str, String)]) -> String {
    let shown = || rows.iter().filter(|(_, value)| !value.is_empty());
    let width = shown().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    shown().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed_and_figures_stand_to_the_right() {
        let mut table = Table::new(&["NODE", ">RTT", "ZONE"]);
        table.row(["müller".into(), "9 ms".into(), String::new()]);
        table.row(["n".into(), "120 ms".into(), "eu".into()]);
        assert_eq!(table.text("-"), "NODE       RTT  ZONE\nmüller    9 ms\nn       120 ms  eu\n");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new(&["NODE"]).text("no peers"), "no peers\n");
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let rows = [("node", "n1".to_owned()), ("app", String::new()), ("id", "x".to_owned())];
        assert_eq!(fields(&rows), "node  n1\nid    x\n");
    }
}
