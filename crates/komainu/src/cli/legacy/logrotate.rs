//! `postfix logrotate`: the log file gets a time behind its name and is packed, as postfix(1) does it.
//!
//! The server, where one runs, opens a new file by itself once the old one has another name. Only files are rotated, not
//! /dev/stdout. A file that has the new name already is left alone, with all else.

use super::postfix::{fatal, running, say};
use crate::clock;
use crate::configuration::{Configuration, DirectSources, LookingSources};
use crate::log::Destination;
use crate::serve::log_destination;
use crate::strerror::strerror;
use config::{Compat, Parameters};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use tables::Vantage;

/// How long a server may go on writing into the file that has another name now.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn main(directory: &Path) -> ExitCode {
    let sources = LookingSources::new(&DirectSources, Vantage::Looking);
    let (configuration, _) = Configuration::load(directory, Compat::default(), &sources);
    match rotate(&configuration.parameters, running(directory).is_some()) {
        Ok(path) => {
            say(&format!("rotated: {}", path.display()));
            ExitCode::SUCCESS
        }
        Err(problem) => fatal(&problem),
    }
}

/// Gives the file its new name, and has it packed.
fn rotate(p: &Parameters, is_running: bool) -> Result<PathBuf, String> {
    let path = match log_destination(p) {
        Destination::File(path) if !path.starts_with("/dev") => path,
        _ => return Err("the log isn't a file of its own: see maillog_file".to_owned()),
    };
    let rotated = renamed(&path, &p.text("maillog_file_rotate_suffix").value)?;
    let failed = |what: &str, error: &io::Error| format!("{what}: {}", strerror(error));
    // Not a rename, which would take the place of a file of that name.
    std::fs::hard_link(&path, &rotated)
        .map_err(|error| failed(&format!("rename {} to {}", path.display(), rotated.display()), &error))?;
    std::fs::remove_file(&path).map_err(|error| failed(&format!("rename {}", path.display()), &error))?;
    let began = Instant::now();
    while is_running && !path.exists() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    let compressor = p.text("maillog_file_compressor").value;
    let ended = Command::new(&compressor).arg(&rotated).status();
    match ended {
        Ok(status) if status.success() => Ok(rotated),
        Ok(status) => Err(format!("{compressor} {}: {status}", rotated.display())),
        Err(error) => Err(failed(&format!("maillog_file_compressor = {compressor}"), &error)),
    }
}

/// The file's name with the suffix behind it.
fn renamed(path: &Path, suffix: &str) -> Result<PathBuf, String> {
    let bad = |why: &str| format!("maillog_file_rotate_suffix = {suffix}: {why}");
    let now =
        jiff::Timestamp::from_second(clock::now().wall.seconds()).map_err(|error| bad(&error.to_string()))?;
    let zoned = now.to_zoned(jiff::tz::TimeZone::system());
    let text = jiff::fmt::strtime::format(suffix, &zoned).map_err(|error| bad(&error.to_string()))?;
    if text.is_empty() || text.contains('/') {
        return Err(bad("a suffix of a file's name is wanted"));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(text);
    Ok(name.into())
}
