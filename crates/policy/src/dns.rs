//! What the DNS says, as restrictions want to know it: [`Found`].
//!
//! A name that is no host name isn't asked for: it doesn't exist. `smtpd_dns_reply_filter` drops records here.

use crate::eval::Evaluation;
use crate::facts::{Answer, Lookup, Need, Question, Record, RecordKind};
use std::net::{IpAddr, Ipv4Addr};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Records(Vec<Record>),
    /// No such name.
    NoName,
    /// No such records.
    NoRecords,
    /// No answer.
    Unavailable,
    /// A malformed answer.
    Invalid,
}

impl Found {
    /// Why there are no records, in the resolver's words.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Found::Records(_) => "Success",
            Found::NoName => "Host not found",
            Found::NoRecords => "Host found but no data record of requested type",
            Found::Unavailable => "Host not found, try again",
            Found::Invalid => "Malformed or unexpected name server reply",
        }
    }

    /// What a step tells of it.
    pub(crate) fn remark(&self, name: &str) -> String {
        match self {
            Found::Records(_) => format!("{name} was found"),
            other => format!("{name}: {}", other.reason()),
        }
    }
}

impl Evaluation<'_> {
    /// Asks for records of a host name.
    pub(crate) fn dns(&self, name: &str, kind: RecordKind) -> Result<Found, Need> {
        if !mail::host::is_hostname(name) {
            return Ok(Found::NoName);
        }
        self.dns_of(name, kind)
    }

    /// Asks for records of any name.
    pub(crate) fn dns_of(&self, name: &str, kind: RecordKind) -> Result<Found, Need> {
        let question = Question::Dns { name: name.to_ascii_lowercase(), kind };
        Ok(match self.facts.ask(&question)? {
            Answer::Records(records) => {
                let mut kept = Vec::with_capacity(records.len());
                for record in records {
                    if !self.is_filtered(name, record)? {
                        kept.push(record.clone());
                    }
                }
                if kept.is_empty() { Found::NoRecords } else { Found::Records(kept) }
            }
            Answer::NoName => Found::NoName,
            Answer::NoRecords => Found::NoRecords,
            Answer::Invalid(_) => Found::Invalid,
            _ => Found::Unavailable,
        })
    }

    /// Whether smtpd_dns_reply_filter takes the record out.
    fn is_filtered(&self, name: &str, record: &Record) -> Result<bool, Need> {
        if self.policy.settings.dns_filter.is_empty() {
            return Ok(false);
        }
        let text = resource_record(name, record);
        for &table in &self.policy.settings.dns_filter {
            if let Lookup::Found(hit) = self.facts.lookup(table, &text)? {
                return Ok(hit.value.trim().eq_ignore_ascii_case("ignore"));
            }
        }
        Ok(false)
    }

    /// The addresses of a host.
    pub(crate) fn addresses(&self, name: &str) -> Result<Result<Vec<IpAddr>, &'static str>, Need> {
        if let Some(address) = mail::host::parse_address(name) {
            return Ok(Ok(vec![address]));
        }
        if !mail::host::is_hostname(name) {
            return Ok(Err("Name or service not known"));
        }
        let question = Question::HostAddresses(name.to_ascii_lowercase());
        Ok(match self.facts.ask(&question)? {
            Answer::Addresses(addresses) => Ok(addresses.clone()),
            Answer::NoName => Err("Name or service not known"),
            Answer::NoRecords => Err("No address associated with hostname"),
            _ => Err("Temporary failure in name resolution"),
        })
    }

    /// Whether a name can be mailed to: MX, A or AAAA. `Records` where it can.
    pub(crate) fn mailable(&self, name: &str) -> Result<Found, Need> {
        let mut worst = Found::NoName;
        for kind in [RecordKind::Mx, RecordKind::A, RecordKind::Aaaa] {
            match self.dns(name, kind)? {
                Found::Records(records) => return Ok(Found::Records(records)),
                Found::Unavailable => worst = Found::Unavailable,
                Found::Invalid if worst != Found::Unavailable => worst = Found::Invalid,
                Found::NoRecords if worst == Found::NoName => worst = Found::NoRecords,
                _ => {}
            }
        }
        Ok(worst)
    }
}

/// A record as `smtpd_dns_reply_filter` and its kin see it: `example.com. 0 IN A 192.0.2.1`. Its age isn't known.
#[must_use]
pub fn resource_record(name: &str, record: &Record) -> String {
    let text = match record {
        Record::A(address) => format!("A {address}"),
        Record::Aaaa(address) => format!("AAAA {address}"),
        Record::Mx { preference, host } => format!("MX {preference} {host}."),
        Record::Ns(host) => format!("NS {host}."),
        Record::Txt(text) => format!("TXT {text}"),
        Record::Ptr(host) => format!("PTR {host}."),
        Record::Cname(host) => format!("CNAME {host}."),
        Record::Soa { primary, contact } => format!("SOA {primary}. {contact}."),
    };
    format!("{name}. 0 IN {text}")
}

/// The IPv4 addresses among records.
pub(crate) fn ipv4(records: &[Record]) -> impl Iterator<Item = Ipv4Addr> {
    records.iter().filter_map(|record| match record {
        Record::A(address) => Some(*address),
        _ => None,
    })
}

/// The mail exchangers among records, best first.
pub(crate) fn exchangers(records: &[Record]) -> Vec<(u16, String)> {
    let mut hosts: Vec<(u16, String)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Mx { preference, host } => Some((*preference, host.trim_end_matches('.').to_owned())),
            _ => None,
        })
        .collect();
    hosts.sort();
    hosts
}
