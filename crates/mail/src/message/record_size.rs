//! How large Postfix says that a message is: its queue file keeps each line as a record, with a byte for the kind and
//! one, two or more for the length in place of the line end, and cuts lines of 2048 bytes and more into pieces.
//!
//! So `size=` in the log, mailq's column and the `SIZE=` that the next server is told count a line of less than 128
//! bytes as on the wire, with CR LF, and one byte more where it is longer.

use super::RECORD_BYTES;

/// Counts a message as it passes, in chunks that may begin and end anywhere.
#[derive(Clone, Debug, Default)]
pub struct RecordSize {
    bytes: u64,
    /// Bytes of the present piece of a line.
    piece: usize,
    /// The line has begun.
    begun: bool,
}

/// What a record has beside its text.
const fn overhead(length: usize) -> u64 {
    if length < 128 { 2 } else { 3 }
}

impl RecordSize {
    /// Takes a chunk; lines end with LF.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, behind) = rest.split_at(at);
            self.text(line.len());
            self.end_piece();
            self.begun = false;
            rest = behind.get(1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.text(rest.len());
        }
    }

    fn text(&mut self, length: usize) {
        let mut left = length;
        self.begun = true;
        loop {
            let room = RECORD_BYTES.saturating_sub(self.piece);
            if left < room {
                self.piece = self.piece.saturating_add(left);
                return;
            }
            self.piece = RECORD_BYTES;
            self.end_piece();
            left = left.saturating_sub(room);
        }
    }

    fn end_piece(&mut self) {
        let length = u64::try_from(self.piece).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length).saturating_add(overhead(self.piece));
        self.piece = 0;
    }

    /// The size so far; a line that has only begun counts as ended.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut all = self.clone();
        if all.begun {
            all.end_piece();
        }
        all.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_as_postfix_counts_them() {
        let check = |text: &str, expect: u64| {
            for size in [1, 3, 127, 2047, 2048, 2049, 100_000] {
                let mut count = RecordSize::default();
                text.as_bytes().chunks(size).for_each(|chunk| count.feed(chunk));
                assert_eq!(count.bytes(), expect, "{} bytes in chunks of {size}", text.len());
            }
        };
        check("", 0);
        check("\n", 2);
        check("Subject: x\n\nb\n", 12 + 2 + 3);
        check("no line end", 13);
        check(&format!("{}\n", "x".repeat(127)), 129);
        check(&format!("{}\n", "x".repeat(128)), 131);
        check(&format!("{}\n", "x".repeat(2047)), 2050);
        // As Postfix 3.7 logged it of a line of 5001 bytes: two whole pieces and a rest.
        check(&format!("{}\n", "x".repeat(5001)), 5001 + 9);
    }
}
