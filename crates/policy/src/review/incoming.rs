//! Whether mail from the Internet to one's own domains is refused for everybody.
//!
//! K0463: a list ends strangers in a bare `reject`, on a server that main.cf gives domains of its own (T2.5). That may
//! be meant, behind a gateway: it is only a hint, but an error where nobody at all is let in. What a table, a DNS list or a missing account refuses isn't looked at
//! here, nor servers that have lists of their own or that nobody outside can come to.

use super::Case;
use super::flow::{Course, Walker};
use super::lockout::LISTS;
use super::persona::{Persona, Word};
use crate::check::{Check, Plain};
use config::{Diagnostic, Parameters, ServiceKind};
use std::net::Ipv4Addr;

pub(super) fn review(case: &Case<'_>) -> Vec<Diagnostic> {
    let Some(domain) = expected(case.parameters).filter(|_| is_for_all(case)) else { return Vec::new() };
    let recipient = Word::Text(format!("postmaster@{domain}"));
    let refusal = |persona: Persona| {
        let persona = Persona { recipient: recipient.clone(), ..persona };
        match Walker::new(case, persona, Vec::new()).course() {
            Course::Refused(by) => by,
            Course::Passes(_) => None,
        }
    };
    let Some((stage, entry)) = refusal(Persona::listed(case)) else { return Vec::new() };
    if !matches!(entry.check, Check::Plain(Plain::Reject | Plain::Defer)) {
        return Vec::new();
    }
    let list = stage.parameter();
    let known = [Ipv4Addr::LOCALHOST.into()].into_iter().chain(super::lockout::own_network(case.parameters));
    let mut others: Vec<Persona> = known.map(|address| Persona::own(address, case)).collect();
    if case.parameters.flag("smtpd_sasl_auth_enable") {
        others.push(Persona::logged_in(case));
    }
    if others.into_iter().all(|one| refusal(one).is_some()) {
        let message = format!("all mail to {domain} is refused: `{}` lets nobody past", entry.text);
        return vec![Diagnostic::error(463, entry.place, message).help(format!(
            "neither other servers nor this machine can send to this server's domains; write \
             reject_unauth_destination instead of it in {list}"
        ))];
    }
    let message =
        format!("mail from the Internet to {domain} is refused: `{}` lets no stranger past", entry.text);
    vec![Diagnostic::hint(463, entry.place, message).help(format!(
        "other servers can't send to this server's domains; unless that is meant, write reject_unauth_destination \
         instead of it in {list}"
    ))]
}

/// Whether other servers may come here, to lists that are main.cf's.
fn is_for_all(case: &Case<'_>) -> bool {
    let interfaces = case.parameters.list("inet_interfaces");
    let is_own =
        |word: &str| matches!(word, "loopback-only" | "localhost" | "[::1]") || word.starts_with("127.");
    let shut = !interfaces.is_empty() && interfaces.iter().all(|word| is_own(&word.value));
    let port = |service: &config::Service| {
        let name = service.name.value.as_str();
        let own = service.overrides.iter().any(|one| LISTS.contains(&one.name.value.as_str()));
        let (host, port) = name.rsplit_once(':').unwrap_or(("", name));
        !own && !is_own(host) && (service.kind == ServiceKind::Pass || matches!(port, "smtp" | "25"))
    };
    !shut && !case.is_inside() && case.service.is_none_or(port)
}

/// A domain, written by name, that other servers have mail for.
fn expected(p: &Parameters) -> Option<String> {
    let own = p.text("myhostname").value;
    let is_domain = |word: &str| {
        word.contains('.')
            && word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
            && !word.starts_with("localhost")
            && !word.eq_ignore_ascii_case(&own)
    };
    let classes = ["mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"];
    let written = classes.into_iter().filter(|class| p.is_set(class));
    written.flat_map(|class| p.list(class)).map(|word| word.value).find(|word| is_domain(word))
}
