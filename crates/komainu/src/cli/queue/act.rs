//! `komainu queue flush`, `hold`, `release`, `requeue`, `delete`: one thing done with all messages that are meant.

use super::filter::Filter;
use super::list::plural;
use super::progress::Progress;
use super::{Failed, Where, said};
use crate::clock;
use clap::Args;
use mail::QueueId;
use proto::control::{Outcome, Verb};
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
    if !filter.is_empty() && *all {
        return Err(Failed::Usage("--all, and a filter: which is meant?".to_owned()));
    }
    let mut queue = arguments.place.open()?;
    if verb == Verb::Flush && filter.is_empty() && !dry_run {
        queue.flush_all()?;
        println!("All deferred messages are due now.");
        return Ok(ExitCode::SUCCESS);
    }
    let (ids, named) = match filter.only_named()?.filter(|_| !dry_run) {
        Some(ids) => (ids, true),
        None => {
            let now = clock::now().wall;
            let mut found: Vec<QueueId> = Vec::new();
            let mut progress = Progress::new("read");
            let walk = filter.walk(
                &mut queue,
                now,
                (&mut progress, &mut |listed| {
                    if *dry_run {
                        io::stdout().write_all(said::lines(&listed, now).as_bytes())?;
                    }
                    found.push(listed.entry.id.clone());
                    Ok(())
                }),
            )?;
            if *dry_run {
                println!("{} would be {}.", plural(walk.matched, "message"), words(verb).0);
                return Ok(ExitCode::SUCCESS);
            }
            if found.is_empty() {
                eprintln!("komainu: no message is like that");
                return Ok(ExitCode::FAILURE);
            }
            (found, false)
        }
    };
    if verb == Verb::Delete && !named && !arguments.yes && !agreed(ids.len())? {
        eprintln!("komainu: nothing deleted: --yes deletes without asking, --dry-run shows what it would be");
        return Ok(ExitCode::FAILURE);
    }
    obey(verb, &mut queue, &ids, named)
}

/// Asks on the terminal; where there is none, the answer is no.
fn agreed(count: usize) -> Result<bool, Failed> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Delete {}? [y/N] ", plural(count as u64, "message"));
    let mut answer = String::new();
    let read = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
    read.map_err(crate::queued::QueueError::Output)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn obey(
    verb: Verb,
    queue: &mut crate::queued::Queue,
    ids: &[QueueId],
    named: bool,
) -> Result<ExitCode, Failed> {
    let (done_word, unchanged_word) = words(verb);
    let mut progress = Progress::new(done_word);
    progress.expect(ids.len() as u64);
    let (mut done, mut wrong) = (0_u64, 0_u64);
    queue.order(verb, ids, &mut |id, outcome| {
        progress.step();
        match outcome {
            Outcome::Done => done += 1,
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
    println!("{} {done_word}.", plural(done, "message"));
    Ok(if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
