//! Reports to senders, beside Debian's Postfix: the same mail through both, to the same servers; then every report in
//! the mailboxes is compared, byte for byte but for ids, times and boundaries, and the log lines about them. T2.14.

use crate::client::Client;
use crate::far_server::{FarServer, KIND, Words};
use crate::postfix_peer::{self, Postfix};
use crate::relaying::SERVERS;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, VMAIL, free_port, until};
use crate::world::{self, Needs};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What both sides are told about reports.
const COMMON: &str = "mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
transport_maps = texthash:/mnt/transport
virtual_alias_domains = alias.test
virtual_alias_maps = texthash:/mnt/aliases
virtual_mailbox_domains = virtual.example
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
smtpd_peername_lookup = no
smtpd_authorized_verp_clients = 127.0.0.0/8
bounce_notice_recipient = bounce@virtual.example
2bounce_notice_recipient = second@virtual.example
delay_notice_recipient = delay@virtual.example
";

/// Both servers, and where their mailboxes are.
struct Pair {
    site: Site,
    _server: Server,
    postfix: Postfix,
    port: u16,
}

/// A report: its header `To:`, and all of it without ids and times.
type Reports = BTreeSet<(String, String)>;

impl Pair {
    fn start(main: &str, transport: &str) -> Pair {
        std::fs::write("/mnt/transport", transport).expect("writes");
        let aliases = "list@alias.test r@unknown.test, s@grey.test\none@alias.test r@plain.test\n\
                       self@virtual.example self@virtual.example, r@unknown.test\n";
        std::fs::write("/mnt/aliases", aliases).expect("writes");
        for folder in ["/mnt/vmail-ours", "/mnt/vmail-theirs"] {
            std::fs::create_dir_all(folder).expect("a folder");
            chown(folder, Some(VMAIL), Some(VMAIL)).expect("owner");
        }
        let ours = format!("{COMMON}virtual_mailbox_base = /mnt/vmail-ours\nmydestination =\n{main}");
        let theirs = format!("{COMMON}virtual_mailbox_base = /mnt/vmail-theirs\n{main}");
        let site = Site::new(&ours);
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\nsoft unix - - n - - smtp\n -o soft_bounce=yes\n", site.address()),
        );
        let port = free_port();
        let server = Server::start(&site);
        let postfix = Postfix::start(
            &theirs,
            &format!(
                "127.0.0.1:{port} inet n - n - - smtpd\nsoft unix - - n - - smtp\n -o soft_bounce=yes\n"
            ),
        );
        Pair { site, _server: server, postfix, port }
    }

    /// Sends the same to both; the replies are the same but for the id.
    fn send(&self, mail: &str, recipients: &[&str], content: &str) {
        let said: Vec<Vec<String>> = [self.site.address(), format!("127.0.0.1:{}", self.port)]
            .iter()
            .map(|address| {
                let mut client = Client::hello(address);
                let mut said = vec![client.say(&format!("MAIL FROM:{mail}"))];
                said.extend(recipients.iter().map(|to| client.say(&format!("RCPT TO:{to}"))));
                said.push(client.say("DATA"));
                let end = client.say(&format!("{}\r\n.", content.replace('\n', "\r\n")));
                said.push(end.split(" as ").next().unwrap_or_default().to_owned());
                said
            })
            .collect();
        assert_eq!(said[0], said[1], "{mail} {recipients:?}");
        assert!(said[0].last().is_some_and(|last| last.starts_with("250")), "{said:?}");
    }

    /// Waits until both queues are through with `count` reports, and gives them: ours, Postfix's.
    fn reports(&self, count: usize) -> (Reports, Reports) {
        let wait = |folder: &str, log: &dyn Fn() -> String| {
            until(&format!("{count} reports in {folder}"), || {
                let found = reports(folder, &log());
                (found.len() >= count).then_some(found)
            })
        };
        let mut theirs = wait("/mnt/vmail-theirs", &|| self.postfix.log());
        let patience = Instant::now() + Duration::from_secs(15);
        let mut ours = Reports::new();
        // Either may be the slower one.
        while ours != theirs && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(50));
            ours = reports("/mnt/vmail-ours", &self.site.log());
            theirs = reports("/mnt/vmail-theirs", &self.postfix.log());
        }
        (ours, theirs)
    }

    fn compare(&self, count: usize) {
        let (ours, theirs) = self.reports(count);
        let others: Vec<_> = ours.difference(&theirs).collect();
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let differences: Vec<String> = missing.iter().map(|report| difference(report, &others)).collect();
        assert!(differences.is_empty(), "{}", differences.join("\n=====\n"));
        assert!(others.is_empty(), "we alone wrote {others:#?}");
        println!("{} reports are the same", theirs.len());
        // The last lines may still be on their way.
        let patience = Instant::now() + Duration::from_secs(10);
        let lines = || (said(&self.site.log()), said(&self.postfix.log()));
        while lines().0 != lines().1 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(100));
        }
        let (mut ours, mut theirs) = lines();
        let common = ours.clone();
        ours.retain(|line| !theirs.contains(line));
        theirs.retain(|line| !common.contains(line));
        assert!(ours.is_empty() && theirs.is_empty(), "we alone: {ours:#?}\nPostfix alone: {theirs:#?}");
    }
}

