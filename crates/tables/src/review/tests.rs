//! Each rule with a case that has it and one that has not.

use super::*;
use crate::sources::SourceError;
use config::{Compat, Host, MainCf, SourceFile, Spanned};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const ACCESS: fn(AccessOf) -> Use = |of| Use::Access(of, Moment::WithMail);
const CLIENT: Use = Use::Access(AccessOf::Client, Moment::WithMail);
const HELO: Use = Use::Access(AccessOf::Helo, Moment::WithMail);
const SENDER: Use = Use::Access(AccessOf::Sender, Moment::WithMail);
const HEADERS: Use = Use::Checks(Part::Header, Where::Arrival);

/// Files in memory: contents, and seconds at which they were saved.
struct Files(Vec<(&'static str, Vec<u8>, u64)>);

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let file = self.0.iter().find(|(name, ..)| Path::new(name) == path);
        file.map(|(_, bytes, _)| bytes.clone()).ok_or_else(|| SourceError::Missing(path.to_owned()))
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        let file = self.0.iter().find(|(name, ..)| Path::new(name) == path)?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(file.2))
    }
}

fn parameters(main: &str) -> Parameters {
    let file = Arc::new(SourceFile { path: PathBuf::from("main.cf"), text: main.to_owned() });
    let host = Host { hostname: "mail.example.com".to_owned(), addresses: Vec::new() };
    Parameters::new(&MainCf::parse(&file).0, &host, Compat::V3_11).0
}

fn setting() -> Setting {
    let words = [
        "permit",
        "reject",
        "permit_mynetworks",
        "reject_unauth_destination",
        "reject_rbl_client",
        "my_class",
    ];
    Setting {
        restrictions: words.map(str::to_owned).to_vec(),
        transports: ["smtp", "relay", "local", "slow"].map(str::to_owned).to_vec(),
        access_parents: Parents::Match,
        transport_parents: Parents::Dotted,
        milter_fault: |list| (!list.contains(':')).then(|| "no milter".to_owned()),
    }
}

fn used(table: &str, how: Use) -> Used {
    let word = Spanned::new(table.to_owned(), Place::nowhere());
    let Ok(mut table) = TableSpec::parse(&word) else { unreachable!("{table}") };
    if how == Use::Aliases {
        table.usage = Usage::Aliases;
    }
    Used { table, how, by: format!("{how:?}"), place: Place::nowhere() }
}

fn found(main: &str, used: &[Used], files: Files) -> Vec<Diagnostic> {
    let (parameters, setting, catalogue) = (parameters(main), setting(), Catalogue::new());
    let (tables, _) = Snapshot::compile(&catalogue, &files);
    let subject = Subject {
        used,
        setting: &setting,
        parameters: &parameters,
        catalogue: &catalogue,
        tables: &tables,
        sources: &files,
    };
    review(&subject)
}

/// `K0330 W 2`, or `K0330 W` for what no line holds.
fn shown(found: &[Diagnostic]) -> Vec<String> {
    let line = |one: &Diagnostic| {
        if one.place.line() == 0 { String::new() } else { format!(" {}", one.place.line()) }
    };
    let letter = |one: &Diagnostic| one.severity.to_string().get(..1).unwrap_or("").to_owned();
    found.iter().map(|one| format!("{} {}{}", one.code, letter(one), line(one))).collect()
}

/// Judges `text` in the one table `type:t` for `uses`.
fn check(kind: &str, uses: &[Use], text: &str, expect: &[&str]) {
    let used: Vec<Used> = uses.iter().map(|how| used(&format!("{kind}:/t"), *how)).collect();
    let found = found("", &used, Files(vec![("/t", text.as_bytes().to_vec(), 1)]));
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown(&found), expect, "{kind} {uses:?}\n{text}\n{said:#?}");
}

/// One line, which has the finding `expect` (`K0330 w`), or none.
fn line(how: Use, text: &str, expect: &str) {
    let place = if expect.is_empty() { Vec::new() } else { vec![format!("{expect} 1")] };
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    check("hash", &[how], &format!("{text}\n"), &place);
}

