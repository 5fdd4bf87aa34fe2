use super::*;
use crate::sample::Sample;

const TODAY: Day = Day { year: 2026, month: 11, day: 22 };

fn sample(seed: u64, events: usize) -> (String, crate::sample::Truth) {
    let mut sample = Sample::new(seed, Day { year: 2026, month: 10, day: 1 }, 20);
    // Every other log with postscreen.
    if seed % 2 == 1 {
        sample = sample.screened();
    }
    let mut log = String::new();
    for _ in 0..events {
        sample.event(&mut log);
    }
    (log, sample.truth())
}

fn tally<'a>(lines: impl Iterator<Item = &'a str>) -> Tally {
    let mut tally = Tally::new(Settings::new(TODAY));
    lines.for_each(|line| tally.feed(line.as_bytes()));
    tally
}

fn assert_adds_up(summary: &Summary, what: &str) {
    for (name, split) in [
        ("connections", &summary.connections),
        ("messages", &summary.messages),
        ("origins", &summary.origins),
    ] {
        assert!(split.adds_up(), "{what}: {name}: {split:?}");
    }
    let Lines { read, other_days, broken, passed_over, counted } = summary.lines;
    assert_eq!(read, other_days + broken + passed_over + counted, "{what}");
    assert_eq!(summary.messages.total, summary.origins.total, "{what}");
    let refused: u64 = summary.rules.iter().map(RuleCount::refused).sum();
    assert_eq!(refused, summary.counts.refused, "{what}");
    // A connection that ended as refused has its rule.
    let refused: u64 = summary.rules.iter().map(|rule| rule.connections).sum();
    assert_eq!(refused, summary.connections.count("refused"), "{what}");
    let counts = &summary.counts;
    let hours = summary.traffic.days.iter().flat_map(|(_, hours)| hours);
    let sum = hours.fold(summary.traffic.others, |mut sum, hour| {
        sum.add(hour);
        sum
    });
    assert_eq!(
        [sum.received, sum.delivered, sum.deferred, sum.bounced, sum.refused, sum.connections],
        [
            counts.received,
            counts.delivered,
            counts.deferred,
            counts.bounced,
            counts.refused,
            summary.connections.total
        ],
        "{what}"
    );
    let queued = ["deferred", "waiting", "held"].map(|key| summary.messages.count(key)).iter().sum::<u64>();
    let Queue { messages, steps, unknown, .. } = &summary.queue;
    assert_eq!((*messages, steps.iter().sum::<u64>() + unknown), (queued, queued), "{what}: queue");
    assert_eq!(summary.refusals.total, counts.refused, "{what}");
    assert_eq!((summary.deferrals.total, summary.bounces.total), (counts.deferred, counts.bounced), "{what}");
    assert_eq!(summary.recipients.total, counts.delivered, "{what}");
    let Attacks { failed, networks, accounts, methods, .. } = &summary.attacks;
    for top in [networks, accounts, methods] {
        assert_eq!(top.total, *failed, "{what}");
    }
    for top in [
        &summary.refusals,
        &summary.deferrals,
        &summary.bounces,
        &summary.senders,
        &summary.recipients,
        &summary.destinations,
        &summary.refused_networks,
        &summary.trouble,
        networks,
        accounts,
        methods,
    ] {
        assert_eq!(top.rows.iter().map(|row| row.count).sum::<u64>() + top.other_count, top.total, "{what}");
    }
}

