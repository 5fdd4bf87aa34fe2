//! Where lines come from: logs by their patterns, the journal, the server itself; and which jails hear them.

use super::{Machine, PIECES_MAX};
use crate::bans::cell::{Cell, Out, Seen};
use crate::bans::files::expand;
use crate::bans::hands::Task;
use crate::bans::journal::Journal;
use crate::bans::kept::{self, Past, Row};
use crate::bans::names::{Names, Question};
use crate::bans::own::{Call, OwnLog, Told, Tried, names};
use crate::bans::piped::Piped;
use crate::bans::says::Part;
use crate::bans::settings::Level;
use crate::bans::tail::{Begin, Elsewhere, Mark, Tail};
use ban::filter::{Filter, Gate, Outcome, Reader};
use ban::zone::Zone;
use rustix::fd::BorrowedFd;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The server's own lines that are taken at once.
const OWN_MAX: usize = 20_000;

/// The `logpath` of a jail that reads standard input.
const INPUT: &str = "-";
/// How often what jails say of lines that were said is given to jails at once.
const ECHOES_MAX: usize = 8;
/// How long the state may take to be written before the first line is said that isn't read.
const ANNOUNCED: Duration = Duration::from_secs(5);

/// A source of lines.
pub(super) struct Source {
    /// A path, `journal`, `komainu`.
    pub(super) name: String,
    input: Input,
    hearers: Vec<(usize, Option<Reader>)>,
    /// Before them all.
    gate: Gate,
    /// It is the engine's own log: what this process, or one before it, said there has been heard.
    is_echoed: bool,
}

enum Input {
    File(Tail),
    Journal(Journal),
    Piped(Piped),
    Own,
}

/// What a line meets.
struct Hall<'a, 'o> {
    cells: &'a mut [Cell],
    names: &'a Names,
    own: Option<&'a OwnLog>,
    /// Who has heard lines of the log that is read, where it is the engine's own.
    echoed: Option<&'a Past>,
    luck: f64,
    out: &'a mut Out<'o>,
}

impl Source {
    fn new(name: String, input: Input, hearers: Vec<(usize, Option<Reader>)>) -> Source {
        Source { name, input, hearers, gate: Gate::default(), is_echoed: false }
    }

    /// What poll(2) waits for.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        match &self.input {
            Input::Journal(journal) => journal.pipe(),
            Input::Piped(piped) => piped.pipe(),
            Input::File(_) | Input::Own => None,
        }
    }

    /// Whether it may still have something to say.
    pub(super) fn is_open(&self) -> bool {
        !matches!(&self.input, Input::Piped(piped) if piped.has_ended())
    }

    pub(super) fn is_heard_by(&self, cell: usize) -> bool {
        self.hearers.iter().any(|(number, _)| *number == cell)
    }

    /// The files that it reads.
    fn files(&self) -> Vec<(u64, u64)> {
        match &self.input {
            Input::File(tail) => tail.files().collect(),
            Input::Journal(_) | Input::Piped(_) | Input::Own => Vec::new(),
        }
    }

    /// A jail has another filter now.
    pub(super) fn forget(&mut self, cell: usize) {
        self.hearers.iter_mut().filter(|(number, _)| *number == cell).for_each(|(_, reader)| *reader = None);
    }

    /// A jail has gone, and those behind it move up.
    pub(super) fn removed(&mut self, cell: usize) {
        self.hearers.retain(|(number, _)| *number != cell);
        self.hearers.iter_mut().filter(|(number, _)| *number > cell).for_each(|(number, _)| *number -= 1);
    }

    /// How far it has been read, where that has changed.
    pub(super) fn changed(&self, known: &mut HashMap<String, Mark>) -> Option<Row> {
        match &self.input {
            Input::File(tail) => {
                let mark = tail.mark()?;
                let is_new = known.get(&self.name) != Some(&mark);
                is_new.then(|| {
                    known.insert(self.name.clone(), mark);
                    Row::Log(self.name.clone(), mark)
                })
            }
            Input::Journal(journal) => {
                journal.changed().map(|cursor| Row::Journal(journal.jail.clone(), cursor))
            }
            Input::Piped(_) | Input::Own => None,
        }
    }
}

