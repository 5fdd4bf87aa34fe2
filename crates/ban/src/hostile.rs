//! Whatever may come: files that somebody damaged, lines that strangers wrote. For the fuzz targets, and seeded here.

use crate::date::Dates;
use crate::filter::{Filter, Outcome, Reader, Scout};
use crate::layers::Files;
use crate::zone::Zone;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// 2026-11-23 12:00:00 UTC.
const NOW_US: i64 = 1_795_435_200_000_000;

/// A date that is quickly compiled.
const DATE: &str = "{^LN-BEG}%b %d %k:%M:%S";

/// One text, as whichever file is asked for.
struct One<'t>(&'t str);

impl Files for One<'_> {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        let is_first = path.extension().is_some_and(|extension| extension == "conf");
        Ok(is_first.then(|| self.0.to_owned()))
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        vec![folder.join("x.conf"), folder.join("y.local")]
    }
}

fn zone() -> Zone {
    Zone::new(jiff::tz::TimeZone::UTC)
}

/// Any bytes as jail.conf, as a filter's and an action's file, all at once.
pub fn fuzz_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = crate::jails::read_with(&One(&text), Path::new("/f"), &|name| name.len() < 9);
    for jail in &read.jails {
        drop(crate::jail::Settings::of(jail));
        drop(crate::review_of(jail));
        let mut options = jail.filter.clone();
        options.insert("datepattern", DATE.to_owned());
        drop(Filter::new(&options));
    }
    drop(crate::dump::lines_of(&read, &|path| vec![path.to_owned()]));
}

/// An expression, a zero byte, a line: translated and tried, in both of our ways.
///
/// # Panics
/// When both ways don't find the same.
pub fn fuzz_filter(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let expression = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let date = DATE.to_owned();
    let options = BTreeMap::from([("failregex", format!("{expression}<HOST>")), ("datepattern", date)]);
    let Ok(filter) = Filter::new(&options) else { return };
    let text = parts.next().unwrap_or_default();
    same_in_both_ways(&Arc::new(filter), text);
}

/// A date pattern, a zero byte, a line.
pub fn fuzz_date(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let pattern = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let line = parts.next().unwrap_or_default();
    static DEFAULTS: OnceLock<Option<Dates>> = OnceLock::new();
    let defaults = DEFAULTS.get_or_init(|| Dates::new("").ok());
    let own = Dates::new(if pattern.contains('D') { "%d" } else { &pattern }).ok();
    for dates in own.iter().chain(defaults) {
        if let Some(found) = dates.find(line, &mut zone(), NOW_US) {
            assert!(found.start <= found.end && found.end <= line.len(), "{found:?}");
        }
    }
}

/// Any lines, read by filters like the stock ones for mail and sshd.
///
/// # Panics
/// When line by line is not the same as many at once.
pub fn fuzz_lines(bytes: &[u8]) {
    static FILTERS: OnceLock<Vec<Arc<Filter>>> = OnceLock::new();
    let filters = FILTERS.get_or_init(|| {
        let of = |prefix: &str, rules: &str| {
            let options = [("prefregex", prefix), ("failregex", rules), ("datepattern", "{^LN-BEG}")];
            Filter::new(&options.map(|(name, text)| (name, text.to_owned())).into()).ok().map(Arc::new)
        };
        [of(MAIL.0, MAIL.1), of(MAILBOX.0, MAILBOX.1), of(SHELL.0, SHELL.1), of("", MAIL.1)]
            .into_iter()
            .flatten()
            .collect()
    });
    filters.iter().for_each(|filter| same_in_both_ways(filter, bytes));
}

