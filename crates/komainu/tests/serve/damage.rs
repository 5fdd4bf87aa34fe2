//! Queued mail that goes bad on the disk: what is found, by whom, what is kept of it, and that its sender is told (T2.14).

use crate::far_server::{FarServer, KIND, Words};
use crate::queue::{becomes, ids, queue, send, site};
use crate::server::Server;
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::path::PathBuf;

/// A message that is too long for the log: it has a body file.
fn long(subject: &str) -> String {
    format!("Subject: {subject}\n\n{}end", format!("{}\n", "l".repeat(79)).repeat(4000))
}

/// The body files, oldest first.
fn bodies(site: &Site) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(site.path("state/queue/body")).expect("a folder");
    let mut all: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// Flips a bit.
fn spoil(path: &PathBuf) {
    let mut bytes = std::fs::read(path).expect("reads");
    bytes[1000] ^= 1;
    std::fs::write(path, bytes).expect("writes");
}

fn kept(site: &Site) -> usize {
    std::fs::read_dir(site.path("state/queue/corrupt")).expect("a folder").count()
}

/// The sender's server has a bounce that says what happened to this message.
fn is_told(server: &FarServer, id: &str) -> bool {
    let names = format!("X-Postfix-Queue-ID: {id}");
    server.heard().iter().any(|said| {
        said.contains(&names)
            && said.contains("unreadable mail queue entry")
            && said.contains("Status: 5.3.0")
            && said.contains("MAIL FROM:<>")
    })
}

fn goes(site: &Site, id: &str) {
    until(&format!("{id} goes"), || (!ids(site, &[]).iter().any(|one| one == id)).then_some(()));
}

#[test]
fn the_sender_is_told() {
    world::run("damage::the_sender_is_told", Needs::Nothing, || {
        let origin = FarServer::start(KIND);
        let site = site(&[("down", free_port()), ("origin", origin.port)], "");
        let mut server = Server::start(&site);
        let small = send(&site, "a@origin.example", "x@down.example", "Subject: small\n\nshort");
        let large = send(&site, "a@origin.example", "x@down.example", &long("one"));
        let other = send(&site, "b@origin.example", "x@down.example", &long("two"));
        for id in [&small, &large, &other] {
            becomes(&site, id, "deferred");
        }
        assert_eq!(queue(&site, &["check"]).code, Some(0));
        let bodies = bodies(&site);
        assert_eq!(bodies.len(), 2);
        spoil(&bodies[0]);
        let seen = queue(&site, &["check", "--dry-run"]);
        assert!(seen.code == Some(1) && seen.out.contains(&large), "{seen:?}");
        assert_eq!((ids(&site, &[]).len(), kept(&site)), (3, 0), "only looked");
        let seen = queue(&site, &["check"]);
        let said = "copied to the spool's corrupt folder; its sender is told\n";
        assert!(seen.out.contains(&format!("{large}: ")) && seen.out.contains(said), "{seen:?}");
        assert_eq!(kept(&site), 2, "record and body");
        assert_eq!(queue(&site, &["check"]).code, Some(0), "said once");
        until("a bounce", || is_told(&origin, &large).then_some(()));
        goes(&site, &large);
        assert_eq!(ids(&site, &[]), [small.as_str(), &other]);

        // A stopped server's queue: what is left to be done is the next server's.
        assert!(server.stop().success());
        spoil(&bodies[1]);
        let seen = queue(&site, &["check", "--format", "json"]);
        assert!(seen.code == Some(1) && seen.out.contains(&format!("\"id\":\"{other}\"")), "{seen:?}");
        assert!(seen.out.contains("\"sender\":\"told\",\"set_aside\":true"), "{seen:?}");
        assert_eq!((ids(&site, &[]), kept(&site)), (vec![small.clone(), other.clone()], 4));
        assert_eq!(queue(&site, &["check"]).code, Some(0), "said once");
        let mut server = Server::start(&site);
        until("a bounce", || is_told(&origin, &other).then_some(()));
        goes(&site, &other);
        assert_eq!(ids(&site, &[]), [small.as_str()]);
        assert!(!is_told(&origin, &small));
        assert!(server.stop().success());
    });
}

/// Nobody has looked before, but for whoever would deliver it. What is damaged isn't delivered, not even in part.
#[test]
fn found_by_a_delivery() {
    world::run("damage::found_by_a_delivery", Needs::Nothing, || {
        let (origin, full) =
            (FarServer::start(KIND), FarServer::start(Words { dot: "452 4.2.2 full", ..KIND }));
        let site = site(&[("full", full.port), ("origin", origin.port)], "");
        let mut server = Server::start(&site);
        let large = send(&site, "a@origin.example", "x@full.example", &long("one"));
        let small = send(
            &site,
            "b@origin.example",
            "x@full.example",
            &format!("Subject: s\n\n{}", "text ".repeat(200)),
        );
        for id in [&large, &small] {
            becomes(&site, id, "deferred");
        }
        let whole = |said: &[String]| said.iter().map(|one| one.matches("\r\n.\r\n").count()).sum::<usize>();
        until("both are tried", || (whole(&full.heard()) > 1).then_some(()));
        spoil(&bodies(&site)[0]);
        spoil_last(&site, 64 + 400, b"XX");
        let before = full.heard().len();
        assert_eq!(queue(&site, &["flush"]).code, Some(0));
        for id in [&large, &small] {
            until("a bounce", || is_told(&origin, id).then_some(()));
            goes(&site, id);
        }
        assert_eq!(whole(&full.heard()[before..]), 0, "{:?}", &full.heard()[before..]);
        assert_eq!(kept(&site), 3, "two records and a body");
        assert!(server.stop().success());
    });
}

