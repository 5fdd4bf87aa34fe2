//! Conversations with a server made of constant answers. The expected texts are those that Postfix 3.7.11's smtp(8)
//! logged in front of the same server.

use super::*;
use mail::Wall;
use proptest::prelude::*;

const HOST: &str = "mx.test[192.0.2.1]";
const EHLO: &str = "250-x\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8";
/// The server hangs up instead of answering.
const GONE: &str = "";

/// A server's answers.
#[derive(Clone)]
struct Server {
    greeting: &'static str,
    ehlo: &'static str,
    helo: &'static str,
    mail: &'static str,
    rcpt: &'static str,
    data: &'static str,
    dot: &'static str,
}

const SERVER: Server = Server {
    greeting: "220 x ESMTP",
    ehlo: EHLO,
    helo: "250 x",
    mail: "250 2.1.0 ok",
    rcpt: "250 2.1.5 ok",
    data: "354 go",
    dot: "250 2.0.0 Ok: queued as ABC",
};

fn now(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000_000), wall: Wall(0) }
}

fn mail() -> Mail {
    let to = |name: &str| To {
        address: format!("{name}@a.test"),
        orcpt: Some(format!("rfc822;{name}@a.test")),
        notify: String::new(),
    };
    Mail {
        sender: "a@example.org".into(),
        size_bytes: 281,
        recipients: vec![to("r"), to("s")],
        ..Mail::default()
    }
}

/// A conversation under way.
struct Play<'a> {
    server: &'a Server,
    dialect: Dialect,
    client: Client,
    /// What the server will say next.
    answers: VecDeque<&'static str>,
    sent: Vec<u8>,
    done: Vec<Action>,
    in_body: bool,
    begun: bool,
}

impl Play<'_> {
    /// The server's answers to what the client sends.
    fn hear(&mut self, out: &[u8]) {
        self.sent.extend_from_slice(out);
        for line in String::from_utf8_lossy(out).split_inclusive("\r\n") {
            if self.in_body && line != ".\r\n" {
                continue;
            }
            let answer = match line.split([' ', ':', '\r']).next().unwrap_or_default() {
                "EHLO" | "LHLO" => self.server.ehlo,
                "HELO" => self.server.helo,
                "MAIL" => self.server.mail,
                "RCPT" => self.server.rcpt,
                "DATA" => self.server.data,
                "." => self.server.dot,
                _ => "250 ok",
            };
            self.in_body = line == "DATA\r\n" && answer.starts_with("354");
            if line == ".\r\n" && self.dialect == Dialect::Lmtp {
                self.answers.push_back(answer);
            }
            self.answers.push_back(answer);
        }
    }

    /// Does what the client wants done.
    fn act(&mut self) {
        while let Some(action) = self.client.poll() {
            let mut out = Vec::new();
            match action {
                Action::Ready if !self.begun => {
                    self.begun = true;
                    self.client.handle(now(1), Input::Mail(Box::new(mail())), &mut out);
                }
                Action::Ready => self.client.handle(now(1), Input::Quit, &mut out),
                Action::Chunk if self.sent.ends_with(b"body\r\n") => {
                    self.client.handle(now(1), Input::End, &mut out);
                }
                Action::Chunk => {
                    self.client.handle(now(1), Input::Chunk(b"Subject: hi\n\n.dot\nbody\n"), &mut out);
                }
                other => self.done.push(other),
            }
            self.hear(&out);
        }
    }
}

/// What came of one message, and everything that was sent.
fn converse(server: &Server, dialect: Dialect) -> (Vec<Action>, String) {
    let client = Client::new(Settings::new(dialect, "mail.example.org"), HOST, now(0));
    let answers = VecDeque::from([server.greeting]);
    let (sent, done) = (Vec::new(), Vec::new());
    let mut play = Play { server, dialect, client, answers, sent, done, in_body: false, begun: false };
    while let Some(answer) = play.answers.pop_front() {
        let mut out = Vec::new();
        if answer == GONE {
            play.client.handle(now(2), Input::PeerClosed, &mut out);
        } else {
            play.client.handle(now(2), Input::Bytes(format!("{answer}\r\n").as_bytes()), &mut out);
        }
        play.hear(&out);
        play.act();
        if answer == GONE {
            break;
        }
    }
    (play.done, String::from_utf8_lossy(&play.sent).into_owned())
}

