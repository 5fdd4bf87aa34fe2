use super::*;
use crate::SourceFile;
use std::sync::Arc;

#[track_caller]
fn check(main: &str, master: &str, expect: &[&str]) {
    let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.into(), text: text.to_owned() });
    let (main, _) = MainCf::parse(&file("main.cf", main));
    let (master, _) = MasterCf::parse(&file("master.cf", master));
    let found: Vec<String> = check_names(&main, &master).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (found, expect) in found.iter().zip(expect) {
        assert!(found.starts_with(expect), "{found}");
    }
}

/// T2.12: misspelt names are found, with what was meant.
#[test]
fn misspelt() {
    check(
        "smtpd_client_restricitons = reject\n",
        "",
        &[
            "main.cf:1:1: warning[K0120]: unknown parameter: smtpd_client_restricitons; did you mean `smtpd_client_restrictions`?",
        ],
    );
    check(
        "\nmyhostnam = x\n",
        "",
        &["main.cf:2:1: warning[K0120]: unknown parameter: myhostnam; did you mean `myhostname`?"],
    );
    check("zzz = x\n", "", &["main.cf:1:1: warning[K0120]: unknown parameter: zzz; it has no effect"]);
    check(
        "",
        "25 inet n - n - - smtpd -o smtpd_tls_wrapermode=yes\n",
        &[
            "master.cf:1:28: warning[K0120]: unknown parameter: smtpd_tls_wrapermode; did you mean `smtpd_tls_wrappermode`?",
        ],
    );
    check(
        "fallback_relay = x\n",
        "",
        &[
            "main.cf:1:1: warning[K0122]: fallback_relay has been removed or renamed; write smtp_fallback_relay",
        ],
    );
}

#[test]
fn known() {
    check("relayhost =\n", "", &[]);
    check(
        "smtp_cname_overrides_servername = yes\n",
        "",
        &["main.cf:1:1: warning[K0123]: smtp_cname_overrides_servername is not implemented yet"],
    );
    check("relay_destination_concurrency_limit = 5\n", "", &[]);
    check("relay_destination_concurrency_limit = $default_destination_concurrency_limit\n", "", &[]);
    check("spf_time_limit = 3600\n", "spf unix - n n - 0 spawn user=x argv=/y\n", &[]);
    check("mine = x\nmynetworks = $mine\n", "", &[]);
    check("mine = x\n", "25 inet n - n - - smtpd -o mynetworks=$mine\n", &[]);
    check("smtpd_restriction_classes = strict, lax\nstrict = reject\nlax = permit\n", "", &[]);
    check("slow_destination_rate_delay = 1s\n", "slow unix - - n - - smtp\n", &[]);
    check(
        "relay_destination_recipient_limit = 1\npolicy_time_limit = 1\n",
        "policy unix - n n - 0 spawn\n",
        &[],
    );
    check("alias_maps = ldap:who\nwho_server_host = h\nwho = x\n", "", &["main.cf:3:1: warning[K0120]"]);
    check(
        "slow_destination_rate_delay = 1s\n",
        "",
        &["main.cf:1:1: warning[K0121]: slow_destination_rate_delay belongs to a service `slow`"],
    );
    check("komainu_auto_reload = no\nsmtpd_relay_restrictions = reject\n", "", &[]);
}

#[test]
fn distances() {
    for (a, b, expect) in
        [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("abc", "axc", 1), ("kitten", "sitting", 3)]
    {
        assert_eq!(nearness::distance(a, b, 3), Some(expect), "{a} {b}");
        assert_eq!(nearness::distance(b, a, 3), Some(expect), "{b} {a}");
    }
}

/// T2.12: what people really write.
#[test]
fn near() {
    #[track_caller]
    fn check(word: &str, expect: &str) {
        let near = nearness(word, registry::all().filter(|p| p.obsolete.is_none()).map(|p| p.name));
        let near = match near {
            Near::One(name) => name.to_owned(),
            Near::Several(names) => names.join("|"),
            Near::Nothing => "-".to_owned(),
        };
        assert_eq!(near, expect, "{word}");
    }
    check("smtpd_recipient_restrictons", "smtpd_recipient_restrictions");
    check("smtpd_recipient_restriction", "smtpd_recipient_restrictions");
    check("smtp_recipient_restrictions", "smtpd_recipient_restrictions");
    check("smptd_recipient_restrictions", "smtpd_recipient_restrictions");
    check("smtpd-recipient-restrictions", "smtpd_recipient_restrictions");
    check("smtpd_restrictions_recipient", "smtpd_recipient_restrictions");
    check("My_Hostname", "myhostname");
    check("my_networks", "mynetworks");
    check("mydestinations", "mydestination");
    check("relay_host", "relayhost");
    check("relay_domain", "relay_domains");
    check("virtual_alias_map", "virtual_alias_maps");
    check("smtpd_tls_cert", "smtpd_tls_cert_file");
    check("smtps_tls_cert_file", "smtp_tls_cert_file|smtpd_tls_cert_file");
    check("submission_tls_auth_only", "smtpd_tls_auth_only");
    check("sasl_auth_enable", "lmtp_sasl_auth_enable|smtp_sasl_auth_enable|smtpd_sasl_auth_enable");
    check("smtpd_sasl_auth_enabled", "smtpd_sasl_auth_enable");
    check("smtpd_tls_sercurity_level", "smtpd_tls_security_level");
    check("messagesize_limit", "message_size_limit");
    check("mailbox_sizelimit", "mailbox_size_limit");
    check("inet_interface", "inet_interfaces");
    check("inet_protocol", "inet_protocols");
    check("my\u{3000}hostname", "myhostname");
    check("x", "-");
    check("site_policy", "-");
    check("dovecot_path", "-");
}

#[test]
fn restrictions_as_parameters() {
    check(
        "reject_unknown_client = yes\n",
        "",
        &[
            "main.cf:1:1: warning[K0130]: reject_unknown_client is a restriction and no parameter; it has no effect here; write `reject_unknown_client`",
        ],
    );
    check("permit_mynetworks = yes\n", "", &["main.cf:1:1: warning[K0130]"]);
    check(
        "check_client_access = hash:/etc/postfix/x\n",
        "",
        &[
            "main.cf:1:1: warning[K0130]: check_client_access is a restriction and no parameter; it has no effect here; write `check_client_access hash:/etc/postfix/x`",
        ],
    );
    check("reject_code = 554\npermit_mx_backup_networks = 192.0.2.0/24\n", "", &[]);
    // A name that is set already isn't set again by a repair.
    let file =
        Arc::new(SourceFile { path: "main.cf".into(), text: "myhostname = a\nmyhostnam = b\n".to_owned() });
    let (main, _) = MainCf::parse(&file);
    let found = check_names(&main, &MasterCf::default());
    assert_eq!((found.len(), found[0].fix.as_ref()), (1, None));
    check(
        "mua_client_restrictions = reject\n",
        "",
        &[
            "main.cf:1:1: warning[K0120]: unknown parameter: mua_client_restrictions; it has no effect unless master.cf refers to it",
        ],
    );
    check(
        "slw_destination_rate_delay = 1s\n",
        "slow unix - - n - - smtp\n",
        &[
            "main.cf:1:1: warning[K0121]: slw_destination_rate_delay belongs to a service `slw` that master.cf doesn't have; it has no effect; did you mean `slow_destination_rate_delay`?",
        ],
    );
}
