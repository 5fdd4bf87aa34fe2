//! The domains that mail is taken for, and where the DNS sends their mail.
//!
//! Domains come from `mydestination`, `virtual_mailbox_domains`, `virtual_alias_domains` and `relay_domains`, tables
//! of text among them; the server's own name is looked at by [`host`](super::host).
//! Diagnostics: K0605 a domain whose mail finds no way, K0606 a domain whose mail goes elsewhere.

use super::known::{Known, Told};
use super::{Matter, own};
use crate::check::surroundings::{Machine, Scene};
use config::{Diagnostic, Place, Spanned};
use policy::{Record, RecordKind};
use std::net::IpAddr;

/// Domains that are looked at.
const DOMAINS_MAX: usize = 200;
const LISTS: [&str; 4] =
    ["mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"];

/// A domain that is served, and where it stands.
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) place: Place,
    /// Whether mail is only passed on.
    pub(super) is_relayed: bool,
}

/// The domains of main.cf.
pub(super) fn served(scene: &Scene<'_>, machine: &Machine) -> Vec<Domain> {
    let mut domains: Vec<Domain> = Vec::new();
    let host = own::name(scene);
    for list in LISTS {
        for word in scene.main.list(list) {
            for name in names(&word, machine) {
                let name = name.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
                let known = name == host || domains.iter().any(|domain| domain.name == name);
                if is_public(&name) && !known && domains.len() < DOMAINS_MAX {
                    let is_relayed = list == "relay_domains";
                    domains.push(Domain { name, place: word.place.clone(), is_relayed });
                }
            }
        }
    }
    domains
}

/// The names that a word stands for: itself, or a table's keys.
fn names(word: &Spanned<String>, machine: &Machine) -> Vec<String> {
    let text = word.value.strip_prefix('!').unwrap_or(&word.value);
    let bare = text.strip_prefix("proxy:").unwrap_or(text);
    let path = match bare.split_once(':') {
        None if bare.starts_with('/') => bare,
        None => return if text == word.value { vec![bare.to_owned()] } else { Vec::new() },
        Some(("hash" | "btree" | "lmdb" | "cdb" | "texthash", path)) => path,
        Some(("inline", pairs)) => {
            let inner = pairs.trim_matches(['{', '}']);
            let pairs = inner.split([',', ' ']).filter_map(|pair| pair.split_once('='));
            return pairs.map(|(key, _)| key.trim_matches(['{', '}', ' ']).to_owned()).collect();
        }
        Some(_) => return Vec::new(),
    };
    let text = machine.text(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with(['#', ' ', '\t']));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Whether it is a domain that the world may write to.
fn is_public(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or("");
    let here = ["localhost", "local", "localdomain", "internal", "lan", "home", "invalid", "test"];
    let is_plain = name.contains('.') && mail::host::is_hostname(name) && !name.starts_with("localhost.");
    is_plain && !here.contains(&last)
}

/// Whether a domain has MX records of its own: the name of a host needs nothing else for its mail.
pub(super) fn is_addressed(domain: &Domain, known: &Known) -> Option<bool> {
    let told = known.dns(&domain.name, RecordKind::Mx)?;
    let takes =
        |record: &Record| matches!(record, Record::Mx { host, .. } if !host.is_empty() && host != ".");
    Some(told.records().iter().any(takes))
}

pub(super) fn judge(matter: &Matter<'_>, known: &Known) -> Vec<Diagnostic> {
    // All are asked before one is waited for.
    let judged: Vec<Option<Diagnostic>> =
        matter.domains.iter().map(|domain| look(domain, matter, known).flatten()).collect();
    judged.into_iter().flatten().collect()
}

#[expect(clippy::option_option, reason = "must be asked, nothing to say, something: `?` sorts them")]
fn look(domain: &Domain, matter: &Matter<'_>, known: &Known) -> Option<Option<Diagnostic>> {
    let name = &domain.name;
    let lost = |message: String, help: &str| {
        Some(Some(Diagnostic::warning(605, domain.place.clone(), message).help(help)))
    };
    let hosts: Vec<&str> = match known.dns(name, RecordKind::Mx)? {
        Told::Silence => return Some(None),
        Told::NoName => {
            return lost(
                format!("the domain {name} doesn't exist"),
                "no mail comes for it, and mail from it is refused",
            );
        }
        Told::Nothing => vec![name.as_str()],
        Told::Records(records) => {
            let hosts = records.iter().filter_map(|record| match record {
                Record::Mx { host, .. } => Some(host.as_str()),
                _ => None,
            });
            hosts.take(16).collect()
        }
    };
    if hosts.iter().any(|host| matches!(*host, "" | ".")) {
        return lost(
            format!("{name} says in the DNS that it takes no mail (null MX, RFC 7505)"),
            "nobody sends any, though it would be taken here; change the MX record, or take the domain out",
        );
    }
    let own_name = own::name(matter.scene);
    let asked: Vec<_> = hosts.iter().map(|host| (host, known.addresses(host))).collect();
    let own = own::all(matter, known)?;
    let mut leads_here = false;
    let mut dead: Vec<&str> = Vec::new();
    for (host, addresses) in asked {
        let Some(addresses) = addresses? else { return Some(None) };
        let here = |address: &IpAddr| own.contains(address);
        leads_here |= host.eq_ignore_ascii_case(&own_name) || addresses.iter().any(here);
        if addresses.is_empty() {
            dead.push(host);
        }
    }
    if dead.len() == hosts.len() {
        let message = if hosts == [name.as_str()] {
            format!("{name} has neither MX nor address in the DNS")
        } else {
            format!("no MX of {name} has an address: {}", dead.join(", "))
        };
        return lost(message, "no mail comes for it; add an MX record that names this server");
    }
    if !dead.is_empty() {
        let message = format!("{name}: its MX {} has no address", dead.join(", "));
        return lost(message, "senders that try it first lose time, and some give up; mend or delete it");
    }
    if leads_here {
        return Some(None);
    }
    let message = format!("mail for {name} goes to {}, not here", hosts.join(", "));
    let help = if domain.is_relayed {
        "right where another server passes it on; else add an MX record that names this server"
    } else {
        "right where a filter or another server passes it on; else what is written here to this domain stays here, \
         and the world's mail goes there"
    };
    Some(Some(Diagnostic::hint(606, domain.place.clone(), message).help(help)))
}
