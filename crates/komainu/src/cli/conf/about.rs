//! `--about NAME ...`: what the registries know of a word, whatever it is: a parameter, a restriction, an action,
//! a table type, a service, an option. One word may be several of these; all are told.

use super::options::{Form, Options};
use super::{Called, Fatal};
use config::conf::instead_of;
use config::master_cf::words;
use config::registry::{self, Default, Entry, Parameter};
use config::{Compat, nearest_name};
use serde_json::{Map, Value};

/// What is known of a name: what it is, its sentence, then facts in order.
struct About {
    name: String,
    what: &'static str,
    sentence: &'static str,
    facts: Vec<(&'static str, String)>,
}

/// Words that are no parameters, by what they are.
fn words_of_kinds() -> Vec<(&'static str, Vec<&'static Entry>)> {
    vec![
        ("restriction", policy::restrictions().collect()),
        ("action of access tables", policy::access_actions().collect()),
        ("action of header_checks", policy::content_actions().collect()),
        ("table type", tables::types().collect()),
        ("command of master.cf", words::commands().collect()),
        ("service type", words::kinds().collect()),
        ("column of master.cf", words::columns().collect()),
        ("option in master.cf", words::options().collect()),
    ]
}

impl Called<'_> {
    /// Prints what is known of the words; whether there is something for each.
    pub(super) fn about(&self, options: &Options) -> Result<bool, Fatal> {
        if options.words.is_empty() {
            return Err(Fatal("--about wants a name".to_owned()));
        }
        let mut all = true;
        let mut printed = false;
        for word in &options.words {
            let found = known(word, options.compat);
            if found.is_empty() {
                all = false;
                self.warn(&unknown(word));
            }
            for about in found {
                if printed && options.form != Form::Json {
                    println!();
                }
                print!("{}", if options.form == Form::Json { about.json() } else { about.text() });
                printed = true;
            }
        }
        Ok(all)
    }
}

fn unknown(word: &str) -> String {
    let parameters = registry::all().map(|row| row.name);
    let words = words_of_kinds().into_iter().flat_map(|(_, entries)| entries).map(|entry| entry.name);
    match nearest_name(word, parameters.chain(words)) {
        Some(near) => format!("{word}: unknown name; did you mean {near}?"),
        None => format!("{word}: unknown name"),
    }
}

fn known(word: &str, compat: Compat) -> Vec<About> {
    let mut found: Vec<About> =
        registry::find(word).map(|row| of_parameter(row, compat)).into_iter().collect();
    if found.is_empty() {
        found.extend(registry::derived(word).map(|derived| About {
            name: word.to_owned(),
            what: "parameter of a service",
            sentence: derived.sentence,
            facts: vec![
                ("service", derived.service.to_owned()),
                ("type", derived.kind.name().to_owned()),
                ("default", derived.default.to_owned()),
                ("here", derived.state().to_string()),
            ],
        }));
    }
    // `hash:` as it is written.
    let bare = word.strip_suffix(':').unwrap_or(word);
    for (what, entries) in words_of_kinds() {
        let same =
            |entry: &&&Entry| entry.name.eq_ignore_ascii_case(if what == "table type" { bare } else { word });
        found.extend(entries.iter().filter(same).map(|entry| of_entry(entry, what)));
    }
    found
}

fn of_parameter(row: &Parameter, compat: Compat) -> About {
    let mut facts = vec![("type", row.kind.name().to_owned())];
    match row.default {
        Default::Computed(_) => facts.push(("default", "from the machine".to_owned())),
        Default::Nothing => {}
        _ => facts.push(("default", row.default_text(compat).unwrap_or_default().to_owned())),
    }
    versions(&mut facts, row.since, row.until);
    match (row.obsolete, instead_of(row.name)) {
        (Some(instead), _) => facts.push(("here", format!("of the past: {instead}"))),
        (None, instead) => {
            facts.push(("here", row.state.to_string()));
            facts.extend(instead.map(|instead| ("instead", instead.to_owned())));
        }
    }
    About { name: row.name.to_owned(), what: "parameter", sentence: row.sentence(), facts }
}

fn of_entry(entry: &Entry, what: &'static str) -> About {
    let mut facts = Vec::new();
    if !entry.takes.is_empty() {
        facts.push(("takes", entry.takes.to_owned()));
    }
    facts.push(("where", entry.place.to_owned()));
    versions(&mut facts, entry.since, entry.until);
    facts.push(("here", entry.state.to_string()));
    facts.extend(entry.instead.map(|instead| ("instead", instead.to_owned())));
    About { name: entry.name.to_owned(), what, sentence: entry.sentence, facts }
}

fn versions(facts: &mut Vec<(&'static str, String)>, since: Option<&str>, until: Option<&str>) {
    facts.extend(since.map(|version| ("since", format!("Postfix {version}"))));
    facts.extend(until.map(|version| ("until", format!("Postfix {version}"))));
}

impl About {
    fn text(&self) -> String {
        let mut text = format!("{} ({})\n  {}\n", self.name, self.what, self.sentence);
        for (label, value) in &self.facts {
            let value = if value.is_empty() { "(empty)" } else { value };
            text.push_str(&format!("  {label:<8} {value}\n"));
        }
        text
    }

    fn json(&self) -> String {
        let mut object = Map::new();
        let mut put = |label: &str, value: &str| object.insert(label.to_owned(), Value::from(value));
        put("name", &self.name);
        put("what", self.what);
        put("sentence", self.sentence);
        for (label, value) in &self.facts {
            put(label, value);
        }
        format!("{}\n", Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(word: &str) -> String {
        known(word, Compat::V3_11).iter().map(About::text).collect()
    }

    #[test]
    fn whatever_it_is() {
        let check = |word: &str, parts: &[&str]| {
            let text = told(word);
            for part in parts {
                assert!(text.contains(part), "{word}: {part}: {text}");
            }
        };
        check(
            "smtpd_helo_required",
            &["(parameter)", "  type     yes/no\n", "  default  no\n", "  here     served\n"],
        );
        check(
            "virtual_maps",
            &["  until    Postfix 1.1\n", "here     of the past: write virtual_alias_maps"],
        );
        check("smtp_use_tls", &["instead  smtp_tls_security_level\n"]);
        check("relay_destination_concurrency_limit", &["(parameter of a service)", "service  relay\n"]);
        check("Reject_Unknown_Client", &["(restriction)", "instead  reject_unknown_client_hostname\n"]);
        check("reject_rbl_client", &["  takes    ZONE[=FILTER]\n", "  since    Postfix 2.0\n"]);
        check("REJECT", &["(restriction)", "(action of access tables)", "(action of header_checks)"]);
        check("cidr:", &["(table type)", "  where    /PATH\n"]);
        check("unix", &["(table type)", "(service type)"]);
        check("smtpd", &["(command of master.cf)"]);
        check("-o", &["(option in master.cf)"]);
        check("nosuch", &[]);
    }

    #[test]
    fn misspelt() {
        assert_eq!(
            unknown("smtpd_helo_requird"),
            "smtpd_helo_requird: unknown name; did you mean smtpd_helo_required?"
        );
        assert_eq!(unknown("qqqqqqqq"), "qqqqqqqq: unknown name");
    }

    #[test]
    fn as_json() {
        let all = known("permit", Compat::V3_11);
        let lines: String = all.iter().map(About::json).collect();
        assert!(
            lines.starts_with("{\"here\":\"served\",") || lines.starts_with("{\"name\":\"permit\","),
            "{lines}"
        );
    }
}
