//! Parameters from `m…` to `o…`.
//!
//! Rows only, sorted by name; what a row says is told in `registry`.

use super::{Computed, Parameter, Unit, flag, list, number, raw, size, text, time};

pub(super) const ROWS: &[Parameter] = &[
    text("mail_name", "Postfix").done(),
    text("mail_owner", "postfix").done(),
    text("mail_release_date", "20260305").in_3_7("20240304").no_effect("it is a name only"),
    text("mail_spool_directory", "/var/mail").done(),
    text("mail_version", "3.11.0").in_3_7("3.7.11").done(),
    raw("mailbox_command", "").done(),
    list("mailbox_command_maps", "").done(),
    list("mailbox_delivery_lock", "fcntl, dotlock").done(),
    size("mailbox_size_limit", "51200000").done(),
    text("mailbox_transport", "").done(),
    list("mailbox_transport_maps", "").since("2.3").done(),
    text("maillog_file", "").since("3.4").done(),
    text("maillog_file_compressor", "gzip").since("3.4").done(),
    text("maillog_file_permissions", "0600").since("3.9"),
    text("maillog_file_prefixes", "/var, /dev/stdout")
        .since("3.4")
        .no_effect("the server may write where its account may"),
    text("maillog_file_rotate_suffix", "%Y%m%d-%H%M%S").since("3.4").done(),
    text("mailq_path", "/usr/bin/mailq").no_effect("Komainu has no such files or programs of its own"),
    text("manpage_directory", "/usr/share/man").no_effect("a path of documentation"),
    list("maps_rbl_domains", "").done(),
    number("maps_rbl_reject_code", "554").done(),
    list("masquerade_classes", "envelope_sender, header_sender, header_recipient").done(),
    list("masquerade_domains", "").done(),
    list("masquerade_exceptions", "").done(),
    text("master_service_disable", "").since("2.6"),
    time("max_idle", Unit::Second, "100s").no_effect("there are no processes that come and go"),
    number("max_use", "100").no_effect("there are no processes that come and go"),
    time("maximal_backoff_time", Unit::Second, "4000s").done(),
    time("maximal_queue_lifetime", Unit::Day, "5d").done(),
    list("message_drop_headers", "bcc, content-length, resent-bcc, return-path").since("3.0").done(),
    text("message_reject_characters", "").since("2.3").done(),
    size("message_size_limit", "10240000").done(),
    text("message_strip_characters", "").since("2.3").done(),
    text("meta_directory", "/etc/postfix")
        .since("3.0")
        .no_effect("Komainu has no such files or programs of its own"),
    time("milter_command_timeout", Unit::Second, "30s").since("2.3").done(),
    list("milter_connect_macros", "j {daemon_name} {daemon_addr} v _").since("2.3").done(),
    time("milter_connect_timeout", Unit::Second, "30s").since("2.3").done(),
    time("milter_content_timeout", Unit::Second, "300s").since("2.3").done(),
    list("milter_data_macros", "i").since("2.3").done(),
    text("milter_default_action", "shutdown").in_3_7("tempfail").since("2.3").done(),
    list("milter_end_of_data_macros", "i").since("2.3").done(),
    list("milter_end_of_header_macros", "i").since("2.5").done(),
    list("milter_header_checks", "").since("2.7").done(),
    list("milter_helo_macros", "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}")
        .since("2.3")
        .done(),
    text("milter_macro_daemon_name", "$myhostname").since("2.3").done(),
    text("milter_macro_defaults", "").since("3.1").done(),
    text("milter_macro_v", "$mail_name $mail_version").since("2.3").done(),
    list(
        "milter_mail_macros",
        "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
    )
    .since("2.3")
    .done(),
    text("milter_protocol", "6").since("2.3").done(),
    list("milter_rcpt_macros", "i {rcpt_addr} {rcpt_host} {rcpt_mailer}").since("2.3").done(),
    list("milter_unknown_command_macros", "").since("2.3").done(),
    number("mime_boundary_length_limit", "2048").since("2.0").done(),
    list("mime_header_checks", "$header_checks").since("2.0").done(),
    number("mime_nesting_limit", "100").since("2.0").done(),
    time("minimal_backoff_time", Unit::Second, "300s").done(),
    text("multi_instance_directories", "").since("2.6"),
    flag("multi_instance_enable", "no").since("2.6"),
    text("multi_instance_group", "").since("2.6"),
    text("multi_instance_name", "").since("2.6"),
    text("multi_instance_wrapper", "").since("2.6"),
    number("multi_recipient_bounce_reject_code", "550").since("2.1").done(),
    list("mydestination", "$myhostname, localhost.$mydomain, localhost").done(),
    text("mydomain", "").computed(Computed::MyDomain).done(),
    text("myhostname", "").computed(Computed::MyHostname).done(),
    list("mynetworks", "").computed(Computed::MyNetworks).done(),
    text("mynetworks_style", "${{$compatibility_level} <level {2} ? {subnet} : {host}}").done(),
    text("myorigin", "$myhostname").done(),
    list("nested_header_checks", "$header_checks").since("2.0").done(),
    text("newaliases_path", "/usr/bin/newaliases")
        .no_effect("Komainu has no such files or programs of its own"),
    text("non_bdb_custom_mapping", "").since("3.11").no_effect("tables are served from their source text"),
    text("non_bdb_migration_allow_root_prefixes", "/etc /usr/local/etc")
        .since("3.11")
        .no_effect("tables are served from their source text"),
    text("non_bdb_migration_allow_user_prefixes", "")
        .since("3.11")
        .no_effect("tables are served from their source text"),
    text("non_bdb_migration_level", "disable")
        .since("3.11")
        .no_effect("tables are served from their source text"),
    flag("non_bdb_migration_log_redirect", "yes")
        .since("3.11")
        .no_effect("tables are served from their source text"),
    text("non_bdb_migration_service_name", "nbdb_reindex")
        .since("3.11")
        .no_effect("tables are served from their source text"),
    text("non_empty_end_of_header_action", "fix_quietly").since("3.11"),
    number("non_fqdn_reject_code", "504").done(),
    list("non_smtpd_milters", "").since("2.3").done(),
    list("notify_classes", "resource, software").partly(
        "data and software stand in the log only; transcripts of sessions only where main.cf sets it",
    ),
    text("openssl_path", "openssl").since("3.1").no_effect("nothing here runs openssl"),
    flag("owner_request_special", "yes").done(),
];
