//! One SMTP server of master.cf: its addresses, its policy, and the conversation's settings.

use super::inspecting::{Inspecting, Seen};
use super::limits::limits;
use super::notices::Notices;
use super::security::is_by_same_files;
use super::{Authenticating, BeforeQueue, Later, Milters, Screening, Security, Skipped, Upstream, remote};
use crate::authentication::Logins;
use crate::cleanup::Characters;
use crate::clock;
use crate::facts::hosts::Hosts;
use config::registry::Kind;
use config::{Diagnostic, MasterCf, Override, Parameters, Role, Service, ServiceKind, Spanned};
use mail::Wall;
use mail::message::{CleanupSettings, FromFormat, StrayCr};
use policy::address::Routes;
use policy::content::Checks;
use policy::rates::Limits;
use policy::{Policy, Transaction};
use proto::smtp::{BareNewline, Keywords, Settings, TlsLevel};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tables::matching::{AddressList, DomainList};
use tables::{Catalogue, Sources, TableId, Vantage};

/// One SMTP server.
pub struct Listener {
    /// The service's name in master.cf: `smtp`, `127.0.0.1:2525`.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// main.cf with this service's `-o`.
    pub parameters: Parameters,
    /// The restriction lists.
    pub policy: Arc<Policy>,
    /// Those under stress: the same, unless some parameter says `${stress?…}`.
    pub stressed_policy: Arc<Policy>,
    /// The conversation's settings.
    pub settings: Arc<Settings>,
    /// The same under stress: `${stress?…}` is on.
    pub stressed: Arc<Settings>,
    /// Who may do more than others.
    pub lists: Arc<Lists>,
    /// What is done to a message while it is received.
    pub receiving: Arc<Receiving>,
    /// Whether the postmaster gets transcripts of sessions.
    pub notices: Option<Arc<Notices>>,
    /// `postfix/smtpd`, or with `syslog_name` as the administrator set it.
    pub program: Arc<str>,
    /// How much one client may do.
    pub limits: Limits,
    /// The same under stress.
    pub stressed_limits: Limits,
    /// The proxy in front of it, where there is one.
    pub upstream: Option<Upstream>,
    /// How clients log in, where they may.
    pub logins: Option<Arc<Logins>>,
    /// Its TLS.
    pub security: Security,
    /// `smtpd_proxy_filter`, where there is one.
    pub before_queue: Option<Arc<BeforeQueue>>,
    /// `smtpd_milters`, where there are any.
    pub milters: Option<Arc<Milters>>,
    /// The tests before its sessions, where there are any.
    pub screening: Option<Arc<Screening>>,
}

/// The lists and tables that the session itself asks, apart from restrictions.
pub struct Lists {
    /// `smtpd_authorized_xclient_hosts`
    pub xclient: AddressList,
    /// `smtpd_authorized_xforward_hosts`
    pub xforward: AddressList,
    /// `smtpd_authorized_verp_clients`
    pub verp: AddressList,
    /// `smtpd_forbid_bare_newline_exclusions`
    pub bare_newline: AddressList,
    /// `smtpd_client_event_limit_exceptions`
    pub event_limit_exceptions: AddressList,
    /// `mynetworks`
    pub local: AddressList,
    /// `komainu_relay_clients`
    pub relays: AddressList,
    /// `fast_flush_domains`
    pub fast_flush: DomainList,
    /// `local_header_rewrite_clients`
    pub rewrite: RewriteClients,
    /// `smtpd_discard_ehlo_keyword_address_maps`
    pub discard_ehlo_keyword_maps: Vec<TableId>,
    /// `smtpd_reject_footer_maps`
    pub reject_footer_maps: Vec<TableId>,
    /// `smtpd_reject_filter_maps`
    pub reject_filter_maps: Vec<TableId>,
    /// `smtpd_command_filter`
    pub command_filter: Option<TableId>,
    /// `smtpd_milter_maps`
    pub milter_maps: Vec<TableId>,
    /// The tables in `smtpd_forbidden_commands`.
    pub forbidden_commands: Vec<TableId>,
}

