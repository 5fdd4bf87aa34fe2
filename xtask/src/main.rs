//! Checks on the tree itself (`tidy`) and docs generated from the registries (`generate`).
fn main() {}