/// Everything that the generator knows.
fn assert_true(summary: &Summary, truth: &crate::sample::Truth, what: &str) {
    assert_adds_up(summary, what);
    let crate::sample::Truth { connected, messages, .. } = truth;
    let counts = &summary.counts;
    let (connections, fates) = (|key| summary.connections.count(key), |key| summary.messages.count(key));
    let said = [
        ("lines", truth.lines, summary.lines.read),
        ("connections", truth.connections, summary.connections.total),
        ("handed on", truth.handed_on, summary.handed_on),
        ("connections: screened", connected.screened, connections("screened")),
        ("received", truth.received, counts.received),
        ("bytes", truth.bytes, counts.bytes_received),
        ("delivered", truth.delivered, counts.delivered),
        ("deferred", truth.deferrals, counts.deferred),
        ("bounced", truth.bounced, counts.bounced),
        ("refused", truth.rejected, counts.refused),
        ("warned", truth.warned, counts.warned),
        ("held", truth.held, counts.held),
        ("discarded", truth.discarded, counts.discarded),
        ("connections: accepted", connected.accepted, connections("accepted")),
        ("connections: refused", connected.refused, connections("refused")),
        ("connections: log-in failed", connected.login_failed, connections("login_failed")),
        ("connections: broken", connected.broken, connections("broken")),
        ("connections: without mail", connected.without_mail, connections("without_mail")),
        ("messages: delivered", messages.delivered, fates("delivered")),
        ("messages: partly", messages.partly, fates("partly")),
        ("messages: bounced", messages.bounced, fates("bounced")),
        ("messages: deferred", messages.deferred, fates("deferred")),
        ("messages: held", messages.held, fates("held")),
        ("messages: refused", messages.refused, fates("refused")),
        ("messages: discarded", messages.discarded, fates("discarded")),
    ];
    for (name, truth, counted) in said {
        assert_eq!(counted, truth, "{what}: {name}");
    }
    let hours = summary.traffic.days.iter().flat_map(|(_, hours)| hours);
    let sum = hours.fold(summary.traffic.others, |mut sum, hour| {
        sum.add(hour);
        sum
    });
    let of = |slot: Slot| {
        let Slot { connections, received, delivered, deferred, bounced, refused } = slot;
        [connections, received, delivered, deferred, bounced, refused]
    };
    let truth =
        [truth.connections, truth.received, truth.delivered, truth.deferrals, truth.bounced, truth.rejected];
    assert_eq!(of(sum), truth, "{what}: hours");
}

#[test]
fn every_count_is_the_generator_s_also_of_files_that_were_rotated() {
    for seed in 0..8 {
        let (log, truth) = sample(seed, 3000);
        assert_true(&tally(log.lines()).summary(), &truth, &format!("seed {seed}"));
        // Cut anywhere between two lines, as by logrotate: messages and sessions go on in the next file.
        let lines: Vec<&str> = log.lines().collect();
        for files in [2, 5, 31] {
            let mut joined = Tally::new(Settings::new(TODAY));
            for file in lines.chunks(lines.len() / files) {
                let mut tally = joined.sibling();
                file.iter().for_each(|line| tally.feed(line.as_bytes()));
                joined.merge(tally);
            }
            assert_true(&joined.summary(), &truth, &format!("seed {seed}, {files} files"));
        }
    }
}

#[test]
fn pieces_join_to_the_whole() {
    for (seed, parts) in [(2, 2), (2, 3), (2, 17), (3, 2), (3, 17), (3, 400), (5, 900)] {
        let (log, _) = sample(seed, 3000);
        let lines: Vec<&str> = log.lines().collect();
        let whole = tally(lines.iter().copied()).summary();
        let mut joined = Tally::new(Settings::new(TODAY));
        for piece in lines.chunks(lines.len().div_ceil(parts)) {
            let mut tally = joined.sibling();
            piece.iter().for_each(|line| tally.feed(line.as_bytes()));
            joined.merge(tally);
        }
        let joined = joined.summary();
        assert_adds_up(&joined, "joined");
        assert_same(&joined, &whole, &format!("{parts} pieces"));
    }
}

/// Says what differs, and not all.
fn assert_same(one: &Summary, other: &Summary, what: &str) {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    for (a, b) in one.lines().zip(other.lines()) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(one.len(), other.len(), "{what}");
}

/// Lines in any order, some missing, some cut, in pieces that join: the parts still add up.
#[test]
fn whatever_the_log_the_parts_add_up() {
    let mut state = 7_u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end.max(1)
    };
    for round in 0..20 {
        let (log, _) = sample(100 + round, 400);
        let mut lines: Vec<&[u8]> = log.lines().map(str::as_bytes).collect();
        for at in 0..lines.len() {
            match below(10) {
                0..4 => {
                    let other = below(lines.len());
                    lines.swap(at, other);
                }
                4 => lines[at] = &lines[at][..below(lines[at].len())],
                5 => lines[at] = b"",
                _ => {}
            }
        }
        let mut joined = Tally::new(Settings::new(TODAY));
        for piece in lines.chunks(1 + below(lines.len())) {
            let mut tally = joined.sibling();
            piece.iter().for_each(|line| tally.feed(line));
            assert_adds_up(&tally.summary(), "piece");
            joined.merge(tally);
        }
        assert_adds_up(&joined.summary(), &format!("round {round}"));
    }
}

