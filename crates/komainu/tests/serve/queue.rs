//! The queue as people work on it: orders while the server runs and while it is stopped, who may give them, and what
//! strangers say on the control socket (T2.14).

use crate::client::Client;
use crate::far_server::{FarServer, KIND, Words};
use crate::server::{KOMAINU, Server};
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Somebody who is neither root nor the server.
const STRANGER: u32 = 5000;

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) errors: String,
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.current_dir("/").output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), errors: text(&output.stderr) }
}

/// `komainu queue …` on a site.
pub(crate) fn queue(site: &Site, words: &[&str]) -> Ran {
    ran(Command::new(KOMAINU).arg("queue").args(words).arg("--config").arg(site.etc()))
}

fn queue_as_stranger(site: &Site, words: &[&str]) -> Ran {
    let mut command = Command::new(KOMAINU);
    command.arg("queue").args(words).arg("--config").arg(site.etc()).uid(STRANGER).gid(STRANGER);
    ran(&mut command)
}

/// Ids that a listing with these words gives.
pub(crate) fn ids(site: &Site, words: &[&str]) -> Vec<String> {
    let ran = queue(site, &[&["list", "--format", "json"], words].concat());
    assert_eq!(ran.errors, "", "{ran:?}");
    let id = |line: &str| line.split("\"id\":\"").nth(1)?.split('"').next().map(str::to_owned);
    ran.out.lines().filter(|line| !line.contains("\"state\":\"corrupt\"")).filter_map(id).collect()
}

fn state(site: &Site, id: &str) -> String {
    let ran = queue(site, &["list", id, "--format", "json"]);
    let found = ran.out.split("\"state\":\"").nth(1).and_then(|rest| rest.split('"').next());
    found.unwrap_or_default().to_owned()
}

pub(crate) fn becomes(site: &Site, id: &str, expect: &str) {
    until(&format!("{id} is {expect}"), || (state(site, id) == expect).then_some(()));
}

/// Sends and gives the queue id.
pub(crate) fn send(site: &Site, from: &str, to: &str, content: &str) -> String {
    let reply = Client::hello(&site.address()).mail(from, to, content).expect("talks");
    assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
    reply.rsplit(' ').next().expect("an id").to_owned()
}

/// Mail for NAME.example goes to the port of that name.
fn lines(ports: &[(&str, u16)], more: &str) -> String {
    let entries: Vec<String> =
        ports.iter().map(|(name, port)| format!("{{ {name}.example = smtp:[127.0.0.1]:{port} }}")).collect();
    format!(
        "mynetworks = 127.0.0.0/8\nrelay_domains = down.example\ntransport_maps = inline:{{ {} }}\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\n\
         smtpd_recipient_restrictions = check_sender_access inline:{{ held@example.org=HOLD }}, permit\n{more}",
        entries.join(", ")
    )
}

/// A site of such [`lines`].
pub(crate) fn site(ports: &[(&str, u16)], more: &str) -> Site {
    let site = Site::new(&lines(ports, more));
    let listener = std::fs::read_to_string(site.etc().join("master.cf")).expect("reads");
    site.write("master.cf", &format!("{listener}smtp unix - - n - - smtp\n"));
    site
}

/// The queue manager's parameters are a reload's business too.
#[test]
fn a_reload_changes_when_mail_is_tried() {
    world::run("queue::a_reload_changes_when_mail_is_tried", Needs::Nothing, || {
        let ports = [("down", free_port())];
        let site = site(&ports, "");
        let mut server = Server::start(&site);
        let early = send(&site, "a@example.org", "x@down.example", "Subject: early\n\nx");
        becomes(&site, &early, "deferred");
        let often = "queue_run_delay = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n\
                     maximal_queue_lifetime = 4s\n";
        site.main(&lines(&ports, often));
        let after = site.log().len();
        server.reload();
        let late = send(&site, "a@example.org", "y@down.example", "Subject: late\n\nx");
        site.logged(&format!("{late}: from=<a@example.org>, status=expired, returned to sender"), after);
        // What waited for a later time keeps it.
        assert_eq!(state(&site, &early), "deferred");
        assert!(server.stop().success());
    });
}