impl Machine {
    /// Finds the logs that jails name now, and those that have gone from their patterns.
    pub(super) fn find_sources(&mut self) {
        // What was let go is known before somebody asks for it.
        self.left = self.take_left();
        let mut wanted: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
        for (at, cell) in self.cells.iter().enumerate() {
            for (pattern, mode) in ban::dump::log_paths(&cell.config).filter(|(path, _)| *path != INPUT) {
                for path in expand(pattern) {
                    let path = path.display().to_string();
                    // Two patterns of a jail may name one log.
                    let hearers = wanted.entry(path).or_default();
                    if hearers.iter().all(|(cell, _)| *cell != at) {
                        hearers.push((at, mode == "tail"));
                    }
                }
            }
        }
        for (path, hearers) in wanted {
            self.open(path, &hearers);
        }
        self.find_others();
    }

    /// What jails know of files: those that each of them hears under another name, and how far others were read.
    fn elsewhere(&self, hearers: &[usize], but: Option<usize>) -> Elsewhere {
        let others = self.sources.iter().enumerate().filter(|(number, _)| Some(*number) != but);
        let is_heard = |source: &Source| hearers.iter().all(|cell| source.is_heard_by(*cell));
        let held =
            others.filter(|(_, source)| is_heard(source)).flat_map(|(_, source)| source.files()).collect();
        let names_it = |cell: &Cell, path: &Path| {
            ban::dump::log_paths(&cell.config).any(|(pattern, _)| names(pattern, path))
        };
        let cells: Vec<&Cell> = hearers.iter().filter_map(|cell| self.cells.get(*cell)).collect();
        let left = self.past.places(|path| cells.iter().all(|cell| names_it(cell, Path::new(path))));
        Elsewhere { held, left }
    }

    /// Those of a log's jails that don't hear its file under another name.
    fn unheard(&self, path: &str, hearers: &[(usize, bool)]) -> Vec<(usize, bool)> {
        let Ok(metadata) = std::fs::metadata(path) else { return hearers.to_vec() };
        let id = (metadata.dev(), metadata.ino());
        let others = self.sources.iter().filter(|source| source.name != path);
        let holders: Vec<&Source> = others.filter(|source| source.files().contains(&id)).collect();
        let is_heard = |cell: usize| holders.iter().any(|source| source.is_heard_by(cell));
        hearers.iter().filter(|(cell, _)| !is_heard(*cell)).copied().collect()
    }

    /// Takes down how far files were read that have other names by now; what of that is news is to be kept.
    pub(super) fn take_left(&mut self) -> Vec<Row> {
        let mut rows = std::mem::take(&mut self.left);
        for source in &mut self.sources {
            let Input::File(tail) = &mut source.input else { continue };
            for mark in tail.left() {
                self.past.leave(source.name.clone(), mark);
                rows.push(Row::Left(source.name.clone(), mark));
            }
        }
        rows
    }

