//! Debian's Dovecot below /mnt, in a world of its own, for whoever needs its log-ins or its mailboxes.

use crate::site::until;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What every test has: a file of users, everything in the clear.
const COMMON: &str = "
base_dir = /mnt/dovecot/run
state_dir = /mnt/dovecot/state
log_path = /mnt/dovecot/log
protocols =
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = /mnt/dovecot/users
}
";

/// For log-ins: all users are one account's, and wrong passwords cost no time.
const LOG_INS: &str = "
auth_failure_delay = 0
userdb {
  driver = static
  args = uid=5000 gid=5000 home=/mnt/dovecot/mail
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
";

/// A running Dovecot; ends with the test.
pub(crate) struct Dovecot(Child);

/// Whether it is there, with the program `needs`; says aloud that it isn't, and fails in CI.
pub(crate) fn is_there(test: &str, needs: &str) -> bool {
    let there = Path::new("/usr/lib/dovecot").join(needs).exists();
    if !there {
        println!("{test}: didn't run: no Dovecot with {needs}");
        assert!(std::env::var_os("CI").is_none(), "{test}: no Dovecot with {needs}");
    }
    there
}

impl Dovecot {
    /// Starts one with `more` in its configuration and `users` in its file of users; it is up when `sign` gives
    /// something.
    pub(crate) fn start<T>(users: &str, more: &str, sign: impl FnMut() -> Option<T>) -> Dovecot {
        for folder in ["dovecot/run", "dovecot/state", "dovecot/mail", "spool/private"] {
            fs::create_dir_all(Path::new("/mnt").join(folder)).expect("a folder");
        }
        std::os::unix::fs::chown("/mnt/dovecot/mail", Some(5000), Some(5000)).expect("owner");
        fs::write("/mnt/dovecot/dovecot.conf", format!("{COMMON}{more}")).expect("writes");
        fs::write("/mnt/dovecot/users", users).expect("writes");
        let mut command = Command::new("dovecot");
        let command = command.args(["-F", "-c", "/mnt/dovecot/dovecot.conf"]).stdin(Stdio::null());
        let dovecot = Dovecot(command.spawn().expect("starts"));
        until("Dovecot", sign);
        dovecot
    }

    /// The same, for log-ins.
    pub(crate) fn start_for_log_ins<T>(users: &str, more: &str, sign: impl FnMut() -> Option<T>) -> Dovecot {
        Dovecot::start(users, &format!("{LOG_INS}{more}"), sign)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        // Its children would serve those who are connected for as long as they stay.
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw).filter(|_| comm.trim() == "auth")
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}
