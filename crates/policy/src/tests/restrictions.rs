//! Every restriction, decided as Postfix 3.7.11 decided the same case.

use super::*;

const DNS: &str = "
    mail.ok.example A 192.0.2.10
    10.2.0.192.in-addr.arpa PTR mail.ok.example
    11.2.0.192.in-addr.arpa PTR forged.example
    forged.example A 192.0.2.99
    12.2.0.192.in-addr.arpa SERVFAIL
    13.2.0.192.in-addr.arpa PTR temp.example
    14.2.0.192.in-addr.arpa PTR noname.example
    temp.example SERVFAIL
    tempmx.example SERVFAIL MX
    tempmx.example A 192.0.2.1
    tempa.example SERVFAIL A
    nullmx.example MX 0 .
    helo.example A 192.0.2.1
    sender.example A 192.0.2.1
    mxonly.example MX 10 mail.mxonly.example
    v6.example AAAA 2001:db8::1
    nothing.example TXT hello
    loc A 192.0.2.1
    a_b.example A 192.0.2.1
    example.net MX 10 mx.example.com
    example.net MX 5 primary.example.net
    primary.example.net A 192.0.2.88
    mx.example.com A 127.0.0.1";

/// Everything but the list is good.
fn check_at(client: &str, list: &str, more: &str, expect: &str) {
    let main = format!("smtpd_recipient_restrictions = {list}\n{more}");
    let scene = Scene::new(&main, World::default().dns(DNS));
    let decision = scene.rcpt(client, "helo.example", "a@sender.example", "u@example.com");
    assert_eq!(told(&decision), expect, "{list} from {client}");
}

#[test]
fn generic() {
    let check = |list: &str, expect: &str| check_at("192.0.2.2", list, "", expect);
    check("reject", "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied");
    check("defer", "450 4.3.2 <u@example.com>: Recipient address rejected: Try again later");
    check("permit", "ok");
    check("reject_foo", "451 4.3.5 Server configuration error");
    check(
        "defer_if_permit",
        "450 4.7.0 <u@example.com>: Recipient address rejected: defer_if_permit requested",
    );
    check(
        "defer_if_reject, reject",
        "450 4.7.0 <u@example.com>: Recipient address rejected: defer_if_reject requested",
    );
    check("defer_if_reject", "ok");
    check("defer_if_permit, reject", "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied");
    check(
        "defer_if_reject, defer_if_permit, reject",
        "450 4.7.0 <u@example.com>: Recipient address rejected: defer_if_permit requested",
    );
    check("warn_if_reject reject", "ok");
    check(
        "warn_if_reject, reject, reject",
        "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied",
    );
    check("warn_if_reject reject_foo", "451 4.3.5 Server configuration error");
    check("warn_if_reject defer_if_permit", "ok");
    check("check_client_access", "451 4.3.5 Server configuration error");
    check("check_policy_service", "451 4.3.5 Server configuration error");
    check("sleep", "451 4.3.5 Server configuration error");
    check("sleep x", "451 4.3.5 Server configuration error");
    check("sleep 1, reject", "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied");
    check("reject_rbl_client", "ok");
    check("reject_plaintext_session", "450 4.7.1 Session encryption is required");
    check(
        "permit_sasl_authenticated, permit_tls_clientcerts, permit_tls_all_clientcerts, reject",
        "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied",
    );
    check(
        "permit_naked_ip_address, reject",
        "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied",
    );
    check("permit_auth_destination, reject", "ok");
    // T2.5
    check_at("127.0.0.1", "permit_mynetworks, reject", "", "ok");
    check_at("127.0.0.1", "permit_inet_interfaces, reject", "", "ok");
    check_at(
        "192.0.2.2",
        "reject",
        "soft_bounce = yes",
        "454 4.7.1 <u@example.com>: Recipient address rejected: Access denied",
    );
    check_at(
        "192.0.2.2",
        "reject",
        "reject_code = 521",
        "521 5.7.1 <u@example.com>: Recipient address rejected: Access denied",
    );
    check_at(
        "192.0.2.2",
        "aa",
        "smtpd_restriction_classes = aa\naa = aa",
        "451 4.3.5 Server configuration error",
    );
    check_at(
        "192.0.2.2",
        "aa, reject",
        "smtpd_restriction_classes = aa\naa = permit_mynetworks, permit",
        "ok",
    );
}

