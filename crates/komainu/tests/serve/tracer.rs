//! Stops a running server at a step of choice: ptrace(2) sees each system call of the server and of its helper that
//! leaves something behind, on disk or at whoever is spoken to, before it is done.
//!
//! The steps are those calls in the order in which they come, whichever thread makes them; the log's are none. When the
//! step's number comes, the processes get SIGKILL, and the call isn't made. Only on x86-64, for the registers' sake;
//! it doesn't look at what is written. T2.14.

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victims {
    /// All processes at once.
    All,
    /// The server; its helper sees that it is gone.
    Server,
}

/// A call that would leave something behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Whose it is.
    pub(crate) thread: i32,
    pub(crate) call: &'static str,
    /// The file's path, or `socket`.
    pub(crate) path: String,
    /// Where a file is renamed to.
    pub(crate) to: Option<String>,
}

impl std::fmt::Display for Step {
    /// As far as it is the same each time.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<&str> = self.path.split('/').filter(|part| !part.is_empty()).collect();
        let last = parts.get(parts.len().saturating_sub(2)..).unwrap_or_default();
        let plain =
            |part: &&str| if part.contains(|c: char| c.is_ascii_digit()) { "N" } else { *part }.to_owned();
        write!(f, "{} {}", self.call, last.iter().map(plain).collect::<Vec<_>>().join("/"))
    }
}

/// What the thread that traces and the test agree on.
#[derive(Debug, Default)]
struct Plan {
    /// Counting has begun.
    armed: bool,
    /// The step that isn't done, from 0; none where everything is let pass.
    at: Option<usize>,
    /// Only these calls on files whose path ends so are steps.
    of: Option<(&'static str, &'static str)>,
    steps: Vec<Step>,
    killed: bool,
    over: bool,
}

/// A server that is watched.
pub(crate) struct Tracer {
    plan: Arc<Mutex<Plan>>,
    thread: Option<JoinHandle<()>>,
}

fn locked(plan: &Mutex<Plan>) -> std::sync::MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("small"))
}

impl Tracer {
    /// Watches a server and its children from now on.
    pub(crate) fn attach(server: u32, children: &[u32], victims: Victims) -> Tracer {
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        let mut all = vec![pid(server)];
        all.extend(children.iter().map(|child| pid(*child)));
        let (sender, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let threads = seize(&all);
            sender.send(threads).expect("somebody waits");
            let victims = if victims == Victims::All { all } else { vec![pid(server)] };
            watch(&shared, &victims);
        });
        let threads = ready.recv().expect("attaches");
        assert!(threads > 1, "hardly any threads");
        Tracer { plan, thread: Some(thread) }
    }

    /// Counts from here, and kills before the step `at`.
    pub(crate) fn arm(&self, at: usize) {
        let mut plan = locked(&self.plan);
        (plan.armed, plan.at) = (true, Some(at));
        plan.steps.clear();
    }

    /// Counts, from here, only these calls on files whose path ends so, and kills before the one `at`.
    pub(crate) fn arm_for(&self, of: (&'static str, &'static str), at: usize) {
        locked(&self.plan).of = Some(of);
        self.arm(at);
    }

    /// Whether the step has come.
    pub(crate) fn killed(&self) -> bool {
        locked(&self.plan).killed
    }

    /// The steps so far.
    pub(crate) fn steps(&self) -> Vec<Step> {
        locked(&self.plan).steps.clone()
    }

    /// Looks on no longer. The server is to be killed then, if it isn't.
    pub(crate) fn let_go(&mut self, server: u32) {
        locked(&self.plan).over = true;
        // What becomes of it wakes the thread.
        let _ = kill(pid(server), Signal::SIGKILL);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("traces");
        }
    }
}

/// Attaches to all threads; how many.
fn seize(processes: &[Pid]) -> usize {
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
    let mut seen = BTreeSet::new();
    loop {
        let before = seen.len();
        for process in processes {
            for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                let thread: i32 =
                    task.file_name().to_str().and_then(|name| name.parse().ok()).expect("a thread");
                // One that was made by a thread that is watched is watched already.
                if seen.insert(thread) && ptrace::seize(Pid::from_raw(thread), options).is_ok() {
                    // It may have ended.
                    let _ = ptrace::interrupt(Pid::from_raw(thread));
                }
            }
        }
        if seen.len() == before {
            return before;
        }
    }
}

