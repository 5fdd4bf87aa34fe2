//! `postmap` and `postalias` write LMDB and cdb files: the same rows, messages and permissions as Debian's, which
//! read what we wrote and go on with it. T1.7.

use crate::program::{Folder, Ran, oracle};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const TABLE: &str = "# x\nkey value one\nfoo\nKEY2  v2\nkey dup\nal: b\n\"a b\" quoted\nÄ ö\nz v\n";
const ALIASES: &str = "root: me, you\nTwo: |\"x y\"\nroot: dup\nbad\na@b: c\n\"q x\": d\n";

/// The same files in two folders, one for each side.
struct Sides {
    ours: Folder,
    theirs: Folder,
}

impl Sides {
    fn new() -> Option<Sides> {
        oracle("postmap")?;
        for needed in
            ["/usr/lib/postfix/postfix-cdb.so", "/usr/lib/postfix/postfix-lmdb.so", "/usr/bin/mdb_dump"]
        {
            if !Path::new(needed).exists() {
                assert!(std::env::var_os("CI").is_none(), "no {needed}");
                println!("not compared: {needed} isn't installed");
                return None;
            }
        }
        let sides = Sides { ours: Folder::new(), theirs: Folder::new() };
        for (name, text) in [
            ("t", TABLE.as_bytes()),
            ("al", ALIASES.as_bytes()),
            ("empty", b""),
            ("long", format!("{} v\n", "k".repeat(600)).as_bytes()),
            ("f1", b"hi\n"),
            ("f2", b"there \xff\n"),
            ("files", b"k f1 f2\nk2 nonexist\nk3 f2\n"),
        ] {
            sides.ours.write(name, text);
            sides.theirs.write(name, text);
        }
        Some(sides)
    }

    /// Runs `program arguments` on either side; what they say is alike.
    fn check(&self, line: &str, input: &[u8]) -> Ran {
        let (program, words) = line.split_once(' ').expect("a program and words");
        let words: Vec<&str> = words.split(' ').collect();
        let ours = self.ours.run(self.ours.path().join("bin").join(program), &words, input);
        let theirs = self.theirs.run(Path::new("/usr/sbin").join(program), &words, input);
        assert_eq!(ours, theirs, "{line}");
        ours
    }

    /// What the file has on each side, told by a tool of neither.
    fn compare(&self, file: &str, after: &str) {
        let dump = |folder: &Folder| {
            let path = folder.path().join(file);
            let ran = if file.ends_with(".lmdb") {
                folder.run("/usr/bin/mdb_dump", &["-n", "-p", &path.display().to_string()], b"")
            } else {
                Ran { out: format!("{:?}", std::fs::read(&path)), errors: String::new(), code: Some(0) }
            };
            let time = |line: &str| line.len() == 11 && line.trim().bytes().all(|b| b.is_ascii_digit());
            let rows = ran.out.lines().filter(|line| !line.starts_with("mapsize") && !time(line));
            (rows.map(str::to_owned).collect::<Vec<_>>(), ran.errors, ran.code)
        };
        assert_eq!(dump(&self.ours), dump(&self.theirs), "{file} after {after}");
        let mode = |folder: &Folder| folder.path().join(file).metadata().expect("there").mode();
        assert_eq!(mode(&self.ours), mode(&self.theirs), "mode of {file} after {after}");
    }
}

#[test]
fn files_have_the_same_rows() {
    let Some(sides) = Sides::new() else { return };
    for (name, options) in [
        ("t", &["", "-w ", "-r ", "-f ", "-n ", "-N ", "-nf ", "-r -f ", "-u ", "-o ", "-p ", "-v "][..]),
        ("empty", &[""]),
        ("files", &["-F "]),
    ] {
        for kind in ["lmdb", "cdb"] {
            for option in options {
                let line = format!("postmap {option}{kind}:{name}");
                if *option == "-v " {
                    continue;
                }
                sides.check(&line, b"");
                // Debian's keeps the second row too, which no search finds.
                if line != "postmap -w cdb:t" {
                    sides.compare(&format!("{name}.{kind}"), &line);
                }
                std::fs::remove_file(sides.ours.path().join(format!("{name}.{kind}"))).expect("removes");
                std::fs::remove_file(sides.theirs.path().join(format!("{name}.{kind}"))).expect("removes");
            }
        }
    }
}

#[test]
fn aliases() {
    let Some(sides) = Sides::new() else { return };
    sides.check("postalias lmdb:al", b"");
    sides.compare("al.lmdb", "postalias");
    sides.check("postalias cdb:al", b"");
    for line in ["-q ROOT lmdb:al", "-q two cdb:al", "-q nobody lmdb:al", "-z", "-b x", "-q - lmdb:al"] {
        sides.check(&format!("postalias {line}"), b"root\nnone\ntwo\n");
    }
    // The text is served; where it is gone, the database.
    std::fs::remove_file(sides.ours.path().join("al")).expect("removes");
    std::fs::remove_file(sides.theirs.path().join("al")).expect("removes");
    sides.check("postalias -q root cdb:al", b"");
    let listed = sides.ours.run(sides.ours.path().join("bin/postalias"), &["-s", "lmdb:al"], b"");
    assert!(listed.out.contains("root:\tme, you\n"), "{listed:?}");
}

