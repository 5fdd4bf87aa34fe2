//! What is remembered of triplets and clients: bounded in memory, and as rows of a file.
//!
//! A triplet is known by the SHA-1 of its key, as in Postgrey's `--privacy`; the key's text is kept for people, where privacy
//! isn't asked for. A flood of new triplets takes the place of others that wait; those that have passed go only when no
//! others are left, and clients that are known aren't touched by it. A crash of the machine costs the last second: who
//! was seen in it has to come once more.

use crate::kept_rows;
use mail::Wall;
use policy::eviction::forget_lowest;
use policy::greylist::{Greylist, Known, Memory, Options, Seen};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Triplets that are remembered: some 25 MB.
pub(super) const TRIPLETS_MAX: usize = 150_000;
/// Clients that are remembered.
pub(super) const CLIENTS_MAX: usize = 30_000;
/// Of a key's text.
const TEXT_BYTES: usize = 124;
const ID_BYTES: usize = 20;
/// Kind, whether it waits, the text's length, nothing; two numbers; the id; the text.
const ROW_BYTES: usize = 4 + 8 + ID_BYTES + TEXT_BYTES;

type Id = [u8; ID_BYTES];

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Triplet,
    Client,
}

/// One that is remembered, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The key; empty where it is a secret.
    pub(crate) text: String,
    /// When it was seen first, of a triplet; how often, of a client.
    pub(crate) first: i64,
    /// When it was seen last.
    pub(crate) last: i64,
    /// Whether it has not passed yet.
    pub(crate) waits: bool,
}

/// One of Postgrey's own, to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) is_client: bool,
    /// When it was seen first, of a triplet; how often, of a client.
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// The key, or its SHA-1 in hexadecimal digits (`--privacy`).
    pub(crate) key: String,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The first time, or the count.
    first: u32,
    last: u32,
    waits: bool,
    text: Box<str>,
}

/// All that is remembered.
#[derive(Default)]
pub(crate) struct Table {
    triplets: HashMap<Id, Entry>,
    clients: HashMap<Id, Entry>,
    /// How long things are worth remembering.
    rules: Option<Arc<Greylist>>,
    /// Rows that changed since they were asked for.
    changed: Vec<Vec<u8>>,
    limits: Option<(usize, usize)>,
}

fn id(key: &str) -> Id {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    hash.as_ref().try_into().unwrap_or([0; ID_BYTES])
}

