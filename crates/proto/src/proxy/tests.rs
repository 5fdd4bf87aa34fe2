//! What is a header, and what isn't; the faults' words were taken from Debian's Postfix 3.7.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check_bytes(bytes: &[u8], expect: &str) {
    let seen = match read(bytes) {
        Ok(None) => "more".to_owned(),
        Ok(Some(Header { origin: Origin::Proxy, length })) => format!("proxy {}", bytes.len() - length),
        Ok(Some(Header { origin: Origin::Client { from, to }, length })) => {
            format!("{from} > {to} {}", bytes.len() - length)
        }
        Err(fault) => fault.to_string(),
    };
    assert_eq!(seen, expect, "{:?}", String::from_utf8_lossy(bytes));
    fuzz(bytes);
}

#[test]
fn lines() {
    for (line, expect) in [
        ("", "more"),
        ("PRO", "more"),
        ("PROXY TCP4 198.51.100.7 198", "more"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 4321 25\r\n", "198.51.100.7:4321 > 198.51.100.25:25 0"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 4321 25\r\nEHLO", "198.51.100.7:4321 > 198.51.100.25:25 4"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 4321 25\n", "198.51.100.7:4321 > 198.51.100.25:25 0"),
        ("PROXY TCP6 2001:db8::7 2001:db8::25 4321 25\r\n", "[2001:db8::7]:4321 > [2001:db8::25]:25 0"),
        (
            "PROXY TCP6 ::ffff:198.51.100.7 ::ffff:198.51.100.25 1 25\r\n",
            "198.51.100.7:1 > 198.51.100.25:25 0",
        ),
        ("PROXY TCP4 198.51.100.007 198.51.100.25 0 25 more\r\n", "198.51.100.7:0 > 198.51.100.25:25 0"),
        ("PROXY TCP4  198.51.100.7 198.51.100.25 4321 25\r\n", "198.51.100.7:4321 > 198.51.100.25:25 0"),
        ("PROXY UNKNOWN\r\n", "bad or missing protocol type"),
        ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "bad or missing protocol type"),
        ("PROXY UDP4 198.51.100.7 198.51.100.25 4321 25\r\n", "bad or missing protocol type"),
        ("PROXY \r\n", "bad or missing protocol type"),
        ("PROXY TCP4 2001:db8::7 198.51.100.25 4321 25\r\n", "bad or missing client address"),
        ("PROXY TCP4 198.51.100.700 198.51.100.25 4321 25\r\n", "bad or missing client address"),
        ("PROXY TCP4\r\n", "bad or missing client address"),
        ("PROXY TCP4 198.51.100.7\r\n", "bad or missing server address"),
        ("PROXY TCP4 198.51.100.7 2001:db8::25 4321 25\r\n", "bad or missing server address"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25\r\n", "bad or missing client port"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 99999 25\r\n", "bad or missing client port"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 +4 25\r\n", "bad or missing client port"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 0443 25\r\n", "bad or missing client port"),
        ("PROXY TCP4 198.51.100.7 198.51.100.25 4321\r\n", "bad or missing server port"),
        ("proxy tcp4 198.51.100.7 198.51.100.25 4321 25\r\n", "unrecognized protocol header"),
        ("EHLO hello\r\n", "short protocol header"),
        ("PROXX", "short protocol header"),
    ] {
        check_bytes(line.as_bytes(), expect);
    }
}

#[test]
fn lines_are_bounded() {
    let line = |length: usize| format!("PROXY TCP4 {}", "1".repeat(length - 11));
    check_bytes(line(106).as_bytes(), "more");
    check_bytes(line(107).as_bytes(), "missing protocol header terminator");
    check_bytes((line(106) + "\n").as_bytes(), "bad or missing client address");
    check_bytes((line(107) + "\n").as_bytes(), "missing protocol header terminator");
}

/// A header of version 2.
fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("small").to_be_bytes();
    [SIGNATURE.as_slice(), &[version_and_command, family], &length, rest].concat()
}

const V4: &[u8] = &[198, 51, 100, 7, 198, 51, 100, 25, 0x10, 0xe1, 0, 25];

fn v6() -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    [address("2001:db8::7").as_slice(), &address("2001:db8::25"), &[0x10, 0xe1, 0, 25]].concat()
}

