//! docs/reference/parameters.md, the way in, and docs/reference/parameters/*.md: an entry for each parameter.
//!
//! A page a topic, so that none is too long to be shown; an entry is a heading, so that each can be linked to.

use super::{code, escaped};
use config::Compat;
use config::conf::instead_of;
use config::registry::{self, Default, Parameter, State};
use std::fmt::Write as _;

/// Page, title, and the names that it takes, the first page that fits.
type Page = (&'static str, &'static str, fn(&Parameter) -> bool);

const PAGES: [Page; 14] = [
    ("past", "Names of the past", |row| row.obsolete.is_some()),
    ("komainu", "Our own", |row| row.name.starts_with("komainu_")),
    ("postscreen", "postscreen", |row| row.name.starts_with("postscreen_")),
    ("smtpd", "The SMTP server", |row| row.name.starts_with("smtpd_")),
    ("smtp", "The SMTP client", |row| row.name.starts_with("smtp_")),
    ("lmtp", "The LMTP client", |row| row.name.starts_with("lmtp_")),
    ("tls", "TLS", |row| row.name.starts_with("tls")),
    ("milter", "Milters", |row| row.name.starts_with("milter_") || row.name.ends_with("_milters")),
    ("verify", "Address verification", |row| {
        row.name.contains("verify_") || row.name.contains("unverified_")
    }),
    ("virtual", "Virtual domains", |row| row.name.starts_with("virtual_")),
    ("a-d", "Other parameters from 2 to d", |row| row.name < "e"),
    ("e-l", "Other parameters from e to l", |row| row.name < "m"),
    ("m-p", "Other parameters from m to p", |row| row.name < "q"),
    ("q-z", "Other parameters from q to z", |_| true),
];

/// All pages with their paths.
pub(super) fn pages() -> Vec<(String, String)> {
    let mut rows: Vec<&Parameter> = registry::all().collect();
    rows.sort_by_key(|row| row.name);
    let mut pages = vec![("docs/reference/parameters.md".to_owned(), index(&rows))];
    for (file, title, _) in PAGES {
        let mut page = format!("# {title}\n\n{NOTE}\n\n");
        for row in rows.iter().filter(|row| file_of(row) == file) {
            entry(&mut page, row);
        }
        pages.push((format!("docs/reference/parameters/{file}.md"), page));
    }
    pages.push(("docs/reference/parameters/transports.md".to_owned(), transports()));
    pages
}

const NOTE: &str = "<!-- Made by `cargo run -p xtask -- generate`; edit crates/config/src/registry. -->";

fn file_of(row: &Parameter) -> &'static str {
    PAGES.iter().find(|(_, _, takes)| takes(row)).map_or("q-z", |(file, ..)| file)
}

fn index(rows: &[&Parameter]) -> String {
    let count = |wanted: fn(&Parameter) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let past = count(|row| row.obsolete.is_some());
    let served = count(|row| row.obsolete.is_none() && row.state == State::Implemented);
    let partly = count(|row| row.obsolete.is_none() && matches!(row.state, State::Partly(_)));
    let idle = count(|row| row.obsolete.is_none() && matches!(row.state, State::NoEffect(_)));
    let not_yet = count(|row| row.obsolete.is_none() && row.state == State::NotYet);
    let mut page = format!(
        "# Parameters\n\n{NOTE}\n\nAll parameters of main.cf that postconf(5) of Postfix 3.11 documents, those that \
         3.12 brings, names of the past, and our own, which begin with `komainu_`. An entry says what the parameter \
         is for, its type, its default in 3.11 (and in 3.7 where that differs: `--compat 3.7` takes it), since when \
         Postfix has it, and whether it has its effect here. `komainu conf --about NAME` prints the same.\n\n\
         | Here | Parameters |\n| --- | --- |\n| served | {served} |\n| served in part | {partly} |\n\
         | without effect here, for a reason | {idle} |\n| not served yet: `komainu check` says so (K0123) | {not_yet} |\n\
         | of the past: `komainu check` says what to write (K0122) | {past} |\n\n\
         Parameters that begin with a transport's name are told [apart](parameters/transports.md). \
         `domain_to_ascii` of 3.11 is a function in values, not a parameter, and isn't known here yet.\n"
    );
    for (file, title, _) in PAGES {
        let _ = write!(page, "\n## [{title}](parameters/{file}.md)\n\n");
        let names = rows.iter().filter(|row| file_of(row) == file);
        let links: Vec<String> = names
            .map(|row| format!("[{0}](parameters/{file}.md#{1})", row.name, row.name.to_ascii_lowercase()))
            .collect();
        let _ = writeln!(page, "{}", links.join(",\n"));
    }
    page
}

/// `kind · default · versions · state`.
fn entry(page: &mut String, row: &Parameter) {
    let mut facts = vec![row.kind.name().to_owned()];
    match row.default {
        Default::Computed(_) => facts.push("default from the machine".to_owned()),
        Default::Nothing => {}
        Default::ByCompat { v3_7, .. } => {
            let v3_11 = row.default_text(Compat::V3_11).unwrap_or("");
            facts.push(format!("default {}, in 3.7 {}", code(v3_11), code(v3_7)));
        }
        Default::Text(text) => facts.push(format!("default {}", code(text))),
    }
    if let Some(since) = row.since {
        facts.push(format!("since {since}"));
    }
    if let Some(until) = row.until {
        facts.push(format!("until {until}"));
    }
    facts.push(match (row.obsolete, instead_of(row.name)) {
        (Some(instead), _) => format!("of the past: {}", escaped(instead)),
        (None, Some(instead)) => format!("{}; deprecated: write {instead}", escaped(&row.state.to_string())),
        (None, None) => escaped(&row.state.to_string()),
    });
    // Writing to a string can't fail.
    let _ = write!(page, "## {}\n\n{}\n\n{}\n\n", row.name, markdown(row.sentence()), facts.join(" · "));
}

/// What would be markup in a sentence.
fn markdown(sentence: &str) -> String {
    sentence.replace('<', "\\<").replace('*', "\\*")
}

fn transports() -> String {
    let mut page = format!(
        "# Parameters of a transport\n\n{NOTE}\n\nEach transport of master.cf brings these with its name before \
         them, such as `relay_destination_concurrency_limit`; `_time_limit` belongs to pipe and spawn services. \
         `local_destination_concurrency_limit` is 2 by default and `local_destination_recipient_limit` 1.\n\n"
    );
    for (name, derived) in registry::derived_examples() {
        let (kind, state) = (derived.kind.name(), escaped(&derived.state().to_string()));
        let _ = write!(
            page,
            "## {name}\n\n{}\n\n{kind} · default {} · {state}\n\n",
            markdown(derived.sentence),
            code(derived.default)
        );
    }
    page
}
