//! What a table's lines may answer, line by line: for judging a configuration before anything is asked.
//!
//! A line of patterns has no key, only a value; what stands behind a `$1` is left out. Tables behind sockets, accounts and broken
//! tables can't be listed. Not for look-ups: which line answers a key is [`Table::lookup`]'s to say.

use crate::table::{Body, Table};
use config::Place;

/// One line that may be an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it answers, where that is one fixed key.
    pub key: Option<String>,
    /// What it says.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

impl Table {
    /// Its lines, fixed keys in the order of the source; `None` where they can't be known beforehand.
    #[must_use]
    pub fn rows(&self) -> Option<Vec<Row>> {
        let here = |key: Option<&str>, value: &str| Row {
            key: key.map(str::to_owned),
            value: value.to_owned(),
            place: self.place.clone(),
        };
        Some(match &self.body {
            Body::Broken(_) | Body::Foreign | Body::Remote(_) | Body::Users(_) | Body::Groups(_) => {
                return None;
            }
            Body::Fail => Vec::new(),
            Body::Indexed(indexed) | Body::Environment(indexed) => {
                let row = |(key, value, start, end): (&str, &str, usize, usize)| Row {
                    key: Some(key.to_owned()),
                    value: value.to_owned(),
                    place: self.at(start, end),
                };
                indexed.rows().into_iter().map(row).collect()
            }
            Body::Cidr(cidr) => {
                let row = |found: &crate::cidr::Found| Row {
                    key: None,
                    value: found.value.to_string(),
                    place: self.at(found.start, found.end),
                };
                cidr.results().iter().map(row).collect()
            }
            Body::Rules(rules) => {
                let row = |(value, start, end): (&crate::template::Template, usize, usize)| Row {
                    key: None,
                    value: value.head().to_owned(),
                    place: self.at(start, end),
                };
                rules.results().map(row).collect()
            }
            Body::Static(value) => vec![here(None, value)],
            Body::Random { values, .. } => values.iter().map(|value| here(None, value)).collect(),
            Body::Union(members) => {
                let rows: Option<Vec<Vec<Row>>> = members.iter().map(|member| member.rows()).collect();
                rows?.into_iter().flatten().collect()
            }
            Body::Pipe(members) => {
                let mut rows = members.last().map_or(Some(Vec::new()), |last| last.rows())?;
                for row in &mut rows {
                    row.key = None;
                }
                rows
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, Snapshot, SourceError, Sources};
    use config::{Place, Spanned};
    use std::path::Path;

    struct Files;

    impl Sources for Files {
        fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
            match path.to_str() {
                Some("/a") => Ok(b"b.example OK\na.example REJECT no\n".to_vec()),
                Some("/p") => Ok(b"if /x/\n/^(.*)@/ 550 not $1\nendif\n!/y/ OK\n".to_vec()),
                Some("/c") => Ok(b"192.0.2.0/24 OK\n!::/0 DUNNO\n".to_vec()),
                _ => Err(SourceError::Missing(path.to_owned())),
            }
        }
    }

    #[test]
    fn every_line_in_order() {
        let check = |word: &str, expect: Option<&[(Option<&str>, &str)]>| {
            let mut catalogue = Catalogue::new();
            let id = catalogue.intern(&Spanned::new(word.to_owned(), Place::nowhere())).unwrap();
            let (snapshot, _) = Snapshot::compile(&catalogue, &Files);
            let rows = snapshot.table(id).rows();
            let rows: Option<Vec<_>> = rows
                .as_ref()
                .map(|rows| rows.iter().map(|row| (row.key.as_deref(), row.value.as_str())).collect());
            assert_eq!(rows.as_deref(), expect, "{word}");
        };
        check("hash:/a", Some(&[(Some("b.example"), "OK"), (Some("a.example"), "REJECT no")]));
        check("pcre:/p", Some(&[(None, "550 not "), (None, "OK")]));
        check("cidr:/c", Some(&[(None, "OK"), (None, "DUNNO")]));
        check("inline:{{a=OK}}", Some(&[(Some("a"), "OK")]));
        check("static:{REJECT x}", Some(&[(None, "REJECT x")]));
        check("unionmap:{inline:{{a=OK}},static:REJECT}", Some(&[(Some("a"), "OK"), (None, "REJECT")]));
        check("pipemap:{inline:{{a=b}},inline:{{b=OK}}}", Some(&[(None, "OK")]));
        check("randmap:{OK,REJECT}", Some(&[(None, "OK"), (None, "REJECT")]));
        check("fail:x", Some(&[]));
        check("tcp:127.0.0.1:1", None);
        check("hash:/missing", None);
    }
}
