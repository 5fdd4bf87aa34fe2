//! A simulated disk (being built).