/// On hold nothing leaves; a bounce's own failure has nobody who could hear of it.
#[test]
fn on_hold_and_without_a_sender() {
    world::run("damage::on_hold_and_without_a_sender", Needs::Nothing, || {
        let origin = FarServer::start(KIND);
        let site = site(&[("down", free_port()), ("origin", origin.port)], "");
        let mut server = Server::start(&site);
        let held = send(&site, "a@origin.example", "x@down.example", &long("held"));
        let null = send(&site, "", "x@down.example", &long("null"));
        for id in [&held, &null] {
            becomes(&site, id, "deferred");
        }
        assert_eq!(queue(&site, &["hold", &held]).code, Some(0));
        bodies(&site).iter().for_each(spoil);
        let seen = queue(&site, &["check"]);
        assert!(seen.out.contains("; on hold: its sender is told when it is released\n"), "{seen:?}");
        assert!(seen.out.contains("; it has no sender who could be told\n"), "{seen:?}");
        goes(&site, &null);
        assert_eq!(queue(&site, &["check"]).code, Some(0), "said once");
        becomes(&site, &held, "hold");
        assert!(!is_told(&origin, &held));
        assert_eq!(queue(&site, &["release", &held]).code, Some(0));
        until("a bounce", || is_told(&origin, &held).then_some(()));
        goes(&site, &held);
        assert!(server.stop().success());
    });
}

/// Writes into the last message's record, `at` bytes behind its beginning.
fn spoil_last(site: &Site, at: usize, text: &[u8]) {
    let slots = std::fs::read_dir(site.path("state/queue/log")).expect("a folder").flatten();
    let newest = slots.map(|entry| entry.path()).max_by_key(|slot| {
        let bytes = std::fs::read(slot).expect("reads");
        u64::from_le_bytes(bytes[16..24].try_into().expect("eight"))
    });
    let slot = newest.expect("a slot");
    let bytes = std::fs::read(&slot).expect("reads");
    let is_message =
        |at: &usize| bytes[*at..].starts_with(b"KSR1\x01") && bytes[at + 8..at + 16] == bytes[8..16];
    let last = (8192..bytes.len()).step_by(64).rfind(is_message).expect("a record");
    let file = std::fs::OpenOptions::new().write(true).open(slot).expect("opens");
    std::os::unix::fs::FileExt::write_all_at(&file, text, (last + at) as u64).expect("writes");
}

/// One byte of each record of a small spool, and each record's beginning, in turn: with a server running and without one.
/// What is damaged is found, named as far as it is legible, set apart, and told once; all else stays.
#[test]
fn damaged_records() {
    world::run("damage::damaged_records", Needs::Nothing, || {
        let origin = FarServer::start(KIND);
        let site = site(&[("down", free_port()), ("origin", origin.port)], "");
        let mut kept = 0;
        for running in [true, false] {
            // In the header, in the envelope behind its names, in the content; a header of zeros; half of it all.
            for (at, bytes) in
                [(20, &[0xAA][..]), (64 + 60, &[0xAA; 4]), (64 + 400, b"XX"), (0, &[0; 64]), (0, &[0; 96])]
            {
                let mut server = Server::start(&site);
                let sound = send(&site, "a@example.org", "x@down.example", "Subject: sound\n\nx");
                let text = format!("Subject: spoilt\n\n{}", "text ".repeat(200));
                let spoilt = send(&site, "b@origin.example", "y@down.example", &text);
                becomes(&site, &sound, "deferred");
                becomes(&site, &spoilt, "deferred");
                if !running {
                    assert!(server.stop().success());
                }
                spoil_last(&site, at, bytes);
                let context = format!("byte {at}, running: {running}");
                let seen = queue(&site, &["check"]);
                assert_eq!(seen.code, Some(1), "{context}: {seen:?}");
                let is_legible = bytes.len() < 96;
                assert!(!is_legible || seen.out.contains(&spoilt), "{context}: {seen:?}");
                let listed = queue(&site, &["list"]);
                assert!(listed.out.matches(" corrupt ").count() > kept, "{context}: {listed:?}");
                let line = format!("{spoilt} corrupt ");
                assert!(!is_legible || listed.out.contains(&line), "{context}: {listed:?}");
                kept = listed.out.matches(" corrupt ").count();
                let seen = queue(&site, &["check"]);
                assert_eq!(seen.code, Some(0), "said once; {context}: {seen:?}");
                if running {
                    goes(&site, &spoilt);
                    assert!(server.stop().success());
                }
                let mut server = Server::start(&site);
                assert!(ids(&site, &[]).contains(&sound), "{context}");
                goes(&site, &spoilt);
                // A running server knows the envelope; for the next one it has gone with the record's header.
                if running || at > 64 {
                    until(&format!("a bounce; {context}"), || is_told(&origin, &spoilt).then_some(()));
                }
                assert_eq!(queue(&site, &["delete", &sound]).code, Some(0), "{context}");
                assert!(server.stop().success());
            }
        }
        // Nobody asks; the server finds it by itself when it starts.
        let mut server = Server::start(&site);
        let spoilt = send(&site, "b@example.org", "y@down.example", "Subject: spoilt\n\nx");
        becomes(&site, &spoilt, "deferred");
        assert!(server.stop().success());
        spoil_last(&site, 20, &[0xAA]);
        let mark = site.log().len();
        let mut server = Server::start(&site);
        site.logged(&format!("seems to be message {spoilt} from=<b@example.org>, to=<y@down.example>"), mark);
        assert!(queue(&site, &["list"]).out.contains(&format!("{spoilt} corrupt ")));
        assert!(server.stop().success());
    });
}
