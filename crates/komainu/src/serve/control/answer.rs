//! What a caller is answered. Envelopes are read one by one and sent as they are read: the queue may be large.

use super::Ground;
use super::access::{Access, Caller, Forbidden};
use crate::pickup::PickupError;
use crate::queued::Listed;
use crate::queued::frames::{invalid, read_frame};
use crate::queued::shelf::{Found, find, look};
use events::Event as Logged;
use mail::QueueId;
use proto::control::{Cause, Outcome, REQUEST_BYTES_MAX, Reply, Request, Submission, VERSION, Verb};
use queue::{Client, Entry, Order};
use std::collections::HashSet;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use store::SpoolError;

/// How long the spool may take for what was ordered.
const PATIENCE: Duration = Duration::from_secs(60);
/// Content in one frame.
const CHUNK_BYTES: usize = 64 << 10;

/// One conversation.
pub(super) struct Desk {
    pub(super) ground: Ground,
    pub(super) caller: Caller,
    pub(super) rules: Arc<Access>,
}

type Out<'a> = BufWriter<&'a UnixStream>;

/// How far an order is.
enum Begun {
    Over(Outcome),
    /// For the spool to say that it is durable.
    Waits,
}

impl Desk {
    pub(super) fn converse(self, stream: &UnixStream) -> io::Result<()> {
        let mut from = BufReader::with_capacity(8 << 10, stream);
        let mut out = BufWriter::with_capacity(64 << 10, stream);
        let mut greeted = false;
        while let Some(frame) = read_frame(&mut from, REQUEST_BYTES_MAX)? {
            let request = match Request::decode(&frame) {
                Ok(request) => request,
                Err(error) => {
                    say(&mut out, &Reply::Refused(Cause::Protocol, error.to_string()))?;
                    out.flush()?;
                    return Err(invalid(&error.to_string()));
                }
            };
            match request {
                Request::Hello { version } => {
                    say(&mut out, &Reply::Welcome { version: VERSION })?;
                    greeted = version == VERSION;
                }
                _ if !greeted => {
                    say(&mut out, &Reply::Refused(Cause::Protocol, "no greeting".to_owned()))?;
                    return out.flush();
                }
                Request::Submit(submission) => self.submit(*submission, &mut from, &mut out)?,
                request => self.answer(request, &mut out)?,
            }
            out.flush()?;
        }
        Ok(())
    }

    fn answer(&self, request: Request, out: &mut Out<'_>) -> io::Result<()> {
        let forbidden = match &request {
            Request::List(_) => self.rules.list(&self.caller),
            Request::FlushAll | Request::FlushSite(_) | Request::Order(Verb::Flush, _) => {
                self.rules.flush(&self.caller)
            }
            _ if self.caller.is_trusted() => Ok(()),
            Request::Read(_) => Err(self.caller.may_not("read queued mail")),
            _ => Err(self.caller.may_not("change the mail queue")),
        };
        if let Err(Forbidden(text)) = forbidden {
            return say(out, &Reply::Refused(Cause::Forbidden, text));
        }
        match request {
            Request::List(ids) => self.list(&ids, out),
            Request::Read(id) => self.read(&id, out),
            Request::Order(verb, ids) => self.order(verb, &ids, out),
            Request::FlushAll => {
                self.ground.queue.flush_all();
                say(out, &Reply::Done)
            }
            Request::FlushSite(site) if self.rules.is_site(&site) => {
                self.ground.queue.flush_site(&site);
                say(out, &Reply::Done)
            }
            Request::FlushSite(site) => {
                let text = format!("Flush service is not configured for destination \"{site}\"");
                say(out, &Reply::Refused(Cause::NotEligible, text))
            }
            Request::Hello { .. } | Request::Submit(_) => Ok(()),
            // Nothing was begun that they could belong to.
            Request::To(_) | Request::Content(_) | Request::End => {
                say(out, &Reply::Refused(Cause::Protocol, "no submission".to_owned()))
            }
        }
    }

