//! The configuration of a server that was given none: useful on a fresh machine, and safe.
//!
//! It listens on loopback only, takes mail for the machine's own name, and keeps everything below one
//! state folder of the user who started it.

use std::path::{Path, PathBuf};

/// What `komainu serve` without `--config` serves.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    /// Where spool and mailboxes are.
    pub state: PathBuf,
    /// The machine's name as it stands, which need not be a full one.
    pub host: String,
    /// `address:port` to listen on.
    pub listen: String,
}

impl BuiltIn {
    /// Its main.cf.
    #[must_use]
    pub fn main_cf(&self) -> String {
        format!(
            "compatibility_level = 3.11\n\
             queue_directory = {state}/queue\n\
             komainu_state_directory = {state}\n\
             komainu_mailbox_root = {state}/mail\n\
             komainu_log = stdout\n\
             inet_interfaces = all\n\
             mynetworks = 127.0.0.0/8 [::1]/128\n\
             mydestination = $myhostname, {host}, localhost.$mydomain, localhost\n\
             local_recipient_maps =\n\
             smtpd_relay_restrictions = reject_unauth_destination\n",
            state = self.state.display(),
            host = self.host
        )
    }

    /// Its master.cf.
    #[must_use]
    pub fn master_cf(&self) -> String {
        // A bare port would mean every address of the machine.
        let host = if self.listen.contains(':') { "" } else { "127.0.0.1:" };
        format!("{host}{} inet n - n - - smtpd\n", self.listen)
    }
}

/// The state folder of the user: `$XDG_STATE_HOME/komainu`, `~/.local/state/komainu`, for root /var/lib/komainu;
/// without a home, `komainu-state` in the current folder, as a place in /tmp could be somebody else's.
#[must_use]
pub fn state_directory() -> PathBuf {
    let from =
        |name: &str| std::env::var_os(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
    if crate::privileged::rights::is_root() {
        return PathBuf::from("/var/lib/komainu");
    }
    from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state"))).map_or_else(
        || std::env::current_dir().unwrap_or_default().join("komainu-state"),
        |folder| folder.join("komainu"),
    )
}
