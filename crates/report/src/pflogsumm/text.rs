//! The report's text.

use super::line::{List, lossy};
use super::tally::{Connections, Party, Reasons, Row, Summary, Volume};
use super::{Limit, address, order};
use crate::Day;
use crate::names::{Table, under};
use crate::scan;
use std::io::{self, Write};

/// A list under a heading: count and name.
type Counted<'a> = Vec<(u64, &'a [u8])>;
/// A message's queue id, and its sender and recipients.
type Detail<'a> = (&'a [u8], &'a [(u32, Party)]);

impl Summary {
    /// Writes the report.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.settle();
        if let Some(day) = self.options.day {
            writeln!(out, "Postfix log summaries for {} {}", day.month_name(), day.day)?;
        }
        self.totals(out)?;
        if self.options.smtpd_stats {
            self.connection_totals(out)?;
        }
        if self.options.problems_first {
            self.problems(out)?;
        }
        if self.days > 1 {
            self.traffic_by_day(out)?;
        }
        self.traffic_by_hour(out)?;
        self.deliveries_by_domain(out)?;
        self.receipts_by_domain(out)?;
        if self.options.smtpd_stats {
            self.connection_tables(out)?;
        }
        self.users(out)?;
        if !self.options.without_no_size {
            self.messages_without_size(out)?;
        }
        if !self.options.problems_first {
            self.problems(out)?;
        }
        if self.options.extended {
            self.messages(out)?;
        }
        Ok(())
    }

    fn totals(&self, out: &mut dyn Write) -> io::Result<()> {
        let [rejected, warned, held, discarded] = self.refusals;
        let whole = self.delivered + rejected + discarded;
        let percent = |part: u64| (part * 100).checked_div(whole).unwrap_or(0);
        write!(out, "\nGrand Totals\n------------\nmessages\n\n")?;
        writeln!(out, " {}  received", units(self.received, 6))?;
        writeln!(out, " {}  delivered", units(self.delivered, 6))?;
        writeln!(out, " {}  forwarded", units(self.forwarded, 6))?;
        write!(out, " {}  deferred", units(self.deferred, 6))?;
        if self.deferrals > 0 {
            write!(out, "  ({} deferrals)", units(self.deferrals, 0))?;
        }
        writeln!(out)?;
        writeln!(out, " {}  bounced", units(self.bounced, 6))?;
        writeln!(out, " {}  rejected ({}%)", units(rejected, 6), percent(rejected))?;
        writeln!(out, " {}  reject warnings", units(warned, 6))?;
        writeln!(out, " {}  held", units(held, 6))?;
        writeln!(out, " {}  discarded ({}%)\n", units(discarded, 6), percent(discarded))?;
        let some = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let counted = |all: &Table<Volume>| some(all.iter().filter(|(_, volume)| volume.count > 0).count());
        let domains = self.recipient_domains.iter().filter(|(_, domain)| domain.volume.count > 0).count();
        for (count, what) in [
            (self.bytes_received, "bytes received"),
            (self.bytes_delivered, "bytes delivered"),
            (counted(&self.senders), "senders"),
            (counted(&self.sender_domains), "sending hosts/domains"),
            (counted(&self.recipients), "recipients"),
            (some(domains), "recipient hosts/domains"),
        ] {
            writeln!(out, " {}  {what}", units(count, 6))?;
        }
        writeln!(out)
    }

    fn connection_totals(&self, out: &mut dyn Write) -> io::Result<()> {
        let all = &self.connections;
        write!(out, "smtpd\n\n")?;
        writeln!(out, "  {}  connections", units(all.count, 6))?;
        let hosts = self.connections_by_domain.iter().filter(|(_, domain)| domain.count > 0).count();
        writeln!(out, "  {}  hosts/domains", units(u64::try_from(hosts).unwrap_or(u64::MAX), 6))?;
        writeln!(out, "  {:>6}   avg. connect time (seconds)", average(all.seconds, all.count))?;
        writeln!(out, " {}  total connect time\n", clock(all.seconds, 2))
    }

    fn traffic_by_day(&self, out: &mut dyn Write) -> io::Result<()> {
        heading(out, "Per-Day Traffic Summary")?;
        writeln!(out, "    date          received  delivered   deferred    bounced     rejected")?;
        writeln!(out, "    --------------------------------------------------------------------")?;
        for (day, Row { counts, width }) in &self.by_day {
            write!(out, "{}", self.date(*day))?;
            for count in counts.iter().take(*width) {
                write!(out, "    {}", units(*count, 6))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn date(&self, day: Day) -> String {
        let Day { year, month, day: date } = day;
        if self.options.iso {
            format!("    {year:04}-{month:02}-{date:02} ")
        } else {
            format!("    {} {date:2} {year}", day.month_name())
        }
    }

    fn hour(&self, hour: usize) -> String {
        let next = hour + 1;
        if self.options.iso {
            format!("    {hour:02}:00-{next:02}:00")
        } else {
            format!("    {hour:02}00-{next:02}00  ")
        }
    }

    fn traffic_by_hour(&self, out: &mut dyn Write) -> io::Result<()> {
        let several = self.days > 1;
        heading(out, if several { "Per-Hour Traffic Daily Average" } else { "Per-Hour Traffic Summary" })?;
        writeln!(out, "    time          received  delivered   deferred    bounced     rejected")?;
        writeln!(out, "    --------------------------------------------------------------------")?;
        for (hour, counts) in self.by_hour.iter().enumerate() {
            write!(out, "{}", self.hour(hour))?;
            for &count in counts {
                let count = if several { rounded(count, self.days) } else { count };
                write!(out, "    {}", units(count, 6))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn top(&self, limit: Limit) -> String {
        match limit {
            Limit::All => String::new(),
            Limit::Top(count) => format!("(top {count})"),
        }
    }

    fn deliveries_by_domain(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut all = self.recipient_domains.sorted();
        all.sort_by_key(|(_, domain)| std::cmp::Reverse((domain.volume.count, domain.volume.bytes)));
        let top = shown(self.options.hosts);
        if top == 0 {
            return Ok(());
        }
        heading(out, &format!("Host/Domain Summary: Message Delivery {}", self.top(self.options.hosts)))?;
        writeln!(out, " sent cnt  bytes   defers   avg dly max dly host/domain")?;
        writeln!(out, " -------- -------  -------  ------- ------- -----------")?;
        for (name, domain) in all.into_iter().take(top) {
            let mean = if domain.volume.count == 0 { 0.0 } else { domain.delay / lossy(domain.volume.count) };
            write!(
                out,
                " {}  {}  {}  {}  {}  ",
                units(domain.volume.count, 6),
                units(domain.volume.bytes, 6),
                units(domain.deferrals, 6),
                delay(mean),
                delay(domain.longest.unwrap_or(0.0))
            )?;
            line(out, name)?;
        }
        Ok(())
    }

    fn receipts_by_domain(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut all = self.sender_domains.sorted();
        all.sort_by_key(|(_, volume)| std::cmp::Reverse((volume.count, volume.bytes)));
        let top = shown(self.options.hosts);
        if top == 0 {
            return Ok(());
        }
        heading(out, &format!("Host/Domain Summary: Messages Received {}", self.top(self.options.hosts)))?;
        writeln!(out, " msg cnt   bytes   host/domain")?;
        writeln!(out, " -------- -------  -----------")?;
        for (name, volume) in all.into_iter().take(top) {
            write!(out, " {}  {}  ", units(volume.count, 6), units(volume.bytes, 6))?;
            line(out, name)?;
        }
        Ok(())
    }

    fn connection_tables(&self, out: &mut dyn Write) -> io::Result<()> {
        let several = self.days > 1;
        let rule = "    --------------------------------------------------------------------";
        if several {
            heading(out, "Per-Day SMTPD Connection Summary")?;
            writeln!(out, "    date        connections    time conn.    avg./conn.   max. time")?;
            writeln!(out, "{rule}")?;
            for (day, connections) in &self.connections_by_day {
                write!(out, "{}", self.date(*day))?;
                row(out, connections)?;
            }
        }
        if several {
            heading(out, "Per-Hour SMTPD Connection Daily Average")?;
            writeln!(
                out,
                "    hour        connections    time conn.\n    -------------------------------------"
            )?;
        } else {
            heading(out, "Per-Hour SMTPD Connection Summary")?;
            writeln!(out, "    hour        connections    time conn.    avg./conn.   max. time\n{rule}")?;
        }
        for (hour, connections) in self.connections_by_hour.iter().enumerate() {
            if connections.count == 0 {
                continue;
            }
            write!(out, "{}", self.hour(hour))?;
            if several {
                let count = rounded(connections.count, self.days);
                let seconds = average(connections.seconds, self.days);
                writeln!(out, "   {}       {}", units(count, 6), clock(seconds, 2))?;
            } else {
                row(out, connections)?;
            }
        }
        self.connections_by_domain(out)
    }

    fn connections_by_domain(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut all = self.connections_by_domain.sorted();
        all.retain(|(_, domain)| domain.count > 0);
        all.sort_by_key(|(_, domain)| std::cmp::Reverse((domain.count, domain.seconds)));
        let top = shown(self.options.hosts);
        if top == 0 {
            return Ok(());
        }
        heading(out, &format!("Host/Domain Summary: SMTPD Connections {}", self.top(self.options.hosts)))?;
        writeln!(out, " connections  time conn.  avg./conn.  max. time  host/domain")?;
        writeln!(out, " -----------  ----------  ----------  ---------  -----------")?;
        for (name, domain) in all.into_iter().take(top) {
            write!(
                out,
                "  {}      {}     {:>6}s    {:>6}s   ",
                units(domain.count, 6),
                clock(domain.seconds, 2),
                average(domain.seconds, domain.count),
                domain.longest
            )?;
            line(out, name)?;
        }
        Ok(())
    }

    fn users(&self, out: &mut dyn Write) -> io::Result<()> {
        let limit = self.options.users;
        if limit == Limit::Top(0) {
            return Ok(());
        }
        let ranked = |all| by_rank(counted(all));
        let (senders, recipients) = (ranked(&self.senders), ranked(&self.recipients));
        fn by<'a>(all: &[(&'a Volume, &'a [u8])], of: fn(&Volume) -> u64) -> Counted<'a> {
            all.iter().map(|&(volume, name)| (of(volume), name)).collect()
        }
        for (title, list) in [
            ("Senders by message count", by(&senders, |volume| volume.count)),
            ("Recipients by message count", by(&recipients, |volume| volume.count)),
            ("Senders by message size", by(&senders, |volume| volume.bytes)),
            ("Recipients by message size", by(&recipients, |volume| volume.bytes)),
        ] {
            self.flat(out, title, list, limit)?;
        }
        Ok(())
    }

    /// A list of names by their counts; equals are in their order.
    fn flat(&self, out: &mut dyn Write, title: &str, mut list: Counted<'_>, limit: Limit) -> io::Result<()> {
        by_count(&mut list);
        let title = match limit {
            Limit::Top(top) => format!("top {top} {title}"),
            Limit::All => title.to_owned(),
        };
        if list.is_empty() {
            return self.nothing(out, &title);
        }
        heading(out, &title)?;
        rows(out, 1, &list, limit)
    }

    fn nothing(&self, out: &mut dyn Write, title: &str) -> io::Result<()> {
        if self.options.quiet { Ok(()) } else { writeln!(out, "\n{title}: none") }
    }

    fn messages_without_size(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut all: Vec<(&[u8], &[u8])> = Vec::new();
        for (id, message) in self.messages.iter() {
            if let Some(recipient) = message.without_size.checked_sub(1) {
                all.push((id, self.recipients.name(recipient)));
            }
        }
        if all.is_empty() {
            return Ok(());
        }
        order::by_key(&mut all, |(id, _), key| key.extend_from_slice(id), |one, other| one.1.cmp(other.1));
        heading(out, "Messages with no size data")?;
        let mut row = Vec::new();
        for (id, recipient) in all {
            row.clear();
            for part in [b" ", id, b"  ", recipient, b"\n"] {
                row.extend_from_slice(part);
            }
            out.write_all(&row)?;
        }
        Ok(())
    }

    fn problems(&self, out: &mut dyn Write) -> io::Result<()> {
        let options = &self.options;
        self.nested(out, "message deferral detail", List::Deferrals, options.deferrals)?;
        self.nested(out, "message bounce detail (by relay)", List::Bounces, options.bounces)?;
        for (title, list) in [
            ("message reject detail", List::Rejected),
            ("message reject warning detail", List::Warned),
            ("message hold detail", List::Held),
            ("message discard detail", List::Discarded),
        ] {
            self.refusal_details(out, title, list)?;
        }
        self.nested(out, "smtp delivery failures", List::SmtpFailures, options.smtp)?;
        self.nested(out, "Warnings", List::Warnings, options.warnings)?;
        self.nested(out, "Fatal Errors", List::Fatals, Limit::All)?;
        self.nested(out, "Panics", List::Panics, Limit::All)?;
        let master = self.list(List::Master).iter().map(|(text, count)| (*count, text)).collect();
        self.flat(out, "Master daemon messages", by_rank(master), Limit::All)
    }

    /// Names, and under each a list by counts.
    fn nested(&self, out: &mut dyn Write, title: &str, list: List, limit: Limit) -> io::Result<()> {
        if limit == Limit::Top(0) {
            return Ok(());
        }
        let mut groups = Groups::of(self.list(List::Headings), self.list(list));
        if groups.headings.is_empty() {
            return self.nothing(out, title);
        }
        heading(out, title)?;
        groups.headings.sort_unstable_by_key(|heading| heading.name);
        for heading in &groups.headings {
            leaf(out, heading.name.0, heading.rows(&mut groups.rows), limit, 2)?;
        }
        Ok(())
    }

    /// Commands, reasons under each, and under each reason whom it met.
    fn refusal_details(&self, out: &mut dyn Write, title: &str, list: List) -> io::Result<()> {
        let limit = self.options.rejects;
        if limit == Limit::Top(0) {
            return Ok(());
        }
        let mut groups = Groups::of(self.list(List::Headings), self.list(list));
        if groups.headings.is_empty() {
            return self.nothing(out, title);
        }
        heading(out, title)?;
        groups.sort();
        let mut above = None;
        for heading in &groups.headings {
            let (command, reason) = heading.name;
            if above != Some(command) {
                above = Some(command);
                write!(out, "  ")?;
                line(out, command)?;
            }
            let rows = heading.rows(&mut groups.rows);
            if !self.options.verbose {
                leaf(out, reason, rows, limit, 4)?;
                continue;
            }
            let split = |&(count, name)| {
                let (reason, name) = scan::cut_at(name, b'\n').unwrap_or((name, b""));
                (reason, count, name)
            };
            let mut split: Vec<(&[u8], u64, &[u8])> = rows.iter().map(split).collect();
            order::by_text(&mut split, |row| row.0);
            let mut group = Vec::new();
            for rows in split.chunk_by(|one, other| one.0 == other.0) {
                group.clear();
                group.extend(rows.iter().map(|&(_, count, name)| (count, name)));
                leaf(out, rows.first().map_or(b"", |row| row.0), &mut group, limit, 4)?;
            }
        }
        Ok(())
    }

    fn messages(&self, out: &mut dyn Write) -> io::Result<()> {
        let parties = self.parties_by_message();
        if parties.is_empty() {
            return self.nothing(out, "Message detail");
        }
        let mut all: Vec<Detail<'_>> = parties
            .chunk_by(|(one, _), (other, _)| one == other)
            .filter_map(|group| Some((self.messages.name(group.first()?.0), group)))
            .collect();
        let key = |&(_, group): &Detail<'_>, key: &mut Vec<u8>| {
            let sender = group.first().map_or(&b""[..], |(_, first)| self.party(first));
            address::message_rank(sender, key);
        };
        order::by_key(&mut all, key, |(one, _), (other, _)| one.cmp(other));
        heading(out, "Message detail")?;
        let mut row = Vec::new();
        for (id, parties) in all {
            row.clear();
            for (at, (_, party)) in parties.iter().enumerate() {
                let before: [&[u8]; 3] = if at == 0 { [b" ", id, b"  "] } else { [b"   ", b"", b""] };
                before.iter().for_each(|part| row.extend_from_slice(part));
                row.extend_from_slice(self.party(party));
                row.push(b'\n');
            }
            row.push(b'\n');
            out.write_all(&row)?;
        }
        Ok(())
    }

    /// Who stands in each message's detail: the messages one after the other, in each its parties as they came.
    fn parties_by_message(&self) -> Vec<(u32, Party)> {
        let mut all = self.parties.clone();
        all.sort_by_key(|&(message, _)| message);
        all
    }

    fn party(&self, party: &Party) -> &[u8] {
        match *party {
            Party::Sender(number) => self.senders.name(number),
            Party::Unknown => b"(sender not in log)",
            Party::Recipient(number) => self.recipients.name(number),
        }
    }
}

/// A list by its headings.
struct Groups<'a> {
    headings: Vec<Heading<'a>>,
    /// Those under one heading stand together.
    rows: Counted<'a>,
}

#[derive(Clone, Copy)]
struct Heading<'a> {
    /// What stands above it, and itself; where nothing does, itself and nothing.
    name: (&'a [u8], &'a [u8]),
    /// Where its rows begin and end.
    rows: (usize, usize),
}

impl<'a> Groups<'a> {
    fn of(headings: &'a Reasons, list: &'a Reasons) -> Groups<'a> {
        // How many there are under each; then where the next of each belongs.
        let mut places = vec![0; headings.names().len()];
        for (path, _) in list.iter() {
            if let Some(count) = places.get_mut(under(path).0 as usize) {
                *count += 1;
            }
        }
        let (mut found, mut end) = (Vec::new(), 0);
        for (place, (name, _)) in places.iter_mut().zip(headings.iter()) {
            let rows = (end, end + *place);
            if *place > 0 {
                let name = scan::cut_at(name, b'\n').unwrap_or((name, b""));
                found.push(Heading { name, rows });
            }
            (*place, end) = rows;
        }
        let mut rows: Counted<'a> = vec![(0, b""); end];
        for (path, &count) in list.iter() {
            let (heading, name) = under(path);
            let Some(place) = places.get_mut(heading as usize) else { continue };
            if let Some(row) = rows.get_mut(*place) {
                *row = (count, name);
            }
            *place += 1;
        }
        Groups { headings: found, rows }
    }
}

impl Groups<'_> {
    /// In the order of what stands above them, and of themselves.
    fn sort(&mut self) {
        self.headings.sort_unstable_by_key(|heading| heading.name.0);
        for group in self.headings.chunk_by_mut(|one, other| one.name.0 == other.name.0) {
            order::by_text(group, |heading| heading.name.1);
        }
    }
}

