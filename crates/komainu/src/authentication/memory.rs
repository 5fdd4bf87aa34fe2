//! The file `guesses` in the state folder: what is known of guesses, and the key of its hashes.
//!
//! Written beside and renamed, readable by its owner only, whenever something has changed and a minute has passed, and
//! at the end. It isn't flushed: a machine that loses power forgets some guesses. A file that isn't one of ours, or
//! can't be read, means that nobody has tried yet. T0.1.

use mail::Wall;
use policy::guessing::Hash;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAME: &str = "guesses";
const TITLE: &[u8; 16] = b"komainu guesses1";
const KEY_BYTES: usize = 32;
/// More isn't read.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Where it is kept.
pub(super) struct Memory {
    path: PathBuf,
    key: [u8; KEY_BYTES],
    changes: u64,
}

/// What was kept, and how long ago.
type Known = (Vec<u8>, Duration);

impl Memory {
    /// Reads what an earlier server left.
    pub(super) fn open(state: &Path) -> (Memory, Option<Known>, io::Result<()>) {
        let path = state.join(NAME);
        let read = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read,
        };
        let (found, outcome) = match read {
            Ok(found) => (found, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let mut key = [0; KEY_BYTES];
        let known = match found {
            Some((old, known)) => {
                key = old;
                Some(known)
            }
            None => {
                // Without randomness the hashes are those of a key that everybody knows: the counts still hold.
                let _ = SystemRandom::new().fill(&mut key);
                None
            }
        };
        (Memory { path, key, changes: 0 }, known, outcome)
    }

    /// The hash by its key.
    pub(super) fn hash(&self) -> Hash {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        Hash::new(move |bytes| {
            let tag = hmac::sign(&key, bytes);
            tag.as_ref().first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first))
        })
    }

    /// Whether there have been changes since it was kept.
    pub(super) const fn is_old(&self, changes: u64) -> bool {
        self.changes != changes
    }

    pub(super) fn keep(&mut self, bytes: &[u8], changes: u64, now: Wall) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        for part in [&TITLE[..], &self.key, &now.seconds().to_le_bytes(), bytes] {
            file.write_all(part)?;
        }
        drop(file);
        fs::rename(&beside, &self.path)?;
        self.changes = changes;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<([u8; KEY_BYTES], Known)>> {
    // Neither a link nor what nobody writes to may hold up the start.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it isn't a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let now = crate::clock::now().wall;
    Ok(parse(&bytes, now))
}

fn parse(bytes: &[u8], now: Wall) -> Option<([u8; KEY_BYTES], Known)> {
    let rest = bytes.strip_prefix(TITLE)?;
    let (key, rest) = rest.split_first_chunk::<KEY_BYTES>()?;
    let (written, rest) = rest.split_first_chunk::<8>()?;
    let ago = now.seconds().saturating_sub(i64::from_le_bytes(*written));
    Some((*key, (rest.to_vec(), Duration::from_secs(u64::try_from(ago).unwrap_or(0)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, known, outcome) = Memory::open(folder.path());
        assert!(known.is_none() && outcome.is_ok() && first.is_old(1));
        first.keep(b"rows", 1, Wall::from_seconds(1000)).unwrap();
        assert!(!first.is_old(1) && first.is_old(2));
        let (second, known, _) = Memory::open(folder.path());
        assert_eq!((second.key, known.map(|(bytes, _)| bytes)), (first.key, Some(b"rows".to_vec())));
        for broken in [&b""[..], b"komainu guesses", b"komainu guesses2 ....", &[b'k'; 100]] {
            fs::write(folder.path().join(NAME), broken).unwrap();
            let (other, known, outcome) = Memory::open(folder.path());
            assert!(known.is_none() && outcome.is_ok() && other.key != first.key);
        }
        let (_, known, outcome) = Memory::open(&folder.path().join("guesses"));
        assert!(known.is_none() && outcome.is_err());
        let path = folder.path().join(NAME);
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let (mut over, known, outcome) = Memory::open(folder.path());
        assert!(known.is_none() && outcome.is_err(), "nobody writes to it, and nobody waits");
        over.keep(b"rows", 1, Wall::from_seconds(1000)).unwrap();
        assert!(path.metadata().unwrap().is_file(), "it is replaced");
        let bytes = [&TITLE[..], &[1; KEY_BYTES], &2000_i64.to_le_bytes(), b"x"].concat();
        let ago = |now: i64| parse(&bytes, Wall::from_seconds(now)).map(|(_, (_, ago))| ago.as_secs());
        assert_eq!((ago(2060), ago(1000)), (Some(60), Some(0)), "also where the clock was set back");
    }
}
