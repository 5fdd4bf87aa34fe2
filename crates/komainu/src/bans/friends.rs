//! Names in `ignoreip`: their addresses, looked up apart every few minutes. Where the name servers are away, the addresses
//! that were known stay.

use super::names::look_up;
use super::wake::Waker;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

/// How long an answer holds.
const MEMORY: Duration = Duration::from_secs(300);
/// When a name without an answer is looked up again.
const AGAIN: Duration = Duration::from_secs(30);
/// The most names; what is more in `ignoreip` is no list of friends.
const NAMES_MAX: usize = 1_000;

struct Friend {
    addresses: Vec<IpAddr>,
    /// When it is looked up next; `None` while it is.
    due: Option<Instant>,
    has_answered: bool,
}

/// What a look showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A name has other addresses than before.
    Other(String, Vec<IpAddr>),
    /// A name has none, for the first time.
    Nobody(String),
}

/// Names to be looked up, and what came of it.
type Thread = (SyncSender<String>, Receiver<(String, Vec<IpAddr>)>);

/// The names, with what is known of them.
pub(super) struct Friends {
    known: BTreeMap<String, Friend>,
    /// The thread, once there is a name.
    thread: Option<Thread>,
    waker: Waker,
    look_up: fn(&str) -> Vec<IpAddr>,
}

impl Friends {
    pub(super) fn new(waker: Waker) -> Friends {
        Friends { known: BTreeMap::new(), thread: None, waker, look_up }
    }

    /// The names that jails have now.
    ///
    /// # Errors
    /// When there can be no thread that looks them up.
    pub(super) fn want<'n>(
        &mut self,
        names: impl Iterator<Item = &'n String>,
        now: Instant,
    ) -> io::Result<()> {
        let is_name =
            |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let wanted: BTreeSet<&String> = names.filter(|name| is_name(name)).take(NAMES_MAX).collect();
        self.known.retain(|name, _| wanted.contains(name));
        for name in wanted {
            let friend = || Friend { addresses: Vec::new(), due: Some(now), has_answered: false };
            self.known.entry(name.clone()).or_insert_with(friend);
        }
        if self.thread.is_none() && !self.known.is_empty() {
            let (names, asked) = mpsc::sync_channel::<String>(NAMES_MAX);
            let (answers, answered) = mpsc::sync_channel(NAMES_MAX);
            let (waker, look_up) = (self.waker.clone(), self.look_up);
            let run = move || {
                for name in asked {
                    let addresses = look_up(&name);
                    if answers.send((name, addresses)).is_err() {
                        return;
                    }
                    waker.wake();
                }
            };
            std::thread::Builder::new().name("bans-friends".into()).spawn(run)?;
            self.thread = Some((names, answered));
        }
        Ok(())
    }

    /// Takes answers, and asks for those whose time it is.
    pub(super) fn turn(&mut self, now: Instant) -> Vec<News> {
        let Some((names, answered)) = &self.thread else { return Vec::new() };
        let mut news = Vec::new();
        for (name, addresses) in answered.try_iter() {
            let Some(friend) = self.known.get_mut(&name) else { continue };
            let is_first = !std::mem::replace(&mut friend.has_answered, true);
            friend.due = now.checked_add(if addresses.is_empty() { AGAIN } else { MEMORY });
            if addresses.is_empty() {
                news.extend(is_first.then_some(News::Nobody(name)));
            } else if friend.addresses != addresses {
                friend.addresses.clone_from(&addresses);
                news.push(News::Other(name, addresses));
            }
        }
        for (name, friend) in &mut self.known {
            if friend.due.is_some_and(|due| due <= now) && names.try_send(name.clone()).is_ok() {
                friend.due = None;
            }
        }
        news
    }

    /// Whether each name was looked up once.
    pub(super) fn are_known(&self) -> bool {
        self.known.values().all(|friend| friend.has_answered)
    }

    /// The addresses of names.
    pub(super) fn of(&self, names: &[String]) -> Vec<IpAddr> {
        let found = names.iter().filter_map(|name| self.known.get(name));
        found.flat_map(|friend| friend.addresses.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static ZONE: Mutex<Vec<IpAddr>> = Mutex::new(Vec::new());

    fn zone(_: &str) -> Vec<IpAddr> {
        ZONE.lock().unwrap().clone()
    }

    /// Waits for the answer, which comes from another thread.
    fn turn(friends: &mut Friends, now: Instant) -> Vec<News> {
        assert_eq!(friends.turn(now), []);
        loop {
            let news = friends.turn(now);
            if friends.known.values().all(|friend| friend.due.is_some()) {
                return news;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn addresses_outlive_the_name_server() {
        let mut friends = Friends { look_up: zone, ..Friends::new(Waker::new().unwrap()) };
        let (name, now) = ("friend.example".to_owned(), Instant::now());
        let addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        friends.want([&name, &"no name".to_owned()].into_iter(), now).unwrap();
        assert!(!friends.are_known());
        assert_eq!(turn(&mut friends, now), [News::Nobody(name.clone())]);
        assert!(friends.are_known() && friends.of(std::slice::from_ref(&name)).is_empty());
        ZONE.lock().unwrap().clone_from(&addresses);
        let now = now + AGAIN;
        assert_eq!(turn(&mut friends, now), [News::Other(name.clone(), addresses.clone())]);
        // The name server is away.
        ZONE.lock().unwrap().clear();
        let now = now + MEMORY;
        assert_eq!(turn(&mut friends, now), []);
        assert_eq!(friends.of(std::slice::from_ref(&name)), addresses);
        // It moved.
        ZONE.lock().unwrap().extend(addresses.last());
        let now = now + AGAIN;
        assert_eq!(turn(&mut friends, now), [News::Other(name.clone(), vec![addresses[1]])]);
        friends.want([].into_iter(), now).unwrap();
        assert!(friends.of(&[name]).is_empty());
    }
}
