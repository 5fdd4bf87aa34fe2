//! The old names for the queue beside Debian's: the same commands on the same mail, output, errors and exit codes
//! compared. Only dates, sizes and queue ids are made equal (T2.14).

use crate::client::Client;
use crate::postfix_peer::{self, Postfix};
use crate::queue::{Ran, ran};
use crate::server::{KOMAINU, Server};
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PFLOGSUMM: &str = "/usr/sbin/pflogsumm";
/// A report with the queue's list: the `mailq` that stands beside it is asked.
const SUMMARY: &str = "pflogsumm -q --mailq /dev/null";

/// Commands on an empty queue.
const EMPTY: &[&str] =
    &["postqueue -p", "postqueue -j", "mailq", SUMMARY, "postsuper -d ALL", "postsuper -h ALL -H ALL"];

/// On one deferred message, `$1`, for two recipients.
const ONE: &[&str] = &[
    "postqueue -p",
    "mailq",
    SUMMARY,
    "postqueue -j",
    "postsuper -h $1",
    "postqueue -p",
    "postqueue -j",
    "postsuper -h $1",
    "postsuper -h $1 hold",
    "postsuper -H $1",
    "postsuper -H $1",
    "postqueue -p",
    "postsuper -h ALL",
    "postqueue -p",
    "postsuper -h ALL hold",
    "postsuper -H ALL",
    "postsuper -h $1 -H $1",
    "postsuper -H $1 -h $1",
    "postsuper -h $1 deferred",
    "postsuper -d $1 deferred incoming",
    "postsuper -e $1",
    "postqueue -p",
    "postqueue -j",
    "postsuper -e $1",
    "postcat -eq $1",
    "postcat -bhq $1",
    "postcat -hq $1",
    "postcat -bq $1",
    "postcat -beq $1",
    "postcat -dbhq $1",
    "postcat -q $1",
    "postcat -q $1 nonesuch",
    "postsuper -d $1 -h $1 -d nonesuch1",
    "postqueue -p",
    "postsuper -d $1",
];

/// What is wrong, whatever is queued.
const WRONG: &[&str] = &[
    "postqueue",
    "postqueue -x",
    "postqueue -i",
    "postqueue -p -j",
    "postqueue -p x",
    "postqueue -fp",
    "postqueue -pp",
    "postqueue -i ../x",
    "postqueue -i nonesuch",
    "postqueue -i abc",
    "postqueue -s foo.example",
    "postqueue -s down.example",
    "postqueue -s 127.0.0.1",
    "postqueue -s [127.0.0.1]",
    "postqueue -s $EMPTY",
    "postqueue -i $EMPTY",
    "postqueue -i $LONG",
    "postqueue -c /nonesuch -p",
    "postqueue -f",
    "mailq x",
    "mailq -q",
    "mailq -x",
    "postsuper",
    "postsuper -s",
    "postsuper -ps",
    "postsuper -x",
    "postsuper -d",
    "postsuper -d ../../x",
    "postsuper -d all",
    "postsuper -d $EMPTY",
    "postsuper -d $LONG",
    "postsuper -d a.b -h c_d -r e-f",
    "postsuper -d ALL foo",
    "postsuper -d ALL corrupt",
    "postsuper -d ALL hold maildrop defer bounce",
    "postsuper -r nonesuch -d nonesuch -e nonesuch -h nonesuch -H nonesuch",
    "postsuper -f nonesuch",
    "postsuper -f nonesuch -e nonesuch",
    "postsuper -d - -h -",
    "postsuper -c /nonesuch -d abc",
    "postcat -q nonesuch",
    "postcat -q ../x",
    "postcat -q $EMPTY",
    "postcat -q $LONG",
    "postcat -x",
    "postcat -q",
    "postcat -c /nonesuch -q abc",
];

/// Of somebody who isn't root.
const STRANGER: &[&str] = &[
    "postqueue -p",
    "postqueue -j",
    "mailq",
    "postqueue -f",
    "postqueue -i ABCDEF01",
    "postqueue -s down.example",
    "postsuper -d ALL",
    "postcat -q $1",
];

/// With nobody running.
const DOWN: &[&str] = &[
    "postqueue -p",
    "postqueue -j",
    "mailq",
    SUMMARY,
    "postqueue -f",
    "postqueue -i ABCDEF01",
    "postqueue -s down.example",
    "postsuper -d ALL",
];

