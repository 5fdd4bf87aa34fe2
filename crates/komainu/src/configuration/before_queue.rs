//! `smtpd_proxy_filter`: a server that sees mail before it is accepted (SMTPD_PROXY_README).
//!
//! Where it is and how it is greeted; what is said to it is `session::passing`'s.

use super::MilterEndpoint;
use config::{Diagnostic, Parameters};
use mail::message::StrayCr;
use std::sync::Arc;
use std::time::Duration;

/// A filter in front of the queue.
#[derive(Clone, Debug)]
pub struct BeforeQueue {
    /// As it is written, for the log.
    pub name: String,
    /// Where it listens.
    pub endpoint: MilterEndpoint,
    /// `smtpd_proxy_ehlo`
    pub ehlo: String,
    /// `smtpd_proxy_timeout`
    pub timeout: Duration,
    /// `smtpd_proxy_options = speed_adjust`: it is reached when the whole message is here.
    pub speed_adjust: bool,
    /// `cleanup_replace_stray_cr_lf`
    pub replaces_cr: bool,
}

impl BeforeQueue {
    /// The service's filter, where it has one.
    #[must_use]
    pub fn read(p: &Parameters, stray_cr: StrayCr) -> (Option<Arc<BeforeQueue>>, Vec<Diagnostic>) {
        let filter = p.text("smtpd_proxy_filter");
        if filter.value.is_empty() {
            return (None, Vec::new());
        }
        let Some(endpoint) = endpoint(&filter.value) else {
            let message = format!("`{}` in smtpd_proxy_filter is no place to connect to", filter.value);
            let help = "write host:port, inet:host:port or unix:path; mail is answered 451 until it is one";
            return (None, vec![Diagnostic::error(186, filter.place, message).help(help)]);
        };
        let options = p.list("smtpd_proxy_options");
        let filter = BeforeQueue {
            name: filter.value,
            endpoint,
            ehlo: p.text("smtpd_proxy_ehlo").value,
            timeout: p.duration("smtpd_proxy_timeout"),
            speed_adjust: options.iter().any(|word| word.value.eq_ignore_ascii_case("speed_adjust")),
            replaces_cr: stray_cr == StrayCr::Replace,
        };
        (Some(Arc::new(filter)), Vec::new())
    }
}

/// `host:port`, `port`, either with `inet:` in front, or `unix:path`.
fn endpoint(text: &str) -> Option<MilterEndpoint> {
    if let Some(path) = text.strip_prefix("unix:") {
        return (!path.is_empty()).then(|| MilterEndpoint::Unix(path.to_owned()));
    }
    let text = text.strip_prefix("inet:").unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = host.strip_prefix("ipv6:").unwrap_or(host);
    let host = if host.is_empty() { "localhost" } else { host };
    let good = !port.is_empty() && !text.contains([' ', '\t', '/', '#']);
    good.then(|| MilterEndpoint::Inet(host.to_owned(), port.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, MainCf, SourceFile};

    #[test]
    fn endpoints() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let expect = expect.map(|(host, port)| MilterEndpoint::Inet(host.to_owned(), port.to_owned()));
            assert_eq!(endpoint(text), expect, "{text}");
        };
        check("127.0.0.1:10024", Some(("127.0.0.1", "10024")));
        check("inet:localhost:10024", Some(("localhost", "10024")));
        check("[::1]:10024", Some(("::1", "10024")));
        check("10024", Some(("localhost", "10024")));
        check(":10024", Some(("localhost", "10024")));
        check("host:", None);
        check("/run/filter", None);
        assert_eq!(endpoint("unix:private/filter"), Some(MilterEndpoint::Unix("private/filter".to_owned())));
        assert_eq!(endpoint("unix:"), None);
    }

    /// K0186.
    #[test]
    fn what_can_t_be_read_is_told() {
        let read = |text: &str| {
            let file = SourceFile { path: "main.cf".into(), text: text.to_owned() };
            let (main, _) = MainCf::parse(&Arc::new(file));
            let (p, _) = Parameters::new(&main, &super::super::host(), Compat::V3_7);
            BeforeQueue::read(&p, StrayCr::Replace)
        };
        assert!(read("").0.is_none() && read("").1.is_empty());
        let (filter, found) = read("smtpd_proxy_filter = /run/filter\n");
        assert!(
            filter.is_none() && found.len() == 1 && found.iter().all(|one| one.code.0 == 186),
            "{found:?}"
        );
        let (filter, _) = read("smtpd_proxy_filter = 10024\nsmtpd_proxy_options = Speed_Adjust\n");
        assert!(
            filter.is_some_and(|filter| filter.speed_adjust && filter.timeout == Duration::from_secs(100))
        );
    }
}
