//! The server's own log lines on their way to the jails, with no log in between.
//!
//! Whoever writes the log hands its lines over here as well, as Postfix would have written them. The channel is bounded,
//! and full it drops lines and counts them: mail never waits for bans. T0.1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

/// Lines that may wait for the jails.
const LINES_MAX: usize = 65_536;

/// A line of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLine {
    /// When it was said, in microseconds since 1970.
    pub time_us: i64,
    /// The line as it would stand in the log: `2026-11-23T01:02:03.000000+00:00 mx postfix/smtpd[812]: …`.
    pub text: String,
}

/// The end that lines are put into.
#[derive(Debug)]
pub struct Own {
    lines: SyncSender<OwnLine>,
    dropped: AtomicU64,
}

impl Own {
    /// Both ends.
    #[must_use]
    pub fn channel() -> (Own, Receiver<OwnLine>) {
        let (lines, taken) = mpsc::sync_channel(LINES_MAX);
        (Own { lines, dropped: AtomicU64::new(0) }, taken)
    }

    /// Hands a line over, or drops it.
    pub fn say(&self, line: OwnLine) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were dropped since this was asked last.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_drops_and_counts() {
        let (own, taken) = Own::channel();
        let line = |n: usize| OwnLine { time_us: 0, text: n.to_string() };
        (0..LINES_MAX + 3).for_each(|n| own.say(line(n)));
        assert_eq!((own.take_dropped(), own.take_dropped()), (3, 0));
        assert_eq!(taken.try_iter().count(), LINES_MAX);
        own.say(line(7));
        assert_eq!(taken.try_recv(), Ok(line(7)));
        drop(taken);
        own.say(line(8));
        assert_eq!(own.take_dropped(), 1);
    }
}
