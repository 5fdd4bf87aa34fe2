//! A month of mail greylisted twice: by Postgrey's keys, and by pools of senders; the same mail, side by side.
//!
//! Made up, with a seed: large senders that come back from any of their networks, small servers, newsletters sent once
//! and by addresses of their own, and runs of spam that come back or don't, one of them in others' names. What is
//! counted is asked of [`Greylist::judge`], by what [`pool::find`] makes of the DNS. docs/guide/greylist.md has the table. T2.15.
#![expect(clippy::expect_used, reason = "what is made up here fits")]

use mail::Wall;
use policy::greylist::{Greylist, Keys, Known, LastHeader, Memory, Moment, Options, Request, Seen, pool};
use policy::{Answer, Facts, Need, Question, Record, RecordKind, spf};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn small(&mut self, end: u64) -> i64 {
        i64::try_from(self.below(end)).expect("small")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A large sender whose servers are in several networks, named by SPF.
    Pool,
    /// The same, whose domain has no SPF; its servers' names are in one zone.
    PoolOfNames,
    /// Somebody's own server, one address.
    Small,
    /// A newsletter: a pool with a sender of its own for each mail.
    Newsletter,
    /// Bots that send once.
    SpamOnce,
    /// Bots that come back, each from its own address.
    SpamRetried,
    /// Bots that come back from anywhere, in the names of the large senders.
    SpamForged,
    /// The same in the name of a domain whose SPF record lets everybody pass.
    SpamOpen,
}

const HONEST: [Kind; 4] = [Kind::Pool, Kind::PoolOfNames, Kind::Small, Kind::Newsletter];

/// One mail, and from which clients it is tried.
#[derive(Clone, Debug)]
struct Mail {
    kind: Kind,
    sender: String,
    recipient: String,
    /// Addresses and confirmed names, one for each try; the last one goes on.
    clients: Vec<(IpAddr, String)>,
    /// Seconds from the first try.
    tries: Vec<i64>,
}

#[derive(Default)]
struct Remembered {
    triplets: HashMap<String, Seen>,
    clients: HashMap<String, Known>,
}

impl Memory for Remembered {
    fn triplet(&mut self, key: &str) -> Option<Seen> {
        self.triplets.get(key).copied()
    }
    fn see(&mut self, key: &str, seen: Seen, _: (bool, u32)) {
        self.triplets.insert(key.to_owned(), seen);
    }
    fn client(&mut self, key: &str) -> Option<Known> {
        self.clients.get(key).copied()
    }
    fn know(&mut self, key: &str, known: Known, _: u32) {
        self.clients.insert(key.to_owned(), known);
    }
}

const POOLS: u64 = 12;
const ZONES: u64 = 6;
const SMALL: u64 = 400;
const LISTS: u64 = 20;

/// A server of the pool `number`: eight networks, far apart.
fn pool_server(dice: &mut Dice, number: u64) -> IpAddr {
    let (network, host) = (dice.below(8), dice.below(40));
    let [network, host, number] = [network, host, number].map(|part| u8::try_from(part).expect("small"));
    Ipv4Addr::new(20 + network, number, 7, host + 1).into()
}

fn small(number: u64) -> IpAddr {
    Ipv4Addr::from_bits(0x6400_0000 + u32::try_from(number).expect("small") * 256 + 25).into()
}

fn bot(dice: &mut Dice) -> IpAddr {
    Ipv4Addr::from_bits(0x8000_0000 + u32::try_from(dice.below(0x4000_0000)).expect("small")).into()
}

/// When a server tries again: as Postfix, Exim, Exchange and the large ones do.
fn schedule(dice: &mut Dice, kind: Kind) -> Vec<i64> {
    let jitter = |dice: &mut Dice, seconds: i64| seconds + dice.small(60);
    let steps: &[i64] = match (kind, dice.below(3)) {
        (Kind::Small, 0) => &[300, 900, 1_900, 3_900],
        (Kind::Small, 1) => &[900, 1_800, 2_700, 3_600, 4_500, 5_400],
        (Kind::Small, _) => &[3_600, 7_200, 10_800],
        _ => &[360, 1_000, 2_000, 4_000, 8_000, 14_000, 22_000, 32_000, 44_000, 58_000, 74_000],
    };
    std::iter::once(0).chain(steps.iter().map(|at| jitter(dice, *at))).collect()
}

fn person(dice: &mut Dice, kind: &str, domain: u64) -> String {
    format!("p{}x@{kind}{domain}.example", dice.below(60))
}

fn recipient(dice: &mut Dice) -> String {
    format!("r{}@example.com", dice.below(50))
}

