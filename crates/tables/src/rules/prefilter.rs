//! Which of a table's patterns may match a text, in one pass over it.
//!
//! For each pattern a set of literals is chosen of which one stands in every match, and all literals are searched for
//! at once (Aho and Corasick); only patterns whose literals are there need be asked. Patterns without such literals
//! go together into a [`RegexSet`], the backtracking ones by a regular superset. Answers may say that a pattern is to
//! be asked that doesn't match, never the other way round.

use crate::pattern::Pattern;
use crate::pattern::literals::{self, Alternatives};
use aho_corasick::{AhoCorasick, AhoCorasickKind, StartKind, automaton::OverlappingState};
use regex::bytes::{RegexSet, RegexSetBuilder};
use std::collections::HashMap;

/// One pattern alone is asked itself; from two on one pass over the text costs less than one for each.
const WORTHWHILE: usize = 2;
/// Bytes that one set may take compiled.
const SET_BYTES_MAX: usize = 16 << 20;
/// Bytes of the set's cache of states, for each thread that asks at once.
const CACHE_BYTES_MAX: usize = 4 << 20;
/// Shorter literals stand nearly everywhere.
const LITERAL_BYTES_MIN: usize = 3;
/// Bytes of literals up to which the search is a full automaton; it takes about 250 for each.
const AUTOMATON_BYTES_MAX: usize = 64 << 10;

/// Searches over the patterns of a table.
#[derive(Debug, Default)]
pub(super) struct Prefilter {
    literals: Option<AhoCorasick>,
    /// For each literal the steps that need it.
    needing: Vec<Vec<usize>>,
    sets: Vec<Set>,
    /// For each step whether the searches know of it.
    known: Vec<bool>,
}

#[derive(Debug)]
struct Set {
    search: RegexSet,
    steps: Vec<usize>,
}

impl Prefilter {
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Prefilter {
        let patterns: Vec<&Pattern> = patterns.collect();
        let mut prefilter = Prefilter { known: vec![false; patterns.len()], ..Prefilter::default() };
        if patterns.len() < WORTHWHILE {
            return prefilter;
        }
        let supersets: Vec<_> = patterns.iter().map(|pattern| pattern.superset()).collect();
        let needed: Vec<Vec<Alternatives>> = supersets
            .iter()
            .map(|text| text.as_deref().map(literals::required).unwrap_or_default())
            .collect();
        prefilter.search_literals(&needed);
        let left: Vec<(usize, &str)> = supersets
            .iter()
            .enumerate()
            .filter(|(step, _)| !prefilter.knows(*step))
            .filter_map(|(step, text)| Some((step, text.as_deref()?)))
            .collect();
        prefilter.seat(&left);
        prefilter
    }

    /// Takes for each pattern the literals that the fewest others need: a header's name tells little, also where the
    /// others are few.
    fn search_literals(&mut self, needed: &[Vec<Alternatives>]) {
        let mut users: HashMap<&[u8], usize> = HashMap::new();
        for text in needed.iter().flatten().flatten() {
            *users.entry(text).or_default() += 1;
        }
        let commonness = |set: &Alternatives| {
            let is_name = set.iter().all(|text| text.trim_ascii_end().ends_with(b":"));
            let most = set.iter().filter_map(|text| users.get(text.as_slice()).copied()).max();
            most.unwrap_or(0).saturating_add(usize::from(is_name))
        };
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut texts: Vec<&[u8]> = Vec::new();
        for (step, sets) in needed.iter().enumerate() {
            let usable = sets.iter().filter(|set| literals::shortest(set) >= LITERAL_BYTES_MIN);
            let best = usable.min_by_key(|set| (commonness(set), std::cmp::Reverse(literals::shortest(set))));
            let Some(best) = best else { continue };
            for text in best {
                let number = *numbers.entry(text).or_insert_with(|| {
                    texts.push(text);
                    self.needing.push(Vec::new());
                    texts.len() - 1
                });
                self.needing.get_mut(number).into_iter().for_each(|steps| steps.push(step));
            }
            self.known.get_mut(step).into_iter().for_each(|known| *known = true);
        }
        if texts.is_empty() {
            return;
        }
        let small = texts.iter().map(|text| text.len()).sum::<usize>() <= AUTOMATON_BYTES_MAX;
        self.literals = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .start_kind(StartKind::Unanchored)
            .kind(Some(if small { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA }))
            .build(&texts)
            .ok();
        if self.literals.is_none() {
            self.known.fill(false);
        }
    }

    /// One set for all, or for halves where all would be too large.
    fn seat(&mut self, patterns: &[(usize, &str)]) {
        if patterns.len() < WORTHWHILE {
            return;
        }
        let built = RegexSetBuilder::new(patterns.iter().map(|(_, text)| text))
            .unicode(false)
            .size_limit(SET_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .nest_limit(250)
            .build();
        let Ok(search) = built else {
            let (first, second) = patterns.split_at(patterns.len() / 2);
            self.seat(first);
            self.seat(second);
            return;
        };
        let steps: Vec<usize> = patterns.iter().map(|(step, _)| *step).collect();
        for step in &steps {
            self.known.get_mut(*step).into_iter().for_each(|known| *known = true);
        }
        self.sets.push(Set { search, steps });
    }

    /// Whether [`Prefilter::candidates`] would name this step if it matched.
    pub(super) fn knows(&self, step: usize) -> bool {
        self.known.get(step).is_some_and(|known| *known)
    }

    /// The steps that may match, in order, of those that are known.
    pub(super) fn candidates(&self, text: &[u8]) -> Vec<usize> {
        let mut steps = Vec::new();
        if let Some(search) = &self.literals {
            let mut state = OverlappingState::start();
            // The kind of automaton that this fails for isn't built here.
            while search.try_find_overlapping(text, &mut state).is_ok() {
                let Some(found) = state.get_match() else { break };
                steps.extend(self.needing.get(found.pattern().as_usize()).into_iter().flatten());
            }
        }
        for set in &self.sets {
            let matches = set.search.matches(text);
            steps.extend(matches.iter().filter_map(|number| set.steps.get(number)));
        }
        steps.sort_unstable();
        steps.dedup();
        steps
    }
}
