//! Users of our own (`smtpd_sasl_type = internal`): where they are looked for, and which mechanisms they can use.
//!
//! `smtpd_sasl_path` names the places, in order: files in Dovecot's passwd-file format, tables whose values are
//! `{SCHEME}hash`, and `shadow` or `pam`, the system's accounts, which the privileged helper judges. A file is read again when it
//! has changed, for sessions in progress too. What a session asks is answered in `session::internal`.
//! Diagnostics: K0650 a users' file that can't be read, K0654 a mechanism that not every user can use, K0655 a mechanism
//! or a place that isn't known.

use crate::privileged::Keeper;
use config::{Diagnostic, Parameters, Place, SourceFile, Spanned};
use proto::sasl::scram::Hash;
use proto::sasl::server::Own;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tables::{Catalogue, SourceError, Sources, TableId, Vantage};
use users::{Stored, Users};

/// Judged where nobody was found and there is no better likeness of what somebody would have cost.
const DECOY: &str =
    "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// One listener's users.
#[derive(Debug)]
pub struct Internal {
    /// Where they are looked for, in order.
    pub places: Vec<UsersPlace>,
    /// `komainu_sasl_certificate_maps`
    pub certificates: Vec<TableId>,
    /// `smtpd_sasl_local_domain`: appended to names without a domain; empty for nothing.
    realm: String,
    /// `komainu_sasl_mechanisms`
    wanted: Option<Vec<Own>>,
    /// What a table said last, as a likeness of what it would say of others.
    seen: Mutex<Option<Stored>>,
}

/// Where users are looked for.
#[derive(Debug)]
pub enum UsersPlace {
    /// A file in Dovecot's passwd-file format.
    File(UsersFile),
    /// A lookup table: login name to `{SCHEME}hash`.
    Table(TableId),
    /// The system's accounts.
    System(Keeper),
}

/// A users' file, as it stands.
pub struct UsersFile {
    /// Where it is.
    pub path: PathBuf,
    users: RwLock<SharedUsers>,
}

/// The users of one file, as all who look there see them.
pub type SharedUsers = Arc<RwLock<Arc<Users>>>;

fn shared(users: Users) -> SharedUsers {
    Arc::new(RwLock::new(Arc::new(users)))
}

/// The users' files of a running server, for sessions of every configuration that it has had.
#[derive(Default)]
pub struct UsersInForce(HashMap<PathBuf, SharedUsers>);

impl UsersInForce {
    /// Takes up the files of a new configuration: sessions that began under an older one see the users as they are now,
    /// and nobody in a file that isn't named any more.
    pub fn take_up<'a>(&mut self, files: impl Iterator<Item = &'a UsersFile>) {
        let mut before = std::mem::take(&mut self.0);
        for file in files {
            let read = file.users();
            let users = match self.0.get(&file.path) {
                Some(users) => Arc::clone(users),
                None => before.remove(&file.path).unwrap_or_else(|| shared(Users::default())),
            };
            put(&users, read);
            *file.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&users);
            self.0.insert(file.path.clone(), users);
        }
        for users in before.into_values() {
            put(&users, Arc::default());
        }
    }
}

fn put(users: &SharedUsers, now: Arc<Users>) {
    *users.write().unwrap_or_else(PoisonError::into_inner) = now;
}

impl fmt::Debug for UsersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsersFile({})", self.path.display())
    }
}

impl UsersFile {
    /// All accounts.
    #[must_use]
    pub fn users(&self) -> Arc<Users> {
        Arc::clone(&self.shared().read().unwrap_or_else(PoisonError::into_inner))
    }

