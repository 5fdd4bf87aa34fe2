//! What a jail was told: numbers, times, and who is never banned.

use crate::action::net::overlap;
use crate::filter::{Failure, Id};
use crate::formula::{Formula, Given};
use crate::jail::wide::Wide;
use crate::jails::{self, is_yes};
use crate::span;
use config::diagnostic::Diagnostic;
use std::net::IpAddr;

/// What a jail was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// How many failures ban.
    pub failures_max: u32,
    /// Within how many seconds.
    pub find_s: i64,
    /// For how long; negative for ever.
    pub ban_s: i64,
    /// How bans grow.
    pub increment: Option<Increment>,
    /// Who is never banned.
    pub never: Vec<(IpAddr, u8)>,
    /// Names that are never banned, in lower case. Whoever can look names up adds their addresses to `never`.
    pub never_names: Vec<String>,
    /// `ignoreself`: the machine's own addresses are never banned.
    pub spares_own: bool,
    /// The machine's own addresses, which only the caller knows.
    pub own: Vec<IpAddr>,
    /// The addresses of `never_names`, which only the caller knows.
    pub named: Vec<IpAddr>,
    /// Networks that whoever puts bans in force refuses, whatever the jail was told.
    pub refused: Vec<(IpAddr, u8)>,
    /// What is done with names in a log.
    pub dns: Dns,
    /// How many lines of each that failed are kept.
    pub matches_max: usize,
    /// `ignorecommand`: the caller asks it, with tags put in; it spares whom it exits with 0 for.
    pub command: Option<String>,
    /// `ignorecache`: how long answers about whom to spare hold.
    pub cache: Option<Cache>,
    /// `count = attempts`: lines of different kinds that tell of one attempt count once.
    pub counts_attempts: bool,
    /// `komainu_count`: networks, accounts or passwords are counted instead of addresses.
    pub wide: Option<Wide>,
}

/// `usedns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dns {
    /// Names are looked up, and that is said.
    #[default]
    Warn,
    /// Names are looked up.
    Yes,
    /// Names don't count.
    No,
    /// Names are banned as names.
    Raw,
}

/// `ignorecache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// What an answer is kept by, with tags.
    pub key: String,
    /// How many answers are kept.
    pub count_max: usize,
    /// For how many seconds.
    pub time_s: i64,
}

/// How the bans of those that come again grow; a first ban never does.
#[derive(Clone, Debug, PartialEq)]
pub struct Increment {
    /// `bantime.factor`.
    pub factor: f64,
    /// `bantime.multipliers`; they win over the formula.
    pub multipliers: Vec<f64>,
    /// `bantime.formula`; powers of two where there is none.
    pub formula: Option<Formula>,
    /// `bantime.maxtime`.
    pub ban_s_max: Option<i64>,
    /// `bantime.rndtime`: up to so many seconds are added by chance, on top of the most.
    pub random_s: i64,
    /// `bantime.overalljails`: bans by other jails count too.
    pub is_overall: bool,
}

/// What is to be done about a failure before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// It counts, as whom it names.
    Counts,
    /// It names a host: look its addresses up, and let each of them have failed.
    LookUp {
        /// The name.
        name: String,
        /// `usedns = warn`: say so in the log.
        is_said: bool,
    },
    /// It doesn't count: a name where names don't.
    Dropped,
}

impl Default for Increment {
    fn default() -> Increment {
        Increment {
            factor: 1.0,
            multipliers: Vec::new(),
            formula: None,
            ban_s_max: None,
            random_s: 0,
            is_overall: false,
        }
    }
}

impl Default for Settings {
    /// fail2ban's own defaults, of a jail that nothing is said of.
    fn default() -> Settings {
        Settings {
            name: String::new(),
            failures_max: 5,
            find_s: 600,
            ban_s: 600,
            increment: None,
            never: Vec::new(),
            never_names: Vec::new(),
            spares_own: true,
            own: Vec::new(),
            named: Vec::new(),
            refused: Vec::new(),
            dns: Dns::Warn,
            matches_max: 5,
            command: None,
            cache: None,
            counts_attempts: false,
            wide: None,
        }
    }
}

/// Reads options; what can't be read has its default, and is said.
struct Options<'j> {
    jail: &'j jails::Jail,
    found: Vec<Diagnostic>,
}

