//! A run as text: a table with minimum, median and maximum, and curves with bars. It is markdown, so it can be kept.
//!
//! Ratios come from [`crate::turns`] alone, so what was not measured in turns has none.

use crate::figures::{Figures, Spread, spread};
use crate::options;
use crate::record::{Run, Sample};
use crate::scenario::{self, Headline, Row};
use crate::turns;
use std::fmt::Write as _;
use std::path::Path;

/// One sample, for the progress.
pub(crate) fn brief(figures: &Figures) -> String {
    if let Some(why) = &figures.failed {
        return format!("failed: {why}");
    }
    let rate = figures.per_second().map_or_else(String::new, |rate| format!("{rate:8.0}/s"));
    let cpu = figures.cpu_ms.map_or_else(String::new, |cpu| format!(" {cpu:7.3} ms CPU"));
    let memory = match (figures.bytes_each, figures.idle_kb) {
        (Some(each), Some(idle)) => format!("{each:.0} bytes each, {idle:.0} kB before"),
        _ => String::new(),
    };
    let wait = match (figures.median_ms, figures.p99_ms) {
        (Some(median), Some(p99)) => format!("  took {median:.1} ms, p99 {p99:.1}"),
        _ => String::new(),
    };
    let note = figures.note.as_deref().map_or_else(String::new, |note| format!("  ({note})"));
    format!("{rate}{cpu}{memory}{wait}{note}")
}

fn triple(values: Option<Spread>, digits: usize) -> String {
    values.map_or_else(
        || "–".to_owned(),
        |Spread { min, median, max }| format!("{min:.digits$} / **{median:.digits$}** / {max:.digits$}"),
    )
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.filter(|ratio| ratio.is_finite()).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}×"))
}

struct Cells {
    rate: Option<Spread>,
    cpu: Option<Spread>,
    elapsed: Option<Spread>,
    median: Option<Spread>,
    p99: Option<Spread>,
    failed: Option<String>,
    note: Option<String>,
    bytes_each: Option<Spread>,
    idle_kb: Option<Spread>,
}

fn cells(samples: &[&Sample]) -> Cells {
    let good = || samples.iter().map(|sample| &sample.figures).filter(|figures| figures.failed.is_none());
    Cells {
        rate: spread(good().filter_map(Figures::per_second)),
        cpu: spread(good().filter_map(|figures| figures.cpu_ms)),
        elapsed: spread(good().map(|figures| figures.elapsed_s)),
        median: spread(good().filter_map(|figures| figures.median_ms)),
        p99: spread(good().filter_map(|figures| figures.p99_ms)),
        failed: samples.iter().find_map(|sample| sample.figures.failed.clone()),
        note: samples.iter().find_map(|sample| sample.figures.note.clone()),
        bytes_each: spread(good().filter_map(|figures| figures.bytes_each)),
        idle_kb: spread(good().filter_map(|figures| figures.idle_kb)),
    }
}

fn servers(run: &Run, row: &Row) -> Vec<&'static str> {
    let measured =
        |name: &&str| run.samples.iter().any(|sample| sample.row == row.id && sample.server == *name);
    row.servers.iter().map(|kind| kind.name()).filter(measured).collect()
}

/// The whole run.
pub(crate) fn text(run: &Run) -> String {
    let mut text = format!(
        "Run {}: {}. {} rounds in turns, {} ms each; min / **median** / max.\n",
        run.head.run, run.head.machine, run.head.rounds, run.head.ms
    );
    let measured: Vec<Row> =
        scenario::rows().into_iter().filter(|row| run.samples.iter().any(|s| s.row == row.id)).collect();
    let plain = |headline: Headline| {
        measured.iter().filter(move |row| row.curve.is_none() && row.headline == headline).collect::<Vec<_>>()
    };
    rates(run, &plain(Headline::Rate), &mut text);
    waits(run, &[plain(Headline::Elapsed), plain(Headline::Latency)].concat(), &mut text);
    memory(run, &plain(Headline::Memory), &mut text);
    floods(run, &plain(Headline::Flood), &mut text);
    curves(run, &measured, &mut text);
    text
}