/// `local_header_rewrite_clients`: the words of it that a session can be.
#[derive(Clone, Debug, Default)]
pub struct RewriteClients {
    /// `permit_inet_interfaces`: our own addresses.
    pub interfaces: Vec<IpAddr>,
    /// `permit_mynetworks`
    pub networks: bool,
    /// `permit_sasl_authenticated`
    pub sasl: bool,
    /// `check_address_map`, or a table alone: clients' addresses.
    pub tables: Vec<TableId>,
    /// `permit_tls_clientcerts`: what is in `relay_clientcerts`.
    pub certificates: Vec<TableId>,
    /// `permit_tls_all_clientcerts`: whatever an authority vouches for, too.
    pub all_certificates: bool,
}

impl RewriteClients {
    fn read(p: &Parameters, tables: Vec<TableId>, known: Vec<TableId>) -> RewriteClients {
        let words = p.list("local_header_rewrite_clients");
        let has = |name: &str| words.iter().any(|word| word.value == name);
        let all_certificates = has("permit_tls_all_clientcerts");
        let ours = || p.host().addresses.iter().map(|interface| interface.address).collect();
        RewriteClients {
            interfaces: if has("permit_inet_interfaces") { ours() } else { Vec::new() },
            networks: has("permit_mynetworks"),
            sasl: has("permit_sasl_authenticated"),
            tables,
            certificates: if all_certificates || has("permit_tls_clientcerts") { known } else { Vec::new() },
            all_certificates,
        }
    }
}

/// main.cf's values for the reception of a message, read once.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one yes/no parameter of main.cf")]
pub struct Receiving {
    /// `myhostname`
    pub hostname: String,
    /// `mail_name`
    pub mail_name: String,
    /// `enable_long_queue_ids`
    pub long_queue_ids: bool,
    /// `queue_minfree`
    pub minfree_bytes: u64,
    /// `message_size_limit`
    pub size_bytes_max: u64,
    /// `always_add_missing_headers`
    pub always_add_missing_headers: bool,
    /// `enable_original_recipient`
    pub keeps_original: bool,
    /// `smtpd_client_port_logging`
    pub port_logging: bool,
    /// `smtpd_peername_lookup`
    pub peername_lookup: bool,
    /// `detect_8bit_encoding_header`
    pub detects_8bit: bool,
    /// `undisclosed_recipients_header`
    pub undisclosed: String,
    /// `message_strip_characters`, `message_reject_characters`
    pub characters: Option<Arc<Characters>>,
    /// `header_from_format`
    pub from_format: FromFormat,
    /// `syslog_name`
    pub syslog_name: String,
    /// Header limits, hops, dropped headers.
    pub cleanup: Arc<CleanupSettings>,
    /// What is looked at, where anything is.
    pub inspecting: Option<Arc<Inspecting>>,
    /// What of it is left out (`receive_override_options`).
    pub skipped: Skipped,
    /// `content_filter`: `transport:nexthop`.
    pub content_filter: Option<String>,
    /// Whether the postmaster's copies are looked at (`internal_mail_filter_classes`).
    pub watches_notices: bool,
    /// `milter_header_checks`, where there are any.
    pub milter_checks: Option<Arc<Checks>>,
    /// Who sees mail that comes by no session of SMTP.
    pub non_smtpd_milters: Option<Arc<Milters>>,
    /// What is found out about who sent it.
    pub authenticating: Arc<Authenticating>,
}

