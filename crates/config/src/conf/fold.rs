//! How postconf lays out a line: white space squeezed, and with `-f` folded at 80 columns.

use super::is_space;

/// Whether long lines are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Folding {
    /// One line for each setting.
    #[default]
    Never,
    /// `-f`: at 80 columns, behind four blanks.
    At80,
}

/// What a line of main.cf may hold.
pub(super) const MAIN_WIDTH: usize = 80;
/// What a line of master.cf may hold.
pub(super) const MASTER_WIDTH: usize = 79;
const INDENT: &str = "    ";

/// A line that is being laid out.
pub(super) struct Layout {
    text: String,
    column: usize,
    folding: Folding,
    width: usize,
}

impl Layout {
    pub(super) fn new(start: &str, folding: Folding, width: usize) -> Layout {
        Layout { text: start.to_owned(), column: start.len(), folding, width }
    }

    /// Appends `word` behind a blank, or on a line of its own where it doesn't fit.
    pub(super) fn word(&mut self, word: &str) {
        let fits = self.column + 1 + word.len() <= self.width;
        if fits || self.folding == Folding::Never {
            self.text.push(' ');
            self.text.push_str(word);
            self.column += 1 + word.len();
        } else {
            self.break_line(word);
        }
    }

    /// Appends `word` at the beginning of a line when lines are folded.
    pub(super) fn own_line(&mut self, word: &str) {
        match self.folding {
            Folding::Never => self.word(word),
            Folding::At80 => self.break_line(word),
        }
    }

    /// Appends `word` with nothing before it.
    pub(super) fn glued(&mut self, word: &str) {
        self.text.push_str(word);
        self.column += word.len();
    }

    fn break_line(&mut self, word: &str) {
        self.text.push('\n');
        self.text.push_str(INDENT);
        self.text.push_str(word);
        self.column = INDENT.len() + word.len();
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// `name = value` without a line end.
#[must_use]
pub fn fold_setting(name: &str, value: &str, folding: Folding) -> String {
    let mut layout = Layout::new(name, folding, MAIN_WIDTH);
    layout.glued(" =");
    for word in words(value) {
        layout.word(word);
    }
    layout.finish()
}

/// A value alone, without a line end.
#[must_use]
pub fn fold_value(value: &str, folding: Folding) -> String {
    let mut words = words(value);
    let mut layout = Layout::new(words.next().unwrap_or(""), folding, MAIN_WIDTH);
    for word in words {
        layout.word(word);
    }
    layout.finish()
}

/// A value as postconf shows it: each stretch of white space is one blank.
#[must_use]
pub fn squeezed(value: &str) -> String {
    words(value).collect::<Vec<_>>().join(" ")
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(is_space).filter(|word| !word.is_empty())
}
