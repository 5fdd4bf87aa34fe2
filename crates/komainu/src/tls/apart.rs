//! Handshakes of strangers, on threads of their own that come after all others: a wave of them takes what the machine
//! has left, and those who log in here every day wait behind none of it. T0.1.
//!
//! The sockets stay with whoever has accepted them; only keys are agreed upon here, and signatures made.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// How much lower their priority is (nice(2)): with a machine that is busy throughout they get about a quarter of it.
const NICE: i32 = 5;

/// The threads, once somebody has come.
#[derive(Debug, Default)]
pub struct Apart(OnceLock<Option<Runtime>>);

impl Apart {
    /// What `work` comes to. Dropping this ends it. It may use what was made elsewhere, sockets for example, but make
    /// neither sockets nor timers.
    ///
    /// # Errors
    /// Its own.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let Some(threads) = self.0.get_or_init(threads) else { return work.await };
        // Whoever drops it ends the work with it.
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_on(work, threads.handle());
        match tasks.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// None where the system gives none: then the work is done where it came.
fn threads() -> Option<Runtime> {
    let niced = || {
        // Where that isn't allowed they are like all others.
        let _ = rustix::process::nice(NICE);
    };
    let number = std::thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread()
        .worker_threads(number)
        .thread_name("handshake")
        .on_thread_start(niced)
        .build()
        .ok()
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take().flatten() {
            // It may be dropped where nobody may wait.
            threads.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn they_come_after_all_others() {
        let apart = Apart::default();
        let own = getpriority_process(None).expect("known");
        let theirs = apart
            .run(async { Ok((getpriority_process(None), std::thread::current().name().map(str::to_owned))) });
        let (theirs, name) = theirs.await.expect("runs");
        assert_eq!(theirs.expect("known"), (own + NICE).min(19));
        assert_eq!(name.as_deref(), Some("handshake"));
        assert_eq!(getpriority_process(None), Ok(own), "nobody else is slowed");
        let failed = apart.run::<()>(async { Err(io::ErrorKind::InvalidData.into()) }).await;
        assert_eq!(failed.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidData));
    }

    /// Whoever goes leaves no work behind: the other end is dropped.
    #[tokio::test]
    async fn who_goes_leaves_nothing_behind() {
        let apart = Apart::default();
        let (held, dropped) = oneshot::channel::<()>();
        let work = apart.run(async move {
            let _held = held;
            std::future::pending::<io::Result<()>>().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn what_trips_is_a_lost_connection() {
        let apart = Apart::default();
        let trip = async { std::panic::resume_unwind(Box::new("tripped")) };
        let kind = apart.run::<()>(trip).await.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::ConnectionAborted));
        assert_eq!(apart.run(async { Ok(1) }).await.ok(), Some(1));
    }
}
