//! `komainu queue list`.

use super::filter::Filter;
use super::progress::Progress;
use super::{Failed, Format, Where, said};
use crate::cli::say::Out;
use crate::clock;
use crate::queued::shelf::kept_apart;
use clap::Args;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

/// Show who waits and why, oldest first.
///
/// A line for each message (id, state, age, size, sender) and below it a line for each recipient that is still to be
/// served, with the reason. Nothing in the queue is fine: exit code 0; a message that was named and isn't there: 1.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: Where,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let mut queue = arguments.place.open()?;
    let now = clock::now().wall;
    let mut out = BufWriter::with_capacity(64 << 10, Out);
    let (mut recipients, mut bytes) = (0_usize, 0_u64);
    let mut progress = Progress::new("read");
    let walk = arguments.filter.walk(
        &mut queue,
        now,
        (&mut progress, &mut |listed| {
            let entry = &listed.entry;
            recipients += entry.recipients.iter().filter(|recipient| recipient.status.is_open()).count();
            bytes = bytes.saturating_add(entry.size);
            match arguments.format {
                Format::Text => out.write_all(said::lines(&listed, now).as_bytes()),
                Format::Json => writeln!(out, "{}", said::object(&listed)),
            }
        }),
    )?;
    let apart = if arguments.filter.is_empty() { kept_apart(&arguments.place.folder()) } else { Vec::new() };
    for kept in &apart {
        let line = match arguments.format {
            Format::Text => said::kept_lines(kept, now),
            Format::Json => format!("{}\n", said::kept_object(kept)),
        };
        out.write_all(line.as_bytes()).map_err(crate::queued::QueueError::Output)?;
    }
    let closing = match (arguments.format, walk.matched) {
        (Format::Json, _) => String::new(),
        (Format::Text, 0) if arguments.filter.is_empty() => "The queue is empty.\n".to_owned(),
        (Format::Text, 0) => "Nothing in the queue is like that.\n".to_owned(),
        (Format::Text, count) => {
            let (messages, waiting) = (plural(count, "message"), plural(recipients as u64, "recipient"));
            format!("-- {messages} for {waiting}, {} bytes\n", said::bytes(bytes))
        }
    };
    let written = out.write_all(closing.as_bytes()).and_then(|()| out.flush());
    written.map_err(crate::queued::QueueError::Output)?;
    Ok(if walk.missing + usize::from(walk.unreadable > 0) > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// `1 message`, `2 messages`.
pub(super) fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
