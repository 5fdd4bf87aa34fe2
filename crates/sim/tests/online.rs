//! `komainu check --online` against a name server of the test's own: over UDP and TCP, by the real resolver. T1.4.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use config::{Compat, Diagnostic, Host, Interface};
use komainu::check::{Reach, check};
use komainu::configuration::DirectSources;
use sim::dns::{Server, Zone};
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

const GOOD: &str = "\
mx.example.com. A 192.0.2.25
192.0.2.25 PTR mx.example.com.
example.com. MX 10 mx.example.com.
example.com. TXT \"v=spf1 include:_spf.example.com -all\"
_spf.example.com. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"
_dmarc.example.com. TXT \"v=DMARC1; p=reject\"
mail._domainkey.example.com. TXT \"v=DKIM1; p=abcd\"
2.0.0.127.bl.example. A 127.0.0.2
";

const BAD: &str = "\
mx.example.com. A 192.0.2.25
example.com. MX 10 filter.example.
filter.example. A 198.51.100.9
example.com. TXT \"v=spf1 include:_spf.example.com +all\"
_spf.example.com. TXT \"v=spf1 ip4:198.51.100.0/24 -all\"
_dmarc.example.com. TXT \"v=DMARC1; p=rejct\"
2.0.0.127.bl.example. A 127.0.0.2
25.2.0.192.bl.example. A 127.0.0.2
1.0.0.127.world.example. A 127.0.0.2
2.0.0.127.refusing.example. A 127.255.255.254
1.0.0.127.refusing.example. A 127.255.255.254
";

/// A name server with these records, and its address.
fn name_server(zone: &str) -> (Server, String) {
    // A port that is free for UDP may be somebody's for TCP.
    let started = (0..20).find_map(|_| {
        let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("bound");
        Some((Server::start(address).ok()?, address.to_string()))
    });
    let (server, address) = started.expect("a port for a name server");
    server.load(Zone::parse(zone.lines()).expect("records"));
    (server, address)
}

fn ask(folder: &Path, main: &str) -> Vec<Diagnostic> {
    std::fs::write(folder.join("main.cf"), main).expect("written");
    std::fs::write(folder.join("master.cf"), "2525 inet n - n - - smtpd\n").expect("written");
    let interface = |text: &str, prefix| Interface { address: text.parse().expect("address"), prefix };
    let addresses = vec![interface("127.0.0.1", 8), interface("192.0.2.25", 24)];
    let host = Host { hostname: "mx.example.com".to_owned(), addresses };
    let found = check(folder, Compat::V3_11, &host, &DirectSources, Reach::Online);
    found.into_iter().filter(|one| one.code.0 >= 600).collect()
}

fn main_cf(server: &str, lists: &str) -> String {
    format!(
        "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = $myhostname, example.com\n\
         alias_maps =\nmynetworks = 127.0.0.0/8\nkomainu_dns_servers = {server}\n\
         smtpd_client_restrictions = {lists}\n"
    )
}

fn codes(found: &[Diagnostic]) -> Vec<u16> {
    let mut codes: Vec<u16> = found.iter().map(|one| one.code.0).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn records_that_are_as_they_should_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = name_server(GOOD);
    let found = ask(folder.path(), &main_cf(&address, "reject_rbl_client bl.example=127.0.0.2"));
    assert_eq!(codes(&found), [0_u16; 0], "{found:#?}");
    let asked = server.asked();
    assert!(asked.iter().any(|one| one.name == "_spf.example.com"), "what is included is asked too");
    let mut once: Vec<_> = asked.iter().map(|one| (&one.name, one.kind)).collect();
    once.sort();
    let all = once.len();
    once.dedup();
    assert_eq!(all, once.len(), "nothing is asked twice");
}

#[test]
fn records_that_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, address) = name_server(BAD);
    let lists = ["bl.example", "world.example", "refusing.example", "gone.example"];
    let lists = lists.map(|zone| format!("reject_rbl_client {zone}=127.0.0.2")).join(", ");
    let found = ask(folder.path(), &main_cf(&address, &lists));
    assert_eq!(codes(&found), [602, 606, 614, 617, 621, 625, 625, 626, 627], "{found:#?}");
    let listed = found.iter().find(|one| one.code.0 == 626).expect("said");
    assert_eq!(listed.place.text(), "bl.example=127.0.0.2");
}

