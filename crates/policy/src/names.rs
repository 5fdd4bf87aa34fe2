//! The registry of restriction names: what each takes, its legacy names, and what is said about it.
//!
//! One row for each name of postconf(5) 3.11, and for the ones of 3.7 and before that people still write (T1.4,
//! T1.6, T1.10): the parser reads by them, docs/reference/restrictions.md is made from them. Also finds the nearest
//! name to a misspelt one.

use crate::check::{HostsOf, Plain, Subject};
use crate::checks::spf::SpfFault;
use config::registry::Entry;

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
}

use Form::{Access, Allowlist, Blocklist, Hosts};
use HostsOf::{Address as A, Mx, Ns};
use Plain as P;
use Subject::{Client, Helo, Recipient, ReverseClient as Reverse, Sender};

/// One name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// What is told of it.
    pub(crate) entry: Entry,
    /// What stands behind it.
    pub(crate) form: Form,
}

const fn row(entry: Entry, form: Form) -> Row {
    Row { entry, form }
}

const ANY: &str = "any list";
const HELO: &str = "HELO list and later ones";
const MAIL: &str = "sender list and later ones";
const RCPT: &str = "relay and recipient list";
const ETRN: &str = "ETRN list";
const EOD: &str = "end-of-data list";

/// Every name with its form. Names are matched in any case, as Postfix does.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row(Entry::new("permit", ANY, "Lets the request pass this list; what stands behind it is never reached."), Form::Plain(P::Permit)),
    row(Entry::new("reject", ANY, "Refuses the request with reject_code."), Form::Plain(P::Reject)),
    row(Entry::new("defer", ANY, "Puts the client off with defer_code."), Form::Plain(P::Defer)),
    row(Entry::new("defer_if_permit", ANY, "Puts the client off if the rest of the list would let it pass.").since("2.1"), Form::Plain(P::DeferIfPermit)),
    row(Entry::new("defer_if_reject", ANY, "Puts the client off if the rest of the list would refuse it.").since("2.1"), Form::Plain(P::DeferIfReject)),
    row(Entry::new("warn_if_reject", ANY, "Makes the restriction behind it log what it would refuse, and refuse nothing."), Form::Plain(P::WarnIfReject)),
    row(Entry::new("sleep", ANY, "Pauses before the next restriction; hold it short, as clients wait.").takes("SECONDS").since("2.3"), Form::Sleep),
    row(Entry::new("check_policy_service", ANY, "Asks a policy server and does what it answers, as an access table would say it.").takes("inet:HOST:PORT or unix:PATH").since("2.1"), Form::Service),
    row(Entry::new("reject_unauth_pipelining", ANY, "Refuses clients that send commands ahead of the replies that they must wait for."), Form::Plain(P::RejectUnauthPipelining)),
    row(Entry::new("reject_plaintext_session", ANY, "Refuses sessions without TLS, with plaintext_reject_code.").since("2.3"), Form::Plain(P::RejectPlaintextSession)),
    row(Entry::new("reject_multi_recipient_bounce", ANY, "Refuses mail from the null sender to several recipients; best at DATA.").since("2.1"), Form::Plain(P::RejectMultiRecipientBounce)),
    row(Entry::new("reject_dangerous_attachment", EOD, "Refuses messages with attachments that a click runs: by name, by content, in archives too. Not known to Postfix."), Form::Plain(P::RejectDangerousAttachment)),
    row(Entry::new("permit_mynetworks", ANY, "Lets clients in mynetworks pass."), Form::Plain(P::PermitMynetworks)),
    row(Entry::new("permit_inet_interfaces", ANY, "Lets clients with one of the machine's own addresses pass.").since("2.2"), Form::Plain(P::PermitInetInterfaces)),
    row(Entry::new("permit_naked_ip_address", HELO, "Let clients pass whose HELO is a bare address.").until("3.8").instead("permit_mynetworks or permit_sasl_authenticated"), Form::Plain(P::PermitNakedIpAddress)),
    row(Entry::new("permit_sasl_authenticated", ANY, "Lets clients pass that have logged in with AUTH."), Form::Plain(P::PermitSaslAuthenticated)),
    row(Entry::new("permit_tls_clientcerts", ANY, "Lets clients pass whose certificate or key is in relay_clientcerts.").since("2.2"), Form::Plain(P::PermitTlsClientcerts)),
    row(Entry::new("permit_tls_all_clientcerts", ANY, "Lets clients pass whose certificate a trusted CA has signed; any customer of that CA.").since("2.2"), Form::Plain(P::PermitTlsAllClientcerts)),
    row(Entry::new("reject_unknown_client_hostname", ANY, "Refuses clients without a name, or whose name leads to other addresses.").since("2.3"), Form::Plain(P::RejectUnknownClientHostname)),
    row(Entry::new("reject_unknown_reverse_client_hostname", ANY, "Refuses clients whose address has no name at all.").since("2.3"), Form::Plain(P::RejectUnknownReverseClientHostname)),
    row(Entry::new("reject_invalid_helo_hostname", HELO, "Refuses clients whose HELO name is malformed.").since("2.3"), Form::Plain(P::RejectInvalidHeloHostname)),
    row(Entry::new("reject_non_fqdn_helo_hostname", HELO, "Refuses clients whose HELO is neither a full name nor an address in brackets.").since("2.3"), Form::Plain(P::RejectNonFqdnHeloHostname)),
    row(Entry::new("reject_unknown_helo_hostname", HELO, "Refuses clients whose HELO name has neither an address nor an MX record.").since("2.3"), Form::Plain(P::RejectUnknownHeloHostname)),
    row(Entry::new("reject_non_fqdn_sender", MAIL, "Refuses sender addresses whose domain is no full name."), Form::Plain(P::RejectNonFqdnSender)),
    row(Entry::new("reject_unknown_sender_domain", MAIL, "Refuses senders whose domain has no MX and no address record, or a null MX, unless it is our own."), Form::Plain(P::RejectUnknownSenderDomain)),
    row(Entry::new("reject_spf_fail", MAIL, "Refuses clients that the SPF record of their HELO name or sender's domain forbids. Not known to Postfix."), Form::Plain(P::Spf(SpfFault::Fail))),
    row(Entry::new("defer_spf_temperror", MAIL, "Puts clients off while the SPF record of their HELO name or sender's domain can't be had. Not known to Postfix."), Form::Plain(P::Spf(SpfFault::TempError))),
    row(Entry::new("reject_unlisted_sender", MAIL, "Refuses senders in own domains that have no such address.").since("2.1"), Form::Plain(P::RejectUnlistedSender)),
    row(Entry::new("reject_non_fqdn_recipient", RCPT, "Refuses recipient addresses whose domain is no full name."), Form::Plain(P::RejectNonFqdnRecipient)),
    row(Entry::new("reject_unknown_recipient_domain", RCPT, "Refuses recipients whose domain has no MX and no address record, or a null MX, unless it is our own."), Form::Plain(P::RejectUnknownRecipientDomain)),
    row(Entry::new("reject_unlisted_recipient", RCPT, "Refuses recipients in own domains that have no such address.").since("2.1"), Form::Plain(P::RejectUnlistedRecipient)),
    row(Entry::new("permit_auth_destination", RCPT, "Lets mail pass to domains that are ours to receive or relay."), Form::Plain(P::PermitAuthDestination)),
    row(Entry::new("permit_mx_backup", RCPT, "Lets mail pass to domains that name this machine as MX, within permit_mx_backup_networks; deprecated."), Form::Plain(P::PermitMxBackup)),
    row(Entry::new("check_relay_domains", RCPT, "Let mail pass to relay_domains or from a client in them, and refused other mail.").until("3.8").instead("reject_unauth_destination"), Form::Plain(P::CheckRelayDomains)),
    row(Entry::new("reject_unauth_destination", RCPT, "Refuses mail to domains that are not ours to receive or relay: the guard against an open relay."), Form::Plain(P::RejectUnauthDestination)),
    row(Entry::new("defer_unauth_destination", RCPT, "As reject_unauth_destination, with a temporary refusal.").since("2.10"), Form::Plain(P::DeferUnauthDestination)),
    row(Entry::new("check_client_access", ANY, "Looks the client's name, its parent domains, address and networks up in an access table.").takes("TYPE:TABLE"), Access(Client)),
    row(Entry::new("check_client_a_access", ANY, "Looks the addresses of the client's name up in an access table.").takes("TYPE:TABLE").since("3.0"), Hosts(Client, A)),
    row(Entry::new("check_client_mx_access", ANY, "Looks the MX hosts of the client's name and their addresses up in an access table.").takes("TYPE:TABLE").since("2.7"), Hosts(Client, Mx)),
    row(Entry::new("check_client_ns_access", ANY, "Looks the name servers of the client's name and their addresses up in an access table.").takes("TYPE:TABLE").since("2.7"), Hosts(Client, Ns)),
    row(Entry::new("check_reverse_client_hostname_access", ANY, "Looks the client's unverified name and its parent domains up in an access table.").takes("TYPE:TABLE").since("2.6"), Access(Reverse)),
    row(Entry::new("check_reverse_client_hostname_a_access", ANY, "Looks the addresses of the client's unverified name up in an access table.").takes("TYPE:TABLE").since("3.0"), Hosts(Reverse, A)),
    row(Entry::new("check_reverse_client_hostname_mx_access", ANY, "Looks the MX hosts of the client's unverified name and their addresses up in an access table.").takes("TYPE:TABLE").since("2.7"), Hosts(Reverse, Mx)),
    row(Entry::new("check_reverse_client_hostname_ns_access", ANY, "Looks the name servers of the client's unverified name and their addresses up in an access table.").takes("TYPE:TABLE").since("2.7"), Hosts(Reverse, Ns)),
    row(Entry::new("check_helo_access", HELO, "Looks the HELO name and its parent domains up in an access table.").takes("TYPE:TABLE"), Access(Helo)),
    row(Entry::new("check_helo_a_access", HELO, "Looks the addresses of the HELO name up in an access table.").takes("TYPE:TABLE").since("3.0"), Hosts(Helo, A)),
    row(Entry::new("check_helo_mx_access", HELO, "Looks the MX hosts of the HELO name and their addresses up in an access table.").takes("TYPE:TABLE").since("2.1"), Hosts(Helo, Mx)),
    row(Entry::new("check_helo_ns_access", HELO, "Looks the name servers of the HELO name and their addresses up in an access table.").takes("TYPE:TABLE").since("2.1"), Hosts(Helo, Ns)),
    row(Entry::new("check_sender_access", MAIL, "Looks the sender address, its domain and local part up in an access table.").takes("TYPE:TABLE"), Access(Sender)),
    row(Entry::new("check_sender_a_access", MAIL, "Looks the addresses of the sender's domain up in an access table.").takes("TYPE:TABLE").since("3.0"), Hosts(Sender, A)),
    row(Entry::new("check_sender_mx_access", MAIL, "Looks the MX hosts of the sender's domain and their addresses up in an access table.").takes("TYPE:TABLE").since("2.1"), Hosts(Sender, Mx)),
    row(Entry::new("check_sender_ns_access", MAIL, "Looks the name servers of the sender's domain and their addresses up in an access table.").takes("TYPE:TABLE").since("2.1"), Hosts(Sender, Ns)),
    row(Entry::new("check_recipient_access", RCPT, "Looks the recipient address, its domain and local part up in an access table.").takes("TYPE:TABLE"), Access(Recipient)),
    row(Entry::new("check_recipient_a_access", RCPT, "Looks the addresses of the recipient's domain up in an access table.").takes("TYPE:TABLE").since("3.0"), Hosts(Recipient, A)),
    row(Entry::new("check_recipient_mx_access", RCPT, "Looks the MX hosts of the recipient's domain and their addresses up in an access table.").takes("TYPE:TABLE").since("2.1"), Hosts(Recipient, Mx)),
    row(Entry::new("check_recipient_ns_access", RCPT, "Looks the name servers of the recipient's domain and their addresses up in an access table.").takes("TYPE:TABLE").since("2.1"), Hosts(Recipient, Ns)),
    row(Entry::new("check_etrn_access", ETRN, "Looks the domain of an ETRN command, and its parent domains, up in an access table.").takes("TYPE:TABLE"), Access(Subject::Etrn)),
    row(Entry::new("check_ccert_access", ANY, "Looks the client certificate's fingerprints, or what search_order names, up in an access table.").takes("TYPE:TABLE or { TYPE:TABLE, search_order = … }").since("2.2"), Form::Certificate),
    row(Entry::new("check_sasl_access", ANY, "Looks the login name up in an access table.").takes("TYPE:TABLE").since("2.11"), Form::Sasl),
    row(Entry::new("reject_rbl_client", ANY, "Refuses clients whose address is on a DNS list, with one of the given answers.").takes("ZONE[=FILTER]").since("2.0"), Blocklist(Client)),
    row(Entry::new("reject_rhsbl_client", ANY, "Refuses clients whose name is on a DNS list.").takes("ZONE[=FILTER]").since("2.0"), Blocklist(Client)),
    row(Entry::new("reject_rhsbl_reverse_client", ANY, "Refuses clients whose unverified name is on a DNS list.").takes("ZONE[=FILTER]").since("2.8"), Blocklist(Reverse)),
    row(Entry::new("reject_rhsbl_helo", HELO, "Refuses clients whose HELO name is on a DNS list.").takes("ZONE[=FILTER]").since("2.0"), Blocklist(Helo)),
    row(Entry::new("reject_rhsbl_sender", MAIL, "Refuses senders whose domain is on a DNS list.").takes("ZONE[=FILTER]").since("2.0"), Blocklist(Sender)),
    row(Entry::new("reject_rhsbl_recipient", RCPT, "Refuses recipients whose domain is on a DNS list.").takes("ZONE[=FILTER]").since("2.0"), Blocklist(Recipient)),
    row(Entry::new("permit_dnswl_client", ANY, "Lets clients pass whose address is on a DNS list of the trusted; never before the relay check.").takes("ZONE[=FILTER]").since("2.8"), Allowlist(Client)),
    row(Entry::new("permit_rhswl_client", ANY, "Lets clients pass whose name is on a DNS list of the trusted; names are easily forged.").takes("ZONE[=FILTER]").since("2.8"), Allowlist(Client)),
    row(Entry::new("reject_maps_rbl", ANY, "Refuses clients whose address is on one of maps_rbl_domains.").until("3.8").instead("reject_rbl_client ZONE"), Form::MapsRbl),
    row(Entry::new("reject_sender_login_mismatch", MAIL, "Refuses senders that smtpd_sender_login_maps gives to others, and strangers' use of owned ones."), Form::Plain(P::RejectSenderLoginMismatch)),
    row(Entry::new("reject_authenticated_sender_login_mismatch", MAIL, "Refuses logged-in clients whose sender is not theirs in smtpd_sender_login_maps.").since("2.1"), Form::Plain(P::RejectAuthenticatedSenderLoginMismatch)),
    row(Entry::new("reject_known_sender_login_mismatch", MAIL, "As reject_sender_login_mismatch, for senders that smtpd_sender_login_maps knows only.").since("2.11"), Form::Plain(P::RejectKnownSenderLoginMismatch)),
    row(Entry::new("reject_unauthenticated_sender_login_mismatch", MAIL, "Refuses clients that have not logged in and give a sender that smtpd_sender_login_maps knows.").since("2.1"), Form::Plain(P::RejectUnauthenticatedSenderLoginMismatch)),
    row(Entry::new("reject_unverified_sender", MAIL, "Refuses senders to whom a probe says that mail cannot be delivered.").since("2.1"), Form::Plain(P::RejectUnverifiedSender)),
    row(Entry::new("reject_unverified_recipient", RCPT, "Refuses recipients to whom a probe says that mail cannot be delivered.").since("2.1"), Form::Plain(P::RejectUnverifiedRecipient)),
];

