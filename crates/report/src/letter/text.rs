//! What a sheet says, as text: for readers of mail that show no HTML.

use super::ROWS;
use crate::page::numbers;
use crate::sheet::{Block, Cell, Column, Share, Sheet, Table, shown};
use crate::words::{folded, grouped, percent, plural, shares, width};

/// How wide a line is, in columns.
const WIDTH: usize = 72;
/// What a name gets at least, and in so many lines.
const NAME: usize = 20;
const NAME_LINES: usize = 3;
/// Steps of a chart that are told one by one.
const STEPS: usize = 31;

/// All of it; lines end with LF.
#[must_use]
pub fn text(sheet: &Sheet) -> String {
    let mut out = String::new();
    for words in [&sheet.title, &sheet.period] {
        prose(&mut out, "", words);
    }
    out.push('\n');
    prose(&mut out, "", &sheet.verdict);
    if !sheet.unusual.is_empty() {
        out.push_str("\nOut of the ordinary:\n");
        sheet.unusual.iter().for_each(|what| prose(&mut out, "- ", what));
    }
    out.push('\n');
    for figure in &sheet.figures {
        let head = format!("{:<24}{:>14}   ", shown(&figure.label), shown(&figure.value));
        prose(&mut out, &head, &figure.remark);
    }
    for section in &sheet.sections {
        out.push_str(&format!("\n\n{}\n{}\n", section.heading, "=".repeat(section.heading.chars().count())));
        if !section.lead.is_empty() {
            prose(&mut out, "", &section.lead);
        }
        for block in &section.blocks {
            out.push('\n');
            match block {
                Block::Chart(chart) if chart.steps.len() > STEPS => {
                    let sums = chart.series.iter().map(|one| format!("{} {}", grouped(one.sum()), one.name));
                    let sums: Vec<String> = sums.collect();
                    prose(&mut out, "", &format!("{}: {}", chart.title, sums.join(", ")));
                }
                Block::Chart(chart) => table(&mut out, &numbers(chart), STEPS),
                Block::Share(share) => table(&mut out, &parts(share), usize::MAX),
                Block::Table(rows) => table(&mut out, rows, ROWS),
                Block::Text(words) => prose(&mut out, "", words),
            }
        }
    }
    if !sheet.notes.is_empty() {
        out.push_str("\n\nHow this was counted\n====================\n");
        sheet.notes.iter().for_each(|note| prose(&mut out, "- ", note));
    }
    out
}

/// A share as a table.
pub(super) fn parts(share: &Share) -> Table {
    let sum = share.sum();
    let column = |name, is_number| Column { name, is_number };
    let counts: Vec<u64> = share.parts.iter().map(|part| part.count).collect();
    let row = |label: &str, count, share| {
        vec![Cell::Text(label.to_owned()), Cell::Count(count), Cell::Measure(share)]
    };
    let parts = share.parts.iter().zip(shares(&counts, sum));
    Table {
        title: share.title.clone(),
        columns: vec![column(share.head, false), column(share.unit, true), column("Share", true)],
        rows: parts.map(|(part, share)| row(&part.label, part.count, share)).collect(),
        total: Some(row("Sum", sum, percent(sum, sum))),
        ..Table::default()
    }
}

/// A text behind `head`, in lines below each other.
fn prose(out: &mut String, head: &str, text: &str) {
    let before = width(head);
    if before + NAME > WIDTH {
        prose(out, "", head.trim_end());
        return prose(out, "    ", text);
    }
    for (at, line) in folded(&shown(text), WIDTH - before).iter().enumerate() {
        out.push_str(&if at == 0 { head.to_owned() } else { " ".repeat(before) });
        out.push_str(line);
        let whole = out.trim_end_matches(' ').len();
        out.truncate(whole);
        out.push('\n');
    }
}

