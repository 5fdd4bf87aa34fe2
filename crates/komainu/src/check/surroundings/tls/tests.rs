//! K0510 to K0519, with certificates made on the spot; openssl judges whether keys fit.

use super::super::tests::{NOW_S, World};
use super::pem::{Item, Key, items};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};
use std::io::Write;
use std::process::{Command, Stdio};

/// caIssuers of `http://`: what public CAs' certificates have.
const ISSUER_URL: &[u8] = b"\x30\x15\x30\x13\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x07http://";

/// A root, an intermediate, and a server's certificate under it.
struct Hierarchy {
    root: String,
    middle: String,
    own: String,
    key: String,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

/// A server's certificate for `names`.
fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("params");
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("", String::as_str));
    params.not_before = date_time_ymd(2025, 12, 1);
    params.not_after = date_time_ymd(2026, 3, 1);
    let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], ISSUER_URL.to_vec());
    params.custom_extensions.push(access);
    params
}

fn hierarchy(own: CertificateParams) -> Hierarchy {
    let (root_key, middle_key) = (KeyPair::generate().expect("key"), KeyPair::generate().expect("key"));
    let root = authority("Root of All").self_signed(&root_key).expect("signed");
    let root_issuer = Issuer::new(authority("Root of All"), root_key);
    let mut middle_params = authority("Middle 1");
    let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], ISSUER_URL.to_vec());
    middle_params.custom_extensions.push(access);
    let middle = middle_params.signed_by(&middle_key, &root_issuer).expect("signed");
    let issuer = Issuer::new(middle_params, middle_key);
    let key = KeyPair::generate().expect("key");
    let own = own.signed_by(&key, &issuer).expect("signed");
    Hierarchy { root: root.pem(), middle: middle.pem(), own: own.pem(), key: key.serialize_pem() }
}

fn usual() -> Hierarchy {
    hierarchy(server(&["mx.example.com", "*.mail.example.com"]))
}

/// A server that shows `certificate` with `key`.
fn world(certificate: &str, key: &str, root: &str) -> World {
    World::new()
        .main("smtpd_tls_security_level = may")
        .main("smtpd_tls_cert_file = /etc/ssl/own.pem\nsmtpd_tls_key_file = /etc/ssl/private/own.key")
        .file("/etc/ssl/own.pem", certificate)
        .file("/etc/ssl/private/own.key", key)
        .chmod("/etc/ssl/private/own.key", 0o600)
        .file("/etc/ssl/certs/ca-certificates.crt", root)
}

#[test]
fn a_certificate_as_it_should_be() {
    let Hierarchy { root, middle, own, key } = usual();
    world(&format!("{own}{middle}"), &key, &root).expect(&[]);
    // The root at its end costs bytes and does no harm.
    world(&format!("{own}{middle}{root}"), &key, &root).expect(&[]);
    let chain = World::new()
        .main("smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /etc/ssl/chain.pem")
        .file("/etc/ssl/chain.pem", format!("{key}{own}{middle}"))
        .chmod("/etc/ssl/chain.pem", 0o600)
        .file("/etc/ssl/certs/ca-certificates.crt", &root);
    chain.expect(&[]);
    // CAfile completes the chain, as in Postfix.
    let completed = world(&own, &key, &root).main("smtpd_tls_CAfile = /etc/ssl/middle.pem");
    completed.file("/etc/ssl/middle.pem", middle).expect(&[]);
}

#[test]
fn files_that_are_not_there_or_not_pem() {
    let Hierarchy { root, middle, own, key } = usual();
    let whole = format!("{own}{middle}");
    let gone = world(&whole, &key, &root);
    std::fs::remove_file(gone.real("/etc/ssl/private/own.key")).expect("removed");
    gone.expect(&["K0510 error: /etc/ssl/private/own.key isn't there @/etc/ssl/private/own.key"]);
    world("not PEM", &key, &root)
        .expect(&["K0510 error: /etc/ssl/own.pem holds no certificate or key in PEM @/etc/ssl/own.pem"]);
    world(&key, &key, &root)
        .chmod("/etc/ssl/own.pem", 0o600)
        .expect(&["K0510 error: /etc/ssl/own.pem holds no certificate"]);
    world(&whole, &whole, &root).expect(&["K0510 error: /etc/ssl/private/own.key holds no private key"]);
    let idle = world("not PEM", &key, &root).main("smtpd_tls_security_level = none");
    idle.expect(&["K0510 warning: /etc/ssl/own.pem holds no certificate or key in PEM"]);
    let order = World::new()
        .main("smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /etc/ssl/chain.pem")
        .file("/etc/ssl/chain.pem", format!("{whole}{key}"))
        .chmod("/etc/ssl/chain.pem", 0o600);
    order.expect(&[
        "K0510 error: /etc/ssl/chain.pem holds no certificate",
        "K0510 error: /etc/ssl/chain.pem: a key must stand before its certificate",
    ]);
    world(&whole, &key, &root)
        .main("smtp_tls_CAfile = /etc/ssl/nosuch.pem\nsmtp_tls_CApath = /etc/ssl/certs")
        .expect(&["K0510 warning: /etc/ssl/nosuch.pem isn't there @/etc/ssl/nosuch.pem"]);
}

