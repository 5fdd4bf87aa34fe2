//! Writes a log made up from a seed: `sample_log LINES DAYS [SEED [PEOPLE]] [rfc3339]`. Its last day is yesterday; what is in
//! it stands on standard error.
#![expect(clippy::print_stderr, reason = "a command for people")]

use report::Day;
use report::sample::Sample;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let (lines, days, seed) =
        (number(0).unwrap_or(1_000_000), number(1).unwrap_or(40), number(2).unwrap_or(1));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let yesterday = i64::try_from(now / 86_400).unwrap_or(0) - 1;
    let first = Day::numbered(yesterday + 1 - i64::try_from(days).unwrap_or(0));
    let sample = Sample::new(seed, first, 1).over(days, lines).crowd(number(3).unwrap_or(400));
    let mut sample = if words.iter().any(|word| word == "rfc3339") { sample.rfc3339() } else { sample };
    let mut out = io::stdout().lock();
    let mut text = String::new();
    while sample.truth().lines < lines && sample.day().number() <= yesterday {
        text.clear();
        while text.len() < 1 << 20 && sample.truth().lines < lines && sample.day().number() <= yesterday {
            sample.event(&mut text);
        }
        out.write_all(text.as_bytes())?;
    }
    eprintln!("{:?}", sample.truth());
    Ok(())
}
