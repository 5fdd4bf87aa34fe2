//! Who sent a message, as far as the DNS can tell: SPF of its sender, the keys of its signatures.
//!
//! All keys are asked for together, beside SPF; what isn't answered in time isn't known this time. What the answers mean
//! is `policy::spf`'s and `mail::dkim`'s. T2.28.

use super::Names;
use crate::clock;
use mail::Wall;
use mail::dkim::{Checked, Hashed, KeyAnswer};
use policy::authenticity::Authenticity;
use policy::dmarc::{self, Authors, Identifiers, Verdict};
use policy::spf::{self, Sender, Settings, SpfResult, VOID_LIMIT};
use policy::{Answer, Need, Question, Record, RecordKind};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// What the domain of `sender` says about its client, where it says it before `until`.
pub async fn spf(names: &dyn Names, sender: &Sender<'_>, receiver: &str, until: Instant) -> SpfResult {
    let mut facts = spf::without_tables();
    let settings = Settings { void_limit: VOID_LIMIT, receiver, now: clock::now().wall };
    loop {
        match spf::check(sender, &settings, &facts) {
            Ok(verdict) => return verdict.result,
            Err(Need(question)) => {
                let answer = timeout_at(until, names.ask(&question)).await;
                let late = |_| Answer::Unavailable("it took too long".to_owned());
                facts.learn(question, answer.unwrap_or_else(late));
            }
        }
    }
}

/// What comes of signatures, with the keys that are there before `until`.
pub async fn dkim(names: &Arc<dyn Names>, hashed: &[Hashed], now: Wall, until: Instant) -> Vec<Checked> {
    // All are asked before the first is waited for.
    let asked = hashed.iter().map(|one| {
        // Also where the body has been changed: a key may say that its domain is only trying.
        let signature = one.signature()?;
        let question = Question::Dns { name: signature.key_name(), kind: RecordKind::Txt };
        Some(Arc::clone(names).begin(question))
    });
    let asked: Vec<_> = asked.collect();
    let mut found = Vec::with_capacity(hashed.len());
    for (one, flight) in hashed.iter().zip(asked) {
        let answer = match flight {
            Some(flight) => timeout_at(until, flight.landed()).await.ok(),
            None => None,
        };
        found.push(checked(one, answer.as_ref(), now));
    }
    found
}

/// Asks for the records of author domains, so that they are there when SPF and DKIM are.
pub fn foresee(names: &Arc<dyn Names>, authors: &Authors) {
    for author in &authors.domains {
        let question = Question::Dns { name: format!("_dmarc.{author}"), kind: RecordKind::Txt };
        Arc::clone(names).begin(question);
    }
}

/// What the author domains say about a message, where they say it before `until`.
pub async fn dmarc(
    names: &dyn Names,
    found: &Authenticity,
    authors: &Authors,
    settings: &dmarc::Settings<'_>,
    until: Instant,
) -> Verdict {
    let (spf, dkim) = found.identifiers();
    let identifiers = Identifiers { spf: Some(spf), dkim: &dkim };
    let mut facts = spf::without_tables();
    loop {
        match dmarc::check(authors, &identifiers, settings, &facts) {
            Ok(verdict) => return verdict,
            Err(Need(question)) => {
                let answer = timeout_at(until, names.ask(&question)).await;
                let late = |_| Answer::Unavailable("it took too long".to_owned());
                facts.learn(question, answer.unwrap_or_else(late));
            }
        }
    }
}

fn checked(hashed: &Hashed, answer: Option<&Answer>, now: Wall) -> Checked {
    let texts: Vec<&str>;
    let key = match answer {
        Some(Answer::Records(records)) => {
            texts = records.iter().filter_map(text).collect();
            if texts.is_empty() { KeyAnswer::Nothing } else { KeyAnswer::Texts(&texts) }
        }
        Some(Answer::NoName | Answer::NoRecords | Answer::Invalid(_)) => KeyAnswer::Nothing,
        _ => KeyAnswer::Unavailable,
    };
    Checked::new(hashed, key, now)
}

fn text(record: &Record) -> Option<&str> {
    match record {
        Record::Txt(text) => Some(text.as_str()),
        _ => None,
    }
}
