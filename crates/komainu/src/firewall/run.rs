//! Programs run for actions: with a time limit, their words kept, none of their children left behind.

use ban::action::Script;
use ban::action::plain::{Command, Step, steps};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The most that a program's words are kept of; one that says more than this doesn't get it written.
const SAID_BYTES_MAX: u64 = 4 << 20;
/// The most of it that an administrator is told.
const TOLD_CHARS_MAX: usize = 600;

/// Runs a script: its commands one by one where it needs no shell, else `sh -c`.
pub(super) fn script(script: &Script, patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience;
    let left = || until.saturating_duration_since(Instant::now());
    let Some(steps) = steps(script) else {
        let words = ["/bin/sh".to_owned(), "-c".to_owned(), script.text.clone()];
        return program(&words, &script.variables, None, left()).map(drop);
    };
    // As a shell would: all of them, also behind one that fails.
    let mut first = Ok(());
    for step in &steps {
        let outcome = match step {
            Step::Run(command) => one(command, left()),
            Step::Unless(test, others) => one(test, left())
                .or_else(|_| others.iter().map(|command| one(command, left())).fold(Ok(()), Result::and)),
        };
        first = first.and(outcome);
    }
    first
}

fn one(command: &Command, patience: Duration) -> Result<(), String> {
    let outcome = program(&command.words, &[], None, patience).map(drop);
    if command.may_fail { Ok(()) } else { outcome }
}

/// Asks a command: yes where it ends with 0, no where it ends with another number.
///
/// # Errors
/// When it can't be run, takes too long, or is killed.
pub(crate) fn verdict(script: &Script, patience: Duration) -> Result<bool, String> {
    let words = match steps(script).as_deref() {
        Some([Step::Run(command)]) if !command.may_fail => command.words.clone(),
        _ => ["/bin/sh", "-c", &script.text].map(str::to_owned).to_vec(),
    };
    let (ended, said) = ended(&words, &script.variables, None, patience)?;
    match ended {
        Some(status) if status.code().is_some_and(|code| code < 126) => Ok(status.success()),
        status => Err(failure(&words, status, &said, patience)),
    }
}

