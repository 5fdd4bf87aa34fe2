//! The systemd journal as a source: `journalctl` follows it, and each entry becomes a line as syslog would write it.
//!
//! `journalmatch` is handed on word by word, alternatives joined with `+`, as fail2ban's systemd backend takes them. The
//! program's own fields are read only: text that a client chose can't become another field.
//!
//! What is there is read first, then what comes: `journalctl --follow` knows the current boot alone, whatever it is told.
//! Each time it begins with the last entry that was taken, which isn't taken twice: `--after-cursor` passes over an entry
//! too many where that one fits the matches no more.

use rustix::fd::{AsFd as _, BorrowedFd};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest entry that is read.
const ENTRY_BYTES_MAX: usize = 1 << 20;
/// A `journalctl` that follows, and ended, is started anew, not before.
const PAUSE: Duration = Duration::from_secs(5);

/// The journal, for one jail.
pub(super) struct Journal {
    pub(super) jail: String,
    matches: Vec<String>,
    since_s: i64,
    child: Option<(Child, ChildStdout)>,
    started: Instant,
    /// What was there has been read.
    follows: bool,
    held: Vec<u8>,
    is_skipping: bool,
    cursor: Option<String>,
    written: std::cell::RefCell<Option<String>>,
    pub(super) is_caught_up: bool,
}

impl Journal {
    /// Begins to follow the journal.
    pub(super) fn start(
        jail: &str,
        matches: &str,
        cursor: Option<String>,
        since_s: i64,
    ) -> io::Result<Journal> {
        let mut words = Vec::new();
        for line in ban::jails::lines(matches) {
            if !words.is_empty() {
                words.push("+".to_owned());
            }
            words.extend(line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()));
        }
        // An option in a match's place would be journalctl's.
        words.retain(|word| !word.starts_with('-'));
        let mut journal = Journal {
            jail: jail.to_owned(),
            matches: words,
            since_s,
            child: None,
            started: Instant::now(),
            follows: false,
            held: Vec::new(),
            is_skipping: false,
            written: std::cell::RefCell::new(cursor.clone()),
            cursor,
            is_caught_up: false,
        };
        journal.spawn()?;
        Ok(journal)
    }

    fn spawn(&mut self) -> io::Result<()> {
        let mut command = Command::new("journalctl");
        command.args(["--output=json", "--all", "--quiet", "--no-pager"]);
        if self.follows {
            command.args(["--follow", "--no-tail"]);
        }
        match &self.cursor {
            Some(cursor) => command.arg(format!("--cursor={cursor}")),
            None => command.arg(format!("--since=@{}", self.since_s)),
        };
        command
            .args(&self.matches)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        self.started = Instant::now();
        self.held.clear();
        self.is_skipping = false;
        let mut child = command.spawn()?;
        let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        self.child = Some((child, pipe));
        Ok(())
    }

    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(|(_, pipe)| pipe.as_fd())
    }

    /// The last entry that was taken, where that is news.
    pub(super) fn changed(&self) -> Option<String> {
        let mut written = self.written.borrow_mut();
        if *written == self.cursor {
            return None;
        }
        written.clone_from(&self.cursor);
        self.cursor.clone()
    }

    /// Reads a piece; whether there was something.
    pub(super) fn read(&mut self, piece: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> bool {
        let Some((child, pipe)) = &mut self.child else {
            if self.started.elapsed() >= PAUSE {
                // Tried again after the next pause.
                let _ = self.spawn();
            }
            return false;
        };
        let count = match pipe.read(piece) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_caught_up = self.follows;
                return false;
            }
            Err(_) => 0,
        };
        if count == 0 {
            // It has ended: said by nobody, and by nothing that follows.
            let _ = child.kill();
            let ended = child.wait();
            self.child = None;
            if !self.follows && ended.is_ok_and(|status| status.success()) {
                self.follows = true;
                // Tried again after the pause, where it can't be.
                let _ = self.spawn();
            }
            return false;
        }
        self.feed(piece.get(..count).unwrap_or_default(), sink);
        true
    }

    fn feed(&mut self, piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = part.ends_with(b"\n");
            if !self.is_skipping {
                self.held.extend_from_slice(part);
            }
            if self.held.len() > ENTRY_BYTES_MAX {
                self.held.clear();
                self.is_skipping = true;
            }
            if is_whole {
                if !self.is_skipping {
                    self.entry(sink);
                }
                self.held.clear();
                self.is_skipping = false;
            }
        }
    }

    fn entry(&mut self, sink: &mut dyn FnMut(&[u8])) {
        let Ok(entry) = serde_json::from_slice::<Value>(&self.held) else { return };
        let cursor = entry.get("__CURSOR").and_then(Value::as_str);
        if cursor.is_some() && cursor == self.cursor.as_deref() {
            return;
        }
        if let Some(line) = line_of(&entry) {
            sink(line.as_bytes());
        }
        self.cursor = cursor.map(str::to_owned).or(self.cursor.take());
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A text field; bytes that are no text come as numbers.
fn field<'e>(entry: &'e Value, name: &str) -> Option<std::borrow::Cow<'e, str>> {
    match entry.get(name)? {
        Value::String(text) => Some(text.into()),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned().into())
        }
        _ => None,
    }
}

/// `2026-11-23T01:02:03.123456+00:00 host sshd[812]: message`, line breaks as spaces.
fn line_of(entry: &Value) -> Option<String> {
    let stamp =
        field(entry, "_SOURCE_REALTIME_TIMESTAMP").or_else(|| field(entry, "__REALTIME_TIMESTAMP"))?;
    let micros: i64 = stamp.parse().ok()?;
    let mut line =
        jiff::Timestamp::from_microsecond(micros).ok()?.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string();
    if let Some(host) = field(entry, "_HOSTNAME") {
        let _ = write!(line, " {host}");
    }
    let program = field(entry, "SYSLOG_IDENTIFIER").or_else(|| field(entry, "_COMM"));
    let pid = field(entry, "SYSLOG_PID").or_else(|| field(entry, "_PID"));
    if let Some(program) = program {
        let _ = write!(line, " {program}");
        if let Some(pid) = pid {
            let _ = write!(line, "[{pid}]");
        }
        line.push(':');
    }
    let message = field(entry, "MESSAGE").unwrap_or_default();
    let _ = write!(line, " {}", message.replace(['\n', '\r'], " "));
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_lines() {
        let entry = serde_json::json!({
            "__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1795435848000001", "_HOSTNAME": "mx",
            "SYSLOG_IDENTIFIER": "sshd", "_PID": "812", "MESSAGE": "Failed password\n from 192.0.2.1",
        });
        let expect = "2026-11-23T12:10:48.000001+00:00 mx sshd[812]: Failed password  from 192.0.2.1";
        assert_eq!(line_of(&entry).unwrap(), expect);
        let bytes = serde_json::json!({"__REALTIME_TIMESTAMP": "0", "MESSAGE": [104, 105, 255]});
        assert_eq!(line_of(&bytes).unwrap(), "1970-01-01T00:00:00.000000+00:00 hi\u{fffd}");
        assert_eq!(line_of(&serde_json::json!({"MESSAGE": "x"})), None);
    }
}
