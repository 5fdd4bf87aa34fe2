//! Parameters that Postfix is about to give up, with what takes their place.
//!
//! Names that are gone, or have another name today, the loader tells: K0122. K0140.

use super::{Subject, literal, place};
use crate::{Diagnostic, Parameters, Place};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let names = subject.parameters.definitions().map(|(name, _)| name);
    let main = subject.parameters;
    for name in names {
        found.extend(going(main, name));
    }
    for service in &subject.master.services {
        if service.overrides.is_empty() {
            continue;
        }
        let own = main.with_overrides(&service.overrides).0;
        for one in &service.overrides {
            found.extend(going(&own, &one.name.value));
        }
    }
}

/// By the end of its name: `smtpd_use_tls`, `smtp_use_tls`, `lmtp_use_tls`.
fn going(own: &Parameters, name: &str) -> Option<Diagnostic> {
    let (side, rest) = name.split_once('_')?;
    let level = format!("{side}_tls_security_level");
    let is_side = matches!(side, "smtp" | "smtpd" | "lmtp");
    let value = match (is_side, rest) {
        (true, "use_tls") => Some(if own.flag(name) { "may" } else { "none" }),
        (true, "enforce_tls") => Some(if own.flag(name) { "encrypt" } else { "may" }),
        (true, "tls_enforce_peername") => Some(if own.flag(name) { "verify" } else { "encrypt" }),
        _ => None,
    };
    let at = place(own, name)?;
    if let Some(value) = value {
        return Some(replaced(own, name, &level, value));
    }
    let advice = match name {
        "smtp_tls_per_site" | "lmtp_tls_per_site" => {
            format!("write {side}_tls_policy_maps; its table has another form")
        }
        "disable_dns_lookups" if own.flag(name) => "write `smtp_dns_support_level = disabled`".to_owned(),
        "disable_dns_lookups" => "delete it".to_owned(),
        "smtpd_tls_dh1024_param_file" | "smtpd_tls_dh512_param_file" | "smtpd_tls_eecdh_grade" => {
            "delete it: the default is better".to_owned()
        }
        "smtp_cname_overrides_servername" | "lmtp_cname_overrides_servername" => "delete it".to_owned(),
        _ => return None,
    };
    Some(Diagnostic::hint(140, at, format!("{name} is deprecated, and Postfix will remove it")).help(advice))
}

fn replaced(own: &Parameters, name: &str, level: &str, value: &str) -> Diagnostic {
    let message = format!("{name} is deprecated, and Postfix will remove it");
    let at = own.name_place(name).cloned().unwrap_or_else(Place::nowhere);
    if own.is_set(level) {
        return Diagnostic::hint(140, at, message)
            .help(format!("delete it: it has no effect beside {level}, which is set"));
    }
    let diagnostic = Diagnostic::hint(140, at.clone(), message).help(format!("write `{level} = {value}`"));
    match literal(own, name) {
        // With both, only one of them may become the level.
        Some(raw)
            if !(name.ends_with("_use_tls") && own.is_set(&name.replace("_use_", "_enforce_")))
                && raw.place.file == at.file
                && raw.place.start >= at.end =>
        {
            let braces_or_spaces = at.file.as_deref().and_then(|file| file.text.get(at.end..raw.place.start));
            let equals = braces_or_spaces.unwrap_or(" = ").to_owned();
            let whole = Place { file: at.file, start: at.start, end: raw.place.end };
            diagnostic.fix(whole, format!("{level}{equals}{value}"))
        }
        _ => diagnostic,
    }
}
