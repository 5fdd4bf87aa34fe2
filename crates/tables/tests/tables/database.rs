//! Database files: Debian's postmap and Berkeley DB's and LMDB's own tools write them and we read, we write and they
//! read; which of text and database is served; damaged files.
//!
//! Without those tools these tests say so and pass; with `CI` in the environment they fail.

use crate::common::{Memory, Random};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tables::database::{Format, cdb, lmdb, read, without_nul};
use tables::{Catalogue, Snapshot, Usage, postmap};

pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

const KINDS: [(&str, &str, Format); 4] = [
    ("hash", "db", Format::Berkeley),
    ("btree", "db", Format::Berkeley),
    ("cdb", "cdb", Format::Cdb),
    ("lmdb", "lmdb", Format::Lmdb),
];

/// A program to compare with, or none, said aloud.
fn there(path: &str) -> bool {
    let is_there = Path::new(path).exists();
    assert!(is_there || std::env::var_os("CI").is_none(), "no {path} to compare with");
    if !is_there {
        println!("skipped: no {path} to compare with");
    }
    is_there
}

fn has_postmap() -> bool {
    ["/usr/sbin/postmap", "/usr/lib/postfix/postfix-cdb.so", "/usr/lib/postfix/postfix-lmdb.so"]
        .iter()
        .all(|path| there(path))
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> (Vec<u8>, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("ends");
    feeding.join().expect("fed");
    (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").expect("writes");
        Folder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn postmap(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let config = self.0.path().display().to_string();
        let (out, errors) = run("/usr/sbin/postmap", &[&["-c", config.as_str()], arguments].concat(), input);
        assert_eq!(errors, "", "postmap {arguments:?}");
        out
    }
}

fn text(rows: &Rows) -> Vec<u8> {
    rows.iter().flat_map(|(key, value)| [key.as_slice(), b" ", value, b"\n"].concat()).collect()
}

fn rows_of(format: Format, bytes: &[u8]) -> Rows {
    let mut rows = Rows::new();
    read(format, bytes, &mut |(key, value)| {
        let seat = rows.insert(without_nul(&key).to_vec(), without_nul(&value).to_vec());
        assert_eq!(seat, None, "a key stands there twice");
    })
    .expect("reads");
    rows
}

/// Tables of each size and shape that a file format treats in its own way.
fn shapes() -> Vec<(&'static str, Rows)> {
    let mut random = Random(11);
    let row = |key: String, value: String| (key.into_bytes(), value.into_bytes());
    let many = (0..50_000).map(|n| row(format!("host{n}.example.com"), format!("REJECT number {n}")));
    let lengths =
        [1, 100, 900, 1000, 1020, 2000, 2019, 2020, 2021, 2030, 2040, 4000, 4078, 4096, 9000, 70_000];
    let long = lengths.iter().map(|&n| row(format!("long{n}"), "v".repeat(n)));
    // postmap's text is cut at white space and at the NUL, and folded: other bytes are free.
    let odd = (0..300).map(|_| {
        let mut draw = |least: usize| -> Vec<u8> {
            let length = least + random.below(400);
            (0..length).map(|_| b'!' + u8::try_from(random.below(94)).expect("fits")).collect::<Vec<u8>>()
        };
        let key = [b"x".to_vec(), draw(0)].concat().to_ascii_lowercase();
        let key = key.into_iter().filter(|b| !matches!(b, b'"' | b'\\' | b':')).collect();
        (key, draw(1))
    });
    let utf8 = ["ä", "日本語", "ключ"].map(|key| row(key.to_owned(), format!("{key} ja")));
    vec![
        ("empty", Rows::new()),
        ("one row", [row("key".to_owned(), "value".to_owned())].into()),
        ("long values", long.collect()),
        ("odd bytes", odd.collect()),
        ("UTF-8", utf8.into()),
        ("many rows", many.collect()),
    ]
}

#[test]
fn files_of_debians_postmap_are_read() {
    if !has_postmap() {
        return;
    }
    for (shape, rows) in shapes() {
        for (kind, suffix, format) in KINDS {
            for nul in ["-n", "-N"] {
                if rows.len() == 50_000 && (nul == "-n") != (kind == "cdb") {
                    continue;
                }
                let folder = Folder::new();
                let path = folder.path("table");
                std::fs::write(&path, text(&rows)).expect("writes");
                folder.postmap(&[nul, &format!("{kind}:{}", path.display())], b"");
                let bytes = std::fs::read(path.with_extension(suffix)).expect("built");
                assert!(rows_of(format, &bytes) == rows, "{kind} {nul}: {shape}");
            }
        }
    }
}

/// What was added, replaced and deleted in the file itself leaves freed pages and gaps.
#[test]
fn edited_files_are_read() {
    if !has_postmap() {
        return;
    }
    for (kind, suffix, format) in [KINDS[0], KINDS[1], KINDS[3]] {
        let folder = Folder::new();
        let path = folder.path("table");
        let word = format!("{kind}:{}", path.display());
        let mut rows: Rows = (0..3_000)
            .map(|n| (format!("key{n}").into_bytes(), "v".repeat(n % 90 + 1).into_bytes()))
            .collect();
        rows.insert(b"big".to_vec(), vec![b'x'; 30_000]);
        std::fs::write(&path, text(&rows)).expect("writes");
        folder.postmap(&[&word], b"");
        let gone: Vec<Vec<u8>> =
            rows.keys().filter(|key| key.len() % 2 == 0 || *key == b"big").cloned().collect();
        folder.postmap(&["-d", "-", &word], &gone.join(&b"\n"[..]));
        rows.retain(|key, _| !gone.contains(key));
        let more: Rows = (0..500).map(|n| (format!("key{n}").into_bytes(), vec![b'r'; n + 2_000])).collect();
        folder.postmap(&["-r", "-i", &word], &text(&more));
        rows.extend(more);
        let bytes = std::fs::read(path.with_extension(suffix)).expect("built");
        assert!(rows_of(format, &bytes) == rows, "{kind}");
    }
}

#[test]
fn berkeley_files_of_either_byte_order_and_page_size() {
    if !there("/usr/bin/db5.3_load") {
        return;
    }
    let rows: Rows =
        (0..2_000).map(|n| (format!("key{n}").into_bytes(), "v".repeat(1 + n % 700).into_bytes())).collect();
    let input: Vec<u8> =
        rows.iter().flat_map(|(key, value)| [key.as_slice(), b"\n", value, b"\n"].concat()).collect();
    for kind in ["hash", "btree"] {
        for order in ["1234", "4321"] {
            for page in ["512", "4096", "65536"] {
                let folder = Folder::new();
                let path = folder.path("t.db").display().to_string();
                let (order, page) = (format!("db_lorder={order}"), format!("db_pagesize={page}"));
                let words = ["-T", "-t", kind, "-c", &order, "-c", &page, &path];
                let (_, errors) = run("/usr/bin/db5.3_load", &words, &input);
                assert_eq!(errors, "");
                let bytes = std::fs::read(&path).expect("built");
                assert!(rows_of(Format::Berkeley, &bytes) == rows, "{kind} {order} {page}");
            }
        }
    }
}

/// Of several values for one key the first is Postfix's.
#[test]
fn duplicates_in_berkeley_files() {
    if !there("/usr/bin/db5.3_load") {
        return;
    }
    let mut input = Vec::new();
    for n in 0..3_000 {
        input.extend(format!("few{}\n{n}\nmany\n{n:0>200}\n", n / 2).bytes());
    }
    for kind in ["hash", "btree"] {
        let folder = Folder::new();
        let path = folder.path("t.db").display().to_string();
        let (_, errors) =
            run("/usr/bin/db5.3_load", &["-T", "-t", kind, "-c", "duplicates=1", &path], &input);
        assert_eq!(errors, "");
        let bytes = std::fs::read(&path).expect("built");
        let mut rows: BTreeMap<String, String> = BTreeMap::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let result = read(Format::Berkeley, &bytes, &mut |(key, value)| {
            rows.entry(text(&key)).or_insert_with(|| text(&value));
        });
        match result {
            Ok(()) => {
                assert_eq!(rows.len(), 1_501, "{kind}");
                assert_eq!(rows["few7"], "14", "{kind}");
            }
            Err(error) => {
                assert_eq!(error.to_string(), "many values for one key are not supported", "{kind}")
            }
        }
    }
}

fn lmdb_of(rows: &Rows) -> Vec<u8> {
    lmdb::write(rows.iter().map(|(key, value)| (key.as_slice().into(), value.as_slice().into())))
        .expect("writes")
}

#[test]
fn our_files_are_read_by_debians_postmap() {
    if !has_postmap() {
        return;
    }
    for (shape, rows) in shapes() {
        let folder = Folder::new();
        let with_nul: Rows = rows
            .iter()
            .map(|(key, value)| ([key, &b"\0"[..]].concat(), [value, &b"\0"[..]].concat()))
            .collect();
        let keys: Vec<u8> = rows.keys().flat_map(|key| [key.as_slice(), b"\n"].concat()).collect();
        let pairs: Rows = rows.clone();
        let cases = [
            ("lmdb", lmdb_of(&rows)),
            ("lmdb", lmdb_of(&with_nul)),
            ("cdb", cdb::write(rows.iter().map(|(key, value)| (&**key, &**value))).expect("writes")),
        ];
        for (kind, bytes) in cases {
            let format = if kind == "cdb" { Format::Cdb } else { Format::Lmdb };
            assert!(rows_of(format, &bytes) == rows, "{kind}: {shape}");
            let path = folder.path("table");
            std::fs::write(path.with_extension(kind), &bytes).expect("writes");
            let word = format!("{kind}:{}", path.display());
            let mut asked = vec![folder.postmap(&["-q", "-", &word], &keys)];
            if kind == "lmdb" {
                asked.push(folder.postmap(&["-s", &word], b""));
                let (out, errors) =
                    run("/usr/bin/mdb_stat", &["-n", &format!("{}.lmdb", path.display())], b"");
                assert_eq!(errors, "");
                let out = String::from_utf8_lossy(&out).into_owned();
                assert!(out.contains(&format!("Entries: {}\n", rows.len())), "{shape}: {out}");
            }
            for out in asked {
                let theirs: Rows = out
                    .split(|&b| b == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| {
                        let tab = line.iter().position(|&b| b == b'\t').expect("a tab");
                        (line[..tab].to_vec(), line[tab + 1..].to_vec())
                    })
                    .collect();
                assert!(theirs == pairs, "{kind}: {shape}");
            }
        }
    }
}

/// LMDB goes on with what was built here: its branches split and merge.
#[test]
fn lmdb_itself_edits_our_files() {
    if !has_postmap() {
        return;
    }
    for count in [1, 40, 2_500] {
        let folder = Folder::new();
        let path = folder.path("table");
        let mut rows: Rows = (0..count)
            .map(|n| (format!("{n}{}", "k".repeat(n * 7 % 480)).into_bytes(), format!("v{n}").into_bytes()))
            .collect();
        std::fs::write(path.with_extension("lmdb"), lmdb_of(&rows)).expect("writes");
        let word = format!("lmdb:{}", path.display());
        let mut random = Random(3);
        let gone: Vec<Vec<u8>> = rows.keys().filter(|_| random.below(4) > 0).cloned().collect();
        folder.postmap(&["-d", "-", &word], &gone.join(&b"\n"[..]));
        rows.retain(|key, _| !gone.contains(key));
        let more: Rows = (0..400).map(|n| (format!("new{n}").into_bytes(), vec![b'r'; n * 11 + 1])).collect();
        folder.postmap(&["-i", &word], &text(&more));
        rows.extend(more);
        let bytes = std::fs::read(path.with_extension("lmdb")).expect("there");
        assert!(rows_of(Format::Lmdb, &bytes) == rows, "{count}");
    }
}

#[test]
fn what_no_file_has_room_for() {
    let write = |key: &[u8]| lmdb::write([(key.into(), b"v"[..].into())].into_iter()).map(drop);
    assert_eq!(write(&[b'k'; 511]), Ok(()));
    for key in [&[b'k'; 512][..], b""] {
        assert!(write(key).expect_err("refused").to_string().starts_with("MDB_BAD_VALSIZE"));
    }
    let twice = [(b"a"[..].into(), b"v"[..].into()), (b"a"[..].into(), b"v"[..].into())];
    assert_eq!(lmdb::write(twice.into_iter()).expect_err("refused").to_string(), "rows out of order");
}

const PATH: &str = "/etc/postfix/access";

fn cdb_of(rows: &[(&str, &str)]) -> Vec<u8> {
    cdb::write(rows.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()))).expect("writes")
}

