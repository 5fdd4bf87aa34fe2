//! A full disk: 452 4.3.1, nothing acknowledged that isn't there, and mail again when there is room (T1.13).

use crate::client::Client;
use crate::server::Server;
use crate::site::{KOMAINU, Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::process::Command;

/// Fills what is left, but for some bytes.
fn fill(folder: &std::path::Path, but: u64) -> std::path::PathBuf {
    let stat = rustix::fs::statvfs(folder).expect("a file system");
    let free = (stat.f_bavail * stat.f_frsize).saturating_sub(but);
    let path = folder.join("filler");
    fs::write(&path, vec![0; usize::try_from(free).expect("small")]).expect("fills");
    path
}

#[test]
fn a_full_disk_is_said_and_survived() {
    world::run("disk::a_full_disk_is_said_and_survived", Needs::Root, || {
        let site = Site::new("");
        let queue = site.path("state/queue");
        fs::create_dir_all(&queue).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&queue).status();
        assert!(mounted.expect("mounts").success());
        std::os::unix::fs::chown(&queue, Some(KOMAINU), Some(KOMAINU)).expect("owner");
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let text = |id: &str| format!("Subject: {id}\n\n{}\nend of {id}", "y".repeat(70).repeat(1) + "\n" + &"z".repeat(900));
        let large = |id: &str| format!("Subject: {id}\n\n{}end of {id}", format!("{}\n", "y".repeat(79)).repeat(5000));
        assert!(client.mail("a@example.org", "box@example.com", &text("first")).expect("talks").starts_with("250"));
        site.delivered_with("end of first");

        // Known from SIZE: refused at MAIL.
        let filler = fill(&queue, 200_000);
        assert_eq!(client.say("MAIL FROM:<a@example.org> SIZE=400000"), "452 4.3.1 Insufficient system storage");
        // Not told before: refused at the end.
        let reply = client.mail("a@example.org", "box@example.com", &large("second")).expect("talks");
        assert_eq!(reply, "452 4.3.1 Insufficient system storage");
        drop(filler);
        // To the brim, many at once, until one is refused: what got a 250 is there all the same.
        let filler = fill(&queue, 64_000);
        let mut acknowledged = Vec::new();
        let mut refused = 0;
        for count in 0..200 {
            let id = format!("brim-{count}");
            let reply = client.mail("a@example.org", "box@example.com", &text(&id)).expect("talks");
            if reply.starts_with("250") {
                acknowledged.push(id);
            } else {
                assert_eq!(reply, "452 4.3.1 Insufficient system storage");
                client.say("RSET");
                refused += 1;
            }
        }
        println!("to the brim: {} acknowledged, {refused} refused", acknowledged.len());
        assert!(refused > 0, "it was never full");
        for id in &acknowledged {
            site.delivered_with(&format!("end of {id}\n"));
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
        assert!(!arrived.iter().any(|(_, text)| text.contains("Subject: second")), "a refused message was delivered");
        assert!(arrived.iter().all(|(_, text)| text.contains("\nend of ")), "a half message");
        // And after a restart nothing more than was said.
        let mut server = Server::start(&site);
        assert!(server.stop().success());
        assert_eq!(site.delivered().len(), arrived.len());
    });
}
