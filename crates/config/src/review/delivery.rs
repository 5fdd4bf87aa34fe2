//! Settings left from a test, and settings that accept mail which nobody can receive.
//!
//! K0151 soft_bounce, K0152 reply codes, K0153 unknown recipients accepted, K0154 a Maildir without its slash,
//! K0155 addresses for copies, K0156 maillog_file, K0157 compatibility_level.

use super::{Subject, fixed, literal, place};
use crate::{Diagnostic, Parameters, Place};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    left_from_testing(main, found);
    reply_codes(main, found);
    unknown_recipients(main, found);
    maildir(main, found);
    copies(main, found);
    maillog(main, found);
    level(subject, found);
}

fn left_from_testing(main: &Parameters, found: &mut Vec<Diagnostic>) {
    if let Some(place) = place(main, "soft_bounce").filter(|_| main.flag("soft_bounce")) {
        found.push(
            Diagnostic::warning(151, place, "soft_bounce turns every refusal into a temporary one").help(
                "refused spam comes back for days, and undeliverable mail isn't returned; it is meant for testing a \
                 configuration: write `soft_bounce = no`",
            ),
        );
    }
}

/// Codes in which a refusal is said.
fn reply_codes(main: &Parameters, found: &mut Vec<Diagnostic>) {
    for (name, _) in main.definitions().filter(|(name, _)| name.ends_with("_code")) {
        let Some(place) = place(main, name) else { continue };
        let Ok(code) = main.text(name).value.trim().parse::<i64>() else { continue };
        if super::ranges::is_bounded(name) {
            continue;
        }
        if !(400..600).contains(&code) {
            found.push(
                Diagnostic::error(152, place, format!("{name} = {code} is not the code of a refusal")).help(
                    "such a code begins with 4 or 5; Postfix answers `450 4.7.1 Service unavailable` in its place",
                ),
            );
        } else if code < 500 && name.starts_with("unknown_") && name.ends_with("_recipient_reject_code") {
            found.push(
                Diagnostic::warning(
                    152,
                    place,
                    format!("{name} = {code} refuses unknown recipients only temporarily"),
                )
                .help("such mail is retried for days; 450 is meant for testing a configuration; write 550"),
            );
        }
    }
}

/// Mail that is accepted and must be returned: backscatter.
fn unknown_recipients(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let empty = main.text("local_recipient_maps").value.trim().is_empty();
    let elsewhere = ["luser_relay", "mailbox_transport", "fallback_transport", "mailbox_transport_maps"];
    let somewhere = elsewhere.iter().any(|name| !main.text(name).value.trim().is_empty());
    let local = main.text("local_transport").value.starts_with("local");
    if let Some(place) = place(main, "local_recipient_maps")
        && empty
        && !somewhere
        && local
        && !main.list("mydestination").is_empty()
    {
        found.push(
            Diagnostic::warning(153, place, "with an empty local_recipient_maps every local address is accepted").help(
                "mail for accounts that don't exist is accepted and returned to senders that are usually forged; delete the \
                 line, or name the tables that list the accounts",
            ),
        );
    }
    if let Some(place) = place(main, "smtpd_reject_unlisted_recipient")
        && !main.flag("smtpd_reject_unlisted_recipient")
        && !main.text("smtpd_recipient_restrictions").value.contains("unlisted_recipient")
    {
        found.push(
            Diagnostic::warning(153, place, "addresses that don't exist are accepted on every port")
                .help("mail for them is returned to senders that are usually forged; set this for the submission ports only"),
        );
    }
}

fn maildir(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(raw) = literal(main, "home_mailbox") else { return };
    let last = raw.value.rsplit('/').next().unwrap_or("");
    if last.eq_ignore_ascii_case("maildir") || last == ".maildir" {
        let meant = format!("{}/", raw.value);
        let diagnostic = Diagnostic::warning(
            154,
            raw.place.clone(),
            format!("`{}` makes an mbox file, not a Maildir", raw.value),
        )
        .help(format!(
            "write `{meant}`: a Maildir's name ends in a slash; IMAP servers don't find mail in the mbox file"
        ));
        found.push(fixed(diagnostic, &raw, meant));
    }
}

fn copies(main: &Parameters, found: &mut Vec<Diagnostic>) {
    for name in ["always_bcc", "address_verify_sender", "bounce_notice_recipient", "error_notice_recipient"] {
        let Some(place) = place(main, name) else { continue };
        let value = main.text(name).value;
        if value.contains([',', ' ', ';']) {
            found.push(Diagnostic::warning(155, place, format!("{name} takes one address")).help(
                "several are read as one address that doesn't exist, and each mail bounces; name an alias",
            ));
        } else if name == "always_bcc" && value.contains(':') {
            found.push(
                Diagnostic::warning(155, place, "always_bcc takes an address, not a table")
                    .help("for a table write sender_bcc_maps or recipient_bcc_maps"),
            );
        }
    }
}

fn maillog(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(place) = place(main, "maillog_file") else { return };
    let file = main.text("maillog_file").value;
    let prefixes = main.list("maillog_file_prefixes");
    let below = |prefix: &str| {
        let rest = file.strip_prefix(prefix.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !file.is_empty() && !prefixes.iter().any(|prefix| below(&prefix.value)) {
        let shown: Vec<&str> = prefixes.iter().map(|prefix| prefix.value.as_str()).collect();
        found.push(
            Diagnostic::error(
                156,
                place,
                format!("maillog_file {file} is not below any of maillog_file_prefixes"),
            )
            .help(format!(
                "Postfix doesn't start; put it below {}, or add its folder there",
                shown.join(" or ")
            )),
        );
    }
}

/// What a low level makes otherwise than its reader thinks.
fn level(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    if main.compatibility_level_at_least("3.6") {
        return;
    }
    let mut effects = Vec::new();
    let mut effect = |name: &str, level: &str, text: &'static str| {
        if !main.is_set(name) && !main.compatibility_level_at_least(level) {
            effects.push(text);
        }
    };
    effect("append_dot_mydomain", "1", "names without a dot get $mydomain");
    effect("smtputf8_enable", "1", "addresses in UTF-8 aren't accepted");
    effect("smtpd_relay_restrictions", "1", "smtpd_relay_restrictions is empty");
    if !main.is_set("mynetworks") {
        effect("mynetworks_style", "2", "all neighbours of this machine's networks are trusted");
    }
    effect("relay_domains", "2", "subdomains of mydestination are relayed");
    effect(
        "smtpd_relay_before_recipient_restrictions",
        "3.6",
        "smtpd_relay_restrictions come behind smtpd_recipient_restrictions",
    );
    if effects.is_empty() {
        return;
    }
    let start = subject.main.file().map(|file| Place::new(file, 0, 0));
    let set = place(main, "compatibility_level");
    let Some(at) = set.clone().or(start) else { return };
    let message = match set {
        Some(_) => {
            format!("compatibility_level {} keeps old defaults", main.text("compatibility_level").value)
        }
        None => "without compatibility_level Postfix keeps the defaults of version 2".to_owned(),
    };
    let help = format!("{}; write `compatibility_level = 3.6` when that is not wanted", effects.join("; "));
    found.push(Diagnostic::hint(157, at, message).help(help));
}
