//! Whether OpenDKIM is there: where it isn't, its work is done here (T2.28). Who does it is logged when that changes.

use crate::configuration::{MilterEndpoint, OpenDkim};
use crate::log::Log;
use events::Event;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Filters whose state is remembered.
const FILTERS_MAX: usize = 1_000;

/// OpenDKIM's settings in force, and who did its work last.
pub struct Stead {
    log: Log,
    /// In whose name it is said.
    program: String,
    settings: RwLock<Option<Arc<OpenDkim>>>,
    by_us: Mutex<HashMap<String, bool>>,
}

impl Stead {
    /// Nobody's work is done yet.
    #[must_use]
    pub fn new(log: Log, program: String) -> Stead {
        Stead { log, program, settings: RwLock::default(), by_us: Mutex::default() }
    }

    /// The settings from now on; `None` where its work isn't ours.
    pub fn set(&self, settings: Option<Arc<OpenDkim>>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Option<Arc<OpenDkim>> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether we do the work of the filter `name`, which could not be connected to.
    pub(super) fn takes_over(&self, name: &str, endpoint: &MilterEndpoint, error: &io::Error) -> bool {
        // A socket that keeps us out has somebody behind it, perhaps; so has one that doesn't answer.
        let is_nobody = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
        let ours = is_nobody && self.settings().is_some_and(|settings| settings.answers_for(endpoint));
        if ours {
            self.note(name, true);
        }
        ours
    }

    /// The filter is there.
    pub(super) fn is_there(&self, name: &str) {
        self.note(name, false);
    }

    fn note(&self, name: &str, by_us: bool) {
        let mut known = self.by_us.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match by_us || known.contains_key(name) {
            true if known.len() < FILTERS_MAX || known.contains_key(name) => {
                known.insert(name.to_owned(), by_us)
            }
            _ => None,
        };
        drop(known);
        if before.unwrap_or(false) == by_us {
            return;
        }
        let text = if by_us {
            format!("milter {name}: nobody listens there: komainu signs and verifies by itself")
        } else {
            format!("milter {name}: a milter listens there again: it is asked")
        };
        self.log.write(&self.program, Event::Other(text.into()));
    }
}
