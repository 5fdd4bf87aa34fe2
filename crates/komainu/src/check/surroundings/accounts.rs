//! The accounts that the configuration names: mail_owner, setgid_group, default_privs.
//!
//! They are looked for in /etc/passwd and /etc/group, as the server does; a machine whose accounts come from
//! elsewhere as well (nsswitch.conf names more than `files`) is believed to have what isn't there.
//! Diagnostics: K0545 accounts that aren't there, K0546 a mail_owner that is root.

use super::{Machine, Scene, scene};
use crate::privileged::rights::find_account;
use config::Diagnostic;

/// /etc/passwd and /etc/group.
#[derive(Clone, Debug, Default)]
pub(in crate::check) struct Accounts {
    passwd: String,
    group: String,
    /// Whether there may be accounts that these files don't list.
    pub(super) more_elsewhere: bool,
}

impl Accounts {
    pub(in crate::check) fn read(machine: &Machine) -> Accounts {
        let text = |path| machine.text(path).unwrap_or_default();
        let mut accounts = Accounts::parse(&text("/etc/passwd"), &text("/etc/group"));
        accounts.more_elsewhere = accounts.passwd.is_empty() || asks_more(&text("/etc/nsswitch.conf"));
        accounts
    }

    pub(super) fn parse(passwd: &str, group: &str) -> Accounts {
        Accounts { passwd: passwd.to_owned(), group: group.to_owned(), more_elsewhere: false }
    }

    /// uid and gid of the user `name`.
    pub(super) fn user(&self, name: &str) -> Option<(u32, u32)> {
        find_account(&self.passwd, name).map(|account| (account.uid, account.gid))
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.groups().any(|(group, ..)| group == name)
    }

    pub(in crate::check) fn user_name(&self, uid: u32) -> String {
        let mut users = self.passwd.lines().map(|line| line.split(':'));
        let name = users.find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        name.unwrap_or_else(|| format!("user {uid}"))
    }

    pub(in crate::check) fn group_name(&self, gid: u32) -> String {
        let name = self.groups().find(|(_, number, _)| *number == gid).map(|(name, ..)| name.to_owned());
        name.unwrap_or_else(|| gid.to_string())
    }

    /// Whether nobody but the user `uid` is in the group `gid`.
    pub(super) fn is_private(&self, gid: u32, uid: u32) -> bool {
        let others_primary = self.passwd.lines().any(|line| {
            let mut fields = line.split(':').skip(2).map(str::parse::<u32>);
            match (fields.next(), fields.next()) {
                (Some(Ok(user)), Some(Ok(group))) => group == gid && user != uid,
                _ => false,
            }
        });
        let owner = self.user_name(uid);
        let members = self.groups().filter(|(_, number, _)| *number == gid);
        let mut members = members.flat_map(|(.., members)| members.split(',')).map(str::trim);
        !others_primary && members.all(|member| member.is_empty() || member == owner)
    }

    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            Some((name, gid, fields.next().unwrap_or("")))
        })
    }
}

/// Whether nsswitch.conf asks others than the files and what every system has.
fn asks_more(nsswitch: &str) -> bool {
    let passwd = nsswitch.lines().find_map(|line| line.trim().strip_prefix("passwd:"));
    passwd.is_some_and(|services| {
        services.split_whitespace().any(|word| !matches!(word, "files" | "compat" | "systemd" | "db"))
    })
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let accounts = Accounts::read(machine);
    if accounts.more_elsewhere {
        return Vec::new();
    }
    let p = scene.main;
    let mut found = Vec::new();
    let owner = scene.mail_owner();
    match (accounts.user("komainu"), accounts.user(&owner)) {
        (None, None) => {
            let message = format!("no account to run as: neither komainu nor {owner} (mail_owner) is there");
            let help = "started by root, the server stops at once: adduser --system --group \
                        --no-create-home --home /var/lib/komainu komainu";
            found.push(Diagnostic::error(545, scene::place(p, "mail_owner"), message).help(help));
        }
        (_, Some((0, _))) => {
            let message = format!("mail_owner = {owner} is root");
            let help = "the server is to have no rights of root while it speaks with strangers: name an \
                        account of its own, such as postfix";
            found.push(Diagnostic::error(546, scene::place(p, "mail_owner"), message).help(help));
        }
        _ => {}
    }
    let named = |name: &str| p.is_set(name).then(|| scene::word(p, name)).flatten();
    let group = named("setgid_group").filter(|group| !accounts.has_group(&group.value));
    let user = named("default_privs").filter(|user| accounts.user(&user.value).is_none());
    for (name, word) in [("setgid_group", group), ("default_privs", user)] {
        found.extend(word.map(|word| {
            let message = format!("{name} = {} is no account of this machine", word.value);
            Diagnostic::hint(545, word.place, message)
                .help("it isn't needed here; Postfix doesn't run without")
        }));
    }
    found
}

/// The account that the server takes when root starts it: its name, uid and gid.
pub(super) fn server(scene: &Scene<'_>, machine: &Machine) -> (String, Option<(u32, u32)>) {
    let accounts = Accounts::read(machine);
    let own = ("komainu".to_owned(), accounts.user("komainu"));
    if own.1.is_some() {
        return own;
    }
    let owner = scene.mail_owner();
    let ids = accounts.user(&owner);
    (owner, ids)
}
