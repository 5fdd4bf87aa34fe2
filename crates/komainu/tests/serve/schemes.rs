//! Stored passwords of each scheme, judged by `doveadm auth test` and by `komainu user test`, which read the same
//! passwd-file (T0.2, T2.5). RFC 2307, RFC 9106.

use crate::dovecot::{self, Dovecot};
use crate::server::KOMAINU;
use crate::world::{self, Needs};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const PASSWORD: &str = "pa ss wörd%$1";
const WRONG: [&str; 3] = ["pa ss wörd%$2", "pa ss wörd%$1 ", "x"];

/// What Dovecot makes, and we know.
const SCHEMES: [&str; 25] = [
    "PLAIN",
    "CLEAR",
    "CLEARTEXT",
    "PLAIN.B64",
    "PLAIN.HEX",
    "CRYPT",
    "MD5-CRYPT",
    "SHA256-CRYPT",
    "SHA512-CRYPT",
    "BLF-CRYPT",
    "ARGON2I",
    "ARGON2ID",
    "SSHA",
    "SSHA256",
    "SSHA512",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA512",
    "SSHA.HEX",
    "SHA256.HEX",
    "SHA512.B64",
    "PBKDF2",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
];

/// What stands in a file as well: the password's field and what is behind it; HASH is a hash of the password.
const ODD: [&str; 22] = [
    "{sha512-crypt}HASH",
    "HASH",
    "{CRYPT}HASH",
    "{CRYPT.B64}HASH",
    "{SHA256-CRYPT}HASH",
    "{BLF-CRYPT}HASH",
    "{SHA512-CRYPT}!HASH",
    "!HASH",
    "*",
    "!",
    "",
    "{PLAIN}",
    "{PLAIN}x",
    "{SHA}HASH",
    "{NONE}x",
    "{}HASH",
    "{SHA512-CRYPT",
    "HASH:1000:1000:x:/home/x:/bin/sh:userdb_mail=maildir:/x y=z",
    ":::::::nopassword=y",
    "HASH::::::nopassword=y",
    "!HASH::::::nopassword",
    "*::::::nopassword=y",
];

fn said(program: &mut Command) -> String {
    let output = program.output().expect("runs");
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether Dovecot lets in.
fn dovecot_says(user: &str, password: &str) -> bool {
    let mut doveadm = Command::new("doveadm");
    let doveadm = doveadm.args(["-c", "/mnt/dovecot/dovecot.conf", "auth", "test"]);
    let output = doveadm.args(["-x", "service=smtp", "-x", "rip=192.0.2.9", user, password]).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).expect("runs");
    assert!(said.contains(" auth succeeded") || said.contains(" auth failed"), "{user}: {said}");
    said.contains(" auth succeeded")
}

/// Whether we do.
fn own_says(user: &str, password: &str) -> bool {
    let mut command = Command::new(KOMAINU);
    command.args(["user", "--file", "/mnt/dovecot/users", "test", user]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(format!("{password}\n").as_bytes()).expect("writes");
    child.wait().expect("ends").success()
}

#[test]
fn each_scheme_as_dovecot_judges_it() {
    world::run("schemes::each_scheme_as_dovecot_judges_it", Needs::Root, || {
        if !dovecot::is_there("each_scheme_as_dovecot_judges_it", "auth") {
            return;
        }
        let made = |scheme: &str| said(Command::new("doveadm").args(["pw", "-s", scheme, "-p", PASSWORD]));
        let hash = said(Command::new("openssl").args(["passwd", "-6", PASSWORD]));
        let mut lines: Vec<String> = SCHEMES.iter().map(|scheme| made(scheme)).collect();
        lines.extend(ODD.iter().map(|line| line.replace("HASH", &hash)));
        let users: String =
            lines.iter().enumerate().map(|(n, line)| format!("u{n}@example.com:{line}\n")).collect();
        let more = "auth_mechanisms = plain\n";
        let _dovecot =
            Dovecot::start_for_log_ins(&users, more, || fs::metadata("/mnt/dovecot/run/auth-client").ok());
        let judge = |n: usize, line: String| {
            std::thread::spawn(move || {
                let user = format!("u{n}@example.com");
                let tries = [PASSWORD, ""].into_iter().chain(WRONG);
                let differ = tries.filter(|one| dovecot_says(&user, one) != own_says(&user, one));
                differ.map(|one| format!("{line}: {one:?}")).collect::<Vec<_>>()
            })
        };
        let all: Vec<_> = lines.iter().enumerate().map(|(n, line)| judge(n, line.clone())).collect();
        let differ: Vec<String> = all.into_iter().flat_map(|one| one.join().expect("judges")).collect();
        assert!(differ.is_empty(), "{differ:#?}");
        let right =
            SCHEMES.iter().enumerate().filter(|(n, _)| own_says(&format!("u{n}@example.com"), PASSWORD));
        assert_eq!(right.count(), SCHEMES.len());
    });
}
