//! What Debian's policyd-spf answers to a policy request: its actions, headers and texts.
//!
//! `check_policy_service unix:private/policyd-spf` in a list means this (T2.11), whoever answers. The HELO name is
//! judged first, then the sender; the first result that refuses counts, else one header tells of the result that says
//! most. It is never an answer of OK. The words for faults of records are pyspf's where they are many domains' faults.

mod conf;
#[cfg(test)]
mod tests;

pub use conf::{Conf, HeaderType, PATH, Reject};

use super::{Problem, Sender, SpfResult, Verdict, evaluate};
use crate::facts::{Answer, Facts, Need, Question, Record, RecordKind};
use mail::Wall;
use std::cell::RefCell;
use std::net::IpAddr;

/// What of a policy request counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request<'r> {
    client: &'r str,
    helo: &'r str,
    sender: &'r str,
    recipient: &'r str,
    /// Of one message all requests have the same.
    pub instance: &'r str,
    queue_id: &'r str,
}

impl<'r> Request<'r> {
    /// Reads `name=value` lines.
    #[must_use]
    pub fn read(attributes: &'r str) -> Request<'r> {
        let mut request = Request::default();
        for (name, value) in attributes.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "client_address" => request.client = value,
                "helo_name" => request.helo = value,
                "sender" => request.sender = value,
                "recipient" => request.recipient = value,
                "instance" => request.instance = value,
                "queue_id" => request.queue_id = value,
                _ => {}
            }
        }
        request
    }
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Behind `action=`.
    pub action: String,
    /// For the log, in policyd-spf's name.
    pub log: Vec<String>,
}

impl Told {
    /// Whether the message has its header now: later requests about it are answered with `dunno`.
    #[must_use]
    pub fn is_header(&self) -> bool {
        self.action.starts_with("prepend ")
    }

    fn dunno() -> Told {
        Told { action: "dunno".to_owned(), log: Vec::new() }
    }
}

/// A request under way.
struct Judging<'a> {
    conf: &'a Conf,
    request: &'a Request<'a>,
    client: IpAddr,
    helo: &'a str,
    host: &'a str,
    facts: &'a Facts,
    now: Wall,
    /// What was found out, for the log (`debugLevel` 2 and more).
    said: RefCell<Vec<String>>,
}

/// Which name was judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity {
    Helo,
    MailFrom,
}

/// The answer to `request`. `host` is this machine's name.
///
/// # Errors
/// When the DNS must be asked first.
pub fn answer(
    conf: &Conf,
    request: &Request<'_>,
    host: &str,
    facts: &Facts,
    now: Wall,
) -> Result<Told, Need> {
    let conf = conf.of(request.recipient);
    if conf.mock {
        return Ok(Told {
            action: "dunno mock header field that should be ignored".to_owned(),
            log: Vec::new(),
        });
    }
    let Some(client) = mail::host::parse_address(request.client) else {
        let line = "spfcheck: No client address, exiting".to_owned();
        let log = if conf.debug_level >= 2 { vec![line] } else { Vec::new() };
        return Ok(Told { log, ..Told::dunno() });
    };
    let helo = match request.sender.rsplit_once('@') {
        _ if !request.helo.is_empty() => request.helo,
        Some((_, domain)) => domain,
        None => crate::UNKNOWN,
    };
    let client = conf.prospective.unwrap_or(client);
    let judging = Judging { conf, request, client, helo, host, facts, now, said: RefCell::default() };
    let told = judging.judge()?;
    let mut log = judging.said.into_inner();
    if conf.debug_level >= 1 && told.action != "dunno" {
        log.push(format!("{}: {}", request.queue_id, told.action));
    }
    Ok(Told { log, ..told })
}

