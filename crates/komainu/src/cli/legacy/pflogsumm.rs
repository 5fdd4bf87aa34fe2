//! `pflogsumm`, as Debian's 1.1.5: options, report and exit codes.
//!
//! Options are read as Perl's Getopt::Long reads them: one dash or two, any letters' case, shortened as far as
//! they stay one option's, values behind `=` or as the next word, files among them. Beyond it, files may be
//! packed. T2.22.

use crate::cli::logs::{self, Fold, Problem};
use crate::cli::say::Out;
use report::Day;
use report::pflogsumm::{Limit, Options, Part, Summary, Verp};
use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: pflogsumm -[eq] [-d <today|yesterday>] [--detail <cnt>]
\t[--bounce-detail <cnt>] [--deferral-detail <cnt>]
\t[-h <cnt>] [-i|--ignore-case] [--iso-date-time] [--mailq]
\t[-m|--uucp-mung] [--no-no-msg-size] [--problems-first]
\t[--rej-add-from] [--reject-detail <cnt>] [--smtp-detail <cnt>]
\t[--smtpd-stats] [--smtpd-warning-detail <cnt>]
\t[--syslog-name=string] [-u <cnt>] [--verbose-msg-detail]
\t[--verp-mung[=<n>]] [--zero-fill] [file1 [filen]]

       pflogsumm --[version|help]
";
/// So much of the report is written at once.
const OUT_BYTES: usize = 64 * 1024;
/// What Perl ends with where it dies.
const DIED: u8 = 255;

/// What stands behind an option.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    Number,
    /// A number may follow.
    Perhaps,
    Text,
}

const KNOWN: [(&str, Takes); 31] = [
    ("bounce-detail", Takes::Number),
    ("d", Takes::Text),
    ("deferral-detail", Takes::Number),
    ("detail", Takes::Number),
    ("e", Takes::Nothing),
    ("h", Takes::Number),
    ("help", Takes::Nothing),
    ("i", Takes::Nothing),
    ("ignore-case", Takes::Nothing),
    ("iso-date-time", Takes::Nothing),
    ("m", Takes::Nothing),
    ("mailq", Takes::Nothing),
    ("no-bounce-detail", Takes::Nothing),
    ("no-deferral-detail", Takes::Nothing),
    ("no-no-msg-size", Takes::Nothing),
    ("no-reject-detail", Takes::Nothing),
    ("no-smtpd-warnings", Takes::Nothing),
    ("problems-first", Takes::Nothing),
    ("q", Takes::Nothing),
    ("rej-add-from", Takes::Nothing),
    ("reject-detail", Takes::Number),
    ("smtp-detail", Takes::Number),
    ("smtpd-stats", Takes::Nothing),
    ("smtpd-warning-detail", Takes::Number),
    ("syslog-name", Takes::Text),
    ("u", Takes::Number),
    ("uucp-mung", Takes::Nothing),
    ("verbose-msg-detail", Takes::Nothing),
    ("verp-mung", Takes::Perhaps),
    ("version", Takes::Nothing),
    ("zero-fill", Takes::Nothing),
];

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let words = Words::read(arguments.into_iter().skip(1));
    for problem in &words.problems {
        eprintln!("{problem}");
    }
    let day = match words.text("d") {
        None => Ok(None),
        Some("today") => Ok(Some(today())),
        Some("yesterday") => Ok(Some(today().before())),
        Some(_) => Err(()),
    };
    let Ok(day) = day.and_then(|day| if words.problems.is_empty() { Ok(day) } else { Err(()) }) else {
        eprint!("{USAGE}");
        return ExitCode::from(DIED);
    };
    if words.has("help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if words.has("version") {
        println!("pflogsumm 1.1.5");
        return ExitCode::SUCCESS;
    }
    let options = Options { day, ..words.options() };
    let mut folded = Folded(options.clone(), Summary::new(options));
    let files = if words.files.is_empty() { vec![PathBuf::from("-")] } else { words.files.clone() };
    logs::fold(&files, (day.map(|day| day..=day), today()), &mut folded, |file, problem| match problem {
        Problem::Open(error) => eprintln!("pflogsumm: can't open {}: {error}", file.display()),
        Problem::Read(error) => {
            eprintln!("pflogsumm: {}: {error}; what stands before it is counted", file.display());
        }
    });
    // It is as much as the log had messages, and gone with the program: nobody waits for each piece to be freed.
    let mut folded = ManuallyDrop::new(folded);
    let Folded(_, summary) = &mut *folded;
    // A reader that left wants no more.
    let mut out = BufWriter::with_capacity(OUT_BYTES, Out);
    let written = summary.write(&mut out).and_then(|()| match words.has("mailq") {
        true => writeln!(out, "\nCurrent Mail Queue\n------------------"),
        false => Ok(()),
    });
    let flushed = written.and_then(|()| out.flush());
    drop(out);
    if flushed.is_ok()
        && words.has("mailq")
        && let Err(error) = Command::new("mailq").status()
    {
        eprintln!("pflogsumm: mailq: {error}");
    }
    ExitCode::SUCCESS
}

/// What is folded, and how.
struct Folded(Options, Summary);

