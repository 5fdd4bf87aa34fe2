//! Greylisting with no other daemon (T2.15, T2.16, T2.17), behind a stock Postfix, and beside Debian's Postgrey.

use crate::client::Client;
use crate::postfix_peer::{self, Postfix};
use crate::server::{KOMAINU, Server};
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ASKS_POSTGREY: &str = "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service inet:127.0.0.1:10023, permit\n";

/// The reply to RCPT for mail from `sender`.
pub(crate) fn told(address: &str, sender: &str) -> String {
    let mut client = Client::hello(address);
    client.say(&format!("MAIL FROM:<{sender}>"));
    client.say("RCPT TO:<box@example.com>")
}

/// Postgrey's files in this world's /etc, whether the package is there or not.
pub(crate) fn postgreys_files(options: &str) {
    fs::create_dir_all("/etc/postgrey").expect("a folder");
    fs::create_dir_all("/etc/default").expect("a folder");
    for name in
        ["whitelist_clients", "whitelist_clients.local", "whitelist_recipients", "whitelist_recipients.local"]
    {
        let _ = fs::remove_file(Path::new("/etc/postgrey").join(name));
    }
    fs::write("/etc/postgrey/whitelist_recipients", "postmaster@\nabuse@\n").expect("writes");
    fs::write("/etc/default/postgrey", format!("POSTGREY_OPTS=\"{options}\"\n")).expect("writes");
}

#[test]
fn a_tutorials_main_cf_without_postgrey() {
    world::run("greylist::a_tutorials_main_cf_without_postgrey", Needs::Root, || {
        postgreys_files("--inet=10023 --delay=1");
        let site = Site::new(ASKS_POSTGREY);
        let mut server = Server::start(&site);
        let first = told(&site.address(), "a@example.org");
        assert_eq!(
            first,
            "450 4.7.1 <box@example.com>: Recipient address rejected: Greylisted, see \
             http://postgrey.schweikert.ch/help/example.com.html"
        );
        site.logged(
            "check_policy_service inet:127.0.0.1:10023: nobody listens there: komainu greylists by itself",
            0,
        );
        let line = "postgrey[%]: action=greylist, reason=new, client_name=unknown, client_address=127.0.0.1/32, \
                    sender=a@example.org, recipient=box@example.com";
        let logged = site.logged("action=greylist, reason=new", 0);
        let (head, tail) = line.split_once('%').expect("a pid's place");
        assert!(logged.contains(head) && logged.ends_with(tail), "{logged}");
        // It comes back.
        until("the mail is taken", || {
            told(&site.address(), "a@example.org").starts_with("250 ").then_some(())
        });
        let passed = site.logged("action=pass, reason=triplet found, delay=", 0);
        assert!(passed.ends_with(", client_name=unknown, client_address=127.0.0.1/32, sender=a@example.org, recipient=box@example.com"), "{passed}");
        // Known from now on, after a restart too.
        assert!(server.stop().success());
        let before = site.log().len();
        let mut server = Server::start(&site);
        assert!(told(&site.address(), "a@example.org").starts_with("250 "));
        let again = site.logged("action=pass, reason=triplet found, client_name=", before);
        assert!(again.contains("sender=a@example.org"), "{again}");
        assert!(told(&site.address(), "b@example.org").starts_with("450 "));
        // A whitelist is in force as soon as it is saved.
        let before = site.log().len();
        fs::write("/etc/postgrey/whitelist_clients.local", "127.0.0.1\n").expect("writes");
        site.logged("/etc/postgrey/whitelist_clients.local", before);
        assert!(told(&site.address(), "c@example.org").starts_with("250 "));
        site.logged("action=pass, reason=client whitelist", before);
        assert!(server.stop().success());
    });
}

#[test]
fn the_header_says_how_long_it_took() {
    world::run("greylist::the_header_says_how_long_it_took", Needs::Root, || {
        postgreys_files("--inet=10023 --delay=1");
        let site = Site::new(ASKS_POSTGREY);
        let mut server = Server::start(&site);
        let sent = || {
            let mut client = Client::hello(&site.address());
            let said = client.mail("a@example.org", "box@example.com", "Subject: late\r\n\r\nhello\r\n");
            said.is_ok_and(|said| said.starts_with("250 ")).then_some(())
        };
        until("the mail is taken", sent);
        let message = site.delivered_with("Subject: late");
        let header = message.lines().find(|line| line.starts_with("X-Greylist: delayed ")).expect("a header");
        assert!(header.contains(" seconds by postgrey-1.37 at mx.example.com; "), "{header}");
        assert!(server.stop().success());
    });
}

