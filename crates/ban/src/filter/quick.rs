//! What makes a filter fast: one search for texts that a line must hold, and one for all expressions at once.
//!
//! None of it decides anything: it only says which lines, and which expressions, are worth asking.

use super::Groups;
use super::behind::Behind;
use crate::automaton::{Answer, Program, States};
use crate::date::Dates;
use crate::pattern::{Pattern, Spans};
use aho_corasick::{AhoCorasick, MatchKind, packed};
use memchr::memmem::Finder;
use regex::bytes::{RegexSet, RegexSetBuilder};
use std::sync::OnceLock;

/// The end of a `prefregex` that takes all the rest as content.
const ALL_THE_REST: &str = "<F-CONTENT>.+</F-CONTENT>$";
/// Bytes that the expressions together may take, compiled, and those of their search's memory.
const SET_BYTES_MAX: usize = 16 << 20;

/// A filter's expressions, to be asked quickly.
#[derive(Debug, Default)]
pub(super) struct Quick {
    /// `prefregex` up to its content, where that is all the rest.
    head: Option<Pattern>,
    /// The same, to be walked.
    walked_head: Walked,
    walked: Walked,
    rules: Vec<Pattern>,
    /// All `failregex` together, those that aren't regular as something wider; made when it is asked.
    together: OnceLock<Option<RegexSet>>,
    behind: OnceLock<Behind>,
}

/// Expressions as one automaton: for ASCII, and for texts with other characters. Each is made when it is asked.
#[derive(Debug, Default)]
struct Walked {
    patterns: Vec<Pattern>,
    forms: [OnceLock<Option<Form>>; 2],
}

/// An automaton, and the groups of each of its expressions.
type Form = (Program, Vec<Groups>);

/// What a reader remembers of a filter's automata: states of the prefix's two, of the other expressions' two.
#[derive(Debug, Default)]
pub(super) struct Ways([States; 4]);

/// What became of `prefregex`.
pub(super) enum Head<'w> {
    Missed,
    /// Its groups, where they are, and where the content begins.
    Found(&'w Groups, &'w States, usize),
    /// The expression itself has to be asked.
    Unsaid,
}

/// Which expression matches first.
pub(super) enum Pick<'w> {
    Missed,
    Found(usize, &'w Groups, &'w States),
    /// They have to be asked themselves.
    Unsaid,
}

impl Walked {
    fn new(patterns: Vec<Pattern>) -> Walked {
        Walked { patterns, forms: Default::default() }
    }

    fn form(&self, is_unicode: bool) -> Option<&Form> {
        let form = self.forms.get(usize::from(is_unicode))?;
        let made = form.get_or_init(|| {
            let texts = self.patterns.iter().map(|pattern| (pattern.translated(), pattern.superset()));
            let program = Program::new(texts, is_unicode)?;
            let groups = |rule| Groups::of(program.names(rule).iter().map(|name| &**name).enumerate());
            let groups = (0..self.patterns.len()).map(groups).collect();
            Some((program, groups))
        });
        made.as_ref()
    }

    fn find<'w>(&'w self, text: &[u8], states: &'w mut [States]) -> Pick<'w> {
        if self.patterns.is_empty() {
            return Pick::Unsaid;
        }
        let is_unicode = !text.is_ascii();
        let states = states.get_mut(usize::from(is_unicode));
        let (Some((program, groups)), Some(states)) = (self.form(is_unicode), states) else {
            return Pick::Unsaid;
        };
        match states.run(program, text) {
            Answer::Nothing => Pick::Missed,
            Answer::Rule(rule) if program.is_exact(rule) => match groups.get(rule) {
                Some(groups) => Pick::Found(rule, groups, states),
                None => Pick::Unsaid,
            },
            Answer::Rule(_) | Answer::Unsaid => Pick::Unsaid,
        }
    }
}

impl Quick {
    pub(super) fn new(prefix: &str, rules: &[&Pattern]) -> Quick {
        let head = prefix.strip_suffix(ALL_THE_REST).filter(|head| !has_choice(head));
        let head = head.and_then(|head| Pattern::new(head, false).ok());
        let rules: Vec<Pattern> = rules.iter().map(|rule| (*rule).clone()).collect();
        let walked_head = Walked::new(head.iter().cloned().collect());
        let walked = Walked::new(rules.clone());
        Quick { head, walked_head, walked, rules, ..Quick::default() }
    }

    /// Where `prefregex` matches, and where the content begins.
    pub(super) fn head<'w>(&'w self, line: &[u8], ways: &'w mut Ways) -> Head<'w> {
        let states = ways.0.get_mut(..2).unwrap_or_default();
        match self.walked_head.find(line, states) {
            Pick::Missed => Head::Missed,
            Pick::Found(_, groups, states) if is_content(line, states.end()) => {
                Head::Found(groups, states, states.end())
            }
            _ => Head::Unsaid,
        }
    }

