//! Mailboxes as a kill may have left them, one after another.

use super::*;
use std::fs;
use std::io::Write;

const HEAD: &[u8] = b"From s@far.test  Mon Nov 23 09:00:00 2026\nReturn-Path: <s@far.test>\n";
const BODY: &[u8] = b"Subject: x\n\nFirst.\n\nSecond.\n";
const BEFORE: &[u8] = b"From x  Mon Nov 23 08:00:00 2026\n\nold\n\n";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        fs::write(place.mailbox(), BEFORE).unwrap();
        place
    }

    fn mailbox(&self) -> PathBuf {
        self.folder.path().join("joe")
    }

    fn notes(&self) -> Notes {
        Notes::open(self.folder.path()).unwrap()
    }

    fn note(&self) -> Note {
        let metadata = fs::metadata(self.mailbox()).unwrap();
        Note {
            path: self.mailbox(),
            which: Which { device: metadata.dev(), inode: metadata.ino() },
            size: metadata.len(),
            floor: (HEAD.len() + BODY.len()) as u64,
            head: HEAD.to_vec(),
            lock: LockFile::default(),
        }
    }

    /// A note is left by a process that wrote so much more.
    fn killed_after(&self, written: &[u8]) {
        let notes = self.notes();
        let begun = notes.begin(self.note()).unwrap().unwrap();
        self.append(written);
        // Nothing of it comes to pass in a process that is killed.
        std::mem::forget(begun);
    }

    fn append(&self, bytes: &[u8]) {
        File::options().append(true).open(self.mailbox()).unwrap().write_all(bytes).unwrap();
    }

    fn mend(&self, notes: &Notes) -> Vec<String> {
        let mut warnings = Vec::new();
        let file = File::options().append(true).open(self.mailbox()).unwrap();
        notes.mend(&self.mailbox(), &file, || File::open(self.mailbox()), &mut warnings);
        warnings
    }

    fn text(&self) -> Vec<u8> {
        fs::read(self.mailbox()).unwrap()
    }
}

fn whole() -> Vec<u8> {
    [HEAD, BODY, b"\n"].concat()
}

#[test]
fn whatever_is_there_of_a_message_goes_and_a_whole_one_stays() {
    let whole = whole();
    for length in 0..=whole.len() {
        let place = Place::new();
        place.killed_after(&whole[..length]);
        let notes = place.notes();
        let warnings = place.mend(&notes);
        if length == whole.len() {
            assert_eq!((place.text(), warnings), ([BEFORE, &whole].concat(), Vec::new()));
        } else {
            assert_eq!(place.text(), BEFORE, "{length}");
            assert_eq!(warnings.len(), usize::from(length > 0), "{length}: {warnings:?}");
        }
        // Once, whoever comes next.
        place.append(&whole[..whole.len() / 2]);
        drop(notes);
        let before = place.text();
        assert_eq!(place.mend(&place.notes()), Vec::<String>::new());
        assert_eq!(place.text(), before);
    }
}

#[test]
fn a_large_one_too() {
    let place = Place::new();
    let line = b"Some text that goes on for a while.\n\n";
    let large = [HEAD, &line.repeat(20_000)].concat();
    let notes = place.notes();
    let note = Note { floor: 5_000_000, ..place.note() };
    std::mem::forget(notes.begin(note).unwrap());
    drop(notes);
    place.append(&large);
    let said = place.mend(&place.notes());
    assert_eq!(place.text(), BEFORE);
    assert!(said[0].contains(&format!("{} bytes", large.len())), "{said:?}");
}