#[test]
fn a_flood_of_names_stays_within_a_bound() {
    let mut tally = Tally::new(Settings::new(TODAY));
    for number in 0..40_000_u32 {
        let [_, a, b, c] = (number << 8).to_be_bytes();
        let line = format!(
            "Nov 22 01:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from u[10.{a}.{b}.{c}]: 554 5.7.1 reason {number}; from=<s{number}@example.org>"
        );
        tally.feed(line.as_bytes());
        let line = format!(
            "Nov 22 01:00:00 mail postfix/smtp[2]: {number:X}A0BCD: to=<r{number}@d{number}.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (why {number})"
        );
        tally.feed(line.as_bytes());
    }
    let open = u32::try_from(OPEN_MAX).unwrap();
    for number in 0..open {
        tally.feed(
            format!("Nov 22 01:00:00 mail postfix/smtpd[{}]: connect from u[192.0.2.1]", number + 2)
                .as_bytes(),
        );
    }
    let summary = tally.summary();
    assert_adds_up(&summary, "flood");
    assert_eq!((summary.counts.refused, summary.counts.deferred), (40_000, 40_000));
    assert_eq!(summary.connections.total, u64::from(open) + 40_000);
    for words in [
        "too many different reasons of refusals",
        "too many different destinations of what",
        "open at the same time",
    ] {
        assert!(summary.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", summary.notes);
    }
}

/// Each end by the lines that lead to it.
#[test]
fn ends_of_connections() {
    for (lines, expect) in [
        ("AB123: client=%\ndisconnect from % ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", "accepted"),
        // Several messages by BDAT, and a refusal behind them.
        ("NOQUEUE: reject: RCPT from %: 550 no; from=<a@b>\ndisconnect from % bdat=2 commands=9", "accepted"),
        (
            "NOQUEUE: reject: RCPT from %: 550 no; from=<a@b>\ndisconnect from % rcpt=0/1 commands=3/4",
            "refused",
        ),
        (
            "NOQUEUE: reject_warning: RCPT from %: 550 no; from=<a@b>\ndisconnect from % commands=3",
            "without_mail",
        ),
        (
            "warning: %: SASL LOGIN authentication failed: x\nlost connection after AUTH from %\ndisconnect from % auth=0/1 commands=0/1",
            "login_failed",
        ),
        ("disconnect from % ehlo=1 auth=1 quit=1 commands=3", "logged_in"),
        (
            "SSL_accept error from %: -1\nlost connection after STARTTLS from %\ndisconnect from % ehlo=1 starttls=0/1 commands=1/2",
            "tls_failed",
        ),
        (
            "AB123: client=%\nlost connection after DATA (12 bytes) from %\ndisconnect from % mail=1 rcpt=1 data=0/1 commands=3/4",
            "broken",
        ),
        ("disconnect from % quit=1 commands=1", "without_mail"),
        // Postfix before 3.0 doesn't count commands.
        ("AB123: client=%\ndisconnect from %", "accepted"),
        ("", "open"),
    ] {
        let log = format!("connect from %\n{lines}").replace('%', "a.example[192.0.2.1]");
        let log: Vec<String> =
            log.lines().map(|line| format!("Nov 22 01:00:00 mail postfix/smtpd[1]: {line}")).collect();
        let summary = tally(log.iter().map(String::as_str)).summary();
        assert_adds_up(&summary, expect);
        let found = (summary.connections.total, summary.connections.count(expect));
        assert_eq!(found, (1, 1), "{log:?} {:?}", summary.connections);
    }
}

#[test]
fn postscreen_hands_on_or_keeps() {
    let log = "\
Nov 22 01:00:00 mail postfix/postscreen[1]: CONNECT from [192.0.2.1]:4711 to [192.0.2.25]:25
Nov 22 01:00:06 mail postfix/postscreen[1]: PASS NEW [192.0.2.1]:4711
Nov 22 01:00:06 mail postfix/smtpd[2]: connect from a.example[192.0.2.1]
Nov 22 01:00:07 mail postfix/smtpd[2]: disconnect from a.example[192.0.2.1] quit=1 commands=1
Nov 22 01:01:00 mail postfix/postscreen[1]: CONNECT from [192.0.2.2]:4712 to [192.0.2.25]:25
Nov 22 01:01:00 mail postfix/dnsblog[3]: addr 192.0.2.2 listed by domain zen.example as 127.0.0.2
Nov 22 01:01:00 mail postfix/dnsblog[4]: addr 192.0.2.2 listed by domain bl.example as 127.0.0.2
Nov 22 01:01:06 mail postfix/postscreen[1]: DNSBL rank 3 for [192.0.2.2]:4712
Nov 22 01:01:07 mail postfix/postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.2]:4712: 550 5.7.1 Service unavailable; client [192.0.2.2] blocked using zen.example; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<x>
Nov 22 01:01:07 mail postfix/postscreen[1]: DISCONNECT [192.0.2.2]:4712
Nov 22 01:02:00 mail postfix/postscreen[1]: CONNECT from [192.0.2.3]:4713 to [192.0.2.25]:25
Nov 22 01:02:00 mail postfix/postscreen[1]: PREGREET 14 after 0.02 from [192.0.2.3]:4713: EHLO x\\r\\n
Nov 22 01:02:00 mail postfix/dnsblog[3]: addr 192.0.2.3 listed by domain zen.example as 127.0.0.2
Nov 22 01:02:01 mail postfix/postscreen[1]: DISCONNECT [192.0.2.3]:4713
Nov 22 01:03:00 mail postfix/postscreen[1]: CONNECT from [192.0.2.4]:4714 to [192.0.2.25]:25
Nov 22 01:03:06 mail postfix/postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.4]:4714: 450 4.3.2 Service currently unavailable; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<x>
Nov 22 01:03:06 mail postfix/postscreen[1]: PASS NEW [192.0.2.4]:4714
Nov 22 01:03:06 mail postfix/postscreen[1]: DISCONNECT [192.0.2.4]:4714
";
    let summary = tally(log.lines()).summary();
    assert_adds_up(&summary, "postscreen");
    let of = |key| summary.connections.count(key);
    assert_eq!(
        (summary.connections.total, of("screened"), of("without_mail"), summary.handed_on),
        (4, 3, 1, 1)
    );
    // Wherever the log is cut.
    let lines: Vec<&str> = log.lines().collect();
    for first in 1..lines.len() {
        for second in first..lines.len() {
            let mut joined = Tally::new(Settings::new(TODAY));
            for piece in [&lines[..first], &lines[first..second], &lines[second..]] {
                let mut tally = joined.sibling();
                piece.iter().for_each(|line| tally.feed(line.as_bytes()));
                joined.merge(tally);
            }
            let joined = joined.summary();
            let of = |summary: &Summary| {
                let Summary { connections, traffic, handed_on, rules, .. } = summary.clone();
                (connections, traffic, handed_on, rules)
            };
            assert_eq!(of(&joined), of(&summary), "cut before {first} and {second}");
        }
    }
    let zone = |name: &str| summary.zones.iter().find(|zone| zone.name == name).cloned().unwrap_or_default();
    assert_eq!(
        (zone("zen.example").refused, zone("zen.example").listed, zone("zen.example").alone),
        (1, 2, 1)
    );
    assert_eq!((zone("bl.example").refused, zone("bl.example").listed, zone("bl.example").alone), (0, 1, 0));
}

