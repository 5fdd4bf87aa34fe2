//! The server's own log lines on their way to the jails, with no log in between.
//!
//! Whoever writes the log hands its lines over here as well, as Postfix would have written them. The channel is bounded,
//! and full it drops lines and counts them: mail never waits for bans. A session that has failed may ask to be called
//! when the jails have heard of it. [`OwnLog`] says which jails they concern, and which lines of a log are the same once
//! more. T0.1.

use crate::log::Destination;
use ban::filter::Failure;
use ban::jail::{UNSAID_PASSWORD, UNSAID_USER};
use ban::jails::Jail;
use events::stamp::Stamp;
use mail::Wall;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

/// Lines that may wait for the jails.
const LINES_MAX: usize = 65_536;

/// A line of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLine {
    /// When it was said, in microseconds since 1970.
    pub time_us: i64,
    /// The line as the log has it behind the time: `mx postfix/smtpd[812]: …`.
    pub text: String,
    /// With what somebody wanted to log in, where that is what the line is about.
    pub tried: Option<Box<Tried>>,
}

/// What a log-in that failed was tried with: for jails that count accounts or passwords. No log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The account.
    pub account: Option<String>,
    /// A keyed hash of the password: the same for the same one, and nothing else can be told from it.
    pub password: Option<u64>,
}

impl Tried {
    /// Adds to a failure what no line says of it.
    pub(super) fn add_to(&self, failure: &mut Failure) {
        if let Some(account) = &self.account {
            failure.fields.named.insert(UNSAID_USER.into(), account);
        }
        if let Some(mark) = self.password {
            failure.fields.named.insert(UNSAID_PASSWORD.into(), &format!("{mark:016x}"));
        }
    }
}

impl OwnLine {
    /// With its time in front, in UTC.
    #[must_use]
    pub fn dated(&self) -> String {
        format!("{} {}", Stamp::rfc3339(Wall(self.time_us), 0), self.text)
    }
}

/// Called in its turn among the lines: what jails make of those before is in force at the server's own listeners by
/// then. Dropped uncalled where nobody listens.
pub type Call = Box<dyn FnOnce() + Send>;

/// What jails are told.
pub enum Told {
    /// A line.
    Line(OwnLine),
    /// Somebody wants to know when it is his turn.
    Call(Call),
}

impl Told {
    /// The line that it is.
    #[must_use]
    pub fn line(self) -> Option<OwnLine> {
        match self {
            Told::Line(line) => Some(line),
            Told::Call(_) => None,
        }
    }
}

impl From<OwnLine> for Told {
    fn from(line: OwnLine) -> Told {
        Told::Line(line)
    }
}

/// Rouses whoever takes the lines.
pub type Rouse = Box<dyn Fn() + Send + Sync>;

/// The end that lines are put into.
pub struct Own {
    lines: SyncSender<Told>,
    rouse: Rouse,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

impl Own {
    /// Both ends.
    #[must_use]
    pub fn channel(rouse: Rouse) -> (Own, Receiver<Told>) {
        let (lines, taken) = mpsc::sync_channel(LINES_MAX);
        (Own { lines, rouse, dropped: AtomicU64::new(0) }, taken)
    }

