//! The users' file: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields`, a line each, as Dovecot's passwd-file.
//!
//! Uids, homes and the like are for others who read the file. Of the extra fields these count: `allow_nets`,
//! `nopassword` where there is no password, `nologin`, and `scram-sha-256=`, `scram-sha-1=`, the keys that SCRAM needs beside a hash that tells
//! nobody the password. A `!` in front of the hash shuts an account, as in shadow(5). Names are lower case, as Dovecot
//! has them by default. A line that can't be used is said, and lets nobody in.
//! Diagnostics: K0651 a line that can't be used, K0652 a readable password, K0653 an account without a password, K0656 a
//! hash that is soon guessed.

use crate::stored::{ScramSource, Stored, Unusable};
use config::{Diagnostic, Place, SourceFile};
use proto::sasl::md5::Contexts;
use proto::sasl::scram::{Hash, Keys};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

/// A line that can't be used.
pub const UNUSABLE: u16 = 651;
/// A password that can be read.
pub const READABLE: u16 = 652;
/// An account without a password.
pub const OPEN: u16 = 653;
/// A hash that is soon guessed.
pub const WEAK: u16 = 656;
/// Accounts that one file may have.
pub const ACCOUNTS_MAX: usize = 1_000_000;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name, lower case.
    pub name: String,
    /// What judges its password; `None` where nothing does.
    pub stored: Option<Stored>,
    /// It is shut, or may not log in.
    pub disabled: bool,
    /// `nopassword`: any password is right.
    pub open: bool,
    /// `allow_nets`: from where it may log in.
    pub networks: Option<Vec<Network>>,
    /// SCRAM's keys in the extra fields.
    pub scram: Vec<Keys>,
    /// Its line.
    pub place: Place,
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { address, bits })
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Account {
    /// Whether a client may log in as this account at all.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        let from_there =
            self.networks.as_ref().is_none_or(|networks| networks.iter().any(|one| one.has(client)));
        !self.disabled && from_there
    }

    /// What SCRAM needs.
    #[must_use]
    pub fn scram(&self, hash: Hash) -> Option<ScramSource<'_>> {
        let keys = self.scram.iter().find(|keys| keys.hash == hash).map(ScramSource::Keys);
        keys.or_else(|| self.stored.as_ref()?.scram(hash))
    }

    /// What CRAM-MD5 needs.
    #[must_use]
    pub fn cram(&self) -> Option<Contexts> {
        self.stored.as_ref()?.cram()
    }

    /// Whether somebody may log in by a password.
    #[must_use]
    pub const fn has_password(&self) -> bool {
        !self.disabled && (self.stored.is_some() || self.open)
    }
}

/// All accounts of a file.
#[derive(Clone, Debug, Default)]
pub struct Users {
    accounts: Vec<Account>,
    by_name: HashMap<String, usize>,
    /// Those that a name that nobody has can be taken for.
    hashed: Vec<usize>,
    key: RandomState,
}

impl Users {
    /// Reads a file, and says what is wrong with it.
    #[must_use]
    pub fn parse(file: &Arc<SourceFile>) -> (Users, Vec<Diagnostic>) {
        let (mut users, mut found) = (Users::default(), Vec::new());
        let mut start = 0;
        for whole in file.text.split_inclusive('\n') {
            let line = whole.trim_end_matches(['\n', '\r']);
            let place = Place::new(file, start, start + line.len());
            start += whole.len();
            if line.is_empty() || line.starts_with(['#', ':']) {
                continue;
            }
            if users.accounts.len() >= ACCOUNTS_MAX {
                found.push(Diagnostic::warning(UNUSABLE, place, format!("over {ACCOUNTS_MAX} accounts")));
                break;
            }
            let account = read(line, file, place.start, &mut found);
            let index = users.accounts.len();
            let first = users.by_name.get(&account.name).and_then(|first| users.accounts.get(*first));
            if let Some(first) = first {
                let message = format!(
                    "{} stands on line {} already: that line counts",
                    account.name,
                    first.place.line()
                );
                found.push(Diagnostic::warning(UNUSABLE, place, message).help("take one of them out"));
                continue;
            }
            if account.stored.is_some() {
                users.hashed.push(index);
            }
            users.by_name.insert(account.name.clone(), index);
            users.accounts.push(account);
        }
        (users, found)
    }

