//! Old names: each file is one program as people know it, options, output and exit codes.

pub(super) mod fail2ban_client;
mod getopt;
mod logrotate;
mod mail_queue;
pub(super) mod pflogsumm;
pub(super) mod postalias;
pub(super) mod postcat;
pub(super) mod postconf;
pub(super) mod postfix;
pub(super) mod postmap;
pub(super) mod postqueue;
pub(super) mod postsuper;
pub(super) mod sendmail;
