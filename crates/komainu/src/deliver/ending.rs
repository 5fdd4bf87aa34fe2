//! The server's end, for those who wait for somebody else: a program, a lock, a FIFO.
//!
//! Whoever waits for what may take long waits for this too. It says once that the end has begun, to all who share it; what is
//! done then is theirs. A mail whose delivery it cuts short stays in the queue as it was.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Why a delivery wasn't finished.
pub const STOPPING: &str = "the mail system is stopping";

/// Whether the end has begun. Clones share it.
#[derive(Clone, Debug)]
pub struct Ending(Option<Arc<OwnedFd>>);

impl Default for Ending {
    /// One that hasn't begun. Without descriptors to be had, one that never does.
    fn default() -> Ending {
        Ending(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok().map(Arc::new))
    }
}

impl PartialEq for Ending {
    fn eq(&self, other: &Ending) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Ending {}

impl Ending {
    /// From now on everybody who shares it knows.
    pub fn begin(&self) {
        if let Some(descriptor) = &self.0 {
            // Full is begun, too.
            let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.rest(Duration::ZERO)
    }

    /// Waits for so long, or until it begins; whether it has.
    #[must_use]
    pub fn rest(&self, pause: Duration) -> bool {
        let Some(descriptor) = &self.0 else {
            std::thread::sleep(pause);
            return false;
        };
        let pause = Timespec::try_from(pause).ok();
        let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
        matches!(poll(&mut watched, pause.as_ref()), Ok(count) if count > 0)
    }

    /// Becomes readable when it begins, and stays so: to be polled among others.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|descriptor| descriptor.as_fd())
    }

    /// Whether somebody else still shares it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|descriptor| Arc::strong_count(descriptor) > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn everybody_hears_of_it_once_for_all() {
        let ending = Ending::default();
        assert!(!ending.is_shared() && !ending.rest(Duration::from_millis(1)));
        let other = ending.clone();
        assert!(ending.is_shared() && ending == other && ending != Ending::default());
        let started = Instant::now();
        let waiting = std::thread::spawn(move || other.rest(Duration::from_secs(600)));
        ending.begin();
        ending.begin();
        assert!(waiting.join().unwrap() && started.elapsed() < Duration::from_secs(60));
        assert!(ending.has_begun() && ending.has_begun() && !ending.is_shared());
    }
}
