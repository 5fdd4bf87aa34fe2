//! Bans in the kernel: the packet filters of this machine, set up by the jails' actions, and a neighbour who tries.
//!
//! The neighbour lives in a network of his own, joined to the world's by a cable, so that nothing goes over the loopback
//! interface, which ufw lets through. T2.19.

use crate::server::KOMAINU;
use crate::site::{free_port, until};
use crate::world::{self, Needs};
use ban::filter::Id;
use komainu::firewall::{Change, Firewall, Verb};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const BANNED: [&str; 2] = ["10.9.0.2", "2001:db8:1:a::1"];
pub(crate) const OTHERS: [&str; 2] = ["10.9.0.3", "2001:db8:1:b::1"];
pub(crate) const OF_ONE_HOUSE: &str = "2001:db8:1:a::2";

fn output(words: &[&str]) -> (bool, String) {
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

pub(crate) fn run(line: &str) -> String {
    let (is_well, text) = output(&line.split(' ').collect::<Vec<_>>());
    assert!(is_well, "{line}: {text}");
    text
}

pub(crate) fn there(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        println!("no {program}: skipped");
        assert!(std::env::var_os("CI").is_none(), "no {program}");
    }
    is_there
}

/// A network of the neighbour's, held by a process.
pub(crate) struct Neighbour(Child);

impl Neighbour {
    pub(crate) fn new() -> Neighbour {
        let child = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().expect("unshare");
        let pid = child.id();
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        until("a network", || (of(&pid.to_string())? != of("self")?).then_some(()));
        run(&format!("ip link add here type veth peer name there netns {pid}"));
        let there = format!("nsenter -t {pid} -n");
        for (prefix, name, addresses) in [
            (
                "",
                "here",
                ["10.9.0.1/16", "2001:db8:1::1/48", "2001:db8:1::5/48", "10.9.0.9/16", "10.9.0.8/16"],
            ),
            (
                &*format!("{there} "),
                "there",
                [
                    "10.9.0.2/16",
                    "10.9.0.3/16",
                    "2001:db8:1:a::1/48",
                    "2001:db8:1:a::2/48",
                    "2001:db8:1:b::1/48",
                ],
            ),
        ] {
            for address in addresses {
                run(&format!(
                    "{prefix}ip addr add {address} dev {name}{}",
                    if address.contains(':') { " nodad" } else { "" }
                ));
            }
            run(&format!("{prefix}ip link set {name} up"));
        }
        for path in ["ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"] {
            fs::write(format!("/proc/sys/net/{path}"), "0").expect("a setting");
        }
        Neighbour(child)
    }

    /// Connects from his network, from an address of his.
    fn connect(&self, from: &str, port: u16) -> io::Result<()> {
        self.open(from, port).map(drop)
    }

    /// A connection of his.
    pub(crate) fn open(&self, from: &str, port: u16) -> io::Result<TcpStream> {
        let network = fs::File::open(format!("/proc/{}/ns/net", self.0.id()))?;
        let from: IpAddr = from.parse().map_err(io::Error::other)?;
        let to: IpAddr = if from.is_ipv4() {
            [10, 9, 0, 1].into()
        } else {
            "2001:db8:1::1".parse().map_err(io::Error::other)?
        };
        let tries = move || {
            let network_type = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), network_type)?;
            let to = SocketAddr::new(to, port);
            let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
            socket.connect_timeout(&to.into(), Duration::from_secs(15))?;
            Ok(socket.into())
        };
        std::thread::spawn(tries).join().expect("a thread")
    }

    pub(crate) fn passes(&self, from: &str, port: u16) {
        self.connect(from, port)
            .unwrap_or_else(|error| panic!("{from}: {error}\n{}", output(&["nft", "list", "ruleset"]).1));
    }

    pub(crate) fn is_refused(&self, from: &str, port: u16) {
        let refused = self.connect(from, port).expect_err(from);
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{from}: {refused}");
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        drop(ended);
    }
}

