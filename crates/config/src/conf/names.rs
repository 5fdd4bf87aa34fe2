//! Which names count as parameters, and who made them so: Postfix, a service of master.cf, or the administrator.
//!
//! A name that the administrator made up counts when something refers to it: `$name` in any value, a restriction
//! class, or a lookup table whose settings stand in main.cf (`ldap:name` with `name_server_host`).

use crate::registry::{self, Kind, Parameter};
use crate::{Compat, expand};
use std::collections::BTreeSet;

/// Who made a name a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Postfix, or we.
    Builtin,
    /// A service of master.cf, with a suffix of Postfix's.
    Service,
    /// The administrator.
    User,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 3] = [Class::Builtin, Class::Service, Class::User];

    /// The classes that a word of `-C` stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<&'static [Class]> {
        match word {
            "builtin" => Some(&[Class::Builtin]),
            "service" => Some(&[Class::Service]),
            "user" => Some(&[Class::User]),
            "all" => Some(&Class::ALL),
            _ => None,
        }
    }
}

/// Whether Postfix of that version has the parameter. Our own belong to it; names of the past don't.
pub(super) fn is_of(row: &Parameter, compat: Compat) -> bool {
    let newer: &[&str] = match compat {
        Compat::V3_7 => &["3.8", "3.9", "3.10", "3.11", "3.12"],
        Compat::V3_11 => &["3.12"],
    };
    let has_it = compat == Compat::V3_7 && IN_3_7_11.contains(&row.name);
    row.obsolete.is_none() && (has_it || !row.since.is_some_and(|since| newer.contains(&since)))
}

/// Parameters of 3.9 that 3.7's later patches have too.
const IN_3_7_11: [&str; 7] = [
    "cleanup_replace_stray_cr_lf",
    "smtpd_forbid_bare_newline",
    "smtpd_forbid_bare_newline_exclusions",
    "smtpd_forbid_bare_newline_reject_code",
    "smtpd_forbid_unauth_pipelining",
    "tls_config_file",
    "tls_config_name",
];

/// Parameters of a service that are there without it.
pub(super) const OF_LOCAL: [&str; 2] =
    ["local_destination_concurrency_limit", "local_destination_recipient_limit"];

/// Whether a name is our own.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with("komainu_")
}

/// The built-in parameter of that name.
pub(super) fn builtin(name: &str, compat: Compat) -> Option<&'static Parameter> {
    registry::find(name).filter(|row| is_of(row, compat))
}

/// The parameters that a service running `program` brings with it.
pub(super) fn of_service(service: &str, program: &str) -> Vec<String> {
    let delivers = matches!(program, "smtp" | "lmtp" | "local" | "virtual" | "error" | "pipe");
    let runs = matches!(program, "pipe" | "spawn");
    let suffixes = registry::derived_suffixes();
    let wanted = suffixes.filter(|suffix| if *suffix == "_time_limit" { runs } else { delivers });
    wanted.map(|suffix| format!("{service}{suffix}")).collect()
}

/// The names that `text` refers to.
pub(super) fn referred(text: &str) -> impl Iterator<Item = String> {
    expand::names(text).map(str::to_owned)
}

/// The names that defaults refer to: old names among them, whose values newer ones take over.
pub(super) fn of_defaults(compat: Compat) -> BTreeSet<String> {
    let rows = registry::all().filter(|row| is_of(row, compat) && row.kind != Kind::Raw);
    rows.filter_map(|row| row.default_text(compat)).flat_map(referred).collect()
}

/// What to write instead of a name that will go away.
#[must_use]
pub fn instead_of(name: &str) -> Option<&'static str> {
    DEPRECATED.iter().find_map(|(old, new)| (*old == name).then_some(*new))
}

