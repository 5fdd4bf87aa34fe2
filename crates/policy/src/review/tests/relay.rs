//! T2.11: open relays are found, safe lists are left alone.

use super::Server;

const ACCESS: &[(&str, &str)] = &[
    ("/ok", "forged.example OK\n"),
    ("/ours", "example.com OK\nuser@mxdom.example OK\n"),
    ("/foreign", "partner.example OK\n"),
    ("/role", "postmaster@ OK\n"),
    ("/no", "spam.example REJECT\nspammer@ 550 go away\nfriend.example DUNNO\nheld.example HOLD\n"),
    ("/hosts", "198.51.100.7 OK\nmail.partner.example OK\n"),
    ("/number", "forged.example 12345\n"),
    ("/class", "forged.example letin\n"),
    ("/discard", "forged.example DISCARD\n"),
    ("/inner", "forged.example permit_auth_destination\n"),
];

fn found(main: &str) -> Vec<String> {
    let main = format!("smtpd_restriction_classes = letin, checked\nletin = permit\n{main}");
    Server::with(&main, "", ACCESS.to_vec()).found(440..=441)
}

/// A relay list that is empty by default.
fn at_level_0(list: &str) -> Vec<String> {
    found(&format!("smtpd_recipient_restrictions = {list}"))
}

/// The default of today.
fn at_level_3_6(list: &str) -> Vec<String> {
    found(&format!("compatibility_level = 3.6\nsmtpd_recipient_restrictions = {list}"))
}

#[test]
fn what_may_say_ok_before_the_only_refusal() {
    let check = |list: &str, expect: &[&str]| {
        assert_eq!(at_level_0(list), expect, "{list}");
        assert_eq!(at_level_3_6(list), [""; 0], "{list}: the relay list refuses");
    };
    let service = "error K0440 check_policy_service";
    check("permit_mynetworks, check_policy_service unix:private/spf, reject_unauth_destination", &[service]);
    check("reject_unauth_destination, check_policy_service unix:private/spf", &[]);
    check(
        "check_policy_service unix:a, check_policy_service inet:1, reject_unauth_destination",
        &[service, service],
    );
    let sender = "error K0440 check_sender_access";
    check("check_sender_access hash:/ok, reject_unauth_destination", &[sender]);
    check("hash:/ok, reject_unauth_destination", &["hint K0441 hash:/ok"]);
    check("check_sender_access hash:/number, reject_unauth_destination", &[sender]);
    check("check_sender_access hash:/class, reject_unauth_destination", &[sender]);
    check("check_sender_access hash:/inner, reject_unauth_destination", &[]);
    check("check_sender_access hash:/discard, reject_unauth_destination", &[]);
    check("check_sender_access hash:/no, reject_unauth_destination", &[]);
    check("check_sender_access static:OK, reject_unauth_destination", &[sender]);
    check("check_sender_access pcre:{{/@forged/ OK}}, reject_unauth_destination", &[sender]);
    check("check_sender_access tcp:127.0.0.1:1, reject_unauth_destination", &[sender]);
    check("check_sender_mx_access hash:/ok, reject_unauth_destination", &[]);
    check("check_helo_access hash:/ok, reject_unauth_destination", &["error K0440 check_helo_access"]);
    check("permit_naked_ip_address, reject_unauth_destination", &["error K0440 permit_naked_ip_address"]);
    check("permit_dnswl_client list.example, reject_unauth_destination", &[]);
    check("check_client_access static:OK, reject_unauth_destination", &["error K0440 check_client_access"]);
    check(
        "check_client_access cidr:{{!192.0.2.0/24 OK}}, reject_unauth_destination",
        &["error K0440 check_client_access"],
    );
    check(
        "check_client_access cidr:{{192.0.2.0/24 DUNNO}, {0.0.0.0/0 REJECT}}, reject_unauth_destination",
        &[],
    );
    check(
        "check_recipient_access pcre:{{/./ OK}}, reject_unauth_destination",
        &["error K0440 check_recipient_access"],
    );
    check("check_recipient_access hash:/ours, reject_unauth_destination", &[]);
    check("letin, reject_unauth_destination", &["error K0440 permit"]);
    check("permit_mynetworks, permit_auth_destination, reject", &[]);
    check("permit_sasl_authenticated, permit_tls_clientcerts, reject_unauth_destination, permit", &[]);
    check("check_sender_access hash:/missing, reject_unauth_destination", &[]);
}

/// Hosts, domains and users whom somebody has listed: said, and not as an open relay.
#[test]
fn what_lets_some_relay() {
    let check = |list: &str, expect: &[&str]| assert_eq!(at_level_0(list), expect, "{list}");
    check("check_client_access hash:/hosts, reject_unauth_destination", &["hint K0441 check_client_access"]);
    check(
        "check_recipient_access hash:/foreign, reject_unauth_destination",
        &["hint K0441 check_recipient_access"],
    );
    check(
        "check_recipient_access hash:/role, reject_unauth_destination",
        &["warning K0441 check_recipient_access"],
    );
    check("permit_mx_backup, reject_unauth_destination", &["warning K0441 permit_mx_backup"]);
    check("permit_mx_backup, reject_unauth_destination\npermit_mx_backup_networks = 192.0.2.0/24", &[]);
    let relay = |list: &str| found(&format!("smtpd_relay_restrictions = {list}"));
    assert_eq!(relay("check_client_access hash:/hosts, reject_unauth_destination"), [""; 0]);
    assert_eq!(relay("permit_mx_backup, reject_unauth_destination"), ["warning K0441 permit_mx_backup"]);
}

