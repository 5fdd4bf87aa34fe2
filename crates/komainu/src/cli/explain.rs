//! `komainu explain`.

mod shut_out;

use super::{CompatArgument, EX_CONFIG, EX_USAGE, default_config, render};
use crate::configuration::{Configuration, DirectSources, has_errors, state_directory};
use crate::explain::answers::{Answerer, Offline, Online, Written};
use crate::explain::log_line::{Logged, Search};
use crate::explain::text::Ink;
use crate::explain::visit::{BadVisit, Visit};
use crate::explain::{Stand, json, knock, log_line, outcomes, service_that_logs_as, text, walk};
use crate::facts::dns::Resolver;
use crate::facts::hosts::HostsFile;
use clap::{Args, ValueEnum};
use config::{Parameters, Severity};
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Play a made-up session against a configuration, and say which rule decided, and why.
///
/// Nothing is sent and nothing is stored; policy services and tables behind sockets are not asked. Names come from the resolver, from
/// --answers, or with --offline from nobody: then they are assumed in the client's favour, and it is said what
/// another answer would change. Exit code 0 where every command is accepted, 1 where one is refused, 64 wrong
/// usage, 78 where the configuration can't be used.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR")]
    config: Option<PathBuf>,
    /// Whose defaults and behaviour are in force.
    #[arg(long, value_enum, default_value_t)]
    compat: CompatArgument,
    /// The server in master.cf that the client comes to [default: the first one].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The client's address [default: 192.0.2.1].
    #[arg(long, value_name = "ADDRESS")]
    client_addr: Option<String>,
    /// The client's verified name, or `unknown`; looked up where it isn't given.
    #[arg(long, value_name = "NAME")]
    client_name: Option<String>,
    /// What it says in EHLO.
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// The sender; empty for the null sender.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient; may be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// The name it has logged in with.
    #[arg(long, value_name = "NAME")]
    sasl_user: Option<String>,
    /// The session is encrypted.
    #[arg(long)]
    tls: bool,
    /// The message's size in bytes.
    #[arg(long, value_name = "BYTES")]
    size: Option<String>,
    /// Where the session ends: connect, helo, mail, rcpt, data, end-of-data.
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// When it is: `2026-11-22T01:02:03+09:00` (RFC 3339), or seconds since 1970; the log line has that date.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// A file with the session: `client-addr = 192.0.2.1` and the other options, one a line.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// A log line about a refusal, hold, redirection …: find the rule that made it; `-` reads it from standard input.
    #[arg(long, value_name = "LINE", conflicts_with_all = ["session", "from", "to", "helo", "client_addr", "client_name", "stage"])]
    log: Option<String>,
    /// A file with DNS and policy answers: `NAME TYPE DATA`, `policy ENDPOINT ACTION`; other names don't exist.
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    answers: Option<PathBuf>,
    /// Ask nobody; list what the answers might change.
    #[arg(long)]
    offline: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a wrong option is answered with.
const USAGE: &str = "usage: komainu explain [--config DIR] --client-addr ADDRESS --helo NAME --from ADDRESS --to ADDRESS\n       \
    komainu explain [--config DIR] --log LINE\n       `komainu explain --help` lists all options";

/// More of standard input isn't read for a log line.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Questions to name servers at once; one decision asks few.
const QUESTIONS_AT_ONCE: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A tree for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Why there is nothing to show, and the exit code for it.
struct Refused {
    what: String,
    code: u8,
}

impl Refused {
    fn usage(what: impl ToString) -> Refused {
        Refused { what: what.to_string(), code: EX_USAGE }
    }

