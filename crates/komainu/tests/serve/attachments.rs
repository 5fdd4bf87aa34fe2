//! Attachments as swaks sends them, to a running server: what a click runs isn't taken. T1.15.

use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};
use std::fs;
use std::path::Path;
use std::process::Command;

fn sent(site: &Site, name: &str, content: &[u8]) -> String {
    let path = site.path(name);
    fs::write(&path, content).expect("writes");
    let out = Command::new("swaks")
        .args(["-s", &site.address(), "-f", "a@example.org", "-t", "kororo@example.com"])
        .arg("--attach-name")
        .arg(name)
        .arg("--attach")
        .arg(format!("@{}", path.display()))
        .output()
        .expect("swaks runs");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn dangerous_attachments_are_refused() {
    world::run("attachments::dangerous_attachments_are_refused", Needs::Nothing, || {
        if !Path::new("/usr/bin/swaks").exists() {
            assert!(std::env::var_os("CI").is_none(), "swaks is missing");
            println!("dangerous_attachments_are_refused: didn't run: no swaks");
            return;
        }
        let site = Site::new("smtpd_end_of_data_restrictions = reject_dangerous_attachment\n");
        let mut server = Server::start(&site);
        let program = [b"MZ\x90\0\x03\0\0\0".as_slice(), &[0; 5000]].concat();
        let text = b"nothing but text\r\n".repeat(20_000);
        let refused = "550 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: attachment";
        for (name, content, expect) in [
            ("invoice.pdf.scr", text.as_slice(), "\"invoice.pdf.scr\" is of a dangerous kind"),
            ("invoice.pdf", program.as_slice(), "\"invoice.pdf\" is a program"),
        ] {
            let said = sent(&site, name, content);
            assert!(said.contains(&format!("{refused} {expect}")), "{name}: {said}");
        }
        let said = sent(&site, "notes.txt", &text);
        assert!(said.contains("250 2.0.0 Ok: queued as"), "{said}");
        crate::site::until("a message", || (site.delivered().len() == 1).then_some(()));
        assert!(server.stop().success());
    });
}