/// One mail of the mix.
fn mail(dice: &mut Dice, number: u64) -> Mail {
    let kind = match dice.below(100) {
        0..18 => Kind::Pool,
        18..24 => Kind::PoolOfNames,
        24..40 => Kind::Small,
        40..50 => Kind::Newsletter,
        50..80 => Kind::SpamOnce,
        80..90 => Kind::SpamRetried,
        90..95 => Kind::SpamForged,
        _ => Kind::SpamOpen,
    };
    let tries = match kind {
        Kind::SpamOnce => vec![0],
        Kind::SpamRetried | Kind::SpamForged | Kind::SpamOpen => vec![0, 40, 400, 900],
        kind => schedule(dice, kind),
    };
    let host = dice.below(SMALL);
    let domain = dice.below(if kind == Kind::PoolOfNames { ZONES } else { POOLS });
    let list = dice.below(LISTS);
    let constant = bot(dice);
    let client = |dice: &mut Dice| match kind {
        Kind::Pool => (pool_server(dice, domain), "unknown".to_owned()),
        Kind::PoolOfNames => {
            (pool_server(dice, 100 + domain), format!("out-{}.zone{domain}.example", dice.below(400) + 300))
        }
        Kind::Newsletter => (pool_server(dice, 150 + list), "unknown".to_owned()),
        Kind::Small => (small(host), format!("mx.small{host}.example")),
        Kind::SpamOnce | Kind::SpamRetried => (constant, "unknown".to_owned()),
        Kind::SpamForged | Kind::SpamOpen => (bot(dice), "unknown".to_owned()),
    };
    let clients = tries.iter().map(|_| client(dice)).collect();
    let sender = match kind {
        Kind::Pool => person(dice, "pool", domain),
        Kind::PoolOfNames => person(dice, "zone", domain),
        Kind::Small => format!("p{}x@small{host}.example", dice.below(4)),
        Kind::Newsletter => format!("b{number}x@list{list}.example"),
        Kind::SpamForged => person(dice, "pool", domain),
        Kind::SpamOpen => format!("s{number}x@open.example"),
        _ => format!("s{number}x@junk{}.example", dice.below(900)),
    };
    Mail { kind, sender, recipient: recipient(dice), clients, tries }
}

/// What the DNS of this world says.
fn answer(question: &Question) -> Answer {
    let Question::Dns { name, kind } = question else { return Answer::NoName };
    let number = |prefix: &str| name.strip_prefix(prefix)?.strip_suffix(".example")?.parse::<u64>().ok();
    let pool = |number: u64| {
        let networks: String =
            (0..8).map(|network| format!(" ip4:{}.{number}.0.0/16", 20 + network)).collect();
        Answer::Records(vec![Record::Txt(format!("v=spf1{networks} -all"))])
    };
    match kind {
        RecordKind::Txt if name == "open.example" => Answer::Records(vec![Record::Txt("v=spf1 +all".into())]),
        RecordKind::Txt => match (number("pool"), number("list")) {
            (Some(number), _) => pool(number),
            (_, Some(number)) => pool(150 + number),
            _ => Answer::NoRecords,
        },
        RecordKind::Ns if number("zone").is_some() || number("small").is_some() => {
            Answer::Records(vec![Record::Ns("ns.example".into())])
        }
        _ => Answer::NoName,
    }
}

fn pool_of(client: &pool::Client<'_>) -> Option<String> {
    let mut facts: Facts = spf::without_tables();
    loop {
        match pool::find(client, &facts) {
            Ok(pool) => return pool,
            Err(Need(question)) => {
                let answer = answer(&question);
                facts.learn(question, answer);
            }
        }
    }
}

/// How it went for one kind of mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fared {
    mails: u64,
    at_once: u64,
    /// Passed later; the longest of them, and the sum, in seconds.
    delayed: u64,
    longest: i64,
    sum: i64,
    never: u64,
}

impl Fared {
    fn share(self, count: u64) -> f64 {
        count as f64 * 100.0 / self.mails.max(1) as f64
    }
}

