//! Log-ins against our own client, by the RFCs' examples, and with everything wrong that can be.

use super::*;
use crate::sasl::client::{self, Secret};
use crate::sasl::scram::ROUNDS;
use proptest::prelude::*;

fn surroundings() -> Surroundings {
    Surroundings {
        nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned(),
        challenge: "<1896.697170952@postoffice.reston.mci.net>".to_owned(),
        bindings: vec![
            Binding { name: "tls-exporter", data: b"exported".to_vec() },
            Binding { name: "tls-server-end-point", data: b"end point".to_vec() },
        ],
        offers_binding: false,
    }
}

/// Answers as somebody who has one user.
fn answer(question: Question, user: &str, password: &str) -> Known {
    match question {
        Question::Password { username, password: said } => {
            let right = username == user && said == password.as_bytes();
            if right { Known::Right(username) } else { Known::Wrong }
        }
        Question::Scram { username, hash } => {
            let salt = match hash {
                Hash::Sha1 => "QSXCR+Q6sek8bf92",
                Hash::Sha256 => "W22ZaJ0SNY7soEsUEjb6gQ==",
            };
            let salt = base64::decode(salt).expect("base64");
            let password = if username == user { password } else { "nobody's" };
            Known::Scram(Keys::derive(hash, password.as_bytes(), salt, ROUNDS), username)
        }
        Question::Cram { username } => {
            let password = if username == user { password } else { "nobody's" };
            Known::Cram(Contexts::of(password.as_bytes()), username)
        }
        Question::Certificate { username } => {
            let right = username.is_none_or(|username| username == user);
            if right { Known::Right(user.to_owned()) } else { Known::Wrong }
        }
    }
}

/// What a client that says `lines` hears, the first being the initial response.
fn talk(mechanism: Own, surroundings: Surroundings, lines: &[&str]) -> Vec<String> {
    let mut lines = lines.iter();
    let (mut exchange, mut turn) =
        Exchange::begin(mechanism, surroundings, lines.next().map(|line| line.as_bytes()));
    let mut heard = Vec::new();
    loop {
        turn = match turn {
            Turn::Ask(question) => exchange.told(answer(question, "user", "pencil")),
            Turn::Challenge(text) => {
                heard.push(String::from_utf8(text).expect("text"));
                match lines.next() {
                    Some(line) => exchange.respond(line.as_bytes()),
                    None => return heard,
                }
            }
            Turn::Done(name) => {
                heard.push(format!("in: {name}"));
                return heard;
            }
            Turn::Failed(refusal) => {
                heard.push(refusal.to_string());
                return heard;
            }
        };
    }
}

const DENIED: &str = "authentication failure";
const PROTOCOL: &str = "bad protocol / cancel";

/// RFC 7677 §3, RFC 5802 §5.
#[test]
fn scram_as_in_the_rfcs() {
    let heard = talk(
        Own::ScramSha256,
        surroundings(),
        &[
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "",
        ],
    );
    let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(heard, [first, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "in: user"]);
    let old = Surroundings { nonce: "3rfcNHYJY1ZVvWVs7j".to_owned(), ..surroundings() };
    let heard = talk(
        Own::ScramSha1,
        old,
        &[
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "",
        ],
    );
    let first = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    assert_eq!(heard, [first, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "in: user"]);
}

#[test]
fn against_our_own_client() {
    let check = |mechanism: Own, user: &str, password: &str, expect: bool| {
        let kind = client::Mechanism::from_name(mechanism.name()).expect("known to both");
        let secret = Secret { user: user.to_owned(), password: password.to_owned() };
        let mut client = client::Exchange::new(kind, secret, "abc".to_owned());
        let initial = client.initial();
        let (mut exchange, mut turn) = Exchange::begin(mechanism, surroundings(), initial.as_deref());
        let outcome = loop {
            turn = match turn {
                Turn::Ask(question) => exchange.told(answer(question, "us,e=r", "pencil")),
                Turn::Challenge(text) => exchange.respond(&client.respond(&text).expect("fits")),
                Turn::Done(name) => break Ok(name),
                Turn::Failed(refusal) => break Err(refusal),
            };
        };
        let expect = if expect { Ok(user.to_owned()) } else { Err(Refusal::Denied) };
        assert_eq!(outcome, expect, "{mechanism:?} {user} {password}");
        assert!(outcome.is_err() || client.may_end(), "{mechanism:?}");
    };
    for mechanism in [Own::Plain, Own::Login, Own::CramMd5, Own::ScramSha1, Own::ScramSha256] {
        check(mechanism, "us,e=r", "pencil", true);
        check(mechanism, "us,e=r", "pen", false);
        check(mechanism, "us,e=r", "", false);
        check(mechanism, "other", "pencil", false);
    }
}

