//! What Debian ships and what Postfix's own documentation prints is clean: no error, no warning.

use super::Server;
use config::Severity;

const TABLES: &[(&str, &str)] = &[
    ("/etc/postfix/protected_destinations", "all@example.com insiders_only\n"),
    ("/etc/postfix/insiders", "example.com OK\n"),
    ("/etc/postfix/restricted_senders", "foo@example.com local_only\n"),
    ("/etc/postfix/local_domains", "example.com OK\nmatches.example OK\n"),
    ("/etc/postfix/greylisted", "example.net greylist\n"),
    ("/etc/postfix/helo", "localhost REJECT\n"),
];

/// Level 3.6, as Debian writes it.
const TODAY: &str = "compatibility_level = 3.6\n";

#[track_caller]
fn check(what: &str, main: &str, master: &str) {
    let server = Server::with(main, master, TABLES.to_vec());
    let mut found = super::review(&[server.subject()]);
    found.retain(|one| one.severity > Severity::Hint);
    assert!(found.is_empty(), "{what}: {found:#?}");
}

#[test]
fn debian() {
    let debian = "compatibility_level = 3.6\nmynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n\
                  smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination\n";
    check("Debian", debian, "smtp inet n - y - - smtpd\n");
    let submission = "submission inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n\
                      \x20 -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_auth_only=yes\n\
                      \x20 -o smtpd_reject_unlisted_recipient=no\n  -o smtpd_client_restrictions=\n\
                      \x20 -o smtpd_helo_restrictions=\n  -o smtpd_sender_restrictions=\n\
                      \x20 -o smtpd_relay_restrictions=\n\
                      \x20 -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject\n";
    check("Debian's submission", debian, submission);
    check(
        "today's submission",
        debian,
        "submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n",
    );
    check("nothing but the default", TODAY, "");
}

#[test]
fn access_and_policy_readmes() {
    check(
        "SMTPD_ACCESS_README",
        "compatibility_level = 3.6\nsmtpd_helo_required = yes\nsmtpd_client_restrictions = permit_mynetworks, reject\n\
         smtpd_helo_restrictions = reject_unknown_helo_hostname\n\
         smtpd_sender_restrictions = reject_unknown_sender_domain\n\
         smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_rbl_client \
         zen.spamhaus.org, reject_rhsbl_reverse_client dbl.spamhaus.org, reject_rhsbl_helo dbl.spamhaus.org, \
         reject_rhsbl_sender dbl.spamhaus.org\n\
         smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination\n\
         smtpd_data_restrictions = reject_unauth_pipelining\n\
         smtpd_end_of_data_restrictions = check_policy_service unix:private/policy",
        "",
    );
    let classes = "smtpd_restriction_classes = insiders_only, local_only\n\
                   insiders_only = check_sender_access hash:/etc/postfix/insiders, reject\n\
                   local_only = check_recipient_access hash:/etc/postfix/local_domains, reject\n";
    check(
        "RESTRICTION_CLASS_README, insiders",
        &format!(
            "{TODAY}{classes}smtpd_recipient_restrictions = check_recipient_access \
             hash:/etc/postfix/protected_destinations, permit_mynetworks, permit_sasl_authenticated, \
             reject_unauth_destination"
        ),
        "",
    );
    check(
        "RESTRICTION_CLASS_README, restricted senders",
        &format!(
            "{TODAY}{classes}smtpd_sender_restrictions = check_sender_access hash:/etc/postfix/restricted_senders"
        ),
        "",
    );
    check(
        "SMTPD_POLICY_README",
        "compatibility_level = 3.6\nsmtpd_restriction_classes = greylist\n\
         greylist = check_policy_service unix:private/policy\n\
         smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, \
         check_sender_access hash:/etc/postfix/greylisted",
        "",
    );
}

#[test]
fn other_readmes() {
    check(
        "SASL_README",
        "smtpd_sasl_auth_enable = yes\n\
         smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
        "",
    );
    check(
        "before there was a relay list",
        "smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, \
         reject_invalid_helo_hostname, check_helo_access hash:/etc/postfix/helo, check_policy_service inet:10023",
        "",
    );
    check(
        "Amavis",
        TODAY,
        "127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_delay_reject=no\n\
         \x20 -o smtpd_client_restrictions=permit_mynetworks,reject\n  -o smtpd_helo_restrictions=\n\
         \x20 -o smtpd_sender_restrictions=\n  -o smtpd_recipient_restrictions=permit_mynetworks,reject\n\
         \x20 -o smtpd_data_restrictions=reject_unauth_pipelining\n  -o mynetworks=127.0.0.0/8\n",
    );
    check(
        "POSTSCREEN_README",
        "compatibility_level = 3.6\npostscreen_access_list = permit_mynetworks, cidr:/etc/postfix/postscreen_access.cidr\n\
         postscreen_denylist_action = drop\npostscreen_greet_action = enforce\npostscreen_dnsbl_threshold = 2\n\
         postscreen_dnsbl_sites = zen.spamhaus.org*2 bl.spamcop.net*1 b.barracudacentral.org*1\n\
         postscreen_dnsbl_action = enforce",
        "",
    );
}
