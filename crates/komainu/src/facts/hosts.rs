//! /etc/hosts: the names and addresses that come before the DNS (getaddrinfo(3), getnameinfo(3)).

use crate::clock;
use mail::Mono;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long an edited file may go unnoticed.
const UNSEEN_MAX: Duration = Duration::from_secs(1);

/// A hosts file that is read anew when it has changed, as getaddrinfo(3) does with each question.
pub struct HostsFile {
    path: PathBuf,
    read: Mutex<Read>,
}

/// What was read of it last.
#[derive(Default)]
struct Read {
    hosts: Arc<Hosts>,
    /// Modification time and size then; `None` where there was no file.
    stamp: Option<(SystemTime, u64)>,
    looked: Option<Mono>,
}

impl HostsFile {
    /// The file at `path`, which need not be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> HostsFile {
        HostsFile { path: path.into(), read: Mutex::default() }
    }

    /// Its lines of at most a second ago.
    #[must_use]
    pub fn hosts(&self) -> Arc<Hosts> {
        self.hosts_at(clock::now().mono)
    }

    fn hosts_at(&self, now: Mono) -> Arc<Hosts> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.looked.is_none_or(|looked| now.since(looked) >= UNSEEN_MAX) {
            let metadata = std::fs::metadata(&self.path).ok();
            let stamp = metadata.and_then(|found| Some((found.modified().ok()?, found.len())));
            if stamp != read.stamp || read.looked.is_none() {
                read.hosts = Arc::new(Hosts::parse(&std::fs::read_to_string(&self.path).unwrap_or_default()));
                read.stamp = stamp;
            }
            read.looked = Some(now);
        }
        Arc::clone(&read.hosts)
    }
}

/// The lines of a hosts file.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
    by_address: HashMap<IpAddr, String>,
}

impl Hosts {
    /// Reads `address name alias …` lines; what can't be read is passed over, as the system does.
    #[must_use]
    pub fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for (position, name) in words.enumerate() {
                if position == 0 {
                    hosts.by_address.entry(address).or_insert_with(|| name.to_owned());
                }
                let addresses = hosts.by_name.entry(name.to_ascii_lowercase()).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The first name of `address`.
    #[must_use]
    pub fn name(&self, address: IpAddr) -> Option<&str> {
        self.by_address.get(&address).map(String::as_str)
    }

    /// The addresses of `name`.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.by_name.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_seen_after_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let file = HostsFile::new(&path);
        let at = |seconds: u64| file.hosts_at(Mono(seconds * 1_000_000_000));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(at(0).addresses("a"), None);
        std::fs::write(&path, "192.0.2.1 a\n").unwrap();
        assert_eq!(at(0).addresses("a"), None);
        assert_eq!(at(1).addresses("a"), Some(&[address][..]));
        std::fs::write(&path, "192.0.2.1 other\n").unwrap();
        assert_eq!(at(2).name(address), Some("other"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(at(3).name(address), None);
    }

    #[test]
    fn names_both_ways() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost # x\n::1 localhost ip6-localhost\nbad line\n192.0.2.1\tA.example a\n",
        );
        assert_eq!(hosts.addresses("LOCALHOST").unwrap().len(), 2);
        assert_eq!(hosts.name("192.0.2.1".parse().unwrap()), Some("A.example"));
        assert_eq!(hosts.addresses("a"), Some(&["192.0.2.1".parse().unwrap()][..]));
        assert_eq!(hosts.addresses("bad"), None);
    }
}
