//! Mail from this machine's programs: with the server up, down and killed, by users who have no rights and some who mean
//! harm. What `sendmail` says and how a message looks, `sendmail_oracle` compares. docs/internals/maildrop.md, T2.14.

use crate::far_server::{FarServer, KIND};
use crate::queue::{Ran, ran};
use crate::sendmail_oracle::alice;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const ALICE: u32 = 4242;
/// Has no line in the password file.
const NOBODY_KNOWN: u32 = 4243;
const VMAIL: u32 = crate::site::VMAIL;

/// The program under its old name, where everybody can reach it.
pub(crate) fn program(site: &Site) -> PathBuf {
    let (binary, link) = (site.path("komainu"), site.path("sendmail"));
    if !link.exists() {
        fs::copy(KOMAINU, &binary).expect("copies");
        fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).expect("mode");
        symlink(&binary, &link).expect("links");
    }
    link
}

fn command(site: &Site, uid: u32, words: &[&str]) -> Command {
    command_of(site, &program(site), uid, words)
}

fn command_of(site: &Site, program: &Path, uid: u32, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).env("MAIL_CONFIG", site.etc()).current_dir("/");
    if world::is_root() {
        command.uid(uid).gid(uid);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn send(site: &Site, uid: u32, words: &[&str], input: &[u8]) -> Ran {
    call(site, &program(site), uid, (words, input))
}

/// Another name of the program.
pub(crate) fn call(site: &Site, program: &Path, uid: u32, (words, input): (&[&str], &[u8])) -> Ran {
    let mut child = command_of(site, program, uid, words).spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), errors: text(&output.stderr) }
}

fn message(id: &str) -> String {
    let lines = id.bytes().map(usize::from).sum::<usize>() % 900;
    format!("Subject: {id}\n\n{}end of {id}\n", format!("{id} {}\n", "x".repeat(60)).repeat(lines))
}

fn maildrop(site: &Site) -> PathBuf {
    site.path("state/maildrop")
}

fn dropped(site: &Site) -> Vec<String> {
    let names = fs::read_dir(maildrop(site)).expect("a folder").flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Messages by their subjects; each must be whole.
fn arrived(site: &Site) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (path, text) in site.delivered() {
        let id = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned();
        let content = message(&id);
        let body = content.split_once("\n\n").expect("a body").1;
        assert!(text.ends_with(&format!("\n\n{body}")), "{} is not whole:\n{text}", path.display());
        *found.entry(id).or_default() += 1;
    }
    found
}

fn ok(ran: &Ran) {
    assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn mail_is_taken_with_the_server_up_and_down() {
    world::run("sendmail::mail_is_taken_with_the_server_up_and_down", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        // Nobody has made the folder yet: a clear word, and no success.
        let early = send(&site, ALICE, &["box@virtual.example"], b"x");
        assert_eq!(early.code, Some(75));
        assert!(early.errors.contains("alice(4242): create file"), "{early:?}");
        let mut server = Server::start(&site);
        let mode = fs::metadata(maildrop(&site)).expect("a folder");
        assert_eq!(mode.permissions().mode() & 0o7777, 0o1733);
        ok(&send(&site, ALICE, &["box@virtual.example"], message("up").as_bytes()));
        // It is in the queue when sendmail ends, not in the maildrop.
        assert!(site.log().contains(": uid=4242 from=<alice>"), "{}", site.log());
        assert!(dropped(&site).is_empty());
        site.delivered_with("end of up");
        assert!(server.stop().success());
        for id in ["down-1", "down-2"] {
            ok(&send(&site, ALICE, &["box@virtual.example"], message(id).as_bytes()));
        }
        ok(&send(&site, 0, &["-f", "boss@example.com", "box@virtual.example"], message("root").as_bytes()));
        let names = dropped(&site);
        assert_eq!(names.len(), 3, "{names:?}");
        for name in names {
            let metadata = fs::metadata(maildrop(&site).join(&name)).expect("a file");
            assert!([0, ALICE].contains(&metadata.uid()) && metadata.mode() & 0o7777 == 0o700, "{name}");
        }
        let listed = |word: &str| {
            let mut command = Command::new(KOMAINU);
            command.arg0("postqueue").arg(word).env("MAIL_CONFIG", site.etc());
            ran(&mut command)
        };
        let mailq = listed("-p").out;
        assert_eq!(mailq.matches("  box@virtual.example\n").count(), 3, "{mailq}");
        assert!(mailq.contains(" alice\n") && mailq.contains(" boss@example.com\n"), "{mailq}");
        assert!(mailq.ends_with(" Kbytes in 3 Requests.\n"), "{mailq}");
        let json = listed("-j").out;
        assert_eq!(json.matches("{\"queue_name\": \"maildrop\", ").count(), 3, "{json}");
        let look = ran(Command::new("ls").arg(maildrop(&site)).uid(ALICE).gid(ALICE));
        assert_ne!(look.code, Some(0), "others may look: {look:?}");
        let after = site.log().len();
        let mut server = Server::start(&site);
        until("what was dropped", || (arrived(&site).len() == 4).then_some(()));
        let log = site.log().split_off(after);
        assert!(
            log.contains("uid=4242 from=<alice>") && log.contains("uid=0 from=<boss@example.com>"),
            "{log}"
        );
        until("an empty maildrop", || dropped(&site).is_empty().then_some(()));
        assert!(server.stop().success());
        assert!(arrived(&site).values().all(|count| *count == 1));
    });
}

