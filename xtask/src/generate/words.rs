//! docs/reference/{restrictions,actions,table-types,services}.md: the words that are no parameters.

use super::escaped;
use config::master_cf::words;
use config::registry::Entry;
use std::fmt::Write as _;

/// All pages with their paths.
pub(super) fn pages() -> Vec<(String, String)> {
    let made = |file: &str, page: String| (format!("docs/reference/{file}.md"), page);
    vec![
        made("restrictions", restrictions()),
        made("actions", actions()),
        made("table-types", table_types()),
        made("services", services()),
    ]
}

fn head(title: &str, rows: &str, text: &str) -> String {
    format!("# {title}\n\n<!-- Made by `cargo run -p xtask -- generate`; edit {rows}. -->\n\n{text}\n")
}

fn restrictions() -> String {
    let mut page = head(
        "Restrictions",
        "crates/policy/src/names.rs",
        "The words of smtpd_client_restrictions and the other lists. A restriction stands in the list of what it \
         judges or in a later one; with `smtpd_delay_reject = yes` all lists are judged at RCPT TO, and any may stand \
         anywhere. `TYPE:TABLE` alone stands for the access check of the list that it is in. What a table may answer \
         is in [actions](actions.md).",
    );
    let (old, today): (Vec<&Entry>, Vec<&Entry>) =
        policy::restrictions().partition(|entry| entry.instead.is_some());
    table(&mut page, "", today.into_iter());
    table(&mut page, "Old and deprecated names", old.into_iter());
    page
}

fn actions() -> String {
    let mut page = head(
        "Actions",
        "crates/policy/src/actions.rs",
        "What the value of an access table, a policy server's answer, or a pattern of header_checks may say. A text \
         may begin with an enhanced status code such as 5.7.1.",
    );
    table(&mut page, "In access tables", policy::access_actions());
    table(&mut page, "In header_checks and body_checks", policy::content_actions());
    page
}

fn table_types() -> String {
    let mut page = head(
        "Table types",
        "crates/tables/src/types.rs",
        "What `type:name` may begin with. Where tables are read from, and when a change counts, is in \
         [lookup tables](tables.md).",
    );
    table(&mut page, "", tables::types());
    page
}

fn services() -> String {
    let mut page = head(
        "Services",
        "crates/config/src/master_cf",
        "master.cf has a service a line, in eight columns. Inner services of Postfix are parts of this one program, \
         whether or not their lines are there.",
    );
    table(&mut page, "Columns", words::columns());
    table(&mut page, "Types", words::kinds());
    table(&mut page, "Commands", words::commands());
    table(&mut page, "Options and arguments", words::options());
    page
}

/// One row a word; columns that nobody fills are left out.
fn table<'a>(page: &mut String, title: &str, entries: impl Iterator<Item = &'a Entry>) {
    let entries: Vec<&Entry> = entries.collect();
    if !title.is_empty() {
        // Writing to a string can't fail.
        let _ = write!(page, "\n## {title}\n");
    }
    let some = |given: fn(&Entry) -> bool| entries.iter().any(|entry| given(entry));
    let takes = some(|entry| !entry.takes.is_empty());
    let versions = some(|entry| entry.since.or(entry.until).is_some());
    let mut columns = vec!["Name", "What it does", "Where"];
    if takes {
        columns.insert(1, "Takes");
    }
    if versions {
        columns.push("Versions");
    }
    columns.push("Here");
    let _ = write!(page, "\n| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    for entry in entries {
        let mut cells = vec![format!("`{}`", entry.name), escaped(entry.sentence), entry.place.to_owned()];
        if takes {
            let cell = if entry.takes.is_empty() { String::new() } else { format!("`{}`", entry.takes) };
            cells.insert(1, escaped(&cell));
        }
        if versions {
            cells.push(match (entry.since, entry.until) {
                (Some(since), Some(until)) => format!("{since} to {until}"),
                (Some(since), None) => format!("since {since}"),
                (None, Some(until)) => format!("until {until}"),
                (None, None) => String::new(),
            });
        }
        let instead = entry.instead.map_or(String::new(), |instead| format!("; write {instead}"));
        cells.push(escaped(&format!("{}{instead}", entry.state)));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}