#[test]
fn keys_of_client_tables() {
    for fine in [
        "192.0.2.1 OK",
        "192.168 REJECT",
        "10 REJECT",
        "mail.example.com OK",
        "example.com REJECT",
        "com REJECT",
        "2001:db8::1 OK",
        "2001:db8 REJECT",
        "unknown REJECT",
        "localhost OK",
        "EXAMPLE.com OK",
        "2001:DB8::1 OK",
        "_x.example.com OK",
        "::1 OK",
        "2001:0:1 OK",
    ] {
        line(CLIENT, fine, "");
    }
    for (odd, code) in [
        ("user@example.com REJECT", "K0330 w"),
        ("@example.com REJECT", "K0330 w"),
        ("192.168.0.0/16 REJECT", "K0331 w"),
        ("2001:db8::/32 REJECT", "K0331 w"),
        ("192.168. REJECT", "K0331 w"),
        ("192.168.001 REJECT", "K0331 w"),
        ("192.168.300 REJECT", "K0331 w"),
        ("[192.0.2.1] OK", "K0331 w"),
        ("192.0.2.1:25 OK", "K0331 w"),
        ("mail.example.com:25 OK", "K0331 w"),
        ("*.example.com REJECT", "K0331 w"),
        (".example.com REJECT", "K0331 w"),
        ("example.com. REJECT", "K0331 w"),
        ("example.com, REJECT", "K0331 w"),
        ("2001:0db8::1 OK", "K0331 w"),
        ("2001:0db8 OK", "K0331 w"),
        ("http://example.com/ REJECT", "K0331 w"),
    ] {
        line(CLIENT, odd, code);
    }
}

/// T1.10: addresses in a table for HELO.
#[test]
fn keys_of_helo_tables() {
    line(HELO, "192.0.2.1 OK", "K0330 w");
    line(HELO, "xxx.yyy.zzz.aaa OK", "K0330 w");
    line(HELO, "192.168 REJECT", "K0330 w");
    line(HELO, "user@example.com REJECT", "K0330 w");
    line(HELO, "192.0.2.1 REJECT you are not me", "");
    line(HELO, "[192.0.2.1] OK", "");
    line(HELO, "mail.example.com OK", "");
    line(HELO, "localhost REJECT", "");
    check("cidr", &[HELO], "192.0.2.1 OK\n192.0.2.2 REJECT\n", &["K0330 w 1"]);
}

#[test]
fn keys_of_mail_tables() {
    for fine in [
        "user@example.com OK",
        "example.com OK",
        "user@ OK",
        "<> REJECT",
        "xyz REJECT",
        "user@[192.0.2.1] OK",
    ] {
        line(SENDER, fine, "");
    }
    for (odd, code) in [
        ("@example.com REJECT", "K0331 w"),
        ("*@example.com REJECT", "K0331 w"),
        ("<user@example.com> OK", "K0331 w"),
        ("postmaster OK", "K0331 w"),
        ("192.0.2.1 REJECT", "K0330 w"),
        ("192.168 REJECT", "K0330 w"),
    ] {
        line(SENDER, odd, code);
    }
    line(Use::VirtualAliases, "info@example.com a@example.org", "");
    line(Use::VirtualAliases, "example.com anything", "");
    line(Use::VirtualAliases, "*@example.com a@example.org", "K0331 w");
    line(Use::VirtualAliases, ".example.com a@example.org", "K0331 w");
    line(Use::VirtualAliases, "info@ a@example.org", "K0331 w");
    line(Use::VirtualAliases, "@example.com a@example.org", "K0354 h");
    line(Use::Addresses, "example.com example.org", "K0331 w");
    line(Use::Addresses, "@example.com @example.org", "");
    line(Use::Transports, "* smtp:[192.0.2.1]", "");
    line(Use::Transports, ".example.com slow:", "");
    line(Use::Transports, "@example.com slow:", "K0331 w");
    line(Use::Domains(Parents::Match), ".example.com x", "K0331 w");
    line(Use::Domains(Parents::Dotted), ".example.com x", "");
    line(Use::Clients(Parents::Match), "192.168 x", "K0331 w");
    line(Use::Postscreen, "192.0.2.1 permit", "");
    line(Use::Postscreen, "mail.example.com permit", "K0330 w");
    line(ACCESS(AccessOf::Certificate), "0123456789abcdef0123456789abcdef OK", "K0331 w");
    line(ACCESS(AccessOf::Certificate), "01:23:45 OK", "");
    line(ACCESS(AccessOf::Sasl), "*@x OK", "");
}

