//! `smtpd_reject_footer`: what is put behind refusals, with `\n`, `\c` and `$name`. postconf(5).

use mail::Wall;

/// `Mmm dd hh:mm:ss` in UTC, for where nobody gave a local clock.
#[must_use]
pub fn utc_time(_now: Wall) -> String {
    String::new()
}
