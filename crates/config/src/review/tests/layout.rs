//! Lines and characters that deceive: each with a case that is said, one that isn't, and the repair.

use super::*;

/// K0132 to K0134.
#[test]
fn lines() {
    check("relay_domains = a.example, \\\n  b.example\n", "", &["warning K0132 main.cf:1:28"]);
    check("relay_domains = a.example,\n  b.example\n", "", &[]);
    let pipe = "x unix - n n - - pipe user=a \\\n  argv=/bin/x\n";
    check("", pipe, &["warning K0132 master.cf:1:30"]);
    check("", &pipe.replace('\\', ""), &[]);
    check("# path \\\nrelay_domains = a.example\n", "", &[]);

    check("relay_domains = a.example\n  mydomain = example.org\n", "", &["warning K0133 main.cf:2:3"]);
    check(
        "relay_domains = a.example\n\n# domain\n  mydomain=example.org\n",
        "",
        &["warning K0133 main.cf:4:3"],
    );
    check("relay_domains = a.example\nmydomain = example.org\n", "", &[]);
    check("smtpd_policy_service_policy_context = { x\n  smtpd_timeout = 3 }\n", "", &[]);
    check("import_environment = A=b\n  TZ=x\n", "", &[]);

    let trap = "relay_domains = a.example\n#virtual_alias_domains =\n#  v.example\n  w.example\n";
    check(trap, "", &["warning K0134 main.cf:4:3"]);
    check("relay_domains = a.example\n#virtual_alias_domains =\n#  v.example\n#  w.example\n", "", &[]);
    check("relay_domains = a.example,\n# and the next = one\n  w.example\n", "", &[]);
    check("#mydomain = x\nrelay_domains = a.example,\n  w.example\n", "", &[]);
}

/// K0131.
#[test]
fn copied() {
    check("relay_domains = a.example\u{3000}b.example\n", "", &["warning K0131 main.cf:1:26"]);
    check("relay_domains =\u{a0}a.example\n", "", &["warning K0131 main.cf:1:16"]);
    check("# \u{3000}“remark”\nrelay_domains = a.example\n", "", &[]);
    check("smtpd_reject_footer = \\c “Ask us” – 受信できません、\n", "", &[]);
    let master = "10025 inet n - n - - smtpd\n  –o smtpd_timeout=3s\n";
    check("", master, &["warning K0131 master.cf:2:3"]);
    check("", "10025 inet n - n - - smtpd\n  -o smtpd_timeout=3s\n", &[]);
}

/// K0231: the options of a service that is commented out.
#[test]
fn options_of_another() {
    let master = "25 inet n - n - - smtpd\n#submission inet n - n - - smtpd\n  -o smtpd_timeout=3s\n  -o smtpd_recipient_limit=200\n";
    check("", master, &["warning K0231 master.cf:3:3"]);
    let master = "25 inet n - n - - smtpd\n#submission inet n - n - - smtpd\n#  -o smtpd_timeout=3s\n";
    check("", master, &[]);
    let master = "25 inet n - n - - smtpd\n# inet services are these:\n  -o smtpd_timeout=3s\n";
    check("", master, &[]);
}

/// K0135 to K0138.
#[test]
fn values() {
    check("relay_domains = a.example # ours\n", "", &["warning K0135 main.cf:1:27"]);
    check("mynetworks = 127.0.0.0/8 // local\n", "", &["warning K0135 main.cf:1:26"]);
    check("myhostname = mail.example.org # me\n", "", &["error K0135 main.cf:1:31"]);
    check("mailbox_command = /bin/x # me\nsmtpd_reject_footer = \\c # 1\n", "", &[]);
    check("alias_maps = inline:{ {a=#b} }\n", "", &[]);
    check("smtpd_client_restrictions = permit # policy says it\n", "", &[]);

    check("mydomain = \"example.org\"\n", "", &["warning K0136 main.cf:1:12"]);
    check("relay_domains = 'a.example', b.example\n", "", &["warning K0136 main.cf:1:17"]);
    check("smtpd_banner = mail.example.org \"ESMTP\"\nmailbox_command = \"/bin/x\"\n", "", &[]);

    check("mydomain == example.org\n", "", &["warning K0137 main.cf:1:11"]);
    check("mydomain = example.org;\n", "", &["warning K0138 main.cf:1:12"]);
    check("mydomain = example.org\n", "", &[]);
    check(
        "",
        "10025 inet n - n - - smtpd -o { mydomain = \"example.org\" }\n",
        &["warning K0136 master.cf:1:44"],
    );
}

/// T1.5, T2.12: repairs of what the loader and the review find.
#[test]
fn repairs() {
    #[track_caller]
    fn becomes(before: &str, after: &str) {
        assert_eq!(repaired(before), after);
        let again = repaired(after);
        assert_eq!(again, after, "a repair leaves something to repair");
    }
    becomes("relay_domains = a.example, \\\n  b.example\n", "relay_domains = a.example,\n  b.example\n");
    becomes(
        "relay_domains = a.example\n  mydomain = example.org\n",
        "relay_domains = a.example\nmydomain = example.org\n",
    );
    becomes("relay_domains = a.example # ours\n", "relay_domains = a.example\n");
    becomes("mydomain = \"example.org\"\n", "mydomain = example.org\n");
    becomes("mydomain == example.org\n", "mydomain = example.org\n");
    becomes("mydomain = example.org;\n", "mydomain = example.org\n");
    becomes(
        "relay_domains =\u{a0}a.example\u{3000}b.example\u{200b}\n",
        "relay_domains = a.example b.example\n",
    );
    becomes("\u{3000}mydomain = example.org\n", "mydomain = example.org\n");
    becomes("mydomain ＝ example.org\n", "mydomain = example.org\n");
    becomes("mydomain: example.org\n", "mydomain = example.org\n");
    becomes("mydomain := example.org\n", "mydomain = example.org\n");
    becomes("mydomain example.org\n", "mydomain = example.org\n");
    becomes("set mydomain = example.org\n", "mydomain = example.org\n");
    becomes("// the domain\nmydomain = example.org\n", "# the domain\nmydomain = example.org\n");
    becomes("; the domain\n", "# the domain\n");
    becomes(
        "smtpd_client_restrictions = permit_mynetworks,\nreject_rbl_client zen.example=127.0.0.2\n",
        "smtpd_client_restrictions = permit_mynetworks,\n    reject_rbl_client zen.example=127.0.0.2\n",
    );
    becomes("smtpd_helo_required = \"yes\"\n", "smtpd_helo_required = yes\n");
    becomes("smtpd_helo_required = true # of course\n", "smtpd_helo_required = yes\n");
    becomes("smtpd_timeout = 5 minutes\n", "smtpd_timeout = 5m\n");
    becomes("smtpd_use_tls = yes\n", "smtpd_tls_security_level = may\n");
    becomes("myhostname = mail.example.org.\n", "myhostname = mail.example.org\n");
    becomes("relayhost = [relay.example:587]\n", "relayhost = [relay.example]:587\n");
    becomes("relayhost = relay.example 26\n", "relayhost = relay.example:26\n");
    becomes("home_mailbox = Maildir\n", "home_mailbox = Maildir/\n");
    becomes("fallback_relay = relay.example\n", "smtp_fallback_relay = relay.example\n");
    becomes("smtpd_client_restricitons = permit\n", "smtpd_client_restrictions = permit\n");
    becomes("smtpd_tls_protocols = !SSLv2, !TLSv10\n", "smtpd_tls_protocols = !SSLv2, !TLSv1\n");
}
