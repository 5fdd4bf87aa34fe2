//! What fuzz targets and the bounded fuzz tests call: any bytes as the source of any table type.
//!
//! No result: they look for panics, runaway time and memory.

use crate::catalogue::Usage;
use crate::database::{Format, read};
use crate::postmap;
use crate::sources::{SourceError, Sources};
use std::path::Path;

struct One<'b>(&'b [u8]);

impl Sources for One<'_> {
    fn read(&self, _path: &Path) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.to_vec())
    }
}

/// Reads `bytes` as the source of a table of type `kind` (`hash`, `cidr`, `regexp`, `pcre` …) and asks it for `key`.
pub fn lookup_in(kind: &str, bytes: &[u8], key: &str) {
    for usage in [Usage::Map, Usage::Aliases] {
        if let Ok(opened) = postmap::open(&format!("{kind}:/table"), usage, &One(bytes)) {
            let _ = opened.table.lookup(key);
            let _ = opened.table.pairs();
            let _ = opened.warnings().count();
        }
    }
}

/// Reads `bytes` as a file that postmap made.
pub fn database(format: Format, bytes: &[u8]) {
    let mut given = 0usize;
    let _ = read(format, bytes, &mut |(key, value)| given = given.saturating_add(key.len() + value.len()));
    assert!(given <= bytes.len(), "rows have no more bytes than their file");
}
