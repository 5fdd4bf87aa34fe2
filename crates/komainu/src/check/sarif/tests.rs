//! The shape that SARIF 2.1.0 wants (OASIS, sections 3.13 to 3.58): what must be there, what may, and within which
//! bounds. The whole schema isn't carried along; what of it our logs touch stands here.

use super::write;
use config::{Diagnostic, Place, SourceFile};
use serde_json::Value;
use std::sync::Arc;

/// An object's properties: those that must be there, and those that may.
const SHAPES: [(&str, &[&str], &[&str]); 12] = [
    ("log", &["version", "runs"], &["$schema"]),
    ("run", &["tool", "results"], &["columnKind"]),
    ("tool", &["driver"], &[]),
    ("driver", &["name"], &["version", "rules", "informationUri"]),
    ("rule", &["id"], &["shortDescription", "help", "helpUri"]),
    ("result", &["message"], &["ruleId", "ruleIndex", "level", "locations", "fixes"]),
    ("location", &["physicalLocation"], &[]),
    ("physicalLocation", &["artifactLocation"], &["region"]),
    ("region", &["startLine"], &["startColumn", "endLine", "endColumn"]),
    ("fix", &["artifactChanges"], &["description"]),
    ("artifactChange", &["artifactLocation", "replacements"], &[]),
    ("replacement", &["deletedRegion"], &["insertedContent"]),
];

#[track_caller]
fn shape(name: &str, value: &Value) {
    let (_, must, may) = SHAPES.iter().find(|(known, ..)| *known == name).expect("a shape");
    let object = value.as_object().unwrap_or_else(|| panic!("{name} is an object: {value}"));
    for property in *must {
        assert!(object.contains_key(*property), "{name} has {property}: {value}");
    }
    for property in object.keys() {
        let known = must.contains(&property.as_str()) || may.contains(&property.as_str());
        assert!(known, "{name} has no {property}");
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).map_or(&[], |list| list.as_array().expect("a list").as_slice())
}

#[track_caller]
fn message(value: &Value) {
    assert!(value["text"].as_str().is_some_and(|text| !text.is_empty()), "{value}");
}

/// Lines and columns count from 1, and nothing ends before it begins.
#[track_caller]
fn region(value: &Value) {
    shape("region", value);
    let number = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"));
    let start = (number("startLine"), number("startColumn"));
    let end = (number("endLine"), number("endColumn"));
    assert!(start.0 >= 1 && start.1 >= 1 && start <= end, "{value}");
}

/// A URI reference (RFC 3986): only what may stand there unescaped.
#[track_caller]
fn location(value: &Value) {
    let uri = value["uri"].as_str().expect("a URI");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:%".contains(&byte);
    assert!(!uri.is_empty() && uri.bytes().all(plain), "{uri}");
    let escapes = uri.split('%').skip(1);
    assert!(
        escapes.clone().all(|rest| rest.get(..2).is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok())),
        "{uri}"
    );
    assert!(!uri.starts_with('/') && !uri.contains("////"), "a path alone is no URI: {uri}");
}

fn result(result: &Value, rules: &[Value]) {
    shape("result", result);
    message(&result["message"]);
    assert!(matches!(result["level"].as_str(), Some("error" | "warning" | "note" | "none")), "{result}");
    let index = result["ruleIndex"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("an index");
    assert_eq!(rules.get(index).map(|rule| &rule["id"]), Some(&result["ruleId"]));
    for one in list(result, "locations") {
        shape("location", one);
        shape("physicalLocation", &one["physicalLocation"]);
        location(&one["physicalLocation"]["artifactLocation"]);
        region(&one["physicalLocation"]["region"]);
    }
    for fix in list(result, "fixes") {
        shape("fix", fix);
        message(&fix["description"]);
        assert!(!list(fix, "artifactChanges").is_empty());
        for change in list(fix, "artifactChanges") {
            shape("artifactChange", change);
            location(&change["artifactLocation"]);
            assert!(!list(change, "replacements").is_empty());
            for replacement in list(change, "replacements") {
                shape("replacement", replacement);
                region(&replacement["deletedRegion"]);
            }
        }
    }
}

fn log(found: &[Diagnostic]) -> Value {
    let mut out = Vec::new();
    write(&mut out, found).expect("written");
    let log: Value = serde_json::from_slice(&out).expect("JSON");
    shape("log", &log);
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(list(&log, "runs").len(), 1);
    let run = &log["runs"][0];
    shape("run", run);
    shape("tool", &run["tool"]);
    let driver = &run["tool"]["driver"];
    shape("driver", driver);
    let rules = list(driver, "rules");
    for (at, rule) in rules.iter().enumerate() {
        shape("rule", rule);
        message(&rule["shortDescription"]);
        message(&rule["help"]);
        assert!(rules.iter().skip(at + 1).all(|other| other["id"] != rule["id"]), "each once");
    }
    list(run, "results").iter().for_each(|one| result(one, rules));
    log
}

#[test]
fn what_the_schema_wants() {
    assert_eq!(list(&log(&[])["runs"][0], "results").len(), 0);
    let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.into(), text: text.to_owned() });
    let main = file("/etc/postfix/main.cf", "myhostname = ümlaut\nmydomain =\n  x\n");
    let odd = file("a folder/ü 100%.cf", "x");
    let at = |start, end| Place::new(&main, start, end);
    let found = [
        Diagnostic::error(104, at(13, 20), "twice").help("once").fix(at(13, 20), "mx"),
        Diagnostic::warning(120, at(21, 36), "two lines"),
        Diagnostic::warning(120, at(0, 0), "no text").fix(at(0, 0), "  "),
        Diagnostic::hint(120, Place::new(&odd, 0, 1), "another file"),
        Diagnostic::hint(9999, Place::nowhere(), "a code without a page, and no place")
            .fix(Place::nowhere(), ""),
    ];
    let log = log(&found);
    let results = list(&log["runs"][0], "results");
    assert_eq!(results.len(), found.len());
    let first = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(first["artifactLocation"]["uri"], "file:///etc/postfix/main.cf");
    // In characters: `ü` is one.
    assert_eq!(
        first["region"],
        serde_json::json!({ "startLine": 1, "startColumn": 14, "endLine": 1, "endColumn": 20 })
    );
    let second = &results[3]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(second, "a%20folder/%C3%BC%20100%25.cf");
    assert_eq!((results[4].get("locations"), results[4].get("fixes")), (None, None));
}
