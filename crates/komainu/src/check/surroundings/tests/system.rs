//! K0535 to K0557: folders, accounts, names, ports, the gateway.

use super::World;

#[test]
fn accounts() {
    World::new()
        .file("/etc/passwd", "root:x:0:0::/:/x\n")
        .expect(&["K0545 error: no account to run as: neither komainu nor postfix (mail_owner) is there"]);
    World::new().file("/etc/passwd", "root:x:0:0::/:/x\nkomainu:x:9:9::/:/x\n").expect(&[]);
    World::new().main("mail_owner = root").expect(&["K0546 error: mail_owner = root is root @root"]);
    World::new().main("setgid_group = nosuch").expect(&["K0545 hint: setgid_group = nosuch is no account"]);
    World::new().file("/etc/group", "root:x:0:\n").expect(&[]);
}

#[test]
fn mailboxes() {
    let world = || {
        World::new()
            .main("virtual_mailbox_domains = example.com\nvirtual_mailbox_base = /var/vmail")
            .main("virtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000")
    };
    world().expect(&["K0535 warning: virtual_mailbox_base = /var/vmail isn't there @/var/vmail"]);
    let made = world().folder("/var/vmail");
    made.expect(&["K0535 warning: virtual_mailbox_base = /var/vmail: user 5000 may not write there"]);
    made.mode("/var/vmail", 0o777);
    made.expect(&[]);
    // The administrator has made the domains' folders, and given them away.
    let given = world().folder("/var/vmail/example.com").chmod("/var/vmail/example.com", 0o777);
    given.expect(&[]);
    let users = |uid: &str| {
        World::new()
            .main("virtual_mailbox_domains = example.com\nvirtual_mailbox_base = /")
            .main(&format!("virtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:0"))
            .chmod("/", 0o777)
    };
    users("99").expect(&["K0536 error: virtual_uid_maps gives user 99, below virtual_minimum_uid = 100"]);
    users("100").expect(&[]);
    // Somebody else delivers.
    world().main("virtual_transport = lmtp:unix:private/x").expect(&["K0528"]);
    World::new()
        .main("mail_spool_directory = /var/nomail/")
        .expect(&["K0535 warning: mail_spool_directory = /var/nomail/ isn't there"]);
    World::new()
        .main("komainu_mailbox_root = /srv/mail")
        .expect(&["K0535 warning: komainu_mailbox_root isn't there, and the server may not make it in /"]);
    World::new().main("komainu_mailbox_root = /srv/mail").folder("/srv").chmod("/srv", 0o777).expect(&[]);
}

#[test]
fn folders_of_the_queue() {
    World::new()
        .chmod("/var/spool/postfix", 0o777)
        .expect(&["K0540 error: everybody may write to queue_directory, /var/spool/postfix"]);
    World::new().file("/var/lib/komainu", "").expect(&["K0542 error: /var/lib/komainu is no folder"]);
    World::new().main("queue_minfree = 9000000000000000000").expect(&["K0541 error: "]);
}

#[test]
fn name_servers() {
    World::new()
        .file("/etc/resolv.conf", "search example.com\n")
        .expect(&["K0550 error: /etc/resolv.conf names no name server"]);
    let without = World::new();
    std::fs::remove_file(without.real("/etc/resolv.conf")).expect("removed");
    without.expect(&["K0550 error: there is no /etc/resolv.conf"]);
    let own = World::new().file("/etc/resolv.conf", "").main("komainu_dns_servers = 127.0.0.1:5353");
    own.expect(&[]);
}