#[test]
fn what_is_dropped_while_the_server_runs_is_noticed() {
    world::run("sendmail::what_is_dropped_while_the_server_runs_is_noticed", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        let mut server = Server::start(&site);
        // As if no server answered.
        let control = site.path("state/control");
        fs::rename(&control, control.with_extension("away")).expect("renames");
        ok(&send(&site, ALICE, &["box@virtual.example"], message("noticed").as_bytes()));
        site.delivered_with("end of noticed");
        fs::rename(control.with_extension("away"), &control).expect("renames");
        assert!(server.stop().success());
    });
}

#[test]
fn whoever_may_not_and_what_is_too_big_is_told_so() {
    world::run("sendmail::whoever_may_not_and_what_is_too_big_is_told_so", Needs::Root, || {
        alice();
        let site = Site::new("");
        let main = site.virtual_lines();
        let rules = "authorized_submit_users = !alice, static:anyone\nmessage_size_limit = 50000\n";
        site.main(&format!("{main}{rules}"));
        let mut server = Server::start(&site);
        let refused = "sendmail: fatal: User alice(4242) is not allowed to submit mail\n";
        let big = [b"Subject: big\n\n".as_slice(), &b"xxxxxxxx\n".repeat(6000)].concat();
        for is_up in [true, false] {
            let said = send(&site, ALICE, &["box@virtual.example"], b"x");
            assert_eq!((said.code, said.errors.as_str()), (Some(75), refused), "up: {is_up}");
            let said = send(&site, 0, &["box@virtual.example"], &big);
            let too_big = "sendmail: fatal: root(0): message file too big\n";
            assert_eq!((said.code, said.errors.as_str()), (Some(75), too_big), "up: {is_up}");
            let unknown = send(&site, NOBODY_KNOWN, &["box@virtual.example"], b"x");
            assert_eq!(unknown.errors, "sendmail: fatal: no login name found for user ID 4243\n");
            if is_up {
                assert!(server.stop().success());
            }
        }
        // One who goes round sendmail gets no further: the file's owner counts.
        site.main(&main);
        ok(&send(&site, ALICE, &["box@virtual.example"], message("allowed once").as_bytes()));
        site.main(&format!("{main}{rules}"));
        let mut server = Server::start(&site);
        site.logged("uid=4242: User alice(4242) is not allowed to submit mail; its mail is thrown away", 0);
        until("an empty maildrop", || dropped(&site).is_empty().then_some(()));
        assert!(site.delivered().is_empty());
        assert!(server.stop().success());
    });
}

