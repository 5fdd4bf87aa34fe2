//! `-a -A -b -l -m -t -T`: what this program has, which is not always what Debian's Postfix was built with.

use super::options::Options;
use super::{Called, Fatal};
use crate::strerror::strerror;
use std::io::{self, Write as _};

impl Called<'_> {
    pub(super) fn lists(&self, letter: char, options: &Options) -> Result<bool, Fatal> {
        match letter {
            'm' => tables::served_types().for_each(|name| {
                // A reader that left wants no more.
                let _ = writeln!(io::stdout(), "{name}");
            }),
            'b' | 't' => return self.templates(options),
            // No SASL, no mbox and no TLS are built in: postconf(1) says that there is no output then.
            _ => {}
        }
        Ok(true)
    }

    /// The templates of a file; there are none built in, since no bounces are written.
    fn templates(&self, options: &Options) -> Result<bool, Fatal> {
        let named = options.words.first().filter(|name| !name.is_empty());
        let Some(name) = named else {
            self.warn("no bounces are written yet, and so there are no built-in templates");
            return Ok(true);
        };
        let text =
            std::fs::read(name).map_err(|error| Fatal(format!("open {name}: {}", strerror(&error))))?;
        let _ = io::stdout().write_all(&text);
        Ok(true)
    }
}
