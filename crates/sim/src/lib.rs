//! For tests only: the dialogue runner, with the small Internet that it plays in.
//!
//! A dialogue (`tests/dialogues/**/*.smtp`) is a configuration, names, a conversation and its traces in
//! one file; the runner plays it against Debian's Postfix, which is the judge, and against Komainu.

pub mod auth_server;
pub mod backend;
pub mod client;
pub mod content_filter;
pub mod dialogue;
pub mod dns;
pub mod harness;
pub mod in_process;
pub mod layout;
mod listening;
pub mod made_up;
pub mod milter;
pub mod next_hop;
pub mod pattern;
pub mod place;
pub mod policyd;
pub mod protected;
pub mod run;
pub mod table_server;
pub mod wire;
pub mod world;
