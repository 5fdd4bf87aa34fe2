//! OpenDMARC's work on a message, where OpenDMARC is asked and isn't there.
//!
//! Which headers are believed and what is said is `policy::opendmarc`'s, the verdict `policy::dmarc`'s. Mail of our own
//! networks and of those who have logged in isn't judged; and headers in our name that a stranger brings are taken out
//! before the first filter sees the message. T2.28.

use super::Message;
use super::draft::Draft;
use super::filtering::BY;
use super::opendkim::Worked;
use crate::facts::authenticity;
use events::Event;
use mail::Reply;
use mail::authentication_results::{MethodResult, claims};
use mail::header::Header;
use policy::dmarc::{Authors, Measure, Settings, authors};
use policy::opendmarc::{Conf, Heard, Shown, Written, header, heard, odd_headers, told};
use policy::spf::{Sender, SpfResult};
use proto::milter::verdict::Outcome;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// As the log has it, so that tools that know OpenDMARC's lines find them.
const PROGRAM: &str = "opendmarc";
/// What the server says where a filter only refuses.
const REFUSED: &str = "550 5.7.1 Command rejected";

impl Message {
    /// Takes out what a stranger has written in our name, where OpenDMARC's work may be ours. Says whether there was any.
    pub(super) fn strip_forged(&self, draft: &mut Draft) -> Result<bool, Reply> {
        let Some(settings) = self.intake.answers.opendmarc.settings() else { return Ok(false) };
        if !self.whence.as_ref().is_some_and(|whence| whence.is_stranger) {
            return Ok(false);
        }
        let texts =
            draft.texts(self.id.as_str(), &self.incoming).map_err(|error| self.draft_failed(&error, BY))?;
        let host = self.intake.rules.hostname.as_str();
        let ids = [id(&settings.conf, host), host];
        let is_forged =
            |text: &[u8]| Header::parse(text).is_some_and(|header| ids.iter().any(|id| claims(&header, id)));
        // From behind, so that numbers stay true.
        let mut changed = false;
        for (number, _) in texts.iter().rev().filter(|(_, text)| is_forged(text)) {
            draft.remove(*number);
            changed = true;
        }
        Ok(changed)
    }

