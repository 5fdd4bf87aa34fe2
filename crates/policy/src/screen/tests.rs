//! The lists together: standing, rank, the name to give.

use super::*;
use crate::facts::{Answer, Record};
use config::{Compat, Host, MainCf};
use std::sync::Arc;
use tables::{Snapshot, SourceError};

struct NoFiles;

impl Sources for NoFiles {
    fn read(&self, path: &std::path::Path) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Missing(path.to_owned()))
    }
}

fn compiled(lines: &[(&str, &str)]) -> (Screening, Facts, Vec<Diagnostic>) {
    let mut main = MainCf::empty();
    for (name, value) in lines {
        main.set(*name, *value);
    }
    let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
    let (p, _) = Parameters::new(&main, &host, Compat::V3_7);
    let mut catalogue = Catalogue::new();
    let (screening, said) = Screening::compile(&p, &mut catalogue, &NoFiles);
    let (snapshot, _) = Snapshot::compile(&catalogue, &NoFiles);
    (screening, Facts::new(Arc::new(snapshot)), said)
}

const ACCESS: &str = "postscreen_access_list";

#[test]
fn the_first_that_knows_the_client_decides() {
    let check = |list: &str, expect: Standing, warns: bool| {
        let (screening, facts, _) = compiled(&[("mynetworks", "192.0.2.0/28"), (ACCESS, list)]);
        let access = screening.access("192.0.2.20".parse().unwrap(), &facts);
        assert_eq!((access.standing, access.warning.is_some()), (expect, warns), "{list}");
    };
    check("permit_mynetworks", Standing::Unknown, false);
    check("permit_mynetworks, static:reject", Standing::Denied, false);
    check("inline:{{192.0.2.20 = DUNNO}}, static:permit", Standing::Allowed, false);
    check("inline:{{192.0.2.20 = permit_mynetworks reject}}", Standing::Denied, false);
    check("inline:{{192.0.2 = reject}}", Standing::Unknown, false);
    check("maybe, static:reject", Standing::Unknown, true);
    check("inline:{{192.0.2.20 = static:reject}}, static:reject", Standing::Unknown, true);
    check("fail:x, static:reject", Standing::Unknown, true);
}

#[test]
fn words_that_mean_nothing_are_said() {
    let (_, _, said) = compiled(&[(ACCESS, "permit_mynetwork")]);
    assert_eq!(said.iter().map(|d| d.code.0).collect::<Vec<_>>(), [430]);
    let (_, _, said) = compiled(&[("postscreen_dnsbl_sites", "bl.example*")]);
    assert_eq!(said.iter().map(|d| d.code.0).collect::<Vec<_>>(), [431]);
}

#[test]
fn answers_add_up() {
    let sites = "a.example*1 b.example=127.0.0.[3..4]*2 b.example=127.0.0.9*3 w.example*-1";
    let (screening, facts, _) = compiled(&[
        ("postscreen_dnsbl_sites", sites),
        ("postscreen_dnsbl_reply_map", "inline:{{b.example = public.example}}"),
    ]);
    let questions: Vec<_> = screening.questions("192.0.2.2".parse().unwrap()).map(|(zone, _)| zone).collect();
    assert_eq!(questions, ["a.example", "b.example", "w.example"]);
    let listed =
        |last: &[u8]| Answer::Records(last.iter().map(|&last| Record::A([127, 0, 0, last].into())).collect());
    let mut tally = screening.tally();
    screening.count(&mut tally, 0, &Answer::NoName);
    assert_eq!(screening.public_name(&tally, &facts), "");
    screening.count(&mut tally, 1, &listed(&[4, 9]));
    screening.count(&mut tally, 2, &listed(&[2]));
    assert_eq!((tally.rank, tally.answered), (4, 3));
    assert_eq!(screening.public_name(&tally, &facts), "public.example");
}

/// T1.4: a list that refuses to answer lists nobody.
#[test]
fn an_error_is_no_listing() {
    let refused = Answer::Records(vec![Record::A([127, 255, 255, 254].into())]);
    for (health, rank) in [("yes", 0), ("no", 1)] {
        let lines = [("postscreen_dnsbl_sites", "bl.example"), ("komainu_dnsbl_health", health)];
        let (screening, _, _) = compiled(&lines);
        let mut tally = screening.tally();
        screening.count(&mut tally, 0, &refused);
        assert_eq!(tally.rank, rank, "{health}");
    }
}

#[test]
fn an_address_may_veto() {
    let (screening, facts, _) =
        compiled(&[("postscreen_allowlist_interfaces", "!198.51.100.25, static:all")]);
    assert!(screening.vetoes("198.51.100.25".parse().unwrap(), &facts));
    assert!(!screening.vetoes("198.51.100.26".parse().unwrap(), &facts));
}
