//! `postfix start|status|reload|stop|check` under the old name (T0.6); what Debian's postfix-script says is the model.

use crate::client::Client;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

#[test]
fn the_old_name_starts_and_stops() {
    world::run("legacy::the_old_name_starts_and_stops", Needs::Nothing, || {
        let site = Site::new("");
        let bin = site.path("bin");
        std::fs::create_dir(&bin).expect("a folder");
        assert!(Command::new(KOMAINU).arg("links").arg(&bin).output().expect("runs").status.success());
        let postfix = |word: &str| {
            let output =
                Command::new(bin.join("postfix")).arg("-c").arg(site.etc()).arg(word).output().expect("runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let script = |text: &str| format!("postfix/postfix-script: {text}\n");
        assert_eq!(postfix("status"), (Some(1), script("the Postfix mail system is not running")));
        assert_eq!(postfix("reload"), (Some(1), script("fatal: the Postfix mail system is not running")));
        assert_eq!(postfix("stop"), (Some(1), script("fatal: the Postfix mail system is not running")));
        // No error; what the site does on purpose is said.
        let (code, said) = postfix("check");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("warning[K0153]: ") && said.ends_with("postfix: 1 warning\n"), "{said}");
        let (code, said) = postfix("start");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.ends_with(&script("starting the Postfix mail system")), "{said}");
        // Ready means ready.
        assert!(Client::hello(&site.address()).say("NOOP").starts_with("250 "));
        let (code, said) = postfix("status");
        assert_eq!(code, Some(0));
        let pid = said.trim_end().rsplit(' ').next().expect("a number").parse::<u32>().expect("a number");
        assert_eq!(said, script(&format!("the Postfix mail system is running: PID: {pid}")));
        assert_eq!(postfix("start"), (Some(1), script("fatal: the Postfix mail system is already running")));
        let mark = site.log().len();
        assert_eq!(postfix("reload"), (Some(0), script("refreshing the Postfix mail system")));
        site.logged("reload", mark);
        assert_eq!(postfix("stop"), (Some(0), script("stopping the Postfix mail system")));
        until("its end", || Client::open(&site.address()).is_err().then_some(()));
        // At once again: nothing of the first is in the way.
        assert_eq!(postfix("start").0, Some(0));
        // The init script, as old instructions have it.
        let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/init.d/postfix");
        let mark = site.log().len();
        let ran = Command::new(shim)
            .arg("reload")
            .env("POSTFIX", bin.join("postfix"))
            .env("MAIL_CONFIG", site.etc())
            .output()
            .expect("runs");
        assert!(ran.status.success(), "{ran:?}");
        site.logged("reload", mark);
        assert_eq!(postfix("stop").0, Some(0));

        site.main("smtpd_recipient_restrictions = no_such_thing\n");
        let (code, said) = postfix("check");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no_such_thing"), "{said}");
        let (code, said) = postfix("start");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no_such_thing"), "{said}");
        assert_eq!(postfix("explode").0, Some(1));
    });
}

/// The old log is packed under its new name, and the server goes on in a new file.
#[test]
fn the_log_is_rotated() {
    world::run("legacy::the_log_is_rotated", Needs::Nothing, || {
        let site = Site::new("maillog_file_rotate_suffix = old-%Y\n");
        let mut server = Server::start(&site);
        let log = site.path("log/mail.log");
        let postfix = |word: &str| {
            let mut tool = Command::new(KOMAINU);
            let output = tool.arg0("postfix").arg("-c").arg(site.etc()).arg(word).output().expect("runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert!(Client::hello(&site.address()).say("NOOP").starts_with("250 "));
        site.logged("connect from", 0);
        let (code, said) = postfix("logrotate");
        assert_eq!(code, Some(0), "{said}");
        let year = said.trim_end().rsplit("old-").next().expect("a year");
        assert_eq!(said, format!("postfix/postfix-script: rotated: {}.old-{year}\n", log.display()));
        assert!(year.parse::<u32>().is_ok_and(|year| year > 2000), "{said}");
        let packed = site.path(&format!("log/mail.log.old-{year}.gz"));
        let unpacked = Command::new("gzip").arg("-cd").arg(&packed).output().expect("runs");
        assert!(String::from_utf8_lossy(&unpacked.stdout).contains("connect from"), "{unpacked:?}");
        assert!(Client::hello(&site.address()).say("NOOP").starts_with("250 "));
        site.logged("connect from", 0);
        // Nothing takes the place of what was put aside before.
        std::fs::write(site.path(&format!("log/mail.log.old-{year}")), "precious").expect("writes");
        let (code, said) = postfix("logrotate");
        assert!(code == Some(1) && said.contains("File exists"), "{said}");
        let kept = std::fs::read(site.path(&format!("log/mail.log.old-{year}"))).expect("reads");
        assert_eq!(kept, b"precious");
        assert!(log.exists());
        site.main("komainu_log = /dev/stdout\n");
        let (code, said) = postfix("logrotate");
        assert!(code == Some(1) && said.contains("maillog_file"), "{said}");
        site.main("maillog_file_rotate_suffix = a/b\n");
        assert_eq!(postfix("logrotate").0, Some(1));
        assert!(server.stop().success());
    });
}
