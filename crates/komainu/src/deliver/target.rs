//! Where mail goes that is for somebody here, as main.cf has it: what the delivery agents need, read once.
//!
//! `virtual`: [`VirtualBoxes`]. `local`: `policy::local`; below `komainu_mailbox_root` where that is set, a Maildir for each name.
//! Nothing is opened here.

use super::virtual_boxes::VirtualBoxes;
use config::Parameters;
use mail::{Address, Dsn};
use policy::address::Routes;
use policy::local::Local;
use queue::Reason;
use std::path::{Path, PathBuf};
use tables::{Catalogue, LookupError};

/// What the agents need of main.cf, read once.
#[derive(Debug)]
pub struct Targets {
    virtual_boxes: VirtualBoxes,
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
        let virtual_boxes = VirtualBoxes::compile(p, catalogue);
        let text = |name: &str| p.text(name).value;
        let size = |name: &str| u64::try_from(p.number(name)).unwrap_or(0);
        let root = text("komainu_mailbox_root");
        Targets {
            virtual_boxes,
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

    /// `virtual_mailbox_limit`.
    pub(super) const fn virtual_limit(&self) -> u64 {
        self.virtual_limit
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

    /// What virtual(8) needs.
    #[must_use]
    pub const fn virtual_boxes(&self) -> &VirtualBoxes {
        &self.virtual_boxes
    }
}

/// The longest name of a folder, NAME_MAX.
const NAME_BYTES_MAX: usize = 255;

/// Why mail waits when a table can't say.
pub(super) fn lookup_failed(error: &LookupError) -> Reason {
    Reason::new(Dsn::new(4, 3, 0), format!("mail system configuration error: {error}"))
}