/// Where Postfix's report differs from the most similar one of ours.
fn difference(report: &(String, String), others: &[&(String, String)]) -> String {
    let common = |other: &str| report.1.lines().zip(other.lines()).take_while(|(a, b)| a == b).count();
    let Some(like) = others.iter().max_by_key(|other| common(&other.1)) else {
        return format!("nothing like\n{}", report.1);
    };
    let at = common(&like.1);
    let show = |text: &str| text.lines().skip(at.saturating_sub(3)).take(12).collect::<Vec<_>>().join("\n");
    format!("Postfix, {}:\n{}\nwe:\n{}", report.0, show(&report.1), show(&like.1))
}

/// Without the size that a message has: we count LF, Postfix CR and LF.
fn sized(text: &str) -> String {
    let mut parts = text.split("message size ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("message size N");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// The queue ids that a log speaks of.
fn ids(log: &str) -> BTreeSet<String> {
    let word = |line: &str| Some(line.split_once("]: ")?.1.split_once(": ")?.0.to_owned());
    let is_id =
        |word: &String| word.len() >= 6 && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    log.lines().filter_map(word).filter(is_id).collect()
}

/// A text without ids, numbers of many digits, and dates.
fn masked(text: &str, ids: &BTreeSet<String>) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let end = |word: &mut String, out: &mut String| {
        let is_time = word.len() >= 10 && word.bytes().all(|b| b.is_ascii_digit());
        out.push_str(if ids.contains(word) {
            "ID"
        } else if is_time {
            "TIME"
        } else {
            word
        });
        word.clear();
    };
    for c in undated(text).chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c);
        } else {
            end(&mut word, &mut out);
            out.push(c);
        }
    }
    end(&mut word, &mut out);
    out
}

/// `Sun, 22 Nov 2026 11:36:17 +0000 (UTC)` is `DATE`.
fn undated(text: &str) -> String {
    let mut out = text.to_owned();
    for day in ["Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ", "Sun, "] {
        while let Some(at) = out.find(day) {
            let end = at + out[at..].find(')').expect("a zone") + 1;
            out.replace_range(at..end, "DATE");
        }
    }
    out
}

fn reports(folder: &str, log: &str) -> Reports {
    let ids = ids(log);
    let mut found = Reports::new();
    for entry in std::fs::read_dir(Path::new(folder).join("box/new")).into_iter().flatten().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let text = sized(&String::from_utf8_lossy(&bytes));
        let to = text.lines().find(|line| line.starts_with("To: ")).unwrap_or_default().to_owned();
        if text.contains("report-type=delivery-status") && text.trim_end().ends_with("--") {
            found.insert((to, masked(&text, &ids)));
        }
    }
    found
}