fn catalogue(word: &str) -> (Catalogue, tables::TableId) {
    let mut catalogue = Catalogue::new();
    let word = config::Spanned::new(word.to_owned(), config::Place::nowhere());
    let id = catalogue.intern(&word).expect("a table");
    (catalogue, id)
}

/// What `a` gives, and the codes that were said.
fn asked(sources: &Memory) -> (Option<String>, Vec<u16>) {
    let (catalogue, id) = catalogue("cdb:/etc/postfix/access");
    let (snapshot, found) = Snapshot::compile(&catalogue, sources);
    let hit = snapshot.table(id).lookup("A").ok().flatten().map(|hit| hit.value.into_owned());
    (hit, found.iter().map(|found| found.code.0).collect())
}

#[test]
fn which_of_text_and_database_is_served() {
    let built = "/etc/postfix/access.cdb";
    let sources = Memory::with(PATH, "a text\n");
    let is = |sources: &Memory, value: Option<&str>, codes: &[u16]| {
        assert_eq!(asked(sources), (value.map(str::to_owned), codes.to_vec()));
    };
    is(&sources, Some("text"), &[]);
    sources.save(built, cdb_of(&[("a", "built")]));
    is(&sources, Some("text"), &[]);
    // T1.7: saved after the last postmap.
    sources.date(PATH, 20);
    sources.date(built, 10);
    is(&sources, Some("text"), &[]);
    // postmap -i after the last edit.
    sources.date(built, 20);
    is(&sources, Some("built"), &[320]);
    sources.save(built, cdb_of(&[("a", "text")]));
    is(&sources, Some("text"), &[]);
    sources.save(built, cdb_of(&[("a", "text"), ("b", "more")]));
    is(&sources, Some("text"), &[320]);
    sources.save(built, cdb_of(&[]));
    is(&sources, None, &[320]);
    // Half-written.
    sources.save(built, b"half".to_vec());
    is(&sources, Some("text"), &[321]);
    sources.remove(PATH);
    is(&sources, None, &[304]);
    sources.save(built, cdb_of(&[("a\0", "nul\0"), ("a", "bare")]));
    is(&sources, Some("nul"), &[]);
    sources.remove(built);
    is(&sources, None, &[304]);
}

