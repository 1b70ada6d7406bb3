use std::fmt::Write;
use std::fs;
use std::path::Path;

use aire_sim::synthetic::{Recording, Shape, record, throughput};

use crate::data::Error;

/// What [`write`] can make.
pub const KINDS: [&str; 5] = ["planetlab", "seattle", "cloud", "atlas", "grid"];

/// Writes a synthetic set of this kind into the new folder `dir`, described for importers. `nodes` and `frames` replace the
/// kind's own numbers.
///
/// # Errors
/// The kind is not known, the folder exists, or it cannot be written.
pub fn write(
    dir: &Path,
    kind: &str,
    nodes: Option<usize>,
    frames: Option<usize>,
    seed: u64,
) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::in_file(dir, format!("cannot be written: {error}"));
    let put = |name: &str, text: &str| fs::write(dir.join(name), text).map_err(failed);
    let shape = Shape::named(kind);
    if shape.is_none() && kind != "grid" {
        let message = format!("'{kind}' is no kind of synthetic set: choose {}", KINDS.join(", "));
        return Err(Error::in_file(dir, message));
    }
    fs::create_dir(dir).map_err(failed)?;
    let Some(mut shape) = shape else {
        put("grid.csv", &grid(nodes.unwrap_or(84), seed))?;
        return put("trace.toml", GRID);
    };
    shape.nodes = nodes.unwrap_or(shape.nodes).max(2);
    shape.frames = frames.unwrap_or(shape.frames).max(1);
    let made = record(&shape, seed);
    for (number, frame) in made.frames.iter().enumerate() {
        put(&format!("frame_{number}"), &matrix(frame, shape.nodes))?;
    }
    put("trace.toml", &described(&made))
}

const GRID: &str = "kind = \"pairs\"\nfile = \"grid.csv\"\nfrom = \"from\"\nto = \"to\"\nquantity = \"throughput\"\n\
    value = \"mbps\"\nunit = \"Mbit/s\"\n";

fn described(made: &Recording) -> String {
    format!(
        "kind = \"frames\"\nfiles = \"frame_{{n}}\"\nquantity = \"rtt\"\nunit = \"ms\"\nstep_s = {:?}\nmissing = [0.0]\n\
         symmetric = {}\nscore_gap = {}\n",
        made.step_s, made.symmetric, made.score_gap
    )
}

fn matrix(frame: &[f32], nodes: usize) -> String {
    let mut text = String::new();
    for row in frame.chunks(nodes) {
        let cells: Vec<String> =
            row.iter().map(|ms| if ms.is_finite() { format!("{ms:.3}") } else { "0".to_owned() }).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

fn grid(regions: usize, seed: u64) -> String {
    let grid = throughput(regions.max(2), seed);
    let nodes = &grid.nodes;
    let mut text = "from,to,mbps\n".to_owned();
    for (at, mbps) in grid.mbps.iter().enumerate().filter(|(at, _)| at / nodes.len() != at % nodes.len()) {
        // A String takes everything.
        let _ = writeln!(text, "{},{},{mbps:.2}", nodes[at / nodes.len()], nodes[at % nodes.len()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::describe;

    #[test]
    fn what_was_written_is_read_as_what_was_made() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("a"), "seattle", Some(20), Some(40), 1).unwrap();
        write(&dir.path().join("b"), "grid", Some(20), None, 1).unwrap();
        let columns = describe(dir.path()).unwrap();
        let value = |set: usize, what: &str| columns[set].rows.iter().find(|row| row.0 == what).unwrap().1;
        assert_eq!((columns.len(), columns[0].throughput, columns[1].throughput), (2, false, true));
        assert_eq!((value(0, "nodes"), value(0, "frames"), value(1, "nodes")), (20.0, 40.0, 20.0));
        assert!(value(1, "median of pairs, Mbit/s") > 1000.0 && value(0, "median of pairs, ms") > 10.0);
        assert!(write(dir.path(), "seattle", None, None, 1).is_err(), "a folder that exists is left alone");
        let error = write(&dir.path().join("c"), "moon", None, None, 1).unwrap_err();
        assert!(error.message.contains("planetlab"), "{error}");
    }
}
