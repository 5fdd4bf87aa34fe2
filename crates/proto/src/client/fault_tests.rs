//! Servers that mean ill, or are broken: whatever they send, memory and time have bounds, and nobody's mail counts as
//! delivered before the dot. Time is an argument.

use super::*;
use mail::Wall;

const HOST: &str = "mx.test[192.0.2.1]";
/// Bytes that come at once.
const PIECE: usize = 4096;
/// More than a client ever listens to.
const ENDLESS: usize = 64 * 1024 * 1024;
/// What a client may hold of all that it was told.
const KEPT_MAX: usize = 256 * 1024;

const fn now(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000_000), wall: Wall(0) }
}

/// A client to which the server has said `before`, with a message of two recipients to be sent.
fn client_after(before: &str) -> Client {
    let mut client =
        Client::new(Settings::new(Dialect::Smtp, "mail.example.org"), HOST, now(0)).with_transcript();
    let mut out = Vec::new();
    for line in before.split_inclusive('\n') {
        client.handle(now(0), Input::Bytes(line.as_bytes()), &mut out);
        while let Some(action) = client.poll() {
            match action {
                Action::Ready => client.handle(now(0), Input::Mail(Box::new(mail())), &mut out),
                Action::Chunk => client.handle(now(0), Input::End, &mut out),
                _ => {}
            }
        }
    }
    client
}

fn mail() -> Mail {
    let to = |name: &str| To { address: format!("{name}@a.test"), ..To::default() };
    Mail { sender: "a@example.org".into(), recipients: vec![to("r"), to("s")], ..Mail::default() }
}

fn kept(client: &Client) -> usize {
    let transcript =
        client.transcript.iter().flat_map(|transcript| transcript.lines()).map(str::len).sum::<usize>();
    client.replies.bytes_kept() + transcript
}

/// What the server had said before, in each phase of a conversation.
const PHASES: [&str; 6] = [
    "",
    "220 x ESMTP\n",
    "220 x ESMTP\n250 x\n",
    "220 x ESMTP\n250 x\n250 ok\n",
    "220 x ESMTP\n250 x\n250 ok\n250 ok\n250 ok\n",
    "220 x ESMTP\n250 x\n250 ok\n250 ok\n250 ok\n354 go\n",
];

/// Who never comes to an end is hung up on.
#[test]
fn replies_without_end() {
    for before in PHASES {
        // Lines come to an end sooner than bytes, which take their time.
        let bytes: &[&str] = if before.is_empty() { &["x", "\0"] } else { &[] };
        let lines = ["220-x\r\n", "\n", "nonsense\r\n", "250-\u{fc}\u{0}\r\n"];
        for endless in lines.into_iter().chain(bytes.iter().copied()) {
            let mut client = client_after(before);
            let piece: Vec<u8> =
                endless.bytes().cycle().take(PIECE / endless.len() * endless.len()).collect();
            let (mut told, mut out, mut ended) = (0, Vec::new(), Vec::new());
            while client.phase != Phase::Closed {
                client.handle(now(0), Input::Bytes(&piece), &mut out);
                told += piece.len();
                assert!(told < ENDLESS, "{before:?} {endless:?}");
                assert!(kept(&client) < KEPT_MAX, "{before:?} {endless:?}: {}", kept(&client));
                while let Some(action) = client.poll() {
                    // Warnings are the log's.
                    if !matches!(action, Action::Doubt(_) | Action::Remark(_)) {
                        ended.push(action);
                    }
                }
            }
            let verdicts = ended.iter().flat_map(|action| match action {
                Action::Unusable(verdict) => vec![verdict.clone()],
                Action::Finished(verdicts) => verdicts.clone(),
                _ => Vec::new(),
            });
            let verdicts: Vec<Verdict> = verdicts.collect();
            assert!(!verdicts.is_empty(), "{before:?} {endless:?}: {ended:?}");
            let is_deferred = |verdict: &Verdict| matches!(verdict, Verdict::Deferred(_));
            assert!(verdicts.iter().all(is_deferred), "{before:?} {endless:?}: {verdicts:?}");
        }
    }
}

/// A reply of a megabyte is a reply; of its text little is kept.
#[test]
fn a_reply_of_a_megabyte() {
    for line in ["550-5.1.1 why not\r\n", "550-\0 why \r not\r\n"] {
        let mut client = client_after("220 x ESMTP\n250 x\n250 ok\n");
        let mut out = Vec::new();
        let many = line.repeat(1024 * 1024 / line.len());
        for piece in many.as_bytes().chunks(PIECE) {
            client.handle(now(0), Input::Bytes(piece), &mut out);
            assert!(kept(&client) < KEPT_MAX);
        }
        client.handle(now(0), Input::Bytes(b"550 5.1.1 end\r\n"), &mut out);
        client.handle(now(0), Input::Bytes(b"250 2.1.5 ok\r\n354 go\r\n"), &mut out);
        assert_eq!(client.phase, Phase::Body, "the other recipient gets the mail");
        client.handle(now(0), Input::PeerClosed, &mut out);
        let verdicts = std::iter::from_fn(|| client.poll()).find_map(|action| match action {
            Action::Finished(verdicts) => Some(verdicts),
            _ => None,
        });
        let verdicts = verdicts.expect("verdicts");
        let [refused, lost] = verdicts.as_slice() else { panic!("{verdicts:?}") };
        assert!(matches!(refused, Verdict::Bounced(why) if why.text.len() < 3000), "{refused:?}");
        assert!(matches!(lost, Verdict::Deferred(_)), "{lost:?}");
    }
}

