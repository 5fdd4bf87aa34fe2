//! The stock actions: which of them need no shell.

use crate::{Disk, copied, stock};
use ban::action::{Action, Deed, Facts, Family, plain};
use ban::filter::Id;

fn facts(id: &str) -> Facts {
    let id = Id::address(id.parse().expect("an address"));
    Facts { id, ban_s: 600, failures: 5, before: 0, time_s: 0, matches: String::new(), fields: Vec::new() }
}

fn action(folder: &std::path::Path, banaction: &str) -> Action {
    let local = format!("[sshd]\nenabled = true\nbackend = auto\nbanaction = {banaction}\n");
    let folder = copied(folder, &[("jail.local", &local)]);
    let read = ban::jails::read(&Disk, &folder.path().join("fail2ban"));
    let jail = read.jails.first().expect("sshd");
    Action::new(jail, jail.actions.first().expect("an action"), "mx.example.com").expect(banaction)
}

#[test]
fn packet_filters_need_no_shell() {
    let Some(stock) = stock("packet_filters_need_no_shell") else { return };
    for banaction in [
        "nftables",
        "nftables-multiport",
        "nftables-allports",
        "nftables[type=custom, rule_match-custom=\"tcp dport 22\"]",
    ] {
        let action = action(&stock, banaction);
        assert!(action.nft.is_some() && action.takes_networks() && action.starts_on_demand, "{banaction}");
    }
    let others = [
        "iptables",
        "iptables-multiport",
        "iptables-allports",
        "iptables-ipset",
        "iptables-ipset-proto6",
        "iptables-ipset-proto6-allports",
        "iptables-multiport[blocktype=DROP, protocol=\"tcp,udp\"]",
        "ufw",
        "ufw[blocktype=deny]",
    ];
    for banaction in others {
        let action = action(&stock, banaction);
        assert!(action.nft.is_none(), "{banaction}");
        assert_eq!(action.takes_networks(), !banaction.contains("ipset"), "{banaction}");
        let is_plain = |deed: Deed, family: Family, facts: Option<&Facts>| {
            let Some(script) = action.script(deed, family, facts) else { return };
            let steps = plain::steps(&script);
            assert!(steps.is_some_and(|steps| !steps.is_empty()), "{banaction} {deed:?} {}", script.text);
        };
        for family in [Family::V4, Family::V6] {
            for deed in [Deed::Start, Deed::Stop, Deed::Flush, Deed::Check] {
                is_plain(deed, family, None);
            }
            let facts = facts(if family == Family::V4 { "192.0.2.1" } else { "2001:db8::1" });
            is_plain(Deed::Ban, family, Some(&facts));
            is_plain(Deed::Unban, family, Some(&facts));
        }
    }
}

#[test]
fn others_take_one() {
    let Some(stock) = stock("others_take_one") else { return };
    for banaction in ["sendmail-whois", "hostsdeny", "cloudflare", "route"] {
        let action = action(&stock, banaction);
        let script = action.script(Deed::Ban, Family::V4, Some(&facts("192.0.2.1"))).expect("a command");
        let needs_none = matches!(banaction, "route" | "cloudflare");
        assert_eq!(plain::steps(&script).is_some(), needs_none, "{}", script.text);
        assert!(script.text.contains("192.0.2.1"), "{}", script.text);
    }
}
