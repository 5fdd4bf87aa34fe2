#![no_main]
//! Fuzzes a log, as `komainu report` counts it: whole and in two pieces, every part adds up.

use komainu_fuzz::first_line;
use report::Day;
use report::outline::About;
use report::summary::text::{Style, text};
use report::summary::{Settings, Summary, Tally, data};

fn adds_up(summary: &Summary) {
    assert!(summary.connections.adds_up() && summary.messages.adds_up() && summary.origins.adds_up());
    let lines = summary.lines;
    assert_eq!(lines.read, lines.counted + lines.passed_over + lines.other_days + lines.broken);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (chosen, log) = first_line(bytes);
    let mut tally = Tally::new(Settings::new(Day { year: 2026, month: 11, day: 23 }));
    let mut later = tally.sibling();
    for (at, line) in log.split(|byte| *byte == b'\n').enumerate() {
        if at < chosen.len() { tally.feed(line) } else { later.feed(line) }
    }
    adds_up(&later.summary());
    tally.merge(later);
    let summary = tally.summary();
    adds_up(&summary);
    let shown =
        text(&summary, &About::default(), &[], Style { width: chosen.len(), colours: false, bars: true });
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
    assert!(!data::json(&summary, &report::outline::About::default(), &[]).contains('\n'));
    assert!(data::csv(&summary, &[]).ends_with("\r\n"));
});
