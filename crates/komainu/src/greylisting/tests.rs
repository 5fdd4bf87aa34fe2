//! Whose endpoints are answered, and what outlives a restart.

use super::*;
use crate::log::{Destination, Format};

#[test]
fn endpoints_of_postgrey() {
    let options = Options {
        inet: Some(("localhost".into(), 60_000)),
        unix: Some("/run/grey".into()),
        ..Options::default()
    };
    let inet = |host: &str, port: &str| Endpoint::Inet { host: host.to_owned(), port: port.to_owned() };
    let unix = |path: &str| Endpoint::Unix(path.to_owned());
    let check = |endpoint: Endpoint, expect: bool| {
        assert_eq!(is_postgreys(&endpoint, &options), expect, "{endpoint:?}");
    };
    check(inet("127.0.0.1", "10023"), true);
    check(inet("localhost", "10023"), true);
    check(inet("::1", "60000"), true);
    check(inet("192.0.2.1", "10023"), false);
    check(inet("127.0.0.1", "10024"), false);
    check(inet("127.0.0.1", "12340"), false);
    check(unix("/run/grey"), true);
    check(unix("private/postgrey"), true);
    check(unix("postgrey/socket"), true);
    check(unix("/var/run/postgrey.sock"), true);
    check(unix("private/policyd-spf"), false);
    check(unix("private/notpostgrey"), false);
}

fn open(folder: &Path) -> (Arc<Greylister>, PathBuf) {
    let path = folder.join("log");
    let log = Log::start(&Destination::File(path.clone()), Format::Postfix, "mx").unwrap();
    let greylister = Greylister::new(Some(folder.join("greylist")), log, "mx.example.com".to_owned());
    greylister.set(Some(Arc::new(Greylist::default())));
    greylister.open_now();
    (greylister, path)
}

fn ask(greylister: &Greylister, sender: &str) -> String {
    let text = format!(
        "request=smtpd_access_policy\nclient_address=192.0.2.1\nclient_name=mail.example.org\nsender={sender}\n\
         recipient=box@example.com\n\n"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(greylister.judge(&text)).unwrap()
}

/// Those who wait are let pass by hand, with a server and without.
#[test]
fn orders() {
    use orders::{Order, tell};
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("greylist");
    let (greylister, _) = open(folder.path());
    assert!(ask(&greylister, "a@example.org").starts_with("DEFER_IF_PERMIT "));
    assert_eq!(tell(&state, &[Order::Pass("a@example.org".into())]).unwrap(), 1);
    assert_eq!(ask(&greylister, "a@example.org"), "DUNNO");
    let given = Given { is_client: true, first: 9, last: u32::MAX, key: "192.0.2.1".to_owned() };
    assert_eq!(tell(&state, &[Order::Take(given.clone()), Order::Take(given)]).unwrap(), 1);
    assert_eq!(ask(&greylister, "b@example.org"), "DUNNO", "a client that Postgrey knew");
    drop(greylister);
    // A connection wakes the thread that took orders, which sees that its server is gone.
    let forget = || tell(&state, &[Order::Forget("192.0.2.".into())]).ok();
    let done = (0..1_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        forget()
    });
    assert_eq!(done, Some(2), "a triplet and a client");
    let rest = remembered(&state).unwrap();
    assert!(rest.listed(Kind::Triplet).is_empty() && rest.listed(Kind::Client).is_empty());
}

/// T2.17, and what is remembered is there after a crash.
#[test]
fn what_is_remembered_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (greylister, log) = open(folder.path());
    assert!(ask(&greylister, "a@example.org").starts_with("DEFER_IF_PERMIT Greylisted, see "));
    let first = lock(&greylister.table).listed(Kind::Triplet);
    assert_eq!(first.first().map(|one| one.text.as_str()), Some("192.0.2.0/a@example.org/box@example.com"));
    greylister.flush();
    greylister.ground.log.flush();
    let said = std::fs::read_to_string(&log).unwrap();
    let line = "action=greylist, reason=new, client_name=mail.example.org, client_address=192.0.2.1/32, \
                sender=a@example.org, recipient=box@example.com";
    assert!(said.contains(line), "{said}");
    assert_eq!(
        remembered(&folder.path().join("greylist")).unwrap().listed(Kind::Triplet),
        first,
        "for tools"
    );
    // The file has one writer.
    let (second, log) = open(folder.path());
    assert!(lock(&second.table).listed(Kind::Triplet).is_empty());
    second.ground.log.flush();
    assert!(std::fs::read_to_string(log).unwrap().contains("kept in memory only until the next start"));
    drop((greylister, second));
    let (again, _) = open(folder.path());
    assert_eq!(lock(&again.table).listed(Kind::Triplet), first);
    assert!(ask(&again, "").starts_with("DEFER_IF_PERMIT "));
}
