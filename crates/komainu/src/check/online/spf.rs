//! SPF records: one, readable, within ten look-ups, and with this server in it (RFC 7208).
//!
//! A record is judged as its publisher's, not as a sender's: it is read to the end, all that it includes counts, and
//! macros, which hang on the sender, make the outcome unknown. It decides nothing about mail.
//! Diagnostics: K0610 no record, K0611 a record that can't be used, K0612 too many look-ups, K0613 this server isn't
//! in it, K0614 everybody is.

use super::domains::{Domain, is_addressed};
use super::known::{Known, Told};
use super::{Matter, own};
use config::Diagnostic;
use policy::{Record, RecordKind};
use std::net::IpAddr;

/// RFC 7208 §4.6.4.
const LOOKUPS_MAX: usize = 10;
/// Records within records; a circle ends here.
const DEPTH_MAX: usize = 12;
/// Look-ups that are followed: a record with more is wrong anyhow.
const FOLLOWED_MAX: usize = 60;

/// Why a record can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Faults {
    /// A mechanism that there isn't.
    #[error("it has \"{0}\", which SPF doesn't know")]
    Mechanism(String),
    /// Something that is no network.
    #[error("\"{0}\" is no network")]
    Network(String),
    /// A mechanism that needs a domain.
    #[error("\"{0}\" needs a domain")]
    Domain(String),
    /// A modifier that may stand there once.
    #[error("\"{0}=\" stands there twice")]
    Twice(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mechanism {
    All,
    Include(String),
    A(Hosts),
    Mx(Hosts),
    Ptr,
    Exists(String),
    Network(IpAddr, u8),
}

/// A domain, or the record's own, and how many bits of its addresses count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hosts {
    domain: Option<String>,
    bits: (u8, u8),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spf {
    mechanisms: Vec<(Qualifier, Mechanism)>,
    redirect: Option<String>,
}

/// What a record says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Said(Qualifier),
    /// No record, or none of its mechanisms fits.
    Nothing,
    /// It hangs on the sender, or on an answer that didn't come.
    Unknown,
}

fn is_record(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("v=spf1").is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn parse(text: &str) -> Result<Spf, Faults> {
    let mut spf = Spf::default();
    let mut explained = false;
    for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
        let equals = term.find('=');
        let is_modifier = equals.is_some_and(|at| term.find([':', '/']).is_none_or(|other| at < other));
        if let Some((name, value)) = term.split_once('=').filter(|_| is_modifier) {
            match name.to_ascii_lowercase().as_str() {
                "redirect" if spf.redirect.is_some() => return Err(Faults::Twice("redirect")),
                "redirect" if value.is_empty() => return Err(Faults::Domain(term.to_owned())),
                "redirect" => spf.redirect = Some(value.to_owned()),
                "exp" if explained => return Err(Faults::Twice("exp")),
                "exp" => explained = true,
                _ => {}
            }
            continue;
        }
        spf.mechanisms.push(mechanism(term)?);
    }
    Ok(spf)
}

fn mechanism(term: &str) -> Result<(Qualifier, Mechanism), Faults> {
    let (qualifier, rest) = match term.chars().next() {
        Some('+') => (Qualifier::Pass, term.get(1..)),
        Some('-') => (Qualifier::Fail, term.get(1..)),
        Some('~') => (Qualifier::SoftFail, term.get(1..)),
        Some('?') => (Qualifier::Neutral, term.get(1..)),
        _ => (Qualifier::Pass, Some(term)),
    };
    let rest = rest.unwrap_or("");
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, argument) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let domain = || match argument.strip_prefix(':').filter(|domain| !domain.is_empty()) {
        Some(domain) => Ok(domain.to_owned()),
        None => Err(Faults::Domain(term.to_owned())),
    };
    let network = |is_v4: bool| {
        let wrong = || Faults::Network(term.to_owned());
        let text = argument.strip_prefix(':').ok_or_else(wrong)?;
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if is_v4 { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if address.is_ipv4() != is_v4 || bits > most {
            return Err(wrong());
        }
        Ok(Mechanism::Network(address, bits))
    };
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain()?),
        "exists" => Mechanism::Exists(domain()?),
        "a" => Mechanism::A(hosts(term, argument)?),
        "mx" => Mechanism::Mx(hosts(term, argument)?),
        "ptr" => Mechanism::Ptr,
        "ip4" => network(true)?,
        "ip6" => network(false)?,
        _ => return Err(Faults::Mechanism(term.to_owned())),
    };
    Ok((qualifier, mechanism))
}

