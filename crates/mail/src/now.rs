//! Points in time, handed in by whoever owns a clock.
//!
//! Nothing in the pure crates asks what time it is: the driver makes one [`Now`] for each wake-up, so that
//! five days of retries can be played in milliseconds and a failing seed can be played again.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time, in nanoseconds since an arbitrary start. For deadlines and delays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Wall-clock time, in microseconds since 1970-01-01 00:00:00 UTC. For log lines, headers, queue ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For what people read.
    pub wall: Wall,
}

impl Mono {
    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, delay: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Wall {
    /// From whole seconds since 1970.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Wall {
        Wall(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The microseconds beyond [`Wall::seconds`], 0 to 999,999.
    #[must_use]
    pub const fn micros(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "rem_euclid is in 0..1_000_000")]
        let micros = self.0.rem_euclid(1_000_000) as u32;
        micros
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;
    /// The time from the second to the first; zero where that would be negative.
    fn sub(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Wall {
    type Output = Wall;
    fn add(self, delay: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Wall> for Wall {
    type Output = Duration;
    /// The time from the second to the first; zero where that would be negative.
    fn sub(self, earlier: Wall) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Now {
    type Output = Now;
    fn add(self, delay: Duration) -> Now {
        Now { mono: self.mono + delay, wall: self.wall + delay }
    }
}
