//! kill -9 and SIGTERM under load: what was acknowledged is there, whole (docs/internals/queue-states.md).

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Clients at work at once.
const CLIENTS: usize = 4;
/// How often the server is killed.
const KILLS: u32 = 22;

/// Messages that were acknowledged.
type Acknowledged = Arc<Mutex<Vec<String>>>;

/// A message that shows whether it is whole.
fn message(id: &str) -> String {
    let lines = id.bytes().map(usize::from).sum::<usize>() % 400;
    format!("Subject: {id}\n\n{}end of {id}", format!("{id} {}\n", "x".repeat(60)).repeat(lines))
}

/// Sends until the server is gone or `enough` is said.
fn load(
    address: &str,
    round: u32,
    acknowledged: &Acknowledged,
    enough: &Arc<AtomicBool>,
) -> Vec<JoinHandle<()>> {
    let work = |number: usize| {
        let (address, acknowledged, enough) =
            (address.to_owned(), Arc::clone(acknowledged), Arc::clone(enough));
        std::thread::spawn(move || {
            let Ok(mut client) = Client::try_hello(&address) else { return };
            for count in 0_u32.. {
                let id = format!("m-{round}-{number}-{count}");
                // Some mailboxes are the server's, some another account's.
                let domain =
                    if world::is_root() && count % 2 == 0 { "virtual.example" } else { "example.com" };
                match client.mail("a@example.org", &format!("box@{domain}"), &message(&id)) {
                    Ok(reply) if reply.starts_with("250 2.0.0 Ok: queued as") => {
                        acknowledged.lock().expect("whole").push(id);
                    }
                    Ok(reply) => {
                        assert!(reply.starts_with("421"), "{reply}");
                        return;
                    }
                    Err(_) => return,
                }
                if enough.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    };
    (0..CLIENTS).map(work).collect()
}

/// The messages in the mailboxes by id, each with its delivery times. Fails on one that isn't whole.
fn arrived(site: &Site) -> BTreeMap<String, Vec<SystemTime>> {
    let mut found: BTreeMap<String, Vec<SystemTime>> = BTreeMap::new();
    for (path, text) in site.delivered() {
        let id = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned();
        let content = message(&id);
        let body = content.split_once("\n\n").expect("a body").1;
        assert!(text.ends_with(&format!("\n\n{body}\n")), "{} is not whole:\n{text}", path.display());
        let at = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
        found.entry(id).or_default().push(at);
    }
    for times in found.values_mut() {
        times.sort();
    }
    found
}

fn site() -> Site {
    let site = Site::new("");
    if world::is_root() {
        site.main(&site.virtual_lines());
    }
    site
}

/// Waits until everything acknowledged has arrived.
fn all_arrived(site: &Site, acknowledged: &Acknowledged) -> BTreeMap<String, Vec<SystemTime>> {
    let acknowledged = acknowledged.lock().expect("whole").clone();
    until("every acknowledged message in a Maildir", || {
        // Looked into once there are enough.
        if site.delivered_files().len() < acknowledged.len() {
            return None;
        }
        let arrived = arrived(site);
        acknowledged.iter().all(|id| arrived.contains_key(id)).then_some(arrived)
    })
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    world::run("crash::kill_9_loses_nothing_acknowledged", Needs::Nothing, || {
        let site = site();
        let acknowledged = Acknowledged::default();
        let never = Arc::new(AtomicBool::new(false));
        let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
        let mut random = u64::try_from(seed % u128::from(u64::MAX)).expect("fits") | 1;
        println!("seed {random}");
        let mut kills = Vec::new();
        for round in 0..KILLS {
            let mut server = Server::start(&site);
            let clients = load(&site.address(), round, &acknowledged, &never);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis((random >> 33) % 500));
            kills.push(SystemTime::now());
            server.kill();
            for client in clients {
                client.join().expect("a client's end");
            }
        }
        let mut server = Server::start(&site);
        let arrived = all_arrived(&site, &acknowledged);
        let twice: Vec<_> = arrived.iter().filter(|(_, times)| times.len() > 1).collect();
        for (id, times) in &twice {
            let near = |kill: &SystemTime| {
                times[0] <= *kill + Duration::from_secs(1) && *kill <= times[0] + Duration::from_secs(2)
            };
            assert!(kills.iter().any(near), "{id} came twice, and no kill was near: {times:?}");
        }
        println!(
            "{KILLS} kills: {} acknowledged, {} arrived, {} of them twice",
            acknowledged.lock().expect("whole").len(),
            arrived.len(),
            twice.len()
        );
        assert!(arrived.len() > 50, "hardly any load: {}", arrived.len());
        assert!(server.stop().success());
    });
}

#[test]
fn a_clean_stop_under_load_delivers_nothing_twice() {
    world::run("crash::a_clean_stop_under_load_delivers_nothing_twice", Needs::Nothing, || {
        let site = site();
        let acknowledged = Acknowledged::default();
        for round in 0..5 {
            let mut server = Server::start(&site);
            let enough = Arc::new(AtomicBool::new(false));
            let clients = load(&site.address(), round, &acknowledged, &enough);
            std::thread::sleep(Duration::from_millis(300));
            let began = Instant::now();
            server.signal(rustix::process::Signal::TERM);
            enough.store(true, Ordering::Relaxed);
            assert!(server.ended().success());
            assert!(began.elapsed() < Duration::from_secs(8), "stopping took {:?}", began.elapsed());
            for client in clients {
                client.join().expect("a client's end");
            }
        }
        let mut server = Server::start(&site);
        let arrived = all_arrived(&site, &acknowledged);
        println!(
            "5 stops: {} acknowledged, {} arrived",
            acknowledged.lock().expect("whole").len(),
            arrived.len()
        );
        let twice: Vec<_> = arrived.iter().filter(|(_, times)| times.len() > 1).collect();
        assert!(twice.is_empty(), "delivered twice: {twice:?}");
        assert!(server.stop().success());
    });
}

/// One recipient of a message is served, another one's mailbox is locked: however the server ends, and how often, what
/// has been delivered isn't delivered again.
#[test]
fn who_is_served_stays_served_while_another_waits() {
    world::run("crash::who_is_served_stays_served_while_another_waits", Needs::Root, || {
        let site = Site::new("");
        let boxes = "virtual_mailbox_maps = inline:{ box@virtual.example=box/, held@virtual.example=held }\n";
        site.main(&format!("{}{boxes}", site.virtual_lines()));
        let lock = site.path("vmail").join("held.lock");
        std::fs::write(&lock, "").expect("writes");
        let served = || site.delivered_files().len();
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        client.say("MAIL FROM:<>");
        for recipient in ["box", "held"] {
            assert!(client.say(&format!("RCPT TO:<{recipient}@virtual.example>")).starts_with("250"));
        }
        assert!(client.say("DATA").starts_with("354"));
        assert!(client.say("Subject: x\r\n\r\nhello\r\n.").starts_with("250"));
        for round in 0..3 {
            site.logged("to=<box@virtual.example>, relay=virtual", 0);
            until("the first mailbox", || (served() == 1).then_some(()));
            // Noted in the spool a flush later.
            until("the note", || {
                let mut mailq = Command::new(env!("CARGO_BIN_EXE_komainu"));
                let listed = mailq.arg0("mailq").env("MAIL_CONFIG", site.etc()).output().expect("runs");
                let listed = String::from_utf8_lossy(&listed.stdout);
                (listed.contains("held@") && !listed.contains("box@")).then_some(())
            });
            if round % 2 == 0 {
                server.kill();
            } else {
                assert!(server.stop().success());
            }
            server = Server::start(&site);
        }
        std::fs::remove_file(&lock).expect("removes");
        site.logged("to=<held@virtual.example>, relay=virtual", 0);
        site.logged(": removed", 0);
        assert_eq!(served(), 1, "{}", site.log());
        assert!(server.stop().success());
    });
}
