//! Clients that take their time, in every phase of a session: none holds on for longer than main.cf says. T2.2.
//!
//! The clock is tokio's and stands still while anybody has something to do, so hours take milliseconds.

use crate::house::House;
use komainu::facts::{AnswerFuture, Names};
use policy::{Answer, Question, Record, RecordKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

const TIMEOUT: &str = "421 4.4.2 mx.example.com Error: timeout exceeded\r\n";

/// What a slow client does.
struct Slow {
    main: &'static str,
    /// What is said at once.
    first: &'static str,
    /// And then byte by byte, over and over, with so much time between.
    drip: Option<(&'static [u8], Duration)>,
}

/// Everything that the server says until it hangs up, and how long that takes.
async fn play(slow: &Slow) -> (String, Duration, String) {
    let house = House::open(slow.main, 100);
    let (client, server) = duplex(1 << 16);
    let session = house.receive(server, ([198, 51, 100, 7], 40_000).into());
    let (mut reading, mut writing) = tokio::io::split(client);
    let began = Instant::now();
    writing.write_all(slow.first.as_bytes()).await.expect("takes it");
    let dripping = async {
        let Some((bytes, pause)) = slow.drip else { return std::future::pending().await };
        for byte in bytes.iter().cycle() {
            tokio::time::sleep(pause).await;
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut said = String::new();
    tokio::select! {
        read = reading.read_to_string(&mut said) => { read.expect("text"); }
        () = dripping => {}
    }
    let took = began.elapsed();
    session.await.expect("ends without a bug");
    (said, took, house.log())
}

/// The session ends with `last`, between `least` and a few seconds more, and the log says why.
#[track_caller]
fn check(slow: Slow, last: &str, least_s: u64, logged: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (said, took, log) = runtime.block_on(play(&slow));
    assert!(said.ends_with(last), "{:?} {:?}: {said}", slow.first, slow.drip);
    let least = Duration::from_secs(least_s);
    assert!(took >= least && took <= least + Duration::from_secs(25), "{:?} took {took:?}", slow.first);
    assert!(log.contains(logged), "{logged} in {log}");
}

const ENVELOPE: &str = "EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<box@example.com>\r\nDATA\r\n";
/// Whoever says all of it at once is early.
const LAX: &str = "smtpd_forbid_unauth_pipelining = no\n";

#[test]
fn who_says_nothing() {
    check(
        Slow { main: "", first: "", drip: None },
        TIMEOUT,
        300,
        "timeout after CONNECT from unknown[198.51.100.7]",
    );
    let main = "smtpd_timeout = 20s\n";
    check(Slow { main, first: "EHLO c.example\r\n", drip: None }, TIMEOUT, 20, "timeout after EHLO from ");
}

#[test]
fn who_stops_in_the_middle() {
    check(Slow { main: "", first: "EHLO c.ex", drip: None }, TIMEOUT, 300, "timeout after CONNECT from ");
    let first = "EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<box@exa";
    check(Slow { main: LAX, first, drip: None }, TIMEOUT, 300, "timeout after MAIL from ");
}

#[test]
fn who_stops_in_the_message() {
    let first: &'static str = Box::leak(format!("{ENVELOPE}Subject: slow\r\n\r\nhalf").into_boxed_str());
    check(Slow { main: LAX, first, drip: None }, TIMEOUT, 300, "timeout after DATA (");
    let first =
        "EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<box@example.com>\r\nBDAT 100\r\nhalf";
    check(Slow { main: LAX, first, drip: None }, TIMEOUT, 300, "timeout after BDAT (");
}

/// Byte by byte, each within smtpd_timeout: smtpd_per_request_deadline is what ends it.
#[test]
fn who_drips() {
    let drip = Some((b"x".as_slice(), Duration::from_secs(20)));
    let main = "smtpd_per_request_deadline = yes\nsmtpd_timeout = 100s\n";
    check(Slow { main, first: "EHLO ", drip }, TIMEOUT, 100, "timeout after CONNECT from ");
    // In a message the time grows by what comes, at smtpd_min_data_rate.
    let main = "smtpd_forbid_unauth_pipelining = no\nsmtpd_per_request_deadline = yes\nsmtpd_timeout = 100s\n\
                smtpd_min_data_rate = 1\n";
    let drip = Some((b"slow\r\n".as_slice(), Duration::from_secs(5)));
    check(Slow { main, first: ENVELOPE, drip }, TIMEOUT, 100, "timeout after DATA (");
}

/// Without the deadline an endless line still ends: at `line_length_limit` it is a command, and errors are counted.
#[test]
fn who_drips_within_the_limits() {
    let drip = Some((b"x\r\n".as_slice(), Duration::from_secs(100)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let slow = Slow { main: "", first: "EHLO c.example\r\n", drip };
    let (said, took, _) = runtime.expect("a runtime").block_on(play(&slow));
    assert!(said.ends_with("421 4.7.0 mx.example.com Error: too many errors\r\n"), "{said}");
    assert!(took < Duration::from_secs(7200), "{took:?}");
}

/// Who takes no replies: what is written waits in a pipe of 256 bytes.
#[test]
fn who_does_not_read() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let house = House::open("smtpd_forbid_unauth_pipelining = no\nsmtpd_timeout = 50s\n", 100);
        let (mut client, server): (DuplexStream, DuplexStream) = duplex(256);
        let session = house.receive(server, ([198, 51, 100, 7], 40_000).into());
        let began = Instant::now();
        let talk = async {
            while client.write_all(b"EHLO c.example\r\n").await.is_ok() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = session => ended.expect("ends without a bug"),
            () = talk => {}
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(50) && took < Duration::from_secs(120), "{took:?}");
        assert!(house.log().contains("timeout after EHLO from "), "{}", house.log());
    });
}

#[test]
fn who_half_closes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        for (said, logged) in [
            ("", "lost connection after CONNECT from "),
            ("EHLO c.ex", "lost connection after CONNECT from "),
            ("EHLO c.example\r\n", "lost connection after EHLO from "),
            (ENVELOPE, "lost connection after DATA (0 bytes) from "),
        ] {
            let house = House::open(LAX, 100);
            let (mut client, server) = duplex(1 << 16);
            let session = house.receive(server, ([198, 51, 100, 7], 40_000).into());
            client.write_all(said.as_bytes()).await.expect("takes it");
            client.shutdown().await.expect("closes");
            let began = Instant::now();
            session.await.expect("ends without a bug");
            assert!(began.elapsed() < Duration::from_secs(2), "{said} {:?}", began.elapsed());
            assert!(house.log().contains(logged), "{logged} in {}", house.log());
        }
    });
}

