//! Services of master.cf: each with a case that is said and one that isn't.

use super::*;

const SMTP: &str = "smtp inet n - n - - smtpd\n";
const CERT: &str = "smtpd_tls_cert_file = /x\n";

fn submission(options: &str) -> String {
    format!("submission inet n - n - - smtpd {options}\n")
}

/// K0158, K0159, K0233. T0.3.
#[test]
fn log_ins() {
    let auth = "smtpd_sasl_auth_enable = yes\n";
    check(auth, SMTP, &["error K0158 main.cf:1:26"]);
    check(&format!("{auth}{CERT}smtpd_tls_security_level = may\n"), SMTP, &["warning K0158 main.cf:1:26"]);
    check(&format!("{auth}{CERT}smtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\n"), SMTP, &[]);
    check(&format!("{auth}smtpd_sasl_security_options = noanonymous, noplaintext\n"), SMTP, &[]);
    check(auth, "127.0.0.1:25 inet n - n - - smtpd\n", &[]);
    let options = "-o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=encrypt";
    check(CERT, &submission(options), &[]);
    check(CERT, "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes\n", &[]);

    let safe = format!("{auth}smtpd_tls_auth_only = yes\n");
    check(&format!("{safe}smtpd_sasl_security_options =\n"), SMTP, &["error K0159 main.cf:3:1"]);
    check(&format!("{safe}smtpd_sasl_security_options = noanonymus\n"), SMTP, &["error K0159 main.cf:3:31"]);
    check(&format!("{safe}smtpd_sasl_type = dovecott\n"), SMTP, &["error K0159 main.cf:3:19"]);
    check(
        &format!("{safe}smtpd_sasl_type = dovecot\nsmtpd_sasl_security_options = noanonymous\n"),
        SMTP,
        &[],
    );

    let only = "-o smtpd_client_restrictions=permit_sasl_authenticated,reject";
    check("", &submission(only), &["error K0233 master.cf:1:62"]);
    check(CERT, &submission(&format!("{only} {options}")), &[]);
    let unencrypted = format!("{only} -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes");
    check("", &submission(&unencrypted), &["error K0233 master.cf:1:62"]);
    check(
        "",
        &submission("-o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject"),
        &[],
    );
}

/// K0160 to K0162.
#[test]
fn tls() {
    check(&format!("smtpd_tls_security_level = encrypt\n{CERT}"), SMTP, &["warning K0160 main.cf:1:28"]);
    check(&format!("smtpd_tls_security_level = may\n{CERT}"), SMTP, &[]);
    check(&format!("smtpd_tls_security_level = encrypt\n{CERT}"), &submission(""), &[]);
    check(&format!("smtpd_tls_wrappermode = yes\n{CERT}"), SMTP, &["error K0161 main.cf:1:25"]);
    check(CERT, "smtps inet n - n - - smtpd\n", &["warning K0161 master.cf:1:1"]);
    check(CERT, "smtps inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n", &[]);
    check(CERT, &submission("-o smtpd_tls_wrappermode=yes"), &["warning K0161 master.cf:1:58"]);
    check(&format!("smtpd_tls_security_level = yes\n{CERT}"), SMTP, &["error K0162 main.cf:1:28"]);
    check(&format!("smtpd_tls_security_level = dane\n{CERT}"), SMTP, &["error K0162 main.cf:1:28"]);
    check("smtp_tls_security_level = yes\n", "", &["error K0162 main.cf:1:27"]);
    check("smtp_tls_security_level = dane\n", "", &["warning K0178 main.cf:1:27"]);
    check("lmtp_tls_security_level = dane-only\n", "", &["error K0178 main.cf:1:27"]);
    check("smtpd_tls_protocols = !SSLv2, !SSLv3, !TLSv11\n", "", &["error K0162 main.cf:1:39"]);
    check("smtpd_tls_protocols = all\n", "", &["error K0162 main.cf:1:23"]);
    check(
        "smtpd_tls_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1, !TLSv1.2, !TLSv1.3\n",
        "",
        &["error K0162 main.cf:1:23"],
    );
    check(
        "smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1.2, !TLSv1.3\n",
        "",
        &["error K0162 main.cf:1:32"],
    );
    check("smtpd_tls_mandatory_protocols = TLSv1.3\n", "", &["hint K0162 main.cf:1:33"]);
    check("smtpd_tls_protocols = !SSLv2\n", "", &["hint K0162 main.cf:1:23"]);
    check(
        "smtpd_tls_protocols = >=TLSv1.2\nsmtp_tls_protocols = !SSLv2 !SSLv3 !TLSv1 !TLSv1.1\nsmtpd_tls_mandatory_protocols = TLSv1.2:TLSv1.3\nlmtp_tls_protocols = !SSLv2, !SSLv3\n",
        "",
        &[],
    );
    check("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = none\n", SMTP, &[]);
}

