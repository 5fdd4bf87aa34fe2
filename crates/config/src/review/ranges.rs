//! Numbers and times that Postfix refuses, beyond what the loader refuses itself.
//!
//! The bounds are what Postfix 3.7's programs answered when they were started with values below and above. A
//! parameter that isn't here takes any number. K0107, K0108.

use super::{Subject, place};
use crate::registry::{self, Kind, Unit};
use crate::units::{parse_number, parse_time};
use crate::{Diagnostic, Parameters, parameters};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let names = subject.parameters.definitions().map(|(name, _)| name);
    check(subject.parameters, names, found);
    for service in &subject.master.services {
        let own = subject.parameters.with_overrides(&service.overrides).0;
        check(&own, service.overrides.iter().map(|one| one.name.value.as_str()), found);
    }
}

fn check<'a>(values: &Parameters, names: impl Iterator<Item = &'a str>, found: &mut Vec<Diagnostic>) {
    for name in names {
        let Some(parameter) = registry::find(name) else { continue };
        let Some(place) = place(values, name) else { continue };
        let text = values.text(name).value;
        let said = match parameter.kind {
            Kind::Number | Kind::Size => number(name, parameter.kind, text.trim()).map(|why| (107, why)),
            Kind::Time(unit) => time(name, unit, text.trim()).map(|why| (108, why)),
            _ => None,
        };
        if let Some((code, wanted)) = said {
            let message = format!("bad value of {name}: `{}` is not {wanted}", text.trim());
            found.push(
                Diagnostic::error(code, place, message)
                    .help("the program that reads it stops, as Postfix has it"),
            );
        }
    }
}

fn number(name: &str, kind: Kind, text: &str) -> Option<String> {
    let value = parse_number(text)?;
    if kind == Kind::Number && value > i64::from(i32::MAX) {
        return Some(format!("a number up to {}", i32::MAX));
    }
    let (least, most) = bounds(name)?;
    if value < least && value >= parameters::least(name) {
        return Some(format!("a number from {least}"));
    }
    (value > most).then(|| format!("a number up to {most}"))
}

fn time(name: &str, unit: Unit, text: &str) -> Option<String> {
    let seconds = parse_time(text, unit)?.as_secs();
    if parameters::least(name) > 0 {
        return None;
    }
    let (least, most) = match name {
        "in_flow_delay" => (0, 10),
        "postscreen_watchdog_timeout" | "tlsproxy_watchdog_timeout" => (10, u64::MAX),
        "smtp_tls_session_cache_timeout"
        | "lmtp_tls_session_cache_timeout"
        | "smtpd_tls_session_cache_timeout" => (0, 8_640_000),
        name if NOT_ZERO.contains(&name) => (1, u64::MAX),
        _ => return None,
    };
    if seconds < least {
        return Some(format!("a time from {least}s"));
    }
    (seconds > most).then(|| format!("a time up to {most}s"))
}

fn bounds(name: &str) -> Option<(i64, i64)> {
    Some(match name {
        "line_length_limit" => (512, i64::MAX),
        "smtpd_sasl_response_limit" => (12_288, i64::MAX),
        "postscreen_post_queue_limit" => (5, i64::MAX),
        "postscreen_pre_queue_limit" => (10, i64::MAX),
        "qmgr_fudge_factor" => (10, 100),
        "default_delivery_slot_discount" => (i64::MIN, 100),
        "delay_logging_resolution_limit" => (i64::MIN, 6),
        "unverified_recipient_defer_code" | "unverified_sender_defer_code" => (200, 499),
        "unverified_recipient_reject_code" | "unverified_sender_reject_code" => (200, 599),
        "smtpd_forbid_bare_newline_reject_code" => (500, 599),
        name if FROM_ONE.contains(&name) => (1, i64::MAX),
        _ => return None,
    })
}

