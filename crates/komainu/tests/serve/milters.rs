//! Debian's OpenDKIM as a milter, over TCP and over a socket of the file system: what it signs, it verifies; what a
//! milter costs over TCP; what is held, and released (MILTER_README).
//!
//! What each event and answer does on the wire and in the log, the dialogues show (`milter/`).

use crate::client::Client;
use crate::queue::queue;
use crate::server::Server;
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// So many signed messages are timed.
const MESSAGES: u32 = 20;

struct OpenDkim(Child);

impl Drop for OpenDkim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_there() -> bool {
    let there = Path::new("/usr/sbin/opendkim").exists() && Path::new("/usr/sbin/opendkim-genkey").exists();
    if !there {
        println!("milters: didn't run: no opendkim");
        assert!(std::env::var_os("CI").is_none(), "no opendkim");
    }
    there
}

/// Starts one that listens at `socket` and signs for 127.0.0.1.
fn opendkim(socket: &str) -> OpenDkim {
    let folder = Path::new("/mnt/dkim");
    fs::create_dir_all(folder).expect("a folder");
    let mut genkey = Command::new("opendkim-genkey");
    let made = genkey.args(["-b", "2048", "-s", "mail", "-d", "example.net", "-D", "/mnt/dkim"]).status();
    assert!(made.expect("runs").success());
    let record = fs::read_to_string(folder.join("mail.txt")).expect("a key");
    let text: String = record.split('"').skip(1).step_by(2).collect();
    fs::write(folder.join("public"), format!("mail._domainkey.example.net {text}\n")).expect("writes");
    fs::write(folder.join("internal"), "127.0.0.1\n").expect("writes");
    let settings = format!(
        "Socket {socket}\nDomain example.net\nSelector mail\nKeyFile /mnt/dkim/mail.private\nMode sv\n\
         InternalHosts /mnt/dkim/internal\nTestPublicKeys /mnt/dkim/public\nRequireSafeKeys no\n\
         AuthservID mx.example.com\nCanonicalization relaxed/simple\nSyslog no\nUMask 000\n"
    );
    fs::write(folder.join("conf"), settings).expect("writes");
    let mut command = Command::new("opendkim");
    let command = command.args(["-f", "-x", "/mnt/dkim/conf"]).stdin(Stdio::null());
    OpenDkim(command.spawn().expect("starts"))
}

/// Sends `content` from an address; it is delivered, as it then stands.
fn passed(site: &Site, from: &str, mark: &str, content: &str) -> String {
    let mut client = Client::open_from(from, &site.address()).expect("connects");
    assert!(client.reply().expect("greets").starts_with("220"));
    assert!(client.say("EHLO client.example").starts_with("250"));
    let reply = client.mail("a@example.net", "box@example.com", content).expect("a reply");
    assert!(reply.starts_with("250"), "{reply}");
    client.say("QUIT");
    site.delivered_with(mark)
}

/// Signed for one client, verified for another; a changed one is found out.
fn signs_and_verifies(milters: &str, socket: &str, listens: impl FnMut() -> Option<()>) {
    let _filter = opendkim(socket);
    until("opendkim", listens);
    let site = Site::new(&format!("smtpd_milters = {milters}\nmilter_default_action = tempfail\n"));
    let _server = Server::start(&site);
    let from = "From: a@example.net\nTo: box@example.com\nDate: Mon, 01 Jan 2001 00:00:00 +0000\n";
    let mail = format!("{from}Subject: first\n folded\n\nText,\n..dot\n{}", "x".repeat(900));
    let signed = passed(&site, "127.0.0.1", "Subject: first", &mail);
    assert!(signed.contains("\nDKIM-Signature: v=1; a=rsa-sha256;"), "{signed}");
    let at = signed.find("DKIM-Signature: ").expect("a signature");
    let again = signed.get(at..).expect("a header").replace("\n.dot", "\n..dot");
    let again = again.trim_end();
    let forged = again.replace("Subject: first", "Subject: forged");
    let other = again.replacen("DKIM-Signature:", "X-Second: verified\nDKIM-Signature:", 1);
    let verified = passed(&site, "127.0.0.2", "X-Second: verified", &other);
    assert!(verified.contains("Authentication-Results: mx.example.com;"), "{verified}");
    assert!(verified.contains("dkim=pass"), "{verified}");
    let refused = passed(&site, "127.0.0.2", "Subject: forged", &forged);
    assert!(refused.contains("dkim=fail"), "{refused}");
    let begun = Instant::now();
    let mut client = Client::hello(&site.address());
    for _ in 0..MESSAGES {
        let reply = client.mail("a@example.net", "box@example.com", &format!("{from}\nx")).expect("a reply");
        assert!(reply.starts_with("250"), "{reply}");
    }
    println!("opendkim at {milters}: {:?} a message", begun.elapsed() / MESSAGES);
}

#[test]
fn opendkim_over_tcp() {
    world::run("milters::opendkim_over_tcp", Needs::Root, || {
        if !is_there() {
            return;
        }
        let port = free_port();
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
        signs_and_verifies(&format!("inet:127.0.0.1:{port}"), &format!("inet:{port}@127.0.0.1"), listens);
    });
}

#[test]
fn opendkim_over_a_socket() {
    world::run("milters::opendkim_over_a_socket", Needs::Root, || {
        if !is_there() {
            return;
        }
        let listens = || std::os::unix::net::UnixStream::connect("/mnt/dkim/socket").ok().map(drop);
        signs_and_verifies("unix:/mnt/dkim/socket", "local:/mnt/dkim/socket", listens);
    });
}