impl Receiving {
    /// Reads them.
    #[must_use]
    pub fn read(p: &Parameters) -> Receiving {
        let number = |name: &str| u64::try_from(p.number(name)).unwrap_or(0);
        Receiving {
            hostname: p.text("myhostname").value,
            mail_name: p.text("mail_name").value,
            long_queue_ids: p.flag("enable_long_queue_ids"),
            minfree_bytes: number("queue_minfree"),
            size_bytes_max: number("message_size_limit"),
            always_add_missing_headers: p.flag("always_add_missing_headers"),
            keeps_original: p.flag("enable_original_recipient"),
            port_logging: p.flag("smtpd_client_port_logging"),
            peername_lookup: p.flag("smtpd_peername_lookup"),
            detects_8bit: p.flag("detect_8bit_encoding_header"),
            undisclosed: p.text("undisclosed_recipients_header").value,
            characters: Characters::read(p).map(Arc::new),
            from_format: match p.text("header_from_format").value.to_ascii_lowercase().as_str() {
                "obsolete" => FromFormat::Obsolete,
                _ => FromFormat::Standard,
            },
            syslog_name: p.text("syslog_name").value,
            cleanup: Arc::new(cleanup(p)),
            inspecting: None,
            skipped: Skipped::read(p),
            content_filter: Some(p.text("content_filter").value).filter(|filter| !filter.is_empty()),
            watches_notices: p.list("internal_mail_filter_classes").iter().any(|word| word.value == "notify"),
            milter_checks: None,
            non_smtpd_milters: None,
            authenticating: Arc::new(Authenticating::read(p)),
        }
    }
}

impl Receiving {
    /// The same for the server's own mail that is looked at: no filter gets it, and no service's overrides hold for it.
    #[must_use]
    pub fn of_watched_mail(&self) -> Receiving {
        let skipped = Skipped { checks: true, milters: true, mappings: false };
        Receiving { skipped, content_filter: None, ..self.clone() }
    }

    /// The same for the postmaster's copies, which are looked at where `internal_mail_filter_classes` says so.
    #[must_use]
    pub fn of_notices(&self) -> Receiving {
        let own = self.of_watched_mail();
        if self.watches_notices { own } else { own.seen(Seen::default()) }
    }

    /// The same, with what is looked at.
    fn seen(self, seen: Seen) -> Receiving {
        let Seen { inspecting, milter_checks, non_smtpd_milters } = seen;
        Receiving { inspecting, milter_checks, non_smtpd_milters, ..self }
    }

    /// Whether anybody looks at mail that comes by no session.
    #[must_use]
    pub const fn looks(&self) -> bool {
        self.inspecting.is_some() || self.non_smtpd_milters.is_some()
    }

    /// The same for a service's mail, with what is looked at in it.
    pub(super) fn compile(
        port: &Parameters,
        main: &Parameters,
        (master, catalogue): (&MasterCf, &mut Catalogue),
    ) -> (Arc<Receiving>, Vec<Diagnostic>) {
        // cleanup(8) is a service of its own: another name in `-o` isn't its name.
        let syslog_name = main.text("syslog_name").value;
        let (seen, mut found) = Seen::compile(port, main, (master, catalogue));
        found.extend(Authenticating::check(port));
        (Arc::new(Receiving { syslog_name, ..Receiving::read(port).seen(seen) }), found)
    }
}

