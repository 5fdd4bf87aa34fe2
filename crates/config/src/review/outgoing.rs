//! Where mail goes out: relayhost, transports, and the client's own TLS and log-in.
//!
//! K0148 a next hop that can't be read, K0149 one that leads back, K0150 a client that can't log in or speak TLS,
//! K0234 a transport that master.cf doesn't have.

use super::{Listener, Subject, fixed, literal, next_hop_fault, place};
use crate::names::{Near, nearness};
use crate::{Diagnostic, Parameters, Place, ServiceKind, Spanned};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    relayhost(subject, found);
    wrapper_mode(main, found);
    log_in(main, found);
    transports(subject, found);
}

fn relayhost(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    let Some(raw) = place(main, "relayhost").map(|place| Spanned::new(main.text("relayhost").value, place))
    else {
        return;
    };
    let value = raw.value.trim();
    // What `values` tells: a remark, quotes.
    if value.is_empty() || value.contains(['#', '"', '\'']) {
        return;
    }
    if let Some((why, better)) = unreadable(value) {
        let message = format!("`{value}` is not a valid next hop: {why}");
        let mut diagnostic = Diagnostic::error(148, raw.place.clone(), message);
        diagnostic = match better {
            Some(better) => {
                let help = format!(
                    "Postfix's smtp client stops at it, and mail stays in the queue; write `{better}`"
                );
                fixed(diagnostic.help(help), &raw, better)
            }
            None => diagnostic.help(
                "Postfix's smtp client stops at it, and mail stays in the queue; write `[host.example]:587`",
            ),
        };
        found.push(diagnostic);
        return;
    }
    found.extend(unreachable("relayhost", value, &raw.place));
    for hop in value.split([',', ' ', '\t']).filter(|hop| !hop.is_empty()) {
        next_hop(subject, hop, &raw, found);
    }
}

/// A next hop without its bracket, or with a port that is none.
fn unreachable(name: &str, hops: &str, at: &Place) -> Option<Diagnostic> {
    let (severity, why) = next_hop_fault(hops)?;
    let mut diagnostic = Diagnostic::error(148, at.clone(), format!("{name} can't be used: {why}")).help(
        "Postfix's smtp client can't reach it, and mail stays in the queue; write `[host.example]:587`",
    );
    diagnostic.severity = severity;
    Some(diagnostic)
}

/// Why the value can't be a next hop, and what was meant.
fn unreadable(value: &str) -> Option<(&'static str, Option<String>)> {
    if let Some(inner) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let (host, port) = inner.rsplit_once(':')?;
        let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if is_port && !host.contains(':') {
            return Some(("the port stands inside the brackets", Some(format!("[{host}]:{port}"))));
        }
        return None;
    }
    if let Some((_, rest)) = value.split_once("://") {
        let rest = rest.trim_end_matches('/');
        let better = (!rest.is_empty()).then(|| bracketed(rest));
        return Some(("it can't begin with a scheme (`://`)", better));
    }
    if let Some(rest) = value.strip_prefix("smtp:").or_else(|| value.strip_prefix("relay:"))
        && !rest.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(("a transport's name doesn't belong here", Some(rest.to_owned())));
    }
    if value.contains('@') {
        return Some(("it is a host, not a mail address or account", None));
    }
    if value.contains(';') {
        return Some(("hosts are separated by commas, not `;`", Some(value.replace(';', ","))));
    }
    if let Some(hop) = value.split([',', ' ', '\t']).find(|hop| has_odd_port(hop)) {
        let why = if hop.starts_with('[') {
            "only `:` and a port may follow `]`"
        } else {
            "it may have one port, which is a number up to 65535 or the name of a service"
        };
        return Some((why, None));
    }
    let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty());
    if let (Some(host), Some(port), None) = (words.next(), words.next(), words.next())
        && !host.ends_with(',')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(("a port follows a colon", Some(format!("{host}:{port}"))));
    }
    None
}

/// `host:587:x`, `[host]587`, `host:70000`
fn has_odd_port(hop: &str) -> bool {
    let port = match hop.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, "")) => return false,
            Some((_, behind)) => behind.strip_prefix(':'),
            None => None,
        },
        // An IPv6 address by itself.
        None if hop.parse::<std::net::Ipv6Addr>().is_ok() => return false,
        None => match hop.split_once(':') {
            None => return false,
            Some((_, port)) => Some(port),
        },
    };
    let is_name = |port: &str| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    port.is_none_or(|port| {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        !is_name(port) || digits && port.parse::<u16>().is_err()
    })
}

