//! Expansion of `virtual_alias_maps`, as cleanup(8) does it for every recipient (virtual(5)).
//!
//! A pure function over the tables, with a bound on depth and on results. `alias_maps` (aliases(5), with files
//! and commands) are not expanded here.

use super::existence::{Found, intern_all};
use super::{AddressClasses, Lookup};
use config::{Diagnostic, Parameters};
use mail::{Address, PathSyntax};
use tables::{Catalogue, TableId};

/// The parameters of alias expansion.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    tables: Vec<TableId>,
    propagates: bool,
    depth_max: usize,
    results_max: usize,
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
        };
        (aliases, diagnostics)
    }
}

/// What a recipient became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// These, each once, in the order in which they were found; an address without alias is itself.
    Recipients(Vec<Address>),
    /// Deeper than `virtual_alias_recursion_limit` or more than `virtual_alias_expansion_limit`: a loop, most
    /// likely. The message is to be refused for now.
    Unbounded,
}

impl AddressClasses {
    /// The recipients that `recipient` (complete, as [`AddressClasses::resolve`] gives it) stands for.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn expand_aliases<L: Lookup>(&self, recipient: &Address, tables: &L) -> Result<Expansion, L::Stop> {
        let mut done: Vec<Address> = Vec::new();
        let mut open = vec![(recipient.clone(), 0_usize)];
        while let Some((address, depth)) = open.pop() {
            if depth > self.aliases.depth_max || done.len() > self.aliases.results_max {
                return Ok(Expansion::Unbounded);
            }
            let found = self.find(&self.aliases.tables, &address, tables)?;
            let members = found.map_or_else(|| vec![address.clone()], |found| self.members(&found, &address));
            if members.len().saturating_add(open.len()) > self.aliases.results_max {
                return Ok(Expansion::Unbounded);
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
        let mut members = Vec::new();
        for word in found.value.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
            let Ok(member) = Address::parse_path(word.as_bytes(), PathSyntax::Rfc822) else { continue };
            // `@domain` stands for the same user there.
            let member = if member.local().is_empty() && member.domain().is_some() {
                Address::from_internal(format!("{}{}", address.local(), member.as_str()))
            } else {
                self.with_extension(&self.rewrite(&member), &found.extension)
            };
            if !member.is_null() {
                members.push(member);
            }
        }
        members
    }

    /// `propagate_unmatched_extensions`.
    fn with_extension(&self, address: &Address, extension: &str) -> Address {
        match address.domain() {
            Some(domain) if self.aliases.propagates && !extension.is_empty() => {
                Address::from_internal(format!("{}{extension}@{domain}", address.local()))
            }
            _ => address.clone(),
        }
    }
}

fn is_same(a: &Address, b: &Address) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}
