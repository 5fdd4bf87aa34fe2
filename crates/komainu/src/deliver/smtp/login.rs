//! Who logs in at a server: `smtp_sasl_password_maps` and what belongs to them.
//!
//! Names and passwords are looked up by sender, where that is asked for, then by the server's name, then by the nexthop
//! as written. They stand in no log line. A table that can't say puts mail off: it never goes without the log-in that
//! it should have had.

use mail::base64;
use proto::client::{Demands, Login, MechanismTest};
use proto::sasl::client::Secret;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::Arc;
use tables::matching::StringList;
use tables::{LookupError, Snapshot, TableId};

/// Main.cf's words about logging in, for one transport.
#[derive(Clone, Debug)]
pub(super) struct Sasl {
    pub(super) maps: Vec<TableId>,
    /// Whether a table can't be used.
    pub(super) broken: bool,
    /// `smtp_sender_dependent_authentication`
    pub(super) by_sender: bool,
    /// `recipient_delimiter`
    pub(super) extension: String,
    /// `smtp_sasl_password_result_delimiter`
    pub(super) delimiter: String,
    pub(super) in_the_clear: Demands,
    pub(super) encrypted: Demands,
    pub(super) verified: Demands,
    /// `smtp_sasl_mechanism_filter`
    pub(super) filter: Option<StringList>,
    pub(super) soft_bounce: bool,
}

impl Sasl {
    /// Who logs in for `sender` at `host`, on the way to `nexthop`; where a table can't say, why.
    ///
    /// # Errors
    /// Where a table behind a socket must be asked first.
    pub(super) fn secret(
        &self,
        sender: &str,
        (host, nexthop): (&str, &str),
        tables: &Snapshot,
    ) -> Result<Result<Option<Secret>, String>, LookupError> {
        if self.broken {
            return Ok(Err("a table of passwords cannot be used".to_owned()));
        }
        let mut keys = if self.by_sender { self.sender_keys(sender) } else { Vec::new() };
        keys.extend([host.to_ascii_lowercase(), nexthop.to_ascii_lowercase()]);
        for key in keys.iter().filter(|key| !key.is_empty()) {
            for table in &self.maps {
                let seat = tables.table(*table);
                match seat.lookup(key) {
                    Ok(Some(hit)) => return Ok(Ok(Some(self.split(&hit.value)))),
                    Ok(None) => {}
                    Err(error @ LookupError::Unasked { .. }) => return Err(error),
                    Err(_) => return Ok(Err(format!("{} lookup error for \"{key}\"", seat.name()))),
                }
            }
        }
        Ok(Ok(None))
    }

    /// The sender, without extension, and its domain.
    fn sender_keys(&self, sender: &str) -> Vec<String> {
        let sender = sender.to_ascii_lowercase();
        let mut keys = vec![sender.clone()];
        if let Some((local, domain)) = sender.rsplit_once('@') {
            let base = local.split(|c| self.extension.contains(c)).next().unwrap_or_default();
            if !base.is_empty() && base.len() < local.len() {
                keys.push(format!("{base}@{domain}"));
            }
            keys.push(format!("@{domain}"));
        }
        keys
    }

    fn split(&self, value: &str) -> Secret {
        let delimiter = if self.delimiter.is_empty() { ":" } else { &self.delimiter };
        let (user, password) = value.split_once(delimiter).unwrap_or((value, ""));
        Secret { user: user.to_owned(), password: password.to_owned() }
    }

    /// A log-in for one conversation.
    pub(super) fn login(&self, secret: Secret, tables: &Snapshot) -> Login {
        let filter = self.filter.clone().map(|filter| -> MechanismTest {
            let tables = tables.clone();
            Arc::new(move |name| filter.contains(&tables, name).unwrap_or(false))
        });
        Login {
            secret,
            in_the_clear: self.in_the_clear.clone(),
            encrypted: self.encrypted.clone(),
            verified: self.verified.clone(),
            filter,
            soft_bounce: self.soft_bounce,
            nonce: nonce(),
        }
    }
}

/// What makes connections of different log-ins differ, without telling the password.
pub(super) fn mark(secret: &Secret) -> String {
    let text = format!("{}\0{}", secret.user, secret.password);
    base64::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

fn nonce() -> String {
    let mut bytes = [0; 24];
    // The kernel's dice don't fail; if they did, the server's half of the nonce would still be new.
    let _ = SystemRandom::new().fill(&mut bytes);
    base64::encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sasl() -> Sasl {
        Sasl {
            maps: Vec::new(),
            broken: false,
            by_sender: true,
            extension: "+".to_owned(),
            delimiter: ":".to_owned(),
            in_the_clear: Demands::default(),
            encrypted: Demands::default(),
            verified: Demands::default(),
            filter: None,
            soft_bounce: true,
        }
    }

    #[test]
    fn senders_and_passwords() {
        let sasl = sasl();
        assert_eq!(sasl.sender_keys("A+b@X.test"), ["a+b@x.test", "a@x.test", "@x.test"]);
        assert_eq!(sasl.sender_keys(""), [""]);
        let secret = sasl.split("user:pa:ss");
        assert_eq!((secret.user.as_str(), secret.password.as_str()), ("user", "pa:ss"));
        assert_ne!(mark(&sasl.split("a:bc")), mark(&sasl.split("ab:c")));
        assert_ne!(nonce(), nonce());
    }
}
