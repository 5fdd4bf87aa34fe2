//! Checks on the tree itself (`cargo run -p xtask -- tidy`) and docs made from the registries (`… generate`).
//!
//! Both look at files only; they start nothing but `cargo metadata`. The tests of each check show it a tree that
//! has the fault. CI runs `tidy` through scripts/test.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod generate;
mod tidy;
mod tree;

use std::process::ExitCode;
use tree::Tree;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let tree = match Tree::read(&tree::root()) {
        Ok(tree) => tree,
        Err(error) => return fail(&error.to_string()),
    };
    match command.as_str() {
        "tidy" => {
            let faults = tidy::all(&tree);
            for fault in &faults {
                println!("{fault}");
            }
            println!("tidy: {} files, {} faults", tree.files.len(), faults.len());
            if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        "generate" => match generate::write(&tree) {
            Ok(written) => {
                written.iter().for_each(|path| println!("{path}"));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.to_string()),
        },
        _ => fail("usage: cargo run -p xtask -- tidy|generate"),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("xtask: {text}");
    ExitCode::FAILURE
}
