//! Line and column of places, found by halves: a table of 100,000 lines is counted through once.

use config::{Diagnostic, SourceFile};
use std::collections::HashMap;
use std::sync::Arc;

/// Where the lines of files begin.
#[derive(Debug, Default)]
pub struct Lines {
    /// By the file's address, which stays while the findings hold it.
    starts: HashMap<*const SourceFile, Vec<usize>>,
}

impl Lines {
    /// The lines of every file that `found` points into.
    #[must_use]
    pub fn of(found: &[Diagnostic]) -> Lines {
        let mut lines = Lines::default();
        let places = found.iter().flat_map(|one| [Some(&one.place), one.fix.as_ref().map(|fix| &fix.place)]);
        for file in places.flatten().filter_map(|place| place.file.as_ref()) {
            lines.starts.entry(Arc::as_ptr(file)).or_insert_with(|| starts(&file.text));
        }
        lines
    }

    /// Line and column in characters, both from 1, of a byte offset.
    #[must_use]
    pub fn position(&self, file: &Arc<SourceFile>, at: usize) -> (usize, usize) {
        let at = file.text.floor_char_boundary(at);
        let Some(starts) = self.starts.get(&Arc::as_ptr(file)) else { return (1, at + 1) };
        let line = starts.partition_point(|start| *start <= at).max(1);
        let from = starts.get(line - 1).copied().unwrap_or(0);
        (line, file.text.get(from..at).map_or(0, |text| text.chars().count()) + 1)
    }

    /// Where line `number` begins; `None` past the last.
    #[must_use]
    pub fn start(&self, file: &Arc<SourceFile>, number: usize) -> Option<usize> {
        self.starts.get(&Arc::as_ptr(file))?.get(number.checked_sub(1)?).copied()
    }
}

fn starts(text: &str) -> Vec<usize> {
    let behind = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Place;

    #[track_caller]
    fn check(text: &str, at: usize, expect: (usize, usize)) {
        let file = Arc::new(SourceFile { path: "x".into(), text: text.to_owned() });
        let found = [Diagnostic::hint(100, Place::new(&file, at, at), "")];
        assert_eq!(Lines::of(&found).position(&file, at), expect);
    }

    #[test]
    fn positions() {
        check("", 0, (1, 1));
        check("a\nb", 1, (1, 2));
        check("a\nb", 2, (2, 1));
        check("ä\nüb", 5, (2, 2));
        check("ä", 1, (1, 1));
        check("a\n", 2, (2, 1));
        check("a\n", 999, (2, 1));
    }
}