    /// Does OpenDMARC's work in the place of the milter `name`, which isn't there.
    pub(super) async fn stand_in_for_dmarc(
        &self,
        (name, macros): (&str, &BTreeMap<&'static str, String>),
        draft: &mut Draft,
    ) -> Result<Worked, Reply> {
        let Some(settings) = self.intake.answers.opendmarc.settings() else { return Ok(Worked::default()) };
        let conf = &settings.conf;
        let Some(whence) = self.whence.as_deref().filter(|whence| whence.is_stranger) else {
            return Ok(Worked::default());
        };
        // Where main.cf says what is done about DMARC, it has been done.
        if self.intake.rules.authenticating.dmarc != crate::configuration::Dmarc::Off {
            return Ok(Worked::default());
        }
        if conf.ignored_hosts.has_host(whence.name.as_deref(), whence.address) {
            let client = whence.name.as_deref().unwrap_or(policy::UNKNOWN);
            self.say_dmarc(conf, &format!("ignoring connection from {client}"));
            return Ok(Worked::default());
        }
        let texts = draft.all_texts(&self.incoming).map_err(|error| self.draft_failed(&error, BY))?;
        // Without a header of ours all have arrived.
        let own = draft.own_place(self.id.as_str(), &self.incoming);
        let own = own.map_err(|error| self.draft_failed(&error, BY))?;
        let headers = || texts.iter().map(|(_, text)| text.as_slice());
        let arrived = || {
            texts
                .iter()
                .filter(|(number, _)| own.is_none_or(|own| *number > own))
                .map(|(_, text)| text.as_slice())
        };
        if let Some(line) = odd_headers(arrived()).filter(|_| conf.requires_headers) {
            return Ok(self.refused(conf, &line, REFUSED));
        }
        let from = headers().filter_map(Header::parse).filter(|header| header.is("From"));
        let from = authors(from.map(|header| header.value));
        if let Some(worked) = self.without_dmarc(conf, &from) {
            return Ok(worked);
        }
        let host = macros.get("j").map_or(self.intake.rules.hostname.as_str(), String::as_str);
        let own_id = id(conf, host);
        let mut trusted: Vec<&str> = conf.trusted.iter().map(|id| real(id, host)).collect();
        if trusted.is_empty() {
            trusted.push(own_id);
        }
        let own_id =
            if conf.authserv_id_with_job { format!("{own_id}/{}", self.id) } else { own_id.to_owned() };
        let sender = self.given.as_str();
        let identity = Sender::mail_from(whence.address, &whence.helo, sender);
        let shown =
            texts.iter().map(|(number, text)| Shown { text, is_ours: own.is_some_and(|own| *number < own) });
        let heard = heard(conf, &trusted, identity.domain, shown);
        for line in &heard.lines {
            self.intake.say(conf, format!("{}{line}", self.id));
        }
        let until = Instant::now().checked_add(conf.dns_timeout).unwrap_or_else(Instant::now);
        let (heard, more) = self.with_spf(conf, heard, &identity, until).await;
        let verdict = self.dmarc_by(conf, &heard, &from, until).await;
        let told = told(conf, &verdict, &own_id);
        self.say_dmarc(conf, &format!("{}: {}", self.id, told.line));
        let mut worked = Worked::default();
        for text in more.iter().map(|result| header(&own_id, result)).chain(told.header) {
            draft.insert(0, text.into_bytes());
            worked.changed = true;
        }
        match told.measure {
            Measure::Take => {}
            Measure::Hold(why) => {
                worked.held = Some(super::because(name, &why));
                worked.outcome = Some(Outcome::Hold);
            }
            Measure::Refuse(reply) => worked.outcome = Some(Outcome::Refused(reply.to_string())),
        }
        Ok(worked)
    }

    /// What OpenDMARC doesn't judge, or refuses unjudged.
    fn without_dmarc(&self, conf: &Conf, from: &Authors) -> Option<Worked> {
        let line = |text: String| format!("{}: {text}", self.id);
        if from.headers == 0 {
            let text = "RFC5322 requirement error: missing From field; accepting";
            self.say_dmarc(conf, &line(text.to_owned()));
            return Some(Worked::default());
        }
        if from.domains.is_empty() {
            let text = "unable to parse From header field".to_owned();
            if conf.requires_headers {
                return Some(self.refused(conf, &text, REFUSED));
            }
            self.say_dmarc(conf, &line(text));
            return Some(Worked::default());
        }
        if from.domains.len() > 1 && conf.rejects_several_authors {
            return Some(self.refused(conf, "multi-valued From field detected", REFUSED));
        }
        let ignored = from.domains.iter().find(|domain| !conf.ignored_from.contains(domain));
        if ignored.is_none() {
            let domain = from.domains.first().map_or("", String::as_str);
            self.say_dmarc(conf, &line(format!("ignoring mail from {domain}")));
            return Some(Worked::default());
        }
        None
    }

    fn refused(&self, conf: &Conf, line: &str, reply: &str) -> Worked {
        self.say_dmarc(conf, &format!("{}: {line}", self.id));
        Worked { outcome: Some(Outcome::Refused(reply.to_owned())), ..Worked::default() }
    }

    /// SPF, where `SPFSelfValidate` wants it asked and no header says it.
    async fn with_spf(
        &self,
        conf: &Conf,
        heard: Heard,
        identity: &Sender<'_>,
        until: Instant,
    ) -> (Heard, Option<MethodResult>) {
        if !conf.spf_self || heard.spf.is_some() {
            return (heard, None);
        }
        let names = self.intake.answers.names.as_ref();
        let result = authenticity::spf(names, identity, &self.intake.rules.hostname, until).await;
        let outcome = match result {
            SpfResult::Pass => policy::dmarc::Outcome::Pass,
            SpfResult::TempError => policy::dmarc::Outcome::TempError,
            _ => policy::dmarc::Outcome::Fail,
        };
        let (kind, domain) = (if self.given.is_null() { "helo" } else { "mailfrom" }, identity.domain);
        self.say_dmarc(conf, &format!("{}: SPF({kind}): {domain} {}", self.id, result.name()));
        let said = MethodResult::new("spf", result.name()).with("smtp", kind, domain);
        (heard.with_spf(Some(Written { domain: domain.to_owned(), outcome })), Some(said))
    }

    async fn dmarc_by(
        &self,
        conf: &Conf,
        heard: &Heard,
        from: &Authors,
        until: Instant,
    ) -> policy::dmarc::Verdict {
        let settings = Settings { suffixes: conf.suffixes.as_deref(), roll: self.roll() };
        let names = self.intake.answers.names.as_ref();
        let mut facts = policy::spf::without_tables();
        loop {
            let judged =
                heard.judged(|identifiers| policy::dmarc::check(from, identifiers, &settings, &facts));
            match judged {
                Ok(verdict) => return verdict,
                Err(policy::Need(question)) => {
                    let answer = authenticity::ask_until(names, &question, until).await;
                    facts.learn(question, answer);
                }
            }
        }
    }

    fn say_dmarc(&self, conf: &Conf, text: &str) {
        self.intake.say(conf, text.to_owned());
    }
}

impl super::Intake {
    fn say(&self, conf: &Conf, text: String) {
        if conf.syslog {
            self.log.write(PROGRAM, Event::Other(text.into()));
        }
    }
}

/// `HOSTNAME` stands for this machine's name.
fn real<'a>(id: &'a str, host: &'a str) -> &'a str {
    if id.eq_ignore_ascii_case("HOSTNAME") { host } else { id }
}

fn id<'a>(conf: &'a Conf, host: &'a str) -> &'a str {
    conf.authserv_id.as_deref().map_or(host, |id| real(id, host))
}
