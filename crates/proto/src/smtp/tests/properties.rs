//! What must hold for any input: how it is cut up changes nothing, nothing panics, memory is bounded.

use crate::smtp::drive::{Drive, local_peer};
use crate::smtp::{Command, Server, Settings, Verdict, fuzz};
use proptest::prelude::*;

/// Good sessions that mutations start from.
const SESSIONS: [&[u8]; 9] = [
    b"EHLO x\r\nMAIL FROM:<a@b> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<c@example> NOTIFY=SUCCESS ORCPT=rfc822;c+40d\r\nDATA\r\na: b\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
    b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<rej@example>\r\nRCPT TO:<c@example>\r\nDATA\r\nx\n.\ny\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@example>\r\nBDAT 3\r\na\r\nBDAT 5 LAST\r\nbcd\r\nBDAT 2 LAST\r\nabQUIT\r\n",
    b"EHLO x\r\nXCLIENT NAME=c.example ADDR=192.0.2.1 PROTO=ESMTP\r\nEHLO y\r\nXFORWARD NAME=a ADDR=192.0.2.2\r\nMAIL FROM:<a@b> XVERP\r\n",
    b"EHLO x\r\nAUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b> AUTH=<>\r\nRSET\r\nAUTH LOGIN\r\nabc\r\nAUTH LOGIN\r\n*\r\nVRFY a\r\nETRN example\r\n",
    b"FOO\r\nBAR\r\nBAZ\r\nEHLO\r\n\r\nGET / HTTP/1.0\r\n",
    b"NOOP\r\nEHLO bye\r\nMAIL FROM:<a@b>\r\n",
    b"EHLO x\r\nMAIL FROM:<\"a b\"@c>\r\nRCPT TO:<@a,@b:c@d>\r\nRCPT TO:<a%b@c>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\n",
    b"EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\na\n\n.\n\r\n.\r\nQUIT\n",
];

fn session() -> impl Strategy<Value = Vec<u8>> {
    let good = proptest::sample::select(SESSIONS.to_vec()).prop_map(<[u8]>::to_vec);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..8);
    let mutated = (good, edits).prop_map(|(mut bytes, edits)| {
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let piece: Vec<u8> = bytes.iter().skip(at).take(usize::from(byte)).copied().collect();
                    bytes.extend(piece);
                }
            }
        }
        bytes
    });
    prop_oneof![4 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn cutting_up_changes_nothing(choice: u8, rights: u8, cut in 1..40_u8, bytes in session()) {
        let input: Vec<u8> = [choice, rights, cut].into_iter().chain(bytes).collect();
        fuzz(&input);
    }
}

#[test]
fn every_session_byte_at_a_time_under_every_setting() {
    for session in SESSIONS {
        for choice in 0..=255 {
            let input: Vec<u8> = [choice, 0xff, 1].into_iter().chain(session.iter().copied()).collect();
            fuzz(&input);
        }
    }
}

/// T2.2: thousands of waiting clients cost little.
#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Server>() <= 352, "{}", size_of::<Server>());
    let mut drive = Drive::new(Settings::default(), local_peer(), |_| Verdict::Permit);
    assert_eq!(drive.server.buffer_bytes(), 0);
    drive.feed(b"EHLO x\r\n");
    assert_eq!(drive.server.buffer_bytes(), 0);
    drive.feed(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    drive.feed(&[b'x'; 300_000]);
    drive.feed(b"\r\n.\r\n");
    assert_eq!(drive.server.buffer_bytes(), 0);
    assert_eq!(drive.messages[0].len(), 300_001);
}

/// An endless line, or endless pipelining behind an open question, is not kept.
#[test]
fn endless_lines_are_not_kept() {
    let mut drive = Drive::new(Settings::default(), local_peer(), |_| Verdict::Permit);
    for _ in 0..1000 {
        drive.feed(&[b'x'; 1000]);
        assert!(drive.server.buffer_bytes() < 8192);
    }
    drive.feed(b"\r\n");
    assert_eq!(drive.server.counters().of(Command::Unknown), (0, 1));
}
