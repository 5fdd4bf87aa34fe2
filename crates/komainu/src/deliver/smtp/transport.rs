//! What main.cf and a line of master.cf say about a transport of smtp(8)'s kind.
//!
//! Each service has its own `-o`: `relay` and `smtp` may differ. Parameters are `smtp_…` for SMTP and `lmtp_…` for
//! LMTP. What can't be served is refused: mail never goes out with less protection than was asked for. Certificates and
//! keys are read here, once for each configuration.

use super::by_address::ByAddress;
use super::checking::Checking;
use super::generic::Generic;
use super::hosts::{Family, Lookup, Server};
use super::login::Sasl;
use super::pool::{Pool, Reuse};
use super::security::Protection;
use crate::configuration::port_number;
use crate::deliver::status_filter::StatusFilter;
use crate::facts::Names;
use crate::tls::client::Engine;
use crate::tls::files::{Anchors, FileError, chains, credentials};
use crate::tls::fingerprint::Digest;
use config::{Parameters, Role, Service};
use mail::seven_bit::Limits;
use mail::{Address, Dsn};
use proto::client::{Demands, Dialect, Discards, LineFilter, Pix, Probe, Settings, Timeouts, Why};
use queue::Recipient;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tables::matching::StringList;
use tables::{Catalogue, Snapshot, Sources, TableId};

/// A transport, ready to be used.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Who speaks in the log: `postfix/smtp`.
    pub program: String,
    /// The conversation's settings.
    pub(super) conversation: Settings,
    /// `smtp_tcp_port`.
    pub(super) port: u16,
    /// Ports by name, from /etc/services.
    ports: Vec<(String, u16)>,
    /// `smtp_fallback_relay`.
    pub(super) fallback_relays: Vec<String>,
    /// `smtp_dns_support_level` isn't `disabled`.
    pub(super) asks_exchangers: bool,
    native: bool,
    /// `smtp_mx_address_limit`; 0 is without limit.
    pub(super) addresses_max: usize,
    /// `smtp_mx_session_limit`; 0 is without limit.
    pub(super) sessions_max: usize,
    pub(super) connect_timeout: Duration,
    pub(super) bind_v4: Option<IpAddr>,
    pub(super) bind_v6: Option<IpAddr>,
    /// `smtp_bind_address_enforce`
    pub(super) bind_enforced: bool,
    /// `smtp_send_xforward_command`
    pub(super) forwards_origin: bool,
    /// `lmtp_assume_final`, or `flags=X`
    pub assumes_final: bool,
    /// `flags=`
    pub(super) flags: Flags,
    /// What is odd about its parameters, said with its first delivery.
    pub remarks: Remarks,
    pub(super) myhostname: String,
    own: Vec<IpAddr>,
    v4: bool,
    v6: bool,
    preference: Family,
    /// `soft_bounce`: nothing is refused for good.
    pub soft_bounce: bool,
    /// Why nothing may be sent.
    pub(super) refused: Option<Why>,
    pub(super) protection: Protection,
    /// `smtp_sasl_auth_enable`
    pub(super) sasl: Option<Sasl>,
    pub(super) reuse: Reuse,
    /// Connections that wait for more mail.
    pub(super) pool: Pool,
    /// `minimal_backoff_time`
    pub(super) minimal_backoff: Duration,
    /// `smtp_generic_maps`
    pub generic: Option<Generic>,
    /// `smtp_header_checks` and kin.
    pub checking: Option<Checking>,
    /// `smtp_address_verify_target`
    pub(super) probe: Probe,
    choice: Choice,
    pub(super) by_address: ByAddress,
    /// `smtp_dns_reply_filter`
    dns_filter: Vec<TableId>,
    /// `smtp_reply_filter`
    pub(super) reply_filter: Vec<TableId>,
    /// `smtp_delivery_status_filter`
    pub status_filter: Option<StatusFilter>,
    /// `smtp_quote_rfc821_envelope`
    pub(super) quotes: bool,
}

/// What is said once.
#[derive(Clone, Debug, Default)]
pub struct Remarks(Arc<Mutex<Vec<String>>>);

