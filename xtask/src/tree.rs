//! The tree as the checks see it: paths and texts, read once. Build output and hidden folders are left out.

use std::io;
use std::path::{Path, PathBuf};

/// One file with text in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All files, sorted by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<File>,
}

/// The repository's root: where xtask's own folder lies.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

impl Tree {
    pub(crate) fn read(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree { root: root.to_owned(), files: Vec::new() };
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with('.')
                    || matches!(name.as_str(), "target" | "corpus" | "artifacts")
                    || path.is_symlink()
                {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = std::fs::read_to_string(&path) {
                    let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                    tree.files.push(File { path, text });
                }
            }
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// All Rust sources.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// A tree of these files, for tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Tree { root: PathBuf::new(), files: files.iter().map(file).collect() }
    }
}

impl File {
    /// Whether it only tests: a test's data, an integration test, `tests.rs`.
    pub(crate) fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.starts_with("docs/guide/")
    }

    /// The part of a source that tests.
    pub(crate) fn test_part(&self) -> &str {
        if self.is_test() {
            return &self.text;
        }
        if !self.path.ends_with(".rs") {
            return "";
        }
        self.text.get(self.end_of_program()..).unwrap_or("")
    }

    /// The part of a source that runs in the program.
    pub(crate) fn program_part(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text.get(..self.end_of_program()).unwrap_or("")
    }

    /// Where the tests of a source begin: `#[cfg(test)] mod tests { …`.
    fn end_of_program(&self) -> usize {
        let starts = self.text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at);
        let mut inline = starts.filter(|at| {
            self.text
                .get(*at..)
                .is_some_and(|text| text.lines().nth(1).is_some_and(|line| line.ends_with('{')))
        });
        inline.next().unwrap_or(self.text.len())
    }

    /// The crate that it belongs to.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}
