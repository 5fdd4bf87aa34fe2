//! Which queue is meant: the configuration's state folder, found as the server finds it.

use crate::configuration::{Configuration, DirectSources, state_directory};
use crate::privileged::rights;
use config::{Compat, Parameters};
use std::path::{Path, PathBuf};

/// Where a server started by root keeps its queue when nobody says otherwise.
const OF_ROOT: &str = "/var/lib/komainu";

/// The parameters of `directory`'s main.cf.
pub(crate) fn parameters(directory: &Path) -> Parameters {
    Configuration::load(directory, Compat::default(), &DirectSources).0.parameters
}

/// The state folder that main.cf names; else the caller's own, where there is a queue in it; else root's.
pub(crate) fn state(p: &Parameters) -> PathBuf {
    let named = p.text("komainu_state_directory").value;
    if named.is_empty() { of_caller().unwrap_or_else(|| PathBuf::from(OF_ROOT)) } else { named.into() }
}

/// The state folder of the caller's own server (`komainu serve` without a configuration), where it has one.
pub(crate) fn of_caller() -> Option<PathBuf> {
    let own = state_directory();
    (!rights::is_root() && own.join("queue").exists()).then_some(own)
}
