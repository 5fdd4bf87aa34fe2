//! A message under reception: memory up to `inline_bytes`, then a file of its own.
//!
//! The file's content and name are flushed when it is committed, not before; dropped without a commit, it is
//! deleted. Memory held is bounded by `inline_bytes` whatever the client sends.

use crate::disk::{Disk, DiskFile};
use crate::error::{SpoolError, is_no_room};
use crate::read::body_path;
use std::sync::Arc;

/// How much is gathered before a write to the body file.
const WRITE_BYTES: usize = 64 << 10;

/// A message under reception. Dropped without `commit`, it leaves nothing.
pub struct Incoming {
    disk: Arc<dyn Disk>,
    number: u64,
    inline_bytes: usize,
    buffer: Vec<u8>,
    hasher: crc32fast::Hasher,
    size: u64,
    file: Option<Arc<dyn DiskFile>>,
    failed: Option<SpoolError>,
    /// Whether the file is the spool's now.
    handed_over: bool,
}

/// A finished body.
pub(crate) enum Stored {
    Inline { bytes: Vec<u8>, crc: u32 },
    File { file: Arc<dyn DiskFile>, size: u64, crc: u32 },
}

impl Incoming {
    pub(crate) fn new(disk: Arc<dyn Disk>, number: u64, inline_bytes: u32) -> Incoming {
        Incoming {
            disk,
            number,
            inline_bytes: usize::try_from(inline_bytes).unwrap_or(usize::MAX),
            buffer: Vec::new(),
            hasher: crc32fast::Hasher::new(),
            size: 0,
            file: None,
            failed: None,
            handed_over: false,
        }
    }

    /// The message's number: unique, known at once, for the queue id.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes written.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends to the body. A large body is written to its file from here (not flushed), which may block for
    /// as long as the page cache takes.
    ///
    /// # Errors
    /// When the file can't be made or written, `Full` for lack of room. The message can't be committed then.
    pub fn write(&mut self, data: &[u8]) -> Result<(), SpoolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.hasher.update(data);
        self.size += data.len() as u64;
        let done = self.append(data);
        if let Err(error) = &done {
            self.failed = Some(error.clone());
        }
        done
    }

    fn append(&mut self, data: &[u8]) -> Result<(), SpoolError> {
        if self.file.is_none() {
            if self.buffer.len() + data.len() <= self.inline_bytes {
                self.buffer.extend_from_slice(data);
                return Ok(());
            }
            let path = body_path(self.number);
            let file = self.disk.create(&path).map_err(|error| SpoolError::io("create", &path, error))?;
            self.file = Some(file);
        }
        if self.buffer.len() + data.len() >= WRITE_BYTES.min(self.inline_bytes.max(1)) {
            self.spill()?;
            if data.len() >= WRITE_BYTES {
                return self.write_through(data, self.size - data.len() as u64);
            }
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), SpoolError> {
        let buffer = std::mem::take(&mut self.buffer);
        let at = self.file_end();
        self.write_through(&buffer, at)?;
        self.buffer = buffer;
        self.buffer.clear();
        self.buffer.shrink_to(WRITE_BYTES);
        Ok(())
    }

    fn file_end(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.size().ok()).unwrap_or(0)
    }

    fn write_through(&self, data: &[u8], at: u64) -> Result<(), SpoolError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_at(data, at).map_err(|error| body_error(self.number, error))
    }

    /// What was written, from `offset` on; fewer bytes than asked for only at its end.
    ///
    /// # Errors
    /// When its file can't be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, SpoolError> {
        let Some(file) = &self.file else { return Ok(copy_from(&self.buffer, offset, buffer)) };
        let end = self.file_end();
        let mut done = 0;
        if offset < end {
            done = file.read_at(buffer, offset).map_err(|error| body_error(self.number, error))?;
        }
        let beyond = offset.saturating_add(done as u64).saturating_sub(end);
        let rest = buffer.get_mut(done..).unwrap_or_default();
        Ok(done + copy_from(&self.buffer, beyond, rest))
    }

    /// Forgets what stands behind the first `size` bytes; what is written then follows them.
    ///
    /// # Errors
    /// When its file can't be cut. The message can't be committed then.
    pub fn truncate(&mut self, size: u64) -> Result<(), SpoolError> {
        let done = self.cut(size);
        self.noted(done)
    }

    /// Puts `front` in place of the first `length` bytes.
    ///
    /// # Errors
    /// When its file can't be read or written. The message can't be committed then.
    pub fn replace_front(&mut self, length: u64, front: &[u8]) -> Result<(), SpoolError> {
        let done = self.replaced(length.min(self.size), front);
        self.noted(done)
    }

    fn noted(&mut self, done: Result<(), SpoolError>) -> Result<(), SpoolError> {
        if let Err(error) = &done {
            self.failed = Some(error.clone());
        }
        done
    }

    fn cut(&mut self, size: u64) -> Result<(), SpoolError> {
        if size >= self.size {
            return Ok(());
        }
        match self.file.clone() {
            None => self.buffer.truncate(usize::try_from(size).unwrap_or(usize::MAX)),
            Some(file) => {
                self.spill()?;
                file.truncate(size).map_err(|error| body_error(self.number, error))?;
            }
        }
        self.size = size;
        self.sum_up()
    }

    fn replaced(&mut self, length: u64, front: &[u8]) -> Result<(), SpoolError> {
        let Some(file) = self.file.clone() else {
            let rest = usize::try_from(length).ok().and_then(|length| self.buffer.get(length..));
            let whole = [front, rest.unwrap_or_default()].concat();
            (self.buffer, self.size, self.hasher) = (Vec::new(), 0, crc32fast::Hasher::new());
            return self.write(&whole);
        };
        self.spill()?;
        let failed = |error| body_error(self.number, error);
        let (old, new) = (length, front.len() as u64);
        let size = self.size - old + new;
        let mut window = vec![0; WRITE_BYTES];
        let mut moved = 0;
        let all = self.size - old;
        while moved < all && old != new {
            let piece = (WRITE_BYTES as u64).min(all - moved);
            // Growing, the end moves first; shrinking, the beginning.
            let at = if new > old { all - moved - piece } else { moved };
            let window = window.get_mut(..usize::try_from(piece).unwrap_or(0)).unwrap_or_default();
            file.read_at(window, old + at).map_err(failed)?;
            file.write_at(window, new + at).map_err(failed)?;
            moved += piece;
        }
        file.write_at(front, 0).map_err(failed)?;
        if size < self.size {
            file.truncate(size).map_err(failed)?;
        }
        self.size = size;
        self.sum_up()
    }

    /// The checksum of what is there now.
    fn sum_up(&mut self) -> Result<(), SpoolError> {
        let mut hasher = crc32fast::Hasher::new();
        let mut window = vec![0; WRITE_BYTES];
        let mut at = 0;
        while at < self.size {
            let read = self.read_at(&mut window, at)?;
            if read == 0 {
                break;
            }
            hasher.update(window.get(..read).unwrap_or_default());
            at += read as u64;
        }
        self.hasher = hasher;
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<Stored, SpoolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let crc = self.hasher.clone().finalize();
        let Some(file) = self.file.clone() else {
            return Ok(Stored::Inline { bytes: std::mem::take(&mut self.buffer), crc });
        };
        self.spill()?;
        Ok(Stored::File { file, size: self.size, crc })
    }

    /// From now on the spool deletes the body file.
    pub(crate) fn hand_over(&mut self) {
        self.handed_over = true;
    }
}

