//! `komainu dkim`. T2.28. OpenSSL judges the keys.

use crate::program::{Folder, Ran, komainu};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

fn dkim(folder: &Folder, arguments: &[&str]) -> Ran {
    folder.run(komainu(), &[&["dkim"], arguments].concat(), b"")
}

fn has_openssl() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    if !there {
        println!("dkim: didn't run: no openssl");
        assert!(std::env::var_os("CI").is_none(), "no openssl");
    }
    there
}

/// The public half in Base64, as OpenSSL has it.
fn by_openssl(folder: &Folder, file: &str, skipped: usize) -> String {
    let path = folder.path().join(file);
    let mut openssl = Command::new("openssl");
    let out = openssl.args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(path).output().expect("runs");
    assert!(out.status.success(), "{out:?}");
    mail::base64::encode(out.stdout.get(skipped..).expect("a key"))
}

#[test]
fn keys_are_made_and_shown() {
    if !has_openssl() {
        return;
    }
    let folder = Folder::new();
    for (kind, file, skipped) in [("rsa", "2026.private", 0), ("ed25519", "ed.private", 12)] {
        let selector = file.trim_end_matches(".private");
        let made = dkim(&folder, &["new-key", "Example.com", selector, "--type", kind]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let mode = std::fs::metadata(folder.path().join(file)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = by_openssl(&folder, file, skipped);
        let record = format!("v=DKIM1; k={kind}; p={public}");
        let strings: String = made.out.split('"').skip(1).step_by(2).collect();
        assert_eq!(strings, record, "{made:?}");
        let longest = made.out.split('"').skip(1).step_by(2).map(str::len).max();
        assert!(longest.is_some_and(|longest| longest <= 255), "{made:?}");
        let at = folder.path().join(file);
        let at = at.canonicalize().expect("there");
        let line = format!("\n{selector}.example.com  example.com:{selector}:{}\n", at.display());
        assert!(made.out.contains(&line), "{made:?}");
        assert!(made.out.ends_with(&format!("\n*@example.com  {selector}.example.com\n")), "{made:?}");
        let shown = dkim(&folder, &["show", file]);
        assert_eq!((shown.code, shown.out), (Some(0), format!("{record}\n")));
        let again = dkim(&folder, &["new-key", "example.com", selector, "--type", kind]);
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(again.errors.contains("isn't written over"), "{again:?}");
        assert_eq!(by_openssl(&folder, file, skipped), public);
    }
    let whole = dkim(&folder, &["show", "ed.private", "--domain", "example.com", "--selector", "ed"]);
    assert!(whole.out.starts_with("ed._domainkey.example.com. IN TXT \"v=DKIM1; k=ed25519; p="), "{whole:?}");
    let json = dkim(&folder, &["show", "ed.private", "--format", "json"]);
    assert!(json.out.starts_with("{\"kind\":\"ed25519\",\"name\":null,\"record\":\"v=DKIM1;"), "{json:?}");
}

#[test]
fn what_is_no_key() {
    let folder = Folder::new();
    folder.write("text", "nothing\n");
    assert_eq!(dkim(&folder, &["show", "text"]).code, Some(1));
    assert_eq!(dkim(&folder, &["show", "none"]).code, Some(75));
    assert_eq!(dkim(&folder, &["new-key", "example", "s"]).code, Some(64));
    assert_eq!(dkim(&folder, &["new-key", "example.com", "a b"]).code, Some(64));
    assert_eq!(dkim(&folder, &["new-key", "example.com", "s", "--bits", "1024"]).code, Some(64));
    assert_eq!(dkim(&folder, &["show", "text", "--domain", "example.com"]).code, Some(64));
}

/// Nobody listens at that name server: another try may do better.
#[test]
fn no_answer() {
    let folder = Folder::new();
    folder.write("main.cf", "komainu_dns_servers = 127.0.0.1:1\n");
    folder.write("master.cf", "");
    let ran = dkim(&folder, &["check", "example.com", "s", "--config", "."]);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.errors.contains("s._domainkey.example.com: the DNS gives no answer"), "{ran:?}");
}
