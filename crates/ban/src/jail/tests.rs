use super::*;
use crate::filter::Fields;
use crate::formula::Formula;

fn settings(failures_max: u32, find_s: i64, ban_s: i64) -> Settings {
    Settings {
        name: "t".to_owned(),
        failures_max,
        find_s,
        ban_s,
        never: vec![("192.0.2.8".parse().expect("an address"), 31), ("2001:db8::".parse().expect("one"), 32)],
        never_names: vec!["friend.example".to_owned()],
        ..Settings::default()
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
    // It fails on, and stays for `bantime` from then on.
    let later = Deed::AlreadyBanned { until_s: Some(107), is_later: true };
    assert_eq!(jail.failure(&failure("192.0.2.1", 102)), [Deed::Found, later]);
    assert_eq!(jail.ended(106), []);
    assert_eq!(jail.ended(107), [(107, Id::address("192.0.2.1".parse().expect("one")))]);
    assert_eq!(jail.banned().count(), 0);
    jail.failure(&failure("192.0.2.1", 110));
    assert_eq!(jail.failure(&failure("192.0.2.1", 110)), banned(115, 1));
    assert!(jail.free(&Id::address("192.0.2.1".parse().expect("one"))));
    assert_eq!(jail.ended(1_000), []);
}

/// Whoever is let in by hand begins anew, banned or not, as with fail2ban.
#[test]
fn a_pardon_forgets_bans_of_before() {
    let mut jail = Jail::new(settings(2, 10, 5));
    let who = Id::address("192.0.2.1".parse().expect("one"));
    for (round, is_banned) in [(0, true), (1, false)] {
        let at = 100 * (round + 1);
        for before in 0..2 {
            let at = at + 20 * i64::from(before);
            jail.failure(&failure("192.0.2.1", at));
            let ban = Deed::Banned { until_s: Some(at + 5), before };
            assert_eq!(jail.failure(&failure("192.0.2.1", at)), [Deed::Found, ban]);
            if before == 0 || !is_banned {
                assert_eq!(jail.ended(at + 10).len(), 1);
            }
        }
        assert_eq!(jail.pardon(&who), is_banned);
        assert!(jail.knows(&who).is_none_or(|known| known.bans == 0 && known.banned.is_none()));
    }
    assert!(!jail.pardon(&Id::address("192.0.2.2".parse().expect("another"))));
    assert_eq!(jail.knows(&Id::address("192.0.2.2".parse().expect("another"))).map(|_| ()), None);
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

/// As a fail2ban server was seen to do: a first ban is as long as any.
#[test]
fn bans_grow() {
    let grown = |increment: Increment, bans: u32| {
        let settings = Settings { increment: Some(increment), ..settings(1, 10, 60) };
        (0..bans).map(|before| settings.ban_s_after(before, 0.5)).collect::<Vec<i64>>()
    };
    let increment = Increment::default();
    assert_eq!(grown(increment.clone(), 5), [60, 120, 240, 480, 960]);
    assert_eq!(grown(Increment { ban_s_max: Some(300), ..increment.clone() }, 4), [60, 120, 240, 300]);
    let listed = Increment { multipliers: vec![5.0, 30.0], factor: 2.0, ..increment.clone() };
    assert_eq!(grown(listed, 4), [60, 3_600, 3_600, 3_600]);
    let formula = "ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)";
    let formula = Formula::new(formula).expect("a formula");
    let computed = Increment { formula: Some(formula), factor: 2.0 / 2.885_385, ..increment.clone() };
    assert_eq!(grown(computed, 5), [60, 120, 240, 480, 960]);
    let chance = Increment { ban_s_max: Some(200), random_s: 100, ..increment.clone() };
    assert_eq!(grown(chance, 4), [60, 170, 250, 250]);
    let broken = Increment { formula: Formula::new("1 / (ban.Count - 1)").ok(), ..increment };
    assert_eq!(grown(broken, 2), [60, 1_000_000_000_000]);
}

/// How many failures ban, the first time, the second and so on, as a fail2ban server was seen to do.
#[test]
fn failures_of_those_who_were_banned_weigh_more() {
    for (failures_max, expect) in [
        (1, &[1, 1, 1][..]),
        (2, &[2, 1, 1]),
        (3, &[3, 2, 1, 1]),
        (4, &[4, 2, 2, 1, 1]),
        (5, &[5, 3, 2, 1, 1]),
        (6, &[6, 3, 2, 2, 1]),
        (8, &[8, 4, 3, 2, 1]),
        (10, &[10, 5, 4, 2, 2, 1]),
        (16, &[16, 8, 6, 4, 2, 1]),
        (20, &[20, 10, 7, 4, 3, 2, 1, 1]),
    ] {
        for (increment, grows) in [
            (None, false),
            (Some(Increment::default()), true),
            (Some(Increment { is_overall: true, ..Increment::default() }), false),
        ] {
            let mut jail = Jail::new(Settings { increment, ..settings(failures_max, 100_000, 10) });
            let mut at_s = 0;
            for needed in expect {
                jail.ended(i64::MAX);
                let needed = if grows { *needed } else { failures_max };
                for number in 1..=needed {
                    at_s += 1;
                    let deeds = jail.failure(&failure("192.0.2.1", at_s));
                    let has_banned = matches!(deeds.last(), Some(Deed::Banned { .. }));
                    assert_eq!(has_banned, number == needed, "{failures_max} {expect:?} {number}");
                }
            }
        }
    }
}

/// Whoever fails on while it is banned: until when, as a fail2ban server was seen to do.
#[test]
fn a_ban_is_prolonged() {
    let id = Id::address("192.0.2.1".parse().expect("one"));
    let mut jail = Jail::new(settings(3, 600, 14));
    let fail = |jail: &mut Jail, at_s| jail.failure(&failure("192.0.2.1", at_s)).pop();
    let until = |until_s, is_later| Some(Deed::AlreadyBanned { until_s: Some(until_s), is_later });
    for _ in 0..3 {
        fail(&mut jail, 28);
    }
    assert_eq!(fail(&mut jail, 33), Some(Deed::Found));
    assert_eq!(fail(&mut jail, 34), Some(Deed::Found));
    assert_eq!(fail(&mut jail, 35), until(49, true));
    assert_eq!(fail(&mut jail, 36), Some(Deed::Found));
    let known = jail.knows(&id).expect("known");
    assert_eq!((known.banned, known.bans), (Some((28, Some(49))), 1));
    assert_eq!((jail.ended(48), jail.ended(49)), (vec![], vec![(49, id.clone())]));

    // One that grew ends no sooner, and later only by `bantime` itself.
    let increment = Some(Increment::default());
    let mut jail = Jail::new(Settings { increment, ..settings(3, 600, 8) });
    for _ in 0..3 {
        fail(&mut jail, 28);
    }
    assert_eq!((fail(&mut jail, 33), fail(&mut jail, 34)), (Some(Deed::Found), until(42, true)));
    assert_eq!((fail(&mut jail, 35), fail(&mut jail, 36)), (Some(Deed::Found), until(44, true)));
    assert_eq!(jail.ended(44).len(), 1);
    fail(&mut jail, 62);
    assert_eq!(fail(&mut jail, 62), Some(Deed::Banned { until_s: Some(78), before: 1 }));
    assert_eq!(fail(&mut jail, 65), until(78, false));
    assert_eq!(fail(&mut jail, 71), until(79, true));
    assert_eq!((jail.ended(78), jail.ended(79).len()), (vec![], 1));

    // For ever is for ever.
    let mut jail = Jail::new(settings(1, 600, -1));
    fail(&mut jail, 28);
    assert_eq!(fail(&mut jail, 33), Some(Deed::AlreadyBanned { until_s: None, is_later: false }));
    let mut jail = Jail::new(settings(1, 600, -1));
    jail.ban(&id, 28, Some(10));
    assert_eq!(fail(&mut jail, 33), until(38, false));
}

/// Bans by other jails count where `bantime.overalljails` says so.
#[test]
fn bans_of_other_jails() {
    for (is_overall, until_s) in [(false, 65), (true, 245)] {
        let increment = Increment { is_overall, ..Increment::default() };
        let mut jail = Jail::new(Settings { increment: Some(increment), ..settings(1, 10, 60) });
        let deeds = jail.failure_given(&failure("192.0.2.1", 5), 0.0, 2);
        let before = if is_overall { 2 } else { 0 };
        assert_eq!(deeds, [Deed::Found, Deed::Banned { until_s: Some(until_s), before }]);
    }
}

#[test]
fn tables_are_bounded() {
    let mut jail = Jail::new(settings(2, 10, 5));
    for n in 0..250_000_u32 {
        let id = Id::address(std::net::Ipv4Addr::from(n).into());
        jail.failure(&Failure { time_us: i64::from(n), id, fields: Fields::default(), rule: 0 });
    }
    assert_eq!(jail.known().count(), ROWS_MAX);
    assert!(jail.knows(&Id::address(std::net::Ipv4Addr::from(1).into())).is_none());
}

/// What was kept and put back goes on as if nothing had happened.
#[test]
fn what_is_kept_is_put_back() {
    let mut jail = Jail::new(settings(3, 10, 50));
    for (id, at_s) in
        [("192.0.2.1", 100), ("192.0.2.2", 100), ("192.0.2.2", 101), ("192.0.2.2", 102), ("x.example", 103)]
    {
        jail.failure(&failure(id, at_s));
    }
    assert_eq!(jail.ban(&Id::Other("by hand".to_owned()), 104, Some(-1)), Some(None));
    let mut other = Jail::new(settings(3, 10, 50));
    jail.known().for_each(|known| other.restore(&known));
    for jail in [&mut jail, &mut other] {
        assert_eq!(jail.banned_count(), 2);
        assert_eq!(jail.next_end(), Some(152));
        assert_eq!(jail.failure(&failure("192.0.2.1", 105)), [Deed::Found]);
        assert_eq!(jail.failure(&failure("192.0.2.1", 105)).len(), 2);
        let ended: Vec<String> = jail.ended(155).iter().map(|(at_s, id)| format!("{at_s} {id}")).collect();
        assert_eq!(ended, ["152 192.0.2.2", "155 192.0.2.1"]);
        let known = jail.knows(&Id::address("192.0.2.2".parse().expect("one"))).expect("remembered");
        assert_eq!((known.bans, known.failures, known.banned), (1, 0, None));
        assert_eq!(jail.banned().collect::<Vec<_>>(), [(&Id::Other("by hand".to_owned()), None)]);
    }
}

/// Set back by an hour, and told of it or not.
#[test]
fn the_clock_is_set_back() {
    let mut jail = Jail::new(settings(2, 10, 50));
    jail.failure(&failure("192.0.2.1", 10_000));
    jail.failure(&failure("192.0.2.2", 10_000));
    jail.failure(&failure("192.0.2.2", 10_000));
    // Nobody said so: a failure of the time before is no companion of one from the time after.
    assert_eq!(jail.failure(&failure("192.0.2.1", 6_400)), [Deed::Found]);
    assert_eq!(jail.failure(&failure("192.0.2.1", 6_401)).len(), 2);
    jail.shift(-3_600);
    let ends: Vec<i64> = jail.ended(i64::MAX).iter().map(|(at_s, _)| *at_s).collect();
    assert_eq!(ends, [2_851, 6_450]);
}

/// Freed by hand again and again: nothing piles up.
#[test]
fn what_was_freed_leaves_nothing() {
    let mut jail = Jail::new(settings(1, 10, 1_000));
    for n in 0..10_000 {
        assert_eq!(jail.failure(&failure("192.0.2.1", n)).len(), 2);
        assert!(jail.free(&failure("192.0.2.1", n).id));
        jail.ended(n);
    }
    assert!(jail.ends.len() <= 65 && jail.known().count() == 1);
    assert_eq!(jail.ended(i64::MAX), []);
}

#[test]
fn failures_of_the_past_are_forgotten() {
    let mut jail = Jail::new(settings(2, 10, 50));
    jail.failure(&failure("192.0.2.1", 100));
    jail.failure(&failure("192.0.2.2", 105));
    jail.forget_past(111);
    let left: Vec<String> = jail.known().map(|known| known.id.to_string()).collect();
    assert_eq!(left, ["192.0.2.2"]);
    assert!(
        jail.settings().is_past(&failure("x", 100), 111) && !jail.settings().is_past(&failure("x", 101), 111)
    );
}

/// `count = attempts`: the user, the kind of line, and how far behind the first.
#[test]
fn lines_about_one_attempt_count_once() {
    let mut jail = Jail::new(Settings { counts_attempts: true, ..settings(100, 600, 50) });
    for (at_s, rule, user, expect) in [
        (0, 0, "bob", Deed::Found),
        (0, 1, "", Deed::Known),
        (2, 2, "Bob@example.org", Deed::Known),
        (2, 2, "bob", Deed::Found),
        (3, 0, "bob", Deed::Known),
        (4, 0, "eve", Deed::Found),
        (40, 1, "eve", Deed::Found),
    ] {
        let mut failure = failure("192.0.2.1", at_s);
        failure.rule = rule;
        if !user.is_empty() {
            failure.fields.named.insert("user".into(), user);
        }
        assert_eq!(jail.failure(&failure), [expect], "{at_s} {rule} {user}");
    }
}

#[test]
fn names_and_own_addresses() {
    let with =
        |dns: Dns| Settings { dns, own: vec!["198.51.100.7".parse().expect("one")], ..settings(1, 10, 50) };
    let name = failure("host.example", 1);
    let look_up = |is_said| Candidate::LookUp { name: "host.example".to_owned(), is_said };
    assert_eq!(with(Dns::Warn).candidate(&name), look_up(true));
    assert_eq!(with(Dns::Yes).candidate(&name), look_up(false));
    assert_eq!(with(Dns::No).candidate(&name), Candidate::Dropped);
    assert_eq!(with(Dns::Raw).candidate(&name), Candidate::Counts);
    assert_eq!(with(Dns::No).candidate(&failure("192.0.2.1", 1)), Candidate::Counts);
    assert!(with(Dns::No).spares(&failure("198.51.100.7", 1).id));
    let banned = Settings { spares_own: false, ..with(Dns::No) };
    assert!(!banned.spares(&failure("198.51.100.7", 1).id));
}

#[test]
fn options_are_read() {
    let place = config::place::Place::nowhere();
    let mut jail = crate::jails::Jail { name: "t".to_owned(), ..Default::default() };
    for (name, text) in [
        ("maxretry", "3"),
        ("bantime", "1h"),
        ("bantime.increment", "yes"),
        ("bantime.formula", "ban.Time * ban.Kount"),
        ("bantime.factor", "2.0 / 4"),
        ("bantime.rndtime", "5m"),
        ("bantime.overalljails", "true"),
        ("bantime.multipliers", "1 two"),
        ("ignoreself", "false"),
        ("ignorecommand", "/bin/known <ip>"),
        ("ignorecache", "key=\"<F-USER>@<ip-host>\", max-count=10, max-time=5m"),
        ("count", "attempts"),
    ] {
        jail.options.insert(name, (text.to_owned(), place.clone()));
    }
    jail.filter.insert("usedns", "perhaps".to_owned());
    let (settings, found) = Settings::of(&jail);
    let said: Vec<String> = found.iter().map(|found| found.message.clone()).collect();
    assert_eq!(
        said,
        [
            "`bantime.multipliers = 1 two` can't be read",
            "`bantime.formula = ban.Time * ban.Kount` can't be read",
            "`usedns = perhaps` can't be read"
        ]
    );
    let increment = settings.increment.clone().expect("bans grow");
    assert_eq!((increment.factor, increment.random_s, increment.is_overall), (0.5, 300, true));
    let cache = Cache { key: "<F-USER>@<ip-host>".to_owned(), count_max: 10, time_s: 300 };
    assert_eq!((settings.cache, settings.command), (Some(cache), Some("/bin/known <ip>".to_owned())));
    assert_eq!((settings.dns, settings.spares_own, settings.counts_attempts), (Dns::No, false, true));
    assert_eq!((settings.matches_max, settings.failures_max, settings.ban_s), (3, 3, 3_600));
}
