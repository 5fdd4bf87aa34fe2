//! Running a program with a message on its standard input, as local(8) and pipe(8) do.
//!
//! The program has the user's ids, no supplementary groups, a process group of its own, and an environment made for it. What
//! it says is kept up to a bound and the rest thrown away; when its time is over, its whole group is killed. A program
//! that closes its output and goes on holds nobody up longer than that. sysexits(3) and RFC 3463 say what its end means.

use super::ending::{Ending, STOPPING};
use crate::strerror::strerror;
use mail::Dsn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much of what a program says is kept.
const OUTPUT_BYTES_MAX: usize = 4096;
/// How much of the message is handed over at once.
const PIECE_BYTES: usize = 32 * 1024;

/// A program to be run.
#[derive(Debug)]
pub struct Program {
    /// What is run, and its arguments.
    pub argv: Vec<String>,
    /// As people know it, for messages.
    pub shown: String,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    /// Where it runs.
    pub directory: String,
    /// Whose ids it gets; `None` for our own.
    pub ids: Option<(u32, u32)>,
    /// When it is killed.
    pub time_limit: Duration,
    /// The largest file that it may write; 0 for any.
    pub file_bytes_max: u64,
    /// It is killed then, too.
    pub ending: Ending,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    ended: Ended,
    output: Vec<u8>,
}

#[derive(Debug)]
enum Ended {
    By(ExitStatus),
    OutOfTime,
    /// The server stops.
    CutShort,
    NotStarted(String),
    /// There is no such directory to run in.
    Nowhere(String),
}

