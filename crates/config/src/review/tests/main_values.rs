//! Values of main.cf that contradict each other or harm: each with a case that is said and one that isn't.

use super::*;

const SMTP: &str = "smtp inet n - n - - smtpd\n";

/// T1.13: K0141.
#[test]
fn limits() {
    check("message_size_limit = 102400000\n", "", &["error K0141 main.cf:1:22"]);
    check("message_size_limit = 102400000\nmailbox_size_limit = 0\n", "", &[]);
    check("mailbox_size_limit = 1000000\n", "", &["error K0141 main.cf:1:22"]);
    check("message_size_limit = 0\n", "", &["error K0141 main.cf:1:22"]);
    check("message_size_limit = 0\nmailbox_size_limit = 0\n", "", &[]);
    check("message_size_limit = 102400000\nmydestination =\n", "", &[]);
    check("message_size_limit = 20\n", "", &["error K0141 main.cf:1:22"]);
    check(
        "virtual_mailbox_domains = v.example\nvirtual_mailbox_limit = 1000000\nvirtual_mailbox_base = /m\n",
        "",
        &["error K0141 main.cf:2:25"],
    );
    check("virtual_mailbox_limit = 1000000\n", "", &[]);
    check(
        "virtual_mailbox_domains = v.example\nvirtual_mailbox_limit = 1\nvirtual_transport = lmtp:unix:private/lmtp\n",
        "lmtp unix - - n - - lmtp\n",
        &[],
    );
    check("queue_minfree = 1000\n", "", &["hint K0141 main.cf:1:17"]);
    check("queue_minfree = 20480000\n", "", &[]);
    check("minimal_backoff_time = 2h\n", "", &["warning K0141 main.cf:1:24"]);
    check("minimal_backoff_time = 2h\nmaximal_backoff_time = 3h\n", "", &[]);
    check("minimal_backoff_time = 60s\n", "", &["hint K0141 main.cf:1:24"]);
    check("minimal_backoff_time = 60s\nqueue_run_delay = 60s\n", "", &[]);
    check("maximal_queue_lifetime = 1d\n", "", &["hint K0141 main.cf:1:26"]);
    check("maximal_queue_lifetime = 1d\nbounce_queue_lifetime = 1d\n", "", &[]);
    check("maximal_queue_lifetime = 0\nbounce_queue_lifetime = 0\n", "", &[]);
    check("delay_warning_time = 10d\n", "", &["warning K0141 main.cf:1:22"]);
    check("delay_warning_time = 4h\n", "", &[]);
    check("smtpd_soft_error_limit = 30\n", SMTP, &["warning K0141 main.cf:1:26"]);
    check("smtpd_soft_error_limit = 1001\nsmtpd_hard_error_limit = 1000\n", SMTP, &[]);
    check("smtpd_soft_error_limit = 30\nsmtpd_hard_error_limit = 40\n", SMTP, &[]);
    check("smtpd_soft_error_limit = 30\nsmtpd_error_sleep_time = 0\n", SMTP, &[]);
    check("", "smtp inet n - n - - smtpd -o smtpd_hard_error_limit=5\n", &[]);
    check("smtpd_recipient_limit = 50\n", SMTP, &["hint K0141 main.cf:1:25"]);
    check("smtpd_client_connection_count_limit = 200\n", SMTP, &["hint K0141 main.cf:1:39"]);
    check("smtpd_client_connection_count_limit = 20\n", SMTP, &[]);
}