#[test]
fn what_another_program_did_meanwhile_stays() {
    let other: &[u8] = b"From y  Mon Nov 23 09:00:01 2026\n\nother\n\n";
    let half = |count: usize| whole()[..count].to_vec();
    let long = [HEAD, b"text\n".repeat(40_000).as_slice()].concat();
    // Appended behind, at a line's beginning and glued, far behind too; in its place; quoted.
    for left in [
        [half(HEAD.len()), other.to_vec()].concat(),
        [half(HEAD.len() + 5), other.to_vec()].concat(),
        [long, other.to_vec()].concat(),
        other.to_vec(),
        [half(HEAD.len()), b">".to_vec(), other.to_vec()].concat(),
    ] {
        let place = Place::new();
        place.killed_after(&left);
        let before = place.text();
        let said = place.mend(&place.notes());
        assert_eq!(place.text(), before);
        assert!(said.len() == 1 && said[0].contains("changed since"), "{said:?}");
    }
    // Another file of the same name; a shorter one.
    let place = Place::new();
    place.killed_after(&half(80));
    let text = place.text();
    fs::rename(place.mailbox(), place.folder.path().join("old")).unwrap();
    fs::write(place.mailbox(), &text).unwrap();
    assert_eq!(place.mend(&place.notes()).len(), 1);
    assert_eq!(place.text(), text);
    let place = Place::new();
    place.killed_after(&half(80));
    fs::write(place.mailbox(), b"").unwrap();
    assert_eq!(place.mend(&place.notes()), Vec::<String>::new());
}

#[test]
fn a_process_that_lives_keeps_its_notes_and_strikes_them_out() {
    let place = Place::new();
    let first = place.notes();
    let begun = first.begin(place.note()).unwrap().unwrap();
    place.append(&whole()[..80]);
    // Another, that has been started meanwhile.
    let second = place.notes();
    assert!(place.mend(&second).is_empty());
    assert_eq!(place.text().len(), BEFORE.len() + 80);
    drop(second);
    begun.done();
    drop(first);
    assert!(place.mend(&place.notes()).is_empty());
    assert_eq!(place.text().len(), BEFORE.len() + 80);
    // What could not be taken back is mended by the next delivery of the same process.
    let place = Place::new();
    let notes = place.notes();
    drop(notes.begin(place.note()).unwrap());
    place.append(&whole()[..80]);
    assert_eq!(place.mend(&notes).len(), 1);
    assert_eq!(place.text(), BEFORE);
}

#[test]
fn more_at_once_than_there_is_room_for_are_not_noted() {
    let place = Place::new();
    let notes = place.notes();
    let begun: Vec<_> = (0..20).map(|_| notes.begin(place.note()).unwrap().unwrap()).collect();
    assert_eq!(begun.iter().map(|one| one.slot.at).collect::<BTreeSet<_>>().len(), 20);
    drop(begun);
    assert_eq!(notes.state().left.len(), 20);
    let long = Note { path: PathBuf::from("x".repeat(SLOT_BYTES)), ..place.note() };
    assert!(notes.begin(long).unwrap().is_none());
}

#[test]
fn a_lock_file_of_the_dead_is_known() {
    let place = Place::new();
    let path = place.folder.path().join("joe.lock");
    fs::write(&path, b"").unwrap();
    let lock = LockFile::at(&path).unwrap();
    let notes = place.notes();
    std::mem::forget(notes.begin(Note { lock, ..place.note() }).unwrap());
    drop(notes);
    let notes = place.notes();
    assert!(notes.left_lock(&place.mailbox(), lock));
    assert!(!notes.left_lock(&path, lock));
    assert!(!notes.left_lock(&place.mailbox(), LockFile { inode: lock.inode + 1, ..lock }));
}

#[test]
fn notes_of_others_are_not_believed() {
    let place = Place::new();
    let path = |number: usize| place.folder.path().join(format!("{NAME}{number}"));
    place.killed_after(&whole()[..80]);
    // Torn.
    let mut bytes = fs::read(path(0)).unwrap();
    bytes[60] ^= 1;
    fs::write(path(0), &bytes).unwrap();
    assert!(place.notes().state().left.is_empty());
    bytes[60] ^= 1;
    fs::write(path(0), &bytes).unwrap();
    assert_eq!(place.notes().state().left.len(), 1);
    // Everybody could have written it; it has another name; it is a link.
    let mode =
        |mode| fs::set_permissions(path(0), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o620);
    assert!(place.notes().state().left.is_empty());
    mode(0o600);
    fs::hard_link(path(0), place.folder.path().join("second")).unwrap();
    assert!(place.notes().state().left.is_empty());
    fs::remove_file(path(0)).unwrap();
    std::os::unix::fs::symlink(place.folder.path().join("second"), path(0)).unwrap();
    assert!(place.notes().state().left.is_empty());
    for number in 0..FILES_MAX {
        let _ = fs::remove_file(path(number));
        fs::create_dir(path(number)).unwrap();
    }
    assert!(Notes::open(place.folder.path()).is_err());
}
