//! Every parameter of main.cf: one row a parameter.
//!
//! A row has the name, how its value is read, its default in Postfix 3.11 (and in 3.7 where that differs), since
//! when and until when Postfix has it, and how far we serve it; beside it stands a sentence on what it is for.
//! `postconf -d`, docs/reference and `check` are made from these rows. The rows are data and lie in files by their
//! first letters.

mod a_to_d;
mod derived;
mod e_to_l;
mod entry;
mod m_to_o;
mod own;
mod p_to_r;
mod removed;
mod s_to_smtp;
mod sentences;
mod smtpd;
mod t_to_z;

pub use derived::{Derived, derived, derived_examples, derived_suffixes};
pub use entry::{Entry, sentence_fault};

use crate::Compat;
use std::collections::HashMap;
use std::sync::LazyLock;

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Flag,
    /// A whole number.
    Number,
    /// A number of bytes.
    Size,
    /// A time; the unit is for numbers without one.
    Time(Unit),
    /// Words.
    List,
    /// Anything.
    Text,
    /// Anything, and `$name` in it isn't replaced when it is read.
    Raw,
}

impl Kind {
    /// As docs say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Flag => "yes/no",
            Kind::Number => "number",
            Kind::Size => "bytes",
            Kind::Time(_) => "time",
            Kind::List => "list",
            Kind::Text => "text",
            Kind::Raw => "text, not expanded",
        }
    }
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`
    Week,
}

/// Where a default comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This text, which may have `$name` in it.
    Text(&'static str),
    /// Another text in 3.7.
    ByCompat {
        /// Postfix 3.7's.
        v3_7: &'static str,
        /// Postfix 3.11's.
        v3_11: &'static str,
    },
    /// The machine's name and addresses.
    Computed(Computed),
    /// None: the parameter counts as undefined until main.cf defines it.
    Nothing,
}

/// A default that no text can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// The machine's name, made whole with mydomain.
    MyHostname,
    /// myhostname without its first label.
    MyDomain,
    /// Networks of the machine's addresses, by mynetworks_style.
    MyNetworks,
}

/// How far we serve a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Does what Postfix's documentation says.
    Implemented,
    /// Does a part of that: this.
    Partly(&'static str),
    /// Read, and of no effect here, because of this.
    NoEffect(&'static str),
    /// Not served yet.
    NotYet,
}

impl std::fmt::Display for State {
    /// As docs and `--about` say it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            State::Implemented => f.write_str("served"),
            State::Partly(how_far) => write!(f, "served in part: {how_far}"),
            State::NoEffect(because) => write!(f, "without effect here: {because}"),
            State::NotYet => f.write_str("not served yet"),
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in main.cf.
    pub name: &'static str,
    /// How its value is read.
    pub kind: Kind,
    /// What holds when main.cf is silent.
    pub default: Default,
    /// The Postfix version that brought it, where its documentation says.
    pub since: Option<&'static str>,
    /// The last Postfix version that has it under this name.
    pub until: Option<&'static str>,
    /// For a name of the past: what to write instead, or why nothing.
    pub obsolete: Option<&'static str>,
    /// How far we serve it.
    pub state: State,
}

const fn row(name: &'static str, kind: Kind, default: &'static str) -> Parameter {
    let default = Default::Text(default);
    Parameter { name, kind, default, since: None, until: None, obsolete: None, state: State::NotYet }
}

const fn flag(name: &'static str, default: &'static str) -> Parameter {
    row(name, Kind::Flag, default)
}

const fn number(name: &'static str, default: &'static str) -> Parameter {
    row(name, Kind::Number, default)
}

const fn size(name: &'static str, default: &'static str) -> Parameter {
    row(name, Kind::Size, default)
}

const fn time(name: &'static str, unit: Unit, default: &'static str) -> Parameter {
    row(name, Kind::Time(unit), default)
}

const fn list(name: &'static str, default: &'static str) -> Parameter {
    row(name, Kind::List, default)
}

const fn text(name: &'static str, default: &'static str) -> Parameter {
    row(name, Kind::Text, default)
}

const fn raw(name: &'static str, default: &'static str) -> Parameter {
    row(name, Kind::Raw, default)
}

impl Parameter {
    const fn in_3_7(mut self, v3_7: &'static str) -> Parameter {
        if let Default::Text(v3_11) = self.default {
            self.default = Default::ByCompat { v3_7, v3_11 };
        }
        self
    }

    const fn computed(mut self, computed: Computed) -> Parameter {
        self.default = Default::Computed(computed);
        self
    }

    const fn since(mut self, version: &'static str) -> Parameter {
        self.since = Some(version);
        self
    }

    const fn until(mut self, version: &'static str) -> Parameter {
        self.until = Some(version);
        self
    }

    const fn obsolete(mut self, instead: &'static str) -> Parameter {
        self.obsolete = Some(instead);
        self.default = Default::Nothing;
        self
    }

    const fn done(mut self) -> Parameter {
        self.state = State::Implemented;
        self
    }

    const fn partly(mut self, how_far: &'static str) -> Parameter {
        self.state = State::Partly(how_far);
        self
    }

    const fn no_effect(mut self, because: &'static str) -> Parameter {
        self.state = State::NoEffect(because);
        self
    }

    /// What it is for.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        static BY_NAME: LazyLock<HashMap<&'static str, &'static str>> =
            LazyLock::new(|| sentences::FILES.iter().copied().flatten().copied().collect());
        BY_NAME.get(self.name).copied().unwrap_or_default()
    }

    /// The default's text under `compat`, where a text can say it.
    #[must_use]
    pub const fn default_text(&self, compat: Compat) -> Option<&'static str> {
        match (self.default, compat) {
            (Default::Text(text), _) => Some(text),
            (Default::ByCompat { v3_7, .. }, Compat::V3_7) => Some(v3_7),
            (Default::ByCompat { v3_11, .. }, Compat::V3_11) => Some(v3_11),
            (Default::Computed(_) | Default::Nothing, _) => None,
        }
    }
}

/// All rows, sorted by name within each file.
pub fn all() -> impl Iterator<Item = &'static Parameter> + Clone {
    FILES.iter().copied().flatten()
}

/// The row of `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Parameter> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Parameter>> =
        LazyLock::new(|| all().map(|parameter| (parameter.name, parameter)).collect());
    BY_NAME.get(name).copied()
}

const FILES: [&[Parameter]; 9] = [
    own::ROWS,
    a_to_d::ROWS,
    e_to_l::ROWS,
    m_to_o::ROWS,
    p_to_r::ROWS,
    s_to_smtp::ROWS,
    smtpd::ROWS,
    t_to_z::ROWS,
    removed::ROWS,
];

#[cfg(test)]
mod tests;
