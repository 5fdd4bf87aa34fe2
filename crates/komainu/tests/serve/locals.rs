//! Local deliveries beside Debian's Postfix: the same aliases, `.forward` files and mail through both; then the log
//! lines and every mailbox and file are compared, byte for byte but for ids and times.

use crate::client::Client;
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, free_port};
use crate::world::{self, Needs};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const USERS: [&str; 5] = ["joe", "jim", "ann", "bob", "eve"];

const ALIASES: &str = r#"list: joe, jim
one: joe
nested: one, ann
far: u@far.test
mixed: joe, u@far.test
self: self, joe
past: \joe
cmd: "|cat >/mnt/box/cmd; echo hi; exit 0"
fail: "|echo 'no way'; exit 67"
e3: "|echo l1; echo l2; exit 3"
sig: "|kill -9 $$"
missing: |/nope/prog
env: "|env | sed s/^MAIL_CONFIG=.*/MAIL_CONFIG/ | grep -v -e ^PWD= -e ^_= | sort >/mnt/box/env; umask >>/mnt/box/env; cat >>/mnt/box/env"
file: /mnt/box/file
dir: /mnt/box/dir/
null: /dev/null
inc: :include:/mnt/lists/inc
inccmd: :include:/mnt/lists/cmd
incw: :include:/mnt/lists/writable
incnone: :include:/mnt/lists/none
rel: :include:lists/inc
loop1: loop2
loop2: loop1
owner-lst: ann
lst: joe, u@far.test, sub
sub: jim, "|true"
nouser: nonesuch
dup: joe, joe, jim, JOE
eve: eve, nonesuch
quoted: "foo bar", joe (the man), "Ann Smith" <ann@example.com>
fdir: /mnt/lists
fdir2: /mnt/nodir/x
flink: /mnt/box/link
postmaster: bob
slow: "|sleep 30"
"#;

pub(crate) const COMMON: &str = "mydomain = example.com\nmyorigin = example.com\nmydestination = example.com\n\
mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_peername_lookup = no\n\
local_recipient_maps =\nrecipient_delimiter = +\nalias_maps = hash:/mnt/aliases\nalias_database =\n\
mail_spool_directory = /mnt/mail\ncommand_time_limit = 3s\nnotify_classes =\ndeliver_lock_attempts = 2\n\
transport_maps = inline:{far.test=discard:}\n";

fn own(path: &str, user: &str) {
    let at = USERS.iter().position(|name| *name == user).expect("a user");
    let id = 3001 + u32::try_from(at).expect("small");
    chown(path, Some(id), Some(id)).expect("owner");
}

pub(crate) fn write(path: &str, text: &str, user: Option<&str>) {
    fs::write(path, text).expect("writes");
    if let Some(user) = user {
        own(path, user);
    }
}

pub(crate) fn folder(path: &str, mode: u32) {
    fs::create_dir_all(path).expect("a folder");
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("mode");
}

/// Users with homes, files and lists; empty mailboxes.
pub(crate) fn furnish(forwards: &[(&str, &str, &str)]) {
    let mut passwd = fs::read_to_string("/etc/passwd").expect("reads");
    passwd.retain(|c| c != '\r');
    let missing = !passwd.contains("\njoe:");
    for (user, id) in USERS.iter().zip(3001..) {
        if missing {
            passwd.push_str(&format!("{user}:x:{id}:{id}::/mnt/home/{user}:/bin/sh\n"));
        }
        let home = format!("/mnt/home/{user}");
        let _ = fs::remove_dir_all(&home);
        folder(&home, 0o755);
        own(&home, user);
    }
    write("/etc/passwd", &passwd, None);
    for old in ["/mnt/mail", "/mnt/box"] {
        let _ = fs::remove_dir_all(old);
        folder(old, 0o1777);
    }
    folder("/mnt/lists", 0o755);
    write("/mnt/lists/inc", "joe, u@far.test\n# comment, bob\n\\jim\n\nsub\n", None);
    write("/mnt/lists/cmd", "|cat\n/mnt/box/no\njoe\n", None);
    write("/mnt/lists/writable", "joe\n", None);
    fs::set_permissions("/mnt/lists/writable", PermissionsExt::from_mode(0o666)).expect("mode");
    write("/mnt/aliases", ALIASES, None);
    write("/mnt/box/target", "", None);
    fs::set_permissions("/mnt/box/target", PermissionsExt::from_mode(0o666)).expect("mode");
    std::os::unix::fs::symlink("/mnt/box/target", "/mnt/box/link").expect("a link");
    for (user, name, text) in forwards {
        let path = format!("/mnt/home/{user}/{name}");
        write(&path, text, Some(user));
    }
}