/// One of the two.
struct Side {
    /// Where its programs are.
    bin: PathBuf,
    etc: PathBuf,
    address: String,
}

impl Side {
    fn run(&self, line: &str, id: &str, uid: u32) -> Ran {
        let mut words = line.split(' ');
        let name = words.next().expect("a program");
        let program = self.bin.join(name);
        let words = words.map(|word| match word {
            "$1" => id.to_owned(),
            "$EMPTY" => String::new(),
            "$LONG" => "A".repeat(300),
            other => other.to_owned(),
        });
        let mut command = Command::new(program);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.bin.display()));
        command.arg0(name).args(words).env("MAIL_CONFIG", &self.etc).stdin(std::process::Stdio::null());
        if uid != 0 {
            command.uid(uid).gid(uid);
        }
        let ran = ran(&mut command);
        Ran { code: ran.code, out: masked(&ran.out, id), errors: masked(&ran.errors, id) }
    }

    fn send(&self, from: &str, to: &[&str]) -> String {
        let mut client = Client::hello(&self.address);
        assert!(client.say(&format!("MAIL FROM:<{from}>")).starts_with("250"));
        for to in to {
            assert!(client.say(&format!("RCPT TO:<{to}>")).starts_with("250"), "{to}");
        }
        client.say("DATA");
        client.send(b"Subject: one\r\nX-Long: a\r\n b\r\n\r\nbody\r\n\r\nnot: a header\r\n").expect("sends");
        client.say(".").rsplit(' ').next().expect("an id").to_owned()
    }
}

/// Without what differs from one moment to the next.
fn masked(text: &str, id: &str) -> String {
    let text = if id.is_empty() { text.to_owned() } else { text.replace(id, "ID") };
    text.split_inclusive('\n').filter_map(line).collect()
}

fn line(line: &str) -> Option<String> {
    // What only Postfix's files have.
    let left_out =
        ["rewrite_context", "reverse_client_name", "server_address", "server_port", "client_address_type"];
    if left_out.iter().any(|name| line.contains(&format!("named_attribute: {name}="))) {
        return None;
    }
    // An id's length is the machine's: its column is as wide as it must be.
    let (id, rest) = line.split_at(line.find(' ').unwrap_or(0));
    let joined = format!("{id} {}", rest.trim_start());
    let line = if id.starts_with("ID") { joined.as_str() } else { line };
    let mut words: Vec<String> = Vec::new();
    for word in line.split_inclusive([' ', '\t', ',', '/']) {
        let number = word.trim_end_matches([' ', ',', '\n', ';']);
        let is_number = number.len() > 1 && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = number.len() == 8 && number.bytes().filter(|byte| *byte == b':').count() == 2;
        let mask = is_number || is_time;
        words.push(if mask { word.replace(|c: char| c.is_ascii_digit(), "#") } else { word.to_owned() });
    }
    let mut text: String = words.concat();
    for (before, after) in
        [("Message-Id: <", "."), ("log_client_port=", "\n"), (" client_port=", "\n"), ("*** ", "ID")]
    {
        if let Some((head, rest)) = text.clone().split_once(before)
            && let Some(at) = rest.find(after)
        {
            text = format!("{head}{before}#{}", rest.get(at..).unwrap_or_default());
        }
    }
    if text.contains("message_size:") {
        text = text.replace(['#', ' '], "").replace(|c: char| c.is_ascii_digit(), "");
    }
    Some(text)
}

fn compare(sides: &[Side; 2], ids: &[String; 2], commands: &[&str], uid: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    // Where Debian's isn't there, the tests of the report have said so.
    let summed = Path::new(PFLOGSUMM).exists();
    for command in commands.iter().filter(|command| summed || **command != SUMMARY) {
        let [theirs, ours] = [0, 1].map(|at| sides[at].run(command, &ids[at], uid));
        if theirs != ours {
            wrong.push(format!("$ {command} (uid {uid})\n  Postfix {theirs:#?}\n  here {ours:#?}"));
        }
    }
    wrong
}

