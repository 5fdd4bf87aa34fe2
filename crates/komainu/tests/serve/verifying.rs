//! Address verification as a process has it: what was found outlives restarts and kill -9, one address is probed once at
//! a time, and a flood of made-up addresses neither fills the queue nor floods the next hop.

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::net::TcpListener;

fn main_with(next_hop: &str, more: &str) -> String {
    format!(
        "relay_domains = far.test\ntransport_maps = inline:{{far.test={next_hop}}}\nmynetworks = 192.0.2.0/24\n\
         smtpd_relay_restrictions = reject_unauth_destination\n\
         smtpd_recipient_restrictions = reject_unauth_destination, reject_unverified_recipient\n\
         smtpd_hard_error_limit = 1000\nsmtpd_soft_error_limit = 1000\n{more}"
    )
}

fn asked(site: &Site, address: &str) -> String {
    let mut client = Client::hello(&site.address());
    client.say("MAIL FROM:<a@client.example>");
    let reply = client.say(&format!("RCPT TO:<{address}>"));
    client.say("QUIT");
    reply
}

fn logged(site: &Site, text: &str) -> usize {
    site.log().matches(text).count()
}

#[test]
fn what_was_found_outlives_restarts() {
    world::run("verifying::what_was_found_outlives_restarts", Needs::Nothing, || {
        let site = Site::new(&main_with("discard:", ""));
        let mut server = Server::start(&site);
        assert!(asked(&site, "u@far.test").starts_with("250 "), "{}", site.log());
        assert!(asked(&site, "u@far.test").starts_with("250 "));
        assert_eq!(logged(&site, "status=deliverable"), 1);
        assert!(server.stop().success());
        let mut server = Server::start(&site);
        assert!(asked(&site, "u@far.test").starts_with("250 "));
        assert_eq!(logged(&site, "status=deliverable"), 1, "{}", site.log());
        assert!(site.log().contains("full cleanup: retained=1 dropped=0 entries"), "{}", site.log());
        server.kill();
        let _server = Server::start(&site);
        assert!(asked(&site, "u@far.test").starts_with("250 "));
        assert_eq!(logged(&site, "status=deliverable"), 1, "{}", site.log());
    });
}

#[test]
fn a_flood_of_addresses_fills_no_queue() {
    world::run("verifying::a_flood_of_addresses_fills_no_queue", Needs::Nothing, || {
        // It takes connections, and never says a word.
        let hop = TcpListener::bind("127.0.0.1:0").expect("a port");
        let next_hop = format!("smtp:[127.0.0.1]:{}", hop.local_addr().expect("an address").port());
        let limits = "address_verify_poll_count = 1\naddress_verify_pending_request_limit = 10";
        let site = Site::new(&main_with(&next_hop, limits));
        let smtp = "smtp unix - - n - - smtp";
        site.write("master.cf", &format!("{} inet n - n - - smtpd\n{smtp}\n", site.address()));
        let _server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        client.say("MAIL FROM:<a@client.example>");
        for n in 0..200 {
            let reply = client.say(&format!("RCPT TO:<{}@far.test>", n % 50));
            assert!(reply.ends_with("Address verification in progress"), "{reply}");
        }
        let active = "nrcpt=1 (queue active)";
        until("ten probes", || (logged(&site, active) >= 10).then_some(()));
        client.say("RCPT TO:<0@far.test>");
        assert_eq!(logged(&site, active), 10, "{}", site.log());
        assert_eq!(crate::queue::ids(&site, &[]), Vec::<String>::new(), "probes are no messages");
    });
}
