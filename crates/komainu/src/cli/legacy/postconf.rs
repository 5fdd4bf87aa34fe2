//! `postconf`, as postconf(1): `komainu conf` under its old name, with the same options.
//!
//! Parameters and defaults are Postfix 3.11's, as for the other old names; `--compat 3.7` is an option of ours
//! that takes Debian 12's.

use super::super::conf;
use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    conf::main_as("postconf", arguments.into_iter().skip(1).collect())
}
