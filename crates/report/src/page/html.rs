//! Markup that is written, never parsed: what isn't a constant of the program gets in as text or as a number alone.

use crate::sheet::shown;
use std::fmt::Write;

/// A document that grows.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Markup, which stands in the program.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Text, in an element or between the quotes of an attribute.
    pub(crate) fn text(&mut self, text: &str) -> &mut Html {
        for letter in shown(text).chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                letter => self.0.push(letter),
            }
        }
        self
    }

    /// Text that may be of another direction, or a stranger's.
    pub(crate) fn apart(&mut self, text: &str) -> &mut Html {
        self.raw("<bdi>").text(text).raw("</bdi>")
    }

    /// The same; a long name may go on in the next line behind these characters.
    pub(crate) fn breakable(&mut self, text: &str) -> &mut Html {
        self.raw("<bdi>");
        for piece in text.split_inclusive(['_', '@', '/', '.']) {
            self.text(piece);
            self.raw(if piece.ends_with(['_', '@', '/', '.']) { "<wbr>" } else { "" });
        }
        self.raw("</bdi>")
    }

    /// A whole number, as machines read it.
    pub(crate) fn number(&mut self, number: u64) -> &mut Html {
        // A string takes everything.
        let _ = write!(self.0, "{number}");
        self
    }

    /// Thousandths, as machines read them: 12345 is `12.345`.
    pub(crate) fn thousandths(&mut self, number: u64) -> &mut Html {
        let _ = write!(self.0, "{}.{:03}", number / 1000, number % 1000);
        self
    }

    /// All of it.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// So many thousandths of `whole` as `part` is; something is never nothing.
pub(crate) fn scaled(part: u64, whole: u64, thousandths: u64) -> u64 {
    if whole == 0 || part == 0 {
        return 0;
    }
    let exact = u128::from(part.min(whole)) * u128::from(thousandths) / u128::from(whole);
    u64::try_from(exact).unwrap_or(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\"><script>'&amp;\n").raw("\">").apart("\u{202e}<").raw("</p>");
        html.number(12).raw(" ").thousandths(1_050);
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;amp;‹U+000A›\"><bdi>‹U+202E›&lt;</bdi></p>12 1.050"
        );
    }

    #[test]
    fn scales() {
        for (part, whole, expect) in
            [(0, 0, 0), (1, 0, 0), (1, 2, 500), (3, 2, 1000), (u64::MAX, u64::MAX, 1000)]
        {
            assert_eq!(scaled(part, whole, 1000), expect);
        }
    }
}
