//! How attackers and broken programs spell names, and honest names that are not to be taken for others. T1.15.

use super::*;
use proptest::prelude::*;

fn extensions(value: &[u8]) -> BTreeSet<String> {
    names(value).unwrap_or_default().iter().filter_map(|name| extension(name)).collect()
}

const SPELLINGS: &[&[u8]] = &[
    // As it should be.
    b" application/octet-stream; name=\"a.exe\"",
    b" attachment; filename=a.exe",
    b" attachment; FileName = \"A.EXE\"",
    b" attachment;\n\tfilename=\"a.exe\"",
    b" attachment; filename=\"a.exe\"; size=5",
    b" attachment; size=5; filename=a.exe",
    // Quotes that are missing, or too many.
    b" attachment; filename=\"a.exe",
    b" attachment; filename=a.exe\"",
    b" attachment; filename=\"\"a.exe\"\"",
    b" attachment; filename='a.exe'",
    b" attachment; filename=\"a.txt\" .exe",
    b" attachment; filename=\"a.txt\".exe; x=y",
    b" attachment; filename=\"a\\.exe\"",
    b" attachment; filename=\"a.e\\xe\"",
    b" attachment; filename=\"a\\\".exe\"",
    b" attachment; filename=a b.exe",
    b" attachment; filename=a;b.exe",
    b" attachment filename=a.exe",
    b" attachment, filename=a.exe",
    b" filename=a.exe",
    b" attachment;; ;filename=a.exe",
    b" attachment; filename=a.exe, other.txt",
    // Comments.
    b" attachment; filename=(one)a.exe",
    b" attachment; filename(two)=\"a.exe\"",
    b" attachment; (three) filename = (four) a.exe (five)",
    b" attachment; filename=a(.txt).exe",
    b" attachment; filename=a.exe(.txt",
    b" attachment; filename=a(b(c)d).exe",
    b" (\") attachment; filename=a.exe",
    // Said twice.
    b" attachment; filename=a.txt; filename=a.exe",
    b" attachment; filename=a.exe; filename=a.txt",
    b" attachment; name=a.txt; filename=a.exe",
    b" attachment; filename=a.txt; filename*=utf-8''a.exe",
    b" attachment; filename*=utf-8''a.txt; filename=a.exe",
    // RFC 2231.
    b" attachment; filename*=utf-8''a.exe",
    b" attachment; filename*=utf-8'en'%61%2e%65%78%65",
    b" attachment; filename*=''a%2Eexe",
    b" attachment; filename*=a%2Eexe",
    b" attachment; filename*=\"utf-8''a%2Eexe\"",
    b" attachment; filename*=utf-16le''a%00.%00e%00x%00e%00",
    b" attachment; filename=utf-8''a%2eexe",
    b" attachment; filename*0=a.; filename*1=exe",
    b" attachment; filename*0=\"a.e\";\n filename*1=\"xe\"",
    b" attachment; filename*1=exe; filename*0=a.",
    b" attachment; filename*0*=utf-8''a%2E; filename*1=exe",
    b" attachment; filename*0*=utf-8''a; filename*1*=%2Ee; filename*2=xe",
    b" attachment; filename*0*=utf-8''a%2E; filename*1*=%65x; filename*2*=%65",
    b" attachment; filename*0=a.; filename*2=exe",
    b" attachment; filename*1=a.; filename*2=exe",
    b" attachment; filename*00=a.; filename*01=exe",
    b" attachment; filename*0=a.; filename*0=b.; filename*1=exe",
    b" attachment; filename*0=a.; filename*1=txt; filename*1=exe",
    b" attachment; filename*0=a.txt; filename*1=exe; name*0=b.; name*1=exe",
    b" attachment; filename *0 = a. ; filename *1 = exe",
    b" x/y; name*0*=us-ascii'en'a.; name*1*=e; name*2*=xe",
    b" x/y; NAME*0=\"a.\"; Name*1=\"exe\"",
    // RFC 2047.
    b" attachment; filename=\"=?utf-8?B?YS5leGU=?=\"",
    b" attachment; filename==?utf-8?B?YS5leGU=?=",
    b" attachment; filename=\"=?utf-8?q?a=2Eexe?=\"",
    b" attachment; filename=\"=?utf-8?q?a?= =?utf-8?q?=2Ee?=\n =?utf-8?q?xe?=\"",
    b" attachment; filename=\"=?utf-8?b?YS5l?= =?utf-8?b?eGU=?=\"",
    b" attachment; filename=\"=?utf-8?B?YS5leGU\"",
    b" attachment; filename=\"=?utf-8?q?a.txt?=.exe\"",
    b" attachment; filename=\"=?iso-2022-jp?q?a.exe?=\"",
    b" attachment; filename=\"=?utf-8*en?q?a.exe?=\"",
    b" attachment; filename=\"=?utf-7?q?a+AC4-exe?=\"",
    b" attachment; filename=\"=?utf-16?b?/v8AYQAuAGUAeABl?=\"",
    b" attachment; filename=\"=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D2Eexe=3F=3D?=\"",
    b" attachment; filename*=utf-8''=?utf-8?q?a=2Eexe?=",
    b" attachment; filename*0=\"=?utf-8?b?YS5l\"; filename*1=\"eGU=?=\"",
    b" attachment; =?utf-8?q?filename=3Da=2Eexe?=",
    b" attachment; filename=\"=?utf-8?q?a.e\n xe?=\"",
    // Raw bytes, folding, what nobody sees.
    b" attachment; filename=\"\xe9t\xe9.exe\"",
    "attachment; filename=\"ein\u{202e}txt.exe\"".as_bytes(),
    "attachment; filename=\"a.e\u{200b}x\u{ad}e\"".as_bytes(),
    b" attachment; filename=\"a.e\n xe\"",
    b" attachment; filename=\"a.exe\0.txt\"",
    b" attachment; filename=\"a.e\0xe\"",
    b" attachment; filename=\"a.exe.\"",
    b" attachment; filename=\"a.exe . . \"",
    "attachment; filename=\"a.exe\u{a0}\u{3000}\"".as_bytes(),
    b" attachment; filename=\"a.txt                                    .exe\"",
    b" attachment; filename=\"a.exe\t\"",
    // Paths and streams.
    b" attachment; filename=\"../../a.exe\"",
    b" attachment; filename=\"c:\\windows\\a.exe\"",
    b" attachment; filename=\"a.exe/\"",
    b" attachment; filename=\"a.exe::$DATA\"",
];

