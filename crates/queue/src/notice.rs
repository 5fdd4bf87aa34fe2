//! Who is told what when a message leaves the active queue: the sender, the postmaster, or nobody.
//!
//! One report for all recipients of one message that failed in one pass, one for those that succeeded and whose
//! sender asked for it, one for a delay, once. Never one to the null sender; the postmaster's own copies go out with
//! the double-bounce address, and what fails of those is discarded. Nothing is composed or sent here.
//! RFC 3461 §5.2, RFC 3464, RFC 5321 §4.5.5; notify_classes.

use crate::entry::{Entry, NOTIFY_DELAY, NOTIFY_FAILURE, Note, Recipient, ReturnContent, Status, Trace};
use mail::{Address, Wall};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// What main.cf says about who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `delay_warning_time`; zero tells nobody.
    pub delay_warning: Duration,
    /// `double_bounce_sender` at this host: who sends the postmaster's copies.
    pub double_bounce: Address,
    /// `disable_verp_bounces`.
    pub one_bounce_for_verp: bool,
    /// `bounce_notice_recipient`, where `notify_classes` has `bounce`.
    pub bounce_copies: Option<Address>,
    /// `2bounce_notice_recipient`, where `notify_classes` has `2bounce`.
    pub double_bounces: Option<Address>,
    /// `delay_notice_recipient`, where `notify_classes` has `delay`.
    pub delay_copies: Option<Address>,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Recipients that will not get the message.
    Failure,
    /// Recipients that got it, or whose server tells no more.
    Success,
    /// Recipients that are still tried.
    Delay,
    /// All recipients that were tried, as its sender has asked (`sendmail -v`, `-bv`).
    Trace,
}

/// Whom a report is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The message's sender.
    Sender,
    /// The postmaster.
    Postmaster,
}

/// One report to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub subject: Subject,
    /// Whom it is for.
    pub audience: Audience,
    /// Their address.
    pub to: Address,
    /// How much of the message it brings along, where `bounce_size_limit` allows it.
    pub content: ReturnContent,
    /// Indices of the recipients that it is about.
    pub recipients: Vec<u32>,
}

/// Everything to be told now, and what follows from having told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telling {
    /// The reports, in Postfix's order.
    pub notices: Vec<Notice>,
    /// The recipients' statuses once they are sent.
    pub told: Vec<(u32, Status)>,
    /// Whether the delay has been told of with them, or nobody wants to know.
    pub warned: bool,
    /// What the first try came to has been told of with them, or nobody is to be told.
    pub traced: bool,
    /// The message was a postmaster's copy itself: its failure is only logged.
    pub discarded: bool,
    /// Who would hear of the first try is nobody: that is only logged.
    pub untraced: bool,
}

impl Telling {
    /// What is to be told of a message whose attempts of this round are over.
    #[must_use]
    pub fn of(entry: &Entry, now: Wall, settings: &Settings) -> Telling {
        let mut telling = Telling::default();
        if entry.trace == Some(Trace::Probe) {
            telling.traces(entry);
            return telling;
        }
        // What was refused in this pass is told of apart from what got too old in it.
        telling.failures(entry, settings, |status| matches!(status, Status::Failed(_)));
        match entry.trace {
            Some(_) => telling.traces(entry),
            None => telling.successes(entry),
        }
        telling.failures(entry, settings, |status| matches!(status, Status::Expired(_)));
        telling.delays(entry, now, settings);
        telling
    }

    /// What is written down when it is told, but for the recipients' statuses.
    #[must_use]
    pub fn since(&self) -> Vec<Note> {
        let notes = [(self.warned, Note::Warned), (self.traced, Note::Traced)];
        notes.into_iter().filter(|(is_told, _)| *is_told).map(|(_, note)| note).collect()
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Telling::default()
    }

    /// Recipients whose status is one of `these` will not get the message.
    fn failures(&mut self, entry: &Entry, settings: &Settings, these: fn(&Status) -> bool) {
        let failures = select(entry, |recipient| these(&recipient.status));
        if failures.is_empty() {
            return;
        }
        self.told.extend(failures.iter().map(|index| (*index, Status::Returned)));
        if entry.sender.is_null() {
            let to = settings.double_bounces.as_ref();
            self.notices.extend(to.map(|to| failure_copy(to.clone(), ReturnContent::Full, failures)));
        } else if is_double_bounce(entry, settings) {
            self.discarded = true;
        } else if entry.verp.is_some() && !settings.one_bounce_for_verp {
            // Each recipient has a sender of its own, so each has a bounce of its own.
            failures.into_iter().for_each(|index| self.returns(entry, vec![index], settings));
        } else {
            self.returns(entry, failures, settings);
        }
    }