    /// Takes a message in. What is refused on the way is heard to its end all the same: the caller listens only then.
    fn submit(&self, submission: Submission, from: &mut impl Read, out: &mut Out<'_>) -> io::Result<()> {
        let uid = self.caller.uid();
        let begun = self.rules.may_submit(uid).and_then(|()| self.rules.may_use(uid, &submission.sender));
        let begun = begun.map_err(|text| Reply::Refused(Cause::Forbidden, text));
        let begun = begun
            .and_then(|()| self.ground.pickup.begin(uid, submission, None).map_err(|error| refusal(&error)));
        let mut reception = match begun {
            Ok(reception) => Ok(reception),
            Err(refusal) => return say(out, &refusal),
        };
        say(out, &Reply::Done)?;
        out.flush()?;
        while let Some(frame) = read_frame(from, REQUEST_BYTES_MAX)? {
            let request = Request::decode(&frame).map_err(|error| invalid(&error.to_string()))?;
            reception = match (request, reception) {
                (Request::End, Ok(reception)) => {
                    let reply = reception.finish().map_or_else(|error| refusal(&error), Reply::Queued);
                    return say(out, &reply);
                }
                (Request::End, Err(refusal)) => return say(out, &refusal),
                (Request::To(_) | Request::Content(_), Err(refusal)) => Err(refusal),
                (Request::To(all), Ok(mut reception)) => {
                    reception.add(all).map(|()| reception).map_err(|error| refusal(&error))
                }
                (Request::Content(bytes), Ok(mut reception)) => {
                    reception.write(&bytes).map(|()| reception).map_err(|error| refusal(&error))
                }
                _ => return Err(invalid("a submission that is interrupted")),
            };
        }
        // The caller has gone in the middle: nothing was promised, nothing is left.
        Ok(())
    }

    /// The messages under way; none where the queue's driver has ended.
    fn active(&self) -> HashSet<u64> {
        self.ground.queue.active().blocking_recv().unwrap_or_default()
    }

    fn list(&self, ids: &[QueueId], out: &mut Out<'_>) -> io::Result<()> {
        let (active, spool) = (self.active(), &self.ground.spool);
        if ids.is_empty() {
            let numbers = spool.numbers();
            say(out, &Reply::Total(numbers.len() as u64))?;
            for number in numbers {
                match look(spool, number, &active) {
                    Found::Message(listed) => say(out, &self.shown(*listed))?,
                    Found::Unreadable(why) => say(out, &Reply::Unreadable { number, why })?,
                    // Delivered meanwhile.
                    Found::Nothing => {}
                }
            }
        } else {
            say(out, &Reply::Total(ids.len() as u64))?;
            for listed in ids.iter().filter_map(|id| find(spool, id, &active)) {
                say(out, &self.shown(*listed))?;
            }
        }
        say(out, &Reply::Done)
    }

    /// A message as the caller may see it: others than root see no more than mailq(1) shows.
    fn shown(&self, listed: Listed) -> Reply {
        let Listed { number, state, mut entry } = listed;
        if !self.caller.is_trusted() {
            conceal(&mut entry);
        }
        Reply::Message { number, state, entry: entry.encode() }
    }

