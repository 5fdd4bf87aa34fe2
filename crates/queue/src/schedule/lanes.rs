//! Destinations and how much goes to each at a time.
//!
//! Recipients of one message with the same route go in one attempt, up to the recipient limit; attempts to one
//! destination run side by side as far as its [`Window`] goes, all of a transport up to its process limit; whose turn
//! it is, is [`super::turns`]'s. Where the recipient limit is 1, a destination is a single recipient, as in Postfix. A
//! destination whose window is shut is dead for `minimal_backoff_time`: what waits for it goes to `retry` instead.

use super::Settings;
use super::limits::Limits;
use super::line::Line;
use super::turns::Turns;
use super::window::{Window, short};
use crate::entry::Reason;
use mail::{Address, Wall};
use std::collections::{BTreeMap, BTreeSet};

/// Dead or pausing destinations that are remembered; Postfix's bound is `qmgr_message_recipient_limit`.
const RESTING_MAX: usize = 20_000;

/// Where a recipient goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The first column of master.cf: `virtual`, `local`, `smtp` …
    pub transport: String,
    /// The domain or host; for `error` and `discard` the text.
    pub nexthop: String,
}

impl Route {
    /// As parameters name it: `transport:nexthop`, or a transport alone, whose nexthop is then empty.
    #[must_use]
    pub fn named(text: &str) -> Route {
        let (transport, nexthop) = mail::destination::transport_and_nexthop(text);
        Route { transport: transport.to_owned(), nexthop: nexthop.to_owned() }
    }

    /// Deferred without being tried, for this reason: the transport `retry`, which error(8) serves.
    #[must_use]
    pub fn retry(reason: &Reason) -> Route {
        Route { transport: "retry".to_owned(), nexthop: format!("{} {}", reason.dsn, reason.text) }
    }
}

/// One attempt that waits for its turn.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) recipients: Vec<u32>,
}

/// A destination: a route, and the recipient where each is one of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    transport: String,
    nexthop: String,
    single: Option<Address>,
}

/// Names a destination for as long as it has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(pub(super) u64);

#[derive(Debug)]
struct Lane {
    key: Key,
    window: Window,
    /// Attempts that run.
    busy: u32,
    /// Attempts that wait, by age; and their place among the shares.
    jobs: BTreeMap<u64, (u64, Job)>,
    by_share: BTreeSet<(u64, u64)>,
    /// Dead, or pausing between two deliveries, until then.
    rests: Option<Wall>,
    /// Why it is dead.
    why: Option<Reason>,
    /// Somebody answered there since it has something to do.
    proven: bool,
    /// It has one attempt under way and no answer yet, in a transport that is half full: no more for now.
    held_back: bool,
    /// Messages that wait outside of the active queue.
    parked: Line,
}

impl Lane {
    fn may_begin(&self) -> bool {
        self.rests.is_none() && !self.held_back && self.busy < self.window.size()
    }

    fn is_idle(&self) -> bool {
        self.busy == 0 && self.jobs.is_empty() && self.rests.is_none() && self.parked.len() == 0
    }
}

/// One transport's attempts.
#[derive(Debug, Default)]
struct Transport {
    running: u32,
    /// `transport_rate_delay`: nothing is begun before this.
    rests: Option<Wall>,
    turns: Turns,
    /// Destinations that are held back.
    held_back: BTreeSet<LaneId>,
}

/// All destinations with something to do.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<LaneId, Lane>,
    keys: BTreeMap<Key, LaneId>,
    transports: BTreeMap<String, Transport>,
    /// The transport whose attempt was begun last.
    last_transport: String,
    /// Destinations that rest.
    resting: BTreeSet<(Wall, LaneId)>,
    /// Where a message's waiting attempts are.
    waiting: BTreeMap<u64, BTreeMap<u64, LaneId>>,
    /// Where a message is parked.
    parked: BTreeMap<u64, LaneId>,
    last_lane: u64,
    last_job: u64,
    /// Parked messages that may come back.
    pub(super) returned: Vec<u64>,
    /// For the log, where feedback is to be seen.
    pub(super) remarks: Vec<String>,
}

impl Settings {
    pub(super) fn limits_of(&self, transport: &str) -> Limits {
        match self.transport_limits.get(transport) {
            Some(limits) => *limits,
            None if transport == "retry" || transport == "error" => Limits::none(),
            None => self.limits,
        }
    }

    /// Whom a delivery counts for. An extension makes no other user of a local one, nor do capitals: whoever likes could
    /// have as many as he likes.
    fn recipient_of(&self, transport: &str, address: Address) -> Address {
        if transport != "local" {
            return address;
        }
        let is_extension = |(at, c): &(usize, char)| *at > 0 && self.recipient_delimiter.contains(*c);
        let end = address.local().char_indices().find(is_extension).map(|(at, _)| at);
        let user = end.and_then(|end| address.local().get(..end)).unwrap_or(address.local());
        Address::from_internal(user.to_lowercase())
    }
}

