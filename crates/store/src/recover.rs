//! Opening a spool: finding the segments that count, folding them, setting damage aside, and making the
//! last, perhaps unflushed batch durable before anything is based on it.
//!
//! Memory: two segments and the index. Steps as numbered in docs/internals/queue-states.md, "Recovery".

use crate::apart::Stretch;
use crate::carry::Carried;
use crate::compact::write_aside;
use crate::disk::{Access, Disk};
use crate::error::SpoolError;
use crate::index::{Digest, Fact, Index, Place, Segment};
use crate::list::{Scope, newest_marked, read_list, vouched, write_list};
use crate::log::{Log, Sealed};
use crate::read::{Doubts, Library, body_path, lock};
use crate::record::{Kind, START, SegmentHeader};
use crate::scan::{End, Found, Scan, headless_batches, scan};
use crate::slots::{Ahead, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The first message number: as many digits as an inode has, so that queue ids look as log tools expect.
const FIRST_NUMBER: u64 = 0x10_0000;

/// As much behind a header that isn't there is looked at.
const LOOKED_AT: usize = 64 << 10;

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages queued.
    pub messages: u64,
    /// Segments read.
    pub segments: u64,
    /// Bytes of a torn, never acknowledged tail that were dropped.
    pub torn_bytes: u64,
    /// Unfinished body files that were deleted.
    pub orphans: u64,
    /// One line each about what was damaged and where it was put. Empty on a sound spool.
    pub damage: Vec<String>,
    /// Numbers of messages known to be damaged.
    pub corrupt: Vec<u64>,
    /// The bytes that are damaged and weren't kept apart before; [`crate::envelopes_in`] finds names in them.
    pub stretches: Vec<Vec<u8>>,
}

/// What a spool is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be looked at.
    Reading,
    /// To be gone on with, in segments of this size.
    Writing(usize),
}

/// A slot with what its header says.
struct Headed {
    slot: Slot,
    header: SegmentHeader,
    capacity: usize,
}

/// What was read off the disk.
pub(crate) struct Recovered {
    pub(crate) library: Library,
    pub(crate) report: Report,
    /// Oldest first.
    segments: VecDeque<Sealed>,
    unused: Vec<(Slot, usize)>,
    /// Slots without a legible header; suspicious where a segment is missing.
    illegible: Vec<String>,
    next_slot: u64,
    last_sequence: u64,
    /// The number of the newest segment's last batch.
    last_batch: u64,
    /// What the next segment begins with; nothing where the spool is only looked at.
    carried: Option<Carried>,
    next_number: u64,
    /// Damaged segments, to be copied, and what is damaged there.
    rotten: Vec<u64>,
    stretches: Vec<Stretch>,
    /// Something is damaged, perhaps kept apart long ago: nothing is deleted.
    doubtful: bool,
    orphans: Vec<u64>,
    /// Lists to be written, of segments that had none.
    unlisted: Vec<(Scope, Vec<Fact>)>,
}

/// Makes the directories, and takes the lock.
pub(crate) fn prepare(disk: &dyn Disk) -> Result<Box<dyn std::any::Any + Send + Sync>, SpoolError> {
    for directory in ["log", "list", "body", "corrupt"] {
        disk.make_directory(directory).map_err(|error| SpoolError::io("make", directory, error))?;
    }
    let lock = disk.lock("lock").map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => SpoolError::InUse,
        _ => SpoolError::io("lock", "lock", error),
    })?;
    // A name may be there only because the process was killed and the machine was not.
    for directory in ["", "log", "body"] {
        disk.sync_directory(directory).map_err(|error| SpoolError::io("flush", directory, error))?;
    }
    Ok(lock)
}

/// Reads a spool; changes nothing.
pub(crate) fn read_spool(
    disk: Arc<dyn Disk>,
    purpose: Purpose,
    digest: Digest,
) -> Result<Recovered, SpoolError> {
    let access = if purpose == Purpose::Reading { Access::Read } else { Access::Write };
    let index = Index::new(digest);
    let library = Library { disk, index: Arc::new(Mutex::new(index)), doubts: Doubts::default() };
    let mut recovered = Recovered {
        library,
        report: Report::default(),
        segments: VecDeque::new(),
        unused: Vec::new(),
        illegible: Vec::new(),
        next_slot: 1,
        last_sequence: 0,
        last_batch: 1,
        carried: None,
        next_number: FIRST_NUMBER,
        rotten: Vec::new(),
        stretches: Vec::new(),
        doubtful: false,
        orphans: Vec::new(),
        unlisted: Vec::new(),
    };
    // Before the headers: a segment that is begun meanwhile has no mark yet.
    let marked = newest_marked(recovered.disk().as_ref());
    let headed = recovered.read_headers(access)?;
    let chain = recovered.chain(headed);
    recovered.look_for_missing(marked, &chain);
    recovered.fold(chain, purpose)?;
    recovered.look_for_newer()?;
    recovered.check_bodies()?;
    recovered.name_strays();
    let Recovered { library, report, .. } = &mut recovered;
    report.messages = lock(&library.index).messages.len() as u64;
    Ok(recovered)
}

