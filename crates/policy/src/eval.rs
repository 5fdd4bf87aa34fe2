//! One evaluation: the state that a list of restrictions works on, and the loop over its entries.
//!
//! Postfix's semantics of `warn_if_reject`, `defer_if_permit`, `defer_if_reject` and `soft_bounce` live here; what a
//! single restriction looks at lives in `checks`. Any missing fact leaves through `?` as a [`Need`] and the whole
//! evaluation is thrown away. Configuration errors refuse at once and can't be turned into warnings.

use crate::Policy;
use crate::check::{Check, Entry, Plain, Subject};
use crate::decision::{MailEffect, Note, NoteAction, Outcome, Step, TableLine};
use crate::facts::{Answer, Effect, EffectPlace, Facts, Need, Question};
use crate::transaction::{Request, Stage, Transaction};
use mail::{Dsn, Reply, Wall};

/// How deep classes and table values may nest.
const DEPTH_MAX: u32 = 100;

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Dunno,
    Permit,
    Reject,
}

/// What a generic restriction (`reject`) speaks about here.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) subject: Subject,
    /// What stands in `<…>`.
    pub(crate) name: String,
}

/// Whether a refusal can be turned into a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gravity {
    /// What the lists are for.
    Policy,
    /// The configuration or a table is at fault.
    Fault,
}

/// The state.
pub(crate) struct Evaluation<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) tx: &'a Transaction,
    pub(crate) facts: &'a Facts,
    pub(crate) request: Request,
    /// Unknown where nobody is decided about.
    pub(crate) now: Option<Wall>,
    pub(crate) stage: Stage,
    /// Checks reached so far: the place of an effect.
    checks: u32,
    depth: u32,
    /// The depth at which `warn_if_reject` stands before the present check; 0 for none.
    warn: u32,
    pub(crate) defer_if_permit: Option<Reply>,
    pub(crate) defer_if_reject: Option<Reply>,
    pub(crate) refusal: Option<Reply>,
    pub(crate) notes: Vec<Note>,
    pub(crate) effects: Vec<MailEffect>,
    pub(crate) path: Vec<Step>,
    pub(crate) sender_listed: bool,
    pub(crate) recipient_listed: bool,
    pub(crate) discard: bool,
    /// Of the present check, for its step.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) line: Option<TableLine>,
    pub(crate) remark: Option<String>,
    /// What must be known before the notes are complete.
    pub(crate) unanswered: Option<Need>,
}

