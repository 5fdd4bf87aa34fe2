//! What is done with a message by its verdict, where its domain's wish is followed, and how that is said.
//!
//! A domain whose record can't be had now is taken like one without a record: nobody is to lose mail over a broken name
//! server. Where the record is there, and only who sent the message is not known yet, the client is to come again.

use super::{Disposition, DmarcResult, Problem, Verdict};
use mail::authentication_results::MethodResult;
use mail::{Dsn, Reply};

/// What is done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    Take,
    /// It is put on hold; why.
    Hold(String),
    /// It isn't taken.
    Refuse(Reply),
}

impl Measure {
    /// What it amounts to, in a record's word.
    const fn name(&self) -> &'static str {
        match self {
            Measure::Hold(_) => Disposition::Quarantine.name(),
            Measure::Refuse(reply) if reply.is_permanent() => Disposition::Reject.name(),
            Measure::Take | Measure::Refuse(_) => Disposition::None.name(),
        }
    }
}

impl Verdict {
    /// What its domain wants done; what is to be quarantined is put on hold where `holds` says so.
    #[must_use]
    pub fn measure(&self, holds: bool) -> Measure {
        let author = &self.author;
        match (self.result, self.disposition) {
            (DmarcResult::Pass | DmarcResult::None, _) | (_, Disposition::None) => Measure::Take,
            (DmarcResult::TempError, _) => {
                let text = format!("whether DMARC of {author} lets it pass cannot be found out now");
                Measure::Refuse(Reply::new(451, Dsn::new(4, 7, 1), text))
            }
            (_, Disposition::Quarantine) if holds => {
                Measure::Hold(format!("DMARC of {author}: {}", self.disposition.name()))
            }
            (_, Disposition::Quarantine) => Measure::Take,
            (DmarcResult::PermError, Disposition::Reject) => {
                let why = self.problem.as_ref().map_or_else(String::new, ToString::to_string);
                Measure::Refuse(Reply::new(550, Dsn::new(5, 7, 1), why))
            }
            (DmarcResult::Fail, Disposition::Reject) => {
                // OpenDMARC's words.
                let text = format!("rejected by DMARC policy for {author}");
                Measure::Refuse(Reply::new(550, Dsn::new(5, 7, 1), text))
            }
        }
    }

    /// For Authentication-Results: the policy, what was done, and why there is no plain result.
    #[must_use]
    pub fn method_result(&self, done: &Measure) -> MethodResult {
        let mut found = MethodResult::new("dmarc", self.result.name());
        let published = self.published.as_ref().map(|published| published.policy.name());
        found = match published {
            Some(policy) => found.commented(format!("p={policy} dis={}", done.name())),
            None if *done != Measure::Take => found.commented(format!("dis={}", done.name())),
            None => found,
        };
        if let Some(problem) = self.problem.as_ref().filter(|problem| **problem != Problem::NoRecord) {
            found = found.because(problem.to_string());
        }
        if !self.author.is_empty() {
            found = found.with("header", "from", self.author.clone());
        }
        found
    }

    /// In a line, for the log.
    #[must_use]
    pub fn summary(&self) -> String {
        let policy = self.published.as_ref().map(|published| format!(" p={}", published.policy.name()));
        let why = self.problem.as_ref().map(|problem| format!(" ({problem})"));
        let from = if self.author.is_empty() { "-" } else { self.author.as_str() };
        let policy = policy.unwrap_or_default();
        format!("dmarc={}{policy} from={from}{}", self.result.name(), why.unwrap_or_default())
    }
}
