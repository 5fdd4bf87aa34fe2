//! Values that can't do what their parameter is for: an asterisk in a list of domains, nothing where a name is needed.
//!
//! K0170 `*` among domains, K0171 an empty value at which Postfix's programs stop (bad string length 0 < 1: measured
//! with Postfix 3.7.11).

use super::{Subject, place};
use crate::{Diagnostic, Parameters, Severity};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    asterisks(subject.parameters, found);
    empty(subject.parameters, found);
}

const DOMAINS: [&str; 4] =
    ["mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains"];

fn asterisks(main: &Parameters, found: &mut Vec<Diagnostic>) {
    for name in DOMAINS.into_iter().filter(|name| main.is_set(name)) {
        for word in main.list(name).into_iter().filter(|word| word.value.starts_with('*')) {
            if word.place.file.is_none() {
                continue;
            }
            let message = format!("`{}` in {name} matches no domain", word.value);
            let help = match word.value.strip_prefix("*.") {
                Some(domain) if !domain.is_empty() => format!(
                    "there are no asterisks here; write the domains out, or a table `pcre:/etc/postfix/domains` with the \
                     line `/\\.{}$/ x`",
                    domain.replace('.', "\\.")
                ),
                _ => {
                    "there are no asterisks here; name the domains: with all of them this were an open relay"
                        .to_owned()
                }
            };
            found.push(Diagnostic::warning(170, word.place, message).help(help));
        }
    }
}

/// What may not be empty, and how bad that is here.
const NEEDED: [(&str, &str, Severity); 2] = [
    ("queue_directory", "/var/spool/postfix", Severity::Error),
    // A file that comes with Postfix has it so, to be filled in; nothing asks for it here.
    ("setgid_group", "postdrop", Severity::Hint),
];

fn empty(main: &Parameters, found: &mut Vec<Diagnostic>) {
    for (name, default, severity) in NEEDED {
        let Some(at) = place(main, name).filter(|_| main.text(name).value.trim().is_empty()) else {
            continue;
        };
        let mut diagnostic = Diagnostic::error(171, at, format!("{name} is empty")).help(format!(
            "all of Postfix's programs stop at it: `bad string length 0 < 1: {name} =`; write `{name} = {default}`, or \
             delete the line"
        ));
        diagnostic.severity = severity;
        found.push(diagnostic);
    }
}