#[test]
fn public_resolvers_and_lists() {
    let world = |zone: &str| {
        World::new().main(&format!("smtpd_client_restrictions = reject_rbl_client {zone}=127.0.0.[2..11]"))
    };
    let public = "nameserver 8.8.8.8\n";
    world("zen.spamhaus.org").expect(&[]);
    world("zen.spamhaus.org").file("/etc/resolv.conf", public).expect(&[
        "K0551 warning: zen.spamhaus.org doesn't answer Google's public resolver 8.8.8.8, which is asked here",
    ]);
    world("bl.spamcop.net").file("/etc/resolv.conf", public).expect(&[]);
    // systemd-resolved stands between.
    world("zen.spamhaus.org")
        .file("/etc/resolv.conf", "nameserver 127.0.0.53\n")
        .file("/run/systemd/resolve/resolv.conf", "nameserver 1.1.1.1\n")
        .expect(&["K0551 warning"]);
    world("zen.spamhaus.org").main("komainu_dns_servers = 9.9.9.9").expect(&["K0551 warning"]);
    World::new()
        .main("postscreen_dnsbl_sites = zen.spamhaus.org*3")
        .file("/etc/resolv.conf", public)
        .expect(&["K0551 warning"]);
}

#[test]
fn a_name_that_is_loopbacks() {
    let world = || World::new().main("inet_interfaces = $myhostname, localhost");
    let hosts = "127.0.0.1 localhost\n127.0.1.1 mx.example.com mx\n";
    world()
        .file("/etc/hosts", hosts)
        .expect(&["K0552 warning: inet_interfaces names mx.example.com, which /etc/hosts says is 127.0.1.1"]);
    world().file("/etc/hosts", "192.0.2.25 mx.example.com\n").expect(&[]);
    // Debian's stock line harms nobody else.
    World::new().file("/etc/hosts", hosts).expect(&[]);
}

#[test]
fn copies_for_a_chroot() {
    let world = || World::new().master("submission inet n - y - - smtpd");
    world().expect(&[]);
    let copied = || {
        let text = "nameserver 127.0.0.1\n";
        let world = world().file("/var/spool/postfix/etc/resolv.conf", text);
        world.file("/var/spool/postfix/etc/hosts", "127.0.0.1 localhost\n")
    };
    copied().expect(&[]);
    copied().file("/var/spool/postfix/etc/resolv.conf", "nameserver 192.0.2.53\n").expect(&[
        "K0557 hint: submission runs in a chroot under Postfix, where /etc/resolv.conf is another",
    ]);
}

/// The gateway of Docker's network 172.17.0.0/16, as a little-endian kernel prints it.
const ROUTE: &str = "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t010011AC\t0003\n";

#[test]
#[cfg(target_endian = "little")]
fn a_containers_gateway() {
    let world = |networks: &str| {
        let world = World::new().address("172.17.0.2", 16).file("/proc/net/route", ROUTE);
        let mut world = world.main(&format!("mynetworks = {networks}"));
        world.machine.in_container = true;
        world
    };
    world("127.0.0.0/8 172.16.0.0/12")
        .expect(&["K0556 error: mynetworks holds 172.17.0.1, the gateway of this container's network"]);
    world("127.0.0.0/8").expect(&[]);
    world("127.0.0.0/8 172.16.0.0/12").folder("/sys/class/net/docker0").expect(&[]);
    let mut outside = world("127.0.0.0/8 172.16.0.0/12");
    outside.machine.in_container = false;
    outside.expect(&["K0556 warning"]);
}

#[test]
#[cfg(target_endian = "little")]
fn ports_that_somebody_has() {
    let line =
        "0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1 0 100 0 0 10 0";
    let world = |comm: &str| {
        let world = World::new().file("/proc/net/tcp", format!("head\n{line}\n"));
        let world = world.file("/proc/77/comm", comm).folder("/proc/77/fd");
        std::os::unix::fs::symlink("socket:[4711]", world.real("/proc/77/fd/3")).expect("linked");
        world
    };
    world("exim4\n").expect(&["K0553 error: exim4 has 0.0.0.0:25 @smtp"]);
    world("master\n").expect(&["K0553 hint: Postfix is running and has 0.0.0.0:25 @smtp"]);
    world("komainu\n").expect(&[]);
    world("master\n")
        .main("inet_interfaces = loopback-only")
        .expect(&["K0554 warning: port 25 is open to everybody"]);
    World::new().file("/proc/net/tcp", "head\n").expect(&[]);
}
