//! What came of one signature, for those who report it or act on it (RFC 8601 §2.7.1).

use super::key::KeyType;
use super::verify::{DkimResult, Hashed, KeyAnswer};
use crate::authentication_results::MethodResult;
use crate::{Wall, base64};

/// Characters of `b=` that tell signatures apart (RFC 6008).
const START_CHARS: usize = 8;

/// A signature, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What came of it.
    pub result: DkimResult,
    /// `d=`; empty where the signature can't be read.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`
    pub identity: String,
    /// `a=`
    pub algorithm: &'static str,
    /// How `b=` begins.
    pub start: String,
    /// The key's length, where it was had.
    pub bits: Option<usize>,
    /// The key says that the domain is only trying (`t=y`).
    pub is_testing: bool,
}

impl Checked {
    /// Judges a signature by what the DNS says of its key.
    #[must_use]
    pub fn new(hashed: &Hashed, answer: KeyAnswer<'_>, now: Wall) -> Checked {
        let (result, key) = hashed.judge_with_key(answer, now);
        let signature = hashed.signature();
        let text = |part: fn(&super::Signature) -> &String| signature.map(part).cloned().unwrap_or_default();
        let encoded = signature.map(|one| base64::encode(&one.signature)).unwrap_or_default();
        Checked {
            result,
            domain: text(|one| &one.domain),
            selector: text(|one| &one.selector),
            identity: text(|one| &one.identity),
            algorithm: match signature.map(|one| one.algorithm) {
                Some(KeyType::Rsa) => "rsa-sha256",
                Some(KeyType::Ed25519) => "ed25519-sha256",
                None => "",
            },
            start: encoded.chars().take(START_CHARS).collect(),
            bits: key.as_ref().map(super::PublicKey::bits),
            is_testing: key.is_some_and(|key| key.is_testing()),
        }
    }

    /// For Authentication-Results.
    #[must_use]
    pub fn method_result(&self) -> MethodResult {
        let mut found = MethodResult::new("dkim", self.result.name());
        if let Some(why) = self.result.reason() {
            found = found.because(why);
        }
        if let Some(bits) = self.bits {
            let testing = if self.is_testing { ", testing" } else { "" };
            found = found.commented(format!("{bits}-bit key{testing}"));
        }
        let properties =
            [("d", &self.domain), ("i", &self.identity), ("s", &self.selector), ("b", &self.start)];
        for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_empty()) {
            found = found.with("header", name, value.clone());
            if name == "i" {
                found = found.with("header", "a", self.algorithm);
            }
        }
        found
    }
}
