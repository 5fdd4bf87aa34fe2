//! Parameters of our own: `komainu_…`, so that a stock Postfix reads the same file.

use super::{Parameter, Unit, flag, list, number, size, text, time};

pub(super) const ROWS: &[Parameter] = &[
    number("komainu_archive_depth_limit", "4").done(),
    number("komainu_archive_entry_limit", "10000").done(),
    number("komainu_archive_ratio_limit", "250").done(),
    size("komainu_archive_size_limit", "250000000").done(),
    time("komainu_auth_delay_max", Unit::Second, "32s").done(),
    time("komainu_authenticity_time_limit", Unit::Second, "10s").done(),
    text("komainu_authserv_id", "$myhostname").done(),
    flag("komainu_auto_reload", "yes").done(),
    list("komainu_dangerous_attachment_contents", mail::attachment::CONTENTS).done(),
    list("komainu_dangerous_attachment_extensions", mail::attachment::EXTENSIONS).done(),
    list("komainu_dkim", "").done(),
    list("komainu_dns_servers", "").done(),
    flag("komainu_dnsbl_health", "yes").done(),
    flag("komainu_greylist", "yes").done(),
    text("komainu_greylist_keys", "postgrey").done(),
    text("komainu_log", "syslog").done(),
    text("komainu_log_format", "postfix").done(),
    text("komainu_mailbox_root", "").done(),
    text("komainu_pattern_limit_action", "dunno").done(),
    list("komainu_relay_clients", "").done(),
    list("komainu_sasl_certificate_maps", "").done(),
    list("komainu_sasl_mechanisms", "").done(),
    flag("komainu_screen", "no").done(),
    number("komainu_session_limit", "0").done(),
    flag("komainu_spf", "yes").done(),
    text("komainu_state_directory", "").done(),
    list("komainu_virtual_quota_maps", "").done(),
    flag("komainu_virtual_quota_tempfail", "no").done(),
];
