//! More clients than usual, or than there is room for: greeted at once, shed in order, survived (T2.2, T2.3).

use crate::client::Client;
use crate::server::{KOMAINU, Server};
use crate::site::{self, Site, until};
use crate::world::{self, Needs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// No limits by client: all of these come from few addresses.
const UNLIMITED: &str = "smtpd_client_connection_count_limit = 0\n";
/// New clients at once.
const CROWD: usize = 1000;
/// Until all of them are greeted; without optimisation, on a busy machine, it takes longer.
const GREETED: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 200 });

/// How long it takes until `crowd` clients who come at once are all greeted.
fn greet_all(runtime: &tokio::runtime::Runtime, address: &str) -> Duration {
    let address: std::net::SocketAddr = address.parse().expect("an address");
    let began = Instant::now();
    runtime.block_on(async {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..CROWD {
            crowd.spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
                let mut greeting = [0; 128];
                let length = stream.read(&mut greeting).await.expect("a greeting");
                assert!(greeting[..length].starts_with(b"220 "), "{:?}", &greeting[..length]);
                stream
            });
        }
        // Nobody leaves before everybody is greeted.
        let all = crowd.join_all().await;
        assert_eq!(all.len(), CROWD);
        began.elapsed()
    })
}

#[test]
fn a_thousand_at_once() {
    world::run("crowd::a_thousand_at_once", Needs::Nothing, || {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).expect("sets");
        let site = Site::new(UNLIMITED);
        let mut server = Server::start(&site);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut took: Vec<Duration> = (0..5)
            .map(|_| {
                let took = greet_all(&runtime, &site.address());
                until("all gone", || {
                    let log = site.log();
                    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
                    (count(": disconnect from ") == count(": connect from ")).then_some(())
                });
                took
            })
            .collect();
        took.sort();
        println!("{CROWD} clients at once: greeted after {took:?}");
        assert!(took[0] < GREETED, "{took:?}");
        assert!(server.stop().success());
    });
}

/// The server with no more than so many descriptors.
fn with_descriptors(site: &Site, number: u64) -> Server {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {number}; exec \"$0\" \"$@\"")).arg(KOMAINU);
    command.arg("serve").arg("--config").arg(site.etc());
    Server::start_as(command, site)
}

#[test]
fn strangers_are_shed_and_friends_are_not() {
    world::run("crowd::strangers_are_shed_and_friends_are_not", Needs::Root, || {
        let site = Site::new(UNLIMITED);
        let mut server = with_descriptors(&site, 160);
        let friend = || Client::open_from("203.0.113.5", &site.address()).expect("connects");
        let stranger = |n: usize| {
            Client::open_from(&format!("198.51.{}.9", n % 250), &site.address()).expect("connects")
        };
        // Once delivered, known from then on.
        let mut first = friend();
        first.reply().expect("a greeting");
        first.say("EHLO friend.example");
        assert!(
            first
                .mail("a@example.org", "box@example.com", "Subject: one\n\nx")
                .expect("talks")
                .starts_with("250 ")
        );
        first.say("QUIT");
        drop(first);
        site.delivered_with("Subject: one");
        // Strangers until no more are let in.
        let mut inside = Vec::new();
        let mut refused = 0;
        for n in 0..200 {
            let mut client = stranger(n);
            let reply = client.reply().expect("a word at least");
            if reply.starts_with("220 ") {
                inside.push(client);
            } else {
                assert_eq!(reply, "421 4.3.2 All server ports are busy");
                refused += 1;
            }
        }
        assert!(inside.len() > 20 && refused > 20, "{} inside, {refused} refused", inside.len());
        site.logged("komainu: overload: sessions; ", 0);
        site.logged("stress=yes for new sessions", 0);
        site.logged("clients turned away since", 0);
        // Friends come in, more of them than there are seats left; strangers make room, who have waited longest.
        let patience = Duration::from_millis(1100);
        std::thread::sleep(patience);
        let mut friends: Vec<Client> = (0..inside.len() / 2)
            .map(|n| {
                let mut client = friend();
                let greeting = client.reply().expect("a greeting");
                assert!(greeting.starts_with("220 "), "friend {n}: {greeting}");
                client
            })
            .collect();
        for client in &mut friends {
            client.say("EHLO friend.example");
        }
        let last = friends.last_mut().expect("there");
        let reply = last.mail("a@example.org", "box@example.com", "Subject: two\n\nx").expect("talks");
        assert!(reply.starts_with("250 "), "{reply}");
        site.delivered_with("Subject: two");
        let gone = inside.len();
        for client in &inside {
            client.socket().set_nonblocking(true).expect("a socket");
        }
        let told = inside.iter_mut().filter_map(|client| client.reply().ok());
        let told: Vec<String> = told.collect();
        println!("{gone} strangers, {} friends, {} strangers made room", friends.len(), told.len());
        assert!(!told.is_empty());
        assert!(
            told.iter().all(|reply| reply == "421 4.4.2 mx.example.com Error: timeout exceeded"),
            "{told:?}"
        );
        drop((inside, friends));
        site.logged("komainu: overload over: sessions; ", 0);
        assert!(server.stop().success());
    });
}

