//! How fast a log is folded: `pflogsumm_rate FILE [ROUNDS]`. Reading it isn't measured.
#![expect(clippy::print_stdout, reason = "a command for people")]

use report::Day;
use report::pflogsumm::{Options, Summary};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let log = std::fs::read(words.next().unwrap_or_default())?;
    let rounds = words.next().and_then(|word| word.parse().ok()).unwrap_or(3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let today = Day::numbered(i64::try_from(now / 86_400).unwrap_or(0));
    for _ in 0..rounds {
        let begin = Instant::now();
        let mut summary = Summary::new(Options::new(today));
        let mut rest = log.as_slice();
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(at);
            summary.feed(line);
            rest = behind.get(1..).unwrap_or_default();
        }
        let folded = begin.elapsed();
        let mut out = Vec::new();
        summary.write(&mut out)?;
        let bytes = u128::try_from(log.len()).unwrap_or(0);
        println!(
            "{} MB/s folded, {} ms for the text of {} bytes",
            bytes / folded.as_micros().max(1),
            (begin.elapsed() - folded).as_millis(),
            out.len()
        );
    }
    Ok(())
}
