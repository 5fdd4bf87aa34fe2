//! The words of bounces: built-in templates, and the file that replaces them (`bounce_template_file`).
//!
//! A template has a few headers and a text with `$name` in it. Reading here is as forgiving as bounce(5)'s: a
//! template that can't be used keeps the built-in one, with a warning; only a file whose lines can't be told apart
//! is refused. What `$name` stands for is the configuration's: [`Template::expand`] asks for it line by line.
//! Warnings and refusals are Postfix's, word for word. RFC 3464 says where such texts go.

mod file;
#[cfg(test)]
mod tests;

pub use file::fuzz_templates;

use file::Entry;
use std::time::Duration;

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Mail that can't be delivered.
    Failure,
    /// Mail that waits.
    Delay,
    /// Mail whose delivery was to be confirmed.
    Success,
    /// An answer to `sendmail -bv`.
    Verify,
}

impl Kind {
    /// All, in the order in which they are shown.
    pub const ALL: [Kind; 4] = [Kind::Failure, Kind::Delay, Kind::Success, Kind::Verify];

    /// `failure`: what stands before `_template`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Failure => "failure",
            Kind::Delay => "delay",
            Kind::Success => "success",
            Kind::Verify => "verify",
        }
    }

    const fn built_in_text(self) -> &'static str {
        match self {
            Kind::Failure => include_str!("failure.txt"),
            Kind::Delay => include_str!("delay.txt"),
            Kind::Success => include_str!("success.txt"),
            Kind::Verify => include_str!("verify.txt"),
        }
    }

    const fn built_in_subjects(self) -> (&'static str, Option<&'static str>) {
        match self {
            Kind::Failure => {
                ("Undelivered Mail Returned to Sender", Some("Postmaster Copy: Undelivered Mail"))
            }
            Kind::Delay => ("Delayed Mail (still being retried)", Some("Postmaster Warning: Delayed Mail")),
            Kind::Success => ("Successful Mail Delivery Report", None),
            Kind::Verify => ("Mail Delivery Status Report", None),
        }
    }
}

/// One template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// What it is for.
    pub kind: Kind,
    /// The text's character set.
    pub charset: String,
    /// The report's `From:`.
    pub from: String,
    /// The report's `Subject:`.
    pub subject: String,
    /// The subject of the postmaster's copy, where there is one.
    pub postmaster_subject: Option<String>,
    /// Lines, each with its end, `$name` and all.
    pub text: String,
    /// The file that it comes from, for messages.
    pub origin: String,
}

/// A file that can't be used at all, in Postfix's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Why a line's references can't be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Nobody defines such a name.
    #[error("undefined $name")]
    Undefined,
    /// It is no reference; what is wrong with it.
    #[error("{0}")]
    Syntax(String),
    /// Not this line is wrong, but a value that it refers to.
    #[error("{0}")]
    Value(String),
    /// `$maximal_queue_lifetime_fortnights`.
    #[error("unrecognized suffix \"{suffix}\" in parameter \"{name}\"")]
    Suffix {
        /// The name.
        name: String,
        /// What stands behind the last `_` of the parameter.
        suffix: String,
    },
}

/// An expanded text, or why there is none; and what is to be warned of in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: Result<String, Unusable>,
    /// Postfix's warnings.
    pub warnings: Vec<String>,
}

impl Template {
    /// What is sent when no file says otherwise.
    #[must_use]
    pub fn built_in(kind: Kind) -> Template {
        let (subject, postmaster_subject) = kind.built_in_subjects();
        Template {
            kind,
            charset: "us-ascii".to_owned(),
            from: "Mail Delivery System <MAILER-DAEMON>".to_owned(),
            subject: subject.to_owned(),
            postmaster_subject: postmaster_subject.map(str::to_owned),
            text: kind.built_in_text().to_owned(),
            origin: "[built-in]".to_owned(),
        }
    }

    /// The text's Content-Transfer-Encoding: `7bit` for US-ASCII, else `8bit`.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        if self.charset.eq_ignore_ascii_case("us-ascii") { "7bit" } else { "8bit" }
    }

    /// The text with its references replaced by `replace`, which gets one line at a time, without its end, and a place
    /// for warnings (see [`TimeUnit`]).
    pub fn expand(
        &self,
        mut replace: impl FnMut(&str, &mut Vec<TimeRemark>) -> Result<String, BadReference>,
    ) -> Expanded {
        let mut warnings = Vec::new();
        let mut out = String::new();
        let (origin, kind) = (&self.origin, self.kind.word());
        for line in self.text.split_terminator('\n') {
            let mut remarks = Vec::new();
            let replaced = replace(line, &mut remarks);
            remarks.iter().for_each(|remark| warnings.extend(remark.warnings(origin, kind)));
            let why = match replaced {
                Ok(text) => {
                    out.push_str(&text);
                    out.push('\n');
                    continue;
                }
                Err(BadReference::Undefined) => {
                    format!("{origin}: undefined $name in {kind} template: {}", printable(line))
                }
                Err(BadReference::Syntax(why)) => {
                    warnings.push(printable(&why));
                    format!("{origin}: bad $name syntax in {kind} template: {}", printable(line))
                }
                Err(BadReference::Value(why)) => {
                    warnings.push(printable(&why));
                    "dictionary mail_dict: macro processing error".to_owned()
                }
                Err(suffix @ BadReference::Suffix { .. }) => format!("{origin}: {suffix}"),
            };
            return Expanded { text: Err(Unusable(why)), warnings };
        }
        Expanded { text: Ok(out), warnings }
    }

    /// As `postconf -t` shows it.
    #[must_use]
    pub fn print(&self) -> String {
        let Template { charset, from, subject, text, .. } = self;
        let postmaster =
            self.postmaster_subject.as_ref().map(|subject| format!("Postmaster-Subject: {subject}\n"));
        format!(
            "{}_template = <<EOF\nCharset: {charset}\nFrom: {from}\nSubject: {subject}\n{}\n{text}EOF\n",
            self.kind.word(),
            postmaster.unwrap_or_default()
        )
    }
}