#[test]
fn nobody_reads_takes_or_fakes_anything_by_the_maildrop() {
    world::run("sendmail::nobody_reads_takes_or_fakes_anything_by_the_maildrop", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        assert!(Server::start(&site).stop().success());
        ok(&send(&site, 0, &["box@virtual.example"], message("of root").as_bytes()));
        let of_root = maildrop(&site).join(&dropped(&site)[0]);
        let bad = site.path("state/maildrop");
        let name = |digit: char| format!("{}/{}.mail", bad.display(), String::from(digit).repeat(32));
        // With the file's name even, which she can't know.
        let secret = of_root.display();
        let steps = [
            (format!("cat {secret}"), false),
            (format!("rm -f {secret}"), false),
            (format!("mv {secret} {}", name('1')), false),
            (format!("echo x >>{secret}"), false),
            (format!("ln -s /etc/shadow {}", name('2')), true),
            (format!("mkfifo -m 700 {}", name('3')), true),
            (format!("mkdir -m 700 {}", name('4')), true),
            (format!("printf 'no frames' >{0} && chmod 700 {0}", name('5')), true),
            (format!("printf '\\000\\000\\000\\001\\012' >{0} && chmod 700 {0}", name('6')), true),
            (format!("printf '\\377\\377\\377\\377' >{0} && chmod 700 {0}", name('7')), true),
            (format!("touch {0} && chmod 600 {0}", name('8')), true),
            (format!("touch {0} && chmod 4700 {0}", name('9')), true),
            (format!("touch {}/README", bad.display()), true),
        ];
        for (step, works) in &steps {
            let said = ran(Command::new("sh").arg("-c").arg(step).uid(ALICE).gid(ALICE));
            assert_eq!(said.code == Some(0), *works, "{step}: {said:?}");
        }
        // What a kernel without protected_hardlinks would let her do.
        fs::hard_link("/etc/shadow", name('a')).unwrap_or_else(|_| {
            fs::write("/mnt/shadow", "secret").expect("writes");
        });
        fs::write(site.path("state/secret"), "secret").expect("writes");
        fs::set_permissions(site.path("state/secret"), PermissionsExt::from_mode(0o700)).expect("mode");
        fs::hard_link(site.path("state/secret"), name('b')).expect("links");
        let mut server = Server::start(&site);
        until("root's mail", || (arrived(&site).len() == 1).then_some(()));
        until("what is damaged set apart", || {
            let names = dropped(&site);
            (names.iter().filter(|name| name.ends_with(".bad")).count() == 3).then_some(())
        });
        for why in [
            "not a regular file; it is left alone",
            "it has more than one name; it is left alone",
            "it hasn't the mode of a whole message; it is left alone",
            "nothing that sendmail leaves here; it is left alone",
            "uid=4242: damaged: ",
        ] {
            site.logged(why, 0);
        }
        let log = site.log();
        assert!(!log.contains("secret") || !log.contains("root:"), "{log}");
        assert!(Path::new(&name('2')).symlink_metadata().is_ok() && Path::new(&name('b')).exists());
        // And honest mail goes on.
        ok(&send(&site, ALICE, &["box@virtual.example"], message("honest").as_bytes()));
        until("honest mail", || (arrived(&site).len() == 2).then_some(()));
        assert!(server.stop().success());
    });
}

