//! What guesses at passwords cost: whoever is guessed at, the same hashes are computed, so the time tells nothing of who
//! is there; and whoever has logged in well a moment ago computes none. Work is counted, not timed. T0.1.

use crate::house::House;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

/// Of `secret`.
const HASH: &str = "{SHA512-CRYPT}$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/";

fn house(place: &str) -> House {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let users = format!(
        "alice:{HASH}\nlocked:!{HASH}\nelsewhere:{HASH}::::::allow_nets=192.0.2.0/24\nnever:*\nstranger:{HASH}\n"
    );
    std::fs::write(file.path(), users).expect("writes");
    let place = place.replace("FILE", &file.path().display().to_string());
    let house = House::open(
        &format!(
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = internal\nsmtpd_sasl_path = {place}\n\
             smtpd_error_sleep_time = 0\nsmtpd_forbid_unauth_pipelining = no\n\
             smtpd_client_auth_rate_limit = 0\n"
        ),
        100,
    );
    // It has been read.
    drop(file);
    house
}

/// What was said to AUTH, and what was computed for it.
async fn log_in(house: &House, from: &str, words: &str) -> (String, BTreeMap<String, u64>) {
    let before = house.hashes();
    let (mut client, server) = duplex(1 << 16);
    let session = house.receive(server, SocketAddr::new(from.parse().expect("an address"), 40_000));
    client.write_all(format!("EHLO c.example\r\n{words}\r\nQUIT\r\n").as_bytes()).await.expect("takes it");
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("text");
    session.await.expect("ends without a bug");
    let code = said.lines().rev().nth(1).unwrap_or_default().get(..3).unwrap_or_default().to_owned();
    let mut computed = house.hashes();
    for (cost, times) in before {
        *computed.entry(cost).or_default() -= times;
    }
    computed.retain(|_, times| *times > 0);
    (code, computed)
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", mail::base64::encode(format!("\0{user}\0{password}").as_bytes()))
}

fn login(user: &str, password: &str) -> String {
    let words = [user, password].map(|text| mail::base64::encode(text.as_bytes()));
    format!("AUTH LOGIN\r\n{}\r\n{}", words[0], words[1])
}

/// Each guess is wrong, and costs one hash of the same kind.
async fn all_cost_the_same(place: &str, users: &[&str]) {
    let house = house(place);
    let one = BTreeMap::from([("$6$1000".to_owned(), 1)]);
    let mut net = 0;
    for user in users {
        for words in [plain(user, "Secret"), login(user, "wrong"), plain(user, "")] {
            net += 1;
            let (code, computed) = log_in(&house, &format!("10.1.{net}.1"), &words).await;
            assert_eq!((code.as_str(), &computed), ("535", &one), "{place} {user} {words}");
        }
    }
}

#[tokio::test]
async fn whoever_is_guessed_at_costs_one_hash() {
    // The right password of who may not come in is no cheaper, and no dearer.
    all_cost_the_same("FILE", &["alice", "nobody", "locked", "elsewhere", "never", "alice@example.org"])
        .await;
    // A dollar is one that no parameter begins with.
    let hash = HASH.replace('$', "$$");
    let table = format!("inline:{{ {{ alice = {hash} }}, {{ bob = {hash} }} }}");
    all_cost_the_same(&table, &["alice", "bob", "nobody"]).await;
    let house = house("FILE");
    for user in ["locked", "elsewhere", "never"] {
        let (code, computed) = log_in(&house, "10.2.0.1", &plain(user, "secret")).await;
        assert_eq!((code.as_str(), computed.values().sum::<u64>()), ("535", 1), "{user}");
    }
}

#[tokio::test]
async fn who_logged_in_well_costs_nothing_more() {
    let house = house("FILE");
    let check = async |from: &str, words: &str, expect: (&str, u64)| {
        let (code, computed) = log_in(&house, from, words).await;
        assert_eq!((code.as_str(), computed.values().sum::<u64>()), expect, "{from} {words}");
    };
    check("10.3.0.1", &plain("alice", "secret"), ("235", 1)).await;
    check("10.3.0.1", &plain("alice", "secret"), ("235", 0)).await;
    check("10.4.0.1", &login("ALICE", "secret"), ("235", 0)).await;
    // A wrong one is never cheap, nor is another's.
    check("10.3.0.1", &plain("alice", "Secret"), ("535", 1)).await;
    check("10.3.0.1", &plain("stranger", "secret"), ("235", 1)).await;
}