#[test]
fn ends_of_messages() {
    let begin = "smtpd[1]: AB123: client=a.example[192.0.2.1]\ncleanup[2]: AB123: message-id=<x@y>";
    let active = "qmgr[3]: AB123: from=<a@b.example>, size=10, nrcpt=2 (queue active)";
    let to = |status: &str| {
        format!(
            "smtp[4]: AB123: to=<c@d.example>, relay=none, delay=1, delays=1/0/0/0, dsn=2.0.0, status={status} (why)"
        )
    };
    let gone = "qmgr[3]: AB123: removed";
    for (lines, expect) in [
        (vec![active.into(), to("sent"), to("sent"), gone.into()], "delivered"),
        (vec![active.into(), to("deferred"), to("sent"), to("sent"), gone.into()], "delivered"),
        (vec![active.into(), to("sent"), to("bounced"), gone.into()], "partly"),
        (vec![active.into(), to("bounced"), gone.into()], "bounced"),
        (vec![active.into(), to("sent"), to("deferred")], "deferred"),
        (vec![active.into(), to("deferred"), "qmgr[3]: AB123: from=<a@b.example>, status=expired, returned to sender".into(), gone.into()], "expired"),
        (vec![active.into()], "waiting"),
        (vec![], "unfinished"),
        (vec!["cleanup[2]: AB123: reject: header Subject: x from a.example[192.0.2.1]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>: 5.7.1 no".into()], "refused"),
        (vec!["cleanup[2]: AB123: milter-reject: END-OF-MESSAGE from a.example[192.0.2.1]: 5.7.1 spam; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>".into()], "refused"),
        (vec!["cleanup[2]: AB123: discard: header Subject: x from a.example[192.0.2.1]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>".into()], "discarded"),
        (vec!["cleanup[2]: AB123: hold: header Subject: x from a.example[192.0.2.1]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>".into()], "held"),
        (vec![active.into(), "postsuper[5]: AB123: removed".into()], "deleted"),
        (vec![active.into(), gone.into()], "unknown"),
    ] {
        let mut log: Vec<String> = begin.lines().map(str::to_owned).collect();
        log.extend(lines);
        let log: Vec<String> = log.iter().map(|line| format!("Nov 22 01:00:00 mail postfix/{line}")).collect();
        let summary = tally(log.iter().map(String::as_str)).summary();
        assert_adds_up(&summary, expect);
        assert_eq!((summary.messages.total, summary.messages.count(expect)), (1, 1), "{log:?} {:?}", summary.messages);
        assert_eq!(summary.origins.count("client"), 1);
    }
}