/// A file is whatever its owner wrote: nothing in it becomes a command to the next server, or a line in the log.
#[test]
fn frames_that_would_break_a_line_are_set_apart() {
    use proto::control::{Request, Submission, To};
    world::run("sendmail::frames_that_would_break_a_line_are_set_apart", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        assert!(Server::start(&site).stop().success());
        let evil = "rfc\r\nRSET\r\nMAIL FROM:<evil@x.test>\r\n";
        let plain = || To { address: "box@virtual.example".to_owned(), ..To::default() };
        let put = |number: u32, submission: Submission, to: To| {
            let frames = [
                Request::Submit(Box::new(submission)),
                Request::To(vec![to]),
                Request::Content(b"Subject: x\n\nx\n".to_vec()),
                Request::End,
            ];
            let path = maildrop(&site).join(format!("{number:032x}.mail"));
            fs::write(&path, frames.map(|frame| frame.encode()).concat()).expect("writes");
            fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("mode");
            std::os::unix::fs::chown(&path, Some(ALICE), Some(ALICE)).expect("owner");
        };
        let from = |sender: &str| Submission { sender: sender.to_owned(), ..Submission::default() };
        put(1, from("alice"), To { orcpt: Some(format!("{evil};a@x.test")), ..plain() });
        put(2, from("alice"), To { address: format!("box@virtual.example{evil}"), ..plain() });
        put(3, from(evil), plain());
        put(4, Submission { full_name: evil.to_owned(), ..from("alice") }, plain());
        put(5, Submission { envelope_id: Some(evil.to_owned()), ..from("alice") }, plain());
        put(6, Submission { verp: Some("\n\0".to_owned()), ..from("alice") }, plain());
        let mut server = Server::start(&site);
        for what in ["original recipient", "recipient", "sender", "name", "envelope id", "delimiters"] {
            site.logged(&format!("uid=4242: damaged: a frame with a bad {what}"), 0);
        }
        until("all set apart", || dropped(&site).iter().all(|name| name.ends_with(".bad")).then_some(()));
        assert_eq!(dropped(&site).len(), 6);
        assert!(site.delivered().is_empty() && !site.log().contains("evil"), "{}", site.log());
        // What sendmail is given so, it puts into one line.
        let odd = ["-F", "A\nB: c", "-f", "a@x.test", "box@virtual.example"];
        ok(&send(&site, ALICE, &odd, message("odd").as_bytes()));
        let text = site.delivered_with("end of odd");
        assert!(!text.contains("\nB: c"), "{text}");
        assert!(server.stop().success());
    });
}

#[test]
fn one_owner_s_thousand_files_hold_nobody_up() {
    world::run("sendmail::one_owner_s_thousand_files_hold_nobody_up", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        assert!(Server::start(&site).stop().success());
        ok(&send(&site, ALICE, &["box@virtual.example"], message("flood").as_bytes()));
        let first = maildrop(&site).join(&dropped(&site)[0]);
        for number in 0..300 {
            let copy = maildrop(&site).join(format!("{number:032x}.mail"));
            fs::copy(&first, &copy).expect("copies");
            std::os::unix::fs::chown(&copy, Some(ALICE), Some(ALICE)).expect("owner");
        }
        // The last to come.
        ok(&send(&site, VMAIL, &["box@virtual.example"], message("patient").as_bytes()));
        let mut server = Server::start(&site);
        until("all of it", || dropped(&site).is_empty().then_some(()));
        // The log is written a moment later.
        until("its last line", || (site.log().matches(": uid=").count() == 302).then_some(()));
        let log = site.log();
        let taken: Vec<&str> = log.lines().filter(|line| line.contains(": uid=")).collect();
        let place = taken.iter().position(|line| line.contains("uid=5000 ")).expect("the patient one");
        assert!(taken.len() == 302 && place <= 1, "{place} of {}", taken.len());
        assert!(server.stop().success());
    });
}

#[test]
fn a_large_message_and_many_recipients_pass() {
    world::run("sendmail::a_large_message_and_many_recipients_pass", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&format!(
            "{}message_size_limit = 0\ndefault_destination_recipient_limit = 50\n",
            site.virtual_lines()
        ));
        let mut server = Server::start(&site);
        let big = [b"Subject: big\n\n".as_slice(), &b"0123456789\n".repeat(1_200_000)].concat();
        ok(&send(&site, ALICE, &["-i", "box@virtual.example"], &big));
        until("the large one", || {
            site.delivered_files()
                .iter()
                .any(|path| fs::metadata(path).is_ok_and(|m| m.len() > 13_200_000))
                .then_some(())
        });
        let many: Vec<String> = (0..3000).map(|number| format!("r{number}@virtual.example")).collect();
        let header = format!("Bcc: {}\nSubject: many\n\nx\n", many.join(",\n "));
        ok(&send(&site, ALICE, &["-t"], header.as_bytes()));
        site.logged("nrcpt=3000 (queue active)", 0);
        assert!(server.stop().success());
        ok(&send(&site, ALICE, &["-t"], header.as_bytes()));
        ok(&send(&site, ALICE, &["-i", "box@virtual.example"], &big));
        let after = site.log().len();
        let mut server = Server::start(&site);
        site.logged("nrcpt=3000 (queue active)", after);
        until("an empty maildrop", || dropped(&site).is_empty().then_some(()));
        assert!(server.stop().success());
    });
}

