//! The report that goes out by itself: `komainu_report_schedule`, `…_recipient`, `…_when`, `…_log`.
//!
//! What is wrong here keeps no mail from flowing, so it is a warning. Diagnostics: K0645 to K0649. T2.23.

use crate::log::Destination;
use crate::reporting::Places;
use config::master_cf::Service;
use config::{Diagnostic, Parameters, Place};
use report::schedule::Schedule;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{Sources, Vantage};

const SCHEDULE: u16 = 645;
const LOG: u16 = 646;
const WHEN: u16 = 647;
const RECIPIENT: u16 = 648;
const ADDRESS: u16 = 649;
/// The longest address: RFC 5321 §4.5.3.1 has 64 and 255 octets.
const ADDRESS_MAX: usize = 320;
/// Where syslog daemons write mail's lines.
const SYSLOGS: [&str; 2] = ["/var/log/mail.log", "/var/log/maillog"];

/// How reports go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailing {
    /// When.
    pub schedule: Option<Schedule>,
    /// To whom: addresses as they are written.
    pub recipients: Vec<String>,
    /// Only where something is out of the ordinary.
    pub only_unusual: bool,
    /// The log that they are made of.
    pub log: PathBuf,
    /// Whose mail it is: `myhostname`.
    pub hostname: String,
    /// Where the rules stand that it tells of.
    pub(crate) places: Places,
}

/// Reads the parameters; `None` where there is nobody to send to, or no log.
#[must_use]
pub(super) fn compile(
    p: &Parameters,
    services: &[Service],
    sources: &dyn Sources,
) -> (Option<Arc<Mailing>>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let text = p.text("komainu_report_schedule");
    let is_wanted = !text.value.trim().is_empty();
    let schedule = match Schedule::parse(text.value.trim()) {
        Ok(schedule) => Some(schedule),
        Err(_) if !is_wanted => None,
        Err(why) => {
            let help = "no report goes out by itself until this is mended";
            found.push(Diagnostic::warning(SCHEDULE, text.place.clone(), why).help(help));
            None
        }
    };
    let (recipients, strange): (Vec<_>, Vec<_>) =
        p.list("komainu_report_recipient").into_iter().partition(|word| is_address(&word.value));
    for word in &strange {
        let message = format!("{:?} is no address that reports could go to", word.value);
        let help = "write addresses only, with commas between: admin@example.com, root";
        found.push(Diagnostic::warning(ADDRESS, word.place.clone(), message).help(help));
    }
    let recipients: Vec<String> = recipients.into_iter().map(|word| word.value).collect();
    if recipients.is_empty() && strange.is_empty() && is_wanted {
        let message = "komainu_report_recipient is empty, so no report goes out";
        let help = "name one address or several, or delete the line: then postmaster gets it";
        let place = p.name_place("komainu_report_recipient").cloned().unwrap_or_else(Place::nowhere);
        found.push(Diagnostic::warning(RECIPIENT, place, message).help(help));
    }
    let log = log(p, sources);
    if log.is_none() && is_wanted {
        let message = "no log file is known that a report could be made of";
        let help = "write komainu_report_log = /var/log/mail.log, or wherever mail's lines go; a log on standard output \
                    or in the journal can't be read";
        found.push(Diagnostic::warning(LOG, text.place, message).help(help));
    }
    let when = p.text("komainu_report_when");
    if !matches!(when.value.trim(), "always" | "unusual") {
        let message = format!("komainu_report_when can't be `{}`", when.value);
        let help = "write always, or unusual for a report only when something is out of the ordinary; as it stands it is \
                    always";
        found.push(Diagnostic::warning(WHEN, when.place, message).help(help));
    }
    let mailing = |log: PathBuf| {
        let only_unusual = when.value.trim() == "unusual";
        let hostname = p.text("myhostname").value;
        let places = Places::of(p, services);
        Arc::new(Mailing { schedule, recipients: recipients.clone(), only_unusual, log, hostname, places })
    };
    (log.filter(|_| !recipients.is_empty()).map(mailing), found)
}

