//! SPF as the configuration wants it: policyd-spf's own file, where a restriction list asks for policyd-spf.
//!
//! It is read only where `check_policy_service` names the socket that policyd-spf has (T2.11); `komainu_spf = no` turns
//! that off. Whether we answer is decided when somebody asks: a server that listens there, or a `spawn` line whose program
//! is there, stays in charge. Diagnostics: K0490 to K0492.

use super::Listener;
use crate::facts::policyd_spf::is_policyd_spfs;
use config::{Diagnostic, Parameters, SourceFile};
use policy::spf::policyd::{Conf, PATH};
use std::path::Path;
use std::sync::Arc;
use tables::{Sources, Vantage};

/// Reads policyd-spf.conf; `None` where no list asks policyd-spf. Without the file its defaults hold.
#[must_use]
pub(super) fn compile(
    p: &Parameters,
    listeners: &[Listener],
    sources: &dyn Sources,
) -> (Option<Arc<Conf>>, Vec<Diagnostic>) {
    let mut services = listeners.iter().flat_map(Listener::policies).flat_map(policy::Policy::services);
    if !p.flag("komainu_spf") || !services.any(|service| is_policyd_spfs(&service.endpoint)) {
        return (None, Vec::new());
    }
    // Another machine's configuration says nothing of this one's files.
    let read = match sources.vantage() {
        Vantage::Elsewhere => None,
        _ => sources.read(Path::new(PATH)).ok(),
    };
    let Some(bytes) = read else { return (Some(Arc::default()), Vec::new()) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (conf, found) = Conf::read(&Arc::new(SourceFile { path: PATH.into(), text }));
    (Some(Arc::new(conf)), found)
}