/// What is said about reports, in no order.
fn said(log: &str) -> Vec<String> {
    let ids = ids(log);
    let about = |line: &&str| {
        line.contains("notification") || line.contains("status=expired") || line.contains("SOFTBOUNCE")
    };
    let text = |line: &str| {
        let (before, text) = line.split_once("]: ").unwrap_or_default();
        let daemon = before.rsplit('/').next().unwrap_or_default().split('[').next().unwrap_or_default();
        let (text, end) = text.split_once(", delay").unwrap_or((text, ""));
        let end = end.split_once(", dsn=").map_or("", |(_, end)| end);
        format!("{daemon}: {} {end}", masked(text, &ids))
    };
    let mut lines: Vec<String> = log.lines().filter(about).map(text).collect();
    lines.sort();
    lines
}

fn servers() -> (Vec<FarServer>, String) {
    let servers: Vec<FarServer> = SERVERS.iter().map(|words| FarServer::start(*words)).collect();
    let lines = SERVERS.iter().zip(&servers);
    let mut transport: String = lines
        .map(|(words, server)| format!("{}.test smtp:[127.0.0.1]:{}\n", words.name, server.port))
        .collect();
    let unknown = SERVERS.iter().position(|words| words.name == "unknown").expect("is there");
    transport.push_str(&format!("soft.test soft:[127.0.0.1]:{}\n", servers[unknown].port));
    transport.push_str("nobody.test smtp:[127.0.0.1]:1\nthrown.test discard:\n");
    (servers, transport)
}

const CONTENT: &str = "From: a@virtual.example\nTo: b@far.test\nDate: Thu, 1 Jan 1970 00:00:00 +0000 (UTC)\n\
                       Message-Id: <m@virtual.example>\nSubject: hi\n\nbody\n..dot";

/// One mail for each way in which a server can fail, and the delays that follow.
#[test]
fn reports_on_every_outcome_are_postfix_s() {
    world::run("bounces::reports_on_every_outcome_are_postfix_s", Needs::Root, || {
        if !postfix_peer::is_there("reports_on_every_outcome_are_postfix_s") {
            return;
        }
        let (_servers, transport) = servers();
        let pair = Pair::start("delay_warning_time = 1s\nnotify_classes =\n", &transport);
        let mut failures = 0;
        for words in SERVERS {
            let name = words.name;
            let recipients = [format!("<r@{name}.test>"), format!("<s@{name}.test>")];
            pair.send("<a@virtual.example>", &[&recipients[0], &recipients[1]], CONTENT);
            failures += usize::from(!matches!(name, "kind" | "old" | "dot-plain" | "dot-lines" | "plain"));
        }
        pair.send("<a@virtual.example>", &["<r@nobody.test>"], CONTENT);
        pair.compare(failures + 1);
    });
}

