//! DKIM (RFC 6376, 8301, 8463): signatures of a message verified and made, while it streams by.
//!
//! rsa-sha256 and ed25519-sha256; SHA-1 isn't believed any more. Keys come from whoever asks the DNS, the time is an
//! argument. Messages have LF at their line ends, as they are kept; what is hashed has CRLF. T2.28. Deliberately not
//! here: whose mail is signed, and what a result means for a message.

mod canonical;
mod checked;
mod key;
mod record;
mod sign;
mod signature;
mod tags;
#[cfg(test)]
mod tests;
mod verify;

pub use canonical::Canonicalization;
pub use checked::Checked;
pub use key::{KeyError, KeyType, PublicKey, RSA_BITS_MIN};
pub use record::{KeyFault, record_faults};
pub use sign::{SIGNED_HEADERS, Signer, Signing, SigningKey, SigningKeyError};
pub use signature::{Signature, SignatureError};
pub use tags::TagList;
pub use verify::{DkimResult, Hashed, KeyAnswer, SIGNATURES_MAX, Verifier};

/// For fuzzing: the first line is a key's record, the second a signature's tags, the rest a body.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |b| *b == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (record, tags, body) = (next(), next(), next());
    let record = String::from_utf8_lossy(record);
    let own = [b"DKIM-Signature:", tags, b"\n"].concat();
    let mut verifier = Verifier::new(&[&own, b"From: a@example.com\n", b"Subject : x\n\ty\n"]);
    verifier.body(body);
    for hashed in verifier.finish() {
        let _ = Checked::new(&hashed, KeyAnswer::Texts(&[&record]), crate::Wall::default()).method_result();
    }
}
