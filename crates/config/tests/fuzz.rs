//! Bounded fuzzing of main.cf and master.cf: seeded mutations of real files, the same each time.
//!
//! The checks are `config::fuzz`'s, which the fuzz targets call too.

const MAIN: &str = "# comment\nmyhostname = mail.example.com\nnets = 10.0.0.0/8,\n  # inside\n\t192.0.2.0/24\nmynetworks = 127.0.0.0/8 $nets\nsmtpd_recipient_restrictions =\n  permit_mynetworks\n  check_client_access inline:{ {a = b}, {c = d} },\n  reject\nv = ${nets?{$mynetworks}:{$(nets)}} $$ ${{$compatibility_level} <level {3.6} ? {a} : {b}}\nsmtpd_timeout = ${stress?{10}:{300}}s\nw = ${{1} <= {2}} ${v?x}${v:y}\na = $b$b\nb = $c$c\nc = $a x\n";

const MASTER: &str = "smtp inet n - y - - smtpd\n  -o smtpd_sasl_type = dovecot -o { mynetworks = 10.0.0.0/8, $x }\n# c\n  -o a=b -vv -D\n[::1]:submission inet n - - 60? 10 smtpd -oc=d\npolicy unix - n n - 0 spawn user=nobody argv=/bin/x -o {y z}\nretry unix - - n - - error\n";

/// A small generator: the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }
}

fn mutations(seed: &str, count: usize, check: impl Fn(&[u8])) {
    const PARTS: [&[u8]; 20] = [
        b"$",
        b"{",
        b"}",
        b"${",
        b"$(",
        b")",
        b"=",
        b"\n",
        b"\n ",
        b" ",
        b"#",
        b"-o ",
        b"?",
        b":",
        b",",
        b"\0",
        b"\xff",
        b"\r\n",
        b"${{",
        "é".as_bytes(),
    ];
    let mut numbers = Numbers(42);
    for _ in 0..count {
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=numbers.below(6) {
            let at = numbers.below(bytes.len() + 1);
            let end = (at + numbers.below(8)).min(bytes.len());
            match numbers.below(4) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.splice(at..at, bytes.clone().drain(at..end))),
                _ => drop(bytes.splice(at..at, PARTS[numbers.below(PARTS.len())].iter().copied())),
            }
        }
        check(&bytes);
    }
}

#[test]
fn main_cf() {
    mutations(MAIN, 1200, config::fuzz::main_cf);
}

#[test]
fn master_cf() {
    mutations(MASTER, 3000, config::fuzz::master_cf);
}

#[test]
fn conf() {
    mutations(MAIN, 400, config::fuzz::conf);
    mutations(MASTER, 800, config::fuzz::conf);
}

/// Depth, breadth and cycles are bounded: none overflows the stack or the memory.
#[test]
fn bombs() {
    let doubling: String = (0..64).map(|i| format!("p{i} = $p{0}$p{0}\n", i + 1)).collect();
    config::fuzz::main_cf(format!("{doubling}p64 = 0123456789\n").as_bytes());
    let deep = format!("v = {}{}\n", "${a?{".repeat(2_000), "}}".repeat(2_000));
    config::fuzz::main_cf(format!("a = 1\n{deep}").as_bytes());
    config::fuzz::main_cf(format!("a = {}\n", "$(".repeat(5_000)).as_bytes());
    config::fuzz::main_cf(format!("a = {}\n", "$b ".repeat(5_000)).as_bytes());
    config::fuzz::master_cf(format!("x inet n - n - - smtpd {}\n", "-o {".repeat(20_000)).as_bytes());
    config::fuzz::master_cf("x inet n - n - - smtpd\n".repeat(300).as_bytes());
}