impl Remarks {
    /// What hasn't been said yet.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which of a destination's servers are tried, and in which order.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// `smtp_balance_inet_protocols`
    balances: bool,
    /// `smtp_randomize_addresses`
    shuffles: bool,
    /// `ignore_mx_lookup_error`
    ignores_mx_errors: bool,
    /// `smtp_defer_if_no_mx_address_found`
    defers_without_address: bool,
}

impl Transport {
    /// The transport that `service` is, by its parameters; `None` for one of another kind. Its tables are added to
    /// `catalogue`.
    #[must_use]
    pub fn compile(
        service: &Service,
        main: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> Option<Transport> {
        let (dialect, prefix) = match service.role() {
            Role::Smtp => (Dialect::Smtp, "smtp_"),
            Role::Lmtp => (Dialect::Lmtp, "lmtp_"),
            _ => return None,
        };
        // What is wrong with the overrides was said when the names were checked.
        let (p, _) = main.with_overrides(&service.overrides);
        let reader = Reader { p: &p, prefix };
        let protocols = p.text("inet_protocols").value.to_ascii_lowercase();
        let uses =
            |word: &str| protocols.split([',', ' ', '\t']).any(|found| found == word || found == "all");
        let port = reader.text("tcp_port");
        let port = port_number(&port, sources).unwrap_or(if dialect == Dialect::Lmtp { 24 } else { 25 });
        let own = p.host().addresses.iter().map(|interface| interface.address);
        let proxies = p.list("proxy_interfaces").into_iter().filter_map(|word| word.value.parse().ok());
        Some(Transport {
            generic: Generic::compile(service, main, catalogue),
            checking: Checking::compile(service, main, catalogue),
            choice: reader.choice(),
            by_address: reader.by_address(dialect, catalogue),
            dns_filter: reader.tables("dns_reply_filter", catalogue),
            reply_filter: reader.tables("reply_filter", catalogue),
            status_filter: StatusFilter::new(
                reader.name("delivery_status_filter"),
                reader.tables("delivery_status_filter", catalogue),
            ),
            quotes: reader.flag("quote_rfc821_envelope"),
            program: format!("{}/{}", p.text("syslog_name").value, service.command.value),
            conversation: reader.conversation(dialect),
            port,
            ports: ports(sources),
            fallback_relays: reader.list("fallback_relay"),
            asks_exchangers: dialect == Dialect::Smtp && !reader.has_no_dns(),
            native: reader.list("host_lookup").iter().any(|word| word == "native") || reader.has_no_dns(),
            addresses_max: reader.count("mx_address_limit"),
            sessions_max: reader.count("mx_session_limit"),
            connect_timeout: match p.duration(&reader.name("connect_timeout")) {
                // smtp(8): 0 leaves it to the system.
                Duration::ZERO => Duration::from_secs(130),
                time => time,
            },
            bind_v4: reader.text("bind_address").parse().ok(),
            bind_v6: reader.text("bind_address6").trim_matches(['[', ']']).parse().ok(),
            bind_enforced: reader.flag("bind_address_enforce"),
            forwards_origin: reader.flag("send_xforward_command"),
            assumes_final: has_flag(service, 'X') || dialect == Dialect::Lmtp && reader.flag("assume_final"),
            flags: Flags::read(service),
            remarks: reader.remarks(dialect),
            myhostname: p.text("myhostname").value,
            own: own.chain(proxies).collect(),
            v4: uses("ipv4"),
            v6: uses("ipv6"),
            preference: match reader.text("address_preference").as_str() {
                "ipv4" => Family::V4,
                "ipv6" => Family::V6,
                _ => Family::Any,
            },
            soft_bounce: p.flag("soft_bounce"),
            refused: unknown_flag(service).or_else(|| reader.refused()),
            protection: reader.protection(catalogue, sources),
            sasl: reader.flag("sasl_auth_enable").then(|| reader.sasl(catalogue, sources)),
            reuse: reader.reuse(),
            pool: Pool::default(),
            minimal_backoff: p.duration("minimal_backoff_time"),
            probe: match reader.text("address_verify_target").to_ascii_lowercase().as_str() {
                "data" => Probe::Data,
                _ => Probe::Rcpt,
            },
        })
    }

    pub(super) fn is_lmtp(&self) -> bool {
        self.conversation.dialect == Dialect::Lmtp
    }

    /// `smtp_reply_filter`, ready to be asked.
    pub(super) fn line_filter(&self, tables: &Snapshot) -> Option<LineFilter> {
        let filter = self.reply_filter.clone();
        let tables = tables.clone();
        (!filter.is_empty()).then(|| {
            LineFilter(Arc::new(move |line: &str| {
                for table in filter.iter().map(|table| tables.table(*table)) {
                    match table.lookup(line) {
                        Ok(None) => {}
                        Ok(Some(hit)) => return Ok(Some(hit.value.into_owned())),
                        Err(_) => return Err(table.name().to_owned()),
                    }
                }
                Ok(None)
            }))
        })
    }

    pub(super) fn port_by_name(&self, name: &str) -> Option<u16> {
        name.parse()
            .ok()
            .or_else(|| self.ports.iter().find(|(known, _)| known == name).map(|(_, port)| *port))
    }

    /// Whether an address is this machine's.
    pub(super) fn is_own(&self, address: &str) -> bool {
        address.parse().is_ok_and(|address: IpAddr| address.is_loopback() || self.own.contains(&address))
    }

    /// Whether a record of the DNS is to be overlooked (`smtp_dns_reply_filter`).
    pub(super) fn ignores(&self, record: &str, tables: &Snapshot) -> bool {
        let mut hits = self.dns_filter.iter().map(|table| tables.table(*table).lookup(record));
        let hit = hits.find_map(|hit| hit.ok().flatten());
        hit.is_some_and(|hit| hit.value.trim().eq_ignore_ascii_case("ignore"))
    }

    pub(super) fn lookup<'a>(
        &'a self,
        names: &'a dyn Names,
        warn: &'a (dyn Fn(String) + Sync),
        ignores: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> Lookup<'a> {
        Lookup {
            names,
            ignores: (!self.dns_filter.is_empty()).then_some(ignores),
            warn,
            native: self.native || self.is_lmtp(),
            v4: self.v4,
            v6: self.v6,
            own: &self.own,
            myhostname: &self.myhostname,
            detects_loops: true,
            preference: self.preference,
            shuffles: self.choice.shuffles,
            ignores_mx_errors: self.choice.ignores_mx_errors,
            defers_without_address: self.choice.defers_without_address,
        }
    }