/// Copies what `bytes` hold from `offset` on; how many there were.
fn copy_from(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let count = rest.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.file.take().is_some() && !self.handed_over {
            // Recovery deletes what stays.
            let _ = self.disk.remove(&body_path(self.number));
        }
    }
}

pub(crate) fn body_error(number: u64, error: std::io::Error) -> SpoolError {
    if is_no_room(&error) { SpoolError::Full } else { SpoolError::Body { number, source: Arc::new(error) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simdisk::SimDisk;

    /// What is there, read in pieces of an odd size.
    fn text(incoming: &Incoming) -> Vec<u8> {
        let (mut all, mut window) = (Vec::new(), [0; 70_001]);
        loop {
            let read = incoming.read_at(&mut window, all.len() as u64).unwrap();
            all.extend_from_slice(window.get(..read).unwrap());
            if read == 0 {
                return all;
            }
        }
    }

    /// A message in memory and one in a file, changed in front and behind, against the same done to plain bytes.
    #[test]
    fn changed_before_it_is_committed() {
        for inline_bytes in [4_000_000, 1_000] {
            for (old, new) in [(0, 10), (10, 0), (1_000, 70_000), (70_000, 1_000), (5, 5), (200_000, 3)] {
                let disk = Arc::new(SimDisk::new(1, 10 << 20));
                disk.make_directory("").unwrap();
                disk.make_directory("body").unwrap();
                let mut incoming = Incoming::new(disk, 7, inline_bytes);
                let mut plain: Vec<u8> = (0..200_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
                plain.chunks(777).for_each(|piece| incoming.write(piece).unwrap());
                let front = vec![b'n'; new];
                incoming.replace_front(old as u64, &front).unwrap();
                plain.splice(..old, front);
                assert!(text(&incoming) == plain, "{inline_bytes} {old} {new}");
                let cut = plain.len() * 2 / 3;
                incoming.truncate(cut as u64).unwrap();
                plain.truncate(cut);
                incoming.write(b"the end").unwrap();
                plain.extend_from_slice(b"the end");
                assert!(text(&incoming) == plain && incoming.size() == plain.len() as u64);
                let crc = match incoming.finish().unwrap() {
                    Stored::Inline { crc, .. } | Stored::File { crc, .. } => crc,
                };
                assert_eq!(crc, crc32fast::hash(&plain), "{inline_bytes} {old} {new}");
            }
        }
    }
}
