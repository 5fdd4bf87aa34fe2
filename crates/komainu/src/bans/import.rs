//! What fail2ban kept in its SQLite file, for an engine that takes its place.
//!
//! The file is read and never written; fail2ban is best stopped before. What its write-ahead log has committed counts; a
//! rollback journal that was left behind belongs to a change that never came to an end, and is said.

use super::order::Imported;
use ban::import::{Kept, Place};
use ban::sqlite::{Bytes, Database};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What was read, in the engine's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bans, and how often somebody was banned.
    pub imported: Vec<Imported>,
    /// How many bans are in force.
    pub bans: usize,
    /// How far logs were read.
    pub places: Vec<Place>,
    /// Rows that make no sense.
    pub skipped: u64,
    /// What an administrator should know.
    pub warning: Option<String>,
}

/// A file that is read here and there.
struct Paged {
    file: File,
    length: u64,
}

impl Paged {
    fn open(path: &Path) -> std::io::Result<Paged> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Paged { file, length })
    }
}

impl Bytes for Paged {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), String> {
        self.file.read_exact_at(out, at).map_err(|error| error.to_string())
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Reads fail2ban's file. `ban_s` is how long a jail's bans last where a row doesn't say (fail2ban before 0.11).
///
/// # Errors
/// What is wrong with it.
pub fn read(path: &Path, now_s: i64, ban_s: &dyn Fn(&str) -> i64) -> Result<Taken, String> {
    let file = Paged::open(path).map_err(|error| error.to_string())?;
    let log = Paged::open(&beside(path, "-wal")).ok();
    let database = Database::open(&file, log.as_ref().map(|log| log as &dyn Bytes))?;
    let kept = ban::import::read(&database)?;
    let mut taken = taken(kept, now_s, ban_s);
    let journal = beside(path, "-journal");
    if std::fs::metadata(&journal).is_ok_and(|metadata| metadata.len() > 0) {
        taken.warning = Some(format!(
            "{} is there: fail2ban runs, or was ended in the middle of a change; stop it in good order first",
            journal.display()
        ));
    }
    Ok(taken)
}

fn taken(kept: Kept, now_s: i64, ban_s: &dyn Fn(&str) -> i64) -> Taken {
    let mut taken = Taken { places: kept.places, skipped: kept.skipped, ..Taken::default() };
    for ban in kept.bans {
        let usual_s = ban_s(&ban.jail);
        let (jail, id, since_s, count) = (ban.jail.clone(), ban.id.to_string(), ban.since_s, ban.count);
        if ban.lasts(now_s, usual_s) {
            taken.bans += 1;
            taken.imported.push(Imported::Ban {
                jail,
                id,
                since_s,
                ban_s: ban.ban_s.unwrap_or(usual_s),
                count,
                failures: ban.failures,
                lines: ban.lines,
            });
        } else {
            taken.imported.push(Imported::Earlier { jail, id, since_s, count });
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = include_bytes!("../../../ban/src/import/plain.sqlite3");
    const LOGGED: &[u8] = include_bytes!("../../../ban/src/import/logged.sqlite3");
    const LOG: &[u8] = include_bytes!("../../../ban/src/import/logged.sqlite3-wal");
    const T: i64 = 1_795_435_600;

    #[test]
    fn bans_in_force_and_those_that_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fail2ban.sqlite3");
        std::fs::write(&path, PLAIN).unwrap();
        let read = |now_s: i64| read(&path, now_s, &|_| 600).unwrap();
        let taken = read(T + 700);
        // Two that last for long, twelve for an hour; one of ten minutes is over, another was long ago.
        assert_eq!((taken.imported.len(), taken.bans, taken.places.len()), (16, 14, 2));
        let earlier = |id: &str, since_s, count| Imported::Earlier {
            jail: "sshd".into(),
            id: id.into(),
            since_s,
            count,
        };
        assert!(taken.imported.contains(&earlier("203.0.113.177", T, 3)), "{taken:?}");
        assert!(taken.imported.contains(&earlier("192.0.2.9", T - 90_000, 2)), "{taken:?}");
        assert_eq!((read(T + 100).bans, read(i64::MAX - 1).bans, taken.warning), (15, 1, None));
        std::fs::write(folder.path().join("fail2ban.sqlite3-journal"), b"x").unwrap();
        assert!(read(T).warning.is_some_and(|text| text.contains("stop it in good order first")));
    }

    #[test]
    fn the_log_beside_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, LOGGED).unwrap();
        std::fs::write(folder.path().join("f-wal"), LOG).unwrap();
        assert_eq!(read(&path, T, &|_| 600).unwrap().bans, 3);
        std::fs::write(&path, b"SQLite format 3\0 and no more").unwrap();
        assert_eq!(read(&path, T, &|_| 600).unwrap_err(), "it is no SQLite file");
        assert!(read(&folder.path().join("none"), T, &|_| 600).unwrap_err().contains("No such file"));
    }
}
