//! Greylisting in the program: who answers for Postgrey, and what is remembered.
//!
//! [`Greylister::judge`] takes the attributes of a policy request and gives the action, and writes Postgrey's log line
//! (T2.17). The server asks it for endpoints of Postgrey's at which nobody listens, `komainu policyd` for everything that
//! comes to its socket; both are the same code. The rules are `policy::greylist`'s, the rows on disk [`table`]'s.

pub(crate) mod orders;
pub(crate) mod server;
mod table;

pub(crate) use table::{Given, Kind, Listed, Table};

use crate::clock;
use crate::facts::Names;
use crate::kept_rows::{Keeper, Kept, Named, Rows as _};
use crate::log::Log;
use events::Event;
use events::daemon::Message;
use events::foreign::Greylisted;
use policy::greylist::triplet::Unusable;
use policy::greylist::{Greylist, Judged, LastHeader, Moment, Options, Reason, Request, pool};
use policy::{Answer, Endpoint, Need};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use store::keyed::KeyedFile;
use store::{Disk, RealDisk};

/// For fuzzing: what is taken over from Postgrey, and rows of the file.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    orders::fuzz(bytes);
}

/// As the log has it, so that tools that know Postgrey's lines find them.
pub(crate) const PROGRAM: &str = "postgrey";
/// Where Postgrey listens by its packages.
const PORT: u16 = 10_023;
/// The file of what is remembered.
const FILE: &str = "triplets";
/// Between two cleanups of what is remembered.
const CLEANUP: Duration = Duration::from_secs(3_600);
/// How long the DNS may take to say to which pool a client belongs.
const POOL_PATIENCE: Duration = Duration::from_secs(10);

/// Whether a policy service's endpoint is Postgrey's: by its packages, its options, or the socket's name.
#[must_use]
pub fn is_postgreys(endpoint: &Endpoint, options: &Options) -> bool {
    match endpoint {
        Endpoint::Inet { host, port } => {
            let is_here = |host: &str| {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            };
            let named = options.inet.as_ref().map(|(_, port)| *port);
            is_here(host) && port.parse::<u16>().is_ok_and(|port| port == PORT || Some(port) == named)
        }
        Endpoint::Unix(path) => {
            let path = Path::new(path);
            let is_name = |part: &std::ffi::OsStr| {
                let name = part.to_string_lossy();
                name == "postgrey" || name.starts_with("postgrey.")
            };
            options.unix.as_deref() == Some(path) || path.iter().any(is_name)
        }
    }
}

/// What the rules stand on.
struct Ground {
    folder: Option<PathBuf>,
    log: Log,
    host: String,
}

/// Who judges.
pub struct Greylister {
    ground: Ground,
    rules: RwLock<Option<Arc<Greylist>>>,
    table: Arc<Mutex<Table>>,
    headers: Mutex<LastHeader>,
    keeper: OnceLock<Keeper>,
    /// Who is asked about pools of senders.
    names: OnceLock<Arc<dyn Names>>,
    /// The lock on the folder.
    held: OnceLock<std::fs::File>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Greylister {
    /// Nothing is opened before it is asked for the first time. Rows are kept in `folder`, in memory alone without one.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, log: Log, host: String) -> Arc<Greylister> {
        Arc::new(Greylister {
            ground: Ground { folder, log, host },
            rules: RwLock::default(),
            table: Arc::default(),
            headers: Mutex::default(),
            keeper: OnceLock::new(),
            names: OnceLock::new(),
            held: OnceLock::new(),
        })
    }

    /// Who is asked about pools of senders; without anybody there are none.
    pub fn ask_names(&self, names: Arc<dyn Names>) {
        let _ = self.names.set(names);
    }

