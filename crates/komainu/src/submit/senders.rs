//! `local_login_sender_maps`: which envelope senders a user of this machine may give.
//!
//! `sendmail` looks for a plain word at once, the server looks again at what is handed in. A table that can't say lets
//! nobody through. postconf(5).

use config::Parameters;
use tables::{Catalogue, Snapshot, TableId};

/// What main.cf says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Senders {
    maps: Vec<TableId>,
    delimiters: String,
    /// `empty_address_local_login_sender_maps_lookup_key`
    nobody: String,
}

impl Senders {
    /// Reads the parameters; tables are added to `catalogue`.
    pub(crate) fn compile(p: &Parameters, catalogue: &mut Catalogue) -> Senders {
        // What is wrong with tables is said where all parameters are reviewed.
        let words = p.list("local_login_sender_maps");
        Senders {
            maps: words.iter().map(|word| catalogue.seat(word)).collect(),
            delimiters: p.text("recipient_delimiter").value,
            nobody: p.text("empty_address_local_login_sender_maps_lookup_key").value,
        }
    }

    /// Whether the user (`login`, where there is one) may send as `sender`, in Postfix's words why not.
    pub(crate) fn judge(
        &self,
        (login, uid): (Option<&str>, u32),
        sender: &str,
        tables: &Snapshot,
    ) -> Result<(), String> {
        let key = login.map_or_else(|| format!("uid:{uid}"), str::to_owned);
        for map in &self.maps {
            match tables.table(*map).lookup(&key) {
                Ok(Some(hit)) if self.permits(&hit.value, sender) => return Ok(()),
                // The first table that knows the user decides.
                Ok(Some(_)) | Err(_) => break,
                Ok(None) => {}
            }
        }
        Err(format!("{sender}({uid}): not authorized to use sender='{sender}'"))
    }

    fn permits(&self, patterns: &str, sender: &str) -> bool {
        let sender = if sender.is_empty() { self.nobody.clone() } else { self.plain(sender) };
        let domain = sender.rsplit_once('@').map(|(_, domain)| domain);
        patterns.split([',', ' ', '\t', '\r', '\n']).filter(|pattern| !pattern.is_empty()).any(|pattern| {
            match pattern.strip_prefix('@') {
                Some(wanted) => domain.is_some_and(|domain| domain.eq_ignore_ascii_case(wanted)),
                None => pattern == "*" || pattern.eq_ignore_ascii_case(&sender),
            }
        })
    }

    /// An address without its extension.
    fn plain(&self, address: &str) -> String {
        let (local, domain) = match address.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (address, None),
        };
        let extends = |(at, c): &(usize, char)| *at > 0 && self.delimiters.contains(*c);
        let end = local.char_indices().find(extends).map_or(local.len(), |(at, _)| at);
        let user = local.get(..end).unwrap_or(local);
        domain.map_or_else(|| user.to_owned(), |domain| format!("{user}@{domain}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |delimiters: &str, patterns: &str, sender: &str, expect: bool| {
            let senders =
                Senders { maps: Vec::new(), delimiters: delimiters.to_owned(), nobody: "<>".to_owned() };
            assert_eq!(senders.permits(patterns, sender), expect, "{patterns} {sender}");
        };
        check("", "alice@example.com, @foo.test al+x *@y", "ALICE@Example.com", true);
        check("", "alice@example.com, @foo.test al+x *@y", "u@FOO.test", true);
        check("", "alice@example.com, @foo.test al+x *@y", "al+x", true);
        check("+", "alice@example.com, @foo.test al+x *@y", "al+x", false);
        check("", "alice@example.com, @foo.test al+x *@y", "q@y", false);
        check("", "alice@example.com", "alice", false);
        check("+-", "alice@example.com", "alice-x@example.com", true);
        check("", "alice@example.com", "alice+x@example.com", false);
        check("+", "+x", "+x", true);
        check("", "bob <>", "", true);
        check("", "bob", "", false);
        check("", "*", "", true);
    }
}
