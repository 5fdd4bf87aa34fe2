//! `sendmail` beside Debian's: the same commands with the same input, what they say, what is logged of it, and the
//! messages that arrive. Only queue ids, times and process numbers are made equal. mutt and mail send in earnest (T2.14).

use crate::postfix_peer::{self, Postfix};
use crate::queue::Ran;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The account that sends.
const ALICE: u32 = 4242;

/// A command, what it reads, and how many messages come of it.
struct Case {
    line: &'static str,
    input: &'static [u8],
    arrive: usize,
}

const fn case(line: &'static str, input: &'static [u8], arrive: usize) -> Case {
    Case { line, input, arrive }
}

const TO: &str = "box@virtual.example";
/// More than `header_size_limit` in one header.
const LONG_HEADER: &[u8] = &long(*b"To: box@virtual.example\nX-Longer: ");
const LONG_BODY_LINE: &[u8] = &long(*b"To: box@virtual.example\n\nno header ");

const fn long<const N: usize>(head: [u8; N]) -> [u8; 4000] {
    let mut text = [b'x'; 4000];
    let mut at = 0;
    while at < N {
        text[at] = head[at];
        at += 1;
    }
    text[3999] = b'\n';
    text
}

const SHORT: &[u8] = b"Subject: t\n\nb\n";