/// A packet of the protocol.
fn packet(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).expect("a length");
    [&length.to_be_bytes()[..], &[letter], body].concat()
}

/// A milter over TCP that permits everything and says `at_end` at the end of a message; gives its port.
fn own_milter(at_end: Vec<u8>) -> u16 {
    let listening = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listening.local_addr().expect("a port").port();
    std::thread::spawn(move || {
        for stream in listening.incoming().flatten() {
            let at_end = at_end.clone();
            std::thread::spawn(move || serve_milter(stream, &at_end));
        }
    });
    port
}

fn serve_milter(mut stream: TcpStream, at_end: &[u8]) -> Option<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
        stream.read_exact(&mut body).ok()?;
        let answer = match body.first()? {
            b'O' => {
                let numbers = [6u32, 0x1ff, 0].map(u32::to_be_bytes).concat();
                packet(b'O', &numbers)
            }
            b'D' | b'A' | b'K' => continue,
            b'Q' => return None,
            b'E' => at_end.to_vec(),
            _ => packet(b'c', b""),
        };
        // As the milter library does it, and with its system's algorithm of Nagle.
        let (head, rest) = answer.split_at(4);
        stream.write_all(head).ok()?;
        stream.write_all(rest).ok()?;
    }
}

/// Each event and its answer cross the network once, and neither side waits for an acknowledgement of the other, though
/// this milter writes each answer in two pieces: with Nagle's algorithm a message costs 40 ms and more, each time.
#[test]
fn a_milter_over_tcp_costs_no_delay() {
    const BATCH: u32 = 20;
    world::run("milters::a_milter_over_tcp_costs_no_delay", Needs::Nothing, || {
        let port = own_milter(packet(b'c', b""));
        let site = Site::new(&format!("smtpd_milters = inet:127.0.0.1:{port}\n"));
        let _server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        // The best of several, so that a busy machine says nothing.
        let batch = || {
            let begun = Instant::now();
            for _ in 0..BATCH {
                let reply =
                    client.mail("a@example.net", "box@example.com", "Subject: x\n\nx").expect("a reply");
                assert!(reply.starts_with("250"), "{reply}");
            }
            begun.elapsed() / BATCH
        };
        let best = std::iter::repeat_with(batch).take(15).min().expect("some");
        println!("a message through a milter over TCP, flushed: {best:?}");
        assert!(best < Duration::from_millis(35), "{best:?}");
    });
}

/// What milters and header_checks put on hold is listed, looked into and released.
#[test]
fn what_is_held_is_seen_and_released() {
    world::run("milters::what_is_held_is_seen_and_released", Needs::Nothing, || {
        let held = [packet(b'q', b"too hot\0"), packet(b'c', b"")].concat();
        let port = own_milter(held);
        let site = Site::new("");
        let checks = "/^Subject: by a table/ HOLD looks odd\n";
        site.main(&format!(
            "smtpd_milters = inet:127.0.0.1:{port}\n\
             smtpd_milter_maps = inline:{{{{127.0.0.3 = inet:127.0.0.1:1}}, {{127.0.0.4 = DISABLE}}}}\n\
             milter_default_action = quarantine\nheader_checks = regexp:{}/checks\n",
            site.etc().display()
        ));
        site.write("checks", checks);
        let _server = Server::start(&site);
        let mut ids = Vec::new();
        let mails =
            [("127.0.0.2", "by a milter"), ("127.0.0.3", "without a milter"), ("127.0.0.4", "by a table")];
        for (from, subject) in mails {
            let mut client = Client::open_from(from, &site.address()).expect("connects");
            assert!(client.reply().expect("greets").starts_with("220"));
            assert!(client.say("EHLO client.example").starts_with("250"));
            let content = format!("Subject: {subject}\n\ntext of it");
            let reply = client.mail("a@example.net", "box@example.com", &content).expect("a reply");
            assert!(reply.starts_with("250"), "{reply}");
            ids.push(reply.trim().rsplit(' ').next().expect("an id").to_owned());
        }
        site.logged("milter-hold: END-OF-MESSAGE", 0);
        site.logged("milter-hold: CONNECT", 0);
        assert!(site.logged(": hold: header Subject: by a table", 0).ends_with(": looks odd"));
        let listed = queue(&site, &["list", "--state", "hold"]);
        let checks = site.etc().join("checks").display().to_string();
        let reasons = [
            format!("milter inet:127.0.0.1:{port}: too hot"),
            "milter inet:127.0.0.1:1 can't be asked, and its default_action is quarantine".to_owned(),
            format!("header_checks regexp:{checks}, line 1: looks odd (header Subject: by a table)"),
        ];
        for ((id, (_, subject)), reason) in ids.iter().zip(mails).zip(&reasons) {
            assert!(listed.out.contains(id.as_str()), "{listed:?}");
            assert!(listed.out.contains(&format!("    (on hold: {reason})\n")), "{reason}: {listed:?}");
            let shown = queue(&site, &["show", id]);
            assert!(shown.out.contains(&format!("Subject: {subject}")), "{shown:?}");
            assert!(shown.out.contains(&format!("\nOn hold:      {reason}\n")), "{reason}: {shown:?}");
            let json = queue(&site, &["list", id, "--format", "json"]);
            assert!(json.out.contains(&format!("\"hold_reason\":\"{reason}\"")), "{reason}: {json:?}");
        }
        assert!(site.delivered().is_empty(), "held mail was delivered");
        for (id, (_, subject)) in ids.iter().zip(mails) {
            assert_eq!(queue(&site, &["release", id]).code, Some(0));
            site.delivered_with(&format!("Subject: {subject}"));
        }
    });
}
