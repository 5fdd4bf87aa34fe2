//! One regular expression, whatever engine it needs.

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {}
