//! What is kept from one report to the next: the last day that was told of, and the sums of days.
//!
//! A small file of the state folder, written anew and renamed. One that can't be read is as good as none: then a report
//! comes at the next time, and is held against nothing.

use report::Day;
use report::unusual::History;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file.
pub(crate) const NAME: &str = "report";
const HEAD: &str = "komainu report 1";
/// What a file may hold: more is not ours.
const BYTES_MAX: u64 = 1 << 20;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The last day that was told of.
    pub(crate) told: Option<Day>,
    /// Days before.
    pub(crate) history: History,
}

fn path(state: &Path) -> PathBuf {
    state.join(NAME)
}

impl Kept {
    /// What is in the state folder.
    pub(crate) fn read(state: &Path) -> Kept {
        let mut text = String::new();
        let read = File::open(path(state)).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => Kept::decode(&text),
            Err(_) => Kept::default(),
        }
    }

    fn decode(text: &str) -> Kept {
        let mut kept = Kept::default();
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return kept;
        }
        for line in lines {
            match line.strip_prefix("told\t") {
                Some(day) => kept.told = day.parse().ok().map(Day::numbered),
                // A line that isn't one says nothing.
                None => drop(kept.history.decode(line)),
            }
        }
        kept
    }

    /// Durable when it returns.
    pub(crate) fn write(&self, state: &Path) -> io::Result<()> {
        let told = self.told.map_or_else(String::new, |day| format!("told\t{}\n", day.number()));
        let text = format!("{HEAD}\n{told}{}", self.history.encode());
        let new = state.join(format!("{NAME}.new"));
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path(state))?;
        File::open(state)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(Kept::read(state.path()), Kept::default());
        let mut kept = Kept { told: Some(Day { year: 2026, month: 11, day: 22 }), ..Kept::default() };
        assert!(kept.history.decode("20000\trule\treject_rbl_client a.example\t17"));
        kept.write(state.path()).unwrap();
        assert_eq!(Kept::read(state.path()), kept);
        for broken in ["", "komainu report 2\ntold\t5\n", "\u{0}"] {
            fs::write(path(state.path()), broken).unwrap();
            assert_eq!(Kept::read(state.path()), Kept::default());
        }
        fs::write(path(state.path()), format!("{HEAD}\nnonsense\ntold\tx\n20000\trule\tx\n")).unwrap();
        assert_eq!(Kept::read(state.path()), Kept::default());
    }
}
