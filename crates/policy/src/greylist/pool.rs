//! Pools of senders: by whom a client is known where keys are [`Keys::Sender`](super::options::Keys).
//!
//! Large senders come back from other networks than they came from at first. What such servers have in common, and
//! nobody else can have, stands in the DNS: the sender's domain names them by SPF (`spf:example.org`), or their names lie
//! in one zone (`zone:example.org`). A client is never known by what it merely says:
//! - SPF counts where it passes and the record tells clients apart: one that lets half of the world pass names nobody.
//! - A name counts where it leads back to the client, as Postfix and we have it in `client_name`, and isn't one that a
//!   provider has numbered for its customers. The zone is the nearest name above it that has name servers: whoever
//!   has a name below a public suffix has a zone of his own, so no list of suffixes is needed.
//!
//! Neither replaces the client's network: what came from a network is known by it as before. Pure, on [`Need`]; time
//! limits are the driver's, who answers that there is no answer.

use crate::facts::{Answer, Facts, Need, Question, Record, RecordKind};
use crate::spf::{self, Sender, Settings, SpfResult};
use mail::Wall;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a client of another network must not share: addresses that are tried against a record that passes.
const STRANGERS: u32 = 8;
/// Names above a client's that are asked about.
const ANCESTORS_MAX: usize = 6;
/// Words of a host's name that providers give to lines of customers.
const LINES: &[&str] = &[
    "adsl",
    "broadband",
    "cable",
    "catv",
    "cpe",
    "cust",
    "customer",
    "dhcp",
    "dial",
    "dialin",
    "dialup",
    "dip",
    "dsl",
    "dyn",
    "dynamic",
    "fiber",
    "fios",
    "ftth",
    "home",
    "hsd",
    "lte",
    "mobile",
    "pool",
    "ppp",
    "pppoe",
    "res",
    "residential",
    "vdsl",
    "wifi",
    "xdsl",
];

/// What a pool is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client<'a> {
    /// Its address, IPv4-mapped ones as IPv4.
    pub address: IpAddr,
    /// Its confirmed name, or `unknown`.
    pub name: &'a str,
    /// What it said in HELO.
    pub helo: &'a str,
    /// The sender; empty for reports.
    pub sender: &'a str,
}

/// The pool that a client belongs to; `None` where it is known by its network alone.
///
/// # Errors
/// When the DNS must be asked first.
pub fn find(client: &Client<'_>, facts: &Facts) -> Result<Option<String>, Need> {
    if client.address.is_loopback() {
        return Ok(None);
    }
    if let Some(domain) = by_spf(client, facts)? {
        return Ok(Some(format!("spf:{domain}")));
    }
    Ok(zone(client, facts)?.map(|zone| format!("zone:{zone}")))
}

/// The domain that names the client by SPF.
fn by_spf(client: &Client<'_>, facts: &Facts) -> Result<Option<String>, Need> {
    let sender = Sender::mail_from(client.address, client.helo, client.sender);
    let settings =
        Settings { void_limit: spf::VOID_LIMIT, receiver: crate::UNKNOWN, now: Wall::from_seconds(0) };
    if spf::check(&sender, &settings, facts)?.result != SpfResult::Pass {
        return Ok(None);
    }
    // What the record says of others by what is known already: terms that didn't matter here aren't asked about.
    let names_a_stranger = (0..STRANGERS).any(|number| {
        let stranger = Sender { client: stranger(client.address, sender.domain, number), ..sender };
        spf::check(&stranger, &settings, facts).is_ok_and(|verdict| verdict.result == SpfResult::Pass)
    });
    let domain = mail::host::ascii_name(sender.domain).unwrap_or_default();
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    Ok((!names_a_stranger && !domain.is_empty()).then_some(domain))
}

/// An address that is somebody else's for sure, another one for each client, domain and number.
fn stranger(client: IpAddr, domain: &str, number: u32) -> IpAddr {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    match client {
        IpAddr::V4(v4) => v4.octets().into_iter().for_each(&mut add),
        IpAddr::V6(v6) => v6.octets().into_iter().for_each(&mut add),
    }
    domain.bytes().chain(number.to_be_bytes()).for_each(&mut add);
    // The low bits of FNV are weak.
    let spread = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match client {
        IpAddr::V4(v4) => {
            let bits = u32::try_from(spread >> 32).unwrap_or(0);
            let apart = if bits >> 16 == v4.to_bits() >> 16 { bits ^ 0x8000_0000 } else { bits };
            IpAddr::V4(Ipv4Addr::from_bits(apart))
        }
        IpAddr::V6(v6) => {
            // Within 2000::/3, where everybody is.
            let bits = (u128::from(spread) << 64 | u128::from(spread.rotate_left(17))) >> 3 | 1 << 125;
            let apart = if bits >> 96 == v6.to_bits() >> 96 { bits ^ 1 << 120 } else { bits };
            IpAddr::V6(Ipv6Addr::from_bits(apart))
        }
    }
}

