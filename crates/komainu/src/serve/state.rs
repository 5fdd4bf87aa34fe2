//! The state folder, made or taken over by root at a start.
//!
//! It belongs to the account that the server runs as, which may have been taken over: root goes through it by descriptors,
//! follows nothing that it finds there, and gives away no file that has another name elsewhere. T1.14.

use crate::pickup::maildrop;
use crate::privileged::rights::{self, Account};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::{Gid, Uid};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// How deep folders are within the queue, at most.
const DEPTH_MAX: usize = 16;

/// Makes the state folder and gives it, and what is in it, to the account; without one it stays whose it is.
pub(super) fn make(state: &Path, account: Option<&Account>) -> io::Result<()> {
    // Mailboxes are below, so others may pass through, but not look.
    let is_new = !state.exists();
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(state)?;
    if is_new {
        std::fs::set_permissions(state, PermissionsExt::from_mode(0o711))?;
    }
    let state = open_state(state)?;
    let give = |folder: &OwnedFd| match account {
        Some(account) => give(folder, account),
        None => Ok(()),
    };
    let queue = folder(&state, "queue")?;
    // As root everybody may drop mail there, and only the server may see whose; else it is for one's own.
    let dropped = folder(&state, maildrop::NAME)?;
    give(&dropped)?;
    rustix::fs::fchmod(&dropped, Mode::from_raw_mode(if account.is_some() { 0o1733 } else { 0o700 }))?;
    give(&state)?;
    give(&queue)?;
    rustix::fs::fchmod(&queue, Mode::from_raw_mode(0o700))?;
    let Some(account) = account else { return Ok(()) };
    give_file(&state, super::pid::NAME, account)?;
    give_file(&state, crate::reporting::KEPT, account)?;
    give_all(queue, account, DEPTH_MAX)
}

/// Makes one folder of an account's by itself, with the files `names` in it; the folder around it is made, too.
pub(crate) fn make_one(path: &Path, names: &[&str], account: Option<&Account>) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
    let folder = folder(&open_state(parent)?, name)?;
    let Some(account) = account else { return Ok(()) };
    only_ours(&folder, names, account)?;
    give(&folder, account)?;
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o700))?;
    names.iter().try_for_each(|name| give_file(&folder, *name, account))
}

