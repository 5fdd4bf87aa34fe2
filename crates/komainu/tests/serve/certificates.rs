//! The certificate that is served: a renewed one by itself, a broken one never; keys that only root may read; what a
//! client must speak (RFC 3207, RFC 8996).

use crate::server::Server;
use crate::site::{Site, save, until};
use crate::world::{self, Needs};
use std::path::Path;
use std::process::Command;

fn pair(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/certificates").join(name);
    std::fs::read_to_string(path).expect("a pair")
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The public key's kind of the certificate that is shown to openssl; nothing where there is no TLS.
fn shown(address: &str) -> String {
    shown_with(address, "")
}

fn shown_with(address: &str, options: &str) -> String {
    let text = shell(&format!(
        "openssl s_client -starttls smtp -connect {address} {options} </dev/null 2>/dev/null | openssl x509 -noout -text"
    ));
    let kind = text.lines().find_map(|line| line.trim().strip_prefix("Public Key Algorithm: "));
    kind.unwrap_or_default().to_owned()
}

#[test]
fn a_renewed_one_is_served_and_a_broken_one_is_not() {
    world::run("certificates::a_renewed_one_is_served_and_a_broken_one_is_not", Needs::Root, || {
        let site = Site::new("");
        let path = site.path("etc/pair.pem");
        save(&path, &pair("ec.pem"), 0o600);
        let tls = "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = $config_directory/pair.pem\n\
                   komainu_auto_reload = yes\n";
        site.main(tls);
        let _server = Server::start(&site);
        assert_eq!(shown(&site.address()), "id-ecPublicKey");
        save(&path, &pair("rsa.pem"), 0o600);
        until("the new certificate", || (shown(&site.address()) == "rsaEncryption").then_some(()));
        let before = site.log().len();
        save(&path, &pair("unfit.pem"), 0o600);
        let line = site.logged("K0216", before);
        assert!(line.contains("the one before is served until it is mended"), "{line}");
        site.logged("reloaded", before);
        assert_eq!(shown(&site.address()), "rsaEncryption");
        save(&path, &pair("ec.pem"), 0o600);
        until("the mended certificate", || (shown(&site.address()) == "id-ecPublicKey").then_some(()));
    });
}

/// The key's kind that is shown to a client that asks for `name`.
fn shown_for(address: &str, name: &str) -> String {
    shown_with(address, &format!("-servername {name}"))
}

/// T0.3: certificates by name, from a text and from what postmap made of it; each renewed file and line is served by
/// itself, and what is broken keeps what was good.
#[test]
fn names_are_renewed_too() {
    world::run("certificates::names_are_renewed_too", Needs::Root, || {
        let site = Site::new("");
        for (name, content) in [("own", "rsa.pem"), ("a", "ec.pem"), ("b", "rsa.pem")] {
            save(&site.path(&format!("etc/{name}.pem")), &pair(content), 0o600);
        }
        let etc = site.etc().display().to_string();
        save(&site.path("etc/names"), &format!("a.example {etc}/a.pem\n.b.example {etc}/b.pem\n"), 0o600);
        let made = Command::new("sh").args(["-c", &format!("postmap -F lmdb:{etc}/names")]).status();
        assert!(made.is_ok_and(|status| status.success()), "postmap -F");
        site.main(
            "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = $config_directory/own.pem\n\
             tls_server_sni_maps = lmdb:$config_directory/names\nkomainu_auto_reload = yes\n",
        );
        let server = Server::start(&site);
        let kinds = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| shown_for(&site.address(), name)).collect()
        };
        let (ec, rsa) = ("id-ecPublicKey", "rsaEncryption");
        assert_eq!(kinds(&["a.example", "x.b.example", "other.example"]), [ec, rsa, rsa]);
        // A renewed file, with no postmap: the database has the old one.
        save(&site.path("etc/b.pem"), &pair("ec.pem"), 0o600);
        until("the new certificate", || (kinds(&["x.b.example"]) == [ec]).then_some(()));
        let before = site.log().len();
        save(&site.path("etc/a.pem"), &pair("unfit.pem"), 0o600);
        site.logged("K0216", before);
        site.logged("reloaded", before);
        assert_eq!(kinds(&["a.example"]), [ec], "what was good stays");
        // A new line.
        let lines = format!("a.example {etc}/a.pem\n.b.example {etc}/b.pem\nother.example {etc}/b.pem\n");
        save(&site.path("etc/names"), &lines, 0o600);
        until("the new name", || (kinds(&["other.example"]) == [ec]).then_some(()));
        // Where the text is gone, what postmap -F wrote counts: both as they were then.
        std::fs::remove_file(site.path("etc/names")).expect("removes");
        drop(server);
        let _server = Server::start(&site);
        assert_eq!(kinds(&["a.example", "x.b.example", "other.example"]), [ec, rsa, rsa]);
        let log = site.log();
        assert!(
            log.contains("TLS SNI other.example from unknown[127.0.0.1] not matched, using default chain"),
            "{log}"
        );
    });
}

#[test]
fn versions_below_1_2_are_refused() {
    world::run("certificates::versions_below_1_2_are_refused", Needs::Root, || {
        let site = Site::new("");
        save(&site.path("etc/pair.pem"), &pair("rsa.pem"), 0o600);
        site.main("smtpd_tls_security_level = may\nsmtpd_tls_chain_files = $config_directory/pair.pem\n");
        let _server = Server::start(&site);
        let version = |option: &str| {
            let address = site.address();
            let text = shell(&format!(
                "openssl s_client -starttls smtp -connect {address} -cipher ALL:@SECLEVEL=0 {option} </dev/null 2>&1"
            ));
            text.lines().any(|line| line.contains("Cipher is ") && !line.contains("(NONE)"))
        };
        let spoken: Vec<bool> = ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"].map(version).into();
        assert_eq!(spoken, [false, false, true, true]);
    });
}
