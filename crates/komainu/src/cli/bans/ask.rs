//! `komainu ban status`, `add`, `remove`, `list`, `why`: the engine asked, wherever it runs.

use super::{EX_TEMPFAIL, EX_USAGE, failed};
use crate::bans::control;
use crate::bans::files::Disk;
use crate::bans::order::{Answer, Brief, Cause, Held, JailStatus, Order, Reason};
use crate::cli::format::Format;
use crate::clock;
use ban::zone::Zone;
use ban::{server, span};
use clap::Args;
use serde_json::json;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(super) struct Where {
    /// The socket where the engine answers [default: fail2ban.conf's `socket`].
    #[arg(long, short = 's', value_name = "FILE")]
    socket: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Args, Debug)]
pub(super) struct Status {
    /// One jail; all without.
    jail: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(Args, Debug)]
pub(super) struct Add {
    /// The jail that shuts them out.
    jail: String,
    /// Addresses, networks, or whatever else the jail's filter finds.
    #[arg(required = true)]
    ids: Vec<String>,
    /// For how long: `600`, `1d`, `-1` for ever [default: the jail's bantime].
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(Args, Debug)]
pub(super) struct Remove {
    /// Addresses, networks, or whatever else is shut out.
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// Everybody.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// By this jail alone.
    #[arg(long, short = 'j')]
    jail: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(Args, Debug)]
pub(super) struct Why {
    /// An address, a network, or whatever else a filter finds.
    address: String,
    #[command(flatten)]
    at: Where,
}

/// Who is asked, and how it is printed.
struct Asker<'a> {
    folder: &'a Path,
    socket: PathBuf,
    is_json: bool,
}

impl<'a> Asker<'a> {
    fn new(folder: &'a Path, at: &Where) -> Asker<'a> {
        let socket = socket(folder, at.socket.as_deref());
        Asker { folder, socket, is_json: at.format == Format::Json }
    }

    /// The answer; a refusal is said.
    fn ask(&self, order: &Order) -> Result<Answer, ExitCode> {
        let socket = self.socket.display();
        match control::ask(&self.socket, order) {
            Ok(Answer::NoJail(name)) => Err(failed(EX_USAGE, format_args!("there is no jail [{name}]"))),
            Ok(Answer::Refused(why)) => Err(failed(EX_TEMPFAIL, why)),
            Ok(answer) => Ok(answer),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                let text = "nobody answers there; is `komainu ban run` running, or the server with bans?";
                Err(failed(EX_TEMPFAIL, format_args!("{socket}: {text}")))
            }
            Err(error) => Err(failed(EX_TEMPFAIL, format_args!("{socket}: {error}"))),
        }
    }

    fn time(&self, at_s: i64) -> String {
        moment(at_s)
    }

    fn until(&self, held: &Held) -> String {
        held.until_s.map_or_else(|| "for ever".to_owned(), |at_s| format!("until {}", self.time(at_s)))
    }

    fn held(&self, held: &Held) {
        if self.is_json {
            println!("{}", json!(held));
            return;
        }
        let before = if held.before > 0 { format!(", {} times before", held.before) } else { String::new() };
        println!(
            "{}  [{}]  since {}, {}{before}",
            shown(&held.id),
            held.jail,
            self.time(held.since_s),
            self.until(held)
        );
    }
}

