//! Whose mail is signed with what, as Debian's OpenDKIM 2.11 does it.

use super::signing::requests;
use super::*;
use config::SourceFile;
use mail::Wall;
use mail::dkim::{Checked, DkimResult};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{SourceError, Sources};

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

struct Files(HashMap<PathBuf, (String, u32)>);

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let found = self.0.get(path).map(|(text, _)| text.clone().into_bytes());
        found.ok_or_else(|| SourceError::Missing(path.to_owned()))
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.0.get(path).map(|(_, mode)| *mode)
    }
}

fn read(text: &str, files: &[(&str, &str)]) -> (Conf, Vec<String>) {
    let mut all: HashMap<PathBuf, (String, u32)> =
        files.iter().map(|(path, text)| (PathBuf::from(path), ((*text).to_owned(), 0o600))).collect();
    all.insert("/key".into(), (KEY.to_owned(), 0o600));
    all.insert("/open".into(), (KEY.to_owned(), 0o644));
    let file = Arc::new(SourceFile { path: PATH.into(), text: text.to_owned() });
    let (conf, found) = Conf::read(&file, &Files(all));
    (conf, found.iter().map(ToString::to_string).collect())
}

fn signed(conf: &Conf, address: &str) -> Vec<String> {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    match requests(conf, address, domain) {
        Ok(requests) => requests
            .iter()
            .map(|one| {
                let identity = one.identity.as_ref().map(|i| format!(" i={i}")).unwrap_or_default();
                format!("{} {}{identity}", one.selector, one.domain)
            })
            .collect(),
        Err(why) => vec![format!("{why:?}")],
    }
}

const KEYS: &str = "k1 example.com:mail:/key # a comment\nk2 %:two:/key\nk3 other.example:three:/none\n";

