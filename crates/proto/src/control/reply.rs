//! What the server answers.

use super::FrameError;
use super::codec::{Reader, Writer};
use mail::QueueId;

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The greeting's answer.
    Welcome {
        /// The server's version of the protocol.
        version: u16,
    },
    /// How many messages are looked at.
    Total(u64),
    /// One message's envelope.
    Message {
        /// Its number in the spool.
        number: u64,
        /// Where it stands.
        state: State,
        /// Its envelope, encoded as in the spool.
        entry: Vec<u8>,
    },
    /// A message that the spool can't give.
    Unreadable {
        /// Its number in the spool.
        number: u64,
        /// Why.
        why: String,
    },
    /// A piece of the content.
    Body(Vec<u8>),
    /// What became of an order.
    Ordered(QueueId, Outcome),
    /// The request is answered.
    Done,
    /// A message that was handed in is durable, under this id.
    Queued(QueueId),
    /// The request is not answered, or not to its end.
    Refused(Cause, String),
}

/// Where a message stands: Postfix's names of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not tried yet.
    Incoming,
    /// Being delivered.
    Active,
    /// Tried, to be tried again.
    Deferred,
    /// Not tried until somebody releases it.
    Hold,
    /// Handed in, and not taken in by a server yet.
    Maildrop,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and durable.
    Done,
    /// It was so already.
    Unchanged,
    /// There is no such message.
    NotFound,
    /// It could not be done.
    Failed(String),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another version, or no request of the protocol.
    Protocol,
    /// The caller may not.
    Forbidden,
    /// There is no such message.
    NotFound,
    /// `fast_flush_domains` doesn't have this site.
    NotEligible,
    /// Too many ask at once.
    Busy,
    /// The server tried, and failed.
    Failed,
    /// The message is larger than `message_size_limit`.
    TooLarge,
}

const STATES: [(u8, State, &str); 5] = [
    (1, State::Incoming, "incoming"),
    (2, State::Active, "active"),
    (3, State::Deferred, "deferred"),
    (4, State::Hold, "hold"),
    (5, State::Maildrop, "maildrop"),
];

const CAUSES: [(u8, Cause); 7] = [
    (1, Cause::Protocol),
    (2, Cause::Forbidden),
    (3, Cause::NotFound),
    (4, Cause::NotEligible),
    (5, Cause::Busy),
    (6, Cause::Failed),
    (7, Cause::TooLarge),
];

impl State {
    /// As Postfix names the queue.
    #[must_use]
    pub fn name(self) -> &'static str {
        STATES.iter().find(|(_, state, _)| *state == self).map_or("", |(_, _, name)| name)
    }

    /// From its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<State> {
        STATES.iter().find(|(_, _, known)| *known == name).map(|(_, state, _)| *state)
    }

    /// Those of mail in the queue.
    #[must_use]
    pub fn all() -> [State; 4] {
        [State::Incoming, State::Active, State::Deferred, State::Hold]
    }
}

impl Reply {
    /// The frame, with its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Reply::Welcome { version } => Writer::new(129).u16(*version).finish(),
            Reply::Total(count) => Writer::new(130).u64(*count).finish(),
            Reply::Message { number, state, entry } => {
                let state = STATES.iter().find(|(_, known, _)| known == state).map_or(0, |(n, _, _)| *n);
                Writer::new(131).u64(*number).u8(state).bytes(entry).finish()
            }
            Reply::Unreadable { number, why } => Writer::new(132).u64(*number).text(why).finish(),
            Reply::Body(bytes) => Writer::new(133).bytes(bytes).finish(),
            Reply::Ordered(id, outcome) => {
                let writer = Writer::new(134).text(id.as_str());
                match outcome {
                    Outcome::Done => writer.u8(1),
                    Outcome::Unchanged => writer.u8(2),
                    Outcome::NotFound => writer.u8(3),
                    Outcome::Failed(why) => writer.u8(4).text(why),
                }
                .finish()
            }
            Reply::Done => Writer::new(135).finish(),
            Reply::Queued(id) => Writer::new(137).text(id.as_str()).finish(),
            Reply::Refused(cause, text) => {
                let cause = CAUSES.iter().find(|(_, known)| known == cause).map_or(0, |(number, _)| *number);
                Writer::new(136).u8(cause).text(text).finish()
            }
        }
    }

    /// From a frame without its length.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decode(frame: &[u8]) -> Result<Reply, FrameError> {
        let mut from = Reader::new(frame);
        let reply = match from.u8()? {
            129 => Reply::Welcome { version: from.u16()? },
            130 => Reply::Total(from.u64()?),
            131 => {
                let (number, state) = (from.u64()?, from.u8()?);
                let state = STATES.iter().find(|(known, _, _)| *known == state);
                let (_, state, _) = state.ok_or(FrameError::Value("state"))?;
                Reply::Message { number, state: *state, entry: from.bytes()?.to_vec() }
            }
            132 => Reply::Unreadable { number: from.u64()?, why: from.text("reason")? },
            133 => Reply::Body(from.bytes()?.to_vec()),
            134 => {
                let id = from.id()?;
                let outcome = match from.u8()? {
                    1 => Outcome::Done,
                    2 => Outcome::Unchanged,
                    3 => Outcome::NotFound,
                    4 => Outcome::Failed(from.text("reason")?),
                    _ => return Err(FrameError::Value("outcome")),
                };
                Reply::Ordered(id, outcome)
            }
            135 => Reply::Done,
            136 => {
                let number = from.u8()?;
                let cause = CAUSES.iter().find(|(known, _)| *known == number);
                let (_, cause) = cause.ok_or(FrameError::Value("cause"))?;
                Reply::Refused(*cause, from.text("reason")?)
            }
            137 => Reply::Queued(from.id()?),
            other => return Err(FrameError::Kind(other)),
        };
        from.finish(reply)
    }
}
