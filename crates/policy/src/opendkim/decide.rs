//! What is done with a message: signed, verified, or left alone (opendkim(8), OPERATION).

use super::conf::Conf;
use super::signing::{Request, Unsigned, requests};
use mail::AddressList;
use mail::header::Header;
use std::net::IpAddr;

/// Tokens of a header with addresses.
const TOKENS_MAX: usize = 2_000;

/// Who brings a message.
#[derive(Clone, Copy, Debug)]
pub struct Brought<'a> {
    /// The client's name, where it is known.
    pub name: Option<&'a str>,
    /// Its address.
    pub address: IpAddr,
    /// It has logged in.
    pub is_logged_in: bool,
    /// `milter_macro_daemon_name`
    pub daemon: &'a str,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Role {
    /// Nothing.
    Nothing,
    /// It is signed.
    Sign(Vec<Request>),
    /// It should be signed, and can't be, for now or for good.
    CannotSign {
        /// For now.
        for_now: bool,
    },
    /// It is verified.
    Verify,
    /// Nobody can tell whose it is: there is no From.
    Malformed,
}

/// Whose mail it is by its headers: `local@domain`, the domain in lower case.
fn author(conf: &Conf, headers: &[&[u8]]) -> Option<(String, String)> {
    let found = conf.sender_headers.iter().find_map(|name| {
        headers.iter().find_map(|text| Header::parse(text).filter(|header| header.is(name)))
    })?;
    let list = AddressList::parse(found.value, TOKENS_MAX);
    let address = list.addresses().next()?;
    let domain = address.domain()?.to_ascii_lowercase();
    Some((format!("{}@{domain}", address.local()), domain))
}

/// What is done with a message of these headers, to these recipients; and what the log has of it.
#[must_use]
pub fn decide(
    conf: &Conf,
    brought: &Brought<'_>,
    headers: &[&[u8]],
    recipients: &[String],
) -> (Role, Vec<String>) {
    let mut lines = Vec::new();
    if conf.peers.has_host(brought.name, brought.address) {
        return (Role::Nothing, lines);
    }
    let has_from = headers.iter().any(|text| Header::parse(text).is_some_and(|header| header.is("From")));
    if !has_from {
        return (Role::Malformed, lines);
    }
    let author = author(conf, headers);
    let is_own = brought.is_logged_in
        || conf.internal_hosts.has_host(brought.name, brought.address)
        || conf.mta.has(brought.daemon);
    if !is_own && conf.log_why {
        lines.push("not authenticated".to_owned());
    }
    let is_exempt = author.as_ref().is_some_and(|(_, domain)| conf.exempt_domains.has_domain(domain));
    let otherwise = if conf.verifies && !is_exempt { Role::Verify } else { Role::Nothing };
    let Some((address, domain)) = author else { return (otherwise, lines) };
    let requests = requests(conf, &address, &domain);
    if !is_own {
        if conf.signing_table.is_none()
            && !matches!(requests, Err(Unsigned::NoMatch(_)))
            && !conf.external_ignore.has_host(brought.name, brought.address)
        {
            let shown = brought.name.map_or_else(|| brought.address.to_string(), str::to_owned);
            lines.push(format!("external host {shown} attempted to send as {domain}"));
        }
        return (otherwise, lines);
    }
    // As OpenDKIM has it: what it would sign isn't verified, even where it doesn't sign.
    if !conf.signs && requests.is_ok() {
        return (Role::Nothing, lines);
    }
    if !conf.signs || recipients.iter().any(|to| conf.dont_sign_to.has(to)) {
        return (otherwise, lines);
    }
    match requests {
        Ok(requests) => {
            let small = |one: &Request| one.key.bits().is_some_and(|bits| bits < conf.minimum_key_bits);
            if let Some(bits) = requests.iter().find(|one| small(one)).and_then(|one| one.key.bits()) {
                let least = conf.minimum_key_bits;
                lines.push(format!(
                    "signature generation error: private key too small ({bits} bits, need at least {least})"
                ));
                return (Role::CannotSign { for_now: false }, lines);
            }
            (Role::Sign(requests), lines)
        }
        Err(Unsigned::NoKey(why)) => {
            lines.push(why);
            (Role::CannotSign { for_now: true }, lines)
        }
        Err(Unsigned::NoMatch(why)) => {
            if conf.log_why {
                lines.push(why);
            }
            (otherwise, lines)
        }
    }
}
