//! What is out of the ordinary on a day, held against the days before.
//!
//! Of each day some [`Sums`] are kept, some kilobytes at most: who reports keeps them from one report to the next. A day
//! is held against a fortnight before it; with fewer than three nothing is said, as nobody knows yet what is usual.
//! T2.23.

use crate::Day;
use crate::day::Moment;
use crate::sheet::shown;
use crate::summary::Summary;
use crate::words::{counted, grouped};
use std::collections::{BTreeMap, BTreeSet};

/// Days that are kept, and compared with.
pub const DAYS_KEPT: usize = 14;
/// Days that must be known before anything is compared.
const DAYS_NEEDED: usize = 3;
/// A week's days.
const WEEK: usize = 7;
/// Rules, and programs, that are counted for a day.
const NAMES_MAX: usize = 64;
/// The longest name that is kept, in characters.
const NAME_MAX: usize = 120;
/// So many more than usual is much.
const MUCH: u64 = 50;
/// A program that writes so much each day is missed.
const MISSED: u64 = 10;
/// Remarks on certificates that are kept.
const REMARKS_MAX: usize = 4;
/// The rule of what no known rule says.
const OTHER: &str = "other";
/// What is said of one day.
const SAID_MAX: usize = 12;

/// What is kept of one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// `received`, `bounced`, `deferred`, `failed log-ins`.
    counts: BTreeMap<String, u64>,
    /// Refused, by rule.
    rules: BTreeMap<String, u64>,
    /// Lines, by program.
    programs: BTreeMap<String, u64>,
}

/// Counts what a [`Summary`] doesn't: lines by program, and the server's remarks on certificates.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    programs: BTreeMap<String, u64>,
    certificates: Vec<String>,
}

/// What the server says of certificates that it shows.
const CERTIFICATE: &[u8] = b"the certificate that is served for ";

impl Watcher {
    /// Looks at a line, behind its stamp.
    pub fn feed(&mut self, rest: &[u8]) {
        let mut words = rest.trim_ascii_start().splitn(2, |byte| *byte == b' ');
        let (Some(_host), Some(behind)) = (words.next(), words.next()) else { return };
        let end = behind.iter().position(|byte| matches!(byte, b'[' | b':' | b' ' | b'/'));
        let Some((name, behind)) = end.and_then(|end| behind.split_at_checked(end)) else { return };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 32 || !name.iter().all(is_name) {
            return;
        }
        // ASCII.
        let name = String::from_utf8_lossy(name);
        let has_room = self.programs.len() < NAMES_MAX;
        if let Some(count) = self.programs.get_mut(name.as_ref()) {
            *count += 1;
        } else if has_room {
            self.programs.insert(name.into_owned(), 1);
        }
        if behind.starts_with(b"/master") && self.certificates.len() < REMARKS_MAX {
            let at = memchr::memmem::find(behind, CERTIFICATE);
            let Some(remark) = at.and_then(|at| behind.get(at..)) else { return };
            let remark: String = String::from_utf8_lossy(remark).chars().take(200).collect();
            if !self.certificates.contains(&remark) {
                self.certificates.push(remark);
            }
        }
    }

    /// Adds what was fed to another, of later lines.
    pub fn merge(&mut self, later: Watcher) {
        for (name, count) in later.programs {
            let has_room = self.programs.len() < NAMES_MAX;
            if let Some(sum) = self.programs.get_mut(&name) {
                *sum += count;
            } else if has_room {
                self.programs.insert(name, count);
            }
        }
        for remark in later.certificates {
            if self.certificates.len() < REMARKS_MAX && !self.certificates.contains(&remark) {
                self.certificates.push(remark);
            }
        }
    }

    /// The day's sums, with those of its summary.
    #[must_use]
    pub fn sums(&self, summary: &Summary) -> Sums {
        let counts = [
            ("messages came", summary.counts.received),
            ("recipients' mail was returned", summary.counts.bounced),
            ("tries were put off", summary.counts.deferred),
            ("log-ins failed", summary.attacks.failed),
        ];
        let rules = summary.rules.iter().filter(|rule| rule.refused() > 0).take(NAMES_MAX);
        Sums {
            counts: counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            rules: rules.map(|rule| (plain(&rule.rule.to_string()), rule.refused())).collect(),
            programs: self.programs.clone(),
        }
    }

