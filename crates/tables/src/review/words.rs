//! The restrictions and classes that a result may name, and the word that a misspelt one is nearest to.

use super::actions::ACCESS;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// Distinct misspelt words for which the nearest is looked for.
const ASKED_MAX: usize = 64;

/// Known words, in lower case.
#[derive(Debug, Default)]
pub(super) struct Words {
    known: HashSet<String>,
    asked: RefCell<HashMap<String, Option<String>>>,
}

impl Words {
    pub(super) fn new(known: &[String]) -> Words {
        let known = known.iter().map(|word| word.to_ascii_lowercase()).collect();
        Words { known, asked: RefCell::default() }
    }

    pub(super) fn contains(&self, word: &str) -> bool {
        self.known.contains(word)
    }

    /// The action or restriction that `word` is most likely meant to be.
    pub(super) fn nearest(&self, word: &str) -> Option<String> {
        let mut asked = self.asked.borrow_mut();
        if let Some(answer) = asked.get(word) {
            return answer.clone();
        }
        if asked.len() >= ASKED_MAX {
            return None;
        }
        let mut known: Vec<String> = self.known.iter().cloned().collect();
        known.sort_unstable();
        let actions = ACCESS.map(str::to_ascii_lowercase);
        let near = nearest(word, actions.iter().chain(&known).map(String::as_str)).map(|near| {
            if actions.iter().any(|action| action == near) {
                near.to_ascii_uppercase()
            } else {
                near.to_owned()
            }
        });
        asked.insert(word.to_owned(), near.clone());
        near
    }
}

/// The candidate that is like enough: one wrong letter for each four, three at most.
pub(super) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 4).clamp(1, 3);
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters to add, drop, change or swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = at(&last, j) + usize::from(x != y);
            let mut best = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}
