//! `-a -A -l -m -T`: what this program has, which is not always what Debian's Postfix was built with.

use super::options::Options;
use super::{Called, Fatal};

/// What `-a` names: who can be asked about clients' passwords (`smtpd_sasl_type`).
const SERVER_LOG_INS: &[&str] = &["dovecot", "internal"];
/// What `-A` names. Our own client of SASL answers to the name that main.cf has by default.
const CLIENT_LOG_INS: &[&str] = &["cyrus"];
/// What `-l` names (`mailbox_delivery_lock`).
const LOCKS: &[&str] = &["flock", "fcntl", "dotlock"];
/// The library that speaks TLS, and the keys that it can use.
const TLS_LIBRARY: &[&str] = &["rustls 0.23"];
const KEYS: &[&str] = &["ecdsa", "ed25519", "rsa"];

fn say<'a>(names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        println!("{name}");
    }
}

impl Called<'_> {
    pub(super) fn lists(&self, letter: char, options: &Options) -> Result<bool, Fatal> {
        match letter {
            'a' => say(SERVER_LOG_INS.iter().copied()),
            'A' => say(CLIENT_LOG_INS.iter().copied()),
            'l' => say(LOCKS.iter().copied()),
            'm' => say(tables::served_types()),
            'b' | 't' => return self.templates(letter, options),
            'T' => match options.mode.as_str() {
                "compile-version" | "run-version" => say(TLS_LIBRARY.iter().copied()),
                "public-key-algorithms" => say(KEYS.iter().copied()),
                mode => {
                    self.warn(&format!("unknown 'postconf -T' mode: {mode}"));
                    return Ok(false);
                }
            },
            _ => {}
        }
        Ok(true)
    }
}
