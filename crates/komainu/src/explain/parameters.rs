//! The parameters that a restriction looks at, so that its outcome can be followed back to a line of main.cf.

/// The parameters behind a restriction without a table: what decided is one of them.
#[must_use]
pub fn behind(check: &str) -> &'static [&'static str] {
    let word = check.split_whitespace().next().unwrap_or_default();
    match word {
        "permit_mynetworks" => &["mynetworks"],
        "permit_inet_interfaces" => &["inet_interfaces", "proxy_interfaces"],
        "permit_auth_destination"
        | "reject_unauth_destination"
        | "defer_unauth_destination"
        | "check_relay_domains" => {
            &["mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains"]
        }
        "permit_mx_backup" => &["permit_mx_backup_networks", "proxy_interfaces"],
        "reject_unknown_client_hostname" | "reject_unknown_client" => &["unknown_client_reject_code"],
        "reject_unknown_helo_hostname" | "reject_unknown_hostname" => &["unknown_hostname_reject_code"],
        "reject_invalid_helo_hostname" | "reject_invalid_hostname" => &["invalid_hostname_reject_code"],
        "reject_non_fqdn_helo_hostname"
        | "reject_non_fqdn_hostname"
        | "reject_non_fqdn_sender"
        | "reject_non_fqdn_recipient" => &["non_fqdn_reject_code"],
        "reject_unknown_sender_domain" | "reject_unknown_recipient_domain" => {
            &["unknown_address_reject_code"]
        }
        "reject_rbl_client"
        | "reject_rhsbl_client"
        | "reject_rhsbl_helo"
        | "reject_rhsbl_sender"
        | "reject_rhsbl_recipient"
        | "reject_rhsbl_reverse_client" => &["maps_rbl_reject_code", "default_rbl_reply", "rbl_reply_maps"],
        "reject_maps_rbl" => &["maps_rbl_domains"],
        "reject" => &["reject_code"],
        "defer" => &["defer_code"],
        "reject_unlisted_recipient" | "smtpd_reject_unlisted_recipient" => {
            &["local_recipient_maps", "virtual_alias_maps", "virtual_mailbox_maps", "relay_recipient_maps"]
        }
        "reject_unlisted_sender" | "smtpd_reject_unlisted_sender" => {
            &["local_recipient_maps", "virtual_alias_maps", "virtual_mailbox_maps", "relay_recipient_maps"]
        }
        _ => &[],
    }
}
