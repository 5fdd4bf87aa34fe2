//! Who answers a made-up session's questions: a file, the resolver, or nobody.
//!
//! An answers file has one answer a line: `name TYPE data`, `address PTR name`, or `policy ENDPOINT ACTION…`;
//! NXDOMAIN, NODATA, SERVFAIL and TIMEOUT stand in the place of the data or of type and data. Names that it doesn't
//! have don't exist. What nobody answers is assumed, see [`favourable`].

use crate::facts::Names;
use policy::{Answer, Deliverability, Effect, Policy, Question, Record, RecordKind, Verified};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Answers one question, or doesn't know.
pub trait Answerer {
    /// The answer; `None` where it isn't known.
    fn answer(&self, question: &Question, policy: &Policy) -> Option<Answer>;

    /// Whether it knows nothing at all.
    fn is_nobody(&self) -> bool {
        false
    }
}

/// Nobody knows anything.
pub struct Offline;

impl Answerer for Offline {
    fn answer(&self, _question: &Question, _policy: &Policy) -> Option<Answer> {
        None
    }

    fn is_nobody(&self) -> bool {
        true
    }
}

/// The resolver answers what it can; each question is asked once.
pub struct Online {
    /// Names and DNS.
    pub names: Arc<dyn Names>,
    /// Where its work is done.
    pub runtime: Runtime,
    known: RefCell<HashMap<Question, Answer>>,
}

impl Online {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(names: Arc<dyn Names>, runtime: Runtime) -> Online {
        Online { names, runtime, known: RefCell::default() }
    }
}

impl Answerer for Online {
    fn answer(&self, question: &Question, _policy: &Policy) -> Option<Answer> {
        match question {
            Question::HostName(_) | Question::HostAddresses(_) | Question::Dns { .. } => {
                if let Some(answer) = self.known.borrow().get(question) {
                    return Some(answer.clone());
                }
                let answer = self.runtime.block_on(self.names.ask(question));
                self.known.borrow_mut().insert(question.clone(), answer.clone());
                Some(answer)
            }
            _ => None,
        }
    }
}

/// An answers file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    names: HashMap<String, HashMap<RecordKind, Answer>>,
    /// What stands for every type of a name.
    whole: HashMap<String, Answer>,
    policy: HashMap<String, String>,
}

