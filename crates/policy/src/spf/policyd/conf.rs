//! Debian's policyd-spf.conf (policyd-spf.conf(5)): `name = value` lines, names in their exact case.
//!
//! What a program of its own needs (its log of debugging, its time limit) is read and without effect. Diagnostics:
//! K0490 a setting that doesn't exist, K0491 a value that means nothing, K0492 what isn't heeded. `Per_User` names another
//! file of settings for single recipients (policyd-spf.peruser(5)).

use crate::spf::Network;
use config::{Diagnostic, Place, SourceFile};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Where Debian has it.
pub const PATH: &str = "/etc/postfix-policyd-spf-python/policyd-spf.conf";

/// Which results refuse mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// `SPF_Not_Pass`: fail, softfail, neutral.
    NotPass,
    /// `Softfail`, and fail.
    SoftFail,
    /// `Fail`.
    Fail,
    /// `Null`: fail, of mail without a sender.
    Null,
    /// `False`: none.
    Never,
    /// `No_Check`: it isn't even asked.
    NoCheck,
}

/// How a result is written into the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderType {
    /// `SPF`: Received-SPF.
    ReceivedSpf,
    /// `AR`: Authentication-Results.
    AuthenticationResults,
    /// `None`.
    Nothing,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    /// `debugLevel`
    pub debug_level: i64,
    /// `TestOnly = 0`: what would be refused is let through.
    pub only_tests: bool,
    /// `HELO_reject`
    pub helo_reject: Reject,
    /// `Mail_From_reject`
    pub mail_from_reject: Reject,
    /// `HELO_pass_restriction`
    pub helo_pass: Option<String>,
    /// `Mail_From_pass_restriction`
    pub mail_from_pass: Option<String>,
    /// `PermError_reject`
    pub reject_permerror: bool,
    /// `TempError_Defer`
    pub defer_temperror: bool,
    /// `No_Mail`: only `v=spf1 -all` refuses.
    pub no_mail: bool,
    /// `Reject_Not_Pass_Domains`
    pub not_pass_domains: Vec<String>,
    /// `Prospective`
    pub prospective: Option<std::net::IpAddr>,
    /// `skip_addresses`
    pub skip: Vec<Network>,
    /// `Whitelist`
    pub whitelist: Vec<Network>,
    /// `HELO_Whitelist`
    pub helo_whitelist: Vec<String>,
    /// `Domain_Whitelist`
    pub domain_whitelist: Vec<String>,
    /// `Domain_Whitelist_PTR`
    pub ptr_whitelist: Vec<String>,
    /// `SPF_Enhanced_Status_Codes`
    pub enhanced_codes: bool,
    /// `Header_Type`
    pub header: HeaderType,
    /// `Hide_Receiver`
    pub hide_receiver: bool,
    /// `Authserv_Id`; `None` for this host's name.
    pub authserv_id: Option<String>,
    /// `Void_Limit`
    pub void_limit: u32,
    /// `Lookup_Time`, in seconds.
    pub lookup_time_s: u32,
    /// `Reason_Message`
    pub reason: String,
    /// `Mock`
    pub mock: bool,
    /// `Per_User`: the file, and where it is named.
    pub per_user: Option<(PathBuf, Place)>,
    /// What holds for single recipients.
    users: HashMap<String, Arc<Conf>>,
}

impl Default for Conf {
    fn default() -> Conf {
        let local = ["127.0.0.0/8", "::ffff:127.0.0.0/104", "::1"];
        Conf {
            debug_level: 1,
            only_tests: false,
            helo_reject: Reject::Fail,
            mail_from_reject: Reject::Fail,
            helo_pass: None,
            mail_from_pass: None,
            reject_permerror: false,
            defer_temperror: false,
            no_mail: false,
            not_pass_domains: Vec::new(),
            prospective: None,
            skip: local.iter().filter_map(|text| Network::parse(text)).collect(),
            whitelist: Vec::new(),
            helo_whitelist: Vec::new(),
            domain_whitelist: Vec::new(),
            ptr_whitelist: Vec::new(),
            enhanced_codes: true,
            header: HeaderType::ReceivedSpf,
            hide_receiver: false,
            authserv_id: None,
            void_limit: crate::spf::VOID_LIMIT,
            lookup_time_s: 20,
            reason: "Message {rejectdefer} due to: {spf}. Please see {url}".to_owned(),
            mock: false,
            per_user: None,
            users: HashMap::new(),
        }
    }
}