#[test]
fn a_key_that_everybody_reads() {
    let Hierarchy { root, middle, own, key } = usual();
    let open = world(&format!("{own}{middle}"), &key, &root).chmod("/etc/ssl/private/own.key", 0o644);
    open.expect(&[
        "K0501 error: everybody on this machine may read /etc/ssl/private/own.key, which holds a private key",
    ]);
    open.mode("/etc/ssl/private", 0o710);
    open.expect(&[]);
    // The key stands beside its certificate, in the file that is read by default.
    let beside = World::new()
        .main("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/ssl/own.pem")
        .file("/etc/ssl/own.pem", format!("{key}{own}{middle}"))
        .file("/etc/ssl/certs/ca-certificates.crt", &root);
    beside.expect(&["K0501 error: everybody on this machine may read /etc/ssl/own.pem"]);
}

#[test]
fn keys_that_do_not_fit() {
    let Hierarchy { root, middle, own, key } = usual();
    let other = KeyPair::generate().expect("key").serialize_pem();
    let message = "K0511 error: the private key doesn't fit the certificate of mx.example.com in /etc/ssl/own.pem \
                   @/etc/ssl/private/own.key";
    world(&format!("{own}{middle}"), &other, &root).expect(&[message]);
    let turned = world(&format!("{middle}{own}"), &key, &root);
    let help = turned.diagnostics().into_iter().find(|one| one.code.0 == 511).and_then(|one| one.help);
    assert!(help.unwrap_or_default().contains("must come first"));
}

#[test]
fn validity() {
    let dated = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        let mut params = server(&["mx.example.com"]);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let Hierarchy { root, middle, own, key } = hierarchy(params);
        world(&format!("{own}{middle}"), &key, &root)
    };
    assert_eq!(NOW_S, date_time_ymd(2026, 1, 1).unix_timestamp());
    dated((2025, 1, 1), (2026, 1, 16)).expect(&[]);
    dated((2025, 1, 1), (2026, 1, 14))
        .expect(&["K0513 warning: the certificate in /etc/ssl/own.pem expires in 13 days @/etc/ssl/own.pem"]);
    dated((2025, 1, 1), (2025, 12, 31))
        .expect(&["K0513 error: the certificate in /etc/ssl/own.pem has expired 1 day ago"]);
    dated((2026, 1, 3), (2026, 9, 1))
        .expect(&["K0513 error: the certificate in /etc/ssl/own.pem is not valid yet"]);
    dated((2025, 1, 1), (2025, 12, 31))
        .main("smtpd_tls_security_level = none")
        .expect(&["K0513 warning: the certificate in /etc/ssl/own.pem has expired"]);
}

#[test]
fn names() {
    let Hierarchy { root, middle, own, key } = usual();
    let whole = format!("{own}{middle}");
    let named = |host: &str| world(&whole, &key, &root).main(&format!("myhostname = {host}"));
    named("MX.example.com").expect(&[]);
    named("a.mail.example.com").expect(&[]);
    named("a.b.mail.example.com")
        .expect(&["K0514 warning: the certificate in /etc/ssl/own.pem is not for a.b.mail"]);
    named("other.example.com")
        .expect(&["K0514 warning: the certificate in /etc/ssl/own.pem is not for other.example.com"]);
    // Each name that a port goes by.
    world(&whole, &key, &root)
        .master("submission inet n - n - - smtpd -o myhostname=smtp.example.com")
        .expect(&["K0514 warning: the certificate in /etc/ssl/own.pem is not for smtp.example.com"]);
    named("other.example.com")
        .main("tls_server_sni_maps = hash:/etc/postfix/sni")
        .file("/etc/postfix/sni", "")
        .expect(&[]);
}

#[test]
fn chains() {
    let Hierarchy { root, middle, own, key } = usual();
    world(&own, &key, &root)
        .expect(&["K0515 warning: the chain in /etc/ssl/own.pem ends before a root: Middle 1 is missing"]);
    world(&format!("{own}{root}{middle}"), &key, &root)
        .expect(&["K0515 warning: the certificates in /etc/ssl/own.pem are in the wrong order"]);
    // A machine without roots can't say, and a CA of one's own is nobody's business.
    world(&own, &key, "").expect(&[]);
    let mut params = server(&["mx.example.com"]);
    params.custom_extensions.clear();
    let own_ca = hierarchy(params);
    world(&own_ca.own, &own_ca.key, &own_ca.root).expect(&["K0515 hint: the chain in /etc/ssl/own.pem ends"]);
}

#[test]
fn self_signed() {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("key");
    let own = server(&["elsewhere.example"]).self_signed(&key).expect("signed");
    world(&own.pem(), &key.serialize_pem(), "")
        .expect(&["K0516 hint: the certificate in /etc/ssl/own.pem is signed by itself"]);
}

