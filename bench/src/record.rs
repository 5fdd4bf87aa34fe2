//! A run on disk: one line of JSON for its beginning and one for each sample, written as they are taken, so that an
//! interrupted run keeps what it has and can go on.
//!
//! A sample carries the run's id, its place in the order, its round, and its sitting: the start of the program that
//! took it. [`crate::turns`] judges by these whether two servers may be compared.

use crate::figures::Figures;
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) run: String,
    pub(crate) rounds: u32,
    pub(crate) ms: u32,
    /// How many wait in the rows about waiting.
    pub(crate) clients: u32,
    pub(crate) words: Vec<String>,
    pub(crate) servers: Vec<String>,
    /// What it ran on, for people.
    pub(crate) machine: String,
}

/// One server, one row, one round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) run: String,
    pub(crate) sitting: u32,
    /// The place in the order of the run.
    pub(crate) order: u32,
    pub(crate) row: String,
    pub(crate) round: u32,
    pub(crate) server: String,
    /// How busy the machine was just before, all its programs together.
    pub(crate) load_average: f64,
    pub(crate) figures: Figures,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) head: Head,
    pub(crate) samples: Vec<Sample>,
}

impl Head {
    fn json(&self) -> Value {
        json!({"run": self.run, "rounds": self.rounds, "ms": self.ms, "clients": self.clients, "words": self.words,
               "servers": self.servers, "machine": self.machine})
    }

    fn read(value: &Value) -> Option<Head> {
        let list = |key: &str| -> Option<Vec<String>> {
            Some(value.get(key)?.as_array()?.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
        };
        Some(Head {
            run: value.get("run")?.as_str()?.to_owned(),
            rounds: number(value, "rounds")?,
            ms: number(value, "ms")?,
            clients: number(value, "clients").unwrap_or(0),
            words: list("words")?,
            servers: list("servers")?,
            machine: value.get("machine")?.as_str()?.to_owned(),
        })
    }
}

fn number(value: &Value, key: &str) -> Option<u32> {
    u32::try_from(value.get(key)?.as_u64()?).ok()
}

impl Sample {
    fn json(&self) -> Value {
        let mut map = Map::new();
        map.insert("run".to_owned(), json!(self.run));
        map.insert("sitting".to_owned(), json!(self.sitting));
        map.insert("order".to_owned(), json!(self.order));
        map.insert("row".to_owned(), json!(self.row));
        map.insert("round".to_owned(), json!(self.round));
        map.insert("server".to_owned(), json!(self.server));
        map.insert("load_average".to_owned(), json!(self.load_average));
        self.figures.write(&mut map);
        Value::Object(map)
    }

    fn read(value: &Value) -> Option<Sample> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Sample {
            run: text("run")?,
            sitting: number(value, "sitting")?,
            order: number(value, "order")?,
            row: text("row")?,
            round: number(value, "round")?,
            server: text("server")?,
            load_average: value.get("load_average")?.as_f64()?,
            figures: Figures::read(value)?,
        })
    }
}

impl Run {
    /// Reads a run; a last line that was cut off by an interruption is left out.
    pub(crate) fn read(path: &Path) -> Result<Run, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Run::parse(&text).ok_or_else(|| format!("{}: not a run", path.display()))
    }

    fn parse(text: &str) -> Option<Run> {
        let mut values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let head = Head::read(&values.next()?)?;
        Some(Run { head, samples: values.filter_map(|value| Sample::read(&value)).collect() })
    }

    /// All in one value.
    pub(crate) fn json(&self) -> Value {
        let mut value = self.head.json();
        if let Some(map) = value.as_object_mut() {
            map.insert("samples".to_owned(), self.samples.iter().map(Sample::json).collect());
        }
        value
    }

    /// Whether every server of this round of this row has its sample, in one sitting.
    pub(crate) fn has_round(&self, row: &str, round: u32, servers: &[&str]) -> bool {
        let of = |server: &str| {
            self.samples.iter().rev().find(|s| s.row == row && s.round == round && s.server == server)
        };
        let found: Vec<&Sample> = servers.iter().filter_map(|server| of(server)).collect();
        found.len() == servers.len()
            && found.windows(2).all(|pair| matches!(pair, [a, b] if a.sitting == b.sitting))
    }
}

/// A run that is being written.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) run: Run,
    pub(crate) sitting: u32,
    file: fs::File,
}

impl Writer {
    /// A fresh run in `folder`.
    pub(crate) fn create(folder: &Path, head: Head) -> Result<Writer, String> {
        fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        let path = folder.join(format!("{}.jsonl", head.run));
        let mut file = fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        writeln!(file, "{}", head.json()).map_err(|e| e.to_string())?;
        Ok(Writer { path, run: Run { head, samples: Vec::new() }, sitting: 1, file })
    }

    /// The newest run in `folder`, to go on with; rounds that are not whole are forgotten.
    pub(crate) fn resume(folder: &Path) -> Result<Writer, String> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
        files.sort();
        let path = files.pop().ok_or("no run to go on with")?;
        let run = Run::read(&path)?;
        let sitting = run.samples.iter().map(|sample| sample.sitting).max().unwrap_or(0) + 1;
        let mut file = fs::OpenOptions::new().append(true).open(&path).map_err(|e| e.to_string())?;
        // Ends a line that was cut off.
        writeln!(file).map_err(|e| e.to_string())?;
        Ok(Writer { path, run, sitting, file })
    }

    /// Keeps one sample.
    pub(crate) fn add(&mut self, sample: Sample) -> Result<(), String> {
        writeln!(self.file, "{}", sample.json()).map_err(|e| format!("{}: {e}", self.path.display()))?;
        self.run.samples.push(sample);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample(order: u32, round: u32, server: &str) -> Sample {
        Sample {
            run: "r1".to_owned(),
            sitting: 1,
            order,
            row: "row".to_owned(),
            round,
            server: server.to_owned(),
            load_average: 1.0,
            figures: Figures { done: 10, elapsed_s: 1.0, ..Figures::default() },
        }
    }

    #[test]
    fn an_interrupted_run_keeps_whole_lines_and_knows_its_rounds() {
        let head = Head {
            run: "r1".to_owned(),
            rounds: 2,
            ms: 3,
            clients: 4,
            words: vec!["x".to_owned()],
            servers: Vec::new(),
            machine: "2 cores".to_owned(),
        };
        let mut text = format!("{}\n", head.json());
        for line in [sample(1, 1, "a"), sample(2, 1, "b"), sample(3, 2, "a")] {
            text += &format!("{}\n", line.json());
        }
        text += "{\"run\": \"r1\", \"sitt";
        let run = Run::parse(&text).expect("reads");
        assert_eq!((&run.head, run.samples.len()), (&head, 3));
        assert!(run.has_round("row", 1, &["a", "b"]));
        assert!(!run.has_round("row", 2, &["a", "b"]));
        // The rest of a round in a later sitting doesn't make it whole.
        let mut later = run;
        later.samples.push(Sample { sitting: 2, ..sample(4, 2, "b") });
        assert!(!later.has_round("row", 2, &["a", "b"]));
        assert!(Run::parse("nonsense").is_none());
    }
}
