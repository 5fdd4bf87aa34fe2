use super::*;
use crate::facts::{Answer, Question, Record, RecordKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What the DNS says: records of `_dmarc.` in front of a name, names that are there, names without an answer.
#[derive(Clone, Debug, Default)]
struct World {
    records: BTreeMap<String, Vec<String>>,
    missing: BTreeSet<String>,
    silent: BTreeSet<String>,
}

impl World {
    fn of(records: &[(&str, &str)]) -> World {
        let mut world = World::default();
        for (name, text) in records {
            world.records.entry((*name).to_owned()).or_default().push((*text).to_owned());
        }
        world
    }

    fn answer(&self, question: &Question) -> Answer {
        let Question::Dns { name, kind } = question else { panic!("{question:?}") };
        if self.silent.contains(name) {
            return Answer::Unavailable("Host not found, try again".to_owned());
        }
        match (name.strip_prefix("_dmarc."), kind) {
            (Some(below), RecordKind::Txt) => self.records.get(below).map_or(Answer::NoName, |texts| {
                Answer::Records(texts.iter().map(|text| Record::Txt(text.clone())).collect())
            }),
            (None, RecordKind::A) if self.missing.contains(name) => Answer::NoName,
            (None, RecordKind::A) => Answer::NoRecords,
            _ => panic!("{question:?}"),
        }
    }

    /// Asks as a driver does; and how many questions that took.
    fn solve<T>(&self, mut ask: impl FnMut(&Facts) -> Result<T, Need>) -> (T, usize) {
        let mut facts = crate::spf::without_tables();
        for asked in 0..100 {
            match ask(&facts) {
                Ok(found) => return (found, asked),
                Err(Need(question)) => facts.learn(question.clone(), self.answer(&question)),
            }
        }
        panic!("no end of questions")
    }

    fn check(&self, from: &str, identifiers: &Identifiers<'_>, settings: &Settings<'_>) -> Verdict {
        let authors = authors([from.as_bytes()]);
        self.solve(|facts| check(&authors, identifiers, settings, facts)).0
    }

    fn organization(&self, domain: &str) -> (String, usize) {
        self.solve(|facts| match walk::walk(domain, facts) {
            Ok(found) => Ok(walk::organization(domain, &found).to_owned()),
            Err(walk::Stop::Need(need)) => Err(need),
            Err(walk::Stop::Temporary(_)) => Ok("?".to_owned()),
        })
    }
}

const fn passed(domain: &str) -> Identifier<'_> {
    Identifier { domain, outcome: Outcome::Pass }
}

