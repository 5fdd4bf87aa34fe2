//! Virtual mailboxes beside Debian's virtual(8): the same tables, places and mail through both; then the log lines and
//! every mailbox are compared. After that what Postfix hasn't: quotas, and mailboxes that are known to be full (T1.13).

use crate::client::Client;
use crate::locals::{Case, folder, send_text, there, write};
use crate::server::Server;
use crate::site::{Site, VMAIL, until};
use crate::world::{self, Needs};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

const BOXES: &str = "md@v.test md/\nbox@v.test box\ndeep@v.test deep/er/md/\ndeepbox@v.test deep2/er/box\n\
closed@v.test closed/box\nclosedmd@v.test closed/md/\ndir@v.test dir\nhard@v.test hard\nfifo@v.test fifo\n\
other@v.test other\nother2@v.test other/md/\nnomode@v.test nomode\nfile@v.test plain/\nfull@v.test full\n\
near@v.test near\nlocked@v.test locked\nstale@v.test stale\nabs@v.test /abs/md/\nabsbox@v.test /closed/absbox\n\
catch@v.test  c\nlinked@v.test linked/md/\nlinkedbox@v.test linked/box\ndot@v.test md/./\nuroot@v.test u0\n\
ulow@v.test u99\nuword@v.test uword\nunone@v.test unone\ngroot@v.test g0\ngneg@v.test g1\ngnone@v.test gnone\n\
blank@v.test a box\nslashes@v.test md//\nulink@v.test ulink\nnoroom@v.test small/box\nnoroommd@v.test small/md/\n\
readonly@v.test read/box\nreadonlymd@v.test read/md/\nhalf@v.test half/\nnonew@v.test nonew/\nnull@v.test null/\n\
setid@v.test setid\n@catch.test all/%s/\nlast@v.test last\n";

/// Who isn't in the table of owners is nobody's.
const OWNED: [&str; 2] = ["unone@v.test", "gnone@v.test"];

fn vmail(path: &str) {
    chown(path, Some(VMAIL), Some(VMAIL)).expect("owner");
}

fn owned(name: &str, bytes: usize) {
    let path = format!("/mnt/v/{name}");
    fs::write(&path, vec![b'\n'; bytes]).expect("writes");
    vmail(&path);
}

fn small(path: &str) {
    let _ = Command::new("umount").arg(path).stderr(std::process::Stdio::null()).status();
    folder(path, 0o777);
    let mount = ["-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", path];
    assert!(Command::new("mount").args(mount).status().expect("mount").success());
}

