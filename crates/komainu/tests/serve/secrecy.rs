//! TLS towards other servers: each security level in front of each kind of server, judged by Postfix's smtp(8) in
//! front of the same ones, in words and on the wire (T1.12).

use crate::beside::{self, Beside};
use crate::far_tls::{Case, FarTls, Oddity, Papers};
use crate::postfix_peer;
use crate::world::{self, Needs};

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

/// What is said of TLS. What OpenSSL and rustls say each in their own words isn't compared.
fn said(text: &str) -> Option<String> {
    let own = [
        "TLS library problem",
        "CAfile",
        "No such file",
        "open /nowhere",
        "disabling TLS",
        "security level",
        "lookup error",
        "no certificate in it",
    ];
    // Which of the two a server's end is depends on who is faster.
    let text = text.replace("Connection reset by peer", "lost connection");
    (!own.iter().any(|own| text.contains(own))).then_some(text)
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
        let all: Vec<FarTls> = SERVERS.iter().map(|case| FarTls::start(&papers, *case)).collect();
        let servers: Vec<_> = SERVERS.iter().zip(&all).map(|((name, ..), far)| (*name, far.port)).collect();
        let mut policy = String::new();
        for (name, port) in &servers {
            let line = match *name {
                "good" => "secure match=nexthop:other.example",
                "wrong" => "secure match=.example",
                "self" => "encrypt protocols=TLSv1.3",
                "below" => "verify match=mx.localhost",
                "old" => "encrypt bogus=1",
                "expired" => "none",
                _ => continue,
            };
            policy.push_str(&format!("[localhost]:{port} {line}\n"));
        }
        std::fs::write("/mnt/policy", &policy).expect("writes");
        let main =
            "smtp_tls_CAfile = /mnt/ca.pem\nsmtp_tls_loglevel = 1\nsmtp_tls_fingerprint_digest = sha256\n";
        let beside = Beside::start(main, &levels, &servers);
        beside.compare(said);
        // And both said the same to the servers; goodbyes aside, which Postfix leaves out at times.
        for ((name, ..), far) in SERVERS.iter().zip(&all) {
            beside::each_twice(name, || far.heard().into_iter().map(|heard| heard.replace("QUIT\r\n", "")));
        }
    });
}

/// `smtp_tls_trust_anchor_file`: certificates and keys of any level, in place of public authorities.
#[test]
fn trust_anchors_are_as_postfix_has_them() {
    world::run("secrecy::trust_anchors_are_as_postfix_has_them", Needs::Root, || {
        if !postfix_peer::is_there("trust_anchors_are_as_postfix_has_them") {
            return;
        }
        let (papers, chains) = Papers::issue().with_chains();
        for (name, text) in [
            ("ca", &papers.authority),
            ("top", &chains.top),
            ("topkey", &chains.top_key),
            ("middle", &chains.middle),
            ("middlekey", &chains.middle_key),
            ("own", &chains.own),
            ("empty", &"# nothing\n".to_owned()),
        ] {
            std::fs::write(format!("/mnt/{name}.pem"), text).expect("writes");
        }
        let cases: [Case; 5] = [
            ("full", Oddity::None, "full"),
            ("chained", Oddity::None, "chained"),
            ("alone", Oddity::None, "alone"),
            ("wrong", Oddity::None, "wrong"),
            ("self", Oddity::None, "self"),
        ];
        let all: Vec<FarTls> = cases.iter().map(|case| FarTls::start(&papers, *case)).collect();
        let servers: Vec<_> = cases.iter().zip(&all).map(|((name, ..), far)| (*name, far.port)).collect();
        let of = |level: &str, file: &str| {
            format!("-o smtp_tls_security_level={level} -o smtp_tls_trust_anchor_file={file}")
        };
        let services = [
            ("top", of("verify", "/mnt/top.pem")),
            ("topkey", of("verify", "/mnt/topkey.pem")),
            ("middle", of("verify", "/mnt/middle.pem")),
            ("middlekey", of("secure", "/mnt/middlekey.pem")),
            ("own", of("verify", "/mnt/own.pem")),
            ("other", of("verify", "/mnt/ca.pem")),
            ("two", of("verify", "/mnt/ca.pem,/mnt/top.pem")),
            ("missing", of("verify", "/nowhere")),
            ("empty", of("verify", "/mnt/empty.pem")),
            ("encrypt", of("encrypt", "/mnt/top.pem")),
            ("may", of("may", "/mnt/ca.pem")),
            ("encryptmissing", of("encrypt", "/nowhere")),
            ("maymissing", of("may", "/nowhere")),
        ];
        let main = "smtp_tls_CAfile = /mnt/top.pem\nsmtp_tls_loglevel = 1\n";
        Beside::start(main, &services, &servers).compare(said);
    });
}
