//! The rows: what is measured, against whom, and with which words added to the common configuration.

use crate::generate::{BOX, BOXES, DISCARD, FLOOD, Load, Play, RELAY};
use crate::server::Kind;
use crate::site::Dress;
use std::net::Ipv4Addr;

/// How a row is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// A load.
    Load(Load),
    /// A load, until all of it has left the queue.
    Drained(Load),
    /// Deferred messages to many destinations, until all that can be delivered is.
    Flood(Load),
    /// An honest client beside a crowd.
    Beside { crowd: Load, honest: Load },
    /// What each of a crowd costs in memory, and an honest client beside it.
    Waiting { crowd: Load, honest: Option<Load>, moment: Moment },
    /// Postfix' own generator, as a second opinion: this many messages of 4 kB on ten connections.
    Source { messages: u32 },
}

/// When memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// When all are in their place and the server is at rest.
    Rest,
    /// From the first client to 15 seconds after the last: the most.
    Worst,
}

/// What of a row is its headline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headline {
    /// Sessions a second, and CPU for each.
    Rate,
    /// Seconds until all were done.
    Elapsed,
    /// Median and 99th percentile of one session.
    Latency,
    /// Memory for each client.
    Memory,
    /// Seconds until all were done, and memory meanwhile.
    Flood,
}

/// One thing that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What words select, and the record knows.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) servers: &'static [Kind],
    pub(crate) dress: Dress,
    pub(crate) work: Work,
    pub(crate) headline: Headline,
    /// The curve that it is a point of, and where.
    pub(crate) curve: Option<(&'static str, u32)>,
}

const STORE: &[Kind] = &[Kind::Komainu, Kind::Postfix, Kind::Tuned, Kind::Tmpfs];
const BOTH: &[Kind] = &[Kind::Komainu, Kind::Postfix, Kind::Tuned];
const TUNED: &[Kind] = &[Kind::Komainu, Kind::Tuned];
const SCREEN: &[Kind] = &[Kind::Komainu, Kind::Postscreen];

/// No session begins after this; `--ms` changes it.
pub(crate) const MS: u32 = 3000;

/// How many wait, at most; `--clients` changes it.
pub(crate) const CLIENTS: u32 = 15_000;

const fn client(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, last)
}

const COMMON: Load = Load {
    play: Play::Accept,
    connections: 50,
    count: 40_000,
    ms: MS,
    from: client(1),
    addresses: 16,
    domain: DISCARD,
    body_bytes: 4096,
};

const REFUSED: Load = Load { play: Play::RefusedRecipient, connections: 100, from: client(64), ..COMMON };
const LISTED: Load = Load { from: Ipv4Addr::new(203, 0, 115, 1), ..REFUSED };

const PLAIN: Dress = Dress { main_cf: "", screen: false, table_lines: 0, boxes: 0, signs: false };

const SLEEP: Dress = Dress {
    main_cf: "smtpd_restriction_classes = wait\nwait = sleep 30\n\
              smtpd_client_restrictions = check_client_access cidr:%/etc/crowd\n",
    ..PLAIN
};
const SIX_ZONES: Dress = Dress {
    main_cf: "smtpd_client_restrictions = reject_rbl_client z1.example, reject_rbl_client z2.example, \
              reject_rbl_client z3.example, reject_rbl_client z4.example, reject_rbl_client z5.example, \
              reject_rbl_client z6.example\n",
    ..PLAIN
};
const AT_ONCE: Dress = Dress { main_cf: "smtpd_delay_reject = no\n", ..PLAIN };
const DROP: Dress = Dress {
    main_cf: "postscreen_access_list = cidr:%/etc/denied\npostscreen_denylist_action = drop\n\
              postscreen_pre_queue_limit = 2000\npostscreen_post_queue_limit = 2000\n",
    screen: true,
    ..PLAIN
};
const ENFORCE: Dress = Dress {
    main_cf: "postscreen_access_list = cidr:%/etc/denied\npostscreen_denylist_action = enforce\n\
              postscreen_greet_banner =\npostscreen_pre_queue_limit = 2000\npostscreen_post_queue_limit = 2000\n",
    screen: true,
    ..PLAIN
};

