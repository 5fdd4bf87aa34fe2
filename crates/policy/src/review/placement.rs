//! Checks that can't do what they are there for where they stand, and orders that surprise.
//!
//! K0444 nothing to look at yet, K0445 HELO checks that silence evades, K0446 `warn_if_reject` before nothing, K0447
//! a rule known for refusing honest servers (T2.8), K0448 a DNS list before one's own users, K0449 a policy server
//! that is asked about what is refused anyway (T2.15), K0460 what Postfix does otherwise, K0461 an empty class,
//! K0462 a bare table, K0464 and K0465 probes on behalf of everybody. T1.4, T2.4, T2.9.

use super::Case;
use super::outcomes::bare;
use crate::check::{Check, Entry, Plain, Subject};
use crate::service::ZoneKind;
use crate::transaction::Stage;
use config::Diagnostic;

pub(super) fn review(case: &Case<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let entries = case.entries();
    for (stage, entry) in &entries {
        found.extend(too_early(case, *stage, entry));
        found.extend(before_the_end(*stage, entry));
        found.extend(bare_table(case, *stage, entry));
    }
    found.extend(evaded(case, &entries));
    for (stage, list) in &case.policy.lists {
        found.extend(warns_of_nothing(list));
        found.extend(honest_servers(list));
        found.extend(own_users(case, *stage, list));
        found.extend(probes(list));
    }
    for list in &case.policy.classes {
        found.extend(warns_of_nothing(list));
    }
    found.extend(asked_in_vain(case));
    found.extend(empty_classes(case));
    found.extend(otherwise(case, &entries));
    found
}

/// Probes that any stranger can start, with any address (ADDRESS_VERIFICATION_README).
fn probes(list: &[Entry]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let is = |entry: &Entry, plain| matches!(entry.check, Check::Plain(other) if other == plain);
    let guard =
        |entry: &Entry| is(entry, Plain::RejectUnauthDestination) || is(entry, Plain::DeferUnauthDestination);
    for (at, entry) in list.iter().enumerate() {
        if is(entry, Plain::RejectUnverifiedSender) {
            let message = "every sender is probed at its own server";
            found.push(Diagnostic::hint(464, entry.place.clone(), message).help(
                "servers that are asked for every forged address may refuse all mail from here; probe the domains that \
                 are forged most: check_sender_access, with reject_unverified_sender as the value of their lines",
            ));
        }
        let later = list.get(at.saturating_add(1)..).unwrap_or_default();
        if is(entry, Plain::RejectUnverifiedRecipient) && later.iter().any(guard) {
            let message = "recipients are probed before it is known whether mail to them is taken at all";
            found.push(Diagnostic::warning(465, entry.place.clone(), message).help(
                "strangers can have any address in the world probed; write reject_unverified_recipient behind \
                 reject_unauth_destination",
            ));
        }
    }
    found
}

/// What of the client's words a check needs.
fn needs(entry: &Entry, stage: Stage) -> Option<Subject> {
    match &entry.check {
        Check::Access { subject, .. }
        | Check::HostAccess { subject, .. }
        | Check::Blocklist { subject, .. }
        | Check::Allowlist { subject, .. } => Some(*subject),
        Check::BareTable(_) => bare(stage),
        Check::Plain(plain) => match plain {
            Plain::RejectInvalidHeloHostname
            | Plain::RejectNonFqdnHeloHostname
            | Plain::RejectUnknownHeloHostname
            | Plain::PermitNakedIpAddress => Some(Subject::Helo),
            Plain::RejectNonFqdnSender
            | Plain::RejectUnknownSenderDomain
            | Plain::RejectUnlistedSender
            | Plain::Spf(_)
            | Plain::RejectUnverifiedSender
            | Plain::RejectSenderLoginMismatch
            | Plain::RejectAuthenticatedSenderLoginMismatch
            | Plain::RejectKnownSenderLoginMismatch
            | Plain::RejectUnauthenticatedSenderLoginMismatch
            | Plain::RejectMultiRecipientBounce => Some(Subject::Sender),
            Plain::RejectNonFqdnRecipient
            | Plain::RejectUnknownRecipientDomain
            | Plain::RejectUnlistedRecipient
            | Plain::RejectUnverifiedRecipient
            | Plain::PermitAuthDestination
            | Plain::PermitMxBackup
            | Plain::CheckRelayDomains
            | Plain::RejectUnauthDestination
            | Plain::DeferUnauthDestination => Some(Subject::Recipient),
            _ => None,
        },
        _ => None,
    }
}

