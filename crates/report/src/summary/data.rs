//! A summary for programs: JSON (RFC 8259) and CSV (RFC 4180).

use super::Summary;
use super::sections::{Cell, Line, Section, sections};
use crate::Day;
use crate::outline::About;
use crate::sheet::{is_hidden, shown};

/// One JSON object: the span, of the whole also what is out of the ordinary, each section's rows and sum, the notes.
#[must_use]
pub fn json(summary: &Summary, about: &About, only: &[String]) -> String {
    let mut out = String::from("{");
    if let Some((first, last)) = summary.span {
        out.push_str("\"from\":");
        string(&stamp(first), &mut out);
        out.push_str(",\"to\":");
        string(&stamp(last), &mut out);
        out.push(',');
    }
    if only.is_empty() {
        unusual(about, &mut out);
    }
    for section in sections(summary) {
        if !wanted(&section, only) {
            continue;
        }
        string(section.key, &mut out);
        out.push_str(":{\"rows\":[");
        for (at, line) in section.rows.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            object(&section, line, &mut out);
        }
        out.push(']');
        if let Some(sum) = &section.sum {
            out.push_str(",\"sum\":");
            object(&section, sum, &mut out);
        }
        out.push_str("},");
    }
    out.push_str("\"notes\":[");
    for (at, note) in summary.notes.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(note, &mut out);
    }
    out.push_str("]}");
    out
}

/// With how many days it was compared, and each thing with its day, which is `null` where it is of several.
fn unusual(about: &About, out: &mut String) {
    out.push_str(&format!("\"compared\":{},\"unusual\":[", about.compared));
    let day = about
        .days
        .filter(|(first, last)| first == last)
        .map(|(Day { year, month, day }, _)| format!("\"{year:04}-{month:02}-{day:02}\""));
    for (at, what) in about.unusual.iter().enumerate() {
        out.push_str(if at > 0 { ",{\"day\":" } else { "{\"day\":" });
        out.push_str(day.as_deref().unwrap_or("null"));
        out.push_str(",\"text\":");
        string(what, out);
        out.push('}');
    }
    out.push_str("],");
}

/// Rows `section,name,measure,value`; of one section alone, its own table with its columns' names.
#[must_use]
pub fn csv(summary: &Summary, only: &[String]) -> String {
    let mut out = String::new();
    let all: Vec<Section> = sections(summary).into_iter().filter(|section| wanted(section, only)).collect();
    if let ([section], [_]) = (all.as_slice(), only) {
        let keys: Vec<String> = section.columns.iter().map(|column| column.key.to_owned()).collect();
        csv_line(&keys, &mut out);
        for line in section.rows.iter() {
            let cells: Vec<String> = line.cells.iter().map(plain).collect();
            csv_line(&cells, &mut out);
        }
        return out;
    }
    csv_line(&["section", "name", "measure", "value"].map(str::to_owned), &mut out);
    for section in &all {
        for line in &section.rows {
            let name = line.cells.first().map(plain).unwrap_or_default();
            for (column, cell) in section.columns.iter().zip(&line.cells).skip(1) {
                if *cell != Cell::Unknown {
                    let cells = [section.key.to_owned(), name.clone(), column.key.to_owned(), plain(cell)];
                    csv_line(&cells, &mut out);
                }
            }
        }
    }
    out
}

fn wanted(section: &Section, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|key| key == section.key)
}

fn stamp(at: crate::day::Moment) -> String {
    let crate::day::Moment { day, hour, minute, second } = at;
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", day.year, day.month, day.day)
}

fn object(section: &Section, line: &Line, out: &mut String) {
    out.push('{');
    for (at, (column, cell)) in section.columns.iter().zip(&line.cells).enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(column.key, out);
        out.push(':');
        match cell {
            Cell::Text(text) => string(text, out),
            Cell::Unknown => out.push_str("null"),
            number => out.push_str(&plain(number)),
        }
    }
    out.push('}');
}

/// A cell without units: milliseconds, seconds, bytes as numbers.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => shown(text),
        Cell::Unknown => String::new(),
        Cell::Count(value) | Cell::Bytes(value) | Cell::Millis(value) | Cell::Seconds(value) => {
            value.to_string()
        }
    }
}

/// Writes a JSON string.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_hidden(c) => {
                for half in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{half:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What a spreadsheet takes for the beginning of a formula; the wide ones where it is set to Chinese or Japanese.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
/// What doesn't keep it from that: it is passed over.
const HIDDEN: [char; 6] = [' ', '\u{a0}', '\u{3000}', '\u{feff}', '\u{200b}', '\u{0}'];

/// A row. A cell that a spreadsheet would take for a formula gets a `'` before it: senders choose their names.
fn csv_line(cells: &[String], out: &mut String) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let formula = cell.trim_start_matches(HIDDEN).starts_with(FORMULA);
        let cell = if formula { format!("'{cell}") } else { cell.clone() };
        if cell.contains(['"', ',', ';', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_told() {
        let hostile = "a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{9b}f\u{e0041}g\n=1";
        let cell = plain(&Cell::Text(hostile.to_owned()));
        assert_eq!(cell, "a‹U+202E›b‹U+2066›c‹U+200B›d‹U+2028›e‹U+009B›f‹U+E0041›g‹U+000A›=1");
        let mut out = String::new();
        string(hostile, &mut out);
        assert!(out.is_ascii(), "{out}");
        assert!(
            out.contains("\\u202e") && out.contains("\\udb40\\udc41") && out.contains("\\u009b"),
            "{out}"
        );
        let terminal = crate::summary::text::harmless(hostile);
        assert_eq!(terminal, "a?b?c?d?e?f?g?=1");
    }

    #[test]
    fn no_cell_is_a_formula() {
        let line = |cell: &str| {
            let mut out = String::new();
            csv_line(&[cell.to_owned()], &mut out);
            out
        };
        for cell in
            ["=1", "+1", "-1", "@x", "＝1", "＋1", "－1", "＠SUM(1)", " =1", "\u{3000}＝1", "\u{feff}=1"]
        {
            assert_eq!(line(cell), format!("'{cell}\r\n"));
        }
        assert_eq!(line("\t=1"), "'\t=1\r\n");
        assert_eq!(line("=\"a\",1"), "\"'=\"\"a\"\",1\"\r\n");
        // Where the comma is the decimal mark, spreadsheets cut at this one.
        assert_eq!(line("a;=1"), "\"a;=1\"\r\n");
        for cell in ["a=1", "", "日本", "1-1"] {
            assert_eq!(line(cell), format!("{cell}\r\n"));
        }
    }
}