/// What of the file isn't heeded: it is the milter's.
const UNHEEDED: &[&str] = &[
    "QueueID",
    "Whitelist_Lookup_Time",
    "Socket",
    "UMask",
    "UserID",
    "PidFile",
    "InternalHosts",
    "MacroList",
    "MilterHeaderType",
    "PidFile",
];

/// What can't be set for a single recipient.
const FOR_ALL: &[&str] =
    &["Lookup_Time", "Hide_Receiver", "Authserv_Id", "Prospective", "debugLevel", "Mock", "Per_User"];
/// Recipients with settings of their own; more aren't read.
const USERS_MAX: usize = 100_000;

impl Conf {
    /// What holds for mail to a recipient.
    pub(super) fn of(&self, recipient: &str) -> &Conf {
        if self.users.is_empty() {
            return self;
        }
        self.users.get(&recipient.to_ascii_lowercase()).map_or(self, |conf| conf)
    }

    /// Whether single recipients may have settings of their own.
    pub(super) const fn has_users(&self) -> bool {
        self.per_user.is_some()
    }

    /// Reads the file that [`Conf::per_user`] names: `user,name=value|name=value` lines, of which the first of a user
    /// counts; users are written in lower case.
    pub fn read_users(&mut self, file: &Arc<SourceFile>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let base = self.clone();
        let mut start = 0;
        for line in file.text.split_inclusive('\n') {
            let begin = start;
            start += line.len();
            let text = line.trim_end();
            let place = Place::new(file, begin, begin + text.len());
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let Some((user, settings)) = text.split_once(',') else {
                let message = format!("`{text}` names no settings");
                found.push(
                    Diagnostic::warning(490, place, message)
                        .help("write `user@domain,name=value|name=value`"),
                );
                continue;
            };
            if self.users.contains_key(user) || self.users.len() >= USERS_MAX {
                continue;
            }
            let mut conf = base.clone();
            for setting in settings.split('|') {
                let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
                if FOR_ALL.contains(&name) {
                    let message = format!("{name} isn't heeded for a single recipient");
                    let help = "policyd-spf takes it from policyd-spf.conf alone";
                    found.push(Diagnostic::warning(492, place.clone(), message).help(help));
                } else {
                    conf.set(name, value.trim(), place.clone(), &mut found);
                }
            }
            self.users.insert(user.to_owned(), Arc::new(conf));
        }
        found
    }

    /// Reads the file.
    #[must_use]
    pub fn read(file: &Arc<SourceFile>) -> (Conf, Vec<Diagnostic>) {
        let (mut conf, mut found) = (Conf::default(), Vec::new());
        let mut start = 0;
        for line in file.text.split_inclusive('\n') {
            let end = start + line.trim_end().len();
            let place = Place::new(file, start, end);
            start += line.len();
            let text = line.split('#').next().unwrap_or("").trim();
            let Some((name, value)) = text.split_once('=') else {
                if !text.is_empty() {
                    let message = format!("`{text}` is no setting");
                    found.push(Diagnostic::warning(490, place, message).help("write `name = value`"));
                }
                continue;
            };
            conf.set(name.trim(), value.trim(), place, &mut found);
        }
        (conf, found)
    }

