//! The answers to the cases that Debian's policyd-spf was asked, and what its settings mean.

use super::*;
use crate::spf::tests::answer as said;
use config::SourceFile;
use std::sync::Arc;

const ZONE: &str = "
pass.example TXT v=spf1 ip4:192.0.2.1 -all
fail.example TXT v=spf1 -all
why.example TXT v=spf1 exp=text.why.example -all
text.why.example TXT %{i} is not one of %{d}'s designated mail servers for %{s} at %{r} (%{c}).
mxfail.example TXT v=spf1 mx -all
mxfail.example MX 10 a.mxfail.example
a.mxfail.example A 203.0.113.1
soft.example TXT v=spf1 ~all
neutral.example TXT v=spf1 ?all
perm.example TXT v=spf1 foo:bar -all
temp.example TIMEOUT
none.example A 192.0.2.7
mail.pass.example TXT v=spf1 a -all
mail.pass.example A 192.0.2.1
mail.fail.example TXT v=spf1 -all
mail.soft.example TXT v=spf1 ~all
mail.perm.example TXT v=spf1 zzz -all
mail.temp.example TIMEOUT
mail.none.example A 192.0.2.1
1.2.0.192.in-addr.arpa PTR mail.none.example";

fn conf(text: &str) -> (Conf, Vec<config::Diagnostic>) {
    Conf::read(&Arc::new(SourceFile { path: PATH.into(), text: text.to_owned() }))
}

fn asked(settings: &str, client: &str, helo: &str, sender: &str) -> Told {
    let (conf, found) = conf(settings);
    assert!(found.is_empty(), "{found:?}");
    let attributes = format!(
        "request=smtpd_access_policy\nclient_address={client}\nhelo_name={helo}\nsender={sender}\n\
         recipient=u@example.com\ninstance=1.2.3\nqueue_id=\n\n"
    );
    let request = Request::read(&attributes);
    let mut facts = crate::spf::without_tables();
    loop {
        match answer(&conf, &request, "mx.example.com", &facts, Wall::from_seconds(1_700_000_000)) {
            Ok(told) => return told,
            Err(Need(question)) => {
                let Question::Dns { name, kind } = &question else { panic!("{question:?}") };
                let answer = said(ZONE, name, *kind);
                facts.learn(question, answer);
            }
        }
    }
}

/// Each as policyd-spf 3.0.4 answered it; `ID` is `client-ip=192.0.2.1; helo=HELO; envelope-from=SENDER;
/// receiver=example.com`.
fn one(settings: &str, (helo, sender): (&str, &str), expect: &str) {
    let told = asked(settings, "192.0.2.1", helo, sender);
    let from = if sender.is_empty() { "<>" } else { sender };
    let id = format!("client-ip=192.0.2.1; helo={helo}; envelope-from={from}; receiver=example.com");
    let url = |scope: &str, id: &str| {
        format!("http://www.openspf.net/Why?s={scope};id={id};ip=192.0.2.1;r=example.com")
    };
    let expect = expect
        .replace("ID", &id)
        .replace("MFROM", &url("mfrom", sender))
        .replace("BYHELO", &url("helo", helo));
    assert_eq!(told.action, expect, "{settings}: {helo} {sender}");
}

const FAILS: &str = "550 5.7.23 Message rejected due to: SPF fail - not authorized. Please see ";

#[test]
fn by_default() {
    let check = |helo: &str, sender: &str, expect: &str| one("", (helo, sender), expect);
    check(
        "mail.none.example",
        "a@pass.example",
        "prepend Received-SPF: Pass (mailfrom) identity=mailfrom; ID ",
    );
    check("mail.none.example", "a@fail.example", &format!("{FAILS}MFROM"));
    check(
        "mail.none.example",
        "a@why.example",
        "550 5.7.23 Message rejected due to: 192.0.2.1 is not one of why.example's designated mail servers for \
         a@why.example at unknown (192.0.2.1).. Please see MFROM",
    );
    check(
        "mail.none.example",
        "a@soft.example",
        "prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; ID ",
    );
    check(
        "mail.none.example",
        "a@neutral.example",
        "prepend Received-SPF: Neutral (mailfrom) identity=mailfrom; ID ",
    );
    check(
        "mail.none.example",
        "a@perm.example",
        "prepend Received-SPF: Permerror (mailfrom) identity=mailfrom; ID ",
    );
    check(
        "mail.none.example",
        "a@temp.example",
        "prepend Received-SPF: Temperror (mailfrom) identity=mailfrom; ID ",
    );
    check(
        "mail.none.example",
        "a@none.example",
        "prepend Received-SPF: None (mailfrom) identity=mailfrom; ID ",
    );
    check("mail.pass.example", "a@fail.example", &format!("{FAILS}MFROM"));
    check(
        "mail.pass.example",
        "a@none.example",
        "prepend Received-SPF: Pass (sender SPF authorized) identity=helo; ID ",
    );
    check("mail.pass.example", "", "prepend Received-SPF: Pass (sender SPF authorized) identity=helo; ID ");
    check("mail.fail.example", "", &format!("{FAILS}BYHELO"));
    check("mail.fail.example", "a@pass.example", &format!("{FAILS}BYHELO"));
    check(
        "mail.soft.example",
        "",
        "prepend Received-SPF: Softfail (domain owner discourages use of this host) identity=helo; ID ",
    );
    check(
        "mail.perm.example",
        "a@none.example",
        "prepend Received-SPF: Permerror (SPF Permanent Error: Unknown mechanism found: zzz) identity=helo; ID ",
    );
    check(
        "mail.temp.example",
        "",
        "prepend Received-SPF: Temperror (SPF Temporary Error: DNS Timeout) identity=helo; ID ",
    );
    check("mail.none.example", "", "prepend Received-SPF: None (no SPF record) identity=helo; ID ");
    check("[192.0.2.1]", "", "prepend Received-SPF: None (no SPF record) identity=helo; ID ");
}

