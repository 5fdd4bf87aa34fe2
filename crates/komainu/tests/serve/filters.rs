//! Content filters as processes: a script that hands mail back by `sendmail`, a filter that has a message while the server
//! is killed, and Debian's Amavis with the tutorials' lines. T2.29, T2.30; FILTER_README.
//!
//! What a filter that refuses, hangs or is gone makes of a message, the dialogues show (`filter/`, `proxy-filter/`).

use crate::client::Client;
use crate::postfix_peer;
use crate::sendmail::{program, send};
use crate::server::{KOMAINU, Server};
use crate::site::{Site, VMAIL, free_port, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Sends a message; the reply to it.
fn mail(address: &str, subject: &str, body: &str) -> String {
    let mut client = Client::hello(address);
    let head = "From: a@example.net\nTo: box@example.com\nDate: Mon, 01 Jan 2001 00:00:00 +0000\n";
    let content = format!("{head}Subject: {subject}\n{body}");
    let reply = client.mail("a@example.net", "box@example.com", &content).expect("a reply");
    client.say("QUIT");
    reply
}

/// The lines of a site's master.cf: its port with `more` behind, and other lines.
fn master(site: &Site, more: &str, lines: &str) {
    site.write("master.cf", &format!("{} inet n - n - - smtpd{more}\n{lines}\n", site.address()));
}

const SCRIPT: &str = "#!/bin/sh\nmail=$(mktemp)\ncat >\"$mail\"\n\
    grep -q EICAR \"$mail\" && { echo Message content rejected; exit 69; }\n\
    grep -q LATER \"$mail\" && exit 75\n\
    { echo X-Filtered: script; cat \"$mail\"; } | SENDMAIL -G -i \"$@\"\n";

/// FILTER_README's simple content filter.
#[test]
fn a_script_hands_mail_back_by_sendmail() {
    world::run("filters::a_script_hands_mail_back_by_sendmail", Needs::Root, || {
        let site = Site::new("");
        fs::create_dir_all("/mnt/filter").expect("a folder");
        let script = SCRIPT.replace("SENDMAIL", &program(&site).display().to_string());
        fs::write("/mnt/filter/simple-filter", script).expect("writes");
        fs::set_permissions("/mnt/filter/simple-filter", PermissionsExt::from_mode(0o755)).expect("mode");
        let pipe = "filter unix - n n - 10 pipe\n  flags=Rq user=vmail null_sender=\n  \
                    argv=/mnt/filter/simple-filter -f ${sender} -- ${recipient}\n";
        master(&site, " -o content_filter=filter:dummy", pipe);
        let _server = Server::start(&site);
        for (subject, body) in
            [("first", "\nText\n..from\n"), ("second", "\nEICAR\n"), ("third", "\nLATER\n")]
        {
            assert!(mail(&site.address(), subject, body).starts_with("250"), "{subject}");
        }
        let text = site.delivered_with("Subject: first");
        assert!(text.contains("\nX-Filtered: script\n") && text.contains("\n\nText\n.from\n"), "{text}");
        assert!(text.contains(&format!("from userid {VMAIL}")), "{text}");
        site.logged("relay=filter, ", 0);
        site.logged("status=sent (delivered via filter service)", 0);
        site.logged("status=bounced (service unavailable. Command output: Message content rejected", 0);
        let later = site.logged("status=deferred (temporary failure", 0);
        let id = later.split_once("]: ").and_then(|(_, rest)| rest.split_once(':')).expect("an id").0;
        let shown = Command::new(KOMAINU).args(["queue", "show", id, "--config"]).arg(site.etc()).output();
        let shown = String::from_utf8_lossy(&shown.expect("runs").stdout).into_owned();
        assert!(shown.contains("filter:dummy"), "{shown}");
        // What is handed in here isn't filtered: it is smtpd's filter.
        let sent = send(&site, VMAIL, &["-i", "box@example.com"], b"Subject: fourth\n\nEICAR\n");
        assert_eq!(sent.code, Some(0), "{sent:?}");
        assert!(!site.delivered_with("Subject: fourth").contains("X-Filtered"));
    });
}

/// A filter that says when it has a whole message, and answers when it is told to; any number at once.
fn slow_filter(port: u16) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (has, here) = mpsc::channel();
    let (go, may) = mpsc::channel::<()>();
    let may = Arc::new(Mutex::new(may));
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("binds");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (has, may) = (has.clone(), Arc::clone(&may));
            std::thread::spawn(move || filter(BufReader::new(stream), &has, &may));
        }
    });
    (here, go)
}

fn filter(mut stream: BufReader<TcpStream>, has: &mpsc::Sender<()>, may: &Mutex<mpsc::Receiver<()>>) {
    let _ = stream.get_mut().write_all(b"220 filter ESMTP\r\n");
    let (mut content, mut line) = (false, String::new());
    while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
        let said = std::mem::take(&mut line);
        let answer = match (content, said.as_str()) {
            (true, ".\r\n") => {
                content = false;
                let _ = has.send(());
                let _ = may.lock().expect("no panic").recv();
                "250 2.0.0 Ok"
            }
            (true, _) => continue,
            (false, "DATA\r\n") => {
                content = true;
                "354 go on"
            }
            _ => "250 Ok",
        };
        if stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).is_err() {
            break;
        }
    }
}

