//! Keys that are never asked for, by what the table is for: access(5), virtual(5), transport(5) and their like.
//!
//! Only tables with fixed keys: patterns and networks see whole keys, and have their own files. A finding is made only
//! where no search that Postfix documents ends at the key. Capitals aren't among them: keys are folded on both sides.
//! T1.10 (addresses in a table for HELO), T2.6.

use super::codes::{NEVER_ASKED, NO_SUCH_FORM};
use super::sheet::Odd;
use super::usage::{AccessOf, Parents, Use};
use crate::cidr::Network;
use std::net::{IpAddr, Ipv4Addr};

/// What a key is, by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape<'k> {
    Address(IpAddr),
    /// `192.168`
    Prefix4,
    /// `2001:db8`
    Prefix6,
    /// `192.168.0.0/16`
    Block,
    /// Digits and dots, or digits and colons, that are no address and no part of one.
    Malformed,
    /// `user@domain`, `user@`, `@domain`
    Mail {
        user: &'k str,
        domain: &'k str,
    },
    /// Anything else.
    Name,
}

fn shape(key: &str) -> Shape<'_> {
    if let Ok(address) = key.parse() {
        return Shape::Address(address);
    }
    if let Some((user, domain)) = key.rsplit_once('@') {
        return Shape::Mail { user, domain };
    }
    if key.split_once('/').is_some_and(|(address, mask)| {
        mask.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && !mask.is_empty()
            && (is_v4_text(address) || address.contains(':') && is_v6_text(address))
    }) {
        return Shape::Block;
    }
    if is_v4_text(key) && key.contains('.') {
        let octets: Vec<&str> = key.split('.').collect();
        let fine = octets.len() <= 4 && octets.iter().all(|octet| is_octet(octet));
        return if fine { Shape::Prefix4 } else { Shape::Malformed };
    }
    if key.contains(':') && is_v6_text(key) {
        return if is_prefix6(key) { Shape::Prefix6 } else { Shape::Malformed };
    }
    Shape::Name
}

fn is_v4_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn is_v6_text(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
}

fn is_octet(text: &str) -> bool {
    text.parse::<u8>().is_ok_and(|octet| octet.to_string() == text)
}

/// Whether the key is the front of an address in the form that Postfix writes it: short groups in lower case.
fn is_prefix6(key: &str) -> bool {
    let groups: Vec<&str> = key.strip_suffix(':').unwrap_or(key).split(':').collect();
    let short =
        |group: &&str| group.is_empty() || group.len() <= 4 && (!group.starts_with('0') || *group == "0");
    groups.len() <= 8 && groups.iter().all(short)
}

/// What is wrong with `key` where the table is asked as `how` says. `value` tells what its writer wanted.
pub(super) fn judge(how: Use, key: &str, value: &str) -> Option<Odd> {
    // A colon at the end was said by the loader; quotes belong to local parts.
    if how.takes_any_key() || key.ends_with(':') && shape(key) == Shape::Name || key.contains('"') {
        return None;
    }
    if let Some(odd) = punctuation(how, key) {
        return Some(odd);
    }
    match how {
        Use::Access(AccessOf::Client | AccessOf::ReverseClient | AccessOf::Hosts, _) => host(how, key),
        Use::Access(AccessOf::Helo | AccessOf::Etrn, _) => helo(how, key, value),
        Use::Access(AccessOf::Sender | AccessOf::Recipient, _) => mail(how, key),
        Use::Access(AccessOf::Certificate, _) | Use::Certificates => fingerprint(key),
        Use::Postscreen | Use::ClientKeywords | Use::Milters | Use::Clients(_) => whole_address(how, key),
        Use::VirtualAliases | Use::Addresses | Use::Relocated | Use::Mailboxes => mailbox(how, key),
        Use::Recipients => recipient(key),
        Use::Transports => transport(key),
        Use::Domains(_) => domain(key),
        _ => None,
    }
}

fn never(message: impl Into<String>, help: impl Into<String>) -> Option<Odd> {
    Some(Odd::warning(NEVER_ASKED, message, help))
}

fn form(message: impl Into<String>, help: impl Into<String>) -> Option<Odd> {
    Some(Odd::warning(NO_SUCH_FORM, message, help))
}