impl Listener {
    /// Compiles a `smtpd` or `postscreen` line.
    #[must_use]
    pub fn compile(
        service: &Service,
        main: &Parameters,
        (master, catalogue, later): (&MasterCf, &mut Catalogue, &Later),
        sources: &dyn Sources,
    ) -> (Option<Listener>, Vec<Diagnostic>) {
        let (front, parameters, mut found) = ends(service, main, master);
        let addresses = match addresses(&service.name.value, &front, sources) {
            Ok(addresses) => addresses,
            Err(message) => {
                found.push(Diagnostic::error(215, service.name.place.clone(), message));
                return (None, found);
            }
        };
        // Of main.cf's words they are said once.
        found.extend([&front, &parameters].into_iter().flat_map(remote::check));
        let (policy, more) = Policy::compile(&parameters, catalogue, sources);
        let policy = Arc::new(policy.routed_by(Routes::compile(main, catalogue)));
        found.extend(more);
        let (lists, more) = Lists::compile(&parameters, catalogue, sources);
        found.extend(more);
        let stress = parameters.with_stress(true);
        let stressed_policy = match is_other_under_stress(&parameters) {
            true => {
                let (policy, more) = Policy::compile(&stress, catalogue, sources);
                found.extend(more.into_iter().filter(|one| !found.contains(one)).collect::<Vec<_>>());
                Arc::new(policy.routed_by(Routes::compile(main, catalogue)))
            }
            false => Arc::clone(&policy),
        };
        let (security, more) = Security::compile(&parameters, sources);
        found.extend(more);
        let stressed = settings(&stress, &lists, &security, later);
        let settings = settings(&parameters, &lists, &security, later);
        let (receiving, more) = Receiving::compile(&parameters, main, (master, catalogue));
        found.extend(more);
        let program = format!("{}/smtpd", parameters.text("syslog_name").value);
        let (upstream, more) = proxy_in_front(service, &front, &addresses);
        found.extend(more);
        let screened = service.role() == Role::Postscreen || front.flag("komainu_screen");
        let screening = screened.then(|| Screening::compile(&front, (catalogue, later), sources));
        let screening = screening.map(|(screening, more)| {
            found.extend(more);
            Arc::new(screening)
        });
        let (logins, more) = Logins::compile(&parameters, catalogue, sources);
        found.extend(more);
        let (milters, more) = Milters::of_server(&parameters);
        found.extend(more);
        let (before_queue, more) = BeforeQueue::read(&parameters, receiving.cleanup.stray_cr);
        found.extend(more);
        let listener = Listener {
            before_queue,
            milters,
            logins,
            name: service.name.value.clone(),
            addresses,
            policy,
            stressed_policy,
            settings: Arc::new(settings),
            stressed: Arc::new(stressed),
            lists: Arc::new(lists),
            receiving,
            notices: Notices::read(&parameters).map(Arc::new),
            program: program.into(),
            limits: limits(&parameters),
            stressed_limits: limits(&stress),
            parameters,
            upstream,
            security,
            screening,
        };
        (Some(listener), found)
    }

    /// Keeps the certificates that were good before where the new ones can't be used; whether it did.
    pub fn keep_certificates(&mut self, before: &Listener) -> bool {
        let keeps =
            is_by_same_files(&self.parameters, &before.parameters) && self.security.keep(&before.security);
        if keeps {
            for settings in [&mut self.settings, &mut self.stressed] {
                Arc::make_mut(settings).tls_missing = false;
            }
        }
        keeps
    }

    /// The lists of a session that began under stress, or not.
    #[must_use]
    pub const fn lists_for(&self, tx: &Transaction) -> &Arc<Policy> {
        if tx.stress { &self.stressed_policy } else { &self.policy }
    }

    /// All lists that a session may have: one policy, or two.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let other = (!Arc::ptr_eq(&self.policy, &self.stressed_policy)).then_some(&*self.stressed_policy);
        std::iter::once(&*self.policy).chain(other)
    }
}

/// The proxy in front of a service, where it has one.
fn proxy_in_front(
    service: &Service,
    front: &Parameters,
    addresses: &[SocketAddr],
) -> (Option<Upstream>, Vec<Diagnostic>) {
    match Upstream::read(front, &service.role()) {
        Ok(None) => (None, Vec::new()),
        Ok(Some(upstream)) => {
            let place = service.name.place.clone();
            let found = upstream.open_to_all(place, addresses, &front.host().addresses);
            (Some(upstream), found.into_iter().collect())
        }
        Err(diagnostic) => (None, vec![*diagnostic]),
    }
}

/// Whether a parameter that holds words, not a number or a time, differs under stress.
fn is_other_under_stress(p: &Parameters) -> bool {
    let stress = p.with_stress(true);
    let names = p.definitions().map(|(name, _)| name);
    let mut lists = names.filter(|name| {
        let kind = config::registry::find(name).map(|parameter| parameter.kind);
        !matches!(kind, Some(Kind::Number | Kind::Size | Kind::Time(_)))
    });
    lists.any(|name| p.text(name).value != stress.text(name).value)
}