impl Lanes {
    /// Queues a message's recipients, at most `together` in one attempt where that isn't 0; gives the number of
    /// attempts made of them.
    pub(super) fn add(
        &mut self,
        number: u64,
        recipients: Vec<(u32, Route, Address)>,
        together: u32,
        settings: &Settings,
    ) -> usize {
        let mut groups: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
        for (index, route, address) in recipients {
            let limit = recipients_at_once(&settings.limits_of(&route.transport), together);
            let single = (limit == 1).then(|| settings.recipient_of(&route.transport, address));
            groups.entry(Key::new(route, single)).or_default().push(index);
        }
        let mut added = 0;
        for (key, indices) in groups {
            let limits = settings.limits_of(&key.transport);
            let limit = recipients_at_once(&limits, together);
            let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
            let dead =
                self.keys.get(&key).and_then(|id| self.lanes.get(id)).and_then(|lane| lane.why.clone());
            let key = dead.map_or(key, |why| suspended(&why));
            let lane = self.lane(key, &limits);
            for part in indices.chunks(limit) {
                self.push(lane, Job { number, recipients: part.to_vec() }, settings);
                added += 1;
            }
        }
        added
    }

    fn lane(&mut self, key: Key, limits: &Limits) -> LaneId {
        if let Some(id) = self.keys.get(&key) {
            return *id;
        }
        self.last_lane += 1;
        let id = LaneId(self.last_lane);
        let lane = Lane {
            key: key.clone(),
            window: Window::new(limits),
            busy: 0,
            jobs: BTreeMap::new(),
            by_share: BTreeSet::new(),
            rests: None,
            why: None,
            proven: false,
            held_back: false,
            parked: Line::default(),
        };
        self.lanes.insert(id, lane);
        self.keys.insert(key, id);
        id
    }