/// A check for which there is nothing to look at in its list.
fn too_early(case: &Case<'_>, stage: Stage, entry: &Entry) -> Option<Diagnostic> {
    let needed = needs(entry, stage)?;
    let what = match needed {
        Subject::Helo => "HELO",
        Subject::Sender => "sender",
        Subject::Recipient => "recipient",
        _ => return None,
    };
    let list = stage.parameter();
    let delayed = case.policy.delays_reject();
    let why = match (stage, needed) {
        (Stage::Client, _) if !delayed => {
            format!("with smtpd_delay_reject = no {list} is evaluated at connect, before any {what} is known")
        }
        (Stage::Helo, Subject::Sender | Subject::Recipient) if !delayed => {
            format!("with smtpd_delay_reject = no {list} is evaluated at HELO, before any {what} is known")
        }
        (Stage::Sender, Subject::Recipient) if !delayed => {
            format!("with smtpd_delay_reject = no {list} is evaluated at MAIL, before any {what} is known")
        }
        (Stage::Data | Stage::EndOfData, Subject::Recipient) => {
            format!("in {list} the recipient is only known if there is exactly one")
        }
        (Stage::Etrn, Subject::Sender | Subject::Recipient) => format!("with ETRN there is no {what}"),
        _ => return None,
    };
    let message = format!("{} has nothing to look at here", entry.name);
    Some(
        Diagnostic::warning(444, entry.place.clone(), message)
            .help(format!("{why}; move it to the list of its own stage")),
    )
}

/// A message's attachments are known at its end only.
fn before_the_end(stage: Stage, entry: &Entry) -> Option<Diagnostic> {
    let is_ours = matches!(entry.check, Check::Plain(Plain::RejectDangerousAttachment));
    if !is_ours || stage == Stage::EndOfData {
        return None;
    }
    let message = format!("{} has nothing to look at here", entry.name);
    Some(Diagnostic::warning(444, entry.place.clone(), message).help(format!(
        "{} is evaluated before the message has come; move it to smtpd_end_of_data_restrictions",
        stage.parameter()
    )))
}

/// HELO checks are passed by whoever says none.
fn evaded(case: &Case<'_>, entries: &[(Stage, &Entry)]) -> Option<Diagnostic> {
    if case.parameters.flag("smtpd_helo_required") {
        return None;
    }
    let refuses = |(stage, entry): &&(Stage, &Entry)| {
        *stage == Stage::Helo && needs(entry, *stage) == Some(Subject::Helo) && !is_permit(entry)
    };
    let (_, entry) = entries.iter().find(refuses)?;
    Some(
        Diagnostic::hint(
            445,
            entry.place.clone(),
            format!("{} only looks at clients that send HELO", entry.name),
        )
        .help("a client that goes straight to MAIL bypasses it; write `smtpd_helo_required = yes`"),
    )
}

const fn is_permit(entry: &Entry) -> bool {
    matches!(
        entry.check,
        Check::Allowlist { .. }
            | Check::Plain(
                Plain::Permit
                    | Plain::PermitMynetworks
                    | Plain::PermitInetInterfaces
                    | Plain::PermitNakedIpAddress
                    | Plain::PermitSaslAuthenticated
                    | Plain::PermitTlsClientcerts
                    | Plain::PermitTlsAllClientcerts
                    | Plain::PermitAuthDestination
                    | Plain::PermitMxBackup
            )
    )
}

