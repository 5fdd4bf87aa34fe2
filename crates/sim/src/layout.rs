//! What stands on the disk before a dialogue begins: /etc/postfix, an empty queue, empty mailboxes.
//!
//! In a world, or below a folder of its own. The dialogue's main.cf comes first (its line numbers count), then the
//! example's and the runner's own lines, as far as nobody has said otherwise.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::dialogue::{Dialogue, Scene};
use crate::place::Place;
use crate::world;

/// Where the configuration stands in a world.
pub const CONFIG: &str = "/etc/postfix";
/// What main.cf says as well where the usual folder isn't the one.
const OUTSIDE_A_WORLD: &str = "queue_directory = /var/spool/postfix\ndata_directory = /var/lib/postfix\n";

const MAIN: &str = "\
compatibility_level = 3.6
myhostname = mx.example.com
mydestination = mx.example.com, example.com, localhost
mynetworks = 127.0.0.0/8, [::1]/128
alias_maps =
alias_database =
home_mailbox = Maildir/
maillog_file = /var/log/mail.log
inet_protocols = all
";

const MASTER: &str = "\
smtp       inet  n  -  n  -  -  smtpd
smtpd      pass  -  -  n  -  -  smtpd
dnsblog    unix  -  -  n  -  0  dnsblog
tlsproxy   unix  -  -  n  -  0  tlsproxy
pickup     unix  n  -  n  60 1  pickup
cleanup    unix  n  -  n  -  0  cleanup
qmgr       unix  n  -  n  300 1 qmgr
rewrite    unix  -  -  n  -  -  trivial-rewrite
bounce     unix  -  -  n  -  0  bounce
defer      unix  -  -  n  -  0  bounce
trace      unix  -  -  n  -  0  bounce
verify     unix  -  -  n  -  1  verify
flush      unix  n  -  n  1000? 0 flush
proxymap   unix  -  -  n  -  -  proxymap
proxywrite unix  -  -  n  -  1  proxymap
smtp       unix  -  -  n  -  -  smtp
relay      unix  -  -  n  -  -  smtp
showq      unix  n  -  n  -  -  showq
error      unix  -  -  n  -  -  error
retry      unix  -  -  n  -  -  error
discard    unix  -  -  n  -  -  discard
local      unix  -  n  n  -  -  local
virtual    unix  -  n  n  -  -  virtual
lmtp       unix  -  -  n  -  -  lmtp
anvil      unix  -  -  n  -  1  anvil
scache     unix  -  -  n  -  1  scache
tlsmgr     unix  -  -  n  1000? 1 tlsmgr
postlog    unix-dgram n - n  -  1  postlogd
";