#[test]
fn warnings_instead_of_refusals() {
    let check = |list: &str, expect: &[&str]| {
        let scene = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), World::default().dns(DNS));
        let decision = scene.rcpt("192.0.2.12", "temp.example", "a@sender.example", "u@example.com");
        assert_eq!(noted(&decision), expect, "{list}");
    };
    check(
        "warn_if_reject reject",
        &["reject_warning: 554 5.7.1 <u@example.com>: Recipient address rejected: Access denied"],
    );
    check(
        "warn_if_reject reject_unknown_helo_hostname, permit",
        &["reject_warning: 450 4.7.1 <temp.example>: Helo command rejected: Host not found"],
    );
    check(
        "warn_if_reject reject_unknown_client",
        &["reject_warning: 450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.12]"],
    );
    check(
        "reject_maps_rbl",
        &["warning: support for restriction \"reject_maps_rbl\" will be removed from Postfix; \
        use \"reject_rbl_client domain-name\" instead"],
    );
    check("reject_foo", &["warning: unknown smtpd restriction: \"reject_foo\""]);
    check(
        "check_client_access foo",
        &["warning: restriction check_client_access: bad argument \"foo\": need \
        maptype:mapname"],
    );
    check(
        "check_policy_service",
        &["warning: restriction check_policy_service must be followed by transport:server"],
    );
}

/// T1.4, T2.8
#[test]
fn client_names() {
    let unknown =
        |address: &str| format!("450 4.7.25 Client host rejected: cannot find your hostname, [{address}]");
    let reverse = |address: &str| {
        format!("450 4.7.1 Client host rejected: cannot find your reverse hostname, [{address}]")
    };
    let check = |client: &str, verified: bool, has_reverse: bool| {
        let expect = if verified { "ok".to_owned() } else { unknown(client) };
        check_at(client, "reject_unknown_client_hostname", "", &expect);
        check_at(client, "reject_unknown_client", "", &expect);
        let expect = if has_reverse { "ok".to_owned() } else { reverse(client) };
        check_at(client, "reject_unknown_reverse_client_hostname", "", &expect);
    };
    check("192.0.2.2", false, false);
    check("192.0.2.10", true, true);
    check("192.0.2.11", false, true);
    check("192.0.2.12", false, false);
    check("192.0.2.13", false, true);
    check("192.0.2.14", false, true);
    let list = "reject_unknown_client_hostname";
    let permanent = "550 5.7.25 Client host rejected: cannot find your hostname, [192.0.2.2]";
    check_at("192.0.2.2", list, "unknown_client_reject_code = 550", permanent);
    check_at("192.0.2.13", list, "unknown_client_reject_code = 550", &unknown("192.0.2.13"));
}

/// T1.10, T1.11, T2.9
#[test]
fn helo_names() {
    let check = |list: &str, helo: &str, expect: &str| {
        let scene = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), World::default().dns(DNS));
        let decision = scene.rcpt("192.0.2.2", helo, "a@sender.example", "u@example.com");
        let expect =
            if expect == "ok" { expect.to_owned() } else { expect.replace("<>", &format!("<{helo}>")) };
        assert_eq!(told(&decision), expect, "{list} {helo}");
    };
    for list in ["reject_invalid_helo_hostname", "reject_invalid_hostname"] {
        for good in ["foo_bar", "[192.0.2.1]", "192.0.2.1", "[IPv6:::1]", "foo.example.", "::1", "foo.1"] {
            check(list, good, "ok");
        }
        for bad in ["foo..bar", "300.1.1.1", "-foo.example", "foo-.example", "#", "*", "123", ".foo.example"]
        {
            check(list, bad, "501 5.5.2 <>: Helo command rejected: Invalid name");
        }
        for bad in ["[192.0.2.1", "[ipv6:zz]", "[foo]", "[::1]"] {
            check(list, bad, "501 5.5.2 <>: Helo command rejected: invalid ip address");
        }
    }
    for list in ["reject_non_fqdn_helo_hostname", "reject_non_fqdn_hostname"] {
        for good in ["foo.example", "[192.0.2.1]", "foo.example.", "foo_b.example", "x.1"] {
            check(list, good, "ok");
        }
        for bad in ["foo", "foo.", "192.0.2.1", "foo..b", "-a.b", "localhost", ".foo", "::1", "1.2"] {
            check(list, bad, "504 5.5.2 <>: Helo command rejected: need fully-qualified hostname");
        }
        check(list, "[foo]", "501 5.5.2 <>: Helo command rejected: invalid ip address");
    }
    for list in ["reject_unknown_helo_hostname", "reject_unknown_hostname"] {
        let good = [
            "helo.example",
            "tempmx.example",
            "nullmx.example",
            "mxonly.example",
            "v6.example",
            "[192.0.2.1]",
            "loc",
            "a_b.example",
        ];
        for good in good {
            check(list, good, "ok");
        }
        let bad = [
            "unknown.example",
            "temp.example",
            "tempa.example",
            "nothing.example",
            "192.0.2.1",
            "foo..bar",
            "helo.example.",
        ];
        for bad in bad {
            check(list, bad, "450 4.7.1 <>: Helo command rejected: Host not found");
        }
    }
    check(
        "reject_unknown_helo_hostname, reject",
        "temp.example",
        "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied",
    );
}

