use super::*;
use config::Place;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "main.cf".into(), text: text.to_owned() })
}

/// Findings that replace `range` by `replacement`.
fn found(file: &Arc<SourceFile>, edits: &[(Range<usize>, &str)]) -> Vec<Diagnostic> {
    let place = |range: &Range<usize>| Place::new(file, range.start, range.end);
    let one = |(range, new): &(Range<usize>, &str)| {
        Diagnostic::warning(120, place(range), "x").fix(place(range), *new)
    };
    edits.iter().map(one).collect()
}

#[track_caller]
fn check(text: &str, edits: &[(Range<usize>, &str)], expect: &str) -> Plan {
    let plan = Plan::of(&found(&file(text), edits));
    let seen = plan.repairs.first().map_or_else(|| text.to_owned(), Repair::text);
    assert_eq!(seen, expect);
    plan
}

#[test]
fn edits_that_touch_wait() {
    let plan = check("abcdef", &[(1..3, "X"), (2..4, "Y"), (4..5, "")], "aXdf");
    assert_eq!((plan.mended, plan.waiting), (2, 1));
    let plan = check("abc", &[(1..1, "X"), (1..1, "Y")], "aXbc");
    assert_eq!((plan.mended, plan.waiting), (1, 1));
    let plan = check("abc", &[(1..2, "X"), (1..2, "X")], "aXc");
    assert_eq!((plan.mended, plan.waiting), (2, 0), "the same repair twice is one");
    let plan = check("abc", &[(0..1, "X"), (1..2, "Y")], "XYc");
    assert_eq!((plan.mended, plan.waiting), (2, 0), "side by side");
    let plan = check("äb", &[(1..2, "X"), (9..12, "Y")], "äb");
    assert_eq!((plan.mended, plan.waiting), (0, 2), "places that are none");
}

#[test]
fn the_patch_as_shown() {
    let text = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n";
    let plan = check(
        text,
        &[(0..1, "A"), (16..18, ""), (24..25, "M\nN")],
        "A\nb\nc\nd\ne\nf\ng\nh\nj\nk\nl\nM\nN\n",
    );
    let expect = "--- main.cf\n+++ main.cf\n@@ -1,4 +1,4 @@\n-a\n+A\n b\n c\n d\n@@ -6,8 +6,8 @@\n f\n g\n h\n-i\n j\n k\n l\n-m\n+M\n+N\n";
    assert_eq!(plan.patch(), expect);
}

/// patch(1) makes of the old text what we make of it.
#[track_caller]
fn patch_agrees(text: &str, edits: &[(Range<usize>, &str)]) {
    let plan = Plan::of(&found(&file(text), edits));
    let Some(repair) = plan.repairs.first() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.cf"), text).unwrap();
    let child =
        Command::new("patch").args(["-s", "-p0"]).current_dir(folder.path()).stdin(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return };
    child.stdin.take().unwrap().write_all(plan.patch().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{}", plan.patch());
    assert_eq!(std::fs::read_to_string(folder.path().join("main.cf")).unwrap(), repair.text());
}

#[test]
fn patch_takes_it() {
    let text = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\ntwelve";
    let cases: [&[(Range<usize>, &str)]; 8] = [
        &[(0..0, "new\n")],
        &[(0..4, "")],
        &[(0..3, "1"), (4..7, "2")],
        &[(text.len() - 6..text.len(), "12\n")],
        &[(text.len()..text.len(), "\nthirteen")],
        &[(3..4, " ")],
        &[(4..8, ""), (8..14, "")],
        &[(0..text.len(), "x")],
    ];
    for edits in cases {
        patch_agrees(text, edits);
    }
    let mut seed = 7_u64;
    let mut next = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % limit.max(1)
    };
    for _ in 0..40 {
        let edits: Vec<(Range<usize>, &str)> = (0..4)
            .map(|_| {
                let start = next(text.len());
                (start..(start + next(9)).min(text.len()), ["", "x", "\n", "a\nb\n"][next(4)])
            })
            .collect();
        patch_agrees(text, &edits);
    }
}
