//! Which servers a destination has, in the order in which they are tried.
//!
//! RFC 5321 §5.1 (MX, then the name itself), RFC 7505 (null MX), RFC 5321 §5 (a server never sends to servers that are
//! no better than itself: a loop). Names are asked through [`Names`]; the order among equals is the caller's dice.

use crate::facts::Names;
use mail::Dsn;
use policy::{Answer, Question, Record, RecordKind, resource_record};
use proto::client::{Verdict, Why};
use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// What there is to say where a filter leaves no record of an answer.
const ALL_DROPPED: &str = "DNS reply filter drops all results";

/// A server to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// As the log names it.
    pub(super) name: String,
    pub(super) address: IpAddr,
    preference: u16,
}

/// Who asks, and how.
pub(super) struct Lookup<'a> {
    pub(super) names: &'a dyn Names,
    /// Whether a record is to be overlooked (`smtp_dns_reply_filter`).
    pub(super) ignores: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
    /// Takes warnings.
    pub(super) warn: &'a (dyn Fn(String) + Sync),
    /// `smtp_host_lookup = native`: the hosts file and what else the system knows, too.
    pub(super) native: bool,
    /// Address families in use.
    pub(super) v4: bool,
    pub(super) v6: bool,
    /// The machine's addresses and `proxy_interfaces`.
    pub(super) own: &'a [IpAddr],
    /// `myhostname`.
    pub(super) myhostname: &'a str,
    /// Mail goes to port 25; at others another program of this machine may listen.
    pub(super) detects_loops: bool,
    /// `smtp_address_preference`.
    pub(super) preference: Family,
    /// `smtp_randomize_addresses`: dice decide among equals.
    pub(super) shuffles: bool,
    /// `ignore_mx_lookup_error`
    pub(super) ignores_mx_errors: bool,
    /// `smtp_defer_if_no_mx_address_found`
    pub(super) defers_without_address: bool,
}

/// Which kind of address is tried first among equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
}

