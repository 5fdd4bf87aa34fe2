//! The registry of table types: what `type:name` may begin with, since when, and how far it is served.
//!
//! The parser finds a type in these rows, `komainu conf -m` lists those served, docs/reference/types.md is made
//! from them. DATABASE_README and the manuals of each type.

use crate::Kind;
use config::registry::{Entry, State};

const FILE: &str = "/PATH";
const INLINE: &str = "in main.cf";
const ANYWHERE: &str = "anywhere";
const LIBRARY: &str = "a file of settings, or main.cf with PREFIX_ before them";

/// Every type that Postfix knows by name, sorted; without a kind it is a prefix.
#[rustfmt::skip]
const ROWS: &[(Entry, Option<Kind>)] = &[
    (Entry::new("btree", FILE, "Lines of key and value, as a sorted Berkeley DB file; served from its text.").takes("/PATH"), Some(Kind::Btree)),
    (Entry::new("cdb", FILE, "Lines of key and value, as a constant database that is built anew as a whole.").takes("/PATH").since("2.2"), Some(Kind::Cdb)),
    (Entry::new("cidr", FILE, "Networks in CIDR form; the first that holds an address counts.").takes("/PATH or {{…}, …}").since("2.2"), Some(Kind::Cidr)),
    (Entry::new("dbm", FILE, "Lines of key and value, as an old DBM file; served from its text.").takes("/PATH"), Some(Kind::Dbm)),
    (Entry::new("debug", ANYWHERE, "Logs what the table behind it is asked.").takes("TYPE:NAME").since("3.11").no_effect("lookups are told by komainu explain"), None),
    (Entry::new("environ", ANYWHERE, "Variables of the process's environment.").takes("NAME"), Some(Kind::Environ)),
    (Entry::new("fail", ANYWHERE, "Fails every lookup, for tests.").takes("NAME").since("2.9"), Some(Kind::Fail)),
    (Entry::new("hash", FILE, "Lines of key and value, as a Berkeley DB file; served from its text.").takes("/PATH"), Some(Kind::Hash)),
    (Entry::new("inline", INLINE, "Keys and values that stand in main.cf itself.").takes("{KEY=VALUE, { KEY = VALUE }, …}").since("3.0"), Some(Kind::Inline)),
    (Entry::new("internal", ANYWHERE, "A table in memory that begins empty; of use to programs only.").takes("NAME").since("2.2"), Some(Kind::Internal)),
    (Entry::new("ldap", LIBRARY, "Asks an LDAP server.").takes("/PATH or PREFIX").not_yet(), Some(Kind::Foreign)),
    (Entry::new("lmdb", FILE, "Lines of key and value, as a memory-mapped database that can be changed while it is read.").takes("/PATH").since("2.11"), Some(Kind::Lmdb)),
    (Entry::new("memcache", LIBRARY, "Asks a memcache server, with another table behind it.").takes("/PATH").since("2.9").not_yet(), Some(Kind::Foreign)),
    (Entry::new("mongodb", LIBRARY, "Asks a MongoDB server.").takes("/PATH").since("3.9").not_yet(), Some(Kind::Foreign)),
    (Entry::new("mysql", LIBRARY, "Asks a MySQL or MariaDB server.").takes("/PATH or PREFIX").not_yet(), Some(Kind::Foreign)),
    (Entry::new("netinfo", ANYWHERE, "Asked the NetInfo service of NeXT systems.").takes("NAME").not_yet(), Some(Kind::Foreign)),
    (Entry::new("nis", ANYWHERE, "Asks the Network Information Service; historical.").takes("NAME").not_yet(), Some(Kind::Foreign)),
    (Entry::new("nisplus", ANYWHERE, "Asks NIS+ tables of Solaris; historical.").takes("[NAME=%s];TABLE").not_yet(), Some(Kind::Foreign)),
    (Entry::new("pcre", FILE, "Perl-compatible patterns; the first that matches counts, with $1 in its result.").takes("/PATH or {{…}, …}"), Some(Kind::Pcre)),
    (Entry::new("pgsql", LIBRARY, "Asks a PostgreSQL server.").takes("/PATH or PREFIX").since("2.1").not_yet(), Some(Kind::Foreign)),
    (Entry::new("pipemap", ANYWHERE, "Asks several tables one after the other, each with the answer of the one before.").takes("{TYPE:NAME, …}").since("3.0"), Some(Kind::Pipemap)),
    (Entry::new("proxy", ANYWHERE, "Asks the table behind it through the proxymap service.").takes("TYPE:NAME").since("2.0").no_effect("a plain prefix: tables are opened by the helper"), None),
    (Entry::new("randmap", INLINE, "Gives one of its values by chance, whatever the key.").takes("{VALUE, …}").since("3.0"), Some(Kind::Randmap)),
    (Entry::new("regexp", FILE, "POSIX patterns; the first that matches counts, with $1 in its result.").takes("/PATH or {{…}, …}"), Some(Kind::Regexp)),
    (Entry::new("sdbm", FILE, "Lines of key and value, as an SDBM file; served from its text.").takes("/PATH").since("2.2"), Some(Kind::Sdbm)),
    (Entry::new("socketmap", ANYWHERE, "Asks a server by Sendmail's socketmap protocol.").takes("inet:HOST:PORT:NAME or unix:PATH:NAME").since("2.10"), Some(Kind::Socketmap)),
    (Entry::new("sqlite", LIBRARY, "Asks an SQLite file.").takes("/PATH or PREFIX").since("2.8").not_yet(), Some(Kind::Foreign)),
    (Entry::new("static", INLINE, "Gives the same value for every key.").takes("VALUE or { VALUE }"), Some(Kind::Static)),
    (Entry::new("tcp", ANYWHERE, "Asks a server by Postfix's own line protocol.").takes("HOST:PORT"), Some(Kind::Tcp)),
    (Entry::new("texthash", FILE, "Lines of key and value, read into memory; no file is built.").takes("/PATH").since("2.8"), Some(Kind::Texthash)),
    (Entry::new("unionmap", ANYWHERE, "Asks several tables and puts all their values together with commas.").takes("{TYPE:NAME, …}").since("3.0"), Some(Kind::Unionmap)),
    (Entry::new("unix", ANYWHERE, "The system's accounts or groups.").takes("passwd.byname or group.byname"), Some(Kind::Unix)),
];

