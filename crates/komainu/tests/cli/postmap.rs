//! `postmap` beside Debian's: the same output, the same warnings, the same exit codes. T1.7, T2.6.

use crate::program::{Folder, Ran, oracle};
use std::collections::BTreeSet;

const TABLE: &str = "# x\nkey value one\nfoo\nKEY2  v2\nkey dup\nal: b\n\"a b\" quoted\n";

const MESSAGE: &str = "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"outer\"\nSubject: x\n\n\
preamble\n--outer\nContent-Type: multipart/alternative; boundary=inner (comment)\n\ninner preamble\n--inner\n\
Content-Type: text/plain;\n name=x\n\nalt\n--inner\nno header here\nmore\n--inner--\ninner epilogue\n--outer\n\
Content-Type: message/rfc822\n\nSubject: attached\n folded\nContent-Type: multipart/mixed; boundary=\"deep\"\n\n\
--deep\n\nplain deep\n--deep\nX-A: b\n--outer\nContent-Type: message/partial\n\nSubject: partial\n--outer\n\
Content-Type: message/external-body; x=y\n\nContent-Id: <x>\n\nphantom\n--outer--\nafter\n--outer\nX-B: again\n";

/// Both programs in one folder; `None` where there is nothing to compare with.
struct Both {
    folder: Folder,
    theirs: std::path::PathBuf,
}

impl Both {
    fn new() -> Option<Both> {
        let theirs = oracle("postmap")?;
        let folder = Folder::new();
        folder.write("t", TABLE);
        folder.write("tb", TABLE);
        folder.write("re", "/^/ X\n");
        folder.write("subjects", "/^Subject: (.*)/ REJECT $1\n/oops\n");
        folder.write("nets", "192.0.2.0/24 REJECT\n192.0.2.1/24 bad\n2001:db8::/32 OK\n");
        folder.write("f1", "hi\n");
        folder.write("f2", "there\n");
        folder.write("files", "k f1 f2\nk2 nonexist\nk3 f2\n");
        Some(Both { folder, theirs })
    }

    fn check(&self, line: &str, input: &[u8]) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.check_words(&words, input);
    }

    /// Many at once: Debian's waits for a second before it ends with `fatal`.
    fn check_all(&self, lines: &[&str]) {
        std::thread::scope(|scope| {
            for line in lines {
                scope.spawn(|| self.check(line, b""));
            }
        });
    }

    fn check_words(&self, words: &[&str], input: &[u8]) {
        let theirs = self.folder.run(&self.theirs, words, input);
        let ours = self.folder.postmap(words, input);
        assert_eq!(ours, known(theirs), "postmap {}", words.join(" "));
    }

    /// As [`Both::check`], lines in any order: they come in the order of a database there, of the source here.
    fn check_unordered(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let lines = |ran: &Ran| ran.out.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let theirs = known(self.folder.run(&self.theirs, &words, b""));
        let ours = self.folder.postmap(&words, b"");
        assert_eq!(
            (lines(&ours), &ours.errors, ours.code),
            (lines(&theirs), &theirs.errors, theirs.code),
            "{line}"
        );
    }
}

/// What differs on purpose: no built file is named, and Debian's packages aren't.
fn known(mut ran: Ran) -> Ran {
    ran.errors = ran
        .errors
        .replace("open database nofile.db:", "open database nofile:")
        .replace("foo. Is the postfix-foo package installed?", "foo");
    ran
}

#[test]
fn building_warns_alike() {
    let Some(both) = Both::new() else { return };
    // These write databases, one after another.
    for line in [
        "t",
        "hash:t",
        "btree:tb",
        "-w hash:t",
        "-N hash:t",
        "-nopuU hash:t",
        "-f btree:tb",
        "t nofile",
        "-F hash:files",
        "t -q key",
    ] {
        both.check(line, b"");
    }
    both.check_all(&[
        "nofile",
        "hash:/x/y",
        "texthash:nofile",
        "texthash:t",
        "cidr:nets",
        "cidr:nofile",
        "regexp:re",
        "foo:t",
        "fail:x",
        "-- -q",
        "-c /nodir t",
        "-c",
        "-z",
        "",
        "-s",
        "-h hash:t",
        "-m t",
        "-b -q key t",
        "-q a -d b t",
        "-q a -s t",
        "-s -q a t",
        "-q a -q b t",
    ]);
    both.check_words(&[""], b"");
}

/// Other texts than Debian's, said plainly.
#[test]
fn what_would_change_a_file_is_refused() {
    let folder = Folder::new();
    folder.write("t", TABLE);
    let check = |line: &str, input: &str, code: i32, says: &str| {
        let ran = folder.postmap(&line.split_whitespace().collect::<Vec<_>>(), input.as_bytes());
        assert_eq!(ran.code, Some(code), "{line}: {ran:?}");
        assert_eq!(ran.errors, says, "{line}");
    };
    check(
        "-d key hash:t",
        "",
        1,
        "postmap: fatal: -d: tables are served from their text; delete the line of \"key\" in t\n",
    );
    check("-i hash:t", "", 0, "");
    check(
        "-i hash:t",
        "new v\n",
        1,
        "postmap: fatal: -i: tables are served from their text; add the lines to t\n",
    );
    assert!(!folder.path().join("t.db").exists());
    assert_eq!(folder.postmap(&["t"], b"").code, Some(0));
    assert!(!folder.path().join("t.db").exists(), "nothing is written");
}

