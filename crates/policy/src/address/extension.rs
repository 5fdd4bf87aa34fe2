//! Extensions of addresses: `user+extension`, parted as `recipient_delimiter` says.

use config::Parameters;

/// What parts a name from its extension.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    delimiter: String,
    owner_request_special: bool,
    double_bounce_sender: String,
}

impl Extensions {
    pub(super) fn compile(parameters: &Parameters) -> Extensions {
        Extensions {
            delimiter: parameters.text("recipient_delimiter").value,
            owner_request_special: parameters.flag("owner_request_special"),
            double_bounce_sender: parameters.text("double_bounce_sender").value,
        }
    }

    pub(super) fn split<'a>(&self, local: &'a str) -> Option<(&'a str, &'a str)> {
        let is = |name: &str| local.eq_ignore_ascii_case(name);
        if is("mailer-daemon") || is(&self.double_bounce_sender) {
            return None;
        }
        let ends = |part: &str, end: &str| part.to_ascii_lowercase().ends_with(end);
        let is_list_name = ends(local, "-request") || local.to_ascii_lowercase().starts_with("owner-");
        if self.owner_request_special && self.delimiter.contains('-') && is_list_name {
            return None;
        }
        let first = local.chars().next().map_or(0, char::len_utf8);
        let at = local
            .char_indices()
            .find(|(at, c)| *at >= first && self.delimiter.contains(*c))
            .map(|(at, _)| at)?;
        local.split_at_checked(at)
    }
}
