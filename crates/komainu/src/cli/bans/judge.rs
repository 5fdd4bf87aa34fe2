//! `komainu ban check` and `komainu ban show`.

use crate::bans::files::{Disk, expand};
use crate::check::text;
use ban::filter::Filter;
use ban::jail::Settings;
use ban::{dump, jails};
use config::{Diagnostic, Severity};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(folder: &Path) -> ExitCode {
    let found = findings(folder);
    print!("{}{}", text::render(&found, text::Style::default()), text::closing(folder, &found));
    let is_wrong = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is wrong with the jails, filters and actions of a folder.
pub(crate) fn findings(folder: &Path) -> Vec<Diagnostic> {
    let mut read = jails::read(&Disk, folder);
    let mut found = std::mem::take(&mut read.found);
    for jail in read.jails.iter().filter(|jail| jail.error.is_none()) {
        found.extend(Settings::of(jail).1);
        if let Err(error) = Filter::new(&jail.filter) {
            let message = format!("the filter of [{}] can't be used: {}", jail.name, error.reason);
            let help = format!("its {} is `{}`", error.option, error.text);
            found.push(Diagnostic::error(635, jail.place("filter"), message).help(help));
        }
        found.extend(ban::review_of(jail));
        let mut paths = dump::log_paths(jail).peekable();
        if !jail.reads_journal() && paths.all(|(path, _)| expand(path).is_empty()) {
            let message = format!("[{}] has nothing to read: none of its `logpath` is there", jail.name);
            found.push(Diagnostic::warning(636, jail.place("logpath"), message).help(
                "name the log that the service writes; on Debian 12, where all goes to the journal, install rsyslog or \
                 write `backend = systemd`",
            ));
        }
    }
    found
}

pub(super) fn show(folder: &Path) -> ExitCode {
    let read = jails::read(&Disk, folder);
    let files = |path: &str| expand(path).iter().map(|path| path.display().to_string()).collect();
    for line in dump::lines_of(&read, &files) {
        println!("{line}");
    }
    read.found.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    if read.jails.iter().any(|jail| jail.error.is_some()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
