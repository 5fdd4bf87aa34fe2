//! Debian's scanners as milters beside Postfix: OpenDMARC, rspamd's proxy, spamass-milter with SpamAssassin, and
//! clamav-milter. The same mail through the same scanner: what the client is told, what the log says, what arrives.
//!
//! Signatures and rules are the test's own, so nothing is fetched and little memory is taken. A scanner that isn't
//! installed is said aloud (scripts/bootstrap installs them where it can). T2.29, T2.30, by way of milters.

use crate::client::Client;
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, VMAIL, until};
use crate::world::{self, Needs};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the Postfix of a test listens.
const PEER: &str = "127.0.0.1:2599";
/// Its mailboxes.
const BOXES: &str = "/mnt/boxes";
/// A scanner compiles its rules first, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one in the foreground; what it prints goes to a file of /mnt.
fn daemon(line: &str) -> Daemon {
    let log = fs::File::options().create(true).append(true).open("/mnt/scanners.log").expect("a log");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask 0; exec {line}")]).stdin(Stdio::null());
    let command = command.stdout(log.try_clone().expect("a log")).stderr(log);
    Daemon(command.spawn().expect("starts"))
}

/// Waits until `listens` gives something.
fn ready(what: &str, mut listens: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !listens() {
        let said = || fs::read_to_string("/mnt/scanners.log").unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "{what} doesn't listen: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn at_port(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Whether all these programs are there, and Postfix.
fn are_there(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|path| !Path::new(path).exists()).collect();
    if !missing.is_empty() {
        println!("{test}: didn't run: no {}", missing.join(", "));
    }
    missing.is_empty() && postfix_peer::is_there(test)
}

fn write(path: &str, text: &str) {
    let path = Path::new(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("writes");
}

/// What came of the mails on one server.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    replies: Vec<String>,
    said: Vec<String>,
    arrived: Vec<String>,
}

/// Sends each of `mails` from a stranger.
fn replies(address: &str, mails: &[&str]) -> Vec<String> {
    let mut client = Client::open_from("127.0.0.2", address).expect("connects");
    assert!(client.reply().expect("greets").starts_with("220"));
    assert!(client.say("EHLO client.example").starts_with("250"));
    let send = |mail: &&str| client.mail("a@example.net", "box@virtual.example", mail).expect("a reply");
    let replies = mails.iter().map(send).collect();
    client.say("QUIT");
    replies
}

/// Ids and times made equal; of the log what milters did.
fn seen(replies: Vec<String>, log: &str, arrived: Vec<String>) -> Seen {
    let text = |line: &str| line.split_once("]: ").map(|(_, text)| text.to_owned());
    let ids = log.lines().filter_map(text).filter_map(|text| {
        let (id, rest) = text.split_once(": ")?;
        rest.starts_with("client=").then(|| id.to_owned())
    });
    let ids: Vec<String> = ids.collect();
    let same = |text: &str| ids.iter().fold(text.to_owned(), |text, id| text.replace(id.as_str(), "ID"));
    let undated = |line: &str| match line.split_once("; ").filter(|_| line.starts_with('\t')) {
        Some((head, _)) => head.to_owned(),
        None => line.to_owned(),
    };
    let message = |message: &String| same(message).lines().map(undated).collect::<Vec<_>>().join("\n");
    let mut arrived: Vec<String> = arrived.iter().map(message).collect();
    arrived.sort();
    let said = log.lines().filter_map(text).filter(|text| text.contains("milter"));
    let said = said.map(|text| same(&text)).collect();
    Seen { replies: replies.iter().map(|reply| same(reply)).collect(), said, arrived }
}

/// The same mails through the same milters on both servers; gives what both did.
fn compared(milters: &str, mails: &[&str]) -> Seen {
    let settings = format!("smtpd_milters = {milters}\nmilter_default_action = tempfail\n");
    let site = Site::new("");
    site.main(&format!("{}{settings}", site.virtual_lines()));
    let _server = Server::start(&site);
    let own = replies(&site.address(), mails);
    let taken = own.iter().filter(|reply| reply.starts_with("250")).count();
    until("what was taken here", || (site.delivered().len() == taken).then_some(()));
    let refused = |log: &str| log.matches("milter-reject: ").count();
    let last = "the log's last line";
    until(last, || (refused(&site.log()) >= mails.len() - taken).then_some(()));
    let arrived = site.delivered().into_iter().map(|(_, message)| message).collect();
    let own = seen(own, &site.log(), arrived);

    fs::create_dir_all(BOXES).expect("a folder");
    chown(BOXES, Some(VMAIL), Some(VMAIL)).expect("owner");
    let boxes = format!(
        "virtual_mailbox_domains = virtual.example\nvirtual_mailbox_maps = static:box/\n\
         virtual_mailbox_base = {BOXES}\nvirtual_uid_maps = static:{VMAIL}\nvirtual_gid_maps = static:{VMAIL}\n\
         mynetworks = 192.0.2.1/32\nsmtpd_peername_lookup = no\n\
         smtpd_relay_restrictions = reject_unauth_destination\n"
    );
    let peer = Postfix::start(&format!("{boxes}{settings}"), &format!("{PEER} inet n - n - - smtpd"));
    let theirs = replies(PEER, mails);
    let new = Path::new(BOXES).join("box/new");
    let messages = || -> Vec<String> {
        let files = fs::read_dir(&new).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
    };
    let taken = theirs.iter().filter(|reply| reply.starts_with("250")).count();
    until("what was taken there", || (messages().len() == taken).then_some(()));
    until(last, || (refused(&peer.log()) >= mails.len() - taken).then_some(()));
    let theirs = seen(theirs, &peer.log(), messages());
    assert_eq!(own, theirs);
    own
}

const PLAIN: &str = "From: a@example.net\nDate: Mon, 01 Jan 2001 00:00:00 +0000\nSubject: plain\n\ntext";
const NO_FROM: &str = "Date: Mon, 01 Jan 2001 00:00:00 +0000\nSubject: none\n\ntext";

#[test]
fn opendmarc() {
    world::run("scanners::opendmarc", Needs::Root, || {
        if !are_there("scanners::opendmarc", &["/usr/sbin/opendmarc"]) {
            return;
        }
        write(
            "/mnt/dmarc/conf",
            "Socket inet:8893@127.0.0.1\nAuthservID mx.example.com\nRequiredHeaders true\nRejectFailures true\n\
             SPFSelfValidate false\nSyslog false\nSoftwareHeader true\nDNSTimeout 1\nIgnoreHosts /mnt/dmarc/ignore\n",
        );
        write("/mnt/dmarc/ignore", "192.0.2.77\n");
        let _daemon = daemon("opendmarc -f -c /mnt/dmarc/conf");
        ready("opendmarc", || at_port(8893));
        let two = "From: a@example.net\nFrom: b@example.net\nDate: Mon, 01 Jan 2001 00:00:00 +0000\n\ntext";
        let seen = compared("inet:127.0.0.1:8893", &[PLAIN, NO_FROM, two]);
        let all = seen.arrived.join("\n");
        assert!(
            all.contains("DMARC-Filter: OpenDMARC Filter") && seen.replies[1].starts_with('5'),
            "{seen:?}"
        );
    });
}

#[test]
fn rspamd() {
    world::run("scanners::rspamd", Needs::Root, || {
        if !are_there("scanners::rspamd", &["/usr/bin/rspamd"]) {
            return;
        }
        write("/mnt/rspamd/tld", "com\nnet\norg\n");
        write(
            "/mnt/rspamd/conf",
            "options {\n pidfile = \"/mnt/rspamd/pid\"; tempdir = \"/mnt/rspamd\"; filters = \"\";\n\
             dns { nameserver = [\"127.0.0.1:53\"]; timeout = 0.1s; retransmits = 1; }\n\
             local_addrs = []; one_shot = true; gtube_patterns = \"all\"; enable_test_patterns = true;\n\
             disable_hyperscan = true; url_tld = \"/mnt/rspamd/tld\"; lua_path = \"\";\n}\n\
             logging { type = \"file\"; filename = \"/mnt/rspamd/log\"; level = \"warning\"; }\n\
             worker \"rspamd_proxy\" {\n bind_socket = \"127.0.0.1:11332\"; milter = yes; timeout = 60s;\n\
             upstream \"local\" { default = yes; self_scan = yes; }\n count = 1; spam_header = \"X-Spam\";\n}\n\
             actions { reject = 15; add_header = 6; greylist = 4; }\n",
        );
        let _daemon = daemon("rspamd -i -f -c /mnt/rspamd/conf");
        ready("rspamd", || at_port(11332));
        let gtube = |first: &str| {
            format!("{PLAIN}\n{first}JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X")
        };
        let (refused, marked) = (gtube("X"), gtube("Y"));
        let seen = compared("inet:127.0.0.1:11332", &[PLAIN, &refused, &marked]);
        assert!(seen.replies[1].starts_with("554 5.7.1") && seen.arrived.join("\n").contains("X-Spam: Yes"));
    });
}

#[test]
fn spamassassin() {
    world::run("scanners::spamassassin", Needs::Root, || {
        let programs = ["/usr/sbin/spamd", "/usr/bin/spamc", "/usr/sbin/spamass-milter"];
        if !are_there("scanners::spamassassin", &programs) {
            return;
        }
        write("/mnt/sa/rules/init.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n");
        write(
            "/mnt/sa/rules/own.cf",
            "body BAD /\\bvery bad\\b/\nscore BAD 100\nbody ODD /\\ba bit odd\\b/\nscore ODD 6\nuse_bayes 0\n\
             skip_rbl_checks 1\nutil_rb_tld com net org\nreport_safe 0\nrewrite_header Subject [SPAM]\n\
             required_score 5\nadd_header all Status _YESNO_, score=_SCORE_ tests=_TESTS_\n\
             add_header spam Flag _YESNOCAPS_\nadd_header spam Level _STARS(*)_\n",
        );
        let _spamd = daemon(
            "spamd -x -L -m 2 -s /mnt/sa/log -C /mnt/sa/rules --siteconfigpath=/mnt/sa/rules -i 127.0.0.1 -p 7783 \
             -H /mnt/sa/home",
        );
        ready("spamd", || at_port(7783));
        let _daemon = daemon("spamass-milter -p /mnt/sa/sock -r 15 -- -p 7783");
        ready("spamass-milter", || std::os::unix::net::UnixStream::connect("/mnt/sa/sock").is_ok());
        let (refused, marked) = (format!("{PLAIN}\nvery bad"), format!("{PLAIN}\na bit odd"));
        let seen = compared("unix:/mnt/sa/sock", &[PLAIN, &refused, &marked]);
        assert!(seen.replies[1].contains("Blocked by SpamAssassin"), "{seen:?}");
        let all = seen.arrived.join("\n");
        assert!(all.contains("X-Spam-Flag: YES") && all.contains("Subject: [SPAM] plain"), "{all}");
    });
}

#[test]
fn clamav() {
    world::run("scanners::clamav", Needs::Root, || {
        let programs = ["/usr/sbin/clamd", "/usr/sbin/clamav-milter"];
        if !are_there("scanners::clamav", &programs) {
            return;
        }
        // "MALWARE!!", and nothing else, is a virus.
        write("/mnt/av/own.ndb", "Test.Bad:0:*:4d414c574152452121\n");
        write(
            "/mnt/av/clamd.conf",
            "TCPSocket 3310\nTCPAddr 127.0.0.1\nDatabaseDirectory /mnt/av\nForeground yes\nUser root\n",
        );
        write(
            "/mnt/av/milter.conf",
            "MilterSocket inet:7357@127.0.0.1\nClamdSocket tcp:127.0.0.1:3310\nForeground yes\nUser root\n\
             OnInfected Reject\nRejectMsg Infected: %v\nAddHeader Replace\n",
        );
        let _clamd = daemon("clamd -c /mnt/av/clamd.conf");
        ready("clamd", || at_port(3310));
        let _daemon = daemon("clamav-milter -c /mnt/av/milter.conf");
        ready("clamav-milter", || at_port(7357));
        let infected = format!("{PLAIN}\nMALWARE!!");
        let claims = format!("X-Virus-Status: Clean\nX-Virus-Scanned: by me\n{PLAIN}");
        let seen = compared("inet:127.0.0.1:7357", &[PLAIN, &infected, &claims]);
        assert!(seen.replies[1].contains("Infected: Test.Bad"), "{seen:?}");
        assert!(seen.arrived.join("\n").contains("X-Virus-Status: Clean"), "{seen:?}");
    });
}