#[test]
fn lines_of_programs_beside_the_server() {
    let log = "\
Nov 22 01:00:00 mail postgrey[1]: action=greylist, reason=new, client_name=a, client_address=192.0.2.1/32, sender=a@b.example, recipient=c@d.example
Nov 22 01:01:00 mail postgrey[1]: action=greylist, reason=early-retry (240s missing), client_name=a, client_address=192.0.2.1/32, sender=a@b.example, recipient=c@d.example
Nov 22 01:06:00 mail postgrey[1]: action=pass, reason=triplet found, delay=360, client_name=a, client_address=192.0.2.1/32, sender=a@b.example, recipient=c@d.example
Nov 22 01:07:00 mail postgrey[1]: action=pass, reason=client AWL, client_name=a, client_address=192.0.2.1/32, sender=a@b.example, recipient=c@d.example
Nov 22 01:08:00 mail dovecot: imap-login: Disconnected (auth failed, 3 attempts in 7 secs): user=<bob>, method=PLAIN, rip=2001:db8:0:1::7, lip=192.0.2.25, TLS
Nov 22 01:08:00 mail sshd[3]: Failed password for invalid user bob from 2001:db8:0:1::9 port 4711 ssh2
Nov 22 01:09:00 mail opendkim[4]: 4BXYZ1: DKIM-Signature field added (s=mail, d=example.com)
Nov 22 01:09:00 mail opendkim[4]: 4BXYZ2: bad signature data
Nov 22 01:09:00 mail opendmarc[5]: 4BXYZ2: Bank.example fail
Nov 22 01:09:00 mail policyd-spf[6]: : prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=a; envelope-from=a@b.example; receiver=d.example
Nov 22 01:09:00 mail postfix/cleanup[7]: 4BXYZ3: authenticity: spf=fail domain=bank.example, dkim=pass d=x.example s=a, dmarc=fail p=none from=bank.example
2026-11-22 01:10:00,123 fail2ban.filter         [812]: INFO    [postfix] Found 203.0.113.7 - 2026-11-22 01:10:00
2026-11-22 01:10:00,456 fail2ban.actions        [812]: NOTICE  [postfix] Ban 203.0.113.7
2026-11-22 01:20:00,456 fail2ban.actions        [812]: NOTICE  [postfix] Unban 203.0.113.7
2026-11-22 01:20:01,001 fail2ban.actions        [812]: NOTICE  [sshd] Restore Ban 2001:db8::7
";
    let summary = tally(log.lines()).summary();
    assert_adds_up(&summary, "others");
    assert_eq!((summary.lines.counted, summary.lines.read), (15, 15));
    let Greylisting { delayed, early, passed, known } = summary.greylisting;
    assert_eq!((delayed, early, passed.count, passed.max, known), (1, 1, 1, 360, 1));
    let rows = |top: &Top| top.rows.iter().map(|row| (row.name.clone(), row.count)).collect::<Vec<_>>();
    assert_eq!(summary.attacks.failed, 4);
    assert_eq!(rows(&summary.attacks.networks), [("2001:db8:0:1::/64".to_owned(), 4)]);
    assert_eq!(rows(&summary.attacks.accounts), [("bob".to_owned(), 4)]);
    assert_eq!(rows(&summary.authenticity.dkim).len(), 3);
    assert_eq!(rows(&summary.authenticity.spf), [("fail".to_owned(), 1), ("softfail".to_owned(), 1)]);
    assert_eq!(rows(&summary.authenticity.forged), [("bank.example".to_owned(), 2)]);
    let Bans { banned, restored, lifted, found, jails, networks } = &summary.bans;
    assert_eq!((*banned, *restored, *lifted, *found), (1, 1, 1, 1));
    assert_eq!(
        (rows(jails), rows(networks)),
        (vec![("postfix".to_owned(), 1)], vec![("203.0.113.0/24".to_owned(), 1)])
    );
    let wanted: Vec<&str> = sections::sections(&summary).iter().map(|section| section.key).collect();
    assert_eq!(wanted, sections::KEYS);
}

