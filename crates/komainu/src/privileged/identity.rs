//! On whose behalf a delivery thread acts.
//!
//! Effective ids are a property of the thread on Linux: the helper's threads take on the owner's for one delivery and
//! root's back afterwards. A server without root's rights acts as itself, and for nobody else.

use rustix::process::{Gid, Uid};
use std::io;

/// Whose rights a delivery has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Who makes files in a folder that isn't the user's to write to; root at most, and it writes nothing into them.
    pub maker: (u32, u32),
    /// Whether rights are taken on at all: only where there are root's to begin with.
    pub switches: bool,
}

impl Identity {
    /// A user who makes his files himself.
    #[must_use]
    pub const fn of(uid: u32, gid: u32, switches: bool) -> Identity {
        Identity { uid, gid, maker: (uid, gid), switches }
    }

    /// This process, as it is.
    #[must_use]
    pub fn own() -> Identity {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Identity::of(uid, gid, false)
    }

    /// Does `what` with the user's rights, and takes root's back. `None` where the rights can't be taken on or back; such a
    /// thread must not go on.
    ///
    /// # Errors
    /// When ids can't be changed.
    pub fn act<T>(&self, what: impl FnOnce() -> T) -> io::Result<T> {
        if !self.switches {
            return Ok(what());
        }
        become_user(self.uid, self.gid)?;
        let done = what();
        become_root()?;
        Ok(done)
    }

    /// Within [`Identity::act`]: does `what` with the maker's rights.
    ///
    /// # Errors
    /// When ids can't be changed, and those of `what`.
    pub fn making<T>(&self, what: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if !self.switches || self.maker == (self.uid, self.gid) {
            return what();
        }
        become_root()?;
        become_user(self.maker.0, self.maker.1)?;
        let done = what();
        become_root()?;
        become_user(self.uid, self.gid)?;
        done
    }
}

fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::from_raw(gid), Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::from_raw(uid), Uid::ROOT)?;
    Ok(())
}

fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    Ok(())
}