    /// What is said of certificates, the latest last.
    #[must_use]
    pub fn certificates(&self) -> &[String] {
        &self.certificates
    }
}

/// A name as it can be kept: one line, no tab.
fn plain(name: &str) -> String {
    shown(name).chars().take(NAME_MAX).collect()
}

/// A day and its sums, as they are compared.
type Known<'a> = (Day, &'a Sums);

/// What is out of the ordinary on a day with these `sums`, most urgent first. `known` are days before it, the oldest
/// first.
fn compare((day, sums): Known<'_>, known: &[Known<'_>]) -> Vec<String> {
    if known.len() < DAYS_NEEDED {
        return Vec::new();
    }
    let mut said = silent((day, sums), known);
    let before: Vec<&Sums> = known.iter().map(|(_, sums)| *sums).collect();
    let mut grown: Vec<(u64, String)> = Vec::new();
    for (name, count) in &sums.rules {
        let known = before.iter().map(|day| day.rules.get(name).copied().unwrap_or(0));
        if let Some((usual, more)) = much_more(*count, known) {
            let (count, usual) = (grouped(*count), grouped(usual));
            let words = match name.as_str() {
                OTHER => {
                    format!("Refusals whose rule is not known (\"{name}\"): {count}, usually {usual} a day")
                }
                name => format!("{name} refused {count}, usually {usual} a day"),
            };
            grown.push((more, words));
        }
    }
    for (name, count) in sums.counts.iter().filter(|(name, _)| *name != "messages came") {
        let known = before.iter().filter_map(|day| day.counts.get(name).copied());
        if let Some((usual, more)) = much_more(*count, known) {
            grown.push((more, format!("{} {name}, usually {} a day", grouped(*count), grouped(usual))));
        }
    }
    grown.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    said.extend(grown.into_iter().map(|(_, words)| words));
    said.truncate(SAID_MAX);
    said
}

/// Who wrote on each of the days before, and now didn't: as long as that lasts and enough days before it are known.
fn silent((day, sums): Known<'_>, before: &[Known<'_>]) -> Vec<String> {
    let mut said = Vec::new();
    let came = |day: &Sums| day.counts.get("messages came").copied();
    if came(sums) == Some(0)
        && let Some((usual, days)) = missed(day, before, |day| came(day).unwrap_or(0))
    {
        let words =
            if days == 1 { "No message came".to_owned() } else { format!("No message came for {days} days") };
        said.push(format!("{words}; on each day before there were {} or more", grouped(usual)));
    }
    let known: BTreeSet<&String> = before.iter().flat_map(|(_, day)| day.programs.keys()).collect();
    for name in known.into_iter().filter(|name| !sums.programs.contains_key(*name)) {
        let wrote = |day: &Sums| day.programs.get(name).copied().unwrap_or(0);
        let Some((usual, days)) = missed(day, before, wrote) else { continue };
        let silent = if days == 1 { "was silent".to_owned() } else { format!("was silent for {days} days") };
        said.push(format!("{name} {silent}; on each day before it wrote {} lines or more", grouped(usual)));
    }
    said
}