#[test]
fn rejections() {
    let soft = "550 5.7.23 Message rejected due to: domain owner discourages use of this host. Please see ";
    let neutral = "550 5.7.23 Message rejected due to: access neither permitted nor denied. Please see MFROM";
    one("HELO_reject = SPF_Not_Pass", ("mail.soft.example", "a@pass.example"), &format!("{soft}BYHELO"));
    one("HELO_reject = Softfail", ("mail.soft.example", ""), &format!("{soft}BYHELO"));
    one("HELO_reject = Null", ("mail.fail.example", ""), &format!("{FAILS}BYHELO"));
    let fail = "prepend Received-SPF: Fail (SPF fail - not authorized) identity=helo; ID ";
    one("HELO_reject = Null", ("mail.fail.example", "a@none.example"), fail);
    one("HELO_reject = False", ("mail.fail.example", ""), fail);
    one("HELO_reject = No_Check", ("mail.fail.example", ""), "dunno");
    one(
        "HELO_reject = No_Check",
        ("mail.fail.example", "a@none.example"),
        "prepend Received-SPF: None (mailfrom) identity=mailfrom; ID ",
    );
    one("Mail_From_reject = SPF_Not_Pass", ("mail.pass.example", "a@soft.example"), &format!("{soft}MFROM"));
    one("Mail_From_reject = SPF_Not_Pass", ("mail.pass.example", "a@neutral.example"), neutral);
    one(
        "Mail_From_reject = Softfail",
        ("mail.pass.example", "a@neutral.example"),
        "prepend Received-SPF: Neutral (mailfrom) identity=mailfrom; ID ",
    );
    one(
        "Mail_From_reject = False",
        ("mail.pass.example", "a@fail.example"),
        "prepend Received-SPF: Fail (mailfrom) identity=mailfrom; ID ",
    );
    one(
        "Mail_From_reject = No_Check",
        ("mail.pass.example", "a@fail.example"),
        "prepend Received-SPF: Pass (sender SPF authorized) identity=helo; ID ",
    );
    let broken = "550 5.7.24 Message rejected due to: SPF Permanent Error: Unknown mechanism found: foo:bar. Please see MFROM";
    one("PermError_reject = True", ("mail.pass.example", "a@perm.example"), broken);
    let silent =
        "defer_if_permit 4.7.24 Message deferred due to: SPF Temporary Error: DNS Timeout. Please see ";
    one("TempError_Defer = True", ("mail.pass.example", "a@temp.example"), &format!("{silent}MFROM"));
    one("TempError_Defer = True", ("mail.temp.example", "a@pass.example"), &format!("{silent}BYHELO"));
    let plain = "SPF_Enhanced_Status_Codes = No\nTempError_Defer = True";
    one(plain, ("mail.temp.example", "a@pass.example"), &format!("{silent}BYHELO").replace("4.7.24 ", ""));
    one(plain, ("mail.pass.example", "a@fail.example"), &format!("{FAILS}MFROM").replace("5.7.23 ", ""));
    one("TestOnly = 0", ("mail.pass.example", "a@fail.example"), "dunno");
    one("No_Mail = True", ("mail.none.example", "a@fail.example"), &format!("{FAILS}MFROM"));
    one(
        "No_Mail = True",
        ("mail.none.example", "a@mxfail.example"),
        "prepend Received-SPF: Fail (mailfrom) identity=mailfrom; ID ",
    );
    one(
        "Reject_Not_Pass_Domains = other.example,soft.example",
        ("mail.none.example", "a@soft.example"),
        "550 5.7.23 Message rejected due to: Receiver policy for SPF Softfail. Please see MFROM",
    );
    one(
        "Reason_Message = Weg {rejectdefer}: {spf} - {url}",
        ("mail.none.example", "a@fail.example"),
        "550 5.7.23 Weg rejected: SPF fail - not authorized - MFROM",
    );
}

