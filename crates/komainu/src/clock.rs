//! The one place that asks what time it is.
//!
//! Each driver calls [`now`] once per wake-up and hands the value down. Monotonic time is the runtime's, which tests
//! can move.

use jiff::tz::TimeZone;
use mail::{Mono, Now, Wall};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
    let file = zone_file(std::env::var_os("TZ").as_deref(), std::env::var_os("TZDIR").is_some());
    let read = file.and_then(|path| TimeZone::tzif("", &std::fs::read(path).ok()?).ok());
    read.unwrap_or_else(TimeZone::system)
});
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
pub fn time_zone() -> TimeZone {
    ZONE.clone()
}

/// The file that holds the machine's time zone, where it is told by its place. To find it by its name, all folders of
/// zones would be looked through: a millisecond for each little program that asks for the day.
fn zone_file(tz: Option<&OsStr>, has_folder_of_its_own: bool) -> Option<PathBuf> {
    match tz.map(|name| name.to_str()) {
        None => Some(PathBuf::from("/etc/localtime")),
        Some(Some(name)) if !has_folder_of_its_own && (name == "UTC" || is_region(name)) => {
            Some(Path::new("/usr/share/zoneinfo").join(name))
        }
        Some(_) => None,
    }
}

/// `Asia/Tokyo`: nothing that could mean something else, as `EST5EDT` does.
fn is_region(name: &str) -> bool {
    let word = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
        part.starts_with(|first: char| first.is_ascii_uppercase()) && part.bytes().all(known)
    };
    name.contains('/') && name.split('/').all(word)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_the_one_that_its_name_means() {
        let of = |tz: &str| zone_file(Some(OsStr::new(tz)), false);
        assert_eq!(zone_file(None, false), Some("/etc/localtime".into()));
        assert_eq!(of("Asia/Tokyo"), Some("/usr/share/zoneinfo/Asia/Tokyo".into()));
        assert_eq!(of("Etc/GMT+2"), Some("/usr/share/zoneinfo/Etc/GMT+2".into()));
        assert_eq!(zone_file(Some(OsStr::new("Asia/Tokyo")), true), None);
        for other in
            ["", "EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3", ":Asia/Tokyo", "/etc/localtime", "../x", "A/../b"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        for name in ["Asia/Tokyo", "America/Argentina/Ushuaia", "Europe/Berlin", "UTC"] {
            let Some(file) = of(name).and_then(|path| std::fs::read(path).ok()) else { continue };
            let (read, named) = (TimeZone::tzif("", &file).unwrap(), TimeZone::get(name).unwrap());
            for second in (-2_000_000_000..5_000_000_000).step_by(7_777_777) {
                let stamp = jiff::Timestamp::from_second(second).unwrap();
                let said = |zone: &TimeZone| {
                    let info = zone.to_offset_info(stamp);
                    (info.offset(), info.abbreviation().to_owned())
                };
                assert_eq!(said(&read), said(&named), "{name} {second}");
            }
        }
    }
}