/// Whoever listens on Postgrey's port stays in charge.
#[test]
fn a_server_on_postgreys_port_is_asked() {
    world::run("greylist::a_server_on_postgreys_port_is_asked", Needs::Root, || {
        postgreys_files("--inet=10023");
        let site = Site::new(ASKS_POSTGREY);
        let socket = TcpListener::bind("127.0.0.1:10023").expect("binds");
        let mut server = Server::start(&site);
        let real = std::thread::spawn(move || {
            let (mut stream, _) = socket.accept().expect("somebody asks");
            let mut lines = BufReader::new(stream.try_clone().expect("clones")).lines();
            while !lines.next().expect("a line").expect("text").is_empty() {}
            stream.write_all(b"action=450 the real one\n\n").expect("answers");
        });
        assert_eq!(
            told(&site.address(), "a@example.org"),
            "450 4.7.1 <box@example.com>: Recipient address rejected: the real one"
        );
        real.join().expect("ends");
        assert!(!site.log().contains("greylists by itself"));
        assert!(told(&site.address(), "a@example.org").contains("Greylisted"));
        site.logged("komainu greylists by itself", 0);
        // It can be switched off.
        site.main(&format!("{ASKS_POSTGREY}komainu_greylist = no\nsmtpd_policy_service_try_limit = 1\n"));
        server.reload();
        assert!(told(&site.address(), "a@example.org").starts_with("451 4.3.5 "));
        assert!(server.stop().success());
    });
}

/// `komainu greylist …` for a site: what it printed, and its exit code.
fn by_hand(site: &Site, words: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(KOMAINU).arg("greylist").args(words).arg("--config").arg(site.etc()).output();
    let output = output.expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.code())
}

#[test]
fn who_waits_and_who_is_let_pass() {
    world::run("greylist::who_waits_and_who_is_let_pass", Needs::Root, || {
        postgreys_files("--inet=10023 --delay=3600");
        let site = Site::new(ASKS_POSTGREY);
        assert_eq!(by_hand(&site, &["waiting"]).1, Some(1), "nobody yet");
        let mut server = Server::start(&site);
        assert!(told(&site.address(), "a@example.org").starts_with("450 "));
        assert!(told(&site.address(), "b@example.net").starts_with("450 "));
        let waits = |sender: &str| format!(" 127.0.0.0 <{sender}> → <box@example.com>");
        let both = until("both wait", || {
            let (said, _) = by_hand(&site, &["waiting"]);
            (said.contains(&waits("a@example.org")) && said.contains(&waits("b@example.net"))).then_some(said)
        });
        assert!(both.lines().all(|line| line.starts_with("waits ")), "{both}");
        assert_eq!(by_hand(&site, &["pass", "example.org"]), ("1 let pass\n".to_owned(), Some(0)));
        assert!(told(&site.address(), "a@example.org").starts_with("250 "));
        assert!(told(&site.address(), "b@example.net").starts_with("450 "));
        // Killed, it has not forgotten.
        server.kill();
        let mut server = Server::start(&site);
        assert!(told(&site.address(), "a@example.org").starts_with("250 "));
        assert_eq!(by_hand(&site, &["stats"]).0, "1 wait, 1 have passed; 0 clients have come back\n");
        assert_eq!(by_hand(&site, &["forget", "nobody.example"]).1, Some(1));
        assert_eq!(by_hand(&site, &["forget", " "]).1, Some(64));
        assert_eq!(by_hand(&site, &["forget", "127.0.0.0"]), ("2 forgotten\n".to_owned(), Some(0)));
        assert!(told(&site.address(), "a@example.org").starts_with("450 "));
        assert!(server.stop().success());
    });
}

/// Postgrey's database, as Berkeley DB's own tool makes it.
fn berkeley(file: &Path, rows: &str) -> bool {
    let mut command = Command::new("db5.3_load");
    let Ok(mut child) = command.args(["-T", "-t", "btree"]).arg(file).stdin(Stdio::piped()).spawn() else {
        println!("greylist::postgreys_database: didn't run: no db5.3_load");
        assert!(std::env::var_os("CI").is_none(), "no db5.3_load");
        return false;
    };
    child.stdin.take().expect("a pipe").write_all(rows.as_bytes()).expect("writes");
    child.wait().expect("ends").success()
}

