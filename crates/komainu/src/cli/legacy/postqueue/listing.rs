//! The two listings of postqueue(1): sendmail's, and JSON.

use super::super::mail_queue::printable;
use crate::clock;
use crate::queued::Listed;
use mail::time::Civil;
use mail::{Address, Wall};
use proto::control::State;
use queue::{Recipient, Status};
use std::fmt::Write as _;
use std::io::{self, Write};

/// A listing that is written as the queue is read.
pub(super) trait Listing<W: Write> {
    fn message(&mut self, listed: &Listed) -> io::Result<()>;
    /// All messages were there.
    fn close(&mut self) -> io::Result<()>;
}

/// `postqueue -p`.
pub(super) struct Text<W> {
    out: W,
    /// `enable_long_queue_ids`: other columns.
    long: bool,
    messages: u64,
    bytes: u64,
}

/// `postqueue -j`.
pub(super) struct Json<W>(pub(super) W);

/// `Sun Nov 22 11:38:47`, here and now.
pub(in crate::cli::legacy) fn date(wall: Wall) -> String {
    let at = Civil::at(wall, clock::utc_offset_s(wall));
    let (weekday, month) = (at.weekday_name(), at.month_name());
    format!("{weekday} {month} {:2} {:02}:{:02}:{:02}", at.day, at.hour, at.minute, at.second)
}

fn sender(sender: &Address) -> String {
    if sender.is_null() { "MAILER-DAEMON".to_owned() } else { printable(&sender.to_external()) }
}

/// Those that are still to be delivered: first those with a reason, as in Postfix's defer log.
fn waiting(recipients: &[Recipient]) -> impl Iterator<Item = (String, Option<String>)> {
    let deferred = recipients.iter().filter(|recipient| matches!(recipient.status, Status::Deferred(_)));
    let pending = recipients.iter().filter(|recipient| recipient.status == Status::Pending);
    deferred.chain(pending).map(|recipient| {
        let reason = match &recipient.status {
            Status::Deferred(reason) => Some(printable(reason.text.trim_end())),
            _ => None,
        };
        (printable(&recipient.address.to_external()), reason)
    })
}

impl<W: Write> Text<W> {
    pub(super) fn new(out: W, long: bool) -> Text<W> {
        Text { out, long, messages: 0, bytes: 0 }
    }
}

impl<W: Write> Listing<W> for Text<W> {
    fn message(&mut self, listed: &Listed) -> io::Result<()> {
        if self.messages == 0 {
            let head = if self.long {
                "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
            } else {
                "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
            };
            writeln!(self.out, "{head}")?;
        } else {
            writeln!(self.out)?;
        }
        let entry = &listed.entry;
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        let mark = match listed.state {
            State::Active => "*",
            State::Hold => "!",
            State::Incoming | State::Deferred | State::Maildrop => "",
        };
        let id = format!("{}{mark}{}", entry.id, if entry.expire { "#" } else { "" });
        let (size, date, sender) = (entry.size, date(entry.arrival), sender(&entry.sender));
        let mut text = if self.long {
            format!("{id:<17} {size:8} {date:<19} {sender}\n")
        } else {
            format!("{id:<11} {size:7} {date:<20} {sender}\n")
        };
        let indent = if self.long { 47 } else { 41 };
        let mut said: Option<Option<String>> = None;
        for (address, reason) in waiting(&entry.recipients) {
            if said.as_ref() != Some(&reason) {
                match &reason {
                    Some(reason) => right(&mut text, reason),
                    // Only where others have one.
                    None if said.is_some() => right(&mut text, "reason unavailable"),
                    None => {}
                }
                said = Some(reason);
            }
            blanks(&mut text, indent);
            text.push_str(&address);
            text.push('\n');
        }
        self.out.write_all(text.as_bytes())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.messages == 0 {
            writeln!(self.out, "Mail queue is empty")?;
        } else {
            let (kbytes, count) = (self.bytes / 1024, self.messages);
            let requests = if count == 1 { "Request" } else { "Requests" };
            writeln!(self.out, "\n-- {kbytes} Kbytes in {count} {requests}.")?;
        }
        self.out.flush()
    }
}

/// A reason, ending in column 78 where it fits.
fn right(text: &mut String, reason: &str) {
    // Bytes, as printf(3) counts; two for the brackets.
    blanks(text, 76_usize.saturating_sub(reason.len()));
    text.push('(');
    text.push_str(reason);
    text.push_str(")\n");
}

/// No reason and no address begins further to the right.
const BLANKS: &str = "                                                                              ";

fn blanks(text: &mut String, count: usize) {
    text.push_str(BLANKS.get(..count).unwrap_or(BLANKS));
}

