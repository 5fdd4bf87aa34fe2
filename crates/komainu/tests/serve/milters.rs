//! Debian's OpenDKIM as a milter, over TCP and over a socket of the file system: what it signs, it verifies (MILTER_README).
//!
//! What each event and answer does on the wire and in the log, the dialogues show (`milter/`).

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

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