/// `:domain/24//64`, each part at will.
fn hosts(term: &str, argument: &str) -> Result<Hosts, Faults> {
    let wrong = || Faults::Network(term.to_owned());
    let (domain, lengths) =
        argument.split_at_checked(argument.find('/').unwrap_or(argument.len())).unwrap_or_default();
    let domain = match domain.strip_prefix(':') {
        Some("") => return Err(Faults::Domain(term.to_owned())),
        other => other.map(str::to_owned),
    };
    let (v4, v6) = match lengths.split_once("//") {
        Some((v4, v6)) => (v4, Some(v6)),
        None => (lengths, None),
    };
    let read = |text: &str, most: u8| text.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong);
    let v4 = v4.strip_prefix('/').map_or(Ok(32), |text| read(text, 32))?;
    let v6 = v6.map_or(Ok(128), |text| read(text, 128))?;
    Ok(Hosts { domain, bits: (v4, v6) })
}

fn has_macro(text: &str) -> bool {
    text.contains('%')
}

impl Mechanism {
    const fn looks_up(&self) -> bool {
        !matches!(self, Mechanism::All | Mechanism::Network(..))
    }
}

fn covers(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let shared = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        _ => return false,
    };
    shared >= u32::from(bits)
}

/// The record of a domain: none, one, or several; `None` where it must be asked first.
#[expect(clippy::option_option, reason = "must be asked, has no answer, answer: `?` sorts them")]
fn records<'a>(domain: &str, known: &'a Known) -> Option<Option<Vec<&'a str>>> {
    let texts = known.texts(domain)?;
    Some(texts.map(|texts| texts.into_iter().filter(|text| is_record(text)).collect()))
}

/// A walk through a record and all that it includes.
struct Walk<'a> {
    known: &'a Known,
    lookups: usize,
    /// The first thing that is wrong.
    fault: Option<String>,
}

