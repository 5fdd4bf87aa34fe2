//! The crash matrix of deliveries: the server and its helper are killed before each single step in turn, from the
//! message's coming in to its leaving the queue, started again, and then looked at.
//!
//! Mailboxes, a Maildir, a file, programs, what is forwarded to another server, a report, a report on a report: nothing
//! that was acknowledged is lost, what has come has come whole, and one kill repeats each step under way once. The
//! steps are taken from the running server (`tracer`), so that none is forgotten; their order also shows that nothing
//! counts as done that a power failure could take. `KOMAINU_STEPS=all` takes each; without
//! it every fifth is taken, with another beginning for each scenario. T2.14.

use crate::client::Client;
use crate::far_server::{FarServer, KIND, Words};
use crate::locals::{folder, write};
use crate::server::{Server, status};
use crate::site::{Site, VMAIL, until};
use crate::tracer::{Step, Tracer, Victims};
use crate::world::{self, Needs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What is sent again and again, and where it comes out.
struct Scenario {
    /// Which of five steps comes first.
    first: usize,
    sender: &'static str,
    recipients: &'static [&'static str],
    /// Mailboxes, files, and folders of a Maildir; how many copies one kill may leave there. Each message on the way
    /// there may be between what was done and what was noted of it: the one that is delivered, the one that was forwarded
    /// or reported on, and so on.
    places: &'static [(&'static str, usize)],
    /// The same for the other server.
    away: Option<usize>,
    /// Steps there are at least, and some of them.
    steps_min: usize,
    known: &'static [&'static str],
}

const MIXED: Scenario = Scenario {
    first: 0,
    sender: "bob@example.com",
    recipients: &["mix@example.com", "p@prog.test", "v@virtual.example", "ann@example.com", "x@bad.test"],
    places: &[
        ("/mnt/mail/joe", 2),
        ("/mnt/mail/ann", 2),
        ("/mnt/box/file", 2),
        ("/mnt/box/program", 2),
        ("/mnt/box/piped", 2),
        ("/mnt/vmail/box/new", 2),
        // The report on x, whom another server refuses.
        ("/mnt/mail/bob", 3),
    ],
    away: Some(3),
    steps_min: 40,
    known: &["flush mail/joe", "unlink mail/joe.lock", "flush box/new", "flush log/N", "send socket"],
};

const TOLD_TWICE: Scenario = Scenario {
    first: 1,
    sender: "ghost@bad.test",
    recipients: &["x@bad.test", "y@bad.test"],
    places: &[("/mnt/mail/eve", 4)],
    away: None,
    steps_min: 10,
    known: &["flush mail/eve", "flush log/N"],
};

fn furnish(far: u16, no: u16) -> Site {
    for user in ["joe", "ann", "bob", "eve"].iter().zip(3001..) {
        let (name, id) = user;
        let mut passwd = fs::read_to_string("/etc/passwd").expect("reads");
        passwd.push_str(&format!("{name}:x:{id}:{id}::/mnt/home/{name}:/bin/sh\n"));
        write("/etc/passwd", &passwd, None);
        folder(&format!("/mnt/home/{name}"), 0o755);
        std::os::unix::fs::chown(format!("/mnt/home/{name}"), Some(id), Some(id)).expect("owner");
    }
    write("/mnt/home/joe/.forward", "\\joe, w@far.test\n", Some("joe"));
    for open in ["/mnt/mail", "/mnt/box"] {
        folder(open, 0o1777);
    }
    folder("/mnt/vmail", 0o755);
    std::os::unix::fs::chown("/mnt/vmail", Some(VMAIL), Some(VMAIL)).expect("owner");
    write("/mnt/aliases", "mix: joe, /mnt/box/file, \"|cat >>/mnt/box/program\", u@far.test\n", None);
    write("/mnt/append", "#!/bin/sh\nexec cat >>/mnt/box/piped\n", None);
    let site = Site::new("");
    site.main(&format!(
        "komainu_mailbox_root =\nmynetworks = 127.0.0.0/8\nmyorigin = example.com\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\nalias_maps = hash:/mnt/aliases\n\
         mail_spool_directory = /mnt/mail\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n\
         transport_maps = inline:{{ far.test=smtp:[127.0.0.1]:{far}, bad.test=smtp:[127.0.0.1]:{no}, prog.test=prog: }}\n\
         notify_classes = 2bounce\n2bounce_notice_recipient = eve\n\
         virtual_mailbox_domains = virtual.example\nvirtual_mailbox_maps = static:box/\n\
         virtual_mailbox_base = /mnt/vmail\nvirtual_uid_maps = static:{VMAIL}\nvirtual_gid_maps = static:{VMAIL}\n"
    ));
    site.write(
        "master.cf",
        &format!(
            "{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\nprog unix - n n - - pipe user=ann argv=/bin/sh /mnt/append\n",
            site.address()
        ),
    );
    site
}