fn send(address: &str, recipient: &str) {
    send_text(address, recipient, "Subject: x\r\n\r\nhello\r\nFrom here\r\n..dot");
}

pub(crate) fn send_text(address: &str, recipient: &str, text: &str) {
    let mut client = Client::hello(address);
    for word in ["MAIL FROM:<s@far.test>", &format!("RCPT TO:<{recipient}>")] {
        let said = client.say(word);
        assert!(said.starts_with("250"), "{word}: {said}");
    }
    client.say("DATA");
    let said = client.say(&format!("{text}\r\n."));
    assert!(said.starts_with("250"), "{recipient}: {said}");
}

/// Waits until nothing is said any more.
fn settled(log: &dyn Fn() -> String) -> String {
    let patience = Instant::now() + Duration::from_secs(60);
    let (mut last, mut since) = (log(), Instant::now());
    while Instant::now() < patience && since.elapsed() < Duration::from_millis(3_500) {
        std::thread::sleep(Duration::from_millis(50));
        let now = log();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// What local(8) and pipe(8) say, without ids and times, sorted.
fn said(log: &str) -> Vec<String> {
    let relevant = |line: &&str| {
        (line.contains("/local[") || line.contains("/pipe[") || line.contains("/virtual["))
            && !line.contains("statistics")
            && !line.contains("duplicate master.cf")
            && !line.contains("overriding earlier")
    };
    let mut lines: Vec<String> = log.lines().filter(relevant).map(masked).collect();
    lines.sort();
    lines
}

fn masked(line: &str) -> String {
    let text = line.split_once("]: ").map_or(line, |(_, text)| text);
    if let Some((_, text)) = text.split_once(": address with illegal") {
        return text.to_owned();
    }
    let (id, rest) = text.split_once(": ").unwrap_or(("", text));
    let is_id = id.len() > 5 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && id != "warning";
    let mut out = if is_id { format!("ID: {rest}") } else { text.to_owned() };
    if let Some((before, after)) = out.clone().split_once("delay=") {
        let after = after.split_once("dsn=").map_or("", |(_, after)| after);
        out = format!("{before}dsn={after}");
    }
    if let Some((before, rest)) = out.clone().split_once("create maildir file ") {
        // The folder, and why not; the name is each server's own.
        let (file, why) = rest.split_once(": ").unwrap_or((rest, ""));
        let folder = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
        out = format!("{before}create maildir file {folder}/NAME: {why}");
    }
    if let Some((before, _)) = out.clone().split_once("forwarded as ") {
        out = format!("{before}forwarded as ID)");
    }
    out
}

/// Every file below these folders, without ids and times.
fn boxes(roots: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    while let Some(folder) = folders.pop() {
        // Messages come in whatever order, under names of each server's own.
        let is_maildir = folder.ends_with("/new");
        let mut messages = Vec::new();
        for entry in fs::read_dir(&folder).expect("reads").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path.display().to_string());
                continue;
            }
            let metadata = fs::symlink_metadata(&path).expect("is there");
            let text = if !metadata.is_file() || metadata.len() > 1_000_000 {
                // A FIFO has a reader no more than here.
                format!("{:?} {}", metadata.file_type(), metadata.len())
            } else {
                normal(&String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()))
            };
            if is_maildir {
                messages.push(text);
            } else {
                found.insert(path.display().to_string(), text);
            }
        }
        messages.sort();
        let numbered = messages.into_iter().enumerate();
        found.extend(numbered.map(|(at, text)| (format!("{folder}/{at}"), text)));
    }
    found
}

