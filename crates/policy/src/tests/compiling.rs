//! What the administrator is told.

use super::*;

/// `code: what is marked`, for every diagnostic of this crate.
fn said(main: &str) -> Vec<String> {
    let scene = Scene::new(main, World::default());
    let own = |d: &&Diagnostic| (400..500).contains(&d.code.0);
    scene.said.iter().filter(own).map(|d| format!("{} {}", d.code, d.place.text())).collect()
}

#[test]
fn findings() {
    let check = |list: &str, expect: &[&str]| {
        assert_eq!(said(&format!("smtpd_recipient_restrictions = {list}")), expect, "{list}");
    };
    check("permit_mynetworks, reject_unauth_destination", &[]);
    check("reject_unauth_destinaton", &["K0400 reject_unauth_destinaton"]);
    check("smtpd_relay_restrictions", &["K0400 smtpd_relay_restrictions"]);
    check("/etc/postfix/access", &["K0400 /etc/postfix/access"]);
    check("reject_rbl_client=bl.example", &["K0400 reject_rbl_client=bl.example"]);
    check("warn_if_reject reject, permit_mynetworks", &[]);
    check("check_client_access", &["K0402 check_client_access"]);
    check("check_client_access foo", &["K0402 foo"]);
    check("sleep x", &["K0402 x"]);
    check("reject_rbl_client bl.example=127.0.0", &["K0404 bl.example=127.0.0"]);
    check("reject_unknown_client", &["K0405 reject_unknown_client"]);
    check("reject_maps_rbl", &["K0406 reject_maps_rbl"]);
    check("check_policy_service tcp:127.0.0.1:10023", &["K0407 tcp:127.0.0.1:10023"]);
    check(
        "check_policy_service { unix:x, default_action = DUNNO, timeout=5s }",
        &["K0408 default_action = DUNNO"],
    );
    check("check_policy_service { unix:x, { default_action = DUNNO }, timeout=5s }", &[]);
    check("check_policy_service { unix:x, timeuot=5s }", &["K0408 timeuot=5s"]);
    check("check_policy_service http:x", &["K0409 http:x"]);
    check("reject_unverified_recipient", &[]);
    check("permit, reject", &["K0411 reject"]);
    check("reject_rbl_client bl.example", &["K0412 bl.example"]);
    check("aa\nsmtpd_restriction_classes = aa\naa = aa", &["K0413 aa"]);
    assert_eq!(said("smtpd_data_restrictions = hash:/x"), ["K0403 hash:/x"]);
}

/// A filter's fault in plain words.
#[test]
fn filters() {
    let check = |filter: &str, expect: &str| {
        assert_eq!(crate::dnsbl::AddressPattern::fault(filter), expect);
    };
    check("127.0.0.300", "`127.0.0.300` is no filter: a number from 0 to 255 is wanted behind `127.0.0.`");
    check("127.0.0", "`127.0.0` is no filter: a dot is missing behind `127.0.0`");
    check("127.0.0.[2-11]", "`127.0.0.[2-11]` is no filter: `;`, `..` or `]` is wanted behind `127.0.0.[2`");
    check("127.0.0.2", "");
}

/// T1.5: the words behind `//` are restrictions to Postfix.
#[test]
fn remarks_inside_a_list() {
    let found = said("smtpd_client_restrictions = permit_mynetworks // our own\n  permit");
    assert_eq!(found, ["K0401 //", "K0400 our", "K0400 own"]);
    let mended = |text: &str| {
        let scene = Scene::new(text, World::default());
        let fix = scene.said.iter().find_map(|one| one.fix.clone())?;
        Some((fix.place.text().to_owned(), fix.replacement))
    };
    let text = "smtpd_client_restrictions = permit_mynetworks, //our own  \n  permit";
    let line = text.split('\n').next().unwrap_or_default().to_owned();
    let expect = "# our own\nsmtpd_client_restrictions = permit_mynetworks,".to_owned();
    assert_eq!(mended(text), Some((line, expect)));
    assert_eq!(
        mended("smtpd_client_restrictions =\n  //all\n  permit").map(|fix| fix.1),
        Some("# all".to_owned())
    );
}