    /// The servers that may be tried (`smtp_mx_address_limit`), both protocols among them where there are both
    /// (`smtp_balance_inet_protocols`).
    pub(super) fn considered(&self, servers: Vec<Server>) -> Vec<Server> {
        let limit = self.addresses_max;
        if servers.len() <= limit || limit < 2 || !self.choice.balances {
            return servers.into_iter().take(limit).collect();
        }
        let of_v4 = servers.iter().filter(|server| server.address.is_ipv4()).count();
        let of_v6 = servers.len().saturating_sub(of_v4);
        // Half of the places are either protocol's, the rest is whose servers come first.
        let half = limit / 2;
        let mut left = [limit.saturating_sub(of_v6.min(half)), limit.saturating_sub(of_v4.min(half))];
        let fits = move |server: &Server| {
            let [v4, v6] = &mut left;
            let places = if server.address.is_ipv4() { v4 } else { v6 };
            let is_place = *places > 0;
            *places = places.saturating_sub(1);
            is_place
        };
        servers.into_iter().filter(fits).take(limit).collect()
    }
}

/// Ports by name, of those that mail goes to.
fn ports(sources: &dyn Sources) -> Vec<(String, u16)> {
    let names = ["smtp", "submission", "smtps", "submissions", "lmtp"].into_iter();
    names.filter_map(|name| Some((name.to_owned(), port_number(name, sources)?))).collect()
}

/// What is put in front of a message: `flags=DOR`.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    pub(super) return_path: bool,
    pub(super) original_to: bool,
    pub(super) delivered_to: bool,
    /// The service's name.
    pub(super) name: String,
}

fn flags(service: &Service) -> &str {
    let words = service.arguments.iter();
    words.filter_map(|word| word.value.strip_prefix("flags=")).next_back().unwrap_or_default()
}

fn has_flag(service: &Service, flag: char) -> bool {
    flags(service).contains(flag)
}

/// Postfix's smtp(8) ends at once; mail waits in front of both.
fn unknown_flag(service: &Service) -> Option<Why> {
    let flags = flags(service);
    let unknown = flags.chars().find(|flag| !config::master_cf::words::is_client_flag(*flag))?;
    let text = format!("unknown flags={flags} value \"{unknown}\" in \"{flags}\"");
    Some(Why::new(Dsn::new(4, 3, 5), text))
}

