//! Made-up sessions against small configurations in a folder of their own.

use super::answers::{Offline, Written};
use super::log_line::{self, Search};
use super::outcomes::otherwise;
use super::visit::{Nameless, Visit};
use super::walk::{Walk, walk};
use super::{NoStand, Stand, service_that_logs_as};
use crate::configuration::{Configuration, DirectSources};
use config::{Compat, Host};
use policy::{Answer, Outcome, Question};

const MASTER: &str =
    "smtp inet n - n - - smtpd\n587 inet n - n - - smtpd\n  -o smtpd_client_restrictions=reject\n";

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(main: &str, tables: &[(&str, &str)]) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let base = "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = example.com\n\
                    mynetworks = 127.0.0.0/8\nlocal_recipient_maps =\ninet_interfaces = 127.0.0.1\n";
        let main = format!("{base}{main}").replace("DIR", &folder.path().display().to_string());
        std::fs::write(folder.path().join("main.cf"), main).unwrap();
        std::fs::write(folder.path().join("master.cf"), MASTER).unwrap();
        for (name, text) in tables {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Fixture { folder }
    }

    fn configuration(&self) -> Configuration {
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
        Configuration::load_for(&host, self.folder.path(), Compat::V3_11, &DirectSources).0
    }

    fn stand(&self, service: Option<&str>) -> Result<Stand, NoStand> {
        Stand::new(self.configuration(), service, &DirectSources).map(|(stand, _)| stand)
    }
}

fn visit(words: &[(&str, &str)]) -> Visit {
    let mut visit = Visit::default();
    for (key, value) in words {
        visit.set(key, value).unwrap();
    }
    visit
}

const USUAL: [(&str, &str); 4] = [
    ("client-addr", "203.0.113.9"),
    ("helo", "mail.example.org"),
    ("from", "a@example.org"),
    ("to", "user@example.com"),
];

/// The last step and its outcome.
fn last(walk: &Walk) -> (String, Outcome) {
    let exchange = walk.exchanges.iter().rev().find(|exchange| !exchange.steps.is_empty()).unwrap();
    let step = &exchange.steps.last().unwrap().step;
    (step.check.clone(), step.outcome.clone())
}

/// What the last exchange's lists hold behind the check that ended them.
fn unreached(walk: &Walk) -> Vec<String> {
    let lists = &walk.exchanges.last().unwrap().unreached;
    lists.iter().map(|list| format!("{}: {}", list.stage.parameter(), list.checks.join(", "))).collect()
}

/// The check that a log line is led back to, and the possible reasons of a client without a name.
fn led_back(stand: &Stand, line: &str) -> Option<(Option<String>, Vec<Nameless>)> {
    match log_line::find(stand, &log_line::parse(line).unwrap(), &Offline) {
        Search::Found(found) => Some((found.told.map(|told| told.step.check), found.nameless)),
        Search::Nothing { .. } => None,
    }
}

#[test]
fn a_table_line_that_refuses_is_named() {
    let fixture = Fixture::new(
        "smtpd_client_restrictions = permit_mynetworks, check_client_access texthash:DIR/access, permit\n",
        &[("access", "# spammers\n203.0.113 REJECT You are blacklisted\n")],
    );
    let walk = walk(&fixture.stand(None).unwrap(), &visit(&USUAL), &Offline, &[]);
    let reply = "554 5.7.1 <client.invalid[203.0.113.9]>: Client host rejected: You are blacklisted";
    assert_eq!(walk.last_reply(), Some(reply));
    let rcpt = walk.exchanges.last().unwrap();
    let line = rcpt.steps.last().unwrap().step.line.as_ref().unwrap();
    assert_eq!((line.key.as_str(), line.place.line()), ("203.0.113", 2));
    assert_eq!(unreached(&walk), ["smtpd_client_restrictions: permit"]);
    assert_eq!(
        rcpt.log,
        [format!(
            "postfix/smtpd: NOQUEUE: reject: RCPT from client.invalid[203.0.113.9]: {reply}; \
             from=<a@example.org> to=<user@example.com> proto=ESMTP helo=<mail.example.org>"
        )]
    );
}

