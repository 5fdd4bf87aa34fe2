//! Look-ups against their definition, walking through the lines in order; literals and supersets on their own.

use super::{Action, Rules, Syntax, parse};
use crate::catalogue::Substitution;
use crate::pattern::{Pattern, PerlFlags, literals};
use crate::source::Source;
use proptest::prelude::*;
use std::path::Path;

fn table(text: &str, syntax: Syntax) -> Rules {
    parse(&Source::new(Path::new("/t"), text.as_bytes().to_vec()), "/t", (syntax, Substitution::Done)).0
}

/// regexp_table(5) and pcre_table(5) word for word.
fn walk(rules: &Rules, key: &str) -> Option<String> {
    let mut at = 0;
    while let Some(step) = rules.steps.get(at) {
        let holds = step.pattern.is_match(key.as_bytes()).expect("a short key") != step.negated;
        at = match &step.action {
            Action::Result(template) if holds => {
                let groups = step.groups(key.as_bytes()).expect("a short key");
                return Some(template.fill(key, &groups));
            }
            Action::If(behind) if !holds => *behind,
            _ => at + 1,
        };
    }
    None
}

fn found(rules: &Rules, key: &str) -> Option<String> {
    rules.find(key).expect("a short key").map(|found| found.value.into_owned())
}

/// Pieces of patterns with and without literals, in a small alphabet so that they meet.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[abcd]{1,4}",
        1 => Just("^".to_owned()),
        1 => Just("$".to_owned()),
        1 => Just(".*".to_owned()),
        1 => Just("[a-d]".to_owned()),
        1 => Just("[AB]+".to_owned()),
        1 => "\\([abcd]{1,3}\\|[abcd]{2,3}\\)[?+*]?",
        1 => "\\([abcd]{3,4}\\|[abcd]{3,4}\\.\\*\\)",
        1 => "[abcd]{3}\\{2,3\\}",
        1 => "\\(\\.\\*[abcd]{1,2}\\)",
        1 => "\\([abcd]{1,2}\\.\\*[abcd]{0,2}\\)[?+]?",
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

/// What only a backtracking engine does.
fn fancy() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[abcd]{1,3}",
        1 => "\\(\\?[=!][abcd]{1,2}(\\.\\*)?\\)",
        1 => "\\(\\?<[=!][abcd]{1,2}\\)",
        1 => Just("(a|b)\\1".to_owned()),
        1 => Just("(?<n>c)\\k<n>".to_owned()),
        1 => Just("(a)?b(?(1)c|d)".to_owned()),
        1 => Just("(c)?(?(1)abc)".to_owned()),
        1 => Just("(?>a|ab)".to_owned()),
        1 => Just("[a-c]++".to_owned()),
        1 => Just("a\\Kb".to_owned()),
        1 => Just("(?i:ABC)".to_owned()),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

fn text(patterns: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((patterns, 0_u8..20, prop::bool::weighted(0.2)), 1..40).prop_map(|lines| {
        let mut text = String::new();
        for (number, (pattern, kind, negated)) in lines.into_iter().enumerate() {
            let not = if negated { "!" } else { "" };
            text.push_str(&match kind {
                0..3 => format!("if {not}/{pattern}/\n"),
                3..6 => "endif\n".to_owned(),
                6 if !negated => format!("/({pattern})/ r{number} $1\n"),
                // Negated rules match nearly everything: fewer of them.
                _ if number % 4 > 0 => format!("/{pattern}/ r{number}\n"),
                _ => format!("{not}/{pattern}/ r{number}\n"),
            });
        }
        text
    })
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-dA-D]{0,14}", 12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn the_first_rule_that_matches_answers(text in text(pattern()), keys in keys()) {
        for syntax in [Syntax::Posix, Syntax::Perl] {
            let rules = table(&text, syntax);
            for key in &keys {
                prop_assert_eq!(found(&rules, key), walk(&rules, key), "{} in\n{}", key, text);
            }
        }
    }

    #[test]
    fn backtracking_rules_too(text in text(fancy()), keys in keys()) {
        let rules = table(&text, Syntax::Perl);
        for key in &keys {
            prop_assert_eq!(found(&rules, key), walk(&rules, key), "{} in\n{}", key, text);
        }
    }

    #[test]
    fn a_match_has_what_is_required(pattern in prop_oneof![pattern(), fancy()], keys in keys()) {
        let Ok(pattern) = Pattern::perl(&pattern, PerlFlags::default()) else { return Ok(()) };
        let superset = pattern.superset().expect("each of these has one");
        let regular = regex::bytes::RegexBuilder::new(&superset).unicode(false).build().expect("regular");
        let required = literals::required(&superset);
        for key in keys.iter().filter(|key| pattern.is_match(key.as_bytes()) == Ok(true)) {
            prop_assert!(regular.is_match(key.as_bytes()), "{} doesn't match {}", superset, key);
            let lower = key.to_ascii_lowercase();
            for set in &required {
                let has = |text: &Vec<u8>| lower.as_bytes().windows(text.len()).any(|piece| piece == text);
                prop_assert!(set.iter().any(has), "{:?} not in {}", set, key);
            }
        }
    }
}

