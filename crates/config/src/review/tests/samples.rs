//! No false alarm: Debian's files, Postfix's documented set-ups, and the examples are clean of errors and warnings.

use super::*;
use crate::Severity;

#[track_caller]
fn clean(main: &str, master: &str) {
    let (_, found) = said(main, master);
    let found: Vec<String> =
        found.iter().filter(|one| one.severity > Severity::Hint).map(ToString::to_string).collect();
    assert_eq!(found, Vec::<String>::new(), "{main}");
}

#[expect(clippy::disallowed_methods, reason = "Debian's files and the examples are what is judged")]
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Debian's own files, where this machine has them.
#[test]
fn debian() {
    let Some(master) = read("/usr/share/postfix/master.cf.dist") else {
        println!("Postfix isn't installed here: its files aren't looked at");
        return;
    };
    for path in
        ["/usr/share/postfix/main.cf.debian", "/usr/share/postfix/main.cf.dist", "/etc/postfix/main.cf"]
    {
        if let Some(main) = read(path) {
            // As the program does where Debian's set-up wrote it.
            let name = read("/etc/mailname").filter(|name| !name.trim().is_empty());
            let name = name.unwrap_or_else(|| "mail.example.org".to_owned());
            let main = main.replace("myorigin = /etc/mailname", &format!("myorigin = {}", name.trim()));
            let extra = read("/usr/share/postfix/main.cf.tls").filter(|_| path.ends_with("debian"));
            clean(&format!("{main}{}", extra.unwrap_or_default()), &master);
        }
    }
}

/// The examples of the tree, and the tutorials' files of which only what they deserve is said.
#[test]
fn examples() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let main = read(&format!("{root}/modern/main.cf")).expect("examples/modern/main.cf");
    let master = read(&format!("{root}/modern/master.cf")).expect("examples/modern/master.cf");
    clean(&main, &master);
}

/// A master.cf with what Postfix needs, and more.
const MASTER: &str = "smtp inet n - y - - smtpd
pickup unix n - y 60 1 pickup
cleanup unix n - y - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - y 1000? 1 tlsmgr
rewrite unix - - y - - trivial-rewrite
bounce unix - - y - 0 bounce
defer unix - - y - 0 bounce
trace unix - - y - 0 bounce
verify unix - - y - 1 verify
flush unix n - y 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - y - - smtp
relay unix - - y - - smtp
  -o syslog_name=postfix/$service_name
showq unix n - y - - showq
error unix - - y - - error
retry unix - - y - - error
discard unix - - y - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - y - - lmtp
anvil unix - - y - 1 anvil
scache unix - - y - 1 scache
maildrop unix - n n - - pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
";

const SUBMISSION: &str = "submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
smtps inet n - y - - smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
";