/// Numbers that nobody would write take no delivery, no message and no sum away.
#[test]
fn numbers_of_any_kind() {
    let line = |service: &str, text: &str| format!("Nov 22 01:00:02 mx postfix/{service}[1]: {text}\n");
    let mut log = String::new();
    for (id, delay, delays) in [
        ("A12345", "1.0", "1.0/0/0/0.0"),
        ("B12345", "1e999", "1/0/0/0"),
        ("C12345", "", "-1/0/0/x"),
        ("D12345", "99999999999999999999", "1/0/0/0"),
    ] {
        log += &line("smtpd", &format!("{id}: client=mx.example.net[192.0.2.1]"));
        log += &line(
            "qmgr",
            &format!("{id}: from=<{id}@b.example>, size=9999999999999999999, nrcpt=1 (queue active)"),
        );
        log += &line(
            "smtp",
            &format!(
                "{id}: to=<c@d.example>, relay=x[192.0.2.3]:25, delay={delay}, delays={delays}, dsn=2.0.0, status=sent (250 2.0.0 ok)"
            ),
        );
        log += &line("qmgr", &format!("{id}: removed"));
    }
    // What isn't a delivery agent's stays what it was.
    log += &line(
        "smtpd",
        "E12345: to=<c@d.example>, relay=x, delay=1.0, delays=1/0/0/0, dsn=2.0.0, status=sent (x)",
    );
    let summary = tally(log.lines()).summary();
    assert_adds_up(&summary, "numbers");
    assert_eq!((summary.messages.count("delivered"), summary.counts.delivered), (4, 4));
    assert_eq!(summary.counts.bytes_received, u64::MAX, "sums stay at what there can be");
    assert!(summary.delays.whole.max <= 1_000, "{:?}", summary.delays.whole);
    shown_in_every_form(&summary);
}

fn shown_in_every_form(summary: &Summary) {
    let about = crate::outline::About::default();
    let sheet = crate::outline::sheet(summary, &about);
    let forms = [
        text::text(summary, &about, &[], text::Style::default()),
        data::json(summary, &crate::outline::About::default(), &[]),
        data::csv(summary, &[]),
        crate::page::page(&sheet),
        crate::letter::letter(&sheet, "1").body,
    ];
    assert!(forms.iter().all(|form| !form.is_empty()));
}

/// Whatever a number of a line becomes, and wherever a line ends, all still adds up and is shown.
#[test]
fn numbers_that_were_changed() {
    const NUMBERS: [&str; 8] = [
        "9999999999999999999",
        "18446744073709551615",
        "99999999999999999999999",
        "-1",
        "1e999",
        "",
        "4294967296",
        "0",
    ];
    let (log, _) = sample(5, 700);
    for seed in 0..4_usize {
        let mut changed = String::new();
        for (number, line) in log.lines().enumerate() {
            let at = number * 7919 + seed * 104_729;
            let digits: Vec<usize> =
                line.match_indices(|letter: char| letter.is_ascii_digit()).map(|(at, _)| at).collect();
            let digits: Vec<usize> = digits.into_iter().filter(|at| *at > 16).collect();
            match digits.get(at % digits.len().max(1)).filter(|_| at % 3 > 0) {
                Some(&from) => {
                    let (before, behind) = line.split_at(from);
                    let rest = behind.trim_start_matches(|letter: char| letter.is_ascii_digit());
                    changed += &format!("{before}{}{rest}\n", NUMBERS[at % NUMBERS.len()]);
                }
                None => changed += &format!("{}\n", line.chars().take(at % 200).collect::<String>()),
            }
            changed += &format!("{line}\n");
        }
        let summary = tally(changed.lines()).summary();
        assert_adds_up(&summary, &format!("seed {seed}"));
        shown_in_every_form(&summary);
    }
}

/// Some programs end lines as Windows does.
#[test]
fn carriage_returns_at_the_ends_of_lines_change_nothing() {
    let (log, truth) = sample(5, 400);
    let plain = tally(log.lines()).summary();
    assert_true(&plain, &truth, "plain");
    let other = log.replace('\n', "\r\n");
    let found = tally(other.split_terminator('\n')).summary();
    assert_eq!(format!("{found:?}"), format!("{plain:?}"));
}