/// fail2ban's stock files with jails of ours: their names, their further lines.
fn files(jails: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    run(&format!("cp -a /etc/fail2ban/. {}", folder.path().display()));
    let mut local = String::from("[DEFAULT]\nbackend = polling\nignoreip = 10.9.0.9\n");
    for (name, lines) in jails {
        let log = folder.path().join("x.log");
        local += &format!("[{name}]\nenabled = true\nfilter = sshd\nlogpath = {}\n{lines}\n", log.display());
    }
    fs::write(folder.path().join("x.log"), "").expect("a log");
    for entry in fs::read_dir(folder.path().join("jail.d")).expect("a folder").flatten() {
        fs::remove_file(entry.path()).expect("a file");
    }
    fs::write(folder.path().join("jail.local"), local).expect("jail.local");
    folder
}

fn firewall(folder: &Path) -> Firewall {
    Firewall::spawn_as(Path::new(KOMAINU), folder).expect("the helper")
}

fn id(text: &str) -> Id {
    Id::address(text.parse().expect("an address"))
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_secs()).expect("a time")
}

fn ban(jail: &str, who: &str) -> Change {
    Change { ban_s: 600, failures: 5, time_s: now_s(), ..Change::new(jail, Verb::Ban, id(who)) }
}

fn unban(jail: &str, who: &str) -> Change {
    Change::new(jail, Verb::Unban, id(who))
}

fn well(firewall: &Firewall, changes: Vec<Change>) {
    for (number, outcome) in firewall.apply(changes).into_iter().enumerate() {
        assert_eq!(outcome, Ok(()), "change {number}");
    }
}

fn listeners() -> (u16, Vec<TcpListener>) {
    let port = free_port();
    let listeners = ["0.0.0.0", "[::]"].map(|any| {
        let address: SocketAddr = format!("{any}:{port}").parse().expect("an address");
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
            .expect("a socket");
        if address.is_ipv6() {
            socket.set_only_v6(true).expect("an option");
        }
        socket.bind(&address.into()).expect("a port");
        socket.listen(100).expect("a listener");
        socket.into()
    });
    (port, listeners.into())
}

/// Banned, let in again, and nothing left at the end.
fn blocks(neighbour: &Neighbour, banaction: &str) {
    println!("{banaction}");
    let (port, _listeners) = listeners();
    let folder = files(&[("j", format!("port = {port}\nbanaction = {banaction}"))]);
    let before = rules();
    let firewall = firewall(folder.path());
    let everyone = || BANNED.iter().chain(&OTHERS).for_each(|from| neighbour.passes(from, port));
    well(&firewall, vec![Change::start("j")]);
    everyone();
    well(&firewall, BANNED.map(|who| ban("j", who)).to_vec());
    BANNED.iter().for_each(|from| neighbour.is_refused(from, port));
    OTHERS.iter().for_each(|from| neighbour.passes(from, port));
    if banaction.contains("ipset") {
        neighbour.passes(OF_ONE_HOUSE, port);
    } else {
        neighbour.is_refused(OF_ONE_HOUSE, port);
        // A second one of the same house, and the first let in: the house stays shut.
        well(&firewall, vec![ban("j", OF_ONE_HOUSE), unban("j", BANNED[1])]);
        neighbour.is_refused(BANNED[1], port);
        well(&firewall, vec![unban("j", OF_ONE_HOUSE), unban("j", BANNED[0])]);
        everyone();
        well(&firewall, BANNED.map(|who| ban("j", who)).to_vec());
    }
    well(&firewall, BANNED.map(|who| unban("j", who)).to_vec());
    everyone();
    // Who is never banned: by ignoreip, this machine.
    for never in ["10.9.0.9", "10.9.0.1", "127.0.0.1", "2001:db8:1::1"] {
        let refused = firewall.apply(vec![ban("j", never)]).remove(0);
        assert!(refused.is_err_and(|text| text.contains("ignoreip")), "{never}");
    }
    // The house of an address of this machine is shut but for the address.
    if !banaction.contains("ipset") {
        well(&firewall, vec![ban("j", "2001:db8:1::77"), unban("j", "2001:db8:1::77")]);
    }
    well(&firewall, BANNED.map(|who| ban("j", who)).to_vec());
    well(&firewall, vec![Change::stop("j")]);
    everyone();
    assert_eq!(rules(), before, "{banaction} leaves nothing");
}