/// Each record by itself: what is said where it is missing, wrong, or can't be had.
#[test]
fn each_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = name_server("");
    let check = |without: &str, with: &str, expect: &[u16]| {
        let kept = GOOD.lines().filter(|line| without.is_empty() || !line.starts_with(without));
        let zone: Vec<&str> = kept.chain(with.lines()).collect();
        server.load(Zone::parse(zone).expect("records"));
        let found = ask(folder.path(), &main_cf(&address, "reject_rbl_client bl.example=127.0.0.2"));
        assert_eq!(codes(&found), expect, "without {without:?}, with {with:?}: {found:#?}");
    };
    // The host's own name, there and back.
    check("mx.example.com. A", "", &[600, 605]);
    check("mx.example.com. A", "mx.example.com. AAAA 2001:db8::25\n", &[601, 602, 602]);
    check("192.0.2.25 PTR", "", &[602]);
    check("192.0.2.25 PTR", "192.0.2.25 PTR pool.example.", &[602]);
    check("192.0.2.25 PTR", "192.0.2.25 PTR pool.example.\npool.example. A 192.0.2.25", &[603]);
    check("192.0.2.25 PTR", "192.0.2.25 SERVFAIL", &[630]);
    // Where mail goes.
    check("example.com. MX", "example.com. MX 0 .", &[605]);
    check("example.com. MX", "example.com. MX 10 gone.example.", &[605]);
    check("example.com. MX", "example.com. MX 10 mx.example.com.\nexample.com. MX 5 gone.example.", &[605]);
    check("example.com. MX", "example.com. MX 10 alias.example.\nalias.example. CNAME mx.example.com.", &[]);
    check("example.com. MX", "example.com. MX SERVFAIL", &[630]);
    // SPF, DMARC, DKIM.
    check("example.com. TXT", "", &[610]);
    check("_spf.example.com.", "", &[611]);
    check("_spf.example.com.", "_spf.example.com. TXT \"v=spf1 ip4:198.51.100.0/24 -all\"", &[613]);
    check("_spf.example.com.", "_spf.example.com. SERVFAIL", &[630]);
    check("_dmarc.", "", &[616]);
    check("_dmarc.", "_dmarc.example.com. TXT \"v=DMARC1; p=\"", &[617]);
    check("_dmarc.", "_dmarc.example.com. REFUSED", &[630]);
    check("mail._domainkey.", "", &[621]);
    // A list that fails is known to be down; the rest is judged.
    check("2.0.0.127.bl", "2.0.0.127.bl.example. SERVFAIL\n1.0.0.127.bl.example. SERVFAIL", &[625, 630]);
    check("", "", &[]);
}

/// What is said of every name is nothing to go by: an address (a captive resolver), a failure, a refusal, nothing.
#[test]
fn name_servers_that_are_no_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = name_server("");
    let check = |zone: &str, expect: &str| {
        server.load(Zone::parse(zone.lines()).expect("records"));
        let found = ask(folder.path(), &main_cf(&address, "reject_rbl_client bl.example=127.0.0.2"));
        assert_eq!(codes(&found), [630], "{zone}: {found:#?}");
        let said = found.first().map(|one| format!("{} {}", one.severity, one.message)).unwrap_or_default();
        assert!(
            said.starts_with("warning the DNS can't be asked: ") && said.contains(expect),
            "{zone}: {said}"
        );
    };
    check("* A 198.51.100.1", "has an address for every name: 198.51.100.1");
    check("* A 198.51.100.1\n* TXT \"hello\"\n* PTR portal.example.\n* MX 10 portal.example.", "every name");
    check(&format!("{GOOD}* A 198.51.100.1"), "every name");
    check("", "says of every name that it doesn't exist");
    check("* SERVFAIL", "Server Failure");
    check("* REFUSED", "Refused");
}

/// A name server that says nothing: one finding, and not for ever.
#[test]
fn silence() {
    let folder = tempfile::tempdir().expect("a folder");
    let mute = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let address = mute.local_addr().expect("bound").to_string();
    let begun = Instant::now();
    let found = ask(folder.path(), &main_cf(&address, "reject_rbl_client bl.example=127.0.0.2"));
    assert_eq!(codes(&found), [630], "{found:#?}");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}
