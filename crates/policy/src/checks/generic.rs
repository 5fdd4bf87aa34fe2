//! Restrictions that fit every list: permit, reject, defer and their conditions, plaintext, pipelining, bounces.
//! T2.3, T2.5.

use crate::check::Plain;
use crate::eval::{About, Evaluation, Gravity, Status};
use crate::facts::Need;
use mail::{Dsn, Reply};

impl Evaluation<'_> {
    /// A restriction without an argument.
    pub(crate) fn plain(&mut self, plain: Plain, about: &About) -> Result<Status, Need> {
        let codes = self.policy.settings.codes;
        match plain {
            Plain::Permit => Ok(self.permit("permit", about, "")),
            Plain::Reject => Ok(self.reject(codes.reject, Dsn::new(5, 7, 1), about, "Access denied")),
            Plain::Defer => Ok(self.reject(codes.defer, Dsn::new(4, 3, 2), about, "Try again later")),
            Plain::DeferIfPermit => {
                Ok(self.defer_if_permit(about.reply(450, Dsn::new(4, 7, 0), "defer_if_permit requested")))
            }
            Plain::DeferIfReject => {
                Ok(self.defer_if_reject(about.reply(450, Dsn::new(4, 7, 0), "defer_if_reject requested")))
            }
            Plain::WarnIfReject => Ok(Status::Dunno),
            Plain::PermitNakedIpAddress => Ok(self.naked_ip_address()),
            Plain::RejectUnauthPipelining => Ok(self.unauth_pipelining(about)),
            Plain::RejectPlaintextSession => Ok(self.plaintext_session(codes.plaintext)),
            Plain::RejectMultiRecipientBounce => {
                Ok(self.multi_recipient_bounce(codes.multi_recipient_bounce, about))
            }
            Plain::RejectDangerousAttachment => Ok(self.dangerous_attachment(about)),
            Plain::PermitMynetworks => self.mynetworks(about),
            Plain::PermitInetInterfaces => Ok(self.inet_interfaces()),
            Plain::PermitSaslAuthenticated => Ok(self.sasl_authenticated()),
            Plain::PermitTlsClientcerts => self.tls_clientcerts(),
            Plain::PermitTlsAllClientcerts => self.tls_all_clientcerts(),
            Plain::RejectUnknownClientHostname => Ok(self.unknown_client(codes.unknown_client)),
            Plain::RejectUnknownReverseClientHostname => {
                Ok(self.unknown_reverse_client(codes.unknown_client))
            }
            Plain::RejectInvalidHeloHostname => Ok(self.invalid_helo(codes.invalid_hostname)),
            Plain::RejectNonFqdnHeloHostname => Ok(self.non_fqdn_helo(codes.non_fqdn)),
            Plain::RejectUnknownHeloHostname => self.unknown_helo(codes.unknown_hostname),
            Plain::RejectNonFqdnSender => Ok(self.non_fqdn_sender(codes.non_fqdn)),
            Plain::RejectNonFqdnRecipient => Ok(self.non_fqdn_recipient(codes.non_fqdn)),
            Plain::RejectUnknownSenderDomain => self.unknown_sender_domain(),
            Plain::RejectUnknownRecipientDomain => self.unknown_recipient_domain(),
            Plain::RejectUnlistedSender => self.unlisted_sender(),
            Plain::RejectSenderLoginMismatch
            | Plain::RejectAuthenticatedSenderLoginMismatch
            | Plain::RejectKnownSenderLoginMismatch
            | Plain::RejectUnauthenticatedSenderLoginMismatch => self.sender_login_mismatch(plain),
            Plain::RejectUnlistedRecipient => self.unlisted_recipient(),
            Plain::RejectUnverifiedSender => self.unverified_sender(),
            Plain::RejectUnverifiedRecipient => self.unverified_recipient(),
            Plain::Spf(fault) => self.spf(fault),
            Plain::PermitAuthDestination => self.permit_auth_destination(),
            Plain::PermitMxBackup => self.permit_mx_backup(),
            Plain::CheckRelayDomains => self.check_relay_domains(codes.relay_domains),
            Plain::RejectUnauthDestination => self.unauth_destination(codes.relay_domains),
            Plain::DeferUnauthDestination => {
                let code = codes.relay_domains;
                self.unauth_destination(if code >= 500 { code - 100 } else { code })
            }
        }
    }

    fn unauth_pipelining(&mut self, about: &About) -> Status {
        let esmtp = self.tx.protocol == "ESMTP";
        let early = self.tx.unread_input && (!esmtp || self.request == crate::Request::Data);
        if !self.tx.pipelining_violation && !early {
            return Status::Dunno;
        }
        self.reject(503, Dsn::new(5, 5, 0), about, "Improper use of SMTP command pipelining")
    }

    fn plaintext_session(&mut self, code: u16) -> Status {
        if self.tx.tls.is_some() {
            return Status::Dunno;
        }
        self.refuse(Reply::new(code, Dsn::new(4, 7, 1), "Session encryption is required"), Gravity::Policy)
    }

    fn multi_recipient_bounce(&mut self, code: u16, about: &About) -> Status {
        let null = self.tx.sender.as_ref().is_some_and(mail::Address::is_null);
        // At RCPT this recipient isn't counted yet.
        let here = u32::from(matches!(self.request, crate::Request::Rcpt | crate::Request::Vrfy));
        if !null || self.tx.recipient_count.saturating_add(here) < 2 {
            return Status::Dunno;
        }
        self.reject(code, Dsn::new(5, 5, 3), about, "Multi-recipient bounce")
    }

    /// What was found while the message came; before its end nothing is known.
    fn dangerous_attachment(&mut self, about: &About) -> Status {
        let Some(danger) = self.tx.danger.clone() else { return Status::Dunno };
        self.reject(550, Dsn::new(5, 7, 1), about, &danger.to_string())
    }
}
