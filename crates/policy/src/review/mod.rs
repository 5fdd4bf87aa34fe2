//! What the restriction lists of SMTP servers add up to, judged before any client comes: [`review`].
//!
//! The compiler (`compile`, `parse`) says what is wrong with a word; here lists are judged together: whether a
//! stranger can relay or one's own users can't (T2.11), which checks have no effect where they stand, which DNS
//! lists are dead (T1.4), what postscreen's numbers can never reach. Nothing is asked: where an answer decides,
//! every answer is supposed (`flow`). Only `komainu check` calls this; a server's start doesn't wait for it.
//!
//! Deliberately not here: main.cf's values by themselves (`config`), lines of tables by themselves (`tables`),
//! anything that needs a file, a socket or the DNS (the program).

mod flow;
mod incoming;
mod lockout;
mod outcomes;
mod persona;
mod placement;
mod relay;
mod screening;
mod spread;
#[cfg(test)]
mod tests;
mod zones;

pub use zones::refuses_public_resolvers;

use crate::Policy;
use crate::check::{Check, Entry};
use crate::screen::Screening;
use crate::transaction::Stage;
use config::{Diagnostic, Parameters, Place, Service};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use tables::{Row, Snapshot, TableId};

/// One SMTP server: main.cf's own, or one of master.cf with its `-o`.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// main.cf with the service's `-o`.
    pub parameters: &'a Parameters,
    /// Its lists, compiled.
    pub policy: &'a Policy,
    /// Every table; the same for all servers that are judged together.
    pub snapshot: &'a Arc<Snapshot>,
    /// Its line in master.cf; `None` for main.cf by itself.
    pub service: Option<&'a Service>,
    /// The tests before it, where it has some.
    pub screening: Option<&'a Screening>,
    /// Where it listens, as far as that is known.
    pub addresses: &'a [SocketAddr],
}

/// Judges the lists of SMTP servers; what several have in common is said once.
#[must_use]
pub fn review(subjects: &[Subject<'_>]) -> Vec<Diagnostic> {
    let rows = Rc::default();
    let mut found = Vec::new();
    for subject in subjects {
        let case = Case { subject, rows: Rc::clone(&rows), foreign: RefCell::default() };
        for room in [
            relay::review,
            lockout::review,
            incoming::review,
            placement::review,
            zones::review,
            screening::review,
        ] {
            found.extend(room(&case));
        }
    }
    let key = |place: &Place| (place.path().map(ToOwned::to_owned), place.start, place.end);
    // What lets strangers relay is asked in vain besides: that goes without saying.
    let open: HashSet<_> =
        found.iter().filter(|one| one.code.0 == 440).map(|one: &Diagnostic| key(&one.place)).collect();
    let mut seen = HashSet::new();
    found.retain(|one| {
        seen.insert((one.code, key(&one.place))) && !(one.code.0 == 449 && open.contains(&key(&one.place)))
    });
    found.sort_by_key(|one| (key(&one.place), one.code));
    found
}

/// The rows of tables that don't surely refuse, once read.
type Rows = Rc<RefCell<HashMap<TableId, Option<Rc<[Row]>>>>>;

/// One server under judgement.
struct Case<'a> {
    subject: &'a Subject<'a>,
    rows: Rows,
    /// Domains that are not this server's, once asked.
    foreign: RefCell<HashMap<String, bool>>,
}

impl<'a> Deref for Case<'a> {
    type Target = Subject<'a>;

    fn deref(&self) -> &Subject<'a> {
        self.subject
    }
}

impl Subject<'_> {
    /// Whether nobody but this machine can come here.
    fn is_inside(&self) -> bool {
        !self.addresses.is_empty() && self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    /// Whether it is there for users who log in.
    fn is_submission(&self) -> bool {
        let Some(service) = self.service else { return false };
        let port = service.name.value.rsplit(':').next().unwrap_or("");
        matches!(port, "submission" | "submissions" | "smtps" | "587" | "465")
    }

    /// ` (service submission)`, for what main.cf alone would not do.
    fn whose(&self, parameters: &[&str]) -> String {
        let own = |service: &&Service| {
            service.overrides.iter().any(|one| parameters.contains(&one.name.value.as_str()))
        };
        self.service
            .filter(own)
            .map(|service| format!(" (service {})", service.name.value))
            .unwrap_or_default()
    }
}

impl<'a> Case<'a> {
    /// Every restriction with the list that it is evaluated in; those of classes once for each list.
    fn entries(&self) -> Vec<(Stage, &'a Entry)> {
        let mut entries = Vec::new();
        for (stage, list) in &self.subject.policy.lists {
            let mut open: Vec<&Entry> = list.iter().rev().collect();
            let mut seen = HashSet::new();
            while let Some(entry) = open.pop() {
                entries.push((*stage, entry));
                if let Check::Class(class) = entry.check
                    && seen.insert(class)
                {
                    open.extend(self.subject.policy.classes.get(class).into_iter().flatten().rev());
                }
            }
        }
        entries
    }

    /// A table's rows that don't surely refuse; `None` where they can't be known.
    fn rows(&self, table: TableId) -> Option<Rc<[Row]>> {
        let mut known = self.rows.borrow_mut();
        let rows = known.entry(table).or_insert_with(|| {
            let rows = self.snapshot.table(table).rows()?;
            Some(rows.into_iter().filter(|row| !outcomes::refuses(&row.value)).collect())
        });
        rows.clone()
    }

    /// Whether a recipient table's key may be about somebody of another domain.
    fn is_foreign(&self, key: &str) -> bool {
        let domain = key.rsplit_once('@').map_or(key, |(_, domain)| domain).to_lowercase();
        if let Some(known) = self.foreign.borrow().get(&domain) {
            return *known;
        }
        let recipient = outcomes::spelled(crate::check::Subject::Recipient, key);
        let recipient = mail::Address::from_internal(recipient);
        let addresses = &self.policy.addresses;
        let resolved = addresses.resolve(&recipient, self.snapshot.as_ref());
        let foreign = resolved.is_ok_and(|resolved| !addresses.is_authorized_destination(&resolved));
        self.foreign.borrow_mut().insert(domain, foreign);
        foreign
    }
}
