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
        &["main.cf:1:1: warning[K0122]: fallback_relay is a name of the past; write smtp_fallback_relay"],
    );
}

#[test]
fn known() {
    check("relayhost =\n", "", &[]);
    check("relayhost = mx\n", "", &["main.cf:1:1: warning[K0123]: relayhost is not served yet"]);
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
        assert_eq!(distance(a, b, 3), Some(expect), "{a} {b}");
        assert_eq!(distance(b, a, 3), Some(expect), "{b} {a}");
    }
}
