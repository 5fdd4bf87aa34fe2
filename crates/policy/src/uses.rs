//! What the restriction lists ask their tables: for the judgement of a table's lines by its use.
//!
//! Parameters that name tables are told by `tables::review::by_parameters`; this is what only a policy knows.

use crate::Policy;
use crate::check::{Check, Entry, Subject};
use crate::names;
use crate::transaction::Stage;
use config::Place;
use tables::TableId;
use tables::review::{AccessOf, Moment, Use};

/// A table in one restriction.
#[derive(Clone, Debug)]
pub struct TableUse {
    /// Which.
    pub table: TableId,
    /// What it is asked for.
    pub how: Use,
    /// The restriction's name; for a bare table the table's.
    pub by: String,
    /// Where that stands.
    pub place: Place,
}

/// Every restriction that may be named, old names too.
pub fn restriction_names() -> impl Iterator<Item = &'static str> {
    names::restrictions().map(|entry| entry.name)
}

impl Policy {
    /// Every table of the lists and classes, once for each place that names it.
    #[must_use]
    pub fn table_uses(&self) -> Vec<TableUse> {
        let mut uses = Vec::new();
        for (stage, list) in &self.lists {
            let moment = match stage {
                Stage::Client | Stage::Helo if !self.settings.delay_reject => Moment::BeforeMail,
                Stage::Etrn => Moment::BeforeMail,
                Stage::EndOfData => Moment::AfterContent,
                _ => Moment::WithMail,
            };
            uses.extend(list.iter().filter_map(|entry| used(entry, bare(*stage), moment)));
        }
        for entry in self.classes.iter().flatten() {
            // A class is evaluated wherever it is named.
            uses.extend(used(entry, AccessOf::Whatever, Moment::WithMail));
        }
        uses
    }
}

/// What a bare table is asked in a list.
const fn bare(stage: Stage) -> AccessOf {
    match stage {
        Stage::Client => AccessOf::Client,
        Stage::Helo => AccessOf::Helo,
        Stage::Sender => AccessOf::Sender,
        Stage::Relay | Stage::Recipient => AccessOf::Recipient,
        Stage::Etrn => AccessOf::Etrn,
        _ => AccessOf::Whatever,
    }
}

fn used(entry: &Entry, bare: AccessOf, moment: Moment) -> Option<TableUse> {
    let (table, of) = match &entry.check {
        Check::Access { subject, table } => (*table, of(*subject)),
        Check::BareTable(table) => (*table, bare),
        Check::HostAccess { table, .. } => (*table, AccessOf::Hosts),
        Check::Certificate { table, .. } => (*table, AccessOf::Certificate),
        Check::SaslAccess { table } => (*table, AccessOf::Sasl),
        _ => return None,
    };
    let (by, place) = (entry.name.clone(), entry.place.clone());
    Some(TableUse { table, how: Use::Access(of, moment), by, place })
}

const fn of(subject: Subject) -> AccessOf {
    match subject {
        Subject::Client => AccessOf::Client,
        Subject::ReverseClient => AccessOf::ReverseClient,
        Subject::Helo => AccessOf::Helo,
        Subject::Sender => AccessOf::Sender,
        Subject::Recipient => AccessOf::Recipient,
        Subject::Etrn => AccessOf::Etrn,
        Subject::Certificate => AccessOf::Certificate,
        Subject::Sasl => AccessOf::Sasl,
        Subject::Data | Subject::EndOfData => AccessOf::Whatever,
    }
}
