//! postscreen's parameters of one listener: on by a `postscreen` line in master.cf, or by `komainu_screen = yes` on a
//! plain `smtpd`.
//!
//! The tests take their settings from the `postscreen` line; the session behind them is that of the `pass` service
//! that it names (`smtpd_service_name`), in the same process.

use super::Later;
use super::listener::{keywords, local_time};
use crate::session::screening::Cache;
use config::{Compat, Diagnostic, Parameters};
use policy::screen;
use proto::screen::{Penalty, Settings, Tests, Ttls};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tables::{Catalogue, Sources, TableId};

/// The tests before a listener's sessions.
pub struct Screening {
    /// The lists.
    pub lists: screen::Screening,
    /// The conversation's settings.
    pub settings: Arc<Settings>,
    /// The same under stress.
    pub stressed: Arc<Settings>,
    /// `postfix/postscreen`
    pub program: String,
    /// `postfix/dnsblog`
    pub lookup_program: String,
    /// How its lines are worded.
    pub words: Words,
    /// `postscreen_client_connection_count_limit`; 0 is none.
    pub connections_max: u32,
    /// `postscreen_pre_queue_limit`, where the administrator sets one.
    pub waiting_max: Option<usize>,
    /// `postscreen_dnsbl_timeout`
    pub lookup_timeout: Duration,
    /// The allow cache, where there is one.
    pub cache: Option<CacheSettings>,
    /// It, once it is open.
    pub(crate) opened: OnceLock<Arc<Cache>>,
}

/// What differs between Postfix's versions and settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// `respectful_logging`
    pub respectful: bool,
    /// Whether full screening ports are told as until 3.7.
    pub old_busy: bool,
}

/// The allow cache's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// `postscreen_cache_map`, which names it.
    pub name: String,
    /// `postscreen_cache_cleanup_interval`; none cleans up when it must.
    pub cleanup: Option<Duration>,
    /// `postscreen_cache_retention_time`
    pub retention: Duration,
}

/// The tables that the conversation asks by itself.
struct Maps {
    discard_ehlo_keywords: Vec<TableId>,
    forbidden_commands: Vec<TableId>,
    command_filter: Vec<TableId>,
    reject_footer: Vec<TableId>,
}

impl Screening {
    /// Compiles what `p` says.
    pub(super) fn compile(
        p: &Parameters,
        (catalogue, later): (&mut Catalogue, &Later),
        sources: &dyn Sources,
    ) -> (Screening, Vec<Diagnostic>) {
        let (lists, mut found) = screen::Screening::compile(p, catalogue, sources);
        let mut tables = |name: &str| -> Vec<TableId> {
            let mut ids = Vec::new();
            for word in p.list(name).into_iter().filter(|word| word.value.contains(':')) {
                match catalogue.intern(&word) {
                    Ok(id) => ids.push(id),
                    Err(diagnostic) => found.push(diagnostic),
                }
            }
            ids
        };
        let maps = Maps {
            discard_ehlo_keywords: tables("postscreen_discard_ehlo_keyword_address_maps"),
            forbidden_commands: tables("postscreen_forbidden_commands"),
            command_filter: tables("postscreen_command_filter"),
            reject_footer: tables("postscreen_reject_footer_maps"),
        };
        let asks_lists = lists.asks_lists();
        let settings = settings(p, asks_lists, (&maps, later), &mut found);
        let stressed =
            super::screening::settings(&p.with_stress(true), asks_lists, (&maps, later), &mut Vec::new());
        let syslog_name = p.text("syslog_name").value;
        let limited = p.is_set("postscreen_pre_queue_limit") || p.is_set("default_process_limit");
        let waiting = usize::try_from(p.number("postscreen_pre_queue_limit")).unwrap_or(usize::MAX);
        let screening = Screening {
            lists,
            settings: Arc::new(settings),
            stressed: Arc::new(stressed),
            program: format!("{syslog_name}/postscreen"),
            lookup_program: format!("{syslog_name}/dnsblog"),
            words: Words { respectful: p.flag("respectful_logging"), old_busy: p.compat() == Compat::V3_7 },
            connections_max: u32::try_from(p.number("postscreen_client_connection_count_limit")).unwrap_or(0),
            waiting_max: limited.then_some(waiting),
            lookup_timeout: p.duration("postscreen_dnsbl_timeout"),
            cache: cache(p),
            opened: OnceLock::new(),
        };
        (screening, found)
    }

    /// The cache, once it is open.
    #[must_use]
    pub fn cache(&self) -> Option<&Arc<Cache>> {
        self.opened.get()
    }
}