/// Frames are cut by their size; what fits no frame gets no exit code 0, with the server up or down, and leaves nothing
/// behind that nobody could read. The bounds are Postfix's.
#[test]
fn long_envelopes_pass_and_longer_ones_are_refused() {
    world::run("sendmail::long_envelopes_pass_and_longer_ones_are_refused", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        let mut server = Server::start(&site);
        let (longest, longer) = ("x".repeat(2048), "x".repeat(2049));
        let (huge, text) = ("N".repeat(70_000), message("long"));
        let others: Vec<String> =
            (0..49).map(|n| format!("{}{n}@virtual.example", "x".repeat(1500))).collect();
        let header = format!("To: box@virtual.example\nBcc: {}\n", others.join(",\n "));
        let names = |id: &str| vec![format!("up-{id}"), format!("down-{id}")];
        for state in ["up", "down"] {
            let after = site.log().len();
            let header = format!("{header}{}", message(&format!("{state}-fifty")));
            ok(&send(&site, ALICE, &["-t"], header.as_bytes()));
            let passing = message(&format!("{state}-name"));
            ok(&send(&site, ALICE, &["-F", &longest, "box@virtual.example"], passing.as_bytes()));
            let passing = message(&format!("{state}-id"));
            let ran = send(&site, ALICE, &["-V", &huge, "box@virtual.example"], passing.as_bytes());
            let warning = "sendmail: warning: too long -V option value -- ignored\n";
            assert_eq!((ran.code, ran.errors.as_str()), (Some(0), warning));
            let waiting = if state == "up" { 0 } else { 3 };
            assert_eq!(dropped(&site).len(), waiting);
            let to = "box@virtual.example";
            let refused: [(&[&str], &str); 5] = [
                (&["-F", &longer, to], "a full name of 2049 bytes"),
                (&["-F", &huge, to], "a full name of 70000 bytes"),
                (&["-f", &huge, to], "a sender of 70000 bytes"),
                (&["-f", &longer, to], "a sender of 2049 bytes"),
                (&[to, &longer], "a recipient of 2049 bytes"),
            ];
            for (words, why) in refused {
                let ran = send(&site, ALICE, words, text.as_bytes());
                let who = if words[0] == "-f" { words[1] } else { "alice" };
                let expect = format!(
                    "sendmail: warning: {why}: no more than 2048 can be handed in\n\
                     sendmail: fatal: {who}(4242): queue file write error\n"
                );
                assert_eq!((ran.code, ran.errors), (Some(75), expect));
            }
            assert_eq!(dropped(&site).len(), waiting, "something was left behind");
            if state == "up" {
                site.logged("nrcpt=50 (queue active)", after);
                assert!(server.stop().success());
            }
        }
        let after = site.log().len();
        let mut server = Server::start(&site);
        site.logged("nrcpt=50 (queue active)", after);
        until("an empty maildrop", || dropped(&site).is_empty().then_some(()));
        until("all that fits", || {
            let arrived: Vec<String> = arrived(&site).into_keys().collect();
            let expect = ["fifty", "name", "id"].map(names).concat();
            expect.iter().all(|id| arrived.contains(id)).then_some(())
        });
        assert!(!arrived(&site).contains_key("long"));
        assert!(server.stop().success());
    });
}

/// Senders at work at once, and how often the server is killed.
const SENDERS: usize = 3;
const KILLS: u32 = 15;

