//! `smtpd_client_*_limit` of one service, as `policy::rates` takes them.

use config::{Compat, Parameters};
use policy::rates::{Limits, Prefixes};

/// What `p` says. Postfix 3.7 knows no prefixes: every address is a client of its own, unless somebody asks.
pub(super) fn limits(p: &Parameters) -> Limits {
    let limit = |name: &str| u32::try_from(p.number(name)).unwrap_or(0);
    let prefix = |name: &str, whole: u8| {
        if p.compat() == Compat::V3_7 && !p.is_set(name) {
            return whole;
        }
        u8::try_from(p.number(name)).unwrap_or(whole).min(whole)
    };
    Limits {
        connection_count: limit("smtpd_client_connection_count_limit"),
        connection_rate: limit("smtpd_client_connection_rate_limit"),
        message_rate: limit("smtpd_client_message_rate_limit"),
        recipient_rate: limit("smtpd_client_recipient_rate_limit"),
        new_tls_rate: limit("smtpd_client_new_tls_session_rate_limit"),
        auth_rate: limit("smtpd_client_auth_rate_limit"),
        prefixes: Prefixes {
            ipv4: prefix("smtpd_client_ipv4_prefix_length", 32),
            ipv6: prefix("smtpd_client_ipv6_prefix_length", 128),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Host, MainCf};

    #[track_caller]
    fn check(lines: &[(&str, &str)], compat: Compat, expect: Limits) {
        let mut main = MainCf::empty();
        for (name, value) in lines {
            main.set(*name, *value);
        }
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
        let (p, _) = Parameters::new(&main, &host, compat);
        assert_eq!(limits(&p), expect);
    }

    /// Under stress a request has a deadline; the old name, and the new one, say otherwise.
    #[test]
    fn deadlines_under_stress() {
        let check = |lines: &[(&str, &str)], expect: (bool, bool)| {
            let mut main = MainCf::empty();
            for (name, value) in lines {
                main.set(*name, *value);
            }
            let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
            for compat in [Compat::V3_7, Compat::V3_11] {
                let (p, _) = Parameters::new(&main, &host, compat);
                let deadline = |stress| p.with_stress(stress).flag("smtpd_per_request_deadline");
                assert_eq!((deadline(false), deadline(true)), expect, "{lines:?}");
            }
        };
        check(&[], (false, true));
        check(&[("smtpd_per_record_deadline", "no")], (false, false));
        check(&[("smtpd_per_record_deadline", "yes")], (true, true));
        check(&[("smtpd_per_request_deadline", "yes")], (true, true));
        check(&[("smtpd_per_request_deadline", "no")], (false, false));
    }

    #[test]
    fn from_main_cf() {
        let usual = Limits { connection_count: 50, ..Limits::default() };
        check(&[], Compat::V3_7, usual);
        let modern = Limits { prefixes: Prefixes { ipv4: 32, ipv6: 84 }, ..usual };
        check(&[], Compat::V3_11, modern);
        let asked = Limits { prefixes: Prefixes { ipv4: 24, ipv6: 128 }, ..usual };
        check(&[("smtpd_client_ipv4_prefix_length", "24")], Compat::V3_7, asked);
        let lines = [
            ("smtpd_client_connection_count_limit", "0"),
            ("smtpd_client_message_rate_limit", "-1"),
            ("smtpd_client_auth_rate_limit", "7"),
            ("smtpd_client_ipv6_prefix_length", "200"),
        ];
        let some = Limits { auth_rate: 7, ..Limits::default() };
        check(&lines, Compat::V3_11, some);
    }
}
