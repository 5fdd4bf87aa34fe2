//! Limits that contradict each other, and sizes that were meant in another unit (T1.13).
//!
//! K0141. What Postfix refuses by itself, `ranges` tells.

use super::{Listener, Subject, place};
use crate::{Diagnostic, Parameters, Severity};

pub(super) fn review(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    mailboxes(main, found);
    message_size(main, found);
    times(main, found);
    for listener in listeners {
        errors(&listener.parameters, found);
        connections(listener, found);
    }
}

/// A finding about two parameters of which at least one is written; it stands at the first that is.
fn told(
    main: &Parameters,
    names: [&str; 2],
    severity: Severity,
    words: (String, String),
    found: &mut Vec<Diagnostic>,
) {
    let Some(place) = names.iter().find_map(|name| place(main, name)) else { return };
    let mut diagnostic = Diagnostic::warning(141, place, words.0).help(words.1);
    diagnostic.severity = severity;
    found.push(diagnostic);
}

/// Postfix's local(8) and virtual(8) don't start when a mailbox may hold less than a message.
fn mailboxes(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let message = main.number("message_size_limit");
    let agents = [
        ("mailbox_size_limit", "local_transport", "local", "mydestination"),
        ("virtual_mailbox_limit", "virtual_transport", "virtual", "virtual_mailbox_domains"),
    ];
    for (name, transport, agent, domains) in agents {
        let limit = main.number(name);
        let agent_of = main.text(transport).value;
        let serves = agent_of.split(':').next() == Some(agent) && !main.list(domains).is_empty();
        if limit == 0 || !serves || message != 0 && limit >= message {
            continue;
        }
        let size = if message == 0 { "unlimited".to_owned() } else { message.to_string() };
        told(
            main,
            [name, "message_size_limit"],
            Severity::Error,
            (
                format!("{name} ({limit}) is smaller than message_size_limit ({size})"),
                format!(
                    "Postfix's {agent}(8) stops with a configuration error, and all mail for {domains} stays in \
                     the queue; write `{name} = 0` for no limit, or at least the size of a message"
                ),
            ),
            found,
        );
    }
}

fn message_size(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let message = main.number("message_size_limit");
    if message > 0 && message < 65_536 {
        told(
            main,
            ["message_size_limit", "message_size_limit"],
            Severity::Error,
            (
                format!("message_size_limit allows messages of {message} bytes only"),
                "it counts bytes: nearly all mail would be refused (RFC 5321 §4.5.3.1.7 wants 65536 at least); \
                 10 MB are 10485760"
                    .to_owned(),
            ),
            found,
        );
    }
    let free = main.number("queue_minfree");
    if free > 0 && message > 0 && free < message.saturating_add(message / 2) {
        told(
            main,
            ["queue_minfree", "message_size_limit"],
            Severity::Hint,
            (
                format!("queue_minfree ({free}) is less than 1.5 × message_size_limit ({message})"),
                "it has no effect: mail is refused already when less than 1.5 × message_size_limit is free"
                    .to_owned(),
            ),
            found,
        );
    }
}

fn times(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let seconds = |name| main.duration(name).as_secs();
    let rules: [(&str, &str, Severity, &str); 5] = [
        (
            "minimal_backoff_time",
            "maximal_backoff_time",
            Severity::Warning,
            "the longest wait between two tries is shorter than the shortest; write a smaller minimal_backoff_time",
        ),
        (
            "maximal_backoff_time",
            "maximal_queue_lifetime",
            Severity::Warning,
            "mail is returned before it is retried that late; write a smaller maximal_backoff_time",
        ),
        (
            "minimal_backoff_time",
            "maximal_queue_lifetime",
            Severity::Warning,
            "mail that is deferred once is returned without a second try; write a smaller minimal_backoff_time",
        ),
        (
            "bounce_queue_lifetime",
            "maximal_queue_lifetime",
            Severity::Hint,
            "Postfix takes the smaller of the two for bounces",
        ),
        (
            "delay_warning_time",
            "maximal_queue_lifetime",
            Severity::Warning,
            "mail is returned before its sender is told of the delay; write a smaller delay_warning_time",
        ),
    ];
    for (short, long, severity, help) in rules {
        let (a, b) = (seconds(short), seconds(long));
        // A lifetime of 0 is one single try, on purpose.
        if a > b && b > 0 {
            let message = format!("{short} ({a}s) is longer than {long} ({b}s)");
            told(main, [short, long], severity, (message, help.to_owned()), found);
        }
    }
    let (run, least) = (seconds("queue_run_delay"), seconds("minimal_backoff_time"));
    if main.is_set("minimal_backoff_time") && least < run {
        told(
            main,
            ["minimal_backoff_time", "queue_run_delay"],
            Severity::Hint,
            (
                format!("minimal_backoff_time ({least}s) is shorter than queue_run_delay ({run}s)"),
                "Postfix looks for deferred mail only every queue_run_delay; make that as short".to_owned(),
            ),
            found,
        );
    }
}

fn errors(own: &Parameters, found: &mut Vec<Diagnostic>) {
    let (soft, hard) = (own.number("smtpd_soft_error_limit"), own.number("smtpd_hard_error_limit"));
    // One more is how sample set-ups of content filters say: nobody is made to wait. Without a pause the soft limit
    // does nothing.
    let pauses = !own.duration("smtpd_error_sleep_time").is_zero();
    if own.is_set("smtpd_soft_error_limit") && soft > hard.saturating_add(1) && hard > 0 && pauses {
        told(
            own,
            ["smtpd_soft_error_limit", "smtpd_hard_error_limit"],
            Severity::Warning,
            (
                format!("smtpd_soft_error_limit ({soft}) is more than smtpd_hard_error_limit ({hard})"),
                "clients are disconnected before replies to their errors are ever delayed; write a smaller \
                 smtpd_soft_error_limit"
                    .to_owned(),
            ),
            found,
        );
    }
    let recipients = own.number("smtpd_recipient_limit");
    if recipients > 0 && recipients < 100 {
        told(
            own,
            ["smtpd_recipient_limit", "smtpd_recipient_limit"],
            Severity::Hint,
            (
                format!("smtpd_recipient_limit ({recipients}) is less than 100"),
                "RFC 5321 §4.5.3.1.8 has servers take 100 recipients at least; mail to more is delayed"
                    .to_owned(),
            ),
            found,
        );
    }
}

/// One client that may have all processes.
fn connections(listener: &Listener<'_>, found: &mut Vec<Diagnostic>) {
    let own = &listener.parameters;
    let count = own.number("smtpd_client_connection_count_limit");
    let processes =
        listener.service.process_limit.map_or_else(|| own.number("default_process_limit"), i64::from);
    if own.is_set("smtpd_client_connection_count_limit") && processes > 1 && count >= processes {
        told(
            own,
            ["smtpd_client_connection_count_limit", "default_process_limit"],
            Severity::Hint,
            (
                format!(
                    "smtpd_client_connection_count_limit ({count}) isn't below the process limit ({processes}) of {}",
                    listener.service.name.value
                ),
                "in Postfix one client can keep all processes busy; Komainu has no such process limit"
                    .to_owned(),
            ),
            found,
        );
    }
}
