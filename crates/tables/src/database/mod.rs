//! Files that postmap(1) makes: Berkeley DB (`hash:`, `btree:`), cdb, LMDB. Their rows, out of bytes handed in.
//!
//! A file may be half-written, or made by somebody who means harm: each reader checks every offset, counts the pages
//! it looks at, and never gives more bytes than the file has, so it ends and its memory is bounded. Nothing is mapped
//! into memory: a mapped file that its writer cuts short ends the process with SIGBUS.
//!
//! [`cdb::write`] and [`lmdb::write`] make whole files. Deliberately not here: locks and renaming (the program's),
//! searches in the file (a table is read whole and asked in memory), Berkeley DB files to write.

mod berkeley;
mod bytes;
pub mod cdb;
pub mod lmdb;
mod lmdb_page;
mod served;

use crate::catalogue::Kind;
use std::borrow::Cow;

pub(crate) use served::serve;

/// Which file format stands behind a table type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `hash:`, `btree:`: either, as the file says.
    Berkeley,
    /// `cdb:`
    Cdb,
    /// `lmdb:`
    Lmdb,
}

impl Format {
    /// The format of the files of `kind`; none where no file of that type is read.
    #[must_use]
    pub fn of(kind: Kind) -> Option<Format> {
        match kind {
            Kind::Hash | Kind::Btree => Some(Format::Berkeley),
            Kind::Cdb => Some(Format::Cdb),
            Kind::Lmdb => Some(Format::Lmdb),
            _ => None,
        }
    }
}

/// Why a file gives no rows. An administrator sees it behind `open database FILE: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Its first bytes are another's.
    #[error("not a {0} file")]
    Foreign(&'static str),
    /// It ends before what it points to: half-written, or cut short.
    #[error("the file is cut short: it has {has} bytes, and points to byte {wants}")]
    CutShort {
        /// Bytes there are.
        has: usize,
        /// The first byte that is missing.
        wants: usize,
    },
    /// Something that Postfix never writes.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    /// Two places of the file contradict each other: half-written, or damaged.
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    /// A row that the format has no room for.
    #[error("{0}")]
    Unwritable(&'static str),
}

/// A key and its value as they stand in the file.
pub type Row<'b> = (Cow<'b, [u8]>, Cow<'b, [u8]>);

/// Gives each row of the file `bytes` to `row`, in the file's order.
///
/// # Errors
/// When the file is not whole. Rows given before don't count then.
pub fn read<'b>(format: Format, bytes: &'b [u8], row: &mut dyn FnMut(Row<'b>)) -> Result<(), DatabaseError> {
    match format {
        Format::Berkeley => berkeley::read(bytes, row),
        Format::Cdb => cdb::read(bytes, row),
        Format::Lmdb => lmdb::read(bytes, row),
    }
}

/// A key or value without the NUL that `postmap -N` ends it with (the default of every type but cdb).
#[must_use]
pub fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\0").unwrap_or(bytes)
}
