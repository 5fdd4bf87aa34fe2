//! `-a -A -l -m -T`: what this program has, which is not always what Debian's Postfix was built with.

use super::options::Options;
use super::{Called, Fatal};
use std::io::{self, Write as _};

/// What `-T` may ask for.
const TLS_MODES: [&str; 3] = ["compile-version", "run-version", "public-key-algorithms"];

impl Called<'_> {
    pub(super) fn lists(&self, letter: char, options: &Options) -> Result<bool, Fatal> {
        match letter {
            'm' => tables::served_types().for_each(|name| {
                // A reader that left wants no more.
                let _ = writeln!(io::stdout(), "{name}");
            }),
            'b' | 't' => return self.templates(letter, options),
            'T' if !TLS_MODES.contains(&options.mode.as_str()) => {
                self.warn(&format!("unknown 'postconf -T' mode: {}", options.mode));
                return Ok(false);
            }
            // No SASL, no mbox and no TLS are built in: postconf(1) says that there is no output then.
            _ => {}
        }
        Ok(true)
    }
}
