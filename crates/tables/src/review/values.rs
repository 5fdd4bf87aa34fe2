//! Results of tables that are no access tables: addresses, transports, levels.
//!
//! An access table's OK or REJECT in one of them is a user of that name, or is not read at all, which is worse: a
//! network with REJECT behind it in `mynetworks` is trusted.

use super::Setting;
use super::actions::split;
use super::codes::{
    ACTION_ELSEWHERE, BAD_NEXT_HOP, BAD_VALUE, COMMAND, NO_BRACKETS, NO_MILTER, NO_TRANSPORT, REMARK,
};
use super::sheet::Odd;
use super::usage::{Part, Use};
use std::net::IpAddr;

/// What is wrong with `value` where the table is used as `how` says.
pub(super) fn judge(how: Use, key: &str, value: &str, setting: &Setting) -> Option<Odd> {
    match how {
        Use::Domains(_) | Use::Recipients | Use::Mailboxes => unread(how, value),
        Use::Clients(_) => trusted(value),
        Use::Aliases => command(value).or_else(|| as_user(value)),
        // A domain of virtual_alias_domains: its text doesn't matter.
        Use::VirtualAliases if !key.contains('@') && key.contains('.') => None,
        Use::VirtualAliases | Use::Addresses => no_command(value).or_else(|| as_user(value)),
        Use::Transports => transport(value, setting),
        Use::TlsPolicies => level(value),
        Use::Passwords => (!value.contains(':'))
            .then(|| Odd::warning(BAD_VALUE, "a user without a password", "write user:password")),
        Use::Postscreen => screening(value),
        Use::Milters => milters(value, setting),
        _ => None,
    }
}

fn refuses(word: &str) -> bool {
    matches!(word.to_ascii_uppercase().as_str(), "REJECT" | "DENY" | "DISCARD" | "DROP" | "BLOCK")
}

/// REJECT behind a key whose presence alone counts.
fn unread(how: Use, value: &str) -> Option<Odd> {
    let (word, _) = split(value);
    if !refuses(word) {
        return None;
    }
    let listed = match how {
        Use::Domains(_) => "the domain is in the list all the same",
        Use::Mailboxes => "it is taken for the name of a mailbox",
        _ => "the recipient exists all the same",
    };
    Some(Odd::warning(
        ACTION_ELSEWHERE,
        format!("{word} does nothing here: {listed}"),
        "delete the line; to refuse mail write it in a table for check_recipient_access",
    ))
}

fn trusted(value: &str) -> Option<Odd> {
    let (word, _) = split(value);
    refuses(word).then(|| {
        Odd::error(
            ACTION_ELSEWHERE,
            format!("{word} is not read here: what the line matches is in the list, and trusted"),
            "delete the line, or take the network out in the list itself with a ! before it, ahead of this table",
        )
    })
}

/// OK and REJECT as the name of a local user.
fn as_user(value: &str) -> Option<Odd> {
    let (word, text) = split(value);
    let upper = word.to_ascii_uppercase();
    let alone = matches!(upper.as_str(), "OK" | "REJECT" | "DUNNO" | "DISCARD" | "HOLD" | "PERMIT" | "RELAY");
    let code = word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|b| b.is_ascii_digit());
    let refusal = upper == "REJECT" || code && !text.is_empty();
    // Written as actions are: a user may be called ok.
    ((alone && text.is_empty() && word == upper) || refusal && !value.contains(['@', ','])).then(|| {
        Odd::warning(
            ACTION_ELSEWHERE,
            format!("{word} is taken for an address here: this is no access table"),
            "write the address that mail goes to; to refuse or permit use check_recipient_access, to throw away an alias \
             to /dev/null or a transport discard:",
        )
    })
}

/// `|command with arguments` in aliases(5) wants quotes.
fn command(value: &str) -> Option<Odd> {
    let at = value
        .split(',')
        .map(str::trim)
        .find(|target| target.starts_with('|') && target.contains([' ', '\t']) && !target.contains('"'))?;
    Some(Odd::warning(
        COMMAND,
        "a command with arguments needs quotes around it",
        format!("as it stands each word is an address of its own; write \"{at}\""),
    ))
}

/// Commands, files and lists are aliases(5)'s alone.
fn no_command(value: &str) -> Option<Odd> {
    let at = value.split(',').map(|target| target.trim().trim_matches('"')).find(|target| {
        target.starts_with('|') || target.starts_with('/') || target.starts_with(":include:")
    })?;
    let shown: String = at.chars().take(40).collect();
    Some(Odd::warning(
        COMMAND,
        format!("{shown} is taken for an address: only alias_maps has commands, files and :include:"),
        "send the mail to a local user, and write the command in alias_maps for that user",
    ))
}

/// transport(5): `transport:nexthop`.
fn transport(value: &str, setting: &Setting) -> Option<Odd> {
    let Some((name, nexthop)) = value.split_once(':') else {
        let help = format!("write {value}: for a transport, :[{value}] or smtp:[{value}] for a host");
        let known = setting.transports.iter().any(|one| one == value);
        return (!known).then(|| {
            Odd::error(NO_TRANSPORT, format!("{value} stands where the name of a transport is read"), help)
        });
    };
    if !name.is_empty() && !setting.transports.is_empty() && !setting.transports.iter().any(|one| one == name)
    {
        return Some(Odd::error(
            NO_TRANSPORT,
            format!("master.cf has no transport {name}"),
            "mail for it stays in the queue and is returned in the end: `mail transport unavailable`",
        ));
    }
    if matches!(name, "" | "smtp" | "relay" | "lmtp") {
        return unreachable(nexthop).or_else(|| brackets(nexthop));
    }
    None
}