#[test]
fn a_database_is_live_too() {
    let built = "/etc/postfix/access.cdb";
    let sources = Memory::with(built, cdb_of(&[("a", "1"), ("B", "never asked")]));
    let (catalogue, id) = catalogue("cdb:/etc/postfix/access");
    assert!(catalogue.paths().contains(&PathBuf::from(built)));
    let (first, found) = Snapshot::compile(&catalogue, &sources);
    assert_eq!(found, []);
    let hit = first.table(id).lookup("a").expect("asks").expect("there");
    assert_eq!((hit.place.path(), &*hit.value), (Some(Path::new(built)), "1"));
    assert_eq!(first.table(id).lookup("b"), Ok(None), "Postfix asks in lower case");
    sources.save(built, cdb_of(&[("a", "2")]));
    let changed = [PathBuf::from(built)];
    let (second, found) = first.recompile(&catalogue, &changed, &sources);
    assert_eq!(found, []);
    assert_eq!(second.table(id).lookup("a").expect("asks").expect("there").value, "2");
    sources.save(built, cdb_of(&[("a", "3")])[..1000].to_vec());
    let (third, found) = second.recompile(&catalogue, &changed, &sources);
    assert_eq!(found.iter().map(|found| found.code.0).collect::<Vec<_>>(), [309]);
    assert_eq!(third.table(id).lookup("a").expect("asks").expect("there").value, "2");
}