/// A month of it, by these keys.
fn month(keys: Keys, seed: u64) -> BTreeMap<Kind, Fared> {
    const MAILS: u64 = 30_000;
    const MONTH: u64 = 30 * 86_400;
    let mut dice = Dice(seed);
    let greylist = Greylist { options: Options { keys, ..Options::default() }, ..Greylist::default() };
    let (mut memory, mut headers) = (Remembered::default(), LastHeader::default());
    let mut fared: BTreeMap<Kind, Fared> = BTreeMap::new();
    let mails: Vec<Mail> = (0..MAILS).map(|number| mail(&mut dice, number)).collect();
    let mut queue: BinaryHeap<Reverse<(i64, usize, usize)>> =
        (0..mails.len()).map(|at| Reverse((dice.small(MONTH) + 1_000_000, at, 0))).collect();
    while let Some(Reverse((now, at, attempt))) = queue.pop() {
        let mail = &mails[at];
        let (client, name) = &mail.clients[attempt];
        let found = pool::Client { address: *client, name, helo: "helo.example", sender: &mail.sender };
        let pool = if keys == Keys::Sender { pool_of(&found) } else { None };
        let request = Request {
            client_name: name,
            client_address: "",
            client: *client,
            sender: &mail.sender,
            recipient: &mail.recipient,
            instance: "",
            pool: pool.as_deref(),
        };
        let moment = Moment { now: Wall::from_seconds(now), date: &String::new, host: "mx" };
        let reason = greylist.judge(&request, (&mut memory, &mut headers), &moment).reason;
        let fared = fared.entry(mail.kind).or_default();
        fared.mails += u64::from(attempt == 0);
        let waited = mail.tries[attempt];
        match (reason.passes(), mail.tries.get(attempt + 1)) {
            (true, _) if attempt == 0 => fared.at_once += 1,
            (true, _) => {
                fared.delayed += 1;
                fared.longest = fared.longest.max(waited);
                fared.sum += waited;
            }
            (false, Some(next)) => queue.push(Reverse((now - waited + next, at, attempt + 1))),
            (false, None) => fared.never += 1,
        }
    }
    fared
}

fn of(fared: &BTreeMap<Kind, Fared>, kinds: &[Kind]) -> Fared {
    kinds.iter().filter_map(|kind| fared.get(kind)).fold(Fared::default(), |sum, one| Fared {
        mails: sum.mails + one.mails,
        at_once: sum.at_once + one.at_once,
        delayed: sum.delayed + one.delayed,
        longest: sum.longest.max(one.longest),
        sum: sum.sum + one.sum,
        never: sum.never + one.never,
    })
}

#[test]
fn pools_wait_less_and_spam_no_less() {
    let (theirs, ours) = (month(Keys::Postgrey, 1), month(Keys::Sender, 1));
    for (kind, theirs) in &theirs {
        let ours = &ours[kind];
        let row = |one: &Fared| {
            let mean = one.sum / i64::try_from(one.delayed.max(1)).expect("small");
            format!(
                "{:5.1} % delayed, mean {:4} min, longest {:4} min, {:5.1} % never",
                one.share(one.delayed),
                mean / 60,
                one.longest / 60,
                one.share(one.never)
            )
        };
        println!("{kind:?} ({}): {} | {}", theirs.mails, row(theirs), row(ours));
    }
    let (all_theirs, all_ours) = (of(&theirs, &HONEST), of(&ours, &HONEST));
    for (name, one) in [("Postgrey's keys", all_theirs), ("pools", all_ours)] {
        println!(
            "honest mail, {name}: {:.1} % delayed, longest {} min, {} never",
            one.share(one.delayed),
            one.longest / 60,
            one.never
        );
    }
    // Honest mail: fewer wait, none longer, none is lost.
    assert!(all_ours.delayed * 10 < all_theirs.delayed * 9, "{all_ours:?} {all_theirs:?}");
    assert!(all_ours.never <= all_theirs.never && all_ours.longest <= all_theirs.longest);
    let pools = [Kind::Pool, Kind::PoolOfNames, Kind::Newsletter];
    let (theirs_of_pools, ours_of_pools) = (of(&theirs, &pools), of(&ours, &pools));
    assert_eq!(ours_of_pools.never, 0);
    assert!(ours_of_pools.delayed * 4 < theirs_of_pools.delayed * 3, "{ours_of_pools:?} {theirs_of_pools:?}");
    assert!(ours_of_pools.longest < theirs_of_pools.longest / 2, "{ours_of_pools:?} {theirs_of_pools:?}");
    // A small server's mail fares the same.
    assert_eq!(ours[&Kind::Small], theirs[&Kind::Small]);
    // Spam passes no more often: nobody has another's key, nor one that everybody has.
    for kind in [Kind::SpamOnce, Kind::SpamRetried, Kind::SpamForged, Kind::SpamOpen] {
        let (ours, theirs) = (ours[&kind], theirs[&kind]);
        assert!(ours.never >= theirs.never, "{kind:?}: {ours:?} {theirs:?}");
    }
    assert_eq!(ours[&Kind::SpamOnce].never, ours[&Kind::SpamOnce].mails);
    assert!(ours[&Kind::SpamForged].never * 100 >= ours[&Kind::SpamForged].mails * 99);
    assert!(ours[&Kind::SpamOpen].never * 100 >= ours[&Kind::SpamOpen].mails * 99);
}