#[test]
fn queries_answer_alike() {
    let Some(both) = Both::new() else { return };
    both.folder.run(&both.theirs, &["hash:t", "btree:tb"], b"");
    both.check_all(&[
        "-q key t",
        "-q KEY hash:t",
        "-q nope hash:t",
        "-q key2 texthash:t hash:t",
        "-q key hash:t nofile",
        "-q key nofile hash:t",
        "-qkey btree:tb",
        "-q foo hash:t",
        "-q al: hash:t",
        "-f -q KEY hash:t",
        "-f -q key2 hash:t",
        "-f -q KEY2 hash:t",
        "-f -q KEY2 texthash:t",
        "-f -q key2 texthash:t",
        "-q x static:y",
        "-q x fail:y",
        "-q a inline:{a=b}",
        "-q a inline:a=b",
        "-q 192.0.2.7 cidr:nets",
        "-q 2001:db8::1 cidr:nets",
        "-q x cidr:nofile",
        "-q x regexp:nofile",
        "-q x texthash:nofile",
        "-q x foo:t",
        "-q x ldap:y",
        "-q x :y",
        "-q x pcre:",
        "-q x unix:foo",
        "-q root unix:passwd.byname",
        "-q Subject:x regexp:subjects",
        "-F -q k texthash:files",
        "-F -q k2 texthash:files",
        "-q k hash:nofile",
        "-s fail:y",
        "-s static:x",
        "-s unix:passwd.byname",
        "-s inline:{a=b}",
        "-s nofile",
        "-s randmap:{a}",
    ]);
    for line in ["-s t", "-s hash:t", "-s texthash:t", "-s -s hash:t", "-s hash:t nofile"] {
        both.check_unordered(line);
    }
    both.check_words(&["-q", "", "static:x"], b"");
    both.check_words(&["-q", "", "hash:t"], b"");
    both.check_words(&["-q", "a b", "hash:t"], b"");
    both.check_words(&["-q", "\"a b\"", "hash:t"], b"");
    both.check_words(&["-q", "Subject: buy", "regexp:subjects"], b"");
}

/// A database that was built with -F is read with -F; here the text names the files.
#[test]
fn contents_of_files() {
    let Some(both) = Both::new() else { return };
    both.folder.run(&both.theirs, &["-F", "hash:files"], b"");
    both.check("-F -q k hash:files", b"");
    both.check("-F -q k2 hash:files", b"");
    both.check_unordered("-F -s hash:files");
}

#[test]
fn keys_from_standard_input() {
    let Some(both) = Both::new() else { return };
    both.folder.run(&both.theirs, &["hash:t"], b"");
    let keys = b"key\nKEY2\nnone\n\nkey ws\n\"a b\"\nkey";
    for line in ["-q - hash:t", "-q - hash:t texthash:t", "-q - static:x", "-q - fail:x"] {
        both.check(line, keys);
    }
    // Postfix loses what it hasn't printed yet.
    let ran = both.folder.postmap(&["-q", "-", "static:a", "nofile"], b"b\n");
    assert_eq!((ran.out.as_str(), ran.code), ("b\ta\n", Some(0)));
    let ran = both.folder.postmap(&["-q", "-", "texthash:re", "nofile"], b"/^/\nb\n");
    assert_eq!((ran.out.as_str(), ran.code), ("/^/\tX\n", Some(1)), "{ran:?}");
    both.check("-q - hash:t", b"");
    both.check("-q - hash:t", b"zz\n");
    both.check("-q - static:x", b"a\xff\nb\n");
}

#[test]
fn messages_from_standard_input() {
    let Some(both) = Both::new() else { return };
    let shapes = [
        MESSAGE,
        "From x\nSubject: a\n\nb",
        "Sub ject: a\nTo : b\n c\n \nbody: x\n",
        "To : b\n c\n\nbody: x\n",
        "\nTo : b",
        " x\nTo: b",
        "Subject: a\n\tb",
        "Content-Type: multipart/mixed; boundary=a; x=y\n\n--a\nX: 1\n\n--ab\nY: 1\n--a-- \nz\n",
        "Content-Type: multipart/mixed; charset=x; BOUNDARY = \"a\"\n\n--a\nContent-Type: MESSAGE/RFC822\n\nSubject: z\n\nb\n",
        "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: of a digest\n\nb\n--a--\n",
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nb\n",
        "Content-Type: message/global\n\nSubject: y\n\nb\n",
        "Content-Type: message/news\n\nSubject: y\n\nb\n",
        "Content-Type: text/plain; boundary=a\n\n--a\nX: y\n",
        "Content-Type: multipart/mixed\n\n--\nX: y\n",
        "",
    ];
    for shape in shapes {
        for parts in ["-h", "-b", "-hb", "-hm", "-bm", "-hbm"] {
            both.check(&format!("{parts} -q - regexp:re"), shape.as_bytes());
        }
    }
}

#[test]
fn default_database_type() {
    let Some(both) = Both::new() else { return };
    both.folder.write("main.cf", "compatibility_level = 3.6\ndefault_database_type = texthash\n");
    both.check("-q key t", b"");
    both.check("t", b"");
}

/// T1.7: a saved edit is what the next query sees.
#[test]
fn a_saved_edit_is_live() {
    let folder = Folder::new();
    folder.write("t", "a REJECT\n");
    assert_eq!(folder.postmap(&["-q", "a", "hash:t"], b"").out, "REJECT\n");
    folder.write("t", "a OK\n");
    assert_eq!(folder.postmap(&["-q", "a", "hash:t"], b"").out, "OK\n");
}
