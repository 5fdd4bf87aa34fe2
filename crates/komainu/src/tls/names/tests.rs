//! Names and what is shown for them.

use super::*;
use config::Place;
use std::cell::RefCell;

struct Files(RefCell<HashMap<String, Vec<u8>>>);

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let files = self.0.borrow();
        let found = path.to_str().and_then(|path| files.get(path).cloned());
        found.ok_or_else(|| SourceError::Missing(path.to_owned()))
    }
}

fn certificate(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/certificates");
    std::fs::read(folder.join(name)).unwrap()
}

fn files() -> Files {
    let mut all: HashMap<String, Vec<u8>> = ["rsa", "ec", "unfit"]
        .map(|name| (format!("/{name}.pem"), certificate(&format!("{name}.pem"))))
        .into();
    let lines = format!(
        "a.example /ec.pem\n.b.example /rsa.pem\nboth.example /rsa.pem,\n  /ec.pem\nbad.example /unfit.pem\n\
         gone.example /gone.pem\ncoded.example {}\nodd.example !!\n",
        base64::encode(&certificate("ec.pem"))
    );
    all.insert("/sni".to_owned(), lines.into_bytes());
    Files(RefCell::new(all))
}

fn word(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), Place::nowhere())
}

/// How many certificates there are for a name; `None` where it ends the handshake.
fn count(names: &Names, name: &str) -> Option<usize> {
    match names.find(name) {
        Shown::Chain(chain) => Some(chain.len()),
        Shown::NotMatched => Some(0),
        Shown::Broken(_) => None,
    }
}

#[test]
fn by_name_and_parents() {
    let (names, found) = Names::read(&[word("texthash:/sni")], &files());
    for (name, expect) in [
        ("a.example", Some(1)),
        ("A.Example", Some(1)),
        ("x.a.example", Some(0)),
        ("b.example", Some(0)),
        ("x.b.example", Some(1)),
        ("x.y.b.example", Some(1)),
        ("both.example", Some(2)),
        ("bad.example", None),
        ("gone.example", Some(0)),
        ("coded.example", Some(1)),
        ("odd.example", None),
        ("example", Some(0)),
        ("", Some(0)),
        ("....", Some(0)),
    ] {
        assert_eq!(count(&names, name), expect, "{name}");
    }
    let said: Vec<_> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("no certificate for \"bad.example\": a private key isn't"), "{said:?}");
    assert_eq!(said[1], "no certificate for \"gone.example\": open /gone.pem: No such file or directory");
    assert_eq!(said[2], "no certificate for \"odd.example\": malformed BASE64 value: !!");
    let Shown::Chain(both) = names.find("both.example") else { panic!("both") };
    assert_ne!(both[0].key.algorithm(), rustls::SignatureAlgorithm::RSA, "elliptic curves first");
}

#[test]
fn the_text_goes_before_the_database() {
    let files = files();
    let (names, _) = Names::read(&[word("hash:/sni")], &files);
    assert_eq!(count(&names, "a.example"), Some(1));
    let (names, found) = Names::read(&[word("hash:/missing")], &files);
    assert_eq!((count(&names, "a.example"), found.len()), (None, 1));
    let (names, _) = Names::read(&[word("inline:{a.example=/ec.pem}"), word("static:/rsa.pem")], &files);
    assert_eq!((count(&names, "a.example"), count(&names, "any")), (Some(1), Some(1)));
    let (names, found) = Names::read(&[word("tcp:127.0.0.1:1")], &files);
    assert_eq!((count(&names, "a.example"), found.len()), (None, 1));
}

/// What is broken at a reload keeps what was good, also over a second reload, and is taken when it is mended.
#[test]
fn a_broken_renewal_keeps_what_was_good() {
    let files = files();
    let read = || Names::read(&[word("texthash:/sni")], &files).0;
    let first = read();
    let good = files.0.borrow_mut().insert("/ec.pem".to_owned(), b"half".to_vec()).unwrap();
    let second = read();
    assert_eq!(count(&second, "a.example"), None);
    assert!(second.keep(&first));
    assert_eq!((count(&second, "a.example"), count(&second, "bad.example")), (Some(1), None));
    files.0.borrow_mut().remove("/ec.pem");
    let third = read();
    third.keep(&second);
    assert_eq!(count(&third, "a.example"), Some(1));
    files.0.borrow_mut().insert("/ec.pem".to_owned(), good);
    let fourth = read();
    assert!(!fourth.keep(&third) || count(&fourth, "bad.example").is_none());
    assert!(matches!(fourth.chains.get("/ec.pem"), Some(Ok(_))));
}
