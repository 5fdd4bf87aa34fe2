//! Who is judged: Debian's Postfix, which is the oracle, and `komainu serve`, both as child processes in a world.
//!
//! A back end is started anew for each dialogue and killed with its whole process group.
//! The in-process back end (a session over memory) has its seat in [`Choice`].

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpgid};

use crate::layout;

/// Which back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The oracle.
    Postfix,
    /// Our server as a process.
    Komainu,
}

impl Choice {
    /// The name in dialogues and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Choice::Postfix => "postfix",
            Choice::Komainu => "komainu",
        }
    }

    /// The choice with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Choice> {
        [Choice::Postfix, Choice::Komainu].into_iter().find(|choice| choice.name() == name)
    }

    /// Where its program is.
    pub fn program(self) -> Result<PathBuf, String> {
        match self {
            Choice::Postfix => ["/usr/lib/postfix/sbin/master", "/usr/libexec/postfix/master"]
                .into_iter()
                .map(PathBuf::from)
                .find(|path| path.exists())
                .ok_or_else(|| "Postfix isn't installed".to_owned()),
            Choice::Komainu => komainu_binary(),
        }
    }
}

fn komainu_binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("KOMAINU_BIN") {
        let path = PathBuf::from(path);
        return if path.exists() { Ok(path) } else { Err(format!("KOMAINU_BIN: no {}", path.display())) };
    }
    // target/debug/deps/dialogues-… or target/debug/dialogue
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("komainu"))
        .find(|path| path.is_file())
        .ok_or_else(|| "no komainu binary (build it, or set KOMAINU_BIN)".to_owned())
}

/// A running server.
pub struct Running {
    choice: Choice,
    child: Child,
    group: Option<Pid>,
}

impl Running {
    /// Starts the server on the configuration that is laid out.
    pub fn start(choice: Choice) -> Result<Running, String> {
        let program = choice.program()?;
        let mut command = Command::new(&program);
        match choice {
            Choice::Postfix => {
                command.args(["-c", layout::CONFIG, "-d"]).env("MAIL_CONFIG", layout::CONFIG);
            }
            Choice::Komainu => {
                command.args(["serve", "--compat", "3.7", "--config", layout::CONFIG]);
                command.args(["--state", layout::STATE]);
            }
        }
        let noise = std::fs::File::create("/var/log/stderr").map_err(|error| error.to_string())?;
        let quiet = noise.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(quiet).stderr(noise).process_group(0);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Running { choice, child, group })
    }

    /// A table was saved: Postfix wants postmap, we don't.
    pub fn index(choice: Choice, name: &str) -> Result<(), String> {
        if choice != Choice::Postfix {
            return Ok(());
        }
        for word in layout::indexed_tables(name) {
            // What it has to say about the lines is said again by nobody; dialogues don't look at it.
            let ran = Command::new("postmap").args(["-c", layout::CONFIG, &word]).output();
            ran.map_err(|error| format!("postmap {word}: {error}"))?;
        }
        Ok(())
    }

    /// Tells the server to read its configuration anew, and waits until it says that it did.
    pub fn reload(&self) -> Result<(), String> {
        let told = |line: &str| line.contains("reload") && !line.contains("smtpd");
        let before = raw_log().lines().filter(|line| told(line)).count();
        let Some(group) = self.group else { return Err("no process".to_owned()) };
        kill_process(group, Signal::HUP).map_err(|error| error.to_string())?;
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if raw_log().lines().filter(|line| told(line)).count() > before {
                std::thread::sleep(Duration::from_millis(50));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} doesn't reload", self.choice.name()))
    }

    /// What the server printed, and whether it is gone.
    pub fn obituary(&mut self) -> String {
        let said = std::fs::read_to_string("/var/log/stderr").unwrap_or_default();
        match self.child.try_wait() {
            Ok(Some(status)) => format!("the server has ended ({status}): {said}"),
            _ => said,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
            // Orphans come to us, the world's first process; their sockets are free once they are reaped.
            while let Ok(Some(_)) = waitpgid(group, WaitOptions::empty()) {}
        }
    }
}

/// The log as it stands.
#[must_use]
pub fn raw_log() -> String {
    std::fs::read(Path::new(layout::LOG))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// A log line without time, host and process number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `postfix/smtpd`.
    pub tag: String,
    /// What it says.
    pub text: String,
}

impl LogLine {
    /// The last part of the tag: `smtpd`.
    #[must_use]
    pub fn program(&self) -> &str {
        self.tag.rsplit('/').next().unwrap_or("")
    }

    /// As it stands in a dialogue.
    #[must_use]
    pub fn render(&self) -> String {
        format!("{}: {}", self.tag, self.text)
    }

    /// The queue id that the line begins with.
    #[must_use]
    pub fn queue_id(&self) -> Option<&str> {
        let (id, _) = self.text.split_once(": ")?;
        let short =
            id.len() >= 6 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
        let long = id.len() >= 12 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (short || long).then_some(id)
    }
}

/// The log's lines so far.
#[must_use]
pub fn log() -> Vec<LogLine> {
    let log = raw_log();
    log.lines()
        .filter_map(|line| {
            // `Nov 22 02:15:49 mx postfix/smtpd[74]: connect …`
            let (head, text) = line.split_once("]: ")?;
            let tag = head.rsplit(' ').next()?.split('[').next()?;
            Some(LogLine { tag: tag.to_owned(), text: text.to_owned() })
        })
        .collect()
}
