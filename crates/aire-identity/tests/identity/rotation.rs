use std::collections::BTreeSet;
use std::time::Duration;

use aire_identity::{Rotation, Scope};

use crate::mesh::{DAY, HOUR, Mesh, start};

#[test]
fn half_life_give_or_take_a_twentieth() {
    let member = Mesh::new("prod").member(Scope::Relay, "r1", start());
    let life = DAY + HOUR;
    let moments: BTreeSet<_> = (0..64)
        .map(|seed| {
            let next = Rotation::new(&member.svid, seed).next_at();
            let half = member.svid.renew_at();
            assert!(next >= half - life / 20 && next <= half + life / 20, "seed {seed}");
            next
        })
        .collect();
    assert!(moments.len() > 60);
    let spread = moments.last().unwrap().duration_since(*moments.first().unwrap()).unwrap();
    assert!(spread > life / 20, "{spread:?}");
    assert_eq!(Rotation::new(&member.svid, 9).next_at(), Rotation::new(&member.svid, 9).next_at());
}

#[test]
fn failures_wait_longer_and_success_forgets_them() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(Scope::Relay, "r1", start());
    let mut rotation = Rotation::new(&member.svid, 1);
    let now = start() + DAY;
    assert_eq!(rotation.wait(now), Duration::ZERO);
    for wanted in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map(Duration::from_secs) {
        rotation.failed(now);
        let wait = rotation.wait(now);
        assert!(wait <= wanted && wait >= wanted * 3 / 4, "{wait:?} for {wanted:?}");
    }
    for _ in 0..100 {
        rotation.failed(now);
    }
    assert!(rotation.wait(now) <= Duration::from_secs(300));
    rotation.renewed(&member.svid);
    rotation.failed(now);
    assert!(rotation.wait(now) <= Duration::from_secs(1));
}
