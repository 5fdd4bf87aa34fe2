//! A machine of the test's own: the test program starts itself again in namespaces with a network, processes,
//! a /etc and a /mnt that nobody else has.

use std::process::Command;

/// In the environment of a test that runs in its world.
const INSIDE: &str = "KOMAINU_TEST_WORLD";

const SETUP: &str = r#"
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
hostname mx.example.com
mount -t tmpfs tmpfs /mnt
cp -a /etc /mnt/etc
mount --bind /mnt/etc /etc
printf '127.0.0.1 localhost\n' >/etc/hosts
printf 'nameserver 127.0.0.1\n' >/mnt/resolv.conf
rm -f /etc/resolv.conf
cp /mnt/resolv.conf /etc/resolv.conf
grep -v '^komainu:' /etc/passwd >/mnt/passwd || true
printf 'komainu:x:2999:2999::/nonexistent:/bin/false\nvmail:x:5000:5000::/nonexistent:/bin/false\n' >>/mnt/passwd
cp /mnt/passwd /etc/passwd
exec "$0" "$@"
"#;

/// What a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing; with root it gets a world all the same.
    Nothing,
    /// Root, and the namespaces that root can make.
    Root,
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["--propagation", "private"]);
    command
}

fn missing() -> Option<String> {
    if !is_root() {
        return Some("not root".to_owned());
    }
    match unshare().args(["sh", "-c", "ip link set lo up && mount -t tmpfs tmpfs /mnt"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no unshare: {error}")),
    }
}

/// Runs the body of the test `name` (`module::function`) in a world of its own.
pub(crate) fn run(name: &str, needs: Needs, body: fn()) {
    if std::env::var_os(INSIDE).is_some() || (needs == Needs::Nothing && !is_root()) {
        body();
        return;
    }
    if let Some(why) = missing() {
        println!("{name}: didn't run: {why}");
        assert!(std::env::var_os("CI").is_none(), "{name}: {why}");
        return;
    }
    let output = unshare()
        .args(["sh", "-euc", SETUP])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("starts");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} in its world: {}\n{said}", output.status);
    assert!(said.contains("1 passed"), "{name}: no test of this name ran\n{said}");
    print!("{said}");
}

/// Runs a line of the shell, which has to succeed; what it said.
pub(crate) fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().expect("runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{}: {said}", output.status);
    said
}
