//! Text that knows where each of its bytes was written: through continuation lines and through `$name`.
//!
//! A piece of the text has a trail: the reference in the outermost value first, then the references inside
//! what was referred to, and the writing itself last. A word inside one piece is placed where it was written;
//! a word glued together from several is placed where the gluing was written.

use crate::conf::is_space;
use crate::{Place, SourceFile, Spanned};
use std::ops::Range;
use std::sync::Arc;

/// A text with the places of its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// Where in the text it begins; it ends where the next one does.
    at: usize,
    /// Where it was written.
    place: Place,
    /// The references that led there.
    outer: Trail,
}

/// The references that led to a text, innermost first.
pub(crate) type Trail = Option<Arc<Link>>;

/// One reference, and those that led to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) place: Place,
    pub(crate) outer: Trail,
}

impl Link {
    /// `place`, to which `outer` led.
    pub(crate) fn to(place: Place, outer: &Trail) -> Trail {
        Some(Arc::new(Link { place, outer: outer.clone() }))
    }

    /// The places of `trail`, innermost first.
    pub(crate) fn places(trail: &Trail) -> impl Iterator<Item = &Place> {
        std::iter::successors(trail.as_deref(), |link| link.outer.as_deref()).map(|link| &link.place)
    }

    /// `inner`, to which `outer` led.
    fn chain(outer: &Trail, inner: &Trail) -> Trail {
        let places: Vec<&Place> = Link::places(inner).collect();
        places.into_iter().rev().fold(outer.clone(), |outer, place| Link::to(place.clone(), &outer))
    }
}

impl Traced {
    /// `text` that no file holds.
    #[must_use]
    pub fn nowhere(text: impl Into<String>) -> Traced {
        let mut traced = Traced::default();
        traced.push(&text.into(), Place::nowhere(), None);
        traced
    }

    /// `text`, which is a value with one place. When the place is that text behind continuation lines and
    /// comments, the lines are found again, so that each word gets its own place.
    #[must_use]
    pub fn from_spanned(text: &Spanned<String>) -> Traced {
        if let Some(file) = &text.place.file {
            let again = Traced::join_lines(file, text.place.start..text.place.end);
            if again.text == text.value {
                return again;
            }
        }
        let mut traced = Traced::default();
        traced.push(&text.value, text.place.clone(), None);
        traced
    }

    /// The lines of `range` in `file` joined as one logical line: without line ends, comments, blank lines.
    #[must_use]
    pub fn join_lines(file: &Arc<SourceFile>, range: Range<usize>) -> Traced {
        let mut traced = Traced::default();
        let mut at = range.start;
        let text = file.text.get(range).unwrap_or("");
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let bare = line.strip_suffix('\n').unwrap_or(line);
            let skip = index > 0 && is_skipped(bare);
            if !skip {
                traced.push(bare, Place::new(file, at, at + bare.len()), None);
            }
            at += line.len();
        }
        traced
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Appends `text`, which was written at `place`, to which `outer` led.
    pub(crate) fn push(&mut self, text: &str, place: Place, outer: Trail) {
        if !text.is_empty() {
            self.pieces.push(Piece { at: self.text.len(), place, outer });
            self.text.push_str(text);
        }
    }

    /// Appends the stretch `range` of `other`, to which `outer` led.
    pub(crate) fn push_range(&mut self, other: &Traced, range: Range<usize>, outer: &Trail) {
        for (stretch, place, inner) in other.stretches(range) {
            let text = other.text.get(stretch).unwrap_or("");
            self.push(text, place, Link::chain(outer, inner));
        }
    }

