//! Where events go: syslog, journald, standard output, or a file.
//!
//! One thread writes, a millisecond's lines at once; whoever has something to say hands a finished line over and
//! goes on. A file is
//! opened anew on SIGHUP and when it was renamed or removed (logrotate), so no line lands in the rotated
//! one for long. Lines are never dropped: a full channel makes the speaker wait.

mod sink;

use crate::bans::{Call, Own, OwnLine, Told, Tried};
use crate::clock;
use crate::privileged::Helper;
use events::{Event, Line, Stamp};
use sink::Sink;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Lines that may wait to be written.
const LINES_WAITING_MAX: usize = 16_384;

/// Most lines are shorter.
const LINE_BYTES: usize = 256;

/// Lines that are handed over at once to who else is to have them.
const LINES_HEARD_MAX: usize = 1024;

/// `Nov 23 01:02:03 `.
const SYSLOG_STAMP_BYTES: usize = 16;

/// How long the writer lets lines gather: who speaks meanwhile wakes nobody, and one write takes them all.
const GATHERING: Duration = Duration::from_millis(1);

/// Where lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The syslog socket /dev/log, facility mail.
    Syslog,
    /// The journal's own socket.
    Journald,
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As Postfix's.
    #[default]
    Postfix,
    /// One JSON object a line.
    Json,
}

impl Destination {
    /// Reads `komainu_log`; an absolute path is a file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Destination> {
        match text {
            "syslog" | "" => Some(Destination::Syslog),
            "journald" => Some(Destination::Journald),
            "stdout" => Some(Destination::Stdout),
            path if path.starts_with('/') => Some(Destination::File(PathBuf::from(path))),
            _ => None,
        }
    }
}

impl Format {
    /// Reads `komainu_log_format`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Format> {
        match text {
            "postfix" | "" => Some(Format::Postfix),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// One line, ready to be written.
struct Ready {
    severity: events::Severity,
    /// Of syslog.
    facility: u8,
    text: String,
    own: Option<OwnLine>,
}

enum Order {
    Write(Ready),
    Call(Call),
    Reopen,
    Flush(SyncSender<()>),
}

/// The log, as everybody who writes to it has it. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    orders: SyncSender<Order>,
    shape: Arc<Shape>,
}

struct Shape {
    host: String,
    pid: u32,
    format: Format,
    syslog: bool,
    /// Who else is to have the lines.
    own: OnceLock<Own>,
}

impl Log {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// When the destination can't be opened or the thread not be made.
    pub fn start(destination: &Destination, format: Format, host: &str) -> std::io::Result<Log> {
        Log::start_with(destination, format, host, None)
    }

    /// Starts the writing thread. A file that the process may not open is asked of the helper.
    ///
    /// # Errors
    /// As [`Log::start`].
    pub fn start_with(
        destination: &Destination,
        format: Format,
        host: &str,
        helper: Option<Helper>,
    ) -> std::io::Result<Log> {
        let sink = Sink::open(destination, helper)?;
        let (orders, queue) = mpsc::sync_channel(LINES_WAITING_MAX);
        let host = host.split('.').next().unwrap_or(host).to_owned();
        let syslog = matches!(destination, Destination::Syslog | Destination::Journald);
        let own = OnceLock::new();
        let shape = Arc::new(Shape { host, pid: std::process::id(), format, syslog, own });
        let shared = Arc::clone(&shape);
        let write = move || write_all(sink, &queue, &shared.own);
        std::thread::Builder::new().name("log".into()).spawn(write)?;
        Ok(Log { orders, shape })
    }

    /// Writes `event` as said by `program`: `postfix/smtpd`.
    pub fn write<'a>(&self, program: &str, event: impl Into<Event<'a>>) {
        self.put(program, event.into(), None);
    }

    /// As [`Log::write`], for a log-in that failed. What it was tried with is for whoever listens, and isn't written.
    pub(crate) fn write_tried<'a>(&self, program: &str, event: impl Into<Event<'a>>, tried: Option<Tried>) {
        self.put(program, event.into(), tried.map(Box::new));
    }

    /// Whether anybody else has the lines.
    pub(crate) fn is_listened_to(&self) -> bool {
        self.shape.own.get().is_some()
    }

    fn put(&self, program: &str, event: Event<'_>, tried: Option<Box<Tried>>) {
        let severity = event.severity();
        let wall = clock::now().wall;
        let listens = self.is_listened_to();
        let before = (listens && !self.shape.has_its_line()).then(|| self.shape.own_text(program, &event));
        let text = self.shape.render(program, event, wall);
        let own = listens.then(|| OwnLine {
            time_us: wall.0,
            text: before.unwrap_or_else(|| text.get(SYSLOG_STAMP_BYTES..).unwrap_or_default().to_owned()),
            tried,
        });
        // The thread ends with the process only.
        let ready = Ready { severity, facility: events::FACILITY, text, own };
        let _ = self.orders.send(Order::Write(ready));
    }

    /// Writes a finished line, as of this facility of syslog.
    pub(crate) fn write_line(&self, severity: events::Severity, facility: u8, text: String) {
        let _ = self.orders.send(Order::Write(Ready { severity, facility, text, own: None }));
    }

    /// Has all lines go to `own` as well, from now on; once only.
    pub fn listen(&self, own: Own) {
        let _ = self.shape.own.set(own);
    }

    /// Has whoever listens make a call once he has heard all lines so far. It is dropped where nobody listens.
    pub(crate) fn call_in_turn(&self, call: Call) {
        if self.is_listened_to() {
            let _ = self.orders.send(Order::Call(call));
        }
    }

    /// Opens the file anew.
    pub fn reopen(&self) {
        let _ = self.orders.send(Order::Reopen);
    }

    /// Waits until everything said so far is written.
    pub fn flush(&self) {
        let (done, waiting) = mpsc::sync_channel(1);
        if self.orders.send(Order::Flush(done)).is_ok() {
            let _ = waiting.recv();
        }
    }
}