impl Judging<'_> {
    fn judge(&self) -> Result<Told, Need> {
        if let Some(why) = self.skipped()? {
            return Ok(self.comment(why));
        }
        if self.request.helo.is_empty() && self.request.sender.is_empty() {
            return Ok(Told::dunno());
        }
        let helo = match self.conf.helo_reject {
            Reject::NoCheck => None,
            _ => Some(self.result(&Sender::helo(self.client, self.helo))?),
        };
        self.say("helo", helo.as_ref());
        if let Some(verdict) = &helo
            && let Some(told) = self.acted(Identity::Helo, verdict)
        {
            return Ok(told);
        }
        let sender = self.request.sender;
        let from = match self.conf.mail_from_reject {
            Reject::NoCheck => None,
            _ if sender.is_empty() => None,
            _ => Some(self.result(&Sender::mail_from(self.client, self.helo, sender))?),
        };
        self.say("mailfrom", from.as_ref());
        if let Some(verdict) = &from
            && let Some(told) = self.acted(Identity::MailFrom, verdict)
        {
            return Ok(told);
        }
        // The result that says something; the sender's before the HELO name's.
        let says = |verdict: &&Verdict| verdict.result != SpfResult::None;
        Ok(match (&helo, &from) {
            (_, Some(verdict)) if says(&verdict) => self.header(Identity::MailFrom, verdict),
            (Some(verdict), _) if says(&verdict) || from.is_none() => self.header(Identity::Helo, verdict),
            (_, Some(verdict)) => self.header(Identity::MailFrom, verdict),
            _ => Told::dunno(),
        })
    }

    fn say(&self, identity: &str, verdict: Option<&Verdict>) {
        if let Some(verdict) = verdict.filter(|_| self.conf.debug_level >= 2) {
            let facts = self.facts(self.helo, self.request.sender);
            let line = format!("{}; identity={identity}; {facts} ", capital(verdict.result));
            self.said.borrow_mut().push(one_line(&line));
        }
    }

    fn result(&self, sender: &Sender<'_>) -> Result<Verdict, Need> {
        let settings =
            super::Settings { void_limit: self.conf.void_limit, receiver: crate::UNKNOWN, now: self.now };
        super::check(sender, &settings, self.facts)
    }

    /// Why the client isn't judged.
    fn skipped(&self) -> Result<Option<&'static str>, Need> {
        let conf = self.conf;
        let plain = self.client.to_canonical();
        let of = |network: &super::Network| network.contains(self.client) || network.contains(plain);
        if conf.skip.iter().any(of) {
            return Ok(Some("SPF check N/A for local connections"));
        }
        if conf.whitelist.iter().any(of) {
            return Ok(Some("SPF skipped for whitelisted relay"));
        }
        if conf.helo_whitelist.iter().any(|name| name.eq_ignore_ascii_case(self.helo))
            && self.is_address_of(self.helo)?
        {
            return Ok(Some("SPF skipped for whitelisted HELO domain"));
        }
        for domain in &conf.domain_whitelist {
            let sender = Sender { client: plain, helo: self.helo, local: super::POSTMASTER, domain };
            if self.result(&sender)?.result == SpfResult::Pass {
                return Ok(Some("SPF skipped for whitelisted relay domain"));
            }
        }
        if conf.ptr_whitelist.is_empty() {
            return Ok(None);
        }
        let name = mail::host::reverse_name(plain);
        for name in self.names(&name, RecordKind::Ptr)?.iter().take(10) {
            let Record::Ptr(name) = name else { continue };
            if conf.ptr_whitelist.iter().any(|domain| evaluate::is_within(name, domain))
                && self.is_address_of(name)?
            {
                return Ok(Some("SPF skipped for PTR whitelisted relay domain"));
            }
        }
        Ok(None)
    }

    fn is_address_of(&self, name: &str) -> Result<bool, Need> {
        let plain = self.client.to_canonical();
        let kind = if plain.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
        Ok(self.names(name, kind)?.iter().any(|record| match record {
            Record::A(address) => IpAddr::V4(*address) == plain,
            Record::Aaaa(address) => IpAddr::V6(*address) == plain,
            _ => false,
        }))
    }

    fn names(&self, name: &str, kind: RecordKind) -> Result<&[Record], Need> {
        if !mail::host::is_hostname(name) {
            return Ok(&[]);
        }
        let question = Question::Dns { name: name.to_ascii_lowercase(), kind };
        Ok(match self.facts.ask(&question)? {
            Answer::Records(records) => records,
            _ => &[],
        })
    }

    /// What a result does by itself.
    fn acted(&self, identity: Identity, verdict: &Verdict) -> Option<Told> {
        let conf = self.conf;
        let (reject, pass) = match identity {
            Identity::Helo => (conf.helo_reject, &conf.helo_pass),
            Identity::MailFrom => (conf.mail_from_reject, &conf.mail_from_pass),
        };
        let forbids_all = || {
            verdict.record.as_deref().is_some_and(|record| record.trim().eq_ignore_ascii_case("v=spf1 -all"))
        };
        let may = !matches!(reject, Reject::Never | Reject::NoCheck);
        let receivers_own = identity == Identity::MailFrom
            && self.domain().is_some_and(|domain| {
                conf.not_pass_domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
            });
        let words = explained(verdict);
        let refused = match verdict.result {
            // Who said no name has passed by none.
            SpfResult::Pass if identity == Identity::Helo && self.request.helo.is_empty() => None,
            SpfResult::Pass => return pass.clone().map(|action| Told { action, log: Vec::new() }),
            SpfResult::Fail if conf.no_mail && !forbids_all() => None,
            SpfResult::Fail => match reject {
                Reject::NotPass | Reject::SoftFail | Reject::Fail => Some(words),
                Reject::Null => (self.request.sender.is_empty()).then_some(words),
                Reject::Never | Reject::NoCheck => None,
            },
            SpfResult::SoftFail | SpfResult::Neutral if receivers_own => {
                Some(format!("Receiver policy for SPF {}", capital(verdict.result)))
            }
            SpfResult::SoftFail => matches!(reject, Reject::NotPass | Reject::SoftFail).then_some(words),
            SpfResult::Neutral => (reject == Reject::NotPass).then_some(words),
            SpfResult::PermError if conf.reject_permerror && may => {
                return Some(self.refusal("550", "5.7.24", ("rejected", &words), identity));
            }
            SpfResult::TempError if conf.defer_temperror && may => {
                return Some(self.refusal("defer_if_permit", "4.7.24", ("deferred", &words), identity));
            }
            _ => None,
        };
        refused.map(|words| self.refusal("550", "5.7.23", ("rejected", &words), identity))
    }

    fn domain(&self) -> Option<&str> {
        self.request.sender.rsplit_once('@').map(|(_, domain)| domain)
    }

    fn refusal(&self, action: &str, code: &str, (what, words): (&str, &str), identity: Identity) -> Told {
        if self.conf.only_tests {
            return Told::dunno();
        }
        let (scope, id) = match identity {
            Identity::Helo => ("helo", self.helo),
            Identity::MailFrom => ("mfrom", self.request.sender),
        };
        let url =
            format!("http://www.openspf.net/Why?s={scope};id={id};ip={};r={}", self.client, self.receiver());
        let text =
            self.conf.reason.replace("{rejectdefer}", what).replace("{url}", &url).replace("{spf}", words);
        let action = match self.conf.enhanced_codes {
            true => format!("{action} {code} {text}"),
            false => format!("{action} {text}"),
        };
        Told { action: one_line(&action), log: Vec::new() }
    }

    fn receiver(&self) -> String {
        let recipient = self.request.recipient;
        if self.conf.hide_receiver {
            return "<UNKNOWN>".to_owned();
        }
        // Settings for single recipients make it say for whom they were.
        if self.conf.has_users() {
            return if recipient.is_empty() { "none".to_owned() } else { recipient.to_ascii_lowercase() };
        }
        recipient.rsplit_once('@').map_or(recipient, |(_, domain)| domain).to_ascii_lowercase()
    }

    /// `client-ip=…; helo=…; envelope-from=…; receiver=…`
    fn facts(&self, helo: &str, from: &str) -> String {
        format!(
            "client-ip={}; helo={helo}; envelope-from={from}; receiver={}",
            self.request_client(),
            self.receiver()
        )
    }

    /// As it stands in the request.
    fn request_client(&self) -> String {
        match self.conf.prospective {
            Some(address) => address.to_string(),
            None => self.request.client.to_owned(),
        }
    }

    /// That nothing was asked.
    fn comment(&self, why: &str) -> Told {
        let facts = self.facts(self.request.helo, self.request.sender);
        self.prepended(match self.conf.header {
            HeaderType::Nothing => return Told::dunno(),
            HeaderType::ReceivedSpf => format!("X-Comment: {why} - {facts} "),
            HeaderType::AuthenticationResults => {
                format!("Authentication-Results: {}; none ({why} -  {facts})", self.authserv_id())
            }
        })
    }

    fn header(&self, identity: Identity, verdict: &Verdict) -> Told {
        let sender = self.request.sender;
        let facts = self.facts(self.helo, if sender.is_empty() { "<>" } else { sender });
        let words = explained(verdict);
        let text = match (self.conf.header, identity) {
            _ if self.conf.prospective.is_some() => return Told::dunno(),
            (HeaderType::Nothing, _) => return Told::dunno(),
            (HeaderType::ReceivedSpf, Identity::MailFrom) => {
                format!("Received-SPF: {} (mailfrom) identity=mailfrom; {facts} ", capital(verdict.result))
            }
            (HeaderType::ReceivedSpf, Identity::Helo) => {
                format!("Received-SPF: {} ({words}) identity=helo; {facts} ", capital(verdict.result))
            }
            (HeaderType::AuthenticationResults, _) => {
                let (property, value) = match identity {
                    Identity::MailFrom => ("smtp.mailfrom", self.domain().unwrap_or(sender)),
                    Identity::Helo => ("smtp.helo", self.helo),
                };
                let (id, result) = (self.authserv_id(), verdict.result.name());
                let value = pvalue(value);
                format!("Authentication-Results: {id}; spf={result} ({words}) {property}={value} ({facts})")
            }
        };
        self.prepended(text)
    }

    fn prepended(&self, header: String) -> Told {
        Told { action: one_line(&format!("prepend {header}")), log: Vec::new() }
    }

    fn authserv_id(&self) -> &str {
        self.conf.authserv_id.as_deref().unwrap_or(self.host)
    }
}

