//! `postsuper`, as postsuper(1): holding, releasing, requeueing, expiring and deleting queued mail.
//!
//! Orders for one message are obeyed in their order, those for ALL after them. `-p`, `-s` and `-S` have nothing to do:
//! the spool mends itself when it is opened. T2.14.

use super::getopt;
use super::mail_queue::{Site, fatal, is_id, printable};
use crate::queued::{Item, Queue, QueueError};
use mail::QueueId;
use proto::control::{Outcome, State, Verb};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::process::ExitCode;

const NAME: &str = "postsuper";
const USAGE: &str = "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]";

/// Letters, what they order, what is said of one message, and of all of them at the end: in the summary's order.
const ORDERS: [(&str, Verb, &str, &str); 5] = [
    ("r", Verb::Requeue, "requeued", "Requeued"),
    ("d", Verb::Delete, "removed", "Deleted"),
    ("ef", Verb::Expire, "expired", "Force-expired"),
    ("h", Verb::Hold, "placed on hold", "Placed on hold"),
    ("Hf", Verb::Release, "released from hold", "Released from hold"),
];

/// Messages on standard input are taken in pieces.
const LINE_BYTES_MAX: u64 = 4096;
const BATCH: usize = 1000;

fn failed(problem: &str) -> ExitCode {
    fatal(NAME, problem, 1)
}

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let words = match getopt::read(arguments, "psSv", "cdefhHr") {
        Ok(words) => words,
        Err(wrong) => {
            eprintln!("{NAME}: {wrong}");
            return failed(USAGE);
        }
    };
    let directory = words.options.iter().rfind(|(letter, _)| *letter == 'c').map(|(_, value)| value.clone());
    let site = match Site::find(directory) {
        Ok(site) => site,
        Err(problem) => return failed(&problem),
    };
    if !site.is_own() {
        return failed("use of this command is reserved for the superuser");
    }
    let mut states = Vec::new();
    for word in &words.rest {
        match word.as_str() {
            // Queues that are no folders here, and never have mail that could be meant.
            "maildrop" | "defer" | "bounce" | "trace" | "flush" => {}
            name => match State::parse(name) {
                Some(state) => states.push(state),
                None => return failed(&format!("invalid directory name: {}", printable(name))),
            },
        }
    }
    let orders: Vec<(char, String)> =
        words.options.into_iter().filter(|(letter, _)| "defhHr".contains(*letter)).collect();
    if orders.is_empty() {
        return ExitCode::SUCCESS;
    }
    let queue = match Queue::open(&site.state) {
        Ok(queue) => Some(queue),
        // Nothing was ever queued.
        Err(QueueError::Nowhere(_)) => None,
        Err(error) => return failed(&error.to_string()),
    };
    let states = (!words.rest.is_empty()).then_some(states);
    let mut work = Work { queue, states, counts: BTreeMap::new() };
    match work.all(&orders) {
        Ok(()) => {
            work.sum_up(&orders);
            ExitCode::SUCCESS
        }
        Err(error) => {
            work.sum_up(&orders);
            failed(&error.to_string())
        }
    }
}

/// The orders that a letter stands for.
fn meaning(letter: char) -> impl Iterator<Item = (Verb, &'static str, &'static str)> {
    ORDERS
        .into_iter()
        .filter(move |(letters, ..)| letters.contains(letter))
        .map(|(_, verb, said, summary)| (verb, said, summary))
}

struct Work {
    queue: Option<Queue>,
    /// The queues that are meant, where some are named.
    states: Option<Vec<State>>,
    /// By what the summary says.
    counts: BTreeMap<&'static str, u64>,
}

impl Work {
    fn all(&mut self, orders: &[(char, String)]) -> Result<(), QueueError> {
        for (letter, value) in orders {
            match value.as_str() {
                "ALL" => {}
                "-" => self.standard_input(*letter)?,
                id => self.some(*letter, &ids(std::iter::once(id.to_owned())))?,
            }
        }
        // As Postfix's one walk through the queue: what is deleted can't be held.
        for (letters, verb, _, summary) in ORDERS {
            if orders.iter().any(|(letter, value)| letters.contains(*letter) && value == "ALL") {
                let ids = self.of_queues(verb)?;
                self.obey(verb, None, summary, &ids)?;
            }
        }
        Ok(())
    }

