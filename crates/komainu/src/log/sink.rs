//! The writing end of the log: one destination, opened and kept open.
//!
//! A destination that fails must not stop mail: the line is lost, and the next one tries again.

use super::Destination;
use crate::privileged::{Answer, Helper, Request};
use events::Severity;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a file's name is compared with the open file.
const ROTATION_CHECK: Duration = Duration::from_secs(1);

pub(super) enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File(LogFile),
    Socket { path: &'static str, socket: Option<UnixDatagram>, journal: bool },
}

pub(super) struct LogFile {
    path: PathBuf,
    file: BufWriter<File>,
    identity: (u64, u64),
    checked: Instant,
    helper: Option<Helper>,
}

impl Sink {
    pub(super) fn open(destination: &Destination, helper: Option<Helper>) -> io::Result<Sink> {
        Ok(match destination {
            Destination::Stdout => Sink::Stdout(BufWriter::with_capacity(64 * 1024, io::stdout())),
            Destination::File(path) => Sink::File(LogFile::open(path, helper)?),
            Destination::Syslog => {
                Sink::Socket { path: "/dev/log", socket: connect("/dev/log"), journal: false }
            }
            Destination::Journald => {
                let path = "/run/systemd/journal/socket";
                Sink::Socket { path, socket: connect(path), journal: true }
            }
        })
    }

    pub(super) fn write(&mut self, priority: (Severity, u8), text: &str) {
        let lost = match self {
            Sink::Stdout(out) => writeln!(out, "{text}"),
            Sink::File(file) => file.write(text),
            Sink::Socket { path, socket, journal } => {
                let packet =
                    if *journal { journal_packet(priority, text) } else { syslog_packet(priority, text) };
                send(path, socket, &packet)
            }
        };
        // There is nowhere left to say it.
        drop(lost);
    }

    pub(super) fn reopen(&mut self) {
        match self {
            Sink::Stdout(_) => {}
            Sink::File(file) => file.reopen(),
            Sink::Socket { path, socket, .. } => *socket = connect(path),
        }
    }

    pub(super) fn flush(&mut self) {
        let lost = match self {
            Sink::Stdout(out) => out.flush(),
            Sink::File(file) => file.file.flush(),
            Sink::Socket { .. } => Ok(()),
        };
        drop(lost);
    }
}

impl LogFile {
    fn open(path: &Path, helper: Option<Helper>) -> io::Result<LogFile> {
        let file = match opened(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                ask(helper.as_ref()).ok_or(error)?
            }
            other => other?,
        };
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        let file = BufWriter::with_capacity(64 * 1024, file);
        Ok(LogFile { path: path.to_owned(), file, identity, checked: Instant::now(), helper })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.checked.elapsed() >= ROTATION_CHECK {
            self.checked = Instant::now();
            let now = std::fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
            if now.ok() != Some(self.identity) {
                self.reopen();
            }
        }
        writeln!(self.file, "{text}")
    }

    /// Keeps the old file where the new one can't be opened: a line in the wrong file beats a lost one.
    fn reopen(&mut self) {
        let flushed = self.file.flush();
        drop(flushed);
        if let Ok(file) = LogFile::open(&self.path, self.helper.clone()) {
            *self = file;
        }
    }
}

/// A file that is made here its group may read, whatever the umask is.
fn opened(path: &Path) -> io::Result<File> {
    match OpenOptions::new().append(true).create_new(true).open(path) {
        Ok(file) => {
            file.set_permissions(PermissionsExt::from_mode(0o640))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(path)
        }
        Err(error) => Err(error),
    }
}

/// The log file, opened by the helper: /var/log is root's.
fn ask(helper: Option<&Helper>) -> Option<File> {
    match helper?.ask(&Request::Log, None) {
        (Answer::Done, Some(descriptor)) => Some(descriptor.into()),
        _ => None,
    }
}

fn connect(path: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(path).ok()?;
    Some(socket)
}

fn send(path: &str, socket: &mut Option<UnixDatagram>, packet: &[u8]) -> io::Result<()> {
    if let Some(open) = socket.as_ref()
        && open.send(packet).is_ok()
    {
        return Ok(());
    }
    *socket = connect(path);
    match socket {
        Some(open) => open.send(packet).map(drop),
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

const fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Info => 6,
    }
}

/// RFC 3164 §4.1.1: the priority; the daemon adds time and host.
fn syslog_packet((severity, facility): (Severity, u8), text: &str) -> Vec<u8> {
    format!("<{}>{text}", u16::from(facility) * 8 + u16::from(level(severity))).into_bytes()
}

/// The journal's native protocol: one `NAME=value` a line.
fn journal_packet((severity, facility): (Severity, u8), text: &str) -> Vec<u8> {
    let (tag, message) = text.split_once(": ").unwrap_or(("komainu", text));
    let program = tag.split('[').next().unwrap_or(tag);
    format!(
        "MESSAGE={message}\nPRIORITY={}\nSYSLOG_FACILITY={facility}\nSYSLOG_IDENTIFIER={program}\n",
        level(severity)
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::FACILITY;
    use std::fs;

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        let mut sink = Sink::open(&Destination::File(path.clone()), None).unwrap();
        sink.write((Severity::Info, FACILITY), "one");
        fs::rename(&path, folder.path().join("mail.log.1")).unwrap();
        sink.reopen();
        sink.write((Severity::Info, FACILITY), "two");
        sink.flush();
        assert_eq!(fs::read_to_string(folder.path().join("mail.log.1")).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn syslog_priorities() {
        assert_eq!(
            syslog_packet((Severity::Info, FACILITY), "postfix/smtpd[1]: x"),
            b"<22>postfix/smtpd[1]: x"
        );
        assert_eq!(syslog_packet((Severity::Warning, FACILITY), "p: x"), b"<20>p: x");
    }
}