/// Postfix.
const MAIL: (&str, &str) = (
    r"^\s*\S+ postfix/\w+(?:\[\d+\])?: (?:warning: |NOQUEUE: reject: |disconnect(?= from \S+(?: \S+=\d+)* auth=0/[1-9]))<F-CONTENT>.+</F-CONTENT>$",
    r"^[^[]*\[<HOST>\]: SASL ((?i)LOGIN|PLAIN) authentication failed:(?! Connection lost)
^[A-Z]{4} from [^[]*\[<HOST>\]: [45]\d\d
^ from [^[]*\[<HOST>\]",
);

/// Dovecot.
const MAILBOX: (&str, &str) = (
    r"^\s*\S+ dovecot: (?:pop3|imap)-login: <F-CONTENT>.+</F-CONTENT>$",
    r"^Disconnected \(auth failed\): user=<<F-USER>[^>]*</F-USER>>, rip=<HOST>[^>]*$",
);

/// sshd.
const SHELL: (&str, &str) = (
    r"^<F-MLFID>\s*\S+ sshd\[\d+\]:\s+</F-MLFID><F-CONTENT>.+</F-CONTENT>$",
    r"^Failed \S+ for (?P<cond_inv>invalid user )?<F-USER>(?P<cond_user>\S+)|(?(cond_inv)(?:(?! from ).)*?|[^:]+)</F-USER> from <HOST>(?: (?:port \d+|on \S+)){0,2}(?: ssh\d*)?(?(cond_user): |(?:(?:(?! from ).)*)$)
^[iI](?:llegal|nvalid) user <F-USER>.*?</F-USER> from <HOST>(?: (?:port \d+|\[preauth\])){0,3}\s*$
^<F-NOFAIL>Connection from</F-NOFAIL> <HOST>
^<F-MLFFORGET><F-MLFGAINED>Accepted \w+</F-MLFGAINED></F-MLFFORGET> for <F-USER>\S+</F-USER> from <HOST>",
);

fn same_in_both_ways(filter: &Arc<Filter>, text: &[u8]) {
    let mut reader = Reader::new(Arc::clone(filter), zone());
    let mut one_by_one = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let outcome = reader.line(line, NOW_US);
        if let Outcome::Failed(failure) = &outcome {
            let id = failure.id.to_string();
            assert!(id.len() <= 3 * line.len().max(16), "{id}");
        }
        if outcome != Outcome::Missed {
            one_by_one.push(outcome);
        }
    }
    let mut reader = Reader::new(Arc::clone(filter), zone());
    let mut at_once = Vec::new();
    reader.lines(text, NOW_US, &mut |_, _, outcome| at_once.push(outcome));
    assert_eq!(one_by_one, at_once, "{:?}", String::from_utf8_lossy(text));
    same_by_scouts(filter, text);
}

/// Reports have several threads look at blocks of lines.
fn same_by_scouts(filter: &Arc<Filter>, text: &[u8]) {
    let mut reader = Reader::new(Arc::clone(filter), zone());
    let (mut one_by_one, mut dated) = (Vec::new(), 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        let (outcome, date) = reader.line_with_date(line.get(..end).unwrap_or_default(), NOW_US);
        dated += u64::from(date.is_some());
        if outcome != Outcome::Missed {
            one_by_one.push(outcome);
        }
    }
    let mut together = Reader::new(Arc::clone(filter), zone());
    let Some(mut scouts) = [(); 2].map(|()| Scout::new(Arc::clone(filter), zone())).into_iter().collect()
    else {
        return;
    };
    let scouts: &mut Vec<Scout> = &mut scouts;
    let (mut by_scouts, mut blocks_dated, mut turn, mut rest) = (Vec::new(), 0, 0, text);
    while !rest.is_empty() {
        let piece = rest.len().min(1 + turn * 97 % 1_000);
        let end = rest.get(piece..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'));
        let (block, behind) = rest.split_at(end.map_or(rest.len(), |end| piece + end + 1));
        let Some(scout) = scouts.get_mut(turn % 2) else { return };
        let seen = scout.look(block, NOW_US, &mut |_, _| {});
        blocks_dated += seen.dates.iter().sum::<u64>();
        together.take_in((seen, block), (NOW_US, false), &mut |_, outcome, _| by_scouts.push(outcome));
        (turn, rest) = (turn + 1, behind);
    }
    assert_eq!(one_by_one, by_scouts, "{:?}", String::from_utf8_lossy(text));
    assert_eq!((dated, reader.prefix_hits()), (blocks_dated, together.prefix_hits()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{self, Dice};

    /// Cuts, doubles, swaps and spoils pieces of a text.
    fn spoilt(text: &[u8], dice: &mut Dice) -> Vec<u8> {
        let mut out = text.to_vec();
        for _ in 0..=dice.roll(4) {
            if out.is_empty() {
                break;
            }
            let (at, length) = (dice.roll(out.len()), dice.roll(12));
            let end = (at + length).min(out.len());
            match dice.roll(5) {
                0 => drop(out.drain(at..end)),
                1 => {
                    let piece = out.get(at..end).unwrap_or_default().to_vec();
                    let to = dice.roll(out.len());
                    out.splice(to..to, piece);
                }
                2 => {
                    const BYTES: &[u8] = b"\0\n\r\t <>()[]{}|*+?\\%^$:=,\"'\x80\xc3\xff0a";
                    let byte = BYTES.get(dice.roll(BYTES.len())).copied().unwrap_or(0);
                    out.splice(at..at, [byte]);
                }
                3 => {
                    if let Some(byte) = out.get_mut(at) {
                        *byte = byte.wrapping_add(1);
                    }
                }
                _ => out.truncate(out.len() - length.min(out.len()) / 2),
            }
        }
        out
    }

    fn turns(seeds: &[&[u8]], turns: usize, target: fn(&[u8])) {
        let mut dice = Dice::new(5);
        for turn in 0..turns {
            let seed = seeds.get(turn % seeds.len()).copied().unwrap_or_default();
            target(&spoilt(seed, &mut dice));
        }
    }

    #[test]
    fn damaged_files() {
        let jail = "[INCLUDES]\nbefore = paths.conf\n[DEFAULT]\nbantime = 10m\nbantime.increment = yes\n\
            bantime.formula = ban.Time * 2\nignoreip = 127.0.0.1/8 ::1\naction = %(banaction)s[name=%(__name__)s, port=\"%(port)s\"]\n\
            banaction = x\n[x]\nenabled = true\nfilter = x[mode=a]\nport = 1,2\n[Definition]\n\
            failregex = ^%(p)s <mdre-<mode>> from <HOST>$\n  %(known/p)s <a/b>\np = \\S+\ndatepattern = ^%%b %%d\nmdre-a = x\nactionban = <ip> <name>\n\
            [Init?family=inet6]\ny = 1\n[a]\nb = %(Definition/p)s\n";
        turns(&[jail.as_bytes()], 300, fuzz_files);
    }

    #[test]
    fn any_expression() {
        turns(
            &[
                br"^(?:(?P<a>x+)+(?P=a))* from (?<!y)[^\]a-z-]{2,}" as &[u8],
                b"^ sshd: (?(a)b|c) <F-USER>.*</F-USER> from \0Nov 23 01:02:03 sshd: from 192.0.2.1\nb from ::1",
                b"<SKIPLINES>|(?i)a\\Z[[:alpha:]]\0 a 1.2.3.4",
                "é\\w+(?#c)\\s(?=é) \0Nov 23 01:02:03 éab é 1.2.3.4".as_bytes(),
            ],
            300,
            fuzz_filter,
        );
    }

    #[test]
    fn any_date() {
        turns(
            &[
                b"{^LN-BEG}%Y-%m-%d %H:%M:%S(?:\\.%f)? %z\x002026-11-23 01:02:03.5 +0100 x" as &[u8],
                b"%b %d %ExH:%M:%S %p\0Nov 31 25:61:61 PM",
                b"Epoch\n{UNB}EPOCH\x001795395723.123456 x",
                b"{NONE}\0@400000004c56e9e31a0f3f04",
                b"%j %y %I %p %A %B **\x00366 99 12 am Monday November",
            ],
            500,
            fuzz_date,
        );
    }

    #[test]
    fn any_lines() {
        let (mail, shell) = (made::mail_log(3, 40).log, made::auth_log(4, 40).log);
        turns(&[mail.as_bytes(), shell.as_bytes()], 200, fuzz_lines);
    }

    /// Names that clients choose can't ban somebody else: each line, by whichever filter, is of its own address or nobody.
    #[test]
    fn nobody_is_banned_by_anothers_words() {
        let names = [
            "x from 9.9.9.9",
            "x from 9.9.9.9 port 22 ssh2",
            "x] from unknown[9.9.9.9]: 554",
            "a>, rip=9.9.9.9, lip=1.1.1.1, y=<b",
            "unknown[9.9.9.9]: SASL LOGIN authentication failed: x",
            "x: warning: unknown[9.9.9.9]: SASL PLAIN authentication failed: y",
            "Failed password for y from 9.9.9.9",
            " port 1 ssh2: y from 9.9.9.9 port 2 ssh2",
            "invalid user z from 9.9.9.9",
            "\u{a0}from\u{2028}9.9.9.9",
        ];
        let lines = [
            "mx postfix/smtpd[1]: warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: {}",
            "mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <{}>: no; from=<{}> helo=<{}>",
            "mx dovecot: imap-login: Disconnected (auth failed): user=<{}>, rip=192.0.2.1, lip=1.1.1.1",
            "mx sshd[1]: Failed password for {} from 192.0.2.1 port 22 ssh2",
            "mx sshd[1]: Failed password for invalid user {} from 192.0.2.1 port 22 ssh2",
            "mx sshd[1]: Invalid user {} from 192.0.2.1 port 22",
            "mx postfix/cleanup[1]: 4X: warning: header Subject: {} from h[192.0.2.1]; from=<{}> to=<x>",
        ];
        for (prefix, rules) in [MAIL, MAILBOX, SHELL] {
            let options = [("prefregex", prefix), ("failregex", rules), ("datepattern", "{^LN-BEG}")];
            let options = options.map(|(name, text)| (name, text.to_owned())).into();
            let mut reader = Reader::new(Arc::new(Filter::new(&options).expect("a filter")), zone());
            for (name, line) in names.iter().flat_map(|name| lines.iter().map(move |line| (name, line))) {
                let line = format!("Nov 23 01:02:03 {}", line.replace("{}", name));
                if let Outcome::Failed(failure) = reader.line(line.as_bytes(), NOW_US) {
                    assert_eq!(failure.id.to_string(), "192.0.2.1", "{line}");
                }
            }
        }
    }

    /// A megabyte of whatever, and expressions that would take for ever: each is over within its steps.
    #[test]
    fn nothing_takes_for_ever() {
        for piece in [
            "a",
            " from ",
            "[1.2.3.4]",
            "x from 1.2.3.4 port 1 ",
            "\u{e9}",
            "user=<",
            "(",
            "postfix/smtpd[1]: warning: ",
        ] {
            let mut line = b"Nov 23 01:02:03 mx sshd[1]: Failed password for ".to_vec();
            while line.len() < 1 << 20 {
                line.extend_from_slice(piece.as_bytes());
            }
            fuzz_lines(&line);
        }
        for expression in [r"(a+)+\1 ", r"(?:(?:a|aa)+)+(?!b)$", r"(?=(a*)*b)", r"((a{1,50}){1,50}){1,50}"] {
            fuzz_filter(
                &[expression.as_bytes(), b"\0", "a".repeat(50_000).as_bytes(), b"c 1.2.3.4"].concat(),
            );
        }
    }
}
