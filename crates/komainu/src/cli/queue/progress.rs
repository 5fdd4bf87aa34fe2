//! A progress bar on standard error, on a terminal only, and only for what takes long.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is shown before this has passed, and not more often.
const PAUSE: Duration = Duration::from_millis(200);
const WIDTH: u64 = 30;

/// How far the work is.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    shown: Instant,
    /// Something of it stands on the terminal.
    visible: bool,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Progress { what, total: 0, done: 0, shown: Instant::now(), visible: false, terminal }
    }

    pub(super) fn expect(&mut self, total: u64) {
        self.total = total;
    }

    pub(super) fn step(&mut self) {
        self.done += 1;
        if self.terminal && self.done.is_multiple_of(64) && self.shown.elapsed() >= PAUSE {
            self.shown = Instant::now();
            self.visible = true;
            eprint!("\r{}", bar(self.what, self.done, self.total));
            // What can't be shown isn't needed.
            let _ = std::io::stderr().flush();
        }
    }

    /// A line on standard error that the bar doesn't spoil.
    pub(super) fn say(&mut self, line: &str) {
        self.clear();
        eprintln!("{}", super::said::plain(line));
    }

    pub(super) fn clear(&mut self) {
        if self.visible {
            eprint!("\r\x1b[K");
            self.visible = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(what: &str, done: u64, total: u64) -> String {
    let done = done.min(total.max(done));
    let filled = WIDTH.saturating_mul(done).checked_div(total).unwrap_or(0).min(WIDTH);
    let (filled, empty) =
        (usize::try_from(filled).unwrap_or(0), usize::try_from(WIDTH - filled).unwrap_or(0));
    format!("{what} [{}{}] {done} of {total}", "#".repeat(filled), " ".repeat(empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bar("checked", 0, 0), format!("checked [{}] 0 of 0", " ".repeat(30)));
        assert_eq!(bar("checked", 5, 10), format!("checked [{}{}] 5 of 10", "#".repeat(15), " ".repeat(15)));
        assert!(bar("checked", 11, 10).contains(&"#".repeat(30)));
    }
}
