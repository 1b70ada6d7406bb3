use std::fs;

use super::*;
use crate::data::Quantity;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn frames(files: &[(&str, &str)]) -> Result<Frames, Error> {
    let dir = folder(files);
    match Source::open(dir.path())?.read()? {
        Recording::Frames(frames) => Ok(frames),
        Recording::Series(_) => panic!("frames were described"),
    }
}

const FRAMES: &str = r#"kind = "frames"
files = "F_{n}"
quantity = "rtt"
unit = "s"
step_s = 2
missing = [0.0]
score_gap = 3
"#;

const PAIRS: &str = r#"kind = "pairs"
file = "p.csv"
from = ["a", "b"]
to = "c"
time = "t"
quantity = "throughput"
value = "v"
unit = "bit/s"
missing = [0.0]
"#;

#[test]
fn frames_are_read_in_order_and_in_milliseconds() {
    let read =
        frames(&[("trace.toml", FRAMES), ("F_2", "0 0.5\n0.25 0\n"), ("F_1", "0\t0.1\n0\t0\n\n")]).unwrap();
    assert_eq!((read.frames.len(), read.score_gap, read.nodes.len()), (2, 3, 2));
    assert_eq!((read.frames[0].get(0, 1), read.frames[1].get(1, 0)), (100.0, 250.0));
    assert!(read.frames[0].get(1, 0).is_nan(), "0 off the diagonal is missing");
}

#[test]
fn a_wrong_frame_is_named_with_its_line() {
    let fault = |text| frames(&[("trace.toml", FRAMES), ("F_1", text)]).unwrap_err();
    let error = fault("0 1\nx 0");
    assert!(error.line == Some(2) && error.message.contains("`x` is no number"), "{error}");
    assert!(error.file.ends_with("F_1"));
    let error = fault("0 1\n1 0 3");
    assert!(error.line == Some(2) && error.message.contains("3 numbers"), "{error}");
    assert!(fault("0 1 2\n1 0 3").message.contains("2 rows of 3"));
    let error = frames(&[("trace.toml", FRAMES), ("F_1", "0 1\n1 0"), ("F_2", "0 1 1\n1 0 1\n1 1 0")]);
    assert!(error.unwrap_err().message.contains("same nodes"));
    assert!(frames(&[("trace.toml", FRAMES)]).unwrap_err().message.contains("F_{n}"));
}

#[test]
fn pairs_with_a_time_are_frames_and_repeats_are_averaged() {
    let text =
        "t,a,b,c,v,more\n10,x,1,y/1,1000000,?\n10,x,1,y/1,3000000,?\n30,y,1,x/1,0,?\n20,y,1,x/1,5e6,?\n";
    let read = frames(&[("trace.toml", PAIRS), ("p.csv", text)]).unwrap();
    assert_eq!(
        (read.quantity, read.nodes.as_slice()),
        (Quantity::Throughput, &["x/1".into(), "y/1".into()][..])
    );
    assert_eq!((read.frames.len(), read.step_s), (3, 10.0));
    assert_eq!((read.frames[0].get(0, 1), read.frames[1].get(1, 0)), (2.0, 5.0));
    assert!(read.frames[2].get(1, 0).is_nan() && read.frames[0].get(1, 0).is_nan());
    let stepped = format!("{PAIRS}step_s = 15.0\nsymmetric = true\n");
    let read = frames(&[("trace.toml", &stepped), ("p.csv", text)]).unwrap();
    assert_eq!(read.frames.len(), 2);
    assert_eq!(read.frames[0].get(0, 1), read.frames[0].get(1, 0));
}

#[test]
fn a_wrong_row_is_named_with_its_line() {
    let fault = |text| frames(&[("trace.toml", PAIRS), ("p.csv", text)]).unwrap_err();
    let error = fault("t,a,b,c,w\n");
    assert!(
        error.line == Some(1) && error.message.contains("no column `v`; there are t, a, b, c, w"),
        "{error}"
    );
    let error = fault("t,a,b,c,v\n1,x,1,y,many\n");
    assert!(error.line == Some(2) && error.message.contains("`many` in column `v`"), "{error}");
    let error = fault("t,a,b,c,v\n1,x,1,y,1\nsoon,x,1,y,1\n");
    assert!(error.line == Some(3) && error.message.contains("`soon` is no time"), "{error}");
    let error = fault("t,a,b,c,v\n1,x\n");
    assert!(error.line == Some(2) && error.message.contains("2 columns"), "{error}");
    assert!(fault("").message.contains("first line"));
    assert!(fault("t,a,b,c,v\n").message.contains("no row"));
    let error = frames(&[("trace.toml", PAIRS)]).unwrap_err();
    assert!(error.file.ends_with("p.csv") && error.message.contains("cannot be read"));
}

