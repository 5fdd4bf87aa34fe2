//! One's own users shut out, checks in the wrong place, dead zones, postscreen's numbers.

use super::Server;

/// What is found in one server; `main` may go on with more parameters.
fn found(main: &str, codes: std::ops::RangeInclusive<u16>) -> Vec<String> {
    let files = vec![("/x", "a.example REJECT\n")];
    Server::with(&format!("compatibility_level = 3.6\n{main}"), "", files).found(codes)
}

fn service(main: &str, line: &str, codes: std::ops::RangeInclusive<u16>) -> Vec<String> {
    Server::with(&format!("compatibility_level = 3.6\n{main}"), line, Vec::new()).found(codes)
}

const SUBMISSION: &str = "submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n";

/// T2.5, T2.11: the list of the spam blocking tutorial refuses its own users.
#[test]
fn own_users_are_shut_out() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 442..=443), expect, "{main}");
    let list = "smtpd_recipient_restrictions = check_policy_service unix:private/spf, reject_unauth_destination, permit";
    let refuses = "warning K0442 reject_unauth_destination";
    // mynetworks has more than this machine.
    check(list, &[refuses]);
    // The relay list lets programs on this machine relay, this one doesn't.
    check(&format!("{list}\nmynetworks = 127.0.0.0/8, [::1]/128"), &[refuses]);
    let alone = "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions =\n";
    check(&format!("{alone}smtpd_recipient_restrictions = reject_unauth_destination"), &[]);
    check(&format!("{list}\nmynetworks = 127.0.0.0/8\nsmtpd_sasl_auth_enable = yes"), &[refuses]);
    check(&format!("{list}\nsmtpd_sasl_auth_enable = yes"), &[refuses]);
    let safe = "smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination";
    check(&format!("{safe}\nsmtpd_sasl_auth_enable = yes"), &[]);
    check("smtpd_sasl_auth_enable = yes", &[]);
    let half = "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination";
    check(&format!("{half}\nsmtpd_sasl_auth_enable = yes"), &[]);
    check(&format!("{half}\nsmtpd_sasl_auth_enable = yes\nmynetworks = 127.0.0.0/8"), &[refuses]);
    // Whether the sender's domain exists isn't sure.
    check("smtpd_sender_restrictions = reject_unknown_sender_domain", &[]);
    check("smtpd_client_restrictions = reject_rbl_client bl.example=127.0.0.2", &[]);
    // A relay list that was written so was meant so.
    check("smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination", &[]);
    check(
        "smtpd_recipient_restrictions = shut\nsmtpd_restriction_classes = shut\nshut = reject_unauth_destination",
        &[refuses],
    );
    check("smtpd_recipient_restrictions = warn_if_reject reject_unauth_destination", &[]);
}

#[test]
fn submission_that_refuses_its_users() {
    let check = |main: &str, options: &str, expect: &[&str]| {
        let line = format!("{SUBMISSION}{options}");
        assert_eq!(service(main, &line, 442..=443), expect, "{main} {options}");
    };
    check("", "", &[]);
    check("", "  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject", &[]);
    check("", "  -o smtpd_client_restrictions=reject", &["error K0443 reject"]);
    check("", "  -o smtpd_client_restrictions=permit_mynetworks,reject", &[]);
    check(
        "smtpd_recipient_restrictions = reject_unauth_destination",
        "",
        &["error K0443 reject_unauth_destination"],
    );
    // Owners pass where a table says who they are.
    let owners = "smtpd_sender_login_maps = inline:{a@example.org=alice}\n";
    for rule in ["reject_sender_login_mismatch", "reject_authenticated_sender_login_mismatch"] {
        check(&format!("{owners}smtpd_sender_restrictions = {rule}"), "", &[]);
        let expect = format!("error K0443 {rule}");
        check(&format!("smtpd_sender_restrictions = {rule}"), "", &[expect.as_str()]);
    }
    let own = "  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject";
    check("smtpd_recipient_restrictions = reject_unauth_destination", own, &[]);
    check("", "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject", &[]);
    check(
        "",
        "  -o smtpd_relay_restrictions=permit_sasl_authentcated,reject",
        // Unknown: that is said (K0400), and enough.
        &[],
    );
}

