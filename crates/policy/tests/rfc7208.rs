//! The community's test suite for RFC 7208, played from its YAML file.
//!
//! `RFC7208_TESTS=…/rfc7208-tests.yml cargo test -p policy --test rfc7208` (the file comes with pyspf, for one); it
//! isn't kept here. Without a path the test says that it was skipped.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test of a file that is given")]

use mail::Wall;
use policy::spf::{self, Sender, Settings};
use policy::{Answer, Need, Question, Record, RecordKind};
use std::collections::BTreeMap;
use yaml_rust2::{Yaml, YamlLoader};

const DEFAULT: &str = "DEFAULT";

fn words(yaml: &Yaml) -> Vec<String> {
    match yaml {
        Yaml::Array(list) => list.iter().flat_map(words).collect(),
        Yaml::Integer(number) => vec![number.to_string()],
        Yaml::Real(text) | Yaml::String(text) => vec![text.clone()],
        Yaml::Boolean(value) => vec![value.to_string()],
        _ => Vec::new(),
    }
}

/// What a name server with `zone` says.
fn answer(zone: &BTreeMap<String, Yaml>, name: &str, kind: RecordKind, depth: u8) -> Answer {
    let Some(entries) = zone.get(name).and_then(Yaml::as_vec) else { return Answer::NoName };
    let of = |wanted: &str| -> Vec<&Yaml> {
        entries
            .iter()
            .filter_map(Yaml::as_hash)
            .filter_map(|one| one.get(&Yaml::String(wanted.into())))
            .collect()
    };
    if let Some(alias) = of("CNAME").first().and_then(|alias| words(alias).into_iter().next()) {
        let looped = Answer::Unavailable("a loop of aliases".into());
        return if depth > 8 { looped } else { answer(zone, &alias.to_ascii_lowercase(), kind, depth + 1) };
    }
    let host = |host: &Yaml| words(host).join("");
    let records: Vec<Record> = match kind {
        RecordKind::A => of("A").iter().map(|one| Record::A(host(one).parse().unwrap())).collect(),
        RecordKind::Aaaa => of("AAAA").iter().map(|one| Record::Aaaa(host(one).parse().unwrap())).collect(),
        RecordKind::Ptr => of("PTR").iter().map(|one| Record::Ptr(host(one))).collect(),
        RecordKind::Mx => {
            let exchanger = |one: &&Yaml| {
                let words = words(one);
                let [preference, rest @ ..] = words.as_slice() else { panic!("no MX: {one:?}") };
                Record::Mx { preference: preference.parse().unwrap(), host: rest.join("") }
            };
            of("MX").iter().map(exchanger).collect()
        }
        RecordKind::Txt => {
            // Since RFC 7208 there is no type SPF: what the suite gives as such is a TXT record where none is given.
            let texts = if of("TXT").is_empty() { of("SPF") } else { of("TXT") };
            texts.iter().map(|one| host(one)).filter(|text| text != "NONE").map(Record::Txt).collect()
        }
        _ => panic!("{kind:?} is not asked"),
    };
    if !records.is_empty() {
        return Answer::Records(records);
    }
    let silent = entries.iter().any(|entry| entry.as_str() == Some("TIMEOUT"));
    if silent { Answer::Unavailable("timed out".into()) } else { Answer::NoRecords }
}

fn run(case: &Yaml, zone: &BTreeMap<String, Yaml>) -> spf::Verdict {
    let mut facts = spf::without_tables();
    let text = |name: &str| words(&case[name]).join("");
    let (helo, from) = (text("helo"), text("mailfrom"));
    let sender = Sender::mail_from(text("host").parse().unwrap(), &helo, &from);
    let settings = Settings { void_limit: 2, receiver: "unknown", now: Wall::from_seconds(1_700_000_000) };
    for _ in 0..500 {
        match spf::check(&sender, &settings, &facts) {
            Ok(verdict) => return verdict,
            Err(Need(question)) => {
                let Question::Dns { name, kind } = &question else { panic!("{question:?}") };
                let answer = answer(zone, name, *kind, 0);
                facts.learn(question, answer);
            }
        }
    }
    panic!("no end of questions");
}

#[test]
fn the_suite() {
    let Some(path) = std::env::var_os("RFC7208_TESTS") else {
        eprintln!("skipped: RFC7208_TESTS names no rfc7208-tests.yml");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let (mut played, mut wrong) = (0, Vec::new());
    for scenario in YamlLoader::load_from_str(&text).unwrap() {
        let zone = scenario["zonedata"].as_hash().unwrap().iter();
        let zone = zone
            .map(|(name, entries)| (words(name).join("").to_ascii_lowercase(), entries.clone()))
            .collect();
        for (name, case) in scenario["tests"].as_hash().unwrap() {
            let verdict = run(case, &zone);
            played += 1;
            let expect = words(&case["result"]);
            let explained = verdict.explanation.as_deref().unwrap_or(DEFAULT);
            let wanted = words(&case["explanation"]).join("");
            if !expect.iter().any(|one| one == verdict.result.name())
                || (!wanted.is_empty() && wanted != explained)
            {
                wrong.push(format!("{}: {verdict:?}, not {expect:?} {wanted:?}", words(name).join("")));
            }
        }
    }
    eprintln!("{played} cases played");
    assert!(played > 150, "only {played} cases in it");
    assert!(wrong.is_empty(), "{} of {played} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
