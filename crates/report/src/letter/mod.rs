//! A report as a mail: the text for whoever reads text, and beside it HTML as mail programs draw it, which is tables and
//! coloured cells; pictures, scripts and style sheets they drop. One message, RFC 2046 §5.1.4.
//!
//! Its lines are ASCII and no longer than 76 (RFC 2045 §6.7), so that nothing on the way changes them. Who it is from
//! and to is the caller's. T2.23.

mod quoted;
mod text;

pub use text::text;

use crate::page::html::{Html, scaled};
use crate::sheet::{Block, Cell, Chart, Figure, Section, Share, Sheet, Table, Tone};
use crate::words::{grouped, plural};

/// Rows of a table in a mail: the page has all.
const ROWS: usize = 10;
/// The height of a chart, in pixels.
const HEIGHT: u64 = 72;
/// The longest subject, in characters.
const SUBJECT_MAX: usize = 160;

/// What a header says the content is, and the content: lines that end with LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it is about: one line of ASCII.
    pub subject: String,
    /// `MIME-Version:` and `Content-Type:`.
    pub head: String,
    /// Behind the empty line.
    pub body: String,
}

/// The mail that says what `sheet` says. `unique` tells this message from all others: letters,
/// digits and dots.
#[must_use]
pub fn letter(sheet: &Sheet, unique: &str) -> Letter {
    let mark = if sheet.unusual.is_empty() { "" } else { "Out of the ordinary: " };
    let boundary: String =
        unique.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '.').collect();
    // In quoted-printable no line begins with `=_`.
    let boundary: String = format!("=_{boundary}").chars().take(70).collect();
    let part = |kind: &str, content: &str| {
        format!(
            "--{boundary}\nContent-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{}",
            quoted::printable(content)
        )
    };
    // The last is the one to be preferred.
    let (plain, html) = (part("plain", &text(sheet)), part("html", &html(sheet)));
    Letter {
        subject: subject(&format!("{mark}{}, {}", sheet.title, sheet.period)),
        head: format!("MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"{boundary}\"\n"),
        body: format!("{plain}\n{html}\n--{boundary}--\n"),
    }
}

fn subject(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    text.chars().take(SUBJECT_MAX).map(plain).collect()
}

const fn background(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "#7c8582",
        Tone::Good => "#2c8462",
        Tone::Shut => "#5b7da6",
        Tone::Wait => "#b07a10",
        Tone::Bad => "#c2433b",
    }
}

/// The HTML of a mail.
#[must_use]
pub fn html(sheet: &Sheet) -> String {
    let mut out = Html::default();
    out.raw(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
    );
    out.text(&sheet.title).raw(
        "</title>\n</head>\n\
         <body style=\"margin:0;padding:0;background-color:#f4f4f0;color:#1c2321\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         bgcolor=\"#f4f4f0\"><tr><td align=\"center\" style=\"padding:16px 8px\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         bgcolor=\"#ffffff\" style=\"max-width:640px;background-color:#ffffff\"><tr><td \
         style=\"padding:20px 18px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.45;\
         color:#1c2321;text-align:left\">\n",
    );
    head(&mut out, sheet);
    for section in &sheet.sections {
        draw(&mut out, section);
    }
    if !sheet.notes.is_empty() {
        out.raw("<h2 style=\"font-size:14px;margin:24px 0 4px\">How this was counted</h2>\n");
        for note in &sheet.notes {
            out.raw("<p style=\"font-size:12px;color:#5a6461;margin:0 0 4px\">").text(note).raw("</p>\n");
        }
    }
    out.raw("</td></tr></table>\n</td></tr></table>\n</body>\n</html>\n");
    out.into_string()
}

