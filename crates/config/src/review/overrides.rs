//! `-o` of master.cf that its service never reads, or that stands there twice.
//!
//! K0230 an override without effect, K0232 one that stands there twice.

use super::Subject;
use crate::{Diagnostic, Override, Role, Service};
use std::collections::HashMap;

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for service in &subject.master.services {
        twice(service, found);
        for one in &service.overrides {
            let name = one.name.value.as_str();
            if let Some(help) = unread(service, name) {
                let program = service.program();
                let message = format!("{program} doesn't read {name}");
                found.push(Diagnostic::warning(230, one.name.place.clone(), message).help(help));
            }
        }
    }
}

fn twice(service: &Service, found: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, &Override> = HashMap::new();
    for one in &service.overrides {
        let name = one.name.value.as_str();
        if let Some(earlier) = seen.insert(name, one) {
            let place = &earlier.name.place;
            let path = place.path().map(|path| path.display().to_string()).unwrap_or_default();
            let message = format!(
                "{name} overrides its earlier value for the service {} in {path}:{}",
                service.name.value,
                place.line()
            );
            let earlier = &earlier.value.value;
            found.push(Diagnostic::warning(232, one.name.place.clone(), message).help(format!(
                "the last one wins: this one; `{name}={earlier}` has no effect: delete one of them"
            )));
        }
    }
}

/// What cleanup(8) reads, and nobody sets by the server that takes the mail.
const OF_CLEANUP: [&str; 16] = [
    "always_bcc",
    "body_checks",
    "canonical_maps",
    "header_checks",
    "masquerade_classes",
    "masquerade_domains",
    "masquerade_exceptions",
    "milter_header_checks",
    "mime_header_checks",
    "nested_header_checks",
    "non_smtpd_milters",
    "recipient_bcc_maps",
    "recipient_canonical_maps",
    "sender_bcc_maps",
    "sender_canonical_maps",
    "undisclosed_recipients_header",
];

/// What trivial-rewrite(8) and qmgr(8) read.
const OF_ROUTING: [&str; 9] = [
    "default_transport",
    "maximal_queue_lifetime",
    "bounce_queue_lifetime",
    "relayhost",
    "sender_dependent_default_transport_maps",
    "sender_dependent_relayhost_maps",
    "maximal_backoff_time",
    "minimal_backoff_time",
    "queue_run_delay",
];

/// Why the service takes no notice of the parameter.
fn unread(service: &Service, name: &str) -> Option<String> {
    match service.role() {
        Role::Smtpd if OF_CLEANUP.contains(&name) => Some(format!(
            "cleanup(8) reads it: add a line `NAME unix n - n - 0 cleanup -o {name}=…` and write \
             `-o cleanup_service_name=NAME` here"
        )),
        Role::Smtpd | Role::Postscreen if OF_ROUTING.contains(&name) => Some(
            "the queue decides by main.cf alone where mail goes; to send mail of this port elsewhere, write \
                 `-o content_filter=TRANSPORT:NEXTHOP`, or use sender_dependent_relayhost_maps in main.cf"
                .to_owned(),
        ),
        Role::Smtpd if is_client(name) => Some(
            "it is the client's, for mail that goes out; the server's names begin with smtpd_".to_owned(),
        ),
        Role::Smtp | Role::Lmtp if name.starts_with("smtpd_") => {
            Some("it is the server's, for mail that comes in; the client's names begin with smtp_".to_owned())
        }
        Role::BuiltIn
            if service.program() == "cleanup"
                && name.starts_with("smtpd_")
                && !name.starts_with("smtpd_milter") =>
        {
            Some("it is the SMTP server's; write it at a smtpd line".to_owned())
        }
        _ => None,
    }
}

/// `smtp_…` but for the few that are for both.
fn is_client(name: &str) -> bool {
    name.starts_with("smtp_") || name.starts_with("lmtp_")
}
