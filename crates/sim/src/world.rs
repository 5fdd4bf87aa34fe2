//! A machine of the test's own: a process in namespaces where every address is local and /etc and /var
//! are fresh, so that a stock Postfix and Komainu can run side by side with anything, on their usual ports and
//! paths.
//!
//! Needs root and `unshare`, `ip`, `mount` of a usual Linux. When the process ends, all in it ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Lays out the world, then becomes the program given as arguments.
const SETUP: &str = r#"
ip link set lo up
ip addr add 198.51.100.25/24 dev lo
ip -6 addr add 2001:db8::25/64 dev lo nodad
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind
hostname mx.example.com
mount -t tmpfs tmpfs /mnt
cp -a /etc /mnt/etc
mount --bind /mnt/etc /etc
mount -t tmpfs tmpfs /var
mkdir -p /etc/postfix /var/log /var/spool /var/lib /var/mail /var/home /var/tmp
chmod 1777 /var/tmp
ln -s /run /var/run
rm -f /etc/resolv.conf
printf 'nameserver 127.0.0.1\nsearch .\noptions timeout:1 attempts:1\n' >/etc/resolv.conf
printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
printf 'hosts: files dns\npasswd: files\ngroup: files\nservices: files\nprotocols: files\n' >/etc/nsswitch.conf
uid=2000
for user in kororo alice bob info spool; do
  uid=$((uid+1))
  printf '%s:x:%s:%s::/var/home/%s:/bin/sh\n' $user $uid $uid $user >>/etc/passwd
  printf '%s:x:%s:\n' $user $uid >>/etc/group
done
printf 'vmail:x:5000:5000::/var/mail:/bin/false\n' >>/etc/passwd
printf 'vmail:x:5000:\n' >>/etc/group
exec "$0" "$@"
"#;

/// The users that exist in the world, beside the machine's own.
pub const USERS: [(&str, u32); 5] =
    [("kororo", 2001), ("alice", 2002), ("bob", 2003), ("info", 2004), ("spool", 2005)];

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["--propagation", "private"]);
    command
}

/// Why no world can be made here, if so.
#[must_use]
pub fn missing() -> Option<String> {
    let tried = unshare().args(["sh", "-c", "ip link set lo up && mount -t tmpfs tmpfs /mnt"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no unshare: {error}")),
    }
}

/// Starts `program` in a world of its own, with pipes on its input and output.
pub fn start(program: &Path, arguments: &[&str]) -> std::io::Result<Child> {
    unshare()
        .args(["sh", "-euc", SETUP])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Set where [`again`] has this program run.
const INSIDE: &str = "SIM_WORLD";

/// Whether this is a test that [`again`] runs in a world.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test of this program again, in a world of its own; what it printed, and whether it passed.
///
/// # Errors
/// The system's.
pub fn again(test: &str) -> std::io::Result<(String, bool)> {
    let program = std::env::current_exe()?.display().to_string();
    let inside = format!("{INSIDE}=1");
    let arguments = [&inside, &program, "--exact", test, "--nocapture", "--test-threads=1"];
    let output = start(Path::new("/usr/bin/env"), &arguments)?.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = output.status.success() && said.contains("1 passed");
    Ok((said, passed))
}
