//! OpenDKIM's work on a message, where OpenDKIM is asked and isn't there, or `komainu_dkim` wants mail signed.
//!
//! Whose mail is signed, and what is said of signatures, is `policy::opendkim`'s; here the body is hashed as it is read
//! from the spool, keys are asked for, and headers are put on top. A message that should be signed and can't be isn't
//! taken: it would go out unsigned. T2.28.

use super::authenticity::{BodyReader, Whence, read_body};
use super::draft::Draft;
use super::filtering::BY;
use super::{Message, because};
use crate::clock;
use crate::facts::authenticity;
use crate::session::labour::in_turn;
use events::Event;
use mail::authentication_results::{AuthenticationResults, NAME, claims};
use mail::dkim::{Signer, Signing, Verifier};
use mail::header::Header;
use mail::{Reply, Wall};
use policy::opendkim::{Action, Brought, Conf, Request, Role, decide, replies, said};
use proto::milter::verdict::{Outcome, reply};
use queue::Entry;
use ring::rand::SystemRandom;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use store::SpoolError;
use tokio::time::Instant;

/// The milter library's words for what a filter puts off.
const FOR_NOW: &str = "451 4.7.1 Service unavailable - try again later";
/// OpenDKIM's words on a message that it can't read.
const MALFORMED: &str = "dkim=permerror (bad message/signature format)";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Worked {
    /// Something against the message, or that it is to be held or thrown away.
    pub(super) outcome: Option<Outcome>,
    /// Headers have been changed.
    pub(super) changed: bool,
    /// Why it is held.
    pub(super) held: Option<String>,
}

/// Headers and who brings them.
struct Work<'a> {
    conf: &'a Conf,
    /// Numbers in the draft, and texts.
    texts: Vec<(usize, Vec<u8>)>,
    /// Who we are in results.
    id: String,
}

impl Message {
    /// Does OpenDKIM's work in the place of the milter `name`, which isn't there.
    pub(super) async fn stand_in(
        &mut self,
        (name, macros): (&str, &BTreeMap<&'static str, String>),
        draft: &mut Draft,
        entry: &Entry,
    ) -> Result<Worked, Reply> {
        self.does_dkim = true;
        let settings = self.intake.answers.opendkim.settings();
        // A reload may have taken them away meanwhile.
        let Some(settings) = settings else { return Ok(refused(FOR_NOW.to_owned())) };
        let value = |key: &str| macros.get(key).map(String::as_str).unwrap_or_default();
        let address = value("{client_addr}").parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let host =
            Some(value("{client_name}")).filter(|name| !name.starts_with('[') && *name != policy::UNKNOWN);
        let brought = Brought {
            name: host,
            address,
            is_logged_in: !value("{auth_type}").is_empty(),
            daemon: value("{daemon_name}"),
        };
        let conf = &settings.conf;
        let mut worked = self.work((conf, value("j")), &brought, draft, entry).await?;
        if worked.outcome == Some(Outcome::Hold) {
            worked.held = Some(because(name, "DKIM"));
        }
        Ok(worked)
    }

    /// Signs mail of our own, where `komainu_dkim` wants it and nobody has had the chance to.
    pub(super) async fn sign_own(&mut self, whence: Option<&Whence>, entry: &Entry) -> Result<(), Reply> {
        let settings = self.intake.answers.opendkim.settings();
        let Some(settings) = settings.filter(|_| !self.does_dkim) else { return Ok(()) };
        let brought = match whence {
            Some(whence) => Brought {
                name: whence.name.as_deref(),
                address: whence.address,
                is_logged_in: !whence.is_stranger,
                daemon: "",
            },
            None => Brought {
                name: Some("localhost"),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                is_logged_in: true,
                daemon: "",
            },
        };
        let conf = Conf { verifies: false, ..settings.conf.clone() };
        let mut draft = Draft::read(&self.incoming).map_err(|error| self.draft_failed(&error, BY))?;
        let host = self.intake.rules.hostname.clone();
        let worked = self.work((&conf, &host), &brought, &mut draft, entry).await?;
        if worked.changed {
            let written = draft.write(&mut self.incoming);
            let written = written.and_then(|()| Ok(self.incoming.recount()?));
            written.map_err(|error| self.draft_failed(&error, BY))?;
        }
        match worked.outcome {
            Some(Outcome::Refused(text)) => Err(reply(&text)),
            _ => Ok(()),
        }
    }

    async fn work(
        &self,
        (conf, host): (&Conf, &str),
        brought: &Brought<'_>,
        draft: &mut Draft,
        entry: &Entry,
    ) -> Result<Worked, Reply> {
        let texts = draft.all_texts(&self.incoming).map_err(|error| self.draft_failed(&error, BY))?;
        let headers: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_slice()).collect();
        let to: Vec<String> = entry.recipients.iter().map(|one| one.address.as_str().to_owned()).collect();
        let (role, lines) = decide(conf, brought, &headers, &to);
        self.say_dkim(conf, lines);
        let id = conf.authserv_id.as_deref().filter(|id| *id != "HOSTNAME").unwrap_or(host);
        let id = if conf.authserv_id_with_job { format!("{id}/{}", self.id) } else { id.to_owned() };
        let work = Work { conf, texts, id };
        match role {
            Role::Nothing => Ok(Worked::default()),
            Role::Malformed if !conf.verifies => Ok(Worked::default()),
            Role::Malformed => {
                draft.insert(0, format!("{NAME}: {}; {MALFORMED}\n", work.id).into_bytes());
                Ok(Worked { changed: true, ..Worked::default() })
            }
            Role::CannotSign { for_now: true } => Ok(refused(FOR_NOW.to_owned())),
            Role::CannotSign { for_now: false } => {
                Ok(acted(replies(conf.on_signature_error, "DKIM signing error", "4.7.0"), false))
            }
            Role::Verify => self.verify(work, draft).await,
            Role::Sign(requests) => self.sign(work, requests, draft).await,
        }
    }