/// K0107, K0108 beyond the loader's.
#[test]
fn ranges() {
    check("hash_queue_depth = 0\n", "", &["error K0107 main.cf:1:20"]);
    check("hopcount_limit = -1\n", "", &["error K0107 main.cf:1:18"]);
    check("hopcount_limit = 1\n", "", &[]);
    check("smtpd_recipient_limit = 99999999999\n", "", &["error K0107 main.cf:1:25"]);
    check("line_length_limit = 100\n", "", &["error K0107 main.cf:1:21"]);
    check("queue_run_delay = 0\n", "", &["error K0108 main.cf:1:19"]);
    check("in_flow_delay = 11s\n", "", &["error K0108 main.cf:1:17"]);
    check("in_flow_delay = 10s\n", "", &[]);
    // A no-break space is no blank: Postfix's smtpd stops at such a value.
    for odd in [
        "smtpd_helo_required = yes\u{a0}\n",
        "smtpd_timeout = 30s\u{3000}\n",
        "smtpd_recipient_limit = 9\u{a0}\n",
    ] {
        let (loaded, found) = said(odd, "");
        assert!(loaded.iter().any(|one| (106..109).contains(&one.code.0)), "{odd}: {loaded:?}");
        assert!(found.iter().any(|one| one.code.0 == 131), "{odd}: {found:?}");
    }
    // The loader says these.
    check("smtpd_timeout = 0\nsmtpd_hard_error_limit = 0\n", "", &[]);
}

/// K0142 to K0144.
#[test]
fn networks() {
    check("mynetworks = 0.0.0.0/0\n", "", &["error K0142 main.cf:1:14"]);
    check("mynetworks = 127.0.0.0/8 [::]/0\n", "", &["error K0142 main.cf:1:26"]);
    check("mynetworks = [2000::]/3\n", "", &["error K0142 main.cf:1:14"]);
    check("smtpd_authorized_xclient_hosts = 0.0.0.0/0\n", "", &["error K0142 main.cf:1:34"]);
    check("smtpd_authorized_xclient_hosts = static:all\n", "", &["error K0142 main.cf:1:34"]);
    check("smtpd_authorized_xclient_hosts = 10.0.0.0/8, 127.0.0.1, 198.51.100.0/24\n", "", &[]);
    check("mynetworks = static:all\n", "", &["error K0142 main.cf:1:14"]);
    check("mynetworks = 128.0.0.0/1\n", "", &["error K0142 main.cf:1:14"]);
    check("mynetworks = 172.0.0.0/8\n", "", &["warning K0142 main.cf:1:14"]);
    check("mynetworks = 192.0.0.0/16\n", "", &["warning K0142 main.cf:1:14"]);
    check("mynetworks = 203.0.112.0/22\n", "", &["hint K0142 main.cf:1:14"]);
    check("mynetworks = [2001::]/16\n", "", &["warning K0142 main.cf:1:14"]);
    check(
        "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128 10.0.0.0/8 192.168.0.0/16 203.0.113.0/24 [2001:db8::]/32 [fe80::]/10 hash:/x /y !10.1.1.1\n",
        "",
        &[],
    );
    for piece in ["192.168.1", "10.", "10.0.0.*", "!192.168.1", "1.2.3.4.5", "300.1.1.1"] {
        check(&format!("mynetworks = 127.0.0.1 {piece}\n"), "", &["warning K0173 main.cf:1:24"]);
    }
    check("mynetworks = friend.example.net\n", "", &["warning K0142 main.cf:1:14"]);
    check("mynetworks = 127.0.0.1 localhost\n", "", &[]);
    check("mynetworks = 172.17.0.0/16\n", "", &["hint K0143 main.cf:1:14"]);
    check("mynetworks = 172.16.0.0/12\n", "", &["hint K0143 main.cf:1:14"]);
    check("mynetworks = 172.17.0.5 172.20.0.0/16\n", "", &[]);
    check("mynetworks_style = class\n", "", &["error K0144 main.cf:1:20"]);
    check("mynetworks_style = subnet\n", "", &["warning K0144 main.cf:1:20"]);
    check("mynetworks_style = host\n", "", &[]);
    check("mynetworks_style = host\nmynetworks = 127.0.0.0/8\n", "", &["hint K0144 main.cf:1:20"]);
}