/// K0442 and K0443 say nothing of a list, or of networks, that have a fault of their own.
#[test]
fn faults_lock_nobody_out() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 442..=443), expect, "{main}");
    let refuses = "warning K0442 reject_unauth_destination";
    let recipient = |words: &str| format!("smtpd_recipient_restrictions = {words}reject_unauth_destination");
    check("smtpd_data_restrictions = reject_unauth_pipelinig", &[]);
    check(&recipient("check_policy_service protocol:service, "), &[]);
    check(&recipient("reject_unauth_pipelinig, "), &[]);
    check(&recipient(""), &[refuses]);
    // The fault is another list's.
    check(&format!("{}\nsmtpd_data_restrictions = x_y", recipient("")), &[refuses]);
    for networks in
        ["192.168.1.5/24", "\"127.0.0.0/8, 192.168.1.0/24\"", "127.0.0.0/8, hash:/missing, 10.0.0.0/8"]
    {
        check(&format!("mynetworks = {networks}"), &[]);
    }
    check(&format!("{}\nmynetworks = 192.168.1.0/24", recipient("")), &[refuses]);
}

/// K0463: mail from the Internet that a bare reject refuses.
#[test]
fn domains_that_nobody_can_send_to() {
    let said = &["hint K0463 reject"];
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 463..=463), expect, "{main}");
    for list in ["client", "helo", "sender", "relay", "recipient"] {
        check(&format!("smtpd_{list}_restrictions = permit_mynetworks, reject"), said);
    }
    let client = "smtpd_client_restrictions = permit_mynetworks, ";
    check(&format!("{client}permit_sasl_authenticated, reject"), said);
    check(&format!("{client}reject_unknown_client_hostname"), &[]);
    check(&format!("{client}check_client_access inline:{{ 192.0.2.77=OK }}, reject"), &[]);
    check(&format!("{client}warn_if_reject reject"), &[]);
    check("smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, permit", &[]);
    // Nobody at all.
    check("smtpd_client_restrictions = reject", &["error K0463 reject"]);
    check("smtpd_recipient_restrictions = reject_unknown_helo_hostname, defer", &["error K0463 defer"]);
    let users = "smtpd_sasl_auth_enable = yes\nsmtpd_client_restrictions = permit_sasl_authenticated, reject";
    check(users, said);
    let none =
        format!("{client}reject\nrelay_domains =\nmydestination = $myhostname, localhost.example.com\n");
    check(&none, &[]);
    check(&format!("{none}virtual_mailbox_domains = example.org"), said);
    check(&format!("{client}reject\ninet_interfaces = loopback-only"), &[]);
    let main = &format!("{client}reject");
    assert_eq!(service(main, "smtp inet n - y - - smtpd", 463..=463), *said);
    assert_eq!(service(main, "127.0.0.1:25 inet n - y - - smtpd", 463..=463), [""; 0]);
    assert_eq!(service(main, SUBMISSION, 463..=463), [""; 0]);
    let own = "smtp inet n - y - - smtpd -o smtpd_client_restrictions=permit_mynetworks,reject";
    assert_eq!(service("", own, 463..=463), [""; 0]);
}

#[test]
fn where_a_check_can_do_nothing() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 444..=446), expect, "{main}");
    let early = "smtpd_delay_reject = no\nsmtpd_helo_required = yes\n";
    let nothing = |list: &str, what: &str| format!("{early}smtpd_{list}_restrictions = {what}");
    let recipient = "check_recipient_access hash:/x";
    check(&nothing("client", recipient), &["warning K0444 check_recipient_access"]);
    check(&format!("smtpd_client_restrictions = {recipient}"), &[]);
    check(&nothing("client", "reject_unauth_destination"), &["warning K0444 reject_unauth_destination"]);
    check(&nothing("client", "reject_rhsbl_helo rh.example"), &["warning K0444 reject_rhsbl_helo"]);
    check(&nothing("client", "check_client_access hash:/x, reject_unknown_client_hostname"), &[]);
    check(&nothing("helo", "reject_unknown_sender_domain"), &["warning K0444 reject_unknown_sender_domain"]);
    check(&nothing("helo", "reject_unknown_helo_hostname"), &[]);
    check(&nothing("sender", "reject_unlisted_recipient"), &["warning K0444 reject_unlisted_recipient"]);
    check(&nothing("sender", "check_sender_access hash:/x, check_helo_access hash:/x"), &[]);
    check(&nothing("recipient", "check_sender_access hash:/x"), &[]);
    check(
        "smtpd_data_restrictions = check_recipient_access hash:/x",
        &["warning K0444 check_recipient_access"],
    );
    check("smtpd_data_restrictions = reject_unauth_pipelining, reject_multi_recipient_bounce", &[]);
    check("smtpd_etrn_restrictions = check_sender_access hash:/x", &["warning K0444 check_sender_access"]);
    check("smtpd_etrn_restrictions = permit_mynetworks, reject", &[]);
    let ours = "reject_dangerous_attachment";
    check(&format!("smtpd_end_of_data_restrictions = {ours}"), &[]);
    check(&format!("smtpd_data_restrictions = {ours}"), &["warning K0444 reject_dangerous_attachment"]);
    check(&format!("smtpd_recipient_restrictions = {ours}"), &["warning K0444 reject_dangerous_attachment"]);
    let class = "smtpd_restriction_classes = c\nc = reject_unlisted_recipient\n";
    check(&format!("{class}{}", nothing("sender", "c")), &["warning K0444 reject_unlisted_recipient"]);

    check(
        "smtpd_helo_restrictions = permit_mynetworks, reject_non_fqdn_helo_hostname",
        &["hint K0445 reject_non_fqdn_helo_hostname"],
    );
    check("smtpd_helo_restrictions = permit_mynetworks, reject_rbl_client bl.example", &[]);
    check("smtpd_helo_required = yes\nsmtpd_helo_restrictions = reject_non_fqdn_helo_hostname", &[]);

    let client = |list: &str| format!("smtpd_client_restrictions = {list}");
    check(&client("reject_unlisted_sender, warn_if_reject"), &["warning K0446 warn_if_reject"]);
    check(&client("warn_if_reject permit_mynetworks"), &["warning K0446 warn_if_reject"]);
    check(&client("warn_if_reject sleep 1"), &["warning K0446 warn_if_reject"]);
    check(&client("warn_if_reject warn_if_reject reject"), &["warning K0446 warn_if_reject"]);
    check(&client("warn_if_reject reject_unknown_client_hostname"), &[]);
    check(&client("warn_if_reject check_client_access hash:/x"), &[]);
}

