//! Mail that came by no SMTP session: from a program of this machine, or from the server itself (`non_smtpd_milters`).
//!
//! Milters hear of a session all the same, from localhost, as Postfix makes one up for them. Nobody waits for an answer:
//! what is refused for good goes back to its sender as a bounce, which is the queue's work once the refusal is noted at
//! each recipient, durably; what is refused for now is the caller's to try again. MILTER_README; T2.14.

use super::filtering::{Filtering, Passed};
use super::{Intake, Message, Origin, Refused, not_written};
use crate::clock;
use crate::counted::Counted;
use crate::facts::milter::Filters;
use crate::privileged::LocalSockets;
use events::check::{Action, Session as Known, Verdict};
use events::delivery::{Delay, Delays, Delivery, Status as Said};
use events::smtpd::Peer;
use mail::{Address, Dsn, QueueId, Reply, Wall};
use proto::milter::Event;
use proto::milter::verdict::{self, Outcome};
use queue::{Entry, Reason, ReturnContent, Status};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use store::SpoolError;

/// Who milters are told has connected.
const HOST: &str = "localhost";
/// Whence.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The macro that holds the recipient who was told last.
pub(super) const LAST_ASKED: &str = "{rcpt_addr}";
/// The subject of a DSN about routing: such mail is returned whole.
const ROUTING: u16 = 4;

/// How a session that never was goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// With its next step.
    On,
    /// Not at all: milters hear no more.
    Over(Passed),
}

impl Message {
    /// A message of the server's own, with the name that its text has already; nobody stands for its recipients.
    ///
    /// # Errors
    /// Where the spool has no place.
    pub fn of_our_own(
        intake: Intake,
        id: QueueId,
        began: Wall,
        sender: &Address,
    ) -> Result<Message, SpoolError> {
        let incoming = Counted::new(intake.spool.begin(0)?);
        Ok(Message {
            intake,
            id,
            began,
            origin: Origin::Remote,
            sender: sender.clone(),
            given: sender.clone(),
            incoming,
            is_expanded: true,
            full_name: String::new(),
            content: None,
            source: Arc::default(),
            inspection: None,
            waiting: Default::default(),
            failed: None,
            sieve: Default::default(),
            refused: Refused::Own,
            whence: None,
            does_dkim: false,
        })
    }

    /// It is the server's own, and nobody hears what becomes of it: what is refused for good is gone.
    #[must_use]
    pub(super) fn unanswered(mut self) -> Message {
        self.refused = Refused::Own;
        self
    }

    /// Whether it came by no session.
    pub(super) const fn is_unattended(&self) -> bool {
        !matches!(self.refused, Refused::Answered)
    }

    /// Everything is there: durable, then in the queue, to be delivered or to be returned to its sender.
    ///
    /// # Errors
    /// The answer where it isn't taken now.
    pub async fn commit_or_return(
        mut self,
        sockets: &LocalSockets,
        mut entry: Entry,
    ) -> Result<QueueId, Reply> {
        let settings = self.intake.rules.non_smtpd_milters.clone();
        let mut filters = settings
            .map(|settings| Filters::new(settings, sockets.clone(), Arc::clone(&self.intake.answers)));
        let judged = self.judge_unattended(filters.as_mut(), &mut entry).await;
        if let Some(mut filters) = filters {
            tokio::spawn(async move { filters.part().await });
        }
        match judged {
            Ok(Passed::Discarded) => Ok(self.id),
            Ok(Passed::Kept) => self.into_queue(entry).await,
            Err(reply) if reply.is_permanent() && !matches!(self.refused, Refused::Own) => {
                self.give_back(&reply, &mut entry);
                self.into_queue(entry).await
            }
            Err(reply) => Err(reply),
        }
    }

