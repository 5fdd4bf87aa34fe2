//! `komainu`, and whatever old name it is called by.

mod allocator;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if !is_soon_over(&arguments) {
        allocator::give_back_at_once();
    }
    komainu::cli::main(arguments.into_iter())
}

/// What reads a log and ends: memory that it gives back it only asks for again.
fn is_soon_over(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter();
    let name = words.next().and_then(|path| Path::new(path).file_name());
    let is_named = name.is_some_and(|name| name == "pflogsumm" || name == "fail2ban-regex");
    match words.next() {
        Some(word) if word == "ban" => !words.any(|word| word == "run"),
        word => is_named || word.is_some_and(|word| word == "report"),
    }
}
