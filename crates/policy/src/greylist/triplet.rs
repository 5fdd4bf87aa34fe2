//! What a request is about, and the texts by which triplets and clients are remembered.
//!
//! Postgrey's keys, so that its database can be taken over: `NETWORK/sender/recipient`, addresses spelt as it spells
//! them, the sender without what changes from mail to mail (extensions, numbers, BATV tags).

use super::Options;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What greylisting needs of a policy request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The client's name, or `unknown`.
    pub client_name: &'a str,
    /// Its address as it was given.
    pub client_address: &'a str,
    /// Its address.
    pub client: IpAddr,
    /// The sender; empty for reports.
    pub sender: &'a str,
    /// The recipient.
    pub recipient: &'a str,
    /// Which message this is; empty where nobody says.
    pub instance: &'a str,
    /// The [pool](super::pool) that the client belongs to, where that counts and is known.
    pub pool: Option<&'a str>,
}

/// Why a request can't be judged; displayed as Postgrey logs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It isn't Postfix's kind of request; nothing is answered.
    #[error("unrecognized request type: '{0}'")]
    Type(String),
    /// An attribute isn't there; mail isn't kept back by it.
    #[error("attribute missing: {0}")]
    Missing(&'static str),
    /// The client's address is none; mail isn't kept back by it.
    #[error("client_address is no address: {0}")]
    Address(String),
}

impl<'a> Request<'a> {
    /// Reads a request whose attributes `value` finds.
    ///
    /// # Errors
    /// Where it can't be judged.
    pub fn read(value: impl Fn(&str) -> Option<&'a str>) -> Result<Request<'a>, Unusable> {
        let kind = value("request").unwrap_or("");
        if kind != "smtpd_access_policy" {
            return Err(Unusable::Type(kind.chars().take(100).collect()));
        }
        let wanted = |name: &'static str| value(name).ok_or(Unusable::Missing(name));
        let client_address = wanted("client_address")?;
        let client_name = wanted("client_name")?;
        let recipient = wanted("recipient")?;
        let sender = wanted("sender")?;
        let bare = client_address.split_once('%').map_or(client_address, |(address, _)| address);
        let unusable = |_| Unusable::Address(client_address.chars().take(100).collect());
        let client: IpAddr = bare.parse().map_err(unusable)?;
        let instance = value("instance").unwrap_or("");
        let client = client.to_canonical();
        Ok(Request { client_name, client_address, client, sender, recipient, instance, pool: None })
    }
}

/// The texts by which a triplet may be known, the one that it is remembered by first: its pool's where it has one, and
/// Postgrey's.
#[must_use]
pub fn keys(request: &Request<'_>, options: &Options) -> Vec<String> {
    let network = network(request.client, options);
    let rest = format!("{}/{}", sender(request.sender), request.recipient.to_lowercase());
    let of = |first: &str| format!("{first}/{rest}");
    request.pool.into_iter().chain([network.as_str()]).map(of).collect()
}

/// The texts by which a client may be known for good, the one that it is counted by first. A zone vouches for no one:
/// its hosts aren't all servers.
#[must_use]
pub fn client_keys(request: &Request<'_>) -> Vec<String> {
    let by_spf = request.pool.filter(|pool| pool.starts_with("spf:")).map(str::to_owned);
    by_spf.into_iter().chain([client_key(request.client)]).collect()
}

/// The client, as Postgrey knows it.
#[must_use]
pub fn client_key(client: IpAddr) -> String {
    match client {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => in_full(v6).to_uppercase(),
    }
}

/// Those who share their part of what can be remembered: a client's /24, or /48.
#[must_use]
pub fn crowd(client: IpAddr) -> u32 {
    match client {
        IpAddr::V4(v4) => v4.to_bits() >> 8,
        IpAddr::V6(v6) => {
            let bits = u64::try_from(v6.to_bits() >> 80).unwrap_or(0);
            let mixed = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            u32::try_from(mixed).unwrap_or(0) | 1 << 31
        }
    }
}

fn network(client: IpAddr, options: &Options) -> String {
    match (client, options.by_host) {
        (IpAddr::V4(v4), true) => format!("{v4}/32"),
        (IpAddr::V6(v6), true) => format!("{}/128", in_full(v6)),
        (IpAddr::V4(v4), false) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(options.ipv4_bits.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).to_string()
        }
        (IpAddr::V6(v6), false) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(options.ipv6_bits.min(128))).unwrap_or(0);
            in_full(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// `2001:db8:0:0:0:0:0:5`
fn in_full(address: Ipv6Addr) -> String {
    let parts: Vec<String> = address.segments().iter().map(|part| format!("{part:x}")).collect();
    parts.join(":")
}

/// A sender without what changes from mail to mail.
#[must_use]
pub fn sender(address: &str) -> String {
    let Some((user, domain)) = address.split_once('@') else { return address.to_lowercase() };
    let user = user.split_once('+').map_or(user, |(user, _)| user);
    let user = numbers(without_tag(user));
    format!("{user}@{domain}").to_lowercase()
}

/// BATV, both ways round: `prvs=TAG=user` and `prvs=user=TAG`.
fn without_tag(user: &str) -> &str {
    let Some((first, rest)) = user.strip_prefix("prvs=").and_then(|rest| rest.split_once('=')) else {
        return user;
    };
    let like_tag = |text: &str| {
        text.len() >= 10 && text.bytes().take(10).all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    };
    if like_tag(rest) && !like_tag(first) {
        return first;
    }
    if rest.is_empty() || rest.contains('=') { user } else { rest }
}

/// `#` for each number that stands alone, as in VERP.
fn numbers(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = user;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        out.push_str(if is_number { "#" } else { word });
        let mut others = behind.chars();
        out.extend(others.next());
        rest = others.as_str();
    }
    out
}
