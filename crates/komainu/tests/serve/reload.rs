//! A reload: new sessions get the new policy, those in progress keep theirs and aren't dropped (T0.6); a mistake
//! changes nothing; ports open and close.

use crate::client::Client;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, free_port, save, until};
use crate::world::{self, Needs};
use rustix::process::Signal;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

fn refusal(text: &str) -> String {
    format!("smtpd_sender_restrictions = check_sender_access inline:{{{{x@example.org = REJECT {text}}}}}\n")
}

/// What x@example.org is told in a session of its own.
fn told(address: &str) -> String {
    tell(&mut Client::hello(address))
}

fn tell(client: &mut Client) -> String {
    client.say("RSET");
    client.say("MAIL FROM:<x@example.org>");
    client.say("RCPT TO:<box@example.com>")
}

#[test]
fn a_session_keeps_its_policy() {
    world::run("reload::a_session_keeps_its_policy", Needs::Nothing, || {
        let site = Site::new(&refusal("one"));
        let mut server = Server::start(&site);
        let mut early = Client::hello(&site.address());
        early.say("MAIL FROM:<a@example.org>");
        early.say("RCPT TO:<box@example.com>");
        assert!(early.say("DATA").starts_with("354"));
        assert!(told(&site.address()).ends_with("one"));

        site.main(&refusal("two"));
        server.reload();
        assert!(told(&site.address()).ends_with("two"));
        early.send(b"Subject: early\r\n\r\nx\r\n.\r\n").expect("sends");
        assert!(early.reply().expect("a reply").starts_with("250 "));
        site.delivered_with("Subject: early");
        assert!(tell(&mut early).ends_with("one"), "a session in progress changed its policy");

        // Under the old name, by a link.
        let bin = site.path("bin");
        std::fs::create_dir(&bin).expect("a folder");
        assert!(Command::new(KOMAINU).arg("links").arg(&bin).output().expect("runs").status.success());
        site.main(&refusal("three"));
        let ran =
            Command::new(bin.join("postfix")).arg("-c").arg(site.etc()).arg("reload").output().expect("runs");
        assert!(ran.status.success(), "{ran:?}");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(said, "postfix/postfix-script: refreshing the Postfix mail system\n");
        until("the third policy", || told(&site.address()).ends_with("three").then_some(()));
        assert!(tell(&mut early).ends_with("one"));
        assert_eq!(early.say("QUIT"), "221 2.0.0 Bye");
        assert!(server.stop().success());
    });
}

#[test]
fn a_mistake_is_refused_whole() {
    world::run("reload::a_mistake_is_refused_whole", Needs::Nothing, || {
        let site = Site::new(&refusal("one"));
        let mut server = Server::start(&site);
        let mark = site.log().len();
        // The sender list is right and new; the recipient list isn't.
        site.main(&format!(
            "{}smtpd_recipient_restrictions =\n  reject_unauth_destinations\n",
            refusal("two")
        ));
        server.reload();
        let line = site.main_text("").lines().count() + 2;
        let said = site.logged("reject_unauth_destinations", mark);
        let place = format!("{}:{line}", site.etc().join("main.cf").display());
        assert!(said.contains(&place), "no place {place} in {said}");
        site.logged("stays in force", mark);
        assert!(told(&site.address()).ends_with("one"));
        // Neither list refuses relaying: as bad.
        let mark = site.log().len();
        site.main("smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit\n");
        server.reload();
        site.logged("stays in force", mark);
        assert!(told(&site.address()).ends_with("one"));
        site.main(&refusal("three"));
        server.reload();
        assert!(told(&site.address()).ends_with("three"));
        assert!(server.stop().success());
    });
}

