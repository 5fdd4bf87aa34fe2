//! Which rule a refusal comes from, told by the reply's text as Postfix writes it.
//!
//! Texts that the administrator chose (access tables, policy servers) can't be told apart for certain: they go
//! to the list's `check_…_access` by what the reply says was rejected.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use events::check::Action;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// What refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// A restriction (`reject_rbl_client`), a parameter (`header_checks`), or in words where neither is known.
    pub name: &'static str,
    /// A zone, in small letters.
    pub argument: Option<Box<str>>,
}

impl Rule {
    const fn of(name: &'static str) -> Rule {
        Rule { name, argument: None }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        self.argument.as_ref().map_or(Ok(()), |argument| write!(f, " {argument}"))
    }
}

/// Texts, and what they are said by. The first that is in the reply.
const TEXTS: [(&str, &str); 46] = [
    ("Greylisted", "greylisting"),
    ("greylisted", "greylisting"),
    ("cannot find your reverse hostname", "reject_unknown_reverse_client_hostname"),
    ("cannot find your hostname", "reject_unknown_client_hostname"),
    ("Helo command rejected: need fully-qualified hostname", "reject_non_fqdn_helo_hostname"),
    ("Helo command rejected: Host not found", "reject_unknown_helo_hostname"),
    ("Helo command rejected: Invalid name", "reject_invalid_helo_hostname"),
    ("Helo command rejected: Malformed DNS server reply", "reject_unknown_helo_hostname"),
    ("Helo command rejected: invalid ip address", "reject_invalid_helo_hostname"),
    ("Helo command rejected", "check_helo_access"),
    ("Sender address rejected: need fully-qualified address", "reject_non_fqdn_sender"),
    ("Sender address rejected: Domain not found", "reject_unknown_sender_domain"),
    ("Sender address rejected: Malformed DNS server reply", "reject_unknown_sender_domain"),
    ("Sender address rejected: Domain ", "reject_unknown_sender_domain"),
    ("Sender address rejected: not logged in", "reject_sender_login_mismatch"),
    ("Sender address rejected: not owned by user", "reject_sender_login_mismatch"),
    ("Sender address rejected: undeliverable address", "reject_unverified_sender"),
    ("Sender address rejected: unverified address", "reject_unverified_sender"),
    ("Sender address rejected: User unknown", "reject_unlisted_sender"),
    ("Sender address rejected: SPF", "SPF"),
    ("Sender address rejected", "check_sender_access"),
    ("Recipient address rejected: need fully-qualified address", "reject_non_fqdn_recipient"),
    ("Recipient address rejected: Domain not found", "reject_unknown_recipient_domain"),
    ("Recipient address rejected: Malformed DNS server reply", "reject_unknown_recipient_domain"),
    ("Recipient address rejected: undeliverable address", "reject_unverified_recipient"),
    ("Recipient address rejected: unverified address", "reject_unverified_recipient"),
    ("Recipient address rejected: User unknown", "reject_unlisted_recipient"),
    ("Recipient address rejected: Message rejected due to: SPF", "SPF"),
    ("Message rejected due to: SPF", "SPF"),
    ("Recipient address rejected", "check_recipient_access"),
    ("Relay access denied", "reject_unauth_destination"),
    ("Client host rejected: Improper use of SMTP command pipelining", "reject_unauth_pipelining"),
    ("Improper use of SMTP command pipelining", "reject_unauth_pipelining"),
    ("Multi-recipient bounce", "reject_multi_recipient_bounce"),
    ("Client host rejected", "check_client_access"),
    ("Message size exceeds", "message_size_limit"),
    ("Insufficient system storage", "queue_minfree"),
    ("too many connections", "smtpd_client_connection_count_limit"),
    ("too much mail", "smtpd_client_message_rate_limit"),
    ("too many recipients", "smtpd_recipient_limit"),
    ("Must issue a STARTTLS command first", "smtpd_tls_security_level"),
    ("Session encryption is required", "smtpd_tls_security_level"),
    ("Server configuration", "configuration error"),
    ("Server configuration problem", "configuration error"),
    ("Data command rejected", "smtpd_data_restrictions"),
    ("Protocol error", "protocol error"),
];

/// All of [`TEXTS`], looked for at once; none where such a machine can't be built, which hasn't been seen.
static SEARCHED: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(TEXTS.map(|(words, _)| words)).ok()
});

/// Lists of addresses, and of names in one of four places.
const BLOCKED: [(&str, &str); 6] = [
    ("Unverified Client host [", "reject_rhsbl_reverse_client"),
    ("Client host [", "reject_rbl_client"),
    ("Sender address [", "reject_rhsbl_sender"),
    ("Recipient address [", "reject_rhsbl_recipient"),
    ("Helo command [", "reject_rhsbl_helo"),
    ("Client [", "reject_rbl_client"),
];

