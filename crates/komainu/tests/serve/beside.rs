//! Our smtp(8) and Postfix's in front of the same servers: each server by each of some services, a message each way,
//! and both logs and both conversations beside each other.

use crate::client::Client;
use crate::postfix_peer::Postfix;
use crate::server::Server;
use crate::site::{Site, free_port, until};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// By recipient, how it ended; other lines by how often they came.
type Said = (BTreeMap<String, String>, BTreeMap<String, usize>);

/// Both of them, with all outcomes.
pub(crate) struct Beside {
    site: Site,
    _server: Server,
    postfix: Postfix,
    /// `server.service.test`, each the domain of a recipient.
    domains: Vec<String>,
}

impl Beside {
    /// Starts both with `main` in main.cf and these services, by name and options, and sends each of them a message for
    /// each of the servers, by name and port.
    pub(crate) fn start(main: &str, services: &[(&str, String)], servers: &[(&str, u16)]) -> Beside {
        let (mut transport, mut domains) = (String::new(), Vec::new());
        for (server, port) in servers {
            for (service, _) in services {
                let domain = format!("{server}.{service}.test");
                transport.push_str(&format!("{domain} {service}:[localhost]:{port}\n"));
                domains.push(domain);
            }
        }
        fs::write("/mnt/transport", &transport).expect("writes");
        let services: String =
            services.iter().map(|(name, more)| format!("{name} unix - - n - - smtp {more}\n")).collect();
        let common = format!(
            "transport_maps = texthash:/mnt/transport\nsmtp_host_lookup = native\n\
             smtp_connection_cache_on_demand = no\n{main}"
        );
        let port = free_port();
        let site = Site::new(&format!(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n{common}"
        ));
        let listener =
            format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n{services}", site.address());
        site.write("master.cf", &listener);
        let server = Server::start(&site);
        let postfix = Postfix::start(&common, &format!("127.0.0.1:{port} inet n - n - - smtpd\n{services}"));
        for address in [site.address(), format!("127.0.0.1:{port}")] {
            let mut client = Client::hello(&address);
            for domain in &domains {
                let reply = client.mail("a@example.org", &format!("x@{domain}"), "Subject: hi\n\nbody");
                assert!(reply.expect("talks").starts_with("250"), "{domain}");
            }
        }
        Beside { site, _server: server, postfix, domains }
    }

    /// Our log so far.
    pub(crate) fn log(&self) -> String {
        self.site.log()
    }

    /// That each message ended the same way, and, of the lines that `counts` picks, that they came as often.
    pub(crate) fn compare(&self, counts: fn(&str) -> Option<String>) {
        let wanted = self.domains.len();
        let all = |whose: &str, log: &dyn Fn() -> String| {
            until(&format!("{whose} outcomes"), || {
                Some(said(&log(), counts)).filter(|all| all.0.len() == wanted)
            })
        };
        let ours = all("our", &|| self.site.log());
        let theirs = all("Postfix's", &|| self.postfix.log());
        let differ: Vec<_> = theirs
            .0
            .iter()
            .filter(|(to, theirs)| ours.0.get(*to) != Some(theirs))
            .map(|(to, theirs)| (to, theirs, ours.0.get(to)))
            .collect();
        assert!(differ.is_empty(), "Postfix's, ours: {differ:#?}");
        assert_eq!(ours.1, theirs.1);
    }
}

fn said(log: &str, counts: fn(&str) -> Option<String>) -> Said {
    let (mut outcomes, mut lines) = (BTreeMap::new(), BTreeMap::new());
    for line in log.lines() {
        let Some((_, text)) = line.split_once("/smtp[").and_then(|(_, rest)| rest.split_once("]: ")) else {
            continue;
        };
        if let Some((_, rest)) = text.split_once(": to=<") {
            let Some((to, rest)) = rest.split_once(">, ") else { continue };
            let parts = rest
                .split_once(", delay=")
                .and_then(|(relay, rest)| Some((relay, rest.split_once(", dsn=")?.1)));
            let Some((relay, rest)) = parts.filter(|_| !to.ends_with("example.org")) else { continue };
            outcomes.insert(to.to_owned(), format!("{relay}, dsn={rest}"));
        } else if let Some(text) = counts(text) {
            *lines.entry(text).or_insert(0) += 1;
        }
    }
    (outcomes, lines)
}

/// That a server heard the same from both: each conversation an even number of times, once the last has ended.
pub(crate) fn each_twice<I: IntoIterator<Item = String>>(server: &str, heard: impl Fn() -> I) {
    let odd = || {
        let mut counts: BTreeMap<String, i32> = BTreeMap::new();
        for heard in heard() {
            *counts.entry(heard).or_insert(0) += 1;
        }
        counts.retain(|heard, count| *count % 2 != 0 && !heard.is_empty());
        counts
    };
    let patience = Instant::now() + Duration::from_secs(10);
    while !odd().is_empty() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(50));
    }
    let counts = odd();
    assert!(counts.is_empty(), "{server}: {counts:#?}");
}