/// The rules of whichever packet filter, without counters and what is empty.
fn rules() -> String {
    let mut out = String::new();
    for words in [vec!["nft", "list", "ruleset"], vec!["ipset", "save"]] {
        let text = output(&words).1;
        let mut lines: Vec<String> =
            text.lines().map(without_counts).filter(|line| !line.is_empty()).collect();
        lines.retain(|line| !line.starts_with('#'));
        out += &lines.join("\n");
        out.push('\n');
    }
    out
}

/// A line without counters, times, and what a set's hashes begin with.
fn without_counts(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = line.split_whitespace();
    while let Some(word) = rest.next() {
        match word {
            "packets" | "bytes" | "expires" | "initval" => drop(rest.next()),
            _ => words.push(word),
        }
    }
    words.join(" ")
}

#[test]
fn nftables_blocks() {
    world::run("firewall::nftables_blocks", Needs::Root, || {
        if there("fail2ban-client") && there("nft") {
            let neighbour = Neighbour::new();
            blocks(&neighbour, "nftables-multiport");
            blocks(&neighbour, "nftables-allports");
        }
    });
}

#[test]
fn iptables_block() {
    world::run("firewall::iptables_block", Needs::Root, || {
        if there("fail2ban-client") && there("iptables") {
            let neighbour = Neighbour::new();
            // The tables stay once they were used.
            run("iptables -A INPUT -i lo -j ACCEPT");
            run("ip6tables -A INPUT -i lo -j ACCEPT");
            blocks(&neighbour, "iptables-multiport");
            blocks(&neighbour, "iptables-allports");
        }
    });
}

#[test]
fn ipset_blocks() {
    world::run("firewall::ipset_blocks", Needs::Root, || {
        if there("fail2ban-client") && there("iptables") && there("ipset") {
            let neighbour = Neighbour::new();
            run("iptables -A INPUT -i lo -j ACCEPT");
            run("ip6tables -A INPUT -i lo -j ACCEPT");
            blocks(&neighbour, "iptables-ipset-proto6");
        }
    });
}

#[test]
fn ufw_blocks() {
    world::run("firewall::ufw_blocks", Needs::Root, || {
        if there("fail2ban-client") && there("ufw") {
            let neighbour = Neighbour::new();
            run("ufw --force enable");
            run("ufw default allow");
            blocks(&neighbour, "ufw");
        }
    });
}

/// Somebody flushes the ruleset, or empties our chain: with the next ban all is there again.
#[test]
fn what_was_flushed_comes_back() {
    world::run("firewall::what_was_flushed_comes_back", Needs::Root, || {
        if !(there("fail2ban-client") && there("nft") && there("iptables")) {
            return;
        }
        let neighbour = Neighbour::new();
        let (port, _listeners) = listeners();
        let jail =
            |banaction: &str| format!("port = {port}\nbanaction = {banaction}\nkomainu_ipv6_prefix = 128");
        let folder = files(&[("n", jail("nftables-multiport")), ("i", jail("iptables-multiport"))]);
        let firewall = firewall(folder.path());
        let all = [BANNED[0], BANNED[1], OTHERS[0]];
        for (name, harms) in [
            (
                "n",
                vec![
                    "nft flush ruleset",
                    "nft flush chain inet f2b-table f2b-chain",
                    "nft delete table inet f2b-table",
                ],
            ),
            ("i", vec!["nft flush ruleset"]),
        ] {
            for harm in harms {
                println!("{name}: {harm}");
                well(&firewall, vec![Change::start(name), ban(name, all[0]), ban(name, all[1])]);
                run(harm);
                neighbour.passes(all[0], port);
                well(&firewall, vec![ban(name, all[2])]);
                // Where only one family's chain was missed, the other's comes with its next ban.
                well(&firewall, vec![ban(name, OF_ONE_HOUSE)]);
                all.iter().for_each(|from| neighbour.is_refused(from, port));
                neighbour.passes(OTHERS[1], port);
                well(&firewall, vec![Change::stop(name)]);
                all.iter().for_each(|from| neighbour.passes(from, port));
            }
        }
    });
}