/// Every type of table that Postfix knows by name, sorted.
pub fn types() -> impl Iterator<Item = &'static Entry> {
    ROWS.iter().map(|(entry, _)| entry)
}

/// The types of tables that are served, sorted: what `postconf -m` lists.
pub fn served_types() -> impl Iterator<Item = &'static str> {
    // `debug:` comes before another type, and postconf doesn't list it.
    types().filter(|entry| entry.state != State::NotYet && entry.name != "debug").map(|entry| entry.name)
}

/// The kind of table that a type's name stands for.
pub(crate) fn find(name: &str) -> Option<Kind> {
    ROWS.iter().find(|(entry, _)| entry.name == name)?.1
}

/// `word` without the prefixes that change nothing here.
pub(crate) fn bare(word: &str) -> &str {
    let mut bare = word;
    while let Some((name, rest)) = bare.split_once(':')
        && ROWS.iter().any(|(entry, kind)| entry.name == name && kind.is_none())
    {
        bare = rest;
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::registry::sentence_fault;

    #[test]
    fn sorted_told_and_served() {
        assert!(ROWS.is_sorted_by(|(a, _), (b, _)| a.name < b.name));
        let mut said = std::collections::HashSet::new();
        for (entry, kind) in ROWS {
            assert_eq!(sentence_fault(entry.sentence), None, "{}", entry.name);
            assert!(said.insert(entry.sentence), "{}", entry.name);
            assert_eq!(entry.state == State::NotYet, *kind == Some(Kind::Foreign), "{}", entry.name);
        }
    }

    #[test]
    fn prefixes_go() {
        let check = |word: &str, expect: &str| assert_eq!(bare(word), expect);
        check("proxy:debug:proxy:hash:/a", "hash:/a");
        check("hash:proxy:/a", "hash:proxy:/a");
        check("proxy", "proxy");
    }
}
