//! Parameters from `t…` to `z…`.
//!
//! Rows only, sorted by name; what a row says is told in `registry`.

use super::{Parameter, Unit, flag, list, number, size, text, time};

pub(super) const ROWS: &[Parameter] = &[
    size("tcp_windowsize", "0").since("2.6"),
    flag("tls_append_default_CA", "no").since("2.4").done(),
    text("tls_config_file", "default").since("3.9").no_effect("there is no OpenSSL in it"),
    text("tls_config_name", "").since("3.9").no_effect("there is no OpenSSL in it"),
    number("tls_daemon_random_bytes", "32").since("2.2").no_effect("randomness comes from the system"),
    text("tls_dane_digests", "sha512 sha256").since("2.11"),
    list("tls_disable_workarounds", "").since("2.8").no_effect("there is no OpenSSL in it"),
    text("tls_eecdh_auto_curves", "X25519 X448 prime256v1 secp521r1 secp384r1")
        .since("3.2")
        .partly("of clients; servers are offered all curves that are spoken"),
    text("tls_eecdh_strong_curve", "prime256v1")
        .since("2.6")
        .no_effect("Postfix 3.6 and later ignore it, too"),
    text("tls_eecdh_ultra_curve", "secp384r1").since("2.6").no_effect("Postfix 3.6 and later ignore it, too"),
    text("tls_export_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH")
        .since("2.3")
        .no_effect("all ciphers that are spoken are high; single ones can be excluded"),
    flag("tls_fast_shutdown_enable", "yes").since("3.5").no_effect("sessions are always ended so"),
    text("tls_ffdhe_auto_groups", "ffdhe2048 ffdhe3072")
        .since("3.8")
        .no_effect("no cipher with such keys is spoken; those that are use elliptic curves"),
    text("tls_high_cipherlist", "aNULL:-aNULL:HIGH:@STRENGTH")
        .since("2.3")
        .no_effect("all ciphers that are spoken are high; single ones can be excluded"),
    flag("tls_legacy_public_key_fingerprints", "no").since("2.9"),
    text("tls_low_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH")
        .since("2.3")
        .no_effect("all ciphers that are spoken are high; single ones can be excluded"),
    text("tls_medium_cipherlist", "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH")
        .since("2.3")
        .no_effect("all ciphers that are spoken are high; single ones can be excluded"),
    text("tls_null_cipherlist", "eNULL:!aNULL")
        .since("2.3")
        .no_effect("all ciphers that are spoken are high; single ones can be excluded"),
    flag("tls_preempt_cipherlist", "no").since("2.8").done(),
    number("tls_random_bytes", "32").since("2.2").no_effect("randomness comes from the system"),
    text("tls_random_exchange_name", "${data_directory}/prng_exch")
        .since("2.2")
        .no_effect("randomness comes from the system"),
    time("tls_random_prng_update_period", Unit::Second, "3600s")
        .since("2.2")
        .no_effect("randomness comes from the system"),
    time("tls_random_reseed_period", Unit::Second, "3600s")
        .since("2.2")
        .no_effect("randomness comes from the system"),
    text("tls_random_source", "dev:/dev/urandom").since("2.2").no_effect("randomness comes from the system"),
    flag("tls_required_enable", "yes").since("3.10"),
    list("tls_server_sni_maps", "").since("3.4").done(),
    text("tls_session_ticket_cipher", "aes-256-cbc")
        .since("3.0")
        .no_effect("tickets are sealed by ChaCha20-Poly1305"),
    list("tls_ssl_options", "").since("2.11").no_effect("there is no OpenSSL in it"),
    number("tls_trace_rate_limit", "1").since("3.12"),
    flag("tls_trust_server_ccerts", "no").since("3.12"),
    flag("tls_wildcard_matches_multiple_labels", "yes").since("2.11"),
    text("tlsmgr_service_name", "tlsmgr")
        .since("2.11")
        .no_effect("the services inside Komainu's one program have no names"),
    text("tlsproxy_client_CAfile", "$smtp_tls_CAfile")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_CApath", "$smtp_tls_CApath")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_cert_file", "$smtp_tls_cert_file")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_chain_files", "$smtp_tls_chain_files")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_dcert_file", "$smtp_tls_dcert_file")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_dkey_file", "$smtp_tls_dkey_file")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_eccert_file", "$smtp_tls_eccert_file")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_eckey_file", "$smtp_tls_eckey_file")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_client_enforce_tls", "$smtp_enforce_tls")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_fingerprint_digest", "$smtp_tls_fingerprint_digest")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_key_file", "$smtp_tls_key_file")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    number("tlsproxy_client_loglevel", "$smtp_tls_loglevel")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_loglevel_parameter", "smtp_tls_loglevel")
        .since("3.4")
        .until("3.11")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_per_site", "$smtp_tls_per_site")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_client_policy_maps", "${tlsproxy_client_policy:$smtp_tls_policy_maps}")
        .since("3.7")
        .no_effect("TLS is not done by a process of its own"),
    number("tlsproxy_client_scert_verifydepth", "$smtp_tls_scert_verifydepth")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_client_security_level", "${tlsproxy_client_level:$smtp_tls_security_level}")
        .since("3.7")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_client_use_tls", "$smtp_use_tls")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_enforce_tls", "$smtpd_enforce_tls")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_service_name", "tlsproxy")
        .since("2.8")
        .no_effect("the services inside Komainu's one program have no names"),
    text("tlsproxy_tls_CAfile", "$smtpd_tls_CAfile")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_CApath", "$smtpd_tls_CApath")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_tls_always_issue_session_ids", "$smtpd_tls_always_issue_session_ids")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_tls_ask_ccert", "$smtpd_tls_ask_ccert")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    number("tlsproxy_tls_ccert_verifydepth", "$smtpd_tls_ccert_verifydepth")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_cert_file", "$smtpd_tls_cert_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_chain_files", "$smtpd_tls_chain_files")
        .since("3.4")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_tls_ciphers", "$smtpd_tls_ciphers")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_dcert_file", "$smtpd_tls_dcert_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_dh1024_param_file", "$smtpd_tls_dh1024_param_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_dh512_param_file", "$smtpd_tls_dh512_param_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_dkey_file", "$smtpd_tls_dkey_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_eccert_file", "$smtpd_tls_eccert_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_eckey_file", "$smtpd_tls_eckey_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_eecdh_grade", "$smtpd_tls_eecdh_grade")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_tls_enable_rpk", "$smtpd_tls_enable_rpk")
        .since("3.9")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_tls_exclude_ciphers", "$smtpd_tls_exclude_ciphers")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_fingerprint_digest", "$smtpd_tls_fingerprint_digest")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_key_file", "$smtpd_tls_key_file")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    number("tlsproxy_tls_loglevel", "$smtpd_tls_loglevel")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_tls_mandatory_ciphers", "$smtpd_tls_mandatory_ciphers")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_tls_mandatory_exclude_ciphers", "$smtpd_tls_mandatory_exclude_ciphers")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_tls_mandatory_protocols", "$smtpd_tls_mandatory_protocols")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    list("tlsproxy_tls_protocols", "$smtpd_tls_protocols")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_tls_req_ccert", "$smtpd_tls_req_ccert")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    text("tlsproxy_tls_security_level", "$smtpd_tls_security_level")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    flag("tlsproxy_use_tls", "$smtpd_use_tls")
        .since("2.8")
        .no_effect("TLS is not done by a process of its own"),
    time("tlsproxy_watchdog_timeout", Unit::Second, "10s")
        .since("2.8")
        .no_effect("there are no daemons that wait for each other"),
    text("trace_service_name", "trace")
        .since("2.1")
        .no_effect("the services inside Komainu's one program have no names"),
    list("transport_maps", "")
        .partly("mail waits for transports by pipe, and for TLS or a log-in where smtp must have them"),
    time("transport_retry_time", Unit::Second, "60s")
        .no_effect("transports are part of the same program, and none of them is down"),
    time("trigger_timeout", Unit::Second, "10s").no_effect("there are no daemons that wait for each other"),
    text("undisclosed_recipients_header", "").done(),
    number("unknown_address_reject_code", "450").done(),
    text("unknown_address_tempfail_action", "$reject_tempfail_action").since("2.6").done(),
    number("unknown_client_reject_code", "450").done(),
    text("unknown_helo_hostname_tempfail_action", "$reject_tempfail_action").since("2.6").done(),
    number("unknown_hostname_reject_code", "450").done(),
    number("unknown_local_recipient_reject_code", "550").since("2.0").done(),
    number("unknown_relay_recipient_reject_code", "550").since("2.0").done(),
    number("unknown_virtual_alias_reject_code", "550").since("2.0").done(),
    number("unknown_virtual_mailbox_reject_code", "550").since("2.0").done(),
    number("unverified_recipient_defer_code", "450").since("2.6").done(),
    number("unverified_recipient_reject_code", "450").since("2.1").done(),
    text("unverified_recipient_reject_reason", "").since("2.6").done(),
    text("unverified_recipient_tempfail_action", "$reject_tempfail_action").since("2.6").done(),
    number("unverified_sender_defer_code", "450").since("2.6").done(),
    number("unverified_sender_reject_code", "450").since("2.1").done(),
    text("unverified_sender_reject_reason", "").since("2.6").done(),
    text("unverified_sender_tempfail_action", "$reject_tempfail_action").since("2.6").done(),
    text("use_srv_lookup", "").since("3.8"),
    text("verp_delimiter_filter", "-=+").since("1.1").done(),
    number("virtual_alias_address_length_limit", "1000").since("3.0").done(),
    list("virtual_alias_domains", "$virtual_alias_maps").since("2.0").done(),
    number("virtual_alias_expansion_limit", "1000").since("2.1").done(),
    list("virtual_alias_maps", "$virtual_maps").since("2.0").done(),
    number("virtual_alias_recursion_limit", "1000").since("2.1").done(),
    text("virtual_delivery_status_filter", "$default_delivery_status_filter").since("3.0").done(),
    list("virtual_gid_maps", "").done(),
    text("virtual_mailbox_base", "").done(),
    list("virtual_mailbox_domains", "$virtual_mailbox_maps").since("2.0").done(),
    number("virtual_mailbox_limit", "51200000").done(),
    list("virtual_mailbox_lock", "fcntl, dotlock").done(),
    list("virtual_mailbox_maps", "").done(),
    number("virtual_minimum_uid", "100").done(),
    text("virtual_transport", "virtual")
        .since("2.0")
        .partly("mail waits for transports by pipe, and for TLS or a log-in where smtp must have them"),
    list("virtual_uid_maps", "").done(),
];
