//! `komainu queue show`.

use super::{Failed, Format, Where, said};
use crate::cli::say::Out;
use crate::clock;
use crate::queued::{Item, QueueError};
use clap::Args;
use mail::QueueId;
use mail::header::{Header, is_continuation};
use proto::control::Cause;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Show all that is known of messages: envelope, who waits and why, and the content's headers.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Queue ids.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// The content whole, not only its headers.
    #[arg(long)]
    full: bool,
    /// The content alone, as it is stored (RFC 5322, lines end with LF).
    #[arg(long, conflicts_with_all = ["full", "format"])]
    raw: bool,
    #[command(flatten)]
    place: Where,
    /// How it is shown; JSON has the envelope only.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let parse =
        |id: &String| id.parse().map_err(|error| Failed::Usage(format!("\"{}\": {error}", said::plain(id))));
    let ids = arguments.ids.iter().map(parse).collect::<Result<Vec<QueueId>, Failed>>()?;
    let mut queue = arguments.place.open()?;
    let now = clock::now().wall;
    let mut out = BufWriter::new(Out);
    let mut missing = false;
    for (at, id) in ids.iter().enumerate() {
        let mut found = None;
        queue.list(std::slice::from_ref(id), &mut |item| {
            if let Item::Message(listed) = item {
                found = Some(listed);
            }
            Ok(())
        })?;
        let Some(listed) = found else {
            eprintln!("komainu: {id}: no such message");
            missing = true;
            continue;
        };
        let written = match (arguments.raw, arguments.format) {
            (true, _) => Ok(()),
            (false, Format::Json) => writeln!(out, "{}", said::object(&listed)),
            (false, Format::Text) => {
                let blank = if at > 0 { "\n" } else { "" };
                writeln!(out, "{blank}{}", said::details(&listed, now))
            }
        };
        written.map_err(QueueError::Output)?;
        if arguments.format == Format::Json {
            continue;
        }
        let mut content = Content { full: arguments.full, raw: arguments.raw, line: Vec::new(), over: false };
        let read = queue.read(id, &mut |_, bytes| content.take(bytes, &mut out));
        match read {
            Ok(_) => {}
            Err(QueueError::Refused(Cause::Forbidden, _)) if !arguments.raw => {
                writeln!(out, "(The content is for root to read.)").map_err(QueueError::Output)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    out.flush().map_err(QueueError::Output)?;
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The longest line that is kept.
const LINE_BYTES_MAX: usize = 2048;

/// The content on its way to the terminal: headers, or all of it; control characters don't get through unless raw.
struct Content {
    full: bool,
    raw: bool,
    line: Vec<u8>,
    /// The headers are over.
    over: bool,
}

impl Content {
    fn take(&mut self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        if self.raw {
            return out.write_all(bytes);
        }
        for byte in bytes {
            if self.over && !self.full {
                return Ok(());
            }
            if *byte == b'\n' || self.line.len() == LINE_BYTES_MAX {
                let line = std::mem::take(&mut self.line);
                self.over |= Header::parse(&line).is_none() && !is_continuation(&line);
                if self.full || !self.over {
                    let text = String::from_utf8_lossy(&line).replace('\t', "        ");
                    writeln!(out, "{}", said::plain(&text))?;
                }
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        Ok(())
    }
}
