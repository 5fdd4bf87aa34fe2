//! `komainu user`. T2.5. Dovecot's `doveadm pw -t` judges what is written.

use crate::program::{Folder, Ran, komainu};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn user(folder: &Folder, arguments: &[&str], password: &str) -> Ran {
    folder.run(komainu(), &[&["user", "--file", "users"], arguments].concat(), password.as_bytes())
}

fn text(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path().join("users")).expect("reads")
}

#[test]
fn a_users_life() {
    let folder = Folder::new();
    let check = |arguments: &[&str], password: &str, (code, out): (i32, &str)| {
        let ran = user(&folder, arguments, password);
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), out), "{arguments:?} {ran:?}");
    };
    check(&["list"], "", (75, ""));
    check(&["passwd", "alice"], "secret\n", (75, ""));
    check(&["add", "alice"], "secret\n", (0, "alice: added in users\n"));
    let mode = std::fs::metadata(folder.path().join("users")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    check(&["add", "Alice"], "other\n", (1, ""));
    check(&["add", "a:b"], "secret\n", (1, ""));
    check(&["add", "empty"], "\n", (1, ""));
    check(&["add", "bob", "--scheme", "plain"], "pass word", (0, "bob: added in users\n"));
    check(&["test", "alice"], "secret\n", (0, "alice: right\n"));
    check(&["test", "alice"], "Secret\n", (1, "alice: wrong\n"));
    check(&["test", "bob"], "pass word\n", (0, "bob: right\n"));
    check(&["test", "carol"], "x\n", (1, ""));
    check(&["disable", "alice"], "", (0, "alice: disabled in users\n"));
    check(&["test", "alice"], "secret\n", (1, "alice: disabled\n"));
    check(&["list"], "", (0, "alice\tARGON2ID\tSCRAM disabled\nbob\tPLAIN\tSCRAM\n"));
    check(&["enable", "alice"], "", (0, "alice: enabled in users\n"));
    check(&["passwd", "alice", "--no-scram"], "new\n", (0, "alice: changed in users\n"));
    check(&["test", "alice"], "new\n", (0, "alice: right\n"));
    let json = "{\"disabled\":false,\"line\":1,\"nopassword\":false,\"scheme\":\"ARGON2ID\",\"scram\":false,\
                \"user\":\"alice\"}\n{\"disabled\":false,\"line\":2,\"nopassword\":false,\"scheme\":\"PLAIN\",\
                \"scram\":true,\"user\":\"bob\"}\n";
    check(&["list", "--format", "json"], "", (0, json));
    check(&["remove", "alice"], "", (0, "alice: removed in users\n"));
    check(&["remove", "alice"], "", (1, ""));
    assert_eq!(text(&folder), "bob:{PLAIN}pass word\n");
    check(&["--wrong"], "", (64, ""));
}

#[test]
fn comments_and_order_stay() {
    let folder = Folder::new();
    folder.write("users", "# ours\nzoe:{PLAIN}x:1:2::/home/z::mail=y\n\n# theirs\nann:*\n");
    assert_eq!(
        user(&folder, &["passwd", "ann", "--scheme", "ssha256", "--no-scram"], "secret\n").code,
        Some(0)
    );
    let text = text(&folder);
    assert!(
        text.starts_with("# ours\nzoe:{PLAIN}x:1:2::/home/z::mail=y\n\n# theirs\nann:{SSHA256}"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 5, "{text}");
}

/// Programs that add users at the same time lose none.
#[test]
fn changes_wait_for_each_other() {
    let folder = Folder::new();
    folder.write("users", "");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let folder = &folder;
            scope.spawn(move || {
                let name = format!("user{number}");
                assert_eq!(user(folder, &["add", &name, "--scheme", "ssha256"], "x\n").code, Some(0));
            });
        }
    });
    assert_eq!(text(&folder).lines().count(), 8);
}

/// What is written is what Dovecot reads.
#[test]
fn dovecot_agrees() {
    let doveadm = Path::new("/usr/bin/doveadm");
    if !doveadm.exists() {
        assert!(std::env::var_os("CI").is_none(), "no doveadm to compare with");
        return println!("not compared: {} isn't installed", doveadm.display());
    }
    let folder = Folder::new();
    for scheme in ["argon2id", "blf-crypt", "sha512-crypt", "ssha256", "cram-md5", "plain"] {
        assert_eq!(user(&folder, &["add", scheme, "--scheme", scheme], "gehéim 1\n").code, Some(0));
    }
    for line in text(&folder).lines() {
        let mut fields = line.split(':');
        let stored = fields.nth(1).expect("stored");
        let keys = line.split_once("scram-sha-256=").map(|(_, keys)| format!("{{SCRAM-SHA-256}}{keys}"));
        for stored in std::iter::once(stored.to_owned()).chain(keys) {
            let judged =
                |password: &str| folder.run(doveadm, &["pw", "-t", &stored, "-p", password], b"").code;
            assert_eq!(judged("gehéim 1"), Some(0), "{stored}");
            assert_ne!(judged("geheim 1"), Some(0), "{stored}");
        }
    }
    // And the other way round, with its own settings.
    for scheme in ["SHA512-CRYPT", "PBKDF2", "SCRAM-SHA-1", "SSHA512", "CRAM-MD5", "BLF-CRYPT", "ARGON2I"] {
        let made = folder.run(doveadm, &["pw", "-s", scheme, "-p", "gehéim 2"], b"");
        folder.write("users", format!("theirs:{}", made.out));
        assert_eq!(user(&folder, &["test", "theirs"], "gehéim 2\n").code, Some(0), "{scheme}: {made:?}");
        assert_eq!(user(&folder, &["test", "theirs"], "gehéim 3\n").code, Some(1), "{scheme}");
    }
}
