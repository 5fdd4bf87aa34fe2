//! A log's lines, one after the other, or folded in parts by several threads.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

/// What is read at once: it stays in a core's cache until its lines are folded.
const BLOCK_BYTES: usize = 256 * 1024;
/// What is kept of one line.
const LINE_BYTES: usize = 1024 * 1024;
/// So many blocks of a packed log may be folded before it is its turn: 64 MB of text.
const AHEAD: usize = 256;

/// What lines add up to.
pub(in crate::cli) trait Fold {
    /// What lines that follow each other add up to.
    type Part: Send;

    /// Nothing yet.
    fn part(&self) -> Self::Part;
    /// The same, by another.
    fn another(part: &Self::Part) -> Self::Part;
    /// Takes a line, without its end.
    fn feed(part: &mut Self::Part, line: &[u8]);
    /// Adds a part, which is empty then. Parts come in the order of their lines.
    fn merge(&mut self, part: &mut Self::Part);
}

/// Hands each line of `input` to `take`, without its end.
///
/// # Errors
/// Those of `input`; the lines before were handed over.
pub(crate) fn each_line(input: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut blocks = Blocks::new(input);
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    while blocks.fill(&mut block)? {
        lines(&block, &mut take);
    }
    Ok(())
}

/// Folds the lines of `input`, on as many threads.
///
/// # Errors
/// Those of `input`; the lines before were folded.
pub(super) fn fold<F: Fold>(input: impl Read, threads: usize, fold: &mut F) -> io::Result<()> {
    let mut blocks = Blocks::new(input);
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut part = fold.part();
    // What is over after a block isn't worth a thread.
    while blocks.fill(&mut block)? {
        lines(&block, |line| F::feed(&mut part, line));
        fold.merge(&mut part);
        if threads > 1 && !blocks.ended {
            return several(&mut blocks, threads, fold);
        }
    }
    Ok(())
}

/// Blocks go to the threads in turns, and come back in the same turns.
fn several<F: Fold>(blocks: &mut Blocks<impl Read>, threads: usize, fold: &mut F) -> io::Result<()> {
    thread::scope(|scope| {
        let workers: Vec<Worker<F::Part>> = (0..threads)
            .map(|_| {
                let (jobs, given) = sync_channel::<Job<F::Part>>(2);
                let (done, ready) = sync_channel(2);
                scope.spawn(move || {
                    for (block, mut part) in given {
                        lines(&block, |line| F::feed(&mut part, line));
                        if done.send((block, part)).is_err() {
                            break;
                        }
                    }
                });
                Worker { jobs, ready }
            })
            .collect();
        let (mut sent, mut merged) = (0_usize, 0_usize);
        let next = |merged: &mut usize, fold: &mut F| {
            let (block, mut part) = workers.get(*merged % threads)?.ready.recv().ok()?;
            *merged += 1;
            fold.merge(&mut part);
            Some((block, part))
        };
        let outcome = loop {
            let job = if sent - merged < threads * 2 { None } else { next(&mut merged, fold) };
            let (mut block, part) = job.unwrap_or_else(|| (Vec::with_capacity(BLOCK_BYTES), fold.part()));
            match blocks.fill(&mut block) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            // A thread that is gone has panicked, and the scope says so.
            let Some(worker) = workers.get(sent % threads) else { break Ok(()) };
            if worker.jobs.send((block, part)).is_err() {
                break Ok(());
            }
            sent += 1;
        };
        while merged < sent && next(&mut merged, fold).is_some() {}
        drop(workers);
        outcome
    })
}

/// A packed log that a thread of its own unpacks and folds in parts, perhaps before it is its turn.
pub(super) struct Ahead<P> {
    parts: Receiver<io::Result<P>>,
    /// Parts that are empty again.
    emptied: SyncSender<P>,
}

/// Begins with a log; `part` is empty.
pub(super) fn ahead<'scope, F: Fold>(
    scope: &'scope Scope<'scope, '_>,
    log: impl Read + Send + 'scope,
    part: F::Part,
) -> Ahead<F::Part>
where
    F::Part: 'scope,
{
    let (done, parts) = sync_channel(AHEAD);
    let (emptied, spare) = sync_channel(AHEAD);
    scope.spawn(move || {
        let mut blocks = Blocks::new(log);
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        loop {
            let folded = match blocks.fill(&mut block) {
                Ok(true) => {
                    let mut fresh = spare.try_recv().unwrap_or_else(|_| F::another(&part));
                    lines(&block, |line| F::feed(&mut fresh, line));
                    Ok(fresh)
                }
                Ok(false) => break,
                Err(error) => Err(error),
            };
            let failed = folded.is_err();
            if done.send(folded).is_err() || failed {
                break;
            }
        }
    });
    Ahead { parts, emptied }
}

impl<P> Ahead<P> {
    /// Adds its parts: now it is its turn.
    ///
    /// # Errors
    /// Those of the log; the lines before were folded.
    pub(super) fn fold<F: Fold<Part = P>>(self, fold: &mut F) -> io::Result<()> {
        for part in self.parts {
            let mut part = part?;
            fold.merge(&mut part);
            // Where there are enough of them, one less.
            let _ = self.emptied.try_send(part);
        }
        Ok(())
    }
}

/// A block, and the part that its lines are fed to.
type Job<P> = (Vec<u8>, P);

struct Worker<P> {
    jobs: SyncSender<Job<P>>,
    ready: Receiver<Job<P>>,
}

