//! All dialogues of tests/dialogues. `ORACLE=postfix` asks Debian's Postfix instead of Komainu, and
//! `UPDATE=1` writes down what it says. Words on the command line choose files by their path.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a harness of its own: this is the test")]

use std::path::PathBuf;
use std::process::ExitCode;

use sim::backend::Choice;
use sim::{harness, world};

fn told(report: &str) {
    if !report.starts_with("pass") && !report.starts_with("skip") {
        println!("{report}");
    }
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
    let files: Vec<PathBuf> = harness::files(&folder).into_iter().filter(chosen).collect();
    let choice = std::env::var("ORACLE")
        .ok()
        .map_or(Choice::Komainu, |name| Choice::parse(&name).expect("a back end"));
    let update = std::env::var_os("UPDATE").is_some();
    if let Some(why) = world::missing().or_else(|| choice.program().err()) {
        println!("dialogues: {} didn't run: {why}", choice.name());
        return if std::env::var_os("CI").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let tally = harness::run(&files, choice, update, told).expect("workers run");
    println!(
        "dialogues: {}: {} as written, {} written anew, {} skipped, {} failed",
        choice.name(),
        tally.passed,
        tally.updated,
        tally.skipped.len(),
        tally.failed.len()
    );
    for skipped in &tally.skipped {
        println!("  {}", skipped.replace('\n', ":"));
    }
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
