//! Match lists as postconf(5) describes them.

use super::{AddressList, DomainList, StringList};
use crate::catalogue::Catalogue;
use crate::snapshot::Snapshot;
use crate::sources::{SourceError, Sources};
use config::{Place, Spanned};
use std::path::Path;

struct Files;

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        match path.to_str() {
            Some("/list") => Ok(b"# comment\none.example, two.example\n!three.example\n/more\n".to_vec()),
            Some("/more") => Ok(b"four.example\n".to_vec()),
            Some("/loop") => Ok(b"/loop\n".to_vec()),
            Some("/nets") => Ok(b"192.0.2.0/24 x\n2001:db8::/32 y\n".to_vec()),
            _ => Err(SourceError::Missing(path.to_owned())),
        }
    }
}

fn words(text: &str) -> Vec<Spanned<String>> {
    text.split(' ').filter(|w| !w.is_empty()).map(|w| Spanned::new(w.to_owned(), Place::nowhere())).collect()
}

#[test]
fn domains() {
    let check = |list: &str, parents: bool, domain: &str, expect: Option<bool>| {
        let mut catalogue = Catalogue::new();
        let (compiled, _) = DomainList::compile(&words(list), &mut catalogue, &Files, parents);
        let (snapshot, _) = Snapshot::compile(&catalogue, &Files);
        assert_eq!(compiled.contains(&snapshot, domain).ok(), expect, "{list} ({parents}) holds {domain}");
    };
    check("example.com", false, "EXAMPLE.com", Some(true));
    check("example.com", false, "www.example.com", Some(false));
    check("example.com", true, "www.example.com", Some(true));
    check("example.com", true, "notexample.com", Some(false));
    check(".example.com", false, "a.b.example.com", Some(true));
    check(".example.com", false, "example.com", Some(false));
    check(".example.com", true, "www.example.com", Some(false));
    check("!a.example.com .example.com", false, "a.example.com", Some(false));
    check("!a.example.com .example.com", false, "b.example.com", Some(true));
    check(".example.com !a.example.com", false, "a.example.com", Some(true));
    check("/list", false, "two.example", Some(true));
    check("/list", false, "four.example", Some(true));
    check("!/list x", false, "one.example", Some(false));
    check("!/list", false, "three.example", Some(true));
    check("/loop", false, "x", None);
    check("/missing", false, "x", None);
    check("inline:{.example.com=x}", false, "www.example.com", Some(true));
    check("inline:{example.com=x}", true, "www.example.com", Some(true));
    check("inline:{example.com=x}", false, "www.example.com", Some(false));
    check("fail:x", false, "x", None);
    check("a fail:x", false, "a", Some(true));
    check("", false, "", Some(false));
}

#[test]
fn addresses() {
    let check = |list: &str, address: &str, expect: Option<bool>| {
        let mut catalogue = Catalogue::new();
        let (compiled, _) = AddressList::compile(&words(list), &mut catalogue, &Files, true);
        let (snapshot, _) = Snapshot::compile(&catalogue, &Files);
        let address = address.parse().expect("an address");
        assert_eq!(compiled.contains_address(&snapshot, address).ok(), expect, "{list} holds {address}");
        assert_eq!(compiled.contains(&snapshot, "unknown", address).ok(), expect, "{list} holds {address}");
    };
    check("127.0.0.0/8 [::1]/128", "127.1.2.3", Some(true));
    check("127.0.0.0/8 [::1]/128", "::1", Some(true));
    check("127.0.0.0/8 [::1]/128", "::2", Some(false));
    check("!192.168.0.1 192.168.0.0/28", "192.168.0.1", Some(false));
    check("!192.168.0.1 192.168.0.0/28", "192.168.0.2", Some(true));
    check("[2001:db8::]/32", "2001:db8:1::1", Some(true));
    check("192.168.0.1/24", "192.168.0.1", None);
    check("10.0.0.0/33", "10.0.0.1", None);
    check("2001:db8::/32", "2001:db8::1", None);
    check("cidr:/nets", "192.0.2.9", Some(true));
    check("cidr:/nets", "2001:db8::9", Some(true));
    check("0.0.0.0/0", "::1", Some(false));
}

#[test]
fn a_bad_netmask_is_an_error() {
    let (_, found) = AddressList::compile(&words("192.168.0.1/24"), &mut Catalogue::new(), &Files, true);
    assert_eq!(
        found[0].message,
        "non-null host address bits in \"192.168.0.1/24\", perhaps you should use \"192.168.0.0/24\" instead"
    );
    let check = |word: &str, expect: &str| {
        let (_, found) = AddressList::compile(&words(word), &mut Catalogue::new(), &Files, true);
        let help = format!("write IPv6 addresses in brackets: {expect}");
        assert_eq!(found[0].help.as_deref(), Some(help.as_str()), "{word}");
    };
    check("2001:db8::/32", "[2001:db8::]/32");
    check("::1", "[::1]");
}

#[test]
fn hosts_and_texts() {
    let mut catalogue = Catalogue::new();
    let (hosts, _) = AddressList::compile(&words("example.com"), &mut catalogue, &Files, true);
    let (texts, _) = StringList::compile(&words("Abc !d static:all"), &mut catalogue, &Files, true);
    let (snapshot, _) = Snapshot::compile(&catalogue, &Files);
    let address = "192.0.2.1".parse().expect("an address");
    assert_eq!(hosts.contains(&snapshot, "mail.example.com", address), Ok(true));
    assert_eq!(hosts.contains(&snapshot, "mail.example.org", address), Ok(false));
    assert_eq!(texts.contains(&snapshot, "aBC"), Ok(true));
    assert_eq!(texts.contains(&snapshot, "d"), Ok(false));
    assert_eq!(texts.contains(&snapshot, "e"), Ok(true));
}
