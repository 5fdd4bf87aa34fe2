//! `komainu ban`: fail2ban's jails and filters, looked at before they are switched on, and asked while they run. T0.1,
//! T2.18, T2.20, T2.21.
//!
//! `test` is what `fail2ban-regex` is, `simulate` shows whom the jails would have banned over an old log, `check` tells
//! what is wrong with the files.
//! `status`, `list`, `why`, `add`, `remove` and `import` speak with the engine over its socket.

mod ask;
mod import;
mod judge;
mod many;
pub(crate) mod read;
mod report;
mod rules;
mod run;
mod simulate;

pub(super) use ask::{holding, moment, socket};

use super::{EX_CONFIG, EX_TEMPFAIL, EX_USAGE};
use ban::zone::Zone;
use clap::{Args, Subcommand};
use events::fail2ban::BanTime;
use events::stamp::Clock;
use std::path::PathBuf;
use std::process::ExitCode;

/// Try fail2ban's filters on a log, show whom its jails would ban, check its files; ask who is shut out, and why.
///
/// Exit code 0 well, 1 the answer is no (no line matches, the files have errors, nobody is shut out), 64 wrong usage,
/// 75 a log can't be read or no engine answers, 78 a filter or jail is not usable.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder of fail2ban's files.
    #[arg(long, short = 'c', value_name = "DIR", global = true, default_value = "/etc/fail2ban")]
    config: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Ban, in fail2ban's place: jails, actions and log as fail2ban's files have them, until SIGTERM or Ctrl-C.
    ///
    /// In the foreground; SIGHUP reads the files anew. Exit code 0 ended as asked, 75 something of the system's failed,
    /// 78 there are no such files.
    Run(run::Run),
    /// Which lines of a log a filter matches, and whom it finds in them.
    Test(report::Test),
    /// Whom jails would have banned, when and for how long, had they read this log.
    Simulate(simulate::Simulate),
    /// What is wrong with the jails, filters and actions of the folder.
    Check,
    /// The jails as `fail2ban-client -d` shows them.
    Show,
    /// The jails and how they are, or one of them.
    Status(ask::Status),
    /// Who is shut out, by all jails or one.
    List(ask::Status),
    /// What led to an address being shut out: the lines, the expressions, since when, how often before.
    ///
    /// Exit code 0 when it is shut out, 1 when it isn't.
    Why(ask::Why),
    /// Shut somebody out by hand.
    Add(ask::Add),
    /// Let somebody in again.
    Remove(ask::Remove),
    /// Take over what fail2ban kept: bans with time left, and how often somebody was banned. Stop fail2ban first.
    Import(import::Import),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Run(run) => run::run(&arguments.config, run),
        Command::Test(test) => report::run(&arguments.config, test),
        Command::Simulate(simulate) => simulate::run(&arguments.config, simulate),
        Command::Check => judge::run(&arguments.config),
        Command::Show => judge::show(&arguments.config),
        Command::Status(status) => ask::status(&arguments.config, status),
        Command::List(list) => ask::list(&arguments.config, list),
        Command::Why(why) => ask::why(&arguments.config, why),
        Command::Add(add) => ask::add(&arguments.config, add),
        Command::Remove(remove) => ask::remove(&arguments.config, remove),
        Command::Import(import) => import::run(&arguments.config, import),
    }
}

/// `fail2ban-regex [-c DIR] [-d DATEPATTERN] [--timezone ZONE] [-L N] LOG REGEX [IGNOREREGEX]`.
pub(super) fn fail2ban_regex(arguments: Vec<std::ffi::OsString>) -> ExitCode {
    report::fail2ban_regex(arguments)
}

fn failed(code: u8, problem: impl std::fmt::Display) -> ExitCode {
    eprintln!("komainu ban: {problem}");
    ExitCode::from(code)
}

/// A moment as fail2ban's log has it; `None` beyond the years that a calendar has.
pub(in crate::cli) fn ban_time(zone: &Zone, at_us: i64) -> Option<BanTime> {
    let civil = zone.civil(at_us.div_euclid(1_000_000))?;
    let number = |n: i8| u8::try_from(n).unwrap_or(0);
    let clock = Clock {
        month: number(civil.month()),
        day: number(civil.day()),
        hour: number(civil.hour()),
        minute: number(civil.minute()),
        second: number(civil.second()),
    };
    let millis = u16::try_from(at_us.rem_euclid(1_000_000) / 1_000).unwrap_or(0);
    Some(BanTime { year: u16::try_from(civil.year()).unwrap_or(0), clock, millis })
}
