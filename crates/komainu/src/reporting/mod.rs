//! The report that goes out by itself: when its time has come the log is read, added up and sent through the queue.
//!
//! What it says is `report`'s; here are the clock, the files and the message. The day that it tells of is noted durably
//! before the message is handed to the queue, and taken back where the queue won't have it: so a crash between the two
//! costs a report, and none comes twice. T2.23.

mod kept;
mod places;

pub(crate) use kept::{Kept, NAME as KEPT};
pub(crate) use places::Places;

use crate::cli::logs;
use crate::clock;
use crate::configuration::Mailing;
use crate::log::Log;
use crate::pickup::Pickup;
use crate::privileged::{Answer, Helper, Request, past_logs};
use events::daemon::Message;
use jiff::civil::Date;
use mail::Wall;
use proto::control::{Submission, To};
use report::letter::{self, Letter};
use report::outline::{self, About};
use report::schedule::Patience;
use report::summary::{Settings, Summary, Tally};
use report::unusual::{Watcher, dated, of_log};
use report::{Day, sheet::Sheet};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Files of a log that are read for one report.
const FILES_MAX: usize = 40;
/// Rows of a table.
const ROWS: usize = 20;
/// Between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(30);
/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(600);
/// How much lower the priority is of the thread that reads the log (nice(2)): all there is.
const NICE: i32 = 19;
/// Who speaks of it.
const PROGRAM: &str = "komainu/report";

/// The machine's day at `wall`.
pub(crate) fn today(wall: Wall) -> Day {
    let here = wall.seconds() + i64::from(clock::utc_offset_s(wall));
    Day::numbered(here.div_euclid(86_400))
}

/// When an hour of a day comes, by the machine's time zone: one that isn't there comes later, one that is there twice
/// comes the first time.
fn comes(day: Day, hour: u8, minute: u8) -> i64 {
    let small = |number: u8| i8::try_from(number).unwrap_or(0);
    let year = i16::try_from(day.year).unwrap_or(i16::MAX);
    let stamp = Date::new(year, small(day.month), small(day.day))
        .map(|date| date.at(small(hour), small(minute), 0, 0))
        .and_then(|when| when.to_zoned(clock::time_zone()))
        .map(|zoned| zoned.timestamp().as_second());
    // A day that the calendar doesn't have.
    stamp.unwrap_or_else(|_| day.number() * 86_400 + i64::from(hour) * 3_600 + i64::from(minute) * 60)
}

/// How a log is counted on this machine.
pub(crate) fn settings(today: Day) -> Settings {
    Settings { offset: clock::utc_offset_min, ..Settings::new(today) }
}

/// A log's numbers, and those of its days.
pub(crate) struct Counted {
    days: (Day, Day),
    whole: Tally,
    each: BTreeMap<Day, (Option<Tally>, Watcher)>,
    today: Day,
    unread: Vec<String>,
}

impl Counted {
    /// For the lines of these days.
    pub(crate) fn new(days: (Day, Day), today: Day) -> Counted {
        let settings = Settings { days: Some(days), rows: ROWS, ..settings(today) };
        Counted { days, whole: Tally::new(settings), each: BTreeMap::new(), today, unread: Vec::new() }
    }

    /// A line, also one of this server's JSON or the journal's.
    pub(crate) fn feed(&mut self, line: &[u8]) {
        match events::json::plain(line, clock::utc_offset_min) {
            Some(plain) => self.feed_plain(plain.as_bytes()),
            None => self.feed_plain(line),
        }
    }

    fn feed_plain(&mut self, line: &[u8]) {
        self.whole.feed(line);
        let Some((day, rest)) = dated(line, self.today) else { return };
        let ((first, last), today) = (self.days, self.today);
        if !(first..=last).contains(&day) {
            return;
        }
        let (tally, watcher) = self.each.entry(day).or_insert_with(|| {
            // A single day is the whole.
            ((first < last).then(|| Tally::new(settings(today))), Watcher::default())
        });
        if let Some(tally) = tally {
            tally.feed(line);
        }
        watcher.feed(rest);
    }

    /// A log that couldn't be read, or not to its end, and why.
    fn could_not_read(&mut self, text: String) {
        self.unread.push(text);
    }

