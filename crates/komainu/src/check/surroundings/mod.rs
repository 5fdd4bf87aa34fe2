//! What the machine around a configuration says about it: files and who may touch them, accounts, sockets, ports,
//! certificates, folders, name servers. T1.14, T2.15.
//!
//! [`Machine`] looks, everything else judges what it saw. Nothing is changed here, and nothing leaves the machine:
//! connections are tried on loopback and on UNIX-domain sockets only, all at once and for a short time. Whoever runs
//! it sees what that user may see; what is hidden from them is no finding of its own: the machine keeps a list.

mod accounts;
mod bans;
mod elsewhere;
mod endpoints;
mod files;
mod gateway;
mod listening;
mod machine;
mod mailboxes;
mod named;
mod names;
mod programs;
mod queue;
mod reach;
mod sasl;
mod scene;
mod secrets;
mod sockets;
#[cfg(test)]
pub(super) mod tests;
mod tls;

pub(super) use accounts::Accounts;
pub use machine::{Machine, Sight, Stat};
pub use names::is_public_resolver;
pub(super) use names::zones;
pub(super) use scene::place;
pub use scene::{Scene, Server};
pub use tls::fuzz_pem;

use super::{Subject, in_order};
use config::Diagnostic;

/// Looks at what `subject` names on this machine.
#[must_use]
pub fn review(subject: &Subject<'_>, machine: &Machine) -> Vec<Diagnostic> {
    review_on(&Scene::new(subject.configuration, subject.sources), machine)
}

/// Everything that a machine says about the configuration.
#[must_use]
pub fn review_on(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let judges: [fn(&Scene<'_>, &Machine) -> Vec<Diagnostic>; 14] = [
        files::review,
        secrets::review,
        accounts::review,
        programs::review,
        queue::review,
        mailboxes::review,
        names::review,
        gateway::review,
        tls::review,
        sasl::review,
        sockets::review,
        listening::review,
        elsewhere::review,
        bans::review,
    ];
    in_order(judges.iter().flat_map(|judge| judge(scene, machine)).collect())
}
