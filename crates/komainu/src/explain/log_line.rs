//! From a log line back to the rule that made it.
//!
//! The line tells the client, HELO, sender, recipient and the reply. The session is made up from them and played;
//! the rule is the step whose reply is the logged one, under what is known or under one other answer (a name that
//! didn't resolve that day, a blocklist that had the client). A rule that isn't in the configuration any more can't
//! be found: then the nearest reply is told. Reading the line is `logged`'s.

use super::Stand;
use super::answers::Answerer;
pub use super::logged::{BadLine, Logged, parse};
use super::outcomes::otherwise;
use super::visit::{Nameless, Visit};
use super::walk::{Told, Walk, walk};
use events::Event;
use events::check::Action;
use policy::{Answer, MailEffect, Outcome, Question, UNKNOWN};

/// What the configuration says to a logged line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The check; `None` where no list said it, but the conversation itself, or a recipient's transport.
    pub told: Option<Told>,
    /// What must have been answered, where it isn't known.
    pub supposed: Vec<(Question, Answer)>,
    /// The session.
    pub walk: Walk,
    /// Why the client can have been `unknown`; empty where it had a name.
    pub nameless: Vec<Nameless>,
}

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// There is such a rule.
    Found(Box<Found>),
    /// No rule makes this line.
    Nothing {
        /// The reply most like it that such a session can get, and what refuses so.
        nearest: Option<(String, String)>,
        /// What such a session is answered, as far as is known.
        now: Option<String>,
    },
}

/// The check that makes the logged line.
#[must_use]
pub fn find(stand: &Stand, logged: &Logged, answerer: &dyn Answerer) -> Search {
    let mut hits: Vec<(Nameless, Found)> = Vec::new();
    let mut nearest = Nearest { logged: &logged.reply, best: None };
    let mut now = None;
    let is_nameless = logged.visit.name.as_deref() == Some(UNKNOWN);
    let ways = if is_nameless { &Nameless::ALL[..] } else { &Nameless::ALL[..1] };
    for nameless in ways {
        let visit = Visit { nameless: *nameless, ..logged.visit.clone() };
        hits.extend(search(stand, &visit, (logged, answerer), &mut nearest).map(|found| (*nameless, found)));
        now = now.or_else(|| walk(stand, &visit, answerer, &[]).last_reply().map(str::to_owned));
    }
    if hits.is_empty() && is_nameless {
        // A rule on the name that the address has today.
        let visit = Visit { name: None, ..logged.visit.clone() };
        hits.extend(
            search(stand, &visit, (logged, answerer), &mut nearest).map(|found| (Nameless::Forged, found)),
        );
    }
    // What needs nothing but the line itself comes first.
    let least = hits.iter().map(|(_, found)| found.supposed.len()).min();
    hits.retain(|(_, found)| Some(found.supposed.len()) == least);
    let nameless = hits.iter().map(|(nameless, _)| *nameless).filter(|_| is_nameless).collect();
    match hits.into_iter().next() {
        Some((_, found)) => Search::Found(Box::new(Found { nameless, ..found })),
        None => Search::Nothing { nearest: nearest.best.map(|(_, check, reply)| (check, reply)), now },
    }
}

fn search(
    stand: &Stand,
    visit: &Visit,
    (logged, answerer): (&Logged, &dyn Answerer),
    nearest: &mut Nearest<'_>,
) -> Option<Found> {
    let trunk = walk(stand, visit, answerer, &[]);
    nearest.look(&trunk);
    if let Some(told) = maker(&trunk, logged) {
        return Some(Found { told, supposed: Vec::new(), walk: trunk, nameless: Vec::new() });
    }
    let (others, _) = otherwise(stand, visit, answerer, &trunk);
    others.into_iter().find_map(|other| {
        nearest.look(&other.walk);
        let told = maker(&other.walk, logged)?;
        let mut supposed = other.besides;
        supposed.push((other.question, other.answer));
        Some(Found { told, supposed, walk: other.walk, nameless: Vec::new() })
    })
}

