use super::*;
use crate::Compat;
use proptest::prelude::*;

const MAIN: &str = "# head\na = 1\nmynetworks = 127.0.0.0/8,\n  # inside\n\n\t10.0.0.0/8\n# tail\nrelayhost = x\nbiff=no\nrelayhost = y\n";

const MASTER: &str = "# head\nsmtp      inet  n       -       y       -       -       smtpd\n  -o a=b\n# inside\n  -o { c = d e }\n# tail\nrelay unix - - n - - smtp -v\npipe1 unix - n n - - pipe flags=R user=x argv=/bin/y ${recipient}\n";

#[test]
fn settings_are_split() {
    assert_eq!(split_setting(" a = b c "), Ok(("a", "b c")));
    assert_eq!(split_setting("a="), Ok(("a", "")));
    assert_eq!(split_setting("a b=c"), Err(Refused::new("missing '=' after attribute name: \"a b=c\"")));
    assert_eq!(split_setting("=c"), Err(Refused::new("missing attribute name: \"=c\"")));
}

#[track_caller]
fn main_edited(edit: MainEdit, text: &str, words: &[&str]) -> String {
    let requests: Vec<_> =
        words.iter().map(|word| MainRequest::parse(edit, word).expect("a good request")).collect();
    edit_main(text, "main.cf", edit, &requests).0
}

#[test]
fn main_is_edited_in_place() {
    let set = |text: &str, words: &[&str]| main_edited(MainEdit::Set, text, words);
    assert_eq!(
        set(MAIN, &["mynetworks=::1"]),
        MAIN.replace("127.0.0.0/8,", "::1").replace("\t10.0.0.0/8\n", "")
    );
    assert_eq!(
        set(MAIN, &["relayhost=z"]),
        MAIN.replace("relayhost = x", "relayhost = z").replace("= y", "= z")
    );
    assert_eq!(set("a = 1", &["c=3", "b=2"]), "a = 1\nc = 3\nb = 2\n", "a missing line end is made good");
    assert_eq!(set("", &["a="]), "a = \n");
    assert_eq!(
        main_edited(MainEdit::CommentOut, MAIN, &["mynetworks"]),
        MAIN.replace("mynetworks", "#mynetworks").replace("\t10", "#\t10")
    );
    assert_eq!(main_edited(MainEdit::Remove, MAIN, &["biff", "nosuch"]), MAIN.replace("biff=no\n", ""));
}

#[track_caller]
fn master_edited(edit: MasterEdit, words: &[&str]) -> String {
    let requests: Vec<_> =
        words.iter().map(|word| MasterRequest::parse(edit, word).expect("a good request")).collect();
    edit_master(MASTER, "master.cf", edit, &requests).expect("a readable file").0
}

#[test]
fn master_is_edited_in_place() {
    let laid_out = "# head\n# inside\n# tail\nsmtp       inet  n       -       n       -       -       smtpd\n    -o a=b\n    -o {c=d e}\n";
    let edited = master_edited(MasterEdit::SetField, &["smtp/inet/chroot=n"]);
    assert_eq!(edited, format!("{laid_out}{}", MASTER.split_once("# tail\n").map_or("", |(_, rest)| rest)));
    let edited = master_edited(MasterEdit::RemoveEntry, &["*/unix"]);
    assert_eq!(edited, MASTER.split_inclusive('\n').take(6).collect::<String>());
    let edited = master_edited(MasterEdit::SetParameter, &["relay/unix/x=y"]);
    assert!(edited.contains("smtp -v\n    -o x=y\npipe1"), "{edited}");
    let edited = master_edited(MasterEdit::SetEntry, &["new/unix=new unix - - n - - smtp"]);
    assert_eq!(edited, format!("{MASTER}new        unix  -       -       n       -       -       smtp\n"));
    let refused = MasterRequest::parse(MasterEdit::SetField, "smtp/inet/wakeup=").expect("its form is right");
    assert!(edit_master(MASTER, "master.cf", MasterEdit::SetField, &[refused]).is_err(), "an empty column");
}

