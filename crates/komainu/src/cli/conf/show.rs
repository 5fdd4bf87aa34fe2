//! Showing parameters, services, their fields and their settings.

use super::file::Coding;
use super::options::{Action, Form, Options};
use super::{Called, Fatal, folder};
use crate::cli::say;
use crate::configuration::host;
use crate::strerror::strerror;
use config::conf::{
    Conf, Entry, FIELDS, Folding, Machine, Refused, Sources, fold_setting, fold_value, squeezed,
};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What is shown, in the coding of the files.
struct Out {
    coding: Coding,
}

impl Out {
    fn line(&self, text: &str) {
        let mut bytes = self.coding.encode(text);
        bytes.push(b'\n');
        say::bytes(&bytes);
    }

    fn json(name: &str, value: &str) {
        let (name, value) = (serde_json::Value::from(name), serde_json::Value::from(value));
        println!("{{{name}: {value}}}");
    }

    /// `name = value`, or the part of it that was asked for.
    fn setting(&self, name: &str, value: &str, options: &Options) {
        match options.form {
            Form::NameAndValue => self.line(&fold_setting(name, value, options.folding)),
            Form::Name => self.line(name),
            Form::Value => self.line(&fold_value(value, options.folding)),
            Form::Json => Out::json(name, &squeezed(value)),
        }
    }
}