#[test]
fn binary_headers() {
    let with = |field: &[u8]| binary(0x21, 0x11, &[V4, field].concat());
    let client = "198.51.100.7:4321 > 198.51.100.25:25";
    for (bytes, expect) in [
        (binary(0x21, 0x11, V4), format!("{client} 0")),
        ([binary(0x21, 0x11, V4), b"EHLO".to_vec()].concat(), format!("{client} 4")),
        (binary(0x21, 0x21, &v6()), "[2001:db8::7]:4321 > [2001:db8::25]:25 0".to_owned()),
        // Fields are passed over, well-formed or not.
        (with(b"\x04\0\x03abc"), format!("{client} 0")),
        (with(b"\x04\0\x03abc\xee\0\0"), format!("{client} 0")),
        (with(b"\xff\xff\xffzz"), format!("{client} 0")),
        (with(&[b"\x04\x0f\x00".as_slice(), &[0; 3840]].concat()), format!("{client} 0")),
        (binary(0x20, 0, b""), "proxy 0".to_owned()),
        (binary(0x20, 0, b"\x04\0\x03abc"), "proxy 0".to_owned()),
        (binary(0x20, 0x11, V4), "proxy 0".to_owned()),
        (binary(0x20, 0x77, b"???"), "proxy 0".to_owned()),
        (binary(0x21, 0x12, V4), "unsupported network protocol".to_owned()),
        (binary(0x21, 0x00, b""), "unsupported network protocol".to_owned()),
        (binary(0x21, 0x31, &[0; 216]), "unsupported network protocol".to_owned()),
        (binary(0x31, 0x11, V4), "unrecognized protocol version".to_owned()),
        (binary(0x22, 0x11, V4), "bad command in proxy header".to_owned()),
        (binary(0x21, 0x11, b"abcd"), "short address field".to_owned()),
        (binary(0x21, 0x21, V4), "short address field".to_owned()),
        (binary(0x21, 0x11, V4)[..20].to_vec(), "more".to_owned()),
        (binary(0x21, 0x11, V4)[..14].to_vec(), "more".to_owned()),
        (b"\r\n\r\n\0".to_vec(), "more".to_owned()),
        (b"\r\n\r\nQUIT".to_vec(), "short protocol header".to_owned()),
    ] {
        check_bytes(&bytes, &expect);
    }
    // Longer than anybody needs: refused before it has come.
    let mut long = binary(0x21, 0x11, V4);
    long[14..16].copy_from_slice(&[0xff, 0xff]);
    check_bytes(&long, "short version 2 protocol header");
}

/// The checksum at the end of `fields` made right.
fn signed(fields: &[u8], flip: u8) -> Vec<u8> {
    let mut bytes = binary(0x21, 0x11, &[V4, fields, b"\x03\0\x04\0\0\0\0"].concat());
    let sum = crc32c(bytes.iter().copied()).to_be_bytes();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&sum);
    bytes[at] ^= flip;
    bytes
}

#[test]
fn checksums() {
    // RFC 3720 appendix B.4.
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
    assert_eq!(crc32c([0xff; 32].into_iter()), 0x62a8_ab43);
    assert_eq!(crc32c(0..32), 0x46dd_794e);
    for (fields, flip, expect) in [
        (b"".as_slice(), 0, "198.51.100.7:4321 > 198.51.100.25:25 0"),
        (b"\x04\0\x02ab", 0, "198.51.100.7:4321 > 198.51.100.25:25 0"),
        (b"", 1, "bad checksum"),
        (b"\x04\0\x02ab", 0x80, "bad checksum"),
    ] {
        check_bytes(&signed(fields, flip), expect);
    }
    check_bytes(&binary(0x21, 0x11, &[V4, b"\x03\0\x01a"].concat()), "bad checksum");
}

#[test]
fn what_is_cut_off() {
    for (bytes, expect) in [
        (b"".as_slice(), "EOF"),
        (b"P", "short protocol header: P"),
        (b"\r", "short protocol header: \\r"),
        (b"PROXY TCP4 198", "missing protocol header terminator: PROXY TCP4 198"),
        (
            b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c\xc63d\x07",
            "short version 2 protocol header: \\r\\n\\r\\n\\000\\r\\nQUIT\\n!\\021\\000\\f\\3063d\\a",
        ),
    ] {
        assert_eq!(cut_off(bytes).describe(bytes), expect);
    }
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let line = "PROXY (TCP4|TCP6|UNKNOWN) [0-9a-f.:]{1,15} [0-9.]{1,15} [0-9]{1,5} [0-9]{1,5}\r?\nx";
    let fields = prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)), 0..4);
    let whole = (0x1f..0x23_u8, prop::sample::select(vec![0, 0x11, 0x12, 0x21, 0x31]), fields).prop_map(
        |(command, family, fields)| {
            let mut rest = if family == 0x21 { v6() } else { V4.to_vec() };
            for (kind, value) in fields {
                rest.extend([kind % 8, 0, u8::try_from(value.len()).expect("small")]);
                rest.extend(value);
            }
            binary(command, family, &rest)
        },
    );
    let good = prop_oneof![
        line.prop_map(String::into_bytes),
        whole,
        prop::sample::select(vec![signed(b"", 0), signed(b"\x04\0\x02ab", 0)])
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (good, edits).prop_map(|(mut bytes, edits)| {
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn anything(bytes in prop_oneof![4 => header(), 1 => prop::collection::vec(any::<u8>(), 0..300)]) {
        fuzz(&bytes);
    }

    /// What a proxy writes is read.
    #[test]
    fn addresses_come_through(from: SocketAddr, to: SocketAddr) {
        let (from, to) = (canonical(from), canonical(to));
        let to = if from.is_ipv4() == to.is_ipv4() { to } else { SocketAddr::new(from.ip(), to.port()) };
        let named = |address: IpAddr| address.is_ipv6() || address.is_unspecified()
            || !address.to_string().starts_with("0.");
        prop_assume!(named(from.ip()) && named(to.ip()));
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
        let expect = Header { origin: Origin::Client { from, to }, length: line.len() };
        assert_eq!(read(line.as_bytes()), Ok(Some(expect)));
    }
}

fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}
