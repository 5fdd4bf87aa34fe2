//! Comparing: only what was measured in turns, in one run, may be set side by side.
//!
//! A machine's mood changes from minute to minute. So a ratio is given for servers that alternated in the same
//! rounds of the same run and sitting; everything else is refused, with the reason.

use crate::figures::{Spread, spread};
use crate::record::{Run, Sample};
use crate::scenario;
use std::path::Path;

/// Why two servers are not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing(String),
    OtherRun,
    OtherSitting(u32),
    RoundWithout(u32, String),
    OutOfTurn(u32),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Missing(server) => write!(f, "{server} has no figures here"),
            Refusal::OtherRun => f.write_str("the samples are of different runs"),
            Refusal::OtherSitting(round) => {
                write!(f, "round {round} was interrupted: its samples are of different sittings")
            }
            Refusal::RoundWithout(round, server) => write!(f, "round {round} lacks {server}"),
            Refusal::OutOfTurn(round) => write!(f, "round {round} was not measured in turns"),
        }
    }
}

/// The last sample of each round: one that was taken again replaces the one before.
pub(crate) fn samples<'a>(run: &'a Run, row: &str, server: &str) -> Vec<&'a Sample> {
    let mut found: Vec<&Sample> = Vec::new();
    for sample in run.samples.iter().filter(|s| s.row == row && s.server == server) {
        match found.iter_mut().find(|other| other.round == sample.round) {
            Some(other) => *other = sample,
            None => found.push(sample),
        }
    }
    found
}

/// The samples of two servers, pair by pair, where they may be compared.
pub(crate) fn pairs<'a>(
    run: &'a Run,
    row: &str,
    (ours, theirs): (&str, &str),
) -> Result<Vec<(&'a Sample, &'a Sample)>, Refusal> {
    let (ours_all, theirs_all) = (samples(run, row, ours), samples(run, row, theirs));
    for (name, all) in [(ours, &ours_all), (theirs, &theirs_all)] {
        if all.is_empty() {
            return Err(Refusal::Missing(name.to_owned()));
        }
    }
    let mut pairs = Vec::new();
    for our in &ours_all {
        let other = theirs_all.iter().find(|their| their.round == our.round);
        let their = *other.ok_or_else(|| Refusal::RoundWithout(our.round, theirs.to_owned()))?;
        judge(run, our, their)?;
        pairs.push((*our, their));
    }
    match theirs_all.iter().find(|their| ours_all.iter().all(|our| our.round != their.round)) {
        Some(their) => Err(Refusal::RoundWithout(their.round, ours.to_owned())),
        None => Ok(pairs),
    }
}

/// Between the two, nothing but this round of this row was measured.
fn judge(run: &Run, our: &Sample, their: &Sample) -> Result<(), Refusal> {
    if our.run != their.run || our.run != run.head.run {
        return Err(Refusal::OtherRun);
    }
    if our.sitting != their.sitting {
        return Err(Refusal::OtherSitting(our.round));
    }
    let (first, last) = (our.order.min(their.order), our.order.max(their.order));
    let between =
        run.samples.iter().filter(|s| s.sitting == our.sitting && (first..=last).contains(&s.order));
    let mut strangers = between.filter(|s| s.row != our.row || s.round != our.round);
    if strangers.next().is_some() { Err(Refusal::OutOfTurn(our.round)) } else { Ok(()) }
}

/// `theirs` over `ours`, of medians: rate, CPU, median of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ratios {
    pub(crate) rate: Option<f64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) wait: Option<f64>,
}

/// How `ours` stands to `theirs`: how many times the rate, how many times less CPU, how many times less waiting.
pub(crate) fn ratios(run: &Run, row: &str, servers: (&str, &str)) -> Result<Ratios, Refusal> {
    let pairs = pairs(run, row, servers)?;
    let middle = |of: &dyn Fn(&Sample) -> Option<f64>| -> Option<(f64, f64)> {
        let ours: Option<Spread> = spread(pairs.iter().filter_map(|(our, _)| of(our)));
        let theirs: Option<Spread> = spread(pairs.iter().filter_map(|(_, their)| of(their)));
        Some((ours?.median, theirs?.median))
    };
    Ok(Ratios {
        rate: middle(&|s| s.figures.per_second()).map(|(ours, theirs)| ours / theirs),
        cpu: middle(&|s| s.figures.cpu_ms).map(|(ours, theirs)| theirs / ours),
        wait: middle(&|s| s.figures.median_ms).map(|(ours, theirs)| theirs / ours),
    })
}

