//! Queued mail as people look at it: the same view, whether a server runs or only its spool is there.
//!
//! [`Queue`] asks the running server over its control socket, or opens the stopped spool; the tools (`komainu queue`,
//! mailq, postqueue, postsuper, postcat) know no difference. Nothing is printed here. T2.14.

mod dropped;
pub(crate) mod frames;
pub(crate) mod place;
pub(crate) mod running;
pub(crate) mod shelf;
mod stopped;

use mail::QueueId;
use proto::control::{Cause, Outcome, State, Verb};
use queue::Entry;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use dropped::dropped;

/// One message.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its number in the spool.
    pub(crate) number: u64,
    /// Where it stands.
    pub(crate) state: State,
    /// Its envelope; without what only root may see, for others.
    pub(crate) entry: Entry,
}

/// What a look at the queue gives.
pub(crate) enum Item {
    /// How many messages there are, first.
    Total(u64),
    /// A message.
    Message(Box<Listed>),
    /// One that the spool can't give: its number, and why.
    Unreadable(u64, String),
}

/// Why the queue can't be looked at, or not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    /// The server refuses.
    #[error("{1}")]
    Refused(Cause, String),
    /// What came over the control socket is no reply.
    #[error("{path}: {source}", path = path.display())]
    Socket { path: PathBuf, source: io::Error },
    /// No server runs, and the caller may not read the spool.
    #[error("no server runs on {path}, and its spool can't be read: {source}", path = path.display())]
    Stopped { path: PathBuf, source: io::Error },
    /// There is no spool.
    #[error("there is no queue below {path}", path = .0.display())]
    Nowhere(PathBuf),
    /// The spool's own words.
    #[error("{path}: {source}", path = path.display())]
    Spool { path: PathBuf, source: store::SpoolError },
    /// Only a server delivers.
    #[error("no server runs on {path}: nothing can be delivered now", path = .0.display())]
    NotRunning(PathBuf),
    /// Whoever takes what is found wants no more.
    #[error("{0}")]
    Output(#[from] io::Error),
}

/// The queue of one state folder.
pub(crate) enum Queue {
    /// A server has it.
    Running(running::Connection),
    /// Nobody has it.
    Stopped(stopped::Stopped),
}

/// Takes what a look gives; an error ends it.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Item) -> io::Result<()>;

impl Queue {
    /// Finds the server, or else the spool.
    ///
    /// # Errors
    /// Where there is neither, or they may not be had.
    pub(crate) fn open(state: &Path) -> Result<Queue, QueueError> {
        match running::Connection::awaited(state)? {
            Some(connection) => Ok(Queue::Running(connection)),
            None => Ok(Queue::Stopped(stopped::Stopped::open(state)?)),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Queue::Running(_))
    }

    /// The messages of these ids, or all where none is named, in order of their arrival.
    pub(crate) fn list(&mut self, ids: &[QueueId], each: Sink<'_>) -> Result<(), QueueError> {
        match self {
            Queue::Running(connection) => connection.list(ids, each),
            Queue::Stopped(spool) => spool.list(ids, each),
        }
    }

    /// Has something done with each of these messages; `each` is told what became of it.
    pub(crate) fn order(
        &mut self,
        verb: Verb,
        ids: &[QueueId],
        each: &mut dyn FnMut(&QueueId, Outcome),
    ) -> Result<(), QueueError> {
        match self {
            Queue::Running(connection) => connection.order(verb, ids, each),
            Queue::Stopped(spool) => spool.order(verb, ids, each),
        }
    }

    /// Keeps apart what is damaged in the log of a stopped server; a running one did so when it started.
    pub(crate) fn keep_apart(&mut self) -> Result<(), QueueError> {
        match self {
            Queue::Running(_) => Ok(()),
            Queue::Stopped(spool) => spool.keep_apart(),
        }
    }

    /// One message; its content goes to `to` piece by piece. `None` where it isn't there.
    pub(crate) fn read(
        &mut self,
        id: &QueueId,
        to: &mut dyn FnMut(&Listed, &[u8]) -> io::Result<()>,
    ) -> Result<Option<Box<Listed>>, QueueError> {
        match self {
            Queue::Running(connection) => connection.read(id, to),
            Queue::Stopped(spool) => spool.content(id, to),
        }
    }

    /// All that is deferred is due now.
    pub(crate) fn flush_all(&mut self) -> Result<(), QueueError> {
        match self {
            Queue::Running(connection) => connection.ask(&proto::control::Request::FlushAll),
            Queue::Stopped(spool) => Err(spool.not_running()),
        }
    }

    /// All that waits for this domain is due now.
    pub(crate) fn flush_site(&mut self, site: &str) -> Result<(), QueueError> {
        match self {
            Queue::Running(connection) => {
                connection.ask(&proto::control::Request::FlushSite(site.to_owned()))
            }
            Queue::Stopped(spool) => Err(spool.not_running()),
        }
    }
}