const fn spf(identifier: Identifier<'_>) -> Identifiers<'_> {
    Identifiers { spf: Some(identifier), dkim: &[] }
}

/// RFC 9989 §4.10 and §4.10.2.
#[test]
fn walks_of_the_rfc() {
    let long = "a.b.c.d.e.f.g.h.i.j.mail.example.com";
    assert_eq!(
        names(long),
        [
            long,
            "g.h.i.j.mail.example.com",
            "h.i.j.mail.example.com",
            "i.j.mail.example.com",
            "j.mail.example.com",
            "mail.example.com",
            "example.com",
            "com",
        ]
    );
    assert_eq!(names("com"), ["com"]);
    let start = "a.mail.example.com";
    for (records, expect) in [
        (&[("mail.example.com", "v=DMARC1"), ("example.com", "v=DMARC1")][..], "example.com"),
        (&[("mail.example.com", "v=DMARC1; psd=n"), ("example.com", "v=DMARC1")], "mail.example.com"),
        (&[("com", "v=DMARC1; psd=y")], "example.com"),
        (&[("example.com", "v=DMARC1; psd=y"), ("com", "v=DMARC1")], "mail.example.com"),
        (&[(start, "v=DMARC1; psd=y")], start),
        (&[("example.com", "v=DMARC1"), ("example.com", "v=DMARC1")], start),
        (&[("example.com", "v=DMARC1"), ("example.com", "x")], "example.com"),
        (&[], start),
    ] {
        assert_eq!(World::of(records).organization(start).0, expect, "{records:?}");
    }
    assert_eq!(World::default().organization(long).1, QUERIES_MAX);
}

/// The selection of §4.10.2 word by word, over what a walk of §4.10 finds.
fn by_the_book(domain: &str, world: &World) -> String {
    let labels: Vec<&str> = domain.split('.').collect();
    let mut targets = vec![domain.to_owned()];
    let mut left = if labels.len() < 8 { labels.len() - 1 } else { 7 };
    while left > 0 {
        targets.push(labels[labels.len() - left..].join("."));
        left -= 1;
    }
    let mut valid: Vec<(String, &str)> = Vec::new();
    for target in targets {
        let texts = world.records.get(&target).map(Vec::as_slice).unwrap_or_default();
        let [text] = texts else { continue };
        let psd = text.split("psd=").nth(1).and_then(|rest| rest.get(..1)).unwrap_or("u");
        valid.push((target, psd));
        if psd != "u" {
            break;
        }
    }
    if let Some((name, _)) = valid.iter().find(|(_, psd)| *psd == "n") {
        return name.clone();
    }
    if let Some((name, _)) = valid.iter().find(|(name, psd)| *psd == "y" && name != domain) {
        let count = name.split('.').count() + 1;
        return labels[labels.len() - count..].join(".");
    }
    let fewest = valid.iter().min_by_key(|(name, _)| name.split('.').count());
    fewest.map_or(domain.to_owned(), |(name, _)| name.clone())
}

const LEVELS: [&str; 4] = ["a.b.c.d", "b.c.d", "c.d", "d"];
const KINDS: [&[&str]; 5] = [
    &[],
    &["v=DMARC1; p=reject"],
    &["v=DMARC1; p=reject; psd=y"],
    &["v=DMARC1; p=reject; psd=n"],
    &["v=DMARC1; p=reject", "v=DMARC1; p=none"],
];

/// Every world of four levels with every kind of record at each.
fn worlds() -> impl Iterator<Item = World> {
    (0..KINDS.len().pow(4)).map(|mut number| {
        let mut world = World::default();
        for level in LEVELS {
            let texts = KINDS[number % KINDS.len()];
            number /= KINDS.len();
            if !texts.is_empty() {
                world.records.insert(level.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect());
            }
        }
        world
    })
}

#[test]
fn every_small_world_has_the_organizations_of_the_book() {
    let start = ["x.a.b.c.d", "a.b.c.d", "b.c.d", "y.c.d", "c.d", "d", "1.2.3.4.5.6.7.a.b.c.d", "e"];
    for world in worlds() {
        for domain in start {
            let (found, asked) = world.organization(domain);
            assert_eq!(found, by_the_book(domain, &world), "{domain} {world:?}");
            assert!(asked <= QUERIES_MAX && (domain == found || domain.ends_with(&format!(".{found}"))));
        }
    }
}

/// §4.10.1 word by word: whose record, and by which tag.
fn policy_by_the_book(author: &str, world: &World) -> Option<(String, Tag)> {
    let one = |name: &str| world.records.get(name).is_some_and(|texts| texts.len() == 1);
    if one(author) {
        return Some((author.to_owned(), Tag::P));
    }
    let organization = by_the_book(author, world);
    if one(&organization) {
        return Some((organization, Tag::Sp));
    }
    let (_, suffix) = organization.split_once('.')?;
    one(suffix).then(|| (suffix.to_owned(), Tag::Sp))
}

#[test]
fn every_small_world_has_the_verdicts_of_the_book() {
    let domains = ["x.a.b.c.d", "a.b.c.d", "b.c.d", "c.d", "y.c.d", "d", "e"];
    for world in worlds() {
        for author in ["x.a.b.c.d", "a.b.c.d", "b.c.d", "c.d", "d"] {
            let expect = policy_by_the_book(author, &world);
            for domain in domains {
                let verdict = world.check(&format!("x@{author}"), &spf(passed(domain)), &Settings::default());
                let found = verdict.published.as_ref().map(|found| (found.domain.clone(), found.tag));
                assert_eq!(found, expect, "{author} {world:?}");
                let same = domain == author || by_the_book(domain, &world) == by_the_book(author, &world);
                let result = match expect {
                    None => DmarcResult::None,
                    Some(_) if same => DmarcResult::Pass,
                    Some(_) => DmarcResult::Fail,
                };
                assert_eq!(verdict.result, result, "{author} {domain} {world:?}");
                let strict = (result == DmarcResult::Fail) as u8;
                assert_eq!(verdict.disposition == Disposition::Reject, strict == 1);
            }
        }
    }
}

#[test]
fn alignment() {
    let check = |tags: &str, spf: Option<&str>, dkim: &[&str], expect: DmarcResult| {
        let world = World::of(&[("example.com", &format!("v=DMARC1; p=reject; {tags}"))]);
        let dkim: Vec<_> = dkim.iter().map(|domain| passed(domain)).collect();
        let identifiers = Identifiers { spf: spf.map(passed), dkim: &dkim };
        let verdict = world.check("Bob <bob@EXAMPLE.com>", &identifiers, &Settings::default());
        assert_eq!(verdict.result, expect, "{tags} {spf:?} {dkim:?}");
    };
    use DmarcResult::{Fail, Pass};
    check("", None, &[], Fail);
    check("", Some("Example.COM."), &[], Pass);
    check("", Some("mail.example.com"), &[], Pass);
    check("aspf=s", Some("mail.example.com"), &[], Fail);
    check("aspf=s", Some("example.com"), &[], Pass);
    check("adkim=s", Some("mail.example.com"), &["mail.example.com"], Pass);
    check("adkim=s; aspf=s", Some("mail.example.com"), &["mail.example.com"], Fail);
    check("", None, &["evil.example", "x.y.example.com"], Pass);
    check("", Some("com"), &["com", "example.org", "notexample.com", ""], Fail);
    check("", Some("example.com.evil.example"), &[], Fail);
    let failed = [Identifier { domain: "example.com", outcome: Outcome::Fail }];
    let world = World::of(&[("example.com", "v=DMARC1; p=reject")]);
    let identifiers = Identifiers { spf: Some(failed[0]), dkim: &failed };
    assert_eq!(world.check("a@example.com", &identifiers, &Settings::default()).result, Fail);
}

#[test]
fn policies_in_force() {
    let none = Identifiers::default();
    let check = |tags: &str, author: &str, is_there: bool, roll: u8| {
        let mut world = World::of(&[("example.com", &format!("v=DMARC1; {tags}"))]);
        if !is_there {
            world.missing.insert(author.to_owned());
        }
        let verdict = world.check(&format!("a@{author}"), &none, &Settings { suffixes: None, roll });
        (verdict.result, verdict.disposition, verdict.published.map(|published| published.tag))
    };
    use Disposition::{None as Nothing, Quarantine, Reject};
    use DmarcResult::{Fail, PermError};
    for (tags, author, is_there, roll, disposition, tag) in [
        ("p=reject", "example.com", true, 99, Reject, Tag::P),
        ("p=reject", "a.example.com", true, 0, Reject, Tag::Sp),
        ("p=none; sp=reject; np=quarantine", "example.com", false, 0, Nothing, Tag::P),
        ("p=none; sp=reject; np=quarantine", "a.example.com", true, 0, Reject, Tag::Sp),
        ("p=none; sp=reject; np=quarantine", "a.example.com", false, 0, Quarantine, Tag::Np),
        ("p=none; np=reject", "a.example.com", true, 0, Nothing, Tag::Sp),
        ("p=quarantine; sp=none", "a.example.com", false, 0, Nothing, Tag::Sp),
        ("p=reject; t=y", "example.com", true, 0, Quarantine, Tag::P),
        ("p=quarantine; t=y", "example.com", true, 0, Nothing, Tag::P),
        ("p=none; t=y", "example.com", true, 0, Nothing, Tag::P),
        ("p=reject; pct=0", "example.com", true, 0, Quarantine, Tag::P),
        ("p=reject; pct=30", "example.com", true, 29, Reject, Tag::P),
        ("p=reject; pct=30", "example.com", true, 30, Quarantine, Tag::P),
        ("p=quarantine; pct=30", "example.com", true, 99, Nothing, Tag::P),
        ("p=reject; pct=0; t=n", "example.com", true, 99, Reject, Tag::P),
        ("sp=reject", "a.example.com", true, 0, Reject, Tag::Sp),
        ("p=rejct; rua=mailto:a@example.com", "example.com", true, 0, Nothing, Tag::P),
        ("p=reject; sp=x; rua=mailto:a@example.com", "example.com", true, 0, Nothing, Tag::P),
    ] {
        assert_eq!(check(tags, author, is_there, roll), (Fail, disposition, Some(tag)), "{tags} {author}");
    }
    assert_eq!(check("p=rejct", "example.com", true, 0), (PermError, Nothing, None));
    assert_eq!(check("p=reject; sp=x; rua=x", "a.example.com", true, 0), (PermError, Nothing, None));
}

#[test]
fn without_an_answer() {
    use DmarcResult::{Fail, Pass, TempError};
    let record = ("example.com", "v=DMARC1; p=reject");
    let silent = |name: &str| World { silent: [name.to_owned()].into(), ..World::of(&[record]) };
    let check = |world: &World, from: &str, outcome: Outcome, domain: &str| {
        let verdict = world.check(from, &spf(Identifier { domain, outcome }), &Settings::default());
        assert_eq!(
            verdict.disposition == Disposition::None,
            verdict.result == Pass || verdict.published.is_none()
        );
        (verdict.result, verdict.problem.map(|problem| problem.to_string()))
    };
    let world = silent("_dmarc.example.com");
    let no_answer = Some("no answer to TXT _dmarc.example.com".to_owned());
    assert_eq!(check(&world, "a@example.com", Outcome::Pass, "example.com"), (TempError, no_answer));
    // Who is the same needs no other question.
    let world = silent("_dmarc.com");
    assert_eq!(check(&world, "a@example.com", Outcome::Pass, "example.com"), (Pass, None));
    assert_eq!(check(&world, "a@example.com", Outcome::Pass, "example.org"), (Fail, None));
    assert_eq!(check(&world, "a@example.com", Outcome::Pass, "m.example.com").0, TempError);
    // What SPF or DKIM doesn't know yet counts where it would have stood for the author.
    let world = World::of(&[record]);
    let unknown = Some("what m.example.com says is not known now".to_owned());
    assert_eq!(check(&world, "a@example.com", Outcome::TempError, "m.example.com"), (TempError, unknown));
    assert_eq!(check(&world, "a@example.com", Outcome::TempError, "example.org"), (Fail, None));
    let dkim = [
        Identifier { domain: "example.com", outcome: Outcome::TempError },
        Identifier { domain: "example.com", outcome: Outcome::Pass },
    ];
    let both = Identifiers { spf: None, dkim: &dkim };
    assert_eq!(world.check("a@example.com", &both, &Settings::default()).result, Pass);
    // Whether a name is there isn't asked where its mail is its own.
    let np = ("example.com", "v=DMARC1; p=reject; np=none");
    let world = World { silent: ["a.example.com".to_owned()].into(), ..World::of(&[np]) };
    assert_eq!(check(&world, "a@a.example.com", Outcome::Pass, "a.example.com").0, Pass);
    assert_eq!(check(&world, "a@a.example.com", Outcome::Fail, "a.example.com").0, TempError);
}

#[test]
fn by_a_list_of_suffixes() {
    let suffixes = PublicSuffixes::parse("com\nco.uk\nuk\n");
    let settings = Settings { suffixes: Some(&suffixes), roll: 0 };
    let world =
        World::of(&[("example.co.uk", "v=DMARC1; p=reject"), ("b.example.com", "v=DMARC1; p=reject")]);
    let check = |from: &str, domain: &str| world.check(from, &spf(passed(domain)), &settings).result;
    assert_eq!(check("x@a.b.example.co.uk", "c.example.co.uk"), DmarcResult::Pass);
    assert_eq!(check("x@a.example.co.uk", "other.co.uk"), DmarcResult::Fail);
    assert_eq!(check("x@b.example.com", "example.com"), DmarcResult::Pass);
    // RFC 7489 doesn't look in between.
    assert_eq!(check("x@a.b.example.com", "example.org"), DmarcResult::None);
    assert_eq!(check("x@co.uk", "example.org"), DmarcResult::None);
    // The tree walk sees no organisation above.
    let by_walk = world.check("x@b.example.com", &spf(passed("example.com")), &Settings::default());
    assert_eq!(by_walk.result, DmarcResult::Fail);
}

#[test]
fn several_authors() {
    let world = World::of(&[
        ("none.example", "v=DMARC1; p=none"),
        ("quarantine.example", "v=DMARC1; p=quarantine"),
        ("reject.example", "v=DMARC1; p=reject"),
    ]);
    let check = |from: &str, domain: &str| {
        let verdict = world.check(from, &spf(passed(domain)), &Settings::default());
        (verdict.author, verdict.result, verdict.disposition)
    };
    let fails = |author: &str, disposition| (author.to_owned(), DmarcResult::Fail, disposition);
    let own = ("none.example".to_owned(), DmarcResult::Pass, Disposition::None);
    assert_eq!(check("a@none.example, b@none.example", "none.example"), own);
    let list = "a@none.example, b@reject.example, c@quarantine.example, d@nothing.example";
    assert_eq!(check(list, "none.example"), fails("reject.example", Disposition::Reject));
    assert_eq!(check(list, "reject.example"), fails("quarantine.example", Disposition::Quarantine));
    let many = "a@none.example, b@1.example, c@2.example, d@3.example, e@4.example";
    let refused = ("none.example".to_owned(), DmarcResult::PermError, Disposition::Reject);
    assert_eq!(check(many, "none.example"), refused);
    assert_eq!(check("", "none.example"), (String::new(), DmarcResult::None, Disposition::None));
}

#[test]
fn author_domains() {
    let check = |values: &[&str], expect: &[&str]| {
        let found = authors(values.iter().map(|value| value.as_bytes()));
        assert_eq!(found.domains, expect, "{values:?}");
        assert!(!found.are_too_many, "{values:?}");
        assert_eq!(found.headers, values.len());
    };
    check(&["bob@example.com"], &["example.com"]);
    check(&[" Bob <bob@Example.COM>\n"], &["example.com"]);
    check(&["\"bank@bank.example\" <x@evil.example>"], &["evil.example"]);
    check(&["x@evil.example (bank@bank.example)"], &["evil.example"]);
    check(&["bank@bank.example (<x@evil.example>)"], &["bank.example"]);
    check(&["bob@example.com", "eve@evil.example"], &["example.com", "evil.example"]);
    check(&["a@a.example, B <b@b.example>,c@A.example"], &["a.example", "b.example"]);
    check(&["team: a@a.example, b@b.example;"], &["a.example", "b.example"]);
    check(&["<a@a.example> <b@b.example>"], &["a.example", "b.example"]);
    check(&["<bank@bank.example> x@evil.example"], &["bank.example", "evil.example"]);
    check(&["bank@bank.example, <x@evil.example>"], &["bank.example", "evil.example"]);
    check(&["<@evil.example:bank@bank.example>"], &["bank.example"]);
    check(&["<x@evil.example@bank.example>"], &["bank.example"]);
    check(&["\"x@evil.example\"@bank.example"], &["bank.example"]);
    check(&["bank@(comment) bank . example"], &["bank.example"]);
    check(&["bank@bank.example."], &["bank.example"]);
    check(&["bob@b\u{fc}cher.example"], &["xn--bcher-kva.example"]);
    check(&["bob@BÜCHER.example, x@xn--bcher-kva.example"], &["xn--bcher-kva.example"]);
    check(&["bank@bank\u{200b}.example"], &["bank.example"]);
    check(&["bank@bank。example"], &["bank.example"]);
    check(&["bank@ｂａｎｋ.example"], &["bank.example"]);
    check(&["bank@\"bank.example\""], &["bank.example"]);
    check(&["bank@x..bank.example"], &["x..bank.example"]);
    check(&["bob@[192.0.2.1]"], &[]);
    check(&["undisclosed:;", "bob", "<>", "", "\"", "bob@"], &[]);
    check(&["\"<bank@bank.example>\" x@evil.example"], &["bank.example", "evil.example"]);
    check(&["\"bank@bank.example\""], &["bank.example"]);
    assert!(authors(std::iter::repeat_n(&b"x@a.example"[..], 20)).domains == ["a.example"]);
    let long = "a, ".repeat(TOKENS) + "bank@bank.example";
    assert!(authors([long.as_bytes()]).are_too_many);
}

/// What one reader of mail shows as the victim's and another one as the attacker's.
#[test]
fn ambiguous_authors() {
    let ambiguous = |values: &[&[u8]]| authors(values.iter().copied()).is_ambiguous;
    let odd: [&[u8]; 18] = [
        b"CEO <ceo\xf6@bank.example>",
        b"ceo@bank\xff.example",
        b"<ceo@bank.example:eve@evil.example>",
        b"ceo@bank.example:eve@evil.example",
        b"<ceo@bank.example eve@evil.example>",
        b"<ceo@bank.example@evil.example>",
        b"ceo@bank.example@evil.example",
        b"ceo@bank.example]",
        b"ceo@bank.example/",
        b"`ceo@bank.example`",
        b"ceo@[bank.example]",
        b"(unterminated ceo@bank.example",
        b"\"unterminated ceo@bank.example",
        b"<ceo@bank.example",
        b"=?utf-8?q?ceo=40bank.example?=",
        "ceo\u{ff20}bank.example".as_bytes(),
        "ceo@bank\u{2024}example".as_bytes(),
        b"a@a.example, <ceo@bank.example@evil.example>, b@b.example",
    ];
    for value in odd {
        assert!(ambiguous(&[value]), "{}", String::from_utf8_lossy(value));
    }
    let plain: [&[u8]; 22] = [
        b" Bob <bob@example.com>\n",
        b"bob@example.com (Bob)",
        b"\"Doe, John\" <john@example.com>",
        b"=?utf-8?Q?J=C3=B6rg?= <joerg@example.com>",
        b"J\xf6rg M\xfcller <joerg@example.com>",
        b"\"J\xf6rg\" <joerg@example.com>",
        b"joe@example.org <joe@example.org>",
        b"joe@example.org via list@lists.example <list@lists.example>",
        b"\"joe@example.org\" <list@lists.example>",
        b"root (Cron Daemon) <root@example.com>",
        b"Smile :) <a@example.com>",
        b"team: a@a.example, b@b.example;",
        b"undisclosed-recipients:;",
        b"\"odd@local\"@example.com",
        b"o'neil+tag=x@example.com",
        b"bob@[192.0.2.1]",
        b"bob@[IPv6:2001:db8::1]",
        b"MAILER-DAEMON",
        b"root@localhost",
        b"",
        "b\u{fc}ro@b\u{fc}cher.example".as_bytes(),
        b"a <a@a.example>, b <b@b.example>",
    ];
    for value in plain {
        assert!(!ambiguous(&[value]), "{}", String::from_utf8_lossy(value));
    }
    let world = World::of(&[("reject.example", "v=DMARC1; p=reject")]);
    let verdict = world.check("ceo@nothing.example]", &spf(passed("nothing.example")), &Settings::default());
    assert_eq!((verdict.result, verdict.disposition), (DmarcResult::PermError, Disposition::Reject));
}

const TOKENS: usize = 4000;

#[test]
fn what_is_done() {
    let world = World {
        silent: ["_dmarc.silent.example".to_owned()].into(),
        ..World::of(&[("reject.example", "v=DMARC1; p=reject"), ("held.example", "v=DMARC1; p=quarantine")])
    };
    let check = |from: &str, outcome: Outcome, holds: bool| {
        let identifier = spf(Identifier { domain: "reject.example", outcome });
        let verdict = world.check(from, &identifier, &Settings::default());
        let measure = verdict.measure(holds);
        let done = match &measure {
            Measure::Take => "taken".to_owned(),
            Measure::Hold(why) => why.clone(),
            Measure::Refuse(reply) => reply.to_string(),
        };
        (done, verdict.method_result(&measure).render_alone())
    };
    for (from, outcome, holds, done, header) in [
        (
            "a@reject.example",
            Outcome::Fail,
            true,
            "550 5.7.1 rejected by DMARC policy for reject.example",
            "dmarc=fail (p=reject dis=reject) header.from=reject.example",
        ),
        (
            "a@reject.example",
            Outcome::TempError,
            true,
            "451 4.7.1 whether DMARC of reject.example lets it pass cannot be found out now",
            "dmarc=temperror (p=reject dis=none) reason=\"what reject.example says is not known now\" header.from=reject.example",
        ),
        (
            "a@reject.example",
            Outcome::Pass,
            true,
            "taken",
            "dmarc=pass (p=reject dis=none) header.from=reject.example",
        ),
        (
            "a@held.example",
            Outcome::Fail,
            true,
            "DMARC of held.example: quarantine",
            "dmarc=fail (p=quarantine dis=quarantine) header.from=held.example",
        ),
        (
            "a@held.example",
            Outcome::Fail,
            false,
            "taken",
            "dmarc=fail (p=quarantine dis=none) header.from=held.example",
        ),
        (
            "a@silent.example",
            Outcome::Fail,
            true,
            "taken",
            "dmarc=temperror reason=\"no answer to TXT _dmarc.silent.example\" header.from=silent.example",
        ),
        ("a@none.example", Outcome::Fail, true, "taken", "dmarc=none header.from=none.example"),
        ("nobody", Outcome::Fail, true, "taken", "dmarc=none reason=\"From names no domain\""),
        (
            "a@1.example, a@2.example, a@3.example, a@4.example, a@5.example",
            Outcome::Fail,
            true,
            "550 5.7.1 From names more than 4 domains",
            "dmarc=permerror (dis=reject) reason=\"From names more than 4 domains\" header.from=1.example",
        ),
    ] {
        assert_eq!(check(from, outcome, holds), (done.to_owned(), header.to_owned()), "{from}");
    }
}

/// A name with an empty label has no record, and those above it apply.
#[test]
fn odd_names() {
    let world = World::of(&[("bank.example", "v=DMARC1; p=none; sp=quarantine; np=reject")]);
    for author in ["x..bank.example", "a\\b.bank.example", &format!("{}.bank.example", "x".repeat(64))] {
        let from = format!("a@{}", author.replace('\\', "\\\\"));
        let verdict = world.check(&from, &Identifiers::default(), &Settings::default());
        assert_eq!(
            (verdict.result, verdict.disposition),
            (DmarcResult::Fail, Disposition::Reject),
            "{author}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }

    #[test]
    fn almost_sensible(
        from in "([a-c]@([a-d]\\.){0,9}[de][, <>:;]{0,2}){0,6}",
        records in proptest::collection::vec("(v=DMARC1; ?(p|sp|np|psd|t|pct|rua)=(reject|none|y|n|50|mailto:a@b);?|\\?|)", 0..12),
    ) {
        fuzz(format!("{from}\n{}", records.join("\n")).as_bytes());
    }

    /// Nothing but an authenticated domain of the author's own tree lets a failing message pass.
    #[test]
    fn strangers_never_pass(
        author in "([a-c]\\.){0,3}example",
        domain in "([a-c]\\.){0,3}(other|examples|xexample)",
        tags in "(p|sp|np|psd|adkim|aspf|t|pct)=(reject|y|n|r|s|0)",
    ) {
        let record = format!("v=DMARC1; p=reject; {tags}");
        let world = World::of(&[("example", &record), (author.as_str(), &record)]);
        let dkim = [passed(&domain)];
        let identifiers = Identifiers { spf: Some(passed(&domain)), dkim: &dkim };
        let verdict = world.check(&format!("x@{author}"), &identifiers, &Settings::default());
        prop_assert!(verdict.result != DmarcResult::Pass, "{:?}", verdict);
    }
}
