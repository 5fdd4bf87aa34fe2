//! JSON with a long list in it, written element by element: hundreds of thousands of findings as one value in memory
//! take gigabytes.

use serde_json::Value;
use std::io::{self, Write};

/// What stands in a frame where the list belongs. No path and no text of ours holds it.
pub(super) const LIST: &str = "\u{0}list";

/// Writes `frame`, indented, with `list` in the place of [`LIST`], which stands `depth` levels deep.
pub(super) fn write(
    out: &mut dyn Write,
    frame: &Value,
    depth: usize,
    list: impl Iterator<Item = Value>,
) -> io::Result<()> {
    let frame = format!("{frame:#}");
    let marker = Value::from(LIST).to_string();
    let (before, behind) = frame.split_once(marker.as_str()).unwrap_or((frame.as_str(), ""));
    let indent = format!("\n{}", "  ".repeat(depth));
    write!(out, "{before}[")?;
    let mut any = false;
    for value in list {
        let text = format!("{value:#}").replace('\n', &format!("{indent}  "));
        write!(out, "{}{indent}  {text}", if any { "," } else { "" })?;
        any = true;
    }
    let end = if any { indent.as_str() } else { "" };
    writeln!(out, "{end}]{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As if it had been one value.
    #[test]
    fn the_same_text_as_in_one_piece() {
        for list in [json!([]), json!([1]), json!([{ "a": [1, "x\ny"] }, {}])] {
            let with = |list: Value| json!({ "a": { "list": list, "z": 2 }, "b": [] });
            let mut out = Vec::new();
            let items = list.as_array().expect("a list").iter().cloned();
            write(&mut out, &with(LIST.into()), 2, items).expect("written");
            assert_eq!(String::from_utf8(out).expect("text"), format!("{:#}\n", with(list)));
        }
    }
}
