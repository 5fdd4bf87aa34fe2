//! Configurations for tests whose files are in memory.

use super::{Configuration, host};
use config::Compat;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tables::{SourceError, Sources};

struct Files(HashMap<PathBuf, String>);

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let found = self.0.get(path).map(|text| text.clone().into_bytes());
        found.ok_or_else(|| SourceError::Missing(path.to_owned()))
    }
}

/// A server whose recipient list asks a policy service, as `words` (and lines behind them) say, beside these files; and
/// what is said of it under these codes.
pub(super) fn asking(words: &str, files: &[(&str, &str)], codes: Range<u16>) -> (Configuration, Vec<String>) {
    let rules = "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service";
    let main = format!("{rules} {words}\n");
    let own =
        [("/etc/postfix/main.cf", main.as_str()), ("/etc/postfix/master.cf", "smtp inet n - n - - smtpd\n")];
    let all = files.iter().copied().chain(own);
    let sources = Files(all.map(|(path, text)| (PathBuf::from(path), text.to_owned())).collect());
    let (configuration, found) =
        Configuration::load_for(&host(), Path::new("/etc/postfix"), Compat::default(), &sources);
    let ours = found.iter().filter(|one| codes.contains(&one.code.0));
    (configuration, ours.map(ToString::to_string).collect())
}
