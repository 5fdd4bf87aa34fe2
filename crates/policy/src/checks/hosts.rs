//! check_{client,reverse_client_hostname,helo,sender,recipient}_{a,mx,ns}_access: the hosts behind a name.
//!
//! OK is forbidden in their tables: whoever runs the name's DNS would let themselves in. A name without MX is its own
//! mail host; name servers are those of the nearest parent that has some.

use crate::check::{Entry, HostsOf, Subject};
use crate::dns::{Found, exchangers};
use crate::eval::{About, Evaluation, Status};
use crate::facts::{Need, Record, RecordKind};
use crate::transaction::UNKNOWN;
use mail::host;
use std::net::IpAddr;
use tables::TableId;

/// So many hosts of one name are looked at.
const HOSTS_MAX: usize = 100;

/// Whose hosts.
enum Target {
    Literal(IpAddr),
    Name(String),
}

impl Evaluation<'_> {
    fn target(&self, subject: Subject) -> Option<Target> {
        let known = |name: &str| (name != UNKNOWN).then(|| name.to_owned());
        let domain = |address: &Option<mail::Address>| {
            address.as_ref().and_then(|address| address.domain().map(str::to_owned))
        };
        let name = match subject {
            Subject::Client => known(&self.tx.client.name),
            Subject::ReverseClient => known(&self.tx.client.reverse_name),
            Subject::Helo => self.tx.helo.clone(),
            Subject::Sender => domain(&self.tx.sender),
            Subject::Recipient => domain(&self.tx.recipient),
            _ => None,
        }?;
        Some(match host::parse_literal(&name) {
            Some(address) => Target::Literal(address),
            None if name.is_empty() || name.starts_with('[') => return None,
            None => Target::Name(name.trim_end_matches('.').to_owned()),
        })
    }

    pub(crate) fn host_access(
        &mut self,
        entry: &Entry,
        subject: Subject,
        hosts: HostsOf,
        table: TableId,
    ) -> Result<Status, Need> {
        let about = self.about(subject);
        let shown = if subject == Subject::Client { self.tx.client.name.clone() } else { about.name.clone() };
        let status = match self.target(subject) {
            None => Status::Dunno,
            Some(Target::Literal(_)) if hosts == HostsOf::Ns => Status::Dunno,
            Some(Target::Literal(address)) => self.address_access(table, address, &about)?,
            Some(Target::Name(name)) => self.named_hosts(&name, hosts, table, &about)?,
        };
        Ok(self.forbid_permit(entry, status, &shown))
    }

    fn named_hosts(
        &mut self,
        name: &str,
        hosts: HostsOf,
        table: TableId,
        about: &About,
    ) -> Result<Status, Need> {
        let servers = match hosts {
            HostsOf::Address => vec![name.to_owned()],
            HostsOf::Mx => self.mail_hosts(name)?,
            HostsOf::Ns => self.name_servers(name)?,
        };
        for server in servers.iter().take(HOSTS_MAX) {
            if hosts != HostsOf::Address {
                let status = self.domain_access(table, server, about)?;
                if status != Status::Dunno {
                    return Ok(status);
                }
            }
            match self.addresses(server)? {
                Ok(addresses) => {
                    for address in addresses.into_iter().take(HOSTS_MAX) {
                        let status = self.address_access(table, address, about)?;
                        if status != Status::Dunno {
                            return Ok(status);
                        }
                    }
                }
                Err(_) if hosts == HostsOf::Address => {}
                Err(reason) => {
                    let kind = if hosts == HostsOf::Mx { "MX" } else { "NS" };
                    let words = about.subject.words();
                    self.warning(format!(
                        "Unable to look up {kind} host {server} for {words} {}: {reason}",
                        about.name
                    ));
                }
            }
        }
        Ok(Status::Dunno)
    }

    fn mail_hosts(&mut self, name: &str) -> Result<Vec<String>, Need> {
        if host::parse_address(name).is_some() {
            return Ok(vec![name.to_owned()]);
        }
        Ok(match self.dns(name, RecordKind::Mx)? {
            Found::Records(records) => exchangers(&records)
                .into_iter()
                .map(|(_, host)| host)
                .filter(|host| !host.is_empty())
                .collect(),
            Found::NoName | Found::NoRecords => vec![name.to_owned()],
            other => {
                self.warning(format!("Unable to look up MX host for {name}: {}", other.reason()));
                Vec::new()
            }
        })
    }

    fn name_servers(&mut self, name: &str) -> Result<Vec<String>, Need> {
        let mut at = name;
        loop {
            let found = self.dns(at, RecordKind::Ns)?;
            match (&found, at.split_once('.')) {
                (Found::Records(records), _) => {
                    let servers = records.iter().filter_map(|record| match record {
                        Record::Ns(host) => Some(host.trim_end_matches('.').to_owned()),
                        _ => None,
                    });
                    return Ok(servers.collect());
                }
                (Found::NoName | Found::NoRecords, Some((_, parent))) if !parent.is_empty() => at = parent,
                _ => {
                    self.warning(format!("Unable to look up NS host for {name}: {}", found.reason()));
                    return Ok(Vec::new());
                }
            }
        }
    }
}
