//! Puts docs/diagnostics into the program: a sorted table of codes and pages for `check/pages.rs`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?)
        .join("../../docs/diagnostics")
        .canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let code = stem.strip_prefix('K').and_then(|digits| digits.parse::<u16>().ok());
        pages.extend(code.map(|code| (code, path)));
    }
    pages.sort();
    let mut text = String::from("static PAGES: &[(u16, &str)] = &[\n");
    for (code, path) in pages {
        writeln!(text, "    ({code}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    text.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("pages.rs"), text)
}