/// A helper that was killed leaves bans in force; the next one takes them over, and ends with nothing left.
#[test]
fn a_killed_helper_leaves_the_door_shut_and_nothing_for_ever() {
    world::run("firewall::a_killed_helper_leaves_the_door_shut_and_nothing_for_ever", Needs::Root, || {
        if !(there("fail2ban-client") && there("nft") && there("ipset")) {
            return;
        }
        let neighbour = Neighbour::new();
        let (port, _listeners) = listeners();
        run("iptables -A INPUT -i lo -j ACCEPT");
        run("ip6tables -A INPUT -i lo -j ACCEPT");
        let jail = |banaction: &str| format!("port = {port}\nbanaction = {banaction}");
        let folder = files(&[
            ("n", jail("nftables-multiport")),
            ("i", jail("iptables-multiport")),
            ("s", jail("iptables-ipset-proto6")),
        ]);
        let before = rules();
        for name in ["n", "i", "s"] {
            let first = firewall(folder.path());
            well(&first, vec![Change::start(name), ban(name, BANNED[0]), ban(name, BANNED[1])]);
            // Without a stop: as after a crash.
            drop(first);
            neighbour.is_refused(BANNED[0], port);
            let second = firewall(folder.path());
            let restored = Change { is_restored: true, ..ban(name, BANNED[1]) };
            well(&second, vec![Change::start(name), restored]);
            neighbour.passes(BANNED[0], port);
            neighbour.is_refused(BANNED[1], port);
            well(&second, vec![Change::stop(name)]);
            assert_eq!(rules(), before, "{name} leaves nothing");
        }
    });
}

/// ufw keeps its rules itself: those that a killed helper left go with the next start, and nobody else's.
#[test]
fn ufw_rules_of_a_killed_helper_go() {
    world::run("firewall::ufw_rules_of_a_killed_helper_go", Needs::Root, || {
        if !(there("fail2ban-client") && there("ufw")) {
            return;
        }
        let neighbour = Neighbour::new();
        let (port, _listeners) = listeners();
        run("ufw --force enable");
        run("ufw default allow");
        run("ufw reject from 198.51.100.99 comment mine");
        let jail = format!("port = {port}\nbanaction = ufw");
        let folder = files(&[("j", jail.clone()), ("j1", jail)]);
        let first = firewall(folder.path());
        well(&first, vec![Change::start("j"), ban("j", BANNED[0]), ban("j", BANNED[1])]);
        well(&first, vec![Change::start("j1"), ban("j1", OTHERS[0])]);
        // Without a stop: as after a crash.
        drop(first);
        let second = firewall(folder.path());
        let restored = Change { is_restored: true, ..ban("j", BANNED[1]) };
        well(&second, vec![Change::start("j"), restored]);
        neighbour.passes(BANNED[0], port);
        neighbour.is_refused(BANNED[1], port);
        neighbour.is_refused(OTHERS[0], port);
        well(&second, vec![Change::stop("j"), Change::start("j1"), Change::stop("j1")]);
        for from in [BANNED[1], OTHERS[0]] {
            neighbour.passes(from, port);
        }
        let left = run("ufw show added");
        assert!(left.contains("198.51.100.99") && !left.contains("Fail2Ban"), "{left}");
    });
}