    /// Opens a log, or has those hear it who don't yet.
    fn open(&mut self, path: String, hearers: &[(usize, bool)]) {
        let known = self.sources.iter().position(|source| source.name == path);
        let hears = |cell: usize| {
            known.and_then(|at| self.sources.get(at)).is_some_and(|source| source.is_heard_by(cell))
        };
        let new: Vec<(usize, bool)> = hearers.iter().filter(|(cell, _)| !hears(*cell)).copied().collect();
        if new.is_empty() {
            return;
        }
        let hearers = &*self.unheard(&path, &new);
        if let Some(source) = known.and_then(|at| self.sources.get_mut(at)) {
            source.hearers.extend(hearers.iter().map(|(cell, _)| (*cell, None)));
            return;
        }
        let heard: Vec<&Cell> = hearers.iter().filter_map(|(cell, _)| self.cells.get(*cell)).collect();
        let find_s = heard.iter().map(|cell| cell.jail.settings().find_s).max().unwrap_or(0);
        let Some(cell) = heard.first() else { return };
        let now_us = self.log.now_us();
        let (filter, mut zone): (Arc<Filter>, Zone) = (Arc::clone(&cell.filter), cell.zone(&self.log));
        let mut dated = |line: &[u8]| {
            let found = filter.dates.find(line, &mut zone, now_us)?;
            found.time_us.map(|time_us| time_us.div_euclid(1_000_000))
        };
        let cells: Vec<usize> = hearers.iter().map(|(cell, _)| *cell).collect();
        let begin = Begin {
            mark: self.past.logs.get(&path).copied(),
            since_s: now_us.div_euclid(1_000_000).saturating_sub(find_s),
            at_end: hearers.iter().all(|(_, is_tail)| *is_tail),
            elsewhere: &self.elsewhere(&cells, None),
            dated: &mut dated,
        };
        match Tail::open(Path::new(&path), &*self.opener, begin) {
            Ok(None) => {}
            Ok(Some(tail)) => {
                let text = format_args!("Added logfile: '{path}' (pos = {})", tail.position());
                self.log.say(Part::Filter, Level::Info, text);
                self.shut_logs.remove(&path);
                if let Some(watch) = &mut self.watch {
                    watch.add(Path::new(&path), self.sources.len());
                }
                let hearers = hearers.iter().map(|(cell, _)| (*cell, None)).collect();
                let own = self.log.own().filter(|(log, _)| *log == Path::new(&path)).map(|(_, pid)| pid);
                let is_echoed = own.is_some();
                self.sources.push(Source { is_echoed, ..Source::new(path, Input::File(tail), hearers) });
                if let Some(pid) = own {
                    self.hear_itself(pid);
                }
            }
            Err(error) => {
                if !self.shut_logs.contains(&path) {
                    let text = format_args!("the log {path} can't be read: {error}");
                    self.log.say(Part::Filter, Level::Error, text);
                    self.shut_logs.insert(path);
                }
            }
        }
    }

    /// From now on jails that read the engine's own log hear what it says as it is said: their counts are kept together
    /// with the bans that they count, and a kill between the two can neither double nor lose one. What this process says
    /// is passed over in the file; that it is so is kept before the first such line is written.
    fn hear_itself(&mut self, pid: u32) {
        let since = self.log.listen();
        self.past.run(pid, since.clone());
        if self.keeps {
            let lines = vec![kept::encoded(&[Row::Run(pid, since)])];
            self.doing.take(Task { lines, ..Task::default() });
            self.doing.rest(ANNOUNCED);
        }
    }

    /// Gives what was said to the jails that read it.
    pub(super) fn hear_echo(&mut self) {
        for _ in 0..ECHOES_MAX {
            let lines = self.log.heard();
            let Some(number) = self.sources.iter().position(|source| source.is_echoed) else { return };
            if lines.is_empty() {
                return;
            }
            let luck = self.luck();
            self.with(number, |source, hall, _, _| {
                (hall.luck, hall.echoed) = (luck, None);
                let Source { name, hearers, gate, .. } = source;
                for line in &lines {
                    hear(hall, (hearers, gate), (name, line.as_bytes(), true), None);
                }
            });
        }
    }

    /// Standard input, for those jails that name it.
    fn find_piped(&mut self) {
        let Some((pipe, named)) = &mut self.input else { return };
        let cells = self.cells.iter().enumerate().filter(|(_, cell)| reads_input(cell, named));
        let reading: Vec<usize> = cells.map(|(at, _)| at).collect();
        if !reading.is_empty()
            && let Some(pipe) = pipe.take()
        {
            let (name, input) = ("standard input".to_owned(), Input::Piped(Piped::new(pipe)));
            self.sources.push(Source::new(name, input, Vec::new()));
        }
        for source in self.sources.iter_mut().filter(|source| matches!(source.input, Input::Piped(_))) {
            source.hearers.retain(|(cell, _)| reading.contains(cell));
            for cell in &reading {
                if !source.is_heard_by(*cell) {
                    source.hearers.push((*cell, None));
                }
            }
        }
    }

