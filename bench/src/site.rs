//! What the servers are told: the same main.cf for all, and what makes a Postfix well tuned.
//!
//! Logs go to a file for every server. Refusals, mailboxes and the discarding domain are the same everywhere, so a
//! row differs between servers by nothing but the server.

use crate::server::Kind;
use crate::world::{SINK, SINK_PORT};
use std::fs;
use std::path::{Path, PathBuf};

/// What a row wants beside the common configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Dress {
    /// Further lines of main.cf; `%` stands for the site's folder.
    pub(crate) main_cf: &'static str,
    /// In place of `smtp inet … smtpd`: postscreen before smtpd.
    pub(crate) screen: bool,
    /// Lines in the access table beside the one that refuses.
    pub(crate) table_lines: u32,
    /// Maildirs that are made beforehand.
    pub(crate) boxes: u32,
    /// OpenDKIM signs, as a milter.
    pub(crate) signs: bool,
}

/// The uid and gid of the virtual mailboxes.
pub(crate) const MAILBOX_OWNER: u32 = 5000;

/// Everything that a Postfix that is to be fast would have.
const TUNED: &str = "\
default_process_limit = 300
max_use = 100000
max_idle = 600s
smtpd_client_event_limit_exceptions = static:all
in_flow_delay = 0
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
default_destination_concurrency_limit = 200
initial_destination_concurrency = 50
default_destination_concurrency_negative_feedback = 0
smtpd_policy_service_max_idle = 600s
";

/// main.cf for a server in `folder`.
pub(crate) fn main_cf(folder: &Path, kind: Kind, dress: &Dress, access: &Path) -> String {
    let extra = dress.main_cf.replace('%', &folder.display().to_string());
    let (folder, access) = (folder.display(), access.display());
    let tuned = if kind.is_tuned() { TUNED } else { "" };
    // The later of two lines wins, for Postfix and for us.
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/spool\n\
         data_directory = {folder}/data\n\
         komainu_state_directory = {folder}/state\n\
         komainu_log = {folder}/log/mail.log\n\
         maillog_file = {folder}/log/mail.log\n\
         maillog_file_prefixes = {folder}\n\
         myhostname = mail.example\n\
         inet_interfaces = all\n\
         inet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\n\
         mydestination = discard.example\n\
         local_recipient_maps =\n\
         local_transport = discard:\n\
         alias_maps =\n\
         virtual_mailbox_domains = box.example, boxes.example\n\
         relay_domains = relay.example\n\
         relay_transport = smtp:[{SINK}]:{SINK_PORT}\n\
         virtual_mailbox_base = {folder}/mail\n\
         virtual_mailbox_maps = texthash:{folder}/etc/boxes\n\
         virtual_uid_maps = static:{MAILBOX_OWNER}\n\
         virtual_gid_maps = static:{MAILBOX_OWNER}\n\
         smtpd_client_connection_count_limit = 0\n\
         smtpd_client_restrictions = check_client_access hash:{access}, reject_rbl_client bl.example\n\
         smtpd_relay_restrictions = reject_unauth_destination\n\
         {tuned}{extra}"
    )
}

/// A Maildir for each user that a load may write to. A regexp table that puts the name into the path won't do: Postfix's
/// virtual(8) takes no substitutions, and bounces.
pub(crate) fn boxes() -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 0..1_000 {
        for domain in ["box", "boxes"] {
            // Writing to a string can't fail.
            let _ = writeln!(text, "user{number}@{domain}.example user{number}/");
            let _ = writeln!(text, "soak{number}@{domain}.example soak{number}/");
        }
    }
    text
}

/// Destinations of the largest flood.
const FLOODED: u32 = 10_000;

