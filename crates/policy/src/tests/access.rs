//! access(5): keys and actions, as Postfix 3.7.11 had them.

use super::*;

const TABLE: &str = "
rej@example.com REJECT
rejt@example.com REJECT go away
rejd@example.com REJECT 5.1.1 no such
rejd4@example.com REJECT 4.1.1 no such
def@example.com DEFER
deft@example.com DEFER later
c550@example.com 550 nope
c550d@example.com 550 5.1.7 nope
c550w@example.com 550 4.7.9 wrong class
c450@example.com 450 4.1.8 tmp
c421@example.com 421 bye
c521@example.com 521 5.7.8 bye
c550e@example.com 550
dip@example.com DEFER_IF_PERMIT
dipt@example.com DEFER_IF_PERMIT 4.2.1 hmm hm
list@example.com reject_unknown_sender_domain, reject
bogus@example.com FOOBAR
okt@example.com OK some text
num@example.com 12345
cls@example.com cls
cla@example.com check_client_access hash:/nonexist/foo
c600@example.com 600 no
user@ REJECT byuser
sub.example.com REJECT sub
.dot.example.com REJECT dot
dunno@example.com DUNNO
example.com REJECT domain
";

fn scene(list: &str, more: &str) -> Scene {
    let main = format!(
        "smtpd_recipient_restrictions = {list}\nsmtpd_relay_restrictions =\nrecipient_delimiter = +\n\
         smtpd_restriction_classes = cls\ncls = warn_if_reject reject, permit\n{more}"
    );
    Scene::new(&main, World::default().file("/t/rcpt", TABLE))
}

/// T1.8, T2.6, T2.10
#[test]
fn actions() {
    let scene = scene("check_recipient_access hash:/t/rcpt, permit", "");
    let check = |user: &str, expect: &str| {
        let recipient = format!("{user}@example.com");
        let decision = scene.rcpt("192.0.2.2", "h", "a@unknown.example", &recipient);
        let expect = expect.replace("<>:", &format!("<{recipient}>: Recipient address rejected:"));
        assert_eq!(told(&decision), expect, "{user}");
    };
    check("rej", "554 5.7.1 <>: Access denied");
    check("REJ", "554 5.7.1 <>: Access denied");
    check("rejt", "554 5.7.1 <>: go away");
    check("rejd", "554 5.1.1 <>: no such");
    check("rejd4", "554 5.1.1 <>: no such");
    check("def", "450 4.7.1 <>: Access denied");
    check("deft", "450 4.7.1 <>: later");
    check("c550", "550 5.7.1 <>: nope");
    check("c550d", "550 5.1.3 <>: nope");
    check("c550w", "550 5.7.9 <>: wrong class");
    check("c450", "450 4.1.2 <>: tmp");
    check("c421", "421 4.7.1 <>: bye");
    check("c521", "521 5.7.8 <>: bye");
    check("c550e", "ok");
    check("dip", "450 4.7.1 <>: Service unavailable");
    check("dipt", "450 4.2.1 <>: hmm hm");
    check("list", "450 4.1.8 <a@unknown.example>: Sender address rejected: Domain not found");
    check("bogus", "451 4.3.5 Server configuration error");
    check("okt", "ok");
    check("num", "ok");
    check("cls", "ok");
    check("cla", "451 4.3.5 Server configuration error");
    check("c600", "451 4.3.5 Server configuration error");
    check("okt+x", "ok");
    check("dunno", "ok");
    check("nobody", "554 5.7.1 <>: domain");
    check("user", "554 5.7.1 <>: domain");
}

