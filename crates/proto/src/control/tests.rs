//! What is written is read; what is damaged is refused, whatever it is.

use super::*;
use mail::QueueId;
use proptest::prelude::*;

fn id() -> impl Strategy<Value = QueueId> {
    "[0-9A-Za-z]{6,24}".prop_map(|text| text.parse().unwrap())
}

fn request() -> impl Strategy<Value = Request> {
    let verbs =
        [Verb::Hold, Verb::Release, Verb::Flush, Verb::Requeue, Verb::Expire, Verb::Delete, Verb::SetAside];
    let ids = || proptest::collection::vec(id(), 0..4);
    prop_oneof![
        any::<u16>().prop_map(|version| Request::Hello { version }),
        ids().prop_map(Request::List),
        id().prop_map(Request::Read),
        (proptest::sample::select(verbs.to_vec()), ids()).prop_map(|(verb, ids)| Request::Order(verb, ids)),
        Just(Request::FlushAll),
        "\\PC{0,20}".prop_map(Request::FlushSite),
        submission().prop_map(|submission| Request::Submit(Box::new(submission))),
        proptest::collection::vec(to(), 0..4).prop_map(Request::To),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Request::Content),
        Just(Request::End),
    ]
}

fn submission() -> impl Strategy<Value = Submission> {
    let text = || "\\PC{0,20}";
    let rets = [None, Some(Ret::Full), Some(Ret::Headers)];
    let optional = || proptest::option::of("\\PC{0,9}");
    let bits = any::<(bool, bool, bool)>();
    let traces = proptest::sample::select(vec![None, Some(Trace::Record), Some(Trace::Probe)]);
    (text(), text(), bits, proptest::sample::select(rets.to_vec()), optional(), optional(), traces).prop_map(
        |(sender, full_name, (is_local, eight_bit, smtputf8), ret, envelope_id, verp, trace)| Submission {
            sender,
            full_name,
            is_local,
            eight_bit,
            smtputf8,
            ret,
            envelope_id,
            verp,
            trace,
        },
    )
}

fn to() -> impl Strategy<Value = To> {
    ("\\PC{0,20}", any::<u8>(), proptest::option::of("\\PC{0,9}")).prop_map(|(address, notify, orcpt)| To {
        address,
        notify,
        orcpt,
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let causes = [
        Cause::Protocol,
        Cause::Forbidden,
        Cause::NotFound,
        Cause::NotEligible,
        Cause::Busy,
        Cause::Failed,
        Cause::TooLarge,
    ];
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let outcome = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Unchanged),
        Just(Outcome::NotFound),
        "\\PC{0,20}".prop_map(Outcome::Failed),
    ];
    prop_oneof![
        any::<u16>().prop_map(|version| Reply::Welcome { version }),
        any::<u64>().prop_map(Reply::Total),
        (any::<u64>(), proptest::sample::select(State::all().to_vec()), bytes())
            .prop_map(|(number, state, entry)| Reply::Message { number, state, entry }),
        (any::<u64>(), "\\PC{0,20}").prop_map(|(number, why)| Reply::Unreadable { number, why }),
        bytes().prop_map(Reply::Body),
        (id(), outcome).prop_map(|(id, outcome)| Reply::Ordered(id, outcome)),
        Just(Reply::Done),
        id().prop_map(Reply::Queued),
        (proptest::sample::select(causes.to_vec()), "\\PC{0,20}")
            .prop_map(|(cause, text)| Reply::Refused(cause, text)),
    ]
}

/// A frame in its two parts.
fn cut(frame: &[u8]) -> (usize, &[u8]) {
    let (head, rest) = frame.split_first_chunk().unwrap();
    (length(*head, REPLY_BYTES_MAX).unwrap(), rest)
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in request(), reply in reply(), cut_at in any::<usize>()) {
        let frame = request.encode();
        let (length, rest) = cut(&frame);
        prop_assert_eq!(length, rest.len());
        prop_assert_eq!(Request::decode(rest), Ok(request));
        // Ids are cut off whole, so a request for fewer of them may be left.
        let _ = Request::decode(&rest[..cut_at % rest.len()]);
        let frame = reply.encode();
        let (length, rest) = cut(&frame);
        prop_assert_eq!(length, rest.len());
        prop_assert_eq!(Reply::decode(rest), Ok(reply));
        prop_assert!(Reply::decode(&rest[..cut_at % rest.len()]).is_err());
    }

    #[test]
    fn damage_is_refused_or_harmless(
        request in request(), reply in reply(), changes in proptest::collection::vec(any::<(usize, u8)>(), 0..6)
    ) {
        for frame in [request.encode(), reply.encode()] {
            let mut rest = frame[HEAD_BYTES..].to_vec();
            for (at, byte) in &changes {
                let at = at % rest.len();
                rest[at] = *byte;
            }
            fuzz(&rest);
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }
}

#[test]
fn bounds() {
    let check = |head: u32, expect: bool| {
        assert_eq!(length(head.to_be_bytes(), REQUEST_BYTES_MAX).is_ok(), expect, "{head}");
    };
    check(0, false);
    check(1, true);
    check(65_536, true);
    check(65_537, false);
    check(u32::MAX, false);
    let id: QueueId = "ABCDEFGHIJKLMNOPQRSTUVWX".parse().unwrap();
    let largest = Request::Order(Verb::Delete, vec![id.clone(); IDS_MAX]).encode();
    assert!(largest.len() <= REQUEST_BYTES_MAX, "{}", largest.len());
    assert!(Request::decode(&largest[HEAD_BYTES..]).is_ok());
    let more = Request::List(vec![id; IDS_MAX + 1]).encode();
    assert_eq!(Request::decode(&more[HEAD_BYTES..]), Err(FrameError::Value("number of queue ids")));
}

