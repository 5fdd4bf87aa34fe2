//! Charts as SVG. Words and scales stand beside them in HTML: they keep their size on a phone, where the picture
//! shrinks. Every chart has its numbers as a table, too.

use super::html::{Html, scaled};
use super::tone_class;
use crate::sheet::{Chart, Share};
use crate::words::{grouped, shares};

/// Steps with a label along the axis, about.
const LABELS: usize = 8;
/// The width of a step, and of the gap that is part of it, in thousandths.
const STEP: u64 = 10_000;
const GAP: u64 = 1_600;
/// The height of the picture, in thousandths.
const HEIGHT: u64 = 100_000;

/// The least of 1, 2 and 5 times a power of ten that is no less.
pub(super) fn ceiling(number: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let Some(limit) = power.checked_mul(factor) else { return u64::MAX };
            if limit >= number {
                return limit;
            }
        }
        let Some(next) = power.checked_mul(10) else { return u64::MAX };
        power = next;
    }
}

/// What the line in the middle stands for: of 5, that is 2.5.
fn half(top: u64) -> String {
    let whole = grouped(top / 2);
    if top.is_multiple_of(2) { whole } else { format!("{whole}.5") }
}

/// Bars over time; `number` tells this chart from the page's others.
pub(super) fn over_time(out: &mut Html, chart: &Chart, number: u64) {
    let count = chart.steps.len();
    let stacked = |at: usize| {
        let values = chart.series.iter().map(|series| series.values.get(at).copied().unwrap_or(0));
        values.fold(0, u64::saturating_add)
    };
    let top = ceiling((0..count).map(stacked).max().unwrap_or(0).max(2));
    out.raw("<figure class=\"chart\"><figcaption id=\"chart-").number(number).raw("\">").text(&chart.title);
    out.raw("</figcaption><ul class=\"legend\">");
    for series in &chart.series {
        out.raw("<li>");
        swatch(out, tone_class(series.tone));
        out.raw(series.name).raw(" <b>").text(&grouped(series.sum())).raw("</b></li>");
    }
    out.raw("</ul><div class=\"plot\"><div class=\"scale\" aria-hidden=\"true\"><span>").text(&grouped(top));
    out.raw("</span><span>").text(&half(top)).raw("</span><span>0</span></div>");
    out.raw("<svg role=\"img\" aria-labelledby=\"chart-").number(number).raw(" chart-desc-").number(number);
    out.raw("\" preserveAspectRatio=\"none\" viewBox=\"0 0 ").thousandths(STEP * count as u64);
    out.raw(" 100\"><desc id=\"chart-desc-")
        .number(number)
        .raw("\">")
        .text(&description(chart))
        .raw("</desc>");
    out.raw("<path class=\"grid\" d=\"M0 50H").thousandths(STEP * count as u64).raw("\"/>");
    for (at, name) in chart.steps.iter().enumerate() {
        bar(out, chart, (at, name), top);
    }
    out.raw("</svg></div><div class=\"steps\" aria-hidden=\"true\">");
    let every = count.div_ceil(LABELS).max(1);
    for (at, name) in chart.steps.iter().enumerate() {
        out.raw("<span>");
        if at.is_multiple_of(every) {
            // Of long ones, a phone has room for two.
            let kept = if name.chars().count() > 6 { 4 } else { 2 };
            let is_minor = !(at / every).is_multiple_of(kept);
            out.raw(if is_minor { "<i class=\"minor\">" } else { "<i>" }).text(name).raw("</i>");
        }
        out.raw("</span>");
    }
    out.raw("</div></figure>");
}

/// What a screen reader says of the picture.
fn description(chart: &Chart) -> String {
    let mut text = String::new();
    for series in &chart.series {
        let most =
            series.values.iter().enumerate().max_by_key(|(at, value)| (**value, std::cmp::Reverse(*at)));
        text.push_str(&format!("{}: {} in all", series.name, grouped(series.sum())));
        if let Some((at, value)) = most.filter(|(_, value)| **value > 0) {
            let name = chart.steps.get(at).map_or("", String::as_str);
            text.push_str(&format!(", most at {name}: {}", grouped(*value)));
        }
        text.push_str(". ");
    }
    text.push_str("The table below has every number.");
    text
}

