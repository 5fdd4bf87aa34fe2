//! Whether a stranger can relay: relay and recipient lists judged together, at the compatibility level in force, with
//! all lists around them (T2.11; RFC 5321 §3.6.2).
//!
//! K0440: somebody whom nobody knows may get mail to foreign domains through, and by which check. K0441: only those
//! whom a table or the DNS lists. Silent about servers that listen on loopback alone. Postfix's own test at its start
//! is K0414; what that one says isn't said again.

use super::Case;
use super::flow::{Course, Favour, Walker};
use super::outcomes::bare;
use super::persona::Persona;
use super::spread;
use crate::check::{self, Check, Entry, Plain};
use crate::transaction::Stage;
use config::{Diagnostic, Place};

/// Causes that are named for one server.
const SAID_MAX: usize = 12;

const LISTS: [&str; 2] = ["smtpd_relay_restrictions", "smtpd_recipient_restrictions"];
const SAFE: &str =
    "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination";

pub(super) fn review(case: &Case<'_>) -> Vec<Diagnostic> {
    if case.is_inside() {
        return Vec::new();
    }
    let strangers = Persona::strangers(case);
    if strangers.iter().any(|one| Walker::new(case, one.clone(), Vec::new()).is_unhindered()) {
        let policy = case.policy;
        if !crate::compile::has_refusal(&policy.lists, &policy.classes) {
            return Vec::new();
        }
        return vec![unprotected(case)];
    }
    let mut without = Vec::new();
    let mut found = Vec::new();
    for stranger in strangers {
        for favour in favours(case, &stranger, &mut without) {
            found.push(open(case, &favour));
        }
    }
    for stranger in spread::personas(case) {
        let favours = favours(case, &stranger, &mut without);
        found.extend(favours.iter().filter(|favour| favour.line.is_some()).map(|favour| open(case, favour)));
    }
    found.extend(spread::top_level(case));
    found.extend(routed(case));
    for favour in favours(case, &Persona::listed(case), &mut without) {
        found.extend(listed(case, &favour));
    }
    found
}

/// The checks by whose favour somebody's mail passes; each is then in `without`.
fn favours(case: &Case<'_>, persona: &Persona, without: &mut Vec<Entry>) -> Vec<Favour> {
    let mut found = Vec::new();
    while found.len() < SAID_MAX {
        let course = |without: &[Entry]| Walker::new(case, persona.clone(), without.to_vec()).course();
        let Course::Passes(mut way) = course(without) else { break };
        way.retain(|favour| !favour.within);
        let decisive = way.iter().find(|favour| {
            let mut fewer = without.clone();
            fewer.push(favour.entry.clone());
            matches!(course(&fewer), Course::Refused(_))
        });
        let late = |favour: &&Favour| favour.stage >= Stage::Relay;
        let Some(favour) = decisive.or_else(|| way.iter().find(late)).or_else(|| way.first()) else { break };
        without.push(favour.entry.clone());
        found.push(favour.clone());
    }
    found
}

/// Whether somebody can relay: for the proof that [`review`] says so exactly when it is so.
#[cfg(test)]
pub(super) fn is_open(subject: &super::Subject<'_>) -> bool {
    let case = &Case { subject, rows: std::rc::Rc::default(), foreign: std::cell::RefCell::default() };
    let open = |one: Persona| {
        let mut walker = Walker::new(case, one, Vec::new());
        matches!(walker.course(), Course::Passes(_))
    };
    Persona::strangers(case).into_iter().any(open)
}

fn routed(case: &Case<'_>) -> Option<Diagnostic> {
    let name = "allow_untrusted_routing";
    if !case.parameters.flag(name) {
        return None;
    }
    let place = somewhere(case, case.parameters.text(name).place);
    let message = format!("{name} = yes sends mail on by routes that strangers write{}", case.whose(&[name]));
    Some(Diagnostic::warning(440, place, message).help(
        "user%elsewhere@here then goes to a host that trusts this one, and from there anywhere; write \
         `allow_untrusted_routing = no`",
    ))
}

fn unprotected(case: &Case<'_>) -> Diagnostic {
    let places = LISTS.map(|name| case.parameters.text(name).place);
    let place = places.into_iter().find(|place| place.file.is_some());
    let place = somewhere(case, place.unwrap_or_else(Place::nowhere));
    let message = format!("nothing refuses relaying to strangers{}", case.whose(&LISTS));
    Diagnostic::error(440, place, message).help(format!(
        "what would refuse it isn't reached, or only warns: everybody could send mail anywhere through this \
         server; write `{SAFE}`"
    ))
}

/// `place`, or, where a default is to blame, what is nearest to it in a file: a list that somebody wrote, even empty,
/// the service, the level.
pub(super) fn somewhere(case: &Case<'_>, place: Place) -> Place {
    let names =
        ["smtpd_relay_restrictions", "smtpd_recipient_restrictions", "mynetworks", "mynetworks_style"];
    let service = case.service.filter(|service| !service.overrides.is_empty());
    let place = match service {
        Some(service) if place.file.is_none() => service.name.place.clone(),
        _ => place,
    };
    crate::compile::nearest_place(case.parameters, place, &names)
}