fn bracketed(hop: &str) -> String {
    match hop.rsplit_once(':') {
        _ if hop.starts_with('[') => hop.to_owned(),
        Some((host, port)) => format!("[{host}]:{port}"),
        None => format!("[{hop}]"),
    }
}

fn next_hop(subject: &Subject<'_>, hop: &str, raw: &Spanned<String>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    let (host, port) = match hop.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => (host, port),
        _ => (hop, "25"),
    };
    let bare = host.trim_matches(['[', ']']);
    let own = bare == "localhost"
        || bare == "::1"
        || bare.starts_with("127.")
        || bare == "0.0.0.0"
        || is_me(main, bare);
    if own && matches!(port, "25" | "smtp") && serves_port_25(subject) {
        let message = format!("relayhost {hop} is this server itself");
        found.push(Diagnostic::error(149, raw.place.clone(), message).help(
            "all mail for elsewhere stays in the queue: `mail for … loops back to myself`; delete the line to send \
             mail out directly, or name the other server",
        ));
    } else if !host.starts_with('[') && matches!(port, "587" | "465" | "submission" | "submissions" | "smtps")
    {
        let message = format!("relayhost {hop} is looked up by MX");
        let better = format!("[{host}]:{port}");
        let diagnostic = Diagnostic::hint(148, raw.place.clone(), message).help(format!(
            "to reach this very host, write `{better}`; without brackets mail goes to the MX hosts of the domain, on that \
             port"
        ));
        found.push(diagnostic);
    }
    if matches!(port, "465" | "submissions" | "smtps") && !main.flag("smtp_tls_wrappermode") {
        let message =
            format!("relayhost {hop} wants TLS from the first byte, and smtp_tls_wrappermode is off");
        found.push(Diagnostic::error(150, raw.place.clone(), message).help(
            "both sides wait for each other, and mail stays in the queue; write `smtp_tls_wrappermode = yes` and \
             `smtp_tls_security_level = encrypt`, or take port 587",
        ));
    }
}

fn is_me(main: &Parameters, host: &str) -> bool {
    host.eq_ignore_ascii_case(&main.text("myhostname").value)
        || host.parse().is_ok_and(|address: std::net::IpAddr| {
            main.host().addresses.iter().any(|own| own.address == address)
        })
}

/// Whether a server of ours takes what comes to port 25.
fn serves_port_25(subject: &Subject<'_>) -> bool {
    let services = subject.master.services.iter();
    services.filter(|service| service.role().is_listener()).any(|service| {
        matches!(service.endpoint().map(|endpoint| endpoint.port), Some(crate::Port::Number(25)))
    })
}

fn wrapper_mode(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(place) = place(main, "smtp_tls_wrappermode").filter(|_| main.flag("smtp_tls_wrappermode"))
    else {
        return;
    };
    let level = main.text("smtp_tls_security_level").value;
    if matches!(level.as_str(), "" | "none" | "may") {
        found.push(
            Diagnostic::error(150, place.clone(), "smtp_tls_wrappermode needs smtp_tls_security_level = encrypt")
                .help("without it no mail goes out: Postfix refuses the pair; write `smtp_tls_security_level = encrypt`"),
        );
    }
    let hop = main.text("relayhost").value;
    if hop.is_empty() {
        found.push(
            Diagnostic::error(150, place, "smtp_tls_wrappermode without a relayhost speaks TLS to every server's port 25")
                .help("no server answers so, and mail stays in the queue; delete it, or name a relayhost on port 465"),
        );
    } else if hop.ends_with(":587") || hop.ends_with(":25") || hop.ends_with(":submission") {
        found.push(
            Diagnostic::error(150, place, format!("smtp_tls_wrappermode doesn't go with relayhost {hop}"))
                .help("that port speaks STARTTLS: mail stays in the queue; delete smtp_tls_wrappermode, or take port 465"),
        );
    }
}

