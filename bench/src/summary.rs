//! `bench report`: a made-up log read by Komainu's pflogsumm and by Debian's, in turns: the whole of it, on one core
//! and on all, and one day of it.
//!
//! Both read the same file from the page cache and write their report to a file, and the two reports are of the same
//! length. What is quick is done as often as makes up for a clock of 10 ms.

use crate::figures::spread;
use report::Day;
use report::sample::Sample;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: bench report [ROUNDS [LINES]]   pflogsumm's report beside Debian's (default: 3 rounds, 1000000 lines over 40 days)\n";
const DAYS: u64 = 40;
/// A turn takes at least as long.
const TURN_S: f64 = 1.0;
const TIMES_MAX: u32 = 200;
/// What the kernel counts processor time in.
const TICKS_PER_S: f64 = 100.0;

/// Who reads.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    OneCore,
    AllCores,
    Debian,
}

const READERS: [(Reader, &str); 3] =
    [(Reader::OneCore, "komainu, one core"), (Reader::AllCores, "komainu"), (Reader::Debian, "pflogsumm")];
const ROWS: [(&str, &[&str]); 3] = [
    ("the whole log", &[]),
    ("the whole log, with all that can be counted", &["-e", "--smtpd-stats", "--verbose-msg-detail"]),
    ("yesterday", &["-d", "yesterday"]),
];

/// What one reader took: MB a second by the clock, and of processor time.
#[derive(Default)]
struct Taken {
    rate: Vec<f64>,
    rate_of_cpu: Vec<f64>,
}

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let number = |word: Option<&String>, otherwise: u64| match word {
        None => Ok(otherwise),
        Some(word) => word.parse().ok().filter(|number| *number > 0).ok_or(USAGE),
    };
    let (rounds, lines) = (number(words.first(), 3)?, number(words.get(1), 1_000_000)?);
    let folder = std::env::temp_dir().join(format!("bench-report-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let outcome = measure(&folder, rounds, lines);
    // What can't be removed is a folder in /tmp.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn measure(folder: &Path, rounds: u64, lines: u64) -> Result<(), String> {
    let log = folder.join("mail.log");
    link(folder).map_err(|e| format!("{OLD_NAME}: {e}"))?;
    let bytes = write(&log, lines).map_err(|e| format!("{}: {e}", log.display()))?;
    println!("{lines} lines, {:.0} MB, {rounds} rounds in turns: least / median / most", mega(bytes));
    println!("| row | reader | MB/s | MB per second of CPU | × pflogsumm |\n| --- | --- | --- | --- | --- |");
    for (row, arguments) in ROWS {
        let mut taken = [Taken::default(), Taken::default(), Taken::default()];
        for round in 1..=rounds {
            let mut lengths = Vec::new();
            for ((reader, name), taken) in READERS.iter().zip(&mut taken) {
                let (clock, cpu, length) = turn(*reader, folder, &log, arguments)?;
                eprintln!("{row}, round {round}/{rounds}: {name}: {clock:.4} s, {cpu:.4} s of CPU");
                taken.rate.push(mega(bytes) / clock);
                taken.rate_of_cpu.push(mega(bytes) / cpu.max(1e-4));
                lengths.push(length);
            }
            if lengths.iter().any(|length| Some(length) != lengths.first()) {
                return Err(format!("{row}: the reports are of {lengths:?} bytes"));
            }
        }
        print(row, taken);
    }
    Ok(())
}

fn print(row: &str, taken: [Taken; 3]) {
    let spreads = taken.map(|taken| (spread(taken.rate), spread(taken.rate_of_cpu)));
    let [.., (Some(theirs), Some(theirs_of_cpu))] = spreads else { return };
    for ((_, name), (rate, of_cpu)) in READERS.iter().zip(spreads) {
        let (Some(rate), Some(of_cpu)) = (rate, of_cpu) else { continue };
        println!(
            "| {row} | {name} | {:.0} / **{:.0}** / {:.0} | {:.0} / **{:.0}** / {:.0} | {:.0}×, by CPU {:.0}× |",
            rate.min,
            rate.median,
            rate.max,
            of_cpu.min,
            of_cpu.median,
            of_cpu.max,
            rate.median / theirs.median,
            of_cpu.median / theirs_of_cpu.median
        );
    }
}

/// Seconds by the clock and of processor time for one report, and how long it is.
fn turn(reader: Reader, folder: &Path, log: &Path, arguments: &[&str]) -> Result<(f64, f64, u64), String> {
    let out = folder.join("report");
    let (began, cpu) = (Instant::now(), children_s()?);
    let mut times = 0;
    while times < TIMES_MAX && (times == 0 || began.elapsed().as_secs_f64() < TURN_S) {
        let file = File::create(&out).map_err(|e| e.to_string())?;
        let status = program(reader, folder)
            .args(arguments)
            .arg(log)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .status()
            .map_err(|e| format!("pflogsumm: {e}"))?;
        if !status.success() {
            return Err(format!("pflogsumm: {status}"));
        }
        times += 1;
    }
    let each = |seconds: f64| seconds / f64::from(times);
    let length = fs::metadata(&out).map_err(|e| e.to_string())?.len();
    Ok((each(began.elapsed().as_secs_f64()), each(children_s()? - cpu), length))
}

fn program(reader: Reader, folder: &Path) -> Command {
    match reader {
        Reader::Debian => Command::new("/usr/sbin/pflogsumm"),
        Reader::AllCores => Command::new(folder.join(OLD_NAME)),
        Reader::OneCore => {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(folder.join(OLD_NAME));
            command
        }
    }
}

/// By what it is called, Komainu knows what it is to do.
const OLD_NAME: &str = "pflogsumm";

fn link(folder: &Path) -> std::io::Result<()> {
    let own = match std::env::var_os("KOMAINU_BIN") {
        Some(path) => fs::canonicalize(PathBuf::from(path))?,
        None => std::env::current_exe()?.with_file_name("komainu"),
    };
    std::os::unix::fs::symlink(own, folder.join(OLD_NAME))
}

/// Processor time of the children that have ended: the 16th and 17th of proc(5)'s fields.
fn children_s() -> Result<f64, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|e| e.to_string())?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields.split_whitespace().skip(13).take(2).filter_map(|f| f.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_S)
}

#[expect(clippy::cast_precision_loss, reason = "a size of a file, to be divided by seconds")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Writes a log whose last day is today.
fn write(path: &Path, lines: u64) -> std::io::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let today = i64::try_from(now / 86_400).unwrap_or(0);
    let first = Day::numbered(today + 1 - i64::try_from(DAYS).unwrap_or(0));
    let mut sample = Sample::new(1, first, 1).over(DAYS, lines);
    let mut file = File::create(path)?;
    let mut text = String::new();
    while sample.truth().lines < lines && sample.day().number() <= today {
        text.clear();
        while text.len() < 1 << 20 && sample.truth().lines < lines {
            sample.event(&mut text);
        }
        file.write_all(text.as_bytes())?;
    }
    file.metadata().map(|about| about.len())
}
