//! The registry of restriction names: what each takes, its legacy names, and what is said about it.
//!
//! One row for each name of postconf(5) 3.11, and for the ones of 3.7 and before that people still write (T1.4,
//! T1.6, T1.10). Also finds the nearest name to a misspelt one.

use crate::check::{HostsOf, Plain, Subject};

/// What stands behind a restriction's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing.
    Plain(Plain),
    /// A number of seconds.
    Sleep,
    /// A policy server.
    Service,
    /// A table.
    Access(Subject),
    /// A table, asked for a name's hosts.
    Hosts(Subject, HostsOf),
    /// A table, asked for the client's certificate.
    Certificate,
    /// A table, asked for the login name.
    Sasl,
    /// A zone.
    Blocklist(Subject),
    /// A zone.
    Allowlist(Subject),
    /// Nothing, but `maps_rbl_domains`.
    MapsRbl,
    /// Not served yet.
    NotYet,
}

use Form::{Access, Allowlist, Blocklist, Hosts, NotYet};
use HostsOf::{Address as A, Mx, Ns};
use Plain as P;
use Subject::{Client, Helo, Recipient, ReverseClient as Reverse, Sender};

/// Every name with its form. Names are matched in any case, as Postfix does.
pub(crate) const ROWS: &[(&str, Form)] = &[
    ("permit", Form::Plain(P::Permit)),
    ("reject", Form::Plain(P::Reject)),
    ("defer", Form::Plain(P::Defer)),
    ("defer_if_permit", Form::Plain(P::DeferIfPermit)),
    ("defer_if_reject", Form::Plain(P::DeferIfReject)),
    ("warn_if_reject", Form::Plain(P::WarnIfReject)),
    ("sleep", Form::Sleep),
    ("check_policy_service", Form::Service),
    ("reject_unauth_pipelining", Form::Plain(P::RejectUnauthPipelining)),
    ("reject_plaintext_session", Form::Plain(P::RejectPlaintextSession)),
    ("reject_multi_recipient_bounce", Form::Plain(P::RejectMultiRecipientBounce)),
    ("permit_mynetworks", Form::Plain(P::PermitMynetworks)),
    ("permit_inet_interfaces", Form::Plain(P::PermitInetInterfaces)),
    ("permit_naked_ip_address", Form::Plain(P::PermitNakedIpAddress)),
    ("permit_sasl_authenticated", Form::Plain(P::PermitSaslAuthenticated)),
    ("permit_tls_clientcerts", Form::Plain(P::PermitTlsClientcerts)),
    ("permit_tls_all_clientcerts", Form::Plain(P::PermitTlsAllClientcerts)),
    ("reject_unknown_client_hostname", Form::Plain(P::RejectUnknownClientHostname)),
    ("reject_unknown_reverse_client_hostname", Form::Plain(P::RejectUnknownReverseClientHostname)),
    ("reject_invalid_helo_hostname", Form::Plain(P::RejectInvalidHeloHostname)),
    ("reject_non_fqdn_helo_hostname", Form::Plain(P::RejectNonFqdnHeloHostname)),
    ("reject_unknown_helo_hostname", Form::Plain(P::RejectUnknownHeloHostname)),
    ("reject_non_fqdn_sender", Form::Plain(P::RejectNonFqdnSender)),
    ("reject_unknown_sender_domain", Form::Plain(P::RejectUnknownSenderDomain)),
    ("reject_unlisted_sender", Form::Plain(P::RejectUnlistedSender)),
    ("reject_non_fqdn_recipient", Form::Plain(P::RejectNonFqdnRecipient)),
    ("reject_unknown_recipient_domain", Form::Plain(P::RejectUnknownRecipientDomain)),
    ("reject_unlisted_recipient", Form::Plain(P::RejectUnlistedRecipient)),
    ("permit_auth_destination", Form::Plain(P::PermitAuthDestination)),
    ("permit_mx_backup", Form::Plain(P::PermitMxBackup)),
    ("check_relay_domains", Form::Plain(P::CheckRelayDomains)),
    ("reject_unauth_destination", Form::Plain(P::RejectUnauthDestination)),
    ("defer_unauth_destination", Form::Plain(P::DeferUnauthDestination)),
    ("check_client_access", Access(Client)),
    ("check_client_a_access", Hosts(Client, A)),
    ("check_client_mx_access", Hosts(Client, Mx)),
    ("check_client_ns_access", Hosts(Client, Ns)),
    ("check_reverse_client_hostname_access", Access(Reverse)),
    ("check_reverse_client_hostname_a_access", Hosts(Reverse, A)),
    ("check_reverse_client_hostname_mx_access", Hosts(Reverse, Mx)),
    ("check_reverse_client_hostname_ns_access", Hosts(Reverse, Ns)),
    ("check_helo_access", Access(Helo)),
    ("check_helo_a_access", Hosts(Helo, A)),
    ("check_helo_mx_access", Hosts(Helo, Mx)),
    ("check_helo_ns_access", Hosts(Helo, Ns)),
    ("check_sender_access", Access(Sender)),
    ("check_sender_a_access", Hosts(Sender, A)),
    ("check_sender_mx_access", Hosts(Sender, Mx)),
    ("check_sender_ns_access", Hosts(Sender, Ns)),
    ("check_recipient_access", Access(Recipient)),
    ("check_recipient_a_access", Hosts(Recipient, A)),
    ("check_recipient_mx_access", Hosts(Recipient, Mx)),
    ("check_recipient_ns_access", Hosts(Recipient, Ns)),
    ("check_etrn_access", Access(Subject::Etrn)),
    ("check_ccert_access", Form::Certificate),
    ("check_sasl_access", Form::Sasl),
    ("reject_rbl_client", Blocklist(Client)),
    ("reject_rhsbl_client", Blocklist(Client)),
    ("reject_rhsbl_reverse_client", Blocklist(Reverse)),
    ("reject_rhsbl_helo", Blocklist(Helo)),
    ("reject_rhsbl_sender", Blocklist(Sender)),
    ("reject_rhsbl_recipient", Blocklist(Recipient)),
    ("permit_dnswl_client", Allowlist(Client)),
    ("permit_rhswl_client", Allowlist(Client)),
    ("reject_maps_rbl", Form::MapsRbl),
    ("reject_sender_login_mismatch", NotYet),
    ("reject_authenticated_sender_login_mismatch", NotYet),
    ("reject_known_sender_login_mismatch", NotYet),
    ("reject_unauthenticated_sender_login_mismatch", NotYet),
    ("reject_unverified_sender", NotYet),
    ("reject_unverified_recipient", NotYet),
];

