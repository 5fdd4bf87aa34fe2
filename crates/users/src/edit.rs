//! Changes to the users' file: a line is added, or fields of one are, and every other byte stays.
//!
//! The text goes in and comes out; who locks and writes the file is the program's.

use crate::stored::Unusable;
use crate::{Stored, file};
use proto::sasl::scram::{Hash, Keys};

/// What is put into the file for a new password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// `{SCHEME}hash`
    pub stored: String,
    /// SCRAM's keys; without them the user logs in by the password itself.
    pub scram: Vec<Keys>,
}

/// Why the file can't be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Adding somebody who is there.
    #[error("{0} is there already")]
    Exists(String),
    /// Changing somebody who isn't.
    #[error("there is no {0}")]
    Unknown(String),
    /// A name that can't stand in the file.
    #[error("{0:?} can't be a login name")]
    Name(String),
    /// Opening an account that has no password to open it by.
    #[error("{0} has no password: give one with `komainu user passwd`")]
    NoPassword(String),
}

/// With a new account at the end.
///
/// # Errors
/// Where it is there, or can't be.
pub fn add(text: &str, name: &str, secret: &Secret) -> Result<String, EditError> {
    let odd = |c: char| c == ':' || c.is_control() || c.is_whitespace();
    let fits = !name.is_empty()
        && name.len() <= proto::sasl::server::exchange::NAME_BYTES_MAX
        && !name.starts_with(['#', ':'])
        && !name.contains(odd);
    if !fits {
        return Err(EditError::Name(name.to_owned()));
    }
    if line_of(text, name).is_some() {
        return Err(EditError::Exists(name.to_owned()));
    }
    let ending = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let extra = scram_words(secret).join(" ");
    let colons = if extra.is_empty() { "" } else { "::::::" };
    Ok(format!("{text}{ending}{name}:{}{colons}{extra}\n", secret.stored))
}

/// With a new password for an account, which opens it where it was shut.
///
/// # Errors
/// Where it isn't there.
pub fn set(text: &str, name: &str, secret: &Secret) -> Result<String, EditError> {
    changed(text, name, |fields| {
        fields.password.clone_from(&secret.stored);
        fields.rest.retain(|word| !is_scram(word) && word != "nopassword");
        fields.rest.extend(scram_words(secret));
        Ok(())
    })
}

/// With an account shut: a `!` in front of what is stored.
///
/// # Errors
/// Where it isn't there.
pub fn disable(text: &str, name: &str) -> Result<String, EditError> {
    changed(text, name, |fields| {
        if !fields.password.starts_with('!') {
            fields.password.insert(0, '!');
        }
        Ok(())
    })
}

/// With an account opened again.
///
/// # Errors
/// Where it isn't there, or has no password.
pub fn enable(text: &str, name: &str) -> Result<String, EditError> {
    changed(text, name, |fields| {
        let password = fields.password.strip_prefix('!').unwrap_or(&fields.password);
        if Stored::parse(password) == Err(Unusable::Nothing) {
            return Err(EditError::NoPassword(name.to_owned()));
        }
        fields.password = password.to_owned();
        Ok(())
    })
}

/// Without an account.
///
/// # Errors
/// Where it isn't there.
pub fn remove(text: &str, name: &str) -> Result<String, EditError> {
    let (start, end) = line_of(text, name).ok_or_else(|| EditError::Unknown(name.to_owned()))?;
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    let after = rest.split_at_checked(end - start).map_or("", |(_, after)| after);
    let after = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')).unwrap_or(after);
    Ok(format!("{before}{after}"))
}

/// The fields of a line that can change.
struct Fields {
    password: String,
    /// The words of the extra fields.
    rest: Vec<String>,
}

fn changed(
    text: &str,
    name: &str,
    change: impl FnOnce(&mut Fields) -> Result<(), EditError>,
) -> Result<String, EditError> {
    let (start, end) = line_of(text, name).ok_or_else(|| EditError::Unknown(name.to_owned()))?;
    let (line, before, after) = (
        text.get(start..end).unwrap_or_default(),
        text.get(..start).unwrap_or_default(),
        text.get(end..).unwrap_or_default(),
    );
    let mut columns: Vec<String> = line.splitn(8, ':').map(str::to_owned).collect();
    let words = |text: &String| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let mut fields = Fields {
        password: columns.get(1).cloned().unwrap_or_default(),
        rest: columns.get(7).map(words).unwrap_or_default(),
    };
    change(&mut fields)?;
    let had_rest = columns.len() > 7;
    if columns.len() < 2 {
        columns.push(String::new());
    }
    if let Some(password) = columns.get_mut(1) {
        *password = fields.password;
    }
    if had_rest || !fields.rest.is_empty() {
        columns.resize(8, String::new());
        if let Some(rest) = columns.get_mut(7) {
            *rest = fields.rest.join(" ");
        }
    }
    Ok(format!("{before}{}{after}", columns.join(":")))
}

