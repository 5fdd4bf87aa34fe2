mod attempts;
mod wide;

use super::*;
use crate::bans::hours::Hours;
use crate::bans::order::{JailStatus, Value};
use crate::bans::settings::{Daemon, Target};
use crate::bans::tail::Direct;
use crate::firewall::Verb;
use jiff::tz::TimeZone;
use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Hands that only remember.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Vec<Change>>>);

impl Hands for Noted {
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(changes.iter().cloned());
        vec![Ok(()); changes.len()]
    }
}

/// A machine with fail2ban's files and logs of its own.
struct Site {
    folder: tempfile::TempDir,
    noted: Noted,
    engine: Option<Engine>,
    /// The process that it says it is.
    pid: u32,
    /// Standard input, and who reads it.
    input: Option<(OwnedFd, Vec<String>)>,
    dial: Dial,
}

/// A clock that can be set, and runs.
#[derive(Clone)]
struct Dial {
    set_us: Arc<AtomicI64>,
    slept_s: Arc<AtomicI64>,
    zone: TimeZone,
}

impl Dial {
    fn new(zone: TimeZone) -> Dial {
        Dial { set_us: Arc::default(), slept_s: Arc::default(), zone }
    }

    fn now_us(&self) -> i64 {
        crate::clock::now().wall.0 + self.set_us.load(Ordering::Relaxed)
    }

    /// Somebody sets the clock.
    fn set(&self, by_s: i64) {
        self.set_us.fetch_add(by_s * 1_000_000, Ordering::Relaxed);
    }

    /// So much time passes at once.
    fn pass(&self, by_s: i64) {
        // In this order: who looks between the two sees a machine that slept longer than time has passed, for a moment.
        self.slept_s.fetch_add(by_s, Ordering::Relaxed);
        self.set(by_s);
    }

    /// It is so late: `2026-10-25T00:30:00Z`.
    fn is(&self, moment: &str) {
        let at: jiff::Timestamp = moment.parse().unwrap();
        self.set_us.fetch_add(at.as_microsecond() - self.now_us(), Ordering::Relaxed);
    }

    fn hours(&self) -> Hours {
        let (wall, slept) = (self.clone(), Arc::clone(&self.slept_s));
        let slept_s = move || Some(slept.load(Ordering::Relaxed));
        Hours::new(self.zone.clone(), Arc::new(move || wall.now_us()), Arc::new(slept_s))
    }
}

