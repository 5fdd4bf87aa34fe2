//! The DNS tree walk (RFC 9989 §4.10): from a name upwards, with no more than eight questions, to records and to the
//! organisation that a name is of.

use super::Problem;
use super::record::{DmarcRecord, Psd};
use crate::facts::{Answer, Facts, Need, Question, Record, RecordKind};

/// The most names that one walk asks about.
pub const QUERIES_MAX: usize = 8;
/// The longest name that is asked for.
const NAME_BYTES_MAX: usize = 253;

/// Why an evaluation doesn't go on.
pub(super) enum Stop {
    Need(Need),
    /// The DNS gave no answer.
    Temporary(Problem),
}

impl From<Need> for Stop {
    fn from(need: Need) -> Stop {
        Stop::Need(need)
    }
}

/// The names that a walk from `domain` may ask about, in order: itself, then those above it from the seventh label on.
#[must_use]
pub fn names(domain: &str) -> Vec<&str> {
    let labels = domain.split('.').count();
    let mut names = vec![domain];
    let (mut rest, mut left) = (domain, labels);
    while let Some((_, parent)) = rest.split_once('.') {
        (rest, left) = (parent, left - 1);
        if left < QUERIES_MAX {
            names.push(parent);
        }
    }
    names
}

/// The one record at `_dmarc.` in front of `name`; of several none counts.
pub(super) fn record(name: &str, facts: &Facts) -> Result<Option<DmarcRecord>, Stop> {
    let asked = format!("_dmarc.{name}");
    if !is_askable(&asked) {
        return Ok(None);
    }
    let question = Question::Dns { name: asked, kind: RecordKind::Txt };
    let records = match facts.ask(&question)? {
        Answer::Records(records) => records,
        Answer::NoName | Answer::NoRecords | Answer::Invalid(_) => return Ok(None),
        _ => return Err(Stop::Temporary(Problem::NoAnswer { name: format!("_dmarc.{name}") })),
    };
    let mut found = records.iter().filter_map(|record| match record {
        Record::Txt(text) => DmarcRecord::parse(text),
        _ => None,
    });
    let first = found.next();
    Ok(first.filter(|_| found.next().is_none()))
}

/// Whether a name can be asked for.
pub(super) fn is_askable(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// The records from `domain` upwards, until one says where an organisation begins.
pub(super) fn walk<'d>(domain: &'d str, facts: &Facts) -> Result<Vec<(&'d str, DmarcRecord)>, Stop> {
    let mut found = Vec::new();
    for name in names(domain) {
        if let Some(record) = record(name, facts)? {
            let is_end = record.psd != Psd::Unsaid;
            found.push((name, record));
            if is_end {
                break;
            }
        }
    }
    Ok(found)
}

/// The organisational domain of `domain`, by the records that were found on the way up from it.
pub(super) fn organization<'d>(domain: &'d str, found: &[(&'d str, DmarcRecord)]) -> &'d str {
    match found.last() {
        Some((name, record)) if record.psd == Psd::Yes && *name != domain => below(domain, name),
        // The walk ends at psd=n, which is the organisation's; else it is the highest record.
        Some((name, _)) => name,
        None => domain,
    }
}

/// The name one label below `above` on the way to `domain`.
fn below<'d>(domain: &'d str, above: &str) -> &'d str {
    let mut rest = domain;
    while let Some((_, parent)) = rest.split_once('.') {
        if parent == above {
            break;
        }
        rest = parent;
    }
    rest
}
