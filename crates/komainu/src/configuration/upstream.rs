//! `smtpd_upstream_proxy_protocol`, `postscreen_upstream_proxy_protocol`: a proxy in front of a listener.
//!
//! Which of the two counts is the service's kind. What a proxy says is `proto::proxy`'s, and waiting for it is
//! `session::arrival`'s.

use config::{Diagnostic, Interface, Parameters, Place, Role};
use policy::hidden::is_private;
use std::net::{IpAddr, SocketAddr};
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

    /// K0223: the header is believed to whoever sends it, and anybody can reach one of `listening`, which `own` are
    /// the machine's interfaces behind. Addresses that aren't routed on the Internet are a proxy's to reach.
    pub(super) fn open_to_all(
        self,
        place: Place,
        listening: &[SocketAddr],
        own: &[Interface],
    ) -> Option<Diagnostic> {
        let reached = |address: IpAddr| -> Option<IpAddr> {
            if !address.is_unspecified() {
                return is_public(address).then_some(address);
            }
            let mut own = own.iter().map(|interface| interface.address);
            own.find(|own| own.is_ipv4() == address.is_ipv4() && is_public(*own))
        };
        let reached = listening.iter().find_map(|listening| reached(listening.ip()))?;
        let name = match self.speaker {
            Speaker::Smtpd => "smtpd_upstream_proxy_protocol",
            Speaker::Postscreen => "postscreen_upstream_proxy_protocol",
        };
        let message =
            format!("anybody who reaches {reached} can say who he is: {name} believes every client");
        let help = "let the service listen on the address alone that the proxy connects to (`127.0.0.1:port`, \
                    `10.0.0.2:port` in the first column), or let a firewall keep everybody but the proxy from this \
                    port; a client that names an address of mynetworks may relay";
        // Who listens everywhere may have a firewall in front; who names the public address means it.
        let named = listening.iter().any(|listening| is_public(listening.ip()));
        let diagnostic = if named { Diagnostic::warning } else { Diagnostic::hint };
        Some(diagnostic(223, place, message).help(help))
    }
}

/// Whether the Internet has a way to `address`.
fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !(address.is_loopback() || address.is_unspecified() || is_private(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, Host, MainCf};

    /// K0223: words are the addresses that a service listens on; what follows `|`, the machine's own.
    #[test]
    fn who_can_reach_it() {
        let check = |text: &str, expect: Option<&str>| {
            let (listening, own) = text.split_once('|').unwrap_or((text, ""));
            let address = |word: &str| word.parse::<IpAddr>().unwrap();
            let listening: Vec<SocketAddr> =
                listening.split_whitespace().map(|word| SocketAddr::new(address(word), 25)).collect();
            let own: Vec<Interface> =
                own.split_whitespace().map(|word| Interface { address: address(word), prefix: 24 }).collect();
            let upstream = Upstream { timeout: Duration::from_secs(5), speaker: Speaker::Smtpd };
            let found = upstream.open_to_all(Place::nowhere(), &listening, &own);
            let reached = found.map(|found| {
                assert_eq!(found.code.0, 223);
                found.message.split_whitespace().nth(3).unwrap_or_default().to_owned()
            });
            assert_eq!(reached.as_deref(), expect, "{text}");
        };
        check("127.0.0.1 ::1 | 203.0.113.5", None);
        check("10.0.0.2 | 203.0.113.5 10.0.0.2", None);
        check("fd00::2 100.64.0.1 169.254.1.1", None);
        check("0.0.0.0 :: | 127.0.0.1 ::1 172.17.0.2 fe80::1", None);
        check("0.0.0.0 | 2001:db8::5", None);
        check("0.0.0.0 :: | 127.0.0.1 10.0.0.2 2001:db8::5", Some("2001:db8::5"));
        check("0.0.0.0 :: | 203.0.113.5", Some("203.0.113.5"));
        check("10.0.0.2 203.0.113.5", Some("203.0.113.5"));
        check("::ffff:10.0.0.2", None);
    }

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