#[test]
fn both_lists_and_all_around_them() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main), expect, "{main}");
    let both = |relay: &str, recipient: &str| {
        format!("smtpd_relay_restrictions = {relay}\nsmtpd_recipient_restrictions = {recipient}")
    };
    check(&both("permit", "reject_unauth_destination"), &[]);
    check(&both("reject_unauth_destination", "permit"), &[]);
    check(
        &both("check_policy_service inet:1, reject_unauth_destination", ""),
        &["error K0440 check_policy_service"],
    );
    check(&both("check_policy_service inet:1, reject_unauth_destination", "reject_unauth_destination"), &[]);
    check(&both("warn_if_reject reject_unauth_destination, defer_if_permit", ""), &[]);
    check(
        &both("", "warn_if_reject reject_unauth_destination, check_sender_access static:OK, reject"),
        &["error K0440 check_sender_access"],
    );
    check(&both("checked", "permit\nchecked = reject_unauth_destination"), &[]);
    check(
        &both("", "checked\nchecked = warn_if_reject, letin, reject_unauth_destination"),
        &["error K0440 permit"],
    );
    // Postfix's own test at its start is content, and nothing refuses.
    check(&both("", "warn_if_reject checked, permit\nchecked = reject_unauth_destination"), &[]);
    check(
        &both("", "checked, reject_unauth_destination\nchecked = permit_mynetworks, permit"),
        &["error K0440 permit"],
    );
    // The stranger never comes to the list that would let relay.
    let closed = "smtpd_client_restrictions = permit_mynetworks, permit_sasl_authenticated, reject\n";
    let open = both("check_policy_service inet:1, reject_unauth_destination", "");
    check(&format!("{closed}{open}"), &[]);
    check(&format!("{closed}smtpd_delay_reject = no\n{open}"), &[]);
    let data = "smtpd_data_restrictions = reject\n";
    check(&format!("{data}{open}"), &[]);
    // At DATA with two recipients none is looked at.
    let data = "smtpd_data_restrictions = reject_unauth_destination\n";
    check(&format!("{data}{open}"), &["error K0440 check_policy_service"]);
    // Without HELO the list isn't looked at.
    let helo = "smtpd_helo_restrictions = reject\n";
    check(&format!("{helo}{open}"), &["error K0440 check_policy_service"]);
    check(&format!("{helo}smtpd_helo_required = yes\n{open}"), &[]);
    // The order doesn't matter where no list is left by a refusal.
    check(
        &format!("smtpd_relay_before_recipient_restrictions = yes\n{open}"),
        &["error K0440 check_policy_service"],
    );
}

/// A certificate proves who somebody is, not that they belong here.
#[test]
fn certificates_of_public_authorities() {
    let list = "smtpd_relay_restrictions = permit_tls_all_clientcerts, reject_unauth_destination\n\
                smtpd_tls_security_level = may\nsmtpd_tls_ask_ccert = yes\n";
    let check = |more: &str, expect: &[&str]| assert_eq!(found(&format!("{list}{more}")), expect, "{more}");
    check("", &[]);
    check("smtpd_tls_CAfile = /etc/postfix/our-own-ca.pem", &[]);
    check("tls_append_default_CA = yes", &["error K0440 permit_tls_all_clientcerts"]);
    check(
        "smtpd_tls_CAfile = /etc/ssl/certs/ca-certificates.crt",
        &["error K0440 permit_tls_all_clientcerts"],
    );
    check("tls_append_default_CA = yes\nsmtpd_tls_ask_ccert = no", &[]);
}

/// Two tables that never say OK to the same sender let nobody through.
#[test]
fn one_sender_must_please_both() {
    let lists = |other: &str| {
        format!(
            "smtpd_relay_restrictions = check_sender_access inline:{{{{a@s.example=OK}}}}, reject_unauth_destination\n\
             smtpd_recipient_restrictions = check_sender_access inline:{{{other}}}, reject_unauth_destination"
        )
    };
    assert_eq!(found(&lists("{b@s.example=OK}")), [""; 0]);
    assert_eq!(found(&lists("{a@s.example=REJECT},{s.example=OK}")), [""; 0]);
    assert_eq!(found(&lists("{b@s.example=OK},{s.example=OK}")).len(), 1);
}

