//! The peers, one at a time: each starts in a fresh folder, with its processes on an account of their own.
//!
//! Dropped, a server is killed with everything that it started; the folder goes with it. What an interrupted run
//! left behind is removed at the next start. A server is not asked to end politely: nothing here tests that.

use crate::account::Account;
use crate::signer::Signer;
use crate::site::{self, Dress};
use crate::world::{self, SERVER};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Ours.
    Komainu,
    /// Debian's, with its defaults.
    Postfix,
    /// With its limits raised.
    Tuned,
    /// Tuned, its queue on a tmpfs: no flush costs anything, and nothing survives.
    Tmpfs,
    /// Postfix with postscreen before smtpd.
    Postscreen,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] =
        [Kind::Komainu, Kind::Postfix, Kind::Tuned, Kind::Tmpfs, Kind::Postscreen];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Komainu => "komainu",
            Kind::Postfix => "postfix",
            Kind::Tuned => "postfix-tuned",
            Kind::Tmpfs => "postfix-tmpfs",
            Kind::Postscreen => "postscreen",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) const fn is_tuned(self) -> bool {
        matches!(self, Kind::Tuned | Kind::Tmpfs)
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    child: Child,
    account: Account,
    folder: PathBuf,
    on_tmpfs: bool,
    signer: Option<Signer>,
}

/// Where servers and runs are kept.
pub(crate) fn base() -> Result<PathBuf, String> {
    let base = std::env::var_os("BENCH_DIR").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
    fs::create_dir_all(&base).map_err(|e| format!("{}: {e}", base.display()))?;
    base.canonicalize().map_err(|e| e.to_string())
}

/// How the folders of servers that have ended begin.
const ASIDE: &str = "ended-";

