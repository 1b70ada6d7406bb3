//! A trained model as bytes.
//!
//! ```text
//! "AIRE-NET" u8 version, u64 schema hash, text name (1 to 63), text summary (at most 4096)
//! per feature: f32 mean, f32 scale, f32 low, f32 high
//! f64 errors, f64 least, f64 share, f64 homing, u16 proof          the margin
//! f64 pull, wary, push, strain, near_ms, near_share, load, dwell       the herd tuning
//! f32 × WEIGHTS                                         see Network::from_weights
//! u8 count (at most 16), per golden vector: f32 × COUNT features, f32 × OUTPUTS answer
//! ```
//! Numbers are big-endian, texts carry their length as a varint. Who may write one is not decided here: agents take artefacts in
//! a signed envelope only.

use aire_wire::{DecodeError, Reader, put_text};

use super::features::{COUNT, NAMES, SCHEMA_HASH};
use super::network::{Network, OUTPUTS, WEIGHTS};
use crate::contest::Margin;
use crate::herd::HerdTuning;

const MAGIC: &[u8; 8] = b"AIRE-NET";
const VERSION: u8 = 3;
const NAME: usize = 63;
const SUMMARY: usize = 4096;
const GOLDEN: usize = 16;
/// Between the trainer's arithmetic and ours, relative to the answer or to 1 where that is more.
const TOLERANCE: f32 = 1e-4;

/// Why bytes are no model for this agent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArtefactError {
    /// The bytes are not of this format, or damaged.
    #[error("the file is not a model or is damaged: {0}")]
    Malformed(#[from] DecodeError),
    /// Another kind of file.
    #[error("the file is not a model: it does not begin with AIRE-NET")]
    Magic,
    /// Of a format that this build does not know.
    #[error(
        "the model has format {0}, this agent reads format {VERSION}; train it with the same version of aire"
    )]
    Version(u8),
    /// Trained on other features than this build computes.
    #[error(
        "the model was trained for other features (schema {got:016x}, this agent has {SCHEMA_HASH:016x}); \
         train it with the same version of aire"
    )]
    Schema {
        /// What the file says.
        got: u64,
    },
    /// A number that cannot be: not finite, or out of its range.
    #[error("the model is damaged: {0} is out of range")]
    Number(&'static str),
    /// Inference here gives something else than the trainer got.
    #[error(
        "the model answers golden vector {0} otherwise than its trainer did; it is damaged, or a bug in aire"
    )]
    Golden(usize),
}

/// What the trainer knows of one feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Subtracted before the network sees it.
    pub mean: f32,
    /// Divides it then; above 0.
    pub scale: f32,
    /// The least value that the model may be asked about.
    pub low: f32,
    /// The most.
    pub high: f32,
}

impl Default for Range {
    fn default() -> Self {
        Range { mean: 0.0, scale: 1.0, low: -1e6, high: 1e6 }
    }
}

/// Features, as they are before normalisation, and what the trainer's own network answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Golden {
    /// The features.
    pub features: [f32; COUNT],
    /// The answer.
    pub answer: [f32; OUTPUTS],
}

/// A trained model: what it takes to answer, and what people want to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Artefact {
    /// How it is called in decisions and in `aire status`.
    pub name: String,
    /// How it was trained, for people.
    pub summary: String,
    /// Normalisation and valid range of each feature.
    pub ranges: [Range; COUNT],
    /// By how much a challenger must win.
    pub margin: Margin,
    /// How an agent that follows it behaves as one of many.
    pub herd: HerdTuning,
    /// The weights.
    pub network: Network,
    /// Ties inference to the trainer; checked whenever an artefact is read.
    pub golden: Vec<Golden>,
}

impl Artefact {
    /// An untrained one: the rule.
    pub fn untrained(name: &str) -> Self {
        Artefact {
            name: name.to_owned(),
            summary: String::new(),
            ranges: [Range::default(); COUNT],
            margin: Margin::default(),
            herd: HerdTuning::default(),
            network: Network::zero(),
            golden: Vec::new(),
        }
    }

    /// What the network answers to features that are not normalised yet. Allocates nothing.
    pub fn answer(&self, features: &[f32; COUNT]) -> [f32; OUTPUTS] {
        let mut inputs = *features;
        for (input, range) in inputs.iter_mut().zip(&self.ranges) {
            *input = (*input - range.mean) / range.scale;
        }
        self.network.forward(&inputs)
    }

