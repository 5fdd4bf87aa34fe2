//! `cidr:` tables: networks in order, `!`, `if` … `endif`, the first match wins.
//!
//! The rules are resolved beforehand into spans of addresses with one answer each ([`spans`]), so a look-up costs the
//! same whatever stands in the table. Skipped lines are told in Postfix's words (cidr_table(5)).

mod address;
mod spans;

use crate::source::notice::LINE_SKIPPED;
use crate::source::{Line, Notice, Source, is_space};
use spans::{Action, Spans, Step};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network address and its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network, in Postfix's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address.
    #[error("bad address pattern: \"{0}\"")]
    Address(String),
    /// A mask that is no number.
    #[error("bad mask value in \"{0}\"")]
    Mask(String),
    /// A mask longer than the address.
    #[error("bad mask length in \"{0}\"")]
    MaskLength(String),
    /// Bits behind the mask.
    #[error("non-null host address bits in \"{text}\", perhaps you should use \"{instead}\" instead")]
    HostBits {
        /// As written.
        text: String,
        /// With those bits cleared.
        instead: String,
    },
}

/// The first `prefix` bits of an address, as a number of its family's width.
pub(crate) fn masked(address: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let host = 128 - u32::from(prefix.min(width)).min(128);
    let shift = host - (128 - u32::from(width));
    bits.checked_shr(shift).and_then(|bits| bits.checked_shl(shift)).unwrap_or(0)
}

/// The bits of an address and how many it has.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Network {
    /// Reads `address/prefix` or `address`, in brackets or not.
    ///
    /// # Errors
    /// When it is neither, or bits are set behind the prefix.
    pub fn parse(text: &str) -> Result<Network, NetworkError> {
        let bare = text.strip_prefix('[').map_or_else(|| text.to_owned(), |rest| rest.replacen(']', "", 1));
        let (address, mask) = bare.split_once('/').map_or((bare.as_str(), None), |(a, m)| (a, Some(m)));
        let prefix = match mask {
            Some(mask) if mask.is_empty() || !mask.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(NetworkError::Mask(text.to_owned()));
            }
            mask => mask.map(|mask| mask.parse::<u32>().unwrap_or(u32::MAX)),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(text.to_owned()))?;
        let prefix = u8::try_from(prefix.unwrap_or(u32::from(width(address)))).unwrap_or(u8::MAX);
        if prefix > width(address) {
            return Err(NetworkError::MaskLength(text.to_owned()));
        }
        let kept = masked(address, prefix);
        if kept != masked(address, 128) {
            let instead = format!("{}/{prefix}", address_of(kept, address.is_ipv4()));
            return Err(NetworkError::HostBits { text: text.to_owned(), instead });
        }
        Ok(Network { address, prefix })
    }

    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && masked(address, self.prefix) == masked(self.address, self.prefix)
    }
}

fn address_of(bits: u128, v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::from(u32::try_from(bits).unwrap_or(0)).into() } else { Ipv6Addr::from(bits).into() }
}

/// A compiled table.
#[derive(Debug, Default)]
pub(crate) struct Cidr {
    v4: Spans<u32>,
    v6: Spans<u128>,
    results: Vec<Found>,
}

/// A result, and where it stands.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) value: Box<str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The first address that its network has; none where the rule is for all but those.
    first: Option<IpAddr>,
}

impl Cidr {
    pub(crate) fn len(&self) -> usize {
        self.results.len()
    }

    /// All results, in the table's order.
    pub(crate) fn results(&self) -> &[Found] {
        &self.results
    }

    /// The results that no address comes to, each with what the first address of its network gets instead.
    pub(crate) fn unreached(&self) -> Vec<(&Found, Option<&Found>)> {
        let mut reached = vec![false; self.results.len()];
        for result in self.v4.results().chain(self.v6.results()) {
            if let Some(seat) = reached.get_mut(result) {
                *seat = true;
            }
        }
        let dead = self.results.iter().zip(reached).filter(|(_, reached)| !reached);
        dead.map(|(found, _)| (found, found.first.and_then(|first| self.at(first)))).collect()
    }

