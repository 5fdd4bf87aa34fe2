use super::*;
use crate::filter::Fields;
use crate::jail::{Caught, Deed, Jail as Machine, Settings};
use std::net::IpAddr;

fn settings(wide: Wide, failures_max: u32) -> Settings {
    let mut jail = Jail { name: "j".into(), ..Jail::default() };
    jail.options.insert("ignoreip", ("198.51.100.7 2001:db8:1::/64".into(), config::place::Place::nowhere()));
    let (settings, found) = Settings::of(&jail);
    assert_eq!(found.len(), 0);
    Settings { wide: Some(wide), failures_max, find_s: 600, ban_s: 3_600, ..settings }
}

fn failure(at_s: i64, address: &str, user: &str) -> Failure {
    let mut fields = Fields::default();
    for (name, text) in user.split(',').filter_map(|pair| pair.split_once('=')) {
        fields.named.insert(name.into(), text);
    }
    let address: IpAddr = address.parse().unwrap();
    Failure { time_us: at_s * 1_000_000, id: Id::address(address), fields, rule: 0 }
}

/// Who is shut out after a failure.
fn take(jail: &mut Machine, at_s: i64, address: &str, fields: &str) -> Vec<String> {
    jail.ended(at_s);
    let deeds = jail.failure(&failure(at_s, address, fields));
    assert!(deeds == [Deed::Found] || deeds == [Deed::Ignored], "{deeds:?}");
    jail.caught().into_iter().map(|Caught { id, .. }| id.to_string()).collect()
}

const NOBODY: [&str; 0] = [];

#[test]
fn a_network_is_counted_as_one() {
    let wide = Wide { by: By::Prefix(24, 64), spread: 3, limit: 1_000 };
    let mut jail = Machine::new(settings(wide, 5));
    for (at, address) in ["192.0.2.1", "192.0.2.2", "192.0.3.1", "192.0.2.2", "192.0.2.3"].iter().enumerate()
    {
        assert_eq!(take(&mut jail, at as i64, address, ""), NOBODY, "{address}");
    }
    assert_eq!(take(&mut jail, 6, "192.0.2.3", ""), ["192.0.2.0/24"]);
    assert_eq!(take(&mut jail, 7, "192.0.2.4", ""), NOBODY, "it is shut out already");
    assert_eq!(jail.ended(3_606).len(), 1);
    // One user behind one address is nobody's network, however often he mistypes.
    for at in 0..50 {
        assert_eq!(take(&mut jail, 4_000 + at, "203.0.113.5", ""), NOBODY);
    }
    // What is too long ago doesn't count.
    for (at, address) in
        [(9_000, "192.0.9.1"), (9_001, "192.0.9.2"), (9_002, "192.0.9.3"), (9_003, "192.0.9.4")]
    {
        assert_eq!(take(&mut jail, at, address, ""), NOBODY);
    }
    assert_eq!(take(&mut jail, 9_700, "192.0.9.5", ""), NOBODY);
}

#[test]
fn whoever_is_never_banned_wins() {
    let wide = Wide { by: By::Prefix(24, 64), spread: 2, limit: 1_000 };
    let mut jail = Machine::new(settings(wide, 3));
    // 198.51.100.7 is never banned: its neighbours are, one by one.
    assert_eq!(take(&mut jail, 1, "198.51.100.7", ""), NOBODY);
    assert_eq!(take(&mut jail, 1, "198.51.100.8", ""), NOBODY);
    assert_eq!(take(&mut jail, 2, "198.51.100.8", ""), NOBODY);
    assert_eq!(take(&mut jail, 3, "198.51.100.9", ""), ["198.51.100.9", "198.51.100.8"]);
    assert_eq!(take(&mut jail, 4, "198.51.100.10", ""), ["198.51.100.10"]);
    // Within a network that is never banned, nobody is.
    for at in 5..20 {
        assert_eq!(take(&mut jail, at, &format!("2001:db8:1::{at}"), ""), NOBODY);
    }
    let wide = Wide { by: By::Prefix(24, 48), ..wide };
    let mut jail = Machine::new(settings(wide, 3));
    assert_eq!(take(&mut jail, 1, "2001:db8:1:1::1", ""), NOBODY);
    assert_eq!(take(&mut jail, 1, "2001:db8:1:1::2", ""), NOBODY);
    assert_eq!(take(&mut jail, 1, "2001:db8:1:2::1", ""), ["2001:db8:1:2::/64", "2001:db8:1:1::/64"]);
}