/// Names that Postfix 3.11 warns of.
const DEPRECATED: [(&str, &str); 23] = [
    ("authorized_verp_clients", "smtpd_authorized_verp_clients"),
    ("disable_dns_lookups", "smtp_dns_support_level"),
    ("fallback_relay", "smtp_fallback_relay"),
    ("lmtp_enforce_tls", "lmtp_tls_security_level"),
    ("lmtp_per_record_deadline", "lmtp_per_request_deadline"),
    ("lmtp_tls_enforce_peername", "lmtp_tls_security_level"),
    ("lmtp_tls_per_site", "lmtp_tls_policy_maps"),
    ("lmtp_use_tls", "lmtp_tls_security_level"),
    ("postscreen_blacklist_action", "postscreen_denylist_action"),
    ("postscreen_dnsbl_ttl", "postscreen_dnsbl_max_ttl"),
    ("postscreen_dnsbl_whitelist_threshold", "postscreen_dnsbl_allowlist_threshold"),
    ("postscreen_whitelist_interfaces", "postscreen_allowlist_interfaces"),
    ("smtp_enforce_tls", "smtp_tls_security_level"),
    ("smtp_per_record_deadline", "smtp_per_request_deadline"),
    ("smtp_tls_enforce_peername", "smtp_tls_security_level"),
    ("smtp_tls_per_site", "smtp_tls_policy_maps"),
    ("smtp_use_tls", "smtp_tls_security_level"),
    ("smtpd_client_connection_limit_exceptions", "smtpd_client_event_limit_exceptions"),
    ("smtpd_enforce_tls", "smtpd_tls_security_level"),
    ("smtpd_use_tls", "smtpd_tls_security_level"),
    ("tlsproxy_client_level", "tlsproxy_client_security_level"),
    ("tlsproxy_client_policy", "tlsproxy_client_policy_maps"),
    ("virtual_maps", "virtual_alias_maps"),
];

/// The names of the settings that tables named in `value` may have in main.cf.
pub(super) fn of_tables(value: &str, into: &mut BTreeSet<String>) {
    for word in value.split([' ', '\t', '\r', '\n', ',', '{', '}']) {
        let mut word = word;
        while let Some(rest) = word.strip_prefix("proxy:") {
            word = rest;
        }
        let Some((kind, name)) = word.split_once(':') else { continue };
        if name.is_empty() || name.starts_with(['/', '.']) {
            continue;
        }
        if let Some((_, suffixes)) = TABLES.iter().find(|(table, _)| *table == kind) {
            into.extend(suffixes.iter().map(|suffix| format!("{name}_{suffix}")));
        }
    }
}

/// The settings of each type of table that postconf knows.
const TABLES: [(&str, &[&str]); 5] = [
    (
        "ldap",
        &[
            "bind",
            "bind_dn",
            "bind_pw",
            "cache",
            "cache_expiry",
            "cache_size",
            "chase_referrals",
            "debuglevel",
            "dereference",
            "domain",
            "expansion_limit",
            "leaf_result_attribute",
            "query_filter",
            "recursion_limit",
            "result_attribute",
            "result_filter",
            "result_format",
            "sasl_authz_id",
            "sasl_mechs",
            "sasl_minssf",
            "sasl_realm",
            "scope",
            "search_base",
            "server_host",
            "server_port",
            "size_limit",
            "special_result_attribute",
            "start_tls",
            "terminal_result_attribute",
            "timeout",
            "tls_ca_cert_dir",
            "tls_ca_cert_file",
            "tls_cert",
            "tls_cipher_suite",
            "tls_key",
            "tls_random_file",
            "tls_require_cert",
            "version",
        ],
    ),
    (
        "memcache",
        &[
            "backup",
            "data_size_limit",
            "domain",
            "flags",
            "key_format",
            "line_size_limit",
            "max_try",
            "memcache",
            "retry_pause",
            "timeout",
            "ttl",
        ],
    ),
    (
        "mysql",
        &[
            "additional_conditions",
            "dbname",
            "domain",
            "expansion_limit",
            "hosts",
            "option_file",
            "option_group",
            "password",
            "query",
            "require_result_set",
            "result_format",
            "select_field",
            "table",
            "tls_CAfile",
            "tls_CApath",
            "tls_cert_file",
            "tls_ciphers",
            "tls_key_file",
            "tls_verify_cert",
            "user",
            "where_field",
        ],
    ),
    (
        "pgsql",
        &[
            "additional_conditions",
            "dbname",
            "domain",
            "expansion_limit",
            "hosts",
            "password",
            "query",
            "result_format",
            "select_field",
            "select_function",
            "table",
            "user",
            "where_field",
        ],
    ),
    (
        "sqlite",
        &[
            "additional_conditions",
            "dbpath",
            "domain",
            "expansion_limit",
            "query",
            "result_format",
            "select_field",
            "table",
            "where_field",
        ],
    ),
];
