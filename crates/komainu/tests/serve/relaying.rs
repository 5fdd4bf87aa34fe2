//! Mail for other servers: what is said about each outcome, word for word what Postfix says in front of the same
//! servers; and a real Postfix as the next hop (T1.12).

use crate::client::Client;
use crate::far_server::{FarServer, GONE, KIND, Words};
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::collections::BTreeMap;

pub(crate) const SERVERS: &[Words] = &[
    KIND,
    Words { name: "busy", greeting: "421 4.3.2 busy", ..KIND },
    Words { name: "closed", greeting: "554 5.7.1 go away", ..KIND },
    Words { name: "mute", greeting: GONE, ..KIND },
    Words { name: "old", ehlo: "502 what", ..KIND },
    Words { name: "rude", ehlo: "550 5.7.1 no", helo: "550 5.7.1 no helo", ..KIND },
    Words { name: "later", ehlo: "421 4.7.0 later", ..KIND },
    Words { name: "ehlo-gone", ehlo: GONE, ..KIND },
    Words { name: "sender", mail: "550 5.1.8 bad sender", ..KIND },
    Words { name: "sender-later", mail: "450 4.1.8 later", ..KIND },
    Words { name: "sender-plain", mail: "550 bad sender", ..KIND },
    Words { name: "sender-gone", mail: GONE, ..KIND },
    Words { name: "unknown", rcpt: "550-5.1.1 no such\r\n550 5.1.1 user here", ..KIND },
    Words { name: "grey", rcpt: "450 try later", ..KIND },
    Words { name: "many", rcpt: "421 4.7.0 too many", ..KIND },
    Words { name: "odd", rcpt: "550 4.1.1 odd", ..KIND },
    Words { name: "rcpt-gone", rcpt: GONE, ..KIND },
    Words { name: "data", data: "554 5.5.1 no", ..KIND },
    Words { name: "data-later", data: "451 4.3.0 no", ..KIND },
    Words { name: "data-odd", data: "250 odd", ..KIND },
    Words { name: "data-gone", data: GONE, ..KIND },
    Words { name: "spam", dot: "550 5.7.1 spam", ..KIND },
    Words { name: "dot-later", dot: "451 4.7.1 greylisted", ..KIND },
    Words { name: "dot-gone", dot: GONE, ..KIND },
    Words { name: "dot-plain", dot: "250 ok", ..KIND },
    Words { name: "dot-lines", dot: "250-2.0.0 first\r\n250 2.0.0 second", ..KIND },
    Words { name: "small", ehlo: "250-x\r\n250 SIZE 10", ..KIND },
    Words { name: "plain", ehlo: "250 x", ..KIND },
    Words { name: "plain-unknown", ehlo: "250 x", rcpt: "550 5.1.1 no", ..KIND },
];

/// What a log says about deliveries over SMTP: by recipient, without times and queue ids, and with ports and sizes
/// made equal. The dead letters of Postfix's bounces are left out.
fn said(log: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("/smtp[") && !line.contains("example.org>")) {
        let Some((_, rest)) = line.split_once("to=<") else { continue };
        let Some((to, rest)) = rest.split_once(">, ") else { continue };
        let Some((relay, rest)) = rest.split_once(", delay=") else { continue };
        let Some((_, rest)) = rest.split_once(", dsn=") else { continue };
        let mut text = format!("{relay}, dsn={rest}");
        if let Some((before, after)) = text.clone().split_once("message size ") {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            text = format!("{before}message size N{after}");
        }
        found.insert(to.to_owned(), text);
    }
    found
}

fn send_to_all(address: &str, domains: &[String]) {
    for domain in domains {
        let mut client = Client::hello(address);
        assert!(client.say("MAIL FROM:<a@example.org>").starts_with("250"));
        for user in ["r", "s"] {
            let reply = client.say(&format!("RCPT TO:<{user}@{domain}>"));
            assert!(reply.starts_with("250"), "{domain}: {reply}");
        }
        assert!(client.say("DATA").starts_with("354"));
        let reply = client.say("From: a@example.org\r\nSubject: hi\r\n\r\nbody\r\n..dot\r\n.");
        assert!(reply.starts_with("250"), "{domain}: {reply}");
    }
}