/// Messages of a mailbox in an order of their own, with ids and dates replaced.
fn normal(text: &str) -> String {
    let mut messages: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = if line.starts_with("From ") && line.contains("  ") {
            messages.push(String::new());
            "From "
        } else if line.starts_with("\tid ") {
            "\tid ID"
        } else if line.starts_with("\tby mx.example.com") {
            "\tby mx.example.com"
        } else if line.starts_with("\tfor <") || line.starts_with("Message-Id:") || line.starts_with("Date:")
        {
            line.split([';', ':']).next().unwrap_or_default()
        } else if line.starts_with("Received: from") {
            "Received: from"
        } else {
            line
        };
        if messages.is_empty() {
            messages.push(String::new());
        }
        if let Some(message) = messages.last_mut() {
            message.push_str(line);
            message.push('\n');
        }
    }
    // Reports have tests of their own.
    messages.retain(|message| {
        !message.contains("Return-Path: <>") && !message.contains("Content-Type: multipart/report")
    });
    messages.sort();
    messages.concat()
}

struct Run {
    lines: Vec<String>,
    boxes: BTreeMap<String, String>,
}

fn compare(theirs: &Run, ours: &Run) {
    let differ = |a: &[String], b: &[String]| -> Vec<String> {
        let mut left = b.to_vec();
        let mut only = Vec::new();
        for line in a {
            match left.iter().position(|other| other == line) {
                Some(at) => drop(left.remove(at)),
                None => only.push(line.clone()),
            }
        }
        only
    };
    let (they_alone, we_alone) = (differ(&theirs.lines, &ours.lines), differ(&ours.lines, &theirs.lines));
    let mut wrong = String::new();
    if !they_alone.is_empty() || !we_alone.is_empty() {
        wrong.push_str(&format!("Postfix alone says {they_alone:#?}\nwe alone say {we_alone:#?}\n"));
    }
    for (path, text) in &theirs.boxes {
        match ours.boxes.get(path) {
            Some(other) if other == text => {}
            Some(other) => {
                let split = |text: &str| text.split_inclusive("\n\n").map(str::to_owned).collect::<Vec<_>>();
                let (text, other) = (split(text), split(other));
                let (text, other) = (differ(&text, &other), differ(&other, &text));
                wrong.push_str(&format!("{path}: Postfix alone {text:#?} we alone {other:#?}\n"));
            }
            None => wrong.push_str(&format!("{path}: Postfix alone\n")),
        }
    }
    for path in ours.boxes.keys().filter(|path| !theirs.boxes.contains_key(*path)) {
        wrong.push_str(&format!("{path}: we alone\n"));
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{} lines and {} files are the same", theirs.lines.len(), theirs.boxes.len());
}

/// Both servers with the same configuration, one after the other, and the same mail to each.
fn both(main: &str, master: &str, forwards: &[(&str, &str, &str)], recipients: &[&str]) {
    let case = Case {
        main: format!("{COMMON}{main}"),
        master: master.to_owned(),
        furnish: &|| furnish(forwards),
        indexed: &["postalias hash:/mnt/aliases"],
        roots: &["/mnt/mail", "/mnt/box", "/mnt/home"],
        send: &|address| recipients.iter().for_each(|recipient| send(address, recipient)),
    };
    case.play();
}

/// What both servers are given.
pub(crate) struct Case<'a> {
    pub(crate) main: String,
    pub(crate) master: String,
    /// Puts everything into its first state.
    pub(crate) furnish: &'a dyn Fn(),
    /// What Postfix needs made, and Komainu hasn't.
    pub(crate) indexed: &'a [&'a str],
    /// Where mail is written.
    pub(crate) roots: &'a [&'a str],
    pub(crate) send: &'a dyn Fn(&str),
}

