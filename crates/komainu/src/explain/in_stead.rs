//! Who answers a policy service that the server answers by itself where nobody listens: Postgrey's and policyd-spf's.
//!
//! It is told beside the check, as the log of a server that runs tells it. With `--offline`, and from answers that are
//! written down, nobody knocks. T2.11, T2.15.

use crate::facts::policyd_spf::is_policyd_spfs;
use crate::greylisting::is_postgreys;
use policy::greylist::Greylist;
use policy::{Endpoint, PolicyService};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long somebody may take to open his door.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody listens at an endpoint, where that can be told.
pub type Knock = Box<dyn Fn(&Endpoint) -> Option<bool>>;

/// What is known of it.
pub struct InStead {
    greylist: Option<Arc<Greylist>>,
    checks_spf: bool,
    /// Who finds out whether somebody listens; `None` where nobody is to knock.
    pub knock: Option<Knock>,
}

impl InStead {
    pub(super) const fn new(greylist: Option<Arc<Greylist>>, checks_spf: bool) -> InStead {
        InStead { greylist, checks_spf, knock: None }
    }

    /// Who answers, in a few words.
    #[must_use]
    pub fn told(&self, service: &PolicyService) -> Option<String> {
        let endpoint = &service.endpoint;
        let greylists = self.greylist.as_ref().is_some_and(|rules| is_postgreys(endpoint, &rules.options));
        let does = match (greylists, self.checks_spf && is_policyd_spfs(endpoint)) {
            (true, _) => "greylists",
            (_, true) => "checks SPF",
            _ => return None,
        };
        Some(match self.knock.as_ref().and_then(|knock| knock(endpoint)) {
            Some(true) => "who answers: the server that listens there".to_owned(),
            Some(false) => format!("who answers: nobody listens there, komainu {does} by itself"),
            None => format!("who answers: the server that listens there, else komainu {does} by itself"),
        })
    }
}

/// Finds out whether somebody listens; sockets with relative paths are in `queue_directory`.
#[must_use]
pub fn knock(queue_directory: String) -> Knock {
    Box::new(move |endpoint| {
        let outcome = match endpoint {
            Endpoint::Inet { host, port } => {
                let host = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host };
                let address = (host, port.parse().ok()?).to_socket_addrs().ok()?.next()?;
                TcpStream::connect_timeout(&address, PATIENCE).map(drop)
            }
            Endpoint::Unix(path) => UnixStream::connect(Path::new(&queue_directory).join(path)).map(drop),
        };
        match outcome.map_err(|error| error.kind()) {
            Ok(()) => Some(true),
            Err(std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound) => Some(false),
            Err(_) => None,
        }
    })
}