/// Each is saved as a program by somebody's mail program.
#[test]
fn spellings_of_a_program() {
    let check = |value: &[u8]| {
        let shown = String::from_utf8_lossy(value);
        assert!(extensions(value).contains("exe"), "{shown:?}: {:?}", names(value));
    };
    for value in SPELLINGS {
        check(value);
    }
    assert!(SPELLINGS.len() >= 80);
    let long = [b" attachment; filename=\"".as_slice(), &b"a".repeat(90_000), b".exe\""].concat();
    check(&long);
    let long = [b" attachment; filename=\"a.exe".as_slice(), &b" ".repeat(90_000), b"\""].concat();
    check(&long);
}

/// None of these is a program, as far as its header says.
#[test]
fn honest_names() {
    let check = |value: &[u8], expect: &[&str]| {
        let found = names(value).unwrap_or_default();
        let found: Vec<_> = found.iter().filter_map(|name| extension(name)).collect();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expect.iter().copied().collect(), "{:?}", String::from_utf8_lossy(value));
    };
    check(b" application/pdf; name=\"a.pdf\"; url=\"http://host.exe\"", &["pdf"]);
    check(b" application/pdf; hostname=host.exe; name=a.pdf", &["pdf"]);
    check(b" multipart/mixed; boundary=\"a.exe\"", &[]);
    check(b" text/plain; charset=utf-8", &[]);
    check(b" attachment; filename=\"about a.exe: a report.pdf\"", &["pdf"]);
    check(b" attachment; filename=\"a.exe.txt\"", &["txt"]);
    check(b" attachment; filename=a.pdf; creation-date=\"Mon, 1 Jan 2024 00:00:00 +0000\"", &["pdf"]);
    check(b" attachment; filename=\"r\xc3\xa9sum\xc3\xa9.pdf\" (a.exe)", &["pdf"]);
    check(b" attachment; filename*=utf-8''%e2%82%ac%20rates.pdf; filename=\"EURO rates.pdf\"", &["pdf"]);
    check(b" attachment; filename=\"no extension\"", &[]);
    check(b"", &[]);
}

#[test]
fn too_many() {
    let many = |of: usize| (0..of).map(|at| format!("; name=a{at}.txt")).collect::<String>();
    assert!(names(many(50).as_bytes()).is_ok());
    assert_eq!(names(many(65).as_bytes()), Err(Excess));
    assert_eq!(extension("a.TAR"), Some("tar".to_owned()));
    assert_eq!(extension("a.jſ"), Some("js".to_owned()));
    assert_eq!(extension("a"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn bounded(words in proptest::collection::vec(proptest::sample::select(vec![
        "filename", "name", "*0", "*1", "*", "=", "\"", ";", "a.exe", "utf-8''", "%2e", "=?utf-8?b?", "?=", "(", ")",
        "\\", "\n ", "\0", "\u{202e}", "YS5leGU=", " ", "+AC4-", "=?utf-7?q?",
    ]), 0..60)) {
        fuzz(words.concat().as_bytes());
    }
}
