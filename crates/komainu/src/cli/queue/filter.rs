//! Which messages are meant: by id, sender, recipient, domain, reason, age, size, state.
//!
//! Values of one option are alternatives, options narrow each other down; what is said of recipients must be true of
//! one and the same recipient that is still to be served. Text is compared without regard to case, whole, or by
//! pattern where it has `*` or `?`. Messages are found, never parts of one: a message is meant with all of its recipients.

use crate::queued::{Item, Listed, Queue};
use clap::Args;
use mail::{Address, QueueId, Wall};
use proto::control::State;
use queue::{Recipient, Status};
use std::io;
use std::time::Duration;

use super::Failed;

/// What the command line says.
#[derive(Args, Debug, Default)]
pub(super) struct Filter {
    /// Queue ids; patterns with `*` and `?` too.
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// Queue ids, as an option.
    #[arg(long = "id", value_name = "ID")]
    pub(super) more_ids: Vec<String>,
    /// The envelope's sender, exact or a pattern (`*@example.org`); `<>` for the null sender.
    #[arg(long, value_name = "ADDRESS")]
    sender: Vec<String>,
    /// A recipient that waits, exact or a pattern. A message that has one is meant whole, with its other recipients;
    /// the same goes for --domain and --reason.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Vec<String>,
    /// The domain of a recipient that waits, exact or a pattern; `.example.com` for all below it.
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// Words of the reason why a recipient waits (`Connection refused`), anywhere in it.
    #[arg(long, value_name = "TEXT")]
    reason: Vec<String>,
    /// In the queue for longer than this: `30m`, `2h`, `5d`; s, m, h, d or w must be said.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    older: Option<Duration>,
    /// In the queue for less than this.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    younger: Option<Duration>,
    /// Larger than this: `500k`, `10M`; a number alone is bytes.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    larger: Option<u64>,
    /// Smaller than this.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    smaller: Option<u64>,
    /// incoming (not tried yet), active (being delivered), deferred, or hold.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<State>,
}

/// `2h`: a number with s, m, h, d or w. Postfix's parameters differ in what a number alone is, so nobody is to guess.
fn duration(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(format!("a unit is missing: write {text}s, {text}m, {text}h, {text}d or {text}w"));
    }
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    number(text, &units).map(Duration::from_secs).ok_or_else(|| "write 30s, 10m, 2h, 5d or 1w".to_owned())
}

/// `10M`: a number with k, M or G of 1024; alone it is bytes.
fn size(text: &str) -> Result<u64, String> {
    let units =
        [('k', 1 << 10), ('K', 1 << 10), ('m', 1 << 20), ('M', 1 << 20), ('g', 1 << 30), ('G', 1 << 30)];
    number(text, &units).ok_or_else(|| "write 500, 500k, 10M or 1G (bytes, of 1024)".to_owned())
}

fn number(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit = units.iter().find(|(letter, _)| text.ends_with(*letter));
    let digits = unit.map_or(text, |(letter, _)| text.trim_end_matches(*letter));
    // One letter, not several.
    let whole = digits.len() + unit.map_or(0, |_| 1) == text.len();
    let value: u64 = digits.parse().ok().filter(|_| whole)?;
    value.checked_mul(unit.map_or(1, |(_, factor)| *factor))
}

fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| "write incoming, active, deferred or hold".to_owned())
}

