//! The conversation by itself; what Postfix does is played by tests/dialogues/screen.

use super::*;

/// A client at a clock that is moved by hand.
struct Play {
    screen: Screen,
    now: Now,
    said: String,
    notes: Vec<Note>,
    ends: Vec<Action>,
}

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 2], 4711);

impl Play {
    fn new(settings: Settings, standing: Standing) -> Play {
        let arrival = Arrival { standing, record: Record::default(), veto: false, full: false };
        Play::arriving(settings, arrival)
    }

    fn arriving(settings: Settings, arrival: Arrival) -> Play {
        let mut out = Vec::new();
        let now = Now { wall: mail::Wall::from_seconds(1000), ..Now::default() };
        let screen = Screen::new(Arc::new(settings), CLIENT.into(), arrival, now, &mut out);
        let mut play = Play { screen, now, said: String::new(), notes: Vec::new(), ends: Vec::new() };
        play.settle(&out);
        play
    }

    fn settle(&mut self, out: &[u8]) {
        self.said.push_str(&String::from_utf8_lossy(out));
        while let Some(action) = self.screen.poll() {
            match action {
                Action::Note(note) => self.notes.push(note),
                other => self.ends.push(other),
            }
        }
    }

    fn give(&mut self, input: Input<'_>) -> &mut Play {
        let mut out = Vec::new();
        self.screen.handle(self.now, input, &mut out);
        self.settle(&out);
        self
    }

    fn send(&mut self, text: &str) -> &mut Play {
        self.give(Input::Bytes(text.as_bytes()))
    }

    fn wait(&mut self, time: Duration) -> &mut Play {
        let mut out = Vec::new();
        self.now = self.now + time;
        self.screen.expire(self.now, &mut out);
        self.settle(&out);
        self
    }

    fn passes(&self) -> bool {
        self.ends.last() == Some(&Action::Pass)
    }

    fn record(&self) -> Option<Record> {
        self.ends.iter().rev().find_map(|end| match end {
            Action::Remember(record) => Some(*record),
            _ => None,
        })
    }
}

const WAIT: Duration = Duration::from_secs(6);

/// T2.2: who waits is let through, and the next time at once.
#[test]
fn who_waits_is_let_through() {
    let mut play = Play::new(Settings::default(), Standing::Unknown);
    assert_eq!(play.said, "220-localhost ESMTP Postfix\r\n");
    play.wait(Duration::from_secs(5));
    assert!(!play.passes());
    play.wait(Duration::from_secs(1));
    assert!(play.passes());
    assert_eq!(play.notes, [Note::PassNew]);
    let record = play.record().unwrap();
    let arrival = Arrival { standing: Standing::Unknown, record, veto: false, full: true };
    let play = Play::arriving(Settings::default(), arrival);
    assert!(play.passes() && play.notes == [Note::PassOld] && play.said.is_empty());
}

/// T2.3: who talks before the greeting, by action.
#[test]
fn early_talkers() {
    for (greet, passes) in [(Penalty::Ignore, true), (Penalty::Enforce, false), (Penalty::Drop, false)] {
        let mut play = Play::new(Settings { greet, ..Settings::default() }, Standing::Unknown);
        play.wait(Duration::from_millis(20)).send("EHLO x\r\n");
        // At once: whoever goes now is noticed.
        assert_eq!(play.passes(), passes, "{greet:?}");
        assert_eq!(play.record(), None);
        assert!(matches!(&play.notes[0], Note::Pregreet { bytes: 8, text, .. } if text == "EHLO x\\r\\n"));
        match greet {
            Penalty::Ignore => assert_eq!(play.screen.take_early(), b"EHLO x\r\n"),
            Penalty::Enforce => assert!(play.said.contains("\r\n250-localhost\r\n"), "{}", play.said),
            Penalty::Drop => assert!(play.said.ends_with("521 5.5.1 Protocol error\r\n")),
        }
    }
}

/// An early talker waits for the lists' answers, and no longer.
#[test]
fn early_talkers_and_lists() {
    let settings = || Settings {
        enabled: Tests::GREET.with(Tests::DNSBL),
        greet: Penalty::Ignore,
        dnsbl_threshold: 1,
        ..Settings::default()
    };
    let ranked = |complete| Ranked { rank: 0, domain: String::new(), complete, holds_s: None };
    let mut play = Play::new(settings(), Standing::Unknown);
    play.send("EHLO x\r\n").give(Input::Ranked(ranked(false)));
    assert!(!play.passes() && !play.screen.wants_input());
    play.give(Input::Ranked(ranked(true)));
    assert!(play.passes());
    let mut play = Play::new(settings(), Standing::Unknown);
    play.give(Input::Ranked(ranked(true)));
    assert!(!play.passes() && play.screen.wants_input());
    play.send("EHLO x\r\n");
    assert!(play.passes());
}

#[test]
fn a_denied_client_is_gone_at_once() {
    let settings = Settings { denylist: Penalty::Drop, ..Settings::default() };
    let play = Play::new(settings, Standing::Denied);
    assert_eq!(play.said, "521 5.3.2 Service currently unavailable\r\n");
    assert_eq!(play.notes, [Note::Denylisted, Note::Disconnect]);
    assert_eq!(play.ends, [Action::Close]);
}

