//! The program under test as a running process.

use crate::site::Site;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// The program.
pub(crate) const KOMAINU: &str = env!("CARGO_BIN_EXE_komainu");

pub(crate) struct Server {
    child: Child,
    notices: Receiver<String>,
}

/// `komainu serve` for a site, not started yet.
pub(crate) fn command(site: &Site) -> Command {
    let mut command = Command::new(KOMAINU);
    command.arg("serve").arg("--config").arg(site.etc());
    command
}

impl Server {
    /// Starts the server of a site, and waits until it is ready.
    pub(crate) fn start(site: &Site) -> Server {
        Server::start_as(command(site), site)
    }

    /// Starts `command` and waits until it says READY=1.
    pub(crate) fn start_as(mut command: Command, site: &Site) -> Server {
        command.stdin(Stdio::null());
        Server::start_with_input(command, site)
    }

    /// The same; `command` has its standard input already.
    pub(crate) fn start_with_input(mut command: Command, site: &Site) -> Server {
        let address = site.path("notify");
        let _ = fs::remove_file(&address);
        let notices = UnixDatagram::bind(&address).expect("binds");
        fs::set_permissions(&address, PermissionsExt::from_mode(0o777)).expect("mode");
        let noise = fs::File::create(site.path("log/stderr")).expect("opens");
        let child = command
            .env("NOTIFY_SOCKET", &address)
            .stdout(fs::File::create(site.path("log/stdout")).expect("opens"))
            .stderr(noise)
            .spawn()
            .expect("starts");
        let mut server = Server { child, notices: listen(notices) };
        if !server.notice("READY=1", Duration::from_secs(20)) {
            let said = fs::read_to_string(site.path("log/stderr")).unwrap_or_default();
            panic!("not ready ({:?}): {said}\n{}", server.child.try_wait(), site.log());
        }
        server
    }

    /// Whether the server tells its supervisor `text` within `patience`.
    pub(crate) fn notice(&mut self, text: &str, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Ok(said) = self.notices.recv_timeout(Duration::from_millis(20)) {
                if said.lines().any(|line| line == text) {
                    return true;
                }
            } else if matches!(self.child.try_wait(), Ok(Some(_))) {
                return false;
            }
        }
        false
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("small")).expect("a process");
        kill_process(pid, signal).expect("signals");
    }

    /// SIGHUP, and waits until the server is through with it.
    pub(crate) fn reload(&mut self) {
        self.signal(Signal::HUP);
        assert!(self.notice("RELOADING=1", Duration::from_secs(10)), "it doesn't reload");
        assert!(self.notice("READY=1", Duration::from_secs(10)), "it isn't ready after the reload");
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server doesn't end; its threads: {}", threads(self.pid()));
    }

    /// A line of /proc/PID/status.
    pub(crate) fn status(&self, name: &str) -> String {
        status(self.pid(), name)
    }

    /// Resident memory in kB.
    pub(crate) fn resident_kb(&self) -> i64 {
        self.status("VmRSS").trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// Processes that the server has started.
    pub(crate) fn children(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if Path::new(&format!("/proc/{pid}/status")).exists()
                && status(pid, "PPid") == self.pid().to_string()
            {
                found.push(pid);
            }
        }
        found
    }
}

/// Takes notices as they come: a supervisor that doesn't would make its service wait.
fn listen(socket: UnixDatagram) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A line of a process's status; empty when it is gone.
pub(crate) fn status(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// What a process's threads are at.
fn threads(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let at = |task: fs::DirEntry| {
        let read =
            |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default().trim().to_owned();
        format!("{} in {}, {}", read("comm"), read("wchan"), read("syscall"))
    };
    tasks.map(at).collect::<Vec<_>>().join("; ")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