impl Called<'_> {
    pub(super) fn show(&self, options: &Options) -> Result<(), Fatal> {
        let (conf, coding, warnings) = self.read(options)?;
        warnings.iter().for_each(|warning| self.warn(warning));
        let out = Out { coding };
        match options.action {
            Action::Main => self.parameters(&conf, options, &out)?,
            Action::Entries => self.entries(&conf, options, &out)?,
            Action::Fields => self.fields(&conf, options, &out)?,
            Action::Settings | Action::Lists(_) => self.settings(&conf, options, &out)?,
        }
        if options.has('q') {
            return Ok(());
        }
        if options.action == Action::Main && !options.has('d') {
            conf.deprecated_in_main().iter().for_each(|warning| self.warn(warning));
            conf.unused_in_main().iter().for_each(|warning| self.warn(warning));
        }
        if !options.has('d') {
            conf.unused_in_master().iter().for_each(|warning| self.warn(warning));
        }
        Ok(())
    }

    fn read(&self, options: &Options) -> Result<(Conf, Coding, Vec<String>), Fatal> {
        let (directory, named) = folder(options);
        let shown = directory.display().to_string();
        let absent = |path: &Path, error: &io::Error| format!("open {}: {}", path.display(), strerror(error));
        let main = if options.has('d') {
            None
        } else {
            let path = directory.join("main.cf");
            Some(std::fs::read(&path).map_err(|error| Fatal(absent(&path, &error)))?)
        };
        let path = directory.join("master.cf");
        let master = match std::fs::read(&path) {
            Ok(text) => Some(text),
            Err(error) if options.action == Action::Main => {
                self.warn(&absent(&path, &error));
                None
            }
            Err(error) => return Err(Fatal(absent(&path, &error))),
        };
        let coding = Coding::of(main.as_deref().into_iter().chain(master.as_deref()));
        let (main, master) = (main.map(|text| coding.decode(&text)), master.map(|text| coding.decode(&text)));
        let sources = Sources {
            directory: &shown,
            main: main.as_deref(),
            master: master.as_deref(),
            overrides: &options.overrides,
            directory_named: named,
        };
        let of_process = BTreeMap::from([
            ("process_id".to_owned(), std::process::id().to_string()),
            ("process_name".to_owned(), "postconf".to_owned()),
        ]);
        let machine = Machine { host: host(), compat: options.compat, of_process };
        let (conf, warnings) = Conf::read(&sources, &machine).map_err(|refused| self.refused(refused))?;
        Ok((conf, coding, warnings))
    }

    /// A refusal; what is wrong inside a `$name` is a warning first, as Postfix's.
    fn refused(&self, Refused(text): Refused) -> Fatal {
        match text.strip_prefix("macro processing error: ") {
            Some(why) => {
                self.warn(why);
                Fatal("macro processing error".to_owned())
            }
            None => Fatal(text),
        }
    }

    fn parameters(&self, conf: &Conf, options: &Options, out: &Out) -> Result<(), Fatal> {
        let names = if options.words.is_empty() {
            conf.names(&options.classes, options.has('n'))
        } else {
            let known = |name: &&String| {
                let known = conf.class(name).is_some();
                if !known {
                    self.warn(&format!("{name}: unknown parameter"));
                }
                known
            };
            options.words.iter().filter(known).cloned().collect()
        };
        for name in names {
            let value = match (options.has('d'), options.has('n')) {
                (true, _) => conf.default(&name),
                (false, true) => conf.set_value(&name).map(str::to_owned),
                (false, false) => conf.value(&name),
            };
            let Some(mut value) = value else { continue };
            if options.has('x') {
                value = conf.expanded(&name, &value).map_err(|refused| self.refused(refused))?;
            }
            out.setting(&name, &value, options);
        }
        Ok(())
    }

    fn entries(&self, conf: &Conf, options: &Options, out: &Out) -> Result<(), Fatal> {
        let requests = requests(options, 2, "-M option requires service_name[/type]")?;
        self.each(conf, &requests, |entry, _| {
            let entry = self.shown(conf, entry, options)?;
            match options.form {
                Form::Json => Out::json(&entry.id(), &entry.print(Folding::Never)),
                _ => out.line(&entry.print(options.folding)),
            }
            Ok(true)
        })
    }

    /// The entry with its settings expanded where that was asked for.
    fn shown(&self, conf: &Conf, entry: &Entry, options: &Options) -> Result<Entry, Fatal> {
        if !options.has('x') {
            return Ok(entry.clone());
        }
        let id = entry.id();
        let expand = |name: &str, value: &str| conf.expanded_for(&id, name, value);
        entry.map_settings(expand).map_err(|refused| self.refused(refused))
    }

    fn fields(&self, conf: &Conf, options: &Options, out: &Out) -> Result<(), Fatal> {
        let requests = requests(options, 3, "-F option requires service_name[/type[/field]]")?;
        for Request { name, .. } in &requests {
            if name != "*" && !FIELDS.contains(&name.as_str()) {
                return Err(Fatal(format!("invalid service attribute name: \"{name}\"")));
            }
        }
        self.each(conf, &requests, |entry, wanted| {
            for field in FIELDS.into_iter().filter(|field| wanted == "*" || wanted == *field) {
                self.field(conf, (entry, field), options, out)?;
            }
            Ok(true)
        })
    }

    fn field(
        &self,
        conf: &Conf,
        (entry, field): (&Entry, &str),
        options: &Options,
        out: &Out,
    ) -> Result<(), Fatal> {
        let label = format!("{}/{field}", entry.id());
        match (entry.column(field), options.form) {
            (Some(value), _) => out.setting(&label, value, options),
            (None, Form::Name) => out.line(&label),
            (None, form) => {
                let entry = self.shown(conf, entry, options)?;
                match form {
                    Form::Json => Out::json(&label, &entry.print_command("", Folding::Never)),
                    Form::Value => out.line(&entry.print_command("", options.folding)),
                    _ => out.line(&entry.print_command(&label, options.folding)),
                }
            }
        }
        Ok(())
    }

    fn settings(&self, conf: &Conf, options: &Options, out: &Out) -> Result<(), Fatal> {
        let requests = requests(options, 3, "-P option requires service_name[/type[/parameter]]")?;
        self.each(conf, &requests, |entry, wanted| {
            let id = entry.id();
            let mut any = false;
            for (name, value) in conf.settings(&id).filter(|(name, _)| wanted == "*" || wanted == *name) {
                let value = if options.has('x') {
                    conf.expanded_for(&id, name, value).map_err(|refused| self.refused(refused))?
                } else {
                    value.to_owned()
                };
                out.setting(&format!("{id}/{name}"), &value, options);
                any = true;
            }
            Ok(any)
        })
    }

    /// Calls `show` for each request and each service that it means; says what meant none.
    fn each(
        &self,
        conf: &Conf,
        requests: &[Request],
        show: impl Fn(&Entry, &str) -> Result<bool, Fatal>,
    ) -> Result<(), Fatal> {
        for request in requests {
            let mut any = false;
            for entry in conf.entries().iter().filter(|entry| request.means(entry)) {
                any |= show(entry, &request.name)?;
            }
            if !any && !request.word.is_empty() {
                self.warn(&format!("unmatched request: \"{}\"", request.word));
            }
        }
        Ok(())
    }
}

/// `service[/type[/name]]`; a part that isn't there is any.
struct Request {
    word: String,
    service: String,
    kind: String,
    name: String,
}

impl Request {
    fn means(&self, entry: &Entry) -> bool {
        let is = |pattern: &str, word: &str| pattern == "*" || pattern == word;
        is(&self.service, entry.service()) && is(&self.kind, entry.kind())
    }
}

fn requests(options: &Options, parts: usize, shape: &str) -> Result<Vec<Request>, Fatal> {
    let any = [String::new()];
    let words = if options.words.is_empty() { &any[..] } else { &options.words };
    words
        .iter()
        .map(|word| {
            let given: Vec<&str> = if word.is_empty() { Vec::new() } else { word.split('/').collect() };
            if given.len() > parts || given.iter().any(|part| part.is_empty()) {
                return Err(Fatal(shape.to_owned()));
            }
            let part = |at: usize| given.get(at).copied().unwrap_or("*").to_owned();
            Ok(Request { word: word.clone(), service: part(0), kind: part(1), name: part(2) })
        })
        .collect()
}
