//! Made-up dialogues: random configurations, names and sessions, with the replies that `komainu explain` gives.
//!
//! Played like the written ones, they show that `explain` and the server say the same, and, where Postfix plays them,
//! that both say what Postfix says. The same seed is the same dialogue everywhere. `MADE_UP` sets how many the test
//! plays, `MADE_UP_FOLDER` keeps them.

use std::path::{Path, PathBuf};

use crate::dialogue::Dialogue;
use crate::place::Place;
use crate::{harness, in_process, layout};
use komainu::explain::Stand;
use komainu::explain::answers::Written;
use komainu::explain::visit::Visit;
use komainu::explain::walk::walk;

/// xorshift64*: the same cases everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.next()).unwrap_or(0) % of.len().max(1);
        of.get(index).copied().unwrap_or_default()
    }

    fn in_(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }

    fn some(&mut self, of: &[&str], most: u64) -> String {
        let count = self.next() % (most + 1);
        (0..count).map(|_| self.one(of)).collect::<Vec<_>>().join(", ")
    }
}

const ANYWHERE: [&str; 14] = [
    "permit_mynetworks",
    "permit",
    "permit",
    "permit_inet_interfaces",
    "reject",
    "defer",
    "warn_if_reject",
    "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname",
    "reject_rbl_client bl.example",
    "reject_rbl_client codes.example=127.0.0.[2..4]",
    "permit_dnswl_client wl.example",
    "check_client_access texthash:/etc/postfix/clients",
    "reject_rhsbl_client domains.example",
];
const HELO: [&str; 6] = [
    "reject_invalid_helo_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_unknown_helo_hostname",
    "check_helo_access texthash:/etc/postfix/helos",
    "permit_mynetworks",
    "reject_rhsbl_helo domains.example",
];
const SENDER: [&str; 6] = [
    "reject_non_fqdn_sender",
    "reject_unknown_sender_domain",
    "reject_unlisted_sender",
    "check_sender_access texthash:/etc/postfix/senders",
    "check_sender_mx_access cidr:/etc/postfix/nets",
    "reject_rhsbl_sender domains.example",
];
const RECIPIENT: [&str; 7] = [
    "permit_mynetworks",
    "permit_auth_destination",
    "reject_unauth_destination",
    "reject_non_fqdn_recipient",
    "reject_unknown_recipient_domain",
    "check_recipient_access texthash:/etc/postfix/recipients",
    "tight",
];
const DATA: [&str; 3] =
    ["reject_multi_recipient_bounce", "check_sender_access texthash:/etc/postfix/senders", "permit"];

const TABLES: &str = "
[table clients]
192.0.2.7 REJECT not you
192.0.2 DUNNO
198.51.100.66 OK
mail.example.org OK
.example.net 450 4.7.1 later, please
[table helos]
localhost REJECT
mail.example.org DUNNO
[table senders]
spam.org 554 no spam
friend@example.org OK
example.net defer_if_permit wait
[table recipients]
abuse@example.com OK
secret@example.com REJECT
postmaster@ OK
[table transports]
alice@example.com error:5.2.1 on leave
ghost@example.com error:5.1.6 moved
shadow@example.com retry:
x@example.net retry:4.2.2 come back
x@spam.org error:5.1.3 spammer
[table nets]
127.0.0.0/8 REJECT loops
0.0.0.0/0 DUNNO
";
const NAMES: [&str; 18] = [
    "192.0.2.7 PTR mail.example.org",
    "mail.example.org A 192.0.2.7",
    "192.0.2.8 PTR forged.example.net",
    "forged.example.net A 192.0.2.99",
    "192.0.2.9 PTR SERVFAIL",
    "198.51.100.66 PTR host.example.net",
    "host.example.net A 198.51.100.66",
    "example.org MX 10 mail.example.org",
    "example.net MX 10 loop.example.net",
    "loop.example.net A 127.0.0.1",
    "slow.example SERVFAIL",
    "7.2.0.192.bl.example A 127.0.0.2",
    "8.2.0.192.bl.example SERVFAIL",
    "8.2.0.192.codes.example A 127.0.0.9",
    "66.100.51.198.codes.example A 127.0.0.3",
    "66.100.51.198.wl.example A 127.0.0.2",
    "spam.org.domains.example A 127.0.0.2",
    "forged.example.net.domains.example A 127.0.0.2",
];

