//! What the restriction lists of one SMTP server add up to, judged before any client comes: [`review`].
//!
//! The compiler (`compile`, `parse`) says what is wrong with a word; here lists are judged together: whether a
//! stranger can relay or one's own users can't (T2.11), which checks have no effect where they stand, which DNS
//! lists are dead (T1.4), what postscreen's numbers can never reach. Nothing is asked: where an answer decides,
//! every answer is supposed ([`flow`]). Only `komainu check` calls this; a server's start doesn't wait for it.
//!
//! Deliberately not here: main.cf's values by themselves (`config`), lines of tables by themselves (`tables`),
//! anything that needs a file, a socket or the DNS (the program).

mod flow;
mod outcomes;
mod persona;
mod relay;
#[cfg(test)]
mod tests;

use crate::Policy;
use config::{Diagnostic, Parameters, Service};
use std::net::SocketAddr;
use std::sync::Arc;
use tables::Snapshot;

/// One SMTP server: main.cf's own, or one of master.cf with its `-o`.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// main.cf with the service's `-o`.
    pub parameters: &'a Parameters,
    /// Its lists, compiled.
    pub policy: &'a Policy,
    /// Every table.
    pub snapshot: &'a Arc<Snapshot>,
    /// Its line in master.cf; `None` for main.cf by itself.
    pub service: Option<&'a Service>,
    /// Where it listens, as far as that is known.
    pub addresses: &'a [SocketAddr],
}

/// Judges one SMTP server's lists.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut found = relay::review(subject);
    found.sort_by_key(|diagnostic| (diagnostic.place.start, diagnostic.code));
    found
}

impl Subject<'_> {
    /// Whether nobody but this machine can come here.
    fn is_inside(&self) -> bool {
        !self.addresses.is_empty() && self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    /// ` (service submission)`, for what main.cf alone would not do.
    fn whose(&self, parameters: &[&str]) -> String {
        match self.service {
            Some(service)
                if service.overrides.iter().any(|one| parameters.contains(&one.name.value.as_str())) =>
            {
                format!(" (service {})", service.name.value)
            }
            _ => String::new(),
        }
    }
}
