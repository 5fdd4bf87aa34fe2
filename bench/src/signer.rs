//! Debian's OpenDKIM beside a server, as a milter that signs (MILTER_README).
//!
//! Its CPU is not the server's; it is counted by itself, as proof that it signed: a signature of RSA 2048 costs what no
//! message that passes unsigned does.

use crate::account;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where it listens.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8891);

/// main.cf's share.
pub(crate) const MAIN_CF: &str = "smtpd_milters = inet:127.0.0.1:8891\nmilter_default_action = tempfail\n";

/// Less CPU for each message than this is no signature.
const SIGNATURE_MS: f64 = 0.1;

/// One that runs.
pub(crate) struct Signer(Child);

impl Drop for Signer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Signer {
    /// Starts one with a key of its own in `folder`, and waits until it listens.
    pub(crate) fn start(folder: &Path) -> Result<Signer, String> {
        let at = folder.display();
        crate::world::run(
            "opendkim-genkey",
            &["-b", "2048", "-s", "mail", "-d", "client.example", "-D", &at.to_string()],
        )?;
        let settings = format!(
            "Socket inet:{}@{}\nDomain client.example\nSelector mail\nKeyFile {at}/mail.private\nMode s\n\
             InternalHosts {at}/signed_for\nRequireSafeKeys no\nCanonicalization relaxed/simple\nSyslog no\n",
            ADDRESS.port(),
            ADDRESS.ip()
        );
        for (name, text) in [("opendkim.conf", settings.as_str()), ("signed_for", "0.0.0.0/0\n")] {
            fs::write(folder.join(name), text).map_err(|e| e.to_string())?;
        }
        let mut command = Command::new("opendkim");
        command.args(["-f", "-x"]).arg(folder.join("opendkim.conf")).stdin(Stdio::null());
        let signer = Signer(command.spawn().map_err(|e| format!("opendkim: {e}"))?);
        let began = Instant::now();
        while TcpStream::connect_timeout(&ADDRESS, Duration::from_millis(200)).is_err() {
            if began.elapsed() > Duration::from_secs(30) {
                return Err("opendkim does not come up".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(signer)
    }

    /// What it has used so far, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        account::tree_cpu_s(self.0.id())
    }
}

/// What is to be known of `cpu_s` of OpenDKIM's for so many messages.
pub(crate) fn note(cpu_s: f64, messages: u32) -> Result<String, String> {
    let each = cpu_s * 1000.0 / f64::from(messages.max(1));
    if each < SIGNATURE_MS {
        return Err(format!("OpenDKIM took {each:.2} ms of CPU a message: it signed none"));
    }
    Ok(format!("OpenDKIM itself: {each:.2} ms of CPU a message"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn unsigned_messages_are_no_figures() {
        assert_eq!(super::note(1.0, 1000).as_deref(), Ok("OpenDKIM itself: 1.00 ms of CPU a message"));
        assert!(super::note(0.01, 1000).is_err());
    }
}