/// A key is at home where one of several uses asks for it.
#[test]
fn several_uses() {
    check("hash", &[CLIENT, HELO], "192.0.2.1 OK\n", &[]);
    check("hash", &[CLIENT, SENDER], "192.168.0.0/16 OK\n", &["K0331 w 1"]);
    check("hash", &[Use::VirtualAliases, Use::Domains(Parents::Dotted)], "example.com REJECT\n", &[]);
}

#[test]
fn actions_of_access_tables() {
    for fine in [
        "OK",
        "relay",
        "REJECT no",
        "dunno",
        "550 5.7.1 go away",
        "450 later",
        "permit",
        "my_class",
        "1322334455",
        "reject_unauth_destination",
        "REJECT_UNAUTH_DESTINATION, permit",
        "FILTER smtp:[192.0.2.1]",
        "REDIRECT a@example.com",
        "PREPEND X-Spam: yes",
        "HOLD",
        "DISCARD",
        "WARN x",
        "DEFER_IF_PERMIT x",
        "reject_rbl_client zen.example",
        "REJECT your mail: to us",
    ] {
        line(CLIENT, &format!("example.com {fine}"), "");
    }
    for (odd, code) in [
        ("REJCT", "K0332 e"),
        ("ACCEPT", "K0332 e"),
        ("OK,", "K0332 e"),
        ("= REJECT", "K0332 e"),
        ("ERROR:550 no", "K0332 e"),
        ("check_policy_service unix:private/x", "K0332 e"),
        ("250 fine", "K0332 e"),
        ("my_clas", "K0332 e"),
        ("550", "K0333 w"),
        ("FILTER smtp", "K0334 w"),
        ("REDIRECT root", "K0334 w"),
        ("PREPEND X-Spam", "K0334 w"),
        ("REJECT 550 no", "K0353 h"),
        ("REJECT go # spammers", "K0337 w"),
    ] {
        line(CLIENT, &format!("example.com {odd}"), code);
    }
    line(CLIENT, "example.com OK # ours", "");
    let early = Use::Access(AccessOf::Client, Moment::BeforeMail);
    line(early, "example.com HOLD", "K0334 w");
    line(early, "example.com REJECT", "");
    line(Use::Access(AccessOf::Sender, Moment::AfterContent), "example.com PREPEND X-A: b", "K0334 w");
    line(ACCESS(AccessOf::Hosts), "192.0.2.1 OK", "K0342 w");
    line(ACCESS(AccessOf::ReverseClient), "example.com permit_mynetworks", "K0342 w");
    line(ACCESS(AccessOf::Hosts), "192.0.2.1 DUNNO", "");
}

#[test]
fn help_names_what_was_meant() {
    let check = |value: &str, expect: &str| {
        let files = Files(vec![("/t", format!("example.com {value}\n").into_bytes(), 1)]);
        let found = found("", &[used("hash:/t", CLIENT)], files);
        let help = found.first().and_then(|one| one.help.clone()).unwrap_or_default();
        assert!(help.contains(expect), "{value}: {help}");
    };
    check("REJCT", "did you mean REJECT?");
    check("reject_unauth_destinaton", "did you mean reject_unauth_destination?");
    check("DENY", "did you mean REJECT?");
    check("ERROR:5.7.1:550 no", "did you mean REJECT?");
    check("= REJECT", "then REJECT");
}