fn bar(out: &mut Html, chart: &Chart, (at, name): (usize, &str), top: u64) {
    let mut floor = HEIGHT;
    let values = chart.series.iter().map(|series| (series, series.values.get(at).copied().unwrap_or(0)));
    out.raw("<g><title>").text(name);
    for (series, value) in values.clone().rev() {
        out.text(&format!("\u{a0}· {} {}", series.name, grouped(value)));
    }
    // The whole step answers to the pointer.
    out.raw("</title><rect class=\"whole\" x=\"").thousandths(STEP * at as u64).raw("\" y=\"0\" width=\"");
    out.thousandths(STEP).raw("\" height=\"100\"/>");
    for (series, value) in values.filter(|(_, value)| *value > 0) {
        // What is there is seen.
        let height = scaled(value, top, HEIGHT).max(700).min(floor);
        floor -= height;
        out.raw("<rect class=\"").raw(tone_class(series.tone)).raw("\" x=\"");
        out.thousandths(STEP * at as u64 + GAP / 2).raw("\" y=\"").thousandths(floor).raw("\" width=\"");
        out.thousandths(STEP - GAP).raw("\" height=\"").thousandths(height).raw("\"/>");
    }
    out.raw("</g>");
}

/// One bar with all parts.
pub(super) fn share(out: &mut Html, share: &Share, tones: &[&'static str], number: u64) {
    let sum = share.sum();
    out.raw("<svg class=\"share\" role=\"img\" aria-labelledby=\"share-").number(number);
    out.raw("\" preserveAspectRatio=\"none\" viewBox=\"0 0 1000 10\"><title id=\"share-")
        .number(number)
        .raw("\">");
    out.text(&share.title).raw(": ");
    let drawn = share.parts.iter().zip(tones).filter(|(part, _)| part.count > 0);
    let counts: Vec<u64> = drawn.clone().map(|(part, _)| part.count).collect();
    for (at, ((part, _), share)) in drawn.clone().zip(shares(&counts, sum)).enumerate() {
        out.raw(if at == 0 { "" } else { ", " });
        out.text(&format!("{} {} ({})", part.label, grouped(part.count), share));
    }
    out.raw("</title>");
    let mut before: u64 = 0;
    for (part, tone) in drawn {
        let (start, end) = (before, before.saturating_add(part.count));
        before = end;
        let (start, end) = (scaled(start, sum, 1_000_000), scaled(end, sum, 1_000_000));
        out.raw("<rect class=\"").raw(tone).raw("\" x=\"").thousandths(start);
        out.raw("\" width=\"").thousandths(end.saturating_sub(start).max(1_500)).raw("\" height=\"10\"/>");
    }
    out.raw("</svg>");
}

/// A bar beside a number.
pub(super) fn beside(out: &mut Html, value: u64, most: u64, class: &'static str) {
    out.raw(
        "<svg class=\"beside\" aria-hidden=\"true\" preserveAspectRatio=\"none\" viewBox=\"0 0 100 10\">",
    );
    out.raw("<rect class=\"").raw(class).raw("\" width=\"");
    out.thousandths(scaled(value, most, 100_000).max(if value > 0 { 800 } else { 0 }));
    out.raw("\" height=\"10\"/></svg>");
}

/// A colour's square.
pub(super) fn swatch(out: &mut Html, class: &'static str) {
    out.raw("<svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 10 10\"><rect class=\"").raw(class);
    out.raw("\" width=\"10\" height=\"10\" rx=\"2\"/></svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_half_of_the_top() {
        for (most, middle) in
            [(0, "1"), (2, "1"), (3, "2.5"), (5, "2.5"), (6, "5"), (17, "10"), (1_999, "1,000")]
        {
            let values = vec![most, 0];
            let series = vec![crate::sheet::Series { name: "mail", tone: crate::sheet::Tone::Good, values }];
            let steps = vec!["00".to_owned(), "01".to_owned()];
            let mut out = Html::default();
            over_time(&mut out, &Chart { title: "x".to_owned(), step: "Hour", steps, series }, 1);
            let html = out.into_string();
            assert!(html.contains(&format!("</span><span>{middle}</span><span>0</span>")), "{most}: {html}");
        }
    }

    #[test]
    fn ceilings() {
        for (number, expect) in
            [(0, 1), (1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (1_234, 2_000), (u64::MAX, u64::MAX)]
        {
            assert_eq!(ceiling(number), expect);
        }
    }
}