#[test]
fn postgreys_database() {
    world::run("greylist::postgreys_database", Needs::Root, || {
        postgreys_files("--inet=10023 --delay=60");
        let site = Site::new(ASKS_POSTGREY);
        let theirs = open_folder("/mnt/postgrey");
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        let triplet =
            format!("127.0.0.0/known@example.org/box@example.com\n{},{}\n", now - 4_000, now - 3_000);
        let waiting = format!("198.51.100.0/w@example.org/box@example.com\n{now},{now}\n");
        if !berkeley(&theirs.join("postgrey.db"), &format!("{triplet}{waiting}")) {
            return;
        }
        assert!(berkeley(&theirs.join("postgrey_clients.db"), &format!("203.0.113.9\n7,{}\n", now - 8_000)));
        let mut server = Server::start(&site);
        assert!(told(&site.address(), "other@example.org").starts_with("450 "));
        let folder = theirs.to_str().expect("text");
        assert_eq!(by_hand(&site, &["import", folder]), ("3 of 3 taken over\n".to_owned(), Some(0)));
        assert!(told(&site.address(), "known@example.org").starts_with("250 "));
        assert_eq!(by_hand(&site, &["import", folder]), ("0 of 3 taken over\n".to_owned(), Some(0)));
        let (client, _) = by_hand(&site, &["show", "203.0.113.9"]);
        assert!(client.starts_with("client     7 mails came back, the last 2 h ago"), "{client}");
        assert_eq!(by_hand(&site, &["import", "/mnt"]).1, Some(75));
        assert!(server.stop().success());
    });
}

/// A process that ends with its holder.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `komainu policyd`, with its log.
pub(crate) fn policyd(folder: &Path, options: &[&str], environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(KOMAINU);
    command.arg("policyd").arg("--state").arg(folder.join("state")).arg("--log").arg(folder.join("ours.log"));
    let child = command.args(options).envs(environment.iter().copied()).stderr(Stdio::inherit()).spawn();
    Process(child.expect("starts"))
}