impl Site {
    fn new(jails: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let site = Site {
            folder,
            noted: Noted::default(),
            engine: None,
            pid: 812,
            input: None,
            dial: Dial::new(TimeZone::UTC),
        };
        fs::create_dir(site.path("etc")).unwrap();
        site.write("etc/jail.conf", &format!("[DEFAULT]\nignoreself = false\nbackend = auto\nmaxretry = 3\nfindtime = 600\nbantime = 600\n{jails}"));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text.replace("DIR", &self.folder.path().display().to_string())).unwrap();
    }

    fn add(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A failed log-in, so many seconds ago.
    fn fail(&self, log: &str, address: &str, ago_s: i64) {
        let at = jiff::Timestamp::from_second(self.dial.now_us() / 1_000_000 - ago_s).unwrap();
        self.add(log, &format!("{at} mx app[7]: failed from {address}\n"));
    }

    fn start(&mut self) {
        let daemon = Daemon { target: Target::File(self.path("bans.log")), ..Daemon::default() };
        let setup = Setup {
            folder: self.path("etc"),
            state: Some(self.path("state")),
            log: BanLog::start_as(&daemon, self.pid, self.dial.hours()).unwrap(),
            hands: vec![Box::new(self.noted.clone())],
            opener: Arc::new(Direct),
            own: None,
            doors: None,
            input: self.input.take(),
            waker: Waker::new().unwrap(),
        };
        self.engine = Some(Engine::start(setup).unwrap());
    }

    /// Ends it as SIGTERM does.
    fn stop(&mut self) {
        self.engine = None;
    }

    fn ask(&self, order: Order) -> Answer {
        self.engine.as_ref().unwrap().orders().ask(order)
    }

    fn status(&self, jail: &str) -> JailStatus {
        match self.ask(Order::JailStatus(jail.to_owned())) {
            Answer::Jail(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn until(&self, what: &str, is_so: impl Fn(&Site) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(Instant::now() < end, "never: {what}\n{}\n{:#?}", self.said(), self.changes());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn changes(&self) -> Vec<String> {
        let noted = self.noted.0.lock().unwrap();
        noted.iter().map(|change| format!("{:?} {} {}", change.verb, change.jail, change.id)).collect()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("bans.log")).unwrap_or_default()
    }
}

mod clock;
mod echo;
mod input;
mod longer;
mod rotated;
mod spared;

const APP: &str =
    "[app]\nenabled = true\nfilter =\nfailregex = failed from <HOST>$\nlogpath = DIR/app*.log\n";

#[test]
fn failures_ban_and_bans_end() {
    let mut site = Site::new(
        "[app]\nenabled = true\nfilter =\nfailregex = failed from <HOST>$\nlogpath = DIR/app*.log\nbantime = 2\n[blind]\nenabled = true\nfilter =\nfailregex = x <HOST>\nlogpath = DIR/none.log\n[broken]\nenabled = true\nfilter = nothing\n",
    );
    site.write("app.log", "");
    site.start();
    site.until("start", |site| site.changes() == ["Start app ", "Start blind "]);
    site.fail("app.log", "192.0.2.1", 0);
    site.fail("app.log", "192.0.2.1", 0);
    site.fail("app.log", "2001:db8::1", 0);
    site.until("three failures", |site| site.status("app").total_failed == 3);
    assert_eq!((site.status("app").currently_failed, site.status("app").currently_banned), (2, 0));
    site.fail("app.log", "192.0.2.1", 0);
    site.until("the ban", |site| site.changes().contains(&"Ban app 192.0.2.1".to_owned()));
    site.until("its end", |site| site.changes().contains(&"Unban app 192.0.2.1".to_owned()));
    // A log that comes later, by the same pattern.
    site.fail("app-2.log", "192.0.2.2", 0);
    site.until("another log", |site| site.status("app").files.len() == 2);
    site.until("its line", |site| site.status("app").total_failed == 5);
    let Answer::Jails(jails) = site.ask(Order::Status) else { panic!() };
    let blind: Vec<_> = jails.iter().map(|jail| (jail.name.as_str(), jail.blind.is_some())).collect();
    assert_eq!(blind, [("app", false), ("blind", true)]);
    assert!(
        matches!(site.ask(Order::JailStatus("broken".into())), Answer::Refused(text) if text.contains("nothing"))
    );
    assert_eq!(site.ask(Order::JailStatus("none".into())), Answer::NoJail("none".into()));
    site.stop();
    let said = site.said();
    let lines: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once("]: ")?.1)).collect();
    let mut at = 0;
    for expect in [
        "INFO    Jail 'app' started",
        "INFO    [app] Found 192.0.2.1 - ",
        "INFO    [app] Found 2001:db8::1 - ",
        "INFO    [app] Found 192.0.2.1 - ",
        "NOTICE  [app] Ban 192.0.2.1",
        "NOTICE  [app] Unban 192.0.2.1",
        "INFO    Jail 'app' stopped",
        "INFO    Exiting Komainu",
    ] {
        let found = lines.iter().skip(at).position(|line| line.starts_with(expect));
        at += found.unwrap_or_else(|| panic!("{expect}\n{said}")) + 1;
    }
    assert!(
        said.contains("WARNING [blind] has nothing to read") && said.contains("jail 'broken' can't run"),
        "{said}"
    );
}

#[test]
fn a_restart_forgets_nothing() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    for _ in 0..3 {
        site.fail("app.log", "192.0.2.1", 1);
    }
    site.fail("app.log", "192.0.2.2", 1);
    site.fail("app.log", "192.0.2.2", 1);
    site.until("a ban", |site| site.status("app").banned == ["192.0.2.1"]);
    site.until("two of another", |site| site.status("app").total_failed == 5);
    assert_eq!(
        site.ask(Order::Ban {
            jail: "app".into(),
            ids: vec!["198.51.100.0/24".into(), "192.0.2.1".into()],
            ban_s: Some(1)
        }),
        Answer::Count(1)
    );
    site.stop();
    assert!(site.said().contains("NOTICE  [app] Unban 192.0.2.1"));
    let before = site.changes().len();
    // Its log is rotated meanwhile, with a failure that nobody has read.
    site.fail("app.log", "192.0.2.2", 0);
    fs::rename(site.path("app.log"), site.path("app.log.1")).unwrap();
    site.write("app.log", "");
    // The short ban ends while it is down.
    std::thread::sleep(Duration::from_millis(1_100));
    site.start();
    assert_eq!(
        site.changes()[before..][..2],
        ["Start app ", "Ban app 192.0.2.1"],
        "before anything else goes on"
    );
    site.until("both", |site| site.status("app").banned == ["192.0.2.1", "192.0.2.2"]);
    site.until("done", |site| site.changes().len() >= before + 3);
    assert_eq!(site.changes()[before..], ["Start app ", "Ban app 192.0.2.1", "Ban app 192.0.2.2"]);
    let noted = site.noted.0.lock().unwrap().clone();
    assert!(noted[before + 1].is_restored && !noted[before + 2].is_restored);
    assert_eq!((noted[before + 1].ban_s, noted[before + 1].matches.lines().count()), (600, 3));
    assert!(site.said().contains("NOTICE  [app] Restore Ban 192.0.2.1"));
    let Answer::Reasons(reasons) = site.ask(Order::Why("192.0.2.1".into())) else { panic!() };
    assert_eq!((reasons.len(), reasons[0].lines.len()), (1, 3));
    assert!(reasons[0].lines[0].line.ends_with("failed from 192.0.2.1") && reasons[0].held.is_some());
}

