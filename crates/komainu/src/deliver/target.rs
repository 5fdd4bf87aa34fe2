//! Where a local or virtual recipient's mail is written, and as whom.
//!
//! `virtual` (virtual(8)): virtual_mailbox_base + virtual_mailbox_maps' value, uid and gid by their maps.
//! `local`: below `komainu_mailbox_root` where that is set, else the home_mailbox of the user in
//! /etc/passwd. Only Maildirs here: a path that doesn't end in `/` would be an mbox file.

use config::Parameters;
use mail::{Address, Dsn};
use policy::address::{Routes, first};
use policy::local::Local;
use queue::Reason;
use std::path::{Component, Path, PathBuf};
use tables::{Catalogue, LookupError, Snapshot, TableId};

/// A Maildir and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maildir {
    /// The folder.
    pub path: PathBuf,
    /// The owner; `None` for the server's own account.
    pub owner: Option<(u32, u32)>,
    /// `virtual_mailbox_limit` or `mailbox_size_limit`, in bytes; 0 for none.
    pub limit: u64,
}

/// What the agents need of main.cf, read once.
#[derive(Debug)]
pub struct Targets {
    virtual_base: PathBuf,
    virtual_maps: Vec<TableId>,
    uid_maps: Vec<TableId>,
    gid_maps: Vec<TableId>,
    uid_min: u32,
    virtual_limit: u64,
    mailbox_limit: u64,
    mailbox_root: Option<PathBuf>,
    delimiters: String,
    original_recipient: bool,
    /// `prepend_delivered_header`.
    prepended: Vec<String>,
    hops_max: usize,
    local: Local,
    routes: Routes,
}

impl Targets {
    /// Reads the parameters; tables are added to `catalogue`.
    #[must_use]
    pub fn compile(p: &Parameters, catalogue: &mut Catalogue) -> Targets {
        let local = Local::compile(p, catalogue);
        let routes = Routes::compile(p, catalogue);
        let mut tables = |name: &str| -> Vec<TableId> {
            // What is wrong with them was said when the address classes were compiled.
            p.list(name).iter().filter_map(|word| catalogue.intern(word).ok()).collect()
        };
        let text = |name: &str| p.text(name).value;
        let size = |name: &str| u64::try_from(p.number(name)).unwrap_or(0);
        let root = text("komainu_mailbox_root");
        Targets {
            virtual_base: text("virtual_mailbox_base").into(),
            virtual_maps: tables("virtual_mailbox_maps"),
            uid_maps: tables("virtual_uid_maps"),
            gid_maps: tables("virtual_gid_maps"),
            uid_min: u32::try_from(p.number("virtual_minimum_uid")).unwrap_or(100),
            virtual_limit: size("virtual_mailbox_limit"),
            mailbox_limit: size("mailbox_size_limit"),
            mailbox_root: (!root.is_empty()).then(|| root.into()),
            delimiters: text("recipient_delimiter"),
            original_recipient: p.flag("enable_original_recipient"),
            prepended: p.list("prepend_delivered_header").into_iter().map(|word| word.value).collect(),
            hops_max: usize::try_from(p.number("hopcount_limit")).unwrap_or(50),
            local,
            routes,
        }
    }

    /// What local(8) needs.
    #[must_use]
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// `komainu_mailbox_root`.
    #[must_use]
    pub fn mailbox_root(&self) -> Option<&Path> {
        self.mailbox_root.as_deref()
    }

    /// `mailbox_size_limit`.
    pub(super) const fn mailbox_limit(&self) -> u64 {
        self.mailbox_limit
    }

    /// `prepend_delivered_header`: whether `Delivered-To:` is written for deliveries of this kind.
    #[must_use]
    pub fn prepends_delivered(&self, kind: &str) -> bool {
        self.prepended.iter().any(|word| word.eq_ignore_ascii_case(kind))
    }

    /// `hopcount_limit`.
    #[must_use]
    pub const fn hops_max(&self) -> usize {
        self.hops_max
    }

    /// `enable_original_recipient`: whether `X-Original-To:` is written.
    #[must_use]
    pub const fn keeps_original(&self) -> bool {
        self.original_recipient
    }

