//! DNS lists and policy servers, as Postfix 3.7.11 had them.

use super::*;

const DNS: &str = "
    2.2.0.192.bl.example A 127.0.0.2
    2.2.0.192.bl.example TXT listed by us, see http://x
    2.2.0.192.bl2.example A 127.0.0.4
    2.2.0.192.bl2.example A 127.0.0.9
    3.2.0.192.bl.example SERVFAIL
    2.2.0.192.err.example A 127.255.255.254
    mxdom.example.rh.example A 127.0.0.2
    mxdom.example A 192.0.2.50
    10.2.0.192.in-addr.arpa PTR mxdom.example
    50.2.0.192.in-addr.arpa PTR mxdom.example";

fn decide(client: &str, list: &str, more: &str) -> Decision {
    let main = format!("smtpd_recipient_restrictions = {list}\n{more}");
    let world = World::default().dns(DNS).file("/t/rr",
        "bl.example 554 $rbl_class $rbl_what at $rbl_domain for $client / $client_name $reverse_client_name $helo_name \
         <$sender> $sender_name $sender_domain $recipient $recipient_name $recipient_domain \
         ${rbl_reason?R=$rbl_reason}${foo:none}\nbl2.example=127.0.0.4 550 5.7.9 four\n")
        .file("/t/short", "bl.example short\n");
    Scene::new(&main, world).rcpt(client, "mxdom.example", "s@mxdom.example", "u@example.com")
}

/// T1.4, T2.7
#[test]
fn blocklists() {
    let check = |list: &str, more: &str, expect: &str| {
        assert_eq!(told(&decide("192.0.2.2", list, more)), expect, "{list} {more}");
    };
    let listed = "554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using bl.example; listed by us, see \
        http://x";
    let second = "554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using bl2.example";
    check("reject_rbl_client bl.example", "", listed);
    check("reject_rbl_client bl2.example=127.0.0.4", "", second);
    check("reject_rbl_client bl2.example=127.0.0.5", "", "ok");
    check("reject_rbl_client bl2.example=127.0.0.[1;3..5]", "", second);
    check("reject_rbl_client bl2.example=127.0.0.[9]", "", second);
    // T1.6
    check("reject_maps_rbl", "maps_rbl_domains = nope.example, bl.example", listed);
    check(
        "reject_rbl_client bl.example",
        "maps_rbl_reject_code = 450",
        "450 4.7.1 Service unavailable; Client host [192.0.2.2] blocked using bl.example; listed by us, see http://x",
    );
    check(
        "reject_rbl_client bl.example",
        "rbl_reply_maps = hash:/t/rr",
        "554 5.7.1 Client host 192.0.2.2 at bl.example for unknown[192.0.2.2] / unknown unknown mxdom.example \
         <s@mxdom.example> s mxdom.example u@example.com u example.com R=listed by us, see http://xnone",
    );
    check("reject_rbl_client bl2.example=127.0.0.4", "rbl_reply_maps = hash:/t/rr", "550 5.7.9 four");
    check("reject_rbl_client bl.example", "rbl_reply_maps = hash:/t/short", "450 4.7.1 Service unavailable");
    check(
        "reject_rbl_client bl.example",
        "default_rbl_reply = $rbl_code 5.1.1 x $rbl_what [$rbl_reason] \
        ${rbl_reason?{a}:{b}} ${nope?{a}:{b}} $(rbl_what)",
        "554 5.0.0 x 192.0.2.2 [listed by us, see http://x] a b 192.0.2.2",
    );
    check(
        "reject_rbl_client bl.example",
        "default_rbl_reply = $rbl_code x $rbl_reason ${rbl_reason?{a}:{b}} \
        ${rbl_text?{a}:{b}} $(rbl_what)\nsmtpd_expansion_filter = abcdefghij0123456789.",
        "554 5.7.1 x _i__ed_b_______ee_h_______ a b 192.0.2.2",
    );
    check(
        "reject_rhsbl_helo rh.example",
        "",
        "554 5.7.1 Service unavailable; Helo command [mxdom.example] blocked using rh.example",
    );
    check(
        "reject_rhsbl_sender rh.example",
        "",
        "554 5.7.1 Service unavailable; Sender address [s@mxdom.example] blocked using rh.example",
    );
    check("permit_dnswl_client bl.example, reject", "", "ok");
}

