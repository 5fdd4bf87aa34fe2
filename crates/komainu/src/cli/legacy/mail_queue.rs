//! What the old names for the queue share: where it is, what an id is, how things are said.

use super::super::default_config;
use crate::privileged::rights;
use crate::queued::place;
use config::Parameters;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The longest name of a queue file.
const ID_BYTES_MAX: usize = 255;

/// A queue with its configuration.
pub(super) struct Site {
    pub(super) state: PathBuf,
    /// It is the caller's own server's.
    pub(super) is_callers: bool,
    pub(super) parameters: Parameters,
}

impl Site {
    /// By `-c`, `MAIL_CONFIG`, or where main.cf is; a caller whose own server runs means that one.
    pub(super) fn find(directory: Option<String>) -> Result<Site, String> {
        let named =
            directory.map(PathBuf::from).or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from));
        if named.is_none()
            && let Some(state) = place::of_caller(default_config().as_deref())
        {
            let nothing = place::parameters(Path::new("/nonexistent"));
            return Ok(Site { state, is_callers: true, parameters: nothing });
        }
        let Some(directory) = named.or_else(default_config) else {
            return Err("open /etc/postfix/main.cf: No such file or directory".to_owned());
        };
        let file = directory.join("main.cf");
        if let Err(error) = std::fs::File::open(&file) {
            return Err(format!("open {}: {}", file.display(), crate::strerror::strerror(&error)));
        }
        let parameters = place::parameters(&directory);
        Ok(Site { state: place::state(&parameters), is_callers: false, parameters })
    }

    /// Root, and whoever the queue belongs to.
    pub(super) fn is_own(&self) -> bool {
        let own = |path: &Path| {
            path.metadata().is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
        };
        rights::is_root() || own(&self.state)
    }
}

/// Whether Postfix would take this for a queue id.
pub(super) fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// For terminals and logs: what isn't printable becomes `?`.
pub(super) fn printable(text: &str) -> String {
    // Nearly all is.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

pub(super) fn fatal(program: &str, problem: &str, code: u8) -> ExitCode {
    eprintln!("{program}: fatal: {problem}");
    ExitCode::from(code)
}