#[test]
fn temporary_failures() {
    let check = |more: &str, helo: &str, expect: &str| {
        let main = format!("smtpd_recipient_restrictions = reject_unknown_helo_hostname, reject\n{more}");
        let scene = Scene::new(&main, World::default().dns(DNS));
        let decision = scene.rcpt("192.0.2.2", helo, "a@sender.example", "u@example.com");
        assert_eq!(told(&decision), expect, "{more} {helo}");
    };
    check(
        "unknown_hostname_reject_code = 550",
        "unknown.example",
        "550 5.7.1 <unknown.example>: Helo command rejected: Host not found",
    );
    check(
        "unknown_helo_hostname_tempfail_action = defer\nunknown_hostname_reject_code = 550",
        "temp.example",
        "450 4.7.1 <temp.example>: Helo command rejected: Host not found",
    );
}

/// T1.8, T2.10
#[test]
fn senders() {
    let check = |list: &str, sender: &str, expect: &str| {
        let scene = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), World::default().dns(DNS));
        let decision = scene.rcpt("192.0.2.2", "helo.example", sender, "u@example.com");
        let expect =
            if expect == "ok" { expect.to_owned() } else { expect.replace("<>", &format!("<{sender}>")) };
        assert_eq!(told(&decision), expect, "{list} {sender}");
    };
    for good in ["", "a@b.example", "a@[1.2.3.4]", "a@b_c.example", "a@b.example."] {
        check("reject_non_fqdn_sender", good, "ok");
    }
    for bad in ["a", "a@b", "postmaster"] {
        check(
            "reject_non_fqdn_sender",
            bad,
            "504 5.5.2 <>: Sender address rejected: need fully-qualified address",
        );
    }
    let list = "reject_unknown_sender_domain";
    for good in [
        "",
        "a@sender.example",
        "a@tempmx.example",
        "a@mxonly.example",
        "a@v6.example",
        "a@[192.0.2.1]",
        "a@example.com",
        "a@loc",
    ] {
        check(list, good, "ok");
    }
    for bad in
        ["a@unknown.example", "a@temp.example", "a@tempa.example", "a@nothing.example", "a b@unknown.example"]
    {
        check(list, bad, "450 4.1.8 <>: Sender address rejected: Domain not found");
    }
    check(
        list,
        "a@nullmx.example",
        "550 5.7.27 <>: Sender address rejected: Domain nullmx.example does not accept mail (nullMX)",
    );
}