#[test]
fn names_on_lists() {
    let check = |client: &str, list: &str, expect: &str| {
        assert_eq!(told(&decide(client, list, "")), expect, "{list} {client}");
    };
    check(
        "192.0.2.50",
        "reject_rhsbl_client rh.example",
        "554 5.7.1 Service unavailable; Client host [mxdom.example] blocked using rh.example",
    );
    check("192.0.2.10", "reject_rhsbl_client rh.example", "ok");
    check(
        "192.0.2.10",
        "reject_rhsbl_reverse_client rh.example",
        "554 5.7.1 Service unavailable; Unverified Client host [mxdom.example] blocked using rh.example",
    );
    check("192.0.2.50", "permit_rhswl_client rh.example, reject", "ok");
    check("192.0.2.3", "reject_rbl_client bl.example", "ok");
    check(
        "192.0.2.3",
        "permit_dnswl_client bl.example, reject",
        "450 4.7.1 <192.0.2.3>: Client host rejected: Service unavailable",
    );
}

#[test]
fn unreachable_list_is_a_warning() {
    assert_eq!(
        noted(&decide("192.0.2.3", "reject_rbl_client bl.example", "")),
        [
            "warning: 3.2.0.192.bl.example: RBL lookup error: Host or domain name not found. Name service error for \
         name=3.2.0.192.bl.example type=A: Host not found, try again"
        ]
    );
}

/// An error of the list is no listing, unless Postfix's behaviour is asked for.
#[test]
fn a_blocked_resolver_refuses_nobody() {
    let stock = "554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using err.example";
    let decision = decide("192.0.2.2", "reject_rbl_client err.example", "");
    assert_eq!(told(&decision), "ok");
    assert!(noted(&decision).iter().any(|note| note.contains("127.255.255.254")), "{decision:?}");
    assert_eq!(
        told(&decide("192.0.2.2", "reject_rbl_client err.example", "komainu_dnsbl_health = no")),
        stock
    );
}

/// T1.4: a list that lists the world, or is dead, is not asked.
#[test]
fn unhealthy_zone_is_skipped() {
    let main = "smtpd_recipient_restrictions = reject_rbl_client bl.example";
    let scene = Scene::new(main, World::default().dns(DNS).unhealthy("bl.example"));
    let decision = scene.rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
    assert_eq!(told(&decision), "ok");
    let skipped = decision.path.iter().any(|step| matches!(step.outcome, Outcome::Skipped(_)));
    assert!(skipped, "{:?}", decision.path);
}

/// T1.4: every zone is asked at once; a session then needs nothing more.
#[test]
fn everything_is_asked_at_connect() {
    let main = "smtpd_client_restrictions = reject_rbl_client a.example, reject_rbl_client b.example\n\
        smtpd_recipient_restrictions = reject_rbl_client c.example, reject_rhsbl_sender d.example";
    let scene = Scene::new(main, World::default());
    let mut facts = scene.facts();
    for question in scene.policy.questions_at_connect("192.0.2.2".parse().unwrap()) {
        let answer = scene.world.answer(&question);
        facts.learn(question, answer);
    }
    scene.world.asked.borrow_mut().clear();
    let tx = at_rcpt(scene.client("192.0.2.2"), "h", "s@t.example", "u@example.com");
    scene.world.asked.borrow_mut().clear();
    scene.decide(Request::Rcpt, &tx, &mut facts);
    let asked = scene.world.asked.borrow();
    assert_eq!(*asked, [Question::Dns { name: "t.example.d.example".to_owned(), kind: RecordKind::A }]);
    assert_eq!(scene.policy.dnsbl_zones().len(), 4);
}

