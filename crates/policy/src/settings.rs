//! The parameters that restrictions obey, read once: [`Settings`].
//!
//! Values only; the restriction lists themselves are compiled next door.

use config::{Compat, Diagnostic, Parameters, Spanned};
use std::net::IpAddr;
use std::time::Duration;
use tables::{AddressList, Catalogue, DomainList, Sources, StringList, TableId};

/// What a restriction does when DNS gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tempfail {
    DeferIfPermit,
    Defer,
}

/// The reply codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes {
    pub(crate) reject: u16,
    pub(crate) defer: u16,
    pub(crate) access_map_reject: u16,
    pub(crate) access_map_defer: u16,
    pub(crate) unknown_client: u16,
    pub(crate) unknown_hostname: u16,
    pub(crate) unknown_address: u16,
    pub(crate) invalid_hostname: u16,
    pub(crate) non_fqdn: u16,
    pub(crate) relay_domains: u16,
    pub(crate) maps_rbl: u16,
    pub(crate) plaintext: u16,
    pub(crate) multi_recipient_bounce: u16,
}

/// What is said of addresses that a probe has not found to be deliverable.
#[derive(Clone, Debug)]
pub(crate) struct Unverified {
    /// `unverified_…_reject_code`; a code that is no refusal takes the address all the same.
    pub(crate) reject: u16,
    /// `unverified_…_defer_code`
    pub(crate) defer: u16,
    /// `unverified_…_reject_reason`, in place of what the probe has found.
    pub(crate) reason: Option<String>,
    /// `unverified_…_tempfail_action`
    pub(crate) tempfail: Tempfail,
}

impl Unverified {
    fn read(p: &Parameters, whom: &str, said: &mut Vec<Diagnostic>) -> Unverified {
        let name = |what: &str| format!("unverified_{whom}_{what}");
        let number = |what: &str| u16::try_from(p.number(&name(what))).unwrap_or(450);
        let reason = p.text(&name("reject_reason")).value;
        Unverified {
            reject: number("reject_code"),
            defer: number("defer_code"),
            reason: (!reason.is_empty()).then_some(reason),
            tempfail: tempfail(p, &name("tempfail_action"), said),
        }
    }
}

/// What holds for the whole service.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) codes: Codes,
    pub(crate) compat: Compat,
    pub(crate) helo_tempfail: Tempfail,
    pub(crate) address_tempfail: Tempfail,
    /// `reject_unverified_sender`
    pub(crate) unverified_sender: Unverified,
    /// `reject_unverified_recipient`
    pub(crate) unverified_recipient: Unverified,
    /// `address_verify_poll_count`, `address_verify_poll_delay`
    pub(crate) verify_polls: (u32, Duration),
    pub(crate) delay_reject: bool,
    pub(crate) relay_first: bool,
    /// No `no_unknown_recipient_checks` in `receive_override_options`.
    pub(crate) checks_unlisted: bool,
    /// There is a `smtpd_proxy_filter`: mail isn't ours to be changed.
    pub(crate) passes_on: bool,
    pub(crate) unlisted_recipient: bool,
    pub(crate) unlisted_sender: bool,
    pub(crate) show_table_name: bool,
    pub(crate) soft_bounce: bool,
    pub(crate) parents_match: bool,
    pub(crate) dnsbl_health: bool,
    pub(crate) null_key: String,
    pub(crate) rbl_template: String,
    pub(crate) rbl_reply_maps: Vec<TableId>,
    pub(crate) expansion_filter: String,
    pub(crate) dns_filter: Vec<TableId>,
    /// `smtpd_sender_login_maps`
    pub(crate) sender_login_maps: Vec<TableId>,
    /// `smtpd_sasl_auth_enable`
    pub(crate) sasl: bool,
    pub(crate) log_permits: StringList,
    pub(crate) mynetworks: AddressList,
    pub(crate) interfaces: Vec<IpAddr>,
    pub(crate) proxies: Vec<IpAddr>,
    pub(crate) mx_backup_networks: AddressList,
    pub(crate) mx_backup_limited: bool,
    pub(crate) relay_clientcerts: Vec<TableId>,
    pub(crate) mydestination: DomainList,
    pub(crate) relay_domains: DomainList,
    pub(crate) compatibility_level: String,
    pub(crate) mail_version: String,
    pub(crate) myhostname: String,
}

/// A code between 400 and 599, else the default.
fn code(parameters: &Parameters, name: &str, default: u16) -> u16 {
    u16::try_from(parameters.number(name)).ok().filter(|code| (400..600).contains(code)).unwrap_or(default)
}

impl Codes {
    fn read(p: &Parameters) -> Codes {
        Codes {
            reject: code(p, "reject_code", 554),
            defer: code(p, "defer_code", 450),
            access_map_reject: code(p, "access_map_reject_code", 554),
            access_map_defer: code(p, "access_map_defer_code", 450),
            unknown_client: code(p, "unknown_client_reject_code", 450),
            unknown_hostname: code(p, "unknown_hostname_reject_code", 450),
            unknown_address: code(p, "unknown_address_reject_code", 450),
            invalid_hostname: code(p, "invalid_hostname_reject_code", 501),
            non_fqdn: code(p, "non_fqdn_reject_code", 504),
            relay_domains: code(p, "relay_domains_reject_code", 554),
            maps_rbl: code(p, "maps_rbl_reject_code", 554),
            plaintext: code(p, "plaintext_reject_code", 450),
            multi_recipient_bounce: code(p, "multi_recipient_bounce_reject_code", 550),
        }
    }
}

