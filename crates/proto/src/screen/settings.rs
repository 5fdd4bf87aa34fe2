//! What the administrator chose for the tests before the SMTP server, as plain values (postconf(5) names in each
//! comment). The program makes them out of main.cf; nothing here reads configuration. T2.3.

use super::Tests;
use crate::smtp::{Keywords, TextMap, TextTest};
use mail::Wall;
use std::fmt;
use std::time::Duration;

/// What is done with a client that fails a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Penalty {
    /// Say so, and go on as if it had not been tested.
    #[default]
    Ignore,
    /// Let it talk, and refuse each recipient.
    Enforce,
    /// Hang up.
    Drop,
}

impl Penalty {
    /// Reads `ignore`, `enforce`, `drop`, in any letter case; `continue` is Postfix's old word for `enforce`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Penalty> {
        let known = [
            ("ignore", Penalty::Ignore),
            ("enforce", Penalty::Enforce),
            ("continue", Penalty::Enforce),
            ("drop", Penalty::Drop),
        ];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, penalty)| penalty)
    }
}

/// How long a passed test counts, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ttls {
    /// `postscreen_greet_ttl`
    pub greet: u32,
    /// `postscreen_dnsbl_min_ttl`, however short the lists' answers hold.
    pub dnsbl_min: u32,
    /// `postscreen_dnsbl_max_ttl`
    pub dnsbl: u32,
    /// `postscreen_pipelining_ttl`
    pub pipelining: u32,
    /// `postscreen_non_smtp_command_ttl`
    pub non_smtp: u32,
    /// `postscreen_bare_newline_ttl`
    pub bare_newline: u32,
}

impl Ttls {
    /// What the DNS test counts for, where the lists' answers hold for so many seconds.
    #[must_use]
    pub fn dnsbl_holding(&self, holds_s: Option<u32>) -> u32 {
        let longest = self.dnsbl.max(self.dnsbl_min);
        holds_s.map_or(longest, |holds_s| holds_s.clamp(self.dnsbl_min, longest))
    }
}

/// One listener's choices. `Settings::default()` is Postfix's defaults for a host `localhost`.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one yes/no parameter of main.cf")]
pub struct Settings {
    /// `myhostname`
    pub hostname: String,
    /// `postscreen_greet_banner`; empty sends no teaser.
    pub teaser: String,
    /// `smtpd_banner`: the greeting of the engine that takes no mail.
    pub banner: String,
    /// `postscreen_greet_wait`
    pub greet_wait: Duration,
    /// The tests that are switched on.
    pub enabled: Tests,
    /// `postscreen_denylist_action`
    pub denylist: Penalty,
    /// `postscreen_greet_action`
    pub greet: Penalty,
    /// `postscreen_dnsbl_action`
    pub dnsbl: Penalty,
    /// `postscreen_pipelining_action`
    pub pipelining: Penalty,
    /// `postscreen_non_smtp_command_action`
    pub non_smtp: Penalty,
    /// `postscreen_bare_newline_action`
    pub bare_newline: Penalty,
    /// `postscreen_dnsbl_threshold`
    pub dnsbl_threshold: i64,
    /// `postscreen_dnsbl_allowlist_threshold`; it counts where it is negative.
    pub allowlist_threshold: i64,
    /// How long a passed test counts.
    pub ttls: Ttls,
    /// `postscreen_helo_required`
    pub helo_required: bool,
    /// `postscreen_disable_vrfy_command`
    pub disable_vrfy: bool,
    /// `postscreen_discard_ehlo_keywords`
    pub discard_ehlo_keywords: Keywords,
    /// `postscreen_discard_ehlo_keyword_address_maps`, by the client's address.
    pub discard_ehlo_keyword_map: Option<TextMap>,
    /// `postscreen_forbidden_commands`: its plain words.
    pub forbidden_commands: Vec<String>,
    /// `postscreen_forbidden_commands`: its tables.
    pub forbidden_command_test: Option<TextTest>,
    /// `postscreen_command_filter`
    pub command_filter: Option<TextMap>,
    /// `postscreen_command_count_limit`
    pub command_count_limit: u32,
    /// `postscreen_command_time_limit`
    pub command_time_limit: Duration,
    /// `line_length_limit`
    pub line_length_limit: usize,
    /// `message_size_limit`; 0 is no limit.
    pub message_size_limit: u64,
    /// `smtputf8_enable`
    pub smtputf8_enable: bool,
    /// `soft_bounce`
    pub soft_bounce: bool,
    /// `postscreen_reject_footer`; `\n`, `\c` and `$name` still in it.
    pub reject_footer: Option<String>,
    /// `postscreen_reject_footer_maps`: the reply's text → footer.
    pub reject_footer_map: Option<TextMap>,
    /// `postscreen_expansion_filter`
    pub expansion_filter: String,
    /// Wall time as `$localtime` in a footer shows it, `Mmm dd hh:mm:ss`.
    pub local_time: fn(Wall) -> String,
}

impl Default for Settings {
    fn default() -> Settings {
        const DAY: u32 = 86_400;
        Settings {
            hostname: "localhost".to_owned(),
            teaser: "localhost ESMTP Postfix".to_owned(),
            banner: "localhost ESMTP Postfix".to_owned(),
            greet_wait: Duration::from_secs(6),
            enabled: Tests::GREET,
            denylist: Penalty::Ignore,
            greet: Penalty::Ignore,
            dnsbl: Penalty::Ignore,
            pipelining: Penalty::Enforce,
            non_smtp: Penalty::Drop,
            bare_newline: Penalty::Ignore,
            dnsbl_threshold: 1,
            allowlist_threshold: 0,
            ttls: Ttls {
                greet: DAY,
                dnsbl_min: 60,
                dnsbl: 3600,
                pipelining: 30 * DAY,
                non_smtp: 30 * DAY,
                bare_newline: 30 * DAY,
            },
            helo_required: false,
            disable_vrfy: false,
            discard_ehlo_keywords: Keywords::NONE,
            discard_ehlo_keyword_map: None,
            forbidden_commands: ["CONNECT", "GET", "POST"].map(str::to_owned).to_vec(),
            forbidden_command_test: None,
            command_filter: None,
            command_count_limit: 20,
            command_time_limit: Duration::from_secs(300),
            line_length_limit: 2048,
            message_size_limit: 10_240_000,
            smtputf8_enable: true,
            soft_bounce: false,
            reject_footer: None,
            reject_footer_map: None,
            expansion_filter: (' '..='~').collect(),
            local_time: crate::smtp::footer::utc_time,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}