/// Whoever comes may stay, also when the house is nearly full: no shorter time under stress.
const STAY: Dress = Dress {
    main_cf: "smtpd_restriction_classes = wait\nwait = sleep 300\nsmtpd_timeout = 300s\n\
              smtpd_client_connection_rate_limit = 0\n\
              smtpd_client_restrictions = check_client_access cidr:%/etc/crowd, reject_rbl_client bl.example\n",
    ..PLAIN
};
const PREGREET: Dress = Dress {
    main_cf: "smtpd_timeout = 300s\nsmtpd_client_connection_rate_limit = 0\npostscreen_greet_wait = 300s\n\
              postscreen_dnsbl_sites = bl.example\npostscreen_greet_action = enforce\n\
              postscreen_pre_queue_limit = 16000\npostscreen_post_queue_limit = 16000\n\
              postscreen_client_connection_count_limit = 0\n",
    screen: true,
    ..PLAIN
};

const FLOODED: Dress =
    Dress { main_cf: "defer_transports = smtp\ntransport_maps = texthash:%/etc/flood\n", ..PLAIN };

/// 500 patterns for headers, and 500 for every line of the text.
const PATTERNS: Dress = Dress {
    main_cf: "header_checks = regexp:%/etc/header_patterns\nbody_checks = regexp:%/etc/body_patterns\n\
              body_checks_size_limit = 1000000\n",
    ..PLAIN
};

const FEW_PATTERNS: Dress = Dress {
    main_cf: "header_checks = regexp:%/etc/few_header_patterns\nbody_checks = regexp:%/etc/few_body_patterns\n\
              body_checks_size_limit = 1000000\n",
    ..PLAIN
};

const SIGNED: Dress = Dress { main_cf: crate::signer::MAIN_CF, signs: true, ..PLAIN };

const CROWD: Load = Load {
    play: Play::Sleeper,
    connections: 300,
    count: u32::MAX,
    from: Ipv4Addr::new(203, 0, 120, 0),
    addresses: 1024,
    ..COMMON
};
const HONEST: Load = Load { play: Play::Honest, count: 200, ms: 10_000, ..COMMON };

fn row(id: &str, title: &str, servers: &'static [Kind], dress: Dress, work: Work) -> Row {
    let headline = match work {
        Work::Beside { .. } => Headline::Latency,
        Work::Waiting { .. } => Headline::Memory,
        Work::Flood(_) => Headline::Flood,
        Work::Load(_) | Work::Drained(_) | Work::Source { .. } => Headline::Rate,
    };
    Row { id: id.to_owned(), title: title.to_owned(), servers, dress, work, headline, curve: None }
}

fn beside(id: &str, title: &str, servers: &'static [Kind], crowd: Load) -> Row {
    row(id, title, servers, SLEEP, Work::Beside { crowd, honest: HONEST })
}