/// Old names, with today's.
pub(crate) const LEGACY: &[(&str, &str)] = &[
    ("reject_unknown_client", "reject_unknown_client_hostname"),
    ("reject_invalid_hostname", "reject_invalid_helo_hostname"),
    ("reject_non_fqdn_hostname", "reject_non_fqdn_helo_hostname"),
    ("reject_unknown_hostname", "reject_unknown_helo_hostname"),
    ("reject_unknown_address", "reject_unknown_sender_domain"),
    ("reject_rbl", "reject_rbl_client"),
    ("check_recipient_maps", "reject_unlisted_recipient"),
];

/// Understood, and better written otherwise; with Postfix's advice for its log line and ours for the diagnostic.
pub(crate) const DEPRECATED: &[(&str, &str)] = &[
    ("reject_maps_rbl", "reject_rbl_client domain-name"),
    ("check_relay_domains", "reject_unauth_destination"),
    ("permit_naked_ip_address", "permit_mynetworks or permit_sasl_authenticated"),
];

/// The form of `name`, and today's name for it.
pub(crate) fn find(name: &str) -> Option<(&'static str, Form)> {
    let today =
        LEGACY.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).map_or(name, |(_, today)| today);
    ROWS.iter().find(|(row, _)| row.eq_ignore_ascii_case(today)).map(|&(row, form)| (row, form))
}

/// Whether `name` is an old name; then today's.
pub(crate) fn today(name: &str) -> Option<&'static str> {
    LEGACY.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).map(|&(_, today)| today)
}

/// The name that `word` is most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, more: impl Iterator<Item = &'a str>) -> Option<String> {
    let word = word.to_ascii_lowercase();
    if word.len() > 64 {
        return None;
    }
    let limit = (word.len() / 4).clamp(1, 4);
    ROWS.iter()
        .map(|&(name, _)| name)
        .chain(LEGACY.iter().map(|&(name, _)| name))
        .chain(more)
        .map(|name| (distance(&word, name), name))
        .filter(|&(distance, _)| distance <= limit)
        .min()
        .map(|(_, name)| name.to_owned())
}

/// The number of letters to change, insert, drop or swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best =
                (cell(&last, j) + usize::from(x != y)).min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name() {
        let check = |word: &str, expect: Option<&str>| {
            assert_eq!(nearest(word, std::iter::once("my_class")).as_deref(), expect, "{word}");
        };
        check("reject_unauth_destinaton", Some("reject_unauth_destination"));
        check("reject_unknwon_client_hostname", Some("reject_unknown_client_hostname"));
        check("permit_mynetwork", Some("permit_mynetworks"));
        check("my_clas", Some("my_class"));
        check("//", None);
        check("something_else", None);
    }

    #[test]
    fn every_legacy_name_leads_somewhere() {
        for (old, new) in LEGACY {
            assert!(ROWS.iter().any(|(name, _)| name == new), "{old}");
            assert!(!ROWS.iter().any(|(name, _)| name == old), "{old}");
        }
    }
}
