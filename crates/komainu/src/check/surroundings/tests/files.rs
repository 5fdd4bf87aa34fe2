//! K0500 and K0501: who may write the configuration, who may read its secrets. T1.14.

use super::World;

#[test]
fn files_that_others_may_write() {
    let world =
        || World::new().main("smtpd_client_restrictions = check_client_access hash:/etc/postfix/access");
    let world = || world().file("/etc/postfix/access", "192.0.2.1 OK\n");
    world().expect(&[]);
    world()
        .chmod("/etc/postfix/access", 0o666)
        .expect(&["K0500 error: everybody may write /etc/postfix/access @hash:/etc/postfix/access"]);
    let folder = world().chmod("/etc/postfix", 0o777);
    // The files are written by whoever looks first.
    let _ = folder.diagnostics();
    folder.mode("/etc/postfix", 0o777);
    folder.expect(&["K0500 error: everybody may write /etc/postfix @"]);
    folder.mode("/etc/postfix", 0o755);
    folder.mode("/etc/postfix/main.cf", 0o646);
    folder.mode("/etc/postfix/master.cf", 0o602);
    folder.expect(&[
        "K0500 error: everybody may write /etc/postfix/main.cf",
        "K0500 error: everybody may write /etc/postfix/master.cf",
    ]);
}

#[test]
fn passwords_that_everybody_reads() {
    let world = || World::new().main("smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd");
    let world = || world().file("/etc/postfix/sasl_passwd", "relay.example user:secret\n");
    world().chmod("/etc/postfix/sasl_passwd", 0o600).expect(&[]);
    world().chmod("/etc/postfix/sasl_passwd", 0o640).expect(&[]);
    let message = "K0501 error: everybody on this machine may read /etc/postfix/sasl_passwd, which holds passwords \
                   @hash:/etc/postfix/sasl_passwd";
    world().expect(&[message]);
    // The database says the same.
    let built = world().file("/etc/postfix/sasl_passwd.db", "x").chmod("/etc/postfix/sasl_passwd", 0o600);
    built.expect(&["K0501 error: everybody on this machine may read /etc/postfix/sasl_passwd.db"]);
    // A folder that others can't enter keeps what is in it.
    let kept = World::new()
        .main("smtp_sasl_password_maps = hash:/etc/secret/sasl_passwd")
        .file("/etc/secret/sasl_passwd", "relay.example user:secret\n");
    kept.expect(&["K0501"]);
    kept.mode("/etc/secret", 0o750);
    kept.expect(&[]);
}

#[test]
fn a_password_in_main_cf() {
    let world = || World::new().main("smtp_sasl_password_maps = static:user:secret");
    world().expect(&["K0501 error: a password stands in /etc/postfix/main.cf"]);
    let closed = world();
    let _ = closed.diagnostics();
    closed.mode("/etc/postfix/main.cf", 0o640);
    closed.expect(&[]);
}

#[test]
fn passwords_of_databases() {
    let settings = "hosts = localhost\nuser = postfix\npassword = secret\nquery = SELECT 1\n";
    let world = || {
        World::new()
            .main("virtual_alias_maps = proxy:mysql:/etc/postfix/sql/alias.cf")
            .file("/etc/postfix/sql/alias.cf", settings)
    };
    world().expect(&[
        "K0501 error: everybody on this machine may read /etc/postfix/sql/alias.cf, which holds a \
                      password @proxy:mysql:/etc/postfix/sql/alias.cf",
    ]);
    world().chmod("/etc/postfix/sql/alias.cf", 0o640).expect(&[]);
    world().file("/etc/postfix/sql/alias.cf", "hosts = unix:/run/mysqld.sock\nuser = postfix\n").expect(&[]);
}

/// T1.14's table of mode 600 is as it should be.
#[test]
fn a_table_for_root_alone() {
    World::new()
        .main("header_checks = regexp:/etc/postfix/header_checks")
        .file("/etc/postfix/header_checks", "/^Received:/ IGNORE\n")
        .chmod("/etc/postfix/header_checks", 0o600)
        .expect(&[]);
}

