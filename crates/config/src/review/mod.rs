//! main.cf and master.cf judged as written: names, values, syntax that deceives, limits that contradict each other.
//!
//! What tables hold, whether files are there and what the machine runs is for others to look at; nothing here
//! reads a file. The loader's own findings (K01xx, K02xx in their readers) aren't said again. A server's start
//! doesn't come here: `komainu check` does. T0.4, T1.5, T1.13, T2.12.

mod commas;
mod copied;
mod delivery;
mod domains;
mod filters;
mod layout;
mod limits;
mod listeners;
mod networks;
mod next_hop;
mod outgoing;
mod overrides;
mod past;
mod placeholders;
mod ranges;
mod services;
mod tls;
mod unfit;
mod values;
mod words;

pub use next_hop::next_hop_fault;

use crate::{Diagnostic, MainCf, MasterCf, Parameters, Place, Role, Service, ServiceKind, Spanned};
use std::collections::HashSet;

/// What is reviewed: both files as written, and main.cf's values in force.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// main.cf as written.
    pub main: &'a MainCf,
    /// master.cf as written.
    pub master: &'a MasterCf,
    /// main.cf's values over the defaults.
    pub parameters: &'a Parameters,
}

/// All that the two files let one say.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let listeners = Listener::all(subject);
    copied::review(subject, &mut found);
    commas::review(subject, &mut found);
    placeholders::review(subject, &mut found);
    layout::review(subject, &mut found);
    values::review(subject, &mut found);
    words::review(subject, &mut found);
    unfit::review(subject, &mut found);
    past::review(subject, &mut found);
    ranges::review(subject, &mut found);
    limits::review(subject, &listeners, &mut found);
    networks::review(subject, &listeners, &mut found);
    domains::review(subject, &mut found);
    delivery::review(subject, &mut found);
    outgoing::review(subject, &mut found);
    listeners::review(subject, &listeners, &mut found);
    tls::review(subject, &listeners, &mut found);
    services::review(subject, &listeners, &mut found);
    overrides::review(subject, &mut found);
    filters::review(subject, &listeners, &mut found);
    let mut seen = HashSet::new();
    found.retain(|one| {
        let path = one.place.path().map(std::path::Path::to_owned);
        seen.insert((one.code, path, one.place.start, one.message.clone()))
    });
    found
}

/// An SMTP server of master.cf with its own values.
pub(crate) struct Listener<'a> {
    service: &'a Service,
    parameters: Parameters,
}

impl<'a> Listener<'a> {
    /// What listens on a port, or gets its clients from postscreen.
    fn all(subject: &Subject<'a>) -> Vec<Listener<'a>> {
        let services = subject.master.services.iter();
        services
            .filter(|service| {
                service.role() == Role::Smtpd && matches!(service.kind, ServiceKind::Inet | ServiceKind::Pass)
            })
            .map(|service| Listener {
                service,
                parameters: subject.parameters.with_overrides(&service.overrides).0,
            })
            .collect()
    }

    /// The port, where it is an inet service's and known.
    fn port(&self) -> Option<u16> {
        match self.service.endpoint()?.port {
            crate::Port::Number(port) => Some(port),
            crate::Port::Name(_) => None,
        }
    }

    /// Whether mail of other servers comes here: port 25, and what postscreen hands on.
    fn takes_mail_from_outside(&self) -> bool {
        self.service.kind == ServiceKind::Pass || self.port() == Some(25) && !self.is_loopback()
    }

    /// Whether only programs of this machine can come here.
    fn is_loopback(&self) -> bool {
        let host = self.service.endpoint().and_then(|endpoint| endpoint.host);
        match host {
            Some(host) => host == "localhost" || host == "::1" || host.starts_with("127."),
            None => {
                let interfaces = self.parameters.list("inet_interfaces");
                !interfaces.is_empty()
                    && interfaces.iter().all(|word| {
                        let word = word.value.trim_matches(['[', ']']);
                        matches!(word, "loopback-only" | "localhost" | "::1") || word.starts_with("127.")
                    })
            }
        }
    }

    fn is_yes(&self, name: &str) -> bool {
        self.parameters.flag(name)
    }

    /// Where the value of `name` stands for this listener, or else the listener.
    fn place(&self, name: &str) -> Place {
        place(&self.parameters, name).unwrap_or_else(|| self.service.name.place.clone())
    }
}

/// Where the value of `name` was written; the name where the value is empty; `None` when nobody wrote it.
fn place(parameters: &Parameters, name: &str) -> Option<Place> {
    let raw = parameters.raw(name)?;
    let place = if raw.place.file.is_some() { raw.place } else { parameters.name_place(name)?.clone() };
    place.file.is_some().then_some(place)
}

/// The value of `name` as written, when a file has it and it needs no expansion.
fn literal(parameters: &Parameters, name: &str) -> Option<Spanned<String>> {
    let raw = parameters.raw(name)?;
    (raw.place.file.is_some() && raw.place.text() == raw.value && !raw.value.contains('$')).then_some(raw)
}

/// `diagnostic` with a repair of a value that stands in one piece as it was judged.
fn fixed(diagnostic: Diagnostic, value: &Spanned<String>, replacement: impl Into<String>) -> Diagnostic {
    if value.place.file.is_some() && value.place.text() == value.value {
        diagnostic.fix(value.place.clone(), replacement)
    } else {
        diagnostic
    }
}

#[cfg(test)]
mod tests;
