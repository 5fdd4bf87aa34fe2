//! Long lines of a report: cut at blanks, so that they stay below 80 bytes where words allow it.

/// The length of a line, its indentation counted.
const WIDTH: usize = 79;
/// In front of all lines but the first.
const INDENT: &str = "    ";

/// Writes `text` in lines of at most [`WIDTH`] bytes; a longer word has a line of its own.
pub(super) fn fold(text: &str, out: &mut String) {
    fold_to(WIDTH, text, out);
}

/// The same in lines of at most `width` bytes.
pub fn fold_to(width: usize, text: &str, out: &mut String) {
    let mut length = 0;
    let mut is_first = true;
    let mut blanks = 0;
    for word in text.split(' ') {
        let gap = blanks;
        blanks = 1;
        if is_first {
            is_first = false;
        } else if word.is_empty() {
            blanks = gap + 1;
            continue;
        } else if length + gap + word.len() <= width {
            out.extend(std::iter::repeat_n(' ', gap));
            length += gap;
        } else {
            out.push('\n');
            out.push_str(INDENT);
            length = INDENT.len();
        }
        out.push_str(word);
        length += word.len();
    }
    out.push('\n');
}
