//! Passwords that PAM judges, each in a process of its own with a deadline.
//!
//! The helper starts the program again for each question: libpam's modules may sleep, leak or crash, and none of that
//! is to be the helper's. Whoever hasn't answered in time is killed, with its process group. What PAM would have slept
//! after a wrong password the session waits instead, without a thread. No session of PAM's is opened and no
//! credentials are set: nobody logs in to the machine. The calls into libpam are `library`'s.

mod library;

use super::wire::{Answer, PasswordRequest};
use library::{Asked, Pam};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The subcommand under which a question's process is started; not for people.
pub const SUBCOMMAND: &str = "__ask-pam";
/// As long as Postfix waits for Dovecot.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer, or of a question.
const BYTES_MAX: u64 = 64 * 1024;
/// For modules that start programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What PAM says of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    /// After a pause, and for a reason that the administrator wants to know.
    Wrong(Duration, String),
    /// It can't say.
    Unable(String),
}

impl Verdict {
    fn line(&self) -> String {
        match self {
            Verdict::Right => "right\n".to_owned(),
            Verdict::Wrong(pause, why) => format!("wrong {} {why}\n", pause.as_millis()),
            Verdict::Unable(why) => format!("unable {why}\n"),
        }
    }

    fn parse(line: &str) -> Option<Verdict> {
        let line = line.strip_suffix('\n')?;
        if line == "right" {
            return Some(Verdict::Right);
        }
        if let Some(why) = line.strip_prefix("unable ") {
            return Some(Verdict::Unable(why.to_owned()));
        }
        let (pause, why) = line.strip_prefix("wrong ")?.split_once(' ')?;
        Some(Verdict::Wrong(Duration::from_millis(pause.parse().ok()?).min(PATIENCE), why.to_owned()))
    }
}

/// What PAM says of a password by the rules of `service`.
pub(super) fn judge(service: &str, request: &PasswordRequest, patience: Duration) -> Answer {
    match asked(service, request, Instant::now() + patience) {
        Ok(Some(Verdict::Right)) => Answer::Done,
        Ok(Some(Verdict::Wrong(pause, why))) => Answer::Permanent(format!("{} {why}", pause.as_millis())),
        Ok(Some(Verdict::Unable(why))) => Answer::Temporary(format!("PAM service {service}: {why}")),
        Ok(None) => {
            Answer::Temporary(format!("PAM service {service}: no answer in {} s", patience.as_secs()))
        }
        Err(error) => Answer::Temporary(format!("PAM service {service}: {error}")),
    }
}

/// `None` where time is up.
fn asked(service: &str, request: &PasswordRequest, until: Instant) -> io::Result<Option<Verdict>> {
    let mut child = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let texts = [service.as_bytes(), request.name.as_bytes(), request.client.as_bytes(), &request.password];
    if let Some(mut input) = child.stdin.take() {
        // One that has gone already says so by its silence. A question fits into a pipe, so this doesn't wait.
        let _ = input.write_all(&texts.join(&0));
    }
    let said = child.stdout.take().map_or_else(|| Ok(None), |output| heard(output, until));
    end(&mut child);
    let Some(said) = said? else { return Ok(None) };
    let ended = || io::Error::other("its process ended without an answer");
    Verdict::parse(&String::from_utf8_lossy(&said)).map(Some).ok_or_else(ended)
}

/// A line, or what came before the end.
fn heard(mut output: ChildStdout, until: Instant) -> io::Result<Option<Vec<u8>>> {
    let (mut said, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut ready = [PollFd::new(&output, PollFlags::IN)];
        let wait = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut ready, Some(&wait)) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let count = output.read(&mut piece)?;
        said.extend(piece.iter().take(count));
        if count == 0 || said.ends_with(b"\n") || said.len() as u64 > BYTES_MAX {
            return Ok(Some(said));
        }
    }
}

/// Ends the process, and what modules started in its group.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    // It has been killed, so this is soon.
    let _ = child.wait();
}

/// The question's process: the question on standard input, the answer on standard output.
#[must_use]
pub fn answer() -> ExitCode {
    let answered = (|| {
        // With the helper this goes, too.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let mut output = own_output()?;
        let mut said = Vec::new();
        io::stdin().lock().take(BYTES_MAX).read_to_end(&mut said)?;
        output.write_all(verdict(&said).line().replace('\r', " ").as_bytes())
    })();
    if answered.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where the answer goes; what modules print goes nowhere.
fn own_output() -> io::Result<File> {
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(output.into())
}

fn verdict(said: &[u8]) -> Verdict {
    let texts: Option<Vec<CString>> =
        said.split(|&byte| byte == 0).map(|text| CString::new(text).ok()).collect();
    // A password with a NUL in it has more parts: nobody has one.
    let Some(Ok([service, user, client, password])) = texts.map(<[CString; 4]>::try_from) else {
        return Verdict::Wrong(Duration::ZERO, String::new());
    };
    match Pam::load() {
        Ok(pam) => pam.ask(Asked { service, user, client, password }),
        Err(error) => Verdict::Unable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_through() {
        for verdict in [
            Verdict::Right,
            Verdict::Wrong(Duration::from_millis(1900), String::new()),
            Verdict::Wrong(Duration::ZERO, "User account has expired".to_owned()),
            Verdict::Unable("Module is unknown".to_owned()),
        ] {
            assert_eq!(Verdict::parse(&verdict.line()), Some(verdict));
        }
        for line in
            ["", "right", "right \n", "rights\n", "wrong\n", "wrong x y\n", "wrong -1 y\n", "wrong 1\n"]
        {
            assert_eq!(Verdict::parse(line), None, "{line}");
        }
        let long = format!("wrong {} x\n", u64::MAX);
        assert_eq!(Verdict::parse(&long), Some(Verdict::Wrong(PATIENCE, "x".to_owned())));
    }

    #[test]
    fn a_question_has_four_parts() {
        let wrong = Verdict::Wrong(Duration::ZERO, String::new());
        for said in [b"".as_slice(), b"smtp\0alice\0", b"smtp\0alice\0::1\0pass\0word"] {
            assert_eq!(verdict(said), wrong);
        }
    }
}
