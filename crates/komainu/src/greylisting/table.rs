//! What is remembered of triplets and clients: bounded in memory, and as rows of a file.
//!
//! A triplet is known by the SHA-1 of its key, as in Postgrey's `--privacy`; the key's text is kept for people, where privacy
//! isn't asked for. Those that wait, those that have passed and clients that are known lie on shelves of their own
//! ([`Shelf`]): a flood of new triplets takes the place of others that wait, and of those from the networks that have most
//! on it first. A quarter is theirs in any case, so that one can wait also where much is known. Who is pushed out leaves
//! a note of eight bytes ([`Short`]), so that coming back counts all the same. A crash of the machine costs the last second:
//! who was seen in it has to come once more.

use crate::kept_rows;
use mail::Wall;
use policy::eviction::forget_fairly;
use policy::greylist::short::Short;
use policy::greylist::triplet::crowd;
use policy::greylist::{Greylist, Known, Memory, Options, Seen};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Of a key's text.
const TEXT_BYTES: usize = 124;
const ID_BYTES: usize = 20;
/// Kind, whether it waits, the text's length, nothing; two numbers; the id; the text.
const ROW_BYTES: usize = 4 + 8 + ID_BYTES + TEXT_BYTES;
/// What one takes beside its text: a map is half full at times.
const ENTRY_BYTES: usize = 2 * (size_of::<(Id, Entry)>() + 1);

type Id = [u8; ID_BYTES];

/// How much is remembered, in bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Triplets: some 180,000.
    pub(super) triplets: usize,
    /// Clients: some 30,000.
    pub(super) clients: usize,
    /// Notes of triplets for which there was no room: two million.
    pub(super) notes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { triplets: 32 << 20, clients: 4 << 20, notes: 16 << 20 }
    }
}

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

impl Given {
    /// `FIRST,LAST` of a triplet, `COUNT,LAST` of a client, as Postgrey's database has them.
    pub(crate) fn of_postgrey((key, value): (&[u8], &[u8]), is_client: bool) -> Option<Given> {
        let value = String::from_utf8_lossy(value);
        let (first, last) = value.trim_end_matches('\0').split_once(',')?;
        let key = String::from_utf8_lossy(key).trim_end_matches('\0').to_owned();
        Some(Given { is_client, first: first.parse().ok()?, last: last.parse().ok()?, key })
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// The first time, or the count.
    first: u32,
    last: u32,
    /// Those who share their room.
    crowd: u32,
    waits: bool,
    text: Box<str>,
}

/// Entries of one kind, and what they take.
#[derive(Default)]
struct Shelf {
    entries: HashMap<Id, Entry>,
    bytes: usize,
}

impl Shelf {
    fn insert(&mut self, id: Id, entry: Entry) {
        self.bytes += entry.bytes();
        if let Some(old) = self.entries.insert(id, entry) {
            self.bytes = self.bytes.saturating_sub(old.bytes());
        }
    }

    fn remove(&mut self, id: &Id) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Some(entry)
    }

    fn retain(&mut self, stays: impl Fn(&Entry) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain(|_, entry| {
            let stays = stays(entry);
            *bytes -= if stays { 0 } else { entry.bytes().min(*bytes) };
            stays
        });
    }

    /// Makes room for an eighth: who has to go.
    fn make_room(&mut self, rank: impl Fn(&Entry) -> (u32, u32)) -> Vec<(Id, Entry)> {
        let count = self.entries.len() / 8 + 1;
        let gone = forget_fairly(&mut self.entries, count, |entry| (entry.crowd, rank(entry)));
        let freed: usize = gone.iter().map(|(_, entry)| entry.bytes()).sum();
        self.bytes = self.bytes.saturating_sub(freed);
        gone
    }
}

/// All that is remembered.
pub(crate) struct Table {
    /// Triplets that have not passed yet.
    waiting: Shelf,
    /// Those that have.
    passed: Shelf,
    clients: Shelf,
    /// Triplets for which there was no room.
    short: Short,
    /// How long things are worth remembering.
    rules: Option<Arc<Greylist>>,
    /// Rows that changed since they were asked for.
    changed: Vec<Vec<u8>>,
    limits: Limits,
}