#[test]
fn patterns() {
    let table = "*@example.com k1\n*@*.example.com k2:@%\njoe@* k2:joe@example.com\n*@bad.example nokey\nx@gone.example k3\n";
    let text = "KeyTable /keys\nSigningTable refile:/signing\n";
    let (conf, found) = read(text, &[("/keys", KEYS), ("/signing", table)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(signed(&conf, "joe@example.com"), ["mail example.com"]);
    assert_eq!(signed(&conf, "Joe@EXAMPLE.com"), ["mail example.com"]);
    assert_eq!(signed(&conf, "a@b.example.com"), ["two b.example.com i=@b.example.com"]);
    // An identity of another domain is left out.
    assert_eq!(signed(&conf, "joe@elsewhere.example"), ["two elsewhere.example"]);
    assert!(signed(&conf, "a@bad.example").concat().contains("NoKey"), "no line of the key table");
    assert!(signed(&conf, "x@gone.example").concat().contains("NoKey"), "no file");
    assert!(signed(&conf, "a@none.example").concat().contains("no signing table match for 'a@none.example'"));
}

#[test]
fn plain_tables() {
    let table = "example.com k1\njoe@example.com k2:joe@x.example\n.example.com k1\njim@* k1\n";
    let files = [("/keys", KEYS), ("/signing", table)];
    let (conf, _) = read("KeyTable file:/keys\nSigningTable file:/signing\n", &files);
    assert_eq!(signed(&conf, "joe@example.com"), ["two example.com"]);
    assert_eq!(signed(&conf, "a@example.com"), ["mail example.com"]);
    assert_eq!(signed(&conf, "a@b.c.example.com"), ["mail example.com"]);
    assert_eq!(signed(&conf, "jim@any.example"), ["mail example.com"]);
    let (conf, _) = read("KeyTable file:/keys\nSigningTable file:/signing\nMultipleSignatures yes\n", &files);
    assert_eq!(signed(&conf, "joe@example.com"), ["two example.com", "mail example.com"]);
}

#[test]
fn one_key_for_domains() {
    let text = "Domain example.com, Example.org\nSelector mail\nKeyFile /key\n";
    let (conf, found) = read(text, &[]);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(signed(&conf, "a@example.org"), ["mail example.org"]);
    assert!(signed(&conf, "a@b.example.org").concat().contains("NoMatch"));
    let (conf, _) = read(&format!("{text}SubDomains yes\n"), &[]);
    assert_eq!(signed(&conf, "a@b.c.example.org"), ["mail example.org i=@example.org"]);
    assert!(signed(&conf, "a@notexample.org").concat().contains("NoMatch"));
}

#[test]
fn keys_that_everybody_may_read() {
    let text = "Domain example.com\nSelector mail\nKeyFile /open\n";
    let (conf, found) = read(text, &[]);
    assert!(found.len() == 1 && found.concat().contains("K0570"), "{found:?}");
    assert!(signed(&conf, "a@example.com").concat().contains("NoKey"));
    let (conf, found) = read(&format!("{text}RequireSafeKeys no\n"), &[]);
    assert!(found.is_empty() && signed(&conf, "a@example.com") == ["mail example.com"], "{found:?}");
}

#[test]
fn hosts() {
    let (conf, _) = read(
        "InternalHosts /hosts\nPeerList csl:192.0.2.8\n",
        &[(
            "/hosts",
            "127.0.0.1\nlocalhost\n192.0.2.0/28\n!192.0.2.1\n.in.example\n10.0.0.0/8\n!10.1.0.0/16\n2001:db8::/32\n",
        )],
    );
    let is_in = |name: Option<&str>, address: &str| {
        conf.internal_hosts.has_host(name, address.parse::<IpAddr>().unwrap())
    };
    assert!(is_in(None, "192.0.2.2") && is_in(Some("a.in.example"), "198.51.100.1"));
    assert!(!is_in(Some("in.example"), "198.51.100.1") && !is_in(None, "192.0.2.1"));
    assert!(is_in(None, "10.2.0.1") && !is_in(None, "10.1.0.1") && is_in(None, "2001:db8::1"));
    assert!(is_in(None, "::ffff:127.0.0.1") && !is_in(None, "127.0.0.2"));
    // Names are preferred: a host may be called anything.
    assert!(is_in(Some("LOCALHOST"), "198.51.100.1"));
}

fn role(conf: &Conf, address: &str, is_logged_in: bool, head: &[&[u8]]) -> (String, Vec<String>) {
    let address: IpAddr = address.parse().unwrap();
    let brought = Brought { name: Some("far.example"), address, is_logged_in, daemon: "" };
    let (role, lines) = decide(conf, &brought, head, &[]);
    (format!("{role:?}"), lines)
}

/// opendkim(8), OPERATION.
#[test]
fn who_is_signed_and_who_verified() {
    let (conf, _) = read("Domain example.com\nSelector mail\nKeyFile /key\nLogWhy yes\n", &[]);
    let own: &[&[u8]] = &[b"From: Joe <joe@Example.com>\n"];
    assert_eq!(role(&conf, "127.0.0.1", false, own).0, "Sign([s=mail d=example.com i=None])");
    assert_eq!(role(&conf, "192.0.2.1", true, own).0, "Sign([s=mail d=example.com i=None])");
    let (stranger, lines) = role(&conf, "192.0.2.1", false, own);
    assert_eq!(stranger, "Verify");
    assert_eq!(lines, ["not authenticated", "external host far.example attempted to send as example.com"]);
    let (other, lines) = role(&conf, "127.0.0.1", false, &[b"From: a@other.example\n"]);
    assert_eq!(
        (other.as_str(), lines.concat().as_str()),
        ("Verify", "no signing domain match for 'other.example'")
    );
    assert_eq!(role(&conf, "127.0.0.1", false, &[b"To: a@b\n"]).0, "Malformed");
    let (conf, _) = read("Mode s\nMinimumKeyBits 4096\nPeerList 192.0.2.8\n", &[]);
    assert_eq!(role(&conf, "192.0.2.1", false, own).0, "Nothing");
    assert_eq!(role(&conf, "192.0.2.8", false, &[]).0, "Nothing");
}

fn checked(result: DkimResult) -> Checked {
    let text = |text: &str| text.to_owned();
    Checked {
        result,
        domain: text("example.com"),
        selector: text("mail"),
        identity: text("@example.com"),
        algorithm: "rsa-sha256",
        start: text("CRj3r+Cg"),
        bits: Some(2048),
        is_testing: false,
    }
}

#[test]
fn what_is_said() {
    let (conf, _) = read("SyslogSuccess yes\nOn-BadSignature r\nOn-KeyNotFound tempfail\n", &[]);
    let bad = || checked(DkimResult::Fail("the body has been changed"));
    let good = said(&conf, &[bad(), checked(DkimResult::Pass)], "mx.example.net");
    assert_eq!(good.action, Action::Accept);
    assert_eq!(
        good.lines,
        [
            "message has signatures from example.com, example.com",
            "DKIM verification successful",
            "s=mail d=example.com a=rsa-sha256 SSL "
        ]
    );
    let refused = said(&conf, &[bad()], "mx.example.net");
    assert_eq!(refused.action, Action::Refuse("550 5.7.0 bad DKIM signature data".to_owned()));
    assert_eq!(refused.lines, ["s=mail d=example.com a=rsa-sha256 SSL ", "bad signature data"]);
    let gone = checked(DkimResult::PermError("there is no such key".to_owned()));
    let gone = said(&conf, &[gone], "mx.example.net");
    assert_eq!(gone.action, Action::Refuse("451 4.7.5 DKIM key retrieval failed".to_owned()));
    let reason = gone.results.and_then(|one| one.results.into_iter().next()).and_then(|one| one.reason);
    assert_eq!(reason.as_deref(), Some("key not found in DNS"));
    let testing = Checked { is_testing: true, ..bad() };
    assert_eq!(said(&conf, &[testing], "x").action, Action::Accept);
    let none = said(&conf, &[], "x");
    assert!(none.results.is_none() && none.lines.is_empty() && none.action == Action::Accept);
    let late = said(&conf, &[checked(DkimResult::TempError)], "x");
    assert_eq!(late.action, Action::Refuse("451 4.7.5 DKIM key retrieval failed".to_owned()));
}

/// The words that are told apart are those that verifying says.
#[test]
fn reasons_are_known() {
    use mail::dkim::{KeyAnswer, KeyError, Verifier};
    for (error, theirs) in [
        (KeyError::Revoked, "key revoked"),
        (KeyError::Hash, "signature-key hash mismatch"),
        (KeyError::Service, "not an e-mail key"),
    ] {
        let conf = Conf::default();
        let one = said(&conf, &[checked(DkimResult::PermError(error.to_string()))], "x");
        let reason = one.results.and_then(|one| one.results.into_iter().next()).and_then(|one| one.reason);
        assert_eq!(reason.as_deref(), Some(theirs));
    }
    let empty = Verifier::new(&[b"From: x\n"]).finish();
    assert!(empty.iter().all(|one| one.judge(KeyAnswer::Nothing, Wall::default()) == DkimResult::Pass));
}

#[test]
fn headers() {
    let (conf, _) = read("SignHeaders Subject,X-Own\nOmitHeaders X-Own\nOversignHeaders From,Cc\n", &[]);
    assert_eq!(conf.sign_headers, ["subject", "from"]);
    assert_eq!(conf.oversign_headers, ["from", "cc"]);
    let (conf, _) = read("SignHeaders *,+x-more,-subject\n", &[]);
    assert!(
        conf.sign_headers.contains(&"x-more".to_owned())
            && !conf.sign_headers.contains(&"subject".to_owned())
    );
    assert!(Conf::default().sign_headers.contains(&"resent-sender".to_owned()));
}

#[test]
fn files_within_files() {
    let (conf, found) = read("Include /more\nInclude /none\n", &[("/more", "Selector own\nInclude /more\n")]);
    assert_eq!(conf.selector, "own");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|one| one.contains("K0569")), "{found:?}");
}
