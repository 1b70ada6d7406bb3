use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

/// The most that is kept, bytes.
const CAPACITY: usize = 512 * 1024;
/// Longer lines are cut.
const MAX_LINE: usize = 4096;

/// The last lines of the agent's log, for bug reports. Copies are the same log.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Log {
    /// The lines that are kept, oldest first.
    pub fn text(&self) -> String {
        let kept = self.0.lock();
        let mut all = Vec::with_capacity(kept.bytes);
        kept.lines.iter().for_each(|line| all.extend_from_slice(line));
        String::from_utf8_lossy(&all).into_owned()
    }

    fn keep(&self, line: &[u8]) {
        let mut line = line[..line.len().min(MAX_LINE)].to_vec();
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        let mut kept = self.0.lock();
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.bytes > CAPACITY {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }
}

/// Every write is one line or more, as loggers do it.
impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.keep(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more() {
        let mut log = Log::default();
        for n in 0..20_000 {
            log.write_all(format!("line {n} {}\n", "x".repeat(50)).as_bytes()).unwrap();
        }
        let text = log.text();
        assert!(text.len() <= CAPACITY && text.len() > CAPACITY / 2, "{}", text.len());
        assert!(text.lines().last().unwrap().starts_with("line 19999 "));
        assert!(!text.contains("line 0 "));
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut log = Log::default();
        log.write_all(&[b'x'; 100_000]).unwrap();
        assert_eq!(log.text().len(), MAX_LINE + 1);
    }
}