#[test]
fn an_account_that_many_try() {
    let wide = Wide { by: By::Account, spread: 4, limit: 6 };
    let mut jail = Machine::new(settings(wide, 5));
    // The owner mistypes: from one place, from two of one network.
    for at in 0..20 {
        assert_eq!(take(&mut jail, at, "192.0.2.5", "user=Alice"), NOBODY);
        assert_eq!(take(&mut jail, at, "192.0.2.6", "user=bob"), NOBODY);
    }
    assert_eq!(take(&mut jail, 700, "203.0.113.1", "user=alice"), NOBODY);
    assert_eq!(take(&mut jail, 701, "198.51.100.1", "user=alice"), NOBODY);
    assert_eq!(take(&mut jail, 702, "198.51.101.1", "alt_user=ALICE"), NOBODY);
    assert_eq!(take(&mut jail, 702, "198.51.101.9", "user=carol"), NOBODY);
    assert_eq!(take(&mut jail, 703, "203.0.113.2", "user=alice"), NOBODY, "enough tries, three networks");
    let caught = take(&mut jail, 704, "2001:db8::1", "user=alice");
    let all = ["2001:db8::/64", "203.0.113.2", "198.51.101.1", "198.51.100.1", "203.0.113.1"];
    assert_eq!(caught, all);
    // While it lasts, each newcomer is shut out at once, up to the limit.
    assert_eq!(take(&mut jail, 705, "198.51.102.1", "user=alice"), ["198.51.102.1"]);
    assert_eq!(take(&mut jail, 706, "198.51.103.1", "user=alice"), NOBODY);
    // Long after, one mistake is one mistake.
    assert_eq!(take(&mut jail, 9_000, "198.51.103.1", "user=alice"), NOBODY);
    assert_eq!(take(&mut jail, 9_001, "198.51.103.2", ""), NOBODY, "a line without a name");
}

#[test]
fn a_password_that_is_sprayed() {
    let wide = Wide { by: By::Password, spread: 3, limit: 1_000 };
    let mut jail = Machine::new(settings(wide, 3));
    assert_eq!(take(&mut jail, 1, "192.0.2.1", "user=a,password=Summer26"), NOBODY);
    assert_eq!(take(&mut jail, 2, "192.0.3.1", "user=b,password=summer26"), NOBODY, "another one");
    assert_eq!(take(&mut jail, 3, "192.0.4.1", "user=c,password=Summer26"), NOBODY);
    assert_eq!(
        take(&mut jail, 4, "192.0.5.1", "user=d,password=Summer26"),
        ["192.0.5.1", "192.0.4.1", "192.0.2.1"]
    );
}

/// An old password in somebody's telephone isn't sprayed, wherever he goes; where no account is known, nobody can tell.
#[test]
fn an_old_password_on_the_way() {
    let wide = Wide { by: By::Password, spread: 3, limit: 1_000 };
    let mut jail = Machine::new(settings(wide, 3));
    for at in 0..50 {
        let user = if at % 2 == 0 { "alice" } else { "Alice@example.com" };
        let said = format!("{UNSAID_USER}={user},{UNSAID_PASSWORD}=00ff");
        assert_eq!(take(&mut jail, at, &format!("192.0.{at}.1"), &said), NOBODY);
    }
    let said = format!("user=bob,{UNSAID_USER}=alice,{UNSAID_PASSWORD}=00ff");
    assert_eq!(take(&mut jail, 50, "198.51.101.1", &said).len(), 51, "a third account, which the line says");
    for (at, expect) in [(60, 0), (61, 0), (62, 3)] {
        let said = format!("{UNSAID_PASSWORD}=0100");
        assert_eq!(take(&mut jail, at, &format!("203.0.{at}.1"), &said).len(), expect);
    }
}

