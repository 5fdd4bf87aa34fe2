//! STARTTLS, AUTH and reuse, word by word. The texts are those that Postfix 3.7.11's smtp(8) logged in front of servers
//! that answered the same.

use super::*;
use crate::sasl::client::Secret;
use mail::Wall;
use mail::base64;

const HOST: &str = "localhost[127.0.0.1]";

fn now() -> Now {
    Now { mono: Mono(1_000_000_000), wall: Wall(0) }
}

/// `user` with the password `pa:ss`, in any way.
pub(super) fn login() -> Login {
    let demands = |option: &str| Demands(vec![option.to_owned()]);
    Login {
        secret: Secret { user: "user".to_owned(), password: "pa:ss".to_owned() },
        in_the_clear: Demands::default(),
        encrypted: Demands::default(),
        verified: demands("noanonymous"),
        filter: None,
        soft_bounce: true,
        nonce: "nonce".to_owned(),
    }
}

/// What the client says to each of the server's answers; a handshake goes well where one is asked for.
fn play(client: Client, answers: &[&str]) -> (String, Vec<Action>) {
    let (mut client, mut sent, mut done) = (client, String::new(), Vec::new());
    for answer in answers {
        let mut out = Vec::new();
        if answer.is_empty() {
            client.handle(now(), Input::PeerClosed, &mut out);
        } else {
            client.handle(now(), Input::Bytes(answer.as_bytes()), &mut out);
        }
        while let Some(action) = client.poll() {
            if action == Action::StartTls {
                client.handle(now(), Input::TlsUp { verified: true }, &mut out);
                sent.push_str(" [TLS]");
            } else {
                done.push(action);
            }
        }
        for line in String::from_utf8_lossy(&out).lines() {
            sent.push_str(" | ");
            sent.push_str(line);
        }
    }
    (sent, done)
}

fn client(secrecy: Secrecy, login: Option<Login>) -> Client {
    Client::new(Settings::new(Dialect::Smtp, "mx"), HOST, now()).with_secrecy(secrecy).with_login(login)
}

fn verdict(done: &[Action]) -> String {
    let text = |action: &Action| match action {
        Action::Unusable(Verdict::Deferred(why)) => Some(format!("{} deferred ({})", why.dsn, why.text)),
        Action::Unusable(Verdict::Bounced(why)) => Some(format!("{} bounced ({})", why.dsn, why.text)),
        Action::Ready => Some("ready".to_owned()),
        _ => None,
    };
    done.iter().find_map(text).unwrap_or_default()
}

#[test]
fn starttls() {
    let offer = "250-far\r\n250-STARTTLS\r\n250 SIZE\r\n";
    let cases: &[(Secrecy, &[&str], &str, &str)] = &[
        (Secrecy::None, &["220 x\r\n", offer], " | EHLO mx", "ready"),
        (Secrecy::IfOffered, &["220 x\r\n", "250 far\r\n"], " | EHLO mx", "ready"),
        (
            Secrecy::Required,
            &["220 x\r\n", "250 far\r\n"],
            " | EHLO mx | QUIT",
            "4.7.4 deferred (TLS is required, but was not offered by host localhost[127.0.0.1])",
        ),
        (
            Secrecy::Required,
            &["220 x\r\n", offer, "220 go\r\n", "250 far\r\n"],
            " | EHLO mx | STARTTLS [TLS] | EHLO mx",
            "ready",
        ),
        // Who puts words behind the answer isn't heard; the server's own answer is waited for.
        (
            Secrecy::Required,
            &["220 x\r\n", offer, "220 go\r\n250-evil\r\n250 PIPELINING\r\n"],
            " | EHLO mx | STARTTLS [TLS] | EHLO mx",
            "",
        ),
        // What was offered in the clear isn't offered any more.
        (
            Secrecy::Required,
            &["220 x\r\n", offer, "220 go\r\n", "500 no\r\n", "500 no\r\n"],
            " | EHLO mx | STARTTLS [TLS] | EHLO mx | HELO mx | QUIT",
            "5.0.0 bounced (host localhost[127.0.0.1] refused to talk to me: 500 no)",
        ),
        (
            Secrecy::Required,
            &["220 x\r\n", offer, "454 4.7.0 no TLS now\r\n"],
            " | EHLO mx | STARTTLS | QUIT",
            "4.7.0 deferred (TLS is required, but host localhost[127.0.0.1] refused to start TLS: 454 4.7.0 no TLS now)",
        ),
        (
            Secrecy::Required,
            &["220 x\r\n", offer, "554 5.7.0 no TLS\r\n"],
            " | EHLO mx | STARTTLS | QUIT",
            "5.7.0 bounced (TLS is required, but host localhost[127.0.0.1] refused to start TLS: 554 5.7.0 no TLS)",
        ),
        (Secrecy::IfOffered, &["220 x\r\n", offer, "554 5.7.0 no TLS\r\n"], " | EHLO mx | STARTTLS", "ready"),
        (
            Secrecy::IfOffered,
            &["220 x\r\n", offer, ""],
            " | EHLO mx | STARTTLS",
            "4.4.2 deferred (lost connection with localhost[127.0.0.1] while receiving the STARTTLS response)",
        ),
    ];
    for (secrecy, answers, sent, expect) in cases {
        let (said, done) = play(client(*secrecy, None), answers);
        assert_eq!((said.as_str(), verdict(&done).as_str()), (*sent, *expect), "{answers:?}");
    }
}