/// The maxproc column says how many messages a filter gets at once.
#[test]
fn a_filter_gets_no_more_at_once_than_its_line_says() {
    world::run("filters::a_filter_gets_no_more_at_once_than_its_line_says", Needs::Root, || {
        let port = free_port();
        let site = Site::new(&format!("content_filter = scan:[127.0.0.1]:{port}\n"));
        master(&site, "", "scan unix - - n - 2 smtp");
        let (has, go) = slow_filter(port);
        let _server = Server::start(&site);
        for number in 0..5 {
            assert!(mail(&site.address(), &format!("{number}"), "\nText\n").starts_with("250"));
        }
        // A destination that nobody has reached yet gets half of them.
        has.recv_timeout(Duration::from_secs(20)).expect("the filter has one");
        go.send(()).expect("answers");
        for _ in 0..2 {
            has.recv_timeout(Duration::from_secs(20)).expect("the filter has two");
        }
        has.recv_timeout(Duration::from_millis(300)).expect_err("a third one at once");
        (0..4).for_each(|_| go.send(()).expect("answers"));
        until("an empty queue", || crate::queue::ids(&site, &[]).is_empty().then_some(()));
    });
}

/// Each service has its own filter, and what is requeued goes where new local mail goes (FILTER_README).
#[test]
fn pickup_has_its_own_filter_and_a_filter_is_taken_off() {
    world::run("filters::pickup_has_its_own_filter_and_a_filter_is_taken_off", Needs::Root, || {
        let site = Site::new(
            "content_filter = nosuch:dummy\nvirtual_alias_maps = inline:{alias@example.com=box@example.com}\n",
        );
        let pickup = "pickup unix n - n 60 1 pickup\n  -o content_filter=\n  \
                      -o receive_override_options=no_address_mappings";
        master(&site, "", pickup);
        let mut server = Server::start(&site);
        let sent = send(&site, VMAIL, &["-i", "alias@example.com"], b"Subject: local\n\nx\n");
        assert_eq!(sent.code, Some(0), "{sent:?}");
        let text = site.delivered_with("Subject: local");
        assert!(text.contains("\nDelivered-To: alias@example.com\n"), "{text}");
        assert!(mail(&site.address(), "waits", "\nText\n").starts_with("250"));
        let line = site.logged("status=deferred (mail transport unavailable)", 0);
        let id = line.split_once("]: ").and_then(|(_, rest)| rest.split_once(':')).expect("an id").0;
        site.main("");
        server.reload();
        let mut requeue = Command::new(KOMAINU);
        let requeue =
            requeue.args(["queue", "requeue", id, "--config"]).arg(site.etc()).output().expect("runs");
        assert!(requeue.status.success(), "{requeue:?}");
        site.delivered_with("Subject: waits");
    });
}

/// The server is killed while the filter has the message: it gets it again, and nothing is lost.
#[test]
fn a_kill_while_the_filter_has_the_message_loses_nothing() {
    world::run("filters::a_kill_while_the_filter_has_the_message_loses_nothing", Needs::Root, || {
        let port = free_port();
        let site = Site::new(&format!("content_filter = scan:[127.0.0.1]:{port}\n"));
        master(&site, "", "scan unix - - n - 2 smtp");
        let (has, go) = slow_filter(port);
        let mut server = Server::start(&site);
        assert!(mail(&site.address(), "first", "\nText\n").starts_with("250"));
        has.recv_timeout(Duration::from_secs(20)).expect("the filter has it");
        server.kill();
        // Whatever it answers, nobody hears it.
        go.send(()).expect("answers");
        let _server = Server::start(&site);
        has.recv_timeout(Duration::from_secs(20)).expect("the filter has it again");
        go.send(()).expect("answers");
        site.logged("status=sent (250 2.0.0 Ok)", 0);
        until("an empty queue", || crate::queue::ids(&site, &[]).is_empty().then_some(()));
    });
}

struct Amavis(Child);

