//! `postscreen_access_list`: words from left to right, the first that knows the client decides. What a table says
//! is such a list in itself, without tables. Addresses are looked up whole: no networks but in cidr tables.

use crate::facts::{Facts, Lookup};
use config::{Diagnostic, Parameters, Place, Spanned, split_words};
use mail::host::address_text;
use std::net::IpAddr;
use tables::{AddressList, Catalogue, Sources, TableId};

/// What the list says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Unknown,
    /// Let it through.
    Allowed,
    /// It is refused.
    Denied,
}

/// The list's word on a client, and what is wrong with the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What it says.
    pub standing: Standing,
    /// What Postfix warns about.
    pub warning: Option<String>,
}

#[derive(Debug)]
enum Entry {
    Networks,
    Word(String),
    Table { id: TableId, name: String },
}

#[derive(Debug)]
pub(super) struct AccessList {
    entries: Vec<Entry>,
    networks: AddressList,
}

const NAME: &str = "postscreen_access_list";
const REST: &str = "ignoring the remainder of this access list";

impl AccessList {
    pub(super) fn compile(
        p: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
        said: &mut Vec<Diagnostic>,
    ) -> AccessList {
        // What is wrong in mynetworks is said once, by the restriction lists.
        let (networks, _) = AddressList::compile(&p.list("mynetworks"), catalogue, sources, false);
        let mut entries = Vec::new();
        for word in p.list(NAME) {
            if word.value.contains(':') {
                match catalogue.intern(&word) {
                    Ok(id) => entries.push(Entry::Table { id, name: word.value }),
                    Err(diagnostic) => said.push(diagnostic),
                }
            } else if word.value.eq_ignore_ascii_case("permit_mynetworks") {
                entries.push(Entry::Networks);
            } else {
                if verdict(&word.value).is_none() {
                    let message =
                        format!("\"{}\" is no action of {NAME}: the rest of it is ignored", word.value);
                    let help = "write permit_mynetworks, permit, reject, dunno or a table";
                    said.push(Diagnostic::warning(430, word.place.clone(), message).help(help));
                }
                entries.push(Entry::Word(word.value));
            }
        }
        AccessList { entries, networks }
    }

    pub(super) fn decide(&self, client: IpAddr, facts: &Facts) -> Access {
        for entry in &self.entries {
            let found = match entry {
                Entry::Networks => self.is_ours(client, facts),
                Entry::Word(word) => self.word(word, NAME, client, facts),
                Entry::Table { id, name } => match facts.lookup(*id, &address_text(client)) {
                    Ok(Lookup::Nothing) => Ok(None),
                    Ok(Lookup::Found(hit)) => self.value(&hit.value, name, client, facts),
                    Ok(Lookup::Failed(_)) | Err(_) => Err(format!("{name}: table lookup error -- {REST}")),
                },
            };
            match found {
                Ok(None) => {}
                Ok(Some(standing)) => return Access { standing, warning: None },
                Err(warning) => return Access { standing: Standing::Unknown, warning: Some(warning) },
            }
        }
        Access { standing: Standing::Unknown, warning: None }
    }

    fn is_ours(&self, client: IpAddr, facts: &Facts) -> Result<Option<Standing>, String> {
        match self.networks.contains_address(facts.snapshot(), client) {
            Ok(ours) => Ok(ours.then_some(Standing::Allowed)),
            Err(_) => Err(format!("permit_mynetworks: table lookup error -- {REST}")),
        }
    }

    /// What a table says: words in turn.
    fn value(
        &self,
        value: &str,
        name: &str,
        client: IpAddr,
        facts: &Facts,
    ) -> Result<Option<Standing>, String> {
        // Most values are one word.
        if let Some(standing) = verdict(value) {
            return Ok(standing);
        }
        for word in split_words(Spanned::new(value.to_owned(), Place::nowhere())) {
            if let Some(standing) = self.word(&word.value, name, client, facts)? {
                return Ok(Some(standing));
            }
        }
        Ok(None)
    }

    fn word(
        &self,
        word: &str,
        name: &str,
        client: IpAddr,
        facts: &Facts,
    ) -> Result<Option<Standing>, String> {
        if word.eq_ignore_ascii_case("permit_mynetworks") {
            return self.is_ours(client, facts);
        }
        match verdict(word) {
            Some(standing) => Ok(standing),
            None if word.contains(':') => {
                Err(format!("{name}: type:table entries are not allowed in lookup results -- {REST}"))
            }
            None => Err(format!("{name}: unknown command: {word} -- {REST}")),
        }
    }
}

/// A word that decides by itself: a standing, or to go on.
fn verdict(word: &str) -> Option<Option<Standing>> {
    let known = [("permit", Some(Standing::Allowed)), ("reject", Some(Standing::Denied)), ("dunno", None)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, standing)| standing)
}