/// The parameters of a port, and those of the sessions behind it: the same but for a `postscreen` line, which hands
/// its clients to the `pass` service of `smtpd_service_name`.
fn ends(
    service: &Service,
    main: &Parameters,
    master: &MasterCf,
) -> (Parameters, Parameters, Vec<Diagnostic>) {
    let place = || service.name.place.clone();
    let with = |process: &str, name: &str, overrides: &[Override]| {
        let word = |text: &str| Spanned::new(text.to_owned(), place());
        let named = |name: &str, value: &str| Override { name: word(name), value: word(value) };
        let mut all = vec![named("process_name", process), named("service_name", name)];
        all.extend(overrides.iter().cloned());
        main.with_overrides(&all)
    };
    if service.role() != Role::Postscreen {
        let (parameters, found) = with("smtpd", &service.name.value, &service.overrides);
        return (parameters.clone(), parameters, found);
    }
    let (front, mut found) = with("postscreen", &service.name.value, &service.overrides);
    let name = front.text("smtpd_service_name").value;
    let is_behind = |one: &&Service| one.kind == ServiceKind::Pass && one.name.value == name;
    let behind = master.services.iter().find(is_behind);
    if behind.is_none() {
        let message = format!(
            "no \"{name} pass … smtpd\" line: sessions behind this port have main.cf's settings alone"
        );
        let help = format!(
            "add \"{name} pass - - n - - smtpd\" to master.cf; without it Postfix takes no mail here"
        );
        found.push(Diagnostic::warning(226, place(), message).help(help));
    }
    let (parameters, more) = with("smtpd", &name, behind.map_or(&[], |behind| behind.overrides.as_slice()));
    found.extend(more);
    (front, parameters, found)
}

impl Lists {
    fn compile(p: &Parameters, catalogue: &mut Catalogue, sources: &dyn Sources) -> (Lists, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let mut list = |name: &str, catalogue: &mut Catalogue| {
            let words: Vec<_> =
                p.list(name).into_iter().filter(|word| !word.value.starts_with("permit_")).collect();
            let (list, more) = AddressList::compile(&words, catalogue, sources, false);
            found.extend(more);
            list
        };
        let xclient = list("smtpd_authorized_xclient_hosts", catalogue);
        let xforward = list("smtpd_authorized_xforward_hosts", catalogue);
        let verp = list("smtpd_authorized_verp_clients", catalogue);
        let bare_newline = list("smtpd_forbid_bare_newline_exclusions", catalogue);
        let event_limit_exceptions = list("smtpd_client_event_limit_exceptions", catalogue);
        let local = list("mynetworks", catalogue);
        let relays = list("komainu_relay_clients", catalogue);
        let parents =
            p.list("parent_domain_matches_subdomains").iter().any(|word| word.value == "fast_flush_domains");
        let (fast_flush, more) =
            DomainList::compile(&p.list("fast_flush_domains"), catalogue, sources, parents);
        found.extend(more);
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
        let discard_ehlo_keyword_maps = tables("smtpd_discard_ehlo_keyword_address_maps");
        let reject_footer_maps = tables("smtpd_reject_footer_maps");
        let reject_filter_maps = tables("smtpd_reject_filter_maps");
        let command_filter = tables("smtpd_command_filter").first().copied();
        let forbidden_commands = tables("smtpd_forbidden_commands");
        let milter_maps = tables("smtpd_milter_maps");
        let rewrite = tables("local_header_rewrite_clients");
        let rewrite = RewriteClients::read(p, rewrite, tables("relay_clientcerts"));
        let lists = Lists {
            xclient,
            xforward,
            verp,
            bare_newline,
            event_limit_exceptions,
            local,
            relays,
            fast_flush,
            rewrite,
            discard_ehlo_keyword_maps,
            reject_footer_maps,
            reject_filter_maps,
            command_filter,
            milter_maps,
            forbidden_commands,
        };
        (lists, found)
    }
}

