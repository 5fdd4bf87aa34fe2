//! Which of many regular patterns match, in one pass over the text.

use crate::pattern::Pattern;
use regex::bytes::{RegexSet, RegexSetBuilder, SetMatches};

/// Fewer patterns than this are asked one by one.
const WORTHWHILE: usize = 8;
/// Bytes that one set may take compiled.
const SET_BYTES_MAX: usize = 64 << 20;
/// Bytes of the set's cache of states, for each thread that asks at once.
const CACHE_BYTES_MAX: usize = 16 << 20;

/// Sets over the regular patterns of a table.
#[derive(Debug, Default)]
pub(super) struct Prefilter {
    sets: Vec<RegexSet>,
    /// For each step the set and the number in it.
    seats: Vec<Option<(usize, usize)>>,
}

/// What the sets say about one text.
pub(super) struct Answers<'p> {
    seats: &'p [Option<(usize, usize)>],
    matches: Vec<SetMatches>,
}

/// What is known about one step.
pub(super) enum Known {
    Matches,
    Differs,
    /// The pattern itself must be asked.
    Ask,
}

impl Prefilter {
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Prefilter {
        let texts: Vec<Option<&str>> = patterns.map(Pattern::regular_text).collect();
        let regular: Vec<(usize, &str)> =
            texts.iter().enumerate().filter_map(|(step, text)| text.map(|text| (step, text))).collect();
        let mut prefilter = Prefilter { sets: Vec::new(), seats: vec![None; texts.len()] };
        prefilter.seat(&regular);
        prefilter
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
        let Ok(set) = built else {
            let (first, second) = patterns.split_at(patterns.len() / 2);
            self.seat(first);
            self.seat(second);
            return;
        };
        for (number, (step, _)) in patterns.iter().enumerate() {
            if let Some(seat) = self.seats.get_mut(*step) {
                *seat = Some((self.sets.len(), number));
            }
        }
        self.sets.push(set);
    }

    pub(super) fn ask(&self, text: &[u8]) -> Answers<'_> {
        Answers { seats: &self.seats, matches: self.sets.iter().map(|set| set.matches(text)).collect() }
    }
}

impl Answers<'_> {
    pub(super) fn about(&self, step: usize) -> Known {
        let seat = self.seats.get(step).copied().flatten();
        let set = seat.and_then(|(set, number)| Some((self.matches.get(set)?, number)));
        match set {
            Some((matches, number)) if matches.matched(number) => Known::Matches,
            Some(_) => Known::Differs,
            None => Known::Ask,
        }
    }
}
