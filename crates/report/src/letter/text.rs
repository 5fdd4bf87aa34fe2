//! What a sheet says, as text: for readers of mail that show no HTML.

use super::ROWS;
use crate::page::numbers;
use crate::sheet::{Block, Cell, Column, Share, Sheet, Table, shown};
use crate::words::{grouped, percent, plural, shares};

/// How wide a table is, in characters, where no name is longer.
const WIDTH: usize = 76;
/// What of a name is shown, so that the numbers beside it stay in sight.
const NAME: usize = 60;
/// Steps of a chart that are told one by one.
const STEPS: usize = 31;

/// All of it; lines end with LF.
#[must_use]
pub fn text(sheet: &Sheet) -> String {
    let mut out = format!("{}\n{}\n\n{}\n", shown(&sheet.title), shown(&sheet.period), shown(&sheet.verdict));
    if !sheet.unusual.is_empty() {
        out.push_str("\nOut of the ordinary:\n");
        sheet.unusual.iter().for_each(|what| out.push_str(&format!("- {}\n", shown(what))));
    }
    out.push('\n');
    for figure in &sheet.figures {
        let (label, value) = (shown(&figure.label), shown(&figure.value));
        out.push_str(&format!("{label:<24}{value:>14}   {}\n", shown(&figure.remark)));
    }
    for section in &sheet.sections {
        out.push_str(&format!("\n\n{}\n{}\n", section.heading, "=".repeat(section.heading.chars().count())));
        if !section.lead.is_empty() {
            out.push_str(&format!("{}\n", shown(&section.lead)));
        }
        for block in &section.blocks {
            out.push('\n');
            match block {
                Block::Chart(chart) if chart.steps.len() > STEPS => {
                    let sums = chart.series.iter().map(|one| format!("{} {}", grouped(one.sum()), one.name));
                    let sums: Vec<String> = sums.collect();
                    out.push_str(&format!("{}: {}\n", shown(&chart.title), sums.join(", ")));
                }
                Block::Chart(chart) => table(&mut out, &numbers(chart), STEPS),
                Block::Share(share) => table(&mut out, &parts(share), usize::MAX),
                Block::Table(rows) => table(&mut out, rows, ROWS),
                Block::Text(words) => out.push_str(&format!("{}\n", shown(words))),
            }
        }
    }
    if !sheet.notes.is_empty() {
        out.push_str("\n\nHow this was counted\n====================\n");
        sheet.notes.iter().for_each(|note| out.push_str(&format!("- {}\n", shown(note))));
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

fn table(out: &mut String, table: &Table, limit: usize) {
    out.push_str(&format!("{}\n", shown(&table.title)));
    let head: Vec<String> = table.columns.iter().map(|column| column.name.to_owned()).collect();
    let words = |row: &Vec<Cell>| row.iter().map(|cell| cut(&shown(&cell.words()))).collect::<Vec<String>>();
    let rows: Vec<Vec<String>> = table.rows.iter().take(limit).map(words).collect();
    let total = table.total.as_ref().map(words);
    let all = || std::iter::once(&head).chain(&rows).chain(&total);
    let longest =
        |at: usize| all().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..table.columns.len()).map(longest).collect();
    let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    if let Some(first) = widths.first_mut() {
        *first = (*first).max(WIDTH.saturating_sub(others + 2).min(40));
    }
    for row in all() {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(&table.columns).zip(&widths) {
            let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
            line.push_str("  ");
            if column.is_number {
                line.push_str(&blanks);
            }
            line.push_str(cell);
            if !column.is_number {
                line.push_str(&blanks);
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let more = table.rows.len().saturating_sub(limit);
    if more > 0 {
        let rows = plural(more as u64, "row", "rows");
        out.push_str(&format!("  ({} more {rows} above the sum)\n", grouped(more as u64)));
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
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
        let line =
            |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
        assert_eq!(
            line("Hour").chars().count(),
            line("Sum").chars().count(),
            "columns stand below each other"
        );
        assert!(line("Sum").contains("4,324"), "{text}");
    }
}