impl Case<'_> {
    /// The same mail to each, one after the other, and what they say and write compared.
    pub(crate) fn play(&self) {
        (self.furnish)();
        for line in self.indexed {
            let (program, table) = line.split_once(' ').expect("a table");
            assert!(Command::new(program).arg(table).status().expect("runs").success());
        }
        let port = free_port();
        let theirs = {
            let master = format!("127.0.0.1:{port} inet n - n - - smtpd\n{}", self.master);
            let postfix = Postfix::start(&self.main, &master);
            (self.send)(&format!("127.0.0.1:{port}"));
            let log = settled(&|| postfix.log());
            Run { lines: said(&log), boxes: boxes(self.roots) }
        };
        (self.furnish)();
        for line in self.indexed {
            let table = line.rsplit(':').next().expect("a file");
            let _ = fs::remove_file(format!("{table}.db"));
        }
        let site = Site::new(&format!("{}komainu_mailbox_root =\n", self.main));
        site.write("master.cf", &format!("{} inet n - n - - smtpd\n{}", site.address(), self.master));
        let _server = Server::start(&site);
        (self.send)(&site.address());
        let log = settled(&|| site.log());
        compare(&theirs, &Run { lines: said(&log), boxes: boxes(self.roots) });
    }
}

pub(crate) fn there(name: &str, body: fn()) {
    if postfix_peer::is_there(name) && Path::new("/usr/sbin/postalias").exists() {
        world::run(name, Needs::Root, body);
    }
}

#[test]
fn aliases_lists_and_forward_files_are_as_postfix_has_them() {
    there("locals::aliases_lists_and_forward_files_are_as_postfix_has_them", || {
        let forwards = [
            ("jim", ".forward", "ann\n"),
            ("ann", ".forward", "# mine\n\\ann, bob, |true, /mnt/home/ann/box, \"|echo out; exit 1\"\n"),
            ("bob", ".forward+x", "joe\n"),
            ("eve", ".forward", "eve, :include:/mnt/lists/inc\n"),
        ];
        let names: Vec<&str> =
            ALIASES.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        let more =
            ["joe", "JOE+ext", "jim", "ann", "bob", "bob+x", "bob+y", "bob+e/x", "unknown+x", "unknown"];
        let names = names.into_iter().filter(|name| !name.starts_with("owner-") && *name != "quoted");
        let recipients: Vec<String> = names.chain(more).map(|name| format!("{name}@example.com")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        both("", "", &forwards, &recipients);
    });
}

/// Lists with owners, and what of them fails.
const OWNED: &str = r#"owner-cmd: ann
cmd: "|exit 67"
owner-file: ann
file: /mnt/lists
owner-out: ann
out: mid, "|exit 68"
owner-mid: bob
mid: "|exit 69"
owner-nest: ann
nest: deep
deep: "|exit 64", joe
owner-inc: ann
inc: :include:/mnt/lists/cmd
owner-incnone: ann
incnone: :include:/mnt/lists/none
owner-owner-oo: bob
owner-oo: ann, "|exit 70"
oo: "|exit 65"
owner-two: ann
two: "|exit 66", "|exit 77", joe, u@far.test
owner-fwd: ann
fwd: eve
owner-loopy: ann
loopy: loopz
loopz: loopy
owner-nu: ann
nu: nonesuch
owner-tmp: ann
tmp: "|exit 75", "|exit 67"
owner-own: ann
own: own, joe
owner-env: bob
env: "|env | grep -e ^SENDER= -e ^ORIGINAL >/mnt/box/env; cat >>/mnt/box/env", /mnt/box/list
plain: "|exit 67"
fwdu: eve
postmaster: bob
"#;

fn send_from_jim(address: &str, recipients: &[&str]) {
    for recipient in recipients {
        let mut client = Client::hello(address);
        let to = format!("RCPT TO:<{recipient}@example.com>");
        for word in ["MAIL FROM:<jim@example.com>", to.as_str(), "DATA", "Subject: x\r\n\r\nhello\r\n."] {
            let said = client.say(word);
            assert!(said.starts_with(['2', '3']), "{word}: {said}");
        }
    }
}

/// A list's owner hears of what its commands and files come to, not who wrote to it.
#[test]
fn owners_hear_of_what_fails() {
    there("locals::owners_hear_of_what_fails", || {
        let furnished = || {
            furnish(&[("eve", ".forward", "\"|exit 1\"\n")]);
            write("/mnt/aliases", OWNED, None);
        };
        let names: Vec<&str> =
            OWNED.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| !name.starts_with("owner-")).collect();
        for main in ["", "expand_owner_alias = yes\nreset_owner_alias = yes\n"] {
            let case = Case {
                main: format!("{COMMON}{main}"),
                master: String::new(),
                furnish: &furnished,
                indexed: &["postalias hash:/mnt/aliases"],
                roots: &["/mnt/mail", "/mnt/box"],
                send: &|address| {
                    // As an owner, Postfix takes a list's whole text for one address; nobody wants that.
                    let plain = names.iter().copied().filter(|name| main.is_empty() || *name != "oo");
                    send_from_jim(address, &plain.collect::<Vec<_>>());
                },
            };
            case.play();
        }
    });
}

