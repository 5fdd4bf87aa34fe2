//! `komainu table`. T1.7, T2.6.

use crate::program::Folder;

const ACCESS: &str =
    "12.34.56.78 OK\n11.22.33 REJECT\ncracker.com\nspammer.spam.com REJECT You are blacklisted\n";

#[test]
fn lookup_says_the_line() {
    let folder = Folder::new();
    folder.write("access", ACCESS);
    let ran = folder.komainu(&["table", "lookup", "hash:access", "SPAMMER.spam.com", "11.22.33"]);
    assert_eq!(
        ran.out,
        "SPAMMER.spam.com\tREJECT You are blacklisted\taccess:4\n11.22.33\tREJECT\taccess:2\n"
    );
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    let ran = folder.komainu(&["table", "lookup", "hash:access", "cracker.com"]);
    assert_eq!((ran.out.as_str(), ran.code), ("", Some(1)), "{ran:?}");
    assert_eq!(ran.errors, "komainu: cracker.com: not found\n");
}

#[test]
fn lookup_as_json() {
    let folder = Folder::new();
    folder.write("access", ACCESS);
    let ran = folder.komainu(&["table", "lookup", "--format", "json", "hash:access", "11.22.33", "x"]);
    let expect = "{\"file\":\"access\",\"found\":true,\"key\":\"11.22.33\",\"line\":2,\"value\":\"REJECT\"}\n\
                  {\"found\":false,\"key\":\"x\"}\n";
    assert_eq!((ran.out.as_str(), ran.code), (expect, Some(1)));
}

#[test]
fn tables_that_cannot_be_asked() {
    let folder = Folder::new();
    let check = |word: &str, code: i32, says: &str| {
        for command in [["table", "lookup"], ["table", "check"]] {
            let mut arguments = [command.as_slice(), &[word]].concat();
            if command.contains(&"lookup") {
                arguments.push("key");
            }
            let ran = folder.komainu(&arguments);
            assert_eq!(ran.code, Some(code), "{word}: {ran:?}");
            assert!(ran.errors.contains(says), "{word}: {ran:?}");
        }
    };
    check("hash:nofile", 75, "error[K0304]: hash:nofile: open database nofile: No such file or directory");
    check("hsah:x", 64, "error[K0301]: unsupported dictionary type: hsah");
    check("ldap:/etc/postfix/x.cf", 75, "error[K0303]");
    check("socketmap:unix:x", 64, "error[K0302]: need service transport:endpoint instead of \"unix\"");
    let ran = folder.komainu(&["table", "lookup", "fail:x", "key"]);
    assert_eq!(ran.code, Some(75), "{ran:?}");
}

/// T2.6: `cracker.com` without an action is dropped with a warning, and the check says it.
#[test]
fn check_points_at_lines() {
    let folder = Folder::new();
    folder.write("access", ACCESS);
    let ran = folder.komainu(&["table", "check", "hash:access"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in ["warning[K0305]", "access:3:1", "3 | cracker.com", "hash:access: 3 entries, 1 warning"] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    folder.write("good", "a b\n");
    let ran = folder.komainu(&["table", "check", "hash:good"]);
    assert_eq!((ran.out.as_str(), ran.code), ("hash:good: 1 entry\n", Some(0)));
}
