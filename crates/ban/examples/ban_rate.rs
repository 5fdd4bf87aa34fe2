//! How fast filters read: `ban_rate FOLDER LOG FILTER…`, each three times on one thread; `ban_rate make mail|auth N`.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measure for people"
)]

use ban::filter::{Filter, Outcome, Reader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Disk;

impl ban::layers::Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        Ok(std::fs::read_to_string(path).ok())
    }

    fn list(&self, _folder: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, log, filters @ ..] = words.as_slice() else {
        return println!("ban_rate FOLDER LOG FILTER…");
    };
    if folder == "make" {
        let lines = filters.first().and_then(|n| n.parse().ok()).unwrap_or(500_000);
        let made = if log == "auth" { ban::made::auth_log(1, lines) } else { ban::made::mail_log(1, lines) };
        return print!("{}", made.log);
    }
    let text = std::fs::read(log).expect("a log");
    for name in filters {
        let call = ban::brackets::parse(name).expect("a filter").remove(0);
        let path = Path::new(folder).join("filter.d").join(&call.name);
        let options = ban::jails::filter(&Disk, &path, &call, &mut Vec::new()).expect("a filter");
        let filter = Arc::new(Filter::new(&options).expect("a filter"));
        let lines = u32::try_from(text.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(0);
        for _ in 0..3 {
            let mut reader = Reader::new(Arc::clone(&filter), ban::zone::Zone::new(jiff::tz::TimeZone::UTC));
            let start = std::time::Instant::now();
            let mut failed = 0_u32;
            let now_us = (ban::made::BEGIN_S + 864_000) * 1_000_000;
            reader.lines(&text, now_us, &mut |_, _, outcome| {
                failed += u32::from(matches!(outcome, Outcome::Failed(_)));
            });
            let rate = f64::from(lines) / start.elapsed().as_secs_f64();
            println!("{name}: {failed} failures in {lines} lines, {rate:.0} lines/s");
        }
    }
}
