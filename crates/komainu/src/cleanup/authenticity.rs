//! Who sent a message: found out when all of it is in the spool, before milters see it and anybody hears that it was
//! taken.
//!
//! [`Message::authenticate`] hashes the body as it is read from the spool, asks the DNS about SPF and DKIM within its time,
//! takes out what claims to be an Authentication-Results header of ours, and puts ours on top (RFC 8601 §5). What its
//! author domain wants done by DMARC is done, where that is enforced. A stranger's mail only: who it is, the session
//! says. T2.28.

use super::Message;
use super::draft::{Draft, DraftError};
use crate::clock;
use crate::configuration::Dmarc;
use crate::counted::Counted;
use crate::facts::authenticity;
use crate::session::labour::in_turn;
use events::Event;
use events::check::Action;
use mail::Reply;
use mail::authentication_results::claims;
use mail::dkim::{Hashed, Verifier};
use mail::header::Header;
use policy::authenticity::{Authenticity, authors};
use policy::dmarc::{Authors, Measure, Settings, Verdict};
use policy::spf::Sender;
use queue::Entry;
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
    /// The client's name, where it is known.
    pub name: Option<String>,
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
    ///
    /// # Errors
    /// The answer where it isn't taken.
    pub(super) async fn authenticate(&mut self, entry: &mut Entry) -> Result<(), Reply> {
        let settings = self.intake.rules.authenticating.clone();
        let Some(whence) = self.whence.clone().filter(|whence| whence.is_stranger) else { return Ok(()) };
        if !settings.is_on() {
            return Ok(());
        }
        let mut draft = Draft::read(&self.incoming).map_err(|error| self.unreadable(&error))?;
        let texts = draft.texts(self.id.as_str(), &self.incoming).map_err(|error| self.unreadable(&error))?;
        let headers: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_slice()).collect();
        let authors = authors(headers.iter().copied());
        let hashed = self.hashed(Verifier::new(&headers), draft.body_begins()).await;
        let hashed = hashed.map_err(|error| self.refusal(&error))?;
        let now = clock::now();
        let until = Instant::now().checked_add(settings.limit).unwrap_or_else(Instant::now);
        let sender = self.given.as_str().to_owned();
        let names = &self.intake.answers.names;
        let from = policy::dmarc::authors(authors.iter().map(Vec::as_slice));
        if settings.dmarc != Dmarc::Off {
            authenticity::foresee(names, &from);
        }
        let identity = Sender::mail_from(whence.address, &whence.helo, &sender);
        let (spf, dkim) = tokio::join!(
            authenticity::spf(names.as_ref(), &identity, &settings.id, until),
            authenticity::dkim(names, &hashed, now.wall, until)
        );
        let found =
            Authenticity { client: whence.address, helo: whence.helo.clone(), sender, spf, dkim, authors };
        let verdict = match settings.dmarc {
            Dmarc::Off => None,
            // A time of its own: names of the sender's choosing that are silent aren't to switch it off.
            Dmarc::Header | Dmarc::Enforced { .. } => {
                let until = Instant::now().checked_add(settings.limit).unwrap_or_else(Instant::now);
                Some(self.dmarc(&found, &from, until).await)
            }
        };
        self.say_authenticity(&found, verdict.as_ref());
        let mut more = Vec::new();
        if let Some(verdict) = &verdict {
            let measure = match settings.dmarc {
                Dmarc::Enforced { holds } => verdict.measure(holds),
                _ => Measure::Take,
            };
            more.push(verdict.method_result(&measure));
            self.take_measure(measure, entry)?;
        }
        // From behind, so that numbers stay true.
        for (number, _) in texts.iter().rev().filter(|(_, text)| is_forged(text, &settings.id)) {
            draft.remove(*number);
        }
        let mut header = found.results(&settings.id, more).render().into_bytes();
        header.push(b'\n');
        draft.insert(0, header);
        let written = draft.write(&mut self.incoming);
        let written = written.and_then(|()| Ok(self.incoming.recount()?));
        written.map_err(|error| self.unreadable(&error))
    }

    async fn dmarc(&self, found: &Authenticity, authors: &Authors, until: Instant) -> Verdict {
        let settings = Settings { suffixes: None, roll: self.roll() };
        authenticity::dmarc(self.intake.answers.names.as_ref(), found, authors, &settings, until).await
    }

    /// From 0 to 99. Any number will do; whoever sends the message doesn't choose it.
    pub(super) fn roll(&self) -> u8 {
        let sum = self.id.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
        u8::try_from(sum % 100).unwrap_or_default()
    }

    /// Does what an author domain wants, in the words of a milter that does it.
    fn take_measure(&self, measure: Measure, entry: &mut Entry) -> Result<(), Reply> {
        match measure {
            Measure::Take => Ok(()),
            Measure::Hold(why) => {
                self.log_filtered(Action::MilterHold, "milter triggers HOLD action", entry);
                if !entry.hold {
                    entry.put_on_hold(why);
                }
                Ok(())
            }
            Measure::Refuse(reply) => {
                let text = reply.to_string();
                self.log_filtered(Action::MilterReject, text.get(4..).unwrap_or(&text), entry);
                Err(reply)
            }
        }
    }

    /// Shows the body to whoever verifies signatures; a long one in its turn, as its thread is everybody's.
    pub(super) async fn hashed(&self, mut verifier: Verifier, body: u64) -> Result<Vec<Hashed>, SpoolError> {
        if verifier.is_empty() {
            return Ok(Vec::new());
        }
        let length = self.incoming.written().saturating_sub(body);
        let mut work = || read_body(&self.incoming, &mut verifier, body);
        if length > HARD_BYTES { in_turn(work).await } else { work() }?;
        Ok(verifier.finish())
    }

    fn say_authenticity(&self, found: &Authenticity, verdict: Option<&Verdict>) {
        let dmarc = verdict.map(|verdict| format!(", {}", verdict.summary())).unwrap_or_default();
        let text = format!("{}: authenticity: {}{dmarc}", self.id, found.summary());
        self.intake.log.write(&self.cleanup(), Event::Other(text.into()));
    }

    fn unreadable(&self, error: &DraftError) -> Reply {
        self.draft_failed(error, "to be authenticated")
    }
}

/// Who sees a body go by.
pub(super) trait BodyReader {
    /// More of it, with LF at line ends.
    fn body(&mut self, bytes: &[u8]);
}

impl BodyReader for Verifier {
    fn body(&mut self, bytes: &[u8]) {
        Verifier::body(self, bytes);
    }
}

/// Shows a body, which begins at `from`, to `reader`.
pub(super) fn read_body(
    content: &Counted,
    reader: &mut dyn BodyReader,
    mut from: u64,
) -> Result<(), SpoolError> {
    let mut window = vec![0; WINDOW_BYTES];
    loop {
        let read = content.read_at(&mut window, from)?;
        let bytes = window.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        reader.body(bytes);
        from = from.saturating_add(bytes.len() as u64);
    }
}

/// Whether it could be taken for what we have found out.
fn is_forged(text: &[u8], id: &str) -> bool {
    Header::parse(text).is_some_and(|header| claims(&header, id))
}