fn rates(run: &Run, rows: &[&Row], text: &mut String) {
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| what | server | per second | CPU ms each | komainu's rate | CPU less by |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        for server in servers(run, row) {
            let cells = cells(&turns::samples(run, &row.id, server));
            let (rate, cpu) = match turns::ratios(run, &row.id, ("komainu", server)) {
                Ok(_) if server == "komainu" => (String::new(), String::new()),
                Ok(ratios) => (ratio(ratios.rate), ratio(ratios.cpu)),
                Err(refusal) => (refusal.to_string(), String::new()),
            };
            let (rates, cpus) = (triple(cells.rate, 0), triple(cells.cpu, 3));
            let what = if server == "komainu" { row.title.as_str() } else { "" };
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {what} | {server} | {rates} | {cpus} | {rate} | {cpu} |");
            if let Some(why) = cells.failed {
                let _ = writeln!(text, "| | | failed: {} | | | |", why.replace('|', "/"));
            }
        }
    }
}

fn waits(run: &Run, rows: &[&Row], text: &mut String) {
    if rows.is_empty() {
        return;
    }
    text.push_str(
        "\n| what | server | median ms | p99 ms | until all were done, s | komainu: less waiting |\n",
    );
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        for server in servers(run, row) {
            let cells = cells(&turns::samples(run, &row.id, server));
            let less = match turns::ratios(run, &row.id, ("komainu", server)) {
                Ok(_) if server == "komainu" => String::new(),
                Ok(ratios) if row.headline == Headline::Elapsed => ratio(ratios.rate),
                Ok(ratios) => ratio(ratios.wait),
                Err(refusal) => refusal.to_string(),
            };
            let (median, p99) = (triple(cells.median, 1), triple(cells.p99, 1));
            let elapsed =
                if row.headline == Headline::Elapsed { triple(cells.elapsed, 2) } else { String::new() };
            let what = if server == "komainu" { row.title.as_str() } else { "" };
            let note = cells.note.map_or_else(String::new, |note| format!(" ({note})"));
            let _ = writeln!(text, "| {what} | {server}{note} | {median} | {p99} | {elapsed} | {less} |");
            if let Some(why) = cells.failed {
                let _ = writeln!(text, "| | | failed: {} | | | |", why.replace('|', "/"));
            }
        }
    }
}

fn memory(run: &Run, rows: &[&Row], text: &mut String) {
    if rows.is_empty() {
        return;
    }
    text.push_str(
        "\n| each client | server | bytes of Pss | before them, kB | honest client: median ms | p99 ms |\n",
    );
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        for server in servers(run, row) {
            let cells = cells(&turns::samples(run, &row.id, server));
            let what = if server == "komainu" { row.title.as_str() } else { "" };
            let note = cells.note.map_or_else(String::new, |note| format!(" ({note})"));
            let (each, idle) = (triple(cells.bytes_each, 0), triple(cells.idle_kb, 0));
            let (median, p99) = (triple(cells.median, 1), triple(cells.p99, 1));
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {what} | {server}{note} | {each} | {idle} | {median} | {p99} |");
            if let Some(why) = cells.failed {
                let _ = writeln!(text, "| | | failed: {} | | | |", why.replace('|', "/"));
            }
        }
    }
}

fn floods(run: &Run, rows: &[&Row], text: &mut String) {
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| what | server | until all that can be is delivered, s | CPU ms each | Pss at most, kB | komainu's rate |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        for server in servers(run, row) {
            let cells = cells(&turns::samples(run, &row.id, server));
            let ratio = match turns::ratios(run, &row.id, ("komainu", server)) {
                Ok(_) if server == "komainu" => String::new(),
                Ok(ratios) => ratio(ratios.rate),
                Err(refusal) => refusal.to_string(),
            };
            let what = if server == "komainu" { row.title.as_str() } else { "" };
            let note = cells.note.map_or_else(String::new, |note| format!(" ({note})"));
            let (elapsed, cpu) = (triple(cells.elapsed, 1), triple(cells.cpu, 3));
            let peak = triple(cells.idle_kb, 0);
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {what} | {server}{note} | {elapsed} | {cpu} | {peak} | {ratio} |");
            if let Some(why) = cells.failed {
                let _ = writeln!(text, "| | | failed: {} | | | |", why.replace('|', "/"));
            }
        }
    }
}

