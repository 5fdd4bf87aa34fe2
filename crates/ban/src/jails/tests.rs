use super::*;
use expect_test::{Expect, expect};

/// Files in memory, by their paths under /f.
struct Memory(BTreeMap<PathBuf, String>);

impl Files for Memory {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match self.0.get(path).map(String::as_str) {
            Some("!") => Err("Permission denied".to_owned()),
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()
    }
}

fn check(files: &[(&str, &str)], expect: &Expect) {
    let files = files.iter().map(|(path, text)| (Path::new("/f").join(path), (*text).to_owned()));
    let read = read(&Memory(files.collect()), Path::new("/f"));
    let mut out: String = crate::dump::lines_of(&read, &|path| vec![path.to_owned()])
        .iter()
        .map(|l| format!("{l}\n"))
        .collect();
    read.found.iter().for_each(|diagnostic| out += &format!("{diagnostic}\n"));
    expect.assert_eq(&out);
}

const FILTER: (&str, &str) = ("filter.d/a.conf", "[Definition]\nfailregex = x <HOST>\n");

/// T2.18: as printed, jail.d/postfix.conf is headed `[dovecot]`, and the flood jail names a filter that isn't given. The
/// tutorial expects four jails: so be it, and both are said.
#[test]
fn the_tutorials_jails() {
    check(
        &[
            (
                "jail.conf",
                "[DEFAULT]\nmaxretry = 5\n[sshd]\nfilter = sshd\n[dovecot]\n[postfix]\nmode = more\n",
            ),
            ("jail.d/defaults-debian.conf", "[sshd]\nenabled = true\n"),
            ("filter.d/sshd.conf", "[Definition]\nfailregex = s <HOST>\n"),
            ("jail.d/dovecot.conf", "[dovecot]\nenabled = true\nfilter = dovecot\n"),
            ("jail.d/postfix.conf", "[dovecot]\nenabled = true\nfilter = postfix\nmaxretry = 3\n"),
            ("jail.d/flood.conf", "[postfix-flood-attack]\nenabled = true\nfilter = postfix-flood-attack\n"),
            ("filter.d/dovecot.conf", "[Definition]\nfailregex = d <HOST>\n"),
            ("filter.d/postfix.conf", "[Definition]\nfailregex = p <HOST>\n"),
        ],
        &expect![[r#"
            ['add', 'sshd', 'auto']
            ['set', 'sshd', 'addfailregex', 's <HOST>']
            ['set', 'sshd', 'maxretry', 5]
            ['add', 'dovecot', 'auto']
            ['set', 'dovecot', 'addfailregex', 'd <HOST>']
            ['set', 'dovecot', 'maxretry', 5]
            ['add', 'postfix', 'auto']
            ['set', 'postfix', 'addfailregex', 'p <HOST>']
            ['set', 'postfix', 'maxretry', 3]
            ['add', 'postfix-flood-attack', 'auto']
            ['multi-set', 'postfix-flood-attack', 'addfailregex', ['^\\s*\\S+ postfix(?:-\\w+)?/(?:\\w+/)?smtpd(?:\\[\\d+\\])?: (?:lost connection|timeout) after (?:AUTH|UNKNOWN|CONNECT|EHLO|HELO|STARTTLS) from [^[]*\\[<HOST>\\](?::\\d+)?$', '^\\s*\\S+ postfix(?:-\\w+)?/(?:\\w+/)?smtpd(?:\\[\\d+\\])?: (?:too many errors after \\S+|improper command pipelining after \\S+|SSL_accept error) from [^[]*\\[<HOST>\\]', '^\\s*\\S+ postfix(?:-\\w+)?/(?:\\w+/)?smtpd(?:\\[\\d+\\])?: warning: (?:Connection (?:rate|concurrency)|Message delivery request rate|Recipient address rate|New TLS session rate|AUTH command rate) limit exceeded: \\d+ from [^[]*\\[<HOST>\\] for service \\S+$', '^\\s*\\S+ postfix(?:-\\w+)?/(?:\\w+/)?smtpd(?:\\[\\d+\\])?: warning: non-SMTP command from [^[]*\\[<HOST>\\]']]
            ['set', 'postfix-flood-attack', 'datepattern', '{^LN-BEG}']
            ['set', 'postfix-flood-attack', 'addjournalmatch', '_SYSTEMD_UNIT=postfix.service']
            ['set', 'postfix-flood-attack', 'maxretry', 5]
            ['start', 'sshd']
            ['start', 'dovecot']
            ['start', 'postfix']
            ['start', 'postfix-flood-attack']
            /f/jail.d/postfix.conf:3:1: warning[K0609]: section [dovecot] stands in two files; this one, of the filter postfix, is read as [postfix]; write [postfix] over it; fail2ban would replace the filter at /f/jail.d/dovecot.conf:3:1, and have no jail postfix
            /f/jail.d/flood.conf:3:1: hint[K0670]: the filter `postfix-flood-attack` has no file; the one that comes with Komainu is used; write /f/filter.d/postfix-flood-attack.conf to have one of your own
        "#]],
    );
}

/// What only looks alike is left as fail2ban reads it.
#[test]
fn sections_that_are_meant() {
    let read = |more: (&str, &str), conf: &str| {
        let files = [
            ("jail.conf", conf),
            ("jail.d/dovecot.conf", "[dovecot]\nenabled = true\nfilter = dovecot\n"),
            more,
        ];
        let files = files.iter().map(|(path, text)| (Path::new("/f").join(path), (*text).to_owned()));
        let read = read(&Memory(files.collect()), Path::new("/f"));
        read.jails.into_iter().map(|jail| jail.name).collect::<Vec<_>>().join(" ")
    };
    let stock = "[dovecot]\n[postfix]\n";
    let wrong = "[dovecot]\nfilter = postfix\nenabled = true\n";
    assert_eq!(read(("jail.d/postfix.conf", wrong), stock), "dovecot postfix");
    // A jail.local that was copied from jail.conf says nothing new; a changed one does.
    let long = "[dovecot]\nport = imap\n[postfix]\nport = smtp\n";
    let copied = |port: &str| {
        let local = format!("[dovecot]\nport = imap\n[postfix]\nport = {port}\n");
        let files = [
            ("jail.conf", long),
            ("jail.d/dovecot.conf", "[dovecot]\nenabled = true\nfilter = dovecot\n"),
            ("jail.d/postfix.conf", wrong),
            ("jail.local", &local),
        ];
        let files = files.iter().map(|(path, text)| (Path::new("/f").join(path), (*text).to_owned()));
        let read = super::read(&Memory(files.collect()), Path::new("/f"));
        read.jails.into_iter().map(|jail| jail.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((copied("smtp"), copied("25")), ("dovecot postfix".to_owned(), "dovecot".to_owned()));
    // Another file's name; no such jail; a filter that its section had before; the jail is somebody else's.
    assert_eq!(read(("jail.d/mine.conf", wrong), stock), "dovecot");
    assert_eq!(read(("jail.d/postfix.conf", wrong), "[dovecot]\n"), "dovecot");
    assert_eq!(read(("jail.d/dovecot.local", "[dovecot]\nfilter = dovecot\n"), stock), "dovecot");
    let both = "[postfix]\nmaxretry = 1\n[dovecot]\nfilter = postfix\nenabled = true\n";
    assert_eq!(read(("jail.d/postfix.conf", both), stock), "dovecot");
}

#[test]
fn what_cannot_be_read_leaves_its_jail_out() {
    check(
        &[
            (
                "jail.conf",
                "[INCLUDES]\nbefore = none.conf\nafter = none.local\n[DEFAULT]\nenabled = 1\nfilter = a\n[good]\n\
                 [name]\nmaxretry = %(nosuch)s\n[self]\nfindtime = %(bantime)s\nbantime = %(findtime)s\n\
                 [percent]\nport = 5%\n[brackets]\nfilter = a[b]\n[action]\naction = none\n[off]\nenabled = %(x)s\n\
                 [tag]\nfilter = loop\n",
            ),
            FILTER,
            ("filter.d/loop.conf", "[Definition]\nfailregex = <me>\nme = <me>\n"),
            ("filter.d/loop.local", "!"),
        ],
        &expect![[r#"
            ['add', 'good', 'auto']
            ['set', 'good', 'addfailregex', 'x <HOST>']
            ['start', 'good']
            /f/jail.conf:2:1: warning[K0631]: the included file /f/none.conf isn't there; what it would define is missing; remove the line, or restore the file
            /f/jail.conf:9:1: error[K0632]: `nosuch` stands for nothing here, or for itself; define it in this section or in [DEFAULT], or write `%%` for a percent sign
            /f/jail.conf:11:1: error[K0632]: `bantime` stands for nothing here, or for itself; define it in this section or in [DEFAULT], or write `%%` for a percent sign
            /f/jail.conf:14:1: error[K0632]: `%` stands for nothing here, or for itself; define it in this section or in [DEFAULT], or write `%%` for a percent sign
            /f/jail.conf:16:1: error[K0633]: the filter can't be read from `b]` on; parameters are written `name[a=b, c="d, e"]`
            /f/jail.conf:18:1: error[K0631]: the action `none` has no file; write /f/action.d/none.conf, or mend the name
            /f/jail.conf:20:1: error[K0632]: `x` stands for nothing here, or for itself; define it in this section or in [DEFAULT], or write `%%` for a percent sign
            /f/filter.d/loop.local:1:1: error[K0631]: can't be read: Permission denied; mend the file's rights
            /f/filter.d/loop.conf:2:1: error[K0632]: a tag in `failregex` stands for itself; a `<name>` leads back to the option it stands in
        "#]],
    );
    check(
        &[],
        &expect![[r#"
        (built in): error[K0631]: no jail.conf and no jail.local in /f; give the folder of fail2ban's files
    "#]],
    );
}

#[test]
fn files_of_ignoreip() {
    check(
        &[
            (
                "jail.conf",
                "[a]\nenabled = true\nfilter = a\nignoreip = ::1 file:///f/friends,file:/f/gone\n  file:/f/shut file:x\n",
            ),
            FILTER,
            ("friends", "192.0.2.0/24 # the office\n; nobody\nmx.example, 2001:db8::7\n"),
            ("shut", "!"),
        ],
        &expect![[r#"
            ['add', 'a', 'auto']
            ['set', 'a', 'addfailregex', 'x <HOST>']
            ['set', 'a', 'addignoreip', '::1', '192.0.2.0/24', 'mx.example', '2001:db8::7', 'file:x']
            ['start', 'a']
            /f/jail.conf:4:1: warning[K0673]: [a] `ignoreip`: /f/gone: there is no such file; whoever stands in it may be banned meanwhile: write it, or take the word out, and reload
            /f/jail.conf:4:1: warning[K0673]: [a] `ignoreip`: /f/shut: Permission denied; whoever stands in it may be banned meanwhile: write it, or take the word out, and reload
        "#]],
    );
}
