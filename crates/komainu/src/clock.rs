//! The one place that asks what time it is.
//!
//! Each driver calls [`now`] once per wake-up and hands the value down. Monotonic time is the runtime's, which tests
//! can move.

use mail::{Mono, Now, Wall};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

static ZONE: LazyLock<jiff::tz::TimeZone> = LazyLock::new(jiff::tz::TimeZone::system);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Both clocks, read together.
#[must_use]
pub fn now() -> Now {
    let mono = Mono(u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    };
    Now { mono, wall: Wall(wall) }
}

/// The instant that `mono` stands for, for timers.
#[must_use]
pub fn instant(mono: Mono) -> Instant {
    *START + std::time::Duration::from_nanos(mono.0)
}

/// The machine's time zone.
#[must_use]
pub fn time_zone() -> jiff::tz::TimeZone {
    ZONE.clone()
}

/// The machine's time zone at `wall`.
#[must_use]
pub fn zone(wall: Wall) -> mail::time::Zone {
    let offset_s = utc_offset_s(wall);
    let name = jiff::Timestamp::from_second(wall.seconds())
        .map_or_else(|_| String::new(), |stamp| ZONE.to_offset_info(stamp).abbreviation().to_owned());
    mail::time::Zone { offset_s, name }
}

/// Minutes east of UTC at a second since 1970, by the machine's time zone.
#[must_use]
pub fn utc_offset_min(second: i64) -> i16 {
    i16::try_from(utc_offset_s(Wall::from_seconds(second)) / 60).unwrap_or(0)
}

/// Seconds east of UTC at `wall`, by the machine's time zone.
#[must_use]
pub fn utc_offset_s(wall: Wall) -> i32 {
    jiff::Timestamp::from_second(wall.seconds()).map_or(0, |stamp| ZONE.to_offset(stamp).seconds())
}
