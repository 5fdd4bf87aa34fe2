//! What a page and a mail say of a [`Summary`]: which numbers, in which order and words.
//!
//! What didn't happen isn't shown. Every table of parts ends with its sum. T2.22, T2.23.

use crate::Day;
use crate::sheet::{Block, Cell, Chart, Column, Figure, Part, Section, Series, Share, Sheet, Table, Tone};
use crate::summary::sections;
use crate::summary::{Answers, DAYS_MAX, Mood, Percentiles, Slot, Split, Summary, Top};
use crate::words::{bytes, counted, date, duration, grouped, milliseconds, percent, period, plural, shares};

/// Days that are shown by the hour.
const DAYS_BY_HOUR: usize = 2;
/// Days that are shown one by one; more are shown by the month.
const DAYS_BY_DAY: usize = 92;

/// What the log doesn't say about a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Whose mail it is.
    pub host: String,
    /// The days that were asked for; else those of the lines.
    pub days: Option<(Day, Day)>,
    /// What is out of the ordinary.
    pub unusual: Vec<String>,
    /// How many earlier days it was held against.
    pub compared: usize,
}

/// The sheet for a summary.
#[must_use]
pub fn sheet(summary: &Summary, about: &About) -> Sheet {
    let of_lines = summary.span.map(|(first, last)| (first.day, last.day));
    let sections = [
        traffic(summary, about),
        ends(summary),
        refusals(summary),
        zones(summary),
        greylisting(summary),
        troubles(summary),
        attacks(summary),
        protection(summary),
        times(summary),
        queue(summary),
        most(summary),
        complaints(summary),
    ];
    Sheet {
        title: if about.host.is_empty() { "Mail".to_owned() } else { format!("Mail on {}", about.host) },
        period: about.days.or(of_lines).map_or_else(|| "no line to read".to_owned(), period),
        verdict: verdict(summary, about),
        unusual: about.unusual.clone(),
        figures: figures(summary),
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        notes: notes(summary),
    }
}

/// Connections that were kept out.
fn kept_out(summary: &Summary) -> u64 {
    ["refused", "screened", "login_failed"].iter().fold(0, |sum, key| sum + summary.connections.count(key))
}

/// Messages that are returned, wholly or in part.
fn returned(summary: &Summary) -> u64 {
    ["bounced", "expired", "partly"].iter().fold(0, |sum, key| sum + summary.messages.count(key))
}

fn waiting(summary: &Summary) -> u64 {
    ["deferred", "waiting", "held"].iter().fold(0, |sum, key| sum + summary.messages.count(key))
}

/// In some sentences, what there is to know.
#[must_use]
pub fn verdict(summary: &Summary, about: &About) -> String {
    let connections = summary.connections.total;
    let mut said = of_messages(summary);
    let kept = kept_out(summary);
    if connections > 0 {
        said.push_str(&format!(
            " {} of {} ({}) {} kept out.",
            grouped(kept),
            counted(connections, "connection"),
            percent(kept, connections),
            plural(kept, "was", "were")
        ));
    }
    if !summary.unread.is_empty() && summary.span.is_some() {
        said.push_str(" Not all of the log could be read: there may have been more.");
    }
    let held = (about.compared > 0).then(|| counted(about.compared as u64, "day"));
    said.push_str(&match (about.unusual.len(), held) {
        (0, None) => " It was not compared with earlier days.".to_owned(),
        (0, Some(days)) => format!(" Nothing is out of the ordinary, compared with the {days} known before."),
        (count, held) => {
            let things = if count == 1 { "One thing is".to_owned() } else { format!("{count} things are") };
            let held = held.map_or_else(
                || "; it was not compared with earlier days".to_owned(),
                |days| format!(", compared with the {days} known before"),
            );
            format!(" {things} out of the ordinary{held}.")
        }
    });
    said
}

