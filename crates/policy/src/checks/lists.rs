//! DNS lists: reject_rbl_client, reject_rhsbl_*, permit_dnswl_client, permit_rhswl_client, reject_maps_rbl.
//!
//! A list that can't be reached says nothing; one that is out of order (RFC 5782 probes) isn't asked, and says so
//! in the log. A refusal's text is a template: `rbl_reply_maps`, else `default_rbl_reply`. T1.4, T1.6, T2.7, T2.10.

use crate::check::{Entry, Subject};
use crate::decision::{Note, NoteAction, Outcome};
use crate::dns::{Found, ipv4};
use crate::dnsbl::{ListZone, is_error, reversed};
use crate::eval::{About, Evaluation, Gravity, Status};
use crate::facts::{Answer, Lookup, Need, Question, Record, RecordKind};
use crate::service::ZoneKind;
use crate::transaction::UNKNOWN;
use mail::{Dsn, Reply, host};

/// What a list said.
enum Listing {
    Listed {
        reason: String,
    },
    Unlisted,
    /// No answer.
    Unavailable,
    /// Not asked: the list is out of order.
    Skipped,
}

impl Evaluation<'_> {
    /// What is looked up: the name below the zone, and how a reply calls it.
    fn listed_thing(&self, subject: Subject, zone: &ListZone) -> Option<(String, String)> {
        let client = &self.tx.client;
        if zone.kind == ZoneKind::Address {
            return Some((reversed(client.address), client.address.to_string()));
        }
        let known = |name: &str| (name != UNKNOWN).then(|| (name.to_owned(), name.to_owned()));
        let mailbox = |address: &Option<mail::Address>| {
            let address = address.as_ref()?;
            Some((address.domain()?.to_owned(), address.as_str().to_owned()))
        };
        let (name, what) = match subject {
            Subject::Client => known(&client.name),
            Subject::ReverseClient => known(&client.reverse_name),
            Subject::Helo => self.tx.helo.clone().map(|helo| (helo.clone(), helo)),
            Subject::Sender => mailbox(&self.tx.sender),
            Subject::Recipient => mailbox(&self.tx.recipient),
            _ => None,
        }?;
        let name = name.trim_end_matches('.');
        let usable = host::is_hostname(name) && host::parse_address(name).is_none();
        usable.then(|| (name.to_owned(), what))
    }

    fn ask_list(&mut self, zone: &ListZone, query: &str) -> Result<Listing, Need> {
        let health = self.policy.settings.dnsbl_health;
        if health {
            let question = Question::ZoneHealth(zone.domain.clone());
            if *self.facts.ask(&question)? == Answer::Healthy(false) {
                let why = format!("{} does not answer as a DNS list should, and is not asked", zone.domain);
                self.notes.push(Note { action: NoteAction::Notice, text: why.clone() });
                self.outcome = Some(Outcome::Skipped(why));
                return Ok(Listing::Skipped);
            }
        }
        let name = format!("{query}.{}", zone.domain);
        let records = match self.dns_of(&name, RecordKind::A)? {
            Found::Records(records) => records,
            Found::NoName | Found::NoRecords => return Ok(Listing::Unlisted),
            other => {
                self.warning(format!(
                    "{name}: RBL lookup error: Host or domain name not found. Name service error for name={name} \
                     type=A: {}",
                    other.reason()
                ));
                return Ok(Listing::Unavailable);
            }
        };
        if !ipv4(&records).any(|answer| zone.lists(answer, health)) {
            if health && let Some(error) = ipv4(&records).find(|&answer| is_error(answer)) {
                self.warning(format!(
                    "{name}: the list refuses to answer: {error} is an error code, not a listing"
                ));
            }
            return Ok(Listing::Unlisted);
        }
        let reason = match self.dns_of(&name, RecordKind::Txt)? {
            Found::Records(records) => records.into_iter().find_map(|record| match record {
                Record::Txt(text) => Some(text),
                _ => None,
            }),
            _ => None,
        };
        let answers: Vec<String> = ipv4(&records).map(|answer| answer.to_string()).collect();
        self.remark = Some(format!("{name} is {}", answers.join(" ")));
        Ok(Listing::Listed { reason: reason.unwrap_or_default() })
    }

    pub(crate) fn blocklist(&mut self, subject: Subject, zone: &ListZone) -> Result<Status, Need> {
        let Some((query, what)) = self.listed_thing(subject, zone) else { return Ok(Status::Dunno) };
        match self.ask_list(zone, &query)? {
            Listing::Listed { reason } => self.listed(subject, zone, &what, &reason),
            Listing::Unlisted | Listing::Unavailable | Listing::Skipped => Ok(Status::Dunno),
        }
    }

    pub(crate) fn allowlist(
        &mut self,
        entry: &Entry,
        subject: Subject,
        zone: &ListZone,
    ) -> Result<Status, Need> {
        // Never a way round reject_unauth_destination.
        if let Some(recipient) = self.tx.recipient.clone() {
            match self.resolve(&recipient)? {
                Ok(resolved) if self.policy.addresses.is_authorized_destination(&resolved) => {}
                Ok(_) => return Ok(Status::Dunno),
                Err(()) => {
                    let about = self.recipient();
                    return Ok(self.lookup_failure(&about));
                }
            }
        }
        let Some((query, what)) = self.listed_thing(subject, zone) else { return Ok(Status::Dunno) };
        Ok(match self.ask_list(zone, &query)? {
            Listing::Listed { .. } => {
                let about = self.client();
                self.permit(&entry.name.to_ascii_lowercase(), &about, "")
            }
            Listing::Unavailable => {
                let about = About { subject, name: what };
                self.defer_if_reject(about.reply(450, Dsn::new(4, 7, 1), "Service unavailable"))
            }
            Listing::Unlisted | Listing::Skipped => Status::Dunno,
        })
    }

    fn listed(
        &mut self,
        subject: Subject,
        zone: &ListZone,
        what: &str,
        reason: &str,
    ) -> Result<Status, Need> {
        let template = self.template(zone)?;
        let settings = &self.policy.settings;
        let code = settings.codes.maps_rbl.to_string();
        let expanded = crate::template::expand(&template, &settings.expansion_filter, &|name| match name {
            "rbl_code" => Some(code.clone()),
            "rbl_domain" => Some(zone.domain.clone()),
            "rbl_reason" => Some(reason.to_owned()),
            "rbl_txt" => Some(reason.to_owned()),
            "rbl_what" => Some(what.to_owned()),
            "rbl_class" => Some(subject.words().to_owned()),
            other => self.attribute(other),
        });
        for warning in expanded.warnings {
            self.warning(warning);
        }
        let text = expanded.text;
        let (digits, rest) = text.split_once([' ', '\t']).unwrap_or((text.as_str(), ""));
        let reply = match digits.parse::<u16>() {
            Ok(code) if digits.len() == 3 && (400..600).contains(&code) => {
                let about = About { subject, name: what.to_owned() };
                let (dsn, text) = self.dsn_and_text(rest.trim_start(), Dsn::new(4, 7, 1), &about);
                Reply::new(code, dsn, text)
            }
            _ => {
                self.warning(format!("rbl response code configuration error: {text}"));
                Reply::new(450, Dsn::new(4, 7, 1), "Service unavailable")
            }
        };
        Ok(self.refuse(reply, Gravity::Policy))
    }

    fn template(&mut self, zone: &ListZone) -> Result<String, Need> {
        let policy = self.policy;
        for key in [&zone.text, &zone.domain] {
            for &table in &policy.settings.rbl_reply_maps {
                match self.facts.lookup(table, key)? {
                    Lookup::Found(hit) => return Ok(hit.value.into_owned()),
                    Lookup::Nothing => {}
                    Lookup::Failed(error) => self.warning(error.to_string()),
                }
            }
            // Postfix before 3.10 asks for the whole argument only.
            if policy.settings.compat == config::Compat::V3_7 {
                break;
            }
        }
        Ok(policy.settings.rbl_template.clone())
    }

    /// What a template can name besides the list's own names.
    fn attribute(&self, name: &str) -> Option<String> {
        let tx = self.tx;
        let null = |text: &str| if text.is_empty() { "<>".to_owned() } else { text.to_owned() };
        let part = |address: &Option<mail::Address>, part: &str| {
            let Some(address) = address else { return String::new() };
            match part {
                "domain" => address.domain().unwrap_or("").to_owned(),
                "name" => null(address.local()),
                _ => null(address.as_str()),
            }
        };
        Some(match name {
            "client" => format!("{}[{}]", tx.client.name, tx.client.address),
            "client_address" => tx.client.address.to_string(),
            "client_name" => tx.client.name.clone(),
            "reverse_client_name" => tx.client.reverse_name.clone(),
            "helo_name" => tx.helo.clone().unwrap_or_default(),
            "sender" => part(&tx.sender, "all"),
            "sender_domain" => part(&tx.sender, "domain"),
            "sender_name" => part(&tx.sender, "name"),
            "recipient" => part(&tx.recipient, "all"),
            "recipient_domain" => part(&tx.recipient, "domain"),
            "recipient_name" => part(&tx.recipient, "name"),
            _ => return None,
        })
    }
}