/// In front of the session: the time for a PROXY header is for all of it.
#[test]
fn a_slow_proxy() {
    let main = "smtpd_upstream_proxy_protocol = haproxy\n";
    let last = "421 4.3.0 mx.example.com Server local error\r\n";
    let logged = "warning: haproxy read: timeout error";
    check(Slow { main, first: "", drip: None }, last, 5, logged);
    check(Slow { main, first: "PROXY TCP4 203.0.113.7", drip: None }, last, 5, logged);
    let drip = Some((b"1".as_slice(), Duration::from_secs(1)));
    check(Slow { main, first: "PROXY TCP4 ", drip }, last, 5, logged);
}

/// Name servers that take their time, and a record that leads on and on.
struct Sluggish;

impl Names for Sluggish {
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a> {
        Box::pin(async move {
            let Question::Dns { name, kind: RecordKind::Txt } = question else { return Answer::NoName };
            tokio::time::sleep(Duration::from_secs(7)).await;
            if !name.ends_with("slow.example") {
                return Answer::NoRecords;
            }
            Answer::Records(vec![Record::Txt(format!("v=spf1 include:x{name} -all"))])
        })
    }
}

/// SPF has twenty seconds for each message, however many questions it asks (RFC 7208 §4.6.4).
#[test]
fn whose_spf_takes_long() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let main = "smtpd_recipient_restrictions = reject_unauth_destination, defer_spf_temperror";
        let house = House::with_names(main, 100, Arc::new(Sluggish));
        let (client, server) = duplex(1 << 16);
        let session = house.receive(server, ([198, 51, 100, 7], 40_000).into());
        let (mut reading, mut writing) = tokio::io::split(client);
        let mut said = Vec::new();
        for (command, code, least_s) in [
            ("EHLO c.example\r\n", "250 ", 0),
            ("MAIL FROM:<a@slow.example>\r\n", "250 ", 0),
            ("RCPT TO:<box@example.com>\r\n", "451 4.7.24 ", 20),
            // It stays as it is for this message.
            ("RCPT TO:<ann@example.com>\r\n", "451 4.7.24 ", 0),
            ("RSET\r\n", "250 ", 0),
            // The next one has its own time.
            ("MAIL FROM:<a@other.example>\r\n", "250 ", 0),
            ("RCPT TO:<box@example.com>\r\n", "250 ", 7),
            ("QUIT\r\n", "221 ", 0),
        ] {
            let began = Instant::now();
            writing.write_all(command.as_bytes()).await.expect("takes it");
            let end = format!("\r\n{code}");
            while !is_said(&said, &end) {
                assert!(reading.read_buf(&mut said).await.expect("reads") > 0, "{command}");
                let text = String::from_utf8_lossy(&said).into_owned();
                assert!(
                    !text.ends_with("\r\n") || text.contains(code) || text.starts_with("220"),
                    "{command}: {text}"
                );
            }
            let took = began.elapsed().as_secs();
            assert!((least_s..least_s + 3).contains(&took), "{command} took {took} s");
            said.clear();
            said.extend_from_slice(b"\r\n");
        }
        session.await.expect("ends without a bug");
    });
}

/// Whether the last line says it.
fn is_said(said: &[u8], end: &str) -> bool {
    let text = String::from_utf8_lossy(said);
    text.ends_with("\r\n")
        && text
            .trim_end()
            .rfind("\r\n")
            .is_some_and(|at| text.get(at..).is_some_and(|line| line.starts_with(end)))
}