/// K0145 to K0147.
#[test]
fn domains() {
    check(
        "mydestination = a.example, v.example\nvirtual_alias_domains = v.example\n",
        "",
        &["warning K0145 main.cf:2:25"],
    );
    check(
        "mydestination = a.example\nvirtual_mailbox_domains = A.example\nvirtual_mailbox_base = /m\n",
        "",
        &["warning K0145 main.cf:2:27"],
    );
    check(
        "virtual_alias_domains = v.example\nrelay_domains = v.example\n",
        "",
        &["warning K0145 main.cf:2:17"],
    );
    check("mydestination = a.example\nrelay_domains = a.example\n", "", &["hint K0145 main.cf:2:17"]);
    check("mydestination = a.example\nrelay_domains = $mydestination\n", "", &[]);
    check("mydestination = a.example\nvirtual_alias_domains = hash:/x, v.example\n", "", &[]);
    check(
        "myhostname = v.example\nvirtual_alias_domains = v.example\nmydestination = localhost\n",
        "",
        &["hint K0146 main.cf:1:14"],
    );
    check("myhostname = mailhost\n", "", &["hint K0146 main.cf:1:14"]);
    check("myhostname = localhost\n", "", &["hint K0146 main.cf:1:14"]);
    check("myhostname = mail.example.org.\n", "", &["error K0146 main.cf:1:14"]);
    check("myhostname = 192.0.2.5\n", "", &["error K0146 main.cf:1:14"]);
    check("myhostname = mail.example.org\nmydomain = example.org\n", "", &[]);
    check("myorigin = /etc/mailname\n", "", &["error K0147 main.cf:1:12"]);
    check("myorigin = @example.org\n", "", &["error K0147 main.cf:1:12"]);
    check("myorigin = $mydomain\n", "", &[]);
}

/// K0148 to K0150.
#[test]
fn outgoing() {
    check("relayhost = [relay.example:587]\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = https://relay.example\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = smtp:[192.0.2.1]:26\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = me@relay.example\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = a.example; b.example\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = relay.example:587:x\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = [relay.example]587\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = [relay.example]:70000\n", "", &["error K0148 main.cf:1:13"]);
    check("relayhost = [relay.example]:submission, [2001:db8::2]:587, 2001:db8::3\n", "", &[]);
    check("relayhost = relay.example:587\n", "", &["hint K0148 main.cf:1:13"]);
    check("relayhost = [relay.example]:587\n", "", &[]);
    check("relayhost = $mydomain\n", "", &[]);
    check("relayhost = relay.example:26\n", "", &[]);
    check("relayhost = [2001:db8::1]:587\n", "", &[]);
    check("relayhost = [2001:db8::1]\n", "", &[]);
    check("relayhost =\n", "", &[]);
    check("relayhost = 127.0.0.1:25\n", SMTP, &["error K0149 main.cf:1:13"]);
    check("relayhost = [mail.example.org]\n", SMTP, &["error K0149 main.cf:1:13"]);
    check("relayhost = [192.0.2.5]\n", SMTP, &["error K0149 main.cf:1:13"]);
    check("relayhost = [127.0.0.1]:10026\n", SMTP, &[]);
    check("relayhost = [127.0.0.1]\n", "10025 inet n - n - - smtpd\n", &[]);
    check("relayhost = [relay.example]:465\n", "", &["error K0150 main.cf:1:13"]);
    let wrapped = "smtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n";
    check(&format!("relayhost = [relay.example]:465\n{wrapped}"), "", &[]);
    check(wrapped, "", &["error K0150 main.cf:1:24"]);
    check("relayhost = [relay.example]:465\nsmtp_tls_wrappermode = yes\n", "", &["error K0150 main.cf:2:24"]);
    check("smtp_sasl_auth_enable = yes\n", "", &["error K0150 main.cf:1:25"]);
    let passwords = "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/p\n";
    check(passwords, "", &["hint K0150 main.cf:1:25"]);
    check(&format!("{passwords}smtp_sasl_security_options = noanonymous\n"), "", &[]);
}