    async fn judge_unattended(
        &mut self,
        filters: Option<&mut Filters>,
        entry: &mut Entry,
    ) -> Result<Passed, Reply> {
        let Some(filters) = filters else { return self.judge(None, entry).await };
        let mut macros = self.made_up_macros(filters);
        match self.introduce(filters, &mut macros, entry).await {
            Ok(Passed::Kept) => {}
            over => {
                // As if nobody had looked at the content yet.
                self.inspection.iter_mut().for_each(|inspection| inspection.forget_lines());
                return over;
            }
        }
        let filtering = Filtering { filters, macros };
        self.judge(Some(filtering), entry).await
    }

    /// The session up to its last recipient.
    async fn introduce(
        &mut self,
        filters: &mut Filters,
        macros: &mut BTreeMap<&'static str, String>,
        entry: &mut Entry,
    ) -> Result<Passed, Reply> {
        let connect = Event::Connect { name: HOST, address: Some((ADDRESS, 0)) };
        for (event, stage) in [(connect, "CONNECT"), (Event::Helo(HOST), "HELO")] {
            let outcome = self.tell(filters, event, macros).await;
            if let Next::Over(passed) = self.concluded(outcome, (stage, filters), None, entry)? {
                return Ok(passed);
            }
        }
        let sender = self.sender.to_external();
        macros.insert("{mail_addr}", sender.clone());
        let outcome = self.tell(filters, Event::Mail(&[sender]), macros).await;
        let mut next = self.concluded(outcome, ("MAIL", filters), None, entry)?;
        for recipient in entry.recipients.clone() {
            if let Next::Over(passed) = next {
                return Ok(passed);
            }
            let to = self.intake.classes.rewrite(&recipient.address).to_external();
            macros.insert(LAST_ASKED, to.clone());
            let outcome = self.tell(filters, Event::Rcpt(std::slice::from_ref(&to)), macros).await;
            if let Some(Outcome::Refused(text)) = &outcome {
                self.log_made_up(Action::MilterReject, "RCPT", text.get(4..).unwrap_or(text), Some(&to));
                let why = "milter configuration error: can't reject recipient in non-smtpd(8) submission";
                self.intake.warn(&self.id, why);
                self.intake.warn(&self.id, "message not accepted, try again later");
                return Err(not_written());
            }
            next = self.concluded(outcome, ("RCPT", filters), Some(&to), entry)?;
        }
        Ok(if next == Next::Over(Passed::Discarded) { Passed::Discarded } else { Passed::Kept })
    }

    /// DATA, which is told once the content is there.
    pub(super) async fn tell_data(
        &mut self,
        filtering: &mut Filtering<'_>,
        entry: &mut Entry,
    ) -> Result<Passed, Reply> {
        let Filtering { filters, macros } = filtering;
        let outcome = self.tell(filters, Event::Data, macros).await;
        let to = macros.get(LAST_ASKED).cloned();
        let next = self.concluded(outcome, ("DATA", filters), to.as_deref(), entry)?;
        let passed = if next == Next::Over(Passed::Discarded) { Passed::Discarded } else { Passed::Kept };
        self.returned().map_or(Ok(passed), Err)
    }

    async fn tell(
        &self,
        filters: &mut Filters,
        event: Event<'_>,
        macros: &BTreeMap<&'static str, String>,
    ) -> Option<Outcome> {
        let outcome = filters.tell(event, &|name| macros.get(name).cloned()).await;
        for text in filters.take_warnings() {
            self.intake.log.write(&self.cleanup(), super::Said::warning(text));
        }
        outcome
    }