/// Each filter finds what it says.
fn filters(site: &Site, [down, later, held]: [&str; 3]) {
    let check = |words: &[&str], expect: &[&str]| assert_eq!(ids(site, words), expect, "{words:?}");
    check(&["--sender", "a@EXAMPLE.org"], &[down]);
    check(&["--recipient", "x@*.example", "--state", "deferred"], &[down, later]);
    check(&["--domain", "grey.example"], &[later]);
    check(&["--reason", "connection refused"], &[down]);
    check(&["--older", "1d"], &[]);
    check(&["--younger", "1d", "--state", "hold"], &[held]);
    check(&["--id", down, "--id", held], &[down, held]);
    check(&["--larger", "1M"], &[]);
    assert_eq!(queue(site, &["list", "ABCDEF012345"]).code, Some(1));
    let unit = queue(site, &["list", "--older", "5"]);
    assert!(unit.code == Some(64) && unit.errors.contains("write 5s, 5m, 5h, 5d or 5w"), "{unit:?}");
}

/// Many notes about one message.
fn folding(site: &Site, later: &str) {
    // Many notes are folded into the envelope, and the last word stays.
    for _ in 0..6 {
        assert_eq!(queue(site, &["release", later]).code, Some(0));
        becomes(site, later, "deferred");
        assert_eq!(queue(site, &["hold", later]).code, Some(0));
        assert_eq!(state(site, later), "hold");
    }
}

/// What a filter of recipients finds is changed whole, and the others' number is said.
fn other_recipients(site: &Site) {
    let mut client = Client::hello(&site.address());
    let said = ["MAIL FROM:<b@example.org>", "RCPT TO:<x@down.example>", "RCPT TO:<y@grey.example>"];
    for command in said {
        assert!(client.say(command).starts_with("250"), "{command}");
    }
    assert!(client.say("DATA").starts_with("354"));
    let both = client.say("Subject: both\r\n\r\nx\r\n.").rsplit(' ').next().expect("an id").to_owned();
    let order = |words: &[&str], expect: &str| {
        let ran = queue(site, words);
        assert_eq!(ran.out.lines().last(), Some(expect), "{words:?} {ran:?}");
    };
    let other = "with 1 recipient that the filter doesn't name.";
    order(&["hold", &both, "--domain", "down.example"], &format!("1 message put on hold, {other}"));
    order(&["hold", &both], "0 messages put on hold.");
    order(
        &["delete", &both, "--domain", "down.example", "--dry-run"],
        &format!("1 message would be deleted, {other}"),
    );
    order(&["delete", &both, "--sender", "b@*", "--dry-run"], "1 message would be deleted.");
    order(&["delete", &both, "--domain", "down.example", "--yes"], &format!("1 message deleted, {other}"));
    assert_eq!(queue(site, &["list", &both]).code, Some(1));
}

