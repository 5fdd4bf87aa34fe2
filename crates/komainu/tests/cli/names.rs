//! `komainu links`, and being called by an old name. T0.6, T1.7.

use crate::program::Folder;

#[test]
fn links_are_made_and_work() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("old")).expect("a folder");
    folder.write("old/postfix", "something else");
    let ran = folder.komainu(&["links", "old"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("old/postmap made") && ran.errors.contains("--force"), "{ran:?}");
    assert_eq!(folder.komainu(&["links", "--force", "old"]).code, Some(0));
    let usage = folder.run(folder.path().join("old/postmap"), &["-z"], b"");
    assert_eq!(usage.code, Some(1));
    assert!(usage.errors.contains("postmap: fatal: usage: postmap "), "{usage:?}");
}

#[test]
fn wrong_usage() {
    let folder = Folder::new();
    let ran = folder.komainu(&["no-such-command"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(64), ""), "{ran:?}");
    assert_eq!(folder.komainu(&["--version"]).code, Some(0));
}
