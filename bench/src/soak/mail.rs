//! The honest senders' messages: each can be told from its id whether it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Boxes that the senders write to.
pub(crate) const BOXES: u32 = 20;

/// The message of `id`, as it lies in a Maildir below its header: up to 40 kB, of a size that follows from the id.
pub(crate) fn content(id: &str) -> String {
    let lines = id.bytes().map(usize::from).sum::<usize>() * 31 % 500;
    format!("{}end of {id}\n", format!("{id} {}\n", "x".repeat(60)).repeat(lines))
}

/// The same on the wire, with header and end.
pub(crate) fn wire(id: &str) -> String {
    format!("Subject: {id}\n\n{}.\n", content(id)).replace('\n', "\r\n")
}

/// What lies in the Maildirs.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How often each id.
    pub(crate) whole: BTreeMap<String, u32>,
    /// Files that are not a whole message.
    pub(crate) broken: Vec<String>,
}

/// Reads all Maildirs below `folder`.
pub(crate) fn read(folder: &Path) -> Found {
    let mut found = Found::default();
    for number in 0..BOXES {
        let new = folder.join(format!("soak{number}")).join("new");
        for entry in fs::read_dir(new).into_iter().flatten().flatten() {
            let text = fs::read(entry.path()).unwrap_or_default();
            match id_of(&String::from_utf8_lossy(&text)) {
                Some(id) => *found.whole.entry(id).or_insert(0) += 1,
                None => found.broken.push(entry.path().display().to_string()),
            }
        }
    }
    found
}

/// The id of a message that is whole.
fn id_of(text: &str) -> Option<String> {
    let (header, body) = text.split_once("\n\n")?;
    let id = header.lines().find_map(|line| line.strip_prefix("Subject: "))?;
    (body == content(id)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_told_from_others() {
        let id = "s-1-77";
        let stored = format!("Return-Path: <x>\nSubject: {id}\n\n{}", content(id));
        assert_eq!(id_of(&stored).as_deref(), Some(id));
        assert_eq!(id_of(stored.trim_end()), None);
        assert_eq!(id_of(&stored.replacen("end of", "end", 1)), None);
        assert_eq!(id_of("Subject: x"), None);
        assert!(wire(id).ends_with("end of s-1-77\r\n.\r\n"));
    }
}
