//! virtual(8): where a recipient's mail is written, and as whom.
//!
//! `virtual_mailbox_base` and what `virtual_mailbox_maps` says, the ids of `virtual_uid_maps` and `virtual_gid_maps`. Asked
//! by the server, whose tables are never half-written ones, and again by whoever has the rights to write. Patterns
//! substitute nothing, and a path that leads upwards is refused: what stands in it may come from whoever sends mail.
//! Nothing is opened here.

use super::quota::Quota;
use config::Parameters;
use mail::{Address, Dsn};
use policy::address::first;
use queue::Reason;
use std::path::{Component, Path};
use tables::{Catalogue, LookupError, Snapshot, TableId};

/// virtual(8)'s parameters.
#[derive(Debug)]
pub struct VirtualBoxes {
    base: String,
    maps: Vec<TableId>,
    uid_maps: Vec<TableId>,
    gid_maps: Vec<TableId>,
    quota_maps: Vec<TableId>,
    uid_min: u32,
    delimiters: String,
}

/// A mailbox and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// A Maildir's path ends in `/`.
    pub path: String,
    /// The owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// What it may hold.
    pub quota: Option<Quota>,
}

impl Mailbox {
    /// Whether it is a Maildir; else it is one file.
    #[must_use]
    pub fn is_maildir(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// Why there is no mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMailbox {
    /// What the sender is told.
    pub reason: Reason,
    /// What the administrator is.
    pub warning: Option<String>,
}

impl NoMailbox {
    fn misconfigured(warning: String) -> NoMailbox {
        let reason = Reason::new(Dsn::new(4, 3, 5), "mail system configuration error");
        NoMailbox { reason, warning: Some(warning) }
    }
}

impl VirtualBoxes {
    /// Reads the parameters; tables are added to `catalogue`.
    #[must_use]
    pub fn compile(p: &Parameters, catalogue: &mut Catalogue) -> VirtualBoxes {
        let mut tables = |name: &str| -> Vec<TableId> {
            // What is wrong with them was said when the address classes were compiled.
            p.list(name).iter().map(|word| catalogue.seat_guarded(word)).collect()
        };
        VirtualBoxes {
            base: p.text("virtual_mailbox_base").value,
            maps: tables("virtual_mailbox_maps"),
            uid_maps: tables("virtual_uid_maps"),
            gid_maps: tables("virtual_gid_maps"),
            quota_maps: tables("komainu_virtual_quota_maps"),
            uid_min: u32::try_from(p.number("virtual_minimum_uid")).unwrap_or(100),
            delimiters: p.text("recipient_delimiter").value,
        }
    }

    /// The mailbox of an address.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, address: &Address, tables: &Snapshot) -> Result<Mailbox, NoMailbox> {
        let name = address.as_str().to_ascii_lowercase();
        let Some(value) = self.value(("virtual_mailbox_maps", &self.maps), address, tables)? else {
            let reason = Reason::new(Dsn::new(5, 1, 1), format!("unknown user: \"{name}\""));
            return Err(NoMailbox { reason, warning: None });
        };
        let bad = |text: String| Err(NoMailbox::misconfigured(format!("recipient {name}: {text}")));
        if self.base.is_empty() {
            return bad("virtual_mailbox_base is empty".to_owned());
        }
        if !is_tame(&value) {
            return bad(format!("mailbox {value} leads out of virtual_mailbox_base"));
        }
        let uid = self.id(("virtual_uid_maps", &self.uid_maps), address, tables)?;
        let uid = match uid.parse() {
            Ok(number) if number >= self.uid_min && number > 0 => number,
            _ => return bad(format!("bad uid {uid} in virtual_uid_maps")),
        };
        let gid = self.id(("virtual_gid_maps", &self.gid_maps), address, tables)?;
        let gid = match gid.parse() {
            Ok(number) if number > 0 => number,
            _ => return bad(format!("bad gid {gid} in virtual_gid_maps")),
        };
        let quota = match self.value(("komainu_virtual_quota_maps", &self.quota_maps), address, tables)? {
            None => None,
            Some(text) => match Quota::parse(&text) {
                Some(quota) => Some(quota),
                None => return bad(format!("bad quota {text} in komainu_virtual_quota_maps")),
            },
        };
        Ok(Mailbox { path: format!("{}/{value}", self.base), uid, gid, quota })
    }

    fn id(
        &self,
        maps: (&str, &[TableId]),
        address: &Address,
        tables: &Snapshot,
    ) -> Result<String, NoMailbox> {
        self.value(maps, address, tables)?.ok_or_else(|| {
            let name = address.as_str().to_ascii_lowercase();
            NoMailbox::misconfigured(format!("recipient {name}: not found in {}", maps.0))
        })
    }

    /// The whole address, without its extension, then `@domain`.
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

    /// The first value for an address. A server that nothing vouches for has no say in where mail is written and as whom.
    fn value(
        &self,
        (name, maps): (&str, &[TableId]),
        address: &Address,
        tables: &Snapshot,
    ) -> Result<Option<String>, NoMailbox> {
        first(maps, &self.keys(address), tables).map_err(|error| {
            let why = match error {
                LookupError::Unasked { table, .. } => {
                    format!("{} map is not allowed for security-sensitive data", table.name)
                }
                error => error.to_string(),
            };
            NoMailbox::misconfigured(format!("table {name}: lookup {}: {why}", address.as_str()))
        })
    }
}

