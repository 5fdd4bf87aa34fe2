//! Who may send where: reject_unauth_destination, permit_auth_destination, permit_mx_backup, check_relay_domains.
//!
//! The promise that nobody relays who may not rests here and on the address classes (RFC 5321 §3.6.2). T2.11.

use crate::dns::{Found, exchangers};
use crate::eval::{Evaluation, Gravity, Status};
use crate::facts::{Facts, Need, RecordKind};
use mail::{Dsn, Reply};

/// Whether mail for the recipient is ours to take.
enum Destination {
    Authorized,
    Foreign {
        domain: String,
        routed: bool,
    },
    /// No recipient here.
    None,
    /// Refused already: a table could not say.
    Failed(Status),
}

impl Evaluation<'_> {
    fn destination(&mut self) -> Result<Destination, Need> {
        let Some(recipient) = self.tx.recipient.clone() else { return Ok(Destination::None) };
        Ok(match self.resolve(&recipient)? {
            Ok(resolved) if self.policy.addresses.is_authorized_destination(&resolved) => {
                Destination::Authorized
            }
            Ok(resolved) => Destination::Foreign { domain: resolved.domain, routed: resolved.routed },
            Err(()) => {
                let about = self.recipient();
                Destination::Failed(self.lookup_failure(&about))
            }
        })
    }

    pub(crate) fn permit_auth_destination(&mut self) -> Result<Status, Need> {
        Ok(match self.destination()? {
            Destination::Authorized => {
                let about = self.recipient();
                self.permit("permit_auth_destination", &about, "")
            }
            Destination::Failed(status) => status,
            Destination::Foreign { .. } | Destination::None => Status::Dunno,
        })
    }

    pub(crate) fn unauth_destination(&mut self, code: u16) -> Result<Status, Need> {
        Ok(match self.destination()? {
            Destination::Authorized | Destination::None => Status::Dunno,
            Destination::Failed(status) => status,
            Destination::Foreign { .. } => {
                let text = format!("<{}>: Relay access denied", self.recipient().name);
                self.refuse(Reply::new(code, Dsn::new(4, 7, 1), text), Gravity::Policy)
            }
        })
    }

    pub(crate) fn check_relay_domains(&mut self, code: u16) -> Result<Status, Need> {
        let client = &self.tx.client.name;
        let listed = self.policy.settings.relay_domains.contains(self.facts.snapshot(), client);
        if Facts::listed(listed)? == Ok(true) {
            let about = self.client();
            return Ok(self.permit("check_relay_domains", &about, ""));
        }
        let about = self.recipient();
        Ok(match self.destination()? {
            Destination::Authorized => self.permit("check_relay_domains", &about, ""),
            Destination::None => Status::Dunno,
            Destination::Failed(status) => status,
            Destination::Foreign { .. } => {
                self.reject(code, Dsn::new(4, 7, 1), &about, "Relay access denied")
            }
        })
    }

    pub(crate) fn permit_mx_backup(&mut self) -> Result<Status, Need> {
        let about = self.recipient();
        let domain = match self.destination()? {
            Destination::Authorized => return Ok(self.permit("permit_mx_backup", &about, "")),
            Destination::Foreign { domain, routed: false } => domain,
            Destination::Foreign { .. } | Destination::None => return Ok(Status::Dunno),
            Destination::Failed(status) => return Ok(status),
        };
        let hosts = match self.dns(&domain, RecordKind::Mx)? {
            Found::Records(records) => exchangers(&records),
            Found::NoName | Found::NoRecords => return Ok(Status::Dunno),
            other => {
                let text = format!("Unable to look up mail exchanger information: {}", other.reason());
                return Ok(self.defer_if_reject(about.reply(450, Dsn::new(4, 4, 4), &text)));
            }
        };
        let best = hosts.iter().map(|&(preference, _)| preference).min();
        let mut listed = false;
        let mut primaries = Vec::new();
        for (preference, host) in &hosts {
            let own = self.is_own_host(host)?;
            if Some(*preference) == best {
                if own {
                    // The primary: that would be a final destination.
                    return Ok(Status::Dunno);
                }
                primaries.push(host.clone());
            }
            listed |= own;
        }
        if !listed {
            return Ok(Status::Dunno);
        }
        if self.policy.settings.mx_backup_limited && !self.are_backup_networks(&primaries)? {
            return Ok(Status::Dunno);
        }
        Ok(self.permit("permit_mx_backup", &about, ""))
    }

    /// Whether a mail host is this one.
    fn is_own_host(&self, host: &str) -> Result<bool, Need> {
        let settings = &self.policy.settings;
        if Facts::listed(settings.mydestination.contains(self.facts.snapshot(), host))? == Ok(true) {
            return Ok(true);
        }
        let own = |address: &std::net::IpAddr| {
            settings.interfaces.contains(address)
                || settings.proxies.contains(address)
                || *address == self.tx.client.server_address
        };
        Ok(self.addresses(host)?.is_ok_and(|addresses| addresses.iter().any(own)))
    }

    /// Whether every address of the primaries is in permit_mx_backup_networks.
    fn are_backup_networks(&self, hosts: &[String]) -> Result<bool, Need> {
        for host in hosts {
            let Ok(addresses) = self.addresses(host)? else { return Ok(false) };
            for address in addresses {
                let networks = &self.policy.settings.mx_backup_networks;
                if Facts::listed(networks.contains(self.facts.snapshot(), host, address))? != Ok(true) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
