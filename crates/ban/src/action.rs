//! Actions as values: what is to be run for a ban, and with which texts.
//!
//! An action of action.d is a handful of shell commands with tags in them. Here the tags are put in, for IPv4 or IPv6
//! (`[Init?family=inet6]`), and it is found out what needs no shell: [`plain`] for commands that are words, [`nft`] for
//! sets of nftables, which take many addresses at once. Whatever a client chose (a user's name, a log line) is put into
//! a command as a variable of the shell, never as its text. T2.19.

pub mod net;
pub mod nft;
pub mod plain;
pub mod restore;

use crate::filter::Id;
use crate::jails::{self, Jail, is_yes};
use crate::{span, tags};
use config::diagnostic::Diagnostic;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How long a command may take unless its action says otherwise.
const TIMEOUT_S: u64 = 60;

/// What kind of address it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
    /// No address: a start without a ban, a name.
    Neither,
}

impl Family {
    /// Whoever it is.
    #[must_use]
    pub fn of(id: &Id) -> Family {
        match id {
            Id::Net(IpAddr::V4(_), _) => Family::V4,
            Id::Net(IpAddr::V6(_), _) => Family::V6,
            Id::Name(_) | Id::Other(_) => Family::Neither,
        }
    }

    /// What `<family>` stands for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "inet4",
            Family::V6 => "inet6",
            Family::Neither => "",
        }
    }
}

/// The commands of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// `actionstart`
    Start,
    /// `actionstop`
    Stop,
    /// `actionflush`
    Flush,
    /// `actioncheck`
    Check,
    /// `actionrepair`
    Repair,
    /// `actionban`
    Ban,
    /// `actionprolong`
    Prolong,
    /// `actionunban`
    Unban,
}

impl Deed {
    fn option(self) -> &'static str {
        match self {
            Deed::Start => "actionstart",
            Deed::Stop => "actionstop",
            Deed::Flush => "actionflush",
            Deed::Check => "actioncheck",
            Deed::Repair => "actionrepair",
            Deed::Ban => "actionban",
            Deed::Prolong => "actionprolong",
            Deed::Unban => "actionunban",
        }
    }
}

/// What is known of a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who.
    pub id: Id,
    /// For how many seconds; negative for ever.
    pub ban_s: i64,
    /// How many failures led to it.
    pub failures: u32,
    /// How often before.
    pub before: u32,
    /// Since when.
    pub time_s: i64,
    /// The lines that led to it.
    pub matches: String,
    /// What else the filter captured.
    pub fields: Vec<(String, String)>,
}

/// A command for the shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its text, in which nothing stands that a client chose.
    pub text: String,
    /// What stands in its variables.
    pub variables: Vec<(String, String)>,
}

/// An action of a jail.
#[derive(Clone, Debug)]
pub struct Action {
    /// What it is called in its jail.
    pub name: String,
    host: String,
    options: BTreeMap<String, String>,
    /// What IPv6 has of its own.
    options_v6: BTreeMap<String, String>,
    /// It is started at the first ban of a family, not with the jail.
    pub starts_on_demand: bool,
    /// Bans from before a restart aren't its business.
    pub passes_over_restored: bool,
    /// How long a command may take, in seconds.
    pub timeout_s: u64,
    /// Bans grow, so that it matters which one it is; else each is somebody's first.
    counts_bans: bool,
    /// Its sets, where it is one of nftables'.
    pub nft: Option<nft::Layout>,
}

impl Action {
    /// Reads an action; `host` is this machine's name.
    ///
    /// # Errors
    /// Why it can't be run.
    pub fn new(jail: &Jail, action: &jails::Action, host: &str) -> Result<Action, Box<Diagnostic>> {
        if let Some(python) = &action.python {
            let message =
                format!("[{}] has an action in Python, {}: it is not run", jail.name, python.display());
            let found = Diagnostic::warning(665, jail.place("action"), message);
            return Err(Box::new(
                found.help("take an action of action.d/*.conf: `sendmail-whois` sends mail as well"),
            ));
        }
        let (mut options, mut options_v6) = (BTreeMap::new(), BTreeMap::new());
        let plain = plain_name(&jail.name);
        let named = |text: &str| match &plain {
            Some(plain) => text.replace(&jail.name, plain),
            None => text.to_owned(),
        };
        let commands = action.commands.iter().map(|(name, text)| (*name, text));
        for (name, text) in commands.chain(action.parameters.iter().map(|(name, text)| (name.as_str(), text)))
        {
            let (name, into) = match name.split_once('?') {
                None => (name, &mut options),
                Some((name, "family=inet6")) => (name, &mut options_v6),
                Some((name, "family=inet4")) => (name, &mut options),
                Some(_) => continue,
            };
            into.entry(name.to_owned()).or_insert_with(|| named(text));
        }
        let has_yes = |name: &str| options.get(name).map(|text| is_yes(text));
        let starts_on_demand = has_yes("actionstart_on_demand").unwrap_or(!options_v6.is_empty());
        let passes_over_restored = has_yes("norestored").unwrap_or(false);
        let timeout = options.get("timeout").and_then(|text| u64::try_from(span::seconds(text)?).ok());
        let mut made = Action {
            name: action.name.clone(),
            host: host.to_owned(),
            options,
            options_v6,
            starts_on_demand,
            passes_over_restored,
            timeout_s: timeout.filter(|s| *s > 0).unwrap_or(TIMEOUT_S),
            counts_bans: jail.option("bantime.increment").is_some_and(is_yes),
            nft: None,
        };
        made.nft = nft::Layout::of(&made);
        Ok(made)
    }

