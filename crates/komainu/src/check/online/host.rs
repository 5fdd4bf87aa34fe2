//! `myhostname`: its addresses, and the names of those.
//!
//! Diagnostics: K0600 no address, K0601 another machine's address, K0602 a name that doesn't lead there and back,
//! K0603 another name.

use super::known::{Known, Told};
use super::{Matter, own};
use crate::check::surroundings::place;
use crate::facts::dns::reverse_name;
use config::{Diagnostic, Place};
use policy::{Record, RecordKind};
use std::net::IpAddr;

pub(super) fn judge(matter: &Matter<'_>, known: &Known) -> Vec<Diagnostic> {
    look(matter, known).unwrap_or_default()
}

fn look(matter: &Matter<'_>, known: &Known) -> Option<Vec<Diagnostic>> {
    let name = own::name(matter.scene);
    let at = place(matter.scene.main, "myhostname");
    // A name that nobody outside can mean is a matter of main.cf.
    if !name.contains('.') || name.ends_with(".local") || name.ends_with(".localdomain") {
        return None;
    }
    let addresses = known.addresses(&name)??;
    if addresses.is_empty() {
        let message = format!("myhostname = {name} has no address in the DNS");
        let help = "servers that look up the name of HELO refuse mail from here; add an A or AAAA record, or name \
                    the host as the DNS does";
        return Some(vec![Diagnostic::warning(600, at, message).help(help)]);
    }
    let mut found = Vec::new();
    let here = own::here(matter.scene);
    let is_here = |address: &IpAddr| {
        matter.scene.main.host().addresses.iter().any(|one| one.address == *address) || here.contains(address)
    };
    if !addresses.iter().any(is_here) {
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let message = format!("{name} is {} in the DNS, which this machine doesn't have", shown.join(", "));
        let help =
            "right behind NAT: then name that address in proxy_interfaces; else it is another machine's";
        found.push(Diagnostic::hint(601, at.clone(), message).help(help));
    }
    // Mail may go out from every address of the machine's.
    let mut wanted = own::sending(matter, known)?;
    wanted.extend(addresses.iter().copied().filter(|address| own::is_public(*address)));
    wanted.sort();
    wanted.dedup();
    let judged: Vec<_> =
        wanted.into_iter().map(|address| (address, back(address, &name, &at, known))).collect();
    // Of the many addresses that IPv6 gives a machine one is enough.
    let mut told_others = false;
    for (address, said) in judged {
        let is_other = address.is_ipv6() && !addresses.contains(&address);
        if let Some(Some(said)) = said
            && !(is_other && std::mem::replace(&mut told_others, true))
        {
            found.push(said);
        }
    }
    Some(found)
}

/// From an address to its names and back. `None` where something must be asked first.
#[expect(clippy::option_option, reason = "must be asked, nothing to say, something: `?` sorts them")]
fn back(address: IpAddr, name: &str, at: &Place, known: &Known) -> Option<Option<Diagnostic>> {
    let refuse = "large providers refuse mail from such addresses (Gmail: 550 5.7.25); whoever gives out the address \
                  sets the record";
    let names: Vec<&str> = match known.dns(&reverse_name(address), RecordKind::Ptr)? {
        Told::Silence => return Some(None),
        Told::Records(records) => {
            let names = records.iter().filter_map(|record| match record {
                Record::Ptr(name) => Some(name.as_str()),
                _ => None,
            });
            names.take(8).collect()
        }
        Told::Nothing | Told::NoName => Vec::new(),
    };
    if names.is_empty() {
        let message = format!("{address} has no name in the DNS (PTR)");
        return Some(Some(Diagnostic::warning(602, at.clone(), message).help(refuse)));
    }
    let forward: Vec<_> = names.iter().map(|name| (name, known.addresses(name))).collect();
    let mut confirmed = Vec::new();
    for (name, addresses) in forward {
        match addresses? {
            None => return Some(None),
            Some(addresses) if addresses.contains(&address) => confirmed.push(*name),
            Some(_) => {}
        }
    }
    if confirmed.is_empty() {
        let message = format!("{address} is called {}, which doesn't lead back to it", names.join(", "));
        return Some(Some(Diagnostic::warning(602, at.clone(), message).help(refuse)));
    }
    if confirmed.iter().any(|one| one.eq_ignore_ascii_case(name)) {
        return Some(None);
    }
    let message = format!("{address} is called {} in the DNS, not {name}", confirmed.join(", "));
    let help = "some servers count it against mail that HELO gives another name; write that name in myhostname, or \
                have the record changed";
    Some(Some(Diagnostic::hint(603, at.clone(), message).help(help)))
}
