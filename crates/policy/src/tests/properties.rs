//! More facts never change a made decision; no input makes an evaluation panic or ask for ever.

use super::*;
use proptest::prelude::*;

const NAMES: &[&str] = &[
    "permit_mynetworks",
    "reject_unknown_client_hostname",
    "reject_unknown_helo_hostname",
    "reject_unknown_sender_domain",
    "reject_unknown_recipient_domain",
    "reject_rbl_client bl.example",
    "reject_rhsbl_sender rh.example",
    "permit_dnswl_client bl.example",
    "check_helo_mx_access static:{REJECT mx}",
    "check_sender_ns_access static:DUNNO",
    "check_policy_service inet:1",
    "warn_if_reject",
    "defer_if_reject",
    "defer_if_permit",
    "reject",
    "permit",
    "sleep 1",
    "reject_unauth_destination",
    "check_client_access static:{DEFER_IF_PERMIT x}",
    "cls",
    "nonsense",
    "//",
    "check_client_access",
    "permit_mx_backup",
    "reject_unlisted_sender",
];

fn scene(picks: &[usize]) -> Scene {
    let list: Vec<&str> = picks.iter().map(|&at| NAMES[at % NAMES.len()]).collect();
    let main = format!(
        "smtpd_recipient_restrictions = {}\nsmtpd_restriction_classes = cls\ncls = check_policy_service inet:2, \
         check_sender_access static:DUNNO",
        list.join(", ")
    );
    let dns = "helo.example A 192.0.2.1\n2.2.0.192.bl.example A 127.0.0.2\nt.example MX 5 m.t.example\n\
               m.t.example A 192.0.2.9\nbad.example SERVFAIL";
    Scene::new(&main, World::default().dns(dns).policy_server(Some("dunno")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_facts_change_nothing(
        picks in proptest::collection::vec(0_usize..64, 1..8),
        helo in "(helo\\.example|bad\\.example|[a-z\\[\\].:-]{0,12})",
        sender in "([a-z%@!+]{0,6}@t\\.example|[ -~]{0,12})",
        recipient in "(u@example\\.com|u@bad\\.example|[ -~]{0,12})",
    ) {
        let scene = scene(&picks);
        let tx = at_rcpt(scene.client("192.0.2.2"), &helo, &sender, &recipient);
        let mut facts = scene.facts();
        let lean = scene.decide(Request::Rcpt, &tx, &mut facts);
        let mut rich = scene.facts();
        for question in scene.policy.questions_at_connect(tx.client.address) {
            let answer = scene.world.answer(&question);
            rich.learn(question, answer);
        }
        for name in ["helo.example", "bad.example", "t.example", "m.t.example", "example"] {
            for kind in [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Ns, RecordKind::Txt] {
                let question = Question::Dns { name: name.to_owned(), kind };
                let answer = scene.world.answer(&question);
                rich.learn(question, answer);
            }
        }
        prop_assert_eq!(&scene.decide(Request::Rcpt, &tx, &mut rich), &lean);
        // With the facts of the first time, without the effects, nothing but effects is asked.
        scene.world.asked.borrow_mut().clear();
        prop_assert_eq!(&scene.decide(Request::Rcpt, &tx, &mut facts), &lean);
        let all_effects =
            scene.world.asked.borrow().iter().all(|question| matches!(question, Question::Effect { .. }));
        prop_assert!(all_effects);
    }

    /// Values of tables and policy servers' answers come from outside.
    #[test]
    fn any_action_decides(action in "\\PC{0,40}") {
        let main = "smtpd_recipient_restrictions = check_policy_service inet:1\nsmtpd_restriction_classes = a\na = a";
        let scene = Scene::new(main, World::default().policy_server(Some(&action)));
        scene.rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
    }

    /// Templates come from tables.
    #[test]
    fn any_template_expands(template in "[${}()?: a-z]{0,60}") {
        crate::template::expand(&template, "abc", &|name| name.starts_with('a').then(|| "abc$".to_owned()));
        drop(crate::dnsbl::AddressPattern::parse(&template));
    }
}