#[test]
fn a_handshake_that_goes_wrong() {
    let mut client = client(Secrecy::Required, None);
    let mut out = Vec::new();
    client.handle(now(), Input::Bytes(b"220 x\r\n250-far\r\n250 STARTTLS\r\n220 go\r\n"), &mut out);
    assert_eq!(client.poll(), Some(Action::StartTls));
    out.clear();
    let verdict = Verdict::Deferred(Why::new(Dsn::new(4, 7, 5), "Server certificate not verified"));
    client.handle(now(), Input::Unfit(verdict.clone()), &mut out);
    assert_eq!((client.poll(), client.poll()), (Some(Action::Unusable(verdict)), Some(Action::Close)));
    assert_eq!(out, b"QUIT\r\n");
}

#[test]
fn logging_in() {
    let failed = |words: &str| {
        format!("4.7.0 deferred (SASL authentication failed; cannot authenticate to server {HOST}: {words})")
    };
    let said = |dsn: &str, words: &str| {
        format!("{dsn} deferred (SASL authentication failed; server {HOST} said: {words})")
    };
    let plain = " | EHLO mx | AUTH PLAIN AHVzZXIAcGE6c3M=";
    let cases: &[(&str, &[&str], &str, String)] = &[
        ("PLAIN", &["235 2.7.0 ok\r\n"], plain, "ready".to_owned()),
        ("LOGIN PLAIN", &["235 2.7.0 ok\r\n"], plain, "ready".to_owned()),
        (
            "LOGIN",
            &["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n", "235 ok\r\n"],
            " | EHLO mx | AUTH LOGIN | dXNlcg== | cGE6c3M=",
            "ready".to_owned(),
        ),
        (
            "CRAM-MD5 PLAIN",
            &["334 PDEuMkBmYXI+\r\n", "235 ok\r\n"],
            " | EHLO mx | AUTH CRAM-MD5 | dXNlciA1N2U0MjcyOTAyNGE5MzZlMDc0NzY0NGE0YzgwNDFhMQ==",
            "ready".to_owned(),
        ),
        ("GSSAPI", &[], " | EHLO mx | QUIT", failed("no mechanism available")),
        (
            "PLAIN",
            &["535 5.7.8 Error: authentication failed\r\n"],
            " | EHLO mx | AUTH PLAIN AHVzZXIAcGE6c3M= | QUIT",
            said("4.7.8", "535 5.7.8 Error: authentication failed"),
        ),
        (
            "PLAIN",
            &["550 go away\r\n"],
            " | EHLO mx | AUTH PLAIN AHVzZXIAcGE6c3M= | QUIT",
            said("4.0.0", "550 go away"),
        ),
        (
            "CRAM-MD5",
            &["334 !!!notbase64\r\n"],
            " | EHLO mx | AUTH CRAM-MD5 | QUIT",
            failed("bad protocol / cancel"),
        ),
        (
            "PLAIN",
            &["334 bW9yZT8=\r\n"],
            " | EHLO mx | AUTH PLAIN AHVzZXIAcGE6c3M= | QUIT",
            failed("generic failure"),
        ),
        (
            "PLAIN",
            &[""],
            plain,
            format!("4.4.2 deferred (lost connection with {HOST} while performing the EHLO handshake)"),
        ),
        // A server that never shows that it knows the password.
        (
            "SCRAM-SHA-256",
            &["235 ok\r\n"],
            " | EHLO mx | AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9bm9uY2U= | QUIT",
            failed("bad protocol / cancel"),
        ),
    ];
    for (offered, answers, sent, expect) in cases {
        let ehlo = format!("250-far\r\n250 AUTH {offered}\r\n");
        let all = [&["220 x\r\n", ehlo.as_str()], *answers].concat();
        let (said, done) = play(client(Secrecy::None, Some(login())), &all);
        assert_eq!(
            (said.as_str(), verdict(&done).as_str()),
            (*sent, expect.as_str()),
            "{offered} {answers:?}"
        );
    }
}