/// Marks that belong to no key.
fn punctuation(how: Use, key: &str) -> Option<Odd> {
    if let Some(bare) = key.strip_suffix([',', ';']).filter(|bare| !bare.is_empty()) {
        let odd = form(
            format!("{key:?}, with the mark at its end, is no key that is ever asked for"),
            format!("keys end at the first white space; write {bare}"),
        )?;
        return Some(odd.instead(bare));
    }
    if key.contains("://") {
        return form(format!("{key} is an URL, and none is ever asked for"), "write the host's name alone");
    }
    if key.contains('*') && !(key == "*" && how == Use::Transports) && !matches!(how, Use::Passwords) {
        return wildcard(how, key);
    }
    let is_mail = matches!(how, Use::Access(AccessOf::Sender | AccessOf::Recipient, _))
        || matches!(how, Use::VirtualAliases | Use::Addresses | Use::Relocated | Use::Mailboxes);
    let bracketed = key.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    if let Some(bare) = bracketed.filter(|bare| is_mail && !bare.is_empty()) {
        let odd = form(
            format!("addresses are asked for without brackets: {key} never matches"),
            format!("write {bare}"),
        )?;
        return Some(odd.instead(bare));
    }
    None
}

fn wildcard(how: Use, key: &str) -> Option<Odd> {
    let message = format!("`*` is no wildcard in a table with fixed keys: {key} matches only itself");
    let rest = key.trim_start_matches(['*', '@', '.']);
    let dotted = match how {
        Use::Domains(Parents::Dotted) | Use::Clients(Parents::Dotted) | Use::Transports => ".",
        _ => "",
    };
    let help = match how {
        _ if rest.is_empty() || rest.contains('*') => "use a regexp: or pcre: table, or static:".to_owned(),
        Use::Access(..) => format!("write {rest}, which matches everything in that domain"),
        _ if key.starts_with("*@") => format!("write @{rest}"),
        _ => format!("write {dotted}{rest}"),
    };
    form(message, help)
}

/// Names and addresses of hosts.
fn host(how: Use, key: &str) -> Option<Odd> {
    match shape(key) {
        Shape::Address(address) => canonical(key, address),
        Shape::Prefix4 | Shape::Prefix6 => None,
        Shape::Block => block(key, "only a cidr: table understands networks with a mask"),
        Shape::Malformed => malformed(key),
        Shape::Mail { .. } => never(
            format!("{key} is a mail address, and this table is asked for names and addresses of hosts"),
            "put it in a table for check_sender_access or check_recipient_access",
        ),
        Shape::Name => host_name(how, key),
    }
}

fn host_name(how: Use, key: &str) -> Option<Odd> {
    if let Some(bare) = key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let odd = form(
            format!("addresses are asked for without brackets: {key} never matches"),
            format!("write {bare}"),
        )?;
        return Some(odd.instead(bare));
    }
    if let Some((name, port)) = key.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return form(format!("no port is asked for: {key} never matches"), format!("write {name}"));
    }
    if let Some(name) = key.strip_suffix('.').filter(|name| !name.is_empty()) {
        let odd = form(
            format!("names come without a dot at the end: {key} never matches"),
            format!("write {name}"),
        )?;
        return Some(odd.instead(name));
    }
    let _ = how;
    None
}

fn block(key: &str, why: &str) -> Option<Odd> {
    let prefix = Network::parse(key).ok().and_then(|_| octets(key));
    let instead =
        prefix.map_or_else(String::new, |prefix| format!(", or here {prefix} for all that begins so"));
    form(
        format!("{key} is compared as it stands, and no key comes so: {why}"),
        format!("write it in a cidr: table{instead}"),
    )
}

/// `192.168` for `192.168.0.0/16`, where the mask ends at an octet.
fn octets(key: &str) -> Option<String> {
    let (address, mask) = key.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let mask: usize = mask.parse().ok().filter(|mask| (8..32).contains(mask) && mask % 8 == 0)?;
    let octets: Vec<String> = address.octets().iter().take(mask / 8).map(u8::to_string).collect();
    Some(octets.join("."))
}

fn malformed(key: &str) -> Option<Odd> {
    let bare = key.trim_end_matches('.');
    if bare.len() < key.len() && matches!(shape(bare), Shape::Prefix4 | Shape::Address(_)) {
        let odd = form(
            format!("networks are asked for without a dot at the end: {key} never matches"),
            format!("write {bare}"),
        )?;
        return Some(odd.instead(bare));
    }
    form(
        format!("{key} is no address, and no front part of one as Postfix writes it"),
        "write octets without leading zeros (192.168.1), IPv6 groups without leading zeros (2001:db8:1)",
    )
}

