//! Parameters of the past: no row of `postconf -d`, and still found in old files.
//!
//! Rows only, sorted by name; what a row says is told in `registry`.

use super::{Parameter, Unit, flag, list, number, text, time};

pub(super) const ROWS: &[Parameter] = &[
    list("authorized_verp_clients", "").until("2.0").obsolete("write smtpd_authorized_verp_clients"),
    text("connection_cache_service", "")
        .since("2.2")
        .until("2.4")
        .obsolete("write connection_cache_service_name"),
    flag("enable_errors_to", "").until("2.1").obsolete("removed in Postfix 2.2"),
    number("extract_recipient_limit", "").until("2.0").obsolete("removed in Postfix 2.1"),
    text("fallback_relay", "").until("2.2").obsolete("write smtp_fallback_relay"),
    flag("lmtp_cache_connection", "")
        .since("2.2")
        .until("2.2")
        .obsolete("write lmtp_connection_cache_on_demand"),
    flag("lmtp_per_record_deadline", "")
        .since("2.9")
        .until("3.6")
        .obsolete("write lmtp_per_request_deadline"),
    flag("lmtp_sasl_auth_enforce", "").since("2.3").until("2.3").obsolete("removed in Postfix 2.3.1"),
    number("nullmx_reject_code", "").since("3.0").until("3.6").obsolete("no program of Postfix reads it"),
    text("postscreen_blacklist_action", "")
        .since("2.8")
        .until("3.5")
        .obsolete("write postscreen_denylist_action"),
    time("postscreen_dnsbl_ttl", Unit::Hour, "")
        .since("2.8")
        .until("3.0")
        .obsolete("write postscreen_dnsbl_max_ttl"),
    number("postscreen_dnsbl_whitelist_threshold", "")
        .since("2.11")
        .until("3.5")
        .obsolete("write postscreen_dnsbl_allowlist_threshold"),
    list("postscreen_whitelist_interfaces", "")
        .since("2.9")
        .until("3.5")
        .obsolete("write postscreen_allowlist_interfaces"),
    text("program_directory", "").until("1.1").obsolete("write daemon_directory"),
    number("qmgr_site_hog_factor", "").until("1.1").obsolete("removed in Postfix 2.0"),
    flag("sender_based_routing", "").until("2.2").obsolete("write sender_dependent_relayhost_maps"),
    flag("smtp_break_lines", "").until("1.1").obsolete("write smtp_line_length_limit"),
    number("smtp_connection_cache_reuse_limit", "")
        .since("2.2")
        .until("2.2")
        .obsolete("write smtp_connection_reuse_time_limit"),
    flag("smtp_per_record_deadline", "")
        .since("2.9")
        .until("3.6")
        .obsolete("write smtp_per_request_deadline"),
    flag("smtp_sasl_auth_enforce", "").since("2.3").until("2.3").obsolete("removed in Postfix 2.3.1"),
    flag("smtp_skip_4xx_greeting", "").since("2.0").until("2.0").obsolete("always on since Postfix 2.1"),
    text("smtp_tls_cipherlist", "").since("2.2").until("2.2").obsolete("write smtp_tls_mandatory_ciphers"),
    list("smtpd_client_connection_limit_exceptions", "")
        .until("2.1")
        .obsolete("write smtpd_client_event_limit_exceptions"),
    text("smtpd_per_record_deadline", "")
        .since("2.9")
        .until("3.6")
        .obsolete("write smtpd_per_request_deadline"),
    text("smtpd_sasl_application_name", "").since("2.1").until("2.2").obsolete("write smtpd_sasl_path"),
    text("smtpd_tls_cipherlist", "").since("2.2").until("2.2").obsolete("write smtpd_tls_mandatory_ciphers"),
    text("tls_dane_digest_agility", "").since("2.11").until("3.1").obsolete("always on since Postfix 3.2"),
    flag("tls_dane_trust_anchor_digest_enable", "")
        .since("2.11")
        .until("3.1")
        .obsolete("always on since Postfix 3.2"),
    text("tlsproxy_client_level", "")
        .since("3.4")
        .until("3.6")
        .obsolete("write tlsproxy_client_security_level"),
    list("tlsproxy_client_policy", "")
        .since("3.4")
        .until("3.6")
        .obsolete("write tlsproxy_client_policy_maps"),
    time("tlsproxy_tls_session_cache_timeout", Unit::Second, "")
        .since("2.8")
        .until("2.10")
        .obsolete("removed in Postfix 2.11"),
    list("virtual_maps", "").until("1.1").obsolete("write virtual_alias_maps and virtual_alias_domains"),
];