/// The rule behind a reply of the SMTP server.
pub(super) fn of_reply(action: Action, text: &str) -> Rule {
    match action {
        Action::MilterReject | Action::MilterDiscard | Action::MilterHold => {
            return Rule::of("smtpd_milters");
        }
        _ => {}
    }
    if let Some((before, zone)) = blocked(text) {
        let name =
            BLOCKED.iter().find(|(words, _)| before.contains(words)).map_or("reject_rbl_client", |it| it.1);
        // A name is in brackets as an address is: only an address's list is asked about addresses.
        let named = name == "reject_rbl_client" && !in_brackets_is_an_address(before);
        let name = if named { "reject_rhsbl_client" } else { name };
        return Rule { name, argument: Some(zone.to_ascii_lowercase().into()) };
    }
    let first = match &*SEARCHED {
        Some(searched) => searched.find_overlapping_iter(text).map(|found| found.pattern().as_usize()).min(),
        None => TEXTS.iter().position(|(words, _)| text.contains(words)),
    };
    first.and_then(|at| TEXTS.get(at)).map_or(Rule::of("other"), |(_, name)| Rule::of(name))
}

/// The rule behind a reply of postscreen's.
pub(super) fn of_screen(text: &str) -> Rule {
    if let Some((_, zone)) = blocked(text) {
        return Rule { name: "postscreen_dnsbl_sites", argument: Some(zone.to_ascii_lowercase().into()) };
    }
    let name = [
        ("Protocol error", "postscreen_greet_action"),
        ("Improper command pipelining", "postscreen_pipelining_action"),
        ("non-SMTP command", "postscreen_non_smtp_command_action"),
        ("too many connections", "postscreen_client_connection_count_limit"),
        ("all server ports busy", "postscreen_pre_queue_limit"),
        ("all screening ports busy", "postscreen_post_queue_limit"),
        ("Service currently unavailable", "postscreen_bare_newline_enable"),
        ("Service unavailable", "postscreen_access_list"),
    ];
    // `Service currently unavailable` is how a new client is told to come again after the deep tests.
    name.iter().find(|(words, _)| text.contains(words)).map_or(Rule::of("postscreen"), |(words, name)| {
        match *words {
            "Service currently unavailable" => Rule::of("postscreen: come again"),
            _ => Rule::of(name),
        }
    })
}

/// The rule behind what cleanup(8) found.
pub(super) fn of_content(action: Action, part: events::check::Part) -> Rule {
    match action {
        Action::MilterReject | Action::MilterDiscard | Action::MilterHold => Rule::of("smtpd_milters"),
        _ if action.as_str().starts_with("milter-header-") => Rule::of("milter_header_checks"),
        _ => match part {
            events::check::Part::Header => Rule::of("header_checks"),
            events::check::Part::MimeHeader => Rule::of("mime_header_checks"),
            events::check::Part::Body => Rule::of("body_checks"),
        },
    }
}

static BLOCKED_USING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b" blocked using "));

/// What stands before ` blocked using ZONE`, and the zone.
fn blocked(text: &str) -> Option<(&str, &str)> {
    let at = BLOCKED_USING.find(text.as_bytes())?;
    let (before, rest) = (text.get(..at)?, text.get(at + BLOCKED_USING.needle().len()..)?);
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
        .unwrap_or(rest.len());
    let zone = rest.get(..end)?.trim_end_matches('.');
    (!zone.is_empty()).then(|| (before, super::top::shortened(zone)))
}

fn in_brackets_is_an_address(before: &str) -> bool {
    let inner = before.rsplit_once('[').and_then(|(_, inner)| inner.split_once(']'));
    inner.is_some_and(|(inner, _)| inner.parse::<std::net::IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_by_their_texts() {
        for (text, expect) in [
            (
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example.; https://x",
                "reject_rbl_client zen.example",
            ),
            (
                "554 5.7.1 Service unavailable; Client host [mx.example.com] blocked using DBL.Example",
                "reject_rhsbl_client dbl.example",
            ),
            (
                "554 5.7.1 Service unavailable; Unverified Client host [mx.example.com] blocked using dbl.example",
                "reject_rhsbl_reverse_client dbl.example",
            ),
            (
                "554 5.7.1 Service unavailable; Sender address [a@b.example] blocked using dbl.example; why",
                "reject_rhsbl_sender dbl.example",
            ),
            (
                "554 5.7.1 Service unavailable; Helo command [x] blocked using dbl.example",
                "reject_rhsbl_helo dbl.example",
            ),
            (
                "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]",
                "reject_unknown_client_hostname",
            ),
            (
                "450 4.7.25 Client host rejected: cannot find your reverse hostname, [192.0.2.1]",
                "reject_unknown_reverse_client_hostname",
            ),
            (
                "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname",
                "reject_non_fqdn_helo_hostname",
            ),
            ("450 4.2.0 <a@b>: Recipient address rejected: Greylisted, see http://x", "greylisting"),
            ("554 5.7.1 <a@b>: Recipient address rejected: Access denied", "check_recipient_access"),
            ("554 5.7.1 <a@b>: Relay access denied", "reject_unauth_destination"),
            ("550 5.5.1 whatever", "other"),
        ] {
            assert_eq!(of_reply(Action::Reject, text).to_string(), expect, "{text}");
        }
        let screened = "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.example";
        assert_eq!(of_screen(screened).to_string(), "postscreen_dnsbl_sites zen.example");
        assert_eq!(of_reply(Action::MilterReject, "550 5.7.1 spam").to_string(), "smtpd_milters");
    }
}
