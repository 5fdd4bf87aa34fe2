use super::*;
use crate::jails::read;
use crate::layers::Files;
use nft::{Listing, Sets};
use std::path::{Path, PathBuf};

/// Files in memory, by their paths under /f.
struct Memory<'a>(&'a [(&'a str, &'a str)]);

impl Files for Memory<'_> {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        let known = self.0.iter().find(|(known, _)| Path::new("/f").join(known) == path);
        Ok(known.map(|(_, text)| (*text).to_owned()))
    }

    fn list(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

const ECHO: &str = r#"[Definition]
actionstart = start <name> <family>
actionban = echo '<ip>' "<F-USER>" <matches> <failures> <time> <bantime> <bancount> <ip-rev> <fid> <F-NONE> <none> <jail> <br> <kind> <sh-hostname>
actionunban =
[Init]
kind = four
[Init?family=inet6]
kind = six
"#;

/// Tables and sets as the stock action has them.
const SETS: &str = r"[Definition]
actionstart = nft add table inet f2b-table
              nft -- add chain inet f2b-table f2b-chain \{ type filter hook input priority -1 \; \}
              nft add set inet f2b-table <set> \{ type <type>\; \}
              for proto in $(echo '<protocol>' | sed 's/,/ /g'); do
              nft add rule inet f2b-table f2b-chain $proto dport \{ $(echo '<port>' | sed s/:/-/g) \} <from> saddr @<set> <blocktype>
              done
actionban = nft add element inet f2b-table <set> \{ <ip> \}
actionunban = nft delete element inet f2b-table <set> \{ <ip> \}
[Init]
type = ipv4_addr
from = ip
set = addr-set-<name>
blocktype = reject
protocol = tcp
port = ssh
[Init?family=inet6]
type = ipv6_addr
from = ip6
set = addr6-set-<name>
";

fn jail(action: &str, call: &str) -> Jail {
    let text = format!("[j]\nenabled = yes\nfilter =\naction = {call}\n");
    let mut folder = read(&Memory(&[("jail.conf", &text), ("action.d/a.conf", action)]), Path::new("/f"));
    assert_eq!(folder.found, []);
    folder.jails.remove(0)
}

fn action(text: &str, call: &str) -> Action {
    let jail = jail(text, call);
    Action::new(&jail, &jail.actions[0], "mx.example.com").unwrap()
}

fn facts(id: &str) -> Facts {
    let id = id.parse().map_or(Id::Name(id.to_owned()), Id::address);
    let fields = vec![("user".to_owned(), "two words".to_owned())];
    Facts { id, ban_s: 600, failures: 5, before: 1, time_s: 1_700_000_000, matches: "a b".to_owned(), fields }
}

fn ban(action: &Action, facts: &Facts) -> Script {
    action.script(Deed::Ban, Family::of(&facts.id), Some(facts)).unwrap()
}

#[test]
fn tags_of_a_ban() {
    let first = action(ECHO, "a[kind=given]");
    assert!(first.starts_on_demand);
    // Where bans don't grow each counts as the first, as fail2ban has it.
    assert!(ban(&first, &facts("192.0.2.1")).text.contains(" 600 1 1.2.0.192. "));
    let action = action(ECHO, "a[kind=given]\nbantime.increment = true");
    let check = |id: &str, expect: &str| assert_eq!(ban(&action, &facts(id)).text, expect);
    check(
        "192.0.2.1",
        "echo '192.0.2.1' \"two words\" a b 5 1700000000 600 2 1.2.0.192. 192.0.2.1  <none> <jail> \n given mx",
    );
    let reversed = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.";
    check(
        "2001:db8::1",
        &format!(
            "echo '2001:db8::1' \"two words\" a b 5 1700000000 600 2 {reversed} 2001:db8::1  <none> <jail> \n six mx"
        ),
    );
    assert_eq!(action.script(Deed::Start, Family::V6, None).unwrap().text, "start j inet6");
    assert_eq!(action.script(Deed::Unban, Family::V6, None), None);
}

/// What a client chose is never part of a command's text.
#[test]
fn hostile_captures_are_variables() {
    let action = action(ECHO, "a");
    for hostile in [
        "a'b", "$(id)", "`id`", "a;b", "a\nb", "a|b", "<ip>", "a\\", "\"", "*", "~x", "a&b", "x>y", "{a,b}",
        "#", "!", "a\tb", "\0'",
    ] {
        let mut facts = facts("192.0.2.1");
        facts.fields = vec![("user".to_owned(), hostile.to_owned())];
        facts.matches = format!("line {hostile}");
        let script = ban(&action, &facts);
        assert!(script.text.contains("\"$f2bV_f_user\" $f2bV_matches 5"), "{hostile}: {}", script.text);
        assert_eq!(script.variables[0], ("f2bV_f_user".to_owned(), hostile.replace('\0', "")));
        assert_eq!(plain::steps(&script), None);
        // Nor a name that stands in the place of an address.
        let script = ban(&action, &Facts { id: Id::Other(hostile.to_owned()), ..facts });
        assert!(script.text.starts_with("echo '$f2bV_ip' "), "{}", script.text);
    }
}

#[test]
fn what_an_action_may_say_of_itself() {
    let check = |text: &str, call: &str, expect: (bool, bool, u64)| {
        let action = action(&format!("[Definition]\nactionban = x\n{text}"), call);
        assert_eq!(
            (action.starts_on_demand, action.passes_over_restored, action.timeout_s),
            expect,
            "{text} {call}"
        );
    };
    check("", "a", (false, false, 60));
    check("norestored = 1\n[Init]\ntimeout = 2m", "a", (false, true, 120));
    check("actionstart_on_demand = true", "a[norestored=yes, timeout=7]", (true, true, 7));
    check("[Init?family=inet6]\nx = y", "a[actionstart_on_demand=no]", (false, false, 60));
    let python =
        read(&Memory(&[("jail.conf", "[j]\nenabled=1\nfilter=\naction = smtp.py[a=b]\n")]), Path::new("/f"));
    let found = review_of(&python.jails[0]);
    assert!(found[0].to_string().contains("K0665"), "{}", found[0]);
    let wide = "[j]\nenabled=1\nfilter=\nkomainu_ipv6_prefix = 64 200\n";
    let found = review_of(&read(&Memory(&[("jail.conf", wide)]), Path::new("/f")).jails[0]);
    assert!(found[0].to_string().starts_with("/f/jail.conf:4:1: error[K0666]"), "{}", found[0]);
}

#[test]
fn which_texts_are_sets_of_nftables() {
    let check = |from: &str, to: &str, call: &str, is_nft: bool| {
        let action = action(&SETS.replace(from, to), call);
        assert_eq!(action.nft.is_some(), is_nft, "{to} {call}");
    };
    check("", "", "a", true);
    check("", "", "a[port=\"25,1000:1100\", protocol=\"tcp,udp\", blocktype=\"counter drop\"]", true);
    check("$proto dport", "meta l4proto \\{ tcp \\} # ", "a", false);
    check("nft add element", "logger <ip>; nft add element", "a", false);
    check("actionunban = nft", "actionunban = /bin/nft", "a", false);
    check("saddr @<set>", "saddr @other", "a", false);
    check("ipv6_addr", "ipv4_addr", "a", false);
    check("", "", "a[blocktype=\"log prefix 'x' drop\"]", false);
    check("", "", "a[port=\"$(id)\"]", false);
    check("", "", "a[name=\"a b\"]", false);
    check("done\n", "done\n              nft add counter inet f2b-table x\n", "a", false);
}

fn until(text: &str, bans: &[(&str, u8)]) -> Sets {
    let mut sets = Sets::new(action(text, "a[port=\"25,1000:1100\", protocol=\"tcp,udp\"]").nft.unwrap());
    for (address, bits) in bans {
        let address: IpAddr = address.parse().unwrap();
        sets.ban(&Id::address(address), (address, *bits), Some(1_600));
    }
    sets
}

#[test]
fn transactions() {
    let mut sets = until(SETS, &[("192.0.2.1", 32), ("2001:db8::", 64)]);
    let first = "add table inet f2b-table
add chain inet f2b-table f2b-chain { type filter hook input priority -1 ; }
add set inet f2b-table addr-set-j { type ipv4_addr ; flags timeout ; }
add rule inet f2b-table f2b-chain tcp dport { 25,1000-1100 } ip saddr @addr-set-j reject
add rule inet f2b-table f2b-chain udp dport { 25,1000-1100 } ip saddr @addr-set-j reject
add element inet f2b-table addr-set-j { 192.0.2.1 timeout 660s }
add table inet f2b-table
add chain inet f2b-table f2b-chain { type filter hook input priority -1 ; }
add set inet f2b-table net64-set-j { type ipv6_addr ; flags timeout ; }
add rule inet f2b-table f2b-chain tcp dport { 25,1000-1100 } ip6 saddr and ffff:ffff:ffff:ffff:: @net64-set-j reject
add rule inet f2b-table f2b-chain udp dport { 25,1000-1100 } ip6 saddr and ffff:ffff:ffff:ffff:: @net64-set-j reject
add element inet f2b-table net64-set-j { 2001:db8:: timeout 660s }
";
    assert_eq!(sets.all(&Listing::default(), 1_000), first);
    sets.done();
    assert!(!sets.has_changes());
    // A second id of the same network, for longer; another address for ever.
    let other = Id::address("2001:db8::7".parse().unwrap());
    sets.ban(&other, ("2001:db8::".parse().unwrap(), 64), Some(2_000));
    let address: IpAddr = "192.0.2.2".parse().unwrap();
    sets.ban(&Id::address(address), (address, 32), None);
    sets.unban(&Id::address("192.0.2.1".parse().unwrap()));
    let next = "add element inet f2b-table addr-set-j { 192.0.2.1, 192.0.2.2 }
delete element inet f2b-table addr-set-j { 192.0.2.1, 192.0.2.2 }
add element inet f2b-table addr-set-j { 192.0.2.2 }
add element inet f2b-table net64-set-j { 2001:db8:: }
delete element inet f2b-table net64-set-j { 2001:db8:: }
add element inet f2b-table net64-set-j { 2001:db8:: timeout 1060s }
";
    assert_eq!(sets.changes(1_000), next);
    sets.done();
    // The network stays for as long as one of its ids is banned.
    sets.unban(&Id::address("2001:db8::".parse().unwrap()));
    assert!(!sets.has_changes());
    sets.unban(&other);
    let last = "add element inet f2b-table net64-set-j { 2001:db8:: }\ndelete element inet f2b-table net64-set-j { 2001:db8:: }\n";
    assert_eq!(sets.changes(1_000), last);
}

#[test]
fn networks_of_one_length_have_a_set_in_each_family() {
    let sets = until(SETS, &[("198.51.100.0", 29), ("2001:db8::", 29)]);
    let said = sets.all(&Listing::default(), 1_000);
    let made = |line: &&str| line.starts_with("add set") || line.starts_with("add element");
    let expected = [
        "add set inet f2b-table net4-29-set-j { type ipv4_addr ; flags timeout ; }",
        "add element inet f2b-table net4-29-set-j { 198.51.100.0 timeout 660s }",
        "add set inet f2b-table net29-set-j { type ipv6_addr ; flags timeout ; }",
        "add element inet f2b-table net29-set-j { 2001:db8:: timeout 660s }",
    ];
    assert_eq!(said.lines().filter(made).collect::<Vec<_>>(), expected);
    let there = "set net4-29-set-j { # handle 2\nset net29-set-j { # handle 3\n";
    let listing = Listing::read(sets.layout(), there);
    assert!(sets.end(&listing).ends_with("delete set inet f2b-table net29-set-j\ndelete set inet f2b-table net4-29-set-j\ndelete table inet f2b-table\n"));
}

#[test]
fn what_is_there_is_seen_and_taken_away() {
    let mut sets = until(SETS, &[("192.0.2.1", 32)]);
    let there = "table inet f2b-table { # handle 1
	set addr-set-jx { # handle 9
	}
	set addr-set-j { # handle 2
		type ipv4_addr
	}
	set net56-set-j { # handle 3
	}
	chain f2b-chain { # handle 1
		type filter hook input priority filter - 1; policy accept;
		tcp dport { 25, 1000-1100 } ip saddr @addr-set-j reject with icmp port-unreachable # handle 5
		udp dport { 25, 1000-1100 } ip saddr @addr-set-j reject with icmp port-unreachable # handle 6
		tcp dport 25 ip saddr @addr-set-jx drop # handle 7
	}
}
";
    let listing = Listing::read(sets.layout(), there);
    sets.done();
    assert!(sets.is_whole(&listing));
    let less = Listing::read(sets.layout(), &there.replace("udp dport", "udp sport # "));
    assert!(sets.is_whole(&less), "whose rule it is, not what it says");
    let less = Listing::read(
        sets.layout(),
        &there.replace("@addr-set-j reject with icmp port-unreachable # handle 6", "x"),
    );
    assert!(!sets.is_whole(&less));
    let removal = "delete rule inet f2b-table f2b-chain handle 5
delete rule inet f2b-table f2b-chain handle 6
delete set inet f2b-table addr-set-j
delete set inet f2b-table net56-set-j
";
    assert_eq!(sets.end(&listing), removal, "another's set is there, the table stays");
    let alone = Listing::read(sets.layout(), &there.replace("addr-set-jx", "net64-set-j"));
    assert!(sets.end(&alone).ends_with("handle 7\ndelete set inet f2b-table addr-set-j\ndelete set inet f2b-table net56-set-j\ndelete set inet f2b-table net64-set-j\ndelete table inet f2b-table\n"));
    assert_eq!(sets.end(&Listing::default()), "");
    assert!(sets.all(&listing, 1_000).starts_with(&format!("{removal}add table")));
}

/// A jail's name is the administrator's, and is a word to a shell all the same.
#[test]
fn a_name_that_a_shell_would_read() {
    let odd = "a; touch /x $(id)";
    let text = format!(
        "[{odd}]\nenabled = yes\nfilter =\naction = a[name=%(__name__)s, other=\"f2b-%(__name__)s\"]\n"
    );
    let action = "[Definition]\nactionstart = start <name> <other>\nactionban = ban <name> <ip>\n";
    let folder = read(&Memory(&[("jail.conf", &text), ("action.d/a.conf", action)]), Path::new("/f"));
    let jail = folder.jails.first().expect("a jail");
    assert_eq!(jail.name, odd);
    let action = Action::new(jail, jail.actions.first().expect("an action"), "mx").expect("an action");
    let started = action.script(Deed::Start, Family::V4, None).expect("a command");
    assert_eq!(started.text.trim(), "start a__touch_/x___id_ f2b-a__touch_/x___id_");
    let said: Vec<String> = crate::review_of(jail).iter().map(|found| found.code.to_string()).collect();
    assert_eq!(said, ["K0674"]);
    assert_eq!(plain_name("postfix-sasl_2.x"), None);
}