    /// Whether it has a command with something in it.
    #[must_use]
    pub fn has(&self, deed: Deed) -> bool {
        self.options.get(deed.option()).is_some_and(|text| !text.trim().is_empty())
    }

    /// Whether IPv4 and IPv6 differ.
    #[must_use]
    pub fn has_families(&self) -> bool {
        !self.options_v6.is_empty()
    }

    /// Whether a ban of a network is one command that takes networks, for whichever program it is.
    #[must_use]
    pub fn takes_networks(&self) -> bool {
        if let Some(layout) = &self.nft {
            return layout.takes_networks();
        }
        let id = Id::Net(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 64);
        let sample = Facts {
            id,
            ban_s: 0,
            failures: 0,
            before: 0,
            time_s: 0,
            matches: String::new(),
            fields: Vec::new(),
        };
        let script = self.script(Deed::Ban, Family::V6, Some(&sample));
        let steps = script.and_then(|script| plain::steps(&script)).unwrap_or_default();
        let program = |step: &plain::Step| match step {
            plain::Step::Run(command) => command.words.first().cloned(),
            plain::Step::Unless(..) => None,
        };
        let takes = |program: &str| matches!(program.rsplit('/').next(), Some("ip6tables" | "ufw"));
        !steps.is_empty() && steps.iter().all(|step| program(step).is_some_and(|program| takes(&program)))
    }

    fn option(&self, name: &str, family: Family) -> Option<&String> {
        let own = self.options_v6.get(name).filter(|_| family == Family::V6);
        own.or_else(|| self.options.get(name))
    }

    /// A command; `None` where the action has none of the kind.
    #[must_use]
    pub fn script(&self, deed: Deed, family: Family, facts: Option<&Facts>) -> Option<Script> {
        let text = self.option(deed.option(), family).filter(|text| !text.trim().is_empty())?;
        let of_action = |name: &str| match name {
            "br" => Some("\n".to_owned()),
            "sp" => Some(" ".to_owned()),
            "family" => Some(family.name().to_owned()),
            "fq-hostname" => Some(self.host.clone()),
            "sh-hostname" => Some(self.host.split('.').next().unwrap_or("").to_owned()),
            name if name.starts_with("action") => None,
            name => self.option(name, family).cloned(),
        };
        let text = tags::substitute(text, &of_action)?;
        Some(match facts {
            None => Script { text, variables: Vec::new() },
            Some(facts) if self.counts_bans => Script::of(&text, facts),
            Some(facts) => Script::of(&text, &Facts { before: 0, ..facts.clone() }),
        })
    }
}

impl Script {
    /// A command with what is known of somebody put in: `ignorecommand`, for one.
    #[must_use]
    pub fn of(text: &str, facts: &Facts) -> Script {
        let mut variables: Vec<(String, String)> = Vec::new();
        // What a value holds is not looked at for tags again.
        let text = tags::substitute_once(text, &mut |name: &str| {
            let value = fact(name, facts)?;
            if value.chars().all(is_harmless) {
                return Some(value);
            }
            let variable: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
                .collect();
            let variable = format!("f2bV_{variable}");
            if !variables.iter().any(|(known, _)| *known == variable) {
                variables.push((variable.clone(), value.replace('\0', "")));
            }
            Some(format!("${variable}"))
        });
        Script { text, variables }
    }
}

/// A text with what is known of somebody put in as it is: for what is compared, not run.
#[must_use]
pub fn filled(text: &str, facts: &Facts) -> String {
    tags::substitute_once(text, &mut |name: &str| fact(name, facts))
}

/// What a tag says of a ban.
fn fact(name: &str, facts: &Facts) -> Option<String> {
    Some(match name {
        "ip" | "fid" | "F-ID" => facts.id.to_string(),
        "family" => Family::of(&facts.id).name().to_owned(),
        "ip-rev" => reversed(&facts.id),
        "ip-host" => "None".to_owned(),
        "failures" | "ipfailures" | "ipjailfailures" => facts.failures.to_string(),
        "time" => facts.time_s.to_string(),
        "bantime" => facts.ban_s.to_string(),
        "bancount" => facts.before.saturating_add(1).to_string(),
        "matches" | "ipmatches" | "ipjailmatches" => facts.matches.clone(),
        name => {
            let field = name.strip_prefix("F-")?;
            let known = facts.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(field));
            known.map_or(String::new(), |(_, value)| value.clone())
        }
    })
}

/// What actions call a jail in whose name a shell would read more than a word: each such character is `_`.
#[must_use]
pub fn plain_name(name: &str) -> Option<String> {
    let is_plain = |c: char| is_harmless(c) && c != ' ';
    if name.chars().all(is_plain) {
        return None;
    }
    Some(name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect())
}

/// Whether a character means nothing to a shell, in whichever quotes.
fn is_harmless(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '/' | '@' | '%' | '+' | ',' | '=' | '-')
}

/// `1.2.0.192.`, and each digit of an IPv6 address.
fn reversed(id: &Id) -> String {
    match id {
        Id::Net(IpAddr::V4(v4), _) => v4.octets().iter().rev().map(|octet| format!("{octet}.")).collect(),
        Id::Net(IpAddr::V6(v6), _) => {
            let digits = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect()
        }
        Id::Name(_) | Id::Other(_) => String::new(),
    }
}

/// What is wrong with a jail's actions.
#[must_use]
pub fn review_of(jail: &Jail) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = jail
        .actions
        .iter()
        .filter_map(|action| Action::new(jail, action, "").err())
        .map(|error| *error)
        .collect();
    found.extend(net::Prefixes::of(jail).err().map(|error| *error));
    found
}

#[cfg(test)]
mod tests;
