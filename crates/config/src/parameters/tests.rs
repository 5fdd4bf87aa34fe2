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
    // As Postfix 3.7 refuses to run.
    check(
        "postscreen_dnsbl_threshold = 0\n",
        &["main.cf:1:30: error[K0107]: bad value of postscreen_dnsbl_thres"],
    );
    check("postscreen_dnsbl_threshold = 1\n", &[]);
    check(
        "postscreen_pre_queue_limit = 9\n",
        &["main.cf:1:30: error[K0107]: bad value of postscreen_pre_queue_"],
    );
    check("smtpd_timeout = 0\n", &["main.cf:1:17: error[K0108]: bad value of smtpd_timeout"]);
    check("postscreen_dnsbl_allowlist_threshold = -4\n", &[]);
    check("smtpd_timeout = 5 minutes\n", &["main.cf:1:17: error[K0108]: bad value of smtpd_timeout"]);
    check("compatibility_level = x\n", &["main.cf:1:23: error[K0109]: bad value of compatibility_level"]);
    check("mynetworks_style = lan\n", &["main.cf:1:20: error[K0109]: bad value of mynetworks_style"]);
    check("inet_protocols = ipv5\n", &["main.cf:1:18: error[K0109]: bad value of inet_protocols"]);
    check("v = ${{a} =~ {b} ? {c}}\n", &["main.cf:1:11: error[K0110]: \"==\" or"]);
    check("v = ${{99999999999999999999} < {1} ? {c}}\n", &["main.cf:1:8: error[K0114]"]);
    check("v = $nope x\n", &["main.cf:1:5: warning[K0113]: undefined parameter: nope"]);
    check("v = ${lower{x}}\n", &["main.cf:1:12: error[K0115]"]);
    check("v = a$\n", &["main.cf:1:6: error[K0110]: empty macro name"]);
    check(
        "a = 1\na = 2\n",
        &["main.cf:2:1: warning[K0104]: a overrides its earlier definition in main.cf:1"],
    );
    check("= b\n", &["main.cf:1:1: error[K0102]"]);
    check("a b = c\n", &["main.cf:1:1: error[K0101]: missing `=` after the parameter name: `a b`"]);
    check("a = b\0c\n", &["main.cf:1:6: warning[K0105]: the character U+0000"]);
    check("\u{feff}a = b\n", &["main.cf:1:1: warning[K0105]: the character U+FEFF"]);
    check("nonsense\n", &["main.cf:1:1: error[K0101]: missing `=`"]);
    check(" a = b\n", &["main.cf:1:1: warning[K0103]"]);
}

/// A value that can't be read leaves its default in force.
#[test]
fn types() {
    let p = read(
        "biff = maybe\nmessage_size_limit = 10M\nsmtpd_timeout = 5 min\nsoft_bounce = YES\nqueue_minfree = 7\n",
    );
    assert!(p.flag("biff") && p.flag("soft_bounce") && !p.flag("smtpd_helo_required") && !p.flag("nobody"));
    assert_eq!((p.number("message_size_limit"), p.number("queue_minfree")), (10_240_000, 7));
    assert_eq!(p.duration("smtpd_timeout"), Duration::from_secs(300));
    assert_eq!(p.number("relay_destination_recipient_limit"), 50);
    let p = read(
        "address_verify_cache_cleanup_interval = 2\nmaximal_queue_lifetime = 3\nanvil_rate_time_unit = 3m\n",
    );
    assert_eq!(p.duration("address_verify_cache_cleanup_interval"), Duration::from_secs(7200));
    assert_eq!(p.duration("maximal_queue_lifetime"), Duration::from_secs(3 * 86_400));
    assert_eq!(p.duration("anvil_rate_time_unit"), Duration::from_secs(180));
}

#[test]
fn stress() {
    let p = read("");
    assert_eq!(p.with_stress(true).duration("smtpd_timeout"), Duration::from_secs(10));
    assert_eq!(p.with_stress(true).number("smtpd_hard_error_limit"), 1);
    assert_eq!(p.with_stress(true).with_stress(false).number("smtpd_hard_error_limit"), 20);
}

/// An override holds for its listener alone, and its words keep their places.
#[test]
fn overrides() {
    let p = read("mua = permit_sasl_authenticated, reject\nsmtpd_banner = main\n");
    let text = "587 inet n - n - - smtpd\n  -o { smtpd_client_restrictions = a $mua } -o smtpd_timeout=x -o smtpd_banner=\n";
    let (master, _) = crate::MasterCf::parse(&file(text));
    let (own, diagnostics) = p.with_overrides(&master.services[0].overrides);
    let found: Vec<u16> = diagnostics.iter().map(|d| d.code.0).collect();
    assert_eq!(found, [108]);
    let words = own.list("smtpd_client_restrictions");
    let words: Vec<String> =
        words.iter().map(|w| format!("{} {}:{}", w.value, w.place.line(), w.place.column())).collect();
    assert_eq!(words, ["a 2:36", "permit_sasl_authenticated 1:7", "reject 1:34"]);
    assert_eq!((own.text("smtpd_banner").value.as_str(), own.is_set("smtpd_banner")), ("", true));
    assert_eq!(p.list("smtpd_client_restrictions"), []);
    assert_eq!(p.text("smtpd_banner").value, "main");
}

#[test]
fn words_of_one_place() {
    let p = read("v = {a,\n# no\n b = c}, d\n  e\n");
    let raw = p.raw("v").expect("v is defined");
    let words = crate::split_words(raw);
    let found: Vec<String> =
        words.iter().map(|w| format!("{} {}:{}", w.value, w.place.line(), w.place.column())).collect();
    assert_eq!(found, ["{a, b = c} 1:5", "d 3:10", "e 4:3"]);
    // The braces off, the inside splits again with places.
    let inner = crate::unbraced(&words[0]).expect("braces");
    assert_eq!((inner.value.as_str(), inner.place.to_string()), ("a, b = c", "main.cf:1:6".to_owned()));
    assert_eq!(crate::unbraced(&words[1]), None);
    let places: Vec<String> = crate::split_words(inner).iter().map(|w| w.place.to_string()).collect();
    assert_eq!(places, ["main.cf:1:6", "main.cf:3:2", "main.cf:3:4", "main.cf:3:6"]);
}

/// Defaults that depend on compatibility_level and on whose defaults are in force.
#[test]
fn levels() {
    #[track_caller]
    fn check(level: &str, name: &str, expect: &str) {
        assert_eq!(
            read(&format!("compatibility_level = {level}\n")).text(name).value,
            expect,
            "{name} at {level}"
        );
    }
    check("0", "relay_domains", "vm.localdomain, localhost.localdomain, localhost");
    check("2", "relay_domains", "");
    check("0", "append_dot_mydomain", "yes");
    check("1", "append_dot_mydomain", "no");
    check("1", "mynetworks_style", "subnet");
    check("0", "smtpd_relay_restrictions", "");
    check(
        "3.6",
        "smtpd_relay_restrictions",
        "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
    );
    check("3.5", "respectful_logging", "no");
    check("3.10", "smtp_tls_security_level", "");
    check("3.11", "smtp_tls_security_level", "may");
    let p = read("compatibility_level = 3.6\n");
    assert!(p.compatibility_level_at_least("3.6") && p.compatibility_level_at_least("2"));
    assert!(!p.compatibility_level_at_least("3.10"));
    let old = Parameters::new(&MainCf::empty(), &Host::default(), Compat::V3_7).0;
    assert_eq!(old.text("smtpd_forbid_bare_newline").value, "no");
    assert_eq!(read("").text("smtpd_forbid_bare_newline").value, "normalize");
}