/// Old names; `instead` is today's.
#[rustfmt::skip]
pub(crate) const LEGACY: &[Entry] = &[
    Entry::new("reject_unknown_client", ANY, "Former name of reject_unknown_client_hostname, renamed in Postfix 2.3.").instead("reject_unknown_client_hostname"),
    Entry::new("reject_invalid_hostname", HELO, "Former name of reject_invalid_helo_hostname, renamed in Postfix 2.3.").instead("reject_invalid_helo_hostname"),
    Entry::new("reject_non_fqdn_hostname", HELO, "Former name of reject_non_fqdn_helo_hostname, renamed in Postfix 2.3.").instead("reject_non_fqdn_helo_hostname"),
    Entry::new("reject_unknown_hostname", HELO, "Former name of reject_unknown_helo_hostname, renamed in Postfix 2.3.").instead("reject_unknown_helo_hostname"),
    Entry::new("reject_unknown_address", MAIL, "Early name of reject_unknown_sender_domain, in documents up to Postfix 2.0.").instead("reject_unknown_sender_domain"),
    Entry::new("reject_rbl", ANY, "Early name of reject_rbl_client, from before Postfix 2.0.").instead("reject_rbl_client").takes("ZONE[=FILTER]"),
    Entry::new("check_recipient_maps", RCPT, "Former name of reject_unlisted_recipient, renamed in Postfix 2.1.").instead("reject_unlisted_recipient"),
];