#[test]
fn recipients() {
    let check = |list: &str, recipient: &str, expect: &str| {
        let main = format!("smtpd_recipient_restrictions = {list}\nsmtpd_relay_restrictions =\n");
        let scene = Scene::new(&main, World::default().dns(DNS));
        let decision = scene.rcpt("192.0.2.2", "helo.example", "a@sender.example", recipient);
        let expect =
            if expect == "ok" { expect.to_owned() } else { expect.replace("<>", &format!("<{recipient}>")) };
        assert_eq!(told(&decision), expect, "{list} {recipient}");
    };
    let list = "reject_non_fqdn_recipient";
    check(list, "postmaster", "ok");
    check(list, "a@[1.2.3.4]", "ok");
    check(list, "a", "504 5.5.2 <>: Recipient address rejected: need fully-qualified address");
    check(list, "a@localhost", "504 5.5.2 <>: Recipient address rejected: need fully-qualified address");
    let list = "reject_unknown_recipient_domain";
    check(list, "a@example.com", "ok");
    check(list, "a@unknown.example", "450 4.1.2 <>: Recipient address rejected: Domain not found");
    check(
        list,
        "a@nullmx.example",
        "556 5.1.10 <>: Recipient address rejected: Domain nullmx.example does not accept mail (nullMX)",
    );
    check("reject_unauth_destination", "a@b.example", "554 5.7.1 <>: Relay access denied");
    check("defer_unauth_destination", "a@b.example", "454 4.7.1 <>: Relay access denied");
    check("reject_unauth_destination", "a@mxdom.example", "ok");
    check("reject_unauth_destination", "a%b@example.com", "554 5.7.1 <>: Relay access denied");
    check("reject_unauth_destination", "a@b@example.com", "554 5.7.1 <>: Relay access denied");
    check(
        "check_relay_domains",
        "a@b.example",
        "554 5.7.1 <>: Recipient address rejected: Relay access denied",
    );
    check("permit_mx_backup, reject", "a@example.net", "ok");
    check(
        "permit_mx_backup, reject",
        "a@mxonly.example",
        "554 5.7.1 <>: Recipient address rejected: Access denied",
    );
    check("permit_mx_backup, reject", "u@example.com", "ok");
    check(
        "permit_mx_backup, reject",
        "a@temp.example",
        "450 4.4.4 <>: Recipient address rejected: Unable to look up \
        mail exchanger information: Host not found, try again",
    );
    let backup = |networks: &str| {
        let main = format!(
            "smtpd_recipient_restrictions = permit_mx_backup, reject\nsmtpd_relay_restrictions =\n\
            permit_mx_backup_networks = {networks}"
        );
        let scene = Scene::new(&main, World::default().dns(DNS));
        told(&scene.rcpt("192.0.2.2", "h", "a@sender.example", "a@example.net"))
    };
    assert_eq!(backup("192.0.2.0/24"), "ok");
    assert_eq!(backup("10.0.0.0/24"), "554 5.7.1 <a@example.net>: Recipient address rejected: Access denied");
}

#[test]
fn users() {
    let check = |more: &str, sender: &str, recipient: &str, expect: &str| {
        let main = format!("local_recipient_maps = inline:{{u=u}}\n{more}");
        let scene = Scene::new(&main, World::default().dns(DNS));
        assert_eq!(
            told(&scene.rcpt("192.0.2.2", "h", sender, recipient)),
            expect,
            "{more} {sender} {recipient}"
        );
    };
    let unknown =
        "550 5.1.1 <v@example.com>: Recipient address rejected: User unknown in local recipient table";
    check("", "s@t.example", "u@example.com", "ok");
    check("", "s@t.example", "v@example.com", unknown);
    check("smtpd_recipient_restrictions = permit", "s@t.example", "v@example.com", unknown);
    check(
        "smtpd_recipient_restrictions = check_client_access static:DISCARD",
        "s@t.example",
        "v@example.com",
        "ok",
    );
    check("smtpd_reject_unlisted_recipient = no", "s@t.example", "v@example.com", "ok");
    check(
        "show_user_unknown_table_name = no",
        "s@t.example",
        "v@example.com",
        "550 5.1.1 <v@example.com>: Recipient address rejected: User unknown",
    );
    check(
        "smtpd_reject_unlisted_sender = yes",
        "s@example.com",
        "u@example.com",
        "550 5.1.0 <s@example.com>: Sender address rejected: User unknown in local recipient table",
    );
    check(
        "local_recipient_maps = fail:x",
        "s@t.example",
        "u@example.com",
        "451 4.3.0 <u@example.com>: Temporary lookup failure",
    );
}