fn verdicts(done: &[Action]) -> Vec<String> {
    let text = |verdict: &Verdict| {
        let status = match verdict {
            Verdict::Sent(_) => "sent",
            Verdict::Deferred(_) => "deferred",
            Verdict::Bounced(_) => "bounced",
        };
        format!("{} {status} ({})", verdict.why().dsn, verdict.why().text)
    };
    let mut all = Vec::new();
    for action in done {
        match action {
            Action::Finished(verdicts) => all.extend(verdicts.iter().map(text)),
            Action::Unusable(verdict) => all.push(text(verdict)),
            _ => {}
        }
    }
    all
}

/// What a server says, and Postfix's log of it.
const CASES: &[(Server, &str)] = &[
    (SERVER, "2.0.0 sent (250 2.0.0 Ok: queued as ABC)"),
    (
        Server { greeting: "421 4.3.2 busy", ..SERVER },
        "4.3.2 deferred (host HOST refused to talk to me: 421 4.3.2 busy)",
    ),
    (
        Server { greeting: "554 5.7.1 go away", ..SERVER },
        "4.7.1 deferred (host HOST refused to talk to me: 554 5.7.1 go away)",
    ),
    (
        Server { greeting: GONE, ..SERVER },
        "4.4.2 deferred (lost connection with HOST while receiving the initial server greeting)",
    ),
    (Server { ehlo: "502 what", ..SERVER }, "2.0.0 sent (250 2.0.0 Ok: queued as ABC)"),
    (
        Server { ehlo: "550 5.7.1 no", helo: "550 5.7.1 no helo", ..SERVER },
        "5.7.1 bounced (host HOST refused to talk to me: 550 5.7.1 no helo)",
    ),
    (
        Server { ehlo: "421 4.7.0 later", ..SERVER },
        "4.7.0 deferred (host HOST refused to talk to me: 421 4.7.0 later)",
    ),
    (
        Server { ehlo: GONE, ..SERVER },
        "4.4.2 deferred (lost connection with HOST while performing the EHLO handshake)",
    ),
    (
        Server { mail: "550 5.1.8 bad sender", ..SERVER },
        "5.1.8 bounced (host HOST said: 550 5.1.8 bad sender (in reply to MAIL FROM command))",
    ),
    (
        Server { mail: "550 bad sender", ..SERVER },
        "5.0.0 bounced (host HOST said: 550 bad sender (in reply to MAIL FROM command))",
    ),
    (Server { mail: GONE, ..SERVER }, "4.4.2 deferred (lost connection with HOST while sending MAIL FROM)"),
    (
        Server { rcpt: "550-5.1.1 no such\r\n550 5.1.1 user here", ..SERVER },
        "5.1.1 bounced (host HOST said: 550-5.1.1 no such 550 5.1.1 user here (in reply to RCPT TO command))",
    ),
    (
        Server { rcpt: "450 try later", ..SERVER },
        "4.0.0 deferred (host HOST said: 450 try later (in reply to RCPT TO command))",
    ),
    (
        Server { rcpt: "421 4.7.0 too many", ..SERVER },
        "4.7.0 deferred (host HOST said: 421 4.7.0 too many (in reply to RCPT TO command))",
    ),
    (
        Server { rcpt: "550 4.1.1 odd", ..SERVER },
        "5.0.0 bounced (host HOST said: 550 4.1.1 odd (in reply to RCPT TO command))",
    ),
    (Server { rcpt: GONE, ..SERVER }, "4.4.2 deferred (lost connection with HOST while sending RCPT TO)"),
    (
        Server { data: "554 5.5.1 no", ..SERVER },
        "5.5.1 bounced (host HOST said: 554 5.5.1 no (in reply to DATA command))",
    ),
    (
        Server { data: "250 odd", ..SERVER },
        "5.5.0 bounced (Protocol error: host HOST said: 250 odd (in reply to DATA command))",
    ),
    (
        Server { data: GONE, ..SERVER },
        "4.4.2 deferred (lost connection with HOST while sending DATA command)",
    ),
    (
        Server { dot: "550 5.7.1 spam", ..SERVER },
        "5.7.1 bounced (host HOST said: 550 5.7.1 spam (in reply to end of DATA command))",
    ),
    (
        Server { dot: "451 4.7.1 greylisted", ..SERVER },
        "4.7.1 deferred (host HOST said: 451 4.7.1 greylisted (in reply to end of DATA command))",
    ),
    (
        Server { dot: GONE, ..SERVER },
        "4.4.2 deferred (lost connection with HOST while sending end of data -- message may be sent more than once)",
    ),
    (Server { dot: "250 ok", ..SERVER }, "2.0.0 sent (250 ok)"),
    (
        Server { dot: "250-2.0.0 first\r\n250 2.0.0 second", ..SERVER },
        "2.0.0 sent (250-2.0.0 first 250 2.0.0 second)",
    ),
    (
        Server { ehlo: "250-x\r\n250 SIZE 100", ..SERVER },
        "5.3.4 bounced (message size 281 exceeds size limit 100 of server HOST)",
    ),
    (Server { ehlo: "250 x", ..SERVER }, "2.0.0 sent (250 2.0.0 Ok: queued as ABC)"),
    (
        Server { ehlo: "250 x", rcpt: "550 5.1.1 no", ..SERVER },
        "5.1.1 bounced (host HOST said: 550 5.1.1 no (in reply to RCPT TO command))",
    ),
];