/// Of an alias's members, those that have it don't get it again: not at a retry, not after a restart, and not after a kill
/// while another member is being served.
#[test]
fn members_that_are_served_stay_served() {
    world::run("locals::members_that_are_served_stay_served", Needs::Root, || {
        furnish(&[("joe", ".forward", "\\joe, ann\n")]);
        let aliases = "mix: joe, \"|cat >>/mnt/box/first\", u@far.test, /mnt/box/second, \"|exit 75\"\n\
                       slow: \"|cat >>/mnt/box/third\", \"|touch /mnt/box/begun; sleep 30\", /mnt/box/fourth\n";
        write("/mnt/aliases", aliases, None);
        let site = Site::new(&format!("{COMMON}komainu_mailbox_root =\n"));
        let mut server = Server::start(&site);
        let count = |path: &str| fs::read_to_string(path).unwrap_or_default().matches("Subject: x").count();
        let deferred = |mark: usize, name: &str| {
            site.logged(&format!("to=<{name}@example.com>, relay=local"), mark);
            crate::site::until("the deferral", || {
                let log = site.log();
                log.get(mark..).is_some_and(|rest| rest.contains("status=deferred")).then_some(())
            });
        };
        let counts =
            || ["mail/joe", "mail/ann", "box/first", "box/second"].map(|name| count(&format!("/mnt/{name}")));
        let flushed = |site: &Site| {
            let ran = Command::new(env!("CARGO_BIN_EXE_komainu"))
                .args(["queue", "flush", "--config"])
                .arg(site.etc())
                .output();
            assert!(ran.expect("runs").status.success());
        };
        let mark = site.log().len();
        send(&site.address(), "mix@example.com");
        deferred(mark, "mix");
        // What is forwarded comes by a message of its own.
        crate::site::until("all of them", || (counts() == [1, 1, 1, 1]).then_some(()));
        for ending in ["none", "stop", "kill"] {
            match ending {
                "none" => {}
                "stop" => assert!(server.stop().success()),
                _ => server.kill(),
            }
            if ending != "none" {
                server = Server::start(&site);
            }
            let mark = site.log().len();
            flushed(&site);
            deferred(mark, "mix");
            assert_eq!(counts(), [1, 1, 1, 1], "{ending}");
            assert_eq!(site.log().matches("forwarded as").count(), 1, "{ending}");
        }
        send(&site.address(), "slow@example.com");
        crate::site::until("the second part", || Path::new("/mnt/box/begun").exists().then_some(()));
        // The first part's note is asked for before the second part begins, and written within 10 ms.
        crate::site::until("a quiet moment", || (count("/mnt/box/third") == 1).then_some(()));
        std::thread::sleep(Duration::from_millis(100));
        server.kill();
        let _ = fs::remove_file("/mnt/box/begun");
        let mut server = Server::start(&site);
        crate::site::until("the second part again", || Path::new("/mnt/box/begun").exists().then_some(()));
        assert_eq!(count("/mnt/box/third"), 1);
        server.kill();
    });
}

