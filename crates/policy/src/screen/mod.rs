//! What lists say of a client before it is greeted: `postscreen_access_list`, `postscreen_dnsbl_sites`,
//! `postscreen_allowlist_interfaces` (postscreen(8)).
//!
//! Compiled once, decided purely; the conversation that acts on it is `proto::screen`, asking and waiting is the
//! program's. An answer in 127.255.255.0/24 says that a DNS list refuses to answer: never a listing, unless
//! `komainu_dnsbl_health` is off. T1.4, T2.3.

mod access;
mod sites;
#[cfg(test)]
mod tests;

pub use access::{Access, Standing};
pub use sites::{Tally, fuzz_site};

use crate::facts::{Facts, Question};
use crate::settings::tables;
use crate::{Zone, ZoneKind};
use access::AccessList;
use config::{Diagnostic, Parameters};
use sites::Sites;
use std::net::IpAddr;
use tables::{AddressList, Catalogue, Sources};

/// `postscreen_expansion_filter`, its escapes read.
#[must_use]
pub fn expansion_filter(p: &Parameters) -> String {
    let raw = |name: &str| p.raw(name).map(|raw| raw.value).filter(|raw| !raw.starts_with("$smtpd_"));
    let written = raw("postscreen_expansion_filter").or_else(|| raw("smtpd_expansion_filter"));
    written.map_or_else(|| (' '..='~').chain(['\t']).collect(), |raw| crate::settings::unescape(&raw))
}

/// The lists of one listener, compiled; immutable.
#[derive(Debug)]
pub struct Screening {
    access: AccessList,
    sites: Sites,
    interfaces: AddressList,
}

impl Screening {
    /// Compiles the lists.
    #[must_use]
    pub fn compile(
        p: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (Screening, Vec<Diagnostic>) {
        let mut said = Vec::new();
        let access = AccessList::compile(p, catalogue, sources, &mut said);
        let (interfaces, more) =
            AddressList::compile(&p.list("postscreen_allowlist_interfaces"), catalogue, sources, false);
        said.extend(more);
        let mut sites = Sites::compile(p, &mut said);
        sites.names = tables(&p.list("postscreen_dnsbl_reply_map"), catalogue, &mut said).first().copied();
        (Screening { access, sites, interfaces }, said)
    }

    /// What `postscreen_access_list` says of a client. Tables that need a socket have nothing to say here.
    #[must_use]
    pub fn access(&self, client: IpAddr, facts: &Facts) -> Access {
        self.access.decide(client, facts)
    }

    /// Whether nobody gets onto the allow list who comes to this address of ours.
    #[must_use]
    pub fn vetoes(&self, server: IpAddr, facts: &Facts) -> bool {
        !self.interfaces.contains_address(facts.snapshot(), server).unwrap_or(true)
    }

    /// Whether any DNS list is to be asked.
    #[must_use]
    pub fn asks_lists(&self) -> bool {
        !self.sites.zones.is_empty()
    }

    /// The DNS lists' questions about a client, each with its domain, to be asked all at once.
    pub fn questions(&self, client: IpAddr) -> impl Iterator<Item = (&str, Question)> {
        self.sites.questions(client)
    }

    /// The domain of the list with this number in [`Screening::questions`].
    #[must_use]
    pub fn domain(&self, zone: usize) -> &str {
        self.sites.zones.get(zone).map_or("", |zone| zone.domain.as_str())
    }

    /// A count of answers.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::default()
    }

    /// Takes an answer into account; gives the addresses in it.
    pub fn count(&self, tally: &mut Tally, zone: usize, answer: &crate::Answer) -> Vec<std::net::Ipv4Addr> {
        self.sites.count(tally, zone, answer)
    }

    /// The list to name in a reply: `postscreen_dnsbl_reply_map` may hide a password in it.
    #[must_use]
    pub fn public_name(&self, tally: &Tally, facts: &Facts) -> String {
        self.sites.public_name(tally, facts)
    }

    /// The most and the least that all lists together can come to.
    #[must_use]
    pub fn weights(&self) -> (i64, i64) {
        self.sites.weights()
    }

    /// The zones to probe.
    #[must_use]
    pub fn dnsbl_zones(&self) -> Vec<Zone> {
        let zone = |zone: &sites::SiteZone| Zone {
            domain: zone.domain.clone(),
            kind: ZoneKind::Address,
            place: zone.place.clone(),
        };
        self.sites.zones.iter().map(zone).collect()
    }
}
