//! SPF as the configuration wants it: policyd-spf's own file, where a restriction list asks for policyd-spf.
//!
//! It is read only where `check_policy_service` names the socket that policyd-spf has (T2.11); `komainu_spf = no` turns
//! that off. Whether we answer is decided when somebody asks: a server that listens there, or a `spawn` line whose program
//! is there, stays in charge. Diagnostics: K0481, K0490 to K0492.

use super::Listener;
use crate::facts::policyd_spf::is_policyd_spfs;
use config::{Diagnostic, Parameters, SourceFile};
use policy::spf::policyd::{Conf, PATH};
use std::path::Path;
use std::sync::Arc;
use tables::{Sources, Vantage};

/// A file of settings for single recipients that can't be read.
const UNREADABLE: u16 = 481;

/// Reads policyd-spf.conf; `None` where no list asks policyd-spf. Without the file its defaults hold.
#[must_use]
pub(super) fn compile(
    p: &Parameters,
    listeners: &[Listener],
    sources: &dyn Sources,
) -> (Option<Arc<Conf>>, Vec<Diagnostic>) {
    let mut services = listeners.iter().flat_map(Listener::policies).flat_map(policy::Policy::services);
    if !p.flag("komainu_spf") || !services.any(|service| is_policyd_spfs(&service.endpoint)) {
        return (None, Vec::new());
    }
    let (conf, found) = policyd_spfs_conf(sources);
    (Some(Arc::new(conf)), found)
}

/// What policyd-spf.conf says; policyd-spf's defaults where there is none.
pub(crate) fn policyd_spfs_conf(sources: &dyn Sources) -> (Conf, Vec<Diagnostic>) {
    // Another machine's configuration says nothing of this one's files.
    let read = match sources.vantage() {
        Vantage::Elsewhere => None,
        _ => sources.read(Path::new(PATH)).ok(),
    };
    let Some(bytes) = read else { return (Conf::default(), Vec::new()) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (mut conf, mut found) = Conf::read(&Arc::new(SourceFile { path: PATH.into(), text }));
    if let Some((path, place)) = conf.per_user.clone() {
        match sources.read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                found.extend(conf.read_users(&Arc::new(SourceFile { path, text })));
            }
            Err(error) => {
                let message = format!("Per_User's settings for single recipients aren't heeded: {error}");
                let help =
                    "make the file, or take the line out; policyd-spf ends with an error at every message";
                found.push(Diagnostic::warning(UNREADABLE, place, message).help(help));
            }
        }
    }
    (conf, found)
}

#[cfg(test)]
mod tests {
    use crate::configuration::{Configuration, in_memory};
    use policy::spf::policyd::{Conf, PATH};

    fn load(main: &str, file: Option<&str>) -> (Configuration, Vec<String>) {
        let file = file.map(|text| (PATH, text));
        in_memory::asking(main, file.as_slice(), 481..500)
    }

    /// T2.11: what is wrong with policyd-spf's own file is said with its place.
    #[test]
    fn policyd_spfs_file() {
        let text = "HELO_reject = Fail\nmail_from_reject = Fail\nTestOnly = yes\nSocket = /x\nPer_User = text,/etc/x\n";
        let (configuration, found) = load("unix:private/policyd-spf", Some(text));
        let expect = [
            format!("{PATH}:2:1: warning[K0490]: policyd-spf has no setting mail_from_reject"),
            format!("{PATH}:3:1: warning[K0491]: TestOnly can't be `yes`"),
            format!("{PATH}:4:1: warning[K0492]: Socket isn't heeded here"),
            format!("{PATH}:5:1: warning[K0481]: Per_User's settings for single recipients aren't heeded: "),
        ];
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.starts_with(&expect), "{found} instead of {expect}");
        }
        assert!(configuration.spf.is_some());
    }

    #[test]
    fn who_is_answered_for() {
        let answers = |main: &str, file| load(main, file).0.spf;
        assert_eq!(answers("unix:private/policyd-spf", None).as_deref(), Some(&Conf::default()));
        let hidden = answers("unix:private/policyd-spf", Some("Hide_Receiver = Yes\n"));
        assert!(hidden.is_some_and(|conf| conf.hide_receiver));
        assert_eq!(answers("unix:private/other", None), None);
        assert_eq!(answers("unix:private/policyd-spf\nkomainu_spf = no", None), None);
    }
}
