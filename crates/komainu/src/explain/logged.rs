//! Reading a log line about a decision: what it says of the session, and of the reply.
//!
//! With or without time, host and program in front, of any service; postscreen's own refusals are told apart, as they
//! are not made by restriction lists.

use super::visit::{Last, Visit};
use events::Event;
use events::check::{Action, Verdict};

/// A decision as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The session.
    pub visit: Visit,
    /// What was done.
    pub action: Action,
    /// The reply: `554 5.7.1 <x>: Client host rejected: …`; for what isn't a refusal, the note.
    pub reply: String,
    /// Who logged it: `postfix/submission/smtpd`.
    pub program: Option<String>,
}

/// Why a log line can't be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// Another line.
    #[error(
        "this is no line about a decision: give one with `reject: RCPT from name[address]: …` or the like"
    )]
    NoDecision,
    /// A refusal before the session.
    #[error(
        "postscreen refused this client before a session with the restriction lists, and is not played here: {0}"
    )]
    Screened(&'static str),
    /// Decided elsewhere.
    #[error("no restriction list decided this: {0}")]
    Elsewhere(&'static str),
    /// No address.
    #[error("\"{0}\" is no client address")]
    Address(String),
}

/// How many times `: ` may end what stands before the line's text: the time's host, the program.
const PREFIXES_MAX: usize = 4;

/// Reads a log line, with or without time, host and program in front.
///
/// # Errors
/// [`BadLine`].
pub fn parse(line: &str) -> Result<Logged, BadLine> {
    let line = line.trim().trim_matches(['"', '\'', '`']);
    let mut rest = line;
    for _ in 0..PREFIXES_MAX {
        // The first reading counts: what stands behind it is the client's own text.
        if let Event::ScreenReject(refusal) = Event::parse("postscreen", rest) {
            return Err(BadLine::Screened(screened(&refusal.text)));
        }
        match Event::parse("smtpd", rest) {
            Event::Verdict(verdict) => {
                let program = line.strip_suffix(rest).and_then(program);
                return logged(&verdict).map(|logged| Logged { program, ..logged });
            }
            Event::ProxyVerdict(_) => {
                return Err(BadLine::Elsewhere("the filter of smtpd_proxy_filter answered so"));
            }
            _ => {}
        }
        if matches!(Event::parse("cleanup", rest), Event::ContentCheck(_)) {
            return Err(BadLine::Elsewhere(
                "header_checks, mime_header_checks, nested_header_checks or body_checks did, by the line's text",
            ));
        }
        let Some((_, behind)) = rest.split_once(": ") else { break };
        rest = behind;
    }
    Err(BadLine::NoDecision)
}

/// `postfix/smtpd` of `Nov 22 01:02:03 mx postfix/smtpd[12]: `.
fn program(before: &str) -> Option<String> {
    let word = before.trim_end().strip_suffix(':')?.split_whitespace().next_back()?;
    let (name, _) = word.split_once('[').unwrap_or((word, ""));
    name.ends_with("/smtpd").then(|| name.to_owned())
}

fn logged(verdict: &Verdict<'_>) -> Result<Logged, BadLine> {
    if matches!(verdict.action, Action::MilterReject | Action::MilterDiscard | Action::MilterHold) {
        return Err(BadLine::Elsewhere("a milter did (smtpd_milters)"));
    }
    let address = verdict.client.address.to_string();
    let client = address.parse().map_err(|_| BadLine::Address(address))?;
    let session = &verdict.session;
    let last = match verdict.stage.as_ref() {
        "CONNECT" => Last::Connect,
        "HELO" | "EHLO" => Last::Helo,
        "MAIL" => Last::Mail,
        "DATA" | "BDAT" => Last::Data,
        "END-OF-MESSAGE" => Last::EndOfData,
        _ => Last::Rcpt,
    };
    let plain_helo = match verdict.stage.as_ref() {
        "HELO" => true,
        "EHLO" => false,
        _ => session.proto.as_deref() == Some("SMTP"),
    };
    let visit = Visit {
        client,
        name: Some(verdict.client.name.to_string()),
        helo: session.helo.as_ref().map(ToString::to_string),
        plain_helo,
        from: session.from.as_ref().map(ToString::to_string),
        to: session.to.as_ref().map(ToString::to_string).into_iter().collect(),
        last,
        last_named: true,
        ..Visit::default()
    };
    Ok(Logged { visit, action: verdict.action, reply: verdict.text.to_string(), program: None })
}

/// Which of postscreen's tests a reply of its speaks of.
fn screened(reply: &str) -> &'static str {
    let has = |part: &str| reply.contains(part);
    if has("blocked using") {
        "blocklists listed it (postscreen_dnsbl_sites, postscreen_dnsbl_threshold, postscreen_dnsbl_action; its \
         `DNSBL rank` line stands before)"
    } else if has("Protocol error") {
        "it broke the protocol (postscreen_greet_action, postscreen_pipelining_action, \
         postscreen_non_smtp_command_action, postscreen_bare_newline_action; see its PREGREET, COMMAND PIPELINING, \
         NON-SMTP COMMAND or BARE NEWLINE line)"
    } else if has("oo many connections") {
        "it had too many connections at once (postscreen_client_connection_count_limit)"
    } else if has("ports busy") || has("ports are busy") {
        "the server was full (postscreen_pre_queue_limit, postscreen_post_queue_limit, the process limit of smtpd)"
    } else if reply.starts_with("450") || reply.starts_with("451") {
        "it passed the tests after the greeting (postscreen_pipelining_enable, postscreen_non_smtp_command_enable, \
         postscreen_bare_newline_enable) and has to come again, or a list could not be asked: a PASS NEW line of its \
         says the first"
    } else {
        "it is listed (postscreen_access_list, postscreen_denylist_action; see its DENYLISTED line), or failed a test \
         (PREGREET, DNSBL rank; the postscreen_…_action parameters)"
    }
}
