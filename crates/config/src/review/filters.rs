//! Content filters: where the mail comes back that a filter was given.
//!
//! A filter hands a message to another port of the server, or to `sendmail`; where `content_filter` or
//! `smtpd_proxy_filter` hold there too, it goes round until it has too many `Received:` lines. Whether a transport's
//! line exists is K0234's, whether anybody listens K0528's. K0239; T2.29, T2.30, FILTER_README.

use super::{Listener, Subject, place};
use crate::{Diagnostic, Role};

pub(super) fn review(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    for name in ["content_filter", "smtpd_proxy_filter"] {
        let value = subject.parameters.text(name).value;
        let Some(at) = place(subject.parameters, name).filter(|_| !value.trim().is_empty()) else { continue };
        if name == "content_filter" && is_program(subject, &value) {
            sends_again(subject, &value, &at, found);
            continue;
        }
        let differs = |one: &Listener<'_>| one.parameters.text(name).value != value;
        let comes_back = name == "smtpd_proxy_filter" || is_server(subject, &value);
        if listeners.is_empty() || listeners.iter().any(differs) || !comes_back {
            continue;
        }
        let message = format!("{name} holds at each port: what comes back from the filter goes there again");
        found.push(Diagnostic::warning(239, at, message).help(format!(
            "a filter that takes mail at one port hands it to another: give that one's line in master.cf \
             `-o {name}=`"
        )));
    }
}

/// Whether the filter is a program of a `pipe` line.
fn is_program(subject: &Subject<'_>, value: &str) -> bool {
    let named = value.split(':').next().unwrap_or("").trim();
    let mut services = subject.master.services.iter();
    services.any(|service| service.name.value == named && service.role() == Role::Pipe)
}

/// Whether the filter is a server: who discards or stores mail gives nothing back.
fn is_server(subject: &Subject<'_>, value: &str) -> bool {
    let named = value.split(':').next().unwrap_or("").trim();
    let mut services = subject.master.services.iter();
    services.any(|one| one.name.value == named && matches!(one.role(), Role::Smtp | Role::Lmtp))
}

/// A program hands mail back by `sendmail`, which `content_filter` of main.cf holds for as well.
fn sends_again(subject: &Subject<'_>, value: &str, at: &crate::Place, found: &mut Vec<Diagnostic>) {
    let pickup = subject.master.services.iter().find(|service| service.name.value == "pickup");
    let Some(pickup) = pickup else { return };
    let own = subject.parameters.with_overrides(&pickup.overrides).0;
    if own.text("content_filter").value == value {
        let message = "content_filter holds for `sendmail` too, by which a program hands mail back";
        found.push(Diagnostic::warning(239, at.clone(), message).help(
            "write it as `-o content_filter=…` at the line `smtp inet …` in master.cf, not in main.cf, or give the \
             line `pickup` its `-o content_filter=`",
        ));
    }
}
