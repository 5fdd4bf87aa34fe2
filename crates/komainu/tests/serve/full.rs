//! Disks that are full or read-only where mail is delivered to, reports are written, and programs hand mail in: what is
//! said is Postfix's, nothing half is left behind, and when there is room again everything comes, once. T1.13, T2.14.

use crate::client::Client;
use crate::locals::{self, COMMON, Case, folder, send_text, there, write};
use crate::queue::ran;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, VMAIL, until};
use crate::world::{self, Needs};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

fn mount(words: &[&str]) {
    assert!(Command::new("mount").args(words).status().expect("mount").success(), "{words:?}");
}

/// A file system of its own, with this much room.
fn disk(path: &str, size: &str) {
    let _ = Command::new("umount").arg(path).stderr(Stdio::null()).status();
    folder(path, 0o1777);
    mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=1777"), "tmpfs", path]);
}

/// Fills what is left.
fn fill(path: &str, but: usize) {
    let stat = rustix::fs::statvfs(path).expect("a file system");
    let free = usize::try_from(stat.f_bavail * stat.f_frsize).expect("small");
    fs::write(format!("{path}/filler"), vec![b'\n'; free.saturating_sub(but)]).expect("fills");
}

/// Larger than a page, which is all that is left.
fn text(id: &str) -> String {
    format!("Subject: {id}\r\n\r\n{}end of {id}", format!("{}\r\n", "y".repeat(70)).repeat(90))
}

const ALIASES: &str = "file: /mnt/small/file\nmd: /mnt/small/md/\nrofile: /mnt/read/file\nromd: /mnt/read/md/\n\
both: /mnt/small/file, /mnt/box/both\nlist: joe, jim\nowner-list: ann\nold: /mnt/small/old\nroold: /mnt/read/old\n";

fn furnish() {
    for path in ["/mnt/small", "/mnt/read"] {
        disk(path, "64k");
    }
    locals::furnish(&[("ann", ".forward", "/mnt/box/ann\n"), ("bob", ".forward", "\\bob, /mnt/box/bob\n")]);
    write("/mnt/aliases", ALIASES, None);
    for (path, user) in [("/mnt/small/jim", Some("jim")), ("/mnt/small/old", None), ("/mnt/read/old", None)] {
        write(path, "From old\n\nwas there\n\n", user);
    }
    for path in ["/mnt/small/old", "/mnt/read/old"] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("mode");
    }
    fill("/mnt/small", 0);
    mount(&["-o", "remount,ro", "/mnt/read"]);
}

#[test]
fn mailboxes_without_room_are_as_postfix_has_them() {
    there("full::mailboxes_without_room_are_as_postfix_has_them", || {
        let recipients = ["joe", "jim", "ann", "bob", "file", "md", "rofile", "both", "list", "old", "roold"];
        let case = Case {
            main: format!("{COMMON}mail_spool_directory = /mnt/small\n"),
            master: String::new(),
            furnish: &furnish,
            indexed: &["postalias hash:/mnt/aliases"],
            roots: &["/mnt/small", "/mnt/read", "/mnt/box"],
            send: &|address| {
                let each = |name: &&str| send_text(address, &format!("{name}@example.com"), &text("x"));
                recipients.iter().for_each(each);
            },
        };
        case.play();
    });
}

fn count(path: &str, text: &str) -> usize {
    if Path::new(path).is_dir() {
        let files = fs::read_dir(path).expect("reads").flatten();
        return files.map(|file| count(&file.path().display().to_string(), text)).sum();
    }
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).matches(text).count()
}

fn tool(site: &Site, name: &str, words: &[&str]) -> crate::queue::Ran {
    ran(Command::new(KOMAINU).arg0(name).args(words).env("MAIL_CONFIG", site.etc()))
}

