//! Komainu and Postfix side by side: the same configuration, the same load, in turns in one run.
//!
//! `scripts/bench` starts it in a network namespace of its own, so every address is local and nothing leaves
//! the machine. Each figure is taken for both servers in each round; what is printed is the minimum, median
//! and maximum over the rounds and the ratio of the medians. CPU is that of all of a server's processes,
//! until its queue has drained. Loads are bounded in count.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod generate;
mod house;
mod process;

use generate::{Load, Outcome};
use house::{House, Kind};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One thing that is measured.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    load: Load,
}

const fn accept(name: &'static str, to: &'static str, connections: usize, count: usize) -> Scenario {
    Scenario {
        name,
        load: Load { connections, count, from: Ipv4Addr::new(203, 0, 113, 1), to, body_bytes: 4096 },
    }
}

const fn refuse(name: &'static str, from: Ipv4Addr, connections: usize, count: usize) -> Scenario {
    Scenario { name, load: Load { connections, count, from, to: "user%@discard.example", body_bytes: 0 } }
}

const SCENARIOS: [Scenario; 9] = [
    accept("accept → discard, 1 connection", "user%@discard.example", 1, 600),
    accept("accept → discard, 10 connections", "user%@discard.example", 10, 2000),
    accept("accept → discard, 50 connections", "user%@discard.example", 50, 4000),
    accept("accept → Maildir, 1 connection", "user%@box.example", 1, 400),
    accept("accept → Maildir, 10 connections", "user%@box.example", 10, 1500),
    accept("accept → Maildir, 50 connections", "user%@box.example", 50, 3000),
    refuse("refuse by access table, 50 connections", Ipv4Addr::new(203, 0, 113, 66), 50, 10_000),
    refuse("refuse by DNSBL, 50 connections", Ipv4Addr::new(203, 0, 113, 99), 50, 10_000),
    refuse("refuse by access table, 100 connections", Ipv4Addr::new(203, 0, 113, 66), 100, 10_000),
];

/// What one run gave.
#[derive(Clone, Copy)]
struct Figure {
    per_second: f64,
    cpu_ms: f64,
}

fn measure(house: &House, load: &Load) -> Result<Figure, String> {
    let cpu_before = process::cpu_s(house.pid());
    let began = Instant::now();
    let Outcome { done, unexpected } = generate::run(load)?;
    let elapsed = began.elapsed();
    if let Some(reply) = unexpected {
        return Err(format!("{}: unexpected reply: {reply}", house.kind.name()));
    }
    settle(house);
    let cpu = process::cpu_s(house.pid()) - cpu_before;
    Ok(Figure { per_second: done as f64 / elapsed.as_secs_f64(), cpu_ms: cpu * 1000.0 / done as f64 })
}

/// Waits until the server has nothing more to do: its CPU time stands still.
fn settle(house: &House) {
    let mut last = process::cpu_s(house.pid());
    for _ in 0..120 {
        std::thread::sleep(Duration::from_millis(500));
        let now = process::cpu_s(house.pid());
        if now - last < 0.015 {
            return;
        }
        last = now;
    }
}

fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

fn main() -> ExitCode {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(3_usize);
    let only = std::env::args().nth(2).unwrap_or_default();
    match run(rounds, &only) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(rounds: usize, only: &str) -> Result<(), String> {
    house::prepare()?;
    let kinds = [Kind::Komainu, Kind::Postfix];
    println!("{rounds} rounds in turns; per second and CPU ms each: min / median / max\n");
    println!("| what | komainu /s | Postfix /s | ratio | komainu ms | Postfix ms | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(only)) {
        let mut figures: [(Vec<f64>, Vec<f64>); 2] = Default::default();
        for round in 0..rounds {
            for (kind, (rate, cpu)) in kinds.iter().zip(&mut figures) {
                eprintln!("{}: round {} of {rounds}: {}", scenario.name, round + 1, kind.name());
                let house = House::start(*kind)?;
                let figure = measure(&house, &scenario.load)?;
                rate.push(figure.per_second);
                cpu.push(figure.cpu_ms);
            }
        }
        let [(our_rate, our_cpu), (their_rate, their_cpu)] = &mut figures;
        let (ours, theirs) = (spread(our_rate), spread(their_rate));
        let (our_cpu, their_cpu) = (spread(our_cpu), spread(their_cpu));
        let show = |(low, mid, high): (f64, f64, f64), digits: usize| {
            format!("{low:.digits$} / {mid:.digits$} / {high:.digits$}")
        };
        println!(
            "| {} | {} | {} | {:.1}× | {} | {} | {:.1}× less |",
            scenario.name,
            show(ours, 0),
            show(theirs, 0),
            ours.1 / theirs.1,
            show(our_cpu, 2),
            show(their_cpu, 2),
            their_cpu.1 / our_cpu.1,
        );
    }
    Ok(())
}
