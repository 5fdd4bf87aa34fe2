//! Endurance.
pub(crate) fn command(_words: &[String]) -> Result<(), String> {
    Err("not yet".to_owned())
}
