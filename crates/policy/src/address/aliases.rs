//! Expansion of `virtual_alias_maps`, as cleanup(8) does it for every recipient (virtual(5)).
//!
//! A pure function over the tables, with a bound on depth and on results. `alias_maps` (aliases(5), with files
//! and commands) are not expanded here.

use super::canonical::TOKENS_MAX;
use super::existence::{Found, intern_all};
use super::{AddressClasses, Lookup};
use config::{Diagnostic, Parameters};
use mail::{Address, AddressList};
use tables::{Catalogue, TableId};

/// Characters of an endless address in the log.
const RESULT_SHOWN: usize = 100;

/// The parameters of alias expansion.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    tables: Vec<TableId>,
    propagates: bool,
    depth_max: usize,
    results_max: usize,
    length_max: usize,
}

impl Aliases {
    pub(super) fn compile(parameters: &Parameters, catalogue: &mut Catalogue) -> (Aliases, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let size = |name: &str| usize::try_from(parameters.number(name)).unwrap_or(0);
        let propagating = parameters.list("propagate_unmatched_extensions");
        let aliases = Aliases {
            tables: intern_all(parameters, "virtual_alias_maps", catalogue, &mut diagnostics),
            propagates: propagating.iter().any(|word| word.value == "virtual"),
            depth_max: size("virtual_alias_recursion_limit"),
            results_max: size("virtual_alias_expansion_limit"),
            length_max: size("virtual_alias_address_length_limit"),
        };
        (aliases, diagnostics)
    }
}

/// What a recipient became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// These, each once, in the order in which they were found; an address without alias is itself.
    Recipients(Vec<Address>),
    /// Deeper than `virtual_alias_recursion_limit`, more than `virtual_alias_expansion_limit`, or longer than
    /// `virtual_alias_address_length_limit`: a loop, most likely. The message is to be refused for now; the text is
    /// for the log.
    Unbounded(String),
    /// A right-hand side without any address: the same, as where the table can't say.
    Nobody(String),
}

impl AddressClasses {
    /// The recipients that `recipient` (complete, as [`AddressClasses::resolve`] gives it) stands for.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn expand_aliases<L: Lookup>(&self, recipient: &Address, tables: &L) -> Result<Expansion, L::Stop> {
        let aliases = &self.aliases;
        let unbounded = |what: &str| {
            let text = recipient.to_external();
            Ok(Expansion::Unbounded(format!("unreasonable virtual_alias_maps map {what} for {text}")))
        };
        let mut done: Vec<Address> = Vec::new();
        let mut open = vec![(recipient.clone(), 0_usize)];
        while let Some((address, depth)) = open.pop() {
            if depth >= aliases.depth_max {
                return unbounded("nesting");
            }
            let found = self.find(&aliases.tables, &address, tables)?;
            let members = match found {
                Some(found) => {
                    let members = self.members(&found, &address);
                    if members.is_empty() {
                        let (text, value) = (address.to_external(), found.value);
                        return Ok(Expansion::Nobody(format!(
                            "virtual_alias_maps lookup of {text} returns non-address result \"{value}\""
                        )));
                    }
                    members
                }
                None => vec![address.clone()],
            };
            if done.len().saturating_add(members.len()).saturating_add(open.len()) > aliases.results_max {
                return unbounded("expansion size");
            }
            if let Some(long) = members.iter().find(|member| member.as_str().len() > aliases.length_max) {
                let begun: String = long.as_str().chars().take(RESULT_SHOWN).collect();
                return Ok(Expansion::Unbounded(format!(
                    "unreasonable virtual_alias_maps result {begun}..."
                )));
            }
            for member in members.into_iter().rev() {
                // An alias that holds itself ends there.
                if is_same(&member, &address) {
                    if !done.iter().any(|other| is_same(other, &address)) {
                        done.push(address.clone());
                    }
                } else {
                    open.push((member, depth.saturating_add(1)));
                }
            }
        }
        Ok(Expansion::Recipients(done))
    }

    /// The addresses on a line's right-hand side.
    fn members(&self, found: &Found, address: &Address) -> Vec<Address> {
        let list = AddressList::parse(found.value.as_bytes(), TOKENS_MAX);
        let extension = if self.aliases.propagates { found.extension.as_str() } else { "" };
        let members = list.addresses().map(|member| self.substitute(member, address, extension));
        members.filter(|member| !member.is_null()).collect()
    }
}

fn is_same(a: &Address, b: &Address) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}