    /// Where standard input has ended, says so; where no jail reads anything else, there is nothing left to do.
    pub(super) fn end_with_input(&mut self) {
        if self.has_input_ended || self.sources.iter().all(Source::is_open) || !self.inquiries.are_done() {
            return;
        }
        self.has_input_ended = true;
        let is_read = |source: &Source| source.is_open() && !source.hearers.is_empty();
        if self.sources.iter().any(is_read) {
            self.say_blind();
            return;
        }
        let text = "standard input has ended, and no jail reads anything else";
        self.log.say(Part::Server, Level::Error, format_args!("{text}"));
        // It is set here alone.
        let _ = self.outcome.set(text.to_owned());
        self.ending.get_or_insert_default();
    }

    /// The journal, for each jail that reads it, and the server's own lines.
    fn find_others(&mut self) {
        self.find_piped();
        for at in 0..self.cells.len() {
            let Some(cell) = self.cells.get(at) else { continue };
            let is_there = |source: &Source| matches!(&source.input, Input::Journal(journal) if journal.jail == cell.name());
            if !cell.config.reads_journal() || self.sources.iter().any(is_there) {
                continue;
            }
            let name = cell.name().to_owned();
            let matches = cell.config.filter.get("journalmatch").map_or("", String::as_str);
            let since_s = self.log.now_us().div_euclid(1_000_000).saturating_sub(cell.jail.settings().find_s);
            let cursor = self.past.journals.get(&name).cloned();
            match Journal::start(&name, matches, cursor, since_s) {
                Ok(journal) => {
                    let input = Input::Journal(journal);
                    let hearers = vec![(at, None)];
                    self.sources.push(Source::new("journal".into(), input, hearers));
                }
                Err(error) => {
                    if !self.shut_logs.contains(&name) {
                        let text = format_args!("[{name}] journalctl can't be started: {error}");
                        self.log.say(Part::Filter, Level::Error, text);
                        self.shut_logs.insert(name);
                    }
                }
            }
        }
        let Some((own, _)) = &self.own else { return };
        let feeds = |cell: &Cell| {
            let patterns = ban::dump::log_paths(&cell.config).map(|(pattern, _)| pattern);
            let matches = cell.config.filter.get("journalmatch").filter(|_| cell.config.reads_journal());
            own.feeds(patterns, matches.map(String::as_str))
        };
        let fed: Vec<usize> =
            self.cells.iter().enumerate().filter(|(_, cell)| feeds(cell)).map(|(at, _)| at).collect();
        if !self.sources.iter().any(|source| matches!(source.input, Input::Own)) {
            let name = "komainu".to_owned();
            self.sources.push(Source::new(name, Input::Own, Vec::new()));
        }
        for source in self.sources.iter_mut().filter(|source| matches!(source.input, Input::Own)) {
            source.hearers.retain(|(cell, _)| fed.contains(cell));
            for cell in &fed {
                if !source.is_heard_by(*cell) {
                    source.hearers.push((*cell, None));
                }
            }
        }
    }

    /// Which sources have something.
    pub(super) fn listen(&mut self, more: &mut HashSet<usize>) {
        if let Some(watch) = &mut self.watch {
            watch.heard(more);
            more.extend(watch.polled.iter().copied());
        } else {
            more.extend(0..self.sources.len());
        }
        let others =
            self.sources.iter().enumerate().filter(|(_, source)| !matches!(source.input, Input::File(_)));
        more.extend(others.map(|(number, _)| number));
    }

    /// Looks for logs that have come, gone, or are another file by now.
    pub(super) fn look(&mut self, more: &mut HashSet<usize>) {
        let before = self.sources.len();
        self.find_sources();
        more.extend(before..self.sources.len());
        let now = Instant::now();
        for number in 0..self.sources.len() {
            if self.turn(number, now) {
                self.watch_again(number);
            }
            // A look at each: events may be lost.
            more.insert(number);
        }
        self.say_blind();
    }