fn id(key: &str) -> Id {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    hash.as_ref().try_into().unwrap_or([0; ID_BYTES])
}

fn short(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

impl Entry {
    /// What it takes: its text in steps of sixteen, as allocators give it.
    const fn bytes(&self) -> usize {
        ENTRY_BYTES + self.text.len().next_multiple_of(16)
    }

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
        let crowd = crowd_of(text);
        Some((kind, *id, Entry { first, last, crowd, waits: waits != 0, text: text.into() }))
    }
}

/// Whose room a key of a file takes: its network's, or its pool's.
fn crowd_of(key: &str) -> u32 {
    let first = key.split('/').next().unwrap_or("");
    if first.is_empty() {
        return 0;
    }
    match first.parse::<IpAddr>() {
        Ok(address) => crowd(address),
        Err(_) => id(first).first_chunk().map_or(0, |head| u32::from_le_bytes(*head)),
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

impl Default for Table {
    fn default() -> Table {
        Table::bounded(Limits::default())
    }
}

impl Table {
    /// With room for so much.
    pub(super) fn bounded(limits: Limits) -> Table {
        let (waiting, passed, clients) = (Shelf::default(), Shelf::default(), Shelf::default());
        let short = Short::new(limits.notes);
        Table { waiting, passed, clients, short, rules: None, changed: Vec::new(), limits }
    }

    /// By which rules things are forgotten.
    pub(super) fn set_rules(&mut self, rules: &Arc<Greylist>) {
        self.rules = Some(Arc::clone(rules));
    }

    /// The rows that have changed.
    pub(super) fn take_changed(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.changed)
    }

    /// What it takes in memory.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.waiting.bytes + self.passed.bytes + self.clients.bytes + self.short.bytes()
    }

    fn count(&self) -> usize {
        self.waiting.entries.len() + self.passed.entries.len() + self.clients.entries.len()
    }

    /// All of a kind, the latest first.
    pub(crate) fn listed(&self, kind: Kind) -> Vec<Listed> {
        let shelves = match kind {
            Kind::Triplet => [Some(&self.waiting), Some(&self.passed)],
            Kind::Client => [Some(&self.clients), None],
        };
        let mut listed: Vec<Listed> = shelves
            .into_iter()
            .flatten()
            .flat_map(|shelf| shelf.entries.values())
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

    fn put(&mut self, kind: u8, id: Id, entry: Entry) {
        self.changed.push(entry.encode(kind, &id));
        self.place(kind, id, entry);
    }

    /// Puts an entry where it belongs, and makes room for it.
    fn place(&mut self, kind: u8, id: Id, entry: Entry) {
        if kind == CLIENT {
            self.clients.insert(id, entry);
            if self.clients.bytes > self.limits.clients {
                // Whoever proved himself less often goes first.
                self.clients.make_room(|entry| (entry.first.min(5), entry.last));
            }
            return;
        }
        let (here, there) = match entry.waits {
            true => (&mut self.waiting, &mut self.passed),
            false => (&mut self.passed, &mut self.waiting),
        };
        there.remove(&id);
        here.insert(id, entry);
        if self.waiting.bytes.saturating_add(self.passed.bytes) > self.limits.triplets {
            self.make_room();
        }
    }

    /// Makes room on the shelf of those that wait, unless they have no more than their quarter.
    fn make_room(&mut self) {
        if self.waiting.bytes > self.limits.triplets / 4 {
            for (id, entry) in self.waiting.make_room(|entry| (entry.last, entry.first)) {
                self.short.note(&id, entry.first);
            }
            return;
        }
        for (id, entry) in self.passed.make_room(|entry| (entry.last, entry.first)) {
            self.short.note(&id, entry.last);
        }
    }

    fn delay(&self) -> i64 {
        self.rules.as_ref().map_or(Options::default().delay_s, |rules| rules.options.delay_s)
    }

    /// Lets triplets that wait and have `text` in them pass when they come next: how many.
    pub(super) fn pass(&mut self, text: &str, now: i64) -> usize {
        let text = text.to_lowercase();
        let (first, last) = (short(now.saturating_sub(self.delay())), short(now));
        let chosen = self.waiting.entries.iter().filter(|(_, entry)| entry.text.contains(&text));
        let mut ids: Vec<Id> = chosen.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in &ids {
            if let Some(entry) = self.waiting.remove(id) {
                self.put(TRIPLET, *id, Entry { first, last, waits: false, ..entry });
            }
        }
        ids.len()
    }

    /// Forgets triplets and clients with `text` in them: how many.
    pub(super) fn forget(&mut self, text: &str) -> usize {
        let text = text.to_lowercase();
        let mut rows = Vec::new();
        for (kind, shelf) in
            [(TRIPLET, &mut self.waiting), (TRIPLET, &mut self.passed), (CLIENT, &mut self.clients)]
        {
            let chosen = shelf.entries.extract_if(|_, entry| entry.text.to_lowercase().contains(&text));
            for (id, entry) in chosen {
                shelf.bytes = shelf.bytes.saturating_sub(entry.bytes());
                self.short.forget(&id);
                rows.push((id, entry.encode(kind | FORGOTTEN, &id)));
            }
        }
        rows.sort();
        let count = rows.len();
        self.changed.extend(rows.into_iter().map(|(_, row)| row));
        count
    }

    fn of_triplet(&self, id: &Id) -> Option<&Entry> {
        self.passed.entries.get(id).or_else(|| self.waiting.entries.get(id))
    }

    /// Takes over one of Postgrey's; whether it is newer than what is known.
    pub(super) fn take(&mut self, given: &Given) -> bool {
        let hidden = hidden_id(&given.key);
        let id = hidden.unwrap_or_else(|| id(&given.key));
        let (kind, known) = match given.is_client {
            true => (CLIENT, self.clients.entries.get(&id)),
            false => (TRIPLET, self.of_triplet(&id)),
        };
        if known.is_some_and(|known| known.last >= given.last) {
            return false;
        }
        let (text, crowd) = match hidden {
            Some(_) => ("".into(), 0),
            None => (self.text(&given.key), crowd_of(&given.key)),
        };
        let waits = !given.is_client && i64::from(given.last.saturating_sub(given.first)) < self.delay();
        self.put(kind, id, Entry { first: given.first, last: given.last, crowd, waits, text });
        true
    }

    fn restore(&mut self, row: &[u8]) {
        match Entry::decode(row) {
            Some((kind, id, _)) if kind == TRIPLET | FORGOTTEN => {
                self.waiting.remove(&id);
                self.passed.remove(&id);
            }
            Some((kind, id, _)) if kind == CLIENT | FORGOTTEN => {
                self.clients.remove(&id);
            }
            Some((kind @ (TRIPLET | CLIENT), id, entry)) => self.place(kind, id, entry),
            _ => {}
        }
    }

    fn clean_up(&mut self, now: i64) -> (usize, usize) {
        let before = self.count();
        if let Some(rules) = self.rules.clone() {
            for shelf in [&mut self.waiting, &mut self.passed] {
                shelf.retain(|entry| !rules.is_over(entry.seen(), now));
            }
            let oldest = now.saturating_sub(rules.options.max_age_s);
            self.clients.retain(|entry| i64::from(entry.last) >= oldest);
        }
        let kept = self.count();
        (kept, before - kept)
    }

    fn encoded(&self) -> Vec<u8> {
        let mut rows = Vec::with_capacity(self.count().saturating_mul(ROW_BYTES));
        for (kind, shelf) in [(TRIPLET, &self.waiting), (TRIPLET, &self.passed), (CLIENT, &self.clients)] {
            shelf.entries.iter().for_each(|(id, entry)| rows.extend(entry.encode(kind, id)));
        }
        rows
    }
}

impl Memory for Table {
    fn triplet(&mut self, key: &str) -> Option<Seen> {
        let id = id(key);
        let noted = || self.short.find(&id).map(i64::from).map(|first| Seen { first, last: first });
        self.of_triplet(&id).map(Entry::seen).or_else(noted)
    }

    fn see(&mut self, key: &str, seen: Seen, (waits, crowd): (bool, u32)) {
        let (first, last) = (short(seen.first), short(seen.last));
        self.put(TRIPLET, id(key), Entry { first, last, crowd, waits, text: self.text(key) });
    }

    fn client(&mut self, key: &str) -> Option<Known> {
        let known = self.clients.entries.get(&id(key))?;
        Some(Known { count: known.first, last: i64::from(known.last) })
    }

    fn know(&mut self, key: &str, known: Known, crowd: u32) {
        let (first, last, text) = (known.count, short(known.last), self.text(key));
        self.put(CLIENT, id(key), Entry { first, last, crowd, waits: false, text });
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
        super::lock(&self.0).count()
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

    fn bounded(bytes: usize) -> Table {
        let mut table = Table::bounded(Limits { triplets: bytes, clients: 20_000, notes: 0 });
        table.set_rules(&Arc::default());
        table
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let mut table = bounded(100_000);
        table.see("192.0.2.0/a@x/b@y", Seen { first: 5, last: 400 }, (true, 1));
        table.know("192.0.2.1", Known { count: 3, last: 77 }, 1);
        let long = format!("192.0.2.0/{}é/b@y", "ä".repeat(100));
        table.see(&long, Seen { first: 6, last: 6 }, (false, 1));
        let mut again = bounded(100_000);
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
    fn changes_by_hand() {
        let mut table = bounded(100_000);
        for (key, waits) in
            [("192.0.2.0/a@x/b@y", true), ("192.0.2.0/c@x/b@y", true), ("198.51.100.0/a@z/b@y", false)]
        {
            table.see(key, Seen { first: 1_000, last: 1_000 }, (waits, 1));
        }
        table.know("192.0.2.1", Known { count: 3, last: 77 }, 1);
        table.take_changed();
        assert_eq!((table.pass("@X/", 5_000), table.pass("@x", 5_000)), (2, 0), "they wait no more");
        let passed = table.triplet("192.0.2.0/a@x/b@y").unwrap();
        assert!(Greylist::default().has_passed(passed) && passed.last == 5_000);
        assert_eq!(table.forget("192.0.2."), 3);
        assert_eq!((table.listed(Kind::Triplet).len(), table.listed(Kind::Client).len()), (1, 0));
        let mut again = bounded(100_000);
        again.see("192.0.2.0/a@x/b@y", Seen { first: 1, last: 1 }, (true, 1));
        again.know("192.0.2.1", Known { count: 3, last: 77 }, 1);
        table.take_changed().iter().for_each(|row| again.restore(row));
        assert_eq!((again.count(), again.bytes()), (0, 0), "the file forgets, too");
    }

    #[test]
    fn postgreys_own() {
        let mut table = bounded(100_000);
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
        let mut table = bounded(100_000);
        let now = 10_000_000;
        let days = |days: i64| now - days * 86_400;
        table.see("came back", Seen { first: days(34) - 400, last: days(34) }, (false, 1));
        table.see("long ago", Seen { first: days(36) - 400, last: days(36) }, (false, 1));
        table.see("never came back", Seen { first: days(3), last: days(3) }, (true, 1));
        table.see("may still come", Seen { first: days(1), last: days(1) }, (true, 1));
        table.know("known", Known { count: 5, last: days(34) }, 1);
        table.know("was known", Known { count: 5, last: days(36) }, 1);
        assert_eq!(table.clean_up(now), (3, 3));
        assert!(table.triplet("came back").is_some() && table.triplet("may still come").is_some());
        assert!(table.client("known").is_some());
    }

    #[test]
    fn with_privacy_nothing_can_be_read() {
        let options = Options { privacy: true, ..Options::default() };
        let mut table = bounded(100_000);
        table.set_rules(&Arc::new(Greylist { options, ..Greylist::default() }));
        table.see("192.0.2.0/a@example.org/b@example.com", Seen { first: 1, last: 1 }, (true, 1));
        assert_eq!(table.listed(Kind::Triplet).first().map(|one| one.text.as_str()), Some(""));
        // As in Postgrey's own database.
        let hex: String =
            id("192.0.2.0/a@example.org/b@example.com").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "b73ab38070260cfd5dcc74c286804b01ec0dc79e");
    }
}