#[test]
fn values_of_other_tables() {
    line(Use::Recipients, "a@example.com REJECT", "K0335 w");
    line(Use::Recipients, "a@example.com x", "");
    line(Use::Clients(Parents::Match), "192.0.2.1 REJECT", "K0335 e");
    line(Use::Clients(Parents::Match), "192.0.2.1 OK", "");
    line(Use::VirtualAliases, "a@example.com REJECT", "K0335 w");
    line(Use::VirtualAliases, "a@example.com ok", "");
    line(Use::VirtualAliases, "a@example.com b@example.com # Bob", "K0337 w");
    line(Use::VirtualAliases, "a@example.com |/bin/x", "K0345 w");
    line(Use::Transports, "example.com slow:", "");
    line(Use::Transports, "example.com :", "");
    line(Use::Transports, "example.com fast:", "K0346 e");
    line(Use::Transports, "example.com mail.example.net", "K0346 e");
    check("hash", &[Use::VirtualAliases], "@v.example # nobody\n", &["K0337 w 1", "K0354 h 1"]);
    line(Use::Transports, "example.com smtp:192.0.2.1", "K0347 h");
    line(Use::Transports, "example.com smtp:mail.example.net", "K0347 h");
    line(Use::Transports, "example.com smtp:[mail.example.net]:587", "");
    line(Use::Transports, "example.com smtp:example.net", "");
    line(Use::TlsPolicies, "example.com secure match=x", "");
    line(Use::TlsPolicies, "example.com mandatory", "K0353 w");
    line(Use::Passwords, "[mail.example.com]:587 user:secret", "");
    line(Use::Passwords, "[mail.example.com]:587 user", "K0353 w");
    line(Use::Postscreen, "192.0.2.1 OK", "K0353 w");
    line(Use::Milters, "192.0.2.1 localhost", "K0467 e");
    line(Use::Milters, "192.0.2.1 Disable", "");
    line(Use::Milters, "192.0.2.1 inet:localhost:8891", "");
    line(Use::Milters, "example.com DISABLE", "K0330 w");
    check("hash", &[Use::Aliases], "postmaster: root\nx: |/bin/y -z\n", &["K0345 w 2"]);
    check("hash", &[Use::Aliases], "postmaster: root\nx: \"|/bin/y -z\"\n", &[]);
    check("hash", &[Use::Aliases], "root: me\n", &["K0355 h"]);
    check("hash", &[Use::Recipients], "# none\n", &["K0352 w"]);
    check("cidr", &[SENDER], "192.0.2.0/24 OK\n", &["K0356 w"]);
}

#[test]
fn lines_that_deceive() {
    check("hash", &[CLIENT], "192.0.2.1 OK\n  192.0.2.2 OK\n", &["K0336 w 2"]);
    check("hash", &[CLIENT], "192.0.2.1 REJECT go\n  away, please\n", &[]);
    check("hash", &[CLIENT], "example.com REJECT\\\n", &["K0351 w 1", "K0332 e 1"]);
    check("hash", &[CLIENT], "\u{feff}example.com REJECT\n", &["K0350 w 1"]);
    check("hash", &[Use::Aliases], "postmaster: a,\n  b,\n  c\n", &[]);
    check("hash", &[Use::Aliases], "postmaster: a\n info: b\n", &["K0336 w 2"]);
    check("hash", &[Use::Aliases], "postmaster: a\n#info: b,\n  c\n", &["K0336 w 3"]);
    check("hash", &[Use::VirtualAliases], "a@example.com b,\n  c@example.org\n", &[]);
    check("hash", &[Use::VirtualAliases], "a@example.com b\n  c@example.com d\n", &["K0336 w 2"]);
    check("cidr", &[CLIENT], "192.0.2.0/24 OK\n 10.0.0.0/8 REJECT\n", &["K0336 w 2"]);
    check("regexp", &[HEADERS], "/a/ REJECT\n /b/ REJECT\n", &["K0336 w 2"]);
    check("hash", &[CLIENT], "a.example OK\r\nb.example REJECT\r\n", &[]);
}