/// Whatever fits is a frame that the other side reads.
#[test]
fn letters_are_cut_into_frames_by_size() {
    let text = |bytes: usize| "x".repeat(bytes);
    let to = |bytes: usize| To { address: text(bytes), notify: 0, orcpt: Some(text(bytes)) };
    for (count, bytes) in [(0, 1), (1, TEXT_BYTES_MAX), (49, 1500), (1000, TEXT_BYTES_MAX), (20_000, 3)] {
        let all = vec![to(bytes); count];
        let (mut rest, mut frames, mut again) = (all.as_slice(), 0, Vec::new());
        while !rest.is_empty() {
            let (some, more) = To::frame_of(rest);
            let frame = Request::To(some.to_vec()).encode();
            assert!(frame.len() - HEAD_BYTES <= REQUEST_BYTES_MAX, "{count} of {bytes}: {}", frame.len());
            let Ok(Request::To(read)) = Request::decode(&frame[HEAD_BYTES..]) else {
                panic!("{count} of {bytes}")
            };
            again.extend(read);
            frames += 1;
            rest = more;
        }
        assert_eq!(again, all);
        assert!(
            frames <= 1 + count * (2 * bytes + 10) / (REQUEST_BYTES_MAX - 2 * TEXT_BYTES_MAX - 20),
            "{frames}"
        );
    }
    let longest = Some(text(TEXT_BYTES_MAX));
    let (sender, full_name) = (text(TEXT_BYTES_MAX), text(TEXT_BYTES_MAX));
    let (envelope_id, verp) = (longest.clone(), longest);
    let submission = Submission { sender, full_name, envelope_id, verp, ..Submission::default() };
    assert_eq!(submission.fits(), Ok(()));
    assert!(Request::Submit(Box::new(submission.clone())).encode().len() <= REQUEST_BYTES_MAX);
    let too_long = |what| Err(TooLong { what, bytes: TEXT_BYTES_MAX + 1 });
    let long = || text(TEXT_BYTES_MAX + 1);
    assert_eq!(Submission { sender: long(), ..submission.clone() }.fits(), too_long("a sender"));
    assert_eq!(Submission { full_name: long(), ..submission.clone() }.fits(), too_long("a full name"));
    assert_eq!(Submission { envelope_id: Some(long()), ..submission }.fits(), too_long("an envelope id"));
    assert_eq!(To { address: long(), ..To::default() }.fits(), too_long("a recipient"));
    assert_eq!(To { orcpt: Some(long()), ..To::default() }.fits(), too_long("an original recipient"));
    assert_eq!(to(TEXT_BYTES_MAX).fits(), Ok(()));
}

#[test]
fn strangers() {
    let check = |bytes: &[u8], expect: FrameError| assert_eq!(Request::decode(bytes), Err(expect));
    check(b"", FrameError::Short);
    check(b"EHLO x\r\n", FrameError::Kind(b'E'));
    check(b"\x01\0\0\0\x03abc\0\x01", FrameError::Value("greeting"));
    check(b"\x03\0\0\0\x09../../etc", FrameError::Value("queue id"));
    check(b"\x03\0\0\0\x07ABC\0DEF", FrameError::Value("queue id"));
    check(b"\x03\xff\xff\xff\xffABCDEF", FrameError::Short);
    check(b"\x05x", FrameError::Trailing(1));
    check(b"\x04\x63\0\0\0\x06ABCDEF", FrameError::Value("verb"));
}

/// Everybody may write frames into the maildrop: what they say goes into commands, headers and the log.
#[test]
fn no_text_of_an_envelope_goes_on_in_another_line() {
    fn decoded(request: Request) -> Result<Request, FrameError> {
        Request::decode(&request.encode()[HEAD_BYTES..])
    }
    let bad = |what| Err(FrameError::Value(what));
    for odd in ["rfc\r\nRSET\r\nMAIL FROM:<x>;a", "a\nb", "a\rb", "a\0b", "a\x1bb", "a\x7fb"] {
        let (some, text) = (Some(odd.to_owned()), odd.to_owned());
        let plain = Submission::default();
        for (mut submission, what) in [
            (Submission { sender: text.clone(), ..plain.clone() }, "sender"),
            (Submission { full_name: text.clone(), ..plain.clone() }, "name"),
            (Submission { envelope_id: some.clone(), ..plain.clone() }, "envelope id"),
            (Submission { verp: some.clone(), ..plain }, "delimiters"),
        ] {
            assert_eq!(decoded(Request::Submit(Box::new(submission.clone()))), bad(what), "{odd:?}");
            submission.keep_in_lines();
            assert!(decoded(Request::Submit(Box::new(submission))).is_ok(), "{odd:?} {what}");
        }
        for (mut to, what) in [
            (To { address: text, ..To::default() }, "recipient"),
            (To { orcpt: some, ..To::default() }, "original recipient"),
        ] {
            assert_eq!(decoded(Request::To(vec![to.clone()])), bad(what), "{odd:?}");
            to.keep_in_lines();
            assert!(decoded(Request::To(vec![to])).is_ok(), "{odd:?} {what}");
        }
    }
    let tab = Request::To(vec![To { address: "a\tb@x.test".to_owned(), ..To::default() }]);
    assert_eq!(decoded(tab.clone()), Ok(tab));
}
