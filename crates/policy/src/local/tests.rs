//! Aliases, files and mailboxes of a small machine; what is expected here is what Postfix 3.7.11 logs.

use super::*;
use crate::address::{AddressClasses, Lookup};
use config::{Compat, Host, MainCf, Parameters, SourceFile};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tables::{Catalogue, Snapshot, SourceError, Sources, TableId};

struct NoFiles;

impl Sources for NoFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Missing(path.to_owned()))
    }
}

struct Machine {
    snapshot: Snapshot,
    files: HashMap<String, String>,
    delivered: Vec<String>,
}

impl Lookup for Machine {
    type Stop = LookupError;

    fn lookup(&self, table: TableId, key: &str) -> Result<Option<String>, LookupError> {
        self.snapshot.lookup(table, key)
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

const PASSWD: &str = "joe:x:3001:3001::/home/joe:/bin/sh\njim:x:3002:3002::/home/jim:/bin/sh\n\
                      ann:x:3003:3003::/home/ann:/bin/sh\neve:x:3004:3004::/home/eve:/bin/sh\n";

impl Ground for Machine {
    fn account(&self, name: &str) -> Result<Option<Account>, String> {
        Ok(Account::find(PASSWD, name))
    }

    fn forward(&self, _: &Attributes<'_>, chain: &[Step]) -> Opened {
        let Some(Step::Forward { path, .. }) = chain.last() else { return Opened::Absent };
        self.files.get(path).map_or(Opened::Absent, |text| match text.strip_prefix("REFUSED ") {
            Some(why) => Opened::Refused(why.to_owned()),
            None => Opened::Text(text.clone().into_bytes()),
        })
    }

    fn include(&self, _: &Address, chain: &[Step]) -> Opened {
        let Some(Step::Include(path)) = chain.last() else { return Opened::Absent };
        self.files.get(path).map_or(Opened::Absent, |text| Opened::Text(text.clone().into_bytes()))
    }

    fn is_local(&self, address: &Address) -> Result<bool, LookupError> {
        Ok(address.domain().is_some_and(|domain| domain.eq_ignore_ascii_case("example.com")))
    }

    fn was_delivered_to(&self, address: &Address) -> bool {
        self.delivered.iter().any(|other| other == address.as_str())
    }
}

/// Aliases as `name: value` lines, files as (path, text), more of main.cf.
fn parts(main: &str, aliases: &str, files: &[(&str, &str)], recipient: &str) -> Vec<Part> {
    let rows: Vec<String> = aliases
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(k, v)| format!("{{{k} = {v}}}"))
        .collect();
    // Postfix refuses an inline table with nothing in it.
    let table = if rows.is_empty() { String::new() } else { format!("inline:{{ {} }}", rows.join(", ")) };
    let text = format!(
        "mydomain = example.com\nmyorigin = example.com\nmydestination = example.com\nrecipient_delimiter = +\n\
         alias_maps = {table}\n{main}\n",
    );
    let file = Arc::new(SourceFile { path: "main.cf".into(), text });
    let (main, _) = MainCf::parse(&file);
    let (parameters, _) =
        Parameters::new(&main, &Host { hostname: "mx".into(), addresses: vec![] }, Compat::V3_7);
    let mut catalogue = Catalogue::new();
    let (classes, _) = AddressClasses::compile(&parameters, &mut catalogue, &NoFiles);
    let local = Local::compile(&parameters, &mut catalogue);
    let (snapshot, _) = Snapshot::compile(&catalogue, &NoFiles);
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let machine = Machine { snapshot, files, delivered: vec!["loops@example.com".to_owned()] };
    expand(&local, &classes, &machine, &Address::from_internal(recipient))
}

fn said(parts: &[Part]) -> Vec<String> {
    let one = |part: &Part| {
        let to = part.recipient.local();
        match &part.action {
            Action::Mailbox(account) => format!("{to}: box of {}", account.name),
            Action::MailboxCommand(account, command) => format!("{to}: {} runs {command}", account.name),
            Action::Command(command) => format!("{to}: |{command}"),
            Action::File(file) => format!("{to}: {file}"),
            Action::Forward { address, sender: None } => format!("to {}", address.as_str()),
            Action::Forward { address, sender: Some(sender) } => {
                format!("to {} from {}", address.as_str(), sender.as_str())
            }
            Action::Pass { transport, nexthop } => format!("{to}: {transport}:{nexthop}"),
            Action::Discard => format!("{to}: discarded"),
            Action::Found(text) => format!("{to}: {text}"),
            Action::Refuse(dsn, text) => format!("{to}: {dsn} {text}"),
        }
    };
    parts.iter().map(one).collect()
}

const ALIASES: &str = "list: joe jim
one: joe
nested: one ann
mixed: joe u@far.test
self: self joe
past: \\joe
cmd: \"|cat >/tmp/x; echo hi\"
file: /mail/f
inc: :include:/inc
loop1: loop2
loop2: loop1
owner-lst: boss
lst: joe u@far.test sub
sub: jim \"|true\"
nouser: nonesuch
dup: joe joe jim JOE
eve: eve nonesuch
bob: bob joe
gone: :include:/nowhere
rel: :include:x
ext: joe+a";

#[test]
fn aliases() {
    let check = |recipient: &str, expect: &[&str]| {
        let files = [("/inc", "joe, \"|x\"\n# no\n\\jim"), ("/home/jim/.forward", "u@far.test")];
        let found = said(&parts("", ALIASES, &files, &format!("{recipient}@example.com")));
        assert_eq!(found, expect, "{recipient}");
    };
    check("joe", &["joe: box of joe"]);
    check("JOE+x", &["JOE+x: box of joe"]);
    check("list", &["joe: box of joe", "to u@far.test"]);
    check("List+x", &["joe: box of joe", "to u@far.test"]);
    check("nested", &["joe: box of joe", "ann: box of ann"]);
    check("mixed", &["joe: box of joe", "to u@far.test"]);
    check("self", &["self: 5.1.1 unknown user: \"self\"", "joe: box of joe"]);
    check("past", &["joe: box of joe"]);
    check("cmd", &["cmd: |cat >/tmp/x; echo hi"]);
    check("file", &["file: /mail/f"]);
    check("inc", &["to joe@example.com", "inc: 5.7.1 mail to command is restricted", "to jim@example.com"]);
    check("loop1", &["loop2: 5.4.6 alias database loop for loop2"]);
    check(
        "lst",
        &[
            "to joe@example.com from owner-lst@example.com",
            "to u@far.test from owner-lst@example.com",
            "to jim@example.com from owner-lst@example.com",
            "sub: |true",
        ],
    );
    check("nouser", &["nonesuch: 5.1.1 unknown user: \"nonesuch\""]);
    check("dup", &["joe: box of joe", "to u@far.test"]);
    check("eve", &["eve: box of eve", "nonesuch: 5.1.1 unknown user: \"nonesuch\""]);
    check("gone", &["gone: 5.3.5 mail system configuration error"]);
    check("rel", &["rel: 5.3.5 mail system configuration error"]);
    check("loops", &["loops: 5.4.6 mail forwarding loop for loops@example.com"]);
    check("postmaster", &["postmaster: discarded"]);
}

#[test]
fn files_of_users() {
    let check = |text: &str, recipient: &str, expect: &[&str]| {
        let files = [("/home/joe/.forward", text), ("/home/joe/.forward+x", "ann"), ("/i", "|true\nann")];
        assert_eq!(said(&parts("", ALIASES, &files, &format!("{recipient}@example.com"))), expect, "{text}");
    };
    check("ann", "joe", &["to ann@example.com"]);
    check("", "joe", &["joe: box of joe"]);
    check("# nothing\n", "joe", &["joe: box of joe"]);
    check("REFUSED file is world writable", "joe", &["joe: box of joe"]);
    check("joe", "joe", &["joe: box of joe"]);
    check("joe+z", "joe", &["joe+z: box of joe"]);
    check("\\joe, ann", "joe", &["joe: box of joe", "to ann@example.com"]);
    check("bob", "joe", &["to bob@example.com", "joe: box of joe"]);
    check("jim", "joe+x", &["to ann@example.com"]);
    check("jim", "joe+X", &["to ann@example.com"]);
    check("jim", "joe+y", &["to jim@example.com"]);
    check("jim", "joe+a/../b", &["to jim@example.com"]);
    check("|a, /b/, \"|c d\"", "joe", &["joe: |a", "joe: /b/", "joe: |c d"]);
    check(":include:/i", "joe", &["joe: 5.7.1 mail to command is restricted", "to ann@example.com"]);
}

#[test]
fn mailboxes_and_who_is_not_here() {
    let check = |main: &str, recipient: &str, expect: &[&str]| {
        let found = said(&parts(main, "", &[], &format!("{recipient}@example.com")));
        assert_eq!(found, expect, "{main} {recipient}");
    };
    check("luser_relay = joe+$local", "x+y", &["joe+x+y: box of joe"]);
    check("luser_relay = $user@far.test", "x+y", &["to x@far.test"]);
    check("luser_relay = nobody", "x", &["nobody: 5.1.1 unknown user: \"nobody\""]);
    check("fallback_transport = lmtp:unix:x", "x", &["x: lmtp:unix:x"]);
    check("fallback_transport = lmtp:unix:x", "joe", &["joe: box of joe"]);
    check("fallback_transport_maps = inline:{x=other:}", "x", &["x: other:mx.example.com"]);
    check("mailbox_transport = lmtp:unix:x", "joe+z", &["joe+z: lmtp:unix:x"]);
    check("mailbox_transport_maps = inline:{joe=a:b}\nmailbox_transport = c:", "joe", &["joe: a:b"]);
    check("mailbox_command = x $HOME", "joe", &["joe: joe runs x $HOME"]);
    check("mailbox_command_maps = inline:{joe=y}\nmailbox_command = x", "joe", &["joe: joe runs y"]);
}

#[test]
fn lists_have_owners() {
    let aliases = "owner-a: o1\na: b joe\nb: jim\nowner-b: o2";
    let found = said(&parts("", aliases, &[], "a@example.com"));
    assert_eq!(
        found,
        ["to jim@example.com from owner-b@example.com", "to joe@example.com from owner-a@example.com"]
    );
    let found = said(&parts("expand_owner_alias = yes", aliases, &[], "a@example.com"));
    assert_eq!(found, ["to jim@example.com from o2@example.com", "to joe@example.com from o1@example.com"]);
}

/// Aliases that lead back to themselves in many ways, and lists of many.
#[test]
fn whatever_is_written_ends() {
    let tangle: Vec<String> =
        (0..60).map(|n| format!("t{n}: t{} t{} t{}", (n + 1) % 60, (n * 7 + 3) % 60, n)).collect();
    let found = parts("", &tangle.join("\n"), &[], "t0@example.com");
    assert!(found.len() < 20_000, "{}", found.len());
    let chain: Vec<String> = (0..10_000).map(|n| format!("c{n}: c{}", (n + 1) % 10_000)).collect();
    assert_eq!(
        said(&parts("", &chain.join("\n"), &[], "c0@example.com")),
        ["c25: 5.4.6 alias database loop for c25"]
    );
    let many: Vec<String> = (0..50_000).map(|n| format!("u{n}@far.test")).collect();
    let found = parts("", "many: :include:/many", &[("/many", &many.join("\n"))], "many@example.com");
    assert_eq!(found.len(), 50_000);
    let found = said(&parts("", "a: :include:/a", &[("/a", ":include:/a")], "a@example.com"));
    assert_eq!(found, ["a: 5.3.5 mail system configuration error"]);
    // Files that include each other, all of them many times, are read once each.
    let all: Vec<String> = (0..15).map(|n| format!("/f{n}")).collect();
    let text =
        all.iter().map(|path| format!(":include:{path}\n:include:{path}\nu@far.test\n")).collect::<String>();
    let files: Vec<(&str, &str)> = all.iter().map(|path| (path.as_str(), text.as_str())).collect();
    assert_eq!(said(&parts("", "a: :include:/f0", &files, "a@example.com")), ["to u@far.test"]);
}
