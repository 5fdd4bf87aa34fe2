//! `komainu user`: the users' file of `smtpd_sasl_type = internal`, changed by hand.
//!
//! Each change takes the file whole, under a lock, and puts a flushed one in its place; a server takes it up by itself.
//! Passwords come from the terminal, which doesn't show them, or as a line of standard input: on a command line
//! everybody on the machine could read them. T2.5.

use super::format::Format;
use super::{CompatArgument, EX_TEMPFAIL, EX_USAGE, default_config};
use crate::authentication::prepared;
use crate::configuration::{Configuration, DirectSources};
use clap::{Args, Subcommand, ValueEnum};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use users::edit::{self, EditError, Secret};
use users::make::{self, RANDOM_BYTES, Scheme};
use users::{Account, Users};

/// Add, change and list the users who may log in (smtpd_sasl_type = internal).
///
/// Exit code 0 well, 1 the answer is no (no such user, a wrong password), 64 wrong usage, 75 the file can't be read or
/// written.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR", global = true)]
    config: Option<PathBuf>,
    /// The users' file, in place of the one that smtpd_sasl_path names.
    #[arg(long, short = 'f', value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Add a user. The password is asked for, or read from standard input.
    Add(New),
    /// Give a user another password; a user who was shut out can log in again.
    Passwd(New),
    /// Shut a user out: whoever has the password can't log in any more.
    Disable {
        /// The login name.
        name: String,
    },
    /// Let a user who was shut out in again, with the same password.
    Enable {
        /// The login name.
        name: String,
    },
    /// Take a user's line out.
    Remove {
        /// The login name.
        name: String,
    },
    /// Print all users, and how their passwords are stored.
    List,
    /// Ask whether a password is right: it is asked for, or read from standard input.
    Test {
        /// The login name.
        name: String,
    },
}

#[derive(Args, Debug)]
struct New {
    /// The login name.
    name: String,
    /// How the password is stored.
    #[arg(long, value_enum, default_value_t)]
    scheme: SchemeArgument,
    /// Store no keys for SCRAM: this user's programs say the password itself.
    #[arg(long)]
    no_scram: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SchemeArgument {
    #[default]
    Argon2id,
    BlfCrypt,
    Sha512Crypt,
    Ssha256,
    CramMd5,
    Plain,
}

impl From<SchemeArgument> for Scheme {
    fn from(argument: SchemeArgument) -> Scheme {
        match argument {
            SchemeArgument::Argon2id => Scheme::Argon2id,
            SchemeArgument::BlfCrypt => Scheme::Bcrypt,
            SchemeArgument::Sha512Crypt => Scheme::Sha512Crypt,
            SchemeArgument::Ssha256 => Scheme::Ssha256,
            SchemeArgument::CramMd5 => Scheme::CramMd5,
            SchemeArgument::Plain => Scheme::Plain,
        }
    }
}

/// Why nothing came of it: what to say, and the exit code.
struct Fault(String, u8);

impl Fault {
    fn failed(text: impl Into<String>) -> Fault {
        Fault(text.into(), EX_TEMPFAIL)
    }

    fn no(text: impl Into<String>) -> Fault {
        Fault(text.into(), 1)
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let path = match arguments.path() {
        Ok(path) => path,
        Err(fault) => return arguments.complain(&fault),
    };
    match arguments.act(&path) {
        Ok(code) => code,
        Err(fault) => arguments.complain(&fault),
    }
}

impl Arguments {
    fn complain(&self, Fault(text, code): &Fault) -> ExitCode {
        match self.format {
            Format::Text => eprintln!("komainu: {text}"),
            Format::Json => println!("{}", json!({ "error": text })),
        }
        ExitCode::from(*code)
    }

    /// The users' file: the one named, or the first that a listener has, or `users` beside main.cf.
    fn path(&self) -> Result<PathBuf, Fault> {
        if let Some(path) = &self.file {
            return Ok(path.clone());
        }
        let folder = self.config.clone().or_else(default_config);
        let folder = folder
            .ok_or_else(|| Fault("no main.cf anywhere: give --config or --file".to_owned(), EX_USAGE))?;
        let (configuration, _) =
            Configuration::load(&folder, CompatArgument::default().into(), &DirectSources);
        let mut logins = configuration.listeners.iter().filter_map(|one| one.logins.as_ref()?.internal());
        let named = logins.find_map(|internal| internal.files().next().map(|file| file.path.clone()));
        Ok(named.unwrap_or_else(|| {
            let path = folder.join("users");
            eprintln!(
                "komainu: nobody logs in by {}: no service with smtpd_sasl_type = internal names it",
                path.display()
            );
            path
        }))
    }

