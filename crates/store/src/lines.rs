//! A file of lines, each with its checksum, for what a program remembers in rows of any length.
//!
//! A line is appended whole: after a crash it is there or it isn't, whatever of it had reached the disk. So what belongs
//! together goes into one line. It reaches the disk when somebody [`LineFile::sync`]s or the system feels like it; a crash
//! of the machine costs what was not flushed, a crash of the program nothing. [`LineFile::rewrite`] makes the file as short
//! as what lives, in a new file that takes the old one's place at once. A line that rotted is passed over and harms no
//! other. No mail belongs in here.
//!
//! Layout: eight hexadecimal digits, the CRC-32 of what follows the space behind them up to the line's end.

use crate::disk::{Access, Disk, DiskFile, replace};
use std::io;
use std::sync::Arc;

/// What is read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// A longer line is none of ours.
const LINE_BYTES_MAX: usize = 256 << 20;
/// A longer file is none of ours: reading it would keep the program from starting.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// The file; one writer.
pub struct LineFile {
    disk: Arc<dyn Disk>,
    name: String,
    file: Arc<dyn DiskFile>,
    end: u64,
    damaged: u64,
}

impl std::fmt::Debug for LineFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineFile").field("name", &self.name).field("end", &self.end).finish_non_exhaustive()
    }
}

impl LineFile {
    /// Opens or makes the file `name`, and tells `found` each line that is whole, in the order in which they were written.
    ///
    /// # Errors
    /// When the file can't be opened, made or read, or is longer than any that is written here.
    pub fn open(disk: Arc<dyn Disk>, name: &str, found: &mut dyn FnMut(&[u8])) -> io::Result<LineFile> {
        let file = match disk.open(name, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(name)?,
            opened => opened?,
        };
        // Its name is to outlive the machine as well, whoever made it.
        disk.sync_directory("")?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut held: Vec<u8> = Vec::new();
        let (mut at, mut end) = (0_u64, 0_u64);
        let mut damaged = 0_u64;
        loop {
            let read = file.read_at(&mut piece, at)?;
            at = at.saturating_add(read as u64);
            held.extend_from_slice(piece.get(..read).unwrap_or_default());
            let mut taken = 0;
            while let Some(line) = held.get(taken..).and_then(first_line) {
                taken += line.len() + 1;
                match whole(line) {
                    Some(payload) => found(payload),
                    None => damaged += 1,
                }
            }
            end = end.saturating_add(taken as u64);
            held.drain(..taken);
            if read < piece.len() {
                break;
            }
            if at > FILE_BYTES_MAX || held.len() > LINE_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        // What is torn at the end goes.
        if at > end {
            file.truncate(end)?;
        }
        Ok(LineFile { disk, name: name.to_owned(), file, end, damaged })
    }

    /// How many lines that were there at the opening had rotted. A torn one at the end isn't among them.
    #[must_use]
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Appends a line.
    ///
    /// # Errors
    /// When there is a line break in it, and those of the disk; what was written before stays.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = framed([line])?;
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

    /// Puts a file of these lines alone in its place; durable when it returns.
    ///
    /// # Errors
    /// As [`LineFile::append`]; the old file stays.
    pub fn rewrite<'l>(&mut self, lines: impl IntoIterator<Item = &'l [u8]>) -> io::Result<()> {
        let bytes = framed(lines)?;
        (self.file, self.end) = (replace(&*self.disk, &self.name, &bytes)?, bytes.len() as u64);
        Ok(())
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end
    }
}

/// Without its end; nothing where there is none.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', bytes)?;
    bytes.get(..end)
}

/// What stands behind a checksum that is right.
fn whole(line: &[u8]) -> Option<&[u8]> {
    let (crc, payload) = line.split_at_checked(8)?;
    let payload = payload.strip_prefix(b" ")?;
    (crc == format!("{:08x}", crc32fast::hash(payload)).as_bytes()).then_some(payload)
}

fn framed<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        if line.contains(&b'\n') || line.len() > LINE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        bytes.extend_from_slice(format!("{:08x} ", crc32fast::hash(line)).as_bytes());
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::simdisk::SimDisk;

    fn read(disk: Arc<dyn Disk>) -> (LineFile, Vec<String>) {
        let mut lines = Vec::new();
        let mut found = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
        let file = LineFile::open(disk, "state", &mut found).unwrap();
        (file, lines)
    }

    #[test]
    fn what_was_written_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let disk = || -> Arc<dyn Disk> { Arc::new(RealDisk::new(folder.path()).unwrap()) };
        let (mut file, lines) = read(disk());
        assert!(lines.is_empty());
        let long = "x".repeat(3 * PIECE_BYTES);
        for line in ["abc", "", &long, "d e f"] {
            file.append(line.as_bytes()).unwrap();
        }
        let (mut file, lines) = read(disk());
        assert_eq!(lines, ["abc", "", &long, "d e f"]);
        assert_eq!(file.append(b"a\nb").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        file.rewrite([b"one".as_slice(), b"two"]).unwrap();
        file.append(b"three").unwrap();
        assert_eq!(read(disk()).1, ["one", "two", "three"]);
    }

    #[test]
    fn damage_costs_the_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let disk = || -> Arc<dyn Disk> { Arc::new(RealDisk::new(folder.path()).unwrap()) };
        let (mut file, _) = read(disk());
        for line in ["abc", "def", "ghi", "jkl"] {
            file.append(line.as_bytes()).unwrap();
        }
        let path = folder.path().join("state");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[13 + 10] ^= 1;
        bytes.truncate(bytes.len() - 2);
        std::fs::write(&path, &bytes).unwrap();
        let (mut file, lines) = read(disk());
        assert_eq!((lines, file.damaged()), (vec!["abc".to_owned(), "ghi".to_owned()], 1));
        file.append(b"m").unwrap();
        assert_eq!(read(disk()).1, ["abc", "ghi", "m"]);
    }

    /// At whichever step it stops, and whether the power goes or the program: what was flushed is there, all that is there
    /// was written, and nothing is missing in between.
    #[test]
    fn a_crash_costs_the_end() {
        let mut stopped = 0;
        for stop in 0..120 {
            for power in [false, true] {
                let disk = SimDisk::new(stop, 1 << 20);
                let (mut file, _) = read(Arc::new(disk.clone()));
                disk.stop_after(stop);
                let (mut kept, mut durable) = (0_u64, 0);
                for n in 1..60_u64 {
                    let done = if n % 20 == 0 {
                        let line = n.to_string();
                        let done = file.rewrite([line.as_bytes()]);
                        if done.is_ok() {
                            durable = n;
                        }
                        done
                    } else {
                        file.append(n.to_string().as_bytes())
                    };
                    if done.is_err() {
                        break;
                    }
                    kept = n;
                    if n % 3 == 0 && file.sync().is_ok() {
                        durable = n;
                    }
                }
                stopped += u32::from(disk.has_stopped());
                if power {
                    disk.lose_power()
                } else {
                    disk.restart_process()
                }
                let (_, lines) = read(Arc::new(disk.clone()));
                let found: Vec<u64> = lines.iter().map(|line| line.parse().unwrap()).collect();
                let last = found.last().copied().unwrap_or(0);
                assert!(last >= durable && last <= kept + 1, "{stop} {power}: {found:?}, {durable} {kept}");
                assert!(found.windows(2).all(|pair| pair[1] == pair[0] + 1), "{stop} {power}: {found:?}");
                assert!(power || last >= kept, "{stop}: {found:?}, {kept}");
            }
        }
        assert!(stopped > 100, "{stopped}");
    }
}
