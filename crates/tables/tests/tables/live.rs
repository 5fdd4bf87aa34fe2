//! Live edits: T1.7, T2.6, and what is held back.

use crate::common::Memory;
use config::{Place, Spanned};
use std::path::PathBuf;
use tables::{Catalogue, LookupError, Snapshot, TableId};

const PATH: &str = "/etc/postfix/client_access";

fn catalogue(words: &[&str]) -> (Catalogue, Vec<TableId>) {
    let mut catalogue = Catalogue::new();
    let ids = words
        .iter()
        .map(|word| catalogue.intern(&Spanned::new((*word).to_owned(), Place::nowhere())).expect("a table"))
        .collect();
    (catalogue, ids)
}

fn value(snapshot: &Snapshot, id: TableId, key: &str) -> Option<String> {
    snapshot.table(id).lookup(key).expect("an answer").map(|hit| hit.value.into_owned())
}

#[test]
fn t2_6_a_key_without_action_is_dropped_with_a_warning() {
    let text = "12.34.56.78 OK\n11.22.33 REJECT\n22.33 REJECT\ncracker.com\nspammer.spam.com REJECT You are blacklisted\n";
    let (catalogue, ids) = catalogue(&["hash:/etc/postfix/client_access"]);
    let (snapshot, found) = Snapshot::compile(&catalogue, &Memory::with(PATH, text));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "expected format: key whitespace value");
    assert_eq!(found[0].place.line(), 4);
    assert_eq!(value(&snapshot, ids[0], "Spammer.Spam.Com").as_deref(), Some("REJECT You are blacklisted"));
    assert_eq!(value(&snapshot, ids[0], "cracker.com"), None);
    let hit = snapshot.table(ids[0]).lookup("22.33").expect("an answer").expect("a hit");
    assert_eq!((hit.place.line(), hit.place.text()), (3, "22.33 REJECT"));
}

#[test]
fn t1_7_a_saved_edit_is_live_and_a_broken_one_keeps_the_last_good_table() {
    let sources = Memory::with(PATH, "192.168.0.100 REJECT\n192.168.10 REJECT\n");
    sources.save("/other", "a b\n");
    let words =
        ["hash:/etc/postfix/client_access", "texthash:/other", "unionmap:{hash:/etc/postfix/client_access}"];
    let (catalogue, ids) = catalogue(&words);
    let (first, found) = Snapshot::compile(&catalogue, &sources);
    assert_eq!(found, []);
    assert_eq!(
        catalogue.paths(),
        [PathBuf::from(PATH), PathBuf::from(format!("{PATH}.db")), PathBuf::from("/other")]
    );

    sources.save(PATH, "192.168.0.100 REJECT\n192.168.10 REJECT\n192.168.0.200 REJECT\n");
    sources.save("/other", "a c\n");
    let changed = [PathBuf::from(PATH)];
    let (second, found) = first.recompile(&catalogue, &changed, &sources);
    assert_eq!(found, []);
    assert_eq!(value(&second, ids[0], "192.168.0.200").as_deref(), Some("REJECT"));
    assert_eq!(value(&second, ids[2], "192.168.0.200").as_deref(), Some("REJECT"), "a union sees it too");
    assert_eq!(value(&second, ids[1], "a").as_deref(), Some("b"), "not said to have changed");

    sources.save(PATH, "192.168.0.100REJECT\n192.168.10 REJECT\n192.168.0.200 REJECT\n");
    let (third, found) = second.recompile(&catalogue, &changed, &sources);
    assert_eq!(found.iter().map(|d| d.code.0).collect::<Vec<_>>(), [305, 309]);
    assert_eq!(value(&third, ids[0], "192.168.0.100").as_deref(), Some("REJECT"));

    sources.remove(PATH);
    let (fourth, found) = third.recompile(&catalogue, &changed, &sources);
    assert_eq!(found[0].code.0, 309);
    assert_eq!(value(&fourth, ids[0], "192.168.0.100").as_deref(), Some("REJECT"));
    let (fifth, found) = Snapshot::compile_after(&fourth, &catalogue, &sources);
    assert_eq!(found[0].code.0, 309);
    assert_eq!(value(&fifth, ids[0], "192.168.0.100").as_deref(), Some("REJECT"));
}

