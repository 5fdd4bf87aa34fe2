//! The checks. Each is a function from the tree to its faults, one line a fault, and its tests show it one.

mod arrows;
pub(crate) mod diagnostics;
mod licences;
mod points;
mod sources;

use crate::generate;
use crate::tree::Tree;

pub(crate) use points::open_points;

/// All faults of the tree.
pub(crate) fn all(tree: &Tree) -> Vec<String> {
    let mut faults = arrows::check(tree);
    faults.extend(sources::check(tree));
    faults.extend(points::check(tree));
    faults.extend(diagnostics::check(tree));
    faults.extend(generate::check(tree));
    faults.extend(licences::check(tree));
    faults
}
