//! `fail2ban-client`, in front of an engine of bans of our own. T2.20.
//!
//! Options, words, output and exit codes are those of fail2ban 1.0.2, as far as they are served; what isn't says so and
//! exits with 255. Settings that are changed last until the next reload, as there.

mod options;
mod run;
mod text;
mod words;

use crate::bans::control;
use crate::bans::files::{Disk, expand};
use crate::bans::order::{Answer, Order, Value};
use crate::cli::bans::ban_time;
use crate::clock;
use ban::dump::{self, quoted};
use ban::zone::Zone;
use ban::{jails, server, span};
use config::Severity;
use events::fail2ban::{BanEvent, BanLine};
use options::Options;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use words::Failure;

/// Whose words these are.
const VERSION: &str = "1.0.2";
/// fail2ban's exit code for all that goes wrong.
const WRONG: u8 = 255;

const HELP: &str = "\
Usage: fail2ban-client [OPTIONS] <COMMAND>

This is komainu in fail2ban-client's place; docs/guide/bans.md tells more.

Options:
    -c, --conf DIR     fail2ban's files (/etc/fail2ban)
    -s, --socket FILE  where the server is asked, instead of fail2ban.conf's
    -p, --pidfile FILE instead of fail2ban.conf's
    -d, --dp           show what the files say, in lines or made pretty
    -t, --test         test the files
    -v, -q             more, or less, to read
    -b, -f             start the server in the background (default), or stay
    -x                 remove a socket that was left behind
    --str2sec TEXT     a length of time in seconds
    -V, --version      the version whose words are understood
    -h, --help         this text

Commands:
    start, stop, restart, reload [--restart] [--unban] [--if-exists] [--all | JAIL]
    ping, version, status, status JAIL, start JAIL, stop JAIL, restart JAIL
    banned [IP ...], unban --all, unban IP ..., flushlogs
    set JAIL banip|unbanip|attempt IP ...
    set JAIL addignoreip|delignoreip|bantime|findtime|maxretry|... VALUE
    get JAIL banip [SEPARATOR|--with-time], get JAIL banned [IP ...]
    get JAIL bantime|findtime|maxretry|ignoreip|logpath|failregex|actions|...
    get dbfile|loglevel|logtarget, set loglevel|logtarget VALUE
";

/// How the command line is answered.
struct Client {
    options: Options,
    folder: PathBuf,
    server: server::Server,
    socket: PathBuf,
    zone: Zone,
}

pub(in crate::cli) fn main(arguments: Vec<OsString>) -> ExitCode {
    let options = match options::read(arguments) {
        Ok(options) => options,
        Err(wrong) => {
            print!("{HELP}");
            eprintln!("{wrong}");
            return ExitCode::from(WRONG);
        }
    };
    if options.is_help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if let Some(is_short) = options.version {
        println!("{}{VERSION}", if is_short { "" } else { "Fail2Ban v" });
        return ExitCode::SUCCESS;
    }
    if let Some(text) = &options.span {
        let Some(seconds) = span::seconds(text) else {
            println!("ERROR: name {} is not defined", quoted(text));
            eprintln!("Init of command line failed");
            return ExitCode::from(WRONG);
        };
        println!("{seconds}");
        return ExitCode::SUCCESS;
    }
    let folder = options.folder.clone().unwrap_or_else(|| "/etc/fail2ban".into());
    if !folder.is_dir() {
        println!("ERROR: Base configuration directory {} does not exist ", folder.display());
        log_error("Init of command line failed", &Zone::new(clock::time_zone()));
        return ExitCode::from(WRONG);
    }
    let mut found = Vec::new();
    let mut server = server::read(&Disk, &folder, &mut found);
    found.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    for (given, own) in [
        (&options.socket, &mut server.socket),
        (&options.pidfile, &mut server.pidfile),
        (&options.loglevel, &mut server.loglevel),
        (&options.logtarget, &mut server.logtarget),
        (&options.syslogsocket, &mut server.syslogsocket),
    ] {
        if let Some(given) = given {
            given.clone_into(own);
        }
    }
    let socket = PathBuf::from(&server.socket);
    let client = Client { options, folder, server, socket, zone: Zone::new(clock::time_zone()) };
    client.run()
}

impl Client {
    fn run(&self) -> ExitCode {
        if self.options.is_dump || self.options.is_test {
            return self.dump_or_test();
        }
        if self.options.is_interactive {
            log_error("the interactive mode is not served: give one command at a time", &self.zone);
            return ExitCode::from(WRONG);
        }
        if self.options.removes_socket
            && self.ask(&Order::Ping).is_err()
            && let Err(error) = std::fs::remove_file(&self.socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            log_error(&format!("{}: {error}", self.socket.display()), &self.zone);
        }
        let texts: Vec<&str> = self.options.words.iter().map(String::as_str).collect();
        let done = match texts.as_slice() {
            [] | ["help"] => {
                print!("{HELP}");
                return if texts.is_empty() { ExitCode::from(WRONG) } else { ExitCode::SUCCESS };
            }
            ["start"] => self.start(),
            ["stop"] => self.stop(),
            ["restart"] => match self.stop() {
                Ok(said) => {
                    println!("{said}");
                    self.start()
                }
                // There is none to be stopped: that is said, and one starts.
                failed @ Err(Failure::NotRunning) => {
                    self.said(failed);
                    self.start()
                }
                failed => failed,
            },
            ["restart" | "reload", ..] => self.reload(&texts),
            ["get", jail, "action" | "actionproperties" | "actionmethods", ..] => self.action(jail, &texts),
            _ => words::perform(&self.options.words, &|order| self.ask(order), &self.zone),
        };
        self.said(done)
    }