#[test]
fn verdicts_are_worded_as_postfix_does() {
    for (server, expected) in CASES {
        let (done, sent) = converse(server, Dialect::Smtp);
        let found = verdicts(&done);
        assert!(!found.is_empty(), "{expected}\n{sent}");
        for one in found {
            assert_eq!(one, expected.replace("HOST", HOST), "{sent}");
        }
        assert_eq!(done.last(), Some(&Action::Close), "{expected}\n{sent}");
    }
}

#[test]
fn what_is_sent() {
    let (_, sent) = converse(&SERVER, Dialect::Smtp);
    assert_eq!(
        sent,
        "EHLO mail.example.org\r\nMAIL FROM:<a@example.org> SIZE=281\r\nRCPT TO:<r@a.test> ORCPT=rfc822;r@a.test\r\n\
         RCPT TO:<s@a.test> ORCPT=rfc822;s@a.test\r\nDATA\r\nSubject: hi\r\n\r\n..dot\r\nbody\r\n.\r\nQUIT\r\n"
    );
    let (_, sent) = converse(&Server { ehlo: "502 what", ..SERVER }, Dialect::Smtp);
    assert!(
        sent.contains("HELO mail.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<r@a.test>\r\n"),
        "{sent}"
    );
    // Nobody is left, but the server wants a message.
    let (_, sent) = converse(&Server { rcpt: "550 no", ..SERVER }, Dialect::Smtp);
    assert!(sent.ends_with("DATA\r\n.\r\nQUIT\r\n"), "{sent}");
    let (_, sent) = converse(&Server { ehlo: "250 x", rcpt: "550 no", ..SERVER }, Dialect::Smtp);
    assert!(sent.ends_with("RCPT TO:<s@a.test>\r\nRSET\r\nQUIT\r\n"), "{sent}");
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let mut client = Client::new(Settings::new(Dialect::Lmtp, "h"), HOST, now(0));
    let mut out = Vec::new();
    let mut say = |client: &mut Client, text: &str| {
        client.handle(now(1), Input::Bytes(text.as_bytes()), &mut out);
        String::from_utf8(std::mem::take(&mut out)).unwrap()
    };
    assert_eq!(say(&mut client, "220 x\r\n"), "LHLO h\r\n");
    assert_eq!(say(&mut client, "250 x\r\n"), "");
    assert_eq!(client.poll(), Some(Action::Ready));
    let mut sent = Vec::new();
    client.handle(now(1), Input::Mail(Box::new(mail())), &mut sent);
    for answer in ["250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        say(&mut client, answer);
    }
    assert_eq!(client.poll(), Some(Action::Chunk));
    client.handle(now(1), Input::End, &mut sent);
    say(&mut client, "250 2.1.5 saved\r\n");
    assert_eq!(client.poll(), None);
    say(&mut client, "452 4.2.2 full\r\n");
    let Some(Action::Finished(found)) = client.poll() else { panic!("no verdicts") };
    assert_eq!(
        verdicts(&[Action::Finished(found)]),
        [
            "2.1.5 sent (250 2.1.5 saved)".to_owned(),
            format!("4.2.2 deferred (host {HOST} said: 452 4.2.2 full (in reply to end of DATA command))"),
        ]
    );
}