/// The least that there was each day until there was nothing, and for how many days there has been nothing, with this
/// `day`; where it is missed.
fn missed(day: Day, before: &[Known<'_>], count: impl Fn(&Sums) -> u64) -> Option<(u64, usize)> {
    let lasting = before.iter().rev().take_while(|(_, sums)| count(sums) == 0).count();
    // A day on which nobody wrote anything, as nothing ran, tells nothing of one that is silent beside others.
    let known = before.iter().take(before.len() - lasting).filter(|(_, sums)| !sums.programs.is_empty());
    let known: Vec<(Day, u64)> = known.map(|(day, sums)| (*day, count(sums))).collect();
    // Who works from Monday to Friday isn't missed on the first weekend.
    let is_like_one = !is_weekend(day) || known.iter().any(|(day, _)| is_weekend(*day));
    let least = known.iter().map(|(_, count)| *count).min().filter(|least| *least >= MISSED)?;
    (known.len() >= DAYS_NEEDED && is_like_one).then_some((least, lasting + 1))
}

/// Saturday or Sunday.
fn is_weekend(day: Day) -> bool {
    // 1970-01-01 was a Thursday.
    matches!(day.number().rem_euclid(7), 2 | 3)
}

/// What is usual, and how much more this is, where it is much.
fn much_more(count: u64, known: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    let mut known: Vec<u64> = known.collect();
    known.sort_unstable();
    let usual = known.get(known.len() / 2).copied()?;
    let most = known.last().copied()?;
    // Until a week is known, the most that there was may be what is usual from Monday on.
    let like_one = if known.len() < WEEK { most } else { most / 2 };
    let is_much = count.saturating_sub(usual) >= MUCH && count / 3 >= usual && count / 3 >= like_one;
    is_much.then(|| (usual, count - usual))
}

/// The days that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(BTreeMap<i64, Sums>);

impl History {
    /// Keeps a day; the oldest is forgotten.
    pub fn keep(&mut self, day: Day, sums: Sums) {
        self.0.insert(day.number(), sums);
        while self.0.len() > DAYS_KEPT {
            self.0.pop_first();
        }
    }

    /// What is out of the ordinary on a day that is known.
    #[must_use]
    pub fn unusual(&self, day: Day) -> Vec<String> {
        let Some(sums) = self.0.get(&day.number()) else { return Vec::new() };
        compare((day, sums), &self.before(day).collect::<Vec<_>>())
    }

    /// How many days before it this day is compared with; 0 where they are too few.
    #[must_use]
    pub fn compared_with(&self, day: Day) -> usize {
        let count = self.before(day).count();
        if count < DAYS_NEEDED { 0 } else { count }
    }

    fn before(&self, day: Day) -> impl Iterator<Item = Known<'_>> {
        let since = day.number() - i64::try_from(DAYS_KEPT).unwrap_or(i64::MAX);
        self.0.range(since..day.number()).map(|(number, sums)| (Day::numbered(*number), sums))
    }

    /// As lines: a day, what it is, a name and a number, with tabs between them.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (day, sums) in &self.0 {
            for (kind, values) in
                [("count", &sums.counts), ("rule", &sums.rules), ("program", &sums.programs)]
            {
                for (name, count) in values {
                    out.push_str(&format!("{day}\t{kind}\t{name}\t{count}\n"));
                }
            }
        }
        out
    }

    /// Takes in a line of [`History::encode`]; whether it is one.
    pub fn decode(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split('\t').collect();
        let [day, kind, name, count] = *words.as_slice() else { return false };
        let (Ok(day), Ok(count)) = (day.parse::<i64>(), count.parse::<u64>()) else { return false };
        if self.0.len() >= DAYS_KEPT && !self.0.contains_key(&day) {
            return false;
        }
        let sums = self.0.entry(day).or_default();
        let values = match kind {
            "count" => &mut sums.counts,
            "rule" => &mut sums.rules,
            "program" => &mut sums.programs,
            _ => return false,
        };
        let has_room = values.len() < NAMES_MAX && name.chars().count() <= NAME_MAX;
        if has_room {
            values.insert(name.to_owned(), count);
        }
        has_room
    }
}

/// What is out of the ordinary by itself, whatever the days before were: logs that weren't read, programs that ended
/// over something, and lists that were found ill.
#[must_use]
pub fn of_log(summary: &Summary) -> Vec<String> {
    let mut said: Vec<String> = summary.unread.iter().map(|log| format!("Not read: {log}")).collect();
    said.extend(of_programs(summary));
    said.extend(of_zones(summary));
    said
}

fn of_programs(summary: &Summary) -> impl Iterator<Item = String> {
    let (rows, others) = (&summary.fatal.rows, summary.fatal.other_count);
    let more = (others > 0).then(|| format!("{} more that a program ended over", counted(others, "line")));
    let times = |count: u64| match count {
        1 => "once".to_owned(),
        count => counted(count, "time"),
    };
    rows.iter().map(move |row| format!("{} ({})", row.name, times(row.count))).chain(more)
}

