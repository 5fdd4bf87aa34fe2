//! A summary as tables: what text, CSV and JSON have in common.
//!
//! A section's and a column's key stay what they are from version to version; titles are for people.

use super::{Mood, Percentiles, Slot, Split, Summary, Top};
use crate::Day;
use crate::words::plural;
use std::collections::BTreeMap;

/// Where numbers differ from pflogsumm's, and why.
pub const UNLIKE_PFLOGSUMM: &str = "pflogsumm counts commands and recipients, and a message that header_checks refused as \
    received and as rejected; the tables of connections and messages count each once, by how it ended. “Refused” over \
    time and by rule are commands and messages, as with pflogsumm, and beyond it what a milter refused before a \
    message's end. “Put off” are tries; pflogsumm's deferred are messages, with the tries behind them as deferrals.";

/// A table with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What the cells of a row are.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Line>,
    /// The sum, where the rows add up to one.
    pub sum: Option<Line>,
    /// The column that bars are drawn for.
    pub bars: Option<usize>,
    /// The last row is what the others add up to.
    pub others: bool,
    /// What else must be said.
    pub remark: Option<String>,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name for people.
    pub title: &'static str,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// One for each column.
    pub cells: Vec<Cell>,
    /// What it is to the reader.
    pub mood: Mood,
}

/// What stands in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text; what came from the log is the peers'.
    Text(String),
    /// A number.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// A time in milliseconds.
    Millis(u64),
    /// A time in seconds.
    Seconds(u64),
    /// Unknown.
    Unknown,
}

impl Cell {
    /// The number in it.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match self {
            Cell::Count(value) | Cell::Bytes(value) | Cell::Millis(value) | Cell::Seconds(value) => {
                Some(*value)
            }
            Cell::Text(_) | Cell::Unknown => None,
        }
    }
}

/// All keys, in the order in which sections are shown.
pub const KEYS: [&str; 27] = [
    "traffic",
    "connections",
    "messages",
    "origins",
    "rules",
    "zones",
    "refusals",
    "refused_networks",
    "deferrals",
    "bounces",
    "delays",
    "queue",
    "waiting",
    "greylisting",
    "logins",
    "attack_networks",
    "accounts",
    "bans",
    "banned_networks",
    "authenticity",
    "forged",
    "tls",
    "senders",
    "recipients",
    "destinations",
    "trouble",
    "log",
];

/// The summary's tables, those without a row too.
#[must_use]
pub fn sections(summary: &Summary) -> Vec<Section> {
    let s = summary;
    vec![
        traffic(s),
        split("connections", "Connections", "connections", &s.connections),
        split("messages", "Messages: what became of them", "messages", &s.messages),
        split("origins", "Messages: how they came", "messages", &s.origins),
        rules(s),
        zones(s),
        top("refusals", "Refused, by reply", ("reply", "reply"), &s.refusals, false),
        top("refused_networks", "Refused, by network", ("network", "network"), &s.refused_networks, false),
        top("deferrals", "Put off, by reason", ("reason", "reason"), &s.deferrals, false),
        top("bounces", "Returned, by reason", ("reason", "reason"), &s.bounces, false),
        delays(s),
        queue(s),
        top("waiting", "Put off, by destination", ("domain", "domain"), &s.queue.destinations, false),
        greylisting(s),
        logins(s),
        top(
            "attack_networks",
            "Failed log-ins, by network",
            ("network", "network"),
            &s.attacks.networks,
            false,
        ),
        top("accounts", "Failed log-ins, by account", ("account", "account"), &s.attacks.accounts, false),
        bans(s),
        top("banned_networks", "Banned, by network", ("network", "network"), &s.bans.networks, false),
        authenticity(s),
        top(
            "forged",
            "Refuted by DMARC, by author's domain",
            ("domain", "domain"),
            &s.authenticity.forged,
            false,
        ),
        tls(s),
        top("senders", "Senders", ("sender", "sender"), &s.senders, true),
        top("recipients", "Recipients", ("recipient", "recipient"), &s.recipients, true),
        top("destinations", "Destinations", ("domain", "domain"), &s.destinations, true),
        top("trouble", "Warnings and errors", ("text", "program and text"), &s.trouble, false),
        log(s),
    ]
}

