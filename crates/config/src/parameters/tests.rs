use super::*;
use crate::SourceFile;

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "main.cf".into(), text: text.to_owned() })
}

fn load(text: &str) -> (Parameters, Vec<Diagnostic>) {
    let (main, mut diagnostics) = MainCf::parse(&file(text));
    let host = Host { hostname: "vm".to_owned(), addresses: Vec::new() };
    let (parameters, mut more) = Parameters::new(&main, &host, Compat::default());
    diagnostics.append(&mut more);
    (parameters, diagnostics)
}

fn read(text: &str) -> Parameters {
    load(text).0
}

/// Each word of `list` with line and column.
fn places(text: &str, list: &str) -> Vec<String> {
    let words = read(text).list(list);
    words.iter().map(|w| format!("{} {}:{}", w.value, w.place.line(), w.place.column())).collect()
}

#[test]
fn values() {
    #[track_caller]
    fn check(value: &str, expect: &str) {
        let text = format!(
            "a = x,\n  y\n# comment\n\n  z\nthree = 3\nempty =\nviae = $empty\nmyhostname = h.example\nv = {value}\n"
        );
        assert_eq!(read(&text).text("v").value, expect, "{value}");
    }
    check("${three?{1}:{2}} $$a $(three)", "1 $a 3");
    check("${{1} < {01} ? {yes} : {no}}", "no");
    check("${{9} < {10} ? {yes} : {no}}", "yes");
    check("${{9} < {10} ? yes : no}", " yes : no");
    check("${{9} < {10a} ? {yes} : {no}}", "no");
    check("${nope?x}|${nope:y}|${three?z}", "|y|z");
    check("${three? { v } : { w } }|", " v |");
    check("${empty?{x}:y}|", "y|");
    check("${viae?set}${viae:unset}", "set");
    check("${empty:{x}}|${empty?x:y}|${three?x:y}", "x||x:y");
    check("${ three }$three.b", "33.b");
    check("${three}}", "3}");
    check("${{a} == {a}}${{a} == {b}}", "true");
    check("${{a} == {a} : {x}}|${{a} != {a} : {x}}", "|x");
    check("${{$three} >= {2}?{$three}:{$$}}", "3");
    check("${three?${three?{$three}}}", "3");
    check("${{ a}=={a }?{e}:{n}}", "n");
    check("${{A}<{a}?{y}:{n}}", "y");
    check("$(three?a}b)${three?a)b}", "a}ba)b");
    check("${{3.11} <level {3.6} ? {old} : {new}}", "new");
    check("${{3} ==level {3.0} ? {eq} : {ne}}", "eq");
    check("${stress?1}${stress:2}", "2");
    check("$mydomain $myorigin", "example h.example");
    check("x$$$three", "x$3");
    check("${three?{{}}}", "{}");
}

#[test]
fn places_through_names() {
    let text = "nets = 10.0.0.0/8,\n  # no\n\n\t192.0.2.0/24\nmynetworks = 127.0.0.0/8 $nets hash:$config_directory/x\n";
    let expect = ["127.0.0.0/8 5:14", "10.0.0.0/8 1:8", "192.0.2.0/24 4:2", "hash:/etc/postfix/x 5:32"];
    assert_eq!(places(text, "mynetworks"), expect);
    let text = "a = $b\nb = q $c\nc = r{s\n  t}u v\n";
    assert_eq!(places(text, "a"), ["q 2:5", "r{s  t}u 3:5", "v 4:7"]);
    let text = "a = {x\n # no\n y, $b} z\nb = c\n";
    assert_eq!(places(text, "a"), ["{x y, c} 1:5", "z 3:9"]);
    assert_eq!(places("a = $myhostname", "a"), ["vm.localdomain 1:5"]);
}

#[test]
fn faults() {
    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let found: Vec<String> = load(text).1.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.starts_with(expect), "{found}");
        }
    }
    check(
        "relayhost = $a\na = $b\nb = $a\n",
        &[
            "main.cf:3:5: error[K0111]: a refers to itself: a → b → a",
            "main.cf:2:5: error[K0111]: b refers to itself: b → a → b",
            "main.cf:3:5: error[K0111]: a refers to itself: relayhost → a → b → a",
        ],
    );
    check("myhostname = mail.$mydomain\n", &[]);
    check("relayhost = ${a\n", &["main.cf:1:13: error[K0110]: truncated macro reference"]);
    check("biff = maybe\n", &["main.cf:1:8: error[K0106]: bad value of biff"]);
    check("message_size_limit = 10M\n", &["main.cf:1:22: error[K0107]: bad value of message_size_limit"]);
    check("smtpd_timeout = 5 minutes\n", &["main.cf:1:17: error[K0108]: bad value of smtpd_timeout"]);
    check("nonsense\n", &["main.cf:1:1: error[K0101]: missing `=`"]);
    check(" a = b\n", &["main.cf:1:1: warning[K0103]"]);
}
