//! TLS settings: levels and protocols that don't exist, and levels that shut the Internet out.
//!
//! Files and certificates, and whether there are any, are looked into elsewhere. K0160 encrypt on port 25, K0161 wrapper mode on the wrong port,
//! K0162 a level or protocol that isn't, K0178 DANE without DNSSEC.

use super::{Listener, Subject, fixed, place};
use crate::names::{Near, nearness};
use crate::{Diagnostic, Parameters, Spanned};

pub(super) fn review(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    for listener in listeners {
        port(listener, found);
        level(&listener.parameters, "smtpd_tls_security_level", &SERVER_LEVELS, found);
    }
    for name in ["smtp_tls_security_level", "lmtp_tls_security_level"] {
        level(subject.parameters, name, &CLIENT_LEVELS, found);
        dane(subject.parameters, name, found);
    }
    protocols(subject.parameters, found);
    for listener in listeners {
        if listener.service.overrides.iter().any(|one| one.name.value.ends_with("_protocols")) {
            protocols(&listener.parameters, found);
        }
    }
}

fn port(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let name = &listener.service.name.value;
    let wrapped = listener.is_yes("smtpd_tls_wrappermode");
    let level = listener.parameters.text("smtpd_tls_security_level").value;
    if wrapped && listener.takes_mail_from_outside() {
        let place = listener.place("smtpd_tls_wrappermode");
        found.push(
            Diagnostic::error(161, place, format!("the service {name} speaks TLS from the first byte")).help(
                "no other server does that on port 25, so no mail comes in; write `-o smtpd_tls_wrappermode=yes` at the \
                 smtps line (port 465) of master.cf only",
            ),
        );
    } else if wrapped && listener.port() == Some(587) {
        let place = listener.place("smtpd_tls_wrappermode");
        found.push(
            Diagnostic::warning(161, place, format!("the service {name} speaks TLS from the first byte on port 587"))
                .help("mail programs expect STARTTLS there, so both sides wait for each other; port 465 is for TLS from the first byte (RFC 8314)"),
        );
    } else if !wrapped && listener.port() == Some(465) {
        found.push(
            Diagnostic::warning(
                161,
                listener.service.name.place.clone(),
                format!("the service {name} (port 465) has no smtpd_tls_wrappermode"),
            )
            .help("clients begin with TLS there, so both sides wait for each other; write `-o smtpd_tls_wrappermode=yes`"),
        );
    }
    let mandatory = matches!(level.as_str(), "encrypt" | "verify" | "secure" | "fingerprint")
        || listener.is_yes("smtpd_enforce_tls");
    if mandatory && !wrapped && listener.takes_mail_from_outside() {
        let which = if level.is_empty() { "smtpd_enforce_tls" } else { "smtpd_tls_security_level" };
        let place = listener.place(which);
        found.push(
            Diagnostic::warning(160, place, format!("the service {name} refuses mail that comes without TLS")).help(
                "a public server must not (RFC 3207 §4): write `may` here, and `-o smtpd_tls_security_level=encrypt` \
                 at the submission line of master.cf",
            ),
        );
    }
}

const SERVER_LEVELS: [&str; 3] = ["none", "may", "encrypt"];
const CLIENT_LEVELS: [&str; 9] =
    ["none", "may", "encrypt", "dane", "dane-only", "half-dane", "fingerprint", "verify", "secure"];

