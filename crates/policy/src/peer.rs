//! A client's names: the address leads to a name, and the name must lead back (smtpd(8), T2.8).
//!
//! Only the questions and what follows from the answers; the hosts file and the DNS are the driver's.

use crate::facts::{Answer, Facts, Need, Question};
use crate::transaction::{NameStatus, UNKNOWN};
use std::net::IpAddr;

/// What the client's address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientNames {
    /// The verified name, or `unknown`.
    pub name: String,
    /// How it came about.
    pub name_status: NameStatus,
    /// The name of the address, or `unknown`.
    pub reverse_name: String,
    /// How it came about.
    pub reverse_name_status: NameStatus,
    /// What Postfix warns about, for the log: `hostname x does not resolve to address y`.
    pub warning: Option<String>,
}

impl ClientNames {
    fn unknown(status: NameStatus, warning: Option<String>) -> ClientNames {
        ClientNames {
            name: UNKNOWN.to_owned(),
            name_status: status,
            reverse_name: UNKNOWN.to_owned(),
            reverse_name_status: status,
            warning,
        }
    }
}

/// The client's names (`smtpd_peername_lookup` = `lookup_enabled`).
///
/// # Errors
/// When a question must be answered first.
pub fn client_names(address: IpAddr, lookup_enabled: bool, facts: &Facts) -> Result<ClientNames, Need> {
    if !lookup_enabled {
        return Ok(ClientNames::unknown(NameStatus::Unknown, None));
    }
    let reverse = match facts.ask(&Question::HostName(address))? {
        Answer::Names(names) => names.first().map(|name| name.trim_end_matches('.').to_owned()),
        Answer::NoName | Answer::NoRecords | Answer::Invalid(_) => None,
        _ => return Ok(ClientNames::unknown(NameStatus::Temporary, None)),
    };
    let Some(reverse) = reverse else { return Ok(ClientNames::unknown(NameStatus::Unknown, None)) };
    if mail::host::parse_address(&reverse).is_some() {
        let warning = format!("numeric hostname: {reverse}");
        return Ok(ClientNames::unknown(NameStatus::Unknown, Some(warning)));
    }
    if !mail::host::is_hostname(&reverse) {
        return Ok(ClientNames::unknown(NameStatus::Unknown, None));
    }
    let doubt = || format!("hostname {reverse} does not resolve to address {address}");
    let (name_status, warning) = match facts.ask(&Question::HostAddresses(reverse.to_ascii_lowercase()))? {
        Answer::Addresses(addresses) if addresses.contains(&address) => (NameStatus::Ok, None),
        Answer::Addresses(_) => (NameStatus::Forged, Some(doubt())),
        Answer::NoName => (NameStatus::Unknown, Some(format!("{}: Name or service not known", doubt()))),
        Answer::NoRecords => {
            (NameStatus::Unknown, Some(format!("{}: No address associated with hostname", doubt())))
        }
        _ => (NameStatus::Temporary, Some(format!("{}: Temporary failure in name resolution", doubt()))),
    };
    let name = if name_status == NameStatus::Ok { reverse.clone() } else { UNKNOWN.to_owned() };
    Ok(ClientNames { name, name_status, reverse_name: reverse, reverse_name_status: NameStatus::Ok, warning })
}
