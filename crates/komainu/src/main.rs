//! `komainu`, and whatever old name it is called by.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    komainu::cli::main(std::env::args_os())
}