#[test]
fn newaliases_builds_alias_database() {
    let folder = Folder::new();
    folder.write("main.cf", format!("alias_database = lmdb:{}\n", folder.path().join("al").display()));
    folder.write("al", "root: me\n");
    let ran = folder.run(folder.path().join("bin/newaliases"), &["-v"; 0], b"");
    assert_eq!((ran.errors.as_str(), ran.code), ("", Some(0)));
    std::fs::remove_file(folder.path().join("al")).expect("removes");
    let ran = folder.run(folder.path().join("bin/postalias"), &["-q", "root", "lmdb:al"], b"");
    assert_eq!(ran.out, "me\n");
}

#[test]
fn rows_are_added_and_deleted() {
    let Some(sides) = Sides::new() else { return };
    let steps: &[(&str, &[u8])] = &[
        ("postmap lmdb:t", b""),
        ("postmap -i lmdb:t", b"new one\nkey other\nbad\n"),
        ("postmap -w -i lmdb:t", b"key other\nmore 2\n"),
        ("postmap -r -i lmdb:t", b"KEY replaced\n"),
        ("postmap -q key lmdb:t", b""),
        ("postmap -q KEY2 lmdb:t", b""),
        ("postmap -s lmdb:t", b""),
        ("postmap -d NEW lmdb:t", b""),
        ("postmap -d NEW lmdb:t", b""),
        ("postmap -q new lmdb:t", b""),
        ("postmap -n -i lmdb:t", b"key bare\n"),
        ("postmap -q key lmdb:t", b""),
        ("postmap -d key lmdb:t", b""),
        ("postmap -q key lmdb:t", b""),
        ("postmap -N -d key lmdb:t", b""),
        ("postmap -n -d key lmdb:t", b""),
        ("postmap -d - lmdb:t", b"z\nnone\nmore\n"),
        ("postmap -f -i lmdb:t", b"Case kept\n"),
        ("postmap -f -q Case lmdb:t", b""),
        ("postmap -q Case lmdb:t", b""),
        ("postmap -d Case lmdb:t", b""),
        ("postmap -f -d Case lmdb:t", b""),
        ("postmap -i lmdb:fresh", b"a b\n"),
        ("postmap -q a lmdb:fresh", b""),
        ("postmap -d zz lmdb:fresh lmdb:t", b""),
        ("postmap -d a lmdb:t lmdb:fresh", b""),
    ];
    for (line, input) in steps {
        sides.check(line, input);
        sides.compare("t.lmdb", line);
    }
    sides.compare("fresh.lmdb", "all of it");
    sides.check("postmap lmdb:t", b"");
    sides.compare("t.lmdb", "a new build");
}

#[test]
fn what_goes_wrong_is_said_alike() {
    let Some(sides) = Sides::new() else { return };
    for line in [
        "postmap lmdb:nope",
        "postmap cdb:nope",
        "postmap lmdb:long",
        "postmap -i cdb:t",
        "postmap -d key cdb:t",
        "postmap lmdb:/nofolder/x",
        "postmap lmdb:t cdb:t nope",
    ] {
        sides.check(line, b"a b\n");
    }
    let left: Vec<PathBuf> = std::fs::read_dir(sides.ours.path())
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().matches('.').count() > 3)
        .collect();
    assert!(left.is_empty(), "a temporary file stays: {left:?}");
    let ran = sides.ours.postmap(&["-q", "k", "lmdb:nope"], b"");
    assert_eq!(ran.errors, "postmap: fatal: open database nope: No such file or directory\n");
}

#[test]
fn a_file_that_failed_leaves_the_old_one() {
    let folder = Folder::new();
    folder.write("t", "a b\n");
    assert_eq!(folder.postmap(&["lmdb:t"], b"").code, Some(0));
    let before = std::fs::read(folder.path().join("t.lmdb")).expect("built");
    folder.write("t", format!("a c\n{} v\n", "k".repeat(600)));
    assert_eq!(folder.postmap(&["lmdb:t"], b"").code, Some(1));
    assert_eq!(std::fs::read(folder.path().join("t.lmdb")).expect("there"), before);
}

#[test]
fn permissions_are_the_sources() {
    let Some(sides) = Sides::new() else { return };
    for mode in [0o600, 0o640, 0o664, 0o755, 0o444] {
        for folder in [&sides.ours, &sides.theirs] {
            let set = |name: &str, mode: u32| {
                let path = folder.path().join(name);
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("sets");
            };
            drop(std::fs::remove_file(folder.path().join("t.lmdb")));
            drop(std::fs::remove_file(folder.path().join("t.cdb")));
            set("t", mode);
        }
        for line in ["postmap lmdb:t", "postmap cdb:t", "postmap lmdb:t", "postmap -d key lmdb:t"] {
            sides.check(line, b"");
        }
        sides.compare("t.lmdb", "chmod");
        sides.compare("t.cdb", "chmod");
    }
}

