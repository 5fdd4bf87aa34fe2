use super::*;
use crate::dmarc::{Settings, authors, check};
use crate::facts::{Answer, Need, Question, Record};

fn shown(text: &str, is_ours: bool) -> Shown<'_> {
    Shown { text: text.as_bytes(), is_ours }
}

fn written(domain: &str, outcome: Outcome) -> Written {
    Written { domain: domain.to_owned(), outcome }
}

#[test]
fn headers_that_are_believed() {
    let conf = Conf::default();
    let found = heard(
        &conf,
        &["mx.example.com"],
        "sender.example",
        [
            shown("Authentication-Results: evil.example; dkim=pass header.d=bank.example\n", false),
            shown(
                "Authentication-Results: MX.example.com;\n\tdkim=pass header.d=a.example;\n\tdkim=temperror header.i=x@b.example\n",
                false,
            ),
            shown("Received-SPF: pass (forged) identity=mailfrom\n", false),
            shown("Received-SPF: softfail (x) identity=mailfrom\n", true),
        ],
    );
    assert_eq!(found.dkim, [written("a.example", Outcome::Pass), written("b.example", Outcome::TempError)]);
    assert_eq!(found.spf, Some(written("sender.example", Outcome::Fail)));
    assert_eq!(found.lines, [" ignoring Authentication-Results at 0 from evil.example"]);
    let of = |conf: &Conf, text: &str| heard(conf, &["mx"], "s.example", [shown(text, true)]).spf;
    let passed = Some(written("a.example", Outcome::Pass));
    assert_eq!(of(&conf, "Authentication-Results: mx; spf=pass smtp.mailfrom=a.example"), passed);
    assert_eq!(of(&conf, "Authentication-Results: mx; spf=pass smtp.mailfrom=x@a.example"), passed);
    assert_eq!(of(&conf, "Authentication-Results: mx; spf=pass smtp.helo=a.example"), passed);
    assert_eq!(of(&conf, "Received-SPF: Pass"), Some(written("s.example", Outcome::Pass)));
    let deaf = Conf { spf_ignores_results: true, ..Conf::default() };
    assert_eq!(of(&deaf, "Authentication-Results: mx; spf=pass smtp.mailfrom=a.example"), None);
    assert_eq!(of(&deaf, "Received-SPF: Pass"), None);
}

#[test]
fn required_headers() {
    let check = |text: &str| odd_headers(text.split_inclusive('\n').map(str::as_bytes));
    assert_eq!(check("From: a\nDate: b\nSubject: c\nX: 1\nX: 2\n"), None);
    for (text, expect) in [
        ("From: a\n", "not exactly one Date field"),
        ("Date: a\n", "not exactly one From field"),
        ("From: a\nFROM : b\nDate: b\n", "not exactly one From field"),
        ("From: a\nDate: b\nSubject: a\nsubject: b\n", "multiple Subject fields"),
    ] {
        assert_eq!(check(text), Some(format!("RFC5322 requirement error: {expect}")), "{text}");
    }
}

fn verdict(record: &str, outcome: Outcome) -> Verdict {
    let authors = authors([&b"a@example.com"[..]]);
    let heard = Heard::default().with_spf(Some(written("example.com", outcome)));
    let mut facts = crate::spf::without_tables();
    loop {
        match heard.judged(|identifiers| check(&authors, identifiers, &Settings::default(), &facts)) {
            Ok(verdict) => return verdict,
            Err(Need(question)) => {
                let is_own = matches!(&question, Question::Dns { name, .. } if name == "_dmarc.example.com");
                let answer = match is_own && !record.is_empty() {
                    true => Answer::Records(vec![Record::Txt(record.to_owned())]),
                    false => Answer::NoName,
                };
                facts.learn(question, answer);
            }
        }
    }
}

/// As Debian's OpenDMARC says it.
#[test]
fn what_is_said() {
    let check = |conf: &Conf, record: &str, outcome: Outcome, header: &str, line: &str, done: &str| {
        let told = told(conf, &verdict(record, outcome), "mx.example.com");
        let header = format!("Authentication-Results: mx.example.com; {header} header.from=example.com\n");
        assert_eq!(told.header, Some(header));
        assert_eq!(told.line, format!("example.com {line}"));
        let was = match told.measure {
            Measure::Take => String::new(),
            Measure::Hold(why) => why,
            Measure::Refuse(reply) => reply.to_string(),
        };
        assert_eq!(was, done);
    };
    let plain = Conf::default();
    let strict = Conf { rejects: true, holds_quarantined: true, ..Conf::default() };
    let (pass, fail) = (Outcome::Pass, Outcome::Fail);
    check(&plain, "v=DMARC1; p=reject", pass, "dmarc=pass (p=reject dis=none)", "pass", "");
    check(&plain, "v=DMARC1; p=reject", fail, "dmarc=fail (p=reject dis=none)", "fail", "");
    check(&plain, "", fail, "dmarc=none (p=none dis=none)", "none", "");
    let refused = "550 5.7.1 rejected by DMARC policy for example.com";
    check(&strict, "v=DMARC1; p=reject", fail, "dmarc=fail (p=reject dis=reject)", "fail", refused);
    let held = "quarantined by DMARC policy for example.com";
    let quarantine = "v=DMARC1; p=quarantine";
    check(&strict, quarantine, fail, "dmarc=fail (p=quarantine dis=quarantine)", "fail", held);
    check(&plain, quarantine, fail, "dmarc=fail (p=quarantine dis=none)", "fail", "");
    let own = Conf { reject_string: "no %s".to_owned(), ..strict };
    check(
        &own,
        "v=DMARC1; p=reject",
        fail,
        "dmarc=fail (p=reject dis=reject)",
        "fail",
        "550 5.7.1 no example.com",
    );
}
