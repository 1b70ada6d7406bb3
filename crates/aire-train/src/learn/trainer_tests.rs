use super::*;

/// Gains that depend on the first two features, with noise that depends on the third.
fn known(count: usize, seed: u64) -> Rows {
    let mut random = Random::new(seed);
    let mut rows = Rows::new(4);
    for _ in 0..count {
        let x: [f64; 4] = std::array::from_fn(|_| 2.0 * random.unit() - 1.0);
        let noise = (random.unit() - 0.5) * (0.2 + 0.2 * x[2]);
        let gain = x[0].max(0.0) - 0.5 * x[1] * x[0] + noise;
        // the promise is right half of the time, and the last feature tells when
        let promise = if x[3] > 0.0 { gain - noise } else { 0.0 };
        let (features, promise, gain) = (&x.map(|x| x as f32), promise as f32, gain as f32);
        rows.push(Row { features, promise, spread: 0.1, gain, weight: 1.0, group: 0 });
    }
    rows
}

fn quick(seed: u64) -> Settings {
    Settings { seed, hidden: vec![16, 16], epochs: 12, batch: 128, rate: 5e-3, ..Settings::default() }
}

#[test]
fn a_known_function_is_learned_and_its_quantiles_hold_what_they_say() {
    let (training, validation) = (known(6000, 1), known(2000, 2));
    let fitted = fit("net", &training, &validation, &quick(3), &Course::default()).unwrap();
    let best = fitted.history[fitted.best_epoch - 1].validation_loss;
    assert!(best < 0.25 * fitted.untrained_loss, "{best} of {}", fitted.untrained_loss);
    let fresh = known(4000, 9);
    let predicted = fitted.predict(&fresh).unwrap();
    let error: f32 = (0..fresh.len()).map(|i| (predicted[i][OUTPUTS - 1] - fresh.gain(i)).abs()).sum();
    assert!(error / 4000.0 < 0.07, "{}", error / 4000.0);
    let calibration = Calibration::of(&fitted.predict(&validation).unwrap(), &validation);
    for (level, share) in calibration.coverage(&predicted, &fresh) {
        assert!((level - share).abs() < 0.04, "{level}: {share}");
    }
}

#[test]
fn nothing_learned_predicts_what_the_rule_expects() {
    let rows = known(300, 1);
    let settings = Settings { epochs: 0, ..quick(3) };
    let fitted = fit("net", &rows, &rows, &settings, &Course::default()).unwrap();
    for (predicted, i) in fitted.predict(&rows).unwrap().iter().zip(0..) {
        assert_eq!(*predicted, base(rows.row(i).promise, rows.row(i).spread));
    }
    assert_eq!(fitted.best_epoch, 0);
}

#[test]
fn a_network_that_must_not_see_a_feature_does_not_depend_on_it() {
    let (training, validation) = (known(1500, 1), known(500, 2));
    let settings = Settings { epochs: 3, without: vec![0], ..quick(5) };
    let blind = fit("net", &training, &validation, &settings, &Course::default()).unwrap();
    let answer = |x| blind.answer(&[x, 0.5, 0.5, 0.5]).unwrap();
    assert_eq!(answer(-1.0), answer(1.0));
    assert_ne!(answer(0.0), [0.0; OUTPUTS]);
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_does_not() {
    let (training, validation) = (known(1500, 1), known(500, 2));
    let train = |seed| {
        fit("net", &training, &validation, &Settings { epochs: 3, ..quick(seed) }, &Course::default())
            .unwrap()
    };
    assert_eq!(train(5), train(5));
    assert_ne!(train(5).layers, train(6).layers);
}

#[test]
fn a_run_that_was_interrupted_ends_with_the_weights_of_one_that_was_not() {
    let (training, validation) = (known(1500, 1), known(500, 2));
    let settings = Settings { epochs: 5, ..quick(5) };
    let whole = fit("net", &training, &validation, &settings, &Course::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut course = Course { checkpoints: Some(dir.path().to_owned()), resume: false, until: Some(2) };
    let part = fit("net", &training, &validation, &settings, &course).unwrap();
    assert_eq!(part.history.len(), 2);
    (course.resume, course.until) = (true, None);
    assert_eq!(fit("net", &training, &validation, &settings, &course).unwrap(), whole);
    let other = Settings { rate: 1e-4, ..settings };
    assert!(matches!(fit("net", &training, &validation, &other, &course), Err(Error::OtherRun { .. })));
}

#[test]
fn training_ends_when_validation_does_not_improve() {
    let mut noise = Rows::new(1);
    let mut random = Random::new(4);
    for _ in 0..400 {
        let (features, gain) = (&[random.unit() as f32], (random.unit() - 0.5) as f32);
        noise.push(Row { features, promise: 0.0, spread: 0.2, gain, weight: 1.0, group: 0 });
    }
    let settings = Settings { epochs: 200, patience: 3, rate: 0.05, ..quick(1) };
    let fitted = fit("net", &noise, &noise, &settings, &Course::default()).unwrap();
    assert!(fitted.history.len() < 200, "{}", fitted.history.len());
    assert_eq!(fitted.history.len(), fitted.best_epoch + 3);
}

#[test]
fn rows_to_learn_from_are_needed() {
    let settings = Settings::default();
    let fitted = fit("net", &Rows::new(2), &known(5, 1), &settings, &Course::default());
    assert!(matches!(fitted, Err(Error::Empty { .. })));
}
