//! Users who keep the server waiting: by commands that hang, a locked mailbox, a FIFO that nobody reads. Nobody else waits for
//! them, and neither does the server when it is told to stop; what it leaves behind is the next one's. T2.14.

use crate::client::Client;
use crate::sendmail::send;
use crate::server::{Server, status};
use crate::site::{Site, until};
use crate::world::{self, Needs};
use rustix::process::Signal;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::{Duration, Instant};

const USERS: [&str; 4] = ["alice", "bob", "eve", "mallory"];
const ALICE: u32 = 3001;
/// Messages for mallory.
const MANY: usize = 30;

fn write(path: &str, text: &str, uid: u32) {
    fs::write(path, text).expect("writes");
    chown(path, Some(uid), Some(uid)).expect("owner");
}

/// Users with homes, one of whom runs commands, one has a locked mailbox, one a FIFO in place of it. The FIFO is open and
/// full for as long as what comes back lives.
fn furnish() -> fs::File {
    let mut passwd = fs::read_to_string("/etc/passwd").expect("reads");
    for (user, uid) in USERS.iter().zip(ALICE..) {
        passwd.push_str(&format!("{user}:x:{uid}:{uid}::/mnt/home/{user}:/bin/sh\n"));
        let home = format!("/mnt/home/{user}");
        fs::create_dir_all(&home).expect("a folder");
        chown(&home, Some(uid), Some(uid)).expect("owner");
    }
    fs::write("/etc/passwd", passwd).expect("writes");
    fs::create_dir("/mnt/mail").expect("a folder");
    fs::set_permissions("/mnt/mail", PermissionsExt::from_mode(0o1777)).expect("mode");
    write("/mnt/mail/bob.lock", "", ALICE + 1);
    let fifo = "/mnt/home/eve/fifo";
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    chown(fifo, Some(ALICE + 2), Some(ALICE + 2)).expect("owner");
    write("/mnt/home/eve/.forward", fifo, ALICE + 2);
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
    let mut reader = fs::File::from(rustix::fs::open(fifo, flags, mode).expect("opens"));
    while reader.write(&[b'x'; 4096]).is_ok() {}
    let hangs = "\"|umask >/mnt/home/mallory/umask; echo $$ >>/mnt/home/mallory/pids; exec sleep 600\"\n";
    write("/mnt/home/mallory/.forward", hangs, ALICE + 3);
    reader
}

/// Commands that have been started.
fn pids() -> Vec<u32> {
    let text = fs::read_to_string("/mnt/home/mallory/pids").unwrap_or_default();
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

/// Messages in a user's mailbox.
fn count(user: &str) -> usize {
    let text = fs::read(format!("/mnt/mail/{user}")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter(|line| line.starts_with("Subject: ")).count()
}

fn mail(client: &mut Client, recipient: &str) {
    let reply = client.mail("s@far.test", &format!("{recipient}@example.com"), "Subject: x\n\nx\n");
    assert!(reply.expect("talks").starts_with("250 "));
}

#[test]
fn nobody_waits_for_those_who_hold_up_their_own_mail() {
    world::run("stopping::nobody_waits_for_those_who_hold_up_their_own_mail", Needs::Root, || {
        let _reader = furnish();
        let site = Site::new(
            "komainu_mailbox_root =\nrecipient_delimiter = +\nmail_spool_directory = /mnt/mail\n\
             mailbox_delivery_lock = dotlock\ndeliver_lock_attempts = 600\nstale_lock_time = 1h\n\
             queue_run_delay = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n",
        );
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        mail(&mut client, "bob");
        mail(&mut client, "eve");
        (0..MANY).for_each(|number| mail(&mut client, &format!("Mallory+{number}")));
        until("two commands", || (pids().len() >= 2).then_some(()));
        mail(&mut client, "alice");
        until("alice's mail", || (count("alice") == 1).then_some(()));
        assert_eq!(pids().len(), 2, "local_destination_concurrency_limit");
        assert_eq!(fs::read_to_string("/mnt/home/mallory/umask").expect("reads").trim(), "0077");
        drop(client);

        let began = Instant::now();
        server.signal(Signal::TERM);
        let mut dropped = 0;
        while status(server.pid(), "State").starts_with(['S', 'R', 'D']) {
            dropped +=
                usize::from(send(&site, ALICE, &["alice@example.com"], b"Subject: y\n\ny\n").code == Some(0));
            std::thread::sleep(Duration::from_millis(50));
            assert!(began.elapsed() < Duration::from_secs(20), "it doesn't end");
        }
        assert!(server.ended().success());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        println!("the end took {took:?}; {dropped} messages were dropped meanwhile");
        let gone = |pid: &u32| status(*pid, "State").is_empty() || status(*pid, "State").starts_with('Z');
        until("the commands' end", || pids().iter().all(gone).then_some(()));
        let tried = site.log().matches("the spool is closed").count();
        assert!(tried <= 1, "the maildrop was tried {tried} times:\n{}", site.log());

        // Everything is still there, and nothing comes twice.
        for path in ["/mnt/mail/bob.lock", "/mnt/home/eve/.forward", "/mnt/home/mallory/.forward"] {
            fs::remove_file(path).expect("removes");
        }
        let mut server = Server::start(&site);
        for (user, expect) in [("mallory", MANY), ("bob", 1), ("eve", 1), ("alice", 1 + dropped)] {
            until(&format!("{expect} messages for {user}"), || (count(user) >= expect).then_some(()));
        }
        assert!(server.stop().success());
        let counts = USERS.map(count);
        assert_eq!(counts, [1 + dropped, 1, 1, MANY]);
        let modes =
            USERS.map(|user| fs::metadata(format!("/mnt/mail/{user}")).expect("there").mode() & 0o777);
        assert_eq!(modes, [0o600; 4]);
    });
}
