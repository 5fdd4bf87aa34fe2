//! Old names: each file is one program as people know it, options, output and exit codes.

pub(super) mod postalias;
pub(super) mod postconf;
pub(super) mod postfix;
pub(super) mod postmap;
