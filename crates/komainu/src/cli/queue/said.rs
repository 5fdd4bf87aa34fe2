//! How a message is said: a few lines for people, an object for programs. No character of it can steer a terminal.

use crate::clock;
use crate::queued::Listed;
use crate::queued::shelf::Kept;
use mail::Wall;
use mail::time::Civil;
use proto::control::State;
use queue::{Recipient, Status};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// What isn't printable becomes `?`.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `2h05m`, `3d04h`.
pub(super) fn age(age: Duration) -> String {
    let s = age.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3_600 % 24),
    }
}

/// `512`, `4.2k`, `11.6M`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [("G", 1_u64 << 30), ("M", 1 << 20), ("k", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{}.{}{unit}", bytes / size, bytes % size * 10 / size),
        None => bytes.to_string(),
    }
}

/// `2026-11-22 11:38:47`, here.
pub(super) fn moment(wall: Wall) -> String {
    let at = Civil::at(wall, clock::utc_offset_s(wall));
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", at.year, at.month, at.day, at.hour, at.minute, at.second)
}

fn status(recipient: &Recipient) -> (&'static str, Option<(String, String)>) {
    let reason = |reason: &queue::Reason| Some((reason.dsn.to_string(), plain(&reason.text)));
    match &recipient.status {
        Status::Pending => ("pending", None),
        Status::Deferred(why) => ("deferred", reason(why)),
        Status::Delivered => ("delivered", None),
        Status::Confirmed(_, why) => ("delivered", reason(why)),
        Status::Returned => ("returned", None),
        Status::Failed(why) => ("failed", reason(why)),
        Status::Expired(why) => ("expired", reason(why)),
    }
}

fn sender(listed: &Listed) -> String {
    if listed.entry.sender.is_null() { "<>".to_owned() } else { plain(&listed.entry.sender.to_external()) }
}

/// The content filter that it goes through before anything else.
fn filter(entry: &queue::Entry) -> Option<&str> {
    let anew = entry.refiltered.then_some("the filter of new local mail");
    entry.filter.as_deref().or(anew)
}

/// A few lines: the message, and who waits for it and why.
pub(super) fn lines(listed: &Listed, now: Wall) -> String {
    let entry = &listed.entry;
    let (age, size) = (age(now - entry.arrival), bytes(entry.size));
    let mut text =
        format!("{:<17} {:<8} {age:>7} {size:>7}  {}\n", entry.id, listed.state.name(), sender(listed));
    if let Some(reason) = &entry.hold_reason {
        let _ = writeln!(text, "    (on hold: {})", plain(reason));
    }
    if let Some(filter) = filter(entry) {
        let _ = writeln!(text, "    (goes through {})", plain(filter));
    }
    for recipient in entry.recipients.iter().filter(|one| one.status.is_open() || one.status.is_failure()) {
        let address = plain(&recipient.address.to_external());
        // Writing to a string can't fail.
        let _ = match status(recipient) {
            (_, None) => writeln!(text, "    {address}"),
            ("deferred", Some((_, reason))) => writeln!(text, "    {address}: {reason}"),
            (word, Some((_, reason))) => writeln!(text, "    {address} ({word}): {reason}"),
        };
    }
    text
}

/// The same of what is kept apart because it is damaged: as much as can be made out.
pub(super) fn kept_lines(kept: &Kept, now: Wall) -> String {
    let path = kept.path.display();
    let Some(entry) = &kept.entry else {
        let size = bytes(kept.size);
        return format!(
            "{:<17} {:<8} {:>7} {size:>7}  (nothing legible; kept in {path})\n",
            "?", "corrupt", "?"
        );
    };
    let listed = Listed { number: 0, state: State::Hold, entry: entry.clone() };
    let (age, size) = (age(now - entry.arrival), bytes(entry.size));
    let mut text = format!(
        "{:<17} {:<8} {age:>7} {size:>7}  {} (kept in {path})\n",
        entry.id,
        "corrupt",
        sender(&listed)
    );
    for recipient in &entry.recipients {
        // Writing to a string can't fail.
        let _ = writeln!(text, "    {}", plain(&recipient.address.to_external()));
    }
    text
}

/// The same for programs.
pub(super) fn kept_object(kept: &Kept) -> Value {
    let mut object =
        json!({ "state": "corrupt", "kept": kept.path.display().to_string(), "kept_size": kept.size });
    if let Some(entry) = &kept.entry {
        object["id"] = json!(entry.id.as_str());
        object["arrival_time"] = json!(entry.arrival.seconds());
        object["size"] = json!(entry.size);
        object["sender"] = json!(entry.sender.to_external());
        let recipients = entry.recipients.iter().map(|one| json!({ "address": one.address.to_external() }));
        object["recipients"] = json!(recipients.collect::<Vec<_>>());
    }
    object
}