/// What became of the messages: each is in one of the numbers.
fn of_messages(summary: &Summary) -> String {
    let count = |keys: &[&str]| keys.iter().fold(0, |sum, key| sum + summary.messages.count(key));
    let (all, delivered) = (summary.messages.total, count(&["delivered"]));
    match all {
        0 if summary.span.is_none() && !summary.unread.is_empty() => "No log could be read.".to_owned(),
        0 if summary.connections.total == 0 => "There is no mail in this log.".to_owned(),
        0 => "No message came.".to_owned(),
        1 if delivered == 1 => "One message, and it was delivered.".to_owned(),
        _ if delivered == all => format!("All {} messages were delivered.", grouped(all)),
        _ => {
            let parts = [
                (returned(summary), "returned"),
                (waiting(summary), "still waiting"),
                (count(&["refused", "discarded"]), "refused or discarded for what is in them"),
                (count(&["deleted"]), "deleted by hand"),
                (count(&["unfinished"]), "never came whole"),
                (count(&["unknown"]), "gone with no delivery in this log"),
            ];
            let parts = parts.iter().filter(|(count, _)| *count > 0);
            let parts: String = parts.map(|(count, what)| format!(", {} {what}", grouped(*count))).collect();
            let (whole, were) = (counted(all, "message"), plural(delivered, "was", "were"));
            format!("Of {whole} {} {were} delivered{parts}.", grouped(delivered))
        }
    }
}

fn figures(summary: &Summary) -> Vec<Figure> {
    let counts = &summary.counts;
    let figure = |label: &str, count: u64, remark: String, tone| Figure {
        label: label.to_owned(),
        value: grouped(count),
        remark,
        tone: if count == 0 { Tone::Plain } else { tone },
    };
    let connections = summary.connections.total;
    let kept = kept_out(summary);
    let mut all = vec![
        figure("Messages that came", counts.received, bytes(counts.bytes_received), Tone::Good),
        figure("Deliveries", counts.delivered, bytes(counts.bytes_delivered), Tone::Good),
        figure("Messages returned", returned(summary), counted(counts.bounced, "recipient"), Tone::Bad),
        figure(
            "Messages waiting",
            waiting(summary),
            format!("{} {} put off", grouped(counts.deferred), plural(counts.deferred, "try", "tries")),
            Tone::Wait,
        ),
        figure("Connections kept out", kept, format!("{} of all", percent(kept, connections)), Tone::Shut),
    ];
    let failed = summary.attacks.failed;
    if failed > 0 {
        let networks = summary.attacks.networks.rows.len() as u64 + summary.attacks.networks.other_names;
        all.push(figure(
            "Log-ins that failed",
            failed,
            format!("from {}", counted(networks, "network")),
            Tone::Shut,
        ));
    }
    if summary.bans.banned > 0 {
        let lifted = format!("{} lifted", grouped(summary.bans.lifted));
        all.push(figure("Bans", summary.bans.banned, lifted, Tone::Shut));
    }
    all
}

const fn section(id: &'static str, heading: &'static str, lead: String, blocks: Vec<Block>) -> Section {
    Section { id, heading, lead, blocks }
}

