//! `komainu links`: the old names, so that the tutorials' commands run as typed.

use super::EX_TEMPFAIL;
use clap::Args;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The names that the program knows how to be.
const NAMES: [&str; 13] = [
    "fail2ban-client",
    "fail2ban-regex",
    "mailq",
    "newaliases",
    "pflogsumm",
    "postalias",
    "postcat",
    "postconf",
    "postfix",
    "postmap",
    "postqueue",
    "postsuper",
    "sendmail",
];

/// Make links by which the program is called under its old names (postconf, postmap, mailq, postqueue, postfix, sendmail …).
///
/// A link that points to komainu already is left alone; a file that is something else is never replaced
/// without --force.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder for the links; put it before /usr/sbin in PATH, or use /usr/local/sbin.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Replace files of these names.
    #[arg(long)]
    force: bool,
    /// Only print the names.
    #[arg(long)]
    list: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.list {
        for name in NAMES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("komainu: cannot tell where this program is: {error}");
            return ExitCode::from(EX_TEMPFAIL);
        }
    };
    if let Err(error) = std::fs::create_dir_all(&arguments.directory) {
        eprintln!("komainu: {}: {error}", arguments.directory.display());
        return ExitCode::FAILURE;
    }
    let mut failed = false;
    for name in NAMES {
        let link = arguments.directory.join(name);
        match make(&program, &link, arguments.force) {
            Ok(what) => println!("{} {what}", link.display()),
            Err(error) => {
                failed = true;
                eprintln!("komainu: {}: {error}", link.display());
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn make(program: &Path, link: &Path, force: bool) -> io::Result<&'static str> {
    if std::fs::read_link(link).is_ok_and(|target| target == program) {
        return Ok("is there already");
    }
    if link.symlink_metadata().is_ok() {
        if !force {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something else has this name; --force replaces it",
            ));
        }
        std::fs::remove_file(link)?;
    }
    std::os::unix::fs::symlink(program, link)?;
    Ok("made")
}
