//! OpenDKIM's own file, where main.cf names OpenDKIM's socket as a milter, or `komainu_dkim` wants mail signed.
//!
//! Keys are read with it, with root's rights where there are any. `komainu_opendkim = no` leaves the socket to OpenDKIM.
//! Whether we answer for it is decided when it is asked: whoever listens there stays in charge. Diagnostics: K0566 to
//! K0571, and K0573: signing is wanted and nothing says with what.

use super::{Listener, MilterEndpoint, Milters, Receiving, milters};
use config::{Diagnostic, Parameters, Place, SourceFile};
use policy::opendkim::Conf;
use std::path::PathBuf;
use std::sync::Arc;
use tables::{Sources, Vantage};

/// Ports that tutorials give OpenDKIM.
const PORTS: [&str; 2] = ["8891", "12301"];

/// How OpenDKIM would do its work.
#[derive(Debug)]
pub struct OpenDkim {
    /// Its settings.
    pub conf: Conf,
    /// Whether we answer in its stead.
    stands_in: bool,
    queue_directory: PathBuf,
}

impl OpenDkim {
    /// Whether a milter's endpoint is OpenDKIM's, and we may do its work.
    #[must_use]
    pub fn answers_for(&self, endpoint: &MilterEndpoint) -> bool {
        self.stands_in
            && endpoint.is_of("opendkim", &PORTS, self.conf.socket.as_deref(), &self.queue_directory)
    }
}

/// Reads opendkim.conf; `None` where nobody wants its work done, or there is no such file.
#[must_use]
pub(super) fn compile(
    p: &Parameters,
    (listeners, local): (&[Listener], &Receiving),
    sources: &dyn Sources,
) -> (Option<Arc<OpenDkim>>, Vec<Diagnostic>) {
    let of_programs = local.non_smtpd_milters.as_deref().into_iter().flat_map(Milters::endpoints);
    let mut named = milters::endpoints(listeners).chain(of_programs).peekable();
    let signs = local.authenticating.signs || listeners.iter().any(|one| one.receiving.authenticating.signs);
    let stands_in = p.flag("komainu_opendkim");
    // Another machine's configuration says nothing of this one's files.
    if sources.vantage() == Vantage::Elsewhere || !(signs || (stands_in && named.peek().is_some())) {
        return (None, Vec::new());
    }
    let path = PathBuf::from(p.text("komainu_dkim_settings").value);
    let bytes = match sources.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if signs => {
            let place = p.text("komainu_dkim").place;
            let message = format!("komainu_dkim = sign: {error}");
            let help = "write Domain, Selector and KeyFile, or KeyTable and SigningTable, into that file, as \
                        opendkim.conf(5) has them; nothing is signed";
            return (None, vec![Diagnostic::warning(573, place, message).help(help)]);
        }
        Err(_) => return (None, Vec::new()),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (conf, mut found) = Conf::read(&Arc::new(SourceFile { path, text }), sources);
    let queue_directory = PathBuf::from(p.text("queue_directory").value);
    let own = OpenDkim { conf, stands_in, queue_directory };
    if !signs && !named.any(|endpoint| own.answers_for(endpoint)) {
        return (None, Vec::new());
    }
    if signs && own.conf.signing_table.is_none() && own.conf.domain.is_empty() {
        let message = "komainu_dkim = sign, and no key is named".to_owned();
        let help = "write Domain, Selector and KeyFile, or KeyTable and SigningTable, into opendkim.conf";
        found.push(Diagnostic::warning(573, Place::nowhere(), message).help(help));
    }
    (Some(Arc::new(own)), found)
}

#[cfg(test)]
mod tests {
    use crate::configuration::{MilterEndpoint, in_memory};

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