/// Whether `text` is what `pattern` says; both in lower case.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where to go on after the last `*`, should what follows it not fit.
    let mut again: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                again = Some((at, from));
            }
            Some(c) if *c == '?' || text.get(from) == Some(c) => {
                at += 1;
                from += 1;
            }
            _ => match again {
                Some((star, start)) => {
                    again = Some((star, start + 1));
                    (at, from) = (star, start + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn any(patterns: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    patterns.is_empty() || patterns.iter().any(|pattern| fits(&pattern.to_lowercase(), &text))
}

fn any_address(patterns: &[String], address: &Address) -> bool {
    let null = address.is_null() && patterns.iter().any(|pattern| pattern.is_empty() || pattern == "<>");
    null || any(patterns, address.as_str()) || any(patterns, &address.to_external())
}

fn any_domain(patterns: &[String], address: &Address) -> bool {
    let Some(domain) = address.domain() else { return patterns.is_empty() };
    let below = |pattern: &String| {
        let domain = domain.to_lowercase();
        pattern.starts_with('.') && domain.ends_with(&pattern.to_lowercase())
    };
    any(patterns, domain) || patterns.iter().any(below)
}

impl Filter {
    fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.iter().chain(&self.more_ids)
    }

    /// Whether anything narrows the queue down.
    pub(super) fn is_empty(&self) -> bool {
        self.ids().next().is_none() && !self.looks_inside()
    }

    /// The filter, or `--all`, not both.
    pub(super) fn or_all(&self, all: bool) -> Result<(), Failed> {
        match all && !self.is_empty() {
            true => Err(Failed::Usage("--all, and a filter: which is meant?".to_owned())),
            false => Ok(()),
        }
    }

    /// Whether envelopes must be looked at.
    fn looks_inside(&self) -> bool {
        let texts = [&self.sender, &self.recipient, &self.domain, &self.reason];
        texts.iter().any(|texts| !texts.is_empty())
            || !self.state.is_empty()
            || [self.older, self.younger].iter().any(Option::is_some)
            || [self.larger, self.smaller].iter().any(Option::is_some)
    }

    /// The ids, where all are whole ones: only these need be looked at.
    pub(super) fn named(&self) -> Result<Option<Vec<QueueId>>, Failed> {
        if self.ids().next().is_none() || self.ids().any(|id| is_pattern(id)) {
            return Ok(None);
        }
        let parse = |id: &String| {
            id.parse().map_err(|error| Failed::Usage(format!("\"{}\": {error}", super::said::plain(id))))
        };
        let mut ids = self.ids().map(parse).collect::<Result<Vec<QueueId>, Failed>>()?;
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        Ok(Some(ids))
    }

    /// The named ids, where nothing else is to be looked at.
    pub(super) fn only_named(&self) -> Result<Option<Vec<QueueId>>, Failed> {
        if self.looks_inside() { Ok(None) } else { self.named() }
    }

    /// Whether a message is meant.
    pub(super) fn holds(&self, listed: &Listed, now: Wall) -> bool {
        let entry = &listed.entry;
        let age = now - entry.arrival;
        let ids: Vec<String> = self.ids().cloned().collect();
        any(&ids, entry.id.as_str())
            && (self.sender.is_empty() || any_address(&self.sender, &entry.sender))
            && (self.state.is_empty() || self.state.contains(&listed.state))
            && self.older.is_none_or(|older| age > older)
            && self.younger.is_none_or(|younger| age < younger)
            && self.larger.is_none_or(|larger| entry.size > larger)
            && self.smaller.is_none_or(|smaller| entry.size < smaller)
            && (!self.names_recipients() || entry.recipients.iter().any(|recipient| self.holds_of(recipient)))
    }

    fn names_recipients(&self) -> bool {
        [&self.recipient, &self.domain, &self.reason].iter().any(|texts| !texts.is_empty())
    }

    /// How many recipients of a message that is meant wait although what is said of recipients isn't true of them.
    pub(super) fn others(&self, listed: &Listed) -> u64 {
        let waiting =
            listed.entry.recipients.iter().filter(|one| one.status.is_open() || one.status.is_failure());
        let other = |recipient: &&Recipient| self.names_recipients() && !self.holds_of(recipient);
        waiting.filter(other).count() as u64
    }

    fn holds_of(&self, recipient: &Recipient) -> bool {
        let reason = match &recipient.status {
            Status::Delivered | Status::Returned | Status::Confirmed(..) => return false,
            Status::Pending => "",
            Status::Deferred(reason) | Status::Failed(reason) | Status::Expired(reason) => {
                reason.text.as_str()
            }
        };
        let within: Vec<String> = self.reason.iter().map(|text| format!("*{text}*")).collect();
        (self.recipient.is_empty() || any_address(&self.recipient, &recipient.address))
            && (self.domain.is_empty() || any_domain(&self.domain, &recipient.address))
            && any(&within, reason)
    }

    /// Gives each message that is meant to `each`, and the number that was looked at to `progress`. Says whether
    /// everything that was named by id is there; what can't be read is told on standard error.
    pub(super) fn walk(
        &self,
        queue: &mut Queue,
        now: Wall,
        (progress, each): (&mut super::progress::Progress, &mut dyn FnMut(Box<Listed>) -> io::Result<()>),
    ) -> Result<Walk, Failed> {
        let named = self.named()?;
        let mut walk = Walk::default();
        let mut missing: Vec<QueueId> = named.clone().unwrap_or_default();
        queue.list(&named.unwrap_or_default(), &mut |item| {
            match item {
                Item::Total(total) => progress.expect(total),
                Item::Message(listed) => {
                    progress.step();
                    missing.retain(|id| *id != listed.entry.id);
                    if self.holds(&listed, now) {
                        walk.matched += 1;
                        each(listed)?;
                    }
                }
                Item::Unreadable(_, why) => {
                    progress.step();
                    progress.say(&format!("komainu: {why}"));
                    walk.unreadable += 1;
                }
            }
            Ok(())
        })?;
        progress.clear();
        for id in &missing {
            eprintln!("komainu: {id}: no such message");
        }
        walk.missing = missing.len();
        Ok(walk)
    }
}

/// What came of a walk through the queue.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) matched: u64,
    pub(super) unreadable: u64,
    pub(super) missing: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Dsn;
    use proptest::prelude::*;
    use queue::{Entry, Reason};

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, expect: bool| {
            assert_eq!(fits(pattern, text), expect, "{pattern} {text}")
        };
        check("", "", true);
        check("a", "", false);
        check("*", "", true);
        check("*@example.org", "a@example.org", true);
        check("*@example.org", "a@example.orgs", false);
        check("a*b*c", "axxbxxbxc", true);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("**a", "a", true);
        check("*a*a*a*a*a*b", &"a".repeat(2000), false);
        check("caf?", "caf\u{e9}", true);
    }

    proptest! {
        #[test]
        fn a_text_fits_itself_and_its_blanks(text in "[a-c*?]{0,8}", at in 0usize..8) {
            prop_assert!(fits(&text, &text));
            let blanked: String = text.chars().enumerate().map(|(i, c)| if i == at { '?' } else { c }).collect();
            prop_assert!(fits(&blanked, &text.replace(['*', '?'], "x")) || blanked.contains('*') || text.is_empty() || !text.contains(['*','?']) || fits(&blanked, &text));
        }
    }

    #[test]
    fn numbers() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(duration(text).ok().map(|value| value.as_secs()), expect, "{text}");
        };
        check("30", None);
        check("30s", Some(30));
        check("", None);
        check("2h", Some(7_200));
        check("5d", Some(432_000));
        check("h", None);
        check("2hh", None);
        check("-1h", None);
        check("99999999999999999999d", None);
        check("18446744073709551615w", None);
        assert_eq!(duration("5").unwrap_err(), "a unit is missing: write 5s, 5m, 5h, 5d or 5w");
        assert_eq!((size("10M"), size("500")), (Ok(10 << 20), Ok(500)));
    }

    fn listed() -> Listed {
        let recipient = |address: &str, status| {
            let mut recipient = Recipient::new(Address::from_internal(address));
            recipient.status = status;
            recipient
        };
        let refused = Reason::new(Dsn::new(4, 4, 1), "connect to mx.example.com: Connection refused");
        let all = vec![
            recipient("a@down.example", Status::Deferred(refused)),
            recipient("b@Sub.Slow.example", Status::Pending),
            recipient("c@done.example", Status::Delivered),
        ];
        let id = "3F0A21B7E".parse().unwrap();
        let mut entry = Entry::new(
            id,
            Wall::from_seconds(1_000_000),
            Address::from_internal("odd name@Example.org"),
            all,
        );
        entry.size = 5000;
        Listed { number: 1, state: State::Deferred, entry }
    }

    #[test]
    fn filters() {
        let now = Wall::from_seconds(1_000_000 + 7_200);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let check =
            |filter: Filter, expect: bool| assert_eq!(filter.holds(&listed(), now), expect, "{filter:?}");
        check(Filter::default(), true);
        check(Filter { ids: texts(&["3f0a*"]), ..Filter::default() }, true);
        check(Filter { ids: texts(&["3F0A21B7E"]), more_ids: texts(&["x"]), ..Filter::default() }, true);
        check(Filter { ids: texts(&["3F0A21B7"]), ..Filter::default() }, false);
        check(Filter { sender: texts(&["\"odd name\"@example.org"]), ..Filter::default() }, true);
        check(Filter { sender: texts(&["x", "*@example.ORG"]), ..Filter::default() }, true);
        check(Filter { sender: texts(&["<>"]), ..Filter::default() }, false);
        check(Filter { recipient: texts(&["c@done.example"]), ..Filter::default() }, false);
        check(Filter { domain: texts(&["down.example"]), ..Filter::default() }, true);
        check(Filter { domain: texts(&["slow.example"]), ..Filter::default() }, false);
        check(Filter { domain: texts(&[".slow.example"]), ..Filter::default() }, true);
        check(Filter { reason: texts(&["connection REFUSED"]), ..Filter::default() }, true);
        let both =
            Filter { domain: texts(&[".slow.example"]), reason: texts(&["refused"]), ..Filter::default() };
        check(both, false);
        check(Filter { older: Some(Duration::from_secs(7_199)), ..Filter::default() }, true);
        check(Filter { older: Some(Duration::from_secs(7_200)), ..Filter::default() }, false);
        check(Filter { younger: Some(Duration::from_secs(7_201)), ..Filter::default() }, true);
        check(Filter { larger: Some(4_999), smaller: Some(5_001), ..Filter::default() }, true);
        check(Filter { larger: Some(5_000), ..Filter::default() }, false);
        check(Filter { state: vec![State::Hold, State::Deferred], ..Filter::default() }, true);
        check(Filter { state: vec![State::Hold], ..Filter::default() }, false);
        assert!(Filter { ids: texts(&["../../x"]), ..Filter::default() }.named().is_err());
        assert!(Filter::default().is_empty());
        let others = |filter: Filter, expect: u64| assert_eq!(filter.others(&listed()), expect, "{filter:?}");
        others(Filter { sender: texts(&["*"]), ..Filter::default() }, 0);
        others(Filter { domain: texts(&["down.example"]), ..Filter::default() }, 1);
        others(Filter { domain: texts(&["*.example"]), ..Filter::default() }, 0);
        others(Filter { reason: texts(&["refused"]), ..Filter::default() }, 1);
    }
}
