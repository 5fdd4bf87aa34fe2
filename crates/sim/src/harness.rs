//! Many dialogues at once: workers, each a copy of this program in a world of its own, fed by pipes.
//!
//! Protocol: the worker reads one path a line, and answers `pass|skip|update|fail PATH TIME`, lines of detail
//! that begin with two spaces, and `.`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::backend::Choice;
use crate::run::{Outcome, Stage};
use crate::{dns, world};

/// The argument that makes this program a worker.
pub const WORKER: &str = "--worker";

/// What became of all dialogues.
#[derive(Debug, Default)]
pub struct Tally {
    /// As written.
    pub passed: usize,
    /// Written anew.
    pub updated: usize,
    /// With the reason.
    pub skipped: Vec<String>,
    /// With the differences.
    pub failed: Vec<String>,
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_path_buf()
}

/// All dialogue files under `folder`, sorted.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "smtp") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A worker's life: call it when the first argument is [`WORKER`].
pub fn work(arguments: &[String]) -> std::io::Result<()> {
    let choice = arguments.first().and_then(|name| Choice::parse(name));
    let choice = choice.ok_or_else(|| std::io::Error::other("no such back end"))?;
    let update = arguments.iter().any(|word| word == "update");
    let dns = dns::Server::start(std::net::SocketAddr::from(([127, 0, 0, 1], 53)))?;
    let root = root();
    let stage = Stage { dns: Some(dns), choice, update, root: &root };
    let mut out = std::io::stdout();
    for path in std::io::stdin().lines() {
        let path = path?;
        let text = report(&stage, Path::new(&path)) + "\n.\n";
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// Plays one dialogue and says how it went: `pass|skip|update|fail PATH TIME` and lines of detail.
fn report(stage: &Stage<'_>, path: &Path) -> String {
    let started = std::time::Instant::now();
    let (word, details) = match stage.run(path) {
        Outcome::Passed => ("pass", Vec::new()),
        Outcome::Updated => ("update", Vec::new()),
        Outcome::Skipped(why) => ("skip", vec![why]),
        Outcome::Failed(faults) => ("fail", faults),
    };
    let mut text = format!("{word} {} {} ms", path.display(), started.elapsed().as_millis());
    for line in details.iter().flat_map(|detail| detail.lines()) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

impl Tally {
    fn count(&mut self, report: String) {
        match report.split(' ').next() {
            Some("pass") => self.passed += 1,
            Some("update") => self.updated += 1,
            Some("skip") => self.skipped.push(report),
            _ => self.failed.push(report),
        }
    }

    /// The reasons for which dialogues were passed over, with their numbers.
    #[must_use]
    pub fn reasons(&self) -> Vec<(String, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for skipped in &self.skipped {
            let reason = skipped.lines().nth(1).unwrap_or("").trim();
            *counts.entry(reason.to_owned()).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }
}

/// Plays `files` in this process, on `jobs` threads.
fn run_here(files: &[PathBuf], update: bool, jobs: usize, told: fn(&str)) -> Tally {
    let left = Mutex::new(files.iter());
    let tally = Mutex::new(Tally::default());
    let root = root();
    let stage = Stage { dns: None, choice: Choice::InProcess, update, root: &root };
    let play = || {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(path) = next else { break };
            let report = report(&stage, path);
            told(&report);
            tally.lock().unwrap_or_else(PoisonError::into_inner).count(report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(files.len()) {
            scope.spawn(play);
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `files` against `choice` with `jobs` workers; `told` hears of each as it ends.
pub fn run(files: &[PathBuf], choice: Choice, update: bool, told: fn(&str)) -> std::io::Result<Tally> {
    let jobs = std::env::var("DIALOGUE_JOBS").ok().and_then(|text| text.parse().ok());
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get() * 2));
    if choice == Choice::InProcess {
        return Ok(run_here(files, update, jobs, told));
    }
    let program = std::env::current_exe()?;
    let left = Mutex::new(files.iter());
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(files.len()))
            .map(|_| scope.spawn(|| feed(&program, (choice, update), &left, (&tally, told))))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(broken())))
    })?;
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn broken() -> std::io::Error {
    std::io::Error::other("a worker ended early")
}

fn feed(
    program: &Path,
    (choice, update): (Choice, bool),
    left: &Mutex<std::slice::Iter<'_, PathBuf>>,
    (tally, told): (&Mutex<Tally>, fn(&str)),
) -> std::io::Result<()> {
    let mut arguments = vec![WORKER, choice.name()];
    if update {
        arguments.push("update");
    }
    let mut child = world::start(program, &arguments)?;
    let mut input = child.stdin.take().ok_or_else(broken)?;
    let mut output = BufReader::new(child.stdout.take().ok_or_else(broken)?).lines();
    loop {
        let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(path) = next else { break };
        writeln!(input, "{}", path.display())?;
        let head = output.next().ok_or_else(broken)??;
        let mut report = head;
        loop {
            let line = output.next().ok_or_else(broken)??;
            if line == "." {
                break;
            }
            report.push('\n');
            report.push_str(&line);
        }
        told(&report);
        tally.lock().unwrap_or_else(PoisonError::into_inner).count(report);
    }
    drop(input);
    child.wait().map(drop)
}