    /// T2.28: what is wrong with OpenDKIM's own files is said with its place.
    #[test]
    fn its_files() {
        let conf = "Syslog yes\nNonsense yes\nMode sx\nSendReports yes\nKeyTable /etc/dkim/keys\n\
                    SigningTable refile:/etc/dkim/signing\nInternalHosts /etc/dkim/none\n";
        let files = [
            ("/etc/opendkim.conf", conf),
            (
                "/etc/dkim/keys",
                "one example.com:mail:/etc/dkim/one\ntwo example.com:mail:/etc/dkim/two\nbad x\n",
            ),
            ("/etc/dkim/one", KEY),
            ("/etc/dkim/signing", "*@example.com one\n"),
        ];
        let main = "unix:x\nsmtpd_milters = inet:localhost:8891";
        let (configuration, mut found) = in_memory::asking(main, &files, 566..574);
        let mut expect = [
            "/etc/opendkim.conf:2:1: warning[K0566]: OpenDKIM has no setting Nonsense",
            "/etc/opendkim.conf:3:1: warning[K0567]: Mode can't be `sx`",
            "/etc/opendkim.conf:4:1: warning[K0568]: SendReports isn't heeded here",
            "/etc/opendkim.conf:7:1: warning[K0569]: this data set can't be read",
            "/etc/dkim/keys:2:1: warning[K0570]: this key can't be used",
            "/etc/dkim/keys:3:1: warning[K0569]: the key `bad` has no DOMAIN:SELECTOR:FILE",
        ];
        found.sort();
        expect.sort_unstable();
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.starts_with(expect), "{found} instead of {expect}");
        }
        let own = configuration.opendkim.as_ref().expect("OpenDKIM's settings");
        assert!(own.answers_for(&MilterEndpoint::Inet("127.0.0.1".into(), "8891".into())));
        for path in ["/etc/opendkim.conf", "/etc/dkim/keys", "/etc/dkim/one", "/etc/dkim/signing"] {
            assert!(configuration.files().contains(&std::path::PathBuf::from(path)), "{path} is watched");
        }
    }

    #[test]
    fn whose_socket_it_is() {
        let is_its = |socket: &str, milter: &str| {
            let conf = format!("Socket {socket}\n");
            let main = format!("unix:x\nsmtpd_milters = {milter}");
            let files = [("/etc/opendkim.conf", conf.as_str())];
            let (configuration, _) = in_memory::asking(&main, &files, 566..574);
            configuration.opendkim.is_some()
        };
        assert!(is_its("inet:8891@localhost", "inet:localhost:8891"));
        assert!(is_its("inet:9999@127.0.0.1", "inet:127.0.0.1:9999"));
        assert!(is_its("local:/run/x", "inet:127.0.0.1:12301"));
        assert!(is_its("local:/var/spool/postfix/odd/milter.sock", "unix:odd/milter.sock"));
        assert!(is_its("inet:1@localhost", "unix:opendkim/opendkim.sock"));
        assert!(is_its("inet:1@localhost", "local:/run/opendkim/opendkim.sock"));
        assert!(!is_its("inet:8891@localhost", "inet:localhost:8892"));
        assert!(!is_its("inet:8891@localhost", "inet:192.0.2.1:8891"));
        assert!(!is_its("inet:8891@localhost", "unix:clamav/milter.sock"));
        assert!(!is_its("inet:8891@localhost", "inet:localhost:8891\nkomainu_opendkim = no"));
    }

    #[test]
    fn signing_without_keys() {
        let said =
            |files: &[(&str, &str)]| in_memory::asking("unix:x\nkomainu_dkim = sign", files, 566..574).1;
        let missing = said(&[]);
        assert!(missing.len() == 1 && missing.iter().all(|one| one.contains("K0573")), "{missing:?}");
        let keyless = said(&[("/etc/opendkim.conf", "Mode s\n")]);
        assert!(keyless.iter().any(|one| one.contains("no key is named")), "{keyless:?}");
        let half = said(&[("/etc/opendkim.conf", "Domain example.com\n")]);
        assert!(half.iter().any(|one| one.contains("Domain needs KeyFile and Selector")), "{half:?}");
    }
}
