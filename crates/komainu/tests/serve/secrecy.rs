//! TLS towards other servers: each security level in front of each kind of server, judged by Postfix's smtp(8) in
//! front of the same ones, in words and on the wire (T1.12).

use crate::client::Client;
use crate::far_tls::{Case, FarTls, Oddity, Papers};
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs};
use std::collections::BTreeMap;

const SERVERS: &[Case] = &[
    ("good", Oddity::None, "good"),
    ("wrong", Oddity::None, "wrong"),
    ("below", Oddity::None, "below"),
    ("common", Oddity::None, "common"),
    ("expired", Oddity::None, "expired"),
    ("self", Oddity::None, "self"),
    ("old", Oddity::Old, "good"),
    ("nooffer", Oddity::NoOffer, "good"),
    ("refuses", Oddity::Refuses("454 4.7.0 not now"), "good"),
    ("never", Oddity::Refuses("554 5.7.0 never"), "good"),
    ("garbage", Oddity::Garbage, "good"),
    ("hangsup", Oddity::HangsUp, "good"),
    ("agrees", Oddity::AgreesAndHangsUp, "good"),
    ("injects", Oddity::Injects, "good"),
];

/// Transports: their names, and what their lines in master.cf say.
fn levels(fingerprint: &str) -> Vec<(&'static str, String)> {
    let level = |name: &str, more: &str| format!("-o smtp_tls_security_level={name} {more}");
    vec![
        ("none", level("none", "-o smtp_tls_note_starttls_offer=yes")),
        ("may", level("may", "")),
        ("encrypt", level("encrypt", "")),
        ("verify", level("verify", "")),
        ("secure", level("secure", "")),
        ("noanchor", level("verify", "-o smtp_tls_CAfile=")),
        ("dotted", level("secure", "-o smtp_tls_secure_cert_match=dot-nexthop")),
        ("print", level("fingerprint", &format!("-o smtp_tls_fingerprint_cert_match={fingerprint}"))),
        ("tls13", level("encrypt", "-o smtp_tls_mandatory_protocols=>=TLSv1.3")),
        ("nofile", level("encrypt", "-o smtp_tls_CAfile=/nowhere")),
        ("maynofile", level("may", "-o smtp_tls_CAfile=/nowhere")),
        ("dane", level("dane", "")),
        ("daneonly", level("dane-only", "")),
        ("bogus", level("none", "-o smtp_tls_policy_maps=static:bogus")),
        ("broken", level("none", "-o smtp_tls_policy_maps=fail:x")),
        ("mapped", level("none", "-o smtp_tls_policy_maps=texthash:/mnt/policy")),
        ("enforced", "-o smtp_enforce_tls=yes".to_owned()),
        ("used", "-o smtp_use_tls=yes".to_owned()),
    ]
}

/// What a log says of TLS and of deliveries: by recipient the outcome, and all other lines of smtp(8) by how often
/// they came. What OpenSSL and rustls say each in their own words isn't compared.
fn said(log: &str) -> (BTreeMap<String, String>, BTreeMap<String, usize>) {
    let (mut outcomes, mut lines) = (BTreeMap::new(), BTreeMap::new());
    for line in log.lines() {
        let Some((_, text)) = line.split_once("/smtp[").and_then(|(_, rest)| rest.split_once("]: ")) else {
            continue;
        };
        if let Some((_, rest)) = text.split_once(": to=<") {
            let Some((to, rest)) = rest.split_once(">, ") else { continue };
            if to.ends_with("example.org") {
                continue;
            }
            let Some((relay, rest)) = rest.split_once(", delay=") else { continue };
            let Some((_, rest)) = rest.split_once(", dsn=") else { continue };
            outcomes.insert(to.to_owned(), format!("{relay}, dsn={rest}"));
        } else if ![
            "TLS library problem",
            "CAfile",
            "No such file",
            "open /nowhere",
            "disabling TLS",
            "security level",
            "lookup error",
        ]
        .iter()
        .any(|own| text.contains(own))
        {
            // Which of the two a server's end is depends on who is faster.
            let text = text.replace("Connection reset by peer", "lost connection");
            *lines.entry(text).or_insert(0) += 1;
        }
    }
    (outcomes, lines)
}

