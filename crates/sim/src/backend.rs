//! Who is judged: Debian's Postfix, which is the oracle, and `komainu serve`, both as child processes in a world;
//! and Komainu's sessions in this process.
//!
//! A back end is started anew for each dialogue; processes are killed with their whole group.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use crate::client::{self, Stream};
use crate::dialogue::Session;
use crate::in_process::InProcess;
use crate::place::Place;
use crate::{dns, layout};

/// Which back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Our sessions in this process, over memory.
    InProcess,
    /// The oracle.
    Postfix,
    /// Our server as a process.
    Komainu,
}

impl Choice {
    /// All of them, the quickest first.
    pub const ALL: [Choice; 3] = [Choice::InProcess, Choice::Komainu, Choice::Postfix];

    /// The name in dialogues and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Choice::InProcess => "in-process",
            Choice::Postfix => "postfix",
            Choice::Komainu => "komainu",
        }
    }

    /// Whose marked expectations (`<komainu …`, `# only: komainu`) hold for it.
    #[must_use]
    pub const fn side(self) -> &'static str {
        match self {
            Choice::Postfix => "postfix",
            Choice::InProcess | Choice::Komainu => "komainu",
        }
    }

    /// The choice with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Choice> {
        Choice::ALL.into_iter().find(|choice| choice.name() == name)
    }

    /// Where its program is.
    pub fn program(self) -> Result<PathBuf, String> {
        match self {
            Choice::InProcess => std::env::current_exe().map_err(|error| error.to_string()),
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

/// A server that is a process of its own, in a world.
pub struct Process {
    choice: Choice,
    child: Child,
    group: Option<Pid>,
}

impl Process {
    fn start(choice: Choice) -> Result<Process, String> {
        let program = choice.program()?;
        let mut command = Command::new(&program);
        match choice {
            Choice::Postfix => {
                command.args(["-c", layout::CONFIG, "-d"]).env("MAIL_CONFIG", layout::CONFIG);
            }
            Choice::Komainu | Choice::InProcess => {
                command.args(["serve", "--compat", "3.7", "--config", layout::CONFIG, "--state"]);
                command.arg(Place::world().state());
            }
        }
        let noise = std::fs::File::create("/var/log/stderr").map_err(|error| error.to_string())?;
        let quiet = noise.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(quiet).stderr(noise).process_group(0);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Process { choice, child, group })
    }

    /// Tells the server to read its configuration anew, and waits until it says that it did.
    fn reload(&self) -> Result<(), String> {
        let told = |line: &str| line.contains("reload") && !line.contains("smtpd");
        let raw_log = || raw_log(&Place::world());
        let before = raw_log().lines().filter(|line| told(line)).count();
        let Some(group) = self.group else { return Err("no process".to_owned()) };
        kill_process(group, Signal::HUP).map_err(|error| error.to_string())?;
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if raw_log().lines().filter(|line| told(line)).count() > before {
                std::thread::sleep(Duration::from_millis(50));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{} doesn't reload", self.choice.name()))
    }

    fn obituary(&mut self) -> String {
        let said = std::fs::read_to_string("/var/log/stderr").unwrap_or_default();
        match self.child.try_wait() {
            Ok(Some(status)) => format!("the server has ended ({status}): {said}"),
            _ => said,
        }
    }
}

/// Postfix's daemons are in groups of their own, and one that lingers would take the next dialogue's clients.
fn end_orphans() {
    if std::process::id() != 1 {
        return;
    }
    let left = || -> Vec<Pid> {
        let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        numbers.filter(|&number| number != 1).filter_map(Pid::from_raw).collect()
    };
    // One that is being looked for may just have become two: until nobody is found.
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let found = left();
        if found.is_empty() || Instant::now() > patience {
            return;
        }
        for pid in found {
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
            // Orphans come to us, the world's first process; their sockets are free once they are reaped.
            end_orphans();
        }
    }
}

/// A running server.
pub enum Running {
    /// As a process.
    Process(Process),
    /// In this one.
    InProcess(Box<InProcess>),
}

impl Running {
    /// Starts the server on the configuration that is laid out in `place`.
    pub fn start(choice: Choice, place: &Place, names: &dns::Server) -> Result<Running, String> {
        Ok(match choice {
            Choice::InProcess => Running::InProcess(Box::new(InProcess::start(place, names.clone())?)),
            Choice::Komainu | Choice::Postfix => Running::Process(Process::start(choice)?),
        })
    }

    /// A client's connection.
    pub fn connect(&self, session: &Session) -> std::io::Result<Box<dyn Stream>> {
        match self {
            Running::Process(_) => {
                let server = SocketAddr::new(session.server, session.port);
                Ok(Box::new(client::connect(session.client, server)?))
            }
            Running::InProcess(server) => server.connect(session),
        }
    }

    /// A table was saved anew: Postfix wants postmap, Komainu a quiet moment to take the file for whole.
    pub fn saved(&self, name: &str, place: &Place) -> Result<(), String> {
        match self {
            Running::Process(process) => {
                index(process.choice, name)?;
                std::thread::sleep(Duration::from_millis(1200));
            }
            Running::InProcess(server) => server.saved(place.config().join(name)),
        }
        Ok(())
    }

    /// Has the configuration read anew.
    pub fn reload(&mut self) -> Result<(), String> {
        match self {
            Running::Process(process) => process.reload(),
            Running::InProcess(server) => server.reload(),
        }
    }

    /// What the server printed, and whether it is gone.
    pub fn obituary(&mut self) -> String {
        match self {
            Running::Process(process) => process.obituary(),
            Running::InProcess(_) => String::new(),
        }
    }
}

/// Has a user of the world hand in a message.
///
/// # Errors
/// What it says, where it doesn't take the message.
pub fn sendmail(choice: Choice, arguments: &[String], message: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("sendmail: {error}");
    let (mut command, listens) = match choice {
        Choice::Postfix => (Command::new("/usr/sbin/sendmail"), Place::world().queue().join("public/pickup")),
        Choice::Komainu | Choice::InProcess => {
            let mut command = Command::new(choice.program()?);
            command.arg0("sendmail");
            (command, Place::world().state().join("control"))
        }
    };
    let until = Instant::now() + Duration::from_secs(5);
    while !listens.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (_, uid) = crate::world::USERS[0];
    command.args(arguments).uid(uid).gid(uid).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(message.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("sendmail: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Runs postmap on a table where Postfix needs that, postalias on one whose name says that it holds aliases.
pub fn index(choice: Choice, name: &str) -> Result<(), String> {
    if choice != Choice::Postfix {
        return Ok(());
    }
    for word in layout::indexed_tables(name) {
        // What it has to say about the lines is said again by nobody; dialogues don't look at it.
        let program = if name == "aliases" { "postalias" } else { "postmap" };
        let ran = Command::new(program).args(["-c", layout::CONFIG, &word]).output();
        ran.map_err(|error| format!("{program} {word}: {error}"))?;
    }
    Ok(())
}

/// The log as it stands.
#[must_use]
pub fn raw_log(place: &Place) -> String {
    std::fs::read(place.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
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
pub fn log(place: &Place) -> Vec<LogLine> {
    let log = place.outside(&raw_log(place));
    log.lines()
        .filter_map(|line| {
            // `Nov 22 02:15:49 mx postfix/smtpd[74]: connect …`
            let (head, text) = line.split_once("]: ")?;
            let tag = head.rsplit(' ').next()?.split('[').next()?;
            Some(LogLine { tag: tag.to_owned(), text: text.to_owned() })
        })
        .collect()
}