/// Why an answers file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadAnswer {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Written {
    /// Reads an answers file.
    ///
    /// # Errors
    /// At the first line that isn't an answer.
    pub fn parse(text: &str) -> Result<Written, BadAnswer> {
        let mut written = Written::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
            if !line.is_empty() {
                written.add(line).map_err(|what| BadAnswer { line: index.saturating_add(1), what })?;
            }
        }
        Ok(written)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let (first, rest) = split(line);
        if first == "policy" {
            let (endpoint, action) = split(rest);
            if action.is_empty() {
                return Err("write: policy ENDPOINT ACTION".to_owned());
            }
            self.policy.insert(endpoint.to_owned(), action.to_owned());
            return Ok(());
        }
        let name = match first.parse::<IpAddr>() {
            Ok(address) => crate::facts::dns::reverse_name(address),
            Err(_) => first.trim_end_matches('.').to_ascii_lowercase(),
        };
        let (second, data) = split(rest);
        if let Some(special) = special(second) {
            self.whole.insert(name, special);
            return Ok(());
        }
        let (kind, data) = (kind(second)?, data.trim());
        let kinds = self.names.entry(name).or_default();
        match special(data) {
            Some(special) => {
                kinds.insert(kind, special);
            }
            None => {
                let record = record(kind, data)?;
                match kinds.entry(kind).or_insert_with(|| Answer::Records(Vec::new())) {
                    Answer::Records(records) => records.push(record),
                    other => *other = Answer::Records(vec![record]),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn records(&self, name: &str, kind: RecordKind) -> Answer {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(answer) = self.names.get(&name).and_then(|kinds| kinds.get(&kind)) {
            return answer.clone();
        }
        match (self.whole.get(&name), self.names.contains_key(&name)) {
            (Some(answer), _) => answer.clone(),
            (None, true) => Answer::NoRecords,
            (None, false) => Answer::NoName,
        }
    }

    fn addresses(&self, name: &str) -> Answer {
        let (v4, v6) = (self.records(name, RecordKind::A), self.records(name, RecordKind::Aaaa));
        let found: Vec<IpAddr> = [&v4, &v6]
            .into_iter()
            .filter_map(|answer| if let Answer::Records(records) = answer { Some(records) } else { None })
            .flatten()
            .filter_map(|record| match record {
                Record::A(address) => Some(IpAddr::V4(*address)),
                Record::Aaaa(address) => Some(IpAddr::V6(*address)),
                _ => None,
            })
            .collect();
        match (found.is_empty(), v4, v6) {
            (false, ..) => Answer::Addresses(found),
            (_, failed @ Answer::Unavailable(_), _) | (_, _, failed @ Answer::Unavailable(_)) => failed,
            (_, v4, _) => v4,
        }
    }
}

impl Answerer for Written {
    fn answer(&self, question: &Question, policy: &Policy) -> Option<Answer> {
        match question {
            Question::HostName(address) => {
                let name = crate::facts::dns::reverse_name(*address);
                Some(match self.records(&name, RecordKind::Ptr) {
                    Answer::Records(records) => Answer::Names(
                        records
                            .into_iter()
                            .filter_map(
                                |record| if let Record::Ptr(name) = record { Some(name) } else { None },
                            )
                            .collect(),
                    ),
                    other => other,
                })
            }
            Question::HostAddresses(name) => Some(self.addresses(name)),
            Question::Dns { name, kind } => Some(self.records(name, *kind)),
            Question::Effect { effect: Effect::PolicyService { service, .. }, .. } => {
                let endpoint = &policy.services().get(*service)?.name;
                self.policy.get(endpoint).map(|action| Answer::Action(action.clone()))
            }
            _ => None,
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).map_or((text, ""), |(first, rest)| (first, rest.trim()))
}

fn special(word: &str) -> Option<Answer> {
    Some(match word {
        "NXDOMAIN" => Answer::NoName,
        "NODATA" => Answer::NoRecords,
        "SERVFAIL" => Answer::Unavailable("Server Failure".to_owned()),
        "REFUSED" => Answer::Unavailable("Query Refused".to_owned()),
        "TIMEOUT" => Answer::Unavailable("request timed out".to_owned()),
        _ => return None,
    })
}

fn kind(word: &str) -> Result<RecordKind, String> {
    Ok(match word.to_ascii_uppercase().as_str() {
        "A" => RecordKind::A,
        "AAAA" => RecordKind::Aaaa,
        "MX" => RecordKind::Mx,
        "NS" => RecordKind::Ns,
        "TXT" => RecordKind::Txt,
        "SOA" => RecordKind::Soa,
        "CNAME" => RecordKind::Cname,
        "PTR" => RecordKind::Ptr,
        _ => return Err(format!("\"{word}\" is no record type: write NAME TYPE DATA")),
    })
}

fn record(kind: RecordKind, data: &str) -> Result<Record, String> {
    let host = |text: &str| text.trim_end_matches('.').to_owned();
    let bad = |what: &str| format!("\"{data}\" is no {what}");
    if data.is_empty() {
        return Err("the data is missing: write NAME TYPE DATA".to_owned());
    }
    Ok(match kind {
        RecordKind::A => Record::A(data.parse().map_err(|_| bad("IPv4 address"))?),
        RecordKind::Aaaa => Record::Aaaa(data.parse().map_err(|_| bad("IPv6 address"))?),
        RecordKind::Mx => {
            let (preference, name) = split(data);
            let preference = preference.parse().map_err(|_| bad("preference and host"))?;
            Record::Mx { preference, host: host(name) }
        }
        RecordKind::Ns => Record::Ns(host(data)),
        RecordKind::Txt => Record::Txt(data.trim_matches('"').to_owned()),
        RecordKind::Ptr => Record::Ptr(host(data)),
        RecordKind::Cname => Record::Cname(host(data)),
        RecordKind::Soa => Record::Soa { primary: host(data), contact: "hostmaster.invalid".to_owned() },
    })
}

/// What is assumed where nobody knows: names are there and lead back, no list has the client, services have nothing
/// to say.
#[must_use]
pub fn favourable(question: &Question, policy: &Policy, client: IpAddr) -> Answer {
    match question {
        Question::HostName(_) => Answer::Names(vec!["client.invalid".to_owned()]),
        Question::HostAddresses(_) => Answer::Addresses(vec![client]),
        Question::Dns { name, kind } if is_listing(name, policy) => match kind {
            RecordKind::A => Answer::NoName,
            _ => Answer::NoRecords,
        },
        Question::Dns { name, kind } => match kind {
            RecordKind::A => Answer::Records(vec![Record::A([192, 0, 2, 25].into())]),
            RecordKind::Mx => {
                Answer::Records(vec![Record::Mx { preference: 10, host: format!("mx.{name}") }])
            }
            RecordKind::Ns => Answer::Records(vec![Record::Ns(format!("ns.{name}"))]),
            _ => Answer::NoRecords,
        },
        Question::ZoneHealth(_) => Answer::Healthy(true),
        Question::Lookup { .. } => Answer::Value(None),
        Question::Effect { effect: Effect::Sleep(_), .. } => Answer::Done,
        Question::Effect { effect: Effect::PolicyService { .. }, .. } => Answer::Action("DUNNO".to_owned()),
        Question::Effect { effect: Effect::Verify { .. }, .. } => {
            Answer::Verified(Verified { found: Deliverability::Deliverable, text: "deliverable".to_owned() })
        }
    }
}

/// What else the answer might be.
#[must_use]
pub fn others(question: &Question, policy: &Policy) -> Vec<Answer> {
    let unavailable = || Answer::Unavailable("no answer".to_owned());
    match question {
        Question::HostName(_) => vec![Answer::NoName, unavailable()],
        Question::HostAddresses(_) => {
            vec![Answer::Addresses(vec![[198, 51, 100, 99].into()]), Answer::NoName, unavailable()]
        }
        Question::Dns { name, kind: RecordKind::A } if is_listing(name, policy) => {
            let mut answers: Vec<Answer> =
                (2..=15).map(|last| Answer::Records(vec![Record::A([127, 0, 0, last].into())])).collect();
            answers.push(unavailable());
            answers
        }
        Question::Dns { name, .. } if is_listing(name, policy) => Vec::new(),
        Question::Dns { .. } => vec![Answer::NoName, unavailable()],
        Question::Lookup { .. } => vec![Answer::Failed("no answer".to_owned())],
        Question::Effect { effect: Effect::PolicyService { .. }, .. } => vec![
            Answer::Action("REJECT".to_owned()),
            Answer::Action("DEFER_IF_PERMIT".to_owned()),
            Answer::Failed("no answer".to_owned()),
        ],
        Question::Effect { effect: Effect::Verify { .. }, .. } => {
            let (found, text) = (Deliverability::Undeliverable, "no such user".to_owned());
            vec![Answer::Verified(Verified { found, text }), Answer::Verified(Verified::in_progress())]
        }
        Question::Effect { effect: Effect::Sleep(_), .. } | Question::ZoneHealth(_) => Vec::new(),
    }
}

/// Whether a name is asked of a DNSBL, where an address means something else than elsewhere.
fn is_listing(name: &str, policy: &Policy) -> bool {
    policy.dnsbl_zones().iter().any(|zone| {
        name.len() > zone.domain.len()
            && name.to_ascii_lowercase().ends_with(&format!(".{}", zone.domain.to_ascii_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_answers_for_the_names_that_it_has() {
        let text = "192.0.2.1 PTR mail.example.org\nmail.example.org A 192.0.2.1 # leads back\n\
                    example.org MX 10 mail.example.org\nslow.example TIMEOUT\nempty.example MX NODATA\n";
        let written = Written::parse(text).unwrap();
        let ptr = crate::facts::dns::reverse_name([192, 0, 2, 1].into());
        let check =
            |name: &str, kind, expect: &Answer| assert_eq!(&written.records(name, kind), expect, "{name}");
        check(&ptr, RecordKind::Ptr, &Answer::Records(vec![Record::Ptr("mail.example.org".into())]));
        check("MAIL.example.org", RecordKind::Aaaa, &Answer::NoRecords);
        check("nowhere.example", RecordKind::A, &Answer::NoName);
        check("slow.example", RecordKind::A, &Answer::Unavailable("request timed out".into()));
        check("empty.example", RecordKind::Mx, &Answer::NoRecords);
        assert_eq!(written.addresses("mail.example.org"), Answer::Addresses(vec![[192, 0, 2, 1].into()]));
    }

    #[test]
    fn lines_that_are_no_answers_are_named() {
        let check =
            |text: &str, line: usize| assert_eq!(Written::parse(text).unwrap_err().line, line, "{text}");
        check("example.org", 1);
        check("# fine\nexample.org A not-an-address", 2);
        check("example.org WHAT 1", 1);
        check("policy inet:127.0.0.1:10023", 1);
    }
}
