//! The server as a process, from outside: killed, starved, reloaded, flooded, and looked at.
//!
//! Where there is root, each test runs in namespaces of its own (`world`), in which the server starts as root and
//! drops its rights as it does in earnest. Without root, tests that need none run as they are, the others say
//! aloud that they didn't, and fail where `CI` is in the environment. What a decision or a reply is, the dialogues
//! show; here is what only a process has: signals, rights, disks, descriptors, memory.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking, and says aloud what it measured or skips"
)]

mod attachments;
mod attacks;
mod auth;
mod ban_haste;
mod ban_journal;
mod ban_longer;
mod ban_run;
#[cfg(target_arch = "x86_64")]
mod ban_steps;
mod ban_ufw;
mod bans;
mod beside;
mod bounces;
mod built_in;
mod certificates;
mod checks;
mod client;
mod crash;
mod crowd;
mod damage;
mod disk;
mod dovecot;
mod early_words;
mod encrypted_grid;
mod far_server;
mod far_tls;
mod filters;
mod firewall;
mod full;
mod greylist;
mod greylist_more;
mod guessing;
mod half_open;
#[cfg(target_arch = "x86_64")]
mod halves;
mod labour;
mod legacy;
mod letter_flags;
mod limits;
mod listeners;
mod lmtp;
mod locals;
mod logging_in;
mod logs;
mod loops;
mod many;
mod milters;
mod name_server;
mod odd_clients;
mod odd_servers;
mod papers;
mod postfix_peer;
mod pressure;
mod queue;
mod queue_oracle;
mod relaying;
mod reload;
mod reporting;
mod reuse;
mod rights;
mod scanners;
mod schemes;
mod screening;
mod secrecy;
mod sendmail;
mod sendmail_oracle;
mod server;
mod site;
mod slow;
mod spawned;
#[cfg(target_arch = "x86_64")]
mod steps;
mod stopping;
mod systemd;
mod tokens;
mod torture;
#[cfg(target_arch = "x86_64")]
mod tracer;
mod tutorial;
mod users;
mod verifying;
mod virtuals;
mod waiting;
mod world;
mod zone_answers;
