//! `postconf` beside Debian's: all parameters, defaults, services, and edits of the same files byte for byte.
//!
//! Debian's is 3.7; ours is asked with `--compat 3.7`. What postconf says on standard error comes in the order
//! of a hash table: it is compared sorted, each line once.

use crate::program::{Folder, komainu, oracle};
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAIN: &str = "# head\ncompatibility_level = 3.6\nfoo = bar\nmyorigin=$mydomain\nmynetworks =   127.0.0.0/8,\n   # inside\n\n\t10.0.0.0/8    192.0.2.0/24\n# tail\nsmtpd_recipient_restrictions = permit_mynetworks, cls, reject_unauth_destination\nsmtpd_restriction_classes = cls other missing\ncls = permit\nother =  a   b\t\tc\nuseme = x$useme2\nuseme2 = y\nrelayhost = $useme ${nonex?foo} $nonexist\nmua_x = 1\nunused = a\n  b\nalias_maps = hash:/etc/aliases, ldap:src, mysql:mysrc\nsrc_server_host = x\nsrc_bogus = y\nmysrc_hosts = z\nrelay_destination_concurrency_limit = 5\nnosuch_destination_concurrency_limit = 5\npol_time_limit = 99\nbiff=no\nrelayhost = second $useme\nfallback_relay = x\n#biff = yes\n";

const MASTER: &str = "# head\nsmtp      inet  n       -       y       -       -       smtpd\n  -o smtpd_client_restrictions=$mua_x  -o { foo2 = bar  baz } -o mynetworks=10.0.0.0/8,11.0.0.0/8\n# between\n  -v -o own=abc -o foo3=$own -o smtpd_helo_restrictions=$gone\n\n  -o syslog_name=postfix/$service_name\n# tail\nrelay unix - - n - - smtp -v -o a=b -o a=c\n\t-o d=e   \npol unix - n n - 0 spawn user=nobody argv=/bin/x a b\nslow unix - n n - - pipe flags=R user=x argv=/bin/y  ${recipient} -o a=b   {a b} $mail_name aaaaaaaaaaaaaaaaaaaaa\nfirst unix - n n - - pipe -oc=d { a b } -x\n127.0.0.1:10025 inet n - - - - smtpd -o a=b -o { x = y  z }\nlog unix-dgram - - - 300? 12345678 postlogd\nrelay unix - - y - - smtp -o second=1\n";

pub(crate) struct Both {
    pub(crate) folder: Folder,
    theirs: PathBuf,
}

/// What a run gave: output, what was said, and how it ended.
type Outcome = (String, BTreeSet<String>, Option<i32>);

impl Both {
    pub(crate) fn new() -> Option<Both> {
        let theirs = oracle("postconf")?;
        let folder = Folder::new();
        let both = Both { folder, theirs };
        both.put("ours", MAIN, MASTER);
        both.put("stock", &text("/etc/postfix/main.cf"), &text("/etc/postfix/master.cf"));
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        for example in std::fs::read_dir(examples).expect("the examples") {
            let path = example.expect("an example").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            both.put(&name, &text(path.join("main.cf")), &text(path.join("master.cf")));
        }
        Some(both)
    }

    pub(crate) fn put(&self, folder: &str, main: &str, master: &str) {
        std::fs::create_dir_all(self.folder.path().join(folder)).expect("a folder");
        self.folder.write(&format!("{folder}/main.cf"), main);
        self.folder.write(&format!("{folder}/master.cf"), master);
    }

