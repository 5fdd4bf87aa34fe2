//! The load, in a process of its own: its CPU is not the server's, and its pauses are not the server's either.
//!
//! The parent says what by words `key=value`, and reads one line of JSON when it is over. Never does it block on one
//! client: all are tasks of one thread, and a client that is not taken at once just waits.

mod crowd;
mod honest;
mod sessions;
pub(crate) mod wire;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The subcommand.
pub(crate) const WORD: &str = "generate";

/// What one client does, and is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// A session with one message, which is taken.
    Accept,
    /// A session whose recipient is refused.
    RefusedRecipient,
    /// A connection that is refused in place of the greeting.
    RefusedGreeting,
    /// Connect, be greeted, quit.
    Greeted,
    /// Be kept waiting at RCPT, for ever again.
    Sleeper,
    /// Talk without end or purpose: EHLO, NOOP, RSET.
    Chatterer,
    /// Messages at even times, whatever became of those before.
    Honest,
    /// Connect and stay, greeted or not.
    HeldConnected,
    /// Stay behind the greeting.
    HeldGreeted,
    /// Stay behind EHLO.
    HeldEhlo,
    /// Stay behind MAIL.
    HeldMail,
}

const PLAYS: [(Play, &str); 11] = [
    (Play::Accept, "accept"),
    (Play::RefusedRecipient, "refused-recipient"),
    (Play::RefusedGreeting, "refused-greeting"),
    (Play::Greeted, "greeted"),
    (Play::Sleeper, "sleeper"),
    (Play::Chatterer, "chatterer"),
    (Play::Honest, "honest"),
    (Play::HeldConnected, "held-connected"),
    (Play::HeldGreeted, "held-greeted"),
    (Play::HeldEhlo, "held-ehlo"),
    (Play::HeldMail, "held-mail"),
];

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) play: Play,
    /// Clients at once.
    pub(crate) connections: u32,
    /// Sessions in all, at most.
    pub(crate) count: u32,
    /// No session begins after this many milliseconds.
    pub(crate) ms: u32,
    /// The first of the clients' addresses.
    pub(crate) from: Ipv4Addr,
    /// How many addresses they come from.
    pub(crate) addresses: u32,
    /// The recipient's domain.
    pub(crate) domain: &'static str,
    /// The message's size.
    pub(crate) body_bytes: u32,
}

/// The recipients' domains.
pub(crate) const DISCARD: &str = "discard.example";
/// Maildirs.
pub(crate) const BOX: &str = "box.example";
/// A thousand of them.
pub(crate) const BOXES: &str = "boxes.example";
/// At another server.
pub(crate) const RELAY: &str = "relay.example";
/// At many other servers, ten messages for each.
pub(crate) const FLOOD: &str = "flood";

impl Load {
    fn words(&self) -> Vec<String> {
        let play = PLAYS.iter().find(|(play, _)| *play == self.play).map_or("", |(_, name)| name);
        vec![
            format!("play={play}"),
            format!("connections={}", self.connections),
            format!("count={}", self.count),
            format!("ms={}", self.ms),
            format!("from={}", self.from),
            format!("addresses={}", self.addresses),
            format!("domain={}", self.domain),
            format!("body={}", self.body_bytes),
        ]
    }

    fn parse(words: &[String]) -> Result<Load, String> {
        let mut load = Load {
            play: Play::Accept,
            connections: 1,
            count: u32::MAX,
            ms: 1000,
            from: Ipv4Addr::new(203, 0, 113, 1),
            addresses: 1,
            domain: DISCARD,
            body_bytes: 4096,
        };
        for word in words {
            let wrong = || format!("can't read {word:?}");
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            let number = || value.parse::<u32>().map_err(|_| wrong());
            match key {
                "play" => {
                    let found = PLAYS.iter().find(|(_, name)| *name == value);
                    load.play = found.ok_or_else(wrong)?.0;
                }
                "connections" => load.connections = number()?,
                "count" => load.count = number()?,
                "ms" => load.ms = number()?,
                "from" => load.from = value.parse().map_err(|_| wrong())?,
                "addresses" => load.addresses = number()?.max(1),
                "domain" => {
                    let known = [BOX, BOXES, RELAY, FLOOD].into_iter().find(|domain| *domain == value);
                    load.domain = known.unwrap_or(DISCARD);
                }
                "body" => load.body_bytes = number()?,
                _ => return Err(wrong()),
            }
        }
        Ok(load)
    }

