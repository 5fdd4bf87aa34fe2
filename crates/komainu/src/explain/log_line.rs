//! From a log line back to the rule that made it.
//!
//! The line tells the client, HELO, sender, recipient and the reply. The session is made up from them and played;
//! the rule is the step whose reply is the logged one, under what is known or under one other answer (a name that
//! didn't resolve that day, a blocklist that had the client). A rule that isn't in the configuration any more can't
//! be found: then the nearest reply is told. Reading the line is `logged`'s.

use super::Stand;
use super::answers::{Answerer, Offline};
pub use super::logged::{BadLine, Logged, parse};
use super::nearest::Nearest;
use super::outcomes::otherwise;
use super::visit::{Nameless, Visit};
use super::walk::{Told, Walk, walk};
use events::Event;
use events::check::Action;
use policy::{Answer, MailEffect, Outcome, Question, UNKNOWN};
use proto::smtp::TlsLevel;

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
    /// Where today's answers lead elsewhere.
    pub then: Option<Then>,
}

/// What must have been otherwise than today's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Then {
    /// What was there, and how it is answered today.
    pub there: Vec<(Question, Answer)>,
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

/// The check that makes the logged line: with the answers of `answerer`, or else with any that there may have been.
#[must_use]
pub fn find(stand: &Stand, logged: &Logged, answerer: &dyn Answerer) -> Search {
    // A port that takes nothing unencrypted decides about nothing else.
    let must = stand.listener.security.level == TlsLevel::Encrypt;
    let visit = Visit { tls: logged.visit.tls || must, ..logged.visit.clone() };
    let logged = &Logged { visit, ..logged.clone() };
    let mut nearest = Nearest::new(&logged.reply);
    let mut now = None;
    if let Some(found) = find_by(stand, (logged, answerer), &mut nearest, &mut now) {
        return Search::Found(Box::new(found));
    }
    let found = match answerer.is_nobody() {
        true => None,
        false => find_by(stand, (logged, &Offline), &mut nearest, &mut now),
    };
    match found {
        Some(found) => {
            let then = Some(Then { there: gone(stand, &found, answerer) });
            Search::Found(Box::new(Found { then, ..found }))
        }
        None => Search::Nothing { nearest: nearest.found(), now },
    }
}

/// What is assumed to have been there, and isn't today.
fn gone(stand: &Stand, found: &Found, answerer: &dyn Answerer) -> Vec<(Question, Answer)> {
    let policy = &stand.listener.policy;
    let is_there =
        |answer: &Answer| matches!(answer, Answer::Records(_) | Answer::Names(_) | Answer::Addresses(_));
    let assumed = found.walk.assumed.iter().filter(|(_, answer)| is_there(answer));
    let free = assumed.filter(|pair| !found.supposed.contains(pair));
    let today = free.filter_map(|(question, _)| Some((question.clone(), answerer.answer(question, policy)?)));
    today.filter(|(_, answer)| !is_there(answer)).collect()
}

fn find_by(
    stand: &Stand,
    (logged, answerer): (&Logged, &dyn Answerer),
    nearest: &mut Nearest<'_>,
    now: &mut Option<String>,
) -> Option<Found> {
    let mut hits: Vec<(Nameless, Found)> = Vec::new();
    let is_nameless = logged.visit.name.as_deref() == Some(UNKNOWN);
    let ways = if is_nameless { &Nameless::ALL[..] } else { &Nameless::ALL[..1] };
    for nameless in ways {
        let visit = Visit { nameless: *nameless, ..logged.visit.clone() };
        hits.extend(search(stand, &visit, (logged, answerer), nearest).map(|found| (*nameless, found)));
        if now.is_none() {
            *now = walk(stand, &visit, answerer, &[]).last_reply().map(str::to_owned);
        }
    }
    if hits.is_empty() && is_nameless {
        // A rule on the name that the address has today.
        let visit = Visit { name: None, ..logged.visit.clone() };
        hits.extend(
            search(stand, &visit, (logged, answerer), nearest).map(|found| (Nameless::Forged, found)),
        );
    }
    // What needs nothing but the line itself comes first.
    let least = hits.iter().map(|(_, found)| found.supposed.len()).min();
    hits.retain(|(_, found)| Some(found.supposed.len()) == least);
    let nameless = hits.iter().map(|(nameless, _)| *nameless).filter(|_| is_nameless).collect();
    hits.into_iter().next().map(|(_, found)| Found { nameless, ..found })
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
        return Some(Found { told, supposed: Vec::new(), walk: trunk, nameless: Vec::new(), then: None });
    }
    let (others, _) = otherwise(stand, visit, answerer, &trunk);
    others.into_iter().find_map(|other| {
        nearest.look(&other.walk);
        let told = maker(&other.walk, logged)?;
        let mut supposed = other.besides;
        supposed.push((other.question, other.answer));
        Some(Found { told, supposed, walk: other.walk, nameless: Vec::new(), then: None })
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
        return (logged.action == Action::Reject
            && said.into_iter().any(|reply| is_text(reply, &logged.reply)))
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
        (Outcome::Did(MailEffect::Hold(..)), Action::Hold)
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
    is_text(&said, &logged.reply)
        || stem(&said).is_some_and(|said| {
            stem(&logged.reply).is_some_and(|logged| said.1 == logged.1 && is_text(&said.0, &logged.0))
        })
}

/// Whether a reply is the logged one; before Postfix 2.3 replies had no enhanced status code.
fn is_text(said: &str, logged: &str) -> bool {
    said == logged || (bare(logged) == logged && bare(said) == logged)
}

/// `450 <x>: …` of `450 4.7.1 <x>: …`.
fn bare(reply: &str) -> std::borrow::Cow<'_, str> {
    let is_dsn = |word: &str| {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        word.starts_with(['2', '4', '5']) && word.split('.').count() == 3 && word.split('.').all(is_number)
    };
    match reply.split_once(' ').and_then(|(code, rest)| Some((code, rest.split_once(' ')?))) {
        Some((code, (dsn, text))) if is_dsn(dsn) => format!("{code} {text}").into(),
        _ => reply.into(),
    }
}
