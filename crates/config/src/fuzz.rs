//! What fuzz targets call: outside bytes in, a panic when something that must hold doesn't.
//!
//! Checked: places lie inside the file and hold the words, expansion is bounded, a mended `-o` reads the same.

use crate::conf::{
    Class, Conf, Folding, Machine, MainEdit, MainRequest, MasterEdit, MasterRequest, Sources, edit_main,
    edit_master, fold_setting,
};
use crate::review::{Subject, review};
use crate::{Compat, Host, MainCf, MasterCf, Parameters, Place, SourceFile, check_names};
use std::sync::Arc;

/// Reads `bytes` as main.cf and asks for every value in each way.
pub fn main_cf(bytes: &[u8]) {
    let file = source("main.cf", bytes);
    let (main, diagnostics) = MainCf::parse(&file);
    let host = Host { hostname: "vm".to_owned(), addresses: Vec::new() };
    let (parameters, more) = Parameters::new(&main, &host, Compat::V3_11);
    for diagnostic in diagnostics.iter().chain(&more).chain(&check_names(&main, &MasterCf::default())) {
        assert_inside(&diagnostic.place);
    }
    for (name, raw) in parameters.definitions() {
        assert_inside(&raw.place);
        for word in parameters.list(name) {
            assert_inside(&word.place);
            let as_written = !word.value.contains('$') && !word.place.text().contains(['$', '}', ')', '\n']);
            assert!(!as_written || word.place.text() == word.value, "{} at {}", word.value, word.place);
        }
        let text = parameters.text(name);
        assert!(text.value.len() <= (2 << 20), "{name} grew to {} bytes", text.value.len());
        let _read = (parameters.flag(name), parameters.number(name), parameters.duration(name));
    }
    reviewed(&main, &MasterCf::default(), &parameters);
    let _under_stress = parameters.with_stress(true).text("smtpd_timeout");
}

/// Reads `bytes` as master.cf.
pub fn master_cf(bytes: &[u8]) {
    let file = source("master.cf", bytes);
    let (master, diagnostics) = MasterCf::parse(&file);
    for diagnostic in &diagnostics {
        assert_inside(&diagnostic.place);
    }
    let (parameters, _) = Parameters::new(&MainCf::empty(), &Host::default(), Compat::V3_7);
    for service in &master.services {
        let _roles = (service.role(), service.endpoint());
        for word in service.arguments.iter().chain([&service.name, &service.command]) {
            assert_inside(&word.place);
        }
        let (own, _) = parameters.with_overrides(&service.overrides);
        for one in &service.overrides {
            assert_inside(&one.value.place);
            assert!(own.is_set(&one.name.value), "{} isn't in force", one.name.value);
            let _words = own.list(&one.name.value);
        }
    }
    let _names = check_names(&MainCf::empty(), &master);
    reviewed(&MainCf::empty(), &master, &parameters);
}

fn reviewed(main: &MainCf, master: &MasterCf, parameters: &Parameters) {
    for diagnostic in review(&Subject { main, master, parameters }) {
        assert_inside(&diagnostic.place);
        if let Some(fix) = &diagnostic.fix {
            assert_inside(&fix.place);
        }
    }
}

/// Edits `bytes` as main.cf and as master.cf, and asks `Conf` for everything in them.
pub fn conf(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(request) = MainRequest::parse(MainEdit::Set, "relayhost=[192.0.2.1]:25") {
        let (set, _) = edit_main(&text, "main.cf", MainEdit::Set, std::slice::from_ref(&request));
        let (again, _) = edit_main(&set, "main.cf", MainEdit::Set, std::slice::from_ref(&request));
        assert_eq!(set, again, "a second edit changes nothing");
        let (gone, _) = edit_main(&set, "main.cf", MainEdit::Remove, &[request]);
        assert!(!gone.lines().any(|line| line.starts_with("relayhost =")), "it is gone");
    }
    for (edit, word) in [
        (MasterEdit::SetParameter, "*/*/a=b"),
        (MasterEdit::RemoveParameter, "*/*/a"),
        (MasterEdit::SetField, "*/*/chroot=n"),
        (MasterEdit::SetEntry, "x/unix=x unix - - n - - smtp -o {a = b c}"),
        (MasterEdit::CommentOutEntry, "*/*"),
    ] {
        let Ok(request) = MasterRequest::parse(edit, word) else { continue };
        if let Ok((edited, _)) = edit_master(&text, "master.cf", edit, &[request]) {
            let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
            assert!(comments(&edited) >= comments(&text), "no comment is lost");
        }
    }
    let sources = Sources { directory: "/c", main: Some(&text), master: Some(&text), ..Sources::default() };
    let main = Sources { master: None, ..sources };
    let master = Sources { main: None, ..sources };
    for sources in [sources, main, master] {
        let Ok((conf, _)) = Conf::read(&sources, &Machine::default()) else { continue };
        for name in conf.names(&Class::ALL, true) {
            let value = conf.value(&name).unwrap_or_default();
            let _folded = (fold_setting(&name, &value, Folding::At80), conf.expanded(&name, &value));
        }
        for entry in conf.entries() {
            let _printed = (entry.print(Folding::At80), entry.print_command("x", Folding::Never));
        }
        let _unused = (conf.unused_in_main(), conf.unused_in_master());
    }
}

fn source(path: &str, bytes: &[u8]) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: path.into(), text: String::from_utf8_lossy(bytes).into_owned() })
}

fn assert_inside(place: &Place) {
    if let Some(file) = &place.file {
        assert!(file.text.get(place.start..place.end).is_some(), "{}..{} is outside", place.start, place.end);
        assert!(place.line() >= 1 && place.column() >= 1, "{place} counts from 1");
    }
}
