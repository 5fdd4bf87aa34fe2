//! BDAT (RFC 3030, without BINARYMIME): counted content.
//!
//! A refused chunk's bytes are read and thrown away before the refusal goes out, or they would be taken for
//! commands. A count that can't be read leaves no way to go on: 521, as in Postfix.

use super::content::Content;
use super::flow::Step;
use super::transaction::Chunks;
use super::{Action, BareNewline, Keywords, Mode, Note, Request, Server, Wait, words};
use mail::{Dsn, Reply};

impl Server {
    pub(super) fn bdat_command(&mut self, step: &mut Step<'_>, text: &str, args: &str) {
        if !self.offers(Keywords::CHUNKING) {
            return self.refuse(
                step,
                Reply::new(521, Dsn::new(5, 5, 1), "Error: command not implemented"),
                true,
            );
        }
        let Some((left, last)) = count(args) else {
            self.warn(Note::MalformedBdat(words::printable(text).chars().take(100).collect()));
            return self.refuse(step, Reply::new(521, Dsn::new(5, 5, 4), "Syntax: BDAT count [LAST]"), true);
        };
        let chunks = self.transaction.as_ref().map(|t| t.chunks);
        if chunks == Some(Chunks::Failed) {
            let text = format!("Discarded {left} bytes after earlier error");
            return self.refuse_chunk(step, left, last, Reply::new(551, Dsn::new(5, 0, 0), text));
        }
        if let Some(reply) = self.no_content_yet() {
            return self.refuse_chunk(step, left, last, reply);
        }
        if chunks == Some(Chunks::None) {
            self.wait = Some(Wait::Bdat { left, last });
            self.actions.push_back(Action::Decide(Request::Data));
            return;
        }
        self.chunk_permitted(left, last);
    }

    /// The chunk will be read and refused.
    pub(super) fn refuse_chunk(&mut self, step: &mut Step<'_>, left: u64, last: bool, reply: Reply) {
        if let Some(transaction) = self.transaction.as_mut() {
            transaction.chunks = Chunks::Failed;
            transaction.content = None;
        }
        self.mode = Mode::Bdat { left, size: left, last, refusal: Some(Box::new(reply)) };
        // With nothing to skip there may be no further input to trigger the reply.
        self.take_chunk(step, &mut &[][..]);
    }

    /// The chunk's bytes are content.
    pub(super) fn chunk_permitted(&mut self, left: u64, last: bool) {
        let fresh = self.new_content();
        let limit = self.settings.message_size_limit;
        let Some(transaction) = self.transaction.as_mut() else { return };
        // Whole lines only: Postfix counts a line when it is there.
        let so_far = transaction.content.as_ref().map_or(0, Content::line_bytes);
        let mut refusal = None;
        if limit > 0 && so_far.saturating_add(left) > limit {
            let reply = Reply::new(552, Dsn::new(5, 3, 4), "Chunk exceeds message size limit");
            refusal = Some(Box::new(reply));
            transaction.chunks = Chunks::Failed;
            transaction.content = None;
            self.actions.push_back(Action::Note(Note::BdatTooLarge));
        } else {
            transaction.chunks = Chunks::Some;
            transaction.content.get_or_insert(fresh);
        }
        self.mode = Mode::Bdat { left, size: left, last, refusal };
    }

    /// Bytes of a chunk, and its end. False where more are needed.
    pub(super) fn take_chunk(&mut self, step: &mut Step<'_>, rest: &mut &[u8]) -> bool {
        let Mode::Bdat { left, size, last, refusal } = &mut self.mode else { return true };
        let now = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
        let (bytes, after) = rest.split_at_checked(now).unwrap_or((rest, &[]));
        *rest = after;
        *left = left.saturating_sub(u64::try_from(now).unwrap_or(u64::MAX));
        if refusal.is_none()
            && let Some(content) = self.transaction.as_mut().and_then(|t| t.content.as_mut())
        {
            content.binary(bytes);
            self.actions.extend(content.take_ready().map(Action::Chunk));
        }
        if *left > 0 {
            return false;
        }
        let (size, last, refusal) = (*size, *last, refusal.take());
        self.mode = Mode::Command;
        match refusal {
            Some(reply) => {
                if last {
                    self.forget();
                }
                self.fail(step, *reply);
            }
            None if self.bare_newline_refused(step, last) => {}
            None if last => {
                if let Some(content) = self.transaction.as_mut().and_then(|t| t.content.as_mut()) {
                    content.finish();
                    self.actions.extend(content.take_ready().map(Action::Chunk));
                }
                self.end_of_data(step);
            }
            None => self.succeed(step, Reply::new(250, Dsn::new(2, 0, 0), format!("Ok: {size} bytes"))),
        }
        true
    }
}

impl Server {
    /// `smtpd_forbid_bare_newline = reject` in a chunk.
    fn bare_newline_refused(&mut self, step: &mut Step<'_>, last: bool) -> bool {
        let BareNewline::Reject(code) = self.settings.forbid_bare_newline else { return false };
        let Some(transaction) = self.transaction.as_mut() else { return false };
        if self.peer.rights.bare_newline || !transaction.content.as_ref().is_some_and(Content::bare_newline) {
            return false;
        }
        (transaction.chunks, transaction.content) = (Chunks::Failed, None);
        self.state.bare_newline = true;
        self.warn(Note::BareNewline(if last { "END-OF-MESSAGE" } else { "BDAT content" }));
        if last {
            self.place = "END-OF-MESSAGE";
            self.forget();
        }
        let reply = self.bare_newline_reply(code);
        self.refuse(step, reply, matches!(code, 421 | 521));
        true
    }
}

/// `count [LAST]`.
fn count(args: &str) -> Option<(u64, bool)> {
    let mut words = args.split(words::is_space).filter(|word| !word.is_empty());
    let digits = words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit()))?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    let count = digits.parse::<u64>().ok().filter(|&count| i64::try_from(count).is_ok())?;
    words.next().is_none().then_some((count, last))
}
