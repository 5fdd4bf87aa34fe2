//! Greylisting behind a real Exim, by pools of senders, as `tcp:` in main.cf, and after kills; SPF for a stock Postfix.

use crate::client::Client;
use crate::greylist::{Process, open_folder, policyd, postgreys_files, told};
use crate::name_server::{self, Reply};
use crate::postfix_peer::{self, Postfix};
use crate::server::{KOMAINU, Server};
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's Exim, or the one that scripts/bootstrap has put beside Postfix.
fn exim(test: &str) -> Option<PathBuf> {
    let places = ["/usr/local/lib/exim-for-tests/exim4", "/usr/sbin/exim4"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    if found.is_none() {
        println!("{test}: didn't run: no Exim (scripts/bootstrap puts one in /usr/local/lib/exim-for-tests)");
    }
    found
}

const EXIM: &str = r"
primary_hostname = mx.example.com
local_interfaces = 127.0.0.1
daemon_smtp_ports = 2627
spool_directory = /mnt/exim/spool
log_file_path = /mnt/exim/log/%slog
pid_file_path = /mnt/exim/pid
keep_environment =
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  warn set acl_m0 = ${readsocket{inet:127.0.0.1:10023}{request=smtpd_access_policy\nclient_address=$sender_host_address\nclient_name=unknown\nsender=$sender_address\nrecipient=$local_part@$domain\n\n}{20s}{}{action=DUNNO}}
  defer condition = ${if match{$acl_m0}{DEFER_IF_PERMIT}}
        message = ${sg{$acl_m0}{\N^action=\w+\s*|\n\N}{}}
  accept
begin routers
all:
  driver = accept
  transport = none
begin transports
none:
  driver = appendfile
  file = /dev/null
  user = Debian-exim
begin retry
* * F,2h,15m
";

#[test]
fn behind_exim() {
    world::run("greylist_more::behind_exim", Needs::Root, || {
        let Some(exim) = exim("greylist_more::behind_exim") else { return };
        postgreys_files("--inet=10023 --delay=1 --exim");
        for (path, line) in [
            ("/etc/passwd", "Debian-exim:x:2998:2998::/mnt/exim:/usr/sbin/nologin\n"),
            ("/etc/group", "Debian-exim:x:2998:\n"),
        ] {
            let text = fs::read_to_string(path).expect("reads");
            fs::write(path, text + line).expect("writes");
        }
        for folder in ["/mnt/exim", "/mnt/exim/spool", "/mnt/exim/log"] {
            open_folder(folder);
        }
        fs::create_dir_all("/etc/exim4").expect("a folder");
        fs::write("/etc/exim4/exim4.conf", EXIM).expect("writes");
        let folder = open_folder("/mnt/grey");
        let _ours = policyd(&folder, &[], &[]);
        until("policyd listens", || TcpStream::connect("127.0.0.1:10023").ok().map(drop));
        let said = fs::File::create("/mnt/exim/said").expect("opens");
        let also = said.try_clone().expect("clones");
        let mut command = Command::new(exim);
        let child = command.args(["-bdf", "-v"]).stdin(Stdio::null()).stdout(also).stderr(said).spawn();
        let _exim = Process(child.expect("starts"));
        until("Exim listens", || TcpStream::connect("127.0.0.1:2627").ok().map(drop));
        assert_eq!(
            told("127.0.0.1:2627", "a@example.org"),
            "451 Greylisted, see http://postgrey.schweikert.ch/help/example.com.html"
        );
        until("Exim takes the mail", || {
            told("127.0.0.1:2627", "a@example.org").starts_with("250 ").then_some(())
        });
        let log = || fs::read_to_string(folder.join("ours.log")).unwrap_or_default();
        until("the log", || log().contains("action=pass, reason=triplet found, delay=").then_some(()));
        assert!(told("127.0.0.1:2627", "b@example.org").starts_with("451 "));
    });
}

/// Senders that `komainu greylist waiting` tells of.
fn waiting(state: &Path) -> Vec<String> {
    let output =
        Command::new(KOMAINU).args(["greylist", "waiting", "--state"]).arg(state).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let senders = text.lines().filter_map(|line| Some(line.split_once('<')?.1.split_once('>')?.0.to_owned()));
    senders.collect()
}

fn asked(socket: &Path, sender: &str) {
    use std::io::{Read, Write};
    let mut stream = until("the socket", || std::os::unix::net::UnixStream::connect(socket).ok());
    let request = format!(
        "request=smtpd_access_policy\nclient_address=192.0.2.1\nclient_name=unknown\nsender={sender}\n\
         recipient=box@example.com\n\n"
    );
    stream.write_all(request.as_bytes()).expect("asks");
    let (mut answer, mut piece) = (Vec::new(), [0; 512]);
    while !answer.ends_with(b"\n\n") {
        let read = stream.read(&mut piece).expect("answers");
        assert!(read > 0, "no answer");
        answer.extend_from_slice(&piece[..read]);
    }
    assert!(answer.starts_with(b"action=DEFER_IF_PERMIT "));
}

/// What stood in the file when the process was killed is known to the next one, whenever that was.
#[test]
fn who_waits_outlives_a_kill() {
    world::run("greylist_more::who_waits_outlives_a_kill", Needs::Root, || {
        postgreys_files("");
        let folder = open_folder("/mnt/grey");
        let (socket, state) = (folder.join("socket"), folder.join("state"));
        let unix = format!("--unix={}", socket.display());
        let mut known: Vec<String> = Vec::new();
        for round in 0..4 {
            let ours = policyd(&folder, &[&unix], &[]);
            let names: Vec<String> =
                (0..=round * 3).map(|number| format!("r{round}n{number}x@example.org")).collect();
            names.iter().for_each(|name| asked(&socket, name));
            // The last one may be on its way into the file.
            let sure = names.split_last().map_or(&[][..], |(_, rest)| rest);
            let there = until("they are in the file", || {
                let there = waiting(&state);
                sure.iter().all(|name| there.contains(name)).then_some(there)
            });
            assert!(known.iter().all(|name| there.contains(name)), "{round}: {known:?} {there:?}");
            known = there;
            // Killed, not told to end.
            drop(ours);
        }
        let _ours = policyd(&folder, &[&unix], &[]);
        asked(&socket, "last@example.org");
        let there = waiting(&state);
        assert!(known.len() >= 18 && known.iter().all(|name| there.contains(name)), "{known:?} {there:?}");
    });
}

/// The tutorial's error (T2.15): it is said, and served as what was meant.
#[test]
fn tcp_in_place_of_inet() {
    world::run("greylist_more::tcp_in_place_of_inet", Needs::Root, || {
        postgreys_files("--inet=10023 --delay=3600");
        let site = Site::new(
            "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service tcp:127.0.0.1:10023, permit\n",
        );
        let mut server = Server::start(&site);
        assert!(told(&site.address(), "a@example.org").contains("Greylisted, see "));
        site.logged(
            "check_policy_service tcp:127.0.0.1:10023: nobody listens there: komainu greylists by itself",
            0,
        );
        assert!(server.stop().success());
    });
}

/// A name server that knows one record: the servers of big.example are in two networks.
fn big_example() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:53").expect("binds");
    name_server::start(socket, |question| {
        let is_known = question == b"\x03big\x07example\x00\x00\x10\x00\x01";
        let text = b"v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all";
        let length = u8::try_from(text.len()).expect("short");
        let record = is_known.then(|| (16, [&[length], text.as_slice()].concat()));
        Reply { code: 3, record, ..Reply::default() }
    });
}

