//! Restrictions on the client's address, names, log-in and certificate. T1.4, T2.5, T2.8.

use crate::eval::{About, Evaluation, Gravity, Status};
use crate::facts::{Facts, Lookup, Need};
use crate::transaction::NameStatus;
use mail::{Dsn, Reply};
use tables::LookupError;

impl Evaluation<'_> {
    pub(crate) fn mynetworks(&mut self, about: &About) -> Result<Status, Need> {
        let client = &self.tx.client;
        let listed =
            self.policy.settings.mynetworks.contains(self.facts.snapshot(), &client.name, client.address);
        Ok(match Facts::listed(listed)? {
            Ok(true) => {
                let about = self.client();
                self.permit("permit_mynetworks", &about, "")
            }
            Ok(false) => Status::Dunno,
            Err(error) => {
                let warning = match &error {
                    LookupError::Failed { table, .. } => format!("mynetworks: {table}: table lookup problem"),
                    other => other.to_string(),
                };
                self.warning(warning);
                self.lookup_failure(about)
            }
        })
    }

    pub(crate) fn inet_interfaces(&mut self) -> Status {
        let client = self.tx.client.address;
        let settings = &self.policy.settings;
        let own = settings.interfaces.contains(&client) || settings.proxies.contains(&client);
        // inet_interfaces = all, loopback-only: a client that has one of our addresses has the one it called.
        let same = client == self.tx.client.server_address;
        if !own && !same {
            return Status::Dunno;
        }
        let about = self.client();
        self.permit("permit_inet_interfaces", &about, "")
    }

    pub(crate) fn sasl_authenticated(&mut self) -> Status {
        if self.tx.sasl.is_none() {
            return Status::Dunno;
        }
        let about = self.client();
        self.permit("permit_sasl_authenticated", &about, "")
    }

    /// Whom a trusted authority vouches for, and, as in Postfix, whoever is in `relay_clientcerts` as well.
    pub(crate) fn tls_all_clientcerts(&mut self) -> Result<Status, Need> {
        let name = "permit_tls_all_clientcerts";
        let certificate = self.tx.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        if !certificate.is_some_and(|certificate| certificate.trusted) {
            return self.known_clientcerts(name);
        }
        let about = self.client();
        Ok(self.permit(name, &about, ""))
    }

    pub(crate) fn tls_clientcerts(&mut self) -> Result<Status, Need> {
        self.known_clientcerts("permit_tls_clientcerts")
    }

    fn known_clientcerts(&mut self, name: &'static str) -> Result<Status, Need> {
        let Some(certificate) = self.tx.tls.as_ref().and_then(|tls| tls.certificate.clone()) else {
            return Ok(Status::Dunno);
        };
        let policy = self.policy;
        for &table in &policy.settings.relay_clientcerts {
            for key in [&certificate.fingerprint, &certificate.public_key_fingerprint] {
                if !key.is_empty() && matches!(self.facts.lookup(table, key)?, Lookup::Found(_)) {
                    let about = self.client();
                    return Ok(self.permit(name, &about, ""));
                }
            }
        }
        Ok(Status::Dunno)
    }

    pub(crate) fn unknown_client(&mut self, code: u16) -> Status {
        let client = &self.tx.client;
        if client.name_status == NameStatus::Ok {
            return Status::Dunno;
        }
        let code = if client.name_status == NameStatus::Temporary { 450 } else { code };
        let text = format!("Client host rejected: cannot find your hostname, [{}]", client.address);
        self.refuse(Reply::new(code, Dsn::new(4, 7, 25), text), Gravity::Policy)
    }

    pub(crate) fn unknown_reverse_client(&mut self, code: u16) -> Status {
        let client = &self.tx.client;
        if client.reverse_name_status == NameStatus::Ok {
            return Status::Dunno;
        }
        let code = if client.reverse_name_status == NameStatus::Temporary { 450 } else { code };
        let text = format!("Client host rejected: cannot find your reverse hostname, [{}]", client.address);
        self.refuse(Reply::new(code, Dsn::new(4, 7, 1), text), Gravity::Policy)
    }
}