/// The zone of the client's name.
fn zone(client: &Client<'_>, facts: &Facts) -> Result<Option<String>, Need> {
    let name = client.name.trim_end_matches('.').to_ascii_lowercase();
    if name == crate::UNKNOWN || !mail::host::is_hostname(&name) {
        return Ok(None);
    }
    let ends = name.match_indices('.').map(|(at, _)| at + 1);
    for at in std::iter::once(0).chain(ends).take(ANCESTORS_MAX) {
        let above = name.get(at..).unwrap_or("");
        // A top-level domain is nobody's.
        if !above.contains('.') {
            return Ok(None);
        }
        let question = Question::Dns { name: above.to_owned(), kind: RecordKind::Ns };
        match facts.ask(&question)? {
            Answer::Records(records) if records.iter().any(|one| matches!(one, Record::Ns(_))) => {
                // What stands in the zone's own name says nothing of its hosts.
                let host = name.get(..at).unwrap_or("");
                return Ok((!is_numbered(host, client.address)).then(|| above.to_owned()));
            }
            Answer::NoName | Answer::NoRecords | Answer::Records(_) => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Whether a provider has made the name out of the address, or out of the kind of line.
fn is_numbered(name: &str, address: IpAddr) -> bool {
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let kind = |word: &&str| LINES.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()));
    if words.iter().any(kind) {
        return true;
    }
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            let has = |hex: String| name.contains(&hex);
            let number =
                |word: &&str| word.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u8>().ok();
            let numbers: Vec<Option<u8>> = words.iter().map(number).collect();
            let pairs = |pair: &[Option<u8>]| pair == [Some(c), Some(d)] || pair == [Some(d), Some(c)];
            numbers.windows(2).any(pairs)
                || has(format!("{a:02x}{b:02x}{c:02x}{d:02x}"))
                || has(format!("{a:03}{b:03}{c:03}{d:03}"))
        }
        IpAddr::V6(v6) => {
            let [.., last] = v6.segments();
            let digits: String = name.chars().filter(char::is_ascii_hexdigit).collect();
            let whole = format!("{:032x}", v6.to_bits());
            let end = whole.get(16..).unwrap_or("");
            last > 0xff
                && (digits.contains(end) || words.iter().filter(|word| is_group(word, v6)).count() >= 3)
        }
    }
}

