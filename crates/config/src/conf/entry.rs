//! One service of master.cf as postconf reads and prints it: seven columns, and the command's words.
//!
//! `-o { name = value }` is kept as `name=value`, and printed with braces where white space asks for them.
//! Columns are checked for their form; what a command is, is `MasterCf`'s business.

use super::fold::{Folding, Layout, MASTER_WIDTH};
use super::written::logical_lines;
use super::{Refused, is_space, printable, split_setting};
use std::collections::BTreeMap;

/// The fields' names for `-F`, in the order of the columns.
pub const FIELDS: [&str; 8] =
    ["service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command"];

/// Where the columns begin.
const COLUMNS: [usize; 7] = [11, 17, 25, 33, 41, 49, 57];

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first seven columns.
    columns: [String; 7],
    /// The command, and its words with the outer braces taken away.
    words: Vec<String>,
    /// How many of the words, the command among them, stand before the first that is no option.
    options: usize,
}

/// The services of a master.cf, in order. `path` is how messages name it.
pub fn read_entries(text: &str, path: &str) -> Result<(Vec<Entry>, Vec<String>), Refused> {
    let mut warnings = Vec::new();
    let mut entries = Vec::new();
    for line in logical_lines(text, path, &mut warnings) {
        if line.text.starts_with(is_space) {
            continue;
        }
        let entry = Entry::parse(&line.text, &mut warnings).map_err(|Refused(why)| {
            Refused(if why == BAD_FIELD_COUNT {
                format!("file {path}: line {}: {why}", line.last)
            } else {
                why
            })
        })?;
        entries.push(entry);
    }
    Ok((entries, warnings))
}

pub(super) const BAD_FIELD_COUNT: &str = "bad field count";

impl Entry {
    /// Reads a logical line.
    pub(super) fn parse(line: &str, warnings: &mut Vec<String>) -> Result<Entry, Refused> {
        let words = split(line);
        let (columns, words) = words.split_at_checked(7).ok_or_else(|| Refused::new(BAD_FIELD_COUNT))?;
        let columns: [&str; 7] = columns.try_into().map_err(|_| Refused::new(BAD_FIELD_COUNT))?;
        if words.is_empty() {
            return Err(Refused::new(BAD_FIELD_COUNT));
        }
        for (name, column) in FIELDS.iter().zip(columns) {
            check_field(name, column, line)?;
        }
        let mut entry = Entry { columns: columns.map(str::to_owned), words: Vec::new(), options: 0 };
        entry.set_words(words, warnings);
        Ok(entry)
    }

    fn set_words(&mut self, words: &[&str], warnings: &mut Vec<String>) {
        self.words.clear();
        self.options = 1;
        let mut rest = words.iter().map(|word| unbraced(word, warnings)).collect::<Vec<_>>().into_iter();
        self.words.extend(rest.next());
        let mut in_options = true;
        while let Some(word) = rest.next() {
            if !in_options || !word.starts_with('-') {
                in_options = false;
                self.words.push(word);
                continue;
            }
            match word.strip_prefix("-o") {
                Some("") => {
                    self.words.push(word);
                    self.words.extend(rest.next().map(|setting| normal(setting, warnings)));
                }
                Some(setting) => {
                    self.words.push("-o".to_owned());
                    self.words.push(normal(setting.to_owned(), warnings));
                }
                None => self.words.push(word),
            }
            self.options = self.words.len();
        }
    }

    /// The first column.
    #[must_use]
    pub fn service(&self) -> &str {
        self.columns.first().map_or("", String::as_str)
    }

