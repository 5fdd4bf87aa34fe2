//! A small file that remembers the latest value of each key, for what may be lost: caches.
//!
//! Values are appended and reach the disk when somebody [`KeyedFile::sync`]s or the system feels like it; a crash
//! of the machine costs what was not flushed, a crash of the program nothing. [`KeyedFile::rewrite`] makes the file
//! as short as what lives, in a new file that takes the old one's place at once. A record that was torn or rotted
//! is passed over; it harms no other, as all have one length. No mail belongs in here.
//!
//! Layout: records of one length: key, value, and the CRC-32 of both with the file's kind in front.

use crate::disk::{Access, Disk, DiskFile, replace};
use std::io;
use std::sync::Arc;

/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// A longer file is none of ours: reading it would keep the server from starting.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Behind each record.
const CRC_BYTES: usize = 4;

/// The file; one writer.
pub struct KeyedFile {
    disk: Arc<dyn Disk>,
    name: String,
    kind: u32,
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl std::fmt::Debug for KeyedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedFile").field("name", &self.name).field("end", &self.end).finish_non_exhaustive()
    }
}

impl KeyedFile {
    /// Opens or makes the file `name`, and tells `found` each record of `record_bytes` that is whole, in the order
    /// in which they were written: the last of a key counts. `kind` is the records' version: others are passed over.
    ///
    /// # Errors
    /// When the file can't be opened, made or read, or is longer than any that is written here.
    pub fn open(
        disk: Arc<dyn Disk>,
        name: &str,
        (kind, record_bytes): (u32, usize),
        found: &mut dyn FnMut(&[u8]),
    ) -> io::Result<KeyedFile> {
        let file = match disk.open(name, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(name)?,
            opened => opened?,
        };
        // Its name is to outlive the machine as well, whoever made it.
        disk.sync_directory("")?;
        let stride = record_bytes.max(1).saturating_add(CRC_BYTES);
        let mut piece = vec![0; (PIECE_BYTES / stride).max(1) * stride];
        let mut end = 0_u64;
        loop {
            let read = file.read_at(&mut piece, end)?;
            let whole = read / stride * stride;
            for record in piece.get(..whole).unwrap_or_default().chunks_exact(stride) {
                if let Some((record, crc)) = record.split_at_checked(record_bytes)
                    && crc == checksum(kind, record).to_le_bytes()
                {
                    found(record);
                }
            }
            // What is torn at the end is written over.
            end = end.saturating_add(whole as u64);
            if read < piece.len() {
                break;
            }
            if end > FILE_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(KeyedFile { disk, name: name.to_owned(), kind, file, end })
    }

    /// Appends records, all of one length.
    ///
    /// # Errors
    /// Those of the disk; what was written before stays.
    pub fn append<'r>(&mut self, records: impl IntoIterator<Item = &'r [u8]>) -> io::Result<()> {
        let bytes = framed(self.kind, records);
        self.file.write_at(&bytes, self.end)?;
        self.end = self.end.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Puts a file of these records alone in its place; durable when it returns.
    ///
    /// # Errors
    /// Those of the disk; the old file stays.
    pub fn rewrite<'r>(&mut self, records: impl IntoIterator<Item = &'r [u8]>) -> io::Result<()> {
        let bytes = framed(self.kind, records);
        (self.file, self.end) = (replace(&*self.disk, &self.name, &bytes)?, bytes.len() as u64);
        Ok(())
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end
    }
}

fn framed<'r>(kind: u32, records: impl IntoIterator<Item = &'r [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend_from_slice(record);
        bytes.extend_from_slice(&checksum(kind, record).to_le_bytes());
    }
    bytes
}

fn checksum(kind: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&kind.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    const KIND: (u32, usize) = (7, 3);

    fn disk(folder: &std::path::Path) -> Arc<dyn Disk> {
        Arc::new(RealDisk::new(folder).unwrap())
    }

    fn read(folder: &std::path::Path, kind: (u32, usize)) -> (KeyedFile, Vec<Vec<u8>>) {
        let mut records = Vec::new();
        let mut found = |record: &[u8]| records.push(record.to_vec());
        let file = KeyedFile::open(disk(folder), "cache", kind, &mut found).unwrap();
        (file, records)
    }

    #[test]
    fn what_was_written_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, records) = read(folder.path(), KIND);
        assert!(records.is_empty());
        file.append([b"abc".as_slice(), b"def"]).unwrap();
        file.append([b"abx".as_slice()]).unwrap();
        let (mut file, records) = read(folder.path(), KIND);
        assert_eq!(records, [b"abc", b"def", b"abx"]);
        file.rewrite([b"def".as_slice(), b"abx"]).unwrap();
        file.append([b"ghi".as_slice()]).unwrap();
        assert_eq!(read(folder.path(), KIND).1, [b"def", b"abx", b"ghi"]);
        assert!(read(folder.path(), (8, 3)).1.is_empty(), "another kind");
    }

    #[test]
    fn a_file_without_end_is_no_file_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("cache")).unwrap();
        file.set_len(FILE_BYTES_MAX * 2).unwrap();
        let error = KeyedFile::open(disk(folder.path()), "cache", KIND, &mut |_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn damage_costs_the_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = read(folder.path(), KIND);
        file.append([b"abc".as_slice(), b"def", b"ghi"]).unwrap();
        let path = folder.path().join("cache");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8] ^= 1;
        bytes.truncate(bytes.len() - 2);
        std::fs::write(&path, &bytes).unwrap();
        let (mut file, records) = read(folder.path(), KIND);
        assert_eq!(records, [b"abc"]);
        file.append([b"jkl".as_slice()]).unwrap();
        assert_eq!(read(folder.path(), KIND).1, [b"abc", b"jkl"]);
    }
}
