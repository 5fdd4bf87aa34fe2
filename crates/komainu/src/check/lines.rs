//! Line and column of places, found by halves: a table of 100,000 lines is counted through once.

use config::{Diagnostic, LineStarts, SourceFile};
use std::collections::HashMap;
use std::sync::Arc;

/// Where the lines of files begin.
#[derive(Debug, Default)]
pub struct Lines {
    /// By the file's address, which stays while the findings hold it.
    starts: HashMap<*const SourceFile, LineStarts>,
}

impl Lines {
    /// The lines of every file that `found` points into.
    #[must_use]
    pub fn of(found: &[Diagnostic]) -> Lines {
        let mut lines = Lines::default();
        let places = found.iter().flat_map(|one| [Some(&one.place), one.fix.as_ref().map(|fix| &fix.place)]);
        for file in places.flatten().filter_map(|place| place.file.as_ref()) {
            lines.starts.entry(Arc::as_ptr(file)).or_insert_with(|| LineStarts::of(&file.text));
        }
        lines
    }

    /// Line and column in characters, both from 1, of a byte offset.
    #[must_use]
    pub fn position(&self, file: &Arc<SourceFile>, at: usize) -> (usize, usize) {
        let at = file.text.floor_char_boundary(at);
        let Some(starts) = self.starts.get(&Arc::as_ptr(file)) else { return (1, at + 1) };
        (starts.line(at), starts.column(&file.text, at))
    }

    /// Where line `number` begins; `None` past the last.
    #[must_use]
    pub fn start(&self, file: &Arc<SourceFile>, number: usize) -> Option<usize> {
        self.starts.get(&Arc::as_ptr(file))?.start(number)
    }
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
