//! DMARC (RFC 9989): whether a message's author domain stands behind it, and what it asks for if not, as a pure function
//! of what SPF, DKIM and the DNS say.
//!
//! [`authors`] finds the domains in whose name a message comes, [`check`] judges it: records are found by the DNS tree
//! walk, or, where a list of public suffixes is given, as RFC 7489 has it. Questions are [`Need`]s, like those of every
//! other decision. RFC 7489's `pct`, `rf` and `ri` are understood. T2.28. Deliberately not here: SPF and DKIM, what is
//! done with a message, reports to domains.

mod author;
mod evaluate;
mod measure;
mod record;
mod suffixes;
#[cfg(test)]
mod tests;
mod walk;

pub use author::{AUTHORS_MAX, Authors, authors};
pub use measure::Measure;
pub use record::{Alignment, DmarcRecord, Psd, is_record};
pub use suffixes::PublicSuffixes;
pub use walk::{QUERIES_MAX, names};

use crate::facts::{Facts, Need};
use std::fmt;

/// What comes of it (RFC 8601 §2.7.5, RFC 9989 §4.9 by name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DmarcResult {
    /// No record, or no author domain: DMARC says nothing.
    None,
    /// The author domain stands behind it.
    Pass,
    /// It doesn't.
    Fail,
    /// The DNS gave no answer.
    TempError,
    /// The record is unusable.
    PermError,
}

impl DmarcResult {
    /// Its name in Authentication-Results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

/// What a domain asks for where a message isn't its own; the stricter, the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Nothing.
    #[default]
    None,
    /// To take it for suspicious.
    Quarantine,
    /// To refuse it.
    Reject,
}

impl Disposition {
    /// Its name in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Disposition::None => "none",
            Disposition::Quarantine => "quarantine",
            Disposition::Reject => "reject",
        }
    }

    /// One step less strict.
    #[must_use]
    pub const fn lower(self) -> Disposition {
        match self {
            Disposition::Reject => Disposition::Quarantine,
            Disposition::Quarantine | Disposition::None => Disposition::None,
        }
    }
}

/// Which tag of a record applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `p`: the record is the author domain's own.
    P,
    /// `sp`: for subdomains.
    Sp,
    /// `np`: for those that don't exist.
    Np,
}

/// What SPF or DKIM says of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Authenticated.
    Pass,
    /// Not.
    Fail,
    /// Not known this time.
    TempError,
}

/// A domain that SPF or DKIM has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifier<'a> {
    /// The domain of MAIL FROM, or of HELO where the sender is null; `d=` of a signature.
    pub domain: &'a str,
    /// What came of it.
    pub outcome: Outcome,
}

/// All that has been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identifiers<'a> {
    /// By SPF, where it was asked.
    pub spf: Option<Identifier<'a>>,
    /// By DKIM, a signature each.
    pub dkim: &'a [Identifier<'a>],
}

/// What holds for a check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// Organisational domains are found by these, as in RFC 7489; by the tree walk where there are none.
    pub suffixes: Option<&'a PublicSuffixes>,
    /// From 0 to 99, any number for each message: from `pct` on a policy counts one step less.
    pub roll: u8,
}

/// What makes a message no case for DMARC, or its record unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No `From:` names a domain.
    NoAuthor,
    /// More author domains than are looked at.
    ManyAuthors,
    /// Readers may be shown another author than is read here.
    AmbiguousAuthor,
    /// Nobody has published a record.
    NoRecord,
    /// A policy that can't be read.
    Malformed {
        /// In the record of this domain.
        domain: String,
    },
    /// The DNS gave no answer about this name.
    NoAnswer {
        /// The name.
        name: String,
    },
    /// SPF or DKIM of a domain that counts is not known this time.
    Unknown {
        /// The domain.
        domain: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoAuthor => f.write_str("From names no domain"),
            Problem::AmbiguousAuthor => f.write_str("From can be read in more ways than one"),
            Problem::ManyAuthors => write!(f, "From names more than {AUTHORS_MAX} domains"),
            Problem::NoRecord => f.write_str("there is no DMARC record"),
            Problem::Malformed { domain } => {
                write!(f, "the DMARC record of {domain} has a policy that cannot be read")
            }
            Problem::NoAnswer { name } => write!(f, "no answer to TXT {name}"),
            Problem::Unknown { domain } => write!(f, "what {domain} says is not known now"),
        }
    }
}

