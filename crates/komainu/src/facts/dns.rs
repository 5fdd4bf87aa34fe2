//! The caching resolver: resolv.conf's servers, or `komainu_dns_servers = address[:port] …`.
//!
//! Names are asked as they are, never with a search domain. "No such name" and "no such records" are
//! told apart from "no answer", which is what 450 against 550 hangs on. What was said is kept by `memory`, whole
//! answers to policy's questions; the library's own cache of records would keep all of it twice.

use super::exchange::{Exchange, Said};
use super::flight::Flight;
use super::hosts::HostsFile;
use super::memory::{Remembering, Source};
use super::zone_times::ZoneTimes;
use super::{AnswerFuture, Names};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
pub use mail::host::reverse_name;
use policy::{Answer, Question, Record, RecordKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Questions under way at once, each with a socket and some 10 kB of the library's state.
const QUESTIONS_MAX: usize = 1_024;
/// How long it is remembered that there is no name or record, at least: also where the answer came without SOA.
const NOTHING_HOLDS_MIN: Duration = Duration::from_secs(5);
/// The same at most: a name that is made today is found today.
const NOTHING_HOLDS_MAX: Duration = Duration::from_secs(900);
/// How long it is remembered that there was no answer.
const FAILURE_HOLDS: Duration = Duration::from_secs(2);
/// For answers that don't shorten the time of others.
const KEPT_AS_LONG_AS_ANOTHER: Duration = Duration::MAX;
/// What the machine's own hosts file says isn't kept, nor what can't be asked.
const NOT_KEPT: Duration = Duration::ZERO;

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// A word of `komainu_dns_servers` is no address.
    #[error("komainu_dns_servers: \"{0}\" is no address[:port]")]
    Server(String),
    /// /etc/resolv.conf is unusable.
    #[error("/etc/resolv.conf: {0}")]
    ResolvConf(#[source] NetError),
    /// The resolver couldn't be set up.
    #[error("resolver: {0}")]
    Build(#[source] NetError),
}

/// Asks name servers, remembers what they said.
pub struct Resolver(Arc<Remembering<Network>>);

/// The name servers, and the hosts file in front of them.
struct Network {
    /// For plain answers.
    exchange: Option<Exchange>,
    resolver: TokioResolver,
    hosts: Option<HostsFile>,
}

impl Resolver {
    /// A resolver that looks into `hosts` and asks `servers`, or where there are none, those of /etc/resolv.conf. `at_once` questions are
    /// under way at the same time, and no more than a thousand; the rest wait. Each takes a descriptor, and a flood of
    /// clients is not to take those that sessions need.
    ///
    /// # Errors
    /// [`ResolverError`].
    pub fn new(
        servers: &[String],
        hosts: Option<HostsFile>,
        at_once: usize,
    ) -> Result<Resolver, ResolverError> {
        let (config, mut options) = if servers.is_empty() {
            hickory_resolver::system_conf::read_system_conf().map_err(ResolverError::ResolvConf)?
        } else {
            let servers = servers.iter().map(|word| name_server(word)).collect::<Result<Vec<_>, _>>()?;
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        options.max_active_requests = QUESTIONS_MAX * 2;
        options.num_concurrent_reqs = 1;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let exchange = Exchange::new(config.name_servers());
        if exchange.is_some() {
            // Its question is the first try: a silent name server costs no more time than it did.
            options.attempts = options.attempts.saturating_sub(1);
        }
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(ResolverError::Build)?;
        let network = Network { exchange, resolver, hosts };
        Ok(Resolver(Arc::new(Remembering::new(network, at_once.min(QUESTIONS_MAX)))))
    }
}

impl Source for Network {
    fn known(&self, question: &Question) -> Option<Answer> {
        let hosts = || self.hosts.as_ref().map(HostsFile::hosts);
        match question {
            Question::HostName(address) => Some(Answer::Names(vec![hosts()?.name(*address)?.to_owned()])),
            Question::HostAddresses(name) => Some(Answer::Addresses(hosts()?.addresses(name)?.to_vec())),
            _ => None,
        }
    }

    async fn fetch(&self, question: &Question) -> (Answer, Duration) {
        match question {
            Question::HostName(address) => self.host_name(*address).await,
            Question::HostAddresses(name) => self.host_addresses(name).await,
            Question::Dns { name, kind } => self.records(name, *kind).await,
            _ => (Answer::Failed("not a question about names".to_owned()), NOT_KEPT),
        }
    }
}

impl Network {
    /// The records, and how long they hold.
    async fn records(&self, name: &str, kind: RecordKind) -> (Answer, Duration) {
        let Ok(mut name) = Name::from_ascii(name) else {
            return (Answer::Invalid(format!("\"{name}\" is no domain name")), NOT_KEPT);
        };
        name.set_fqdn(true);
        let said = match &self.exchange {
            Some(exchange) => exchange.ask(&name, record_type(kind)).await,
            None => None,
        };
        match said {
            Some(Said::Records(records)) => found(&records, kind),
            Some(Said::Nothing(code, holds)) => nothing(code, holds),
            Some(Said::Nobody(server)) => {
                (Answer::Unavailable(format!("name server {server}: connection refused")), FAILURE_HOLDS)
            }
            // In a box: its future is large, and seldom needed.
            None => match Box::pin(self.resolver.lookup(name, record_type(kind))).await {
                Ok(lookup) => found(lookup.answers(), kind),
                Err(error) => no_records(&error),
            },
        }
    }

    async fn host_name(&self, address: IpAddr) -> (Answer, Duration) {
        match self.records(&reverse_name(address), RecordKind::Ptr).await {
            (Answer::Records(records), holds) => {
                let names = records.into_iter().filter_map(|record| match record {
                    Record::Ptr(name) => Some(name),
                    _ => None,
                });
                (Answer::Names(names.collect()), holds)
            }
            other => other,
        }
    }

    async fn host_addresses(&self, name: &str) -> (Answer, Duration) {
        let (v4, v6) = tokio::join!(self.records(name, RecordKind::A), self.records(name, RecordKind::Aaaa));
        // That there are none of one kind says nothing about how long the others hold.
        let lasting = |(answer, holds): &(Answer, Duration)| match answer {
            Answer::NoName | Answer::NoRecords => KEPT_AS_LONG_AS_ANOTHER,
            _ => *holds,
        };
        let (found_holds, holds) = (lasting(&v4).min(lasting(&v6)), v4.1.min(v6.1));
        let mut addresses = Vec::new();
        for answer in [&v4.0, &v6.0] {
            if let Answer::Records(records) = answer {
                addresses.extend(records.iter().filter_map(|record| match record {
                    Record::A(address) => Some(IpAddr::V4(*address)),
                    Record::Aaaa(address) => Some(IpAddr::V6(*address)),
                    _ => None,
                }));
            }
        }
        if !addresses.is_empty() {
            return (Answer::Addresses(addresses), found_holds);
        }
        match (v4.0, v6.0) {
            (unavailable @ Answer::Unavailable(_), _) | (_, unavailable @ Answer::Unavailable(_)) => {
                (unavailable, holds)
            }
            (v4, _) => (v4, holds),
        }
    }
}

impl Names for Resolver {
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a> {
        self.0.ask(question)
    }

    fn known(&self, question: &Question) -> Option<Answer> {
        self.0.known(question)
    }

    fn holds(&self, question: &Question) -> Option<Duration> {
        self.0.holds(question)
    }

    fn zone_times(&self) -> Option<&ZoneTimes> {
        self.0.zone_times()
    }

    fn begin(self: Arc<Self>, question: Question) -> Arc<Flight> {
        Remembering::begin(&self.0, question)
    }
}

fn name_server(word: &str) -> Result<NameServerConfig, ResolverError> {
    let bad = || ResolverError::Server(word.to_owned());
    let address = match word.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => SocketAddr::new(word.trim_matches(['[', ']']).parse().map_err(|_| bad())?, 53),
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].into_iter().map(|mut connection| {
        connection.port = address.port();
        connection
    });
    Ok(NameServerConfig::new(address.ip(), true, connections.collect()))
}

const fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Ns => RecordType::NS,
        RecordKind::Txt => RecordType::TXT,
        RecordKind::Soa => RecordType::SOA,
        RecordKind::Cname => RecordType::CNAME,
        RecordKind::Ptr => RecordType::PTR,
    }
}

