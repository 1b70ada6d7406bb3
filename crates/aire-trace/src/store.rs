use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use aire_types::NodeName;

use crate::codec::{self, encode};
use crate::names::{MOST, Names};
use crate::record::Record;
use crate::segment::{MAX_SEGMENT, Segment, frame, header, name_frame};

/// What segments' names end with; before it stands the time of their first record, milliseconds since 1970.
pub const SUFFIX: &str = "trace";
/// What an importer has to know of the folder, before the length of a frame.
const DESCRIPTION: &str = "# What this folder holds, for an importer: the history that agents record.\n\
    kind = \"records\"\nfiles = \"**/*.trace\"\nquantity = \"rtt\"\nstep_s = ";
/// The store is parted into so many segments, so that the oldest part can go.
const PARTS: u64 = 8;
const SMALLEST: u64 = 64 << 10;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all segments together.
    pub bytes: u64,
    /// Segments whose records are all older than this are dropped.
    pub age: Duration,
}

/// Why the store could not do it, and where. It may be able to the next time.
#[derive(Debug, thiserror::Error)]
#[error(
    "the history in {path} cannot be kept: {source}; make room there, or turn it off with [history] enabled = false"
)]
pub struct StoreError {
    /// Which file or folder.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// A folder of segments, to which one process appends.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    node: NodeName,
    span: Duration,
    limits: Limits,
    open: Option<Open>,
    /// The folder's description says what this store writes.
    described: bool,
}

/// The segment that is written to.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// By the clock of that time, which its name need not have.
    begun_ms: u64,
    /// All that was written whole.
    length: u64,
    names: Names,
}

impl Store {
    /// A store in `dir` for what `node` records once a `span`. Nothing is touched before the first [`Store::append`].
    pub fn new(dir: PathBuf, node: NodeName, span: Duration, limits: Limits) -> Self {
        Store { dir, node, span, limits, open: None, described: false }
    }

    /// Appends records; all of them, or none. The first call goes on with the last segment, cutting off what a crash has
    /// torn.
    ///
    /// # Errors
    /// The folder cannot be written. The records are lost; the next call tries anew.
    pub fn append(&mut self, now_ms: u64, records: &[Record]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.make_dir()?;
        if self.open.is_none() {
            self.open = self.resume(now_ms);
        }
        if self.open.as_ref().is_some_and(|open| self.is_full(open, now_ms)) {
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(now_ms)?,
        };
        let known = open.names.len();
        let batch = open.encode(records);
        self.make_room(now_ms, batch.len() as u64, &open.path)?;
        if let Err(source) = open.file.write_all(&batch) {
            open.names.truncate(known);
            let path = open.path.clone();
            // Half a batch would hide what comes behind it: cut it off, or leave this segment.
            if open.file.set_len(open.length).is_ok() {
                self.open = Some(open);
            }
            return Err(StoreError { path, source });
        }
        open.length += batch.len() as u64;
        self.open = Some(open);
        Ok(())
    }

    fn segment_bytes(&self) -> u64 {
        (self.limits.bytes / PARTS).clamp(SMALLEST, MAX_SEGMENT / 8)
    }

    fn is_full(&self, open: &Open, now_ms: u64) -> bool {
        let oldest = u64::try_from(self.limits.age.as_millis()).unwrap_or(u64::MAX) / PARTS;
        open.length >= self.segment_bytes()
            || open.names.len() >= MOST / 2
            || now_ms.abs_diff(open.begun_ms) > oldest
            || !open.path.exists()
    }

