//! Who may look at the queue, who may hurry it, and who may hand mail in, and as whom: `authorized_mailq_users`,
//! `authorized_flush_users`, `authorized_submit_users`, `local_login_sender_maps`. All else is for root and the account that the server runs as.

use crate::live::Live;
use crate::privileged::rights;
use crate::submit::senders::Senders;
use config::{Diagnostic, Parameters};
use std::sync::Arc;
use tables::matching::{DomainList, StringList};
use tables::{Catalogue, Sources};

/// The lists, before the tables that they may name are compiled.
pub(crate) struct Lists {
    mailq: StringList,
    flush: StringList,
    submit: StringList,
    senders: Senders,
    sites: DomainList,
}

/// The lists.
pub(crate) struct Access {
    lists: Lists,
    live: Arc<Live>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    uid: u32,
    name: String,
}

/// What somebody may not.
pub(super) struct Forbidden(pub(super) String);

impl Lists {
    pub(crate) fn compile(
        p: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (Lists, Vec<Diagnostic>) {
        let parents = p.list("parent_domain_matches_subdomains");
        let parents = parents.iter().any(|word| word.value == "fast_flush_domains");
        let (mailq, mut found) =
            StringList::compile(&p.list("authorized_mailq_users"), catalogue, sources, false);
        let (flush, more) = StringList::compile(&p.list("authorized_flush_users"), catalogue, sources, false);
        found.extend(more);
        let (submit, more) =
            StringList::compile(&p.list("authorized_submit_users"), catalogue, sources, false);
        found.extend(more);
        let (sites, more) = DomainList::compile(&p.list("fast_flush_domains"), catalogue, sources, parents);
        found.extend(more);
        let senders = Senders::compile(p, catalogue);
        (Lists { mailq, flush, submit, senders, sites }, found)
    }
}

impl Access {
    pub(crate) fn new(lists: Lists, live: Arc<Live>) -> Access {
        Access { lists, live }
    }

    /// Looking at who waits.
    pub(super) fn list(&self, caller: &Caller) -> Result<(), Forbidden> {
        self.judge(&self.lists.mailq, caller, "view the mail queue")
    }

    /// Having it tried now.
    pub(super) fn flush(&self, caller: &Caller) -> Result<(), Forbidden> {
        self.judge(&self.lists.flush, caller, "flush the mail queue")
    }

    /// Handing mail in: a right that root has no more than others.
    pub(crate) fn may_submit(&self, uid: u32) -> Result<(), String> {
        let caller = Caller::new(uid);
        match self.lists.submit.contains(&self.live.snapshot(), &caller.name) {
            Ok(true) => Ok(()),
            _ => Err(caller.may_not("submit mail").0),
        }
    }

    /// Handing it in with this sender.
    pub(crate) fn may_use(&self, uid: u32, sender: &str) -> Result<(), String> {
        let passwd = std::fs::read_to_string(tables::sources::PASSWD).unwrap_or_default();
        let login = rights::account_name(&passwd, uid);
        self.lists.senders.judge((login, uid), sender, &self.live.snapshot())
    }

    fn judge(&self, list: &StringList, caller: &Caller, what: &str) -> Result<(), Forbidden> {
        // A table that can't say lets nobody in.
        let listed = list.contains(&self.live.snapshot(), &caller.name).unwrap_or(false);
        if caller.is_trusted() || listed { Ok(()) } else { Err(caller.may_not(what)) }
    }

    /// `fast_flush_domains`.
    pub(super) fn is_site(&self, site: &str) -> bool {
        self.lists.sites.contains(&self.live.snapshot(), site).unwrap_or(false)
    }
}

impl Caller {
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    pub(super) fn new(uid: u32) -> Caller {
        let passwd = std::fs::read_to_string(tables::sources::PASSWD).unwrap_or_default();
        let name = rights::account_name(&passwd, uid).unwrap_or("unknown").to_owned();
        Caller { uid, name }
    }

    /// Root, and the account that the server runs as.
    pub(super) fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }

    pub(super) fn may_not(&self, what: &str) -> Forbidden {
        Forbidden(format!("User {}({}) is not allowed to {what}", self.name, self.uid))
    }
}
