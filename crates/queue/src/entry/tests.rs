//! An entry survives its encoding; damaged bytes are refused, not believed.

use super::*;
use mail::Dsn;
use proptest::prelude::*;

fn status() -> impl Strategy<Value = Status> {
    let remote = ("[a-z.]{0,9}", "[ -~]{0,20}").prop_map(|(name, reply)| Remote { name, reply });
    let via = proptest::option::of("[a-z]{0,5}");
    let reason = ("[a-z ]{0,20}", 2u8..6, 0u16..10, 0u16..1000, proptest::option::of(remote), via).prop_map(
        |(text, class, subject, detail, remote, via)| Reason {
            dsn: Dsn::new(class, subject, detail),
            text,
            remote,
            via: via.map(String::into_boxed_str),
        },
    );
    let how = prop_oneof![Just(How::Delivered), Just(How::Relayed), Just(How::Expanded)];
    prop_oneof![
        Just(Status::Pending),
        Just(Status::Delivered),
        Just(Status::Returned),
        (how, reason.clone()).prop_map(|(how, reason)| Status::Confirmed(how, reason)),
        reason.clone().prop_map(Status::Deferred),
        reason.clone().prop_map(Status::Failed),
        reason.prop_map(Status::Expired),
    ]
}

fn recipient() -> impl Strategy<Value = Recipient> {
    ("\\PC{0,12}", "\\PC{0,12}", proptest::option::of("[ -~]{0,9}"), 0u8..16, status()).prop_map(
        |(address, original, orcpt, notify, status)| Recipient {
            address: Address::from_internal(address),
            original: Address::from_internal(original),
            orcpt,
            notify,
            status,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let parts =
        (proptest::collection::vec(recipient(), 0..5), any::<(i64, u64, bool, bool, bool, u32)>(), 0u8..3);
    (parts, "\\PC{0,12}", proptest::option::of("\\PC{0,9}")).prop_map(
        |((recipients, plain, body), text, maybe)| {
            let (time, size, smtputf8, hold, other, tries) = plain;
            let sender = Address::from_internal(text.clone());
            let mut entry = Entry::new(QueueId::short(Wall(time), size), Wall(time), sender, recipients);
            entry.return_content =
                [None, Some(ReturnContent::Full), Some(ReturnContent::Headers)][usize::from(body)];
            let types =
                [BodyType::SevenBit, BodyType::EightBitMime, BodyType::BinaryMime, BodyType::Unstated];
            entry.body_type = types[usize::from(body)];
            (entry.size, entry.smtputf8, entry.tries) = (size, smtputf8, tries);
            (entry.hold, entry.expire, entry.warned) = (hold, other, hold != other);
            entry.hold_reason = maybe.clone().filter(|_| hold);
            entry.trace = [None, Some(Trace::Record), Some(Trace::Probe)][usize::from(body)];
            entry.envelope_id = maybe.clone();
            entry.filter = maybe.clone();
            entry.redirect = maybe.clone().map(Address::from_internal);
            entry.verp.clone_from(&maybe);
            entry.parts = (0..u32::from(body)).map(|index| (index, size)).collect();
            entry.client.name = text;
            (entry.has_utf8_header, entry.refiltered) = (hold && other, !other);
            entry.next_attempt = Wall(time.wrapping_add(7));
            entry.client.sasl = maybe.map(|user| ("plain".to_owned(), user, String::new()));
            entry
        },
    )
}

proptest! {
    #[test]
    fn an_entry_survives_its_encoding(entry in entry()) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    /// Whatever an entry has, its copy for one recipient has too.
    #[test]
    fn for_one_all_else_is_the_same(entry in entry(), recipient in recipient()) {
        let expect = Entry { recipients: vec![recipient.clone()], parts: BTreeSet::new(), ..entry.clone() };
        prop_assert_eq!(entry.for_one(recipient), expect);
    }

    #[test]
    fn a_note_survives_and_is_idempotent(mut entry in entry(), changes in proptest::collection::vec((0u32..6, status()), 0..4)) {
        let note = Note::Statuses(changes);
        prop_assert_eq!(Note::decode(&note.encode()), Ok(note.clone()));
        entry.apply(note.clone());
        let once = entry.clone();
        entry.apply(note);
        prop_assert_eq!(&entry, &once);
    }

    #[test]
    fn a_cut_or_lengthened_entry_is_refused(entry in entry(), cut in 0usize..4096, more in 1usize..4) {
        let mut bytes = entry.encode();
        prop_assert!(Entry::decode(&bytes[..cut % bytes.len()]).is_err());
        bytes.resize(bytes.len() + more, 0);
        prop_assert!(Entry::decode(&bytes).is_err());
    }

    #[test]
    fn damaged_bytes_do_no_harm(entry in entry(), changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let mut bytes = entry.encode();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        fuzz(&bytes);
    }
}

/// An envelope as versions before wrote it, which knew of no reasons: this one, with and without SMTPUTF8.
#[test]
fn a_spool_without_reasons_is_read() {
    let id = QueueId::short(Wall(1), 7);
    let mut entry = Entry::new(id, Wall(1), Address::from_internal("a@x.example"), Vec::new());
    for smtputf8 in [false, true] {
        (entry.smtputf8, entry.hold) = (smtputf8, true);
        let mut bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes), Ok(entry.clone()));
        // Before the client's four texts, of which three are empty, its port, and no login.
        let at = bytes.len() - (4 + 1 + 3 + 4 + 8) - (4 * 4 + 2 + 1) - 1;
        assert_eq!(bytes[at], u8::from(smtputf8), "the byte that had room");
        bytes[at] |= 4;
        assert_eq!(Entry::decode(&bytes), Err(DecodeError::Value("SMTPUTF8")));
    }
}

#[test]
fn why_it_is_held_stays_until_it_is_released() {
    let id = QueueId::short(Wall(1), 7);
    let mut entry = Entry::new(id, Wall(1), Address::null(), vec![Recipient::new(Address::null())]);
    entry.put_on_hold(format!("{}é", "x".repeat(HOLD_REASON_BYTES_MAX - 1)));
    entry.put_on_hold("another".to_owned());
    let kept = "x".repeat(HOLD_REASON_BYTES_MAX - 1);
    assert_eq!((entry.hold, entry.hold_reason.as_deref()), (true, Some(kept.as_str())));
    let load = |notes: &[Note]| {
        let notes: Vec<Vec<u8>> = notes.iter().map(Note::encode).collect();
        Entry::load(&entry.encode(), &notes).expect("reads").hold_reason
    };
    assert_eq!(load(&[Note::Hold(true), Note::Warned]).as_deref(), Some(kept.as_str()));
    assert_eq!(load(&[Note::Hold(false)]), None);
    assert_eq!(load(&[Note::Hold(false), Note::Hold(true)]), None);
    assert_eq!(load(&[Note::Requeue]), None);
}

#[test]
fn a_huge_count_reserves_nothing() {
    let mut bytes = vec![VERSION, 0];
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Note::decode(&bytes), Err(DecodeError::Short));
    assert_eq!(Note::decode(&[9, 0]), Err(DecodeError::Version(9)));
}