fn head(out: &mut Html, sheet: &Sheet) {
    out.raw("<h1 style=\"font-size:20px;line-height:1.25;margin:0\">").text(&sheet.title);
    out.raw("</h1>\n<p style=\"color:#5a6461;margin:2px 0 12px\">").text(&sheet.period).raw("</p>\n");
    out.raw(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>",
    );
    out.raw(match sheet.unusual.is_empty() {
        true => "<td bgcolor=\"#e4f1ea\" style=\"padding:10px 12px;font-size:16px;color:#14533a\">",
        false => "<td bgcolor=\"#fbe6e1\" style=\"padding:10px 12px;font-size:16px;color:#7f1f16\">",
    });
    out.text(&sheet.verdict).raw("</td></tr></table>\n");
    if !sheet.unusual.is_empty() {
        out.raw("<h2 style=\"font-size:16px;margin:18px 0 4px\">Out of the ordinary</h2>\n");
        out.raw("<ul style=\"margin:0;padding-left:20px\">\n");
        for what in &sheet.unusual {
            out.raw("<li style=\"margin:3px 0\">").text(what).raw("</li>\n");
        }
        out.raw("</ul>\n");
    }
    out.raw(
        "<table width=\"100%\" cellpadding=\"3\" cellspacing=\"0\" border=\"0\" style=\"margin:14px 0 0\">\n",
    );
    for Figure { label, value, remark, tone } in &sheet.figures {
        out.raw("<tr><td width=\"5\" bgcolor=\"")
            .raw(background(*tone))
            .raw("\" style=\"font-size:0;padding:0\">&nbsp;</td>");
        out.raw("<th scope=\"row\" align=\"left\" style=\"padding:4px 10px;font-weight:normal;");
        out.raw("border-bottom:1px solid #dcdfda\">").text(label);
        out.raw("</th><td align=\"right\" style=\"padding:4px 0;border-bottom:1px solid #dcdfda;white-space:nowrap\">");
        out.raw("<b style=\"font-size:17px\">").text(value).raw("</b></td>");
        out.raw("<td style=\"padding:4px 0 4px 12px;color:#5a6461;font-size:12px;border-bottom:1px solid #dcdfda\">");
        out.text(remark).raw("</td></tr>\n");
    }
    out.raw("</table>\n");
}

fn draw(out: &mut Html, section: &Section) {
    out.raw("<h2 style=\"font-size:16px;margin:24px 0 4px;border-top:1px solid #dcdfda;padding-top:14px\">");
    out.raw(section.heading).raw("</h2>\n");
    if !section.lead.is_empty() {
        out.raw("<p style=\"color:#5a6461;margin:0 0 8px\">").text(&section.lead).raw("</p>\n");
    }
    for block in &section.blocks {
        match block {
            Block::Chart(chart) => over_time(out, chart),
            Block::Share(share) => parts(out, share),
            Block::Table(rows) => table(out, rows),
            Block::Text(text) => {
                out.raw("<p style=\"margin:0 0 8px\">").text(text).raw("</p>\n");
            }
        }
    }
}

/// A title above something.
fn title(out: &mut Html, text: &str) {
    out.raw("<p style=\"font-weight:bold;font-size:13px;margin:10px 0 4px\">").text(text).raw("</p>\n");
}

/// Bars as coloured cells.
fn over_time(out: &mut Html, chart: &Chart) {
    title(out, &chart.title);
    out.raw("<p style=\"font-size:12px;color:#5a6461;margin:0 0 4px\">");
    for series in &chart.series {
        out.raw("<span style=\"color:")
            .raw(background(series.tone))
            .raw("\">&#9632;</span> ")
            .raw(series.name);
        out.raw(" <b>").text(&grouped(series.sum())).raw("</b> &nbsp; ");
    }
    out.raw("</p>\n<table role=\"presentation\" aria-hidden=\"true\" width=\"100%\" cellpadding=\"0\" ");
    out.raw("cellspacing=\"1\" border=\"0\" style=\"table-layout:fixed\"><tr>\n");
    let values = |at: usize| {
        chart.series.iter().map(move |series| (series, series.values.get(at).copied().unwrap_or(0)))
    };
    let stacked = |at: usize| values(at).fold(0, |sum: u64, (_, value)| sum.saturating_add(value));
    let top = (0..chart.steps.len()).map(stacked).max().unwrap_or(0);
    for at in 0..chart.steps.len() {
        // Where the style is dropped, steps are as wide as each other still, about.
        let wide = (100 / chart.steps.len().max(1)).max(1) as u64;
        out.raw("<td valign=\"bottom\" width=\"").number(wide).raw("%\" height=\"").number(HEIGHT).raw("\">");
        for (series, value) in values(at).rev().filter(|(_, value)| *value > 0) {
            let height = scaled(value, top, HEIGHT).max(1);
            out.raw("<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>");
            out.raw("<td bgcolor=\"").raw(background(series.tone)).raw("\" height=\"").number(height);
            out.raw("\" style=\"font-size:0;line-height:0\">&nbsp;</td></tr></table>");
        }
        out.raw("</td>\n");
    }
    out.raw("</tr><tr>\n");
    let every = chart.steps.len().div_ceil(8).max(1);
    for (at, step) in chart.steps.iter().enumerate().filter(|(at, _)| at.is_multiple_of(every)) {
        let width = every.min(chart.steps.len() - at) as u64;
        out.raw("<td colspan=\"").number(width);
        out.raw("\" style=\"font-size:11px;color:#5a6461;border-top:1px solid #5a6461\">")
            .text(step)
            .raw("</td>\n");
    }
    out.raw("</tr></table>\n");
}