/// What is counted in a chart: its name, what it means, and the number of a step.
type Line = (&'static str, Tone, fn(&Slot) -> u64);

fn traffic(summary: &Summary, about: &About) -> Section {
    let (step, slots) = steps(summary, about);
    let steps: Vec<String> = slots.iter().map(|(name, _)| name.clone()).collect();
    let chart = |title: &str, series: &[Line]| {
        let series = series.iter().map(|(name, tone, value)| Series {
            name,
            tone: *tone,
            values: slots.iter().map(|(_, slot)| value(slot)).collect(),
        });
        let (title, steps) = (title.to_owned(), steps.clone());
        Block::Chart(Chart { title, step, steps, series: series.collect() })
    };
    let mut blocks = Vec::new();
    if !slots.is_empty() {
        blocks.push(chart(
            "What came: messages, and commands that were refused",
            &[("messages", Tone::Good, |slot| slot.received), ("refused", Tone::Shut, |slot| slot.refused)],
        ));
        blocks.push(chart(
            "What went: deliveries, tries put off, recipients whose mail was returned",
            &[
                ("delivered", Tone::Good, |slot| slot.delivered),
                ("put off", Tone::Wait, |slot| slot.deferred),
                ("returned", Tone::Bad, |slot| slot.bounced),
            ],
        ));
    }
    section("traffic", "Over time", String::new(), blocks)
}

/// The days that the page is about, also those without a line; of more than a chart has room for, those with lines.
fn days(summary: &Summary, about: &About) -> Vec<(Day, [Slot; 24])> {
    let known = &summary.traffic.days;
    let of_lines = known.first().zip(known.last()).map(|((first, _), (last, _))| (*first, *last));
    let (Some(of_lines), bound) = (of_lines, if about.days.is_some() { DAYS_MAX } else { DAYS_BY_DAY })
    else {
        return Vec::new();
    };
    let (first, last) = about.days.unwrap_or(of_lines);
    let (first, last) = (first.min(of_lines.0).number(), last.max(of_lines.1).number());
    if usize::try_from(last - first).map_or(true, |days| days >= bound) {
        return known.clone();
    }
    let mut known = known.iter().peekable();
    let of = |number: i64| {
        let day = Day::numbered(number);
        let hours =
            known.next_if(|(known, _)| *known <= day).map_or_else(Default::default, |(_, hours)| *hours);
        (day, hours)
    };
    (first..=last).map(of).collect()
}

/// What a step of the charts is, and each with its numbers.
fn steps(summary: &Summary, about: &About) -> (&'static str, Vec<(String, Slot)>) {
    let days = &days(summary, about);
    let whole = |hours: &[Slot; 24]| {
        let mut sum = Slot::default();
        hours.iter().for_each(|slot| sum.add(slot));
        sum
    };
    let mut found: Vec<(String, Slot)> = Vec::new();
    let step = if days.len() <= DAYS_BY_HOUR {
        for (day, hours) in days {
            for (hour, slot) in hours.iter().enumerate() {
                let name = if days.len() == 1 {
                    format!("{hour:02}")
                } else {
                    format!("{} {} {hour:02}h", day.day, day.month_name())
                };
                found.push((name, *slot));
            }
        }
        "Hour"
    } else if days.len() <= DAYS_BY_DAY {
        found.extend(
            days.iter().map(|(day, hours)| (format!("{} {}", day.day, day.month_name()), whole(hours))),
        );
        "Day"
    } else {
        for (day, hours) in days {
            let name = format!("{} {}", day.month_name(), day.year);
            match found.last_mut().filter(|(last, _)| *last == name) {
                Some((_, sum)) => sum.add(&whole(hours)),
                None => found.push((name, whole(hours))),
            }
        }
        "Month"
    };
    let others = &summary.traffic.others;
    if *others != Slot::default() {
        found.push(("other days".to_owned(), *others));
    }
    (step, found)
}

const fn tone(mood: Mood) -> Tone {
    match mood {
        Mood::Good => Tone::Good,
        Mood::Plain => Tone::Plain,
        Mood::Refused => Tone::Shut,
        Mood::Bad => Tone::Bad,
    }
}

fn share(title: &str, head: &'static str, unit: &'static str, split: &Split) -> Option<Block> {
    let tone = |key: &str, mood| match key {
        "deferred" | "held" | "waiting" => Tone::Wait,
        _ => tone(mood),
    };
    let part = |part: &crate::summary::Part| Part {
        label: part.title.to_owned(),
        count: part.count,
        tone: tone(part.key, part.mood),
    };
    let parts: Vec<Part> = split.parts.iter().filter(|part| part.count > 0).map(part).collect();
    (split.total > 0).then(|| Block::Share(Share { title: title.to_owned(), head, unit, parts }))
}

fn ends(summary: &Summary) -> Section {
    let mut blocks: Vec<Block> = [
        share("Every connection, once", "How it ended", "Connections", &summary.connections),
        share("Every message, once: what became of it", "What became of it", "Messages", &summary.messages),
        share("Every message, once: how it came", "How it came", "Messages", &summary.origins),
    ]
    .into_iter()
    .flatten()
    .collect();
    if summary.handed_on > 0 {
        let passed = counted(summary.handed_on, "connection");
        let text = plural(
            summary.handed_on,
            "passed postscreen; it is counted above by what the server did with it.",
            "passed postscreen; they are counted above by what the server did with them.",
        );
        blocks.insert(1, Block::Text(format!("{passed} {text}")));
    }
    let lead = "Each stands in exactly one row, so the rows add up to all there were.".to_owned();
    section("ends", "Where it all went", lead, blocks)
}

const fn text(name: &'static str) -> Column {
    Column { name, is_number: false }
}

const fn number(name: &'static str) -> Column {
    Column { name, is_number: true }
}

/// A count that stands there where it isn't nothing.
const fn some(count: u64) -> Cell {
    if count == 0 { Cell::Nothing } else { Cell::Count(count) }
}

/// The most frequent names; the others in a row, so that all add up.
fn top(title: &str, name: &'static str, count: &'static str, top: &Top, tone: Tone) -> Option<Block> {
    if top.total == 0 {
        return None;
    }
    let has_bytes = top.bytes > 0;
    let row = |name: String, count: u64, size: u64, share: String| {
        let mut cells = vec![Cell::Text(name), Cell::Count(count), Cell::Measure(share)];
        cells.extend(has_bytes.then(|| Cell::Measure(bytes(size))));
        cells
    };
    let others = (top.other_names > 0).then_some(top.other_count);
    let counts: Vec<u64> = top.rows.iter().map(|row| row.count).chain(others).collect();
    let mut shares = shares(&counts, top.total).into_iter();
    let named = top.rows.iter().zip(shares.by_ref());
    let mut rows: Vec<_> =
        named.map(|(one, share)| row(one.name.clone(), one.count, one.bytes, share)).collect();
    if top.other_names > 0 {
        let shown = top.rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.bytes));
        let size = top.bytes.saturating_sub(shown);
        let share = shares.next().unwrap_or_default();
        rows.push(row(counted(top.other_names, "other"), top.other_count, size, share));
    }
    let mut columns = vec![text(name), number(count), number("Share")];
    columns.extend(has_bytes.then(|| number("Size")));
    let total = Some(row("Sum".to_owned(), top.total, top.bytes, percent(top.total, top.total)));
    Some(Block::Table(Table { title: title.to_owned(), columns, rows, total, drawn: Some(1), tone }))
}

