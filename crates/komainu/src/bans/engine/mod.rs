//! The engine: a thread that waits for logs, for orders and for the time, and lets the jails judge.
//!
//! It reads what was written to logs in pieces, gives each line to the jails that read that log, and hands what follows to
//! the thread that does it ([`super::hands`]). It never waits for a disk, a program or a name server. T2.18 to T2.21.

mod load;
mod orders;
mod sources;

use super::cell::{Cell, Out};
use super::friends::{Friends, News};
use super::hands::{Doing, Hands, Task, say_failed};
use super::inquiries::Inquiries;
use super::kept::{self, Past, ROWS_MAX, Row};
use super::names::Names;
use super::order::{Answer, Asked, Order, Orders};
use super::own::{OwnLog, Told};
use super::says::{BanLog, Part};
use super::settings::Level;
use super::tail::{Mark, Opener};
use super::wake::Waker;
use super::watch::Watch;
use crate::firewall::Change;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use sources::Source;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::lines::LineFile;

/// What is read of a log at once.
const PIECE_BYTES: usize = 1 << 20;
/// So many pieces of one log, then the others have their turn.
const PIECES_MAX: usize = 8;
/// Between two looks for logs that appear, or that were renamed.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks into logs that can't be watched.
const POLL: Duration = Duration::from_millis(100);
/// State that led to no change is written this often.
const KEEP: Duration = Duration::from_secs(1);
/// Failures too old to count are forgotten this often.
const FORGET: Duration = Duration::from_secs(60);
/// A file of state shorter than this isn't written anew.
const STATE_BYTES: u64 = 8 << 20;
/// How long the start waits for the addresses of names that are never banned.
const GREETING: Duration = Duration::from_secs(3);
/// How long the start waits until bans of before are in force.
const RESTORED: Duration = Duration::from_secs(5);
/// A clock that was set by less is only inexact.
const JUMP_S: i64 = 60;

/// With what an engine begins.
pub struct Setup {
    /// fail2ban's files.
    pub folder: PathBuf,
    /// Where its state is kept; in memory alone without.
    pub state: Option<PathBuf>,
    /// Where it says what it does.
    pub log: BanLog,
    /// Who puts bans in force, and may take long.
    pub hands: Vec<Box<dyn Hands>>,
    /// Who puts them in force at once, without a wait: no longer than this process, so nothing is kept before.
    pub doors: Option<Box<dyn Hands>>,
    /// Who opens logs.
    pub opener: Arc<dyn Opener>,
    /// The server's own lines.
    pub own: Option<(OwnLog, Receiver<Told>)>,
    /// Standard input, and the jails that read it beside those whose `logpath` is `-`.
    pub input: Option<(OwnedFd, Vec<String>)>,
    /// Rouses it: for whoever hands it lines.
    pub waker: Waker,
}

/// A running engine.
pub struct Engine {
    orders: Orders,
    thread: Option<JoinHandle<()>>,
    outcome: Outcome,
}

/// Why it ended by itself, for people.
type Outcome = Arc<OnceLock<String>>;

impl Engine {
    /// Reads fail2ban's files and what was kept, and starts the jails, on a thread of its own.
    ///
    /// # Errors
    /// When there are no such files, the state can't be read, or there can be no threads.
    pub fn start(setup: Setup) -> Result<Engine, String> {
        let (sender, asked) = mpsc::channel();
        let orders = Orders { orders: sender, waker: setup.waker.clone() };
        let machine = Machine::new(setup, asked)?;
        let outcome = Arc::clone(&machine.outcome);
        let thread = std::thread::Builder::new().name("bans".into()).spawn(move || machine.run());
        let thread = thread.map_err(|error| format!("no thread for bans: {error}"))?;
        Ok(Engine { orders, thread: Some(thread), outcome })
    }

