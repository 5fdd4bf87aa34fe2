//! DNS lists by what became of them: `zones.txt`, a dated list kept by hand (T1.4, T2.7).
//!
//! K0450 dead, K0451 listed the world at its end, K0452 moved, K0453 only for some, K0454 asked for the wrong thing.
//! Whether a zone answers today is `--online`'s to find out. [`refuses_public_resolvers`] is for who knows the
//! resolver.

use super::{Case, Subject};
use crate::check::{Check, Entry};
use crate::service::{Zone, ZoneKind};
use config::{Diagnostic, Place};

/// The list.
const TEXT: &str = include_str!("zones.txt");

/// What became of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    OwnResolver,
    Registered,
    Moved,
    Paid,
    Dead,
    World,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    zone: &'static str,
    kind: ZoneKind,
    state: State,
    since: &'static str,
    instead: &'static str,
    what: &'static str,
}

fn row(line: &'static str) -> Option<Row> {
    let mut columns = line.split('|').map(str::trim);
    let mut next = || columns.next();
    let (zone, kind, state) = (next()?, next()?, next()?);
    Some(Row {
        zone,
        kind: match kind {
            "address" => ZoneKind::Address,
            "domain" => ZoneKind::Domain,
            _ => return None,
        },
        state: match state {
            "alive" => State::Alive,
            "own" => State::OwnResolver,
            "registered" => State::Registered,
            "moved" => State::Moved,
            "paid" => State::Paid,
            "dead" => State::Dead,
            "world" => State::World,
            _ => return None,
        },
        since: next()?,
        instead: next()?,
        what: next()?,
    })
}

/// The row that speaks of `domain`.
fn known(domain: &str) -> Option<Row> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let fits = |row: &Row| {
        domain.strip_suffix(row.zone).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    TEXT.lines().filter(|line| !line.starts_with('#')).filter_map(row).find(fits)
}

/// Whether this list answers nobody who asks through a public resolver.
#[must_use]
pub fn refuses_public_resolvers(domain: &str) -> bool {
    known(domain).is_some_and(|row| row.state == State::OwnResolver)
}

pub(super) fn review(case: &Case<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let screened = case.screening.map(crate::screen::Screening::dnsbl_zones).unwrap_or_default();
    for zone in case.policy.dnsbl_zones().iter().chain(&screened) {
        found.extend(fate(case, zone));
    }
    for (_, entry) in case.entries() {
        found.extend(wrong_kind(entry));
    }
    found
}

/// `since March`, as far as it is known.
fn since(row: &Row) -> String {
    if row.since.is_empty() { String::new() } else { format!(" since {}", row.since) }
}

fn instead(row: &Row) -> String {
    match row.instead {
        "" => "remove it".to_owned(),
        other => format!("remove it, or write {other}"),
    }
}

fn fate(subject: &Subject<'_>, zone: &Zone) -> Option<Diagnostic> {
    let row = known(&zone.domain)?;
    let (domain, place, what) = (&zone.domain, zone.place.clone(), row.what);
    Some(match row.state {
        State::Alive | State::OwnResolver => return None,
        State::Dead => Diagnostic::warning(450, place, format!("{domain} is dead{}", since(&row))).help(
            format!("{what}; it lists nobody, and every client waits for the query; {}", instead(&row)),
        ),
        State::World => {
            let skipped = if subject.policy.settings.dnsbl_health {
                "; Komainu notices and skips such a list, Postfix would refuse all mail"
            } else {
                "; all mail would be refused"
            };
            Diagnostic::error(451, place, format!("{domain} has listed the whole world{}", since(&row)))
                .help(format!("{what}{skipped}; {}", instead(&row)))
        }
        State::Moved => {
            let message = format!("{domain} is not the list's zone");
            let said =
                Diagnostic::warning(452, place, message).help(format!("{what}; write {}", row.instead));
            mended(said, zone, &row)
        }
        State::Paid => {
            Diagnostic::warning(453, place, format!("{domain} answers subscribers only{}", since(&row)))
                .help(format!("{what}; without a contract it lists nobody; {}", instead(&row)))
        }
        State::Registered => {
            Diagnostic::hint(453, place, format!("{domain} answers registered resolvers only"))
                .help(format!("{what}; register your resolver's address, or it lists nobody"))
        }
    })
}

/// Certain only where the zone stands there as it is, and its successor as well.
fn mended(said: Diagnostic, zone: &Zone, row: &Row) -> Diagnostic {
    if zone.place.text() == zone.domain && !row.instead.contains('=') {
        said.fix(zone.place.clone(), row.instead)
    } else {
        said
    }
}

/// A list of domains that is asked for addresses, or the other way round.
fn wrong_kind(entry: &Entry) -> Option<Diagnostic> {
    let (Check::Blocklist { zone, .. } | Check::Allowlist { zone, .. }) = &entry.check else { return None };
    let row = known(&zone.domain)?;
    if row.kind == zone.kind || !matches!(row.state, State::Alive | State::OwnResolver | State::Registered) {
        return None;
    }
    let place: Place = zone.place.clone();
    let (asked, holds, other) = match row.kind {
        ZoneKind::Domain => ("addresses", "domains", "reject_rhsbl_sender, reject_rhsbl_helo"),
        ZoneKind::Address => ("domains", "addresses", "reject_rbl_client"),
    };
    let message = format!("{} is a list of {holds}, and {} asks it for {asked}", zone.domain, entry.name);
    Some(
        Diagnostic::warning(454, place, message)
            .help(format!("used like this it lists nobody, or returns an error; write {other} instead")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_read() {
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let row = row(line).unwrap_or_else(|| panic!("{line}"));
            assert!(mail::host::is_hostname(row.zone), "{line}");
            assert!(row.state != State::Moved || !row.instead.is_empty(), "{line}");
            let date = row.since.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            assert!(date && matches!(row.since.len(), 0 | 4 | 7), "{line}");
            if !row.instead.is_empty() {
                assert!(crate::dnsbl::ListZone::parse(row.instead, row.kind, Place::nowhere()).is_ok());
                let domain = row.instead.split('=').next().unwrap_or("");
                assert!(matches!(known(domain).map(|r| r.state), Some(State::Alive | State::OwnResolver)));
            }
        }
    }

    #[test]
    fn zones_and_what_is_below_them() {
        let check = |domain: &str, expect: Option<State>| {
            assert_eq!(known(domain).map(|row| row.state), expect, "{domain}");
        };
        check("relays.ordb.org", Some(State::World));
        check("ORDB.org.", Some(State::World));
        check("notordb.org", None);
        check("sbl.spamhaus.org", Some(State::OwnResolver));
        check("sbl-xbl.spamhaus.org", Some(State::Moved));
        check("spamcop.net", Some(State::Moved));
        check("bl.spamcop.net", Some(State::Alive));
        check("bl.example", None);
        assert!(refuses_public_resolvers("zen.spamhaus.org") && !refuses_public_resolvers("bl.spamcop.net"));
    }
}
