//! What is said to people: standard output and standard error.
//!
//! `println!` and the like here, unlike the standard library's, end nothing where nobody can be told. A reader that has
//! seen enough (`| head`) is no failure; a full disk is, and [`ended`] says so at the end, whatever the command says.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Why the first thing that couldn't be said couldn't.
static FAILED: OnceLock<io::Error> = OnceLock::new();

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::say::text(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::cli::say::text(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::say::text(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::cli::say::remark(format_args!($($text)*)) };
}

macro_rules! eprintln {
    () => { $crate::cli::say::remark(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::say::remark(format_args!("{}\n", format_args!($($text)*))) };
}

/// Standard output. Whatever keeps it from being written is a reader that left ([`ErrorKind::BrokenPipe`]): the rest is
/// [`ended`]'s.
pub(super) struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(noted)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(noted)
    }
}

fn noted(error: io::Error) -> io::Error {
    match error.kind() {
        // Asked again.
        ErrorKind::Interrupted => return error,
        ErrorKind::BrokenPipe => {}
        _ => drop(FAILED.set(error)),
    }
    ErrorKind::BrokenPipe.into()
}

/// On standard output.
pub(super) fn text(text: Arguments<'_>) {
    // What was noted is all that is to be done.
    let _ = Out.write_fmt(text);
}

/// On standard output.
pub(super) fn bytes(bytes: &[u8]) {
    let _ = Out.write_all(bytes);
}

/// What was printed by others on standard output.
pub(super) fn printed(outcome: io::Result<()>) {
    let _ = outcome.map_err(noted);
}

/// On standard error, if anybody listens.
pub(super) fn remark(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// What a command ends with that ends with `code` otherwise: `failure` where something couldn't be said.
pub(super) fn ended(program: &str, code: ExitCode, failure: u8) -> ExitCode {
    let _ = Out.flush();
    match FAILED.get() {
        None => code,
        Some(error) => {
            eprintln!("{program}: standard output can't be written: {error}");
            ExitCode::from(failure)
        }
    }
}
