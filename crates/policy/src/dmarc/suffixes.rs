//! A list of public suffixes (<https://publicsuffix.org/list/>): what is registered below what, as RFC 7489 §3.2 asks.

use std::collections::HashSet;

/// The most rules of a list that are kept.
const RULES_MAX: usize = 100_000;

/// The rules, in A-labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicSuffixes {
    plain: HashSet<String>,
    /// What stands behind `*.`
    any: HashSet<String>,
    /// What stands behind `!`
    except: HashSet<String>,
}

impl PublicSuffixes {
    /// Reads a list. Lines that are no rules are passed over.
    #[must_use]
    pub fn parse(text: &str) -> PublicSuffixes {
        let mut list = PublicSuffixes::default();
        let rules = text.lines().map(|line| line.split_whitespace().next().unwrap_or_default());
        for rule in rules.filter(|rule| !rule.is_empty() && !rule.starts_with("//")).take(RULES_MAX) {
            let (rules, name) = if let Some(name) = rule.strip_prefix("*.") {
                (&mut list.any, name)
            } else if let Some(name) = rule.strip_prefix('!') {
                (&mut list.except, name)
            } else {
                (&mut list.plain, rule)
            };
            rules.extend(mail::host::ascii_name(name.trim_matches('.')));
        }
        list
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plain.len() + self.any.len() + self.except.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The organisational domain of `domain`, which is in A-labels and lower case: one label below the longest suffix
    /// that others may register below; itself where it is such a suffix.
    #[must_use]
    pub fn organization<'d>(&self, domain: &'d str) -> &'d str {
        // From the longest name to the shortest; the name before a suffix is what is registered.
        let (mut registered, mut name) = (domain, domain);
        loop {
            if self.except.contains(name) {
                return name;
            }
            let Some((_, parent)) = name.split_once('.') else { return registered };
            if self.plain.contains(name) || self.any.contains(parent) {
                return registered;
            }
            (registered, name) = (name, parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organizations() {
        let list = PublicSuffixes::parse(
            "// a list\ncom\nuk\nco.uk  remark\n\n*.ck\n!www.ck\n公司.cn\ncn\ngithub.io\nio\n",
        );
        assert_eq!(list.len(), 9);
        for (domain, expect) in [
            ("example.com", "example.com"),
            ("a.b.example.com", "example.com"),
            ("com", "com"),
            ("a.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("x.co.uk", "x.co.uk"),
            ("a.b.c.ck", "b.c.ck"),
            ("b.c.ck", "b.c.ck"),
            ("c.ck", "c.ck"),
            ("a.www.ck", "www.ck"),
            ("www.ck", "www.ck"),
            ("a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"),
            ("a.b.github.io", "b.github.io"),
            ("a.example.unknown", "example.unknown"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(list.organization(domain), expect, "{domain}");
        }
        assert_eq!(PublicSuffixes::default().organization("a.b.example.com"), "example.com");
    }
}
