//! Programs of master.cf's `spawn` lines, started as spawn(8) starts them: one for each connection.
//!
//! `policyd-spf unix - n n - 0 spawn user=policyd-spf argv=/usr/bin/policyd-spf`. Postfix's master listens
//! on a socket in the queue folder for them; here a policy server of that name is started at the moment
//! when it is asked, with the socket as its standard input, output and error (T2.11).

use super::rights::find_account;
use config::Service;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The words of a spawn line.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    user: Option<&'a str>,
    argv: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn read(service: &'a Service) -> Line<'a> {
        let mut line = Line { user: None, argv: Vec::new() };
        for argument in &service.arguments {
            let word = argument.value.as_str();
            if !line.argv.is_empty() {
                line.argv.push(word);
            } else if let Some(program) = word.strip_prefix("argv=") {
                line.argv.push(program);
            } else if let Some(user) = word.strip_prefix("user=") {
                line.user = Some(user);
            }
        }
        line
    }
}

/// The path of a service's socket below the queue folder, as policy endpoints name it.
#[must_use]
pub fn socket_path(service: &Service) -> String {
    format!("{}/{}", if service.private { "private" } else { "public" }, service.name.value)
}

/// The program that a line names.
#[must_use]
pub fn program(service: &Service) -> Option<&str> {
    Line::read(service).argv.first().copied()
}

/// Starts the program; gives our end of its socket. As root it runs as the line's user, who can't be root;
/// without root's rights it runs as we do.
///
/// # Errors
/// When the line names no program or no user that exists, or the program can't be started.
pub fn start(service: &Service, passwd: &str) -> io::Result<OwnedFd> {
    let line = Line::read(service);
    let fault = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    let Some((program, arguments)) = line.argv.split_first() else {
        return Err(fault(format!("service {}: no argv=", service.name.value)));
    };
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    command
        .stdin(Stdio::from(theirs.try_clone()?))
        .stdout(Stdio::from(theirs.try_clone()?))
        .stderr(Stdio::from(theirs));
    if super::rights::is_root() {
        // spawn(8): `user=name:group` names another group than the user's own.
        let name = line.user.map(|user| user.split(':').next().unwrap_or(user));
        let name = name.ok_or_else(|| fault(format!("service {}: no user=", service.name.value)))?;
        let account = find_account(passwd, name).filter(|account| account.uid != 0);
        let account =
            account.ok_or_else(|| fault(format!("service {}: no user {name}", service.name.value)))?;
        command.uid(account.uid).gid(account.gid);
    }
    let mut child = command.spawn()?;
    let reap = move || {
        // Its exit code is nobody's business: a policy server that failed has answered nothing.
        let _ = child.wait();
    };
    std::thread::Builder::new().name("spawned".into()).spawn(reap)?;
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{MasterCf, SourceFile};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    fn service(line: &str) -> Service {
        let file = Arc::new(SourceFile { path: "master.cf".into(), text: line.to_owned() });
        MasterCf::parse(&file).0.services.remove(0)
    }

    #[test]
    fn words_of_the_line() {
        let service = service("policy unix - n n - 0 spawn\n  user=nobody argv=/bin/cat -u -\n");
        let line = Line::read(&service);
        assert_eq!(line, Line { user: Some("nobody"), argv: vec!["/bin/cat", "-u", "-"] });
        assert_eq!(socket_path(&service), "private/policy");
    }

    #[test]
    fn the_program_talks_over_its_standard_streams() {
        let service = service("echo unix - n n - 0 spawn user=nobody argv=/bin/cat\n");
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let mut socket = UnixStream::from(start(&service, &passwd).unwrap());
        socket.write_all(b"request=x\n\n").unwrap();
        let mut back = [0; 11];
        socket.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"request=x\n\n");
    }
}