/// T2.8, T1.4, T2.15
#[test]
fn orders_and_rules_that_surprise() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 447..=449), expect, "{main}");
    let client = |list: &str| format!("smtpd_client_restrictions = {list}");
    check(
        &client("permit_mynetworks, reject_unknown_client_hostname"),
        &["hint K0447 reject_unknown_client_hostname"],
    );
    check(&client("permit_mynetworks, warn_if_reject reject_unknown_client_hostname"), &[]);
    check(&client("reject_unknown_reverse_client_hostname"), &[]);
    check(&client("permit_mynetworks, reject_rbl_client bl.example"), &[]);
    check(&client("reject_rbl_client bl.example, permit_mynetworks"), &["warning K0448 reject_rbl_client"]);
    check(&client("permit_mynetworks, reject_rbl_client bl.example, permit_mynetworks"), &[]);
    check(&client("reject_rbl_client bl.example"), &[]);
    check(&client("reject_rhsbl_sender bl.example, permit_mynetworks"), &[]);
    let main = client("permit_mynetworks, reject_rbl_client bl.example");
    assert_eq!(service(&main, SUBMISSION, 448..=448), ["warning K0448 reject_rbl_client"]);
    let line = format!("{SUBMISSION}  -o smtpd_client_restrictions=");
    assert_eq!(service(&main, &line, 448..=448), [""; 0]);

    let grey = "smtpd_recipient_restrictions = permit_mynetworks, check_policy_service inet:10023, \
                reject_unauth_destination";
    check(grey, &[]);
    let late = "smtpd_relay_before_recipient_restrictions = no\n";
    check(&format!("{late}{grey}"), &["hint K0449 check_policy_service"]);
    // At level 0 it opens a relay, and that is enough to say.
    let server = Server::new(grey);
    assert_eq!(server.found(447..=449), [""; 0]);
    assert_eq!(server.found(440..=440).len(), 1);
    let after = "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service inet:10023";
    check(&format!("{late}{after}"), &[]);
}

/// T1.4: the nine zones of the security memo.
#[test]
fn zones_by_their_fate() {
    let check = |list: &str, expect: &[&str]| {
        assert_eq!(found(&format!("smtpd_client_restrictions = {list}"), 450..=454), expect, "{list}");
    };
    check(
        "reject_rbl_client relays.ordb.org, reject_rbl_client spamcop.net, reject_rbl_client dynablock.wirehub.net, \
         reject_rbl_client opm.blitzed.org, reject_rbl_client sbl.spamhaus.org, reject_rbl_client list.dsbl.org, \
         reject_rbl_client cn-kr.blackholes.us, reject_rbl_client brazil.blackholes.us, reject_rbl_client \
         russia.blackholes.us",
        &[
            "error K0451 relays.ordb.org",
            "warning K0452 spamcop.net",
            "warning K0450 dynablock.wirehub.net",
            "warning K0450 opm.blitzed.org",
            "warning K0450 list.dsbl.org",
            "warning K0450 cn-kr.blackholes.us",
            "warning K0450 brazil.blackholes.us",
            "warning K0450 russia.blackholes.us",
        ],
    );
    check("reject_rbl_client zen.spamhaus.org=127.0.0.[2..11], reject_rbl_client bl.spamcop.net", &[]);
    check("reject_rbl_client rbl-plus.mail-abuse.org", &["warning K0453 rbl-plus.mail-abuse.org"]);
    check(
        "reject_rbl_client b.barracudacentral.org=127.0.0.2",
        &["hint K0453 b.barracudacentral.org=127.0.0.2"],
    );
    check("reject_rhsbl_sender dbl.spamhaus.org", &[]);
    check("reject_rbl_client dbl.spamhaus.org", &["warning K0454 dbl.spamhaus.org"]);
    check("reject_rhsbl_sender zen.spamhaus.org", &["warning K0454 zen.spamhaus.org"]);
    check("reject_maps_rbl\nmaps_rbl_domains = dnsbl.sorbs.net", &["warning K0450 dnsbl.sorbs.net"]);
    check("permit\npostscreen_dnsbl_sites = dnsbl.sorbs.net*2", &["warning K0450 dnsbl.sorbs.net*2"]);
}

