//! MTA-STS and TLSRPT: only for domains that have one of them, or half of one (RFC 8461, RFC 8460).
//!
//! The policy itself isn't fetched.
//! Diagnostics: K0622 records that don't go together.

use super::domains::Domain;
use super::known::Known;
use config::Diagnostic;

pub(super) fn judge(domain: &Domain, known: &Known) -> Option<Diagnostic> {
    let name = &domain.name;
    let (sts, reports) =
        (known.texts(&format!("_mta-sts.{name}")), known.texts(&format!("_smtp._tls.{name}")));
    let (sts, reports) = (sts??, reports??);
    let is_sts = |text: &&&str| text.trim_start().starts_with("v=STSv1");
    let record = sts.iter().find(is_sts)?;
    let said =
        |message: String, help: String| Some(Diagnostic::hint(622, domain.place.clone(), message).help(help));
    let id = record.split(';').filter_map(|part| part.trim().strip_prefix("id=")).next();
    if !id.is_some_and(|id| !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        let help = "senders pass the policy over: v=STSv1; id=20260101T000000".to_owned();
        return said(format!("the MTA-STS record of {name} has no id of letters and digits"), help);
    }
    let addresses = known.addresses(&format!("mta-sts.{name}"))??;
    if addresses.is_empty() {
        let help = format!(
            "its policy is fetched from https://mta-sts.{name}/.well-known/mta-sts.txt, and is missed"
        );
        return said(format!("{name} has an MTA-STS record, but mta-sts.{name} has no address"), help);
    }
    if !reports.iter().any(|text| text.trim_start().starts_with("v=TLSRPTv1")) {
        let help = format!(
            "nobody tells of deliveries that fail by it: _smtp._tls.{name} TXT \"v=TLSRPTv1; \
             rua=mailto:postmaster@{name}\""
        );
        return said(format!("{name} has MTA-STS, but no record for reports (TLSRPT)"), help);
    }
    None
}