fn conf(main: &str, master: &str, compat: Compat) -> Conf {
    let sources = Sources { directory: "/c", main: Some(main), master: Some(master), ..Sources::default() };
    let machine = Machine { compat, ..Machine::default() };
    Conf::read(&sources, &machine).expect("readable").0
}

#[test]
fn names_and_who_made_them() {
    let conf = conf(
        "relayhost = $mine\nmine = x\nother = y\nalias_maps = ldap:dir\ndir_bind = no\nslow_time_limit = 5\n",
        "slow unix - n n - - pipe user=x argv=/bin/y -o a=b\n",
        Compat::V3_7,
    );
    assert_eq!(conf.class("mine"), Some(Class::User));
    assert_eq!(conf.class("dir_bind"), Some(Class::User));
    assert_eq!(conf.class("slow_time_limit"), Some(Class::Service));
    assert_eq!(conf.class("other"), None);
    assert_eq!(conf.unused_in_main(), ["/c/main.cf: unused parameter: other=y"]);
    assert_eq!(conf.names(&[Class::User], true), ["dir_bind", "mine"]);
    assert_eq!(conf.class("smtp_tlsrpt_enable"), None, "it came with 3.10");
    assert_eq!(conf.expanded("relayhost", "$mine").as_deref(), Ok("x"));
}

/// A cycle is refused, not followed.
#[test]
fn cycles_end() {
    let sources = Sources { directory: "/c", main: Some("a = $b\nb = $a\n"), ..Sources::default() };
    let Refused(why) = Conf::read(&sources, &Machine::default()).expect_err("a cycle");
    assert!(why.starts_with("macro processing error: "), "{why}");
}

#[test]
fn deprecated_names() {
    let main = "fallback_relay = x\n";
    let expect = "/c/main.cf: support for parameter \"fallback_relay\" will be removed; instead, specify \"smtp_fallback_relay\"";
    assert_eq!(conf(main, "", Compat::V3_11).deprecated_in_main(), [expect]);
    assert!(conf(main, "", Compat::V3_7).deprecated_in_main().is_empty());
    assert!(conf(main, "", Compat::V3_7).unused_in_main().is_empty());
}

proptest! {
    /// What was set is read back, and nothing else has changed.
    #[test]
    fn setting_reads_back(
        name in "[a-z][a-z0-9_]{0,8}",
        value in "[!-~éあ][ -~éあ]{0,20}",
        lines in proptest::collection::vec("(#[ -~]{0,8}|[a-c]{1,2} ?= ?[ -~]{0,8}|[ \t]+[a-z#][ -~]{0,6}|[ \t]*)", 0..12),
    ) {
        let text: String = std::iter::once("z = 1\n".to_owned()).chain(lines.iter().map(|line| format!("{line}\n"))).collect();
        let request = MainRequest::parse(MainEdit::Set, &format!("{name}={value}")).expect("a request");
        let (edited, _) = edit_main(&text, "main.cf", MainEdit::Set, std::slice::from_ref(&request));
        let (before, _) = read_main(&text, "main.cf").expect("readable");
        let (after, _) = read_main(&edited, "main.cf").expect("still readable");
        let found = after.iter().find(|one| one.name == name).expect("it is there");
        prop_assert_eq!(&found.value, value.trim_matches(is_space));
        for one in before.iter().filter(|one| one.name != name) {
            prop_assert!(after.iter().any(|other| other.name == one.name && other.value == one.value));
        }
        let comments = |text: &str| -> Vec<String> {
            text.lines().filter(|line| LineKind::of(line) == LineKind::Passed).map(str::to_owned).collect()
        };
        prop_assert_eq!(comments(&text), comments(&edited));
        let (again, _) = edit_main(&edited, "main.cf", MainEdit::Set, &[request]);
        prop_assert_eq!(edited, again, "a second time changes nothing");
    }
}