/// Removes what servers that have ended left.
pub(crate) fn clear() -> Result<(), String> {
    for entry in fs::read_dir(base()?).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(ASIDE) {
            fs::remove_dir_all(entry.path()).map_err(|e| format!("{}: {e}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The program that is measured.
pub(crate) fn program() -> String {
    std::env::var("KOMAINU_BIN").unwrap_or_else(|_| "target/release/komainu".to_owned())
}

/// The server before may hold the port for a moment after it was killed.
fn wait_until_free() -> Result<(), String> {
    for _ in 0..300 {
        // A full queue of the one before takes no connection either, but isn't free.
        let tried = TcpStream::connect_timeout(&SERVER, Duration::from_millis(200));
        if tried.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("the server before still holds port 25".to_owned())
}

fn greets(mut stream: TcpStream) -> bool {
    use std::io::Read as _;
    let mut byte = [0];
    let patience = stream.set_read_timeout(Some(Duration::from_secs(10)));
    patience.is_ok() && matches!(stream.read(&mut byte), Ok(1))
}

fn lay_out(folder: &Path, kind: Kind, dress: &Dress, base: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    for name in ["etc", "spool", "data", "state", "mail", "log"] {
        fs::create_dir_all(folder.join(name)).map_err(|e| e.to_string())?;
    }
    let owner = Some(site::MAILBOX_OWNER);
    std::os::unix::fs::chown(folder.join("mail"), owner, owner).map_err(|e| e.to_string())?;
    make_boxes(&folder.join("mail"), dress.boxes).map_err(|e| e.to_string())?;
    let access = site::access(base, dress.table_lines)?;
    for (name, text) in [
        ("main.cf", site::main_cf(folder, kind, dress, &access)),
        ("master.cf", site::master_cf(dress)),
        ("boxes", site::boxes()),
        ("crowd", "203.0.120.0/22 wait\n203.0.128.0/17 wait\n".to_owned()),
        ("denied", "203.0.118.0/24 reject\n".to_owned()),
        ("flood", site::flood()),
        ("header_patterns", site::patterns("^Subject: .*", site::PATTERNS)),
        ("body_patterns", site::patterns("", site::PATTERNS)),
        ("few_header_patterns", site::patterns("^Subject: .*", site::FEW_PATTERNS)),
        ("few_body_patterns", site::patterns("", site::FEW_PATTERNS)),
    ] {
        fs::write(folder.join("etc").join(name), text).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Maildirs that are in use already: making them would be a third of the work of a short run.
fn make_boxes(mail: &Path, count: u32) -> std::io::Result<()> {
    let owner = Some(site::MAILBOX_OWNER);
    for number in 0..count {
        let at = mail.join(format!("user{number}"));
        for folder in [at.clone(), at.join("tmp"), at.join("new"), at.join("cur")] {
            fs::create_dir(&folder)?;
            std::os::unix::fs::chown(&folder, owner, owner)?;
        }
    }
    if count > 0 {
        rustix::fs::sync();
    }
    Ok(())
}

/// Starts the program; its error output goes into the log's folder.
fn spawn(kind: Kind, account: &Account, folder: &Path, descriptors: Option<u32>) -> Result<Child, String> {
    let etc = folder.join("etc");
    let mut command = match (kind, descriptors) {
        (Kind::Komainu, None) => account.command(&program()),
        (Kind::Komainu, Some(limit)) => {
            let mut command = account.command("prlimit");
            command.arg(format!("--nofile={limit}:{limit}")).arg(program());
            command
        }
        _ => account.command("postfix"),
    };
    if kind == Kind::Komainu {
        command.args(["serve", "--compat", "3.7", "--config"]).arg(&etc);
    } else {
        command.arg("-c").arg(&etc).arg("start-fg");
    }
    let log = fs::File::options().create(true).append(true).open(folder.join("log/stderr"));
    let log = log.map_err(|e| e.to_string())?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log)).spawn();
    child.map_err(|e| format!("{}: {e}", kind.name()))
}

impl Server {
    /// Starts the server and waits until it answers.
    pub(crate) fn start(kind: Kind, dress: &Dress) -> Result<Server, String> {
        Server::start_with(kind, dress, |_| Ok(()))
    }

    /// The same, with further files in its configuration's folder.
    pub(crate) fn start_with(
        kind: Kind,
        dress: &Dress,
        further: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<Server, String> {
        let base = base()?;
        let folder = base.join(kind.name());
        wait_until_free()?;
        lay_out(&folder, kind, dress, &base)?;
        further(&folder.join("etc"))?;
        let account = Account::open(kind.name());
        let on_tmpfs = kind == Kind::Tmpfs;
        if on_tmpfs {
            world::run("mount", &["-t", "tmpfs", "tmpfs", &folder.join("spool").display().to_string()])?;
        }
        if kind != Kind::Komainu {
            world::run("chown", &["postfix", &folder.join("data").display().to_string()])?;
        }
        let signer = if dress.signs { Some(Signer::start(&folder.join("etc"))?) } else { None };
        let child = spawn(kind, &account, &folder, None)?;
        let server = Server { kind, child, account, folder, on_tmpfs, signer };
        server.wait_until_ready()?;
        server.settle();
        Ok(server)
    }

    /// Ends all its processes at once, and starts it again on what they left; with so many descriptors.
    pub(crate) fn kill_and_restart(&mut self, descriptors: Option<u32>) -> Result<(), String> {
        self.account.kill(self.child.id());
        // Killed above; only its end is noted.
        let _ = self.child.wait();
        wait_until_free()?;
        self.child = spawn(self.kind, &self.account, &self.folder, descriptors)?;
        self.wait_until_ready()
    }

    /// SIGHUP: load the configuration anew.
    pub(crate) fn hang_up(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // If it has ended, the next look says so.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
        }
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            // A port that takes connections is not a server yet: ours is to greet, too.
            let tried = TcpStream::connect_timeout(&SERVER, Duration::from_millis(500));
            if tried.is_ok_and(|stream| self.kind != Kind::Komainu || greets(stream)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(self.folder.join("log/stderr")).unwrap_or_default();
        Err(format!("{} does not come up: {}", self.kind.name(), said.trim()))
    }

    /// Seconds of CPU of all its processes so far.
    pub(crate) fn cpu_s(&self) -> f64 {
        self.account.cpu_s(self.child.id())
    }

    /// The milter that signs for it.
    pub(crate) const fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// How CPU is counted.
    pub(crate) const fn accounting(&self) -> &'static str {
        self.account.name()
    }

    /// Its processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.account.processes(self.child.id())
    }

    /// Waits until the server has nothing more to do: its CPU time stands still. At most a minute.
    pub(crate) fn settle(&self) {
        let mut last = self.cpu_s();
        for _ in 0..240 {
            std::thread::sleep(Duration::from_millis(250));
            let now = self.cpu_s();
            if now - last < 0.004 {
                return;
            }
            last = now;
        }
    }

    /// What Postfix' smtp-source needs to know of where it is sent.
    pub(crate) fn address(&self) -> SocketAddr {
        SERVER
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.account.kill(self.child.id());
        // Killed above; only its end is noted.
        let _ = self.child.wait();
        if self.on_tmpfs {
            let _ = Command::new("umount").arg("-l").arg(self.folder.join("spool")).status();
        }
        // Files that were deleted a moment ago make ext4 without a journal slow, and that would be the next server's
        // loss: they go at the run's end.
        let aside = self.folder.with_file_name(format!("{ASIDE}{}", self.child.id()));
        if std::env::var_os("BENCH_KEEP").is_none() {
            // Where it can't be moved, the next start removes it.
            let _ = fs::rename(&self.folder, aside);
        }
    }
}