fn cleanup(p: &Parameters) -> CleanupSettings {
    let size = |name: &str| usize::try_from(p.number(name)).unwrap_or(0);
    let mut dropped: Vec<String> =
        p.list("message_drop_headers").into_iter().map(|word| word.value.to_ascii_lowercase()).collect();
    if dropped.iter().any(|name| name == "bcc") {
        dropped.push("resent-bcc".to_owned());
    }
    let stray = p.flag("cleanup_replace_stray_cr_lf");
    CleanupSettings {
        header_bytes_max: size("header_size_limit"),
        hops_max: size("hopcount_limit"),
        dropped,
        stray_cr: if stray { StrayCr::Replace } else { StrayCr::KeepInBody },
    }
}

/// The set of EHLO keywords in `words`; names that are none are Postfix's to warn about.
#[must_use]
pub fn keywords(words: &str) -> Keywords {
    Keywords::listed(words)
}

/// main.cf's values as the conversation takes them.
fn settings(p: &Parameters, lists: &Lists, security: &Security, later: &Later) -> Settings {
    let count = |name: &str| usize::try_from(p.number(name)).unwrap_or(0);
    let limit = |name: &str| u32::try_from(p.number(name)).unwrap_or(u32::MAX);
    let words = |name: &str| p.list(name).into_iter().map(|word| word.value).collect::<Vec<String>>();
    let footer = p.text("smtpd_reject_footer").value;
    Settings {
        hostname: p.text("myhostname").value,
        banner: p.text("smtpd_banner").value,
        helo_required: p.flag("smtpd_helo_required"),
        disable_vrfy: p.flag("disable_vrfy_command"),
        discard_ehlo_keywords: keywords(&p.text("smtpd_discard_ehlo_keywords").value),
        command_filter: lists.command_filter.is_some(),
        asks_of_unknown: p.list("smtpd_milters").iter().any(|word| word.value != "none"),
        transcript: Notices::read(p).is_some(),
        forbidden_commands: words("smtpd_forbidden_commands")
            .into_iter()
            .filter(|word| !word.contains(':'))
            .collect(),
        forbidden_command_test: later.any(&lists.forbidden_commands),
        noop_commands: words("smtpd_noop_commands"),
        reject_footer: (!footer.is_empty()).then_some(footer),
        help: p.compat() != config::Compat::V3_7,
        reject_filter_map: later.first(&lists.reject_filter_maps),
        reject_footer_map: later.first(&lists.reject_footer_maps),
        local_time,
        soft_bounce: p.flag("soft_bounce"),
        tls: security.level,
        tls_missing: security.level != TlsLevel::None && security.acceptor.is_none(),
        line_length_limit: count("line_length_limit"),
        recipient_limit: count("smtpd_recipient_limit"),
        recipient_overshoot_limit: count("smtpd_recipient_overshoot_limit"),
        message_size_limit: u64::try_from(p.number("message_size_limit")).unwrap_or(0),
        timeout: p.duration("smtpd_timeout"),
        starttls_timeout: p.duration("smtpd_starttls_timeout"),
        per_request_deadline: p.flag("smtpd_per_request_deadline"),
        min_data_rate: u64::try_from(p.number("smtpd_min_data_rate")).unwrap_or(0),
        soft_error_limit: limit("smtpd_soft_error_limit"),
        hard_error_limit: limit("smtpd_hard_error_limit"),
        error_sleep_time: p.duration("smtpd_error_sleep_time"),
        junk_command_limit: limit("smtpd_junk_command_limit"),
        strict_rfc821_envelopes: p.flag("strict_rfc821_envelopes"),
        smtputf8_enable: p.flag("smtputf8_enable"),
        strict_smtputf8: p.flag("strict_smtputf8"),
        resolve_dequoted_address: p.flag("resolve_dequoted_address"),
        delay_reject: p.flag("smtpd_delay_reject"),
        delay_open_until_valid_rcpt: p.flag("smtpd_delay_open_until_valid_rcpt"),
        forbid_bare_newline: bare_newline(p),
        forbid_unauth_pipelining: p.flag("smtpd_forbid_unauth_pipelining"),
        allow_min_user: p.flag("allow_min_user"),
        verp_delimiter_filter: p.text("verp_delimiter_filter").value,
        default_verp_delimiters: p.text("default_verp_delimiters").value,
        auth: super::logins::auth_settings(p, security.level),
    }
}