impl Drop for Amavis {
    fn drop(&mut self) {
        // It ends its own processes.
        let pid = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// What Amavis and its two processes take.
const AMAVIS_KB: u64 = 400_000;

fn amavis_can_run() -> bool {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = free.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    if !Path::new("/usr/sbin/amavisd").exists() {
        println!("filters: didn't run: no amavisd-new");
        assert!(std::env::var_os("CI").is_none(), "no amavisd-new");
        return false;
    }
    if free.is_some_and(|free| free < AMAVIS_KB) {
        println!("filters: didn't run: amavisd-new wants {AMAVIS_KB} kB, {free:?} kB are free");
        return false;
    }
    true
}

fn amavis(to: u16, back: u16) -> Amavis {
    let folder = "/mnt/amavis";
    for name in ["tmp", "db", "var"] {
        fs::create_dir_all(format!("{folder}/{name}")).expect("a folder");
    }
    assert!(Command::new("chown").args(["-R", "amavis:amavis", folder]).status().expect("runs").success());
    let settings = format!(
        "use strict;\n$mydomain = 'example.com'; $myhostname = 'mx.example.com';\n\
         $daemon_user = 'amavis'; $daemon_group = 'amavis';\n\
         $MYHOME = '{folder}'; $TEMPBASE = '{folder}/tmp'; $db_home = '{folder}/db';\n\
         $helpers_home = '{folder}/var'; $lock_file = '{folder}/lock'; $pid_file = '{folder}/pid';\n\
         $QUARANTINEDIR = undef; $enable_db = 0; $enable_zmq = 0; $max_servers = 2; $do_syslog = 0;\n\
         $inet_socket_bind = '127.0.0.1'; $inet_socket_port = {to}; @inet_acl = qw(127.0.0.1);\n\
         $forward_method = 'smtp:[127.0.0.1]:{back}'; $notify_method = $forward_method;\n\
         @bypass_spam_checks_maps = (1); @bypass_virus_checks_maps = (1);\n\
         @local_domains_maps = ( ['.example.com'] );\n\
         $banned_filename_re = new_RE(qr'.\\.exe$'i); $final_banned_destiny = D_REJECT;\n\
         $banned_quarantine_to = undef; 1;\n"
    );
    // It reads none from a folder that its account could write into.
    fs::write("/mnt/amavis.conf", settings).expect("writes");
    let mut command = Command::new("/usr/sbin/amavisd");
    let command = command.args(["-c", "/mnt/amavis.conf", "foreground"]).stdin(Stdio::null());
    let said = fs::File::create(SAID).expect("opens");
    let both = said.try_clone().expect("a second one");
    Amavis(command.stdout(said).stderr(both).spawn().expect("starts"))
}

/// Amavis's own log.
const SAID: &str = "/mnt/amavis/said";

/// What came out at the end of the way, or what both said on it.
fn come_back(site: &Site, subject: &str) -> String {
    let late = Instant::now() + Duration::from_secs(40);
    let mark = format!("Subject: {subject}\n");
    loop {
        let found = site.delivered().into_iter().map(|(_, text)| text).find(|text| text.contains(&mark));
        if let Some(found) = found {
            return found;
        }
        let said = || fs::read_to_string(SAID).unwrap_or_default();
        assert!(Instant::now() < late, "{subject} isn't back\n{}\n{}", site.log(), said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

const EXE: &str = "MIME-Version: 1.0\nContent-Type: application/octet-stream; name=\"a.exe\"\n\
                   Content-Disposition: attachment; filename=\"a.exe\"\n\nMZ\n";

/// T2.29, T2.30: Amavis on both sides of port 10024, word for word.
#[test]
fn amavis_behind_the_queue() {
    world::run("filters::amavis_behind_the_queue", Needs::Root, || {
        if !amavis_can_run() || !postfix_peer::is_there("filters::amavis_behind_the_queue") {
            return;
        }
        let (to, back) = (10024, 10025);
        let _amavis = amavis(to, back);
        let site = Site::new(&format!("content_filter = smtp-amavis:[127.0.0.1]:{to}\n"));
        let lines = format!(
            "smtp-amavis unix - - n - 2 smtp\n  -o smtp_data_done_timeout=1200\n  \
             -o smtp_send_xforward_command=yes\n  -o disable_dns_lookups=yes\n  -o max_use=20\n\
             127.0.0.1:{back} inet n - n - - smtpd\n  -o content_filter=\n  -o mynetworks=127.0.0.0/8\n  \
             -o smtpd_recipient_restrictions=permit_mynetworks,reject\n  \
             -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n  \
             -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks,no_milters,no_address_mappings"
        );
        master(&site, "", &lines);
        let _server = Server::start(&site);
        until("Amavis", || {
            let said = fs::read_to_string(SAID).unwrap_or_default();
            assert!(!said.contains("ABORTING"), "{said}");
            TcpStream::connect(("127.0.0.1", to)).ok()
        });
        for number in 0..6 {
            let reply = mail(&site.address(), &format!("clean {number}"), "\nText\n");
            assert!(reply.starts_with("250"), "{reply}");
        }
        for number in 0..6 {
            let text = come_back(&site, &format!("clean {number}"));
            assert!(text.contains("(amavis, port 10024) with ESMTP"), "{text}");
            let received: Vec<&str> = text.lines().filter(|line| line.starts_with("Received: ")).collect();
            // Ours behind Amavis, Amavis's, ours in front.
            assert_eq!(received.len(), 3, "{text}");
        }
        site.logged("orig_client=unknown[127.0.0.1]", 0);
        assert!(mail(&site.address(), "bad", EXE).starts_with("250"));
        let refused = site.logged("status=bounced", 0);
        assert!(refused.contains(" said: 554 5.7.0 ") && refused.contains(&format!(":{to},")), "{refused}");
    });
}