    fn ask(&self, order: &Order) -> Result<Answer, Failure> {
        // What fail2ban.conf says can't be changed while the engine runs, so the file has the answer.
        if let Order::Get { jail: None, option } = order {
            return match self.ask(&Order::Ping)? {
                Answer::Pong => Ok(Answer::Value(self.of_server(option))),
                other => Ok(other),
            };
        }
        control::ask(&self.socket, order).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::NotRunning,
            _ => Failure::Said(format!("Unable to contact server at {}: {error}", self.socket.display())),
        })
    }

    fn of_server(&self, option: &str) -> Value {
        let server = &self.server;
        match option {
            "loglevel" => Value::Text(server.loglevel.to_uppercase()),
            "logtarget" => Value::Text(server.logtarget.clone()),
            "syslogsocket" => Value::Text(server.syslogsocket.clone()),
            "dbfile" => Value::Text(server.dbfile.clone()),
            "dbmaxmatches" => Value::Number(server.dbmaxmatches),
            "dbpurgeage" => Value::Number(server.purge_s()),
            _ => Value::Nothing,
        }
    }

    fn said(&self, done: Result<String, Failure>) -> ExitCode {
        match done {
            Ok(text) => {
                println!("{text}");
                return ExitCode::SUCCESS;
            }
            Err(Failure::NotRunning) => {
                let socket = self.socket.display();
                log_error(
                    &format!("Failed to access socket path: {socket}. Is fail2ban running?"),
                    &self.zone,
                );
            }
            Err(Failure::Said(text)) => log_error(&text, &self.zone),
            Err(Failure::Refused { said, nok }) => {
                log_error(&format!("NOK: {nok}"), &self.zone);
                println!("{said}");
            }
        }
        ExitCode::from(WRONG)
    }

    /// What is wrong with the jails' files, in a line.
    fn tested(&self, wanted: Option<&str>) -> Result<jails::Folder, Failure> {
        let read = jails::read_with(&Disk, &self.folder, &|name| Some(name) == wanted);
        if let Some(name) = wanted.filter(|name| !read.known.iter().any(|known| known == name)) {
            let text = format!("Failed during configuration: No section: {}", quoted(name));
            return Err(Failure::Said(text));
        }
        let errors = read.found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let first = errors.inspect(|diagnostic| eprintln!("{diagnostic}")).count();
        let broken = read.jails.iter().find_map(|jail| Some((&jail.name, jail.error.as_ref()?)));
        match broken {
            Some((name, error)) => {
                Err(Failure::Said(format!("Failed during configuration: [{name}] {error}")))
            }
            None if first > 0 && read.jails.is_empty() => {
                Err(Failure::Said("Failed during configuration".to_owned()))
            }
            None => Ok(read),
        }
    }

    fn dump_or_test(&self) -> ExitCode {
        let read = match self.tested(None) {
            Ok(read) => read,
            Err(failure) => {
                if self.options.is_test {
                    println!("ERROR: test configuration failed");
                }
                return self.said(Err(failure));
            }
        };
        if self.options.is_dump {
            let files = |path: &str| expand(path).iter().map(|path| path.display().to_string()).collect();
            let values = [dump::of_server(&self.server), dump::values_of(&read, &files)].concat();
            for value in values {
                println!("{}", if self.options.is_pretty { value.pretty() } else { value.to_string() });
            }
        }
        if self.options.is_test {
            println!("OK: configuration test is successful");
        }
        ExitCode::SUCCESS
    }

    /// `get JAIL action ACT PROPERTY`: as the files have it, which is where alone it can be changed.
    fn action(&self, jail: &str, texts: &[&str]) -> Result<String, Failure> {
        let order = Order::JailStatus(jail.to_owned());
        if let Answer::NoJail(_) = self.ask(&order)? {
            return words::perform(
                &["status".to_owned(), jail.to_owned()],
                &|order| self.ask(order),
                &self.zone,
            );
        }
        let refused = |said: String| Failure::Refused { nok: format!("({},)", quoted(&said)), said };
        let read = self.tested(Some(jail))?;
        let jail = read.jails.iter().find(|known| known.name == jail);
        let actions = jail.map(|jail| jail.actions.as_slice()).unwrap_or_default();
        let name = texts.get(3).copied().unwrap_or("");
        let action = actions.iter().find(|action| action.name == name);
        let action = action.ok_or_else(|| {
            let said = quoted(&format!("Invalid Action name: {name}"));
            Failure::Refused { nok: format!("({said},)"), said }
        })?;
        if texts.get(2) != Some(&"action") {
            return Err(refused("what Python calls the parts of an action is not served".to_owned()));
        }
        let property = texts.get(4).copied().unwrap_or("");
        let command = action.commands.iter().find(|(name, _)| *name == property).map(|(_, text)| text);
        let parameter = action.parameters.iter().find(|(name, _)| name == property).map(|(_, text)| text);
        match (command.or(parameter), property) {
            (Some(text), _) => Ok(text.clone()),
            (None, "timeout") => Ok("60".to_owned()),
            (None, name) if name.starts_with("action") => Ok(String::new()),
            (None, name) => Err(refused(format!("the action has no `{name}`"))),
        }
    }
}

/// A line as fail2ban logs it, on standard error.
fn log_error(text: &str, zone: &Zone) {
    let now_us = clock::now().wall.0;
    let Some(time) = ban_time(zone, now_us) else { return };
    let event = BanEvent::Other(text.into());
    let line =
        BanLine { time, logger: "fail2ban".into(), pid: std::process::id(), level: "ERROR".into(), event };
    eprintln!("{line}");
}

/// Whether a path can be reached as a socket at all.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
