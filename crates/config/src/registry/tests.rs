//! The rows and their sentences: complete, sorted, and each said once.

use super::*;
use std::collections::HashSet;

#[test]
fn rows_are_sorted_and_there_once() {
    let mut seen = HashSet::new();
    for file in FILES {
        assert!(file.is_sorted_by(|a, b| a.name < b.name), "{:?}", file.first().map(|row| row.name));
        for row in file {
            assert!(seen.insert(row.name), "{}", row.name);
            let version = |v: &&str| v.split_once('.').is_some_and(|(a, b)| number_of(a) && number_of(b));
            assert!(
                row.since.is_none_or(|v| version(&v)) && row.until.is_none_or(|v| version(&v)),
                "{}",
                row.name
            );
        }
    }
}

fn number_of(text: &str) -> bool {
    text.parse::<u8>().is_ok()
}

#[test]
fn each_row_has_a_sentence() {
    for (rows, sentences) in FILES.into_iter().zip(sentences::FILES) {
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        let told: Vec<&str> = sentences.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, told);
    }
    let mut said = HashSet::new();
    let parameters = all().map(|row| (row.name.to_owned(), row.sentence()));
    let derived = derived_examples().map(|(name, derived)| (name, derived.sentence));
    for (name, sentence) in parameters.chain(derived) {
        assert_eq!(sentence_fault(sentence), None, "{name}: {sentence}");
        assert!(said.insert(sentence), "said twice: {sentence}");
    }
}

#[test]
fn faults_are_seen() {
    let check =
        |sentence: &str, expect: Option<&str>| assert_eq!(sentence_fault(sentence), expect, "{sentence}");
    check("Most bytes of a message here.", None);
    check("Most bytes of a message here", Some("no full stop"));
    check("Most bytes.", Some("too few or many words"));
    check("most bytes of a message here.", Some("begins in lower case"));
    check("Most bytes  of a message.", Some("white space"));
    check(&format!("{} a b c d.", "A".repeat(200)), Some("too long"));
}

/// postconf(5) of 3.11.0 has 921 names. 27 of them are of services (`derived`: 17 as `transport_…`, five services'
/// concurrency and recipient limits), and `domain_to_ascii` is a function.
#[test]
fn all_of_3_11_are_there() {
    let of_3_11 = |row: &&Parameter| {
        let own = row.name.starts_with("komainu_");
        let newer = row.since == Some("3.12");
        !own && !newer && !GONE_FROM_3_11.contains(&row.name)
    };
    assert_eq!(all().filter(of_3_11).count(), 921 - 27 - 1);
    assert_eq!(derived_suffixes().count(), 17);
    for name in GONE_FROM_3_11 {
        assert!(find(name).is_some_and(|row| row.obsolete.is_some() && row.until.is_some()), "{name}");
    }
}

/// Named in documents of earlier versions only.
const GONE_FROM_3_11: [&str; 8] = [
    "connection_cache_service",
    "lmtp_sasl_auth_enforce",
    "nullmx_reject_code",
    "program_directory",
    "qmgr_site_hog_factor",
    "smtp_break_lines",
    "smtp_connection_cache_reuse_limit",
    "smtp_sasl_auth_enforce",
];
