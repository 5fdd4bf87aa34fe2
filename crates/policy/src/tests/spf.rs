//! `reject_spf_fail` and `defer_spf_temperror`: restrictions of our own. T2.11.

use super::*;

const DNS: &str = "
    fail.example TXT v=spf1 -all
    why.example TXT v=spf1 exp=text.why.example -all
    text.why.example TXT %{i} is not ours
    soft.example TXT v=spf1 ~all
    broken.example TXT v=spf1 foo
    mine.example TXT v=spf1 ip4:192.0.2.9 -all
    silent.example SERVFAIL
    helo.fail.example TXT v=spf1 -all
    helo.silent.example SERVFAIL
    helo.example A 192.0.2.9";

fn decided(list: &str, client: &str, helo: &str, sender: &str) -> Decision {
    let scene = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), World::default().dns(DNS));
    scene.rcpt(client, helo, sender, "u@example.com")
}

#[test]
fn who_is_refused() {
    let check = |helo: &str, sender: &str, expect: &str| {
        assert_eq!(told(&decided("reject_spf_fail", "192.0.2.9", helo, sender)), expect, "{helo} {sender}");
    };
    check("helo.example", "a@mine.example", "ok");
    check(
        "helo.example",
        "a@fail.example",
        "550 5.7.23 <a@fail.example>: Sender address rejected: SPF of fail.example does not allow 192.0.2.9",
    );
    check(
        "helo.example",
        "a@why.example",
        "550 5.7.23 <a@why.example>: Sender address rejected: SPF of why.example does not allow 192.0.2.9; why.example \
         explains: 192.0.2.9 is not ours",
    );
    for passes in ["a@soft.example", "a@broken.example", "a@silent.example", "a@nothing.example", "a", ""] {
        check("helo.example", passes, "ok");
    }
    for sender in ["", "a@mine.example", "a@soft.example"] {
        check(
            "helo.fail.example",
            sender,
            "550 5.7.23 <helo.fail.example>: Helo command rejected: SPF of helo.fail.example does not allow 192.0.2.9",
        );
    }
}

#[test]
fn who_is_put_off() {
    let check = |helo: &str, sender: &str, expect: &str| {
        assert_eq!(
            told(&decided("defer_spf_temperror", "192.0.2.9", helo, sender)),
            expect,
            "{helo} {sender}"
        );
    };
    check("helo.example", "a@fail.example", "ok");
    check("helo.example", "a@broken.example", "ok");
    check(
        "helo.example",
        "a@silent.example",
        "451 4.7.24 <a@silent.example>: Sender address rejected: SPF of silent.example cannot be found out now",
    );
    check(
        "helo.silent.example",
        "",
        "451 4.7.24 <helo.silent.example>: Helo command rejected: SPF of helo.silent.example cannot be found out now",
    );
    // What is refused for good anyway isn't put off.
    let decision = decided("defer_spf_temperror, reject", "192.0.2.9", "helo.example", "a@silent.example");
    assert_eq!(told(&decision), "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied");
}

#[test]
fn whom_no_record_knows() {
    let scene = Scene::new(
        "smtpd_recipient_restrictions = reject_spf_fail, defer_spf_temperror\nmynetworks = 192.0.2.32/28",
        World::default().dns(DNS),
    );
    let judged = |tx: &Transaction| told(&scene.decide(Request::Rcpt, tx, &mut scene.facts()));
    let from =
        |client: &str| at_rcpt(scene.client(client), "helo.fail.example", "a@fail.example", "u@example.com");
    assert!(judged(&from("192.0.2.9")).starts_with("550 5.7.23 "));
    for own in ["127.0.0.1", "::1", "192.0.2.33"] {
        assert_eq!(judged(&from(own)), "ok", "{own}");
    }
    let mut user = from("192.0.2.9");
    user.sasl = Some(Box::new(crate::Sasl { username: "u".to_owned(), ..crate::Sasl::default() }));
    assert_eq!(judged(&user), "ok");
    let remark = scene.decide(Request::Rcpt, &user, &mut scene.facts()).path;
    let remark =
        remark.iter().find(|step| step.check == "reject_spf_fail").and_then(|step| step.remark.clone());
    assert_eq!(remark.as_deref(), Some("SPF isn't asked about clients that have logged in"));
}

#[test]
fn warnings_and_the_way() {
    let decision = decided("warn_if_reject reject_spf_fail", "192.0.2.9", "helo.example", "a@fail.example");
    assert_eq!(told(&decision), "ok");
    assert_eq!(
        noted(&decision),
        [
            "reject_warning: 550 5.7.23 <a@fail.example>: Sender address rejected: SPF of fail.example does not allow 192.0.2.9"
        ]
    );
    let remark = |sender: &str| {
        let decision = decided("reject_spf_fail", "192.0.2.9", "helo.example", sender);
        decision.path.iter().find_map(|step| step.remark.clone()).unwrap_or_default()
    };
    assert_eq!(remark("a@fail.example"), "spf=fail (-all) of fail.example");
    assert_eq!(
        remark("a@mine.example"),
        "spf=none of helo.example, spf=pass (ip4:192.0.2.9) of mine.example"
    );
    assert_eq!(
        remark("a@broken.example"),
        "spf=none of helo.example, spf=permerror (the SPF record of broken.example has the malformed term foo) of \
         broken.example"
    );
    assert_eq!(
        remark("a@silent.example"),
        "spf=none of helo.example, spf=temperror (no answer to Txt silent.example) of silent.example"
    );
}

/// Before there is a sender the HELO name is judged alone.
#[test]
fn in_early_lists() {
    let main = "smtpd_delay_reject = no\nsmtpd_helo_restrictions = reject_spf_fail";
    let scene = Scene::new(main, World::default().dns(DNS));
    let mut tx = scene.client("192.0.2.9");
    (tx.protocol, tx.ehlo, tx.helo) = ("ESMTP", true, Some("helo.fail.example".to_owned()));
    let decision = scene.decide(Request::Helo, &tx, &mut scene.facts());
    assert!(
        told(&decision).starts_with("550 5.7.23 <helo.fail.example>: Helo command rejected: "),
        "{decision:?}"
    );
}
