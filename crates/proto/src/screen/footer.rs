//! `postscreen_reject_footer` and `postscreen_reject_footer_maps`: what stands below a refusal, with `\n`, `\c` and
//! `$name`. A value's characters outside `postscreen_expansion_filter` become `_`; the template's own stay.

use super::Settings;
use mail::{Reply, Wall};
use std::net::SocketAddr;

/// `reply` with the footer that `settings` want behind it, if any, and what is wrong with that footer.
pub(super) fn with_footer(
    settings: &Settings,
    client: SocketAddr,
    now: Wall,
    mut reply: Reply,
) -> (Reply, Vec<String>) {
    let mut warnings = Vec::new();
    if reply.code < 400 {
        return (reply, warnings);
    }
    let mapped = settings.reject_footer_map.as_ref().and_then(|map| map(&reply.to_string()));
    let Some(template) = mapped.as_deref().or(settings.reject_footer.as_deref()) else {
        return (reply, warnings);
    };
    let (glue, template) = match template.strip_prefix("\\c") {
        Some(rest) => ("", rest),
        None => ("\n", template),
    };
    let value = |name: &str| {
        Some(match name {
            "client_address" => client.ip().to_string(),
            "client_name" => "unknown".to_owned(),
            "client_port" => client.port().to_string(),
            "localtime" => (settings.local_time)(now),
            "server_name" => settings.hostname.clone(),
            _ => return None,
        })
    };
    let text = crate::smtp::footer::expanded(&template.replace("\\n", "\n"), &mut |name| match value(name) {
        Some(value) => {
            value.chars().map(|c| if settings.expansion_filter.contains(c) { c } else { '_' }).collect()
        }
        None => {
            warnings.push(format!("unknown macro name \"{name}\" in expansion request"));
            String::new()
        }
    });
    reply.text.push_str(glue);
    reply.text.push_str(&text);
    (reply, warnings)
}