/// Logical lines: a line with what continues it.
fn logical(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last)
                if line.starts_with([' ', '\t']) || line.starts_with('#') || line.trim().is_empty() =>
            {
                last.push('\n');
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// `first` and those logical lines of `second` whose key `first` doesn't define.
fn merged(first: &str, second: &str, key: fn(&str) -> String) -> String {
    let defined: Vec<String> = logical(first).iter().map(|line| key(line)).collect();
    let mut out = first.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    for line in logical(second) {
        if !defined.contains(&key(&line)) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

/// main.cf with `lines` in front and without what they define anew.
#[must_use]
pub fn override_main(lines: &str, before: &str) -> String {
    merged(lines, before, parameter)
}

fn parameter(line: &str) -> String {
    line.split('=').next().unwrap_or("").trim().to_owned()
}

fn service(line: &str) -> String {
    let mut words = line.split_whitespace();
    format!("{} {}", words.next().unwrap_or(""), words.next().unwrap_or(""))
}

/// Writes a file with a change time well in the past: Postfix waits for files that were changed just now.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    let file = fs::File::options().append(true).open(path)?;
    file.set_modified(SystemTime::now() - Duration::from_secs(20))
}

/// Lines as a file's text.
#[must_use]
pub fn text(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn empty(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}

/// Lays out the configuration of `dialogue`; `root` is the folder that holds `examples/`.
pub fn lay_out(dialogue: &Dialogue, root: &Path, place: &Place) -> std::io::Result<()> {
    let config = place.config();
    fs::create_dir_all(&config)?;
    for entry in fs::read_dir(&config)?.flatten() {
        let name = entry.file_name();
        let kept = ["dynamicmaps.cf", "dynamicmaps.cf.d", "postfix-files", "postfix-files.d"];
        if kept.iter().any(|kept| name == *kept) {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    let (mut main, mut master) = (String::new(), String::new());
    if let Some(example) = &dialogue.config {
        for entry in fs::read_dir(root.join(example))?.flatten() {
            let content = fs::read_to_string(entry.path())?;
            match entry.file_name().to_str() {
                Some("main.cf") => main = content,
                Some("master.cf") => master = content,
                Some(name) if !name.ends_with(".md") => write(&config.join(name), &place.inside(&content))?,
                _ => {}
            }
        }
    }
    for scene in &dialogue.scene {
        match scene {
            Scene::Main(lines) => main = merged(&text(lines), &main, parameter),
            Scene::Master(lines) => master = merged(&text(lines), &master, service),
            Scene::Table { name, mode, lines } => {
                let path = config.join(name);
                write(&path, &place.inside(&text(lines)))?;
                if let Some(mode) = mode {
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
                }
            }
            Scene::Certificate(name) => {
                let path = config.join(name);
                fs::copy(crate::protected::certificate_path(name), &path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            }
            Scene::Dns(_) | Scene::Auth { .. } | Scene::Policy { .. } => {}
            Scene::NextHop { .. } | Scene::Tables { .. } | Scene::Milter { .. } | Scene::Filter { .. } => {}
        }
    }
    let mut main = merged(&main, MAIN, parameter);
    if !place.is_world() {
        main = merged(&main, OUTSIDE_A_WORLD, parameter);
    }
    write(&config.join("main.cf"), &place.inside(&main))?;
    write(&config.join("master.cf"), &place.inside(&merged(&master, MASTER, service)))
}

/// Makes an empty queue, empty mailboxes, no log.
pub fn folders(place: &Place) -> std::io::Result<()> {
    if place.is_world() { world_folders() } else { own_folders(place) }
}

/// What a server in this process needs: everything is its own, nothing has an owner.
fn own_folders(place: &Place) -> std::io::Result<()> {
    for folder in ["/etc", "/var/log", "/var/mail", "/var/spool/postfix/private", "/var/lib/komainu/queue"] {
        fs::create_dir_all(place.path(folder))?;
    }
    let mut passwd = fs::read_to_string("/etc/passwd")?;
    // Nobody else's rights can be had here.
    let uid = rustix::process::geteuid().as_raw();
    for (user, _) in world::USERS {
        let home = place.path("/var/home").join(user);
        fs::create_dir_all(&home)?;
        passwd.push_str(&format!("{user}:x:{uid}:{uid}::{}:/bin/sh\n", home.display()));
    }
    fs::write(place.path("/etc/passwd"), passwd)?;
    fs::copy("/etc/group", place.path("/etc/group")).map(drop)
}

fn world_folders() -> std::io::Result<()> {
    let place = Place::world();
    let owner = account("/etc/passwd", "postfix");
    let group = account("/etc/group", "postdrop");
    let queue = place.queue();
    empty(&queue)?;
    let _ = fs::remove_file(place.log());
    for name in [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
        "trace", "public", "maildrop", "pid",
    ] {
        let folder = queue.join(name);
        fs::create_dir(&folder)?;
        let mode = match name {
            "pid" => continue,
            "public" => 0o2710,
            "maildrop" => 0o1730,
            _ => 0o700,
        };
        let group = if mode == 0o700 { None } else { group };
        chown(&folder, owner, group)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
    }
    let state = Path::new("/var/lib/postfix");
    empty(state)?;
    chown(state, owner, None)?;
    let _ = fs::remove_dir_all(place.state());
    empty(Path::new("/var/mail"))?;
    chown("/var/mail", Some(5000), Some(5000))?;
    for (user, uid) in world::USERS {
        let home = PathBuf::from("/var/home").join(user);
        empty(&home)?;
        chown(&home, Some(uid), Some(uid))?;
    }
    Ok(())
}

/// The number of an account or group.
fn account(file: &str, name: &str) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The words `TYPE:PATH` in the configuration that need postmap for the table `name`.
#[must_use]
pub fn indexed_tables(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for file in ["main.cf", "master.cf"] {
        let text = fs::read_to_string(Path::new(CONFIG).join(file)).unwrap_or_default();
        for word in text.split(|c: char| c.is_whitespace() || ",={}".contains(c)) {
            let word = word.strip_prefix("proxy:").unwrap_or(word);
            let Some((kind, path)) = word.split_once(':') else { continue };
            let indexed = ["hash", "btree", "lmdb", "cdb"].contains(&kind);
            let path = path.replace("$config_directory", CONFIG);
            if indexed && path == format!("{CONFIG}/{name}") && !words.contains(&format!("{kind}:{path}")) {
                words.push(format!("{kind}:{path}"));
            }
        }
    }
    words
}

/// Makes what postmap wrote look ten seconds old.
pub fn backdate_indexes() -> std::io::Result<()> {
    for entry in fs::read_dir(CONFIG)?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| ["db", "lmdb", "cdb"].iter().any(|e| extension == *e)) {
            let file = fs::File::options().append(true).open(path)?;
            file.set_modified(SystemTime::now() - Duration::from_secs(10))?;
        }
    }
    Ok(())
}

/// A delivered message whose `Delivered-To:` is `recipient`.
#[must_use]
pub fn delivered(recipient: &str, place: &Place) -> Option<String> {
    let mut folders = vec![place.path("/var/home"), place.path("/var/mail")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if folder.ends_with("new") || folder.ends_with("cur") {
                let content = String::from_utf8_lossy(&fs::read(&path).ok()?).into_owned();
                let to = |line: &str| line.strip_prefix("Delivered-To: ") == Some(recipient);
                if content.lines().take_while(|line| !line.is_empty()).any(to) {
                    return Some(content);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_text_wins() {
        let text = merged("a = 1\nb =\n  2\n", "b = 3\n   4\nc = 5\n", parameter);
        assert_eq!(text, "a = 1\nb =\n  2\nc = 5\n");
        let text = merged("smtp inet n - n - - smtpd\n -o a=b\n", "smtp inet x\nsmtp unix y\n", service);
        assert_eq!(text, "smtp inet n - n - - smtpd\n -o a=b\nsmtp unix y\n");
    }
}
