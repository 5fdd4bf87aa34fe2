//! Postgrey's options, out of /etc/default/postgrey as it is.
//!
//! `POSTGREY_OPTS="--inet=10023 --delay=60"`, and `POSTGREY_TEXT` for the text of refusals. What concerns a process of its
//! own (pid files, accounts) is read and without effect. Diagnostics: K0476.

use config::{Diagnostic, Place, SourceFile};
use std::path::PathBuf;
use std::sync::Arc;

/// An option that can't be used.
pub const UNUSABLE: u16 = 476;
/// Where Debian's Postgrey has its options.
pub const DEFAULTS: &str = "/etc/default/postgrey";
const DAY_S: i64 = 86_400;

/// By what senders are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// By their networks, as Postgrey has it.
    #[default]
    Postgrey,
    /// By the [pool](super::pool) that they belong to, and by their networks.
    Sender,
}

impl Keys {
    /// Reads `postgrey` or `sender`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Keys> {
        match text.trim() {
            "postgrey" => Some(Keys::Postgrey),
            "sender" => Some(Keys::Sender),
            _ => None,
        }
    }
}

/// How greylisting works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// By what senders are remembered; none of Postgrey's options.
    pub keys: Keys,
    /// `--inet`: host and port.
    pub inet: Option<(String, u16)>,
    /// `--unix`
    pub unix: Option<PathBuf>,
    /// `--delay`
    pub delay_s: i64,
    /// `--max-age`
    pub max_age_s: i64,
    /// `--retry-window`
    pub retry_window_s: i64,
    /// `--greylist-action`
    pub action: String,
    /// `--greylist-text`
    pub text: String,
    /// `--x-greylist-header`
    pub header: String,
    /// `--lookup-by-host`
    pub by_host: bool,
    /// `--ipv4cidr`
    pub ipv4_bits: u8,
    /// `--ipv6cidr`
    pub ipv6_bits: u8,
    /// `--privacy`
    pub privacy: bool,
    /// `--hostname`; empty for this host's name.
    pub host: String,
    /// `--exim`: one request a connection.
    pub exim: bool,
    /// `--whitelist-clients`, and where that stands; none for the usual ones.
    pub client_files: Vec<(PathBuf, Place)>,
    /// `--whitelist-recipients`; none for the usual ones.
    pub recipient_files: Vec<(PathBuf, Place)>,
    /// `--auto-whitelist-clients`; 0 for never.
    pub auto_whitelist: u32,
    /// `--socketmode`
    pub socket_mode: u32,
    /// `--quiet`
    pub quiet: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            keys: Keys::Postgrey,
            inet: None,
            unix: None,
            delay_s: 300,
            max_age_s: 35 * DAY_S,
            retry_window_s: 2 * DAY_S,
            action: "DEFER_IF_PERMIT".to_owned(),
            text: "Greylisted, see http://postgrey.schweikert.ch/help/%r.html".to_owned(),
            header: "X-Greylist: delayed %t seconds by postgrey-%v at %h; %d".to_owned(),
            by_host: false,
            ipv4_bits: 24,
            ipv6_bits: 64,
            privacy: false,
            host: String::new(),
            exim: false,
            client_files: Vec::new(),
            recipient_files: Vec::new(),
            auto_whitelist: 5,
            socket_mode: 0o666,
            quiet: false,
        }
    }
}

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// A number that may be left out.
    Perhaps,
}

