//! From a refusal's log line back to the rule that made it.
//!
//! The line tells the client, HELO, sender, recipient and the reply. The session is made up from them and played;
//! the rule is the step whose reply is the logged one, under what is known or under one other answer (a name that
//! didn't resolve that day, a blocklist that had the client). A rule that isn't in the configuration any more can't
//! be found, and that is said.

use super::Stand;
use super::answers::Answerer;
use super::outcomes::otherwise;
use super::visit::{Last, Visit};
use super::walk::{Told, Walk, walk};
use events::Event;
use policy::{Answer, Outcome, Question};

/// A refusal as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The session.
    pub visit: Visit,
    /// The reply: `554 5.7.1 <x>: Client host rejected: …`.
    pub reply: String,
}

/// Why a log line can't be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Another line.
    #[error("this is no line about a refusal: give one with `reject: RCPT from name[address]: …`")]
    NoRefusal,
    /// A refusal before the session.
    #[error(
        "postscreen's tests refused this client before its session, and are not played here: see the lines before \
         (PREGREET, DNSBL rank, DENYLISTED …) and the postscreen_…_action parameters"
    )]
    Screened,
    /// No address.
    #[error("\"{0}\" is no client address")]
    Address(String),
}

/// What the configuration says to a logged refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The check.
    pub told: Told,
    /// What must have been answered, where it isn't known.
    pub supposed: Option<(Question, Answer)>,
    /// The session.
    pub walk: Walk,
}

/// Reads a log line, with or without time, host and program in front.
///
/// # Errors
/// [`BadLine`].
pub fn parse(line: &str) -> Result<Logged, BadLine> {
    // `postfix/smtpd[123]: NOQUEUE: reject: …`: the program's number is before the first bracket that closes.
    let (program, text) = match line.split_once("]: ") {
        Some((before, rest)) => match before.rsplit_once('[') {
            Some((program, pid)) if is_number(pid) => (program, rest),
            _ => ("", line),
        },
        None => ("", line),
    };
    let is_screened = matches!(Event::parse("postscreen", text.trim()), Event::ScreenReject(_));
    if program.ends_with("/postscreen") && is_screened {
        return Err(BadLine::Screened);
    }
    let Event::Verdict(verdict) = Event::parse("smtpd", text.trim()) else { return Err(BadLine::NoRefusal) };
    let address = verdict.client.address.to_string();
    let client = address.parse().map_err(|_| BadLine::Address(address))?;
    let last = match verdict.stage.as_ref() {
        "CONNECT" => Last::Connect,
        "HELO" | "EHLO" => Last::Helo,
        "MAIL" => Last::Mail,
        "DATA" | "BDAT" => Last::Data,
        "END-OF-MESSAGE" => Last::EndOfData,
        _ => Last::Rcpt,
    };
    let session = &verdict.session;
    let visit = Visit {
        client,
        name: Some(verdict.client.name.to_string()),
        helo: session.helo.as_ref().map(ToString::to_string),
        plain_helo: session.proto.as_deref() == Some("SMTP"),
        from: session.from.as_ref().map(ToString::to_string),
        to: session.to.as_ref().map(ToString::to_string).into_iter().collect(),
        last,
        ..Visit::default()
    };
    Ok(Logged { visit, reply: verdict.text.to_string() })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The check that makes the logged reply.
#[must_use]
pub fn find(stand: &Stand, logged: &Logged, answerer: &dyn Answerer) -> Option<Found> {
    let mut visits = vec![logged.visit.clone()];
    if logged.visit.name.as_deref() == Some(policy::UNKNOWN) {
        // `unknown` may be no name, one that doesn't lead back, or one that could not be asked for.
        visits.push(Visit { name: None, ..logged.visit.clone() });
    }
    for visit in visits {
        let trunk = walk(stand, &visit, answerer, &[]);
        if let Some(told) = step_with(&trunk, &logged.reply) {
            return Some(Found { told, supposed: None, walk: trunk });
        }
        let (others, _) = otherwise(stand, &visit, answerer, &trunk);
        for other in others {
            if let Some(told) = step_with(&other.walk, &logged.reply) {
                let supposed = Some((other.question, other.answer));
                return Some(Found { told, supposed, walk: other.walk });
            }
        }
    }
    None
}

fn step_with(walk: &Walk, reply: &str) -> Option<Told> {
    let steps = walk.exchanges.iter().flat_map(|exchange| &exchange.steps);
    steps.into_iter().rev().find(|told| is_reply(&told.step.outcome, reply)).cloned()
}

/// Texts that come from outside (a DNSBL's) may have changed since: what stands before them decides.
fn is_reply(outcome: &Outcome, logged: &str) -> bool {
    let (Outcome::Reject(reply)
    | Outcome::WouldReject(reply)
    | Outcome::DeferIfPermit(reply)
    | Outcome::DeferIfReject(reply)) = outcome
    else {
        return false;
    };
    let said = reply.to_string();
    let stem = |text: &str| {
        text.split_once(" blocked using ").map(|(before, after)| {
            (before.to_owned(), after.split([';', ' ']).next().unwrap_or_default().to_owned())
        })
    };
    said == logged || (stem(&said).is_some() && stem(&said) == stem(logged))
}