    /// Takes up the file that a log's name leads to by now; whether it is another.
    fn turn(&mut self, number: usize, now: Instant) -> bool {
        let has_turned = self.with(number, |source, hall, _, _| {
            let Source { name, input, hearers, gate, .. } = source;
            let Input::File(tail) = input else { return false };
            let is_live = tail.is_caught_up;
            tail.has_turned(now, &mut |line| hear(hall, (hearers, gate), (name, line, is_live), None))
        });
        self.left = self.take_left();
        if has_turned != Some(true) {
            return false;
        }
        let Some(source) = self.sources.get(number) else { return false };
        let hearers: Vec<usize> = source.hearers.iter().map(|(cell, _)| *cell).collect();
        let elsewhere = self.elsewhere(&hearers, Some(number));
        let is_other = self.with(number, |source, hall, _, opener| {
            let Source { name, input, hearers, gate, .. } = source;
            let Input::File(tail) = input else { return false };
            let is_live = tail.is_caught_up;
            let mut sink = |line: &[u8]| hear(hall, (&mut *hearers, &mut *gate), (name, line, is_live), None);
            tail.turn(opener, now, &elsewhere, &mut sink)
        });
        is_other == Some(true)
    }

    fn watch_again(&mut self, number: usize) {
        let Some(Source { name, .. }) = self.sources.get(number) else { return };
        if let Some(watch) = &mut self.watch {
            watch.add(Path::new(name), number);
        }
    }

    /// Reads on in a source; whether there may be more.
    pub(super) fn read(&mut self, number: usize) -> bool {
        let luck = self.luck();
        for _ in 0..PIECES_MAX {
            self.follow_clock();
            let more = self.with(number, |source, hall, piece, _| {
                hall.luck = luck;
                let Source { name, input, hearers, gate, .. } = source;
                match input {
                    Input::File(tail) => {
                        let is_live = tail.is_caught_up;
                        // A log that can't be read now may be another time.
                        tail.read(piece, &mut |line| hear(hall, (hearers, gate), (name, line, is_live), None))
                            .unwrap_or(false)
                    }
                    Input::Journal(journal) => {
                        let is_live = journal.is_caught_up;
                        journal
                            .read(piece, &mut |line| hear(hall, (hearers, gate), (name, line, is_live), None))
                    }
                    // Whether it was written just now nobody knows: stamps count as they stand.
                    Input::Piped(piped) => {
                        piped.read(piece, &mut |line| hear(hall, (hearers, gate), (name, line, false), None))
                    }
                    Input::Own => false,
                }
            });
            if more != Some(true) {
                break;
            }
            if !self.changes.is_empty() {
                self.hand_over();
            }
            // Whoever is connected isn't kept waiting by a long log.
            if let Some(own) = self.sources.iter().position(|source| matches!(source.input, Input::Own)) {
                self.read_own(own);
            }
        }
        if matches!(self.sources.get(number), Some(Source { input: Input::Own, .. })) {
            return self.read_own(number);
        }
        self.with(number, |source, _, _, _| match &mut source.input {
            Input::File(tail) => !tail.is_at_end(),
            Input::Journal(_) | Input::Piped(_) | Input::Own => false,
        })
        .unwrap_or(false)
    }

    fn read_own(&mut self, number: usize) -> bool {
        let told: Vec<Told> = match &self.own {
            Some((_, told)) => told.try_iter().take(OWN_MAX).collect(),
            None => return false,
        };
        let is_all = told.len() < OWN_MAX;
        let mut told = told.into_iter();
        while let Some(call) = self.hear_own(number, &mut told) {
            self.hear_echo();
            self.change_doors();
            call();
        }
        !is_all
    }

