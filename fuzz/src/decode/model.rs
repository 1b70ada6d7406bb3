//! A trained model, as it is inside of its signed envelope.

use aire_brain::model::{Artefact, COUNT, Golden, Range};

/// What is read is sound, answers whatever it is asked within its ranges (what is no number falls back to the rule), and
/// reads what it writes.
pub(crate) fn run(input: &[u8]) {
    let Ok(artefact) = Artefact::decode(input) else { return };
    assert!(Artefact::decode(&artefact.encode()).as_ref() == Ok(&artefact), "what is written is not read");
    assert!(artefact.ranges.iter().all(|range| range.low <= range.high && range.scale > 0.0));
    for golden in &artefact.golden {
        assert!(golden.answer.iter().all(|value| value.is_finite()));
    }
    for end in [|range: &Range| range.low, |range: &Range| range.high] {
        let features = std::array::from_fn(|at| end(&artefact.ranges[at]));
        assert_eq!(artefact.outside(&features), None);
        std::hint::black_box(artefact.answer(&features));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain = Artefact::untrained("zero");
    let features = [0.5; COUNT];
    let golden = vec![Golden { features, answer: plain.answer(&features) }; 2];
    vec![plain.encode(), Artefact { golden, summary: "of the fuzzer".to_owned(), ..plain }.encode()]
}