/// Deletion of what a filter finds asks first.
fn deletion(site: &Site, down: &str) {
    let refused = queue(site, &["delete", "--sender", "*"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.errors.contains("--yes"), "{refused:?}");
    assert_eq!(
        queue(site, &["delete", "--dry-run", "--all"]).out.lines().last(),
        Some("2 messages would be deleted.")
    );
    assert_eq!(queue(site, &["delete", down]).out, "1 message deleted.\n");
    assert_eq!(queue(site, &["delete", down]).code, Some(1));
    site.logged(&format!("{down}: removed"), 0);
}

#[test]
fn orders_while_it_runs_and_while_it_is_stopped() {
    world::run("queue::orders_while_it_runs_and_while_it_is_stopped", Needs::Nothing, || {
        let kind = FarServer::start(KIND);
        let grey = FarServer::start(Words { rcpt: "450 try later", ..KIND });
        let site = site(&[("down", free_port()), ("kind", kind.port), ("grey", grey.port)], "");
        let mut server = Server::start(&site);
        assert_eq!(queue(&site, &["list"]).out, "The queue is empty.\n");
        let down = send(&site, "a@example.org", "x@down.example", "Subject: down\n\nx");
        let later =
            send(&site, "b@example.org", "x@grey.example", &format!("Subject: grey\n\n{}", "y".repeat(70)));
        let held = send(&site, "held@example.org", "x@kind.example", "Subject: held\n\nx");
        becomes(&site, &down, "deferred");
        becomes(&site, &later, "deferred");
        assert_eq!(state(&site, &held), "hold", "access HOLD");
        assert_eq!(ids(&site, &[]), [down.as_str(), &later, &held], "in order of arrival");

        filters(&site, [&down, &later, &held]);

        // An order for one, for a filter's, and what can't be.
        assert_eq!(queue(&site, &["hold"]).code, Some(64), "everything is not meant by saying nothing");
        assert_eq!(queue(&site, &["hold", "--domain", "down.example"]).out, "1 message put on hold.\n");
        assert_eq!(state(&site, &down), "hold");
        let again = queue(&site, &["hold", &down]);
        assert_eq!((again.code, again.out.as_str()), (Some(0), "0 messages put on hold.\n"), "{again:?}");
        assert_eq!(queue(&site, &["flush"]).code, Some(0));
        // Not tried until it is released.
        site.logged(&format!("{later}: to=<x@grey.example>"), 0);
        assert!(kind.heard().is_empty());

        // Hold outlives a kill.
        server.kill();
        assert_eq!(state(&site, &down), "hold");
        assert_eq!(queue(&site, &["flush"]).code, Some(75), "nobody delivers");
        assert_eq!(queue(&site, &["hold", &later]).out, "1 message put on hold.\n");
        assert_eq!(ids(&site, &["--state", "hold"]).len(), 3);
        let mut server = Server::start(&site);
        for id in [&down, &later, &held] {
            assert_eq!(state(&site, id), "hold");
        }
        assert_eq!(queue(&site, &["release", &held]).out, "1 message released.\n");
        until("the delivery", || {
            kind.heard().iter().any(|said| said.contains("Subject: held")).then_some(())
        });
        until("its end", || (ids(&site, &[]).len() == 2).then_some(()));

        folding(&site, &later);
        other_recipients(&site);
        assert_eq!(queue(&site, &["requeue", &down]).out, "1 message requeued.\n");
        becomes(&site, &down, "deferred");
        let tries = queue(&site, &["list", &down, "--format", "json"]).out;
        assert!(tries.contains("\"tries\":1}"), "{tries}");

        deletion(&site, &down);
        assert!(server.stop().success());
        assert_eq!(ids(&site, &[]), [later.as_str()]);
        assert_eq!(queue(&site, &["delete", "--all", "--yes"]).out, "1 message deleted.\n");
        assert_eq!(queue(&site, &["list"]).out, "The queue is empty.\n");
        let mut server = Server::start(&site);
        assert_eq!(ids(&site, &[]).len(), 0);
        assert!(server.stop().success());
    });
}

#[test]
fn a_message_that_is_being_delivered_is_deleted() {
    world::run("queue::a_message_that_is_being_delivered_is_deleted", Needs::Nothing, || {
        // It never says a word.
        let silent = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = silent.local_addr().expect("an address").port();
        let site = site(&[("silent", port)], "smtp_helo_timeout = 1s\n");
        let mut server = Server::start(&site);
        let first = send(&site, "a@example.org", "x@silent.example", "Subject: one\n\nx");
        becomes(&site, &first, "active");
        let listed = ran(Command::new(KOMAINU).arg0("postqueue").arg("-p").env("MAIL_CONFIG", site.etc()));
        assert!(listed.out.contains(&format!("{first}* ")), "{listed:?}");
        let second = send(&site, "a@example.org", "x@silent.example", "Subject: two\n\nx");
        becomes(&site, &second, "active");
        assert_eq!(queue(&site, &["delete", &first]).out, "1 message deleted.\n");
        // Held while it is delivered: the attempt ends, and there is no other.
        assert_eq!(queue(&site, &["hold", &second]).out, "1 message put on hold.\n");
        assert_eq!(ids(&site, &[]), [second.as_str()]);
        drop(silent);
        site.logged(&format!("{second}: to=<x@silent.example>"), 0);
        assert_eq!(state(&site, &second), "hold");
        let shown = queue(&site, &["show", &second, "--full"]).out;
        assert!(shown.contains("deferred: 4.4.") && shown.contains("Subject: two"), "{shown}");
        assert!(server.stop().success());
        assert_eq!(ids(&site, &[]), [second.as_str()]);
    });
}

/// Why mail is held is told to root, and not of what was held by hand.
#[test]
fn why_it_is_held() {
    world::run("queue::why_it_is_held", Needs::Root, || {
        let site = site(&[("down", free_port())], "");
        let program = site.path("komainu");
        std::fs::copy(KOMAINU, &program).expect("copies");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("mode");
        let mut server = Server::start(&site);
        let held = send(&site, "held@example.org", "x@down.example", "Subject: x\n\nx");
        let shown = queue(&site, &["show", &held]).out;
        assert!(shown.contains("\nOn hold:      access table inline:{"), "{shown}");
        assert!(shown.contains(" entry \"held@example.org\"\n"), "{shown}");
        assert!(queue(&site, &["list", &held]).out.contains("    (on hold: access table inline:{"));
        let mut stranger = Command::new(&program);
        stranger.args(["queue", "list", &held]).env("MAIL_CONFIG", site.etc()).uid(STRANGER).gid(STRANGER);
        let seen = ran(&mut stranger).out;
        assert!(seen.contains(&held) && !seen.contains("on hold:"), "{seen}");
        let other = send(&site, "a@example.org", "x@down.example", "Subject: x\n\nx");
        becomes(&site, &other, "deferred");
        assert_eq!(queue(&site, &["hold", &other]).code, Some(0));
        let seen = queue(&site, &["list", &other]).out;
        assert!(seen.contains(&other) && !seen.contains("on hold:"), "by hand: {seen}");
        assert!(server.stop().success());
    });
}

#[test]
fn who_may_do_what() {
    world::run("queue::who_may_do_what", Needs::Root, || {
        let site = site(&[("down", free_port())], "");
        // The program of the test may be where a stranger can't reach it.
        let program = site.path("komainu");
        std::fs::copy(KOMAINU, &program).expect("copies");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("mode");
        let stranger = |name: &str, words: &[&str]| {
            let mut command = Command::new(&program);
            command.arg0(name).args(words).env("MAIL_CONFIG", site.etc()).uid(STRANGER).gid(STRANGER);
            ran(&mut command)
        };
        let mut server = Server::start(&site);
        let id = send(&site, "a@example.org", "x@down.example", "Subject: secret\n\nx");
        becomes(&site, &id, "deferred");
        let listed = stranger("postqueue", &["-j"]);
        assert!(listed.out.contains("\"address\": \"x@down.example\""), "{listed:?}");
        assert_eq!(stranger("postqueue", &["-f"]).code, Some(0));
        let shown = stranger("komainu", &["queue", "show", &id]);
        assert!(
            shown.out.contains("for root to read")
                && !shown.out.contains("Client:")
                && !shown.out.contains("secret"),
            "{shown:?}"
        );
        for words in [["delete", &id], ["hold", &id], ["requeue", &id], ["release", &id]] {
            let refused = stranger("komainu", &[&["queue"], words.as_slice()].concat());
            let expect = "komainu: User vmail(5000) is not allowed to change the mail queue\n";
            assert_eq!((refused.code, refused.errors.as_str()), (Some(77), expect), "{words:?}");
        }
        let out = site.path("log/out").display().to_string();
        assert_eq!(stranger("komainu", &["queue", "export", &out]).code, Some(77));
        let check = stranger("komainu", &["queue", "check"]);
        let spool = site.path("state/queue");
        let expect = format!(
            "komainu: only root and the account that the server runs as may check the queue in {}\n",
            spool.display()
        );
        assert_eq!((check.code, check.errors), (Some(77), expect));
        let super_user = "postsuper: fatal: use of this command is reserved for the superuser\n";
        assert_eq!(stranger("postsuper", &["-d", "ALL"]).errors, super_user);
        let secret = stranger("postcat", &["-q", &id]);
        assert_eq!(secret.errors, format!("postcat: fatal: open queue file {id}: Permission denied\n"));
        assert_eq!(state(&site, &id), "deferred");

        let more = "authorized_mailq_users = root\nauthorized_flush_users = !vmail, static:all\n";
        let main = std::fs::read_to_string(site.etc().join("main.cf")).expect("reads");
        site.write("main.cf", &format!("{main}{more}"));
        server.reload();
        let check = |words: &[&str], what: &str| {
            let refused = stranger("postqueue", words);
            let expect =
                format!("postqueue: fatal: User vmail(5000) is not allowed to {what} the mail queue\n");
            assert_eq!((refused.code, refused.errors), (Some(69), expect), "{words:?}");
        };
        check(&["-p"], "view");
        check(&["-j"], "view");
        check(&["-f"], "flush");
        check(&["-i", &id], "flush");
        check(&["-s", "down.example"], "flush");
        // Root may, whatever the lists say.
        assert_eq!(ids(&site, &[]), [id.as_str()]);
        assert!(server.stop().success());
        let stopped = queue_as_stranger(&site, &["list"]);
        assert!(stopped.code == Some(77) || stopped.code.is_none(), "{stopped:?}");
        assert_eq!(stranger("komainu", &["queue", "list"]).code, Some(77));
        // Root's changes on a stopped spool leave files that the server can read.
        assert_eq!(queue(&site, &["hold", &id]).out, "1 message put on hold.\n");
        let mut server = Server::start(&site);
        assert_eq!(state(&site, &id), "hold");
        assert!(server.stop().success());
    });
}

/// Whatever is said on the socket, the server goes on.
#[test]
fn strangers_on_the_control_socket() {
    world::run("queue::strangers_on_the_control_socket", Needs::Nothing, || {
        let site = site(&[("down", free_port())], "");
        let mut server = Server::start(&site);
        let id = send(&site, "a@example.org", "x@down.example", "Subject: one\n\nx");
        becomes(&site, &id, "deferred");
        let socket = site.path("state/control");
        let say = |bytes: &[u8]| {
            let mut stream = UnixStream::connect(&socket).expect("connects");
            // The other side may close at any moment.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            answer
        };
        assert_eq!(say(b""), b"");
        assert_eq!(say(b"\xff\xff\xff\xff"), b"", "too long: not even read");
        assert_eq!(say(b"\0\0\0\0"), b"");
        assert!(say(b"\0\0\0\x05EHLO ").ends_with(b"a frame of the unknown kind 69"));
        assert!(say(b"\0\0\0\x01\x05").ends_with(b"no greeting"));
        let hello = b"\0\0\0\x16\x01\0\0\0\x0fkomainu control\0\x01";
        assert_eq!(say(hello), b"\0\0\0\x03\x81\0\x01");
        let with = |rest: &[u8]| say(&[hello.as_slice(), rest].concat());
        let id_with_slashes = b"\0\0\0\x0e\x03\0\0\0\x09../../etc";
        assert!(with(id_with_slashes).ends_with(b"a frame with a bad queue id"));
        assert!(with(b"\0\0\0\x0f\x03\0\0\0\x0aABC\0DEFGHI").ends_with(b"a frame with a bad queue id"));
        assert!(with(b"\0\0\0\x0b\x04\x09\0\0\0\x06ABCDEF").len() < 200);
        // Another version is told ours, and then nothing.
        let old = b"\0\0\0\x16\x01\0\0\0\x0fkomainu control\0\x63\0\0\0\x01\x05";
        assert!(say(old).ends_with(b"no greeting"));
        // Many who say nothing don't keep root out.
        let silent: Vec<UnixStream> =
            (0..15).map(|_| UnixStream::connect(&socket).expect("connects")).collect();
        assert_eq!(ids(&site, &[]), [id.as_str()]);
        drop(silent);
        let mut seed = 7_u64;
        for _ in 0..300 {
            let mut bytes = [hello.as_slice(), b"\0\0\0\x0b\x02\0\0\0\x06ABCDEF"].concat();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(seed >> 33).expect("small") % bytes.len();
                bytes[at] = seed.to_le_bytes()[3];
            }
            say(&bytes);
        }
        assert_eq!(ids(&site, &[]), [id.as_str()]);
        assert!(server.stop().success());
    });
}