#[test]
fn policy_server_actions() {
    let check = |action: Option<&str>, list: &str, expect: &str| {
        let world = World::default().policy_server(action);
        let decision = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), world).rcpt(
            "192.0.2.2",
            "h",
            "s@example.com",
            "u@example.com",
        );
        assert_eq!(told(&decision), expect, "{list} {action:?}");
    };
    let one = "check_policy_service inet:127.0.0.1:999";
    let rejected =
        |code: &str, text: &str| format!("{code} <u@example.com>: Recipient address rejected: {text}");
    check(Some("dunno"), one, "ok");
    check(Some("reject hi"), one, &rejected("554 5.7.1", "hi"));
    check(Some("550 5.1.1 x"), one, &rejected("550 5.1.1", "x"));
    check(Some("defer_if_permit"), one, &rejected("450 4.7.1", "Service unavailable"));
    check(Some("421 x"), one, &rejected("421 4.7.1", "x"));
    check(Some("foo"), one, "451 4.3.5 Server configuration error");
    check(Some(""), one, "ok");
    check(None, one, &rejected("451 4.3.5", "Server configuration problem"));
    check(None, &format!("warn_if_reject {one}"), "ok");
    check(None, "check_policy_service { inet:127.0.0.1:999, timeout=10s, default_action=DUNNO }", "ok");
    check(
        None,
        "check_policy_service { inet:127.0.0.1:999, { default_action = 451 4.3.5 See you } }",
        &rejected("451 4.3.5", "See you"),
    );
    // T2.15: with tcp: Postfix doesn't start.
    check(Some("reject hi"), "check_policy_service tcp:127.0.0.1:10023", &rejected("554 5.7.1", "hi"));
}

/// The request, byte for byte, as Postfix 3.7 sent it.
#[test]
fn policy_request() {
    let main =
        "smtpd_recipient_restrictions = check_policy_service { inet:127.0.0.1:999, policy_context=foo }";
    let scene = Scene::with_compat(main, World::default().policy_server(Some("dunno")), config::Compat::V3_7);
    let mut tx = at_rcpt(scene.client("192.0.2.2"), "h", "s@example.com", "a b@example.com");
    tx.declared_size = 123;
    tx.recipient_count = 3;
    scene.decide(Request::Rcpt, &tx, &mut scene.facts());
    let expect = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.2\n\
        client_name=unknown\nclient_port=4711\nreverse_client_name=unknown\nserver_address=127.0.0.1\nserver_port=25\n\
        helo_name=h\nsender=s@example.com\nrecipient=\"a b\"@example.com\nrecipient_count=0\nqueue_id=\n\
        instance=1.2.3\nsize=123\netrn_domain=\nstress=\nsasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\n\
        ccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\n\
        encryption_keysize=0\npolicy_context=foo\n\n";
    assert_eq!(*scene.world.requests.borrow(), [expect]);
}

/// Servers are asked once for each place and recipient, in order, and again for the next command.
#[test]
fn effects_keep_their_places() {
    let main = "smtpd_client_restrictions = check_policy_service inet:1\nsmtpd_recipient_restrictions = \
        reject_unknown_sender_domain, check_policy_service inet:1, cls, check_policy_service inet:2\n\
        smtpd_restriction_classes = cls\ncls = check_policy_service inet:1";
    let scene = Scene::new(main, World::default().policy_server(Some("dunno")).dns("t.example A 192.0.2.1"));
    assert_eq!(scene.policy.services().len(), 2);
    let mut facts = scene.facts();
    let mut tx = at_rcpt(scene.client("192.0.2.2"), "h", "s@t.example", "u@example.com");
    scene.decide(Request::Rcpt, &tx, &mut facts);
    assert_eq!(scene.world.requests.borrow().len(), 4);
    tx.recipient_ordinal = 1;
    scene.decide(Request::Rcpt, &tx, &mut facts);
    assert_eq!(scene.world.requests.borrow().len(), 8);
}