    /// The first feature that lies outside of what the model was trained on, or is no number.
    pub fn outside(&self, features: &[f32; COUNT]) -> Option<&'static str> {
        let inside = |(value, range): (&f32, &Range)| *value >= range.low && *value <= range.high;
        let inside_all = features.iter().zip(&self.ranges).map(inside).fold(true, |all, one| all & one);
        if inside_all {
            return None;
        }
        let at = features.iter().zip(&self.ranges).position(|pair| !inside(pair));
        at.map(|at| NAMES[at])
    }

    /// The bytes of the artefact.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8192 + 4 * WEIGHTS);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&SCHEMA_HASH.to_be_bytes());
        put_text(&mut out, &self.name, NAME);
        put_text(&mut out, &self.summary, SUMMARY);
        for range in &self.ranges {
            put_numbers(&mut out, &[range.mean, range.scale, range.low, range.high]);
        }
        let Margin { errors, least, share, homing, proof } = self.margin;
        out.extend([errors, least, share, homing].iter().flat_map(|number| number.to_be_bytes()));
        out.extend_from_slice(&proof.to_be_bytes());
        let HerdTuning { pull, wary, push, strain, near_ms, near_share, load, dwell } = self.herd;
        let herd = [pull, wary, push, strain, near_ms, near_share, load, dwell];
        out.extend(herd.iter().flat_map(|number| number.to_be_bytes()));
        put_numbers(&mut out, &self.network.weights());
        let golden = &self.golden[..self.golden.len().min(GOLDEN)];
        out.push(golden.len() as u8);
        for golden in golden {
            put_numbers(&mut out, &golden.features);
            put_numbers(&mut out, &golden.answer);
        }
        out
    }

    /// Reads an artefact and checks all of it: ranges, numbers and golden vectors.
    ///
    /// # Errors
    /// The bytes are no model, one for another version, or a damaged one.
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtefactError> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len(), "magic").ok() != Some(MAGIC) {
            return Err(ArtefactError::Magic);
        }
        match reader.u8("version")? {
            VERSION => {}
            other => return Err(ArtefactError::Version(other)),
        }
        match reader.u64("schema")? {
            SCHEMA_HASH => {}
            got => return Err(ArtefactError::Schema { got }),
        }
        let name = reader.text(NAME, "name")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
            let why = "only letters, digits, '-', '.' and '_' may be in it".to_owned();
            return Err(DecodeError::Malformed { what: "name", why }.into());
        }
        let summary = reader.text(SUMMARY, "summary")?;
        let mut ranges = [Range::default(); COUNT];
        for range in &mut ranges {
            *range = read_range(&mut reader)?;
        }
        let margin = read_margin(&mut reader)?;
        let herd = read_herd(&mut reader)?;
        let weights = reader.take(4 * WEIGHTS, "weights")?;
        let weights: Vec<f32> = weights.as_chunks::<4>().0.iter().map(|b| f32::from_be_bytes(*b)).collect();
        let network = Network::from_weights(&weights).ok_or(ArtefactError::Number("a weight"))?;
        let golden = read_golden(&mut reader)?;
        reader.end()?;
        let artefact = Artefact {
            name: name.to_owned(),
            summary: summary.to_owned(),
            ranges,
            margin,
            herd,
            network,
            golden,
        };
        artefact.check_golden()?;
        Ok(artefact)
    }

    /// Does inference here answer as the trainer's did?
    ///
    /// # Errors
    /// Names the first golden vector that is answered otherwise.
    pub fn check_golden(&self) -> Result<(), ArtefactError> {
        let near = |got: f32, want: f32| (got - want).abs() <= TOLERANCE * want.abs().max(1.0);
        let wrong = |golden: &Golden| {
            let answer = self.answer(&golden.features);
            !answer.iter().zip(golden.answer).all(|(got, want)| near(*got, want))
        };
        self.golden.iter().position(wrong).map_or(Ok(()), |at| Err(ArtefactError::Golden(at)))
    }
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[f32]) {
    out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
}

fn number(reader: &mut Reader<'_>, what: &'static str) -> Result<f32, ArtefactError> {
    let value = f32::from_bits(reader.u32(what)?);
    if value.is_finite() { Ok(value) } else { Err(ArtefactError::Number(what)) }
}

