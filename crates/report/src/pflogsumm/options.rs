//! What may be asked of the report.

use crate::Day;

/// How many lines of a list are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// All.
    #[default]
    All,
    /// So many; with 0 the list isn't shown at all.
    Top(u64),
}

/// How addresses made for one delivery are folded into one (`--verp-mung`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verp {
    /// `list-return-12-user=some.dom@host` is `list-return-ID-user=some.dom@host`.
    Numbers,
    /// It is `list-return-ID@host`.
    Recipients,
}

/// The options, by pflogsumm's names.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the old program")]
pub struct Options {
    /// The day on which the report is made: stamps without a year are of the year up to its month.
    pub today: Day,
    /// `-d`: only this day.
    pub day: Option<Day>,
    /// `--bounce-detail`.
    pub bounces: Limit,
    /// `--deferral-detail`.
    pub deferrals: Limit,
    /// `--reject-detail`, also for warnings, holds and discards.
    pub rejects: Limit,
    /// `--smtp-detail`.
    pub smtp: Limit,
    /// `--smtpd-warning-detail`.
    pub warnings: Limit,
    /// `-h`.
    pub hosts: Limit,
    /// `-u`.
    pub users: Limit,
    /// `-e`.
    pub extended: bool,
    /// `-i`.
    pub ignore_case: bool,
    /// `--iso-date-time`.
    pub iso: bool,
    /// `-m`.
    pub uucp: bool,
    /// `--no-no-msg-size`.
    pub without_no_size: bool,
    /// `--problems-first`.
    pub problems_first: bool,
    /// `--rej-add-from`.
    pub add_from: bool,
    /// `-q`.
    pub quiet: bool,
    /// `--smtpd-stats`.
    pub smtpd_stats: bool,
    /// `--syslog-name`, looked for beside `postfix`.
    pub syslog_name: Vec<u8>,
    /// `--verbose-msg-detail`.
    pub verbose: bool,
    /// `--verp-mung`.
    pub verp: Option<Verp>,
    /// `--zero-fill`.
    pub zero_fill: bool,
}

impl Options {
    /// Everything, and all of it.
    #[must_use]
    pub fn new(today: Day) -> Options {
        Options {
            today,
            day: None,
            bounces: Limit::All,
            deferrals: Limit::All,
            rejects: Limit::All,
            smtp: Limit::All,
            warnings: Limit::All,
            hosts: Limit::All,
            users: Limit::All,
            extended: false,
            ignore_case: false,
            iso: false,
            uucp: false,
            without_no_size: false,
            problems_first: false,
            add_from: false,
            quiet: false,
            smtpd_stats: false,
            syslog_name: b"postfix".to_vec(),
            verbose: false,
            verp: None,
            zero_fill: false,
        }
    }
}