/// Seconds of CPU that the server has used.
fn cpu_seconds(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// Lets a running server have so many descriptors, as its own account may.
fn set_descriptors(server: &Server, number: u64) {
    let account = world::is_root().then_some(site::KOMAINU.to_string());
    let account = account.unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string());
    let output = Command::new("setpriv")
        .args(["--reuid", &account, "--regid", &account, "--clear-groups"])
        .arg("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--nofile={number}:")])
        .output()
        .expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_descriptors_it_goes_on() {
    world::run("crowd::without_descriptors_it_goes_on", Needs::Root, || {
        let site = Site::new(UNLIMITED);
        let mut server = Server::start(&site);
        let mut inside = Client::hello(&site.address());
        // No descriptor above those that are open now.
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("fd");
        let highest = open
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
            .max()
            .expect("some are open");
        let before = getrlimit(Resource::Nofile).maximum.expect("a limit");
        set_descriptors(&server, highest + 1);
        let mut waiting: Vec<Client> =
            (0..300).map(|_| Client::open(&site.address()).expect("the kernel connects")).collect();
        let line = site.logged("komainu: descriptors: exhausted; accept: ", 0);
        assert!(line.contains("warning: ") || line.contains("sessions go on"), "{line}");
        // It doesn't spin, and whoever is inside is served.
        let (used, began) = (cpu_seconds(&server), Instant::now());
        while began.elapsed() < Duration::from_secs(1) {
            assert_eq!(inside.say("NOOP"), "250 2.0.0 Ok");
            std::thread::sleep(Duration::from_millis(20));
        }
        let used = cpu_seconds(&server) - used;
        println!("without descriptors: {used:.2} s of CPU in a second");
        assert!(used < 0.5, "{used} s of CPU in a second");
        assert_eq!(site.log().lines().filter(|line| line.contains("descriptors: exhausted")).count(), 1);
        set_descriptors(&server, before);
        // Those who waited in the kernel are greeted now.
        for client in &mut waiting {
            assert!(client.reply().expect("a greeting").starts_with("220 "));
        }
        drop(waiting);
        drop(inside);
        assert!(server.stop().success());
    });
}

#[test]
fn a_gateway_that_hides_all_clients() {
    world::run("crowd::a_gateway_that_hides_all_clients", Needs::Root, || {
        let hello = |from: &str, site: &Site| {
            let mut client = Client::open_from(from, &site.address()).expect("connects");
            client.reply().expect("a greeting");
            client.say("QUIT");
        };
        for (main, expect) in [
            ("", Some("warning: K0220: the last 20 clients of ")),
            ("mynetworks = 172.17.0.0/16\n", Some("error: K0220: the last 20 clients of ")),
            ("komainu_relay_clients = 172.17.0.1\n", None),
            ("smtpd_upstream_proxy_protocol =\n", Some("it would be an open relay")),
        ] {
            let site = Site::new(main);
            let mut server = Server::start(&site);
            for _ in 0..19 {
                hello("172.17.0.1", &site);
            }
            assert!(!site.log().contains("K0220"));
            // A probe says nothing, and the machine itself is nobody else.
            drop(Client::open_from("172.17.0.1", &site.address()));
            hello("127.0.0.1", &site);
            for _ in 0..10 {
                hello("172.17.0.1", &site);
            }
            match expect {
                Some(text) => {
                    let line = site.logged(text, 0);
                    println!("{line}");
                    assert_eq!(line.contains("OPEN RELAY"), main.contains("mynetworks"), "{line}");
                }
                None => site.logged("127.0.0.1] quit=1", 0).truncate(0),
            }
            assert!(server.stop().success());
            assert_eq!(site.log().matches("K0220").count(), usize::from(expect.is_some()));
        }
    });
}