    /// Gives the server's own lines to the jails, as far as the next call among them.
    fn hear_own(&mut self, number: usize, told: &mut impl Iterator<Item = Told>) -> Option<Call> {
        let call = self.with(number, |source, hall, _, _| {
            // They are only here once.
            hall.own = None;
            for told in told {
                let line = match told {
                    Told::Line(line) => line,
                    Told::Call(call) => return Some(call),
                };
                let dated = line.dated();
                let heard = (&*source.name, dated.as_bytes(), true);
                hear(hall, (&mut source.hearers, &mut source.gate), heard, line.tried.as_deref());
            }
            None
        });
        call.flatten()
    }

    /// Has a source and what its lines meet at hand together.
    fn with<T>(
        &mut self,
        number: usize,
        what: impl FnOnce(&mut Source, &mut Hall<'_, '_>, &mut [u8], &dyn crate::bans::Opener) -> T,
    ) -> Option<T> {
        let source = self.sources.get_mut(number)?;
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        let own = self.own.as_ref().map(|(own, _)| own);
        let cells = &self.cells;
        source.gate.keep(source.hearers.iter().filter_map(|(cell, _)| Some(&cells.get(*cell)?.filter)));
        let (names, echoed) = (&self.names, source.is_echoed.then_some(&self.past));
        let mut hall = Hall { cells: &mut self.cells, names, own, echoed, luck: 0.0, out: &mut out };
        Some(what(source, &mut hall, &mut self.piece, &*self.opener))
    }
}

/// Who hears a source, and what stands before them.
type Ears<'e> = (&'e mut Vec<(usize, Option<Reader>)>, &'e mut Gate);

/// Gives a line to the jails that hear its source.
fn hear(
    hall: &mut Hall<'_, '_>,
    (hearers, gate): Ears<'_>,
    (source, line, is_live): (&str, &[u8], bool),
    tried: Option<&Tried>,
) {
    // Lines of the server's own have been heard without a log between.
    if hall.own.is_some_and(|own| own.is_ours(line)) || hall.echoed.is_some_and(|past| past.has_heard(line)) {
        return;
    }
    let is_let = gate.lets(line);
    for (number, reader) in hearers.iter_mut() {
        let Some(cell) = hall.cells.get_mut(*number) else { continue };
        let reader =
            reader.get_or_insert_with(|| Reader::new(Arc::clone(&cell.filter), cell.zone(hall.out.log)));
        if !is_let && !reader.needs_all() {
            continue;
        }
        let outcome = reader.line_behind(gate.before(), line, hall.out.now_us);
        let Outcome::Failed(failure) = outcome else { continue };
        let is_overall =
            cell.jail.settings().increment.as_ref().is_some_and(|increment| increment.is_overall);
        let elsewhere = if is_overall { elsewhere(hall.cells, *number, &failure.id) } else { 0 };
        let Some(cell) = hall.cells.get_mut(*number) else { continue };
        hall.out.luck = hall.luck;
        let seen = Seen { source, line, is_live, elsewhere };
        let mut failed = *failure;
        if let Some(tried) = tried {
            tried.add_to(&mut failed);
        }
        if let Some(name) = cell.failure(failed.clone(), &seen, hall.out) {
            hall.names.ask(Question {
                jail: cell.name().to_owned(),
                name,
                failure: failed,
                source: source.to_owned(),
                line: line.to_vec(),
                is_live,
            });
        }
    }
    gate.pass(line);
}

/// Whether a jail reads standard input: the command line says so, or its `logpath`.
pub(super) fn reads_input(cell: &Cell, named: &[String]) -> bool {
    named.iter().any(|name| name == cell.name())
        || ban::dump::log_paths(&cell.config).any(|(path, _)| path == INPUT)
}

/// How often other jails banned the same.
fn elsewhere(cells: &[Cell], here: usize, id: &ban::filter::Id) -> u32 {
    let others = cells.iter().enumerate().filter(|(at, _)| *at != here);
    others.filter_map(|(_, cell)| cell.jail.knows(id)).map(|known| known.bans).fold(0, u32::saturating_add)
}