    fn folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let with_main = paths.filter(|path| path.join("master.cf").exists());
        with_main.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
    }

    fn run(&self, program: &Path, folder: &str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(program);
        command.arg0("postconf").current_dir(self.folder.path().join(folder)).env("LC_ALL", "C");
        if program != self.theirs {
            command.args(["--compat", "3.7"]);
        }
        let output = command.args(["-c", "."]).args(arguments).output().expect("starts");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let same = |line: &&str| !line.starts_with("process_id =") && line.parse::<u32>().is_err();
        let out = out.lines().filter(same).collect::<Vec<_>>().join("\n");
        let errors = String::from_utf8_lossy(&output.stderr);
        // Debian's reads main.cf more than once, and says it each time, for either definition.
        let errors = errors.lines().filter(|line| !line.contains("overriding earlier entry"));
        let errors = errors.map(str::to_owned).collect();
        (out, errors, output.status.code())
    }

    #[track_caller]
    pub(crate) fn check(&self, folder: &str, arguments: &[&str]) {
        let theirs = self.run(&self.theirs, folder, arguments);
        let ours = self.run(&komainu(), folder, arguments);
        let lines = |(out, ..): &Outcome| -> Vec<String> { out.lines().map(str::to_owned).collect() };
        let different = lines(&theirs).into_iter().zip(lines(&ours)).find(|(theirs, ours)| theirs != ours);
        assert_eq!(different, None, "{folder}: {arguments:?}");
        assert_eq!(theirs, ours, "{folder}: {arguments:?}");
    }

    /// The same edit of the same files by both.
    #[track_caller]
    fn check_edit(&self, folder: &str, arguments: &[&str]) {
        let (main, master) = (self.file(folder, "main.cf"), self.file(folder, "master.cf"));
        let [theirs, ours] = [self.theirs.clone(), komainu()].map(|program| {
            self.put("edited", &main, &master);
            let outcome = self.run(&program, "edited", arguments);
            (outcome, self.file("edited", "main.cf"), self.file("edited", "master.cf"))
        });
        assert_eq!(theirs.1, ours.1, "main.cf: {arguments:?}");
        assert_eq!(theirs.2, ours.2, "master.cf: {arguments:?}");
        assert_eq!(theirs.0, ours.0, "{arguments:?}");
    }

    fn file(&self, folder: &str, name: &str) -> String {
        text(self.folder.path().join(folder).join(name))
    }
}

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn shown_as_debian_shows_it() {
    let Some(both) = Both::new() else { return };
    let ways = [
        "",
        "-n",
        "-d",
        "-nf",
        "-x",
        "-df",
        "-h",
        "-H",
        "-hf",
        "-nx",
        "-dx",
        "-C user",
        "-C service",
        "-C builtin -n",
        "-o mydomain=foo.example -x",
        "-M",
        "-Mf",
        "-Mx",
        "-F",
        "-Ff",
        "-Fx",
        "-Fh */*/chroot",
        "-FH",
        "-P",
        "-Pf",
        "-Px",
        "-Ph",
        "-PH",
        "-P smtp/inet",
        "-F */*/command",
        "-M */unix",
        "-M nosuch",
        "-F nosuch",
        "-P nosuch/inet/x",
        "-M a/b/c",
        "-F smtp/inet/foo",
        "-n biff nosuch foo cls",
        "biff biff nosuch",
        "-d cls relayhost",
    ];
    for folder in both.folders() {
        // The examples' files bring nothing new to how things are laid out.
        let some = if matches!(folder.as_str(), "ours" | "stock") { &ways[..] } else { &ways[..5] };
        for way in some {
            both.check(&folder, &way.split_whitespace().collect::<Vec<_>>());
        }
    }
}

#[test]
fn each_name_alone() {
    let Some(both) = Both::new() else { return };
    let (names, ..) = both.run(&both.theirs, "ours", &["-H"]);
    let names: Vec<&str> = names.lines().filter(|name| *name != "process_id").collect();
    assert!(names.len() > 800, "{} names", names.len());
    for some in names.chunks(100) {
        both.check("ours", some);
        both.check("ours", &[&["-x"], some].concat());
        both.check("ours", &[&["-d", "-h"], some].concat());
    }
}

#[test]
fn edited_as_debian_edits_it() {
    let Some(both) = Both::new() else { return };
    let edits = "-e|mynetworks=1.2.3.4\nrelayhost=new\nnewone=v\nnewtwo=\nmyhostname = y \n-e|foo\n-X|mynetworks\n\
        -X|relayhost|nosuch\n-X|a=b\n-#|mynetworks\n-#|other|relayhost\n-#|nosuch\nbiff=yes|biff=no\nx y=z\n=z\n\
        -e|#x=z\nx=$y  # foo\nother=\n-X|other | biff\n-X|\n\
        -Me|smtp/inet=smtp inet n - n - - smtpd -o x=y\n-Me|new/unix=new unix - - n - - smtp   -o { a = b c }\n\
        -Me|smtp/inet = foo unix - - n - - bar\n-Me|smtp/inet=short line\n-Me|smtp=smtp inet n - n - - smtpd\n\
        -MX|smtp/inet\n-MX|relay/unix|nosuch/inet\n-MX|*/unix\n-M#|smtp/inet\n-M#|relay/unix\n-MX|smtp\n\
        -Me|*/*=smtp inet n - n - - x\n-Me|relay/unix=relay unix - - - - - smtp|relay/unix=relay unix y - - - - smtp\n\
        -Me|x/unix=x unix - - - - - pipe a={b c} {d e}f\n-Fe|smtp/inet/chroot=n\n-Fe|*/unix/chroot=y\n\
        -Fe|*/*/chroot=n\n-Fe|smtp/inet/command=postscreen -o foo=bar\n-Fe|smtp/inet/service=other\n\
        -Fe|smtp/inet/nosuch=1\n-Fe|nosuch/inet/chroot=y\n-Fe|smtp/inet/chroot=maybe\n-Fe|smtp/inet=x\n\
        -Fe|smtp/inet/wakeup=1 2\n-Fe|relay/unix/private=y|slow/unix/process_limit=5\n-Pe|smtp/inet/own=new\n\
        -Pe|smtp/inet/zz=new\n-Pe|smtp/inet/zz=a b c\n-Pe|relay/unix/a=X\n-Pe|slow/unix/a=Z\n-Pe|*/inet/k=v\n\
        -Pe|smtp/inet/foo2=1\n-Pe|nosuch/inet/a=b\n-PX|smtp/inet/own\n-PX|relay/unix/a|relay/unix/d\n-PX|*/*/a\n\
        -PX|smtp/inet\n-Pe|smtp/inet/a=\n-Pe|smtp/inet/*=3\n-P|smtp/inet/a=new\n-F|smtp/inet/chroot=n\n-FX|a/b/c";
    for folder in ["ours", "stock"] {
        for line in edits.lines() {
            both.check_edit(folder, &line.split('|').collect::<Vec<_>>());
        }
    }
}

