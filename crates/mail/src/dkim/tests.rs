//! Signatures of our own, and what breaks them; the example of RFC 8463.

use super::*;
use crate::Wall;
use ring::rand::SystemRandom;

/// RFC 8463 §A.2: a private Ed25519 key as PKCS#8, made of the RFC's seed.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

const NOW: Wall = Wall::from_seconds(1_528_637_909);

/// The headers and the body of a message with LF.
fn parts(message: &str) -> (Vec<&[u8]>, &str) {
    let (head, body) = message.split_once("\n\n").map_or((message, ""), |(head, body)| (head, body));
    let mut headers: Vec<&[u8]> = Vec::new();
    let mut start = 0;
    let bytes = head.as_bytes();
    for at in 1..=bytes.len() {
        let ends = at == bytes.len() || (bytes[at - 1] == b'\n' && !matches!(bytes[at], b' ' | b'\t'));
        if ends {
            headers.push(&bytes[start..at]);
            start = at;
        }
    }
    (headers, body)
}

fn verified(message: &str, key: &str, now: Wall) -> Vec<String> {
    let (headers, body) = parts(message);
    let mut verifier = Verifier::new(&headers);
    for piece in body.as_bytes().chunks(7) {
        verifier.body(piece);
    }
    let said = |hashed: &Hashed| {
        let result = hashed.judge(KeyAnswer::Texts(&[key]), now);
        result.reason().map_or_else(|| result.name().to_owned(), |why| format!("{}: {why}", result.name()))
    };
    verifier.finish().iter().map(said).collect()
}

fn signer(forms: &str) -> Signer {
    Signer {
        domain: "example.com".to_owned(),
        selector: "sel".to_owned(),
        identity: None,
        key: std::sync::Arc::new(SigningKey::parse(ED25519).unwrap()),
        forms: Canonicalization::parse_pair(forms).unwrap(),
        headers: SIGNED_HEADERS.iter().map(|&name| name.to_owned()).collect(),
        oversigned: vec!["from".to_owned(), "subject".to_owned()],
        lifetime: None,
    }
}

fn signed(signer: &Signer, message: &str) -> String {
    let (headers, body) = parts(message);
    let mut signing = signer.begin();
    signing.body(body.as_bytes());
    signing.finish(&headers, NOW, &SystemRandom::new()).unwrap() + message
}

const MESSAGE: &str = "From: Joe <joe@example.com>\nTo: Suzie\n <suzie@example.net>\nSubject:  Is dinner  ready?\n\
                       Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n\nHi.\n\nWe lost the  game. \n\n\n";

/// RFC 6376 §6.1.2: two keys at one selector, as while they are changed.
#[test]
fn each_key_of_a_name_is_tried() {
    let message = signed(&signer("simple/simple"), MESSAGE);
    let (headers, body) = parts(&message);
    let right = SigningKey::parse(ED25519).unwrap().record();
    let other = "v=DKIM1; k=ed25519; p=ElGhRxbTvAvcDqdWHQBmiHRbTbaTVCVqHpRYlQgZVhM=";
    let judged = |texts: &[&str]| {
        let mut verifier = Verifier::new(&headers);
        verifier.body(body.as_bytes());
        verifier.finish().iter().map(|one| one.judge(KeyAnswer::Texts(texts), NOW).name()).collect::<Vec<_>>()
    };
    assert_eq!(judged(&[other, &right]), ["pass"]);
    assert_eq!(judged(&["v=DKIM1; p=", other, &right]), ["pass"]);
    assert_eq!(judged(&[other]), ["fail"]);
}

#[test]
fn keys_and_records() {
    let key = SigningKey::parse(ED25519).unwrap();
    assert_eq!(key.record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    assert!(matches!(SigningKey::parse(""), Err(SigningKeyError::Pem)));
    let junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(SigningKey::parse(junk), Err(SigningKeyError::Rejected(_))));
    for (record, why) in [
        ("v=DKIM1; k=ed25519; p=", KeyError::Revoked),
        ("v=DKIM1; k=ed25519", KeyError::Malformed),
        ("v=DKIM2; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", KeyError::Malformed),
        ("k=ed25519; v=DKIM1; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", KeyError::Malformed),
        ("h=sha1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", KeyError::Hash),
        ("s=tlsrpt; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", KeyError::Service),
        ("k=dsa; p=11qY", KeyError::Kind),
        ("p=11qY", KeyError::Malformed),
        ("k=ed25519; p=11qY", KeyError::Malformed),
        ("v=spf1 -all", KeyError::Malformed),
    ] {
        assert_eq!(PublicKey::parse(record), Err(why), "{record}");
    }
    let flags = PublicKey::parse(
        "k=ed25519; t=y : s; h=sha1:sha256; s=*; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    )
    .unwrap();
    assert!(flags.is_testing() && flags.is_strict() && flags.bits() == 256);
}

#[test]
fn what_is_signed_is_verified() {
    let record = SigningKey::parse(ED25519).unwrap().record();
    for forms in ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"] {
        let message = signed(&signer(forms), MESSAGE);
        assert_eq!(verified(&message, &record, NOW), ["pass"], "{forms}\n{message}");
        assert!(message.lines().all(|line| line.len() <= 78), "{message}");
        // What no canonical form forgives.
        for (from, to, why) in [
            ("game", "match", "fail: the body has been changed"),
            ("ready?", "over?", "fail: the signed headers have been changed"),
            ("Subject:", "Subject: more\nSubject:", "fail: the signed headers have been changed"),
            ("To: Suzie", "X: y\nTo: Suzie", "pass"),
            ("game. \n\n\n", "game. \n", "pass"),
        ] {
            assert_eq!(verified(&message.replace(from, to), &record, NOW), [why], "{forms} {from}");
        }
        let relaxed = forms.split('/').map(|form| form == "relaxed").collect::<Vec<_>>();
        let header = if relaxed[0] { "pass" } else { "fail: the signed headers have been changed" };
        assert_eq!(
            verified(&message.replace("Subject:  Is", "SUBJECT: Is"), &record, NOW),
            [header],
            "{forms}"
        );
        let body = if relaxed[1] { "pass" } else { "fail: the body has been changed" };
        assert_eq!(
            verified(&message.replace("the  game. \n\n", "the game.\n \t\n"), &record, NOW),
            [body],
            "{forms}"
        );
    }
    let empty = signed(&signer("relaxed/relaxed"), "From: a@example.com\n\n");
    assert_eq!(verified(&empty, &record, NOW), ["pass"]);
    let nobody = signer("simple/simple").begin().finish(&[b"To: x\n"], NOW, &SystemRandom::new());
    // `from` is oversigned, so h= has it; a message without From is signed as one without.
    assert!(nobody.is_some());
}

