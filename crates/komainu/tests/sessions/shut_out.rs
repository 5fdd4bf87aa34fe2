//! Networks that are shut out while their clients are talking, over memory. T2.19.

use crate::house::House;
use komainu::bans::Ban;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

const LAST: &str = "421 4.7.0 mx.example.com Error: too many failures, your network is shut out for now\r\n";
const BANNED: &str = "198.51.100.7:40000";
const OTHER: &str = "198.51.100.8:40000";

struct Client(BufReader<DuplexStream>);

impl Client {
    fn come(house: &House, from: &str) -> Client {
        let (client, server) = duplex(1 << 16);
        let from: SocketAddr = from.parse().expect("an address");
        drop(house.receive(server, from));
        Client(BufReader::new(client))
    }

    async fn say(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.expect("takes it");
        self.reply().await
    }

    async fn reply(&mut self) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("reads");
            said.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return said;
            }
        }
    }

    async fn rest(&mut self) -> String {
        let mut said = String::new();
        self.0.read_to_string(&mut said).await.expect("reads");
        said
    }
}

fn ban(house: &House) {
    let address = BANNED.parse::<SocketAddr>().expect("an address").ip();
    assert!(house.shared().shut_out.set(Ban::of("sshd", (address, 32), None)));
}

#[tokio::test]
async fn a_session_ends_at_its_next_step() {
    let house = House::open("", 100);
    let (mut banned, mut other) = (Client::come(&house, BANNED), Client::come(&house, OTHER));
    for client in [&mut banned, &mut other] {
        assert!(client.reply().await.starts_with("220 "));
        assert!(client.say("EHLO c.example").await.starts_with("250-"));
    }
    ban(&house);
    // Nothing of what it says now is heard.
    assert_eq!(banned.say("MAIL FROM:<a@example.org>").await, LAST);
    assert_eq!(banned.rest().await, "");
    assert!(other.say("MAIL FROM:<a@example.org>").await.starts_with("250 "));
    let log = house.log();
    assert!(
        log.contains("]: komainu: shut out: 198.51.100.7; session of 198.51.100.7 ends: jail sshd, for good"),
        "{log}"
    );
    assert!(log.contains("disconnect from unknown[198.51.100.7] ehlo=1 commands=1"), "{log}");
}

#[tokio::test]
async fn mail_is_whole_or_not_there() {
    let house = House::open("", 100);
    let mut banned = Client::come(&house, BANNED);
    banned.reply().await;
    for line in ["EHLO c.example", "MAIL FROM:<a@example.org>", "RCPT TO:<box@example.com>"] {
        assert!(banned.say(line).await.starts_with("250"));
    }
    assert!(banned.say("DATA").await.starts_with("354 "));
    assert!(banned.say("Subject: whole\r\n\r\nx\r\n.").await.starts_with("250 2.0.0 Ok: queued as "));
    for line in ["MAIL FROM:<a@example.org>", "RCPT TO:<box@example.com>"] {
        assert!(banned.say(line).await.starts_with("250"));
    }
    assert!(banned.say("DATA").await.starts_with("354 "));
    banned.0.write_all(b"Subject: half\r\n").await.expect("takes it");
    ban(&house);
    banned.0.write_all(b"\r\nmore\r\n.\r\n").await.expect("takes it");
    assert_eq!(banned.rest().await, LAST);
    let log = house.log();
    assert_eq!(log.matches(" (queue active)").count(), 1, "{log}");
}

#[tokio::test]
async fn who_is_tested_is_sent_away_as_well() {
    let house = House::open(
        "komainu_screen = yes\npostscreen_greet_wait = 100s\npostscreen_greet_action = enforce\n",
        100,
    );
    let mut banned = Client::come(&house, BANNED);
    house.logged("CONNECT from [198.51.100.7]:40000").await;
    ban(&house);
    banned.0.write_all(b"EHLO c.example\r\n").await.expect("takes it");
    let said = banned.rest().await;
    assert!(said.ends_with("421 4.7.0 Too many failures, your network is shut out for now\r\n"), "{said}");
}

/// A network that is let in again, or never was out.
#[tokio::test]
async fn others_go_on() {
    let house = House::open("", 100);
    let mut client = Client::come(&house, BANNED);
    client.reply().await;
    ban(&house);
    let address = BANNED.parse::<SocketAddr>().expect("an address").ip();
    assert!(house.shared().shut_out.clear("sshd", (address, 32)));
    assert!(client.say("EHLO c.example").await.starts_with("250-"));
    house.shared().shut_out.spare(Box::new(move |known| known == address));
    ban(&house);
    assert!(client.say("NOOP").await.starts_with("250 "));
}
