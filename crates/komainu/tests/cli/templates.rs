//! `postconf -t` and `-b` beside Debian's: built-in templates, files good and bad, and what `$name` stands for.

use crate::conf::Both;
use crate::program::Folder;

const MAIN: &str = "compatibility_level = 3.6\nmyhostname = xn--mnchen-3ya.example\nmine = 1\nother = $mine $nosuch\n\
    maximal_queue_lifetime = 1234567s\ndelay_warning_time = 90m\nbounce_template_file = own.cf\n";

#[test]
fn templates_as_debian_shows_them() {
    let Some(both) = Both::new() else { return };
    both.put("templates", MAIN, "");
    both.folder
        .write("templates/own.cf", "failure_template = <<EOF\nSubject: own\n\nText of $myhostname\nEOF\n");
    for way in ["-t", "-b", "-t nosuch", "-b nosuch", "-t .", "-t own.cf own.cf", "-b own.cf"] {
        both.check("templates", &way.split_whitespace().collect::<Vec<_>>());
        both.check("stock", &way.split_whitespace().collect::<Vec<_>>());
    }
    both.check("templates", &["-t", ""]);
    both.check("templates", &["-b", ""]);
}

#[test]
fn files_good_and_bad() {
    let Some(both) = Both::new() else { return };
    both.put("templates", MAIN, "");
    let files = "x\nfailure_template = x|failure_template = Subject: foo|failure_template =|garbage|= x\n\
        failure_template <<EOF~foo~EOF|failure_template = <<~Subject: a~~foo~|failure_template=<<X Y~Subject: a~~foo~X Y\n\
        # c~  ~~ failure_template = << EOF ~Subject: a~~foo~EOF\nfailure_template = <<EOF~Subject: a~foo~EOF~  more\n\
        verify_template = <<EOF~Subject: a~ b~~foo~EOF|failure_template = <<EOF~~~Subject: z~foo~EOF\n\
        failure_template = <<EOF~EOF|failure_template = <<EOF~Subject: a~~EOF|failure_template = <<EOF~Subject:~~foo~EOF\n\
        failure_template = <<EOF~sUBJECT:   a  b  ~FROM:q~Subject :z~~foo~~bar~~~EOF\nFailure_template = <<EOF~x~EOF\n\
        delay_template = <<EOF~Subject: é~~foo~EOF|delay_template = <<EOF~Subject: x~~é~EOF|success_template = <<EOF~Postmaster-Subject: x~~q~EOF\n\
        delay_template = <<EOF~Charset: utf-8~Subject: x~~é $myhostname~EOF|failure_template = <<EOF~X-Foo: x~~q~EOF\n\
        failure_template = <<EOF~Subject: x~~hello|failure_template = <<EOF~S: x\rq\r~EOF\r\n\
        failure_template = <<EOF~~$mine $other|$relayhost $$~${mine?yes}${nosuch:no} ${{a}=={a}?{x}:{y}}~EOF\n\
        failure_template = <<EOF~~a~b $nosuch\t$~c~EOF|failure_template = <<EOF~~a~b $nosuch\t~c~EOF|failure_template = <<EOF~~a ${~EOF\n\
        failure_template = <<EOF~~${a b}~EOF|failure_template = <<EOF~~${}~EOF|failure_template = <<EOF~~${mine?{x} y}~EOF\n\
        failure_template = <<EOF~~$maximal_queue_lifetime_seconds $maximal_queue_lifetime_weeks $delay_warning_time_days~EOF\n\
        failure_template = <<EOF~~$delay_warning_time_fortnights~EOF|failure_template = <<EOF~~$delay_warning_time_~EOF\n\
        failure_template = <<EOF~~$delay_warning_time $maximal_queue_lifetime $myhostname $mydomain~EOF";
    let files: Vec<&str> = files.lines().flat_map(|line| line.split('|')).collect();
    for file in files {
        // What Postfix names as the missing end of a last line without an end is chance.
        let end = if file.ends_with("EOF") || file.ends_with("X Y") { "\n" } else { "" };
        both.folder.write("templates/f", file.replace('~', "\n") + end);
        both.check("templates", &["-t", "f"]);
        both.check("templates", &["-b", "f"]);
    }
}

#[test]
fn under_our_own_name() {
    let folder = Folder::new();
    folder.write("f", "nonsense\n");
    let ran = folder.komainu(&["conf", "-t", "f"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert_eq!(
        ran.errors,
        "komainu conf: fatal: f, line 2: missing '=' after attribute name: \"nonsense\"\n"
    );
    let ran = folder.komainu(&["conf", "-b"]);
    assert!(ran.out.contains("It will be retried until it is 5 day(s) old.\n"), "{ran:?}");
}