#[test]
fn keys() {
    let check = |more: &str, recipient: &str, expect: &str| {
        let scene = scene("check_recipient_access hash:/t/rcpt, permit", more);
        let decision = scene.rcpt("192.0.2.2", "h", "", recipient);
        let line = decision.path.first().and_then(|step| step.line.as_ref());
        assert_eq!(line.map_or("", |line| line.key.as_str()), expect, "{more} {recipient}");
    };
    let strict = "parent_domain_matches_subdomains =";
    check("", "user@other.example", "user@");
    check("", "user+x@other.example", "user@");
    check("recipient_delimiter =", "user+x@other.example", "");
    check("", "rej+x@example.com", "rej@example.com");
    check("", "a@sub.example.com", "sub.example.com");
    check("", "a@x.sub.example.com", "sub.example.com");
    check(strict, "a@x.sub.example.com", "");
    check(strict, "a@x.dot.example.com", ".dot.example.com");
    check(strict, "a@dot.example.com", "");
}

/// T1.7, T2.6: networks and names of clients.
#[test]
fn clients() {
    let table = "192.0.2.1 OK\n192.0.2 REJECT net\n12.34.56.78 OK\n11.22.33 REJECT\n22.33 REJECT\n\
                 spammer.spam.com REJECT You are blacklisted\n2001:db8 REJECT six\n";
    let world = World::default()
        .file("/t/client", table)
        .dns("9.0.0.10.in-addr.arpa PTR a.spammer.spam.com\na.spammer.spam.com A 10.0.0.9");
    let scene = Scene::new("smtpd_client_restrictions = check_client_access hash:/t/client", world);
    let check = |client: &str, expect: &str| {
        assert_eq!(told(&scene.rcpt(client, "h", "s@t.example", "u@example.com")), expect, "{client}");
    };
    check("192.0.2.1", "ok");
    check("192.0.2.2", "554 5.7.1 <unknown[192.0.2.2]>: Client host rejected: net");
    check("192.0.20.2", "ok");
    check("11.22.33.44", "554 5.7.1 <unknown[11.22.33.44]>: Client host rejected: Access denied");
    check("22.33.1.1", "554 5.7.1 <unknown[22.33.1.1]>: Client host rejected: Access denied");
    check("12.34.56.78", "ok");
    check("10.0.0.9", "554 5.7.1 <a.spammer.spam.com[10.0.0.9]>: Client host rejected: You are blacklisted");
    check("2001:db8::1", "554 5.7.1 <unknown[2001:db8::1]>: Client host rejected: six");
}

/// ENHANCED STATUS CODES of access(5).
#[test]
fn status_codes_are_mended() {
    let check = |list: &str, details: &[(u16, &str)]| {
        for (detail, expect) in details {
            let main = format!(
                "smtpd_recipient_restrictions = check_{list}_access static:{{REJECT 5.1.{detail} txt}}"
            );
            let scene = Scene::new(&main, World::default());
            let decision = scene.rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
            let dsn = decision.verdict.reply().and_then(|reply| reply.dsn).unwrap().to_string();
            assert_eq!(dsn, *expect, "{list} {detail}");
        }
    };
    check("client", &[(0, "5.0.0"), (1, "5.0.0"), (7, "5.0.0"), (10, "5.0.0")]);
    check(
        "sender",
        &[
            (0, "5.1.0"),
            (1, "5.1.7"),
            (2, "5.1.8"),
            (3, "5.1.7"),
            (5, "5.1.0"),
            (6, "5.1.7"),
            (7, "5.1.7"),
            (9, "5.1.0"),
        ],
    );
    check(
        "recipient",
        &[(0, "5.1.0"), (6, "5.1.6"), (7, "5.1.3"), (8, "5.1.2"), (9, "5.1.0"), (10, "5.1.0")],
    );
}