/// `warn_if_reject` changes the next check, and only a refusal.
fn warns_of_nothing(list: &[Entry]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut after = list.iter().skip(1);
    for entry in list {
        let next = after.next();
        if !matches!(entry.check, Check::Plain(Plain::WarnIfReject)) {
            continue;
        }
        let why = match next {
            None => "nothing follows it".to_owned(),
            Some(next) if is_permit(next) => format!("{} never refuses", next.name),
            Some(next) => match next.check {
                Check::Sleep(_) => "sleep never refuses".to_owned(),
                Check::Plain(Plain::WarnIfReject) => "one is enough".to_owned(),
                Check::Plain(Plain::DeferIfReject) => "defer_if_reject never refuses by itself".to_owned(),
                _ => continue,
            },
        };
        found.push(
            Diagnostic::warning(446, entry.place.clone(), format!("{} has no effect: {why}", entry.name))
                .help("it turns a refusal by the very next restriction into a warning"),
        );
    }
    found
}

/// Rules that refuse honest servers, where they aren't being tried out.
fn honest_servers(list: &[Entry]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut warned = false;
    for entry in list {
        let strict = matches!(entry.check, Check::Plain(Plain::RejectUnknownClientHostname));
        if strict && !warned {
            let message = format!("{} refuses honest servers too", entry.name);
            found.push(Diagnostic::hint(447, entry.place.clone(), message).help(
                "the names of many don't resolve back to their address, and any failure of their DNS counts too; \
                 reject_unknown_reverse_client_hostname is the milder one; write warn_if_reject before it for some \
                 weeks, and count the reject_warning lines",
            ));
        }
        warned = matches!(entry.check, Check::Plain(Plain::WarnIfReject));
    }
    found
}

/// Users at home are on lists of addresses that should send no mail by themselves.
fn own_users(case: &Case<'_>, stage: Stage, list: &[Entry]) -> Vec<Diagnostic> {
    let blocklist = |entry: &Entry| {
        matches!(&entry.check, Check::Blocklist { zone, .. } if zone.kind == ZoneKind::Address)
            || matches!(entry.check, Check::MapsRbl(_))
    };
    let knows = |entry: &Entry| {
        matches!(
            entry.check,
            Check::Plain(
                Plain::PermitMynetworks | Plain::PermitSaslAuthenticated | Plain::PermitTlsClientcerts
            )
        )
    };
    let auth = case.parameters.flag("smtpd_sasl_auth_enable");
    let Some(first) = list.iter().position(blocklist) else { return Vec::new() };
    let Some(entry) = list.get(first) else { return Vec::new() };
    let behind = list.iter().skip(first).find(|entry| knows(entry));
    if let Some(behind) = behind {
        let before = list.iter().take(first).any(|entry| entry.check_is(&behind.check));
        if before {
            return Vec::new();
        }
        let message = format!("{} asks about your own users before {} lets them in", entry.text, behind.name);
        return vec![Diagnostic::warning(448, entry.place.clone(), message).help(format!(
            "addresses of homes and mobile networks are on such lists; put {} first",
            behind.name
        ))];
    }
    let sasl = |entry: &Entry| matches!(entry.check, Check::Plain(Plain::PermitSaslAuthenticated));
    if auth && case.is_submission() && !list.iter().take(first).any(sasl) {
        let message =
            format!("{} asks about users who log in{}", entry.text, case.whose(&[stage.parameter()]));
        return vec![Diagnostic::warning(448, entry.place.clone(), message).help(format!(
            "addresses of homes and mobile networks are on such lists; write permit_sasl_authenticated before it, or \
             `-o {}=` for this service",
            stage.parameter()
        ))];
    }
    Vec::new()
}