fn level(own: &Parameters, name: &str, levels: &[&'static str], found: &mut Vec<Diagnostic>) {
    let Some(at) = place(own, name) else { return };
    let value = Spanned::new(own.text(name).value, at);
    if value.value.is_empty() || levels.iter().any(|level| value.value.eq_ignore_ascii_case(level)) {
        return;
    }
    let server = name.starts_with("smtpd_");
    let lowered = matches!(value.value.as_str(), "verify" | "secure" | "fingerprint");
    let message = format!("{name} = {} is not a TLS level", value.value);
    let levels_text = levels.join(", ");
    let diagnostic = if server && lowered {
        Diagnostic::warning(162, value.place.clone(), message)
            .help("a server has no such level: Postfix takes `encrypt`; to ask for certificates write smtpd_tls_req_ccert")
    } else {
        let stops =
            if server { "smtpd stops at it and takes no mail" } else { "mail to others stays in the queue" };
        Diagnostic::error(162, value.place.clone(), message)
            .help(format!("{stops}; levels are {levels_text}"))
    };
    let meant = match value.value.to_ascii_lowercase().as_str() {
        "yes" | "on" | "opportunistic" => Near::One("may"),
        "required" | "enforce" | "mandatory" => Near::One("encrypt"),
        "no" | "off" => Near::One("none"),
        other if !lowered => nearness(other, levels.iter().copied()),
        _ => Near::Nothing,
    };
    found.push(match meant {
        Near::One(meant) => fixed(diagnostic, &value, meant),
        _ => diagnostic,
    });
}

/// DANE needs DNSSEC, which nobody validates here.
fn dane(own: &Parameters, name: &str, found: &mut Vec<Diagnostic>) {
    let Some(at) = place(own, name) else { return };
    let value = own.text(name).value.to_ascii_lowercase();
    let message = format!("{name} = {value} needs DNSSEC, which Komainu doesn't validate");
    match value.as_str() {
        "dane" | "half-dane" => found.push(Diagnostic::warning(178, at, message).help(
            "it is taken for `may`, as by Postfix without secure look-ups: no server's certificate is held against \
             TLSA records; write `may`, and `secure` in smtp_tls_policy_maps for those who must be known",
        )),
        "dane-only" => found.push(
            Diagnostic::error(178, at, message)
                .help("all mail to others stays in the queue; write `encrypt`, `verify` or `secure`"),
        ),
        _ => {}
    }
}

/// Lists of protocols, with what each counts for.
const PROTOCOL_LISTS: [&str; 8] = [
    "smtpd_tls_protocols",
    "smtpd_tls_mandatory_protocols",
    "smtp_tls_protocols",
    "smtp_tls_mandatory_protocols",
    "lmtp_tls_protocols",
    "lmtp_tls_mandatory_protocols",
    "tlsproxy_tls_protocols",
    "tlsproxy_tls_mandatory_protocols",
];

const PROTOCOLS: [&str; 6] = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

fn protocols(own: &Parameters, found: &mut Vec<Diagnostic>) {
    for name in PROTOCOL_LISTS {
        let Some(at) = place(own, name) else { continue };
        let words = protocol_words(own, name);
        let unknown: Vec<&Spanned<String>> = words.iter().filter(|word| !is_protocol(&word.value)).collect();
        for word in &unknown {
            found.push(unknown_protocol(name, word));
        }
        if unknown.is_empty() && !words.is_empty() {
            found.extend(too_few(name, &words, at));
        }
    }
}

/// The words of a list of protocols: `:` parts them too.
fn protocol_words(own: &Parameters, name: &str) -> Vec<Spanned<String>> {
    let mut words: Vec<Spanned<String>> = Vec::new();
    for word in own.list(name) {
        // `>= TLSv1.2`: Postfix takes the blank.
        if let Some(mark) = words.last_mut().filter(|mark| matches!(mark.value.as_str(), ">=" | "<=")) {
            mark.value.push_str(&word.value);
            continue;
        }
        if word.value.contains(':') {
            let parts = word.value.split(':').filter(|part| !part.is_empty());
            words.extend(parts.map(|part| Spanned::new(part.to_owned(), word.place.clone())));
        } else {
            words.push(word);
        }
    }
    words
}

fn bare(word: &str) -> &str {
    word.strip_prefix(">=")
        .or_else(|| word.strip_prefix("<="))
        .or_else(|| word.strip_prefix('!'))
        .unwrap_or(word)
}

fn is_protocol(word: &str) -> bool {
    let bare = bare(word);
    let bound = word.starts_with(['>', '<']);
    PROTOCOLS.iter().any(|protocol| bare.eq_ignore_ascii_case(protocol))
        || bound
            && (bare == "0" || bare.strip_prefix("0x").unwrap_or(bare).bytes().all(|b| b.is_ascii_hexdigit()))
            && !bare.is_empty()
}

fn unknown_protocol(name: &str, word: &Spanned<String>) -> Diagnostic {
    let protocol = bare(&word.value);
    let mark = word.value.strip_suffix(protocol).unwrap_or("");
    let message = format!("`{}` in {name} is not a TLS protocol", word.value);
    let server = name.starts_with("smtpd_");
    let effect = if server {
        "Postfix doesn't offer TLS at all with such a list"
    } else {
        "Postfix can't use TLS with such a list"
    };
    let diagnostic = Diagnostic::error(162, word.place.clone(), message)
        .help(format!("{effect}; protocols are {}", PROTOCOLS.join(", ")));
    let squeezed = protocol.to_ascii_lowercase().replace(['.', '_', '-', 'v'], "");
    let meant = match squeezed.as_str() {
        "ssl2" => Some("SSLv2"),
        "ssl3" => Some("SSLv3"),
        "tls1" | "tls10" => Some("TLSv1"),
        "tls11" => Some("TLSv1.1"),
        "tls12" => Some("TLSv1.2"),
        "tls13" => Some("TLSv1.3"),
        _ => None,
    };
    match meant {
        Some(meant) => fixed(diagnostic, word, format!("{mark}{meant}")),
        None => diagnostic,
    }
}

/// Which protocols a list leaves.
fn left(words: &[Spanned<String>]) -> [bool; 6] {
    let index = |word: &str| PROTOCOLS.iter().position(|protocol| bare(word).eq_ignore_ascii_case(protocol));
    let included: Vec<usize> = words
        .iter()
        .filter(|word| !word.value.starts_with(['!', '>', '<']))
        .filter_map(|word| index(&word.value))
        .collect();
    let mut left = [true; 6];
    for (at, slot) in left.iter_mut().enumerate() {
        *slot = included.is_empty() || included.contains(&at);
        for word in words {
            let Some(named) = index(&word.value) else { continue };
            let out = match word.value.as_bytes().first() {
                Some(b'!') => at == named,
                Some(b'>') => at < named,
                Some(b'<') => at > named,
                _ => false,
            };
            *slot &= !out;
        }
    }
    left
}

fn too_few(name: &str, words: &[Spanned<String>], at: crate::Place) -> Option<Diagnostic> {
    let [_, ssl_3, tls_1, _, tls_1_2, tls_1_3] = left(words);
    let any = left(words).iter().skip(1).any(|left| *left);
    if !any {
        let message = format!("{name} leaves no protocol");
        return Some(Diagnostic::error(162, at, message).help("no TLS session can begin; write `>=TLSv1.2`"));
    }
    if !tls_1_2 && !tls_1_3 {
        let message = format!("{name} leaves neither TLSv1.2 nor TLSv1.3");
        if !name.starts_with("smtpd_") {
            return Some(
                Diagnostic::error(162, at, message)
                    .help("Komainu speaks nothing else, so no TLS session can begin; write `>=TLSv1.2`"),
            );
        }
        return Some(
            Diagnostic::warning(162, at, message)
                .help("most servers and mail programs of today speak nothing else; write `>=TLSv1.2`"),
        );
    }
    if !tls_1_2 {
        let message = format!("{name} leaves TLSv1.3 only");
        return Some(
            Diagnostic::hint(162, at, message)
                .help("some servers still speak TLSv1.2 at most; write `>=TLSv1.2`"),
        );
    }
    (ssl_3 && tls_1 && words.iter().any(|word| word.value.starts_with('!'))).then(|| {
        Diagnostic::hint(162, at, format!("{name} leaves SSLv3"))
            .help("it is broken, and today's libraries don't have it; write `>=TLSv1.2`, or `>=TLSv1`")
    })
}