/// A value of Authentication-Results (RFC 8601 §2.2): a token, or in quotes.
fn pvalue(value: &str) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || "()<>@,;:\\\"/[]?=".contains(c);
    if !value.is_empty() && !value.contains(special) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Nothing in an answer ends its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `Softfail`
const fn capital(result: SpfResult) -> &'static str {
    match result {
        SpfResult::None => "None",
        SpfResult::Neutral => "Neutral",
        SpfResult::Pass => "Pass",
        SpfResult::Fail => "Fail",
        SpfResult::SoftFail => "Softfail",
        SpfResult::TempError => "Temperror",
        SpfResult::PermError => "Permerror",
    }
}

/// What stands in brackets, or in a refusal.
fn explained(verdict: &Verdict) -> String {
    let fault = |problem: &Problem| match problem {
        Problem::Malformed { term, .. } => format!("Unknown mechanism found: {}", super::shown(term)),
        Problem::Several { .. } => "Two or more type TXT spf records found.".to_owned(),
        Problem::ManyLookups => "Too many DNS lookups".to_owned(),
        other => other.to_string(),
    };
    match (verdict.result, &verdict.problem) {
        (SpfResult::TempError, _) => "SPF Temporary Error: DNS Timeout".to_owned(),
        (SpfResult::PermError, Some(problem)) => format!("SPF Permanent Error: {}", fault(problem)),
        (SpfResult::PermError, None) => "SPF Permanent Error".to_owned(),
        (SpfResult::None, _) => "no SPF record".to_owned(),
        (SpfResult::Pass, _) => "sender SPF authorized".to_owned(),
        (SpfResult::SoftFail, _) => "domain owner discourages use of this host".to_owned(),
        (SpfResult::Neutral, _) => "access neither permitted nor denied".to_owned(),
        (SpfResult::Fail, _) => {
            verdict.explanation.clone().unwrap_or_else(|| "SPF fail - not authorized".to_owned())
        }
    }
}