fn read_range(reader: &mut Reader<'_>) -> Result<Range, ArtefactError> {
    let mean = number(reader, "a mean")?;
    let scale = number(reader, "a scale")?;
    let (low, high) = (number(reader, "a range")?, number(reader, "a range")?);
    if scale < 1e-6 {
        return Err(ArtefactError::Number("a scale"));
    }
    if low > high {
        return Err(ArtefactError::Number("a range"));
    }
    Ok(Range { mean, scale, low, high })
}

/// The next number, within 0 and `most`.
fn within(reader: &mut Reader<'_>, most: f64, what: &'static str) -> Result<f64, ArtefactError> {
    let value = f64::from_bits(reader.u64(what)?);
    if (0.0..=most).contains(&value) { Ok(value) } else { Err(ArtefactError::Number(what)) }
}

fn read_margin(reader: &mut Reader<'_>) -> Result<Margin, ArtefactError> {
    let mut next = |most| within(reader, most, "the margin");
    let (errors, least, share, homing) = (next(100.0)?, next(100.0)?, next(10.0)?, next(10.0)?);
    let proof = reader.u16("the margin")?;
    Ok(Margin { errors, least, share, homing, proof })
}

fn read_herd(reader: &mut Reader<'_>) -> Result<HerdTuning, ArtefactError> {
    let mut next = |most| within(reader, most, "the herd tuning");
    Ok(HerdTuning {
        pull: next(1.0)?,
        wary: next(1.0)?,
        push: next(1.0)?,
        strain: next(1.0)?,
        near_ms: next(1000.0)?,
        near_share: next(1.0)?,
        load: next(100.0)?,
        dwell: next(100.0)?,
    })
}

fn read_golden(reader: &mut Reader<'_>) -> Result<Vec<Golden>, ArtefactError> {
    let count = usize::from(reader.u8("golden vectors")?);
    if count > GOLDEN {
        let (got, limit) = (count as u64, GOLDEN as u64);
        return Err(DecodeError::TooLong { what: "golden vectors", got, limit }.into());
    }
    let mut golden = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector = Golden { features: [0.0; COUNT], answer: [0.0; OUTPUTS] };
        for value in vector.features.iter_mut().chain(&mut vector.answer) {
            *value = number(reader, "a golden vector")?;
        }
        golden.push(vector);
    }
    Ok(golden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    #[test]
    fn what_is_written_is_read() {
        for seed in 0..8 {
            let artefact = samples::artefact(seed);
            assert!(Artefact::decode(&artefact.encode()) == Ok(artefact), "seed {seed}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        let good = samples::artefact(3).encode();
        let broken = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Artefact::decode(&bytes).unwrap_err()
        };
        assert_eq!(broken(0, b'B'), ArtefactError::Magic);
        assert_eq!(broken(8, 9), ArtefactError::Version(9));
        assert!(matches!(broken(9, !good[9]), ArtefactError::Schema { .. }));
        assert!(matches!(Artefact::decode(&good[..good.len() - 1]), Err(ArtefactError::Malformed(_))));
        let longer = [&good[..], &[0]].concat();
        assert!(matches!(Artefact::decode(&longer), Err(ArtefactError::Malformed(DecodeError::Trailing(1)))));
    }

    #[test]
    fn inference_that_differs_from_the_trainer_is_found() {
        let mut artefact = samples::artefact(4);
        artefact.golden[1].answer[2] += 0.01;
        assert_eq!(Artefact::decode(&artefact.encode()).err(), Some(ArtefactError::Golden(1)));
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let spoil = |change: fn(&mut Artefact)| {
            let mut artefact = samples::artefact(5);
            change(&mut artefact);
            Artefact::decode(&artefact.encode()).unwrap_err()
        };
        assert_eq!(spoil(|a| a.ranges[0].scale = 0.0), ArtefactError::Number("a scale"));
        assert_eq!(spoil(|a| a.ranges[1].low = 1e9), ArtefactError::Number("a range"));
        assert_eq!(spoil(|a| a.ranges[1].mean = f32::NAN), ArtefactError::Number("a mean"));
        assert_eq!(spoil(|a| a.margin.errors = -1.0), ArtefactError::Number("the margin"));
    }

    #[test]
    fn a_feature_outside_its_range_is_named() {
        let mut artefact = samples::artefact(6);
        let mut features = [0.0; COUNT];
        assert_eq!(artefact.outside(&features), None);
        artefact.ranges[4].high = -0.5;
        assert_eq!(artefact.outside(&features), Some(NAMES[4]));
        features[2] = f32::NAN;
        assert_eq!(artefact.outside(&features), Some(NAMES[2]));
    }
}