/// With `smtp_per_request_deadline` a byte now and then doesn't win time; without, each byte does, as with Postfix, and
/// `daemon_timeout` is where it ends all the same.
#[test]
fn a_byte_now_and_then() {
    for before in PHASES {
        for (rate, least, most) in [(Some(500), 0, 600), (None, 10_000, 18_000)] {
            let mut client = client_after(before);
            client.settings.deadline_rate = rate;
            let mut out = Vec::new();
            let mut seconds = 0;
            let mut verdict = None;
            while client.phase != Phase::Closed && seconds < 20_000 {
                seconds += 10;
                client.handle(now(seconds), Input::Bytes(b"x"), &mut out);
                client.handle(now(seconds), Input::Wrote(1), &mut out);
                client.expire(now(seconds), &mut out);
                let ended = |action| match action {
                    Action::Finished(verdicts) => verdicts.into_iter().next(),
                    Action::Unusable(verdict) => Some(verdict),
                    _ => None,
                };
                verdict = verdict.or_else(|| std::iter::from_fn(|| client.poll()).find_map(ended));
            }
            assert!((least..=most).contains(&seconds), "{before:?}: {rate:?}: {seconds}");
            let why = verdict.as_ref().map(|verdict| verdict.why().text.as_str());
            assert!(
                rate.is_some() || why.is_some_and(|why| why.contains(" timed out while ")),
                "{before:?}: {why:?}"
            );
        }
    }
}

/// Nothing but an answer to the dot takes a message over.
#[test]
fn duplicates_arise_behind_the_dot_alone() {
    for before in PHASES {
        let mut client = client_after(before);
        let mut out = Vec::new();
        client.handle(now(0), Input::PeerClosed, &mut out);
        while let Some(action) = client.poll() {
            let verdicts = match action {
                Action::Finished(verdicts) => verdicts,
                Action::Unusable(verdict) => vec![verdict],
                _ => continue,
            };
            for verdict in verdicts {
                let Verdict::Deferred(why) = verdict else { panic!("{before:?}: {verdict:?}") };
                let may_be_sent_twice = before.ends_with("354 go\n");
                assert_eq!(
                    why.text.contains("more than once"),
                    may_be_sent_twice,
                    "{before:?}: {}",
                    why.text
                );
            }
        }
    }
}

/// Ten thousand recipients in one message: one command each, in one piece, and one verdict each.
#[test]
fn ten_thousand_recipients() {
    let mut client = Client::new(Settings::new(Dialect::Smtp, "mail.example.org"), HOST, now(0));
    let mut out = Vec::new();
    client.handle(now(0), Input::Bytes(b"220 x ESMTP\r\n"), &mut out);
    client.handle(now(0), Input::Bytes(b"250-x\r\n250 PIPELINING\r\n"), &mut out);
    assert_eq!(client.poll(), Some(Action::Ready));
    let to = |n: u32| To { address: format!("r{n}@a.test"), ..To::default() };
    let mail =
        Mail { sender: "a@example.org".into(), recipients: (0..10_000).map(to).collect(), ..Mail::default() };
    out.clear();
    client.handle(now(0), Input::Mail(Box::new(mail)), &mut out);
    assert_eq!(out.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"RCPT TO:")).count(), 10_000);
    client.handle(now(0), Input::Bytes(b"250 ok\r\n"), &mut out);
    for n in 0..10_000 {
        let answer: &[u8] = if n % 100 == 7 { b"550 5.1.1 no\r\n" } else { b"250 ok\r\n" };
        client.handle(now(0), Input::Bytes(answer), &mut out);
    }
    client.handle(now(0), Input::Bytes(b"354 go\r\n"), &mut out);
    assert_eq!(client.poll(), Some(Action::Chunk));
    client.handle(now(0), Input::End, &mut out);
    client.handle(now(0), Input::Bytes(b"250 2.0.0 ok\r\n"), &mut out);
    let Some(Action::Finished(verdicts)) = client.poll() else { panic!("no verdicts") };
    assert_eq!(verdicts.len(), 10_000);
    let bounced = |verdict: &&Verdict| matches!(verdict, Verdict::Bounced(_));
    assert_eq!(verdicts.iter().filter(bounced).count(), 100);
    assert!(verdicts.iter().enumerate().all(|(n, verdict)| bounced(&verdict) == (n % 100 == 7)));
}
