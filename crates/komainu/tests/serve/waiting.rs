//! Thousands that are made to wait cost neither threads nor the others' time (T2.2).

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::{Duration, Instant};

/// Waiting clients, where the system has descriptors for them.
const WAITING: u64 = 3000;

#[test]
fn three_thousand_wait_and_one_is_served() {
    world::run("waiting::three_thousand_wait_and_one_is_served", Needs::Root, || {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).expect("sets");
        let waiting = WAITING.min(hard.unwrap_or(u64::MAX).saturating_sub(500));
        assert!(waiting >= 500, "descriptors for {waiting} clients only");
        let site = Site::new(
            "smtpd_delay_reject = no\n\
             smtpd_client_restrictions = check_client_access inline:{127.0.0.2=OK}, sleep 60\n\
             smtpd_client_connection_count_limit = 0\n",
        );
        let mut server = Server::start(&site);
        let mut honest = Client::open_from("127.0.0.2", &site.address()).expect("connects");
        assert!(honest.reply().expect("a greeting").starts_with("220 "));
        drop(honest);
        let (before, threads) = (server.resident_kb(), server.status("Threads"));
        let mut clients: Vec<Client> = (0..waiting)
            .map(|_| Client::open_from("127.0.0.1", &site.address()).expect("connects"))
            .collect();
        let descriptors =
            || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("fd").count() as u64;
        until("all clients inside", || (descriptors() > waiting).then_some(()));
        until("all clients at rest", || {
            let connects = site.log().lines().filter(|line| line.contains(": connect from ")).count() as u64;
            (connects > waiting).then_some(())
        });
        let each = (server.resident_kb() - before) * 1024 / i64::try_from(waiting).expect("small");

        let began = Instant::now();
        let mut honest = Client::open_from("127.0.0.2", &site.address()).expect("connects");
        assert!(honest.reply().expect("a greeting").starts_with("220 "));
        honest.say("EHLO client.example");
        let reply = honest.mail("a@example.org", "box@example.com", "Subject: honest\n\nx").expect("talks");
        assert!(reply.starts_with("250 "), "{reply}");
        let took = began.elapsed();
        let now = server.status("Threads");
        println!(
            "{waiting} wait: {each} bytes of memory each, threads {threads} -> {now}, the honest one took {took:?}"
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(now.parse::<u32>().expect("a number") < 40, "{now} threads");
        assert!(each < 8 * 1024, "{each} bytes for each");
        site.delivered_with("Subject: honest");
        // Whoever goes gives its place and descriptor back, long before its wait is over.
        let stays = clients.split_off(clients.len() / 2);
        drop(clients);
        until("half of them gone", || (descriptors() < waiting * 3 / 4).then_some(()));
        assert!(began.elapsed() < Duration::from_secs(40), "after {:?}", began.elapsed());
        assert!(site.log().contains("lost connection after CONNECT from "));
        // The one who stops the server doesn't wait for them either.
        let began = Instant::now();
        assert!(server.stop().success());
        println!("stopping took {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(5), "stopping took {:?}", began.elapsed());
        drop(stays);
    });
}