impl Section {
    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows
            .iter()
            .all(|row| row.cells.iter().all(|cell| cell.number().is_none_or(|number| number == 0)))
    }

    fn new(key: &'static str, title: &'static str, columns: &[(&'static str, &'static str)]) -> Section {
        let columns = columns.iter().map(|&(key, title)| Column { key, title }).collect();
        Section { key, title, columns, rows: Vec::new(), sum: None, bars: None, others: false, remark: None }
    }

    fn row(&mut self, mood: Mood, cells: Vec<Cell>) {
        self.rows.push(Line { cells, mood });
    }
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn slot_cells(slot: &Slot) -> [Cell; 6] {
    let Slot { connections, received, delivered, deferred, bounced, refused } = *slot;
    [connections, refused, received, delivered, deferred, bounced].map(Cell::Count)
}

/// By hours of up to two days, by days of up to two months, by months.
fn traffic(s: &Summary) -> Section {
    let mut section = Section::new(
        "traffic",
        "Traffic",
        &[
            ("from", "from"),
            ("connections", "connections"),
            ("refused", "refused"),
            ("received", "received"),
            ("delivered", "delivered"),
            ("deferred", "put off"),
            ("bounced", "returned"),
        ],
    );
    let mut sum = s.traffic.others;
    let mut rows: BTreeMap<String, Slot> = BTreeMap::new();
    let many = s.traffic.days.len();
    let (first, last) = s.span.map_or((None, None), |(first, last)| (Some(first), Some(last)));
    for (day, hours) in &s.traffic.days {
        for (hour, slot) in hours.iter().enumerate() {
            sum.add(slot);
            let before = first.is_some_and(|first| first.day == *day && hour < usize::from(first.hour));
            let behind = last.is_some_and(|last| last.day == *day && hour > usize::from(last.hour));
            if before || behind {
                continue;
            }
            let Day { year, month, day } = *day;
            let name = match many {
                0..=2 => format!("{year:04}-{month:02}-{day:02} {hour:02}:00"),
                3..=62 => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}"),
            };
            rows.entry(name).or_default().add(slot);
        }
    }
    if s.traffic.others != Slot::default() {
        rows.insert("other days".to_owned(), s.traffic.others);
    }
    for (name, slot) in rows {
        section.row(Mood::Plain, [text(name)].into_iter().chain(slot_cells(&slot)).collect());
    }
    let cells = [text("all")].into_iter().chain(slot_cells(&sum)).collect();
    section.sum = Some(Line { cells, mood: Mood::Plain });
    section.bars = Some(1);
    section.remark = Some(UNLIKE_PFLOGSUMM.to_owned());
    section
}

fn split(key: &'static str, title: &'static str, what: &'static str, split: &Split) -> Section {
    let mut section = Section::new(key, title, &[("part", ""), ("count", what)]);
    section.bars = Some(1);
    for part in split.parts.iter().filter(|part| part.count > 0) {
        section.row(part.mood, vec![text(part.title), Cell::Count(part.count)]);
    }
    section.sum = Some(Line { cells: vec![text("all"), Cell::Count(split.total)], mood: Mood::Plain });
    section
}

fn rules(s: &Summary) -> Section {
    let mut section = Section::new(
        "rules",
        "Refused, by rule",
        &[
            ("rule", "rule"),
            ("refused", "refused"),
            ("temporary", "for now"),
            ("warned", "would have"),
            ("connections", "connections"),
            ("place", "where"),
        ],
    );
    let mut sum = [0; 4];
    for rule in &s.rules {
        let numbers = [rule.refused(), rule.temporary, rule.warned, rule.connections];
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        let mut cells = vec![text(rule.rule.to_string())];
        cells.extend(numbers.map(Cell::Count));
        cells.push(rule.place.as_ref().map_or(Cell::Unknown, text));
        section.row(Mood::Refused, cells);
    }
    let mut cells = vec![text("all")];
    cells.extend(sum.map(Cell::Count));
    cells.push(text(""));
    section.sum = Some(Line { cells, mood: Mood::Plain });
    section.bars = Some(1);
    section.remark = Some(
        "`refused` counts commands: a client with three refused recipients is three. `connections` ended without mail, by the rule that refused first."
            .to_owned(),
    );
    section
}