impl Recovered {
    fn disk(&self) -> &Arc<dyn Disk> {
        &self.library.disk
    }

    fn read_headers(&mut self, access: Access) -> Result<BTreeMap<u64, Headed>, SpoolError> {
        let mut headed = BTreeMap::new();
        let names = self.disk().list("log").map_err(|error| SpoolError::io("list", "log", error))?;
        for name in names {
            let number: Option<u64> = name.strip_prefix("slot-").and_then(|number| number.parse().ok());
            let Some(number) = number else { continue };
            self.next_slot = self.next_slot.max(number.saturating_add(1));
            let path = format!("log/{name}");
            let io = |error| SpoolError::io("read", &path, error);
            let file = self.disk().open(&path, access).map_err(io)?;
            let capacity = usize::try_from(file.size().map_err(io)?).unwrap_or(usize::MAX);
            let mut bytes = vec![0; START];
            let count = file.read_at(&mut bytes, 0).map_err(io)?;
            bytes.truncate(count);
            let slot = Slot { name, file };
            match SegmentHeader::decode(&bytes) {
                Some(header) => {
                    headed.insert(header.sequence, Headed { slot, header, capacity });
                }
                None => {
                    if !is_blank(&slot, &bytes).map_err(io)? {
                        self.illegible.push(slot.name.clone());
                    }
                    self.unused.push((slot, capacity));
                }
            }
        }
        Ok(headed)
    }

    /// The segments that count, oldest first: from the newest backwards, as each names the one before.
    fn chain(&mut self, mut headed: BTreeMap<u64, Headed>) -> Vec<Headed> {
        let Some(newest) = headed.last_key_value().map(|(_, newest)| newest.header) else {
            return Vec::new();
        };
        self.last_sequence = newest.sequence;
        let mut chain = Vec::new();
        let mut next = newest.sequence;
        while next >= newest.oldest && next > 0 {
            let Some(segment) = headed.remove(&next) else {
                self.report.damage.push(format!("segment {next} of the log is missing or illegible"));
                // Go on with the next older one that is there.
                let Some(older) = headed.range(newest.oldest..next).next_back() else { break };
                next = *older.0;
                continue;
            };
            next = segment.header.previous.min(segment.header.sequence.saturating_sub(1));
            chain.push(segment);
        }
        chain.reverse();
        self.unused.extend(headed.into_values().map(|segment| (segment.slot, segment.capacity)));
        chain
    }

    /// What the chain can't tell: whether segments newer than its newest were there, and whether it ends too early.
    fn look_for_missing(&mut self, marked: u64, chain: &[Headed]) {
        if marked > self.last_sequence {
            // Its number isn't given to another.
            self.last_sequence = marked;
            self.report.damage.push(format!("segment {marked} of the log is missing or illegible"));
        }
        let spare = self.unused.iter().map(|(_, capacity)| *capacity);
        let usual = chain.iter().map(|segment| segment.capacity).chain(spare).max().unwrap_or(0);
        // A few sectors may be missing where nobody has flushed the file yet.
        let short = chain.iter().filter(|segment| segment.capacity < usual / 2);
        for Headed { slot, header, capacity } in short {
            let name = &slot.name;
            let line = format!("log/{name} (segment {}) has {capacity} of {usual} bytes", header.sequence);
            self.report.damage.push(line);
        }
    }

