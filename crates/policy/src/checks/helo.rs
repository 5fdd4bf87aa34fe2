//! Restrictions on the name in HELO. T1.10, T1.11, T2.9.
//!
//! Without HELO they have nothing to say: `smtpd_helo_required` is what refuses such clients.

use crate::dns::Found;
use crate::eval::{Evaluation, Status};
use crate::facts::Need;
use crate::settings::Tempfail;
use mail::Dsn;
use mail::host;

/// What a name in HELO is.
enum Helo<'h> {
    /// `[192.0.2.1]`, and well formed.
    Literal,
    /// `[` and then nonsense.
    BadLiteral,
    Name(&'h str),
}

fn read(helo: &str) -> Helo<'_> {
    match (helo.starts_with('['), host::parse_literal(helo)) {
        (_, Some(_)) => Helo::Literal,
        (true, None) => Helo::BadLiteral,
        (false, None) => Helo::Name(helo),
    }
}

impl Evaluation<'_> {
    fn bad_literal(&mut self) -> Status {
        let (about, code) = (self.helo(), self.policy.settings.codes.invalid_hostname);
        self.reject(code, Dsn::new(5, 5, 2), &about, "invalid ip address")
    }

    /// permit_naked_ip_address: an address without brackets, as Postfix 3.7 has it.
    pub(crate) fn naked_ip_address(&mut self) -> Status {
        let Some(helo) = self.tx.helo.as_deref() else { return Status::Dunno };
        if host::parse_address(helo).is_none() {
            return Status::Dunno;
        }
        let about = self.helo();
        self.permit("permit_naked_ip_address", &about, "")
    }

    pub(crate) fn invalid_helo(&mut self, code: u16) -> Status {
        let Some(helo) = self.tx.helo.as_deref() else { return Status::Dunno };
        match read(helo) {
            Helo::Literal => Status::Dunno,
            Helo::BadLiteral => self.bad_literal(),
            Helo::Name(name) => {
                let bare = name.strip_suffix('.').unwrap_or(name);
                if host::is_hostname(bare) || host::parse_address(bare).is_some() {
                    return Status::Dunno;
                }
                let about = self.helo();
                self.reject(code, Dsn::new(5, 5, 2), &about, "Invalid name")
            }
        }
    }

    pub(crate) fn non_fqdn_helo(&mut self, code: u16) -> Status {
        let Some(helo) = self.tx.helo.as_deref() else { return Status::Dunno };
        match read(helo) {
            Helo::Literal => Status::Dunno,
            Helo::BadLiteral => self.bad_literal(),
            Helo::Name(name) => {
                let bare = name.strip_suffix('.').unwrap_or(name);
                if host::is_hostname(bare) && bare.contains('.') {
                    return Status::Dunno;
                }
                let about = self.helo();
                self.reject(code, Dsn::new(5, 5, 2), &about, "need fully-qualified hostname")
            }
        }
    }

    pub(crate) fn unknown_helo(&mut self, code: u16) -> Result<Status, Need> {
        let Some(helo) = self.tx.helo.as_deref() else { return Ok(Status::Dunno) };
        let name = match read(helo) {
            Helo::Literal => return Ok(Status::Dunno),
            Helo::BadLiteral => return Ok(self.bad_literal()),
            Helo::Name(name) => name,
        };
        let found = self.mailable(name)?;
        let about = self.helo();
        let dsn = Dsn::new(4, 7, 1);
        self.remark = Some(found.remark(name));
        Ok(match found {
            Found::Records(_) => Status::Dunno,
            Found::Unavailable if self.policy.settings.helo_tempfail == Tempfail::DeferIfPermit => {
                self.defer_if_permit(about.reply(450, dsn, "Host not found"))
            }
            Found::Unavailable => self.reject(450, dsn, &about, "Host not found"),
            _ => self.reject(code, dsn, &about, "Host not found"),
        })
    }
}
