#![no_main]
//! Fuzzes a log, as pflogsumm's report counts it; the first line's length chooses the options.

use komainu_fuzz::first_line;
use report::Day;
use report::pflogsumm::{Options, Summary, Verp};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (chosen, log) = first_line(bytes);
    let bit = |at: usize| chosen.len() >> at & 1 == 1;
    let mut summary = Summary::new(Options {
        extended: bit(0),
        uucp: bit(1),
        verbose: bit(2),
        smtpd_stats: bit(3),
        verp: bit(4).then_some(Verp::Recipients),
        add_from: bit(5),
        ..Options::new(Day { year: 2026, month: 11, day: 23 })
    });
    for line in log.split(|byte| *byte == b'\n') {
        summary.feed(line);
    }
    assert!(summary.write(&mut Vec::new()).is_ok());
});
