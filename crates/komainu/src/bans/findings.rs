//! What is wrong with fail2ban's files: for `komainu ban check`, and for `komainu check` where the server runs the jails.

use ban::filter::Filter;
use ban::jail::Settings;
use ban::jails::Jail;
use ban::layers::Files;
use ban::{dump, jails};
use config::Diagnostic;
use std::path::Path;

/// The folder as read, and all that is wrong with its jails, filters and actions. `has` says whether there is a log that
/// fits a pattern, `is_fed` whether a jail has the server's own lines, which say more than their text.
#[must_use]
pub fn findings(
    files: &dyn Files,
    has: &dyn Fn(&str) -> bool,
    is_fed: &dyn Fn(&Jail) -> bool,
    folder: &Path,
) -> (jails::Folder, Vec<Diagnostic>) {
    let mut read = jails::read(files, folder);
    let mut found = std::mem::take(&mut read.found);
    for jail in read.jails.iter().filter(|jail| jail.error.is_none()) {
        found.extend(Settings::of(jail).1);
        match Filter::new(&jail.filter) {
            Ok(filter) => found.extend(ban::uncounted(jail, &filter).filter(|_| !is_fed(jail))),
            Err(error) => {
                let message = format!("the filter of [{}] can't be used: {}", jail.name, error.reason);
                let help = format!("its {} is `{}`", error.option, error.text);
                found.push(Diagnostic::error(635, jail.filter_place(error.option), message).help(help));
            }
        }
        found.extend(ban::review_of(jail));
        if !jail.reads_journal() && !dump::log_paths(jail).any(|(path, _)| path == "-" || has(path)) {
            let message = format!("[{}] has nothing to read: none of its `logpath` is there", jail.name);
            found.push(Diagnostic::warning(636, jail.place("logpath"), message).help(
                "name the log that the service writes; on Debian 12, where all goes to the journal, install rsyslog or \
                 write `backend = systemd`",
            ));
        }
    }
    (read, found)
}
