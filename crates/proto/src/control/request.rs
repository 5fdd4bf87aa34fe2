//! What a tool asks for.

use super::FrameError;
use super::codec::{Reader, Writer};
use super::{Submission, To};
use mail::QueueId;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The greeting. Answered with `Welcome`.
    Hello {
        /// The tool's version of the protocol.
        version: u16,
    },
    /// Envelopes: of these messages, or of all where none is named. Answered with `Total`, then a `Message` or
    /// `Unreadable` for each that is there, then `Done`.
    List(Vec<QueueId>),
    /// One message with its content. Answered with `Message`, `Body`, `Done`.
    Read(QueueId),
    /// Something done with each of these. Answered with an `Ordered` for each, in order, then `Done`.
    Order(Verb, Vec<QueueId>),
    /// All that is deferred is due now. Answered with `Done`.
    FlushAll,
    /// All that waits for this domain is due now. Answered with `Done`.
    FlushSite(String),
    /// A message is handed in. Answered with `Done`; then come `To`, `Content` and `End`.
    Submit(Box<Submission>),
    /// Recipients of the message that is handed in. Not answered.
    To(Vec<To>),
    /// A piece of its content, lines with LF. Not answered.
    Content(Vec<u8>),
    /// That was all of it. Answered with `Queued` once it is durable.
    End,
}

/// What is done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// No further attempt.
    Hold,
    /// No longer on hold, and due.
    Release,
    /// Due, unless it is on hold.
    Flush,
    /// As if it were new.
    Requeue,
    /// Given back to its sender.
    Expire,
    /// Removed.
    Delete,
    /// Damaged: moved out of the queue into the spool's `corrupt` folder.
    SetAside,
}

const VERBS: [(u8, Verb); 7] = [
    (1, Verb::Hold),
    (2, Verb::Release),
    (3, Verb::Flush),
    (4, Verb::Requeue),
    (5, Verb::Expire),
    (6, Verb::Delete),
    (7, Verb::SetAside),
];

/// So that something else that speaks first is known for what it is.
const MAGIC: &str = "komainu control";

impl Request {
    /// The frame, with its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let all = |writer: Writer, ids: &[QueueId]| {
            ids.iter().fold(writer, |writer, id| writer.text(id.as_str())).finish()
        };
        match self {
            Request::Hello { version } => Writer::new(1).text(MAGIC).u16(*version).finish(),
            Request::List(ids) => all(Writer::new(2), ids),
            Request::Read(id) => Writer::new(3).text(id.as_str()).finish(),
            Request::Order(verb, ids) => {
                let number = VERBS.iter().find(|(_, known)| known == verb).map_or(0, |(number, _)| *number);
                all(Writer::new(4).u8(number), ids)
            }
            Request::FlushAll => Writer::new(5).finish(),
            Request::FlushSite(site) => Writer::new(6).text(site).finish(),
            Request::Submit(submission) => submission.write(Writer::new(7)).finish(),
            Request::To(all) => all.iter().fold(Writer::new(8), |writer, to| to.write(writer)).finish(),
            Request::Content(bytes) => Writer::new(9).bytes(bytes).finish(),
            Request::End => Writer::new(10).finish(),
        }
    }

    /// From a frame without its length.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decode(frame: &[u8]) -> Result<Request, FrameError> {
        let mut from = Reader::new(frame);
        let request = match from.u8()? {
            1 if from.text("greeting")? != MAGIC => return Err(FrameError::Value("greeting")),
            1 => Request::Hello { version: from.u16()? },
            2 => Request::List(from.ids()?),
            3 => Request::Read(from.id()?),
            4 => {
                let number = from.u8()?;
                let verb = VERBS.iter().find(|(known, _)| *known == number);
                let (_, verb) = verb.ok_or(FrameError::Value("verb"))?;
                Request::Order(*verb, from.ids()?)
            }
            5 => Request::FlushAll,
            6 => Request::FlushSite(from.text("site")?),
            7 => Request::Submit(Box::new(Submission::read(&mut from)?)),
            8 => {
                let mut all = Vec::new();
                while !from.is_empty() {
                    all.push(To::read(&mut from)?);
                }
                Request::To(all)
            }
            9 => Request::Content(from.bytes()?.to_vec()),
            10 => Request::End,
            other => return Err(FrameError::Kind(other)),
        };
        from.finish(request)
    }
}