/// K0164 to K0166.
#[test]
fn sessions() {
    check("smtpd_banner = ESMTP\n", SMTP, &["warning K0164 main.cf:1:16"]);
    check("smtpd_banner = $myhostname ESMTP $mail_name\n", SMTP, &[]);
    check("smtpd_banner = mx.example.net ESMTP\n", SMTP, &[]);
    check("smtpd_banner = “$myhostname ESMTP”\n", SMTP, &["warning K0164 main.cf:1:16"]);
    check("smtpd_banner = $myhostname ESMTP “hello”\n", SMTP, &[]);
    check("smtpd_helo_restrictions = reject_invalid_helo_hostname\n", SMTP, &["hint K0165 main.cf:1:27"]);
    check("smtpd_helo_restrictions = reject_invalid_helo_hostname\nsmtpd_helo_required = yes\n", SMTP, &[]);
    check(
        "smtpd_delay_reject = no\nsmtpd_client_restrictions = check_recipient_access hash:/x\n",
        SMTP,
        &["warning K0166 main.cf:2:29"],
    );
    check(
        "smtpd_delay_reject = no\nsmtpd_client_restrictions = permit_sasl_authenticated\n",
        SMTP,
        &["warning K0166 main.cf:2:29"],
    );
    check(
        "smtpd_delay_reject = no\nsmtpd_sender_restrictions = check_sender_access hash:/x, permit_sasl_authenticated\nsmtpd_client_restrictions = reject_unknown_client_hostname\n",
        SMTP,
        &[],
    );
    check("smtpd_client_restrictions = check_recipient_access hash:/x\n", SMTP, &[]);
}

/// K0230, K0232, K0234 to K0237, K0240.
#[test]
fn services() {
    check("", "smtp inet n - n - - smtpd -o header_checks=regexp:/x\n", &["warning K0230 master.cf:1:30"]);
    check(
        "",
        "smtp inet n - n - - smtpd -o smtp_bind_address=192.0.2.5\n",
        &["warning K0230 master.cf:1:30"],
    );
    check("", "smtp inet n - n - - smtpd -o relayhost=[x.example]\n", &["warning K0230 master.cf:1:30"]);
    check("", "out unix - - n - - smtp -o smtpd_timeout=3s\n", &["warning K0230 master.cf:1:28"]);
    check(
        "",
        "out unix - - n - - smtp -o smtp_bind_address=192.0.2.5\npre unix n - n - 0 cleanup -o header_checks=\n",
        &[],
    );
    check(
        "",
        "smtp inet n - n - - smtpd -o smtpd_timeout=3s -o smtpd_timeout=4s\n",
        &["warning K0232 master.cf:1:50"],
    );
    check("", "smtp inet n - n - - smtpd -o smtpd_timeout=3s -o smtpd_helo_required=yes\n", &[]);
    check("content_filter = amavis:[127.0.0.1]:10024\n", SMTP, &["error K0234 main.cf:1:18"]);
    check("content_filter = amavis:[127.0.0.1]:10024\n", "amavis unix - - n - 2 smtp\n", &[]);
    check(
        "default_transport = smtp\nlocal_transport = local:$myhostname\n",
        "smtp unix - - n - - smtp\nlocal unix - n n - - local\n",
        &[],
    );
    check("content_filter = amavis:[127.0.0.1]:10024\n", "", &[]);
    let scan = "content_filter = scan:[127.0.0.1]:10024\n";
    let out = "scan unix - - n - 2 smtp\n";
    let back = "127.0.0.1:10025 inet n - n - - smtpd";
    let again = ["warning K0239 main.cf:1:18"];
    check(scan, &format!("{out}{back}\n"), &again);
    check(scan, &format!("{out}{back} -o content_filter=\n"), &[]);
    check(scan, &format!("scan unix - - n - 2 discard\n{back}\n"), &[]);
    check("smtpd_proxy_filter = 127.0.0.1:10024\n", &format!("{back}\n"), &["warning K0239 main.cf:1:22"]);
    check("smtpd_proxy_filter = 127.0.0.1:10024\n", &format!("{back} -o smtpd_proxy_filter=\n"), &[]);
    check("", "10025 inet n - n - - smtpd -o content_filter=scan:x\n", &["error K0234 master.cf:1:46"]);
    let news = "news unix - n n - - pipe user=news chroot=/srv argv=/bin/x\n";
    check("", news, &["warning K0240 master.cf:1:36"]);
    check("", "news unix - n n - - pipe user=news argv=/bin/x chroot=/srv\n", &[]);
    let all = "pickup unix n - y 60 1 pickup\ncleanup unix n - y - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - y - - trivial-rewrite\nbounce unix - - y - 0 bounce\ndefer unix - - y - 0 bounce\n";
    check("", all, &["hint K0235 master.cf:1:1"]);
    check("", &format!("{all}retry unix - - y - - error\n"), &[]);
    let program =
        "retry unix - - y - - error\nscan unix - n n - 10 pipe flags=Rq user=filter argv=/bin/filter\n";
    check("content_filter = scan:x\n", &format!("{all}{program}"), &again);
    let own = all.replace("60 1 pickup", "60 1 pickup -o content_filter=");
    check("content_filter = scan:x\n", &format!("{own}{program}"), &[]);
    check("", "smtp inet n - n - 1 smtpd\n", &["hint K0236 master.cf:1:1"]);
    check("", "smtp inet n - n - 0 postscreen\nsmtpd pass - - n - 0 smtpd\n", &["hint K0236 master.cf:1:1"]);
    check("", "smtp inet n - n - - postscreen\nsmtpd pass - - n - - smtpd\n", &["hint K0236 master.cf:1:1"]);
    check("", "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - 0 smtpd\n", &[]);
    check("", "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n", &[]);
    check(
        "smtpd_milters = unix:/run/opendkim/opendkim.sock\n",
        "smtp inet n - y - - smtpd\n",
        &["hint K0237 main.cf:1:17"],
    );
    check("smtpd_milters = unix:/run/opendkim/opendkim.sock\n", SMTP, &[]);
    check(
        "smtpd_milters = unix:opendkim/opendkim.sock, inet:localhost:8891\n",
        "smtp inet n - y - - smtpd\n",
        &[],
    );
}

