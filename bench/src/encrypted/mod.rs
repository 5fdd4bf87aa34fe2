//! TLS and passwords beside Postfix: `bench tls` and `bench guesses`, in turns, with Debian's Dovecot behind both.
//!
//! Each server has port 465 as the first tutorial sets it up, the same certificate and the same users, whose passwords
//! are SHA512-CRYPT; Komainu also with `smtpd_sasl_type = internal` and that same file. The clients share the machine
//! with the server, so rates are of both; CPU is the server's and Dovecot's alone.

mod guesses;
mod handshakes;

use crate::account::Account;
use crate::server::{self, Kind, Server};
use crate::site::Dress;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::{TlsConnector, rustls};

pub(crate) use guesses::command as guesses;
pub(crate) use handshakes::command as handshakes;

/// Who has a password, and which. Most samples are of the first few.
const ACCOUNTS: usize = 20_000;
const USERS: usize = 100;
const PASSWORD: &str = "right horse";
/// Where the servers listen under TLS.
const WRAPPED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 465);

const MAIN: &str =
    "smtpd_tls_chain_files = %/etc/pair.pem\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\n";
const MASTER: &str = "465 inet n - n - - smtpd -o smtpd_sasl_security_options=noanonymous -o smtpd_sasl_local_domain=$myhostname \
                      -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes \
                      -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n\
                      tlsmgr unix - - n 1000? 1 tlsmgr\n";

/// A server, and who judges passwords for it.
type Side = (Kind, Judge);

/// Who judges passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judge {
    /// Dovecot.
    Dovecot,
    /// The server itself, with Dovecot's users.
    Own,
}

impl Judge {
    fn options(self) -> Result<String, String> {
        Ok(match self {
            Judge::Dovecot => {
                " -o smtpd_sasl_type=dovecot -o smtpd_sasl_path=inet:127.0.0.1:12345".to_owned()
            }
            Judge::Own => {
                let users = dovecot_folder()?.join("users");
                format!(" -o smtpd_sasl_type=internal -o smtpd_sasl_path={}", users.display())
            }
        })
    }
}

/// As the figures name it.
fn name_of((kind, judge): Side) -> String {
    match judge {
        Judge::Dovecot => format!("{} with Dovecot", kind.name()),
        Judge::Own => format!("{} with users of its own", kind.name()),
    }
}

fn dovecot_folder() -> Result<std::path::PathBuf, String> {
    Ok(server::base()?.join("dovecot"))
}

/// A server with Dovecot behind it, or beside.
struct Pair {
    server: Server,
    dovecot: Dovecot,
}

impl Pair {
    fn start((kind, judge): Side, certificate: &str) -> Result<Pair, String> {
        let dovecot = Dovecot::start()?;
        let dress = Dress { main_cf: MAIN, ..Dress::default() };
        let pair = sim::protected::certificate_path(certificate);
        let server = Server::start_with(kind, &dress, |etc| {
            let failed = |e: std::io::Error| e.to_string();
            fs::copy(&pair, etc.join("pair.pem")).map_err(failed)?;
            let master = fs::read_to_string(etc.join("master.cf")).map_err(failed)?;
            let options = judge.options().map_err(std::io::Error::other).map_err(failed)?;
            let own = MASTER.replacen(" smtpd ", &format!(" smtpd{options} "), 1);
            // Names are as the file has them.
            let own = match judge {
                Judge::Dovecot => own,
                Judge::Own => own.replacen("-o smtpd_sasl_local_domain=$myhostname ", "", 1),
            };
            fs::write(etc.join("master.cf"), master + &own).map_err(failed)
        })?;
        Ok(Pair { server, dovecot })
    }

    fn cpu_s(&self) -> f64 {
        self.server.cpu_s() + self.dovecot.cpu_s()
    }
}

struct Dovecot(Child, Account);

