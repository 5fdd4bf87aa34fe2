//! What is kept of a conversation for the postmaster (`notify_classes = protocol`).
//!
//! The server's lines and our commands, not the message, and nothing that we log in with. A server is to blame whose
//! reply isn't one, or says that our command was none. T1.13.

use super::replies::Said;
use super::{Client, Phase, words};
use crate::transcript::{Fault, Transcript};

impl Client {
    /// The same conversation; what is said is kept.
    #[must_use]
    pub fn with_transcript(mut self) -> Client {
        self.transcript = Some(Box::default());
        self.replies.keeps_lines = true;
        self
    }

    /// What was said so far, where that is kept and the server did what it should not.
    #[must_use]
    pub fn complaint(&self) -> Option<&Transcript> {
        self.transcript.as_deref().filter(|transcript| transcript.has(Fault::Protocol))
    }

    /// A reply is about to be judged.
    pub(super) fn overheard(&mut self, said: &Said) {
        let is_odd = self.is_odd(said);
        self.overheard_nothing();
        if is_odd && let Some(transcript) = &mut self.transcript {
            transcript.blame(Fault::Protocol);
        }
    }

    /// Lines that came, whether or not they are a reply.
    pub(super) fn overheard_nothing(&mut self) {
        let Some(transcript) = &mut self.transcript else { return };
        for line in self.replies.lines_read.drain(..) {
            transcript.heard(&line);
        }
        if std::mem::take(&mut self.replies.has_nonsense) {
            transcript.blame(Fault::Protocol);
        }
    }

    /// Whether a reply isn't one to what was asked, or says that we don't speak SMTP.
    fn is_odd(&self, said: &Said) -> bool {
        let asked = match self.phase {
            Phase::Greeting | Phase::Helo | Phase::Envelope | Phase::Dot => true,
            Phase::Body | Phase::Pause => return said.class() == 2,
            _ => false,
        };
        let is_data = self.phase == Phase::Envelope && self.envelope.doing() == words::DATA;
        let expected = if is_data { [3, 4, 5] } else { [2, 4, 5] };
        asked && (!expected.contains(&said.class()) || matches!(said.code, 500..=509 | 555))
    }

    /// We said something, in this phase.
    pub(super) fn spoke(&mut self, phase: Phase, bytes: Option<&[u8]>) {
        let Some(transcript) = &mut self.transcript else { return };
        match bytes {
            None | Some([]) => {}
            Some(_) if phase == Phase::Login && self.phase == Phase::Login => transcript.said_secret(),
            Some(bytes) => transcript.said(bytes),
        }
    }
}
