//! Starting the engine in the background, ending it, having it read its files anew.

use super::words::Failure;
use super::{Client, is_there};
use crate::bans::order::{Answer, Order};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer after its start, or to go.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);
/// The most that is told of what a server said that didn't start.
const SAID_BYTES_MAX: u64 = 64 << 10;

impl Client {
    /// Starts `komainu ban run`, and waits until it answers.
    pub(super) fn start(&self) -> Result<String, Failure> {
        if self.ask(&Order::Ping).is_ok() {
            return Err(Failure::Said("Server already running".to_owned()));
        }
        self.tested(None)?;
        let failed = |error: std::io::Error| Failure::Said(format!("Could not start server: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["ban", "run", "-c"]).arg(&self.folder);
        if let Some(socket) = &self.options.socket {
            command.arg("--socket").arg(socket);
        }
        if let Some(pidfile) = &self.options.pidfile {
            command.arg("--pidfile").arg(pidfile);
        }
        if self.options.is_foreground {
            return Err(failed(command.exec()));
        }
        // What it says is for whoever has no engine then.
        let words = memfd_create(c"said", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut words = File::from(words);
        let writes = words.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writes).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.ask(&Order::Ping).is_ok() {
                return Ok("Server ready".to_owned());
            }
            if let Ok(Some(status)) = child.try_wait() {
                let mut said = Vec::new();
                // Without its words there is its status.
                let _ = words.rewind().and_then(|()| words.take(SAID_BYTES_MAX).read_to_end(&mut said));
                eprint!("{}", String::from_utf8_lossy(&said));
                return Err(Failure::Said(format!("Could not start server: it ended with {status}")));
            }
            std::thread::sleep(STEP);
        }
        Err(Failure::Said("Could not start server: it doesn't answer".to_owned()))
    }

    /// Ends the server, and waits until its socket is gone.
    pub(super) fn stop(&self) -> Result<String, Failure> {
        if let Answer::Refused(why) = self.ask(&Order::Stop(None))? {
            return Err(Failure::Said(why));
        }
        let begin = Instant::now();
        while is_there(&self.socket) && self.ask(&Order::Ping).is_ok() && begin.elapsed() < PATIENCE {
            std::thread::sleep(STEP);
        }
        Ok("Shutdown successful".to_owned())
    }

    /// `reload`, and `restart` of a jail.
    pub(super) fn reload(&self, texts: &[&str]) -> Result<String, Failure> {
        let mut names = Vec::new();
        let (mut unban, mut is_all) = (false, false);
        for word in texts.iter().skip(1) {
            match *word {
                "--restart" | "--if-exists" => {}
                "--unban" => unban = true,
                "--all" => is_all = true,
                name => names.push(name),
            }
        }
        let jail = match names.as_slice() {
            [] => None,
            [name] => Some(*name).filter(|_| !is_all),
            several => {
                let each: Vec<String> = several.iter().map(|name| (*name).to_owned()).collect();
                let text = format!("Unexpected argument(s) for reload: {}", super::text::list(&each));
                return Err(Failure::Said(text));
            }
        };
        if self.ask(&Order::Ping) == Err(Failure::NotRunning) {
            return Err(Failure::Said("Could not find server".to_owned()));
        }
        self.tested(jail)?;
        let order = Order::Reload { jail: jail.map(str::to_owned), unban };
        match self.ask(&order)? {
            Answer::Done | Answer::Count(_) => Ok("OK".to_owned()),
            Answer::Refused(why) => Err(Failure::Said(why)),
            _ => Err(Failure::Said("the server answered something else than was asked".to_owned())),
        }
    }
}
