//! The tests before a session, as a process has them: the allow cache outlives restarts and kill -9, and a client
//! that is denied costs next to nothing (T2.2, T2.3).

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::time::{Duration, Instant};

/// Waits for the greeting; how long that took.
fn greeted(site: &Site) -> Duration {
    let started = Instant::now();
    let mut client = Client::open(&site.address()).expect("connects");
    let reply = client.reply().expect("greets");
    assert!(reply.starts_with("220"), "{reply}");
    let took = started.elapsed();
    client.say("QUIT");
    took
}

fn logged(site: &Site, text: &str) -> usize {
    site.log().matches(text).count()
}

#[test]
fn who_has_waited_is_known_after_a_restart_and_after_kill_9() {
    world::run("screening::who_has_waited_is_known_after_a_restart_and_after_kill_9", Needs::Nothing, || {
        let site = Site::new("komainu_screen = yes\npostscreen_greet_wait = 1s");
        let mut server = Server::start(&site);
        assert!(greeted(&site) >= Duration::from_millis(900));
        until("PASS NEW", || (logged(&site, "PASS NEW [127.0.0.1]") == 1).then_some(()));
        greeted(&site);
        until("PASS OLD", || (logged(&site, "PASS OLD [127.0.0.1]") == 1).then_some(()));
        server.kill();
        let mut server = Server::start(&site);
        greeted(&site);
        until("PASS OLD after kill -9", || (logged(&site, "PASS OLD [127.0.0.1]") == 2).then_some(()));
        assert!(server.stop().success());
        let _server = Server::start(&site);
        greeted(&site);
        until("PASS OLD after a restart", || (logged(&site, "PASS OLD [127.0.0.1]") == 3).then_some(()));
        assert_eq!(logged(&site, "PASS NEW"), 1);
        assert!(site.log().contains("retained=1 dropped=0 entries"), "{}", site.log());
    });
}

#[test]
fn a_broken_cache_file_is_passed_over() {
    world::run("screening::a_broken_cache_file_is_passed_over", Needs::Nothing, || {
        let site = Site::new("komainu_screen = yes\npostscreen_greet_wait = 1s");
        let mut server = Server::start(&site);
        greeted(&site);
        until("PASS NEW", || (logged(&site, "PASS NEW") == 1).then_some(()));
        assert!(server.stop().success());
        let folder = site.path("state/screen");
        let file = std::fs::read_dir(&folder).expect("a folder").flatten().next().expect("a cache").path();
        std::fs::write(&file, vec![0x5a; 1000]).expect("writes");
        let _server = Server::start(&site);
        greeted(&site);
        until("PASS NEW again", || (logged(&site, "PASS NEW") == 2).then_some(()));
    });
}

/// Processor time of the server so far.
fn cpu(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 =
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_denied_client_costs_little() {
    world::run("screening::a_denied_client_costs_little", Needs::Nothing, || {
        let main =
            "komainu_screen = yes\npostscreen_access_list = static:reject\npostscreen_denylist_action = drop";
        let site = Site::new(main);
        let server = Server::start(&site);
        let clients = 2_000;
        let before = cpu(&server);
        for _ in 0..clients {
            let mut client = Client::open(&site.address()).expect("connects");
            assert_eq!(client.rest(), "521 5.3.2 Service currently unavailable\r\n");
        }
        let each = (cpu(&server) - before) / clients;
        println!("a denied client: {each:?} of processor time");
        // Built for debugging, on a busy machine.
        assert!(each < Duration::from_millis(2), "{each:?}");
    });
}
