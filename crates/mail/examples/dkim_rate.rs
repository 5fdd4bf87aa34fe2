//! DKIM signatures made and verified per second on one thread, and the CPU of each: 4 kB messages, RSA with 2,048 bits
//! and Ed25519, relaxed/relaxed.
//!
//! `dkim_rate RSA.pem ED25519.pem [SECONDS]`: keys as `komainu dkim new-key` makes them.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool")]

use mail::Wall;
use mail::dkim::{Canonicalization, KeyAnswer, SIGNED_HEADERS, Signer, SigningKey, Verifier};
use ring::rand::SystemRandom;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: Wall = Wall::from_seconds(1_700_000_000);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let keys: Vec<String> = arguments.by_ref().take(2).collect();
    let time = Duration::from_secs(arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3));
    let body = "The quick brown fox jumps over the lazy dog.\r\n".repeat(90);
    let headers: [&[u8]; 4] = [
        b"From: Joe <joe@example.com>\n",
        b"To: Suzie <suzie@example.net>\n",
        b"Subject: Is dinner ready?\n",
        b"Date: Fri, 11 Jul 2003 21:00:37 -0700\n",
    ];
    for path in keys {
        let text = std::fs::read_to_string(&path).expect("a key's file");
        let key = Arc::new(SigningKey::parse(&text).expect("a key"));
        let record = key.record();
        let signer = Signer {
            domain: "example.com".to_owned(),
            selector: "mail".to_owned(),
            identity: None,
            key,
            forms: Canonicalization::parse_pair("relaxed/relaxed").expect("two forms"),
            headers: SIGNED_HEADERS.iter().map(|&name| name.to_owned()).collect(),
            oversigned: vec!["from".to_owned()],
            lifetime: None,
        };
        let random = SystemRandom::new();
        let sign = || {
            let mut signing = signer.begin();
            signing.body(body.as_bytes());
            signing.finish(&headers, NOW, &random).expect("a signature")
        };
        let header = sign();
        let all = [&[header.as_bytes()], headers.as_slice()].concat();
        let verify = || {
            let mut verifier = Verifier::new(&all);
            verifier.body(body.as_bytes());
            let hashed = verifier.finish();
            let results: Vec<_> =
                hashed.iter().map(|one| one.judge(KeyAnswer::Texts(&[&record]), NOW).name()).collect();
            assert_eq!(results, ["pass"]);
        };
        report(&format!("{path}: signing"), time, || drop(sign()));
        report(&format!("{path}: verifying"), time, verify);
    }
}

/// One thread that never waits: its wall time is its CPU, where nobody else wants the core.
fn report(what: &str, time: Duration, mut work: impl FnMut()) {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        work();
        count += 1;
    }
    let each = start.elapsed().as_secs_f64() / f64::from(count);
    println!("{what}: {:.0}/s, {:.3} ms each", 1.0 / each, each * 1000.0);
}
