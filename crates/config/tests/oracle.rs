//! The installed `postconf` as oracle: defaults and expanded values must be Postfix 3.7's.
//!
//! Skipped with a printed reason where no postconf 3.7 is installed; with `CI` set that is a failure.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test may fail, and says why it skips")]

use config::{Compat, Host, Interface, MainCf, Parameters, SourceFile, registry};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Defaults of the machine or the build, and not of Postfix 3.7.
const NOT_COMPARED: [(&str, &str); 8] = [
    ("mail_version", "the patch level"),
    ("mail_release_date", "the patch level"),
    ("process_id", "of the running process"),
    ("process_name", "of the running process"),
    ("myhostname", "the machine's name"),
    ("mydomain", "the machine's name"),
    ("mynetworks", "the machine's addresses"),
    ("config_directory", "the command line's -c"),
];

fn postconf(arguments: &[&str]) -> Option<BTreeMap<String, String>> {
    let output = Command::new("postconf").args(arguments).output().ok()?;
    assert!(output.status.success(), "postconf {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter_map(|line| line.split_once(" ="));
    Some(rows.map(|(name, value)| (name.to_owned(), squashed(value))).collect())
}

/// Values of the process or the build; and two whose one reference postconf shows and we replace.
const NOT_OF_THE_FILE: [&str; 7] = [
    "process_id",
    "process_name",
    "mail_version",
    "mail_release_date",
    "milter_macro_v",
    "postscreen_expansion_filter",
    "postscreen_reject_footer",
];

/// postconf prints each stretch of white space as one space.
fn squashed(value: &str) -> String {
    value.split_whitespace().collect::<Vec<&str>>().join(" ")
}

fn oracle_missing() -> bool {
    let version = postconf(&["-d", "mail_version"]).and_then(|rows| rows.get("mail_version").cloned());
    let reason = match version {
        Some(version) if version.starts_with("3.7.") => return false,
        Some(version) => format!("postconf is {version}, not 3.7"),
        None => "postconf isn't installed".to_owned(),
    };
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    println!("skipped: {reason}");
    true
}

#[test]
fn defaults_are_those_of_3_7() {
    if oracle_missing() {
        return;
    }
    let rows = postconf(&["-d"]).expect("postconf ran a moment ago");
    assert!(rows.len() > 800, "{} rows", rows.len());
    let compared = |name: &str| NOT_COMPARED.iter().all(|(other, _)| *other != name);
    let mut wrong = Vec::new();
    for (name, value) in rows.iter().filter(|(name, _)| compared(name)) {
        let ours = match registry::find(name) {
            Some(parameter) => parameter.default_text(Compat::V3_7),
            None => registry::derived(name).map(|derived| derived.default),
        };
        if ours.map(squashed).as_ref() != Some(value) {
            wrong.push(format!("{name}: postconf `{value}`, registry {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rows that postconf doesn't know are of the past, of the future, or our own.
#[test]
fn rows_beyond_3_7_say_so() {
    if oracle_missing() {
        return;
    }
    let rows = postconf(&["-d"]).expect("postconf ran a moment ago");
    let excess: Vec<&str> = registry::all()
        .filter(|row| !rows.contains_key(row.name) && row.obsolete.is_none())
        .filter(|row| !row.name.starts_with("komainu_"))
        .filter(|row| !row.since.is_some_and(|v| matches!(v, "3.8" | "3.9" | "3.10" | "3.11" | "3.12")))
        .map(|row| row.name)
        .collect();
    assert!(excess.is_empty(), "{excess:?}");
}

const CONFIGURATIONS: [&str; 7] = [
    "",
    "myhostname = mail.example.com\ncompatibility_level = 3.6\nmyorigin = $mydomain\nrelay_domains = $mydestination, x.example\n",
    "compatibility_level = 2\nmydomain = example.org\nmynetworks = 127.0.0.0/8,\n  # inside\n\n  10.0.0.0/8\n  [::1]/128\nmydestination = $mydomain, localhost.$mydomain\n  , $myhostname\n",
    "myhostname = short\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks_style = subnet\nmua = permit_sasl_authenticated, reject\nsmtpd_client_restrictions = ${mua?{$mua}:{none}} ${nope?x}${nope:y}\n",
    "relayhost = ${{$compatibility_level} <level {3.6} ? {old} : {new}}\nfallback_transport = ${{9} < {10} ? yes : no}${{9} < {10a} ? {yes} : {no}}${{a} == {a}}\nalways_bcc = ${mail_name?  { v }  : { w } }|${{01} == {1}?{same}:{diff}}$$x$${mail_name}\ncontent_filter = a   b\t c\n",
    "local_transport = q\nempty =\nviae = $empty\nrelayhost = ${viae?set}${viae:unset}${empty?{x}:y}${empty?x:y}${viae?x:y}${ viae ?z}${viae : z}\nalways_bcc = $(viae?a}b)${viae?a)b}$local_transport.b${local_transport}}\ndefault_rbl_reply = $rbl_code no; $rbl_class\nsmtpd_timeout = ${stress?{1}:{2}}h\n",
    "relayhost=a=b\nrelayhost =\n = c\nlocal_transport = x # no comment\nvirtual_transport = a\\\n  b\nsmtpd_banner = $myhostname ESMTP\n\n  # c\n  ${domain?x} $mail_name\n",
];

#[test]
fn values_are_those_of_3_7() {
    if oracle_missing() {
        return;
    }
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a Linux machine");
    let loopback = Interface { address: [127, 0, 0, 1].into(), prefix: 8 };
    let host = Host { hostname: hostname.trim().to_owned(), addresses: vec![loopback] };
    for text in CONFIGURATIONS {
        let dir = tempfile::tempdir().expect("a folder for main.cf");
        std::fs::write(dir.path().join("main.cf"), text).expect("main.cf written");
        std::fs::write(dir.path().join("master.cf"), "").expect("master.cf written");
        compare(text, &host, dir.path());
    }
}

fn compare(text: &str, host: &Host, dir: &Path) {
    let path = dir.to_str().expect("a plain path");
    let rows = postconf(&["-c", path, "-x"]).expect("postconf ran a moment ago");
    let file = Arc::new(SourceFile { path: "main.cf".into(), text: text.to_owned() });
    let (mut main, _) = MainCf::parse(&file);
    main.set("config_directory", path);
    let (ours, _) = Parameters::new(&main, host, Compat::V3_7);
    let mut wrong = Vec::new();
    for (name, value) in &rows {
        let machine = NOT_OF_THE_FILE.contains(&name.as_str())
            || (!text.contains("inet_interfaces") && !text.contains("mynetworks =") && uses_networks(name));
        let found = squashed(&ours.text(name).value);
        if !machine && found != *value {
            wrong.push(format!("{name}: postconf `{value}`, ours `{found}`"));
        }
    }
    assert!(wrong.is_empty(), "{text}\n{}", wrong.join("\n"));
}

/// Whether the value hangs on the addresses of the machine's interfaces.
fn uses_networks(name: &str) -> bool {
    let mut name = name.to_owned();
    for _ in 0..4 {
        let Some(row) = registry::find(&name) else { return false };
        if row.name == "mynetworks" {
            return true;
        }
        let default = row.default_text(Compat::V3_7).unwrap_or("");
        if default.contains("$mynetworks") {
            return true;
        }
        name = default.trim_start_matches('$').to_owned();
    }
    false
}
