//! OpenDMARC's work by its own opendmarc.conf: which headers it believes, whom it passes over, what it says. Behaviour as
//! Debian's OpenDMARC 1.4.2 shows it; its manual page is opendmarc.conf(5).
//!
//! What a message's author domain wants is `dmarc`'s. Headers that a stranger could have written himself aren't believed,
//! whatever OpenDMARC does. T2.28. Deliberately not here: history files, failure reports, ARC.

mod conf;
#[cfg(test)]
mod tests;

pub use conf::{Conf, PATH};

use crate::dmarc::{DmarcResult, Identifier, Identifiers, Measure, Outcome, Verdict};
use mail::authentication_results::{AuthenticationResults, MethodResult, NAME};
use mail::header::Header;
use mail::{Dsn, Reply};

/// A result that somebody has written down: a domain, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The domain.
    pub domain: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a message's headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Of SPF; what passed goes before what didn't.
    pub spf: Option<Written>,
    /// Of DKIM.
    pub dkim: Vec<Written>,
    /// For the log.
    pub lines: Vec<String>,
}

impl Heard {
    /// With SPF as `spf` says, where it was asked besides.
    #[must_use]
    pub fn with_spf(self, spf: Option<Written>) -> Heard {
        Heard { spf: spf.or(self.spf), ..self }
    }

    /// For [`crate::dmarc::check`].
    pub fn judged<T>(&self, judge: impl FnOnce(&Identifiers<'_>) -> T) -> T {
        let one = |written| {
            let &Written { ref domain, outcome } = written;
            Identifier { domain, outcome }
        };
        let dkim: Vec<Identifier<'_>> = self.dkim.iter().map(one).collect();
        judge(&Identifiers { spf: self.spf.as_ref().map(one), dkim: &dkim })
    }
}

/// A header, and whether this server has put it there.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'h> {
    /// Name and value.
    pub text: &'h [u8],
    /// It stands above our own `Received:`.
    pub is_ours: bool,
}

/// Reads what is believed of a message's headers: Authentication-Results of `trusted` services, and `Received-SPF` of
/// this server itself. `sender` is the domain of the envelope's sender, or HELO's name.
#[must_use]
pub fn heard<'h>(
    conf: &Conf,
    trusted: &[&str],
    sender: &str,
    headers: impl IntoIterator<Item = Shown<'h>>,
) -> Heard {
    let mut heard = Heard::default();
    let mut at = 0;
    for Shown { text, is_ours } in headers {
        let Some(header) = Header::parse(text) else { continue };
        if header.is("Received-SPF") && is_ours && !conf.spf_ignores_results {
            let word = header.unfolded();
            let word = word.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
            take_spf(&mut heard, word, sender);
        }
        if !header.is(NAME) {
            continue;
        }
        let place = at;
        at += 1;
        let Some(read) = AuthenticationResults::parse(header.value) else { continue };
        if !trusted.iter().any(|id| read.is_of(id)) {
            let id = mail::line::one(&read.authserv_id).into_owned();
            heard.lines.push(format!(" ignoring Authentication-Results at {place} from {id}"));
            continue;
        }
        for found in &read.results {
            take(&mut heard, conf, found);
        }
    }
    heard
}

fn take(heard: &mut Heard, conf: &Conf, found: &MethodResult) {
    match found.method.as_str() {
        "spf" if !conf.spf_ignores_results => {
            let value = found.get("smtp", "mailfrom").or_else(|| found.get("smtp", "mail"));
            let value = value.or_else(|| found.get("smtp", "helo")).unwrap_or_default();
            let domain = value.rsplit_once('@').map_or(value, |(_, domain)| domain);
            take_spf(heard, &found.result, domain);
        }
        "dkim" => {
            let identity = found.get("header", "i").and_then(|value| Some(value.rsplit_once('@')?.1));
            let domain = found.get("header", "d").or(identity).unwrap_or_default();
            heard.dkim.push(Written { domain: domain.to_owned(), outcome: outcome(&found.result) });
        }
        _ => {}
    }
}