/// Where the line of a name is, without what ends it: the first one counts.
fn line_of(text: &str, name: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\n', '\r']);
        let is_it = !line.starts_with(['#', ':']) && !line.is_empty();
        let own = line.split(':').next().unwrap_or_default();
        if is_it && own.to_lowercase() == name.to_lowercase() {
            return Some((start, start + line.len()));
        }
        start += whole.len();
    }
    None
}

fn is_scram(word: &str) -> bool {
    word.starts_with("scram-sha-256=") || word.starts_with("scram-sha-1=")
}

fn scram_words(secret: &Secret) -> Vec<String> {
    let name = |hash| match hash {
        Hash::Sha1 => "scram-sha-1",
        Hash::Sha256 => "scram-sha-256",
    };
    secret.scram.iter().map(|keys| format!("{}={keys}", name(keys.hash))).collect()
}

/// How many accounts a text has, for who has just written one.
#[must_use]
pub fn accounts(text: &str) -> usize {
    let source = config::SourceFile { path: std::path::PathBuf::new(), text: text.to_owned() };
    file::Users::parse(&std::sync::Arc::new(source)).0.accounts().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# ours\r\nalice:{PLAIN}x:1:2::/home/a::mail=y scram-sha-1=old\r\n\n#bob:{PLAIN}x\nbob:*\n# end";

    fn secret(scram: bool) -> Secret {
        let keys = Keys::derive(Hash::Sha256, b"x", b"salt".to_vec(), std::num::NonZeroU32::MIN);
        Secret { stored: "{NEW}h".to_owned(), scram: if scram { vec![keys] } else { Vec::new() } }
    }

    fn keys() -> String {
        scram_words(&secret(true)).join(" ")
    }

    #[test]
    fn only_what_is_meant_changes() {
        let check = |edited: Result<String, EditError>, from: &str, to: &str| {
            assert!(TEXT.contains(from), "{from}");
            assert_eq!(edited, Ok(TEXT.replacen(from, to, 1)));
        };
        let line = "alice:{PLAIN}x:1:2::/home/a::mail=y scram-sha-1=old";
        let new = format!("alice:{{NEW}}h:1:2::/home/a::mail=y {}", keys());
        check(set(TEXT, "ALICE", &secret(true)), line, &new);
        check(set(TEXT, "alice", &secret(false)), line, "alice:{NEW}h:1:2::/home/a::mail=y");
        check(set(TEXT, "bob", &secret(false)), "\nbob:*", "\nbob:{NEW}h");
        check(set(TEXT, "bob", &secret(true)), "\nbob:*", &format!("\nbob:{{NEW}}h::::::{}", keys()));
        check(disable(TEXT, "alice"), "alice:{", "alice:!{");
        check(remove(TEXT, "alice"), &format!("{line}\r\n"), "");
        check(add(TEXT, "carol", &secret(false)), "# end", "# end\ncarol:{NEW}h\n");
        check(
            add(TEXT, "carol", &secret(true)),
            "# end",
            &format!("# end\ncarol:{{NEW}}h::::::{}\n", keys()),
        );
        let shut = disable(TEXT, "alice").expect("edits");
        assert_eq!(disable(&shut, "alice").as_ref(), Ok(&shut));
        assert_eq!(enable(&shut, "alice"), Ok(TEXT.to_owned()));
        assert_eq!(accounts(&add(TEXT, "carol", &secret(true)).expect("edits")), 3);
    }

    #[test]
    fn what_cannot_be() {
        let unknown = |name: &str| Err(EditError::Unknown(name.to_owned()));
        assert_eq!(set(TEXT, "carol", &secret(false)), unknown("carol"));
        assert_eq!(remove(TEXT, "#bob"), unknown("#bob"));
        assert_eq!(enable(TEXT, "bob"), Err(EditError::NoPassword("bob".to_owned())));
        assert_eq!(add(TEXT, "Alice", &secret(false)), Err(EditError::Exists("Alice".to_owned())));
        for name in ["", "a b", "a:b", "#a", "a\nb", &"a".repeat(256)] {
            assert_eq!(add(TEXT, name, &secret(false)), Err(EditError::Name(name.to_owned())));
        }
    }
}
