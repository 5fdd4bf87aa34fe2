//! Which queue is meant: the configuration's state folder, found as the server finds it.

use crate::configuration::{Configuration, DirectSources, state_directory};
use crate::privileged::rights;
use config::{Compat, Parameters};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Where a server started by root keeps its queue when nobody says otherwise.
const OF_ROOT: &str = "/var/lib/komainu";

/// The parameters of `directory`'s main.cf.
pub(crate) fn parameters(directory: &Path) -> Parameters {
    Configuration::load(directory, Compat::default(), &DirectSources).0.parameters
}

/// The state folder that main.cf names; else the caller's own, where that is meant; else root's.
pub(crate) fn state(p: &Parameters) -> PathBuf {
    named(p).unwrap_or_else(|| of_caller(None).unwrap_or_else(|| PathBuf::from(OF_ROOT)))
}

fn named(p: &Parameters) -> Option<PathBuf> {
    Some(p.text("komainu_state_directory").value).filter(|named| !named.is_empty()).map(PathBuf::from)
}

/// The state folder of the caller's own server (`komainu serve` without a configuration), where that one runs, or where
/// the machine has no other: `system` is the machine's configuration.
pub(crate) fn of_caller(system: Option<&Path>) -> Option<PathBuf> {
    let own = state_directory();
    if rights::is_root() || !own.join("queue").exists() {
        return None;
    }
    let system = system.and_then(|directory| named(&parameters(directory)));
    is_meant(&own, &system.unwrap_or_else(|| PathBuf::from(OF_ROOT))).then_some(own)
}

/// Who once tried a server of their own isn't to have all their mail left for it ever after.
fn is_meant(own: &Path, system: &Path) -> bool {
    let runs = || UnixStream::connect(own.join(super::running::NAME)).is_ok();
    let is_alone = || !system.join(crate::pickup::maildrop::NAME).exists();
    own == system || runs() || is_alone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_dead_server_of_ones_own_is_meant_only_where_there_is_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (own, system) = (folder.path().join("own"), folder.path().join("system"));
        std::fs::create_dir_all(own.join("maildrop")).unwrap();
        assert!(is_meant(&own, &system));
        std::fs::create_dir_all(system.join("maildrop")).unwrap();
        assert!(!is_meant(&own, &system));
        assert!(is_meant(&own, &own));
        let server = UnixListener::bind(own.join("control")).unwrap();
        assert!(is_meant(&own, &system));
        // It was killed: the socket's name stays.
        drop(server);
        assert!(!is_meant(&own, &system));
    }
}