/// Whether it can stand in a header and an envelope as it is: `root`, `admin@example.com`.
fn is_address(word: &str) -> bool {
    let (local, domain) = word.rsplit_once('@').map_or((word, None), |(local, domain)| (local, Some(domain)));
    let is_plain = |letter: char| {
        !letter.is_control() && !letter.is_whitespace() && !"<>()[]{}\"\\,;:@".contains(letter)
    };
    let is_literal = |domain: &str| domain.starts_with('[') && domain.ends_with(']');
    let of_literal = |letter: char| letter.is_ascii_alphanumeric() || "[]:.".contains(letter);
    let domain_is_one = |domain: &str| {
        let whole =
            if is_literal(domain) { domain.chars().all(of_literal) } else { domain.chars().all(is_plain) };
        whole && !domain.is_empty()
    };
    word.len() <= ADDRESS_MAX
        && !local.is_empty()
        && !local.starts_with('-')
        && local.chars().all(is_plain)
        && domain.is_none_or(domain_is_one)
}

/// `komainu_report_log`, else the file that our own lines go to, else syslog's.
pub(crate) fn log(p: &Parameters, sources: &dyn Sources) -> Option<PathBuf> {
    let named = p.text("komainu_report_log").value;
    if named.starts_with('/') {
        return Some(named.into());
    }
    match crate::serve::log_destination(p) {
        Destination::File(path) => Some(path),
        // Another machine's files aren't this one's.
        Destination::Syslog if sources.vantage() == Vantage::Elsewhere => SYSLOGS.first().map(PathBuf::from),
        Destination::Syslog => SYSLOGS.into_iter().find(|path| Path::new(path).exists()).map(PathBuf::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::is_address;
    use crate::configuration::in_memory;

    fn check(main: &str, expect: &[&str]) {
        let (configuration, found) = in_memory::asking(&format!("unix:x\n{main}"), &[], 645..650);
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found} instead of {expect}");
        }
        let is_due = configuration.mailing.as_ref().is_some_and(|mailing| mailing.schedule.is_some());
        assert_eq!(is_due, main.contains("daily 07:00") && expect.is_empty());
    }

    /// T2.23: what is wrong with a schedule is said with its place, and keeps nothing from being served.
    #[test]
    fn words() {
        let log = "komainu_log = /var/log/x.log\n";
        check("", &[]);
        check(&format!("{log}komainu_report_schedule = daily 07:00\n"), &[]);
        check(
            &format!("{log}komainu_report_schedule = daily 7am\n"),
            &["main.cf:3:27: warning[K0645]: \"7am\" is no"],
        );
        check(
            "komainu_log = stdout\nkomainu_report_schedule = daily 07:00\n",
            &["main.cf:3:27: warning[K0646]"],
        );
        check(
            "komainu_log = stdout\nkomainu_report_log = /var/log/mail.log\nkomainu_report_schedule = daily 07:00\n",
            &[],
        );
        check(
            &format!("{log}komainu_report_schedule = daily 07:00\nkomainu_report_recipient =\n"),
            &["main.cf:4:1: warning[K0648]"],
        );
        let to = format!("{log}komainu_report_schedule = daily 07:00\nkomainu_report_recipient =");
        check(&format!("{to} root, admin@example.com x@[192.0.2.1] å@例え.example\n"), &[]);
        let (configuration, found) =
            in_memory::asking(&format!("unix:x\n{to} Admin <a@b.example>\n"), &[], 645..650);
        assert!(
            found.len() == 1 && found[0].contains("main.cf:4:34: warning[K0649]: \"<a@b.example>\" is no"),
            "{found:?}"
        );
        assert_eq!(
            configuration.mailing.as_ref().map(|one| one.recipients.as_slice()),
            Some(&["Admin".to_owned()][..])
        );
        for strange in [
            "a@b@c",
            "@b.example",
            "a@",
            "-oQ/tmp",
            "{ a b@c.example }",
            "a\u{7f}b",
            "a;b",
            "\"a\"@b",
            "a@[x y]",
        ] {
            let (configuration, found) =
                in_memory::asking(&format!("unix:x\n{to} {strange}\n"), &[], 645..650);
            assert!(found.iter().any(|found| found.contains("K0649")), "{strange}: {found:?}");
            let mailing = configuration.mailing.iter();
            assert!(mailing.flat_map(|one| &one.recipients).all(|one| is_address(one)), "{strange}");
        }
        check(&format!("{log}komainu_report_when = sometimes\n"), &["main.cf:3:23: warning[K0647]"]);
    }
}
