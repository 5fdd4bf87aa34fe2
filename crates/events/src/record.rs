//! What every event has in common: reading, writing, owning, JSON.
//!
//! `record!` makes a struct that borrows its texts from the line that it was read from, can be made to own
//! them, and writes itself as JSON; `words!` makes an enum of fixed words. What an event's text looks like is
//! not here but in its [`Record`] implementation, by hand: byte for byte is the point of it.

use crate::Severity;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// A text out of a line, or one made for it.
pub type Text<'a> = Cow<'a, str>;

/// One kind of event: how its text is read and written.
pub trait Record<'a>: Sized {
    /// Reads the text behind `program[pid]: `. `None` where the text is of another kind.
    fn read(text: &'a str) -> Option<Self>;
    /// Writes the text that [`Record::read`] reads.
    ///
    /// # Errors
    /// Those of `out`.
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result;
    /// How bad it is.
    fn severity(&self) -> Severity {
        Severity::Info
    }
}

/// What can be a field of a record.
pub(crate) trait Field {
    /// The same, borrowing nothing.
    type Owned;
    fn into_owned(self) -> Self::Owned;
    /// Whether JSON shows it: an empty option doesn't.
    fn is_present(&self) -> bool {
        true
    }
    fn json(&self, out: &mut String);
    /// What [`Field::json`] wrote; nothing where JSON didn't show it.
    fn from_json(value: Option<&Value>) -> Option<Self::Owned>;
}

impl Field for Text<'_> {
    type Owned = Text<'static>;
    fn into_owned(self) -> Text<'static> {
        Cow::Owned(Cow::into_owned(self))
    }
    fn json(&self, out: &mut String) {
        json_text(self, out);
    }
    fn from_json(value: Option<&Value>) -> Option<Text<'static>> {
        value?.as_str().map(|text| text.to_owned().into())
    }
}

impl<T: Field> Field for Option<T> {
    type Owned = Option<T::Owned>;
    fn into_owned(self) -> Option<T::Owned> {
        self.map(Field::into_owned)
    }
    fn is_present(&self) -> bool {
        self.is_some()
    }
    fn json(&self, out: &mut String) {
        match self {
            Some(value) => value.json(out),
            None => out.push_str("null"),
        }
    }
    fn from_json(value: Option<&Value>) -> Option<Option<T::Owned>> {
        match value {
            None => Some(None),
            value => T::from_json(value).map(Some),
        }
    }
}

macro_rules! number_fields {
    ($($type:ty),*) => { $(
        impl Field for $type {
            type Owned = $type;
            fn into_owned(self) -> $type { self }
            fn json(&self, out: &mut String) { out.push_str(&self.to_string()); }
            fn from_json(value: Option<&Value>) -> Option<$type> { value?.as_u64()?.try_into().ok() }
        }
    )* };
}
number_fields!(u16, u32, u64);

impl Field for bool {
    type Owned = bool;
    fn into_owned(self) -> bool {
        self
    }
    fn json(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
    fn from_json(value: Option<&Value>) -> Option<bool> {
        value?.as_bool()
    }
}

/// Writes `text` as a JSON string (RFC 8259 §7).
pub(crate) fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                out.push_str("\\u00");
                for shift in [4, 0] {
                    out.push(char::from_digit((u32::from(c) >> shift) & 15, 16).unwrap_or('0'));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A struct of [`Field`]s, all public, borrowing for one lifetime.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident<$life:lifetime> { $($(#[$note:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name<$life> { $($(#[$note])* pub $field: $type),* }

        impl $name<'_> {
            /// The same, borrowing nothing.
            #[must_use]
            pub fn into_owned(self) -> $name<'static> {
                $name { $($field: $crate::record::Field::into_owned(self.$field)),* }
            }

            /// Writes `,"field":value` for each field that is there.
            pub(crate) fn json_fields(&self, out: &mut String) {
                $(if $crate::record::Field::is_present(&self.$field) {
                    out.push_str(concat!(",\"", stringify!($field), "\":"));
                    $crate::record::Field::json(&self.$field, out);
                })*
            }
        }

        impl<$life> $name<$life> {
            /// Reads the fields that [`Self::json_fields`] wrote.
            pub(crate) fn from_json(object: &serde_json::Value) -> Option<$name<'static>> {
                Some($name {
                    $($field: <$type as $crate::record::Field>::from_json(object.get(stringify!($field)))?),*
                })
            }
        }

        impl $crate::record::Field for $name<'_> {
            type Owned = $name<'static>;
            fn into_owned(self) -> $name<'static> { $name::into_owned(self) }
            fn from_json(value: Option<&serde_json::Value>) -> Option<$name<'static>> {
                $name::from_json(value?)
            }
            fn json(&self, out: &mut String) {
                let mut fields = String::new();
                self.json_fields(&mut fields);
                out.push('{');
                out.push_str(fields.strip_prefix(',').unwrap_or(&fields));
                out.push('}');
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$note])* pub $field: $type),* }

        impl $name {
            /// The same; it borrows nothing as it is.
            #[must_use]
            pub fn into_owned(self) -> $name {
                self
            }

            /// Writes `,"field":value` for each field that is there.
            pub(crate) fn json_fields(&self, out: &mut String) {
                $(
                    out.push_str(concat!(",\"", stringify!($field), "\":"));
                    $crate::record::Field::json(&self.$field, out);
                )*
            }

            /// Reads the fields that [`Self::json_fields`] wrote.
            pub(crate) fn from_json(object: &serde_json::Value) -> Option<$name> {
                Some($name {
                    $($field: <$type as $crate::record::Field>::from_json(object.get(stringify!($field)))?),*
                })
            }
        }
    };
}

/// An enum of fixed words: `as_str`, `from_word`, `Display`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$note])* $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            /// The one with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<$name> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::record::Field for $name {
            type Owned = $name;
            fn into_owned(self) -> $name { self }
            fn json(&self, out: &mut String) { $crate::record::json_text(self.as_str(), out); }
            fn from_json(value: Option<&serde_json::Value>) -> Option<$name> {
                $name::from_word(value?.as_str()?)
            }
        }
    };
}
