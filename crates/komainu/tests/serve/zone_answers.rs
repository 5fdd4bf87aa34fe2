//! How DNS lists answered, as the server logs it and the report shows it, with a name server that takes its time.

use crate::client::Client;
use crate::name_server::{self, Reply};
use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// How long slow.example takes.
const SLOW: Duration = Duration::from_millis(300);

/// A name server: bl.example lists everybody, slow.example nobody and slowly, failing.example fails.
pub(crate) fn lists() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let address = socket.local_addr().expect("an address").to_string();
    name_server::start(socket, |question| {
        let is_of = |zone: &[u8]| question.windows(zone.len()).any(|part| part == zone);
        let is_listed = is_of(b"\x02bl\x07example\0\0\x01");
        Reply {
            code: if is_of(b"failing") { 2 } else { 3 },
            record: is_listed.then(|| (1, vec![127, 0, 0, 2])),
            wait: if is_of(b"slow") { SLOW } else { Duration::ZERO },
        }
    });
    address
}

/// Who is refused, by the last of three lists.
fn is_refused(from: &str, site: &Site) {
    let mut client = Client::open_from(from, &site.address()).expect("connects");
    client.reply().expect("greets");
    client.say("EHLO client.example");
    client.say("MAIL FROM:<a@example.net>");
    let reply = client.say("RCPT TO:<b@example.com>");
    assert!(reply.contains("blocked using bl.example"), "{reply}");
    client.say("QUIT");
}

#[test]
fn what_lists_take_to_answer_is_logged_and_reported() {
    world::run("zone_answers::what_lists_take_to_answer_is_logged_and_reported", Needs::Nothing, || {
        let servers = lists();
        let site = Site::new(&format!(
            "komainu_dns_servers = {servers}\n\
             komainu_dnsbl_health = no\n\
             smtpd_client_restrictions = reject_rbl_client slow.example, reject_rbl_client failing.example,\n\
             \x20 reject_rbl_client bl.example\n"
        ));
        let mut server = Server::start(&site);
        for from in ["127.0.0.5", "127.0.0.6", "127.0.0.7"] {
            is_refused(from, &site);
        }
        // Its answers are still known: no name server is asked.
        is_refused("127.0.0.7", &site);
        assert!(server.stop().success());
        let log = site.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("statistics: zone ")).collect();
        let [bl, failing, slow] = lines.as_slice() else { panic!("{log}") };
        assert!(bl.contains(" postfix/dnsblog["), "{bl}");
        assert!(bl.contains("statistics: zone bl.example queries 3 listed 3 unanswered 0 times "), "{bl}");
        assert!(failing.contains("zone failing.example queries "), "{failing}");
        assert!(failing.contains(" listed 0 unanswered ") && !failing.contains("times"), "{failing}");
        assert!(slow.contains("zone slow.example queries 3 listed 0 unanswered 0 times "), "{slow}");
        let (_, times) = slow.split_once(" times ").expect("times");
        let sum: u64 = times
            .split(' ')
            .map(|word| word.split_once("ms=").expect("a bound and a count"))
            .map(|(bound, count)| (bound.parse::<u64>().expect("ms"), count.parse::<u64>().expect("count")))
            .inspect(|(bound, _)| assert!(*bound >= 300, "{slow}"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(sum, 3, "{slow}");
        let ran = Command::new(env!("CARGO_BIN_EXE_komainu"))
            .args(["report", "--format", "json", "-s", "zones", "-c"])
            .args([site.etc(), site.path("log/mail.log")])
            .output()
            .expect("starts");
        let json: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        let rows = json.pointer("/zones/rows").and_then(|rows| rows.as_array()).expect("rows");
        let row =
            |zone: &str| rows.iter().find(|row| row["zone"] == zone).unwrap_or_else(|| panic!("{rows:?}"));
        assert_eq!((&row("bl.example")["queries"], &row("bl.example")["refused"]), (&3.into(), &4.into()));
        assert!(row("slow.example")["answer_p50"].as_u64().is_some_and(|millis| millis >= 300), "{rows:?}");
        assert!(row("slow.example")["answer_p95"].as_u64() >= row("slow.example")["answer_p50"].as_u64());
        assert!(row("failing.example")["answer_p50"].is_null());
    });
}
