use super::*;
use crate::filter::Fields;

fn settings(failures_max: u32, find_s: i64, ban_s: i64) -> Settings {
    Settings {
        name: "t".to_owned(),
        failures_max,
        find_s,
        ban_s,
        increment: None,
        never: vec![("192.0.2.8".parse().expect("an address"), 31), ("2001:db8::".parse().expect("one"), 32)],
        never_names: vec!["friend.example".to_owned()],
    }
}

fn failure(id: &str, at_s: i64) -> Failure {
    let id = id.parse().map_or_else(|_| Id::Name(id.to_owned()), Id::address);
    Failure { time_us: at_s * 1_000_000, id, fields: Fields::default(), rule: 0 }
}

/// At which of these seconds the address is banned, as a fail2ban server was seen to do: four failures in ten seconds.
#[test]
fn counts_as_fail2ban_does() {
    for (times, expect) in [
        (&[0, 0, 0, 10][..], Some(10)),
        (&[0, 1, 2, 11], Some(11)),
        (&[0, 0, 0, 11], Some(11)),
        (&[0, 0, 0, 12], None),
        (&[0, 0, 0, 14], None),
        (&[0, 0, 3, 11], Some(11)),
        (&[0, 9, 9, 11], Some(11)),
        (&[0, 8, 8, 12], None),
        (&[0, 9, 18, 27, 28], None),
        (&[0, 5, 10, 15, 16], Some(16)),
        (&[0, 8, 9, 18, 19], Some(19)),
        (&[0, 0, 8, 15], None),
        (&[0, 5, 5, 13], None),
    ] {
        let mut jail = Jail::new(settings(4, 10, 60));
        let banned = |deeds: Vec<Deed>| deeds.iter().any(|deed| matches!(deed, Deed::Banned { .. }));
        let found = times.iter().find(|at| banned(jail.failure(&failure("192.0.2.1", 1_000_000 + **at))));
        assert_eq!(found.copied(), expect, "{times:?}");
    }
}

/// T2.21: an unban is `bantime` behind the failure, in whole seconds.
#[test]
fn a_bans_life() {
    let mut jail = Jail::new(settings(2, 10, 5));
    assert_eq!(jail.failure(&failure("192.0.2.1", 100)), [Deed::Found]);
    let banned = |until_s, before| [Deed::Found, Deed::Banned { until_s: Some(until_s), before }];
    assert_eq!(jail.failure(&failure("192.0.2.1", 101)), banned(106, 0));
    assert_eq!(jail.failure(&failure("192.0.2.1", 102)), [Deed::Found]);
    assert_eq!(jail.failure(&failure("192.0.2.1", 102)), [Deed::Found, Deed::AlreadyBanned]);
    assert_eq!(jail.ended(105), []);
    assert_eq!(jail.ended(106), [(106, Id::address("192.0.2.1".parse().expect("one")))]);
    assert_eq!(jail.banned().count(), 0);
    jail.failure(&failure("192.0.2.1", 110));
    assert_eq!(jail.failure(&failure("192.0.2.1", 110)), banned(115, 1));
    assert!(jail.free(&Id::address("192.0.2.1".parse().expect("one"))));
    assert_eq!(jail.ended(1_000), []);
}

#[test]
fn some_are_never_banned() {
    let mut jail = Jail::new(settings(1, 10, 5));
    for id in ["192.0.2.8", "192.0.2.9", "2001:db8:1::1", "Friend.Example"] {
        assert_eq!(jail.failure(&failure(id, 1)), [Deed::Ignored], "{id}");
    }
    for id in ["192.0.2.10", "2001:db9::1", "other.example"] {
        assert_eq!(jail.failure(&failure(id, 1)).len(), 2, "{id}");
    }
}

#[test]
fn bans_grow() {
    let grown = |increment: Increment, bans: u32| {
        let settings = Settings { increment: Some(increment), ..settings(1, 10, 60) };
        (0..bans).map(|before| settings.ban_s_after(before)).collect::<Vec<i64>>()
    };
    let increment = Increment { factor: 1.0, multipliers: Vec::new(), ban_s_max: None };
    assert_eq!(grown(increment.clone(), 5), [60, 120, 240, 480, 960]);
    assert_eq!(grown(Increment { ban_s_max: Some(300), ..increment.clone() }, 4), [60, 120, 240, 300]);
    let listed = Increment { multipliers: vec![1.0, 5.0, 30.0], factor: 2.0, ..increment };
    assert_eq!(grown(listed, 4), [120, 600, 3_600, 3_600]);
}

#[test]
fn tables_are_bounded() {
    let mut jail = Jail::new(settings(2, 10, 5));
    for n in 0..250_000_u32 {
        let id = Id::address(std::net::Ipv4Addr::from(n).into());
        jail.failure(&Failure { time_us: i64::from(n), id, fields: Fields::default(), rule: 0 });
    }
    assert_eq!((jail.counts.rows.len(), jail.counts.ages.len()), (ENTRIES_MAX, ENTRIES_MAX));
}