    /// Hands lines over; those that there is no room for are dropped.
    pub fn say(&self, all: impl IntoIterator<Item = Told>) {
        let mut some = false;
        for told in all {
            some = true;
            let is_line = matches!(told, Told::Line(_));
            if self.lines.try_send(told).is_err() && is_line {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        if some {
            (self.rouse)();
        }
    }

    /// How many were dropped since this was asked last.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// Where the same lines are written. Others may write there as well: which are ours is told by our process's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLog {
    /// The file; syslog's, the journal and standard output without.
    file: Option<PathBuf>,
    /// `[812]: `
    tag: String,
}

/// The files that syslog daemons write mail's lines to.
const MAIL_LOGS: [&str; 8] =
    ["mail.log", "mail.warn", "mail.err", "mail.info", "maillog", "mail", "syslog", "messages"];

impl OwnLog {
    /// What `destination` is to whoever reads logs, where process `pid` writes to it.
    #[must_use]
    pub fn of(destination: &Destination, pid: u32) -> OwnLog {
        let file = match destination {
            Destination::File(path) => Some(path.clone()),
            _ => None,
        };
        OwnLog { file, tag: format!("[{pid}]: ") }
    }

    /// The file, where there is one of our own choice.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether a jail is to have our lines.
    #[must_use]
    pub fn feeds_jail(&self, jail: &Jail) -> bool {
        let of_journal = jail.filter.get("journalmatch").filter(|_| jail.reads_journal());
        self.feeds(ban::dump::log_paths(jail).map(|(path, _)| path), of_journal.map(String::as_str))
    }

    /// Whether a jail that reads files which fit `patterns`, or mail's lines of the journal, is to have our lines.
    #[must_use]
    pub fn feeds<'p>(
        &self,
        patterns: impl IntoIterator<Item = &'p str>,
        journal_match: Option<&str>,
    ) -> bool {
        let is_mail =
            |text: &str| ["postfix", "dovecot", "komainu", "mail"].iter().any(|name| text.contains(name));
        if let Some(path) = &self.file {
            return patterns.into_iter().any(|pattern| names(pattern, path));
        }
        let logs = |pattern: &str| {
            let name = Path::new(pattern).file_name().and_then(|name| name.to_str()).unwrap_or("");
            MAIL_LOGS.iter().any(|log| ban::jails::fits(name, log))
        };
        patterns.into_iter().any(logs) || journal_match.is_some_and(is_mail)
    }

    /// Whether a line that was read in a log is ours: `… program[pid]: …` with our process, where the program stands.
    #[must_use]
    pub fn is_ours(&self, line: &[u8]) -> bool {
        is_tagged(line, &self.tag)
    }
}

/// Whether a line was said by process `pid`.
pub(super) fn is_of(line: &[u8], pid: u32) -> bool {
    is_tagged(line, &format!("[{pid}]: "))
}

fn is_tagged(line: &[u8], tag: &str) -> bool {
    let Some(at) = memchr::memmem::find(line, tag.as_bytes()) else { return false };
    // Whoever else speaks has its own `[pid]: ` or `: ` before.
    let before = line.get(..at).unwrap_or_default();
    !before.windows(2).any(|two| two == b": ") && !before.contains(&b'[')
}

/// Whether a `logpath` names a file.
pub(super) fn names(pattern: &str, path: &Path) -> bool {
    let Some(path) = path.to_str() else { return false };
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(pattern, part)| ban::jails::fits(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_full_channel_drops_and_counts() {
        let roused = Arc::new(AtomicUsize::new(0));
        let rings = Arc::clone(&roused);
        let (own, taken) = Own::channel(Box::new(move || {
            rings.fetch_add(1, Ordering::Relaxed);
        }));
        let line = |n: usize| OwnLine { time_us: 0, text: n.to_string(), tried: None };
        own.say((0..LINES_MAX + 3).map(|n| line(n).into()));
        own.say([]);
        assert_eq!((own.take_dropped(), own.take_dropped(), roused.load(Ordering::Relaxed)), (3, 0, 1));
        assert_eq!(taken.try_iter().count(), LINES_MAX);
        own.say([line(7).into()]);
        assert_eq!(taken.try_recv().ok().and_then(Told::line), Some(line(7)));
        drop(taken);
        own.say([line(8).into()]);
        assert_eq!(own.take_dropped(), 1);
    }

    /// Whoever waits to be called learns that nobody will.
    #[test]
    fn a_call_that_nobody_hears_is_dropped() {
        let (own, taken) = Own::channel(Box::new(|| ()));
        let call = || {
            let (called, waiting) = mpsc::channel();
            (Told::Call(Box::new(move || called.send(()).unwrap_or_default())), waiting)
        };
        let (first, waiting) = call();
        own.say([first]);
        assert_eq!(waiting.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(taken);
        assert_eq!(waiting.recv(), Err(mpsc::RecvError));
        let (second, waiting) = call();
        own.say([second]);
        assert_eq!((waiting.recv(), own.take_dropped()), (Err(mpsc::RecvError), 0));
    }

    #[test]
    fn with_its_time() {
        let text = "mx postfix/smtpd[1]: x".into();
        let line = OwnLine { time_us: 1_700_000_000_123_456, text, tried: None };
        assert_eq!(line.dated(), "2023-11-14T22:13:20.123456+00:00 mx postfix/smtpd[1]: x");
    }

    fn check_feeds(log: &OwnLog, patterns: &[&str], journal: Option<&str>, expect: bool) {
        assert_eq!(log.feeds(patterns.iter().copied(), journal), expect, "{log:?} {patterns:?} {journal:?}");
    }

    #[test]
    fn whose_lines_go_to_whom() {
        let file = OwnLog::of(&Destination::File("/var/log/komainu/mail.log".into()), 812);
        check_feeds(&file, &["/var/log/mail.log"], None, false);
        check_feeds(&file, &["/var/log/mail.log", "/var/log/komainu/mail.log"], None, true);
        check_feeds(&file, &["/var/log/*/mail.l*"], None, true);
        check_feeds(&file, &["/var/log/*"], None, false);
        check_feeds(&file, &[], Some("_SYSTEMD_UNIT=postfix.service"), false);
        let shared = OwnLog::of(&Destination::Syslog, 812);
        check_feeds(&shared, &["/var/log/mail.log"], None, true);
        check_feeds(&shared, &["/var/log/mail.*"], None, true);
        check_feeds(&shared, &["/var/log/maillog"], None, true);
        check_feeds(&shared, &["/var/log/auth.log"], None, false);
        check_feeds(&shared, &["/var/log/secure"], None, false);
        check_feeds(&shared, &[], Some("_SYSTEMD_UNIT=postfix@-.service"), true);
        check_feeds(&shared, &[], Some("_SYSTEMD_UNIT=sshd.service + _COMM=sshd"), false);
        check_feeds(&shared, &[], None, false);
    }

    fn check_ours(line: &str, expect: bool) {
        for destination in [Destination::Journald, Destination::File("/x".into())] {
            assert_eq!(OwnLog::of(&destination, 812).is_ours(line.as_bytes()), expect, "{line}");
        }
    }

    #[test]
    fn what_is_ours_in_a_log_of_others() {
        check_ours("Nov 23 01:02:03 mx postfix/smtpd[812]: connect from unknown[192.0.2.1]", true);
        check_ours("2026-11-23T01:02:03.000+09:00 mx postfix/submission/smtpd[812]: x", true);
        check_ours("mx komainu/ban[812]: x", true);
        check_ours("Nov 23 01:02:03 mx postfix/smtpd[8123]: x", false);
        check_ours("Nov 23 01:02:03 mx dovecot: imap-login: x[812]: y", false);
        check_ours("Nov 23 01:02:03 mx sshd[4]: Invalid user a[812]: b from 192.0.2.1", false);
        check_ours("", false);
    }
}
