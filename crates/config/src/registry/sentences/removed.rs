//! What the parameters of `registry::removed` are for, in one sentence each: names of the past.
//!
//! Sorted by name. What a value may be and how far it is served is told by the row beside it.

#[rustfmt::skip]
pub(super) const SENTENCES: &[(&str, &str)] = &[
    ("authorized_verp_clients", "Former name of smtpd_authorized_verp_clients, whose value it still is where that isn't set."),
    ("connection_cache_service", "Former name of connection_cache_service_name in Postfix 2.2 documents."),
    ("enable_errors_to", "Whether bounces went to the address of an Errors-To: header instead of the envelope sender."),
    ("extract_recipient_limit", "Most recipients that sendmail -t took from a message's headers."),
    ("fallback_relay", "Former name of smtp_fallback_relay, whose value it still is where that isn't set."),
    ("lmtp_cache_connection", "Whether the LMTP client kept its connection open for the next delivery."),
    ("lmtp_per_record_deadline", "Whether the LMTP client's time limits held for whole lines rather than single reads and writes."),
    ("lmtp_sasl_auth_enforce", "Name in documents of Postfix 2.3 for a switch that made log-in by the LMTP client a must."),
    ("nullmx_reject_code", "Code that documents up to Postfix 3.6 named for domains with a null MX record; no program read it."),
    ("postscreen_blacklist_action", "Former name of postscreen_denylist_action, whose value it still is where that isn't set."),
    ("postscreen_dnsbl_ttl", "Former single time for which passing the DNS lists counted; a longest and a shortest took its place."),
    ("postscreen_dnsbl_whitelist_threshold", "Former name of postscreen_dnsbl_allowlist_threshold, whose value it still is where that isn't set."),
    ("postscreen_whitelist_interfaces", "Former name of postscreen_allowlist_interfaces, whose value it still is where that isn't set."),
    ("program_directory", "Folder of the daemons in Postfix 1.1, renamed since."),
    ("qmgr_site_hog_factor", "Percentage of the active queue that one destination could fill before Postfix 2.0."),
    ("sender_based_routing", "Old switch for routing by sender address instead of recipient."),
    ("smtp_break_lines", "Whether Postfix 1.1 broke overlong lines that it sent; a length took its place."),
    ("smtp_connection_cache_reuse_limit", "Former limit of deliveries over one kept connection of the SMTP client."),
    ("smtp_per_record_deadline", "Whether the SMTP client's time limits held for whole lines rather than single reads and writes."),
    ("smtp_sasl_auth_enforce", "Name in documents of Postfix 2.3 for a switch that made log-in by the SMTP client a must."),
    ("smtp_skip_4xx_greeting", "Whether a 4xx greeting made the SMTP client try the next MX host."),
    ("smtp_tls_cipherlist", "Cipher list of the SMTP client before Postfix 2.3."),
    ("smtpd_client_connection_limit_exceptions", "Former name of smtpd_client_event_limit_exceptions, whose value it still is where that isn't set."),
    ("smtpd_per_record_deadline", "Whether the SMTP server's time limits held for whole lines rather than single reads and writes."),
    ("smtpd_sasl_application_name", "Former name of smtpd_sasl_path, from before there were other plug-ins than Cyrus."),
    ("smtpd_tls_cipherlist", "Cipher list of the SMTP server before Postfix 2.3."),
    ("tls_dane_digest_agility", "Whether only the strongest digest among TLSA records counted; always on since Postfix 3.2."),
    ("tls_dane_trust_anchor_digest_enable", "Whether TLSA records could hold digests of trust anchors; always so since Postfix 3.2."),
    ("tlsproxy_client_level", "Former name of tlsproxy_client_security_level, whose value it still is where that isn't set."),
    ("tlsproxy_client_policy", "Former name of tlsproxy_client_policy_maps, whose value it still is where that isn't set."),
    ("tlsproxy_tls_session_cache_timeout", "Former time limit of TLS sessions in tlsproxy; smtpd_tls_session_cache_timeout counts for all."),
    ("virtual_maps", "Former tables that held both virtual domains and their aliases."),
];