/// The four templates in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    templates: [Template; 4],
}

impl Default for Templates {
    fn default() -> Templates {
        Templates { templates: Kind::ALL.map(Template::built_in) }
    }
}

impl Templates {
    /// The templates of the file `name` with the contents `text`, and Postfix's warnings; what it doesn't have, or has
    /// wrongly, is built in.
    ///
    /// # Errors
    /// [`Unusable`], where the file is no list of templates.
    pub fn parse(name: &str, text: &str) -> Result<(Templates, Vec<String>), Unusable> {
        let (entries, mut warnings) = file::entries(name, text).map_err(Unusable)?;
        let mut templates = Templates::default();
        for template in &mut templates.templates {
            // A later one takes the place of an earlier one.
            let last = entries.iter().rev().find(|entry: &&Entry| entry.kind == template.kind);
            let Some(entry) = last else { continue };
            match file::template(name, entry) {
                Ok(read) => *template = read,
                Err(why) => warnings.extend(why),
            }
        }
        Ok((templates, warnings))
    }

    /// The template for `kind`.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Template {
        let [failure, delay, success, verify] = &self.templates;
        match kind {
            Kind::Failure => failure,
            Kind::Delay => delay,
            Kind::Success => success,
            Kind::Verify => verify,
        }
    }

    /// All, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &Template> {
        self.templates.iter()
    }
}

/// The unit that a time in a text is told in: `$delay_warning_time_hours`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeUnit {
    word: &'static str,
    seconds: u64,
}

/// A time that reads oddly in its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRemark {
    name: String,
    unit: &'static str,
    count: u64,
}

/// Parameters that a text may tell in a unit of its own.
const TIMES: [&str; 2] = ["delay_warning_time", "maximal_queue_lifetime"];
const UNITS: [TimeUnit; 5] = [
    TimeUnit { word: "seconds", seconds: 1 },
    TimeUnit { word: "minutes", seconds: 60 },
    TimeUnit { word: "hours", seconds: 60 * 60 },
    TimeUnit { word: "days", seconds: 24 * 60 * 60 },
    TimeUnit { word: "weeks", seconds: 7 * 24 * 60 * 60 },
];
/// As many of a unit are too many to read well.
const EXCESSIVE: u64 = 1000;

impl TimeUnit {
    /// The parameter and the unit that `name` speaks of; `None` where it is another name.
    ///
    /// # Errors
    /// [`BadReference::Suffix`], for a unit that there isn't.
    pub fn parse(name: &str) -> Result<Option<(&'static str, TimeUnit)>, BadReference> {
        let behind = |parameter: &str| name.strip_prefix(parameter)?.strip_prefix('_');
        let Some((parameter, suffix)) =
            TIMES.into_iter().find_map(|parameter| Some((parameter, behind(parameter)?)))
        else {
            return Ok(None);
        };
        let unit = UNITS.into_iter().find(|unit| unit.word == suffix);
        match unit {
            Some(unit) => Ok(Some((parameter, unit))),
            None => Err(BadReference::Suffix { name: name.to_owned(), suffix: suffix.to_owned() }),
        }
    }

    /// How many whole ones `time` is, and what is odd about that.
    #[must_use]
    pub fn count(self, name: &str, time: Duration) -> (u64, Option<TimeRemark>) {
        let count = time.as_secs().checked_div(self.seconds).unwrap_or(0);
        let odd = (count == 0 && !time.is_zero()) || count >= EXCESSIVE;
        (count, odd.then(|| TimeRemark { name: name.to_owned(), unit: self.word, count }))
    }
}

impl TimeRemark {
    fn warnings(&self, origin: &str, kind: &str) -> [String; 3] {
        let TimeRemark { name, unit, count } = self;
        let (what, change) = match count {
            0 => ("zero result".to_owned(), "reduce"),
            _ => (format!("excessive result \"{count}\""), "increase"),
        };
        [
            format!("{origin}: {what} in {kind} template conversion of parameter \"{name}\""),
            format!("please {change} time unit \"{unit}\" of \"{name}\" in {kind} template"),
            "for instructions see the bounce(5) manual".to_owned(),
        ]
    }
}

/// What can't be shown on a terminal becomes `?`, as in Postfix's messages.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
