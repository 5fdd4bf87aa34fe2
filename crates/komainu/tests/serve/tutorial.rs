//! The first tutorial whole, with real clients: its master.cf as printed, mended by `komainu check --fix`, Debian's
//! Dovecot behind it, and swaks, Python, openssl, curl and mutt in front (T0.2, T0.3, T0.4, T0.5).

use crate::client::Client;
use crate::dovecot::{self, Dovecot};
use crate::server::{KOMAINU, Server};
use crate::site::{Site, save};
use crate::world::{self, Needs, shell};
use std::fs;
use std::process::Command;

const PAGE: &str = include_str!("../../../../docs/guide/tutorials/smtp-auth.md");
const PAIR: &str = include_str!("../../../../tests/certificates/rsa.pem");

const DOVECOT: &str = "
auth_mechanisms = plain login cram-md5
service auth {
  unix_listener /mnt/spool/private/auth {
    mode = 0666
  }
}
";

/// The page's second pair of files, which is the tutorial's `変更後`.
fn printed(kind: &str) -> String {
    let (_, page) = PAGE.split_once("spaces around `=`").expect("the section");
    let (_, rest) = page.split_once(&format!("```{kind}\n")).expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// Port 25 names no AUTH, 465 and 587 do; who may send, and what an outsider hears.
const PYTHON: &str = r#"
import smtplib, ssl
context = ssl._create_unverified_context()
s = smtplib.SMTP('127.0.0.1', 25, local_hostname='client.example')
s.ehlo()
print('25 offers', s.esmtp_features.get('auth'))
print('25 says', s.docmd('AUTH', 'PLAIN AGFsaWNlAHNlY3JldA=='))
s.quit()
for port in (465, 587):
    s = smtplib.SMTP_SSL('127.0.0.1', port, local_hostname='client.example', context=context)
    s.ehlo()
    print(port, 'offers', s.esmtp_features.get('auth'))
    print(port, 'outsider', s.docmd('MAIL', 'FROM:<a@example.org>'), s.docmd('RCPT', 'TO:<kororo@example.com>'), s.docmd('DATA'))
    s.docmd('RSET')
    for password in ('wrong', 'secret'):
        try:
            print(port, password, s.login('alice', password))
        except smtplib.SMTPAuthenticationError as error:
            print(port, password, error.smtp_code, error.smtp_error)
    s.sendmail('alice@example.com', ['kororo@example.com'], 'Subject: by python %d\r\n\r\nbody\r\n' % port)
    s.quit()
"#;

fn mend(site: &Site) {
    let output = Command::new(KOMAINU)
        .args(["check", "--fix", "--yes", "--config"])
        .arg(site.etc())
        .output()
        .expect("runs");
    let text = fs::read_to_string(site.path("etc/master.cf")).expect("reads");
    assert!(text.contains("-o smtpd_sasl_type=dovecot\n"), "{text}\n{output:?}");
    assert!(!text.contains(" = "), "{text}");
}

fn clients(site: &Site) {
    save("/mnt/message".as_ref(), "Subject: by curl\r\n\r\nbody\r\n", 0o600);
    save(
        "/mnt/home/cert.pem".as_ref(),
        PAIR.split_once("-----BEGIN CERT")
            .map(|(_, rest)| format!("-----BEGIN CERT{rest}"))
            .expect("a certificate")
            .as_str(),
        0o600,
    );
    let rc = "set ssl_verify_host=no\nset certificate_file=/mnt/home/cert.pem\nset ssl_usesystemcerts=no\n\
              set smtp_url=\"smtps://alice@127.0.0.1:587/\"\nset smtp_pass=secret\nset from=alice@example.com\n\
              set copy=no\nset smtp_authenticators=\"plain\"\n";
    save("/mnt/home/muttrc".as_ref(), rc, 0o600);
    let swaks = "swaks --silent 2 --server 127.0.0.1 --port 465 --tls-on-connect --auth-user alice \
                 --auth-password secret --from alice@example.com --to kororo@example.com --ehlo client.example";
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        shell(&format!("{swaks} --auth {mechanism} --header 'Subject: by swaks {mechanism}'"));
        site.delivered_with(&format!("Subject: by swaks {mechanism}"));
    }
    shell(
        "curl -sS --insecure --url smtps://127.0.0.1:587/client.example --user alice:secret \
         --mail-from alice@example.com --mail-rcpt kororo@example.com --upload-file /mnt/message",
    );
    let openssl = "(sleep 0.2; for line in 'EHLO client.example' 'AUTH PLAIN AGFsaWNlAHNlY3JldA==' \
                   'MAIL FROM:<alice@example.com>' 'RCPT TO:<kororo@example.com>' DATA; do printf '%s\\r\\n' \"$line\"; \
                   sleep 0.2; done; printf 'Subject: by openssl\\r\\n\\r\\n.\\r\\nQUIT\\r\\n'; sleep 0.5) | openssl s_client \
                   -quiet -connect 127.0.0.1:465 2>/dev/null || true";
    let said = shell(openssl);
    assert!(said.contains("235 2.7.0") && said.contains("250 2.0.0 Ok: queued"), "{said}");
    shell("echo body | HOME=/mnt/home mutt -n -F /mnt/home/muttrc -s 'by mutt' kororo@example.com");
    for by in ["python 465", "python 587", "curl", "openssl", "mutt"] {
        let message = site.delivered_with(&format!("Subject: by {by}"));
        assert!(message.contains("with ESMTPSA id "), "{message}");
    }
}

