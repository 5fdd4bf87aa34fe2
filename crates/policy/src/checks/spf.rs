//! Restrictions of our own on SPF (RFC 7208): senders in whose name the client may not send.
//!
//! The name in HELO is asked about first, then the sender's domain. Clients that have logged in, of mynetworks and of
//! this machine aren't asked about: no record of a domain knows them. What is only doubtful passes. T2.11.

use crate::check::Subject;
use crate::eval::{Evaluation, Gravity, Status};
use crate::facts::{Facts, Need, Question};
use crate::spf::{self, Sender, SpfResult, Verdict};
use crate::transaction::Transaction;
use mail::{Dsn, Reply};

/// Which ending a restriction looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SpfFault {
    /// `reject_spf_fail`
    Fail,
    /// `defer_spf_temperror`
    TempError,
}

impl crate::Policy {
    /// Whether a question is one that SPF of this client and sender asks next: time for those is limited, by whoever asks
    /// (RFC 7208 §4.6.4).
    #[must_use]
    pub fn spf_asks(&self, question: &Question, tx: &Transaction, facts: &Facts) -> bool {
        if !matches!(question, Question::Dns { .. }) {
            return false;
        }
        let helo = tx.helo.as_deref().unwrap_or_default();
        let from = tx.sender.as_ref().filter(|sender| sender.domain().is_some());
        let from = from.map(|from| Sender::mail_from(tx.client.address, helo, from.as_str()));
        let settings = spf::Settings {
            void_limit: spf::VOID_LIMIT,
            receiver: &self.settings.myhostname,
            now: mail::Wall::default(),
        };
        let mut asked = std::iter::once(Sender::helo(tx.client.address, helo)).chain(from);
        asked.any(|who| matches!(spf::check(&who, &settings, facts), Err(Need(next)) if next == *question))
    }
}

impl Evaluation<'_> {
    /// `reject_spf_fail`, `defer_spf_temperror`.
    pub(crate) fn spf(&mut self, fault: SpfFault) -> Result<Status, Need> {
        if let Some(why) = self.is_exempt_from_spf()? {
            self.remark = Some(why.to_owned());
            return Ok(Status::Dunno);
        }
        let client = self.tx.client.address;
        let helo = self.tx.helo.clone().unwrap_or_default();
        let sender = self.tx.sender.clone();
        let from = sender.as_ref().filter(|sender| sender.domain().is_some());
        let mut asked = vec![(Subject::Helo, Sender::helo(client, &helo))];
        if let Some(from) = from {
            asked.push((Subject::Sender, Sender::mail_from(client, &helo, from.as_str())));
        }
        let mut said = Vec::new();
        for (subject, who) in asked {
            let verdict = self.spf_of(&who)?;
            said.push(format!("{} of {}", told(&verdict), who.domain));
            match (fault, verdict.result) {
                (SpfFault::Fail, SpfResult::Fail) => {
                    self.remark = said.pop();
                    return Ok(self.spf_fail(subject, &who, &verdict));
                }
                (SpfFault::TempError, SpfResult::TempError) => {
                    self.remark = said.pop();
                    let text = format!("SPF of {} cannot be found out now", who.domain);
                    let reply = self.about(subject).reply(451, Dsn::new(4, 7, 24), &text);
                    return Ok(self.defer_if_permit(reply));
                }
                _ => {}
            }
        }
        self.remark = Some(said.join(", "));
        Ok(Status::Dunno)
    }

    /// Why the client's senders aren't judged.
    fn is_exempt_from_spf(&self) -> Result<Option<&'static str>, Need> {
        let client = &self.tx.client;
        if client.address.to_canonical().is_loopback() {
            return Ok(Some("SPF isn't asked about this machine"));
        }
        if self.tx.sasl.is_some() {
            return Ok(Some("SPF isn't asked about clients that have logged in"));
        }
        let listed =
            self.policy.settings.mynetworks.contains(self.facts.snapshot(), &client.name, client.address);
        Ok(Facts::listed(listed)?.unwrap_or(false).then_some("SPF isn't asked about clients in mynetworks"))
    }

    fn spf_of(&self, who: &Sender<'_>) -> Result<Verdict, Need> {
        let now = self.now.unwrap_or_default();
        let settings =
            spf::Settings { void_limit: spf::VOID_LIMIT, receiver: &self.policy.settings.myhostname, now };
        spf::check(who, &settings, self.facts)
    }

    fn spf_fail(&mut self, subject: Subject, who: &Sender<'_>, verdict: &Verdict) -> Status {
        let mut text = format!("SPF of {} does not allow {}", who.domain, who.client);
        if let Some(explanation) = &verdict.explanation {
            // RFC 7208 §6.2: whose words they are is to be said.
            text.push_str(&format!("; {} explains: {explanation}", who.domain));
        }
        let about = self.about(subject);
        let reply: Reply = about.reply(550, Dsn::new(5, 7, 23), &text);
        self.refuse(reply, Gravity::Policy)
    }
}

/// `spf=fail (-all)`
fn told(verdict: &Verdict) -> String {
    let result = verdict.result.name();
    match (&verdict.problem, &verdict.mechanism) {
        (Some(problem), _) => format!("spf={result} ({problem})"),
        (None, Some(mechanism)) => format!("spf={result} ({mechanism})"),
        (None, None) => format!("spf={result}"),
    }
}