/// All rows, in their order.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let plural = |number: u32| if number == 1 { "connection" } else { "connections" };
    for (id, what, domain) in [("discard", "discard", DISCARD), ("maildir", "Maildir", BOX)] {
        for connections in [1, 10, 50] {
            let title = format!("accept → {what}, 4 kB, {connections} {}", plural(connections));
            let load = Load { connections, domain, ..COMMON };
            rows.push(row(&format!("{id}-{connections}"), &title, STORE, PLAIN, Work::Load(load)));
        }
    }
    for (id, what, domain) in [("discard-64k", "discard", DISCARD), ("maildir-64k", "Maildir", BOX)] {
        let load = Load { domain, body_bytes: 65_536, ..COMMON };
        let title = format!("accept → {what}, 64 kB, 50 connections");
        rows.push(row(id, &title, STORE, PLAIN, Work::Load(load)));
    }
    let large = Load { connections: 10, body_bytes: 100_000, ..COMMON };
    let title = "accept → discard, 100 kB, 10 connections";
    rows.push(row("large", title, BOTH, PLAIN, Work::Load(large)));
    let title = "the same with 500 header and 500 body patterns";
    rows.push(row("patterns", title, BOTH, PATTERNS, Work::Load(large)));
    let title = "the same with 5 header and 5 body patterns";
    rows.push(row("few-patterns", title, BOTH, FEW_PATTERNS, Work::Load(large)));
    let title = "accept → discard, 4 kB, 50 connections, OpenDKIM signs as a milter";
    rows.push(row("opendkim", title, BOTH, SIGNED, Work::Load(COMMON)));
    for (id, title, domain, boxes) in [
        (
            "relay-50",
            "accept → another server over SMTP, 4 kB, 50 connections, until all is delivered",
            RELAY,
            0,
        ),
        (
            "boxes-1000",
            "accept → 1,000 virtual Maildirs, 4 kB, 50 connections, until all is delivered",
            BOXES,
            1000,
        ),
    ] {
        let dress = Dress { boxes, ..PLAIN };
        rows.push(row(id, title, STORE, dress, Work::Drained(Load { domain, ..COMMON })));
    }
    for (id, title, servers, count) in [
        ("flood-5000", "5,000 deferred to 500 destinations, a tenth hangs", BOTH, 5_000),
        ("flood-100000", "100,000 deferred to 10,000 destinations, a tenth hangs", BOTH, 100_000),
    ] {
        let load = Load { count, ms: u32::MAX, domain: FLOOD, body_bytes: 1024, ..COMMON };
        rows.push(row(id, title, servers, FLOODED, Work::Flood(load)));
    }
    let work = Work::Source { messages: 2000 };
    rows.push(row("smtp-source", "accept → discard, 4 kB, smtp-source -s 10", BOTH, PLAIN, work));
    rows.extend(refusals());
    rows.extend(crowds());
    rows.extend(waiting());
    rows.extend(curves());
    rows
}

fn refusals() -> Vec<Row> {
    let new = Load { from: Ipv4Addr::new(10, 0, 0, 1), addresses: 1 << 20, ..LISTED };
    let greeting = Load { play: Play::RefusedGreeting, ..REFUSED };
    let denied = Load { play: Play::RefusedGreeting, from: Ipv4Addr::new(203, 0, 118, 1), ..REFUSED };
    let enforced = Load { from: Ipv4Addr::new(203, 0, 118, 1), ..REFUSED };
    let zones = Load {
        connections: 1,
        count: 12,
        ms: 10_000,
        from: Ipv4Addr::new(203, 0, 116, 1),
        addresses: 200,
        ..REFUSED
    };
    let at_once = Load {
        play: Play::Greeted,
        connections: 1000,
        count: 1000,
        ms: 60_000,
        from: Ipv4Addr::new(203, 0, 104, 0),
        addresses: 1000,
        ..COMMON
    };
    let load = |id, title, servers, dress, load| row(id, title, servers, dress, Work::Load(load));
    vec![
        load("refuse-table", "refuse at RCPT by access table, 100 connections", BOTH, PLAIN, REFUSED),
        load("refuse-dnsbl", "refuse at RCPT by DNSBL, 100 connections", BOTH, PLAIN, LISTED),
        load("refuse-dnsbl-new", "the same, each client a new address", BOTH, PLAIN, new),
        load("refuse-greeting", "refuse in place of the greeting, 100 connections", BOTH, AT_ONCE, greeting),
        load("denied-drop", "postscreen_access_list reject, drop, 100 connections", SCREEN, DROP, denied),
        load(
            "denied-enforce",
            "postscreen_access_list reject, enforce: 550 at RCPT",
            SCREEN,
            ENFORCE,
            enforced,
        ),
        Row {
            headline: Headline::Elapsed,
            ..load("greet-1000", "1,000 new clients at once, until all are greeted", BOTH, PLAIN, at_once)
        },
        Row {
            headline: Headline::Latency,
            ..load("six-zones", "refused by the sixth DNSBL of 20 … 120 ms", BOTH, SIX_ZONES, zones)
        },
    ]
}

fn crowds() -> Vec<Row> {
    let chat = Load { play: Play::Chatterer, from: Ipv4Addr::new(203, 0, 108, 0), ..CROWD };
    vec![
        beside("honest-sleep-300", "honest client beside 300 in `sleep 30`", BOTH, CROWD),
        beside(
            "honest-sleep-10000",
            "honest client beside 10,000 in `sleep 30`",
            &[Kind::Komainu],
            Load { connections: 10_000, ..CROWD },
        ),
        beside("honest-chatter-300", "honest client beside 300 who chatter", BOTH, chat),
    ]
}