/// Interns every table of a list parameter.
pub(crate) fn tables(
    words: &[Spanned<String>],
    catalogue: &mut Catalogue,
    said: &mut Vec<Diagnostic>,
) -> Vec<TableId> {
    let mut ids = Vec::new();
    for word in words {
        match catalogue.intern(word) {
            Ok(id) => ids.push(id),
            Err(diagnostic) => said.push(diagnostic),
        }
    }
    ids
}

fn tempfail(p: &Parameters, name: &str, said: &mut Vec<Diagnostic>) -> Tempfail {
    let text = p.text(name);
    match text.value.as_str() {
        "defer_if_permit" => Tempfail::DeferIfPermit,
        "defer" => Tempfail::Defer,
        other => {
            said.push(
                Diagnostic::error(420, text.place.clone(), format!("{name} = {other} is not an action"))
                    .help("Postfix refuses to run with it; write defer_if_permit or defer"),
            );
            Tempfail::DeferIfPermit
        }
    }
}

fn addresses(p: &Parameters, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for word in p.list(name) {
        let own = p.host().addresses.iter().map(|interface| interface.address);
        match word.value.as_str() {
            "all" => found.extend(own),
            "loopback-only" => found.extend(own.filter(IpAddr::is_loopback)),
            text => found.extend(mail::host::parse_address(text.trim_matches(['[', ']']))),
        }
    }
    found
}

/// C's escapes, as `smtpd_expansion_filter` has them.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('a') => out.push('\u{7}'),
            Some(digit) if digit.is_digit(8) => {
                let mut value = digit.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(more) = rest.peek().and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + more;
                    rest.next();
                }
                out.extend(char::from_u32(value));
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

impl Settings {
    /// Reads them all.
    pub(crate) fn read(
        p: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
        said: &mut Vec<Diagnostic>,
    ) -> Settings {
        let parents = p.list("parent_domain_matches_subdomains");
        let parents = |name: &str| parents.iter().any(|word| word.value.eq_ignore_ascii_case(name));
        let mut hosts = |name: &str, parents: bool, catalogue: &mut Catalogue| {
            let (list, more) = AddressList::compile(&p.list(name), catalogue, sources, parents);
            said.extend(more);
            list
        };
        let mynetworks = hosts("mynetworks", parents("mynetworks"), catalogue);
        let backup = "permit_mx_backup_networks";
        let mx_backup_networks = hosts(backup, parents(backup), catalogue);
        let (log_permits, more) =
            StringList::compile(&p.list("smtpd_log_access_permit_actions"), catalogue, sources, false);
        said.extend(more);
        let (mydestination, more) = DomainList::compile(&p.list("mydestination"), catalogue, sources, false);
        // Said once, by the address classes, which own these parameters.
        drop(more);
        let parents_too = parents("relay_domains");
        let (relay_domains, more) =
            DomainList::compile(&p.list("relay_domains"), catalogue, sources, parents_too);
        drop(more);
        Settings {
            codes: Codes::read(p),
            compat: p.compat(),
            helo_tempfail: tempfail(p, "unknown_helo_hostname_tempfail_action", said),
            address_tempfail: tempfail(p, "unknown_address_tempfail_action", said),
            unverified_sender: Unverified::read(p, "sender", said),
            unverified_recipient: Unverified::read(p, "recipient", said),
            verify_polls: (
                u32::try_from(p.number("address_verify_poll_count")).unwrap_or(1).max(1),
                p.duration("address_verify_poll_delay"),
            ),
            delay_reject: p.flag("smtpd_delay_reject"),
            relay_first: p.flag("smtpd_relay_before_recipient_restrictions"),
            checks_unlisted: !p
                .list("receive_override_options")
                .iter()
                .any(|word| word.value == "no_unknown_recipient_checks"),
            passes_on: !p.text("smtpd_proxy_filter").value.is_empty(),
            unlisted_recipient: p.flag("smtpd_reject_unlisted_recipient"),
            unlisted_sender: p.flag("smtpd_reject_unlisted_sender"),
            show_table_name: p.flag("show_user_unknown_table_name"),
            soft_bounce: p.flag("soft_bounce"),
            parents_match: parents("smtpd_access_maps"),
            dnsbl_health: !p.is_set("komainu_dnsbl_health") || p.flag("komainu_dnsbl_health"),
            null_key: p.text("smtpd_null_access_lookup_key").value,
            rbl_template: p.raw("default_rbl_reply").map_or_else(|| RBL_TEMPLATE.to_owned(), |raw| raw.value),
            rbl_reply_maps: tables(&p.list("rbl_reply_maps"), catalogue, said),
            expansion_filter: p
                .raw("smtpd_expansion_filter")
                .map_or_else(|| (' '..='~').chain(['\t']).collect(), |raw| unescape(&raw.value)),
            dns_filter: tables(&p.list("smtpd_dns_reply_filter"), catalogue, said),
            sender_login_maps: tables(&p.list("smtpd_sender_login_maps"), catalogue, said),
            sasl: p.flag("smtpd_sasl_auth_enable"),
            log_permits,
            mynetworks,
            interfaces: addresses(p, "inet_interfaces"),
            proxies: addresses(p, "proxy_interfaces"),
            mx_backup_networks,
            mx_backup_limited: !p.list(backup).is_empty(),
            relay_clientcerts: tables(&p.list("relay_clientcerts"), catalogue, said),
            mydestination,
            relay_domains,
            compatibility_level: p.text("compatibility_level").value,
            mail_version: p.text("mail_version").value,
            myhostname: p.text("myhostname").value,
        }
    }
}

/// `default_rbl_reply`'s default.
const RBL_TEMPLATE: &str = "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}";
