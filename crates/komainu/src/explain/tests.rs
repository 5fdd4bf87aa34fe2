//! Made-up sessions against small configurations in a folder of their own.

use super::answers::{Offline, Written};
use super::log_line;
use super::outcomes::otherwise;
use super::visit::Visit;
use super::walk::{Walk, walk};
use super::{NoStand, Stand};
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

    fn stand(&self, service: Option<&str>) -> Result<Stand, NoStand> {
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
        let (configuration, _) =
            Configuration::load_for(&host, self.folder.path(), Compat::V3_11, &DirectSources);
        Stand::new(configuration, service, &DirectSources).map(|(stand, _)| stand)
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
    assert_eq!(rcpt.unreached, ["permit"]);
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
        let logged = log_line::parse(&line).unwrap();
        let found = log_line::find(&stand, &logged, &Offline);
        assert_eq!(
            found.map(|found| found.told.step.check),
            Some(expect.replace("DIR", &fixture.folder.path().display().to_string()))
        );
    };
    let text = "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname";
    check(text, "a@example.org", "localhost", "reject_non_fqdn_helo_hostname");
    let text = "554 5.7.1 <x@spam.org>: Sender address rejected: Access denied";
    check(text, "x@spam.org", "mail.example.org", "check_sender_access texthash:DIR/senders");
    let text = "450 4.1.8 <a@gone.example>: Sender address rejected: Domain not found";
    check(text, "a@gone.example", "mail.example.org", "reject_unknown_sender_domain");
    assert_eq!(log_line::parse("connect from unknown[203.0.113.9]"), Err(log_line::BadLine::NoRefusal));
    let screened = "Nov 22 01:02:03 mx postfix/postscreen[123]: NOQUEUE: reject: RCPT from [203.0.113.9]:36045: \
                    550 5.7.1 Service unavailable; client [203.0.113.9] blocked using zen.example; \
                    from=<a@example.org>, to=<user@example.com>, proto=ESMTP, helo=<mail.example.org>";
    assert_eq!(log_line::parse(screened), Err(log_line::BadLine::Screened));
}
