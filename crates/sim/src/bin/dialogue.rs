//! Plays dialogue files by hand: `dialogue [in-process|komainu|postfix] [--update] FILE…`.

use std::path::PathBuf;
use std::process::ExitCode;

use sim::backend::Choice;
use sim::harness;

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn told(report: &str) {
    println!("{report}");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == harness::WORKER) {
        return match harness::work(arguments.get(1..).unwrap_or(&[])) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let choice = arguments.iter().find_map(|word| Choice::parse(word)).unwrap_or(Choice::Komainu);
    let update = arguments.iter().any(|word| word == "--update");
    let files: Vec<PathBuf> = arguments
        .iter()
        .filter(|word| !word.starts_with('-') && Choice::parse(word).is_none())
        .map(|word| std::path::absolute(word).unwrap_or_else(|_| PathBuf::from(word)))
        .flat_map(|path| if path.is_dir() { harness::files(&path) } else { vec![path] })
        .collect();
    match harness::run(&files, choice, update, told) {
        Ok(tally) => {
            told(&format!(
                "{}: {} as written, {} written anew, {} skipped, {} failed",
                choice.name(),
                tally.passed,
                tally.updated,
                tally.skipped.len(),
                tally.failed.len()
            ));
            if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            told(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