impl Flags {
    fn read(service: &Service) -> Flags {
        Flags {
            return_path: has_flag(service, 'R'),
            original_to: has_flag(service, 'O'),
            delivered_to: has_flag(service, 'D'),
            name: service.name.value.clone(),
        }
    }

    /// They speak of one recipient.
    pub(super) const fn is_personal(&self) -> bool {
        self.original_to || self.delivered_to
    }

    /// The lines in front of the message.
    pub(super) fn head(&self, sender: &Address, recipient: Option<&Recipient>) -> String {
        let mut head = String::new();
        if self.return_path {
            head.push_str(&format!("Return-Path: <{sender}>\n"));
        }
        if let Some(recipient) = recipient {
            if self.original_to {
                head.push_str(&format!("X-Original-To: {}\n", recipient.original));
            }
            if self.delivered_to {
                head.push_str(&format!("Delivered-To: {}\n", recipient.address));
            }
        }
        head
    }
}

/// Reads `smtp_…` or `lmtp_…`.
struct Reader<'a> {
    p: &'a Parameters,
    prefix: &'static str,
}

impl Reader<'_> {
    fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.prefix)
    }

    fn text(&self, suffix: &str) -> String {
        self.p.text(&self.name(suffix)).value
    }

    fn list(&self, suffix: &str) -> Vec<String> {
        self.p.list(&self.name(suffix)).into_iter().map(|word| word.value).collect()
    }

    fn flag(&self, suffix: &str) -> bool {
        self.p.flag(&self.name(suffix))
    }

    fn count(&self, suffix: &str) -> usize {
        usize::try_from(self.p.number(&self.name(suffix))).unwrap_or(0)
    }

    fn conversation(&self, dialect: Dialect) -> Settings {
        let (hello, keywords) = match dialect {
            Dialect::Smtp => ("helo", "discard_ehlo_keywords"),
            Dialect::Lmtp => ("lhlo", "discard_lhlo_keywords"),
        };
        let time = |suffix: &str| self.p.duration(&self.name(suffix));
        let common = |name: &str| usize::try_from(self.p.number(name)).unwrap_or(0);
        Settings {
            dialect,
            helo_name: self.text(&format!("{hello}_name")),
            // LMTP knows neither.
            always_ehlo: dialect == Dialect::Lmtp || self.flag("always_send_ehlo"),
            never_ehlo: dialect == Dialect::Smtp && self.flag("never_send_ehlo"),
            skip_5xx_greeting: self.flag("skip_5xx_greeting"),
            discards: Discards::parse(&self.text(keywords)),
            line_length_max: self.count("line_length_limit"),
            skip_quit_response: self.flag("skip_quit_response"),
            deadline_rate: self
                .flag("per_request_deadline")
                .then(|| u64::try_from(self.p.number(&self.name("min_data_rate"))).unwrap_or(1)),
            request_max: self.p.duration("daemon_timeout"),
            conversion: (!self.p.flag("disable_mime_output_conversion")).then(|| Limits {
                nesting_max: common("mime_nesting_limit"),
                boundary_max: common("mime_boundary_length_limit"),
                header_bytes_max: common("header_size_limit"),
            }),
            dummy_mail_auth: self.flag("send_dummy_mail_auth"),
            // Each server's own.
            pix: Pix::default(),
            timeouts: Timeouts {
                helo: time(&format!("{hello}_timeout")),
                starttls: time("starttls_timeout"),
                mail: time("mail_timeout"),
                xforward: time("xforward_timeout"),
                rcpt: time("rcpt_timeout"),
                data_init: time("data_init_timeout"),
                data_xfer: time("data_xfer_timeout"),
                data_done: time("data_done_timeout"),
                rset: time("rset_timeout"),
                quit: time("quit_timeout"),
            },
        }
    }

    fn tables(&self, suffix: &str, catalogue: &mut Catalogue) -> Vec<TableId> {
        let words = self.p.list(&self.name(suffix));
        words.iter().map(|word| catalogue.seat(word)).collect()
    }

    /// `smtp_dns_support_level`, or what said so before.
    fn has_no_dns(&self) -> bool {
        match self.text("dns_support_level").as_str() {
            "" => self.p.flag("disable_dns_lookups"),
            level => level.eq_ignore_ascii_case("disabled"),
        }
    }

    fn remarks(&self, dialect: Dialect) -> Remarks {
        let mut remarks = Vec::new();
        if dialect == Dialect::Lmtp && self.flag("assume_final") {
            let name = self.name("assume_final");
            remarks.push(format!("{name} is obsolete; instead, specify \"flags=X\" in master.cf"));
        }
        Remarks(Arc::new(Mutex::new(remarks)))
    }

    fn choice(&self) -> Choice {
        Choice {
            balances: self.flag("balance_inet_protocols"),
            shuffles: self.flag("randomize_addresses"),
            ignores_mx_errors: self.p.flag("ignore_mx_lookup_error"),
            defers_without_address: self.flag("defer_if_no_mx_address_found"),
        }
    }

    fn by_address(&self, dialect: Dialect, catalogue: &mut Catalogue) -> ByAddress {
        let keywords = match dialect {
            Dialect::Smtp => "discard_ehlo_keyword_address_maps",
            Dialect::Lmtp => "discard_lhlo_keyword_address_maps",
        };
        ByAddress {
            discard_maps: self.tables(keywords, catalogue),
            pix: self.text("pix_workarounds"),
            pix_maps: self.tables("pix_workaround_maps", catalogue),
            pix_threshold: self.p.duration(&self.name("pix_workaround_threshold_time")),
            pix_delay: self.p.duration(&self.name("pix_workaround_delay_time")),
        }
    }

    fn words(&self, suffix: &str) -> Vec<String> {
        let text = self.text(suffix);
        let words = text.split([',', ' ', '\t', '\r', '\n', ':']).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    fn reuse(&self) -> Reuse {
        let destinations = self.words("connection_cache_destinations");
        Reuse {
            on_demand: self.flag("connection_cache_on_demand"),
            destinations: destinations.iter().map(|word| word.to_ascii_lowercase()).collect(),
            idle: self.p.duration(&self.name("connection_cache_time_limit")),
            time: self.p.duration(&self.name("connection_reuse_time_limit")),
            count: u32::try_from(self.count("connection_reuse_count_limit")).unwrap_or(u32::MAX),
        }
    }

    /// The security level, by today's parameter or by the older ones.
    fn level(&self) -> String {
        let level = self.text("tls_security_level").to_ascii_lowercase();
        if !level.is_empty() {
            return level;
        }
        let level = match (self.flag("enforce_tls"), self.flag("tls_enforce_peername"), self.flag("use_tls"))
        {
            (true, true, _) => "verify",
            (true, false, _) => "encrypt",
            (false, _, true) => "may",
            (false, _, false) => "none",
        };
        level.to_owned()
    }

    fn sasl(&self, catalogue: &mut Catalogue, sources: &dyn Sources) -> Sasl {
        let words = self.p.list(&self.name("sasl_password_maps"));
        let maps: Vec<_> = words.iter().map(|word| catalogue.seat(word)).collect();
        let filter = self.p.list(&self.name("sasl_mechanism_filter"));
        // What is wrong with it makes it match nothing: there is no log-in then, and mail waits.
        let filter = (!filter.is_empty()).then(|| StringList::compile(&filter, catalogue, sources, false).0);
        Sasl {
            broken: maps.len() < words.len(),
            maps,
            by_sender: self.flag("sender_dependent_authentication"),
            extension: self.p.text("recipient_delimiter").value,
            delimiter: self.text("sasl_password_result_delimiter"),
            in_the_clear: Demands(self.words("sasl_security_options")),
            encrypted: Demands(self.words("sasl_tls_security_options")),
            verified: Demands(self.words("sasl_tls_verified_security_options")),
            filter,
            soft_bounce: self.flag("sasl_auth_soft_bounce"),
        }
    }

    fn protection(&self, catalogue: &mut Catalogue, sources: &dyn Sources) -> Protection {
        let words = self.p.list(&self.name("tls_policy_maps"));
        let maps: Vec<_> = words.iter().map(|word| catalogue.seat(word)).collect();
        let fingerprints = self.text("tls_fingerprint_cert_match");
        let fingerprints = fingerprints.split([',', ' ', '\t', '\r', '\n', '|']);
        let digest = Digest::from_name(&self.text("tls_fingerprint_digest"));
        let level = self.level();
        // Who never speaks TLS needs no files.
        let is_used = level != "none" || !words.is_empty();
        let files = self.list("tls_trust_anchor_file");
        let chosen = (is_used && !files.is_empty()).then(|| Anchors::chosen(&files, sources));
        let engine = match (is_used, digest) {
            (false, _) => Ok(None),
            (true, None) => Err("unknown smtp_tls_fingerprint_digest".to_owned()),
            (true, Some(_)) => self.engine(sources).map(Some).map_err(|error| error.to_string()),
        };
        let (engine, fault) = match engine {
            Ok(engine) => (engine, None),
            Err(fault) => (None, Some(format!("{fault}: disabling TLS support"))),
        };
        Protection {
            level,
            broken: maps.len() < words.len(),
            maps,
            maps_name: self.name("tls_policy_maps"),
            verify_match: self.words("tls_verify_cert_match"),
            secure_match: self.words("tls_secure_cert_match"),
            fingerprints: fingerprints.filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            digest,
            protocols: self.text("tls_protocols"),
            mandatory_protocols: self.text("tls_mandatory_protocols"),
            excluded: self.words("tls_exclude_ciphers"),
            mandatory_excluded: self.words("tls_mandatory_exclude_ciphers"),
            servername: self.text("tls_servername"),
            loglevel: self.p.number(&self.name("tls_loglevel")),
            notes_offer: self.flag("tls_note_starttls_offer"),
            wrapper: self.flag("tls_wrappermode"),
            reuse: self.flag("tls_connection_reuse"),
            timeout: self.p.duration(&self.name("starttls_timeout")),
            engine: engine.map(Arc::new),
            fault,
            chosen: chosen.map(|read| read.map(Arc::new).map_err(|error| error.to_string())),
        }
    }

    /// The files of TLS.
    fn engine(&self, sources: &dyn Sources) -> Result<Engine, FileError> {
        let mut anchors = Anchors::read(&self.text("tls_CAfile"), &self.text("tls_CApath"), sources)?;
        if self.p.flag("tls_append_default_CA") {
            anchors.append(Anchors::read("", DEFAULT_CA_PATH, sources)?);
        }
        let chain_files = self.list("tls_chain_files");
        let pairs = [("tls_eccert_file", "tls_eckey_file"), ("tls_cert_file", "tls_key_file")];
        let own = if chain_files.is_empty() {
            let named = pairs.map(|(chain, key)| (self.text(chain), self.text(key)));
            let named = named.iter().filter(|(chain, _)| !chain.is_empty() && chain != "none");
            named.map(|(chain, key)| credentials(chain, key, sources)).collect::<Result<Vec<_>, _>>()?
        } else {
            chains(&chain_files, sources)?
        };
        let resumes = !self.text("tls_session_cache_database").is_empty();
        Ok(Engine::new(anchors, own, resumes))
    }

    /// Why a transport must not be used, for now.
    fn refused(&self) -> Option<Why> {
        let defer = |text: String| Some(Why::new(Dsn::new(4, 7, 5), text));
        let level = self.level();
        if self.flag("tls_wrappermode") && matches!(level.as_str(), "none" | "may" | "dane") {
            // Postfix's smtp(8) ends at once; mail waits in front of both.
            return defer(format!(
                "{} requires \"{} = encrypt\" (or stronger)",
                self.name("tls_wrappermode"),
                self.name("tls_security_level")
            ));
        }
        if !self.text("tls_per_site").is_empty() && self.list("tls_policy_maps").is_empty() {
            return defer(format!(
                "{} is not served: write {}",
                self.name("tls_per_site"),
                self.name("tls_policy_maps")
            ));
        }
        if self.flag("sasl_auth_enable") && self.list("sasl_password_maps").is_empty() {
            // Postfix's smtp(8) ends at once; mail waits in front of both.
            return defer(format!(
                "{} is empty, but {} asks for a log-in",
                self.name("sasl_password_maps"),
                self.name("sasl_auth_enable")
            ));
        }
        None
    }
}

/// Where Debian keeps public CAs: `tls_append_default_CA`.
const DEFAULT_CA_PATH: &str = "/etc/ssl/certs";