    /// What it all adds up to and what is out of the ordinary; the days are kept.
    pub(crate) fn told(mut self, kept: &mut Kept) -> (Summary, About) {
        let mut summary = self.whole.summary();
        summary.could_not_read(&self.unread);
        let (first, last) = self.days;
        let is_one = first == last;
        let mut compared = 0;
        let mut unusual = Vec::new();
        let mut certificates: Vec<String> = Vec::new();
        for day in (first.number()..=last.number()).map(Day::numbered) {
            let sums = match self.each.remove(&day) {
                Some((tally, watcher)) => {
                    // Of what the log repeats each day, the latest counts.
                    certificates = watcher.certificates().iter().map(|text| capital(text)).collect();
                    match tally {
                        Some(tally) => watcher.sums(&tally.summary()),
                        None => watcher.sums(&summary),
                    }
                }
                // Whether it had lines nobody knows.
                None if !self.unread.is_empty() => continue,
                // All were silent.
                None => Watcher::default().sums(&Summary::default()),
            };
            kept.history.keep(day, sums);
            // Days of this report are held against each other, too.
            compared = kept.history.compared_with(day).max(compared);
            let said = kept.history.unusual(day).into_iter();
            let dated = |text: String| {
                if is_one { text } else { format!("{} {}: {text}", day.day, day.month_name()) }
            };
            unusual.extend(said.map(dated));
        }
        let all = certificates.into_iter().chain(of_log(&summary)).chain(unusual);
        let about = About { unusual: all.collect(), compared, days: Some(self.days), ..About::default() };
        (summary, about)
    }
}

/// With a capital at its beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A message with its header.
pub(crate) fn message(mailing: &Mailing, letter: &Letter) -> String {
    let to = mailing.recipients.join(",\n ");
    format!(
        "From: Mail report <postmaster>\nTo: {to}\nSubject: {}\nAuto-Submitted: auto-generated\n{}\n{}",
        letter.subject, letter.head, letter.body
    )
}

/// What is said where the clock is behind what was told.
fn ahead(told: Day) -> String {
    let Day { year, month, day } = told;
    format!(
        "the last report told of {year:04}-{month:02}-{day:02}, which has not been yet by this clock: none goes out until \
         that is over, or the clock has shown this for two days"
    )
}

/// The envelope: nobody is told when it can't be delivered.
pub(crate) fn envelope(mailing: &Mailing) -> (Submission, Vec<To>) {
    let to = mailing.recipients.iter().map(|address| To { address: address.clone(), ..To::default() });
    (Submission { is_local: true, ..Submission::default() }, to.collect())
}

/// The letter that says what the sheet says.
pub(crate) fn letter(sheet: &Sheet) -> Letter {
    let wall = clock::now().wall;
    letter::letter(sheet, &format!("{}.{}", mail::time::compact(wall), std::process::id()))
}

/// Does `work` on a thread of its own that only has what nobody else wants of the processors and disks: mail doesn't
/// wait for a report.
///
/// # Errors
/// There is no thread.
fn last_in_line<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let politely = || {
            // Not to get it is only impolite.
            let _ = rustix::process::nice(NICE);
            work()
        };
        let thread = thread::Builder::new().name("report".to_owned()).spawn_scoped(scope, politely)?;
        thread.join().map_err(|_| io::Error::other("it ended early"))
    })
}

/// What there is of a log.
#[derive(Default)]
struct Found {
    files: Vec<File>,
    /// Why files of it can't be opened.
    problems: Vec<String>,
}

/// Who sends reports. Cheap to clone; of all that there are, one is at work.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) state: PathBuf,
    pub(crate) pickup: Pickup,
    pub(crate) helper: Option<Helper>,
    pub(crate) log: Log,
    /// A configuration that is no more in force may still be at it.
    pub(crate) turn: Arc<Mutex<Patience>>,
}

