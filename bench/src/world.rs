//! The namespace that the scripts made: loopback up, every address local, a DNS server, descriptors for thousands.

use crate::dns;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

/// Where the servers listen.
pub(crate) const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 25);

/// Where mail for other servers goes: Postfix' smtp-sink, which throws it away.
pub(crate) const SINK: &str = "198.51.100.2";
pub(crate) const SINK_PORT: u16 = 2525;

/// In the environment inside the namespace.
const INSIDE: &str = "KOMAINU_BENCH_WORLD";

/// Refuses to start outside of a namespace, then lays out the world.
pub(crate) fn prepare() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_none() {
        return Err(format!("start it by scripts/bench or scripts/soak, which make a namespace ({INSIDE})"));
    }
    for arguments in
        [&["link", "set", "lo", "up"][..], &["route", "replace", "local", "0.0.0.0/0", "dev", "lo"]]
    {
        run("ip", arguments)?;
    }
    // Many short connections from few addresses.
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535").map_err(|e| format!("ports: {e}"))?;
    let folder = std::env::temp_dir();
    let resolv = folder.join(format!("komainu-bench-resolv-{}.conf", std::process::id()));
    fs::write(&resolv, "nameserver 127.0.0.53\noptions timeout:2 attempts:2\n").map_err(|e| e.to_string())?;
    let mounted = run("mount", &["--bind", &resolv.display().to_string(), "/etc/resolv.conf"]);
    // The mount keeps it.
    let _ = fs::remove_file(&resolv);
    mounted?;
    raise_descriptors();
    // It ends with the namespace; without it the rows that relay say so.
    let sink = format!("{SINK}:{SINK_PORT}");
    let started =
        Command::new("smtp-sink").args(["-u", "nobody", &sink, "1000"]).stdin(Stdio::null()).spawn();
    started.map_err(|e| format!("smtp-sink: {e}"))?;
    crate::sink::start()?;
    dns::start(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 53), 53))).map_err(|e| format!("DNS: {e}"))
}

/// As many descriptors as the system allows.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    // With fewer, the rows that need them say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
}

/// Runs a command and waits for it.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {status}")) }
}