fn of_zones(summary: &Summary) -> Vec<String> {
    let ill = summary.zones.iter().filter(|zone| zone.ill > 0);
    ill.map(|zone| {
        format!(
            "The list {} was found ill {} and skipped: it lists everybody, or doesn't answer",
            zone.name,
            counted(zone.ill, "time")
        )
    })
    .take(SAID_MAX)
    .collect()
}

/// The day of a line, and what stands behind its stamp.
#[must_use]
pub fn dated(line: &[u8], today: Day) -> Option<(Day, &[u8])> {
    let (moment, rest) = Moment::parse(line, today)?;
    moment.of_the_calendar(line).map(|moment| (moment.day, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(rules: &[(&str, u64)], programs: &[(&str, u64)], came: u64) -> Sums {
        let map =
            |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Sums {
            counts: map(&[("messages came", came), ("log-ins failed", 5)]),
            rules: map(rules),
            programs: map(programs),
        }
    }

    fn history(days: usize, usual: &Sums) -> History {
        let mut history = History::default();
        for day in 0..days {
            history.keep(Day::numbered(20_000 + i64::try_from(day).unwrap()), usual.clone());
        }
        history
    }

    fn said(days: usize, usual: &Sums, today: Sums) -> Vec<String> {
        let mut history = history(days, usual);
        history.keep(Day::numbered(20_100), today.clone());
        assert_eq!(history.unusual(Day::numbered(20_100)), Vec::<String>::new(), "too long ago");
        let mut history = self::history(days, usual);
        let day = Day::numbered(20_000 + i64::try_from(days).unwrap());
        history.keep(day, today);
        history.unusual(day)
    }

    #[test]
    fn a_rule_that_refuses_much_more() {
        let usual = sums(&[("reject_rbl_client a.example", 100)], &[], 50);
        let today = |count| sums(&[("reject_rbl_client a.example", count)], &[], 50);
        assert_eq!(said(5, &usual, today(299)), Vec::<String>::new());
        assert_eq!(said(2, &usual, today(10_000)), Vec::<String>::new(), "nobody knows what is usual");
        assert_eq!(
            said(5, &usual, today(1_300)),
            ["reject_rbl_client a.example refused 1,300, usually 100 a day"]
        );
        let new = sums(&[("header_checks", 70), ("body_checks", 49)], &[], 50);
        assert_eq!(said(5, &usual, new), ["header_checks refused 70, usually 0 a day"]);
        assert_eq!(
            said(5, &usual, sums(&[("other", 60)], &[], 50)),
            ["Refusals whose rule is not known (\"other\"): 60, usually 0 a day"]
        );
        let mut guessed = usual.clone();
        guessed.counts.insert("log-ins failed".into(), 5_000);
        assert_eq!(said(5, &usual, guessed), ["5,000 log-ins failed, usually 5 a day"]);
    }

    #[test]
    fn a_day_like_one_before_is_usual() {
        let mut history = history(5, &sums(&[("x", 10)], &[], 50));
        history.keep(Day::numbered(20_002), sums(&[("x", 900)], &[], 50));
        history.keep(Day::numbered(20_005), sums(&[("x", 1_000)], &[], 50));
        assert_eq!(history.unusual(Day::numbered(20_005)), Vec::<String>::new());
    }

    /// Three weeks from each day of the week on: half as much or twice as much as usual, a tenth of it on weekends,
    /// and somebody who only works from Monday to Friday.
    #[test]
    fn calm_weeks_raise_no_alarm() {
        let mut state = 5_u64;
        let mut about = |usual: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usual * (60 + (state >> 33) % 81) / 100
        };
        for first in (20_000..20_007).chain(20_000..20_007).chain(20_000..20_007) {
            let mut history = History::default();
            for number in first..first + 21 {
                let day = Day::numbered(number);
                let scale = if is_weekend(day) { 1 } else { 10 };
                let rules = ["reject_rbl_client a.example", "check_client_access", "other"];
                let rules = rules.map(|name| (name, about(30 * scale)));
                let mut programs = vec![("postfix", about(900 * scale)), ("dovecot", about(300 * scale))];
                if !is_weekend(day) {
                    programs.push(("backup", about(40)));
                }
                let mut sums = sums(&rules, &programs, about(40 * scale));
                for (name, count) in [("log-ins failed", 50), ("tries were put off", 8)] {
                    sums.counts.insert(name.to_owned(), about(count * scale));
                }
                history.keep(day, sums);
                assert_eq!(history.unusual(day), Vec::<String>::new(), "from {first}, on {number}");
            }
            // Now it is known well enough that each is seen.
            let next = Day::numbered(first + 21);
            let mut ill = sums(&[("reject_rbl_client a.example", 2_000)], &[("postfix", 9_000)], 400);
            ill.counts.insert("log-ins failed".to_owned(), 9_000);
            history.keep(next, ill);
            let said = history.unusual(next).join("\n");
            for expect in
                ["a.example refused 2,000, usually", "dovecot was silent", "9,000 log-ins failed, usually"]
            {
                assert!(said.contains(expect), "no {expect}: {said}");
            }
        }
    }

    /// On the first weekend nobody knows who works then; on the second one it is known.
    #[test]
    fn weekends_are_learned() {
        // 2026-11-16 is a Monday.
        let monday = Day { year: 2026, month: 11, day: 16 }.number();
        let (work, rest) =
            (sums(&[], &[("postfix", 500), ("dovecot", 40)], 12), sums(&[], &[("postfix", 500)], 12));
        let mut history = History::default();
        let on = |history: &mut History, after: i64, sums: &Sums| {
            let day = Day::numbered(monday + after);
            history.keep(day, sums.clone());
            history.unusual(day)
        };
        for after in 0..5 {
            assert_eq!(on(&mut history, after, &work), Vec::<String>::new());
        }
        for after in 5..7 {
            assert_eq!(on(&mut history, after, &rest), Vec::<String>::new(), "the first weekend");
        }
        // Silent on, when it is Monday.
        let mut silent = history.clone();
        let expect = ["dovecot was silent for 3 days; on each day before it wrote 40 lines or more"];
        assert_eq!(on(&mut silent, 7, &rest), expect);
        // Somebody who was there on a weekend is missed on the next.
        let mut there = history;
        for after in 5..12 {
            assert_eq!(on(&mut there, after, &work), Vec::<String>::new());
        }
        let expect = ["dovecot was silent; on each day before it wrote 40 lines or more"];
        assert_eq!(on(&mut there, 12, &rest), expect);
    }

    #[test]
    fn who_is_silent() {
        let usual = sums(&[], &[("postfix", 500), ("dovecot", 40), ("sometimes", 3)], 12);
        let today = sums(&[], &[("postfix", 20)], 0);
        let expect = [
            "No message came; on each day before there were 12 or more",
            "dovecot was silent; on each day before it wrote 40 lines or more",
        ];
        assert_eq!(said(4, &usual, today), expect);
    }

    #[test]
    fn who_is_silent_is_told_of_as_long_as_that_lasts() {
        let usual = sums(&[], &[("postfix", 500), ("dovecot", 40)], 12);
        let without = sums(&[], &[("postfix", 500)], 12);
        let mut history = history(5, &usual);
        let mut day = Day::numbered(20_004);
        let mut next = |history: &mut History, sums: &Sums| {
            day = Day::numbered(day.number() + 1);
            history.keep(day, sums.clone());
            history.unusual(day)
        };
        let lines = "; on each day before it wrote 40 lines or more";
        assert_eq!(next(&mut history, &without), [format!("dovecot was silent{lines}")]);
        for days in 2..5 {
            let expect = [format!("dovecot was silent for {days} days{lines}")];
            assert_eq!(next(&mut history, &without), expect);
        }
        // Nobody at all.
        let nobody = sums(&[], &[], 0);
        let all = next(&mut history, &nobody);
        assert_eq!(all.len(), 3, "{all:?}");
        assert_eq!(all[1], format!("dovecot was silent for 5 days{lines}"));
        // Back, and it is known from the days before that it wasn't there each day; who was there each day but for
        // that of nobody is missed still.
        assert_eq!(next(&mut history, &usual), Vec::<String>::new());
        let expect = ["postfix was silent; on each day before it wrote 500 lines or more"];
        assert_eq!(next(&mut history, &sums(&[], &[("dovecot", 40)], 12)), expect);
        // Too few days are left from before it was silent.
        let mut history = self::history(3, &usual);
        for at in 3..14 {
            let day = Day::numbered(20_000 + at);
            history.keep(day, without.clone());
            assert_eq!(history.unusual(day).len(), 1, "{at}");
        }
        let day = Day::numbered(20_014);
        history.keep(day, without);
        assert_eq!(history.unusual(day).len(), 0);
    }

    #[test]
    fn days_are_kept_and_bounded() {
        let history = history(40, &sums(&[("a b", 1)], &[("postfix", 2)], 3));
        let text = history.encode();
        let mut read = History::default();
        assert!(text.lines().all(|line| read.decode(line)));
        assert_eq!(read, history);
        assert_eq!(read.0.len(), DAYS_KEPT);
        for line in
            ["", "1\tcount\tx", "x\tcount\tx\t1", "1\tother\tx\t1", "1\tcount\tx\t-1", "9\tcount\tx\t1"]
        {
            assert!(!read.decode(line), "{line}");
        }
        let mut one = History::default();
        let taken = (0..500).filter(|number| one.decode(&format!("1\trule\tr{number}\t1"))).count();
        assert_eq!(taken, NAMES_MAX);
    }

    #[test]
    fn what_programs_end_over_needs_no_comparison() {
        let mut tally = crate::summary::Tally::new(crate::summary::Settings::new(Day::numbered(20_779)));
        for text in
            ["fatal: no SASL mechanisms", "panic: x", "fatal: no SASL mechanisms", "warning: y", "error: z"]
        {
            tally.feed(format!("Nov 22 01:00:00 mx postfix/smtpd[1]: {text}").as_bytes());
        }
        let mut summary = tally.summary();
        assert_eq!(
            of_log(&summary),
            ["smtpd: fatal: no SASL mechanisms (2 times)", "smtpd: panic: x (once)"]
        );
        summary.could_not_read(&["mail.log: Permission denied".into()]);
        assert_eq!(of_log(&summary)[0], "Not read: mail.log: Permission denied");
    }

    #[test]
    fn a_list_that_was_found_ill() {
        let mut tally = crate::summary::Tally::new(crate::summary::Settings::new(Day::numbered(20_779)));
        for matter in ["unhealthy", "healthy", "unhealthy"] {
            let text = format!("komainu: zone {matter}: bl.example; it lists the whole world; skipped");
            tally.feed(format!("Nov 22 01:00:00 mx komainu/dnsbl[1]: {text}").as_bytes());
        }
        let said =
            "The list bl.example was found ill 2 times and skipped: it lists everybody, or doesn't answer";
        assert_eq!(of_log(&tally.summary()), [said]);
    }

    #[test]
    fn programs_and_certificates() {
        let mut watcher = Watcher::default();
        for line in [
            &b" mx postfix/smtpd[12]: connect from x"[..],
            b" mx postfix/master[1]: warning: the certificate that is served for \"mx\" ends in 3 days; renew it",
            b" mx postfix/master[1]: warning: the certificate that is served for \"mx\" ends in 3 days; renew it",
            b" mx postfix/smtpd[1]: warning: the certificate that is served for \"evil\" ends in 3 days",
            b" mx dovecot: imap-login: x",
            b" mx <b>: x",
            b" mx",
            b"",
        ] {
            watcher.feed(line);
        }
        assert_eq!(watcher.programs.get("postfix"), Some(&4));
        assert_eq!(watcher.programs.get("dovecot"), Some(&1));
        assert_eq!(watcher.programs.len(), 2);
        assert_eq!(
            watcher.certificates(),
            ["the certificate that is served for \"mx\" ends in 3 days; renew it"]
        );
        let (mut first, mut later) = (Watcher::default(), Watcher::default());
        first.feed(b" mx dovecot: x");
        for line in [&b" mx dovecot: x"[..], b" mx sshd[1]: x"] {
            later.feed(line);
        }
        first.merge(later);
        assert_eq!(
            first.programs.into_iter().collect::<Vec<_>>(),
            [("dovecot".into(), 2), ("sshd".into(), 1)]
        );
        for number in 0..1_000 {
            watcher.feed(format!(" mx p{number}[1]: x").as_bytes());
        }
        assert_eq!(watcher.programs.len(), NAMES_MAX);
    }
}
