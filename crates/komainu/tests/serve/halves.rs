//! A large message that is being appended to a mailbox file when everything is killed: no half of it stays there, and what
//! comes next isn't glued to it. docs/internals/queue-states.md.

use crate::client::Client;
use crate::locals::{COMMON, furnish, send_text};
use crate::server::Server;
use crate::site::{Site, VMAIL, until};
use crate::steps::{is_empty, is_over};
use crate::tracer::{Tracer, Victims};
use crate::world::{self, Needs};
use std::fs;

/// 50 MB.
const LINES: usize = 50_000;

/// Kills server and helper before a write in the midst of a message for `recipient`; then what is in the mailbox `path`.
fn killed(site: &Site, recipient: &str, path: &'static str) {
    let mut server = Server::start(site);
    send_text(&site.address(), recipient, "Subject: first\r\n\r\nfirst");
    until("the first message", || is_empty(site).then_some(()));
    let first = fs::read(path).expect("a mailbox");
    let helpers = server.children();
    let mut tracer = Tracer::attach(server.pid(), &helpers, Victims::All);
    tracer.arm_for(("write", path), 100);
    let mut client = Client::hello(&site.address());
    let line = "y".repeat(998);
    let large = format!("Subject: large\n\n{}end of it", format!("{line}\n").repeat(LINES));
    let said = client.mail("s@far.test", recipient, &large).expect("talks");
    assert!(said.starts_with("250"), "{said}");
    until("the kill", || tracer.killed().then_some(()));
    tracer.let_go(server.pid());
    server.kill();
    until("the helper's end", || helpers.iter().all(|helper| is_over(*helper)).then_some(()));
    let half = fs::read(path).expect("a mailbox");
    assert!(half.starts_with(&first) && half.len() > first.len() + 5_000_000, "{}", half.len());
    assert!(half.len() < 45_000_000, "{}: that is all of it", half.len());
    let after = site.log().len();
    let mut server = Server::start(site);
    let cut =
        site.logged(" bytes of a message that was being written when the mail system was killed", after);
    assert!(cut.contains(&format!("mailbox {path}: {} bytes", half.len() - first.len())), "{cut}");
    until("the large message", || is_empty(site).then_some(()));
    send_text(&site.address(), recipient, "Subject: last\r\n\r\nlast");
    until("the last message", || is_empty(site).then_some(()));
    let text = String::from_utf8(fs::read(path).expect("a mailbox")).expect("text");
    assert!(text.as_bytes().starts_with(&first));
    let counted = |what: &str| text.matches(what).count();
    assert_eq!(counted("Subject: large\n"), 1);
    assert_eq!(counted(&line), LINES);
    assert_eq!(counted("\nend of it\n\nFrom s@far.test  "), 1);
    assert!(text.ends_with("\n\nlast\n\n"), "{:?}", text.get(text.len() - 300..));
    assert!(server.stop().success());
}

fn site() -> Site {
    let site = Site::new("");
    furnish(&[]);
    fs::create_dir("/mnt/vmail").expect("a folder");
    std::os::unix::fs::chown("/mnt/vmail", Some(VMAIL), Some(VMAIL)).expect("owner");
    site.main(&format!(
        "{COMMON}komainu_mailbox_root =\nmessage_size_limit = 0\nmailbox_size_limit = 0\nvirtual_mailbox_limit = 0\n\
         virtual_mailbox_domains = virtual.example\nvirtual_mailbox_maps = static:box\n\
         virtual_mailbox_base = /mnt/vmail\nvirtual_uid_maps = static:{VMAIL}\nvirtual_gid_maps = static:{VMAIL}\n"
    ));
    site
}

#[test]
fn half_a_message_stays_in_no_mailbox() {
    world::run("halves::half_a_message_stays_in_no_mailbox", Needs::Root, || {
        killed(&site(), "joe@example.com", "/mnt/mail/joe");
        assert!(!fs::exists("/mnt/mail/joe.lock").expect("looks"));
    });
}

#[test]
fn half_a_message_stays_in_no_virtual_mailbox() {
    world::run("halves::half_a_message_stays_in_no_virtual_mailbox", Needs::Root, || {
        killed(&site(), "any@virtual.example", "/mnt/vmail/box");
    });
}