/// NOTIFY, RET, ENVID, ORCPT, aliases, null senders, other character sets; with the postmaster's copies.
#[test]
fn reports_as_asked_for_are_postfix_s() {
    world::run("bounces::reports_as_asked_for_are_postfix_s", Needs::Root, || {
        if !postfix_peer::is_there("reports_as_asked_for_are_postfix_s") {
            return;
        }
        let (_servers, transport) = servers();
        let main = "notify_classes = bounce, 2bounce, delay\nbounce_size_limit = 2000\ndelay_warning_time = 1s\n\
                    enable_threaded_bounces = yes\n";
        let pair = Pair::start(main, &transport);
        let to = |text: &str| format!("<{text}>");
        let from = "<a@virtual.example>";
        let unknown = to("r@unknown.test");
        pair.send(from, &["<q@unknown.test> NOTIFY=FAILURE ORCPT=rfc822;Foo+2Bbar@orig.test"], CONTENT);
        pair.send("<a@virtual.example> RET=HDRS ENVID=QQ+2B314", &[&unknown], CONTENT);
        pair.send("<a@virtual.example> RET=FULL", &["<r@spam.test> NOTIFY=FAILURE,SUCCESS,DELAY"], CONTENT);
        pair.send(from, &["<r@unknown.test> NOTIFY=NEVER"], CONTENT);
        pair.send(from, &["<r@unknown.test> NOTIFY=DELAY,SUCCESS"], CONTENT);
        pair.send(from, &["<r@grey.test> NOTIFY=FAILURE"], CONTENT);
        pair.send("<>", &[&unknown], CONTENT);
        pair.send("<> RET=HDRS", &["<r@spam.test> NOTIFY=NEVER"], CONTENT);
        pair.send("<double-bounce@mx.example.com>", &[&unknown, "<r@grey.test>"], CONTENT);
        let success = ["<r@kind.test> NOTIFY=SUCCESS", "<r@plain.test> NOTIFY=SUCCESS,FAILURE"];
        pair.send("<a@virtual.example> RET=FULL ENVID=x", &success, CONTENT);
        for to in ["<b@virtual.example> NOTIFY=SUCCESS", "<t@thrown.test> NOTIFY=SUCCESS"] {
            pair.send(from, &[to], CONTENT);
        }
        pair.send(
            from,
            &["<list@alias.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;li@orig.test"],
            CONTENT,
        );
        pair.send(from, &["<list@alias.test>"], CONTENT);
        pair.send(from, &["<one@alias.test> NOTIFY=SUCCESS"], CONTENT);
        pair.send(from, &["<self@virtual.example> NOTIFY=SUCCESS,FAILURE"], CONTENT);
        pair.send("<\"q q\"@virtual.example>", &["<\"bad x\"@unknown.test>"], CONTENT);
        pair.send("<a@virtual.example> BODY=8BITMIME", &[&unknown], &CONTENT.replace("body", "bödy"));
        pair.send("<a@virtual.example> SMTPUTF8", &["<bäd@unknown.test>", &unknown], CONTENT);
        pair.send("<a@virtual.example> SMTPUTF8 RET=HDRS", &[&unknown], &CONTENT.replace("hi", "hï"));
        pair.send(from, &[&unknown], &format!("{CONTENT}{}", "\n0123456789".repeat(400)));
        pair.send(from, &["<r@soft.test>"], CONTENT);
        let list = [unknown.as_str(), "<r@kind.test>", "<r@grey.test>", "<s@unknown.test>"];
        pair.send("<owner@virtual.example> XVERP=+=", &list, CONTENT);
        pair.compare(42);
    });
}

/// What can't be delivered in time is returned; a bounce that is too old goes to the postmaster.
#[test]
fn what_is_too_old_is_returned() {
    world::run("bounces::what_is_too_old_is_returned", Needs::Root, || {
        if !postfix_peer::is_there("what_is_too_old_is_returned") {
            return;
        }
        let (_servers, transport) = servers();
        let main =
            "maximal_queue_lifetime = 0\nbounce_queue_lifetime = 0\nnotify_classes = 2bounce, bounce\n";
        let pair = Pair::start(main, &transport);
        pair.send("<a@virtual.example>", &["<r@grey.test>", "<r@unknown.test>"], CONTENT);
        pair.send("<a@virtual.example>", &["<r@nobody.test>"], CONTENT);
        pair.send("<a@virtual.example>", &["<r@grey.test> NOTIFY=NEVER"], CONTENT);
        pair.send("<>", &["<r@grey.test>"], CONTENT);
        pair.send("<b@grey.test>", &["<r@unknown.test>"], CONTENT);
        pair.compare(9);
    });
}

