//! What a table is asked: one [`Use`] for each place of the configuration that names it.
//!
//! Parameters are told here ([`by_parameters`]); restriction lists by the policy, which knows them. Services that
//! aren't served yet (header checks, canonical maps …) have their rows too: their tables are judged all the same.

use crate::catalogue::{TableSpec, Usage};
use crate::source::notice::BAD_NAME;
use config::{Diagnostic, Parameters, Place, Spanned};
use std::collections::HashSet;

/// What a search asks a table for, and what its results are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// `check_*_access`.
    Access(AccessOf, Moment),
    /// `postscreen_access_list`: whole addresses.
    Postscreen,
    /// `header_checks`, `body_checks` and their like.
    Checks(Part, Where),
    /// `alias_maps`
    Aliases,
    /// `virtual_alias_maps`
    VirtualAliases,
    /// `canonical_maps`, `smtp_generic_maps`, `*_bcc_maps` and their like: addresses, and addresses out.
    Addresses,
    /// `relocated_maps`: addresses, and any text out.
    Relocated,
    /// `virtual_mailbox_maps`
    Mailboxes,
    /// `relay_recipient_maps`, `local_recipient_maps`: addresses; a result's text doesn't matter.
    Recipients,
    /// `transport_maps`
    Transports,
    /// `smtp_sasl_password_maps`
    Passwords,
    /// `smtp_tls_policy_maps`
    TlsPolicies,
    /// `relay_domains`, `mydestination` and their like; whether a parent stands for its subdomains. A result's text
    /// doesn't matter.
    Domains(Parents),
    /// `mynetworks` and its like: names and whole addresses. A result's text doesn't matter.
    Clients(Parents),
    /// Addresses of clients, whole; any text out (`smtpd_discard_ehlo_keyword_address_maps`).
    ClientKeywords,
    /// `smtpd_milter_maps`: addresses of clients, whole; milters out, or DISABLE.
    Milters,
    /// `relay_clientcerts`: fingerprints; any text out.
    Certificates,
    /// Something whose lines aren't judged.
    Other,
}

/// What a `check_*_access` looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessOf {
    /// The client's name with its parents, its address with its networks.
    Client,
    /// The same with the unverified name: OK is not allowed.
    ReverseClient,
    /// The name in HELO.
    Helo,
    /// The sender.
    Sender,
    /// The recipient.
    Recipient,
    /// ETRN's domain.
    Etrn,
    /// Names and addresses of the hosts behind a name (`check_*_mx_access` …): OK is not allowed.
    Hosts,
    /// The login name.
    Sasl,
    /// Fingerprints of the client's certificate.
    Certificate,
    /// What the list is about that the table stands in.
    Whatever,
}

/// When an access table is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before there is mail: nothing can be done with it yet.
    BeforeMail,
    /// While there is mail.
    #[default]
    WithMail,
    /// Once the content was received.
    AfterContent,
}

/// Which part of a message is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A header.
    Header,
    /// A line of the body.
    Body,
}

/// Who checks a message's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Where {
    /// cleanup(8), as mail comes in.
    Arrival,
    /// smtp(8), as mail goes out.
    Delivery,
    /// cleanup(8), for what milters added.
    Milter,
}

/// Whether `example.com` stands for its subdomains too (`parent_domain_matches_subdomains`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parents {
    /// It does; `.example.com` is never asked.
    Match,
    /// `.example.com` does.
    Dotted,
}

/// A table in one of its places.
#[derive(Clone, Debug)]
pub struct Used {
    /// Which.
    pub table: TableSpec,
    /// What for.
    pub how: Use,
    /// The parameter or restriction that names it.
    pub by: String,
    /// Where that stands.
    pub place: Place,
}

impl Use {
    /// One of each sort.
    pub const ALL: [Use; 26] = [
        Use::Access(AccessOf::Client, Moment::WithMail),
        Use::Access(AccessOf::ReverseClient, Moment::BeforeMail),
        Use::Access(AccessOf::Helo, Moment::WithMail),
        Use::Access(AccessOf::Sender, Moment::AfterContent),
        Use::Access(AccessOf::Hosts, Moment::WithMail),
        Use::Access(AccessOf::Sasl, Moment::WithMail),
        Use::Access(AccessOf::Certificate, Moment::WithMail),
        Use::Access(AccessOf::Whatever, Moment::WithMail),
        Use::Postscreen,
        Use::Checks(Part::Header, Where::Arrival),
        Use::Checks(Part::Body, Where::Delivery),
        Use::Checks(Part::Header, Where::Milter),
        Use::Aliases,
        Use::VirtualAliases,
        Use::Addresses,
        Use::Relocated,
        Use::Mailboxes,
        Use::Recipients,
        Use::Transports,
        Use::Passwords,
        Use::TlsPolicies,
        Use::Domains(Parents::Match),
        Use::Clients(Parents::Dotted),
        Use::ClientKeywords,
        Use::Milters,
        Use::Certificates,
    ];

    /// Whether only the presence of a key counts.
    pub(super) const fn ignores_values(self) -> bool {
        matches!(self, Use::Domains(_) | Use::Clients(_) | Use::Recipients | Use::Certificates)
    }

    /// Whether its keys aren't judged.
    pub(super) const fn takes_any_key(self) -> bool {
        matches!(self, Use::Other | Use::Access(AccessOf::Sasl | AccessOf::Whatever, _))
    }
}

