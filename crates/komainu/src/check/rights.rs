//! What whoever checks may not look at: said once, so that silence isn't taken for praise; and who may.
//!
//! The server has root's helper to read for it, so a file that only root reads is no fault; whoever checks without
//! these rights is told what was left out.
//! Diagnostics: K0504 files that this user may not look at.

use super::surroundings::{Accounts, Machine, Sight};
use config::{Code, Diagnostic, Place};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use tables::source::notice::{DATABASE_UNREADABLE, UNREADABLE};

/// Files that are named.
const SHOWN: usize = 5;
/// A file of the configuration that can't be read.
const NO_FILE: u16 = 100;

/// In place of what the loader says of tables that only others may read, and with what was hidden from the judges: one
/// hint. Root reads everything: what is denied to it is as broken as it looks.
pub(super) fn say_once(found: &mut Vec<Diagnostic>, denied: &BTreeSet<PathBuf>, machine: &Machine) {
    for one in found.iter_mut().filter(|one| one.code.0 == NO_FILE) {
        if let Some(path) = denied.iter().find(|path| one.message.contains(&*path.to_string_lossy())) {
            one.help = Some(advice(path, machine));
        }
    }
    if machine.user == 0 {
        return;
    }
    let is_denied = |one: &Diagnostic| {
        matches!(one.code, Code(UNREADABLE | DATABASE_UNREADABLE))
            && one.message.ends_with("Permission denied")
    };
    found.retain(|one| !is_denied(one));
    let hidden = machine.hidden();
    let all: BTreeSet<&PathBuf> = denied.iter().chain(&hidden).collect();
    // A folder above one that is named says nothing more.
    let is_above = |path: &&PathBuf| {
        let mut behind = all.range::<PathBuf, _>((Bound::Excluded(*path), Bound::Unbounded));
        behind.next().is_some_and(|next| next.starts_with(path))
    };
    let named: BTreeSet<&PathBuf> = all.iter().copied().filter(|path| !is_above(path)).collect();
    found.extend(left_out(&named));
}

fn left_out(paths: &BTreeSet<&PathBuf>) -> Option<Diagnostic> {
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    let (count, more) = (paths.len(), paths.len().saturating_sub(shown.len()));
    let files = match (count, more) {
        (0, _) => return None,
        (1, _) => shown.concat(),
        (_, 0) => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    };
    let message = format!("not looked at, for this user may not: {files}");
    let help =
        "what hangs on them is not judged, and that nothing is said of them means nothing; run it as root";
    Some(Diagnostic::hint(504, Place::nowhere(), message).help(help))
}