#[test]
fn export() {
    world::run("queue::export", Needs::Nothing, || {
        let site = site(&[("down", free_port())], "");
        let mut server = Server::start(&site);
        let small = send(&site, "a@example.org", "x@down.example", "Subject: small\n\nshort");
        let text = format!("Subject: large\n\n{}end", format!("{}\n", "l".repeat(79)).repeat(4000));
        let large = send(&site, "a@example.org", "x@down.example", &text);
        let other = send(&site, "a@example.org", "x@down.example", &text);
        becomes(&site, &other, "deferred");
        let out = site.path("out");
        let folder = out.display().to_string();
        assert_eq!(queue(&site, &["export", &folder, &small, &large]).code, Some(0));
        let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("reads");
        assert!(read(&format!("{small}.eml")).ends_with("\n\nshort\n"), "{}", read(&format!("{small}.eml")));
        assert!(read(&format!("{large}.eml")).ends_with("\nend\n"));
        let envelope = read(&format!("{small}.json"));
        assert!(
            envelope.contains("\"sender\": \"a@example.org\"") && envelope.contains("x@down.example"),
            "{envelope}"
        );
        let mode = out.join(format!("{small}.eml")).metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(queue(&site, &["export", &folder, &small]).code, Some(1), "nothing is replaced unasked");
        assert_eq!(queue(&site, &["export", &folder, &small, "--force"]).code, Some(0));
        let all = queue(&site, &["export", &folder, "--all", "--force"]);
        assert!(all.code == Some(0) && all.out.starts_with("3 messages saved in "), "{all:?}");
        assert_eq!(queue(&site, &["export", &folder, "--all", &small]).code, Some(64));
        let seen = queue(&site, &["export", "/proc/nowhere", &small]);
        assert!(seen.code == Some(75) && seen.errors.contains("/proc/nowhere"), "{seen:?}");

        assert!(server.stop().success());
    });
}