/// Bars of at most 30 characters.
fn bar(value: f64, most: f64) -> String {
    const WIDTH: f64 = 30.0;
    if !(value > 0.0 && most > 0.0) {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 30")]
    let length = (value / most * WIDTH).round().clamp(1.0, WIDTH) as usize;
    "█".repeat(length)
}

fn curves(run: &Run, rows: &[Row], text: &mut String) {
    let mut names: Vec<&str> = rows.iter().filter_map(|row| row.curve.map(|(name, _)| name)).collect();
    names.dedup();
    for name in names {
        let points: Vec<(&Row, u32)> = rows
            .iter()
            .filter_map(|row| row.curve.filter(|(other, _)| *other == name).map(|(_, at)| (row, at)))
            .collect();
        let of = |row: &Row, server: &str| cells(&turns::samples(run, &row.id, server));
        let all: Vec<&'static str> = points.first().map_or_else(Vec::new, |(row, _)| servers(run, row));
        let rates = points.iter().flat_map(|(row, _)| all.iter().filter_map(|s| of(row, s).rate));
        let most = rates.map(|rate| rate.median).fold(0.0, f64::max);
        let _ = writeln!(text, "\n{name}: per second, and CPU ms each\n\n```");
        for server in all {
            for (row, at) in &points {
                let cells = of(row, server);
                let (Some(rate), Some(cpu)) = (cells.rate, cells.cpu) else {
                    let why = cells.failed.unwrap_or_default();
                    let _ = writeln!(text, "{server:14} {at:8}  failed: {why}");
                    continue;
                };
                let bar = bar(rate.median, most);
                let _ =
                    writeln!(text, "{server:14} {at:8} {:8.0}/s {:7.3} ms {bar}", rate.median, cpu.median);
            }
        }
        text.push_str("```\n");
    }
}

/// `bench show FILE [--format json]`.
pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let (path, format) = match words {
        [path] => (path, options::Format::Text),
        [path, option, format] if option == "--format" => (path, options::format(format)?),
        _ => return Err(super::USAGE.to_owned()),
    };
    let run = Run::read(Path::new(path))?;
    match format {
        options::Format::Text => print!("{}", text(&run)),
        options::Format::Json => println!("{}", run.json()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Head;

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(10.0, 10.0).chars().count(), 30);
        assert_eq!(bar(5.0, 10.0).chars().count(), 15);
        assert_eq!(bar(0.001, 10.0).chars().count(), 1);
        assert_eq!(bar(0.0, 10.0), "");
        assert_eq!(bar(f64::NAN, 10.0), "");
    }

    #[test]
    fn a_run_in_turns_has_ratios_and_another_says_why_not() {
        let sample = |order, round, server: &str, done| Sample {
            run: "r".to_owned(),
            sitting: 1,
            order,
            row: "refuse-table".to_owned(),
            round,
            server: server.to_owned(),
            load_average: 0.0,
            figures: Figures {
                done,
                elapsed_s: 1.0,
                cpu_ms: Some(100.0 / f64::from(done)),
                ..Figures::default()
            },
        };
        let head = Head {
            run: "r".to_owned(),
            rounds: 1,
            ms: 1,
            clients: 1,
            words: Vec::new(),
            servers: Vec::new(),
            machine: "here".to_owned(),
        };
        let mut run =
            Run { head, samples: vec![sample(0, 1, "komainu", 1000), sample(1, 1, "postfix", 100)] };
        let shown = text(&run);
        assert!(
            shown.contains("| postfix | 100 / **100** / 100 | 1.000 / **1.000** / 1.000 | 10.0× | 10.0× |"),
            "{shown}"
        );
        run.samples.push(sample(2, 2, "komainu", 1000));
        assert!(text(&run).contains("round 2 lacks postfix"), "{}", text(&run));
    }
}