#[test]
fn actions_on_mail() {
    let check = |action: &str, effect: Option<MailEffect>, notes: &[&str]| {
        let main = format!("smtpd_recipient_restrictions = check_client_access static:{{{action}}}");
        let decision =
            Scene::new(&main, World::default()).rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
        assert_eq!(decision.effects.first(), effect.as_ref(), "{action}");
        assert_eq!(noted(&decision), notes, "{action}");
    };
    let host = "<unknown[192.0.2.2]>: Client host";
    let text = |text: &str| text.to_owned();
    check(
        "DISCARD",
        Some(MailEffect::Discard(text(""))),
        &[&format!("discard: {host} triggers DISCARD action")],
    );
    let entry = text("access table static:{HOLD look} entry \"unknown\"");
    check("HOLD look", Some(MailEffect::Hold(text("look"), entry)), &[&format!("hold: {host} look")]);
    check(
        "FILTER a:b",
        Some(MailEffect::Filter(text("a:b"))),
        &[&format!("filter: {host} triggers FILTER a:b")],
    );
    check(
        "REDIRECT a@b",
        Some(MailEffect::Redirect(text("a@b"))),
        &[&format!("redirect: {host} triggers REDIRECT a@b")],
    );
    check("BCC a@b", Some(MailEffect::Bcc(text("a@b"))), &[&format!("bcc: {host} triggers BCC a@b")]);
    check("PREPEND X-Foo: bar", Some(MailEffect::Prepend(text("X-Foo: bar"))), &[]);
    check(
        "PREPEND foo",
        None,
        &["warning: access table static:{PREPEND foo} entry \"unknown\" requires header: text"],
    );
    check("WARN hey you", None, &["warn: hey you"]);
    check("INFO hey you", None, &["info: hey you"]);
}

#[test]
fn discard_permits_and_hold_does_not() {
    let check = |action: &str, expect: &str| {
        let main = format!("smtpd_recipient_restrictions = check_client_access static:{{{action}}}, reject");
        let decision =
            Scene::new(&main, World::default()).rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
        assert_eq!(told(&decision), expect, "{action}");
    };
    let denied = "554 5.7.1 <u@example.com>: Recipient address rejected: Access denied";
    for action in ["DISCARD", "123", "OK", "450"] {
        check(action, "ok");
    }
    for action in ["HOLD", "FILTER a:b", "BCC a@b", "REDIRECT a@b", "PREPEND a: b", "WARN x", "DUNNO"] {
        check(action, denied);
    }
    check("DEFER_IF_REJECT 5.1.1 foo", "450 4.0.0 <unknown[192.0.2.2]>: Client host rejected: foo");
    check("REJECT a, b", "554 5.7.1 <unknown[192.0.2.2]>: Client host rejected: a, b");
}

/// Tables that can't be read, and where OK is forbidden.
#[test]
fn faults() {
    let check =
        |list: &str, expect: &str| {
            let decision = Scene::new(&format!("smtpd_recipient_restrictions = {list}"), World::default())
                .rcpt("192.0.2.2", "h", "s@t.example", "u@example.com");
            assert_eq!(told(&decision), expect, "{list}");
        };
    check(
        "hash:/nonexist",
        "451 4.3.5 <u@example.com>: Recipient address rejected: Server configuration error",
    );
    check(
        "check_client_access hash:/nonexist",
        "451 4.3.5 <unknown[192.0.2.2]>: Client host rejected: Server configuration error",
    );
    check(
        "warn_if_reject check_client_access hash:/nonexist",
        "451 4.3.5 <unknown[192.0.2.2]>: Client host rejected: Server configuration error",
    );
    check("check_reverse_client_hostname_access static:OK, reject", "451 4.3.5 Server configuration error");
    check("check_client_access static:OK, reject", "ok");
}

#[test]
fn permits_are_logged_on_request() {
    let check = |list: &str, client: &str, expect: &[&str]| {
        let main = format!(
            "smtpd_recipient_restrictions = {list}\nsmtpd_relay_restrictions =\n\
            smtpd_log_access_permit_actions = static:all"
        );
        let decision = Scene::new(&main, World::default()).rcpt(client, "h", "s@t.example", "u@example.com");
        assert_eq!(noted(&decision), expect, "{list}");
    };
    check("permit", "192.0.2.2", &["permit: action=permit for Recipient address=u@example.com "]);
    check(
        "permit_mynetworks",
        "127.0.0.1",
        &["permit: action=permit_mynetworks for Client host=unknown[127.0.0.1] "],
    );
    check(
        "check_client_access static:OK",
        "192.0.2.2",
        &["permit: action=OK for Client host=unknown[192.0.2.2] from static:OK"],
    );
    check(
        "check_client_access static:permit",
        "192.0.2.2",
        &["permit: action=permit for Client host=unknown[192.0.2.2] "],
    );
    check(
        "permit_auth_destination",
        "192.0.2.2",
        &["permit: action=permit_auth_destination for Recipient address=u@example.com "],
    );
}