/// Debian's fail2ban and we make the same rules of the same files.
#[test]
fn the_same_rules_as_fail2ban() {
    world::run("firewall::the_same_rules_as_fail2ban", Needs::Root, || {
        if !(there("fail2ban-server") && there("nft") && there("ipset")) {
            return;
        }
        let jails = [
            ("a", "nftables-multiport"),
            ("b", "nftables-allports[blocktype=drop]"),
            ("c", "iptables-multiport"),
            ("d", "iptables-allports[blocktype=DROP]"),
            ("e", "iptables-ipset-proto6"),
            ("f", "iptables-ipset[type=oneport, protocol=\"tcp,udp\"]"),
            ("g", "iptables"),
        ];
        let jails = jails.map(|(name, banaction)| {
            let port = if matches!(name, "f" | "g") { "465" } else { "25,465,1000:1100" };
            (
                name,
                format!("port = {port}\nkomainu_ipv6_prefix = 128\nbantime = 600\nbanaction = {banaction}"),
            )
        });
        let folder = files(&jails);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (socket, configuration) = (at("s"), at(""));
        let client = |words: &[&str]| {
            let mut all = vec!["fail2ban-client", "-c", &configuration, "-s", &socket];
            all.extend(words);
            output(&all)
        };
        let local = format!("[Definition]\nlogtarget = {}\ndbfile = :memory:\n", at("f2b.log"));
        fs::write(at("fail2ban.local"), local).expect("a file");
        let mut server = Command::new("fail2ban-server");
        let mut server = server
            .args(["-f", "-c", &configuration, "-s", &socket, "-p", &at("pid"), "start"])
            .spawn()
            .expect("fail2ban");
        until("fail2ban", || client(&["status", "g"]).0.then_some(()));
        for (name, _) in &jails {
            assert!(client(&["set", name, "banip", BANNED[0], BANNED[1], OTHERS[0]]).0);
            let done = |who: &str| format!("[{name}] Ban {who}");
            until("bans", || {
                fs::read_to_string(at("f2b.log")).ok()?.contains(&done(OTHERS[0])).then_some(())
            });
            assert!(client(&["set", name, "unbanip", OTHERS[0]]).0);
        }
        // Each in its jail: what is told to the kernel comes just after what is told to the log.
        let has_all =
            |rules: &str| rules.matches(BANNED[1]).count() >= jails.len() && !rules.contains(OTHERS[0]);
        let theirs = until("the last ban", || Some(rules()).filter(|rules| has_all(rules)));
        assert!(client(&["stop"]).0);
        server.wait().expect("ends");
        let between = rules();
        let firewall = firewall(folder.path());
        for (name, _) in &jails {
            well(
                &firewall,
                vec![Change::start(name), ban(name, BANNED[0]), ban(name, BANNED[1]), ban(name, OTHERS[0])],
            );
            well(&firewall, vec![unban(name, OTHERS[0])]);
        }
        let ours = rules();
        // Sets of ours have times: a ban ends also where nobody is left to end it.
        let ours = ours.replace("flags timeout\n", "").replace(" timeout 11m", "");
        assert_eq!(sorted(&ours), sorted(&theirs));
        for (name, _) in &jails {
            well(&firewall, vec![Change::stop(name)]);
        }
        assert_eq!(rules(), between);
    });
}

/// Elements of a set, and rules that several jails put in one chain, have no order.
fn sorted(rules: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = rules.lines().collect();
    lines.sort_unstable();
    lines
}