    fn config(what: impl ToString) -> Refused {
        Refused { what: what.to_string(), code: EX_CONFIG }
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match explain(arguments) {
        Ok(code) => code,
        Err(refused) => {
            remark(&format!("komainu: {}\n", refused.what));
            if refused.code == EX_USAGE {
                remark(&format!("{USAGE}\n"));
            }
            ExitCode::from(refused.code)
        }
    }
}

fn explain(arguments: &Arguments) -> Result<ExitCode, Refused> {
    let directory = arguments.config.clone().or_else(default_config).ok_or_else(|| {
        Refused::config(
            "there is no main.cf in /etc/komainu or /etc/postfix: give the folder that holds it with --config",
        )
    })?;
    if !directory.join("main.cf").exists() {
        let text =
            format!("{} has no main.cf: give the folder that holds it with --config", directory.display());
        return Err(Refused::config(text));
    }
    let visit = visit(arguments).map_err(Refused::usage)?;
    let logged = logged(arguments, &visit)?;
    let (configuration, mut found) = Configuration::load(&directory, arguments.compat.into(), &DirectSources);
    let is_refused = has_errors(&found);
    let parameters = configuration.parameters.clone();
    let answerer = answerer(arguments, &parameters)?;
    let program = logged.as_ref().and_then(|logged| logged.program.as_deref());
    let by_log = program.and_then(|program| service_that_logs_as(&configuration, program));
    let service = arguments.service.clone().or(by_log);
    let bans = configuration.bans.clone().filter(|_| !arguments.offline && arguments.answers.is_none());
    let stand = Stand::new(configuration, service.as_deref(), &DirectSources);
    let (mut stand, more) = stand.map_err(Refused::config)?;
    stand.free_bytes = free_bytes(&parameters);
    if !arguments.offline && arguments.answers.is_none() {
        stand.in_stead.knock = Some(knock(parameters.text("queue_directory").value));
    }
    found.extend(more);
    // The session is explained all the same: it goes as the mistake makes it go.
    found.retain(|one| one.severity == Severity::Error);
    if !found.is_empty() {
        remark(&render::render(&found));
    }
    if is_refused {
        remark(
            "komainu: `komainu serve` refuses this configuration until the errors are mended; here is what it would do all the same\n\n",
        );
    }
    let parameters = stand.listener.parameters.clone();
    match &logged {
        Some(logged) => explain_line(arguments, &stand, logged, answerer.as_ref(), &parameters),
        None => {
            let tables = stand.live.snapshot();
            let shut = bans.map(|bans| shut_out::ask(&bans, &parameters, visit.client, &tables));
            explain_visit(arguments, (&stand, shut.as_ref()), &visit, answerer.as_ref(), &parameters)
        }
    }
}

/// What is free where the queue is, as the server will find it.
fn free_bytes(parameters: &Parameters) -> Option<u64> {
    let named = parameters.text("komainu_state_directory").value;
    let state = if named.is_empty() { state_directory() } else { PathBuf::from(named) };
    let there = state.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

fn visit(arguments: &Arguments) -> Result<Visit, String> {
    let mut visit = Visit::default();
    if let Some(path) = &arguments.session {
        let text = read(path)?;
        visit.read(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let bad = |error: BadVisit| error.to_string();
    let given = [
        ("client-addr", &arguments.client_addr),
        ("client-name", &arguments.client_name),
        ("helo", &arguments.helo),
        ("from", &arguments.from),
        ("sasl-user", &arguments.sasl_user),
        ("size", &arguments.size),
        ("stage", &arguments.stage),
        ("at", &arguments.at),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            visit.set(key, value).map_err(bad)?;
        }
    }
    if !arguments.to.is_empty() {
        visit.to.clear();
    }
    for to in &arguments.to {
        visit.set("to", to).map_err(bad)?;
    }
    visit.tls |= arguments.tls;
    visit.check().map_err(bad)?;
    Ok(visit)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn answerer(arguments: &Arguments, p: &Parameters) -> Result<Box<dyn Answerer>, Refused> {
    if arguments.offline {
        return Ok(Box::new(Offline));
    }
    if let Some(path) = &arguments.answers {
        let text = read(path).map_err(Refused::usage)?;
        let written =
            Written::parse(&text).map_err(|error| Refused::usage(format!("{}: {error}", path.display())))?;
        return Ok(Box::new(written));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Refused::config)?;
    let servers: Vec<String> = p.list("komainu_dns_servers").into_iter().map(|word| word.value).collect();
    let hosts = Some(HostsFile::new("/etc/hosts"));
    let resolver = Resolver::new(&servers, hosts, QUESTIONS_AT_ONCE).map_err(Refused::config)?;
    Ok(Box::new(Online::new(Arc::new(resolver), runtime)))
}

fn ink() -> Ink {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !plain { Ink::Colours } else { Ink::Plain }
}

/// Says it on standard error, if anybody listens.
fn remark(text: &str) {
    eprint!("{text}");
}

fn explain_visit(
    arguments: &Arguments,
    (stand, shut): (&Stand, Option<&shut_out::Found>),
    visit: &Visit,
    answerer: &dyn Answerer,
    parameters: &Parameters,
) -> Result<ExitCode, Refused> {
    let walk = walk::walk(stand, visit, answerer, &[]);
    let (found, untried) = outcomes::otherwise(stand, visit, answerer, &walk);
    match arguments.format {
        Format::Json => {
            let mut all = json::render(&walk, &found);
            if let (Some(shut), Some(object)) = (shut, all.as_object_mut()) {
                object.insert("shut_out".to_owned(), shut.json());
            }
            println!("{all}");
        }
        Format::Text => {
            let tree = text::render(visit, &walk, parameters, ink());
            let shut = shut.map(shut_out::Found::text).unwrap_or_default();
            print!("{shut}{tree}{}", text::render_otherwise(&found, untried, ink()));
        }
    }
    let refused = shut.is_some_and(shut_out::Found::is_refused)
        || walk.verdicts().any(|(_, reply)| reply.starts_with(['4', '5']));
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The logged line: `-` stands for standard input's first one.
fn logged(arguments: &Arguments, visit: &Visit) -> Result<Option<Logged>, Refused> {
    let Some(line) = &arguments.log else { return Ok(None) };
    let mut read = String::new();
    if line == "-" {
        let input = io::stdin().lock().take(LINE_BYTES_MAX);
        let mut lines = BufReader::new(input).lines().map_while(Result::ok);
        read = lines.find(|line| !line.trim().is_empty()).unwrap_or_default();
    }
    let line = if line == "-" { &read } else { line };
    let mut logged = log_line::parse(line).map_err(Refused::usage)?;
    logged.visit.tls |= visit.tls;
    logged.visit.sasl.clone_from(&visit.sasl);
    Ok(Some(logged))
}

fn explain_line(
    arguments: &Arguments,
    stand: &Stand,
    logged: &Logged,
    answerer: &dyn Answerer,
    parameters: &Parameters,
) -> Result<ExitCode, Refused> {
    let found = match log_line::find(stand, logged, answerer) {
        Search::Found(found) => found,
        Search::Nothing { nearest, now } => {
            remark(&nothing(&logged.reply, nearest, now));
            return Ok(ExitCode::FAILURE);
        }
    };
    let text = match arguments.format {
        Format::Json => format!("{}\n", json::render_line(&found)),
        Format::Text => {
            let tree = text::render(&logged.visit, &found.walk, parameters, ink());
            format!("{}\n{}\n{tree}", logged.reply, text::render_line(stand, &found))
        }
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn nothing(reply: &str, nearest: Option<(String, String)>, now: Option<String>) -> String {
    let mut text = format!("komainu: no rule of this configuration makes this line now: {reply}\n");
    if let Some((check, reply)) = nearest {
        text += &format!("  = nearest: {check}: {reply}\n");
    }
    if let Some(now) = now {
        text += &format!("  = now such a session is answered: {now}\n");
    }
    text += "  = help: was the rule, a table or the address of the client another one then? Did a policy service or a \
             table behind a socket say so? Is it another service's (--service)?\n";
    text
}