impl Options<'_> {
    fn wrong(&mut self, option: &str, text: &str, instead: &str) {
        let message = format!("`{option} = {text}` can't be read");
        let place = self.jail.place(option);
        self.found.push(Diagnostic::error(634, place, message).help(instead.to_owned()));
    }

    fn text(&self, option: &str) -> Option<String> {
        self.jail.option(option).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn seconds(&mut self, option: &str, default: i64) -> i64 {
        let Some(text) = self.jail.option(option).map(str::to_owned) else { return default };
        span::seconds(&text).unwrap_or_else(|| {
            let meanwhile = if default == 600 { "10 minutes count" } else { "none counts" };
            self.wrong(option, &text, &format!("write seconds, or a time like `10m`; {meanwhile} meanwhile"));
            default
        })
    }

    fn number(&mut self, option: &str, default: u32) -> u32 {
        let Some(text) = self.text(option) else { return default };
        text.parse().ok().filter(|n| *n > 0).unwrap_or_else(|| {
            self.wrong(option, &text, &format!("write a whole number; {default} counts meanwhile"));
            default
        })
    }

    fn formula(&mut self, option: &str) -> Option<Formula> {
        let text = self.text(option)?;
        match Formula::new(&text) {
            Ok(formula) => Some(formula),
            Err(error) => {
                let help = format!(
                    "{error}; bans double meanwhile. It may use ban.Time, ban.Count, banFactor, math.exp …"
                );
                self.wrong(option, &text, &help);
                None
            }
        }
    }

    fn increment(&mut self) -> Option<Increment> {
        if !self.jail.option("bantime.increment").is_some_and(is_yes) {
            return None;
        }
        let given = Given { time_s: 600, count: 1, factor: 1.0, luck: 0.5 };
        let factor = self.formula("bantime.factor").and_then(|formula| formula.value(&given).ok());
        let multipliers = self.text("bantime.multipliers").unwrap_or_default();
        let words: Vec<Option<f64>> = multipliers
            .split_whitespace()
            .map(|word| word.parse().ok().filter(|n: &f64| n.is_finite()))
            .collect();
        if words.contains(&None) {
            self.wrong("bantime.multipliers", &multipliers, "write numbers with spaces between: `1 2 4 8`");
        }
        Some(Increment {
            factor: factor.unwrap_or(1.0),
            multipliers: words.into_iter().flatten().collect(),
            formula: self.formula("bantime.formula"),
            ban_s_max: self.text("bantime.maxtime").map(|_| self.seconds("bantime.maxtime", 600)),
            random_s: self.text("bantime.rndtime").map_or(0, |_| self.seconds("bantime.rndtime", 0)),
            is_overall: self.jail.option("bantime.overalljails").is_some_and(is_yes),
        })
    }

    fn dns(&mut self) -> Dns {
        let text = self.jail.filter.get("usedns").map_or("", |text| text.trim()).to_ascii_lowercase();
        match text.as_str() {
            "" | "warn" => Dns::Warn,
            "raw" => Dns::Raw,
            "no" => Dns::No,
            text if is_yes(text) => Dns::Yes,
            text => {
                self.wrong("usedns", text, "write yes, warn, no or raw; `no` counts meanwhile");
                Dns::No
            }
        }
    }

    fn cache(&mut self) -> Option<Cache> {
        let text = self.text("ignorecache")?;
        let calls = crate::brackets::parse(&format!("cache[{text}]")).unwrap_or_default();
        let cache = calls.first().and_then(|call| {
            Some(Cache {
                key: call.option("key")?.to_owned(),
                count_max: call.option("max-count").map_or(Some(100), |n| n.parse().ok())?.min(100_000),
                time_s: call.option("max-time").map_or(Some(300), span::seconds)?,
            })
        });
        if cache.is_none() {
            self.wrong("ignorecache", &text, "write `key=\"<ip>\", max-count=100, max-time=5m`");
        }
        cache
    }
}

impl Settings {
    /// Reads a jail's options. What can't be read has its default, and is said.
    #[must_use]
    pub fn of(jail: &jails::Jail) -> (Settings, Vec<Diagnostic>) {
        let mut options = Options { jail, found: Vec::new() };
        let failures_max = options.number("maxretry", 5);
        let (mut never, mut never_names) = (Vec::new(), Vec::new());
        let words = jail.option("ignoreip").unwrap_or("").split(|c: char| c.is_whitespace() || c == ',');
        for word in words.filter(|word| !word.is_empty()) {
            match net(word) {
                Some(net) => never.push(net),
                None => never_names.push(word.to_ascii_lowercase()),
            }
        }
        let settings = Settings {
            name: jail.name.clone(),
            failures_max,
            find_s: options.seconds("findtime", 600),
            ban_s: options.seconds("bantime", 600),
            increment: options.increment(),
            never,
            never_names,
            spares_own: jail.option("ignoreself").is_none_or(is_yes),
            own: Vec::new(),
            named: Vec::new(),
            refused: Vec::new(),
            dns: options.dns(),
            matches_max: usize::try_from(options.number("maxmatches", failures_max)).unwrap_or(5).min(1_000),
            command: options.text("ignorecommand"),
            cache: options.cache(),
            counts_attempts: jail.option("count").is_some_and(|text| text.trim() == "attempts"),
            wide: Wide::of(jail, &mut options.found),
        };
        (settings, options.found)
    }

