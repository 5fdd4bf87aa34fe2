//! Names that a log has where addresses are wanted (`usedns`): looked up apart, as it may take long.

use super::wake::Waker;
use ban::filter::Failure;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

/// Questions that may wait; a log full of names brings no more.
const QUESTIONS_MAX: usize = 1_024;
/// How long an answer holds.
const MEMORY: Duration = Duration::from_secs(300);
/// How many are remembered.
const ANSWERS_MAX: usize = 10_000;

/// A failure of somebody who has only a name.
pub(super) struct Question {
    pub(super) jail: String,
    pub(super) name: String,
    pub(super) failure: Failure,
    pub(super) source: String,
    pub(super) line: Vec<u8>,
    pub(super) is_live: bool,
}

/// How the thread is reached.
pub(super) struct Names {
    questions: SyncSender<Question>,
    answers: Receiver<(Question, Vec<IpAddr>)>,
}

impl Names {
    pub(super) fn start(waker: Waker) -> io::Result<Names> {
        let (questions, asked) = mpsc::sync_channel::<Question>(QUESTIONS_MAX);
        let (sender, answers) = mpsc::sync_channel(QUESTIONS_MAX);
        let run = move || {
            let mut known: HashMap<String, (Instant, Vec<IpAddr>)> = HashMap::new();
            for question in asked {
                let held = known.get(&question.name).filter(|(at, _)| at.elapsed() < MEMORY);
                let addresses = held.map_or_else(|| look_up(&question.name), |(_, held)| held.clone());
                if known.len() >= ANSWERS_MAX {
                    known.clear();
                }
                known.insert(question.name.clone(), (Instant::now(), addresses.clone()));
                if sender.send((question, addresses)).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        std::thread::Builder::new().name("bans-names".into()).spawn(run)?;
        Ok(Names { questions, answers })
    }

    /// Never waits; what there is no room for is dropped.
    pub(super) fn ask(&self, question: Question) {
        let _ = self.questions.try_send(question);
    }

    pub(super) fn answer(&self) -> Option<(Question, Vec<IpAddr>)> {
        self.answers.try_recv().ok()
    }
}

pub(super) fn look_up(name: &str) -> Vec<IpAddr> {
    let found = (name, 0).to_socket_addrs().into_iter().flatten();
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