const CASES: &[Case] = &[
    case("sendmail TO", b"Subject: x\n\nbody\n.\nrest\n", 1),
    case("sendmail -i TO", b"Subject: x\n\nbody\n.\nrest\n", 1),
    case("sendmail -oi TO", b"Subject: x\n\n..\n.\n", 1),
    case("sendmail TO", b"Subject: x\r\n\r\nbody\r\n.\r\nrest\r\n", 1),
    case("sendmail TO", b"From x y z\n>From a\nSubject: t\n\nFrom b\n", 1),
    case("sendmail TO", b"", 1),
    case("sendmail TO", b"no header\nmore\n", 1),
    case("sendmail -G TO", b"no header\nmore\n", 1),
    case("sendmail TO", b"Subject: \xc3\xa9\n\n\xc3\xa9\xff\0b\n", 1),
    case("sendmail -f foo@x.example -F Joe.(x)\"Doe\" TO", SHORT, 1),
    case("sendmail -f $EMPTY TO", SHORT, 1),
    case("sendmail -f <> TO", SHORT, 1),
    case("sendmail -f joe -r jim TO", SHORT, 1),
    case("sendmail -f Foo<foo@x.example> TO", SHORT, 1),
    case("sendmail -f a,b TO", SHORT, 1),
    case("sendmail -F $EMPTY TO", SHORT, 1),
    case("sendmail -F Na&me TO", SHORT, 1),
    case("sendmail a@virtual.example A@virtual.example,b@virtual.example a@virtual.example", SHORT, 2),
    case("sendmail Joe<a@virtual.example> (x)b@virtual.example", SHORT, 2),
    case(
        "sendmail -t",
        b"To: Joe <box@virtual.example>,\n a@virtual.example\nBcc: h@virtual.example\nSubject: t\n\nb\n",
        3,
    ),
    case("sendmail -t c@virtual.example", b"Cc: a@virtual.example\n\nTo: b@virtual.example\n", 2),
    case(
        "sendmail -t",
        b"Resent-To: a@virtual.example\nTo: b@virtual.example\nResent-Bcc: c@virtual.example\n\nb\n",
        2,
    ),
    case("sendmail -t", b"Resent-From: b@virtual.example\nTo: a@virtual.example\n\nb\n", 1),
    case("sendmail -t", b"To: undisclosed-recipients:;\nBcc: g: a@virtual.example, b@virtual.example;\n\nb\n", 2),
    case("sendmail -t", b"Subject: t\n\nTo: x@virtual.example\n", 0),
    case("sendmail -t", b"To:\n\nb\n", 0),
    case("sendmail", SHORT, 0),
    case("sendmail -FCronDaemon -i -B8BITMIME -oem TO", b"From: \"(Cron Daemon)\" <root@x.example>\nTo: alice@x.example\nSubject: Cron <a@b> x\nMIME-Version: 1.0\n\nout\n.\n", 1),
    case("sendmail -N never -R hdrs -V id7 TO", SHORT, 1),
    case("sendmail -N foo TO", SHORT, 1),
    case("sendmail -R foo -V a=b TO", SHORT, 1),
    case("sendmail -oQx -ox -oA/x -L tag -h 3 -p x -U -x -m -c TO", SHORT, 1),
    case("sendmail -B foo TO", SHORT, 0),
    case("sendmail -Z TO", SHORT, 0),
    case("sendmail -N", SHORT, 0),
    case("sendmail -n TO", SHORT, 0),
    case("sendmail -XX TO", SHORT, 0),
    case("sendmail -XVab TO", SHORT, 0),
    case("sendmail -bx TO", SHORT, 0),
    case("sendmail -bD TO", SHORT, 0),
    case("sendmail -bp x", SHORT, 0),
    case("sendmail -bp -t", SHORT, 0),
    case("sendmail -bp", SHORT, 0),
    case("sendmail -q x", SHORT, 0),
    case("sendmail -q", SHORT, 0),
    case("sendmail -qfoo", SHORT, 0),
    case("sendmail -qSfoo", SHORT, 0),
    case("sendmail -qR", SHORT, 0),
    case("sendmail -qRfoo", SHORT, 0),
    case("sendmail -qInonesuch", SHORT, 0),
    case("sendmail -t -bs", SHORT, 0),
    case("sendmail -bs x", SHORT, 0),
    case("sendmail -bs", b"EHLO there\r\nMAIL FROM:<foo@x.example>\r\nRCPT TO:<box@virtual.example>\r\nRCPT TO:<a@virtual.example>\r\nDATA\r\nSubject: bs\r\n\r\nbody\r\n.\r\nVRFY x\r\nMAIL FROM:<a@unknown.invalid>\r\nRSET\r\nSTARTTLS\r\nETRN foo.example\r\nXCLIENT a=b\r\nHELO\r\nFOO\r\nHELO x\r\nmail from:<>\r\nrcpt to:<box@virtual.example>\r\nDATA\r\nno header\r\n.\r\nQUIT\r\n", 3),
    case("sendmail -bs -i", b"ODD NOOP\r\nODD FOO\r\nODD \r\nRSET\r\nMAIL FROM:<a@x.example>\r\nXX y\r\nEHLO there\r\nNOOP\r\nSMTP\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<a@virtual.example>\r\nRCPT TO:<b@virtual.example>\r\nRCPT TO:<c@virtual.example>\r\nRCPT TO:<d@virtual.example>\r\nRSET\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n", 0),
    case("sendmail -f not@allowed.example TO", SHORT, 0),
    case("sendmail -f ALICE+x@x.example TO", SHORT, 1),
    case("sendmail -bv -f not@allowed.example TO", SHORT, 0),
    case("sendmail -t -f a@x.example", LONG_HEADER, 0),
    case("sendmail -q5m", SHORT, 0),
    case("sendmail -bd x", SHORT, 0),
    case("sendmail -t", LONG_HEADER, 0),
    case("sendmail -t", LONG_BODY_LINE, 1),
    case("mutt -n -F /dev/null -s attached -a /mnt/attachment -- TO", b"text\n", 1),
    case("mail -s subject TO", b"text\n", 1),
    case("mail -s subject -a X-Header:y -c a@virtual.example -b b@virtual.example TO", b"text\n.\nmore\n", 3),
];

/// One of the two.
struct Side {
    etc: PathBuf,
    /// What stands at /usr/sbin/sendmail.
    program: PathBuf,
    mail: PathBuf,
    log: PathBuf,
}

/// What came of a case.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    ran: Ran,
    log: Vec<String>,
    messages: Vec<String>,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if folder.ends_with("new") {
                found.push(entry.path());
            }
        }
    }
    found
}

impl Side {
    fn bind(&self) {
        let bound = Command::new("mount").arg("--bind").arg(&self.program).arg("/usr/sbin/sendmail").status();
        assert!(bound.expect("mount").success());
    }

