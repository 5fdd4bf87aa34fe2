//! Verifying (RFC 6376 §6): the head first, then the body as it comes, then the keys.
//!
//! A signature that covers only a part of the body (`l=`) isn't believed when there is more: anybody can add to it.

use super::canonical::{self, BodyHasher};
use super::key::{KeyError, PublicKey};
use super::signature::{Signature, SignatureError};
use super::tags::without_signature;
use crate::Wall;
use crate::header::Header;

/// The most signatures of one message that are looked at.
pub const SIGNATURES_MAX: usize = 8;
/// Records of one key's name that are tried.
const KEYS_MAX: usize = 4;
/// How far the clocks of two machines may be apart, in seconds.
const SKEW_S: i64 = 300;

/// What comes of a signature (RFC 8601 §2.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DkimResult {
    /// It is good.
    Pass,
    /// It is not; why.
    Fail(&'static str),
    /// It is good, and not believed; why.
    Policy(&'static str),
    /// It can't be checked this time.
    TempError,
    /// It can't be checked at all; why.
    PermError(String),
}

impl DkimResult {
    /// Its name in Authentication-Results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            DkimResult::Pass => "pass",
            DkimResult::Fail(_) => "fail",
            DkimResult::Policy(_) => "policy",
            DkimResult::TempError => "temperror",
            DkimResult::PermError(_) => "permerror",
        }
    }

    /// Why it isn't good.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            DkimResult::Pass => None,
            DkimResult::Fail(why) | DkimResult::Policy(why) => Some(why),
            DkimResult::TempError => Some("the key cannot be had now"),
            DkimResult::PermError(why) => Some(why),
        }
    }
}

/// What the DNS says about a key.
#[derive(Clone, Copy, Debug)]
pub enum KeyAnswer<'a> {
    /// The texts of its name.
    Texts(&'a [&'a str]),
    /// None.
    Nothing,
    /// No answer.
    Unavailable,
}

/// A message's signatures, while its body comes.
pub struct Verifier(Vec<Pending>);

/// A signature, and what was hashed for it.
struct Pending {
    read: Result<Signature, SignatureError>,
    /// The canonical headers.
    message: Vec<u8>,
    body: Option<BodyHasher>,
}

/// A signature that waits for its key only.
pub struct Hashed {
    read: Result<Signature, SignatureError>,
    message: Vec<u8>,
    body: Vec<u8>,
    length: u64,
}

impl Verifier {
    /// Begins with a message's head: logical headers, each with its continuation lines, with LF at line ends.
    #[must_use]
    pub fn new(headers: &[&[u8]]) -> Verifier {
        let signatures = headers.iter().filter(|text| is_signature(text)).take(SIGNATURES_MAX);
        Verifier(signatures.map(|text| Pending::new(text, headers)).collect())
    }

    /// Whether there is anything to verify.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// More of the body, with LF at line ends.
    pub fn body(&mut self, bytes: &[u8]) {
        for body in self.0.iter_mut().filter_map(|pending| pending.body.as_mut()) {
            body.update(bytes);
        }
    }

    /// The message has ended.
    #[must_use]
    pub fn finish(self) -> Vec<Hashed> {
        let hashed = |pending: Pending| {
            let (body, length) = pending.body.map_or_else(Default::default, BodyHasher::finish);
            Hashed { read: pending.read, message: pending.message, body, length }
        };
        self.0.into_iter().map(hashed).collect()
    }
}

fn is_signature(text: &[u8]) -> bool {
    Header::parse(text).is_some_and(|header| header.is("DKIM-Signature"))
}

impl Pending {
    fn new(own: &[u8], headers: &[&[u8]]) -> Pending {
        let value = Header::parse(own).and_then(|header| std::str::from_utf8(header.value).ok());
        let read = value.ok_or(SignatureError::Syntax).and_then(Signature::parse);
        let Ok(signature) = &read else { return Pending { read, message: Vec::new(), body: None } };
        let mut message = signed_headers(&signature.headers, signature.header_form, headers);
        canonical::header(without_signature_of(own).as_bytes(), signature.header_form, &mut message);
        message.truncate(message.len().saturating_sub(2));
        let body = Some(BodyHasher::new(signature.body_form, signature.length));
        Pending { read, message, body }
    }
}