/// Long name, short name, what it takes.
const KNOWN: &[(&str, &str, Takes)] = &[
    ("verbose", "v", Takes::Nothing),
    ("quiet", "q", Takes::Nothing),
    ("daemonize", "d", Takes::Nothing),
    ("unix", "u", Takes::Value),
    ("inet", "i", Takes::Value),
    ("socketmode", "", Takes::Value),
    ("syslog-facility", "", Takes::Value),
    ("pidfile", "", Takes::Value),
    ("user", "", Takes::Value),
    ("group", "", Takes::Value),
    ("dbdir", "", Takes::Value),
    ("listen-queue-size", "", Takes::Value),
    ("delay", "", Takes::Value),
    ("max-age", "", Takes::Value),
    ("retry-window", "", Takes::Value),
    ("greylist-action", "", Takes::Value),
    ("greylist-text", "", Takes::Value),
    ("x-greylist-header", "", Takes::Value),
    ("lookup-by-subnet", "", Takes::Nothing),
    ("lookup-by-host", "", Takes::Nothing),
    ("ipv4cidr", "", Takes::Value),
    ("ipv6cidr", "", Takes::Value),
    ("privacy", "", Takes::Nothing),
    ("hostname", "", Takes::Value),
    ("exim", "", Takes::Nothing),
    ("whitelist-clients", "", Takes::Value),
    ("whitelist-recipients", "", Takes::Value),
    ("auto-whitelist-clients", "", Takes::Perhaps),
];

/// What /etc/default/postgrey says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The words of `POSTGREY_OPTS` with their places.
    words: Vec<(String, Place)>,
    /// `POSTGREY_TEXT`
    text: Option<String>,
}

impl Defaults {
    /// Reads the shell's assignments; the last of a name counts.
    #[must_use]
    pub fn read(file: &Arc<SourceFile>) -> Defaults {
        let mut defaults = Defaults::default();
        let mut start = 0;
        for line in file.text.split_inclusive('\n') {
            let begin = start;
            start += line.len();
            let trimmed = line.trim_start();
            let bare = trimmed.strip_prefix("export ").unwrap_or(trimmed);
            let Some((name, value)) = bare.split_once('=') else { continue };
            let at = begin + line.len() - value.len();
            match name {
                "POSTGREY_OPTS" => defaults.add_words(unquoted(value), (file, at)),
                "POSTGREY_TEXT" => defaults.text = Some(unquoted(value).0.to_owned()),
                _ => {}
            }
        }
        defaults
    }

    fn add_words(&mut self, (value, skipped): (&str, usize), (file, at): (&Arc<SourceFile>, usize)) {
        let own = ["$POSTGREY_OPTS", "${POSTGREY_OPTS}"];
        let before = std::mem::take(&mut self.words);
        let mut from = 0;
        while let Some((word, begin)) = next_word(value, from) {
            from = begin + word.len();
            if own.contains(&word) {
                self.words.extend(before.iter().cloned());
                continue;
            }
            let place = Place::new(file, at + skipped + begin, at + skipped + from);
            self.words.push((word.to_owned(), place));
        }
    }

    /// The options that they make.
    #[must_use]
    pub fn options(&self) -> (Options, Vec<Diagnostic>) {
        let mut options = Options::default();
        let found = options.apply(&self.words);
        if let Some(text) = self.text.as_ref().filter(|text| !text.is_empty()) {
            options.text.clone_from(text);
        }
        (options, found)
    }
}

/// The text within quotes, and how many bytes stand before it.
fn unquoted(value: &str) -> (&str, usize) {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return (rest.split_once(quote).map_or(rest, |(text, _)| text), 1);
        }
    }
    (value.split_whitespace().next().unwrap_or(""), 0)
}

fn next_word(text: &str, from: usize) -> Option<(&str, usize)> {
    let rest = text.get(from..)?;
    let begin = from + (rest.len() - rest.trim_start().len());
    let word = text.get(begin..)?.split_whitespace().next()?;
    Some((word, begin))
}

fn unusable(place: &Place, message: String) -> Diagnostic {
    Diagnostic::warning(UNUSABLE, place.clone(), message)
        .help("Postgrey doesn't start with it; the option is passed over here. postgrey(8) has them all")
}