    /// The stretch `range` alone.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Traced {
        let mut out = Traced::default();
        out.push_range(self, range, &None);
        out
    }

    /// Without white space around it.
    #[must_use]
    pub fn trim(&self) -> Traced {
        let start = self.text.len() - self.text.trim_start_matches(is_space).len();
        let end = start + self.text.trim_matches(is_space).len();
        self.slice(start..end)
    }

    /// The pieces that `range` touches, each cut to it: where in the text, where written, what led there.
    fn stretches(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, Place, &Trail)> {
        // The last piece that begins at or before the range; a list has thousands of pieces and of words.
        let first = self.pieces.partition_point(|piece| piece.at <= range.start).saturating_sub(1);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let ends = pieces.iter().skip(1).map(|p| p.at).chain([self.text.len()]);
        let touched = pieces.iter().zip(ends).take_while(move |(piece, _)| piece.at < range.end);
        touched.filter_map(move |(piece, piece_end)| {
            let start = range.start.max(piece.at);
            let end = range.end.min(piece_end);
            (start < end).then(|| {
                let place = cut(&piece.place, start - piece.at, end - piece.at, piece_end - piece.at);
                (start..end, place, &piece.outer)
            })
        })
    }

    /// Where the first byte of `range` was written, with what follows it there, and what led there.
    pub(crate) fn first_stretch(&self, range: Range<usize>) -> (Place, Trail) {
        let first = self.stretches(range).next();
        first.map_or_else(|| (Place::nowhere(), None), |(_, place, outer)| (place, outer.clone()))
    }

    /// Where `range` was written.
    #[must_use]
    pub fn place(&self, range: Range<usize>) -> Place {
        let trails: Vec<Vec<Place>> = self
            .stretches(range)
            .map(|(_, place, outer)| {
                let mut trail: Vec<Place> = Link::places(outer).cloned().collect();
                trail.reverse();
                trail.push(place);
                trail
            })
            .collect();
        let Some(first) = trails.first() else { return Place::nowhere() };
        let shared = (0..first.len())
            .take_while(|&depth| trails.iter().all(|trail| trail.get(depth) == first.get(depth)))
            .count();
        // One piece: its own writing. Several: the level at which they part is where they were glued.
        let deepest = shared.min(first.len().saturating_sub(1));
        (0..=deepest)
            .rev()
            .find_map(|depth| {
                let level: Option<Vec<&Place>> = trails.iter().map(|trail| trail.get(depth)).collect();
                union(&level?)
            })
            .unwrap_or_else(Place::nowhere)
    }

    /// The whole, with one place.
    #[must_use]
    pub fn spanned(&self) -> Spanned<String> {
        Spanned::new(self.text.clone(), self.place(0..self.text.len()))
    }

    /// The words of a list.
    #[must_use]
    pub fn words(&self) -> Vec<Spanned<String>> {
        word_ranges(&self.text)
            .into_iter()
            .map(|range| {
                let word = self.text.get(range.clone()).unwrap_or("").to_owned();
                Spanned::new(word, self.place(range))
            })
            .collect()
    }
}

/// Whether a physical line is a comment or blank, and so no part of a logical line.
pub(crate) fn is_skipped(line: &str) -> bool {
    let line = line.trim_start_matches(is_space);
    line.is_empty() || line.starts_with('#')
}

/// Bytes `start..end` of a piece `length` long whose writing is `place`.
fn cut(place: &Place, start: usize, end: usize, length: usize) -> Place {
    match &place.file {
        Some(file) if place.end.checked_sub(place.start) == Some(length) => {
            Place::new(file, place.start + start, place.start + end)
        }
        _ => place.clone(),
    }
}

/// The stretch from the first to the last of places in one file, in order; `None` when they aren't that.
fn union(places: &[&Place]) -> Option<Place> {
    let (first, last) = (places.first()?, places.last()?);
    let file = first.file.as_ref()?;
    let in_order = places.windows(2).all(|pair| match pair {
        [a, b] => a.file == b.file && a.start <= b.start,
        _ => true,
    });
    in_order.then(|| Place::new(file, first.start, last.end.max(first.end)))
}

/// Where the words of a list stand: split by comma and white space, `{ … }` kept whole.
fn word_ranges(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut depth = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        let separates = depth == 0 && matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n');
        match byte {
            b'{' => depth = depth.saturating_add(1),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (separates, start) {
            (true, Some(from)) => {
                words.push(from..at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| from..text.len()));
    words
}

/// Splits a list by comma and white space; `{ … }` stays one word, braces included. Each word keeps its place.
#[must_use]
pub fn split_words(text: Spanned<String>) -> Vec<Spanned<String>> {
    Traced::from_spanned(&text).words()
}

/// What stands inside the braces of `{ … }`, without the white space around it; `None` when `word` isn't braced.
#[must_use]
pub fn unbraced(word: &Spanned<String>) -> Option<Spanned<String>> {
    let inner = word.value.strip_prefix('{')?.strip_suffix('}')?;
    let mut inside = Traced::from_spanned(word).slice(1..1 + inner.len()).trim().spanned();
    if inside.value.is_empty() {
        inside.place = word.place.clone();
    }
    Some(inside)
}
