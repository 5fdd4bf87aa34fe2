//! A report as one page of HTML that needs nothing else: no script, no picture or font from elsewhere, and a policy in
//! its head that lets the browser fetch nothing whatever a line of the log says.
//!
//! Light or dark as its reader has it, readable on a phone, printed and read out. T2.23.

mod chart;
pub(crate) mod html;

use crate::sheet::{Block, Cell, Figure, Section, Share, Sheet, Table, Tone};
use crate::words::{grouped, percent, shares};
use html::Html;

/// Rows of a table that are seen at once; the others are one click away.
const ROWS: usize = 12;
/// Columns from which on a table may be wider than a phone.
const WIDE: usize = 4;
const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn page(sheet: &Sheet) -> String {
    let mut out = Html::default();
    out.raw(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n<title>",
    );
    out.text(&sheet.title).raw(" – ").text(&sheet.period).raw("</title>\n<style>\n").raw(STYLE);
    out.raw("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the report</a>\n");
    head(&mut out, sheet);
    out.raw("<main id=\"content\" tabindex=\"-1\">\n");
    let mut number = 0;
    for section in &sheet.sections {
        draw(&mut out, section, &mut number);
    }
    out.raw("</main>\n<footer>\n");
    if !sheet.notes.is_empty() {
        out.raw("<h2 id=\"notes\">How this was counted</h2>\n<ul>\n");
        for note in &sheet.notes {
            out.raw("<li>").text(note).raw("</li>\n");
        }
        out.raw("</ul>\n");
    }
    out.raw("</footer>\n</body>\n</html>\n");
    out.into_string()
}

fn head(out: &mut Html, sheet: &Sheet) {
    out.raw("<header>\n<h1>").text(&sheet.title).raw("</h1>\n<p class=\"period\">").text(&sheet.period);
    out.raw("</p>\n<p class=\"verdict ")
        .raw(if sheet.unusual.is_empty() { "calm" } else { "alarm" })
        .raw("\">");
    out.text(&sheet.verdict).raw("</p>\n");
    if !sheet.unusual.is_empty() {
        out.raw("<section class=\"unusual\" aria-labelledby=\"unusual\">\n");
        out.raw("<h2 id=\"unusual\">Out of the ordinary</h2>\n<ul>\n");
        for what in &sheet.unusual {
            out.raw("<li>").text(what).raw("</li>\n");
        }
        out.raw("</ul>\n</section>\n");
    }
    out.raw("<dl class=\"figures\">\n");
    for Figure { label, value, remark, tone } in &sheet.figures {
        out.raw("<div class=\"figure ").raw(tone_class(*tone)).raw("\"><dt>").text(label).raw("</dt><dd><b>");
        out.text(value).raw("</b>");
        if !remark.is_empty() {
            out.raw("<span>").text(remark).raw("</span>");
        }
        out.raw("</dd></div>\n");
    }
    out.raw("</dl>\n<nav aria-label=\"Sections\">\n<ul>\n");
    for section in &sheet.sections {
        out.raw("<li><a href=\"#").raw(section.id).raw("\">").raw(section.heading).raw("</a></li>\n");
    }
    if !sheet.notes.is_empty() {
        out.raw("<li><a href=\"#notes\">How this was counted</a></li>\n");
    }
    out.raw("</ul>\n</nav>\n</header>\n");
}

fn draw(out: &mut Html, section: &Section, number: &mut u64) {
    out.raw("<section aria-labelledby=\"").raw(section.id).raw("\">\n<h2 id=\"").raw(section.id).raw("\">");
    out.raw(section.heading).raw("</h2>\n");
    if !section.lead.is_empty() {
        out.raw("<p class=\"lead\">").text(&section.lead).raw("</p>\n");
    }
    for block in &section.blocks {
        *number += 1;
        match block {
            Block::Chart(chart) => {
                chart::over_time(out, chart, *number);
                out.raw("<details>\n<summary>").text(&chart.title).raw(": the numbers</summary>\n");
                table(out, &numbers(chart), *number, usize::MAX);
                out.raw("</details>\n");
            }
            Block::Share(share) => parts(out, share, *number),
            Block::Table(rows) => table(out, rows, *number, ROWS),
            Block::Text(text) => {
                out.raw("<p>").text(text).raw("</p>\n");
            }
        }
    }
    out.raw("</section>\n");
}

/// A chart's numbers, which only a table has.
pub(crate) fn numbers(chart: &crate::sheet::Chart) -> Table {
    let column = |name| crate::sheet::Column { name, is_number: true };
    let sums = chart.series.iter().map(|series| Cell::Count(series.sum()));
    let row = |(at, step): (usize, &String)| {
        let values = chart.series.iter().map(|series| series.values.get(at).copied().unwrap_or(0));
        std::iter::once(Cell::Text(step.clone())).chain(values.map(Cell::Count)).collect()
    };
    let mut columns = vec![crate::sheet::Column { name: chart.step, is_number: false }];
    columns.extend(chart.series.iter().map(|series| column(series.name)));
    Table {
        title: chart.title.clone(),
        columns,
        rows: chart.steps.iter().enumerate().map(row).collect(),
        total: Some(std::iter::once(Cell::Text("Sum".to_owned())).chain(sums).collect()),
        ..Table::default()
    }
}

