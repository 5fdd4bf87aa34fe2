//! One message to ten thousand: in by SMTP, out to another server in parts, into Maildirs, and back to its sender in one
//! report on five thousand. Each comes once, other mail isn't held up, and memory stays what it was. T2.14.

use crate::client::Client;
use crate::far_server::{FarServer, KIND, Words};
use crate::server::Server;
use crate::site::{Site, VMAIL, until};
use crate::world::{self, Needs};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::time::{Duration, Instant};

/// To another server, into Maildirs, to nowhere.
const AWAY: usize = 2_500;
const HERE: usize = 2_500;
const NOWHERE: usize = 5_000;
/// Recipients of one transaction at the other server.
const AT_ONCE: usize = 50;
/// What the message may add to the server's memory.
const MEMORY_KB_MAX: i64 = 48 * 1024;
/// Says all of it at once, and counts the answers; the message's name.
fn send(site: &Site) -> String {
    let mut said = String::from("MAIL FROM:<box@example.com>\r\n");
    for at in 0..AWAY {
        said.push_str(&format!("RCPT TO:<u{at}@far.test>\r\n"));
    }
    for at in 0..HERE {
        said.push_str(&format!("RCPT TO:<v{at}@virtual.example>\r\n"));
    }
    for at in 0..NOWHERE {
        said.push_str(&format!("RCPT TO:<n{at}@bad.test>\r\n"));
    }
    said.push_str("DATA\r\n");
    let mut client = Client::hello(&site.address());
    let socket = client.socket().try_clone().expect("a socket");
    let writing = std::thread::spawn(move || {
        (&socket).write_all(said.as_bytes()).expect("takes it");
    });
    for _ in 0..=AWAY + HERE + NOWHERE {
        let reply = client.reply().expect("an answer");
        assert!(reply.starts_with("250 2.1."), "{reply}");
    }
    assert!(client.reply().expect("an answer").starts_with("354"));
    writing.join().expect("writes");
    let said = client.say("Subject: many\r\n\r\ntext\r\nend of many\r\n.");
    said.strip_prefix("250 2.0.0 Ok: queued as ").expect("it is taken").to_owned()
}

/// Mail beside it, one message after another until all is done: the longest time that one took.
fn beside(site: &Site, done: &std::sync::atomic::AtomicBool) -> (usize, Duration) {
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !done.load(std::sync::atomic::Ordering::Relaxed) {
        let began = Instant::now();
        let id = format!("beside-{count}");
        let mut client = Client::hello(&site.address());
        let said = client.mail("a@example.org", "other@example.com", &format!("Subject: {id}\n\nx"));
        assert!(said.expect("talks").starts_with("250"));
        until(&id, || {
            let came = fs::read_dir(site.path("mail/other/new")).into_iter().flatten().count();
            (came > count).then_some(())
        });
        longest = longest.max(began.elapsed());
        count += 1;
    }
    (count, longest)
}

/// Who was named how often in what the other server heard.
fn away(far: &FarServer) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for said in far.heard_at_the_end() {
        for part in said.split("MAIL FROM:").skip(1) {
            let named: Vec<&str> =
                part.lines().filter_map(|line| line.strip_prefix("RCPT TO:<")?.split('>').next()).collect();
            assert!(named.len() <= AT_ONCE, "{} at once", named.len());
            assert!(part.contains("end of many\r\n.\r\n"), "{part}");
            named.iter().for_each(|name| *found.entry((*name).to_owned()).or_default() += 1);
        }
    }
    found
}

#[test]
fn ten_thousand_recipients_of_one_message() {
    world::run("many::ten_thousand_recipients_of_one_message", Needs::Root, || {
        let far = FarServer::start(KIND);
        let no = FarServer::start(Words { rcpt: "550 5.1.1 no", ..KIND });
        let site = Site::new("");
        fs::create_dir_all("/mnt/v").expect("a folder");
        chown("/mnt/v", Some(VMAIL), Some(VMAIL)).expect("owner");
        site.main(&format!(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             smtpd_recipient_limit = 10000\nsmtpd_recipient_overshoot_limit = 10000\n\
             smtp_destination_recipient_limit = {AT_ONCE}\n\
             transport_maps = inline:{{ far.test=smtp:[127.0.0.1]:{}, bad.test=smtp:[127.0.0.1]:{} }}\n\
             virtual_mailbox_domains = virtual.example\nvirtual_mailbox_base = /mnt/v\n\
             virtual_mailbox_maps = texthash:/mnt/boxes\n\
             virtual_uid_maps = static:{VMAIL}\nvirtual_gid_maps = static:{VMAIL}\n",
            far.port, no.port
        ));
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
        );
        let boxes: String = (0..HERE).map(|at| format!("v{at}@virtual.example v{at}/\n")).collect();
        fs::write("/mnt/boxes", boxes).expect("writes");
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        assert!(client.mail("a@example.org", "other@example.com", "x").expect("talks").starts_with("250"));
        until("the first", || (site.delivered_files().len() == 1).then_some(()));
        fs::remove_dir_all(site.path("mail/other")).expect("removes");
        let before = server.resident_kb();
        let done = std::sync::atomic::AtomicBool::new(false);
        let (count, longest, all) = std::thread::scope(|scope| {
            let others = scope.spawn(|| beside(&site, &done));
            let began = Instant::now();
            let gone = format!("{}: removed", send(&site));
            println!("taken in {:?}", began.elapsed());
            while !site.log().contains(&gone) {
                assert!(began.elapsed() < Duration::from_secs(120), "it takes too long");
                std::thread::sleep(Duration::from_millis(100));
            }
            println!("gone after {:?}", began.elapsed());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            let all = began.elapsed();
            let (count, longest) = others.join().expect("others");
            (count, longest, all)
        });
        let peak: i64 = server.status("VmHWM").trim_end_matches("kB").trim().parse().expect("a number");
        println!(
            "{count} messages beside it, the slowest in {longest:?}; memory {before} kB, at most {peak} kB"
        );
        // However busy the machine is: whoever waits for the large one waits for nearly all of it.
        assert!(longest < (all / 2).max(Duration::from_secs(2)), "{longest:?} of {all:?}");
        assert!(count > 3, "hardly any mail beside it");
        assert!(peak - before < MEMORY_KB_MAX, "{before} kB, then {peak} kB");
        assert!(server.stop().success());
        let heard = away(&far);
        assert_eq!(heard.len(), AWAY);
        assert!(heard.values().all(|count| *count == 1), "{heard:?}");
        for at in 0..HERE {
            let folder = fs::read_dir(format!("/mnt/v/v{at}/new")).expect("a Maildir");
            assert_eq!(folder.count(), 1, "v{at}");
        }
        let report = site.delivered_with("end of many");
        assert_eq!(report.matches("\nFinal-Recipient: ").count(), NOWHERE);
        let files = fs::read_dir(site.path("mail/box/new")).expect("a Maildir");
        assert_eq!(files.count(), 1, "one report");
    });
}