impl<'a> Evaluation<'a> {
    pub(crate) const fn new(
        policy: &'a Policy,
        tx: &'a Transaction,
        facts: &'a Facts,
        request: Request,
    ) -> Evaluation<'a> {
        Evaluation {
            policy,
            tx,
            facts,
            request,
            now: None,
            stage: Stage::Client,
            checks: 0,
            depth: 0,
            warn: 0,
            defer_if_permit: None,
            defer_if_reject: None,
            refusal: None,
            notes: Vec::new(),
            effects: Vec::new(),
            path: Vec::new(),
            sender_listed: false,
            recipient_listed: false,
            discard: false,
            outcome: None,
            line: None,
            remark: None,
            unanswered: None,
        }
    }

    /// Begins a stage with what the stage before left.
    pub(crate) fn begin(&mut self, stage: Stage, deferral: Option<Reply>) {
        self.stage = stage;
        self.depth = 0;
        self.warn = 0;
        self.defer_if_reject = None;
        self.defer_if_permit = deferral;
    }

    /// Evaluates a list.
    pub(crate) fn run(&mut self, list: &[Entry], about: &About) -> Result<Status, Need> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.warning(format!("restriction lists nest deeper than {DEPTH_MAX}: a class names itself"));
            self.depth -= 1;
            return Ok(self.server_error());
        }
        let mut status = Status::Dunno;
        for entry in list {
            if let Some(warning) = &entry.warning {
                self.warning(warning.clone());
            }
            if matches!(entry.check, Check::Plain(Plain::WarnIfReject)) {
                if self.warn == 0 {
                    self.warn = self.depth;
                }
                continue;
            }
            status = self.one(entry, about)?;
            if self.warn >= self.depth {
                self.warn = 0;
            }
            let both = self.defer_if_reject.is_some() && self.defer_if_permit.is_some();
            if status != Status::Dunno || both {
                break;
            }
        }
        // A warn_if_reject with nothing behind it means nothing to the next list.
        if self.warn >= self.depth {
            self.warn = 0;
        }
        self.depth -= 1;
        Ok(status)
    }

    /// One check, with its step on the path.
    fn one(&mut self, entry: &Entry, about: &About) -> Result<Status, Need> {
        self.checks = self.checks.saturating_add(1);
        let index = self.path.len();
        self.step(&entry.text, entry.place.clone());
        let status = self.check(entry, about)?;
        self.conclude(index, status);
        Ok(status)
    }

    /// A check that no list names and a parameter asks for.
    pub(crate) fn implied(&mut self, parameter: &str) {
        self.depth = 1;
        self.step(parameter, config::Place::nowhere());
        self.depth = 0;
    }

    /// The last step has come to this.
    pub(crate) fn concluded(&mut self, status: Status) {
        self.conclude(self.path.len().saturating_sub(1), status);
    }

    fn step(&mut self, check: &str, place: config::Place) {
        self.path.push(Step {
            stage: self.stage,
            depth: u8::try_from(self.depth.saturating_sub(1)).unwrap_or(u8::MAX),
            check: check.to_owned(),
            place,
            outcome: Outcome::Dunno,
            line: None,
            remark: None,
        });
        self.outcome = None;
        self.line = None;
        self.remark = None;
    }

    fn conclude(&mut self, index: usize, status: Status) {
        let outcome = self.outcome.take().unwrap_or(match status {
            Status::Permit => Outcome::Permit,
            Status::Dunno | Status::Reject => Outcome::Dunno,
        });
        let (line, remark) = (self.line.take(), self.remark.take());
        if let Some(step) = self.path.get_mut(index) {
            step.outcome = outcome;
            step.line = step.line.take().or(line);
            step.remark = step.remark.take().or(remark);
        }
    }

    /// Goes on with a list that the present check named; its own step is then [`Outcome::Nested`].
    pub(crate) fn nested(&mut self, list: &[Entry], about: &About) -> Result<Status, Need> {
        if let (Some(step), Some(line)) = (self.path.last_mut(), self.line.take()) {
            step.line = Some(line);
        }
        let status = self.run(list, about)?;
        self.outcome = Some(Outcome::Nested);
        self.line = None;
        self.remark = None;
        Ok(status)
    }

    /// One check by itself, as if `warn_if_reject` stood before it or not: for judging lists beforehand.
    pub(crate) fn single(&mut self, entry: &Entry, about: &About, warned: bool) -> Result<Status, Need> {
        (self.depth, self.warn) = (1, u32::from(warned));
        self.check(entry, about)
    }

    fn check(&mut self, entry: &Entry, about: &About) -> Result<Status, Need> {
        match &entry.check {
            Check::Plain(plain) => self.plain(*plain, about),
            Check::Sleep(time) => {
                self.effect(Effect::Sleep(*time))?;
                Ok(Status::Dunno)
            }
            Check::PolicyService(service) => self.policy_service(*service, about),
            Check::Access { subject, table } => self.access(entry, *subject, *table, about),
            Check::BareTable(table) => match self.bare_subject() {
                Some(subject) => self.access(entry, subject, *table, about),
                None => {
                    self.warning(format!(
                        "specify one of (check_client_access, check_reverse_client_hostname_access, \
                         check_helo_access, check_sender_access, check_recipient_access, check_etrn_access) before {} \
                         restriction \"{}\"",
                        about.subject.words(),
                        entry.text
                    ));
                    Ok(self.server_error())
                }
            },
            Check::HostAccess { subject, hosts, table } => self.host_access(entry, *subject, *hosts, *table),
            Check::Certificate { table, order } => self.certificate_access(*table, order, about),
            Check::SaslAccess { table } => self.sasl_access(*table, about),
            Check::Blocklist { subject, zone } => self.blocklist(*subject, zone),
            Check::Allowlist { subject, zone } => self.allowlist(entry, *subject, zone),
            Check::MapsRbl(zones) => {
                for zone in zones {
                    let status = self.blocklist(Subject::Client, zone)?;
                    if status != Status::Dunno {
                        return Ok(status);
                    }
                }
                Ok(Status::Dunno)
            }
            Check::Class(class) => {
                let policy = self.policy;
                let list = policy.classes.get(*class).map_or(&[][..], Vec::as_slice);
                self.nested(list, about)
            }
            Check::Broken { warnings } => {
                for warning in warnings {
                    self.warning(warning.clone());
                }
                Ok(self.server_error())
            }
            Check::Ignored { warning } => {
                self.warning(warning.clone());
                self.outcome = Some(Outcome::Skipped(warning.clone()));
                Ok(Status::Dunno)
            }
        }
    }

    /// The lookup that a bare table means in this list.
    pub(crate) const fn bare_subject(&self) -> Option<Subject> {
        match self.stage {
            Stage::Client => Some(Subject::Client),
            Stage::Helo => Some(Subject::Helo),
            Stage::Sender => Some(Subject::Sender),
            Stage::Relay | Stage::Recipient => Some(Subject::Recipient),
            Stage::Etrn => Some(Subject::Etrn),
            Stage::Data | Stage::EndOfData => None,
        }
    }

    /// Has something done, once for this place.
    pub(crate) fn effect(&self, effect: Effect) -> Result<&'a Answer, Need> {
        let place =
            EffectPlace { stage: self.stage, check: self.checks, recipient: self.tx.recipient_ordinal };
        self.facts.ask(&Question::Effect { place, effect })
    }

    /// Refuses; under `warn_if_reject` only says so.
    pub(crate) fn refuse(&mut self, mut reply: Reply, gravity: Gravity) -> Status {
        let warn_only = self.warn > 0 && gravity == Gravity::Policy;
        reply.dsn = reply.dsn.map(|dsn| dsn.in_class_of(reply.code));
        if !warn_only
            && reply.is_permanent()
            && let Some(earlier) = self.defer_if_reject.take()
        {
            self.warn = 0;
            return self.refuse(earlier, gravity);
        }
        if self.policy.settings.soft_bounce && reply.is_permanent() {
            reply.code -= 100;
            reply.dsn = reply.dsn.map(|dsn| dsn.in_class_of(reply.code));
        }
        let action = if warn_only { NoteAction::RejectWarning } else { NoteAction::Reject };
        self.notes.push(Note { action, text: reply.to_string() });
        if warn_only {
            self.outcome = Some(Outcome::WouldReject(reply));
            return Status::Dunno;
        }
        self.outcome = Some(Outcome::Reject(reply.clone()));
        self.refusal = Some(reply);
        Status::Reject
    }

    /// Refuses `<name>: Words rejected: text`.
    pub(crate) fn reject(&mut self, code: u16, dsn: Dsn, about: &About, text: &str) -> Status {
        self.refuse(about.reply(code, dsn, text), Gravity::Policy)
    }

    /// `451 4.3.5 Server configuration error`
    pub(crate) fn server_error(&mut self) -> Status {
        self.refuse(Reply::new(451, Dsn::new(4, 3, 5), "Server configuration error"), Gravity::Fault)
    }

    /// Defers, should a later check permit. The first one counts.
    pub(crate) fn defer_if_permit(&mut self, mut reply: Reply) -> Status {
        reply.dsn = reply.dsn.map(|dsn| dsn.in_class_of(reply.code));
        if self.warn > 0 {
            return self.refuse(reply, Gravity::Policy);
        }
        self.outcome = Some(Outcome::DeferIfPermit(reply.clone()));
        self.defer_if_permit.get_or_insert(reply);
        Status::Dunno
    }

    /// Defers, should a later check refuse. The first one counts; `warn_if_reject` has no effect on it.
    pub(crate) fn defer_if_reject(&mut self, mut reply: Reply) -> Status {
        reply.dsn = reply.dsn.map(|dsn| dsn.in_class_of(reply.code));
        self.outcome = Some(Outcome::DeferIfReject(reply.clone()));
        self.defer_if_reject.get_or_insert(reply);
        Status::Dunno
    }

    /// Permits; `action` may be among the actions that are logged.
    pub(crate) fn permit(&mut self, action: &str, about: &About, from: &str) -> Status {
        let listed = self.policy.settings.log_permits.contains(self.facts.snapshot(), action);
        let logged = match Facts::listed(listed) {
            Ok(listed) => listed.unwrap_or(false),
            Err(need) => {
                self.unanswered.get_or_insert(need);
                false
            }
        };
        if logged {
            let words = about.subject.words();
            let text = format!("action={action} for {words}={} {from}", about.name);
            self.notes.push(Note { action: NoteAction::Permit, text });
        }
        Status::Permit
    }

    /// A `warning:` line.
    pub(crate) fn warning(&mut self, text: impl Into<String>) {
        self.notes.push(Note { action: NoteAction::Warning, text: text.into() });
    }

    /// About the client: `name[address]`.
    pub(crate) fn client(&self) -> About {
        let client = &self.tx.client;
        let name = [&client.name, "[", &mail::host::address_text(client.address), "]"].concat();
        About { subject: Subject::Client, name }
    }

    /// About the name in HELO.
    pub(crate) fn helo(&self) -> About {
        let name = self.tx.helo.clone().unwrap_or_default();
        About { subject: Subject::Helo, name }
    }

    /// About the sender.
    pub(crate) fn sender(&self) -> About {
        let name = self.tx.sender.as_ref().map(|sender| sender.as_str().to_owned()).unwrap_or_default();
        About { subject: Subject::Sender, name }
    }

    /// About the recipient.
    pub(crate) fn recipient(&self) -> About {
        let name =
            self.tx.recipient.as_ref().map(|recipient| recipient.as_str().to_owned()).unwrap_or_default();
        About { subject: Subject::Recipient, name }
    }

    /// About whatever `subject` is.
    pub(crate) fn about(&self, subject: Subject) -> About {
        match subject {
            Subject::Client => self.client(),
            Subject::ReverseClient => About { subject, name: self.tx.client.reverse_name.clone() },
            Subject::Helo => self.helo(),
            Subject::Sender => self.sender(),
            Subject::Recipient => self.recipient(),
            Subject::Etrn => {
                let name = self.tx.etrn_domain.clone().unwrap_or_default();
                About { subject, name }
            }
            Subject::Data => About { subject, name: "DATA".to_owned() },
            Subject::EndOfData => About { subject, name: "END-OF-MESSAGE".to_owned() },
            Subject::Sasl => {
                let name = self.tx.sasl.as_ref().map(|sasl| sasl.username.clone()).unwrap_or_default();
                About { subject, name }
            }
            Subject::Certificate => About { subject, name: String::new() },
        }
    }
}

impl About {
    /// `<name>: Words rejected: text`
    pub(crate) fn reply(&self, code: u16, dsn: Dsn, text: &str) -> Reply {
        Reply::new(code, dsn, format!("<{}>: {} rejected: {text}", self.name, self.subject.words()))
    }
}
