//! What would change if an unknown answer were another one.
//!
//! Each open question is answered otherwise on its own, the others as assumed: a list that a person can read, one
//! line for each outcome that differs. Where another answer leads to questions that weren't asked before, these are
//! answered otherwise, too. Not all combinations: nine blocklists have too many.

use super::Stand;
use super::answers::{Answerer, others};
use super::visit::Visit;
use super::walk::{Walk, walk};
use policy::{Answer, Question};

/// Open questions that are tried; more are left out, and counted.
const QUESTIONS_MAX: usize = 64;
/// Sessions that are played for it.
const WALKS_MAX: usize = 1_000;
/// Other answers at the same time.
const SUPPOSED_MAX: usize = 3;

/// One other way the session might go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otherwise {
    /// What else would have to be answered otherwise before.
    pub besides: Vec<(Question, Answer)>,
    /// What isn't known.
    pub question: Question,
    /// What it would have to be answered.
    pub answer: Answer,
    /// The command at which the session would go another way.
    pub command: String,
    /// The reply that it would get.
    pub reply: String,
    /// The session as it would go.
    pub walk: Walk,
}

/// Every other outcome that one unknown answer may lead to, each once for a question; the number of questions that
/// weren't tried.
#[must_use]
pub fn otherwise(
    stand: &Stand,
    visit: &Visit,
    answerer: &dyn Answerer,
    trunk: &Walk,
) -> (Vec<Otherwise>, usize) {
    let mut search =
        Search { stand, visit, answerer, trunk, found: Vec::new(), walks: 0, untried: 0, later: Vec::new() };
    search.untried = trunk.assumed.len().saturating_sub(QUESTIONS_MAX);
    for (question, assumed) in trunk.assumed.iter().take(QUESTIONS_MAX) {
        search.turn(&[], question, assumed);
    }
    // What only another answer led to; a session that ends early leads nowhere.
    let mut at = 0;
    while let Some((supposed, walk)) = search.later.get(at).cloned() {
        at = at.saturating_add(1);
        let is_new = |(question, _): &&(Question, Answer)| {
            !trunk.assumed.iter().chain(&supposed).any(|(known, _)| known == question)
        };
        for (question, assumed) in walk.assumed.iter().filter(is_new).take(QUESTIONS_MAX) {
            search.turn(&supposed, question, assumed);
        }
    }
    (search.found, search.untried)
}

struct Search<'a> {
    stand: &'a Stand,
    visit: &'a Visit,
    answerer: &'a dyn Answerer,
    trunk: &'a Walk,
    found: Vec<Otherwise>,
    walks: usize,
    untried: usize,
    /// Sessions that may have asked what the others didn't.
    later: Vec<(Vec<(Question, Answer)>, Walk)>,
}

impl Search<'_> {
    /// Gives one question every other answer.
    fn turn(&mut self, besides: &[(Question, Answer)], question: &Question, assumed: &Answer) {
        if self.walks >= WALKS_MAX {
            self.untried = self.untried.saturating_add(1);
            return;
        }
        let mut seen: Vec<String> = Vec::new();
        for answer in others(question, &self.stand.listener.policy) {
            if answer == *assumed {
                continue;
            }
            self.walks = self.walks.saturating_add(1);
            let supposed = [besides, &[(question.clone(), answer.clone())]].concat();
            let walk = walk(self.stand, self.visit, self.answerer, &supposed);
            if supposed.len() < SUPPOSED_MAX {
                self.later.push((supposed, walk.clone()));
            }
            let Some((command, reply)) = difference(self.trunk, &walk) else { continue };
            let told = seen.iter().any(|known| same_reply(known, &reply))
                || (!besides.is_empty() && self.found.iter().any(|known| same_reply(&known.reply, &reply)));
            if !told {
                seen.push(reply.clone());
                let (besides, question) = (besides.to_vec(), question.clone());
                self.found.push(Otherwise { besides, question, answer, command, reply, walk });
            }
        }
    }
}

/// The first command at which two sessions part, and the second one's reply.
fn difference(one: &Walk, other: &Walk) -> Option<(String, String)> {
    let mut first = one.verdicts();
    for (command, reply) in other.verdicts() {
        let same = first.next().is_some_and(|(before, known)| before == command && same_reply(known, reply));
        if !same {
            return Some((command.to_owned(), reply.to_owned()));
        }
    }
    None
}

/// Whether two replies say the same; the client's name in one is no difference.
fn same_reply(one: &str, other: &str) -> bool {
    let behind = after_client(one);
    one == other || (behind.is_some() && one.get(..9) == other.get(..9) && behind == after_client(other))
}

/// What stands behind `<name[address]>`.
fn after_client(reply: &str) -> Option<&str> {
    reply.split_once("]>: ").map(|(_, rest)| rest)
}
