//! Rot is outside the promise, but is found, set aside and reported; what is sound is served.

use crate::world::{Shape, World, settings};
use std::io::Read;
use std::sync::Arc;
use store::SteppedSpool;

/// Rot is found, set aside and reported; what is sound is served.
#[test]
fn rot_is_reported() {
    let mut world = World::new(1, u64::MAX);
    for _ in 0..20 {
        let (number, shape, step) = std::iter::from_fn(|| Some(world.insert())).flatten().next().unwrap();
        assert!(world.spool().step(vec![step]).remove(0).is_ok());
        world.messages.insert(number, vec![Some(shape)]);
    }
    let before = world.messages.len();
    world.spool = None;
    for path in world.disk.paths().into_iter().filter(|path| path.starts_with("log/")) {
        world.disk.damage(&path, 12_300, 40);
    }
    let (spool, report) = SteppedSpool::open(Arc::new(world.disk.clone()), settings()).unwrap();
    assert!(!report.damage.is_empty(), "{report:?}");
    assert!(world.disk.paths().iter().any(|path| path.starts_with("corrupt/segment-")));
    let there = spool.numbers();
    assert!(there.len() >= before - 6 && there.len() < before, "{} of {before}", there.len());
    for number in there {
        let mut bytes = Vec::new();
        spool.body(number).unwrap().read_to_end(&mut bytes).unwrap();
        let shape = Shape { envelope: spool.read(number).unwrap().envelope, notes: Vec::new(), body: bytes };
        assert_eq!(world.messages[&number], [Some(shape)]);
    }
}