    /// The second column.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.columns.get(1).map_or("", String::as_str)
    }

    /// The command's first word, without its folder.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word))
    }

    /// `smtp/inet`
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.service(), self.kind())
    }

    /// A column by its name in `FIELDS`; nothing for the command.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&str> {
        let at = FIELDS.iter().position(|field| *field == name)?;
        self.columns.get(at).map(String::as_str)
    }

    /// The `-o name=value` among the options.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let options = self.words.get(..self.options).unwrap_or_default();
        let pairs = options.windows(2).filter_map(|pair| match pair {
            [dash, setting] if dash == "-o" => setting.split_once('='),
            _ => None,
        });
        pairs.filter(|(name, _)| !name.is_empty())
    }

    /// The same with each `-o` value replaced by what `expand` makes of it.
    pub fn map_settings(
        &self,
        expand: impl Fn(&str, &str) -> Result<String, Refused>,
    ) -> Result<Entry, Refused> {
        let mut entry = self.clone();
        let mut at = 1;
        while at + 1 < self.options {
            if self.words.get(at).is_some_and(|word| word == "-o")
                && let Some(setting) = entry.words.get_mut(at + 1)
            {
                if let Some((name, value)) = setting.split_once('=') {
                    *setting = format!("{name}={}", expand(name, value)?);
                }
                at += 1;
            }
            at += 1;
        }
        Ok(entry)
    }

    /// Sets a column, or the command with its words.
    pub(super) fn set_field(
        &mut self,
        name: &str,
        value: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refused> {
        check_field(name, value, value)?;
        match FIELDS.iter().position(|field| *field == name).and_then(|at| self.columns.get_mut(at)) {
            Some(column) => value.clone_into(column),
            None => self.set_words(&split(value), warnings),
        }
        Ok(())
    }

    /// Sets each `-o name=…`, or adds one behind the last option.
    pub(super) fn set_parameter(&mut self, name: &str, value: &str) {
        let new = format!("{name}={value}");
        let mut found = false;
        for at in self.parameter_places(name) {
            if let Some(word) = self.words.get_mut(at + 1) {
                word.clone_from(&new);
                found = true;
            }
        }
        if !found {
            let at = self.options.min(self.words.len());
            self.words.splice(at..at, ["-o".to_owned(), new]);
            self.options = at + 2;
        }
    }

    /// Removes each `-o name=…`.
    pub(super) fn remove_parameter(&mut self, name: &str) {
        for at in self.parameter_places(name).into_iter().rev() {
            self.words.drain(at..at + 2);
            self.options -= 2;
        }
    }

    /// Where the `-o` of `name` stand.
    fn parameter_places(&self, name: &str) -> Vec<usize> {
        let is = |setting: &str| setting.split_once('=').is_some_and(|(other, _)| other == name);
        let options = self.words.get(..self.options).unwrap_or_default();
        let mut places = Vec::new();
        let mut at = 1;
        while let (Some(word), Some(setting)) = (options.get(at), options.get(at + 1)) {
            if word == "-o" {
                if is(setting) {
                    places.push(at);
                }
                at += 1;
            }
            at += 1;
        }
        places
    }

    /// The whole entry, without the last line end.
    #[must_use]
    pub fn print(&self, folding: Folding) -> String {
        let mut text = String::new();
        for (column, next) in self.columns.iter().zip(COLUMNS) {
            text.push_str(column);
            let blanks = next.saturating_sub(text.len()).max(1);
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        let mut layout = Layout::new(&text, folding, MASTER_WIDTH);
        layout.glued(self.words.first().map_or("", String::as_str));
        self.lay_out_words(&mut layout);
        layout.finish()
    }

    /// `label = command words`; without a label, the words alone.
    #[must_use]
    pub fn print_command(&self, label: &str, folding: Folding) -> String {
        let mut layout = Layout::new(label, folding, MASTER_WIDTH);
        let command = self.words.first().map_or("", String::as_str);
        if label.is_empty() {
            layout.glued(command);
        } else {
            layout.glued(" =");
            layout.word(command);
        }
        self.lay_out_words(&mut layout);
        layout.finish()
    }

    fn lay_out_words(&self, layout: &mut Layout) {
        let mut words = self.words.iter().enumerate().skip(1);
        let mut behind_setting = false;
        while let Some((at, word)) = words.next() {
            let is_setting = at < self.options && word == "-o" && at + 1 < self.words.len();
            if is_setting {
                let setting = words.next().map_or("", |(_, setting)| setting.as_str());
                layout.own_line(&format!("-o {}", braced(setting)));
            } else {
                // postconf prints the first word behind the options without its braces.
                let shown = if at <= self.options { word.clone() } else { braced(word) };
                if behind_setting { layout.own_line(&shown) } else { layout.word(&shown) }
            }
            behind_setting = is_setting;
        }
    }
}

/// The `-o` settings of all entries of one name and type: postconf keeps one table for them.
pub(super) fn settings_by_id(entries: &[Entry]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for entry in entries {
        let own = all.entry(entry.id()).or_default();
        own.extend(entry.settings().map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    all
}

fn braced(word: &str) -> String {
    if word.is_empty() || word.contains(is_space) { format!("{{{word}}}") } else { word.to_owned() }
}

/// Words by white space; what is in braces stays together.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut depth) = (None, 0_usize);
    for (at, c) in text.char_indices() {
        let separates = is_space(c) && depth == 0;
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (separates, start) {
            (true, Some(from)) => {
                words.extend(text.get(from..at));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.and_then(|from| text.get(from..)));
    words
}

/// `{ text }` without its braces and the white space inside them.
fn unbraced(word: &str, warnings: &mut Vec<String>) -> String {
    let Some(inner) = word.strip_prefix('{') else { return word.to_owned() };
    let mut depth = 1_usize;
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            let behind = inner.get(at + 1..).unwrap_or("");
            if !behind.is_empty() {
                warnings.push(format!("master.cf: syntax error after '}}' in \"{}\"", printable(word)));
            }
            return inner.get(..at).unwrap_or("").trim_matches(is_space).to_owned();
        }
    }
    warnings.push(format!("master.cf: missing '}}' in \"{}\"", printable(word)));
    inner.trim_matches(is_space).to_owned()
}

/// `name = value` as `name=value`.
fn normal(setting: String, warnings: &mut Vec<String>) -> String {
    match split_setting(&setting) {
        Ok((name, value)) => format!("{name}={value}"),
        Err(Refused(why)) => {
            warnings.push(format!("master.cf: {}", printable(&why)));
            setting
        }
    }
}

/// Whether a column has the form that its name asks for.
fn check_field(name: &str, value: &str, line: &str) -> Result<(), Refused> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let well = match name {
        "service" => !value.is_empty(),
        "type" => matches!(value, "inet" | "unix" | "fifo" | "pass" | "unix-dgram"),
        "private" | "unprivileged" | "chroot" => matches!(value, "y" | "n" | "-"),
        "wakeup" => value == "-" || digits(value.strip_suffix('?').unwrap_or(value)),
        "process_limit" => value == "-" || digits(value),
        _ => !value.trim_matches(is_space).is_empty(),
    };
    if well {
        Ok(())
    } else {
        Err(Refused(format!("invalid {name} field \"{value}\" in \"{}\"", printable(line))))
    }
}