impl Walk<'_> {
    /// What the record of `domain` says about `address`. Goes to the end for the number of look-ups, with no address.
    fn evaluate(&mut self, domain: &str, address: Option<IpAddr>, depth: usize) -> Option<Outcome> {
        if has_macro(domain) || depth > DEPTH_MAX || self.lookups > FOLLOWED_MAX {
            return Some(Outcome::Unknown);
        }
        let Some(records) = records(domain, self.known)? else { return Some(Outcome::Unknown) };
        let [record] = records.as_slice() else {
            if depth > 0 {
                self.tell(format!("it includes {domain}, which has {} SPF records", records.len()));
            }
            return Some(Outcome::Nothing);
        };
        let spf = match parse(record) {
            Ok(spf) => spf,
            Err(fault) => {
                let whose =
                    if depth == 0 { String::new() } else { format!("of {domain}, which it includes: ") };
                self.tell(format!("{whose}{fault}"));
                return Some(Outcome::Unknown);
            }
        };
        self.prefetch(&spf, domain);
        let mut outcome = None;
        for (qualifier, mechanism) in &spf.mechanisms {
            self.lookups += usize::from(mechanism.looks_up());
            let hit = self.hits(mechanism, domain, address, depth)?;
            match hit {
                Hit::Yes if outcome.is_none() => outcome = Some(Outcome::Said(*qualifier)),
                Hit::Unknown if outcome.is_none() => outcome = Some(Outcome::Unknown),
                _ => {}
            }
        }
        let has_all = spf.mechanisms.iter().any(|(_, mechanism)| *mechanism == Mechanism::All);
        if let Some(redirect) = spf.redirect.filter(|_| !has_all) {
            self.lookups += 1;
            let there = self.evaluate(&redirect, address, depth + 1)?;
            return Some(outcome.unwrap_or(there));
        }
        Some(outcome.unwrap_or(Outcome::Nothing))
    }

    fn tell(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Asks all at once what will be asked one after another.
    fn prefetch(&self, spf: &Spf, own: &str) {
        for (_, mechanism) in &spf.mechanisms {
            let name = |hosts: &Hosts| hosts.domain.clone().unwrap_or_else(|| own.to_owned());
            match mechanism {
                Mechanism::Include(domain) if !has_macro(domain) => {
                    let _ = self.known.texts(domain);
                }
                Mechanism::A(hosts) if !has_macro(&name(hosts)) => {
                    let _ = self.known.addresses(&name(hosts));
                }
                Mechanism::Mx(hosts) if !has_macro(&name(hosts)) => {
                    let _ = self.known.dns(&name(hosts), RecordKind::Mx);
                }
                _ => {}
            }
        }
    }

    fn hits(
        &mut self,
        mechanism: &Mechanism,
        own: &str,
        address: Option<IpAddr>,
        depth: usize,
    ) -> Option<Hit> {
        Some(match mechanism {
            Mechanism::All => Hit::Yes,
            Mechanism::Network(network, bits) => {
                Hit::when(address.is_some_and(|address| covers(*network, *bits, address)))
            }
            Mechanism::Include(domain) => match self.evaluate(domain, address, depth + 1)? {
                Outcome::Said(Qualifier::Pass) => Hit::Yes,
                Outcome::Unknown => Hit::Unknown,
                _ => Hit::No,
            },
            // Both hang on more than is known here, and few records have them.
            Mechanism::Ptr | Mechanism::Exists(_) => Hit::Unknown,
            Mechanism::A(hosts) => self.one_of(hosts, &[hosts.domain.as_deref().unwrap_or(own)], address)?,
            Mechanism::Mx(hosts) => {
                let domain = hosts.domain.as_deref().unwrap_or(own);
                if has_macro(domain) {
                    return Some(Hit::Unknown);
                }
                let told = self.known.dns(domain, RecordKind::Mx)?;
                if told == Told::Silence {
                    return Some(Hit::Unknown);
                }
                let host = |record: &Record| match record {
                    Record::Mx { host, .. } => Some(host.clone()),
                    _ => None,
                };
                let names: Vec<String> = told.records().iter().filter_map(host).take(10).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.one_of(hosts, &names, address)?
            }
        })
    }

    fn one_of(&self, hosts: &Hosts, names: &[&str], address: Option<IpAddr>) -> Option<Hit> {
        // The number of look-ups doesn't hang on what they say.
        let Some(address) = address else { return Some(Hit::No) };
        if names.iter().any(|name| has_macro(name)) {
            return Some(Hit::Unknown);
        }
        let asked: Vec<_> = names.iter().map(|name| self.known.addresses(name)).collect();
        let bits = if address.is_ipv4() { hosts.bits.0 } else { hosts.bits.1 };
        let mut hit = Hit::No;
        for addresses in asked {
            match addresses? {
                None => hit = Hit::Unknown,
                Some(addresses) if addresses.iter().any(|one| covers(*one, bits, address)) => {
                    return Some(Hit::Yes);
                }
                Some(_) => {}
            }
        }
        Some(hit)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    Yes,
    No,
    Unknown,
}

impl Hit {
    const fn when(hit: bool) -> Hit {
        if hit { Hit::Yes } else { Hit::No }
    }
}

pub(super) fn judge(domain: &Domain, matter: &Matter<'_>, known: &Known) -> Vec<Diagnostic> {
    look(domain, matter, known).unwrap_or_default()
}

fn look(domain: &Domain, matter: &Matter<'_>, known: &Known) -> Option<Vec<Diagnostic>> {
    let name = &domain.name;
    let (own, is_addressed) = (own::sending(matter, known), is_addressed(domain, known));
    let place = || domain.place.clone();
    let records = records(name, known)??;
    let record = match records.as_slice() {
        [record] => *record,
        [] if !is_addressed? => return None,
        [] => {
            let help = format!("large providers want one: {name} TXT \"v=spf1 mx -all\"");
            let message = format!("{name} has no SPF record");
            return Some(vec![Diagnostic::hint(610, place(), message).help(help)]);
        }
        several => {
            let message = format!("{name} has {} SPF records", several.len());
            let help = "receivers take none of them (permerror): make one of them all";
            return Some(vec![Diagnostic::warning(611, place(), message).help(help)]);
        }
    };
    let mut whole = Walk { known, lookups: 0, fault: None };
    whole.evaluate(name, None, 0)?;
    if let Some(fault) = whole.fault {
        let message = format!("the SPF record of {name} can't be used: {fault}");
        let help = "receivers pass it over (permerror), and some refuse mail for it";
        return Some(vec![Diagnostic::warning(611, place(), message).help(help)]);
    }
    let mut found = Vec::new();
    if whole.lookups > LOOKUPS_MAX {
        let message = format!("the SPF record of {name} takes {} look-ups, more than ten", whole.lookups);
        let help = "receivers give up at the eleventh (permerror): take out what is included and not used";
        found.push(Diagnostic::warning(612, place(), message).help(help));
    }
    let spf = parse(record).unwrap_or_default();
    if spf.mechanisms.contains(&(Qualifier::Pass, Mechanism::All)) {
        let message = format!("the SPF record of {name} lets everybody send: +all");
        let help = "whoever forges mail from it passes SPF, and DMARC with it; end it in -all or ~all";
        found.push(Diagnostic::warning(614, place(), message).help(help));
    }
    let mut missing = Vec::new();
    for address in own? {
        let mut walk = Walk { known, lookups: 0, fault: None };
        match walk.evaluate(name, Some(address), 0)? {
            Outcome::Said(Qualifier::Pass) | Outcome::Unknown => {}
            Outcome::Said(_) | Outcome::Nothing => missing.push(address.to_string()),
        }
    }
    if !missing.is_empty() {
        let message =
            format!("the SPF record of {name} doesn't let this server send: {}", missing.join(", "));
        let help = "mail from here in its name is marked or refused; add mx, or the address";
        found.push(Diagnostic::warning(613, place(), message).help(help));
    }
    Some(found)
}

/// For fuzzing: any text is a record or isn't.
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = is_record(&text);
    let _ = parse(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults() {
        let check = |text: &str, expect: Option<&str>| {
            let fault = parse(text).err().map(|fault| fault.to_string());
            assert_eq!(fault.as_deref(), expect, "{text}");
        };
        check("v=spf1 mx a:mail.example.com/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all", None);
        check("v=spf1 redirect=_spf.example.com exp=why.%{d} unknown=x", None);
        check("v=spf1  include:a.example  -all ", None);
        check("v=spf1 exists:%{i}.x.example", None);
        check("v=spf1 ip4:192.0.2.0/33 -all", Some("\"ip4:192.0.2.0/33\" is no network"));
        check("v=spf1 ip4:2001:db8::1", Some("\"ip4:2001:db8::1\" is no network"));
        check("v=spf1 ipv4:192.0.2.1", Some("it has \"ipv4:192.0.2.1\", which SPF doesn't know"));
        check("v=spf1 include -all", Some("\"include\" needs a domain"));
        check("v=spf1 a:/24", Some("\"a:/24\" needs a domain"));
        check("v=spf1 all:x", Some("it has \"all:x\", which SPF doesn't know"));
        check("v=spf1 redirect=a redirect=b", Some("\"redirect=\" stands there twice"));
    }

    #[test]
    fn which_texts_are_records() {
        for (text, expect) in
            [("v=spf1", true), ("V=SPF1 -all", true), ("v=spf10 -all", false), ("v=spf2.0/pra", false)]
        {
            assert_eq!(is_record(text), expect, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "(v=spf1 )?[ -~]{0,80}") {
            fuzz(text.as_bytes());
        }
    }
}