impl<W: Write> Listing<W> for Json<W> {
    fn message(&mut self, listed: &Listed) -> io::Result<()> {
        let entry = &listed.entry;
        let mut text = String::from("{");
        let _ = write!(
            text,
            "\"queue_name\": {}, \"queue_id\": {}, \"arrival_time\": {}, \"message_size\": {}, \
             \"forced_expire\": {}, \"sender\": {}, \"recipients\": [",
            quoted(listed.state.name()),
            quoted(entry.id.as_str()),
            entry.arrival.seconds(),
            entry.size,
            entry.expire,
            quoted(&sender(&entry.sender))
        );
        for (at, (address, reason)) in waiting(&entry.recipients).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}{{\"address\": {}", quoted(&address));
            if let Some(reason) = reason {
                let _ = write!(text, ", \"delay_reason\": {}", quoted(&reason));
            }
            text.push('}');
        }
        text.push_str("]}\n");
        self.0.write_all(text.as_bytes())
    }

    fn close(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A JSON string; nothing in it is a control character any more.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Dsn;
    use queue::{Entry, Reason};

    fn listed(id: &str, state: State, recipients: &[(&str, Option<&str>)]) -> Listed {
        let recipients = recipients.iter().map(|(address, reason)| {
            let mut recipient = Recipient::new(Address::from_internal(*address));
            if let Some(reason) = reason {
                recipient.status = Status::Deferred(Reason::new(Dsn::new(4, 0, 0), *reason));
            }
            recipient
        });
        let sender = Address::from_internal("odd name@example.org");
        let arrival = Wall::from_seconds(1_795_347_527);
        let mut entry = Entry::new(id.parse().unwrap(), arrival, sender, recipients.collect());
        entry.size = 371;
        Listed { number: 1, state, entry }
    }

    fn text(long: bool, all: &[Listed]) -> String {
        let mut out = Vec::new();
        let mut listing = Text::new(&mut out, long);
        all.iter().for_each(|one| listing.message(one).unwrap());
        listing.close().unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Lines of Debian's Postfix 3.7.
    #[test]
    fn the_columns_are_postfix_s() {
        assert_eq!(text(false, &[]), "Mail queue is empty\n");
        let refused = "connect to 127.0.0.1[127.0.0.1]:9: Connection refused";
        let date = date(Wall::from_seconds(1_795_347_527));
        let mut large = listed("5E48A9947CB", State::Deferred, &[("u1@down.example", Some("caf\u{e9}\tx"))]);
        large.entry.size = 12_120_312;
        large.entry.sender = Address::null();
        let recipients = [
            ("u1@hang.example", None),
            ("u1@down.example", Some(refused)),
            ("x y@down.example", Some(refused)),
        ];
        let mut active = listed("C9AF69947F5", State::Active, &recipients);
        active.entry.expire = true;
        let none = listed("C92839947F3", State::Hold, &[("u1@hang.example", None)]);
        let expect = format!(
            "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
5E48A9947CB 12120312 {date}  MAILER-DAEMON
{:>77}
                                         u1@down.example

C9AF69947F5*#     371 {date}  \"odd name\"@example.org
                       (connect to 127.0.0.1[127.0.0.1]:9: Connection refused)
                                         u1@down.example
                                         \"x y\"@down.example
                                                          (reason unavailable)
                                         u1@hang.example

C92839947F3!     371 {date}  \"odd name\"@example.org
                                         u1@hang.example

-- 11836 Kbytes in 3 Requests.
",
            "(caf\u{e9}?x)"
        );
        assert_eq!(text(false, &[large, active, none]), expect);
        let one = listed("4jXRvD6y9vz1Sj58", State::Deferred, &[("u1@down.example", Some(refused))]);
        let expect = format!(
            "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
4jXRvD6y9vz1Sj58       371 {date} \"odd name\"@example.org
                       (connect to 127.0.0.1[127.0.0.1]:9: Connection refused)
                                               u1@down.example

-- 0 Kbytes in 1 Request.
"
        );
        assert_eq!(text(true, &[one]), expect);
    }

    #[test]
    fn json_is_postfix_s() {
        let mut out = Vec::new();
        let recipients =
            [("u1@down.example", Some("450 caf\u{e9} \"q\" \\ back\ttab")), ("b@x.example", None)];
        Json(&mut out).message(&listed("C785A9947F2", State::Deferred, &recipients)).unwrap();
        let expect = r#"{"queue_name": "deferred", "queue_id": "C785A9947F2", "arrival_time": 1795347527, "message_size": 371, "forced_expire": false, "sender": "\"odd name\"@example.org", "recipients": [{"address": "u1@down.example", "delay_reason": "450 café \"q\" \\ back?tab"}, {"address": "b@x.example"}]}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expect}\n"));
    }
}
