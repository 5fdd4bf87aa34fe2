//! opendkim.conf (opendkim.conf(5)).
//!
//! What a program of its own needs (process, socket, threads, resolver) is read and without effect. Diagnostics: K0566 a
//! setting that doesn't exist, K0567 a value that means nothing, K0568 what isn't heeded, K0569 a file that can't be
//! read, K0571 settings that don't fit together; of keys `signing`.

use super::dataset::{Dataset, Source};
use super::signing::Keys;
use crate::trusted_domain::{Setting, flag, settings};
use config::{Diagnostic, Place, SourceFile};
use mail::dkim::Canonicalization;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tables::Sources;

/// Where Debian has it.
pub const PATH: &str = "/etc/opendkim.conf";
/// Files within files.
const INCLUDES_MAX: usize = 5;

/// Headers that RFC 6376 §5.4.1 says SHOULD be signed: OpenDKIM's default.
pub const SHOULD_SIGN: [&str; 20] = [
    "from",
    "reply-to",
    "subject",
    "date",
    "to",
    "cc",
    "resent-date",
    "resent-from",
    "resent-to",
    "resent-cc",
    "resent-sender",
    "in-reply-to",
    "references",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
];
const SHOULD_NOT_SIGN: [&str; 7] =
    ["return-path", "received", "comments", "keywords", "bcc", "resent-bcc", "dkim-signature"];

/// What is done with a message (`On-BadSignature` and kin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// `accept`
    Accept,
    /// `discard`
    Discard,
    /// `quarantine`
    Quarantine,
    /// `reject`
    Reject,
    /// `tempfail`
    Tempfail,
}

/// The settings.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the setting of that name in opendkim.conf(5)")]
pub struct Conf {
    /// `Mode`: s, v.
    pub signs: bool,
    pub verifies: bool,
    pub canonicalization: (Canonicalization, Canonicalization),
    pub domain: Dataset,
    pub selector: String,
    pub subdomains: bool,
    pub signing_table: Option<Dataset>,
    pub multiple_signatures: bool,
    pub keys: Keys,
    pub internal_hosts: Dataset,
    pub external_ignore: Dataset,
    pub peers: Dataset,
    pub mta: Dataset,
    pub exempt_domains: Dataset,
    pub dont_sign_to: Dataset,
    pub sender_headers: Vec<String>,
    pub sign_headers: Vec<String>,
    pub oversign_headers: Vec<String>,
    pub minimum_key_bits: usize,
    pub maximum_signatures: usize,
    pub signature_ttl: Option<Duration>,
    pub remove_old_signatures: bool,
    /// `AuthservID`; `None` for the MTA's name.
    pub authserv_id: Option<String>,
    pub authserv_id_with_job: bool,
    pub always_add_results: bool,
    pub no_header_b: bool,
    pub keep_results: bool,
    pub remove_all_results: bool,
    pub remove_results_from: Dataset,
    pub on_bad_signature: On,
    pub on_dns_error: On,
    pub on_key_not_found: On,
    pub on_no_signature: On,
    pub on_signature_error: On,
    pub dns_timeout: Duration,
    pub syslog: bool,
    pub syslog_success: bool,
    pub syslog_name: String,
    pub log_why: bool,
    pub log_results: bool,
    /// `Socket`, as it is written.
    pub socket: Option<String>,
}

