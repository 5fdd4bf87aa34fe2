use super::*;
use crate::bans::order::{Brief, JailStatus};
use std::cell::RefCell;

/// An engine with two jails; what it was told is kept.
fn engine(told: &RefCell<Vec<Order>>, order: &Order) -> Answer {
    let known = |jail: &str| jail == "sshd" || jail == "postfix";
    if !matches!(
        order,
        Order::JailStatus(_) | Order::Status | Order::Ping | Order::List(_) | Order::Get { .. }
    ) {
        told.borrow_mut().push(order.clone());
    }
    let ban = |jail: &str, id: &str| Held {
        jail: jail.into(),
        id: id.into(),
        since_s: 100,
        until_s: Some(700),
        before: 0,
        failures: 3,
    };
    match order {
        Order::Ping => Answer::Pong,
        Order::Status => {
            let brief = |name: &str| Brief { name: name.into(), blind: None };
            Answer::Jails(vec![brief("sshd"), brief("postfix")])
        }
        Order::JailStatus(jail)
        | Order::Ban { jail, .. }
        | Order::Unban { jail: Some(jail), .. }
        | Order::Get { jail: Some(jail), .. }
        | Order::Set { jail: Some(jail), .. }
        | Order::Attempt { jail, .. }
        | Order::Start(jail)
        | Order::Stop(Some(jail))
        | Order::List(Some(jail))
            if !known(jail) =>
        {
            Answer::NoJail(jail.clone())
        }
        Order::JailStatus(jail) => {
            Answer::Jail(Box::new(JailStatus { name: jail.clone(), ..JailStatus::default() }))
        }
        Order::List(_) => Answer::Bans(vec![ban("sshd", "203.0.113.5"), ban("sshd", "2001:db8::1")]),
        Order::Ban { ids, .. } | Order::Unban { ids, .. } => Answer::Count(ids.len() as u64),
        Order::Get { option, .. } if option == "ignoreip" => {
            Answer::Value(Value::List(vec!["10.0.0.1".into()]))
        }
        Order::Get { .. } => Answer::Value(Value::Number(600)),
        Order::Set { values, .. } => Answer::Value(Value::Text(values.join(" "))),
        Order::Attempt { .. } => Answer::Count(1),
        _ => Answer::Done,
    }
}

/// What is printed, or what went wrong, and the orders that change something.
fn say(line: &str) -> (Result<String, Failure>, Vec<Order>) {
    let told = RefCell::new(Vec::new());
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let ask = |order: &Order| Ok(engine(&told, order));
    let done = perform(&words, &ask, &Zone::new(jiff::tz::TimeZone::UTC));
    (done, told.into_inner())
}

#[test]
fn what_goes_well() {
    for (line, expect) in [
        ("ping", "Server replied: pong"),
        ("ping 3", "Server replied: pong"),
        ("version x", "1.0.2"),
        ("echo a b", "a b"),
        ("status", "Status\n|- Number of jail:\t2\n`- Jail list:\tpostfix, sshd"),
        ("banned 203.0.113.5 192.0.2.1", "[['sshd'], []]"),
        ("banned", "[{'sshd': ['203.0.113.5', '2001:db8::1']}, {'postfix': []}]"),
        ("get sshd banned 203.0.113.5", "1"),
        ("get sshd banned 203.0.113.5 192.0.2.9", "[1, 0]"),
        ("get sshd banned", "['203.0.113.5', '2001:db8::1']"),
        ("get sshd banip", "203.0.113.5 2001:db8::1"),
        ("get sshd banip ,", "203.0.113.5,2001:db8::1"),
        ("get sshd bantime", "600"),
        ("get sshd bantime x", "600"),
        ("set sshd banip", "0"),
        ("set sshd banip 203.0.113.5 192.0.2.1", "2"),
        ("set sshd bantime 20m", "1200"),
        ("set sshd usedns maybe", "no"),
        ("set sshd addignoreip", "These IP addresses/networks are ignored:\n`- 10.0.0.1"),
        ("set sshd attempt 203.0.113.50 line", "1"),
        ("unban 192.0.2.1", "1"),
        ("unban --all x", "0"),
        ("flushlogs x", "logs: rolled over"),
        ("start sshd", "Jail started"),
        ("stop sshd x", "Jail stopped"),
        ("set loglevel DEBUG", "Current logging level is 'DEBUG'"),
        ("set dbpurgeage 2d", "Current database purge age is:\n`- 172800seconds"),
    ] {
        assert_eq!(say(line).0, Ok(expect.to_owned()), "{line}");
    }
}