#[test]
fn what_is_not_believed() {
    let record = SigningKey::parse(ED25519).unwrap().record();
    let message = signed(&signer("relaxed/relaxed"), MESSAGE);
    let judged = |from: &str, to: &str| verified(&message.replacen(from, to, 1), &record, NOW).concat();
    assert_eq!(
        judged("a=ed25519-sha256", "a=rsa-sha1"),
        "permerror: the signature's algorithm is not supported"
    );
    assert_eq!(judged("a=ed25519-sha256", "a=rsa-sha256"), "permerror: the key is of another kind");
    assert_eq!(judged("v=1;", "v=2;"), "permerror: the signature's v= is invalid");
    assert_eq!(judged("v=1;", ""), "permerror: the signature has no v=");
    assert_eq!(judged("v=1;", "v=1; x=1528637909; x=1;"), "permerror: the signature is malformed");
    assert_eq!(judged("v=1;", "v=1; x=1;"), "permerror: the signature's x= is invalid");
    assert_eq!(
        judged("v=1;", "v=1; i=joe@example.org;"),
        "permerror: the signature's identity is not of its domain"
    );
    assert_eq!(judged("v=1;", "v=1; q=dns/other;"), "permerror: the signature's q= is invalid");
    assert_eq!(judged("v=1;", "v=1; l=99999;"), "permerror: the signature covers more than there is");
    let late = Wall::from_seconds(NOW.seconds() - 10_000);
    assert_eq!(verified(&message, &record, late), ["fail: the signature is of the future"]);
    let strict = record.replace("v=DKIM1;", "v=DKIM1; t=s;");
    let sub = Signer { identity: Some("@news.example.com".to_owned()), ..signer("relaxed/relaxed") };
    assert_eq!(verified(&signed(&sub, MESSAGE), &record, NOW), ["pass"]);
    assert_eq!(verified(&signed(&sub, MESSAGE), &strict, NOW), ["permerror: the key is not for subdomains"]);
    let short = Signer { lifetime: Some(std::time::Duration::from_secs(60)), ..signer("relaxed/relaxed") };
    let short = signed(&short, MESSAGE);
    assert_eq!(verified(&short, &record, NOW), ["pass"]);
    let later = Wall::from_seconds(NOW.seconds() + 1_000);
    assert_eq!(verified(&short, &record, later), ["fail: the signature has expired"]);
    let (headers, _) = parts(&message);
    let hashed = || Verifier::new(&headers).finish().remove(0);
    assert_eq!(hashed().signature().map(Signature::key_name).as_deref(), Some("sel._domainkey.example.com"));
    let many = format!("{}{MESSAGE}", "DKIM-Signature: x\n".repeat(100));
    assert_eq!(verified(&many, &record, NOW).len(), SIGNATURES_MAX);
    assert!(Verifier::new(&parts(MESSAGE).0).is_empty());
}

/// RFC 8463 §A.3.
#[test]
fn the_message_of_the_rfc() {
    let message = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n d=football.example.com; i=@football.example.com;\n \
                   q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n subject : date : message-id : from : subject : date;\n \
                   bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n \
                   Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\nFrom: Joe SixPack <joe@football.example.com>\n\
                   To: Suzie Q <suzie@shopping.example.net>\nSubject: Is dinner ready?\n\
                   Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n\
                   Message-ID: <20030712040037.46341.5F8J@football.example.com>\n\n\
                   Hi.\n\nWe lost the game.  Are you hungry yet?\n\nJoe.\n";
    let record = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert_eq!(verified(message, record, NOW), ["pass"]);
}

proptest::proptest! {
    #[test]
    fn any_signature_header(value in "[ -~\\n\\t]{0,60}", tags in "(v=1|a=rsa-sha256|b=AAAA|bh=[A-Za-z0-9+/]{43}=|d=a.b|s=x|h=from|l=[0-9]{1,30}|;| ){0,14}") {
        let text = format!("DKIM-Signature: {value}{tags}\n");
        let verifier = Verifier::new(&[text.as_bytes(), b"From: a\n"]);
        for hashed in verifier.finish() {
            let _ = hashed.judge(KeyAnswer::Texts(&[&tags, &value]), NOW);
        }
        let _ = PublicKey::parse(&value);
    }
}