#[test]
fn outcomes_are_worded_as_postfix_does() {
    world::run("relaying::outcomes_are_worded_as_postfix_does", Needs::Root, || {
        if !postfix_peer::is_there("outcomes_are_worded_as_postfix_does") {
            return;
        }
        let servers: Vec<FarServer> = SERVERS.iter().map(|words| FarServer::start(*words)).collect();
        let mut transport: String = SERVERS
            .iter()
            .zip(&servers)
            .map(|(words, server)| format!("{}.test smtp:[127.0.0.1]:{}\n", words.name, server.port))
            .collect();
        transport.push_str("nobody.test smtp:[127.0.0.1]:1\n");
        std::fs::write("/mnt/transport", &transport).expect("writes");
        let domains: Vec<String> = SERVERS
            .iter()
            .map(|words| words.name)
            .chain(["nobody"])
            .map(|name| format!("{name}.test"))
            .collect();
        let site = Site::new(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             transport_maps = texthash:/mnt/transport\n",
        );
        let port = free_port();
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
        );
        let _server = Server::start(&site);
        let postfix = Postfix::start(
            "transport_maps = texthash:/mnt/transport\n",
            &format!("127.0.0.1:{port} inet n - n - - smtpd"),
        );
        send_to_all(&site.address(), &domains);
        send_to_all(&format!("127.0.0.1:{port}"), &domains);
        let wanted = domains.len() * 2;
        let ours = until("all of our outcomes", || Some(said(&site.log())).filter(|all| all.len() == wanted));
        let theirs = until("all of Postfix's outcomes", || {
            Some(said(&postfix.log())).filter(|all| all.len() == wanted)
        });
        assert_eq!(ours, theirs);
        // And both said the same to the servers.
        for (words, server) in SERVERS.iter().zip(&servers) {
            let heard: Vec<Vec<String>> =
                server.heard_at_the_end().iter().map(|said| commands(said)).collect();
            assert_eq!(heard.len(), 2, "{}", words.name);
            assert_eq!(heard[0], heard[1], "{}", words.name);
        }
    });
}

/// What a client said but the message's own lines and its size. Postfix doesn't say goodbye where it has nothing to
/// send; we do.
fn commands(said: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_body = false;
    for line in said.lines() {
        in_body = in_body && line != ".";
        if !in_body {
            let line = line.split(" SIZE=").next().unwrap_or_default();
            lines.push(line.to_owned());
        }
        in_body = in_body || line == "DATA";
    }
    lines.retain(|line| line != "QUIT");
    lines
}

#[test]
fn a_real_postfix_takes_over() {
    world::run("relaying::a_real_postfix_takes_over", Needs::Root, || {
        if !postfix_peer::is_there("a_real_postfix_takes_over") {
            return;
        }
        let port = free_port();
        let _postfix = Postfix::start(
            "relay_domains = far.test\nrelay_transport = local:\nalways_bcc =\nmailbox_size_limit = 0\n\
             message_size_limit = 60000000\nlocal_recipient_maps =\nmailbox_transport = discard:\n\
             transport_maps = inline:{{far.test=discard:}}\nheader_checks = regexp:{{/^Subject: (.*)/ WARN}}\n",
            &format!("127.0.0.1:{port} inet n - n - - smtpd"),
        );
        let site = Site::new(&format!(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             relayhost = [127.0.0.1]:{port}\nmessage_size_limit = 60000000\nmailbox_size_limit = 0\n"
        ));
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
        );
        let server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let reply = client.mail("a@example.org", "b@far.test", "Subject: small\n\n..\n...\nbody");
        assert!(reply.expect("talks").starts_with("250"));
        let line = site.logged("to=<b@far.test>", 0);
        assert!(line.contains("status=sent (250 2.0.0 Ok: queued as "), "{line}");
        assert!(line.contains(&format!("relay=127.0.0.1[127.0.0.1]:{port}, ")), "{line}");
        // 50 MB pass without being held in memory.
        let before = server.resident_kb();
        let large = format!("Subject: large\n\n{}", format!("{}\n", "y".repeat(998)).repeat(50_000));
        let after = site.log().len();
        let reply = client
            .mail("a@example.org", "b@far.test", &large)
            .unwrap_or_else(|error| panic!("{error}: {}", site.log()));
        assert!(reply.starts_with("250"), "{reply}");
        let line = site.logged("to=<b@far.test>", after);
        assert!(line.contains("status=sent"), "{line}");
        let growth = server.resident_kb() - before;
        println!("50 MB passed; the server grew by {growth} kB");
        assert!(growth < 30_000, "{growth} kB");
    });
}
