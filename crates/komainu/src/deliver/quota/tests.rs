//! Maildir++ as Courier's maildirquota and Dovecot's quota documentation describe it.

use super::*;
use crate::deliver::maildir::{self, Letter, MaildirError};
use crate::privileged::Identity;
use std::time::{Duration, SystemTime};

#[test]
fn what_a_table_says() {
    let check = |text: &str, expect: Option<(u64, u64)>| {
        let quota = Quota::parse(text);
        let numbers = quota.map(|quota| (quota.bytes.unwrap_or(0), quota.messages.unwrap_or(0)));
        assert_eq!(numbers, expect, "{text}");
    };
    check("1000000S,1000C", Some((1_000_000, 1000)));
    check("1000C,1000000S", Some((1_000_000, 1000)));
    check("10S", Some((10, 0)));
    check("1048576", Some((1_048_576, 0)));
    check(" 2G ", Some((2 << 30, 0)));
    check("0", Some((0, 0)));
    check("NOQUOTA", Some((0, 0)));
    check("*:storage=1G:messages=1000", Some((1 << 30, 1000)));
    check("*:storage=10", Some((10 << 10, 0)));
    check("*:bytes=100M", Some((100 << 20, 0)));
    check("storage=5M", Some((5 << 20, 0)));
    check("*:ignore", Some((0, 0)));
    check("Trash:storage=5M", None);
    check("*:storage=10%", None);
    check("*:storage=+10M", None);
    check("", None);
    check("full", None);
    check("-5S", None);
    check("99999999999999999999S", None);
    check("99999999T", None);
}

#[test]
fn what_a_maildir_says() {
    let check = |text: &str, expect: Option<(u64, u64, usize)>| {
        let sizes = Sizes::parse(text);
        let found = sizes.map(|sizes| (sizes.holds.bytes, sizes.holds.messages, sizes.lines));
        assert_eq!(found, expect, "{text}");
    };
    check("10S\n", Some((0, 0, 0)));
    check("10S\n5 1\n", Some((5, 1, 1)));
    check("10S\n         5           1\n-2 -1\n 7 2", Some((10, 2, 3)));
    check("10S\n5\n", None);
    check("10S\n5 1 1\n", None);
    check("10S\nx y\n", None);
    check("10S\n-5 0\n", None);
    check("10S\n9223372036854775807 1\n1 1\n", None);
    check("", None);
}

/// A Maildir, its quota, and what is put into it.
struct Box {
    folder: tempfile::TempDir,
    quota: Quota,
}

impl Box {
    fn of(quota: &str) -> Box {
        Box { folder: tempfile::tempdir().unwrap(), quota: Quota::parse(quota).unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("md")
    }

    fn put_into(&self, folder: &str, bytes: usize) -> Result<PathBuf, MaildirError> {
        let text = "x".repeat(bytes);
        let (content, quota) = (&mut text.as_bytes(), Some(&self.quota));
        let letter = Letter { head: b"", content, host: "h", now: clock::now().wall, limit: 0, quota };
        maildir::deliver(&self.path().join(folder), letter, &Identity::own())
    }

    fn put(&self, bytes: usize) -> bool {
        match self.put_into("", bytes) {
            Ok(path) => {
                assert!(path.display().to_string().ends_with(&format!(",S={bytes}")));
                true
            }
            Err(MaildirError::OverQuota(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn sizes(&self) -> String {
        fs::read_to_string(self.path().join("maildirsize")).unwrap_or_default()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.path().join("new")).unwrap().count()
    }

    fn age(&self, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options()
            .append(true)
            .open(self.path().join("maildirsize"))
            .unwrap()
            .set_modified(then)
            .unwrap();
    }
}

#[test]
fn a_full_maildir_takes_no_more() {
    let a = Box::of("100S");
    assert!(a.put(60) && !a.put(41) && a.put(40) && !a.put(1));
    assert_eq!((a.files(), a.sizes().as_str()), (2, "100S\n0 0\n60 1\n40 1\n"));
    assert_eq!(fs::read_dir(a.path().join("tmp")).unwrap().count(), 0);
    // Who deletes says so.
    let more = format!("{}-60 -1\n", a.sizes());
    fs::write(a.path().join("maildirsize"), more).unwrap();
    assert!(a.put(50));
    let b = Box::of("2C");
    assert!(b.put(1) && b.put(1000) && !b.put(1));
    // Nobody knows the size: is there any room?
    assert!(room(&b.path(), &b.quota, 0).is_err());
    assert!(room(&a.path(), &a.quota, 0).is_ok());
}

#[test]
fn a_count_that_nobody_can_believe_is_made_anew() {
    let a = Box::of("100S");
    assert!(a.put(90));
    let kept = a.path().join("maildirsize");
    // Garbage, too long, of another quota, a link.
    for text in ["100S\ngarbage\n".to_owned(), format!("100S\n{}", "1 1\n".repeat(1500)), "50S\n1 1\n".into()]
    {
        fs::write(&kept, text).unwrap();
        assert!(!a.put(11));
        assert_eq!(a.sizes(), "100S\n90 1\n");
    }
    fs::remove_file(&kept).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &kept).unwrap();
    assert!(!a.put(11));
    assert_eq!(a.sizes(), "100S\n90 1\n");
    // Full for more than 15 minutes, and something has happened since: looked at again.
    fs::write(&kept, "100S\n90 1\n10 1\n").unwrap();
    a.age(600);
    assert!(!a.put(10));
    a.age(1000);
    assert!(a.put(10));
}

#[test]
fn folders_belong_to_their_maildir() {
    let a = Box::of("1000S");
    assert!(a.put(100));
    let path = a.put_into(".Junk", 200).unwrap();
    assert!(path.starts_with(a.path().join(".Junk/new")));
    assert!(a.path().join(".Junk/maildirfolder").is_file());
    assert!(!a.path().join(".Junk/maildirsize").exists());
    assert_eq!(a.sizes(), "1000S\n0 0\n100 1\n200 1\n");
    a.put_into(".Trash", 5000).unwrap();
    assert!(!a.put(701));
    // Counted anew: not the trash, not what is deleted, not what is no message.
    let cur = a.path().join("cur");
    fs::write(cur.join("1.a.h,S=300:2,S"), "").unwrap();
    fs::write(cur.join("2.b.h,S=400:2,ST"), "").unwrap();
    fs::write(cur.join("3.c.h:2,"), "123").unwrap();
    fs::write(cur.join(".nfs"), "123").unwrap();
    fs::remove_file(a.path().join("maildirsize")).unwrap();
    assert!(a.put(1));
    assert_eq!(a.sizes(), "1000S\n603 4\n1 1\n");
}

#[test]
fn any_bytes() {
    let seeds: [&[u8]; 4] =
        [b"1000S,10C", b"*:storage=1G:messages=7", b"10S\n5 1\n-5 -1\n", b"1.V2I3.host,S=77:2,ST"];
    let mut state = 7_u64;
    for round in 0..20_000_usize {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let [a, b, ..] = (state >> 33).to_le_bytes();
            let at = usize::from(a) % bytes.len();
            bytes[at] = b;
        }
        fuzz(&bytes);
    }
}