/// transport(5) for the flood's destinations: `user@10-65-1-2.relay.example` goes to that address. A line each, as
/// Postfix takes no substitutions there.
pub(crate) fn flood() -> String {
    use std::fmt::Write as _;
    let (port, mut text) = (crate::sink::PORT, String::new());
    for number in 0..FLOODED {
        let [_, b, c, d] = crate::sink::address(number).octets();
        // Writing to a string can't fail.
        let _ = writeln!(text, "10-{b}-{c}-{d}.relay.example smtp:[10.{b}.{c}.{d}]:{port}");
    }
    text
}

/// Lines of a long table of patterns, and of a short one.
pub(crate) const PATTERNS: u32 = 500;
pub(crate) const FEW_PATTERNS: u32 = 5;

/// A table of patterns, each for a phrase that no message has: what a list of offers comes to over the years.
pub(crate) fn patterns(begins: &str, count: u32) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 0..count {
        let (kind, word) = (number % 4, format!("offer{:03}", number.wrapping_mul(7919) % 1000));
        // Writing to a string can't fail.
        let _ = match kind {
            0 => writeln!(text, "/{begins}{word}/ REJECT"),
            1 => writeln!(text, "/{begins}(buy|order|get) +{word} *(now|today)/ REJECT"),
            2 => writeln!(text, "/{begins}{word}[0-9]+\\.(com|net|example)/ REJECT"),
            _ => writeln!(text, "/{begins}cheap.*{word}.*[!$]+/ REJECT"),
        };
    }
    text
}

const SMTPD: &str = "smtp inet n - n - - smtpd\n";
const SCREEN: &str = "\
smtp inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
";
/// What Debian has, without its chroots: scache(8) keeps connections, and postqueue(1) looks for pickup(8).
const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// master.cf.
pub(crate) fn master_cf(dress: &Dress) -> String {
    format!("{}{SERVICES}", if dress.screen { SCREEN } else { SMTPD })
}

/// The access table with that many lines more than the ones that refuse; made once and kept, as a million lines take
/// Postfix's postmap a while.
pub(crate) fn access(base: &Path, lines: u32) -> Result<PathBuf, String> {
    use std::fmt::Write as _;
    let folder = base.join(format!("access-{lines}"));
    let (table, made) = (folder.join("access"), folder.join("made"));
    if made.exists() {
        return Ok(table);
    }
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut text = String::new();
    for last in 64..80 {
        // Writing to a string can't fail.
        let _ = writeln!(text, "203.0.113.{last} REJECT");
    }
    for number in 0..lines {
        let [_, b, c, d] = number.to_be_bytes();
        let _ = writeln!(text, "172.{b}.{c}.{d} REJECT");
    }
    fs::write(&table, text).map_err(|e| e.to_string())?;
    crate::world::run("postmap", &["-c", "/etc/postfix", &format!("hash:{}", table.display())])?;
    fs::write(&made, "").map_err(|e| e.to_string())?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flood_has_a_line_for_each_destination() {
        let text = flood();
        assert_eq!(text.lines().count(), 10_000);
        assert!(text.contains("\n10-65-39-15.relay.example smtp:[10.65.39.15]:2526\n"), "the last one");
        assert_eq!(text.lines().filter(|line| line.starts_with("10-66-")).count(), 1_000, "a tenth hangs");
    }

    #[test]
    fn the_dress_comes_last_and_only_the_tuned_are_tuned() {
        let dress = Dress { main_cf: "x = %/y\n", screen: true, table_lines: 0, boxes: 0, signs: false };
        let folder = Path::new("/f");
        let text = |kind| main_cf(folder, kind, &dress, Path::new("/a"));
        assert!(text(Kind::Komainu).ends_with("reject_unauth_destination\nx = /f/y\n"));
        assert!(!text(Kind::Postfix).contains("max_use"));
        assert!(text(Kind::Tuned).contains("max_use") && text(Kind::Tmpfs).contains("max_use"));
        assert!(master_cf(&dress).starts_with("smtp inet n - n - 1 postscreen\n"));
        assert!(master_cf(&Dress::default()).starts_with("smtp inet n - n - - smtpd\n"));
    }
}