fn parts(out: &mut Html, share: &Share) {
    let tones: Vec<Tone> = share.parts.iter().map(|part| part.tone).collect();
    drawn(out, &text::parts(share), &tones, usize::MAX);
}

fn table(out: &mut Html, table: &Table) {
    drawn(out, table, &[], ROWS);
}

const EDGE: &str = "border-bottom:1px solid #dcdfda";

/// A table of `limit` rows; `tones` colour the rows' first cells.
fn drawn(out: &mut Html, table: &Table, tones: &[Tone], limit: usize) {
    title(out, &table.title);
    // The padding is for mail programs that drop the cells' styles.
    out.raw("<table width=\"100%\" cellpadding=\"3\" cellspacing=\"0\" border=\"0\" style=\"font-size:13px\">\n<tr>");
    if !tones.is_empty() {
        out.raw("<td width=\"5\" style=\"padding:0\"></td>");
    }
    for column in &table.columns {
        out.raw("<th scope=\"col\" valign=\"bottom\" ").raw(align(column.is_number));
        out.raw("font-size:11px;font-weight:normal;color:#5a6461;")
            .raw(EDGE)
            .raw("\">")
            .raw(column.name)
            .raw("</th>");
    }
    out.raw("</tr>\n");
    for (at, row) in table.rows.iter().take(limit).enumerate() {
        out.raw("<tr>");
        if let Some(tone) = tones.get(at) {
            out.raw("<td width=\"5\" bgcolor=\"")
                .raw(background(*tone))
                .raw("\" style=\"font-size:0;padding:0\">&nbsp;</td>");
        }
        cells(out, table, row, EDGE);
        out.raw("</tr>\n");
    }
    let others = table.rows.len().saturating_sub(limit);
    if others > 0 {
        out.raw("<tr><td colspan=\"").number(table.columns.len() as u64);
        out.raw("\" style=\"padding:3px 8px;color:#5a6461\">and ")
            .text(&grouped(others as u64))
            .raw(plural(others as u64, " more row", " more rows"))
            .raw("</td></tr>\n");
    }
    if let Some(total) = &table.total {
        out.raw("<tr>").raw(if tones.is_empty() { "" } else { "<td width=\"5\" style=\"padding:0\"></td>" });
        cells(out, table, total, "font-weight:bold");
        out.raw("</tr>\n");
    }
    out.raw("</table>\n");
}

const fn align(is_number: bool) -> &'static str {
    if is_number {
        "align=\"right\" style=\"padding:3px 0 3px 8px;white-space:nowrap;"
    } else {
        "align=\"left\" style=\"padding:3px 8px;word-break:break-word;"
    }
}

fn cells(out: &mut Html, table: &Table, row: &[Cell], style: &'static str) {
    for (at, (column, cell)) in table.columns.iter().zip(row).enumerate() {
        out.raw(if at == 0 { "<th scope=\"row\" " } else { "<td " }).raw(align(column.is_number));
        out.raw(if at == 0 { "font-weight:normal;" } else { "" }).raw(style).raw("\">");
        match cell {
            Cell::Text(text) => out.apart(text),
            cell => out.text(&cell.words()),
        };
        out.raw(if at == 0 { "</th>" } else { "</td>" });
    }
}

#[cfg(test)]
mod tests;