impl Fold for Folded {
    type Part = Part;

    fn part(&self) -> Part {
        Part::new(self.0.clone())
    }

    fn another(part: &Part) -> Part {
        part.another()
    }

    fn feed(part: &mut Part, line: &[u8]) {
        part.feed(line);
    }

    fn merge(&mut self, part: &mut Part) {
        self.1.merge(part);
    }
}

/// What day it is here.
fn today() -> Day {
    let wall = crate::clock::now().wall;
    let here = wall.seconds() + i64::from(crate::clock::utc_offset_s(wall));
    Day::numbered(here.div_euclid(86_400))
}

/// The words of the command line.
#[derive(Default)]
struct Words {
    /// Options by their whole names, and what stands behind them.
    options: Vec<(&'static str, String)>,
    files: Vec<PathBuf>,
    problems: Vec<String>,
}

impl Words {
    fn read(words: impl Iterator<Item = OsString>) -> Words {
        let mut found = Words::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
            match name {
                Some("") if text == "--" => found.files.extend(words.by_ref().map(PathBuf::from)),
                Some("") | None => found.files.push(PathBuf::from(word)),
                Some(name) => found.option(name, &mut words),
            }
        }
        found
    }

    fn option(&mut self, word: &str, rest: &mut std::iter::Peekable<impl Iterator<Item = OsString>>) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let Some((known, takes)) = self.known(name) else { return };
        let next = rest.peek().map(|next| next.to_string_lossy().into_owned());
        let value = match (takes, value) {
            (Takes::Nothing, None) => String::new(),
            (Takes::Nothing, Some(_)) => {
                return self.problems.push(format!("Option {name} does not take an argument"));
            }
            (Takes::Perhaps, None) if !next.as_deref().is_some_and(is_number) => String::new(),
            (Takes::Perhaps, Some("")) => String::new(),
            (_, Some("")) => return self.problems.push(format!("Option {name} requires an argument")),
            (_, Some(value)) => value.to_owned(),
            (_, None) => match next {
                Some(next) => {
                    rest.next();
                    next
                }
                None => return self.problems.push(format!("Option {name} requires an argument")),
            },
        };
        let wants_number = matches!(takes, Takes::Number) || (takes == Takes::Perhaps && !value.is_empty());
        if wants_number && !is_number(&value) {
            let problem = format!("Value \"{value}\" invalid for option {name} (number expected)");
            return self.problems.push(problem);
        }
        self.options.push((known, value));
    }

    /// The option that `name` is, or the beginning of.
    fn known(&mut self, name: &str) -> Option<(&'static str, Takes)> {
        let small = name.to_ascii_lowercase().replace('_', "-");
        if let Some(found) = KNOWN.iter().find(|(known, _)| *known == small) {
            return Some(*found);
        }
        let begun: Vec<_> = KNOWN.iter().filter(|(known, _)| known.starts_with(&small)).collect();
        match begun.as_slice() {
            [] => self.problems.push(format!("Unknown option: {small}")),
            [found] => return Some(**found),
            several => {
                let names: Vec<&str> = several.iter().map(|(known, _)| *known).collect();
                self.problems.push(format!("Option {name} is ambiguous ({})", names.join(", ")));
            }
        }
        None
    }

    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    /// The last value.
    fn text(&self, name: &str) -> Option<&str> {
        self.options.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn options(&self) -> Options {
        let limit = |name: &str, old: Option<&str>| {
            if let Some(old) = old.filter(|old| self.has(old)) {
                let old = old.replace('-', "_");
                eprintln!("pflogsumm: \"{old}\" is deprecated, use \"{name}=0\" instead");
                return Limit::Top(0);
            }
            // Less than none is all.
            let count = self.text(name).or_else(|| self.text("detail"));
            count.and_then(|count| count.parse().ok()).map_or(Limit::All, Limit::Top)
        };
        let verp = self.text("verp-mung").map(|number| {
            if number.parse::<i64>().is_ok_and(|number| number > 1) {
                Verp::Recipients
            } else {
                Verp::Numbers
            }
        });
        let plain = Options::new(today());
        Options {
            bounces: limit("bounce-detail", Some("no-bounce-detail")),
            deferrals: limit("deferral-detail", Some("no-deferral-detail")),
            rejects: limit("reject-detail", Some("no-reject-detail")),
            smtp: limit("smtp-detail", None),
            warnings: limit("smtpd-warning-detail", Some("no-smtpd-warnings")),
            hosts: limit("h", None),
            users: limit("u", None),
            extended: self.has("e"),
            ignore_case: self.has("i") || self.has("ignore-case"),
            iso: self.has("iso-date-time"),
            uucp: self.has("m") || self.has("uucp-mung"),
            without_no_size: self.has("no-no-msg-size"),
            problems_first: self.has("problems-first"),
            add_from: self.has("rej-add-from"),
            quiet: self.has("q"),
            smtpd_stats: self.has("smtpd-stats"),
            syslog_name: self.text("syslog-name").map_or(plain.syslog_name.clone(), |name| name.into()),
            verbose: self.has("verbose-msg-detail"),
            verp,
            zero_fill: self.has("zero-fill"),
            ..plain
        }
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