/// The client's log-in at relayhost.
fn log_in(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(at) = place(main, "smtp_sasl_auth_enable").filter(|_| main.flag("smtp_sasl_auth_enable")) else {
        return;
    };
    if main.text("smtp_sasl_password_maps").value.trim().is_empty() {
        found.push(Diagnostic::error(150, at, "smtp_sasl_auth_enable has no smtp_sasl_password_maps").help(
            "Postfix's smtp client stops, and mail stays in the queue; name the table with the passwords",
        ));
        return;
    }
    let level = main.text("smtp_tls_security_level").value;
    let encrypted =
        !matches!(level.as_str(), "" | "none") || main.flag("smtp_use_tls") || main.flag("smtp_enforce_tls");
    let name = if encrypted { "smtp_sasl_tls_security_options" } else { "smtp_sasl_security_options" };
    let options = main.list(name);
    if main.is_set(name) || main.is_set("smtp_sasl_security_options") {
        return;
    }
    if options.iter().any(|option| option.value == "noplaintext") {
        let message = format!("the client may not log in by PLAIN or LOGIN: {name} has noplaintext");
        found.push(Diagnostic::hint(150, at, message).help(format!(
            "most providers offer nothing else, and mail stays in the queue: `no mechanism available`; write \
             `{name} = noanonymous`"
        )));
    }
}

/// Parameters that name a transport of master.cf before the first colon.
const TRANSPORTS: [&str; 10] = [
    "address_verify_default_transport",
    "address_verify_relay_transport",
    "content_filter",
    "default_transport",
    "fallback_transport",
    "local_transport",
    "mailbox_transport",
    "relay_transport",
    "virtual_transport",
    "address_verify_virtual_transport",
];

fn transports(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for name in TRANSPORTS {
        if let Some(at) = place(subject.parameters, name) {
            transport(subject, (name, &subject.parameters.text(name).value), &at, found);
        }
    }
    unwritten(subject, found);
    for listener in Listener::all(subject) {
        let named = listener.service.overrides.iter().filter(|one| one.name.value == "content_filter");
        for one in named {
            let value = listener.parameters.text("content_filter").value;
            transport(subject, ("content_filter", &value), &one.value.place, found);
        }
    }
}

/// The transport that nobody named, because it is the default: mail to other domains needs its line all the same. Only
/// a hint, as a page may print the lines that it changes and no others.
fn unwritten(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    let services = &subject.master.services;
    let value = main.text("default_transport").value;
    let named = value.split(':').next().unwrap_or("");
    let has = services.iter().any(|one| one.kind != ServiceKind::Inet && one.name.value == named);
    if has || named != "smtp" || place(main, "default_transport").is_some() {
        return;
    }
    let Some(server) = services.iter().find(|service| service.role().is_listener()) else { return };
    let message = "mail to other domains goes through the transport `smtp`, which master.cf doesn't have";
    found.push(Diagnostic::hint(234, server.name.place.clone(), message).help(
        "it stays in the queue: `mail transport unavailable`; add the line `smtp unix - - n - - smtp`, beside the one \
         that begins with `smtp inet`",
    ));
}

fn transport(subject: &Subject<'_>, of: (&str, &str), at: &crate::Place, found: &mut Vec<Diagnostic>) {
    let (parameter, value) = of;
    let named = value.split(':').next().unwrap_or("").trim();
    if named.is_empty() || value.contains(['#', '"']) {
        return;
    }
    if let (true, Some((_, hops))) = (matches!(named, "smtp" | "relay" | "lmtp"), value.split_once(':')) {
        found.extend(unreachable(parameter, hops, at));
    }
    let services = || subject.master.services.iter().filter(|service| service.kind != ServiceKind::Inet);
    if services().any(|service| service.name.value == named) {
        return;
    }
    // A folder without master.cf, or one that can't be read, has been told of.
    if subject.master.services.is_empty() {
        return;
    }
    let message = format!("{parameter} names the transport `{named}`, which master.cf doesn't have");
    let mut diagnostic = Diagnostic::error(234, at.clone(), message);
    let help = "Postfix keeps all such mail in the queue: `mail transport unavailable`";
    let near = nearness(named, services().map(|service| service.name.value.as_str()));
    diagnostic = match near {
        Near::One(near) => {
            let better = format!("{near}{}", value.get(named.len()..).unwrap_or(""));
            let raw =
                literal(subject.parameters, parameter).filter(|raw| raw.value == value && raw.place == *at);
            let diagnostic = diagnostic.help(format!("{help}; did you mean `{better}`?"));
            match raw {
                Some(raw) => fixed(diagnostic, &raw, better),
                None => diagnostic,
            }
        }
        _ => diagnostic.help(format!("{help}; add a line `{named} unix - - n - - …` there")),
    };
    found.push(diagnostic);
}