#[test]
fn deliveries_to_addresses_with_brackets_are_counted() {
    let rest = "relay=m[192.0.2.4]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)";
    for addresses in [
        "to=<<odd>@x.y>, orig_to=<a@b>",
        "to=<a>b@x.y>, orig_to=<a@b>",
        "to=<a@x.y>, orig_to=<a>b@x.y>",
        "to=<<odd>@x.y>",
        "to=<\"a>b\"@x.y>",
    ] {
        let line = format!("Nov 22 10:00:00 mail postfix/smtp[1]: A123456789: {addresses}, {rest}");
        let summary = tally(std::iter::once(line.as_str())).summary();
        assert_eq!(summary.counts.delivered, 1, "{addresses}");
        assert_eq!(
            summary.destinations.rows.first().map(|row| row.name.as_str()),
            Some("x.y"),
            "{addresses}"
        );
    }
}

#[test]
fn a_dns_list_in_two_spellings_is_one() {
    let refused = "NOQUEUE: reject: RCPT from x[192.0.2.2]: 554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using";
    let lines = ["zen.example", "ZEN.Example"].map(|zone| {
        format!(
            "Nov 22 01:01:00 mail postfix/dnsblog[3]: addr 192.0.2.2 listed by domain {zone} as 127.0.0.2\n\
             Nov 22 01:01:07 mail postfix/smtpd[1]: {refused} {zone}; from=<a@b> to=<c@d> proto=ESMTP helo=<x>"
        )
    });
    let summary = tally(lines.iter().flat_map(|lines| lines.lines())).summary();
    assert_adds_up(&summary, "zones");
    let [rule] = summary.rules.as_slice() else { panic!("{:?}", summary.rules) };
    assert_eq!((rule.rule.to_string().as_str(), rule.refused()), ("reject_rbl_client zen.example", 2));
    let [zone] = summary.zones.as_slice() else { panic!("{:?}", summary.zones) };
    assert_eq!((zone.name.as_str(), zone.refused, zone.listed, zone.alone), ("zen.example", 2, 1, 1));
}

#[test]
fn a_queue_beyond_the_bound_adds_up_and_what_comes_again_is_said_to_count_twice() {
    let mut tally = Tally::new(Settings::new(TODAY));
    let line = |id: u32, hour: u8, status: &str| {
        format!(
            "Nov 22 {hour:02}:00:00 mail postfix/smtp[2]: {id:X}A0BCD: to=<r@d.example>, relay=none, delay=1, dsn=4.4.1, status={status} (x)"
        )
    };
    (0..6).for_each(|id| tally.feed(line(id, 1, "deferred").as_bytes()));
    // The others without their lines, which would take long to read.
    let at = tally.span.unwrap().1.seconds() + 3600;
    let many = u64::try_from(OPEN_MAX).unwrap() + 1;
    (6..many).for_each(|key| {
        let message = tally.messages.of(key, at);
        message.deferred = 1;
        message.flags |= messages::QUEUED;
    });
    let summary = tally.summary();
    assert_adds_up(&summary, "queue");
    assert_eq!((summary.messages.count("deferred"), summary.queue.messages), (many, many));
    assert!(summary.queue.unknown > 5, "{:?}", summary.queue);
    let shown = text::text(&summary, &crate::outline::About::default(), &[], text::Style::default());
    assert!(shown.contains("age not known"), "{shown}");
    let sheet = crate::outline::sheet(&summary, &crate::outline::About::default());
    assert!(crate::page::page(&sheet).contains("the oldest whose age is known"));
    // The first one was judged as it stood.
    tally.feed(line(0, 3, "sent").as_bytes());
    tally.feed(b"Nov 22 03:00:01 mail postfix/qmgr[3]: 0A0BCD: removed");
    let summary = tally.summary();
    assert_adds_up(&summary, "again");
    assert_eq!((summary.messages.total, summary.messages.count("delivered")), (many + 1, 1));
    let said = |note: &String| note.contains("open at the same time") && note.contains("counted once more");
    assert!(summary.notes.iter().any(said), "{:?}", summary.notes);
}