#[test]
fn series_and_capacity_are_single_links() {
    let series = r#"kind = "series"
files = "*.csv"
separator = ";"
time = "epoch"
quantity = "rtt"
value = "rtt"
unit = "ms"
missing = [1000.0]
label = "cp"
"#;
    let dir = folder(&[
        ("trace.toml", series),
        ("1.csv", "epoch;rtt;cp\n14/10/2016 21:17;17.5;0\n14/10/2016 21:21;1000.0;1\n"),
    ]);
    let Recording::Series(read) = Source::open(dir.path()).unwrap().read().unwrap() else { panic!("series") };
    assert_eq!((read.len(), read[0].points[1].time - read[0].points[0].time), (1, 240.0));
    assert!(read[0].points[1].value.is_nan() && read[0].points[1].marked && !read[0].points[0].marked);
    let capacity = "kind='capacity'\nfiles='**/*'\nquantity='capacity'\nunit='kbit/s'";
    let dir = folder(&[("trace.toml", capacity), ("LICENSE", "words"), ("link", "0.5 1000\n1.5\t2000\n")]);
    let Recording::Series(read) = Source::open(dir.path()).unwrap().read().unwrap() else { panic!("series") };
    assert_eq!((read.len(), read[0].points[1].value), (1, 2.0));
    fs::write(dir.path().join("link"), "0.5 1 1\n").unwrap();
    let error = Source::open(dir.path()).unwrap().read().unwrap_err();
    assert!(error.line == Some(1) && error.message.contains("seconds value"), "{error}");
}

#[test]
fn a_folder_of_sets_gives_them_by_name() {
    let dir = tempfile::tempdir().unwrap();
    assert!(sources(dir.path()).unwrap_err().message.contains("trace.toml"));
    for name in ["b", "a", "none"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    for name in ["b", "a"] {
        fs::write(dir.path().join(name).join("trace.toml"), FRAMES).unwrap();
    }
    let names: Vec<String> = sources(dir.path()).unwrap().into_iter().map(|source| source.name).collect();
    assert_eq!(names, ["a", "b"]);
}

/// Frames of `nodes` that tell their number, as rows with the times that `write` makes of it.
fn told(nodes: usize, count: usize, write: impl Fn(usize) -> String) -> String {
    let mut text = "t,a,b,c,v\n".to_owned();
    for (frame, from, to) in (0..count)
        .flat_map(|frame| (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (frame, from, to))))
        .filter(|(_, from, to)| from != to)
    {
        text += &format!("{},{from},x,{to}/x,{}e6\n", write(frame), frame + 1);
    }
    text
}

#[test]
fn rows_lie_in_their_frames_whatever_their_times_are_rounded_to() {
    let stepped = format!("{PAIRS}step_s = 15.7\n");
    for first in [0, 240] {
        let at = |frame: usize| 1_643_400_000.0 + (first + frame) as f64 * 15.7;
        for precise in [false, true] {
            let write = |frame| if precise { at(frame).to_string() } else { format!("{:.1}", at(frame)) };
            let read = frames(&[("trace.toml", &stepped), ("p.csv", &told(3, 500, write))]).unwrap();
            assert_eq!(read.frames.len(), 500);
            for (number, frame) in read.frames.iter().enumerate() {
                assert_eq!((frame.get(0, 1), frame.get(2, 0)), (number as f32 + 1.0, number as f32 + 1.0));
            }
        }
    }
}

#[test]
fn times_of_single_rows_and_from_nowhere_are_told_what_they_lack() {
    let clock = std::cell::Cell::new(0.0);
    let write = |_| {
        clock.set(clock.get() + 0.25);
        clock.get().to_string()
    };
    let text = told(5, 4, write);
    let error = frames(&[("trace.toml", PAIRS), ("p.csv", &text)]).unwrap_err();
    assert!(error.file.ends_with("p.csv") && error.message.contains("set `step_s`"), "{error}");
    let stepped = format!("{PAIRS}step_s = 5\n");
    assert_eq!(frames(&[("trace.toml", &stepped), ("p.csv", &text)]).unwrap().frames.len(), 4);
    let text = format!("{text}1e300,0,x,1/x,1\n");
    let error = frames(&[("trace.toml", &stepped), ("p.csv", &text)]).unwrap_err();
    assert!(error.message.contains("different times"), "{error}");
}

#[test]
fn cells_without_a_number_are_missing() {
    let text = "t,a,b,c,v\n1,x,1,y/1,NA\n1,y,1,x/1,n/a\n2,x,1,y/1,-\n2,y,1,x/1,3e6\n";
    let read = frames(&[("trace.toml", PAIRS), ("p.csv", text)]).unwrap();
    assert!(read.frames[0].get(0, 1).is_nan() && read.frames[1].get(1, 0) == 3.0);
    let read = frames(&[
        ("trace.toml", FRAMES),
        ("F_1", ",0.1,null\n0.2,,NaN\n-,0.3,\n"),
        ("F_2", "1,2,3,\n1,2,3,\n1,2,3,"),
    ]);
    let read = read.unwrap();
    assert_eq!((read.nodes.len(), read.frames[0].get(0, 1), read.frames[0].get(2, 1)), (3, 100.0, 300.0));
    assert!(read.frames[0].get(0, 2).is_nan() && read.frames[0].get(2, 0).is_nan());
    assert_eq!(read.frames[1].get(0, 2), 3000.0);
}