#[test]
fn rules() {
    check("cidr", &[CLIENT], "10.0.0.0/8 OK\n10.1.0.0/16 REJECT\n10.2.0.0/16 OK\n", &["K0338 w 2"]);
    check("cidr", &[CLIENT], "10.1.0.0/16 REJECT\n10.0.0.0/8 OK\n", &[]);
    check("cidr", &[CLIENT], "10.0.0.0/9 OK\n10.128.0.0/9 OK\n10.0.0.0/8 REJECT\n", &["K0338 w 3"]);
    check("cidr", &[CLIENT], "10.0.0.0/8 REJCT\n", &["K0332 e 1"]);
    check("cidr", &[Use::Clients(Parents::Match)], "10.0.0.0/8 REJECT\n", &["K0335 e 1"]);
    check("regexp", &[HEADERS], "/^a/ REJECT\n/^b/ OK\n/^a/ DUNNO\n", &["K0338 w 3"]);
    check("regexp", &[HEADERS], "/./ DUNNO\n/^b/ REJECT\n", &["K0338 w 2"]);
    check("regexp", &[HEADERS], "if /^Subject/\n/./ DUNNO\nendif\n/^b/ REJECT\n", &[]);
    check("regexp", &[HEADERS], "/^Subject: x/i REJECT\n", &["K0341 h 1"]);
    check("regexp", &[HEADERS], "/^[0-9]+$/i REJECT\n", &[]);
    check("regexp", &[HEADERS], "/^X-A/ DROP\n/^X-B/ 550 no\n/^X-C/ STRIP\n", &["K0343 w 1", "K0343 w 2"]);
    check("regexp", &[HEADERS], "/^X-A/ FILTER x\n/^X-B/ REPLACE y\n", &["K0334 w 1", "K0334 w 2"]);
    let delivery = Use::Checks(Part::Header, Where::Delivery);
    check("regexp", &[delivery], "/^X-A/ REJECT\n/^X-B/ IGNORE\n", &["K0343 w 1"]);
    check("regexp", &[Use::Checks(Part::Header, Where::Milter)], "/^X-A/ PREPEND X: y\n", &["K0343 w 1"]);
    check("regexp", &[Use::Checks(Part::Body, Where::Arrival)], "/^x/ REPLACE y\n", &[]);
    check("regexp", &[SENDER], "/^$/ REJECT\n/^<>$/ OK\n", &["K0330 w 1"]);
    check("pcre", &[CLIENT], "/user@example\\.com/ REJECT\n/^mail/ OK\n", &["K0330 w 1"]);
    check(
        "pcre",
        &[HEADERS],
        "/^(a+)+$/ REJECT\n/^([a-z-]+\\.)+com$/ REJECT\n/^(?>a+)+$/ REJECT\n",
        &["K0340 w 1"],
    );
    check("regexp", &[HEADERS], "/^(a+)+$/ REJECT\n", &[]);
    // What the loader has skipped isn't judged.
    check("regexp", &[HEADERS], "/a/foo DROP\n", &["K0305 w 1"]);
    // What the loader says of tables that aren't served yet: no delimiters, no such flag.
    check("regexp", &[HEADERS], "^Subject: x REJECT\nSubject: y REJECT\n", &["K0305 w 1", "K0305 w 2"]);
}

/// T1.14: `Received:` is what a loop is known by.
#[test]
fn received_headers() {
    check("regexp", &[HEADERS], "/^Received:/ IGNORE\n", &["K0339 w 1"]);
    check("regexp", &[HEADERS], "if /^Received:/\n/^Received: .*/ STRIP\nendif\n", &["K0339 w 2"]);
    check("regexp", &[HEADERS], "/^Received: from .*\\[192\\.168\\./ IGNORE\n", &[]);
    check("regexp", &[HEADERS], "/^Received:/ HOLD\n", &[]);
    check("regexp", &[HEADERS], "/^X-Mailer:/ IGNORE\n", &[]);
}

#[test]
fn loops() {
    let v = &[Use::VirtualAliases];
    check("hash", v, "a@x.example b@x.example\nb@x.example a@x.example\n", &["K0344 e 1"]);
    check("hash", v, "a@x.example a@x.example, b@x.example\nb@x.example c@y.example\n", &[]);
    check("hash", v, "@x.example @y.example\n@y.example @x.example\n", &["K0354 h 1", "K0344 e 1"]);
    check("hash", v, "a@x.example b@x.example, c@x.example\nb@x.example d\nc@x.example d\n", &[]);
    check("hash", &[Use::Aliases], "postmaster: root\nroot: admin\nadmin: root\n", &["K0344 e 2"]);
    check("hash", &[Use::Aliases], "postmaster: root\nroot: root, me\n", &[]);
}

