//! On whose behalf a delivery thread acts.
//!
//! Effective ids are a property of the thread on Linux: the helper's threads take on the owner's for one delivery and
//! root's back afterwards. Whoever takes rights on holds a guard that gives back what was there before, whatever happens
//! in between. A server without root's rights acts as itself, and for nobody else.

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
        let (uid, gid) = effective();
        Identity::of(uid, gid, false)
    }

    /// Does `what` with the user's rights, and takes back what was there before.
    ///
    /// # Errors
    /// When ids can't be changed. A thread that doesn't have its own rights afterwards must not go on: see [`effective`].
    pub fn act<T>(&self, what: impl FnOnce() -> T) -> io::Result<T> {
        if !self.switches {
            return Ok(what());
        }
        let guest = Guest::become_user(self.uid, self.gid)?;
        let done = what();
        guest.leave()?;
        Ok(done)
    }

    /// Does `what` with the maker's rights, and takes back what was there before: within [`Identity::act`] the user's.
    ///
    /// # Errors
    /// When ids can't be changed, and those of `what`.
    pub fn making<T>(&self, what: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if !self.switches || self.maker == (self.uid, self.gid) {
            return what();
        }
        let guest = Guest::become_user(self.maker.0, self.maker.1)?;
        let done = what();
        guest.leave()?;
        done
    }
}

/// The ids that this thread acts with.
#[must_use]
pub(super) fn effective() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// A thread that has somebody else's rights for as long as this lives.
struct Guest {
    before: (u32, u32),
    is_back: bool,
}

impl Guest {
    fn become_user(uid: u32, gid: u32) -> io::Result<Guest> {
        let guest = Guest { before: effective(), is_back: false };
        // Half of it is taken back by the guard.
        if guest.before != (0, 0) {
            become_root()?;
        }
        take_on(uid, gid)?;
        Ok(guest)
    }

    fn back(&mut self) -> io::Result<()> {
        self.is_back = true;
        become_root()?;
        match self.before {
            (0, 0) => Ok(()),
            (uid, gid) => take_on(uid, gid),
        }
    }

    fn leave(mut self) -> io::Result<()> {
        self.back()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.is_back {
            // After a panic. Where it fails, whoever gives the thread work sees it.
            let _ = self.back();
        }
    }
}

fn take_on(uid: u32, gid: u32) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// On a thread of its own, as ids are the thread's; by root only.
    fn as_root(what: impl FnOnce() + Send + 'static) {
        if super::super::rights::is_root() {
            std::thread::spawn(what).join().unwrap();
        }
    }

    #[test]
    fn what_was_there_comes_back() {
        as_root(|| {
            let before = effective();
            let user = Identity { maker: (0, 8), ..Identity::of(2001, 2002, true) };
            let seen = user.act(|| {
                let inside = user.making(|| Ok(effective())).unwrap();
                (inside, effective())
            });
            assert_eq!(seen.unwrap(), ((0, 8), (2001, 2002)));
            assert_eq!(effective(), before);
            // Outside of the user's rights too, and again and again.
            for _ in 0..3 {
                assert_eq!(user.making(|| Ok(effective())).unwrap(), (0, 8));
                assert_eq!(effective(), before);
                assert_eq!(user.act(effective).unwrap(), (2001, 2002));
            }
            assert!(user.making(|| Err::<(), _>(io::ErrorKind::NotFound.into())).is_err());
            assert_eq!(effective(), before);
        });
    }

    #[test]
    fn a_panic_takes_no_rights_along() {
        as_root(|| {
            let before = effective();
            let user = Identity { maker: (0, 8), ..Identity::of(2001, 2002, true) };
            let fall = || user.act(|| user.making(|| -> io::Result<()> { panic!("on purpose") }));
            assert!(catch_unwind(AssertUnwindSafe(fall)).is_err());
            assert_eq!(effective(), before);
        });
    }
}
