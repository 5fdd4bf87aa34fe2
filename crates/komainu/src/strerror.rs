//! The system's words for an error, as C's strerror(3) has them and Postfix logs them: without the number that Rust
//! puts behind.

use std::io;

/// `Connection refused`.
pub(crate) fn strerror(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.find(" (os error") {
        text.truncate(at);
    }
    text
}
