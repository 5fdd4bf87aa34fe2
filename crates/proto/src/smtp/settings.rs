//! What the administrator chose for one SMTP listener, as plain values (postconf(5) names in each comment).
//!
//! The program makes a `Settings` out of main.cf and shares it between sessions; nothing here reads
//! configuration. Tables that the conversation itself needs (`smtpd_forbidden_commands`' patterns,
//! `smtpd_reject_footer_maps`) come as functions over what is already in memory. T1.2, T1.9, T2.2.

use mail::Wall;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A function from a text to a text, or to nothing: a compiled table as the conversation sees it.
pub type TextMap = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// A test on a text: a compiled match list as the conversation sees it.
pub type TextTest = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// `smtpd_forbid_bare_newline`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// `no`: a line may end in `<LF>`, and so may the line with the dot.
    Allow,
    /// `normalize`, `yes`: lines may end in `<LF>`, the end of data may not.
    #[default]
    Normalize,
    /// `note`: as `normalize`, and the first one is logged.
    Note,
    /// `reject`: the command or message is refused with this code (`smtpd_forbid_bare_newline_reject_code`).
    Reject(u16),
}

/// How TLS is offered on this listener (`smtpd_tls_security_level`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsLevel {
    /// STARTTLS isn't there.
    #[default]
    None,
    /// Offered.
    May,
    /// Required before MAIL and AUTH.
    Encrypt,
}

/// SASL on this listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// Mechanism names for the EHLO reply without TLS.
    pub mechanisms: Vec<String>,
    /// Mechanism names under TLS.
    pub mechanisms_tls: Vec<String>,
    /// `broken_sasl_auth_clients`: the `AUTH=` line too.
    pub broken_clients: bool,
    /// `smtpd_tls_auth_only`.
    pub tls_only: bool,
    /// `smtpd_sasl_response_limit`, at least `line_length_limit`.
    pub response_limit: usize,
}

/// A set of EHLO keywords, for `smtpd_discard_ehlo_keywords`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Keywords(u16);

/// The keywords with their bits, in the order in which Postfix logs them.
const KEYWORDS: [(&str, Keywords); 15] = [
    ("8BITMIME", Keywords::EIGHTBITMIME),
    ("AUTH", Keywords::AUTH),
    ("ETRN", Keywords::ETRN),
    ("PIPELINING", Keywords::PIPELINING),
    ("SIZE", Keywords::SIZE),
    ("VERP", Keywords::XVERP),
    ("VRFY", Keywords::VRFY),
    ("XCLIENT", Keywords::XCLIENT),
    ("XFORWARD", Keywords::XFORWARD),
    ("STARTTLS", Keywords::STARTTLS),
    ("ENHANCEDSTATUSCODES", Keywords::ENHANCEDSTATUSCODES),
    ("DSN", Keywords::DSN),
    ("SMTPUTF8", Keywords::SMTPUTF8),
    ("CHUNKING", Keywords::CHUNKING),
    ("SILENT-DISCARD", Keywords::SILENT),
];

#[expect(missing_docs, reason = "each is the keyword of its name")]
impl Keywords {
    pub const NONE: Keywords = Keywords(0);
    pub const EIGHTBITMIME: Keywords = Keywords(1);
    pub const AUTH: Keywords = Keywords(1 << 1);
    pub const CHUNKING: Keywords = Keywords(1 << 2);
    pub const DSN: Keywords = Keywords(1 << 3);
    pub const ENHANCEDSTATUSCODES: Keywords = Keywords(1 << 4);
    pub const ETRN: Keywords = Keywords(1 << 5);
    pub const PIPELINING: Keywords = Keywords(1 << 6);
    /// `silent-discard`: don't log what was left out.
    pub const SILENT: Keywords = Keywords(1 << 7);
    pub const SIZE: Keywords = Keywords(1 << 8);
    pub const SMTPUTF8: Keywords = Keywords(1 << 9);
    pub const STARTTLS: Keywords = Keywords(1 << 10);
    pub const XVERP: Keywords = Keywords(1 << 11);
    pub const VRFY: Keywords = Keywords(1 << 12);
    pub const XCLIENT: Keywords = Keywords(1 << 13);
    pub const XFORWARD: Keywords = Keywords(1 << 14);
}

impl Keywords {
    /// The keyword of that name in `smtpd_discard_ehlo_keywords`, in any letter case.
    #[must_use]
    pub fn named(name: &str) -> Option<Keywords> {
        KEYWORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, bit)| bit)
    }

    /// The keywords in a list; what names none is passed over.
    #[must_use]
    pub fn listed(words: &str) -> Keywords {
        words.split([',', ' ', '\t', '\n']).filter_map(Keywords::named).fold(Keywords::NONE, Keywords::with)
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Keywords) -> Keywords {
        Keywords(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn has(self, other: Keywords) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the members, as Postfix logs them (the odd one included).
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KEYWORDS
            .into_iter()
            .filter(move |&(_, bit)| bit != Keywords::SILENT && self.has(bit))
            .map(|(name, bit)| if bit == Keywords::SMTPUTF8 { "EHLO_MASK_SMTPUTF8" } else { name })
    }
}

impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// One listener's choices. `Settings::default()` is Postfix 3.11's defaults for a host `localhost`.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one yes/no parameter of main.cf")]
pub struct Settings {
    /// `myhostname`.
    pub hostname: String,
    /// `smtpd_banner`, expanded, without `220 `.
    pub banner: String,
    /// `smtpd_helo_required`.
    pub helo_required: bool,
    /// `disable_vrfy_command`.
    pub disable_vrfy: bool,
    /// `smtpd_discard_ehlo_keywords`; a [`super::Peer`] may bring a set of its own.
    pub discard_ehlo_keywords: Keywords,
    /// Whether what is said is kept: `notify_classes`.
    pub transcript: bool,
    /// Whether `smtpd_command_filter` is set: then each line comes as [`super::Action::Filter`].
    pub command_filter: bool,
    /// Whether commands that aren't known come as [`super::Action::Unknown`].
    pub asks_of_unknown: bool,
    /// `smtpd_forbidden_commands`: its plain words.
    pub forbidden_commands: Vec<String>,
    /// `smtpd_forbidden_commands`: its tables. Asked with the first word as it was sent.
    pub forbidden_command_test: Option<TextTest>,
    /// `smtpd_noop_commands`.
    pub noop_commands: Vec<String>,
    /// `smtpd_reject_footer`; `\n`, `\c` and `$name` still in it.
    pub reject_footer: Option<String>,
    /// `smtpd_reject_footer_maps`: the reply's text without line end → footer.
    pub reject_footer_map: Option<TextMap>,
    /// `smtpd_reject_filter_maps`: the reply's text → the reply to send instead.
    pub reject_filter_map: Option<TextMap>,
    /// Whether HELP is known, as from Postfix 3.9.
    pub help: bool,
    /// Wall time as `$localtime` in a footer shows it, `Mmm dd hh:mm:ss`.
    pub local_time: fn(Wall) -> String,
    /// `soft_bounce`.
    pub soft_bounce: bool,
    /// `line_length_limit`.
    pub line_length_limit: usize,
    /// `smtpd_recipient_limit`.
    pub recipient_limit: usize,
    /// `smtpd_recipient_overshoot_limit`.
    pub recipient_overshoot_limit: usize,
    /// `message_size_limit`; 0 is no limit.
    pub message_size_limit: u64,
    /// `smtpd_timeout`.
    pub timeout: Duration,
    /// `smtpd_starttls_timeout`.
    pub starttls_timeout: Duration,
    /// `smtpd_per_request_deadline`.
    pub per_request_deadline: bool,
    /// `smtpd_min_data_rate`, bytes per second.
    pub min_data_rate: u64,
    /// `smtpd_soft_error_limit`.
    pub soft_error_limit: u32,
    /// `smtpd_hard_error_limit`.
    pub hard_error_limit: u32,
    /// `smtpd_error_sleep_time`.
    pub error_sleep_time: Duration,
    /// `smtpd_junk_command_limit`.
    pub junk_command_limit: u32,
    /// `strict_rfc821_envelopes`.
    pub strict_rfc821_envelopes: bool,
    /// `smtputf8_enable`.
    pub smtputf8_enable: bool,
    /// `strict_smtputf8`.
    pub strict_smtputf8: bool,
    /// `resolve_dequoted_address`.
    pub resolve_dequoted_address: bool,
    /// `smtpd_delay_reject`: only said to the driver by [`super::Request::Connect`] coming anyway.
    pub delay_reject: bool,
    /// `smtpd_delay_open_until_valid_rcpt`.
    pub delay_open_until_valid_rcpt: bool,
    /// `smtpd_forbid_bare_newline` with its reject code.
    pub forbid_bare_newline: BareNewline,
    /// `smtpd_forbid_unauth_pipelining`.
    pub forbid_unauth_pipelining: bool,
    /// `smtpd_tls_security_level`.
    pub tls: TlsLevel,
    /// TLS is wanted and can't be had: STARTTLS says so.
    pub tls_missing: bool,
    /// `smtpd_sasl_auth_enable` with what hangs on it.
    pub auth: Option<AuthSettings>,
    /// `allow_min_user`: an address may begin with `-`.
    pub allow_min_user: bool,
    /// `verp_delimiter_filter`: the characters that XVERP may name.
    pub verp_delimiter_filter: String,
    /// `default_verp_delimiters`.
    pub default_verp_delimiters: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hostname: "localhost".to_owned(),
            banner: "localhost ESMTP Postfix".to_owned(),
            helo_required: false,
            disable_vrfy: false,
            discard_ehlo_keywords: Keywords::NONE,
            transcript: false,
            command_filter: false,
            asks_of_unknown: false,
            forbidden_commands: ["CONNECT", "GET", "POST"].map(str::to_owned).to_vec(),
            forbidden_command_test: Some(Arc::new(|word| {
                !word.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            })),
            noop_commands: Vec::new(),
            reject_footer: None,
            reject_footer_map: None,
            reject_filter_map: None,
            help: true,
            local_time: super::footer::utc_time,
            soft_bounce: false,
            line_length_limit: 2048,
            recipient_limit: 1000,
            recipient_overshoot_limit: 1000,
            message_size_limit: 10_240_000,
            timeout: Duration::from_secs(300),
            starttls_timeout: Duration::from_secs(300),
            per_request_deadline: false,
            min_data_rate: 500,
            soft_error_limit: 10,
            hard_error_limit: 20,
            error_sleep_time: Duration::from_secs(1),
            junk_command_limit: 100,
            strict_rfc821_envelopes: false,
            smtputf8_enable: true,
            strict_smtputf8: false,
            resolve_dequoted_address: true,
            delay_reject: true,
            delay_open_until_valid_rcpt: true,
            forbid_bare_newline: BareNewline::Normalize,
            forbid_unauth_pipelining: true,
            tls: TlsLevel::None,
            tls_missing: false,
            auth: None,
            allow_min_user: false,
            verp_delimiter_filter: "-=+".to_owned(),
            default_verp_delimiters: "+=".to_owned(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}