/// As Postfix: "query error".
#[test]
fn values_that_are_no_text_are_no_answer() {
    let rows: [(&[u8], &[u8]); 3] = [(b"bin", b"v\xffx"), (b"b\xfe", b"foo"), (b"ok", b"v")];
    let sources = Memory::with("/etc/postfix/access.cdb", cdb::write(rows.into_iter()).expect("writes"));
    let opened = postmap::open("cdb:/etc/postfix/access", Usage::Map, &sources).expect("opens");
    assert!(opened.table.lookup("bin").is_err());
    assert!(opened.table.lookup("ok").expect("asks").is_some());
}

#[test]
fn the_environment() {
    let opened = postmap::open("environ:x", Usage::Map, &Memory::default()).expect("opens");
    let value = |key: &str| opened.table.lookup(key).expect("asks").map(|hit| hit.value.into_owned());
    // As Postfix, which folds the key and not the names.
    assert_eq!((value("PATH").as_deref(), value("HOME")), (Some("lower"), None));
    assert_eq!(opened.table.pairs(), None);
}

/// Real files to bend: of postmap where it is there, of our own writers else.
fn seeds() -> &'static Vec<(Format, Vec<u8>)> {
    static SEEDS: OnceLock<Vec<(Format, Vec<u8>)>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let mut rows: Rows =
            (0..250).map(|n| (format!("key{n}").into_bytes(), format!("value {n}").into_bytes())).collect();
        rows.insert(b"long".to_vec(), vec![b'l'; 9_000]);
        let own = cdb::write(rows.iter().map(|(key, value)| (&**key, &**value))).expect("writes");
        let mut seeds = vec![(Format::Cdb, own), (Format::Lmdb, lmdb_of(&rows))];
        if has_postmap() {
            for (kind, suffix, format) in KINDS {
                let folder = Folder::new();
                let path = folder.path("table");
                std::fs::write(&path, text(&rows)).expect("writes");
                folder.postmap(&[&format!("{kind}:{}", path.display())], b"");
                seeds.push((format, std::fs::read(path.with_extension(suffix)).expect("built")));
            }
        }
        seeds
    })
}

