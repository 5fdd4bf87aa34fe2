//! What main.cf and a line of master.cf say about a transport of smtp(8)'s kind.
//!
//! Each service has its own `-o`: `relay` and `smtp` may differ. Parameters are `smtp_…` for SMTP and `lmtp_…` for
//! LMTP. A transport that must not speak in clear text, or must log in, is refused: there is no TLS here yet, and mail
//! never goes out with less protection than was asked for.

use super::hosts::{Family, Lookup};
use crate::configuration::port_number;
use crate::facts::Names;
use config::{Parameters, Role, Service};
use mail::Dsn;
use proto::client::{Dialect, Keyword, Settings, Timeouts, Why};
use std::net::IpAddr;
use std::time::Duration;
use tables::Sources;

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
    pub(super) myhostname: String,
    own: Vec<IpAddr>,
    v4: bool,
    v6: bool,
    preference: Family,
    /// `soft_bounce`: nothing is refused for good.
    pub soft_bounce: bool,
    /// Why nothing may be sent.
    pub(super) refused: Option<Why>,
}

impl Transport {
    /// The transport that `service` is, by its parameters; `None` for one of another kind.
    #[must_use]
    pub fn compile(service: &Service, main: &Parameters, sources: &dyn Sources) -> Option<Transport> {
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
        let mut ports = Vec::new();
        for name in ["smtp", "submission", "smtps", "submissions", "lmtp"] {
            ports.extend(port_number(name, sources).map(|port| (name.to_owned(), port)));
        }
        Some(Transport {
            program: format!("{}/{}", p.text("syslog_name").value, service.command.value),
            conversation: reader.conversation(dialect),
            port,
            ports,
            fallback_relays: reader.list("fallback_relay"),
            asks_exchangers: dialect == Dialect::Smtp && reader.text("dns_support_level") != "disabled",
            native: reader.list("host_lookup").iter().any(|word| word == "native"),
            addresses_max: reader.count("mx_address_limit"),
            sessions_max: reader.count("mx_session_limit"),
            connect_timeout: match p.duration(&reader.name("connect_timeout")) {
                // smtp(8): 0 leaves it to the system.
                Duration::ZERO => Duration::from_secs(130),
                time => time,
            },
            bind_v4: reader.text("bind_address").parse().ok(),
            bind_v6: reader.text("bind_address6").trim_matches(['[', ']']).parse().ok(),
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
            refused: reader.refused(),
        })
    }

    pub(super) fn is_lmtp(&self) -> bool {
        self.conversation.dialect == Dialect::Lmtp
    }

    pub(super) fn port_by_name(&self, name: &str) -> Option<u16> {
        name.parse()
            .ok()
            .or_else(|| self.ports.iter().find(|(known, _)| known == name).map(|(_, port)| *port))
    }

    pub(super) fn lookup<'a>(&'a self, names: &'a dyn Names) -> Lookup<'a> {
        Lookup {
            names,
            native: self.native || self.is_lmtp(),
            v4: self.v4,
            v6: self.v6,
            own: &self.own,
            myhostname: &self.myhostname,
            preference: self.preference,
        }
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
        Settings {
            dialect,
            helo_name: self.text(&format!("{hello}_name")),
            // LMTP knows neither.
            always_ehlo: dialect == Dialect::Lmtp || self.flag("always_send_ehlo"),
            never_ehlo: dialect == Dialect::Smtp && self.flag("never_send_ehlo"),
            skip_5xx_greeting: self.flag("skip_5xx_greeting"),
            discarded: self.list(keywords).iter().filter_map(|name| Keyword::from_name(name)).collect(),
            line_length_max: self.count("line_length_limit"),
            skip_quit_response: self.flag("skip_quit_response"),
            timeouts: Timeouts {
                helo: time(&format!("{hello}_timeout")),
                mail: time("mail_timeout"),
                rcpt: time("rcpt_timeout"),
                data_init: time("data_init_timeout"),
                data_xfer: time("data_xfer_timeout"),
                data_done: time("data_done_timeout"),
                rset: time("rset_timeout"),
                quit: time("quit_timeout"),
            },
        }
    }

    /// Why a transport must not be used, for now.
    fn refused(&self) -> Option<Why> {
        let level = self.text("tls_security_level").to_ascii_lowercase();
        let demanded = !matches!(level.as_str(), "" | "none" | "may") || self.flag("enforce_tls");
        let defer = |text: String| Some(Why::new(Dsn::new(4, 7, 5), text));
        if demanded || self.flag("tls_wrappermode") {
            return defer(format!(
                "TLS is required by {}, but it is not served yet",
                self.name("tls_security_level")
            ));
        }
        if !self.list("tls_policy_maps").is_empty() {
            return defer(format!(
                "{} may require TLS, which is not served yet",
                self.name("tls_policy_maps")
            ));
        }
        if self.flag("sasl_auth_enable") {
            return defer(format!(
                "{} asks for a log-in, which is not served yet",
                self.name("sasl_auth_enable")
            ));
        }
        None
    }
}