/// All that is known of it.
pub(super) fn details(listed: &Listed, now: Wall) -> String {
    let entry = &listed.entry;
    let mut text = String::new();
    let mut say = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<14}{}", format!("{name}:"), plain(value));
        }
    };
    say("Queue id", entry.id.as_str());
    say("State", listed.state.name());
    say("On hold", entry.hold_reason.as_deref().unwrap_or_default());
    say("Arrived", &format!("{} ({} ago)", moment(entry.arrival), age(now - entry.arrival)));
    say("Size", &format!("{} bytes", entry.size));
    say("Sender", &sender(listed));
    let client = &entry.client;
    if !client.address.is_empty() {
        let (name, address) = (&client.name, &client.address);
        say("Client", &format!("{name}[{address}] {} helo=<{}>", client.protocol, client.helo));
    }
    say("Login", client.sasl.as_ref().map_or("", |(_, username, _)| username));
    say("Envelope id", entry.envelope_id.as_deref().unwrap_or_default());
    say("Filter", filter(entry).unwrap_or_default());
    say("Tries", &entry.tries.to_string());
    if entry.tries > 0 && !entry.hold {
        say("Next try", &format!("{} or at the queue run after it", moment(entry.next_attempt)));
    }
    if entry.expire {
        say("Expired", "by hand: it goes back to its sender at the next try");
    }
    for recipient in &entry.recipients {
        let (word, reason) = status(recipient);
        let original = recipient.original != recipient.address;
        let original =
            if original { format!(" (was {})", recipient.original.to_external()) } else { String::new() };
        let reason = reason.map_or_else(String::new, |(dsn, text)| format!(": {dsn} {text}"));
        say("Recipient", &format!("{}{original} {word}{reason}", recipient.address.to_external()));
    }
    text
}

/// The same for programs. Times are seconds since 1970.
pub(super) fn object(listed: &Listed) -> Value {
    let entry = &listed.entry;
    let recipients = entry.recipients.iter().map(|recipient| {
        let (word, reason) = status(recipient);
        let mut object = json!({ "address": recipient.address.to_external(), "status": word });
        if recipient.original != recipient.address {
            object["original"] = json!(recipient.original.to_external());
        }
        if let Some((dsn, text)) = reason {
            object["dsn"] = json!(dsn);
            object["reason"] = json!(text);
        }
        object
    });
    let mut object = json!({
        "id": entry.id.as_str(),
        "state": listed.state.name(),
        "arrival_time": entry.arrival.seconds(),
        "size": entry.size,
        "sender": entry.sender.to_external(),
        "tries": entry.tries,
        "next_attempt": entry.next_attempt.seconds(),
        "forced_expire": entry.expire,
        "recipients": recipients.collect::<Vec<_>>(),
    });
    let client = &entry.client;
    if !client.address.is_empty() {
        object["client"] = json!({
            "name": client.name, "address": client.address, "port": client.port,
            "helo": client.helo, "protocol": client.protocol,
        });
        if let Some((_, username, _)) = &client.sasl {
            object["client"]["sasl_username"] = json!(username);
        }
    }
    for (name, value) in
        [("envelope_id", &entry.envelope_id), ("hold_reason", &entry.hold_reason), ("filter", &entry.filter)]
    {
        if let Some(value) = value {
            object[name] = json!(value);
        }
    }
    if entry.refiltered {
        object["refiltered"] = json!(true);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Address, Dsn};
    use proto::control::State;
    use queue::{Entry, Reason};

    #[test]
    fn sizes_and_ages() {
        let check = |seconds: u64, expect: &str| assert_eq!(age(Duration::from_secs(seconds)), expect);
        check(0, "0s");
        check(61, "1m01s");
        check(7_500, "2h05m");
        check(273_600, "3d04h");
        assert_eq!([bytes(512), bytes(4_301), bytes(12_120_312)], ["512", "4.2k", "11.5M"]);
        assert_eq!(bytes(u64::MAX).len(), "17179869183.9G".len());
    }

    #[test]
    fn why_it_is_held_and_where_it_goes() {
        let sender = Address::from_internal("a@x.example");
        let mut entry = Entry::new("ABCDEF".parse().unwrap(), Wall(0), sender, Vec::new());
        entry.filter = Some("smtp:[127.0.0.1]:10024".to_owned());
        entry.put_on_hold("header_checks regexp:/c, line 3: look (header Subject: \x07)".to_owned());
        let listed = Listed { number: 1, state: State::Hold, entry };
        let reason = "header_checks regexp:/c, line 3: look (header Subject: ?)";
        let list = lines(&listed, Wall(0));
        assert!(list.contains(&format!("\n    (on hold: {reason})\n")), "{list}");
        assert!(list.ends_with("\n    (goes through smtp:[127.0.0.1]:10024)\n"), "{list}");
        let shown = details(&listed, Wall(0));
        assert!(shown.contains(&format!("\nOn hold:      {reason}\n")), "{shown}");
        assert!(shown.contains("\nFilter:       smtp:[127.0.0.1]:10024\n"), "{shown}");
        let object = object(&listed);
        assert_eq!(object["filter"], "smtp:[127.0.0.1]:10024");
        assert_eq!(object["hold_reason"], "header_checks regexp:/c, line 3: look (header Subject: \x07)");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let mut recipient = Recipient::new(Address::from_internal("a\x1b[31m@x.example"));
        recipient.status = Status::Deferred(Reason::new(Dsn::new(4, 0, 0), "said: \x1b]0;owned\x07\r\n550"));
        let sender = Address::from_internal("\x07b@x.example");
        let mut entry = Entry::new("ABCDEF".parse().unwrap(), Wall(0), sender, vec![recipient]);
        entry.client.address = "192.0.2.1".to_owned();
        entry.client.helo = "\x1bc".to_owned();
        let listed = Listed { number: 1, state: State::Deferred, entry };
        for text in [lines(&listed, Wall(0)), details(&listed, Wall(0)), object(&listed).to_string()] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        }
        assert!(lines(&listed, Wall(0)).contains("said: ?]0;owned???550"), "{}", lines(&listed, Wall(0)));
    }
}