#[test]
fn damaged_files_end_and_give_no_more_than_they_have() {
    let mut random = Random(5);
    let (mut good, mut bad) = (0, 0);
    for round in 0..12_000 {
        let (format, seed) = &seeds()[round % seeds().len()];
        let mut bytes = seed.clone();
        for _ in 0..=random.below(8) {
            if bytes.is_empty() {
                break;
            }
            // Mostly where the numbers are: heads of pages, and the first of them.
            let page = random.below(bytes.len() / 4096 + 1) * 4096;
            let at = if random.below(3) == 0 { random.below(bytes.len()) } else { page + random.below(150) };
            let at = at.min(bytes.len() - 1);
            match random.below(5) {
                0 => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes[at] = *random.pick(&[b"\x00", b"\xff", b"\x01", b"\x7f"]).first().expect("one"),
                3 if random.below(4) == 0 => bytes.truncate(at),
                _ => {
                    let from = random.below(bytes.len());
                    let end = (from + 1 + random.below(8)).min(bytes.len());
                    let piece: Vec<u8> = bytes[from..end].to_vec();
                    let room = piece.len().min(bytes.len() - at);
                    bytes[at..at + room].copy_from_slice(&piece[..room]);
                }
            }
        }
        let mut given = 0;
        match read(*format, &bytes, &mut |(key, value)| given += key.len() + value.len()) {
            Ok(()) => good += 1,
            Err(_) => bad += 1,
        }
        assert!(given <= bytes.len(), "{format:?} gives {given} bytes of {}", bytes.len());
    }
    assert!(good > 500 && bad > 500, "{good} read, {bad} refused");
}

#[test]
fn every_cut_is_noticed_or_harmless() {
    for (format, seed) in seeds() {
        for cut in (0..seed.len()).step_by(97) {
            tables::fuzz::database(*format, &seed[..cut]);
        }
        assert!(read(*format, &seed[..seed.len() / 2], &mut drop).is_err(), "{format:?} cut in half");
    }
}
