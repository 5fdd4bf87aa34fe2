//! opendmarc.conf (opendmarc.conf(5)).
//!
//! What a program of its own needs is read and without effect. Diagnostics: K0576 a setting that doesn't exist, K0577 a
//! value that means nothing, K0578 what isn't heeded, K0579 a file that can't be read.

use crate::dmarc::PublicSuffixes;
use crate::opendkim::Dataset;
use crate::trusted_domain::{Setting, flag, settings};
use config::{Diagnostic, SourceFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tables::Sources;

/// Where Debian has it.
pub const PATH: &str = "/etc/opendmarc.conf";

/// The settings.
#[derive(Clone, Debug)]
pub struct Conf {
    /// `AuthservID`; `None` for the MTA's name.
    pub authserv_id: Option<String>,
    /// `AuthservIDWithJobID`
    pub authserv_id_with_job: bool,
    /// `TrustedAuthservIDs`; none for `AuthservID`'s.
    pub trusted: Vec<String>,
    /// `RejectFailures`
    pub rejects: bool,
    /// `RejectMultiValueFrom`
    pub rejects_several_authors: bool,
    /// `RejectString`
    pub reject_string: String,
    /// `HoldQuarantinedMessages`
    pub holds_quarantined: bool,
    /// `IgnoreHosts`
    pub ignored_hosts: Dataset,
    /// `IgnoreAuthenticatedClients`
    pub ignores_logged_in: bool,
    /// `IgnoreMailFrom`, in lower case.
    pub ignored_from: Vec<String>,
    /// `RequiredHeaders`
    pub requires_headers: bool,
    /// `SPFSelfValidate`
    pub spf_self: bool,
    /// `SPFIgnoreResults`
    pub spf_ignores_results: bool,
    /// `PublicSuffixList`; without it the tree is walked.
    pub suffixes: Option<Arc<PublicSuffixes>>,
    /// `DNSTimeout`
    pub dns_timeout: Duration,
    /// `Syslog`
    pub syslog: bool,
    /// `Socket`, as it is written.
    pub socket: Option<String>,
}

impl Default for Conf {
    fn default() -> Conf {
        Conf {
            authserv_id: None,
            authserv_id_with_job: false,
            trusted: Vec::new(),
            rejects: false,
            rejects_several_authors: false,
            reject_string: "rejected by DMARC policy for %s".to_owned(),
            holds_quarantined: false,
            ignored_hosts: Dataset::of_list("127.0.0.1"),
            ignores_logged_in: false,
            ignored_from: Vec::new(),
            requires_headers: false,
            spf_self: false,
            spf_ignores_results: false,
            suffixes: None,
            dns_timeout: Duration::from_secs(5),
            syslog: false,
            socket: None,
        }
    }
}

/// What only a process of its own needs.
const WITHOUT_EFFECT: &[&str] = &[
    "autorestart",
    "autorestartcount",
    "autorestartrate",
    "background",
    "changerootdirectory",
    "enablecoredumps",
    "milterdebug",
    "pidfile",
    "syslogfacility",
    "temporarydirectory",
    "umask",
    "userid",
];

/// What isn't heeded here, and may be asked for.
const UNHEEDED: &[&str] = &[
    "copyfailuresto",
    "domainwhitelist",
    "domainwhitelistfile",
    "domainwhitelistsize",
    "failurereports",
    "failurereportsbcc",
    "failurereportsonnone",
    "failurereportssentby",
    "historyfile",
    "ignoremailto",
    "recordallmessages",
    "reportcommand",
    "softwareheader",
];

impl Conf {
    /// Reads the file, and the files that it names.
    #[must_use]
    pub fn read(file: &Arc<SourceFile>, sources: &dyn Sources) -> (Conf, Vec<Diagnostic>) {
        let (mut conf, mut found) = (Conf::default(), Vec::new());
        let mut base = PathBuf::from("/");
        for setting in settings(file) {
            if setting.name.eq_ignore_ascii_case("BaseDirectory") {
                base = PathBuf::from(setting.value);
            } else {
                found.extend(conf.set(&setting, &base, sources));
            }
        }
        (conf, found)
    }

    fn set(&mut self, setting: &Setting, base: &Path, sources: &dyn Sources) -> Option<Diagnostic> {
        let Setting { name, value, place } = setting;
        let lower = name.to_ascii_lowercase();
        if WITHOUT_EFFECT.contains(&lower.as_str()) {
            return None;
        }
        if UNHEEDED.contains(&lower.as_str()) {
            let is_off = flag(value) == Some(false);
            let message = format!("{name} isn't heeded here");
            let help = "no reports are sent or prepared yet; OpenDMARC itself can be run beside this server: then it is asked";
            let said = Diagnostic::warning(578, place.clone(), message).help(help);
            return (!is_off).then_some(said);
        }
        if matches!(lower.as_str(), "ignorehosts" | "publicsuffixlist") {
            return self.set_file(&lower, setting, base, sources);
        }
        match self.set_flag(&lower, value).or_else(|| self.set_text(&lower, value)) {
            Some(true) => None,
            Some(false) => {
                let message = format!("{name} can't be `{value}`");
                let help = "opendmarc.conf(5) lists what it can be; the default is in force";
                Some(Diagnostic::warning(577, place.clone(), message).help(help))
            }
            None => {
                let message = format!("OpenDMARC has no setting {name}");
                let help = "take the line out, or write the name as opendmarc.conf(5) has it; OpenDMARC doesn't start with it";
                Some(Diagnostic::warning(576, place.clone(), message).help(help))
            }
        }
    }

    fn set_flag(&mut self, name: &str, value: &str) -> Option<bool> {
        let slot = match name {
            "authservidwithjobid" => &mut self.authserv_id_with_job,
            "rejectfailures" => &mut self.rejects,
            "rejectmultivaluefrom" => &mut self.rejects_several_authors,
            "holdquarantinedmessages" => &mut self.holds_quarantined,
            "ignoreauthenticatedclients" => &mut self.ignores_logged_in,
            "requiredheaders" => &mut self.requires_headers,
            "spfselfvalidate" => &mut self.spf_self,
            "spfignoreresults" => &mut self.spf_ignores_results,
            "syslog" => &mut self.syslog,
            _ => return None,
        };
        Some(flag(value).map(|value| *slot = value).is_some())
    }

    fn set_text(&mut self, name: &str, value: &str) -> Option<bool> {
        match name {
            "authservid" => self.authserv_id = Some(value.to_owned()),
            "trustedauthservids" => self.trusted = list(value),
            "rejectstring" if value.matches("%s").count() != 1 => return Some(false),
            "rejectstring" => value.clone_into(&mut self.reject_string),
            "ignoremailfrom" => self.ignored_from = list(&value.to_ascii_lowercase()),
            "socket" => self.socket = Some(value.to_owned()),
            "dnstimeout" => match value.parse() {
                Ok(0) => self.dns_timeout = Duration::from_secs(60),
                Ok(seconds) => self.dns_timeout = Duration::from_secs(seconds),
                Err(_) => return Some(false),
            },
            _ => return None,
        }
        Some(!value.is_empty())
    }

    fn set_file(
        &mut self,
        name: &str,
        setting: &Setting,
        base: &Path,
        sources: &dyn Sources,
    ) -> Option<Diagnostic> {
        match sources.read(&base.join(&setting.value)) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                match name {
                    "ignorehosts" => self.ignored_hosts = Dataset::of_file(&text, false),
                    _ => self.suffixes = Some(Arc::new(PublicSuffixes::parse(&text))),
                }
                None
            }
            Err(error) => {
                let message = format!("the file of {} can't be read: {error}", setting.name);
                let help = match name {
                    "ignorehosts" => "only this machine is passed over",
                    _ => "organisations are found by the DNS tree walk (RFC 9989)",
                };
                Some(Diagnostic::warning(579, setting.place.clone(), message).help(help))
            }
        }
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