impl Options {
    /// Applies options as they stand on a command line.
    pub fn apply(&mut self, words: &[(String, Place)]) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut words = words.iter().peekable();
        while let Some((word, place)) = words.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let lower = name.to_ascii_lowercase();
            let known = KNOWN.iter().find(|(long, short, _)| match lower.strip_prefix("--") {
                Some(name) => name == *long,
                None => !short.is_empty() && lower.strip_prefix('-') == Some(*short),
            });
            let Some((long, _, takes)) = known else {
                if name.starts_with('-') {
                    found.push(unusable(place, format!("{name} is no option of Postgrey's")));
                }
                continue;
            };
            if value.is_none() && *takes != Takes::Nothing {
                let is_value = |next: &&(String, Place)| {
                    !next.0.starts_with('-') && (*takes == Takes::Value || next.0.parse::<u32>().is_ok())
                };
                value = words.next_if(|next| is_value(next)).map(|(value, _)| value.clone());
            }
            if let Err(why) = self.set(long, value.as_deref(), (*takes, place)) {
                found.push(unusable(place, format!("--{long}: {why}")));
            }
        }
        found
    }

    fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        (takes, place): (Takes, &Place),
    ) -> Result<(), String> {
        if takes == Takes::Value && value.is_none() {
            return Err("a value is missing".to_owned());
        }
        let text = value.unwrap_or("");
        match name {
            "quiet" => self.quiet = true,
            "unix" => self.unix = Some(text.into()),
            "inet" => self.inet = Some(inet(text)?),
            "socketmode" => {
                let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
                self.socket_mode = mode.ok_or_else(|| format!("{text} is no mode such as 0660"))?;
            }
            // Postgrey takes 0 for "the usual".
            "delay" => self.delay_s = Some(number(text)?).filter(|delay| *delay > 0).unwrap_or(300),
            "max-age" => self.max_age_s = number(text)?.saturating_mul(DAY_S),
            "retry-window" => {
                self.retry_window_s = match text.strip_suffix('h') {
                    Some(hours) => number(hours)?.saturating_mul(3_600),
                    None => number(text)?.saturating_mul(DAY_S),
                }
            }
            "greylist-action" => text.clone_into(&mut self.action),
            "greylist-text" => text.clone_into(&mut self.text),
            "x-greylist-header" => text.clone_into(&mut self.header),
            "lookup-by-subnet" => self.by_host = false,
            "lookup-by-host" => self.by_host = true,
            "ipv4cidr" => self.ipv4_bits = bits(text, 32)?,
            "ipv6cidr" => self.ipv6_bits = bits(text, 128)?,
            "privacy" => self.privacy = true,
            "hostname" => text.clone_into(&mut self.host),
            "exim" => self.exim = true,
            "whitelist-clients" => self.client_files.push((text.into(), place.clone())),
            "whitelist-recipients" => self.recipient_files.push((text.into(), place.clone())),
            "auto-whitelist-clients" if value.is_none() => self.auto_whitelist = 5,
            "auto-whitelist-clients" => {
                self.auto_whitelist = u32::try_from(number(text)?).unwrap_or(u32::MAX);
            }
            _ => {}
        }
        Ok(())
    }

    /// The files that name clients who aren't greylisted, in order, and where they are named; those that nobody names may
    /// be missing.
    #[must_use]
    pub fn client_files(&self) -> Vec<(PathBuf, Option<Place>)> {
        files(&self.client_files, "/etc/postgrey/whitelist_clients")
    }

    /// The same for recipients.
    #[must_use]
    pub fn recipient_files(&self) -> Vec<(PathBuf, Option<Place>)> {
        files(&self.recipient_files, "/etc/postgrey/whitelist_recipients")
    }
}

fn files(named: &[(PathBuf, Place)], usual: &str) -> Vec<(PathBuf, Option<Place>)> {
    if named.is_empty() {
        return vec![(usual.into(), None), (format!("{usual}.local").into(), None)];
    }
    named.iter().map(|(path, place)| (path.clone(), Some(place.clone()))).collect()
}

fn number(text: &str) -> Result<i64, String> {
    let number = text.parse::<u32>().map_err(|_| format!("{text} is no number"))?;
    Ok(i64::from(number))
}

fn bits(text: &str, most: u8) -> Result<u8, String> {
    text.parse::<u8>()
        .ok()
        .filter(|bits| *bits <= most)
        .ok_or_else(|| format!("{text} isn't within 0 to {most}"))
}

/// `[HOST:]PORT`
fn inet(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
    let port = port.parse().map_err(|_| format!("{text} names no port"))?;
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}
