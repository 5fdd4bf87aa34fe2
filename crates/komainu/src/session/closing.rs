//! The word that the server is stopping, for every session at once.
//!
//! A client that waits for nothing gets a last word (RFC 5321 §3.8), one whose command is being decided is told to
//! come again, one that is sending a message may finish it.

use std::sync::Arc;
use tokio::sync::watch;

/// Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Closing(Arc<watch::Sender<bool>>);

impl Default for Closing {
    fn default() -> Closing {
        Closing(Arc::new(watch::Sender::new(false)))
    }
}

impl Closing {
    /// The server is stopping.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is.
    pub async fn begun(&self) {
        // The sender is in here, so it can't be gone.
        let _ = self.0.subscribe().wait_for(|on| *on).await;
    }
}
