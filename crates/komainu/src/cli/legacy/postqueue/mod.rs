//! `postqueue` and `mailq`, as postqueue(1) and sendmail(1): looking at the queue, and hurrying it.
//!
//! The listings are Postfix's byte for byte, in the order of arrival. T2.14.

mod listing;

use super::getopt;
use super::mail_queue::{Site, fatal, is_id, printable};
use crate::queued::{Item, Queue, QueueError, dropped};
pub(super) use listing::date;
use listing::{Json, Listing, Text};
use mail::QueueId;
use mail::host::{is_hostname, parse_address, parse_literal};
use proto::control::Verb;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// sysexits(3): Postfix's programs end with it whatever is wrong.
const EX_UNAVAILABLE: u8 = 69;
const EX_TEMPFAIL: u8 = 75;
const NAME: &str = "postqueue";
const USAGE: &str =
    "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site";
/// What Postfix says where nobody answers.
const NOBODY: &str = "Connect to the Postfix showq service: Connection refused";
/// Characters of a wrong id that are repeated.
const SHOWN_MAX: usize = 100;
const DOWN: &str = "Cannot flush mail queue - mail system is down";

enum Wanted {
    Flush,
    One(String),
    Site(String),
    Json,
    Text,
}

fn failed(problem: &str) -> ExitCode {
    fatal(NAME, problem, EX_UNAVAILABLE)
}

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let words = match getopt::read(arguments, "fjpv", "cis") {
        Ok(words) => words,
        Err(wrong) => {
            eprintln!("{NAME}: {wrong}");
            return failed(USAGE);
        }
    };
    let (mut directory, mut wanted) = (None, Vec::new());
    for (letter, value) in words.options {
        match letter {
            'c' => directory = Some(value),
            'f' => wanted.push(Wanted::Flush),
            'i' => wanted.push(Wanted::One(value)),
            's' => wanted.push(Wanted::Site(value)),
            'j' => wanted.push(Wanted::Json),
            'p' => wanted.push(Wanted::Text),
            _ => {}
        }
    }
    let (Some(one), true, true) = (wanted.pop(), wanted.is_empty(), words.rest.is_empty()) else {
        return failed(USAGE);
    };
    act(directory, one)
}

/// sendmail(1) called as mailq: a listing, whatever else is said but `-q`.
pub(crate) fn mailq(arguments: Vec<OsString>) -> ExitCode {
    // sendmail's options with a value; those of others have none, or an attached one.
    let (mut directory, mut wanted) = (None, Wanted::Text);
    let mut words = arguments.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            None => return fatal("mailq", "display queue mode requires no recipient", EX_TEMPFAIL),
            Some("C") => directory = words.next(),
            Some(option) => match (option.strip_prefix('C'), option) {
                (Some(named), _) => directory = Some(named.to_owned()),
                (None, "q") => wanted = Wanted::Flush,
                _ => {}
            },
        }
    }
    act(directory, wanted)
}

fn act(directory: Option<String>, wanted: Wanted) -> ExitCode {
    // What is wrong with the arguments is said before anything is looked for.
    match &wanted {
        Wanted::One(id) if !is_id(id) => {
            let shown: String = id.chars().take(SHOWN_MAX).collect();
            let more = if shown.len() < id.len() { "..." } else { "" };
            let shown = printable(&shown);
            return failed(&format!("Cannot flush queue ID - invalid name: \"{shown}{more}\""));
        }
        Wanted::Site(site) if !is_site(site) => {
            let site = printable(site);
            return failed(&format!("Cannot flush mail queue - invalid destination: \"{site}\""));
        }
        _ => {}
    }
    let site = match Site::find(directory) {
        Ok(site) => site,
        Err(problem) => return failed(&problem),
    };
    let long = site.parameters.flag("enable_long_queue_ids");
    match wanted {
        Wanted::Text => list(&site, &mut Text::new(output(), long)),
        Wanted::Json => list(&site, &mut Json(output())),
        wanted => flush(&site, &wanted),
    }
}

/// A domain, or an address in brackets.
fn is_site(site: &str) -> bool {
    match site.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => parse_literal(site).is_some() || parse_address(inner).is_some(),
        None => is_hostname(site) && parse_address(site).is_none(),
    }
}

/// Standard output, written in large pieces: a listing of a million messages is no million system calls.
fn output() -> impl Write {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

fn list<W: Write>(site: &Site, listing: &mut impl Listing<W>) -> ExitCode {
    let mut queue = match Queue::open(&site.state) {
        Ok(queue) => queue,
        Err(QueueError::Stopped { .. } | QueueError::Nowhere(_)) if !site.is_own() => {
            return failed(&format!("Queue report unavailable - mail system is down ({NOBODY})"));
        }
        Err(QueueError::Nowhere(_)) => {
            down();
            return closed(listing.close());
        }
        Err(error) => return failed(&error.to_string()),
    };
    let mut waiting = Ok(());
    if !queue.is_running() {
        down();
        waiting = dropped(&site.state).iter().try_for_each(|one| listing.message(one));
    }
    if let Err(error) = waiting {
        return closed(Err(error));
    }
    let listed = queue.list(&[], &mut |item| match item {
        Item::Message(listed) => listing.message(&listed),
        Item::Unreadable(_, why) => {
            eprintln!("{NAME}: warning: {why}");
            Ok(())
        }
        Item::Total(_) => Ok(()),
    });
    match listed {
        // Made, and never used.
        Ok(()) | Err(QueueError::Nowhere(_)) => closed(listing.close()),
        // A reader that left wants no more.
        Err(QueueError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

fn down() {
    eprintln!("{NAME}: warning: Mail system is down -- accessing queue directly ({NOBODY})");
}

fn closed(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(&format!("write output: {}", crate::strerror::strerror(&error)))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn flush(site: &Site, wanted: &Wanted) -> ExitCode {
    let refused = |error: QueueError| match error {
        QueueError::NotRunning(_) | QueueError::Nowhere(_) | QueueError::Stopped { .. } => {
            if !matches!(wanted, Wanted::Flush) {
                eprintln!("{NAME}: warning: connect to public/flush: Connection refused");
            }
            failed(DOWN)
        }
        other => failed(&other.to_string()),
    };
    let mut queue = match Queue::open(&site.state) {
        Ok(queue) => queue,
        Err(error) => return refused(error),
    };
    let asked = match wanted {
        Wanted::One(id) => match id.parse::<QueueId>() {
            Ok(id) => queue.order(Verb::Flush, &[id], &mut |_, _| {}),
            // It can't be the name of anything here, and what isn't there needs no hurry.
            Err(_) => queue.order(Verb::Flush, &[], &mut |_, _| {}),
        },
        Wanted::Site(site) => queue.flush_site(site),
        _ => queue.flush_all(),
    };
    asked.map_or_else(refused, |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites() {
        let check = |site: &str, expect: bool| assert_eq!(is_site(site), expect, "{site}");
        check("example.com", true);
        check("[127.0.0.1]", true);
        check("[IPv6:2001:db8::1]", true);
        check("127.0.0.1", false);
        check("", false);
        check("[x]", false);
        check("a b", false);
        check("../etc", false);
    }
}
