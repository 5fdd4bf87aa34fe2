//! Who may write what root will read: main.cf, master.cf, their folder, the tables and what they are made of.
//!
//! Who can edit main.cf decides what the server does, and what `spawn` and `pipe` lines run. Postfix warns of the
//! same at each start. Whoever looks may own the files: the configuration is theirs then.
//! Diagnostics: K0500 files that others may write.

use super::{Machine, Scene, Stat, named};
use crate::check::surroundings::accounts::Accounts;
use config::{Diagnostic, Place};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A file and where it is named.
struct Named {
    path: PathBuf,
    place: Place,
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let accounts = Accounts::read(machine);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for named in named(scene) {
        if !seen.insert(named.path.clone()) {
            continue;
        }
        if let Some(stat) = machine.stat(&named.path) {
            found.extend(judge(&named.path, &named.place, stat, (&accounts, machine.user)));
        }
    }
    found
}

fn named(scene: &Scene<'_>) -> Vec<Named> {
    let mut all = Vec::new();
    let whole = |file: &Option<std::sync::Arc<config::SourceFile>>| {
        file.as_ref().map_or_else(Place::nowhere, |file| Place::new(file, 0, 0))
    };
    if let Some(directory) = scene.directory {
        let main = whole(&scene.main_file);
        let master = scene.master.services.first().and_then(|service| service.name.place.file.clone());
        all.push(Named { path: directory.join("main.cf"), place: main.clone() });
        all.push(Named { path: directory.join("master.cf"), place: whole(&master) });
        all.push(Named { path: directory.to_owned(), place: main });
    }
    for spec in scene.tables {
        let paths = spec.path().into_iter().chain(spec.database());
        all.extend(paths.map(|path| Named { path, place: spec.place.clone() }));
    }
    let settings = named::settings(scene);
    for table in named::tables(&settings) {
        let place = &table.spec.place;
        all.extend(table.databases().into_iter().map(|path| Named { path, place: place.clone() }));
        all.push(Named { place: table.spec.place, path: table.path });
    }
    all.extend(named::pattern_files(&settings).into_iter().map(|(path, place)| Named { path, place }));
    all
}

fn judge(path: &Path, place: &Place, stat: Stat, (accounts, user): (&Accounts, u32)) -> Option<Diagnostic> {
    // What is written into a device such as /dev/null is read by nobody.
    if stat.mode & 0o170_000 == 0o020_000 {
        return None;
    }
    let shown = path.display();
    let decides = "who writes it decides what the server does, and what it runs";
    let is_sticky = stat.mode & 0o1000 != 0;
    if stat.mode & 0o002 != 0 && !(stat.is_folder() && is_sticky) {
        let message = format!("everybody may write {shown}");
        let help = format!("{decides}: chmod o-w {shown}");
        return Some(Diagnostic::error(500, place.clone(), message).help(help));
    }
    if stat.uid != 0 && stat.uid != user {
        let owner = accounts.user_name(stat.uid);
        let message = format!("{shown} belongs to {owner}, not to root");
        let help = format!("{decides}: chown root {shown}");
        return Some(Diagnostic::warning(500, place.clone(), message).help(help));
    }
    let group_writes = stat.mode & 0o020 != 0 && stat.gid != 0 && !accounts.is_private(stat.gid, stat.uid);
    group_writes.then(|| {
        let group = accounts.group_name(stat.gid);
        let message = format!("the group {group} may write {shown}");
        Diagnostic::warning(500, place.clone(), message).help(format!("{decides}: chmod g-w {shown}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Modes and owners that a test can't give its files.
    #[test]
    fn owners_and_groups() {
        let accounts = Accounts::parse(
            "root:x:0:0::/:/x\nann:x:1000:1000::/:/x\nbob:x:1001:1001::/:/x\n",
            "root:x:0:\nann:x:1000:\nbob:x:1001:ann\nstaff:x:50:bob\n",
        );
        let check = |mode: u32, uid: u32, gid: u32, expect: &str| {
            let stat = Stat { mode, uid, gid };
            let found = judge(Path::new("/x"), &Place::nowhere(), stat, (&accounts, 0));
            let said = found.map(|one| format!("{} {}", one.severity, one.message)).unwrap_or_default();
            assert_eq!(said, expect, "{mode:o} {uid} {gid}");
        };
        check(0o100_644, 0, 0, "");
        check(0o100_664, 0, 0, "");
        check(0o100_600, 0, 0, "");
        check(0o100_666, 0, 0, "error everybody may write /x");
        check(0o041_777, 0, 0, "");
        check(0o020_666, 0, 0, "");
        check(0o040_777, 0, 0, "error everybody may write /x");
        check(0o100_664, 0, 50, "warning the group staff may write /x");
        check(0o100_644, 1000, 1000, "warning /x belongs to ann, not to root");
        check(0o100_644, 4242, 0, "warning /x belongs to user 4242, not to root");
        // A group of one is its owner, whatever the umask was.
        let own = |gid| Stat { mode: 0o100_664, uid: 1000, gid };
        let found = |gid| judge(Path::new("/x"), &Place::nowhere(), own(gid), (&accounts, 1000));
        assert!(found(1000).is_none());
        assert!(found(1001).is_some());
    }
}
