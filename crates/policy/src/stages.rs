//! Which lists an SMTP command evaluates, and what one leaves for the next (T2.4).
//!
//! With `smtpd_delay_reject` client, helo and sender lists wait for RCPT (VRFY) or ETRN. A deferral that waits for a
//! permission is carried from list to list and falls due at RCPT, ETRN, DATA and END-OF-MESSAGE.

use crate::Policy;
use crate::address::{Role, Utf8Domains};
use crate::check::Subject;
use crate::decision::{Attempt, Decision, Verdict};
use crate::eval::{Evaluation, Gravity, Status};
use crate::facts::{Facts, Need};
use crate::transaction::{Carried, Request, Stage, Transaction};
use mail::Wall;

/// Decides; see [`Policy::decide`].
pub(crate) fn decide(
    policy: &Policy,
    request: Request,
    (tx, facts): (&Transaction, &Facts),
    now: Wall,
) -> Result<Decision, Need> {
    let mut e = Evaluation::new(policy, tx, facts, request);
    e.now = Some(now);
    let mut carried = tx.carried.as_deref().cloned().unwrap_or_default();
    let verdict = e.judge(&mut carried)?;
    Ok(Decision { verdict, notes: e.notes, effects: e.effects, path: e.path, carried: carried.boxed() })
}

/// Decides, and tells the way also where it ends at a question; see [`Policy::attempt`].
pub(crate) fn attempt(policy: &Policy, request: Request, tx: &Transaction, facts: &Facts) -> Attempt {
    let mut e = Evaluation::new(policy, tx, facts, request);
    let mut carried = tx.carried.as_deref().cloned().unwrap_or_default();
    match e.judge(&mut carried) {
        Ok(verdict) => Attempt::Decided(Box::new(Decision {
            verdict,
            notes: e.notes,
            effects: e.effects,
            path: e.path,
            carried: carried.boxed(),
        })),
        Err(need) => Attempt::Asks { need, path: e.path },
    }
}