/// Bounces and forwarded mail, also where cleanup's line isn't in the log.
#[test]
fn what_another_message_s_line_names_is_made_here() {
    let log = "\
Nov 22 01:00:00 mail postfix/smtp[1]: AB123: to=<c@d.example>, relay=none, delay=1, delays=1/0/0/0, dsn=5.0.0, status=bounced (why)
Nov 22 01:00:01 mail postfix/bounce[2]: AB123: sender non-delivery notification: AB456
Nov 22 01:00:01 mail postfix/qmgr[3]: AB123: removed
Nov 22 01:00:01 mail postfix/qmgr[3]: AB456: from=<>, size=10, nrcpt=1 (queue active)
Nov 22 01:00:02 mail postfix/local[4]: AB456: to=<a@b.example>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (forwarded as AB789)
Nov 22 01:00:02 mail postfix/qmgr[3]: AB456: removed
Nov 22 01:00:02 mail postfix/qmgr[3]: AB789: from=<>, size=10, nrcpt=1 (queue active)
Nov 22 01:00:03 mail postfix/smtp[1]: AB789: to=<e@f.example>, relay=x[192.0.2.3]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (ok)
Nov 22 01:00:03 mail postfix/qmgr[3]: AB789: removed
Nov 22 01:00:04 mail postfix/qmgr[3]: AB999: from=<>, size=10, nrcpt=1 (queue active)
Nov 22 01:00:04 mail postfix/qmgr[3]: AB999: removed
Nov 22 01:00:05 mail postfix/bounce[2]: AB124: sender delay notification: AB999
";
    let of = |summary: &Summary| {
        (summary.messages.total, summary.origins.count("made"), summary.origins.count("before"))
    };
    let whole = tally(log.lines()).summary();
    assert_adds_up(&whole, "made");
    // What is named when it has gone already is no message once more.
    assert_eq!(of(&whole), (4, 2, 2));
    let lines: Vec<&str> = log.lines().collect();
    for size in 1..lines.len() {
        let mut joined = Tally::new(Settings::new(TODAY));
        for piece in lines.chunks(size) {
            let mut tally = joined.sibling();
            piece.iter().for_each(|line| tally.feed(line.as_bytes()));
            joined.merge(tally);
        }
        let joined = joined.summary();
        assert_adds_up(&joined, "made, in pieces");
        assert_eq!((joined.messages.total, joined.origins.count("made") >= 2), (4, true), "pieces of {size}");
    }
}

/// Of what nobody searches whole, the beginning and the end count.
#[test]
fn long_lines_are_counted() {
    let long = "x".repeat(1_500_000);
    let envelope = "from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>";
    let log = [
        format!(
            "smtpd[1]: NOQUEUE: reject: RCPT from h.example[192.0.2.1]: 550 5.1.1 <b@c>: {long}; {envelope}"
        ),
        format!(
            "smtp[2]: AB123: to=<c@d.example>, relay=x[192.0.2.3]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 {long})"
        ),
        format!(
            "smtp[2]: AB124: to=<c@d.example>, relay=x[192.0.2.3]:25, delay=1, delays=1/0/0/0, dsn=5.0.0, status=bounced (550 {long}é"
        ),
        format!("cleanup[3]: AB125: hold: header Subject: {long} from h.example[192.0.2.1]; {envelope}: x"),
        format!("cleanup[3]: warning: {long}"),
        format!("smtpd[1]: {long}"),
    ];
    let log: Vec<String> = log.iter().map(|line| format!("Nov 22 01:00:00 mail postfix/{line}")).collect();
    let mut tally = Tally::new(Settings::new(TODAY));
    // Readers cut lines at a megabyte.
    log.iter().for_each(|line| tally.feed(&line.as_bytes()[..line.len().min(1 << 20)]));
    let summary = tally.summary();
    assert_adds_up(&summary, "cut");
    let Counts { refused, delivered, bounced, .. } = summary.counts;
    assert_eq!((refused, delivered, bounced, summary.trouble.total), (1, 1, 1, 1));
    let summary = self::tally(log.iter().map(String::as_str)).summary();
    assert_adds_up(&summary, "whole");
    let Counts { refused, delivered, bounced, held, .. } = summary.counts;
    assert_eq!((refused, delivered, bounced, held, summary.trouble.total), (1, 1, 1, 1, 1));
    assert_eq!((summary.lines.counted, summary.lines.passed_over), (5, 1));
}

/// As syslogd of Solaris and illumos writes lines.
#[test]
fn tags_before_texts_change_nothing() {
    let (log, _) = sample(4, 400);
    let plain = tally(log.lines()).summary();
    let tagged = log.lines().map(|line| line.replacen("]: ", "]: [ID 197553 mail.info] ", 1));
    let tagged: Vec<String> = tagged.collect();
    let found = tally(tagged.iter().map(String::as_str)).summary();
    assert_eq!(
        (found.counts, found.connections, found.messages),
        (plain.counts, plain.connections, plain.messages)
    );
}
