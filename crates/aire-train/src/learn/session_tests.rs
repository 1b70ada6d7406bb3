use aire_brain::model::Artefact;

use super::*;

fn small(dir: &Path) -> Request {
    let plan = Plan { questions: 1500, synthetic: 1, nodes: 12, ..Plan::default() };
    let settings = Settings { epochs: 3, batch: 512, ..Settings::default() };
    Request { out: dir.join("small.model"), plan, settings, ..Request::default() }
}

#[test]
fn without_any_traces_a_model_is_trained_on_synthetic_meshes_and_signed() {
    let dir = tempfile::tempdir().unwrap();
    let request = small(dir.path());
    let trained = train(&request).unwrap();
    assert!(trained.losses[1] < trained.losses[0], "{:?}", trained.losses);
    let sealed = fs::read(&request.out).unwrap();
    let artefact = Artefact::decode(&sealed[8 + 1 + 32 + 64..]).unwrap();
    assert_eq!((artefact.name.as_str(), artefact.golden.len()), ("small", 16));
    for golden in &artefact.golden {
        for (got, want) in artefact.answer(&golden.features).iter().zip(golden.answer) {
            assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{got} {want}");
        }
    }
    let report = fs::read_to_string(&trained.report).unwrap();
    assert!(report.contains("| synthetic seattle |") && report.contains("## Calibration"), "{report}");

    // the same again, from the checkpoints that the first run left: the same file
    let again = Request {
        out: dir.path().join("again/small.model"),
        key: Some(trained.key.0),
        resume: Some(dir.path().join("small.model.checkpoints")),
        ..request
    };
    fs::create_dir(dir.path().join("again")).unwrap();
    train(&again).unwrap();
    assert!(fs::read(&again.out).unwrap() == sealed);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = Request { traces: vec![dir.path().join("none")], ..small(dir.path()) };
    assert!(matches!(train(&nowhere), Err(Error::Traces(_))));
    let nameless = Request { out: dir.path().join("!.model"), ..small(dir.path()) };
    assert!(matches!(train(&nameless), Err(Error::Name { .. })));
    let lost = Request { resume: Some(dir.path().join("none")), ..small(dir.path()) };
    assert!(matches!(train(&lost), Err(Error::Read { .. })));
    assert!(matches!(columns(&["colour".into()]), Err(Error::Feature { .. })));
    assert_eq!(columns(&["gain".into(), "age".into()]).unwrap(), [0, 12]);
}

#[test]
fn a_model_is_not_written_where_its_report_goes() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["x.md", "x.MD"] {
        let request = Request { out: dir.path().join(name), ..small(dir.path()) };
        let error = train(&request).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("FILE.model"), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
