//! Parameters of our own: `komainu_…`, so that a stock Postfix reads the same file.

use super::{Parameter, Unit, flag, list, number, text, time};

pub(super) const ROWS: &[Parameter] = &[
    time("komainu_auth_delay_max", Unit::Second, "32s").done(),
    flag("komainu_auto_reload", "yes").done(),
    list("komainu_dns_servers", "").done(),
    flag("komainu_dnsbl_health", "yes").done(),
    text("komainu_log", "syslog").done(),
    text("komainu_log_format", "postfix").done(),
    text("komainu_mailbox_root", "").done(),
    list("komainu_relay_clients", "").done(),
    list("komainu_sasl_certificate_maps", "").done(),
    list("komainu_sasl_mechanisms", "").done(),
    flag("komainu_screen", "no").done(),
    number("komainu_session_limit", "0").done(),
    text("komainu_state_directory", "").done(),
    list("komainu_virtual_quota_maps", "").done(),
    flag("komainu_virtual_quota_tempfail", "no").done(),
];
