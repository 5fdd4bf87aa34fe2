//! SPF (RFC 7208): whether a client may send mail in a domain's name, as a pure function of what the DNS says.
//!
//! [`check`] asks for records by [`Need`], like every other decision; who drives it answers and begins anew. RFC 8616
//! says what internationalised addresses mean here: domains in A-labels, and a local part that isn't ASCII makes no
//! term match that names it. T2.11. Deliberately not here: what to do with a result, and time limits, which are the
//! driver's: it answers that there is no answer.

mod evaluate;
mod macros;
pub mod policyd;
mod record;
#[cfg(test)]
mod tests;

pub use record::Network;

use crate::facts::{Facts, Need, RecordKind};
use mail::Wall;
use std::fmt;
use std::net::IpAddr;

/// What a domain says about a client (RFC 7208 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpfResult {
    /// It says nothing.
    None,
    /// It says that it doesn't say.
    Neutral,
    /// The client may.
    Pass,
    /// The client may not.
    Fail,
    /// Probably the client may not.
    SoftFail,
    /// The DNS gave no answer.
    TempError,
    /// The record is unusable.
    PermError,
}

impl SpfResult {
    /// Its name, as in Authentication-Results (RFC 8601 §2.7.2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

/// Who sends, and in whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The client; IPv4-mapped addresses as IPv4.
    pub client: IpAddr,
    /// The name in HELO.
    pub helo: &'a str,
    /// The sender's local part; `postmaster` where there is none.
    pub local: &'a str,
    /// The domain that is asked.
    pub domain: &'a str,
}

impl<'a> Sender<'a> {
    /// The "MAIL FROM" identity (RFC 7208 §2.4); that of a null sender is `postmaster` at the HELO name.
    #[must_use]
    pub fn mail_from(client: IpAddr, helo: &'a str, address: &'a str) -> Sender<'a> {
        let (local, domain) = match address.rsplit_once('@') {
            Some(parts) => parts,
            None if address.is_empty() => ("", helo),
            None => ("", address),
        };
        let local = if local.is_empty() { POSTMASTER } else { local };
        Sender { client: client.to_canonical(), helo, local, domain }
    }

    /// The "HELO" identity (RFC 7208 §2.3).
    #[must_use]
    pub const fn helo(client: IpAddr, helo: &'a str) -> Sender<'a> {
        Sender { client: client.to_canonical(), helo, local: POSTMASTER, domain: helo }
    }
}

const POSTMASTER: &str = "postmaster";

/// Questions without an answer that are borne, by RFC 7208 §4.6.4.
pub const VOID_LIMIT: u32 = 2;

/// What holds for a check.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Questions without an answer that are borne; RFC 7208 §4.6.4 says 2.
    pub void_limit: u32,
    /// Who receives, for explanations; `unknown` where it isn't told.
    pub receiver: &'a str,
    /// For explanations.
    pub now: Wall,
}

/// What a record can be at fault for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The DNS gave no answer.
    NoAnswer {
        /// To this name.
        name: String,
        /// And type.
        kind: RecordKind,
    },
    /// More than one record.
    Several {
        /// Of this domain.
        domain: String,
    },
    /// A term that can't be read.
    Malformed {
        /// Whose record.
        domain: String,
        /// As written.
        term: String,
    },
    /// A domain that another one points to has no record.
    NoRecord {
        /// Which.
        domain: String,
    },
    /// More than ten terms that ask the DNS.
    ManyLookups,
    /// More questions without an answer than are borne.
    ManyVoids,
    /// More than ten hosts of an MX.
    ManyExchangers {
        /// Of this domain.
        domain: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoAnswer { name, kind } => write!(f, "no answer to {kind:?} {name}"),
            Problem::Several { domain } => write!(f, "{domain} has more than one SPF record"),
            Problem::Malformed { domain, term } => {
                write!(f, "the SPF record of {domain} has the malformed term {}", shown(term))
            }
            Problem::NoRecord { domain } => write!(f, "{} has no SPF record", shown(domain)),
            Problem::ManyLookups => f.write_str("more than 10 terms ask the DNS"),
            Problem::ManyVoids => f.write_str("too many questions have no answer"),
            Problem::ManyExchangers { domain } => write!(f, "{domain} has more than 10 MX records"),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// `text`, where a reply or a header can carry it.
fn printable(text: &str, chars_max: usize) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    (plain && !text.trim().is_empty()).then(|| text.chars().take(chars_max).collect())
}

/// The result, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the domain says.
    pub result: SpfResult,
    /// The mechanism that matched, as written; `None` where none did.
    pub mechanism: Option<String>,
    /// The domain's own words on a [`SpfResult::Fail`].
    pub explanation: Option<String>,
    /// Why there is no result.
    pub problem: Option<Problem>,
    /// The domain's record.
    pub record: Option<String>,
}

impl Verdict {
    const fn plain(result: SpfResult) -> Verdict {
        Verdict { result, mechanism: None, explanation: None, problem: None, record: None }
    }
}

/// Facts for a check that no table has a part in.
#[must_use]
pub fn without_tables() -> Facts {
    let (snapshot, _) = tables::Snapshot::compile(&tables::Catalogue::new(), &NoFiles);
    Facts::new(std::sync::Arc::new(snapshot))
}

struct NoFiles;

impl tables::Sources for NoFiles {
    fn read(&self, path: &std::path::Path) -> Result<Vec<u8>, tables::SourceError> {
        Err(tables::SourceError::Missing(path.to_owned()))
    }
}

/// For fuzzing: the first line is a record of `a.example`, the others are what any other question finds in turn; the
/// evaluation ends, with as many questions as the limits allow.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    use crate::facts::{Answer, Question, Record};
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().cycle();
    let mut facts = without_tables();
    let sender = Sender::mail_from(IpAddr::from([192, 0, 2, 1]), "mail.example.org", "a-b.c+d@a.example");
    let settings = Settings { void_limit: VOID_LIMIT, receiver: "mx.example.com", now: Wall::default() };
    for _ in 0..200 {
        let Err(Need(question)) = check(&sender, &settings, &facts) else { return };
        let said = lines.next().unwrap_or_default();
        let answer = match &question {
            Question::Dns { kind: RecordKind::Txt, .. } => {
                Answer::Records(vec![Record::Txt(said.to_owned())])
            }
            Question::Dns { kind: RecordKind::Mx, .. } => {
                Answer::Records(vec![Record::Mx { preference: 1, host: said.to_owned() }; said.len().min(12)])
            }
            Question::Dns { kind: RecordKind::Ptr, .. } => {
                Answer::Records(said.split(' ').map(|name| Record::Ptr(name.to_owned())).collect())
            }
            _ if said.len().is_multiple_of(3) => Answer::Unavailable(String::new()),
            _ if said.len().is_multiple_of(2) => Answer::Records(vec![Record::A([192, 0, 2, 9].into())]),
            _ => Answer::NoName,
        };
        facts.learn(question, answer);
    }
    assert!(check(&sender, &settings, &facts).is_ok(), "no end of questions");
}

/// What the domain of `sender` says about its client.
///
/// # Errors
/// When the DNS must be asked first.
pub fn check(sender: &Sender<'_>, settings: &Settings<'_>, facts: &Facts) -> Result<Verdict, Need> {
    evaluate::check(sender, settings, facts)
}
