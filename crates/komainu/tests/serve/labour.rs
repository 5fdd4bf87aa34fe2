//! Content that takes long to look at: whoever sends it waits, and nobody else. T2.13.

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than there are threads for sessions on a small machine.
const HEAVY: usize = 6;

/// Processor time that a process has had, in hundredths of a second.
fn worked(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = behind.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    ticks() + ticks()
}

#[test]
fn patterns_that_backtrack_keep_nobody_else_waiting() {
    world::run("labour::patterns_that_backtrack_keep_nobody_else_waiting", Needs::Nothing, || {
        let site = Site::new("body_checks = pcre:{{/(\\w+)\\s+\\1\\s+\\1\\s+\\1/ REJECT}}\n");
        let mut server = Server::start(&site);
        let text = Arc::new([b"a".repeat(600), b"\r\n".to_vec()].concat().repeat(15_000));
        let answered = Arc::new(AtomicUsize::new(0));
        for _ in 0..HEAVY {
            let (address, text, answered) = (site.address(), Arc::clone(&text), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = Client::hello(&address);
                client.say("MAIL FROM:<a@example.org>");
                client.say("RCPT TO:<kororo@example.com>");
                assert!(client.say("DATA").starts_with("354 "));
                // The server is stopped meanwhile.
                if client.send(&text).is_ok()
                    && client.try_say("\r\n.").is_ok_and(|said| said.starts_with("250 "))
                {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let pid = server.pid();
        until("patterns are at work", || (worked(pid) > 200).then_some(()));
        for _ in 0..20 {
            let mut client = Client::hello(&site.address());
            assert!(client.say("MAIL FROM:<b@example.org>").starts_with("250 "));
            assert!(client.say("RCPT TO:<kororo@example.com>").starts_with("250 "));
            assert!(client.say("QUIT").starts_with("221 "));
        }
        assert_eq!(answered.load(Ordering::SeqCst), 0, "they are at work still");
        assert!(server.stop().success(), "a stop works meanwhile");
    });
}
