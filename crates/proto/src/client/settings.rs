//! What main.cf says about a conversation: the protocol, patience, protection, and who logs in.

use super::capabilities::Discards;
use crate::sasl::client::{Mechanism, Secret};
use mail::seven_bit::Limits;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// EHLO, and one answer for all recipients.
    Smtp,
    /// LHLO, and an answer for each recipient.
    Lmtp,
}

/// How long each part of a conversation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `smtp_helo_timeout`: the greeting, EHLO and HELO.
    pub helo: Duration,
    /// `smtp_starttls_timeout`: STARTTLS and the handshake.
    pub starttls: Duration,
    /// `smtp_mail_timeout`.
    pub mail: Duration,
    /// `smtp_xforward_timeout`.
    pub xforward: Duration,
    /// `smtp_rcpt_timeout`.
    pub rcpt: Duration,
    /// `smtp_data_init_timeout`.
    pub data_init: Duration,
    /// `smtp_data_xfer_timeout`: each piece of the message.
    pub data_xfer: Duration,
    /// `smtp_data_done_timeout`.
    pub data_done: Duration,
    /// `smtp_rset_timeout`.
    pub rset: Duration,
    /// `smtp_quit_timeout`.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts {
            helo: seconds(300),
            starttls: seconds(300),
            mail: seconds(300),
            xforward: seconds(300),
            rcpt: seconds(300),
            data_init: seconds(120),
            data_xfer: seconds(180),
            data_done: seconds(600),
            rset: seconds(20),
            quit: seconds(300),
        }
    }
}

/// What main.cf says about the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which protocol.
    pub dialect: Dialect,
    /// `smtp_helo_name` (T1.12), `lmtp_lhlo_name`.
    pub helo_name: String,
    /// `smtp_always_send_ehlo`; without it EHLO is said to who greets with ESMTP.
    pub always_ehlo: bool,
    /// `smtp_never_send_ehlo`.
    pub never_ehlo: bool,
    /// `smtp_skip_5xx_greeting`: a 5xx greeting is a reason to try another server, not to bounce.
    pub skip_5xx_greeting: bool,
    /// `smtp_discard_ehlo_keywords`.
    pub discards: Discards,
    /// `smtp_line_length_limit`; 0 is without limit.
    pub line_length_max: usize,
    /// `smtp_skip_quit_response`.
    pub skip_quit_response: bool,
    /// `smtp_send_dummy_mail_auth`, where it has logged in.
    pub dummy_mail_auth: bool,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// `smtp_per_request_deadline`: these times hold for whole requests and answers, and content must flow at this many
    /// bytes a second (`smtp_min_data_rate`). Without, they hold for each step forward.
    pub deadline_rate: Option<u64>,
    /// `daemon_timeout`: how long one message may take, however many steps forward are made.
    pub request_max: Duration,
    /// Where the server takes no 8-bit text, it is converted (`disable_mime_output_conversion`).
    pub conversion: Option<Limits>,
    /// What is done where the server seems to stand behind a PIX firewall.
    pub pix: Pix,
}

/// `smtp_pix_workarounds`, for one conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pix {
    /// `disable_esmtp`: HELO instead of EHLO.
    pub disable_esmtp: bool,
    /// `delay_dotcrlf`, where the message has waited long enough: how long the final dot waits.
    pub delay_dotcrlf: Option<Duration>,
}

impl Pix {
    /// As the log has it.
    pub(super) fn names(self) -> String {
        let words = [("disable_esmtp", self.disable_esmtp), ("delay_dotcrlf", self.delay_dotcrlf.is_some())];
        let words: Vec<&str> = words.into_iter().filter(|(_, is_on)| *is_on).map(|(word, _)| word).collect();
        words.join(" ")
    }
}

impl Settings {
    /// Postfix's defaults.
    #[must_use]
    pub fn new(dialect: Dialect, helo_name: impl Into<String>) -> Settings {
        Settings {
            dialect,
            helo_name: helo_name.into(),
            always_ehlo: true,
            never_ehlo: false,
            skip_5xx_greeting: true,
            discards: Discards::default(),
            line_length_max: 998,
            skip_quit_response: true,
            dummy_mail_auth: false,
            timeouts: Timeouts::default(),
            deadline_rate: None,
            request_max: Duration::from_secs(18_000),
            conversion: Some(Limits::default()),
            pix: Pix::default(),
        }
    }
}

/// Whether a conversation is to be encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrecy {
    /// STARTTLS isn't said.
    #[default]
    None,
    /// It is said where it is offered.
    IfOffered,
    /// Nothing is sent without it.
    Required,
    /// Nothing is sent without it, and it can't be had on our side.
    Unavailable,
    /// TLS was there before the greeting (`smtp_tls_wrappermode`).
    Wrapped,
}

/// What log-ins must not be, as `smtp_sasl_security_options` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands(pub Vec<String>);

impl Demands {
    /// Whether a way to log in has all that is asked for.
    #[must_use]
    pub fn permit(&self, mechanism: Mechanism) -> bool {
        self.0.iter().all(|option| mechanism.meets(option))
    }
}

/// Says whether a mechanism of a name may be used.
pub type MechanismTest = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Who logs in, and how.
#[derive(Clone)]
pub struct Login {
    /// Name and password.
    pub secret: Secret,
    /// `smtp_sasl_security_options`
    pub in_the_clear: Demands,
    /// `smtp_sasl_tls_security_options`
    pub encrypted: Demands,
    /// `smtp_sasl_tls_verified_security_options`
    pub verified: Demands,
    /// `smtp_sasl_mechanism_filter`
    pub filter: Option<MechanismTest>,
    /// `smtp_sasl_auth_soft_bounce`
    pub soft_bounce: bool,
    /// Random printable ASCII.
    pub nonce: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.secret)
    }
}
