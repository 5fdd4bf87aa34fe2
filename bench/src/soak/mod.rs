//! Everything at once against one server, and whether it stood it.
//!
//! Honest senders, thousands who wait, floods of addresses never seen before, garbage, slow and greedy clients,
//! refused ones, tables edited and configurations loaded anew, on demand kill -9, and at the end too few descriptors.
//! Asserted: each acknowledged message is in its Maildir, whole; memory and descriptors stay flat; honest clients
//! don't wait; edits take effect; each log line is one that `events` reads. (T2.2, T1.4)

mod clients;
mod judge;
mod mail;
mod options;
mod phases;
mod sessions;
mod watch;

pub(crate) use clients::{MOB, SENDERS};
use options::Options;
pub(crate) use watch::look;

/// The processes that `bench soak` starts.
pub(crate) fn clients(words: &[String]) -> Result<(), String> {
    clients::command(words)
}

/// `bench soak`.
pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let options = Options::parse(words)?;
    if options.wants_usage {
        print!("{}", options::USAGE);
        return Ok(());
    }
    crate::world::prepare()?;
    match options.sessions {
        Some(sessions) => sessions::run(sessions, &options),
        None => phases::run(&options),
    }
}