/// What a user owns is written with the user's rights: root is not led astray in a user's folder.
#[test]
fn root_writes_as_the_owner() {
    let Some(sides) = Sides::new() else { return };
    if !rustix::process::geteuid().is_root() {
        println!("not compared: needs root");
        return;
    }
    const USER: u32 = 12_345;
    for folder in [&sides.ours, &sides.theirs] {
        let owned = folder.path().join("home");
        std::fs::create_dir(&owned).expect("makes");
        for name in ["home", "home/t", "t"] {
            let path = folder.path().join(name);
            if name == "home/t" {
                std::fs::write(&path, "a b\n").expect("writes");
            }
            std::os::unix::fs::chown(&path, Some(USER), Some(USER)).expect("gives");
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("opens");
        folder.write("roots", "x y\n");
    }
    for line in
        ["postmap lmdb:home/t", "postmap cdb:home/t", "postmap lmdb:t", "postmap lmdb:home/t lmdb:roots"]
    {
        sides.check(line, b"");
    }
    for folder in [&sides.ours, &sides.theirs] {
        let owner = |name: &str| folder.path().join(name).metadata().map(|metadata| metadata.uid()).ok();
        assert_eq!(
            ["home/t.lmdb", "home/t.cdb", "t.lmdb", "roots.lmdb"].map(owner),
            [Some(USER), Some(USER), None, Some(0)]
        );
    }
}

/// `rsync -a` brings an older text beside a newer database: postmap puts the text in force, as people expect.
#[test]
fn postmap_puts_an_older_text_in_force() {
    let Some(sides) = Sides::new() else { return };
    sides.theirs.run("/usr/sbin/postmap", &["hash:t"], b"");
    std::fs::copy(sides.theirs.path().join("t.db"), sides.ours.path().join("t.db")).expect("copies");
    let asks = || sides.ours.postmap(&["-q", "key", "hash:t"], b"").out;
    assert_eq!(asks(), "value one\n");
    sides.ours.write("t", "key edited\n");
    assert_eq!(asks(), "value one\n", "the database is newer than the text's date");
    let table = sides.ours.komainu(&["table", "lookup", "hash:t", "key"]);
    assert!(table.out.contains("t.db"), "{table:?}");
    let checked = sides.ours.komainu(&["table", "check", "hash:t"]);
    assert!(checked.out.contains("K0320"), "{checked:?}");
    assert_eq!(sides.ours.postmap(&["hash:t"], b""), Ran { code: Some(0), ..Ran::default() });
    assert_eq!(asks(), "edited\n");
}

/// A text that is gone: each type's database answers, as Debian's postmap made it.
#[test]
fn databases_without_text() {
    let Some(sides) = Sides::new() else { return };
    for kind in ["hash", "btree", "lmdb", "cdb"] {
        let suffix = if kind.len() == 4 && kind != "hash" {
            "lmdb"
        } else if kind == "cdb" {
            "cdb"
        } else {
            "db"
        };
        sides.theirs.write("u", TABLE);
        sides.theirs.run("/usr/sbin/postmap", &[&format!("{kind}:u")], b"");
        let built = format!("u.{suffix}");
        std::fs::copy(sides.theirs.path().join(&built), sides.ours.path().join(&built)).expect("copies");
        for line in [
            format!("postmap -q key {kind}:u"),
            format!("postmap -q KEY2 {kind}:u"),
            format!("postmap -q none {kind}:u"),
            format!("postmap -q - {kind}:u"),
        ] {
            sides.check(&line, b"key\nal:\nnone\n\"a b\"\n\xc3\xa4\n");
        }
        if kind == "btree" || kind == "lmdb" {
            sides.check(&format!("postmap -s {kind}:u"), b"");
        }
        std::fs::remove_file(sides.ours.path().join(built)).expect("removes");
    }
}

#[test]
fn contents_of_files_in_a_database() {
    let Some(sides) = Sides::new() else { return };
    sides.check("postmap -F lmdb:files", b"");
    for line in ["postmap -F -q k lmdb:files", "postmap -F -q k3 lmdb:files", "postmap -F -s lmdb:files"] {
        sides.check(line, b"");
    }
    std::fs::remove_file(sides.ours.path().join("files")).expect("removes");
    sides.check("postmap -F -q k lmdb:files", b"");
}

/// The process's own environment is a table.
#[test]
fn environ() {
    let folder = Folder::new();
    let ran = folder.run(
        "/usr/bin/env",
        &["komainu_test=here", "bin/postmap", "-q", "Komainu_Test", "environ:x"],
        b"",
    );
    assert_eq!((ran.out.as_str(), ran.code), ("here\n", Some(0)));
    let ran = folder.postmap(&["-s", "environ:x"], b"");
    assert_eq!(ran.errors, "postmap: fatal: table environ:x: sequence operation is not supported\n");
}
