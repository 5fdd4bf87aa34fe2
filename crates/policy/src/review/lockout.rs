//! Whether the lists shut out those for whom the server is there: users who log in, and one's own networks.
//!
//! K0442: they can't send to other domains, because something refuses relaying before anything knows them (T2.5,
//! T2.11). K0443: a service for submission refuses everybody who logs in. Only what is refused whatever the DNS
//! and tables answer is said, and nothing of a list that has a fault of its own until that is mended; that a policy server would say OK to one's own users is nothing to rely on.

use super::Case;
use super::flow::{Course, Walker};
use super::persona::Persona;
use crate::check::{Check, Entry, Plain};
use crate::transaction::Stage;
use config::{Diagnostic, Parameters};
use std::net::{IpAddr, Ipv4Addr};

pub(super) const LISTS: [&str; 5] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
];

pub(super) fn review(case: &Case<'_>) -> Vec<Diagnostic> {
    let own = own_network(case.parameters);
    let users = users(case, own);
    // The relay list knows this machine at least: then a recipient list that refuses it wasn't meant so.
    let known = !case.parameters.list("smtpd_relay_restrictions").is_empty();
    let machine = known.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let networks = own.or(machine).and_then(|own| networks(case, own));
    let whose = if own.is_some() { "your own networks" } else { "clients on this machine" };
    match (users, networks) {
        (Some(users), Some(networks)) if super::flow::same(&users.1, &networks.1) => {
            vec![said(case, &format!("users who log in, and {whose},"), &users)]
        }
        (users, networks) => {
            let users = users.map(|users| said(case, "users who log in", &users));
            let networks = networks.map(|networks| said(case, whose, &networks));
            users.into_iter().chain(networks).collect()
        }
    }
}

/// What surely refuses this persona.
fn refused(case: &Case<'_>, persona: Persona) -> Option<(Stage, Entry)> {
    match Walker::new(case, persona, Vec::new()).course() {
        Course::Refused(by) => {
            by.filter(|(stage, entry)| !is_faulty(case, *stage, entry) && !asks_owners(case, entry))
        }
        Course::Passes(_) => None,
    }
}

/// Whether a fault that is said by itself is to blame: in this list, or in the networks that it asks for.
fn is_faulty(case: &Case<'_>, stage: Stage, by: &Entry) -> bool {
    let mut entries = case.entries().into_iter();
    matches!(by.check, Check::Plain(Plain::PermitMynetworks))
        || entries.any(|(at, entry)| at == stage && matches!(entry.check, Check::Broken { .. }))
}

/// Whether the owners of senders pass: a table says who they are.
fn asks_owners(case: &Case<'_>, by: &Entry) -> bool {
    let by_owner = matches!(
        by.check,
        Check::Plain(
            Plain::RejectSenderLoginMismatch
                | Plain::RejectAuthenticatedSenderLoginMismatch
                | Plain::RejectKnownSenderLoginMismatch
                | Plain::RejectUnauthenticatedSenderLoginMismatch
        )
    );
    by_owner && !case.parameters.list("smtpd_sender_login_maps").is_empty()
}

/// What refuses everybody who has logged in, from wherever.
fn users(case: &Case<'_>, own: Option<IpAddr>) -> Option<(Stage, Entry)> {
    if !case.parameters.flag("smtpd_sasl_auth_enable") {
        return None;
    }
    if let Some(own) = own {
        let inside = Persona { sasl: true, ..Persona::own(own, case) };
        refused(case, inside)?;
    }
    refused(case, Persona::logged_in(case))
}

/// What refuses one's own networks, where nobody meant it: a service with lists of its own has its reasons, and so has
/// a relay list that was written without them.
fn networks(case: &Case<'_>, own: IpAddr) -> Option<(Stage, Entry)> {
    let special = case
        .service
        .is_some_and(|service| service.overrides.iter().any(|one| LISTS.contains(&one.name.value.as_str())));
    if special || case.is_submission() || case.policy.settings.mynetworks.is_broken() {
        return None;
    }
    let (stage, entry) = refused(case, Persona::own(own, case))?;
    let meant = stage == Stage::Relay && case.parameters.is_set("smtpd_relay_restrictions");
    (!meant && stage >= Stage::Relay).then_some((stage, entry))
}

/// An address of a network in mynetworks that is more than this machine, where somebody wrote one.
pub(super) fn own_network(p: &Parameters) -> Option<IpAddr> {
    if !p.is_set("mynetworks") {
        return None;
    }
    let mine = |address: &IpAddr| {
        address.is_loopback() || p.host().addresses.iter().any(|interface| interface.address == *address)
    };
    p.list("mynetworks").into_iter().find_map(|word| {
        let bare = word.value.replace(['[', ']'], "");
        let address: IpAddr = bare.split('/').next()?.parse().ok()?;
        (!mine(&address)).then_some(address)
    })
}

fn said(case: &Case<'_>, who: &str, (stage, entry): &(Stage, Entry)) -> Diagnostic {
    let list = stage.parameter();
    let whose = case.whose(&LISTS);
    if case.is_submission() && who.starts_with("users") {
        let message = format!("`{}` refuses everybody who logs in{whose}", entry.text);
        return Diagnostic::error(443, entry.place.clone(), message)
            .help(format!("this service is for them; write permit_sasl_authenticated before it in {list}"));
    }
    let message = format!("{who} can't send to other domains: `{}` refuses them{whose}", entry.text);
    Diagnostic::warning(442, entry.place.clone(), message).help(format!(
        "an OK in one list doesn't count in the next; write permit_mynetworks, permit_sasl_authenticated before it in \
         {list}"
    ))
}
