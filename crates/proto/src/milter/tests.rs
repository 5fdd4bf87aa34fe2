//! The protocol's edges, and whatever a filter may say.

use super::verdict::{DefaultAction, Judgement, Outcome, Standing, reply};
use super::{Answer, Change, Event, Fault, Link, Macros, Offer, Stage, fuzz, packet};
use proptest::prelude::*;

fn packet(letter: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    packet::write(letter, &[body], &mut out);
    out
}

fn agreed(actions: u32, steps: u32) -> Link {
    let mut link = Link::default();
    let numbers: Vec<u8> = [6, actions, steps].iter().flat_map(|number: &u32| number.to_be_bytes()).collect();
    link.take(&packet(b'O', &[&numbers[..], &3u32.to_be_bytes(), b"i, {x}\0"].concat()));
    assert!(link.agree(Offer::new(6).unwrap()).unwrap().is_some());
    link
}

#[test]
fn negotiates() {
    let link = agreed(0x1, 0x4008);
    assert!(!link.wants(Stage::Rcpt) && link.wants(Stage::Mail));
    assert_eq!(link.symbols(Stage::Rcpt), Some(&["i".to_owned(), "{x}".to_owned()][..]));
    assert_eq!(link.symbols(Stage::Mail), None);
    let mut out = Vec::new();
    assert!(!link.tell(&Event::Mail(&["<a@b>".to_owned()]), &Macros::default(), &mut out));
    assert_eq!(out, [packet(b'D', b"M"), packet(b'M', b"<a@b>\0")].concat());
}

#[test]
fn answers() {
    let check = |stage: Stage, bytes: Vec<u8>, expect: Result<Option<Answer>, Fault>| {
        let mut link = agreed(0x1ff, 0x400);
        link.take(&bytes);
        assert_eq!(link.next(stage), expect, "{bytes:?}");
    };
    check(Stage::Mail, packet(b'c', b""), Ok(Some(Answer::Continue)));
    check(Stage::Mail, vec![0, 0, 0], Ok(None));
    check(Stage::Mail, vec![0; 4], Err(Fault::Length(0)));
    check(Stage::Mail, vec![0xff; 4], Err(Fault::Size(u32::MAX)));
    check(Stage::Mail, packet(b'z', b""), Err(Fault::Unexpected("(unknown filter reply)", "SMFIC_MAIL")));
    check(Stage::Mail, packet(b'h', b"A\0b\0"), Err(Fault::Unexpected("SMFIR_ADDHEADER", "SMFIC_MAIL")));
    check(Stage::EndOfMessage, packet(b'h', b"A\0b"), Err(Fault::Short("SMFIC_BODYEOB")));
    let add = Change::AddHeader { name: b"A".to_vec(), value: b"b".to_vec() };
    check(Stage::EndOfMessage, packet(b'h', b"A\0b\0"), Ok(Some(Answer::Change(add))));
    check(Stage::Body, packet(b's', b""), Ok(Some(Answer::Skip)));
    // At any event, as Postfix takes them.
    check(Stage::Header, packet(b's', b""), Ok(Some(Answer::Skip)));
    check(Stage::Connect, packet(b'p', b""), Ok(Some(Answer::Progress)));
    let hold = Change::Quarantine(b"why".to_vec());
    check(Stage::Rcpt, packet(b'q', b"why\0"), Ok(Some(Answer::Change(hold))));
    check(Stage::Header, packet(b'h', b"A\0b\0"), Err(Fault::Unexpected("SMFIR_ADDHEADER", "SMFIC_HEADER")));
}

#[test]
fn a_modification_that_was_not_announced_is_one_all_the_same() {
    let mut link = agreed(0x1, 0);
    link.take(&packet(b'b', b"x"));
    assert_eq!(link.next(Stage::EndOfMessage), Ok(Some(Answer::Change(Change::Body(b"x".to_vec())))));
}

#[test]
fn an_empty_list_of_macros_is_none() {
    let mut link = Link::default();
    let numbers: Vec<u8> = [6, 1, 0, 3].iter().flat_map(|number: &u32| number.to_be_bytes()).collect();
    link.take(&packet(b'O', &[&numbers[..], b" ,\0"].concat()));
    assert!(link.agree(Offer::new(6).unwrap()).unwrap().is_some());
    assert_eq!(link.symbols(Stage::Rcpt), None);
}

#[test]
fn judgements() {
    let refused = |text: &str| Judgement::Outcome(Outcome::Refused(text.to_owned()));
    let mut standing = Standing::default();
    assert_eq!(standing.judge(Stage::Mail, &Answer::Reject), refused("550 5.7.1 Command rejected"));
    assert!(standing.listens());
    let answer = Answer::Reply(b"450 4.7.1 50%% of %it".to_vec());
    assert_eq!(standing.judge(Stage::Rcpt, &answer), refused("450 4.7.1 50% of it"));
    assert!(matches!(standing.judge(Stage::Rcpt, &Answer::Reply(b"250 ok".to_vec())), Judgement::Broken(_)));
    assert!(!standing.is_connected());
    let mut standing = Standing::default();
    standing.judge(Stage::Mail, &Answer::Accept);
    assert!(!standing.listens());
    standing.message_over();
    assert!(standing.listens());
    standing.judge(Stage::Helo, &Answer::TempFail);
    standing.message_over();
    assert!(!standing.listens() && standing.standing().is_some());
    assert_eq!(Standing::default().fail(&DefaultAction::Quarantine), Some(Outcome::Hold));
    // What an early QUARANTINE holds.
    let mut standing = Standing::default();
    standing.hold(Stage::Mail);
    assert!(standing.holds_at(Stage::Rcpt) && !standing.holds_at(Stage::Body));
    standing.message_over();
    assert!(!standing.holds_at(Stage::Mail));
    standing.hold(Stage::Helo);
    standing.message_over();
    assert!(standing.holds_at(Stage::Mail));
}

#[test]
fn replies() {
    let check = |refused: &str, expect: &str| assert_eq!(reply(refused).to_string(), expect, "{refused}");
    check("550 5.7.1 Command rejected", "550 5.7.1 Command rejected");
    check("550 no such thing", "550 no such thing");
    let mut out = Vec::new();
    reply("551-5.7.1 one\r\n551 5.7.1 two").write_to(&mut out);
    assert_eq!(out, b"551-5.7.1 one\r\n551 5.7.1 two\r\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_comes(
        packets in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        piece in 1usize..9,
        tail in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let options: Vec<u8> =
            [6u32, 0x1ff, 0].iter().flat_map(|number| number.to_be_bytes()).collect();
        let mut bytes = packet(b'O', &options);
        for (letter, body) in packets {
            bytes.extend(packet(b"cartdy4fsphimb+2-eqO"[usize::from(letter) % 20], &body));
        }
        bytes.extend(tail);
        fuzz(&bytes, piece);
    }
}
