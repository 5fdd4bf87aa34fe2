//! What would change if an unknown answer were another one.
//!
//! Each open question is answered otherwise on its own, the others as assumed: a list that a person can read, one
//! line for each outcome that differs. Not all combinations: nine blocklists have too many.

use super::Stand;
use super::answers::{Answerer, others};
use super::visit::Visit;
use super::walk::{Walk, walk};
use policy::{Answer, Question};

/// Open questions that are tried; more are left out, and counted.
const QUESTIONS_MAX: usize = 64;

/// One other way the session might go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otherwise {
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
    let mut found = Vec::new();
    for (question, assumed) in trunk.assumed.iter().take(QUESTIONS_MAX) {
        let mut seen: Vec<String> = Vec::new();
        for answer in others(question, &stand.listener.policy) {
            if answer == *assumed {
                continue;
            }
            let supposed = [(question.clone(), answer.clone())];
            let walk = walk(stand, visit, answerer, &supposed);
            let Some((command, reply)) = difference(trunk, &walk) else { continue };
            if !seen.iter().any(|known| same_reply(known, &reply)) {
                seen.push(reply.clone());
                found.push(Otherwise { question: question.clone(), answer, command, reply, walk });
            }
        }
    }
    (found, trunk.assumed.len().saturating_sub(QUESTIONS_MAX))
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
    one == other || (one.get(..9) == other.get(..9) && after_client(one) == after_client(other))
}

/// What stands behind `<name[address]>`.
fn after_client(reply: &str) -> Option<&str> {
    reply.split_once("]>: ").map(|(_, rest)| rest)
}