/// A folder with one jail `j`, whose actions write to the file `out`.
fn own_files(actions: &[(&str, &str)]) -> (tempfile::TempDir, impl Fn() -> String + use<>) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    for part in ["filter.d", "action.d"] {
        fs::create_dir(folder.path().join(part)).expect("a folder");
    }
    let mut names = String::new();
    for (name, text) in actions {
        let text = text.replace("OUT", &out.display().to_string());
        fs::write(folder.path().join(format!("action.d/{name}.conf")), text).expect("a file");
        names += &format!("\n  {name}");
    }
    fs::write(folder.path().join("filter.d/f.conf"), "[Definition]\nfailregex = <HOST>$\n").expect("a file");
    let jail = format!("[j]\nenabled = true\nfilter = f\nlogpath = /var/log/j*.log\naction ={names}\n");
    fs::write(folder.path().join("jail.conf"), jail).expect("a file");
    fs::write(&out, "").expect("a file");
    (folder, move || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        fs::write(&out, "").expect("a file");
        text
    })
}

const PLAIN: &str = "[Definition]
actionstart = echo plain start <name> >> OUT
actionstop = echo plain stop <name> >> OUT
actionban = echo plain ban <ip> <failures> <family> >> OUT
actionunban = echo plain unban <ip> >> OUT
norestored = true
";
const FAMILIES: &str = "[Definition]
actionstart = echo fam start <family> <v> >> OUT
actionstop = echo fam stop <family> <v> >> OUT
actionflush = echo fam flush <family> <v> >> OUT
actioncheck = echo fam check <v> >> OUT; test ! -e OUT.broken
actionban = test ! -e OUT.broken || exit 1
            echo fam ban <ip> <v> >> OUT
actionunban = echo fam unban <ip> <v> >> OUT
actionrepair = echo fam repair <v> >> OUT; rm OUT.broken
[Init]
v = four
[Init?family=inet6]
v = six
";
const EAGER: &str = "[Definition]
actionstart_on_demand = false
actionstart = echo eager start <v> >> OUT
actionban = echo eager ban <ip> <v> >> OUT
actionunban = echo eager unban <ip> <v> >> OUT
[Init]
v = four
[Init?family=inet6]
v = six
";

/// In which order commands run, as fail2ban was seen to run them.
#[test]
fn actions_in_their_order() {
    let (folder, said) = own_files(&[("plain", PLAIN), ("fam", FAMILIES), ("eager", EAGER)]);
    let firewall = firewall(folder.path());
    let check = |changes: Vec<Change>, expect: &[&str]| {
        well(&firewall, changes);
        assert_eq!(said().lines().collect::<Vec<_>>(), expect);
    };
    check(vec![Change::start("j")], &["plain start j", "eager start four", "eager start six"]);
    check(
        vec![ban("j", "198.51.100.1"), ban("j", "2001:db8::1")],
        &[
            "plain ban 198.51.100.1 5 inet4",
            "plain ban 2001:db8::1 5 inet6",
            "fam start inet4 four",
            "fam ban 198.51.100.1 four",
            "fam start inet6 six",
            "fam ban 2001:db8::1 six",
            "eager ban 198.51.100.1 four",
            "eager ban 2001:db8::1 six",
        ],
    );
    check(
        vec![unban("j", "198.51.100.1"), unban("j", "198.51.100.99")],
        &["plain unban 198.51.100.1", "fam unban 198.51.100.1 four", "eager unban 198.51.100.1 four"],
    );
    let restored = Change { is_restored: true, ..ban("j", "198.51.100.2") };
    check(vec![restored], &["fam ban 198.51.100.2 four", "eager ban 198.51.100.2 four"]);
    // What is missing is repaired, and what was in force comes back.
    fs::write(folder.path().join("out.broken"), "").expect("a file");
    check(
        vec![ban("j", "198.51.100.3")],
        &[
            "plain ban 198.51.100.3 5 inet4",
            "fam check four",
            "fam repair four",
            "fam ban 198.51.100.2 four",
            "fam ban 198.51.100.3 four",
            "eager ban 198.51.100.3 four",
        ],
    );
    // A jail that the files no longer name runs on until it is stopped, with the actions that it was started with.
    fs::write(folder.path().join("jail.conf"), "[other]\n").expect("a file");
    firewall.reload().expect("reloads");
    check(
        vec![Change::stop("j")],
        &[
            "plain unban 198.51.100.3",
            "plain unban 2001:db8::1",
            "plain stop j",
            "fam flush inet4 four",
            "fam flush inet6 six",
            "fam stop inet4 four",
            "fam stop inet6 six",
            "eager unban 198.51.100.2 four",
            "eager unban 198.51.100.3 four",
            "eager unban 2001:db8::1 six",
        ],
    );
    let gone = firewall.apply(vec![Change::start("j")]).remove(0);
    assert!(gone.is_err_and(|text| text.contains("no jail `j` is switched on")));
}

