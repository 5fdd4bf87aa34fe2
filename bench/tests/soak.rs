//! The soak's short form: ten seconds of everything at once, a kill -9 among it, against the program as it was built.
//!
//! Needs root, namespaces, and `komainu` beside this test's own programs (`cargo build` of the workspace). What is
//! missing is said, and is an error in CI. The long forms are scripts/soak.

use std::path::Path;
use std::process::Command;

/// Why it can't run here.
fn missing(komainu: &Path) -> Option<String> {
    if !komainu.exists() {
        return Some(format!("{} isn't built", komainu.display()));
    }
    let tried = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "sh",
            "-c",
            "ip link set lo up && mount -t tmpfs tmpfs /mnt",
        ])
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no unshare: {error}")),
    }
}

#[test]
fn everything_at_once_for_ten_seconds() {
    let bench = Path::new(env!("CARGO_BIN_EXE_bench"));
    let komainu = bench.with_file_name("komainu");
    if let Some(why) = missing(&komainu) {
        println!("didn't run: {why}");
        assert!(std::env::var_os("CI").is_none(), "{why}");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak");
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(bench)
        .args(["soak", "--debug", "--small", "--kill", "--seconds", "10"])
        .env("KOMAINU_BIN", &komainu)
        .env("BENCH_DIR", &folder)
        .env("KOMAINU_BENCH_WORLD", "1")
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    print!("{said}");
}