#[test]
fn the_zone_that_is_meant() {
    let server = Server::new("smtpd_client_restrictions = reject_rbl_client spamcop.net");
    let found = super::review(&[server.subject()]);
    let fix = found.into_iter().find(|d| d.code.0 == 452).and_then(|d| d.fix).map(|fix| fix.replacement);
    assert_eq!(fix.as_deref(), Some("bl.spamcop.net"));
}

#[test]
fn postscreen() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 455..=459), expect, "{main}");
    let sites = "postscreen_dnsbl_sites = a.example*2, b.example, w.example*-2\n";
    check(sites, &[]);
    check(&format!("{sites}postscreen_dnsbl_threshold = 3"), &[]);
    check(&format!("{sites}postscreen_dnsbl_threshold = 4"), &["warning K0456 4"]);
    check("postscreen_dnsbl_threshold = 4", &[]);
    check(&format!("{sites}postscreen_dnsbl_allowlist_threshold = -2"), &[]);
    check(&format!("{sites}postscreen_dnsbl_allowlist_threshold = -3"), &["warning K0457 -3"]);
    let access = |list: &str| format!("postscreen_access_list = {list}");
    check(&access("permit_mynetworks, cidr:/x"), &[]);
    check(&access("cidr:/x"), &[]);
    check(&access("reject"), &["warning K0458 reject"]);
    check("postscreen_pipelining_enable = yes", &["hint K0459 yes"]);
    check("postscreen_pipelining_enable = no", &[]);
}

#[test]
fn classes_and_tables_without_a_word() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 461..=462), expect, "{main}");
    let classes = "smtpd_restriction_classes = greylist\n";
    check(&format!("{classes}smtpd_recipient_restrictions = greylist"), &["warning K0461 greylist"]);
    check(&format!("{classes}greylist = check_policy_service inet:1"), &[]);
    // T1.4's sender list.
    check("smtpd_sender_restrictions = hash:/x", &["hint K0462 hash:/x"]);
    check("smtpd_sender_restrictions = check_sender_access hash:/x", &[]);
    let server = Server::with("smtpd_sender_restrictions = hash:/x", "", vec![("/x", "a REJECT")]);
    let fix = super::review(&[server.subject()]).remove(0).fix.map(|fix| fix.replacement);
    assert_eq!(fix.as_deref(), Some("check_sender_access hash:/x"));
}

#[test]
fn what_postfix_does_otherwise() {
    let filter = "smtpd_dns_reply_filter = pcre:/f\nsmtpd_sender_restrictions =";
    let with = found(&format!("{filter} reject_unknown_sender_domain"), 460..=460);
    assert_eq!(with, ["hint K0460 pcre:/f"]);
    assert_eq!(found(&format!("{filter} reject_non_fqdn_sender"), 460..=460), [""; 0]);
    let without = "smtpd_sender_restrictions = reject_unknown_sender_domain";
    assert_eq!(found(without, 460..=460), [""; 0]);
}

/// What several servers have in common is said once.
#[test]
fn once_for_all() {
    let main = "smtpd_client_restrictions = reject_rbl_client dnsbl.sorbs.net";
    let server = Server::new(main);
    assert_eq!(super::review(&[server.subject(), server.subject()]).len(), 1);
}

/// ADDRESS_VERIFICATION_README: probing all senders may get one's own server refused.
#[test]
fn probes_on_behalf_of_everybody() {
    let check = |main: &str, expect: &[&str]| assert_eq!(found(main, 464..=465), expect, "{main}");
    let all = "hint K0464 reject_unverified_sender";
    check("smtpd_sender_restrictions = reject_unverified_sender", &[all]);
    check("smtpd_sender_restrictions = check_sender_access hash:/x", &[]);
    let early = "warning K0465 reject_unverified_recipient";
    let list = "smtpd_recipient_restrictions = ";
    check(&format!("{list}reject_unverified_recipient, reject_unauth_destination"), &[early]);
    check(&format!("{list}reject_unauth_destination, reject_unverified_recipient"), &[]);
    check(&format!("{list}reject_unverified_recipient"), &[]);
}