    /// The sender's bounce, and the postmaster's copy.
    fn returns(&mut self, entry: &Entry, failures: Vec<u32>, settings: &Settings) {
        let recipient = |index: &u32| entry.recipients.get(usize::try_from(*index).ok()?);
        let wanted = |index: &u32| recipient(index).is_some_and(|one| wants(one, NOTIFY_FAILURE));
        let asked: Vec<u32> = failures.iter().copied().filter(wanted).collect();
        if let Some(first) = asked.first().and_then(recipient) {
            self.notices.push(Notice {
                subject: Subject::Failure,
                audience: Audience::Sender,
                to: if settings.one_bounce_for_verp { entry.sender.clone() } else { entry.sender_for(first) },
                content: entry.return_content.unwrap_or(ReturnContent::Full),
                recipients: asked,
            });
        }
        let to = settings.bounce_copies.as_ref();
        self.notices.extend(to.map(|to| failure_copy(to.clone(), ReturnContent::Headers, failures)));
    }

    fn successes(&mut self, entry: &Entry) {
        let recipients = select(entry, |recipient| matches!(recipient.status, Status::Confirmed(..)));
        self.told.extend(recipients.iter().map(|index| (*index, Status::Delivered)));
        if !recipients.is_empty() && !entry.sender.is_null() {
            self.notices.push(Notice {
                subject: Subject::Success,
                audience: Audience::Sender,
                to: entry.sender.clone(),
                // RFC 3461 §6.2: the message is returned only where it failed.
                content: ReturnContent::Headers,
                recipients,
            });
        }
    }

    /// What became of everybody who was tried, as who sends has asked to hear.
    fn traces(&mut self, entry: &Entry) {
        let recipients = select(entry, |recipient| {
            !matches!(recipient.status, Status::Pending | Status::Delivered | Status::Returned)
        });
        if recipients.is_empty() {
            return;
        }
        self.traced = entry.trace == Some(Trace::Record);
        let told = entry.recipients.iter().zip(0..).filter_map(|(recipient, index)| match recipient.status {
            Status::Confirmed(..) => Some((index, Status::Delivered)),
            Status::Failed(_) | Status::Expired(_) if !self.traced => Some((index, Status::Returned)),
            _ => None,
        });
        self.told.extend(told);
        self.untraced = entry.sender.is_null();
        if !self.untraced {
            let (subject, audience, to) = (Subject::Trace, Audience::Sender, entry.sender.clone());
            let content = ReturnContent::Headers;
            self.notices.push(Notice { subject, audience, to, content, recipients });
        }
    }

    fn delays(&mut self, entry: &Entry, now: Wall, settings: &Settings) {
        let delay = settings.delay_warning;
        let is_due = !delay.is_zero() && now.seconds().saturating_add(1) >= (entry.arrival + delay).seconds();
        if entry.warned || !is_due || entry.sender.is_null() || is_double_bounce(entry, settings) {
            return;
        }
        let deferred = select(entry, |recipient| matches!(recipient.status, Status::Deferred(_)));
        if deferred.is_empty() {
            return;
        }
        self.warned = true;
        let notice = |audience, to: &Address, recipients: Vec<u32>| Notice {
            subject: Subject::Delay,
            audience,
            to: to.clone(),
            content: ReturnContent::Headers,
            recipients,
        };
        let asked = select(entry, |recipient| {
            matches!(recipient.status, Status::Deferred(_)) && wants(recipient, NOTIFY_DELAY)
        });
        if !asked.is_empty() {
            self.notices.push(notice(Audience::Sender, &entry.sender, asked));
        }
        let to = settings.delay_copies.as_ref();
        self.notices.extend(to.map(|to| notice(Audience::Postmaster, to, deferred)));
    }
}

const fn failure_copy(to: Address, content: ReturnContent, recipients: Vec<u32>) -> Notice {
    Notice { subject: Subject::Failure, audience: Audience::Postmaster, to, content, recipients }
}

fn select(entry: &Entry, wanted: impl Fn(&Recipient) -> bool) -> Vec<u32> {
    let all = entry.recipients.iter().zip(0..);
    all.filter(|(recipient, _)| wanted(recipient)).map(|(_, index)| index).collect()
}

/// RFC 3461 §5.2.3, .4: who asked for nothing hears of failures and delays.
fn wants(recipient: &Recipient, what: u8) -> bool {
    recipient.notify == 0 || recipient.notify & what != 0
}

fn is_double_bounce(entry: &Entry, settings: &Settings) -> bool {
    entry.sender.as_str().eq_ignore_ascii_case(settings.double_bounce.as_str())
}

/// `owner@origin` for `user@domain`: `owner+user=domain@origin` (VERP_README).
#[must_use]
pub fn verp_sender(sender: &Address, recipient: &Address, delimiters: &str) -> Address {
    let mut delimiters = delimiters.chars();
    let (Some(first), Some(second)) = (delimiters.next(), delimiters.next()) else { return sender.clone() };
    let mut text = format!("{}{first}{}", sender.local(), recipient.local());
    if let Some(domain) = recipient.domain() {
        text.push(second);
        text.push_str(domain);
    }
    if let Some(domain) = sender.domain() {
        text.push('@');
        text.push_str(domain);
    }
    Address::from_internal(text)
}
