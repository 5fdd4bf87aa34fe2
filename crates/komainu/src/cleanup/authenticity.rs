//! Who sent a message: found out when all of it is in the spool, before milters see it and anybody hears that it was
//! taken.
//!
//! [`Message::authenticate`] hashes the body as it is read from the spool, asks the DNS about SPF and DKIM within its time,
//! takes out what claims to be an Authentication-Results header of ours, and puts ours on top (RFC 8601 §5). What is
//! found is a [`policy::authenticity::Authenticity`]; deciding by it is DMARC's. A stranger's mail only: who it is, the
//! session says. T2.28.

use super::Message;
use super::draft::{Draft, DraftError};
use crate::clock;
use crate::facts::authenticity;
use crate::session::labour::in_turn;
use events::Event;
use mail::Reply;
use mail::authentication_results::claims;
use mail::dkim::{Hashed, Verifier};
use mail::header::Header;
use policy::authenticity::{Authenticity, authors};
use policy::spf::Sender;
use std::net::IpAddr;
use store::SpoolError;
use tokio::time::Instant;

/// What is read at once.
const WINDOW_BYTES: usize = 64 << 10;
/// What is longer is hard work.
const HARD_BYTES: u64 = 256 << 10;

/// Who brings a message.
#[derive(Clone, Debug)]
pub struct Whence {
    /// From where.
    pub address: IpAddr,
    /// The name in HELO.
    pub helo: String,
    /// Neither in `mynetworks` nor logged in.
    pub is_stranger: bool,
}

impl Message {
    /// A client of SMTP brings it.
    #[must_use]
    pub fn brought_by(mut self, whence: Option<Whence>) -> Message {
        self.whence = whence.map(Box::new);
        self
    }

    /// Finds out who sent it, and writes that into it, where it is a stranger's.
    pub(super) async fn authenticate(&mut self) -> Result<Option<Authenticity>, Reply> {
        let settings = self.intake.rules.authenticating.clone();
        let Some(whence) = self.whence.take().filter(|whence| whence.is_stranger) else { return Ok(None) };
        if !settings.verifies {
            return Ok(None);
        }
        let mut draft = Draft::read(&self.incoming).map_err(|error| self.unreadable(&error))?;
        let texts = draft.texts(&self.incoming).map_err(|error| self.unreadable(&error))?;
        let headers: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_slice()).collect();
        let authors = authors(headers.iter().copied());
        let hashed = self.hashed(Verifier::new(&headers), draft.body_begins()).await;
        let hashed = hashed.map_err(|error| self.refusal(&error))?;
        let now = clock::now();
        let until = Instant::now().checked_add(settings.limit).unwrap_or_else(Instant::now);
        let sender = self.given.as_str().to_owned();
        let names = &self.intake.answers.names;
        let identity = Sender::mail_from(whence.address, &whence.helo, &sender);
        let (spf, dkim) = tokio::join!(
            authenticity::spf(names.as_ref(), &identity, &settings.id, until),
            authenticity::dkim(names, &hashed, now.wall, until)
        );
        let found =
            Authenticity { client: whence.address, helo: whence.helo.clone(), sender, spf, dkim, authors };
        self.say_authenticity(&found);
        // From behind, so that numbers stay true.
        for (number, _) in texts.iter().rev().filter(|(_, text)| is_forged(text, &settings.id)) {
            draft.remove(*number);
        }
        let mut header = found.results(&settings.id, Vec::new()).render().into_bytes();
        header.push(b'\n');
        draft.insert(0, header);
        let written = draft.write(&mut self.incoming);
        let written = written.and_then(|()| Ok(self.incoming.recount()?));
        written.map_err(|error| self.unreadable(&error))?;
        Ok(Some(found))
    }

    /// Shows the body to whoever verifies signatures; a long one in its turn, as its thread is everybody's.
    async fn hashed(&self, verifier: Verifier, body: u64) -> Result<Vec<Hashed>, SpoolError> {
        if verifier.is_empty() {
            return Ok(Vec::new());
        }
        let length = self.incoming.written().saturating_sub(body);
        let work = || self.read_body(verifier, body);
        if length > HARD_BYTES { in_turn(work).await } else { work() }
    }

    fn read_body(&self, mut verifier: Verifier, mut from: u64) -> Result<Vec<Hashed>, SpoolError> {
        let mut window = vec![0; WINDOW_BYTES];
        loop {
            let read = self.incoming.read_at(&mut window, from)?;
            let bytes = window.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(verifier.finish());
            }
            verifier.body(bytes);
            from = from.saturating_add(bytes.len() as u64);
        }
    }

    fn say_authenticity(&self, found: &Authenticity) {
        let text = format!("{}: authenticity: {}", self.id, found.summary());
        self.intake.log.write(&self.cleanup(), Event::Other(text.into()));
    }

    fn unreadable(&self, error: &DraftError) -> Reply {
        self.draft_failed(error, "to be authenticated")
    }
}

/// Whether it could be taken for what we have found out.
fn is_forged(text: &[u8], id: &str) -> bool {
    Header::parse(text).is_some_and(|header| claims(&header, id))
}
