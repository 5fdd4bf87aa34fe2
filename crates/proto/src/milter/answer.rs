//! What a filter answers, and what it wants changed.

use super::packet::{number, string};
use super::{Fault, Stage};

/// An answer to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Continue,
    /// Nothing against it, and nothing more wanted.
    Accept,
    /// Refuse.
    Reject,
    /// Refuse for now.
    TempFail,
    /// Take it and throw it away.
    Discard,
    /// Answer with this text.
    Reply(Vec<u8>),
    /// End the session.
    Shutdown,
    /// The connection failed.
    ConnectionFailed,
    /// No more of the body.
    Skip,
    /// It takes longer.
    Progress,
    /// Something is to be changed; more follows.
    Change(Change),
}

/// A modification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more header behind the others.
    AddHeader {
        /// Its name.
        name: Vec<u8>,
        /// Its value, lines parted by LF.
        value: Vec<u8>,
    },
    /// One more header at a place.
    InsertHeader {
        /// Behind so many others.
        index: u32,
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Another value for the header of this name and number; an empty one deletes it.
    ChangeHeader {
        /// 1 for the first of its name.
        index: u32,
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// A piece of another body, lines ended by CRLF.
    Body(Vec<u8>),
    /// One more recipient, with ESMTP parameters.
    AddRecipient(Vec<u8>, Option<Vec<u8>>),
    /// One recipient less.
    DeleteRecipient(Vec<u8>),
    /// Another sender, with ESMTP parameters.
    Sender(Vec<u8>, Option<Vec<u8>>),
    /// Hold it, and why.
    Quarantine(Vec<u8>),
}

impl Answer {
    /// The name in warnings.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Answer::Continue => "SMFIR_CONTINUE",
            Answer::Accept => "SMFIR_ACCEPT",
            Answer::Reject => "SMFIR_REJECT",
            Answer::TempFail => "SMFIR_TEMPFAIL",
            Answer::Discard => "SMFIR_DISCARD",
            Answer::Reply(_) => "SMFIR_REPLYCODE",
            Answer::Shutdown => "SMFIR_SHUTDOWN",
            Answer::ConnectionFailed => "SMFIR_CONN_FAIL",
            Answer::Skip => "SMFIR_SKIP",
            Answer::Progress => "SMFIR_PROGRESS",
            Answer::Change(change) => match change {
                Change::AddHeader { .. } => "SMFIR_ADDHEADER",
                Change::InsertHeader { .. } => "SMFIR_INSHEADER",
                Change::ChangeHeader { .. } => "SMFIR_CHGHEADER",
                Change::Body(_) => "SMFIR_REPLBODY",
                Change::AddRecipient(_, None) => "SMFIR_ADDRCPT",
                Change::AddRecipient(_, Some(_)) => "SMFIR_ADDRCPT_PAR",
                Change::DeleteRecipient(_) => "SMFIR_DELRCPT",
                Change::Sender(..) => "SMFIR_CHGFROM",
                Change::Quarantine(_) => "SMFIR_QUARANTINE",
            },
        }
    }

    pub(super) fn read(letter: u8, body: &[u8], stage: Stage) -> Result<Answer, Fault> {
        let mut rest = body;
        let short = || Fault::Short(stage.name());
        let text = |rest: &mut &[u8]| string(rest).map(<[u8]>::to_vec).ok_or_else(short);
        // Some filters leave the last NUL out.
        let last = |rest: &mut &[u8]| string(rest).unwrap_or(rest).to_vec();
        let change = match letter {
            b'c' => return Ok(Answer::Continue),
            b'a' => return Ok(Answer::Accept),
            b'r' => return Ok(Answer::Reject),
            b't' => return Ok(Answer::TempFail),
            b'd' => return Ok(Answer::Discard),
            b'4' => return Ok(Answer::Shutdown),
            b'f' => return Ok(Answer::ConnectionFailed),
            b's' => return Ok(Answer::Skip),
            b'p' => return Ok(Answer::Progress),
            b'y' => return Ok(Answer::Reply(last(&mut rest))),
            b'h' => Change::AddHeader { name: text(&mut rest)?, value: text(&mut rest)? },
            b'i' | b'm' => {
                let index = number(&mut rest).ok_or_else(short)?;
                let (name, value) = (text(&mut rest)?, text(&mut rest)?);
                match letter {
                    b'i' => Change::InsertHeader { index, name, value },
                    _ => Change::ChangeHeader { index, name, value },
                }
            }
            b'b' => Change::Body(body.to_vec()),
            b'+' => Change::AddRecipient(text(&mut rest)?, None),
            b'2' => {
                let address = text(&mut rest)?;
                Change::AddRecipient(address, Some(last(&mut rest)))
            }
            b'-' => Change::DeleteRecipient(text(&mut rest)?),
            b'e' => {
                let address = text(&mut rest)?;
                let arguments = last(&mut rest);
                Change::Sender(address, (!arguments.is_empty()).then_some(arguments))
            }
            b'q' => Change::Quarantine(last(&mut rest)),
            _ => return Err(Fault::Unexpected("(unknown filter reply)", stage.name())),
        };
        Ok(Answer::Change(change))
    }
}
