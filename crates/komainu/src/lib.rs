//! komainu