    fn read(&self, id: &QueueId, out: &mut Out<'_>) -> io::Result<()> {
        let spool = &self.ground.spool;
        let Some(listed) = find(spool, id, &self.active()) else {
            return say(out, &Reply::Refused(Cause::NotFound, format!("{id}: no such message")));
        };
        let mut body = match spool.body(listed.number) {
            Ok(body) => body,
            Err(SpoolError::NotFound(_)) => {
                return say(out, &Reply::Refused(Cause::NotFound, format!("{id}: no such message")));
            }
            Err(error) => return say(out, &Reply::Refused(Cause::Failed, format!("{id}: {error}"))),
        };
        say(out, &self.shown(*listed))?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return say(out, &Reply::Done),
                Ok(count) => {
                    say(out, &Reply::Body(buffer.get(..count).unwrap_or_default().to_vec()))?;
                }
                Err(error) => return say(out, &Reply::Refused(Cause::Failed, format!("{id}: {error}"))),
            }
        }
    }

    fn order(&self, verb: Verb, ids: &[QueueId], out: &mut Out<'_>) -> io::Result<()> {
        let (sender, answers) = mpsc::channel();
        let begun: Vec<Begun> = (0..).zip(ids).map(|(at, id)| self.begin(verb, (at, id), &sender)).collect();
        drop(sender);
        let waiting = begun.iter().filter(|begun| matches!(begun, Begun::Waits)).count();
        let mut failures: Vec<(usize, String)> = Vec::new();
        let mut answered = HashSet::new();
        for _ in 0..waiting {
            // Nothing more comes where the server is stopping, or the disk hangs.
            let Ok((at, outcome)) = answers.recv_timeout(PATIENCE) else { break };
            answered.insert(at);
            if let Err(error) = outcome {
                failures.push((at, SpoolError::to_string(&error)));
            }
        }
        for ((at, id), begun) in (0..).zip(ids).zip(begun) {
            let outcome = match begun {
                Begun::Over(outcome) => outcome,
                Begun::Waits if !answered.contains(&at) => {
                    Outcome::Failed("the spool gave no answer".to_owned())
                }
                Begun::Waits => match failures.iter().find(|(failed, _)| *failed == at) {
                    Some((_, why)) => Outcome::Failed(why.clone()),
                    None => Outcome::Done,
                },
            };
            say(out, &Reply::Ordered(id.clone(), outcome))?;
        }
        say(out, &Reply::Done)
    }

    fn begin(&self, verb: Verb, (at, id): (usize, &QueueId), answers: &Answers) -> Begun {
        let order = match verb {
            Verb::SetAside => return self.set_aside((at, id), answers),
            Verb::Hold => Order::Hold,
            Verb::Release => Order::Release,
            Verb::Flush => Order::Flush,
            Verb::Requeue => Order::Requeue,
            Verb::Expire => Order::Expire,
            Verb::Delete => Order::Delete,
        };
        let Some(listed) = find(&self.ground.spool, id, &HashSet::new()) else {
            return Begun::Over(Outcome::NotFound);
        };
        let entry = &listed.entry;
        let already = match order {
            Order::Hold => entry.hold,
            Order::Release => !entry.hold,
            Order::Flush => entry.hold,
            Order::Expire => entry.expire,
            Order::Requeue | Order::Delete | Order::Spoilt => false,
        };
        if already {
            return Begun::Over(Outcome::Unchanged);
        }
        let answers = answers.clone();
        self.ground.queue.order((listed.number, id.clone()), order, move |outcome| {
            // Whoever asked may have given up.
            let _ = answers.send((at, outcome));
        });
        Begun::Waits
    }

    /// Only what really is damaged goes.
    fn set_aside(&self, (at, id): (usize, &QueueId), answers: &Answers) -> Begun {
        let spool = &self.ground.spool;
        let set_apart = |number: u64| {
            let (answers, log) = (answers.clone(), self.ground.log.clone());
            self.ground.queue.set_apart(spool, number, move |outcome| {
                for line in outcome.iter().flatten() {
                    log.write("komainu/queue", Logged::Other(line.clone().into()));
                }
                // Whoever asked may have given up.
                let _ = answers.send((at, outcome.map(drop)));
            })
        };
        if id.numbers().any(set_apart) {
            return Begun::Waits;
        }
        let there = id.numbers().any(|number| spool.envelope(number).is_ok());
        Begun::Over(if there { Outcome::Unchanged } else { Outcome::NotFound })
    }
}

type Answers = mpsc::Sender<(usize, Result<(), SpoolError>)>;

fn say(out: &mut Out<'_>, reply: &Reply) -> io::Result<()> {
    out.write_all(&reply.encode())
}

fn refusal(error: &PickupError) -> Reply {
    let cause = match error {
        PickupError::TooLarge => Cause::TooLarge,
        // Whatever is a matter of time is taken by the maildrop.
        error if error.is_temporary() => Cause::Failed,
        _ => Cause::Protocol,
    };
    Reply::Refused(cause, error.to_string())
}

/// What only root may see: who handed it in, and whom it was for before aliases.
fn conceal(entry: &mut Entry) {
    entry.client = Client::default();
    (entry.envelope_id, entry.filter, entry.redirect, entry.verp) = (None, None, None, None);
    entry.hold_reason = None;
    for recipient in &mut entry.recipients {
        recipient.original.clone_from(&recipient.address);
        recipient.orcpt = None;
    }
}
