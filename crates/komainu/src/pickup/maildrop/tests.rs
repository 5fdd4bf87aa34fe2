//! What may be taken from the maildrop by what the kernel says of it.

use super::*;
use std::fs::{self, Permissions};

const GOOD: &str = "0123456789abcdef0123456789abcdef.mail";

#[test]
fn names() {
    for (name, expect) in [
        (GOOD, true),
        ("0123456789abcdef0123456789abcdef.tmp", false),
        ("0123456789abcdef0123456789abcde.mail", false),
        ("0123456789ABCDEF0123456789abcdef.mail", false),
        ("../../../../../../../../../../x.mail", false),
        ("", false),
    ] {
        assert_eq!(is_name(name), expect, "{name}");
    }
}

/// Opens after `prepare` has made something of that name.
fn opened(prepare: impl FnOnce(&Path)) -> io::Result<File> {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder.path().join(GOOD));
    open(folder.path(), GOOD)
}

fn whole(path: &Path) {
    fs::write(path, "x").unwrap();
    fs::set_permissions(path, Permissions::from_mode(WHOLE_MODE)).unwrap();
}

#[test]
fn only_a_regular_file_of_one_name_and_the_mode_of_a_whole_message_is_opened() {
    assert!(opened(whole).is_ok());
    let refused = |prepare: fn(&Path)| opened(prepare).unwrap_err();
    assert_eq!(refused(|_| {}).kind(), io::ErrorKind::NotFound);
    let linked = refused(|path| {
        whole(path);
        fs::hard_link(path, path.with_extension("other")).unwrap();
    });
    assert_eq!(linked.to_string(), "it has more than one name");
    let symlink = refused(|path| {
        whole(&path.with_extension("target"));
        std::os::unix::fs::symlink(path.with_extension("target"), path).unwrap();
    });
    assert_eq!(symlink.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
    // Neither waited for nor read.
    let fifo = refused(|path| {
        let mode = Mode::from_raw_mode(WHOLE_MODE);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    assert_eq!(fifo.to_string(), "not a regular file");
    assert_eq!(refused(|path| fs::create_dir(path).unwrap()).to_string(), "not a regular file");
    let unfinished = refused(|path| {
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    });
    assert_eq!(unfinished.to_string(), "it hasn't the mode of a whole message");
}

#[test]
fn a_folder_that_is_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::create_dir(&real).unwrap();
    whole(&real.join(GOOD));
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert!(open(&real, GOOD).is_ok());
    assert!(open(&link, GOOD).is_err());
}

/// However many names there are, and whichever of them the folder gives first, a message among them is found.
#[test]
fn a_message_among_a_great_many_names_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let put = |number: u32| {
        for part in 0..10_000 {
            fs::write(folder.path().join(format!("odd{number}-{part}")), "").unwrap();
        }
    };
    put(1);
    whole(&folder.path().join(GOOD));
    put(2);
    put(3);
    let unfinished = GOOD.replace('0', "1");
    fs::write(folder.path().join(unfinished), "x").unwrap();
    let mut odd = 0;
    let listed = list(folder.path(), LISTED_MAX, &mut |_, _| odd += 1).unwrap();
    assert_eq!((listed.turns(), odd), (VecDeque::from([VecDeque::from([GOOD.to_owned()])]), 30_001));
}

#[test]
fn each_owner_has_a_share_of_what_is_remembered() {
    let mut listed = Listed::default();
    let mut add = |uid: u32, second: i64| listed.add(uid, ((second, 0), format!("{uid}-{second}")), 8);
    (0..1000).rev().for_each(|second| add(1, second));
    (0..3).for_each(|second| add(2, second));
    (0..1000).for_each(|second| add(3, second));
    add(1, 2000);
    let turns = listed.turns();
    let owned: Vec<Vec<&str>> =
        turns.iter().map(|files| files.iter().map(String::as_str).collect()).collect();
    assert_eq!(owned, [vec!["1-0", "1-1"], vec!["2-0", "2-1", "2-2"], vec!["3-0", "3-1"]]);
    let mut listed = Listed::default();
    (0..100).for_each(|uid| listed.add(uid, ((0, 0), "x".to_owned()), 8));
    assert_eq!(listed.turns().len(), 100, "nobody is left out");
}

#[test]
fn complaints_are_bounded() {
    let (mut told, at) = (Told::default(), |seconds: u64| Mono(seconds * 1_000_000_000));
    let name = |number: usize| OsString::from(number.to_string());
    let mut said = |second, names: std::ops::Range<usize>| -> (usize, usize) {
        let all: Vec<Complaint> = names.map(|number| told.complaint(at(second), &name(number))).collect();
        let count = |what: Complaint| all.iter().filter(|one| **one == what).count();
        (count(Complaint::Named), count(Complaint::SummedUp))
    };
    assert_eq!(said(1, 0..50), (50, 0));
    assert_eq!(said(2, 0..100_000), (50, 1), "the first are known, and the rest is one line");
    for second in 3..50 {
        assert_eq!(said(second, 0..100_000), (0, 0));
    }
    assert_eq!(said(3700, 0..100_000), (100, 1), "an hour later");
}
