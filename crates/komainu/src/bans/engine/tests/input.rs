//! Lines from standard input.

use super::*;
use std::io::{PipeWriter, pipe};

fn say(pipe: &mut PipeWriter, address: &str, ago_s: i64) {
    let at = jiff::Timestamp::from_second(crate::clock::now().wall.0 / 1_000_000 - ago_s).unwrap();
    pipe.write_all(format!("{at} mx app[7]: failed from {address}\n").as_bytes()).unwrap();
}

fn is_banned(site: &Site, jail: &str, address: &str) -> bool {
    site.changes().contains(&format!("Ban {jail} {address}"))
}

#[test]
fn a_pipe_and_a_log() {
    let jail = |name: &str, path: &str| {
        format!("[{name}]\nenabled = true\nfilter =\nfailregex = failed from <HOST>$\nlogpath = {path}\n")
    };
    let mut site =
        Site::new(&(jail("named", "DIR/none.log") + &jail("dash", "-") + &jail("logged", "DIR/app.log")));
    site.write("app.log", "");
    let (reader, mut writer) = pipe().unwrap();
    site.input = Some((reader.into(), vec!["named".to_owned()]));
    site.start();
    site.until("start", |site| site.changes().len() == 3);
    assert!(!site.said().contains("nothing to read"), "{}", site.said());
    // Stamps count as they stand: one from before `findtime` is nothing.
    for ago_s in [700, 300, 300] {
        say(&mut writer, "192.0.2.1", ago_s);
    }
    say(&mut writer, "192.0.2.2", 0);
    site.until("four lines", |site| site.status("dash").total_failed == 3);
    assert!(!is_banned(&site, "dash", "192.0.2.1"));
    say(&mut writer, "192.0.2.1", 0);
    site.until("bans by both", |site| {
        ["named", "dash"].iter().all(|jail| is_banned(site, jail, "192.0.2.1"))
    });
    assert!(!is_banned(&site, "logged", "192.0.2.1"));
    drop(writer);
    let is_blind = |site: &Site| site.said().matches("standard input has ended; whom it holds").count() == 2;
    site.until("its end", is_blind);
    // The others go on, and nobody is let in.
    for _ in 0..3 {
        site.fail("app.log", "192.0.2.3", 0);
    }
    site.until("the other jail", |site| is_banned(site, "logged", "192.0.2.3"));
    assert_eq!(site.status("dash").banned, ["192.0.2.1"]);
    assert_eq!(site.engine.as_ref().unwrap().outcome(), None);
}

#[test]
fn it_ends_with_its_only_input() {
    let mut site = Site::new(&APP.replace("DIR/app*.log", "-"));
    let (reader, mut writer) = pipe().unwrap();
    site.input = Some((reader.into(), Vec::new()));
    (0..3).for_each(|_| say(&mut writer, "192.0.2.1", 0));
    drop(writer);
    site.start();
    site.until("its end", |site| !site.engine.as_ref().unwrap().is_running());
    let said = site.engine.as_ref().unwrap().outcome().unwrap_or_default().to_owned();
    assert!(said.contains("standard input has ended"), "{said}");
    // What it held is there for the next start.
    let (reader, _writer) = pipe().unwrap();
    site.input = Some((reader.into(), Vec::new()));
    site.start();
    assert_eq!(site.status("app").banned, ["192.0.2.1"]);
}

#[test]
fn a_jail_that_isn_t_there_is_said() {
    let site = Site::new(APP);
    let (reader, _writer) = pipe().unwrap();
    let daemon = Daemon { target: Target::File(site.path("bans.log")), ..Daemon::default() };
    let started = Engine::start(Setup {
        folder: site.path("etc"),
        state: None,
        log: BanLog::start(&daemon).unwrap(),
        hands: Vec::new(),
        opener: Arc::new(Direct),
        own: None,
        doors: None,
        input: Some((reader.into(), vec!["app".to_owned(), "apq".to_owned()])),
        waker: Waker::new().unwrap(),
    });
    assert!(started.err().is_some_and(|why| why.starts_with("--stdin apq: no jail")));
}
