//! What an SMTP server of master.cf would do with its own values: log-ins in the clear, lock-outs, rules that never
//! see what they ask for.
//!
//! What restriction lists let through is `policy`'s to judge. K0158 AUTH in the clear, K0159 SASL settings, K0164
//! the banner, K0165 HELO rules without a HELO, K0166 rules that come too early, K0233 everyone locked out.

use super::{Listener, Subject, fixed};
use crate::names::{Near, nearness};
use crate::{Diagnostic, Severity, Spanned};

pub(super) fn review(_: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    for listener in listeners {
        banner(listener, found);
        helo(listener, found);
        too_early(listener, found);
        locked_out(listener, found);
        if listener.is_yes("smtpd_sasl_auth_enable") {
            in_the_clear(listener, found);
            sasl(listener, found);
        }
    }
}

fn banner(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    if !own.is_set("smtpd_banner") {
        return;
    }
    let value = own.text("smtpd_banner").value;
    let name = own.text("myhostname").value;
    let first = value.split_whitespace().next().unwrap_or("");
    if first.eq_ignore_ascii_case(&name)
        || first.contains('.') && !first.contains(['*', '"', '“', '”', '„', '‘', '’'])
    {
        return;
    }
    found.push(
        Diagnostic::warning(
            164,
            listener.place("smtpd_banner"),
            "smtpd_banner doesn't begin with the server's name",
        )
        .help("it is required there (RFC 5321 §4.2), and some clients hang up; begin with $myhostname"),
    );
}

fn helo(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    let list = own.list("smtpd_helo_restrictions");
    let judges = list.iter().any(|word| word.value.starts_with("reject") || word.value.starts_with("check_"));
    if judges && !listener.is_yes("smtpd_helo_required") {
        found.push(
            Diagnostic::hint(
                165,
                listener.place("smtpd_helo_restrictions"),
                "a client that sends no HELO bypasses smtpd_helo_restrictions",
            )
            .help("write `smtpd_helo_required = yes`, so that every client must send it"),
        );
    }
}

/// What each restriction must know already, by the end or the beginning of its name.
fn needs(word: &str) -> Option<(&'static str, u8)> {
    const HELO: u8 = 1;
    const SENDER: u8 = 2;
    const RECIPIENT: u8 = 3;
    let recipient = [
        "_recipient",
        "_recipient_domain",
        "_recipient_access",
        "unauth_destination",
        "permit_mx_backup",
        "permit_auth_destination",
    ];
    let sender = ["_sender", "_sender_domain", "_sender_access", "_login_mismatch"];
    let helo =
        ["_helo_hostname", "_helo_access", "_rhsbl_helo", "permit_sasl_authenticated", "check_sasl_access"];
    let ends = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    if ends(&recipient) && !word.contains("multi_recipient") {
        Some(("the recipient", RECIPIENT))
    } else if ends(&sender) {
        Some(("the sender", SENDER))
    } else if ends(&helo) {
        Some((if word.contains("sasl") { "a log-in" } else { "HELO" }, HELO))
    } else {
        None
    }
}

/// With `smtpd_delay_reject = no` each list is asked at its own command.
fn too_early(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    if own.flag("smtpd_delay_reject") {
        return;
    }
    let stages =
        [("smtpd_client_restrictions", 0), ("smtpd_helo_restrictions", 1), ("smtpd_sender_restrictions", 2)];
    for (list, stage) in stages {
        for word in own.list(list) {
            let Some((what, needed)) = needs(&word.value) else { continue };
            // A log-in comes between HELO and MAIL.
            let needed = if what == "a log-in" { 2 } else { needed };
            if needed > stage && word.place.file.is_some() {
                let message = format!("{} in {list} is asked before {what} is known", word.value);
                found.push(Diagnostic::warning(166, word.place, message).help(
                    "with `smtpd_delay_reject = no` it does nothing there; move it to a later list, or delete \
                     smtpd_delay_reject",
                ));
            }
        }
    }
}

/// A list that lets nobody past but who is logged in, where nobody can log in.
fn locked_out(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    let lists =
        ["client", "helo", "sender", "relay", "recipient"].map(|name| format!("smtpd_{name}_restrictions"));
    let Some(list) = lists.into_iter().find(|list| only_logged_in(&own.list(list))) else { return };
    let level = own.text("smtpd_tls_security_level").value;
    let starts_tls = !matches!(level.as_str(), "" | "none")
        || listener.is_yes("smtpd_use_tls")
        || listener.is_yes("smtpd_enforce_tls");
    let tls = starts_tls || listener.is_yes("smtpd_tls_wrappermode");
    let help = if !listener.is_yes("smtpd_sasl_auth_enable") {
        "smtpd_sasl_auth_enable is off here, so that nobody can log in: write `-o smtpd_sasl_auth_enable=yes`"
    } else if listener.is_yes("smtpd_tls_auth_only") && !tls {
        "smtpd_tls_auth_only allows log-ins with TLS only, and there is none: write `-o smtpd_tls_security_level=encrypt`"
    } else {
        return;
    };
    let name = &listener.service.name.value;
    let message = format!("the service {name} lets nobody in: {list} wants a log-in");
    found.push(Diagnostic::error(233, listener.place(&list), message).help(help));
}