/// K0151 to K0157, K0139, K0140.
#[test]
fn left_over() {
    check("soft_bounce = yes\n", "", &["warning K0151 main.cf:1:15"]);
    check("soft_bounce = no\n", "", &[]);
    check("unknown_local_recipient_reject_code = 450\n", "", &["warning K0152 main.cf:1:39"]);
    check("unknown_local_recipient_reject_code = 550\n", "", &[]);
    check("reject_code = 200\n", "", &["error K0152 main.cf:1:15"]);
    check("reject_code = 454\nunknown_address_reject_code = 450\n", "", &[]);
    check("local_recipient_maps =\n", "", &["warning K0153 main.cf:1:1"]);
    check("local_recipient_maps =\nluser_relay = root\n", "", &[]);
    check("local_recipient_maps =\nmydestination =\n", "", &[]);
    check("smtpd_reject_unlisted_recipient = no\n", "", &["warning K0153 main.cf:1:35"]);
    check("", "587 inet n - n - - smtpd -o smtpd_reject_unlisted_recipient=no\n", &[]);
    check("home_mailbox = Maildir\n", "", &["warning K0154 main.cf:1:16"]);
    check("home_mailbox = Maildir/\n", "", &[]);
    check("always_bcc = a@a.example, b@a.example\n", "", &["warning K0155 main.cf:1:14"]);
    check("always_bcc = hash:/etc/postfix/bcc\n", "", &["warning K0155 main.cf:1:14"]);
    check("always_bcc = a@a.example\n", "", &[]);
    check("maillog_file = /home/log\n", "", &["error K0156 main.cf:1:16"]);
    check("maillog_file = /variable/log\n", "", &["error K0156 main.cf:1:16"]);
    check("maillog_file = /var/log/mail.log\n", "", &[]);
    check("maillog_file = /dev/stdout\n", "", &[]);
    check("compatibility_level = 0\n", "", &["hint K0157 main.cf:1:23"]);
    check("compatibility_level = 3.6\n", "", &[]);
    check("smtpd_restriction_classes = strict\nstrict =\n", "", &["error K0139 main.cf:1:29"]);
    check("smtpd_restriction_classes = strict\nstrict = permit\n", "", &[]);
    check("smtpd_use_tls = yes\nsmtpd_tls_cert_file = /x\n", "", &["hint K0140 main.cf:1:1"]);
    check("smtp_enforce_tls = yes\n", "", &["hint K0140 main.cf:1:1"]);
    check("disable_dns_lookups = yes\n", "", &["hint K0140 main.cf:1:23"]);
    check("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /x\n", "", &[]);
}

/// K0109, K0167, K0168.
#[test]
fn words() {
    check("notify_classes = resource, sofware\n", "", &["error K0109 main.cf:1:28"]);
    check("notify_classes = resource, software\n", "", &[]);
    check("receive_override_options = no_milters, NO_MILTERS\n", "", &["error K0109 main.cf:1:40"]);
    check("receive_override_options = no_milters no_address_mappings\n", "", &[]);
    check("milter_default_action = tempfial\n", "", &["error K0109 main.cf:1:25"]);
    check("milter_default_action = accept\nsmtpd_tls_mandatory_ciphers = high\n", "", &[]);
    check("smtp_tls_ciphers = hihg\n", "", &["error K0109 main.cf:1:20"]);
    check("inet_interfaces =\n", "", &["error K0167 main.cf:1:1"]);
    check("inet_interfaces = loopback_only\n", "", &["error K0167 main.cf:1:19"]);
    check("inet_interfaces = 192.0.2.0/24\n", "", &["error K0167 main.cf:1:19"]);
    check("inet_interfaces = eth0\n", "", &["error K0167 main.cf:1:19"]);
    check("inet_interfaces = 127.0.0.1, [::1], $myhostname, localhost\n", "", &[]);
    check("inet_interfaces = loopback-only\n", "", &[]);
    check("virtual_mailbox_domains = v.example\n", "", &["error K0168 main.cf:1:27"]);
    check("virtual_mailbox_domains = v.example\nvirtual_mailbox_base = /m\n", "", &[]);
}