#[test]
fn a_silent_server_is_given_up() {
    let mut client = Client::new(Settings::new(Dialect::Smtp, "h"), HOST, now(0));
    assert_eq!(client.deadline(), Some(now(300).mono));
    client.expire(now(299), &mut Vec::new());
    assert_eq!(client.poll(), None);
    client.expire(now(300), &mut Vec::new());
    let text = format!(
        "4.4.2 deferred (conversation with {HOST} timed out while receiving the initial server greeting)"
    );
    let done: Vec<Action> = std::iter::from_fn(|| client.poll()).collect();
    assert_eq!(verdicts(&done), [text]);
}

#[test]
fn an_answer_before_the_dot_takes_nothing_over() {
    let mut client = Client::new(Settings::new(Dialect::Smtp, "h"), HOST, now(0));
    let mut out = Vec::new();
    client.handle(now(1), Input::Bytes(b"220 x\r\n250 x\r\n"), &mut out);
    assert_eq!(client.poll(), Some(Action::Ready));
    client.handle(now(1), Input::Mail(Box::new(mail())), &mut out);
    client.handle(
        now(1),
        Input::Bytes(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 queued\r\n"),
        &mut out,
    );
    let done: Vec<Action> = std::iter::from_fn(|| client.poll()).collect();
    assert!(
        verdicts(&done).iter().all(|text| text.starts_with("4.5.0 deferred (Protocol error")),
        "{done:?}"
    );
    assert_eq!(done.last(), Some(&Action::Close));
}

/// Sends `text` in pieces of `size` bytes.
fn body(text: &[u8], size: usize, line_max: usize) -> String {
    let (mut body, mut out) = (Body::new(line_max), Vec::new());
    text.chunks(size).for_each(|piece| body.push(piece, &mut out).unwrap());
    body.end(&mut out).unwrap();
    out.extend_from_slice(b".\r\n");
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn bodies() {
    let cases: &[(&str, &str)] = &[
        ("", ".\r\n"),
        ("a\n", "a\r\n.\r\n"),
        ("a", "a\r\n.\r\n"),
        (".\n..\r\n.a", "..\r\n...\r\n..a\r\n.\r\n"),
        ("a\rb\r\n\rc\r\r\n", "a b\r\n c\r\n.\r\n"),
        ("0123456789", "0123456789\r\n.\r\n"),
        ("0123456789abc\n", "0123456789\r\n abc\r\n.\r\n"),
        ("0123456789.........x", "0123456789\r\n .........\r\n x\r\n.\r\n"),
    ];
    for (text, expected) in cases {
        for size in [1, 2, 100] {
            assert_eq!(body(text.as_bytes(), size, 10), *expected, "{text:?} by {size}");
        }
    }
}

proptest! {
    /// Whatever a body holds, it ends where we say and nowhere else: no bare CR or LF, no lonely dot before.
    #[test]
    fn no_body_ends_early(text in "[a.\r\n]{0,60}", size in 1_usize..8, line_max in 0_usize..6) {
        let line_max = if line_max == 1 { 2 } else { line_max };
        let sent = body(text.as_bytes(), size, line_max);
        let inner = sent.strip_suffix(".\r\n").unwrap();
        prop_assert!(inner.is_empty() || inner.ends_with("\r\n"));
        prop_assert!(!inner.starts_with(".\r\n") && !inner.contains("\r\n.\r\n"), "{sent:?}");
        let bare = inner.replace("\r\n", "");
        prop_assert!(!bare.contains(['\r', '\n']), "{sent:?}");
    }

    /// No server can make it panic or wait without an end, and every recipient gets a verdict.
    #[test]
    fn any_server(
        pieces in prop::collection::vec("(2[0-9]{2}|354|4[0-9]{2}|5[0-9]{2}|x)[- ](5\\.1\\.1 )?[a-z]{0,5}\r\n|250[- ](STARTTLS|AUTH [A-Z1-]{0,12}|AUTH PLAIN LOGIN CRAM-MD5|AUTH SCRAM-SHA-1)\r\n|334 [A-Za-z0-9=]{0,8}\r\n|[\\x00-\\xff]{0,9}", 0..30),
        lmtp: bool,
        secrecy in 0_usize..4,
        logs_in: bool,
        trusts: bool,
    ) {
        let dialect = if lmtp { Dialect::Lmtp } else { Dialect::Smtp };
        let secrecy = [Secrecy::None, Secrecy::IfOffered, Secrecy::Required, Secrecy::Wrapped][secrecy];
        let mut client = Client::new(Settings::new(dialect, "h"), HOST, now(0))
            .with_secrecy(secrecy)
            .with_login(logs_in.then(super::protection_tests::login));
        let (mut out, mut finished, mut begun, mut unusable) = (Vec::new(), 0, 0, 0);
        for piece in pieces.iter().map(Some).chain([None]) {
            match piece {
                Some(piece) => client.handle(now(1), Input::Bytes(piece.as_bytes()), &mut out),
                None => client.handle(now(1), Input::PeerClosed, &mut out),
            }
            while let Some(action) = client.poll() {
                match action {
                    Action::Ready if begun < 3 => {
                        prop_assert!(secrecy != Secrecy::Required || client.is_encrypted());
                        begun += 1;
                        client.handle(now(1), Input::Mail(Box::new(mail())), &mut out);
                    }
                    Action::Ready if begun == 3 => {
                        begun += 1;
                        client.handle(now(1), Input::Probe, &mut out);
                    }
                    Action::Ready => client.handle(now(1), Input::Quit, &mut out),
                    Action::Chunk => client.handle(now(1), Input::End, &mut out),
                    Action::StartTls if trusts => {
                        client.handle(now(1), Input::TlsUp { verified: false }, &mut out);
                    }
                    Action::StartTls => {
                        let verdict = Verdict::Deferred(Why::new(Dsn::new(4, 7, 5), "no"));
                        client.handle(now(1), Input::Unfit(verdict), &mut out);
                    }
                    Action::Finished(verdicts) => {
                        finished += 1;
                        prop_assert_eq!(verdicts.len(), 2);
                    }
                    Action::Unusable(_) => unusable += 1,
                    Action::Close | Action::Note(_) | Action::Remark(_) | Action::Doubt(_) => {}
                }
            }
        }
        prop_assert_eq!(finished, begun.min(3));
        prop_assert!(unusable <= 1);
    }
}