    /// The account of a login name, whatever its case.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(*self.by_name.get(&name.to_lowercase())?)
    }

    /// A stored password that a name that nobody has is judged by, for nothing but its cost: always the same for the
    /// same name, and as often of each kind as in the file, so that the time of a refusal tells nothing.
    #[must_use]
    pub fn decoy(&self, name: &str) -> Option<&Account> {
        let count = u64::try_from(self.hashed.len()).ok().filter(|count| *count > 0)?;
        let at = self.key.hash_one(name.to_lowercase()) % count;
        self.accounts.get(*self.hashed.get(usize::try_from(at).ok()?)?)
    }

    /// All accounts, in the file's order.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Whether each account that has a password can log in by SCRAM with this hash.
    #[must_use]
    pub fn all_scram(&self, hash: Hash) -> bool {
        self.has_passwords() && self.with_password().all(|account| account.scram(hash).is_some())
    }

    /// Whether there is anybody who can log in by a password.
    #[must_use]
    pub fn has_passwords(&self) -> bool {
        self.with_password().next().is_some()
    }

    /// Those who can.
    pub fn with_password(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|account| account.has_password())
    }
}

/// The fields of a line: the name, the stored password, and the extra fields, each with where it begins.
fn read(line: &str, file: &Arc<SourceFile>, start: usize, found: &mut Vec<Diagnostic>) -> Account {
    let mut fields = line.splitn(8, ':');
    let name = fields.next().unwrap_or_default();
    let password = fields.next();
    let at = start + name.len() + 1;
    let place = Place::new(file, start, start + line.len());
    let part = |begin: usize, length: usize| Place::new(file, begin, begin + length);
    let mut account = Account {
        name: name.to_lowercase(),
        stored: None,
        disabled: false,
        open: false,
        networks: None,
        scram: Vec::new(),
        place: place.clone(),
    };
    let unusable = |place: Place, message: String| Diagnostic::warning(UNUSABLE, place, message);
    let Some(password) = password else {
        account.disabled = true;
        found.push(
            unusable(place, format!("{name}: a name and nothing else"))
                .help("write name:{SCHEME}hash, or make the line by `komainu user add`"),
        );
        return account;
    };
    if let Some(odd) = name.chars().find(|c| c.is_control() || c.is_whitespace()) {
        let message = format!("a login name with {odd:?} in it is nobody's");
        found.push(unusable(part(start, name.len()), message));
    }
    if let Some(extra) = fields.nth(5) {
        let begin = start + line.len() - extra.len();
        let beside = !password.trim_start_matches('!').is_empty();
        extras((&mut account, beside), extra, |at, length| part(begin + at, length), found);
    }
    let (shut, password_text) = match password.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, password),
    };
    account.disabled |= shut;
    let here = part(at, password.len());
    match Stored::parse(password_text) {
        Ok(stored) => {
            said_of(&stored, name, &here, found);
            account.stored = Some(stored);
        }
        Err(Unusable::Nothing) if shut || account.open || password_text.starts_with(['*', '!']) => {
            account.disabled |= !account.open;
        }
        Err(error) => {
            account.disabled = !account.open;
            let help = "nobody can log in as this user; make a new password by `komainu user passwd`";
            found.push(unusable(here, format!("{name}: {error}")).help(help));
        }
    }
    account
}

fn said_of(stored: &Stored, name: &str, place: &Place, found: &mut Vec<Diagnostic>) {
    if stored.is_readable() {
        let message = format!("{name}: whoever reads the file has the password");
        let help = format!("komainu user passwd {name}");
        found.push(Diagnostic::warning(READABLE, place.clone(), message).help(help));
    } else if stored.is_weak() {
        let message =
            format!("{name}: whoever reads the file soon guesses what {{{}}} hides", stored.scheme());
        let help = format!("komainu user passwd {name}");
        found.push(Diagnostic::hint(WEAK, place.clone(), message).help(help));
    }
}