    /// The same by the expressions themselves. Where only all of `prefregex` can say, the content's begin isn't told.
    pub(super) fn prefix(&self, line: &[u8], whole: &Pattern) -> Option<(Spans, Option<usize>)> {
        if let Some(head) = &self.head {
            let spans = head.find_likely(line)?;
            let (_, end) = spans.get(0)?;
            if is_content(line, end) {
                return Some((spans, Some(end)));
            }
        }
        Some((whole.find(line)?, None))
    }

    /// The first expression that matches.
    pub(super) fn pick<'w>(&'w self, content: &[u8], ways: &'w mut Ways) -> Pick<'w> {
        self.walked.find(content, ways.0.get_mut(2..).unwrap_or_default())
    }

    /// The expressions that match beside the one that decides; all that do, where none is named.
    pub(super) fn also(&self, content: &[u8], decided: Option<usize>) -> Vec<usize> {
        self.behind().also(&self.rules, content, decided)
    }

    /// Whether each expression says how what it matches begins: the walk along a line soon knows that none does.
    pub(super) fn ends_soon(&self) -> bool {
        self.behind().knows_begins()
    }

    fn behind(&self) -> &Behind {
        self.behind.get_or_init(|| Behind::new(&self.rules))
    }

    /// The expressions that may match, in their order; all, where nothing is known.
    pub(super) fn rules(&self, content: &[u8], count: usize) -> Vec<usize> {
        let together = self.together.get_or_init(|| {
            let each: Option<Vec<String>> = self.rules.iter().map(Pattern::superset).collect();
            each.filter(|each| each.len() > 1).and_then(|each| {
                let mut builder = RegexSetBuilder::new(each);
                builder.unicode(false).size_limit(SET_BYTES_MAX);
                builder.dfa_size_limit(SET_BYTES_MAX).nest_limit(250).build().ok()
            })
        });
        match together {
            Some(set) if content.is_ascii() => set.matches(content).into_iter().collect(),
            _ => (0..count).collect(),
        }
    }
}

/// Whether all behind is content. Less than a character of it: another way to match may leave more.
fn is_content(line: &[u8], end: usize) -> bool {
    end < line.len() && memchr::memchr(b'\n', line).is_none()
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

/// Texts of which a line must hold one.
type Texts = Option<Vec<Vec<u8>>>;

/// The texts that a line must hold for its prefix to match, and those for all of it, if there is such a set worth
/// searching for.
pub(super) fn needed(prefix: Option<&Pattern>, rules: &[&Pattern], dates: &Dates) -> (Texts, Texts) {
    let of_prefix = prefix.and_then(|pattern| best(pattern, dates));
    let of_rules: Option<Vec<_>> = rules.iter().map(|pattern| best(pattern, dates)).collect();
    let of_rules = of_rules.filter(|sets| !sets.is_empty()).map(|sets| sets.concat());
    let both = [of_prefix.clone(), of_rules].into_iter().flatten().max_by_key(|set| worth(set));
    (of_prefix, both)
}

/// Texts that one instruction each compares many bytes with.
const FEW: usize = 32;

/// A search for any of some texts.
#[derive(Debug)]
pub(super) enum Search {
    One(Finder<'static>),
    Few(packed::Searcher),
    Many(AhoCorasick),
}

impl Search {
    /// Where the first of them begins that stands in a text.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Search::One(one) => one.find(text),
            Search::Few(few) => few.find(text).map(|found| found.start()),
            Search::Many(many) => many.find(text).map(|found| found.start()),
        }
    }

    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.find(text).is_some()
    }
}

/// A search for any of some texts; nothing, where that is too much.
pub(super) fn search(mut set: Vec<Vec<u8>>) -> Option<Search> {
    set.sort_by_key(Vec::len);
    // What holds another text of the set is found by that one.
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for text in set {
        if !kept.iter().any(|short| text.windows(short.len()).any(|part| part == short.as_slice())) {
            kept.push(text);
        }
    }
    if let [one] = kept.as_slice() {
        return Some(Search::One(Finder::new(one).into_owned()));
    }
    let mut few = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
    match few.extend(&kept).build().filter(|_| kept.len() <= FEW) {
        Some(few) => Some(Search::Few(few)),
        None => {
            let many = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(kept);
            many.ok().map(Search::Many)
        }
    }
}

/// How rarely the commonest text of a set should stand in a log: digits and signs are rarer than words.
pub(super) fn worth(set: &[Vec<u8>]) -> usize {
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