#[test]
fn plain_and_login() {
    let check = |mechanism: Own, lines: &[&str], expect: &[&str]| {
        assert_eq!(talk(mechanism, surroundings(), lines), expect, "{mechanism:?} {lines:?}");
    };
    check(Own::Plain, &["\0user\0pencil"], &["in: user"]);
    check(Own::Plain, &["user\0user\0pencil"], &["in: user"]);
    check(Own::Plain, &["root\0user\0pencil"], &[DENIED]);
    check(Own::Plain, &["\0user\0pen"], &[DENIED]);
    check(Own::Plain, &["\0user\0"], &[DENIED]);
    for bad in ["", "user", "user\0pencil", "\0user\0pencil\0", "\0\0\0"] {
        check(Own::Plain, &[bad], &[PROTOCOL]);
    }
    check(Own::Plain, &["\0\0pencil"], &[DENIED]);
    for odd in ["us er", "us\ner", "a:b", &"a".repeat(256)] {
        check(Own::Plain, &[&format!("\0{odd}\0pencil")], &[DENIED]);
    }
    check(Own::Plain, &[&format!("\0user\0{}", "x".repeat(1025))], &[PROTOCOL]);
    check(Own::Login, &["user", "pencil"], &["Password:", "in: user"]);
    check(Own::Login, &["user", "pen"], &["Password:", DENIED]);
    check(Own::Login, &[""], &[DENIED]);
    let (mut exchange, first) = Exchange::begin(Own::Login, surroundings(), None);
    assert_eq!(first, Turn::Challenge(b"Username:".to_vec()));
    assert_eq!(exchange.respond(b"user"), Turn::Challenge(b"Password:".to_vec()));
}

/// RFC 2195 §2.
#[test]
fn cram_md5_as_in_the_rfc() {
    let (mut exchange, first) = Exchange::begin(Own::CramMd5, surroundings(), None);
    assert_eq!(first, Turn::Challenge(b"<1896.697170952@postoffice.reston.mci.net>".to_vec()));
    let turn = exchange.respond(b"tim b913a602c7eda7a495b4e6e7334d3890");
    let Turn::Ask(question) = turn else { panic!("{turn:?}") };
    assert_eq!(exchange.told(answer(question, "tim", "tanstaaftanstaaf")), Turn::Done("tim".to_owned()));
    assert_eq!(exchange.respond(b"more"), Turn::Failed(Refusal::Protocol));
    let (_, turn) = Exchange::begin(Own::CramMd5, surroundings(), Some(b"tim 00"));
    assert_eq!(turn, Turn::Failed(Refusal::Protocol));
}

#[test]
fn external() {
    let check = |lines: &[&str], expect: &[&str]| {
        assert_eq!(talk(Own::External, surroundings(), lines), expect, "{lines:?}");
    };
    check(&[""], &["in: user"]);
    check(&["user"], &["in: user"]);
    check(&["root"], &[DENIED]);
    check(&[], &[""]);
}

