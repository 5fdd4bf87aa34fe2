//! Aliases that lead back to themselves: virtual(5) over all its tables, aliases(5) by local names.
//!
//! An address that leads to itself alone ends there, as in Postfix (`a@example.com a@example.com, b@example.com`). A
//! way over others back to it has no end. Every line is visited once.

use super::codes::ALIAS_LOOP;
use super::sheet::Odd;
use crate::indexed::fold;
use config::{Diagnostic, Place};
use std::collections::HashMap;

/// Keys, folded, with where they lead and where they stand.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    seats: HashMap<String, usize>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    key: String,
    targets: Vec<String>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    New,
    Open,
    Done,
}

impl Aliases {
    /// Takes a line; the first of two equal keys counts.
    pub(super) fn add(&mut self, key: &str, value: &str, place: Place) {
        let key = fold(key);
        if self.seats.contains_key(&key) {
            return;
        }
        let targets = value.split(',').map(|target| fold(target.trim().trim_matches('"'))).collect();
        self.seats.insert(key.clone(), self.rows.len());
        self.rows.push(Row { key, targets, place });
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.seats.contains_key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The line that `target` is looked up in next.
    fn next(&self, target: &str) -> Option<usize> {
        if let Some(row) = self.seats.get(target) {
            return Some(*row);
        }
        let at = target.rfind('@')?;
        self.seats.get(target.get(at..)?).copied()
    }

    /// One finding for each way that has no end.
    pub(super) fn loops(&self) -> Vec<Diagnostic> {
        let mut colours = vec![Colour::New; self.rows.len()];
        let mut found = Vec::new();
        for start in 0..self.rows.len() {
            if colours.get(start) != Some(&Colour::New) {
                continue;
            }
            let mut path: Vec<(usize, usize)> = vec![(start, 0)];
            paint(&mut colours, start, Colour::Open);
            while let Some((at, turn)) = path.last_mut() {
                let Some(row) = self.rows.get(*at) else { break };
                let Some(target) = row.targets.get(*turn) else {
                    paint(&mut colours, *at, Colour::Done);
                    path.pop();
                    continue;
                };
                *turn += 1;
                let at = *at;
                let Some(next) = self.next(target).filter(|next| *next != at) else { continue };
                match colours.get(next) {
                    Some(Colour::New) => {
                        paint(&mut colours, next, Colour::Open);
                        path.push((next, 0));
                    }
                    Some(Colour::Open) => found.extend(self.told(&path, next)),
                    _ => {}
                }
            }
        }
        found
    }

    fn told(&self, path: &[(usize, usize)], back_to: usize) -> Option<Diagnostic> {
        const SHOWN_MAX: usize = 6;
        let from = path.iter().position(|(at, _)| *at == back_to)?;
        let ring = path.get(from..)?;
        let mut names: Vec<&str> = ring
            .iter()
            .take(SHOWN_MAX)
            .filter_map(|(at, _)| self.rows.get(*at))
            .map(|row| row.key.as_str())
            .collect();
        if ring.len() > SHOWN_MAX {
            names.push("…");
        }
        let first = self.rows.get(back_to)?;
        names.push(&first.key);
        let odd = Odd::error(
            ALIAS_LOOP,
            format!("an alias that leads back to itself: {}", names.join(" → ")),
            "mail for it finds no end and isn't delivered (from virtual_alias_maps Postfix doesn't take the message at \
             all: 451 4.6.0 Alias expansion error); let one of them lead elsewhere",
        );
        Some(odd.at(first.place.clone()))
    }
}

fn paint(colours: &mut [Colour], at: usize, colour: Colour) {
    if let Some(seat) = colours.get_mut(at) {
        *seat = colour;
    }
}