#[test]
fn a_damaged_state_is_said_and_costs_what_was_damaged() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    for address in ["192.0.2.1", "192.0.2.2"] {
        let ids = vec![address.to_owned()];
        site.ask(Order::Ban { jail: "app".into(), ids, ban_s: None });
        site.until("in force", |site| site.changes().iter().any(|change| change.ends_with(address)));
    }
    site.stop();
    let state = site.path("state/bans");
    let text = fs::read_to_string(&state).unwrap();
    let line = text.lines().find(|line| line.contains("192.0.2.1")).unwrap();
    assert!(!line.contains("192.0.2.2"));
    fs::write(&state, text.replace(line, &line.replace("192.0.2.1", "192.0.2.9"))).unwrap();
    site.start();
    assert_eq!(site.status("app").banned, ["192.0.2.2"]);
    assert!(site.said().contains("WARNING K0671: ") && site.said().contains("bans: 1 line(s) damaged: "));
}

#[test]
fn orders_and_a_reload() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    let get =
        |site: &Site, option: &str| site.ask(Order::Get { jail: Some("app".into()), option: option.into() });
    let set = |site: &Site, option: &str, value: &str| {
        site.ask(Order::Set { jail: Some("app".into()), option: option.into(), values: vec![value.into()] })
    };
    assert_eq!(get(&site, "maxretry"), Answer::Value(Value::Number(3)));
    assert_eq!(set(&site, "bantime", "1h"), Answer::Value(Value::Number(3600)));
    assert_eq!(
        set(&site, "addignoreip", "203.0.113.0/24"),
        Answer::Value(Value::List(vec!["203.0.113.0/24".into()]))
    );
    assert!(matches!(set(&site, "bantime", "soon"), Answer::Refused(_)));
    let ban = |ids: &[&str]| Order::Ban {
        jail: "app".into(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ban_s: None,
    };
    assert_eq!(site.ask(ban(&["192.0.2.1", "2001:db8::/32", "203.0.113.9", "192.0.2.1"])), Answer::Count(2));
    assert_eq!(site.status("app").banned, ["192.0.2.1", "2001:db8::/32"]);
    let Answer::Reasons(reasons) = site.ask(Order::Why("2001:db8::7".into())) else { panic!() };
    assert_eq!(reasons.len(), 1);
    // Who is never shut out isn't listed as if he were.
    assert_eq!(site.ask(ban(&["127.9.9.9", "::1", "0.0.0.0/0", "203.0.0.0/8"])), Answer::Count(0));
    assert_eq!(site.status("app").banned, ["192.0.2.1", "2001:db8::/32"]);
    let refused = "WARNING [app] 127.9.9.9 is not banned: it is, or holds, one that is never banned";
    site.until("that it is said", |site| site.said().contains(refused));
    // Somebody at a keyboard hears what he mistook, and why somebody isn't shut out.
    let add = |ids: &[&str]| Order::Add {
        jail: "app".into(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ban_s: None,
    };
    let wrong = ["foo", "1.2.3.4; x", "192.0.2.300"];
    let wrong = || wrong.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(
        site.ask(add(&["198.51.100.1", "foo", "1.2.3.4; x", "192.0.2.300"])),
        Answer::NoAddresses(wrong())
    );
    let spared =
        [("192.0.2.1", "shut out already"), ("127.9.9.9", "it is, or holds, one that is never banned")];
    let spared = spared.map(|(id, why)| (id.to_owned(), why.to_owned())).to_vec();
    assert_eq!(site.ask(add(&["192.0.2.1", "127.9.9.9"])), Answer::Added { count: 0, spared });
    assert_eq!(site.status("app").banned, ["192.0.2.1", "2001:db8::/32"]);
    let unban = |id: &str| Order::Unban { jail: None, ids: vec![id.into()] };
    assert_eq!(
        (site.ask(unban("2001:db8::/32")), site.ask(unban("192.0.2.77"))),
        (Answer::Count(1), Answer::Count(0))
    );
    // A jail that would break changes nothing.
    site.write("etc/jail.local", "[app]\nfailregex = ( <HOST>\n");
    assert!(matches!(site.ask(Order::Reload { jail: None, unban: false }), Answer::Refused(_)));
    assert_eq!(get(&site, "bantime"), Answer::Value(Value::Number(3600)));
    site.write("etc/jail.local", "[app]\nmaxretry = 1\n[other]\nenabled = true\nfilter =\nfailregex = bad <HOST>\nlogpath = DIR/app.log\n");
    assert_eq!(site.ask(Order::Reload { jail: None, unban: false }), Answer::Done);
    assert_eq!(
        (get(&site, "maxretry"), get(&site, "bantime")),
        (Answer::Value(Value::Number(1)), Answer::Value(Value::Number(600)))
    );
    assert_eq!(site.status("app").banned, ["192.0.2.1"]);
    site.add("app.log", &format!("{} mx x: bad 192.0.2.9\n", jiff::Timestamp::now()));
    site.until("both read one log", |site| site.status("other").total_failed == 1);
    assert_eq!(site.ask(Order::Stop(Some("other".into()))), Answer::Done);
    assert_eq!(site.ask(Order::Start("other".into())), Answer::Done);
    assert_eq!(site.ask(Order::Unban { jail: None, ids: vec![] }), Answer::Count(1));
    site.until("all done", |site| {
        site.changes().iter().filter(|change| *change == "Unban app 192.0.2.1").count() == 1
    });
    let verbs = site.noted.0.lock().unwrap().iter().filter(|change| change.verb == Verb::Start).count();
    assert_eq!(verbs, 3);
}

/// What is no log, or no jail file, stops nobody: bans go on, and a reload that would lose a jail by it changes nothing.
#[test]
fn what_cant_be_read_stops_nothing() {
    let mut site = Site::new(&APP.replace("enabled = true\n", "bantime = 600\n"));
    site.write("etc/jail.local", "[app]\nenabled = true\nmaxretry = 2\n");
    site.write("app.log", "");
    let made = std::process::Command::new("mkfifo").arg(site.path("app-fifo.log")).status();
    assert!(made.unwrap().success());
    site.start();
    site.until("start", |site| site.changes() == ["Start app "]);
    site.fail("app.log", "192.0.2.1", 0);
    site.fail("app.log", "192.0.2.1", 0);
    site.until("the ban", |site| site.changes().contains(&"Ban app 192.0.2.1".to_owned()));
    fs::remove_file(site.path("etc/jail.local")).unwrap();
    fs::create_dir(site.path("etc/jail.local")).unwrap();
    let answer = site.ask(Order::Reload { jail: None, unban: false });
    assert!(matches!(&answer, Answer::Refused(why) if why.contains("all stays as it was")), "{answer:?}");
    assert_eq!(site.status("app").currently_banned, 1);
    fs::remove_dir(site.path("etc/jail.local")).unwrap();
    // That it was switched off is another thing.
    assert!(matches!(site.ask(Order::Reload { jail: None, unban: false }), Answer::Done));
    assert!(matches!(site.ask(Order::JailStatus("app".to_owned())), Answer::NoJail(_)));
    site.stop();
}
