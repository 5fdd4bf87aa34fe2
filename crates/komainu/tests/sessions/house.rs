//! A server without ports, in a folder of its own, that no name server is behind.

use config::Compat;
use komainu::configuration::{Configuration, DirectSources, has_errors};
use komainu::facts::{AnswerFuture, Names};
use komainu::log::{Destination, Format, Log};
use komainu::serve::{Assembly, Ground};
use komainu::session::Shared;
use komainu::session::arrival::{Arrival, Ends, receive};
use komainu::session::line::Line;
use policy::{Answer, Question};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::RealDisk;
use tokio::task::JoinHandle;

/// Nobody has a name.
struct Nameless;

impl Names for Nameless {
    fn ask<'a>(&'a self, _: &'a Question) -> AnswerFuture<'a> {
        Box::pin(std::future::ready(Answer::NoName))
    }
}

pub(crate) struct House {
    folder: tempfile::TempDir,
    log: Log,
    assembly: Assembly,
}

impl House {
    /// Opens it within a runtime; `main` is added to its main.cf.
    pub(crate) fn open(main: &str, seats: usize) -> House {
        House::with_names(main, seats, Arc::new(Nameless))
    }

    /// The same; `names` knows the DNS.
    pub(crate) fn with_names(main: &str, seats: usize, names: Arc<dyn Names>) -> House {
        let folder = tempfile::tempdir().expect("a folder");
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).expect("a folder");
        let state = folder.path().join("state");
        std::fs::create_dir_all(state.join("queue")).expect("a folder");
        let text = format!(
            "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = example.com\n\
             mynetworks = 192.0.2.1/32\nlocal_recipient_maps =\nalias_maps =\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             smtpd_client_connection_count_limit = 0\nqueue_directory = {0}/spool\n\
             komainu_state_directory = {0}/state\nkomainu_mailbox_root = {0}/mail\n{main}\n",
            folder.path().display()
        );
        std::fs::write(etc.join("main.cf"), text).expect("writes");
        std::fs::write(etc.join("master.cf"), "127.0.0.1:2525 inet n - n - - smtpd\n").expect("writes");
        let (configuration, found) = Configuration::load(&etc, Compat::V3_11, &DirectSources);
        assert!(!has_errors(&found), "{found:?}");
        let log = folder.path().join("log");
        let log = Log::start(&Destination::File(log), Format::Postfix, "mx").expect("a log");
        let ground = Ground {
            names,
            disk: Arc::new(RealDisk::new(&state.join("queue")).expect("a disk")),
            state,
            passwd: "/etc/passwd".into(),
            helper: None,
            seats,
            log: log.clone(),
        };
        let assembly = Assembly::new(configuration, ground, &DirectSources).expect("assembles");
        House { folder, log, assembly }
    }

    /// A client comes from `from`, and is served in the background.
    pub(crate) fn receive<S>(&self, stream: S, from: SocketAddr) -> JoinHandle<()>
    where
        S: Line + 'static,
    {
        let service = self.assembly.services().first().expect("a service").clone();
        let ends = Ends { from, to: ([127, 0, 0, 1], 2525).into() };
        let arrival = Arrival::new(stream, ends, service, self.assembly.shared()).expect("a seat");
        tokio::spawn(receive(arrival))
    }

    /// How many passwords were hashed, by what that costs.
    pub(crate) fn hashes(&self) -> BTreeMap<String, u64> {
        self.assembly.shared().authentication.hashing.counted()
    }

    /// What all sessions share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.assembly.shared()
    }

    /// Waits until the log says `text`.
    pub(crate) async fn logged(&self, text: &str) {
        while !self.log().contains(text) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the log says.
    pub(crate) fn log(&self) -> String {
        self.log.flush();
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