impl Dovecot {
    fn start() -> Result<Dovecot, String> {
        let folder = dovecot_folder()?;
        // What an earlier one left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let hash = std::process::Command::new("openssl")
            .args(["passwd", "-6", "-salt", "benchmark", PASSWORD])
            .output();
        let hash = String::from_utf8_lossy(&hash.map_err(|e| e.to_string())?.stdout).trim().to_owned();
        let users: String = (0..ACCOUNTS).map(|n| format!("user{n}:{{SHA512-CRYPT}}{hash}\n")).collect();
        let at = folder.display();
        let text = format!(
            "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nprotocols =\nssl = no\n\
             disable_plaintext_auth = no\nauth_mechanisms = plain login\n\
             passdb {{\n driver = passwd-file\n args = {at}/users\n}}\n\
             userdb {{\n driver = static\n args = uid=5000 gid=5000 home=/\n}}\n\
             service auth {{\n client_limit = 8192\n inet_listener {{\n address = 127.0.0.1\n port = 12345\n }}\n}}\n"
        );
        for (name, text) in [("users", users), ("conf", text)] {
            fs::write(folder.join(name), text).map_err(|e| e.to_string())?;
        }
        let account = Account::open("dovecot");
        let mut command = account.command("dovecot");
        command.args(["-F", "-c"]).arg(folder.join("conf")).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().map_err(|e| format!("dovecot: {e}"))?;
        let dovecot = Dovecot(child, account);
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", 12345)).is_ok() {
                return Ok(dovecot);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("dovecot doesn't come up".to_owned())
    }

    fn cpu_s(&self) -> f64 {
        self.1.cpu_s(self.0.id())
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.1.kill(self.0.id());
        // Killed above; only its end is noted.
        let _ = self.0.wait();
    }
}

/// How a client makes handshakes; with `resumes` it takes up its sessions.
fn connector(resumes: bool) -> TlsConnector {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    #[expect(clippy::expect_used, reason = "ring has both versions")]
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(sim::protected::believing())
        .with_no_client_auth();
    config.resumption = if resumes { Resumption::in_memory_sessions(64) } else { Resumption::disabled() };
    TlsConnector::from(Arc::new(config))
}

/// A client in TLS.
struct Session(BufReader<TlsStream<TcpStream>>);

impl Session {
    /// Connects from an address, and makes the handshake.
    async fn open(from: Ipv4Addr, connector: &TlsConnector) -> std::io::Result<Session> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(WRAPPED).await?;
        stream.set_nodelay(true)?;
        let name = "mail.example".try_into().map_err(std::io::Error::other)?;
        Ok(Session(BufReader::with_capacity(1024, connector.connect(name, stream).await?)))
    }

    /// One reply: its code.
    async fn hear(&mut self) -> std::io::Result<u16> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0));
            }
        }
    }

    async fn say(&mut self, line: &str) -> std::io::Result<u16> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.0.flush().await?;
        self.hear().await
    }

    /// From the greeting to the answer to AUTH PLAIN.
    async fn log_in(&mut self, user: &str, password: &str) -> std::io::Result<u16> {
        let greeting = self.hear().await?;
        if greeting != 220 {
            return Ok(greeting);
        }
        self.say("EHLO client.example").await?;
        self.say(&format!("AUTH PLAIN {}", base64(format!("\0{user}\0{password}").as_bytes()))).await
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let group =
            part.iter().chain([&0; 3]).take(3).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        for at in 0..4 {
            let letter = LETTERS.get(group >> (18 - 6 * at) & 63).copied().unwrap_or(b'=');
            text.push(if at <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
}

/// The `share` quantile of sorted times.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The proportional set size of processes, in kB.
fn pss_kb(processes: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup")).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
    };
    processes.iter().filter_map(of).sum()
}

/// Until when something that takes so many seconds goes on.
fn until(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn letters() {
        for (text, expect) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\0joe\0x", "AGpvZQB4")]
        {
            assert_eq!(super::base64(text.as_bytes()), expect);
        }
    }
}
