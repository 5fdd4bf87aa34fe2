//! `postalias` and `newaliases`, as postalias(1) and sendmail(1): postmap for sources of the aliases(5) form.
//!
//! `newaliases` builds what `alias_database` names; nothing else of sendmail is here.

use super::postmap::{self, Program};
use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    postmap::main(Program::Postalias, arguments)
}

pub(crate) fn newaliases(arguments: Vec<OsString>) -> ExitCode {
    // sendmail's options; none of them has a meaning for this.
    drop(arguments);
    let words = match postmap::alias_database() {
        Ok(words) => words,
        Err(code) => return code,
    };
    if words.is_empty() {
        return ExitCode::SUCCESS;
    }
    let arguments = std::iter::once("postalias".to_owned()).chain(words).map(OsString::from).collect();
    postmap::main(Program::Postalias, arguments)
}
