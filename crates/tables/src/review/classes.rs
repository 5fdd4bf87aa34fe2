//! A domain in two address classes, where a table is one of the places (ADDRESS_CLASS_README).
//!
//! Two lists in main.cf itself are somebody else's to compare. `relay_domains` beside `mydestination` is an old
//! default, and harmless.

use super::codes::TWO_CLASSES;
use super::sheet::{Findings, Odd};
use crate::indexed::fold;
use config::{Parameters, Place};
use std::collections::HashMap;

/// The lists in the order in which they are asked: the first that has a domain decides.
pub(super) const LISTS: [&str; 4] =
    ["mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"];

/// Where a domain was seen first.
struct Seen {
    list: usize,
    from_table: bool,
}

/// Domains as they come, list by list.
#[derive(Default)]
pub(super) struct Classes {
    seen: HashMap<String, Seen>,
    found: Findings,
}

impl Classes {
    /// Takes the words of `list` that are domains.
    pub(super) fn add_words(&mut self, list: usize, parameters: &Parameters) {
        let Some(name) = LISTS.get(list) else { return };
        for word in parameters.list(name) {
            if !word.value.contains([':', '/', '!']) {
                self.add(list, &word.value, || word.place.clone(), Origin::Word);
            }
        }
    }

    /// Takes a domain of `list`.
    pub(super) fn add(&mut self, list: usize, domain: &str, place: impl FnOnce() -> Place, origin: Origin) {
        if domain.contains(['@', '*']) || domain.starts_with('.') || !domain.contains('.') {
            return;
        }
        let from_table = origin == Origin::Table;
        let domain = fold(domain);
        let Some(seen) = self.seen.get(&domain) else {
            self.seen.insert(domain, Seen { list, from_table });
            return;
        };
        // Neither the same list twice nor mydestination with relay_domains.
        if seen.list == list || (seen.list, list) == (0, 3) || !(seen.from_table || from_table) {
            return;
        }
        let (Some(first), Some(second)) = (LISTS.get(seen.list), LISTS.get(list)) else { return };
        let message = format!("{domain} is in {first} and in {second}");
        let help = format!("{first} decides, and {second} has no effect for it; keep it in one of the two");
        self.found.say(Odd::warning(TWO_CLASSES, message, help), place);
    }

    pub(super) fn into_diagnostics(self) -> Vec<config::Diagnostic> {
        self.found.into_diagnostics()
    }
}

/// Where a domain stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In main.cf.
    Word,
    /// In a table.
    Table,
}