    /// The address of client `number`.
    fn address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.from).wrapping_add(number % self.addresses.max(1)))
    }
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Sessions that ended as they should.
    pub(crate) done: u32,
    /// From the first connection to the last end.
    pub(crate) elapsed: Duration,
    /// Of each session, in ms.
    pub(crate) took_ms: Vec<f64>,
    /// Clients who lost patience; their time is in `took_ms` too.
    pub(crate) gave_up: u32,
    /// The first reply that should not have come.
    pub(crate) unexpected: Option<String>,
}

impl Outcome {
    fn json(&self) -> Value {
        let took: Vec<f64> = self.took_ms.iter().map(|ms| (ms * 1000.0).round() / 1000.0).collect();
        json!({"done": self.done, "elapsed_s": self.elapsed.as_secs_f64(), "took_ms": took,
               "gave_up": self.gave_up, "unexpected": self.unexpected})
    }

    fn parse(line: &str) -> Option<Outcome> {
        let value: Value = serde_json::from_str(line).ok()?;
        let took = value.get("took_ms")?.as_array()?.iter().filter_map(Value::as_f64).collect();
        Some(Outcome {
            done: u32::try_from(value.get("done")?.as_u64()?).ok()?,
            elapsed: Duration::try_from_secs_f64(value.get("elapsed_s")?.as_f64()?).ok()?,
            took_ms: took,
            gave_up: u32::try_from(value.get("gave_up")?.as_u64()?).ok()?,
            unexpected: value.get("unexpected")?.as_str().map(str::to_owned),
        })
    }
}

/// A generator that runs.
pub(crate) struct Running {
    child: Child,
    lines: Lines,
}

/// What it says, line by line, as it comes.
type Lines = std::sync::mpsc::Receiver<std::io::Result<String>>;

/// Starts a generator.
pub(crate) fn start(load: &Load) -> Result<Running, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .arg(WORD)
        .args(load.words())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            // Whoever listened may have lost interest.
            let _ = sender.send(line);
        }
    });
    Ok(Running { child, lines })
}

impl Running {
    /// What it said at its end.
    pub(crate) fn outcome(self) -> Result<Outcome, String> {
        let line = self.in_place()?;
        Outcome::parse(&line).ok_or_else(|| format!("the generator said {line:?}"))
    }

    /// The same, if it has come to its end.
    pub(crate) fn try_outcome(&self) -> Result<Option<Outcome>, String> {
        use std::sync::mpsc::TryRecvError;
        let line = match self.lines.try_recv() {
            Ok(line) => line.map_err(|e| e.to_string())?,
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => return Err("the generator ended early".to_owned()),
        };
        Outcome::parse(&line).map(Some).ok_or_else(|| format!("the generator said {line:?}"))
    }

    /// Waits until a crowd is in its place.
    pub(crate) fn in_place(&self) -> Result<String, String> {
        let line = self.lines.recv().map_err(|_| "the generator ended early")?;
        line.map_err(|e| e.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays a load and waits for its end.
pub(crate) fn play(load: &Load) -> Result<Outcome, String> {
    start(load)?.outcome()
}

/// The generator's own life.
pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let load = Load::parse(words)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let outcome = runtime.block_on(async {
        match load.play {
            Play::Accept | Play::RefusedRecipient | Play::RefusedGreeting | Play::Greeted => {
                sessions::play(load).await
            }
            Play::Honest => honest::arrive(load).await,
            _ => crowd::stand(load).await,
        }
    })?;
    println!("{}", outcome.json());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_outcomes_come_back() {
        for (play, _) in PLAYS {
            let load = Load {
                play,
                connections: 7,
                count: 8,
                ms: 9,
                from: Ipv4Addr::new(10, 0, 0, 1),
                addresses: 3,
                domain: BOX,
                body_bytes: 11,
            };
            assert_eq!(Load::parse(&load.words()), Ok(load));
            assert_eq!(load.address(4), Ipv4Addr::new(10, 0, 0, 2));
        }
        for wrong in ["play=x", "count=-1", "from=x", "nothing", "a=b"] {
            assert!(Load::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        let outcome = Outcome {
            done: 2,
            elapsed: Duration::from_millis(1500),
            took_ms: vec![1.5, 2.25],
            gave_up: 1,
            unexpected: Some("554 no".to_owned()),
        };
        let back = Outcome::parse(&outcome.json().to_string()).expect("reads");
        assert_eq!((back.done, back.elapsed, &back.took_ms), (2, outcome.elapsed, &outcome.took_ms));
        assert_eq!(back.unexpected, outcome.unexpected);
        assert!(Outcome::parse("{}").is_none());
    }
}