    /// How it is reached.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Waits until it was told to end.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic has said what it was.
            let _ = thread.join();
        }
    }

    /// Why it ended, where nobody told it to.
    #[must_use]
    pub fn outcome(&self) -> Option<&str> {
        self.outcome.get().map(String::as_str)
    }

    /// Whether it still works.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.orders.ask(Order::Stop(None));
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Machine {
    folder: PathBuf,
    log: BanLog,
    opener: Arc<dyn Opener>,
    own: Option<(OwnLog, Receiver<Told>)>,
    /// Standard input until it is a source, and who reads it.
    input: Option<(Option<OwnedFd>, Vec<String>)>,
    has_input_ended: bool,
    asked: Receiver<Asked>,
    waker: Waker,
    doing: Doing,
    doors: Option<Box<dyn Hands>>,
    cells: Vec<Cell>,
    /// Jails that can't run, and why.
    broken: Vec<(String, String)>,
    sources: Vec<Source>,
    watch: Option<Watch>,
    names: Names,
    friends: Friends,
    inquiries: Inquiries,
    changes: Vec<Change>,
    /// How many of them are in force at the doors.
    at_doors: usize,
    reload: bool,
    /// Logs that can't be read, and jails whose journal can't: said once.
    shut_logs: HashSet<String>,
    /// What was kept of jails and logs that aren't there now.
    past: Past,
    marks: HashMap<String, Mark>,
    /// How far files were read that have other names now, as far as that isn't kept.
    left: Vec<Row>,
    sums: HashMap<String, (u64, u64)>,
    handed: Instant,
    looked: Instant,
    forgot: Instant,
    /// Both clocks, as of the last turn, and how long the machine had slept by the last jump of one of them.
    clocks: (i64, Instant, Option<i64>),
    piece: Vec<u8>,
    state_bytes: u64,
    keeps: bool,
    dice: u64,
    /// Who waits for the end.
    ending: Option<Vec<mpsc::Sender<Answer>>>,
    outcome: Outcome,
}

impl Machine {
    fn new(setup: Setup, asked: Receiver<Asked>) -> Result<Machine, String> {
        let Setup { folder, state, log, hands, doors, opener, own, input, waker } = setup;
        log.say(Part::Server, Level::Info, format_args!("{}", "-".repeat(50)));
        let version = env!("CARGO_PKG_VERSION");
        log.say(Part::Server, Level::Info, format_args!("Starting Komainu v{version} in Fail2ban's place"));
        let (file, past) = match &state {
            None => (None, Past::default()),
            Some(folder) => {
                let opened = kept::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
                (Some(opened.0), opened.1)
            }
        };
        let keeps = file.is_some();
        if let Some(damaged) = file.as_ref().map(LineFile::damaged).filter(|damaged| *damaged > 0) {
            let whose = state.as_deref().unwrap_or(&folder).display();
            let text = format_args!(
                "K0671: {whose}/bans: {damaged} line(s) damaged: what they said of bans is lost"
            );
            log.say(Part::Server, Level::Warning, text);
        }
        let thread = |error: std::io::Error| format!("no thread for bans: {error}");
        let doing = Doing::start(file, hands, log.clone(), waker.clone()).map_err(thread)?;
        let names = Names::start(waker.clone()).map_err(thread)?;
        let (friends, inquiries) = (Friends::new(waker.clone()), Inquiries::new(waker.clone()));
        let watch = Watch::new().ok();
        let now = Instant::now();
        let clocks = (log.hours().look(), now, (log.hours().slept_s)());
        let mut machine = Machine {
            folder,
            log,
            opener,
            own,
            input: input.map(|(pipe, jails)| (Some(pipe), jails)),
            has_input_ended: false,
            asked,
            waker,
            doing,
            doors,
            cells: Vec::new(),
            broken: Vec::new(),
            sources: Vec::new(),
            watch,
            names,
            friends,
            inquiries,
            changes: Vec::new(),
            at_doors: 0,
            reload: false,
            shut_logs: HashSet::new(),
            past,
            marks: HashMap::new(),
            left: Vec::new(),
            sums: HashMap::new(),
            handed: now,
            looked: now,
            forgot: now,
            clocks,
            piece: vec![0; PIECE_BYTES],
            state_bytes: 0,
            keeps,
            dice: u64::from(std::process::id()) ^ clocks.0.unsigned_abs(),
            ending: None,
            outcome: Outcome::default(),
        };
        machine.begin()?;
        // Who was shut out is shut out again before anybody opens a port.
        machine.meet_friends();
        machine.hand_over();
        machine.doing.rest(RESTORED);
        Ok(machine)
    }

