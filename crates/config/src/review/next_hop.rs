//! Next hops that no smtp client can read, or whose port is misspelt: for relayhost, transports in main.cf (K0148) and
//! results of transport tables (K0357).
//!
//! A port may have any name that /etc/services of the machine knows: only one that is nearly a mail service's is said.

use crate::Severity;
use crate::names::nearest;

const SERVICES: [&str; 5] = ["lmtp", "smtp", "smtps", "submission", "submissions"];

/// What is wrong with the first next hop of `hops` that has a fault (`[mail.example`, `mail.example:smtpp`), and how
/// bad it is.
#[must_use]
pub fn next_hop_fault(hops: &str) -> Option<(Severity, String)> {
    hops.split([',', ' ', '\t']).find_map(fault)
}

fn fault(hop: &str) -> Option<(Severity, String)> {
    let hop = hop.strip_prefix("inet:").unwrap_or(hop);
    if hop.starts_with("unix:") {
        return None;
    }
    let port = match hop.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, behind)) => behind.strip_prefix(':')?,
            None => return Some((Severity::Error, format!("`{hop}` has a `[` without its `]`"))),
        },
        None => hop.split_once(':')?.1,
    };
    if SERVICES.contains(&port) || !port.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let near = nearest(port, SERVICES.into_iter())?;
    let why = format!("the port `{port}` of `{hop}` is hardly the name of a service: did you mean `{near}`?");
    Some((Severity::Warning, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops() {
        let check = |hops: &str, expect: Option<Severity>| {
            assert_eq!(next_hop_fault(hops).map(|(severity, _)| severity), expect, "{hops}");
        };
        check("[mail.x.test", Some(Severity::Error));
        check("[mail.x.test]:25, [mail.x.test", Some(Severity::Error));
        check("mail.x.test:smtpp", Some(Severity::Warning));
        check("[mail.x.test]:submision", Some(Severity::Warning));
        check("inet:[127.0.0.1:24", Some(Severity::Error));
        for good in
            ["", "mail.x.test", "[mail.x.test]", "[mail.x.test]:smtp", "x.test:587", "x.test:submissions"]
        {
            check(good, None);
        }
        for good in
            ["unix:private/[x", "[2001:db8::1]:25", "[IPv6:2001:db8::1]", "2001:db8::1", "x.test:kamome"]
        {
            check(good, None);
        }
    }
}