#[test]
fn an_empty_or_much_shorter_table_is_held_back_until_a_reload() {
    let line = |n: usize| format!("192.0.2.{n} REJECT\n");
    let sources = Memory::with(PATH, (0..20).map(line).collect::<String>());
    let (catalogue, ids) = catalogue(&["cidr:/etc/postfix/client_access"]);
    let (first, _) = Snapshot::compile(&catalogue, &sources);
    for (lines, held) in [(0, true), (9, true), (10, false)] {
        sources.save(PATH, (0..lines).map(line).collect::<String>());
        let (second, found) = first.recompile(&catalogue, &[PathBuf::from(PATH)], &sources);
        assert_eq!(found.iter().any(|d| d.code.0 == 308), held, "{lines} lines");
        assert_eq!(value(&second, ids[0], "192.0.2.15").is_some(), held, "{lines} lines");
        let (reloaded, _) = Snapshot::compile_after(&second, &catalogue, &sources);
        assert_eq!(value(&reloaded, ids[0], "192.0.2.15"), None);
    }
}

#[test]
fn what_cannot_be_served_fails_and_never_says_no() {
    let (catalogue, ids) =
        catalogue(&["hash:/missing", "ldap:/etc/x.cf", "fail:x", "pipemap:{fail:x,static:a}"]);
    let (snapshot, found) = Snapshot::compile(&catalogue, &Memory::default());
    assert_eq!(found.iter().map(|d| d.code.0).collect::<Vec<_>>(), [304, 303]);
    assert_eq!(
        found[0].message,
        "hash:/missing is unavailable. open database /missing: No such file or directory"
    );
    assert!(matches!(snapshot.table(ids[1]).lookup("x"), Err(LookupError::NeedsDriver { .. })));
    for id in [ids[0], ids[2], ids[3], TableId(99)] {
        assert!(snapshot.table(id).lookup("x").is_err(), "{id:?}");
    }
}

#[test]
fn aliases_are_read_as_aliases_wherever_they_are_named() {
    let sources = Memory::with("/etc/aliases", "root: me\nTwo: a, b,\n  c\nnone:\n");
    let mut catalogue = Catalogue::new();
    let word = Spanned::new("hash:/etc/aliases".to_owned(), Place::nowhere());
    let id = catalogue.intern_aliases(&word).expect("a table");
    assert_eq!(catalogue.intern(&word), Ok(id));
    let (snapshot, found) = Snapshot::compile(&catalogue, &sources);
    assert_eq!(found[0].message, "need name:value pair");
    assert_eq!(value(&snapshot, id, "TWO").as_deref(), Some("a, b,  c"));
}

#[test]
fn a_word_that_names_no_table_stands_for_one_that_fails() {
    let check = |word: &str, code: u16, reason: &str| {
        let mut catalogue = Catalogue::new();
        let word = Spanned::new(word.to_owned(), Place::nowhere());
        let ids = [
            catalogue.seat(&word),
            catalogue.seat_guarded(&word),
            catalogue.seat_aliases(&word),
            catalogue.seat(&word),
        ];
        assert_eq!(ids, [ids[0]; 4], "one table however often it is named");
        let (snapshot, found) = Snapshot::compile(&catalogue, &Memory::default());
        let said: Vec<_> = found.iter().map(|one| (one.code.0, one.message.as_str())).collect();
        assert_eq!(said, [(code, reason)]);
        let answer = snapshot.table(ids[0]).lookup("x");
        let table = word.value.clone();
        assert_eq!(answer, Err(LookupError::Unavailable { table, reason: reason.to_owned() }));
        let (reloaded, again) = Snapshot::compile_after(&snapshot, &catalogue, &Memory::default());
        assert_eq!(again, found, "a reload says so too");
        assert!(reloaded.table(ids[0]).lookup("x").is_err());
    };
    check("hsah:/etc/x", 301, "unsupported dictionary type: hsah");
    check(
        "inline:{a=b c}",
        302,
        "missing '=' after attribute name: \"inline:{a=b c}\"; need \"inline:{name=value...}\"",
    );
    check("unionmap:{hsah:/etc/x}", 301, "unsupported dictionary type: hsah");
    let mut catalogue = Catalogue::new();
    let word = Spanned::new("inline:{a=b}".to_owned(), Place::nowhere());
    assert_eq!(catalogue.intern(&word), Ok(catalogue.clone().seat(&word)), "others are the tables they are");
}