#[test]
fn whoever_is_not_judged() {
    let skipped = |settings: &str, why: &str| {
        one(settings, ("mail.none.example", "a@fail.example"), &format!("prepend X-Comment: {why} - ID "));
    };
    skipped("skip_addresses = 192.0.2.0/24", "SPF check N/A for local connections");
    skipped("Whitelist = 203.0.113.0/24,192.0.2.1", "SPF skipped for whitelisted relay");
    skipped("Domain_Whitelist = pass.example", "SPF skipped for whitelisted relay domain");
    skipped("Domain_Whitelist_PTR = none.example", "SPF skipped for PTR whitelisted relay domain");
    skipped("HELO_Whitelist = mail.none.example", "SPF skipped for whitelisted HELO domain");
    for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(
            asked("", local, "mail.none.example", "").action,
            format!(
                "prepend X-Comment: SPF check N/A for local connections - client-ip={local}; helo=mail.none.example; \
                 envelope-from=; receiver=example.com "
            )
        );
    }
    one(
        "Whitelist = 192.0.2.1\nHeader_Type = AR",
        ("mail.none.example", "a@fail.example"),
        "prepend Authentication-Results: mx.example.com; none (SPF skipped for whitelisted relay -  ID)",
    );
    // A name that doesn't lead back is nobody's.
    one("HELO_Whitelist = none.example", ("none.example", "a@fail.example"), &format!("{FAILS}MFROM"));
    assert_eq!(asked("", "", "mail.pass.example", "a@pass.example"), Told::dunno());
    assert_eq!(asked("", "192.0.2.1", "", ""), Told::dunno());
    assert!(asked("", "192.0.2.1", "", "a@pass.example").action.contains("; helo=pass.example; "));
}

#[test]
fn headers_and_actions() {
    let ar = "Header_Type = AR\nAuthserv_Id = mx.example.net";
    one(
        ar,
        ("mail.none.example", "a@pass.example"),
        "prepend Authentication-Results: mx.example.net; spf=pass (sender SPF authorized) smtp.mailfrom=pass.example (ID)",
    );
    one(
        ar,
        ("mail.pass.example", "a@none.example"),
        "prepend Authentication-Results: mx.example.net; spf=pass (sender SPF authorized) smtp.helo=mail.pass.example (ID)",
    );
    one(
        "Header_Type = AR",
        ("mail.none.example", "a@none.example"),
        "prepend Authentication-Results: mx.example.com; spf=none (no SPF record) smtp.mailfrom=none.example (ID)",
    );
    one("Header_Type = None", ("mail.none.example", "a@pass.example"), "dunno");
    one("Header_Type = None", ("mail.none.example", "a@fail.example"), &format!("{FAILS}MFROM"));
    one("Mail_From_pass_restriction = passed", ("mail.none.example", "a@pass.example"), "passed");
    one("HELO_pass_restriction = passed", ("mail.pass.example", "a@fail.example"), "passed");
    one("Prospective = 192.0.2.1", ("mail.none.example", "a@soft.example"), "dunno");
    one(
        "Mock = True",
        ("mail.none.example", "a@soft.example"),
        "dunno mock header field that should be ignored",
    );
    let hidden = asked("Hide_Receiver = Yes", "192.0.2.1", "mail.none.example", "a@fail.example").action;
    assert!(hidden.ends_with(";ip=192.0.2.1;r=<UNKNOWN>"), "{hidden}");
}

#[test]
fn the_log() {
    let told = |settings: &str, sender: &str| asked(settings, "192.0.2.1", "mail.none.example", sender).log;
    let header = "Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=mail.none.example; \
                  envelope-from=a@pass.example; receiver=example.com ";
    assert_eq!(told("", "a@pass.example"), [format!(": prepend {header}")]);
    assert_eq!(told("debugLevel = 0", "a@pass.example"), [""; 0]);
    assert_eq!(told("Header_Type = None", "a@pass.example"), [""; 0]);
    // What policyd-spf 3.0.4 writes, but for pyspf's own words.
    let facts =
        "client-ip=192.0.2.1; helo=mail.none.example; envelope-from=a@pass.example; receiver=example.com ";
    let results =
        [format!("None; identity=helo; {facts}"), format!("Pass; identity=mailfrom; {facts}")].to_vec();
    assert_eq!(told("debugLevel = 2\nHeader_Type = None", "a@pass.example"), results);
    let all = [results, vec![format!(": prepend {header}")]].concat();
    assert_eq!(told("debugLevel = 2", "a@pass.example"), all);
    let mut conf = Conf::default();
    conf.debug_level = 2;
    let facts = crate::spf::without_tables();
    let nobody =
        answer(&conf, &Request::read("sender=a@b.example\n"), "mx", &facts, Wall::default()).unwrap();
    assert_eq!(nobody.log, ["spfcheck: No client address, exiting"]);
}