/// An address must stand as programs write it.
fn canonical(key: &str, address: IpAddr) -> Option<Odd> {
    let written = address.to_string();
    if written.eq_ignore_ascii_case(key) {
        return None;
    }
    let odd = form(
        format!("addresses are asked for in their shortest form: {key} never matches"),
        format!("write {written}"),
    )?;
    Some(odd.instead(written))
}

/// Names in HELO; addresses only where a client writes one there.
fn helo(how: Use, key: &str, value: &str) -> Option<Odd> {
    let asked =
        if matches!(how, Use::Access(AccessOf::Helo, _)) { "the name in HELO" } else { "ETRN's domain" };
    let message =
        || format!("{key} is an address, and this table is asked for {asked}, not for the client's address");
    let help = "use check_client_access with this table, or write the name that the client gives";
    match shape(key) {
        // To refuse those who call themselves by an address is a known use; to let them in isn't.
        Shape::Address(_) if lets_in(value) => never(message(), help),
        Shape::Name if is_stand_in(key) && lets_in(value) => never(message(), help),
        Shape::Prefix4 | Shape::Block | Shape::Malformed | Shape::Prefix6 => {
            never(format!("{key} is a network, and this table is asked for {asked}: it never matches"), help)
        }
        Shape::Mail { .. } => never(
            format!("{key} is a mail address, and this table is asked for {asked}"),
            "put it in a table for check_sender_access or check_recipient_access",
        ),
        _ => None,
    }
}

pub(super) fn lets_in(value: &str) -> bool {
    let word = value.split([' ', '\t', ',']).next().unwrap_or("").to_ascii_lowercase();
    word == "ok" || word == "dunno" || word.starts_with("permit")
}

/// `xxx.yyy.zzz.aaa`: an address whose digits were made unreadable (T1.10 prints one).
fn is_stand_in(key: &str) -> bool {
    let labels: Vec<&str> = key.split('.').collect();
    let same = |label: &&str| {
        let mut letters = label.chars();
        let first = letters.next();
        label.len() == 3
            && first.is_some_and(|c| c.is_ascii_alphabetic())
            && letters.all(|c| Some(c) == first)
    };
    labels.len() == 4 && labels.iter().all(same)
}

/// Local parts that people write alone.
const LOCAL_PARTS: [&str; 8] =
    ["abuse", "hostmaster", "mailer-daemon", "no-reply", "noreply", "postmaster", "root", "webmaster"];

/// check_sender_access, check_recipient_access.
fn mail(how: Use, key: &str) -> Option<Odd> {
    let of = if matches!(how, Use::Access(AccessOf::Sender, _)) { "senders" } else { "recipients" };
    match shape(key) {
        Shape::Address(_) | Shape::Prefix4 | Shape::Prefix6 | Shape::Block | Shape::Malformed => never(
            format!("{key} is an address of a host, and this table is asked for {of}"),
            "put it in a table for check_client_access",
        ),
        Shape::Mail { user: "", domain } => form(
            format!("access tables have no form @domain: {key} never matches"),
            format!("write {domain}"),
        ),
        Shape::Name if LOCAL_PARTS.iter().any(|part| part.eq_ignore_ascii_case(key)) => form(
            format!("{key} alone is taken for a domain"),
            format!("write {key}@ for that user in every domain"),
        ),
        _ => None,
    }
}

/// virtual(5), canonical(5), generic(5), relocated(5), virtual_mailbox_maps.
fn mailbox(how: Use, key: &str) -> Option<Odd> {
    match shape(key) {
        Shape::Mail { user, domain: "" } => form(
            format!("there is no form user@ here: {key} never matches"),
            format!("write {user}, or {user}@ with its domain"),
        ),
        Shape::Block | Shape::Prefix4 | Shape::Prefix6 | Shape::Address(_) => never(
            format!("{key} is an address of a host, and this table is asked for mail addresses"),
            "write user@domain or @domain",
        ),
        Shape::Name if key.starts_with('.') => form(
            format!("there is no form .domain here: {key} never matches"),
            "write @domain for each subdomain, or use a regexp: or pcre: table",
        ),
        // With virtual_alias_domains or virtual_mailbox_domains pointing here, names of domains are at home.
        Shape::Name if matches!(how, Use::Addresses | Use::Relocated) && is_domain(key) => form(
            format!("{key} alone is taken for a local part"),
            format!("write @{key} for all addresses of that domain"),
        ),
        _ => None,
    }
}

