//! Starting programs in a folder of the test's own.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) errors: String,
    pub(crate) code: Option<i32>,
}

/// A folder with files, and the program under its names.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bin")).expect("a folder");
        for name in ["postmap", "postalias", "newaliases"] {
            std::os::unix::fs::symlink(komainu(), folder.path().join("bin").join(name)).expect("links");
        }
        let folder = Folder { folder };
        folder.write("main.cf", "compatibility_level = 3.6\n");
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, older than now: postmap reads a file that is quite new again and again.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("writes");
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let file = std::fs::File::options().write(true).open(&path).expect("opens");
        file.set_modified(past).expect("dates");
    }

    /// Runs a program in the folder.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: &[A],
        input: &[u8],
    ) -> Ran {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(self.path())
            .env("MAIL_CONFIG", self.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // A program that ends before it has read everything closes its end.
        let _ = child.stdin.take().expect("piped").write_all(input);
        let output = child.wait_with_output().expect("ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { out: text(output.stdout), errors: text(output.stderr), code: output.status.code() }
    }

    /// Runs our postmap.
    pub(crate) fn postmap<A: AsRef<OsStr>>(&self, arguments: &[A], input: &[u8]) -> Ran {
        self.run(self.path().join("bin/postmap"), arguments, input)
    }

    /// Runs komainu.
    pub(crate) fn komainu(&self, arguments: &[&str]) -> Ran {
        self.run(komainu(), arguments, b"")
    }
}

/// The program under test.
pub(crate) fn komainu() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_komainu"))
}

/// Debian's program of this name.
pub(crate) fn oracle(name: &str) -> Option<PathBuf> {
    let mut places = ["/usr/sbin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(name));
    if let Some(path) = places.find(|path| path.exists()) {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no {name} to compare with");
    println!("not compared: {name} isn't installed");
    None
}
