//! What time it is for the engine of bans, and where: handed in, so that tests can set the clock.

use crate::clock;
use ban::zone::Zone;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// The clock that people set, and how long the machine slept. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hours {
    pub(super) zone: TimeZone,
    /// Microseconds since 1970.
    pub(super) wall_us: Ask<i64>,
    /// Seconds asleep, counted from any time on; `None` where nobody knows.
    pub(super) slept_s: Ask<Option<i64>>,
    /// What the clock said when it was looked at last by whoever judges: no deed is done by another time than the one
    /// that jumps of the clock were looked for at.
    turn_us: Arc<AtomicI64>,
}

impl Hours {
    pub(super) fn of_machine() -> Hours {
        let began = Instant::now();
        let slept_s = move || {
            let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
            let uptime_s: f64 = uptime.split(' ').next()?.parse().ok()?;
            // The difference of two clocks, one of which stands still while the machine sleeps.
            #[expect(clippy::cast_possible_truncation, reason = "seconds of uptime")]
            Some((uptime_s - began.elapsed().as_secs_f64()) as i64)
        };
        Hours::new(clock::time_zone(), Arc::new(|| clock::now().wall.0), Arc::new(slept_s))
    }

    pub(super) fn new(zone: TimeZone, wall_us: Ask<i64>, slept_s: Ask<Option<i64>>) -> Hours {
        let turn_us = Arc::new(AtomicI64::new(wall_us()));
        Hours { zone, wall_us, slept_s, turn_us }
    }

    /// Looks at the clock, for all that is done until the next look.
    pub(super) fn look(&self) -> i64 {
        let now_us = (self.wall_us)();
        self.turn_us.store(now_us, Ordering::Relaxed);
        now_us
    }

    /// What it said at the last look.
    pub(super) fn turn_us(&self) -> i64 {
        self.turn_us.load(Ordering::Relaxed)
    }

    pub(super) fn zone(&self) -> Zone {
        Zone::new(self.zone.clone())
    }
}