const FROM_ONE: [&str; 40] = [
    "address_verify_pending_request_limit",
    "address_verify_poll_count",
    "berkeley_db_create_buffer_size",
    "berkeley_db_read_buffer_size",
    "bounce_size_limit",
    "debug_peer_level",
    "default_process_limit",
    "default_recipient_refill_limit",
    "deliver_lock_attempts",
    "fork_attempts",
    "hash_queue_depth",
    "header_address_token_limit",
    "header_size_limit",
    "hopcount_limit",
    "initial_destination_concurrency",
    "lmdb_map_size",
    "lmtp_min_data_rate",
    "max_use",
    "mime_boundary_length_limit",
    "mime_nesting_limit",
    "postscreen_command_count_limit",
    "postscreen_dnsbl_threshold",
    "qmgr_message_active_limit",
    "qmgr_message_recipient_limit",
    "qmgr_message_recipient_minimum",
    "queue_file_attribute_count_limit",
    "smtp_min_data_rate",
    "smtpd_hard_error_limit",
    "smtpd_history_flush_threshold",
    "smtpd_junk_command_limit",
    "smtpd_min_data_rate",
    "smtpd_policy_service_try_limit",
    "smtpd_recipient_limit",
    "smtpd_recipient_overshoot_limit",
    "smtpd_soft_error_limit",
    "tls_random_bytes",
    "virtual_alias_address_length_limit",
    "virtual_alias_expansion_limit",
    "virtual_alias_recursion_limit",
    "virtual_minimum_uid",
];

const NOT_ZERO: [&str; 80] = [
    "address_verify_negative_expire_time",
    "address_verify_negative_refresh_time",
    "address_verify_poll_delay",
    "address_verify_positive_expire_time",
    "address_verify_positive_refresh_time",
    "anvil_rate_time_unit",
    "anvil_status_update_time",
    "application_event_drain_time",
    "command_time_limit",
    "connection_cache_protocol_timeout",
    "connection_cache_status_update_time",
    "connection_cache_ttl_limit",
    "daemon_timeout",
    "default_recipient_refill_delay",
    "deliver_lock_delay",
    "fast_flush_purge_time",
    "fast_flush_refresh_time",
    "fork_delay",
    "ipc_idle",
    "ipc_timeout",
    "ipc_ttl",
    "lmtp_connection_cache_time_limit",
    "lmtp_connection_reuse_time_limit",
    "lmtp_data_done_timeout",
    "lmtp_data_init_timeout",
    "lmtp_data_xfer_timeout",
    "lmtp_lhlo_timeout",
    "lmtp_mail_timeout",
    "lmtp_pix_workaround_delay_time",
    "lmtp_quit_timeout",
    "lmtp_rcpt_timeout",
    "lmtp_rset_timeout",
    "lmtp_starttls_timeout",
    "lmtp_xforward_timeout",
    "max_idle",
    "maximal_backoff_time",
    "milter_command_timeout",
    "milter_connect_timeout",
    "milter_content_timeout",
    "minimal_backoff_time",
    "postscreen_bare_newline_ttl",
    "postscreen_cache_retention_time",
    "postscreen_command_time_limit",
    "postscreen_dnsbl_min_ttl",
    "postscreen_dnsbl_timeout",
    "postscreen_greet_ttl",
    "postscreen_greet_wait",
    "postscreen_non_smtp_command_ttl",
    "postscreen_pipelining_ttl",
    "postscreen_upstream_proxy_timeout",
    "qmgr_daemon_timeout",
    "qmgr_ipc_timeout",
    "qmqpd_timeout",
    "queue_run_delay",
    "smtp_connection_cache_time_limit",
    "smtp_connection_reuse_time_limit",
    "smtp_data_done_timeout",
    "smtp_data_init_timeout",
    "smtp_data_xfer_timeout",
    "smtp_helo_timeout",
    "smtp_mail_timeout",
    "smtp_pix_workaround_delay_time",
    "smtp_quit_timeout",
    "smtp_rcpt_timeout",
    "smtp_rset_timeout",
    "smtp_starttls_timeout",
    "smtp_xforward_timeout",
    "smtpd_policy_service_max_idle",
    "smtpd_policy_service_max_ttl",
    "smtpd_policy_service_retry_delay",
    "smtpd_policy_service_timeout",
    "smtpd_proxy_timeout",
    "smtpd_starttls_timeout",
    "smtpd_timeout",
    "smtpd_upstream_proxy_timeout",
    "stale_lock_time",
    "tls_random_prng_update_period",
    "tls_random_reseed_period",
    "transport_retry_time",
    "trigger_timeout",
];

/// Whether `number` judges the parameter.
pub(super) fn is_bounded(name: &str) -> bool {
    bounds(name).is_some()
}