/// What /bin/sh is called, and calls itself.
const SHELL: &str = "sh";
/// Commands that only a shell knows.
const BUILT_IN: &[&str] = &[
    "!", ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exec", "exit",
    "export", "fc", "fg", "for", "function", "getopts", "hash", "history", "if", "jobs", "kill", "local",
    "login", "newgrp", "pwd", "read", "readonly", "return", "select", "set", "shift", "source", "test",
    "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

/// The words that run `command`: by a shell where it needs one.
#[must_use]
pub fn words(command: &str, shell: &str) -> Vec<String> {
    let split = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if !shell.is_empty() {
        let mut argv = split(shell);
        argv.push(command.to_owned());
        return argv;
    }
    let is_plain = command.chars().all(|c| c.is_ascii_alphanumeric() || "!@%-_=+:,./ \t".contains(c));
    let argv = split(command);
    match argv.first() {
        Some(first) if is_plain && !BUILT_IN.contains(&first.as_str()) && !first.contains('=') => argv,
        _ => vec![SHELL.to_owned(), "-c".to_owned(), command.to_owned()],
    }
}

/// Runs a program with `input` on its standard input. Blocks.
pub fn run(program: &Program, input: &mut dyn Read) -> Ran {
    match start(program) {
        Ok((child, output)) => attend(child, output, input, program),
        Err(error) => {
            let name = program.argv.first().map_or("", String::as_str);
            let text = format!("execvp {name}: {}", strerror(&error));
            let directory = &program.directory;
            if let Err(error) = std::fs::read_dir(directory).map(drop)
                && error.kind() == io::ErrorKind::NotFound
            {
                let (uid, gid) = program.ids.unwrap_or_default();
                let why = strerror(&error);
                let text =
                    format!("cannot change directory to \"{directory}\" for uid={uid} gid={gid}: {why}");
                return Ran { ended: Ended::Nowhere(text), output: Vec::new() };
            }
            Ran { ended: Ended::NotStarted(text), output: Vec::new() }
        }
    }
}

fn start(program: &Program) -> io::Result<(Child, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let (name, arguments) = program.argv.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(if name == SHELL { "/bin/sh" } else { name });
    command.arg0(name).args(arguments).env_clear().current_dir(&program.directory).process_group(0);
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    if let Some((uid, gid)) = program.ids {
        command.uid(uid).gid(gid);
    }
    let child = command.spawn()?;
    if program.file_bytes_max > 0
        && let Some(pid) = pid(&child)
    {
        let limit = Some(program.file_bytes_max);
        // One that is gone already writes nothing.
        let _ = prlimit(Some(pid), Resource::Fsize, Rlimit { current: limit, maximum: limit });
    }
    Ok((child, reader))
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Hands the message over and takes what is said, until that ends or time is over.
fn attend(mut child: Child, mut output: io::PipeReader, input: &mut dyn Read, program: &Program) -> Ran {
    let (deadline, ending) = (Instant::now() + program.time_limit, &program.ending);
    let mut stdin = child.stdin.take();
    if let Some(stdin) = &stdin {
        // Nobody who doesn't read holds us up.
        let _ = rustix::fs::fcntl_setfl(stdin, rustix::fs::OFlags::NONBLOCK);
    }
    let (mut piece, mut given) = (Vec::new(), 0);
    let mut kept = Vec::new();
    let mut buffer = vec![0_u8; 4096];
    let ended = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break Ended::OutOfTime;
        }
        if ending.has_begun() {
            break Ended::CutShort;
        }
        if stdin.is_some() && given >= piece.len() {
            piece.clear();
            given = 0;
            let came = Read::take(&mut *input, PIECE_BYTES as u64).read_to_end(&mut piece);
            if !matches!(came, Ok(count) if count > 0) {
                stdin = None;
            }
        }
        let readable = wait(&output, stdin.as_ref(), (left, ending));
        if let Some(to) = &mut stdin {
            match to.write(piece.get(given..).unwrap_or_default()) {
                Ok(count) => given += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It doesn't want the rest; its exit status says what it thinks of it.
                Err(_) => stdin = None,
            }
        }
        if readable {
            match output.read(&mut buffer) {
                Ok(0) => break reap(&mut child, deadline, ending),
                Ok(count) => {
                    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
                    kept.extend(buffer.iter().take(count.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break reap(&mut child, deadline, ending),
            }
        }
    };
    // Whatever it has left behind goes too, when its time is over.
    if matches!(ended, Ended::OutOfTime | Ended::CutShort) {
        if let Some(pid) = pid(&child) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    Ran { ended, output: kept }
}

/// Waits until something can be read, or written; whether it can be read.
fn wait(
    output: &io::PipeReader,
    stdin: Option<&std::process::ChildStdin>,
    (left, ending): (Duration, &Ending),
) -> bool {
    let mut watched = vec![PollFd::new(output, PollFlags::IN)];
    let ending = ending.descriptor();
    watched.extend(ending.as_ref().map(|ending| PollFd::new(ending, PollFlags::IN)));
    watched.extend(stdin.map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
    let timeout = Timespec::try_from(left.min(Duration::from_secs(60))).ok();
    let _ = poll(&mut watched, timeout.as_ref());
    watched.first().is_some_and(|output| !output.revents().is_empty())
}

/// It has closed its output: it ends now, or when its time is over.
fn reap(child: &mut Child, deadline: Instant, ending: &Ending) -> Ended {
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ended::By(status),
            Ok(None) if Instant::now() >= deadline => return Ended::OutOfTime,
            Ok(None) if ending.rest(pause) => return Ended::CutShort,
            Ok(None) => {}
            Err(_) => return Ended::OutOfTime,
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Why a program's end was no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// 4.x.x or 5.x.x.
    pub dsn: Dsn,
    /// What the log and the sender are told.
    pub text: String,
    /// Warnings for the log.
    pub warnings: Vec<String>,
}

impl Ran {
    /// What its end means: what it said on success, or the failure. `agent` is the delivery agent's name.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn verdict(self, command: &str, agent: &str) -> Result<String, Failure> {
        let output = printable(&self.output);
        let failure = |dsn, text: String| Failure { dsn, text, warnings: Vec::new() };
        let said =
            |text: String| if output.is_empty() { text } else { format!("{text}. Command output: {output}") };
        let status = match self.ended {
            Ended::By(status) => status,
            Ended::OutOfTime => {
                let text = said(format!("Command time limit exceeded: \"{command}\""));
                let warnings = vec!["pipe_command_read: read time limit exceeded".to_owned()];
                return Err(Failure { warnings, ..failure(Dsn::new(5, 3, 0), text) });
            }
            Ended::CutShort => return Err(failure(Dsn::new(4, 3, 0), STOPPING.to_owned())),
            Ended::Nowhere(why) => {
                let warnings = vec![format!("fatal: {why}")];
                let text = "temporary failure".to_owned();
                return Err(Failure { warnings, ..failure(Dsn::new(4, 3, 0), text) });
            }
            Ended::NotStarted(why) => {
                let why = if agent == "pipe" { format!("pipe_command: {why}") } else { why };
                let text = format!("temporary failure. Command output: {agent}: fatal: {why} ");
                let warnings = vec![format!("fatal: {why}")];
                return Err(Failure { warnings, ..failure(Dsn::new(4, 3, 0), text) });
            }
        };
        if status.success() {
            return Ok(output);
        }
        if let Some(signal) = status.signal() {
            return Err(failure(
                Dsn::new(4, 3, 0),
                said(format!("Command died with signal {signal}: \"{command}\"")),
            ));
        }
        if let Some((dsn, text)) = Dsn::parse_prefix(&output) {
            let text = text.trim_start().to_owned();
            return Err(if matches!(dsn.class, 4 | 5) {
                failure(dsn, text)
            } else {
                let warnings = vec![format!("bounce_append: ignoring dsn code \"{dsn}\"")];
                Failure { warnings, ..failure(Dsn::new(5, 0, 0), text) }
            });
        }
        let code = status.code().unwrap_or(-1);
        Err(match sysexit(code) {
            Some((dsn, text)) => failure(dsn, said(text.to_owned())),
            None => {
                failure(Dsn::new(5, 3, 0), said(format!("Command died with status {code}: \"{command}\"")))
            }
        })
    }
}

/// sysexits(3).
const fn sysexit(code: i32) -> Option<(Dsn, &'static str)> {
    Some(match code {
        64 => (Dsn::new(5, 3, 0), "command line usage error"),
        65 => (Dsn::new(5, 6, 0), "data format error"),
        66 => (Dsn::new(5, 3, 0), "cannot open input"),
        67 => (Dsn::new(5, 1, 1), "user unknown"),
        68 => (Dsn::new(5, 1, 2), "host name unknown"),
        69 => (Dsn::new(5, 3, 0), "service unavailable"),
        70 => (Dsn::new(5, 3, 0), "internal software error"),
        71 => (Dsn::new(4, 3, 0), "system resource problem"),
        72 => (Dsn::new(5, 3, 0), "critical OS file missing"),
        73 => (Dsn::new(5, 2, 0), "can't create user output file"),
        74 => (Dsn::new(5, 3, 0), "input/output error"),
        75 => (Dsn::new(4, 3, 0), "temporary failure"),
        76 => (Dsn::new(5, 5, 0), "remote error in protocol"),
        77 => (Dsn::new(5, 7, 0), "permission denied"),
        78 => (Dsn::new(5, 3, 5), "local configuration error"),
        _ => return None,
    })
}

/// What was said, in one line.
fn printable(output: &[u8]) -> String {
    // As Postfix has it: underscores here, question marks elsewhere.
    let text = mail::legible(output, '_');
    text.chars()
        .map(|c| {
            if c.is_control() && !c.is_ascii_whitespace() {
                '_'
            } else if c.is_whitespace() {
                ' '
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(command: &str, input: &str, time_limit: Duration) -> String {
        let program = Program {
            argv: words(command, ""),
            shown: command.to_owned(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            directory: "/".to_owned(),
            ids: None,
            time_limit,
            file_bytes_max: 0,
            ending: Ending::default(),
        };
        match run(&program, &mut input.as_bytes()).verdict(command, "local") {
            Ok(output) => format!("sent {output}"),
            Err(failure) => format!("{} {}", failure.dsn, failure.text),
        }
    }

    #[test]
    fn ends_and_what_they_mean() {
        let check = |command: &str, expect: &str| {
            assert_eq!(outcome(command, "mail\n", Duration::from_secs(20)), expect, "{command}");
        };
        check("/bin/true", "sent ");
        check("cat", "sent mail ");
        check("exit 0", "sent ");
        check("echo no way; exit 67", "5.1.1 user unknown. Command output: no way ");
        check("exit 75", "4.3.0 temporary failure");
        check("exit 3", "5.3.0 Command died with status 3: \"exit 3\"");
        check("echo 4.2.9 later; exit 1", "4.2.9 later ");
        check("echo 5.2.2; exit 75", "5.2.2 ");
        check("echo 2.1.1 ok; exit 1", "5.0.0 ok ");
        check("kill -9 $$", "4.3.0 Command died with signal 9: \"kill -9 $$\"");
        check(
            "/nope/prog",
            "4.3.0 temporary failure. Command output: local: fatal: execvp /nope/prog: No such file or directory ",
        );
    }

    #[test]
    fn words_need_a_shell_or_not() {
        let check = |command: &str, expect: &[&str]| assert_eq!(words(command, ""), expect, "{command}");
        check("/usr/bin/procmail -d joe", &["/usr/bin/procmail", "-d", "joe"]);
        check("a $X", &["sh", "-c", "a $X"]);
        check("exit 0", &["sh", "-c", "exit 0"]);
        check("A=b c", &["sh", "-c", "A=b c"]);
        assert_eq!(words("a b", "/bin/smrsh -c"), ["/bin/smrsh", "-c", "a b"]);
    }

    /// A program that doesn't read, one that says gigabytes, one that never ends and leaves others behind.
    #[test]
    fn programs_that_misbehave() {
        let large = "x".repeat(4_000_000);
        assert_eq!(outcome("exit 0", &large, Duration::from_secs(20)), "sent ");
        let said = outcome("yes | head -c 50000000; exit 1", &large, Duration::from_secs(30));
        assert!(said.starts_with("5.3.0 Command died with status 1") && said.len() < 5_000, "{}", said.len());
        let before = Instant::now();
        let said = outcome("sleep 60 & sleep 60", &large, Duration::from_millis(300));
        assert_eq!(said, "5.3.0 Command time limit exceeded: \"sleep 60 & sleep 60\"");
        let said = outcome("exec >/dev/null 2>&1; sleep 60", "", Duration::from_millis(300));
        assert!(said.starts_with("5.3.0 Command time limit exceeded"), "{said}");
        assert!(before.elapsed() < Duration::from_secs(20));
    }
}