    fn fold(&mut self, chain: Vec<Headed>, purpose: Purpose) -> Result<(), SpoolError> {
        let ends: Vec<Option<u64>> =
            chain.iter().skip(1).map(|next| Some(next.header.first_batch)).chain([None]).collect();
        for (segment, end) in chain.into_iter().zip(ends) {
            let Headed { slot, header, capacity } = segment;
            self.next_number = self.next_number.max(header.next_number);
            let here = Segment { file: Arc::clone(&slot.file), nonce: header.nonce };
            lock(&self.library.index).segments.insert(header.sequence, here);
            self.report.segments += 1;
            let odd = matches!(purpose, Purpose::Writing(bytes) if bytes != capacity);
            let sealed = Sealed { sequence: header.sequence, slot, poisoned: odd };
            if end.is_some_and(|end| self.fold_list(&header, end)) {
                self.segments.push_back(sealed);
                continue;
            }
            let mut bytes = vec![0; capacity];
            let Slot { name, file } = &sealed.slot;
            let path = format!("log/{name}");
            let count = file.read_at(&mut bytes, 0).map_err(|error| SpoolError::io("read", &path, error))?;
            bytes.truncate(count);
            let known = match end {
                Some(end) => End::Sealed(end),
                None => End::Open(vouched(self.disk().as_ref(), &header)),
            };
            let found = scan(&bytes, header.nonce, header.first_batch, known);
            if let End::Open(vouched) = known {
                let last = found.last_batch.unwrap_or(header.first_batch);
                // A number that was acknowledged isn't given to another batch.
                self.last_batch = last.max(vouched.saturating_sub(1));
                self.carry(purpose, (&header, capacity), &found);
            }
            let facts = self.fold_records(header.sequence, &bytes, &found);
            if let Some(end) = end.filter(|_| is_sound(&found)) {
                self.unlisted.push((Scope::of(&header, end), facts));
            }
            self.note_damage(header.sequence, &bytes, &found);
            match self.carried.as_mut().filter(|carried| carried.is_whole()) {
                Some(carried) => carried.replaced = Some(sealed),
                None => self.segments.push_back(sealed),
            }
        }
        Ok(())
    }

    /// What the next segment begins with: the whole newest one, if nothing in it or right before it is damaged.
    fn carry(&mut self, purpose: Purpose, (header, capacity): (&SegmentHeader, usize), found: &Scan) {
        let Purpose::Writing(segment_bytes) = purpose else { return };
        let (nonce, sequence) = (self.disk().random(), self.last_sequence.saturating_add(1));
        let former = self.segments.back().map_or(0, |former| former.sequence);
        let follows = header.previous == former || header.previous < header.oldest;
        self.carried = Some(if is_sound(found) && follows && capacity <= segment_bytes {
            Carried::whole(nonce, sequence, header, self.last_batch)
        } else {
            Carried::last_batch(nonce, sequence, self.last_batch)
        });
    }

    /// A header that went bad in the newest segment looks like one that was never flushed. Only in the former
    /// case is there more than one batch behind it that is newer than all others.
    fn look_for_newer(&mut self) -> Result<(), SpoolError> {
        let known = if self.report.segments > 0 { self.last_batch } else { 0 };
        for (slot, _) in self.unused.iter().filter(|(slot, _)| self.illegible.contains(&slot.name)) {
            let batches = headless_batches(&whole_file(slot)?);
            if batches.range(known.saturating_add(1)..).count() > 1 {
                let line = format!("log/{} holds the newest batches and has no legible header", slot.name);
                self.report.damage.push(line);
            }
        }
        Ok(())
    }

    /// A segment's list in place of the segment; whether there is one that counts.
    fn fold_list(&mut self, header: &SegmentHeader, end: u64) -> bool {
        let Some((facts, next_number)) = read_list(self.disk().as_ref(), Scope::of(header, end)) else {
            return false;
        };
        self.next_number = self.next_number.max(next_number);
        let mut index = lock(&self.library.index);
        for fact in &facts {
            index.apply(fact);
        }
        index.seal(header.sequence);
        true
    }

