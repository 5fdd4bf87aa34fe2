//! Names of this machine and the domains that it has mail for.
//!
//! Only domains that stand in the lists themselves; tables are looked into elsewhere. K0145 a domain in two
//! classes, K0146 myhostname, K0147 myorigin.

use super::{Subject, literal, place};
use crate::{Diagnostic, Parameters, Place, Severity};
use std::collections::HashMap;

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let main = subject.parameters;
    overlaps(main, found);
    my_hostname(main, found);
    my_origin(main, found);
}

/// The classes in the order in which Postfix asks them; the first that has a domain gets it.
const CLASSES: [&str; 4] =
    ["mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"];

fn overlaps(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<String, (&str, Place)> = HashMap::new();
    for class in CLASSES {
        if !main.is_set(class) && class != "mydestination" {
            continue;
        }
        for word in main.list(class) {
            let domain = word.value.to_ascii_lowercase();
            if domain.contains([':', '/', '!', '{']) || domain.is_empty() {
                continue;
            }
            match seen.get(&domain) {
                None => {
                    seen.insert(domain, (class, word.place));
                }
                Some((first, _)) if *first == class => {}
                Some((first, earlier)) => {
                    // Written in both, not the one referring to the other.
                    let file = if word.place.file.is_some() { &word.place } else { earlier };
                    found.extend(both(&domain, first, class, file.clone(), *earlier == word.place));
                }
            }
        }
    }
}

fn both(domain: &str, first: &str, second: &str, place: Place, one_writing: bool) -> Option<Diagnostic> {
    place.file.as_ref()?;
    let message = format!("{domain} is listed in both {first} and {second}");
    let harmless = first == "mydestination" && second == "relay_domains";
    // `relay_domains = $mydestination` was the default once, and does nothing.
    if harmless && one_writing {
        return None;
    }
    let effect = match first {
        "mydestination" => "its mail goes to the accounts of this machine",
        "virtual_alias_domains" => "its mail is looked up in virtual_alias_maps only",
        _ => "its mail goes to virtual mailboxes",
    };
    let mut diagnostic = Diagnostic::warning(145, place, message)
        .help(format!("{first} wins: {effect}, and {second} has no effect for it; list each domain once"));
    if harmless {
        diagnostic.severity = Severity::Hint;
    }
    Some(diagnostic)
}

fn my_hostname(main: &Parameters, found: &mut Vec<Diagnostic>) {
    for name in ["myhostname", "mydomain"] {
        let Some(place) = place(main, name) else { continue };
        let value = main.text(name).value;
        if let Some(why) = invalid(&value) {
            let message = format!("{name} = {value}: {why}");
            let mut diagnostic =
                Diagnostic::error(146, place, message).help("Postfix doesn't start with an invalid name");
            let bare = value.trim_matches('.');
            if let Some(raw) = literal(main, name)
                && bare != value
                && invalid(bare).is_none()
            {
                diagnostic = diagnostic.fix(raw.place, bare);
            }
            found.push(diagnostic);
        } else if name == "myhostname" {
            found.extend(not_whole(&value, &place));
            found.extend(hosted(main, &value, &place));
        }
    }
}

/// Why Postfix wouldn't take the name.
fn invalid(name: &str) -> Option<&'static str> {
    // What is said elsewhere: a remark, quotes, `==`, a stop, copied characters.
    if name.contains(['"', '\'', '#', '=', ';', '\\']) || !name.is_ascii() {
        return None;
    }
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.contains(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
        return Some("a name may only contain letters, digits, `-` and `.`");
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Some("a dot may only stand between two labels");
    }
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Some("an address is not a name");
    }
    None
}

fn not_whole(value: &str, place: &Place) -> Option<Diagnostic> {
    let lower = value.to_ascii_lowercase();
    let is_local = lower == "localhost" || lower.starts_with("localhost.") || lower.ends_with(".localdomain");
    if lower.contains('.') && !is_local {
        return None;
    }
    let message = format!("myhostname = {value} is not a name that exists on the Internet");
    Some(Diagnostic::hint(146, place.clone(), message).help(
        "it is used in HELO and in the addresses of mail from here, and many servers refuse both; write the full name that \
         the DNS has for this machine's address, such as mail.example.org",
    ))
}

/// Postfix: never list myhostname as a virtual domain.
fn hosted(main: &Parameters, value: &str, place: &Place) -> Option<Diagnostic> {
    let classes = ["virtual_alias_domains", "virtual_mailbox_domains"];
    let class = classes.into_iter().find(|class| {
        main.is_set(class) && main.list(class).iter().any(|word| word.value.eq_ignore_ascii_case(value))
    })?;
    // That it stands in mydestination too is said as an overlap.
    if main.list("mydestination").iter().any(|word| word.value.eq_ignore_ascii_case(value)) {
        return None;
    }
    let message = format!("myhostname ({value}) is one of {class}");
    Some(Diagnostic::hint(146, place.clone(), message).help(
        "mail for root and other accounts of this machine is then looked up among the virtual ones; give the machine \
         its own name",
    ))
}

fn my_origin(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(place) = place(main, "myorigin") else { return };
    let value = main.text("myorigin").value;
    if value.starts_with('/') {
        // What the file says would stand here if it could be read.
        let message = format!("myorigin names the file {value}, which is missing or empty");
        found.push(Diagnostic::error(147, place, message).help(
            "Debian's Postfix reads the domain from its first line, and doesn't start without it; write the domain itself",
        ));
    } else if value.contains('@') {
        let bare = value.trim_start_matches('@').to_owned();
        let message = format!("myorigin = {value} begins with `@`");
        let diagnostic = Diagnostic::error(147, place, message)
            .help(format!("senders become \"root@\"@example.org, which no server accepts; write `{bare}`"));
        found.push(match literal(main, "myorigin") {
            Some(raw) if !bare.contains('@') => diagnostic.fix(raw.place, bare),
            _ => diagnostic,
        });
    }
}
