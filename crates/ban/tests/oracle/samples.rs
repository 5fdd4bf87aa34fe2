//! fail2ban's own annotated logs, line by line: who is found, when, and what else, with all options that they name.

use crate::annotated::{self, Found, Line, NOW_S, Options};
use crate::{Disk, stock};
use ban::filter::{Filter, Outcome, Reader};
use ban::zone::Zone;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of the samples; `None`, said aloud, where there is none.
pub(crate) fn folder(test: &str) -> Option<PathBuf> {
    let found = annotated::folder();
    if let Err(missing) = &found {
        eprintln!("{test}: skipped, {missing}");
        assert!(std::env::var_os("CI").is_none(), "{test}: {missing}");
    }
    found.ok()
}

/// What the library finds in the lines.
fn find(folder: &Path, name: &str, options: &Options, lines: &[Line]) -> Result<Vec<Option<Found>>, String> {
    let text = format!("{name}{}", annotated::brackets(options));
    let call = ban::brackets::parse(&text)?.remove(0);
    let mut said = Vec::new();
    let path = folder.join("filter.d").join(name);
    let options = ban::jails::filter(&Disk, &path, &call, &mut said).map_err(|error| error.to_string())?;
    let filter = Arc::new(Filter::new(&options).map_err(|error| error.to_string())?);
    let mut reader = Reader::new(filter, Zone::new(annotated::zurich()));
    let found = lines.iter().map(|line| match reader.line(line.text.as_bytes(), NOW_S * 1_000_000) {
        Outcome::Failed(failure) => {
            let fields = failure.fields.named.iter();
            let mut fields: Map<String, Value> = fields.map(|(k, v)| (k.to_owned(), v.into())).collect();
            fields.insert("attempts".to_owned(), failure.fields.attempts.max(1).into());
            fields.insert("users".to_owned(), failure.fields.users.clone().into());
            Some(Found {
                time_s: failure.time_us.div_euclid(1_000_000),
                host: failure.id.to_string(),
                fields,
            })
        }
        _ => None,
    });
    Ok(found.collect())
}

#[test]
fn what_fail2bans_samples_say() {
    let Some(stock) = stock("samples") else { return };
    let Some(samples) = folder("samples") else { return };
    let holder = annotated::filters(&stock, &samples);
    let filters = holder.path().join("fail2ban");
    let mut wrong = Vec::new();
    let (mut lines_count, mut matched) = (0, 0);
    for name in annotated::names(&samples) {
        if !filters.join("filter.d").join(format!("{name}.conf")).exists() {
            continue;
        }
        for (options, lines) in annotated::read(&samples, &name).expect("samples") {
            let called = format!("{name}{}", annotated::brackets(&options));
            let found = match find(&filters, &name, &options, &lines) {
                Ok(found) => found,
                Err(error) => {
                    wrong.push(format!("{called}: {error}"));
                    continue;
                }
            };
            lines_count += lines.len();
            for (line, found) in lines.iter().zip(&found) {
                matched += usize::from(found.is_some());
                for what in annotated::judge(line, found.as_ref()) {
                    wrong.push(format!("{called}: {}: {what}\n    {}", line.place, line.text));
                }
            }
        }
    }
    assert!(matched > 1_000, "{matched} of {lines_count} lines matched");
    assert!(
        wrong.is_empty(),
        "{} of {lines_count} lines, {matched} matched:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
