//! Every row was tried against Postfix 3.7: its answer at RCPT from a client without rights, and the address
//! that its access maps were asked for. The open-relay probes among them: percent, bang, source route, quoted
//! local part, literal, UUCP. T1.6, T2.4.

use super::*;
use config::{Compat, Host, Interface, MainCf, SourceFile};
use mail::PathSyntax;
use std::path::Path;
use std::sync::Arc;
use tables::{Snapshot, SourceError};

const MAIN_CF: &str = "\
compatibility_level = 3.6
myhostname = mx.our.example
mydomain = our.example
myorigin = our.example
mydestination = our.example, mx.our.example, localhost
inet_interfaces = all
virtual_alias_maps = inline:{a@valias.example=root@our.example, @wild.example=root, b@our.example=nobody}
virtual_alias_domains = valias.example, wild.example
virtual_mailbox_domains = vmbox.example
virtual_mailbox_maps = inline:{u@vmbox.example=vmbox/u/, w@vmbox.example=vmbox/w}
relay_domains = relay.example
relay_recipient_maps = inline:{r@relay.example=x}
local_recipient_maps = inline:{root=x, postmaster=x, al=x}
";

struct NoFiles;

impl Sources for NoFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        match path.to_str() {
            Some("/etc/aliases") => Ok(b"postmaster:    root\nabuse: root\n".to_vec()),
            _ => Err(SourceError::Missing(path.to_owned())),
        }
    }
}

/// The classes of [`MAIN_CF`] with more lines, and their tables.
fn compile(more: &str) -> (AddressClasses, Snapshot) {
    let text = format!("{MAIN_CF}{more}");
    let (main, _) = MainCf::parse(&Arc::new(SourceFile { path: "main.cf".into(), text }));
    let addresses =
        ["127.0.0.1", "192.0.2.5"].map(|address| Interface { address: address.parse().unwrap(), prefix: 32 });
    let host = Host { hostname: "mx.our.example".to_owned(), addresses: addresses.to_vec() };
    let (parameters, found) = Parameters::new(&main, &host, Compat::V3_7);
    assert_eq!(found, [], "{more}");
    let mut catalogue = Catalogue::new();
    let (classes, found) = AddressClasses::compile(&parameters, &mut catalogue, &NoFiles);
    assert_eq!(found, [], "{more}");
    let (snapshot, mut found) = Snapshot::compile(&catalogue, &NoFiles);
    found.retain(|one| !one.message.contains("NIS lookups disabled"));
    assert_eq!(found, [], "{more}");
    (classes, snapshot)
}

/// The answer to `RCPT TO:path` under `reject_unauth_destination`, and what access maps are asked for.
fn answer(classes: &AddressClasses, snapshot: &Snapshot, path: &str) -> (String, String) {
    let Ok(address) = Address::parse_path(path.as_bytes(), PathSyntax::Rfc822) else {
        return ("501".to_owned(), String::new());
    };
    let resolved = classes.resolve(&address, snapshot).unwrap();
    if let Some(reply) = resolved.syntax_refusal(Role::Recipient, Utf8Domains::Refused) {
        return (reply.code.to_string(), String::new());
    }
    let key = resolved.recipient.to_external().to_lowercase();
    if !classes.is_authorized_destination(&resolved) {
        return ("554".to_owned(), key);
    }
    let refusal = classes.existence(&resolved, snapshot).unwrap().refusal(Role::Recipient, &address);
    let verdict = refusal.map_or("250".to_owned(), |reply| {
        assert!(reply.text.starts_with(&format!("<{}>: Recipient address rejected: ", address.as_str())));
        let table = reply.text.rsplit("User unknown in ").next().unwrap().replace(" table", "");
        format!("{} {} {table}", reply.code, reply.dsn.unwrap())
    });
    (verdict, key)
}

