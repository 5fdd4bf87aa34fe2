//! What `reject_dangerous_attachment` looks for: `komainu_dangerous_attachment_…`, `komainu_archive_…`.
//!
//! The reading of messages is `mail::attachment`'s. A word that names no kind of content is K0466. T1.15.

use crate::check::{Check, Entry, Plain};
use config::{Diagnostic, Parameters};
use mail::attachment::{Kind, Limits, Rules};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rules, where one of `lists` asks for them.
pub(crate) fn compile<'l>(
    p: &Parameters,
    mut lists: impl Iterator<Item = &'l Vec<Entry>>,
    found: &mut Vec<Diagnostic>,
) -> Option<Arc<Rules>> {
    let asks = |entry: &Entry| matches!(entry.check, Check::Plain(Plain::RejectDangerousAttachment));
    if !lists.any(|list| list.iter().any(asks)) {
        return None;
    }
    let words = p.list("komainu_dangerous_attachment_extensions");
    let extension = |word: &str| word.trim_start_matches('*').trim_start_matches('.').to_lowercase();
    let extensions =
        words.iter().map(|word| extension(&word.value)).filter(|word| !word.is_empty()).collect();
    let mut kinds = BTreeSet::new();
    for word in p.list("komainu_dangerous_attachment_contents") {
        match Kind::of(&word.value) {
            Some(kind) => {
                kinds.insert(kind);
            }
            None => {
                let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
                let message = format!("\"{}\" is no kind of content", word.value);
                let help = format!("it is never found; there are {}", known.join(", "));
                found.push(Diagnostic::warning(466, word.place, message).help(help));
            }
        }
    }
    let number = |name: &str| u64::try_from(p.number(name)).unwrap_or(0);
    let limits = Limits {
        depth: u32::try_from(p.number("komainu_archive_depth_limit")).unwrap_or(0),
        unpacked_bytes: number("komainu_archive_size_limit"),
        ratio: number("komainu_archive_ratio_limit"),
        entries: number("komainu_archive_entry_limit"),
    };
    Some(Arc::new(Rules { extensions, kinds, limits }))
}