fn watch(plan: &Mutex<Plan>, victims: &[Pid]) {
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        let status = waitpid(None, Some(flags));
        if locked(plan).over {
            return;
        }
        let (thread, signal) = match status {
            Ok(WaitStatus::PtraceSyscall(thread)) => {
                if let Some(step) = step(thread)
                    && take(plan, step)
                {
                    victims.iter().for_each(|victim| kill(*victim, Signal::SIGKILL).expect("kills"));
                    return;
                }
                (thread, None)
            }
            Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
            Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
            Ok(_) => continue,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
        };
        // It may have been killed meanwhile.
        let _ = ptrace::syscall(thread, signal);
    }
}

/// Writes a step down; whether it is the last.
fn take(plan: &Mutex<Plan>, step: Step) -> bool {
    let mut plan = locked(plan);
    let is_meant = |(call, end): (&str, &str)| step.call == call && step.path.ends_with(end);
    if !plan.armed || !plan.of.is_none_or(is_meant) {
        return false;
    }
    plan.killed = plan.at == Some(plan.steps.len());
    plan.steps.push(step);
    plan.killed
}

/// What a call that begins would leave behind; none where it leaves nothing, and at a call's end.
fn step(thread: Pid) -> Option<Step> {
    use nix::libc as c;
    let r = ptrace::getregs(thread).ok()?;
    let not_yet = u64::from_ne_bytes((-i64::from(c::ENOSYS)).to_ne_bytes());
    if r.rax != not_yet {
        return None;
    }
    let creates = r.rdx & u64::from(c::O_CREAT.unsigned_abs()) != 0;
    let open = |at: u64| Some(fs::read_link(format!("/proc/{thread}/fd/{at}")).ok()?.to_str()?.to_owned());
    let (call, path) = match i64::try_from(r.orig_rax).ok()? {
        c::SYS_write | c::SYS_writev | c::SYS_pwrite64 | c::SYS_pwritev | c::SYS_pwritev2 => {
            ("write", open(r.rdi)?)
        }
        c::SYS_copy_file_range => ("write", open(r.rdx)?),
        c::SYS_fsync | c::SYS_fdatasync => ("flush", open(r.rdi)?),
        c::SYS_ftruncate => ("truncate", open(r.rdi)?),
        c::SYS_sendto | c::SYS_sendmsg => ("send", open(r.rdi)?),
        c::SYS_openat if creates => ("create", text(thread, r.rsi)?),
        c::SYS_rename => ("rename", text(thread, r.rdi)?),
        c::SYS_renameat | c::SYS_renameat2 => ("rename", text(thread, r.rsi)?),
        c::SYS_unlink | c::SYS_rmdir => ("unlink", text(thread, r.rdi)?),
        c::SYS_unlinkat => ("unlink", text(thread, r.rsi)?),
        c::SYS_mkdir => ("mkdir", text(thread, r.rdi)?),
        c::SYS_mkdirat => ("mkdir", text(thread, r.rsi)?),
        _ => return None,
    };
    let to = match i64::try_from(r.orig_rax).ok()? {
        c::SYS_rename => text(thread, r.rsi),
        c::SYS_renameat | c::SYS_renameat2 => text(thread, r.r10),
        _ => None,
    };
    Some(Step { thread: thread.as_raw(), call, path: lasting(path)?, to })
}

/// A text in a process's memory.
fn text(thread: Pid, address: u64) -> Option<String> {
    let memory = fs::File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut bytes = [0; 256];
    let count = memory.read_at(&mut bytes, address).ok()?;
    let end = bytes.get(..count)?.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
}

/// A path; none of what doesn't outlast the process, and none of the log.
fn lasting(path: String) -> Option<String> {
    let passing = ["anon_inode:", "/memfd:", "/dev/"].iter().any(|start| path.starts_with(start));
    if passing || path.ends_with("mail.log") || path.contains("/log/std") {
        return None;
    }
    let kind = ["socket", "pipe"].into_iter().find(|kind| path.starts_with(&format!("{kind}:")));
    Some(kind.map_or(path, str::to_owned))
}
