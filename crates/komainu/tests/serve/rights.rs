//! Started by root: the server has no rights, its helper has, and tables of mode 600 are live all the same (T1.7,
//! T1.14).

use crate::client::Client;
use crate::server::{Server, status};
use crate::site::{Site, save, until};
use crate::world::{self, Needs};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::MetadataExt;

const GOOD: &str = "/^one@/ REJECT one\n/^two@/ REJECT two\n/^three@/ REJECT three\n/^four@/ REJECT four\n";

/// What `sender` is told at RCPT.
fn told(site: &Site, sender: &str) -> String {
    let mut client = Client::hello(&site.address());
    client.say(&format!("MAIL FROM:<{sender}@example.org>"));
    client.say("RCPT TO:<box@example.com>")
}

fn becomes(site: &Site, sender: &str, text: &str) {
    until(&format!("{sender} is told {text:?}"), || told(site, sender).contains(text).then_some(()));
}

#[test]
fn tables_that_only_root_may_read_are_live() {
    world::run("rights::tables_that_only_root_may_read_are_live", Needs::Root, || {
        let site = Site::new("");
        let table = site.etc().join("access");
        site.main(&format!(
            "smtpd_recipient_restrictions = check_sender_access regexp:{}\n{}",
            table.display(),
            site.virtual_lines()
        ));
        save(&table, GOOD, 0o600);
        let mut server = Server::start(&site);
        for name in ["Uid", "Gid"] {
            let ids = server.status(name);
            assert!(ids.split_whitespace().all(|id| id == "2999"), "{name}: {ids}");
        }
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb", "Groups"] {
            let value = server.status(name);
            assert!(value.bytes().all(|byte| byte == b'0'), "{name}: {value}");
        }
        assert_eq!(server.status("NoNewPrivs"), "1");
        for task in std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("tasks").flatten() {
            let text = std::fs::read_to_string(task.path().join("status")).expect("a status");
            assert!(text.contains("Uid:\t2999\t2999\t2999\t2999"), "a thread kept rights:\n{text}");
        }
        let children = server.children();
        assert_eq!(children.len(), 1, "one helper");
        assert!(status(children[0], "Uid").starts_with('0'));

        assert!(told(&site, "one").starts_with("554 5.7.1 "));
        assert!(told(&site, "five").starts_with("250 "));
        save(&table, &format!("{GOOD}/^five@/ REJECT five\n"), 0o600);
        becomes(&site, "five", "five");

        // A broken edit keeps what was good, and says where it is broken. The edit before is told after it is in force.
        site.logged("; live", 0);
        let mark = site.log().len();
        save(&table, &format!("{GOOD}/^(six@/ REJECT six\n"), 0o600);
        let place = format!("{}:5:1: ", table.display());
        assert!(site.logged("last good table stays in force", mark).contains("warning: "));
        assert!(site.log()[mark..].contains(&place), "no {place} in {}", &site.log()[mark..]);
        assert!(!site.log()[mark..].contains("live"), "{}", &site.log()[mark..]);
        assert!(told(&site, "five").contains("five"), "the broken table was put in force");
        // A table that is suddenly empty is an accident until somebody says otherwise.
        let mark = site.log().len();
        save(&table, "", 0o600);
        site.logged("would shrink from 5 to 0 entries: the edit is held back", mark);
        assert!(!site.log()[mark..].contains("live"), "{}", &site.log()[mark..]);
        assert!(told(&site, "one").contains("one"), "the emptied table was put in force");
        // And so is one that is gone.
        std::fs::rename(&table, site.etc().join("elsewhere")).expect("renames");
        assert!(told(&site, "one").contains("one"));
        save(&table, "/^one@/ REJECT again\n/^b@/ OK\n/^c@/ OK\n/^d@/ OK\n", 0o600);
        becomes(&site, "one", "again");

        // Delivery into another account's mailbox is the helper's.
        let mut client = Client::hello(&site.address());
        let reply =
            client.mail("a@example.org", "box@virtual.example", "Subject: yours\n\nx").expect("talks");
        assert!(reply.starts_with("250 "), "{reply}");
        site.delivered_with("Subject: yours");
        // Through a file, where it is too large for memory.
        let large = format!("Subject: large\n\n{}end of large", format!("{}\n", "l".repeat(79)).repeat(5000));
        assert!(
            client.mail("a@example.org", "box@virtual.example", &large).expect("talks").starts_with("250 ")
        );
        assert!(site.delivered_with("Subject: large").ends_with("end of large\n"));
        let (path, _) = site.delivered().remove(0);
        let metadata = std::fs::metadata(&path).expect("there");
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (5000, 5000, 0o600));
        drop(client);
        assert!(server.stop().success());
        // In a world, nobody reaps it.
        let gone =
            || status(children[0], "State").is_empty() || status(children[0], "State").starts_with('Z');
        until("the helper's end", || gone().then_some(()));
    });
}

#[test]
fn a_folder_that_only_root_may_enter() {
    world::run("rights::a_folder_that_only_root_may_enter", Needs::Root, || {
        let site = Site::new("");
        let folder = site.etc().join("private");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mode");
        let table = folder.join("access");
        site.main(&format!(
            "smtpd_recipient_restrictions = check_sender_access regexp:{}\n",
            table.display()
        ));
        save(&table, GOOD, 0o600);
        let mut server = Server::start(&site);
        assert!(told(&site, "one").contains("one"));
        for (sender, count) in [("five", 1), ("six", 2)] {
            save(
                &table,
                &format!("{GOOD}{}", format!("/^{sender}@/ REJECT {sender}\n").repeat(count)),
                0o600,
            );
            becomes(&site, sender, sender);
        }
        assert!(server.stop().success());
    });
}

#[test]
fn a_broken_main_cf_takes_no_grants_away() {
    world::run("rights::a_broken_main_cf_takes_no_grants_away", Needs::Root, || {
        let site = Site::new("");
        let table = site.etc().join("access");
        let main = format!("smtpd_recipient_restrictions = check_sender_access regexp:{}\n", table.display());
        site.main(&main);
        save(&table, GOOD, 0o600);
        let mut server = Server::start(&site);
        site.main("smtpd_recipient_restrictions = no_such_thing\n");
        server.reload();
        site.logged("stays in force", 0);
        save(&table, &format!("{GOOD}/^five@/ REJECT five\n"), 0o600);
        becomes(&site, "five", "five");
        assert!(server.stop().success());
    });
}

#[test]
fn without_its_helper_the_server_ends() {
    world::run("rights::without_its_helper_the_server_ends", Needs::Root, || {
        let site = Site::new("");
        let mut server = Server::start(&site);
        let helper = server.children()[0];
        kill_process(Pid::from_raw(i32::try_from(helper).expect("small")).expect("a process"), Signal::KILL)
            .expect("kills");
        let status = server.ended();
        assert!(!status.success(), "a supervisor wouldn't start it again");
        site.logged("helper", 0);
    });
}