/// A folder that isn't the account's is taken over where it has nothing in it but `names`: `--state /tmp` was a slip.
fn only_ours(folder: &OwnedFd, names: &[&str], account: &Account) -> io::Result<()> {
    if rustix::fs::fstat(folder)?.st_uid == account.uid {
        return Ok(());
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if !matches!(name.as_ref(), "." | "..") && !names.contains(&name.as_ref()) {
            let whose = &account.name;
            let text =
                format!("not {whose}'s, and {name} is in it: name an empty folder, or chown it to {whose}");
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

/// The state folder itself is where the administrator says, behind a symbolic link of his own too.
fn open_state(state: &Path) -> io::Result<OwnedFd> {
    let metadata = std::fs::symlink_metadata(state)?;
    if metadata.is_symlink() && metadata.uid() != 0 && rights::is_root() {
        return Err(io::Error::other("a symbolic link that isn't root's"));
    }
    Ok(rustix::fs::open(state, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A folder in the state folder, made where there is none.
fn folder(state: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(state, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open_folder(state, name).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => {
            io::Error::other(format!("{name} is no folder; symbolic links are not followed"))
        }
        error => error.into(),
    })
}

fn open_folder(parent: &OwnedFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn owners(account: &Account) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))
}

fn give(folder: &OwnedFd, account: &Account) -> io::Result<()> {
    let (uid, gid) = owners(account);
    Ok(rustix::fs::fchown(folder, uid, gid)?)
}

/// What is in a folder, and in its folders. Files only: whatever else is there was nobody's to begin with.
fn give_all(folder: OwnedFd, account: &Account, depth: usize) -> io::Result<()> {
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match open_folder(&folder, name) {
            Ok(inner) if depth > 0 => {
                give(&inner, account)?;
                give_all(inner, account, depth - 1)?;
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => give_file(&folder, name, account)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A file that is another's becomes the account's: a regular one that has no other name.
fn give_file(folder: &OwnedFd, name: impl Arg + Copy, account: &Account) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        file => file?,
    };
    let stat = rustix::fs::fstat(&file)?;
    if stat.st_uid == account.uid || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    if stat.st_nlink != 1 {
        let name = name.to_string_lossy();
        return Err(io::Error::other(format!(
            "{name} has {} names and isn't {}'s",
            stat.st_nlink, account.name
        )));
    }
    let (uid, gid) = owners(account);
    Ok(rustix::fs::chownat(&file, c"", uid, gid, AtFlags::EMPTY_PATH)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{chown, symlink};

    /// A state folder of the account's, a folder that is root's, and what `prepare` does; what a start says, and the owner
    /// of root's file afterwards. By root only.
    fn started(prepare: impl FnOnce(&Path, &Path)) -> Option<(Result<(), String>, u32, fs::Metadata)> {
        if !rights::is_root() {
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let (state, theirs) = (root.path().join("state"), root.path().join("root"));
        fs::create_dir(&state).unwrap();
        chown(&state, Some(2001), Some(2001)).unwrap();
        fs::create_dir(&theirs).unwrap();
        fs::set_permissions(&theirs, PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(theirs.join("file"), "precious").unwrap();
        prepare(&state, &theirs);
        let account = Account { name: "komainu".into(), uid: 2001, gid: 2001 };
        let done = make(&state, Some(&account)).map_err(|error| error.to_string());
        assert_eq!(fs::read(theirs.join("file")).unwrap(), b"precious");
        let owner = fs::metadata(theirs.join("file")).unwrap().uid();
        Some((done, owner, fs::metadata(&theirs).unwrap()))
    }

    fn refused(prepare: impl FnOnce(&Path, &Path), expect: &str) {
        let Some((done, owner, folder)) = started(prepare) else { return };
        assert_eq!(done, Err(expect.to_owned()));
        assert_eq!((owner, folder.uid(), folder.mode() & 0o7777), (0, 0, 0o755));
    }

    #[test]
    fn nothing_is_followed_out_of_the_state_folder() {
        let link = "queue is no folder; symbolic links are not followed";
        refused(|state, theirs| symlink(theirs, state.join("queue")).unwrap(), link);
        let link = "maildrop is no folder; symbolic links are not followed";
        refused(|state, theirs| symlink(theirs, state.join("maildrop")).unwrap(), link);
        let names = "komainu.pid has 2 names and isn't komainu's";
        refused(
            |state, theirs| fs::hard_link(theirs.join("file"), state.join("komainu.pid")).unwrap(),
            names,
        );
        refused(
            |state, theirs| {
                fs::create_dir_all(state.join("queue/log")).unwrap();
                fs::hard_link(theirs.join("file"), state.join("queue/log/x")).unwrap();
            },
            "x has 2 names and isn't komainu's",
        );
    }

    #[test]
    fn what_is_in_it_becomes_the_accounts() {
        let found = started(|state, theirs| {
            fs::create_dir_all(state.join("queue/log/deep")).unwrap();
            fs::write(state.join("queue/log/deep/x"), "x").unwrap();
            fs::write(state.join("komainu.pid"), "1").unwrap();
            // Left alone, whoever made it.
            symlink(theirs.join("file"), state.join("queue/log/link")).unwrap();
            symlink(theirs, state.join("queue/log/folder")).unwrap();
        });
        let Some((done, owner, _)) = found else { return };
        assert_eq!((done, owner), (Ok(()), 0));
    }

    #[test]
    fn a_folder_with_somebodys_files_is_left_alone() {
        if !rights::is_root() {
            return;
        }
        let account = Account { name: "komainu".into(), uid: 2001, gid: 2001 };
        let check = |files: &[&str], owner: u32, expect: Result<(), &str>| {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("bans");
            fs::create_dir(&folder).unwrap();
            files.iter().for_each(|name| fs::write(folder.join(name), "x").unwrap());
            chown(&folder, Some(owner), None).unwrap();
            let done = make_one(&folder, &["bans"], Some(&account)).map_err(|error| error.to_string());
            assert_eq!(
                done.as_ref().map_err(String::as_str),
                expect.as_ref().map_err(|text| *text),
                "{files:?} {owner}"
            );
            assert_eq!(fs::metadata(&folder).unwrap().uid(), if expect.is_ok() { 2001 } else { owner });
        };
        check(&[], 0, Ok(()));
        check(&["bans"], 0, Ok(()));
        check(&["letter"], 2001, Ok(()));
        check(
            &["letter"],
            0,
            Err("not komainu's, and letter is in it: name an empty folder, or chown it to komainu"),
        );
        check(
            &["letter"],
            1000,
            Err("not komainu's, and letter is in it: name an empty folder, or chown it to komainu"),
        );
    }

    #[test]
    fn modes_and_owners() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("new/state");
        let account = Account { name: "komainu".into(), uid: 2001, gid: 2002 };
        let account = rights::is_root().then_some(account);
        if account.is_some() {
            fs::create_dir_all(state.join("queue/log")).unwrap();
            fs::write(state.join("queue/log/x"), "x").unwrap();
            fs::write(state.join("komainu.pid"), "1").unwrap();
        }
        make(&state, account.as_ref()).unwrap();
        make(&state, account.as_ref()).unwrap();
        let mode = |name: &str| fs::metadata(state.join(name)).unwrap().mode() & 0o7777;
        let dropped = if account.is_some() { 0o1733 } else { 0o700 };
        assert_eq!((mode("queue"), mode("maildrop")), (0o700, dropped));
        if account.is_some() {
            for name in ["", "queue", "maildrop", "queue/log", "queue/log/x", "komainu.pid"] {
                let metadata = fs::metadata(state.join(name)).unwrap();
                assert_eq!((metadata.uid(), metadata.gid()), (2001, 2002), "{name}");
            }
        } else {
            assert_eq!(mode(""), 0o711);
        }
    }
}