#[test]
fn bounces_to_many() {
    let scene = Scene::new("smtpd_recipient_restrictions = reject_multi_recipient_bounce", World::default());
    let mut tx = at_rcpt(scene.client("192.0.2.2"), "h", "", "u@example.com");
    assert_eq!(told(&scene.decide(Request::Rcpt, &tx, &mut scene.facts())), "ok");
    tx.recipient_count = 1;
    assert_eq!(
        told(&scene.decide(Request::Rcpt, &tx, &mut scene.facts())),
        "550 5.5.3 <u@example.com>: Recipient address rejected: Multi-recipient bounce"
    );
}

/// T2.4
#[test]
fn stages() {
    let check = |main: &str, request: Request, expect: &str| {
        let scene = Scene::new(main, World::default().dns(DNS));
        let mut tx = at_rcpt(scene.client("192.0.2.2"), "h", "s@t.example", "u@example.com");
        tx.etrn_domain = Some("foo.example".to_owned());
        tx.recipient_count = 1;
        assert_eq!(told(&scene.decide(request, &tx, &mut scene.facts())), expect, "{main} {request:?}");
    };
    let client = "554 5.7.1 <unknown[192.0.2.2]>: Client host rejected: Access denied";
    let list = "smtpd_client_restrictions = reject";
    for request in [Request::Connect, Request::Helo, Request::Mail, Request::Data, Request::EndOfData] {
        check(list, request, "ok");
    }
    for request in [Request::Rcpt, Request::Vrfy, Request::Etrn] {
        check(list, request, client);
    }
    let now = "smtpd_delay_reject = no\n";
    check(&format!("{now}{list}"), Request::Connect, client);
    check(&format!("{now}{list}"), Request::Rcpt, "ok");
    check(
        &format!("{now}smtpd_helo_restrictions = defer"),
        Request::Helo,
        "450 4.3.2 <h>: Helo command rejected: Try again later",
    );
    check(
        &format!("{now}smtpd_sender_restrictions = static:REJECT"),
        Request::Mail,
        "554 5.7.1 <s@t.example>: Sender address rejected: Access denied",
    );
    check(
        "smtpd_data_restrictions = reject",
        Request::Data,
        "554 5.7.1 <DATA>: Data command rejected: Access denied",
    );
    check(
        "smtpd_end_of_data_restrictions = reject",
        Request::EndOfData,
        "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied",
    );
    check("smtpd_data_restrictions = static:REJECT", Request::Data, "451 4.3.5 Server configuration error");
    check(
        "smtpd_etrn_restrictions = static:REJECT",
        Request::Etrn,
        "554 5.7.1 <foo.example>: Etrn command rejected: Access denied",
    );
    check(
        "smtpd_relay_restrictions = check_client_access static:{DEFER_IF_REJECT foo}, reject_unauth_destination\n\
        smtpd_recipient_restrictions = reject",
        Request::Rcpt,
        "450 4.7.1 <unknown[192.0.2.2]>: Client host rejected: foo",
    );
    check(
        "smtpd_client_restrictions = check_client_access static:{DEFER_IF_PERMIT foo}",
        Request::Rcpt,
        "450 4.7.1 <unknown[192.0.2.2]>: Client host rejected: foo",
    );
    check(
        "smtpd_recipient_restrictions = check_client_access static:{421 bye}",
        Request::Rcpt,
        "421 4.7.1 <unknown[192.0.2.2]>: Client host rejected: bye",
    );
}

/// A deferral of the client list waits for RCPT also where the lists aren't delayed.
#[test]
fn deferrals_are_carried() {
    let main = "smtpd_delay_reject = no\nsmtpd_client_restrictions = check_client_access static:{DEFER_IF_PERMIT foo}";
    let scene = Scene::new(main, World::default());
    let mut tx = scene.client("192.0.2.2");
    let mut facts = scene.facts();
    let connect = scene.decide(Request::Connect, &tx, &mut facts);
    assert_eq!(told(&connect), "ok");
    tx.carried = connect.carried;
    let mut tx = at_rcpt(tx, "h", "s@t.example", "u@example.com");
    for request in [Request::Helo, Request::Mail] {
        tx.carried = scene.decide(request, &tx, &mut facts).carried;
    }
    assert_eq!(
        told(&scene.decide(Request::Rcpt, &tx, &mut facts)),
        "450 4.7.1 <unknown[192.0.2.2]>: Client host rejected: foo"
    );
}

