//! `check_host()` of RFC 7208 §4: from a domain's record to a result, as far as the facts reach.
//!
//! A question that isn't answered yet leaves through `?`, and the whole evaluation begins anew with one fact more.
//! What the limits of §4.6.4 bound: ten terms that ask the DNS over all records, ten hosts of an MX, ten names of a
//! PTR, and as many questions without an answer as [`Settings::void_limit`] says.

use super::macros::{Letter, MacroString, Meanings, Use};
use super::record::{self, Directive, Hosts, Malformed, Mechanism, Network, Qualifier, SpfRecord};
use super::{Problem, Sender, Settings, SpfResult, Verdict};
use crate::facts::{Answer, Facts, Need, Question, Record, RecordKind};
use std::net::IpAddr;

/// Terms that ask the DNS, redirections included.
const LOOKUPS_MAX: u32 = 10;
/// Hosts of one MX, names of one PTR.
const HOSTS_MAX: usize = 10;
/// The longest name that is asked for.
const NAME_BYTES_MAX: usize = 253;
/// The longest explanation that is passed on.
const EXPLANATION_CHARS_MAX: usize = 400;

/// Why an evaluation doesn't go on.
enum Stop {
    Need(Need),
    Temporary(Problem),
    Permanent(Problem),
}

impl From<Need> for Stop {
    fn from(need: Need) -> Stop {
        Stop::Need(need)
    }
}

/// Which questions without an answer count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Void {
    Counts,
    Ignored,
}

/// What the records of one domain come to.
struct Found {
    result: SpfResult,
    /// As written.
    mechanism: Option<String>,
    /// Whose record decided.
    domain: String,
    explanation: Option<MacroString>,
}

struct Evaluation<'a> {
    sender: &'a Sender<'a>,
    settings: &'a Settings<'a>,
    facts: &'a Facts,
    /// The sender's domain in A-labels.
    origin: String,
    lookups: u32,
    voids: u32,
}

/// Macros within one domain's record.
struct Within<'e, 'a> {
    evaluation: &'e mut Evaluation<'a>,
    domain: &'e str,
}

/// See [`super::check`].
pub(super) fn check(sender: &Sender<'_>, settings: &Settings<'_>, facts: &Facts) -> Result<Verdict, Need> {
    let Some(domain) = initial(sender.domain) else { return Ok(Verdict::plain(SpfResult::None)) };
    let mut evaluation = Evaluation { sender, settings, facts, origin: domain.clone(), lookups: 0, voids: 0 };
    let text = match evaluation.spf_text(&domain) {
        Ok(text) => text,
        Err(stop) => return failed(stop),
    };
    let Some(text) = text else { return Ok(Verdict::plain(SpfResult::None)) };
    let found = match evaluation.judge(&domain, &text) {
        Ok(found) => found,
        Err(stop) => return failed(stop).map(|verdict| Verdict { record: Some(text), ..verdict }),
    };
    let explanation = match (found.result, &found.explanation) {
        (SpfResult::Fail, Some(name)) => evaluation.explain(name, &found.domain)?,
        _ => None,
    };
    Ok(Verdict {
        result: found.result,
        mechanism: found.mechanism,
        explanation,
        problem: None,
        record: Some(text),
    })
}

fn failed(stop: Stop) -> Result<Verdict, Need> {
    let (result, problem) = match stop {
        Stop::Need(need) => return Err(need),
        Stop::Temporary(problem) => (SpfResult::TempError, problem),
        Stop::Permanent(problem) => (SpfResult::PermError, problem),
    };
    Ok(Verdict { problem: Some(problem), ..Verdict::plain(result) })
}

/// RFC 7208 §4.3: a name of several labels, in A-labels.
fn initial(domain: &str) -> Option<String> {
    let domain = mail::host::ascii_name(domain)?;
    let domain = domain.strip_suffix('.').unwrap_or(&domain);
    (is_askable(domain) && domain.contains('.') && !domain.starts_with('[')).then(|| domain.to_owned())
}

/// Whether a name can be asked for.
fn is_askable(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| (b.is_ascii_graphic() && b != b'\\') || b == b' ')
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

impl<'a> Evaluation<'a> {
    /// The record of `domain`, where it has one.
    fn spf_text(&self, domain: &str) -> Result<Option<String>, Stop> {
        let mut texts = match self.ask(domain, RecordKind::Txt)? {
            Answer::Records(records) => records.iter().filter_map(|record| match record {
                Record::Txt(text) if record::is_record(text) => Some(text),
                _ => None,
            }),
            Answer::NoName | Answer::NoRecords => return Ok(None),
            // A name that can't be asked for has no record.
            Answer::Invalid(_) => return Ok(None),
            _ => {
                return Err(Stop::Temporary(Problem::NoAnswer {
                    name: domain.to_owned(),
                    kind: RecordKind::Txt,
                }));
            }
        };
        let first = texts.next().cloned();
        match texts.next() {
            Some(_) => Err(Stop::Permanent(Problem::Several { domain: domain.to_owned() })),
            None => Ok(first),
        }
    }

