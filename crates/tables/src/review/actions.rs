//! The words that a table's result may begin with, by use: access(5), header_checks(5).

/// What access(5) knows beside numbers and restrictions.
pub(super) const ACCESS: [&str; 14] = [
    "BCC",
    "DEFER",
    "DEFER_IF_PERMIT",
    "DEFER_IF_REJECT",
    "DISCARD",
    "DUNNO",
    "FILTER",
    "HOLD",
    "INFO",
    "OK",
    "PREPEND",
    "REDIRECT",
    "REJECT",
    "WARN",
];

/// Whether `word`, in capitals, is an action of access(5).
pub(super) fn is_action(word: &str) -> bool {
    ACCESS.contains(&word)
}
