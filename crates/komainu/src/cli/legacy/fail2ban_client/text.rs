//! What fail2ban-client prints: trees, Python's lists, the headings of values. T2.20.

use crate::bans::order::{Held, JailStatus, Value};
use ban::dump::{Value as Python, quoted};
use ban::zone::Zone;
use std::fmt::Write as _;

/// `|- first`, `` `- last``.
fn tree(lines: impl Iterator<Item = String>) -> String {
    let mut lines = lines.peekable();
    let mut out = String::new();
    while let Some(line) = lines.next() {
        let branch = if lines.peek().is_some() { "\n|- " } else { "\n`- " };
        out.push_str(branch);
        out.push_str(&line);
    }
    out
}

/// `status`.
pub(super) fn jails(names: &[String]) -> String {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    format!("Status\n|- Number of jail:\t{}\n`- Jail list:\t{}", sorted.len(), sorted.join(", "))
}

/// `status JAIL`.
pub(super) fn jail(jail: &JailStatus) -> String {
    let source = match &jail.journal {
        Some(matches) => format!("Journal matches:\t{}", matches.join(" + ")),
        None => format!("File list:\t{}", jail.files.join(" ")),
    };
    format!(
        "Status for the jail: {}\n|- Filter\n|  |- Currently failed:\t{}\n|  |- Total failed:\t{}\n|  `- {source}\n\
         `- Actions\n   |- Currently banned:\t{}\n   |- Total banned:\t{}\n   `- Banned IP list:\t{}",
        jail.name,
        jail.currently_failed,
        jail.total_failed,
        jail.currently_banned,
        jail.total_banned,
        jail.banned.join(" ")
    )
}

/// Texts as Python shows a list of them.
pub(super) fn list(texts: &[String]) -> Python {
    Python::List(texts.iter().map(|text| Python::Text(text.clone())).collect())
}

/// `banned`: a dictionary for each jail.
pub(super) fn by_jail(jails: &[String], held: &[Held]) -> String {
    let each: Vec<String> = jails
        .iter()
        .map(|jail| {
            let own: Vec<String> =
                held.iter().filter(|ban| ban.jail == *jail).map(|ban| ban.id.clone()).collect();
            format!("{{{}: {}}}", quoted(jail), list(&own))
        })
        .collect();
    format!("[{}]", each.join(", "))
}

/// `banned IP …`: by which jails each is held.
pub(super) fn by_id(ids: &[String], jails: &[String], held: &[Held]) -> String {
    let of = |id: &String| {
        let holds = |jail: &&String| held.iter().any(|ban| ban.jail == **jail && same(&ban.id, id));
        list(&jails.iter().filter(holds).cloned().collect::<Vec<_>>())
    };
    Python::List(ids.iter().map(of).collect()).to_string()
}

/// Whether two texts name the same.
pub(super) fn same(one: &str, two: &str) -> bool {
    one == two || ban::import::id(one) == ban::import::id(two)
}

/// In order of their ends, those for ever last.
pub(super) fn by_end(held: &mut [Held]) {
    held.sort_by_key(|ban| (ban.until_s.unwrap_or(i64::MAX), ban.since_s, ban::import::id(&ban.id)));
}