/// A botnet of thousands is caught, people who mistype are not; with a clock and dice of its own.
#[test]
fn a_botnet_among_people() {
    let wide = Wide { by: By::Account, spread: 8, limit: 1_000 };
    let mut jail = Machine::new(Settings { find_s: 3_600, ..settings(wide, 20) });
    let mut seed = 7_u64;
    let mut roll = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let (mut bots, mut people) = (0, 0);
    for at in 0..20_000_i64 {
        let (address, user) = if roll(3) == 0 {
            // Each person has an account and two addresses.
            let person = roll(500);
            (format!("10.{}.{}.{}", person % 200, person / 200, roll(2) + 1), format!("user=person{person}"))
        } else {
            (format!("172.{}.{}.{}", 16 + roll(16), roll(256), roll(256)), format!("user=target{}", roll(5)))
        };
        for id in take(&mut jail, at, &address, &user) {
            if id.starts_with("10.") { people += 1 } else { bots += 1 }
        }
    }
    assert!(people == 0 && bots > 3_000, "{people} people, {bots} bots");
}

#[test]
fn tables_are_bounded() {
    let wide = Wide { by: By::Account, spread: 1_000_000, limit: 1_000 };
    let mut groups = Groups::default();
    for n in 0..(SEEN_MAX + 20_000) {
        let user = if n % 2 == 0 { "user=one".to_owned() } else { format!("user=u{n}") };
        groups.failure(&wide, &failure(1, "192.0.2.1", &user), (1, 600, 3));
    }
    let held: usize = groups.groups.values().map(|group| group.seen.len()).sum();
    assert_eq!(groups.seen, held);
    assert!(held <= SEEN_MAX && groups.uses.len() <= 2 * SEEN_MAX, "{held}");
    assert_eq!(groups.groups.get(&Id::Other("one".into())).map(|group| group.seen.len()), Some(GROUP_MAX));
    groups.forget_past(10_000, 600);
    assert_eq!((groups.seen, groups.groups.len()), (0, 0));
}

#[test]
fn options() {
    let check = |options: &[(&'static str, &str)], expect: Option<Wide>, errors: usize| {
        let mut jail = Jail::default();
        for (name, text) in options {
            jail.options.insert(name, ((*text).to_owned(), config::place::Place::nowhere()));
        }
        let mut found = Vec::new();
        assert_eq!(Wide::of(&jail, &mut found), expect, "{options:?}");
        assert_eq!(found.len(), errors, "{options:?}: {found:?}");
    };
    let wide = |by, spread, limit| Some(Wide { by, spread, limit });
    check(&[], None, 0);
    check(&[("komainu_count", "address")], None, 0);
    check(&[("komainu_count", "prefix")], wide(By::Prefix(24, 64), 3, 1_000), 0);
    check(&[("komainu_count", "Prefix/22,56")], wide(By::Prefix(22, 56), 3, 1_000), 0);
    check(&[("komainu_count", "prefix/20"), ("komainu_spread", "1")], wide(By::Prefix(20, 64), 1, 1_000), 0);
    check(&[("komainu_count", "account"), ("komainu_limit", "50")], wide(By::Account, 8, 50), 0);
    check(&[("komainu_count", "password"), ("komainu_spread", "1")], wide(By::Password, 8, 1_000), 1);
    check(&[("komainu_count", "prefix/4")], None, 1);
    check(&[("komainu_count", "prefix/24,200")], None, 1);
    check(&[("komainu_count", "everything")], None, 1);
}
