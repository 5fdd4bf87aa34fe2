//! A summary on a terminal, in a mail, or in a pipe.

use super::sections::{Cell, Line, Section, moment, sections};
use super::{Mood, Summary};
use crate::outline::{About, verdict};
use crate::sheet::is_hidden;
use crate::words::{self, bytes, grouped, width};

/// What the reader's screen can do.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// ANSI colours.
    pub colours: bool,
    /// Bars of blocks.
    pub bars: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style { width: 100, colours: false, bars: false }
    }
}

/// How long a bar may be.
const BAR_MAX: usize = 30;
/// How long it must be able to be.
const BAR_MIN: usize = 8;
/// What a name gets on the narrowest screen.
const NAME_MIN: usize = 12;
/// How wide a name may be where the screen is wide.
const NAME_MAX: usize = 72;

/// The summary for people: only the sections named, or all that have something to say. Above all stands what the page
/// has there.
#[must_use]
pub fn text(summary: &Summary, about: &About, only: &[String], style: Style) -> String {
    let mut out = String::new();
    if only.is_empty() {
        let span = summary.span.map(|(first, last)| format!("{} to {}: ", moment(first), moment(last)));
        let head = span.unwrap_or_default() + &harmless(&verdict(summary, about));
        folded(&head, ("", ""), (style, Tone::Strong), &mut out);
        for what in &about.unusual {
            folded(&harmless(what), ("- ", "  "), (style, Tone::Bad), &mut out);
        }
        out.push('\n');
    }
    for section in sections(summary) {
        let wanted = only.iter().any(|key| key == section.key);
        if wanted || (only.is_empty() && !section.is_empty()) {
            table(&section, style, &mut out);
            out.push('\n');
        }
    }
    for note in summary.notes.iter().filter(|_| only.is_empty()) {
        wrapped(note, style, &mut out);
    }
    out
}

#[derive(Clone, Copy)]
enum Tone {
    Strong,
    Faint,
    Good,
    Doubt,
    Bad,
}

impl Style {
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Doubt => "33",
            Tone::Bad => "31",
        };
        if self.colours && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bar(self, mood: Mood, value: u64, greatest: u64, room: usize) -> String {
        let eighths = u128::from(value) * u128::try_from(room * 8).unwrap_or(0) / u128::from(greatest.max(1));
        let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(value > 0));
        let mut bar = "█".repeat(eighths / 8);
        bar.push_str(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied().unwrap_or(""));
        match mood {
            Mood::Good => self.paint(Tone::Good, &bar),
            Mood::Refused => self.paint(Tone::Doubt, &bar),
            Mood::Bad => self.paint(Tone::Bad, &bar),
            Mood::Plain => self.paint(Tone::Faint, &bar),
        }
    }
}

/// Where a table's columns stand.
struct Layout<'s> {
    section: &'s Section,
    /// How wide the first column is.
    name: usize,
    /// The others that are shown, and how wide they are.
    others: Vec<(usize, usize)>,
    /// The longest bar, and the number that it stands for.
    bar: usize,
    greatest: u64,
    /// Rows with bars.
    named: usize,
}