impl Evaluation<'_> {
    fn judge(&mut self, carried: &mut Carried) -> Result<Verdict, Need> {
        let delay = self.policy.settings.delay_reject;
        if let Some(refusal) = self.bad_address()? {
            return Ok(Verdict::Reject(refusal));
        }
        if self.request == Request::Rcpt && self.answers_probe() {
            return Ok(Verdict::Permit);
        }
        let status = match self.request {
            Request::Connect | Request::Helo | Request::Mail if delay => Status::Dunno,
            Request::Connect => self.client_stage(carried)?,
            Request::Helo => self.helo_stage(carried)?,
            Request::Mail => self.sender_stage(carried)?,
            // RFC 5321 §4.5.1: a bare postmaster is always somebody, whatever the lists say.
            Request::Rcpt if self.is_bare_postmaster() => Status::Permit,
            Request::Rcpt | Request::Vrfy => {
                let status = if delay { self.delayed(carried, true)? } else { Status::Dunno };
                if status == Status::Reject { status } else { self.recipient_stage(carried)? }
            }
            Request::Etrn => {
                let status = if delay { self.delayed(carried, false)? } else { Status::Dunno };
                let helo = carried.helo.clone();
                if status == Status::Reject { status } else { self.last_stage(Stage::Etrn, helo)? }
            }
            Request::Data => self.last_stage(Stage::Data, None)?,
            Request::EndOfData => self.last_stage(Stage::EndOfData, None)?,
        };
        if let Some(need) = self.unanswered.take() {
            return Err(need);
        }
        Ok(match (status, self.refusal.take()) {
            (Status::Reject, Some(reply)) if matches!(reply.code, 421 | 521) => Verdict::Disconnect(reply),
            (Status::Reject, Some(reply)) => Verdict::Reject(reply),
            _ => Verdict::Permit,
        })
    }

    /// An address that can't be resolved is refused before any list, and whatever the lists say.
    fn bad_address(&mut self) -> Result<Option<mail::Reply>, Need> {
        let (address, role) = match self.request {
            Request::Mail => (&self.tx.sender, Role::Sender),
            Request::Rcpt => (&self.tx.recipient, Role::Recipient),
            _ => return Ok(None),
        };
        let Some(address) = address.clone().filter(|address| !address.is_null()) else { return Ok(None) };
        // A table that can't answer is met again, and answered, by the lists.
        let kept = self.notes.len();
        let Ok(resolved) = self.resolve(&address)? else {
            self.notes.truncate(kept);
            return Ok(None);
        };
        let utf8 = if self.tx.smtputf8 { Utf8Domains::Allowed } else { Utf8Domains::Refused };
        let refusal = resolved.syntax_refusal(role, utf8);
        if refusal.is_some() {
            let (client, command) = (self.client().name, self.request.state(false));
            self.warning(format!(
                "Illegal address syntax from {client} in {command} command: <{}>",
                address.as_str()
            ));
        }
        Ok(refusal)
    }

    fn is_bare_postmaster(&self) -> bool {
        let recipient = self.tx.recipient.as_ref();
        recipient.is_some_and(|recipient| recipient.as_str().eq_ignore_ascii_case("postmaster"))
    }

    /// Whether somebody asks whether the sender of our probes is there: whatever is held against him, or two servers
    /// would ask each other for ever.
    fn answers_probe(&mut self) -> bool {
        let Some(recipient) = &self.tx.recipient else { return false };
        let recipient = self.policy.addresses.rewrite(recipient);
        let answers = self.policy.probe_sender.is(&recipient, self.now.unwrap_or_default());
        if answers {
            self.implied("address_verify_sender");
            self.concluded(Status::Permit);
        }
        answers
    }

    fn list(&mut self, stage: Stage) -> Result<Status, Need> {
        self.stage = stage;
        let policy = self.policy;
        let list = policy.lists.get(&stage).map_or(&[][..], Vec::as_slice);
        if list.is_empty() {
            return Ok(Status::Dunno);
        }
        let about = self.about(Subject::of_list(stage));
        self.run(list, &about)
    }

    fn delayed(&mut self, carried: &mut Carried, with_sender: bool) -> Result<Status, Need> {
        if self.client_stage(carried)? == Status::Reject || self.helo_stage(carried)? == Status::Reject {
            return Ok(Status::Reject);
        }
        if with_sender { self.sender_stage(carried) } else { Ok(Status::Dunno) }
    }

    fn client_stage(&mut self, carried: &mut Carried) -> Result<Status, Need> {
        self.begin(Stage::Client, None);
        let status = self.list(Stage::Client)?;
        *carried = Carried {
            client: self.defer_if_permit.clone(),
            helo: self.defer_if_permit.clone(),
            sender: self.defer_if_permit.clone(),
        };
        Ok(status)
    }

    fn helo_stage(&mut self, carried: &mut Carried) -> Result<Status, Need> {
        if self.tx.helo.is_none() {
            return Ok(Status::Dunno);
        }
        self.begin(Stage::Helo, carried.client.clone());
        let status = self.list(Stage::Helo)?;
        carried.helo.clone_from(&self.defer_if_permit);
        carried.sender.clone_from(&self.defer_if_permit);
        Ok(status)
    }

    fn sender_stage(&mut self, carried: &mut Carried) -> Result<Status, Need> {
        if self.tx.sender.is_none() {
            return Ok(Status::Dunno);
        }
        self.begin(Stage::Sender, carried.helo.clone());
        let mut status = self.list(Stage::Sender)?;
        let open = status != Status::Reject && !self.sender_listed && !self.discard;
        if open && self.policy.settings.unlisted_sender {
            self.implied("smtpd_reject_unlisted_sender = yes");
            status = self.unlisted_sender()?;
            self.concluded(status);
        }
        carried.sender.clone_from(&self.defer_if_permit);
        Ok(status)
    }

    fn recipient_stage(&mut self, carried: &Carried) -> Result<Status, Need> {
        let mut order = [Stage::Relay, Stage::Recipient];
        if !self.policy.settings.relay_first {
            order.reverse();
        }
        self.begin(Stage::Recipient, carried.sender.clone());
        for stage in order {
            if self.list(stage)? == Status::Reject {
                return Ok(Status::Reject);
            }
        }
        // What waited for a permission comes before what no list asks for.
        let open = !self.recipient_listed && !self.discard && self.defer_if_permit.is_none();
        if open && self.policy.settings.unlisted_recipient {
            self.implied("smtpd_reject_unlisted_recipient = yes");
            let status = self.unlisted_recipient()?;
            self.concluded(status);
            if status == Status::Reject {
                return Ok(status);
            }
        }
        Ok(self.fall_due())
    }

    fn last_stage(&mut self, stage: Stage, deferral: Option<mail::Reply>) -> Result<Status, Need> {
        self.begin(stage, deferral);
        if self.list(stage)? == Status::Reject { Ok(Status::Reject) } else { Ok(self.fall_due()) }
    }

    /// What waited for a permission is due.
    fn fall_due(&mut self) -> Status {
        match self.defer_if_permit.take() {
            Some(reply) => self.refuse(reply, Gravity::Policy),
            None => Status::Permit,
        }
    }
}