#[test]
fn the_first_tutorial_with_real_clients() {
    world::run("tutorial::the_first_tutorial_with_real_clients", Needs::Root, || {
        let test = "the_first_tutorial_with_real_clients";
        if !dovecot::is_there(test, "auth") {
            return;
        }
        let _dovecot = Dovecot::start_for_log_ins("alice:{PLAIN}secret\n", DOVECOT, || {
            fs::metadata("/mnt/spool/private/auth").ok()
        });
        fs::create_dir_all("/mnt/home").expect("a folder");
        let site = Site::new("");
        save(&site.path("etc/pair.pem"), PAIR, 0o600);
        // What stands in front of the tutorial: folders and a certificate. Its own lines are as printed.
        let main = site.main_text(&format!(
            "{}queue_directory = /mnt/spool\nsmtpd_tls_chain_files = $config_directory/pair.pem\n\
             smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination\n",
            printed("main.cf")
        ));
        site.write("main.cf", &main);
        // "If you followed my other page, SMTPS-AUTH is on port 587": the same service there, too.
        let master = printed("master.cf");
        let (_, smtps) = master.split_once("smtps ").expect("the service");
        site.write("master.cf", &format!("{master}587 {smtps}"));
        assert!(site_master(&site).contains("-o smtpd_sasl_type = dovecot"), "as printed");
        mend(&site);
        let _server = Server::start(&site);
        let output = Command::new("python3").args(["-c", PYTHON]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        for line in [
            "25 offers None",
            "25 says (503, b'5.5.1 Error: authentication not enabled')",
            "465 wrong 535 b'5.7.8 Error: authentication failed: ",
            "465 secret (235, b'2.7.0 Authentication successful')",
            "587 secret (235, b'2.7.0 Authentication successful')",
        ] {
            assert!(said.lines().any(|said| said.starts_with(line)), "{line} in\n{said}");
        }
        for port in [465, 587] {
            let line = |word: &str| {
                let prefix = format!("{port} {word} ");
                said.lines().find_map(|line| line.strip_prefix(&prefix)).expect("a line")
            };
            assert!(line("offers").contains("PLAIN LOGIN CRAM-MD5"), "{said}");
            let denied = "(554, b'5.7.1 <unknown[127.0.0.1]>: Client host rejected: Access denied') (554, b'5.5.1 \
                          Error: no valid recipients')";
            assert_eq!(line("outsider"), format!("(250, b'2.1.0 Ok') {denied}"));
        }
        clients(&site);
        // Passwords don't go over the wire in the clear: a client that doesn't speak TLS hears nothing.
        let mut client = Client::open("127.0.0.1:465").expect("connects");
        client.send(b"EHLO client.example\r\n").expect("sends");
        assert!(!client.rest().contains("250"), "a word in the clear");
        let log = site.log();
        for line in [
            "sasl_method=PLAIN, sasl_username=alice",
            "sasl_method=LOGIN, sasl_username=alice",
            "sasl_method=CRAM-MD5, sasl_username=alice",
            "SASL CRAM-MD5 authentication failed: ",
        ] {
            assert!(log.contains(line), "{line} in\n{log}");
        }
    });
}

fn site_master(site: &Site) -> String {
    fs::read_to_string(site.path("etc/master.cf")).expect("reads")
}
