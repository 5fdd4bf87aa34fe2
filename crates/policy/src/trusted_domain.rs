//! How OpenDKIM and OpenDMARC write their files: `Name value` lines, `#` begins a comment, names in any case.

use config::{Place, SourceFile};
use std::sync::Arc;

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// As it is written.
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) place: Place,
}

/// The lines that set something.
pub(crate) fn settings(file: &Arc<SourceFile>) -> impl Iterator<Item = Setting> {
    let mut start = 0;
    file.text.split_inclusive('\n').filter_map(move |line| {
        let place = Place::new(file, start, start + line.trim_end().len());
        start += line.len();
        let text = line.split('#').next().unwrap_or("").trim();
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let setting = || Setting { name: name.to_owned(), value: value.trim().to_owned(), place };
        (!name.is_empty()).then(setting)
    })
}

/// Yes or no, by the value's first letter.
pub(crate) fn flag(value: &str) -> Option<bool> {
    match value.chars().next()? {
        't' | 'T' | 'y' | 'Y' | '1' => Some(true),
        'f' | 'F' | 'n' | 'N' | '0' => Some(false),
        _ => None,
    }
}
