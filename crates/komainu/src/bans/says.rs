//! fail2ban's own log, word for word, so that tools and the jail that reads it (`recidive`) find their lines. T2.21.

use super::hours::Hours;
use super::settings::{Daemon, Level, Target};
use crate::log::{Destination, Format, Log};
use ban::filter::Id;
use ban::zone::Zone;
use events::Severity;
use std::fmt::Arguments;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of syslog: daemon.
const FACILITY: u8 = 3;

/// Where the engine says what it does. Cheap to clone.
#[derive(Clone)]
pub struct BanLog {
    log: Log,
    shape: Arc<Shape>,
}

struct Shape {
    level: Level,
    is_syslog: bool,
    pid: u32,
    hours: Hours,
    /// The second that was written last, in local time.
    second: Mutex<(Zone, i64, String)>,
    /// The file, where it is one.
    file: Option<PathBuf>,
    /// Lines for jails that read this log; nothing while there are none.
    echo: Mutex<Option<Vec<String>>>,
}

/// Lines that may wait for those jails; what is more stands in the file alone.
const ECHO_MAX: usize = 200_000;

/// Who speaks: fail2ban's parts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Server,
    Jail,
    Filter,
    Actions,
    Observer,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Part::Server => "fail2ban.server",
            Part::Jail => "fail2ban.jail",
            Part::Filter => "fail2ban.filter",
            Part::Actions => "fail2ban.actions",
            Part::Observer => "fail2ban.observer",
        }
    }
}

impl BanLog {
    /// Opens the log that fail2ban.conf names.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn start(daemon: &Daemon) -> io::Result<BanLog> {
        BanLog::start_as(daemon, std::process::id(), Hours::of_machine())
    }

    /// As [`BanLog::start`], by the number of another process and by this clock.
    ///
    /// # Errors
    /// As there.
    pub(super) fn start_as(daemon: &Daemon, pid: u32, hours: Hours) -> io::Result<BanLog> {
        let destination = match &daemon.target {
            Target::File(path) => Destination::File(path.clone()),
            Target::Syslog => Destination::Syslog,
            Target::Journal => Destination::Journald,
            Target::Stdout => Destination::Stdout,
        };
        let log = Log::start(&destination, Format::Postfix, "")?;
        let is_syslog = matches!(destination, Destination::Syslog | Destination::Journald);
        let second = Mutex::new((hours.zone(), i64::MIN, String::new()));
        let file = match destination {
            Destination::File(path) => Some(path),
            _ => None,
        };
        let echo = Mutex::default();
        let shape = Shape { level: daemon.level, is_syslog, pid, hours, second, file, echo };
        Ok(BanLog { log, shape: Arc::new(shape) })
    }

    pub(super) fn say(&self, part: Part, level: Level, text: Arguments<'_>) {
        let Shape { level: most, is_syslog, pid, second, .. } = &*self.shape;
        if level > *most {
            return;
        }
        let severity = match level {
            Level::Critical => Severity::Critical,
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Notice | Level::Info | Level::Debug => Severity::Info,
        };
        let (part, word) = (part.as_str(), level.as_str());
        // Ids and lines are strangers' words.
        let text = text.to_string();
        let text = events::text::printable(text.as_bytes());
        let line = if *is_syslog {
            format!("{part}[{pid}]: {word} {text}")
        } else {
            let now_us = self.now_us();
            let millis = now_us.rem_euclid(1_000_000) / 1_000;
            let mut second = second.lock().unwrap_or_else(PoisonError::into_inner);
            let time = local(&mut second, now_us.div_euclid(1_000_000));
            format!("{time},{millis:03} {part:<24}[{pid}]: {word:<7} {text}")
        };
        if let Some(echo) = self.echo().as_mut().filter(|echo| echo.len() < ECHO_MAX) {
            echo.push(line.clone());
        }
        self.log.write_line(severity, FACILITY, line);
    }

    /// The clock.
    pub(super) fn hours(&self) -> &Hours {
        &self.shape.hours
    }

    /// Microseconds since 1970.
    pub(super) fn now_us(&self) -> i64 {
        (self.shape.hours.wall_us)()
    }

    fn echo(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.shape.echo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that it is written to, and the process that does, as they stand in it.
    pub(super) fn own(&self) -> Option<(&Path, u32)> {
        self.shape.file.as_deref().map(|path| (path, self.shape.pid))
    }

    /// From now on lines are there for jails as well; gives back the moment, as it stands in lines.
    pub(super) fn listen(&self) -> String {
        self.echo().get_or_insert_default();
        let now_us = self.now_us();
        format!("{},{:03}", self.time(now_us.div_euclid(1_000_000)), now_us.rem_euclid(1_000_000) / 1_000)
    }

    /// What was said since this was asked last.
    pub(super) fn heard(&self) -> Vec<String> {
        self.echo().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A second in local time: `2026-11-23 01:02:03`.
    pub(super) fn time(&self, second_s: i64) -> String {
        let mut second = self.shape.second.lock().unwrap_or_else(PoisonError::into_inner);
        local(&mut second, second_s).to_owned()
    }

    pub(super) fn found(&self, jail: &str, id: &Id, time_s: i64) {
        let time = self.time(time_s);
        self.say(Part::Filter, Level::Info, format_args!("[{jail}] Found {id} - {time}"));
    }

    pub(super) fn notice(&self, jail: &str, deed: &str, id: &Id) {
        self.say(Part::Actions, Level::Notice, format_args!("[{jail}] {deed} {id}"));
    }

    /// Opens the file anew.
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// Waits until all that was said is written.
    pub fn flush(&self) {
        self.log.flush();
    }
}

fn local((zone, last, text): &mut (Zone, i64, String), second_s: i64) -> &str {
    if *last != second_s {
        *last = second_s;
        *text =
            zone.civil(second_s).map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string());
    }
    text
}

/// `2s`, `1m 10s`, `2h`, `1d 2h`: the two greatest parts of a length of time, as fail2ban says it.
pub(super) fn span(seconds: i64) -> String {
    let units = [("y", 31_557_600), ("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (unit, length) in units {
        if rest >= length {
            parts.push(format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    parts.truncate(3);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let said = [0, 2, 70, 7_200, 90_061].map(span);
        assert_eq!(said, ["0s", "2s", "1m 10s", "2h", "1d 1h 1m"]);
    }

    #[test]
    fn lines_are_fail2bans() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = Daemon { target: Target::File(path.clone()), level: Level::Notice, ..Daemon::default() };
        let log = BanLog::start(&daemon).unwrap();
        let id = Id::address("192.0.2.1".parse().unwrap());
        log.notice("sshd", "Ban", &id);
        log.found("sshd", &id, 0);
        log.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        let line = events::fail2ban::BanLine::parse(text.trim_end()).expect(&text);
        assert!(matches!(line.event, events::fail2ban::BanEvent::Ticket(ticket) if ticket.id == "192.0.2.1"));
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