fn send_to_all(address: &str, domains: &[String]) {
    let mut client = Client::hello(address);
    for domain in domains {
        assert!(client.say("MAIL FROM:<a@example.org>").starts_with("250"));
        assert!(client.say(&format!("RCPT TO:<x@{domain}>")).starts_with("250"), "{domain}");
        assert!(client.say("DATA").starts_with("354"));
        let reply = client.say("From: a@example.org\r\nSubject: hi\r\n\r\nbody\r\n.");
        assert!(reply.starts_with("250"), "{domain}: {reply}");
    }
}

fn fingerprint(pem: &str) -> String {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    komainu::tls::fingerprint::Digest::from_name("sha256").expect("known").fingerprint(&der)
}

#[test]
fn each_level_ends_as_with_postfix() {
    world::run("secrecy::each_level_ends_as_with_postfix", Needs::Root, || {
        if !postfix_peer::is_there("each_level_ends_as_with_postfix") {
            return;
        }
        let papers = Papers::issue();
        std::fs::write("/mnt/ca.pem", &papers.authority).expect("writes");
        let good = papers.all.iter().find(|(name, ..)| *name == "good").expect("is there");
        let levels = levels(&fingerprint(&good.1));
        let servers: Vec<FarTls> = SERVERS.iter().map(|case| FarTls::start(&papers, *case)).collect();
        let (mut transport, mut policy, mut domains) = (String::new(), String::new(), Vec::new());
        for ((name, ..), server) in SERVERS.iter().zip(&servers) {
            for (level, _) in &levels {
                let domain = format!("{name}.{level}.test");
                transport.push_str(&format!("{domain} {level}:[localhost]:{}\n", server.port));
                domains.push(domain);
            }
            let line = match *name {
                "good" => "secure match=nexthop:other.example",
                "wrong" => "secure match=.example",
                "self" => "encrypt protocols=TLSv1.3",
                "below" => "verify match=mx.localhost",
                "old" => "encrypt bogus=1",
                "expired" => "none",
                _ => continue,
            };
            policy.push_str(&format!("[localhost]:{} {line}\n", server.port));
        }
        std::fs::write("/mnt/transport", &transport).expect("writes");
        std::fs::write("/mnt/policy", &policy).expect("writes");
        let services: String =
            levels.iter().map(|(name, more)| format!("{name} unix - - n - - smtp {more}\n")).collect();
        let common = "transport_maps = texthash:/mnt/transport\nsmtp_tls_CAfile = /mnt/ca.pem\n\
                      smtp_tls_loglevel = 1\nsmtp_host_lookup = native\nsmtp_tls_fingerprint_digest = sha256\n\
                      smtp_connection_cache_on_demand = no\n";
        let port = free_port();
        let site = Site::new(&format!(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n{common}"
        ));
        let listener =
            format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n{services}", site.address());
        site.write("master.cf", &listener);
        let _server = Server::start(&site);
        let postfix = Postfix::start(common, &format!("127.0.0.1:{port} inet n - n - - smtpd\n{services}"));
        send_to_all(&site.address(), &domains);
        send_to_all(&format!("127.0.0.1:{port}"), &domains);
        let wanted = domains.len();
        let ours =
            until("all of our outcomes", || Some(said(&site.log())).filter(|all| all.0.len() == wanted));
        let theirs = until("all of Postfix's outcomes", || {
            Some(said(&postfix.log())).filter(|all| all.0.len() == wanted)
        });
        let differ: Vec<_> =
            theirs.0.iter().filter(|(domain, theirs)| ours.0.get(*domain) != Some(theirs)).collect();
        let own: Vec<_> = differ.iter().map(|(domain, _)| ours.0.get(*domain)).collect();
        assert!(differ.is_empty(), "{differ:#?} but here {own:#?}");
        assert_eq!(ours.1, theirs.1);
        // And both said the same to the servers; goodbyes aside, which Postfix leaves out at times.
        for ((name, ..), server) in SERVERS.iter().zip(&servers) {
            let mut counts: BTreeMap<String, i32> = BTreeMap::new();
            for heard in server.heard() {
                let heard = heard.replace("QUIT\r\n", "");
                *counts.entry(heard).or_insert(0) += 1;
            }
            counts.retain(|heard, count| *count % 2 != 0 && !heard.is_empty());
            assert!(counts.is_empty(), "{name}: {counts:#?}");
        }
    });
}