/// Understood, and better written otherwise; with Postfix's advice for its log line and ours for the diagnostic.
pub(crate) const DEPRECATED: &[(&str, &str)] = &[
    ("reject_maps_rbl", "reject_rbl_client domain-name"),
    ("check_relay_domains", "reject_unauth_destination"),
    ("permit_naked_ip_address", "permit_mynetworks or permit_sasl_authenticated"),
];

/// Every restriction, and every old name of one.
pub fn restrictions() -> impl Iterator<Item = &'static Entry> {
    ROWS.iter().map(|row| &row.entry).chain(LEGACY)
}

/// The form of `name`, and today's name for it.
pub(crate) fn find(name: &str) -> Option<(&'static str, Form)> {
    let today = today(name).unwrap_or(name);
    let row = ROWS.iter().find(|row| row.entry.name.eq_ignore_ascii_case(today))?;
    Some((row.entry.name, row.form))
}

/// Whether `name` is an old name; then today's.
pub(crate) fn today(name: &str) -> Option<&'static str> {
    LEGACY.iter().find(|old| old.name.eq_ignore_ascii_case(name))?.instead
}

/// The name that `word` is most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, more: impl Iterator<Item = &'a str>) -> Option<String> {
    let word = word.to_ascii_lowercase();
    if word.len() > 64 {
        return None;
    }
    let limit = (word.len() / 4).clamp(1, 4);
    restrictions()
        .map(|entry| entry.name)
        .chain(more)
        .filter(|name| name.len().abs_diff(word.len()) <= limit)
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
        for old in LEGACY {
            let is_row = |name: &str| ROWS.iter().any(|row| row.entry.name == name);
            assert!(old.instead.is_some_and(is_row) && !is_row(old.name), "{}", old.name);
        }
    }
}