/// Memory that a program writes to: it has an end, and nobody has to read beside it.
fn paper() -> io::Result<File> {
    let file =
        File::from(rustix::fs::memfd_create(c"said", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(SAID_BYTES_MAX)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file)
}

fn read(mut file: File) -> String {
    let mut bytes = Vec::new();
    let length = file.stream_position().unwrap_or(0);
    // What can't be read is nothing said.
    let _ = file.rewind().and_then(|()| file.take(length).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a program, with `input` as its standard input; what it printed, or why it failed, in its own words.
pub(super) fn program(
    words: &[String],
    variables: &[(String, String)],
    input: Option<&str>,
    patience: Duration,
) -> Result<String, String> {
    let (status, said) = ended(words, variables, input, patience)?;
    match status {
        Some(status) if status.success() => Ok(said.0),
        status => Err(failure(words, status, &said, patience)),
    }
}

/// Why a program failed, in its own words.
fn failure(
    words: &[String],
    status: Option<ExitStatus>,
    (out, err): &(String, String),
    patience: Duration,
) -> String {
    let said = if err.trim().is_empty() { out } else { err };
    let how = status.map_or(format!("took longer than {:.0} s", patience.as_secs_f64().ceil()), |status| {
        status.to_string()
    });
    format!("`{}`: {how}: {}", told(&words.join(" ")), told(said.trim()))
}

/// Runs a program to its end: how it ended (`None` where it took too long), and what it printed and complained of.
fn ended(
    words: &[String],
    variables: &[(String, String)],
    input: Option<&str>,
    patience: Duration,
) -> Result<(Option<ExitStatus>, (String, String)), String> {
    let (name, arguments) = words.split_first().ok_or("an empty command")?;
    let unable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("`{name}` is not installed"),
        _ => format!("`{name}` can't be run: {error}"),
    };
    let stdin = match input {
        None => Stdio::null(),
        Some(input) => {
            let mut file = File::from(
                rustix::fs::memfd_create(c"input", MemfdFlags::CLOEXEC).map_err(|e| unable(e.into()))?,
            );
            file.write_all(input.as_bytes()).and_then(|()| file.rewind()).map_err(unable)?;
            Stdio::from(file)
        }
    };
    let (out, err) = (paper().map_err(unable)?, paper().map_err(unable)?);
    let mut child = std::process::Command::new(name)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(stdin)
        .stdout(out.try_clone().map_err(unable)?)
        .stderr(err.try_clone().map_err(unable)?)
        .process_group(0)
        .spawn()
        .map_err(unable)?;
    let status = wait(&mut child, patience).map_err(unable)?;
    Ok((status, (read(out), read(err))))
}

fn told(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(TOLD_CHARS_MAX).collect()
}

/// How it ended; `None` where it took too long, and was killed with all that it started.
fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + patience;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(group) = group {
                // It may have ended meanwhile.
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn run(text: &str, variables: &[(&str, &str)]) -> Result<(), String> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        script(&Script { text: text.to_owned(), variables }, LONG)
    }

    #[test]
    fn programs_speak_for_themselves() {
        assert_eq!(run("true", &[]), Ok(()));
        let failed = run("ls /nonexistent/x", &[]).unwrap_err();
        assert!(
            failed.contains("`ls /nonexistent/x`: exit status: 2:") && failed.contains("No such file"),
            "{failed}"
        );
        assert_eq!(run("nosuchprogram x", &[]), Err("`nosuchprogram` is not installed".to_owned()));
        assert_eq!(run("{ false; } || { true; }\nfalse || true", &[]), Ok(()));
        assert!(run("{ false; } || { true; false; }", &[]).is_err());
        assert!(run("echo said; echo more >&2; exit 3", &[]).unwrap_err().ends_with("exit status: 3: more"));
    }

    #[test]
    fn commands_that_are_asked() {
        let ask = |text: &str| {
            let script = Script { text: text.to_owned(), variables: vec![("x".into(), "$(exit 0)".into())] };
            verdict(&script, LONG)
        };
        assert_eq!(
            (ask("true"), ask("false"), ask("exit 7"), ask("false; true")),
            (Ok(true), Ok(false), Ok(false), Ok(true))
        );
        assert_eq!(ask("[ \"$x\" = '$(exit 0)' ]"), Ok(true));
        for text in ["kill -9 $$", "nosuchprogram", "/etc/passwd"] {
            assert!(ask(text).is_err(), "{text}");
        }
        let plain = |text: &str| Script { text: text.to_owned(), variables: Vec::new() };
        assert_eq!(verdict(&plain("test 1 = 1"), LONG), Ok(true));
        assert!(verdict(&plain("nosuchprogram"), LONG).unwrap_err().contains("is not installed"));
        let slow = verdict(&plain("sleep 1000"), Duration::from_millis(100)).unwrap_err();
        assert!(slow.contains("took longer than"), "{slow}");
    }

    #[test]
    fn what_takes_too_long_ends_with_all_that_it_started() {
        let words = ["/bin/sh", "-c", "sleep 1000 & echo $!; echo waits >&2; wait"].map(str::to_owned);
        let failed = program(&words, &[], None, Duration::from_millis(300)).unwrap_err();
        assert!(failed.contains("took longer than"), "{failed}");
    }

    #[test]
    fn a_program_that_says_too_much_is_cut_short() {
        let words = ["/bin/sh", "-c", "exec head -c 20000000 /dev/zero"].map(str::to_owned);
        assert!(program(&words, &[], None, LONG).is_err());
        let words = ["cat".to_owned()];
        assert_eq!(program(&words, &[], Some("to\nhim\n"), LONG), Ok("to\nhim\n".to_owned()));
    }

    /// What a client chose reaches the shell as the value of a variable.
    #[test]
    fn no_value_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for hostile in [
            format!("$(touch {0})`touch {0}`;touch {0}|touch {0}&touch {0}\ntouch {0}", at("pwned")),
            format!("'; touch {}; '", at("pwned")),
        ] {
            let out = at("out");
            run(&format!("printf '%s\\n' \"$f2bV_x\" $f2bV_x '$f2bV_x' > {out}"), &[("f2bV_x", &hostile)])
                .unwrap();
            let said = std::fs::read_to_string(&out).unwrap();
            assert!(said.starts_with(&hostile), "{said}");
            assert!(!folder.path().join("pwned").exists());
        }
    }
}
