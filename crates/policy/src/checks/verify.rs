//! reject_unverified_sender, reject_unverified_recipient: whether mail to an address could be delivered, as a probe has
//! found (ADDRESS_VERIFICATION_README).
//!
//! The null sender is nobody to be probed. Who probes is the program; here is what follows from what was found.
//! RFC 5321 §4.2.

use crate::eval::{About, Evaluation, Status};
use crate::facts::{Answer, Effect, Need};
use crate::settings::{Tempfail, Unverified};
use crate::verification::{Deliverability, Verified};
use mail::{Address, Dsn};

impl Evaluation<'_> {
    pub(crate) fn unverified_sender(&mut self) -> Result<Status, Need> {
        let policy = self.policy;
        match &self.tx.sender {
            Some(sender) if !sender.is_null() => {
                let about = self.sender();
                self.unverified(sender, &about, (Dsn::new(5, 1, 7), &policy.settings.unverified_sender))
            }
            _ => Ok(Status::Dunno),
        }
    }

    pub(crate) fn unverified_recipient(&mut self) -> Result<Status, Need> {
        let policy = self.policy;
        match &self.tx.recipient {
            Some(recipient) if !recipient.is_null() => {
                let about = self.recipient();
                self.unverified(recipient, &about, (Dsn::new(5, 1, 1), &policy.settings.unverified_recipient))
            }
            _ => Ok(Status::Dunno),
        }
    }

    fn unverified(
        &mut self,
        address: &Address,
        about: &About,
        (dsn, words): (Dsn, &Unverified),
    ) -> Result<Status, Need> {
        let (address, polls) = (address.clone(), self.policy.settings.verify_polls);
        let verified = match self.effect(Effect::Verify { address, polls })? {
            Answer::Verified(verified) => verified.clone(),
            _ => Verified::in_progress(),
        };
        let text = words.reason.as_deref().unwrap_or(&verified.text);
        self.remark = words.reason.is_some().then(|| verified.text.clone());
        let code = match verified.found {
            Deliverability::Deliverable => return Ok(Status::Dunno),
            Deliverability::Deferred => words.defer,
            Deliverability::Undeliverable => words.reject,
        };
        Ok(match code / 100 {
            5 => self.reject(code, dsn, about, &format!("undeliverable address: {text}")),
            4 => {
                let text = format!("unverified address: {text}");
                match words.tempfail {
                    Tempfail::Defer => self.reject(code, dsn, about, &text),
                    Tempfail::DeferIfPermit => self.defer_if_permit(about.reply(code, dsn, &text)),
                }
            }
            // postconf(5): 250 takes the address all the same.
            _ => Status::Dunno,
        })
    }
}