#[test]
fn classes() {
    let check = |main: &str, text: &str, expect: &[&str]| {
        let used = by_parameters(&parameters(main));
        let found = found(main, &used, Files(vec![("/t", text.as_bytes().to_vec(), 1)]));
        let said = shown(&found).into_iter().filter(|one| one.starts_with("K0348")).collect::<Vec<_>>();
        assert_eq!(said, expect, "{main}: {found:#?}");
    };
    check("mydestination = a.example\nvirtual_alias_domains = hash:/t\n", "a.example x\n", &["K0348 w 1"]);
    check("mydestination = b.example\nvirtual_alias_domains = hash:/t\n", "a.example x\n", &[]);
    check("virtual_mailbox_domains = a.example\nrelay_domains = hash:/t\n", "A.example x\n", &["K0348 w 1"]);
    check("mydestination = a.example\nrelay_domains = hash:/t\n", "a.example x\n", &[]);
    check("mydestination = a.example\nvirtual_alias_domains = a.example\n", "", &[]);
}

#[test]
fn files() {
    let check = |saved: u64, made: u64, expect: &[&str]| {
        let files = Files(vec![("/t", b"a.example OK\n".to_vec(), saved), ("/t.db", Vec::new(), made)]);
        let found = found("", &[used("hash:/t", CLIENT)], files);
        let said: Vec<String> = shown(&found).into_iter().filter(|one| one.starts_with("K0349")).collect();
        assert_eq!(said, expect);
    };
    check(20, 10, &["K0349 h"]);
    check(10, 20, &[]);
}

/// Words that should name tables, in parameters that nothing opens yet as well.
#[test]
fn words_that_name_no_table() {
    let check = |main: &str, expect: &[&str]| {
        let found = misread(&parameters(&format!("alias_maps =\n{main}\n")));
        assert!(found.iter().all(|one| one.help.is_some()), "{found:?}");
        let said: Vec<String> =
            found.iter().map(|one| format!("{} {}", one.code, one.place.text())).collect();
        assert_eq!(said, expect, "{main}");
    };
    check("transport_maps = hsah:/t", &["K0301 hsah:/t"]);
    check("virtual_mailbox_maps = hash:/t, hsah:/u", &["K0301 hsah:/u"]);
    check("sender_bcc_maps = pcre:/t, /etc/postfix/bcc", &["K0302 /etc/postfix/bcc"]);
    check("header_checks = regexp", &["K0302 regexp"]);
    check("transport_maps = proxy:hash:/t, inline:{a=b}, ldap:x", &[]);
    check("postscreen_access_list = permit_mynetworks, cidr:/t", &[]);
}

/// What the loader says of a key that stands twice, and of one without a value.
#[test]
fn first_places() {
    let files =
        || Files(vec![("/t", b"a.example OK\nb.example OK\na.example REJECT\nc.example\n".to_vec(), 1)]);
    let found = found("", &[used("hash:/t", CLIENT)], files());
    let help = |code: u16| found.iter().find(|one| one.code.0 == code).and_then(|one| one.help.clone());
    assert!(help(307).is_some_and(|help| help.starts_with("/t:1 has the key already")), "{found:?}");
    assert!(help(305).is_some_and(|help| help.contains("`c.example REJECT`")), "{found:?}");
}

/// Of one fault twenty lines are told, and how many more there are.
#[test]
fn many_faults() {
    let text: String = (0..5_000).map(|n| format!("u{n}@example.com REJECT\n")).collect();
    let found = found("", &[used("hash:/t", CLIENT)], Files(vec![("/t", text.into_bytes(), 1)]));
    assert_eq!(found.len(), 21);
    assert!(found.last().is_some_and(|last| last.message.starts_with("and 4980 more")), "{found:?}");
}

