//! Lines that aren't Postfix's form: this program's own JSON (`komainu_log_format = json`), and what journalctl(1) shows.
//!
//! [`plain`] tells them by their beginning and gives the line that syslog would have, so that whoever reads logs needs
//! to know one form. Of the journal, `-o json` and, with an offset like `+0900`, `-o short-iso`; its other forms are
//! syslog's or no logs. RFC 8259, systemd.journal-fields(7).

use crate::record::Text;
use crate::{Event, Line, Stamp};
use mail::Wall;
use serde_json::Value;

/// What is kept of a text of the journal, in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// The line as syslog writes it; nothing where it has that form already, or is half, or none. `offset` says how many
/// minutes east of UTC the clock of this machine was at a second since 1970: the journal has UTC.
#[must_use]
pub fn plain(line: &[u8], offset: fn(i64) -> i16) -> Option<String> {
    match line.first()? {
        b'{' => match self::line(line) {
            Some(line) => Some(line.to_string()),
            None => journal(line, offset),
        },
        b'0'..=b'9' => with_colon(line),
        _ => None,
    }
}

/// A line of this program's JSON, with its event.
#[must_use]
pub fn line(text: &[u8]) -> Option<Line<'static>> {
    let object: Value = serde_json::from_slice(text).ok()?;
    let text = |name: &str| object.get(name)?.as_str();
    let (time, rest) = Stamp::parse_prefix(text("time")?)?;
    let (host, program) = (text("host")?, text("program")?);
    if !rest.is_empty() || !is_word(host) || !is_program(program) {
        return None;
    }
    let pid = match object.get("pid") {
        Some(pid) => Some(u32::try_from(pid.as_u64()?).ok()?),
        None => None,
    };
    let event = Event::from_json(text("event")?, &object)?;
    Some(Line { time, host: host.to_owned().into(), program: program.to_owned().into(), pid, event })
}

/// An entry of `journalctl -o json`.
fn journal(entry: &[u8], offset: fn(i64) -> i16) -> Option<String> {
    let object: Value = serde_json::from_slice(entry).ok()?;
    let micros: i64 = field(&object, "__REALTIME_TIMESTAMP")?.parse().ok()?;
    let wall = Wall(micros);
    let stamp = Stamp::rfc3339(wall, offset(wall.seconds()));
    let word =
        |names: &[&str]| names.iter().find_map(|name| field(&object, name).filter(|text| is_program(text)));
    let host = word(&["_HOSTNAME"]).unwrap_or_else(|| "localhost".into());
    let program = word(&["SYSLOG_IDENTIFIER", "_COMM"])?;
    let said = field(&object, "MESSAGE")?;
    let said = said.get(..said.floor_char_boundary(TEXT_MAX)).unwrap_or_default();
    let said = crate::text::printable(said.as_bytes());
    let pid = ["SYSLOG_PID", "_PID"].iter().find_map(|name| field(&object, name)?.parse::<u32>().ok());
    Some(match pid {
        Some(pid) => format!("{stamp} {host} {program}[{pid}]: {said}"),
        None => format!("{stamp} {host} {program}: {said}"),
    })
}

/// A field of the journal: a text, bytes where it isn't printable, the first of several.
fn field<'a>(object: &'a Value, name: &str) -> Option<Text<'a>> {
    match object.get(name)? {
        Value::String(text) => Some(text.into()),
        Value::Array(all) => match all.first()? {
            Value::String(text) => Some(text.into()),
            _ => {
                let bytes = all.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
                let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
                Some(crate::text::printable(&bytes).into_owned().into())
            }
        },
        _ => None,
    }
}

/// Whether it may stand before a line's text as its host.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
}

/// Whether it may stand there as its program.
fn is_program(text: &str) -> bool {
    is_word(text) && !text.contains(['[', ':'])
}

/// `2026-11-22T01:55:03+0900 host …` with a colon in its offset.
fn with_colon(line: &[u8]) -> Option<String> {
    let (stamp, rest) = line.split_at_checked(24)?;
    let (clock, offset) = stamp.split_at_checked(19)?;
    let [b'+' | b'-', hours @ .., _, _] = offset else { return None };
    if hours.len() != 2 || !offset.iter().skip(1).all(u8::is_ascii_digit) || rest.first() != Some(&b' ') {
        return None;
    }
    let (hours, minutes) = offset.split_at_checked(3)?;
    let clock = std::str::from_utf8(clock).ok()?;
    let (hours, minutes) = (std::str::from_utf8(hours).ok()?, std::str::from_utf8(minutes).ok()?);
    let (_, "") = Stamp::parse_prefix(&format!("{clock}{hours}:{minutes}"))? else { return None };
    Some(format!("{clock}{hours}:{minutes}{}", crate::text::printable(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokyo(_: i64) -> i16 {
        540
    }

    #[test]
    fn entries_of_the_journal() {
        let head = r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795312503123456","_HOSTNAME":"mail","PRIORITY":"6""#;
        let stamp = "2026-11-22T10:55:03.123456+09:00 mail";
        for (more, expect) in [
            (
                r#","SYSLOG_IDENTIFIER":"postfix/smtpd","SYSLOG_PID":"12","_PID":"7","MESSAGE":"connect from a[192.0.2.1]""#,
                Some("postfix/smtpd[12]: connect from a[192.0.2.1]"),
            ),
            (r#","_COMM":"sshd","_PID":"7","MESSAGE":"a\nb""#, Some("sshd[7]: a?b")),
            (r#","SYSLOG_IDENTIFIER":"x","MESSAGE":[97,98,255,10]"#, Some("x: ab??")),
            (r#","SYSLOG_IDENTIFIER":["x","y"],"MESSAGE":"z""#, Some("x: z")),
            // What was too long is null.
            (r#","SYSLOG_IDENTIFIER":"x","MESSAGE":null"#, None),
            (r#","SYSLOG_IDENTIFIER":"x: y","MESSAGE":"z""#, None),
            (r#","MESSAGE":"nobody""#, None),
        ] {
            let entry = format!("{head}{more}}}");
            let expect = expect.map(|expect| format!("{stamp} {expect}"));
            assert_eq!(plain(entry.as_bytes(), tokyo), expect, "{entry}");
        }
        for none in ["{", "{}", "[]", "{\"time\":1}", "", "Nov 22 01:55:03 mail x: y"] {
            assert_eq!(plain(none.as_bytes(), tokyo), None, "{none}");
        }
    }

    #[test]
    fn short_iso() {
        let line = b"2026-11-22T01:55:03-0330 mail postfix/smtpd[1]: connect from a[192.0.2.1]";
        let expect = "2026-11-22T01:55:03-03:30 mail postfix/smtpd[1]: connect from a[192.0.2.1]";
        assert_eq!(plain(line, tokyo).as_deref(), Some(expect));
        assert_eq!(plain(expect.as_bytes(), tokyo), None);
        assert_eq!(plain(b"2026-11-22T01:55:03-9999 mail x: y", tokyo), None);
    }
}
