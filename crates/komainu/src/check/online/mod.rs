//! What the DNS says of this server and its domains: asked by `komainu check --online` only. T1.4, T2.27.
//!
//! The judges are pure: each runs over what has been answered so far and names what it misses ([`Known`]); all that
//! is missing is asked at once, and the judges run anew, until nothing is missing, or time is up. What got no answer
//! is no finding but K0630; nor is what a name server says that is caught lying: two names are asked as a control. No mail is sent and no other server than the resolver is spoken to.

mod dkim;
mod dmarc;
mod domains;
mod host;
mod known;
mod lists;
mod own;
mod spf;
#[cfg(test)]
mod tests;
mod transport;

pub use known::Known;
pub use spf::{Faults, fuzz as fuzz_spf};

use super::surroundings::{Machine, Scene};
use super::{Subject, in_order};
use crate::facts::Names;
use crate::facts::dns::Resolver;
use config::{Diagnostic, Place};
use domains::Domain;
use policy::Answer;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// Rounds of questions: an SPF record includes others, ten at most.
const ROUNDS_MAX: usize = 16;
/// Questions in all.
const QUESTIONS_MAX: usize = 2_000;
/// Questions at once.
const AT_ONCE: usize = 128;
/// For one question: a judge's patience is less than a session's.
const PATIENCE: Duration = Duration::from_secs(5);
/// For everything together.
const TIME_MAX: Duration = Duration::from_secs(15);

/// What the judges look at beside the answers.
pub struct Matter<'a> {
    /// The configuration.
    pub scene: &'a Scene<'a>,
    /// The machine, for OpenDKIM's files.
    pub machine: &'a Machine,
    /// The domains that mail is taken for.
    domains: Vec<Domain>,
}

impl<'a> Matter<'a> {
    /// What `scene` names; tables of domains are read from `machine`.
    #[must_use]
    pub fn new(scene: &'a Scene<'a>, machine: &'a Machine) -> Matter<'a> {
        Matter { scene, machine, domains: domains::served(scene, machine) }
    }
}

/// Asks the DNS about what `subject` names.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let machine = Machine::this(crate::clock::now().wall.seconds());
    let scene = Scene::new(subject.configuration, subject.sources);
    let servers: Vec<String> =
        scene.main.list("komainu_dns_servers").into_iter().map(|word| word.value).collect();
    // The hosts file isn't what others see.
    let resolver = match Resolver::new(&servers, None, AT_ONCE) {
        Ok(resolver) => resolver,
        Err(error) => return vec![unasked(&error.to_string())],
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![unasked(&error.to_string())],
    };
    let matter = Matter::new(&scene, &machine);
    let known = runtime.block_on(ask_all(&matter, Arc::new(resolver)));
    in_order(judge(&matter, &known))
}

/// Asks until nothing is missing.
async fn ask_all(matter: &Matter<'_>, names: Arc<dyn Names>) -> Known {
    let until = Instant::now() + TIME_MAX;
    let mut known = Known::default();
    for _ in 0..ROUNDS_MAX {
        let _ = judge(matter, &known);
        let mut missing = known.take_missing();
        missing.truncate(QUESTIONS_MAX.saturating_sub(known.len()));
        if missing.is_empty() {
            break;
        }
        let mut under_way = JoinSet::new();
        for question in missing {
            let names = Arc::clone(&names);
            under_way.spawn(async move {
                let answer = timeout(PATIENCE, names.ask(&question)).await;
                let answer = answer.unwrap_or_else(|_| Answer::Unavailable("no answer in time".to_owned()));
                (question, answer)
            });
        }
        while let Ok(Some(done)) = timeout_at(until, under_way.join_next()).await {
            if let Ok((question, answer)) = done {
                known.learn(question, answer);
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    known.give_up();
    known
}

/// All that the answers say. Names what it misses to `known`.
#[must_use]
pub fn judge(matter: &Matter<'_>, known: &Known) -> Vec<Diagnostic> {
    known.ask_controls();
    let mut found = host::judge(matter, known);
    found.extend(domains::judge(matter, known));
    // What a relayed domain publishes is its owner's.
    for domain in matter.domains.iter().filter(|domain| !domain.is_relayed) {
        found.extend(spf::judge(domain, matter, known));
        found.extend(dmarc::judge(domain, known));
        found.extend(transport::judge(domain, known));
    }
    found.extend(dkim::judge(matter, known));
    found.extend(lists::judge(matter, known));
    if let Some(lie) = known.lie() {
        return vec![unasked(&lie)];
    }
    match known.silence() {
        // Nobody answers: what would be said of each name is that, again and again.
        Some(said) if known.heard_nothing() => vec![unasked(&said)],
        Some(said) => {
            found.push(unanswered(&said));
            found
        }
        None => found,
    }
}

fn unasked(why: &str) -> Diagnostic {
    let message = format!("the DNS can't be asked: {why}");
    Diagnostic::warning(630, Place::nowhere(), message)
        .help("nothing is known of names, domains and lists; ask again with a name server that answers")
}

fn unanswered(which: &str) -> Diagnostic {
    let message = format!("no answer about {which}");
    Diagnostic::hint(630, Place::nowhere(), message).help("what hangs on it isn't judged; ask again")
}