    /// Whether somebody is never to be banned.
    #[must_use]
    pub fn spares(&self, id: &Id) -> bool {
        match id {
            Id::Net(address, length) => {
                let never = self.never.iter().chain(&self.refused);
                never
                    .into_iter()
                    .any(|(net, bits)| bits <= length && overlap((*net, *bits), (*address, *length)))
                    || (*id == Id::address(*address)
                        && (self.named.contains(address) || (self.spares_own && self.own.contains(address))))
            }
            Id::Name(name) | Id::Other(name) => {
                self.never_names.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        }
    }

    /// By what somebody is never to be banned, in fail2ban's words.
    #[must_use]
    pub fn spared_by(&self, id: &Id) -> &'static str {
        let Id::Net(address, _) = id else { return "ip" };
        if self.spares_own && self.own.contains(address) {
            "ignoreself rule"
        } else if self.named.contains(address) {
            "dns"
        } else {
            "ip"
        }
    }

    /// Whether somebody within a network is never to be banned.
    #[must_use]
    pub fn spares_within(&self, id: &Id) -> bool {
        let Id::Net(address, length) = id else { return false };
        let is_within =
            |net: &IpAddr, bits: u8| bits >= *length && overlap((*address, *length), (*net, bits));
        let own = self.own.iter().filter(|_| self.spares_own);
        let mut single = own.chain(&self.named).map(|own| (own, if own.is_ipv4() { 32 } else { 128 }));
        self.never.iter().chain(&self.refused).any(|(net, bits)| is_within(net, *bits))
            || single.any(|(own, bits)| is_within(own, bits))
    }

    /// Whether somebody is never to be banned, or is a network with such a one in it.
    #[must_use]
    pub fn refuses(&self, id: &Id) -> bool {
        self.spares(id) || self.spares_within(id)
    }

    /// What is to be done about a failure before the jail takes it in.
    #[must_use]
    pub fn candidate(&self, failure: &Failure) -> Candidate {
        match (&failure.id, self.dns) {
            (Id::Name(name), Dns::Warn | Dns::Yes) => {
                Candidate::LookUp { name: name.clone(), is_said: self.dns == Dns::Warn }
            }
            (Id::Name(_), Dns::No) => Candidate::Dropped,
            _ => Candidate::Counts,
        }
    }

    /// Whether a failure lies too far back to count at all.
    #[must_use]
    pub fn is_past(&self, failure: &Failure, now_s: i64) -> bool {
        failure.time_us.div_euclid(1_000_000) < now_s.saturating_sub(self.find_s)
    }

    /// As how many a failure of somebody counts who was banned so often before: where bans grow, as many as fail2ban has
    /// it, and no more than ban. With `bantime.overalljails` it counts as one there, and here.
    #[must_use]
    pub fn weight_after(&self, before: u32) -> u32 {
        let grows = self.increment.as_ref().is_some_and(|increment| !increment.is_overall);
        if !grows || before == 0 {
            return 1;
        }
        let doubled = 1_u32.checked_shl(before - 1).unwrap_or(u32::MAX);
        doubled.saturating_add(1).min(self.failures_max.max(1))
    }

    /// How long the ban after `before` earlier ones is. `luck` is from 0 up to 1.
    #[must_use]
    pub fn ban_s_after(&self, before: u32, luck: f64) -> i64 {
        let growing = self.increment.as_ref().filter(|_| self.ban_s > 0 && before > 0);
        let Some(increment) = growing else { return self.ban_s };
        let at = usize::try_from(before).unwrap_or(usize::MAX);
        let given = Given { time_s: self.ban_s, count: before, factor: increment.factor, luck };
        let doubled = f64::from(1_u32 << before.min(20)) * increment.factor;
        // A formula that leaves the range of numbers has grown past all that counts.
        #[expect(clippy::cast_precision_loss, reason = "bounded just below")]
        let grown = match (increment.multipliers.last(), &increment.formula) {
            (Some(last), _) => {
                let times = increment.multipliers.get(at).copied().unwrap_or(*last);
                self.ban_s as f64 * times * increment.factor
            }
            (None, Some(formula)) => formula.value(&given).unwrap_or(f64::MAX),
            (None, None) => self.ban_s as f64 * doubled,
        };
        // A ban that grew past what f64 holds exactly is for ever in all but name.
        #[expect(clippy::cast_possible_truncation, reason = "bounded here")]
        let grown = grown.clamp(1.0, 1e12) as i64;
        let grown = increment.ban_s_max.map_or(grown, |most| grown.min(most));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a part of a length of time"
        )]
        let chance = (increment.random_s.max(0) as f64 * luck.clamp(0.0, 1.0)) as i64;
        grown.saturating_add(chance)
    }
}

/// `192.0.2.0/24`, `2001:db8::1`, `192.0.2.0/255.255.255.0`.
#[must_use]
pub fn net(word: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = word.split_once('/').map_or((word, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => whole,
        Some(length) => match length.parse::<std::net::Ipv4Addr>() {
            Ok(mask) => u8::try_from(u32::from(mask).leading_ones()).ok()?,
            Err(_) => length.parse().ok().filter(|length| *length <= whole)?,
        },
    };
    Some((address, length))
}