/// K0523.
#[test]
fn words_of_transports() {
    let warned = |line: &str, expect: &[&str]| {
        let (_, found) = said("", &format!("{line}\n"));
        let found = found.iter().filter(|one| one.code.0 == 523);
        let shown: Vec<String> = found.map(|one| format!("{} {}", one.place, one.message)).collect();
        assert_eq!(shown, expect, "{line}");
    };
    warned(
        "p unix - n n - - pipe flags=BDFORXhqu.> user=x eol=\\r\\n size=1 argv=/bin/x $recipient ${user}",
        &[],
    );
    warned(
        "p unix - n n - - pipe flags=RQZ user=x argv=/bin/x",
        &["master.cf:1:23 p: pipe has no flag `QZ`"],
    );
    warned(
        "p unix - n n - - pipe user=x argv=/bin/x -f ${sender} a${recipent}b $$no $(user) ${extension?x}",
        &[
            "master.cf:1:55 p: `${recipent}` stands for nothing",
            "master.cf:1:82 p: `${extension?x}` stands for nothing",
        ],
    );
    warned(
        "p unix - n n - - pipe users=x argv=/bin/x",
        &["master.cf:1:23 p: `users=x` is no attribute of pipe"],
    );
    warned("s unix - - n - - smtp flags=DORX", &[]);
    warned("s unix - - n - - lmtp flags=DRXhu", &["master.cf:1:23 s: lmtp has no flag `hu`"]);
}

/// K0234, K0148: the transport that nobody wrote down, and next hops of those that somebody did.
#[test]
fn outgoing() {
    let hints = |main: &str, master: &str| {
        let (_, found) = said(main, master);
        let shown =
            found.iter().filter(|one| one.code.0 == 234).map(|one| format!("{} {}", one.severity, one.place));
        shown.collect::<Vec<_>>()
    };
    assert_eq!(hints("", SMTP), ["hint master.cf:1:1"]);
    assert_eq!(hints("relayhost = [mail.x.test]\n", SMTP), ["hint master.cf:1:1"]);
    assert_eq!(hints("", &format!("{SMTP}smtp unix - - n - - smtp\n")), [""; 0]);
    assert_eq!(
        hints("default_transport = error:no\n", &format!("{SMTP}error unix - - n - - error\n")),
        [""; 0]
    );
    assert_eq!(hints("", "pickup unix n - n 60 1 pickup\n"), [""; 0]);
    assert_eq!(hints("", ""), [""; 0]);
    let relay = "smtp unix - - n - - smtp\n";
    check("default_transport = smtp:[mail.x.test\n", relay, &["error K0148 main.cf:1:21"]);
    check("default_transport = smtp:[mail.x.test]:smtpp\n", relay, &["warning K0148 main.cf:1:21"]);
    check("default_transport = smtp:[mail.x.test]:smtp\n", relay, &[]);
    check("relayhost = [mail.x.test]:smtpp\n", "", &["warning K0148 main.cf:1:13"]);
    check("relayhost = [mail.x.test\n", "", &["error K0148 main.cf:1:13"]);
}