#[test]
fn literals_of_header_checks() {
    fn check(pattern: &str, expect: &[&[&str]]) {
        let pattern = Pattern::perl(pattern, PerlFlags::default()).expect(pattern);
        let required = literals::required(&pattern.superset().expect("regular"));
        let shown: Vec<Vec<String>> = required
            .iter()
            .map(|set| set.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
            .collect();
        assert_eq!(shown, expect, "{pattern:?}");
    }
    check("^Subject:.*Viagra", &[&["subject:"], &["viagra"]]);
    check("^Received:.*\\.bad\\.example", &[&["received:"], &[".bad.example"]]);
    check("^(To|Cc):.*(cheap|free) +pills", &[&["to:", "cc:"], &["cheap", "free"], &[" "], &["pills"]]);
    check("(one|two.*three|four[0-9]+)", &[&["one", "three", "four"]]);
    check("colou?r$", &[&["colour", "color"]]);
    check("(?!no)yes(?<=s)[[:digit:]]", &[&["yes"]]);
    check("(abc)+d", &[&["abc"], &["d"]]);
    check("(abc)*d?", &[]);
    check("name=\"?(.*\\.exe)\"?", &[&["name=\"", "name="], &[".exe"]]);
    check("a(b.*c)d", &[&["a"], &["b"], &["c"], &["d"]]);
    check("a|.*", &[]);
    check("", &[]);
}

/// The rules that are asked themselves about a text.
fn asked(rules: &Rules, key: &str) -> usize {
    let mut steps = rules.prefilter.candidates(key.as_bytes());
    steps.extend(&rules.always);
    steps.sort_unstable();
    steps.dedup();
    steps.len()
}

/// A line costs one pass, whatever the number of patterns: only those are asked whose words it has.
#[test]
fn few_patterns_are_searched_for_together_as_many_are() {
    let offers = |count: usize| -> String {
        let line = |number: usize| match number % 4 {
            0 => format!("/^Subject: .*offer{number:03}/ r\n"),
            1 => format!("/(buy|order|get) +offer{number:03} *(now|today)/ r\n"),
            2 => format!("/offer{number:03}[0-9]+\\.(com|net|example)/ r\n"),
            _ => format!("/cheap.*offer{number:03}.*[!$]+/ r\n"),
        };
        (0..count).map(line).collect()
    };
    let without = "Subject: minutes of the meeting, and what was offered there for $3!";
    for count in [2, 3, 5, 7, 8, 9, 50, 500] {
        let rules = table(&offers(count), Syntax::Posix);
        assert_eq!(rules.len(), count);
        assert_eq!(asked(&rules, without), 0, "{count}");
        assert_eq!(asked(&rules, "Subject: buy OFFER001 now"), 1, "{count}");
        assert_eq!(found(&rules, "Subject: buy OFFER001 now").as_deref(), Some("r"));
    }
    // Where nothing must stand in a match, one set is asked for all.
    for count in [2, 7, 8] {
        let text: String = (0..count).map(|n| format!("/[0-9]{{{}}}[a-z]?$/ r{n}\n", 30 - n)).collect();
        let rules = table(&text, Syntax::Posix);
        assert_eq!(asked(&rules, "number 123456"), 0, "{count}");
        assert_eq!(asked(&rules, "no 123456789012345678901234567890"), count, "{count}");
    }
}

#[test]
fn a_table_that_says_whose_rights_are_taken_substitutes_nothing() {
    let text = "/^(a.*)@/ boxes/$1\n/^b(.*)@/ fixed/\n/^a/ other/\n";
    let source = Source::new(Path::new("/t"), text.as_bytes().to_vec());
    for syntax in [Syntax::Posix, Syntax::Perl] {
        let (rules, notices) = parse(&source, "/t", (syntax, Substitution::Refused));
        let find = |key: &str| rules.find(key).ok().flatten().map(|found| found.value.into_owned());
        assert_eq!(find("a../../x@v.test").as_deref(), Some("other/"));
        assert_eq!(find("b@v.test").as_deref(), Some("fixed/"));
        assert_eq!(
            notices.iter().map(|notice| notice.text.as_str()).collect::<Vec<_>>(),
            ["regular expression substitution is not allowed: skipping this rule"]
        );
    }
}
