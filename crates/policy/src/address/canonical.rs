//! Which address stands for another on the way in: canonical(5) and address masquerading, as cleanup(8) does them to
//! envelope and header addresses, and the addresses that get a blind copy.
//!
//! Complete addresses come in; the specific table (`sender_canonical_maps`, `recipient_canonical_maps`) is asked
//! before `canonical_maps`, each until nothing changes, and masquerading follows. Headers of other people's mail are
//! only touched with `remote_header_rewrite_domain`; that is decided by who asks. ADDRESS_REWRITING_README.

use super::existence::intern_all;
use super::{AddressClasses, Lookup};
use config::Parameters;
use mail::{Address, AddressList, PathSyntax};
use tables::{Catalogue, TableId};

/// How often one table may be asked for what it said itself.
const NESTING_MAX: usize = 1000;
/// Tokens of a table's right-hand side.
pub(super) const TOKENS_MAX: usize = 10_240;

/// What an address is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// `MAIL FROM`.
    EnvelopeSender,
    /// `RCPT TO`.
    EnvelopeRecipient,
    /// `From:`, `Reply-To:` …
    HeaderSender,
    /// `To:`, `Cc:` …
    HeaderRecipient,
}

impl Use {
    const ALL: [(Use, &str); 4] = [
        (Use::EnvelopeSender, "envelope_sender"),
        (Use::EnvelopeRecipient, "envelope_recipient"),
        (Use::HeaderSender, "header_sender"),
        (Use::HeaderRecipient, "header_recipient"),
    ];

    const fn is_sender(self) -> bool {
        matches!(self, Use::EnvelopeSender | Use::HeaderSender)
    }
}

/// What an address became, and what is odd about it, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The address that takes its place.
    pub address: Address,
    /// Texts of warnings.
    pub warnings: Vec<String>,
}

/// One parameter of canonical tables.
#[derive(Clone, Debug, Default)]
struct Maps {
    name: &'static str,
    tables: Vec<TableId>,
    uses: Vec<Use>,
}

/// canonical(5) and masquerading, of one main.cf.
#[derive(Clone, Debug, Default)]
pub(super) struct Canonical {
    sender: Maps,
    recipient: Maps,
    both: Maps,
    propagates: bool,
    generic_propagates: bool,
    masquerade: Masquerade,
    blind: Blind,
}

#[derive(Clone, Debug, Default)]
struct Masquerade {
    /// In lower case; those that are left alone have `!` in front.
    domains: Vec<String>,
    exceptions: Vec<String>,
    uses: Vec<Use>,
}

/// `always_bcc` and its kin.
#[derive(Clone, Debug, Default)]
struct Blind {
    always: String,
    sender: Vec<TableId>,
    recipient: Vec<TableId>,
}

fn uses(parameters: &Parameters, name: &str) -> Vec<Use> {
    let words = parameters.list(name);
    let has = |name: &str| words.iter().any(|word| word.value.eq_ignore_ascii_case(name));
    Use::ALL.into_iter().filter(|(_, name)| has(name)).map(|(part, _)| part).collect()
}

impl Canonical {
    pub(super) fn compile(parameters: &Parameters, catalogue: &mut Catalogue) -> Canonical {
        let mut maps = |name: &'static str, classes: &str| Maps {
            name,
            // What is wrong with its tables was said by the recipient maps.
            tables: intern_all(parameters, name, catalogue, &mut Vec::new()),
            uses: uses(parameters, classes),
        };
        let sender = maps("sender_canonical_maps", "sender_canonical_classes");
        let recipient = maps("recipient_canonical_maps", "recipient_canonical_classes");
        let both = maps("canonical_maps", "canonical_classes");
        let propagating = parameters.list("propagate_unmatched_extensions");
        let words = |name: &str| -> Vec<String> {
            parameters.list(name).into_iter().map(|word| word.value.to_ascii_lowercase()).collect()
        };
        let mut copies = |name: &str| -> Vec<TableId> {
            parameters.list(name).iter().map(|word| catalogue.seat(word)).collect()
        };
        Canonical {
            sender,
            recipient,
            both,
            propagates: propagating.iter().any(|word| word.value == "canonical"),
            generic_propagates: propagating.iter().any(|word| word.value == "generic"),
            masquerade: Masquerade {
                domains: words("masquerade_domains"),
                exceptions: words("masquerade_exceptions"),
                uses: uses(parameters, "masquerade_classes"),
            },
            blind: Blind {
                always: parameters.text("always_bcc").value.trim().to_owned(),
                sender: copies("sender_bcc_maps"),
                recipient: copies("recipient_bcc_maps"),
            },
        }
    }
}

impl Masquerade {
    /// `user@host.example.com` as `user@example.com`.
    fn apply(&self, address: &Address) -> Option<Address> {
        let domain = address.domain()?.to_ascii_lowercase();
        let is_exempt = |name: &String| name.eq_ignore_ascii_case(address.local());
        if self.exceptions.iter().any(is_exempt) {
            return None;
        }
        // The first that fits counts; a domain by itself ends the search as well.
        for entry in &self.domains {
            let (kept, parent) = entry.strip_prefix('!').map_or((false, entry.as_str()), |name| (true, name));
            let below = domain.strip_suffix(parent).is_some_and(|host| host.ends_with('.'));
            if below && !parent.is_empty() && !kept {
                return Some(Address::from_internal(format!("{}@{parent}", address.local())));
            }
            if domain == parent || below {
                return None;
            }
        }
        None
    }
}

