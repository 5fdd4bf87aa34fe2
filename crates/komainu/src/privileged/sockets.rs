//! Sockets of the file system, reached as Postfix's own processes reach them.
//!
//! Tutorials let Dovecot and others listen in `private/` below `queue_directory`, for user and group `postfix`, and where
//! Postfix is installed only `mail_owner` may enter there. A server with an account of its own is kept out; then the
//! helper connects, with `mail_owner`'s rights and no others, and only below `queue_directory`. T0.2, T2.24.

use super::{Answer, Helper, Request};
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// Where relative paths begin, and who helps.
#[derive(Clone)]
pub struct LocalSockets {
    queue_directory: PathBuf,
    helper: Option<Helper>,
}

impl LocalSockets {
    /// Paths are relative to `queue_directory`.
    #[must_use]
    pub const fn new(queue_directory: PathBuf, helper: Option<Helper>) -> LocalSockets {
        LocalSockets { queue_directory, helper }
    }

    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// The system's, or the helper's words.
    pub async fn connect(&self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let path = self.queue_directory.join(path);
        let error = match UnixStream::connect(&path).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let kept_out =
            error.kind() == io::ErrorKind::PermissionDenied && path.starts_with(&self.queue_directory);
        let (Some(helper), Some(name), true) = (self.helper.clone(), path.to_str(), kept_out) else {
            return Err(error);
        };
        let request = Request::Connect(name.to_owned());
        let asked = tokio::task::spawn_blocking(move || helper.ask(&request, None));
        match asked.await.map_err(io::Error::other)? {
            (Answer::Done, Some(descriptor)) => {
                UnixStream::from_std(std::os::unix::net::UnixStream::from(descriptor))
            }
            (Answer::Temporary(text) | Answer::Permanent(text), _) => Err(io::Error::other(text)),
            (Answer::Done | Answer::Said(_), _) => Err(error),
        }
    }
}

/// With nobody's help.
impl From<PathBuf> for LocalSockets {
    fn from(queue_directory: PathBuf) -> LocalSockets {
        LocalSockets::new(queue_directory, None)
    }
}

impl From<&str> for LocalSockets {
    fn from(queue_directory: &str) -> LocalSockets {
        PathBuf::from(queue_directory).into()
    }
}