impl Default for Conf {
    fn default() -> Conf {
        let simple = (Canonicalization::Simple, Canonicalization::Simple);
        Conf {
            signs: true,
            verifies: true,
            canonicalization: simple,
            domain: Dataset::default(),
            selector: String::new(),
            subdomains: false,
            signing_table: None,
            multiple_signatures: false,
            keys: Keys::default(),
            internal_hosts: Dataset::of_list("127.0.0.1"),
            external_ignore: Dataset::default(),
            peers: Dataset::default(),
            mta: Dataset::default(),
            exempt_domains: Dataset::default(),
            dont_sign_to: Dataset::default(),
            sender_headers: vec!["from".to_owned()],
            sign_headers: SHOULD_SIGN.map(str::to_owned).to_vec(),
            oversign_headers: Vec::new(),
            minimum_key_bits: 1024,
            maximum_signatures: 3,
            signature_ttl: None,
            remove_old_signatures: false,
            authserv_id: None,
            authserv_id_with_job: false,
            always_add_results: false,
            no_header_b: false,
            keep_results: false,
            remove_all_results: false,
            remove_results_from: Dataset::default(),
            on_bad_signature: On::Accept,
            on_dns_error: On::Tempfail,
            on_key_not_found: On::Accept,
            on_no_signature: On::Accept,
            on_signature_error: On::Reject,
            dns_timeout: Duration::from_secs(5),
            syslog: false,
            syslog_success: false,
            syslog_name: "opendkim".to_owned(),
            log_why: false,
            log_results: false,
            socket: None,
        }
    }
}

/// What only a process of its own, or a resolver of its own, needs.
const WITHOUT_EFFECT: &[&str] = &[
    "allowsha1only",
    "autorestart",
    "autorestartcount",
    "autorestartrate",
    "background",
    "changerootdirectory",
    "disablecryptoinit",
    "dnsconnect",
    "enablecoredumps",
    "keeptemporaryfiles",
    "milterdebug",
    "nameservers",
    "pidfile",
    "querycache",
    "resolverconfiguration",
    "resolvertracing",
    "softstart",
    "stricttestmode",
    "syslogfacility",
    "temporarydirectory",
    "trustanchorfile",
    "umask",
    "userid",
];

/// What isn't heeded here.
const UNHEEDED: &[&str] = &[
    "bodylengthdb",
    "boguskey",
    "captureunknownerrors",
    "clockdrift",
    "diagnosticdirectory",
    "diagnostics",
    "domainkeyscompat",
    "finalpolicyscript",
    "fixcrlf",
    "identityheader",
    "identityheaderremove",
    "ignoremalformedmail",
    "macrolist",
    "maximumheaders",
    "maximumsignedbytes",
    "minimum",
    "mtacommand",
    "mustbesigned",
    "on-internalerror",
    "on-security",
    "popdbfile",
    "quarantine",
    "redirectfailuresto",
    "replaceheaders",
    "replacerules",
    "reportaddress",
    "reportbccaddress",
    "requestreports",
    "requiredheaders",
    "resignall",
    "resignmailto",
    "screenpolicyscript",
    "selectcanonicalizationheader",
    "sendermacro",
    "sendreports",
    "setuppolicyscript",
    "smtpuri",
    "softwareheader",
    "statistics",
    "statisticsname",
    "statisticspolicyscript",
    "statisticsprefix",
    "strictheaders",
    "testdnsdata",
    "testpublickeys",
    "trustsignaturesfrom",
    "unprotectedkey",
    "vbr-certifiers",
    "vbr-purgefields",
    "vbr-trustedcertifiers",
    "vbr-trustedcertifiersonly",
    "vbr-type",
    "weaksyntaxchecks",
];

/// What is read together at the end.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) base: Option<PathBuf>,
    pub(super) key_file: Option<Setting>,
    pub(super) key_table: Option<Setting>,
    pub(super) unsafe_keys: bool,
    sign_headers: Option<String>,
    omit_headers: Option<String>,
    algorithm: Option<Setting>,
    pub(super) found: Vec<Diagnostic>,
}

impl Reading {
    /// A path, below `BaseDirectory` where it isn't absolute.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.as_deref().unwrap_or(Path::new("/")).join(text)
    }

    fn dataset(&mut self, setting: &Setting, sources: &dyn Sources) -> Dataset {
        match Source::read(&setting.value) {
            Source::List(list) => Dataset::of_list(list),
            Source::Database(kind) => {
                let message = format!("data sets in `{kind}:` aren't heeded here");
                let help = "file:, refile: and csl: are; OpenDKIM itself can be run beside this server";
                self.found.push(Diagnostic::warning(568, setting.place.clone(), message).help(help));
                Dataset::default()
            }
            Source::File { path, patterns } => match sources.read(&self.path(path)) {
                Ok(bytes) => Dataset::of_file(&String::from_utf8_lossy(&bytes), patterns),
                Err(error) => {
                    let message = format!("this data set can't be read: {error}");
                    let help = "OpenDKIM doesn't start without it; here it is taken as empty";
                    self.found.push(Diagnostic::warning(569, setting.place.clone(), message).help(help));
                    Dataset::default()
                }
            },
        }
    }
}

