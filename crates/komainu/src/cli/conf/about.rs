//! `--about NAME`: a row of the registry.

use super::Fatal;
use config::Compat;
use config::registry::{self, Default, State};
use std::io::{self, Write as _};

/// Prints what is known of a parameter; whether there is such a one.
pub(super) fn about(name: &str, compat: Compat) -> Result<bool, Fatal> {
    let Some(row) = registry::find(name) else {
        return Err(Fatal(format!("{name}: unknown parameter")));
    };
    let default = match row.default {
        Default::Computed(_) => "from the machine".to_owned(),
        _ => row.default_text(compat).map_or_else(String::new, str::to_owned),
    };
    let here = match (row.obsolete, row.state) {
        (Some(instead), _) => format!("of the past: {instead}"),
        (None, State::Implemented) => "has its effect".to_owned(),
        (None, State::NoEffect(because)) => format!("no effect: {because}"),
        (None, State::NotYet) => "not served yet".to_owned(),
    };
    let since = row.since.map_or(String::new(), |version| format!("since    Postfix {version}\n"));
    // A reader that left wants no more.
    let _ = write!(
        io::stdout(),
        "{name}\ntype     {}\ndefault  {}\n{since}here     {here}\n",
        row.kind.name(),
        if default.is_empty() { "(empty)" } else { &default },
    );
    Ok(true)
}