/// What Postfix ships and documents, and what the examples have, is clean.
#[test]
fn samples() {
    check(
        "hash",
        &[Use::Aliases],
        "# See man 5 aliases\npostmaster:    root\nroot: \"|/bin/x y\", me\n",
        &[],
    );
    let access = "1.2.3 REJECT\n1.2.3.4 OK\n";
    check("hash", &[CLIENT], access, &[]);
    let transport = "my.domain    :\n.my.domain   :\n*            smtp:outbound-relay.my.domain\nexample.com      slow:\n\
                     example.net  :[gateway.example.com]\nexample.org      smtp:bar.example:2025\n.example.org     \
                     error:mail for *.example.com is not deliverable\n";
    let found = found("", &[used("hash:/t", Use::Transports)], Files(vec![("/t", transport.into(), 1)]));
    // `error` is no service of this setting.
    assert_eq!(shown(&found), ["K0346 e 7"]);
    let odd = "a.example smtp:[mail.x.test\nb.example :x.test:smtpp\nc.example smtp:[mail.x.test]:smtp\n";
    let found =
        super::tests::found("", &[used("hash:/t", Use::Transports)], Files(vec![("/t", odd.into(), 1)]));
    assert_eq!(shown(&found), ["K0357 e 1", "K0357 w 2"]);
    let client = "1.2.3.4/32 REJECT\n10.0.0.0/8 OK\n192.168.1.1             OK\n192.168.0.0/16          REJECT\n\
                  2001:db8::1             OK\n2001:db8::/32           REJECT\n";
    check("cidr", &[CLIENT], client, &[]);
    let headers = "/[^[:print:]]{7}/ DUNNO\n/^Subject: make money fast/ REJECT\n/^content-(type|disposition):.*name[[:space:]]*=.*\\.(exe|vbs)/ \
                   REJECT Bad attachment file name extension: $2\n/^To: friend@public\\.com/  REJECT\n";
    check("regexp", &[HEADERS], headers, &[]);
    check(
        "pcre",
        &[HEADERS],
        "/^Subject:\\s+\\S/ DUNNO\n/^(?:From|To): (.*)@x/ WARN $1\n/^X-(\\w+): y/ REPLACE X-$1: z\n",
        &[],
    );
}

/// What stands in a table's own name is judged too, and found where the name is.
#[test]
fn tables_in_their_names() {
    let file = Arc::new(SourceFile { path: PathBuf::from("main.cf"), text: " ".repeat(200) });
    let check = |name: &str, how: Use, expect: &[&str]| {
        let place = Place::new(&file, 7, 9);
        let word = Spanned::new(name.to_owned(), place.clone());
        let Ok(table) = TableSpec::parse(&word) else { unreachable!("{name}") };
        let used = Used { table, how, by: String::new(), place };
        let found = found("", &[used], Files(Vec::new()));
        let codes: Vec<String> = found.iter().map(|one| one.code.to_string()).collect();
        assert_eq!(codes, expect, "{name}: {found:?}");
        let here = |one: &Diagnostic| one.fix.is_none() && one.place == Place::new(&file, 7, 9);
        assert!(found.iter().all(here), "{found:?}");
    };
    check("inline:{ {a.example=REJCT} }", SENDER, &["K0332"]);
    check("inline:{ {a.example=REJECT} }", SENDER, &[]);
    check("inline:{ {a.example=nosuch:x} }", Use::Transports, &["K0346"]);
    check("inline:{ {a.example=smtp:[x.example} }", Use::Transports, &["K0357"]);
    check("inline:{ {a.example=smtp:[x.example]}, {b.example=:}, {c.example=slow:} }", Use::Transports, &[]);
    check("cidr:{{192.0.2.0/24 REJCT}}", CLIENT, &["K0332"]);
    check("pcre:{{/^received:.*/ IGNOR}}", HEADERS, &["K0343"]);
    check("pcre:{{/^received:.*/ IGNORE}}", HEADERS, &["K0339"]);
    check("pcre:{{/^x-mailer:.*/ IGNORE}}", HEADERS, &[]);
    check("pcre:{{/^rec(eived:/ IGNORE}}", HEADERS, &["K0305"]);
}

/// Postfix's own example has the certificate's owner behind the fingerprint.
#[test]
fn certificates_have_any_text() {
    let name = "D7:04:2F:A7:0B:8C:A5:21:FA:31:77:E1:41:8A:EE:80";
    let check = |how: Use, expect: usize| {
        let file = Files(vec![("/c", format!("{name} lutzpc.at.home\n").into_bytes(), 0)]);
        assert_eq!(found("", &[used("texthash:/c", how)], file).len(), expect, "{how:?}");
    };
    check(Use::Certificates, 0);
    check(ACCESS(AccessOf::Certificate), 1);
}