    /// RFC 7208 §4.6 with the record of `domain`.
    fn judge(&mut self, domain: &str, text: &str) -> Result<Found, Stop> {
        let malformed =
            |Malformed(term)| Stop::Permanent(Problem::Malformed { domain: domain.to_owned(), term });
        let record = SpfRecord::parse(text).map_err(malformed)?;
        for directive in &record.directives {
            if self.matches(directive, domain)? {
                let result = match directive.qualifier {
                    Qualifier::Pass => SpfResult::Pass,
                    Qualifier::Fail => SpfResult::Fail,
                    Qualifier::SoftFail => SpfResult::SoftFail,
                    Qualifier::Neutral => SpfResult::Neutral,
                };
                let (mechanism, domain) = (Some(directive.text.clone()), domain.to_owned());
                return Ok(Found { result, mechanism, domain, explanation: record.explanation });
            }
        }
        let Some(redirect) = record.redirect else {
            let result = SpfResult::Neutral;
            return Ok(Found { result, mechanism: None, domain: domain.to_owned(), explanation: None });
        };
        self.count()?;
        let target = self.expand(&redirect, domain)?;
        let nothing = || Stop::Permanent(Problem::NoRecord { domain: target.clone() });
        let name = is_askable(&target).then_some(&target).ok_or_else(nothing)?;
        let text = self.spf_text(name)?.ok_or_else(nothing)?;
        self.judge(name, &text)
    }