#[test]
fn settings_that_mean_nothing() {
    let codes = |text: &str| {
        let found = conf(text).1;
        found.iter().map(|one| format!("{} {}", one.code, one.place.text())).collect::<Vec<_>>()
    };
    let debian = "# a remark\n\ndebugLevel = 1 \nTestOnly = 1\n\nHELO_reject = Fail\nMail_From_reject = Fail\n\n\
                  PermError_reject = False\nTempError_Defer = False\n\n\
                  skip_addresses = 127.0.0.0/8,::ffff:127.0.0.0/104,::1\n";
    assert_eq!(codes(debian), [""; 0]);
    assert_eq!(conf(debian).0, Conf::default());
    assert_eq!(codes("mail_from_reject = False"), ["K0490 mail_from_reject = False"]);
    assert_eq!(codes("what"), ["K0490 what"]);
    assert_eq!(
        codes("Mail_From_reject = Always\nTestOnly = yes"),
        ["K0491 Mail_From_reject = Always", "K0491 TestOnly = yes"]
    );
    assert_eq!(codes("Whitelist = 192.0.2.0/33"), ["K0491 Whitelist = 192.0.2.0/33"]);
    assert_eq!(codes("Per_User = text,/etc/x"), [""; 0]);
    assert_eq!(codes("Per_User = sql,/etc/x"), ["K0491 Per_User = sql,/etc/x"]);
    assert_eq!(codes("Socket = /x"), ["K0492 Socket = /x"]);
}

proptest::proptest! {
    #[test]
    fn any_request(attributes in "((client_address|helo_name|sender|recipient|instance)=[ -~\\r\\té]{0,30}\n){0,8}") {
        let conf = Conf::default();
        let request = Request::read(&attributes);
        let mut facts = crate::spf::without_tables();
        for _ in 0..100 {
            match answer(&conf, &request, "mx.example.com", &facts, Wall::default()) {
                Ok(told) => {
                    proptest::prop_assert!(!told.action.contains(['\n', '\r']));
                    proptest::prop_assert!(!told.action.to_ascii_lowercase().starts_with("ok"));
                    return Ok(());
                }
                Err(Need(question)) => facts.learn(question, Answer::Records(vec![Record::Txt("v=spf1 ~all".to_owned())])),
            }
        }
        proptest::prop_assert!(false, "no end of questions");
    }
}

/// policyd-spf.peruser(5), as policyd-spf 3.0.4 does it: the first line of a recipient in lower case, settings without blanks.
#[test]
fn settings_for_single_recipients() {
    let file =
        |path: &str, text: &str| Arc::new(config::SourceFile { path: path.into(), text: text.to_owned() });
    let (mut conf, found) = Conf::read(&file(
        PATH,
        "Mail_From_reject = False\nPer_User = text,/etc/users\nHELO_reject = False\n",
    ));
    assert!(found.is_empty() && conf.per_user.as_ref().is_some_and(|(path, _)| path.ends_with("users")));
    let users = "# a remark\nbox@example.com,skip_addresses=192.0.2.0/24|Header_Type=None\n\
                 box@example.com,skip_addresses=127.0.0.1\nUpper@example.com,skip_addresses=192.0.2.0/24\n\
                 blank@example.com, skip_addresses = 192.0.2.0/24\nmock@example.com,Mock=True\n\
                 two@example.com,skip_addresses=198.51.100.0/24,192.0.2.0/24\nalone\n";
    let said: Vec<String> = conf
        .read_users(&file("/etc/users", users))
        .iter()
        .map(|one| format!("{} {}", one.code, one.place.line()))
        .collect();
    assert_eq!(said, ["K0490 5", "K0492 6", "K0490 8"]);
    let told = |recipient: &str| {
        let text =
            format!("client_address=192.0.2.1\nhelo_name=h\nsender=a@b.example\nrecipient={recipient}\n");
        let facts = crate::spf::without_tables();
        answer(&conf, &Request::read(&text), "mx", &facts, Wall::default()).ok().map(|told| told.action)
    };
    let skipped =
        |recipient: &str| told(recipient).is_some_and(|action| action.contains("local connections"));
    assert!(skipped("two@example.com"));
    // Without a header there is nothing to say.
    assert_eq!(told("BOX@example.com").as_deref(), Some("dunno"));
    for other in [
        "upper@example.com",
        "Upper@example.com",
        "blank@example.com",
        "mock@example.com",
        "x@example.com",
        "",
    ] {
        assert_eq!(told(other), None, "{other}: the DNS is to be asked");
    }
}