    fn shared(&self) -> SharedUsers {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads it again. A file that can't be read leaves the users as they were.
    ///
    /// # Errors
    /// Why it can't be read.
    pub fn reread(&self, sources: &dyn Sources) -> Result<Vec<Diagnostic>, SourceError> {
        let (users, found) = read(&self.path, sources)?;
        put(&self.shared(), Arc::new(users));
        Ok(found)
    }
}

fn read(path: &Path, sources: &dyn Sources) -> Result<(Users, Vec<Diagnostic>), SourceError> {
    let text = String::from_utf8_lossy(&sources.read(path)?).into_owned();
    Ok(Users::parse(&Arc::new(SourceFile { path: path.to_owned(), text })))
}

/// What one word of `smtpd_sasl_path` is.
pub(crate) enum Word {
    /// A users' file.
    File(PathBuf),
    /// A table.
    Table,
    /// `shadow`, `pam`, `pam:SERVICE`
    System(Keeper),
}

/// The words of `smtpd_sasl_path` as `internal` reads them.
pub(crate) fn words(p: &Parameters) -> Vec<(Spanned<String>, Word)> {
    let folder = PathBuf::from(p.text("config_directory").value);
    let set = p.is_set("smtpd_sasl_path");
    let words =
        if set { p.list("smtpd_sasl_path") } else { vec![Spanned::new("users".into(), Place::nowhere())] };
    let read = |word: &str| match word.strip_prefix("passwd-file:") {
        Some(path) => Word::File(folder.join(path)),
        None if word == "shadow" => Word::System(Keeper::Shadow),
        // As Dovecot's `args = *`, and as saslauthd does for Postfix.
        None if word == "pam" => {
            Word::System(Keeper::Pam(p.text("smtpd_sasl_service").value.trim().to_owned()))
        }
        None if word.starts_with("pam:") => {
            Word::System(Keeper::Pam(word.trim_start_matches("pam:").to_owned()))
        }
        None if word.contains(':') => Word::Table,
        None => Word::File(folder.join(word)),
    };
    words.into_iter().map(|word| (word.clone(), read(&word.value))).collect()
}

impl Internal {
    /// Reads main.cf, and the users' files that it names.
    #[must_use]
    pub fn compile(
        p: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (Internal, Vec<Diagnostic>) {
        let (mut found, mut places) = (Vec::new(), Vec::new());
        for (word, kind) in words(p) {
            match kind {
                Word::System(Keeper::Pam(service)) if !is_service(&service) => {
                    let message = format!("{service:?} is no name of a PAM service");
                    found.push(
                        Diagnostic::warning(655, word.place.clone(), message)
                            .help("pam:smtp is /etc/pam.d/smtp"),
                    );
                }
                Word::System(keeper) => places.push(UsersPlace::System(keeper)),
                Word::Table => match catalogue.intern(&word) {
                    Ok(id) => places.push(UsersPlace::Table(id)),
                    Err(diagnostic) => found.push(diagnostic),
                },
                Word::File(path) => {
                    let (users, more) = match read(&path, sources) {
                        Ok(read) => read,
                        Err(error) => (Users::default(), unread(p, &error, sources)),
                    };
                    found.extend(more);
                    places.push(UsersPlace::File(UsersFile { path, users: RwLock::new(shared(users)) }));
                }
            }
        }
        let mut certificates = Vec::new();
        for word in p.list("komainu_sasl_certificate_maps") {
            match catalogue.intern(&word) {
                Ok(id) => certificates.push(id),
                Err(diagnostic) => found.push(diagnostic),
            }
        }
        let wanted = wanted(p, &mut found);
        let realm = p.text("smtpd_sasl_local_domain").value.trim().to_owned();
        let internal = Internal { places, certificates, realm, wanted, seen: Mutex::default() };
        found.extend(internal.lacking(p));
        (internal, found)
    }

    /// Mechanisms that are asked for by name, and not every user of a file can use.
    fn lacking(&self, p: &Parameters) -> Vec<Diagnostic> {
        let wanted = self.wanted.iter().flatten();
        let lacks = wanted.filter_map(|mechanism| {
            let users = self.files().map(UsersFile::users);
            let lacking = users
                .flat_map(|users| {
                    users
                        .with_password()
                        .map(|one| (one.name.clone(), can(one, *mechanism)))
                        .collect::<Vec<_>>()
                })
                .filter(|(_, can)| !can);
            let names: Vec<String> = lacking.map(|(name, _)| name).collect();
            let first = names.first()?;
            let others =
                if names.len() == 1 { String::new() } else { format!(" and {} others", names.len() - 1) };
            let message = format!("{first}{others} can't log in by {}", mechanism.name());
            let help = "programs that prefer it fail for them; `komainu user passwd` stores SCRAM's keys";
            Some(Diagnostic::warning(654, p.text("komainu_sasl_mechanisms").place, message).help(help))
        });
        lacks.collect()
    }

    /// The users' files.
    pub fn files(&self) -> impl Iterator<Item = &UsersFile> {
        self.places.iter().filter_map(|place| match place {
            UsersPlace::File(file) => Some(file),
            _ => None,
        })
    }

    /// The mechanisms that users here can use. `binds` where there is something to bind to, `certified` where the
    /// client's certificate is somebody's.
    #[must_use]
    pub fn mechanisms(&self, binds: bool, certified: bool) -> Vec<Own> {
        let fits = |mechanism: &Own| match mechanism {
            Own::ScramSha256Plus => binds,
            Own::External => certified,
            _ => true,
        };
        let wants = |mechanism: &Own| match (&self.wanted, mechanism) {
            (None, Own::Plain | Own::Login | Own::External) => true,
            (None, Own::ScramSha256) => self.all_scram(),
            // Programs that have only TLS 1.2's bindings prefer it wherever it is offered, and fail.
            (None, _) => false,
            (Some(wanted), _) => wanted.contains(mechanism),
        };
        Own::ALL.into_iter().filter(|mechanism| fits(mechanism) && wants(mechanism)).collect()
    }

    /// Whether nobody is left out by SCRAM: whoever offers it is asked by it.
    fn all_scram(&self) -> bool {
        let only_files = self.places.iter().all(|place| matches!(place, UsersPlace::File(_)));
        let mut files = self.files().map(UsersFile::users).filter(|users| users.has_passwords()).peekable();
        only_files && files.peek().is_some() && files.all(|users| users.all_scram(Hash::Sha256))
    }

    /// A login name as users have it here.
    #[must_use]
    pub fn named(&self, username: &str) -> String {
        let name = username.to_lowercase();
        if self.realm.is_empty() || name.contains('@') {
            name
        } else {
            format!("{name}@{}", self.realm.to_lowercase())
        }
    }

    /// The account of the system's that a name stands for: the system knows no domains, so only what was appended comes
    /// off. `None` for a name of another domain, which isn't the account's.
    #[must_use]
    pub fn system_name<'a>(&self, name: &'a str, keeper: &Keeper) -> Option<&'a str> {
        match name.split_once('@') {
            Some((account, domain)) if domain.eq_ignore_ascii_case(&self.realm) => Some(account),
            // PAM's modules may have users of many domains.
            Some(_) => (*keeper != Keeper::Shadow).then_some(name),
            None => Some(name),
        }
    }

