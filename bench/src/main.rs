//! Komainu beside its peers, and Komainu alone under everything at once.
//!
//! `run` measures in turns and keeps each sample, `show` prints a run again, `compare` sets two servers of one run
//! side by side and refuses what was not measured in turns, `soak` is the endurance proof, `generate` is the load in
//! a process of its own. scripts/bench and scripts/soak start it in a network namespace where every address is
//! local, so nothing leaves the machine. Everything is bounded in time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod account;
mod bans;
mod check;
mod dns;
mod drain;
mod encrypted;
mod figures;
mod flood;
mod generate;
mod lines;
mod options;
mod policy;
mod record;
mod run;
mod scenario;
mod server;
mod show;
mod signer;
mod sink;
mod site;
mod soak;
mod summary;
mod turns;
mod waiting;
mod world;

use std::process::ExitCode;

const USAGE: &str = "\
usage: bench run [OPTIONS] [WORDS]     measure the rows whose names have one of the words (default: all)
       bench list                      the rows and their servers
       bench show FILE [--format json] print a run that was kept
       bench compare FILE A B [WORDS]  server A over server B, row by row; refused unless measured in turns
       bench compare FILE FILE         always refused: two runs are not in turns
       bench check [RUNS]              how long `komainu check` takes for a large configuration
       bench lines [ROUNDS]            header lines a second through 500 patterns, beside postmap
       bench tls [TURNS]               handshakes, log-ins and idle connections under TLS, beside Postfix
       bench guesses [SECONDS] [TURNS] a dictionary attack with honest clients in between, beside Postfix
       bench policy [MS] [TURNS] [WORDS] policy requests a second, beside postgrey and policyd-spf
       bench report [ROUNDS [LINES]]   pflogsumm's report beside Debian's
       bench bans [COUNT] [TURNS]      bans in the kernel, beside fail2ban
       bench soak [OPTIONS] [MINUTES]  everything at once against one server; see bench soak --help
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match words.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let outcome = match command {
        "run" => run::command(rest),
        "list" => {
            print!("{}", scenario::list());
            Ok(())
        }
        "show" => show::command(rest),
        "compare" => turns::command(rest),
        "check" => check::command(rest),
        "lines" => lines::command(rest),
        "tls" => encrypted::handshakes(rest),
        "guesses" => encrypted::guesses(rest),
        "policy" => policy::command(rest),
        "report" => summary::command(rest),
        "bans" => bans::command(rest),
        "soak" => {
            let outcome = soak::command(rest);
            outcome.and(server::clear())
        }
        sink::WORD => sink::command(),
        soak::SENDERS | soak::MOB => soak::clients(&words),
        generate::WORD => generate::command(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}\n{}", options::USAGE);
            Ok(())
        }
        other => Err(format!("no such command: {other}\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