/// `get JAIL banip --with-time`.
pub(super) fn with_time(held: &[Held], zone: &Zone) -> String {
    let shown = |at_s: i64| {
        zone.civil(at_s).map(|civil| civil.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
    };
    let mut out = String::new();
    for (at, ban) in held.iter().enumerate() {
        let (length_s, until) = match ban.until_s {
            Some(until_s) => (until_s.saturating_sub(ban.since_s), shown(until_s)),
            None => (-1, "9999-12-31 23:59:59".to_owned()),
        };
        let newline = if at > 0 { "\n" } else { "" };
        // Writing to a String can't fail.
        let _ = write!(out, "{newline}{} \t{} + {length_s} = {until}", ban.id, shown(ban.since_s));
    }
    out
}

/// A setting's value under its heading.
pub(super) fn value(jail: Option<&str>, option: &str, value: &Value) -> String {
    let texts: Vec<String> = match value {
        Value::List(texts) => texts.clone(),
        Value::Text(text) if !text.is_empty() => vec![text.clone()],
        _ => Vec::new(),
    };
    let stem = option.strip_prefix("add").or_else(|| option.strip_prefix("del")).unwrap_or(option);
    let headed = |none: &str, head: &str, lines: Vec<String>| {
        if lines.is_empty() { none.to_owned() } else { format!("{head}{}", tree(lines.into_iter())) }
    };
    match (jail, stem) {
        (Some(_), "logpath") => {
            headed("No file is currently monitored", "Current monitored log file(s):", texts)
        }
        (Some(_), "ignoreip") => {
            // Networks and names, then single addresses.
            let (single, others): (Vec<String>, Vec<String>) =
                texts.into_iter().partition(|text| text.parse::<std::net::IpAddr>().is_ok());
            let texts = [others, single].concat();
            headed("No IP address/network is ignored", "These IP addresses/networks are ignored:", texts)
        }
        (Some(_), "failregex" | "ignoreregex") => {
            let numbered =
                texts.iter().enumerate().map(|(at, text)| format!("[{at}]: {}", ban::pattern::shown(text)));
            let head = "The following regular expression are defined:";
            headed("No regular expression is defined", head, numbered.collect())
        }
        (Some(_), "journalmatch") if texts.is_empty() => "No journal match filter set".to_owned(),
        (Some(_), "journalmatch") => format!("Current match filter:\n{}", texts.join(" + ")),
        (Some(_), "logencoding") => {
            let encoding = texts.first().filter(|text| *text != "auto").map_or("UTF-8", String::as_str);
            format!("Current log encoding is set to:\n{encoding}")
        }
        (Some(_), "ignorecommand" | "prefregex") if texts.is_empty() => String::new(),
        (Some(_), "datepattern") => match texts.first() {
            Some(text) => format!("Current date pattern set to: {}", dates(text)),
            None => "Current date pattern set to: Default Detectors".to_owned(),
        },
        (Some(_), "prefregex") => ban::pattern::shown(&plain(value)),
        (Some(jail), "actions") if texts.is_empty() => format!("No actions for jail {jail}"),
        (Some(jail), "actions") => {
            format!("The jail {jail} has the following actions:\n{}", texts.join(", "))
        }
        (None, "loglevel") => format!("Current logging level is '{}'", plain(value)),
        (None, "logtarget") => format!("Current logging target is:\n`- {}", plain(value)),
        (None, "syslogsocket") => format!("Current syslog socket is:\n`- {}", plain(value)),
        (None, "dbfile") if texts.is_empty() || texts == ["None"] => "Database currently disabled".to_owned(),
        (None, "dbfile") => format!("Current database file is:\n`- {}", plain(value)),
        (None, "dbpurgeage") => format!("Current database purge age is:\n`- {}seconds", plain(value)),
        _ => plain(value),
    }
}

/// A date pattern with what it reads.
fn dates(text: &str) -> String {
    let title = ban::date::Dates::new(text).map_or_else(|_| String::new(), |dates| dates.title().to_owned());
    let is_said = title == "Default Detectors" || text.ends_with("EPOCH");
    if is_said { title } else { format!("{text} ({title})") }
}

/// As Python shows it when it stands alone.
fn plain(value: &Value) -> String {
    match value {
        Value::Nothing => Python::Nothing.to_string(),
        Value::Truth(truth) => Python::Truth(*truth).to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(texts) => list(texts).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ban::zone::Zone;

    /// Each text is what fail2ban-client 1.0.2 printed.
    #[test]
    fn as_the_tool_prints_them() {
        let names = ["sshd", "postfix"].map(str::to_owned);
        assert_eq!(jails(&names), "Status\n|- Number of jail:\t2\n`- Jail list:\tpostfix, sshd");
        assert_eq!(jails(&[]), "Status\n|- Number of jail:\t0\n`- Jail list:\t");
        let mut status = JailStatus {
            name: "sshd".into(),
            currently_failed: 1,
            total_failed: 4,
            files: vec!["/a".into(), "/b".into()],
            currently_banned: 2,
            total_banned: 2,
            banned: vec!["203.0.113.177".into(), "2001:db8::1".into()],
            ..JailStatus::default()
        };
        let expect = "Status for the jail: sshd\n|- Filter\n|  |- Currently failed:\t1\n|  |- Total failed:\t4\n\
             |  `- File list:\t/a /b\n`- Actions\n   |- Currently banned:\t2\n   |- Total banned:\t2\n   \
             `- Banned IP list:\t203.0.113.177 2001:db8::1";
        assert_eq!(jail(&status), expect);
        status.journal = Some(vec!["_SYSTEMD_UNIT=sshd.service".into(), "_COMM=sshd".into()]);
        let journal = "Journal matches:\t_SYSTEMD_UNIT=sshd.service + _COMM=sshd";
        assert_eq!(jail(&status), expect.replace("File list:\t/a /b", journal));
    }

    fn held(jail: &str, id: &str, since_s: i64, until_s: Option<i64>) -> Held {
        Held { jail: jail.into(), id: id.into(), since_s, until_s, before: 0, failures: 0 }
    }

    #[test]
    fn lists_of_bans() {
        let mut bans = [
            held("sshd", "203.0.113.6", 1_795_435_218, None),
            held("postfix", "203.0.113.6", 1_795_435_216, Some(1_795_435_816)),
            held("sshd", "2001:db8::1", 1_795_435_216, Some(1_795_435_816)),
        ];
        let names = ["sshd", "postfix"].map(str::to_owned);
        assert_eq!(
            by_jail(&names, &bans),
            "[{'sshd': ['203.0.113.6', '2001:db8::1']}, {'postfix': ['203.0.113.6']}]"
        );
        let ids = ["203.0.113.6", "2001:DB8::0:1", "192.0.2.1"].map(str::to_owned);
        assert_eq!(by_id(&ids, &names, &bans), "[['sshd', 'postfix'], ['sshd'], []]");
        by_end(&mut bans);
        assert_eq!(
            with_time(&bans, &Zone::new(jiff::tz::TimeZone::UTC)),
            "203.0.113.6 \t2026-11-23 12:00:16 + 600 = 2026-11-23 12:10:16\n\
             2001:db8::1 \t2026-11-23 12:00:16 + 600 = 2026-11-23 12:10:16\n\
             203.0.113.6 \t2026-11-23 12:00:18 + -1 = 9999-12-31 23:59:59"
        );
    }

    #[test]
    fn values_under_their_headings() {
        let check = |jail: Option<&str>, option: &str, given: Value, expect: &str| {
            assert_eq!(value(jail, option, &given), expect, "{option}");
        };
        let texts = |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).to_owned()).collect());
        let sshd = Some("sshd");
        check(sshd, "logpath", texts(&["/a", "/b"]), "Current monitored log file(s):\n|- /a\n`- /b");
        check(sshd, "dellogpath", texts(&[]), "No file is currently monitored");
        check(sshd, "addignoreip", texts(&["::1"]), "These IP addresses/networks are ignored:\n`- ::1");
        check(sshd, "ignoreip", texts(&[]), "No IP address/network is ignored");
        check(sshd, "ignoreregex", Value::Nothing, "No regular expression is defined");
        check(
            sshd,
            "failregex",
            texts(&["^<F-USER>a</F-USER>$", "b"]),
            "The following regular expression are defined:\n|- [0]: ^(?P<user>a)$\n`- [1]: b",
        );
        check(sshd, "logencoding", Value::Text("auto".into()), "Current log encoding is set to:\nUTF-8");
        check(sshd, "ignorecommand", Value::Nothing, "");
        check(
            sshd,
            "ignoreip",
            texts(&["192.0.2.200", "198.51.100.0/24", "host.example"]),
            "These IP addresses/networks are ignored:\n|- 198.51.100.0/24\n|- host.example\n`- 192.0.2.200",
        );
        check(sshd, "journalmatch", Value::Nothing, "No journal match filter set");
        check(sshd, "logencoding", Value::Text("UTF-8".into()), "Current log encoding is set to:\nUTF-8");
        check(sshd, "datepattern", Value::Nothing, "Current date pattern set to: Default Detectors");
        check(
            sshd,
            "datepattern",
            Value::Text("{^LN-BEG}".into()),
            "Current date pattern set to: Default Detectors",
        );
        check(
            sshd,
            "datepattern",
            Value::Text("%Y-%m-%d".into()),
            "Current date pattern set to: %Y-%m-%d (Year-Month-Day)",
        );
        check(sshd, "actions", texts(&["a", "b"]), "The jail sshd has the following actions:\na, b");
        check(sshd, "actions", texts(&[]), "No actions for jail sshd");
        check(sshd, "ignorecache", Value::Nothing, "None");
        check(sshd, "ignoreself", Value::Truth(true), "True");
        check(sshd, "ignorecommand", Value::Text(String::new()), "");
        check(sshd, "bantime", Value::Number(-1), "-1");
        check(None, "loglevel", Value::Text("INFO".into()), "Current logging level is 'INFO'");
        check(None, "logtarget", Value::Text("/x".into()), "Current logging target is:\n`- /x");
        check(None, "syslogsocket", Value::Text("auto".into()), "Current syslog socket is:\n`- auto");
        check(None, "dbfile", Value::Text("/x".into()), "Current database file is:\n`- /x");
        check(None, "dbpurgeage", Value::Number(86_400), "Current database purge age is:\n`- 86400seconds");
        check(None, "dbmaxmatches", Value::Number(10), "10");
    }
}