    fn run(&self, case: &Case) -> Came {
        let from = fs::read_to_string(&self.log).expect("a log").len();
        let words = case.line.split(' ').map(|word| match word {
            "TO" => TO.to_owned(),
            "$EMPTY" => String::new(),
            word => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        let program = if words[0] == "sendmail" { "/usr/sbin/sendmail" } else { words[0].as_str() };
        let mut command = Command::new(program);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/usr/sbin:/bin")
            .env("HOME", "/mnt/alice");
        command.env("MAIL_CONFIG", &self.etc).env("USER", "alice").current_dir("/mnt/alice");
        command.uid(ALICE).gid(ALICE).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        // Who has said that something is wrong reads nothing.
        let _ = stdin.write_all(case.input);
        drop(stdin);
        let output = child.wait_with_output().expect("ends");
        let text = |bytes: &[u8]| masked(&String::from_utf8_lossy(bytes));
        let ran = Ran { code: output.status.code(), out: text(&output.stdout), errors: text(&output.stderr) };
        let read = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).expect("reads")).into_owned();
        let log = || fs::read_to_string(&self.log).expect("a log").split_off(from);
        until(&format!("{} messages of {}:\n{ran:?}\n{}", case.arrive, case.line, log()), || {
            let log = log();
            let taken = log.lines().filter(|line| line.contains("/pickup[")).count();
            let removed = log.lines().filter(|line| line.ends_with(": removed")).count();
            // Postfix's log is written by a process of its own, and may be behind.
            let messages = if case.line == "sendmail -bs" { 2 } else { case.arrive.min(1) };
            let settled = taken == messages && removed == messages;
            (files(&self.mail).len() == case.arrive && settled).then_some(())
        });
        let raw: Vec<String> = files(&self.mail).iter().map(read).collect();
        files(&self.mail).iter().for_each(|path| fs::remove_file(path).expect("removes"));
        let mut messages: Vec<String> = raw.iter().map(|message| masked(message)).collect();
        messages.sort();
        let mut log: Vec<String> = log().lines().filter_map(|line| logged(line, &raw)).collect();
        if case.line.ends_with("-bs") {
            // Two messages are under way at once.
            log.sort();
        } else if case.line.starts_with("mutt") {
            // Its boundary and message id differ, which logged() can't always tell from ids.
            log.retain(|line| !line.contains(", size="));
        }
        Came { ran, log, messages }
    }
}

/// A line of pickup, cleanup and qmgr without what differs; a size without the ids in the message.
fn logged(line: &str, messages: &[String]) -> Option<String> {
    let (_, rest) = line.split_once(" postfix/")?;
    let (program, text) = rest.split_once("]: ")?;
    let (program, _) = program.split_once('[')?;
    let (id, _) = text.split_once(": ")?;
    let mut text = text.to_owned();
    if let Some((head, rest)) = text.split_once(", size=")
        && let Some((size, rest)) = rest.split_once(',')
    {
        let message = messages.iter().find(|message| message.contains(id)).expect("its message");
        let ids: usize = message
            .split_inclusive(ENDS)
            .map(|word| if is_id(bare(word)) { bare(word).len() } else { 0 })
            .sum();
        text = format!("{head}, size={} without ids,{rest}", size.parse::<usize>().expect("a size") - ids);
    }
    ["pickup", "cleanup", "qmgr"].contains(&program).then(|| format!("{program}: {}", masked(&text)))
}

/// What ends a word.
const ENDS: [char; 11] = [' ', '\t', ';', ':', '<', '>', '@', ',', '.', '\n', '\r'];

fn bare(word: &str) -> &str {
    word.trim_end_matches(ENDS)
}

fn is_id(word: &str) -> bool {
    word.len() >= 6
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && word.bytes().any(|byte| byte.is_ascii_digit())
}

/// Digits and ids become `#`: a word with a digit in it, but for those of addresses and sizes.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let line = match line.split_once("essage-ID: <").or_else(|| line.split_once("message-id=<")) {
            // A random one of mutt's.
            Some((head, rest)) if rest.contains('@') => {
                format!("{head}essage-ID: <{}", rest.split_at(rest.find('@').unwrap_or_default()).1)
            }
            _ => line.to_owned(),
        };
        if line.contains("boundary=") || line.starts_with("--") || line.starts_with("User-Agent:") {
            out.push_str("(MIME)\n");
            continue;
        }
        for word in line.split_inclusive(ENDS) {
            let text = bare(word);
            let is_number =
                text.len() <= 2 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_id(text) || is_number {
                out.push('#');
                out.push_str(word.get(text.len()..).unwrap_or_default());
            } else {
                out.push_str(word);
            }
        }
    }
    out
}