/// `beside` a password.
fn extras(
    (account, beside): (&mut Account, bool),
    text: &str,
    place: impl Fn(usize, usize) -> Place,
    found: &mut Vec<Diagnostic>,
) {
    let mut at = 0;
    for word in text.split(' ') {
        let here = place(at, word.len());
        at += word.len() + 1;
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let fault = match name {
            "nologin" => {
                account.disabled = true;
                continue;
            }
            "nopassword" if beside => {
                let message = format!("{}: nopassword beside a password counts for nothing", account.name);
                let help = "take the word out, or the password";
                found.push(Diagnostic::warning(UNUSABLE, here, message).help(help));
                continue;
            }
            "nopassword" => {
                account.open = true;
                let message = format!("{}: any password is right", account.name);
                found.push(Diagnostic::warning(OPEN, here, message));
                continue;
            }
            "allow_nets" => {
                let networks: Option<Vec<Network>> = value.split(',').map(Network::parse).collect();
                let fault = networks.is_none();
                account.networks = Some(networks.unwrap_or_default());
                fault
            }
            "scram-sha-256" | "scram-sha-1" => {
                let hash = if name == "scram-sha-1" { Hash::Sha1 } else { Hash::Sha256 };
                let keys = Keys::parse(hash, value);
                account.scram.extend(keys.clone());
                keys.is_none()
            }
            _ => continue,
        };
        if fault {
            let message = format!("{}: {name}= makes no sense", account.name);
            found.push(Diagnostic::warning(UNUSABLE, here, message));
        }
    }
}

