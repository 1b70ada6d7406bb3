//! Records ⇄ payloads of frames. Integers are LEB128, least significant group first.

use aire_types::{AppName, Class, MAX_RELAYS, NodeName, Path};

use crate::names::Names;
use crate::record::{Choice, Delays, Observation, Origin, Packets, Record, Transfer};

/// The kinds of payloads, their first byte. What is not known is skipped by readers.
pub(crate) mod kind {
    /// The next name.
    pub(crate) const NAME: u8 = 0;
    pub(crate) const OBSERVATION: u8 = 1;
    pub(crate) const CHOICE: u8 = 2;
}

/// The longest name.
pub(crate) const MAX_NAME: usize = 255;

/// Writes one payload. Names must be known already, see [`names_of`].
pub(crate) fn encode(record: &Record, names: &Names) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::with_capacity(64), names };
    match record {
        Record::Observation(observation) => writer.observation(observation),
        Record::Choice(choice) => writer.choice(choice),
    }
    writer.bytes
}

/// All names that a record uses.
pub(crate) fn names_of(record: &Record) -> Vec<&str> {
    let (mut names, path) = match record {
        Record::Observation(it) => (vec![it.from.as_str(), it.to.as_str()], &it.path),
        Record::Choice(it) => (vec![it.to.as_str(), it.app.as_str(), shortened(&it.by)], &it.path),
    };
    names.extend(path.relays().iter().map(NodeName::as_str));
    names
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

struct Writer<'a> {
    bytes: Vec<u8>,
    names: &'a Names,
}

impl Writer<'_> {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn name(&mut self, name: &str) {
        // A name that nobody announced reads as damage, which is better than another's name.
        self.number(self.names.find(name).unwrap_or(usize::MAX >> 1) as u64);
    }

    fn path(&mut self, path: &Path) {
        self.number(path.relays().len() as u64);
        path.relays().iter().for_each(|relay| self.name(relay.as_str()));
    }

    fn observation(&mut self, it: &Observation) {
        self.bytes.push(kind::OBSERVATION);
        self.number(it.at_ms);
        self.number(it.span_ms.into());
        self.name(it.from.as_str());
        self.name(it.to.as_str());
        self.path(&it.path);
        self.bytes.push(it.origin as u8);
        let delays = it.delays.filter(|delays| delays.count > 0);
        self.number(delays.map_or(0, |delays| delays.count.into()));
        if let Some(Delays { mean_us, min_us, median_us, p90_us, max_us, .. }) = delays {
            for us in [mean_us, min_us, median_us, p90_us, max_us] {
                self.number(us.into());
            }
        }
        self.number(it.missed.into());
        self.number(it.missed_us.into());
        self.number(it.packets.sent);
        self.number(it.packets.lost);
        self.number(it.transfer.bytes);
        self.number(it.transfer.elapsed_us);
        let load = it.load.filter(|load| load.is_finite());
        self.number(load.map_or(0, |load| 1 + (load.clamp(0.0, 1.0) * 1000.0).round() as u64));
    }

    fn choice(&mut self, it: &Choice) {
        self.bytes.push(kind::CHOICE);
        self.number(it.at_ms);
        self.name(it.app.as_str());
        self.name(it.to.as_str());
        let class = Class::ALL.iter().position(|class| *class == it.class);
        self.bytes.push(class.unwrap_or(0) as u8);
        self.path(&it.path);
        self.name(shortened(&it.by));
        for value in [it.propensity, it.cost, it.direct_cost] {
            self.bytes.extend(value.to_le_bytes());
        }
        self.number(it.candidates.into());
        self.bytes.extend(it.snapshot_hash.to_le_bytes());
    }
}

/// Reads one payload; `None` where it is damaged. Bytes behind the last field are a later writer's.
pub(crate) fn decode(kind: u8, payload: &[u8], names: &Names) -> Option<Record> {
    let mut reader = Reader { rest: payload, names };
    match kind {
        kind::OBSERVATION => reader.observation().map(Record::Observation),
        kind::CHOICE => reader.choice().map(Record::Choice),
        _ => None,
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    names: &'a Names,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                return None;
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn float(&mut self) -> Option<f32> {
        self.array().map(f32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let number = self.number()?;
        self.names.get(number)
    }

    fn node(&mut self) -> Option<NodeName> {
        NodeName::new(self.text()?).ok()
    }

    fn path(&mut self) -> Option<Path> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= MAX_RELAYS)?;
        let relays: Option<Vec<NodeName>> = (0..count).map(|_| self.node()).collect();
        Path::new(relays?).ok()
    }

    fn delays(&mut self) -> Option<Option<Delays>> {
        let count = self.small()?;
        if count == 0 {
            return Some(None);
        }
        Some(Some(Delays {
            count,
            mean_us: self.small()?,
            min_us: self.small()?,
            median_us: self.small()?,
            p90_us: self.small()?,
            max_us: self.small()?,
        }))
    }

    fn origin(&mut self) -> Option<Origin> {
        let all = [Origin::Payload, Origin::Probe, Origin::Link, Origin::Claimed];
        let byte = self.byte()?;
        all.into_iter().find(|origin| *origin as u8 == byte)
    }

    fn observation(&mut self) -> Option<Observation> {
        Some(Observation {
            at_ms: self.number()?,
            span_ms: self.small()?,
            from: self.node()?,
            to: self.node()?,
            path: self.path()?,
            origin: self.origin()?,
            delays: self.delays()?,
            missed: self.small()?,
            missed_us: self.small()?,
            packets: Packets { sent: self.number()?, lost: self.number()? },
            transfer: Transfer { bytes: self.number()?, elapsed_us: self.number()? },
            load: match self.number()? {
                0 => None,
                load @ 1..=1001 => Some((load - 1) as f32 / 1000.0),
                _ => return None,
            },
        })
    }

    fn choice(&mut self) -> Option<Choice> {
        Some(Choice {
            at_ms: self.number()?,
            app: AppName::new(self.text()?).ok()?,
            to: self.node()?,
            class: *Class::ALL.get(usize::from(self.byte()?))?,
            path: self.path()?,
            by: self.text()?.to_owned(),
            propensity: self.float()?,
            cost: self.float()?,
            direct_cost: self.float()?,
            candidates: self.small()?,
            snapshot_hash: u64::from_le_bytes(self.array()?),
        })
    }
}