impl Conf {
    /// Reads the file, and the files that it names.
    #[must_use]
    pub fn read(file: &Arc<SourceFile>, sources: &dyn Sources) -> (Conf, Vec<Diagnostic>) {
        let mut conf = Conf::default();
        let mut reading = Reading::default();
        conf.take(file, sources, &mut reading, 0);
        conf.finish(reading, sources)
    }

    fn take(&mut self, file: &Arc<SourceFile>, sources: &dyn Sources, reading: &mut Reading, depth: usize) {
        for setting in settings(file) {
            if setting.name.eq_ignore_ascii_case("include") {
                self.include(&setting, sources, reading, depth);
            } else {
                self.set(&setting, sources, reading);
            }
        }
    }

    fn include(&mut self, setting: &Setting, sources: &dyn Sources, reading: &mut Reading, depth: usize) {
        let path = reading.path(&setting.value);
        let read = sources.read(&path).map_err(|error| error.to_string());
        let read = read.and_then(|bytes| match depth < INCLUDES_MAX {
            true => Ok(bytes),
            false => Err("too many files within files".to_owned()),
        });
        match read {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.take(&Arc::new(SourceFile { path, text }), sources, reading, depth.saturating_add(1));
            }
            Err(why) => {
                let message = format!("this file isn't heeded: {why}");
                let help = "OpenDKIM doesn't start without it";
                reading.found.push(Diagnostic::warning(569, setting.place.clone(), message).help(help));
            }
        }
    }

    fn set(&mut self, setting: &Setting, sources: &dyn Sources, reading: &mut Reading) {
        let name = &setting.name;
        let lower = name.to_ascii_lowercase();
        if WITHOUT_EFFECT.contains(&lower.as_str()) {
            return;
        }
        if UNHEEDED.contains(&lower.as_str()) {
            let message = format!("{name} isn't heeded here");
            let help = "OpenDKIM itself can be run beside this server: then it is asked";
            reading.found.push(Diagnostic::warning(568, setting.place.clone(), message).help(help));
            return;
        }
        let set = self.set_flag(&lower, setting).or_else(|| self.set_text(&lower, setting, reading));
        let set = set.or_else(|| self.set_dataset(&lower, setting, sources, reading));
        match set {
            Some(true) => {}
            Some(false) => {
                let message = format!("{name} can't be `{}`", setting.value);
                let help = "opendkim.conf(5) lists what it can be; the default is in force, and OpenDKIM doesn't start";
                reading.found.push(Diagnostic::warning(567, setting.place.clone(), message).help(help));
            }
            None => {
                let message = format!("OpenDKIM has no setting {name}");
                let help = "take the line out, or write the name as opendkim.conf(5) has it; OpenDKIM doesn't start with it";
                reading.found.push(Diagnostic::warning(566, setting.place.clone(), message).help(help));
            }
        }
    }

    fn set_flag(&mut self, name: &str, setting: &Setting) -> Option<bool> {
        let slot = match name {
            "subdomains" => &mut self.subdomains,
            "multiplesignatures" => &mut self.multiple_signatures,
            "removeoldsignatures" => &mut self.remove_old_signatures,
            "authservidwithjobid" => &mut self.authserv_id_with_job,
            "alwaysaddarheader" => &mut self.always_add_results,
            "noheaderb" => &mut self.no_header_b,
            "keepauthresults" => &mut self.keep_results,
            "removearall" => &mut self.remove_all_results,
            "syslog" => &mut self.syslog,
            "syslogsuccess" => &mut self.syslog_success,
            "logwhy" => &mut self.log_why,
            "logresults" => &mut self.log_results,
            _ => return None,
        };
        Some(flag(&setting.value).map(|value| *slot = value).is_some())
    }

    fn set_text(&mut self, name: &str, setting: &Setting, reading: &mut Reading) -> Option<bool> {
        let value = setting.value.as_str();
        let number = || value.parse::<u64>().ok();
        let is_set = !value.is_empty();
        Some(match name {
            "mode" => {
                (self.signs, self.verifies) = (value.contains('s'), value.contains('v'));
                is_set && value.chars().all(|c| matches!(c, 's' | 'v'))
            }
            "canonicalization" => {
                Canonicalization::parse_pair(value).map(|pair| self.canonicalization = pair).is_some()
            }
            "selector" => assign(&mut self.selector, value.to_owned()) && is_set,
            "keyfile" => assign(&mut reading.key_file, Some(setting.clone())) && is_set,
            "keytable" => assign(&mut reading.key_table, Some(setting.clone())) && is_set,
            "basedirectory" => assign(&mut reading.base, Some(PathBuf::from(value))) && is_set,
            "requiresafekeys" => flag(value).map(|safe| reading.unsafe_keys = !safe).is_some(),
            "signheaders" => assign(&mut reading.sign_headers, Some(value.to_owned())) && is_set,
            "omitheaders" => assign(&mut reading.omit_headers, Some(value.to_owned())) && is_set,
            "signaturealgorithm" => {
                reading.algorithm = Some(setting.clone());
                matches!(value.to_ascii_lowercase().as_str(), "rsa-sha256" | "rsa-sha1" | "ed25519-sha256")
            }
            "authservid" => assign(&mut self.authserv_id, Some(value.to_owned())) && is_set,
            "syslogname" => assign(&mut self.syslog_name, value.to_owned()) && is_set,
            "socket" => assign(&mut self.socket, Some(value.to_owned())) && is_set,
            "minimumkeybits" => size(number(), &mut self.minimum_key_bits),
            "maximumsignaturestoverify" => size(number(), &mut self.maximum_signatures),
            "signaturettl" => {
                let seconds = number();
                self.signature_ttl = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
                seconds.is_some()
            }
            "dnstimeout" => {
                let seconds = number();
                // Nobody waits without end here.
                let limit = seconds.map(|seconds| if seconds == 0 { 60 } else { seconds.min(600) });
                limit.map(|seconds| self.dns_timeout = Duration::from_secs(seconds)).is_some()
            }
            "on-default" => on(value).map(|action| self.set_all(action)).is_some(),
            "on-badsignature" => on(value).map(|action| self.on_bad_signature = action).is_some(),
            "on-dnserror" => on(value).map(|action| self.on_dns_error = action).is_some(),
            "on-keynotfound" => on(value).map(|action| self.on_key_not_found = action).is_some(),
            "on-nosignature" => on(value).map(|action| self.on_no_signature = action).is_some(),
            "on-signatureerror" => on(value).map(|action| self.on_signature_error = action).is_some(),
            _ => return None,
        })
    }

    fn set_all(&mut self, action: On) {
        self.on_bad_signature = action;
        self.on_dns_error = action;
        self.on_key_not_found = action;
        self.on_no_signature = action;
        self.on_signature_error = action;
    }

    fn set_dataset(
        &mut self,
        name: &str,
        setting: &Setting,
        sources: &dyn Sources,
        reading: &mut Reading,
    ) -> Option<bool> {
        let lists = ["senderheaders", "oversignheaders"];
        let sets = [
            "domain",
            "signingtable",
            "internalhosts",
            "externalignorelist",
            "peerlist",
            "mta",
            "exemptdomains",
            "dontsignmailto",
            "removearfrom",
        ];
        if !lists.contains(&name) && !sets.contains(&name) {
            return None;
        }
        if setting.value.is_empty() {
            return Some(false);
        }
        let set = reading.dataset(setting, sources);
        let names = || set.keys().filter(|key| *key != "*").map(str::to_owned).collect();
        match name {
            "senderheaders" => self.sender_headers = names(),
            "oversignheaders" => self.oversign_headers = names(),
            "domain" => self.domain = set,
            "signingtable" => self.signing_table = Some(set),
            "internalhosts" => self.internal_hosts = set,
            "externalignorelist" => self.external_ignore = set,
            "peerlist" => self.peers = set,
            "mta" => self.mta = set,
            "exemptdomains" => self.exempt_domains = set,
            "dontsignmailto" => self.dont_sign_to = set,
            _ => self.remove_results_from = set,
        }
        Some(true)
    }

    /// What depends on more than one line.
    fn finish(mut self, mut reading: Reading, sources: &dyn Sources) -> (Conf, Vec<Diagnostic>) {
        let (sign, omit) = (reading.sign_headers.take(), reading.omit_headers.take());
        self.sign_headers = signed(sign.as_deref(), omit.as_deref(), &mut reading, sources);
        if self.maximum_signatures == 0 || self.maximum_signatures > mail::dkim::SIGNATURES_MAX {
            self.maximum_signatures = mail::dkim::SIGNATURES_MAX;
        }
        if let Some(setting) =
            reading.algorithm.take().filter(|one| one.value.eq_ignore_ascii_case("rsa-sha1"))
        {
            let message = "rsa-sha1 is believed by nobody any more (RFC 8301): rsa-sha256 is used".to_owned();
            let diagnostic = Diagnostic::warning(568, setting.place, message);
            reading.found.push(diagnostic.help("write rsa-sha256, or take the line out"));
        }
        self.keys = Keys::read(&self, &mut reading, sources);
        let fault = match (&reading.key_table, &self.signing_table) {
            (None, Some(_)) => Some("SigningTable needs a KeyTable"),
            (Some(_), None) => Some("KeyTable needs a SigningTable"),
            (None, None) if self.signs && !self.domain.is_empty() => (reading.key_file.is_none()
                || self.selector.is_empty())
            .then_some("Domain needs KeyFile and Selector"),
            _ => None,
        };
        if let Some(fault) = fault {
            let place = reading.key_table.as_ref().or(reading.key_file.as_ref());
            let place = place.map_or_else(Place::nowhere, |one| one.place.clone());
            let help = "OpenDKIM doesn't start so; here nothing is signed";
            reading.found.push(Diagnostic::warning(571, place, format!("opendkim.conf: {fault}")).help(help));
            self.signing_table = None;
            self.domain = Dataset::default();
        }
        (self, reading.found)
    }
}

