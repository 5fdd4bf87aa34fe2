//! Restrictions on sender and recipient: complete domains, domains that exist, recipients that exist. T2.10.

use crate::access::{Stop, Tables};
use crate::address::{Class, Existence, Role, Undeliverable, UnknownIn};
use crate::check::Subject;
use crate::dns::{Found, exchangers};
use crate::eval::{About, Evaluation, Status};
use crate::facts::Need;
use crate::settings::Tempfail;
use mail::{Address, Dsn, host};

/// Whether the domain is complete, or a literal.
fn is_complete(domain: &str) -> bool {
    if domain.starts_with('[') && domain.ends_with(']') {
        return true;
    }
    let bare = domain.strip_suffix('.').unwrap_or(domain);
    host::is_hostname(bare) && bare.contains('.')
}

/// What is known of an address.
enum Listed {
    There,
    Unknown { table: UnknownIn, code: u16 },
    Undeliverable(Undeliverable),
}

impl Evaluation<'_> {
    pub(crate) fn non_fqdn_sender(&mut self, code: u16) -> Status {
        match self.tx.sender.clone() {
            Some(sender) if !sender.is_null() => {
                let about = self.sender();
                self.non_fqdn(&sender, code, &about)
            }
            _ => Status::Dunno,
        }
    }

    pub(crate) fn non_fqdn_recipient(&mut self, code: u16) -> Status {
        match self.tx.recipient.clone() {
            // RFC 5321 §4.5.1: every server takes mail for postmaster, without a domain too.
            Some(recipient)
                if !recipient.is_null() && !recipient.as_str().eq_ignore_ascii_case("postmaster") =>
            {
                let about = self.recipient();
                self.non_fqdn(&recipient, code, &about)
            }
            _ => Status::Dunno,
        }
    }

    fn non_fqdn(&mut self, address: &Address, code: u16, about: &About) -> Status {
        if address.domain().is_some_and(is_complete) {
            return Status::Dunno;
        }
        self.reject(code, Dsn::new(4, 5, 2), about, "need fully-qualified address")
    }

    pub(crate) fn unknown_sender_domain(&mut self) -> Result<Status, Need> {
        let about = self.sender();
        let null = (550, Dsn::new(5, 7, 27));
        match self.tx.sender.clone() {
            Some(sender) if !sender.is_null() => {
                self.unknown_domain(&sender, &about, Dsn::new(4, 1, 8), null)
            }
            _ => Ok(Status::Dunno),
        }
    }

    pub(crate) fn unknown_recipient_domain(&mut self) -> Result<Status, Need> {
        let about = self.recipient();
        let null = (556, Dsn::new(5, 1, 10));
        match self.tx.recipient.clone() {
            Some(recipient) if !recipient.is_null() => {
                self.unknown_domain(&recipient, &about, Dsn::new(4, 1, 2), null)
            }
            _ => Ok(Status::Dunno),
        }
    }

    fn unknown_domain(
        &mut self,
        address: &Address,
        about: &About,
        dsn: Dsn,
        null_mx: (u16, Dsn),
    ) -> Result<Status, Need> {
        let Ok(resolved) = self.resolve(address)? else { return Ok(self.lookup_failure(about)) };
        let name = resolved.recipient.domain().unwrap_or("").to_owned();
        if resolved.class != Class::Default && resolved.class != Class::Relay || name.starts_with('[') {
            return Ok(Status::Dunno);
        }
        let found = self.mailable(&name)?;
        if let Found::Records(records) = &found {
            // RFC 7505: one MX record, and no host in it.
            let hosts = exchangers(records);
            if hosts.is_empty() || hosts.iter().any(|(_, host)| !host.is_empty()) {
                return Ok(Status::Dunno);
            }
            let text = format!("Domain {name} does not accept mail (nullMX)");
            return Ok(self.reject(null_mx.0, null_mx.1, about, &text));
        }
        self.remark = Some(found.remark(&name));
        let code = self.policy.settings.codes.unknown_address;
        Ok(match found {
            Found::Unavailable if self.policy.settings.address_tempfail == Tempfail::DeferIfPermit => {
                self.defer_if_permit(about.reply(450, dsn, "Domain not found"))
            }
            Found::Unavailable => self.reject(450, dsn, about, "Domain not found"),
            Found::Invalid => self.reject(code, dsn, about, "Malformed DNS server reply"),
            _ => self.reject(code, dsn, about, "Domain not found"),
        })
    }

    pub(crate) fn unlisted_sender(&mut self) -> Result<Status, Need> {
        if self.sender_listed || !self.policy.settings.checks_unlisted {
            return Ok(Status::Dunno);
        }
        let about = self.sender();
        match self.tx.sender.clone() {
            Some(sender) if !sender.is_null() => {
                self.sender_listed = true;
                self.unlisted(&sender, &about, Dsn::new(5, 1, 0))
            }
            _ => Ok(Status::Dunno),
        }
    }

    pub(crate) fn unlisted_recipient(&mut self) -> Result<Status, Need> {
        if self.recipient_listed || !self.policy.settings.checks_unlisted {
            return Ok(Status::Dunno);
        }
        let about = self.recipient();
        match self.tx.recipient.clone() {
            Some(recipient) if !recipient.is_null() => {
                self.recipient_listed = true;
                self.unlisted(&recipient, &about, Dsn::new(5, 1, 1))
            }
            _ => Ok(Status::Dunno),
        }
    }

    fn unlisted(&mut self, address: &Address, about: &About, dsn: Dsn) -> Result<Status, Need> {
        match self.listed_as(address, about) {
            Ok(Listed::There) => Ok(Status::Dunno),
            Ok(Listed::Unknown { table, code }) => Ok(self.unknown_user(about, code, dsn, table)),
            Ok(Listed::Undeliverable(Undeliverable { code, text })) => {
                let kind = if code == 450 { "retry" } else { "error" };
                self.remark = Some(format!(
                    "its transport is {kind}: by transport_maps, sender_dependent_default_transport_maps or the \
                     class of its address"
                ));
                let (dsn, text) = self.dsn_and_text(text.trim_start(), dsn, about);
                Ok(self.reject(code, dsn, about, &text))
            }
            Err(Stop::Need(need)) => Err(need),
            Err(Stop::Broken(error)) => {
                self.warning(error.to_string());
                Ok(self.lookup_failure(about))
            }
        }
    }

    /// Whether an address exists, and can be had: its transport may say that mail to it isn't delivered.
    fn listed_as(&self, address: &Address, about: &About) -> Result<Listed, Stop> {
        let (policy, tables) = (self.policy, Tables(self.facts));
        let classes = &policy.addresses;
        let resolved = classes.resolve(address, &tables)?;
        // Where nobody can say how an address is reached, nobody says whether it exists.
        let route = if policy.routes.may_refuse() {
            let sender = self.tx.sender.as_ref().filter(|_| about.subject == Subject::Recipient);
            let sender = sender.filter(|sender| !sender.is_null()).map(|sender| classes.rewrite(sender));
            let sender = sender.unwrap_or_else(Address::null);
            policy.routes.of_resolved(&sender, resolved.clone(), classes, &tables)?.undeliverable()
        } else {
            None
        };
        let existence = match (classes.known(Role::Recipient, &resolved, &tables)?, route) {
            (Some(Existence::Exists), _) => Existence::Exists,
            (Some(unknown), _) => match policy.routes.moved(&resolved, classes, &tables)? {
                Some(moved) => return Ok(moved.undeliverable().map_or(Listed::There, Listed::Undeliverable)),
                None => unknown,
            },
            (None, Some(undeliverable)) => return Ok(Listed::Undeliverable(undeliverable)),
            (None, None) => classes.in_class(&resolved, &tables)?,
        };
        Ok(match existence {
            Existence::Exists => Listed::There,
            Existence::Unknown { table, code } => Listed::Unknown { table, code },
        })
    }

    fn unknown_user(&mut self, about: &About, code: u16, dsn: Dsn, table: UnknownIn) -> Status {
        let text = if self.policy.settings.show_table_name { table.text() } else { "User unknown" };
        // Virtual alias domains have the transport `error`, whose text has a status of its own.
        let (dsn, text) = match table {
            UnknownIn::VirtualAlias => self.dsn_and_text(&format!("5.1.1 {text}"), dsn, about),
            _ => (dsn, text.to_owned()),
        };
        self.reject(code, dsn, about, &text)
    }
}
