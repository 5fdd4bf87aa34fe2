//! `postmap`, as postmap(1).

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn main(_arguments: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}

pub(crate) fn lookup(_table: &str, _keys: &[String]) -> ExitCode {
    ExitCode::FAILURE
}

pub(crate) fn check(_table: &str) -> ExitCode {
    ExitCode::FAILURE
}
