//! MD5 (RFC 1321) and HMAC-MD5 (RFC 2104): for CRAM-MD5 and old fingerprints only.
//!
//! Broken as a hash against collisions; nothing here relies on it where something better is offered. By hand, as what
//! is stored for CRAM-MD5 are the states that MD5 is in behind the padded password ([`Contexts`]).

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// `floor(2^32 × abs(sin(i + 1)))`, RFC 1321 §3.4.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The MD5 hash of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 16] {
    finish(START, 0, bytes)
}

/// The hash of `before` bytes that led to `state`, and of `bytes`.
fn finish(mut state: [u32; 4], before: u64, bytes: &[u8]) -> [u8; 16] {
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let length = before.wrapping_add(bytes.len() as u64);
    padded.extend_from_slice(&length.wrapping_mul(8).to_le_bytes());
    for block in padded.chunks_exact(64) {
        state = absorb(state, block);
    }
    written(state)
}

fn absorb(mut state: [u32; 4], block: &[u8]) -> [u32; 4] {
    let mut words = [0; 16];
    for (word, four) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = four.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
    }
    let mixed = mix(state, &words);
    for (sum, new) in state.iter_mut().zip(mixed) {
        *sum = sum.wrapping_add(new);
    }
    state
}

fn written(state: [u32; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    for (four, word) in out.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// The 64 steps for one block.
fn mix([mut a, mut b, mut c, mut d]: [u32; 4], words: &[u32; 16]) -> [u32; 4] {
    for (step, sine) in SINES.iter().enumerate() {
        let (round, at) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        let word = words.get(at % 16).copied().unwrap_or_default();
        let shift = SHIFTS.get(step / 16).and_then(|row| row.get(step % 4)).copied().unwrap_or_default();
        let sum = a.wrapping_add(round).wrapping_add(*sine).wrapping_add(word);
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(shift));
    }
    [a, b, c, d]
}

/// HMAC-MD5.
#[must_use]
pub fn hmac(key: &[u8], text: &[u8]) -> [u8; 16] {
    Contexts::of(key).hmac(text)
}

/// What HMAC-MD5 has to know of a key: what Dovecot's `{CRAM-MD5}` stores. As good as the password for CRAM-MD5.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Contexts {
    outer: [u32; 4],
    inner: [u32; 4],
}

impl Contexts {
    /// Those of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Contexts {
        let hashed = digest(key);
        let key = if key.len() > 64 { &hashed } else { key };
        let pad = |with: u8| -> Vec<u8> {
            let zeros = std::iter::repeat_n(&0, 64_usize.saturating_sub(key.len()));
            key.iter().chain(zeros).map(|byte| byte ^ with).collect()
        };
        Contexts { outer: absorb(START, &pad(0x5c)), inner: absorb(START, &pad(0x36)) }
    }

    /// From the 32 bytes that are stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Contexts> {
        let mut words = bytes.chunks_exact(4).map(|four| four.try_into().map(u32::from_le_bytes));
        let mut state = || -> Option<[u32; 4]> {
            let mut state = [0; 4];
            for word in &mut state {
                *word = words.next()?.ok()?;
            }
            Some(state)
        };
        let contexts = Contexts { outer: state()?, inner: state()? };
        (bytes.len() == 32).then_some(contexts)
    }

    /// The 32 bytes that are stored.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let halves = [written(self.outer), written(self.inner)];
        for (half, state) in out.chunks_exact_mut(16).zip(halves) {
            half.copy_from_slice(&state);
        }
        out
    }

    /// HMAC-MD5 with the key.
    #[must_use]
    pub fn hmac(&self, text: &[u8]) -> [u8; 16] {
        finish(self.outer, 64, &finish(self.inner, 64, text))
    }
}

impl std::fmt::Debug for Contexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contexts(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 1321 §A.5.
    #[test]
    fn digests() {
        let check = |text: &str, expect: &str| assert_eq!(hex(&digest(text.as_bytes())), expect, "{text}");
        check("", "d41d8cd98f00b204e9800998ecf8427e");
        check("a", "0cc175b9c0f1b6a831c399e269772661");
        check("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
        check(&"1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a");
    }

    /// RFC 2202 §2.
    #[test]
    fn keyed_digests() {
        assert_eq!(hex(&hmac(&[0x0b; 16], b"Hi There")), "9294727a3638bb1c13f48ef8158bfc9d");
        assert_eq!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")), "750c783e6ab0b503eaa86e310a5db738");
        let long = hmac(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&long), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    /// As `doveadm pw -s CRAM-MD5 -p secret` writes them.
    #[test]
    fn stored_contexts() {
        let contexts = Contexts::of(b"secret");
        let stored = "cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56";
        assert_eq!(hex(&contexts.bytes()), stored);
        assert_eq!(Contexts::from_bytes(&contexts.bytes()), Some(contexts));
        assert_eq!(Contexts::from_bytes(&[0; 31]), None);
        assert_eq!(Contexts::from_bytes(&[0; 33]), None);
    }
}