fn furnish() {
    for path in ["/mnt/v/small", "/mnt/v/read"] {
        let _ = Command::new("umount").arg(path).stderr(std::process::Stdio::null()).status();
    }
    let _ = fs::remove_dir_all("/mnt/v");
    folder("/mnt/v", 0o755);
    vmail("/mnt/v");
    for name in ["closed", "dir", "linked-to", "half/tmp", "nonew/tmp", "udir"] {
        folder(&format!("/mnt/v/{name}"), 0o755);
    }
    for name in ["dir", "linked-to", "half", "half/tmp", "nonew", "nonew/tmp", "udir"] {
        vmail(&format!("/mnt/v/{name}"));
    }
    for (name, bytes) in [
        ("target", 1),
        ("nomode", 1),
        ("full", 51_200_000),
        ("near", 51_199_900),
        ("setid", 1),
        ("nonew/new", 0),
        ("plain", 1),
    ] {
        owned(name, bytes);
    }
    fs::set_permissions("/mnt/v/nomode", PermissionsExt::from_mode(0o000)).expect("mode");
    fs::set_permissions("/mnt/v/setid", PermissionsExt::from_mode(0o6755)).expect("mode");
    fs::hard_link("/mnt/v/target", "/mnt/v/hard").expect("a link");
    symlink("linked-to", "/mnt/v/linked").expect("a link");
    symlink("/dev/null", "/mnt/v/null").expect("a link");
    owned("dir/real", 0);
    symlink("dir/real", "/mnt/v/ulink").expect("a link");
    std::os::unix::fs::lchown("/mnt/v/ulink", Some(VMAIL), Some(VMAIL)).expect("owner");
    assert!(Command::new("mkfifo").arg("/mnt/v/fifo").status().expect("mkfifo").success());
    vmail("/mnt/v/fifo");
    write("/mnt/v/other", "\n", None);
    fs::set_permissions("/mnt/v/other", PermissionsExt::from_mode(0o666)).expect("mode");
    for name in ["locked", "locked.lock", "stale", "stale.lock"] {
        owned(name, 0);
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
    fs::File::open("/mnt/v/stale.lock").and_then(|file| file.set_modified(long_ago)).expect("sets");
    small("/mnt/v/small");
    write("/mnt/v/small/filler", &"x".repeat(60_000), None);
    small("/mnt/v/read");
    let read_only = ["-o", "remount,ro", "/mnt/v/read"];
    assert!(Command::new("mount").args(read_only).status().expect("mount").success());
    write("/mnt/boxes", BOXES, None);
    let names = || BOXES.lines().filter_map(|line| line.split_whitespace().next());
    let table = |special: &[(&str, &str)], not: &str| -> String {
        let id = |name: &str| special.iter().find(|(key, _)| *key == name).map_or("5000", |(_, id)| id);
        let lines = names().filter(|name| *name != not).map(|name| format!("{name} {}\n", id(name)));
        lines.collect()
    };
    let uids = [("uroot@v.test", "0"), ("ulow@v.test", "99"), ("uword@v.test", "vmail")];
    write("/mnt/uids", &table(&uids, OWNED[0]), None);
    write("/mnt/gids", &table(&[("groot@v.test", "0"), ("gneg@v.test", "-1")], OWNED[1]), None);
}

const MAIN: &str = "mydestination =\nmynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
smtpd_peername_lookup = no\nalias_maps =\nalias_database =\nrecipient_delimiter = +\nnotify_classes =\n\
deliver_lock_attempts = 2\nvirtual_mailbox_domains = v.test, catch.test\nvirtual_mailbox_base = /mnt/v\n\
virtual_mailbox_maps = hash:/mnt/boxes\nvirtual_uid_maps = hash:/mnt/uids\nvirtual_gid_maps = hash:/mnt/gids\n";

/// Mail to these, larger than what is left of a small disk.
fn case(more: &str, recipients: &[&str]) {
    let text =
        format!("Subject: x\r\n\r\nhello\r\nFrom here\r\n{}", format!("{}\r\n", "y".repeat(70)).repeat(90));
    let case = Case {
        main: format!("{MAIN}{more}"),
        master: String::new(),
        furnish: &furnish,
        indexed: &["postmap hash:/mnt/boxes", "postmap hash:/mnt/uids", "postmap hash:/mnt/gids"],
        roots: &["/mnt/v"],
        send: &|address| recipients.iter().for_each(|recipient| send_text(address, recipient, &text)),
    };
    case.play();
}

#[test]
fn virtual_mailboxes_are_as_postfix_has_them() {
    there("virtuals::virtual_mailboxes_are_as_postfix_has_them", || {
        let names = BOXES.lines().filter_map(|line| line.split_whitespace().next());
        // Full mailboxes are refused before, here.
        let names = names.filter(|name| !name.starts_with(['@']) && *name != "full@v.test");
        let more = ["md+ext@v.test", "BOX@V.test", "any@catch.test", "box+x@v.test"];
        let recipients: Vec<&str> = names.chain(more).collect();
        case("virtual_delivery_slot_cost = 5\n", &recipients);
    });
}

#[test]
fn virtual_mailboxes_of_whoever_and_locked_otherwise() {
    there("virtuals::virtual_mailboxes_of_whoever_and_locked_otherwise", || {
        let more = "strict_mailbox_ownership = no\nvirtual_mailbox_lock = fcntl\nvirtual_minimum_uid = 50\n\
                    enable_original_recipient = no\nvirtual_uid_maps = hash:/mnt/uids, static:5000\n";
        let recipients = [
            "other@v.test",
            "nomode@v.test",
            "closed@v.test",
            "locked@v.test",
            "ulow@v.test",
            "unone@v.test",
            "readonly@v.test",
            "fifo@v.test",
            "box@v.test",
        ];
        case(more, &recipients);
    });
}

#[test]
fn full_mailboxes_are_refused_before_their_mail_comes() {
    world::run("virtuals::full_mailboxes_are_refused_before_their_mail_comes", Needs::Root, || {
        furnish();
        let site = |more: &str| -> Site {
            Site::new(&format!(
                "mydestination =\nkomainu_mailbox_root =\nvirtual_mailbox_domains = v.test\nvirtual_mailbox_base = /mnt/v\n\
                 virtual_mailbox_maps = inline:{{full@v.test=full, near@v.test=near, q@v.test=q/}}\n\
                 komainu_virtual_quota_maps = inline:{{q@v.test=5000S}}\nvirtual_alias_maps = inline:{{al@v.test=full@v.test}}\n\
                 virtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000\n{more}\n"
            ))
        };
        let plain = site("");
        let mut server = Server::start(&plain);
        let mut client = Client::hello(&plain.address());
        let full =
            |name: &str| format!("552 5.2.2 <{name}@v.test>: Recipient address rejected: Mailbox full");
        assert!(client.say("MAIL FROM:<a@far.test>").starts_with("250"));
        assert_eq!(client.say("RCPT TO:<full@v.test>"), full("full"));
        // Whom an alias stands for isn't judged here.
        assert!(client.say("RCPT TO:<al@v.test>").starts_with("250"));
        assert!(client.say("RCPT TO:<near@v.test>").starts_with("250"));
        client.say("RSET");
        assert!(client.say("MAIL FROM:<a@far.test> SIZE=200").starts_with("250"));
        assert_eq!(client.say("RCPT TO:<near@v.test>"), full("near"));
        client.say("RSET");
        // Larger than the mailbox may ever be, known before there is one.
        assert!(client.say("MAIL FROM:<a@far.test> SIZE=5001").starts_with("250"));
        assert_eq!(client.say("RCPT TO:<q@v.test>"), full("q"));
        client.say("RSET");
        let text = format!("Subject: filling\r\n\r\n{}", format!("{}\r\n", "y".repeat(70)).repeat(40));
        assert!(client.mail("a@far.test", "q@v.test", &text).expect("talks").starts_with("250"));
        until("the quota's count", || {
            let sizes = fs::read_to_string("/mnt/v/q/maildirsize").unwrap_or_default();
            (sizes.starts_with("5000S\n0 0\n") && sizes.lines().count() == 3).then_some(())
        });
        assert!(client.mail("a@far.test", "q@v.test", &text).expect("talks").starts_with("250"));
        // The second was taken, as nobody said how large it would be, and is returned.
        plain.logged("(maildir delivery failed: error writing message: mailbox is over its quota)", 0);
        assert!(plain.log().contains("dsn=5.2.2, status=bounced (maildir delivery failed"));
        assert!(client.say("MAIL FROM:<a@far.test> SIZE=2500").starts_with("250"));
        assert_eq!(client.say("RCPT TO:<q@v.test>"), full("q"));
        assert!(server.stop().success());
        let patient = site("komainu_virtual_quota_tempfail = yes");
        let mut server = Server::start(&patient);
        let mut client = Client::hello(&patient.address());
        assert!(client.say("MAIL FROM:<a@far.test> SIZE=2500").starts_with("250"));
        let later = "452 4.2.2 <q@v.test>: Recipient address rejected: Mailbox full";
        assert_eq!(client.say("RCPT TO:<q@v.test>"), later);
        assert!(server.stop().success());
    });
}