#[test]
fn services_and_where_they_listen() {
    let main = "compatibility_level = 3.6";
    let line = |options: &str| format!("submission inet n - y - - smtpd\n{options}");
    let found = |master: &str| Server::with(main, master, Vec::new()).found(440..=441);
    assert_eq!(found(&line("")), [""; 0]);
    let options = "  -o smtpd_relay_restrictions=check_policy_service,inet:1,reject_unauth_destination";
    assert_eq!(found(&line(options)), ["error K0440 check_policy_service"]);
    let server = Server::with(main, &line(options), Vec::new());
    let inside = ["127.0.0.1:10025".parse().unwrap(), "[::1]:10025".parse().unwrap()];
    let subject = super::Subject { addresses: &inside, ..server.subject() };
    assert!(super::review(&[subject]).iter().all(|d| d.code.0 != 440));
    let message = super::review(&[server.subject()]).remove(0).message;
    assert!(message.ends_with("(service submission)"), "{message}");
}

/// What is said names the check, the line and the repair.
#[test]
fn words() {
    let main = "smtpd_recipient_restrictions = check_sender_access hash:/ok, reject_unauth_destination";
    let server = Server::with(main, "", ACCESS.to_vec());
    let found = super::review(&[server.subject()]).remove(0);
    assert_eq!(
        found.to_string(),
        "main.cf:7:32: error[K0440]: `check_sender_access hash:/ok` may say OK to a stranger before anything refuses \
         relaying; an open relay: anybody can write that sender (hash:/ok, line 1: forged.example OK); put it behind \
         reject_unauth_destination, or write `smtpd_relay_restrictions = permit_mynetworks, \
         permit_sasl_authenticated, reject_unauth_destination`, which is empty by default at compatibility_level 0; \
         `permit_auth_destination` instead of OK in the table lets nobody relay"
    );
}

/// Lines that let in more of the world than anybody meant; single hosts, networks and domains are left alone.
#[test]
fn lines_that_are_wider_than_they_look() {
    let files =
        || vec![("/203", "203 OK\n"), ("/com", "com OK\n"), ("/one", "example.net OK\n198.51.100 OK\n")];
    let check = |list: &str, expect: &[&str]| {
        let main = format!("smtpd_relay_restrictions = {list}, reject_unauth_destination");
        assert_eq!(Server::with(&main, "", files()).found(440..=440), expect, "{list}");
    };
    let client = &["error K0440 check_client_access"][..];
    let recipient = &["error K0440 check_recipient_access"][..];
    for table in [
        "cidr:{{0.0.0.0/1 OK}}",
        "cidr:{{1.0.0.0/8 OK}}",
        "texthash:/203",
        "texthash:/com",
        "pcre:{{/unknown/ OK}}",
        "pcre:{{/\\.(com|net)$$/ OK}}",
    ] {
        check(&format!("check_client_access {table}"), client);
    }
    for table in [
        "cidr:{{10.0.0.0/8 OK}}",
        "cidr:{{198.51.0.0/16 OK}}",
        "cidr:{{0.0.0.0/0 REJECT},{1.0.0.0/8 OK}}",
        "texthash:/one",
        "pcre:{{/\\.partner\\.com$$/ OK}}",
    ] {
        check(&format!("check_client_access {table}"), &[]);
    }
    for table in [
        "texthash:/com",
        "pcre:{{/\\.com$$/ OK}}",
        "pcre:{{/example.com$$/ OK}}",
        "pcre:{{/@example\\.com/ OK}}",
    ] {
        check(&format!("check_recipient_access {table}"), recipient);
    }
    for table in [
        "texthash:/one",
        "pcre:{{/@example\\.com$$/ OK}}",
        "pcre:{{/[@.]partner\\.com$$/ OK}}",
        "pcre:{{/\\.com$$/ DUNNO}}",
    ] {
        check(&format!("check_recipient_access {table}"), &[]);
    }
}

#[test]
fn whole_top_level_domains() {
    let check = |more: &str, expect: &[&str]| {
        let main = format!("smtpd_relay_restrictions = reject_unauth_destination\n{more}");
        assert_eq!(found(&main), expect, "{main}");
    };
    check("relay_domains = com", &["error K0440 com"]);
    check("relay_domains = mxdom.example, de", &["error K0440 de"]);
    check("relay_domains = static:all", &["error K0440 reject_unauth_destination"]);
    check("relay_domains = inline:{com=x}", &["error K0440 inline:{com=x}"]);
    check("mydestination = .com", &["error K0440 .com"]);
    check("relay_domains = info", &["error K0440 info"]);
    let before = |check: &str| {
        format!(
            "smtpd_recipient_restrictions = {check}, reject_unauth_destination\n\
                                        smtpd_relay_restrictions = permit"
        )
    };
    let info = "check_client_access inline:{info=OK}";
    check(&before(info), &["error K0440 check_client_access"]);
    check(&before("check_recipient_access inline:{{click=OK}}"), &["error K0440 check_recipient_access"]);
    check(&before("check_client_access inline:{lan=OK}"), &["hint K0441 check_client_access"]);
    check("relay_domains = lan, example.com", &[]);
    check("mydestination = com", &[]);
    check("allow_untrusted_routing = yes", &["warning K0440 yes"]);
    check("allow_untrusted_routing = no", &[]);
}