#[test]
fn etrn_and_postqueue_s() {
    world::run("queue::etrn_and_postqueue_s", Needs::Nothing, || {
        let grey = FarServer::start(Words { rcpt: "450 try later", ..KIND });
        let site = site(&[("down", grey.port), ("other", grey.port)], "");
        let mut server = Server::start(&site);
        let down = send(&site, "a@example.org", "x@down.example", "Subject: one\n\nx");
        let other = send(&site, "a@example.org", "x@other.example", "Subject: one\n\nx");
        becomes(&site, &down, "deferred");
        becomes(&site, &other, "deferred");
        let mark = site.log().len();
        assert_eq!(Client::hello(&site.address()).say("ETRN down.example"), "250 Queuing started");
        site.logged(&format!("{down}: to=<x@down.example>"), mark);
        becomes(&site, &down, "deferred");
        let mark = site.log().len();
        let flushed = ran(Command::new(KOMAINU)
            .arg0("postqueue")
            .args(["-s", "DOWN.example"])
            .env("MAIL_CONFIG", site.etc()));
        assert_eq!((flushed.code, flushed.errors.as_str()), (Some(0), ""));
        site.logged(&format!("{down}: to=<x@down.example>"), mark);
        assert_eq!(site.log().matches(&format!("{other}: to=<")).count(), 1, "the others wait");
        assert!(server.stop().success());
    });
}