/// What waits for room comes when there is some: mailbox, Maildir, one with a quota, each once and whole, and a Maildir's
/// count is right.
#[test]
fn what_had_no_room_comes_when_there_is_some() {
    world::run("full::what_had_no_room_comes_when_there_is_some", Needs::Root, || {
        furnish();
        disk("/mnt/v", "64k");
        chown("/mnt/v", Some(VMAIL), Some(VMAIL)).expect("owner");
        let site = Site::new(&format!(
            "{COMMON}mail_spool_directory = /mnt/small\nkomainu_mailbox_root =\nmydestination = example.com\n\
             virtual_mailbox_domains = v.test\nvirtual_mailbox_base = /mnt/v\n\
             virtual_mailbox_maps = inline:{{box@v.test=box, md@v.test=md/, q@v.test=q/}}\n\
             komainu_virtual_quota_maps = inline:{{q@v.test=50000S}}\n\
             virtual_uid_maps = static:{VMAIL}\nvirtual_gid_maps = static:{VMAIL}\n"
        ));
        let mut server = Server::start(&site);
        let places = [
            ("q@v.test", "/mnt/v/q/new"),
            ("joe@example.com", "/mnt/small/joe"),
            ("box@v.test", "/mnt/v/box"),
        ];
        let places: Vec<_> = places.into_iter().chain([("md@v.test", "/mnt/v/md/new")]).collect();
        send_text(&site.address(), "q@v.test", "Subject: first\r\n\r\nshort");
        until("the first", || Path::new("/mnt/v/q/new").exists().then_some(()));
        site.logged("to=<q@v.test>, relay=virtual", 0);
        fill("/mnt/v", 4096);
        let mark = site.log().len();
        for (recipient, _) in &places {
            send_text(&site.address(), recipient, &text("late"));
        }
        for (recipient, place) in &places {
            let said = site.logged(&format!("to=<{recipient}>"), mark);
            assert!(said.contains("status=deferred") && said.contains("No space left on device"), "{said}");
            assert_eq!(count(place, "Subject: late"), 0, "half of it in {place}");
        }
        assert_eq!(fs::read_dir("/mnt/v/md/tmp").expect("a Maildir").count(), 0);
        for path in ["/mnt/small/filler", "/mnt/v/filler"] {
            fs::remove_file(path).expect("removes");
        }
        assert_eq!(tool(&site, "postqueue", &["-f"]).code, Some(0));
        until("an empty queue", || tool(&site, "postqueue", &["-j"]).out.is_empty().then_some(()));
        for (_, place) in &places {
            assert_eq!((count(place, "Subject: late\n"), count(place, "end of late\n")), (1, 1), "{place}");
        }
        let sizes = fs::read_to_string("/mnt/v/q/maildirsize").expect("a count");
        let held: u64 = fs::read_dir("/mnt/v/q/new")
            .expect("a Maildir")
            .flatten()
            .map(|file| file.metadata().expect("there").len())
            .sum();
        let sum: u64 = sizes
            .lines()
            .skip(1)
            .map(|line| line.split(' ').next().expect("bytes").parse::<u64>().expect("bytes"))
            .sum();
        assert_eq!(sum, held, "{sizes}");
        assert!(server.stop().success());
    });
}