/// Who made the line in this session; `Some(None)` where no list did.
fn maker(walk: &Walk, logged: &Logged) -> Option<Option<Told>> {
    let mut steps = walk.exchanges.iter().flat_map(|exchange| &exchange.steps).rev();
    let refuses = matches!(logged.action, Action::Reject | Action::RejectWarning);
    if refuses {
        if let Some(told) = steps.find(|told| is_reply(&told.step.outcome, logged)) {
            return Some(Some(told.clone()));
        }
        let said = walk.exchanges.iter().flat_map(|exchange| &exchange.replies);
        return (logged.action == Action::Reject && said.into_iter().any(|reply| *reply == logged.reply))
            .then_some(None);
    }
    let lines = walk.exchanges.iter().flat_map(|exchange| &exchange.log);
    let is_logged = lines.filter_map(|line| line.split_once(": ")).any(|(_, text)| {
        matches!(Event::parse("smtpd", text), Event::Verdict(verdict)
            if verdict.action == logged.action && verdict.text == logged.reply.as_str())
    });
    is_logged.then(|| steps.find(|told| did(told, logged.action)).cloned())
}

/// Whether a step is the kind of thing that is logged under `action`.
fn did(told: &Told, action: Action) -> bool {
    match (&told.step.outcome, action) {
        (Outcome::Did(MailEffect::Hold(_)), Action::Hold)
        | (Outcome::Did(MailEffect::Discard(_)), Action::Discard)
        | (Outcome::Did(MailEffect::Filter(_)), Action::Filter)
        | (Outcome::Did(MailEffect::Redirect(_)), Action::Redirect)
        | (Outcome::Did(MailEffect::Bcc(_)), Action::Bcc)
        | (Outcome::Did(MailEffect::Prepend(_)), Action::Prepend)
        | (Outcome::Permit, Action::Permit) => true,
        (_, action) => {
            let value = told.step.line.as_ref().map(|line| line.value.as_str()).unwrap_or_default();
            let word = value.split_whitespace().next().unwrap_or_default();
            word.eq_ignore_ascii_case(&action.to_string())
        }
    }
}

/// Texts that come from outside (a DNSBL's) may have changed since: what stands before them decides.
fn is_reply(outcome: &Outcome, logged: &Logged) -> bool {
    let ((Outcome::WouldReject(reply), Action::RejectWarning)
    | (
        Outcome::Reject(reply) | Outcome::DeferIfPermit(reply) | Outcome::DeferIfReject(reply),
        Action::Reject,
    )) = (outcome, logged.action)
    else {
        return false;
    };
    let said = reply.to_string();
    let stem = |text: &str| {
        text.split_once(" blocked using ").map(|(before, after)| {
            (before.to_owned(), after.split([';', ' ']).next().unwrap_or_default().to_owned())
        })
    };
    said == logged.reply || (stem(&said).is_some() && stem(&said) == stem(&logged.reply))
}

/// The reply that is most like the logged one.
struct Nearest<'a> {
    logged: &'a str,
    /// How many words they share, the check, the reply.
    best: Option<(usize, String, String)>,
}

/// Fewer words in common say nothing.
const ALIKE_MIN: usize = 3;

impl Nearest<'_> {
    fn look(&mut self, walk: &Walk) {
        for told in walk.exchanges.iter().flat_map(|exchange| &exchange.steps) {
            let (Outcome::Reject(reply)
            | Outcome::WouldReject(reply)
            | Outcome::DeferIfPermit(reply)
            | Outcome::DeferIfReject(reply)) = &told.step.outcome
            else {
                continue;
            };
            let reply = reply.to_string();
            let words: Vec<&str> = self.logged.split_whitespace().collect();
            let alike = reply.split_whitespace().filter(|word| words.contains(word)).count();
            let is_better = self.best.as_ref().is_none_or(|(best, ..)| alike > *best);
            if alike >= ALIKE_MIN && is_better {
                self.best = Some((alike, told.step.check.clone(), reply));
            }
        }
    }
}