/// Who may read `path`, and what to do.
#[must_use]
pub fn advice(path: &Path, machine: &Machine) -> String {
    let accounts = Accounts::read(machine);
    let above: Vec<&Path> = path.ancestors().skip(1).collect();
    let seen = |path: &Path| match machine.sight(path) {
        Sight::Seen(stat) => Some(stat),
        Sight::Hidden | Sight::Missing => None,
    };
    // A file that can't be seen lies in a folder that can't be entered: the deepest that is seen.
    let (what, verb, stat) =
        match (seen(path), above.iter().find_map(|folder| Some((*folder, seen(folder)?)))) {
            (Some(stat), _) => (path, "read", stat),
            (None, Some((folder, stat))) => (folder, "enter", stat),
            (None, None) => return "run the same as root".to_owned(),
        };
    let owner = accounts.user_name(stat.uid);
    let wanted = if verb == "read" { 0o040 } else { 0o010 };
    let group =
        (stat.mode & wanted != 0).then(|| format!(" and the group {}", accounts.group_name(stat.gid)));
    format!("only {owner}{} may {verb} {}: run the same as root", group.unwrap_or_default(), what.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Reach;
    use crate::configuration::DirectSources;

    #[test]
    fn files_left_out() {
        let check = |paths: &[&str], expect: &str| {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let found = left_out(&paths.iter().collect());
            let said = found.map(|one| format!("{} {} {}", one.code, one.severity, one.message));
            assert_eq!(said.unwrap_or_default(), expect);
        };
        check(&[], "");
        check(&["/x"], "K0504 hint not looked at, for this user may not: /x");
        check(&["/x", "/y"], "K0504 hint not looked at, for this user may not: /x, /y");
        check(
            &["/1", "/2", "/3", "/4", "/5", "/6", "/7"],
            "K0504 hint not looked at, for this user may not: /1, /2, /3, /4, /5 and 2 more",
        );
    }

    /// What root is refused stays what it is.
    #[test]
    fn tables_of_others() {
        let table = || {
            Diagnostic::error(
                304,
                Place::nowhere(),
                "hash:/x is unavailable. open database /x: Permission denied",
            )
        };
        let gone = || {
            Diagnostic::error(304, Place::nowhere(), "hash:/x is unavailable. open database /x: No such file")
        };
        let check = |user: u32, expect: &[u16]| {
            let mut machine = Machine::this(0);
            machine.user = user;
            let mut found = vec![table(), gone()];
            say_once(&mut found, &BTreeSet::from([PathBuf::from("/x")]), &machine);
            assert_eq!(found.iter().map(|one| one.code.0).collect::<Vec<_>>(), expect, "{user}");
        };
        check(0, &[304, 304]);
        check(1000, &[304, 504]);
    }

    #[test]
    fn who_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("main.cf");
        std::fs::write(&file, "").expect("written");
        let machine = Machine::this(0);
        let mode = |mode| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode));
        mode(0o600).expect("chmod");
        let said = advice(&file, &machine);
        assert!(said.ends_with(&format!("may read {}: run the same as root", file.display())), "{said}");
        assert!(!said.contains("group"), "{said}");
        mode(0o640).expect("chmod");
        assert!(advice(&file, &machine).contains(" and the group "), "{}", advice(&file, &machine));
    }

    /// A configuration in a folder that everybody may enter, checked by somebody without rights.
    fn by_nobody(closed: &str, reach: Reach) -> Vec<Diagnostic> {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
                .expect("chmod");
        };
        mode(folder.path(), 0o755);
        let table = folder.path().join("access");
        let main = format!(
            "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = example.com\nalias_maps =\n\
             mynetworks = 127.0.0.0/8\nsmtpd_client_restrictions = check_client_access hash:{}\n",
            table.display()
        );
        for (name, text) in
            [("main.cf", main.as_str()), ("master.cf", "25 inet n - n - - smtpd\n"), ("access", "x OK\n")]
        {
            std::fs::write(folder.path().join(name), text).expect("written");
            mode(&folder.path().join(name), 0o644);
        }
        mode(&folder.path().join(closed), 0);
        let path = folder.path().to_owned();
        let judge = move || {
            // A thread's rights are its own on Linux; who isn't root has none to drop.
            let nobody = rustix::process::Uid::from_raw(65534);
            let _ = rustix::thread::set_thread_res_uid(nobody, nobody, nobody);
            let host = config::Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
            let found = crate::check::check(&path, config::Compat::V3_11, &host, &DirectSources, reach);
            found.into_iter().filter(|one| matches!(one.code.0, 100 | 304 | 504)).collect()
        };
        std::thread::spawn(judge).join().expect("looked")
    }

    /// The server's helper reads it: no error, and no silence either.
    #[test]
    fn a_table_for_root_alone() {
        for reach in [Reach::Paper, Reach::Machine] {
            let found = by_nobody("access", reach);
            let said: Vec<String> =
                found.iter().map(|one| format!("{} {}", one.code, one.severity)).collect();
            assert_eq!(said, ["K0504 hint"], "{found:#?}");
            assert!(found.iter().all(|one| one.message.contains("/access")), "{found:#?}");
        }
    }

    #[test]
    fn a_configuration_for_root_alone() {
        let found = by_nobody("main.cf", Reach::Machine);
        let first = found.first().expect("said");
        let help = first.help.as_deref().unwrap_or_default();
        assert_eq!(first.code, Code(100), "{found:#?}");
        assert!(help.starts_with("only ") && help.ends_with(": run the same as root"), "{help}");
    }
}
