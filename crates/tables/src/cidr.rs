//! `cidr:` tables: networks in order, `!`, `if` … `endif`, the first match wins.
//!
//! A stretch of plain rules is an index: for each prefix length that occurs a hash of networks, each with the first
//! rule that has it. So 100,000 networks cost one probe a prefix length. Negated rules and conditions stand between
//! such stretches. Skipped lines are told in Postfix's words (cidr_table(5)).

use crate::source::notice::LINE_SKIPPED;
use crate::source::{Line, Notice, Source, is_space};
use std::collections::BTreeMap;
use std::collections::HashMap;
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

    /// As a rule sees it: an address of the other family satisfies neither a pattern nor its negation.
    fn holds(&self, address: IpAddr, negated: bool) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.contains(address) != negated
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
    steps: Vec<Step>,
    results: Vec<Found>,
}

/// A result, and where it stands.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) value: Box<str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug)]
enum Step {
    /// Plain rules in a row.
    Stretch(Index),
    /// A negated rule.
    Except(Network, usize),
    /// A condition: where to go on when it doesn't hold.
    If { network: Network, negated: bool, behind: usize },
}

/// Networks by prefix length, each with the number of its first result.
#[derive(Debug, Default)]
struct Index {
    v4: BTreeMap<u8, HashMap<u32, usize>>,
    v6: BTreeMap<u8, HashMap<u128, usize>>,
}

impl Index {
    fn insert(&mut self, network: Network, result: usize) {
        match network.address {
            IpAddr::V4(address) => {
                self.v4.entry(network.prefix).or_default().entry(address.into()).or_insert(result);
            }
            IpAddr::V6(address) => {
                self.v6.entry(network.prefix).or_default().entry(address.into()).or_insert(result);
            }
        }
    }

    fn first(&self, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(_) => {
                let probe = |(&prefix, networks): (&u8, &HashMap<u32, usize>)| {
                    networks.get(&u32::try_from(masked(address, prefix)).ok()?).copied()
                };
                self.v4.iter().filter_map(probe).min()
            }
            IpAddr::V6(_) => {
                let probe = |(&prefix, networks): (&u8, &HashMap<u128, usize>)| {
                    networks.get(&masked(address, prefix)).copied()
                };
                self.v6.iter().filter_map(probe).min()
            }
        }
    }
}

impl Cidr {
    pub(crate) fn len(&self) -> usize {
        self.results.len()
    }

    /// The result of the first rule that matches; a key that is no address matches nothing.
    pub(crate) fn find(&self, key: &str) -> Option<&Found> {
        let address: IpAddr = key.parse().ok()?;
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            let result = match step {
                Step::Stretch(index) => index.first(address),
                Step::Except(network, result) => network.holds(address, true).then_some(*result),
                Step::If { network, negated, behind } => {
                    if !network.holds(address, *negated) {
                        at = *behind;
                    }
                    None
                }
            };
            if let Some(result) = result {
                return self.results.get(result);
            }
        }
        None
    }
}

struct Reading<'s> {
    source: &'s Source,
    title: String,
    table: Cidr,
    open: Vec<(usize, &'s Line<'s>)>,
    /// Where the last `endif` leads.
    landing: usize,
    notices: Vec<Notice>,
}

/// Reads the table; `name` is what Postfix's warnings call it.
pub(crate) fn parse(source: &Source, name: &str) -> (Cidr, Vec<Notice>) {
    let (lines, notices) = source.lines();
    let title = format!("cidr map {name}");
    let mut reading =
        Reading { source, title, table: Cidr::default(), open: Vec::new(), landing: 0, notices };
    for line in &lines {
        if let Err(reason) = reading.line(line) {
            reading.skip(line, format!("{reason}: skipping this rule"));
        }
    }
    while let Some((step, line)) = reading.open.pop() {
        reading.skip(line, "IF has no matching ENDIF".to_owned());
        reading.close(step);
    }
    (reading.table, reading.notices)
}

impl<'s> Reading<'s> {
    fn skip(&mut self, line: &Line<'_>, text: String) {
        let place = self.source.place(line);
        self.notices.push(Notice::line(LINE_SKIPPED, place, &self.title, line.number, text));
    }

    fn close(&mut self, step: usize) {
        let end = self.table.steps.len();
        self.landing = end;
        if let Some(Step::If { behind, .. }) = self.table.steps.get_mut(step) {
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
            self.open.push((self.table.steps.len(), line));
            self.table.steps.push(Step::If { network, negated, behind: usize::MAX });
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
        let result = self.table.results.len();
        self.table.results.push(Found { value: value.into(), start: line.start, end: line.end });
        self.rule(network, negated, result);
        Ok(())
    }

    fn rule(&mut self, network: Network, negated: bool, result: usize) {
        if negated {
            self.table.steps.push(Step::Except(network, result));
            return;
        }
        // An `if` that doesn't hold lands behind its `endif`, which must not be the middle of a stretch.
        let landing = self.landing == self.table.steps.len();
        match self.table.steps.last_mut() {
            Some(Step::Stretch(index)) if !landing => index.insert(network, result),
            _ => {
                let mut index = Index::default();
                index.insert(network, result);
                self.table.steps.push(Step::Stretch(index));
            }
        }
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