    fn push(&mut self, id: LaneId, job: Job, settings: &Settings) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        self.last_job += 1;
        let turn = self.last_job;
        let slots = settings.limits_of(&lane.key.transport).slots;
        let transport = self.transports.entry(lane.key.transport.clone()).or_default();
        let share = transport.turns.enlist(job.number, slots);
        self.waiting.entry(job.number).or_default().insert(turn, id);
        lane.by_share.insert((share, turn));
        lane.jobs.insert(turn, (share, job));
        self.list(id);
    }

    /// Shows a destination's first attempts among those that may be begun, or none where it may not begin any.
    fn list(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        let first = lane.jobs.first_key_value().map(|(turn, (_, job))| (*turn, job.number));
        let heads = first.zip(lane.by_share.first().copied()).filter(|_| lane.may_begin());
        if let Some(transport) = self.transports.get_mut(&lane.key.transport) {
            transport.turns.list(id, heads);
        }
    }

    /// The next attempt that may run, and its destination for [`Lanes::done`].
    pub(super) fn next(&mut self, now: Wall, settings: &Settings) -> Option<(LaneId, Route, Job)> {
        let (name, (turn, id)) = loop {
            let (name, (turn, id)) = self.pick(settings)?;
            if !self.hold_back(&name, id, settings) {
                break (name, (turn, id));
            }
        };
        let limits = settings.limits_of(&name);
        let lane = self.lanes.get_mut(&id)?;
        let (share, job) = lane.jobs.remove(&turn)?;
        lane.by_share.remove(&(share, turn));
        lane.busy += 1;
        let route = lane.key.route();
        let transport = self.transports.entry(name.clone()).or_default();
        transport.running += 1;
        transport.turns.begun(job.number, share);
        if !limits.transport_rate_delay.is_zero() {
            transport.rests = Some(now + limits.transport_rate_delay);
        }
        self.last_transport = name;
        self.no_longer_waits(job.number, turn);
        self.list(id);
        self.unpark(id, settings);
        Some((id, route, job))
    }

    /// Whether a destination that nobody has answered at is to wait: where many hang, one attempt each must be enough,
    /// or they would fill the transport.
    fn hold_back(&mut self, name: &str, id: LaneId, settings: &Settings) -> bool {
        let processes = settings.limits_of(name).processes;
        let (Some(lane), Some(transport)) = (self.lanes.get_mut(&id), self.transports.get_mut(name)) else {
            return false;
        };
        if lane.proven || lane.busy == 0 || transport.running < processes / 2 || processes < 2 {
            return false;
        }
        lane.held_back = true;
        transport.held_back.insert(id);
        self.list(id);
        true
    }

    fn hold_back_no_longer(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if std::mem::take(&mut lane.held_back) {
            if let Some(transport) = self.transports.get_mut(&lane.key.transport) {
                transport.held_back.remove(&id);
            }
            self.list(id);
        }
    }

    /// Transports take turns; within one, its oldest attempt and the others.
    fn pick(&mut self, settings: &Settings) -> Option<(String, (u64, LaneId))> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let last = self.last_transport.clone();
        for range in [(Excluded(&last), Unbounded), (Unbounded, Included(&last))] {
            for (name, transport) in self.transports.range_mut::<String, _>(range) {
                let limits = settings.limits_of(name);
                if transport.rests.is_some() || !below(transport.running, limits.processes) {
                    continue;
                }
                if let Some(picked) = transport.turns.pick(limits.slots) {
                    return Some((name.clone(), picked));
                }
            }
        }
        None
    }

    /// An attempt to this destination is over; `unreachable` where connection or handshake failed.
    pub(super) fn done(&mut self, now: Wall, id: LaneId, unreachable: Option<Reason>, settings: &Settings) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let limits = settings.limits_of(&lane.key.transport);
        let mut another = None;
        if let Some(transport) = self.transports.get_mut(&lane.key.transport) {
            transport.running = transport.running.saturating_sub(1);
            // One for each that ends: the others follow.
            another =
                transport.held_back.first().filter(|_| transport.running < limits.processes / 2).copied();
        }
        lane.proven |= unreachable.is_none();
        let was_dead = lane.window.is_dead();
        let (feedback, side) = match unreachable {
            Some(_) => (lane.window.bad(&limits), "throttle"),
            None => (lane.window.good(&limits, lane.busy), "unthrottle"),
        };
        lane.busy = lane.busy.saturating_sub(1);
        if settings.feedback_debug && !(was_dead && lane.window.is_dead()) {
            let nexthop = &lane.key.nexthop;
            self.remarks
                .extend(feedback.map(|feedback| format!("qmgr_queue_{side}: feedback {}", short(feedback))));
            self.remarks.push(format!("qmgr_queue_{side}: queue {nexthop}: {}", lane.window.text(&limits)));
        }
        let is_dead = lane.window.is_dead();
        if is_dead && !was_dead {
            lane.why = unreachable;
            self.rest(id, now + settings.minimal_backoff);
            self.suspend(id, settings);
        } else if was_dead && !is_dead {
            self.wake(id);
        }
        if !is_dead && !limits.rate_delay.is_zero() {
            self.rest(id, now + limits.rate_delay);
        }
        for id in another.into_iter().chain([id]) {
            self.hold_back_no_longer(id);
        }
        self.tidy(id);
    }

    fn rest(&mut self, id: LaneId, until: Wall) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            if let Some(former) = lane.rests.replace(until) {
                self.resting.remove(&(former, id));
            }
            self.resting.insert((until, id));
            self.list(id);
        }
        while self.resting.len() > RESTING_MAX
            && let Some((_, first)) = self.resting.first().copied()
        {
            self.wake(first);
            self.tidy(first);
        }
    }

    /// It may be tried again, from its first concurrency on.
    fn wake(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if let Some(until) = lane.rests.take() {
            self.resting.remove(&(until, id));
        }
        lane.why = None;
        self.list(id);
    }

    /// What waits for a dead destination is deferred for its reason.
    fn suspend(&mut self, id: LaneId, settings: &Settings) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Some(why) = lane.why.clone() else { return };
        while let Some(number) = lane.parked.pop_front() {
            self.parked.remove(&number);
            self.returned.push(number);
        }
        let jobs = std::mem::take(&mut lane.jobs);
        lane.by_share.clear();
        let name = lane.key.transport.clone();
        self.list(id);
        if jobs.is_empty() {
            return;
        }
        let retry = suspended(&why);
        let instead = self.lane(retry, &settings.limits_of("retry"));
        for (turn, (_, job)) in jobs {
            self.no_longer_waits(job.number, turn);
            if let Some(transport) = self.transports.get_mut(&name) {
                transport.turns.withdraw(job.number);
            }
            self.push(instead, job, settings);
        }
    }

    /// When something that rests may be tried again.
    pub(super) fn deadline(&self) -> Option<Wall> {
        let transports = self.transports.values().filter_map(|transport| transport.rests);
        transports.chain(self.resting.first().map(|(until, _)| *until)).min()
    }

    /// Takes in that time has passed.
    pub(super) fn expire(&mut self, now: Wall, settings: &Settings) {
        for transport in self.transports.values_mut() {
            transport.rests = transport.rests.filter(|until| *until > now);
        }
        while let Some((_, id)) = self.resting.first().copied().filter(|(until, _)| *until <= now) {
            self.rouse(id, settings);
        }
    }

    /// `postqueue -f`: no destination counts as dead.
    pub(super) fn wake_all(&mut self, settings: &Settings) {
        for (_, id) in self.resting.clone() {
            if self.lanes.get(&id).is_some_and(|lane| lane.window.is_dead()) {
                self.rouse(id, settings);
            }
        }
    }

    fn rouse(&mut self, id: LaneId, settings: &Settings) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && lane.window.is_dead()
        {
            lane.window = Window::new(&settings.limits_of(&lane.key.transport));
        }
        self.wake(id);
        self.tidy(id);
    }

    /// Where all that a message is to be tried for has more than its share of the active queue already: who has.
    pub(super) fn crowded<'a>(
        &self,
        recipients: impl Iterator<Item = (&'a Route, &'a Address)>,
        share: usize,
        settings: &Settings,
    ) -> Option<LaneId> {
        let mut first = None;
        for (route, address) in recipients {
            let single = settings.limits_of(&route.transport).recipients == 1;
            let single = single.then(|| settings.recipient_of(&route.transport, address.clone()));
            let key = Key::new(route.clone(), single);
            let id = *self.keys.get(&key)?;
            self.lanes.get(&id).filter(|lane| lane.why.is_none() && lane.jobs.len() >= share)?;
            first.get_or_insert(id);
        }
        first
    }

    /// The message waits outside of the active queue until this destination has room.
    pub(super) fn park(&mut self, number: u64, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.parked.push_back(number);
            self.parked.insert(number, id);
        }
    }

    /// Whether it was parked.
    pub(super) fn take_parked(&mut self, number: u64) -> bool {
        let Some(id) = self.parked.remove(&number) else { return false };
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.parked.remove(number);
        }
        self.tidy(id);
        true
    }

    /// Messages that are parked.
    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    fn unpark(&mut self, id: LaneId, settings: &Settings) {
        let half = settings.share() / 2;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.jobs.len() > half {
            return;
        }
        for number in std::iter::from_fn(|| lane.parked.pop_front()).take(half.max(1)) {
            self.parked.remove(&number);
            self.returned.push(number);
        }
    }

    /// New limits hold for what is begun from now on.
    pub(super) fn reconfigure(&mut self, settings: &Settings) {
        let ids: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in ids {
            if let Some(lane) = self.lanes.get_mut(&id)
                && !lane.window.is_dead()
            {
                lane.window = Window::new(&settings.limits_of(&lane.key.transport));
            }
            self.list(id);
        }
    }

    fn no_longer_waits(&mut self, number: u64, turn: u64) {
        if let Some(turns) = self.waiting.get_mut(&number) {
            turns.remove(&turn);
            if turns.is_empty() {
                self.waiting.remove(&number);
            }
        }
    }

    /// Forgets a destination with nothing to do.
    fn tidy(&mut self, id: LaneId) {
        self.list(id);
        if let Some(lane) = self.lanes.get(&id).filter(|lane| lane.is_idle()) {
            self.keys.remove(&lane.key);
            self.lanes.remove(&id);
        }
    }

    /// Drops the attempts of a message that wait for their turn; how many.
    pub(super) fn forget(&mut self, number: u64, settings: &Settings) -> usize {
        let waiting = self.waiting.remove(&number).unwrap_or_default();
        let dropped = waiting.len();
        for (turn, id) in waiting {
            if let Some(lane) = self.lanes.get_mut(&id)
                && let Some((share, _)) = lane.jobs.remove(&turn)
            {
                lane.by_share.remove(&(share, turn));
                if let Some(transport) = self.transports.get_mut(&lane.key.transport) {
                    transport.turns.withdraw(number);
                }
            }
            self.unpark(id, settings);
            self.tidy(id);
        }
        dropped
    }
}

impl Key {
    fn new(route: Route, single: Option<Address>) -> Key {
        Key { transport: route.transport, nexthop: route.nexthop, single }
    }

    fn route(&self) -> Route {
        Route { transport: self.transport.clone(), nexthop: self.nexthop.clone() }
    }
}

/// What mail for a dead destination gets, in Postfix's words.
fn suspended(why: &Reason) -> Key {
    let text = format!("delivery temporarily suspended: {}", why.text);
    Key::new(Route::retry(&Reason::new(why.dsn, text)), None)
}

fn recipients_at_once(limits: &Limits, together: u32) -> u32 {
    if together == 0 { limits.recipients } else { together }
}

fn below(count: u32, limit: u32) -> bool {
    limit == 0 || count < limit
}