pub(crate) fn open_folder(path: &str) -> PathBuf {
    fs::create_dir_all(path).expect("a folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("mode");
    path.into()
}

#[test]
fn behind_a_stock_postfix() {
    world::run("greylist::behind_a_stock_postfix", Needs::Root, || {
        if !postfix_peer::is_there("greylist::behind_a_stock_postfix") {
            return;
        }
        postgreys_files("--inet=10023 --delay=1");
        let folder = open_folder("/mnt/grey");
        // Its options are Debian's file.
        let mut ours = policyd(&folder, &[], &[]);
        let up = || std::net::TcpStream::connect("127.0.0.1:10023").ok().map(drop);
        until("policyd listens", up);
        let postfix = Postfix::start(
            "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10023, permit",
            "127.0.0.1:2626 inet n - n - - smtpd",
        );
        let first = told("127.0.0.1:2626", "a@example.org");
        assert!(
            first.starts_with("450 4.7.1 <box@example.com>: Recipient address rejected: Greylisted, see "),
            "{first}"
        );
        until("Postfix takes the mail", || {
            told("127.0.0.1:2626", "a@example.org").starts_with("250 ").then_some(())
        });
        assert!(told("127.0.0.1:2626", "a@example.org").starts_with("250 "));
        let log = || fs::read_to_string(folder.join("ours.log")).unwrap_or_default();
        until("the log", || log().contains("action=pass, reason=triplet found, delay=").then_some(()));
        assert!(!postfix.log().contains("problem talking to server"), "{}", postfix.log());
        // It runs with no rights to speak of.
        let status = fs::read_to_string(format!("/proc/{}/status", ours.0.id())).expect("runs");
        assert!(status.lines().any(|line| line == "Uid:\t2999\t2999\t2999\t2999"), "{status}");
        // Ended as asked, nothing is forgotten.
        let pid = rustix::process::Pid::from_child(&ours.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signals");
        assert!(ours.0.wait().expect("ends").success());
        let _again = policyd(&folder, &[], &[]);
        until("policyd listens", up);
        assert!(told("127.0.0.1:2626", "a@example.org").starts_with("250 "));
    });
}

/// One of the two, with its clock in a file.
struct Judge {
    clock: PathBuf,
    connection: UnixStream,
    _process: Process,
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists())
}

impl Judge {
    fn environment<'a>(library: &'a str, clock: &'a str) -> [(&'a str, &'a str); 6] {
        [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", clock),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("TZ", "UTC"),
        ]
    }

    fn postgrey(folder: &Path, library: &str, options: &[&str]) -> Judge {
        let clock = folder.join("clock.theirs");
        set(&clock, 0);
        let log = fs::File::create(folder.join("theirs.log")).expect("opens");
        let mut command = Command::new("/usr/sbin/postgrey");
        command.args(["--user=root", "--group=root"]).arg(format!("--dbdir={}", folder.join("db").display()));
        fs::create_dir_all(folder.join("db")).expect("a folder");
        let socket = folder.join("theirs");
        command.arg(format!("--unix={}", socket.display())).args(options);
        command.envs(Judge::environment(library, clock.to_str().expect("text")));
        let child = command.stdout(log.try_clone().expect("clones")).stderr(log).spawn().expect("starts");
        let process = Process(child);
        Judge { clock, connection: connect(&socket), _process: process }
    }

    fn komainu(folder: &Path, library: &str, options: &[&str]) -> Judge {
        let clock = folder.join("clock.ours");
        set(&clock, 0);
        let socket = folder.join("ours");
        let unix = format!("--unix={}", socket.display());
        let options: Vec<&str> = [unix.as_str()].into_iter().chain(options.iter().copied()).collect();
        let process = policyd(folder, &options, &Judge::environment(library, clock.to_str().expect("text")));
        Judge { clock, connection: connect(&socket), _process: process }
    }

    fn ask(&mut self, at: u32, request: &str) -> String {
        set(&self.clock, at);
        self.connection.write_all(request.as_bytes()).expect("asks");
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\n\n") {
            self.connection
                .read_exact(&mut byte)
                .unwrap_or_else(|error| panic!("{error} after {answer:?} to {request}"));
            answer.push(byte[0]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn connect(socket: &Path) -> UnixStream {
    let stream = until("the socket", || UnixStream::connect(socket).ok());
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    stream
}

/// A clock that stands still at so many seconds of the test.
fn set(clock: &Path, at: u32) {
    let (days, rest) = (at / 86_400, at % 86_400);
    let text =
        format!("2026-11-{:02} {:02}:{:02}:{:02}\n", 1 + days, rest / 3_600, rest / 60 % 60, rest % 60);
    let fresh = clock.with_extension("new");
    fs::write(&fresh, text).expect("writes");
    fs::rename(&fresh, clock).expect("renames");
}

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).expect("small")
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const CLIENTS: &[&str] = &[
    "192.0.2.1",
    "192.0.2.9",
    "192.0.3.77",
    "198.51.100.4",
    "2001:db8:1:2::5",
    "2001:db8:1:2:9::6",
    "203.0.113.5",
];
const NAMES: &[&str] =
    &["mail.example.org", "unknown", "mx1.listed.example", "MX.Listed.Example", "unlisted.example"];
const SENDERS: &[&str] = &[
    "a@example.org",
    "A+x@Example.org",
    "list-12-a=b@x.example",
    "list-13-a=b@x.example",
    "",
    "prvs=0123456789=joe@x.example",
    "joe@x.example",
    "prvs=joe=abcdefghij@x.example",
    "x_1@y",
    "1@y",
    "22@y",
    "nodomain",
    "o'neil-7@z",
    "a%s@y",
    "a@b@c",
];
const RECIPIENTS: &[&str] = &[
    "box@example.com",
    "Box@Example.com",
    "box+x@example.com",
    "postmaster@example.com",
    "Abuse+x@example.net",
    "root",
    "kept@free.example",
    "kept@sub.free.example",
    "kept@notfree.example",
];

fn request(dice: &mut Dice, number: usize) -> String {
    let (client, name) = (dice.of(CLIENTS), dice.of(NAMES));
    let (sender, recipient) = (dice.of(SENDERS), dice.of(RECIPIENTS));
    let mut text = "request=smtpd_access_policy\nprotocol_state=RCPT\n".to_owned();
    text += &format!("client_address={client}\nclient_name={name}\nsender={sender}\n");
    // Once in a while there is no recipient.
    if dice.below(40) > 0 {
        text += &format!("recipient={recipient}\n");
    }
    match dice.below(3) {
        0 => {}
        _ => text += &format!("instance=i{}\n", number / 2),
    }
    text + "\n"
}

/// What stands behind the log's envelope, of lines that tell of requests.
fn told_lines(text: &str) -> Vec<String> {
    let behind = |line: &str| line.split_once("]: ").map_or(line, |(_, text)| text).to_owned();
    // Postgrey 1.36, the tutorial's, has the length behind an address; 1.37 hasn't, and doubles each %.
    let bare = |line: String| line.replace("/32, ", ", ").replace("/128, ", ", ").replace("%%", "%");
    let all = text.lines().map(|line| bare(behind(line)));
    all.filter(|line| line.starts_with("action=") || line.starts_with("attribute missing")).collect()
}

/// The same requests over weeks to Debian's Postgrey and to ours: the same answers and the same lines.
fn same_as_postgrey(test: &str, options: &[&str], seed: u64) {
    let (there, library) = (Path::new("/usr/sbin/postgrey").exists(), library());
    let Some(library) = library.filter(|_| there) else {
        println!("{test}: didn't run: no postgrey, or no libfaketime");
        assert!(std::env::var_os("CI").is_none(), "{test}: no postgrey, or no libfaketime");
        return;
    };
    postgreys_files("");
    fs::write(
        "/etc/postgrey/whitelist_clients",
        "# ours\nlisted.example # all of it\n203.0.113\n/^no(thing)?$/\n",
    )
    .expect("writes");
    fs::write("/etc/postgrey/whitelist_recipients.local", "free.example\n").expect("writes");
    let folder = open_folder("/mnt/grey");
    let library = library.to_str().expect("text");
    let mut theirs = Judge::postgrey(&folder, library, options);
    let mut ours = Judge::komainu(&folder, library, options);
    let (mut dice, mut at) = (Dice(seed), 1_000);
    let (mut passed, mut asked) = (0, Vec::<String>::new());
    for number in 0..600 {
        at += u32::try_from([0, 1, 30, 59, 240, 300, 900, 3_600, 9_000][dice.below(9)]).expect("small");
        // Half of them come back, some of them soon.
        let recent = asked.len().min(15);
        let request = match dice.below(2) {
            0 if recent > 0 => asked[asked.len() - 1 - dice.below(recent)].clone(),
            _ => request(&mut dice, number),
        };
        asked.push(request.clone());
        let (theirs, ours) = (theirs.ask(at, &request), ours.ask(at, &request));
        assert_eq!(ours, theirs, "request {number} at {at}: {request}");
        passed += usize::from(theirs.contains("PREPEND"));
    }
    assert!(passed > 10 && at < 29 * 86_400, "{passed} headers until {at}");
    let read = |name: &str| told_lines(&fs::read_to_string(folder.join(name)).unwrap_or_default());
    let theirs = until("Postgrey's log", || Some(read("theirs.log")).filter(|lines| lines.len() >= 600));
    let ours = until("our log", || Some(read("ours.log")).filter(|lines| lines.len() >= 600));
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "line {number}");
    }
    assert_eq!(ours.len(), theirs.len());
    let known = ours.iter().filter(|line| line.contains("reason=client AWL")).count();
    println!(
        "{test}: 600 requests over {} days, {passed} headers, {known} of known clients: all alike",
        at / 86_400
    );
}

#[test]
fn as_postgrey_does_by_networks() {
    let name = "greylist::as_postgrey_does_by_networks";
    world::run(name, Needs::Root, || same_as_postgrey("by networks", &[], 1));
}

#[test]
fn as_postgrey_does_by_hosts() {
    const OPTIONS: &[&str] = &[
        "--lookup-by-host",
        "--delay=60",
        "--auto-whitelist-clients=2",
        "--retry-window=5h",
        "--greylist-action=451",
        "--greylist-text=come back in %s s, %r",
        "--x-greylist-header=X-Late: %t s at %h (%v); %d",
        "--hostname=other.example",
    ];
    let name = "greylist::as_postgrey_does_by_hosts";
    world::run(name, Needs::Root, || same_as_postgrey("by hosts", OPTIONS, 2));
}

#[test]
fn as_postgrey_does_with_privacy() {
    const OPTIONS: &[&str] = &["--privacy", "--ipv4cidr=16", "--ipv6cidr=48", "--auto-whitelist-clients=4"];
    let name = "greylist::as_postgrey_does_with_privacy";
    world::run(name, Needs::Root, || same_as_postgrey("with privacy", OPTIONS, 3));
}
