//! `komainu ban check` and `komainu ban show`.

use crate::bans::files::{Disk, expand};
use crate::bans::findings;
use crate::check::text;
use ban::{dump, jails};
use config::Severity;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(folder: &Path) -> ExitCode {
    let (_, found) = findings(&Disk, &|pattern| !expand(pattern).is_empty(), &|_| false, folder);
    print!("{}{}", text::render(&found, text::Style::default()), text::closing(folder, &found));
    let is_wrong = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
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
