//! What is looked at beside the files, by reach: hosts and /etc/mailname of this machine or another.

use super::{Reach, check};
use crate::configuration::{Configuration, DirectSources, LookingSources};
use config::{Compat, Host};
use std::net::IpAddr;
use std::path::Path;
use tables::{SourceError, Sources, Vantage};

fn host() -> Host {
    Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() }
}

fn folder(main: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let base = "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = example.com\nalias_maps =\n\
                mynetworks = 127.0.0.0/8\n";
    std::fs::write(folder.path().join("main.cf"), format!("{base}{main}\n")).expect("written");
    std::fs::write(folder.path().join("master.cf"), "2525 inet n - n - - smtpd\n").expect("written");
    folder
}

/// Only the server asks the DNS for hosts that it is to listen on: a name that nobody has would be K0215.
#[test]
fn hosts_that_are_named() {
    let codes = |main: &str, reach| -> Vec<u16> {
        let found = check(folder(main).path(), Compat::V3_11, &host(), &DirectSources, reach);
        found.iter().map(|one| one.code.0).filter(|code| matches!(code, 147 | 167 | 208 | 215)).collect()
    };
    for reach in [Reach::Paper, Reach::Machine] {
        assert_eq!(codes("inet_interfaces = no-such-host.invalid", reach), [0; 0], "{reach:?}");
        assert_eq!(codes("inet_interfaces = eth0", reach), [167], "{reach:?}: once");
    }
    // The other machine's mail name is its own.
    assert_eq!(codes("myorigin = /no/such/mailname", Reach::Paper), [0; 0]);
    assert_eq!(codes("myorigin = /no/such/mailname", Reach::Machine), [147]);
}

/// Its hosts file has one name; the rest is the machine's.
struct WithHosts;

impl Sources for WithHosts {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        match path.to_str() {
            Some("/etc/hosts") => Ok(b"192.0.2.7 here.example.com\n".to_vec()),
            _ => DirectSources.read(path),
        }
    }
}

#[test]
fn hosts_of_the_hosts_file() {
    let folder = folder("inet_interfaces = here.example.com, 192.0.2.9, no-such-host.invalid");
    let addresses = |vantage| -> Vec<IpAddr> {
        let sources = LookingSources::new(&WithHosts, vantage);
        let (configuration, _) = Configuration::load_for(&host(), folder.path(), Compat::V3_11, &sources);
        configuration.listen_addresses().iter().map(std::net::SocketAddr::ip).collect()
    };
    let expect =
        |list: &[&str]| -> Vec<IpAddr> { list.iter().map(|text| text.parse().expect("address")).collect() };
    assert_eq!(addresses(Vantage::Looking), expect(&["192.0.2.7", "192.0.2.9"]));
    assert_eq!(addresses(Vantage::Elsewhere), expect(&["192.0.2.9"]));
}

/// K0100: what no administrator wrote isn't even split into lines.
#[test]
fn files_without_an_end() {
    for (more, expect) in [(0, false), (16 << 20, true)] {
        let folder = folder(&format!("# {}", "x".repeat(more)));
        let found = check(folder.path(), Compat::V3_11, &host(), &DirectSources, Reach::Paper);
        let said = found.iter().any(|one| one.code.0 == 100 && one.message.ends_with("longer than 16 MiB"));
        assert_eq!(said, expect, "{more}");
    }
}

/// What is said of a word behind master.cf's `-o` as well as in main.cf.
#[test]
fn words_behind_services() {
    let own = |address: &str| config::Interface { address: address.parse().expect("an address"), prefix: 24 };
    let check = |service: &str, expect: &[u16]| {
        let folder = folder("");
        std::fs::write(folder.path().join("master.cf"), format!("{service}\n")).expect("written");
        let host = Host { addresses: vec![own("127.0.0.1"), own("10.0.0.2"), own("203.0.113.5")], ..host() };
        let found = check(folder.path(), Compat::V3_11, &host, &DirectSources, Reach::Paper);
        let codes: Vec<u16> = found.iter().map(|one| one.code.0).collect();
        let of_interest = |code: &u16| matches!(code, 223 | 303 | 311);
        assert_eq!(codes.into_iter().filter(of_interest).collect::<Vec<_>>(), expect, "{service}");
    };
    let table = "-o smtpd_reject_footer_maps=tcp:127.0.0.1:9";
    check(&format!("2525 inet n - n - - smtpd {table}"), &[303]);
    check(&format!("2525 inet n - n - - smtpd {table}\n2526 inet n - n - - smtpd {table}"), &[303, 303]);
    check("2525 inet n - n - - smtpd -o virtual_mailbox_maps=tcp:127.0.0.1:9", &[311]);
    check("2525 inet n - n - - smtpd -o smtpd_reject_footer_maps=static:x", &[]);
    let postscreen = "2525 inet n - n - 1 postscreen -o postscreen_access_list=tcp:127.0.0.1:9\n";
    check(&format!("{postscreen}smtpd pass - - n - - smtpd {table}"), &[303, 303]);
    let proxy = "inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy";
    check(&format!("2525 {proxy}"), &[223]);
    check(&format!("10.0.0.2:2525 {proxy}"), &[]);
    check(&format!("127.0.0.1:2525 {proxy}"), &[]);
}