    /// The result of the first rule that matches; a key that is no address matches nothing.
    pub(crate) fn find(&self, key: &str) -> Option<&Found> {
        self.at(address::parse(key)?)
    }

    fn at(&self, address: IpAddr) -> Option<&Found> {
        let result = match address {
            IpAddr::V4(address) => self.v4.find(u32::from(address)),
            IpAddr::V6(address) => self.v6.find(u128::from(address)),
        };
        self.results.get(result?)
    }
}

struct Reading<'s> {
    source: &'s Source,
    title: String,
    steps: Vec<Step>,
    results: Vec<Found>,
    open: Vec<(usize, &'s Line<'s>)>,
    notices: Vec<Notice>,
}

/// Reads the table; `name` is what Postfix's warnings call it.
pub(crate) fn parse(source: &Source, name: &str) -> (Cidr, Vec<Notice>) {
    let (lines, notices) = source.lines();
    let title = format!("cidr map {name}");
    let mut reading =
        Reading { source, title, steps: Vec::new(), results: Vec::new(), open: Vec::new(), notices };
    for line in &lines {
        if let Err(reason) = reading.line(line) {
            reading.skip(line, format!("{reason}: skipping this rule"));
        }
    }
    while let Some((step, line)) = reading.open.pop() {
        reading.skip(line, "IF has no matching ENDIF".to_owned());
        reading.close(step);
    }
    let (v4, v6) = (Spans::new(&reading.steps, IpAddr::is_ipv4), Spans::new(&reading.steps, IpAddr::is_ipv6));
    (Cidr { v4, v6, results: reading.results }, reading.notices)
}

impl<'s> Reading<'s> {
    fn skip(&mut self, line: &Line<'_>, text: String) {
        let place = self.source.place(line);
        self.notices.push(Notice::line(LINE_SKIPPED, place, &self.title, line.number, text));
    }

    fn close(&mut self, step: usize) {
        let end = self.steps.len();
        if let Some(Step { action: Action::If(behind), .. }) = self.steps.get_mut(step) {
            *behind = end;
        }
    }

    fn line(&mut self, line: &'s Line<'s>) -> Result<(), String> {
        let text = line.trimmed();
        let (word, rest) =
            text.split_at_checked(text.find(is_space).unwrap_or(text.len())).unwrap_or((text, ""));
        let rest = rest.trim_start_matches(is_space);
        if word.eq_ignore_ascii_case("if") {
            let (negated, pattern) = negation(rest);
            let network = network(pattern)?;
            self.open.push((self.steps.len(), line));
            self.steps.push(Step { network, negated, action: Action::If(usize::MAX) });
            return Ok(());
        }
        if word.eq_ignore_ascii_case("endif") {
            if !rest.is_empty() {
                return Err("garbage after ENDIF".to_owned());
            }
            let (step, _) = self.open.pop().ok_or("ENDIF without IF")?;
            self.close(step);
            return Ok(());
        }
        let (negated, text) = negation(text);
        let (pattern, value) =
            text.split_at_checked(text.find(is_space).unwrap_or(text.len())).unwrap_or((text, ""));
        let network = network(pattern)?;
        let value = value.trim_start_matches(is_space);
        if value.is_empty() {
            return Err("no lookup result".to_owned());
        }
        let action = Action::Result(self.results.len());
        let first = (!negated).then_some(network.address);
        self.results.push(Found { value: value.into(), start: line.start, end: line.end, first });
        self.steps.push(Step { network, negated, action });
        Ok(())
    }
}

fn network(pattern: &str) -> Result<Network, String> {
    if pattern.is_empty() {
        return Err("no address pattern".to_owned());
    }
    Network::parse(pattern).map_err(|error| error.to_string())
}

/// Without the leading `!`s, each of which turns the sense.
fn negation(text: &str) -> (bool, &str) {
    let mut negated = false;
    let mut rest = text;
    while let Some(behind) = rest.strip_prefix('!') {
        negated = !negated;
        rest = behind.trim_start_matches(is_space);
    }
    (negated, rest)
}

#[cfg(test)]
mod tests;