/// A share's bar, and the table that is its legend, too.
fn parts(out: &mut Html, share: &Share, number: u64) {
    let (sum, tones) = (share.sum(), shades(share));
    out.raw("<table class=\"parts\">\n<caption>").text(&share.title);
    chart::share(out, share, &tones, number);
    out.raw("</caption>\n<thead><tr><th scope=\"col\">").raw(share.head);
    out.raw("</th><th scope=\"col\" class=\"n\">").raw(share.unit);
    out.raw("</th><th scope=\"col\" class=\"n\">Share</th></tr></thead>\n<tbody>\n");
    let counts: Vec<u64> = share.parts.iter().map(|part| part.count).collect();
    for ((part, tone), share) in share.parts.iter().zip(tones).zip(shares(&counts, sum)) {
        out.raw("<tr><th scope=\"row\">");
        chart::swatch(out, tone);
        out.apart(&part.label).raw("</th><td class=\"n\">").text(&grouped(part.count));
        out.raw("</td><td class=\"n\">").text(&share).raw("</td></tr>\n");
    }
    out.raw("</tbody>\n<tfoot><tr><th scope=\"row\">Sum</th><td class=\"n\">").text(&grouped(sum));
    out.raw("</td><td class=\"n\">").text(&percent(sum, sum)).raw("</td></tr></tfoot>\n</table>\n");
}

/// The parts' colours: neighbours that mean the same differ.
fn shades(share: &Share) -> Vec<&'static str> {
    let mut plain = 0;
    let shade = |part: &crate::sheet::Part| match part.tone {
        Tone::Plain => {
            plain += 1;
            if plain % 2 == 0 { "pale" } else { "plain" }
        }
        tone => tone_class(tone),
    };
    share.parts.iter().map(shade).collect()
}

/// A table; rows beyond `shown` are folded away.
fn table(out: &mut Html, table: &Table, number: u64, shown: usize) {
    let is_wide = table.columns.len() >= WIDE;
    if is_wide {
        out.raw("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"table-").number(number);
        out.raw("\">\n");
    }
    let (first, others) = table.rows.split_at_checked(shown).unwrap_or((&table.rows, &[]));
    // One more row takes no more room than the line that would hide it.
    let (first, others) = if others.len() > 1 { (first, others) } else { (table.rows.as_slice(), others) };
    let others = if first.len() == table.rows.len() { &[] } else { others };
    out.raw("<table>\n<caption id=\"table-").number(number).raw("\">").text(&table.title).raw("</caption>\n");
    rows(out, table, first, table.total.as_deref().filter(|_| others.is_empty()));
    out.raw("</table>\n");
    if is_wide {
        out.raw("</div>\n");
    }
    if others.is_empty() {
        return;
    }
    out.raw("<details>\n<summary>").text(&grouped(others.len() as u64)).raw(" more: ").text(&table.title);
    out.raw("</summary>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"more-")
        .number(number);
    out.raw("\">\n<table>\n<caption id=\"more-").number(number).raw("\">").text(&table.title);
    out.raw(", continued</caption>\n");
    rows(out, table, others, table.total.as_deref());
    out.raw("</table>\n</div>\n</details>\n");
}

fn rows(out: &mut Html, table: &Table, rows: &[Vec<Cell>], total: Option<&[Cell]>) {
    let count = |row: &Vec<Cell>| match table.drawn.and_then(|column| row.get(column)) {
        Some(Cell::Count(count)) => *count,
        _ => 0,
    };
    let most = table.rows.iter().map(count).max().unwrap_or(0);
    let has_bars = table.drawn.is_some();
    out.raw("<thead><tr>");
    for (at, column) in table.columns.iter().enumerate() {
        out.raw("<th scope=\"col\"").raw(if column.is_number { " class=\"n\">" } else { ">" });
        out.raw(column.name).raw("</th>");
        // What is drawn is the number before it.
        out.raw(if has_bars && table.drawn == Some(at) { "<td class=\"bar\"></td>" } else { "" });
    }
    out.raw("</tr></thead>\n<tbody>\n");
    for row in rows {
        line(out, table, row, Some((count(row), most)).filter(|_| has_bars));
    }
    out.raw("</tbody>\n");
    if let Some(total) = total {
        out.raw("<tfoot>");
        line(out, table, total, None);
        out.raw("</tfoot>\n");
    }
}

fn line(out: &mut Html, table: &Table, row: &[Cell], bar: Option<(u64, u64)>) {
    out.raw("<tr>");
    for (at, (column, cell)) in table.columns.iter().zip(row).enumerate() {
        let class = if column.is_number { " class=\"n\">" } else { ">" };
        out.raw(if at == 0 { "<th scope=\"row\"" } else { "<td" }).raw(class);
        match cell {
            Cell::Text(text) => out.breakable(text),
            Cell::Nothing => out.raw("<span aria-label=\"nothing\">–</span>"),
            cell => out.text(&cell.words()),
        };
        out.raw(if at == 0 { "</th>" } else { "</td>" });
        if table.drawn == Some(at) {
            out.raw("<td class=\"bar\">");
            if let Some((count, most)) = bar {
                chart::beside(out, count, most, tone_class(table.tone));
            }
            out.raw("</td>");
        }
    }
    out.raw("</tr>\n");
}

const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Shut => "shut",
        Tone::Wait => "wait",
        Tone::Bad => "bad",
    }
}

#[cfg(test)]
pub(crate) mod tests;
