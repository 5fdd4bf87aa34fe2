//! `flags=DORX` of smtp and lmtp lines beside Debian's Postfix: what servers hear, and what the log says.

use crate::client::Client;
use crate::far_server::{FarServer, KIND};
use crate::locals::send_text;
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};

const MASTER: &str = "all unix - - n - - smtp flags=DORX\nback unix - - n - - smtp flags=R\n\
loop unix - - n - - smtp flags=D\nmany unix - - n - - smtp flags=O\nlocally unix - - n - - lmtp flags=DR\n";

const OUTCOMES: usize = 7;

fn main_cf(far: u16) -> String {
    let to = |transport: &str| format!("{transport}.test={transport}:[127.0.0.1]:{far}");
    let routes = ["all", "back", "loop", "many"].map(to).join(", ");
    format!(
        "mydestination =\nmynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
         smtpd_peername_lookup = no\nnotify_classes =\nsmtp_connection_cache_on_demand = no\n\
         virtual_alias_maps = inline:{{ alias@all.test=own@all.test }}\n\
         transport_maps = inline:{{ {routes}, locally.test=locally:inet:127.0.0.1:{far}, far.test=discard: }}\n"
    )
}

/// Mail of each kind. No connection is kept for the next message: one that is would end without `QUIT`.
fn send(address: &str) {
    let hello = "Subject: x\r\n\r\nhello";
    for recipient in ["alias@all.test", "\"odd one\"@back.test", "x@loop.test", "x@locally.test"] {
        send_text(address, recipient, hello);
    }
    send_text(address, "y@loop.test", "Subject: x\r\nDelivered-To: Y@loop.test\r\n\r\nhello");
    let mut client = Client::hello(address);
    for word in ["MAIL FROM:<s@far.test>", "RCPT TO:<a@many.test>", "RCPT TO:<b@many.test>", "DATA"] {
        let said = client.say(word);
        assert!(said.starts_with(['2', '3']), "{word}: {said}");
    }
    let said = client.say(&format!("{hello}\r\n."));
    assert!(said.starts_with("250"), "{said}");
}

/// What was said about whom, without ids, times and whose process it was.
fn outcomes(log: &str) -> Vec<String> {
    let line = |line: &str| {
        let text = line.split_once("]: ")?.1;
        if let Some(at) = text.find("warning: flag ") {
            return text.get(at..).map(str::to_owned);
        }
        let at =
            text.find("to=<").filter(|_| text.contains("status=") && !text.contains("to=<s@far.test>"))?;
        let (before, rest) = text.get(at..)?.split_once(", delay=")?;
        Some(format!("{before} {}", rest.get(rest.find("dsn=")?..)?))
    };
    let mut found: Vec<String> = log.lines().filter_map(line).collect();
    found.sort();
    found
}

/// What a server heard, without ids, times and sizes.
fn heard(far: &FarServer) -> Vec<String> {
    let masked = |line: &str| match line {
        _ if line.contains(" SIZE=") => line.split(" SIZE=").next().unwrap_or_default().to_owned(),
        _ if line.starts_with("Received: from") => "Received: from".to_owned(),
        _ if line.starts_with("\tby ") => "\tby".to_owned(),
        _ if line.starts_with("\tfor ") => line.split(';').next().unwrap_or_default().to_owned(),
        _ if line.starts_with("Message-Id:") || line.starts_with("Date:") => {
            line.get(..4).unwrap_or_default().to_owned()
        }
        _ => line.to_owned(),
    };
    let mut all: Vec<String> = far
        .heard_at_the_end()
        .iter()
        .map(|text| text.lines().map(masked).collect::<Vec<_>>().join("\n"))
        .collect();
    all.sort();
    all
}

fn played(log: &dyn Fn() -> String, far: &FarServer, address: &str) -> (Vec<String>, Vec<String>) {
    send(address);
    until("what comes of all of it", || {
        let found = outcomes(&log());
        (found.len() > OUTCOMES && far.heard().len() >= 4).then_some((heard(far), found))
    })
}

#[test]
fn flags_of_smtp_lines_are_as_postfix_has_them() {
    let name = "letter_flags::flags_of_smtp_lines_are_as_postfix_has_them";
    if !postfix_peer::is_there(name) {
        return;
    }
    world::run(name, Needs::Root, || {
        let theirs = {
            let (far, port) = (FarServer::start(KIND), free_port());
            let master = format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}");
            let postfix = Postfix::start(&main_cf(far.port), &master);
            played(&|| postfix.log(), &far, &format!("127.0.0.1:{port}"))
        };
        let far = FarServer::start(KIND);
        let site = Site::new(&main_cf(far.port));
        site.write("master.cf", &format!("{} inet n - n - - smtpd\n{MASTER}", site.address()));
        let _server = Server::start(&site);
        let ours = played(&|| site.log(), &far, &site.address());
        let relay = |port: u16, lines: Vec<String>| -> Vec<String> {
            lines.into_iter().map(|line| line.replace(&format!(":{port}"), ":PORT")).collect()
        };
        // The far servers' ports differ.
        let port_of = |lines: &[String]| -> u16 {
            let line =
                lines.iter().find(|line| line.contains("relay=127.0.0.1[127.0.0.1]:")).expect("a relay");
            let rest = line.split("relay=127.0.0.1[127.0.0.1]:").nth(1).expect("a port");
            rest.split([' ', ',']).next().and_then(|port| port.parse().ok()).expect("a number")
        };
        let (their_port, our_port) = (port_of(&theirs.1), port_of(&ours.1));
        assert_eq!(relay(their_port, theirs.1), relay(our_port, ours.1));
        assert_eq!(theirs.0, ours.0);
        assert!(ours.0.iter().any(|text| text.contains(
            "\nReturn-Path: <s@far.test>\nX-Original-To: alias@all.test\nDelivered-To: own@all.test\nReceived: from"
        )), "{:#?}", ours.0);
    });
}

/// A flag that nobody knows: nothing is sent.
#[test]
fn an_unknown_flag_sends_nothing() {
    world::run("letter_flags::an_unknown_flag_sends_nothing", Needs::Nothing, || {
        let far = FarServer::start(KIND);
        let site = Site::new(&main_cf(far.port));
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nback unix - - n - - smtp flags=Rh\n", site.address()),
        );
        let mut server = Server::start(&site);
        send_text(&site.address(), "x@back.test", "Subject: x\r\n\r\nhello");
        let line = site.logged("to=<x@back.test>", 0);
        assert!(
            line.contains("dsn=4.3.5, status=deferred (unknown flags=Rh value \"h\" in \"Rh\")"),
            "{line}"
        );
        assert!(server.stop().success());
        assert!(far.heard().is_empty());
    });
}