/// The parameters whose tables are judged.
const ROWS: &[(&str, Use)] = &[
    ("alias_maps", Use::Aliases),
    ("body_checks", Use::Checks(Part::Body, Where::Arrival)),
    ("canonical_maps", Use::Addresses),
    ("header_checks", Use::Checks(Part::Header, Where::Arrival)),
    ("lmtp_body_checks", Use::Checks(Part::Body, Where::Delivery)),
    ("lmtp_generic_maps", Use::Addresses),
    ("lmtp_header_checks", Use::Checks(Part::Header, Where::Delivery)),
    ("lmtp_mime_header_checks", Use::Checks(Part::Header, Where::Delivery)),
    ("lmtp_nested_header_checks", Use::Checks(Part::Header, Where::Delivery)),
    ("lmtp_sasl_password_maps", Use::Passwords),
    ("lmtp_tls_policy_maps", Use::TlsPolicies),
    ("local_recipient_maps", Use::Recipients),
    ("milter_header_checks", Use::Checks(Part::Header, Where::Milter)),
    ("mime_header_checks", Use::Checks(Part::Header, Where::Arrival)),
    ("nested_header_checks", Use::Checks(Part::Header, Where::Arrival)),
    ("postscreen_access_list", Use::Postscreen),
    ("postscreen_discard_ehlo_keyword_address_maps", Use::ClientKeywords),
    ("postscreen_dnsbl_reply_map", Use::Other),
    ("postscreen_reject_footer_maps", Use::Other),
    ("rbl_reply_maps", Use::Other),
    ("recipient_bcc_maps", Use::Addresses),
    ("recipient_canonical_maps", Use::Addresses),
    ("relay_clientcerts", Use::Certificates),
    ("relay_recipient_maps", Use::Recipients),
    ("relocated_maps", Use::Relocated),
    ("sender_bcc_maps", Use::Addresses),
    ("sender_canonical_maps", Use::Addresses),
    ("smtp_body_checks", Use::Checks(Part::Body, Where::Delivery)),
    ("smtp_generic_maps", Use::Addresses),
    ("smtp_header_checks", Use::Checks(Part::Header, Where::Delivery)),
    ("smtp_mime_header_checks", Use::Checks(Part::Header, Where::Delivery)),
    ("smtp_nested_header_checks", Use::Checks(Part::Header, Where::Delivery)),
    ("smtp_sasl_password_maps", Use::Passwords),
    ("smtp_tls_policy_maps", Use::TlsPolicies),
    ("smtpd_command_filter", Use::Other),
    ("smtpd_discard_ehlo_keyword_address_maps", Use::ClientKeywords),
    ("smtpd_milter_maps", Use::Milters),
    ("smtpd_reject_footer_maps", Use::Other),
    ("smtpd_sender_login_maps", Use::Other),
    ("transport_maps", Use::Transports),
    ("virtual_alias_maps", Use::VirtualAliases),
    ("virtual_gid_maps", Use::Other),
    ("virtual_mailbox_maps", Use::Mailboxes),
    ("virtual_uid_maps", Use::Other),
];

/// Lists of domains, and of clients, that may name tables.
const DOMAIN_LISTS: [&str; 6] = [
    "fast_flush_domains",
    "mydestination",
    "relay_domains",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
    "masquerade_exceptions",
];
const CLIENT_LISTS: [&str; 7] = [
    "debug_peer_list",
    "mynetworks",
    "permit_mx_backup_networks",
    "smtpd_authorized_verp_clients",
    "smtpd_authorized_xclient_hosts",
    "smtpd_authorized_xforward_hosts",
    "smtpd_client_event_limit_exceptions",
];

/// The tables that parameters name.
#[must_use]
pub fn by_parameters(parameters: &Parameters) -> Vec<Used> {
    let parents_of = parameters.list("parent_domain_matches_subdomains");
    let parents = |name: &str| {
        if parents_of.iter().any(|word| word.value == name) { Parents::Match } else { Parents::Dotted }
    };
    let mut used = Vec::new();
    let rows = ROWS.iter().copied();
    let domains = DOMAIN_LISTS.into_iter().map(|name| (name, Use::Domains(parents(name))));
    let clients = CLIENT_LISTS.into_iter().map(|name| (name, Use::Clients(parents(name))));
    for (name, how) in rows.chain(domains).chain(clients) {
        for word in parameters.list(name) {
            used.extend(table(&word, how, name));
        }
    }
    used
}

/// The parameters that name nothing but tables, where a word isn't the name of one.
#[must_use]
pub fn misread(parameters: &Parameters) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // `mime_header_checks = $header_checks`: a word is told once.
    let mut seen = HashSet::new();
    let rows = ROWS.iter().filter(|(name, _)| *name != "postscreen_access_list");
    for word in rows.flat_map(|(name, _)| parameters.list(name)) {
        if word.place.file.is_none() || !seen.insert((word.place.start, word.value.clone())) {
            continue;
        }
        if word.value.starts_with(['#', '"', '\'']) {
            continue;
        }
        if !word.value.contains(':') {
            let message =
                format!("open dictionary: expecting \"type:name\" form instead of \"{}\"", word.value);
            let help = format!(
                "Postfix stops at it and takes no mail; write `hash:{}`, or another type",
                word.value
            );
            found.push(Diagnostic::error(BAD_NAME, word.place, message).help(help));
        } else if let Err(diagnostic) = TableSpec::parse(&word) {
            found.push(diagnostic);
        }
    }
    found
}

/// The table that `word` of a list names; what else stands there is somebody else's.
fn table(word: &Spanned<String>, how: Use, by: &str) -> Option<Used> {
    let bare = word.value.trim_start_matches('!');
    if !bare.contains(':') || bare.starts_with(['[', '/']) {
        return None;
    }
    let mut table = TableSpec::parse(&Spanned::new(bare.to_owned(), word.place.clone())).ok()?;
    if how == Use::Aliases && table.kind.is_indexed() {
        table.usage = Usage::Aliases;
    }
    Some(Used { table, how, by: by.to_owned(), place: word.place.clone() })
}
