//! Tests of the conversation: against Postfix's own answers, by dialogue, by property, by fuzzing.

mod content;
mod dialogues;
mod metering;
mod properties;
mod replay;
mod shutting_out;