#[test]
fn a_question_stands_below_the_check_that_asks_it() {
    let fixture =
        Fixture::new("smtpd_client_restrictions = permit_mynetworks, reject_rbl_client bl.example\n", &[]);
    let answers = Written::parse(
        "9.113.0.203.bl.example A 127.0.0.2\n203.0.113.9 PTR h.example\nh.example A 203.0.113.9\n",
    );
    let walk = walk(&fixture.stand(None).unwrap(), &visit(&USUAL), &answers.unwrap(), &[]);
    let told = walk.exchanges.last().unwrap().steps.last().unwrap();
    assert_eq!(told.step.check, "reject_rbl_client bl.example");
    assert!(matches!(&told.asked[0].question, Question::ZoneHealth(_) | Question::Dns { .. }));
    assert!(
        walk.last_reply().unwrap().starts_with("554 5.7.1 Service unavailable; Client host [203.0.113.9]")
    );
    assert_eq!(walk.assumed, []);
}

#[test]
fn what_nobody_knows_is_assumed_and_its_other_outcomes_are_listed() {
    let fixture = Fixture::new(
        "smtpd_client_restrictions = reject_rbl_client a.example, reject_rbl_client b.example=127.0.0.4\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let visit = visit(&[USUAL[0], ("client-name", "mail.example.org"), USUAL[1], USUAL[2], USUAL[3]]);
    let trunk = walk(&stand, &visit, &Offline, &[]);
    assert!(trunk.last_reply().unwrap().starts_with("250 2.0.0 Ok"), "{:?}", trunk.last_reply());
    let (found, untried) = otherwise(&stand, &visit, &Offline, &trunk);
    assert_eq!(untried, 0);
    let zones: Vec<(&str, bool)> = found
        .iter()
        .map(|other| {
            let Question::Dns { name, .. } = &other.question else { panic!("{:?}", other.question) };
            (name.as_str(), matches!(&other.answer, Answer::Records(_)) && other.reply.starts_with("554"))
        })
        .collect();
    assert_eq!(zones, [("9.113.0.203.a.example", true), ("9.113.0.203.b.example", true)]);
}

#[test]
fn each_service_has_its_own_lists() {
    let fixture = Fixture::new("", &[]);
    let walk = walk(&fixture.stand(Some("587")).unwrap(), &visit(&USUAL), &Offline, &[]);
    assert_eq!(last(&walk).0, "reject");
    let Err(NoStand::NoService { known, .. }) = fixture.stand(Some("465")) else { panic!("there is no 465") };
    assert_eq!(known, "smtp, 587");
}

#[test]
fn unlisted_recipients_and_relaying_name_their_parameter() {
    let fixture = Fixture::new("local_recipient_maps = texthash:DIR/users\n", &[("users", "alice x\n")]);
    let stand = fixture.stand(None).unwrap();
    let check = |to: &str, expect: &str| {
        let walk = walk(&stand, &visit(&[USUAL[0], USUAL[1], USUAL[2], ("to", to)]), &Offline, &[]);
        let (check, outcome) = last(&walk);
        assert!(check.starts_with(expect), "{to}: {check}");
        assert!(matches!(outcome, Outcome::Reject(_)), "{to}: {outcome:?}");
    };
    check("nobody@example.com", "smtpd_reject_unlisted_recipient");
    check("user@example.net", "defer_unauth_destination");
}

#[test]
fn a_log_line_leads_back_to_its_rule() {
    let fixture = Fixture::new(
        "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n\
         smtpd_sender_restrictions = reject_unknown_sender_domain, check_sender_access texthash:DIR/senders\n",
        &[("senders", "spam.org REJECT\n")],
    );
    let stand = fixture.stand(None).unwrap();
    let check = |text: &str, from: &str, helo: &str, expect: &str| {
        let line = format!(
            "Nov 22 01:02:03 mx postfix/smtpd[123]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: {text}; \
             from=<{from}> to=<user@example.com> proto=ESMTP helo=<{helo}>"
        );
        let expect = expect.replace("DIR", &fixture.folder.path().display().to_string());
        assert_eq!(led_back(&stand, &line).and_then(|(check, _)| check), Some(expect));
    };
    let text = "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname";
    check(text, "a@example.org", "localhost", "reject_non_fqdn_helo_hostname");
    let text = "554 5.7.1 <x@spam.org>: Sender address rejected: Access denied";
    check(text, "x@spam.org", "mail.example.org", "check_sender_access texthash:DIR/senders");
    let text = "450 4.1.8 <a@gone.example>: Sender address rejected: Domain not found";
    check(text, "a@gone.example", "mail.example.org", "reject_unknown_sender_domain");
    assert_eq!(log_line::parse("connect from unknown[203.0.113.9]"), Err(log_line::BadLine::NoDecision));
    let screened = "Nov 22 01:02:03 mx postfix/postscreen[123]: NOQUEUE: reject: RCPT from [203.0.113.9]:36045: \
                    550 5.7.1 Service unavailable; client [203.0.113.9] blocked using zen.example; \
                    from=<a@example.org>, to=<user@example.com>, proto=ESMTP, helo=<mail.example.org>";
    let Err(log_line::BadLine::Screened(why)) = log_line::parse(screened) else { panic!("postscreen's") };
    assert!(why.contains("postscreen_dnsbl_threshold"), "{why}");
}

/// A client may be `unknown` for several reasons; the reply tells some of them apart.
#[test]
fn why_a_client_was_unknown() {
    let fixture = Fixture::new(
        "smtpd_client_restrictions = reject_unknown_client_hostname\nunknown_client_reject_code = 550\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let check = |reply: &str, expect: &str, nameless: &[Nameless]| {
        let line = format!(
            "2026-11-22T01:02:03.123456+00:00 mx postfix/smtpd[123]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: \
             {reply}; from=<a@example.org> to=<user@example.com> proto=ESMTP helo=<x>"
        );
        assert_eq!(led_back(&stand, &line), Some((Some(expect.to_owned()), nameless.to_vec())), "{reply}");
    };
    let host = "Client host rejected: cannot find your hostname, [203.0.113.9]";
    // For good or for the moment: the code tells.
    let (gone, moment) = (format!("550 5.7.25 {host}"), format!("450 4.7.25 {host}"));
    check(&gone, "reject_unknown_client_hostname", &[Nameless::NoName, Nameless::Forged]);
    check(
        &moment,
        "reject_unknown_client_hostname",
        &[Nameless::NameUnavailable, Nameless::AddressUnavailable],
    );
    let fixture = Fixture::new(
        "smtpd_client_restrictions = reject_unknown_reverse_client_hostname\nunknown_client_reject_code = 550\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let line = "postfix/smtpd: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 550 5.7.1 Client host rejected: \
                cannot find your reverse hostname, [203.0.113.9]; from=<> to=<user@example.com> proto=SMTP helo=<x>";
    let (check, nameless) = led_back(&stand, line).unwrap();
    assert_eq!(check.as_deref(), Some("reject_unknown_reverse_client_hostname"));
    assert_eq!(nameless, [Nameless::NoName]);
}

/// Every stage's line, and what isn't a refusal.
#[test]
fn lines_of_all_kinds() {
    let fixture = Fixture::new(
        "smtpd_delay_reject = no\nsmtpd_client_restrictions = check_client_access inline:{203.0.113.1=REJECT}\n\
         smtpd_helo_restrictions = reject_invalid_helo_hostname\n\
         smtpd_sender_restrictions = warn_if_reject reject_non_fqdn_sender\n\
         smtpd_recipient_restrictions = check_recipient_access inline:{hold@example.com=HOLD, \
         {bin@example.com=DISCARD}, {other@example.com=REDIRECT else@example.com}}\n\
         smtpd_data_restrictions = check_sender_access inline:{late@example.org=REJECT}\n\
         smtpd_end_of_data_restrictions = check_sender_access inline:{last@example.org=REJECT}\n\
         transport_maps = inline:{{gone@example.com=error:5.1.6 moved}}\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let check = |line: &str, expect: Option<&str>| {
        let found = led_back(&stand, line);
        let (told, _) = found.unwrap_or_else(|| panic!("no rule: {line}"));
        match expect {
            Some(expect) => {
                assert!(told.as_ref().is_some_and(|told| told.starts_with(expect)), "{line}: {told:?}")
            }
            None => assert_eq!(told, None, "{line}"),
        }
    };
    check(
        "NOQUEUE: reject: CONNECT from h.example[203.0.113.1]: 554 5.7.1 <h.example[203.0.113.1]>: Client host \
         rejected: Access denied; proto=SMTP",
        Some("check_client_access"),
    );
    check(
        "NOQUEUE: reject: EHLO from h.example[203.0.113.9]: 501 5.5.2 <a_*b>: Helo command rejected: Invalid name; \
         proto=SMTP helo=<a_*b>",
        Some("reject_invalid_helo_hostname"),
    );
    let from = |action: &str, stage: &str, text: &str, from: &str, to: &str| {
        format!(
            "Nov 22 01:02:03 mx postfix/submission/smtpd[12]: NOQUEUE: {action}: {stage} from h.example[203.0.113.9]: \
             {text}; from=<{from}> to=<{to}> proto=ESMTP helo=<x.example>"
        )
    };
    check(
        "NOQUEUE: reject_warning: MAIL from h.example[203.0.113.9]: 504 5.5.2 <bare>: Sender address rejected: need \
         fully-qualified address; from=<bare> proto=ESMTP helo=<x.example>",
        Some("reject_non_fqdn_sender"),
    );
    let told = |to: &str, what: &str| format!("<{to}>: Recipient address triggers {what}");
    let (hold, bin) = ("hold@example.com", "bin@example.com");
    check(
        &from("hold", "RCPT", &told(hold, "HOLD action"), "a@example.org", hold),
        Some("check_recipient_access"),
    );
    check(
        &from("discard", "RCPT", &told(bin, "DISCARD action"), "a@example.org", bin),
        Some("check_recipient_access"),
    );
    let denied = "Sender address rejected: Access denied";
    for (stage, sender) in [("DATA", "late@example.org"), ("END-OF-MESSAGE", "last@example.org")] {
        let line =
            from("reject", stage, &format!("554 5.7.1 <{sender}>: {denied}"), sender, "user@example.com");
        check(&line, Some("check_sender_access"));
    }
    let moved = "550 5.1.6 <gone@example.com>: Recipient address rejected: moved";
    check(
        &from("reject", "RCPT", moved, "\"a b\"@example.org", "gone@example.com"),
        Some("smtpd_reject_unlisted_recipient"),
    );
}

#[test]
fn the_nearest_rule_to_a_line_that_nothing_makes() {
    let fixture =
        Fixture::new("smtpd_data_restrictions = check_sender_access inline:{late@example.org=REJECT}\n", &[]);
    let line = "NOQUEUE: reject: DATA from h.example[203.0.113.9]: 554 5.7.1 <late@example.org>: Sender address \
                rejected: spam; from=<late@example.org> to=<user@example.com> proto=ESMTP helo=<x.example>";
    let logged = log_line::parse(line).unwrap();
    let found = log_line::find(&fixture.stand(None).unwrap(), &logged, &Offline);
    let Search::Nothing { nearest: Some((check, reply)), .. } = found else {
        panic!("there is no such rule")
    };
    assert!(check.starts_with("check_sender_access"), "{check}");
    assert!(reply.ends_with("Sender address rejected: Access denied"), "{reply}");
}

/// What isn't reached is what stands behind the check that ended a list: not a class's own members, not what
/// `warn_if_reject` stands before, not default lists.
#[test]
fn what_was_not_reached() {
    let fixture = Fixture::new(
        "smtpd_restriction_classes = cls, inner\ninner = reject_non_fqdn_sender, permit\n\
         cls = warn_if_reject reject_unauth_destination, inner, reject\n\
         smtpd_client_restrictions = sleep 1, permit_mynetworks, permit, reject\n\
         smtpd_recipient_restrictions = warn_if_reject reject, check_policy_service inet:127.0.0.1:9998, cls, \
         reject_non_fqdn_recipient, permit\n",
        &[],
    );
    let walk = walk(&fixture.stand(None).unwrap(), &visit(&USUAL[..]), &Offline, &[]);
    let rcpt = walk.exchanges.iter().find(|exchange| exchange.command.starts_with("RCPT")).unwrap();
    let lists: Vec<(String, Vec<String>)> =
        rcpt.unreached.iter().map(|list| (list.stage.parameter().to_owned(), list.checks.clone())).collect();
    assert_eq!(
        lists,
        [
            ("smtpd_client_restrictions".to_owned(), vec!["reject".to_owned()]),
            (
                "smtpd_recipient_restrictions".to_owned(),
                vec!["reject_non_fqdn_recipient".to_owned(), "permit".to_owned()]
            ),
        ]
    );
    // The relay list is the default one: no line of it was left over, and each is told as a default.
    let relay = rcpt.steps.iter().filter(|told| told.step.stage.parameter() == "smtpd_relay_restrictions");
    assert!(relay.clone().count() > 0 && relay.clone().all(|told| told.step.place.file.is_none()));
    let parameters = fixture.stand(None).unwrap().listener.parameters;
    let text = super::text::render(&visit(&USUAL[..]), &walk, &parameters, super::text::Ink::Plain);
    assert!(
        text.lines().any(|line| line.contains("permit_mynetworks") && line.ends_with("(default)")),
        "{text}"
    );
    assert!(text.contains("    not reached: reject_non_fqdn_recipient, permit\n"), "{text}");
}

#[test]
fn a_time_is_the_log_lines() {
    let fixture = Fixture::new("smtpd_client_restrictions = reject\n", &[]);
    let mut visit = visit(&USUAL);
    visit.set("at", "2026-11-22T01:02:03+09:00").unwrap();
    let walk = walk(&fixture.stand(None).unwrap(), &visit, &Offline, &[]);
    let log = &walk.exchanges.last().unwrap().log;
    assert!(log[0].starts_with("Nov 22 01:02:03 mx postfix/smtpd: NOQUEUE: reject: RCPT from "), "{log:?}");
}

/// Room, and names that can't be folders, refuse what the lists permit; transports refuse as the lists do.
#[test]
fn what_refuses_beyond_the_lists() {
    let fixture = Fixture::new(
        "transport_maps = inline:{{user@example.com=error:5.2.1 on leave}, {.x@example.com=local:}}, fail:x\n\
         komainu_mailbox_root = /var/mail\nlocal_recipient_maps =\n\
         queue_minfree = 1000\nmessage_size_limit = 500\n",
        &[],
    );
    let mut stand = fixture.stand(None).unwrap();
    let check = |stand: &Stand, to: &str, (expect, beyond): (&str, bool)| {
        let walk = walk(stand, &visit(&[USUAL[0], USUAL[1], USUAL[2], ("to", to)]), &Offline, &[]);
        assert_eq!(walk.last_reply(), Some(expect), "{to}");
        let last = walk.exchanges.last().unwrap();
        assert_eq!(last.beyond.is_some(), beyond, "{last:?}");
    };
    let user = "550 5.2.1 <user@example.com>: Recipient address rejected: on leave";
    check(&stand, "user@example.com", (user, false));
    let other = "451 4.3.0 <other@example.com>: Temporary lookup failure";
    check(&stand, "other@example.com", (other, false));
    let folder = "550 5.1.1 <.x@example.com>: Recipient address rejected: User unknown";
    check(&stand, ".x@example.com", (folder, true));
    stand.free_bytes = Some(999);
    check(&stand, "user@example.com", ("452 4.3.1 Insufficient system storage", true));
}

/// Several unknown answers at once: each other outcome is listed once, and the search ends.
#[test]
fn outcomes_of_several_unknowns() {
    let fixture = Fixture::new(
        "smtpd_client_restrictions = reject_unknown_client_hostname, reject_rbl_client a.example, \
         check_policy_service inet:127.0.0.1:9998\n\
         smtpd_sender_restrictions = reject_unknown_sender_domain\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let visit = visit(&USUAL);
    let trunk = walk(&stand, &visit, &Offline, &[]);
    let (found, untried) = otherwise(&stand, &visit, &Offline, &trunk);
    assert_eq!(untried, 0);
    let has = |part: &str| found.iter().any(|other| other.reply.contains(part));
    for part in [
        "450 4.7.25 Client host rejected",
        "Client host rejected: Access denied",
        "554 5.7.1 Service unavailable; Client host",
        "4.1.8 <a@example.org>: Sender address rejected: Domain not found",
        "451 4.3.5",
    ] {
        assert!(has(part), "{part}: {:?}", found.iter().map(|other| &other.reply).collect::<Vec<_>>());
    }
}

/// What a line that is led back needs, unlike today's answers.
fn then(stand: &Stand, line: &str, today: &str) -> Option<(String, Option<String>)> {
    let today = Written::parse(today).unwrap();
    let Search::Found(found) = log_line::find(stand, &log_line::parse(line).unwrap(), &today) else {
        return None;
    };
    let check = found.told.as_ref().map(|told| told.step.check.clone()).unwrap_or_default();
    let text = super::text::render_line(stand, &found);
    Some((check, found.then.map(|_| text)))
}

/// Today's DNS isn't that day's: a list has let the client go, a domain is back, another one is gone. T2.8.
#[test]
fn what_the_dns_must_have_said_then() {
    let fixture = Fixture::new(
        "smtpd_client_restrictions = reject_rbl_client zen.spamhaus.org\n\
         smtpd_helo_restrictions = reject_unknown_helo_hostname\n\
         smtpd_sender_restrictions = reject_unknown_sender_domain\n\
         smtpd_recipient_restrictions = check_recipient_access inline:{user@example.com=REJECT}\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let today = "mail.example.org A 203.0.113.9\nback.example MX 10 mail.example.org\n";
    let check = |reply: &str, from: &str, expect: &str, said: Option<&str>| {
        let line = format!(
            "NOQUEUE: reject: RCPT from h.example[203.0.113.9]: {reply}; from=<a@{from}> to=<user@example.com> \
             proto=ESMTP helo=<mail.example.org>"
        );
        let (check, text) = then(&stand, &line, today).unwrap_or_else(|| panic!("no rule: {line}"));
        assert!(check.starts_with(expect), "{line}: {check}");
        match (said, &text) {
            (Some(said), Some(text)) => assert!(text.contains(said), "{line}: {text}"),
            _ => assert_eq!(said.is_some(), text.is_some(), "{line}: {text:?}"),
        }
    };
    check(
        "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org; \
         https://www.spamhaus.org/query/ip/203.0.113.9",
        "back.example",
        "reject_rbl_client",
        Some("then      A of 9.113.0.203.zen.spamhaus.org → 127.0.0.2\n"),
    );
    let helo = "<mail.example.org>: Helo command rejected: Host not found";
    let said = Some("of mail.example.org → no such name\n");
    check(&format!("450 4.7.1 {helo}"), "back.example", "reject_unknown_helo_hostname", said);
    // Before Postfix 2.3 no reply had an enhanced status code.
    check(&format!("450 {helo}"), "back.example", "reject_unknown_helo_hostname", said);
    let gone = "450 4.1.8 <a@back.example>: Sender address rejected: Domain not found";
    check(gone, "back.example", "reject_unknown_sender_domain", Some("of back.example → no such name\n"));
    // It reached the last list then: the sender's domain was there.
    let denied = "554 5.7.1 <user@example.com>: Recipient address rejected: Access denied";
    check(
        denied,
        "lost.example",
        "check_recipient_access",
        Some("MX of lost.example was there (today: no such name)"),
    );
    check(denied, "back.example", "check_recipient_access", None);
}

#[test]
fn a_line_leads_to_the_service_that_logs_so() {
    let fixture = Fixture::new("", &[]);
    let master = "smtp inet n - n - - smtpd\n2525 inet n - n - - smtpd\n  -o syslog_name=postfix/other\n\
                  587 inet n - n - - smtpd\n  -o syslog_name=postfix/submission\n  \
                  -o smtpd_tls_security_level=encrypt\n  \
                  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject\n";
    std::fs::write(fixture.folder.path().join("master.cf"), master).unwrap();
    let configuration = fixture.configuration();
    let check = |before: &str, program: Option<&str>, service: Option<&str>| {
        let line =
            format!("{before}NOQUEUE: reject: RCPT from h.example[203.0.113.9]: 554 5.7.1 no; proto=SMTP");
        let logged = log_line::parse(&line).unwrap();
        assert_eq!(logged.program.as_deref(), program, "{line}");
        let found = logged.program.and_then(|program| service_that_logs_as(&configuration, &program));
        assert_eq!(found.as_deref(), service, "{line}");
    };
    check("", None, None);
    check("postfix/smtpd: ", Some("postfix/smtpd"), None);
    check("Nov 22 01:02:03 mx postfix/other/smtpd[12]: ", Some("postfix/other/smtpd"), Some("2525"));
    let submission = "2026-11-22T01:02:03+09:00 mx postfix/submission/smtpd[12]: ";
    check(submission, Some("postfix/submission/smtpd"), Some("587"));
    check("mx postfix/gone/smtpd[12]: ", Some("postfix/gone/smtpd"), None);
    // It takes nothing that isn't encrypted.
    let stand = fixture.stand(Some("587")).unwrap();
    let mut user = visit(&USUAL);
    assert!(walk(&stand, &user, &Offline, &[]).last_reply().is_some_and(|reply| reply.starts_with("530")));
    user.tls = true;
    assert!(walk(&stand, &user, &Offline, &[]).last_reply().is_some_and(|reply| reply.starts_with("554")));
    user.set("sasl-user", "alice").unwrap();
    let all = walk(&stand, &user, &Offline, &[]);
    assert!(all.last_reply().is_some_and(|reply| reply.starts_with("250")), "{all:?}");
    let Err(NoStand::NoService { known, .. }) = fixture.stand(Some("465")) else { panic!("there is no 465") };
    assert_eq!(known, "smtp, 2525, 587");
}

/// What was refused counts before the words: a service's own text, a table's missing user.
#[test]
fn the_nearest_rule_speaks_of_the_same_part() {
    let fixture = Fixture::new(
        "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n\
         smtpd_recipient_restrictions = reject_unknown_recipient_domain, reject_non_fqdn_recipient, \
         check_policy_service inet:127.0.0.1:10023\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let check = |reply: &str, expect: Option<&str>| {
        let line = format!(
            "NOQUEUE: reject: RCPT from h.example[203.0.113.9]: {reply}; from=<a@example.org> \
             to=<user@example.com> proto=ESMTP helo=<bare>"
        );
        let found = log_line::find(&stand, &log_line::parse(&line).unwrap(), &Offline);
        let Search::Nothing { nearest, .. } = found else { panic!("{line}") };
        let nearest = nearest.map(|(check, said)| format!("{check}: {said}"));
        match (&nearest, expect) {
            (Some(nearest), Some(expect)) => assert!(nearest.starts_with(expect), "{line}: {nearest}"),
            _ => assert_eq!(nearest.as_deref(), expect, "{line}"),
        }
    };
    let greylisted =
        "450 4.2.0 <user@example.com>: Recipient address rejected: Greylisted, see http://postgrey";
    let unknown =
        "550 5.1.1 <user@example.com>: Recipient address rejected: User unknown in local recipient table";
    check(unknown, Some("local_recipient_maps: it did not have this recipient then"));
    check("504 5.5.2 <a.b>: Helo command rejected: spam", Some("reject_non_fqdn_helo_hostname: 504"));
    check("554 5.7.1 <a@example.org>: Sender address rejected: spam need rejected: command", None);
    let open =
        Fixture::new("smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10023\n", &[]);
    let found = log_line::find(
        &open.stand(None).unwrap(),
        &log_line::parse(&format!(
            "NOQUEUE: reject: RCPT from h.example[203.0.113.9]: {greylisted}; from=<a@example.org> \
             to=<user@example.com> proto=ESMTP helo=<mail.example.org>"
        ))
        .unwrap(),
        &Offline,
    );
    let Search::Nothing { nearest: Some((check, said)), .. } = found else { panic!("{found:?}") };
    assert_eq!(check, "check_policy_service inet:127.0.0.1:10023");
    assert_eq!(said, "it has texts of its own, and is not asked here");
}

/// Who answers for Postgrey and for policyd-spf, as far as somebody has knocked.
#[test]
fn who_answers_a_policy_service() {
    let fixture = Fixture::new(
        "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10023, \
         check_policy_service unix:private/policyd-spf, check_policy_service inet:127.0.0.1:9998\n",
        &[],
    );
    let mut stand = fixture.stand(None).unwrap();
    let remarks = |stand: &Stand| {
        let walk = walk(stand, &visit(&USUAL), &Offline, &[]);
        let steps = walk.exchanges.iter().flat_map(|exchange| &exchange.steps);
        let services = steps.filter(|told| told.step.check.starts_with("check_policy_service"));
        services.map(|told| told.step.remark.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    let either =
        |does: &str| format!("who answers: the server that listens there, else komainu {does} by itself");
    assert_eq!(remarks(&stand), [either("greylists"), either("checks SPF"), String::new()]);
    stand.in_stead.knock = Some(Box::new(|endpoint| Some(matches!(endpoint, policy::Endpoint::Inet { .. }))));
    let there = "who answers: the server that listens there";
    let by_us = "who answers: nobody listens there, komainu checks SPF by itself";
    assert_eq!(remarks(&stand), [there, by_us, ""]);
    // Nobody is at a port that was free a moment ago; somebody is at one that is held.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = |port: u16| policy::Endpoint::Inet { host: "localhost".into(), port: port.to_string() };
    let folder = tempfile::tempdir().unwrap();
    let knocks = super::knock(folder.path().to_str().unwrap().to_owned());
    assert_eq!(knocks(&at(held.local_addr().unwrap().port())), Some(true));
    assert_eq!(knocks(&policy::Endpoint::Unix("private/none".into())), Some(false));
    let socket = std::os::unix::net::UnixListener::bind(folder.path().join("here")).unwrap();
    assert_eq!(knocks(&policy::Endpoint::Unix("here".into())), Some(true));
    drop(socket);
    assert_eq!(knocks(&policy::Endpoint::Unix("here".into())), Some(false));
}

#[test]
fn the_trees_lines_are_plain_words() {
    let fixture = Fixture::new(
        "smtpd_helo_restrictions = reject_unknown_helo_hostname\n\
         smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10023\n",
        &[],
    );
    let stand = fixture.stand(None).unwrap();
    let walk = walk(&stand, &visit(&USUAL), &Offline, &[]);
    let text =
        super::text::render(&visit(&USUAL), &walk, &stand.listener.parameters, super::text::Ink::Plain);
    assert!(text.contains("mail.example.org was found\n") && !text.contains("Success"), "{text}");
    assert!(text.contains("inet:127.0.0.1:10023 answers DUNNO ") && !text.contains("has :"), "{text}");
}