    /// What a table has said, kept as a likeness.
    pub fn has_seen(&self, stored: &Stored) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(stored.clone());
    }

    /// Whether nothing is known yet that is like what somebody of a table would have stored.
    #[must_use]
    pub fn wants_likeness(&self) -> bool {
        self.files().next().is_none() && self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// What is judged in place of a user that there isn't.
    #[must_use]
    pub fn decoy(&self, name: &str) -> Option<Stored> {
        let in_files = self.files().find_map(|file| file.users().decoy(name)?.stored.clone());
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        in_files.or_else(seen).or_else(|| Stored::parse(DECOY).ok())
    }
}

/// Whether it can be the name of a file in /etc/pam.d.
pub(crate) fn is_service(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(fits)
}

/// Whether an account can use a mechanism that needs something to be stored.
fn can(account: &users::Account, mechanism: Own) -> bool {
    match mechanism {
        Own::ScramSha256 | Own::ScramSha256Plus => account.scram(Hash::Sha256).is_some(),
        Own::ScramSha1 => account.scram(Hash::Sha1).is_some(),
        Own::CramMd5 => account.cram().is_some(),
        Own::Plain | Own::Login | Own::External => true,
    }
}

fn wanted(p: &Parameters, found: &mut Vec<Diagnostic>) -> Option<Vec<Own>> {
    let words = p.list("komainu_sasl_mechanisms");
    let mut wanted = Vec::new();
    for word in &words {
        match Own::from_name(&word.value) {
            Some(mechanism) => wanted.push(mechanism),
            None => {
                let known = Own::ALL.map(Own::name).join(" ").to_lowercase();
                let message = format!("{} is no mechanism that is spoken here", word.value);
                found.push(Diagnostic::warning(655, word.place.clone(), message).help(known));
            }
        }
    }
    (!words.is_empty()).then_some(wanted)
}

fn unread(p: &Parameters, error: &SourceError, sources: &dyn Sources) -> Vec<Diagnostic> {
    // On paper the files of another machine can't be read; who only looks may not be allowed to.
    let denied = matches!(error, SourceError::Denied(_)) && sources.vantage() != Vantage::Serving;
    if denied || sources.vantage() == Vantage::Elsewhere {
        return Vec::new();
    }
    let place = p.text("smtpd_sasl_path").place;
    let place = if place.file.is_some() { place } else { p.text("smtpd_sasl_type").place };
    let help = "nobody can log in; make it with `komainu user add NAME`";
    vec![Diagnostic::warning(650, place, format!("no users: {error}")).help(help)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> UsersFile {
        let source = SourceFile { path: path.into(), text: text.to_owned() };
        UsersFile { path: path.into(), users: RwLock::new(shared(Users::parse(&Arc::new(source)).0)) }
    }

    /// Whoever looks by an older configuration sees what the newest one sees.
    #[test]
    fn users_in_force() {
        let has = |file: &UsersFile, name: &str| file.users().account(name).is_some();
        let mut in_force = UsersInForce::default();
        let first =
            [file("/a", "alice:{PLAIN}x\n"), file("/a", "alice:{PLAIN}x\n"), file("/b", "bob:{PLAIN}x\n")];
        in_force.take_up(first.iter());
        let second = [file("/a", "carol:{PLAIN}x\n")];
        in_force.take_up(second.iter());
        for file in [&first[0], &first[1], &second[0]] {
            assert!(has(file, "carol") && !has(file, "alice"));
        }
        assert!(!has(&first[2], "bob"), "its file isn't named any more");
        let third = [file("/a", "dave:{PLAIN}x\n"), file("/b", "erin:{PLAIN}x\n")];
        in_force.take_up(third.iter());
        assert!(has(&first[0], "dave") && has(&second[0], "dave") && has(&third[1], "erin"));
        assert!(!has(&first[2], "erin"));
    }
}
