//! OpenDMARC's own file, where main.cf names OpenDMARC's socket as a milter.
//!
//! Whether we answer for it is decided when it is asked: whoever listens there stays in charge. `komainu_dmarc = off` leaves
//! the socket to OpenDMARC. Diagnostics: K0576 to K0579.

use super::{Listener, MilterEndpoint, milters};
use config::{Diagnostic, Parameters, SourceFile};
use policy::opendmarc::Conf;
use std::path::PathBuf;
use std::sync::Arc;
use tables::{Sources, Vantage};

/// Ports that tutorials give OpenDMARC.
const PORTS: [&str; 2] = ["8893", "54321"];

/// How OpenDMARC would do its work.
#[derive(Debug)]
pub struct OpenDmarc {
    /// Its settings.
    pub conf: Conf,
    queue_directory: PathBuf,
}

impl OpenDmarc {
    /// Whether a milter's endpoint is OpenDMARC's.
    #[must_use]
    pub fn answers_for(&self, endpoint: &MilterEndpoint) -> bool {
        endpoint.is_of("opendmarc", &PORTS, self.conf.socket.as_deref(), &self.queue_directory)
    }
}

/// Reads opendmarc.conf; `None` where main.cf doesn't name OpenDMARC, or there is no such file.
#[must_use]
pub(super) fn compile(
    p: &Parameters,
    listeners: &[Listener],
    sources: &dyn Sources,
) -> (Option<Arc<OpenDmarc>>, Vec<Diagnostic>) {
    let mut named = milters::endpoints(listeners).peekable();
    let is_off = p.text("komainu_dmarc").value == "off";
    // Another machine's configuration says nothing of this one's files.
    if sources.vantage() == Vantage::Elsewhere || is_off || named.peek().is_none() {
        return (None, Vec::new());
    }
    let path = PathBuf::from(p.text("komainu_dmarc_settings").value);
    let Ok(bytes) = sources.read(&path) else { return (None, Vec::new()) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (conf, found) = Conf::read(&Arc::new(SourceFile { path, text }), sources);
    let own = OpenDmarc { conf, queue_directory: PathBuf::from(p.text("queue_directory").value) };
    if !named.any(|endpoint| own.answers_for(endpoint)) {
        return (None, Vec::new());
    }
    (Some(Arc::new(own)), found)
}

#[cfg(test)]
mod tests {
    use crate::configuration::in_memory;
    use policy::opendmarc::PATH;

    /// T2.28: what is wrong with OpenDMARC's own file is said with its place.
    #[test]
    fn its_file() {
        let conf = "AuthservID mx\nNonsense yes\nRejectFailures maybe\nHistoryFile /x\nFailureReports false\n\
                    PublicSuffixList /psl\nIgnoreHosts /hosts # here\nUserID opendmarc\nRejectString no\n";
        let files = [(PATH, conf), ("/hosts", "192.0.2.0/24\nlocalhost\n")];
        let main = "unix:x\nsmtpd_milters = inet:localhost:8893";
        let (configuration, found) = in_memory::asking(main, &files, 576..580);
        let expect = [
            "/etc/opendmarc.conf:2:1: warning[K0576]: OpenDMARC has no setting Nonsense",
            "/etc/opendmarc.conf:3:1: warning[K0577]: RejectFailures can't be `maybe`",
            "/etc/opendmarc.conf:4:1: warning[K0578]: HistoryFile isn't heeded here",
            "/etc/opendmarc.conf:6:1: warning[K0579]: the file of PublicSuffixList can't be read",
            "/etc/opendmarc.conf:9:1: warning[K0577]: RejectString can't be `no`",
        ];
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.starts_with(expect), "{found} instead of {expect}");
        }
        let own = configuration.opendmarc.as_ref().expect("OpenDMARC's settings");
        assert_eq!(own.conf.authserv_id.as_deref(), Some("mx"));
        assert!(own.conf.ignored_hosts.has_host(None, [192, 0, 2, 9].into()));
        for path in [PATH, "/hosts"] {
            assert!(configuration.files().contains(&std::path::PathBuf::from(path)), "{path} is watched");
        }
    }

    #[test]
    fn whose_socket_it_is() {
        let is_its = |socket: &str, milter: &str| {
            let conf = format!("Socket {socket}\n");
            let main = format!("unix:x\nsmtpd_milters = {milter}");
            let (configuration, _) = in_memory::asking(&main, &[(PATH, conf.as_str())], 576..580);
            configuration.opendmarc.is_some()
        };
        assert!(is_its("inet:9999@127.0.0.1", "inet:127.0.0.1:9999"));
        assert!(is_its("local:/run/x", "inet:localhost:8893"));
        assert!(is_its("local:/var/spool/postfix/odd/milter.sock", "unix:odd/milter.sock"));
        assert!(is_its("inet:1@localhost", "local:opendmarc/opendmarc.sock"));
        assert!(!is_its("inet:8893@localhost", "inet:localhost:8891"));
        assert!(!is_its("inet:8893@localhost", "inet:192.0.2.1:8893"));
        assert!(!is_its("inet:8893@localhost", "unix:clamav/milter.sock"));
        assert!(!is_its("inet:8893@localhost", "inet:localhost:8893\nkomainu_dmarc = off"));
    }
}