    async fn verify(&self, work: Work<'_>, draft: &mut Draft) -> Result<Worked, Reply> {
        let Work { conf, texts, id } = work;
        let headers: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_slice()).collect();
        let hashed = self.hashed(Verifier::new(&headers), draft.body_begins()).await;
        let mut hashed = hashed.map_err(|error| self.refusal(&error))?;
        hashed.truncate(conf.maximum_signatures);
        let until = Instant::now().checked_add(conf.dns_timeout).unwrap_or_else(Instant::now);
        let names = &self.intake.answers.names;
        let checked = authenticity::dkim(names, &hashed, clock::now().wall, until).await;
        let said = said(conf, &checked, &id);
        self.say_dkim(conf, said.lines);
        let mut changed = said.results.is_some();
        if !conf.keep_results {
            // From behind, so that numbers stay true.
            for (number, _) in texts.iter().rev().filter(|(_, text)| is_forged(conf, text, &id)) {
                draft.remove(*number);
                changed = true;
            }
        }
        if let Some(results) = said.results {
            let mut header = results.render().into_bytes();
            header.push(b'\n');
            draft.insert(0, header);
        }
        Ok(acted(said.action, changed))
    }

    async fn sign(&self, work: Work<'_>, requests: Vec<Request>, draft: &mut Draft) -> Result<Worked, Reply> {
        let Work { conf, mut texts, .. } = work;
        if conf.remove_old_signatures {
            let is_old = |text: &[u8]| Header::parse(text).is_some_and(|one| one.is("DKIM-Signature"));
            for (number, _) in texts.iter().rev().filter(|(_, text)| is_old(text)) {
                draft.remove(*number);
            }
            texts.retain(|(_, text)| !is_old(text));
        }
        let headers: Vec<&[u8]> = texts.iter().map(|(_, text)| text.as_slice()).collect();
        let signers: Vec<Signer> = requests.into_iter().map(|request| signer(conf, request)).collect();
        let (from, now) = (draft.body_begins(), clock::now().wall);
        let signed = in_turn(|| self.signatures(&signers, from, &headers, now)).await;
        let signed = signed.map_err(|error| self.refusal(&error))?;
        for (signer, signature) in signers.iter().zip(signed) {
            let (selector, domain) = (&signer.selector, &signer.domain);
            let Some(signature) = signature else {
                self.say_dkim(conf, vec![format!("signature generation error (s={selector}, d={domain})")]);
                return Ok(acted(replies(conf.on_signature_error, "DKIM signing error", "4.7.0"), false));
            };
            draft.insert(0, signature.into_bytes());
            if conf.syslog_success {
                let line = format!("DKIM-Signature field added (s={selector}, d={domain})");
                self.say_dkim(conf, vec![line]);
            }
        }
        Ok(Worked { changed: true, ..Worked::default() })
    }

    /// All signatures, with the body read once.
    fn signatures(
        &self,
        signers: &[Signer],
        from: u64,
        headers: &[&[u8]],
        now: Wall,
    ) -> Result<Vec<Option<String>>, SpoolError> {
        let mut begun = Begun(signers.iter().map(Signer::begin).collect());
        read_body(&self.incoming, &mut begun, from)?;
        let random = SystemRandom::new();
        Ok(begun.0.into_iter().map(|signing| signing.finish(headers, now, &random)).collect())
    }

    fn say_dkim(&self, conf: &Conf, lines: Vec<String>) {
        if !conf.syslog {
            return;
        }
        for line in lines {
            let text = format!("{}: {line}", self.id);
            self.intake.log.write(&conf.syslog_name, Event::Other(text.into()));
        }
    }
}

/// Signatures under way.
struct Begun<'s>(Vec<Signing<'s>>);

impl BodyReader for Begun<'_> {
    fn body(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|one| one.body(bytes));
    }
}

fn signer(conf: &Conf, request: Request) -> Signer {
    Signer {
        domain: request.domain,
        selector: request.selector,
        identity: request.identity,
        key: Arc::clone(&request.key),
        forms: conf.canonicalization,
        headers: conf.sign_headers.clone(),
        oversigned: conf.oversign_headers.clone(),
        lifetime: conf.signature_ttl,
    }
}

/// Results in our name, or in a name whose results are to go; those of DKIM alone unless all are to go.
fn is_forged(conf: &Conf, text: &[u8], id: &str) -> bool {
    let Some(header) = Header::parse(text).filter(|header| header.is(NAME)) else { return false };
    let read = AuthenticationResults::parse(header.value);
    let named = |read: &AuthenticationResults| conf.remove_results_from.has_domain(&read.authserv_id);
    let is_ours = claims(&header, id) || read.as_ref().is_some_and(named);
    let says_dkim = |read: &AuthenticationResults| read.results.iter().any(|one| one.method == "dkim");
    is_ours && (conf.remove_all_results || read.as_ref().is_none_or(says_dkim))
}

fn refused(text: String) -> Worked {
    Worked { outcome: Some(Outcome::Refused(text)), ..Worked::default() }
}

fn acted(action: Action, changed: bool) -> Worked {
    let outcome = match action {
        Action::Accept => None,
        Action::Discard => Some(Outcome::Discard),
        Action::Hold => Some(Outcome::Hold),
        Action::Refuse(text) => Some(Outcome::Refused(text)),
    };
    Worked { outcome, changed, held: None }
}
