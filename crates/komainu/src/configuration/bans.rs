//! fail2ban's jails inside the server, where `komainu_ban_directory` names their folder.
//!
//! The jails themselves are read by whoever runs them, so that a broken one stops no mail; here is what main.cf says of
//! them, and whom no ban concerns. T2.18, T2.19.

use config::{Diagnostic, Parameters};
use std::path::PathBuf;
use std::time::Duration;
use tables::matching::AddressList;
use tables::{Catalogue, Sources};

/// What main.cf says of bans.
#[derive(Clone, Debug)]
pub struct Bans {
    /// `komainu_ban_directory`: where jail.conf is.
    pub directory: PathBuf,
    /// `komainu_ban_never`: who is let in whatever bans there are.
    pub never: AddressList,
    /// `komainu_ban_spare_logged_in`: for so long whoever has logged in is; 0 spares nobody.
    pub spare_logged_in: Duration,
}

/// What main.cf says of bans; `None` where there are none.
pub(super) fn compile(
    p: &Parameters,
    catalogue: &mut Catalogue,
    sources: &dyn Sources,
) -> (Option<Bans>, Vec<Diagnostic>) {
    let directory = p.text("komainu_ban_directory").value;
    if directory.trim().is_empty() {
        return (None, Vec::new());
    }
    let (never, found) = AddressList::compile(&p.list("komainu_ban_never"), catalogue, sources, false);
    let spare_logged_in = p.duration("komainu_ban_spare_logged_in");
    (Some(Bans { directory: PathBuf::from(directory.trim()), never, spare_logged_in }), found)
}

#[cfg(test)]
mod tests {
    use crate::configuration::in_memory;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn off_unless_a_folder_is_named() {
        let (configuration, _) = in_memory::asking("unix:x", &[], 0..0);
        assert!(configuration.bans.is_none());
        let main = "unix:x\nkomainu_ban_directory = /etc/fail2ban\nkomainu_ban_spare_logged_in = 7\n\
                    komainu_ban_never = 192.0.2.0/24";
        let (configuration, found) = in_memory::asking(main, &[], 100..700);
        let bans = configuration.bans.expect("on");
        assert_eq!(bans.directory, Path::new("/etc/fail2ban"));
        assert_eq!(bans.spare_logged_in, Duration::from_secs(7 * 86_400));
        assert!(!found.iter().any(|one| one.contains("komainu_ban")), "{found:?}");
    }

    #[test]
    fn networks_that_are_none() {
        let main = "unix:x\nkomainu_ban_directory = /etc/fail2ban\nkomainu_ban_never = 192.0.2.1/24";
        let (_, found) = in_memory::asking(main, &[], 100..700);
        assert!(found.iter().any(|one| one.contains("192.0.2.1/24")), "{found:?}");
    }
}
