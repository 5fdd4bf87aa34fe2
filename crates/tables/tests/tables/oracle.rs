//! Debian's postmap as judge: the same values for the same keys, the same warnings for the same sources.
//!
//! Without postmap these tests say so and pass; with `CI` in the environment they fail.

use crate::common::Random;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tables::{SourceError, Sources, Usage, postmap};

struct Disk;

impl Sources for Disk {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        std::fs::read(path).map_err(|_| SourceError::Missing(path.to_owned()))
    }
}

struct Oracle {
    folder: tempfile::TempDir,
}

impl Oracle {
    fn new() -> Option<Oracle> {
        if !Path::new("/usr/sbin/postmap").exists() {
            assert!(std::env::var_os("CI").is_none(), "no postmap to compare with");
            println!("skipped: no postmap to compare with");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").expect("writes");
        Some(Oracle { folder })
    }

    fn save(&self, text: &[u8]) -> PathBuf {
        let path = self.folder.path().join("table");
        std::fs::write(&path, text).expect("writes");
        // postmap reads a file that is quite new again and again, and repeats its warnings.
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(past))
            .expect("dates");
        path
    }

    /// What postmap prints, and its warnings.
    fn run(&self, arguments: &[&str], input: &str) -> (String, Vec<String>) {
        let mut child = Command::new("/usr/sbin/postmap")
            .arg("-c")
            .arg(self.folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("writes");
        let output = child.wait_with_output().expect("ends");
        let lines = String::from_utf8_lossy(&output.stderr).into_owned();
        let warnings = lines
            .lines()
            .filter_map(|line| line.strip_prefix("postmap: "))
            .filter(|line| !line.starts_with("warning: table ") && !line.starts_with("fatal"))
            .map(str::to_owned)
            .collect();
        (String::from_utf8_lossy(&output.stdout).into_owned(), warnings)
    }

    /// Compares values and warnings of the table `word`.
    fn compare(&self, word: &str, keys: &[String]) {
        let input: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let mut built = None;
        if word.starts_with("hash:") {
            built = Some(self.run(&[word], "").1);
        }
        let (values, asked) = self.run(&["-q", "-", word], &input);
        let theirs: BTreeMap<&str, &str> = values.lines().filter_map(|line| line.split_once('\t')).collect();
        let opened = postmap::open(word, Usage::Map, &Disk).expect("opens");
        let loose = |line: String| match line.split_once("error in regex at offset") {
            Some((head, _)) => format!("{head}error in regex"),
            None => line,
        };
        let ours: Vec<String> = opened.warnings().map(loose).collect();
        let source = std::fs::read(self.folder.path().join("table")).unwrap_or_default();
        let source = String::from_utf8_lossy(&source);
        let expected: Vec<String> = built.unwrap_or(asked).into_iter().map(loose).collect();
        assert_eq!(ours, expected, "warnings of {word}:\n{source}");
        for key in keys {
            let hit = opened.table.lookup(key).expect("an answer").map(|hit| hit.value.into_owned());
            assert_eq!(hit.as_deref(), theirs.get(key.as_str()).copied(), "{key:?} in {word}:\n{source}");
        }
    }
}

const NASTY_MAP: &[u8] = b"a@b OK\n# comment\n  \nkey: value here\nnovalue\n\tcontinued value\nlonely\n\"a b\" REJECT x\n\
\"un quoted\n\"q\\\"x\" v\nDup one\ndup two\n  # indented comment\nmulti one\n  two\n# c\n  three\nend\t  v  \n\n   \
leading start\nl2:\nk3: v3\n\"x\"y z\n\"\" empty\n\xc3\x84\xc3\x96 umlaut\nbad\xff val\n\"x y\":z w\n\"key1\": val\n\
pl\"ain q v\nback\\ slash v\n\"b\\ s\" v2\n\"x y\"REJECT a\nL\xc3\x9fS uml\nk v\\\ncr v\r\n22.33 REJECT\ncracker.com\n";

fn words(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn indexed_tables() {
    let Some(oracle) = Oracle::new() else { return };
    let keys = words(&[
        "a@b",
        "A@B",
        "key:",
        "key",
        "novalue",
        "lonely",
        "a b",
        "\"a b\"",
        "\"q\\\"x\"",
        "DUP",
        "dup",
        "multi",
        "end",
        "k3:",
        "\"x\"y",
        "\"\"",
        "ÄÖ",
        "äö",
        "\"x y\":z",
        "\"key1\":",
        "back\\ slash",
        "b\\ s",
        "\"b\\ s\"",
        "k",
        "cr",
        "\"x y\"REJECT",
        "lßs",
        "lsss",
        "LSSS",
        "22.33",
        "cracker.com",
        "nothing",
    ]);
    let path = oracle.save(NASTY_MAP);
    for kind in ["texthash", "hash"] {
        oracle.compare(&format!("{kind}:{}", path.display()), &keys);
    }
    let path = oracle.save(b"  starts with blank\n\tand again\nx y\n");
    for kind in ["texthash", "hash"] {
        oracle.compare(&format!("{kind}:{}", path.display()), &words(&["x", "starts", "and"]));
    }
}

#[test]
fn generated_indexed_tables() {
    let Some(oracle) = Oracle::new() else { return };
    let mut random = Random(1);
    let alphabet = ["a", "B", "1", ".", "@", "\"", "\\", " ", "\t", ":", "#", "é", "\n", "\n", " v", " V\n"];
    for _ in 0..20 {
        let text = random.text(&alphabet, 200);
        let path = oracle.save(text.as_bytes());
        let mut keys: Vec<String> = text
            .split_whitespace()
            .flat_map(|word| [word.to_owned(), word.to_lowercase(), word.to_uppercase()])
            .collect();
        keys.extend(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
        // postmap's answers are split by tabs.
        keys.retain(|key| !key.contains('\t'));
        oracle.compare(&format!("texthash:{}", path.display()), &keys);
    }
}

#[test]
fn cidr_tables() {
    let Some(oracle) = Oracle::new() else { return };
    let nasty = "# comment\n192.168.0.0/16 OK\n192.168.1.1/16 BAD\n10.0.0.0/33 X\n10.0.0.0/8\n 10.1.1.1 X\n\
        if 1.2.3.0/24\n1.2.3.4 A\nendif\nif\nendif x\nendif\nif !1.1.1.1\n  2.2.2.2 Y\nif 1.2\n1.2.3 Z\n\
        [1.2.3.4] Z\n[::1] Z\n[::1]/128 Z\n[fe80::]/10 Z\n010.0.0.1 oct\n::ffff:1.2.3.4 m\n2001:db8::1/32 Q\n\
        2001:db8::/129 Q\nfoo Q\nIPv6:::1 Q\n1.2.3.4/ Q\n1.2.3.4/a Q\n1.2.3.4/-1 Q\n1.2.3.4/08 Q\n1.2.3.4/8/9 Q\n\
        IF 1.2.3.4\nENDIF\nif 1.2.3.4 trailing\nendif\nif !\nendif\nif ! 1.2.3.4\nendif\niffy x\n! \n!1.2.3.4\n\
        256.1.1.1 x\n1.2.3.4.5 x\nif foo\n[10.2.0.0/16] Q\n[10.3.0.0]/16 Q\n!!11.1.1.1 Q\n0.0.0.0/1 x $1 $$\n\
        if !224.0.0.0/3\nif 200.0.0.0/8\n";
    let path = oracle.save(nasty.as_bytes());
    let keys = words(&[
        "192.168.7.7",
        "10.1.2.3",
        "1.2.3.4",
        "1.2.3.5",
        "11.1.1.1",
        "::1",
        "fe80::1",
        "FE80::1",
        "010.0.0.1",
        "::ffff:1.2.3.4",
        "[1.2.3.4]",
        "1.2.3",
        "foo",
        "fe80::1%eth0",
        "1.2.3.4/8",
        "200.1.1.1",
        "10.2.1.1",
        "10.3.1.1",
        "225.0.0.1",
        "2001:db8::1",
        "1.2.3.4.5",
        "0.0.0.0",
    ]);
    oracle.compare(&format!("cidr:{}", path.display()), &keys);
}

fn some_network(random: &mut Random) -> String {
    if random.below(4) == 0 {
        return random
            .pick(&["::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8::1", "[2001:db8::2]", "fe80::/10"])
            .to_owned();
    }
    let prefix = random.below(33);
    let host = u32::try_from(random.draw() & 0xffff_ffff).expect("fits") & 0x0303_0303;
    let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
    // One in eight keeps its host bits, and is skipped.
    let address = if random.below(8) == 0 { host } else { host & mask };
    format!("{}/{prefix}", std::net::Ipv4Addr::from(address))
}

#[test]
fn generated_cidr_tables() {
    let Some(oracle) = Oracle::new() else { return };
    let mut random = Random(2);
    for _ in 0..20 {
        let mut text = String::new();
        for line in 0..random.below(40) {
            let network = some_network(&mut random);
            text.push_str(&match random.below(10) {
                0 => format!("if {network}\n"),
                1 => format!("if !{network}\n"),
                2 | 3 => "endif\n".to_owned(),
                4 => format!("!{network} r{line}\n"),
                _ => format!("{network} r{line}\n"),
            });
        }
        let path = oracle.save(text.as_bytes());
        let mut keys = words(&["2001:db8::1", "2001:db8:1::1", "2001:db8::2", "fe80::1", "::", "0.0.0.0"]);
        for _ in 0..60 {
            let host = u32::try_from(random.draw() & 0x0303_0303).expect("fits");
            keys.push(std::net::Ipv4Addr::from(host).to_string());
        }
        oracle.compare(&format!("cidr:{}", path.display()), &keys);
    }
}

const NASTY_RULES: &str = r#"# comment
/^multi
 line$/ joined
/q(b+)c/ x$1y
/unclosed x
/re/q flags
/norepl/
/(unbal/ x
!/neg/ $1
if /x/
/y/ z
endif
if !/x/i
endif trail
endif
endif
if
if /x/ trailing
endif
if x
foo x
/a/ $9
/a/ $x
/a/ $
/a/ ${1
/a(b)d/ ${1}$(1)$1 $$
/Bq/ii v
! /.*/ v
!!/dneg/ v
/a/ $1
/(a)/$1
/(a)/i$1
xab(c)x v
"q(c)z" v
\b\ x
IF /x/
ENDIF
/[[:foo:]]/ x
/a{3,1}/ x
/*/ x
/()qqq/ x
/a\/b/ slash
/[/]/ x
/a|*b/ x
/x(y|)z/ e
/\d+k/ d
if/xif/
/(xif)/ in $1
endif
/(a)(b)/ $10 ${02}
/(a)(b)p/ ${2}${01}
/ab/ ${0} $0
/ab/ $100
~^list-(.*)@(.*)$~ to ${1} at $(2), 5$$
if /^in/
if !/out$/
/./ in-not-out
endif
/(.)$/ ends in $1
endif
/^(a|ab)(c|bcd)(d*)$/ [$1][$2][$3]
/É/ accent
/^.$/ one
/^..$/ two
if /y/
"#;

#[test]
fn regular_expression_tables() {
    let Some(oracle) = Oracle::new() else { return };
    let path = oracle.save(NASTY_RULES.as_bytes());
    let keys = words(&[
        "multi line",
        "multi\nline",
        "qbbc",
        "re",
        "norepl",
        "xy",
        "abd",
        "bq",
        "BQ",
        "dneg",
        "qcz",
        "QCZ",
        "qqq",
        "a/b",
        "xz",
        "xyz",
        "5k",
        "xif",
        "XIF",
        "abp",
        "list-x@y",
        "LIST-Me@Y",
        "in",
        "inout",
        "inOUT",
        "abcd",
        "É",
        "é",
        "z",
        "zz",
        "foo bar",
        "neg",
        "xab",
        "",
        "/",
        "a b c",
    ])
    .into_iter()
    .filter(|key| !key.contains('\n') && !key.is_empty())
    .collect::<Vec<_>>();
    for kind in ["regexp", "pcre"] {
        oracle.compare(&format!("{kind}:{}", path.display()), &keys);
    }
}

#[test]
fn generated_regular_expression_tables() {
    let Some(oracle) = Oracle::new() else { return };
    let mut random = Random(3);
    let pieces = [
        "a", "b", "c", ".", "a*", "b+", "c?", "(a|b)", "(b)", "(ab|a)", "[abc]", "[^a]", "x{1,2}", "\\.", "@",
    ];
    for round in 0..24 {
        let mut text = String::new();
        for line in 0..random.below(30) {
            let pattern =
                format!("{}{}{}", random.pick(&["", "^"]), random.text(&pieces, 4), random.pick(&["", "$"]));
            text.push_str(&match random.below(10) {
                0 => format!("if /{pattern}/\n"),
                1 => format!("if !/{pattern}/\n"),
                2 | 3 => "endif\n".to_owned(),
                4 => format!("!/{pattern}/ n{line}\n"),
                5 => format!("/{pattern}/i i{line}\n"),
                6 => format!("/{pattern}/m m{line}\n"),
                7 => format!("/({pattern})/ {line}<$1>\n"),
                _ => format!("/{pattern}/ r{line}\n"),
            });
        }
        let path = oracle.save(text.as_bytes());
        let keys: Vec<String> = (0..60)
            .map(|_| random.text(&["a", "b", "c", "x", ".", "@", "A", "B"], 6))
            .filter(|key| !key.is_empty())
            .collect();
        let kind = if round % 2 == 0 { "regexp" } else { "pcre" };
        oracle.compare(&format!("{kind}:{}", path.display()), &keys);
    }
}

#[test]
fn tables_in_words() {
    let Some(oracle) = Oracle::new() else { return };
    let keys = words(&["key", "KEY", "k2", "x", "1.2.3.4", "1.2.3.5", "=", "a b"]);
    for word in [
        "inline:{key=v}",
        "inline:{KEY=v}",
        "inline:{ {key = a b, c} x=y}",
        "inline:{key=a,k2=c}",
        "inline:{{key=v}}",
        "inline:{key=v=w}",
        "inline:{a=b key=1 key=2}",
        "static:foo",
        "static:{ a b }",
        "static: x",
        "unionmap:{inline:{key=a},static:b}",
        "unionmap:{inline:{x=a} inline:{x=b}}",
        "unionmap:{static:{a b} static:c}",
        "unionmap:{unionmap:{static:a,static:b},pipemap:{static:c}}",
        "pipemap:{static:key,inline:{key=v}}",
        "pipemap:{inline:{key=K2} inline:{k2=v2}}",
        "randmap:{a}",
        "randmap:{ {a b}, {a b} }",
        "internal:x",
        "cidr:{ {1.2.3.4 OK}, {foo x} }",
        "regexp:{ {/key/ OK}, {/(x)/ $1$1} }",
        "pcre:{{/KEY$/i case} {/(x)/ $1$1}}",
    ] {
        oracle.compare(word, &keys);
    }
    // postmap waits a second before it ends with an error: let all wait at once.
    let refused = [
        "inline:{key}",
        "inline:key=v",
        "inline:{}",
        "inline:{ }",
        "inline:{ {key = a b",
        "inline:{key = v}",
        "inline:{ {key}=x }",
        "inline:{ {a b = c} }",
        "inline:{ {key=x}y }",
        "static:{ a b } c",
        "static:",
        "static:{a",
        "unionmap:{}",
        "unionmap:{foo:bar}",
        "unionmap:{static}",
        "pipemap:static:x",
        "randmap:{}",
        "randmap:a",
        "unix:foo",
        "foo:bar",
        "texthash:/nonexistent/x",
        "cidr:/nonexistent/x",
        "pcre:{ /key/ }",
        "regexp:{{/key/ OK}",
        "unionmap:{static:a static:b} ",
    ];
    let ask = |word: &str| {
        Command::new("/usr/sbin/postmap").args(["-q", "key", word]).stderr(Stdio::piped()).spawn()
    };
    let children: Vec<_> = refused.iter().map(|word| ask(word).expect("starts")).collect();
    for (word, child) in refused.into_iter().zip(children) {
        let output = child.wait_with_output().expect("ends");
        let theirs = String::from_utf8_lossy(&output.stderr).into_owned();
        let ours = postmap::open(word, Usage::Map, &Disk).map(|opened| opened.table.name().to_owned());
        let expected =
            theirs.lines().find_map(|line| line.strip_prefix("postmap: fatal: ")).map(str::to_owned);
        assert_eq!(ours.err(), expected, "{word}");
    }
}
