//! K0525 to K0531: servers beside this one, and programs that it starts. T2.11, T2.15.

use super::World;
use std::net::TcpListener;

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound").port()
}

/// T2.15 and T2.11 where neither postgrey nor policyd-spf runs.
#[test]
fn policy_services() {
    let port = closed_port();
    let rule = |endpoint: &str| {
        World::new().main(&format!(
            "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service {endpoint}"
        ))
    };
    let nobody = format!("inet:127.0.0.1:{port}");
    let gone = rule(&nobody);
    gone.expect(&[&format!(
        "K0525 error: the policy service {nobody} isn't there: nobody listens on 127.0.0.1:{port} @{nobody}"
    )]);
    assert!(gone.help().contains("451 4.3.5 Server configuration problem"), "{}", gone.help());
    rule(&nobody)
        .main("smtpd_policy_service_default_action = DUNNO")
        .expect(&["K0525 warning: the policy service"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    rule(&format!("inet:{}", listener.local_addr().expect("bound"))).expect(&[]);
    // Somebody else's machine isn't asked.
    rule("inet:192.0.2.99:10023").expect(&[]);

    // Nothing opens a port for it.
    let spawned = rule(&nobody).master(&format!("127.0.0.1:{port} inet n n n - 0 spawn user=vmail argv=env"));
    spawned.expect(&["K0525 error: the policy service"]);

    let gone = rule("unix:private/policyd");
    gone.expect(&["K0525 error: the policy service unix:private/policyd isn't there: there is no \
                   /var/spool/postfix/private/policyd @unix:private/policyd"]);
    let there = rule("unix:private/policyd");
    let listener = there.listen("/var/spool/postfix/private/policyd");
    there.expect(&[]);
    there.mode("/var/spool/postfix/private/policyd", 0o600);
    there.expect(&["K0525 error: the policy service unix:private/policyd isn't there: postfix may not use \
                    /var/spool/postfix/private/policyd: /var/spool/postfix/private/policyd keeps it out"]);
    there.mode("/var/spool/postfix/private/policyd", 0o666);
    drop(listener);
    there.expect(&["K0525 error: the policy service unix:private/policyd isn't there: nobody listens on"]);
    let file = rule("unix:private/policyd").file("/var/spool/postfix/private/policyd", "");
    file.expect(&["K0525 error: the policy service unix:private/policyd isn't there: \
                   /var/spool/postfix/private/policyd is no socket"]);
}

/// T2.15: the server greylists by itself where Postgrey isn't there.
#[test]
fn postgrey() {
    let rule =
        "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:postgrey/socket";
    let gone = World::new().main(rule);
    gone.expect(&["K0478 hint: Postgrey isn't there: there is no /var/spool/postfix/postgrey/socket \
                   @unix:postgrey/socket"]);
    assert!(gone.help().contains("komainu serve greylists by itself"), "{}", gone.help());
    let off = World::new().main(rule).main("komainu_greylist = no");
    off.expect(&["K0525 error: the policy service unix:postgrey/socket isn't there"]);
    let there = World::new().main(rule);
    let _listener = there.listen("/var/spool/postfix/postgrey/socket");
    there.expect(&[]);
}

/// T2.11: the server checks SPF by itself where policyd-spf isn't there.
#[test]
fn policyd_spf() {
    let rule = "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/policyd-spf";
    let socket = "/var/spool/postfix/private/policyd-spf";
    let gone = World::new().main(rule);
    gone.expect(&[&format!(
        "K0493 hint: policyd-spf isn't there: there is no {socket} @unix:private/policyd-spf"
    )]);
    assert!(gone.help().contains("komainu serve checks SPF by itself"), "{}", gone.help());
    let off = World::new().main(rule).main("komainu_spf = no");
    off.expect(&[&format!(
        "K0525 error: the policy service unix:private/policyd-spf isn't there: there is no {socket}"
    )]);
    let there = World::new().main(rule);
    let _listener = there.listen(socket);
    there.expect(&[]);
    // What stands behind a socket that may not be used is not known.
    there.mode(socket, 0o600);
    there.expect(&[
        "K0525 error: the policy service unix:private/policyd-spf isn't there: postfix may not use",
    ]);

    let spawned = |more: &str| {
        let line = "policyd-spf unix - n n - 0 spawn user=vmail argv=/usr/bin/policyd-spf";
        World::new().main(rule).main(more).master(line)
    };
    spawned("").expect(&[
        "K0493 hint: the program of policyd-spf isn't there: /usr/bin/policyd-spf @argv=/usr/bin/policyd-spf",
    ]);
    spawned("komainu_spf = no").expect(&["K0530 error: the program of policyd-spf isn't there"]);
}

#[test]
fn programs_of_spawn_lines() {
    let world = || {
        World::new()
            .main("smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/spf")
            .master("spf unix - n n - 0 spawn user=vmail argv=/usr/bin/spf -x")
    };
    world().expect(&["K0530 error: the program of spf isn't there: /usr/bin/spf @argv=/usr/bin/spf"]);
    let installed = || world().file("/usr/bin/spf", "#!/bin/sh\n").chmod("/usr/bin/spf", 0o755);
    installed().expect(&[]);
    installed()
        .chmod("/usr/bin/spf", 0o644)
        .expect(&["K0530 error: the program of spf may not be run: chmod +x is missing: /usr/bin/spf"]);
    installed()
        .file("/etc/passwd", "root:x:0:0::/:/x\npostfix:x:107:113::/:/x\n")
        .expect(&["K0531 error: spf: there is no account vmail @user=vmail"]);
    // Accounts of a directory can't be seen from here.
    installed()
        .file("/etc/passwd", "root:x:0:0::/:/x\npostfix:x:107:113::/:/x\n")
        .file("/etc/nsswitch.conf", "passwd: files sss\n")
        .expect(&[]);
    // Nobody asks it.
    let idle = World::new().master("spf unix - n n - 0 spawn user=vmail argv=/usr/bin/spf");
    idle.expect(&["K0530 warning: the program of spf isn't there"]);
}

/// K0529.
#[test]
fn mail_for_root() {
    let message =
        "K0529 warning: mail for root waits: no alias says who reads it, and nothing is written as root";
    let world =
        |aliases: &str| World::new().main("alias_maps = hash:/etc/aliases").file("/etc/aliases", aliases);
    let without = "# root: x\npostmaster: root\n";
    world(without).expect(&[&format!("{message} @hash:/etc/aliases")]);
    world("postmaster:    root\nroot:\tann\n").expect(&[]);
    world("\"Root\" : ann\n").expect(&[]);
    for elsewhere in [
        "mydestination =",
        "virtual_alias_maps = inline:{root@example.com=ann@example.com}",
        "virtual_alias_maps = regexp:/etc/postfix/any",
        "alias_maps = hash:/etc/aliases, inline:{root=ann}",
        "alias_maps = hash:/etc/aliases, ldap:/etc/postfix/ldap",
        "mailbox_transport = lmtp:unix:private/dovecot-lmtp",
        "local_transport = error:no",
    ] {
        let found = world(without).file("/etc/postfix/any", "/^x$/ y\n").main(elsewhere).diagnostics();
        assert!(found.iter().all(|one| one.code.0 != 529), "{elsewhere}: {found:?}");
    }
    world(without).file("/root/.forward", "ann\n").expect(&[]);
}

/// Debian's master.cf has lines for programs that few machines have.
#[test]
fn programs_of_pipe_lines() {
    let world = || {
        World::new().master("maildrop unix - n n - - pipe flags=DRXhu user=vmail argv=/usr/bin/maildrop -d x")
    };
    world().expect(&[]);
    let message = "K0530 warning: the program of maildrop isn't there: /usr/bin/maildrop";
    world().main("virtual_transport = maildrop").expect(&[message]);
    let mapped = world().main("transport_maps = hash:/etc/postfix/transport");
    mapped.file("/etc/postfix/transport", "# x\nexample.com  maildrop:\n").expect(&[message]);
    world().main("transport_maps = inline:{example.com=maildrop:}").expect(&[message]);
    let other = world().main("transport_maps = hash:/etc/postfix/transport");
    other.file("/etc/postfix/transport", "example.com  smtp:[192.0.2.1]\n").expect(&[]);
    let line = |rest: &str| World::new().master(&format!("scan unix - n n - - pipe {rest}"));
    line("flags=R user=vmail").expect(&["K0530 warning: scan: pipe without `argv=` @pipe"]);
    line("argv=/usr/bin/scan user=x").expect(&["K0531 warning: scan: pipe without `user=` @pipe"]);
    line("user=vmail argv=/usr/bin/scan").expect(&[]);
    // What the queue manager names by itself, and defaults.
    for name in ["retry", "relay"] {
        let used = World::new().master(&format!("{name} unix - n n - - pipe user=nosuch argv=/usr/bin/env"));
        used.file("/usr/bin/env", "")
            .chmod("/usr/bin/env", 0o755)
            .expect(&[&format!("K0531 warning: {name}: there is no account nosuch @user=nosuch")]);
    }
    World::new()
        .main("mailbox_command = /usr/bin/procmail -a x")
        .expect(&["K0530 warning: mailbox_command's program isn't there: /usr/bin/procmail"]);
}

#[test]
fn milters() {
    let port = closed_port();
    let milter = |text: &str| World::new().main(&format!("smtpd_milters = {text}"));
    let gone = milter(&format!("inet:localhost:{port}"));
    gone.expect(&[&format!("K0526 error: the milter inet:localhost:{port} isn't there: nobody listens on")]);
    assert!(gone.help().contains("421 4.3.0"), "{}", gone.help());
    let gone = milter(&format!("inet:localhost:{port}")).main("milter_default_action = tempfail");
    assert!(gone.help().contains("451 4.7.1"), "{}", gone.help());
    milter(&format!("{{ inet:localhost:{port}, default_action=accept }}"))
        .expect(&[&format!("K0526 warning: the milter inet:localhost:{port} isn't there")]);
    milter(&format!("inet:{port}@localhost"))
        .main("milter_default_action = accept")
        .expect(&["K0526 warning"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    milter(&format!("inet:{}", listener.local_addr().expect("bound"))).expect(&[]);
    milter("unix:/run/opendkim/opendkim.sock").expect(&["K0526 error"]);
    let there = milter("unix:/run/opendkim/opendkim.sock");
    let _listener = there.listen("/run/opendkim/opendkim.sock");
    there.expect(&[]);
    // OpenDKIM's folder is its own unless somebody opens it.
    there.mode("/run/opendkim", 0o750);
    there.expect(&[
        "K0526 error: the milter unix:/run/opendkim/opendkim.sock isn't there: postfix may not use \
                    /run/opendkim/opendkim.sock: /run/opendkim keeps it out",
    ]);
}

/// T2.28: the server does OpenDKIM's work where OpenDKIM isn't there.
#[test]
fn opendkim() {
    let socket = "/var/spool/postfix/opendkim/opendkim.sock";
    let world = || {
        let rule = "smtpd_milters = unix:opendkim/opendkim.sock";
        World::new().main(rule).file("/etc/opendkim.conf", "Mode v\n")
    };
    let gone = world();
    gone.expect(&[&format!(
        "K0572 hint: OpenDKIM isn't there: there is no {socket} @unix:opendkim/opendkim.sock"
    )]);
    assert!(gone.help().contains("komainu serve signs and verifies by itself"), "{}", gone.help());
    world().main("komainu_opendkim = no").expect(&["K0526 error: the milter unix:opendkim/opendkim.sock"]);
    let there = world();
    let _listener = there.listen(socket);
    there.expect(&[]);
    there.mode(socket, 0o600);
    there.expect(&["K0526 error: the milter unix:opendkim/opendkim.sock isn't there: postfix may not use"]);
}

#[test]
fn tables_behind_sockets() {
    let port = closed_port();
    let world = |port: u16| {
        let lookup = format!("check_client_access socketmap:inet:127.0.0.1:{port}:clients");
        World::new().main(&format!("smtpd_client_restrictions = {lookup}"))
    };
    world(port).expect(&[&format!(
        "K0527 error: the server of the table socketmap:inet:127.0.0.1:{port}:clients isn't there"
    )]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    world(listener.local_addr().expect("bound").port()).expect(&[]);
}

#[test]
fn filters_and_relays() {
    let port = closed_port();
    let filter = |to: &str| World::new().main(&format!("content_filter = {to}"));
    let line = "smtp-amavis unix - - n - 2 smtp";
    filter(&format!("smtp-amavis:[127.0.0.1]:{port}")).master(line).expect(&[&format!(
        "K0528 warning: content_filter leads to smtp-amavis:[127.0.0.1]:{port}: nobody listens on 127.0.0.1:{port}"
    )]);
    // The way back is this server's own, which isn't running yet.
    filter("smtp:[127.0.0.1]:10025").master("127.0.0.1:10025 inet n - n - - smtpd").expect(&[]);
    filter("smtp:[192.0.2.99]:10024").expect(&[]);
    World::new()
        .main(&format!("relayhost = [127.0.0.1]:{port}"))
        .expect(&["K0528 warning: relayhost leads to"]);
    World::new().main("relayhost = [mail.example.com]:587").expect(&[]);
    let delivery = World::new().main("mailbox_transport = lmtp:unix:private/dovecot-lmtp");
    delivery
        .expect(&["K0528 warning: mailbox_transport leads to lmtp:unix:private/dovecot-lmtp: there is no"]);
    let _listener = delivery.listen("/var/spool/postfix/private/dovecot-lmtp");
    delivery.expect(&[]);
}
