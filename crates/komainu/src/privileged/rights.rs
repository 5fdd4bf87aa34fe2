//! Giving root's rights up, for good.

use rustix::process::{Gid, Uid};
use std::io;

/// The account that the server runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
}

/// Whether this process may do what root may.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Finds an account in the text of /etc/passwd.
#[must_use]
pub fn find_account(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name: name.to_owned(), uid, gid })
}

/// Finds a group's number in the text of /etc/group.
#[must_use]
pub fn find_group(group: &str, name: &str) -> Option<u32> {
    let line = group.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The name of a user id, in the text of /etc/passwd.
#[must_use]
pub fn account_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// Becomes `account` in all ids, without supplementary groups, and keeps any later gain of rights out.
///
/// The ids are a property of the calling thread, which the threads made later inherit: call it while the
/// process has one thread.
///
/// # Errors
/// When the kernel refuses, or when root could be had back.
pub fn drop_to(account: &Account) -> io::Result<()> {
    drop_with(account, &[])
}

/// As [`drop_to`], in these groups besides the account's own.
///
/// # Errors
/// As [`drop_to`].
pub fn drop_with(account: &Account, groups: &[u32]) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::thread::set_no_new_privs(true)?;
    if account.uid != 0 && rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        return Err(io::Error::other("root's rights could be taken back after they were dropped"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_whole() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostfixer:x:7:8::/:/x\npostfix:x:101:103::/:/x\n";
        let found = find_account(passwd, "postfix").unwrap();
        assert_eq!((found.uid, found.gid), (101, 103));
        assert_eq!(find_account(passwd, "post"), None);
        let group = "adm:x:4:syslog\nsystemd-journal:x:999:\n";
        assert_eq!((find_group(group, "systemd-journal"), find_group(group, "systemd")), (Some(999), None));
        assert_eq!((account_name(passwd, 101), account_name(passwd, 1)), (Some("postfix"), None));
    }
}
