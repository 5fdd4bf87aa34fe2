//! `bench run`: row by row, round by round, every server of the row in turn.
//!
//! Which server begins moves on with each round. A sample that fails is kept as such, with its reason, and the run
//! goes on.

use crate::figures::Figures;
use crate::generate;
use crate::options::{Format, Options, USAGE};
use crate::record::{Head, Sample, Writer};
use crate::scenario::{self, Row, Work};
use crate::server::{self, Kind, Server};
use crate::{drain, flood, show, signer, waiting, world};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `bench run`.
pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let options = Options::parse(words)?;
    if options.wants_usage {
        print!("{USAGE}");
        return Ok(());
    }
    // Before anything takes time.
    let fresh = scenario::select(&options.words)?;
    let folder = server::base()?.join("runs");
    world::prepare()?;
    // Of a run that was interrupted.
    server::clear()?;
    let mut writer =
        if options.resumes { Writer::resume(&folder)? } else { Writer::create(&folder, head(&options))? };
    let rows = if options.resumes { scenario::select(&writer.run.head.words)? } else { fresh };
    measure_all(&mut writer, &rows)?;
    server::clear()?;
    match options.format {
        Format::Text => print!("{}", show::text(&writer.run)),
        Format::Json => println!("{}", writer.run.json()),
    }
    eprintln!("kept in {}", writer.path.display());
    Ok(())
}

fn head(options: &Options) -> Head {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Head {
        run: format!("{}", since.as_secs()),
        rounds: options.rounds,
        ms: options.ms,
        clients: options.clients,
        words: options.words.clone(),
        servers: options.servers.clone(),
        machine: machine(),
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0);
    let postfix = said("postconf", &["-d", "-h", "mail_version"]);
    let ours = said(&server::program(), &["--version"]);
    format!(
        "{cores} cores, {} GB, Linux {}, {ours}, Postfix {postfix}",
        memory / 1_048_576,
        said("uname", &["-r"])
    )
}

fn measure_all(writer: &mut Writer, rows: &[Row]) -> Result<(), String> {
    let head = writer.run.head.clone();
    let wanted = |kind: &Kind| head.servers.is_empty() || head.servers.iter().any(|name| name == kind.name());
    let began = Instant::now();
    let in_all = rows.len();
    for (at, row) in rows.iter().enumerate() {
        let servers: Vec<Kind> = row.servers.iter().copied().filter(wanted).collect();
        let names: Vec<&str> = servers.iter().map(|kind| kind.name()).collect();
        for round in 1..=head.rounds {
            if writer.run.has_round(&row.id, round, &names) {
                continue;
            }
            for turn in 0..servers.len() {
                let moved = (turn + round as usize - 1) % servers.len();
                let Some(kind) = servers.get(moved).copied() else { continue };
                let load_average = load_average();
                let figures = sample(kind, row, (head.ms, head.clients)).unwrap_or_else(Figures::failure);
                eprintln!(
                    "{:4} s  row {}/{in_all} {:20} round {round}/{}  {:14} {}",
                    began.elapsed().as_secs(),
                    at + 1,
                    row.id,
                    head.rounds,
                    kind.name(),
                    show::brief(&figures)
                );
                let order = u32::try_from(writer.run.samples.len()).unwrap_or(u32::MAX);
                writer.add(Sample {
                    run: head.run.clone(),
                    sitting: writer.sitting,
                    order,
                    row: row.id.clone(),
                    round,
                    server: kind.name().to_owned(),
                    load_average,
                    figures,
                })?;
            }
        }
    }
    Ok(())
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// One server, one row, once.
fn sample(kind: Kind, row: &Row, (ms, clients): (u32, u32)) -> Result<Figures, String> {
    let server = Server::start(kind, &row.dress)?;
    // Loads that are bounded by their count keep their own time.
    let timed =
        |load: generate::Load| if load.ms == scenario::MS { generate::Load { ms, ..load } } else { load };
    match row.work {
        Work::Drained(load) => drain::sample(&server, &timed(load)),
        Work::Flood(load) => flood::sample(&server, &load),
        Work::Load(load) => {
            let load = timed(load);
            let before = server.cpu_s();
            let signed_before = server.signer().map(signer::Signer::cpu_s);
            let outcome = generate::play(&load)?;
            server.settle();
            let cpu = server.cpu_s() - before;
            let signed = server.signer().map(signer::Signer::cpu_s);
            let mut tail = drain::Tail::new(server.folder());
            tail.look();
            tail.is_fair()?;
            let mut figures = figures(&outcome, Some(cpu), &server)?;
            if let (Some(before), Some(after)) = (signed_before, signed) {
                let note = signer::note(after - before, outcome.done)?;
                figures.note = Some(figures.note.map_or(note.clone(), |other| format!("{note}; {other}")));
            }
            Ok(figures)
        }
        Work::Beside { crowd, honest } => {
            let standing = generate::start(&crowd)?;
            let note = standing.in_place()?;
            let outcome = generate::play(&honest)?;
            drop(standing);
            let mut figures = figures(&outcome, None, &server)?;
            figures.note = Some(figures.note.map_or(note.clone(), |other| format!("{note}; {other}")));
            Ok(figures)
        }
        Work::Waiting { crowd, honest, moment } => {
            let crowd = generate::Load { connections: crowd.connections.min(clients), ..crowd };
            waiting::sample(&server, crowd, honest, moment)
        }
        Work::Source { messages } => source(&server, messages),
    }
}

pub(crate) fn figures(
    outcome: &generate::Outcome,
    cpu_s: Option<f64>,
    server: &Server,
) -> Result<Figures, String> {
    if let Some(reply) = &outcome.unexpected {
        return Err(format!("unexpected: {reply}"));
    }
    if outcome.took_ms.is_empty() {
        return Err("no session at all".to_owned());
    }
    let figures = Figures {
        done: outcome.done,
        elapsed_s: outcome.elapsed.as_secs_f64(),
        cpu_ms: cpu_s.map(|cpu| cpu * 1000.0 / f64::from(outcome.done.max(1))),
        note: match (outcome.gave_up, server.accounting()) {
            (0, "/proc") => Some("CPU added up from /proc".to_owned()),
            (0, _) => None,
            (number, _) => Some(format!("{number} gave up after 60 s")),
        },
        ..Figures::default()
    };
    Ok(figures.with_times(outcome.took_ms.clone()))
}

/// Postfix' smtp-source; ten connections at once is far below anyone's process limit, above which it blocks.
fn source(server: &Server, messages: u32) -> Result<Figures, String> {
    let address = server.address();
    let (before, began) = (server.cpu_s(), Instant::now());
    let mut child = Command::new("/usr/sbin/smtp-source")
        .args(["-s", "10", "-l", "4096", "-f", "load@client.example", "-t", "user@discard.example"])
        .args(["-M", "client.example", "-m", &messages.to_string()])
        .arg(format!("inet:{}:{}", address.ip(), address.port()))
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| format!("smtp-source: {e}"))?;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(120) => {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return Err("smtp-source takes too long".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let elapsed = began.elapsed();
    if !status.success() {
        return Err(format!("smtp-source: {status}"));
    }
    server.settle();
    Ok(Figures {
        done: messages,
        elapsed_s: elapsed.as_secs_f64(),
        cpu_ms: Some((server.cpu_s() - before) * 1000.0 / f64::from(messages)),
        ..Figures::default()
    })
}