/// Whether a path stays below the folder it is joined to, and is one.
fn is_tame(path: &str) -> bool {
    !path.contains('\0')
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::RootDir | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, Host, MainCf, SourceFile};
    use std::path::Path;
    use std::sync::Arc;
    use tables::{SourceError, Sources};

    struct NoFiles;

    impl Sources for NoFiles {
        fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
            Err(SourceError::Missing(path.to_owned()))
        }
    }

    fn found(more: &str, address: &str) -> Result<Mailbox, NoMailbox> {
        let text = format!(
            "virtual_mailbox_base = /v\nrecipient_delimiter = +\n\
             virtual_mailbox_maps = inline:{{ {{a@v.test=a/}}, {{a+x@v.test=ax}}, {{up@v.test=../b}}, {{abs@v.test=/c/}}, \
             {{in@v.test=d/../../e}}, {{@all.test=all}}, {{root@v.test=r}}, {{zero@v.test=z}} }}\n\
             virtual_uid_maps = inline:{{root@v.test=0 low@v.test=99 word@v.test=5000x}}, static:5000\n\
             virtual_gid_maps = inline:{{zero@v.test=0}}, static:5001\n{more}\n"
        );
        let file = Arc::new(SourceFile { path: "main.cf".into(), text });
        let (main, _) = MainCf::parse(&file);
        let host = Host { hostname: "mx".into(), addresses: vec![] };
        let (parameters, _) = Parameters::new(&main, &host, Compat::V3_7);
        let mut catalogue = Catalogue::new();
        let boxes = VirtualBoxes::compile(&parameters, &mut catalogue);
        let (snapshot, _) = Snapshot::compile(&catalogue, &NoFiles);
        boxes.find(&Address::from_internal(address), &snapshot)
    }

    #[test]
    fn where_mail_goes() {
        let check = |more: &str, address: &str, expect: Result<&str, &str>| {
            let found = found(more, address);
            let found = found.as_ref().map(|mailbox| mailbox.path.as_str()).map_err(|no| match &no.warning {
                Some(warning) => warning.as_str(),
                None => no.reason.text.as_str(),
            });
            assert_eq!(found, expect, "{address}");
        };
        check("", "A@V.test", Ok("/v/a/"));
        check("", "a+x@v.test", Ok("/v/ax"));
        check("", "a+y@v.test", Ok("/v/a/"));
        check("", "x@all.test", Ok("/v/all"));
        check("", "abs@v.test", Ok("/v//c/"));
        check("", "none@v.test", Err("unknown user: \"none@v.test\""));
        check("", "up@v.test", Err("recipient up@v.test: mailbox ../b leads out of virtual_mailbox_base"));
        check(
            "",
            "in@v.test",
            Err("recipient in@v.test: mailbox d/../../e leads out of virtual_mailbox_base"),
        );
        check("", "root@v.test", Err("recipient root@v.test: bad uid 0 in virtual_uid_maps"));
        check(
            "virtual_minimum_uid = 0",
            "root@v.test",
            Err("recipient root@v.test: bad uid 0 in virtual_uid_maps"),
        );
        check("", "zero@v.test", Err("recipient zero@v.test: bad gid 0 in virtual_gid_maps"));
        let all = "virtual_mailbox_maps = static:x\n";
        check(all, "low@v.test", Err("recipient low@v.test: bad uid 99 in virtual_uid_maps"));
        check(all, "word@v.test", Err("recipient word@v.test: bad uid 5000x in virtual_uid_maps"));
        check("virtual_uid_maps =", "a@v.test", Err("recipient a@v.test: not found in virtual_uid_maps"));
        check("virtual_mailbox_base =", "a@v.test", Err("recipient a@v.test: virtual_mailbox_base is empty"));
        // Nothing of an address comes into a path.
        let pattern = "virtual_mailbox_maps = pcre:{{/^(.*)@/ $$1/}}";
        check(pattern, "../../etc/x@v.test", Err("unknown user: \"../../etc/x@v.test\""));
        let quotas = "komainu_virtual_quota_maps = inline:{a@v.test=oops}";
        check(quotas, "a@v.test", Err("recipient a@v.test: bad quota oops in komainu_virtual_quota_maps"));
        let remote = "virtual_uid_maps = tcp:127.0.0.1:9";
        check(
            remote,
            "a@v.test",
            Err(
                "table virtual_uid_maps: lookup a@v.test: tcp:127.0.0.1:9 map is not allowed for security-sensitive data",
            ),
        );
    }

    #[test]
    fn what_it_may_hold() {
        let quota = |more: &str| found(more, "a@v.test").map(|mailbox| mailbox.quota);
        assert_eq!(quota(""), Ok(None));
        let some = Some(Quota { bytes: Some(1 << 30), messages: None });
        assert_eq!(quota("komainu_virtual_quota_maps = inline:{a@v.test=*:storage=1G}"), Ok(some));
        assert_eq!(quota("komainu_virtual_quota_maps = inline:{b@v.test=5S} static:1073741824S"), Ok(some));
    }
}
