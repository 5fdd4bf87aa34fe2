//! DMARC records: one, readable, for the domain or one above it (RFC 7489 §6.3, §6.6.3).
//!
//! Diagnostics: K0616 no record, K0617 a record that isn't read as it was meant.

use super::domains::{Domain, is_addressed};
use super::known::Known;
use config::Diagnostic;

pub(super) fn judge(domain: &Domain, known: &Known) -> Option<Diagnostic> {
    let is_addressed = is_addressed(domain, known);
    // The domain itself and what is above it are asked together.
    let names = above(&domain.name);
    let texts: Vec<_> = names.iter().map(|name| (name, known.texts(&format!("_dmarc.{name}")))).collect();
    for (name, texts) in texts {
        let texts = texts??;
        let records: Vec<&str> = texts.into_iter().filter(|text| is_record(text)).collect();
        let faulty = |what: String| {
            let message = format!("the DMARC record of {name} {what}");
            let help = "receivers pass it over, as if there were none, or read another thing than was meant";
            Some(Diagnostic::warning(617, domain.place.clone(), message).help(help))
        };
        match records.as_slice() {
            [] => continue,
            [record] => return fault(record).and_then(faulty),
            _ => return faulty(format!("stands there {} times", records.len())),
        }
    }
    if !is_addressed? {
        return None;
    }
    let message = format!("{} has no DMARC record", domain.name);
    let help = format!(
        "large providers want one: _dmarc.{} TXT \"v=DMARC1; p=none; rua=mailto:postmaster@{}\"",
        domain.name, domain.name
    );
    Some(Diagnostic::hint(616, domain.place.clone(), message).help(help))
}

/// `a.b.example.com`, `b.example.com`, `example.com`.
fn above(name: &str) -> Vec<&str> {
    let mut names = vec![name];
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        if !parent.contains('.') || names.len() == 5 {
            break;
        }
        names.push(parent);
        rest = parent;
    }
    names
}

fn is_record(text: &str) -> bool {
    let (tag, rest) = text.split_once('=').unwrap_or((text, ""));
    tag.trim().eq_ignore_ascii_case("v") && rest.trim_start().to_ascii_uppercase().starts_with("DMARC1")
}

/// What is wrong with a record's tags.
fn fault(record: &str) -> Option<String> {
    let mut policy = None;
    for (position, part) in record.split(';').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
        let Some((tag, value)) = part.split_once('=') else {
            return Some(format!("has a part without =: {part}"));
        };
        let (tag, value) = (tag.trim().to_ascii_lowercase(), value.trim());
        if position == 0 && (tag != "v" || value != "DMARC1") {
            return Some(format!("must begin with v=DMARC1, and begins with {part}"));
        }
        let fits = match tag.as_str() {
            "p" | "sp" | "np" => {
                if tag == "p" {
                    policy = Some(value);
                }
                matches!(value.to_ascii_lowercase().as_str(), "none" | "quarantine" | "reject")
            }
            "rua" | "ruf" => value.split(',').all(|uri| {
                let uri = uri.trim().to_ascii_lowercase();
                uri.strip_prefix("mailto:").is_some_and(|address| address.contains('@'))
                    || uri.starts_with("https:")
            }),
            "adkim" | "aspf" => matches!(value, "r" | "s"),
            "pct" => value.parse::<u8>().is_ok_and(|percent| percent <= 100),
            "ri" => value.parse::<u32>().is_ok(),
            _ => true,
        };
        if !fits {
            return Some(format!("has {tag}={value}, which isn't one of its values"));
        }
    }
    policy.is_none().then(|| "has no p=".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let check = |record: &str, expect: Option<&str>| {
            assert!(is_record(record), "{record}");
            assert_eq!(fault(record).as_deref(), expect, "{record}");
        };
        check("v=DMARC1; p=reject; rua=mailto:a@example.com, mailto:b@example.com!10m", None);
        check("v=DMARC1;p=none;pct=50;adkim=s;fo=1;", None);
        check("v=DMARC1", Some("has no p="));
        check("v=DMARC1; p=rejct", Some("has p=rejct, which isn't one of its values"));
        check(
            "v=DMARC1; p=none; rua=a@example.com",
            Some("has rua=a@example.com, which isn't one of its values"),
        );
        check("v=DMARC1; p=none; sp", Some("has a part without =: sp"));
        check("v=dmarc1; p=none", Some("must begin with v=DMARC1, and begins with v=dmarc1"));
        assert!(!is_record("v=spf1 -all"));
        assert!(!is_record("google-site-verification=x"));
    }

    #[test]
    fn names_above() {
        assert_eq!(above("a.b.example.com"), ["a.b.example.com", "b.example.com", "example.com"]);
        assert_eq!(above("example.com"), ["example.com"]);
    }
}