fn bare_newline(p: &Parameters) -> BareNewline {
    match p.text("smtpd_forbid_bare_newline").value.to_ascii_lowercase().as_str() {
        "no" => BareNewline::Allow,
        "note" => BareNewline::Note,
        "reject" => {
            let code = u16::try_from(p.number("smtpd_forbid_bare_newline_reject_code")).unwrap_or(550);
            BareNewline::Reject(code)
        }
        _ => BareNewline::Normalize,
    }
}

/// `$localtime` of a reject footer.
pub(super) fn local_time(at: Wall) -> String {
    let offset = clock::utc_offset_s(at);
    events::Stamp::syslog(at, i16::try_from(offset / 60).unwrap_or(0)).to_string()
}

/// The addresses of a service name: `smtp`, `host:port`, `[::1]:port`, under `inet_interfaces`.
fn addresses(name: &str, p: &Parameters, sources: &dyn Sources) -> Result<Vec<SocketAddr>, String> {
    let (host, port_name) = match name.rsplit_once(':') {
        Some((host, port)) => (Some(host.trim_start_matches('[').trim_end_matches(']')), port),
        None => (None, name),
    };
    let port = port(port_name, sources).ok_or_else(|| format!("unknown port name \"{port_name}\""))?;
    let protocols = p.text("inet_protocols").value.to_ascii_lowercase();
    let wanted = |address: &IpAddr| {
        protocols.contains("all") || protocols.contains(if address.is_ipv4() { "ipv4" } else { "ipv6" })
    };
    let hosts: Vec<IpAddr> = match host {
        Some(host) => named_host(host, sources)?,
        None => interfaces(&p.text("inet_interfaces").value, sources)?,
    };
    Ok(hosts.into_iter().filter(wanted).map(|address| SocketAddr::new(address, port)).collect())
}

/// The addresses of a host; none where nobody may ask for them, and the port is left unjudged.
fn named_host(host: &str, sources: &dyn Sources) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    match sources.vantage() {
        Vantage::Elsewhere => Ok(Vec::new()),
        Vantage::Looking => {
            let text = sources.read(std::path::Path::new("/etc/hosts")).unwrap_or_default();
            let hosts = Hosts::parse(&String::from_utf8_lossy(&text));
            Ok(hosts.addresses(host).unwrap_or_default().to_vec())
        }
        Vantage::Serving => {
            let resolved = std::net::ToSocketAddrs::to_socket_addrs(&(host, 0));
            let resolved = resolved.map_err(|error| format!("host \"{host}\": {error}"))?;
            Ok(resolved.map(|address| address.ip()).collect())
        }
    }
}

fn interfaces(setting: &str, sources: &dyn Sources) -> Result<Vec<IpAddr>, String> {
    let mut addresses = Vec::new();
    for word in setting.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "all" => return Ok(vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]),
            "loopback-only" => {
                addresses.extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()])
            }
            name => {
                let name = name.trim_start_matches('[').trim_end_matches(']');
                addresses.extend(named_host(name, sources)?);
            }
        }
    }
    addresses.dedup();
    Ok(addresses)
}

/// A port by number or name; names that mail uses are known without /etc/services.
pub(crate) fn port(name: &str, sources: &dyn Sources) -> Option<u16> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    match name {
        "smtp" => return Some(25),
        "smtps" | "submissions" => return Some(465),
        "submission" => return Some(587),
        _ => {}
    }
    let services = sources.read(std::path::Path::new("/etc/services")).ok()?;
    let services = String::from_utf8_lossy(&services).into_owned();
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, number) = (words.next()?, words.next()?);
        let number = number.strip_suffix("/tcp")?.parse().ok()?;
        (first == name || words.any(|alias| alias == name)).then_some(number)
    })
}