/// T2.2: strangers, each with an address of its own, who stay where they are.
fn waiting() -> Vec<Row> {
    let crowd =
        Load { connections: u32::MAX, from: Ipv4Addr::new(203, 0, 128, 0), addresses: 1 << 15, ..CROWD };
    let honest = Some(Load { count: 100, ms: 5000, ..HONEST });
    let silent = Load { from: Ipv4Addr::new(100, 64, 0, 0), ..crowd };
    let held = |id, title, crowd, moment| {
        row(id, title, &[Kind::Komainu], STAY, Work::Waiting { crowd, honest, moment })
    };
    let rest = |id, title, play| held(id, title, Load { play, ..crowd }, Moment::Rest);
    let worst = Load { play: Play::HeldConnected, ..silent };
    let behind = Load { play: Play::HeldMail, ..silent };
    let before = Load { play: Play::HeldConnected, ..crowd };
    vec![
        rest("waiting-greeting", "waits behind the greeting", Play::HeldGreeted),
        rest("waiting-ehlo", "waits behind EHLO", Play::HeldEhlo),
        rest("waiting-mail", "waits behind MAIL", Play::HeldMail),
        rest("waiting-sleep", "in `sleep`, behind RCPT", Play::Sleeper),
        held("waiting-silent", "its name servers are silent: the worst moment", worst, Moment::Worst),
        held("waiting-silent-mail", "waits behind MAIL after that", behind, Moment::Rest),
        row(
            "waiting-pregreet",
            "kept waiting for the greeting",
            SCREEN,
            PREGREET,
            Work::Waiting { crowd: before, honest: None, moment: Moment::Rest },
        ),
    ]
}

fn curves() -> Vec<Row> {
    let mut rows = Vec::new();
    for (curve, id, load) in [
        ("accept → discard, connections", "curve-discard", COMMON),
        ("refuse by table, connections", "curve-refuse", REFUSED),
    ] {
        for connections in [1, 10, 100, 1000] {
            let work = Work::Load(Load { connections, ..load });
            let row =
                row(&format!("{id}-{connections}"), &format!("{curve}: {connections}"), TUNED, PLAIN, work);
            rows.push(Row { curve: Some((curve, connections)), ..row });
        }
    }
    let curve = "refuse by table, table lines";
    for lines in [10, 100, 1000, 10_000, 100_000, 1_000_000] {
        let dress = Dress { table_lines: lines, ..PLAIN };
        let row = row(
            &format!("curve-table-{lines}"),
            &format!("{curve}: {lines}"),
            TUNED,
            dress,
            Work::Load(REFUSED),
        );
        rows.push(Row { curve: Some((curve, lines)), ..row });
    }
    rows
}

/// The rows whose id has one of the words; all without words.
pub(crate) fn select(words: &[String]) -> Result<Vec<Row>, String> {
    let all = rows();
    for word in words {
        if !all.iter().any(|row| row.id.contains(word.as_str())) {
            return Err(format!("no row has {word:?} in its name; `bench list` shows them"));
        }
    }
    let wanted = |row: &Row| words.is_empty() || words.iter().any(|word| row.id.contains(word.as_str()));
    Ok(all.into_iter().filter(wanted).collect())
}

/// The rows for people.
pub(crate) fn list() -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for row in rows() {
        let servers: Vec<&str> = row.servers.iter().map(|kind| kind.name()).collect();
        // Writing to a string can't fail.
        let _ = writeln!(text, "{:22} {}\n{:22}   {}", row.id, row.title, "", servers.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_select_and_unknown_ones_are_refused() {
        let ids = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            select(&words).map(|rows| rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&["maildir-1"]).expect("some"), ["maildir-1", "maildir-10"]);
        assert_eq!(ids(&["denied-drop", "six"]).expect("some"), ["denied-drop", "six-zones"]);
        assert!(ids(&["nonsense"]).is_err());
        let all = ids(&[]).expect("all");
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
    }

    #[test]
    fn ours_is_in_every_row() {
        assert!(rows().iter().all(|row| row.servers.first() == Some(&Kind::Komainu)));
    }
}