/// A policy server that is asked before relaying is refused, where no other list has refused it yet.
fn asked_in_vain(case: &Case<'_>) -> Vec<Diagnostic> {
    let list = |stage| case.policy.lists.get(&stage).map_or(&[][..], Vec::as_slice);
    let refuses = |entry: &Entry| {
        matches!(entry.check, Check::Plain(Plain::RejectUnauthDestination | Plain::DeferUnauthDestination))
    };
    let first = if case.policy.settings.relay_first { list(Stage::Relay) } else { &[] };
    if first.iter().any(refuses) {
        return Vec::new();
    }
    let recipient = list(Stage::Recipient);
    let Some(end) = recipient.iter().position(refuses) else { return Vec::new() };
    let service = |entry: &&Entry| matches!(entry.check, Check::PolicyService(_));
    let hint = |entry: &Entry| {
        let message = format!("{} is asked about mail that is refused anyway", entry.text);
        Diagnostic::hint(449, entry.place.clone(), message).help(
            "every relay attempt costs a query, and a triplet in a greylist; put it behind \
             reject_unauth_destination",
        )
    };
    recipient.iter().take(end).filter(service).map(hint).collect()
}

/// What Postfix does otherwise, where the lists show it (docs/internals/differences.md).
fn otherwise(case: &Case<'_>, entries: &[(Stage, &Entry)]) -> Option<Diagnostic> {
    let name = "smtpd_dns_reply_filter";
    let filter = case.parameters.text(name);
    let asks = |plain: Plain| {
        matches!(
            plain,
            Plain::RejectUnknownHeloHostname
                | Plain::RejectUnknownSenderDomain
                | Plain::RejectUnknownRecipientDomain
        )
    };
    let found = entries.iter().find(|(_, entry)| matches!(entry.check, Check::Plain(plain) if asks(plain)));
    let (_, entry) = found.filter(|_| !filter.value.trim().is_empty())?;
    let message = format!("{} refuses when {name} removes every record", entry.name);
    Some(Diagnostic::hint(460, filter.place, message).help(
        "Postfix warns and lets the mail pass there; Komainu treats the name as one without such records",
    ))
}

/// A class without restrictions.
fn empty_classes(case: &Case<'_>) -> Vec<Diagnostic> {
    let names = case.parameters.list("smtpd_restriction_classes");
    let empty = names.into_iter().zip(&case.policy.classes).filter(|(_, list)| list.is_empty());
    let said = |(name, _): (config::Spanned<String>, _)| {
        Diagnostic::warning(461, name.place, format!("the restriction class {} is empty", name.value))
            .help(format!("using it does nothing; write `{} = …`, or remove it", name.value))
    };
    empty.map(said).collect()
}

/// A table without a word on what it is asked for.
fn bare_table(case: &Case<'_>, stage: Stage, entry: &Entry) -> Option<Diagnostic> {
    let Check::BareTable(_) = entry.check else { return None };
    let name = match bare(stage)? {
        Subject::Client => "check_client_access",
        Subject::Helo => "check_helo_access",
        Subject::Sender => "check_sender_access",
        Subject::Recipient => "check_recipient_access",
        Subject::Etrn => "check_etrn_access",
        _ => return None,
    };
    let in_class = case.policy.classes.iter().flatten().any(|other| std::ptr::eq(other, entry));
    let said =
        Diagnostic::hint(462, entry.place.clone(), format!("{} means {name} in this list", entry.text))
            .help(format!("a bare table means something else in each list; write {name} before it"));
    let whole = entry.place.text() == entry.text;
    Some(if in_class || !whole {
        said
    } else {
        said.fix(entry.place.clone(), format!("{name} {}", entry.text))
    })
}

impl Entry {
    /// Whether it is this restriction without an argument.
    fn check_is(&self, other: &Check) -> bool {
        matches!((&self.check, other), (Check::Plain(one), Check::Plain(other)) if one == other)
    }
}