    /// Says what came of a step, and notes it: what is refused for good is read on, to be returned.
    fn concluded(
        &mut self,
        outcome: Option<Outcome>,
        (stage, filters): (&'static str, &Filters),
        to: Option<&str>,
        entry: &mut Entry,
    ) -> Result<Next, Reply> {
        match outcome {
            None => Ok(Next::On),
            Some(Outcome::Hold) => {
                if !entry.hold {
                    self.log_made_up(Action::MilterHold, stage, "milter triggers HOLD action", to);
                }
                entry.put_on_hold(filters.holder());
                Ok(Next::On)
            }
            Some(Outcome::Discard) => {
                self.log_made_up(Action::MilterDiscard, stage, "milter triggers DISCARD action", to);
                Ok(Next::Over(Passed::Discarded))
            }
            Some(Outcome::Refused(text)) => {
                self.log_made_up(Action::MilterReject, stage, text.get(4..).unwrap_or(&text), to);
                let reply = verdict::reply(&text);
                if reply.is_permanent() && matches!(self.refused, Refused::Returned(_)) {
                    self.refuse(reply);
                    return Ok(Next::Over(Passed::Kept));
                }
                Err(reply)
            }
        }
    }

    /// Why it goes back to its sender, where it does.
    fn returned(&self) -> Option<Reply> {
        match &self.refused {
            Refused::Returned(why) => why.clone(),
            Refused::Answered | Refused::Own => None,
        }
    }

    /// A line about a session that never was.
    pub(super) fn log_made_up(&self, action: Action, stage: &'static str, text: &str, to: Option<&str>) {
        let session = Known {
            from: Some(self.sender.to_external().into()),
            to: to.map(Into::into),
            ..Known::default()
        };
        let verdict = Verdict {
            id: self.id.as_str().into(),
            action,
            stage: stage.into(),
            client: Peer::new(HOST, ADDRESS.to_string()),
            text: text.into(),
            session,
        };
        self.intake.log.write(&self.cleanup(), verdict);
    }

    fn made_up_macros(&self, filters: &Filters) -> BTreeMap<&'static str, String> {
        let settings = filters.settings();
        let address = ADDRESS.to_string();
        BTreeMap::from([
            ("j", self.intake.rules.hostname.clone()),
            ("{daemon_name}", settings.daemon_name.clone()),
            ("{daemon_addr}", address.clone()),
            ("{daemon_port}", "0".to_owned()),
            ("v", settings.version.clone()),
            ("_", format!("{HOST} [{address}]")),
            ("i", self.id.as_str().to_owned()),
            ("{client_addr}", address),
            ("{client_name}", HOST.to_owned()),
            ("{client_port}", "0".to_owned()),
            ("{client_ptr}", HOST.to_owned()),
        ])
    }

    /// Notes at each recipient that it won't get the message, and why.
    fn give_back(&self, reply: &Reply, entry: &mut Entry) {
        let dsn = reply.dsn.unwrap_or(Dsn::new(5, 0, 0));
        // Lines of a milter's reply with what stands between them on the wire, as Postfix shows it.
        let parted = format!("__{} {dsn} ", reply.code);
        let text = reply.text.strip_prefix("Error: ").unwrap_or(&reply.text).replace('\n', &parted);
        if dsn.subject != ROUTING {
            entry.return_content = Some(ReturnContent::Headers);
        }
        (entry.hold, entry.hold_reason) = (false, None);
        let since = clock::now().wall - entry.arrival;
        for recipient in entry.recipients.iter_mut().filter(|one| one.status.is_open()) {
            let (to, original) = (recipient.address.to_external(), recipient.original.to_external());
            let line = Delivery {
                id: entry.id.as_str().into(),
                orig_to: (!to.eq_ignore_ascii_case(&original)).then(|| original.into()),
                to: to.into(),
                relay: "none".into(),
                conn_use: None,
                delay: Delay::new(since),
                delays: Some(Delays([
                    Delay::new(since),
                    Delay::default(),
                    Delay::default(),
                    Delay::default(),
                ])),
                dsn: Some(dsn.to_string().into()),
                tls: None,
                status: Said::Bounced,
                text: text.as_str().into(),
            };
            self.intake.log.write(&self.cleanup(), line);
            recipient.status = Status::Failed(Reason::new(dsn, text.clone()));
        }
    }
}
