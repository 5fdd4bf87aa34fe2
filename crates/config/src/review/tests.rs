use super::*;
use crate::{Compat, Host, Interface, SourceFile};
use std::sync::Arc;

mod layout;
mod main_values;
mod master;
mod samples;

fn file(path: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: path.into(), text: text.to_owned() })
}

/// What the loader and the review say of the two files, the loader's in front.
fn said(main: &str, master: &str) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let level = if main.contains("compatibility_level") { "" } else { "compatibility_level = 3.6\n" };
    let (main, mut loaded) = MainCf::parse(&file("main.cf", &format!("{main}{level}")));
    let (master, more) = MasterCf::parse(&file("master.cf", master));
    loaded.extend(more);
    let address = |text: &str, prefix| Interface { address: text.parse().expect("an address"), prefix };
    let host = Host {
        hostname: "mail.example.org".to_owned(),
        addresses: vec![address("127.0.0.1", 8), address("192.0.2.5", 24)],
    };
    let (parameters, more) = Parameters::new(&main, &host, Compat::default());
    loaded.extend(more);
    loaded.extend(crate::check_names(&main, &master));
    let subject = Subject { main: &main, master: &master, parameters: &parameters };
    (loaded, review(&subject))
}

/// The review's findings as `error K0141 main.cf:1:22`.
#[track_caller]
fn check(main: &str, master: &str, expect: &[&str]) {
    // Most cases aren't about mail that goes out.
    let goes_out = if master.contains("smtpd") && !master.contains("smtp unix") {
        "smtp unix - - n - - smtp\n"
    } else {
        ""
    };
    let (_, found) = said(main, &format!("{master}{goes_out}"));
    let shown: Vec<String> =
        found.iter().map(|one| format!("{} {} {}", one.severity, one.code, one.place)).collect();
    assert_eq!(shown, expect, "{main}\n{master}\n{found:#?}");
    for one in &found {
        let page = format!("{}/../../docs/diagnostics/{}.md", env!("CARGO_MANIFEST_DIR"), one.code);
        assert!(std::path::Path::new(&page).exists(), "{page} is missing");
        assert!(one.help.is_some(), "{one}");
    }
}

/// What the text becomes when all repairs of loader and review are made.
fn repaired(main: &str) -> String {
    let (loaded, found) = said(main, "");
    let mut fixes: Vec<crate::Fix> = loaded.into_iter().chain(found).filter_map(|one| one.fix).collect();
    fixes.sort_by_key(|fix| std::cmp::Reverse(fix.place.start));
    let mut text = main.to_owned();
    for fix in fixes {
        text.replace_range(fix.place.start..fix.place.end, &fix.replacement);
    }
    text
}