    /// The rules from now on; `None` where nobody is to be greylisted here.
    pub fn set(&self, rules: Option<Arc<Greylist>>) {
        if let Some(rules) = &rules {
            lock(&self.table).set_rules(rules);
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Option<Arc<Greylist>> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether an endpoint is Postgrey's, and its requests may be answered here.
    #[must_use]
    pub fn answers_for(&self, endpoint: &Endpoint) -> bool {
        self.rules().is_some_and(|rules| is_postgreys(endpoint, &rules.options))
    }

    /// Reads what is remembered, the first time.
    pub async fn open(self: &Arc<Greylister>) {
        if self.keeper.get().is_none() {
            let greylister = Arc::clone(self);
            // Without it everything is in memory.
            let _ = tokio::task::spawn_blocking(move || greylister.open_now()).await;
        }
    }

    /// The same, and waits for the disk.
    pub fn open_now(self: &Arc<Greylister>) {
        self.keeper.get_or_init(|| {
            let named = Named {
                name: "greylist".to_owned(),
                log: (self.ground.log.clone(), PROGRAM.to_owned()),
                cleanup: Some(CLEANUP),
            };
            let mut kept = Kept::in_memory(table::Rows::new(&self.table), named);
            if let Some(folder) = &self.ground.folder
                && self.hold(folder)
            {
                kept.read(RealDisk::new(folder).map(|disk| Arc::new(disk) as Arc<dyn Disk>), FILE);
                if let Err(error) = orders::listen(self, folder) {
                    let text = format!("{}: {error}; no orders are taken by hand", folder.display());
                    self.ground.log.write(PROGRAM, Message::warning(text));
                }
            }
            kept.start("greylist")
        });
    }

    /// One process at a time has the file.
    fn hold(&self, folder: &Path) -> bool {
        let opened = std::fs::create_dir_all(folder).and_then(|()| {
            let lock = std::fs::File::create(folder.join("lock"))?;
            rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            Ok(lock)
        });
        match opened {
            Ok(lock) => self.held.set(lock).is_ok(),
            Err(error) => {
                let folder = folder.display();
                let text =
                    format!("{folder}: {error}; triplets are kept in memory only until the next start");
                self.ground.log.write(PROGRAM, Message::warning(text));
                false
            }
        }
    }

    /// Judges a request by its attributes; says so in the log. The text behind `action=`.
    ///
    /// # Errors
    /// Where it isn't a request that has an answer.
    pub async fn judge(&self, attributes: &str) -> Result<String, Unusable> {
        let Some(rules) = self.rules() else { return Ok("DUNNO".to_owned()) };
        let value =
            |name: &str| attributes.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let request = match Request::read(value) {
            Ok(request) => request,
            Err(unusable) => {
                self.ground.log.write(PROGRAM, Event::Other(unusable.to_string().into()));
                return match unusable {
                    Unusable::Type(_) => Err(unusable),
                    Unusable::Missing(_) | Unusable::Address(_) => Ok("DUNNO".to_owned()),
                };
            }
        };
        let now = clock::now().wall;
        let pool = match self.names.get() {
            Some(names) if rules.wants_pool(&request, &mut *lock(&self.table), now.seconds()) => {
                let helo = value("helo_name").unwrap_or("");
                let (address, name, sender) = (request.client, request.client_name, request.sender);
                pool_of(&pool::Client { address, name, helo, sender }, &**names).await
            }
            _ => None,
        };
        Ok(self.decide(&rules, &Request { pool: pool.as_deref(), ..request }))
    }

    fn decide(&self, rules: &Greylist, request: &Request<'_>) -> String {
        let now = clock::now().wall;
        let moment = Moment { now, date: &|| date(now), host: &self.ground.host };
        let mut table = lock(&self.table);
        let judged = rules.judge(request, (&mut *table, &mut lock(&self.headers)), &moment);
        let changed = table.take_changed();
        drop(table);
        if let Some(keeper) = self.keeper.get() {
            changed.into_iter().for_each(|row| keeper.keep(row));
        }
        if !rules.options.quiet {
            self.ground.log.write(PROGRAM, line(request, &judged));
        }
        judged.action
    }

    /// Waits until what is remembered is on the disk.
    pub fn flush(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.flush();
        }
    }
}

/// The pool that a client belongs to, as far as the DNS says it in time.
async fn pool_of(client: &pool::Client<'_>, names: &dyn Names) -> Option<String> {
    let end = tokio::time::Instant::now().checked_add(POOL_PATIENCE)?;
    let mut facts = policy::spf::without_tables();
    loop {
        match pool::find(client, &facts) {
            Ok(pool) => return pool,
            Err(Need(question)) => {
                let late = |_| Answer::Unavailable("it took too long".to_owned());
                let answer = tokio::time::timeout_at(end, names.ask(&question)).await.unwrap_or_else(late);
                facts.learn(question, answer);
            }
        }
    }
}

/// What the file in `folder` has, for tools: a server may be writing it.
///
/// # Errors
/// Where there is no such file, or it can't be read.
pub(crate) fn remembered(folder: &Path) -> std::io::Result<Table> {
    std::fs::metadata(folder.join(FILE))?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(folder)?);
    let table = Arc::<Mutex<Table>>::default();
    let rows = table::Rows::new(&table);
    drop(KeyedFile::open(disk, FILE, table::Rows::LAYOUT, &mut |row| rows.restore(row))?);
    drop(rows);
    Ok(Arc::into_inner(table).and_then(|table| table.into_inner().ok()).unwrap_or_default())
}

/// Postgrey's line, with the address as the tutorial's version writes it.
fn line<'a>(request: &Request<'a>, judged: &Judged) -> Greylisted<'a> {
    let text = |text: &'a str| (!text.is_empty()).then_some(text.into());
    let length = if request.client.is_ipv4() { 32 } else { 128 };
    let delay = match judged.reason {
        Reason::Found { delay: Some(delay) } => u64::try_from(delay).ok(),
        _ => None,
    };
    Greylisted {
        action: if judged.reason.passes() { "pass" } else { "greylist" }.into(),
        reason: judged.reason.to_string().into(),
        delay,
        client_name: text(request.client_name),
        client_address: Some(format!("{}/{length}", request.client).into()),
        sender: text(request.sender),
        recipient: text(request.recipient),
    }
}

/// `Mon, 23 Nov 2026 05:30:05 UTC`
fn date(now: mail::Wall) -> String {
    let timestamp = jiff::Timestamp::from_second(now.seconds()).unwrap_or_default();
    let zoned = timestamp.to_zoned(jiff::tz::TimeZone::system());
    zoned.strftime("%a, %d %b %Y %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod flood;
#[cfg(test)]
mod tests;