    fn set(&mut self, name: &str, value: &str, place: Place, found: &mut Vec<Diagnostic>) {
        if UNHEEDED.contains(&name) {
            let message = format!("{name} isn't heeded here");
            found.push(
                Diagnostic::warning(492, place, message)
                    .help("policyd-spf itself can be run in a `spawn` line of master.cf"),
            );
            return;
        }
        let known = match name {
            "debugLevel" => value.parse().map(|level| self.debug_level = level).is_ok(),
            "TestOnly" | "defaultSeedOnly" => match value {
                "0" => assign(&mut self.only_tests, true),
                "1" => assign(&mut self.only_tests, false),
                _ => false,
            },
            "HELO_reject" => reject(value).map(|reject| self.helo_reject = reject).is_some(),
            "Mail_From_reject" => reject(value).map(|reject| self.mail_from_reject = reject).is_some(),
            "HELO_pass_restriction" => assign(&mut self.helo_pass, Some(value.to_owned())),
            "Mail_From_pass_restriction" => assign(&mut self.mail_from_pass, Some(value.to_owned())),
            "PermError_reject" => flag(value, &mut self.reject_permerror),
            "TempError_Defer" => flag(value, &mut self.defer_temperror),
            "No_Mail" => flag(value, &mut self.no_mail),
            "Mock" => flag(value, &mut self.mock),
            "Per_User" => match value.split_once(',') {
                Some(("text", path)) if path.starts_with('/') => {
                    assign(&mut self.per_user, Some((path.into(), place.clone())))
                }
                _ => false,
            },
            "Reject_Not_Pass_Domains" => assign(&mut self.not_pass_domains, words(value)),
            "HELO_Whitelist" => assign(&mut self.helo_whitelist, words(value)),
            "Domain_Whitelist" => assign(&mut self.domain_whitelist, words(value)),
            "Domain_Whitelist_PTR" => assign(&mut self.ptr_whitelist, words(value)),
            "Prospective" => value.parse().map(|address| self.prospective = Some(address)).is_ok(),
            "skip_addresses" => networks(value, &mut self.skip),
            "Whitelist" => networks(value, &mut self.whitelist),
            "SPF_Enhanced_Status_Codes" => assign(&mut self.enhanced_codes, value != "No"),
            "Hide_Receiver" => assign(&mut self.hide_receiver, value != "No"),
            "Header_Type" => match value {
                "SPF" => assign(&mut self.header, HeaderType::ReceivedSpf),
                "AR" => assign(&mut self.header, HeaderType::AuthenticationResults),
                "None" => assign(&mut self.header, HeaderType::Nothing),
                _ => false,
            },
            "Authserv_Id" => assign(&mut self.authserv_id, (value != "HOSTNAME").then(|| value.to_owned())),
            "Void_Limit" => value.parse().map(|limit| self.void_limit = limit).is_ok(),
            "Lookup_Time" => value.parse().map(|seconds| self.lookup_time_s = seconds).is_ok(),
            "Reason_Message" => assign(&mut self.reason, value.to_owned()),
            _ => {
                let message = format!("policyd-spf has no setting {name}");
                let help =
                    "names are matched in their exact case; policyd-spf passes over what it doesn't know";
                found.push(Diagnostic::warning(490, place, message).help(help));
                return;
            }
        };
        if !known {
            let message = format!("{name} can't be `{value}`");
            found.push(
                Diagnostic::warning(491, place, message)
                    .help("policyd-spf.conf(5) lists what it can be; the default is in force"),
            );
        }
    }
}

fn assign<T>(slot: &mut T, value: T) -> bool {
    *slot = value;
    true
}

fn flag(value: &str, slot: &mut bool) -> bool {
    match value {
        "True" => assign(slot, true),
        "False" => assign(slot, false),
        _ => false,
    }
}

fn reject(value: &str) -> Option<Reject> {
    Some(match value {
        "SPF_Not_Pass" => Reject::NotPass,
        "Softfail" => Reject::SoftFail,
        "Fail" => Reject::Fail,
        "Null" => Reject::Null,
        "False" => Reject::Never,
        "No_Check" => Reject::NoCheck,
        _ => return None,
    })
}

fn words(value: &str) -> Vec<String> {
    value.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty()).collect()
}

fn networks(value: &str, slot: &mut Vec<Network>) -> bool {
    let found: Option<Vec<Network>> = words(value).iter().map(|word| Network::parse(word)).collect();
    found.map(|found| *slot = found).is_some()
}