fn check(more: &str, rows: &[(&str, &str, &str)]) {
    let (classes, snapshot) = compile(more);
    for (path, verdict, key) in rows {
        let expect = ((*verdict).to_owned(), (*key).to_owned());
        assert_eq!(answer(&classes, &snapshot, path), expect, "{path} {more}");
    }
}

/// Path, verdict, key.
const ROWS: &[(&str, &str, &str)] = &[
    ("<root@our.example>", "250", "root@our.example"),
    ("<root@OUR.example>", "250", "root@our.example"),
    ("<root@localhost>", "250", "root@localhost"),
    ("<root>", "250", "root@our.example"),
    ("<Root>", "250", "root@our.example"),
    ("<postmaster@other.example>", "554", "postmaster@other.example"),
    ("<nosuch@our.example>", "550 5.1.1 local recipient", "nosuch@our.example"),
    ("<nosuch+ext@our.example>", "550 5.1.1 local recipient", "nosuch+ext@our.example"),
    ("<root+ext@our.example>", "550 5.1.1 local recipient", "root+ext@our.example"),
    ("<root@[127.0.0.1]>", "250", "root@[127.0.0.1]"),
    ("<nosuch@[127.0.0.1]>", "550 5.1.1 local recipient", "nosuch@[127.0.0.1]"),
    ("<root@[192.0.2.1]>", "554", "root@[192.0.2.1]"),
    ("<root@[IPv6:::1]>", "250", "root@[ipv6:::1]"),
    ("<root@[0.0.0.0]>", "554", "root@[0.0.0.0]"),
    ("<root@sub.our.example>", "554", "root@sub.our.example"),
    ("<root@our.example.>", "250", "root@our.example"),
    ("<a@valias.example>", "250", "a@valias.example"),
    ("<x@valias.example>", "550 5.1.1 virtual alias", "x@valias.example"),
    ("<anything@wild.example>", "250", "anything@wild.example"),
    ("<u@vmbox.example>", "250", "u@vmbox.example"),
    ("<x@vmbox.example>", "550 5.1.1 virtual mailbox", "x@vmbox.example"),
    ("<r@relay.example>", "250", "r@relay.example"),
    ("<x@relay.example>", "550 5.1.1 relay recipient", "x@relay.example"),
    ("<r@sub.relay.example>", "550 5.1.1 relay recipient", "r@sub.relay.example"),
    ("<x@other.example>", "554", "x@other.example"),
    ("<x%other.example@our.example>", "554", "x@other.example"),
    ("<x%other.example@relay.example>", "554", "x%other.example@relay.example"),
    ("<x%other.example@valias.example>", "554", "x%other.example@valias.example"),
    ("<x%other.example@vmbox.example>", "554", "x%other.example@vmbox.example"),
    ("<x%other.example>", "554", "x@other.example"),
    ("<root%our.example>", "250", "root@our.example"),
    ("<root%our.example@our.example>", "250", "root@our.example"),
    ("<root%our.example@relay.example>", "554", "root%our.example@relay.example"),
    ("<root%our.example@other.example>", "554", "root%our.example@other.example"),
    ("<x%relay.example@our.example>", "550 5.1.1 relay recipient", "x@relay.example"),
    ("<r%relay.example@our.example>", "250", "r@relay.example"),
    ("<r%relay.example@relay.example>", "554", "r%relay.example@relay.example"),
    ("<r%relay.example@valias.example>", "554", "r%relay.example@valias.example"),
    ("<x%other.example@[127.0.0.1]>", "554", "x@other.example"),
    ("<x%other.example@localhost>", "554", "x@other.example"),
    ("<other.example!x>", "554", "x@other.example"),
    ("<other.example!x@our.example>", "554", "x@other.example"),
    ("<other.example!x@relay.example>", "554", "other.example!x@relay.example"),
    ("<our.example!root>", "250", "root@our.example"),
    ("<our.example!root@our.example>", "250", "root@our.example"),
    ("<relay.example!r>", "250", "r@relay.example"),
    ("<relay.example!r@our.example>", "250", "r@relay.example"),
    ("<relay.example!r@relay.example>", "554", "relay.example!r@relay.example"),
    ("<relay!r>", "554", "r@relay"),
    (r#"<"x@other.example"@our.example>"#, "554", "x@other.example"),
    ("<x@other.example@our.example>", "554", "x@other.example"),
    (r#"<"x@other.example"@relay.example>"#, "554", r#""x@other.example"@relay.example"#),
    (r#"<"x@other.example"@vmbox.example>"#, "554", r#""x@other.example"@vmbox.example"#),
    (r#"<"r@relay.example"@our.example>"#, "250", "r@relay.example"),
    (r#"<"root@our.example"@our.example>"#, "250", "root@our.example"),
    (r#"<"root@our.example"@relay.example>"#, "554", r#""root@our.example"@relay.example"#),
    (r#"<"x%other.example"@our.example>"#, "554", "x@other.example"),
    (r#"<"other.example!x"@our.example>"#, "554", "x@other.example"),
    ("<@our.example:x@other.example>", "554", "x@other.example"),
    ("<@other.example:root@our.example>", "250", "root@our.example"),
    ("<@our.example:@other.example:x@our.example>", "550 5.1.1 local recipient", "x@our.example"),
    (r#"<"x@other.example">"#, "554", "x@other.example"),
    (r#"<"x%other.example">"#, "554", "x@other.example"),
    ("<x@other.example%our.example>", "501", ""),
    ("<x%other.example%our.example>", "554", "x@other.example"),
    ("<x%other.example%relay.example@our.example>", "554", "x%other.example@relay.example"),
    ("<our.example!other.example!x>", "554", "x@other.example"),
    ("<our.example!x%other.example>", "554", "x@other.example"),
    ("<x%other.example@our.example.>", "554", "x@other.example"),
    ("<@our.example>", "250", "mailer-daemon@our.example"),
    ("<@other.example>", "554", r#"""@other.example"#),
    (r#"<"@our.example"@our.example>"#, "250", "mailer-daemon@our.example"),
    ("<%other.example@our.example>", "554", r#"""@other.example"#),
    ("<x%@our.example>", "501", ""),
    ("<%@our.example>", "501", ""),
    ("<!x@our.example>", "501", ""),
    ("<x!@our.example>", "554", r#"""@x"#),
    ("<x@our.example%>", "501", ""),
    (r#"<""@our.example>"#, "250", "mailer-daemon@our.example"),
    ("<x@@our.example>", "501", ""),
    ("<x@%other.example@our.example>", "501", ""),
    ("<root@foo>", "554", "root@foo"),
    ("<root@mx>", "554", "root@mx"),
    ("<root%foo>", "554", "root@foo"),
    ("<foo!root>", "554", "root@foo"),
    ("<x%other.example%our.example@our.example>", "554", "x@other.example"),
    ("<x%other.example@our.example@our.example>", "554", "x@other.example"),
    ("<x:y@our.example>", "550 5.1.1 local recipient", r#""x:y"@our.example"#),
    ("<x@other.example:@our.example>", "501", ""),
    ("<al@our.example>", "250", "al@our.example"),
    ("<AL@our.example>", "250", "al@our.example"),
    ("<al+foo@our.example>", "550 5.1.1 local recipient", "al+foo@our.example"),
    ("<b@our.example>", "250", "b@our.example"),
    ("<b+x@our.example>", "550 5.1.1 local recipient", "b+x@our.example"),
    ("<MAILER-DAEMON>", "250", "mailer-daemon@our.example"),
    ("<MAILER-DAEMON@our.example>", "250", "mailer-daemon@our.example"),
    ("<-x@our.example>", "501", ""),
    ("<x%[192.0.2.9]@our.example>", "554", "x@[192.0.2.9]"),
    ("<x@[192.0.2.9]>", "554", "x@[192.0.2.9]"),
    ("<[192.0.2.9]!x>", "554", "x@[192.0.2.9]"),
    ("<x@1.2.3.4>", "501", ""),
    ("<a.x@vmbox.example>", "550 5.1.1 virtual mailbox", "a.x@vmbox.example"),
    ("<U@VMBOX.example>", "250", "u@vmbox.example"),
    ("<u+x@vmbox.example>", "550 5.1.1 virtual mailbox", "u+x@vmbox.example"),
    ("<a+x@valias.example>", "550 5.1.1 virtual alias", "a+x@valias.example"),
    ("<r+x@relay.example>", "550 5.1.1 relay recipient", "r+x@relay.example"),
    ("<root-request@our.example>", "550 5.1.1 local recipient", "root-request@our.example"),
    ("<owner-al@our.example>", "550 5.1.1 local recipient", "owner-al@our.example"),
    ("<al-request@our.example>", "550 5.1.1 local recipient", "al-request@our.example"),
    ("<,@%relay.examplex.:>", "250", "mailer-daemon@our.example"),
    ("<,@x:root>", "250", "root@our.example"),
    ("<,@x:y@other.example>", "554", "y@other.example"),
    ("<x@other.example@root@our.example>", "554", r#""x@other.example"@root"#),
    (r#"<"@x:y@other.example"@our.example>"#, "554", "y@other.example"),
    (r#"<"@x:root"@our.example>"#, "250", "root@our.example"),
    (r#"<"@x:"@our.example>"#, "250", "mailer-daemon@our.example"),
    ("<root@[192.0.2.5]>", "250", "root@[192.0.2.5]"),
];

#[test]
fn as_postfix_resolves() {
    check("", ROWS);
}

#[test]
fn rewriting() {
    let check = |more: &str, internal: &str, expect: &str| {
        let (classes, _) = compile(more);
        assert_eq!(classes.rewrite(&Address::from_internal(internal)).as_str(), expect, "{internal} {more}");
    };
    check("", "", "");
    check("", "user", "user@our.example");
    check("", "user@foo", "user@foo");
    check("append_dot_mydomain = yes\n", "user@foo", "user@foo.our.example");
    check("append_dot_mydomain = yes\n", "foo!user", "user@foo.our.example");
    check("append_dot_mydomain = yes\n", "user@[192.0.2.1]", "user@[192.0.2.1]");
    check("append_at_myorigin = no\n", "user", "user");
    check("allow_percent_hack = no\n", "user%foo", "user%foo@our.example");
    check("swap_bangpath = no\n", "foo!user", "foo!user@our.example");
    check("", "a!b!user", "b!user@a");
    check("", "user@foo.", "user@foo");
}

#[test]
fn routing_parameters() {
    check(
        "allow_percent_hack = no\n",
        // As Postfix decides (tests/dialogues/relay): what is not undone is still never ours to accept.
        &[("<x%other.example@our.example>", "554", "x%other.example@our.example")],
    );
    check("swap_bangpath = no\n", &[("<other.example!x@our.example>", "554", "other.example!x@our.example")]);
    check(
        "resolve_dequoted_address = no\n",
        &[("<\"x@other.example\"@our.example>", "554", "\"x@other.example\"@our.example")],
    );
    check(
        "allow_untrusted_routing = yes\n",
        &[("<r%other.example@relay.example>", "550 5.1.1 relay recipient", "r%other.example@relay.example")],
    );
    check("resolve_null_domain = yes\n", &[("<root@>", "250", "root@mx.our.example")]);
    check("resolve_numeric_domain = yes\n", &[("<root@192.0.2.5>", "250", "root@[192.0.2.5]")]);
    check("allow_min_user = yes\n", &[("<-x@our.example>", "550 5.1.1 local recipient", "-x@our.example")]);
    check("parent_domain_matches_subdomains =\n", &[("<r@sub.relay.example>", "554", "r@sub.relay.example")]);
    check(
        "unknown_local_recipient_reject_code = 450\n",
        &[("<x@our.example>", "450 4.1.1 local recipient", "x@our.example")],
    );
    check(
        "recipient_delimiter = +\n",
        &[
            ("<root+x@our.example>", "250", "root+x@our.example"),
            ("<u+x@vmbox.example>", "250", "u+x@vmbox.example"),
        ],
    );
    // alias_maps are of the aliases(5) form; its default names NIS, which finds nothing outside of a NIS domain.
    check(
        "local_recipient_maps = inline:{root=x} $alias_maps\n",
        &[
            ("<abuse@our.example>", "250", "abuse@our.example"),
            ("<x@our.example>", "550 5.1.1 local recipient", "x@our.example"),
        ],
    );
    check("local_recipient_maps =\n", &[("<x@our.example>", "250", "x@our.example")]);
}

#[test]
fn extensions() {
    let check = |more: &str, local: &str, expect: Option<(&str, &str)>| {
        let (classes, _) = compile(more);
        assert_eq!(classes.split_extension(local), expect, "{local} {more}");
    };
    check("", "a+b", None);
    check("recipient_delimiter = +\n", "a+b+c", Some(("a", "+b+c")));
    check("recipient_delimiter = +-\n", "a-b+c", Some(("a", "-b+c")));
    check("recipient_delimiter = +\n", "+b", None);
    check("recipient_delimiter = -\n", "owner-list", None);
    check("recipient_delimiter = -\n", "list-request", None);
    check(
        "recipient_delimiter = -\nowner_request_special = no\n",
        "list-request",
        Some(("list", "-request")),
    );
    check("recipient_delimiter = -\n", "double-bounce", None);
    check("recipient_delimiter = -\n", "mailer-daemon", None);
}

/// No spelling of routes gets a foreign address through.
#[test]
fn no_open_relay() {
    let (classes, snapshot) = compile("");
    let pieces = [
        "x",
        "other.example",
        "our.example",
        "relay.example",
        "@",
        "%",
        "!",
        "\"",
        "[127.0.0.1]",
        ":",
        ",",
        ".",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap()
        };
        let path: String = (0..next() % 8).map(|_| pieces[next() % pieces.len()]).collect();
        let Ok(address) = Address::parse_path(format!("<{path}>").as_bytes(), PathSyntax::Rfc822) else {
            continue;
        };
        let resolved = classes.resolve(&address, &snapshot).unwrap();
        if resolved.error.is_none() && classes.is_authorized_destination(&resolved) {
            let domain = resolved.recipient.domain().unwrap_or("").to_lowercase();
            let ours = ["our.example", "relay.example", "[127.0.0.1]"];
            assert!(
                ours.iter().any(|own| domain == *own || domain.ends_with(".relay.example")),
                "<{path}> {resolved:?}"
            );
            assert!(!resolved.recipient.local().contains(['@', '%', '!']), "<{path}> {resolved:?}");
        }
    }
}

#[test]
fn virtual_aliases() {
    let check = |more: &str, recipient: &str, expect: Option<&[&str]>| {
        let (classes, snapshot) = compile(more);
        let got = classes.expand_aliases(&Address::from_internal(recipient), &snapshot).unwrap();
        let expect: Option<Vec<Address>> =
            expect.map(|addresses| addresses.iter().map(|one| Address::from_internal(*one)).collect());
        let got = match got {
            Expansion::Recipients(addresses) => Some(addresses),
            Expansion::Unbounded(_) | Expansion::Nobody(_) => None,
        };
        assert_eq!(got, expect, "{recipient} {more}");
    };
    check("", "a@valias.example", Some(&["root@our.example"]));
    check("", "anything@wild.example", Some(&["root@our.example"]));
    check("", "x@other.example", Some(&["x@other.example"]));
    let maps = "virtual_alias_maps = inline:{ { a@x.example = b@x.example, c } { b@x.example = b@x.example d } \
                { l@x.example = m@x.example } { m@x.example = n@x.example l@x.example z } { @y.example = @z.example } }\n";
    check(maps, "a@x.example", Some(&["b@x.example", "c@our.example", "d@our.example"]));
    check(maps, "u+v@y.example", Some(&["u+v@z.example"]));
    check(maps, "l@x.example", None);
    check(&format!("recipient_delimiter = +\n{maps}"), "m+e@x.example", None);
    check(
        &format!("recipient_delimiter = +\n{maps}"),
        "b+e@x.example",
        Some(&["b+e@x.example", "d+e@our.example"]),
    );
}

/// A table that branches, or goes in circles, costs no more look-ups than its limits allow.
#[test]
fn virtual_aliases_cost_no_more_than_depth_times_size() {
    struct Counted<'a>(&'a Snapshot, std::cell::Cell<usize>);
    impl Lookup for Counted<'_> {
        type Stop = tables::LookupError;

        fn lookup(&self, table: tables::TableId, key: &str) -> Result<Option<String>, Self::Stop> {
            self.1.set(self.1.get() + 1);
            self.0.lookup(table, key)
        }

        fn snapshot(&self) -> &Snapshot {
            self.0
        }
    }
    let shapes: [fn(usize) -> String; 3] = [
        |n| format!("{{ e{n}@x.example = e{}@x.example, e{}@x.example }}", n + 1, n + 2),
        |n| format!("{{ e{n}@x.example = e{}@x.example, e{}@x.example }}", (n + 1) % 40, (n + 7) % 40),
        |n| format!("{{ e{n}@x.example = e{}@x.example, e{n}@x.example, e{}@x.example }}", n + 1, n + 1),
    ];
    for shape in shapes {
        let lines = (0..40).map(shape).collect::<Vec<_>>().join(" ");
        let limits = "virtual_alias_recursion_limit = 60\nvirtual_alias_expansion_limit = 50";
        let (classes, snapshot) = compile(&format!("virtual_alias_maps = inline:{{ {lines} }}\n{limits}\n"));
        let counted = Counted(&snapshot, std::cell::Cell::new(0));
        let got = classes.expand_aliases(&Address::from_internal("e0@x.example"), &counted).unwrap();
        // An address is asked for as a whole, by its name and by its domain.
        assert!(counted.1.get() <= 3 * 60 * 50, "{} look-ups for {got:?}", counted.1.get());
    }
}

/// What no client can give and yet comes, by an alias or a program of this machine: qmgr's words.
#[test]
fn what_is_no_address_goes_nowhere() {
    let route = |more: &str, recipient: &str| {
        let text = format!("{MAIN_CF}transport_maps = inline:{{pipe.test=prog:, far.test=prog:}}\n{more}");
        let (main, _) = MainCf::parse(&Arc::new(SourceFile { path: "main.cf".into(), text }));
        let host = Host { hostname: "mx.our.example".to_owned(), addresses: Vec::new() };
        let (parameters, _) = Parameters::new(&main, &host, Compat::V3_7);
        let mut catalogue = Catalogue::new();
        let (classes, _) = AddressClasses::compile(&parameters, &mut catalogue, &NoFiles);
        let routes = Routes::compile(&parameters, &mut catalogue);
        let (snapshot, _) = Snapshot::compile(&catalogue, &NoFiles);
        let (sender, recipient) = (Address::null(), Address::from_internal(recipient));
        let route = routes.route((&sender, &recipient), &classes, &snapshot).unwrap();
        format!("{}:{}", route.transport, route.nexthop)
    };
    let bad = "error:5.1.3 bad address syntax";
    for (recipient, expect) in [
        ("x@pipe.test", "prog:pipe.test"),
        ("-oX/tmp/y@pipe.test", bad),
        ("-va@our.example", bad),
        ("-t", bad),
        ("root@", bad),
        ("x@far..test", bad),
    ] {
        assert_eq!(route("", recipient), expect, "{recipient}");
    }
    assert_eq!(route("allow_min_user = yes\n", "-v@pipe.test"), "prog:pipe.test");
    assert_eq!(route("resolve_null_domain = yes\n", "root@"), "local:mx.our.example");
}
