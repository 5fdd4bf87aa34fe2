//! All dialogues of tests/dialogues and some made-up ones (`sim::made_up`), against each back end in turn: Komainu's sessions in this process,
//! `komainu serve`, and Debian's Postfix where it is installed. `ORACLE=in-process,komainu,postfix` chooses; with
//! `UPDATE=1` the expectations are written anew from what one of them says. Words on the command line choose files
//! by their path.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a harness of its own: this is the test")]

use std::path::PathBuf;
use std::process::ExitCode;

use sim::backend::Choice;
use sim::{harness, made_up, world};

fn told(report: &str) {
    if !report.starts_with("pass") && !report.starts_with("skip") {
        println!("{report}");
    }
}

/// Plays `files` against one back end; whether nothing failed.
fn play(files: &[PathBuf], choice: Choice) -> bool {
    let update = std::env::var_os("UPDATE").is_some();
    let lacking = if choice == Choice::InProcess { None } else { world::missing() };
    if let Some(why) = lacking.or_else(|| choice.program().err()) {
        println!("dialogues: {}: didn't run: {why}", choice.name());
        // A missing peer is said aloud, and is an error where everything ought to be there.
        return std::env::var_os("CI").is_none();
    }
    let tally = harness::run(files, choice, update, told).expect("workers run");
    println!(
        "dialogues: {}: {} as written, {} written anew, {} skipped, {} failed",
        choice.name(),
        tally.passed,
        tally.updated,
        tally.skipped.len(),
        tally.failed.len()
    );
    for (reason, count) in tally.reasons() {
        println!("  {count:3} skipped: {reason}");
    }
    tally.failed.is_empty()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == harness::WORKER) {
        harness::work(&arguments[1..]).expect("a worker works");
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let folder = harness::root().join("tests/dialogues");
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = |path: &PathBuf| {
        words.is_empty() || words.iter().any(|w| path.to_string_lossy().contains(w.as_str()))
    };
    let mut files: Vec<PathBuf> = harness::files(&folder).into_iter().filter(chosen).collect();
    let made_up = tempfile::tempdir().expect("a folder");
    if words.is_empty() && std::env::var_os("UPDATE").is_none() {
        let kept = std::env::var_os("MADE_UP_FOLDER").map(PathBuf::from);
        let count = std::env::var("MADE_UP").map_or(60, |text| text.parse().expect("a number"));
        let folder = kept.as_deref().unwrap_or(made_up.path());
        files.extend(made_up::write(folder, 1..=count).expect("dialogues can be made up"));
    }
    let choices: Vec<Choice> = match std::env::var("ORACLE") {
        Ok(names) => names.split(',').map(|name| Choice::parse(name).expect("a back end")).collect(),
        Err(_) => Choice::ALL.to_vec(),
    };
    // All of them run, also after one has failed.
    let passed: Vec<bool> = choices.into_iter().map(|choice| play(&files, choice)).collect();
    if passed.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
