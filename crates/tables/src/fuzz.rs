//! What fuzz targets and the bounded fuzz tests call: any bytes as the source of any table type.
//!
//! No result: they look for panics, runaway time and memory.

use crate::catalogue::{Catalogue, TableSpec, Usage};
use crate::database::{Format, read};
use crate::postmap;
use crate::review::{self, Parents, Setting, Use, Used};
use crate::snapshot::Snapshot;
use crate::sources::{SourceError, Sources};
use config::{Compat, Host, MainCf, Parameters, Place, SourceFile, Spanned};
use std::path::Path;
use std::sync::Arc;

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

/// Judges `bytes` as a table of type `kind` in every use that a table has.
pub fn review(kind: &str, bytes: &[u8]) {
    let main = "t";
    let word = Spanned::new(format!("{kind}:/table"), Place::nowhere());
    let Ok(table) = TableSpec::parse(&word) else { return };
    let setting = Setting {
        restrictions: vec!["permit".to_owned(), "reject".to_owned()],
        transports: vec!["smtp".to_owned()],
        access_parents: Parents::Match,
        transport_parents: Parents::Dotted,
        milter_fault: |list| list.contains("bad").then(|| list.to_owned()),
    };
    let file = Arc::new(SourceFile { path: main.into(), text: String::new() });
    let host = Host { hostname: "mail.example.com".to_owned(), addresses: Vec::new() };
    let (parameters, _) = Parameters::new(&MainCf::parse(&file).0, &host, Compat::V3_11);
    let (catalogue, tables) = (Catalogue::new(), Snapshot::default());
    for how in Use::ALL {
        let mut table = table.clone();
        if how == Use::Aliases {
            table.usage = Usage::Aliases;
        }
        let used = [Used { table, how, by: "mydestination".to_owned(), place: Place::nowhere() }];
        let found = review::review(&review::Subject {
            used: &used,
            setting: &setting,
            parameters: &parameters,
            catalogue: &catalogue,
            tables: &tables,
            sources: &One(bytes),
        });
        for one in found {
            let place = &one.place;
            let text = place.file.as_deref().map_or("", |file| file.text.as_str());
            assert!(text.get(place.start..place.end).is_some(), "a place is in its file: {one}");
        }
    }
}

/// Reads `bytes` as a file that postmap made.
pub fn database(format: Format, bytes: &[u8]) {
    let mut given = 0usize;
    let _ = read(format, bytes, &mut |(key, value)| given = given.saturating_add(key.len() + value.len()));
    assert!(given <= bytes.len(), "rows have no more bytes than their file");
}