/// T1.5: a comma that is missing where the others are, once for each list. K0169.
#[test]
fn commas() {
    let list = |text: &str| format!("smtpd_sender_restrictions = {text}\n");
    check(&list("permit_mynetworks, reject_non_fqdn_sender permit"), "", &["hint K0169 main.cf:1:48"]);
    check(
        &list("permit_mynetworks,\n  check_sender_access hash:/x\n# a, b\n  reject_non_fqdn_sender, permit"),
        "",
        &["hint K0169 main.cf:2:23"],
    );
    check(&list("permit_mynetworks, warn_if_reject reject_non_fqdn_sender, sleep 1, permit"), "", &[]);
    check(&list("permit_mynetworks reject_non_fqdn_sender permit"), "", &[]);
    check(&list("permit_mynetworks reject_non_fqdn_sender, reject permit"), "", &[]);
    check(&list("permit_mynetworks, // our own\n  reject_non_fqdn_sender, permit"), "", &[]);
    check(&list("check_policy_service { unix:x, timeout=5s }, permit"), "", &[]);
    check("mynetworks = 127.0.0.0/8, 10.0.0.0/8 [::1]/128\n", "", &["hint K0169 main.cf:1:27"]);
    check("mynetworks = 127.0.0.0/8 10.0.0.0/8 [::1]/128\n", "", &[]);
    check(
        "smtpd_restriction_classes = a\na = permit_mynetworks, reject permit\n",
        "",
        &["hint K0169 main.cf:2:24"],
    );
    assert_eq!(
        repaired("mydestination = a.example, b.example c.example,\n  d.example\n"),
        "mydestination = a.example, b.example, c.example,\n  d.example\n"
    );
}

/// T2.7, T2.10: what a page printed in the place of something else. K0163.
#[test]
fn placeholders() {
    let rbl = |zone: &str| format!("smtpd_client_restrictions = reject_rbl_client {zone}\n");
    let at = &["warning K0163 main.cf:1:47"];
    check(&rbl("xxx.xxx.xxx.xxx"), "", at);
    check(&rbl("yourkey.zen.dq.spamhaus.net=127.0.0.2"), "", at);
    check(&rbl("your_dqs_key.zen.dq.spamhaus.net"), "", at);
    check(&rbl("dnsbl.example.com"), "", at);
    check(&rbl("<zone>"), "", at);
    check(&rbl("zen.spamhaus.org=127.0.0.[2..11]"), "", &[]);
    check("postscreen_dnsbl_sites = bl.example*2\n", "", &["warning K0163 main.cf:1:26"]);
    check("mynetworks = 127.0.0.0/8 192.168.x.0/24\n", "", &["warning K0163 main.cf:1:26"]);
    check("relayhost = [smtp.your-isp.com]:587\n", "", &["warning K0163 main.cf:1:13"]);
    check("myhostname = mail.yourdomain.com\n", "", &["warning K0163 main.cf:1:14"]);
    check("relayhost = [mail.your-server.de]:587\n", "", &[]);
    check("mydestination = mail.example.org, example.org, xxl.example, x.example\n", "", &[]);
    check("virtual_alias_maps = hash:/etc/postfix/your_aliases\n", "", &[]);
}

/// K0170 to K0172; K0173 stands with the networks above.
#[test]
fn unfit() {
    check("relay_domains = *\n", "", &["warning K0170 main.cf:1:17"]);
    check("mydestination = example.org, *.example.org\n", "", &["warning K0170 main.cf:1:30"]);
    check("relay_domains = example.org, hash:/x*\n", "", &[]);
    check("queue_directory =\n", "", &["error K0171 main.cf:1:1"]);
    check("setgid_group =\n", "", &["hint K0171 main.cf:1:1"]);
    check("setgid_group = postdrop\nqueue_directory = /var/spool/postfix\n", "", &[]);
    let smtp = "smtp inet n - n - - smtpd\n";
    check("mynetworks = 192.168.1.0/24\n", smtp, &["hint K0172 main.cf:1:14"]);
    check("mynetworks = 192.168.1.0/24\n", "", &[]);
    check("mynetworks = 192.168.1.5/24\n", smtp, &[]);
    check("mynetworks = 192.168.1.0/24\nsmtpd_relay_restrictions = reject_unauth_destination\n", smtp, &[]);
    for own in ["127.0.0.0/8", "127.0.0.1", "[::1]/128", "[::1]", "hash:/x", "/x"] {
        check(&format!("mynetworks = 192.168.1.0/24 {own}\n"), smtp, &[]);
    }
}
