//! Expansion of `virtual_alias_maps`, as cleanup(8) does it for every recipient (virtual(5)).
//!
//! A pure function over the tables, with a bound on depth and on results, and so on look-ups. `alias_maps` (aliases(5), with files
//! and commands) are not expanded here.

use super::canonical::TOKENS_MAX;
use super::existence::{Found, intern_all};
use super::{AddressClasses, Lookup};
use config::{Diagnostic, Parameters};
use mail::{Address, AddressList};
use std::collections::HashSet;
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
    /// These, each once, in cleanup's order; an address without alias is itself.
    Recipients(Vec<Address>),
    /// Deeper than `virtual_alias_recursion_limit`, more than `virtual_alias_expansion_limit`, or longer than
    /// `virtual_alias_address_length_limit`: a loop, most likely. The message is to be refused for now; the text is
    /// for the log.
    Unbounded(String),
    /// A right-hand side without any address: the same, as where the table can't say.
    Nobody(String),
}

impl Expansion {
    fn unbounded(what: &str, recipient: &Address) -> Expansion {
        let text = recipient.to_external();
        Expansion::Unbounded(format!("unreasonable virtual_alias_maps map {what} for {text}"))
    }
}

/// The recipients so far, as places in a line. An alias gives its place to its first member, and the others queue up
/// behind the last place: so depth counts along first members, and all work is less than depth times size.
struct Line {
    places: Vec<Address>,
    /// As many places hold nobody any more who is still to be asked for.
    done: usize,
    /// In lower case: those that stand for themselves too.
    own: HashSet<String>,
}

impl Line {
    fn new(recipient: Address) -> Line {
        Line { places: vec![recipient], done: 0, own: HashSet::new() }
    }

    /// Puts an alias's members in its place; gives the first. What is beyond one more than `places_max` isn't kept.
    fn put(&mut self, members: Vec<Address>, places_max: usize) -> Option<Address> {
        let mut members = members.into_iter();
        let first = members.next()?;
        if let Some(place) = self.places.get_mut(self.done) {
            *place = first.clone();
        }
        let room = places_max.saturating_add(1).saturating_sub(self.places.len());
        self.places.extend(members.take(room));
        Some(first)
    }
}

impl AddressClasses {
    /// The recipients that `recipient` (complete, as [`AddressClasses::resolve`] gives it) stands for.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn expand_aliases<L: Lookup>(&self, recipient: &Address, tables: &L) -> Result<Expansion, L::Stop> {
        let mut line = Line::new(recipient.clone());
        while let Some(address) = line.places.get(line.done).cloned() {
            if line.places.len() > self.aliases.results_max {
                return Ok(Expansion::unbounded("expansion size", recipient));
            }
            if let Some(end) = self.replace(recipient, address, &mut line, tables)? {
                return Ok(end);
            }
            line.done = line.done.saturating_add(1);
        }
        let mut seen = HashSet::new();
        line.places.retain(|address| seen.insert(lower(address)));
        Ok(Expansion::Recipients(line.places))
    }

    /// Follows the place that is to be done next to its end; says so where there is none.
    fn replace<L: Lookup>(
        &self,
        recipient: &Address,
        mut address: Address,
        line: &mut Line,
        tables: &L,
    ) -> Result<Option<Expansion>, L::Stop> {
        let aliases = &self.aliases;
        let mut depth = 0_usize;
        // Who stands for itself too isn't asked again, wherever it comes up.
        while !line.own.contains(&lower(&address)) {
            if depth >= aliases.depth_max {
                return Ok(Some(Expansion::unbounded("nesting", recipient)));
            }
            depth = depth.saturating_add(1);
            let Some(found) = self.find(&aliases.tables, &address, tables)? else { break };
            let members = self.members(&found, &address);
            if let Some(long) = members.iter().find(|member| member.as_str().len() > aliases.length_max) {
                let begun: String = long.as_str().chars().take(RESULT_SHOWN).collect();
                let text = format!("unreasonable virtual_alias_maps result {begun}...");
                return Ok(Some(Expansion::Unbounded(text)));
            }
            if members.iter().any(|member| is_same(member, &address)) {
                line.own.insert(lower(&address));
            }
            let Some(first) = line.put(members, aliases.results_max) else {
                let (text, value) = (address.to_external(), found.value);
                return Ok(Some(Expansion::Nobody(format!(
                    "virtual_alias_maps lookup of {text} returns non-address result \"{value}\""
                ))));
            };
            address = first;
        }
        Ok(None)
    }

    /// The addresses on a line's right-hand side.
    fn members(&self, found: &Found, address: &Address) -> Vec<Address> {
        let list = AddressList::parse(found.value.as_bytes(), TOKENS_MAX);
        let extension = if self.aliases.propagates { found.extension.as_str() } else { "" };
        let members = list.addresses().map(|member| self.substitute(member, address, extension));
        members.filter(|member| !member.is_null()).collect()
    }
}

fn lower(address: &Address) -> String {
    address.as_str().to_ascii_lowercase()
}

fn is_same(a: &Address, b: &Address) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}
