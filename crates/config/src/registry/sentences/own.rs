//! What the parameters of `registry::own` are for, in one sentence each: `komainu_…`.
//!
//! Sorted by name. What a value may be and how far it is served is told by the row beside it.

#[rustfmt::skip]
pub(super) const SENTENCES: &[(&str, &str)] = &[
    ("komainu_archive_depth_limit", "How deep archives within archives are looked into by reject_dangerous_attachment, which refuses deeper ones; 0 refuses all archives."),
    ("komainu_archive_entry_limit", "Most files in all archives of a message; reject_dangerous_attachment refuses more."),
    ("komainu_archive_ratio_limit", "How many times larger than packed archives may be; reject_dangerous_attachment refuses what unpacks to more, from 2 MB on."),
    ("komainu_archive_size_limit", "Most bytes that all archives of a message unpack to; reject_dangerous_attachment refuses more."),
    ("komainu_auth_delay_max", "Longest wait of a stranger's log-in after many failed ones, before it is turned away untried; 0 neither slows nor refuses guessing."),
    ("komainu_authenticity_time_limit", "Time that finding out who sent a message may take of the DNS; what isn't known then counts as temperror."),
    ("komainu_authserv_id", "Who Authentication-Results headers of ours say that they are by; headers of that name in strangers' mail are removed."),
    ("komainu_auto_reload", "Whether a saved main.cf or master.cf is taken in force by itself, after it has been checked."),
    ("komainu_dangerous_attachment_contents", "Kinds of content that reject_dangerous_attachment refuses whatever a file's name, by their first bytes or by what an archive lists."),
    ("komainu_dangerous_attachment_extensions", "Extensions of files that reject_dangerous_attachment refuses, also in archives."),
    ("komainu_dkim", "What is done about DKIM: verify (SPF and DKIM of strangers' mail go into an Authentication-Results header), sign (mail of our own)."),
    ("komainu_dkim_settings", "File with the keys that mail is signed with, in the form of opendkim.conf."),
    ("komainu_dmarc", "What is done about DMARC of strangers' mail: header (its result goes into the Authentication-Results header), enforce (what fails is refused or quarantined as its domain wants it as well), off."),
    ("komainu_dmarc_quarantine", "What becomes of mail that its domain wants quarantined, where DMARC is enforced: header (the header tells), hold (it is put on hold)."),
    ("komainu_dns_servers", "Name servers, as address or address:port, in place of those of resolv.conf."),
    ("komainu_dnsbl_health", "Whether DNS lists are probed at their test points, and lists that don't answer rightly are skipped."),
    ("komainu_greylist", "Whether the server greylists by itself where check_policy_service names Postgrey and nobody listens there."),
    ("komainu_greylist_keys", "By what greylisting knows senders: postgrey for their networks alone, sender for pools too: the domain that names the client by SPF, or the zone of its confirmed name."),
    ("komainu_log", "Where the log goes, in place of maillog_file: syslog, journald, stdout, or the path of a file."),
    ("komainu_log_format", "Form of log lines: postfix as Postfix writes them, or json."),
    ("komainu_mailbox_root", "Folder below which all mailboxes must lie."),
    ("komainu_opendkim", "Whether the server does OpenDKIM's work by itself, by opendkim.conf, where a milter's socket is OpenDKIM's and nobody listens there."),
    ("komainu_pattern_limit_action", "What a pattern of header_checks and kin that takes too many steps comes to: dunno (no match), or tempfail."),
    ("komainu_relay_clients", "Clients that stand for many others, such as a gateway: no alarm when all sessions come from one of them."),
    ("komainu_sasl_certificate_maps", "Tables from the fingerprint of a client's certificate or key to the login name that EXTERNAL gives it (smtpd_sasl_type = internal)."),
    ("komainu_sasl_mechanisms", "Mechanisms that smtpd_sasl_type = internal speaks; empty for PLAIN and LOGIN, SCRAM-SHA-256 where each user of the file can have it, and EXTERNAL where komainu_sasl_certificate_maps is set."),
    ("komainu_screen", "Whether listeners test clients first as postscreen does, without a postscreen line in master.cf."),
    ("komainu_session_limit", "Most sessions at once over all listeners; 0 takes what descriptors allow."),
    ("komainu_spf", "Whether the server checks SPF by itself where check_policy_service names policyd-spf and nobody listens there."),
    ("komainu_state_directory", "Folder of the queue and of what is remembered."),
    ("komainu_virtual_quota_maps", "Tables of what virtual recipients' Maildirs may hold, in Courier's or Dovecot's form."),
    ("komainu_virtual_quota_tempfail", "Whether mail for a mailbox over its quota is refused for now only, or deferred."),
];
