//! fail2ban's files, where the server runs their jails: all that `komainu ban check` says, and whether any of the jails
//! hears of the server's own clients.
//!
//! Diagnostics: those of `komainu ban check`, and K0675 no jail is told of what happens here. T2.18.

use super::{Machine, Scene, scene};
use crate::bans::files::{Disk, expand};
use crate::bans::{OwnLog, findings};
use crate::serve::log_destination;
use ban::layers::Files;
use config::Diagnostic;
use std::path::{Path, PathBuf};

/// The machine's files.
struct On<'m>(&'m Machine);

impl Files for On<'_> {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        Disk.read(&self.0.real(path))
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let there = Disk.list(&self.0.real(folder)).into_iter();
        there.filter_map(|path| Some(folder.join(path.file_name()?))).collect()
    }
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let Some(bans) = &scene.bans else { return Vec::new() };
    let has = |pattern: &str| {
        machine.real(Path::new(pattern)).to_str().is_some_and(|real| !expand(real).is_empty())
    };
    let own = OwnLog::of(&log_destination(scene.main), std::process::id());
    let (folder, mut found) = findings(&On(machine), &has, &|jail| own.feeds_jail(jail), &bans.directory);
    let jails = || folder.jails.iter().filter(|jail| jail.error.is_none());
    if jails().next().is_some() && !jails().any(|jail| own.feeds_jail(jail)) {
        let log = own.file().map_or_else(|| "mail's log".to_owned(), |path| path.display().to_string());
        let message =
            format!("no jail that is switched on reads {log}: whoever fails here is counted by none");
        let help =
            format!("switch on a jail for Postfix, such as [postfix-sasl], with {log} as its `logpath`");
        let place = scene::place(scene.main, "komainu_ban_directory");
        found.push(Diagnostic::warning(675, place, message).help(help));
    }
    found
}
