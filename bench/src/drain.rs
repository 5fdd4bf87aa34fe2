//! Until the queue has drained: how many messages have left it, read from the log as it grows.
//!
//! Every server logs `removed` for a message that is done, so one reader serves all. What is read costs the machine
//! the same for each. It doesn't look at what became of a message: rows whose mail could be refused count `status=sent`.

use crate::figures::Figures;
use crate::generate::{self, Load};
use crate::run;
use crate::server::Server;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// A queue of which nothing has left for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts lines of a growing log.
pub(crate) struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// What came behind the last whole line.
    rest: Vec<u8>,
    pub(crate) removed: u32,
    pub(crate) sent: u32,
    pub(crate) deferred: u32,
    pub(crate) bounced: u32,
}

impl Tail {
    /// From the log's beginning.
    pub(crate) fn new(folder: &Path) -> Tail {
        let path = folder.join("log/mail.log");
        Tail { path, file: None, rest: Vec::new(), removed: 0, sent: 0, deferred: 0, bounced: 0 }
    }

    /// Takes in what has come.
    pub(crate) fn look(&mut self) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        let mut new = std::mem::take(&mut self.rest);
        // What can't be read now is read at the next look.
        let _ = file.read_to_end(&mut new);
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest = new.split_off(whole);
        for line in new.split(|byte| *byte == b'\n') {
            self.count(line);
        }
    }

    fn count(&mut self, line: &[u8]) {
        if line.ends_with(b": removed") {
            self.removed += 1;
        } else if has(line, b", status=sent (") {
            self.sent += 1;
        } else if has(line, b", status=deferred (") {
            self.deferred += 1;
        } else if has(line, b", status=bounced (") {
            self.bounced += 1;
        }
    }

    /// A server that returns its mail is quick, and is no measure.
    pub(crate) fn is_fair(&self) -> Result<(), String> {
        if self.bounced > 0 { Err(format!("{} returned to their sender", self.bounced)) } else { Ok(()) }
    }
}

fn has(line: &[u8], word: &[u8]) -> bool {
    // The status stands behind the addresses; shorter lines have none.
    line.len() > 60 && line.windows(word.len()).any(|window| window == word)
}

/// Waits until `reached` says so; how long since `began`.
pub(crate) fn wait(
    tail: &mut Tail,
    began: Instant,
    patience: Duration,
    reached: impl Fn(&Tail) -> bool,
) -> Result<Duration, String> {
    let (mut last, mut moved) = ((0, 0, 0), Instant::now());
    loop {
        tail.look();
        if reached(tail) {
            return Ok(began.elapsed());
        }
        let now = (tail.removed, tail.sent, tail.deferred);
        if now != last {
            (last, moved) = (now, Instant::now());
        } else if moved.elapsed() > patience {
            return Err(format!("stuck at {} removed, {} sent, {} deferred", now.0, now.1, now.2));
        }
        std::thread::sleep(PAUSE);
    }
}

/// A load, and the time until the last of its messages has left the queue.
pub(crate) fn sample(server: &Server, load: &Load) -> Result<Figures, String> {
    let mut tail = Tail::new(server.folder());
    let (before, began) = (server.cpu_s(), Instant::now());
    let standing = generate::start(load)?;
    let outcome = loop {
        // Read while it grows, for every server alike.
        tail.look();
        if let Some(outcome) = standing.try_outcome()? {
            break outcome;
        }
        std::thread::sleep(PAUSE);
    };
    let done = outcome.done;
    let elapsed = wait(&mut tail, began, PATIENCE, |tail| tail.removed >= done)?;
    server.settle();
    let cpu = server.cpu_s() - before;
    tail.is_fair()?;
    if tail.sent < done {
        return Err(format!("{done} accepted, {} sent", tail.sent));
    }
    let accepted = f64::from(done) / outcome.elapsed.as_secs_f64().max(0.001);
    let mut figures = run::figures(&outcome, Some(cpu), server)?;
    figures.elapsed_s = elapsed.as_secs_f64();
    let note = format!("accepted at {accepted:.0}/s");
    figures.note = Some(figures.note.map_or(note.clone(), |other| format!("{note}; {other}")));
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn whole_lines_are_counted_once() {
        let folder = std::env::temp_dir().join(format!("komainu-bench-tail-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("log")).expect("made");
        let mut tail = Tail::new(&folder);
        tail.look();
        assert_eq!(tail.removed, 0, "no log yet");
        let mut log = File::create(folder.join("log/mail.log")).expect("made");
        let to = "Nov 22 19:00:00 mail postfix/smtp[1]: ABC: to=<user1@relay.example>, relay=x, dsn=2.0.0";
        write!(log, "x: ABC: removed\n{to}, status=sent (250 ok)\n{to}, status=defer").expect("written");
        tail.look();
        assert_eq!((tail.removed, tail.sent, tail.deferred), (1, 1, 0));
        writeln!(log, "red (no)\nx: DEF: removed").expect("written");
        tail.look();
        assert_eq!((tail.removed, tail.sent, tail.deferred), (2, 1, 1));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