    fn standard_input(&mut self, letter: char) -> Result<(), QueueError> {
        let mut lines = Lines(io::stdin().lock());
        loop {
            let batch: Vec<String> = lines.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.some(letter, &ids(batch.into_iter()))?;
        }
    }

    fn some(&mut self, letter: char, ids: &[QueueId]) -> Result<(), QueueError> {
        for (verb, said, summary) in meaning(letter) {
            let meant = self.in_queues(ids)?;
            self.obey(verb, Some(said), summary, &meant)?;
        }
        Ok(())
    }

    /// Those of `ids` that are in the queues that are named.
    fn in_queues(&mut self, ids: &[QueueId]) -> Result<Vec<QueueId>, QueueError> {
        let (Some(states), Some(queue)) = (&self.states, &mut self.queue) else { return Ok(ids.to_vec()) };
        let mut found = Vec::new();
        if ids.is_empty() {
            return Ok(found);
        }
        queue.list(ids, &mut |item| {
            if let Item::Message(listed) = item
                && states.contains(&listed.state)
            {
                found.push(listed.entry.id.clone());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// All messages in the queues that are named, or in those that an order is for.
    fn of_queues(&mut self, verb: Verb) -> Result<Vec<QueueId>, QueueError> {
        let Some(queue) = &mut self.queue else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        queue.list(&[], &mut |item| {
            if let Item::Message(listed) = item
                && self.states.as_ref().is_none_or(|states| states.contains(&listed.state))
                && (verb != Verb::Release || listed.state == State::Hold)
            {
                found.push(listed.entry.id.clone());
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn obey(
        &mut self,
        verb: Verb,
        said: Option<&str>,
        summary: &'static str,
        ids: &[QueueId],
    ) -> Result<(), QueueError> {
        let Some(queue) = self.queue.as_mut().filter(|_| !ids.is_empty()) else { return Ok(()) };
        let count = self.counts.entry(summary).or_default();
        queue.order(verb, ids, &mut |id, outcome| match outcome {
            Outcome::Done => {
                *count += 1;
                if let Some(said) = said {
                    eprintln!("{NAME}: {id}: {said}");
                }
            }
            Outcome::Failed(why) => eprintln!("{NAME}: warning: {id}: {}", printable(&why)),
            Outcome::Unchanged | Outcome::NotFound => {}
        })
    }

    fn sum_up(&self, orders: &[(char, String)]) {
        for (letters, _, _, summary) in ORDERS {
            if orders.iter().any(|(letter, _)| letters.contains(*letter)) {
                let count = self.counts.get(summary).copied().unwrap_or(0);
                eprintln!("{NAME}: {summary}: {count} message{}", if count == 1 { "" } else { "s" });
            }
        }
    }
}

/// Those that are ids; the others are warned of. What Postfix takes for an id, and we never make, is no message's.
fn ids(words: impl Iterator<Item = String>) -> Vec<QueueId> {
    words
        .filter_map(|word| {
            if !is_id(&word) {
                eprintln!("{NAME}: warning: invalid mail queue id: {}", printable(&word));
            }
            word.parse().ok()
        })
        .collect()
}

/// Lines of bounded length; what is longer is cut, and then no id.
struct Lines<R>(R);

impl<R: BufRead> Iterator for Lines<R> {
    type Item = String;
    fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let count = self.0.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        if count == 0 {
            return None;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded() {
        let text = [b"A1B2C3\n\n".to_vec(), vec![b'x'; 9000], b"\nlast".to_vec()].concat();
        let lines: Vec<usize> = Lines(text.as_slice()).map(|line| line.len()).collect();
        assert_eq!(lines, [6, 0, 4096, 4096, 808, 4]);
    }

    #[test]
    fn what_letters_mean() {
        let verbs = |letter| meaning(letter).map(|(verb, ..)| verb).collect::<Vec<_>>();
        assert_eq!(verbs('f'), [Verb::Expire, Verb::Release]);
        assert_eq!(verbs('e'), [Verb::Expire]);
        assert_eq!(verbs('H'), [Verb::Release]);
        assert_eq!(verbs('d'), [Verb::Delete]);
        assert_eq!(ids(["ABCDEF".to_owned(), "../x".to_owned(), "abc".to_owned()].into_iter()).len(), 1);
    }
}