/// The reply to RCPT for mail of `a@big.example` from a client at `from`.
fn told_from(from: &str, address: &str) -> String {
    let mut client = Client::open_from(from, address).expect("connects");
    client.reply().expect("greets");
    client.say("EHLO client.example");
    client.say("MAIL FROM:<a@big.example>");
    client.say("RCPT TO:<box@example.com>")
}

/// Who comes back from another of the networks that his domain names has come back; others haven't.
#[test]
fn by_pools_of_senders() {
    world::run("greylist_more::by_pools_of_senders", Needs::Root, || {
        postgreys_files("--inet=10023 --delay=1");
        big_example();
        let site = Site::new(
            "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service inet:127.0.0.1:10023\n\
             komainu_greylist_keys = sender\n",
        );
        let mut server = Server::start(&site);
        let grey = "450 4.7.1 <box@example.com>: Recipient address rejected: Greylisted, see ";
        let first = told_from("192.0.2.7", &site.address());
        assert!(first.starts_with(grey), "{first}");
        // Over the delay, in whole seconds.
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        let back = told_from("198.51.100.9", &site.address());
        assert!(back.starts_with("250 "), "{back}");
        let other = told_from("203.0.113.9", &site.address());
        assert!(other.starts_with(grey), "{other}");
        let shown = || {
            let mut command = Command::new(KOMAINU);
            command.args(["greylist", "show", "a@big.example", "--config"]).arg(site.etc());
            String::from_utf8_lossy(&command.output().expect("runs").stdout).into_owned()
        };
        let shown = until("both are in the file", || Some(shown()).filter(|text| text.lines().count() == 2));
        assert!(shown.contains(" spf:big.example <a@big.example> → <box@example.com>"), "{shown}");
        assert!(shown.contains(" 203.0.113.0 <a@big.example> → <box@example.com>"), "{shown}");
        assert!(server.stop().success());
    });
}

/// `komainu policyd --spf` in policyd-spf's place.
#[test]
fn spf_for_a_stock_postfix() {
    world::run("greylist_more::spf_for_a_stock_postfix", Needs::Root, || {
        if !postfix_peer::is_there("greylist_more::spf_for_a_stock_postfix") {
            return;
        }
        let conf = Path::new("/etc/postfix-policyd-spf-python/policyd-spf.conf");
        fs::create_dir_all(conf.parent().expect("a folder")).expect("a folder");
        fs::write(conf, "Prospective = 192.0.2.1\nskip_addresses = 192.0.2.0/24\n").expect("writes");
        let folder = open_folder("/mnt/grey");
        let _ours = policyd(&folder, &["--spf", "--inet=10025"], &[]);
        until("policyd listens", || TcpStream::connect("127.0.0.1:10025").ok().map(drop));
        let _postfix = Postfix::start(
            "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10025, permit",
            "127.0.0.1:2626 inet n - n - - smtpd",
        );
        assert!(told("127.0.0.1:2626", "a@example.org").starts_with("250 "));
        let log = || fs::read_to_string(folder.join("ours.log")).unwrap_or_default();
        let line = "prepend X-Comment: SPF check N/A for local connections";
        until("the log", || log().contains(line).then_some(()));
        // A saved file is in force at once.
        fs::write(conf, "Mock = True\n").expect("writes");
        until("the new file counts", || {
            let mut client = Client::hello("127.0.0.1:2626");
            client.say("MAIL FROM:<b@example.org>");
            let before = log().len();
            client.say("RCPT TO:<box@example.com>");
            (log().len() == before).then_some(())
        });
    });
}