/// A user's name, a log line, a host's name: whatever is in them, they are written, not run.
#[test]
fn what_a_client_chose_is_never_run() {
    let action = "[Definition]
actionban = printf '%%s|' \"<F-USER>\" \"<matches>\" \"<ip>\" <failures> >> OUT
            printf '%%s|' <F-USER> >> OUT
actionunban = printf '%%s|' \"<F-USER>\" \"<ip>\" >> OUT
";
    let (folder, said) = own_files(&[("a", action)]);
    let firewall = firewall(folder.path());
    well(&firewall, vec![Change::start("j")]);
    let pwned = folder.path().join("pwned");
    let touch = format!("touch {}", pwned.display());
    for hostile in [
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("\"; {touch}; \""),
        format!("'; {touch}; '"),
        format!("x\n{touch}\n"),
        format!("x & {touch} & | {touch} # <ip> <F-USER> $f2bV_ip ${{x:=`{touch}`}}"),
        "\\\" \\' * ? [a] {a,b} ~ ! \u{0}\u{7f}\u{1b}[31m é".to_owned(),
        format!("-n --help {touch}"),
    ] {
        let fields = vec![("user".to_owned(), hostile.clone()), (hostile.clone(), hostile.clone())];
        let who = Id::Other(hostile.clone());
        let hostile_ban = Change { matches: hostile.clone(), fields, ..ban("j", "198.51.100.1") };
        well(&firewall, vec![Change { id: who.clone(), ..hostile_ban }]);
        let value = hostile.replace('\0', "");
        let written = said();
        assert!(written.starts_with(&format!("{value}|{value}|{value}|5|")), "{hostile:?}: {written:?}");
        well(&firewall, vec![Change::new("j", Verb::Unban, who)]);
        assert_eq!(said(), format!("{value}|{value}|"));
        assert!(!pwned.exists(), "{hostile:?} was run");
    }
}

/// Failures are told with the program's own words, each where it belongs.
#[test]
fn failures_are_told_in_the_programs_words() {
    let action = "[Definition]
actionban = test <ip> != 198.51.100.2 || { echo no room >&2; exit 3; }
actionunban =
";
    let slow =
        "[Definition]\nactionban = test <ip> != 198.51.100.4 || exec sleep 1000\n[Init]\ntimeout = 2\n";
    let (folder, _) = own_files(&[("a", action), ("slow", slow)]);
    let firewall = firewall(folder.path());
    let who = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "127.0.0.1"];
    let outcomes = firewall.apply(who.map(|who| ban("j", who)).to_vec());
    let said: Vec<&str> =
        outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(String::as_str, |()| "")).collect();
    assert!(said[0].is_empty() && said[2].is_empty(), "{said:?}");
    assert!(said[1].contains("action a: ") && said[1].ends_with("exit status: 3: no room"), "{said:?}");
    assert!(said[3].contains("action slow: ") && said[3].contains("took longer than 2 s"), "{said:?}");
    assert!(said[4].contains("never bans"), "{said:?}");
    assert!(firewall.is_alive());
    let logs = firewall.open(Path::new("/etc/passwd")).expect_err("no log of a jail's");
    assert!(logs.to_string().contains("logpath"), "{logs}");
}