/// Programs of pipe lines in the place of mailboxes.
#[test]
fn programs_serve_local_users() {
    there("locals::programs_serve_local_users", || {
        let main = "mailbox_transport_maps = inline:{joe=prog:hop, ann=bad:, bob=late:}\nfallback_transport = prog\n";
        let master = "prog unix - n n - 10 pipe flags=DRh user=joe argv=/bin/sh -c {echo $recipient $user $nexthop $sender >>/mnt/box/all; cat >>/mnt/box/all}\n\
                      bad unix - n n - 10 pipe user=joe argv=/bin/sh -c {echo no such; exit 67}\n\
                      late unix - n n - 10 pipe user=joe argv=/bin/sh -c {exit 75}\n";
        both(
            main,
            master,
            &[],
            &[
                "joe@example.com",
                "ann@example.com",
                "bob@example.com",
                "nonesuch@example.com",
                "jim@example.com",
            ],
        );
    });
}

const PIPES: &str = "p1 unix - n n - 10 pipe flags=DORhu user=joe argv=/mnt/lists/show one ${sender} ${recipient} ${user} ${extension} ${domain} ${nexthop} ${mailbox}
p2 unix - n n - 10 pipe flags=FBq.> user=joe:users null_sender= argv=/mnt/lists/show two -f ${sender} {two words} $$x ${original_recipient} ${client_address} ${client_protocol} ${sasl_username}
p3 unix - n n - 10 pipe user=joe argv=/mnt/lists/end ${user}
p4 unix - n n - 10 pipe user=joe size=100 argv=/bin/true
p5 unix - n n - 10 pipe user=joe directory=/nodir argv=/bin/true
p6 unix - n n - 10 pipe user=joe argv=/bin/sleep 20
p7 unix - n n - 10 pipe user=joe argv=/nope
p8 unix - n n - 10 pipe flags=R user=joe directory=/mnt/home/joe argv=/mnt/lists/show eight $recipient
";

#[test]
fn programs_of_pipe_lines_are_as_postfix_runs_them() {
    there("locals::programs_of_pipe_lines_are_as_postfix_runs_them", || {
        folder("/mnt/lists", 0o755);
        let show = "#!/bin/sh\nname=$1; shift\n{ for a in \"$@\"; do echo \"[$a]\"; done; id -u; id -g; umask; \
                    env | sed s/^MAIL_CONFIG=.*/MAIL_CONFIG/ | grep -v -e ^PWD= -e ^_= | sort; cat; } \
                    >>/mnt/box/$name\necho some output; echo more\n";
        write("/mnt/lists/show", show, None);
        write("/mnt/lists/end", "#!/bin/sh\necho oops; echo more; exit $1\n", None);
        for name in ["show", "end"] {
            let path = format!("/mnt/lists/{name}");
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("mode");
        }
        let main = "transport_maps = inline:{p1.test=p1:Next.HOP, p2.test=p2, p3.test=p3, p4.test=p4:, p5.test=p5:, \
                    p6.test=p6:, p7.test=p7, p8.test=p8, far.test=discard:}\np1_destination_recipient_limit = 1\n";
        let recipients = [
            "User+Ext@P1.test",
            "a@p2.test",
            "0@p3.test",
            "67@p3.test",
            "75@p3.test",
            "9@p3.test",
            "x@p4.test",
            "x@p5.test",
            "x@p6.test",
            "x@p7.test",
            "\"x y\"@p8.test",
        ];
        both(main, PIPES, &[], &recipients);
    });
}

