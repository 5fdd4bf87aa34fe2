//! K0520 to K0522: who checks passwords.

use super::World;

const DOVECOT: &str =
    "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth";

#[test]
fn a_path_that_nobody_serves() {
    let world = World::new().main(DOVECOT);
    world.expect(&[
        "K0520 error: nobody checks passwords: there is no /var/spool/postfix/private/auth @private/auth",
    ]);
    let help = world.help();
    assert!(help.contains("unix_listener /var/spool/postfix/private/auth { mode = 0660"), "{help}");
    let listener = world.listen("/var/spool/postfix/private/auth");
    world.expect(&[]);
    world.mode("/var/spool/postfix/private/auth", 0o660);
    world.expect(&[
        "K0520 error: nobody checks passwords: postfix may not use /var/spool/postfix/private/auth",
    ]);
    drop(listener);
    world.mode("/var/spool/postfix/private/auth", 0o666);
    world.expect(&["K0520 error: nobody checks passwords: nobody listens on"]);
}

/// As the tutorials have it: for `postfix`, in a folder that nobody else may enter. Where the server has an account of
/// its own, its helper gets there; with a folder that is closed to both, or elsewhere, it doesn't.
#[test]
fn where_only_mail_owner_may_enter() {
    let owner = if rustix::process::geteuid().is_root() { 107 } else { rustix::process::geteuid().as_raw() };
    let world = |path: &str| {
        let passwd = format!("root:x:0:0::/:/x\npostfix:x:{owner}:113::/:/x\nkomainu:x:2999:2999::/:/x\n");
        let world = World::new().main(&DOVECOT.replace("private/auth", path)).file("/etc/passwd", passwd);
        world.folder("/run/private")
    };
    let close = |world: &World, folder: &str, socket: &str| {
        for path in [folder, socket] {
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(world.real(path), Some(owner), None).expect("chown");
            }
        }
        world.mode(socket, 0o600);
        world.mode(folder, 0o700);
    };
    let inside = world("private/auth");
    let _listener = inside.listen("/var/spool/postfix/private/auth");
    inside.expect(&[]);
    close(&inside, "/var/spool/postfix/private", "/var/spool/postfix/private/auth");
    inside.expect(&[]);
    inside.mode("/var/spool/postfix/private/auth", 0o400);
    inside.expect(&[
        "K0520 error: nobody checks passwords: komainu may not use /var/spool/postfix/private/auth: \
                     /var/spool/postfix/private keeps it out",
    ]);
    let outside = world("/run/private/auth");
    let _listener = outside.listen("/run/private/auth");
    outside.expect(&[]);
    close(&outside, "/run/private", "/run/private/auth");
    outside.expect(&[
        "K0520 error: nobody checks passwords: komainu may not use /run/private/auth: /run/private \
                      keeps it out",
    ]);
}

/// The same for a port with settings of its own.
#[test]
fn on_one_port_only() {
    World::new()
        .master(
            "submission inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=dovecot\n  \
             -o smtpd_sasl_path=private/auth",
        )
        .expect(&[
            "K0520 error: nobody checks passwords: there is no /var/spool/postfix/private/auth @private/auth",
        ]);
}

#[test]
fn dovecot_listens_elsewhere() {
    let world = World::new().main(DOVECOT).file(
        "/etc/dovecot/conf.d/10-master.conf",
        "service auth {\n  unix_listener /var/spool/postfix/auth-dovecot {\n  }\n}\n",
    );
    let _listener = world.listen("/var/spool/postfix/auth-dovecot");
    assert!(world.help().contains("Dovecot listens on /var/spool/postfix/auth-dovecot"), "{}", world.help());
}

#[test]
fn cyrus_where_only_dovecot_is() {
    let world = || World::new().main("smtpd_sasl_auth_enable = yes");
    world().expect(&[]);
    let with_dovecot = || world().file("/etc/dovecot/dovecot.conf", "");
    with_dovecot().expect(&["K0521 error: smtpd_sasl_type is cyrus, and this machine has no smtpd.conf"]);
    with_dovecot().file("/etc/postfix/sasl/smtpd.conf", "pwcheck_method: saslauthd\n").expect(&[]);
}

#[test]
fn services_that_pam_has_no_rules_for() {
    let world = |path: &str| {
        World::new().main(&format!(
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = internal\nsmtpd_sasl_path = {path}"
        ))
    };
    let said = |service: &str| {
        format!("K0522 warning: PAM has no rules for {service}: there is no /etc/pam.d/{service}")
    };
    world("pam").expect(&[&said("smtp")]);
    world("pam").file("/etc/pam.d/smtp", "auth required pam_unix.so\n").expect(&[]);
    world("pam").file("/etc/pam.d/other", "auth required pam_deny.so\n").expect(&[&said("smtp")]);
    world("pam:mail").file("/usr/lib/pam.d/mail", "").expect(&[]);
    world("pam:mail, pam:mail").file("/etc/pam.d/smtp", "").expect(&[&said("mail")]);
    world("shadow").expect(&[]);
    World::new().main("smtpd_sasl_type = internal\nsmtpd_sasl_path = pam").expect(&[]);
}
