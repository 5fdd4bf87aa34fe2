//! The log's files: made full length and zeroed, the next one ahead of need.
//!
//! Filling 8 MB takes a disk some milliseconds in which no commit should wait. So when the active segment is
//! half full and a new one would have to be made for the next message, the writer gives out a [`NewSlot`],
//! which another thread makes. No threads here: the simulator makes it between two steps.

use crate::disk::{Disk, DiskFile};
use crate::error::SpoolError;
use crate::log::{Log, RESERVE};
use std::sync::{Arc, mpsc};

/// What must be free for a slot that isn't needed yet, in slots: others may need the room more.
const ROOM_AHEAD: u64 = 4;

/// One file of the log.
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// A slot to be made.
pub(crate) struct NewSlot {
    disk: Arc<dyn Disk>,
    name: String,
    bytes: usize,
    made: mpsc::Sender<Result<Slot, SpoolError>>,
}

impl NewSlot {
    /// Makes it. While this runs the spool's lock must be held.
    pub(crate) fn make(self) {
        let NewSlot { disk, name, bytes, made } = self;
        let slot = make_slot(&disk, name, bytes, ROOM_AHEAD);
        let _ = made.send(slot); // a log that is gone doesn't need it
    }
}

/// The slot that is being made.
#[derive(Default)]
pub(crate) struct Ahead {
    coming: Option<mpsc::Receiver<Result<Slot, SpoolError>>>,
    /// The last one couldn't be made: not tried again in this segment.
    pub(crate) failed: bool,
}

impl Ahead {
    /// How many slots will come.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.coming.is_some())
    }
}

impl Log {
    /// The slot that should be made now, in the background.
    pub(crate) fn wanted_slot(&mut self) -> Option<NewSlot> {
        let half_full = self.active.as_ref().is_some_and(|active| active.at > self.segment_bytes / 2);
        let wanted = half_full && self.spares.len() <= RESERVE && !self.ahead.failed;
        if !wanted || self.ahead.coming.is_some() {
            return None;
        }
        let (made, coming) = mpsc::channel();
        self.ahead.coming = Some(coming);
        let (disk, name) = (Arc::clone(&self.library.disk), self.next_slot_name());
        Some(NewSlot { disk, name, bytes: self.segment_bytes, made })
    }

    /// Takes over what was made in the background, without waiting for it.
    pub(crate) fn take_prepared(&mut self) {
        let Some(coming) = &self.ahead.coming else { return };
        match coming.try_recv() {
            Err(mpsc::TryRecvError::Empty) => {}
            Ok(Ok(slot)) => {
                self.ahead.coming = None;
                self.spares.push(slot);
            }
            Ok(Err(_)) | Err(mpsc::TryRecvError::Disconnected) => {
                self.ahead = Ahead { coming: None, failed: true };
            }
        }
    }

    /// A new slot: the one that is on its way, or one made here and now.
    pub(crate) fn create_slot(&mut self) -> Result<Slot, SpoolError> {
        if let Some(coming) = self.ahead.coming.take()
            && let Ok(Ok(slot)) = coming.recv()
        {
            return Ok(slot);
        }
        let name = self.next_slot_name();
        make_slot(&self.library.disk, name, self.segment_bytes, 1)
    }

    fn next_slot_name(&mut self) -> String {
        let name = format!("slot-{:06}", self.next_slot);
        self.next_slot += 1;
        name
    }

    /// Makes spares up to the reserve, as far as there is room.
    pub(crate) fn ensure_reserve(&mut self) {
        while self.spares.len() < RESERVE {
            let Ok(slot) = self.create_slot() else { break };
            self.spares.push(slot);
        }
    }
}

/// A new slot, filled with zeros so that later writes neither need room nor change metadata.
fn make_slot(disk: &Arc<dyn Disk>, name: String, bytes: usize, room: u64) -> Result<Slot, SpoolError> {
    // Asked first, as filling the disk to its last byte would take others' room for a moment.
    if disk.free_bytes().is_ok_and(|free| free < room.saturating_mul(bytes as u64)) {
        return Err(SpoolError::Full);
    }
    let path = format!("log/{name}");
    let made = (|| {
        let file = disk.create(&path)?;
        let zeros = vec![0; bytes.min(1 << 20)];
        let mut at = 0;
        while at < bytes {
            let piece = zeros.get(..zeros.len().min(bytes - at)).unwrap_or(&zeros);
            file.write_at(piece, at as u64)?;
            at += piece.len();
        }
        file.sync()?;
        disk.sync_directory("log")?;
        Ok(file)
    })();
    match made {
        Ok(file) => Ok(Slot { name, file }),
        Err(error) => {
            let _ = disk.remove(&path);
            Err(SpoolError::io("create", &path, error))
        }
    }
}