const TARGETS: &str = r#"full: /dev/full
zero: /dev/zero
nodev: /dev/tty
ro: /mnt/box/ro
dangling: /mnt/box/dangling
fifo: /mnt/box/fifo
noperm: /mnt/lists/x
shell: "|nosuchcommand; exit 75"
blank: "|echo '  so  so  '; exit 75"
plain: "|exit 3"
"#;

/// What mail can't be appended to, commands without a name, users without a home, `.forward` files that nobody may
/// read; and what `local_delivery_status_filter` makes of some of it.
#[test]
fn odd_targets_are_as_postfix_has_them() {
    there("locals::odd_targets_are_as_postfix_has_them", || {
        let furnish = || {
            furnish(&[("ann", ".forward", "joe\n"), ("bob", ".forward", "joe\n")]);
            write("/mnt/aliases", TARGETS, None);
            write("/mnt/box/ro", "", Some("joe"));
            fs::set_permissions("/mnt/box/ro", PermissionsExt::from_mode(0o400)).expect("mode");
            std::os::unix::fs::symlink("/mnt/lists/none", "/mnt/box/dangling").expect("a link");
            // Nobody reads it.
            assert!(
                Command::new("mkfifo").args(["-m", "666", "/mnt/box/fifo"]).status().expect("runs").success()
            );
            fs::remove_dir_all("/mnt/home/eve").expect("removes");
            fs::set_permissions("/mnt/home/ann", PermissionsExt::from_mode(0o000)).expect("mode");
            fs::set_permissions("/mnt/home/bob/.forward", PermissionsExt::from_mode(0o000)).expect("mode");
            let statuses = "/^2\\.0\\.0 (delivered to file: \\/dev\\/zero)/ 2.9.9 $1, that is nowhere\n\
                            /^5\\.3\\.0 /  4.3.9 a command says no\n/^5\\.2\\.0 .*dangling/ 2.0.0 no\n";
            write("/mnt/statuses", statuses, None);
        };
        let names = TARGETS.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
        let recipients: Vec<String> =
            names.chain(["ann", "bob", "eve", "joe"]).map(|name| format!("{name}@example.com")).collect();
        let case = Case {
            main: format!(
                "{COMMON}require_home_directory = yes\nlocal_delivery_status_filter = regexp:/mnt/statuses\n\
                 delay_logging_resolution_limit = 4\n"
            ),
            master: String::new(),
            furnish: &furnish,
            indexed: &["postalias hash:/mnt/aliases"],
            roots: &["/mnt/mail", "/mnt/box"],
            send: &|address| recipients.iter().for_each(|recipient| send(address, recipient)),
        };
        case.play();
    });
}

/// Members that are hardly any, and files that only root may read.
const ODD_MEMBERS: &str = r#"opt: -va@far.test
optlocal: -v
empty: ,
group: friends: joe, jim;
groupempty: friends:;
nodomain: joe@
rootinc: :include:/mnt/lists/root
rootcmd: :include:/mnt/lists/rootcmd
postmaster: bob
"#;

#[test]
fn odd_members_are_as_postfix_has_them() {
    there("locals::odd_members_are_as_postfix_has_them", || {
        let furnish = || {
            furnish(&[("ann", ".forward", "~/x\n"), ("bob", ".forward", "friends: joe, jim;\n")]);
            write("/mnt/aliases", ODD_MEMBERS, None);
            write("/mnt/lists/root", "joe\n", None);
            write("/mnt/lists/rootcmd", "\"|id -un >/mnt/box/who\", jim\n", None);
            for list in ["root", "rootcmd"] {
                let path = format!("/mnt/lists/{list}");
                fs::set_permissions(path, PermissionsExt::from_mode(0o640)).expect("mode");
            }
        };
        let names = ODD_MEMBERS.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
        let recipients: Vec<String> =
            names.chain(["ann", "bob"]).map(|name| format!("{name}@example.com")).collect();
        let case = Case {
            main: format!("{COMMON}allow_mail_to_commands = alias, forward, include\n"),
            master: String::new(),
            furnish: &furnish,
            indexed: &["postalias hash:/mnt/aliases"],
            roots: &["/mnt/mail", "/mnt/box", "/mnt/home"],
            send: &|address| recipients.iter().for_each(|recipient| send(address, recipient)),
        };
        case.play();
    });
}