    fn fold_records(&mut self, segment: u64, bytes: &[u8], found: &Scan) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut index = lock(&self.library.index);
        for record @ Found { at, header, .. } in &found.records {
            self.next_number = self.next_number.max(header.number.saturating_add(1));
            if !found.counts(record) {
                continue;
            }
            let place = Place {
                segment,
                at: u32::try_from(*at).unwrap_or(u32::MAX),
                bytes: u32::try_from(header.total()).unwrap_or(u32::MAX),
            };
            let record = bytes.get(*at..at.saturating_add(header.total())).unwrap_or_default();
            let carried = self.carried.as_mut();
            let to = carried.and_then(|carried| Some((carried.add(header, record)?, &mut carried.facts)));
            let (place, facts) = to.unwrap_or((place, &mut facts));
            let fact = index.fact(header, place, header.meta(record).unwrap_or_default());
            index.apply(&fact);
            facts.push(fact);
        }
        index.seal(segment);
        facts
    }

    /// What was kept apart at an earlier start isn't said again.
    fn note_damage(&mut self, segment: u64, bytes: &[u8], found: &Scan) {
        self.report.torn_bytes += found.torn_bytes as u64;
        self.report.corrupt.extend(found.corrupt.iter().map(|record| record.header.number));
        self.doubtful |= !found.rotten.is_empty();
        let before = self.report.damage.len();
        for &(from, to) in &found.rotten {
            let stretch = Stretch::new(segment, (from, to), bytes);
            if stretch.is_kept(self.disk().as_ref()) {
                continue;
            }
            let line = format!("segment {segment} of the log is damaged from byte {from} to {to}");
            self.report.damage.push(line);
            let record = found.corrupt.iter().find(|record| record.at == from);
            self.report.damage.extend(record.map(|record| {
                let number = record.header.number;
                match record.header.kind {
                    Kind::Message | Kind::LargeMessage => {
                        format!("the record of message {number:X} is damaged")
                    }
                    _ => format!(
                        "what became of message {number:X} is illegible: it may be delivered once more"
                    ),
                }
            }));
            self.report.stretches.push(stretch.bytes.clone());
            self.stretches.push(stretch);
        }
        if self.report.damage.len() > before {
            self.rotten.push(segment);
        }
    }

    /// Messages that only their notes tell of.
    fn name_strays(&mut self) {
        if self.report.damage.is_empty() {
            return;
        }
        let strays: Vec<u64> = lock(&self.library.index).strays().collect();
        let lines =
            strays.iter().map(|number| format!("message {number:X} is lost: its record is illegible"));
        self.report.damage.extend(lines);
    }

    /// Which body files are missing or of no use.
    fn check_bodies(&mut self) -> Result<(), SpoolError> {
        let names = self.disk().list("body").map_err(|error| SpoolError::io("list", "body", error))?;
        let mut there: Vec<u64> =
            names.iter().filter_map(|name| u64::from_str_radix(name, 16).ok()).collect();
        there.sort_unstable();
        let wanted: Vec<(u64, u64)> = {
            let index = lock(&self.library.index);
            index.messages.large().collect()
        };
        for (number, size) in &wanted {
            let path = body_path(*number);
            let found = match self.disk().open(&path, Access::Read).and_then(|file| file.size()) {
                Ok(size) => Some(size),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                // A disk that gives an error instead of an answer must not cost a message.
                Err(error) => return Err(SpoolError::io("open", &path, error)),
            };
            if found != Some(*size) {
                let state = found.map_or("missing".to_owned(), |found| format!("{found} bytes long"));
                self.report.damage.push(format!("the body of message {number:X} ({size} bytes) is {state}"));
                self.report.corrupt.push(*number);
                self.doubtful = true;
            }
        }
        self.orphans = there
            .into_iter()
            .filter(|number| wanted.binary_search_by_key(number, |(n, _)| *n).is_err())
            .collect();
        Ok(())
    }

    /// Steps 3 to 5: from here on things are changed.
    pub(crate) fn into_log(mut self, segment_bytes: usize) -> Result<(Log, Report), SpoolError> {
        self.set_damage_aside()?;
        let Recovered { library, mut report, segments, unused, carried, orphans, unlisted, doubtful, .. } =
            self;
        let next_number = self.next_number;
        let mut log = Log {
            library,
            segment_bytes,
            numbers: Arc::new(AtomicU64::new(self.next_number)),
            active: None,
            sealed: segments,
            freed: Vec::new(),
            spares: Vec::new(),
            next_slot: self.next_slot,
            ahead: Ahead::default(),
            last_sequence: self.last_sequence,
            next_batch: self.last_batch,
            failures: 0,
            void_bodies: Vec::new(),
            buffer: Vec::new(),
            vain_round: None,
            set_aside: Vec::new(),
        };
        for (slot, capacity) in unused {
            if capacity == segment_bytes {
                log.spares.push(slot);
            } else {
                let path = format!("log/{}", slot.name);
                log.library.disk.remove(&path).map_err(|error| SpoolError::io("remove", &path, error))?;
            }
        }
        let carried = carried.unwrap_or_else(|| {
            Carried::nothing(log.library.disk.random(), log.last_sequence.saturating_add(1))
        });
        log.begin_again(carried)?;
        for (scope, facts) in unlisted {
            write_list(log.library.disk.as_ref(), Scope { next_number, ..scope }, &facts);
        }
        log.remove_stray_lists();
        // Not before: a removal that made an orphan may have been in the page cache only.
        clear_orphans(log.library.disk.as_ref(), (&orphans, doubtful), &mut report)?;
        let mut set_aside = Vec::new();
        while log.maintain(1 << 20, &mut set_aside) {}
        log.ensure_reserve();
        report.damage.append(&mut set_aside);
        Ok((log, report))
    }

    fn set_damage_aside(&mut self) -> Result<(), SpoolError> {
        let disk = Arc::clone(self.disk());
        for stretch in std::mem::take(&mut self.stretches) {
            stretch.keep(disk.as_ref())?;
        }
        for sequence in std::mem::take(&mut self.rotten) {
            let Some(sealed) = self.segments.iter().find(|sealed| sealed.sequence == sequence) else {
                continue;
            };
            let path = format!("corrupt/segment-{sequence}");
            write_aside(disk.as_ref(), &path, &whole_file(&sealed.slot)?)?;
            self.report.damage.push(format!("segment {sequence} was copied to {path}"));
        }
        let damaged = !self.report.damage.is_empty();
        if damaged {
            for name in std::mem::take(&mut self.illegible) {
                self.unused.retain(|(slot, _)| slot.name != name);
                let to = format!("corrupt/{name}");
                disk.rename(&format!("log/{name}"), &to)
                    .map_err(|error| SpoolError::io("move", &to, error))?;
                self.report.damage.push(format!("log/{name} is illegible and was moved to {to}"));
            }
        }
        if damaged {
            disk.sync_directory("corrupt").map_err(|error| SpoolError::io("flush", "corrupt", error))?;
        }
        Ok(())
    }
}

