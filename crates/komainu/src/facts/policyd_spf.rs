//! SPF in the program: what policyd-spf would answer to a policy request, and which messages have its header.
//!
//! `policy::spf` decides; here its questions are answered within `Lookup_Time`, and its log line is written in
//! policyd-spf's name. A message gets one header, however many recipients it has. T2.11.

use super::Names;
use crate::clock;
use crate::log::Log;
use events::Event;
use policy::spf::policyd::{self, Conf, Request};
use policy::{Answer, Endpoint, Need};
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// As the log has it, so that tools that know policyd-spf's lines find them.
pub(crate) const PROGRAM: &str = "policyd-spf";
/// Messages whose header is remembered.
const MESSAGES_MAX: usize = 8_192;
/// The longest name of a message.
const INSTANCE_BYTES_MAX: usize = 128;

/// Whether a policy service's endpoint is policyd-spf's, by the socket's name.
#[must_use]
pub fn is_policyd_spfs(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Inet { .. } => false,
        Endpoint::Unix(path) => Path::new(path).file_name().is_some_and(|name| name == PROGRAM),
    }
}

/// Who judges.
pub struct PolicydSpf {
    names: Arc<dyn Names>,
    log: Log,
    host: String,
    conf: RwLock<Option<Arc<Conf>>>,
    told: Mutex<Messages>,
}

/// Messages that have their header, the oldest first.
#[derive(Default)]
struct Messages {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Messages {
    fn insert(&mut self, instance: &str) {
        if instance.is_empty()
            || instance.len() > INSTANCE_BYTES_MAX
            || !self.known.insert(instance.to_owned())
        {
            return;
        }
        self.order.push_back(instance.to_owned());
        if self.order.len() > MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl PolicydSpf {
    /// It judges nobody before it has its settings. `host` is this machine's name.
    #[must_use]
    pub fn new(names: Arc<dyn Names>, log: Log, host: String) -> PolicydSpf {
        PolicydSpf { names, log, host, conf: RwLock::default(), told: Mutex::default() }
    }

    /// The settings from now on; `None` where nobody is to be judged here.
    pub fn set(&self, conf: Option<Arc<Conf>>) {
        *self.conf.write().unwrap_or_else(PoisonError::into_inner) = conf;
    }

    /// The settings in force.
    pub(crate) fn conf(&self) -> Option<Arc<Conf>> {
        self.conf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether an endpoint is policyd-spf's, and its requests may be answered here.
    #[must_use]
    pub fn answers_for(&self, endpoint: &Endpoint) -> bool {
        is_policyd_spfs(endpoint) && self.conf().is_some()
    }

    /// The action for a request.
    pub async fn judge(&self, attributes: &str) -> String {
        let conf = self.conf().unwrap_or_default();
        let request = Request::read(attributes);
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).known.contains(request.instance) {
            return "dunno".to_owned();
        }
        // HELO name and sender have their time each.
        let patience = Duration::from_secs(u64::from(conf.lookup_time_s).saturating_mul(2));
        let end = Instant::now().checked_add(patience);
        let mut facts = policy::spf::without_tables();
        let told = loop {
            match policyd::answer(&conf, &request, &self.host, &facts, clock::now().wall) {
                Ok(told) => break told,
                Err(Need(question)) => {
                    let asked = self.names.ask(&question);
                    let answer = match end {
                        Some(end) => tokio::time::timeout_at(end, asked)
                            .await
                            .unwrap_or_else(|_| Answer::Unavailable("it took too long".to_owned())),
                        None => asked.await,
                    };
                    facts.learn(question, answer);
                }
            }
        };
        if told.is_header() {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(request.instance);
        }
        for line in told.log {
            self.log.write(PROGRAM, Event::Other(line.into()));
        }
        told.action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let unix = |path: &str| is_policyd_spfs(&Endpoint::Unix(path.to_owned()));
        assert!(unix("private/policyd-spf") && unix("/var/spool/postfix/private/policyd-spf"));
        assert!(!unix("private/policyd-spf2") && !unix("private/policyd-spf/x") && !unix(""));
        assert!(!is_policyd_spfs(&Endpoint::Inet { host: "policyd-spf".into(), port: "policyd-spf".into() }));
    }

    #[test]
    fn messages_are_forgotten_in_turn() {
        let mut messages = Messages::default();
        for at in 0..=MESSAGES_MAX {
            messages.insert(&at.to_string());
            messages.insert(&at.to_string());
        }
        assert!(!messages.known.contains("0") && messages.known.contains("1"));
        assert_eq!((messages.known.len(), messages.order.len()), (MESSAGES_MAX, MESSAGES_MAX));
        messages.insert("");
        messages.insert(&"x".repeat(INSTANCE_BYTES_MAX + 1));
        assert_eq!(messages.order.len(), MESSAGES_MAX);
    }
}