/// Whether it was acknowledged.
fn send(site: &Site, scenario: &Scenario, id: &str) -> bool {
    let talk = || {
        let mut client = Client::try_hello(&site.address())?;
        client.try_say(&format!("MAIL FROM:<{}>", scenario.sender))?;
        for recipient in scenario.recipients {
            client.try_say(&format!("RCPT TO:<{recipient}>"))?;
        }
        client.try_say("DATA")?;
        client.try_say(&format!("Subject: {id}\r\n\r\n{}\r\nend of {id}\r\n.", "text\r\n".repeat(100)))
    };
    let said: std::io::Result<String> = talk();
    said.is_ok_and(|said| said.starts_with("250"))
}

pub(crate) fn is_empty(site: &Site) -> bool {
    let mut tool = Command::new(env!("CARGO_BIN_EXE_komainu"));
    let listed = tool.arg0("postqueue").arg("-j").env("MAIL_CONFIG", site.etc()).output().expect("runs");
    listed.status.success() && listed.stdout.is_empty()
}

/// A place's text: a file's, or that of all files in a folder.
fn text(place: &str) -> String {
    if !Path::new(place).is_dir() {
        return String::from_utf8_lossy(&fs::read(place).unwrap_or_default()).into_owned();
    }
    let files = fs::read_dir(place).expect("a folder").flatten();
    files
        .map(|file| String::from_utf8_lossy(&fs::read(file.path()).unwrap_or_default()).into_owned())
        .collect()
}

/// How many copies there are in each place, all whole.
fn copies(scenario: &Scenario, far: &FarServer, id: &str) -> BTreeMap<String, usize> {
    let (first, last) = (format!("Subject: {id}\n"), format!("end of {id}\n"));
    let mut found = BTreeMap::new();
    for (place, _) in scenario.places {
        let text = text(place);
        let count = text.matches(&first).count();
        assert_eq!(count, text.matches(&last).count(), "{id} came half to {place}:\n{text}");
        found.insert((*place).to_owned(), count);
    }
    if scenario.away.is_some() {
        // Without the final dot it hasn't come.
        let end = format!("end of {id}\r\n.\r\n");
        let came = far.heard_at_the_end().iter().map(|said| said.matches(&end).count()).sum();
        found.insert("away".to_owned(), came);
    }
    found
}

/// Whether a process does nothing more.
pub(crate) fn is_over(pid: u32) -> bool {
    let state = status(pid, "State");
    state.is_empty() || state.starts_with('Z')
}

fn remove_locks() {
    // Nobody waits here until they are stale.
    for folder in ["/mnt/mail", "/mnt/box"] {
        for file in fs::read_dir(folder).expect("a folder").flatten() {
            if file.path().extension().is_some_and(|end| end == "lock") {
                fs::remove_file(file.path()).expect("removes");
            }
        }
    }
}

/// One round; the step that wasn't done, or all that were.
fn round(site: &Site, scenario: &Scenario, far: &FarServer, at: usize) -> Result<String, Vec<Step>> {
    let mut server = Server::start(site);
    let helpers = server.children();
    let victims = if at.is_multiple_of(2) { Victims::All } else { Victims::Server };
    let mut tracer = Tracer::attach(server.pid(), &helpers, victims);
    tracer.arm(at);
    let id = format!("m-{at}");
    let is_acknowledged = send(site, scenario, &id);
    let is_complete = || {
        let copies = copies(scenario, far, &id);
        copies.values().all(|count| *count > 0)
    };
    until("the step, or the end", || {
        (tracer.killed() || (is_acknowledged && is_complete() && is_empty(site))).then_some(())
    });
    let (killed, steps) = (tracer.killed(), tracer.steps());
    tracer.let_go(server.pid());
    server.kill();
    until("the helper's end", || helpers.iter().all(|helper| is_over(*helper)).then_some(()));
    remove_locks();
    if !killed {
        return Err(steps);
    }
    let step = steps.last().expect("the one").to_string();
    let mut server = Server::start(site);
    until(&format!("an empty queue after {step}"), || is_empty(site).then_some(()));
    assert!(server.stop().success());
    let found = copies(scenario, far, &id);
    for (place, most) in scenario.places.iter().copied().chain(scenario.away.map(|most| ("away", most))) {
        let count = found.get(place).copied().unwrap_or_default();
        assert!(count <= most, "{id}, killed before {step}: {count} times in {place}: {found:?}");
        assert!(!is_acknowledged || count > 0, "{id}, killed before {step}: lost for {place}: {found:?}");
    }
    Ok(step)
}