fn lines(block: &[u8], mut take: impl FnMut(&[u8])) {
    let mut rest = block;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, b""));
        take(line);
        rest = behind.get(1..).unwrap_or_default();
    }
}

/// Whole lines, as many as a block has room for.
struct Blocks<R> {
    input: R,
    /// The start of the line that the last block had no room for.
    begun: Vec<u8>,
    /// The rest of a line is to be passed over.
    inside: bool,
    ended: bool,
    error: Option<io::Error>,
}

impl<R: Read> Blocks<R> {
    fn new(input: R) -> Blocks<R> {
        Blocks { input, begun: Vec::new(), inside: false, ended: false, error: None }
    }

    /// Puts the next lines into `block`; false where there are no more.
    fn fill(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            block.clear();
            block.append(&mut self.begun);
            self.read(block);
            if self.inside {
                let Some(end) = memchr::memchr(b'\n', block) else {
                    if self.ended {
                        block.clear();
                        break;
                    }
                    continue;
                };
                self.inside = false;
                block.drain(..=end);
            }
            if self.ended {
                break;
            }
            match memchr::memrchr(b'\n', block) {
                Some(last) => self.begun.extend_from_slice(block.get(last + 1..).unwrap_or_default()),
                // A rest of it may have been drained: there is room for more of this line then.
                None if block.len() < LINE_BYTES => {
                    self.begun.append(block);
                    continue;
                }
                None => self.inside = true,
            }
            block.truncate(block.len() - self.begun.len());
            if !block.is_empty() {
                break;
            }
        }
        match self.error.take() {
            Some(error) if block.is_empty() => Err(error),
            error => {
                self.error = error;
                Ok(!block.is_empty())
            }
        }
    }

    fn read(&mut self, block: &mut Vec<u8>) {
        // More than a block is the start of one line.
        let most = if block.len() < BLOCK_BYTES { BLOCK_BYTES } else { LINE_BYTES };
        let mut end = block.len();
        block.resize(most.min(end.saturating_add(BLOCK_BYTES)), 0);
        while let Some(room) = block.get_mut(end..).filter(|room| !room.is_empty()) {
            match self.input.read(room) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => end = end.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.error.get_or_insert(error);
                    break;
                }
            }
        }
        block.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// The lines and where each stood, in order.
    #[derive(Default)]
    struct All(Vec<Vec<u8>>);

    impl Fold for All {
        type Part = Vec<Vec<u8>>;

        fn part(&self) -> Self::Part {
            Vec::new()
        }

        fn another(_: &Self::Part) -> Self::Part {
            Vec::new()
        }

        fn feed(part: &mut Self::Part, line: &[u8]) {
            part.push(line.to_vec());
        }

        fn merge(&mut self, part: &mut Self::Part) {
            self.0.append(part);
        }
    }

    fn lines_of(input: impl Read) -> Vec<Vec<u8>> {
        let mut all = All::default();
        fold(input, 1, &mut all).unwrap();
        all.0
    }

    #[test]
    fn lines_over_blocks_and_without_an_end() {
        for length in [BLOCK_BYTES - 7, BLOCK_BYTES, 2 * BLOCK_BYTES + 5, LINE_BYTES - 1] {
            let text = format!("a\n\n{}\nb", "x".repeat(length));
            let lengths: Vec<usize> = lines_of(text.as_bytes()).iter().map(Vec::len).collect();
            assert_eq!(lengths, [1, 0, length, 1]);
        }
    }

    #[test]
    fn of_a_long_line_the_start_is_kept() {
        let long = |byte: &str, more: usize| byte.repeat(LINE_BYTES + more);
        let text = format!("{}\nb\n{}\nc\n{}", long("x", 5), long("y", 2 * LINE_BYTES), long("z", 0));
        let lengths: Vec<usize> = lines_of(text.as_bytes()).iter().map(Vec::len).collect();
        assert_eq!(lengths, [LINE_BYTES, 1, LINE_BYTES, 1, LINE_BYTES]);
        let starts: Vec<u8> =
            lines_of(text.as_bytes()).iter().filter_map(|line| line.first().copied()).collect();
        assert_eq!(starts, *b"xbycz");
    }

    #[test]
    fn threads_change_nothing() {
        let mut text = Vec::new();
        for number in 0..60_000_u64 {
            let length = usize::try_from(number * 7919 % 173).unwrap();
            text.extend_from_slice(format!("{number} {}\n", "x".repeat(length)).as_bytes());
            if number == 30_000 {
                text.extend_from_slice("y".repeat(LINE_BYTES * 3).as_bytes());
                text.push(b'\n');
            }
        }
        text.extend_from_slice(b"no end");
        let expected = lines_of(text.as_slice());
        assert_eq!(expected.len(), 60_002);
        for threads in [1, 2, 3, 7] {
            let mut all = All::default();
            fold(text.as_slice(), threads, &mut all).unwrap();
            assert!(all.0 == expected, "{threads} threads");
        }
    }

    #[test]
    fn what_stands_before_an_error_is_folded() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        for length in [0, 100, BLOCK_BYTES * 5] {
            let text = "a line\n".repeat(length / 7);
            let mut all = All::default();
            let error = fold(Cursor::new(text.clone()).chain(Broken), 2, &mut all).unwrap_err();
            assert_eq!(error.to_string(), "broken");
            assert_eq!(all.0.len(), length / 7);
        }
    }
}