/// Whether `permit_sasl_authenticated` is the one way past a `reject`.
fn only_logged_in(words: &[Spanned<String>]) -> bool {
    let mut logged_in = false;
    for word in words {
        match word.value.as_str() {
            "permit_sasl_authenticated" => logged_in = true,
            "reject" | "defer" => return logged_in,
            word if word.starts_with("reject_") || word.starts_with("defer_") => {}
            // Something else may permit, or be a restriction's argument.
            _ => return false,
        }
    }
    false
}

fn in_the_clear(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    let level = own.text("smtpd_tls_security_level").value;
    let encrypted = listener.is_yes("smtpd_tls_wrappermode")
        || listener.is_yes("smtpd_tls_auth_only")
        || listener.is_yes("smtpd_enforce_tls")
        || !matches!(level.as_str(), "" | "none" | "may");
    let options = own.list("smtpd_sasl_security_options");
    let hidden = options.iter().any(|option| option.value.eq_ignore_ascii_case("noplaintext"));
    if encrypted || hidden || listener.is_loopback() {
        return;
    }
    let place = listener.place("smtpd_sasl_auth_enable");
    let name = &listener.service.name.value;
    if level == "may" || listener.is_yes("smtpd_use_tls") {
        found.push(
            Diagnostic::warning(158, place, format!("the service {name} takes passwords before TLS")).help(
                "a client that doesn't begin TLS sends them unencrypted; write `smtpd_tls_auth_only = yes`",
            ),
        );
    } else {
        found.push(
            Diagnostic::error(158, place, format!("the service {name} takes passwords in the clear"))
                .help("there is no TLS: whoever listens on the network gets them; set smtpd_tls_security_level and smtpd_tls_auth_only"),
        );
    }
}

const OPTIONS: [&str; 6] =
    ["noplaintext", "noactive", "nodictionary", "noanonymous", "forward_secrecy", "mutual_auth"];

fn sasl(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    let kind = own.text("smtpd_sasl_type");
    if !matches!(kind.value.as_str(), "cyrus" | "dovecot" | "internal") {
        let message = format!("smtpd_sasl_type = {} is unknown", kind.value);
        let diagnostic = Diagnostic::error(159, listener.place("smtpd_sasl_type"), message)
            .help("Postfix's smtpd stops at it and takes no mail; write `dovecot` or `cyrus`");
        found.push(match nearness(&kind.value, ["dovecot", "cyrus", "internal"].into_iter()) {
            Near::One(near) => fixed(diagnostic, &kind, near),
            _ => diagnostic,
        });
    }
    for name in ["smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"] {
        if name.ends_with("tls_security_options") && !own.is_set(name) {
            continue;
        }
        let words = own.list(name);
        let mut unknown = false;
        for word in &words {
            if OPTIONS.iter().any(|option| word.value.eq_ignore_ascii_case(option)) {
                continue;
            }
            unknown = true;
            let message = format!("`{}` is not an option of {name}", word.value);
            let diagnostic = Diagnostic::error(159, word.place.clone(), message).help(format!(
                "Postfix's smtpd stops at it and takes no mail; options are {}",
                OPTIONS.join(", ")
            ));
            found.push(match nearness(&word.value, OPTIONS.into_iter()) {
                Near::One(near) => fixed(diagnostic, word, near),
                _ => diagnostic,
            });
        }
        let anonymous = !words.iter().any(|word| word.value.eq_ignore_ascii_case("noanonymous"));
        if anonymous && !unknown && own.is_set(name) {
            found.push(anonymous_log_in(listener, name));
        }
    }
}

fn anonymous_log_in(listener: &Listener<'_>, name: &str) -> Diagnostic {
    let own = &listener.parameters;
    let lists = ["smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_client_restrictions"];
    let relays =
        lists.iter().any(|list| own.list(list).iter().any(|word| word.value == "permit_sasl_authenticated"));
    let mut diagnostic =
        Diagnostic::warning(159, listener.place(name), format!("{name} doesn't have noanonymous")).help(
            "an anonymous log-in (AUTH ANONYMOUS) counts as a log-in: an open relay; add `noanonymous`",
        );
    if relays {
        diagnostic.severity = Severity::Error;
    }
    diagnostic
}
