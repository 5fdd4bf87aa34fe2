//! Each rule with a case that has it and one that has not.
