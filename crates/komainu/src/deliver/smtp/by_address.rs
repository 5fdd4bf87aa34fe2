//! What is done otherwise with some servers: `smtp_discard_ehlo_keyword_address_maps`, `smtp_pix_workaround_maps`.
//!
//! Both go by the server's address; what a table says stands in place of what main.cf says for all. The settings of one
//! conversation are made here, before it begins. Where a table can't say, mail waits, as with Postfix.

use proto::client::{Discards, Pix, Settings};
use std::time::Duration;
use tables::{LookupError, Snapshot, TableId};

/// Main.cf's words about servers that need care.
#[derive(Clone, Debug, Default)]
pub(super) struct ByAddress {
    /// `smtp_discard_ehlo_keyword_address_maps`
    pub(super) discard_maps: Vec<TableId>,
    /// `smtp_pix_workarounds`
    pub(super) pix: String,
    /// `smtp_pix_workaround_maps`
    pub(super) pix_maps: Vec<TableId>,
    /// `smtp_pix_workaround_threshold_time`
    pub(super) pix_threshold: Duration,
    /// `smtp_pix_workaround_delay_time`
    pub(super) pix_delay: Duration,
}

impl ByAddress {
    /// The settings for a conversation with the server at `address`, about a message that is `age` old.
    ///
    /// # Errors
    /// When a table can't say.
    pub(super) fn settings(
        &self,
        common: &Settings,
        (address, age): (&str, Duration),
        tables: &Snapshot,
    ) -> Result<Settings, LookupError> {
        let mut settings = common.clone();
        if let Some(words) = found(&self.discard_maps, address, tables)? {
            settings.discards = Discards::parse(&words);
        }
        let words = found(&self.pix_maps, address, tables)?;
        settings.pix = self.pix(words.as_deref().unwrap_or(&self.pix), age);
        Ok(settings)
    }

    fn pix(&self, words: &str, age: Duration) -> Pix {
        let words: Vec<&str> = words.split([',', ' ', '\t', '\r', '\n']).collect();
        let is_old = age >= self.pix_threshold;
        Pix {
            disable_esmtp: words.contains(&"disable_esmtp"),
            delay_dotcrlf: (is_old && words.contains(&"delay_dotcrlf")).then_some(self.pix_delay),
        }
    }
}

fn found(maps: &[TableId], key: &str, tables: &Snapshot) -> Result<Option<String>, LookupError> {
    for table in maps {
        if let Some(hit) = tables.table(*table).lookup(key)? {
            return Ok(Some(hit.value.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dot_waits_for_old_mail_only() {
        let by_address = ByAddress {
            pix_threshold: Duration::from_secs(500),
            pix_delay: Duration::from_secs(10),
            ..ByAddress::default()
        };
        let check = |words: &str, age: u64, expect: (bool, Option<u64>)| {
            let pix = by_address.pix(words, Duration::from_secs(age));
            assert_eq!(
                (pix.disable_esmtp, pix.delay_dotcrlf.map(|time| time.as_secs())),
                expect,
                "{words} {age}"
            );
        };
        check("disable_esmtp,delay_dotcrlf", 499, (true, None));
        check("disable_esmtp, delay_dotcrlf", 500, (true, Some(10)));
        check("delay_dotcrlf", 500, (false, Some(10)));
        check("", 500, (false, None));
    }
}