/// A name with a dot whose last label is letters.
fn is_domain(key: &str) -> bool {
    key.rsplit_once('.').is_some_and(|(front, last)| {
        !front.is_empty() && last.len() > 1 && last.bytes().all(|b| b.is_ascii_alphabetic())
    }) && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

fn recipient(key: &str) -> Option<Odd> {
    match shape(key) {
        Shape::Name if key.starts_with('.') => form(
            format!("there is no form .domain here: {key} never matches"),
            "write @domain for each subdomain, or use a regexp: or pcre: table",
        ),
        _ => None,
    }
}

/// transport(5)
fn transport(key: &str) -> Option<Odd> {
    match shape(key) {
        Shape::Mail { user: "", domain } => {
            let odd = form(
                format!("transport tables have no form @domain: {key} never matches"),
                format!("write {domain}"),
            )?;
            Some(odd.instead(domain))
        }
        Shape::Mail { user, domain: "" } => form(
            format!("transport tables have no form user@: {key} never matches"),
            format!("write {user}@ with its domain"),
        ),
        Shape::Block | Shape::Prefix6 => never(
            format!("{key} is a network, and this table is asked for recipients and their domains"),
            "write the domain",
        ),
        _ => None,
    }
}

/// relay_domains and its like.
fn domain(key: &str) -> Option<Odd> {
    match shape(key) {
        Shape::Mail { user: "", domain } => {
            let odd = form(
                format!("a list of domains is asked for domains alone: {key} never matches"),
                format!("write {domain}"),
            )?;
            Some(odd.instead(domain))
        }
        Shape::Block => {
            never(format!("{key} is a network, and this list is asked for domains"), "write the domain")
        }
        _ => None,
    }
}

/// mynetworks, postscreen_access_list: addresses as a whole.
fn whole_address(how: Use, key: &str) -> Option<Odd> {
    let names = matches!(how, Use::Clients(_));
    let help = "write networks in a cidr: table, or in the list itself";
    match shape(key) {
        Shape::Address(address) => canonical(key, address),
        Shape::Prefix4 | Shape::Prefix6 | Shape::Malformed => {
            form(format!("only whole addresses are asked for: {key} never matches"), help)
        }
        Shape::Block => block(key, help),
        Shape::Mail { .. } => never(format!("{key} is a mail address, and clients are asked for"), help),
        Shape::Name if key.starts_with('[') => host_name(how, key),
        Shape::Name if !names => {
            never(format!("{key} is a name, and only addresses are asked for"), "write the address")
        }
        Shape::Name => None,
    }
}

/// check_ccert_access, relay_clientcerts: `A1:B2:…`, or a subject or issuer where search_order says so.
fn fingerprint(key: &str) -> Option<Odd> {
    let digits = key.len() >= 32 && key.len().is_multiple_of(2) && key.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits {
        return None;
    }
    let pairs: Vec<&str> = (0..key.len()).step_by(2).filter_map(|at| key.get(at..at + 2)).collect();
    let odd = form(
        "fingerprints are asked for with a colon between bytes: this key never matches",
        "write A1:B2:C3 and so on",
    )?;
    Some(odd.instead(pairs.join(":")))
}

/// `.example.com`, where parents stand for their subdomains.
pub(super) fn leading_dot(how: Use, key: &str, parents: Parents) -> Option<Odd> {
    let name = key.strip_prefix('.').filter(|name| !name.is_empty() && !name.contains('*'))?;
    let (parameter, matters) = match how {
        Use::Access(AccessOf::Sasl | AccessOf::Whatever | AccessOf::Certificate, _) => return None,
        Use::Access(..) => ("smtpd_access_maps", parents),
        Use::Transports => ("transport_maps", parents),
        Use::Domains(parents) | Use::Clients(parents) => ("this list", parents),
        _ => return None,
    };
    if matters == Parents::Dotted {
        return None;
    }
    form(
        format!("parent_domain_matches_subdomains has {parameter}, so {key} is never asked for"),
        format!("write {name}, which stands for its subdomains too"),
    )
}