fn sides(site: &Site) -> [Side; 2] {
    let ours = site.path("komainu");
    fs::copy(KOMAINU, &ours).expect("copies");
    fs::set_permissions(&ours, PermissionsExt::from_mode(0o755)).expect("mode");
    let theirs = PathBuf::from("/mnt/sendmail");
    fs::copy("/usr/sbin/sendmail", &theirs).expect("copies");
    fs::set_permissions(&theirs, PermissionsExt::from_mode(0o755)).expect("mode");
    let peer = Path::new("/mnt/postfix-peer");
    [
        Side { etc: peer.join("etc"), program: theirs, mail: "/mnt/vmail".into(), log: peer.join("log") },
        Side { etc: site.etc(), program: ours, mail: site.path("vmail"), log: site.path("log/mail.log") },
    ]
}

/// Alice, her folder and something to attach.
pub(crate) fn alice() {
    let mut passwd = fs::OpenOptions::new().append(true).open("/etc/passwd").expect("opens");
    writeln!(passwd, "alice:x:{ALICE}:{ALICE}:Alice Smith,Room 1,,:/mnt/alice:/bin/sh").expect("writes");
    fs::create_dir("/mnt/alice").expect("a folder");
    chown("/mnt/alice", Some(ALICE), Some(ALICE)).expect("owner");
    fs::write("/mnt/attachment", "attached\n").expect("writes");
}

#[test]
fn sendmail_does_what_postfix_does() {
    let name = "sendmail_oracle::sendmail_does_what_postfix_does";
    if !postfix_peer::is_there(name) || !has_mutt_and_mail(name) {
        return;
    }
    world::run(name, Needs::Root, || {
        alice();
        fs::write("/mnt/command-filter", "/^ODD +(.*)/ $1\n/^RSET$/ NOOP\n").expect("writes");
        let site = Site::new("");
        let shared = "smtp_dns_support_level = disabled\nmydestination =\nmynetworks = 127.0.0.0/8\n\
                      header_size_limit = 1500\nsmtpd_helo_required = yes\nsmtpd_noop_commands = XX\n\
                      local_login_sender_maps = inline:{{alice = alice, @x.example, <>, foo, a, b, joe, jim}}\n\
                      smtpd_command_filter = regexp:/mnt/command-filter\nsmtpd_discard_ehlo_keywords = etrn\nsmtpd_recipient_restrictions = reject\n\
                      smtpd_client_restrictions = reject\n";
        site.main(&format!("{}{shared}", site.virtual_lines()));
        let mut server = Server::start(&site);
        fs::create_dir("/mnt/vmail").expect("a folder");
        chown("/mnt/vmail", Some(crate::site::VMAIL), Some(crate::site::VMAIL)).expect("owner");
        let theirs = site.virtual_lines().replace(&site.path("vmail").display().to_string(), "/mnt/vmail");
        let postfix = Postfix::start(&format!("{theirs}{shared}"), "");
        fs::write(
            "/etc/postfix/main.cf",
            "compatibility_level = 3.6\nalternate_config_directories = /mnt/postfix-peer/etc\n",
        )
        .expect("writes");
        let [postfixs, ours] = sides(&site);
        let mut wrong = Vec::new();
        let theirs: Vec<Came> = {
            postfixs.bind();
            CASES.iter().map(|case| postfixs.run(case)).collect()
        };
        ours.bind();
        for (case, theirs) in CASES.iter().zip(theirs) {
            let ours = ours.run(case);
            if ours != theirs {
                wrong.push(format!("$ {}\n  Postfix {theirs:#?}\n  here {ours:#?}", case.line));
            }
        }
        drop(postfix);
        assert!(server.stop().success());
        assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    });
}

fn has_mutt_and_mail(test: &str) -> bool {
    let there = Path::new("/usr/bin/mutt").exists() && Path::new("/usr/bin/mail").exists();
    if !there {
        println!("{test}: didn't run: no mutt or no mail (bsd-mailx)");
        assert!(std::env::var_os("CI").is_none(), "{test}: no mutt or no mail");
    }
    there
}