#[test]
fn lists_rank_and_trust() {
    let settings = || Settings {
        enabled: Tests::GREET.with(Tests::DNSBL),
        dnsbl: Penalty::Drop,
        dnsbl_threshold: 2,
        allowlist_threshold: -1,
        ..Settings::default()
    };
    let ranked = |rank| Ranked { rank, domain: "bl.example".to_owned(), complete: true, holds_s: None };
    let mut play = Play::new(settings(), Standing::Unknown);
    assert_eq!(play.ends, [Action::AskLists]);
    play.give(Input::Ranked(ranked(2))).wait(WAIT);
    assert!(
        play.said.ends_with("521 5.7.1 Service unavailable; client [192.0.2.2] blocked using bl.example\r\n")
    );
    assert_eq!(play.notes, [Note::Rank(2), Note::Disconnect]);
    let mut play = Play::new(settings(), Standing::Unknown);
    play.give(Input::Ranked(ranked(1))).wait(WAIT);
    assert!(play.passes());
    let mut play = Play::new(settings(), Standing::Unknown);
    play.give(Input::Ranked(ranked(-1)));
    assert!(play.passes(), "trust ends the wait");
    let due = play.record().unwrap().due(Tests::DEEP, mail::Wall::from_seconds(1000 + 3599));
    assert!(due.is_empty(), "and spares the deep tests");
}

/// T2.3: what a client must do to pass the deep tests, and that a failure keeps nothing.
#[test]
fn deep_tests() {
    let settings = || Settings { enabled: Tests::GREET.with(Tests::DEEP), ..Settings::default() };
    let mut play = Play::new(settings(), Standing::Unknown);
    play.wait(WAIT).send("HELO x\r\n").send("MAIL FROM:<a@b>\r\n").send("RCPT TO:<c@d>\r\n");
    assert!(play.said.ends_with("450 4.3.2 Service currently unavailable\r\n"));
    play.give(Input::PeerClosed);
    assert!(play.notes.contains(&Note::PassNew) && play.record().is_some());
    let mut play = Play::new(settings(), Standing::Unknown);
    play.wait(WAIT).send("HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    assert!(play.said.ends_with("550 5.5.1 Protocol error\r\n"), "{}", play.said);
    play.give(Input::PeerClosed);
    assert!(!play.notes.contains(&Note::PassNew) && play.record().is_none());
}

/// However the bytes are cut, the answers are the same, pipelining apart.
#[test]
fn bytes_may_come_one_by_one() {
    let script = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nFOO\r\nQUIT\r\n";
    let settings = || Settings { enabled: Tests::GREET.with(Tests::NON_SMTP), ..Settings::default() };
    let mut whole = Play::new(settings(), Standing::Unknown);
    whole.wait(WAIT).send(script);
    let mut pieces = Play::new(settings(), Standing::Unknown);
    pieces.wait(WAIT);
    for byte in script.chars() {
        pieces.send(&byte.to_string());
    }
    assert_eq!(whole.said, pieces.said);
    assert_eq!(whole.notes, pieces.notes);
}

/// Nothing that a client sends breaks the conversation or makes it keep much.
#[test]
fn any_bytes() {
    let seeds: [&[u8]; 4] = [
        b"\x01\xffEHLO x\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n",
        b"\x0b\x08NOOP\n\r\n\x10GET / HTTP/1.0\r\n\r\n",
        b"\x03\x20RCPT TO:<@a,@b:\"c\\\" d\"@[::1]> x",
        b"\x08\x05EHLO \x09\x00\xff\xfe\r\n DATA",
    ];
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0)
    };
    for round in 0..2000 {
        let mut bytes = seeds[round % seeds.len()].repeat(1 + next() % 3);
        for _ in 0..next() % 12 {
            let at = next() % bytes.len();
            bytes[at] = u8::try_from(next() % 256).unwrap_or(0);
        }
        fuzz(&bytes);
    }
}

/// What came with a proxy's header belongs to the session of a client that is let through at once, and to nobody
/// where a client is turned away.
#[test]
fn what_came_with_the_header_is_handed_on() {
    for (standing, expect) in [(Standing::Allowed, "HELO a\r\n"), (Standing::Crowding, "")] {
        let arrival = Arrival { standing, record: Record::default(), veto: false, full: false };
        let (now, mut out) = (Now::default(), Vec::new());
        let mut screen = Screen::new(Arc::new(Settings::default()), CLIENT.into(), arrival, now, &mut out);
        screen.handle(now, Input::Bytes(b"HELO a\r\n"), &mut out);
        assert_eq!(String::from_utf8_lossy(&screen.take_early()), expect, "{standing:?}");
    }
}

/// postconf(5), `postscreen_dnsbl_max_ttl` and `_min_ttl`: what the DNS says counts, between the two.
#[test]
fn lists_answers_count_as_long_as_they_hold() {
    let ttls = Ttls { dnsbl_min: 60, dnsbl: 3600, ..Ttls::default() };
    for (holds_s, expect) in [(None, 3600), (Some(0), 60), (Some(300), 300), (Some(86_400), 3600)] {
        assert_eq!(ttls.dnsbl_holding(holds_s), expect, "{holds_s:?}");
    }
    let crossed = Ttls { dnsbl_min: 600, dnsbl: 60, ..Ttls::default() };
    assert_eq!(crossed.dnsbl_holding(Some(5)), 600);
}