    /// Whether a local recipient's name can be a folder below `komainu_mailbox_root`, where there is one.
    #[must_use]
    pub fn can_be_folder(&self, address: &Address) -> bool {
        let user = self.user(address);
        self.mailbox_root.is_none()
            || !(user.contains(['/', '\0']) || user.starts_with('.') || user.len() > NAME_BYTES_MAX)
    }

    /// The name in front of an extension.
    fn user(&self, address: &Address) -> String {
        let local = address.local().to_ascii_lowercase();
        let user = local.split(|c| self.delimiters.contains(c)).next().filter(|user| !user.is_empty());
        user.unwrap_or(&local).to_owned()
    }

    /// Where mail goes that isn't for a mailbox here.
    #[must_use]
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The Maildir of a virtual mailbox.
    ///
    /// # Errors
    /// Why there is none.
    pub fn virtual_mailbox(&self, address: &Address, snapshot: &Snapshot) -> Result<Maildir, Reason> {
        let value = self.own_first(&self.virtual_maps, address, snapshot)?;
        let Some(value) = value else {
            let text = format!("unknown user: \"{}\"", address.as_str().to_ascii_lowercase());
            return Err(Reason::new(Dsn::new(5, 1, 1), text));
        };
        let path = self.virtual_base.join(value.trim_start_matches('/'));
        if !value.ends_with('/') {
            return Err(unsupported(&format!(
                "mailbox {} is no Maildir (its path must end in /)",
                path.display()
            )));
        }
        if !is_tame(Path::new(&value)) {
            return Err(unsupported(&format!("mailbox {value} leads out of virtual_mailbox_base")));
        }
        let uid = self.id(&self.uid_maps, address, snapshot, "uid")?;
        let gid = self.id(&self.gid_maps, address, snapshot, "gid")?;
        if uid < self.uid_min {
            return Err(unsupported(&format!(
                "recipient {}: uid {uid} is below virtual_minimum_uid",
                address.as_str()
            )));
        }
        Ok(Maildir { path, owner: Some((uid, gid)), limit: self.virtual_limit })
    }

    fn id(
        &self,
        maps: &[TableId],
        address: &Address,
        snapshot: &Snapshot,
        what: &str,
    ) -> Result<u32, Reason> {
        let value = self.own_first(maps, address, snapshot)?;
        let value =
            value.ok_or_else(|| unsupported(&format!("recipient {}: {what} not found", address.as_str())))?;
        value
            .trim()
            .parse()
            .map_err(|_| unsupported(&format!("recipient {}: bad {what} {value}", address.as_str())))
    }

    /// virtual(8): the whole address, without its extension, then `@domain`.
    fn keys(&self, address: &Address) -> Vec<String> {
        let local = address.local().to_ascii_lowercase();
        let domain = address.domain().unwrap_or_default().to_ascii_lowercase();
        let mut keys = vec![format!("{local}@{domain}")];
        let base = local.split(|c| self.delimiters.contains(c)).next().unwrap_or_default();
        if !base.is_empty() && base.len() < local.len() {
            keys.push(format!("{base}@{domain}"));
        }
        keys.push(format!("@{domain}"));
        keys
    }

    /// The first value for an address in tables that say where mail is written and as whom. virtual(8): a server
    /// that nothing vouches for has no say in that.
    fn own_first(
        &self,
        maps: &[TableId],
        address: &Address,
        snapshot: &Snapshot,
    ) -> Result<Option<String>, Reason> {
        first(maps, &self.keys(address), snapshot).map_err(|error| match error {
            LookupError::Unasked { .. } => {
                // `check` says which table.
                unsupported("mail system configuration error")
            }
            error => lookup_failed(&error),
        })
    }
}

/// The longest name of a folder, NAME_MAX.
const NAME_BYTES_MAX: usize = 255;

/// Whether a path stays below the folder it is joined to.
fn is_tame(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::RootDir | Component::CurDir))
}

/// Why mail waits when a table can't say.
pub(super) fn lookup_failed(error: &LookupError) -> Reason {
    Reason::new(Dsn::new(4, 3, 0), format!("mail system configuration error: {error}"))
}

fn unsupported(text: &str) -> Reason {
    Reason::new(Dsn::new(4, 3, 5), text)
}
