//! A message between its reading and its handing in: in memory while it is small, then in a file without a name.
//!
//! It is kept because it may have to be handed in twice: where the server breaks off, the maildrop takes it.

use mail::message::RecordSize;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// As much is kept in memory.
const MEMORY_BYTES: usize = 1 << 20;

/// The content, lines with LF.
#[derive(Default)]
pub(crate) struct Held {
    memory: Vec<u8>,
    file: Option<File>,
    size: RecordSize,
}

impl Held {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size.feed(bytes);
        if self.file.is_none() && self.memory.len().saturating_add(bytes.len()) > MEMORY_BYTES {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            let file = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
            self.file = Some(file.into());
        }
        let Some(file) = &mut self.file else {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        };
        // What was in memory goes first, once.
        file.write_all(&std::mem::take(&mut self.memory))?;
        file.write_all(bytes)
    }

    /// As `message_size_limit` counts.
    pub(crate) fn size(&self) -> u64 {
        self.size.bytes()
    }

    /// From the beginning, in pieces of up to `bytes`.
    pub(crate) fn read<E: From<io::Error>>(
        &mut self,
        bytes: usize,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.memory.chunks(bytes).try_for_each(&mut *each)?;
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; bytes];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            each(buffer.get(..count).unwrap_or_default())?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_read_as_often_as_wanted() {
        for size in [0, 10, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES] {
            let all: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut held = Held::default();
            all.chunks(70_001).for_each(|piece| held.write(piece).unwrap());
            for _ in 0..2 {
                let mut read = Vec::new();
                let mut each = |bytes: &[u8]| -> io::Result<()> {
                    read.extend_from_slice(bytes);
                    Ok(())
                };
                held.read(9_999, &mut each).unwrap();
                assert!(read == all, "{size} bytes");
            }
        }
    }
}
