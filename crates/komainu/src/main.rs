//! `komainu`, and whatever old name it is called by.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::give_back_at_once();
    komainu::cli::main(std::env::args_os())
}
