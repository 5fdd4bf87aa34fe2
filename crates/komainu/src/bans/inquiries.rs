//! `ignorecommand`: commands that are asked whom to spare, apart and a few at a time, each for a bounded time.

use super::wake::Waker;
use crate::firewall::verdict;
use ban::action::Script;
use ban::filter::Failure;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Commands that run at a time.
const WORKERS: usize = 4;
/// While so many wait, no log is read on.
const WAITING_MAX: usize = 256;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A failure of somebody whom a command may spare.
pub(super) struct Inquiry {
    pub(super) jail: String,
    pub(super) failure: Failure,
    pub(super) source: String,
    pub(super) line: Vec<u8>,
    pub(super) is_live: bool,
    pub(super) elsewhere: u32,
    pub(super) script: Script,
    /// What the answer is kept by: `ignorecache`.
    pub(super) key: Option<String>,
}

/// What a command said: whether to spare, or why it said nothing.
pub(super) type Verdict = Result<bool, String>;

/// Questions, and what came of them.
type Workers = (Sender<Inquiry>, Receiver<(Inquiry, Verdict)>);

/// How the threads are reached.
pub(super) struct Inquiries {
    workers: Option<Workers>,
    waiting: usize,
    waker: Waker,
}

impl Inquiries {
    pub(super) fn new(waker: Waker) -> Inquiries {
        Inquiries { workers: None, waiting: 0, waker }
    }

    /// Whether whoever has questions should wait for answers first.
    pub(super) fn are_full(&self) -> bool {
        self.waiting >= WAITING_MAX
    }

    /// Whether all answers are there.
    pub(super) fn are_done(&self) -> bool {
        self.waiting == 0
    }

    fn start(&self) -> io::Result<Workers> {
        let (inquiries, asked) = mpsc::channel::<Inquiry>();
        let (answers, answered) = mpsc::channel();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..WORKERS {
            let (asked, answers, waker) = (Arc::clone(&asked), answers.clone(), self.waker.clone());
            let run = move || loop {
                let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(inquiry) = next else { return };
                let said = verdict(&inquiry.script, PATIENCE);
                if answers.send((inquiry, said)).is_err() {
                    return;
                }
                waker.wake();
            };
            std::thread::Builder::new().name("bans-asks".into()).spawn(run)?;
        }
        Ok((inquiries, answered))
    }

    /// Has a command asked. Never waits.
    ///
    /// # Errors
    /// The question, where there can be no threads.
    pub(super) fn ask(&mut self, inquiry: Inquiry) -> Result<(), Box<(Inquiry, String)>> {
        if self.workers.is_none() {
            match self.start() {
                Ok(workers) => self.workers = Some(workers),
                Err(error) => return Err(Box::new((inquiry, format!("no thread: {error}")))),
            }
        }
        let Some((inquiries, _)) = &self.workers else { return Ok(()) };
        match inquiries.send(inquiry) {
            Ok(()) => {
                self.waiting += 1;
                Ok(())
            }
            Err(mpsc::SendError(inquiry)) => Err(Box::new((inquiry, "its thread has ended".to_owned()))),
        }
    }

    pub(super) fn answer(&mut self) -> Option<(Inquiry, Verdict)> {
        let (_, answered) = self.workers.as_ref()?;
        let answer = answered.try_recv().ok()?;
        self.waiting = self.waiting.saturating_sub(1);
        Some(answer)
    }
}
