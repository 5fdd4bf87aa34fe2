//! A full disk: 452 4.3.1, nothing acknowledged that isn't there, and mail again when there is room (T1.13).

use crate::client::Client;
use crate::server::Server;
use crate::site::{KOMAINU, Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fills what is left, but for some bytes.
fn fill(folder: &Path, but: u64) -> PathBuf {
    let stat = rustix::fs::statvfs(folder).expect("a file system");
    let free = (stat.f_bavail * stat.f_frsize).saturating_sub(but);
    let path = folder.join(format!("filler-{but}"));
    fs::write(&path, vec![0; usize::try_from(free).expect("small")]).expect("fills");
    path
}

/// A site, and where its queue is: on a disk that has room for three pieces of the log.
fn small() -> (Site, PathBuf) {
    let site = Site::new("minimal_backoff_time = 1s\nqueue_run_delay = 1s\nmaximal_backoff_time = 1s\n");
    let queue = site.path("state/queue");
    fs::create_dir_all(&queue).expect("a folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=28m", "tmpfs"]).arg(&queue).status();
    assert!(mounted.expect("mounts").success());
    std::os::unix::fs::chown(&queue, Some(KOMAINU), Some(KOMAINU)).expect("owner");
    (site, queue)
}

/// A server whose queue has filled its disk is stopped, killed and started as often as you like: nothing is lost, what was
/// acknowledged goes out when it can, and then there is room for more.
#[test]
fn a_full_disk_takes_any_number_of_starts() {
    world::run("disk::a_full_disk_takes_any_number_of_starts", Needs::Root, || {
        let (site, queue) = small();
        let mut server = Server::start(&site);
        let mail = site.path("mail");
        fs::rename(&mail, site.path("mail.away")).expect("renames");
        fs::write(&mail, "in the way").expect("writes");
        fill(&queue, 0);
        let mut acknowledged = Vec::new();
        let mut offer = |client: &mut Client| {
            let id = format!("brim-{}", acknowledged.len());
            let text =
                format!("Subject: {id}\n\n{}end of {id}", format!("{}\n", "y".repeat(79)).repeat(1200));
            let reply = client.mail("a@example.org", "box@example.com", &text).expect("talks");
            let taken = reply.starts_with("250");
            if taken {
                acknowledged.push(id);
            } else {
                assert_eq!(reply, "452 4.3.1 Insufficient system storage");
                client.say("RSET");
            }
            taken
        };
        let mut client = Client::hello(&site.address());
        let more = (0..400).take_while(|_| offer(&mut client)).count();
        assert!(more < 400, "it was never full");
        for start in 0..20 {
            let mark = site.log().len();
            if start % 2 == 0 {
                assert!(server.stop().success());
            } else {
                server.kill();
            }
            server = Server::start(&site);
            offer(&mut Client::hello(&site.address()));
            if start % 5 == 0 {
                // Each attempt is noted, as far as there is room.
                site.logged("status=deferred", mark);
            }
        }
        fs::remove_file(&mail).expect("removes");
        fs::rename(site.path("mail.away"), &mail).expect("renames");
        until("room by itself", || offer(&mut Client::hello(&site.address())).then_some(()));
        until("all that was acknowledged", || {
            (site.delivered_files().len() >= acknowledged.len()).then_some(())
        });
        assert!(server.stop().success());
        let arrived = site.delivered();
        for id in &acknowledged {
            let end = format!("end of {id}\n");
            assert!(arrived.iter().any(|(_, text)| text.ends_with(&end)), "{id} is lost");
        }
        assert!(arrived.iter().all(|(_, text)| text.contains("\nend of ")), "a half message");
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
fn a_full_disk_is_said_and_survived() {
    world::run("disk::a_full_disk_is_said_and_survived", Needs::Root, || {
        let (site, queue) = small();
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let text =
            |id: &str| format!("Subject: {id}\n\n{}end of {id}", format!("{}\n", "y".repeat(79)).repeat(500));
        let large = |id: &str| {
            format!("Subject: {id}\n\n{}end of {id}", format!("{}\n", "y".repeat(79)).repeat(5000))
        };
        assert!(
            client
                .mail("a@example.org", "box@example.com", &text("first"))
                .expect("talks")
                .starts_with("250")
        );
        site.delivered_with("end of first");

        // Known from SIZE: refused at MAIL.
        let filler = fill(&queue, 200_000);
        assert_eq!(
            client.say("MAIL FROM:<a@example.org> SIZE=400000"),
            "452 4.3.1 Insufficient system storage"
        );
        // Not told before: refused at the end.
        let reply = client.mail("a@example.org", "box@example.com", &large("second")).expect("talks");
        assert_eq!(reply, "452 4.3.1 Insufficient system storage");
        fs::remove_file(filler).expect("removes");
        // To the brim, with nothing going out: what got a 250 is there all the same.
        let mail = site.path("mail");
        fs::rename(&mail, site.path("mail.away")).expect("renames");
        fs::write(&mail, "in the way").expect("writes");
        let filler = fill(&queue, 2 << 20);
        let mut acknowledged = Vec::new();
        // More than the file system could hold.
        while acknowledged.len() < 800 {
            let id = format!("brim-{}", acknowledged.len());
            let reply = client.mail("a@example.org", "box@example.com", &text(&id)).expect("talks");
            if !reply.starts_with("250") {
                assert_eq!(reply, "452 4.3.1 Insufficient system storage");
                client.say("RSET");
                break;
            }
            acknowledged.push(id);
        }
        println!("to the brim: {} acknowledged, then no more", acknowledged.len());
        assert!(acknowledged.len() < 800, "it was never full");
        // Whatever room comes free meanwhile, as deferred mail is moved together: an answer is one of the two, and holds.
        let reply = client.mail("a@example.org", "box@example.com", &text("over")).expect("talks");
        if reply.starts_with("250") {
            acknowledged.push("over".to_owned());
        } else {
            assert_eq!(reply, "452 4.3.1 Insufficient system storage");
            client.say("RSET");
        }
        // Delivery goes on while there is no room.
        fs::remove_file(&mail).expect("removes");
        fs::rename(site.path("mail.away"), &mail).expect("renames");
        until("all that was acknowledged", || {
            (site.delivered_files().len() > acknowledged.len()).then_some(())
        });
        let arrived = site.delivered();
        for id in &acknowledged {
            assert!(
                arrived.iter().any(|(_, text)| text.ends_with(&format!("end of {id}\n"))),
                "{id} is lost"
            );
        }
        fs::remove_file(filler).expect("removes");
        until("mail again", || {
            let reply = client.mail("a@example.org", "box@example.com", &large("third")).expect("talks");
            client.say("RSET");
            reply.starts_with("250").then_some(())
        });
        site.delivered_with("end of third");
        assert!(server.stop().success());
        let arrived = site.delivered();
        assert!(
            !arrived.iter().any(|(_, text)| text.contains("Subject: second")),
            "a refused message was delivered"
        );
        assert_eq!(
            arrived.iter().any(|(_, text)| text.contains("Subject: over")),
            acknowledged.iter().any(|id| id == "over"),
            "a message came to something else than was answered"
        );
        assert!(arrived.iter().all(|(_, text)| text.contains("\nend of ")), "a half message");
        // And after a restart nothing more than was said.
        let mut server = Server::start(&site);
        assert!(server.stop().success());
        assert_eq!(site.delivered().len(), arrived.len());
    });
}
