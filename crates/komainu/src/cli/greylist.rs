//! `komainu greylist`: who waits, who is known, and since when; letting somebody pass, and taking over Postgrey's database.
//!
//! What is shown is read from the file that the server, or `komainu policyd`, writes within a moment; what is to be changed
//! the server is told, where one runs. T2.15.

use super::format::Format;
use super::{CompatArgument, EX_TEMPFAIL, EX_USAGE, default_config};
use crate::clock;
use crate::configuration::{Configuration, DirectSources};
use crate::greylisting::orders::{Order, tell};
use crate::greylisting::{Given, Kind, Listed, Table, remembered};
use crate::serve::{Options, state_folder};
use clap::{Args, Subcommand};
use serde_json::json;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tables::database::Format as DatabaseFormat;

/// Show who is greylisted and who is known; let somebody pass; take over Postgrey's database.
///
/// Exit code 0 well, 1 the answer is no (nobody there), 64 wrong usage, 75 what is remembered can't be read.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR", global = true)]
    config: Option<PathBuf>,
    /// The folder of what is remembered [default: greylist in komainu_state_directory].
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

/// Key and value.
type Row<'b> = (Cow<'b, [u8]>, Cow<'b, [u8]>);

#[derive(Subcommand, Debug)]
enum Command {
    /// Who has come once and not passed yet, the latest first.
    Waiting,
    /// Every triplet and every client with this text in it.
    Show {
        /// A part of an address, a network or a domain.
        text: String,
    },
    /// How many wait, have passed, and are known.
    Stats,
    /// Let those who wait and have this text in them pass when they come next.
    Pass {
        /// A part of an address, a network or a domain.
        text: String,
    },
    /// Forget every triplet and every client with this text in it.
    Forget {
        /// A part of an address, a network or a domain.
        text: String,
    },
    /// Take over what Postgrey remembers: postgrey.db and postgrey_clients.db. Stop Postgrey first.
    Import {
        /// Postgrey's folder.
        #[arg(default_value = "/var/lib/postgrey")]
        folder: PathBuf,
    },
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let folder = arguments.state.clone().unwrap_or_else(|| usual_folder(arguments.config.clone()));
    match &arguments.command {
        Command::Pass { text } => return told(&folder, ("let pass", text), Order::Pass),
        Command::Forget { text } => return told(&folder, ("forgotten", text), Order::Forget),
        Command::Import { folder: theirs } => return import(&folder, theirs),
        Command::Waiting | Command::Show { .. } | Command::Stats => {}
    }
    let table = match remembered(&folder) {
        Ok(table) => table,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!(
                "komainu: nobody has been greylisted yet: there is no {}",
                folder.join("triplets").display()
            );
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("komainu: {}: {error}", folder.join("triplets").display());
            return ExitCode::from(EX_TEMPFAIL);
        }
    };
    let now = clock::now().wall.seconds();
    let shown = match &arguments.command {
        Command::Waiting => print_triplets(&table, (now, arguments.format), |one| one.waits),
        Command::Show { text } => {
            let text = text.to_lowercase();
            let triplets = print_triplets(&table, (now, arguments.format), |one| one.text.contains(&text));
            triplets + print_clients(&table, (now, arguments.format), &text)
        }
        _ => {
            print_stats(&table, arguments.format);
            1
        }
    };
    if shown == 0 {
        eprintln!("komainu: nobody");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn told(folder: &Path, (done, text): (&str, &str), order: fn(String) -> Order) -> ExitCode {
    if text.trim().is_empty() {
        eprintln!(
            "komainu: an empty text is in everything; name a part of an address, a network or a domain"
        );
        return ExitCode::from(EX_USAGE);
    }
    match tell(folder, &[order(text.to_owned())]) {
        Ok(0) => {
            eprintln!("komainu: nobody");
            ExitCode::FAILURE
        }
        Ok(count) => {
            println!("{count} {done}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(folder, &error),
    }
}

fn failed(folder: &Path, error: &std::io::Error) -> ExitCode {
    eprintln!("komainu: {}: {error}", folder.display());
    ExitCode::from(EX_TEMPFAIL)
}

/// Postgrey's two files, as orders.
fn import(folder: &Path, theirs: &Path) -> ExitCode {
    let mut orders = Vec::new();
    for (name, is_client) in [("postgrey.db", false), ("postgrey_clients.db", true)] {
        let path = theirs.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            // Without --auto-whitelist-clients there is none.
            Err(error) if is_client && error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return failed(&path, &error),
        };
        let mut row = |(key, value): Row<'_>| {
            orders.extend(Given::of_postgrey((&key, &value), is_client).map(Order::Take))
        };
        if let Err(error) = tables::database::read(DatabaseFormat::Berkeley, &bytes, &mut row) {
            eprintln!(
                "komainu: {}: {error}; stop Postgrey before, so that its file is whole",
                path.display()
            );
            return ExitCode::from(EX_TEMPFAIL);
        }
    }
    match tell(folder, &orders) {
        Ok(taken) => {
            println!("{taken} of {} taken over", orders.len());
            ExitCode::SUCCESS
        }
        Err(error) => failed(folder, &error),
    }
}

/// Where the server of a configuration keeps it.
fn usual_folder(config: Option<PathBuf>) -> PathBuf {
    let config = config.or_else(default_config);
    let options =
        Options { config: config.clone(), compat: CompatArgument::default().into(), ..Options::default() };
    let state = match config {
        Some(directory) => {
            let (configuration, _) = Configuration::load(&directory, options.compat, &DirectSources);
            state_folder(&options, &configuration.parameters)
        }
        None => crate::configuration::state_directory(),
    };
    state.join("greylist")
}

fn print_triplets(table: &Table, (now, format): (i64, Format), wanted: impl Fn(&Listed) -> bool) -> usize {
    let listed = table.listed(Kind::Triplet);
    let mut shown = 0;
    for one in listed.iter().filter(|one| wanted(one)) {
        shown += 1;
        let mut parts = one.text.splitn(2, '/');
        let (network, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (sender, recipient) = rest.rsplit_once('/').unwrap_or((rest, ""));
        if format == Format::Json {
            let waits = one.waits;
            println!(
                "{}",
                json!({ "network": network, "sender": sender, "recipient": recipient, "waits": waits, "first": one.first, "last": one.last })
            );
            continue;
        }
        let state = if one.waits { "waits" } else { "passed" };
        let key = if one.text.is_empty() {
            "(hidden by --privacy)".to_owned()
        } else {
            format!("{network} <{sender}> → <{recipient}>")
        };
        println!("{state:<6}  first {:>9}  last {:>9}  {key}", ago(now - one.first), ago(now - one.last));
    }
    shown
}

fn print_clients(table: &Table, (now, format): (i64, Format), text: &str) -> usize {
    let listed = table.listed(Kind::Client);
    let mut shown = 0;
    for one in listed.iter().filter(|one| one.text.to_lowercase().contains(text)) {
        shown += 1;
        if format == Format::Json {
            println!("{}", json!({ "client": one.text, "count": one.first, "last": one.last }));
        } else {
            println!(
                "client  {:>4} mails came back, the last {} ago  {}",
                one.first,
                ago(now - one.last),
                one.text
            );
        }
    }
    shown
}

fn print_stats(table: &Table, format: Format) {
    let triplets = table.listed(Kind::Triplet);
    let waiting = triplets.iter().filter(|one| one.waits).count();
    let (passed, clients) = (triplets.len() - waiting, table.listed(Kind::Client).len());
    if format == Format::Json {
        println!("{}", json!({ "waiting": waiting, "passed": passed, "clients": clients }));
    } else {
        println!("{waiting} wait, {passed} have passed; {clients} clients have come back");
    }
}

/// `2 d 3 h`, `5 min`, `12 s`
fn ago(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times() {
        let said = [0, 119, 120, 7_199, 7_200, 172_799, 172_800, -5].map(super::ago);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d", "0 s"]);
    }
}
