//! The two servers, each with the same main.cf, in the namespace that the script made.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Komainu,
    Postfix,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Komainu => "komainu",
            Kind::Postfix => "Postfix",
        }
    }
}

/// A running server; dropped, it is stopped.
pub(crate) struct House {
    pub(crate) kind: Kind,
    child: Child,
    folder: PathBuf,
}

/// The uid and gid of the virtual mailboxes.
const MAILBOX_OWNER: u32 = 5000;

/// Loopback, every address local, and a DNS server on 127.0.0.53.
pub(crate) fn prepare() -> Result<(), String> {
    for arguments in
        [&["link", "set", "lo", "up"][..], &["route", "replace", "local", "0.0.0.0/0", "dev", "lo"]]
    {
        run("ip", arguments)?;
    }
    fs::write("/run/komainu-bench-resolv.conf", "nameserver 127.0.0.53\n").map_err(|e| e.to_string())?;
    run("mount", &["--bind", "/run/komainu-bench-resolv.conf", "/etc/resolv.conf"])?;
    let zone = [
        "99.113.0.203.bl.example. A 127.0.0.2",
        "99.113.0.203.bl.example. TXT listed",
        "2.0.0.127.bl.example. A 127.0.0.2",
        "1.113.0.203.in-addr.arpa. PTR client.example.",
        "66.113.0.203.in-addr.arpa. PTR client.example.",
        "99.113.0.203.in-addr.arpa. PTR client.example.",
        "client.example. A 203.0.113.1",
        "client.example. A 203.0.113.66",
        "client.example. A 203.0.113.99",
    ];
    let zone = sim::dns::Zone::parse(zone).map_err(|e| format!("{e:?}"))?;
    let server = sim::dns::Server::start(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 53), 53)))
        .map_err(|e| e.to_string())?;
    server.load(zone);
    // It serves until the process ends.
    std::mem::forget(server);
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program).args(arguments).status().map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {status}")) }
}

fn main_cf(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/spool\n\
         data_directory = {folder}/data\n\
         komainu_state_directory = {folder}/state\n\
         komainu_log = {folder}/log/mail.log\n\
         maillog_file = {folder}/log/mail.log\n\
         maillog_file_prefixes = {folder}\n\
         myhostname = mail.example\n\
         inet_interfaces = all\n\
         inet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\n\
         mydestination = discard.example\n\
         local_recipient_maps =\n\
         local_transport = discard:\n\
         alias_maps =\n\
         virtual_mailbox_domains = box.example\n\
         virtual_mailbox_base = {folder}/mail\n\
         virtual_mailbox_maps = regexp:{folder}/etc/boxes\n\
         virtual_uid_maps = static:{MAILBOX_OWNER}\n\
         virtual_gid_maps = static:{MAILBOX_OWNER}\n\
         smtpd_client_connection_count_limit = 0\n\
         smtpd_client_restrictions = check_client_access hash:{folder}/etc/access, reject_rbl_client bl.example\n\
         smtpd_relay_restrictions = reject_unauth_destination\n"
    )
}

const MASTER_CF: &str = "smtp inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// The server before may hold the port for a moment after it was stopped (Postfix's children do).
fn wait_until_free() -> Result<(), String> {
    let server = SocketAddr::from((Ipv4Addr::new(198, 51, 100, 1), 25));
    for _ in 0..300 {
        if TcpStream::connect(server).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("the server before still holds port 25".to_owned())
}

impl House {
    /// Starts the server in a folder of its own and waits until it answers.
    pub(crate) fn start(kind: Kind) -> Result<House, String> {
        wait_until_free()?;
        let base = std::env::var_os("BENCH_DIR").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
        fs::create_dir_all(&base).map_err(|e| e.to_string())?;
        let base = base.canonicalize().map_err(|e| e.to_string())?;
        let folder = base.join(kind.name());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| e.to_string())?;
        }
        for name in ["etc", "spool", "data", "state", "mail", "log"] {
            fs::create_dir_all(folder.join(name)).map_err(|e| e.to_string())?;
        }
        std::os::unix::fs::chown(folder.join("mail"), Some(MAILBOX_OWNER), Some(MAILBOX_OWNER))
            .map_err(|e| e.to_string())?;
        let write = |name: &str, text: &str| {
            fs::write(folder.join("etc").join(name), text).map_err(|e| e.to_string())
        };
        write("main.cf", &main_cf(&folder))?;
        write("master.cf", MASTER_CF)?;
        write("access", "203.0.113.66 REJECT\n")?;
        write("boxes", "/^(.*)@box\\.example$/ $1/\n")?;
        let etc = folder.join("etc");
        let child = match kind {
            Kind::Komainu => {
                let program =
                    std::env::var_os("KOMAINU_BIN").unwrap_or_else(|| "target/release/komainu".into());
                let mut command = Command::new(program);
                command.args(["serve", "--compat", "3.7", "--config"]).arg(&etc);
                command
            }
            Kind::Postfix => {
                let postfix = run("chown", &["postfix", &folder.join("data").display().to_string()]);
                postfix?;
                run(
                    "postmap",
                    &["-c", &etc.display().to_string(), &format!("hash:{}", etc.join("access").display())],
                )?;
                let mut command = Command::new("postfix");
                command.arg("-c").arg(&etc).arg("start-fg");
                command
            }
        };
        let mut child = child;
        let child = child
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let house = House { kind, child, folder };
        house.wait_until_ready()?;
        Ok(house)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let began = Instant::now();
        let server = SocketAddr::from((Ipv4Addr::new(198, 51, 100, 1), 25));
        while began.elapsed() < Duration::from_secs(30) {
            if TcpStream::connect(server).is_ok() {
                std::thread::sleep(Duration::from_millis(500));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{} does not come up; see {}", self.kind.name(), self.folder.display()))
    }

    /// The process whose descendants are the server.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // `postfix start-fg` waits for its master, which ends on SIGTERM; komainu does by itself.
        let pid = self.child.id().to_string();
        let stopped = match self.kind {
            Kind::Komainu => run("kill", &["-TERM", &pid]),
            Kind::Postfix => run("postfix", &["-c", &self.folder.join("etc").display().to_string(), "stop"]),
        };
        drop(stopped);
        let waited = self.child.wait();
        drop(waited);
        let removed = fs::remove_dir_all(&self.folder);
        drop(removed);
    }
}
