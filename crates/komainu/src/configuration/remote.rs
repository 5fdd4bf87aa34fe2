//! Where tables behind sockets have no place: what must not hang on a server that nothing vouches for, and what is
//! looked up where nobody can wait.
//!
//! tcp_table(5) and socketmap_table(5): neither the connection nor the server is authenticated, so virtual(8) and
//! local(8) refuse such tables.

use config::{Diagnostic, Parameters};
use tables::TableSpec;
use tables::source::notice::{NOT_SERVED, UNTRUSTED};

/// Say where mail is written, as whom, and what is run.
const SECURITY_SENSITIVE: [&str; 5] = [
    "virtual_mailbox_maps",
    "virtual_uid_maps",
    "virtual_gid_maps",
    "komainu_virtual_quota_maps",
    "alias_maps",
];

/// Looked up in the middle of a command.
const NOBODY_WAITS: [&str; 11] = [
    "postscreen_access_list",
    "postscreen_allowlist_interfaces",
    "postscreen_command_filter",
    "postscreen_discard_ehlo_keyword_address_maps",
    "postscreen_dnsbl_reply_map",
    "postscreen_forbidden_commands",
    "postscreen_reject_footer_maps",
    "smtpd_reject_footer_maps",
    "smtpd_reject_filter_maps",
    "smtpd_forbidden_commands",
    "komainu_relay_clients",
];

/// What main.cf names all the same.
pub(super) fn check(p: &Parameters) -> Vec<Diagnostic> {
    let named = |name: &'static str| {
        let words = p.list(name).into_iter().filter(|word| word.value.contains(':'));
        words.filter_map(|word| TableSpec::parse(&word).ok()).filter(TableSpec::is_remote)
    };
    let mut found = Vec::new();
    for name in SECURITY_SENSITIVE {
        found.extend(named(name).map(|spec| {
            let message = format!("{name}: {spec} map is not allowed for security sensitive data");
            Diagnostic::warning(UNTRUSTED, spec.place, message)
                .help("recipients are found in it; mail for them is deferred, for it must not say where that is written")
        }));
    }
    // postscreen's parameters are smtpd's by default, where somebody may wait.
    let written = |name: &&str| !name.starts_with("postscreen_") || p.is_set(name);
    for name in NOBODY_WAITS.into_iter().filter(written) {
        found.extend(named(name).map(|spec| {
            let message = format!("{name}: {spec}: tables behind sockets are not served here yet");
            Diagnostic::error(NOT_SERVED, spec.place, message).help("every lookup in it finds nothing")
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, Host, MainCf};

    #[test]
    fn tables_where_they_have_no_place() {
        let check = |(name, value): (&str, &str), expect: &[(u16, &str)]| {
            let mut main = MainCf::empty();
            main.set("alias_maps", "");
            main.set(name, value);
            let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
            let (p, _) = Parameters::new(&main, &host, Compat::V3_11);
            let found = check(&p);
            let got: Vec<_> = found.iter().map(|d| (d.code.0, d.message.as_str())).collect();
            assert_eq!(got, expect, "{name}");
        };
        check(("virtual_mailbox_maps", "hash:/etc/x"), &[]);
        check(
            ("alias_maps", "unionmap:{hash:/etc/x,tcp:127.0.0.1:9}"),
            &[(
                311,
                "alias_maps: unionmap:{hash:/etc/x,tcp:127.0.0.1:9} map is not allowed for security sensitive data",
            )],
        );
        check(("mynetworks", "tcp:127.0.0.1:9"), &[]);
        check(("smtpd_client_event_limit_exceptions", "tcp:127.0.0.1:9"), &[]);
        check(
            ("postscreen_access_list", "permit_mynetworks, tcp:127.0.0.1:9"),
            &[(
                303,
                "postscreen_access_list: tcp:127.0.0.1:9: tables behind sockets are not served here yet",
            )],
        );
        check(
            ("smtpd_reject_footer_maps", "proxy:tcp:127.0.0.1:9"),
            &[(
                303,
                "smtpd_reject_footer_maps: tcp:127.0.0.1:9: tables behind sockets are not served here yet",
            )],
        );
    }
}
