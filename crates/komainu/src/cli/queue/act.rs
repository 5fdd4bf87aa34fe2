//! `komainu queue flush`, `hold`, `release`, `requeue`, `delete`: one thing done with all messages that are meant.
//!
//! A message is one thing: where a filter names some of its recipients, the others share its fate, and that is said.

use super::filter::Filter;
use super::list::plural;
use super::progress::Progress;
use super::{Failed, Where, said};
use crate::cli::say::Out;
use crate::clock;
use crate::queued::{Queue, QueueError};
use clap::Args;
use mail::QueueId;
use proto::control::{Outcome, Verb};
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Which messages, and how carefully.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// All messages in the queue; without it, something must say which.
    #[arg(long)]
    all: bool,
    /// Only show which messages it would be.
    #[arg(long)]
    dry_run: bool,
    /// Delete what filters find without asking.
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    place: Where,
}

/// What is done, and what isn't, in words.
fn words(verb: Verb) -> (&'static str, &'static str) {
    match verb {
        Verb::Flush => ("due now", "on hold: release it first"),
        Verb::Hold => ("put on hold", "on hold already"),
        Verb::Release => ("released", "not on hold"),
        Verb::Requeue => ("requeued", "as it was"),
        Verb::Expire => ("expired", "expired already"),
        Verb::Delete => ("deleted", "as it was"),
        Verb::SetAside => ("set aside", "not damaged"),
    }
}

pub(super) fn run(verb: Verb, arguments: &Arguments) -> Result<ExitCode, Failed> {
    let Arguments { filter, all, dry_run, .. } = arguments;
    if filter.is_empty() && !all && verb != Verb::Flush {
        let text = "name queue ids, say which messages are meant (--sender, --domain …), or say --all";
        return Err(Failed::Usage(text.to_owned()));
    }
    filter.or_all(*all)?;
    let mut queue = arguments.place.open()?;
    if verb == Verb::Flush && filter.is_empty() && !dry_run {
        queue.flush_all()?;
        println!("All deferred messages are due now.");
        return Ok(ExitCode::SUCCESS);
    }
    let meant = match filter.only_named()?.filter(|_| !dry_run) {
        Some(ids) => Meant { ids, named: true, others: HashMap::new() },
        None => find(filter, &mut queue, *dry_run)?,
    };
    if *dry_run {
        let messages = plural(meant.ids.len() as u64, "message");
        println!("{messages} would be {}{}.", words(verb).0, with_others(meant.others.values().sum()));
        return Ok(ExitCode::SUCCESS);
    }
    if meant.ids.is_empty() {
        eprintln!("komainu: no message is like that");
        return Ok(ExitCode::FAILURE);
    }
    if verb == Verb::Delete && !meant.named && !arguments.yes && !agreed(&meant)? {
        eprintln!("komainu: nothing deleted: --yes deletes without asking, --dry-run shows what it would be");
        return Ok(ExitCode::FAILURE);
    }
    obey(verb, &mut queue, &meant)
}

/// The messages that are meant.
struct Meant {
    ids: Vec<QueueId>,
    /// By id alone.
    named: bool,
    /// Recipients that the filter doesn't name, of messages that have such.
    others: HashMap<QueueId, u64>,
}

fn find(filter: &Filter, queue: &mut Queue, show: bool) -> Result<Meant, Failed> {
    let now = clock::now().wall;
    let mut meant = Meant { ids: Vec::new(), named: false, others: HashMap::new() };
    let mut progress = Progress::new("read");
    filter.walk(
        queue,
        now,
        (&mut progress, &mut |listed| {
            if show {
                Out.write_all(said::lines(&listed, now).as_bytes())?;
            }
            let id = listed.entry.id.clone();
            let others = filter.others(&listed);
            if others > 0 {
                meant.others.insert(id.clone(), others);
            }
            meant.ids.push(id);
            Ok(())
        }),
    )?;
    Ok(meant)
}

/// What is said of recipients that share the fate of those that were meant.
fn with_others(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => ", with 1 recipient that the filter doesn't name".to_owned(),
        _ => format!(", with {count} recipients that the filter doesn't name"),
    }
}

/// Asks on the terminal; where there is none, the answer is no.
fn agreed(meant: &Meant) -> Result<bool, Failed> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let messages = plural(meant.ids.len() as u64, "message");
    eprint!("Delete {messages}{}? [y/N] ", with_others(meant.others.values().sum()));
    let mut answer = String::new();
    let read = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
    read.map_err(QueueError::Output)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn obey(verb: Verb, queue: &mut Queue, meant: &Meant) -> Result<ExitCode, Failed> {
    let Meant { ids, named, others } = meant;
    let named = *named;
    let (done_word, unchanged_word) = words(verb);
    let mut progress = Progress::new(done_word);
    progress.expect(ids.len() as u64);
    let (mut done, mut wrong, mut along) = (0_u64, 0_u64, 0_u64);
    queue.order(verb, ids, &mut |id, outcome| {
        progress.step();
        match outcome {
            Outcome::Done => {
                done += 1;
                along += others.get(id).copied().unwrap_or(0);
            }
            Outcome::Unchanged if named => progress.say(&format!("komainu: {id}: {unchanged_word}")),
            Outcome::Unchanged => {}
            Outcome::NotFound if named => {
                wrong += 1;
                progress.say(&format!("komainu: {id}: no such message"));
            }
            // Delivered since we looked.
            Outcome::NotFound => {}
            Outcome::Failed(why) => {
                wrong += 1;
                progress.say(&format!("komainu: {id}: {why}"));
            }
        }
    })?;
    progress.clear();
    println!("{} {done_word}{}.", plural(done, "message"), with_others(along));
    Ok(if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
