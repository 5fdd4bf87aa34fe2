//! How fast a log is folded: `report_rate report|pflogsumm FILE [ROUNDS]`. Reading it isn't measured; one thread.
#![expect(clippy::print_stdout, reason = "a command for people")]

use report::Day;
use report::pflogsumm::{Options, Part, Summary};
use report::summary::{Settings, Tally};
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is fed at once, as the program reads it.
const BLOCK_BYTES: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (Some(kind), Some(file)) = (words.first(), words.get(1)) else {
        println!("usage: report_rate report|pflogsumm FILE [ROUNDS]");
        return Ok(());
    };
    let log = std::fs::read(file)?;
    let rounds = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let today = Day::numbered(i64::try_from(now / 86_400).unwrap_or(0));
    for _ in 0..rounds {
        let taken = if kind == "pflogsumm" { pflogsumm(&log, today)? } else { report(&log, today) };
        let Taken { lines, whole, joining, text, bytes } = taken;
        let size = u128::try_from(log.len()).unwrap_or(0);
        println!(
            "{} MB/s, {} lines/s; {} ms of {} for joining parts; {} ms for the text of {bytes} bytes",
            size / whole.as_micros().max(1),
            u128::from(lines) * 1_000_000 / whole.as_micros().max(1),
            joining.as_millis(),
            whole.as_millis(),
            text.as_millis(),
        );
    }
    Ok(())
}

/// How long it took.
struct Taken {
    lines: u64,
    whole: Duration,
    /// Of it, to add a part to the others.
    joining: Duration,
    text: Duration,
    /// How long the text is.
    bytes: usize,
}

fn pflogsumm(log: &[u8], today: Day) -> io::Result<Taken> {
    let options = Options::new(today);
    let mut summary = Summary::new(options.clone());
    let mut part = Part::new(options);
    let (lines, whole, joining) = each_block(log, |block| {
        let lines = each_line(block, |line| part.feed(line));
        let join = Instant::now();
        summary.merge(&mut part);
        (lines, join.elapsed())
    });
    let (begin, mut out) = (Instant::now(), Vec::new());
    summary.write(&mut out)?;
    Ok(Taken { lines, whole, joining, text: begin.elapsed(), bytes: out.len() })
}

fn report(log: &[u8], today: Day) -> Taken {
    let mut tally = Tally::new(Settings::new(today));
    let (lines, whole, joining) = each_block(log, |block| {
        let mut piece = tally.sibling();
        let lines = each_line(block, |line| piece.feed(line));
        let join = Instant::now();
        tally.merge(piece);
        (lines, join.elapsed())
    });
    let begin = Instant::now();
    let text = format!("{:?}", tally.summary());
    Taken { lines, whole, joining, text: begin.elapsed(), bytes: text.len() }
}

/// Lines, the time of all and that which was spent joining.
fn each_block(log: &[u8], mut take: impl FnMut(&[u8]) -> (u64, Duration)) -> (u64, Duration, Duration) {
    let begin = Instant::now();
    let (mut lines, mut joining, mut rest) = (0, Duration::ZERO, log);
    while !rest.is_empty() {
        let block = rest.get(..BLOCK_BYTES).unwrap_or(rest);
        let end = memchr::memrchr(b'\n', block).map_or(rest.len(), |last| last + 1);
        let (block, behind) = rest.split_at(end);
        let (more, join) = take(block);
        lines += more;
        joining += join;
        rest = behind;
    }
    (lines, begin.elapsed(), joining)
}

fn each_line(block: &[u8], mut take: impl FnMut(&[u8])) -> u64 {
    let (mut rest, mut lines) = (block, 0);
    while let Some(at) = memchr::memchr(b'\n', rest) {
        let (line, behind) = rest.split_at(at);
        take(line);
        lines += 1;
        rest = behind.get(1..).unwrap_or_default();
    }
    lines
}
