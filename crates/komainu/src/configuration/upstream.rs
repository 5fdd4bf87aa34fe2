//! `smtpd_upstream_proxy_protocol`, `postscreen_upstream_proxy_protocol`: a proxy in front of a listener.
//!
//! Which of the two counts is the service's kind. What a proxy says is `proto::proxy`'s, and waiting for it is
//! `session::arrival`'s.

use config::{Diagnostic, Parameters, Role};
use std::time::Duration;

/// A proxy in front, which says who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `smtpd_upstream_proxy_timeout`
    pub timeout: Duration,
    /// Whose words are used where it says nothing sensible.
    pub speaker: Speaker,
}

/// Who listens behind the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// smtpd(8)
    Smtpd,
    /// postscreen(8)
    Postscreen,
}

impl Upstream {
    /// What `p` says for a service of this kind.
    ///
    /// # Errors
    /// K0221 for a protocol that nobody knows.
    pub(super) fn read(p: &Parameters, role: &Role) -> Result<Option<Upstream>, Box<Diagnostic>> {
        let (speaker, name, timeout) = match role {
            Role::Postscreen => (
                Speaker::Postscreen,
                "postscreen_upstream_proxy_protocol",
                p.duration("postscreen_upstream_proxy_timeout"),
            ),
            _ => {
                (Speaker::Smtpd, "smtpd_upstream_proxy_protocol", p.duration("smtpd_upstream_proxy_timeout"))
            }
        };
        let word = p.text(name);
        match word.value.as_str() {
            "" => Ok(None),
            "haproxy" => Ok(Some(Upstream { timeout, speaker })),
            other => {
                let message = format!("unsupported {name} value: {other}");
                let diagnostic = Diagnostic::error(221, word.place, message);
                Err(Box::new(diagnostic.help("the one that there is: haproxy (versions 1 and 2)")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, Host, MainCf};

    #[track_caller]
    fn check(name: &str, value: &str, role: &Role, expect: Result<Option<Speaker>, &str>) {
        let mut main = MainCf::empty();
        main.set(name, value);
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
        let (p, _) = Parameters::new(&main, &host, Compat::V3_11);
        let read = Upstream::read(&p, role);
        let seen = read.map(|upstream| upstream.map(|upstream| upstream.speaker));
        let seen = seen.map_err(|diagnostic| format!("K{:04}: {}", diagnostic.code.0, diagnostic.message));
        assert_eq!(seen.as_ref().map_err(String::as_str), expect.as_ref().map_err(|text| *text));
    }

    #[test]
    fn each_kind_of_service_has_its_own() {
        let (smtpd, postscreen) = ("smtpd_upstream_proxy_protocol", "postscreen_upstream_proxy_protocol");
        check(smtpd, "haproxy", &Role::Smtpd, Ok(Some(Speaker::Smtpd)));
        check(smtpd, "haproxy", &Role::Postscreen, Ok(None));
        check(postscreen, "haproxy", &Role::Postscreen, Ok(Some(Speaker::Postscreen)));
        check(postscreen, "haproxy", &Role::Smtpd, Ok(None));
        check(smtpd, "", &Role::Smtpd, Ok(None));
        let text = "K0221: unsupported smtpd_upstream_proxy_protocol value: nginx";
        check(smtpd, "nginx", &Role::Smtpd, Err(text));
    }
}