    fn act(&self, path: &Path) -> Result<ExitCode, Fault> {
        match &self.command {
            Command::Add(new) => {
                let secret = new.secret(path)?;
                create(path)?;
                change(path, |text| edit::add(text, &new.name, &secret))?;
                self.done(path, &new.name, "added");
            }
            Command::Passwd(new) => {
                known(path, &new.name)?;
                let secret = new.secret(path)?;
                change(path, |text| edit::set(text, &new.name, &secret))?;
                self.done(path, &new.name, "changed");
            }
            Command::Disable { name } => {
                change(path, |text| edit::disable(text, name))?;
                self.done(path, name, "disabled");
            }
            Command::Enable { name } => {
                change(path, |text| edit::enable(text, name))?;
                self.done(path, name, "enabled");
            }
            Command::Remove { name } => {
                change(path, |text| edit::remove(text, name))?;
                self.done(path, name, "removed");
            }
            Command::List => {
                for account in read(path)?.accounts() {
                    self.show(account);
                }
            }
            Command::Test { name } => return self.test(path, name),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn done(&self, path: &Path, name: &str, what: &str) {
        let file = path.display().to_string();
        match self.format {
            Format::Text => println!("{name}: {what} in {file}"),
            Format::Json => println!("{}", json!({ "user": name, "done": what, "file": file })),
        }
    }

    fn show(&self, account: &Account) {
        let scheme = account.stored.as_ref().map(users::Stored::scheme);
        let scram = account.scram(proto::sasl::scram::Hash::Sha256).is_some();
        let line = account.place.line();
        match self.format {
            Format::Json => {
                let (disabled, open) = (account.disabled, account.open);
                println!(
                    "{}",
                    json!({ "user": account.name, "scheme": scheme, "scram": scram, "disabled": disabled,
                            "nopassword": open, "line": line })
                );
            }
            Format::Text => {
                let marks = [("SCRAM", scram), ("disabled", account.disabled), ("nopassword", account.open)];
                let marks: Vec<&str> = marks.iter().filter(|(_, has)| *has).map(|(mark, _)| *mark).collect();
                let text = format!("{}\t{}\t{}", account.name, scheme.unwrap_or("-"), marks.join(" "));
                println!("{}", text.trim_end());
            }
        }
    }

    fn test(&self, path: &Path, name: &str) -> Result<ExitCode, Fault> {
        let users = read(path)?;
        let account = users.account(name).ok_or_else(|| Fault::no(format!("there is no {name}")))?;
        let password = password("Password: ")?;
        let right =
            account.open || account.stored.as_ref().is_some_and(|stored| stored.is_of(password.as_bytes()));
        let outcome = match (account.disabled, right) {
            (true, _) => "disabled",
            (false, true) => "right",
            (false, false) => "wrong",
        };
        match self.format {
            Format::Text => println!("{name}: {outcome}"),
            Format::Json => println!("{}", json!({ "user": name, "outcome": outcome })),
        }
        Ok(if outcome == "right" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl New {
    fn secret(&self, path: &Path) -> Result<Secret, Fault> {
        if matches!(self.scheme, SchemeArgument::Plain) {
            eprintln!("komainu: whoever reads {} will have this password", path.display());
        }
        let password = new_password()?;
        let mut random = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut random).map_err(|_| Fault::failed("no random bytes"))?;
        let said = String::from_utf8(prepared(password.as_bytes())).ok().filter(|_| !self.no_scram);
        make::secret(self.scheme.into(), &password, said.as_deref(), &random)
            .map_err(|error| Fault::no(error.to_string()))
    }
}

fn read(path: &Path) -> Result<Users, Fault> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Users::parse(&Arc::new(config::SourceFile { path: path.to_owned(), text })).0)
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::failed(format!("open {}: {}", path.display(), crate::strerror::strerror(error)))
}

fn known(path: &Path, name: &str) -> Result<(), Fault> {
    let known = read(path)?.account(name).is_some();
    if known { Ok(()) } else { Err(Fault::no(format!("there is no {name}"))) }
}

/// Makes the file where there is none, for root alone: the server's helper reads it.
fn create(path: &Path) -> Result<(), Fault> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn change(path: &Path, edit: impl FnOnce(&str) -> Result<String, EditError>) -> Result<(), Fault> {
    let mut refused = None;
    let rewritten = super::conf::rewrite(path, |old| {
        let text = std::str::from_utf8(old).map_err(|_| format!("{} isn't UTF-8", path.display()))?;
        edit(text).map(String::into_bytes).map_err(|error| {
            let text = error.to_string();
            refused = Some(text.clone());
            text
        })
    });
    match (rewritten, refused) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(text)) => Err(Fault::no(text)),
        (Err(text), None) => Err(Fault::failed(text)),
    }
}

/// A new password: from a terminal twice.
fn new_password() -> Result<String, Fault> {
    let first = password("New password: ")?;
    if io::stdin().is_terminal() && password("Again: ")? != first {
        return Err(Fault::no("the two differ; nothing was changed"));
    }
    Ok(first)
}

/// One line that isn't shown, or the first line of standard input.
fn password(prompt: &str) -> Result<String, Fault> {
    let stdin = io::stdin();
    let failed = |error: io::Error| Fault::failed(format!("read the password: {error}"));
    if !stdin.is_terminal() {
        let mut line = Vec::new();
        stdin.lock().take(64 * 1024).read_until(b'\n', &mut line).map_err(failed)?;
        let line = String::from_utf8(line).map_err(|_| Fault::no("the password isn't UTF-8"))?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    eprint!("{prompt}");
    let _ = io::stderr().flush();
    let before = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
    let mut hidden = before.clone();
    // An interrupt would leave the terminal mute: it is read as a character.
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    let restored = tcsetattr(&stdin, OptionalActions::Flush, &before);
    eprintln!();
    read.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    if line.is_empty() || line.contains(['\u{3}', '\u{1c}']) {
        return Err(Fault::no("nothing was changed"));
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
