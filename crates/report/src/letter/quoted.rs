//! Quoted-printable, RFC 2045 §6.7.

/// The longest line.
const LINE: usize = 76;

/// Text as quoted-printable; lines end with LF, the last one too.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.lines() {
        write_line(line, &mut out);
        out.push('\n');
    }
    out
}

fn write_line(line: &str, out: &mut String) {
    let bytes = line.as_bytes();
    let mut width = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let is_last = at + 1 == bytes.len();
        let is_plain = |width: usize| match byte {
            b'=' => false,
            b' ' | b'\t' => !is_last,
            // Mailboxes of one file begin a message with it, and conversations end with it.
            b'F' => width > 0 || !line.get(at..).is_some_and(|rest| rest.starts_with("From ")),
            b'.' => width > 0,
            byte => byte.is_ascii_graphic(),
        };
        let length = |width| if is_plain(width) { 1 } else { 3 };
        // A soft end needs a place of its own.
        if width + length(width) > if is_last { LINE } else { LINE - 1 } {
            out.push_str("=\n");
            width = 0;
        }
        let (is_plain, length) = (is_plain(width), length(width));
        width += length;
        if is_plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("={byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader gets.
    fn read(text: &str) -> String {
        let mut bytes = Vec::new();
        for line in text.split_inclusive('\n') {
            assert!(line.len() <= LINE + 1, "{line}");
            assert!(!line.ends_with(" \n") && !line.starts_with("From ") && !line.starts_with('.'));
            let (line, end) = match line.strip_suffix("=\n") {
                Some(line) => (line, ""),
                None => (line.strip_suffix('\n').unwrap(), "\n"),
            };
            let mut rest = line;
            while let Some((before, behind)) = rest.split_once('=') {
                bytes.extend(before.as_bytes());
                let (code, behind) = behind.split_at(2);
                bytes.push(u8::from_str_radix(code, 16).unwrap());
                rest = behind;
            }
            bytes.extend(rest.as_bytes());
            bytes.extend(end.as_bytes());
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn there_and_back() {
        for text in [
            "",
            "\n",
            "a=b\n",
            "From here\n.\n..\nFro\n",
            "trailing \nand tab\t\n",
            "日本語 – <b>\n",
            &format!("{}\n", "x".repeat(76)),
            &format!("{}\n", "x".repeat(77)),
            &format!("{}\n", "é".repeat(200)),
            &format!("{}.{}From x\n", "x".repeat(75), "y".repeat(74)),
            &format!("{} \n", "x".repeat(75)),
        ] {
            assert_eq!(read(&printable(text)), text);
        }
    }
}