impl Lookup<'_> {
    /// The mail exchangers of a domain, or the domain itself where it has none.
    pub(super) async fn exchangers(&self, domain: &str, seed: u64) -> Result<Vec<Server>, Verdict> {
        let exchangers = match self.ask(domain, RecordKind::Mx).await {
            Answer::Records(records) => records,
            Answer::NoName | Answer::NoRecords => Vec::new(),
            _ if self.ignores_mx_errors => Vec::new(),
            other => return Err(not_found(domain, "MX", &other)),
        };
        let exchangers: Vec<(u16, String)> = exchangers
            .into_iter()
            .filter_map(|record| match record {
                Record::Mx { preference, host } => Some((preference, host)),
                _ => None,
            })
            .collect();
        if exchangers.is_empty() {
            let servers = self.host(domain, seed).await?;
            return if servers.iter().any(|server| self.is_own(server)) {
                Err(loops(domain))
            } else {
                Ok(servers)
            };
        }
        if exchangers.iter().all(|(_, host)| host.is_empty() || host == ".") {
            let text = format!("Domain {domain} does not accept mail (nullMX)");
            return Err(Verdict::Bounced(Why::new(Dsn::new(5, 1, 0), text)));
        }
        let mut servers = Vec::new();
        let mut failure = None;
        for (preference, host) in exchangers {
            if host.parse::<IpAddr>().is_ok() {
                let text = format!("numeric domain name in resource data of MX record for {domain}: {host}");
                (self.warn)(text);
            }
            match self.host(&host, seed).await {
                Ok(found) => servers.extend(found.into_iter().map(|server| Server { preference, ..server })),
                // One that can be had later is a reason to wait; one that never can is not.
                Err(verdict @ Verdict::Deferred(_)) => failure = Some(verdict),
                Err(verdict) => failure = failure.or(Some(verdict)),
            }
        }
        if servers.is_empty() {
            (self.warn)(format!("no MX host for {domain} has a valid address record"));
            let failure = failure.unwrap_or_else(|| not_found(domain, "MX", &Answer::NoRecords));
            return Err(match failure {
                Verdict::Bounced(why) if self.defers_without_address => {
                    Verdict::Deferred(Why { dsn: Dsn { class: 4, ..why.dsn }, ..why })
                }
                other => other,
            });
        }
        if let Some(own) =
            servers.iter().filter(|server| self.is_own(server)).map(|server| server.preference).min()
        {
            servers.retain(|server| server.preference < own);
            if servers.is_empty() {
                return Err(loops(domain));
            }
        }
        self.order(&mut servers, seed);
        Ok(servers)
    }

    /// The addresses of a host.
    pub(super) async fn host(&self, name: &str, seed: u64) -> Result<Vec<Server>, Verdict> {
        let server = |address| Server { name: name.to_owned(), address, preference: 0 };
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(vec![server(address)]);
        }
        let mut addresses = Vec::new();
        let mut failure = (RecordKind::A, Answer::NoRecords);
        if self.native {
            match self.names.ask(&Question::HostAddresses(name.to_ascii_lowercase())).await {
                Answer::Addresses(found) => addresses = found,
                other => failure.1 = other,
            }
        } else {
            for kind in [RecordKind::A, RecordKind::Aaaa] {
                if !(if kind == RecordKind::A { self.v4 } else { self.v6 }) {
                    continue;
                }
                match self.ask(name, kind).await {
                    Answer::Records(records) => addresses.extend(records.iter().filter_map(address)),
                    // A name server that is silent may know more than one that has nothing.
                    other if !matches!(failure.1, Answer::Unavailable(_) | Answer::Failed(_)) => {
                        failure = (kind, other);
                    }
                    _ => {}
                }
            }
        }
        addresses.retain(|address| if address.is_ipv4() { self.v4 } else { self.v6 });
        if addresses.is_empty() && self.native && !matches!(failure.1, Answer::Unavailable(_)) {
            let text = format!("unable to look up host {name}: Name or service not known");
            return Err(Verdict::Bounced(Why::new(Dsn::new(5, 4, 4), text)));
        }
        if addresses.is_empty() {
            let kind = if failure.0 == RecordKind::A { "A" } else { "AAAA" };
            return Err(not_found(name, kind, &failure.1));
        }
        let mut servers: Vec<Server> = addresses.into_iter().map(server).collect();
        self.order(&mut servers, seed);
        Ok(servers)
    }

    async fn ask(&self, name: &str, kind: RecordKind) -> Answer {
        let answer = self.names.ask(&Question::Dns { name: name.to_ascii_lowercase(), kind }).await;
        let (Answer::Records(records), Some(ignores)) = (&answer, self.ignores) else { return answer };
        let mut records = records.clone();
        records.retain(|record| !ignores(&resource_record(name, record)));
        if records.is_empty() { Answer::Failed(ALL_DROPPED.to_owned()) } else { Answer::Records(records) }
    }

    fn is_own(&self, server: &Server) -> bool {
        let own = server.name.eq_ignore_ascii_case(self.myhostname) || self.own.contains(&server.address);
        own && self.detects_loops
    }

    /// By preference; among equals by the wanted family, then as the dice fall.
    fn order(&self, servers: &mut [Server], seed: u64) {
        let mut dice = Dice(seed | 1);
        let mut fallen: Vec<(u16, bool, u64, Server)> = servers
            .iter()
            .map(|server| {
                let second = match self.preference {
                    Family::Any => false,
                    Family::V4 => server.address.is_ipv6(),
                    Family::V6 => server.address.is_ipv4(),
                };
                let roll = if self.shuffles { dice.roll() } else { 0 };
                (server.preference, second, roll, server.clone())
            })
            .collect();
        fallen.sort_by_key(|(preference, second, roll, _)| (*preference, *second, *roll));
        for (slot, (.., server)) in servers.iter_mut().zip(fallen) {
            *slot = server;
        }
    }
}

/// A few well mixed bits from a seed (xorshift); nobody's secrets hang on them.
struct Dice(u64);

impl Dice {
    const fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const fn address(record: &Record) -> Option<IpAddr> {
    match record {
        Record::A(address) => Some(IpAddr::V4(*address)),
        Record::Aaaa(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn loops(domain: &str) -> Verdict {
    let text = format!("mail for {domain} loops back to myself");
    Verdict::Bounced(Why::new(Dsn::new(5, 4, 6), text))
}

/// Why a name has no servers, in Postfix's words.
fn not_found(name: &str, kind: &str, answer: &Answer) -> Verdict {
    let said = |reason: &str| {
        format!("Host or domain name not found. Name service error for name={name} type={kind}: {reason}")
    };
    let failed = |text| Verdict::Bounced(Why::new(Dsn::new(5, 4, 4), text));
    match answer {
        Answer::Failed(why) => {
            let text = format!("Error looking up name={name} type={kind}: {why}");
            Verdict::Deferred(Why::new(Dsn::new(4, 7, 0), text))
        }
        Answer::NoName => failed(said("Host not found")),
        Answer::NoRecords | Answer::Addresses(_) | Answer::Records(_) => {
            failed(said("Host found but no data record of requested type"))
        }
        Answer::Invalid(_) => failed(said("Malformed or unexpected name server reply")),
        _ => Verdict::Deferred(Why::new(Dsn::new(4, 4, 3), said("Host not found, try again"))),
    }
}