/// What nothing opens here is opened by Postfix.
#[test]
fn tables_of_parameters_that_are_not_served() {
    let world = |value: &str| World::new().main(value);
    let maps = "smtp_generic_maps = hash:/etc/postfix/generic";
    world(maps).expect(&[
        "K0502 warning: smtp_generic_maps: there is no /etc/postfix/generic @hash:/etc/postfix/generic",
    ]);
    world(maps).file("/etc/postfix/generic", "").expect(&[]);
    world(maps).file("/etc/postfix/generic.db", "").expect(&[]);
    world("smtp_header_checks = regexp:/etc/postfix/header_checks").expect(&["K0502"]);
    // The loader says that a served one is missing.
    world("virtual_alias_maps = hash:/etc/postfix/virtual").expect(&[]);
}

#[test]
fn an_alias_database_that_is_not_built() {
    let world = || World::new().main("alias_database = hash:/etc/aliases");
    world().expect(&[]);
    let text = || world().file("/etc/aliases", "postmaster: root\n");
    text().expect(&["K0503 hint: there is no /etc/aliases.db @hash:/etc/aliases"]);
    text().file("/etc/aliases.db", "x").expect(&[]);
}

/// Tables that nothing opens here yet decide under Postfix all the same, and after the next release here.
#[test]
fn tables_that_nothing_opens_and_others_may_write() {
    let check = |setting: &str, path: &str, mode: u32, expect: &[&str]| {
        World::new().main(setting).file(path, "").chmod(path, mode).expect(expect);
    };
    for name in
        ["transport_maps", "virtual_mailbox_maps", "sender_bcc_maps", "smtp_tls_policy_maps", "body_checks"]
    {
        let setting = format!("{name} = hash:/etc/postfix/t");
        check(&setting, "/etc/postfix/t", 0o644, &[]);
        check(
            &setting,
            "/etc/postfix/t",
            0o646,
            &["K0500 error: everybody may write /etc/postfix/t @hash:/etc/postfix/t"],
        );
    }
    let union = "transport_maps = unionmap:{hash:/etc/postfix/t,proxy:regexp:/etc/postfix/u}";
    let both = World::new()
        .main(union)
        .file("/etc/postfix/t", "")
        .file("/etc/postfix/u", "")
        .chmod("/etc/postfix/u", 0o666);
    both.expect(&["K0500 error: everybody may write /etc/postfix/u"]);
    let database = World::new().main("transport_maps = hash:/etc/postfix/t").file("/etc/postfix/t", "");
    let database = database.file("/etc/postfix/t.db", "x").chmod("/etc/postfix/t.db", 0o666);
    database.expect(&["K0500 error: everybody may write /etc/postfix/t.db"]);
    // Who may write a list's file of patterns relays.
    let patterns = || World::new().main("smtpd_authorized_xclient_hosts = /etc/postfix/patterns");
    let patterns = || patterns().file("/etc/postfix/patterns", "192.0.2.0/24\n");
    patterns().expect(&[]);
    patterns()
        .chmod("/etc/postfix/patterns", 0o666)
        .expect(&["K0500 error: everybody may write /etc/postfix/patterns"]);
    // What Postfix writes itself.
    World::new().main("smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_scache").expect(&[]);
}

/// The same behind `-o`, for services that others run too.
#[test]
fn tables_of_one_service() {
    let master = "relay unix - - n - - smtp\n  -o smtp_sasl_password_maps=hash:/etc/postfix/pw";
    let world = || World::new().master(master);
    world().expect(&[
        "K0502 warning: smtp_sasl_password_maps: there is no /etc/postfix/pw @hash:/etc/postfix/pw",
    ]);
    let world = || world().file("/etc/postfix/pw", "x u:p\n");
    world()
        .expect(&["K0501 error: everybody on this machine may read /etc/postfix/pw, which holds passwords"]);
    world().chmod("/etc/postfix/pw", 0o600).expect(&[]);
    World::new()
        .master("relay unix - - n - - smtp\n  -o smtp_sasl_password_maps=static:u:p")
        .expect(&["K0501 error: a password stands in /etc/postfix/master.cf"]);
    World::new()
        .main("smtp_generic_maps = hash:/etc/postfix/folder")
        .folder("/etc/postfix/folder")
        .expect(&["K0502 warning: smtp_generic_maps: /etc/postfix/folder is no file"]);
}