#[test]
fn hosts_behind_names() {
    let dns = "mxdom.example A 192.0.2.50\nmxdom.example MX 10 mail.mxdom.example\nmail.mxdom.example A 192.0.2.51\n\
        mxdom.example NS ns.mxdom.example\nns.mxdom.example A 192.0.2.52\n50.2.0.192.in-addr.arpa PTR mxdom.example\n\
        tempx.example SERVFAIL\nmxbad.example MX 10 gone.example\nmxtemp.example MX 10 tempx.example";
    let world = || {
        World::default()
            .dns(dns)
            .file("/t/a", "192.0.2.50 REJECT a-hit\n192.0.2.51 REJECT mx-hit\n192.0.2.52 REJECT ns-hit\n")
            .file("/t/n", "mail.mxdom.example REJECT mxname\nns.mxdom.example REJECT nsname\n")
            .file("/t/ok", "192.0.2.50 OK\n")
    };
    let who = [
        ("client", "<mxdom.example[192.0.2.50]>: Client host"),
        ("reverse_client_hostname", "<mxdom.example>: Unverified Client host"),
        ("helo", "<mxdom.example>: Helo command"),
        ("sender", "<s@mxdom.example>: Sender address"),
        ("recipient", "<a@mxdom.example>: Recipient address"),
    ];
    let cases = [
        ("a", "a", "a-hit"),
        ("mx", "a", "mx-hit"),
        ("mx", "n", "mxname"),
        ("ns", "a", "ns-hit"),
        ("ns", "n", "nsname"),
    ];
    for (word, words) in who {
        for (hosts, table, text) in cases {
            let main = format!("smtpd_recipient_restrictions = check_{word}_{hosts}_access hash:/t/{table}");
            let decision = Scene::new(&main, world()).rcpt(
                "192.0.2.50",
                "mxdom.example",
                "s@mxdom.example",
                "a@mxdom.example",
            );
            assert_eq!(told(&decision), format!("554 5.7.1 {words} rejected: {text}"), "{main}");
        }
        let main = format!("smtpd_recipient_restrictions = check_{word}_a_access hash:/t/ok");
        let decision = Scene::new(&main, world()).rcpt(
            "192.0.2.50",
            "mxdom.example",
            "s@mxdom.example",
            "a@mxdom.example",
        );
        assert_eq!(told(&decision), "451 4.3.5 Server configuration error", "{main}");
    }
    let check = |helo: &str, hosts: &str, expect: &str| {
        let main = format!("smtpd_recipient_restrictions = check_helo_{hosts}_access hash:/t/a");
        let decision = Scene::new(&main, world()).rcpt("192.0.2.2", helo, "", "u@example.com");
        let got = decision.notes.first().map_or("", |note| note.text.as_str());
        assert_eq!(got, expect, "{helo} {hosts}");
    };
    check("sub.mxdom.example", "ns", "554 5.7.1 <sub.mxdom.example>: Helo command rejected: ns-hit");
    check("[192.0.2.50]", "mx", "554 5.7.1 <[192.0.2.50]>: Helo command rejected: a-hit");
    check("[192.0.2.50]", "ns", "");
    check("192.0.2.50", "a", "554 5.7.1 <192.0.2.50>: Helo command rejected: a-hit");
    check("tempx.example", "a", "");
    check("tempx.example", "mx", "Unable to look up MX host for tempx.example: Host not found, try again");
    check("tempx.example", "ns", "Unable to look up NS host for tempx.example: Host not found, try again");
    check(
        "mxbad.example",
        "mx",
        "Unable to look up MX host gone.example for Helo command mxbad.example: Name or service not known",
    );
    check(
        "mxtemp.example",
        "mx",
        "Unable to look up MX host tempx.example for Helo command mxtemp.example: Temporary failure in name resolution",
    );
}