/// For fuzzing: any file is read, and edited.
pub fn survive(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let file = Arc::new(SourceFile { path: "users".into(), text });
    let (users, found) = Users::parse(&file);
    for diagnostic in found {
        let _ = (diagnostic.place.line(), diagnostic.place.column(), diagnostic.place.text());
    }
    for account in users.accounts() {
        let _ = (account.admits(IpAddr::from([192, 0, 2, 1])), account.scram(Hash::Sha256), account.cram());
    }
    let _ = users.decoy("nobody");
    let _ = crate::edit::disable(&file.text, "alice");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn users(text: &str) -> (Users, Vec<String>) {
        let file = Arc::new(SourceFile { path: "users".into(), text: text.to_owned() });
        let (users, found) = Users::parse(&file);
        let said = found.iter().map(|one| format!("K{:04} {} {}", one.code.0, one.place, one.message));
        (users, said.collect())
    }

    #[test]
    fn a_file_of_dovecots() {
        let (users, said) = users(
            "# our users\n\
             \n\
             Alice@Example.com:{SSHA256}kRCWPCl2GISedFdaT17wQB7ofhcvWczo3Bm4eYCQx+irfifL:5000:5000::/home/a::\n\
             bob:{PLAIN}secret::::::userdb_mail=x allow_nets=192.0.2.0/24,2001:db8::/32\r\n\
             carol:!{PLAIN}secret\n\
             dave:*:\n\
             eve:::::::nopassword allow_nets=127.0.0.1\n\
             frank:{PLAIN}secret::::::nologin\n\
             # grace:{PLAIN}secret\n",
        );
        assert_eq!(users.accounts().len(), 6);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let check = |name: &str, client: &str, expect: bool| {
            let account = users.account(name).expect("known");
            let admitted = account.has_password() && account.admits(address(client));
            assert_eq!(admitted, expect, "{name} from {client}");
        };
        check("alice@example.COM", "203.0.113.1", true);
        check("bob", "192.0.2.77", true);
        check("bob", "::ffff:192.0.2.77", true);
        check("bob", "192.0.3.1", false);
        check("bob", "2001:db8:1::1", true);
        check("bob", "2001:db9::1", false);
        check("carol", "192.0.2.1", false);
        check("dave", "192.0.2.1", false);
        check("eve", "127.0.0.1", true);
        check("eve", "127.0.0.2", false);
        check("frank", "192.0.2.1", false);
        assert!(users.account("grace").is_none() && users.account("").is_none());
        let codes: Vec<&str> = said.iter().map(|one| one.split_at(5).0).collect();
        assert_eq!(codes, ["K0656", "K0652", "K0652", "K0653", "K0652"], "{said:#?}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let check = |text: &str, expect: &str| assert_eq!(users(text).1, [expect], "{text}");
        check("alice\n", "K0651 users:1:1 alice: a name and nothing else");
        check("#\nalice:{WHAT}x\n", "K0651 users:2:7 alice: the scheme {WHAT} isn't known here");
        check("alice:secret", "K0651 users:1:7 alice: what follows {CRYPT} isn't one of its hashes");
        check("alice:", "K0651 users:1:7 alice: there is no password");
        check("al ice:*", "K0651 users:1:1 a login name with ' ' in it is nobody's");
        check("a:*\nb:*\nA:*\n", "K0651 users:3:1 a stands on line 1 already: that line counts");
        check("a:*::::::x=y allow_nets=here", "K0651 users:1:14 a: allow_nets= makes no sense");
        check("a:*::::::scram-sha-256=1", "K0651 users:1:10 a: scram-sha-256= makes no sense");
        check("a:{PLAIN}x", "K0652 users:1:3 a: whoever reads the file has the password");
    }

    #[test]
    fn a_broken_allow_nets_admits_nobody() {
        let (users, _) = users("a:{PLAIN}x::::::allow_nets=192.0.2.0/24,here\n");
        assert!(!users.account("a").expect("known").admits(IpAddr::from([192, 0, 2, 1])));
    }

    /// A password beside the word counts; what was a password and isn't one lets nobody in.
    #[test]
    fn nopassword_beside_a_password() {
        for (text, opens) in [
            ("a:::::::nopassword", true),
            ("a:{PLAIN}x::::::nopassword", false),
            ("a:{WHAT}x::::::nopassword=y", false),
            ("a:*::::::nopassword", false),
        ] {
            let (users, found) = users(text);
            let account = users.account("a").expect("known");
            assert_eq!(account.open && account.has_password(), opens, "{text}");
            let says_so =
                found.iter().any(|one| one.ends_with("a: nopassword beside a password counts for nothing"));
            assert_eq!(says_so, !opens, "{text} {found:?}");
        }
    }

    #[test]
    fn scram_for_all_or_not() {
        let keys = Keys::derive(Hash::Sha256, b"x", b"salt".to_vec(), proto::sasl::scram::ROUNDS);
        let check = |text: &str, expect: bool| {
            let (users, _) = users(text);
            assert_eq!(users.all_scram(Hash::Sha256), expect, "{text}");
            assert!(!users.all_scram(Hash::Sha1) || text.contains("PLAIN"));
        };
        let hashed = "{SHA512-CRYPT}$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.";
        check("", false);
        check("a:{PLAIN}x\n", true);
        check(&format!("a:{{SCRAM-SHA-256}}{keys}\n"), true);
        check(&format!("a:{hashed}::::::scram-sha-256={keys}\n"), true);
        check(&format!("a:{hashed}::::::scram-sha-256={keys}\nb:{hashed}\n"), false);
        check(&format!("a:{{PLAIN}}x\nb:!{hashed}\n"), true);
    }

    /// A name that nobody has costs what one of those costs that are in the file, and each as often.
    #[test]
    fn decoys_are_like_the_file() {
        let text: String = (0..30)
            .map(|n| {
                let stored =
                    if n % 3 == 0 { "{PLAIN}x" } else { "{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4" };
                format!("user{n}:{stored}\n")
            })
            .collect();
        let (users, _) = users(&text);
        let mut plain = 0;
        for n in 0..3000 {
            let decoy = users.decoy(&format!("nobody{n}")).expect("one");
            assert_eq!(users.decoy(&format!("NOBODY{n}")).map(|one| &one.name), Some(&decoy.name));
            plain += u32::from(decoy.stored.as_ref().is_some_and(Stored::is_readable));
        }
        assert!((800..1200).contains(&plain), "{plain} of 3000, where a third is in the file");
        assert!(super::tests::users("a:*\n").0.decoy("x").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_file_is_survived(text in "([a-z ]{0,5}(:[!{}A-Z0-9a-z$=,./ -]{0,20}){0,9}\r?\n?){0,5}") {
            survive(text.as_bytes());
        }
    }
}
