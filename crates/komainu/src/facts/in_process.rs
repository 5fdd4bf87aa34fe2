//! Policy services that the program answers by itself: Postgrey's and policyd-spf's endpoints at which nobody listens.
//!
//! A server that is there stays in charge, and is asked again as soon as it is there again. Who answers is said in the log
//! whenever it changes. T2.11, T2.15.

use super::Answers;
use super::policy_client::Presence;
use crate::log::Log;
use events::Event;
use policy::{Answer, PolicyService};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Who answered last, for each service.
pub struct Asked {
    log: Log,
    /// In whose name it is said.
    program: String,
    by_us: Mutex<HashMap<String, bool>>,
}

/// As whom we answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stead {
    Postgrey,
    PolicydSpf,
}

impl Asked {
    /// Nobody has been asked.
    #[must_use]
    pub fn new(log: Log, program: String) -> Asked {
        Asked { log, program, by_us: Mutex::default() }
    }

    /// Says who answers, where that has changed.
    fn note(&self, service: &PolicyService, stead: Stead, by_us: bool) {
        let before = {
            let mut known = self.by_us.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(service.name.clone(), by_us)
        };
        // Nothing is new about a server that is where it should be.
        if before.unwrap_or(false) == by_us {
            return;
        }
        let (name, who) = (&service.name, "check_policy_service");
        let text = if by_us {
            let does = match stead {
                Stead::Postgrey => "greylists",
                Stead::PolicydSpf => "checks SPF",
            };
            format!("{who} {name}: nobody listens there: komainu {does} by itself")
        } else {
            format!("{who} {name}: a server listens there again: it is asked")
        };
        self.log.write(&self.program, Event::Other(text.into()));
    }
}

impl Answers {
    /// As whom we may answer for a service.
    fn stead(&self, service: &PolicyService) -> Option<Stead> {
        if self.greylister.answers_for(&service.endpoint) {
            return Some(Stead::Postgrey);
        }
        self.policyd_spf.answers_for(&service.endpoint).then_some(Stead::PolicydSpf)
    }

    /// Asks the server of a service; where it is one that we know and isn't there, we are.
    pub(super) async fn ask_service(&self, service: &PolicyService, attributes: &str) -> Answer {
        let Some(stead) = self.stead(service) else {
            return self.policy_servers.ask(service, attributes).await;
        };
        if self.policy_servers.presence(service).await == Presence::Somebody {
            self.asked.note(service, stead, false);
            let answer = self.policy_servers.ask(service, attributes).await;
            let is_gone = matches!(answer, Answer::Failed(_))
                && self.policy_servers.presence(service).await == Presence::Nobody;
            if !is_gone {
                return answer;
            }
        }
        self.asked.note(service, stead, true);
        if stead == Stead::PolicydSpf {
            return Answer::Action(self.policyd_spf.judge(attributes).await);
        }
        self.greylister.open().await;
        match self.greylister.judge(attributes).await {
            Ok(action) => Answer::Action(action),
            Err(unusable) => Answer::Failed(unusable.to_string()),
        }
    }
}
