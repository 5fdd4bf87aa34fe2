//! What a line said, by the names of groups: one text, and where in it each stands.

use super::IDS;
use std::sync::Arc;

/// What groups captured, by their names, in the names' order.
#[derive(Clone, Default)]
pub struct Named {
    text: String,
    entries: Vec<Entry>,
}

/// A group's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// One that filters have again and again.
    Known(&'static str),
    /// One of a filter's own.
    Own(Arc<str>),
}

/// The names that fail2ban's own filters have.
const KNOWN: [&str; 8] = ["cidr", "dns", "fid", "ip4", "ip6", "port", "user", "rhost"];

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        let known = KNOWN.iter().find(|known| **known == name);
        known.map_or_else(|| Name::Own(name.into()), |known| Name::Known(known))
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Name::Known(name) => name,
            Name::Own(name) => name,
        }
    }
}

#[derive(Clone)]
struct Entry {
    name: Name,
    start: u32,
    end: u32,
}

impl Named {
    /// What a group captured.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| *entry.name == *name).map(|entry| self.text_of(entry))
    }

    /// Whether it captured something.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| *entry.name == *name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (&*entry.name, self.text_of(entry)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets what a group captured.
    pub fn insert(&mut self, name: Name, text: &str) {
        let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        if self.entries.is_empty() {
            self.entries.reserve(4);
            self.text.reserve(48);
        }
        let start = bound(self.text.len());
        self.text.push_str(text);
        let end = bound(self.text.len());
        match self.entries.binary_search_by(|entry| (*entry.name).cmp(&*name)) {
            Ok(at) => self.entries.get_mut(at).into_iter().for_each(|entry| {
                (entry.start, entry.end) = (start, end);
            }),
            Err(at) => self.entries.insert(at, Entry { name, start, end }),
        }
    }

    /// Whether somebody is among them.
    pub(crate) fn has_id(&self) -> bool {
        self.entries.iter().any(|entry| IDS.contains(&&*entry.name))
    }

    /// Takes over what isn't known here; of who it was only where nobody is.
    pub(crate) fn fill(&mut self, earlier: &Named) {
        let has_id = self.has_id();
        for entry in &earlier.entries {
            let is_id = IDS.contains(&&*entry.name) || &*entry.name == "cidr";
            if !(self.contains_key(&entry.name) || has_id && is_id) {
                self.insert(entry.name.clone(), earlier.text_of(entry));
            }
        }
    }

    fn text_of(&self, entry: &Entry) -> &str {
        self.text.get(entry.start as usize..entry.end as usize).unwrap_or("")
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Named {}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, &str)]) -> Named {
        let mut named = Named::default();
        pairs.iter().for_each(|(name, text)| named.insert((*name).into(), text));
        named
    }

    #[test]
    fn later_ones_stand_on_top() {
        let mut later = named(&[("user", "b"), ("ip6", "::1"), ("user", "c")]);
        later.fill(&named(&[("user", "a"), ("ip4", "192.0.2.1"), ("cidr", "24"), ("port", "1")]));
        assert_eq!(later, named(&[("port", "1"), ("ip6", "::1"), ("user", "c")]));
        assert_eq!(later.get("user"), Some("c"));
        let mut later = named(&[("user", "b")]);
        later.fill(&named(&[("cidr", "24"), ("ip4", "192.0.2.0")]));
        let all: Vec<(&str, &str)> = later.iter().collect();
        assert_eq!(all, [("cidr", "24"), ("ip4", "192.0.2.0"), ("user", "b")]);
    }
}