/// As it was said before there was an RFC; and where there is nothing to log in with.
#[test]
fn where_logging_in_is_offered_oddly_or_not_at_all() {
    let plain = " | EHLO mx | AUTH PLAIN AHVzZXIAcGE6c3M=";
    let (said, _) = play(
        client(Secrecy::None, Some(login())),
        &["220 x\r\n", "250-far\r\n250-AUTH=PLAIN\r\n250 DSN\r\n"],
    );
    assert_eq!(said, plain);
    let (said, done) = play(client(Secrecy::None, Some(login())), &["220 x\r\n", "250 far\r\n"]);
    assert_eq!((said.as_str(), verdict(&done).as_str()), (" | EHLO mx", "ready"));
}

#[test]
fn what_may_be_said_depends_on_the_protection() {
    let strict = Login { in_the_clear: Demands(vec!["noplaintext".to_owned()]), ..login() };
    let (said, done) = play(
        client(Secrecy::None, Some(strict.clone())),
        &["220 x\r\n", "250-far\r\n250 AUTH PLAIN LOGIN\r\n"],
    );
    assert_eq!(said, " | EHLO mx | QUIT");
    assert!(done.contains(&Action::Doubt("SASL authentication failure: No worthy mechs found".to_owned())));
    let tls = [
        "220 x\r\n",
        "250-far\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
        "220 go\r\n",
        "250-far\r\n250 AUTH PLAIN\r\n",
    ];
    let (said, _) = play(client(Secrecy::Required, Some(strict)), &tls);
    assert_eq!(said, " | EHLO mx | STARTTLS [TLS] | EHLO mx | AUTH PLAIN AHVzZXIAcGE6c3M=");
    let hard =
        Login { soft_bounce: false, filter: Some(std::sync::Arc::new(|name| name != "PLAIN")), ..login() };
    let (said, done) =
        play(client(Secrecy::None, Some(hard.clone())), &["220 x\r\n", "250-far\r\n250 AUTH PLAIN\r\n"]);
    assert_eq!(said, " | EHLO mx | QUIT");
    assert!(done.contains(&Action::Doubt(format!("{HOST} offered no supported AUTH mechanisms: 'PLAIN'"))));
    let answers = ["220 x\r\n", "250-far\r\n250 AUTH LOGIN PLAIN\r\n", "535 5.7.8 no\r\n"];
    let (said, done) = play(client(Secrecy::None, Some(hard)), &answers);
    assert_eq!(said, " | EHLO mx | AUTH LOGIN | QUIT");
    let expect = format!("5.7.8 bounced (SASL authentication failed; server {HOST} said: 535 5.7.8 no)");
    assert_eq!(verdict(&done), expect);
    assert_eq!(base64::decode("AHVzZXIAcGE6c3M=").as_deref(), Some(&b"\0user\0pa:ss"[..]));
}

#[test]
fn a_connection_is_probed_before_it_is_used_again() {
    for (answer, expect) in
        [("250 ok\r\n", Action::Ready), ("421 idle\r\n", Action::Close), ("", Action::Close)]
    {
        let mut out = Vec::new();
        let mut fresh = client(Secrecy::None, None);
        fresh.handle(now(), Input::Bytes(b"220 x\r\n"), &mut out);
        fresh.handle(now(), Input::Bytes(b"250 far\r\n"), &mut out);
        assert_eq!(fresh.poll(), Some(Action::Ready));
        out.clear();
        fresh.handle(now(), Input::Probe, &mut out);
        assert_eq!(out, b"RSET\r\n");
        let input = if answer.is_empty() { Input::PeerClosed } else { Input::Bytes(answer.as_bytes()) };
        fresh.handle(now(), input, &mut out);
        assert_eq!(fresh.poll(), Some(expect));
    }
}
