//! Limits on one client (anvil(8)) over real sockets: how many get in, and what is said of it at the end.

use crate::client::Client;
use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};

/// T2.3: of 60 connections at once 50 are let in; the statistics say so when the server stops, and once.
#[test]
fn fifty_are_let_in_and_the_statistics_say_so_at_the_end() {
    world::run("limits::fifty_are_let_in_and_the_statistics_say_so_at_the_end", Needs::Nothing, || {
        let site = Site::new("smtpd_client_event_limit_exceptions =\n");
        let mut server = Server::start(&site);
        let mut clients: Vec<Client> =
            (0..60).map(|_| Client::open(&site.address()).expect("connects")).collect();
        let greetings: Vec<String> =
            clients.iter_mut().map(|client| client.reply().expect("a reply")).collect();
        let inside = greetings.iter().filter(|text| text.starts_with("220 ")).count();
        let full = |text: &&String| text.contains("Error: too many connections from 127.0.0.1");
        let outside = greetings.iter().filter(full).count();
        assert_eq!((inside, outside), (50, 10), "{greetings:?}");
        assert!(!site.log().contains("statistics:"), "not yet");
        assert!(server.stop().success());
        let log = site.log();
        let said: Vec<&str> = log.lines().filter(|line| line.contains("/anvil[")).collect();
        let check = |text: &str| {
            assert_eq!(said.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {said:?}");
        };
        check(": statistics: max connection rate 60/60s for (");
        // Who was refused was connected for a moment, and counted.
        check(": statistics: max connection count ");
        check(": statistics: max cache size 1 at ");
        assert_eq!(said.len(), 3, "{said:?}");
        drop(clients);
    });
}