impl AddressClasses {
    /// What takes the place of a complete address where it is used as `part`; the null address stays.
    ///
    /// # Errors
    /// What the tables answer with when they can't, with the parameter's name.
    pub fn canonical<L: Lookup>(
        &self,
        part: Use,
        address: &Address,
        tables: &L,
    ) -> Result<Rewritten, (&'static str, L::Stop)> {
        let canonical = &self.canonical;
        let mut done = Rewritten { address: address.clone(), warnings: Vec::new() };
        if address.is_null() {
            return Ok(done);
        }
        let own = if part.is_sender() { &canonical.sender } else { &canonical.recipient };
        for maps in [own, &canonical.both] {
            if maps.uses.contains(&part) {
                done = self.mapped(maps, done, tables).map_err(|stop| (maps.name, stop))?;
            }
        }
        let masquerade = &canonical.masquerade;
        if masquerade.uses.contains(&part)
            && let Some(address) = masquerade.apply(&done.address)
        {
            done.address = address;
        }
        Ok(done)
    }

    /// What takes an address's place on the way out by the tables of parameter `name`, asked once: generic(5).
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn generic<L: Lookup>(
        &self,
        (name, maps): (&str, &[TableId]),
        address: &Address,
        tables: &L,
    ) -> Result<Option<Rewritten>, L::Stop> {
        let Some(found) = self.find(maps, address, tables)? else { return Ok(None) };
        let list = AddressList::parse(found.value.as_bytes(), TOKENS_MAX);
        let mut members = list.addresses();
        let Some(member) = members.next() else { return Ok(None) };
        let mut warnings = Vec::new();
        if members.next().is_some() {
            warnings.push(format!("multi-valued {name} result for {}", address.to_external()));
        }
        let extension = if self.canonical.generic_propagates { found.extension.as_str() } else { "" };
        Ok(Some(Rewritten { address: self.substitute(member, address, extension), warnings }))
    }

    fn mapped<L: Lookup>(&self, maps: &Maps, from: Rewritten, tables: &L) -> Result<Rewritten, L::Stop> {
        let Rewritten { mut address, mut warnings } = from;
        let first = address.clone();
        for _ in 0..NESTING_MAX {
            let Some(found) = self.find(&maps.tables, &address, tables)? else {
                return Ok(Rewritten { address, warnings });
            };
            let list = AddressList::parse(found.value.as_bytes(), TOKENS_MAX);
            let mut members = list.addresses();
            let Some(member) = members.next() else {
                return Ok(Rewritten { address, warnings });
            };
            if members.next().is_some() {
                warnings.push(format!("multi-valued {} entry for {}", maps.name, address.to_external()));
            }
            let extension = if self.canonical.propagates { found.extension.as_str() } else { "" };
            let next = self.substitute(member, &address, extension);
            if next.as_str().eq_ignore_ascii_case(address.as_str()) {
                return Ok(Rewritten { address: next, warnings });
            }
            address = next;
        }
        let name = maps.name;
        let text = first.to_external();
        warnings.push(format!(
            "unreasonable {name} map nesting for {text} -- message not accepted, try again later"
        ));
        Ok(Rewritten { address: first, warnings })
    }

    /// A right-hand side's address: `@domain` is the same user there, others are complete and take the extension.
    pub(super) fn substitute(&self, member: &Address, old: &Address, extension: &str) -> Address {
        if member.local().is_empty() && member.domain().is_some() {
            return Address::from_internal(format!("{}{}", old.local(), member.as_str()));
        }
        with_extension(&self.rewrite(member), extension)
    }

    /// Who gets a blind copy besides: `always_bcc`, then for the sender and each recipient by their tables, as canonical
    /// as any recipient. A message without a sender has no sender's copy.
    ///
    /// # Errors
    /// What the tables answer with when they can't, with the parameter's name.
    pub fn blind_copy<L: Lookup>(
        &self,
        of: BlindOf<'_>,
        tables: &L,
    ) -> Result<Option<Rewritten>, (&'static str, L::Stop)> {
        let blind = &self.canonical.blind;
        let to = match of {
            BlindOf::Everything => Some(blind.always.clone()).filter(|to| !to.is_empty()),
            BlindOf::Sender(address) => {
                self.found(&blind.sender, address, tables).map_err(|stop| ("sender_bcc_maps", stop))?
            }
            BlindOf::Recipient(address) => {
                self.found(&blind.recipient, address, tables).map_err(|stop| ("recipient_bcc_maps", stop))?
            }
        };
        let Some(to) = to else { return Ok(None) };
        // There is one copy: what looks like several addresses is a strange one.
        let one = if to.contains([' ', ',']) {
            Address::from_internal(to)
        } else {
            Address::parse_path(to.as_bytes(), PathSyntax::Rfc822)
                .unwrap_or_else(|_| Address::from_internal(to.as_str()))
        };
        self.canonical(Use::EnvelopeRecipient, &self.rewrite(&one), tables).map(Some)
    }

    fn found<L: Lookup>(
        &self,
        maps: &[TableId],
        address: &Address,
        tables: &L,
    ) -> Result<Option<String>, L::Stop> {
        Ok(self.find(maps, address, tables)?.map(|found| found.value))
    }
}

/// Whose copy is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlindOf<'a> {
    /// Every message: `always_bcc`.
    Everything,
    /// `sender_bcc_maps`.
    Sender(&'a Address),
    /// `recipient_bcc_maps`.
    Recipient(&'a Address),
}

fn with_extension(address: &Address, extension: &str) -> Address {
    match address.domain() {
        Some(domain) if !extension.is_empty() => {
            Address::from_internal(format!("{}{extension}@{domain}", address.local()))
        }
        _ => address.clone(),
    }
}