#[test]
fn changed_files_are_loaded_by_themselves() {
    world::run("reload::changed_files_are_loaded_by_themselves", Needs::Nothing, || {
        let site = Site::new("");
        let live = format!("komainu_auto_reload = yes\n{}", refusal("one"));
        site.main(&live);
        let mut server = Server::start(&site);
        assert!(told(&site.address()).ends_with("one"));
        let mark = site.log().len();
        save(&site.etc().join("main.cf"), &site.main_text("smtpd_sender_restrictions = no_such\n"), 0o644);
        site.logged("stays in force", mark);
        assert!(told(&site.address()).ends_with("one"));
        save(&site.etc().join("main.cf"), &site.main_text(&live.replace("one", "two")), 0o644);
        until("the second policy", || told(&site.address()).ends_with("two").then_some(()));
        // Off again, and a table that is saved together with main.cf is live all the same.
        let table = site.etc().join("senders");
        save(&table, "x@example.org REJECT three\n", 0o644);
        let off = format!("smtpd_sender_restrictions = check_sender_access texthash:{}\n", table.display());
        save(&site.etc().join("main.cf"), &site.main_text(&off), 0o644);
        until("the third policy", || told(&site.address()).ends_with("three").then_some(()));
        save(&site.etc().join("main.cf"), &site.main_text(&refusal("never")), 0o644);
        save(&table, "x@example.org REJECT four\n", 0o644);
        until("the table", || told(&site.address()).ends_with("four").then_some(()));
        assert!(server.stop().success());
    });
}

#[test]
fn a_linked_table_is_live() {
    world::run("reload::a_linked_table_is_live", Needs::Nothing, || {
        let site = Site::new("");
        let (link, shared) = (site.etc().join("senders"), site.path("shared"));
        std::fs::create_dir(&shared).expect("a folder");
        save(&shared.join("senders"), "x@example.org REJECT one\n", 0o644);
        std::os::unix::fs::symlink(shared.join("senders"), &link).expect("links");
        site.main(&format!("smtpd_sender_restrictions = check_sender_access hash:{}\n", link.display()));
        let mut server = Server::start(&site);
        assert!(told(&site.address()).ends_with("one"));
        save(&shared.join("senders"), "x@example.org REJECT two\n", 0o644);
        until("the linked table", || told(&site.address()).ends_with("two").then_some(()));
        assert!(server.stop().success());
    });
}

/// Links on links, and a link that is taken off and made anew, as certbot does.
#[test]
fn a_link_that_leads_elsewhere_is_live() {
    world::run("reload::a_link_that_leads_elsewhere_is_live", Needs::Nothing, || {
        let site = Site::new("");
        let (link, live) = (site.etc().join("senders"), site.path("live"));
        let archive = site.path("archive");
        std::fs::create_dir(&archive).expect("a folder");
        for text in ["one", "two", "three"] {
            save(&archive.join(text), &format!("x@example.org REJECT {text}\n"), 0o644);
        }
        std::os::unix::fs::symlink("archive/one", &live).expect("links");
        std::os::unix::fs::symlink(&live, &link).expect("links");
        site.main(&format!("smtpd_sender_restrictions = check_sender_access hash:{}\n", link.display()));
        let mut server = Server::start(&site);
        assert!(told(&site.address()).ends_with("one"));
        for text in ["two", "three"] {
            std::fs::remove_file(&live).expect("removes");
            std::os::unix::fs::symlink(format!("archive/{text}"), &live).expect("links");
            until("where the link leads now", || told(&site.address()).ends_with(text).then_some(()));
        }
        assert!(server.stop().success());
    });
}

#[test]
fn what_only_delivery_asks_is_live() {
    world::run("reload::what_only_delivery_asks_is_live", Needs::Nothing, || {
        let site = Site::new("");
        let parameters = [
            "alias_maps",
            "mailbox_command_maps",
            "mailbox_transport_maps",
            "fallback_transport_maps",
            "virtual_uid_maps",
            "virtual_gid_maps",
            "local_login_sender_maps",
            "address_verify_transport_maps",
        ];
        let mut main = String::new();
        for name in parameters {
            site.write(name, "nobody: x\n");
            main.push_str(&format!("{name} = hash:{}\n", site.etc().join(name).display()));
        }
        site.main(&main);
        let mut server = Server::start(&site);
        for name in parameters {
            save(&site.etc().join(name), "nobody: x\nr: joe\n", 0o644);
            let path = site.etc().join(name).display().to_string();
            until(&format!("{name} is live"), || {
                site.log()
                    .lines()
                    .any(|line| line.contains("table reloaded") && line.contains(&path))
                    .then_some(())
            });
        }
        assert!(server.stop().success());
    });
}