/// A configuration with names, as a dialogue begins.
fn scene(chance: &mut Chance) -> (String, Vec<&'static str>) {
    let mut text = String::from("[main.cf]\nsmtpd_restriction_classes = tight\n");
    // An empty class is a fatal error of Postfix's.
    line(&mut text, &format!("tight = permit_mynetworks, {}", chance.some(&RECIPIENT[..6], 2)));
    let mut list = |name: &str, own: &[&str], chance: &mut Chance| {
        let words: Vec<&str> = ANYWHERE.iter().chain(own).copied().collect();
        line(&mut text, &format!("{name} = {}", chance.some(&words, 3)));
    };
    list("smtpd_client_restrictions", &[], chance);
    list("smtpd_helo_restrictions", &HELO, chance);
    list("smtpd_sender_restrictions", &SENDER, chance);
    list("smtpd_recipient_restrictions", &RECIPIENT, chance);
    list("smtpd_data_restrictions", &DATA, chance);
    list("smtpd_end_of_data_restrictions", &DATA, chance);
    text.push_str("smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n");
    for flag in
        ["smtpd_delay_reject", "smtpd_helo_required", "smtpd_reject_unlisted_recipient", "soft_bounce"]
    {
        if chance.in_(3) {
            line(&mut text, &format!("{flag} = {}", chance.one(&["yes", "no"])));
        }
    }
    if chance.in_(3) {
        text.push_str("message_size_limit = 3000\n");
    }
    if chance.in_(3) {
        text.push_str("transport_maps = texthash:/etc/postfix/transports\n");
    }
    if chance.in_(6) {
        line(
            &mut text,
            &format!("local_transport = {}", chance.one(&["error:5.1.9 nobody here", "retry:later"])),
        );
    }
    if chance.in_(24) {
        text.push_str("queue_minfree = 8000000000000000000\n");
    }
    text.push_str(TABLES);
    let names: Vec<&'static str> = NAMES.into_iter().filter(|_| !chance.in_(4)).collect();
    line(&mut text, &format!("[dns]\n{}", names.join("\n")));
    (text, names)
}

fn visit(chance: &mut Chance) -> Visit {
    let mut visit = Visit::default();
    // The words below are good ones.
    let mut set = |key: &str, value: &str| drop(visit.set(key, value));
    set("client-addr", chance.one(&["192.0.2.7", "192.0.2.8", "192.0.2.9", "198.51.100.66", "203.0.113.5"]));
    if !chance.in_(8) {
        set(
            "helo",
            chance.one(&[
                "mail.example.org",
                "mail.example.org",
                "localhost",
                "no_host",
                "[192.0.2.7]",
                "nowhere.example",
            ]),
        );
    }
    let senders = [
        "",
        "a@example.org",
        "a@example.org",
        "friend@example.org",
        "x@spam.org",
        "x@example.net",
        "x@slow.example",
        "bare",
    ];
    set("from", chance.one(&senders));
    let recipients = [
        "alice@example.com",
        "nobody@example.com",
        "ghost@example.com",
        "shadow@example.com",
        "nosuchuser@example.com",
        "abuse@example.com",
        "secret@example.com",
        "x@example.net",
        "postmaster",
    ];
    for _ in 0..=chance.next() % 2 {
        set("to", chance.one(&recipients));
    }
    if chance.in_(5) {
        set("size", "5000");
    }
    visit
}

/// The whole dialogue, with the replies that `explain` gives.
fn dialogue(seed: u64, scene: &str, names: &[&str], visit: &Visit) -> Result<String, NotMade> {
    let folder = tempfile::tempdir()?;
    let unserved = |why: String| NotMade::Unserved { seed, why };
    let place = Place::below(folder.path().to_path_buf());
    layout::folders(&place)?;
    let parsed = Dialogue::parse(scene).map_err(|error| unserved(error.to_string()))?;
    layout::lay_out(&parsed, &harness::root(), &place)?;
    let configuration = in_process::load(&place).map_err(unserved)?;
    let stand = Stand::new(configuration, None, &in_process::Files(&place));
    let (mut stand, _) = stand.map_err(|error| unserved(error.to_string()))?;
    // More than any message here wants, and less than the most that queue_minfree asks for.
    stand.free_bytes = Some(1 << 40);
    let answers = Written::parse(&names.join("\n")).map_err(|error| unserved(error.to_string()))?;
    let walk = walk(&stand, visit, &answers, &[]);
    let mut text = format!("{scene}\n[smtp {}]\n", visit.client);
    for exchange in &walk.exchanges {
        match exchange.command.as_str() {
            "" => {}
            "(message) ." => text.push_str("> Subject: made up\n> \n> .\n"),
            command => line(&mut text, &format!("> {command}")),
        }
        for reply in &exchange.replies {
            line(&mut text, &format!("< {}", reply.replace("queued as EXPLAIN", "queued as {id}")));
        }
    }
    Ok(text)
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Why a dialogue could not be made up.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// No folder, or no file in it.
    #[error("{0}")]
    Folder(#[from] std::io::Error),
    /// The configuration that came out can't be served.
    #[error("seed {seed}: {why}")]
    Unserved {
        /// Which.
        seed: u64,
        /// Why.
        why: String,
    },
}

/// The dialogue of `seed`.
///
/// # Errors
/// [`NotMade`].
pub fn make_up(seed: u64) -> Result<String, NotMade> {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (scene, names) = scene(&mut chance);
    let visit = visit(&mut chance);
    dialogue(seed, &scene, &names, &visit)
}

/// Writes the dialogues of `seeds` into `folder`.
///
/// # Errors
/// [`NotMade`].
pub fn write(folder: &Path, seeds: std::ops::RangeInclusive<u64>) -> Result<Vec<PathBuf>, NotMade> {
    seeds
        .map(|seed| {
            let path = folder.join(format!("made-up-{seed}.smtp"));
            std::fs::write(&path, make_up(seed)?)?;
            Ok(path)
        })
        .collect()
}