/// A bare table in a class means what it means in the list that names the class.
#[test]
fn bare_tables_in_classes() {
    let check = |list: &str, expect: &str| {
        let main =
            format!("smtpd_{list}_restrictions = cls\nsmtpd_restriction_classes = cls\ncls = static:REJECT");
        let scene = Scene::new(&main, World::default());
        assert_eq!(told(&scene.rcpt("192.0.2.2", "h", "s@t.example", "u@example.com")), expect, "{list}");
    };
    check("helo", "554 5.7.1 <h>: Helo command rejected: Access denied");
    check("sender", "554 5.7.1 <s@t.example>: Sender address rejected: Access denied");
    let main = "smtpd_helo_restrictions = check_client_access static:cls\nsmtpd_restriction_classes = cls\n\
                cls = static:REJECT";
    let nested = Scene::new(main, World::default()).rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
    assert_eq!(told(&nested), "554 5.7.1 <h>: Helo command rejected: Access denied");
    check("recipient", "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied");
}

/// T2.3
#[test]
fn early_commands() {
    let scene = Scene::new("smtpd_data_restrictions = reject_unauth_pipelining", World::default());
    let check = |violation: bool, unread: bool, expect: &str| {
        let mut tx = at_rcpt(scene.client("192.0.2.2"), "h", "", "u@example.com");
        tx.pipelining_violation = violation;
        tx.unread_input = unread;
        assert_eq!(told(&scene.decide(Request::Data, &tx, &mut scene.facts())), expect);
    };
    let refused = "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining";
    check(false, false, "ok");
    check(true, false, refused);
    check(false, true, refused);
}

/// ADDRESS_VERIFICATION_README. `good`, `bad` and whoever else are what the world's probe says.
#[test]
fn probed_addresses() {
    let check = |restriction: &str, (from, to): (&str, &str), more: &str, expect: &str| {
        let list = format!(
            "{restriction}, reject_unauth_destination, check_recipient_access inline:{{no@example.com=reject}}"
        );
        let main =
            format!("smtpd_recipient_restrictions = {list}\nsmtpd_reject_unlisted_recipient = no\n{more}");
        let scene = Scene::new(&main, World::default().dns(DNS));
        let decision = scene.rcpt("192.0.2.2", "helo.example", from, to);
        assert_eq!(told(&decision), expect, "{restriction} {from} {to} {more}");
    };
    let sender = |from: &str, more: &str, expect: &str| {
        check("reject_unverified_sender", (from, "u@example.com"), more, expect);
    };
    sender("good@sender.example", "", "ok");
    sender("", "", "ok");
    let rejected = "<bad@sender.example>: Sender address rejected";
    sender("bad@sender.example", "", &format!("450 4.1.7 {rejected}: unverified address: unknown user"));
    let hard = "unverified_sender_reject_code = 550";
    sender("bad@sender.example", hard, &format!("550 5.1.7 {rejected}: undeliverable address: unknown user"));
    sender("bad@sender.example", "unverified_sender_reject_code = 250", "ok");
    let reason = "unverified_sender_reject_reason = No such sender";
    sender(
        "bad@sender.example",
        reason,
        &format!("450 4.1.7 {rejected}: unverified address: No such sender"),
    );
    let recipient = |to: &str, more: &str, expect: &str| {
        check("reject_unverified_recipient", ("a@sender.example", to), more, expect);
    };
    let waits = "Recipient address rejected: unverified address: Address verification in progress";
    recipient("good@example.com", "", "ok");
    recipient("x@example.com", "", &format!("450 4.1.1 <x@example.com>: {waits}"));
    // A later refusal goes before a deferral, unless that is said to be final.
    recipient("no@example.com", "", "554 5.7.1 <no@example.com>: Recipient address rejected: Access denied");
    let at_once = "unverified_recipient_tempfail_action = defer";
    recipient("no@example.com", at_once, &format!("450 4.1.1 <no@example.com>: {waits}"));
    // Whoever sends the probes is let in by everybody.
    let shut = "smtpd_client_restrictions = reject";
    recipient("Double-Bounce@mx.example.com", shut, "ok");
    recipient(
        "double-bounce@example.com",
        shut,
        "554 5.7.1 <unknown[192.0.2.2]>: Client host rejected: Access denied",
    );
}