fn refusals(summary: &Summary) -> Section {
    let mut blocks = Vec::new();
    if !summary.rules.is_empty() {
        let has_place = summary.rules.iter().any(|rule| rule.place.is_some());
        let sum = |of: fn(&crate::summary::RuleCount) -> u64| {
            summary.rules.iter().map(of).fold(0, u64::saturating_add)
        };
        let cells = |name: String, place: Option<String>, numbers: [u64; 4]| {
            let [refused, temporary, warned, connections] = numbers;
            let mut cells = vec![Cell::Text(name), Cell::Count(refused), some(temporary), some(warned)];
            cells.push(some(connections));
            cells.extend(has_place.then(|| place.map_or(Cell::Nothing, Cell::Text)));
            cells
        };
        let rows = summary.rules.iter().map(|rule| {
            let numbers = [rule.refused(), rule.temporary, rule.warned, rule.connections];
            cells(rule.rule.to_string(), rule.place.clone(), numbers)
        });
        let total = [sum(|r| r.refused()), sum(|r| r.temporary), sum(|r| r.warned), sum(|r| r.connections)];
        let mut columns = vec![
            text("Rule"),
            number("Refused"),
            number("for now"),
            number("only warned"),
            number("Connections"),
        ];
        columns.extend(has_place.then(|| text("Place")));
        blocks.push(Block::Table(Table {
            title: "Rules that refuse most".to_owned(),
            columns,
            rows: rows.collect(),
            total: Some(cells("Sum".to_owned(), None, total)),
            drawn: Some(1),
            tone: Tone::Shut,
        }));
    }
    blocks.extend(top(
        "Networks of refused clients",
        "Network",
        "Refused",
        &summary.refused_networks,
        Tone::Shut,
    ));
    blocks.extend(top("What refused clients were told", "Reply", "Refused", &summary.refusals, Tone::Shut));
    let lead = "Commands and messages that were refused. A client whose three recipients are refused counts three; \
                “Connections” are those that ended without mail for the rule.";
    section("refused", "Refused", lead.to_owned(), blocks)
}