    fn matches(&mut self, directive: &Directive, domain: &str) -> Result<bool, Stop> {
        match &directive.mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip(network) => Ok(network.contains(self.sender.client)),
            Mechanism::Include(name) => self.includes(name, domain),
            Mechanism::A(hosts) => {
                self.count()?;
                let Some(name) = self.target(hosts.domain.as_ref(), domain)? else { return Ok(false) };
                self.is_host(&name, hosts, Void::Counts)
            }
            Mechanism::Mx(hosts) => self.is_exchanger(hosts, domain),
            Mechanism::Ptr(name) => {
                self.count()?;
                let Some(target) = self.target(name.as_ref(), domain)? else { return Ok(false) };
                Ok(self.validated(&target)?.is_some_and(|name| is_within(&name, &target)))
            }
            Mechanism::Exists(name) => {
                self.count()?;
                let Some(name) = self.target(Some(name), domain)? else { return Ok(false) };
                Ok(!self.records(&name, RecordKind::A, Void::Counts)?.is_empty())
            }
        }
    }

    /// RFC 7208 §5.2: the other domain's record is asked a question; its `exp` is not ours.
    fn includes(&mut self, name: &MacroString, domain: &str) -> Result<bool, Stop> {
        self.count()?;
        let target = self.expand(name, domain)?;
        let nothing = || Stop::Permanent(Problem::NoRecord { domain: target.clone() });
        let name = is_askable(&target).then_some(&target).ok_or_else(nothing)?;
        let text = self.spf_text(name)?.ok_or_else(nothing)?;
        Ok(self.judge(name, &text)?.result == SpfResult::Pass)
    }

    fn is_exchanger(&mut self, hosts: &Hosts, domain: &str) -> Result<bool, Stop> {
        self.count()?;
        let Some(name) = self.target(hosts.domain.as_ref(), domain)? else { return Ok(false) };
        let exchangers = crate::dns::exchangers(self.records(&name, RecordKind::Mx, Void::Counts)?);
        if exchangers.len() > HOSTS_MAX {
            return Err(Stop::Permanent(Problem::ManyExchangers { domain: name }));
        }
        for (_, host) in exchangers {
            // RFC 7505: a null MX names no host.
            if is_askable(&host) && self.is_host(&host, hosts, Void::Counts)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the client is one of a host's addresses, or in one network with it.
    fn is_host(&mut self, host: &str, hosts: &Hosts, void: Void) -> Result<bool, Stop> {
        let client = self.sender.client;
        let (kind, bits) = match client {
            IpAddr::V4(_) => (RecordKind::A, hosts.v4),
            IpAddr::V6(_) => (RecordKind::Aaaa, hosts.v6),
        };
        let records = self.records(host, kind, void)?;
        Ok(records.iter().any(|record| match record {
            Record::A(address) => Network::new((*address).into(), bits).contains(client),
            Record::Aaaa(address) => Network::new((*address).into(), bits).contains(client),
            _ => false,
        }))
    }

    /// RFC 7208 §5.5: a name of the client that leads back to it; best `target` itself, then one below it. Whatever
    /// the DNS can't say isn't there.
    fn validated(&mut self, target: &str) -> Result<Option<String>, Stop> {
        let reverse = mail::host::reverse_name(self.sender.client);
        let records = match self.records(&reverse, RecordKind::Ptr, Void::Counts) {
            Err(Stop::Temporary(_)) => return Ok(None),
            other => other?,
        };
        let names = records.iter().filter_map(|record| match record {
            Record::Ptr(name) => Some(name.strip_suffix('.').unwrap_or(name)),
            _ => None,
        });
        let mut names: Vec<&str> = names.take(HOSTS_MAX).filter(|name| is_askable(name)).collect();
        names.sort_by_key(|name| (!name.eq_ignore_ascii_case(target), !is_within(name, target)));
        let exact = Hosts { domain: None, v4: 32, v6: 128 };
        for name in names {
            match self.is_host(name, &exact, Void::Ignored) {
                Ok(true) => return Ok(Some(name.to_owned())),
                Ok(false) | Err(Stop::Temporary(_)) => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(None)
    }

    /// The name that a term asks for; `None` where nobody can have it.
    fn target(&mut self, name: Option<&MacroString>, domain: &str) -> Result<Option<String>, Stop> {
        let Some(name) = name else { return Ok(Some(domain.to_owned())) };
        let name = self.expand(name, domain)?;
        Ok(is_askable(&name).then_some(name))
    }

    /// RFC 7208 §7.3: what is too long loses labels on the left.
    fn expand(&mut self, name: &MacroString, domain: &str) -> Result<String, Stop> {
        let expanded = name.expand(&mut Within { evaluation: self, domain })?;
        let mut name = expanded.strip_suffix('.').unwrap_or(&expanded);
        while name.len() > NAME_BYTES_MAX
            && let Some((_, shorter)) = name.split_once('.')
        {
            name = shorter;
        }
        Ok(name.to_owned())
    }

    /// RFC 7208 §6.2: whatever is wrong with it, there is none.
    fn explain(&mut self, name: &MacroString, domain: &str) -> Result<Option<String>, Need> {
        let quiet = |stop| match stop {
            Stop::Need(need) => Err(need),
            Stop::Temporary(_) | Stop::Permanent(_) => Ok(None),
        };
        let name = match self.expand(name, domain) {
            Ok(name) if is_askable(&name) => name,
            Ok(_) => return Ok(None),
            Err(stop) => return quiet(stop),
        };
        let records = match self.records(&name, RecordKind::Txt, Void::Ignored) {
            Ok(records) => records,
            Err(stop) => return quiet(stop),
        };
        let [Record::Txt(text)] = records else { return Ok(None) };
        let Some(text) = MacroString::parse(text, Use::Explanation) else { return Ok(None) };
        match text.expand(&mut Within { evaluation: self, domain }) {
            Ok(text) => Ok(super::printable(&text, EXPLANATION_CHARS_MAX)),
            Err(stop) => quiet(stop),
        }
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX { Err(Stop::Permanent(Problem::ManyLookups)) } else { Ok(()) }
    }

    /// Records of one kind; none where there are none.
    fn records(&mut self, name: &str, kind: RecordKind, void: Void) -> Result<&'a [Record], Stop> {
        match self.ask(name, kind)? {
            Answer::Records(records) => return Ok(records),
            Answer::NoName | Answer::NoRecords | Answer::Invalid(_) => {}
            _ => return Err(Stop::Temporary(Problem::NoAnswer { name: name.to_owned(), kind })),
        }
        if void == Void::Counts {
            self.voids += 1;
            if self.voids > self.settings.void_limit {
                return Err(Stop::Permanent(Problem::ManyVoids));
            }
        }
        Ok(&[])
    }

    fn ask(&self, name: &str, kind: RecordKind) -> Result<&'a Answer, Stop> {
        Ok(self.facts.ask(&Question::Dns { name: name.to_ascii_lowercase(), kind })?)
    }
}

/// Whether `name` is `domain` or below it.
pub(super) fn is_within(name: &str, domain: &str) -> bool {
    let Some(at) = name.len().checked_sub(domain.len()) else { return false };
    name.split_at_checked(at).is_some_and(|(front, back)| {
        back.eq_ignore_ascii_case(domain) && (front.is_empty() || front.ends_with('.'))
    })
}

impl Meanings for Within<'_, '_> {
    type Stop = Stop;

    fn meaning(&mut self, letter: Letter) -> Result<String, Stop> {
        let sender = self.evaluation.sender;
        Ok(match letter {
            Letter::Sender => format!("{}@{}", sender.local, self.evaluation.origin),
            Letter::Local => sender.local.to_owned(),
            Letter::Origin => self.evaluation.origin.clone(),
            Letter::Domain => self.domain.to_owned(),
            Letter::Address => match sender.client {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => {
                    let digits: Vec<String> = address
                        .octets()
                        .iter()
                        .map(|octet| format!("{:X}.{:X}", octet >> 4, octet & 15))
                        .collect();
                    digits.join(".")
                }
            },
            Letter::Name => self.evaluation.validated(self.domain)?.unwrap_or_else(|| "unknown".to_owned()),
            Letter::Family => if sender.client.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            Letter::Helo => sender.helo.to_owned(),
            Letter::Readable => sender.client.to_string(),
            Letter::Receiver => self.evaluation.settings.receiver.to_owned(),
            Letter::Time => self.evaluation.settings.now.seconds().to_string(),
        })
    }
}