/// Deletes body files that belong to no message; where anything was damaged they may be the only copy.
fn clear_orphans(
    disk: &dyn Disk,
    (orphans, doubtful): (&[u64], bool),
    report: &mut Report,
) -> Result<(), SpoolError> {
    let damaged = doubtful || !report.damage.is_empty();
    for number in orphans {
        let path = body_path(*number);
        let done = if damaged {
            let to = format!("corrupt/{number:X}-body");
            report.damage.push(format!("{path} belongs to no message and was moved to {to}"));
            disk.rename(&path, &to)
        } else {
            report.orphans += 1;
            disk.remove(&path)
        };
        done.map_err(|error| SpoolError::io("clear", &path, error))?;
    }
    if damaged && !orphans.is_empty() {
        disk.sync_directory("corrupt").map_err(|error| SpoolError::io("flush", "corrupt", error))?;
    }
    Ok(())
}

impl Log {
    /// Lists of segments that are of the past.
    fn remove_stray_lists(&self) {
        let disk = self.library.disk.as_ref();
        for name in disk.list("list").unwrap_or_default() {
            let sequence = u64::from_str_radix(&name, 16).ok();
            let known = |sequence| {
                let active = self.active.as_ref().is_some_and(|active| active.sequence == sequence);
                active || self.sealed.iter().any(|sealed| sealed.sequence == sequence)
            };
            if !sequence.is_some_and(known) {
                let _ = disk.remove(&format!("list/{name}"));
            }
        }
    }
}

/// Takes a number.
pub(crate) fn next_number(numbers: &AtomicU64) -> u64 {
    numbers.fetch_add(1, Ordering::Relaxed)
}

/// Whether a slot without a header was never used: zeros in front, and where the first records would be.
fn is_blank(slot: &Slot, head: &[u8]) -> io::Result<bool> {
    let mut records = vec![0; LOOKED_AT];
    let count = slot.file.read_at(&mut records, START as u64)?;
    Ok(head.iter().chain(records.iter().take(count)).all(|byte| *byte == 0))
}

fn whole_file(slot: &Slot) -> Result<Vec<u8>, SpoolError> {
    let io = |error| SpoolError::io("read", &slot.name, error);
    let mut bytes = vec![0; usize::try_from(slot.file.size().map_err(io)?).unwrap_or(0)];
    let count = slot.file.read_at(&mut bytes, 0).map_err(io)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Whether nothing in a segment is damaged; what is torn was never acknowledged.
fn is_sound(found: &Scan) -> bool {
    found.rotten.is_empty() && found.corrupt.is_empty()
}