impl Shape {
    /// Whether a line as it is written is Postfix's, with time and host.
    fn has_its_line(&self) -> bool {
        matches!(self.format, Format::Postfix) && !self.syslog
    }

    /// The line behind the time, as Postfix's is in a file.
    fn own_text(&self, program: &str, event: &Event<'_>) -> String {
        format!("{} {program}[{}]: {event}", self.host, self.pid)
    }

    fn render(&self, program: &str, event: Event<'_>, wall: mail::Wall) -> String {
        let minutes = i16::try_from(clock::utc_offset_s(wall) / 60).unwrap_or(0);
        let pid = Some(self.pid);
        match self.format {
            Format::Json => {
                let time = Stamp::rfc3339(wall, minutes);
                Line { time, host: (&*self.host).into(), program: program.into(), pid, event }.json()
            }
            Format::Postfix if self.syslog => format!("{program}[{}]: {event}", self.pid),
            Format::Postfix => {
                let time = Stamp::syslog(wall, minutes);
                let line = Line { time, host: (&*self.host).into(), program: program.into(), pid, event };
                // Room for all of it at once: growing step by step costs more than the text.
                let mut text = String::with_capacity(LINE_BYTES);
                // Writing to a string can't fail.
                let _ = write!(text, "{line}");
                text
            }
        }
    }
}

fn write_all(mut sink: Sink, queue: &mpsc::Receiver<Order>, listener: &OnceLock<Own>) {
    let mut heard = Vec::new();
    while let Ok(first) = queue.recv() {
        if matches!(first, Order::Write(_)) {
            std::thread::sleep(GATHERING);
        }
        let mut next = Some(first);
        // Whatever waits is written before the buffer is flushed once.
        while let Some(order) = next {
            match order {
                Order::Write(line) => {
                    sink.write((line.severity, line.facility), &line.text);
                    heard.extend(line.own.map(Told::Line));
                    if heard.len() >= LINES_HEARD_MAX {
                        hand_over(&mut heard, listener);
                    }
                }
                Order::Call(call) => heard.push(Told::Call(call)),
                Order::Reopen => sink.reopen(),
                Order::Flush(done) => {
                    sink.flush();
                    let _ = done.send(());
                }
            }
            next = queue.try_recv().ok();
        }
        hand_over(&mut heard, listener);
        sink.flush();
    }
}

fn hand_over(heard: &mut Vec<Told>, listener: &OnceLock<Own>) {
    match listener.get() {
        Some(own) if !heard.is_empty() => own.say(heard.drain(..)),
        _ => heard.clear(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::smtpd::{Connect, Peer};

    /// Whoever listens gets the line of Postfix's form, however it is written.
    fn check(format: Format, written: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::start(&Destination::File(path.clone()), format, "mx.example.com").unwrap();
        let event = || Connect { client: Peer::new("unknown", "192.0.2.1") };
        log.write("postfix/smtpd", event());
        let (own, heard) = Own::channel(Box::new(|| ()));
        log.listen(own);
        let before = clock::now().wall;
        log.write("postfix/smtpd", event());
        log.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains(written)).count(), 2, "{text}");
        let line = heard.recv().unwrap().line().unwrap();
        let pid = std::process::id();
        assert_eq!(line.text, format!("mx postfix/smtpd[{pid}]: connect from unknown[192.0.2.1]"));
        assert!(line.time_us >= before.0 && line.time_us <= clock::now().wall.0);
        assert!(heard.try_recv().is_err(), "what was said before isn't heard");
        let tried = Tried { account: Some("joe-of-old".into()), password: Some(0x5eac_4e70_5eac_4e70) };
        log.write_tried("postfix/smtpd", event(), Some(tried.clone()));
        log.flush();
        assert_eq!(heard.recv().unwrap().line().unwrap().tried.as_deref(), Some(&tried));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("joe-of-old") && !text.contains("5eac"), "{text}");
    }

    #[test]
    fn whoever_listens_hears_postfix() {
        check(Format::Postfix, ": connect from unknown[192.0.2.1]");
        check(Format::Json, "\"event\":\"connect\"");
    }
}
