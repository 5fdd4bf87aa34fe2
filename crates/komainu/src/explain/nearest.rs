//! The rule nearest to a logged reply that no rule makes now.
//!
//! What was refused (`Recipient address rejected`, `Helo command rejected` …) counts before the words in common: a
//! rule about another part of the session is never near. Texts that no restriction has of its own come from a table
//! or from a policy service: of those that are asked, the service is the nearest. Nothing is looked up here.

use super::walk::{Told, Walk};
use policy::Outcome;

/// What a refusal speaks of; each reply has one of these at most.
const CLASSES: [&str; 9] = [
    "Client host rejected",
    "Helo command rejected",
    "Sender address rejected",
    "Recipient address rejected",
    "Relay access denied",
    "Data command rejected",
    "End-of-data rejected",
    "Etrn command rejected",
    "Service unavailable",
];

/// What restrictions say without any table or service.
const OWN_TEXTS: [&str; 14] = [
    "Access denied",
    "Domain not found",
    "Host not found",
    "Improper use of SMTP command pipelining",
    "Invalid name",
    "Malformed",
    "Multi-recipient bounce",
    "Server configuration error",
    "Try again",
    "User unknown",
    "cannot find your",
    "does not accept mail",
    "need fully-qualified",
    "not owned by user",
];

/// Tables of recipients and what is said of those that they don't have.
const LISTINGS: [(&str, &str); 4] = [
    ("User unknown in local recipient table", "local_recipient_maps"),
    ("User unknown in relay recipient table", "relay_recipient_maps"),
    ("User unknown in virtual alias table", "virtual_alias_maps"),
    ("User unknown in virtual mailbox table", "virtual_mailbox_maps"),
];

/// A policy service's check.
const SERVICE: &str = "check_policy_service";

/// Fewer words in common say nothing where no class is known.
const ALIKE_MIN: usize = 3;

/// How near a reply is: the same text, a service that has texts of its own, words in common.
type Rank = (bool, bool, usize);

/// The reply that is most like the logged one.
pub(super) struct Nearest<'a> {
    logged: &'a str,
    class: Option<&'static str>,
    best: Option<(Rank, String, String)>,
}

impl<'a> Nearest<'a> {
    /// Nothing seen so far.
    pub(super) fn new(logged: &'a str) -> Nearest<'a> {
        Nearest { logged, class: class(logged), best: None }
    }

    /// Looks at every refusal of a session.
    pub(super) fn look(&mut self, walk: &Walk) {
        for told in walk.exchanges.iter().flat_map(|exchange| &exchange.steps) {
            if let Outcome::Reject(reply)
            | Outcome::WouldReject(reply)
            | Outcome::DeferIfPermit(reply)
            | Outcome::DeferIfReject(reply) = &told.step.outcome
            {
                self.judge(told, reply.to_string());
            }
        }
    }

    fn judge(&mut self, told: &Told, reply: String) {
        let words: Vec<&str> = self.logged.split_whitespace().collect();
        let alike = reply.split_whitespace().filter(|word| words.contains(word)).count();
        let is_near = match self.class {
            Some(_) => class(&reply) == self.class,
            None => alike >= ALIKE_MIN,
        };
        if !is_near {
            return;
        }
        let is_own = OWN_TEXTS.iter().any(|text| self.logged.contains(text));
        let from_service = !is_own && told.step.check.starts_with(SERVICE);
        let rank = (self.class.is_some() && text(&reply) == text(self.logged), from_service, alike);
        if self.best.as_ref().is_none_or(|(best, ..)| rank > *best) {
            self.best = Some((rank, told.step.check.clone(), reply));
        }
    }

    /// The rule or parameter, and what it says.
    pub(super) fn found(self) -> Option<(String, String)> {
        let listing = LISTINGS.iter().find(|(text, _)| self.logged.contains(text));
        if let Some((_, parameter)) = listing {
            return Some(((*parameter).to_owned(), "it did not have this recipient then".to_owned()));
        }
        let ((_, from_service, _), check, reply) = self.best?;
        let said =
            if from_service { "it has texts of its own, and is not asked here".to_owned() } else { reply };
        Some((check, said))
    }
}

fn class(reply: &str) -> Option<&'static str> {
    CLASSES.into_iter().find(|class| reply.contains(class))
}

/// What stands behind the class.
fn text(reply: &str) -> Option<&str> {
    class(reply).and_then(|class| reply.split_once(class)).map(|(_, text)| text)
}