/// The headers that are signed.
fn signed(
    sign: Option<&str>,
    omit: Option<&str>,
    reading: &mut Reading,
    sources: &dyn Sources,
) -> Vec<String> {
    let mut list = |text: Option<&str>, usual: &[&str]| -> Vec<String> {
        let usual = || usual.iter().map(|name| (*name).to_owned());
        let Some(text) = text else { return usual().collect() };
        let setting = Setting { name: String::new(), value: text.to_owned(), place: Place::nowhere() };
        let set = reading.dataset(&setting, sources);
        if !set.has("*") {
            return set.keys().map(str::to_owned).collect();
        }
        let mut names: Vec<String> = usual().collect();
        for key in set.keys() {
            if let Some(more) = key.strip_prefix('+') {
                names.push(more.to_owned());
            } else if let Some(less) = key.strip_prefix('-') {
                names.retain(|name| name != less);
            }
        }
        names
    };
    let omitted = list(omit, &SHOULD_NOT_SIGN);
    let mut names = list(sign, &SHOULD_SIGN);
    names.retain(|name| name == "from" || !omitted.contains(name));
    if !names.iter().any(|name| name == "from") {
        names.push("from".to_owned());
    }
    names
}

fn assign<T>(slot: &mut T, value: T) -> bool {
    *slot = value;
    true
}

fn size(number: Option<u64>, slot: &mut usize) -> bool {
    number.and_then(|number| usize::try_from(number).ok()).map(|number| *slot = number).is_some()
}

fn on(value: &str) -> Option<On> {
    Some(match value.to_ascii_lowercase().as_str() {
        "a" | "accept" => On::Accept,
        "d" | "discard" => On::Discard,
        "q" | "quarantine" => On::Quarantine,
        "r" | "reject" => On::Reject,
        "t" | "tempfail" => On::Tempfail,
        _ => return None,
    })
}
