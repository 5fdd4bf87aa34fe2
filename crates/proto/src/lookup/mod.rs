//! Table lookups over a connection: one request, one reply, nothing kept between them.
//!
//! [`tcp`] is tcp_table(5), [`socketmap`] is socketmap_table(5). Both give a [`Reading`] of the bytes that a server
//! has sent so far: more is needed, or what it said. Which keys are asked, connections and time-outs are the
//! program's. What the log is told about a reply that can't be used is here, in Postfix's words.

pub mod socketmap;
pub mod tcp;

/// What the bytes of a reply amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<E> {
    /// The reply is not complete.
    More,
    /// The reply, and how many bytes it took.
    Reply(Said, usize),
    /// No reply; the connection is of no use any more.
    Broken(E),
}

/// What a server said about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The value.
    Found(String),
    /// There is none.
    NotFound,
    /// It can't say; the text is for the log, empty where Postfix logs nothing.
    Failed(String),
}

/// For fuzzing: any bytes as replies of both protocols, and as keys.
pub fn fuzz(bytes: &[u8]) {
    for end in [bytes.len() / 2, bytes.len()] {
        let part = bytes.get(..end).unwrap_or_default();
        if let Reading::Reply(_, length) = tcp::read(part) {
            assert!(length <= part.len(), "a reply is among the bytes read");
        }
        if let Reading::Reply(_, length) = socketmap::read(part) {
            assert!(length <= part.len(), "a reply is among the bytes read");
        }
        let key = String::from_utf8_lossy(part);
        let request = tcp::request(&key);
        let text = request.strip_prefix(b"get ").and_then(|rest| rest.strip_suffix(b"\n"));
        assert_eq!(text.and_then(tcp::decode).as_deref(), Some(key.as_bytes()), "a key survives");
        let reply = [b"200 ".as_slice(), text.unwrap_or_default(), b"\n"].concat();
        if reply.len() <= tcp::REPLY_BYTES_MAX && !key.contains('\0') {
            assert_eq!(tcp::read(&reply), Reading::Reply(Said::Found(key.into_owned()), reply.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&bytes);
        }

        #[test]
        fn nearly_replies(bytes in "(200|400|500|OK|NOTFOUND|TEMP|[0-9]{1,6}:)? ?(OK )?[ -~\t%]{0,20}[,\n]?") {
            fuzz(bytes.as_bytes());
        }
    }
}
