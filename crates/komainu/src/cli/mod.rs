//! The command line: `komainu SUBCOMMAND`, or an old name that a link gives the program.
//!
//! Exit codes: 0 well, 1 the answer is no (a key that isn't there, a configuration with errors), 64 wrong
//! usage, 75 try again later, 78 the configuration is not usable (sysexits.h). Old names keep theirs.

#[macro_use]
mod say;

pub(crate) mod bans;
mod check;
mod conf;
mod dkim;
mod explain;
mod format;
mod greylist;
mod legacy;
mod links;
pub(crate) mod logs;
mod policyd;
mod queue;
mod render;
mod report;
mod report_sheet;
mod serve;
mod servers;
mod table;
mod user;

use crate::{firewall, privileged};
use clap::{Parser, Subcommand, ValueEnum};
use config::Compat;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The usage was wrong.
pub(crate) const EX_USAGE: u8 = 64;
/// Something of the system's failed; a later try may do better.
pub(crate) const EX_TEMPFAIL: u8 = 75;
/// The configuration is not usable.
pub(crate) const EX_CONFIG: u8 = 78;

/// A mail server's whole guard as one program: Postfix's restriction lists, read from its own files.
///
/// Called under an old name (see `komainu links`), it behaves as that program: postconf, postmap,
/// postalias, newaliases, mailq, postqueue, postsuper, postcat, postfix, sendmail, pflogsumm,
/// fail2ban-client, fail2ban-regex.
#[derive(Parser)]
#[command(name = "komainu", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // Each subcommand's arguments say what it does: a word here would take their long help away.
    Serve(serve::Arguments),
    Check(check::Arguments),
    Explain(Box<explain::Arguments>),
    Table(table::Arguments),
    /// Show and edit the parameters of main.cf and the services of master.cf.
    Conf(conf::Arguments),
    Queue(Box<queue::Arguments>),
    User(user::Arguments),
    Policyd(policyd::Arguments),
    Greylist(greylist::Arguments),
    Ban(bans::Arguments),
    Dkim(dkim::Arguments),
    Report(report::Arguments),
    /// Make links by which the program is called under its old names (postconf, postmap, mailq, postqueue, postfix …).
    Links(links::Arguments),
}

/// Whose defaults and behaviour are in force.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum CompatArgument {
    /// Postfix 3.7, as in Debian 12.
    #[value(name = "3.7")]
    V3_7,
    /// Postfix 3.11.
    #[default]
    #[value(name = "3.11")]
    V3_11,
}

impl From<CompatArgument> for Compat {
    fn from(argument: CompatArgument) -> Compat {
        match argument {
            CompatArgument::V3_7 => Compat::V3_7,
            CompatArgument::V3_11 => Compat::V3_11,
        }
    }
}

/// Runs the program by the name and arguments that it was called with.
#[must_use]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let name = arguments.first().map(PathBuf::from);
    let name = name.as_deref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    let name = name.unwrap_or("komainu").to_owned();
    let code = called(&name, arguments);
    let failure = match name.as_str() {
        "postmap" | "postalias" | "newaliases" | "postconf" | "mailq" | "postqueue" | "postsuper"
        | "postcat" | "postfix" | "pflogsumm" => 1,
        "fail2ban-client" => 255,
        _ => EX_TEMPFAIL,
    };
    say::ended(&name, code, failure)
}

/// Runs it by its name.
fn called(name: &str, arguments: Vec<OsString>) -> ExitCode {
    match name {
        "postmap" => return legacy::postmap::main(legacy::postmap::Program::Postmap, arguments),
        "postalias" => return legacy::postalias::main(arguments),
        "newaliases" => return legacy::postalias::newaliases(arguments),
        "postconf" => return legacy::postconf::main(arguments),
        "mailq" => return legacy::postqueue::mailq(arguments),
        "postqueue" => return legacy::postqueue::main(arguments),
        "postsuper" => return legacy::postsuper::main(arguments),
        "pflogsumm" => return legacy::pflogsumm::main(arguments),
        "postcat" => return legacy::postcat::main(arguments),
        "sendmail" => return legacy::sendmail::main(arguments),
        "fail2ban-client" => return legacy::fail2ban_client::main(arguments),
        "fail2ban-regex" => return bans::fail2ban_regex(arguments),
        "postfix" => return legacy::postfix::main(arguments),
        _ => {}
    }
    if arguments.get(1).is_some_and(|word| word == privileged::SUBCOMMAND) {
        return helper(&arguments);
    }
    if arguments.get(1).is_some_and(|word| word == privileged::ASK_PAM) {
        return privileged::answer_for_pam();
    }
    if arguments.get(1).is_some_and(|word| word == firewall::SUBCOMMAND) {
        return firewall_helper(&arguments);
    }
    match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => match parsed.command {
            Command::Serve(arguments) => serve::run(arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Explain(arguments) => explain::run(&arguments),
            Command::Table(arguments) => table::run(arguments),
            Command::Conf(arguments) => conf::run(arguments),
            Command::Queue(arguments) => queue::run(*arguments),
            Command::User(arguments) => user::run(&arguments),
            Command::Policyd(arguments) => policyd::run(arguments),
            Command::Greylist(arguments) => greylist::run(&arguments),
            Command::Ban(arguments) => bans::run(&arguments),
            Command::Dkim(arguments) => dkim::run(&arguments),
            Command::Report(arguments) => report::run(&arguments),
            Command::Links(arguments) => links::run(&arguments),
        },
        Err(error) => usage(&error),
    }
}

/// Says what is wrong with a command line, or its help.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() {
        return ExitCode::from(EX_USAGE);
    }
    say::printed(printed);
    ExitCode::SUCCESS
}

/// `komainu __privileged-helper DIR COMPAT STATE`, started by the server itself.
fn helper(arguments: &[OsString]) -> ExitCode {
    let (Some(directory), compat) = (arguments.get(2), arguments.get(3)) else {
        return ExitCode::from(EX_USAGE);
    };
    let compat = if compat.is_some_and(|compat| compat == "3.7") { Compat::V3_7 } else { Compat::V3_11 };
    let state = arguments.get(4).map(PathBuf::from).unwrap_or_default();
    match privileged::run(&PathBuf::from(directory), compat, &state) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("komainu: {error}");
            ExitCode::from(EX_TEMPFAIL)
        }
    }
}

/// `komainu __firewall-helper DIR`, started by whoever bans.
fn firewall_helper(arguments: &[OsString]) -> ExitCode {
    let Some(directory) = arguments.get(2) else { return ExitCode::from(EX_USAGE) };
    match firewall::run(&PathBuf::from(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("komainu: helper for packet filters: {error}");
            ExitCode::from(EX_TEMPFAIL)
        }
    }
}

/// Where the configuration is when nobody says: /etc/komainu, then /etc/postfix.
pub(crate) fn default_config() -> Option<PathBuf> {
    ["/etc/komainu", "/etc/postfix"].into_iter().map(PathBuf::from).find(|path| path.join("main.cf").exists())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_has_no_two_options_of_one_name() {
        super::Arguments::command().debug_assert();
    }
}
