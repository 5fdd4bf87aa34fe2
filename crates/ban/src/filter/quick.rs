//! What makes a filter fast: one search for texts that a line must hold, and one for all expressions at once.
//!
//! None of it decides anything: it only says which lines, and which expressions, are worth asking.

use crate::date::Dates;
use crate::pattern::{Pattern, Spans};
use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{RegexSet, RegexSetBuilder};

/// The end of a `prefregex` that takes all the rest as content.
const ALL_THE_REST: &str = "<F-CONTENT>.+</F-CONTENT>$";
/// Bytes that the expressions together may take, compiled, and those of their search's memory.
const SET_BYTES_MAX: usize = 16 << 20;

/// A filter's expressions, to be asked quickly.
#[derive(Debug, Default)]
pub(super) struct Quick {
    /// `prefregex` up to its content, where that is all the rest.
    head: Option<Pattern>,
    /// All `failregex` together, those that aren't regular as something wider.
    together: Option<RegexSet>,
}

impl Quick {
    pub(super) fn new(prefix: &str, rules: &[&Pattern]) -> Quick {
        let head = prefix.strip_suffix(ALL_THE_REST).filter(|head| !has_choice(head));
        let head = head.and_then(|head| Pattern::new(head, false).ok());
        let each: Option<Vec<String>> = rules.iter().map(|rule| rule.superset()).collect();
        let together = each.filter(|each| each.len() > 1).and_then(|each| {
            let mut builder = RegexSetBuilder::new(each);
            builder.unicode(false).size_limit(SET_BYTES_MAX).dfa_size_limit(SET_BYTES_MAX).nest_limit(250);
            builder.build().ok()
        });
        Quick { head, together }
    }

    /// Where `prefregex` matches, as far as groups before its content go, and where the content begins. `None` where
    /// only the expression itself can say; an inner `None` where it doesn't match.
    pub(super) fn prefix(&self, line: &[u8]) -> Option<Option<(Spans, usize)>> {
        let Some(spans) = self.head.as_ref()?.find_likely(line) else { return Some(None) };
        let (_, end) = spans.get(0)?;
        // Less than a character of content: another way to match may leave more.
        let is_content = end < line.len() && !line.contains(&b'\n');
        is_content.then_some(Some((spans, end)))
    }

    /// The expressions that may match, in their order; all, where nothing is known.
    pub(super) fn rules(&self, content: &[u8], count: usize) -> Vec<usize> {
        match &self.together {
            Some(set) if content.is_ascii() => set.matches(content).into_iter().collect(),
            _ => (0..count).collect(),
        }
    }
}

/// Whether `|` stands outside all groups: what is cut off behind it would belong to one branch only.
fn has_choice(head: &str) -> bool {
    let mut depth = 0_i32;
    let mut rest = head.chars();
    let mut is_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            '[' => is_class = true,
            ']' => is_class = false,
            '(' if !is_class => depth += 1,
            ')' if !is_class => depth -= 1,
            '|' if !is_class && depth <= 0 => return true,
            _ => {}
        }
    }
    false
}

/// The texts of which a line must hold one, if there is such a set worth searching for.
pub(super) fn wanted(prefix: Option<&Pattern>, rules: &[&Pattern], dates: &Dates) -> Option<AhoCorasick> {
    let of_prefix = prefix.and_then(|pattern| best(pattern, dates));
    let of_rules: Option<Vec<_>> = rules.iter().map(|pattern| best(pattern, dates)).collect();
    let of_rules = of_rules.filter(|sets| !sets.is_empty()).map(|sets| sets.concat());
    let mut set = [of_prefix, of_rules].into_iter().flatten().max_by_key(|set| worth(set))?;
    set.sort_by_key(Vec::len);
    // What holds another text of the set is found by that one.
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for text in set {
        if !kept.iter().any(|short| text.windows(short.len()).any(|part| part == short.as_slice())) {
            kept.push(text);
        }
    }
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(kept).ok()
}

/// How rarely the commonest text of a set should stand in a log: digits and signs are rarer than words.
fn worth(set: &[Vec<u8>]) -> usize {
    let rarity = |text: &Vec<u8>| {
        let rare = text.iter().filter(|byte| !byte.is_ascii_lowercase() && !b" -:".contains(byte)).count();
        text.len() + 8 * rare
    };
    set.iter().map(rarity).min().unwrap_or(0)
}

/// The set of texts that tells most about an expression; what a date's cutting out may have joined is taken apart.
fn best(pattern: &Pattern, dates: &Dates) -> Option<Vec<Vec<u8>>> {
    let apart = |set: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        if dates.is_at_begin {
            // At most two characters, no letters, stand before the date.
            let within = |text: Vec<u8>| {
                let before = text.iter().take(2).take_while(|b| !b.is_ascii_alphanumeric()).count();
                text.get(before..).unwrap_or_default().to_vec()
            };
            return set.into_iter().map(within).collect();
        }
        set.iter().flat_map(|text| text.chunks(text.len().div_ceil(2).max(1)).map(<[u8]>::to_vec)).collect()
    };
    let sets = pattern.required().into_iter().map(apart);
    // A text with a line's end in it would hide the lines that it joins.
    let is_usable = |text: &Vec<u8>| text.len() >= 3 && !text.contains(&b'\n');
    sets.filter(|set| set.iter().all(is_usable)).max_by_key(|set| worth(set))
}