impl<'a> Heading<'a> {
    fn rows<'r>(&self, rows: &'r mut Counted<'a>) -> &'r mut [(u64, &'a [u8])] {
        let (from, to) = self.rows;
        rows.get_mut(from..to).unwrap_or_default()
    }
}

/// A name with its total, and its list.
fn leaf(
    out: &mut dyn Write,
    name: &[u8],
    list: &mut [(u64, &[u8])],
    limit: Limit,
    indent: usize,
) -> io::Result<()> {
    let total: u64 = list.iter().map(|(count, _)| count).sum();
    let mut title = vec![b' '; indent];
    title.extend_from_slice(name);
    if let Limit::Top(top) = limit {
        write!(title, " (top {top})")?;
    }
    title.extend_from_slice(b" (total: ");
    push_digits(total, &mut title);
    title.extend_from_slice(b")\n");
    out.write_all(&title)?;
    rank(list);
    by_count(list);
    rows(out, indent + 2, list, limit)
}

/// The names that have a count.
fn counted(all: &Table<Volume>) -> Vec<(&Volume, &[u8])> {
    all.iter().filter(|(_, volume)| volume.count > 0).map(|(name, volume)| (volume, name)).collect()
}

/// Names in the order in which equals are shown.
fn by_rank<T: Copy>(mut list: Vec<(T, &[u8])>) -> Vec<(T, &[u8])> {
    rank(&mut list);
    list
}

fn rank<T: Copy>(list: &mut [(T, &[u8])]) {
    order::by_key(list, |(_, name), key| address::rank(name, key), |one, other| one.1.cmp(other.1));
}

/// The largest first; equals stay in their order.
fn by_count(list: &mut [(u64, &[u8])]) {
    list.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
}

/// Counts and names, one under the other.
fn rows(out: &mut dyn Write, indent: usize, list: &[(u64, &[u8])], limit: Limit) -> io::Result<()> {
    let mut row = Vec::new();
    for &(count, name) in list.iter().take(shown(limit)) {
        row.clear();
        row.resize(indent, b' ');
        push_units(count, 6, &mut row);
        row.extend_from_slice(b"  ");
        row.extend_from_slice(name);
        row.push(b'\n');
        out.write_all(&row)?;
    }
    Ok(())
}

fn shown(limit: Limit) -> usize {
    match limit {
        Limit::All => usize::MAX,
        Limit::Top(top) => usize::try_from(top).unwrap_or(usize::MAX),
    }
}

fn heading(out: &mut dyn Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{title}\n{}", "-".repeat(title.len()))
}

fn line(out: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    out.write_all(text)?;
    out.write_all(b"\n")
}

fn row(out: &mut dyn Write, connections: &Connections) -> io::Result<()> {
    writeln!(
        out,
        "   {}       {}      {:>6}s      {:>6}s",
        units(connections.count, 6),
        clock(connections.seconds, 2),
        average(connections.seconds, connections.count),
        connections.longest
    )
}

/// A number in `width` places and its unit, which is a blank below 512 k.
fn units(number: u64, width: usize) -> String {
    let mut out = Vec::with_capacity(width + 1);
    push_units(number, width, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// As Perl divides: above 2^53 bytes by the nearest double, of two the even one.
fn mega(bytes: u64) -> u64 {
    let unit = 1_u128 << 11_u32.saturating_sub(bytes.leading_zeros());
    let bytes = u128::from(bytes);
    let (low, rest) = (bytes / unit * unit, bytes % unit);
    let up = rest * 2 > unit || (rest * 2 == unit && (low / unit) % 2 == 1);
    let nearest = if up { low + unit } else { low };
    u64::try_from(nearest / (1024 * 1024)).unwrap_or(u64::MAX)
}

/// Appends what [`units`] gives.
fn push_units(number: u64, width: usize, out: &mut Vec<u8>) {
    const KILO: u64 = 1024;
    let (number, unit) = match number {
        number if number > 512 * KILO * KILO => (mega(number), b'm'),
        number if number > 512 * KILO => (number / KILO, b'k'),
        number => (number, b' '),
    };
    let from = out.len();
    out.resize(from + width, b' ');
    push_digits(number, out);
    // As many blanks as there are digits too many for the width.
    let digits = (out.len() - from - width).min(width);
    out.drain(from..from + digits);
    out.push(unit);
}

fn push_digits(mut number: u64, out: &mut Vec<u8>) {
    let from = out.len();
    while number > 0 || out.len() == from {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
    }
    out.get_mut(from..).unwrap_or_default().reverse();
}

/// Seconds, minutes or hours.
fn delay(seconds: f64) -> String {
    match seconds {
        seconds if seconds.is_infinite() => "  Inf h".to_owned(),
        seconds if seconds > 3600.0 => format!("{:5.1} h", seconds / 3600.0),
        seconds if seconds > 60.0 => format!("{:5.1} m", seconds / 60.0),
        seconds => format!("{seconds:5.1} s"),
    }
}

/// `1:02:03`, hours in `width` places.
fn clock(seconds: i64, width: usize) -> String {
    format!("{:>width$}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn rounded(count: u64, by: u64) -> u64 {
    if by == 0 { 0 } else { (count * 2 + by) / (by * 2) }
}

fn average(seconds: i64, by: u64) -> i64 {
    let by = i64::try_from(by).unwrap_or(i64::MAX);
    if by == 0 { 0 } else { (seconds * 2 + by) / (by * 2) }
}