#[test]
fn repairs() {
    let check = |list: &str, expect: &str| {
        let scene = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), World::default());
        let fixes: Vec<_> =
            scene.said.iter().filter_map(|d| d.fix.clone()).map(|fix| fix.replacement).collect();
        assert_eq!(fixes, [expect], "{list}");
    };
    check("reject_unauth_destinaton", "reject_unauth_destination");
    check("reject_unknown_hostname", "reject_unknown_helo_hostname");
    check("reject_rbl_client=bl.example=127.0.0.2", "reject_rbl_client bl.example=127.0.0.2");
    check("check_policy_service tcp:127.0.0.1:10023", "inet:127.0.0.1:10023");
}

/// As Postfix, refuse to run as an open relay.
#[test]
fn somebody_must_refuse_relaying() {
    let check = |relay: &str, recipient: &str, open: bool| {
        let main = format!("smtpd_relay_restrictions = {relay}\nsmtpd_recipient_restrictions = {recipient}");
        assert_eq!(said(&main).iter().any(|found| found.starts_with("K0414")), open, "{relay} / {recipient}");
    };
    check("", "permit_mynetworks", true);
    // A list that was written empty has a place all the same.
    let empty = said("smtpd_relay_restrictions =\nsmtpd_recipient_restrictions =\n");
    assert_eq!(empty, ["K0414 smtpd_relay_restrictions"]);
    check("", "", true);
    check("permit, reject", "", true);
    check("", "warn_if_reject reject_unauth_destination", true);
    check("", "permit_mynetworks, reject_unauth_destination", false);
    check("defer_unauth_destination", "permit", false);
    check("", "defer_if_permit", false);
    assert!(!said("").iter().any(|found| found.starts_with("K0414")));
}

/// Every restriction of the registry compiles and decides, whatever it is given.
#[test]
fn every_name_is_served() {
    for row in crate::names::ROWS {
        let (name, form) = (row.entry.name, row.form);
        let argument = match form {
            crate::names::Form::Plain(_) | crate::names::Form::MapsRbl => "",
            crate::names::Form::Sleep => " 1",
            crate::names::Form::Service => " inet:1",
            crate::names::Form::Blocklist(_) | crate::names::Form::Allowlist(_) => " zone.example",
            _ => " static:DUNNO",
        };
        let scene = Scene::new(&format!("smtpd_client_restrictions = {name}{argument}"), World::default());
        assert!(!scene.said.iter().any(|d| d.code.0 == 400), "{name}");
        let decision = scene.rcpt("192.0.2.2", "h.example", "s@t.example", "u@example.com");
        let broken = told(&decision).starts_with("451 4.3.5 Server configuration error");
        assert!(!broken, "{name}: {decision:?}");
        assert!(name == "warn_if_reject" || !decision.path.is_empty(), "{name}");
    }
}

/// K0466, and spellings of extensions.
#[test]
fn rules_for_attachments() {
    let main = "smtpd_end_of_data_restrictions = reject_dangerous_attachment\n\
                komainu_dangerous_attachment_contents = EXE, javascript 7z\n\
                komainu_dangerous_attachment_extensions = .Exe, *.js scr\n\
                komainu_archive_depth_limit = 2\n";
    let scene = Scene::new(main, World::default());
    let (policy, found) = (&scene.policy, &scene.said);
    let codes: Vec<_> = found.iter().map(|one| (one.code.0, one.message.as_str())).collect();
    assert_eq!(codes, [(466, "\"javascript\" is no kind of content")]);
    let rules = policy.attachments().map(|rules| (**rules).clone()).unwrap_or_default();
    assert_eq!(rules.extensions, ["exe", "js", "scr"].map(str::to_owned).into());
    assert_eq!(rules.kinds, [mail::attachment::Kind::Exe, mail::attachment::Kind::SevenZip].into());
    assert_eq!(rules.limits.depth, 2);
    assert!(Scene::new("", World::default()).policy.attachments().is_none());
    let scene =
        Scene::new("smtpd_end_of_data_restrictions = reject_dangerous_attachment\n", World::default());
    assert_eq!(
        scene.policy.attachments().map(|rules| (**rules).clone()),
        Some(mail::attachment::Rules::default())
    );
}
