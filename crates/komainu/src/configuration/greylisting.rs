//! Greylisting as the configuration wants it: Postgrey's own files, where a restriction list asks for Postgrey.
//!
//! /etc/default/postgrey and the whitelists are read only where `check_policy_service` names the endpoint that Postgrey
//! has by its packages, its options or the tutorials (T2.15); `komainu_greylist = no` turns that off. Whether we answer is
//! decided when somebody asks: a server that listens there stays in charge. Diagnostics: K0476, K0477, K0479, K0480.

use super::Listener;
use crate::greylisting::is_postgreys;
use config::{Diagnostic, Parameters, Place, SourceFile};
use policy::greylist::options::DEFAULTS;
use policy::greylist::{Clients, Defaults, Greylist, Keys, Options, Recipients};
use std::path::Path;
use std::sync::Arc;
use tables::{Sources, Vantage};

/// A whitelist that is named and can't be read.
const UNREADABLE: u16 = 479;
/// A value of komainu_greylist_keys that is none.
const UNKNOWN_KEYS: u16 = 480;

/// Reads what Postgrey's files say; `None` where no list asks Postgrey.
#[must_use]
pub(super) fn compile(
    p: &Parameters,
    listeners: &[Listener],
    sources: &dyn Sources,
) -> (Option<Arc<Greylist>>, Vec<Diagnostic>) {
    let mut services =
        listeners.iter().flat_map(Listener::policies).flat_map(policy::Policy::services).peekable();
    if !p.flag("komainu_greylist") || services.peek().is_none() {
        return (None, Vec::new());
    }
    let (options, mut found) = postgreys_options(sources);
    if !services.any(|service| is_postgreys(&service.endpoint, &options)) {
        return (None, Vec::new());
    }
    let keys = p.text("komainu_greylist_keys");
    let known = Keys::parse(&keys.value);
    if known.is_none() {
        let message = format!("komainu_greylist_keys can't be {:?}", keys.value);
        let help = "write postgrey or sender; senders are known by their networks alone, as with postgrey";
        found.push(Diagnostic::warning(UNKNOWN_KEYS, keys.place, message).help(help));
    }
    let options = Options { keys: known.unwrap_or_default(), ..options };
    let (greylist, more) = with_whitelists(options, sources);
    found.extend(more);
    (Some(Arc::new(greylist)), found)
}

/// The options of /etc/default/postgrey; Postgrey's own where there is no such file.
pub(crate) fn postgreys_options(sources: &dyn Sources) -> (Options, Vec<Diagnostic>) {
    // Another machine's configuration says nothing of this one's files.
    if sources.vantage() == Vantage::Elsewhere {
        return (Options::default(), Vec::new());
    }
    match read(sources, Path::new(DEFAULTS)) {
        Ok(file) => Defaults::read(&file).options(),
        Err(_) => (Options::default(), Vec::new()),
    }
}

/// Reads the whitelists that the options name.
pub(crate) fn with_whitelists(options: Options, sources: &dyn Sources) -> (Greylist, Vec<Diagnostic>) {
    let (mut clients, mut recipients) = (Clients::default(), Recipients::default());
    let mut found = Vec::new();
    if sources.vantage() == Vantage::Elsewhere {
        return (Greylist { options, clients, recipients }, found);
    }
    let mut each = |files: Vec<(std::path::PathBuf, Option<Place>)>,
                    add: &mut dyn FnMut(&Arc<SourceFile>) -> Vec<Diagnostic>| {
        for (path, named) in files {
            match (read(sources, &path), named) {
                (Ok(file), _) => found.extend(add(&file)),
                // Nobody named it.
                (Err(_), None) => {}
                (Err(error), Some(place)) => {
                    let message = format!("this whitelist of Postgrey's options isn't heeded: {error}");
                    let help = format!(
                        "make the file, or take it out of {DEFAULTS}; Postgrey starts without it, too"
                    );
                    found.push(Diagnostic::warning(UNREADABLE, place, message).help(help));
                }
            }
        }
    };
    each(options.client_files(), &mut |file| clients.read(file));
    each(options.recipient_files(), &mut |file| recipients.read(file));
    (Greylist { options, clients, recipients }, found)
}

fn read(sources: &dyn Sources, path: &Path) -> Result<Arc<SourceFile>, String> {
    let bytes = sources.read(path).map_err(|error| error.to_string())?;
    Ok(Arc::new(SourceFile { path: path.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() }))
}

#[cfg(test)]
mod tests {
    use crate::configuration::{Configuration, in_memory};
    use policy::greylist::Keys;

    fn load(main: &str, files: &[(&str, &str)]) -> (Configuration, Vec<String>) {
        in_memory::asking(main, files, 476..481)
    }

    /// T2.16: what is wrong with Postgrey's own files is said with its place.
    #[test]
    fn postgreys_files() {
        let options = "POSTGREY_OPTS=\"--inet=10023 --dlay=60 --whitelist-clients=/etc/postgrey/none\"\n";
        let files = [
            ("/etc/default/postgrey", options),
            ("/etc/postgrey/whitelist_recipients", "postmaster@\ntwo words\n"),
        ];
        let (configuration, found) = load("inet:127.0.0.1:10023", &files);
        let expect = [
            "/etc/default/postgrey:1:29: warning[K0476]: --dlay is no option of Postgrey's",
            "/etc/postgrey/whitelist_recipients:2:1: warning[K0477]: this line of a whitelist has no effect: it has blanks",
            "/etc/default/postgrey:1:39: warning[K0479]: this whitelist of Postgrey's options isn't heeded: ",
        ];
        let mut found = found;
        found.sort();
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for expect in expect {
            assert!(found.iter().any(|one| one.contains(expect)), "{expect}: {found:#?}");
        }
        let rules = configuration.greylist.as_ref().expect("greylists");
        assert!(rules.recipients.has("postmaster@example.com") && rules.clients.is_empty());
        for path in
            ["/etc/default/postgrey", "/etc/postgrey/none", "/etc/postgrey/whitelist_recipients.local"]
        {
            assert!(configuration.files().contains(&std::path::PathBuf::from(path)), "{path} is watched");
        }
    }

    #[test]
    fn by_what_senders_are_known() {
        let keys = |main: &str| {
            let (configuration, found) = load(&format!("inet:127.0.0.1:10023\n{main}"), &[]);
            (configuration.greylist.map(|rules| rules.options.keys), found)
        };
        assert_eq!(keys(""), (Some(Keys::Postgrey), Vec::new()));
        assert_eq!(keys("komainu_greylist_keys = sender"), (Some(Keys::Sender), Vec::new()));
        let (known, found) = keys("komainu_greylist_keys = domain");
        assert_eq!(known, Some(Keys::Postgrey));
        assert!(
            matches!(found.as_slice(), [one] if one.contains("warning[K0480]: komainu_greylist_keys can't be \"domain\"")),
            "{found:?}"
        );
    }

    /// Nobody asks Postgrey: its files are nobody's business.
    #[test]
    fn other_services() {
        for main in ["unix:private/policyd-spf", "inet:127.0.0.1:10023\nkomainu_greylist = no"] {
            let (configuration, found) = load(main, &[("/etc/default/postgrey", "POSTGREY_OPTS=\"--no\"\n")]);
            assert!(configuration.greylist.is_none() && found.is_empty(), "{main}: {found:?}");
        }
    }
}