fn zones(summary: &Summary) -> Section {
    if summary.zones.is_empty() {
        return Section::default();
    }
    let logged = summary.zones.iter().any(|zone| zone.answers.is_some());
    let row = |zone: &crate::summary::Zone| {
        let time = |of: fn(&Answers) -> Option<u64>| match (zone.answers, logged) {
            (Some(answers), _) => {
                of(&answers).map_or(Cell::Nothing, |time| Cell::Measure(milliseconds(time)))
            }
            (None, true) => Cell::Nothing,
            (None, false) => Cell::Text("not logged".to_owned()),
        };
        vec![
            Cell::Text(zone.name.clone()),
            Cell::Count(zone.refused),
            some(zone.listed),
            if zone.listed == 0 { Cell::Nothing } else { Cell::Count(zone.alone) },
            time(|answers| answers.p50),
            time(|answers| answers.p95),
            some(zone.ill),
        ]
    };
    let table = Table {
        title: "DNS lists".to_owned(),
        columns: vec![
            text("List"),
            number("Refused"),
            number("Listed"),
            number("it alone"),
            number("Answer: half within"),
            number("95 % within"),
            number("Found ill"),
        ],
        rows: summary.zones.iter().map(row).collect(),
        total: None,
        drawn: Some(1),
        tone: Tone::Shut,
    };
    let lead = "“Listed” and “it alone” are known where the log names all lists that had a client, as postscreen's \
                does; a client may be on several lists, so these columns have no sum. How long answers took is logged by this \
                server (each question that really went to a name server), not by Postfix.";
    section("zones", "DNS lists", lead.to_owned(), vec![Block::Table(table)])
}

fn greylisting(summary: &Summary) -> Section {
    let found = &summary.greylisting;
    let all = found.delayed + found.early + found.passed.count + found.known;
    if all == 0 {
        return Section::default();
    }
    let part = |label: &str, count, tone| Part { label: label.to_owned(), count, tone };
    let parts = vec![
        part("told to come again", found.delayed, Tone::Wait),
        part("came again too early", found.early, Tone::Wait),
        part("came again and passed", found.passed.count, Tone::Good),
        part("passed without waiting", found.known, Tone::Good),
    ];
    let parts = parts.into_iter().filter(|part| part.count > 0).collect();
    let share = Share {
        title: "Every question to greylisting, once".to_owned(),
        head: "Answer",
        unit: "Questions",
        parts,
    };
    let mut blocks = vec![Block::Share(share)];
    if found.passed.count > 0 {
        let Percentiles { p50, max, .. } = found.passed;
        let (half, longest) = (duration(p50), duration(max));
        blocks.push(Block::Text(format!(
            "Half of those that came again waited {half} at most; the longest wait was {longest}."
        )));
    }
    section("greylisting", "Greylisting", String::new(), blocks)
}

fn troubles(summary: &Summary) -> Section {
    let tables = [
        top("Put off: why", "Reason", "Tries", &summary.deferrals, Tone::Wait),
        top("Returned: why", "Reason", "Recipients", &summary.bounces, Tone::Bad),
    ];
    section("undelivered", "Not delivered", String::new(), tables.into_iter().flatten().collect())
}

fn attacks(summary: &Summary) -> Section {
    let (attacks, bans) = (&summary.attacks, &summary.bans);
    let tables = [
        top("Failed log-ins by network", "Network", "Tries", &attacks.networks, Tone::Shut),
        top("Failed log-ins by account", "Account", "Tries", &attacks.accounts, Tone::Shut),
        top("Failed log-ins by method", "Program and method", "Tries", &attacks.methods, Tone::Shut),
        top("Bans by jail", "Jail", "Bans", &bans.jails, Tone::Shut),
        top("Bans by network", "Network", "Bans", &bans.networks, Tone::Shut),
    ];
    let blocks: Vec<Block> = tables.into_iter().flatten().collect();
    let mut lead = format!("{} logged in well.", counted(attacks.well, "session"));
    if bans.banned + bans.restored + bans.lifted > 0 {
        let (banned, lifted) = (counted(bans.banned, "ban"), grouped(bans.lifted));
        let restored = grouped(bans.restored);
        lead.push_str(&format!(" {banned}, {lifted} lifted, {restored} put in force again after a restart."));
    }
    section("attacks", "Log-ins and bans", lead, blocks)
}

