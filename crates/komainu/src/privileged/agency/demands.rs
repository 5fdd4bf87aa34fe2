//! What a server that was broken into may have done: nothing but what root, an alias or a user has written down.
//!
//! Each kind of request is asked for as it may be, and as it may not.

use super::{Agency, Step};
use crate::configuration::DirectSources;
use crate::privileged::wire::{Answer, LocalAct, LocalRequest};
use config::{Compat, Host, MainCf, Parameters};
use policy::address::AddressClasses;
use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use tables::Catalogue;
use tempfile::TempDir;

/// Aliases, one user with a home and a `.forward` file, a list that the aliases name.
struct Ground {
    folder: TempDir,
    agency: Agency,
}

impl Ground {
    fn new() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(at("home")).unwrap();
        let own = format!("\"|touch {0}/own\", {0}/own-file\n", at(""));
        fs::write(at("home/.forward"), own).unwrap();
        fs::write(at("list"), format!("\"|touch {0}/list-ran\"\n{0}/list-file\n", at(""))).unwrap();
        let aliases = format!(
            "all: :include:{}\nprog: \"|touch {1}/prog\"\nfile: {1}/alias-file\n",
            at("list"),
            at("")
        );
        fs::write(at("aliases"), aliases).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        fs::write(at("passwd"), format!("joe:x:{uid}:{uid}::{}:/bin/sh\n", at("home"))).unwrap();
        let mut main = MainCf::empty();
        main.set("alias_maps", format!("hash:{}", at("aliases")));
        main.set("mail_spool_directory", at("spool"));
        main.set("mailbox_command", format!("touch {}", at("mailbox-command")));
        main.set("queue_directory", at(""));
        main.set("mydestination", "example.com");
        let host = Host { hostname: "mx.example.com".into(), addresses: Vec::new() };
        let (p, _) = Parameters::new(&main, &host, Compat::V3_7);
        let (classes, _) = AddressClasses::compile(&p, &mut Catalogue::new(), &DirectSources);
        let agency = Agency::compile(&p, &Arc::new(classes), false).with_accounts(Path::new(&at("passwd")));
        Ground { folder, agency }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn ask(&self, recipient: &str, chain: Vec<Step>, act: LocalAct) -> (Answer, Option<OwnedFd>) {
        let content = File::open("/dev/null").unwrap();
        let content = (act != LocalAct::Look).then_some(content);
        let request = LocalRequest {
            recipient: recipient.into(),
            chain,
            act,
            from_line: b"From x\n".to_vec(),
            head: Vec::new(),
            environment: Vec::new(),
            length: 0,
        };
        self.agency.perform(&request, content)
    }

    /// Whether it is done; `trace` is the file that it leaves, and leaves only then.
    fn does(&self, chain: &[Step], act: &LocalAct, trace: &str) -> bool {
        let trace = self.at(trace);
        let (answer, _) = self.ask("joe@example.com", chain.to_vec(), act.clone());
        let is_done = matches!(answer, Answer::Said(_) | Answer::Done);
        assert_eq!(Path::new(&trace).exists(), is_done, "{chain:?} {act:?}: {answer:?}");
        let _ = fs::remove_file(&trace);
        is_done
    }
}

fn alias(name: &str) -> Step {
    Step::Alias(name.into())
}

#[test]
fn commands_and_files_are_done_where_they_are_written_and_nowhere_else() {
    let ground = Ground::new();
    let forward = Step::Forward { user: "joe".into(), path: ground.at("home/.forward") };
    let list = Step::Include(ground.at("list"));
    let ran = |name: &str| LocalAct::Command(format!("touch {}/{name}", ground.at("")));
    let file = |name: &str| LocalAct::File(format!("{}/{name}", ground.at("")));
    let check = |chain: &[Step], act: LocalAct, trace: &str, expect: bool| {
        assert_eq!(ground.does(chain, &act, trace), expect, "{chain:?} {act:?}");
    };
    check(std::slice::from_ref(&forward), ran("own"), "own", true);
    check(std::slice::from_ref(&forward), file("own-file"), "own-file", true);
    check(&[alias("prog")], ran("prog"), "prog", true);
    check(&[alias("file")], file("alias-file"), "alias-file", true);
    // Nobody has written these, or not there.
    check(&[], ran("own"), "own", false);
    check(&[], ran("any"), "any", false);
    check(&[], file("own-file"), "own-file", false);
    check(&[], file("any-file"), "any-file", false);
    check(std::slice::from_ref(&forward), ran("prog"), "prog", false);
    check(&[alias("prog")], file("alias-file"), "alias-file", false);
    check(&[alias("none")], ran("prog"), "prog", false);
    // allow_mail_to_commands and allow_mail_to_files: not in lists.
    check(&[alias("all"), list.clone()], ran("list-ran"), "list-ran", false);
    check(&[alias("all"), list.clone()], file("list-file"), "list-file", false);
    // A list that nobody names; an alias or a user in the middle of a chain.
    check(&[list], ran("list-ran"), "list-ran", false);
    check(&[forward.clone(), alias("prog")], ran("prog"), "prog", false);
    check(&[alias("prog"), forward], ran("own"), "own", false);
    let elsewhere = Step::Forward { user: "joe".into(), path: ground.at("list") };
    check(&[elsewhere], ran("list-ran"), "list-ran", false);
}

#[test]
fn mailboxes_are_the_configurations() {
    let ground = Ground::new();
    fs::create_dir(ground.at("spool")).unwrap();
    let command = LocalAct::MailboxCommand(format!("touch {}", ground.at("mailbox-command")));
    let other = LocalAct::MailboxCommand(format!("touch {}/other", ground.at("")));
    assert!(ground.does(&[], &LocalAct::Mailbox, "spool/joe"));
    assert!(ground.does(&[], &command, "mailbox-command"));
    assert!(!ground.does(&[], &other, "other"));
    assert!(!ground.does(&[alias("prog")], &LocalAct::Mailbox, "spool/joe"));
    assert!(!ground.does(&[alias("prog")], &command, "mailbox-command"));
    for nobody in ["ann@example.com", "../joe@example.com", "", "joe/../x@example.com"] {
        let (answer, _) = ground.ask(nobody, Vec::new(), LocalAct::Mailbox);
        assert!(matches!(answer, Answer::Temporary(_)), "{nobody}: {answer:?}");
    }
}

#[test]
fn files_are_shown_where_a_chain_leads_to_them() {
    let ground = Ground::new();
    let shown = |chain: Vec<Step>| ground.ask("joe@example.com", chain, LocalAct::Look).1.is_some();
    let forward = |path: String| Step::Forward { user: "joe".into(), path };
    assert!(shown(vec![forward(ground.at("home/.forward"))]));
    assert!(shown(vec![alias("all"), Step::Include(ground.at("list"))]));
    assert!(!shown(vec![]));
    assert!(!shown(vec![alias("all")]));
    assert!(!shown(vec![forward("/etc/passwd".into())]));
    assert!(!shown(vec![Step::Include("/etc/passwd".into())]));
    assert!(!shown(vec![alias("all"), Step::Include("/etc/passwd".into())]));
    assert!(!shown(vec![forward(ground.at("home/.forward")), Step::Include(ground.at("list"))]));
}
