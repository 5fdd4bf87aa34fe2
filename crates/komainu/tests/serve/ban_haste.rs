//! How soon a ban holds: nothing that was sent ahead is answered behind the failure that was one too many, in one session
//! or in many (T0.1, T2.19).

use crate::bans::{GUESSER, JAILS, OTHER, WRONG, ask, guess, hello, is_refused, site};
use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, save, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Barrier};

/// The pace that a guesser is otherwise kept to is off: nothing but the ban stops him.
const UNSLOWED: &str = "komainu_auth_delay_max = 0\nsmtpd_error_sleep_time = 0\nsmtpd_soft_error_limit = 1000\nsmtpd_hard_error_limit = 1000\n";

fn unslowed(jails: &str) -> Site {
    site(&jails.replace("maxretry = 3", "maxretry = 5"), UNSLOWED)
}

/// All lines at once, then all that the server says until it closes.
fn at_once(mut client: Client, lines: &[&str]) -> Vec<String> {
    let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    client.socket().write_all(text.as_bytes()).expect("takes it");
    client.rest().lines().map(str::to_owned).collect()
}

fn count(said: &[String], code: &str) -> usize {
    said.iter().filter(|line| line.starts_with(code)).count()
}

#[test]
fn guesses_sent_at_once() {
    world::run("ban_haste::guesses_sent_at_once", Needs::Root, || {
        let site = unslowed(JAILS);
        let _server = Server::start(&site);
        let said = at_once(hello(GUESSER, 587), &[WRONG; 30]);
        assert_eq!((count(&said, "535 "), said.len()), (5, 6), "{said:?}");
        assert!(said[5].starts_with("421 4.7.0 mx.example.com Error: too many failures"), "{said:?}");
        // What is answered without a question isn't either, behind the last failure.
        let lines: Vec<&str> = [WRONG, "RSET"].into_iter().cycle().take(20).collect();
        let said = at_once(hello(OTHER, 587), &lines);
        assert_eq!((count(&said, "535 "), count(&said, "250 "), said.len()), (5, 4, 10), "{said:?}");
        assert!(said[9].starts_with("421 "), "{said:?}");
        // The door is shut by the time the last answer has come.
        assert!(is_refused(GUESSER, 25) && is_refused(OTHER, 465));
    });
}

/// Thirty sessions, one guess each, all at the same moment.
#[test]
fn guesses_in_many_sessions_at_once() {
    world::run("ban_haste::guesses_in_many_sessions_at_once", Needs::Root, || {
        let site = unslowed(JAILS);
        let _server = Server::start(&site);
        let start = Arc::new(Barrier::new(30));
        let guess = |number: usize| {
            let (mut client, start) =
                (hello(GUESSER, if number.is_multiple_of(2) { 587 } else { 25 }), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                // A connection that is closed has answered nothing.
                client.try_say(WRONG).unwrap_or_default()
            })
        };
        let threads: Vec<_> = (0..30).map(guess).collect();
        let said: Vec<String> = threads.into_iter().map(|thread| thread.join().expect("a guesser")).collect();
        assert_eq!(count(&said, "535 "), 5, "{said:?}");
        assert!(
            said.iter().all(|said| said.is_empty() || said.starts_with("535 ") || said.starts_with("421 ")),
            "{said:?}"
        );
    });
}

/// Recipients that are refused, as a spammer sends them.
#[test]
fn refusals_sent_at_once() {
    world::run("ban_haste::refusals_sent_at_once", Needs::Root, || {
        let site = unslowed(JAILS);
        let filter = "[Definition]\nfailregex = NOQUEUE: reject: RCPT from \\S+\\[<HOST>\\]: 554 5\\.7\\.1\n";
        save(&site.path("jails/filter.d/own.conf"), filter, 0o644);
        let _server = Server::start(&site);
        let mut lines = vec!["MAIL FROM:<a@example.org>"];
        lines.extend(["RCPT TO:<victim@elsewhere.example>"; 30]);
        let said = at_once(hello(GUESSER, 25), &lines);
        assert_eq!((count(&said, "250 "), count(&said, "554 5.7.1 "), said.len()), (1, 5, 7), "{said:?}");
        assert!(said[6].starts_with("421 "), "{said:?}");
    });
}

/// An action that hangs keeps nobody else's ban waiting, and who is let in comes in: both before the tool has its answer.
#[test]
fn a_slow_action_keeps_no_door_open() {
    world::run("ban_haste::a_slow_action_keeps_no_door_open", Needs::Root, || {
        let site = unslowed(&JAILS.replace("action =", "action = slow"));
        fs::create_dir_all(site.path("jails/action.d")).expect("a folder");
        let ban = "touch /mnt/begun; for i in $(seq 300); do [ -e /mnt/go ] && exit 0; sleep 0.1; done";
        save(&site.path("jails/action.d/slow.conf"), &format!("[Definition]\nactionban = {ban}\n"), 0o644);
        let _server = Server::start(&site);
        assert_eq!(count(&at_once(hello(GUESSER, 587), &[WRONG; 6]), "535 "), 5);
        until("the action", || Path::new("/mnt/begun").exists().then_some(()));
        let said = at_once(hello(OTHER, 587), &[WRONG; 30]);
        assert_eq!((count(&said, "535 "), said.len()), (5, 6), "{said:?}");
        ask(&site, &["remove", OTHER]);
        assert!(!is_refused(OTHER, 25));
        ask(&site, &["add", "own", OTHER]);
        assert!(is_refused(OTHER, 25));
        assert!(!Path::new("/mnt/go").exists());
        fs::write("/mnt/go", "").expect("a file");
    });
}

/// Whom XCLIENT makes of somebody is looked at anew.
#[test]
fn a_banned_client_of_a_front() {
    world::run("ban_haste::a_banned_client_of_a_front", Needs::Root, || {
        let site = site(JAILS, &format!("{UNSLOWED}smtpd_authorized_xclient_hosts = 198.51.100.1\n"));
        let _server = Server::start(&site);
        drop(guess(GUESSER));
        let mut front = hello("198.51.100.1", 25);
        assert!(front.say("NOOP").starts_with("250 "));
        front.send(format!("XCLIENT ADDR={GUESSER}\r\n").as_bytes()).expect("takes it");
        let said = front.rest();
        assert!(said.contains("421 4.7.0 mx.example.com Error: too many failures"), "{said}");
        let mut front = hello("198.51.100.1", 25);
        assert!(front.say(&format!("XCLIENT ADDR={OTHER}")).starts_with("220 "));
        // What he fails at is his own.
        front.say("EHLO client.example");
        for _ in 0..3 {
            assert!(front.say(WRONG).starts_with("535 "));
        }
        assert!(is_refused(OTHER, 25) && !is_refused("198.51.100.1", 25));
        assert!(front.rest().starts_with("421 "));
    });
}
