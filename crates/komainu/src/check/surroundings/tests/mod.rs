//! Whole configurations on made-up machines: a folder stands for each, with its /etc, /proc and sockets.
//!
//! Every diagnostic has a machine that deserves it here, or beside its judge, and one that doesn't.

mod bans;
mod endpoints;
mod files;
mod passwords;
mod system;

use super::{Machine, Scene, review_on};
use crate::configuration::{Configuration, read_direct};
use config::{Compat, Diagnostic, Host, Interface};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tables::{SourceError, Sources};
use tempfile::TempDir;

/// The day on which everything here happens: 2026-01-01.
pub(super) const NOW_S: i64 = 1_767_225_600;

/// A machine in a folder.
pub(in crate::check) struct World {
    root: TempDir,
    pub(super) machine: Machine,
    main: String,
    master: String,
    addresses: Vec<Interface>,
}

/// Reads below the folder.
struct Below(Machine);

impl Sources for Below {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        read_direct(&self.0.real(path)).map_err(|error| match error {
            SourceError::Missing(_) => SourceError::Missing(path.to_owned()),
            other => other,
        })
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.0.real(path).metadata().and_then(|metadata| metadata.modified()).ok()
    }
}

impl World {
    /// A machine with which nothing is wrong.
    pub(in crate::check) fn new() -> World {
        let root = tempfile::Builder::new().prefix("k").tempdir().expect("a folder");
        let machine = Machine::below(root.path(), NOW_S);
        let interface = |text: &str, prefix| Interface { address: text.parse().expect("address"), prefix };
        let addresses = vec![interface("127.0.0.1", 8), interface("::1", 128), interface("192.0.2.25", 24)];
        let world = World {
            root,
            machine,
            main: "compatibility_level = 3.6\nmyhostname = mx.example.com\nalias_maps =\nmynetworks = 127.0.0.0/8\n\
                   komainu_state_directory = /var/lib/komainu\n"
                .to_owned(),
            master: "smtp inet n - n - - smtpd\n".to_owned(),
            addresses,
        };
        world.mode("/", 0o755);
        world
            .file(
                "/etc/passwd",
                "root:x:0:0::/root:/bin/sh\npostfix:x:107:113::/:/x\nvmail:x:5000:5000::/:/x\n",
            )
            .file("/etc/group", "root:x:0:\npostfix:x:113:\npostdrop:x:114:\n")
            .file("/etc/resolv.conf", "nameserver 127.0.0.1\n")
            .file("/etc/hosts", "127.0.0.1 localhost\n")
            .folder("/var/spool/postfix/private")
            .folder("/var/lib")
    }

    pub(in crate::check) fn main(mut self, text: &str) -> World {
        self.main.push_str(text);
        self.main.push('\n');
        self
    }

    pub(in crate::check) fn master(mut self, text: &str) -> World {
        self.master.push_str(text);
        self.master.push('\n');
        self
    }

    pub(in crate::check) fn address(mut self, text: &str, prefix: u8) -> World {
        self.addresses.push(Interface { address: text.parse().expect("address"), prefix });
        self
    }

    pub(in crate::check) fn file(self, path: &str, content: impl AsRef<[u8]>) -> World {
        let real = self.real(path);
        self.make_folder(real.parent().expect("a folder"));
        std::fs::write(&real, content).expect("written");
        self.mode(path, 0o644);
        self
    }

    pub(in crate::check) fn folder(self, path: &str) -> World {
        self.make_folder(&self.real(path));
        self
    }

    /// A socket on which somebody listens as long as the outcome lives.
    pub(super) fn listen(&self, path: &str) -> UnixListener {
        let real = self.real(path);
        self.make_folder(real.parent().expect("a folder"));
        let listener = UnixListener::bind(real).expect("binds");
        self.mode(path, 0o666);
        listener
    }

    pub(super) fn mode(&self, path: &str, mode: u32) {
        std::fs::set_permissions(self.real(path), Permissions::from_mode(mode)).expect("chmod");
    }

    pub(super) fn chmod(self, path: &str, mode: u32) -> World {
        self.mode(path, mode);
        self
    }

    pub(super) fn real(&self, path: &str) -> PathBuf {
        self.machine.real(Path::new(path))
    }

    /// As mkdir -p, whatever the umask is.
    fn make_folder(&self, real: &Path) {
        std::fs::create_dir_all(real).expect("made");
        for above in real.ancestors().take_while(|above| *above != self.root.path()) {
            if above.metadata().expect("there").permissions().mode() & 0o777 != 0o755 {
                let _ = std::fs::set_permissions(above, Permissions::from_mode(0o755));
            }
        }
    }

    /// What the machine says.
    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        let found = self.look(review_on);
        for one in &found {
            assert!(one.help.is_some(), "{one:?} says what to do");
        }
        found
    }

    /// Loads the configuration, and has `judge` look at it.
    pub(in crate::check) fn look<T>(&self, judge: impl FnOnce(&Scene<'_>, &Machine) -> T) -> T {
        if !self.real("/etc/postfix/main.cf").exists() {
            self.make_folder(&self.real("/etc/postfix"));
            for (name, text) in [("main.cf", &self.main), ("master.cf", &self.master)] {
                std::fs::write(self.real("/etc/postfix").join(name), text).expect("written");
                self.mode(&format!("/etc/postfix/{name}"), 0o644);
            }
        }
        let host = Host { hostname: "mx".to_owned(), addresses: self.addresses.clone() };
        let sources = Below(self.machine.clone());
        let directory = Path::new("/etc/postfix");
        let (configuration, _) = Configuration::load_for(&host, directory, Compat::V3_11, &sources);
        judge(&Scene::new(&configuration, &sources), &self.machine)
    }

    /// The same, as `K0500 error: …`, and the word underlined.
    #[track_caller]
    pub(super) fn expect(&self, expect: &[&str]) {
        let mut said: Vec<String> = self
            .diagnostics()
            .iter()
            .map(|one| format!("{} {}: {} @{}", one.code, one.severity, one.message, one.place.text()))
            .collect();
        said.sort();
        let begins = said.len() == expect.len()
            && said.iter().zip(expect).all(|(said, expect)| said.starts_with(expect) || said == expect);
        assert!(begins, "expected {expect:#?}\nfound {said:#?}");
    }

    /// The help of the only finding.
    #[track_caller]
    pub(super) fn help(&self) -> String {
        let found = self.diagnostics();
        assert_eq!(found.len(), 1, "{found:#?}");
        found.into_iter().find_map(|one| one.help).unwrap_or_default()
    }
}

#[test]
fn a_machine_with_which_nothing_is_wrong() {
    World::new().expect(&[]);
}