impl<'s> Layout<'s> {
    fn new(section: &'s Section, style: Style) -> Layout<'s> {
        let all = || section.rows.iter().chain(&section.sum);
        let says = |at: usize| {
            let nothing = |cell: &Cell| *cell == Cell::Unknown || *cell == Cell::Text(String::new());
            all().any(|line| line.cells.get(at).is_some_and(|cell| !nothing(cell)))
        };
        let widest = |at: usize| {
            let cells = all().filter_map(|line| line.cells.get(at)).map(|cell| width(&shown_as(cell)));
            let title = section.columns.get(at).map_or(0, |column| width(column.title));
            cells.max().unwrap_or(0).max(title)
        };
        let shown = (1..section.columns.len()).filter(|at| says(*at));
        let others: Vec<(usize, usize)> = shown.map(|at| (at, widest(at))).collect();
        let taken: usize = others.iter().map(|(_, wide)| wide + 2).sum();
        let name = widest(0).min(NAME_MAX).min(style.width.saturating_sub(taken + 2).max(NAME_MIN));
        let left = style.width.saturating_sub(name + taken + 4);
        let named = section.rows.len().saturating_sub(usize::from(section.others));
        let numbers =
            section.rows.iter().take(named).filter_map(|line| line.cells.get(section.bars?)?.number());
        Layout {
            section,
            name,
            others,
            bar: if style.bars && left >= BAR_MIN { left.min(BAR_MAX) } else { 0 },
            greatest: numbers.max().unwrap_or(0),
            named,
        }
    }

    fn head(&self) -> String {
        let title = |at: usize| self.section.columns.get(at).map_or("", |column| column.title);
        self.row(|at| title(at).to_owned())
    }

    fn line(&self, line: &Line) -> String {
        self.row(|at| line.cells.get(at).map(shown_as).unwrap_or_default())
    }

    fn row(&self, cell: impl Fn(usize) -> String) -> String {
        let mut row = format!("  {}", pad(&cell(0), self.name, false));
        for &(at, wide) in &self.others {
            row.push_str("  ");
            row.push_str(&pad(&cell(at), wide, is_right(self.section, at)));
        }
        row
    }

    /// The bar behind the row with this number.
    fn bar(&self, number: usize, line: &Line, style: Style) -> String {
        let value = self.section.bars.and_then(|at| line.cells.get(at)?.number());
        match value.filter(|_| self.bar > 0 && number < self.named) {
            Some(value) => format!("  {}", style.bar(line.mood, value, self.greatest, self.bar)),
            None => String::new(),
        }
    }
}

fn table(section: &Section, style: Style, out: &mut String) {
    out.push_str(&style.paint(Tone::Strong, section.title));
    out.push('\n');
    let layout = Layout::new(section, style);
    let head = layout.head();
    if !head.trim().is_empty() {
        out.push_str(&style.paint(Tone::Faint, head.trim_end()));
        out.push('\n');
    }
    for (number, line) in section.rows.iter().enumerate() {
        // An hour without anything says something.
        if section.key == "traffic" || !is_nothing(line) {
            let row = layout.line(line) + &layout.bar(number, line, style);
            out.push_str(row.trim_end());
            out.push('\n');
        }
    }
    if let Some(sum) = &section.sum {
        out.push_str(&style.paint(Tone::Strong, layout.line(sum).trim_end()));
        out.push('\n');
    }
    if let Some(remark) = &section.remark {
        wrapped(remark, style, out);
    }
}

/// A row without a number that is more than nothing.
fn is_nothing(line: &Line) -> bool {
    line.cells.iter().all(|cell| cell.number().is_none_or(|number| number == 0))
}

fn is_right(section: &Section, at: usize) -> bool {
    !section.rows.iter().any(|line| matches!(line.cells.get(at), Some(Cell::Text(_))))
}

/// A cell for people.
#[must_use]
pub fn shown_as(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => harmless(text),
        Cell::Count(value) => grouped(*value),
        Cell::Bytes(value) => bytes(*value),
        Cell::Millis(value) => duration(*value),
        Cell::Seconds(value) => duration(value.saturating_mul(1000)),
        Cell::Unknown => "?".to_owned(),
    }
}

/// Peers' text without what moves a terminal's cursor or turns the reading round.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '?' } else { c }).collect()
}

/// `0.12 s`, `4 min 12 s`, `3 h 20 min`, rounded.
#[must_use]
pub fn duration(millis: u64) -> String {
    let in_units = |unit: u64| millis.saturating_add(unit / 2) / unit;
    let (hundredths, seconds, minutes, hours) =
        (in_units(10), in_units(1000), in_units(60_000), in_units(3_600_000));
    match (hundredths, seconds, minutes) {
        (0..1000, ..) => format!("{}.{:02} s", hundredths / 100, hundredths % 100),
        (_, 0..60, _) => format!("{seconds} s"),
        (_, 60..3600, _) => format!("{} min {:02} s", seconds / 60, seconds % 60),
        (_, _, 0..1440) => format!("{} h {:02} min", minutes / 60, minutes % 60),
        _ => format!("{} d {:02} h", hours / 24, hours % 24),
    }
}

/// Cut or filled to `wide` columns.
fn pad(text: &str, wide: usize, right: bool) -> String {
    let mut text = text.to_owned();
    if width(&text) > wide {
        while width(&text) + 1 > wide && text.pop().is_some() {}
        text.push('…');
    }
    let blank = " ".repeat(wide.saturating_sub(width(&text)));
    if right { format!("{blank}{text}") } else { format!("{text}{blank}") }
}

/// A remark.
fn wrapped(text: &str, style: Style, out: &mut String) {
    folded(text, ("  ", "  "), (style, Tone::Faint), out);
}

/// Lines no wider than the screen; `first` and `other`, which are as long, stand before them.
fn folded(text: &str, (first, other): (&str, &str), (style, tone): (Style, Tone), out: &mut String) {
    let lines = words::folded(text, style.width.saturating_sub(width(first)));
    for (line, before) in lines.iter().zip(std::iter::once(first).chain(std::iter::repeat(other))) {
        out.push_str(&style.paint(tone, &format!("{before}{line}")));
        out.push('\n');
    }
}