/// A client that binds, by hand: RFC 5802 §6.
fn binding(mechanism: Own, surroundings: Surroundings, flag: &str, data: &[u8]) -> String {
    let first = format!("{flag},,n=user,r=abc");
    let (mut exchange, turn) = Exchange::begin(mechanism, surroundings, Some(first.as_bytes()));
    let question = match turn {
        Turn::Ask(question) => question,
        Turn::Failed(refusal) => return refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let Turn::Challenge(server) = exchange.told(answer(question, "user", "pencil")) else {
        panic!("no keys")
    };
    let server = String::from_utf8(server).expect("text");
    let nonce = server.split(',').next().expect("a nonce");
    let bound = [format!("{flag},,").as_bytes(), data].concat();
    let without = format!("c={},{nonce}", base64::encode(&bound));
    let all = format!("n=user,r=abc,{server},{without}");
    let salt = base64::decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let key = Hash::Sha256.sign(&Hash::Sha256.salted(b"pencil", &salt, ROUNDS), b"Client Key");
    let signature = Hash::Sha256.sign(&Hash::Sha256.digest(&key), all.as_bytes());
    let proof: Vec<u8> = key.iter().zip(&signature).map(|(key, sign)| key ^ sign).collect();
    match exchange.respond(format!("{without},p={}", base64::encode(&proof)).as_bytes()) {
        Turn::Challenge(shown) if shown.starts_with(b"v=") => "in".to_owned(),
        Turn::Failed(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bound_to_the_session() {
    let offers = || Surroundings { offers_binding: true, ..surroundings() };
    let check = |mechanism, surroundings, (flag, data): (&str, &str), expect: &str| {
        assert_eq!(
            binding(mechanism, surroundings, flag, data.as_bytes()),
            expect,
            "{mechanism:?} {flag} {data}"
        );
    };
    check(Own::ScramSha256Plus, offers(), ("p=tls-exporter", "exported"), "in");
    check(Own::ScramSha256Plus, offers(), ("p=tls-server-end-point", "end point"), "in");
    // Somebody stands between: another session's bytes.
    check(Own::ScramSha256Plus, offers(), ("p=tls-exporter", "other"), DENIED);
    check(Own::ScramSha256Plus, offers(), ("p=tls-exporter", ""), DENIED);
    check(Own::ScramSha256Plus, offers(), ("p=tls-unique", "exported"), DENIED);
    check(Own::ScramSha256Plus, offers(), ("n", ""), PROTOCOL);
    check(Own::ScramSha256Plus, offers(), ("y", ""), PROTOCOL);
    check(Own::ScramSha256, offers(), ("p=tls-exporter", "exported"), PROTOCOL);
    check(Own::ScramSha256, offers(), ("n", ""), "in");
    // It was told that nobody binds here.
    check(Own::ScramSha256, offers(), ("y", ""), DENIED);
    check(Own::ScramSha256, surroundings(), ("y", ""), "in");
    check(Own::ScramSha256, surroundings(), ("n", "exported"), DENIED);
}

#[test]
fn scram_messages_that_make_no_sense() {
    for first in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=abc",
        "n,,n=user,r=",
        "n,,n=user,r=a\u{7f}",
        "n,,m=x,n=user,r=abc",
        "n,x,n=user,r=abc",
        "n,,n=us=er,r=abc",
        "x,,n=user,r=abc",
        "p=tls-exporter,,n=user,r=abc",
    ] {
        assert_eq!(talk(Own::ScramSha256, surroundings(), &[first]), [PROTOCOL], "{first}");
    }
    assert_eq!(talk(Own::ScramSha256, surroundings(), &["n,a=root,n=user,r=abc"]), [DENIED]);
    for last in ["", "c=biws", "c=biws,r=abc", "c=biws,p=AA==", "c=!,r=x,p=AA==", "r=x,c=biws,p=AA=="] {
        let heard = talk(Own::ScramSha256, surroundings(), &["n,,n=user,r=abc", last]);
        assert_eq!(heard.last().map(String::as_str), Some(PROTOCOL), "{last}");
    }
    let nonce = "abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    for last in [
        format!("c=biws,r={nonce}x,p=AA=="),
        "c=biws,r=abc,p=AA==".to_owned(),
        format!("c=biws,r={nonce},p="),
        format!("c=eSws,r={nonce},p=AA=="),
        format!("c=biws,r={nonce},p={}", base64::encode(&[0; 32])),
    ] {
        let heard = talk(Own::ScramSha256, surroundings(), &["n,,n=user,r=abc", &last]);
        assert_eq!(heard.last().map(String::as_str), Some(DENIED), "{last}");
    }
}

#[test]
fn escaped_names() {
    let check = |text: &str, expect: Option<&str>| assert_eq!(unescaped(text).as_deref(), expect, "{text}");
    check("user", Some("user"));
    check("a=2Cb=3Dc", Some("a,b=c"));
    check("a=2cb", None);
    check("a=", None);
    check("=3D=3D", Some("=="));
}

#[test]
fn nothing_secret_is_shown() {
    let question = Question::Password { username: "user".to_owned(), password: b"pencil".to_vec() };
    assert_eq!(format!("{question:?}"), "Password(\"user\", …)");
}

#[test]
fn mechanisms() {
    for mechanism in Own::ALL {
        assert_eq!(Own::from_name(&mechanism.name().to_ascii_lowercase()), Some(mechanism));
    }
    assert_eq!(Own::from_name("DIGEST-MD5"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_said_nobody_gets_in(lines in prop::collection::vec("[ -~]{0,40}", 0..4)) {
        survive(lines.join("\n").as_bytes());
    }

    #[test]
    fn nearly_right_messages_are_survived(at in 0_usize..200, byte: u8, which in 0_usize..4) {
        let seeds = [
            "\0user\0pencil\n",
            "n,,n=user,r=abc\nc=biws,r=abcnonce,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
            "p=tls-exporter,,n=user,r=abc\nc=cD10bHMtZXhwb3J0ZXIsLA==,r=abcnonce,p=AA==\n",
            "\nuser 0123456789abcdef0123456789abcdef\n",
        ];
        let mut bytes = seeds[which].as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        survive(&bytes);
    }
}
