//! `komainu queue export`: each message as a file that other programs read, and its envelope beside it.

use super::filter::Filter;
use super::list::plural;
use super::progress::Progress;
use super::{Failed, Where, said};
use crate::clock;
use crate::queued::{Queue, QueueError};
use clap::Args;
use mail::QueueId;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Save messages as files: ID.eml has the content, ID.json the envelope. The queue isn't changed.
///
/// ID.eml is the message as it would be delivered (RFC 5322; lines end with LF). ID.json is one object, as `komainu
/// queue list --format json` prints it: sender, recipients with their status and reason, times. What `sendmail -f SENDER
/// RECIPIENTS < ID.eml` takes sends it again. The folder is made (mode 700) if it is missing; files have mode 600.
///
/// Exit code 0 all that was meant is saved, but for what has left the queue meanwhile; 1 some of it isn't: a message that
/// was named isn't there, nothing matched, it is damaged, or a file is in the way or can't be written; 64 wrong usage; 75
/// nothing is saved, as the queue can't be had now or the folder can't be made; 77 not permitted.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder for the files.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// All messages in the queue, as where nothing says which.
    #[arg(long)]
    all: bool,
    /// Replace files of these names; without it, a file that is there is left, and the message not saved.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let directory = &arguments.directory;
    let failed = |path: &Path, source| Failed::File { what: path.display().to_string(), source };
    arguments.filter.or_all(arguments.all)?;
    let mut queue = arguments.place.open()?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(directory, error)),
        _ => {}
    }
    let mut ids: Vec<QueueId> = Vec::new();
    let mut progress = Progress::new("read");
    let walk = arguments.filter.walk(
        &mut queue,
        clock::now().wall,
        (&mut progress, &mut |listed| {
            ids.push(listed.entry.id.clone());
            Ok(())
        }),
    )?;
    let mut progress = Progress::new("saved");
    progress.expect(ids.len() as u64);
    let (mut saved, mut wrong) = (0_u64, walk.missing + usize::from(walk.unreadable > 0));
    for id in &ids {
        progress.step();
        match save(&mut queue, id, arguments) {
            Ok(true) => saved += 1,
            // Delivered since we looked.
            Ok(false) => {}
            Err(Failed::File { what, source }) => {
                wrong += 1;
                progress.say(&format!("komainu: {what}: {source}"));
                if source.kind() == io::ErrorKind::StorageFull {
                    break;
                }
            }
            Err(Failed::Queue(QueueError::Refused(proto::control::Cause::Failed, why))) => {
                wrong += 1;
                progress.say(&format!("komainu: {why}"));
            }
            Err(Failed::Queue(error @ QueueError::Spool { .. })) => {
                wrong += 1;
                progress.say(&format!("komainu: {id}: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    progress.clear();
    println!("{} saved in {}.", plural(saved, "message"), directory.display());
    // Named in some way, and nothing is like that.
    let none = walk.matched == 0 && !arguments.filter.is_empty();
    Ok(if wrong > 0 || none { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One message; false where it has gone. A file is whole or not there: it gets its name last.
fn save(queue: &mut Queue, id: &QueueId, arguments: &Arguments) -> Result<bool, Failed> {
    let at = |kind: &str| arguments.directory.join(format!("{id}.{kind}"));
    let (content, envelope, part) = (at("eml"), at("json"), at("part"));
    let failed = |path: &Path, source| Failed::File { what: path.display().to_string(), source };
    if !arguments.force
        && let Some(there) = [&content, &envelope].into_iter().find(|path| path.symlink_metadata().is_ok())
    {
        let text = "is there already; --force replaces it";
        return Err(failed(there, io::Error::new(io::ErrorKind::AlreadyExists, text)));
    }
    let mut out = create(&part).map_err(|error| failed(&part, error))?;
    let read = queue.read(id, &mut |_, bytes| out.write_all(bytes));
    let listed = match read {
        Ok(Some(listed)) => listed,
        other => {
            // Half a message is of no use.
            let _ = fs::remove_file(&part);
            return match other {
                Err(QueueError::Output(source)) => Err(failed(&part, source)),
                Err(error) => Err(error.into()),
                Ok(_) => Ok(false),
            };
        }
    };
    out.flush().and_then(|()| fs::rename(&part, &content)).map_err(|error| failed(&content, error))?;
    let mut out = create(&part).map_err(|error| failed(&part, error))?;
    let written = writeln!(out, "{:#}", said::object(&listed)).and_then(|()| out.flush());
    written.and_then(|()| fs::rename(&part, &envelope)).map_err(|error| failed(&envelope, error))?;
    Ok(true)
}

/// A file of our own, never one that somebody else has put there.
fn create(path: &Path) -> io::Result<BufWriter<fs::File>> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(BufWriter::with_capacity(64 << 10, file))
}
