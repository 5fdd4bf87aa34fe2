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

/// T2.18: as printed, jail.d/postfix.conf is headed `[dovecot]`, and the flood jail names a filter that isn't given.
#[test]
fn the_tutorials_jails() {
    check(
        &[
            ("jail.conf", "[DEFAULT]\nmaxretry = 5\n[dovecot]\n[postfix]\n"),
            ("jail.d/dovecot.conf", "[dovecot]\nenabled = true\nfilter = dovecot\n"),
            ("jail.d/postfix.conf", "[dovecot]\nenabled = true\nfilter = postfix\nmaxretry = 3\n"),
            ("jail.d/flood.conf", "[postfix-flood-attack]\nenabled = true\nfilter = postfix-flood-attack\n"),
            ("filter.d/dovecot.conf", "[Definition]\nfailregex = d <HOST>\n"),
            ("filter.d/postfix.conf", "[Definition]\nfailregex = p <HOST>\n"),
        ],
        &expect![[r#"
            ['add', 'dovecot', 'auto']
            ['set', 'dovecot', 'addfailregex', 'p <HOST>']
            ['set', 'dovecot', 'maxretry', 3]
            ['start', 'dovecot']
            /f/jail.d/postfix.conf:3:1: warning[K0609]: section [dovecot] stands in two files, and here replaces `filter` of the other; `dovecot` at /f/jail.d/dovecot.conf:3:1 has no effect; give this section the name of its jail, or set the option once
            /f/jail.d/flood.conf:3:1: error[K0631]: the filter `postfix-flood-attack` has no file; write /f/filter.d/postfix-flood-attack.conf, or mend the name
        "#]],
    );
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
