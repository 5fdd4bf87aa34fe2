//! Mail that a content filter sees before its recipients' servers do: `content_filter` and FILTER (FILTER_README).
//!
//! A message's filter takes the place of all its recipients' routes; what the filter accepts is its own from then on,
//! and comes back as another message. Which message has which filter was decided when it was received; but for one that
//! somebody has requeued, which goes where new local mail goes. T1.14, T2.29, T2.30.

use crate::configuration::Receiving;
use config::Parameters;
use mail::Address;
use policy::address::AddressClasses;
use queue::{Entry, Route};
use tables::{LookupError, Snapshot};

/// How messages get to their filters.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// `default_filter_nexthop`
    default_nexthop: String,
    /// `content_filter` of pickup(8).
    of_local_mail: Option<String>,
}

impl Filters {
    /// Reads the parameters.
    #[must_use]
    pub fn read(p: &Parameters, local: &Receiving) -> Filters {
        Filters {
            default_nexthop: p.text("default_filter_nexthop").value,
            of_local_mail: local.content_filter.clone(),
        }
    }

    /// The filter that a message goes to.
    #[must_use]
    pub fn of<'a>(&'a self, entry: &'a Entry) -> Option<&'a str> {
        let own = if entry.refiltered { &self.of_local_mail } else { &entry.filter };
        own.as_deref()
    }

    /// The way there, for one recipient.
    ///
    /// # Errors
    /// Where a table can't say what the recipient's domain is, which is the nexthop that nobody named.
    pub fn route(
        &self,
        filter: &str,
        recipient: &Address,
        classes: &AddressClasses,
        tables: &Snapshot,
    ) -> Result<Route, LookupError> {
        if classes.is_option(recipient) {
            let nowhere = policy::address::Route::bad_syntax();
            return Ok(Route { transport: nowhere.transport, nexthop: nowhere.nexthop });
        }
        let route = Route::named(filter);
        let nexthop = match (route.nexthop, self.default_nexthop.as_str()) {
            (none, "") if none.is_empty() => classes.resolve(recipient, tables)?.domain,
            (none, default) if none.is_empty() => default.to_owned(),
            (own, _) => own,
        };
        Ok(Route { nexthop, ..route })
    }
}