/// `sendmail -v` and `-bv`: what the first try came to, and what a try would come to; nothing of the latter is sent.
#[test]
fn traces_are_postfix_s() {
    world::run("bounces::traces_are_postfix_s", Needs::Root, || {
        if !postfix_peer::is_there("traces_are_postfix_s") {
            return;
        }
        let (servers, transport) = servers();
        let pair = Pair::start("notify_classes =\nmyorigin = virtual.example\n", &transport);
        let sendmail = |line: &str| {
            let said = [
                ("/usr/sbin/sendmail", Path::new("/mnt/postfix-peer/etc").to_owned()),
                (KOMAINU, pair.site.etc()),
            ];
            let [theirs, ours] = said.map(|(program, etc)| {
                let mut command = Command::new(program);
                command.arg0("sendmail").arg("-C").arg(etc).args(line.split(' '));
                let mut child = command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("starts");
                // A probe doesn't read.
                let _ = child.stdin.take().expect("piped").write_all(CONTENT.as_bytes());
                let output = child.wait_with_output().expect("ends");
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                // `-v` makes Postfix say more of what it does.
                let errors: Vec<String> =
                    text.lines().filter(|line| !line.contains(": name_mask: ")).map(str::to_owned).collect();
                (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), errors)
            });
            assert_eq!(ours, theirs, "{line}");
        };
        let destinations = ["plain", "old", "spam", "unknown", "grey", "thrown", "nobody"];
        for name in destinations {
            sendmail(&format!("-v -f a@virtual.example v@{name}.test"));
            sendmail(&format!("-bv -f a@virtual.example p@{name}.test"));
        }
        for line in [
            "-v -f a b@virtual.example",
            "-v -N never -f a v2@unknown.test",
            "-v -V id+1 -R full -f a c",
            "-v -f a one@alias.test",
            "-v -f a v3@unknown.test v4@unknown.test",
            "-v -f <> n@virtual.example",
            "-bv -f a b@virtual.example",
            "-bv -V id+9 -f a c",
            "-bv -f a one@alias.test",
            "-bv -G -f a p2@unknown.test p3@unknown.test",
            "-bv -F Name -f a p4@unknown.test",
            "-bv -f <> n@unknown.test",
            "-bv -t -f a",
            "-bv -N never -f a c",
            "-bv -R hdrs -f a c",
            "-bv -f a",
        ] {
            sendmail(line);
        }
        pair.compare(27);
        let log = pair.site.log();
        assert!(log.contains("status=deliverable") && log.contains("status=undeliverable"), "{log}");
        drop(servers);
    });
}

/// `confirm_delay_cleared`: who was told that mail waits hears that it waits no more, whatever the other server tells.
#[test]
fn delays_that_end_are_confirmed() {
    world::run("bounces::delays_that_end_are_confirmed", Needs::Root, || {
        if !postfix_peer::is_there("delays_that_end_are_confirmed") {
            return;
        }
        // A destination for each, so that none waits for another's failure.
        let hosts = ["r.slow", "n.slow", "f.slow", "d.slow", "s.slow", "r.kind", "d.kind"];
        let hosts = hosts.map(|name| (name, free_port()));
        let transport: String =
            hosts.iter().map(|(name, port)| format!("{name}.test smtp:[127.0.0.1]:{port}\n")).collect();
        let main = "delay_warning_time = 1s\nconfirm_delay_cleared = yes\nminimal_backoff_time = 1s\n\
                    maximal_backoff_time = 2s\nqueue_run_delay = 1s\nnotify_classes =\n";
        let pair = Pair::start(main, &transport);
        for to in [
            "<r@r.slow.test>",
            "<n@n.slow.test> NOTIFY=NEVER",
            "<f@f.slow.test> NOTIFY=FAILURE",
            "<d@d.slow.test> NOTIFY=DELAY,FAILURE",
            "<s@s.slow.test> NOTIFY=SUCCESS",
            "<r@r.kind.test>",
            "<d@d.kind.test> NOTIFY=DELAY",
        ] {
            pair.send("<a@virtual.example>", &[to], CONTENT);
        }
        let (ours, theirs) = pair.reports(4);
        assert_eq!((ours.len(), theirs.len()), (4, 4), "delays of r, d, r and d");
        let start = |(name, port): &(&str, u16)| {
            let words = if name.ends_with("slow") { Words { ehlo: "250 x", ..KIND } } else { KIND };
            FarServer::start_at(*port, words)
        };
        let _servers = hosts.iter().map(start).collect::<Vec<_>>();
        pair.compare(9);
    });
}
