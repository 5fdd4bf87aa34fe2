//! The words behind a command of master.cf: `-o name=value`, `-o { name = value }`, `-v`, `-D`, and the rest.
//!
//! Options end at the first word that is none, as for Postfix: what follows `argv=` is the other program's.
//! Diagnostics: K0210 `-o name = value` with white space around `=` (T0.4), K0211 a stray word, K0212 `-o` with
//! nothing or no `=`, K0213 a missing `}` or text behind it, K0214 an unknown option.

use super::{Line, Override, Service};
use crate::conf::is_space;
use crate::traced::Traced;
use crate::{Diagnostic, Place, Spanned};
use std::ops::Range;

/// A word behind the command.
#[derive(Clone, Debug)]
struct Argument {
    /// With the braces.
    whole: Range<usize>,
    /// Without the braces and the white space inside them.
    inner: Range<usize>,
    braced: bool,
}

/// The words, taken from the front.
struct Arguments<'a> {
    text: &'a Traced,
    words: std::collections::VecDeque<Argument>,
}

impl Arguments<'_> {
    fn str(&self, range: &Range<usize>) -> &str {
        self.text.as_str().get(range.clone()).unwrap_or("")
    }

    fn spanned(&self, range: Range<usize>) -> Spanned<String> {
        Spanned::new(self.str(&range).to_owned(), self.text.place(range))
    }

    fn next_is(&self, accept: impl Fn(&str) -> bool) -> bool {
        self.words.front().is_some_and(|word| accept(self.str(&word.whole)))
    }

    /// The words up to the next option: the rest of a value whose white space split it.
    fn rest_of_value(&mut self) -> Option<usize> {
        let mut end = None;
        while self.next_is(|word| !word.starts_with('-') && word != "\\") {
            end = self.words.pop_front().map(|word| word.whole.end);
        }
        end
    }
}

