//! `komainu check` never falls over, whatever stands in the files: the guide's own configurations, mutated by seed.

use komainu::check::fuzz::configuration;

/// Words that mean something somewhere.
const WORDS: [&str; 24] = [
    "$",
    "${",
    "}",
    "{",
    "=",
    "\n",
    "\n ",
    "\t",
    ",",
    "#",
    "//",
    "-o ",
    "hash:",
    "regexp:",
    "pcre:/etc/postfix/table",
    "cidr:/etc/postfix/table",
    "check_policy_service ",
    "/(a|b)*+/ REJECT\n",
    "reject_",
    "permit",
    "ä漢\u{202e}",
    "\u{0}",
    "\u{1b}[31m",
    "99999999999999999999",
];

/// Numbers by seed: the same run each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides.max(1)
    }
}

/// The files of each chapter of the guide, a NUL between them.
fn seeds() -> Vec<Vec<u8>> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide");
    let pages =
        ["check.md", "tutorials/smtp-auth.md", "tutorials/security-memo.md", "tutorials/spam-blocking.md"];
    let mut seeds = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(format!("{guide}/{page}")).expect("readable");
        for chapter in text.split("\n## ") {
            let block = |name: &str| {
                let (_, rest) = chapter.split_once(&format!("```{name}\n"))?;
                rest.split_once("```").map(|(text, _)| text.to_owned())
            };
            let Some(main) = block("main.cf") else { continue };
            let tables = ["client_access", "ok-ips", "header_checks", "reject_sender"];
            let table = tables.into_iter().find_map(block).unwrap_or_default();
            let main = main.replace("/etc/postfix/", "/etc/postfix/table ");
            let master = block("master.cf").unwrap_or_else(|| "smtp inet n - n - - smtpd\n".to_owned());
            seeds.push(format!("{main}\0{master}\0{table}").into_bytes());
        }
    }
    seeds
}

fn mutated(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(bytes.len());
        let until = (at + dice.roll(12)).min(bytes.len());
        let word = WORDS[dice.roll(WORDS.len())].as_bytes().to_vec();
        let copied = bytes[at..until].to_vec();
        match dice.roll(5) {
            0 => drop(bytes.drain(at..until)),
            1 => drop(bytes.splice(at..at, word)),
            2 => drop(bytes.splice(at..until, word)),
            3 => drop(bytes.splice(at..at, copied)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(dice.roll(256)).expect("a byte");
                }
            }
        }
    }
    bytes
}

#[test]
fn nothing_makes_it_fall_over() {
    let seeds = seeds();
    assert!(seeds.len() > 15, "the guide has chapters");
    let mut dice = Dice(0x4b6f_6d61);
    for round in 0..150 {
        let seed = &seeds[round % seeds.len()];
        configuration(&if round < seeds.len() { seed.clone() } else { mutated(seed, &mut dice) });
    }
}
