//! What a page and a mail show of a report, in the order in which it is read: words and numbers, no markup.
//!
//! Made of a summary once; [`page`](crate::page) and [`letter`](crate::letter) only draw it. All texts may hold what a
//! stranger wrote into the log.

use crate::words::grouped;

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// `Mail on mx.example.com`
    pub title: String,
    /// Of when: `Sunday, 22 November 2026`.
    pub period: String,
    /// In a sentence, what there is to know.
    pub verdict: String,
    /// What is out of the ordinary, most urgent first.
    pub unusual: Vec<String>,
    /// What is seen first.
    pub figures: Vec<Figure>,
    /// The rest.
    pub sections: Vec<Section>,
    /// How it was counted, and what isn't known.
    pub notes: Vec<String>,
}

/// What a number means to whoever reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Kept out.
    Shut,
    /// To be waited for.
    Wait,
    /// Gone wrong.
    Bad,
}

/// A number that is seen first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// What is counted.
    pub label: String,
    /// The number.
    pub value: String,
    /// A few words below.
    pub remark: String,
    /// What it means.
    pub tone: Tone,
}

/// A part with a heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Its name within the page: letters and dashes.
    pub id: &'static str,
    /// The heading.
    pub heading: &'static str,
    /// A sentence below it; may be empty.
    pub lead: String,
    /// What it shows.
    pub blocks: Vec<Block>,
}

/// A thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Numbers over time.
    Chart(Chart),
    /// One number and its parts.
    Share(Share),
    /// Rows and columns.
    Table(Table),
    /// A sentence.
    Text(String),
}

/// Numbers over time, one bar on another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// What a step is: `Hour`.
    pub step: &'static str,
    /// The steps.
    pub steps: Vec<String>,
    /// What is counted; the first stands at the bottom.
    pub series: Vec<Series>,
}

/// What is counted in a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// What it is.
    pub name: &'static str,
    /// What it means.
    pub tone: Tone,
    /// One number a step.
    pub values: Vec<u64>,
}

impl Series {
    /// All of it.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.values.iter().fold(0, |sum, value| sum.saturating_add(*value))
    }
}

/// A number and its parts, of which none is counted twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What is shown.
    pub title: String,
    /// What the parts are: `What became of them`.
    pub head: &'static str,
    /// What one is: `Connections`.
    pub unit: &'static str,
    /// The parts.
    pub parts: Vec<Part>,
}

/// A part of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub label: String,
    /// How many.
    pub count: u64,
    /// What it means.
    pub tone: Tone,
}

impl Share {
    /// The parts together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.count))
    }
}

/// Rows and columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What is shown.
    pub title: String,
    /// The columns' heads; the first column names the rows.
    pub columns: Vec<Column>,
    /// The rows, of as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
    /// What the rows add up to.
    pub total: Option<Vec<Cell>>,
    /// The column, not the first, whose numbers are drawn as bars beside it.
    pub drawn: Option<usize>,
    /// What its bars mean.
    pub tone: Tone,
}

/// A column's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// What stands in it.
    pub name: &'static str,
    /// Whether these are numbers, which stand to the right.
    pub is_number: bool,
}

/// What stands in a table's row and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// How many.
    Count(u64),
    /// A number with its unit, as it is read: `1.2 s`.
    Measure(String),
    /// Nothing is known, or there is nothing to say.
    Nothing,
}

impl Cell {
    /// As it is read.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Cell::Text(text) | Cell::Measure(text) => text.clone(),
            Cell::Count(count) => grouped(*count),
            Cell::Nothing => "–".to_owned(),
        }
    }
}

/// What a stranger wrote, as it can be shown: characters that can't be seen, or that turn the text around, stand as
/// their numbers.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) {
            out.push_str(&format!("‹U+{:04X}›", u32::from(letter)));
        } else {
            out.push(letter);
        }
    }
    out
}

/// Whether it can't be seen, moves a terminal's cursor or turns the reading round.
pub(crate) fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_shown() {
        assert_eq!(shown("a\u{202e}b\u{7}c\u{200d}"), "a‹U+202E›b‹U+0007›c‹U+200D›");
        assert_eq!(shown("\u{e0041}\u{9b}\u{2066}"), "‹U+E0041›‹U+009B›‹U+2066›");
        assert_eq!(shown("日本 <b> é"), "日本 <b> é");
    }
}