impl Line<'_> {
    /// Reads the words behind the command into `service`.
    pub(super) fn arguments(&mut self, service: &mut Service) {
        let words = self.split_arguments();
        let mut arguments = Arguments { text: self.text, words: words.into() };
        while let Some(word) = arguments.words.pop_front() {
            let text = arguments.str(&word.inner).to_owned();
            let letters = text.strip_prefix('-').filter(|letters| !letters.is_empty());
            match letters {
                Some(letters) if !word.braced => self.option(service, &mut arguments, &word, letters),
                _ if service.role().takes_arguments() => {
                    service.arguments.push(arguments.spanned(word.inner));
                    let rest = std::mem::take(&mut arguments.words);
                    service.arguments.extend(rest.into_iter().map(|word| arguments.spanned(word.inner)));
                }
                _ if service.role().takes_flags() && text.starts_with("flags=") => {
                    service.arguments.push(arguments.spanned(word.inner));
                }
                _ => self.stray(service, &mut arguments, &word),
            }
        }
    }

    /// The words, `{ … }` as one.
    fn split_arguments(&mut self) -> Vec<Argument> {
        let text = self.text.as_str();
        let mut words = Vec::new();
        loop {
            let rest = text.get(self.at..).unwrap_or("");
            let start = self.at + (rest.len() - rest.trim_start_matches(is_space).len());
            if start >= text.len() {
                return words;
            }
            let rest = text.get(start..).unwrap_or("");
            let (length, closed) = word_length(rest);
            let whole = start..start + length;
            self.at = whole.end;
            let braced = rest.starts_with('{');
            let mut inner = whole.clone();
            if braced {
                inner = self.unbraced(whole.clone(), closed);
            }
            words.push(Argument { whole, inner, braced });
        }
    }

    /// What stands inside the braces of `whole`.
    fn unbraced(&mut self, whole: Range<usize>, closed: bool) -> Range<usize> {
        let text = self.text.as_str().get(whole.clone()).unwrap_or("");
        let close = if closed { closing(text) } else { None };
        let end = close.map_or(whole.end, |at| whole.start + at);
        let message = match close {
            None => Some(format!("missing '}}' in \"{}\"", text.trim_end())),
            Some(at) if at + 1 < text.len() => Some(format!("syntax error after '}}' in \"{text}\"")),
            Some(_) => None,
        };
        if let Some(message) = message {
            let place = self.text.place(whole.clone());
            self.tell(
                Diagnostic::error(213, place, message).help("write `{ the argument }`, closed and alone"),
            );
        }
        trimmed(self.text.as_str(), whole.start + 1..end)
    }

    fn option(
        &mut self,
        service: &mut Service,
        arguments: &mut Arguments<'_>,
        word: &Argument,
        letters: &str,
    ) {
        let mut left = letters;
        while let Some(letter) = left.chars().next() {
            left = left.get(letter.len_utf8()..).unwrap_or("");
            match letter {
                'v' => service.verbose = service.verbose.saturating_add(1),
                'D' => service.debugger = true,
                'o' if left.is_empty() => return self.override_behind(service, arguments, word),
                'o' => {
                    let start = word.inner.end - left.len();
                    return self.override_in(service, arguments, word, start..word.inner.end);
                }
                _ => {
                    let place = self.text.place(word.whole.clone());
                    self.tell(
                        Diagnostic::warning(214, place, format!("the option `-{letter}` is unknown"))
                            .help("options are `-o name=value`, `-v` and `-D`"),
                    );
                    service.arguments.push(arguments.spanned(word.inner.clone()));
                    return;
                }
            }
        }
    }

    /// `-o` and the word behind it.
    fn override_behind(&mut self, service: &mut Service, arguments: &mut Arguments<'_>, option: &Argument) {
        let Some(word) = arguments.words.pop_front() else {
            let place = self.text.place(option.whole.clone());
            self.tell(Diagnostic::error(212, place, "`-o` stands at the end").help("write `-o name=value`"));
            return;
        };
        if !word.braced {
            return self.override_in(service, arguments, option, word.inner);
        }
        let text = arguments.str(&word.inner);
        match text.split_once('=') {
            Some((name, _)) if !name.trim().is_empty() && !name.trim().contains(char::is_whitespace) => {
                let equals = word.inner.start + name.len();
                push(service, arguments, word.inner.start..equals, equals + 1..word.inner.end);
            }
            _ => self.without_equals(&word.whole, text),
        }
    }

    /// `-o name=value` in one word, or split by white space that Postfix can't read.
    fn override_in(
        &mut self,
        service: &mut Service,
        arguments: &mut Arguments<'_>,
        option: &Argument,
        word: Range<usize>,
    ) {
        let text = arguments.str(&word).to_owned();
        let equals = match text.find('=') {
            Some(at) => word.start + at,
            None if arguments.next_is(|next| next.starts_with('=')) => {
                arguments.words.front().map_or(word.end, |next| next.whole.start)
            }
            None => return self.without_equals(&word, &text),
        };
        let before = trimmed(self.text.as_str(), word.start..equals);
        if before.is_empty() {
            return self.without_equals(&word, &text);
        }
        // What a value goes on with, up to the next option: for pipe and spawn arguments stand there.
        let takes_arguments = service.role().takes_arguments();
        let split_equals = equals >= word.end;
        let more = if split_equals || !takes_arguments { arguments.rest_of_value() } else { None };
        let end = more.unwrap_or(word.end);
        let value = trimmed(self.text.as_str(), equals + 1..end);
        if more.is_some() {
            self.split_override(option, (before.clone(), value.clone()), word.start..end);
        }
        push(service, arguments, before, value);
    }

    /// T0.4: white space where Postfix allows none.
    fn split_override(
        &mut self,
        option: &Argument,
        parts: (Range<usize>, Range<usize>),
        whole: Range<usize>,
    ) {
        let part = |range: Range<usize>| self.text.as_str().get(range).unwrap_or("").to_owned();
        let (name, value) = (part(parts.0), part(parts.1));
        let written = part(option.whole.start..whole.end);
        let better = if value.contains(char::is_whitespace) {
            format!("-o {{ {name} = {value} }}")
        } else {
            format!("-o {name}={value}")
        };
        let place = self.text.place(option.whole.start..whole.end);
        self.tell(
            Diagnostic::error(
                210,
                place.clone(),
                format!("`{written}` has white space that Postfix can't read"),
            )
            .help(format!("write `{better}`"))
            .fix(place, better),
        );
    }

    fn without_equals(&mut self, word: &Range<usize>, text: &str) {
        let place = self.text.place(word.clone());
        self.tell(
            Diagnostic::error(212, place, format!("`-o {text}` is no `name=value`"))
                .help("write `-o name=value` or `-o { name = value }`"),
        );
    }

    /// A line that was to go on as in a shell script.
    fn backslash(&mut self, word: &Argument) {
        let text = self.text.as_str().get(..word.whole.start).unwrap_or("");
        let blank = text.len() - text.trim_end_matches(is_space).len();
        let gone = self.text.place(word.whole.start - blank..word.whole.end);
        let place = self.text.place(word.whole.clone());
        let diagnostic = Diagnostic::error(211, place, "unexpected command-line argument: \\")
            .help("delete it: a line goes on in the next one when that begins with white space");
        let one_line = gone.end - gone.start == blank + word.whole.len();
        self.tell(if one_line { diagnostic.fix(gone, "") } else { diagnostic });
    }

    fn stray(&mut self, service: &Service, arguments: &mut Arguments<'_>, word: &Argument) {
        if arguments.str(&word.whole) == "\\" {
            return self.backslash(word);
        }
        let end = arguments.rest_of_value().unwrap_or(word.whole.end);
        let place: Place = self.text.place(word.whole.start..end);
        let text = self.text.as_str().get(word.whole.start..end).unwrap_or("");
        let message = format!("unexpected command-line argument: {text}");
        let help = format!("{} takes options only: `-o name=value`, `-v`", service.program());
        self.tell(Diagnostic::error(211, place, message).help(help));
    }
}

fn push(service: &mut Service, arguments: &Arguments<'_>, name: Range<usize>, value: Range<usize>) {
    let text = arguments.text.as_str();
    let name = arguments.spanned(trimmed(text, name));
    let value = trimmed(text, value);
    let mut value = arguments.spanned(value);
    if value.value.is_empty() {
        value.place = name.place.clone();
    }
    service.overrides.push(Override { name, value });
}

/// `range` without the white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or("");
    let start = range.start + (part.len() - part.trim_start_matches(is_space).len());
    start..start + part.trim_matches(is_space).len()
}

/// The length of the word at the start of `text`, and whether its braces are closed.
fn word_length(text: &str) -> (usize, bool) {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 && is_space(c) => return (at, true),
            _ => {}
        }
    }
    (text.len(), depth == 0)
}

/// Where the brace at the start of `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