fn zones(s: &Summary) -> Section {
    let mut section = Section::new(
        "zones",
        "DNS lists",
        &[
            ("zone", "list"),
            ("refused", "refused"),
            ("listed", "clients listed"),
            ("alone", "by it alone"),
            ("ill", "found ill"),
            ("queries", "asked"),
            ("unanswered", "no answer"),
            ("answer_p50", "half within"),
            ("answer_p95", "95 % within"),
        ],
    );
    for zone in &s.zones {
        // Which lists had a client is known where each says so.
        let known = |value: u64| if zone.listed > 0 { Cell::Count(value) } else { Cell::Unknown };
        let answers = zone.answers.as_ref();
        section.row(
            Mood::Refused,
            vec![
                text(&zone.name),
                Cell::Count(zone.refused),
                known(zone.listed),
                known(zone.alone),
                Cell::Count(zone.ill),
                answers.map_or(Cell::Unknown, |answers| Cell::Count(answers.queries)),
                answers.map_or(Cell::Unknown, |answers| Cell::Count(answers.unanswered)),
                answers.and_then(|answers| answers.p50).map_or(Cell::Unknown, Cell::Millis),
                answers.and_then(|answers| answers.p95).map_or(Cell::Unknown, Cell::Millis),
            ],
        );
    }
    section.bars = Some(1);
    let times = match s.zones.iter().any(|zone| zone.answers.is_some()) {
        true => {
            "How long answers took is what the server found for each question that really went to a name server."
        }
        false => "How long answers took isn't logged: Postfix says nothing of it.",
    };
    section.remark = Some(format!(
        "A restriction list stops at the first DNS list that has a client, so that the log doesn't say who else would have; postscreen asks all of its lists, and says so. {times}"
    ));
    section
}

fn top(
    key: &'static str,
    title: &'static str,
    name: (&'static str, &'static str),
    top: &Top,
    with_bytes: bool,
) -> Section {
    let mut columns = vec![name, ("count", "times")];
    if with_bytes {
        columns = vec![name, ("count", "messages"), ("bytes", "bytes")];
    }
    let mut section = Section::new(key, title, &columns);
    let cells = |name: Cell, count: u64, bytes: u64| {
        let mut cells = vec![name, Cell::Count(count)];
        if with_bytes {
            cells.push(Cell::Bytes(bytes));
        }
        cells
    };
    let mut shown: u64 = 0;
    for row in &top.rows {
        shown = shown.saturating_add(row.bytes);
        section.row(Mood::Plain, cells(text(&row.name), row.count, row.bytes));
    }
    if top.other_names > 0 {
        let name = format!("({} {})", top.other_names, plural(top.other_names, "other", "others"));
        section.others = true;
        section.row(Mood::Plain, cells(text(name), top.other_count, top.bytes.saturating_sub(shown)));
    }
    section.sum = Some(Line { cells: cells(text("all"), top.total, top.bytes), mood: Mood::Plain });
    section.bars = Some(1);
    section
}

fn delays(s: &Summary) -> Section {
    let mut section = Section::new(
        "delays",
        "How long deliveries took",
        &[
            ("part", ""),
            ("count", "deliveries"),
            ("mean", "mean"),
            ("p50", "half within"),
            ("p90", "90 % within"),
            ("p99", "99 % within"),
            ("max", "longest"),
        ],
    );
    let parts = [
        ("from arrival to delivery", &s.delays.whole),
        ("before the queue's manager", &s.delays.before),
        ("in the queue", &s.delays.queue),
        ("connecting", &s.delays.connecting),
        ("transmission", &s.delays.transmitting),
    ];
    for (name, spread) in parts {
        let Percentiles { count, mean, p50, p90, p99, max } = *spread;
        let mut cells = vec![text(name), Cell::Count(count)];
        cells.extend([mean, p50, p90, p99, max].map(Cell::Millis));
        section.row(Mood::Plain, cells);
    }
    section
}

fn queue(s: &Summary) -> Section {
    let mut section = Section::new(
        "queue",
        "In the queue when the log ended, by age",
        &[("age", "age"), ("count", "messages")],
    );
    let names = ["up to an hour", "up to six hours", "up to a day", "up to three days", "longer"];
    for (name, count) in names.into_iter().zip(s.queue.steps) {
        section.row(Mood::Plain, vec![text(name), Cell::Count(count)]);
    }
    if s.queue.unknown > 0 {
        section.row(Mood::Plain, vec![text("age not known"), Cell::Count(s.queue.unknown)]);
    }
    section.sum = Some(Line { cells: vec![text("all"), Cell::Count(s.queue.messages)], mood: Mood::Plain });
    section.bars = Some(1);
    section
}