/// A thousand members of one alias, each a file of its own: each is written once, and the last takes no longer than the
/// first, as nothing is read again for each. `KOMAINU_MEMBERS=10000` takes as many.
#[test]
fn a_thousand_files_of_one_alias() {
    world::run("locals::a_thousand_files_of_one_alias", Needs::Root, || {
        let members =
            std::env::var("KOMAINU_MEMBERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_usize);
        furnish(&[]);
        let path = |at: usize| format!("/mnt/box/member-{at}");
        let files: Vec<String> = (0..members).map(path).collect();
        write("/mnt/aliases", &format!("many: {}\n", files.join(", ")), None);
        let site = Site::new(&format!("{COMMON}komainu_mailbox_root =\n"));
        let mut server = Server::start(&site);
        let began = Instant::now();
        send(&site.address(), "many@example.com");
        while !site.log().contains(": removed") {
            assert!(began.elapsed() < Duration::from_secs(900), "waited in vain");
            std::thread::sleep(Duration::from_millis(50));
        }
        let changed = |at: usize| fs::metadata(path(at)).expect("is there").modified().expect("a time");
        let quarter =
            |from: usize| changed(from + members / 4 - 1).duration_since(changed(from)).expect("in order");
        let (first, last) = (quarter(0), quarter(members - members / 4));
        println!("{members} members: {:?}; the first quarter {first:?}, the last {last:?}", began.elapsed());
        for file in &files {
            let text = fs::read_to_string(file).expect("reads");
            assert_eq!(text.matches("Subject: x").count(), 1, "{file}");
        }
        assert!(server.stop().success());
    });
}

/// Whose a new mailbox is, by who may write to the mail spool.
#[test]
fn new_mailboxes_belong_to_whom_postfix_gives_them() {
    there("locals::new_mailboxes_belong_to_whom_postfix_gives_them", || {
        let owners = |address: &str| -> Vec<String> {
            let _ = fs::remove_dir_all("/mnt/mail");
            folder("/mnt/mail", 0o755);
            chown("/mnt/mail", None, Some(8)).expect("group");
            let modes = [0o755, 0o775, 0o2755, 0o2775, 0o1777];
            let made = USERS.iter().zip(modes).map(|(user, mode)| {
                fs::set_permissions("/mnt/mail", PermissionsExt::from_mode(mode)).expect("mode");
                send(address, &format!("{user}@example.com"));
                let path = format!("/mnt/mail/{user}");
                let metadata = crate::site::until(&path, || {
                    let metadata = fs::metadata(&path).ok()?;
                    (metadata.len() > 0).then_some(metadata)
                });
                format!("{user} {mode:o}: {}:{} {:o}", metadata.uid(), metadata.gid(), metadata.mode())
            });
            made.collect()
        };
        furnish(&[]);
        assert!(Command::new("postalias").arg("hash:/mnt/aliases").status().expect("runs").success());
        let port = free_port();
        let theirs = {
            let master = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
            let _postfix = Postfix::start(COMMON, &master);
            owners(&format!("127.0.0.1:{port}"))
        };
        let site = Site::new(&format!("{COMMON}komainu_mailbox_root =\n"));
        let mut server = Server::start(&site);
        assert_eq!(theirs, owners(&site.address()));
        assert!(server.stop().success());
    });
}
