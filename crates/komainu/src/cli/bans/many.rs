//! Logs read by several threads at once, and told of in the order of their lines.

use super::read::Lines;
use ban::filter::{Block, Scout};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Blocks that are on their way to one thread and back.
const ON_THE_WAY: usize = 2;

/// A block of a log, and what a scout saw in it.
pub(super) struct Seen {
    pub(super) text: Vec<u8>,
    pub(super) block: Block,
    /// The first lines that nothing became of, and where they begin.
    pub(super) missed: Vec<(usize, String)>,
}

/// How a log is read.
pub(super) struct Plan<'p> {
    pub(super) threads: usize,
    pub(super) now_us: i64,
    /// How many missed lines of a block are kept.
    pub(super) missed_max: usize,
    pub(super) scout: &'p (dyn Fn() -> Option<Scout> + Sync),
}

impl Plan<'_> {
    fn seen(&self, scout: &mut Scout, text: Vec<u8>) -> Seen {
        let mut missed = Vec::new();
        let block = scout.look(&text, self.now_us, &mut |at, line| {
            if missed.len() < self.missed_max {
                missed.push((at, String::from_utf8_lossy(line).trim_end().to_owned()));
            }
        });
        Seen { text, block, missed }
    }

    /// Has all of a log looked at; `take` gives the text back. False where its filter's lines can't be taken by themselves: nothing was read then.
    pub(super) fn read(&self, lines: &mut Lines, take: &mut dyn FnMut(Seen) -> Vec<u8>) -> io::Result<bool> {
        let Some(mut scout) = (self.scout)() else { return Ok(false) };
        // A short log isn't worth a thread.
        let Some(first) = lines.block_in(Vec::new())? else { return Ok(true) };
        let mut spare = take(self.seen(&mut scout, first));
        if self.threads > 1 {
            self.share(lines, take, spare)?;
            return Ok(true);
        }
        while let Some(text) = lines.block_in(spare)? {
            spare = take(self.seen(&mut scout, text));
        }
        Ok(true)
    }

    /// Each thread has its turn.
    fn share(
        &self,
        lines: &mut Lines,
        take: &mut dyn FnMut(Seen) -> Vec<u8>,
        first: Vec<u8>,
    ) -> io::Result<()> {
        std::thread::scope(|scope| {
            let mut hands: Vec<(SyncSender<Vec<u8>>, Receiver<Seen>)> = Vec::new();
            let gone = || io::Error::other("a thread has ended");
            let (mut on_the_way, mut spare) = (0, vec![first]);
            let (mut next_in, mut next_out) = (0_usize, 0_usize);
            loop {
                let text = lines.block_in(spare.pop().unwrap_or_default())?;
                let most = if text.is_some() { ON_THE_WAY * self.threads } else { 1 };
                while on_the_way >= most {
                    let (_, from) = hands.get(next_out % self.threads).ok_or_else(gone)?;
                    spare.push(take(from.recv().map_err(|_| gone())?));
                    next_out += 1;
                    on_the_way -= 1;
                }
                let Some(text) = text else { return Ok(()) };
                if hands.len() < self.threads {
                    let (to, work) = sync_channel::<Vec<u8>>(ON_THE_WAY);
                    let (done, from) = sync_channel(ON_THE_WAY);
                    let mut scout = (self.scout)().ok_or_else(gone)?;
                    scope.spawn(move || {
                        for text in work {
                            if done.send(self.seen(&mut scout, text)).is_err() {
                                return;
                            }
                        }
                    });
                    hands.push((to, from));
                }
                let (to, _) = hands.get(next_in % self.threads).ok_or_else(gone)?;
                to.send(text).map_err(|_| gone())?;
                next_in += 1;
                on_the_way += 1;
            }
        })
    }
}