/// The set-ups that Postfix's documentation describes, in our own files.
#[test]
fn set_ups() {
    let tls = "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /etc/ssl/mail.pem\nsmtp_tls_security_level = may\nsmtpd_tls_protocols = >=TLSv1.2\nsmtpd_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1\n";
    // On its own.
    clean("", MASTER);
    clean(
        "myhostname = host.example.org\nmyorigin = $mydomain\nmynetworks_style = host\nrelay_domains =\n",
        MASTER,
    );
    // Sends only.
    clean(
        "myhostname = host.example.org\nmyorigin = $mydomain\nrelayhost = $mydomain\ninet_interfaces = loopback-only\nmydestination =\n",
        MASTER,
    );
    // A relay in front of another server.
    clean(
        "myorigin = example.org\nmydestination =\nlocal_recipient_maps =\nlocal_transport = error:local mail delivery is disabled\nmynetworks = 127.0.0.0/8 12.34.56.0/24\nrelay_domains = example.org\nparent_domain_matches_subdomains = debug_peer_list smtpd_access_maps\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\nrelay_recipient_maps = hash:/etc/postfix/relay_recipients\ntransport_maps = hash:/etc/postfix/transport\n",
        MASTER,
    );
    // Backup for another domain.
    clean(
        "relay_domains = the.backed-up.example\nsmtpd_recipient_restrictions = permit_mynetworks reject_unauth_destination\nrelay_recipient_maps =\nmaximal_queue_lifetime = 10d\nbounce_queue_lifetime = 10d\n",
        MASTER,
    );
    // Virtual domains: aliases, mailboxes, another store.
    clean(
        "virtual_alias_domains = v.example w.example\nvirtual_alias_maps = hash:/etc/postfix/virtual\n",
        MASTER,
    );
    clean(
        "virtual_mailbox_domains = v.example\nvirtual_mailbox_base = /var/mail/vhosts\nvirtual_mailbox_maps = hash:/etc/postfix/vmailbox\nvirtual_minimum_uid = 100\nvirtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000\nvirtual_alias_maps = hash:/etc/postfix/virtual\nmessage_size_limit = 52428800\nvirtual_mailbox_limit = 0\nmailbox_size_limit = 0\n",
        MASTER,
    );
    clean(
        "virtual_transport = maildrop\nvirtual_mailbox_domains = v.example\nmaildrop_destination_recipient_limit = 1\n",
        MASTER,
    );
    clean(
        "virtual_transport = lmtp:unix:private/dovecot-lmtp\nvirtual_mailbox_domains = hash:/etc/postfix/domains\n",
        MASTER,
    );
    // Mail from users who log in.
    clean(
        &format!(
            "{tls}smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\nmua_client_restrictions = permit_sasl_authenticated, reject\nsmtpd_sasl_security_options = noanonymous\n"
        ),
        &format!("{MASTER}{SUBMISSION}"),
    );
    // Mail through a provider.
    clean(
        "relayhost = [mail.isp.example]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\nsmtp_sasl_security_options = noanonymous\nsmtp_tls_security_level = encrypt\nsmtp_generic_maps = hash:/etc/postfix/generic\n",
        MASTER,
    );
    // Amavis behind, and the way back.
    let amavis = "smtp-amavis unix - - n - 2 smtp\n  -o smtp_data_done_timeout=1200\n  -o smtp_send_xforward_command=yes\n127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n  -o local_recipient_maps=\n  -o relay_recipient_maps=\n  -o smtpd_client_restrictions=\n  -o smtpd_recipient_restrictions=permit_mynetworks,reject\n  -o mynetworks=127.0.0.0/8\n  -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks\n  -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n";
    clean("content_filter = smtp-amavis:[127.0.0.1]:10024\n", &format!("{MASTER}{amavis}"));
    // postscreen in front.
    let postscreen = "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\ndnsblog unix - - y - 0 dnsblog\ntlsproxy unix - - y - 0 tlsproxy\n";
    clean(
        &format!(
            "{tls}postscreen_access_list = permit_mynetworks, cidr:/etc/postfix/postscreen_access.cidr\npostscreen_dnsbl_sites = zen.spamhaus.org=127.0.0.[2..11]*2\npostscreen_dnsbl_action = enforce\npostscreen_greet_action = enforce\n"
        ),
        &format!("{postscreen}{}", MASTER.lines().skip(1).fold(String::new(), |all, line| all + line + "\n")),
    );
    // Stress, by the documentation's figures.
    clean(
        "smtpd_timeout = ${stress?{10}:{300}}s\nsmtpd_hard_error_limit = ${stress?{1}:{20}}\nsmtpd_junk_command_limit = ${stress?{1}:{100}}\n",
        MASTER,
    );
}

/// Nothing in the review grows faster than the files: 5,000 lines, most of them of lists and own names.
#[test]
fn large() {
    use std::fmt::Write;
    let mut main = String::from("relay_domains =\n");
    for n in 0..3000 {
        let _ = writeln!(main, "  domain{n}.example,");
    }
    main.push_str("mynetworks = 127.0.0.0/8\n");
    for n in 0..1000 {
        let _ = writeln!(main, "  10.{}.{}.0/24", n / 256, n % 256);
    }
    for n in 0..1000 {
        let _ = writeln!(main, "own_name_{n} = value # {n}\nsmtpd_banner = $own_name_{n}");
    }
    let (_, found) = said(&main, MASTER);
    assert!(found.len() < 50, "{}", found.len());
}