/// Whether a word is one of an address's groups.
fn is_group(word: &str, address: Ipv6Addr) -> bool {
    let group = u16::from_str_radix(word, 16).ok().filter(|group| *group > 0);
    group.is_some_and(|group| address.segments().contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the DNS says: SPF records, and which names have name servers.
    fn found(who: (&str, &str, &str), records: &[(&str, &str)], zones: &[&str]) -> Option<String> {
        let (address, name, sender) = who;
        let client = Client { address: address.parse().unwrap(), name, helo: "mail.pool.example", sender };
        let mut facts = spf::without_tables();
        for _ in 0..100 {
            let Need(question) = match find(&client, &facts) {
                Ok(pool) => return pool,
                Err(need) => need,
            };
            let Question::Dns { name, kind } = &question else { panic!("{question:?}") };
            let answer = match kind {
                RecordKind::Txt => match records.iter().find(|(domain, _)| domain == name) {
                    Some((_, "?")) => Answer::Unavailable("late".into()),
                    Some((_, text)) => Answer::Records(vec![Record::Txt((*text).to_owned())]),
                    None => Answer::NoRecords,
                },
                RecordKind::Ns if name == "late.example" => Answer::Unavailable("late".into()),
                RecordKind::Ns if zones.contains(&name.as_str()) => {
                    Answer::Records(vec![Record::Ns("ns.example".into())])
                }
                RecordKind::A if name.ends_with(".by.example") => {
                    Answer::Records(vec![Record::A(Ipv4Addr::LOCALHOST)])
                }
                _ => Answer::NoName,
            };
            facts.learn(question, answer);
        }
        panic!("no end of questions")
    }

    #[test]
    fn what_a_domain_says_by_spf_comes_first() {
        let records = [
            ("pool.example", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:5::/48 -all"),
            ("rented.example", "v=spf1 include:pool.example ~all"),
            ("mail.pool.example", "v=spf1 a:by.example ip4:192.0.2.9 -all"),
            ("late.example", "?"),
        ];
        let zones = ["pool.example", "example"];
        let told = |address, name, sender| found((address, name, sender), &records, &zones);
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(told("192.0.2.9", "unknown", "a@Pool.example"), is("spf:pool.example"));
        assert_eq!(told("2001:db8:5::9", "unknown", "a@pool.example"), is("spf:pool.example"));
        assert_eq!(told("192.0.2.9", "m1.pool.example", "a@rented.example"), is("spf:rented.example"));
        assert_eq!(told("192.0.2.9", "m1.pool.example", ""), is("spf:mail.pool.example"), "by HELO");
        // Whoever isn't named has the domain's key no more than anybody else.
        assert_eq!(told("198.51.100.9", "unknown", "a@pool.example"), None);
        assert_eq!(told("198.51.100.9", "unknown", "a@none.example"), None);
        assert_eq!(told("192.0.2.9", "m1.pool.example", "a@late.example"), is("zone:pool.example"));
        assert_eq!(told("192.0.2.9", "unknown", "a@late.example"), None);
        assert_eq!(told("127.0.0.1", "localhost", "a@pool.example"), None);
    }

    /// A record that lets strangers pass names nobody.
    #[test]
    fn records_that_name_everybody() {
        for record in [
            "v=spf1 +all",
            "v=spf1 ip4:192.0.2.0/24 ?all +all ip4:0.0.0.0/0",
            "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1",
            "v=spf1 ip4:0.0.0.0/2 ip4:64.0.0.0/2 ip4:128.0.0.0/2 ip4:192.0.0.0/3",
            "v=spf1 -ip4:203.0.113.0/24 all",
            "v=spf1 include:b.example -all",
            "v=spf1 redirect=b.example",
            "v=spf1 ip6:2000::/3",
        ] {
            let records = [("a.example", record), ("b.example", "v=spf1 all")];
            for client in ["198.51.100.77", "2001:db8::77"] {
                let told = found((client, "unknown", "x@a.example"), &records, &[]);
                assert_eq!(told, None, "{record} {client}");
            }
        }
        let narrow = [("a.example", "v=spf1 exists:%{i}.by.example -all")];
        assert_eq!(
            found(("198.51.100.77", "unknown", "x@a.example"), &narrow, &[]).as_deref(),
            Some("spf:a.example"),
            "strangers aren't asked about"
        );
    }

    #[test]
    fn zones_of_names() {
        let zones =
            ["big.example", "pool.example", "shop.co.example", "co.example", "example", "deep.x.big.example"];
        let told = |address, name| found((address, name, "a@none.example"), &[], &zones);
        let is = |text: &str| Some(format!("zone:{text}"));
        assert_eq!(told("192.0.2.9", "mail-ed1-f41.big.example"), is("big.example"));
        assert_eq!(told("198.51.100.1", "Mail-WR1-f7.out.BIG.example."), is("big.example"));
        assert_eq!(told("192.0.2.9", "a.deep.x.big.example"), is("deep.x.big.example"));
        assert_eq!(told("192.0.2.9", "mx.shop.co.example"), is("shop.co.example"));
        assert_eq!(told("192.0.2.9", "mx1.pool.example"), is("pool.example"));
        assert_eq!(told("192.0.2.9", "192-0-2-9.pool.example"), None);
        assert_eq!(told("192.0.2.9", "nowhere.test"), None);
        assert_eq!(told("192.0.2.9", "example"), None, "a top-level domain is nobody's");
        assert_eq!(told("192.0.2.9", "mail.late.example"), None);
        assert_eq!(told("192.0.2.9", "bad name.big.example"), None);
        assert_eq!(told("192.0.2.9", "a.b.c.d.e.f.g.big.example"), None, "too deep");
    }

    /// A provider's customers are no pool.
    #[test]
    fn names_that_are_numbered() {
        let numbered = |name, address: &str| is_numbered(name, address.parse().unwrap());
        for name in [
            "192-0-2-77.isp.example",
            "77.2.0.192.isp.example",
            "host77-2.isp.example",
            "c0a80001.c000024d.isp.example",
            "h192000002077.isp.example",
            "dyn5.isp.example",
            "x.dsl.isp.example",
            "pool-3.isp.example",
        ] {
            assert!(numbered(name, "192.0.2.77"), "{name}");
        }
        for name in
            ["mail-ed1-f41.big.example", "sonic304-21.mail.example", "dynamo.example", "o2.ptr78.example"]
        {
            assert!(!numbered(name, "192.0.2.77"), "{name}");
        }
        assert!(numbered("2001-db8-1-2-3-4-5-6.isp.example", "2001:db8:1:2:3:4:5:600"));
        assert!(numbered("p200100db800010002000300040005abcd.isp.example", "2001:db8:1:2:3:4:5:abcd"));
        assert!(!numbered("mail-ed1-x32.big.example", "2a00:1450:4864:20::532"));
    }

    #[test]
    fn strangers_are_far_away_and_differ() {
        for client in ["192.0.2.1", "2001:db8::1"] {
            let client: IpAddr = client.parse().unwrap();
            let all: Vec<IpAddr> =
                (0..STRANGERS).map(|number| stranger(client, "a.example", number)).collect();
            for (at, one) in all.iter().enumerate() {
                assert!(one.is_ipv4() == client.is_ipv4() && !all.iter().skip(at + 1).any(|two| one == two));
            }
            // Both halves of what there is are tried.
            let high = |one: &&IpAddr| match one {
                IpAddr::V4(v4) => v4.to_bits() >> 31 == 1,
                IpAddr::V6(v6) => v6.to_bits() >> 124 & 1 == 1,
            };
            let count = all.iter().filter(high).count();
            assert!((1..8).contains(&count), "{all:?}");
            assert_ne!(stranger(client, "a.example", 0), stranger(client, "b.example", 0));
        }
    }
}