#[test]
fn wrong_options() {
    let Some(both) = Both::new() else { return };
    for line in [
        "-hH", "-dn", "-do x=y", "-PM", "-MF", "-mM", "-z", "-Mh", "-Pd", "-FX x", "-ab", "-bt", "-e", "-X",
        "-xX x", "-oz",
    ] {
        let theirs = both.run(&both.theirs, "ours", &line.split_whitespace().collect::<Vec<_>>());
        let ours = both.run(&komainu(), "ours", &line.split_whitespace().collect::<Vec<_>>());
        let fatal = |(_, errors, code): Outcome| {
            (errors.into_iter().filter(|e| e.contains("fatal")).collect::<Vec<_>>(), code)
        };
        assert_eq!(fatal(theirs), fatal(ours), "{line}");
    }
}

#[test]
fn without_a_judge() {
    let folder = Folder::new();
    folder.write("main.cf", "relayhost = \"a\\b\n");
    folder.write("master.cf", "smtp inet n - n - - smtpd -o a=b\n");
    let ran = folder.komainu(&["conf", "-j", "relayhost", "-q"]);
    assert_eq!(ran.out, "{\"relayhost\": \"\\\"a\\\\b\"}\n", "{ran:?}");
    let ran = folder.komainu(&["conf", "--format", "json", "-qP"]);
    assert_eq!((ran.out.as_str(), ran.errors.as_str()), ("{\"smtp/inet/a\": \"b\"}\n", ""), "{ran:?}");
    let ran = folder.komainu(&["conf", "--about", "smtpd_helo_required"]);
    assert!(ran.out.contains("type     yes/no") && ran.code == Some(0), "{ran:?}");
    let ran = folder.komainu(&["conf", "--about", "--format", "json", "hash:", "reject", "nosuchthing"]);
    assert_eq!((ran.out.lines().count(), ran.code), (4, Some(1)), "{ran:?}");
    assert!(ran.errors.contains("nosuchthing: unknown name"), "{ran:?}");
    for wrong in [&["conf", "--bogus"][..], &["conf", "-z"], &["conf", "-c"], &["conf", "--format"]] {
        let ran = folder.komainu(wrong);
        assert!(
            ran.errors.contains("\nusage: komainu conf [") && !ran.errors.contains("postconf"),
            "{ran:?}"
        );
        assert_eq!((ran.code, ran.out.as_str()), (Some(64), ""), "{ran:?}");
    }
    let ran = folder.komainu(&["conf", "-T", "bogus"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = folder.komainu(&["conf", "--help"]);
    assert!(ran.out.contains("-Pe S/T/NAME=VALUE") && ran.code == Some(0), "{ran:?}");
    assert!(folder.komainu(&["conf", "-m"]).out.lines().any(|name| name == "cidr"));
    assert_eq!(folder.komainu(&["conf", "-a"]).out, "dovecot\ninternal\n");
    assert_eq!(folder.komainu(&["conf", "-A"]).out, "cyrus\n");
    assert_eq!(folder.komainu(&["conf", "-l"]).out, "flock\nfcntl\ndotlock\n");
    assert_eq!(folder.komainu(&["conf", "-T", "public-key-algorithms"]).out, "ecdsa\ned25519\nrsa\n");
    let ran = folder.komainu(&["conf", "-e", "myhostname=mx.example.org"]);
    assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(text(folder.path().join("main.cf")), "relayhost = \"a\\b\nmyhostname = mx.example.org\n");
}
