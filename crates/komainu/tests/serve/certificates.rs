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
    let text = shell(&format!(
        "openssl s_client -starttls smtp -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -text"
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