fn unreachable(nexthop: &str) -> Option<Odd> {
    let (severity, why) = config::review::next_hop_fault(nexthop)?;
    let help =
        "the smtp client can't reach it, and mail for it stays in the queue; write smtp:[host.example]:25";
    let make = if severity == config::Severity::Error { Odd::error } else { Odd::warning };
    Some(make(BAD_NEXT_HOP, why, help))
}

/// The next hop as a host without brackets: its MX are looked up.
pub(super) fn brackets(nexthop: &str) -> Option<Odd> {
    let first = nexthop.split([',', ' ']).next().unwrap_or("").trim();
    let (host, port) = first.rsplit_once(':').map_or((first, ""), |(host, port)| (host, port));
    if first.starts_with('[') || first.starts_with("inet:") || first.starts_with("unix:") {
        return None;
    }
    let port = if port.is_empty() { String::new() } else { format!(":{port}") };
    if host.parse::<IpAddr>().is_ok() {
        return Some(Odd::hint(
            NO_BRACKETS,
            format!("{host} is written as the name of a domain"),
            format!("transport(5) wants brackets around an address: [{host}]{port}"),
        ));
    }
    let hosts = ["mail", "mx", "mx1", "mx2", "relay", "smtp", "smarthost", "mailhost"];
    let label = host.split('.').next().unwrap_or("");
    (host.contains('.') && hosts.contains(&label)).then(|| {
        Odd::hint(
            NO_BRACKETS,
            format!("the MX records of {host} are looked up, as of a domain"),
            format!("if it is a host, write [{host}]{port}"),
        )
    })
}

/// The levels of smtp_tls_policy_maps.
const LEVELS: [&str; 9] =
    ["none", "may", "encrypt", "dane", "dane-only", "half-dane", "fingerprint", "verify", "secure"];

fn level(value: &str) -> Option<Odd> {
    let (word, _) = split(value);
    let level = word.split(',').next().unwrap_or("");
    (!LEVELS.contains(&level)).then(|| {
        Odd::warning(
            BAD_VALUE,
            format!("{level} is no TLS security level"),
            "mail for the destination waits in the queue; write none, may, encrypt, dane, dane-only, fingerprint, verify \
             or secure",
        )
    })
}

/// smtpd_milter_maps: `DISABLE`, or what smtpd_milters takes.
fn milters(value: &str, setting: &Setting) -> Option<Odd> {
    let word = value.trim();
    if word.eq_ignore_ascii_case("DISABLE") {
        return None;
    }
    let (first, _) = split(word);
    let is_off = ["OFF", "NO", "NONE", "DUNNO", "OK", "PERMIT", "PASS", "DISABLED"]
        .contains(&first.to_ascii_uppercase().as_str());
    let why = (setting.milter_fault)(word)?;
    let help = if is_off {
        "write DISABLE"
    } else {
        "write inet:host:port, unix:path, { inet:host:port, default_action=accept }, or DISABLE"
    };
    let message = format!("{why}: mail of these clients is refused with 451");
    let odd = Odd::error(NO_MILTER, message, help);
    Some(if is_off { odd.instead("DISABLE") } else { odd })
}

fn screening(value: &str) -> Option<Odd> {
    let words = value.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    for word in words {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "permit" | "reject" => return None,
            "dunno" | "permit_mynetworks" => {}
            _ => {
                let meant = match lower.as_str() {
                    "ok" | "allow" | "accept" | "pass" => "permit",
                    "deny" | "block" | "drop" => "reject",
                    _ => "permit, reject or dunno",
                };
                return Some(Odd::warning(
                    BAD_VALUE,
                    format!(
                        "postscreen has no action {word}: it ignores the rest of the list, with a warning"
                    ),
                    format!("write {meant}"),
                ));
            }
        }
    }
    None
}

/// `# …` behind a value is part of it.
pub(super) fn remark(how: Use, value: &str) -> Option<Odd> {
    let at = if value.starts_with('#') { 0 } else { value.find(" #").or_else(|| value.find("\t#"))? };
    let (word, _) = split(value);
    let upper = word.to_ascii_uppercase();
    let shown = value.get(at..).unwrap_or("").trim();
    let help = "comments stand on lines of their own, with # in the first column";
    match how {
        Use::Access(..) | Use::Checks(Part::Header | Part::Body, _) => {
            let sent = matches!(upper.as_str(), "REJECT" | "DEFER" | "DEFER_IF_PERMIT" | "DEFER_IF_REJECT")
                || word.bytes().all(|b| b.is_ascii_digit());
            let used = matches!(upper.as_str(), "REPLACE" | "PREPEND");
            (sent || used).then(|| {
                let what = if sent { "the client is told" } else { "the mail gets" };
                Odd::warning(REMARK, format!("this is no comment: {what} {shown:?} too"), help)
            })
        }
        Use::Aliases | Use::VirtualAliases | Use::Addresses | Use::Transports | Use::Postscreen => {
            if value.contains('"') {
                return None;
            }
            Some(Odd::warning(REMARK, format!("this is no comment: {shown:?} is part of the value"), help))
        }
        _ => None,
    }
}
