//! Another status code or text for what became of a recipient: `smtp_delivery_status_filter` and its kin.
//!
//! The table is asked for `5.1.1 the text` and answers in the same form; without a text the old one stays. A success
//! stays a success and a failure a failure, whatever the table says. What was refused for good may be put off, and the
//! other way round.

use super::agent::Delivered;
use config::{Parameters, Role, Service};
use mail::Dsn;
use proto::client::{Verdict, Why};
use queue::{Outcome, Reason};
use std::collections::HashMap;
use tables::{Catalogue, Snapshot, TableId};

/// One agent's filter.
#[derive(Clone, Debug)]
pub struct StatusFilter {
    /// The parameter.
    name: String,
    tables: Vec<TableId>,
}

/// What stands in the place of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The code.
    pub dsn: Dsn,
    /// The text.
    pub text: String,
}

impl StatusFilter {
    /// The filter of the tables that the parameter `name` lists.
    #[must_use]
    pub fn new(name: impl Into<String>, tables: Vec<TableId>) -> Option<StatusFilter> {
        (!tables.is_empty()).then(|| StatusFilter { name: name.into(), tables })
    }

    /// What stands for a status, if anything.
    ///
    /// # Errors
    /// The warning's text, where the table's word can't be taken; the status stays then.
    pub fn replace(&self, dsn: Dsn, text: &str, tables: &Snapshot) -> Result<Option<Replaced>, String> {
        let key = format!("{dsn} {text}");
        for table in &self.tables {
            match tables.table(*table).lookup(&key) {
                Ok(Some(hit)) => return self.read(dsn, text, &hit.value).map(Some),
                Ok(None) => {}
                Err(error) => return Err(format!("{}: lookup error for \"{key}\": {error}", self.name)),
            }
        }
        Ok(None)
    }

    fn read(&self, old: Dsn, text: &str, value: &str) -> Result<Replaced, String> {
        let found = Dsn::parse_prefix(value).filter(|(dsn, _)| (dsn.class == 2) == (old.class == 2));
        let Some((dsn, rest)) = found else {
            return Err(format!("{}: bad status code: {value}", self.name));
        };
        let rest = rest.trim_ascii_start();
        let text = if rest.is_empty() { text } else { rest };
        Ok(Replaced { dsn, text: text.to_owned() })
    }
}

impl StatusFilter {
    /// A server's verdict as it counts; the warning's text where there is one.
    pub fn judge(&self, verdict: &mut Verdict, tables: &Snapshot) -> Option<String> {
        let why = verdict.why();
        let replaced = match self.replace(why.dsn, &why.text, tables) {
            Ok(replaced) => replaced?,
            Err(warning) => return Some(warning),
        };
        let why = Why { dsn: replaced.dsn, text: replaced.text, reply: why.reply.clone() };
        *verdict = match replaced.dsn.class {
            2 => Verdict::Sent(why),
            4 => Verdict::Deferred(why),
            _ => Verdict::Bounced(why),
        };
        None
    }
}

/// The filters of this machine's agents, by their names in master.cf.
#[derive(Clone, Debug, Default)]
pub struct StatusFilters(HashMap<String, StatusFilter>);

impl StatusFilters {
    /// Those of all lines of master.cf. Their tables are added to `catalogue`.
    #[must_use]
    pub fn compile(services: &[Service], main: &Parameters, catalogue: &mut Catalogue) -> StatusFilters {
        let filter = |service: &Service| {
            let name = match service.role() {
                Role::Local => "local_delivery_status_filter",
                Role::Virtual => "virtual_delivery_status_filter",
                Role::Pipe => "pipe_delivery_status_filter",
                _ => return None,
            };
            let (p, _) = main.with_overrides(&service.overrides);
            let words = p.list(name);
            let tables = words.iter().map(|word| catalogue.seat(word)).collect();
            Some((service.name.value.clone(), StatusFilter::new(name, tables)?))
        };
        let mut filters: HashMap<String, StatusFilter> = services.iter().filter_map(filter).collect();
        // These are there without a line, too.
        for agent in ["local", "virtual"]
            .into_iter()
            .filter(|agent| !services.iter().any(|one| one.name.value == *agent))
        {
            let name = if agent == "local" {
                "local_delivery_status_filter"
            } else {
                "virtual_delivery_status_filter"
            };
            let words = main.list(name);
            let tables = words.iter().map(|word| catalogue.seat(word)).collect();
            filters.extend(StatusFilter::new(name, tables).map(|filter| (agent.to_owned(), filter)));
        }
        StatusFilters(filters)
    }

    /// What became of a recipient over `transport`, as it counts; the warning's text where there is one.
    pub fn judge(&self, transport: &str, delivered: &mut Delivered, tables: &Snapshot) -> Option<String> {
        let filter = self.0.get(transport)?;
        let (dsn, _) = Dsn::parse_prefix(&delivered.dsn)?;
        let replaced = match filter.replace(dsn, &delivered.text, tables) {
            Ok(replaced) => replaced?,
            Err(warning) => return Some(warning),
        };
        if replaced.dsn.class == 2 {
            (delivered.dsn, delivered.text) = (replaced.dsn.to_string(), replaced.text);
            return None;
        }
        let remote = match &delivered.outcome {
            Outcome::Deferred(reason) | Outcome::Failed(reason) => reason.remote.clone(),
            _ => None,
        };
        let reason = Reason { remote, ..Reason::new(replaced.dsn, replaced.text) };
        *delivered = Delivered::not(delivered.relay, reason);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let filter = StatusFilter { name: "x_delivery_status_filter".to_owned(), tables: Vec::new() };
        let check = |old: Dsn, value: &str, expect: Option<(Dsn, &str)>| {
            let read = filter.read(old, "old", value);
            let expect = match expect {
                Some((dsn, text)) => Ok(Replaced { dsn, text: text.to_owned() }),
                None => Err(format!("x_delivery_status_filter: bad status code: {value}")),
            };
            assert_eq!(read, expect, "{value}");
        };
        let refused = Dsn::new(5, 1, 1);
        check(refused, "4.2.0 later", Some((Dsn::new(4, 2, 0), "later")));
        check(refused, "5.7.9", Some((Dsn::new(5, 7, 9), "old")));
        check(refused, "2.0.0 fine", None);
        check(refused, "5.1.77777 x", None);
        check(refused, "nonsense", None);
        check(Dsn::new(2, 0, 0), "2.9.9  sent", Some((Dsn::new(2, 9, 9), "sent")));
        check(Dsn::new(2, 0, 0), "4.0.0 not sent", None);
    }
}
