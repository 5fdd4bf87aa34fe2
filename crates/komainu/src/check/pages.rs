//! docs/diagnostics inside the program, so that `--explain K0107` works where there is no source tree.

use config::Code;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// One page of docs/diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whose it is.
    pub code: Code,
    /// The whole of it, as Markdown.
    pub text: &'static str,
}

impl Page {
    /// What its first line says, without the code.
    #[must_use]
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or("");
        first.split_once(": ").map_or(first, |(_, title)| title)
    }
}

/// The page of `code`.
#[must_use]
pub fn find(code: Code) -> Option<Page> {
    let at = PAGES.binary_search_by_key(&code.0, |(number, _)| *number).ok()?;
    PAGES.get(at).map(|(number, text)| Page { code: Code(*number), text })
}

/// A code as people write it: `K0107`, `k107`, `107`.
#[must_use]
pub fn parse(word: &str) -> Option<Code> {
    let digits = word.trim().trim_start_matches(['K', 'k']);
    let plain = digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok().map(Code) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_by_code() {
        let page = find(Code(107)).expect("there");
        assert_eq!(page.title(), "a value that should be a number");
        assert!(page.text.contains("## Repair"));
        assert_eq!(find(Code(9999)), None);
        assert!(PAGES.is_sorted_by_key(|(code, _)| *code), "searched by halves");
    }

    #[test]
    fn codes_as_written() {
        let check = |word: &str, expect: Option<u16>| assert_eq!(parse(word), expect.map(Code), "{word}");
        check("K0107", Some(107));
        check("k107", Some(107));
        check("0107", Some(107));
        check("", None);
        check("K", None);
        check("K01o7", None);
        check("K00107", None);
    }
}