/// Sends four messages; the last sender is killed after a while. Gives those that were acknowledged: some find no server,
/// some lose it on the way.
fn four(site: &Site, (round, sender): (u32, usize), own_end: Duration) -> Vec<String> {
    let mut taken = Vec::new();
    for count in 0..4 {
        let id = format!("m-{round}-{sender}-{count}");
        let mut child = command(site, ALICE, &["-i", "box@virtual.example"]).spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        let _ = stdin.write_all(message(&id).as_bytes());
        drop(stdin);
        if count == 3 {
            std::thread::sleep(own_end);
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("ends");
        match output.status.code() {
            Some(0) => taken.push(id),
            Some(code) => panic!("exit {code}: {}", String::from_utf8_lossy(&output.stderr)),
            None => {}
        }
    }
    taken
}

#[test]
fn kill_9_loses_nothing_that_sendmail_said_yes_to() {
    world::run("sendmail::kill_9_loses_nothing_that_sendmail_said_yes_to", Needs::Root, || {
        alice();
        let site = Site::new("");
        site.main(&site.virtual_lines());
        program(&site);
        let mut random = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(std::time::SystemTime::now().elapsed().map_or(0, |since| since.subsec_nanos()));
        let mut pause = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Duration::from_millis((random >> 33) % below)
        };
        assert!(Server::start(&site).stop().success());
        let (mut acknowledged, mut killed) = (Vec::new(), 0);
        for round in 0..KILLS {
            let work = |sender: usize, own_end| four(&site, (round, sender), own_end);
            let ends: Vec<Duration> = (0..SENDERS).map(|_| pause(60)).collect();
            let (before, life) = (pause(100), pause(400));
            std::thread::scope(|scope| {
                let work = &work;
                let senders: Vec<_> =
                    (0..).zip(ends).map(|(sender, end)| scope.spawn(move || work(sender, end))).collect();
                std::thread::sleep(before);
                let mut server = Server::start(&site);
                std::thread::sleep(life);
                server.kill();
                for sender in senders {
                    let taken = sender.join().expect("a sender's end");
                    killed += 4 - taken.len();
                    acknowledged.extend(taken);
                }
            });
        }
        let mut server = Server::start(&site);
        until("every acknowledged message", || {
            (site.delivered_files().len() >= acknowledged.len() && {
                let arrived = arrived(&site);
                acknowledged.iter().all(|id| arrived.contains_key(id))
            })
            .then_some(())
        });
        until("a maildrop with nothing whole in it", || {
            (!dropped(&site).iter().any(|name| name.ends_with(".mail"))).then_some(())
        });
        let twice = arrived(&site).values().filter(|count| **count > 1).count();
        println!(
            "{KILLS} kills: {} acknowledged, {killed} senders killed, {twice} came twice",
            acknowledged.len()
        );
        assert!(acknowledged.len() > 100, "hardly any load");
        assert!(!dropped(&site).iter().any(|name| name.ends_with(".bad")), "{}", site.log());
        assert!(server.stop().success());
    });
}

/// What a program says of its content, or the content of itself, goes on to the next server, and nothing else: as with
/// Postfix's sendmail.
#[test]
fn only_what_is_said_to_have_eight_bits_has() {
    world::run("sendmail::only_what_is_said_to_have_eight_bits_has", Needs::Root, || {
        alice();
        let far = FarServer::start(KIND);
        let site = Site::new(&format!("relayhost = [127.0.0.1]:{}\n", far.port));
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
        );
        let mut server = Server::start(&site);
        let mime = b"Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\nhello\n";
        let cases: [(&[&str], &[u8], bool); 5] = [
            (&[], b"Subject: x\n\nhello\n", false),
            (&[], b"Subject: x\n\nh\xc3\xa4llo\n", false),
            (&["-B7BIT"], b"Subject: x\n\nhello\n", false),
            (&["-B8BITMIME"], b"Subject: x\n\nhello\n", true),
            (&[], mime, true),
        ];
        for (at, (words, text, expect)) in cases.into_iter().enumerate() {
            let words = [words, &["-f", "s@far.test", "x@far.test"]].concat();
            assert_eq!(send(&site, ALICE, &words, text).code, Some(0));
            until("the message", || (far.heard().len() > at).then_some(()));
            let heard = far.heard().pop().expect("heard");
            let line = heard.lines().find(|line| line.starts_with("MAIL")).expect("a sender");
            assert_eq!(line.contains("BODY=8BITMIME"), expect, "{at}: {line}");
        }
        assert!(server.stop().success());
    });
}