fn without_signature_of(own: &[u8]) -> String {
    let text = String::from_utf8_lossy(own);
    match text.split_once(':') {
        Some((name, value)) => format!("{name}:{}", without_signature(value)),
        None => text.into_owned(),
    }
}

/// RFC 6376 §5.4.2: of several headers of one name the lowest first; one that isn't there is nothing.
pub(super) fn signed_headers(
    names: &[String],
    form: canonical::Canonicalization,
    headers: &[&[u8]],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut used = vec![false; headers.len()];
    for name in names {
        let found = headers
            .iter()
            .zip(used.iter_mut())
            .rev()
            .find(|(text, used)| !**used && Header::parse(text).is_some_and(|header| header.is(name)));
        if let Some((text, used)) = found {
            *used = true;
            canonical::header(text, form, &mut out);
        }
    }
    out
}

impl Hashed {
    /// What it says of itself, where it can be read.
    #[must_use]
    pub const fn signature(&self) -> Option<&Signature> {
        match &self.read {
            Ok(signature) => Some(signature),
            Err(_) => None,
        }
    }

    /// What comes of it without its key; `None` where the key decides.
    #[must_use]
    pub fn judge_without_key(&self, now: Wall) -> Option<DkimResult> {
        let signature = match &self.read {
            Ok(signature) => signature,
            Err(error) => return Some(DkimResult::PermError(error.to_string())),
        };
        if signature.expires.is_some_and(|expires| expires.saturating_add(SKEW_S) < now.seconds()) {
            return Some(DkimResult::Fail("the signature has expired"));
        }
        if signature.signed.is_some_and(|signed| signed > now.seconds().saturating_add(SKEW_S)) {
            return Some(DkimResult::Fail("the signature is of the future"));
        }
        if signature.length.is_some_and(|length| length > self.length) {
            return Some(DkimResult::PermError("the signature covers more than there is".to_owned()));
        }
        (self.body != signature.body_hash).then_some(DkimResult::Fail("the body has been changed"))
    }

    /// What comes of it with what the DNS says at its [`Signature::key_name`].
    #[must_use]
    pub fn judge(&self, answer: KeyAnswer<'_>, now: Wall) -> DkimResult {
        self.judge_with_key(answer, now).0
    }

    /// The same, and the key that it was judged by.
    pub(super) fn judge_with_key(&self, answer: KeyAnswer<'_>, now: Wall) -> (DkimResult, Option<PublicKey>) {
        let early = self.judge_without_key(now);
        let Ok(signature) = &self.read else { return (early.unwrap_or(DkimResult::TempError), None) };
        let texts = match answer {
            KeyAnswer::Texts(texts) => texts,
            KeyAnswer::Nothing => {
                let none = || DkimResult::PermError("there is no such key".to_owned());
                return (early.unwrap_or_else(none), None);
            }
            KeyAnswer::Unavailable => return (early.unwrap_or(DkimResult::TempError), None),
        };
        // RFC 6376 §6.1.2: of several records each is tried; where none is the right one, the first that can be read says
        // why.
        let mut why = KeyError::Malformed;
        let mut first = None;
        for text in texts.iter().take(KEYS_MAX) {
            match PublicKey::parse(text) {
                Ok(key) => {
                    let result = early.clone().unwrap_or_else(|| self.with_key(signature, &key));
                    if result == DkimResult::Pass {
                        return (result, Some(key));
                    }
                    first.get_or_insert((result, Some(key)));
                }
                Err(error) => why = error,
            }
        }
        first.unwrap_or_else(|| (early.unwrap_or_else(|| DkimResult::PermError(why.to_string())), None))
    }

    fn with_key(&self, signature: &Signature, key: &PublicKey) -> DkimResult {
        if key.kind() != signature.algorithm {
            return DkimResult::PermError("the key is of another kind".to_owned());
        }
        if key.is_strict() && !signature.is_of_domain_itself() {
            return DkimResult::PermError("the key is not for subdomains".to_owned());
        }
        if !key.verifies(&self.message, &signature.signature) {
            return DkimResult::Fail("the signed headers have been changed");
        }
        if signature.length.is_some_and(|length| length < self.length) {
            return DkimResult::Policy("the signature covers a part of the body only");
        }
        DkimResult::Pass
    }
}