fn cache(p: &Parameters) -> Option<CacheSettings> {
    let name = p.text("postscreen_cache_map").value;
    let cleanup = p.duration("postscreen_cache_cleanup_interval");
    let settings = CacheSettings {
        cleanup: (cleanup > Duration::ZERO).then_some(cleanup),
        retention: p.duration("postscreen_cache_retention_time"),
        name,
    };
    (!settings.name.is_empty()).then_some(settings)
}

fn penalty(p: &Parameters, name: &str, found: &mut Vec<Diagnostic>) -> Penalty {
    let word = p.text(name);
    Penalty::parse(&word.value).unwrap_or_else(|| {
        let message = format!("{name} = {} is no action", word.value);
        found.push(
            Diagnostic::error(225, word.place, message)
                .help("Postfix refuses to run with it; write ignore, enforce or drop"),
        );
        Penalty::Ignore
    })
}

fn enabled(p: &Parameters, asks_lists: bool) -> Tests {
    let switches = [
        // Without a teaser nobody is tempted, and nobody waits.
        (!p.text("postscreen_greet_banner").value.is_empty(), Tests::GREET),
        (asks_lists, Tests::DNSBL),
        (p.flag("postscreen_pipelining_enable"), Tests::PIPELINING),
        (p.flag("postscreen_non_smtp_command_enable"), Tests::NON_SMTP),
        (p.flag("postscreen_bare_newline_enable"), Tests::BARE_NEWLINE),
    ];
    switches.into_iter().filter(|(on, _)| *on).fold(Tests::NONE, |all, (_, test)| all.with(test))
}

fn ttls(p: &Parameters) -> Ttls {
    let seconds = |name: &str| u32::try_from(p.duration(name).as_secs()).unwrap_or(u32::MAX);
    Ttls {
        greet: seconds("postscreen_greet_ttl"),
        dnsbl_min: seconds("postscreen_dnsbl_min_ttl"),
        dnsbl: seconds("postscreen_dnsbl_max_ttl"),
        pipelining: seconds("postscreen_pipelining_ttl"),
        non_smtp: seconds("postscreen_non_smtp_command_ttl"),
        bare_newline: seconds("postscreen_bare_newline_ttl"),
    }
}

fn settings(
    p: &Parameters,
    asks_lists: bool,
    (maps, later): (&Maps, &Later),
    found: &mut Vec<Diagnostic>,
) -> Settings {
    let text = |name: &str| p.text(name).value;
    let footer = text("postscreen_reject_footer");
    let words = p.list("postscreen_forbidden_commands").into_iter().map(|word| word.value);
    let limit = |name: &str| usize::try_from(p.number(name)).unwrap_or(0);
    Settings {
        hostname: text("myhostname"),
        teaser: text("postscreen_greet_banner"),
        banner: text("smtpd_banner"),
        greet_wait: p.duration("postscreen_greet_wait"),
        enabled: enabled(p, asks_lists),
        denylist: penalty(p, "postscreen_denylist_action", found),
        greet: penalty(p, "postscreen_greet_action", found),
        dnsbl: penalty(p, "postscreen_dnsbl_action", found),
        pipelining: penalty(p, "postscreen_pipelining_action", found),
        non_smtp: penalty(p, "postscreen_non_smtp_command_action", found),
        bare_newline: penalty(p, "postscreen_bare_newline_action", found),
        dnsbl_threshold: p.number("postscreen_dnsbl_threshold"),
        allowlist_threshold: p.number("postscreen_dnsbl_allowlist_threshold"),
        ttls: ttls(p),
        helo_required: p.flag("postscreen_helo_required"),
        disable_vrfy: p.flag("postscreen_disable_vrfy_command"),
        discard_ehlo_keywords: keywords(&text("postscreen_discard_ehlo_keywords")),
        discard_ehlo_keyword_map: later.first(&maps.discard_ehlo_keywords),
        forbidden_commands: words.filter(|word| !word.contains(':')).collect(),
        forbidden_command_test: later.any(&maps.forbidden_commands),
        command_filter: later.first(&maps.command_filter),
        command_count_limit: u32::try_from(p.number("postscreen_command_count_limit")).unwrap_or(u32::MAX),
        command_time_limit: p.duration("postscreen_command_time_limit"),
        line_length_limit: limit("line_length_limit"),
        message_size_limit: u64::try_from(p.number("message_size_limit")).unwrap_or(0),
        smtputf8_enable: p.flag("smtputf8_enable"),
        soft_bounce: p.flag("soft_bounce"),
        reject_footer: (!footer.is_empty()).then_some(footer),
        reject_footer_map: later.first(&maps.reject_footer),
        expansion_filter: screen::expansion_filter(p),
        local_time,
    }
}