    /// What follows from a deed goes here.
    fn out<'a>(log: &'a BanLog, changes: &'a mut Vec<Change>, luck: f64) -> Out<'a> {
        Out { log, changes, now_us: log.hours().turn_us(), luck }
    }

    /// From 0 up to 1. It decides on nothing that somebody could gain from.
    fn luck(&mut self) -> f64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.dice >> 33).unwrap_or(0)) / f64::from(1_u32 << 31)
    }

    fn run(mut self) {
        let mut more: HashSet<usize> = (0..self.sources.len()).collect();
        while self.ending.is_none() {
            if more.is_empty() || self.inquiries.are_full() {
                self.wait();
            }
            self.waker.heard();
            self.follow_clock();
            self.tick();
            self.listen(&mut more);
            if self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                self.look(&mut more);
                self.follow_friends();
            }
            // What is in a log stays there until those who are asked have answered.
            if !self.inquiries.are_full() {
                more = std::mem::take(&mut more).into_iter().filter(|number| self.read(*number)).collect();
            }
            self.inquire();
            self.end_with_input();
            while let Ok(Asked { order, answer }) = self.asked.try_recv() {
                self.follow_clock();
                let said = self.order(order, &answer);
                // What he hears of is so.
                self.change_doors();
                if let Some(said) = said {
                    // Whoever asked may have gone.
                    let _ = answer.send(said);
                }
                more.extend(0..self.sources.len());
            }
            self.hand_over();
        }
        self.end();
    }

    /// Waits for something to do.
    fn wait(&self) {
        let now_s = self.log.now_us().div_euclid(1_000_000);
        let next = self.cells.iter().filter_map(|cell| cell.jail.next_end()).min();
        let mut patience = LOOK.saturating_sub(self.looked.elapsed());
        if let Some(until_s) = next {
            let left = u64::try_from(until_s.saturating_sub(now_s)).unwrap_or(0);
            patience = patience.min(Duration::from_secs(left).max(Duration::from_millis(5)));
        }
        if self.watch.as_ref().is_none_or(|watch| !watch.polled.is_empty()) {
            patience = patience.min(POLL);
        }
        let mut fds = vec![PollFd::new(&self.waker, PollFlags::IN)];
        fds.extend(self.watch.as_ref().map(|watch| PollFd::new(watch, PollFlags::IN)));
        fds.extend(
            self.sources
                .iter()
                .filter(|_| !self.inquiries.are_full())
                .filter_map(Source::pipe)
                .map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)),
        );
        let timeout = Timespec::try_from(patience).ok();
        // Interrupted, or no memory: the next turn looks again.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    /// Bans last as long as they were meant to, where the clock was set meanwhile. While the machine sleeps time passes.
    fn follow_clock(&mut self) {
        let (wall_us, mono) = (self.log.hours().look(), Instant::now());
        let (last_us, last_mono, slept_s) = self.clocks;
        let passed = i64::try_from(mono.saturating_duration_since(last_mono).as_micros()).unwrap_or(0);
        self.clocks = (wall_us, mono, slept_s);
        let mut jump_s = (wall_us - last_us - passed + 500_000).div_euclid(1_000_000);
        if jump_s >= JUMP_S {
            let now_slept_s = (self.log.hours().slept_s)();
            self.clocks.2 = now_slept_s;
            // Where nobody knows, it slept.
            jump_s -= now_slept_s.zip(slept_s).map_or(jump_s, |(now_s, then_s)| now_s - then_s);
        }
        if jump_s.abs() < JUMP_S {
            return;
        }
        let (by_s, whither) = (jump_s.abs(), if jump_s < 0 { "back" } else { "ahead" });
        let text = format_args!("the clock was set {whither} by {by_s} s: bans and counts move along");
        self.log.say(Part::Server, Level::Warning, text);
        for cell in &mut self.cells {
            cell.jail.shift(jump_s);
            let all: Vec<_> = cell.jail.known().map(|known| known.id.clone()).collect();
            cell.dirty.extend(all);
        }
    }

    fn tick(&mut self) {
        let forgets = self.forgot.elapsed() >= FORGET;
        if forgets {
            self.forgot = Instant::now();
        }
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        for cell in &mut self.cells {
            cell.tick(&mut out);
            if forgets {
                cell.jail.forget_past(out.now_us.div_euclid(1_000_000));
            }
        }
        while let Some((question, addresses)) = self.names.answer() {
            let Some(cell) = self.cells.iter_mut().find(|cell| cell.name() == question.jail) else {
                continue;
            };
            cell.resolved(&question, &addresses, &mut out);
        }
    }

    /// Before the first line is read, names of those who are never banned are looked up, as far as that goes quickly.
    fn meet_friends(&mut self) {
        let end = Instant::now() + GREETING;
        loop {
            self.follow_friends();
            let left = end.saturating_duration_since(Instant::now());
            if self.friends.are_known() || left.is_zero() {
                return;
            }
            let timeout = Timespec::try_from(left).ok();
            // Interrupted, or no memory: it is looked again.
            let _ = poll(&mut [PollFd::new(&self.waker, PollFlags::IN)], timeout.as_ref());
            self.waker.heard();
        }
    }

    /// Who is behind the names of `ignoreip` now.
    fn follow_friends(&mut self) {
        let now = Instant::now();
        let names = self.cells.iter().flat_map(|cell| &cell.jail.settings().never_names);
        if let Err(error) = self.friends.want(names, now) {
            let text = format_args!("names in ignoreip can't be looked up: no thread: {error}");
            return self.log.say(Part::Server, Level::Error, text);
        }
        for news in self.friends.turn(now) {
            match news {
                News::Other(name, addresses) => {
                    let each: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                    let text = format_args!("ignoreip {name} = {}", each.join(", "));
                    self.log.say(Part::Filter, Level::Info, text);
                }
                News::Nobody(name) => {
                    let text = format_args!(
                        "K0667: ignoreip {name} has no address: whoever that is may be banned until it has"
                    );
                    self.log.say(Part::Filter, Level::Warning, text);
                }
            }
        }
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        for cell in self.cells.iter_mut().filter(|cell| !cell.jail.settings().never_names.is_empty()) {
            cell.befriend(self.friends.of(&cell.jail.settings().never_names), &mut out);
        }
    }

    /// Has commands asked, and takes in what they said.
    fn inquire(&mut self) {
        for at in 0..self.cells.len() {
            let inquiries = self.cells.get_mut(at).map(|cell| std::mem::take(&mut cell.inquiries));
            for inquiry in inquiries.into_iter().flatten() {
                if let Err(unasked) = self.inquiries.ask(inquiry) {
                    let (inquiry, why) = *unasked;
                    let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
                    if let Some(cell) = self.cells.get_mut(at) {
                        cell.judged(&inquiry, Err(why), &mut out);
                    }
                }
            }
        }
        let luck = self.luck();
        let mut out = Machine::out(&self.log, &mut self.changes, luck);
        while let Some((inquiry, said)) = self.inquiries.answer() {
            if let Some(cell) = self.cells.iter_mut().find(|cell| cell.name() == inquiry.jail) {
                cell.judged(&inquiry, said, &mut out);
            }
        }
    }

    /// Hands what has changed to whoever does it, if he has time.
    fn hand_over(&mut self) {
        self.hear_echo();
        self.change_doors();
        if !self.doing.is_free() {
            return;
        }
        let is_due = self.handed.elapsed() >= KEEP;
        if self.changes.is_empty() && !self.reload && !(is_due && self.keeps) {
            return;
        }
        let is_all = self.keeps && self.doing.bytes() > STATE_BYTES.max(4 * self.state_bytes);
        let lines = match (self.keeps, is_all) {
            (false, _) => Vec::new(),
            (true, true) => self.all(),
            (true, false) => self.changed(),
        };
        self.handed = Instant::now();
        if lines.is_empty() && self.changes.is_empty() && !self.reload {
            return;
        }
        if is_all {
            self.state_bytes = lines.iter().map(|line| line.len() as u64 + 10).sum();
        }
        let changes = std::mem::take(&mut self.changes);
        self.at_doors = 0;
        let reload = std::mem::take(&mut self.reload);
        self.doing.take(Task { lines, is_all, changes, reload });
    }

    /// What has changed holds at the doors from now on, however long others take.
    fn change_doors(&mut self) {
        let (Some(doors), Some(changes)) = (&mut self.doors, self.changes.get(self.at_doors..)) else {
            return;
        };
        if changes.is_empty() {
            return;
        }
        for (change, outcome) in changes.iter().zip(doors.apply(changes)) {
            if let Err(error) = outcome {
                say_failed(&self.log, change, &error);
            }
        }
        self.at_doors = self.changes.len();
    }

    /// What has changed since it was written last, as one line.
    fn changed(&mut self) -> Vec<Vec<u8>> {
        let mut rows = Vec::new();
        for cell in &mut self.cells {
            let ids = std::mem::take(&mut cell.dirty);
            rows.extend(ids.iter().map(|id| cell.row(id)));
            let sums = (cell.failed, cell.banned);
            if self.sums.get(cell.name()) != Some(&sums) {
                rows.push(Row::Sums(cell.name().to_owned(), sums.0, sums.1));
                self.sums.insert(cell.name().to_owned(), sums);
            }
        }
        rows.extend(self.take_left());
        for source in &self.sources {
            rows.extend(source.changed(&mut self.marks));
        }
        if rows.is_empty() { Vec::new() } else { vec![kept::encoded(&rows)] }
    }

    /// All that is to be kept.
    fn all(&mut self) -> Vec<Vec<u8>> {
        self.marks.clear();
        self.sums.clear();
        // All of it stands in what is remembered.
        self.take_left();
        let mut rows: Vec<Row> = self.past.rows();
        for cell in &mut self.cells {
            cell.dirty.clear();
            rows.push(Row::Sums(cell.name().to_owned(), cell.failed, cell.banned));
            self.sums.insert(cell.name().to_owned(), (cell.failed, cell.banned));
            let cell = &*cell;
            rows.extend(cell.jail.known().map(|known| cell.row(known.id)));
        }
        for source in &self.sources {
            rows.extend(source.changed(&mut self.marks));
        }
        rows.chunks(ROWS_MAX).map(kept::encoded).collect()
    }

    /// The end: what is held stays on the disk, and leaves the packet filters.
    fn end(mut self) {
        self.log.say(Part::Server, Level::Info, format_args!("Shutdown in progress..."));
        self.log.say(Part::Server, Level::Info, format_args!("Stopping all jails"));
        self.hear_echo();
        if self.keeps {
            let lines = self.changed();
            self.doing.take(Task { lines, ..Task::default() });
        }
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        self.cells.iter().for_each(|cell| cell.end(&mut out));
        self.change_doors();
        let changes = std::mem::take(&mut self.changes);
        self.doing.take(Task { changes, ..Task::default() });
        // Waits until it is done.
        drop(self.doing);
        self.log.say(Part::Server, Level::Info, format_args!("Exiting Komainu"));
        self.log.flush();
        for waiting in self.ending.into_iter().flatten() {
            let _ = waiting.send(Answer::Done);
        }
    }
}

#[cfg(test)]
mod tests;