fn protection(summary: &Summary) -> Section {
    let tls = &summary.tls;
    let tables = [
        top("Clients came with", "Version", "Connections", &tls.incoming, Tone::Good),
        top("Servers were reached with", "Version", "Connections", &tls.outgoing, Tone::Good),
        top("Hand-shakes that failed", "Reason", "Connections", &tls.failed, Tone::Bad),
    ];
    section("tls", "TLS", String::new(), tables.into_iter().flatten().collect())
}

fn times(summary: &Summary) -> Section {
    let delays = &summary.delays;
    if delays.whole.count == 0 {
        return Section::default();
    }
    let row = |name: &str, spread: &Percentiles| {
        let values = [spread.p50, spread.p90, spread.p99, spread.max];
        let times = values.into_iter().map(|value| Cell::Measure(milliseconds(value)));
        std::iter::once(Cell::Text(name.to_owned())).chain(times).collect()
    };
    let columns = vec![text("Where"), number("Half"), number("90 %"), number("99 %"), number("Longest")];
    let rows = vec![
        row("from arrival to delivery", &delays.whole),
        row("until in the queue", &delays.before),
        row("in the queue", &delays.queue),
        row("until connected", &delays.connecting),
        row("while transmitted", &delays.transmitting),
    ];
    let title = "How long deliveries took".to_owned();
    let table = Table { title, columns, rows, ..Table::default() };
    let lead = format!(
        "{} {}. “90 %” says that nine of ten took no longer.",
        grouped(delays.whole.count),
        plural(delays.whole.count, "delivery", "deliveries")
    );
    section("delays", "Delivery times", lead, vec![Block::Table(table)])
}

fn queue(summary: &Summary) -> Section {
    let queue = &summary.queue;
    if queue.messages == 0 {
        return Section::default();
    }
    let names = ["up to an hour", "up to 6 hours", "up to a day", "up to 3 days", "longer"];
    let part =
        |(name, count): (&str, &u64)| Part { label: (*name).to_owned(), count: *count, tone: Tone::Wait };
    let mut parts: Vec<Part> = names.into_iter().zip(&queue.steps).map(part).collect();
    parts.extend((queue.unknown > 0).then(|| part(("not known", &queue.unknown))));
    let title = "Messages in the queue, by how long they have been there".to_owned();
    let mut blocks = vec![Block::Share(Share { title, head: "For how long", unit: "Messages", parts })];
    blocks.extend(top("Where they are going", "Domain", "Messages", &queue.destinations, Tone::Wait));
    let oldest = if queue.unknown > 0 { "the oldest whose age is known" } else { "the oldest" };
    let lead = format!("When the log ended; {oldest} had been there for {}.", duration(queue.ages.max));
    section("queue", "The queue", lead, blocks)
}

fn most(summary: &Summary) -> Section {
    let tables = [
        top("Senders", "Sender", "Messages", &summary.senders, Tone::Good),
        top("Recipients", "Recipient", "Deliveries", &summary.recipients, Tone::Good),
        top("Destinations", "Domain", "Deliveries", &summary.destinations, Tone::Good),
    ];
    section("most", "Who writes to whom", String::new(), tables.into_iter().flatten().collect())
}

fn complaints(summary: &Summary) -> Section {
    let table = top("Warnings and errors", "Program and text", "Lines", &summary.trouble, Tone::Bad);
    section("trouble", "What the programs complain of", String::new(), table.into_iter().collect())
}

fn notes(summary: &Summary) -> Vec<String> {
    let lines = &summary.lines;
    let mut notes = vec![format!(
        "{} {} read: {} counted, {} of other days, {} without a meaning here, {} broken.",
        counted(lines.read, "line"),
        plural(lines.read, "was", "were"),
        grouped(lines.counted),
        grouped(lines.other_days),
        grouped(lines.passed_over),
        grouped(lines.broken)
    )];
    notes.extend(summary.notes.iter().cloned());
    notes.push(sections::UNLIKE_PFLOGSUMM.to_owned());
    if let Some((first, last)) = summary.span {
        let clock = |moment: crate::day::Moment| {
            format!("{} {:02}:{:02}:{:02}", date(moment.day), moment.hour, moment.minute, moment.second)
        };
        notes.push(format!("The first line was written on {}, the last on {}.", clock(first), clock(last)));
    }
    notes
}

#[cfg(test)]
mod tests;
