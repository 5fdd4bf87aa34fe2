//! access(5): which keys of a table are tried, in which order, and the checks that do so.
//!
//! Host names with their parents, addresses with their networks, mail addresses with domain, parents and `user@`;
//! patterns (`regexp:`, `pcre:`, `cidr:` …) get the whole key once. What a value then does is in [`action`].
//! T1.7, T1.8, T2.6, T2.9, T2.10.

mod action;

use crate::address;
use crate::check::{CertificateKey, Entry, Subject};
use crate::decision::TableLine;
use crate::eval::{About, Evaluation, Gravity, Status};
use crate::facts::{Answer, Effect, Lookup, Need, Question};
use mail::{Address, Dsn, Reply};
use std::net::IpAddr;
use tables::{LookupError, TableId};

/// What a search ended with.
pub(crate) enum Search {
    Found {
        key: String,
        value: String,
    },
    Nothing,
    /// Refused already.
    Failed(Status),
}

/// What a table is asked for.
pub(crate) struct Asked {
    /// In turn, until one is found.
    pub(crate) keys: Vec<String>,
    /// The address names another destination (`user%elsewhere@here`).
    pub(crate) routed: bool,
}

impl Evaluation<'_> {
    /// Whether the table compares keys (and may be asked for parts of one).
    fn takes_parts(&self, table: TableId) -> bool {
        !self.policy.patterns.contains(&table)
    }

    fn table_name(&self, table: TableId) -> String {
        self.policy.table_names.get(&table).cloned().unwrap_or_default()
    }

    /// Tries `keys` in turn.
    pub(crate) fn search(&mut self, table: TableId, keys: &[String], about: &About) -> Result<Search, Need> {
        let facts = self.facts;
        for key in keys {
            match facts.lookup(table, key)? {
                Lookup::Nothing => {}
                Lookup::Found(hit) => {
                    let value = hit.value.into_owned();
                    self.line = Some(TableLine {
                        table: self.table_name(table),
                        key: key.clone(),
                        value: value.clone(),
                        place: hit.place,
                    });
                    return Ok(Search::Found { key: key.clone(), value });
                }
                Lookup::Failed(error) => {
                    return Ok(Search::Failed(self.table_fault(table, key, &error, about)));
                }
            }
        }
        Ok(Search::Nothing)
    }

    fn table_fault(&mut self, table: TableId, key: &str, error: &LookupError, about: &About) -> Status {
        if matches!(error, LookupError::Unavailable { .. }) {
            self.warning(error.to_string());
        }
        let name = self.table_name(table);
        self.warning(format!("{name} lookup error for \"{key}\""));
        let reply = about.reply(451, Dsn::new(4, 3, 5), "Server configuration error");
        self.refuse(reply, Gravity::Fault)
    }

    /// A domain and its parents.
    pub(crate) fn domain_keys(&self, table: TableId, domain: &str) -> Vec<String> {
        if domain.is_empty() {
            return Vec::new();
        }
        let mut keys = vec![domain.to_owned()];
        if !self.takes_parts(table) || mail::host::parse_address(domain).is_some() {
            return keys;
        }
        let mut rest = domain;
        while let Some((_, parent)) = rest.split_once('.') {
            if !parent.is_empty() {
                let dot = if self.policy.settings.parents_match { "" } else { "." };
                keys.push(format!("{dot}{parent}"));
            }
            rest = parent;
        }
        keys
    }

    /// An address and the networks it is in.
    pub(crate) fn address_keys(&self, table: TableId, address: IpAddr) -> Vec<String> {
        let text = mail::host::address_text(address);
        let mut keys = vec![text.clone()];
        if !self.takes_parts(table) {
            return keys;
        }
        let delimiter = if address.is_ipv6() { ':' } else { '.' };
        let mut rest = text.as_str();
        while let Some((network, _)) = rest.rsplit_once(delimiter) {
            if !network.is_empty() {
                keys.push(network.to_owned());
            }
            rest = network;
        }
        keys
    }

    /// A mail address: all of it, its domain with parents, its user.
    fn mail_keys(&self, table: TableId, address: &str) -> Vec<String> {
        let mut keys = vec![address.to_owned()];
        let Some((user, domain)) = address.rsplit_once('@') else { return keys };
        if !self.takes_parts(table) {
            return keys;
        }
        let base = self.policy.addresses.split_extension(user).map(|(base, _)| base);
        keys.extend(base.map(|base| format!("{base}@{domain}")));
        keys.extend(self.domain_keys(table, domain));
        keys.push(format!("{user}@"));
        keys.extend(base.map(|base| format!("{base}@")));
        keys
    }

    /// check_{client,helo,sender,recipient,etrn,reverse_client_hostname}_access, and bare tables.
    pub(crate) fn access(
        &mut self,
        entry: &Entry,
        subject: Subject,
        table: TableId,
        outer: &About,
    ) -> Result<Status, Need> {
        let about = match subject {
            Subject::Data | Subject::EndOfData | Subject::Certificate | Subject::Sasl => outer.clone(),
            subject => self.about(subject),
        };
        let Ok(asked) = self.access_keys(subject, table, outer)? else {
            return Ok(self.lookup_failure(&about));
        };
        let Some(Asked { keys, routed }) = asked else { return Ok(Status::Dunno) };
        let status = self.keys_access(table, &keys, &about)?;
        if subject == Subject::ReverseClient {
            return Ok(self.forbid_permit(entry, status, &about.name));
        }
        // Routing that the sender wrote (user%elsewhere@here) is too suspicious to be let in by a table.
        if status == Status::Permit && routed && !self.policy.allow_untrusted_routing {
            self.remark = Some("OK has no effect on an address with routing in it".to_owned());
            return Ok(Status::Dunno);
        }
        Ok(status)
    }

    /// What a table is asked for; `None` where the client hasn't said it, `Err` where an address can't be resolved.
    pub(crate) fn access_keys(
        &mut self,
        subject: Subject,
        table: TableId,
        outer: &About,
    ) -> Result<Result<Option<Asked>, ()>, Need> {
        let plain = |keys: Vec<String>| Ok(Ok(Some(Asked { keys, routed: false })));
        let client = &self.tx.client;
        let address = match subject {
            Subject::Client => return plain(self.host_keys(table, &client.name)),
            Subject::ReverseClient => return plain(self.host_keys(table, &client.reverse_name)),
            Subject::Helo | Subject::Etrn => {
                let known = if subject == Subject::Helo { &self.tx.helo } else { &self.tx.etrn_domain };
                let keys = known.as_ref().map(|name| self.domain_keys(table, name));
                return Ok(Ok(keys.map(|keys| Asked { keys, routed: false })));
            }
            Subject::Sender => self.tx.sender.clone(),
            Subject::Recipient => self.tx.recipient.clone().filter(|recipient| !recipient.is_null()),
            Subject::Data | Subject::EndOfData | Subject::Certificate | Subject::Sasl => {
                return plain(self.domain_keys(table, &outer.name));
            }
        };
        let Some(address) = address else { return Ok(Ok(None)) };
        if address.is_null() {
            return plain(vec![self.policy.settings.null_key.clone()]);
        }
        let Ok(resolved) = self.resolve(&address)? else { return Ok(Err(())) };
        let keys = self.mail_keys(table, &resolved.recipient.to_external().to_lowercase());
        Ok(Ok(Some(Asked { keys, routed: resolved.routed })))
    }

    /// Tries `keys` and does what the value says.
    fn keys_access(&mut self, table: TableId, keys: &[String], about: &About) -> Result<Status, Need> {
        match self.search(table, keys, about)? {
            Search::Nothing => Ok(Status::Dunno),
            Search::Failed(status) => Ok(status),
            Search::Found { key, value } => {
                let name = self.table_name(table);
                self.act(&name, &value, &key, about)
            }
        }
    }

    /// A host by its name, then by its address.
    fn host_keys(&self, table: TableId, name: &str) -> Vec<String> {
        let mut keys = self.domain_keys(table, name);
        keys.extend(self.address_keys(table, self.tx.client.address));
        keys
    }

    pub(crate) fn domain_access(
        &mut self,
        table: TableId,
        domain: &str,
        about: &About,
    ) -> Result<Status, Need> {
        let keys = self.domain_keys(table, domain);
        self.keys_access(table, &keys, about)
    }

    pub(crate) fn address_access(
        &mut self,
        table: TableId,
        address: IpAddr,
        about: &About,
    ) -> Result<Status, Need> {
        let keys = self.address_keys(table, address);
        self.keys_access(table, &keys, about)
    }

    /// check_ccert_access
    pub(crate) fn certificate_access(
        &mut self,
        table: TableId,
        order: &[CertificateKey],
        _outer: &About,
    ) -> Result<Status, Need> {
        let Some(certificate) = self.tx.tls.as_ref().and_then(|tls| tls.certificate.clone()) else {
            return Ok(Status::Dunno);
        };
        for key in order {
            let text = match key {
                CertificateKey::Fingerprint => &certificate.fingerprint,
                CertificateKey::PublicKey => &certificate.public_key_fingerprint,
                CertificateKey::Subject => &certificate.subject,
                CertificateKey::Issuer => &certificate.issuer,
            };
            if text.is_empty() {
                continue;
            }
            let name = if certificate.subject.is_empty() { text } else { &certificate.subject };
            let about = About { subject: Subject::Certificate, name: name.clone() };
            let status = self.keys_access(table, std::slice::from_ref(text), &about)?;
            if status != Status::Dunno {
                return Ok(status);
            }
        }
        Ok(Status::Dunno)
    }

    /// check_sasl_access
    pub(crate) fn sasl_access(&mut self, table: TableId, _outer: &About) -> Result<Status, Need> {
        if !self.policy.settings.sasl {
            self.warning("restriction `check_sasl_access' ignored: no SASL support");
            return Ok(Status::Dunno);
        }
        let Some(sasl) = self.tx.sasl.as_ref() else { return Ok(Status::Dunno) };
        let key = sasl.username.clone();
        let about = self.about(Subject::Sasl);
        self.keys_access(table, &[key], &about)
    }

    /// Where OK is not allowed: what a stranger chose must not let the stranger in.
    pub(crate) fn forbid_permit(&mut self, entry: &Entry, status: Status, target: &str) -> Status {
        if status != Status::Permit {
            return status;
        }
        self.warning(format!("restriction {} returns OK for {target}", entry.name));
        self.warning("this is not allowed for security reasons");
        self.warning("use DUNNO instead of OK if you want to make an exception");
        self.server_error()
    }

    /// check_policy_service
    pub(crate) fn policy_service(&mut self, index: usize, about: &About) -> Result<Status, Need> {
        let policy = self.policy;
        let Some(service) = policy.services.get(index) else { return Ok(self.server_error()) };
        let attributes = crate::delegate::attributes(service, &policy.settings, self.request, self.tx);
        let action = match self.effect(Effect::PolicyService { service: index, attributes })? {
            Answer::Action(action) => action.clone(),
            Answer::Failed(reason) => {
                self.remark = Some(format!("no answer: {reason}"));
                service.default_action.clone()
            }
            _ => service.default_action.clone(),
        };
        self.line = Some(TableLine {
            table: service.name.clone(),
            key: String::new(),
            value: action.clone(),
            place: service.place.clone(),
        });
        let name = service.name.clone();
        self.act(&name, &action, "policy query", about)
    }

    /// Class and routing of an address; `Err` where a table could not say.
    pub(crate) fn resolve(&mut self, address: &Address) -> Result<Result<address::Resolved, ()>, Need> {
        let policy = self.policy;
        match policy.addresses.resolve(address, &Tables(self.facts)) {
            Ok(resolved) => Ok(Ok(resolved)),
            Err(Stop::Need(need)) => Err(need),
            Err(Stop::Broken(error)) => {
                self.warning(error.to_string());
                Ok(Err(()))
            }
        }
    }

    /// `451 4.3.0 <x>: Temporary lookup failure`
    pub(crate) fn lookup_failure(&mut self, about: &About) -> Status {
        let reply = Reply::new(451, Dsn::new(4, 3, 0), format!("<{}>: Temporary lookup failure", about.name));
        self.refuse(reply, Gravity::Fault)
    }
}

/// The facts as the address classes ask them.
pub(crate) struct Tables<'f>(pub(crate) &'f crate::Facts);

/// Why the address classes got no answer.
pub(crate) enum Stop {
    Need(Need),
    Broken(LookupError),
}

impl From<LookupError> for Stop {
    fn from(error: LookupError) -> Stop {
        match error {
            LookupError::Unasked { table, key } => Stop::Need(Need(Question::Lookup { table, key })),
            error => Stop::Broken(error),
        }
    }
}

impl address::Lookup for Tables<'_> {
    type Stop = Stop;

    fn lookup(&self, table: TableId, key: &str) -> Result<Option<String>, Stop> {
        match self.0.lookup(table, key).map_err(Stop::Need)? {
            Lookup::Found(hit) => Ok(Some(hit.value.into_owned())),
            Lookup::Nothing => Ok(None),
            Lookup::Failed(error) => Err(Stop::Broken(error)),
        }
    }

    fn snapshot(&self) -> &tables::Snapshot {
        self.0.snapshot()
    }
}