/// What is to be had of the order of steps when all that isn't flushed may be lost: a thread that answers, and so has its
/// work count as done, has flushed every file that it wrote to since it last answered, and every folder in which it made
/// or renamed one. Locks and what is unlinked again may be lost; so may it that a note of a delivery to a mailbox file is
/// struck out, but not the note itself, which is there before the first byte is in the file.
fn check_flushes(steps: &[Step]) -> usize {
    let mut unflushed: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
    let mut answers = 0;
    let parent = |path: &str| path.rsplit_once('/').map_or("/", |(folder, _)| folder).to_owned();
    let mut noted = BTreeSet::new();
    for step in steps.iter().filter(|step| !step.path.ends_with(".lock")) {
        let own = unflushed.entry(step.thread).or_default();
        match step.call {
            "flush" if step.path.contains("/appending-") => drop(noted.insert(step.thread)),
            _ if step.path.contains("/appending-") => {}
            "write" if step.path.starts_with("/mnt/mail/") && !noted.contains(&step.thread) => {
                panic!("{step}: before it is noted: {steps:#?}")
            }
            "write" | "truncate" if step.path.starts_with('/') => drop(own.insert(step.path.clone())),
            "create" | "mkdir" if step.path.starts_with('/') => drop(own.insert(parent(&step.path))),
            "rename" => {
                let to = step.to.as_deref().unwrap_or_default();
                assert!(!own.contains(&step.path), "{step}: renamed before it is flushed: {steps:#?}");
                // It lives in that folder now.
                own.remove(&parent(&step.path));
                own.insert(parent(to));
            }
            "flush" => drop(own.remove(&step.path)),
            "send" if own.is_empty() => {
                noted.remove(&step.thread);
                answers += 1;
            }
            "send" => panic!("{own:?} may be lost when it is answered: {steps:#?}"),
            _ => {}
        }
    }
    answers
}

fn matrix(scenario: &Scenario) {
    let far = FarServer::start(KIND);
    let no = FarServer::start(Words { rcpt: "550 5.1.1 no", ..KIND });
    let site = furnish(far.port, no.port);
    let fresh = round(&site, scenario, &far, usize::MAX).expect_err("nobody dies");
    assert!(check_flushes(&fresh) > 0);
    let stride = if std::env::var("KOMAINU_STEPS").is_ok_and(|which| which == "all") { 1 } else { 5 };
    let (mut killed, mut at) = (BTreeSet::new(), scenario.first % stride);
    let all = loop {
        match round(&site, scenario, &far, at) {
            Ok(step) => killed.insert(step),
            Err(steps) => break steps,
        };
        at += stride;
    };
    assert!(check_flushes(&all) > 0);
    let all: Vec<String> = all.iter().map(Step::to_string).collect();
    println!("{} steps; killed before each of {killed:?}", all.len());
    assert!(all.len() >= scenario.steps_min, "hardly any steps: {all:?}");
    for known in scenario.known {
        assert!(all.iter().any(|step| step == known), "{known} is no step: {all:?}");
    }
}

#[test]
fn a_kill_before_each_step_of_local_delivery() {
    world::run("steps::a_kill_before_each_step_of_local_delivery", Needs::Root, || matrix(&MIXED));
}

#[test]
fn a_kill_before_each_step_of_a_report_on_a_report() {
    world::run("steps::a_kill_before_each_step_of_a_report_on_a_report", Needs::Root, || matrix(&TOLD_TWICE));
}