impl Sender {
    /// Sends reports by this configuration for ever.
    pub(crate) async fn run(self, mailing: Arc<Mailing>) {
        loop {
            let (sender, mailing) = (self.clone(), Arc::clone(&mailing));
            let turn = tokio::task::spawn_blocking(move || sender.turn(&mailing)).await;
            let pause = match turn {
                Ok(Ok(next_s)) => {
                    let left_s = next_s.saturating_sub(clock::now().wall.seconds());
                    LOOK.min(Duration::from_secs(u64::try_from(left_s).unwrap_or(0).max(1)))
                }
                Ok(Err(problem)) => {
                    self.say(Message::warning(format!(
                        "{problem}; tried again in {} minutes",
                        AGAIN.as_secs() / 60
                    )));
                    AGAIN
                }
                Err(_) => AGAIN,
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn say(&self, message: Message) {
        self.log.write(PROGRAM, message);
    }

    /// Does what is due, and says when to ask again. Blocks.
    fn turn(&self, mailing: &Mailing) -> Result<i64, String> {
        let Some(schedule) = mailing.schedule else { return Ok(i64::MAX) };
        let mut patience = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = clock::now().wall;
        let today = today(wall);
        let before = Kept::read(&self.state);
        let now = (today, wall.seconds());
        let mut due = schedule.due(now, before.told, &comes);
        if patience.is_over(due.is_ahead, now.1) {
            due = schedule.due(now, None, &comes);
        } else if due.is_ahead {
            if patience.begins(now.1) {
                self.say(Message::warning(ahead(due.told)));
            }
            return Ok(due.next_s);
        }
        let mut kept = Kept { told: Some(due.told), history: before.history.clone() };
        let Some(days) = due.now else {
            if before.told != kept.told {
                self.keep(&kept)?;
            }
            return Ok(due.next_s);
        };
        let counted = self
            .count(mailing, days, today)
            .map_err(|error| format!("there is no thread for the report: {error}"))?;
        let (mut summary, about) = counted.told(&mut kept);
        mailing.places.put(&mut summary);
        self.keep(&kept)?;
        if mailing.only_unusual && about.unusual.is_empty() {
            return Ok(due.next_s);
        }
        let sheet = outline::sheet(&summary, &About { host: mailing.hostname.clone(), ..about });
        if let Err(problem) = self.send(mailing, &message(mailing, &letter(&sheet))) {
            // It is due again.
            self.keep(&Kept { told: before.told, ..kept })?;
            return Err(format!("the report can't be sent: {problem}"));
        }
        Ok(due.next_s)
    }

    fn keep(&self, kept: &Kept) -> Result<(), String> {
        let failed =
            |error| format!("what is kept for reports can't be written to {}: {error}", self.state.display());
        kept.write(&self.state).map_err(failed)
    }

    /// Adds up the lines of `days`, from the log and what it was before it was rotated.
    ///
    /// # Errors
    /// There is no thread.
    fn count(&self, mailing: &Mailing, days: (Day, Day), today: Day) -> io::Result<Counted> {
        let found = self.open(&mailing.log, comes(days.0, 0, 0));
        last_in_line(|| self.read(mailing, found, (days, today)))
    }

    fn read(&self, mailing: &Mailing, found: Found, (days, today): ((Day, Day), Day)) -> Counted {
        let mut counted = Counted::new(days, today);
        let Found { files, mut problems } = found;
        if files.is_empty() && problems.is_empty() {
            problems.push("there is no such log, nor a rotated one of that time".to_owned());
        }
        for problem in problems {
            let text = format!("{}: {problem}", mailing.log.display());
            let nothing = if files.is_empty() { "the report has nothing to tell of: " } else { "" };
            self.say(Message::warning(format!("{nothing}{text}")));
            counted.could_not_read(text);
        }
        for file in files.into_iter().rev() {
            let read = logs::of(file)
                .and_then(|log| log.only(&(days.0..=days.1), today))
                .and_then(|log| logs::each_line(log, |line| counted.feed(line)));
            if let Err(error) = read {
                let text = format!("{}: {error}; what stands before it is counted", mailing.log.display());
                counted.could_not_read(text.clone());
                self.say(Message::warning(text));
            }
        }
        counted
    }

    /// The files with lines written since then, the newest first, and why others can't be opened.
    fn open(&self, log: &Path, since_s: i64) -> Found {
        let mut found = Found::default();
        let mut known = Vec::new();
        for nth in 0..FILES_MAX {
            let opened = self.open_one(log, nth).and_then(|file| Ok((file.metadata()?, file)));
            let (about, file) = match opened {
                Ok(opened) => opened,
                // Being rotated just now, or rotated for the last time.
                Err(error) if error.kind() == io::ErrorKind::NotFound && nth == 0 => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => {
                    // It is tried in vain only this once: the report says so, and comes.
                    let problem = error.to_string();
                    if !found.problems.contains(&problem) {
                        found.problems.push(problem);
                    }
                    continue;
                }
            };
            let name = (about.dev(), about.ino());
            if nth > 0 && about.mtime() < since_s {
                break;
            }
            if !known.contains(&name) {
                known.push(name);
                found.files.push(file);
            }
        }
        found
    }

    fn open_one(&self, log: &Path, nth: usize) -> io::Result<File> {
        let Some(helper) = &self.helper else { return past_logs::open(log, nth) };
        let nth = u64::try_from(nth).unwrap_or(u64::MAX);
        match helper.ask(&Request::PastLog(nth), None) {
            (Answer::Done, Some(descriptor)) => Ok(descriptor.into()),
            (Answer::Permanent(_), _) => Err(io::ErrorKind::NotFound.into()),
            (Answer::Temporary(text), _) => Err(io::Error::other(text)),
            (Answer::Done | Answer::Said(_), _) => Err(io::Error::other("the helper gave no file")),
        }
    }

    fn send(&self, mailing: &Mailing, message: &str) -> Result<(), String> {
        let (submission, to) = envelope(mailing);
        let uid = rustix::process::getuid().as_raw();
        let mut reception = self.pickup.begin(uid, submission, None).map_err(|error| error.to_string())?;
        reception.add(to).map_err(|error| error.to_string())?;
        reception.write(message.as_bytes()).map_err(|error| error.to_string())?;
        reception.finish().map(drop).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a day, an hour before noon.
    fn feed(counted: &mut Counted, day: Day, programs: &[&str]) {
        let Day { year, month, day } = day;
        for program in programs {
            for second in 10..40 {
                let line = format!(
                    "{year:04}-{month:02}-{day:02}T11:00:{second}+00:00 mx {program}[1]: connect from x[192.0.2.1]"
                );
                counted.feed(line.as_bytes());
            }
        }
    }

    #[test]
    fn a_day_without_a_line_is_held_against_the_others() {
        // A Saturday: a weekend is known.
        let first = Day { year: 2026, month: 11, day: 7 };
        let day = |number: i64| Day::numbered(first.number() + number);
        let mut kept = Kept::default();
        let mut counted = Counted::new((day(0), day(4)), day(5));
        for number in 0..4 {
            feed(&mut counted, day(number), &["postfix/smtpd", "dovecot"]);
        }
        let (_, about) = counted.told(&mut kept);
        // Days of one report, held against each other.
        assert_eq!(about.compared, 4);
        let lines = "; on each day before it wrote 30 lines or more";
        let expect =
            [format!("11 Nov: dovecot was silent{lines}"), format!("11 Nov: postfix was silent{lines}")];
        assert_eq!(about.unusual, expect);
        // A day alone, and none of its lines.
        let alone = |kept: &mut Kept| Counted::new((day(5), day(5)), day(6)).told(kept).1;
        let expect = ["dovecot", "postfix"].map(|name| format!("{name} was silent for 2 days{lines}"));
        assert_eq!(alone(&mut kept.clone()).unusual, expect);
        // Where the log couldn't be read nobody knows, and that is said.
        let before = kept.clone();
        let mut counted = Counted::new((day(5), day(5)), day(6));
        counted.could_not_read("mail.log: gone".to_owned());
        let (summary, about) = counted.told(&mut kept);
        assert_eq!((about.unusual, about.compared), (vec!["Not read: mail.log: gone".to_owned()], 0));
        assert_eq!(summary.unread, ["mail.log: gone"]);
        assert_eq!(kept, before);
    }

    #[test]
    fn the_log_is_read_when_nobody_else_wants_anything() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(last_in_line(priority).unwrap(), NICE.min(before + NICE));
        assert_eq!(priority(), before);
    }
}
