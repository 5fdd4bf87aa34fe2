//! How fast a log becomes a report: `report_rate FILE [ROUNDS]`. Reading it isn't measured.
#![expect(clippy::print_stdout, reason = "a command for people")]

use report::Day;
use report::summary::{Settings, Tally};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let log = std::fs::read(words.next().unwrap_or_default())?;
    let rounds = words.next().and_then(|word| word.parse().ok()).unwrap_or(3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let today = Day::numbered(i64::try_from(now / 86_400).unwrap_or(0));
    for _ in 0..rounds {
        let begin = Instant::now();
        let mut tally = Tally::new(Settings::new(today));
        let mut rest = log.as_slice();
        let (mut lines, mut merging) = (0_u64, std::time::Duration::ZERO);
        for block in log.chunks(1 << 20).map(<[u8]>::len) {
            let end = memchr::memrchr(b'\n', rest.get(..block).unwrap_or(rest)).unwrap_or(0);
            let (mut part, behind) = rest.split_at(end.saturating_add(1).min(rest.len()));
            rest = behind;
            let mut piece = tally.sibling();
            while let Some(at) = memchr::memchr(b'\n', part) {
                let (line, behind) = part.split_at(at);
                piece.feed(line);
                lines += 1;
                part = behind.get(1..).unwrap_or_default();
            }
            let join = Instant::now();
            tally.merge(piece);
            merging += join.elapsed();
        }
        let folded = begin.elapsed();
        let summary = tally.summary();
        let bytes = u128::try_from(log.len()).unwrap_or(0);
        println!(
            "{} MB/s, {} lines/s, of which {} ms for joining; {} ms for the summary; {:?}",
            bytes / folded.as_micros().max(1),
            u128::from(lines) * 1_000_000 / folded.as_micros().max(1),
            merging.as_millis(),
            (begin.elapsed() - folded).as_millis(),
            summary.counts
        );
    }
    Ok(())
}