/// A time as people have it here.
pub(in crate::cli) fn moment(at_s: i64) -> String {
    let civil = Zone::new(clock::time_zone()).civil(at_s);
    civil.map(|civil| civil.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// What the engine behind a socket knows of an address. Whoever has an IPv6 address has its /64: a neighbour's ban is his.
pub(in crate::cli) fn holding(socket: &Path, address: IpAddr) -> io::Result<Vec<Reason>> {
    let ask = |id: String| match control::ask(socket, &Order::Why(id))? {
        Answer::Reasons(reasons) => Ok(reasons),
        Answer::Refused(why) => Err(io::Error::other(why)),
        _ => Err(io::Error::other("the engine answered something else than was asked")),
    };
    let reasons = ask(address.to_string())?;
    if address.is_ipv4() || reasons.iter().any(|reason| reason.held.is_some()) {
        return Ok(reasons);
    }
    let around = ask(ban::filter::network(address, Some(64)).to_string())?;
    Ok(if around.iter().any(|reason| reason.held.is_some()) { around } else { reasons })
}

/// The engine's socket: as given, or as fail2ban.conf has it.
pub(in crate::cli) fn socket(folder: &Path, given: Option<&Path>) -> PathBuf {
    match given {
        Some(path) => path.to_owned(),
        None => server::read(&Disk, folder, &mut Vec::new()).socket.into(),
    }
}

fn unexpected() -> ExitCode {
    failed(EX_TEMPFAIL, "the engine answered something else than was asked")
}

pub(super) fn status(folder: &Path, status: &Status) -> ExitCode {
    let asker = Asker::new(folder, &status.at);
    let done = match &status.jail {
        Some(jail) => asker.ask(&Order::JailStatus(jail.clone())).map(|answer| match answer {
            Answer::Jail(jail) => one_jail(&asker, &jail),
            _ => unexpected(),
        }),
        None => asker.ask(&Order::Status).map(|answer| match answer {
            Answer::Jails(jails) => all_jails(&asker, &jails),
            _ => unexpected(),
        }),
    };
    done.unwrap_or_else(|code| code)
}

fn all_jails(asker: &Asker<'_>, jails: &[Brief]) -> ExitCode {
    if !asker.is_json && jails.is_empty() {
        println!("no jail runs");
    }
    // An engine of before knows no such question.
    if let Ok(Answer::Troubles(troubles)) = control::ask(&asker.socket, &Order::Troubles) {
        for trouble in troubles {
            if asker.is_json {
                println!("{}", json!({ "trouble": trouble }));
            } else {
                println!("trouble: {trouble}");
            }
        }
    }
    for Brief { name, .. } in jails {
        match asker.ask(&Order::JailStatus(name.clone())) {
            Ok(Answer::Jail(jail)) if asker.is_json => println!("{}", json!(*jail)),
            Ok(Answer::Jail(jail)) => {
                let (banned, failed) = (jail.currently_banned, jail.currently_failed);
                let blind = jail.blind.as_deref().map_or(String::new(), |why| format!("; blind: {why}"));
                println!("[{name}]  {banned} shut out, {failed} counted{blind}");
            }
            // It ended meanwhile.
            Ok(_) => {}
            Err(code) => return code,
        }
    }
    ExitCode::SUCCESS
}

fn one_jail(asker: &Asker<'_>, jail: &JailStatus) -> ExitCode {
    if asker.is_json {
        println!("{}", json!(jail));
        return ExitCode::SUCCESS;
    }
    println!("[{}]", jail.name);
    if let Some(why) = &jail.blind {
        println!("  blind: {why}");
    }
    for file in &jail.files {
        println!("  reads {file}");
    }
    if let Some(matches) = &jail.journal {
        println!("  reads the journal: {}", matches.join(" "));
    }
    println!("  {} counted, {} failures since it began", jail.currently_failed, jail.total_failed);
    println!("  {} shut out, {} bans since it began", jail.currently_banned, jail.total_banned);
    for id in &jail.banned {
        println!("    {id}");
    }
    ExitCode::SUCCESS
}

pub(super) fn add(folder: &Path, add: &Add) -> ExitCode {
    let ban_s = match add.time.as_deref().map(|text| (text, span::seconds(text))) {
        None => None,
        Some((_, Some(seconds))) => Some(seconds),
        Some((text, None)) => {
            return failed(EX_USAGE, format_args!("`{text}` is no length of time: write `600` or `1d`"));
        }
    };
    let order = Order::Add { jail: add.jail.clone(), ids: add.ids.clone(), ban_s };
    let asker = Asker::new(folder, &add.at);
    match asker.ask(&order) {
        Ok(Answer::Added { count, spared }) => {
            match (asker.is_json, count) {
                (true, _) => println!("{}", json!({ "count": count })),
                (false, 0) => {}
                (false, _) => println!("{count} shut out"),
            }
            spared.iter().for_each(|(id, why)| eprintln!("komainu ban: {id} is not banned: {why}"));
            if count == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Ok(Answer::NoAddresses(words)) => {
            let (words, jail) = (words.join("`, `"), &add.jail);
            let text =
                format_args!("no address: `{words}`; [{jail}] bans addresses and networks, nobody is banned");
            failed(EX_USAGE, text)
        }
        Ok(_) => unexpected(),
        Err(code) => code,
    }
}

pub(super) fn remove(folder: &Path, remove: &Remove) -> ExitCode {
    let ids = if remove.all { Vec::new() } else { remove.ids.clone() };
    let order = Order::Unban { jail: remove.jail.clone(), ids };
    let asker = Asker::new(folder, &remove.at);
    match asker.ask(&order) {
        Ok(Answer::Count(count)) => {
            match (asker.is_json, count) {
                (true, _) => println!("{}", json!({ "count": count })),
                (false, 0) => eprintln!("komainu ban: nobody of that name is shut out"),
                (false, _) => println!("{count} let in"),
            }
            if count == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Ok(_) => unexpected(),
        Err(code) => code,
    }
}

pub(super) fn list(folder: &Path, status: &Status) -> ExitCode {
    let asker = Asker::new(folder, &status.at);
    match asker.ask(&Order::List(status.jail.clone())) {
        Ok(Answer::Bans(held)) => {
            held.iter().for_each(|held| asker.held(held));
            if held.is_empty() {
                eprintln!("komainu ban: nobody is shut out");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Ok(_) => unexpected(),
        Err(code) => code,
    }
}

pub(super) fn why(folder: &Path, why: &Why) -> ExitCode {
    let asker = Asker::new(folder, &why.at);
    let mut reasons = match asker.ask(&Order::Why(why.address.clone())) {
        Ok(Answer::Reasons(reasons)) => reasons,
        Ok(_) => return unexpected(),
        Err(code) => return code,
    };
    if let Some(address @ IpAddr::V6(_)) = why.address.parse().ok()
        && let Ok(around) = holding(&asker.socket, address)
    {
        reasons = around;
    }
    let mut rules = super::rules::Rules::new(asker.folder);
    for reason in &reasons {
        if asker.is_json {
            println!("{}", object(reason, &mut rules));
        } else {
            text(&asker, reason, &mut rules);
        }
    }
    if reasons.is_empty() {
        eprintln!("komainu ban: no jail knows {}", why.address);
    }
    let is_held = reasons.iter().any(|reason| reason.held.is_some());
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a stranger wrote, as a terminal may see it.
fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    events::text::printable(text.as_bytes())
}

fn text(asker: &Asker<'_>, reason: &Reason, rules: &mut super::rules::Rules<'_>) {
    let (id, jail) = (shown(&reason.id), &reason.jail);
    match &reason.held {
        Some(held) => {
            println!("[{jail}] shuts {id} out since {}, {}", asker.time(held.since_s), asker.until(held));
            match held.before {
                0 => println!("  for the first time"),
                1 => println!("  once before"),
                before => println!("  {before} times before"),
            }
        }
        None => println!("[{jail}] counts {} failures of {id}, and doesn't shut it out", reason.failures),
    }
    if reason.lines.is_empty() && reason.held.is_some() {
        println!("  by hand: no line led to it");
    }
    let mut last = None;
    for Cause { time_s, source, line, rule } in &reason.lines {
        if last != Some(*rule)
            && let Some(known) = rules.find(jail, *rule)
        {
            println!("  {known}");
        }
        last = Some(*rule);
        println!("    {}  {}: {}", asker.time(*time_s), shown(source), shown(line));
    }
}

fn object(reason: &Reason, rules: &mut super::rules::Rules<'_>) -> serde_json::Value {
    let mut object = json!(reason);
    let causes = reason.lines.iter().map(|cause| {
        let mut one = json!(cause);
        if let (Some(known), Some(fields)) = (rules.find(&reason.jail, cause.rule), one.as_object_mut()) {
            fields.insert("regex".to_owned(), json!(known.text));
            fields.insert("place".to_owned(), json!(known.place));
        }
        one
    });
    let causes: Vec<serde_json::Value> = causes.collect();
    if let Some(fields) = object.as_object_mut() {
        fields.insert("lines".to_owned(), json!(causes));
    }
    object
}