/// A report on a full disk comes once, then or later; its message waits for it.
#[test]
fn a_report_on_a_full_disk_comes_once() {
    world::run("full::a_report_on_a_full_disk_comes_once", Needs::Root, || {
        let site = Site::new("");
        let nobody = crate::site::free_port();
        let later = format!("later.test smtp:[127.0.0.1]:{nobody}\n");
        write("/mnt/transport", &later, None);
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
        );
        site.main("transport_maps = texthash:/mnt/transport\nmynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n");
        let queue = site.path("state/queue");
        fs::create_dir_all(&queue).expect("a folder");
        let queue = queue.display().to_string();
        disk(&queue, "28m");
        chown(&queue, Some(crate::site::KOMAINU), Some(crate::site::KOMAINU)).expect("owner");
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let mut send = |to: &str, id: &str| {
            client.mail("box@example.com", to, &text(id).replace('\r', "")).expect("talks")
        };
        assert!(send("x@later.test", "failing").starts_with("250"));
        let line = site.logged("to=<x@later.test>", 0);
        let id =
            line.split("]: ").nth(1).and_then(|rest| rest.split(':').next()).expect("a queue id").to_owned();
        // To the brim, with what can't go out.
        fill(&queue, 1 << 20);
        let mut taken = 0;
        while send("y@later.test", "filling").starts_with("250") {
            taken += 1;
            assert!(taken < 5000, "it was never full");
        }
        write("/mnt/transport", &format!("{later}x@later.test error:5.1.1 no\n"), None);
        server.reload();
        let mark = site.log().len();
        assert_eq!(tool(&site, "postqueue", &["-f"]).code, Some(0));
        site.logged("to=<x@later.test>, relay=none", mark);
        // What other messages' results free may be room enough for the report; else the message waits for it.
        until("the report, or its message", || {
            let listed = tool(&site, "postqueue", &["-j"]).out;
            (listed.contains(&id) || !site.delivered_files().is_empty()).then_some(())
        });
        fs::remove_file(format!("{queue}/filler")).expect("removes");
        write("/mnt/transport", "later.test discard:\nx@later.test error:5.1.1 no\n", None);
        server.reload();
        // A flush passes over what is being tried just then.
        let report = until("the report", || {
            assert_eq!(tool(&site, "postqueue", &["-f"]).code, Some(0));
            site.find_delivered("end of failing")
        });
        assert!(report.contains("Undelivered Mail Returned to Sender"), "{report}");
        until("an empty queue", || tool(&site, "postqueue", &["-j"]).out.is_empty().then_some(()));
        assert_eq!(site.delivered_files().len(), 1, "one report");
        assert!(server.stop().success());
    });
}

/// `sendmail` without room: exit code 75 as Postfix's, and nothing left. With room it is taken.
#[test]
fn a_maildrop_without_room() {
    world::run("full::a_maildrop_without_room", Needs::Root, || {
        let site = Site::new("");
        let state = site.path("state");
        fs::create_dir_all(&state).expect("a folder");
        let state = state.display().to_string();
        disk(&state, "40m");
        chown(&state, Some(crate::site::KOMAINU), Some(crate::site::KOMAINU)).expect("owner");
        // The first start makes the folders.
        let mut server = Server::start(&site);
        assert!(server.stop().success());
        fill(&state, 8192);
        let sendmail = |id: &str| {
            let mut command = Command::new(KOMAINU);
            command.arg0("sendmail").args(["-f", "a@example.com", "box@example.com"]);
            command
                .env("MAIL_CONFIG", site.etc())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let mut child = command.spawn().expect("starts");
            let mut input = child.stdin.take().expect("a pipe");
            // Whoever gives up doesn't read on.
            let _ = std::io::Write::write_all(&mut input, text(id).replace('\r', "").repeat(20).as_bytes());
            drop(input);
            let output = child.wait_with_output().expect("ends");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, said) = sendmail("never");
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains("fatal: ") && said.ends_with(": No space left on device\n"), "{said}");
        let left = || fs::read_dir(format!("{state}/maildrop")).expect("a folder").count();
        assert_eq!(left(), 0);
        mount(&["-o", "remount,ro", &state]);
        let (code, said) = sendmail("never");
        assert_eq!((code, left()), (Some(75), 0), "{said}");
        mount(&["-o", "remount,rw", &state]);
        fs::remove_file(format!("{state}/filler")).expect("removes");
        assert_eq!(sendmail("taken"), (Some(0), String::new()));
        assert_eq!(left(), 1);
        let mut server = Server::start(&site);
        site.delivered_with("end of taken");
        assert!(!site.delivered_with("end of taken").contains("Subject: never"));
        assert!(server.stop().success());
    });
}