fn short(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

impl Entry {
    const fn seen(&self) -> Seen {
        Seen { first: self.first as i64, last: self.last as i64 }
    }

    fn encode(&self, kind: u8, id: &Id) -> Vec<u8> {
        let text = self.text.get(..self.text.floor_char_boundary(TEXT_BYTES)).unwrap_or("");
        let mut row = Vec::with_capacity(ROW_BYTES);
        row.extend([kind, u8::from(self.waits), u8::try_from(text.len()).unwrap_or(0), 0]);
        row.extend(self.first.to_le_bytes());
        row.extend(self.last.to_le_bytes());
        row.extend(id);
        row.extend(text.as_bytes());
        row.resize(ROW_BYTES, 0);
        row
    }

    fn decode(row: &[u8]) -> Option<(u8, Id, Entry)> {
        let (head, rest) = row.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_first_chunk::<4>()?;
        let (last, rest) = rest.split_first_chunk::<4>()?;
        let (id, text) = rest.split_first_chunk::<ID_BYTES>()?;
        let [kind, waits, length, _] = *head;
        let text = std::str::from_utf8(text.get(..usize::from(length))?).ok()?;
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        Some((kind, *id, Entry { first, last, waits: waits != 0, text: text.into() }))
    }
}

const TRIPLET: u8 = 1;
const CLIENT: u8 = 2;
/// The row of one that is forgotten.
const FORGOTTEN: u8 = 0x80;

/// The id that a key of Postgrey's `--privacy` is.
fn hidden_id(key: &str) -> Option<Id> {
    if key.len() != 2 * ID_BYTES {
        return None;
    }
    let digits = key.as_bytes().chunks_exact(2).map(|pair| {
        let pair =
            std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    });
    digits.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

impl Table {
    /// By which rules things are forgotten.
    pub(super) fn set_rules(&mut self, rules: &Arc<Greylist>) {
        self.rules = Some(Arc::clone(rules));
    }

    /// The rows that have changed.
    pub(super) fn take_changed(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.changed)
    }

    /// All of a kind, the latest first.
    pub(crate) fn listed(&self, kind: Kind) -> Vec<Listed> {
        let entries = if kind == Kind::Triplet { &self.triplets } else { &self.clients };
        let mut listed: Vec<Listed> = entries
            .values()
            .map(|entry| {
                let Seen { first, last } = entry.seen();
                Listed { text: entry.text.to_string(), first, last, waits: entry.waits }
            })
            .collect();
        listed.sort_by(|a, b| (b.last, &a.text).cmp(&(a.last, &b.text)));
        listed
    }

    fn text(&self, key: &str) -> Box<str> {
        let is_secret = self.rules.as_ref().is_some_and(|rules| rules.options.privacy);
        let end = if is_secret { 0 } else { key.floor_char_boundary(TEXT_BYTES) };
        key.get(..end).unwrap_or("").into()
    }

    fn put(&mut self, kind: u8, key: &str, (first, last, waits): (u32, u32, bool)) {
        let entry = Entry { first, last, waits, text: self.text(key) };
        self.put_entry(kind, id(key), entry);
    }

    fn put_entry(&mut self, kind: u8, id: Id, entry: Entry) {
        let (triplets, clients) = self.limits.unwrap_or((TRIPLETS_MAX, CLIENTS_MAX));
        self.changed.push(entry.encode(kind, &id));
        let (entries, most) =
            if kind == TRIPLET { (&mut self.triplets, triplets) } else { (&mut self.clients, clients) };
        if entries.len() >= most && !entries.contains_key(&id) {
            make_room(entries);
        }
        entries.insert(id, entry);
    }

    /// Lets triplets that wait and have `text` in them pass when they come next: how many.
    pub(super) fn pass(&mut self, text: &str, now: i64) -> usize {
        let text = text.to_lowercase();
        let delay = self.rules.as_ref().map_or(Options::default().delay_s, |rules| rules.options.delay_s);
        let chosen = self.triplets.iter_mut().filter(|(_, entry)| entry.waits && entry.text.contains(&text));
        let mut rows = Vec::new();
        for (id, entry) in chosen {
            (entry.first, entry.last, entry.waits) = (short(now.saturating_sub(delay)), short(now), false);
            rows.push((*id, entry.encode(TRIPLET, id)));
        }
        self.change(rows)
    }

    /// Forgets triplets and clients with `text` in them: how many.
    pub(super) fn forget(&mut self, text: &str) -> usize {
        let text = text.to_lowercase();
        let mut rows = Vec::new();
        for (kind, entries) in [(TRIPLET, &mut self.triplets), (CLIENT, &mut self.clients)] {
            let chosen = entries.extract_if(|_, entry| entry.text.to_lowercase().contains(&text));
            rows.extend(chosen.map(|(id, entry)| (id, entry.encode(kind | FORGOTTEN, &id))));
        }
        self.change(rows)
    }

    fn change(&mut self, mut rows: Vec<(Id, Vec<u8>)>) -> usize {
        rows.sort();
        let count = rows.len();
        self.changed.extend(rows.into_iter().map(|(_, row)| row));
        count
    }

    /// Takes over one of Postgrey's; whether it is newer than what is known.
    pub(super) fn take(&mut self, given: &Given) -> bool {
        let hidden = hidden_id(&given.key);
        let id = hidden.unwrap_or_else(|| id(&given.key));
        let (kind, known) = match given.is_client {
            true => (CLIENT, self.clients.get(&id)),
            false => (TRIPLET, self.triplets.get(&id)),
        };
        if known.is_some_and(|known| known.last >= given.last) {
            return false;
        }
        let text = if hidden.is_some() { "".into() } else { self.text(&given.key) };
        let delay = self.rules.as_ref().map_or(Options::default().delay_s, |rules| rules.options.delay_s);
        let waits = !given.is_client && i64::from(given.last.saturating_sub(given.first)) < delay;
        self.put_entry(kind, id, Entry { first: given.first, last: given.last, waits, text });
        true
    }

    fn restore(&mut self, row: &[u8]) {
        match Entry::decode(row) {
            Some((kind, id, _)) if kind == TRIPLET | FORGOTTEN => {
                self.triplets.remove(&id);
            }
            Some((kind, id, _)) if kind == CLIENT | FORGOTTEN => {
                self.clients.remove(&id);
            }
            Some((TRIPLET, id, entry)) => {
                self.triplets.insert(id, entry);
            }
            Some((CLIENT, id, entry)) => {
                self.clients.insert(id, entry);
            }
            _ => {}
        }
    }

    fn clean_up(&mut self, now: i64) -> (usize, usize) {
        let before = self.triplets.len() + self.clients.len();
        if let Some(rules) = self.rules.clone() {
            self.triplets.retain(|_, entry| !rules.is_over(entry.seen(), now));
            let oldest = now.saturating_sub(rules.options.max_age_s);
            self.clients.retain(|_, entry| i64::from(entry.last) >= oldest);
        }
        // A file may have more than there is room for.
        let (triplets, clients) = self.limits.unwrap_or((TRIPLETS_MAX, CLIENTS_MAX));
        while self.triplets.len() > triplets {
            make_room(&mut self.triplets);
        }
        while self.clients.len() > clients {
            make_room(&mut self.clients);
        }
        let kept = self.triplets.len() + self.clients.len();
        (kept, before - kept)
    }

    fn encoded(&self) -> Vec<u8> {
        let mut rows =
            Vec::with_capacity((self.triplets.len() + self.clients.len()).saturating_mul(ROW_BYTES));
        for (kind, entries) in [(TRIPLET, &self.triplets), (CLIENT, &self.clients)] {
            entries.iter().for_each(|(id, entry)| rows.extend(entry.encode(kind, id)));
        }
        rows
    }
}

/// Forgets an eighth: those that wait before those that have passed, those that weren't seen for long first.
fn make_room(entries: &mut HashMap<Id, Entry>) {
    let count = entries.len() / 8 + 1;
    forget_lowest(entries, count, |entry| (!entry.waits, entry.last));
}

impl Memory for Table {
    fn triplet(&mut self, key: &str) -> Option<Seen> {
        self.triplets.get(&id(key)).map(Entry::seen)
    }

    fn see(&mut self, key: &str, seen: Seen, waits: bool) {
        self.put(TRIPLET, key, (short(seen.first), short(seen.last), waits));
    }

    fn client(&mut self, key: &str) -> Option<Known> {
        self.clients.get(&id(key)).map(|entry| Known { count: entry.first, last: i64::from(entry.last) })
    }

    fn know(&mut self, key: &str, known: Known) {
        self.put(CLIENT, key, (known.count, short(known.last), false));
    }
}

/// The table as the file has it.
pub(super) struct Rows(Arc<Mutex<Table>>);

impl Rows {
    pub(super) fn new(table: &Arc<Mutex<Table>>) -> Rows {
        Rows(Arc::clone(table))
    }
}

impl kept_rows::Rows for Rows {
    const LAYOUT: (u32, usize) = (0x6b67_0001, ROW_BYTES);

    fn restore(&self, row: &[u8]) {
        super::lock(&self.0).restore(row);
    }

    fn count(&self) -> usize {
        let table = super::lock(&self.0);
        table.triplets.len() + table.clients.len()
    }

    fn encoded(&self) -> Vec<u8> {
        super::lock(&self.0).encoded()
    }

    fn clean_up(&self, now: Wall) -> (usize, usize) {
        super::lock(&self.0).clean_up(now.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::greylist::Options;

    fn bounded(triplets: usize) -> Table {
        let rules = Arc::new(Greylist::default());
        Table { limits: Some((triplets, 10)), rules: Some(rules), ..Table::default() }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let mut table = bounded(100);
        table.see("192.0.2.0/a@x/b@y", Seen { first: 5, last: 400 }, true);
        table.know("192.0.2.1", Known { count: 3, last: 77 });
        let long = format!("192.0.2.0/{}é/b@y", "ä".repeat(100));
        table.see(&long, Seen { first: 6, last: 6 }, false);
        let mut again = bounded(100);
        for row in table.encoded().chunks_exact(ROW_BYTES) {
            again.restore(row);
        }
        assert_eq!(again.triplet("192.0.2.0/a@x/b@y"), Some(Seen { first: 5, last: 400 }));
        assert_eq!(again.client("192.0.2.1"), Some(Known { count: 3, last: 77 }));
        assert_eq!(again.triplet(&long), Some(Seen { first: 6, last: 6 }), "known by its hash");
        assert_eq!(again.triplet(&long.replace("é/b", "è/b")), None);
        assert_eq!(again.listed(Kind::Triplet), table.listed(Kind::Triplet));
        let changed = table.take_changed();
        assert_eq!(changed.len(), 3);
        again.restore(&changed[0][..20]);
        again.restore(&[255; ROW_BYTES]);
        assert_eq!(again.listed(Kind::Triplet).len(), 2);
    }

    #[test]
    fn a_flood_takes_the_place_of_those_that_wait() {
        let mut table = bounded(800);
        for n in 0..400 {
            table.see(&format!("old/{n}"), Seen { first: 1, last: 500 }, false);
        }
        for n in 0..10 {
            table.know(&format!("client {n}"), Known { count: 9, last: 1 });
        }
        for n in 0..100_000 {
            table.see(&format!("flood/{n}"), Seen { first: 600 + n / 100, last: 600 + n / 100 }, true);
            assert!(table.triplets.len() <= 800);
        }
        assert!((0..400).all(|n| table.triplet(&format!("old/{n}")).is_some()));
        assert!((0..10).all(|n| table.client(&format!("client {n}")).is_some()));
        assert!(table.triplet("flood/99999").is_some() && table.triplet("flood/0").is_none());
    }

    #[test]
    fn changes_by_hand() {
        let mut table = bounded(100);
        for (key, waits) in
            [("192.0.2.0/a@x/b@y", true), ("192.0.2.0/c@x/b@y", true), ("198.51.100.0/a@z/b@y", false)]
        {
            table.see(key, Seen { first: 1_000, last: 1_000 }, waits);
        }
        table.know("192.0.2.1", Known { count: 3, last: 77 });
        table.take_changed();
        assert_eq!((table.pass("@X/", 5_000), table.pass("@x", 5_000)), (2, 0), "they wait no more");
        let passed = table.triplet("192.0.2.0/a@x/b@y").unwrap();
        assert!(Greylist::default().has_passed(passed) && passed.last == 5_000);
        assert_eq!(table.forget("192.0.2."), 3);
        assert_eq!((table.triplets.len(), table.clients.len()), (1, 0));
        let mut again = bounded(100);
        again.see("192.0.2.0/a@x/b@y", Seen { first: 1, last: 1 }, true);
        again.know("192.0.2.1", Known { count: 3, last: 77 });
        table.take_changed().iter().for_each(|row| again.restore(row));
        assert!(again.triplets.is_empty() && again.clients.is_empty(), "the file forgets, too");
    }

    #[test]
    fn postgreys_own() {
        let mut table = bounded(100);
        let given = |is_client, first, last, key: &str| Given { is_client, first, last, key: key.to_owned() };
        assert!(table.take(&given(false, 100, 500, "192.0.2.0/a@x/b@y")));
        assert!(table.take(&given(false, 100, 100, "192.0.2.0/new@x/b@y")));
        assert!(table.take(&given(true, 5, 500, "192.0.2.1")));
        assert!(!table.take(&given(true, 4, 400, "192.0.2.1")), "older than what is known");
        let key = "192.0.2.0/a@example.org/b@example.com";
        assert!(table.take(&given(false, 100, 500, "b73ab38070260cfd5dcc74c286804b01ec0dc79e")));
        assert_eq!(table.triplet(key), Some(Seen { first: 100, last: 500 }), "with --privacy");
        assert_eq!(table.client("192.0.2.1"), Some(Known { count: 5, last: 500 }));
        let waiting: Vec<String> =
            table.listed(Kind::Triplet).into_iter().filter(|one| one.waits).map(|one| one.text).collect();
        assert_eq!(waiting, ["192.0.2.0/new@x/b@y"]);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut table = bounded(800);
        let now = 10_000_000;
        let days = |days: i64| now - days * 86_400;
        table.see("came back", Seen { first: days(34) - 400, last: days(34) }, false);
        table.see("long ago", Seen { first: days(36) - 400, last: days(36) }, false);
        table.see("never came back", Seen { first: days(3), last: days(3) }, true);
        table.see("may still come", Seen { first: days(1), last: days(1) }, true);
        table.know("known", Known { count: 5, last: days(34) });
        table.know("was known", Known { count: 5, last: days(36) });
        assert_eq!(table.clean_up(now), (3, 3));
        assert!(table.triplet("came back").is_some() && table.triplet("may still come").is_some());
        assert!(table.client("known").is_some());
    }

    #[test]
    fn with_privacy_nothing_can_be_read() {
        let options = Options { privacy: true, ..Options::default() };
        let mut table = bounded(10);
        table.set_rules(&Arc::new(Greylist { options, ..Greylist::default() }));
        table.see("192.0.2.0/a@example.org/b@example.com", Seen { first: 1, last: 1 }, true);
        assert_eq!(table.listed(Kind::Triplet).first().map(|one| one.text.as_str()), Some(""));
        // As in Postgrey's own database.
        let hex: String =
            id("192.0.2.0/a@example.org/b@example.com").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "b73ab38070260cfd5dcc74c286804b01ec0dc79e");
    }
}
