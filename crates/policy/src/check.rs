//! What a restriction list is made of once it is compiled: [`Check`]s in [`Entry`]s.
//!
//! Everything that can be known before a client comes is settled here: tables are ids, zones have their filters,
//! policy servers are indexes. What was written wrongly is [`Check::Broken`], which answers as Postfix does at run
//! time (451 4.3.5) after the compiler has said so. No evaluation here.

use crate::checks::spf::SpfFault;
use crate::dnsbl::ListZone;
use crate::transaction::Stage;
use config::Place;
use std::sync::Arc;
use std::time::Duration;
use tables::TableId;

/// What a check is about; decides the reply's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Client,
    ReverseClient,
    Helo,
    Sender,
    Recipient,
    Etrn,
    Data,
    EndOfData,
    Certificate,
    Sasl,
}

impl Subject {
    /// What the list of `stage` is about.
    pub(crate) const fn of_list(stage: Stage) -> Subject {
        match stage {
            Stage::Client => Subject::Client,
            Stage::Helo => Subject::Helo,
            Stage::Sender => Subject::Sender,
            Stage::Relay | Stage::Recipient => Subject::Recipient,
            Stage::Data => Subject::Data,
            Stage::EndOfData => Subject::EndOfData,
            Stage::Etrn => Subject::Etrn,
        }
    }
}

/// Which hosts of a name a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostsOf {
    Address,
    Mx,
    Ns,
}

/// Which fingerprint `check_ccert_access` looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CertificateKey {
    Fingerprint,
    PublicKey,
    Subject,
    Issuer,
}

/// One restriction.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// One without an argument.
    Plain(Plain),
    Sleep(Duration),
    PolicyService(usize),
    Access {
        subject: Subject,
        table: TableId,
    },
    /// A bare table: the look-up of the list that it is reached from.
    BareTable(TableId),
    HostAccess {
        subject: Subject,
        hosts: HostsOf,
        table: TableId,
    },
    Certificate {
        table: TableId,
        order: Vec<CertificateKey>,
    },
    SaslAccess {
        table: TableId,
    },
    /// reject_rbl_client, reject_rhsbl_*
    Blocklist {
        subject: Subject,
        zone: Arc<ListZone>,
    },
    /// permit_dnswl_client, permit_rhswl_client
    Allowlist {
        subject: Subject,
        zone: Arc<ListZone>,
    },
    /// reject_maps_rbl
    MapsRbl(Vec<Arc<ListZone>>),
    /// A restriction class.
    Class(usize),
    /// Can't be used; `warnings` are Postfix's words for the log.
    Broken {
        warnings: Vec<String>,
    },
    /// Has no effect beyond the warning.
    Ignored {
        warning: String,
    },
}

/// Restrictions without an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Plain {
    Permit,
    Reject,
    Defer,
    DeferIfPermit,
    DeferIfReject,
    WarnIfReject,
    RejectUnauthPipelining,
    RejectPlaintextSession,
    RejectMultiRecipientBounce,
    RejectDangerousAttachment,
    PermitMynetworks,
    PermitInetInterfaces,
    PermitNakedIpAddress,
    PermitSaslAuthenticated,
    PermitTlsClientcerts,
    PermitTlsAllClientcerts,
    RejectUnknownClientHostname,
    RejectUnknownReverseClientHostname,
    RejectInvalidHeloHostname,
    RejectNonFqdnHeloHostname,
    RejectUnknownHeloHostname,
    RejectNonFqdnSender,
    RejectUnknownSenderDomain,
    RejectUnlistedSender,
    RejectSenderLoginMismatch,
    RejectAuthenticatedSenderLoginMismatch,
    RejectKnownSenderLoginMismatch,
    RejectUnauthenticatedSenderLoginMismatch,
    RejectNonFqdnRecipient,
    RejectUnknownRecipientDomain,
    RejectUnlistedRecipient,
    PermitAuthDestination,
    PermitMxBackup,
    CheckRelayDomains,
    RejectUnauthDestination,
    DeferUnauthDestination,
    RejectUnverifiedSender,
    RejectUnverifiedRecipient,
    Spf(SpfFault),
}

/// One member of a list.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) check: Check,
    /// As written, with its argument.
    pub(crate) text: String,
    /// Its name alone, for `action=… for …` lines.
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Logged each time it is reached: `support for restriction … will be removed`.
    pub(crate) warning: Option<String>,
}

impl Subject {
    /// What stands before ` rejected: ` in a reply.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Subject::Client => "Client host",
            Subject::ReverseClient => "Unverified Client host",
            Subject::Helo => "Helo command",
            Subject::Sender => "Sender address",
            Subject::Recipient => "Recipient address",
            Subject::Etrn => "Etrn command",
            Subject::Data => "Data command",
            Subject::EndOfData => "End-of-data",
            Subject::Certificate => "Client certificate",
            Subject::Sasl => "SASL login name",
        }
    }
}