/// `bench compare FILE A B [WORDS]`.
pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let (path, servers, rest) = match words {
        [path, ours, theirs, rest @ ..] => (path, (ours.as_str(), theirs.as_str()), rest),
        _ => return Err(super::USAGE.to_owned()),
    };
    for name in [servers.0, servers.1] {
        if Path::new(name).exists() {
            return Err(
                "two runs are not in turns and are never compared: measure both servers in one".to_owned()
            );
        }
    }
    let run = Run::read(Path::new(path))?;
    let mut refused = 0;
    println!("{} over {}, medians of run {}", servers.0, servers.1, run.head.run);
    for row in scenario::select(rest)? {
        if !run.samples.iter().any(|sample| sample.row == row.id) {
            continue;
        }
        match ratios(&run, &row.id, servers) {
            Ok(ratios) => println!("{:22} {}", row.id, show(&ratios)),
            Err(refusal) => {
                refused += 1;
                println!("{:22} refused: {refusal}", row.id);
            }
        }
    }
    if refused == 0 { Ok(()) } else { Err(format!("{refused} rows can't be compared")) }
}

fn show(ratios: &Ratios) -> String {
    let one = |ratio: Option<f64>, what: &str| ratio.map(|ratio| format!("{ratio:8.1}× {what}"));
    let all = [one(ratios.rate, "the rate"), one(ratios.cpu, "less CPU"), one(ratios.wait, "less waiting")];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;
    use crate::record::Head;

    /// `1a1 1b1`: sitting, server, round; in this order.
    fn run(order: &str) -> Run {
        let head = Head {
            clients: 1,
            run: "r".to_owned(),
            rounds: 1,
            ms: 1,
            words: Vec::new(),
            servers: Vec::new(),
            machine: String::new(),
        };
        let digit = |word: &str, at: usize| word.get(at..=at).and_then(|c| c.parse().ok()).expect("a digit");
        let sample = |(at, word): (usize, &str)| {
            let server = word.get(1..2).expect("a letter").to_owned();
            let elapsed_s = if server == "a" { 1.0 } else { 4.0 };
            Sample {
                run: if word.ends_with('!') { "other" } else { "r" }.to_owned(),
                sitting: digit(word, 0),
                order: u32::try_from(at).expect("small"),
                row: if word.ends_with('?') { "else" } else { "row" }.to_owned(),
                round: digit(word, 2),
                server,
                load_average: 0.0,
                figures: Figures { done: 8, elapsed_s, ..Figures::default() },
            }
        };
        Run { head, samples: order.split(' ').enumerate().map(sample).collect() }
    }

    #[test]
    fn only_turns_are_compared() {
        let check = |order: &str, expect: Result<f64, Refusal>| {
            let ratio = ratios(&run(order), "row", ("a", "b")).map(|ratios| ratios.rate.expect("a rate"));
            assert_eq!(ratio, expect, "{order}");
        };
        check("1a1 1b1 1a2 1b2", Ok(4.0));
        check("1a1 1b1 1b2 1a2", Ok(4.0));
        check("1a1 1c1 1b1", Ok(4.0));
        check("1a1 1a2 1b1 1b2", Err(Refusal::OutOfTurn(1)));
        check("1a1 1c1? 1b1", Err(Refusal::OutOfTurn(1)));
        check("1a1 1b1 1a2", Err(Refusal::RoundWithout(2, "b".to_owned())));
        check("1a1 1b1 1b2", Err(Refusal::RoundWithout(2, "a".to_owned())));
        check("1a1 2b1", Err(Refusal::OtherSitting(1)));
        check("1a1 1b1!", Err(Refusal::OtherRun));
        check("1a1 1a2", Err(Refusal::Missing("b".to_owned())));
        // Interrupted after the first of a round, which is then taken again as a whole.
        check("1a1 2a1 2b1", Ok(4.0));
    }

    #[test]
    fn two_files_are_never_compared() {
        let words: Vec<String> = ["x", "Cargo.toml", "b"].iter().map(|word| (*word).to_owned()).collect();
        let error = command(&words).expect_err("refused");
        assert!(error.contains("not in turns"), "{error}");
    }
}
