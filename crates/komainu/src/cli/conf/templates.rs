//! `-t` and `-b`: the templates of bounces, and their texts as they are sent.
//!
//! Postfix lets bounce(8) do this, which speaks under its own name; so do we where we are called postconf. Where a
//! file is refused, nothing is printed.

use super::file::Coding;
use super::options::Options;
use super::{Called, Fatal, folder};
use crate::cli::say;
use crate::configuration::host;
use crate::strerror::strerror;
use config::{MainCf, Parameters, SourceFile};
use mail::bounce_template::{Template, Templates};
use std::io;
use std::sync::Arc;

impl Called<'_> {
    /// `-t [FILE]`, `-b [FILE]`; whether all went well.
    pub(super) fn templates(&self, letter: char, options: &Options) -> Result<bool, Fatal> {
        if options.words.len() > 1 {
            return Err(Fatal("options -b and -t require at most one template file".to_owned()));
        }
        let parameters = parameters(options)?;
        let named = options.words.first().cloned();
        let name = named.unwrap_or_else(|| parameters.text("bounce_template_file").value);
        // Who speaks of the file.
        let bounce =
            Called { program: if self.program == "postconf" { "postfix/bounce" } else { self.program } };
        match bounce.templates_shown(letter, &name, &parameters) {
            Ok(shown) => {
                say::bytes(&shown);
                Ok(true)
            }
            Err(Fatal(why)) => {
                eprintln!("{}: fatal: {why}", bounce.program);
                Ok(false)
            }
        }
    }

    fn templates_shown(&self, letter: char, name: &str, parameters: &Parameters) -> Result<Vec<u8>, Fatal> {
        let (templates, coding) = self.read_templates(name)?;
        let mut texts = Vec::new();
        for template in templates.iter() {
            texts.push(match letter {
                't' => template.print(),
                _ => self.expanded(template, parameters)?,
            });
        }
        Ok(coding.encode(&texts.join("\n")))
    }

    /// The templates of the file, the built-in ones where none is named.
    fn read_templates(&self, name: &str) -> Result<(Templates, Coding), Fatal> {
        if name.is_empty() {
            return Ok((Templates::default(), Coding::Utf8));
        }
        let mut file =
            std::fs::File::open(name).map_err(|error| Fatal(format!("open {name}: {}", strerror(&error))))?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)
            .map_err(|error| Fatal(format!("read {name}: {}", strerror(&error))))?;
        let coding = Coding::of([bytes.as_slice()]);
        let (templates, warnings) =
            Templates::parse(name, &coding.decode(&bytes)).map_err(|unusable| Fatal(unusable.to_string()))?;
        warnings.iter().for_each(|warning| self.warn(warning));
        Ok((templates, coding))
    }

    fn expanded(&self, template: &Template, parameters: &Parameters) -> Result<String, Fatal> {
        let expanded = parameters.bounce_text(template);
        expanded.warnings.iter().for_each(|warning| self.warn(warning));
        let text = expanded.text.map_err(|unusable| Fatal(unusable.to_string()))?;
        Ok(format!("expanded_{}_text = <<EOF\n{text}EOF\n", template.kind.word()))
    }
}

/// What main.cf says; what is wrong with it is `check`'s business.
fn parameters(options: &Options) -> Result<Parameters, Fatal> {
    let (directory, _) = folder(options);
    let path = directory.join("main.cf");
    let bytes = std::fs::read(&path)
        .map_err(|error| Fatal(format!("open {}: {}", path.display(), strerror(&error))))?;
    let text = Coding::of([bytes.as_slice()]).decode(&bytes);
    let (main, _) = MainCf::parse(&Arc::new(SourceFile { path, text }));
    let (parameters, _) = Parameters::new(&main, &host(), options.compat);
    Ok(parameters)
}