fn take_spf(heard: &mut Heard, word: &str, domain: &str) {
    let written = Written { domain: domain.to_owned(), outcome: outcome(word) };
    let is_better = written.outcome == Outcome::Pass;
    if heard.spf.as_ref().is_none_or(|before| is_better && before.outcome != Outcome::Pass) {
        heard.spf = Some(written);
    }
}

fn outcome(word: &str) -> Outcome {
    match word.to_ascii_lowercase().as_str() {
        "pass" => Outcome::Pass,
        "temperror" => Outcome::TempError,
        _ => Outcome::Fail,
    }
}

/// What is wrong with a message by `RequiredHeaders` (RFC 5322 §3.6), in OpenDMARC's words.
#[must_use]
pub fn odd_headers<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Option<String> {
    const ONCE: [&str; 2] = ["From", "Date"];
    const AT_MOST_ONCE: [&str; 8] =
        ["Reply-To", "To", "Cc", "Bcc", "Message-Id", "In-Reply-To", "References", "Subject"];
    let mut counts = std::collections::BTreeMap::new();
    for header in headers.into_iter().filter_map(Header::parse) {
        *counts.entry(header.name.to_ascii_lowercase()).or_insert(0_u32) += 1;
    }
    let count = |name: &str| counts.get(&name.to_ascii_lowercase()).copied().unwrap_or(0);
    if let Some(name) = ONCE.into_iter().find(|name| count(name) != 1) {
        return Some(format!("RFC5322 requirement error: not exactly one {name} field"));
    }
    let twice = AT_MOST_ONCE.into_iter().find(|name| count(name) > 1);
    twice.map(|name| format!("RFC5322 requirement error: multiple {name} fields"))
}

/// What is done with a message, and said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is done.
    pub measure: Measure,
    /// The Authentication-Results header, where it gets one; with the line end.
    pub header: Option<String>,
    /// For the log, behind the message's name.
    pub line: String,
}

/// What comes of a verdict. `id` is who says so.
#[must_use]
pub fn told(conf: &Conf, verdict: &Verdict, id: &str) -> Told {
    let mut measure = match conf.rejects {
        true => verdict.measure(conf.holds_quarantined),
        false => Measure::Take,
    };
    if !conf.rejects && conf.holds_quarantined && verdict.result == DmarcResult::Fail {
        let wanted = verdict.measure(true);
        measure = if matches!(wanted, Measure::Hold(_)) { wanted } else { measure };
    }
    let author = verdict.author.as_str();
    // OpenDMARC names the domain whose record applies.
    let whose = verdict.published.as_ref().map_or(author, |published| published.domain.as_str());
    match &mut measure {
        Measure::Hold(why) => *why = format!("quarantined by DMARC policy for {whose}"),
        Measure::Refuse(reply) if verdict.result == DmarcResult::Fail => {
            *reply = Reply::new(550, Dsn::new(5, 7, 1), conf.reject_string.replacen("%s", whose, 1));
        }
        Measure::Refuse(_) | Measure::Take => {}
    }
    let mut result = verdict.method_result(&measure);
    if verdict.result == DmarcResult::None {
        result = result.commented("p=none dis=none");
    }
    let line = match verdict.result {
        _ if author.is_empty() => "unable to parse From header field".to_owned(),
        _ => format!("{author} {}", verdict.result.name()),
    };
    let header = (!author.is_empty()).then(|| header(id, &result));
    Told { measure, header, line }
}

/// The header that `id` writes of one result, in one line as OpenDMARC has it.
#[must_use]
pub fn header(id: &str, result: &MethodResult) -> String {
    let alone = AuthenticationResults { authserv_id: id.to_owned(), version: None, results: Vec::new() };
    let rendered = alone.render();
    let head = rendered.strip_suffix("; none").unwrap_or(&rendered);
    format!("{head}; {}\n", result.render_alone())
}
