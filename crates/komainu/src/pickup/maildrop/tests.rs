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
