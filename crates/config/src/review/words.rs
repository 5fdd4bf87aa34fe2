//! Values of which only a few are right, where Postfix stops or answers 451 at another one; and interfaces that are
//! written as something else.
//!
//! The words and what follows are Postfix 3.7's. K0109 a word that the parameter doesn't know, K0167 inet_interfaces,
//! K0168 virtual mailboxes without a folder.

use super::{Subject, fixed, place};
use crate::names::{Near, nearness};
use crate::{Diagnostic, Parameters, Spanned};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    few(subject.parameters, found);
    for service in subject.master.services.iter().filter(|service| !service.overrides.is_empty()) {
        let named = |name: &str| service.overrides.iter().any(|one| one.name.value == name);
        if WORDS.iter().any(|(name, ..)| named(name)) {
            few(&subject.parameters.with_overrides(&service.overrides).0, found);
        }
    }
    interfaces(subject.parameters, found);
    mailboxes(subject.parameters, found);
}

/// A parameter, its words, and what another one brings.
const WORDS: [(&str, &[&str], &str); 7] = [
    (
        "notify_classes",
        &["bounce", "2bounce", "data", "delay", "policy", "protocol", "resource", "software"],
        "Postfix's smtpd stops at it and takes no mail",
    ),
    (
        "milter_default_action",
        &["accept", "reject", "tempfail", "quarantine", "shutdown"],
        "all mail is answered 451 when a milter can't be reached",
    ),
    (
        "receive_override_options",
        &["no_unknown_recipient_checks", "no_address_mappings", "no_header_body_checks", "no_milters"],
        "Postfix's service stops at it and takes no mail",
    ),
    ("smtpd_tls_ciphers", CIPHERS, "no TLS session can begin"),
    ("smtpd_tls_mandatory_ciphers", CIPHERS, "no TLS session can begin"),
    ("smtp_tls_ciphers", CIPHERS, "no TLS session can begin"),
    ("smtp_tls_mandatory_ciphers", CIPHERS, "no TLS session can begin"),
];

const CIPHERS: &[&str] = &["export", "low", "medium", "high", "null"];

fn few(own: &Parameters, found: &mut Vec<Diagnostic>) {
    for (name, known, effect) in WORDS {
        if place(own, name).is_none() {
            continue;
        }
        for word in own.list(name) {
            let folds = name != "receive_override_options";
            let is_same = |one: &&str| word.value == *one || folds && word.value.eq_ignore_ascii_case(one);
            if !known.iter().any(is_same) {
                found.push(unknown(name, &word, known, effect));
            }
        }
    }
}

fn unknown(name: &str, word: &Spanned<String>, known: &[&'static str], effect: &str) -> Diagnostic {
    let message = format!("`{}` is not a word that {name} knows", word.value);
    let diagnostic = Diagnostic::error(109, word.place.clone(), message)
        .help(format!("{effect}; words are {}", known.join(", ")));
    match nearness(&word.value, known.iter().copied()) {
        Near::One(near) => fixed(diagnostic, word, near),
        _ => diagnostic,
    }
}

/// Names of interfaces, networks, and words that are none.
fn interfaces(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(at) = place(main, "inet_interfaces") else { return };
    let words = main.list("inet_interfaces");
    if words.is_empty() {
        found.push(Diagnostic::error(167, at, "inet_interfaces is empty").help(
            "Postfix doesn't start; write `loopback-only` to take mail from this machine alone, or `all`",
        ));
        return;
    }
    for word in words {
        let Some(why) = no_interface(&word.value) else { continue };
        let message = format!("`{}` in inet_interfaces is {why}", word.value);
        let diagnostic = Diagnostic::error(167, word.place.clone(), message)
            .help("Postfix doesn't start: it takes addresses, host names, `all` and `loopback-only`");
        found.push(match word.value.to_ascii_lowercase().replace('_', "-").as_str() {
            "loopback-only" | "lo" | "loopback" => fixed(diagnostic, &word, "loopback-only"),
            "any" | "*" => fixed(diagnostic, &word, "all"),
            _ => diagnostic,
        });
    }
}

fn no_interface(word: &str) -> Option<&'static str> {
    let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if matches!(word, "*" | "any" | "loopback" | "loopback_only") {
        return Some("an unknown word");
    }
    if word.contains('/') && !word.starts_with('/') && !word.contains(':') {
        return Some("a network");
    }
    let device =
        matches!(bare, "eth" | "ens" | "eno" | "enp" | "wlan" | "br" | "docker" | "tun" | "bond" | "lo");
    (device && (word != bare || word == "lo")).then_some("the name of a device")
}

/// Postfix's virtual(8) doesn't start without a folder.
fn mailboxes(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(at) = place(main, "virtual_mailbox_domains") else { return };
    let transport = main.text("virtual_transport").value;
    let own = transport.split(':').next() == Some("virtual");
    let served = !main.list("virtual_mailbox_domains").is_empty() && own;
    let elsewhere = !main.text("komainu_mailbox_root").value.is_empty();
    if served && !elsewhere && main.text("virtual_mailbox_base").value.is_empty() {
        found.push(Diagnostic::error(168, at, "virtual_mailbox_domains have no virtual_mailbox_base").help(
            "Postfix's virtual(8) stops, and their mail stays in the queue; name the folder that mailboxes are below, \
             or another virtual_transport",
        ));
    }
}