/// The record that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it is: `example.com` for what is at `_dmarc.example.com`.
    pub domain: String,
    /// The record.
    pub record: DmarcRecord,
    /// Which of its policies.
    pub tag: Tag,
    /// What that asks for.
    pub policy: Disposition,
}

/// The result, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The author domain in A-labels; empty where there is none.
    pub author: String,
    /// What comes of it.
    pub result: DmarcResult,
    /// What is asked for, where it doesn't pass.
    pub disposition: Disposition,
    /// The record.
    pub published: Option<Published>,
    /// The domain that SPF authenticated and that stands for the author's.
    pub spf: Option<String>,
    /// The same of DKIM.
    pub dkim: Option<String>,
    /// Why there is no plain result.
    pub problem: Option<Problem>,
}

impl Verdict {
    pub(crate) fn without_record(author: &str, result: DmarcResult, problem: Problem) -> Verdict {
        Verdict {
            author: author.to_owned(),
            result,
            disposition: Disposition::None,
            published: None,
            spf: None,
            dkim: None,
            problem: Some(problem),
        }
    }

    /// How bad it is: of several authors' verdicts the worst counts.
    fn gravity(&self) -> (Disposition, u8) {
        let rank = match self.result {
            DmarcResult::Pass => 0,
            DmarcResult::None => 1,
            DmarcResult::PermError => 2,
            DmarcResult::TempError => 3,
            DmarcResult::Fail => 4,
        };
        (self.disposition, rank)
    }
}

/// Judges a message by its author domains; where there are several, each is asked, and the strictest verdict counts.
/// With more of them than are looked at, it is refused: RFC 9989 §11.5 warns of those who hide one among many; so is one
/// that readers of mail would show otherwise than it is read here.
///
/// # Errors
/// When the DNS must be asked first.
pub fn check(
    authors: &Authors,
    identifiers: &Identifiers<'_>,
    settings: &Settings<'_>,
    facts: &Facts,
) -> Result<Verdict, Need> {
    let first = authors.domains.first().map_or("", String::as_str);
    if authors.are_too_many {
        let verdict = Verdict::without_record(first, DmarcResult::PermError, Problem::ManyAuthors);
        return Ok(Verdict { disposition: Disposition::Reject, ..verdict });
    }
    let mut worst: Option<Verdict> = None;
    for author in &authors.domains {
        let verdict = evaluate::check(author, identifiers, settings, facts)?;
        if worst.as_ref().is_none_or(|worst| worst.gravity() < verdict.gravity()) {
            worst = Some(verdict);
        }
    }
    let verdict = worst.unwrap_or_else(|| Verdict::without_record("", DmarcResult::None, Problem::NoAuthor));
    // RFC 9989 §11.5, RFC 5322 §3.6: one From, which everybody reads alike.
    if (authors.is_ambiguous || authors.headers > 1) && verdict.disposition != Disposition::Reject {
        let verdict = Verdict::without_record(first, DmarcResult::PermError, Problem::AmbiguousAuthor);
        return Ok(Verdict { disposition: Disposition::Reject, ..verdict });
    }
    Ok(verdict)
}

/// For fuzzing: the first line is a `From:` header's value, the others are what any question finds in turn; the
/// evaluation ends, with as many questions as the limits allow.
///
/// # Panics
/// Where it doesn't.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    use crate::facts::{Answer, Record};
    let mut lines = bytes.splitn(2, |b| *b == b'\n');
    let from = lines.next().unwrap_or_default();
    let text = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut records = text.lines().cycle();
    let authors = authors([from]);
    let dkim = [Identifier { domain: "mail.example.com", outcome: Outcome::Pass }];
    let spf = Identifier { domain: "example.org", outcome: Outcome::TempError };
    let identifiers = Identifiers { spf: Some(spf), dkim: &dkim };
    let settings = Settings { suffixes: None, roll: 50 };
    let mut facts = crate::spf::without_tables();
    for _ in 0..(AUTHORS_MAX + 2) * (QUERIES_MAX + 1) {
        let Err(Need(question)) = check(&authors, &identifiers, &settings, &facts) else { return };
        let said = records.next().unwrap_or_default();
        let answer = match said {
            "" => Answer::NoName,
            "?" => Answer::Unavailable(String::new()),
            said => Answer::Records(said.split('|').map(|text| Record::Txt(text.to_owned())).collect()),
        };
        facts.learn(question, answer);
    }
    assert!(check(&authors, &identifiers, &settings, &facts).is_ok(), "no end of questions");
}