    fn make_dir(&mut self) -> Result<(), StoreError> {
        let failed = |path: &Path, source| StoreError { path: path.to_owned(), source };
        if !self.dir.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
            made.map_err(|source| failed(&self.dir, source))?;
        }
        let path = self.dir.join("trace.toml");
        if !self.described || !path.exists() {
            let text = format!("{DESCRIPTION}{:?}\n", self.span.as_secs_f64());
            describe(&path, &text).map_err(|source| failed(&path, source))?;
            self.described = true;
        }
        Ok(())
    }

    /// The last segment, where it is sound enough to go on with.
    fn resume(&self, now_ms: u64) -> Option<Open> {
        let (since_ms, path, length) = self.segments().pop()?;
        if length > MAX_SEGMENT {
            return None;
        }
        let file = OpenOptions::new().read(true).append(true).open(&path).ok()?;
        let mut bytes = Vec::new();
        (&file).take(MAX_SEGMENT).read_to_end(&mut bytes).ok()?;
        let segment = Segment::read(&bytes).ok().filter(|segment| segment.node == self.node.as_str())?;
        let length = segment.sound as u64;
        file.set_len(length).ok()?;
        Some(Open { file, path, begun_ms: since_ms.min(now_ms), length, names: segment.names })
    }

    fn begin(&self, now_ms: u64) -> Result<Open, StoreError> {
        // Names rise even where the clock went back.
        let last = self.segments().last().map_or(0, |(since, ..)| since + 1);
        let since_ms = now_ms.max(last);
        let path = self.dir.join(format!("{since_ms:014}.{SUFFIX}"));
        let failed = |source| StoreError { path: path.clone(), source };
        let file =
            OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        Ok(Open { file, path, begun_ms: now_ms, length: 0, names: Names::default() }.with_node(&self.node))
    }

    /// Segments in order of time: since when, where, how long.
    fn segments(&self) -> Vec<(u64, PathBuf, u64)> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let segment = |entry: io::Result<fs::DirEntry>| {
            let path = entry.ok()?.path();
            let since = path.file_name()?.to_str()?.strip_suffix(&format!(".{SUFFIX}"))?.parse().ok()?;
            let length = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
            Some((since, path, length))
        };
        let mut segments: Vec<_> = entries.filter_map(segment).collect();
        segments.sort();
        segments
    }

    /// Drops the oldest segments until `more` bytes fit, and those that are too old: a segment ends where the next begins.
    fn make_room(&self, now_ms: u64, more: u64, keep: &Path) -> Result<(), StoreError> {
        let segments = self.segments();
        let age = u64::try_from(self.limits.age.as_millis()).unwrap_or(u64::MAX);
        let mut total: u64 = more + segments.iter().map(|(.., length)| length).sum::<u64>();
        let ends = ends(&segments, now_ms);
        for ((_, path, length), end) in segments.iter().zip(ends) {
            let old = now_ms.saturating_sub(end) > age;
            if path == keep || !(old || total > self.limits.bytes) {
                break;
            }
            fs::remove_file(path).map_err(|source| StoreError { path: path.clone(), source })?;
            total -= length;
        }
        Ok(())
    }
}

/// Writes a description that differs from what stands there: whole, or not at all.
fn describe(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let next = path.with_extension("toml.next");
    fs::write(&next, text)?;
    fs::rename(next, path)
}

/// When the last record of each segment was written, milliseconds since 1970, no later than in the next one. Names alone do
/// not tell: where the clock once stood ahead, all later ones are of that time.
fn ends(segments: &[(u64, PathBuf, u64)], now_ms: u64) -> Vec<u64> {
    let mut ends = vec![now_ms; segments.len()];
    let mut next = now_ms;
    for (end, (since, path, _)) in ends.iter_mut().zip(segments).rev() {
        *end = next.min(written_ms(path).unwrap_or(u64::MAX));
        next = (*end).min(*since);
    }
    ends
}

fn written_ms(path: &Path) -> Option<u64> {
    let written = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(written.as_millis()).ok()
}

impl Open {
    /// The recording node's name is the first one.
    fn with_node(mut self, node: &NodeName) -> Self {
        self.names.push(node.as_str());
        self
    }

    /// Names that are new, then the records; before all the header where the segment is new.
    fn encode(&mut self, records: &[Record]) -> Vec<u8> {
        let mut batch = Vec::with_capacity(64 * records.len());
        if self.length == 0 {
            batch.extend(header());
            batch.extend(name_frame(self.names.get(0).unwrap_or_default()));
        }
        for record in records {
            for name in codec::names_of(record) {
                if self.names.find(name).is_none() {
                    self.names.push(name);
                    batch.extend(name_frame(name));
                }
            }
            batch.extend(frame(&encode(record, &self.names)));
        }
        batch
    }
}

#[cfg(test)]
mod tests;