#[test]
fn tls_without_a_certificate() {
    World::new()
        .main("smtpd_tls_security_level = may")
        .expect(&["K0519 warning: TLS is asked for, but there is no"]);
    World::new().main("smtpd_tls_security_level = none").expect(&[]);
    World::new().main("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = none").expect(&[]);
    World::new()
        .master("smtps inet n - n - - smtpd -o smtpd_tls_wrappermode=yes")
        .expect(&["K0519 error: TLS is asked for, but there is no certificate"]);
}

/// The client's certificate: names are nobody's business, the rest is.
#[test]
fn a_clients_certificate() {
    let Hierarchy { root, middle, own, key } = usual();
    let client = |key: &str| {
        World::new()
            .main("smtp_tls_security_level = may\nmyhostname = other.example.com")
            .main("smtp_tls_cert_file = /etc/ssl/own.pem\nsmtp_tls_key_file = /etc/ssl/own.key")
            .file("/etc/ssl/own.pem", format!("{own}{middle}"))
            .file("/etc/ssl/own.key", key)
            .chmod("/etc/ssl/own.key", 0o600)
            .file("/etc/ssl/certs/ca-certificates.crt", &root)
    };
    client(&key).expect(&[]);
    client(&KeyPair::generate().expect("key").serialize_pem()).expect(&["K0511 error"]);
}

/// What openssl prints for this input; `None` where it isn't installed.
fn openssl(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        assert!(std::env::var_os("CI").is_none(), "no openssl");
        eprintln!("no openssl: its keys are not tried");
        return None;
    };
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "openssl {arguments:?}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// Every form of key that openssl writes is compared as openssl compares it.
#[test]
fn openssls_keys() {
    let made = [
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
        &["genrsa", "-traditional", "2048"],
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["ecparam", "-genkey", "-name", "secp384r1"],
        &["genpkey", "-algorithm", "ED25519"],
    ];
    for arguments in made {
        let Some(key) = openssl(arguments, "") else { return };
        let with_key = format!("{key}{}", usual().own);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, &key).expect("written");
        let path = file.to_str().expect("text");
        let own =
            openssl(&["req", "-x509", "-key", path, "-subj", "/CN=mx.example.com", "-days", "9999"], "");
        let own = own.expect("there");
        let public = openssl(&["pkey", "-pubout"], &key).expect("there");
        let of_certificate = openssl(&["x509", "-noout", "-pubkey"], &own).expect("there");
        assert_eq!(public, of_certificate, "the judge finds that it fits");
        let read = items(own.as_bytes()).expect("read");
        let Some(Item::Certificate(certificate)) = read.first() else { panic!("{arguments:?}") };
        let keys = items(with_key.as_bytes()).expect("read");
        assert_eq!(
            keys.first(),
            Some(&Item::Key(Key::Public(certificate.public_key.clone()))),
            "{arguments:?}"
        );
    }
}

#[test]
fn encrypted_and_weak() {
    let root = "";
    let bits = |bits: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let key = openssl(&["genrsa", bits], "")?;
        std::fs::write(&file, &key).expect("written");
        let path = file.to_str().expect("text");
        let own = ["req", "-x509", "-key", path, "-subj", "/CN=mx.example.com", "-days", "9999"];
        Some((openssl(&own, "")?, key))
    };
    let Some((own, key)) = bits("1024") else { return };
    let mut short = world(&own, &key, root);
    // They are made today, whenever that is.
    short.machine.now_s = i64::from(u32::MAX) / 2;
    let codes = |world: &World| world.diagnostics().iter().map(|one| one.code.0).collect::<Vec<_>>();
    assert!(codes(&short).contains(&517), "{:?}", short.diagnostics());
    let (own, key) = bits("2048").expect("there");
    assert!(!codes(&world(&own, &key, root)).contains(&517));
    for form in [
        &["pkcs8", "-topk8", "-passout", "pass:x"][..],
        &["rsa", "-traditional", "-aes128", "-passout", "pass:x"],
    ] {
        let encrypted = openssl(form, &key).expect("there");
        let world = world(&own, &encrypted, root);
        let found = world.diagnostics();
        let one = found.iter().find(|one| one.code.0 == 512).expect("said");
        assert_eq!(one.place.text(), "/etc/ssl/private/own.key");
    }
    // P-384 is no weak key.
    let strong = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("key");
    let own = server(&["mx.example.com"]).self_signed(&strong).expect("signed");
    assert!(!codes(&world(&own.pem(), &strong.serialize_pem(), root)).contains(&517));
}

/// Bytes from outside: whatever a file holds, nothing breaks.
#[test]
fn mangled_files() {
    let Hierarchy { own, key, middle, .. } = usual();
    let whole = format!("{key}{own}{middle}").into_bytes();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0)
    };
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 6 {
            let at = next() % bytes.len();
            bytes[at] = u8::try_from(next() % 256).expect("a byte");
        }
        bytes.truncate(1 + next() % whole.len());
        super::pem::fuzz(&bytes);
    }
}