fn text(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').map_or_else(|| text.clone(), str::to_owned)
}

fn convert(data: &RData) -> Option<Record> {
    Some(match data {
        RData::A(address) => Record::A(address.0),
        RData::AAAA(address) => Record::Aaaa(address.0),
        RData::MX(mx) => Record::Mx { preference: mx.preference, host: text(&mx.exchange) },
        RData::NS(name) => Record::Ns(text(&name.0)),
        RData::CNAME(name) => Record::Cname(text(&name.0)),
        RData::PTR(name) => Record::Ptr(text(&name.0)),
        RData::TXT(txt) => {
            let joined: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
            Record::Txt(String::from_utf8_lossy(&joined).into_owned())
        }
        RData::SOA(soa) => Record::Soa { primary: text(&soa.mname), contact: text(&soa.rname) },
        _ => return None,
    })
}

/// The records among `answers`, and how long they hold.
fn found(answers: &[hickory_proto::rr::Record], kind: RecordKind) -> (Answer, Duration) {
    // An alias on the way holds no longer than what it leads to.
    let holds = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    let wanted = answers.iter().filter(|record| record.record_type() == record_type(kind));
    let records: Vec<Record> = wanted.filter_map(|record| convert(&record.data)).collect();
    if records.is_empty() {
        return (Answer::NoRecords, NOTHING_HOLDS_MIN);
    }
    (Answer::Records(records), Duration::from_secs(holds.into()))
}

/// Why there are no records, and how long that holds.
fn no_records(error: &NetError) -> (Answer, Duration) {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        return (Answer::Unavailable(error.to_string()), FAILURE_HOLDS);
    };
    nothing(none.response_code, none.negative_ttl)
}

fn nothing(code: ResponseCode, holds: Option<u32>) -> (Answer, Duration) {
    let nothing_holds = Duration::from_secs(holds.unwrap_or(0).into());
    let nothing_holds = nothing_holds.clamp(NOTHING_HOLDS_MIN, NOTHING_HOLDS_MAX);
    match code {
        ResponseCode::NXDomain => (Answer::NoName, nothing_holds),
        ResponseCode::NoError => (Answer::NoRecords, nothing_holds),
        code => (Answer::Unavailable(code.to_string()), FAILURE_HOLDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_by_address_and_port() {
        for good in ["127.0.0.1", "127.0.0.1:5353", "[::1]:53", "::1", "[::1]"] {
            assert!(name_server(good).is_ok(), "{good}");
        }
        assert!(name_server("ns.example").is_err());
    }
}