fn sides(site: &Site, port: u16) -> [Side; 2] {
    let bin = site.path("bin");
    fs::create_dir(&bin).expect("a folder");
    // Where everybody can reach it.
    let program = bin.join("komainu");
    fs::copy(KOMAINU, &program).expect("copies");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("mode");
    for name in ["postqueue", "postsuper", "postcat", "mailq", "pflogsumm"] {
        std::os::unix::fs::symlink(&program, bin.join(name)).expect("links");
    }
    let old = Path::new("/mnt/bin").to_owned();
    fs::create_dir(&old).expect("a folder");
    for (name, from) in [("postqueue", "sbin"), ("postsuper", "sbin"), ("postcat", "sbin"), ("mailq", "bin")]
    {
        std::os::unix::fs::symlink(format!("/usr/{from}/{name}"), old.join(name)).expect("links");
    }
    std::os::unix::fs::symlink(PFLOGSUMM, old.join("pflogsumm")).expect("links");
    let postfix =
        Side { bin: old, etc: PathBuf::from("/mnt/postfix-peer/etc"), address: format!("127.0.0.1:{port}") };
    [postfix, Side { bin, etc: site.etc(), address: site.address() }]
}

fn deferred(sides: &[Side; 2], ids: &[String; 2]) {
    for (side, id) in sides.iter().zip(ids) {
        until("a deferral", || {
            let listed = side.run("postqueue -j", id, 0).out;
            (listed.contains("\"queue_id\": \"ID\"")
                && listed.contains("\"deferred\"")
                && listed.contains("delay_reason"))
            .then_some(())
        });
    }
}

#[test]
fn the_old_names_say_what_postfix_says() {
    let name = "queue_oracle::the_old_names_say_what_postfix_says";
    if !postfix_peer::is_there(name) {
        return;
    }
    world::run(name, Needs::Root, || {
        let (port, nobody) = (free_port(), free_port());
        let shared = format!(
            "mydestination =\nmynetworks = 127.0.0.0/8\nsmtpd_peername_lookup = no\nrelay_domains = down.example\n\
             transport_maps = inline:{{ {{ down.example = smtp:[127.0.0.1]:{nobody} }} }}\n\
             enable_long_queue_ids = LONG\n"
        );
        for long in ["no", "yes"] {
            let main = shared.replace("LONG", long);
            let site = Site::new(&format!("{main}smtpd_relay_restrictions = permit_mynetworks, reject\n"));
            site.write(
                "master.cf",
                &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
            );
            let mut server = Server::start(&site);
            let _ = fs::remove_dir_all("/mnt/bin");
            let _ = fs::remove_dir_all("/mnt/postfix-peer");
            let postfix = Postfix::start(&main, &format!("127.0.0.1:{port} inet n - n - - smtpd"));
            fs::write(
                "/etc/postfix/main.cf",
                "compatibility_level = 3.6\nalternate_config_directories = /mnt/postfix-peer/etc\n",
            )
            .expect("writes");
            let sides = sides(&site, port);
            let none = [String::new(), String::new()];
            let mut wrong = compare(&sides, &none, EMPTY, 0);
            wrong.extend(compare(&sides, &none, WRONG, 0));
            // In the order in which Postfix sorts them.
            let to = ["\"a b\"@down.example", "x@down.example"];
            let ids = [0, 1].map(|at| sides[at].send("\"odd name\"@example.org", &to));
            deferred(&sides, &ids);
            wrong.extend(compare(&sides, &ids, STRANGER, 65_534));
            deferred(&sides, &ids);
            wrong.extend(compare(&sides, &ids, ONE, 0));
            let ids = [0, 1].map(|at| sides[at].send("", &["x@down.example"]));
            deferred(&sides, &ids);
            wrong.extend(compare(&sides, &ids, &["postqueue -p", "postqueue -j"], 0));
            assert!(server.stop().success());
            drop(postfix);
            // Without its log daemon, postsuper writes the log itself, as somebody else.
            fs::set_permissions("/mnt/postfix-peer/log", PermissionsExt::from_mode(0o666)).expect("mode");
            wrong.extend(compare(&sides, &ids, DOWN, 65_534));
            wrong.extend(compare(&sides, &ids, DOWN, 0));
            assert!(wrong.is_empty(), "long ids {long}: {} differ\n{}", wrong.len(), wrong.join("\n"));
        }
    });
}