/// Names stand on the left and numbers beside them; other texts of a row stand below it, where there is room.
fn table(out: &mut String, table: &Table, limit: usize) {
    prose(out, "", &table.title);
    let words = |row: &Vec<Cell>| row.iter().map(|cell| shown(&cell.words())).collect::<Vec<String>>();
    let rows: Vec<Vec<String>> = table.rows.iter().take(limit).map(words).collect();
    let total = table.total.as_ref().map(words);
    let all = || rows.iter().chain(&total);
    let longest = |at: usize| all().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0);
    let number = |at: usize, column: &Column| {
        let head = column.name.split(' ').map(width).max().unwrap_or(0);
        (at, longest(at).max(head))
    };
    let columns = table.columns.iter().enumerate().skip(1);
    let numbers: Vec<(usize, usize)> =
        columns.filter(|(_, column)| column.is_number).map(|(at, column)| number(at, column)).collect();
    let taken: usize = numbers.iter().map(|(_, wide)| wide + 2).sum();
    let room = WIDTH.saturating_sub(taken + 2).max(NAME);
    let layout = Layout { name: longest(0).max(40).min(room), numbers };
    let head: Vec<String> = table.columns.iter().map(|column| column.name.to_owned()).collect();
    layout.line(out, &head, true);
    for row in all() {
        layout.line(out, row, false);
        for (column, cell) in table.columns.iter().zip(row).skip(1) {
            if !column.is_number && *cell != Cell::Nothing.words() && !cell.is_empty() {
                prose(out, "      ", &format!("{}: {cell}", column.name.to_lowercase()));
            }
        }
    }
    let more = table.rows.len().saturating_sub(limit);
    if more > 0 {
        let rows = plural(more as u64, "row", "rows");
        out.push_str(&format!("  ({} more {rows} above the sum)\n", grouped(more as u64)));
    }
}

/// How wide the name is, and the numbers that stand beside it.
struct Layout {
    name: usize,
    numbers: Vec<(usize, usize)>,
}

impl Layout {
    /// A row in as many lines as it takes: a head's numbers stand at the bottom, a row's at the top.
    fn line(&self, out: &mut String, row: &[String], is_head: bool) {
        let cell = |at: usize| row.get(at).map_or("", String::as_str);
        let mut cells = vec![(folded(cell(0), self.name), self.name)];
        if let Some((name, _)) = cells.first_mut()
            && name.len() > NAME_LINES
        {
            name.truncate(NAME_LINES);
            if let Some(last) = name.last_mut() {
                last.pop();
                last.push('…');
            }
        }
        cells.extend(self.numbers.iter().map(|(at, wide)| (folded(cell(*at), *wide), *wide)));
        let height = cells.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
        for line in 0..height {
            let mut text = String::new();
            for (at, (lines, wide)) in cells.iter().enumerate() {
                let above = if is_head { height - lines.len() } else { 0 };
                let piece =
                    line.checked_sub(above).and_then(|line| lines.get(line)).map_or("", String::as_str);
                let blanks = " ".repeat(wide.saturating_sub(width(piece)));
                let (left, right) = if at == 0 { ("", blanks.as_str()) } else { (blanks.as_str(), "") };
                text.push_str(&format!("  {left}{piece}{right}"));
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::{HOSTILE, sheet};

    #[test]
    fn says_what_the_page_says_and_moves_no_cursor() {
        for word in ["Mail", HOSTILE] {
            let text = text(&sheet(word));
            assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()));
            for expect in [
                "Out of the ordinary:\n- ",
                "Traffic\n=======\n",
                "(30 more rows above the sum)",
                "How this was counted",
            ] {
                assert!(text.contains(expect), "no {expect} in\n{text}");
            }
        }
        let text = text(&sheet("Mail"));
        assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
        let line =
            |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
        assert_eq!(
            line("Hour").chars().count(),
            line("Sum").chars().count(),
            "columns stand below each other"
        );
        assert!(line("Sum").contains("4,324"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_a_mail() {
        for word in ["a word and another ", "verylongname.example.", "邮件", "https://a.example/x?y="] {
            let word = word.repeat(40);
            let text = text(&sheet(&word));
            for line in text.lines() {
                assert!(width(line) <= WIDTH, "{} columns: {line}", width(line));
                assert!(!line.ends_with(' '), "{line:?}");
            }
        }
    }

    /// Numbers and names side by side, other texts below them.
    #[test]
    fn a_table_with_places() {
        let column = |name, is_number| Column { name, is_number };
        let rows = Table {
            title: "Rules".to_owned(),
            columns: vec![column("Rule", false), column("Answer: half within", true), column("Place", false)],
            rows: vec![
                vec![
                    Cell::Text(
                        "554 5.7.1 <…>: Relay access denied for whoever isn't of this house at all".into(),
                    ),
                    Cell::Count(1_234),
                    Cell::Text("/etc/postfix/main.cf:12:5".into()),
                ],
                vec![Cell::Text("b".into()), Cell::Count(5), Cell::Nothing],
            ],
            total: Some(vec![Cell::Text("Sum".into()), Cell::Count(1_239), Cell::Nothing]),
            ..Table::default()
        };
        let mut out = String::new();
        table(&mut out, &rows, 9);
        let expect = "\
Rules
                                                                 Answer:
                                                                    half
  Rule                                                            within
  554 5.7.1 <…>: Relay access denied for whoever isn't of this     1,234
  house at all
      place: /etc/postfix/main.cf:12:5
  b                                                                    5
  Sum                                                              1,239
";
        assert_eq!(out, expect, "\n{out}");
    }
}
