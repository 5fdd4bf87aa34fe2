//! Restrictions on who may send as whom: `smtpd_sender_login_maps` names the login names that own a sender address.
//!
//! The null sender belongs to everybody. T2.5.

use crate::access::{Stop, Tables};
use crate::check::Plain;
use crate::eval::{Evaluation, Status};
use crate::facts::Need;
use mail::{Address, Dsn};

impl Evaluation<'_> {
    /// The four `reject_…_sender_login_mismatch`.
    pub(crate) fn sender_login_mismatch(&mut self, plain: Plain) -> Result<Status, Need> {
        if !self.policy.settings.sasl {
            let (authenticated, unauthenticated) = ("authenticated_", "unauthenticated_");
            let kinds: &[&str] = match plain {
                Plain::RejectAuthenticatedSenderLoginMismatch => &[authenticated],
                Plain::RejectUnauthenticatedSenderLoginMismatch => &[unauthenticated],
                Plain::RejectKnownSenderLoginMismatch => &["known_"],
                // As in Postfix, it stands for both.
                _ => &[authenticated, unauthenticated],
            };
            for kind in kinds {
                self.warning(format!(
                    "restriction `reject_{kind}sender_login_mismatch' ignored: no SASL support"
                ));
            }
            return Ok(Status::Dunno);
        }
        let Some(sender) = self.tx.sender.clone().filter(|sender| !sender.is_null()) else {
            return Ok(Status::Dunno);
        };
        let login = self.tx.sasl.as_ref().map(|sasl| sasl.username.clone());
        let applies = match plain {
            Plain::RejectAuthenticatedSenderLoginMismatch => login.is_some(),
            Plain::RejectUnauthenticatedSenderLoginMismatch => login.is_none(),
            _ => true,
        };
        if !applies {
            return Ok(Status::Dunno);
        }
        let about = self.sender();
        let owners = match self.owners(&sender) {
            Ok(owners) => owners,
            Err(Stop::Need(need)) => return Err(need),
            Err(Stop::Broken(error)) => {
                self.warning(error.to_string());
                return Ok(self.lookup_failure(&about));
            }
        };
        let unowned = owners.is_none();
        let Some(login) = login else {
            if unowned {
                return Ok(Status::Dunno);
            }
            return Ok(self.reject(553, Dsn::new(5, 7, 1), &about, "not logged in"));
        };
        let owners = owners.unwrap_or_default();
        let mut names = owners.split([',', ' ', '\t', '\r', '\n']).filter(|name| !name.is_empty());
        let known_only = plain == Plain::RejectKnownSenderLoginMismatch;
        if names.any(|name| name.eq_ignore_ascii_case(&login)) || (known_only && unowned) {
            return Ok(Status::Dunno);
        }
        Ok(self.reject(553, Dsn::new(5, 7, 1), &about, &format!("not owned by user {login}")))
    }

    /// Whose the sender address is, as the table says.
    fn owners(&self, sender: &Address) -> Result<Option<String>, Stop> {
        let (policy, tables) = (self.policy, Tables(self.facts));
        let maps = &policy.settings.sender_login_maps;
        if maps.is_empty() {
            return Ok(None);
        }
        let resolved = policy.addresses.resolve(sender, &tables)?;
        let found = policy.addresses.find(maps, &resolved.recipient, &tables)?;
        Ok(found.map(|found| found.value))
    }
}
