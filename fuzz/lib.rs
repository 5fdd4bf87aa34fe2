//! What several targets need: nothing but cutting their input up.

/// The first line as text, and the rest.
#[must_use]
pub fn first_line(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    (String::from_utf8_lossy(line).into_owned(), rest.get(1..).unwrap_or_default())
}