fn greylisting(s: &Summary) -> Section {
    let mut section = Section::new("greylisting", "Greylisting", &[("what", ""), ("value", "")]);
    let g = &s.greylisting;
    for (name, cell) in [
        ("told to come again", Cell::Count(g.delayed)),
        ("came again too early", Cell::Count(g.early)),
        ("came again and passed", Cell::Count(g.passed.count)),
        ("passed without waiting", Cell::Count(g.known)),
        ("half of them waited no longer than", Cell::Seconds(g.passed.p50)),
        ("longest wait", Cell::Seconds(g.passed.max)),
    ] {
        section.row(Mood::Plain, vec![text(name), cell]);
    }
    section
}

fn logins(s: &Summary) -> Section {
    let mut section = Section::new("logins", "Log-ins", &[("what", ""), ("count", "tries")]);
    section.row(Mood::Good, vec![text("sessions that logged in"), Cell::Count(s.attacks.well)]);
    section.row(Mood::Bad, vec![text("failed tries"), Cell::Count(s.attacks.failed)]);
    for row in &s.attacks.methods.rows {
        section.row(Mood::Plain, vec![text(format!("  by {}", row.name)), Cell::Count(row.count)]);
    }
    section
}

fn bans(s: &Summary) -> Section {
    let mut section = Section::new("bans", "Bans", &[("what", ""), ("count", "times")]);
    for (name, count) in [
        ("banned", s.bans.banned),
        ("banned again after a restart", s.bans.restored),
        ("let in again", s.bans.lifted),
        ("findings", s.bans.found),
    ] {
        section.row(Mood::Plain, vec![text(name), Cell::Count(count)]);
    }
    for row in &s.bans.jails.rows {
        section.row(Mood::Plain, vec![text(format!("banned by {}", row.name)), Cell::Count(row.count)]);
    }
    section
}

fn authenticity(s: &Summary) -> Section {
    let mut section =
        Section::new("authenticity", "SPF, DKIM and DMARC", &[("what", ""), ("count", "times")]);
    for (name, top) in
        [("SPF", &s.authenticity.spf), ("DKIM", &s.authenticity.dkim), ("DMARC", &s.authenticity.dmarc)]
    {
        for row in &top.rows {
            let mood = match row.name.as_str() {
                "pass" | "signed" => Mood::Good,
                name if name.contains("fail") => Mood::Refused,
                _ => Mood::Plain,
            };
            section.row(mood, vec![text(format!("{name} {}", row.name)), Cell::Count(row.count)]);
        }
    }
    section.bars = Some(1);
    section
}

fn tls(s: &Summary) -> Section {
    let mut section = Section::new("tls", "TLS", &[("what", ""), ("count", "times")]);
    for (name, mood, top) in [
        ("clients", Mood::Plain, &s.tls.incoming),
        ("servers", Mood::Plain, &s.tls.outgoing),
        ("failed", Mood::Bad, &s.tls.failed),
    ] {
        for row in &top.rows {
            section.row(mood, vec![text(format!("{name}: {}", row.name)), Cell::Count(row.count)]);
        }
        if top.other_count > 0 {
            section.row(mood, vec![text(format!("{name}: others")), Cell::Count(top.other_count)]);
        }
    }
    section.bars = Some(1);
    section
}

fn log(s: &Summary) -> Section {
    let mut section = Section::new("log", "The log's lines", &[("what", ""), ("count", "lines")]);
    for (name, count) in [
        ("counted", s.lines.counted),
        ("of no meaning here", s.lines.passed_over),
        ("of other days", s.lines.other_days),
        ("half, or none of a log", s.lines.broken),
    ] {
        section.row(Mood::Plain, vec![text(name), Cell::Count(count)]);
    }
    section.sum = Some(Line { cells: vec![text("all"), Cell::Count(s.lines.read)], mood: Mood::Plain });
    section
}

/// `22 Nov 2026 01:55`.
#[must_use]
pub fn moment(at: crate::day::Moment) -> String {
    let Day { year, day, .. } = at.day;
    format!("{day} {} {year:04} {:02}:{:02}", at.day.month_name(), at.hour, at.minute)
}