/// The texts are what fail2ban-client 1.0.2 printed.
#[test]
fn what_goes_wrong() {
    let no_jail = ("Sorry but the jail 'nosuch' does not exist", "('nosuch',)");
    let too_few = ("Sorry but the command is invalid", "('list index out of range',)");
    for (line, (said, nok)) in [
        ("status nosuch", no_jail),
        ("get nosuch bantime", no_jail),
        ("get nosuch banip", no_jail),
        ("set nosuch bantime 1", no_jail),
        ("set nosuch banip", no_jail),
        ("stop nosuch", no_jail),
        ("set", too_few),
        ("get", too_few),
        ("set sshd", too_few),
        ("get sshd", too_few),
        ("get nosuch", too_few),
        ("set sshd bantime", too_few),
        ("set sshd unbanip", too_few),
        ("nosuch", ("Invalid command", "('Invalid command',)")),
        ("unban", ("Invalid command", "('Invalid command',)")),
        ("help me", ("Invalid command", "('Invalid command',)")),
        ("status a b c", ("Invalid command (no status)", "('Invalid command (no status)',)")),
        (
            "set sshd nosuch 1",
            (
                "Invalid command 'nosuch' (no set action or not yet implemented)",
                "(\"Invalid command 'nosuch' (no set action or not yet implemented)\",)",
            ),
        ),
        ("set sshd bantime abc", ("name 'abc' is not defined", "(\"name 'abc' is not defined\",)")),
        (
            "set sshd maxretry abc",
            (
                "invalid literal for int() with base 10: 'abc'",
                "(\"invalid literal for int() with base 10: 'abc'\",)",
            ),
        ),
        (
            "set sshd unbanip --report-absent 192.0.2.1",
            ("not banned: ['192.0.2.1']", "(\"not banned: ['192.0.2.1']\",)"),
        ),
        (
            "set sshd delignoreip 10.9.9.9",
            ("list.remove(x): x not in list", "('list.remove(x): x not in list',)"),
        ),
    ] {
        let expect = Failure::Refused { said: said.to_owned(), nok: nok.to_owned() };
        let (done, told) = say(line);
        assert_eq!(done, Err(expect), "{line}");
        let harmless = |order: &Order| match order {
            Order::Ban { jail, .. } | Order::Set { jail: Some(jail), .. } | Order::Stop(Some(jail)) => {
                jail == "nosuch"
            }
            _ => false,
        };
        assert!(told.iter().all(harmless), "{line}: {told:?}");
    }
    let float = Failure::Said("could not convert string to float: 'x'".to_owned());
    assert_eq!(say("ping x").0, Err(float));
}

/// Nobody is let in who wasn't named.
#[test]
fn only_all_means_all() {
    let unban = |jail: Option<&str>, ids: &[&str]| Order::Unban {
        jail: jail.map(str::to_owned),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    for (line, expect) in [
        ("unban", vec![]),
        ("set sshd unbanip", vec![]),
        ("set sshd unbanip --report-absent", vec![]),
        ("set sshd unbanip --all", vec![unban(Some("sshd"), &["--all"])]),
        ("unban 192.0.2.1 192.0.2.2", vec![unban(None, &["192.0.2.1", "192.0.2.2"])]),
        ("set sshd unbanip --report-absent 203.0.113.5", vec![unban(Some("sshd"), &["203.0.113.5"])]),
        ("unban --all", vec![unban(None, &[])]),
    ] {
        assert_eq!(say(line).1, expect, "{line}");
    }
}

/// What isn't served says so.
#[test]
fn nothing_is_left_out_silently() {
    for line in
        ["set sshd addaction x", "set sshd action x actionban y", "add x polling", "status sshd cymru"]
    {
        let (Err(Failure::Refused { said, .. }), told) = say(line) else { panic!("{line}") };
        assert!(said.contains("jail.local alone") || said.contains("not served"), "{line}: {said}");
        assert_eq!(told, [], "{line}");
    }
}