/// What an OK of this check rests on, as far as strangers are concerned.
fn whose_word(favour: &Favour) -> String {
    let about = match favour.entry.check {
        Check::PolicyService(_) => return "a policy server answers what it likes".to_owned(),
        Check::Plain(Plain::PermitNakedIpAddress) => {
            return "anybody can put an address into HELO".to_owned();
        }
        Check::Plain(Plain::PermitTlsAllClientcerts) => {
            return "anybody can get a certificate of a public authority".to_owned();
        }
        Check::Plain(Plain::Permit) => return "it says OK to everybody".to_owned(),
        Check::Access { subject, .. } => Some(subject),
        Check::BareTable(_) => bare(favour.stage),
        _ => None,
    };
    let what = match about {
        Some(check::Subject::Sender) => "anybody can write that sender",
        Some(check::Subject::Helo) => "anybody can say that name in HELO",
        Some(check::Subject::Client) => "it covers unknown hosts",
        Some(check::Subject::Recipient) => "it covers recipients everywhere",
        _ => "anybody may get there",
    };
    format!("{what}{}", favour.line.as_ref().map(line).unwrap_or_default())
}

/// ` (hash:/etc/postfix/x, line 3: example.org OK)`
fn line(line: &crate::decision::TableLine) -> String {
    let place = match line.place.line() {
        0 => String::new(),
        _ if line.place.path().is_none_or(|path| !line.table.ends_with(&path.display().to_string())) => {
            String::new()
        }
        number => format!(", line {number}"),
    };
    let key = if line.key.is_empty() { String::new() } else { format!("{} ", line.key) };
    format!(" ({}{place}: {key}{})", line.table, line.value)
}

/// Where else the refusal could be, at the level in force.
fn repair(case: &Case<'_>, favour: &Favour) -> String {
    let p = case.parameters;
    let empty = p.list("smtpd_relay_restrictions").is_empty();
    match (favour.stage, empty) {
        (Stage::Relay, _) => format!(
            "put it behind reject_unauth_destination, or into smtpd_recipient_restrictions behind one; {SAFE:?} is safe"
        )
        .replace('"', "`"),
        (_, true) => {
            let why = if p.is_set("smtpd_relay_restrictions") {
                "which is empty here".to_owned()
            } else {
                let level = p.text("compatibility_level").value;
                format!("which is empty by default at compatibility_level {}", level.trim())
            };
            format!("put it behind reject_unauth_destination, or write `{SAFE}`, {why}")
        }
        _ => "put reject_unauth_destination in front of it; an OK ends its own list only".to_owned(),
    }
}

fn open(case: &Case<'_>, favour: &Favour) -> Diagnostic {
    let text = &favour.entry.text;
    let message =
        format!("`{text}` may say OK to a stranger before anything refuses relaying{}", case.whose(&LISTS));
    let help = format!(
        "an open relay: {}; {}{}",
        whose_word(favour),
        repair(case, favour),
        if favour.line.is_some() {
            "; `permit_auth_destination` instead of OK in the table lets nobody relay"
        } else {
            ""
        }
    );
    Diagnostic::error(440, somewhere(case, favour.entry.place.clone()), message).help(help)
}

/// Those whom somebody has listed may relay. In the relay list that is what it is for.
fn listed(case: &Case<'_>, favour: &Favour) -> Option<Diagnostic> {
    let (text, place) = (&favour.entry.text, somewhere(case, favour.entry.place.clone()));
    let whose = case.whose(&LISTS);
    if matches!(favour.entry.check, Check::Plain(Plain::PermitMxBackup)) {
        if !case.parameters.list("permit_mx_backup_networks").is_empty() {
            return None;
        }
        let message = format!("{text} relays for every domain that names this host as a backup{whose}");
        return Some(Diagnostic::warning(441, place, message).help(
            "whoever runs a domain's DNS decides that; name the domains in relay_domains instead, or the primary \
             hosts' networks in permit_mx_backup_networks",
        ));
    }
    let line_text = favour.line.as_ref().map(line).unwrap_or_default();
    let everywhere = favour.line.as_ref().is_some_and(|line| line.key.ends_with('@'));
    let about = match favour.entry.check {
        Check::Access { subject, .. } => Some(subject),
        Check::BareTable(_) => bare(favour.stage),
        _ => None,
    };
    let instead = "write `permit_auth_destination` instead of OK where only this server's own mail is meant, or put \
                   the check behind reject_unauth_destination";
    if about == Some(check::Subject::Recipient) && everywhere {
        let message = format!("`{text}` relays to that user at every domain{whose}");
        return Some(
            Diagnostic::warning(441, place, message)
                .help(format!("a key `user@` has no domain{line_text}; {instead}")),
        );
    }
    if favour.stage == Stage::Relay {
        return None;
    }
    let message = match about {
        Some(check::Subject::Recipient) => {
            format!("`{text}` relays to foreign recipients that it says OK to{whose}")
        }
        _ => format!("`{text}` lets the hosts that it says OK to relay{whose}"),
    };
    Some(
        Diagnostic::hint(441, place, message)
            .help(format!("it stands before what refuses relaying{line_text}; {instead}")),
    )
}
