//! Which expressions match a line beside the one that decides: reports count them all.
//!
//! Few pairs of a filter's expressions can match the same line, and those that can mostly ask for another text in it.

use super::quick::worth;
use crate::pattern::Pattern;
use memchr::memmem::Finder;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, Look};

/// Begins of an expression that are compared.
const BEGINS_MAX: usize = 64;

/// What is known of a filter's expressions.
#[derive(Debug)]
pub(super) struct Behind {
    /// For each, those behind it that may match the same ASCII text.
    rivals: Vec<Vec<usize>>,
    knows_begins: bool,
    /// Texts of which one stands wherever it matches; none where that isn't known.
    texts: Vec<Vec<Finder<'static>>>,
}

impl Behind {
    pub(super) fn new(rules: &[Pattern]) -> Behind {
        let begins: Vec<Option<Vec<Vec<u8>>>> = rules.iter().map(begins).collect();
        let meet = |one: &Vec<Vec<u8>>, other: &Vec<Vec<u8>>| {
            one.iter().any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
        };
        let rivals = |(at, one): (usize, &Option<Vec<Vec<u8>>>)| {
            let behind = begins.iter().enumerate().skip(at + 1);
            let may_too = behind.filter(|(_, other)| match (one, other) {
                (Some(one), Some(other)) => meet(one, other),
                _ => true,
            });
            may_too.map(|(at, _)| at).collect()
        };
        let texts = |pattern: &Pattern| {
            let set = pattern.required().into_iter().max_by_key(|set| worth(set)).unwrap_or_default();
            set.iter().map(|text| Finder::new(text).into_owned()).collect()
        };
        Behind {
            rivals: begins.iter().enumerate().map(rivals).collect(),
            knows_begins: begins.iter().all(|begins| begins.as_ref().is_some_and(|begins| says(begins))),
            texts: rules.iter().map(texts).collect(),
        }
    }

    /// Whether each expression says how what it matches begins.
    pub(super) fn knows_begins(&self) -> bool {
        self.knows_begins
    }

    /// Those that match behind the one that decides; all that do, where none is named.
    pub(super) fn also(&self, rules: &[Pattern], content: &[u8], decided: Option<usize>) -> Vec<usize> {
        // Letters of other languages may stand for one of them.
        let is_ascii = content.is_ascii();
        let matches = |at: usize| {
            let texts = self.texts.get(at).filter(|_| is_ascii).map_or(&[][..], Vec::as_slice);
            (texts.is_empty() || texts.iter().any(|text| text.find(content).is_some()))
                && rules.get(at).is_some_and(|rule| rule.is_match(content))
        };
        let rivals = decided.and_then(|decided| self.rivals.get(decided)).filter(|_| is_ascii);
        match rivals {
            Some(rivals) => rivals.iter().copied().filter(|at| matches(*at)).collect(),
            None => {
                (decided.map_or(0, |decided| decided + 1)..rules.len()).filter(|at| matches(*at)).collect()
            }
        }
    }
}

/// Whether they are more than a letter or two.
fn says(begins: &[Vec<u8>]) -> bool {
    begins.iter().all(|begin| begin.len() > 2)
}

/// The begins of which each text that an expression matches has one, where it says so.
fn begins(pattern: &Pattern) -> Option<Vec<Vec<u8>>> {
    let superset = pattern.superset()?;
    let form: Hir = crate::automaton::parsed(&superset, false)?;
    if !form.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let found = Extractor::new().limit_total(BEGINS_MAX).extract(&form);
    Some(found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if each were asked, on what each of them matches and on what none does.
    #[test]
    fn others_that_match() {
        let texts = [
            r"^Failed publickey for (?P<fid>\S+)",
            r"^Failed \S+ for (?P<fid>\S+)(?! x)",
            r"^[iI]nvalid user (?P<fid>\S+)",
            r"user (?P<fid>\S+)",
            r"^(?:User|Failed) .*not (?P<fid>allowed|listed)",
            r"^(?i)kay (?P<fid>\S+)",
            r"^Kay (?P<fid>a|b)",
        ];
        let rules: Vec<Pattern> =
            texts.iter().map(|text| Pattern::new(text, false).expect("an expression")).collect();
        let behind = Behind::new(&rules);
        let lines = [
            "Failed publickey for bob",
            "Failed publickey for user bob not allowed",
            "Failed password for bob not listed",
            "invalid user bob",
            "User bob not allowed",
            "Kay a",
            "Kay user \u{e9}",
            "\u{212a}ay b",
            "",
        ];
        let mut count = 0;
        for line in lines {
            let matching: Vec<usize> =
                (0..rules.len()).filter(|at| rules[*at].is_match(line.as_bytes())).collect();
            count += matching.len();
            assert_eq!(behind.also(&rules, line.as_bytes(), None), matching, "{line}");
            for (place, decided) in matching.iter().enumerate() {
                let also = behind.also(&rules, line.as_bytes(), Some(*decided));
                assert_eq!(also, matching[place + 1..], "{line}, {decided}");
            }
        }
        assert!(count > 12, "{count}");
        assert_eq!(behind.rivals[2], [3]);
    }
}