/// No text: the database that postmap made is served, root's alone to read, and live when postmap changes it.
#[test]
fn a_database_without_text_is_live() {
    world::run("reload::a_database_without_text_is_live", Needs::Nothing, || {
        let site = Site::new("");
        let (table, bin) = (site.etc().join("senders"), site.path("bin"));
        std::fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink(KOMAINU, bin.join("postmap")).expect("links");
        let word = format!("lmdb:{}", table.display());
        let postmap = |option: &str, text: &str| {
            let input = site.path("input");
            std::fs::write(&input, text).expect("writes");
            let mut command = Command::new(bin.join("postmap"));
            command.args(option.split_whitespace()).arg(&word);
            command.stdin(std::fs::File::open(input).expect("opens"));
            let ran = command.env("MAIL_CONFIG", site.etc()).output().expect("runs");
            assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
        };
        site.main(&format!("smtpd_sender_restrictions = check_sender_access {word}\n"));
        save(&table, "x@example.org REJECT one\n", 0o600);
        postmap("", "");
        std::fs::remove_file(&table).expect("removes");
        let mut server = Server::start(&site);
        assert!(told(&site.address()).ends_with("one"));
        postmap("-r -i", "x@example.org REJECT two\n");
        until("the database", || told(&site.address()).ends_with("two").then_some(()));
        assert!(server.stop().success());
    });
}

#[test]
fn ports_open_and_close() {
    world::run("reload::ports_open_and_close", Needs::Nothing, || {
        let site = Site::new("");
        let mut server = Server::start(&site);
        // A port below 1024 needs the helper by now; without root any will do.
        let other =
            if world::is_root() { "127.0.0.1:25".to_owned() } else { format!("127.0.0.1:{}", free_port()) };
        let (first, second) =
            (format!("{} inet n - n - - smtpd\n", site.address()), format!("{other} inet n - n - - smtpd\n"));
        assert!(Client::open(&other).is_err());
        site.write("master.cf", &format!("{first}{second}"));
        server.reload();
        let mut stays = Client::hello(&site.address());
        assert!(told(&other).starts_with("250 "));
        site.write("master.cf", &second);
        server.reload();
        until("the closed port", || Client::open(&site.address()).is_err().then_some(()));
        assert!(tell(&mut stays).starts_with("250 "), "the session was dropped with its port");
        // Every address in place of one: the one must be closed by then.
        let port = other.rsplit(':').next().expect("a port");
        let mark = site.log().len();
        site.write("master.cf", &format!("0.0.0.0:{port} inet n - n - - smtpd\n"));
        server.reload();
        assert!(told(&other).starts_with("250 "), "{}", &site.log()[mark..]);
        assert!(server.stop().success());
    });
}

/// Many reloads while mail comes: nothing is dropped, nothing is lost.
#[test]
fn a_storm_of_reloads() {
    world::run("reload::a_storm_of_reloads", Needs::Nothing, || {
        let site = Site::new(&refusal("one"));
        let mut server = Server::start(&site);
        let (enough, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let (enough, sent, address) = (Arc::clone(&enough), Arc::clone(&sent), site.address());
                std::thread::spawn(move || {
                    let mut client = Client::hello(&address);
                    for count in 0_u32.. {
                        if enough.load(Ordering::Relaxed) {
                            break;
                        }
                        if count % 5 == 4 {
                            assert_eq!(client.say("QUIT"), "221 2.0.0 Bye");
                            client = Client::hello(&address);
                        }
                        let text = format!("Subject: storm-{number}-{count}\n\nx");
                        let reply =
                            client.mail("a@example.org", "box@example.com", &text).expect("not dropped");
                        assert!(reply.starts_with("250 "), "{reply}");
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            server.signal(Signal::HUP);
            std::thread::sleep(Duration::from_millis(20));
        }
        enough.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("served to the end");
        }
        let sent = usize::try_from(sent.load(Ordering::Relaxed)).expect("small");
        until("all mail", || (site.delivered_files().len() == sent).then_some(()));
        println!("{sent} messages during 100 reloads; threads: {}", server.status("Threads"));
        assert!(server.stop().success());
    });
}
